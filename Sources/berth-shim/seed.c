/* The first use of a volume: what the image has at its place is copied into it, with owners and modes, as Docker does. It is copied
 * beside the volume, and moved into it when it is whole: a copy that was cut short is begun anew, a move is gone on with. The volume's own
 * directory stays the one that it is: another container may have it mounted. */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Deeper than any image that is not made to hurt. */
#define SEED_DEPTH 200

/* What a copy leaves free of the disk: an image's files may be small, and many names of large ones. */
#define SEED_FREE (128u << 20)

struct linked { dev_t device; ino_t inode; char *path; };

/* One copy at a time, in a process of its own. */
static struct { int top; size_t used; char path[4096]; struct linked *links; size_t count; } copying;
static char bytes[65536];

static int copy_attributes(int from, int to, struct error *err)
{
    char names[4096];
    char *value = bytes;
    ssize_t length = flistxattr(from, names, sizeof names);
    if (length < 0) return errno == ENOTSUP || errno == ERANGE ? 0 : fail(err, errno, "cannot read attributes of the image's files");
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        /* Those of the layers' own file system say nothing about the file. */
        if (strncmp(name, "trusted.", 8) == 0) continue;
        ssize_t size = fgetxattr(from, name, value, sizeof bytes);
        if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != ENOTSUP && errno != EPERM)
            return fail(err, errno, "cannot set an attribute of a file in the volume");
    }
    return 0;
}

static int finish(int from, int to, const struct stat *st, struct error *err)
{
    const struct timespec times[2] = { st->st_atim, st->st_mtim };
    if (fchown(to, st->st_uid, st->st_gid) < 0) return fail(err, errno, "cannot give a file in the volume its owner");
    /* After the owner: a change of that drops the set-user-ID bits. */
    if (fchmod(to, st->st_mode & 07777) < 0) return fail(err, errno, "cannot set the mode of a file in the volume");
    if (copy_attributes(from, to, err) < 0) return -1;
    futimens(to, times);
    return 0;
}

static int copy_range(int from, int to, off_t start, off_t end, struct error *err)
{
    off_t at = start, there = start;
    while (at < end) {
        ssize_t done = copy_file_range(from, &at, to, &there, (size_t)(end - at), 0);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) break;
    }
    while (at < end) {
        size_t most = (size_t)(end - at) < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
        ssize_t got = pread(from, bytes, most, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(err, errno, "cannot read a file of the image");
        if (got == 0) return 0;
        for (ssize_t put = 0; put < got;) {
            ssize_t done = pwrite(to, bytes + put, (size_t)(got - put), at + put);
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) return fail(err, errno, "cannot copy a file into the volume");
            put += done;
        }
        at += got;
    }
    return 0;
}

/* Holes stay holes. */
static int copy_file(int from, int to, const struct stat *st, struct error *err)
{
    struct statvfs disk;
    if (fstatvfs(to, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < (uint64_t)st->st_blocks * 512 + SEED_FREE)
        return fail(err, 0, "the disk has no room for what the image has there");
    if (ftruncate(to, st->st_size) < 0) return fail(err, errno, "cannot make a file in the volume");
    for (off_t at = 0; at < st->st_size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) return 0;
        if (data < 0) data = at;
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0 || hole > st->st_size) hole = st->st_size;
        if (copy_range(from, to, data, hole, err) < 0) return -1;
        at = hole;
    }
    return 0;
}

/* Whether a file was copied under another name: then this one is a link to that.
 * 1 = it is done, 0 = it is to be copied. */
static int copy_link(int to, const char *name, const struct stat *st, struct error *err)
{
    if (st->st_nlink < 2) return 0;
    for (size_t i = 0; i < copying.count; i++)
        if (copying.links[i].device == st->st_dev && copying.links[i].inode == st->st_ino)
            return linkat(copying.top, copying.links[i].path, to, name, 0) < 0 ? fail(err, errno, "cannot make a link in the volume") : 1;
    struct linked *more = realloc(copying.links, (copying.count + 1) * sizeof *more);
    char *path = NULL;
    if (more) copying.links = more;
    if (!more || asprintf(&path, "%.*s%s", (int)copying.used, copying.path, name) < 0) return fail(err, ENOMEM, "cannot copy the image's files");
    copying.links[copying.count++] = (struct linked){ st->st_dev, st->st_ino, path };
    return 0;
}

