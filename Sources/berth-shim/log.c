/* The run's log: a line is "TIME STREAM TAG text" as the Container Runtime Interface has it (RFC 3339 time in UTC with
 * nanoseconds; stdout or stderr; F for a full line, P for a piece of a line that goes on). */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384u
#define LOG_AHEAD_US 20000
#define STREAM_BYTES 65536u
#define OUT_BYTES 65536u
#define STAMP_BYTES 30u
#define PREFIX_BYTES (STAMP_BYTES + 10u)

struct stream { size_t used; char bytes[STREAM_BYTES]; };

struct log {
    char *base;
    int fd;
    uint64_t cap, piece_bytes, written, dropped_bytes, dropped_lines;
    uint64_t lines[2], sizes[2]; /* of the tail's pieces, by number modulo 2 */
    unsigned piece;              /* 0 = the head */
    int how;                     /* O_TRUNC, or 0 when the piece is another process's that is gone */
    size_t out_used;
    time_t stamped;
    char stamp[STAMP_BYTES + 1];
    char out[OUT_BYTES];
    struct stream streams[2];
};

static char *piece_path(const char *base, unsigned piece)
{
    char *path = NULL;
    int used = piece == 0 ? asprintf(&path, "%s.log", base) : asprintf(&path, "%s.log.%u", base, piece);
    return used < 0 ? NULL : path;
}

static int open_piece(struct log *log)
{
    char *path = piece_path(log->base, log->piece);
    int fd = path ? open(path, O_RDWR | O_CREAT | log->how | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    free(path);
    return fd;
}

static struct log *log_make(const char *base, uint64_t cap, struct error *err)
{
    struct log *log = calloc(1, sizeof *log);
    if (!log || !(log->base = strdup(base))) {
        free(log);
        fail(err, ENOMEM, "cannot keep the log %s", base);
        return NULL;
    }
    log->cap = cap < 4 * OUT_BYTES ? 4 * OUT_BYTES : cap;
    return log;
}

struct log *log_open(const char *base, uint64_t cap, struct error *err)
{
    struct log *log = log_make(base, cap, err);
    if (!log) return NULL;
    log->how = O_TRUNC;
    if ((log->fd = open_piece(log)) >= 0) return log;
    fail(err, errno, "cannot open the log %s.log", base);
    free(log->base);
    free(log);
    return NULL;
}

static uint64_t count_lines(const char *bytes, size_t size)
{
    uint64_t lines = 0;
    for (const char *at = bytes, *end = bytes + size; (at = memchr(at, '\n', (size_t)(end - at))); at++) lines++;
    return lines;
}

/* Counts what a piece of the tail holds, as it will be told of when the piece is dropped. */
static void count_piece(struct log *log, unsigned piece)
{
    char *path = piece_path(log->base, piece);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    free(path);
    if (fd < 0) return;
    for (ssize_t got; (got = read(fd, log->out, OUT_BYTES)) > 0;) {
        log->sizes[piece % 2] += (uint64_t)got;
        log->lines[piece % 2] += count_lines(log->out, (size_t)got);
    }
    close(fd);
}

static void read_dropped(struct log *log)
{
    char *path = NULL;
    unsigned long long bytes, lines;
    FILE *file = asprintf(&path, "%s.dropped", log->base) >= 0 ? fopen(path, "re") : NULL;
    free(path);
    if (!file) return;
    if (fscanf(file, "%llu %llu", &bytes, &lines) == 2) {
        log->dropped_bytes = bytes;
        log->dropped_lines = lines;
    }
    fclose(file);
}

/* Goes on where another process left a log. */
struct log *log_resume(const char *base, uint64_t cap, struct error *err)
{
    struct log *log = log_make(base, cap, err);
    if (!log) return NULL;
    /* The last piece is the one that has none after it; of the tail's two, the first are gone. */
    const char *name = strrchr(base, '/');
    char *directory = name ? strndup(base, (size_t)(name - base)) : NULL;
    DIR *entries = directory ? opendir(directory) : NULL;
    size_t length = name ? strlen(name + 1) : 0;
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        unsigned piece;
        if (strncmp(entry->d_name, name + 1, length) != 0 || sscanf(entry->d_name + length, ".log.%u", &piece) != 1) continue;
        if (piece > log->piece) log->piece = piece;
    }
    if (entries) closedir(entries);
    free(directory);
    for (unsigned piece = log->piece > 1 ? log->piece - 1 : 1; piece <= log->piece; piece++) count_piece(log, piece);
    read_dropped(log);
    /* Where it cannot be opened now, what cannot be kept is counted, as in the shim. */
    log->fd = open_piece(log);
    off_t size = log->fd < 0 ? 0 : lseek(log->fd, 0, SEEK_END);
    char last = '\n';
    if (size > 0) {
        log->piece_bytes = (uint64_t)size;
        /* A line that was not written whole ends here. */
        if (pread(log->fd, &last, 1, size - 1) == 1 && last != '\n' && write_all(log->fd, "\n", 1) == 0) log->piece_bytes++;
    }
    return log;
}

