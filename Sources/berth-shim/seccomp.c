/* The system calls of a container: an allow-list as Docker's default profile has it (moby/profiles, seccomp, autumn of 2026).
 * Compiled once by libseccomp, and kept by the daemon. Where it differs, and why:
 *
 *   socketcall      refused, Docker lets it through: it hides a socket's family behind a pointer that a filter cannot read, and
 *                   Docker leaves that to AppArmor or SELinux, which not every host has. Programs for 32 bits whose C library
 *                   knows no other way have it back by `security_opt: [seccomp=socketcall]`.
 *   socket          the same families, but compared by the 32 bits that the kernel reads: by 64 bits, as libseccomp compares,
 *                   a family with a bit above those would not be the one that is refused.
 *   open_by_handle_at  refused, Docker gives it with DAC_READ_SEARCH: by it every file of a disk is in reach of whoever has one
 *                   mount of that disk, as /etc/hosts is one. Backup programs, which the capability is for, read files by name.
 *   ioctl           where a container's writable layer has a limit, FS_IOC_FSSETXATTR and FS_IOC_SETFLAGS are not there (ENOTTY):
 *                   with them the container's root takes files out of the project that is counted.
 *   x32             no such call (Docker: as for 64 bits): no distribution has programs for it.
 *   clone3, and what is newer than this list: no such call, as with Docker, so that a C library goes on without it. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALWAYS \
    "accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 " \
    "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect " \
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait " \
    "epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate " \
    "fanotify_mark fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork " \
    "fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_time64 " \
    "futex_waitv futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 " \
    "getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid " \
    "getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 " \
    "getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents " \
    "io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset " \
    "landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat " \
    "lstat64 madvise membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap " \
    "mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink " \
    "mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat _newselect open " \
    "openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl " \
    "name_to_handle_at pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 " \
    "ptrace pwrite64 riscv_flush_icache riscv_hwprobe " \
    "pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages " \
    "removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo " \
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam " \
    "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 " \
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop " \
    "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups " \
    "setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 " \
    "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr shmat shmctl shmdt shmget " \
    "shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketpair splice stat stat64 statfs statfs64 statx symlink " \
    "symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime " \
    "timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 " \
    "times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 " \
    "waitid waitpid write writev arch_prctl modify_ldt"

/* Calls that a capability brings with it. */
static const struct { int capability; const char *names; } by_capability[] = {
    { CAP_SYS_ADMIN, "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree "
                     "perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare" },
    { CAP_SYS_BOOT, "reboot" },
    { CAP_SYS_CHROOT, "chroot" },
    { CAP_SYS_MODULE, "delete_module init_module finit_module" },
    { CAP_SYS_PACCT, "acct" },
    { CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise" },
    { CAP_SYS_RAWIO, "iopl ioperm" },
    { CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64" },
    { CAP_SYS_TTY_CONFIG, "vhangup" },
    { CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
    { CAP_SYSLOG, "syslog" },
    { CAP_BPF, "bpf" },
    { CAP_PERFMON, "perf_event_open" },
};

/* Allowed calls that are newer than Debian 12's libseccomp, ascending by number: since 424 all machines share the numbers. */
static const uint32_t late[] = {
    451, /* cachestat */ 452, /* fchmodat2 */ 453, /* map_shadow_stack */ 454, /* futex_wake */ 455, /* futex_wait */ 456, /* futex_requeue */
    457, /* statmount */ 458, /* listmount */ 462, /* mseal */ 463, /* setxattrat */ 464, /* getxattrat */ 465, /* listxattrat */ 466, /* removexattrat */
};

/* Families of sockets. Not: the kernel's crypto (AF_ALG, CVE-2026-31431), virtual machines (AF_VSOCK, which reaches past the
 * network namespace), and those that kernels have dropped. */
static const uint32_t families[] = {
    AF_UNIX, AF_INET, AF_AX25, AF_IPX, AF_APPLETALK, AF_NETROM, AF_BRIDGE, AF_ATMPVC, AF_X25, AF_INET6, AF_ROSE, AF_NETBEUI, AF_SECURITY, AF_KEY,
    AF_NETLINK, AF_PACKET, AF_ASH, AF_RDS, AF_SNA, AF_PPPOX, AF_LLC, AF_IB, AF_MPLS, AF_CAN, AF_TIPC, AF_BLUETOOTH, AF_IUCV, AF_RXRPC, AF_PHONET,
    AF_IEEE802154, AF_NFC, AF_KCM, AF_QIPCRTR, AF_SMC, AF_XDP, 45 /* AF_MCTP */,
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Allows every name of a list that this libseccomp knows; remembers the highest number. */
static int allow(scmp_filter_ctx filter, const char *names, int *highest)
{
    char name[64];
    for (const char *at = names; *at;) {
        size_t length = 0;
        while (at[length] && at[length] != ' ') length++;
        if (length >= sizeof name) return -EINVAL;
        for (size_t i = 0; i < length; i++) name[i] = at[i];
        name[length] = 0;
        at += length + (at[length] == ' ');
        int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) continue;
        if (number > *highest) *highest = number;
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (result < 0 && result != -EDOM && result != -EEXIST) return result;
    }
    return 0;
}

static int add_rules(scmp_filter_ctx filter, uint64_t capabilities, int *highest)
{
    static const uint32_t personalities[] = { 0x0, 0x0008, 0x20000, 0x20008, 0xffffffff };
    int result = allow(filter, ALWAYS, highest);
    for (size_t i = 0; result >= 0 && i < COUNT(by_capability); i++)
        if (capabilities >> by_capability[i].capability & 1) result = allow(filter, by_capability[i].names, highest);
    for (size_t i = 0; result >= 0 && i < COUNT(personalities); i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_EQ, personalities[i]));
    for (size_t i = 0; result >= 0 && i < COUNT(families); i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, families[i]));
    if (result >= 0 && !(capabilities >> CAP_SYS_ADMIN & 1)) {
        /* No new namespaces: the CLONE_NEW* bits. clone3 hides its flags in memory, so libc is sent back to clone. */
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, 0x7E020000, 0));
        if (result >= 0) result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return result;
}

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define COMPATIBLE AUDIT_ARCH_I386
#define SOCKETCALL 102u
#define IOCTL 16u
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define COMPATIBLE AUDIT_ARCH_ARM
#define SOCKETCALL 102u
#define IOCTL 29u
#else
#error "which machine's calls are filtered here?"
#endif