static int copy_tree(int from, int to, int depth, struct error *err);

static int copy_one(int from, int to, const char *name, int depth, struct error *err)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return fail(err, errno, "cannot look at a file of the image");
    if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t length = readlinkat(from, name, target, sizeof target - 1);
        if (length < 0) return fail(err, errno, "cannot read a link of the image");
        target[length] = 0;
        if (symlinkat(target, to, name) < 0 || fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
            return fail(err, errno, "cannot make a link in the volume");
        return 0;
    }
    if (S_ISFIFO(st.st_mode)) {
        if (mkfifoat(to, name, 0600) < 0 || fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(to, name, st.st_mode & 07777, 0) < 0)
            return fail(err, errno, "cannot make a pipe in the volume");
        return 0;
    }
    /* Devices and sockets are nothing that a volume is to have. */
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return 0;
    int directory = S_ISDIR(st.st_mode) ? O_DIRECTORY : 0;
    int linked = directory ? 0 : copy_link(to, name, &st, err);
    if (linked != 0) return linked < 0 ? -1 : 0;
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | directory);
    if (source < 0) return fail(err, errno, "cannot open a file of the image");
    int result = directory && mkdirat(to, name, 0700) < 0 ? fail(err, errno, "cannot make a directory in the volume") : 0;
    int target = result < 0 ? -1 : openat(to, name, directory ? O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (result == 0 && target < 0) result = fail(err, errno, "cannot make a file in the volume");
    size_t before = copying.used;
    if (result == 0 && directory) {
        int more = snprintf(copying.path + before, sizeof copying.path - before, "%s/", name);
        if (more < 0 || (size_t)more >= sizeof copying.path - before) result = fail(err, 0, "a path of the image is too long");
        else copying.used += (size_t)more;
    }
    if (result == 0) result = directory ? copy_tree(source, target, depth + 1, err) : copy_file(source, target, &st, err);
    copying.used = before;
    if (result == 0) result = finish(source, target, &st, err);
    if (target >= 0) close(target);
    close(source);
    return result;
}

static int copy_tree(int from, int to, int depth, struct error *err)
{
    if (depth > SEED_DEPTH) return fail(err, 0, "the image's directory is more than %d levels deep", SEED_DEPTH);
    int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = again < 0 ? NULL : fdopendir(again);
    if (!stream) {
        if (again >= 0) close(again);
        return fail(err, errno, "cannot read a directory of the image");
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        result = copy_one(from, to, entry->d_name, depth, err);
    }
    closedir(stream);
    return result;
}