/* Written whole and renamed, so that a reader never sees half of it. */
static void write_dropped(const struct log *log)
{
    char *path = NULL, *temporary = NULL, text[64];
    int length = snprintf(text, sizeof text, "%llu %llu\n", (unsigned long long)log->dropped_bytes, (unsigned long long)log->dropped_lines);
    if (asprintf(&path, "%s.dropped", log->base) >= 0 && asprintf(&temporary, "%s.dropped.new", log->base) >= 0) {
        int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0) {
            int result = write_all(fd, text, (size_t)length);
            close(fd);
            if (result == 0) rename(temporary, path);
        }
    }
    free(path);
    free(temporary);
}

static void next_piece(struct log *log)
{
    if (log->fd >= 0) close(log->fd);
    log->piece++;
    if (log->piece >= 3) {
        char *path = NULL;
        if (asprintf(&path, "%s.log.%u", log->base, log->piece - 2) >= 0) unlink(path);
        free(path);
        log->dropped_bytes += log->sizes[log->piece % 2];
        log->dropped_lines += log->lines[log->piece % 2];
        write_dropped(log);
    }
    log->sizes[log->piece % 2] = 0;
    log->lines[log->piece % 2] = 0;
    log->piece_bytes = 0;
    log->how = O_TRUNC;
    log->fd = open_piece(log);
}

/* The buffer holds whole lines only, so pieces are cut between lines. */
static void flush_out(struct log *log)
{
    if (log->out_used == 0) return;
    uint64_t limit = log->piece == 0 ? log->cap / 2 : log->cap / 4;
    if (log->piece_bytes > 0 && log->piece_bytes + log->out_used > limit) next_piece(log);
    if (log->fd < 0) log->fd = open_piece(log);
    off_t before = log->fd >= 0 ? lseek(log->fd, 0, SEEK_END) : -1;
    if (log->fd < 0 || write_all(log->fd, log->out, log->out_used) < 0) {
        /* A full disk must not stop the container: what could not be kept is counted. */
        if (log->fd >= 0 && before >= 0 && ftruncate(log->fd, before) < 0) { /* a torn line stays */ }
        log->dropped_bytes += log->out_used;
        log->dropped_lines += count_lines(log->out, log->out_used);
        write_dropped(log);
    } else {
        log->piece_bytes += log->out_used;
        if (log->piece > 0) {
            log->sizes[log->piece % 2] += log->out_used;
            log->lines[log->piece % 2] += count_lines(log->out, log->out_used);
        }
        log->written += log->out_used;
    }
    log->out_used = 0;
}

static void put(struct log *log, const char *prefix, const char *text, size_t size)
{
    if (log->out_used + PREFIX_BYTES + size + 1 > OUT_BYTES) flush_out(log);
    char *at = log->out + log->out_used;
    memcpy(at, prefix, PREFIX_BYTES);
    memcpy(at + PREFIX_BYTES, text, size);
    at[PREFIX_BYTES + size] = '\n';
    log->out_used += PREFIX_BYTES + size + 1;
}

