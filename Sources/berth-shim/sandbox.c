/* The container's first process, from its birth in new namespaces to the exec of the user's command. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry { const struct spec *spec; struct sandbox_pipes pipes; char **environment; bool is_maker; };

static void __attribute__((noreturn)) report(const struct sandbox_pipes *pipes, const struct error *err)
{
    char text[ERROR_MAX + 1] = "E";
    snprintf(text + 1, sizeof text - 1, "%s", err->text);
    write_all(pipes->ready, text, strlen(text));
    _exit(125);
}

static int loopback_up(struct error *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno == EAFNOSUPPORT ? 0 : fail(err, errno, "cannot open a socket for the loopback interface");
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int result = ioctl(fd, SIOCSIFFLAGS, &request);
    if (result < 0) fail(err, errno, "cannot bring the loopback interface up");
    close(fd);
    return result;
}

static int limit_resources(const struct spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->rlimit_count; i++) {
        struct rlimit limit = { .rlim_cur = spec->rlimits[i].soft, .rlim_max = spec->rlimits[i].hard };
        if (setrlimit((int)spec->rlimits[i].resource, &limit) < 0) return fail(err, errno, "cannot set resource limit %u", spec->rlimits[i].resource);
    }
    return 0;
}

/* Lets go of all that the shim held but the pipes and the binds' detached mounts: its log, its lock, its control socket, the
 * run's cgroup. Until there is a /dev, the container's input is the `go` pipe, which nothing reads yet. */
static int let_go(const struct spec *spec, const struct sandbox_pipes *pipes, const int *trees, struct error *err)
{
    size_t count = 0;
    int *kept = calloc(spec->mount_count + 9, sizeof *kept);
    if (!kept) return fail(err, ENOMEM, "cannot close inherited descriptors");
    if (dup2(pipes->go, 0) < 0 || dup2(pipes->out, 1) < 0 || dup2(pipes->err_out, 2) < 0) {
        free(kept);
        return fail(err, errno, "cannot set the container's streams");
    }
    for (int fd = 0; fd < 3; fd++) kept[count++] = fd;
    kept[count++] = pipes->ready;
    kept[count++] = pipes->go;
    kept[count++] = spec->init ? pipes->status : -1;
    kept[count++] = pipes->link;
    for (size_t i = 0; i <= spec->mount_count; i++) kept[count++] = trees[i];
    int result = descriptors_keep_only(kept, count, err);
    free(kept);
    return result;
}

/* The container's own null device becomes its input; everything above 2 is closed on exec. */
static int set_input(int null, struct error *err)
{
    if (dup2(null, 0) < 0) return fail(err, errno, "cannot set the container's input");
    close(null);
    return close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? fail(err, errno, "cannot close inherited descriptors") : 0;
}

/* The container's terminal becomes its streams; the other end goes to the shim. */
static int use_terminal(const struct terminal *terminal, const struct sandbox_pipes *pipes, const struct user *user, struct error *err)
{
    for (int fd = 0; fd < 3; fd++)
        if (dup2(terminal->own, fd) < 0) return fail(err, errno, "cannot set the container's streams");
    /* As runc: who it is for may open it again by its name. */
    if (fchown(0, user->uid, (gid_t)-1) < 0) return fail(err, errno, "cannot give the terminal to the container's user");
    if (descriptors_send(pipes->link, 'T', terminal->other) < 0) return fail(err, errno, "cannot hand the terminal over");
    close(terminal->own);
    close(terminal->other);
    return 0;
}

/* A pipe whose other end its reader holds: it never ends, and nothing comes. By the host's /proc, in which this process is. */
static int make_input(int *input, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return fail(err, errno, "cannot make the container's input");
    close(ends[1]);
    *input = ends[0];
    return stream_reopen(input, err);
}

static int use_input(int input, struct error *err)
{
    int result = dup2(input, 0);
    if (result < 0) fail(err, errno, "cannot set the container's input");
    close(input);
    return result < 0 ? -1 : 0;
}

/* Drops from the bounding set what is not given, changes the user, and keeps for root what is given. As everywhere, a
 * user other than root starts without effective capabilities. */
