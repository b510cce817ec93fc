/* A command beside a run's own, such as a probe: in the container's namespaces, its cgroup, as its user, under its filter.
 *
 * Three processes. The one that was forked for it stays outside of the container, waits, and says on the control socket how the command ended:
 * 'X' and the end ("c0" is exit code 0, "s9" signal 9), 'T' when it took too long, or 'E' and a sentence. Its child goes into the
 * container's cgroup and then into its namespaces, gives up what the container does not have, and makes the command: a sibling of its own
 * (CLONE_PARENT), which is the first of them that the container can see. Whoever may trace in there finds a process that has no more than
 * the container itself. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long the end of a command that was killed is waited for: one in a frozen cgroup ends when that goes on. */
#define KILL_TIMEOUT_MS 2000
/* How long the way into the container may take. */
#define ENTER_TIMEOUT_MS 10000

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct command { pid_t pid; int pidfd, ready; };

static int say(int control, const char *text) { return write_all(control, text, strlen(text)) < 0 ? 1 : 0; }

static int say_error(int control, const struct error *err)
{
    char text[ERROR_MAX + 1];
    snprintf(text, sizeof text, "E%s", err->text);
    return say(control, text);
}

static void __attribute__((noreturn)) give_up(int ready, const struct error *err)
{
    char text[ERROR_MAX + 1];
    snprintf(text, sizeof text, "E%s", err->text);
    write_all(ready, text, strlen(text));
    _exit(125);
}

/* Its process group, and it: what has made a group of its own stays the container's. */
static void end(const struct command *command)
{
    if (command->pid > 1) kill(-command->pid, SIGKILL);
    syscall(SYS_pidfd_send_signal, command->pidfd, SIGKILL, NULL, 0);
}

