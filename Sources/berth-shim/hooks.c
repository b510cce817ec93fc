/* Only in the tests' build: a process that stops before a step, where it can be looked at. */
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
#else
typedef int nothing_here;
#endif
