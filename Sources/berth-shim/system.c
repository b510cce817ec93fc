/* The sandbox's own places: /proc, /sys and /dev. All of it is new file systems of ours and mounts of the host's device
 * nodes, made before anything of a recipe is mounted. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const device_names[DEVICES] = { "null", "zero", "full", "random", "urandom", "tty" };

/* Read-only, so that neither a chmod nor a chown inside reaches a node of the host. */
int system_open_devices(int devices[DEVICES], struct error *err)
{
    for (size_t i = 0; i < DEVICES; i++) devices[i] = -1;
    for (size_t i = 0; i < DEVICES; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", device_names[i]);
        devices[i] = mounts_clone(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
        struct stat st;
        if (devices[i] < 0 && errno == ENOENT && i > 0) continue;
        if (devices[i] < 0 || fstat(devices[i], &st) < 0) return fail(err, errno, "cannot open the host's %s", path);
        if (!S_ISCHR(st.st_mode)) return fail(err, 0, "the host's %s is not a device", path);
        if (mounts_set(devices[i], 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0) return fail(err, errno, "cannot prepare %s", path);
    }
    return 0;
}

/* Makes what is at `path` read-only by a mount of it over itself. */
static int freeze(int dir, const char *path, struct error *err)
{
    int target = inside_openat2(dir, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (target < 0) return errno == ENOENT ? 0 : fail(err, errno, "cannot make %s read-only", path);
    int tree = mounts_clone(target, "", AT_EMPTY_PATH);
    if (tree < 0 || mounts_set(tree, 0, MOUNT_ATTR_RDONLY) < 0) {
        int saved = errno;
        close(target);
        if (tree >= 0) close(tree);
        return fail(err, saved, "cannot make %s read-only", path);
    }
    int result = mounts_attach(tree, target, path, err);
    close(tree);
    return result;
}

int system_mount_proc(const struct spec *spec, int root, int *proc, struct error *err)
{
    static const char *const frozen[] = { "bus", "fs", "irq", "sys", "sysrq-trigger", NULL };
    hook("proc");
    int target = inside_own(root, "proc", err);
    if (target < 0) return -1;
    *proc = mounts_new("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
    if (*proc < 0) {
        close(target);
        return -1;
    }
    int result = mounts_attach(*proc, target, "/proc", err);
    for (size_t i = 0; result == 0 && !spec->privileged && frozen[i]; i++) result = freeze(*proc, frozen[i], err);
    return result;
}

int system_mask_proc(const struct spec *spec, int proc, int dev, struct error *err)
{
    /* What container engines hide by default, after the OCI runtime defaults of Docker and Podman. */
    static const char *const hidden[] = { "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "timer_list",
                                          "timer_stats", "sched_debug", "scsi", NULL };
    for (size_t i = 0; !spec->privileged && hidden[i]; i++)
        if (mounts_mask(proc, hidden[i], dev, err) < 0) return -1;
    return 0;
}

static int mount_cgroup(const struct spec *spec, int sys, struct error *err)
{
    int target = inside_openat2(sys, "fs/cgroup", O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    /* A kernel without control groups has no such directory. */
    if (target < 0) return errno == ENOENT ? 0 : fail(err, errno, "cannot open /sys/fs/cgroup");
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
    /* On a host with v1 controllers a mount of cgroup2 would show a hierarchy without limits; show nothing instead. */
    int tree = spec->cgroups_v1.count == 0
                   ? mounts_new("cgroup2", NULL, attributes, err)
                   : mounts_new("tmpfs", (const char *const[][2]){ { "mode", "0555" }, { "size", "0" }, { NULL, NULL } }, attributes, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = mounts_attach(tree, target, "/sys/fs/cgroup", err);
    close(tree);
    return result;
}

int system_mount_sys(const struct spec *spec, int root, int dev, struct error *err)
{
    static const char *const hidden[] = { "firmware", "devices/virtual/powercap", "devices/system/cpu/cpu0/thermal_throttle", NULL };
    hook("sys");
    int target = inside_own(root, "sys", err);
    if (target < 0) return -1;
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (spec->privileged ? 0 : MOUNT_ATTR_RDONLY);
    int tree = mounts_new("sysfs", NULL, attributes, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = mounts_attach(tree, target, "/sys", err);
    if (result == 0) result = mount_cgroup(spec, tree, err);
    for (size_t i = 0; result == 0 && !spec->privileged && hidden[i]; i++) result = mounts_mask(tree, hidden[i], dev, err);
    close(tree);
    return result;
}

static int mount_below_dev(int dev, const char *name, const char *type, const char *const options[][2], unsigned attributes, struct error *err)
{
    if (mkdirat(dev, name, 0755) < 0) return fail(err, errno, "cannot make /dev/%s", name);
    int target = openat(dev, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0) return fail(err, errno, "cannot open /dev/%s", name);
    int tree = mounts_new(type, options, attributes, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = mounts_attach(tree, target, name, err);
    close(tree);
    return result;
}

static int put_device(int dev, const char *name, int tree, struct error *err)
{
    int node = openat(dev, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (node < 0) return fail(err, errno, "cannot make /dev/%s", name);
    close(node);
    node = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return node < 0 ? fail(err, errno, "cannot open /dev/%s", name) : mounts_attach(tree, node, name, err);
}

static int mount_shared_memory(const struct spec *spec, int dev, int shared, struct error *err)
{
    const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;
    char size[32];
    snprintf(size, sizeof size, "%llu", (unsigned long long)spec->shm_bytes);
    if (shared < 0) return mount_below_dev(dev, "shm", "tmpfs", (const char *const[][2]){ { "mode", "1777" }, { "size", size }, { NULL, NULL } }, plain, err);
    if (mkdirat(dev, "shm", 0755) < 0) return fail(err, errno, "cannot make /dev/shm");
    int target = openat(dev, "shm", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return target < 0 ? fail(err, errno, "cannot open /dev/shm") : mounts_attach(shared, target, "/dev/shm", err);
}

int system_open_terminal(int dev, struct terminal *terminal, struct error *err)
{
    char name[32];
    if (terminal_open(dev, terminal, err) < 0 || terminal_name(terminal, name, sizeof name, err) < 0) return -1;
    int tree = mounts_clone(dev, name, AT_SYMLINK_NOFOLLOW);
    if (tree < 0) return fail(err, errno, "cannot open /dev/%s", name);
    int result = put_device(dev, "console", tree, err);
    close(tree);
    return result;
}

/* /dev is a tmpfs on which no device node works. */
int system_mount_dev(const struct spec *spec, int root, const int devices[DEVICES], int shm, int *dev, struct error *err)
{
    static const char *const links[][2] = { { "/proc/self/fd", "fd" }, { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
                                            { "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" }, { NULL, NULL } };
    const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    hook("dev");
    int target = inside_own(root, "dev", err);
    if (target < 0) return -1;
    *dev = mounts_new("tmpfs", (const char *const[][2]){ { "mode", "0755" }, { "size", "65536k" }, { NULL, NULL } },
                      plain | (spec->privileged ? 0 : MOUNT_ATTR_NODEV), err);
    if (*dev < 0) {
        close(target);
        return -1;
    }
    int result = mounts_attach(*dev, target, "/dev", err);
    for (size_t i = 0; result == 0 && i < DEVICES; i++)
        if (devices[i] >= 0) result = put_device(*dev, device_names[i], devices[i], err);
    for (size_t i = 0; result == 0 && links[i][0]; i++)
        if (symlinkat(links[i][0], *dev, links[i][1]) < 0) result = fail(err, errno, "cannot make /dev/%s", links[i][1]);
    if (result == 0)
        result = mount_below_dev(*dev, "pts", "devpts",
                                 (const char *const[][2]){ { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { "gid", "5" }, { NULL, NULL } }, plain, err);
    if (result == 0) result = mount_shared_memory(spec, *dev, shm, err);
    return result == 0 ? mount_below_dev(*dev, "mqueue", "mqueue", NULL, plain | MOUNT_ATTR_NODEV, err) : result;
}
