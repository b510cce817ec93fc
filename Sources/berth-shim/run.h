/* What run.c and launch.c share: one run, from the shim's side. */
#ifndef RUN_H
#define RUN_H
#include "shim.h"

#include <unistd.h>

struct shim {
    struct spec spec;
    struct log *log;
    struct ending ending;
    pid_t container;
    int control, pidfd, fifo, signals;
    int ready, go, out, err_out, status; /* the shim's ends of the pipes, -1 when closed */
    int64_t kill_at, timeout_at;         /* boot-time milliseconds, 0 = never */
    int64_t watched_since;               /* boot-time milliseconds */
    int *descriptors, *trees;            /* from the daemon, and the binds' detached mounts, one a mount */
};

static inline void shut(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* ---- launch.c ---- */

/* Takes over what the daemon opened for the run, and makes detached mounts of it. */
int launch_take_sources(struct shim *shim, struct error *err);

void launch_let_go_of_sources(struct shim *shim);

/* Starts the container's first process in new namespaces and, on v2, already in its cgroup. */
int launch_clone(struct shim *shim, struct error *err);

/* Reads that process's report; `expect_ready` before it was told to go. */
int launch_report(struct shim *shim, bool expect_ready, struct error *err);

#endif
