#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int fail(struct error *err, int errnum, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    if (errnum != 0 && used >= 0 && (size_t)used < sizeof err->text) {
        char name[96];
        const char *text = strerror_r(errnum, name, sizeof name);
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", text);
    }
    return -1;
}

int64_t now_realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t now_boot_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

ssize_t read_small(const char *directory, const char *name, char *buffer, size_t size)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path) return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t got = read(fd, buffer + used, size - 1 - used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        used += (size_t)got;
    }
    close(fd);
    buffer[used] = 0;
    return (ssize_t)used;
}

int write_small(const char *directory, const char *name, const char *text)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = write_all(fd, text, strlen(text));
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

unsigned long long process_start_time(pid_t pid)
{
    char directory[32], buffer[1024];
    snprintf(directory, sizeof directory, "/proc/%d", (int)pid);
    if (read_small(directory, "stat", buffer, sizeof buffer) <= 0) return 0;
    /* The second field is the name in parentheses and may hold anything, so count from the last one. */
    char *at = strrchr(buffer, ')');
    if (!at) return 0;
    at++;
    for (int field = 3; field < 22; field++) {
        at = strchr(at + 1, ' ');
        if (!at) return 0;
    }
    return strtoull(at + 1, NULL, 10);
}