/* The host's null device, by a mount of it that cannot be changed: not its mode, not its owner. */
static int open_null(struct error *err)
{
    char path[64];
    int tree = mounts_clone(AT_FDCWD, "/dev/null", AT_SYMLINK_NOFOLLOW);
    if (tree < 0 || mounts_set(tree, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0) return fail(err, errno, "cannot open /dev/null");
    snprintf(path, sizeof path, "/proc/self/fd/%d", tree);
    int null = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (null < 0 || fstat(null, &st) < 0 || !S_ISCHR(st.st_mode)) return fail(err, errno, "cannot open /dev/null");
    close(tree);
    return null;
}

static int join_groups(const int *groups, size_t count, struct error *err)
{
    for (size_t i = 1; i < count; i++) {
        if (groups[i] < 0) continue;
        if (write(groups[i], "0", 1) != 1) return fail(err, errno, "cannot join the container's cgroup");
        close(groups[i]);
    }
    return 0;
}

/* Never returns: goes into the container, and makes the command there. */
static void __attribute__((noreturn)) enter(const struct spec *spec, int target, int output, const int *groups, size_t group_count, int ready, int link)
{
    struct error err;
    int null = -1;
    /* Of its memory nothing is to be read from inside, nor its descriptors taken. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0) {
        fail(&err, errno, "cannot hide the shim");
        give_up(ready, &err);
    }
    if (join_groups(groups, group_count, &err) < 0 || set_oom_score(spec, &err) < 0 || (null = open_null(&err)) < 0) give_up(ready, &err);
    /* One that is the host's is its own already. */
    if (setns(target, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0) {
        if (errno == ESRCH) fail(&err, 0, "the container has ended");
        else fail(&err, errno, "cannot join the container's namespaces");
        give_up(ready, &err);
    }
    if (sandbox_lock(spec, &err) < 0) give_up(ready, &err);
    int pidfd = -1;
    long pid = sibling_make(&pidfd);
    if (pid == 0) {
        struct sandbox_pipes pipes = { .ready = ready, .go = -1, .out = output, .err_out = output, .status = -1, .link = -1 };
        sandbox_join(spec, &pipes, null);
    }
    if (pid < 0) {
        fail(&err, errno, "cannot start the command in the container");
        give_up(ready, &err);
    }
    _exit(sibling_send(link, pid, pidfd) < 0 ? 125 : 0);
}

/* What could not be done before the command was there; nothing when it is. */
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

/* Takes the command over from the one that made it. */
static int take_command(int link, struct command *command, struct error *err)
{
    struct error reason;
    struct timeval limit = { .tv_sec = ENTER_TIMEOUT_MS / 1000 };
    setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (sibling_receive(link, &command->pid, &command->pidfd, &reason) == 0) return 0;
    return read_failure(command->ready, err) ? -1 : fail(err, 0, "the way into the container was cut off");
}

static int start(const struct spec *spec, const int *fds, struct command *command, struct error *err)
{
    int ready[2], link[2], target = fds[spec->target_descriptor], output = fds[spec->output_descriptor];
    size_t count = spec->cgroups_v1.count + 1;
    int *groups = calloc(count, sizeof *groups);
    if (!groups) return fail(err, ENOMEM, "cannot start the command");
    if (cgroup_open(spec, groups, err) < 0) return -1;
    if (pipe2(ready, O_CLOEXEC) < 0 || fcntl(ready[0], F_SETFL, O_NONBLOCK) < 0) return fail(err, errno, "cannot make a pipe");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0) return fail(err, errno, "cannot make a socket");
    struct clone_args arguments = { .exit_signal = SIGCHLD };
    if (groups[0] >= 0) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)groups[0];
    }
    /* Before it joins the container's cgroup namespace: from inside, the way into the group would not be one (nsdelegate). */
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        close(link[0]);
        close(ready[0]);
        if (groups[0] >= 0) close(groups[0]);
        enter(spec, target, output, groups, count, ready[1], link[1]);
    }
    int saved = errno;
    close(ready[1]);
    close(link[1]);
    for (size_t i = 0; i < spec->descriptors; i++) close(fds[i]);
    for (size_t i = 0; i < count; i++)
        if (groups[i] >= 0) close(groups[i]);
    free(groups);
    command->ready = ready[0];
    int result = -1;
    /* In a cgroup that goes, or has as many processes as it may. */
    if (pid < 0) fail(err, saved, "cannot start the command in the container");
    else result = take_command(link[0], command, err);
    close(link[0]);
    if (result < 0 && pid > 0) kill((pid_t)pid, SIGKILL);
    /* It has nothing more to do; one that is traced or frozen is not waited for. */
    if (pid > 0)
        for (int i = 0; i < 100 && waitpid((pid_t)pid, NULL, WNOHANG) == 0; i++) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return result;
}

/* Whether it has ended and that was said. One that a debugger holds has, and is not ours to see yet. */
static bool tell_end(int control, const struct command *command, int *result)
{
    siginfo_t info = { 0 };
    struct error err;
    char text[32];
    if (waitid(P_PIDFD, (id_t)command->pidfd, &info, WEXITED | WNOHANG | __WALL) < 0 || info.si_pid == 0) return false;
    if (read_failure(command->ready, &err)) {
        *result = say_error(control, &err);
    } else {
        snprintf(text, sizeof text, "X%c%d", info.si_code == CLD_EXITED ? 'c' : 's', info.si_status);
        *result = say(control, text);
    }
    return true;
}

int exec_in(int control, const struct spec *spec)
{
    struct command command = { .pidfd = -1, .ready = -1 };
    struct error err;
    int result = 1, *fds = calloc(spec->descriptors + 1, sizeof *fds);
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
        bool is_over = count > 0 && waiting[0].revents != 0;
        if (is_over && killed) return say(control, "T");
        if (is_over && tell_end(control, &command, &result)) return result;
        if (is_over) nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        bool is_alone = !killed && count > 0 && waiting[1].revents != 0;
        if (!is_alone && now_boot_ms() < until) continue;
        if (killed) return say(control, "T");
        end(&command);
        killed = true;
        until = now_boot_ms() + KILL_TIMEOUT_MS;
    }
}