static int drop_privileges(const struct spec *spec, const struct user *user, struct error *err)
{
    for (int capability = 0; capability < 64; capability++) {
        if (spec->capabilities >> capability & 1) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL) break;
            return fail(err, errno, "cannot drop capability %d", capability);
        }
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (setgroups(user->group_count, user->groups) < 0) return fail(err, errno, "cannot set the supplementary groups");
    if (setresgid(user->gid, user->gid, user->gid) < 0) return fail(err, errno, "cannot become group %u", user->gid);
    /* A filter without no_new_privs needs a capability, so a privileged container has none; all others have both. */
    if (!spec->privileged && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail(err, errno, "cannot set no_new_privs");
    if (setresuid(user->uid, user->uid, user->uid) < 0) return fail(err, errno, "cannot become user %u", user->uid);
    uint64_t mask = user->uid == 0 ? spec->capabilities : 0;
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = (uint32_t)mask, .permitted = (uint32_t)mask },
        { .effective = (uint32_t)(mask >> 32), .permitted = (uint32_t)(mask >> 32) },
    };
    if (syscall(SYS_capset, &header, data) < 0) return fail(err, errno, "cannot set the capabilities");
    return 0;
}

static int filter_syscalls(const struct spec *spec, struct error *err)
{
    if (spec->privileged || !spec->seccomp) return 0;
    struct sock_filter *copy = malloc(spec->seccomp_bytes);
    if (!copy) return fail(err, ENOMEM, "cannot load the seccomp filter");
    memcpy(copy, spec->seccomp, spec->seccomp_bytes);
    struct sock_fprog program = { .len = (unsigned short)(spec->seccomp_bytes / sizeof *copy), .filter = copy };
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) return fail(err, errno, "cannot load the seccomp filter");
    return 0;
}

static const char *lookup(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; *environment; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') return *environment + length + 1;
    return NULL;
}

/* The spec's environment with a PATH and a HOME where it names none. */
static char **make_environment(const struct spec *spec, const struct user *user)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char **environment = calloc(spec->environment.count + 4, sizeof *environment);
    char *home = NULL;
    static char term[] = "TERM=xterm";
    if (!environment) return NULL;
    size_t count = 0;
    for (; count < spec->environment.count; count++) environment[count] = (char *)(uintptr_t)spec->environment.items[count];
    if (!lookup(environment, "PATH")) environment[count++] = path;
    if (spec->terminal && !lookup(environment, "TERM")) environment[count++] = term;
    if (!lookup(environment, "HOME") && asprintf(&home, "HOME=%s", user->home) > 0) environment[count++] = home;
    return environment;
}

static int enter_working_dir(const struct spec *spec, struct error *err)
{
    hook("workdir");
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return fail(err, errno, "cannot open the root file system");
    struct error reason;
    int directory = inside_make(root, spec->working_dir, false, &reason);
    close(root);
    if (directory < 0) return fail(err, 0, "the working directory %.200s: %.250s", spec->working_dir, reason.text);
    int result = fchdir(directory);
    if (result < 0) fail(err, errno, "cannot enter the working directory %.200s", spec->working_dir);
    close(directory);
    char where[4096];
    /* One that was moved out of the root while it was opened has no name in here. */
    if (result == 0 && (!getcwd(where, sizeof where) || where[0] != '/'))
        result = fail(err, 0, "the working directory %.200s is outside the root file system: refused", spec->working_dir);
    return result;
}

/* Whether a program may be executed by this path. No link of /proc to an open file is followed: one leads to the shim. */
static bool is_reachable(const char *path)
{
    int fd = inside_openat2(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static int try_execute(const char *path, char **arguments, char **environment)
{
    if (is_reachable(path)) execve(path, arguments, environment);
    return errno;
}

/* Becomes the command, found along PATH as execvp finds it, but never through a shell. */
static void start_command(void *context)
{
    const struct entry *entry = context;
    const struct strings *list = &entry->spec->arguments;
    char **arguments = calloc(list->count + 1, sizeof *arguments);
    struct error err;
    if (!arguments) {
        fail(&err, ENOMEM, "cannot start the command");
        report(&entry->pipes, &err);
    }
    hook("exec");
    for (size_t i = 0; i < list->count; i++) arguments[i] = (char *)(uintptr_t)list->items[i];
    const char *name = arguments[0];
    int reason = ENOENT;
    if (strchr(name, '/')) {
        reason = try_execute(name, arguments, entry->environment);
    } else {
        const char *path = lookup(entry->environment, "PATH");
        while (path && *path) {
            size_t length = strcspn(path, ":");
            char candidate[4096];
            int used = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, name);
            if (length > 0 && used > 0 && (size_t)used < sizeof candidate) {
                int answer = try_execute(candidate, arguments, entry->environment);
                if (answer != ENOENT && answer != ENOTDIR) reason = answer;
            }
            path += length + (path[length] == ':');
        }
    }
    if (reason == ENOENT && !strchr(name, '/')) fail(&err, 0, "command '%.200s' is not in the PATH of the root file system", name);
    else if (reason == ENOENT) fail(&err, 0, "command '%.200s', or the interpreter it names, is not in the root file system", name);
    else if (reason == ENOEXEC) fail(&err, 0, "command '%.200s' is not a program for this machine, or a script without '#!'", name);
    else if (reason == ELOOP) fail(&err, 0, "command '%.200s' leads through a link that is not followed: refused", name);
    else fail(&err, reason, "cannot execute '%.200s'", name);
    report(&entry->pipes, &err);
}

int sandbox_lock(const struct spec *spec, struct error *err)
{
    /* As root still: a hard limit above the daemon's own needs a capability that a container may not have. */
    if (limit_resources(spec, err) < 0) return -1;
    if (spec->privileged) return 0;
    const uint64_t needed = 1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_SETPCAP | 1ull << CAP_DAC_OVERRIDE;
    const uint64_t mask = spec->capabilities | needed;
    for (int capability = 0; capability < 64; capability++) {
        if (spec->capabilities >> capability & 1) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL) break;
            return fail(err, errno, "cannot drop capability %d", capability);
        }
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail(err, errno, "cannot set no_new_privs");
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = (uint32_t)mask, .permitted = (uint32_t)mask },
        { .effective = (uint32_t)(mask >> 32), .permitted = (uint32_t)(mask >> 32) },
    };
    if (syscall(SYS_capset, &header, data) < 0) return fail(err, errno, "cannot set the capabilities");
    return filter_syscalls(spec, err);
}