/* The image's files: its layers over each other, for this process alone. */
static int open_image(char *const *layers, size_t count, const char *place, struct error *err)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return fail(err, errno, "cannot make the mounts private");
    int root = -1;
    /* Layers below need a second one, or none. */
    if (count == 1) {
        root = open(layers[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return root < 0 ? fail(err, errno, "cannot open the image's layer") : root;
    }
    char options[4096] = "lowerdir=";
    size_t used = strlen(options);
    for (size_t i = 0; i < count; i++) {
        int more = snprintf(options + used, sizeof options - used, "%s%s", i == 0 ? "" : ":", layers[i]);
        if (more < 0 || (size_t)more >= sizeof options - used) return fail(err, 0, "the image has too many layers (%zu) for one mount", count);
        used += (size_t)more;
    }
    if (mount("overlay", place, "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID, options) < 0) return fail(err, errno, "cannot mount the image's layers");
    root = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? fail(err, errno, "cannot open the image's files") : root;
}

/* Beside the volume, and called as no volume is: names of volumes have no '~'. */
static int beside(char *path, size_t size, const char *volume, const char *what, struct error *err)
{
    const char *name = strrchr(volume, '/');
    if (!name || (size_t)snprintf(path, size, "%.*s/~%s~%s", (int)(name - volume), volume, what, name + 1) >= size) return fail(err, 0, "the volume's path is too long");
    return 0;
}

/* Moves what a whole copy holds into the volume. What has a name there already was made by somebody who runs: it stays. */
static int move_in(const char *whole, const char *volume, struct error *err)
{
    struct stat st;
    int from = open(whole, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0) return fail(err, errno, "cannot open the copy of the image's files");
    if (mkdir(volume, 0755) < 0 && errno != EEXIST) return fail(err, errno, "cannot make the volume");
    int to = open(volume, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = to < 0 ? NULL : fdopendir(dup(from));
    int result = to < 0 || !stream ? fail(err, errno, "cannot open the volume") : 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (renameat2(from, entry->d_name, to, entry->d_name, RENAME_NOREPLACE) < 0 && errno != EEXIST && errno != ENOENT)
            result = fail(err, errno, "cannot move the image's files into the volume");
    }
    if (stream) closedir(stream);
    if (result == 0) result = finish(from, to, &st, err);
    if (result == 0 && syncfs(to) < 0) result = fail(err, errno, "cannot write the volume to disk");
    if (to >= 0) close(to);
    close(from);
    /* Last: as long as it is there, it is moved. */
    if (result == 0) remove_tree(whole, 0);
    return result;
}

static int copy_image(const char *target, const char *layers_dir, char *const *layers, size_t count, const char *place, const char *part, struct error *err)
{
    remove_tree(part, 0);
    if ((mkdir(place, 0700) < 0 && errno != EEXIST) || mkdir(part, 0700) < 0) return fail(err, errno, "cannot make a directory beside the volume");
    if (chdir(layers_dir) < 0) return fail(err, errno, "cannot enter %s", layers_dir);
    int root = open_image(layers, count, place, err);
    if (root < 0) return -1;
    int from = inside_open(root, target);
    struct stat st;
    if (from < 0 || fstat(from, &st) < 0 || !S_ISDIR(st.st_mode)) {
        /* There is nothing to copy. */
        if (from >= 0) close(from);
        close(root);
        return 1;
    }
    int result = 0;
    /* What inside_open gives may be a place only. */
    int source = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = open(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    copying.top = to;
    if (source < 0 || to < 0) result = fail(err, errno, "cannot open the image's directory %.200s", target);
    if (result == 0) result = copy_tree(source, to, 0, err);
    if (result == 0) result = finish(source, to, &st, err);
    if (result == 0 && syncfs(to) < 0) result = fail(err, errno, "cannot write the volume to disk");
    if (to >= 0) close(to);
    if (source >= 0) close(source);
    close(from);
    close(root);
    return result;
}

static int seed(const char *volume, const char *target, const char *layers_dir, char *const *layers, size_t count, struct error *err)
{
    char part[4096], whole[4096], place[4096];
    if (beside(part, sizeof part, volume, "part", err) < 0 || beside(whole, sizeof whole, volume, "seed", err) < 0 ||
        beside(place, sizeof place, volume, "image", err) < 0)
        return -1;
    if (access(whole, F_OK) == 0) return move_in(whole, volume, err);
    int result = copy_image(target, layers_dir, layers, count, place, part, err);
    if (chdir("/") == 0) umount2(place, MNT_DETACH);
    rmdir(place);
    if (result == 0 && rename(part, whole) < 0) result = fail(err, errno, "cannot name the copy of the image's files");
    if (result == 0) result = move_in(whole, volume, err);
    if (result != 0) remove_tree(part, 0);
    return result < 0 ? -1 : 0;
}

int seed_volume(const char *volume, const char *target, const char *layers_dir, char *const *layers, size_t count)
{
    struct error err;
    int result = seed(volume, target, layers_dir, layers, count, &err);
    for (size_t i = 0; i < copying.count; i++) free(copying.links[i].path);
    free(copying.links);
    if (result < 0) fprintf(stderr, "%s\n", err.text);
    return result < 0;
}
