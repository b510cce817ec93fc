#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

void clinux_give_memory_back(void) { malloc_trim(0); }

int clinux_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

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

int clinux_socket_pair(int *first, int *second)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return -1;
    *first = pair[0];
    *second = pair[1];
    return 0;
}

_Static_assert(sizeof(struct clinux_credentials) == sizeof(struct ucred), "the layout of struct ucred");
