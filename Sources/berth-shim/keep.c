/* The log of a run whose shim is gone: another process reads what the container writes, and goes on with the log.
 *
 * The container's streams are anonymous pipes that its own processes hold open for reading as well, so nothing that it writes fails
 * meanwhile. They are found among the descriptors of its processes by their inode numbers, which the shim wrote down: a
 * descriptor is only ever opened after it was seen to be one of these pipes. */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DRAIN_TIMEOUT_MS 2000

int stream_reopen(int *end, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", *end);
    int both = open(path, O_RDWR | O_CLOEXEC);
    if (both < 0) return fail(err, errno, "cannot open a stream for reading and writing");
    close(*end);
    *end = both;
    return 0;
}

uint64_t stream_number(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 ? (uint64_t)info.st_ino : 0;
}

static bool is_pipe(int fd, dev_t pipes, uint64_t number)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && info.st_dev == pipes && (uint64_t)info.st_ino == number;
}

/* Opens a pipe for reading among the descriptors of a process; -1 when it has none of that number. */
static int find_in(const char *pid, dev_t pipes, uint64_t number)
{
    char path[300], name[64];
    snprintf(name, sizeof name, "pipe:[%llu]", (unsigned long long)number);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = -1;
    DIR *entries = directory < 0 ? NULL : fdopendir(directory);
    if (!entries) {
        if (directory >= 0) close(directory);
        return -1;
    }
    for (struct dirent *entry; found < 0 && (entry = readdir(entries));) {
        /* The name tells, without asking a file system that may not answer. */
        char link[64];
        ssize_t length = entry->d_name[0] == '.' ? -1 : readlinkat(directory, entry->d_name, link, sizeof link - 1);
        if (length < 0) continue;
        link[length] = 0;
        if (strcmp(link, name) != 0) continue;
        int place = openat(directory, entry->d_name, O_PATH | O_CLOEXEC);
        if (place < 0) continue;
        if (is_pipe(place, pipes, number)) {
            snprintf(path, sizeof path, "/proc/self/fd/%d", place);
            found = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        }
        close(place);
    }
    closedir(entries);
    return found;
}

static int find(char *const *pids, dev_t pipes, const char *number)
{
    uint64_t wanted = strtoull(number, NULL, 10);
    int found = -1;
    for (; wanted != 0 && found < 0 && *pids; pids++)
        if (strspn(*pids, "0123456789") == strlen(*pids)) found = find_in(*pids, pipes, wanted);
    return found;
}

/* LOCK-FILE LOG-BASE LOG-CAP CPU-MILLIS OUT-NUMBER ERR-NUMBER PID... */
int keep_log(char *const *words)
{
    struct error err;
    int probe[2];
    struct stat info;
    int lock = open(words[0], O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* Another one keeps it: an earlier daemon's. */
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) return lock < 0;
    if (pipe2(probe, O_CLOEXEC) < 0 || fstat(probe[0], &info) < 0) return 1;
    close(probe[0]);
    close(probe[1]);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    setsid();
    int streams[2] = { find(words + 6, info.st_dev, words[4]), find(words + 6, info.st_dev, words[5]) };
    if (streams[0] < 0 && streams[1] < 0) return 0;
    struct log *log = log_resume(words[1], strtoull(words[2], NULL, 10), &err);
    if (!log) {
        fprintf(stderr, "berth-shim: %s\n", err.text);
        return 1;
    }
    uint64_t cpu_millis = strtoull(words[3], NULL, 10);
    int64_t since = now_boot_ms();
    /* Once the container has ended, what is in the pipes is read for a while: others may hold them open. */
    int container = (int)syscall(SYS_pidfd_open, (pid_t)atoi(words[6]), 0);
    int64_t until = container < 0 ? since + DRAIN_TIMEOUT_MS : 0;
    while (streams[0] >= 0 || streams[1] >= 0) {
        int64_t now = now_boot_ms();
        int pause = log_pause(cpu_millis, since), wait = until != 0 ? (int)(until - now) : -1;
        if (until != 0 && wait <= 0) break;
        struct pollfd waiting[3] = {
            { .fd = pause > 0 ? -1 : streams[0], .events = POLLIN },
            { .fd = pause > 0 ? -1 : streams[1], .events = POLLIN },
            { .fd = until != 0 ? -1 : container, .events = POLLIN },
        };
        if (poll(waiting, 3, pause > 0 && (wait < 0 || pause < wait) ? pause : wait) <= 0) continue;
        if (waiting[2].revents) until = now_boot_ms() + DRAIN_TIMEOUT_MS;
        for (int i = 0; i < 2; i++) {
            if (!waiting[i].revents || log_read(log, i, streams[i])) continue;
            close(streams[i]);
            streams[i] = -1;
        }
    }
    log_close(log);
    return 0;
}
