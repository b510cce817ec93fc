/* What the files of the shim share. The shim is one process a run, forked from one process of the same program: it makes
 * one sandbox, stays its parent, keeps its log, and writes down how it ended. It must be small and must outlive the daemon. */
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
#define SPEC_VERSION 2u
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
    FIELD_ROOT_DESCRIPTOR = 29,
    FIELD_DESCRIPTORS = 30,
    FIELD_CPU_MILLIS = 31,
    FIELD_NETWORK_DESCRIPTOR = 32,
    FIELD_TARGET_DESCRIPTOR = 33,
    FIELD_OUTPUT_DESCRIPTOR = 34,
    FIELD_GROUP = 35,
    FIELD_SYSCTL = 36,
    FIELD_OOM_SCORE = 37,
    FIELD_HOST_NAMESPACES = 38,
    FIELD_OPEN_INPUT = 39,
    FIELD_TERMINAL = 40,
    FIELD_PROCESSES_DESCRIPTOR = 41,
    FIELD_IPC_DESCRIPTOR = 42,
    FIELD_JOURNAL = 43,
};

enum mount_kind { MOUNT_BIND = 1, MOUNT_TMPFS = 2 };
#define MOUNT_READ_ONLY 1u
#define MOUNT_NO_EXEC 2u
#define MOUNT_FILE 4u      /* the source is a file, so the target is made as one */
#define MOUNT_RECURSIVE 8u /* a bind takes the mounts below its source along */
#define MOUNT_NAMED 16u    /* a target below /dev or /sys that the recipe names on purpose, such as /dev/shm */
#define MOUNT_OPTIONAL 32u /* left out when its source is not mounted any more */
#define MOUNT_FRESH 64u    /* an empty volume: it gets an owner when it has none but root yet */
#define MOUNT_DEVICE 128u  /* a device node of the host, which works */

/* Namespaces of the host that a container is in. */
#define HOST_PID 1u
#define HOST_IPC 2u
#define HOST_UTS 4u

/* Descriptors that come with the spec, at most. */
#define DESCRIPTORS_MAX 4096u

struct mount_entry {
    uint8_t kind, flags;
    uint16_t descriptor; /* of a bind: which of the descriptors that come with the spec is its source */
    uint32_t mode;       /* of a tmpfs */
    uint64_t size;       /* of a tmpfs, bytes; 0 = the kernel's default */
    const char *source;  /* a bind's source as messages call it, never opened; further options of a tmpfs, as uid=5,gid=5 */
    const char *target;  /* absolute, no "..", inside the root file system */
};

/* Open volumes that are given to the container's user once that is known; more than this keep their owner. */
struct fresh { int volumes[64]; size_t count; };

/* The two ends of a terminal: what the container has, and what the shim reads. */
struct terminal { int own, other; };

/* A path to hide, relative to a mount of the spec, or to the root file system. */
struct hidden_entry {
    size_t mount; /* 0 = the root file system, n = mounts[n - 1] */
    const char *path;
};

#define NO_DESCRIPTOR UINT64_MAX
#define NO_OOM_SCORE UINT64_MAX

struct rlimit_entry { uint32_t resource; uint64_t soft, hard; };

struct strings { const char **items; size_t count; };

