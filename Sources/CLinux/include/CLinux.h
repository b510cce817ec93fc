/* Calls of Linux and its C library that Swift's Glibc module lacks, or that must not be written in Swift because they run
 * between fork and exec. Each returns -1 and sets errno when it fails, as the calls themselves do. */
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor for a process; readable once it has ended. */
int clinux_pidfd_open(pid_t pid);

/* A file in memory with these bytes, that nobody can change or grow any more. */
int clinux_sealed_file(const char *name, const void *bytes, size_t size);

/* Starts the program in `program_fd` with one argument, in a session of its own, with nothing of ours but `control_fd`
 * (as descriptor 3) and `error_fd` (as 2). */
int clinux_spawn(int program_fd, const char *name, const char *argument, int control_fd, int error_fd, pid_t *pid);

/* A timer on the wall clock; a read of it fails with ECANCELED when the clock was set. */
int clinux_wall_timer(void);
/* Expires once, at this many milliseconds since the epoch; in the past is at once. */
int clinux_wall_timer_set(int fd, int64_t milliseconds);

/* A pair of connected stream sockets, closed on exec. */
int clinux_socket_pair(int *first, int *second);

/* What SO_PEERCRED gives: struct ucred, which Swift does not see. */
struct clinux_credentials {
    int32_t pid;
    uint32_t uid, gid;
};

/* Gives memory that is free, and kept for later, back to the system. */
void clinux_give_memory_back(void);

#endif
