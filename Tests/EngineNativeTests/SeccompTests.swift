#if arch(x86_64)
    import EngineAPI
    import Foundation
    import TestKit
    import Testing
    import WorkloadModel

    @testable import EngineNative

    /// The filter of system calls, call by call, beside Docker's default profile (moby/profiles, seccomp/default_linux.go, autumn of
    /// 2026). The differences are named here; there are no others.
    @Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
    struct SeccompTests {
        enum Arch: UInt32 {
            case native = 0xC000_003E
            case compatible = 0x4000_0003
        }

        enum Answer: Hashable { case allowed, refused(Int32) }

        /// A classic BPF program over seccomp_data.
        struct Filter {
            let code: [(op: UInt16, jt: UInt8, jf: UInt8, k: UInt32)]

            init(_ bytes: [UInt8]) {
                code = stride(from: 0, to: bytes.count, by: 8).map { at in
                    let k = bytes[(at + 4)..<(at + 8)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                    return (UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8, bytes[at + 2], bytes[at + 3], k)
                }
            }

            func answer(_ arch: Arch, _ number: UInt32, _ first: UInt64 = .max, _ second: UInt64 = .max) -> Answer {
                func word(_ offset: UInt32) -> UInt32 {
                    switch offset {
                    case 0: number
                    case 4: arch.rawValue
                    case 16: UInt32(truncatingIfNeeded: first)
                    case 20: UInt32(truncatingIfNeeded: first >> 32)
                    case 24: UInt32(truncatingIfNeeded: second)
                    case 28...: .max
                    default: 0
                    }
                }
                var accumulator: UInt32 = 0
                var at = 0
                while true {
                    let (op, jt, jf, k) = code[at]
                    at += 1
                    switch op {
                    case 0x20: accumulator = word(k)
                    case 0x54: accumulator &= k
                    case 0x05: at += Int(k)
                    case 0x15: at += Int(accumulator == k ? jt : jf)
                    case 0x25: at += Int(accumulator > k ? jt : jf)
                    case 0x35: at += Int(accumulator >= k ? jt : jf)
                    case 0x45: at += Int(accumulator & k != 0 ? jt : jf)
                    case 0x06: return k == 0x7FFF_0000 ? .allowed : .refused(Int32(k & 0xFFFF))
                    default: fatalError("instruction \(String(op, radix: 16))")
                    }
                }
            }
        }

        static func filter(_ options: SeccompFilters.Options = [], adding: Set<Capability> = []) async throws -> Filter {
            let filters = SeccompFilters(shimPath: Requirement.shim)
            return Filter(try await filters.filter(capabilities: Capability.mask(Capability.defaults.union(adding)), options))
        }

        /// Numbers by name, from the kernel's headers.
        static func numbers(_ bits: Int) throws -> [String: UInt32] {
            let text = try String(contentsOfFile: "/usr/include/x86_64-linux-gnu/asm/unistd_\(bits).h", encoding: .utf8)
            var found: [String: UInt32] = [:]
            for line in text.split(separator: "\n") where line.hasPrefix("#define __NR_") {
                let words = line.dropFirst(13).split(separator: " ")
                if words.count == 2, let number = UInt32(words[1]) { found[String(words[0])] = number }
            }
            // Newer than the headers of Debian 12; the same for all machines.
            for (name, number) in [
                ("cachestat", 451), ("fchmodat2", 452), ("map_shadow_stack", 453), ("futex_wake", 454), ("futex_wait", 455), ("futex_requeue", 456),
                ("statmount", 457), ("listmount", 458), ("mseal", 462), ("setxattrat", 463), ("getxattrat", 464), ("listxattrat", 465), ("removexattrat", 466),
            ] as [(String, UInt32)] { found[name] = number }
            return found
        }

        @Test func everyCallIsAnsweredAsDockersDefaultDoesButForWhatIsNamedHere() async throws {
            let filter = try await Self.filter()
            for (arch, bits) in [(Arch.native, 64), (Arch.compatible, 32)] {
                let numbers = try Self.numbers(bits)
                let allowed = Set(DockerDefault.calls.compactMap { numbers[$0] })
                var wider: Set<UInt32> = []
                var narrower: Set<UInt32> = []
                // Calls that depend on an argument are looked at on their own.
                let byArgument = Set(["socket", "personality", "clone"].compactMap { numbers[$0] })
                for number in 0...UInt32(470) where !byArgument.contains(number) {
                    let ours = filter.answer(arch, number) == .allowed
                    if ours, !allowed.contains(number) { wider.insert(number) }
                    if !ours, allowed.contains(number) { narrower.insert(number) }
                }
                #expect(wider.isEmpty, "\(bits): allowed, and refused by Docker: \(wider.sorted())")
                // socketcall: it hides a socket's family from the filter.
                #expect(narrower == (bits == 32 ? [102] : []), "\(bits): refused, and allowed by Docker: \(narrower.sorted())")
            }
            #expect(filter.answer(.native, 435) == .refused(38), "clone3 is no such call, so that a C library goes on with clone")
            for arch in [Arch.native, .compatible] { #expect(filter.answer(arch, 470) == .refused(38), "nor is what is newer than the list") }
            #expect(filter.answer(.native, 165) == .refused(1))
            // x32: no such call, where Docker answers as for 64 bits.
            for number in 0...UInt32(600) { #expect(filter.answer(.native, number | 0x4000_0000) == .refused(38)) }
        }

        @Test("CVE-2026-31431: families of sockets, by the 32 bits that the kernel reads") func theArgumentsOfClonePersonalityAndSocketCount() async throws {
            let filter = try await Self.filter()
            let namespaces: [UInt64] = [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
            for (arch, clone, personality, socket) in [(Arch.native, UInt32(56), UInt32(135), UInt32(41)), (.compatible, 120, 136, 359)] {
                #expect(filter.answer(arch, clone, 0x11) == .allowed)
                for flag in namespaces { #expect(filter.answer(arch, clone, flag | 0x11) == .refused(1), "clone with \(String(flag, radix: 16))") }
                for good in [0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF] as [UInt64] { #expect(filter.answer(arch, personality, good) == .allowed) }
                #expect(filter.answer(arch, personality, 0x40000) == .refused(1))
                for family in 0..<UInt64(64) {
                    let expected: Answer = DockerDefault.families.contains(Int(family)) ? .allowed : .refused(1)
                    #expect(filter.answer(arch, socket, family) == expected, "family \(family)")
                    // The kernel reads 32 bits: what stands above them must not make another family of it.
                    #expect(filter.answer(arch, socket, family | 1 << 32) == expected, "family \(family) with a bit above 32")
                }
            }
        }

        @Test func socketcallIsForThoseWhoAskForIt() async throws {
            #expect(try await Self.filter().answer(.compatible, 102, 1) == .refused(38))
            let loose = try await Self.filter(.socketcall)
            #expect(loose.answer(.compatible, 102, 1) == .allowed)
            #expect(loose.answer(.compatible, 359, 38) == .refused(1))
        }

        /// With a limit on its layer, no file of a container changes its project (FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS), whatever
        /// stands above the 32 bits that the kernel reads; all other requests pass.
        @Test(arguments: [SeccompFilters.Options.fixedProjects, [.fixedProjects, .socketcall]]) func filesStayInTheirProject(options: SeccompFilters.Options)
            async throws
        {
            let filter = try await Self.filter(options)
            let usual = try await Self.filter(options.subtracting(.fixedProjects))
            for (arch, ioctl) in [(Arch.native, 16), (.compatible, 54)] as [(Arch, UInt32)] {
                for request in [0x401C_5820, 0x4008_6602, 0x4004_6602] as [UInt64] {
                    for bits in [request, request | 1 << 40, request | .max << 32] {
                        #expect(filter.answer(arch, ioctl, 3, bits) == .refused(25))
                        #expect(usual.answer(arch, ioctl, 3, bits) == .allowed)
                    }
                    // The same number as another call's argument means nothing.
                    for number in 0...470 as ClosedRange<UInt32> where number != ioctl {
                        #expect(filter.answer(arch, number, 3, request) == usual.answer(arch, number, 3, request), "\(number)")
                    }
                }
                for request in [0x5401, 0x8008_6601, 0x801C_581F] as [UInt64] { #expect(filter.answer(arch, ioctl, 3, request) == .allowed) }
            }
        }

        @Test func aCapabilityBringsItsCalls() async throws {
            let filter = try await Self.filter(adding: [.sysAdmin, .sysTime])
            for number in [165, 272, 308, 321, 435, 227] as [UInt32] { #expect(filter.answer(.native, number) == .allowed, "\(number)") }
            #expect(filter.answer(.native, 169) == .refused(1))
        }

        /// Whatever it may: the one call that goes round every mount (Docker gives it with DAC_READ_SEARCH).
        @Test func noCapabilityBringsOpenByHandle() async throws {
            let filter = try await Self.filter(adding: Set(Capability.allCases))
            #expect(filter.answer(.native, 304) == .refused(1) && filter.answer(.compatible, 342) == .refused(1))
        }

        /// What the kernel does with the filter from inside: each call of three kinds, made in a container.
        @Test(.timeLimit(.minutes(10))) func fromInsideTheFilterAnswersAsItIsWritten() async throws {
            let filter = try await Self.filter()
            try await EngineFixture.with { fixture in
                var container = ContainerSpec(root: .host)
                container.command = ["\(Requirement.programs)/probe-calls", "470"]
                let (status, output, _) = try await fixture.run(container)
                #expect(status.ending == .exited(code: 0))
                let lines = output.split(separator: "\n").map { $0.split(separator: " ") }
                let expected: Int = 3 * 471 + 3 * 64
                #expect(lines.count == expected)
                for line in lines where line.count == 4 {
                    guard let number = UInt32(line[1]), let first = Int64(line[2]) else { continue }
                    // Calls of the kernel's own probes (335 uretprobe, 336 uprobe), which newer kernels let pass every filter.
                    if line[0] == "native", number == 335 || number == 336 { continue }
                    let (arch, bit): (Arch, UInt32) = line[0] == "compatible" ? (.compatible, 0) : (.native, line[0] == "x32" ? 0x4000_0000 : 0)
                    let argument = line[0] == "compatible" ? UInt64(UInt32(truncatingIfNeeded: first)) : UInt64(bitPattern: first)
                    if case .refused(let code) = filter.answer(arch, number | bit, argument) { #expect(line[3] == "\(code)", "\(line)") }
                }
            }
        }
    }

    /// Facts of Docker's default profile for a container with Berth's default capabilities.
    enum DockerDefault {
        static let families = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45,
        ]

        static let calls = Set(
            """
            accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown chown32 chroot clock_adjtime \
            clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range \
            connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
            epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir \
            fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat \
            fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat \
            get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 \
            getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage \
            getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 \
            inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill \
            landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat \
            llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir \
            mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive \
            mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap \
            name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free \
            pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 \
            pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
            remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask \
            rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max \
            sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
            sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 \
            send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid \
            setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid \
            setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 \
            sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs \
            sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create \
            timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat \
            uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
            """.split(whereSeparator: \.isWhitespace).map(String.init))
    }
#endif
