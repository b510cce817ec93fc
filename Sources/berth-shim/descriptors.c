/* Descriptors: those that come from the daemon with the spec, and those that a process may go on holding. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel passes at most 253 in one message. */
#define A_MESSAGE 128u

/* One message: a byte, and up to A_MESSAGE descriptors. The number that came, or -1. */
static int receive_some(int socket, int *fds, size_t wanted, struct error *err)
{
    char byte;
    union { char bytes[CMSG_SPACE(A_MESSAGE * sizeof(int))]; struct cmsghdr align; } control;
    struct iovec vector = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return fail(err, got < 0 ? errno : 0, "launch spec: the daemon left before it had sent the descriptors");
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t held = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < held; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (count < wanted) fds[count++] = fd;
            else close(fd);
        }
    }
    if (count == 0 || message.msg_flags & MSG_CTRUNC) {
        for (size_t i = 0; i < count; i++) close(fds[i]);
        return fail(err, 0, "launch spec: descriptors are missing");
    }
    return (int)count;
}

int descriptors_receive(int socket, int *fds, size_t count, struct error *err)
{
    size_t have = 0;
    while (have < count) {
        int got = receive_some(socket, fds + have, count - have, err);
        if (got < 0) {
            while (have > 0) close(fds[--have]);
            return -1;
        }
        have += (size_t)got;
    }
    return 0;
}

int descriptors_send(int socket, char kind, int fd)
{
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { 0 };
    struct iovec vector = { .iov_base = &kind, .iov_len = 1 };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1 ? 0 : -1;
}

long sibling_make(int *pidfd)
{
    /* Not clone3, which the filter does not know; its signal is that of the sibling. */
    return syscall(SYS_clone, (unsigned long)(CLONE_PARENT | CLONE_PIDFD), 0UL, pidfd, 0UL, 0UL);
}

int sibling_send(int link, long pid, int pidfd)
{
    char number[24];
    snprintf(number, sizeof number, "%ld", pid);
    if (descriptors_send(link, 'P', pidfd) == 0 && write_all(link, number, strlen(number) + 1) == 0) return 0;
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    return -1;
}

int sibling_receive(int link, pid_t *pid, int *pidfd, struct error *err)
{
    char number[24] = "";
    if (descriptors_receive(link, pidfd, 1, err) < 0) {
        *pidfd = -1;
        return -1;
    }
    *pid = recv(link, number, sizeof number - 1, 0) > 0 ? (pid_t)strtol(number, NULL, 10) : 0;
    return 0;
}

static int ascending(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

int descriptors_keep_only(int *kept, size_t count, struct error *err)
{
    qsort(kept, count, sizeof *kept, ascending);
    unsigned next = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < 0) continue;
        unsigned fd = (unsigned)kept[i];
        if (fd > next && close_range(next, fd - 1, 0) < 0) return fail(err, errno, "cannot close inherited descriptors");
        next = fd + 1;
    }
    return close_range(next, ~0u, 0) < 0 ? fail(err, errno, "cannot close inherited descriptors") : 0;
}
