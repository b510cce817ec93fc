import EngineAPI
import Foundation
import Glibc
import HostOS
import Logging
import Schedules
import Synchronization
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// The real shim and the real kernel: what a container can do, and what it cannot.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct NativeEngineTests {
    @Test func tellsHowItEnded() async throws {
        try await EngineFixture.with { fixture in
            #expect(try await fixture.run(EngineFixture.shell("exit 7")).status.ending == .exited(code: 7))
            #expect(try await fixture.run(EngineFixture.shell("kill -11 $$", { $0.initProcess = true })).status.ending == .signaled(number: 11))
            let (status, output, _) = try await fixture.run(EngineFixture.shell("echo out; echo err >&2; printf tail"))
            #expect(status.ending == .exited(code: 0))
            #expect(Set(output.split(separator: "\n")) == ["out", "err", "tail"])
            #expect(status.usage.cpuMicroseconds > 0 && status.usage.memoryPeakBytes > 0 && status.usage.logBytes > 0)
        }
    }

    @Test func anInitReportsTheTrueSignalAndReaps() async throws {
        try await EngineFixture.with { fixture in
            let killed = try await fixture.run(EngineFixture.shell("kill -9 $$", { $0.initProcess = true }))
            #expect(killed.status.ending == .signaled(number: 9))
            // Orphans become children of pid 1, which must wait for them.
            let zombies = try await fixture.run(
                EngineFixture.shell(
                    "for i in 1 2 3 4 5 6 7 8; do (sh -c 'exit 0' &) ; done; sleep 0.3; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l",
                    { $0.initProcess = true }))
            #expect(zombies.output == "0")
        }
    }

    @Test func hasOnlyItsThreeDescriptors() async throws {
        try await EngineFixture.with { fixture in
            let leak = open("/etc/passwd", O_RDONLY)
            defer { close(leak) }
            let (_, output, _) = try await fixture.run(EngineFixture.shell("ls /proc/$$/fd"))
            #expect(output == "0\n1\n2")
        }
    }

    @Test func startsWithAnEmptyEnvironment() async throws {
        try await EngineFixture.with { fixture in
            setenv("CANARY", "leaked", 1)
            defer { unsetenv("CANARY") }
            let (_, output, _) = try await fixture.run(EngineFixture.shell("env | cut -d= -f1 | sort", { $0.environment = ["OWN": EnvironmentValue("x")] }))
            #expect(!output.contains("CANARY") && output.contains("OWN") && output.contains("BERTH_RUN_ID"))
        }
    }

    /// The daemon's own protection from the kernel's choice must not be inherited.
    @Test func isNotProtectedWhenTheHostRunsOutOfMemory() async throws {
        try await EngineFixture.with { fixture in
            let before = try String(contentsOfFile: "/proc/self/oom_score_adj", encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            // Some machines let nobody lower it; there the container has what we have.
            let lowered = (try? HostFile.put("-500", to: "/proc/self/oom_score_adj")) != nil
            defer { try? HostFile.put(before, to: "/proc/self/oom_score_adj") }
            #expect(try await fixture.run(EngineFixture.shell("cat /proc/self/oom_score_adj")).output == (lowered ? "0" : before))
        }
    }

    @Test func cannotTouchTheHost() async throws {
        try await EngineFixture.with { fixture in
            let canary = "/root/berth-canary-\(getpid())"
            let script = """
                try() { if "$@" >/dev/null 2>&1; then echo "ESCAPED: $*"; fi; }
                try mount -t tmpfs none /mnt
                try sh -c 'echo 1 > /proc/sys/kernel/panic'
                try sh -c 'echo b > /proc/sysrq-trigger'
                try sh -c 'echo 1 > /sys/kernel/mm/ksm/run'
                try mknod /tmp/disk b 254 0
                try python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'
                try python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'
                try unshare -m true
                try unshare -U true
                try chroot /proc/1/root /bin/ls /nowhere
                try chmod 600 /dev/null
                try dd if=/dev/vda of=/dev/null count=1
                try cat /proc/kcore
                try ls \(fixture.scratch.path)/state/logs
                try kill -0 \(getpid())
                try python3 -c 'import ctypes; import sys; sys.exit(0 if ctypes.CDLL(None).syscall(169, 0xfee1dead, 672274793, 0, 0) == 0 else 1)'
                try date -s 2000-01-01
                try sh -c 'echo 0 > /sys/fs/cgroup/memory.max'
                echo canary > \(canary)
                cat \(canary)
                """
            let (status, output, _) = try await fixture.run(EngineFixture.shell(script))
            #expect(output == "canary", "\(output)")
            #expect(status.ending == .exited(code: 0))
            // What it wrote went with it.
            #expect(!FileManager.default.fileExists(atPath: canary))
        }
    }

    @Test func hasFewCapabilitiesNoNewPrivilegesAndAFilter() async throws {
        try await EngineFixture.with { fixture in
            let (_, output, _) = try await fixture.run(
                EngineFixture.shell("grep -E '^(CapEff|CapBnd|CapPrm|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'"))
            #expect(
                output
                    == "CapInh:0000000000000000\nCapPrm:00000000800405fb\nCapEff:00000000800405fb\nCapBnd:00000000800405fb\nCapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:2"
            )
            let plain = try await fixture.run(
                EngineFixture.shell(
                    "grep -E '^(CapEff|CapBnd):' /proc/self/status | tr -d '\\t'; id -u; id -G; grep -o 'Groups:.*[0-9]' /proc/self/status | tr -d '\\t'",
                    { $0.user = "1000:1001" }))
            #expect(plain.output == "CapEff:0000000000000000\nCapBnd:00000000800405fb\n1000\n1001\nGroups:1001")
        }
    }

    #if arch(x86_64)
        /// Calls that Docker's default profile refuses (compared call by call with Docker 20.10 on the same kernel), by number,
        /// and what they answer; and some that must work.
        @Test func refusesTheCallsThatDockersDefaultRefuses() async throws {
            try await EngineFixture.with { fixture in
                let refused = [
                    "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "iopl": 172, "init_module": 175, "acct": 163, "quotactl": 179,
                    "kexec_load": 246,
                    "add_key": 248, "keyctl": 250, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308,
                    "kcmp": 312, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "open_tree": 428, "fsopen": 430,
                    "mount_setattr": 442,
                ]
                let script = """
                    import ctypes, os, sys
                    libc = ctypes.CDLL(None, use_errno=True)
                    def answer(number, *arguments):
                        ctypes.set_errno(0)
                        return 0 if libc.syscall(number, *arguments) >= 0 else ctypes.get_errno()
                    for number in [\(refused.values.sorted().map(String.init).joined(separator: ", "))]:
                        code = answer(number, -1, -1, -1, -1, -1, -1)
                        if code != 1: print("call", number, "answers", code)
                    # No such call, so that a libc goes on without it: clone3, and what is newer than the list.
                    for number in (435, 600):
                        if answer(number, -1, -1, -1, -1, -1, -1) != 38: print("call", number, "is not unknown")
                    # A socket to the host's hypervisor, a personality that takes protections away.
                    if answer(41, 40, 1, 0) != 1: print("vsock")
                    if answer(135, 0x0040000) != 1: print("personality")
                    if answer(39) != 0 or answer(135, ctypes.c_ulong(0xffffffff)) != 0: print("getpid and personality must work")
                    """
                var container = ContainerSpec(root: .host)
                container.command = ["python3", "-c", script]
                let (status, output, _) = try await fixture.run(container)
                #expect(status.ending == .exited(code: 0) && output.isEmpty, "\(output)")
            }
        }
    #endif

    @Test func staysWithinItsMemory() async throws {
        try await EngineFixture.with { fixture in
            var hog = ContainerSpec(root: .host)
            hog.command = ["python3", "-c", "x = b'x' * 200_000_000; print(len(x))"]
            hog.limits.memoryBytes = 32 << 20
            let (status, _, _) = try await fixture.run(hog)
            #expect(status.outcome(successCodes: [0]) == .oomKilled)
            #expect(status.usage.memoryPeakBytes > 24 << 20 && status.usage.memoryPeakBytes <= 33 << 20)
            // The same end without the kernel's doing has another name.
            let killed = try await fixture.run(EngineFixture.shell("kill -9 $$", { $0.initProcess = true }))
            #expect(killed.status.outcome(successCodes: [0]) == .failed)
        }
    }

    @Test func limitsThatWouldNotHoldAreRefused() {
        var limits = ResourceLimits()
        #expect(CgroupHost.problem(with: limits, missing: ["memory", "cpu", "pids"]) == nil)
        limits.memoryBytes = 64 << 20
        #expect(CgroupHost.problem(with: limits, missing: ["memory"])?.contains("'mem_limit' cannot be kept") == true)
        #expect(CgroupHost.problem(with: limits, missing: ["cpu"]) == nil)
        limits.cpuMillis = 500
        #expect(CgroupHost.problem(with: limits, missing: ["cpu"])?.contains("'cpus'") == true && CgroupHost.problem(with: limits, missing: []) == nil)
    }

    @Test func aForkBombHarmsNobody() async throws {
        try await EngineFixture.with { fixture in
            var bomb = EngineFixture.shell(":() { : | : & }; :; sleep 1", { $0.limits.pids = 64 })
            bomb.command = ["bash", "-c", "b() { b | b & }; b 2>/dev/null; sleep 1; exit 0"]
            let request = await fixture.request(bomb, timeout: .seconds(3))
            _ = try await fixture.engine.launch(request)
            // Another container starts and ends while the bomb goes off.
            #expect(try await fixture.run(EngineFixture.shell("exit 0")).status.ending == .exited(code: 0))
            _ = try await fixture.end(of: request.id)
            await fixture.engine.settle(request.id)
        }
    }

    @Test func burnsHalfAProcessorWhenToldTo() async throws {
        try await EngineFixture.with { fixture in
            let (status, _, _) = try await fixture.run(
                EngineFixture.shell("end=$(($(date +%s%N) + 1500000000)); while [ $(date +%s%N) -lt $end ]; do :; done", { $0.limits.cpuMillis = 500 }))
            let took = (status.finishedAt - (status.startedAt ?? status.finishedAt)).wholeMilliseconds
            let used = status.usage.cpuMicroseconds / 1000
            // One period of 100 ms more or less at either end.
            #expect(used <= took / 2 + 150, "used \(used) ms in \(took) ms")
        }
    }

    @Test func whatIgnoresTermIsKilledAfterItsGrace() async throws {
        try await EngineFixture.with { fixture in
            let stubborn = EngineFixture.shell("trap '' TERM; echo ready; while :; do sleep 1; done", { $0.stopGracePeriod = .milliseconds(300) })
            let request = await fixture.request(stubborn)
            _ = try await fixture.engine.launch(request)
            while await fixture.text(request) != "ready" { try await Task.sleep(for: .milliseconds(10)) }
            await fixture.engine.stop(request.id)
            let status = try await fixture.end(of: request.id)
            #expect(status.killed && status.stopRequested && status.outcome(successCodes: [0]) == .stopped)
            await fixture.engine.settle(request.id)
        }
    }

    @Test func aTimeoutEndsTheWholeTree() async throws {
        try await EngineFixture.with { fixture in
            let (status, _, _) = try await fixture.run(
                EngineFixture.shell("sleep 100 & sleep 100 & wait", { $0.initProcess = true }), timeout: .milliseconds(300))
            #expect(status.timedOut && status.outcome(successCodes: [0]) == .timedOut)
        }
    }

    @Test func aCommandThatIsNotThereIsAStartError() async throws {
        try await EngineFixture.with { fixture in
            var container = ContainerSpec(root: .host)
            container.command = ["no-such-program"]
            let (status, _, _) = try await fixture.run(container)
            #expect(status.ending == .startError("command 'no-such-program' is not in the PATH of the root file system"))
            container.command = ["sh"]
            container.user = "nobody-of-that-name"
            let request = await fixture.request(container)
            await #expect { try await fixture.engine.launch(request) } throws: { "\($0)".contains("is not in the root file system's /etc/passwd") }
        }
    }

    @Test func aFloodOfLogIsCappedAndCounted() async throws {
        try await EngineFixture.with { fixture in
            // 40 MB of lines against a cap of 16 MiB: head and tail stay, and what went is told.
            let (status, output, run) = try await fixture.run(EngineFixture.shell("seq -f 'line %.0f ........................................' 1 700000"))
            let lines = output.split(separator: "\n")
            #expect(lines.first == "line 1 ........................................")
            #expect(lines.last == "line 700000 ........................................")
            #expect(status.usage.logDroppedBytes > 0)
            let log = await fixture.engine.log(of: run.id, workload: run.workload)
            #expect(log.droppedBytes == status.usage.logDroppedBytes)
            #expect(Int64(lines.count) + log.droppedLines == 700_000)
        }
    }

    @Test func longLinesAreCutIntoPieces() async throws {
        try await EngineFixture.with { fixture in
            let request = await fixture.request(EngineFixture.shell("head -c 50000 /dev/zero | tr '\\0' x; echo; echo end"))
            _ = try await fixture.engine.launch(request)
            _ = try await fixture.end(of: request.id)
            let log = await fixture.engine.log(of: request.id, workload: request.workload)
            let lines = try String(contentsOfFile: log.files[0], encoding: .utf8).split(separator: "\n")
            #expect(lines.map { $0.split(separator: " ")[2] } == ["P", "P", "P", "F", "F"])
            #expect(lines.dropLast().map { $0.split(separator: " ")[3].count }.reduce(0, +) == 50000)
            await fixture.engine.settle(request.id)
        }
    }

    @Test func volumesStayAndBindsAreReadOnlyWhenAsked() async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("in/file", "given")
            func container(_ script: String) -> ContainerSpec {
                EngineFixture.shell(script) {
                    $0.mounts = [
                        VolumeMount(source: .volume("data"), target: "/data", readOnly: false),
                        VolumeMount(source: .bind("\(fixture.scratch.path)/in"), target: "/in", readOnly: true),
                    ]
                    $0.temporaryFileSystems = [TemporaryFileSystem(target: "/quick", sizeBytes: 1 << 20, mode: 0o700)]
                }
            }
            _ = try await fixture.run(container("cat /in/file > /data/kept; echo >> /data/kept; touch /in/no 2>/dev/null && echo WROTE; touch /quick/x"))
            let (_, output, _) = try await fixture.run(container("cat /data/kept; ls /in /quick"))
            #expect(output == "given\n/in:\nfile\n\n/quick:")
        }
    }

    @Test func placesOfTheSandboxAreMountedOnByName() async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("in/file", "given")
            let targets = ["/sys/fs/cgroup", "/sys/kernel", "/dev/disk", "/dev/serial/by-id"]
            let container = EngineFixture.shell(
                "cat \(targets.map { "\($0)/file" }.joined(separator: " ")); echo > /sys/kernel/x && echo WROTE; ls /dev/pts/ptmx"
            ) {
                $0.privileged = true
                $0.mounts = targets.map { VolumeMount(source: .bind("\(fixture.scratch.path)/in"), target: $0, readOnly: true) }
            }
            let (_, output, _) = try await fixture.run(container)
            #expect(output.contains("givengivengivengiven/dev/pts/ptmx") && !output.contains("WROTE"), "\(output)")
        }
    }

    @Test func aFileSystemInMemoryIsAsItIsDescribed() async throws {
        try await EngineFixture.with { fixture in
            let container = EngineFixture.shell(
                "for d in /plain /owned /read; do cp /bin/true $d/true 2>/dev/null && $d/true && echo $d runs; stat -c '%n %a %u %g' $d; done 2>/dev/null; cd /owned; touch 1 2 3 4 5 6 2>/dev/null; ls | wc -l"
            ) {
                var owned = TemporaryFileSystem(target: "/owned", sizeBytes: 1 << 20, mode: 0o750)
                (owned.isExecutable, owned.owner, owned.group, owned.mostFiles) = (true, 1000, 1001, 5)
                var read = TemporaryFileSystem(target: "/read", sizeBytes: nil)
                read.isReadOnly = true
                $0.temporaryFileSystems = [TemporaryFileSystem(target: "/plain", sizeBytes: 1 << 20), owned, read]
            }
            let (_, output, _) = try await fixture.run(container)
            #expect(output == "/plain 1777 0 0\n/owned runs\n/owned 750 1000 1001\n/read 1777 0 0\n4")
        }
    }

    @Test func aWorkingDirectoryIsMadeWhoeverTheUserIs() async throws {
        try await EngineFixture.with { fixture in
            let container = EngineFixture.shell("pwd; id -u") {
                $0.workingDirectory = "/work/here"
                $0.user = "1000"
            }
            let (_, output, _) = try await fixture.run(container)
            #expect(output == "/work/here\n1000")
            let escape = EngineFixture.shell("pwd") { $0.workingDirectory = "/proc/self/fd/3" }
            let request = await fixture.request(escape)
            await #expect { try await fixture.engine.launch(request) } throws: { "\($0)".contains("working directory") }
        }
    }

    @Test func aReadOnlyRootIsReadOnly() async throws {
        try await EngineFixture.with { fixture in
            let (_, output, _) = try await fixture.run(EngineFixture.shell("touch /x 2>/dev/null && echo WROTE; echo done", { $0.readOnlyRoot = true }))
            #expect(output == "done")
        }
    }

    /// A root file system that turns the sandbox's own directories into links out of it.
    @Test(arguments: ["dev", "proc", "sys"]) func aHostileRootIsRefused(name: String) async throws {
        try await EngineFixture.with { fixture in
            let root = "\(fixture.scratch.path)/root"
            let target = "\(fixture.scratch.path)/victim"
            for path in ["\(root)/bin", target] { try HostFile.makeDirectories(path, mode: 0o755) }
            symlink("../victim", "\(root)/\(name)")
            var container = ContainerSpec(root: .directory(root))
            container.command = ["/bin/true"]
            let request = await fixture.request(container)
            await #expect { try await fixture.engine.launch(request) } throws: { "\($0)".contains("is not a directory but a link or a file: refused") }
            #expect(HostFile.names(in: target).isEmpty)
        }
    }

    @Test(.enabled(if: Requirement.path(of: "busybox") != nil || Requirement.strict, "needs busybox"))
    func aLinkAsAMountTargetStaysInside() async throws {
        try await EngineFixture.with { fixture in
            let root = "\(fixture.scratch.path)/root"
            try HostFile.makeDirectories("\(root)/bin", mode: 0o755)
            try FileManager.default.copyItem(atPath: Requirement.path(of: "busybox") ?? "/bin/busybox", toPath: "\(root)/bin/sh")
            // As the root of the container sees it, this is /escape inside.
            symlink("/escape", "\(root)/data")
            symlink("/proc/self/fd", "\(root)/magic")
            var container = ContainerSpec(root: .directory(root))
            container.command = ["/bin/sh", "-c", "echo here > /data/file; echo kept"]
            container.mounts = [VolumeMount(source: .volume("v"), target: "/data", readOnly: false)]
            // The link's target is made inside the root file system.
            let made = try await fixture.run(container)
            #expect(made.output == "kept", "\(made.status)")
            #expect(!FileManager.default.fileExists(atPath: "/escape"))
        }
    }

    @Test func aShimThatIsKilledIsALostRun() async throws {
        try await EngineFixture.with { fixture in
            let request = await fixture.request(EngineFixture.shell("sleep 0.5; exit 0"))
            _ = try await fixture.engine.launch(request)
            let facts = try #require(RunDirectory(path: fixture.engine.paths.run(request.id)).facts)
            kill(facts.shim, SIGKILL)
            // Its container lives on, and its end is an end that nobody saw.
            let status = try await fixture.end(of: request.id)
            guard case .lost = status.ending else {
                Issue.record("\(status)")
                return
            }
            #expect(status.outcome(successCodes: [0]) == .lost)
            await fixture.engine.settle(request.id)
        }
    }

    /// The fork server is killed before a launch or during one: another takes its place, and what runs goes on under its shim.
    @Test(arguments: [false, true]) func aForkServerThatDiesIsReplaced(duringALaunch: Bool) async throws {
        try await EngineFixture.with { fixture in
            let first = await fixture.request(EngineFixture.shell("trap 'exit 7' TERM; while :; do sleep 0.05; done"))
            _ = try await fixture.engine.launch(first)
            let server = try #require(fixture.engine.shims.process)
            let second = await fixture.request(EngineFixture.shell("echo here"))
            if duringALaunch {
                kill(server, SIGSTOP)
                async let launched = fixture.engine.launch(second)
                let directory = fixture.engine.paths.run(second.id)
                while !HostFile.exists("\(directory)/note") { try await Task.sleep(for: .milliseconds(1)) }
                kill(server, SIGKILL)
                _ = try await launched
            } else {
                kill(server, SIGKILL)
                _ = try await fixture.engine.launch(second)
            }
            #expect(fixture.engine.shims.process != server)
            // As `ps` shows them.
            let shim = try #require(RunDirectory(path: fixture.engine.paths.run(first.id)).facts?.shim)
            #expect(try HostFile.text("/proc/\(shim)/cmdline").hasPrefix("berth-shim\0run\0"))
            #expect(try HostFile.text("/proc/\(shim)/comm") == "berth-shim\n")
            #expect(try await fixture.end(of: second.id).ending == .exited(code: 0))
            #expect(await fixture.text(second) == "here")
            await fixture.engine.stop(first.id)
            let status = try await fixture.end(of: first.id)
            #expect(status.ending == .exited(code: 7) && status.stopRequested)
            for run in [first, second] { await fixture.engine.settle(run.id) }
        }
    }

    /// A fork server that hangs delays one launch only.
    @Test func aForkServerThatHangsIsReplaced() async throws {
        try await EngineFixture.with { fixture in
            _ = try await fixture.run(EngineFixture.shell("true"))
            let server = try #require(fixture.engine.shims.process)
            kill(server, SIGSTOP)
            let (control, pidfd) = try fixture.engine.shims.shim(timeout: .seconds(1))
            #expect(fixture.engine.shims.process != server && kill(server, 0) != 0)
            // Nobody tells it what to run: it ends.
            close(control)
            var ended = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            #expect(poll(&ended, 1, 10_000) == 1)
            close(pidfd)
            let after = try await fixture.run(EngineFixture.shell("echo on"))
            #expect(after.output == "on")
        }
    }

    /// A run whose shim is gone is stopped with its signal and within its grace, and ends at its time limit: by this daemon and the next.
    @Test(arguments: [false, true], [false, true]) func aRunWithoutAShimIsStoppedInOrder(adopted: Bool, byTime: Bool) async throws {
        try await EngineFixture.with { fixture in
            let script = "trap 'echo asked > /v/end; sleep 0.3; echo done >> /v/end; exit 0' USR1; while :; do sleep 0.05; done"
            let container = EngineFixture.shell(script) {
                $0.mounts = [VolumeMount(source: .volume("v"), target: "/v", readOnly: false)]
                $0.stopSignal = SIGUSR1
                $0.initProcess = true
            }
            let request = await fixture.request(container, timeout: byTime ? .seconds(2) : nil)
            _ = try await fixture.engine.launch(request)
            let directory = RunDirectory(path: fixture.engine.paths.run(request.id))
            var engine = fixture.engine
            if adopted {
                // The first daemon is gone.
                engine.watches.withLock { $0.removeValue(forKey: request.id) }?.source.cancel()
                engine.forget(request.id)
                engine = try NativeEngine(
                    paths: fixture.engine.paths, cgroupName: fixture.groupName, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
            kill(try #require(directory.facts).shim, SIGKILL)
            #expect(directory.waitUntilUnlocked(milliseconds: 5000))
            if adopted {
                guard case .alive = try await engine.observe()[request.id] else {
                    Issue.record("it is not adopted")
                    return
                }
            }
            if !byTime { await engine.stop(request.id) }
            let status: WorkloadModel.ExitStatus
            if adopted {
                var ends = engine.exits.makeAsyncIterator()
                status = try #require(await ends.next()).status
            } else {
                status = try await fixture.end(of: request.id)
            }
            #expect(status.timedOut == byTime && status.stopRequested == !byTime && !status.killed, "\(status)")
            guard case .lost = status.ending else {
                Issue.record("\(status)")
                return
            }
            let volume = fixture.engine.paths.volume("v", of: request.workload.project)
            #expect(try HostFile.text("\(volume)/end") == "asked\ndone\n")
            await engine.settle(request.id)
        }
    }

    /// What minds no stop signal is killed when its grace is over, also without a shim.
    @Test func aRunWithoutAShimIsKilledAfterItsGrace() async throws {
        try await EngineFixture.with { fixture in
            let request = await fixture.request(EngineFixture.shell("trap '' TERM; while :; do sleep 0.05; done") { $0.stopGracePeriod = .milliseconds(700) })
            _ = try await fixture.engine.launch(request)
            kill(try #require(RunDirectory(path: fixture.engine.paths.run(request.id)).facts).shim, SIGKILL)
            let start = ContinuousClock.now
            await fixture.engine.stop(request.id)
            let status = try await fixture.end(of: request.id)
            #expect(status.killed && status.stopRequested && .now - start >= .milliseconds(600), "\(status)")
            await fixture.engine.settle(request.id)
        }
    }

    /// The log outlives the shim: what a program writes does not fail for want of a reader, and is in the log in its order.
    @Test(arguments: [false, true]) func theLogOutlivesTheShim(initProcess: Bool) async throws {
        try await EngineFixture.with { fixture in
            // More than a pipe holds, and more than a piece of the log: nobody reads for a while.
            let script =
                "i=0; while [ $i -lt 40000 ]; do i=$((i + 1)); echo line $i || exit 9; [ $i = 100 ] && sleep 1; done; echo last >&2; echo done > /v/end; sleep 1000"
            let container = EngineFixture.shell(script) {
                $0.mounts = [VolumeMount(source: .volume("v"), target: "/v", readOnly: false)]
                $0.initProcess = initProcess
                $0.stopGracePeriod = .zero
                $0.logBytes = 4 << 20
            }
            let request = await fixture.request(container)
            _ = try await fixture.engine.launch(request)
            kill(try #require(RunDirectory(path: fixture.engine.paths.run(request.id)).facts).shim, SIGKILL)
            let end = "\(fixture.engine.paths.volume("v", of: request.workload.project))/end"
            for _ in 0..<3000 where !HostFile.exists(end) { try await Task.sleep(for: .milliseconds(10)) }
            #expect(HostFile.exists(end))
            await fixture.engine.stop(request.id)
            _ = try await fixture.end(of: request.id)
            func log() async -> [Substring] { await fixture.text(request).split(separator: "\n") }
            var lines = await log()
            let deadline = ContinuousClock.now + .seconds(20)
            while lines.count < 40_001, .now < deadline {
                try await Task.sleep(for: .milliseconds(50))
                lines = await log()
            }
            #expect(lines.filter { $0.hasPrefix("line ") }.elementsEqual((1...40_000).map { "line \($0)" }))
            #expect(lines.contains("last") && lines.count == 40_001)
            await fixture.engine.settle(request.id)
        }
    }

    @Test func aSecondEngineAdoptsWhatTheFirstLeft() async throws {
        try await EngineFixture.with { fixture in
            let long = await fixture.request(EngineFixture.shell("sleep 0.7; exit 5"))
            let short = await fixture.request(EngineFixture.shell("exit 3"))
            _ = try await fixture.engine.launch(long)
            _ = try await fixture.engine.launch(short)
            _ = try await fixture.end(of: short.id)
            let second = try NativeEngine(
                paths: fixture.engine.paths, cgroupName: fixture.groupName, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let found = try await second.observe()
            guard case .alive = found[long.id], case .exited(let status) = found[short.id] else {
                Issue.record("\(found)")
                return
            }
            #expect(status.ending == .exited(code: 3))
            for await exit in second.exits {
                #expect(exit.run == long.id && exit.status.ending == .exited(code: 5))
                break
            }
            // A launch of what was launched before starts nothing.
            _ = try await second.launch(long)
            for run in [long.id, short.id] { await second.settle(run) }
        }
    }

    @Test(
        arguments: [("SIGTERM", 15), ("15", 15), ("SIGRTMIN+3", 37), ("SIGRTMIN+2147483647", nil), ("SIGRTMIN+-100", nil), ("99", nil), ("", nil)]
            as [(String, Int32?)])
    func readsAnImagesStopSignalWithCare(_ text: String, _ number: Int32?) {
        #expect(SignalName.number(text) == number)
    }

    @Test func aRootThatHoldsBerthsOwnFilesIsRefused() async throws {
        try await EngineFixture.with { fixture in
            var container = ContainerSpec(root: .directory(fixture.scratch.path))
            container.command = ["/bin/true"]
            let request = await fixture.request(container)
            await #expect { try await fixture.engine.launch(request) } throws: { "\($0)".contains("holds Berth's own files") }
        }
    }

    @Test func strangeThingsAmongTheRunsArePutAside() async throws {
        try await EngineFixture.with { fixture in
            try HostFile.makeDirectories("\(fixture.scratch.path)/run/runs/not-a-run")
            #expect(try await fixture.engine.observe().isEmpty)
            #expect(HostFile.names(in: "\(fixture.scratch.path)/run/quarantine").count == 1)
        }
    }

    @Test(arguments: [
        "", "1", "abc", "berth-exit 1\nend\n", "berth-exit 1\nhow=exited\nstatus=999\nfinished_ns=1\nend\n",
        "berth-exit 1\nrun=x\nhow=exited\nstatus=0\nfinished_ns=1\n",
    ])
    func aTornExitRecordIsALostRun(text: String) throws {
        let scratch = Scratch("record")
        scratch.write("exit", text)
        let status = RunDirectory(path: scratch.path).exitStatus(now: WallClock.now())
        guard case .lost = status?.ending else {
            Issue.record("\(String(describing: status))")
            return
        }
    }

    @Test func anExitRecordThatIsALinkOrAPipeIsALostRun() {
        for make in [
            { (path: String) in _ = symlink("/etc/passwd", path) }, { (path: String) in _ = mkfifo(path, 0o600) }, { (path: String) in _ = mkdir(path, 0o700) },
        ] {
            let scratch = Scratch("record")
            make("\(scratch.path)/exit")
            guard case .lost = RunDirectory(path: scratch.path).exitStatus(now: WallClock.now())?.ending else {
                Issue.record("it was believed")
                return
            }
        }
    }

    /// Of all logs together the oldest go, and never what a run writes on.
    @Test func theOldestLogsGoWhereAllTakeTooMuch() async throws {
        try await EngineFixture.with { it in
            let workload = Make.id("it")
            let live = await it.request(EngineFixture.shell("echo begun; exec sleep 1000", { $0.initProcess = true }))
            _ = try await it.engine.launch(live)
            var runs: [RunID] = []
            for number in 0..<10 {
                let run = RunID(now: WallClock.now() + .seconds(number), random: 7)
                runs.append(run)
                for ending in ["log", "log.3"] {
                    it.scratch.write("state/logs/\(workload.project)/\(workload.name)/\(run).\(ending)", String(repeating: "x", count: 50_000))
                }
            }
            let all = await it.engine.logBytes().used
            #expect(all >= 1_000_000)
            it.engine.trimLogs(to: all)
            #expect(await it.engine.logBytes().used == all)
            it.engine.trimLogs(to: all / 2)
            let left = await it.engine.logBytes().used
            #expect(left <= all / 2 && left > all / 4)
            var kept: [Bool] = []
            for run in runs { kept.append(await it.engine.log(of: run, workload: workload).files.count == 2) }
            #expect(!kept[0] && kept[9] && kept == kept.sorted { !$0 && $1 })
            #expect(await it.engine.log(of: live.id, workload: live.workload).files.count == 1)
            await it.engine.stop(live.id)
            _ = try await it.end(of: live.id)
            await it.engine.settle(live.id)
        }
    }

    /// A process is known by its number and its start.
    @Test func aNumberThatIsUsedAgainIsNobodys() async throws {
        let start = try #require(HostProcess.startTime(getpid()))
        #expect(HostProcess.isAlive(getpid(), start: start) && !HostProcess.isAlive(getpid(), start: start + 1))
        try await EngineFixture.with { it in
            // The facts of a run name this process, which has taken the number of one that is gone.
            let request = await it.request(EngineFixture.shell("exit 0"))
            let directory = "\(it.scratch.path)/run/runs/\(request.id)"
            try HostFile.makeDirectories(directory)
            let facts = [
                "berth-shim 1", "boot=\(it.engine.bootID)", "shim=\(getpid())", "shim_start=\(start + 1)", "container=\(getpid())",
                "container_start=\(start + 1)", "end",
            ]
            it.scratch.write("run/runs/\(request.id)/shim", facts.joined(separator: "\n") + "\n")
            it.scratch.write("run/runs/\(request.id)/started", "1\n")
            let found = try await it.engine.observe()[request.id]
            guard case .exited(let status) = found, case .lost = status.ending else {
                Issue.record("\(String(describing: found))")
                return
            }
            await it.engine.stop(request.id)
            await it.engine.settle(request.id)
        }
    }

    @Test func aShimThatIsNoProgramIsAStartError() async throws {
        let scratch = Scratch("shim")
        let paths = EnginePaths(state: "\(scratch.path)/state", runtime: "\(scratch.path)/run", shim: "\(scratch.path)/none")
        #expect(throws: EngineError.self) { try EngineFixture(paths: paths) }
        for content in ["\u{7f}ELF not for this machine", "#!/bin/sh\necho garbage\n"] {
            scratch.write("shim", content)
            chmod("\(scratch.path)/shim", 0o755)
            try await EngineFixture.with(
                paths: EnginePaths(state: "\(scratch.path)/state", runtime: "\(scratch.path)/run", shim: "\(scratch.path)/shim")
            ) { it in
                let request = await it.request(EngineFixture.shell("exit 0"))
                await #expect(throws: EngineError.self, "\(content)") { try await it.engine.launch(request) }
                #expect(HostFile.names(in: "\(scratch.path)/run/runs").isEmpty)
            }
        }
    }
}
