/* pid 1 for containers that ask for one (`init: true`): passes signals on and reaps what others leave behind. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

void init_run(void (*start)(void *), void *context, int status_fd)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t child = fork();
    if (child < 0) _exit(125);
    if (child == 0) {
        /* A group of its own, so that a signal to the group does not come back to pid 1. */
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &before, NULL);
        start(context);
        _exit(125);
    }
    /* The status pipe stays; all else goes, so that the streams end when the container's own processes do. */
    dup2(status_fd, 0);
    close_range(1, ~0u, 0);
    for (;;) {
        siginfo_t info;
        int signal_number = sigwaitinfo(&all, &info);
        if (signal_number < 0) continue;
        if (signal_number != SIGCHLD) {
            kill(child, signal_number);
            continue;
        }
        int status;
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
            if (ended != child) continue;
            /* pid 1 cannot die of a signal as its child did: the shim is told the true status on the pipe. */
            ssize_t written = write(0, &status, sizeof status);
            (void)written;
            _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
        }
    }
}
