/* The root file system of a run. What is in it is attacker data: a target is opened below the root's descriptor with
 * openat2, never by path, and mounts are attached to descriptors (open_tree, fsmount, move_mount). */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* sys/mount.h clashes with linux/mount.h in glibc 2.36; these are all that is used of it. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define MS_NODEV_FLAG 4UL
#define MS_REC_FLAG 16384UL
#define MS_PRIVATE_FLAG (1UL << 18)
#define MNT_DETACH_FLAG 2

static int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
    long fd;
    do
        fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return (int)fd;
}

static int sys_open_tree(int dir, const char *path, unsigned flags) { return (int)syscall(SYS_open_tree, dir, path, flags); }

static int sys_move_mount(int tree, int target)
{
    return (int)syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int sys_mount_setattr(int tree, unsigned flags, uint64_t set)
{
    struct mount_attr attr = { .attr_set = set };
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr);
}

/* A new instance of a file system, not attached anywhere. Options are "key", "value" pairs; value NULL is a flag. */
static int new_filesystem(const char *type, const char *const options[][2], unsigned attributes, struct error *err)
{
    int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0) return fail(err, errno, "cannot open a new %s file system", type);
    for (size_t i = 0; options && options[i][0]; i++) {
        int result = options[i][1] ? (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0)
                                   : (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, options[i][0], NULL, 0);
        if (result < 0) {
            fail(err, errno, "cannot set %s of a new %s file system", options[i][0], type);
            close(context);
            return -1;
        }
    }
    int tree = -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        fail(err, errno, "cannot make a new %s file system", type);
    else if ((tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes)) < 0)
        fail(err, errno, "cannot mount a new %s file system", type);
    close(context);
    return tree;
}

