#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/quota.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <unistd.h>

void clinux_give_memory_back(void) { malloc_trim(0); }

int clinux_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int clinux_pidfd_signal(int pidfd, int number) { return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0); }

int clinux_open_place(int directory, const char *name, int flags) { return openat(directory, name, O_PATH | O_CLOEXEC | flags); }

int clinux_look(int directory, const char *name, int flags, struct clinux_file *file)
{
    struct statx info;
    if (statx(directory, name, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, &info) < 0) return -1;
    *file = (struct clinux_file){ makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino, info.stx_mnt_id, info.stx_blocks, info.stx_mode, info.stx_nlink };
    return 0;
}

int clinux_disk_space(const char *path, struct clinux_space *space)
{
    struct statfs info;
    if (statfs(path, &info) < 0) return -1;
    int64_t unit = info.f_frsize ? info.f_frsize : info.f_bsize;
    int64_t blocks = info.f_bavail;
    if (info.f_type == EXT4_SUPER_MAGIC) {
        /* Nobody gets the last fiftieth, at most 4096 blocks: ext4 needs them itself (reserved_clusters in its documentation). */
        int64_t own = info.f_blocks / 50 < 4096 ? info.f_blocks / 50 : 4096;
        if ((int64_t)info.f_bfree - own > blocks) blocks = (int64_t)info.f_bfree - own;
    }
    space->free = blocks * unit;
    space->total = (int64_t)info.f_blocks * unit;
    /* Some network file systems say more free than there are, for "not known". */
    int counted = info.f_files > 0 && info.f_ffree <= info.f_files;
    space->free_inodes = counted ? (int64_t)info.f_ffree : 0;
    space->inodes = counted ? (int64_t)info.f_files : 0;
    return 0;
}

int clinux_sync_disk(int fd) { return syncfs(fd); }

int clinux_exchange(const char *one, const char *other) { return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE); }

int clinux_allocate(int fd, int64_t bytes)
{
    struct statfs info;
    if (fstatfs(fd, &info) < 0) return -1;
    if (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return fallocate(fd, 0, 0, bytes);
}

int clinux_sealed_file(const char *name, const void *bytes, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            close(fd);
            return -1;
        }
        at += written;
        size -= (size_t)written;
    }
    if (fchmod(fd, 0500) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int clinux_spawn(int program_fd, const char *name, const char *argument, int control_fd, int error_fd, pid_t *pid)
{
    /* Out of the way of the numbers that they become. */
    int program = fcntl(program_fd, F_DUPFD_CLOEXEC, 10), control = fcntl(control_fd, F_DUPFD_CLOEXEC, 10), error = fcntl(error_fd, F_DUPFD_CLOEXEC, 10);
    char *arguments[] = { (char *)(uintptr_t)name, (char *)(uintptr_t)argument, NULL };
    char *environment[] = { NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int result = errno;
    if (program >= 0 && control >= 0 && error >= 0) {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0);
        posix_spawn_file_actions_adddup2(&actions, error, 2);
        posix_spawn_file_actions_adddup2(&actions, control, 3);
        posix_spawn_file_actions_adddup2(&actions, program, 4);
        posix_spawn_file_actions_addclosefrom_np(&actions, 5);
        result = posix_spawn(pid, "/proc/self/fd/4", &actions, &attributes, arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    if (program >= 0) close(program);
    if (control >= 0) close(control);
    if (error >= 0) close(error);
    errno = result;
    return result == 0 ? 0 : -1;
}

int clinux_wall_timer(void) { return timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC); }

int clinux_wall_timer_set(int fd, int64_t milliseconds)
{
    if (milliseconds < 1) milliseconds = 1;
    struct itimerspec at = { .it_value = { .tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000 } };
    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

int clinux_pipe(int *reading, int *writing)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    *reading = ends[0];
    *writing = ends[1];
    return 0;
}

int clinux_socket_pair(int *first, int *second)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return -1;
    *first = pair[0];
    *second = pair[1];
    return 0;
}

int clinux_send_descriptors(int socket, const int *descriptors, size_t count)
{
    /* The kernel passes at most 253 in one message; the shim takes as many at once. */
    enum { A_MESSAGE = 128 };
    while (count > 0) {
        size_t some = count < A_MESSAGE ? count : A_MESSAGE;
        char byte = 'F';
        union { char bytes[CMSG_SPACE(A_MESSAGE * sizeof(int))]; struct cmsghdr align; } control;
        memset(&control, 0, sizeof control);
        struct iovec vector = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(some * sizeof(int)) };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(some * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, some * sizeof(int));
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent != 1) return -1;
        descriptors += some;
        count -= some;
    }
    return 0;
}

int clinux_receive_descriptor(int socket, char *byte, int *descriptor)
{
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct iovec vector = { .iov_base = byte, .iov_len = 1 };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    ssize_t got;
    *descriptor = -1;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *header = got == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return (int)got;
}

