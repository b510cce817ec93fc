/* The root file system of a run, in order: what is the daemon's own and the host's is opened first; then the process enters
 * the new root and lets go of the host's; only then is a path looked at that an image, a volume or a recipe has a say in. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* sys/mount.h clashes with linux/mount.h in glibc 2.36; these are all that is used of it. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define MS_NODEV_FLAG 4UL
#define MS_REC_FLAG 16384UL
#define MNT_DETACH_FLAG 2

/* A directory of the layer below, by what the file system has there: other mounts, which the layer does not show, are not
 * entered. One below such a mount cannot be opened (EXDEV). */
static int open_below(int lower, const char *path)
{
    return inside_openat2(lower, path, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

/* One directory of the writable layer as it is below: the same owner and mode, so that the two are one for the container. */
static int copy_directory(int lower, const char *path, int upper, const char *name, struct error *err)
{
    struct stat st = { .st_mode = 0755 };
    int below = open_below(lower, path);
    if (below < 0 ? errno != EXDEV : fstat(below, &st) < 0) {
        int saved = errno;
        if (below >= 0) close(below);
        return fail(err, saved, "cannot hide %.200s", path);
    }
    if (below >= 0) close(below);
    if (mkdirat(upper, name, 0700) < 0 && errno != EEXIST) return fail(err, errno, "cannot hide %.200s", path);
    int made = openat(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made < 0 || fchown(made, st.st_uid, st.st_gid) < 0 || fchmod(made, st.st_mode & 07777) < 0) {
        int saved = errno;
        if (made >= 0) close(made);
        return fail(err, saved, "cannot hide %.200s", path);
    }
    return made;
}

/* Makes a directory of the layer below empty for the container: in the writable layer there is one of the same name which
 * covers it (an opaque directory, in the kernel's overlayfs.rst). Nothing is mounted over it that could be taken away. */
static int hide_in(int lower, int upper, const char *path, struct error *err)
{
    int found = open_below(lower, path);
    if (found < 0 && (errno == ENOENT || errno == ENOTDIR)) return 0;
    if (found >= 0) close(found);
    int at = dup(upper);
    for (const char *end = path; at >= 0 && *end;) {
        const char *start = end;
        end = start + strcspn(start, "/");
        char so_far[4096], name[256];
        snprintf(so_far, sizeof so_far, "%.*s", (int)(end - path), path);
        snprintf(name, sizeof name, "%.*s", (int)(end - start), start);
        int next = copy_directory(lower, so_far, at, name, err);
        close(at);
        if (next < 0) return -1;
        at = next;
        while (*end == '/') end++;
    }
    if (at < 0) return fail(err, errno, "cannot hide %.200s", path);
    int result = fsetxattr(at, "trusted.overlay.opaque", "y", 1, 0);
    if (result < 0) fail(err, errno, "cannot hide %.200s", path);
    close(at);
    return result;
}

static int hide_all(const struct spec *spec, const char *upper, struct error *err)
{
    bool some = false;
    for (size_t i = 0; i < spec->hidden_count; i++) some = some || spec->hidden[i].mount == 0;
    if (!some) return 0;
    /* The layer below is the working directory: see mount_overlay. */
    int lower = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int above = open(upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result = lower < 0 || above < 0 ? fail(err, errno, "cannot open the layers of the root file system") : 0;
    for (size_t i = 0; result == 0 && i < spec->hidden_count; i++)
        if (spec->hidden[i].mount == 0) result = hide_in(lower, above, spec->hidden[i].path, err);
    if (lower >= 0) close(lower);
    if (above >= 0) close(above);
    return result;
}

/* Layers below, the run's own writable layer above. Layers are named relative to the working directory, which the shim
 * chose: so the options fit in one page, and a directory that came as a descriptor is just ".". */
static int mount_overlay(const struct spec *spec, char *staging, size_t staging_size, struct error *err)
{
    char upper[4096], work[4096], *options = NULL;
    snprintf(upper, sizeof upper, "%s/upper", spec->scratch);
    snprintf(work, sizeof work, "%s/work", spec->scratch);
    snprintf(staging, staging_size, "%s/root", spec->scratch);
    const char *const directories[] = { spec->scratch, upper, work, staging };
    for (size_t i = 0; i < 4; i++)
        if (mkdir(directories[i], i == 1 || i == 3 ? 0755 : 0700) < 0 && errno != EEXIST) return fail(err, errno, "cannot make %s", directories[i]);
    if (hide_all(spec, upper, err) < 0) return -1;
    size_t length = 0;
    FILE *text = open_memstream(&options, &length);
    if (!text) return fail(err, errno, "cannot describe the root file system");
    fprintf(text, "lowerdir=");
    if (spec->root_descriptor != NO_DESCRIPTOR) fputc('.', text);
    else
        for (size_t i = 0; i < spec->lowers.count; i++) fprintf(text, "%s%s", i == 0 ? "" : ":", spec->lowers.items[i]);
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

static void shut(int fd)
{
    if (fd >= 0) close(fd);
}

/* pivot_root(".", "."): the old root ends up on top of the new one and is then let go. */
static int pivot(int root, struct error *err)
{
    if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return fail(err, errno, "cannot enter the root file system");
    if (umount2(".", MNT_DETACH_FLAG) < 0 || chdir("/") < 0) return fail(err, errno, "cannot leave the host's root file system");
    return 0;
}

static int fill(const struct spec *spec, int root, const int devices[DEVICES], const int *trees, int *null, struct terminal *terminal, struct fresh *fresh, struct error *err)
{
    int proc = -1, dev = -1;
    int result = system_mount_dev(spec, root, devices, trees[spec->mount_count], &dev, err);
    if (result == 0 && spec->terminal) result = system_open_terminal(dev, terminal, err);
    if (result == 0) result = system_mount_proc(spec, root, &proc, err);
    if (result == 0) result = system_mask_proc(spec, proc, dev, err);
    if (result == 0) result = system_mount_sys(spec, root, dev, err);
    if (result == 0 && (*null = openat(dev, "null", O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        result = fail(err, errno, "cannot open /dev/null for the container's input");
    if (result == 0) result = mounts_add(spec, root, proc, dev, trees, fresh, err);
    if (result == 0 && spec->read_only && mounts_set(root, 0, MOUNT_ATTR_RDONLY) < 0)
        result = fail(err, errno, "cannot make the root file system read-only");
    shut(proc);
    shut(dev);
    return result;
}

int root_enter(const struct spec *spec, const int *trees, int *null, struct terminal *terminal, struct fresh *fresh, struct error *err)
{
    if (mount(NULL, "/", NULL, MS_REC_FLAG | MS_PRIVATE_FLAG, NULL) < 0) return fail(err, errno, "cannot make the mounts private");
    char staging[4096];
    int devices[DEVICES];
    if (mount_overlay(spec, staging, sizeof staging, err) < 0) return -1;
    int root = open(staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0) return fail(err, errno, "cannot open %s", staging);
    int result = system_open_devices(devices, err);
    if (result == 0) result = fail_point("S2", err);
    if (result == 0) result = pivot(root, err);
    if (result == 0) result = fail_point("S3", err);
    if (result == 0) result = fill(spec, root, devices, trees, null, terminal, fresh, err);
    for (size_t i = 0; i < DEVICES; i++) shut(devices[i]);
    for (size_t i = 0; i <= spec->mount_count; i++) shut(trees[i]);
    close(root);
    return result;
}