/* From root in the sandbox to the command's own user, directory, limits and filter. */
static int take_place(const struct spec *spec, const struct user *user, struct entry *entry, bool is_locked, struct error *err)
{
    if (limit_resources(spec, err) < 0) return -1;
    umask(022);
    if (!entry->is_maker) setsid();
    if (spec->terminal && !entry->is_maker && terminal_take(err) < 0) return -1;
    /* Still as root: a directory that is missing is made, wherever it is. */
    if (enter_working_dir(spec, err) < 0) return -1;
    if (drop_privileges(spec, user, err) < 0) return -1;
    if (!(entry->environment = make_environment(spec, user))) return fail(err, ENOMEM, "cannot make the environment");
    return is_locked ? 0 : filter_syscalls(spec, err);
}

int set_oom_score(const struct spec *spec, struct error *err)
{
    char text[16];
    if (spec->oom_score != NO_OOM_SCORE) {
        snprintf(text, sizeof text, "%lld", (long long)spec->oom_score - 1000);
        return write_small("/proc/self", "oom_score_adj", text) < 0 ? fail(err, errno, "cannot set oom_score_adj to %s", text) : 0;
    }
    /* The daemon is protected from the kernel's choice when the host's memory runs out; its containers are not. */
    if (read_small("/proc/self", "oom_score_adj", text, sizeof text) > 0 && text[0] == '-' && write_small("/proc/self", "oom_score_adj", "0") < 0)
        return fail(err, errno, "cannot reset oom_score_adj");
    return 0;
}

/* By the host's /proc, which shows a process the settings of its own namespaces. */
static int set_sysctls(const struct spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->sysctls.count; i++) {
        const char *entry = spec->sysctls.items[i], *value = strchr(entry, '=');
        char path[512];
        snprintf(path, sizeof path, "/proc/sys/%.*s", (int)(value - entry), entry);
        int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) return fail(err, errno, "cannot open the setting %.*s", (int)(value - entry), entry);
        int result = write_all(fd, value + 1, strlen(value + 1));
        if (result < 0) fail(err, errno, "cannot set %.200s", entry);
        close(fd);
        if (result < 0) return -1;
    }
    return 0;
}

