#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *v1_path(const char *entry) { return strchr(entry, ':') + 1; }

static bool v1_is(const char *entry, const char *controller)
{
    size_t length = strlen(controller);
    return strncmp(entry, controller, length) == 0 && entry[length] == ':';
}

int cgroup_open(const struct spec *spec, int *fds, struct error *err)
{
    size_t count = 0;
    fds[count++] = spec->cgroup_v2 ? open(spec->cgroup_v2, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (spec->cgroup_v2 && fds[0] < 0) return fail(err, errno, "cannot open the cgroup %s", spec->cgroup_v2);
    for (size_t i = 0; i < spec->cgroups_v1.count; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/cgroup.procs", v1_path(spec->cgroups_v1.items[i]));
        fds[count] = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fds[count] < 0) {
            fail(err, errno, "cannot open %s", path);
            while (count > 0)
                if (fds[--count] >= 0) close(fds[count]);
            return -1;
        }
        count++;
    }
    return 0;
}

int cgroup_join_v1(const struct spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->cgroups_v1.count; i++)
        if (write_small(v1_path(spec->cgroups_v1.items[i]), "cgroup.procs", "0") < 0)
            return fail(err, errno, "cannot join the cgroup %s", v1_path(spec->cgroups_v1.items[i]));
    return 0;
}

static bool directory_empty(const char *directory, bool v2)
{
    char text[4096];
    if (v2) {
        if (read_small(directory, "cgroup.events", text, sizeof text) < 0) return true;
        return strstr(text, "populated 0") != NULL;
    }
    return read_small(directory, "cgroup.procs", text, sizeof text) <= 0;
}

static bool all_empty(const struct spec *spec)
{
    if (spec->cgroup_v2) return directory_empty(spec->cgroup_v2, true);
    for (size_t i = 0; i < spec->cgroups_v1.count; i++)
        if (!directory_empty(v1_path(spec->cgroups_v1.items[i]), false)) return false;
    return true;
}

static void kill_listed(const char *directory)
{
    char text[65536];
    if (read_small(directory, "cgroup.procs", text, sizeof text) <= 0) return;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        long pid = strtol(line, NULL, 10);
        if (pid > 1) kill((pid_t)pid, SIGKILL);
    }
}

/* Where cgroup.kill is missing: freeze, so that nothing forks away, kill, thaw. */
static void kill_all(const struct spec *spec)
{
    if (spec->cgroup_v2 && write_small(spec->cgroup_v2, "cgroup.kill", "1") == 0) return;
    if (spec->cgroup_v2) kill_listed(spec->cgroup_v2);
    const char *freezer = NULL;
    for (size_t i = 0; i < spec->cgroups_v1.count; i++)
        if (v1_is(spec->cgroups_v1.items[i], "freezer")) freezer = v1_path(spec->cgroups_v1.items[i]);
    if (freezer) write_small(freezer, "freezer.state", "FROZEN");
    for (size_t i = 0; i < spec->cgroups_v1.count; i++) kill_listed(v1_path(spec->cgroups_v1.items[i]));
    if (freezer) write_small(freezer, "freezer.state", "THAWED");
}

int cgroup_empty(const struct spec *spec, bool kill_first, unsigned wait_ms)
{
    if (all_empty(spec)) return 0;
    int64_t until = now_boot_ms() + wait_ms;
    for (;;) {
        if (kill_first) kill_all(spec);
        if (all_empty(spec)) return 0;
        if (now_boot_ms() >= until) return 1;
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
}

static uint64_t number_after(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, length) == 0 && line[length] == ' ') return strtoull(line + length + 1, NULL, 10);
        if (!*line) break;
    }
    return 0;
}

/* Sums the numbers that follow every occurrence of a key such as "rbytes=" or "Read ". */
static uint64_t sum_after(const char *text, const char *key)
{
    uint64_t sum = 0;
    size_t length = strlen(key);
    for (const char *at = text; (at = strstr(at, key)); at += length) sum += strtoull(at + length, NULL, 10);
    return sum;
}

static void usage_v2(const char *directory, struct usage *usage)
{
    char text[8192];
    if (read_small(directory, "cpu.stat", text, sizeof text) > 0) usage->cpu_usec = number_after(text, "usage_usec");
    if (read_small(directory, "memory.peak", text, sizeof text) > 0) usage->memory_peak = strtoull(text, NULL, 10);
    if (read_small(directory, "memory.events", text, sizeof text) > 0) usage->oom_kills = number_after(text, "oom_kill");
    if (read_small(directory, "io.stat", text, sizeof text) > 0) {
        usage->io_read = sum_after(text, "rbytes=");
        usage->io_write = sum_after(text, "wbytes=");
    }
}

static void usage_v1(const char *entry, struct usage *usage)
{
    char text[8192];
    const char *directory = v1_path(entry);
    if (v1_is(entry, "memory")) {
        if (read_small(directory, "memory.max_usage_in_bytes", text, sizeof text) > 0) usage->memory_peak = strtoull(text, NULL, 10);
        if (read_small(directory, "memory.oom_control", text, sizeof text) > 0) usage->oom_kills = number_after(text, "oom_kill");
    } else if (v1_is(entry, "cpuacct")) {
        if (read_small(directory, "cpuacct.usage", text, sizeof text) > 0) usage->cpu_usec = strtoull(text, NULL, 10) / 1000;
    } else if (v1_is(entry, "blkio")) {
        if (read_small(directory, "blkio.throttle.io_service_bytes_recursive", text, sizeof text) > 0) {
            usage->io_read = sum_after(text, " Read ");
            usage->io_write = sum_after(text, " Write ");
        }
    }
}

void cgroup_usage(const struct spec *spec, struct usage *usage)
{
    *usage = (struct usage){ 0 };
    if (spec->cgroup_v2) usage_v2(spec->cgroup_v2, usage);
    for (size_t i = 0; i < spec->cgroups_v1.count; i++) usage_v1(spec->cgroups_v1.items[i], usage);
}

static int remove_directory(const char *directory)
{
    /* The kernel may still be letting the last process go. */
    for (int attempt = 0; attempt < 200; attempt++) {
        if (rmdir(directory) == 0 || errno == ENOENT) return 0;
        if (errno != EBUSY) return 1;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return 1;
}

int cgroup_remove(const struct spec *spec)
{
    int left = 0;
    if (spec->cgroup_v2) left |= remove_directory(spec->cgroup_v2);
    for (size_t i = 0; i < spec->cgroups_v1.count; i++) left |= remove_directory(v1_path(spec->cgroups_v1.items[i]));
    return left;
}
