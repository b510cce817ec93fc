/* The first use of a volume: what the image has at its place is copied into it, with owners and modes, as Docker does. It is copied
 * beside the volume and moved there when it is whole: one that was cut short is begun anew. */
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
#include <sys/xattr.h>
#include <unistd.h>

/* Deeper than any image that is not made to hurt. */
#define SEED_DEPTH 200

static int copy_attributes(int from, int to, struct error *err)
{
    char names[4096], value[65536];
    ssize_t length = flistxattr(from, names, sizeof names);
    if (length < 0) return errno == ENOTSUP || errno == ERANGE ? 0 : fail(err, errno, "cannot read attributes of the image's files");
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        /* Those of the layers' own file system say nothing about the file. */
        if (strncmp(name, "trusted.", 8) == 0) continue;
        ssize_t size = fgetxattr(from, name, value, sizeof value);
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

static int copy_file(int from, int to, const struct stat *st, struct error *err)
{
    off_t left = st->st_size;
    while (left > 0) {
        ssize_t done = copy_file_range(from, NULL, to, NULL, (size_t)left, 0);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) break;
        if (done < 0) return fail(err, errno, "cannot copy a file into the volume");
        if (done == 0) return 0;
        left -= done;
    }
    char buffer[65536];
    for (ssize_t got; left > 0 && (got = read(from, buffer, sizeof buffer)) != 0;) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(err, errno, "cannot read a file of the image");
        if (write_all(to, buffer, (size_t)got) < 0) return fail(err, errno, "cannot copy a file into the volume");
    }
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
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | directory);
    if (source < 0) return fail(err, errno, "cannot open a file of the image");
    int result = directory && mkdirat(to, name, 0700) < 0 ? fail(err, errno, "cannot make a directory in the volume") : 0;
    int target = result < 0 ? -1 : openat(to, name, directory ? O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (result == 0 && target < 0) result = fail(err, errno, "cannot make a file in the volume");
    if (result == 0) result = directory ? copy_tree(source, target, depth + 1, err) : copy_file(source, target, &st, err);
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

static int seed(const char *volume, const char *target, const char *layers_dir, char *const *layers, size_t count, struct error *err)
{
    char copy[4096], place[4096];
    if ((size_t)snprintf(copy, sizeof copy, "%s.copy", volume) >= sizeof copy || (size_t)snprintf(place, sizeof place, "%s.image", volume) >= sizeof place)
        return fail(err, 0, "the volume's path is too long");
    remove_tree(copy, 0);
    if ((mkdir(place, 0700) < 0 && errno != EEXIST) || mkdir(copy, 0700) < 0) return fail(err, errno, "cannot make a directory beside the volume");
    if (chdir(layers_dir) < 0) return fail(err, errno, "cannot enter %s", layers_dir);
    int root = open_image(layers, count, place, err);
    if (root < 0) return -1;
    int from = inside_open(root, target);
    struct stat st;
    int result = 0;
    if (from < 0 || fstat(from, &st) < 0 || !S_ISDIR(st.st_mode)) {
        /* There is nothing to copy. */
        if (from >= 0) close(from);
        close(root);
        rmdir(copy);
        return 0;
    }
    /* What inside_open gives may be a place only. */
    int source = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = open(copy, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0 || to < 0) result = fail(err, errno, "cannot open the image's directory %.200s", target);
    if (result == 0) result = copy_tree(source, to, 0, err);
    if (result == 0) result = finish(source, to, &st, err);
    /* On disk before it is the volume: after a power cut it is whole, or not there. */
    if (result == 0 && syncfs(to) < 0) result = fail(err, errno, "cannot write the volume to disk");
    if (result == 0 && rename(copy, volume) < 0) result = fail(err, errno, "cannot move the copy to %.200s", volume);
    if (to >= 0) close(to);
    if (source >= 0) close(source);
    close(from);
    close(root);
    return result;
}

int seed_volume(const char *volume, const char *target, const char *layers_dir, char *const *layers, size_t count)
{
    struct error err;
    char place[4096], copy[4096];
    int result = seed(volume, target, layers_dir, layers, count, &err);
    if (result < 0) fprintf(stderr, "%s\n", err.text);
    snprintf(place, sizeof place, "%s.image", volume);
    snprintf(copy, sizeof copy, "%s.copy", volume);
    if (chdir("/") == 0) umount2(place, MNT_DETACH);
    rmdir(place);
    if (result < 0) remove_tree(copy, 0);
    return result < 0;
}