/* Opens what a path names inside the root; links are followed, but stay inside. */
static int open_inside(int root, const char *path)
{
    while (*path == '/') path++;
    return sys_openat2(root, *path ? path : ".", O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* Joins a link's text to the directory it lies in, as a path inside the root: ".." climbs, but not above it. */
static int follow(const char *parent, const char *text, char *path, size_t size)
{
    char joined[8192];
    if (snprintf(joined, sizeof joined, "%s/%s", text[0] == '/' ? "" : parent, text) >= (int)sizeof joined) return -1;
    size_t used = 0;
    for (const char *at = joined; *at;) {
        while (*at == '/') at++;
        size_t length = strcspn(at, "/");
        if (length == 2 && at[0] == '.' && at[1] == '.') {
            while (used > 0 && path[--used] != '/') {}
        } else if (length > 0 && !(length == 1 && at[0] == '.')) {
            if (used + length + 2 > size) return -1;
            path[used++] = '/';
            memcpy(path + used, at, length);
            used += length;
        }
        at += length;
    }
    if (used == 0) path[used++] = '/';
    path[used] = 0;
    return 0;
}

/* The same, made as a directory or an empty file where it is missing, with its parents; a link that leads nowhere gets a
 * target, inside the root. */
static int open_target_at(int root, const char *path, bool file, int links, struct error *err)
{
    int fd = open_inside(root, path);
    if (fd >= 0) return fd;
    if (errno != ENOENT) return fail(err, errno, "cannot open %s inside the root file system", path);
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", path);
    size_t length = strlen(parent);
    while (length > 1 && parent[length - 1] == '/') parent[--length] = 0;
    char *slash = strrchr(parent, '/');
    if (!slash || length <= 1) return fail(err, ENOENT, "cannot open %s inside the root file system", path);
    char name[256];
    if (snprintf(name, sizeof name, "%s", slash + 1) >= (int)sizeof name) return fail(err, ENAMETOOLONG, "cannot make %s inside the root file system", path);
    *slash = 0;
    int directory = *parent ? open_target_at(root, parent, false, links, err) : open_inside(root, "/");
    if (directory < 0) return -1;
    char text[4096], next[4096];
    ssize_t length_of_link = readlinkat(directory, name, text, sizeof text - 1);
    if (length_of_link > 0) {
        close(directory);
        text[length_of_link] = 0;
        if (links == 0 || follow(parent, text, next, sizeof next) < 0) return fail(err, ELOOP, "cannot open %s inside the root file system", path);
        return open_target_at(root, next, file, links - 1, err);
    }
    int made;
    if (file) {
        made = openat(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (made >= 0) close(made);
    } else {
        made = mkdirat(directory, name, 0755);
    }
    int saved = errno;
    close(directory);
    if (made < 0 && saved != EEXIST) return fail(err, saved, "cannot make %s inside the root file system", path);
    fd = open_inside(root, path);
    if (fd < 0) return fail(err, errno, "cannot open %s inside the root file system", path);
    return fd;
}

static int open_target(int root, const char *path, bool file, struct error *err) { return open_target_at(root, path, file, 8, err); }

/* A directory of the sandbox itself (/proc, /sys, /dev): a link in its place is an attack, not a layout. */
static int open_strict(int root, const char *name, struct error *err)
{
    if (mkdirat(root, name, 0755) < 0 && errno != EEXIST) return fail(err, errno, "cannot make /%s inside the root file system", name);
    int fd = sys_openat2(root, name, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fail(err, 0, "/%s in the root file system is not a directory but a link or a file: refused", name);
    if (fd < 0) return fail(err, errno, "cannot open /%s inside the root file system", name);
    return fd;
}

static int attach(int tree, int target, const char *what, struct error *err)
{
    int result = sys_move_mount(tree, target);
    if (result < 0) fail(err, errno, "cannot attach %s", what);
    close(target);
    return result;
}

/* Covers what is at `path` below `dir`: a file by the null device, a directory by an empty read-only tmpfs. */
static int mask(int dir, const char *path, struct error *err)
{
    int target = sys_openat2(dir, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (target < 0) return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : fail(err, errno, "cannot mask %s", path);
    struct stat st;
    if (fstat(target, &st) < 0) {
        int saved = errno;
        close(target);
        return fail(err, saved, "cannot mask %s", path);
    }
    int tree;
    if (S_ISDIR(st.st_mode)) {
        tree = new_filesystem("tmpfs", (const char *const[][2]){ { "mode", "0555" }, { "size", "0" }, { "nr_inodes", "1" }, { NULL, NULL } },
                              MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
    } else {
        tree = sys_open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (tree < 0) fail(err, errno, "cannot open /dev/null to mask %s", path);
        else if (sys_mount_setattr(tree, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0) {
            fail(err, errno, "cannot mask %s", path);
            close(tree);
            tree = -1;
        }
    }
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = attach(tree, target, path, err);
    close(tree);
    return result;
}

/* Makes what is at `path` read-only by a mount of it over itself. */
static int read_only_inside(int dir, const char *path, struct error *err)
{
    int target = sys_openat2(dir, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (target < 0) return errno == ENOENT ? 0 : fail(err, errno, "cannot make %s read-only", path);
    int tree = sys_open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0 || sys_mount_setattr(tree, 0, MOUNT_ATTR_RDONLY) < 0) {
        int saved = errno;
        close(target);
        if (tree >= 0) close(tree);
        return fail(err, saved, "cannot make %s read-only", path);
    }
    int result = attach(tree, target, path, err);
    close(tree);
    return result;
}

static int mount_proc(const struct spec *spec, int root, struct error *err)
{
    /* What container engines hide or freeze by default, after the OCI runtime defaults of Docker and Podman. */
    static const char *const hidden[] = { "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "timer_list",
                                          "timer_stats", "sched_debug", "scsi", NULL };
    static const char *const frozen[] = { "bus", "fs", "irq", "sys", "sysrq-trigger", NULL };
    int target = open_strict(root, "proc", err);
    if (target < 0) return -1;
    int tree = new_filesystem("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = attach(tree, target, "/proc", err);
    if (!spec->privileged) {
        for (size_t i = 0; result == 0 && frozen[i]; i++) result = read_only_inside(tree, frozen[i], err);
        for (size_t i = 0; result == 0 && hidden[i]; i++) result = mask(tree, hidden[i], err);
    }
    close(tree);
    return result;
}

static int mount_cgroup(const struct spec *spec, int sys, struct error *err)
{
    int target = sys_openat2(sys, "fs/cgroup", O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (target < 0) return 0;
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
    /* On a host with v1 controllers a mount of cgroup2 would show a hierarchy without limits; show nothing instead. */
    int tree = spec->cgroups_v1.count == 0
                   ? new_filesystem("cgroup2", NULL, attributes, err)
                   : new_filesystem("tmpfs", (const char *const[][2]){ { "mode", "0555" }, { "size", "0" }, { NULL, NULL } }, attributes, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = attach(tree, target, "/sys/fs/cgroup", err);
    close(tree);
    return result;
}

static int mount_sys(const struct spec *spec, int root, struct error *err)
{
    static const char *const hidden[] = { "firmware", "devices/virtual/powercap", "devices/system/cpu/cpu0/thermal_throttle", NULL };
    int target = open_strict(root, "sys", err);
    if (target < 0) return -1;
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (spec->privileged ? 0 : MOUNT_ATTR_RDONLY);
    int tree = new_filesystem("sysfs", NULL, attributes, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = attach(tree, target, "/sys", err);
    if (result == 0) result = mount_cgroup(spec, tree, err);
    if (!spec->privileged)
        for (size_t i = 0; result == 0 && hidden[i]; i++) result = mask(tree, hidden[i], err);
    close(tree);
    return result;
}

static int mount_below_dev(int dev, const char *name, const char *type, const char *const options[][2], unsigned attributes, struct error *err)
{
    if (mkdirat(dev, name, 0755) < 0) return fail(err, errno, "cannot make /dev/%s", name);
    int target = openat(dev, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0) return fail(err, errno, "cannot open /dev/%s", name);
    int tree = new_filesystem(type, options, attributes, err);
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = attach(tree, target, name, err);
    close(tree);
    return result;
}

/* /dev is a tmpfs on which no device node works; the few that a container has are read-only mounts of the host's, so
 * that neither a mknod nor a chmod inside reaches a device of the host. */
static int mount_dev(const struct spec *spec, int root, struct error *err)
{
    static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty", NULL };
    static const char *const links[][2] = { { "/proc/self/fd", "fd" }, { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
                                            { "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" }, { NULL, NULL } };
    const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    int target = open_strict(root, "dev", err);
    if (target < 0) return -1;
    int dev = new_filesystem("tmpfs", (const char *const[][2]){ { "mode", "0755" }, { "size", "65536k" }, { NULL, NULL } },
                             plain | (spec->privileged ? 0 : MOUNT_ATTR_NODEV), err);
    if (dev < 0) {
        close(target);
        return -1;
    }
    int result = attach(dev, target, "/dev", err);
    for (size_t i = 0; result == 0 && devices[i]; i++) {
        char source[32];
        snprintf(source, sizeof source, "/dev/%s", devices[i]);
        int tree = sys_open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (tree < 0 && errno == ENOENT) continue;
        int node = openat(dev, devices[i], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        if (node >= 0) close(node);
        node = openat(dev, devices[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (tree < 0 || node < 0 || sys_mount_setattr(tree, 0, MOUNT_ATTR_RDONLY | plain) < 0) {
            result = fail(err, errno, "cannot give the container /dev/%s", devices[i]);
            if (node >= 0) close(node);
        } else {
            result = attach(tree, node, source, err);
        }
        if (tree >= 0) close(tree);
    }
    for (size_t i = 0; result == 0 && links[i][0]; i++)
        if (symlinkat(links[i][0], dev, links[i][1]) < 0) result = fail(err, errno, "cannot make /dev/%s", links[i][1]);
    char shm[32];
    snprintf(shm, sizeof shm, "%llu", (unsigned long long)spec->shm_bytes);
    if (result == 0)
        result = mount_below_dev(dev, "pts", "devpts", (const char *const[][2]){ { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { "gid", "5" }, { NULL, NULL } }, plain, err);
    if (result == 0)
        result = mount_below_dev(dev, "shm", "tmpfs", (const char *const[][2]){ { "mode", "1777" }, { "size", shm }, { NULL, NULL } }, plain | MOUNT_ATTR_NODEV, err);
    if (result == 0) result = mount_below_dev(dev, "mqueue", "mqueue", NULL, plain | MOUNT_ATTR_NODEV, err);
    close(dev);
    return result;
}

static int mount_user(int root, const struct mount_entry *entry, struct error *err)
{
    int target = open_target(root, entry->target, entry->kind == MOUNT_BIND && (entry->flags & MOUNT_FILE), err);
    if (target < 0) return -1;
    uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    if (entry->flags & MOUNT_READ_ONLY) attributes |= MOUNT_ATTR_RDONLY;
    if (entry->flags & MOUNT_NO_EXEC) attributes |= MOUNT_ATTR_NOEXEC;
    int tree;
    if (entry->kind == MOUNT_TMPFS) {
        char mode[16], size[32];
        snprintf(mode, sizeof mode, "%04o", entry->mode & 07777);
        snprintf(size, sizeof size, "%llu", (unsigned long long)entry->size);
        const char *const options[][2] = { { "mode", mode }, { entry->size ? "size" : NULL, size }, { NULL, NULL } };
        tree = new_filesystem("tmpfs", options, (unsigned)attributes, err);
    } else {
        unsigned recursive = entry->flags & MOUNT_RECURSIVE ? AT_RECURSIVE : 0;
        tree = sys_open_tree(AT_FDCWD, entry->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
        if (tree < 0) fail(err, errno, "cannot open the mount's source %s", entry->source);
        else if (sys_mount_setattr(tree, recursive, attributes) < 0) {
            fail(err, errno, "cannot set the attributes of the mount of %s", entry->source);
            close(tree);
            tree = -1;
        }
    }
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = attach(tree, target, entry->target, err);
    close(tree);
    return result;
}

/* Layers below, the run's own writable layer above. The sources are the daemon's own directories, so paths are safe
 * here; the names are relative to the layers' directory because the options must fit in one page. */
static int mount_overlay(const struct spec *spec, char *staging, size_t staging_size, struct error *err)
{
    char upper[4096], work[4096], *options = NULL;
    snprintf(upper, sizeof upper, "%s/upper", spec->scratch);
    snprintf(work, sizeof work, "%s/work", spec->scratch);
    snprintf(staging, staging_size, "%s/root", spec->scratch);
    const char *const directories[] = { spec->scratch, upper, work, staging };
    for (size_t i = 0; i < 4; i++)
        if (mkdir(directories[i], i == 1 || i == 3 ? 0755 : 0700) < 0 && errno != EEXIST) return fail(err, errno, "cannot make %s", directories[i]);
    if (chdir(spec->layers_dir) < 0) return fail(err, errno, "cannot enter %s", spec->layers_dir);
    size_t length = 0;
    FILE *text = open_memstream(&options, &length);
    if (!text) return fail(err, errno, "cannot describe the root file system");
    for (size_t i = 0; i < spec->lowers.count; i++) fprintf(text, "%s%s", i == 0 ? "lowerdir=" : ":", spec->lowers.items[i]);
    fprintf(text, ",upperdir=%s,workdir=%s", upper, work);
    fclose(text);
    if (!options) return fail(err, ENOMEM, "cannot describe the root file system");
    int result = 0;
    if (length >= 4096) result = fail(err, 0, "the image has too many layers (%zu) for one mount", spec->lowers.count);
    else if (mount("overlay", staging, "overlay", spec->privileged ? 0 : MS_NODEV_FLAG, options) < 0)
        result = fail(err, errno, "cannot mount the root file system of %zu layers on %s", spec->lowers.count, staging);
    free(options);
    return result;
}

static int mount_all(const struct spec *spec, int root, struct error *err)
{
    if (mount_proc(spec, root, err) < 0 || mount_sys(spec, root, err) < 0 || mount_dev(spec, root, err) < 0) return -1;
    for (size_t i = 0; i < spec->mount_count; i++)
        if (mount_user(root, &spec->mounts[i], err) < 0) return -1;
    for (size_t i = 0; i < spec->hidden.count; i++) {
        const char *path = spec->hidden.items[i];
        while (*path == '/') path++;
        if (*path && mask(root, path, err) < 0) return -1;
    }
    return 0;
}

int mounts_enter(const struct spec *spec, struct error *err)
{
    if (mount(NULL, "/", NULL, MS_REC_FLAG | MS_PRIVATE_FLAG, NULL) < 0) return fail(err, errno, "cannot make the mounts private");
    char staging[4096];
    if (mount_overlay(spec, staging, sizeof staging, err) < 0) return -1;
    int root = open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return fail(err, errno, "cannot open %s", staging);
    int result = mount_all(spec, root, err);
    if (result == 0 && spec->read_only && sys_mount_setattr(root, 0, MOUNT_ATTR_RDONLY) < 0)
        result = fail(err, errno, "cannot make the root file system read-only");
    /* pivot_root(".", "."): the old root ends up on top of the new one and is then let go. */
    if (result == 0 && (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)) result = fail(err, errno, "cannot enter the root file system");
    if (result == 0 && (umount2(".", MNT_DETACH_FLAG) < 0 || chdir("/") < 0)) result = fail(err, errno, "cannot leave the host's root file system");
    close(root);
    return result;
}
