/* The shim's life: read the spec, make the sandbox, say `created`, wait for `go`, write `started`, release, keep the
 * log, carry out stops and the timeout, and write down the end.
 *
 * On the control socket, shim to daemon, after the 'P' of forkserver.c: 'C' (created), 'S' (started) or 'E' and a
 * sentence; daemon to shim: the spec, then 'G'. End of file instead of 'G' means that the daemon is gone: nothing is run, and nothing is left behind. */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EMPTY_TIMEOUT_MS 30000
#define DRAIN_TIMEOUT_MS 2000
#define REAP_TIMEOUT_MS 5000

static void tell(struct shim *shim, char kind, const char *text)
{
    char message[ERROR_MAX + 1];
    int length = snprintf(message, sizeof message, "%c%s", kind, text);
    /* The daemon may be gone; what is in the run directory is what counts. */
    if (write_all(shim->control, message, (size_t)length) < 0) return;
}

static int open_signals(struct error *err)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigset_t read;
    sigemptyset(&read);
    sigaddset(&read, SIGTERM);
    int fd = signalfd(-1, &read, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? fail(err, errno, "cannot watch for signals") : fd;
}

/* Held as long as the shim lives: whoever can take it knows that no shim works on this run. */
static int take_lock(const struct spec *spec, struct error *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/lock", spec->run_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fail(err, errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    fail(err, errno, "another shim works on this run: cannot lock %s", path);
    close(fd);
    return -1;
}

static int open_fifo(const struct spec *spec, struct error *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/control", spec->run_dir);
    if (mkfifo(path, 0600) < 0 && errno != EEXIST) return fail(err, errno, "cannot make %s", path);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? fail(err, errno, "cannot open %s", path) : fd;
}

static void kill_container(struct shim *shim)
{
    if (shim->pidfd >= 0) syscall(SYS_pidfd_send_signal, shim->pidfd, SIGKILL, NULL, 0);
}

