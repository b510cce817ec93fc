/* Paths inside a root file system. They are attacker data: an image, a volume or a recipe chose them. They are opened below
 * the root's descriptor by openat2, whose links stay inside, and which follows no link of /proc to an open file. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 8

int inside_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
    long fd;
    /* EAGAIN: a rename raced with ".."; somebody else can keep that up, but not for ever. */
    int attempts = 0;
    do
        fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++attempts < 1000)));
    return (int)fd;
}

int inside_open(int root, const char *path)
{
    while (*path == '/') path++;
    return inside_openat2(root, *path ? path : ".", O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* Joins a link's text to the directory it lies in. ".." stays for the kernel to follow: what it leads to depends on links. */
static int follow(const char *parent, const char *text, char *path, size_t size)
{
    char joined[8192];
    if (snprintf(joined, sizeof joined, "%s/%s", text[0] == '/' ? "" : parent, text) >= (int)sizeof joined) return -1;
    size_t used = 0;
    for (const char *at = joined; *at;) {
        while (*at == '/') at++;
        size_t length = strcspn(at, "/");
        if (length > 0 && !(length == 1 && at[0] == '.')) {
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

static int make_entry(int directory, const char *name, bool file)
{
    if (!file) return mkdirat(directory, name, 0755);
    int made = openat(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (made < 0) return -1;
    close(made);
    return 0;
}

/* Makes the entry that `path` ends with, whose parent is there. When it is a link that leads nowhere, `path` becomes where
 * the link leads, and 1 is returned. */
static int make_last(int root, char *path, size_t size, bool file, struct error *err)
{
    char parent[4096], text[4096], next[4096];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    char *name = slash + 1;
    if (strlen(name) > 255) return fail(err, ENAMETOOLONG, "cannot make %.200s inside the root file system", path);
    *slash = 0;
    int directory = inside_open(root, parent);
    if (directory < 0) return fail(err, errno, "cannot open %.200s inside the root file system", parent);
    ssize_t length = readlinkat(directory, name, text, sizeof text - 1);
    int made = length >= 0 ? 0 : make_entry(directory, name, file), saved = errno;
    close(directory);
    if (length < 0) return made < 0 && saved != EEXIST ? fail(err, saved, "cannot make %.200s inside the root file system", path) : 0;
    text[length] = 0;
    if (follow(parent, text, next, sizeof next) < 0) return fail(err, ENAMETOOLONG, "cannot follow the link %.200s inside the root file system", path);
    snprintf(path, size, "%s", next);
    return 1;
}

/* Makes what is missing of one path, from the top down. Without recursion: how deep it is was an image's choice. */
int inside_make(int root, const char *wanted, bool file, struct error *err)
{
    char path[4096];
    int links = LINKS_MAX;
    if (follow("", wanted, path, sizeof path) < 0) return fail(err, ENAMETOOLONG, "cannot open %.200s inside the root file system", wanted);
    for (size_t end = 0;;) {
        int fd = inside_open(root, path);
        if (fd >= 0) return fd;
        if (errno == ELOOP) return fail(err, 0, "%.200s in the root file system leads through a link that is not followed: refused", wanted);
        if (errno != ENOENT) return fail(err, errno, "cannot open %.200s inside the root file system", wanted);
        if (path[end] == 0) return fail(err, ENOENT, "cannot open %.200s inside the root file system", wanted);
        end += 1 + strcspn(path + end + 1, "/");
        char rest[4096];
        snprintf(rest, sizeof rest, "%s", path + end);
        path[end] = 0;
        fd = inside_open(root, path);
        int result = 0;
        if (fd >= 0) close(fd);
        else if (errno == ENOENT) result = make_last(root, path, sizeof path, file && !*rest, err);
        if (result < 0) return -1;
        if (result == 1) {
            if (links-- == 0) return fail(err, ELOOP, "cannot open %.200s inside the root file system", wanted);
            end = 0;
        }
        size_t used = strlen(path);
        if (used == 1 && *rest) used = 0;
        if (snprintf(path + used, sizeof path - used, "%s", rest) >= (int)(sizeof path - used))
            return fail(err, ENAMETOOLONG, "cannot open %.200s inside the root file system", wanted);
    }
}

int inside_own(int root, const char *name, struct error *err)
{
    if (mkdirat(root, name, 0755) < 0 && errno != EEXIST) return fail(err, errno, "cannot make /%s inside the root file system", name);
    int fd = inside_openat2(root, name, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fail(err, 0, "/%s in the root file system is not a directory but a link or a file: refused", name);
    if (fd < 0) return fail(err, errno, "cannot open /%s inside the root file system", name);
    return fd;
}
