/* Mounts by descriptor: new file systems (fsopen, fsmount), detached copies of what is there (open_tree), and their places
 * (move_mount). No path of a host or an image is resolved here but by inside.c. */
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

int mounts_clone(int dir, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int mounts_set(int tree, unsigned flags, uint64_t attributes)
{
    struct mount_attr attr = { .attr_set = attributes };
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr);
}

int mounts_attach(int tree, int target, const char *what, struct error *err)
{
    int result = (int)syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (result < 0) fail(err, errno, "cannot attach %.200s", what);
    close(target);
    return result;
}

int mounts_new(const char *type, const char *const options[][2], unsigned attributes, struct error *err)
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

int mounts_mask(int dir, const char *path, int dev, struct error *err)
{
    int target = inside_openat2(dir, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (target < 0) return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : fail(err, errno, "cannot mask %.200s", path);
    struct stat st;
    if (fstat(target, &st) < 0) {
        int saved = errno;
        close(target);
        return fail(err, saved, "cannot mask %.200s", path);
    }
    int tree;
    if (S_ISDIR(st.st_mode)) {
        tree = mounts_new("tmpfs", (const char *const[][2]){ { "mode", "0555" }, { "size", "0" }, { "nr_inodes", "1" }, { NULL, NULL } },
                          MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
    } else {
        tree = mounts_clone(dev, "null", AT_SYMLINK_NOFOLLOW);
        if (tree < 0) fail(err, errno, "cannot open the null device to mask %.200s", path);
    }
    if (tree < 0) {
        close(target);
        return -1;
    }
    int result = mounts_attach(tree, target, path, err);
    close(tree);
    return result;
}

/* ---- the recipe's mounts ---- */

static uint64_t attributes_of(const struct mount_entry *entry)
{
    uint64_t attributes = MOUNT_ATTR_NOSUID | (entry->flags & MOUNT_DEVICE ? 0 : MOUNT_ATTR_NODEV);
    if (entry->flags & MOUNT_READ_ONLY) attributes |= MOUNT_ATTR_RDONLY;
    if (entry->flags & MOUNT_NO_EXEC) attributes |= MOUNT_ATTR_NOEXEC;
    return attributes;
}

int mounts_detach(const struct spec *spec, const int *descriptors, int *trees, struct error *err)
{
    for (size_t i = 0; i < spec->mount_count; i++) trees[i] = -1;
    for (size_t i = 0; i < spec->mount_count; i++) {
        const struct mount_entry *entry = &spec->mounts[i];
        if (entry->kind != MOUNT_BIND) continue;
        unsigned recursive = entry->flags & MOUNT_RECURSIVE ? AT_RECURSIVE : 0;
        trees[i] = mounts_clone(descriptors[entry->descriptor], "", AT_EMPTY_PATH | recursive);
        /* The kernel copies nothing that was unmounted since it was opened. */
        if (trees[i] < 0 && errno == EINVAL && entry->flags & MOUNT_OPTIONAL) continue;
        int result = trees[i] < 0 ? fail(err, errno, "cannot open the mount's source %.200s", entry->source) : 0;
        /* Private: a copy of a shared mount is its peer, and what the container mounts on it would be mounted on the host. */
        struct mount_attr attr = { .attr_set = attributes_of(entry), .propagation = MS_PRIVATE_FLAG };
        if (result == 0 && syscall(SYS_mount_setattr, trees[i], "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) < 0)
            result = fail(err, errno, "cannot set the attributes of the mount of %.200s", entry->source);
        if (result == 0) continue;
        for (size_t j = 0; j <= i; j++)
            if (trees[j] >= 0) close(trees[j]);
        return -1;
    }
    return 0;
}

static bool lies_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == 0 || path[length] == '/');
}

/* Where a target was found to be, by the container's own /proc: nothing may lie over what the sandbox itself mounts, unless
 * the recipe names a place in /dev or /sys for it. That name must be the place: a link of the image that leads there is none. */
static int check_place(int proc, int target, const struct mount_entry *entry, struct error *err)
{
    char name[32], where[4096];
    snprintf(name, sizeof name, "self/fd/%d", target);
    ssize_t length = readlinkat(proc, name, where, sizeof where - 1);
    if (length <= 0) return fail(err, errno, "cannot tell where the mount's target %.200s is", entry->target);
    where[length] = 0;
    if (entry->flags & MOUNT_NAMED && (lies_in(where, "/dev") || lies_in(where, "/sys")) && strcmp(where, entry->target) == 0) return 0;
    if (strcmp(where, "/") != 0 && !lies_in(where, "/proc") && !lies_in(where, "/sys") && !lies_in(where, "/dev")) return 0;
    if (strcmp(where, entry->target) == 0) return fail(err, 0, "nothing can be mounted on %.200s: it belongs to the sandbox", where);
    return fail(err, 0, "the mount's target %.200s leads to %.200s, which belongs to the sandbox: refused", entry->target, where);
}

static int new_tmpfs(const struct mount_entry *entry, struct error *err)
{
    char mode[16], size[32];
    snprintf(mode, sizeof mode, "%04o", entry->mode & 07777);
    snprintf(size, sizeof size, "%llu", (unsigned long long)entry->size);
    char words[128], *left = words;
    if (strlen(entry->source) >= sizeof words) return fail(err, 0, "the options of %.200s are too long", entry->target);
    strcpy(words, entry->source);
    const char *options[8][2] = { { "mode", mode } };
    size_t count = 1;
    if (entry->size) options[count][0] = "size", options[count++][1] = size;
    for (char *word; count < 7 && (word = strsep(&left, ",")) && *word; count++) {
        options[count][0] = strsep(&word, "=");
        options[count][1] = word;
    }
    return mounts_new("tmpfs", (const char *const(*)[2])options, (unsigned)attributes_of(entry), err);
}

/* A fresh volume takes over the owner and mode of the image's directory at its place, as Docker has it. Where the image has
 * none, it waits for the container's user to be known. */
static int own_fresh(const struct mount_entry *entry, int root, int tree, struct fresh *fresh, struct error *err)
{
    struct stat st, now;
    int volume = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (volume < 0 || fstat(volume, &now) < 0) return fail(err, errno, "cannot open the volume for %.200s", entry->target);
    /* One that has an owner keeps it: another container may use it, and have nothing in it at present. */
    if (now.st_uid != 0 || now.st_gid != 0) {
        close(volume);
        return 0;
    }
    int before = inside_open(root, entry->target);
    bool was_there = before >= 0 && fstat(before, &st) == 0 && S_ISDIR(st.st_mode);
    if (before >= 0) close(before);
    if (was_there) {
        int result = fchown(volume, st.st_uid, st.st_gid) < 0 || fchmod(volume, st.st_mode & 07777) < 0 ? fail(err, errno, "cannot give the volume for %.200s its owner", entry->target) : 0;
        close(volume);
        return result;
    }
    if (fresh->count == sizeof fresh->volumes / sizeof *fresh->volumes) close(volume);
    else fresh->volumes[fresh->count++] = volume;
    return 0;
}

int mounts_give(struct fresh *fresh, uid_t uid, gid_t gid, struct error *err)
{
    int result = 0;
    for (size_t i = 0; i < fresh->count; i++) {
        if (result == 0 && fchown(fresh->volumes[i], uid, gid) < 0) result = fail(err, errno, "cannot give a volume to user %u", uid);
        close(fresh->volumes[i]);
    }
    fresh->count = 0;
    return result;
}

static int add(const struct spec *spec, size_t index, int root, int proc, int dev, int tree, struct fresh *fresh, struct error *err)
{
    const struct mount_entry *entry = &spec->mounts[index];
    if (tree < 0 && entry->flags & MOUNT_OPTIONAL) return 0;
    hook("target");
    if (entry->flags & MOUNT_FRESH && tree >= 0 && own_fresh(entry, root, tree, fresh, err) < 0) return -1;
    int target = inside_make(root, entry->target, entry->kind == MOUNT_BIND && (entry->flags & MOUNT_FILE), err);
    if (target < 0) return -1;
    int own = entry->kind == MOUNT_TMPFS ? -1 : tree;
    if (check_place(proc, target, entry, err) < 0 || (own < 0 && (own = new_tmpfs(entry, err)) < 0)) {
        close(target);
        return -1;
    }
    int result = mounts_attach(own, target, entry->target, err);
    for (size_t i = 0; result == 0 && i < spec->hidden_count; i++)
        if (spec->hidden[i].mount == index + 1) result = mounts_mask(own, spec->hidden[i].path, dev, err);
    if (own != tree) close(own);
    return result;
}

int mounts_add(const struct spec *spec, int root, int proc, int dev, const int *trees, struct fresh *fresh, struct error *err)
{
    for (size_t i = 0; i < spec->mount_count; i++)
        if (add(spec, i, root, proc, dev, trees[i], fresh, err) < 0) return -1;
    return 0;
}
