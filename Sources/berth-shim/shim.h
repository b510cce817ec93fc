/* What the files of the shim share. The shim is one process a run: it makes one sandbox, stays its parent, keeps its
 * log, and writes down how it ended. It must be small and must outlive the daemon. */
#ifndef BERTH_SHIM_H
#define BERTH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- errors: one sentence, set where the call failed, printed or sent by whoever decides what follows ---- */

#define ERROR_MAX 512
struct error { char text[ERROR_MAX]; };

/* Formats a sentence and, when errnum is not 0, ": " and the name of the error. Always returns -1. */
int fail(struct error *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- launch spec (spec.c) ---- */

#define SPEC_MAGIC 0x48545242u /* "BRTH", little endian */
#define SPEC_VERSION 1u
#define SPEC_MAX (8u << 20)
#define SPEC_HEADER 12u

enum field {
    FIELD_RUN_ID = 1,
    FIELD_RUN_DIR = 2,
    FIELD_LOG_BASE = 3,
    FIELD_LOG_CAP = 4,
    FIELD_LAYERS_DIR = 5,
    FIELD_LOWER = 6,
    FIELD_SCRATCH = 7,
    FIELD_READ_ONLY = 8,
    FIELD_ARGUMENT = 9,
    FIELD_ENVIRONMENT = 10,
    FIELD_WORKING_DIR = 11,
    FIELD_USER = 12,
    FIELD_HOSTNAME = 13,
    FIELD_MOUNT = 14,
    FIELD_HOST_NETWORK = 15,
    FIELD_INIT = 16,
    FIELD_CAPABILITIES = 17,
    FIELD_SECCOMP = 18,
    FIELD_RLIMIT = 19,
    FIELD_CGROUP_V2 = 20,
    FIELD_CGROUP_V1 = 21,
    FIELD_STOP_SIGNAL = 22,
    FIELD_GRACE_MS = 23,
    FIELD_TIMEOUT_MS = 24,
    FIELD_PRIVILEGED = 25,
    FIELD_HIDE = 26,
    FIELD_BOOT_ID = 27,
    FIELD_SHM_BYTES = 28,
};

enum mount_kind { MOUNT_BIND = 1, MOUNT_TMPFS = 2 };
#define MOUNT_READ_ONLY 1u
#define MOUNT_NO_EXEC 2u
#define MOUNT_FILE 4u      /* the source is a file, so the target is made as one */
#define MOUNT_RECURSIVE 8u /* a bind takes the mounts below its source along */

struct mount_entry {
    uint8_t kind, flags;
    uint32_t mode;       /* of a tmpfs */
    uint64_t size;       /* of a tmpfs, bytes; 0 = the kernel's default */
    const char *source;  /* a bind's path on the host */
    const char *target;  /* absolute, no "..", inside the root file system */
};

struct rlimit_entry { uint32_t resource; uint64_t soft, hard; };

struct strings { const char **items; size_t count; };

struct spec {
    const char *run_id, *run_dir, *log_base, *layers_dir, *scratch, *working_dir, *user, *hostname, *cgroup_v2, *boot_id;
    uint64_t log_cap, capabilities, grace_ms, timeout_ms, shm_bytes;
    uint32_t stop_signal;
    bool read_only, host_network, init, privileged;
    struct strings lowers, arguments, environment, cgroups_v1, hidden;
    struct mount_entry *mounts;
    size_t mount_count;
    struct rlimit_entry *rlimits;
    size_t rlimit_count;
    const uint8_t *seccomp;
    size_t seccomp_bytes;
};

/* Reads the fields of a whole spec (header included). Strings point into `bytes`, which must outlive the spec.
 * Returns 0, or -1 with a sentence. spec_free releases what it allocated, also after a failure. */
int spec_parse(struct spec *spec, const uint8_t *bytes, size_t size, struct error *err);
void spec_free(struct spec *spec);
/* Reads one spec from a descriptor into *bytes, which the caller frees. */
int spec_read(int fd, uint8_t **bytes, size_t *size, struct error *err);

/* ---- cgroups (cgroup.c) ---- */

struct usage { uint64_t cpu_usec, memory_peak, io_read, io_write, oom_kills; };

/* Moves the calling process into the run's v1 groups. */
int cgroup_join_v1(const struct spec *spec, struct error *err);
/* Kills all in the run's groups and waits, at most `wait_ms`, until they are empty. 0 when empty, 1 when not. */
int cgroup_empty(const struct spec *spec, bool kill_first, unsigned wait_ms);
void cgroup_usage(const struct spec *spec, struct usage *usage);
/* Removes the run's groups. 0, or 1 when one stays. */
int cgroup_remove(const struct spec *spec);

/* ---- the sandbox, from inside (sandbox.c, mounts.c, user.c, init.c) ---- */

struct sandbox_pipes {
    int ready;   /* the child writes one byte when all is set up, or an error sentence; close-on-exec */
    int go;      /* the child reads one byte; end of file means: leave, run nothing */
    int out, err_out;
    int status;  /* with `init`: pid 1 writes the command's wait status here */
};

/* Never returns: sets the sandbox up, waits for `go`, and becomes the container's process. */
void sandbox_enter(const struct spec *spec, const struct sandbox_pipes *pipes) __attribute__((noreturn));

/* Makes the root file system and everything mounted in it, and makes it the process's root. */
int mounts_enter(const struct spec *spec, struct error *err);

#define USER_GROUPS_MAX 64
struct user { uid_t uid; gid_t gid; gid_t groups[USER_GROUPS_MAX]; size_t group_count; char home[256]; };
/* Looks "user[:group]" (names or numbers) up in the passwd and group files of the current root. */
int user_resolve(const char *text, struct user *user, struct error *err);

/* pid 1 of the container when `init` is set: starts `start` in a child, passes signals on, reaps, and writes the
 * child's wait status to `status_fd`. Never returns. */
void init_run(void (*start)(void *), void *context, int status_fd) __attribute__((noreturn));

/* Writes the compiled filter for these capabilities to a descriptor. */
int seccomp_write(int fd, uint64_t capabilities, struct error *err);

/* ---- the log (log.c) ---- */

struct log;
/* `base` is the path without its ending: BASE.log holds the head, up to half of `cap` bytes; BASE.log.1, .2, ... the
 * tail, in pieces of a quarter, of which the last two are kept; BASE.dropped counts what was let go between them. */
struct log *log_open(const char *base, uint64_t cap, struct error *err);
/* Takes what is readable from a stream (0 = stdout, 1 = stderr). Returns 0 at end of file, 1 otherwise. */
int log_read(struct log *log, int stream, int fd);
void log_close(struct log *log);
uint64_t log_bytes(const struct log *log);
uint64_t log_dropped(const struct log *log);

/* ---- files in the run directory (record.c) ---- */

struct ending {
    bool start_error, timed_out, stop_requested, killed, not_empty;
    int status; /* as waitid gives it: exit code or signal */
    bool signaled;
    char message[ERROR_MAX];
    int64_t started_ns, finished_ns; /* CLOCK_REALTIME; 0 = never started */
    struct usage usage;
    uint64_t log_bytes, log_dropped;
};

int record_facts(const struct spec *spec, pid_t container, struct error *err);
int record_started(const struct spec *spec, int64_t now_ns, struct error *err);
int record_exit(const struct spec *spec, const struct ending *ending, struct error *err);

/* ---- the parent's loop (run.c) ---- */

int run(int control);

/* ---- small things (util.c) ---- */

int64_t now_realtime_ns(void);
int64_t now_boot_ms(void);
int write_all(int fd, const void *bytes, size_t size);
/* Reads a small file whole, NUL-terminated; -1 when it cannot be read. */
ssize_t read_small(const char *directory, const char *name, char *buffer, size_t size);
/* Removes a directory tree that was the run's; at most `budget` entries, 0 = all. 0 when it is gone, 1 when not. */
int remove_tree(const char *path, unsigned budget);
int write_small(const char *directory, const char *name, const char *text);
/* The start time of a process in clock ticks since boot (field 22 of its stat), 0 when it cannot be read. */
unsigned long long process_start_time(pid_t pid);

#endif
