/* pid 1 for containers that ask for one (`init: true`): passes signals on and reaps what others leave behind. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* All 64 signals; the C library's own sets leave two of them out. */
static const uint64_t all = ~(uint64_t)0;

/* Waits for any signal; its number, or -1. One that a terminal's end sends is this process's alone: the command has its streams still, and
 * is not ended because of a shim that was. */
static int next_signal(void)
{
    siginfo_t info = { 0 };
    int number = (int)syscall(SYS_rt_sigtimedwait, &all, &info, NULL, sizeof all);
    return number == SIGHUP && info.si_code == SI_KERNEL ? -1 : number;
}

void init_run(void (*start)(void *), void *context, int status_fd)
{
    uint64_t before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    /* Nobody in the container may open the status pipe through /proc/1/fd, and book an end that was not. Before the fork: the
     * child may run user code before this process does anything more. Its exec makes it dumpable again. */
    prctl(PR_SET_DUMPABLE, 0);
    pid_t child = fork();
    if (child < 0) _exit(125);
    if (child == 0) {
        /* A group of its own, so that a signal to the group does not come back to pid 1. */
        setpgid(0, 0);
        terminal_to_front(getpid());
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
        start(context);
        _exit(125);
    }
    /* The status pipe stays; all else goes, so that the streams end when the container's own processes do. */
    dup2(status_fd, 0);
    close_range(1, ~0u, 0);
    for (;;) {
        int signal_number = next_signal();
        if (signal_number < 0) continue;
        if (signal_number != SIGCHLD) {
            kill(child, signal_number);
            continue;
        }
        int status;
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0 || (ended < 0 && errno == EINTR)) {
            if (ended != child) continue;
            /* pid 1 cannot die of a signal as its child did: the shim is told the true status on the pipe. */
            ssize_t written = write(0, &status, sizeof status);
            (void)written;
            _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
        }
    }
}