struct spec {
    const char *run_id, *run_dir, *log_base, *layers_dir, *scratch, *working_dir, *user, *hostname, *cgroup_v2, *boot_id;
    const char *journal; /* fields of the container's entries in the journal, a line each; NULL = it has none */
    uint64_t log_cap, capabilities, grace_ms, timeout_ms, shm_bytes, descriptors, cpu_millis;
    uint64_t root_descriptor; /* the directory that is the only layer; NO_DESCRIPTOR = the layers are in `layers_dir` */
    uint64_t network_descriptor; /* the network namespace to join; NO_DESCRIPTOR = a new one, or the host's */
    /* Of a command beside a run's own: the pidfd of the container's first process, and where its output goes. */
    uint64_t target_descriptor, output_descriptor;
    /* Pidfds of containers' first processes, whose pid and IPC namespaces are joined; NO_DESCRIPTOR = new ones, or the host's. */
    uint64_t processes_descriptor, ipc_descriptor;
    uint64_t oom_score;       /* 1000 more than oom_score_adj; NO_OOM_SCORE = none of its own */
    uint64_t host_namespaces; /* HOST_PID and others */
    bool open_input;          /* its input never ends, and nothing comes */
    bool terminal;            /* its streams are a terminal, whose output is the log */
    struct strings groups, sysctls; /* "name=value"; the names are checked here again */
    uint32_t stop_signal;
    bool read_only, host_network, init, privileged;
    struct strings lowers, arguments, environment, cgroups_v1;
    struct hidden_entry *hidden;
    size_t hidden_count;
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

/* ---- descriptors (descriptors.c) ---- */

/* Receives `count` descriptors from a Unix socket into `fds`, close-on-exec. On failure none stays open. */
int descriptors_receive(int socket, int *fds, size_t count, struct error *err);
/* Sends a byte and a descriptor. */
int descriptors_send(int socket, char kind, int fd);

/* A process that is a child of this one's parent: as a fork, its id and a pidfd of it. */
long sibling_make(int *pidfd);
/* Tells the parent of it; where that fails the sibling is killed. */
int sibling_send(int link, long pid, int pidfd);
/* What the parent is told; *pid is 0 where the number did not come, *pidfd -1 where nothing did. */
int sibling_receive(int link, pid_t *pid, int *pidfd, struct error *err);
/* Closes every descriptor that is not in `kept`, by range. Sorts `kept`. */
int descriptors_keep_only(int *kept, size_t count, struct error *err);

/* ---- cgroups (cgroup.c) ---- */

struct usage { uint64_t cpu_usec, memory_peak, io_read, io_write, oom_kills; };

/* Opens what a process is moved into the run's groups by: of v2 its directory, of v1 a file each. `fds` has a place for each of v1, and one
 * for v2 before them, -1 where there is none. On failure none stays open. */
int cgroup_open(const struct spec *spec, int *fds, struct error *err);
/* Moves the calling process into the run's v1 groups. */
int cgroup_join_v1(const struct spec *spec, struct error *err);
/* Kills all in the run's groups and waits, at most `wait_ms`, until they are empty. 0 when empty, 1 when not. */
int cgroup_empty(const struct spec *spec, bool kill_first, unsigned wait_ms);
void cgroup_usage(const struct spec *spec, struct usage *usage);
/* Removes the run's groups. 0, or 1 when one stays. */
int cgroup_remove(const struct spec *spec);

/* ---- the sandbox, from inside (sandbox.c, root.c, mounts.c, inside.c, system.c, user.c, init.c) ---- */

struct sandbox_pipes {
    int ready;   /* the child writes one byte when all is set up, or an error sentence; close-on-exec */
    int go;      /* the child reads one byte; end of file means: leave, run nothing */
    int out, err_out;
    int status;  /* with `init`: pid 1 writes the command's wait status here */
    int link;    /* a socket: the shim's end of a terminal, and the process in another pid namespace, are sent on it; else -1 */
};

/* Namespaces that are there already, -1 = none: of a network, and pidfds of who has the shared memory and message queues, and the processes. */
struct joined { int network, ipc, processes; };

/* Never returns: sets the sandbox up, waits for `go`, and becomes the container's process. `trees` are the binds' detached
 * mounts, one a mount of the spec, -1 where it has none, and behind them /dev/shm, -1 = a new one. The working directory is what relative
 * layers start from. */
void sandbox_enter(const struct spec *spec, const struct sandbox_pipes *pipes, const int *trees, const struct joined *joined) __attribute__((noreturn));

/* Never returns: becomes a command in a sandbox whose namespaces the process is in already. Of the pipes `ready`, `out` and `err_out` are
 * used, and `null` becomes its input. */
void sandbox_join(const struct spec *spec, const struct sandbox_pipes *pipes, int null) __attribute__((noreturn));

/* Gives up what a container does not have, but for what its command needs to become its user: in a process that is in its namespaces, and that it
 * cannot see. */
int sandbox_lock(const struct spec *spec, struct error *err);

/* Makes the binds' sources detached mounts with their attributes, in the shim, before the container's mount namespace is
 * there: `trees` has one place a mount. On failure none stays open. */
int mounts_detach(const struct spec *spec, const int *descriptors, int *trees, struct error *err);
/* Makes the root file system and all that is mounted in it, and makes it the process's root. Closes `trees`. On success
 * *null is the container's own /dev/null, open for reading. */
int root_enter(const struct spec *spec, const int *trees, int *null, struct terminal *terminal, struct fresh *fresh, struct error *err);

/* The sandbox's own mounts. `devices` are detached mounts of the host's device nodes. */
#define DEVICES 6
extern const char *const device_names[DEVICES];
int system_open_devices(int devices[DEVICES], struct error *err);
/* Each mounts one place of the root file system; *proc and *dev stay open. */
int system_mount_proc(const struct spec *spec, int root, int *proc, struct error *err);
int system_mount_sys(const struct spec *spec, int root, int dev, struct error *err);
int system_mount_dev(const struct spec *spec, int root, const int devices[DEVICES], int shm, int *dev, struct error *err);

/* A terminal of the devpts below `dev` (terminal.c); the first makes it the container's /dev/console too. */
int system_open_terminal(int dev, struct terminal *terminal, struct error *err);
int terminal_open(int dev, struct terminal *terminal, struct error *err);
/* Its name below /dev: "pts/0". */
int terminal_name(const struct terminal *terminal, char *name, size_t size, struct error *err);
/* Opens the container's end by the shim's. */
int terminal_peer(int other, int flags);
/* Makes the terminal that is the input the controlling one of a session that has none. */
int terminal_take(struct error *err);
/* Lets a process group read from that terminal. */
void terminal_to_front(pid_t group);
/* Joins the IPC namespace of a container's first process (join.c); -1 = none. */
int join_ipc(int target, struct error *err);
/* Children of this process, and procfs that it mounts, are of that pid namespace from now on; -1 = none. */
int join_processes(int target, struct error *err);
/* Hides what container engines hide of /proc; the null device comes from `dev`. */
int system_mask_proc(const struct spec *spec, int proc, int dev, struct error *err);

/* Of sys/mount.h, which clashes with linux/mount.h in glibc 2.36. */
#define MS_PRIVATE_FLAG (1UL << 18)

/* New mount API (mounts.c). Options are "key", "value" pairs; value NULL is a flag. */
int mounts_new(const char *type, const char *const options[][2], unsigned attributes, struct error *err);
/* Puts a detached mount in its place; closes `target`, keeps `tree`. */
int mounts_attach(int tree, int target, const char *what, struct error *err);
int mounts_set(int tree, unsigned flags, uint64_t attributes);
int mounts_clone(int dir, const char *path, unsigned flags);
/* Covers what is at `path` below `dir`: a file by the null device of `dev`, a directory by an empty read-only tmpfs. */
int mounts_mask(int dir, const char *path, int dev, struct error *err);
/* The recipe's mounts, into a root file system whose own places are mounted. */
int mounts_add(const struct spec *spec, int root, int proc, int dev, const int *trees, struct fresh *fresh, struct error *err);

/* Gives those volumes to the container's user, and closes them. */
int mounts_give(struct fresh *fresh, uid_t uid, gid_t gid, struct error *err);

/* Paths inside the root file system (inside.c): attacker data, resolved by openat2 only. */
int inside_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve);
/* What a path names inside the root; links are followed, but stay inside. -1 with errno. */
int inside_open(int root, const char *path);
/* The same, made as a directory or an empty file where it is missing, with its parents. */
int inside_make(int root, const char *path, bool file, struct error *err);
/* A directory of the sandbox itself (/proc, /sys, /dev): a link in its place is an attack, not a layout. */
int inside_own(int root, const char *name, struct error *err);

