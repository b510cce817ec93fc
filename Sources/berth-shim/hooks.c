/* Only in builds for tests: a process that stops before a step, where it can be looked at, and steps that fail. */
#define _GNU_SOURCE
#include "shim.h"

#ifdef BERTH_SANITIZED
/* The shim starts with an empty environment, so the sanitizers are told here. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

#ifdef BERTH_HOOKS
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

void hook(const char *step)
{
    char name[16];
    sigset_t go;
    siginfo_t info;
    sigemptyset(&go);
    sigaddset(&go, SIGUSR1);
    /* Blocked, so that it reaches a pid 1 that has no handler for it. */
    sigprocmask(SIG_BLOCK, &go, NULL);
    snprintf(name, sizeof name, "hold:%s", step);
    prctl(PR_SET_NAME, name);
    while (sigwaitinfo(&go, &info) < 0 && errno == EINTR) {}
    prctl(PR_SET_NAME, "berth-shim");
    sigprocmask(SIG_UNBLOCK, &go, NULL);
}
#endif

#ifdef BERTH_FAIL_POINTS
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Shared with the container's first process, which keeps no descriptor and sees no file of the host. */
static struct armed {
    atomic_int reached, noted;
    char step[16], action[16];
    int milliseconds;
} *armed;

static void pause_ms(int milliseconds) { nanosleep(&(struct timespec){ .tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L }, NULL); }

/* Writes the hit down, and ends the shim from outside, whichever of its processes reached the step. */
static void keep_watch(pid_t shim, int hits)
{
    char line[64];
    close_range(0, (unsigned)hits - 1, 0);
    close_range((unsigned)hits + 1, ~0u, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!armed->reached) pause_ms(1);
    int length = snprintf(line, sizeof line, "%s %s\n", armed->step, armed->action);
    if (write(hits, line, (size_t)length) != length) abort();
    if (strcmp(armed->action, "kill") == 0) kill(shim, SIGKILL);
    armed->noted = 1;
    _exit(0);
}

void fail_points_arm(const char *run_dir)
{
    char path[4200], text[64] = "";
    snprintf(path, sizeof path, "%s/../../fail-points/shim", run_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0 || unlink(path) < 0) return;
    armed = mmap(NULL, sizeof *armed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (armed == MAP_FAILED) abort();
    if (sscanf(text, "%15s %15s %d", armed->step, armed->action, &armed->milliseconds) < 2) abort();
    snprintf(path, sizeof path, "%s/../../fail-points/hits", run_dir);
    int hits = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t shim = getpid();
    if (hits < 0) abort();
    pid_t watcher = fork();
    if (watcher == 0) keep_watch(shim, hits);
    if (watcher < 0) abort();
    close(hits);
}

int fail_point(const char *step, struct error *err)
{
    if (!armed || armed->reached || strcmp(step, armed->step) != 0) return 0;
    armed->reached = 1;
    while (!armed->noted) pause_ms(1);
    if (strcmp(armed->action, "kill") == 0) pause_ms(5000);
    if (strcmp(armed->action, "stall") == 0) pause_ms(armed->milliseconds);
    return strcmp(armed->action, "error") == 0 ? fail(err, 0, "the fail point %s was set", step) : 0;
}
#endif

typedef int nothing_here;
