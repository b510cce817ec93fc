/* Starts a container, on the shim's side: the sources of its mounts, the clone into its namespaces, the report of its first process. */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define SETUP_TIMEOUT_MS 30000

static int open_pipe(int ends[2], struct error *err)
{
    return pipe2(ends, O_CLOEXEC) < 0 ? fail(err, errno, "cannot make a pipe") : 0;
}

/* What the child's relative layers start from: its copy of the working directory is in its own mount namespace, while a
 * descriptor would still be in the host's. */
static int enter_layers(const struct shim *shim, struct error *err)
{
    const struct spec *spec = &shim->spec;
    if (spec->root_descriptor == NO_DESCRIPTOR)
        return chdir(spec->layers_dir) < 0 ? fail(err, errno, "cannot enter %s", spec->layers_dir) : 0;
    return fchdir(shim->descriptors[spec->root_descriptor]) < 0 ? fail(err, errno, "cannot enter the root file system's directory") : 0;
}

/* Descriptors of the host's directories are the child's business only. */
void launch_let_go_of_sources(struct shim *shim)
{
    for (size_t i = 0; shim->descriptors && i < shim->spec.descriptors; i++) shut(&shim->descriptors[i]);
    for (size_t i = 0; shim->trees && i <= shim->spec.mount_count; i++) shut(&shim->trees[i]);
}

int launch_take_sources(struct shim *shim, struct error *err)
{
    shim->descriptors = calloc(shim->spec.descriptors + 1, sizeof *shim->descriptors);
    shim->trees = calloc(shim->spec.mount_count + 1, sizeof *shim->trees);
    if (!shim->descriptors || !shim->trees) return fail(err, ENOMEM, "cannot take the mounts' sources");
    for (size_t i = 0; i < shim->spec.descriptors; i++) shim->descriptors[i] = -1;
    for (size_t i = 0; i <= shim->spec.mount_count; i++) shim->trees[i] = -1;
    if (descriptors_receive(shim->control, shim->descriptors, shim->spec.descriptors, err) < 0) return -1;
    if (mounts_detach(&shim->spec, shim->descriptors, shim->trees, err) < 0) return -1;
    return join_shared_memory(shim, err);
}

int launch_clone(struct shim *shim, struct error *err)
{
    int ready[2], go[2], out[2], err_out[2], status[2], link[2] = { -1, -1 };
    if (open_pipe(ready, err) < 0 || open_pipe(go, err) < 0 || open_pipe(out, err) < 0 || open_pipe(err_out, err) < 0 || open_pipe(status, err) < 0) return -1;
    if (stream_reopen(&out[1], err) < 0 || stream_reopen(&err_out[1], err) < 0) return -1;
    bool sends = shim->spec.terminal || shim->spec.processes_descriptor != NO_DESCRIPTOR;
    if (sends && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0) return fail(err, errno, "cannot make a socket");
    bool joins = shim->spec.network_descriptor != NO_DESCRIPTOR, in_pids = shim->spec.processes_descriptor != NO_DESCRIPTOR;
    bool in_ipc = shim->spec.ipc_descriptor != NO_DESCRIPTOR;
    struct clone_args arguments = {
        .flags = CLONE_NEWNS | CLONE_PIDFD | (shim->spec.host_namespaces & HOST_PID || in_pids ? 0 : CLONE_NEWPID) |
                 (shim->spec.host_namespaces & HOST_IPC || in_ipc ? 0 : CLONE_NEWIPC) | (shim->spec.host_namespaces & HOST_UTS ? 0 : CLONE_NEWUTS) |
                 (shim->spec.host_network || joins ? 0 : CLONE_NEWNET),
        .pidfd = (uint64_t)(uintptr_t)&shim->pidfd,
        .exit_signal = SIGCHLD,
    };
    int cgroup = -1;
    if (shim->spec.cgroup_v2) {
        cgroup = open(shim->spec.cgroup_v2, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (cgroup < 0) return fail(err, errno, "cannot open the cgroup %s", shim->spec.cgroup_v2);
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup;
    }
    if (enter_layers(shim, err) < 0) return -1;
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        struct sandbox_pipes pipes = {
            .ready = ready[1], .go = go[0], .out = out[1], .err_out = err_out[1], .status = status[1], .link = link[1]
        };
        struct joined joined = {
            .network = joins ? shim->descriptors[shim->spec.network_descriptor] : -1,
            .ipc = join_target(shim, shim->spec.ipc_descriptor),
            .processes = join_target(shim, shim->spec.processes_descriptor),
        };
        sandbox_enter(&shim->spec, &pipes, shim->trees, &joined);
    }
    int saved = errno;
    if (chdir("/") < 0) fail(err, errno, "cannot leave the layers' directory");
    launch_let_go_of_sources(shim);
    fcntl(status[0], F_SETFL, O_NONBLOCK);
    if (cgroup >= 0) close(cgroup);
    close(ready[1]);
    close(go[0]);
    close(out[1]);
    close(err_out[1]);
    close(status[1]);
    if (link[1] >= 0) close(link[1]);
    shim->link = link[0];
    shim->ready = ready[0];
    shim->go = go[1];
    shim->out = out[0];
    shim->err_out = err_out[0];
    shim->status = status[0];
    if (pid < 0) return fail(err, saved, "cannot make the container's namespaces");
    shim->container = (pid_t)pid;
    return 0;
}

