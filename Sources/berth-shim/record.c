/* The facts of a run, in its directory: `shim` (who runs it), `started` (user code may have run), `exit` (how it ended).
 * Each is written to a temporary file, synced and renamed, so that it is there whole or not at all. `stopping` has no text. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_file(int dir, const char *directory, const char *temporary, const char *name, const char *text, size_t size, struct error *err)
{
    int result = -1;
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) fail(err, errno, "cannot write %s/%s", directory, name);
    else if (write_all(fd, text, size) < 0 || fsync(fd) < 0) fail(err, errno, "cannot write %s/%s", directory, name);
    else if (fail_point(name, err) < 0) errno = EIO;
    else if (renameat(dir, temporary, dir, name) < 0 || fsync(dir) < 0) fail(err, errno, "cannot keep %s/%s", directory, name);
    else result = 0;
    int saved = errno;
    if (fd >= 0) close(fd);
    errno = saved;
    return result;
}

/* How a run ended must not be lost because somebody filled the runtime directory's disk: the daemon keeps a file there for that. */
static int put_file(const char *directory, const char *name, const char *text, size_t size, struct error *err)
{
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return fail(err, errno, "cannot open the run directory %s", directory);
    char temporary[64];
    snprintf(temporary, sizeof temporary, ".%s.new", name);
    int result = write_file(dir, directory, temporary, name, text, size, err);
    if (result < 0 && errno == ENOSPC && strcmp(name, "exit") == 0 && unlinkat(dir, "../../reserve", 0) == 0)
        result = write_file(dir, directory, temporary, name, text, size, err);
    close(dir);
    return result;
}

int record_facts(const struct spec *spec, pid_t container, int out, int err_out, struct error *err)
{
    char text[512];
    int length = snprintf(text, sizeof text, "berth-shim 1\nboot=%s\nshim=%d\nshim_start=%llu\ncontainer=%d\ncontainer_start=%llu\nout=%llu\nerr=%llu\nend\n", spec->boot_id,
                          (int)getpid(), process_start_time(getpid()), (int)container, process_start_time(container),
                          (unsigned long long)stream_number(out), (unsigned long long)stream_number(err_out));
    return put_file(spec->run_dir, "shim", text, (size_t)length, err);
}

int record_started(const struct spec *spec, int64_t now_ns, struct error *err)
{
    char text[64];
    int length = snprintf(text, sizeof text, "%lld\n", (long long)now_ns);
    return put_file(spec->run_dir, "started", text, (size_t)length, err);
}

void record_stopping(const struct spec *spec)
{
    int dir = open(spec->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : openat(dir, "stopping", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    if (dir >= 0) close(dir);
}

/* One line for the sentence: what would break the line becomes a space. */
static void one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20) *text = ' ';
}

int record_exit(const struct spec *spec, const struct ending *ending, struct error *err)
{
    char message[ERROR_MAX], *text = NULL;
    snprintf(message, sizeof message, "%s", ending->message);
    one_line(message);
    const char *how = ending->start_error ? "start-error" : ending->signaled ? "signaled" : "exited";
    int length = asprintf(&text,
                          "berth-exit 1\nrun=%s\nhow=%s\nstatus=%d\ntimed_out=%d\nstop_requested=%d\nkilled=%d\nnot_empty=%d\n"
                          "started_ns=%lld\nfinished_ns=%lld\ncpu_usec=%llu\nmemory_peak=%llu\nio_read=%llu\nio_write=%llu\n"
                          "oom_kills=%llu\nlog_bytes=%llu\nlog_dropped=%llu\nmessage=%s\nend\n",
                          spec->run_id, how, ending->status, ending->timed_out, ending->stop_requested, ending->killed, ending->not_empty,
                          (long long)ending->started_ns, (long long)ending->finished_ns, (unsigned long long)ending->usage.cpu_usec,
                          (unsigned long long)ending->usage.memory_peak, (unsigned long long)ending->usage.io_read,
                          (unsigned long long)ending->usage.io_write, (unsigned long long)ending->usage.oom_kills,
                          (unsigned long long)ending->log_bytes, (unsigned long long)ending->log_dropped, message);
    if (length < 0) return fail(err, ENOMEM, "cannot write the exit record");
    int result = put_file(spec->run_dir, "exit", text, (size_t)length, err);
    free(text);
    return result;
}