struct user { uid_t uid; gid_t gid; gid_t *groups; size_t group_count; char home[256]; };
/* Looks "user[:group]" (names or numbers) up in the passwd and group files of the current root. `groups` is allocated. */
int user_resolve(const char *text, struct user *user, struct error *err);
/* Adds groups, by name or number, to those of a user. */
int user_add_groups(const struct strings *groups, struct user *user, struct error *err);

/* ---- stops for tests (hooks.c) ---- */

/* In a build with BERTH_HOOKS the process takes the step's name and waits for SIGUSR1, so that a test can look at what it
 * holds right before it resolves a path of an image, a volume or a recipe. Nothing in a release. */
#ifdef BERTH_HOOKS
void hook(const char *step);
#else
#define hook(step) ((void)0)
#endif

/* In a build with BERTH_FAIL_POINTS a step that the file `fail-points/shim` of the runtime directory names ends the shim (`S4 kill`), fails
 * (`S4 error`) or waits (`S4 stall MILLISECONDS`), once; what was reached is a line of `fail-points/hits`. Nothing in a release. */
#ifdef BERTH_FAIL_POINTS
void fail_points_arm(const char *run_dir);
/* -1 when the step is to fail. */
int fail_point(const char *step, struct error *err);
#else
#define fail_points_arm(run_dir) ((void)0)
#define fail_point(step, err) 0
#endif

