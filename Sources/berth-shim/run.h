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
    int *descriptors, *trees;            /* from the daemon, and the binds' detached mounts, one a mount; behind them /dev/shm */
    int link;                            /* where the first process sends descriptors, -1 when it has none to send */
    int terminal;                        /* the container's end of its terminal, -1 when it has none */
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

/* Takes over what that process sent: the terminal that it made, whose output is read from now on, and the process that is in another
 * container's pid namespace, which is the container's first from now on. */
int launch_take_over(struct shim *shim, struct error *err);

/* ---- join.c ---- */

/* Makes a detached mount of the /dev/shm of the container whose shared memory is joined, in the last place of `trees`. */
int join_shared_memory(struct shim *shim, struct error *err);
/* The pidfd that came with the spec under a number; -1 = none. */
int join_target(const struct shim *shim, uint64_t number);

/* Reads that process's report; `expect_ready` before it was told to go. */
int launch_report(struct shim *shim, bool expect_ready, struct error *err);

#endif
