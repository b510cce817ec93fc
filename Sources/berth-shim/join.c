/* Namespaces of another container that this one is in: its processes, its shared memory and message queues. */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>

int join_target(const struct shim *shim, uint64_t number) { return number == NO_DESCRIPTOR ? -1 : shim->descriptors[number]; }

static int gone(struct error *err, const char *what)
{
    return errno == ESRCH ? fail(err, 0, "the container whose %s it shares has ended", what) : fail(err, errno, "cannot join another container's %s", what);
}

int join_shared_memory(struct shim *shim, struct error *err)
{
    int target = join_target(shim, shim->spec.ipc_descriptor), *tree = &shim->trees[shim->spec.mount_count];
    if (target < 0) return 0;
    /* A mount is copied by who is in its mount namespace, and this process is alone in itself: it goes there and comes back. */
    int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (own < 0) return fail(err, errno, "cannot find the shim's mounts");
    if (setns(target, CLONE_NEWNS) < 0) {
        gone(err, "shared memory");
        close(own);
        return -1;
    }
    *tree = mounts_clone(AT_FDCWD, "/dev/shm", AT_SYMLINK_NOFOLLOW);
    int code = errno;
    /* Without its own mounts it can do nothing right any more. */
    if (setns(own, CLONE_NEWNS) < 0 || chdir("/") < 0) _exit(1);
    close(own);
    if (*tree < 0) return fail(err, code, "cannot open the other container's /dev/shm");
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, .propagation = MS_PRIVATE_FLAG };
    return syscall(SYS_mount_setattr, *tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0 ? fail(err, errno, "cannot prepare /dev/shm") : 0;
}

int join_ipc(int target, struct error *err) { return target >= 0 && setns(target, CLONE_NEWIPC) < 0 ? gone(err, "message queues") : 0; }

int join_processes(int target, struct error *err) { return target >= 0 && setns(target, CLONE_NEWPID) < 0 ? gone(err, "processes") : 0; }
