/* One process of this program makes the shims of all runs, by fork. To start the program anew for each run would cost a
 * run a tenth of its processor time: the loading and, in a virtual machine, the C library's questions about the caches
 * (each CPUID leaves the guest).
 *
 * On its socket comes a byte and the control socket of a run. The child says 'P' there, with its own pidfd, and goes on as
 * the run's shim; of a fork that fails the answer is 'E' and a sentence. The server holds nothing of any run. It ends when the
 * daemon is gone; shims go on. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What `ps` shows: the kernel reads it from where the arguments were. */
static void name_shim(char **arguments)
{
    static const char words[] = "berth-shim\0run";
    char *last = arguments[1], *end = last + strlen(last);
    size_t room = (size_t)(end - arguments[0]);
    if (last != arguments[0] + strlen(arguments[0]) + 1 || room < sizeof words) return;
    memset(arguments[0], 0, room);
    memcpy(arguments[0], words, sizeof words);
}

static int be_shim(int server, int control, char **arguments)
{
    name_shim(arguments);
    signal(SIGCHLD, SIG_DFL);
    /* In the server's place: a shim has no other descriptor of ours. */
    if (dup3(control, server, O_CLOEXEC) < 0) return 1;
    close(control);
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0 || descriptors_send(server, 'P', self) < 0) return 1;
    close(self);
    return run(server);
}

int forkserver(int socket, char **arguments)
{
    struct error err;
    prctl(PR_SET_NAME, "shim-forkserver");
    /* Nobody here asks how a shim ended: what counts is in its run's directory. */
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int control = -1;
        if (descriptors_receive(socket, &control, 1, &err) < 0) return 0;
        pid_t child = fork();
        if (child == 0) return be_shim(socket, control, arguments);
        if (child < 0) {
            char text[ERROR_MAX + 1] = "E";
            snprintf(text + 1, sizeof text - 1, "no process can be made for the shim: %s", strerror(errno));
            write_all(control, text, strlen(text));
        }
        close(control);
    }
}
