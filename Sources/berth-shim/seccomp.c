/* The system calls of a container: an allow-list after the default profiles of Docker and Podman. Compared call by call with
 * Docker 20.10 it allows more only of newer, harmless calls (protection keys, landlock, cachestat, fchmodat2, futex calls),
 * and less (io_uring). Compiled once by libseccomp, and kept by the daemon. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALWAYS \
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 " \
    "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect " \
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait " \
    "epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate " \
    "fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork " \
    "fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 " \
    "futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 " \
    "getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid " \
    "getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 " \
    "getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents " \
    "io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset " \
    "landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat " \
    "lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap " \
    "mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink " \
    "mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat _newselect open " \
    "openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl " \
    "pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 ptrace pwrite64 " \
    "pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages " \
    "removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo " \
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam " \
    "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 " \
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop " \
    "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups " \
    "setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 " \
    "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr shmat shmctl shmdt shmget " \
    "shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx symlink " \
    "symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime " \
    "timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 " \
    "times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 " \
    "waitid waitpid write writev arch_prctl modify_ldt"

/* Calls that a capability brings with it. */
static const struct { int capability; const char *names; } by_capability[] = {
    { CAP_DAC_READ_SEARCH, "open_by_handle_at name_to_handle_at" },
    { CAP_SYS_ADMIN, "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree "
                     "perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare" },
    { CAP_SYS_BOOT, "reboot" },
    { CAP_SYS_CHROOT, "chroot" },
    { CAP_SYS_MODULE, "delete_module init_module finit_module" },
    { CAP_SYS_PACCT, "acct" },
    { CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev" },
    { CAP_SYS_RAWIO, "iopl ioperm" },
    { CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64" },
    { CAP_SYS_TTY_CONFIG, "vhangup" },
    { CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
    { CAP_SYSLOG, "syslog" },
    { CAP_BPF, "bpf" },
    { CAP_PERFMON, "perf_event_open" },
};

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
    for (size_t i = 0; result >= 0 && i < sizeof by_capability / sizeof *by_capability; i++)
        if (capabilities >> by_capability[i].capability & 1) result = allow(filter, by_capability[i].names, highest);
    for (size_t i = 0; result >= 0 && i < sizeof personalities / sizeof *personalities; i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_EQ, personalities[i]));
    /* Sockets of virtual machines (40) would reach past the network namespace. */
    if (result >= 0) result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, 40));
    if (result >= 0 && !(capabilities >> CAP_SYS_ADMIN & 1)) {
        /* No new namespaces: the CLONE_NEW* bits. clone3 hides its flags in memory, so libc is sent back to clone. */
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, 0x7E020000, 0));
        if (result >= 0) result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return result;
}

/* A call newer than this list is answered "no such call", not "forbidden", so that a libc falls back to what it knows. */
static int put_filter(int fd, int compiled, int highest, struct error *err)
{
    struct sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)highest, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0x00050000u | ENOSYS),
    };
    char buffer[65536];
    off_t size = lseek(compiled, 0, SEEK_END);
    if (size <= 0 || size > (off_t)sizeof buffer || pread(compiled, buffer, (size_t)size, 0) != size) return fail(err, errno, "cannot read the compiled seccomp filter");
    if (write_all(fd, head, sizeof head) < 0 || write_all(fd, buffer, (size_t)size) < 0) return fail(err, errno, "cannot write the seccomp filter");
    return 0;
}

int seccomp_write(int fd, uint64_t capabilities, struct error *err)
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
    else result = put_filter(fd, compiled, highest, err);
    if (compiled >= 0) close(compiled);
    return result < 0 ? -1 : 0;
}