/* Who traces a process is told its end first, and may keep it to himself: then the kernel's listing says what it was. */
static void read_end(struct shim *shim)
{
    char path[64], text[2048];
    int status = -1;
    snprintf(path, sizeof path, "/proc/%d", (int)shim->container);
    ssize_t length = read_small(path, "stat", text, sizeof text);
    char *last = length > 0 ? strrchr(text, ' ') : NULL;
    char *state = length > 0 ? strrchr(text, ')') : NULL;
    if (last && state && (state[2] == 'Z' || state[2] == 'X')) status = (int)strtol(last, NULL, 10);
    shim->ending.unknown = status < 0;
    shim->ending.signaled = status < 0 || WIFSIGNALED(status);
    shim->ending.status = status < 0 ? SIGKILL : WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void reap(struct shim *shim)
{
    siginfo_t info = { 0 };
    int64_t until = now_boot_ms() + REAP_TIMEOUT_MS;
    for (;;) {
        int result = waitid(P_PID, (id_t)shim->container, &info, WEXITED | __WALL | WNOHANG);
        if (result == 0 ? info.si_pid != 0 : errno != EINTR) break;
        if (now_boot_ms() >= until) {
            read_end(shim);
            return;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    shim->ending.signaled = info.si_code != CLD_EXITED;
    shim->ending.status = info.si_status;
    if (shim->spec.init && !shim->ending.start_error) {
        int status;
        if (read(shim->status, &status, sizeof status) == (ssize_t)sizeof status) {
            shim->ending.signaled = WIFSIGNALED(status);
            shim->ending.status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

static void begin_stop(struct shim *shim, int number, int64_t grace_ms)
{
    /* First, so that the daemon lets a container that it holds frozen go on. */
    record_stopping(&shim->spec);
    syscall(SYS_pidfd_send_signal, shim->pidfd, number, NULL, 0);
    int64_t at = now_boot_ms() + grace_ms;
    if (shim->kill_at == 0 || at < shim->kill_at) shim->kill_at = at > 0 ? at : 1;
}

/* One command a line: "stop" (as the spec says), "signal NUMBER". */
static void obey(struct shim *shim, const char *line)
{
    int number;
    if (strcmp(line, "stop") == 0) {
        shim->ending.stop_requested = true;
        begin_stop(shim, (int)shim->spec.stop_signal, (int64_t)shim->spec.grace_ms);
    } else if (sscanf(line, "signal %d", &number) == 1 && number > 0 && number <= 64) {
        syscall(SYS_pidfd_send_signal, shim->pidfd, number, NULL, 0);
    }
}

static void read_fifo(struct shim *shim)
{
    char text[1024];
    ssize_t got = read(shim->fifo, text, sizeof text - 1);
    if (got <= 0) return;
    text[got] = 0;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        if (*line) obey(shim, line);
}

static void read_signals(struct shim *shim)
{
    struct signalfd_siginfo info;
    if (read(shim->signals, &info, sizeof info) != (ssize_t)sizeof info) return;
    /* The host shuts down: the container gets its stop signal and its grace, and the end is written down. */
    shim->ending.stop_requested = true;
    begin_stop(shim, (int)shim->spec.stop_signal, (int64_t)shim->spec.grace_ms);
}

static void act_on_time(struct shim *shim)
{
    int64_t now = now_boot_ms();
    if (shim->timeout_at != 0 && now >= shim->timeout_at) {
        shim->timeout_at = 0;
        if (!shim->ending.stop_requested) {
            shim->ending.timed_out = true;
            begin_stop(shim, (int)shim->spec.stop_signal, (int64_t)shim->spec.grace_ms);
        }
    }
    if (shim->kill_at != 0 && now >= shim->kill_at) {
        shim->ending.killed = true;
        shim->kill_at = now + 5000;
        kill_container(shim);
        cgroup_empty(&shim->spec, true, 0);
    }
}

static int next_wait(const struct shim *shim)
{
    int64_t now = now_boot_ms(), wait = 60000;
    if (shim->timeout_at != 0 && shim->timeout_at - now < wait) wait = shim->timeout_at - now;
    if (shim->kill_at != 0 && shim->kill_at - now < wait) wait = shim->kill_at - now;
    return wait < 0 ? 0 : (int)wait;
}

/* Until the container's first process has ended, and with it all others in its pid namespace. */
static void watch(struct shim *shim)
{
    shim->watched_since = now_boot_ms();
    for (;;) {
        int pause = log_pause(shim->spec.cpu_millis, shim->watched_since), wait = next_wait(shim);
        struct pollfd waiting[] = {
            { .fd = shim->pidfd, .events = POLLIN },
            { .fd = pause > 0 ? -1 : shim->out, .events = POLLIN },
            { .fd = pause > 0 ? -1 : shim->err_out, .events = POLLIN },
            { .fd = shim->fifo, .events = POLLIN },
            { .fd = shim->signals, .events = POLLIN },
        };
        int count = poll(waiting, 5, pause > 0 && pause < wait ? pause : wait);
        if (count < 0 && errno != EINTR) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        if (count > 0) {
            if (waiting[1].revents && !log_read(shim->log, 0, shim->out)) shut(&shim->out);
            if (waiting[2].revents && !log_read(shim->log, 1, shim->err_out)) shut(&shim->err_out);
            if (waiting[3].revents) read_fifo(shim);
            if (waiting[4].revents) read_signals(shim);
            if (waiting[0].revents) return;
        }
        act_on_time(shim);
    }
}

static void drain(struct shim *shim)
{
    int64_t until = now_boot_ms() + DRAIN_TIMEOUT_MS;
    while (shim->out >= 0 || shim->err_out >= 0) {
        struct pollfd waiting[] = { { .fd = shim->out, .events = POLLIN }, { .fd = shim->err_out, .events = POLLIN } };
        int64_t left = until - now_boot_ms();
        if (left <= 0 || poll(waiting, 2, (int)left) <= 0) break;
        if (waiting[0].revents && !log_read(shim->log, 0, shim->out)) shut(&shim->out);
        if (waiting[1].revents && !log_read(shim->log, 1, shim->err_out)) shut(&shim->err_out);
    }
    log_close(shim->log);
}

/* A big writable layer is removed by a child, so that the end of the run is not announced late because of it. */
static void remove_scratch(struct shim *shim)
{
    if (remove_tree(shim->spec.scratch, 64) == 0) return;
    if (fork() == 0) {
        close_range(0, ~0u, 0);
        _exit(remove_tree(shim->spec.scratch, 0));
    }
}

static int finish(struct shim *shim)
{
    struct error err;
    shim->ending.finished_ns = now_realtime_ns();
    shut(&shim->terminal);
    if (shim->log) drain(shim);
    shim->ending.not_empty = cgroup_empty(&shim->spec, true, EMPTY_TIMEOUT_MS) != 0;
    cgroup_usage(&shim->spec, &shim->ending.usage);
    cgroup_remove(&shim->spec);
    if (shim->log) {
        shim->ending.log_bytes = log_bytes(shim->log);
        shim->ending.log_dropped = log_dropped(shim->log);
    }
    /* Nothing is written down that nobody saw: the run is lost. */
    int result = shim->ending.unknown ? fail(&err, 0, "nobody tells how the container ended") : record_exit(&shim->spec, &shim->ending, &err);
    if (result < 0) fprintf(stderr, "berth-shim: %s\n", err.text);
    remove_scratch(shim);
    return result < 0 ? 1 : 0;
}

/* Nothing of the user's has run: leave no trace but the sentence, for the daemon if it is there. */
static int abandon(struct shim *shim, const struct error *err)
{
    kill_container(shim);
    if (shim->container > 0) reap(shim);
    cgroup_empty(&shim->spec, true, EMPTY_TIMEOUT_MS);
    cgroup_remove(&shim->spec);
    if (shim->spec.scratch) remove_tree(shim->spec.scratch, 0);
    tell(shim, 'E', err->text);
    return 1;
}

static bool wait_for_go(struct shim *shim)
{
    char byte = 0;
    ssize_t got;
    do
        got = read(shim->control, &byte, 1);
    while (got < 0 && errno == EINTR);
    return got == 1 && byte == 'G';
}

static int prepare(struct shim *shim, struct error *err)
{
    if ((shim->signals = open_signals(err)) < 0 || (shim->fifo = open_fifo(&shim->spec, err)) < 0) return -1;
    if (!(shim->log = log_open(shim->spec.log_base, shim->spec.log_cap, err))) return -1;
    if (shim->spec.journal) journal_open(shim->spec.journal);
    if (launch_take_sources(shim, err) < 0) return -1;
    if (launch_clone(shim, err) < 0 || launch_report(shim, true, err) < 0 || launch_take_over(shim, err) < 0) return -1;
    /* A terminal ends with its shim: nobody finds it again. */
    return record_facts(&shim->spec, shim->container, shim->spec.terminal ? -1 : shim->out, shim->err_out, err);
}

int run(int control)
{
    struct shim shim = { .control = control, .pidfd = -1, .fifo = -1, .signals = -1, .ready = -1, .go = -1, .out = -1, .err_out = -1, .status = -1, .link = -1, .terminal = -1 };
    struct error err = { 0 };
    uint8_t *bytes = NULL;
    size_t size;
    prctl(PR_SET_NAME, "berth-shim");
    setsid();
    /* The daemon's own mask is tight; what is made inside a container is for all its users. Our own files say their modes. */
    umask(022);
    if (chdir("/") < 0) fail(&err, errno, "cannot enter the host's root directory");
    else if (spec_read(control, &bytes, &size, &err) == 0) (void)spec_parse(&shim.spec, bytes, size, &err);
    if (err.text[0]) {
        tell(&shim, 'E', err.text);
        return 1;
    }
    if (shim.spec.target_descriptor != NO_DESCRIPTOR) return exec_in(control, &shim.spec);
    fail_points_arm(shim.spec.run_dir);
    if (take_lock(&shim.spec, &err) < 0) {
        tell(&shim, 'E', err.text);
        return 1;
    }
    if (prepare(&shim, &err) < 0) return abandon(&shim, &err);
    if (fail_point("S4", &err) < 0) return abandon(&shim, &err);
    tell(&shim, 'C', "");
    if (!wait_for_go(&shim)) {
        fail(&err, 0, "the daemon left before it said go");
        return abandon(&shim, &err);
    }
    if (fail_point("S5", &err) < 0) return abandon(&shim, &err);
    int64_t started = now_realtime_ns();
    if (record_started(&shim.spec, started, &err) < 0) return abandon(&shim, &err);
    (void)fail_point("S6", &err);
    shim.ending.started_ns = started;
    if (shim.spec.timeout_ms > 0) shim.timeout_at = now_boot_ms() + (int64_t)shim.spec.timeout_ms;
    if (write_all(shim.go, "G", 1) < 0) fail(&err, errno, "the container's first process died before it was released");
    shut(&shim.go);
    if (launch_report(&shim, false, &err) < 0) {
        shim.ending.start_error = true;
        snprintf(shim.ending.message, sizeof shim.ending.message, "%s", err.text);
        tell(&shim, 'E', err.text);
        kill_container(&shim);
    } else {
        (void)fail_point("S7", &err);
        tell(&shim, 'S', "");
    }
    shut(&shim.ready);
    shut(&shim.control);
    watch(&shim);
    /* Among processes that are not its own another one of the container's may hold the first one's end back, by tracing it. */
    if (shim.spec.host_namespaces & HOST_PID || shim.spec.processes_descriptor != NO_DESCRIPTOR) cgroup_empty(&shim.spec, true, EMPTY_TIMEOUT_MS);
    reap(&shim);
    (void)fail_point("S8", &err);
    int result = finish(&shim);
    free(bytes);
    spec_free(&shim.spec);
    return result;
}