static int take_terminal(struct shim *shim, struct error *err)
{
    int other = -1;
    if (descriptors_receive(shim->link, &other, 1, err) < 0) return -1;
    shut(&shim->out);
    shut(&shim->err_out);
    shim->out = other;
    /* Held open, so that the terminal is not at its end while the container goes on without it for a moment. */
    shim->terminal = terminal_peer(other, O_RDONLY);
    return shim->terminal < 0 ? fail(err, errno, "cannot open the container's terminal") : 0;
}

static int take_member(struct shim *shim, struct error *err)
{
    int member, maker = shim->pidfd;
    pid_t pid;
    siginfo_t info = { 0 };
    if (sibling_receive(shim->link, &pid, &member, err) < 0) return -1;
    if (pid <= 0) {
        close(member);
        return fail(err, 0, "the container's first process is not known");
    }
    /* Its maker has done what there was to do. */
    while (waitid(P_PID, (id_t)shim->container, &info, WEXITED | __WALL) < 0 && errno == EINTR) {}
    shim->container = pid;
    shim->pidfd = member;
    close(maker);
    return 0;
}

int launch_take_over(struct shim *shim, struct error *err)
{
    if (shim->link < 0) return 0;
    struct timeval limit = { .tv_sec = SETUP_TIMEOUT_MS / 1000 };
    setsockopt(shim->link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (shim->spec.terminal && take_terminal(shim, err) < 0) return -1;
    if (shim->spec.processes_descriptor != NO_DESCRIPTOR && take_member(shim, err) < 0) return -1;
    shut(&shim->link);
    return 0;
}

/* Reads the child's report: "R" is ready, "E..." a sentence, end of file a silent death (or, after go, a good exec). */
int launch_report(struct shim *shim, bool expect_ready, struct error *err)
{
    char text[ERROR_MAX + 1];
    size_t used = 0;
    struct pollfd waiting[2] = { { .fd = shim->ready, .events = POLLIN }, { .fd = shim->control, .events = POLLIN } };
    int64_t until = now_boot_ms() + SETUP_TIMEOUT_MS;
    for (;;) {
        int64_t left = until - now_boot_ms();
        int count = left <= 0 ? 0 : poll(waiting, expect_ready ? 2 : 1, (int)left);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return fail(err, 0, "the sandbox was not set up within %d seconds", SETUP_TIMEOUT_MS / 1000);
        if (expect_ready && waiting[0].revents == 0 && waiting[1].revents & (POLLHUP | POLLERR)) return fail(err, 0, "the daemon left during set-up");
        if (waiting[0].revents == 0) {
            waiting[1].fd = -1;
            continue;
        }
        ssize_t got = read(shim->ready, text + used, sizeof text - 1 - used);
        if (got < 0 && errno == EINTR) continue;
        if (got > 0) used += (size_t)got;
        if (expect_ready && used > 0 && text[0] == 'R') return 0;
        if (got > 0 && used < sizeof text - 1) continue;
        text[used] = 0;
        if (used > 1 && text[0] == 'E') return fail(err, 0, "%s", text + 1);
        return expect_ready ? fail(err, 0, "the container's first process died during set-up") : 0;
    }
}
