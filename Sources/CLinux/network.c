/* Network namespaces: they belong to a thread, so each call that enters one does it in a thread of its own, which ends with it. */
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

struct call {
    int (*body)(const char *path, const char *name);
    const char *path, *name;
    int result, code;
};

static void *begin(void *context)
{
    struct call *call = context;
    call->result = call->body(call->path, call->name);
    call->code = errno;
    return NULL;
}

static int in_thread(int (*body)(const char *, const char *), const char *path, const char *name)
{
    struct call call = { .body = body, .path = path, .name = name, .result = -1 };
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, NULL, begin, &call);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0) code = pthread_join(thread, NULL);
    if (code != 0) {
        errno = code;
        return -1;
    }
    errno = call.code;
    return call.result;
}

static int make_here(const char *path, const char *name)
{
    (void)name;
    int file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
    if (file < 0) return -1;
    close(file);
    struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int result = unshare(CLONE_NEWNET);
    int code = errno;
    if (result == 0) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &loopback);
        code = errno;
        if (fd >= 0) close(fd);
    }
    if (result == 0) {
        result = mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL);
        code = errno;
    }
    if (result < 0) unlink(path);
    errno = code;
    return result;
}

int clinux_make_network(const char *path) { return in_thread(make_here, path, NULL); }

static int enter(const char *path)
{
    int space = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (space < 0) return -1;
    int result = setns(space, CLONE_NEWNET), code = errno;
    close(space);
    errno = code;
    return result;
}

static int has_here(const char *path, const char *name) { return enter(path) < 0 ? -1 : if_nametoindex(name) != 0; }

int clinux_has_interface(const char *path, const char *name) { return in_thread(has_here, path, name); }

static int set_here(const char *path, const char *setting)
{
    /* "PATH=VALUE" */
    const char *value = strchr(setting, '=');
    char file[256];
    if (!value || (size_t)(value - setting) >= sizeof file || enter(path) < 0) return -1;
    memcpy(file, setting, (size_t)(value - setting));
    file[value - setting] = 0;
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t written = write(fd, value + 1, strlen(value + 1));
    int code = errno;
    close(fd);
    errno = code;
    return written < 0 ? -1 : 0;
}

int clinux_set_in_network(const char *path, const char *setting) { return in_thread(set_here, path, setting); }

int clinux_is_network(const char *path)
{
    struct statfs info;
    return statfs(path, &info) == 0 && info.f_type == 0x6E736673; /* NSFS_MAGIC */
}

int clinux_remove_network(const char *path)
{
    int result = umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    int code = errno;
    /* EINVAL: nothing is mounted there. */
    if (result < 0 && code != EINVAL && code != ENOENT) {
        errno = code;
        return -1;
    }
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* ---- sockets that a run left behind ---- */

static int ask(int fd, int family, int protocol)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request = {
        .head = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .body = { .sdiag_family = (uint8_t)family, .sdiag_protocol = (uint8_t)protocol, .idiag_states = ~0u },
    };
    return send(fd, &request, sizeof request, 0) < 0 ? -1 : 0;
}

static int end(int fd, const struct inet_diag_msg *found, int protocol)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request = {
        .head = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
        .body = { .sdiag_family = found->idiag_family, .sdiag_protocol = (uint8_t)protocol, .idiag_states = ~0u, .id = found->id },
    };
    char answer[512];
    if (send(fd, &request, sizeof request, 0) < 0) return -1;
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr))) return -1;
    const struct nlmsghdr *head = (const struct nlmsghdr *)(const void *)answer;
    if (head->nlmsg_type != NLMSG_ERROR) return -1;
    const struct nlmsgerr *error = NLMSG_DATA(head);
    /* It is gone by itself. */
    return error->error == 0 || error->error == -ENOENT ? 0 : -1;
}

/* How many sockets of this kind could not be ended. */
static int end_kind(int family, int protocol)
{
    int list = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int act = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    static const struct timeval patience = { .tv_usec = 200000 };
    int left = list < 0 || act < 0 || ask(list, family, protocol) < 0 ? -1 : 0;
    if (left == 0) {
        setsockopt(list, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(act, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    bool complete = false;
    for (bool done = false; left >= 0 && !done;) {
        _Alignas(struct nlmsghdr) char buffer[32768];
        ssize_t got = recv(list, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        int rest = (int)got;
        for (struct nlmsghdr *head = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(head, rest); head = NLMSG_NEXT(head, rest)) {
            if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR) {
                done = true;
                complete = head->nlmsg_type == NLMSG_DONE;
                break;
            }
            if (end(act, NLMSG_DATA(head), protocol) < 0) left++;
        }
    }
    int code = errno;
    if (list >= 0) close(list);
    if (act >= 0) close(act);
    errno = code;
    /* What was not listed is not known to have ended. */
    return complete ? left : -1;
}

static int end_here(const char *path, const char *name)
{
    (void)name;
    if (enter(path) < 0) return -1;
    int left = 0;
    static const int families[] = { AF_INET, AF_INET6 };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        /* Those of UDP go with their process. */
        int count = end_kind(families[i], IPPROTO_TCP);
        if (count < 0) return -1;
        left += count;
    }
    return left;
}

int clinux_end_sockets(const char *path) { return in_thread(end_here, path, NULL); }

/* ---- what changes on the host ---- */

static int listen_for(int protocol, uint32_t groups)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

int clinux_link_changes(void) { return listen_for(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR); }

/* NFNLGRP_NFTABLES, whose header clashes with the C library's. */
int clinux_firewall_changes(void) { return listen_for(NETLINK_NETFILTER, 1u << (7 - 1)); }

int clinux_passed_over(int fd)
{
    char buffer[16384];
    int count = 0;
    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        /* Some were lost: that is a change too. */
        if (got < 0 && errno == ENOBUFS) {
            count++;
            continue;
        }
        if (got <= 0) return count;
        count++;
    }
}