#define COMPATIBLE_IOCTL 54u

#define ANSWER(errnum) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errnum))
#define ALLOWED BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define UNLESS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)

/* Requests of ioctl that move a file between projects, or keep new files out of their directory's. The kernel reads 32 bits. */
static const uint32_t project_requests[] = { FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS };

static size_t refuse_projects(struct sock_filter *head, uint32_t arch, uint32_t number)
{
    size_t used = 0, requests = COUNT(project_requests);
    uint8_t rest = (uint8_t)(3 + 2 * requests);
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, rest);
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, (uint8_t)(rest - 2));
    /* The low half: both kinds of machine are little-endian. */
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]));
    for (size_t i = 0; i < requests; i++) {
        head[used++] = (struct sock_filter)UNLESS(project_requests[i]);
        head[used++] = (struct sock_filter)ANSWER(ENOTTY);
    }
    return used;
}

/* What libseccomp cannot say, before what it compiled. */
static size_t make_head(struct sock_filter *head, int highest, struct seccomp_options options)
{
    size_t used = 0;
    if (options.fixed_projects) {
        used += refuse_projects(head + used, NATIVE, IOCTL);
        used += refuse_projects(head + used, COMPATIBLE, COMPATIBLE_IOCTL);
    }
    if ((uint32_t)highest < late[COUNT(late) - 1]) highest = (int)late[COUNT(late) - 1];
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, COMPATIBLE, 0, 3);
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    head[used++] = (struct sock_filter)UNLESS(SOCKETCALL);
    head[used++] = options.socketcall ? (struct sock_filter)ALLOWED : (struct sock_filter)ANSWER(ENOSYS);
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 2, 0);
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, COMPATIBLE, 1, 0);
    head[used++] = (struct sock_filter)ANSWER(ENOSYS);
    head[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    /* A number below the lowest of these skips them: the kernel runs the filter once for each number when it loads it. */
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, late[0], 0, 2 * COUNT(late) + 2);
    for (size_t i = 0; i < COUNT(late); i++) {
        head[used++] = (struct sock_filter)UNLESS(late[i]);
        head[used++] = (struct sock_filter)ALLOWED;
    }
    head[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)highest, 0, 1);
    head[used++] = (struct sock_filter)ANSWER(ENOSYS);
    return used;
}

static int put_filter(int fd, int compiled, int highest, struct seccomp_options options, struct error *err)
{
    struct sock_filter head[96];
    size_t length = make_head(head, highest, options);
    char buffer[65536];
    off_t size = lseek(compiled, 0, SEEK_END);
    if (size <= 0 || size > (off_t)sizeof buffer || pread(compiled, buffer, (size_t)size, 0) != size) return fail(err, errno, "cannot read the compiled seccomp filter");
    if (write_all(fd, head, length * sizeof *head) < 0 || write_all(fd, buffer, (size_t)size) < 0) return fail(err, errno, "cannot write the seccomp filter");
    return 0;
}

int seccomp_write(int fd, uint64_t capabilities, struct seccomp_options options, struct error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) return fail(err, ENOMEM, "cannot make a seccomp filter");
    int highest = 0, result = 0, compiled = -1;
    result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (result >= 0) result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
#if defined(__x86_64__)
    if (result >= 0) result = seccomp_arch_add(filter, SCMP_ARCH_X86);
#elif defined(__aarch64__)
    if (result >= 0) result = seccomp_arch_add(filter, SCMP_ARCH_ARM);
#endif
    if (result >= 0) result = add_rules(filter, capabilities, &highest);
    if (result >= 0 && (compiled = memfd_create("seccomp", MFD_CLOEXEC)) < 0) result = -errno;
    if (result >= 0) result = seccomp_export_bpf(filter, compiled);
    seccomp_release(filter);
    if (result < 0) fail(err, -result, "cannot compile the seccomp filter");
    else result = put_filter(fd, compiled, highest, options, err);
    if (compiled >= 0) close(compiled);
    return result < 0 ? -1 : 0;
}
