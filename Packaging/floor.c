/* The least that a container costs on this machine, for the benchmark to compare with: namespaces with a network of its own, control
 * groups with limits, an overlay, /proc, /sys and a /dev with the usual devices, pivot_root, exec, wait, and all of it removed again.
 * No filter, no log, no history, no supervision.
 *
 *     floor ROOT SCRATCH COUNT AT-ONCE      runs ROOT's /bin/true COUNT times, AT-ONCE at a time */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct { const char *group, *file, *value; } limits[] = {
    { "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "268435456" },
    { "/sys/fs/cgroup/pids", "pids.max", "1024" },
    { "/sys/fs/cgroup/blkio", NULL, NULL },
};

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put(const char *directory, const char *file, const char *value)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) die(path);
    close(fd);
}

static int is_v2(void) { return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0; }

static void group_of(char *path, size_t size, const char *parent, int number)
{
    snprintf(path, size, "%s/berth-floor-%d-%d", parent, (int)getpid(), number);
}

static void groups(int number, int remove)
{
    char path[512];
    if (is_v2()) {
        group_of(path, sizeof path, "/sys/fs/cgroup", number);
        if (remove) {
            while (rmdir(path) < 0 && errno == EBUSY) usleep(500);
            return;
        }
        if (mkdir(path, 0755) < 0) die(path);
        put(path, "memory.max", "268435456");
        put(path, "pids.max", "1024");
        return;
    }
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        group_of(path, sizeof path, limits[i].group, number);
        if (remove) {
            while (rmdir(path) < 0 && errno == EBUSY) usleep(500);
            continue;
        }
        if (mkdir(path, 0755) < 0) die(path);
        if (limits[i].file) put(path, limits[i].file, limits[i].value);
    }
}

static void device(const char *root, const char *name)
{
    char from[64], to[512];
    snprintf(from, sizeof from, "/dev/%s", name);
    snprintf(to, sizeof to, "%s/dev/%s", root, name);
    int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0) die(to);
    close(fd);
}

static void become(const char *lower, const char *scratch, int number, pid_t parent)
{
    char path[512], options[2048], root[512];
    if (is_v2()) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/berth-floor-%d-%d", (int)parent, number);
        put(path, "cgroup.procs", "0");
    } else {
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            snprintf(path, sizeof path, "%s/berth-floor-%d-%d", limits[i].group, (int)parent, number);
            put(path, "cgroup.procs", "0");
        }
    }
    snprintf(root, sizeof root, "%s/%d/root", scratch, number);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/%d/upper,workdir=%s/%d/work", lower, scratch, number, scratch, number);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("overlay", root, "overlay", 0, options) < 0) die("overlay");
    const char *const places[][2] = { { "proc", "proc" }, { "sysfs", "sys" }, { "tmpfs", "dev" } };
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", root, places[i][1]);
        if ((mkdir(path, 0755) < 0 && errno != EEXIST) || mount(places[i][0], path, places[i][0], 0, NULL) < 0) die(path);
    }
    const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) device(root, devices[i]);
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) die("pivot_root");
    execl("/bin/true", "true", (char *)NULL);
    die("/bin/true");
}

static void directories(const char *scratch, int number, int remove)
{
    static const char *const names[] = { "", "/upper", "/work", "/root" };
    char path[512];
    if (remove) {
        const char *const made[] = { "/upper/dev", "/upper/proc", "/upper/sys", "/upper", "/work/work", "/work", "/root", "" };
        for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
            snprintf(path, sizeof path, "%s/%d%s", scratch, number, made[i]);
            if (rmdir(path) < 0 && errno != ENOENT) die(path);
        }
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%d%s", scratch, number, names[i]);
        if (mkdir(path, 0755) < 0) die(path);
    }
}

static void one(const char *lower, const char *scratch, int number)
{
    int status;
    groups(number, 0);
    directories(scratch, number, 0);
    struct clone_args arguments = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET, .exit_signal = SIGCHLD };
    pid_t parent = getpid();
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0) die("clone3");
    if (child == 0) become(lower, scratch, number, parent);
    if (waitpid((pid_t)child, &status, 0) < 0 || status != 0) die("the container");
    groups(number, 1);
    directories(scratch, number, 1);
}

int main(int count, char **words)
{
    if (count != 5) {
        fprintf(stderr, "usage: floor ROOT SCRATCH COUNT AT-ONCE\n");
        return 2;
    }
    int runs = atoi(words[3]), at_once = atoi(words[4]), failed = 0, status;
    for (int worker = 0; worker < at_once; worker++) {
        pid_t child = fork();
        if (child < 0) die("fork");
        if (child != 0) continue;
        for (int number = worker; number < runs; number += at_once) one(words[1], words[2], number);
        return 0;
    }
    while (wait(&status) > 0) failed |= status != 0;
    return failed;
}