int clinux_project_limit(const char *directory, uint32_t project, uint64_t bytes)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    struct fsxattr attributes;
    /* What the kernel counts is in units of 1 KiB (quotactl(2)). */
    struct if_dqblk limit = { .dqb_bhardlimit = (bytes + 1023) / 1024, .dqb_valid = QIF_BLIMITS };
    int result = (int)syscall(SYS_quotactl_fd, fd, QCMD(Q_SETQUOTA, PRJQUOTA), project, &limit);
    if (result == 0 && bytes > 0 && (result = ioctl(fd, FS_IOC_FSGETXATTR, &attributes)) == 0) {
        attributes.fsx_projid = project;
        attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
        result = ioctl(fd, FS_IOC_FSSETXATTR, &attributes);
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

/* ---- a cgroup's devices ---- */

#define LOAD(register_number, field) \
    { .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = (register_number), .src_reg = BPF_REG_1, .off = offsetof(struct bpf_cgroup_dev_ctx, field) }
#define IF_EQUAL(register_number, value, distance) { .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (register_number), .off = (distance), .imm = (value) }
#define IF_NOT_EQUAL(register_number, value, distance) { .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = (register_number), .off = (distance), .imm = (value) }
#define ANSWER(value) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (value) }, { .code = BPF_JMP | BPF_EXIT }

int clinux_device_filter(const struct clinux_device_rule *rules, size_t count)
{
    /* The kernel puts the kind of the device in the low and what is asked for in the high half of access_type. */
    static const struct bpf_insn head[] = {
        LOAD(BPF_REG_2, access_type),
        { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_5, .src_reg = BPF_REG_2 },
        { .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_5, .imm = 0xffff },
        { .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_2, .imm = 16 },
        LOAD(BPF_REG_3, major),
        LOAD(BPF_REG_4, minor),
    };
    static const struct bpf_insn tail[] = {
        /* A node may be made of anything; to open it is another matter. */
        IF_EQUAL(BPF_REG_2, BPF_DEVCG_ACC_MKNOD, 14),
        IF_NOT_EQUAL(BPF_REG_5, BPF_DEVCG_DEV_CHAR, 11),
        /* Terminals of devpts; tty and ptmx. */
        IF_EQUAL(BPF_REG_3, 136, 12),
        IF_NOT_EQUAL(BPF_REG_3, 5, 3),
        IF_EQUAL(BPF_REG_4, 0, 10),
        IF_EQUAL(BPF_REG_4, 2, 9),
        { .code = BPF_JMP | BPF_JA, .off = 6 },
        /* null, zero, full, random, urandom. */
        IF_NOT_EQUAL(BPF_REG_3, 1, 5),
        IF_EQUAL(BPF_REG_4, 3, 6),
        IF_EQUAL(BPF_REG_4, 5, 5),
        IF_EQUAL(BPF_REG_4, 7, 4),
        IF_EQUAL(BPF_REG_4, 8, 3),
        IF_EQUAL(BPF_REG_4, 9, 2),
        ANSWER(0),
        ANSWER(1),
    };
    const size_t heads = sizeof head / sizeof *head, tails = sizeof tail / sizeof *tail, each = 8;
    if (count > 400) {
        errno = E2BIG;
        return -1;
    }
    struct bpf_insn *program = calloc(heads + tails + count * each, sizeof *program);
    if (!program) return -1;
    memcpy(program, head, sizeof head);
    size_t length = heads;
    for (size_t i = 0; i < count; i++) {
        const struct clinux_device_rule *rule = &rules[i];
        /* Each leads to the next rule where it does not hold. */
        struct bpf_insn checks[] = {
            IF_NOT_EQUAL(BPF_REG_5, rule->is_block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 7),
            IF_NOT_EQUAL(BPF_REG_3, (int32_t)rule->major, rule->major < 0 ? 0 : 6),
            IF_NOT_EQUAL(BPF_REG_4, (int32_t)rule->minor, rule->minor < 0 ? 0 : 5),
            { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_2 },
            { .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_6, .imm = ~rule->access & 7 },
            IF_NOT_EQUAL(BPF_REG_6, 0, 2),
            ANSWER(1),
        };
        memcpy(program + length, checks, sizeof checks);
        length += sizeof checks / sizeof *checks;
    }
    memcpy(program + length, tail, sizeof tail);
    length += tails;
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insn_cnt = (uint32_t)length;
    attributes.insns = (uint64_t)(uintptr_t)program;
    attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
    int result = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes), saved = errno;
    free(program);
    errno = saved;
    return result;
}

int clinux_device_filter_attach(int filter, const char *cgroup)
{
    int group = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0) return -1;
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)group;
    attributes.attach_bpf_fd = (uint32_t)filter;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    int result = (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes), saved = errno;
    close(group);
    errno = saved;
    return result;
}

_Static_assert(sizeof(struct clinux_credentials) == sizeof(struct ucred), "the layout of struct ucred");