static void stamp(struct log *log, int stream, char *prefix)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != log->stamped || !log->stamp[0]) {
        struct tm civil;
        gmtime_r(&now.tv_sec, &civil);
        strftime(log->stamp, sizeof log->stamp, "%Y-%m-%dT%H:%M:%S.", &civil);
        log->stamped = now.tv_sec;
    }
    memcpy(prefix, log->stamp, 20);
    long nanoseconds = now.tv_nsec;
    for (int digit = 28; digit >= 20; digit--, nanoseconds /= 10) prefix[digit] = (char)('0' + nanoseconds % 10);
    memcpy(prefix + 29, stream == 0 ? "Z stdout F " : "Z stderr F ", 11);
}

/* Puts the whole lines of a stream; with `all`, the unfinished rest as well. */
static void take_lines(struct log *log, int number, bool all)
{
    struct stream *stream = &log->streams[number];
    char prefix[PREFIX_BYTES];
    stamp(log, number, prefix);
    char *at = stream->bytes, *end = stream->bytes + stream->used;
    while (at < end) {
        size_t left = (size_t)(end - at);
        char *newline = memchr(at, '\n', left < LINE_MAX_BYTES + 1 ? left : LINE_MAX_BYTES + 1);
        if (newline) {
            put(log, prefix, at, (size_t)(newline - at));
            journal_put(number, at, (size_t)(newline - at), true);
            at = newline + 1;
        } else if (left > LINE_MAX_BYTES) {
            prefix[PREFIX_BYTES - 2] = 'P';
            put(log, prefix, at, LINE_MAX_BYTES);
            journal_put(number, at, LINE_MAX_BYTES, false);
            prefix[PREFIX_BYTES - 2] = 'F';
            at += LINE_MAX_BYTES;
        } else if (all) {
            put(log, prefix, at, left);
            journal_put(number, at, left, true);
            at = end;
        } else {
            break;
        }
    }
    stream->used = (size_t)(end - at);
    memmove(stream->bytes, at, stream->used);
}

int log_read(struct log *log, int number, int fd)
{
    struct stream *stream = &log->streams[number];
    ssize_t got = read(fd, stream->bytes + stream->used, STREAM_BYTES - stream->used);
    /* Nobody has the other end of the terminal any more. */
    if (got < 0 && errno == EIO) got = 0;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
        if (stream->used > 0) take_lines(log, number, true);
        flush_out(log);
        return 0;
    }
    stream->used += (size_t)got;
    take_lines(log, number, false);
    flush_out(log);
    return 1;
}

void log_close(struct log *log)
{
    for (int number = 0; number < 2; number++)
        if (log->streams[number].used > 0) take_lines(log, number, true);
    flush_out(log);
    if (log->fd >= 0) close(log->fd);
    log->fd = -1;
}

uint64_t log_bytes(const struct log *log) { return log->written; }
uint64_t log_dropped(const struct log *log) { return log->dropped_bytes; }

/* The shim runs outside the container's limit of processor time, and works as much as the container writes. So where there
 * is a limit, copying the log may take a tenth of it more: above that the streams are not read, and whoever writes waits.
 * Milliseconds until they are read again, 0 = now. */
int log_pause(uint64_t cpu_millis, int64_t since_ms)
{
    if (cpu_millis == 0) return 0;
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    int64_t used_us = used.tv_sec * 1000000 + used.tv_nsec / 1000, elapsed_us = (now_boot_ms() - since_ms) * 1000;
    /* Some milliseconds ahead, for what is written in bursts. */
    int64_t over_us = used_us - LOG_AHEAD_US - elapsed_us * (int64_t)cpu_millis / 10000;
    if (over_us <= 0) return 0;
    int64_t pause = over_us * 10000 / (int64_t)cpu_millis / 1000 + 1;
    return pause > 200 ? 200 : (int)pause;
}