static int set_up(const struct spec *spec, const int *trees, const struct joined *joined, struct entry *entry, struct error *err)
{
    struct user user;
    struct terminal terminal = { .own = -1, .other = -1 };
    struct fresh fresh = { 0 };
    int null = -1, input = -1;
    /* Before /sys is mounted, which shows the interfaces of its mounter. */
    if (joined->network >= 0 && setns(joined->network, CLONE_NEWNET) < 0) return fail(err, errno, "cannot join the container's network");
    /* Before /dev/mqueue is mounted. */
    if (join_ipc(joined->ipc, err) < 0) return -1;
    /* Before /proc is mounted, which shows the namespace that the children of its mounter are in. */
    if (join_processes(joined->processes, err) < 0) return -1;
    if (let_go(spec, &entry->pipes, trees, err) < 0) return -1;
    if (spec->open_input && make_input(&input, err) < 0) return -1;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return fail(err, errno, "cannot tie the container's life to the shim's");
    if (set_oom_score(spec, err) < 0 || set_sysctls(spec, err) < 0) return -1;
    if (cgroup_join_v1(spec, err) < 0 || fail_point("S1", err) < 0) return -1;
    if (unshare(CLONE_NEWCGROUP) < 0) return fail(err, errno, "cannot make a cgroup namespace");
    if (!spec->host_network && joined->network < 0 && loopback_up(err) < 0) return -1;
    if (root_enter(spec, trees, &null, &terminal, &fresh, err) < 0) return -1;
    if (set_input(null, err) < 0) return -1;
    if (input >= 0 && use_input(input, err) < 0) return -1;
    if (spec->hostname && !(spec->host_namespaces & HOST_UTS) && sethostname(spec->hostname, strlen(spec->hostname)) < 0) return fail(err, errno, "cannot set the host name %s", spec->hostname);
    if (user_resolve(spec->user, &user, err) < 0 || user_add_groups(&spec->groups, &user, err) < 0) return -1;
    if (mounts_give(&fresh, user.uid, user.gid, err) < 0) return -1;
    if (spec->terminal && use_terminal(&terminal, &entry->pipes, &user, err) < 0) return -1;
    return take_place(spec, &user, entry, false, err);
}

/* By the kernel's own calls: the C library keeps signals 32 and 33 for itself, and would leave them as they were. */
static void default_signals(void)
{
    struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } fresh = { 0 };
    uint64_t none = 0;
    for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, &fresh, NULL, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/* Makes the container's first process in the pid namespace of another container, whose processes may trace it from its first moment on: so
 * that is when nothing is left to this one that the container does not have. Only the new process returns, a child of the shim. */
static void make_member(struct entry *entry)
{
    const struct sandbox_pipes *pipes = &entry->pipes;
    struct error err;
    int pidfd = -1;
    /* Nor is anything to be read from its memory, or its descriptors taken; its command's exec ends that. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0) {
        fail(&err, errno, "cannot hide the shim");
        report(pipes, &err);
    }
    long pid = sibling_make(&pidfd);
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setsid() < 0 || (entry->spec->terminal && terminal_take(&err) < 0)) {
            fail(&err, errno, "cannot begin the container's session");
            report(pipes, &err);
        }
        close(pipes->link);
        return;
    }
    if (pid < 0) {
        if (errno == ENOMEM) fail(&err, 0, "the container whose processes it shares has ended");
        else fail(&err, errno, "cannot make a process in another container's pid namespace");
        report(pipes, &err);
    }
    _exit(sibling_send(pipes->link, pid, pidfd) < 0 ? 125 : 0);
}

void sandbox_enter(const struct spec *spec, const struct sandbox_pipes *pipes, const int *trees, const struct joined *joined)
{
    struct entry entry = { .spec = spec, .pipes = *pipes, .is_maker = joined->processes >= 0 };
    struct error err;
    default_signals();
    if (set_up(spec, trees, joined, &entry, &err) < 0) report(&entry.pipes, &err);
    if (entry.is_maker) make_member(&entry);
    else if (pipes->link >= 0) close(pipes->link);
    char byte;
    if (write_all(pipes->ready, "R", 1) < 0) _exit(125);
    ssize_t got;
    do
        got = read(pipes->go, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1) _exit(125);
    /* From here on the container outlives its shim: an exit that nobody sees is better than a killed database. */
    prctl(PR_SET_PDEATHSIG, 0);
    if (spec->init) init_run(start_command, &entry, pipes->status);
    start_command(&entry);
    _exit(125);
}

void sandbox_join(const struct spec *spec, const struct sandbox_pipes *pipes, int null)
{
    struct entry entry = { .spec = spec, .pipes = *pipes };
    struct error err;
    struct user user;
    int kept[] = { 0, 1, 2, pipes->ready };
    default_signals();
    if (dup2(null, 0) < 0 || dup2(pipes->out, 1) < 0 || dup2(pipes->err_out, 2) < 0) {
        fail(&err, errno, "cannot set the command's streams");
        report(pipes, &err);
    }
    if (descriptors_keep_only(kept, 4, &err) < 0 || user_resolve(spec->user, &user, &err) < 0 ||
        user_add_groups(&spec->groups, &user, &err) < 0 || take_place(spec, &user, &entry, true, &err) < 0) report(pipes, &err);
    /* Another user's process loses this again, so it comes last. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fail(&err, errno, "cannot tie the command's life to the shim's");
        report(pipes, &err);
    }
    start_command(&entry);
    _exit(125);
}