/* pid 1 of the container when `init` is set: starts `start` in a child, passes signals on, reaps, and writes the
 * child's wait status to `status_fd`. Never returns. */
void init_run(void (*start)(void *), void *context, int status_fd) __attribute__((noreturn));

struct seccomp_options {
    bool socketcall;     /* 32-bit programs have the call that hides a socket's family */
    bool fixed_projects; /* files stay in the project of their directory */
};

/* Writes the compiled filter for these capabilities to a descriptor. */
int seccomp_write(int fd, uint64_t capabilities, struct seccomp_options options, struct error *err);

/* ---- the log (log.c) ---- */

/* Milliseconds until the container's output is read again, 0 = now: with a limit of `cpu_millis`, copying the log may take a tenth of
 * it more, counted from `since_ms` of boot time. */
int log_pause(uint64_t cpu_millis, int64_t since_ms);

struct log;
/* `base` is the path without its ending: BASE.log holds the head, up to half of `cap` bytes; BASE.log.1, .2, ... the
 * tail, in pieces of a quarter, of which the last two are kept; BASE.dropped counts what was let go between them. */
struct log *log_open(const char *base, uint64_t cap, struct error *err);
struct log *log_resume(const char *base, uint64_t cap, struct error *err);
/* Takes what is readable from a stream (0 = stdout, 1 = stderr). Returns 0 at end of file, 1 otherwise. */
int log_read(struct log *log, int stream, int fd);
void log_close(struct log *log);
uint64_t log_bytes(const struct log *log);
uint64_t log_dropped(const struct log *log);

/* ---- journal.c ---- */

/* Lines of the log go to the system's journal from now on, with these fields. */
void journal_open(const char *fields);
/* A line, or a piece of one that goes on; nothing where there is no journal. */
void journal_put(int stream, const char *text, size_t size, bool whole);

/* ---- keep.c ---- */

/* Makes the writing end of a pipe one that can be read as well: with it open, what is written does not fail for want of a reader. */
int stream_reopen(int *end, struct error *err);

/* By which a stream is found again; 0 = not known. */
uint64_t stream_number(int fd);

int keep_log(char *const *words);

/* ---- files in the run directory (record.c) ---- */

struct ending {
    bool start_error, timed_out, stop_requested, killed, not_empty, unknown;
    int status; /* as waitid gives it: exit code or signal */
    bool signaled;
    char message[ERROR_MAX];
    int64_t started_ns, finished_ns; /* CLOCK_REALTIME; 0 = never started */
    struct usage usage;
    uint64_t log_bytes, log_dropped;
};

int record_facts(const struct spec *spec, pid_t container, int out, int err_out, struct error *err);
int record_started(const struct spec *spec, int64_t now_ns, struct error *err);

/* That a stop of the run has begun. */
void record_stopping(const struct spec *spec);
int record_exit(const struct spec *spec, const struct ending *ending, struct error *err);

/* ---- where shims come from (forkserver.c) ---- */

/* `arguments`: the process's own; they become a shim's. */
int forkserver(int socket, char **arguments);

/* ---- a command beside a run's own (exec.c) ---- */

/* Runs the spec's command in the sandbox of its target, and says on `control` how it ended. */
int exec_in(int control, const struct spec *spec);

/* Sets how the kernel chooses when memory runs out: as the spec says, and without that never as it protects the daemon. */
int set_oom_score(const struct spec *spec, struct error *err);

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

/* ---- a volume's first content (seed.c) ---- */

/* Copies what the image's layers, top first, have at `target` into a volume that is empty or not there. Nothing at all where they have
 * no directory there. 0, or 1 with a sentence on the standard error. */
int seed_volume(const char *volume, const char *target, const char *layers_dir, char *const *layers, size_t count);
int write_small(const char *directory, const char *name, const char *text);
/* The start time of a process in clock ticks since boot (field 22 of its stat), 0 when it cannot be read. */
unsigned long long process_start_time(pid_t pid);

#endif
