/* A command beside a run's own, such as a probe: in the container's namespaces, its cgroup, as its user, under its filter.
 *
 * The process that was forked for it joins the namespaces and stays out of the container's view: it is in the host's pid namespace. Its child
 * is the command. On the control socket it says 'X' and how the command ended ("c0" is exit code 0, "s9" signal 9), 'T' when it took too long, or 'E' and a
 * sentence. It ends the command when nobody is at the other end any more. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the end of a command that was killed is waited for: one in a frozen cgroup ends when that goes on. */
#define KILL_TIMEOUT_MS 2000

struct command { pid_t pid; int pidfd, ready; };

static int say(int control, const char *text) { return write_all(control, text, strlen(text)) < 0 ? 1 : 0; }

static int say_error(int control, const struct error *err)
{
    char text[ERROR_MAX + 1];
    snprintf(text, sizeof text, "E%s", err->text);
    return say(control, text);
}

/* All that it started in its session, and it: what has left its session stays the container's. */
static void end(const struct command *command)
{
    kill(-command->pid, SIGKILL);
    syscall(SYS_pidfd_send_signal, command->pidfd, SIGKILL, NULL, 0);
}

static void join_groups(const int *groups, size_t count, int ready)
{
    for (size_t i = 1; i < count; i++) {
        if (groups[i] < 0 || write(groups[i], "0", 1) == 1) continue;
        char text[] = "Ecannot join the container's cgroup";
        write_all(ready, text, sizeof text - 1);
        _exit(125);
    }
}

static int start(const struct spec *spec, const int *fds, struct command *command, struct error *err)
{
    int ready[2], target = fds[spec->target_descriptor], output = fds[spec->output_descriptor];
    size_t count = spec->cgroups_v1.count + 1;
    int *groups = calloc(count, sizeof *groups);
    if (!groups) return fail(err, ENOMEM, "cannot start the command");
    /* Of its memory nothing is to be read from inside, nor its descriptors taken. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0) return fail(err, errno, "cannot hide the shim");
    if (set_oom_score(spec, err) < 0 || cgroup_open(spec, groups, err) < 0) return -1;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) return fail(err, errno, "cannot open /dev/null");
    if (pipe2(ready, O_CLOEXEC) < 0) return fail(err, errno, "cannot make a pipe");
    /* One that is the host's is its own already. */
    if (setns(target, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
        return errno == ESRCH ? fail(err, 0, "the container has ended") : fail(err, errno, "cannot join the container's namespaces");
    struct clone_args arguments = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&command->pidfd, .exit_signal = SIGCHLD };
    if (groups[0] >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)groups[0];
    }
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        struct sandbox_pipes pipes = { .ready = ready[1], .go = -1, .out = output, .err_out = output, .status = -1 };
        join_groups(groups, count, ready[1]);
        sandbox_join(spec, &pipes, null);
    }
    int saved = errno;
    close(ready[1]);
    close(null);
    for (size_t i = 0; i < spec->descriptors; i++) close(fds[i]);
    for (size_t i = 0; i < count; i++)
        if (groups[i] >= 0) close(groups[i]);
    free(groups);
    /* In a cgroup that goes, or has as many processes as it may. */
    if (pid < 0) return fail(err, saved, "cannot start the command in the container");
    command->pid = (pid_t)pid;
    command->ready = ready[0];
    return 0;
}

/* What the child could not do before it became the command; nothing when it has become it. */
static bool read_failure(int ready, struct error *err)
{
    char text[ERROR_MAX + 1];
    size_t used = 0;
    ssize_t got;
    while (used < sizeof text - 1 && ((got = read(ready, text + used, sizeof text - 1 - used)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) used += (size_t)got;
    text[used] = 0;
    if (used < 2 || text[0] != 'E') return false;
    fail(err, 0, "%s", text + 1);
    return true;
}

static int tell_end(int control, const struct command *command)
{
    siginfo_t info = { 0 };
    struct error err;
    char text[32];
    while (waitid(P_PID, (id_t)command->pid, &info, WEXITED | __WALL) < 0 && errno == EINTR) {}
    if (read_failure(command->ready, &err)) return say_error(control, &err);
    snprintf(text, sizeof text, "X%c%d", info.si_code == CLD_EXITED ? 'c' : 's', info.si_status);
    return say(control, text);
}

int exec_in(int control, const struct spec *spec)
{
    struct command command = { .pidfd = -1, .ready = -1 };
    struct error err;
    int *fds = calloc(spec->descriptors + 1, sizeof *fds);
    if (!fds) return 1;
    if (descriptors_receive(control, fds, spec->descriptors, &err) < 0 || start(spec, fds, &command, &err) < 0) {
        free(fds);
        return say_error(control, &err);
    }
    free(fds);
    int64_t until = now_boot_ms() + (spec->timeout_ms > 0 ? (int64_t)spec->timeout_ms : INT64_MAX / 2);
    bool killed = false;
    for (;;) {
        struct pollfd waiting[] = { { .fd = command.pidfd, .events = POLLIN }, { .fd = control, .events = POLLIN } };
        int64_t left = until - now_boot_ms();
        int count = left <= 0 ? 0 : poll(waiting, killed ? 1 : 2, left > 60000 ? 60000 : (int)left);
        if (count < 0 && errno != EINTR) return 1;
        if (count > 0 && waiting[0].revents) return killed ? say(control, "T") : tell_end(control, &command);
        bool is_alone = count > 0 && waiting[1].revents != 0;
        if (!is_alone && now_boot_ms() < until) continue;
        if (killed) return say(control, "T");
        end(&command);
        killed = true;
        until = now_boot_ms() + KILL_TIMEOUT_MS;
    }
}
