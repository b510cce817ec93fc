/* The fork server: one process of this program makes the shims of all runs, by fork. An exec for each run costs about 8 %
 * of a run's processor time: loading the program and, in a virtual machine, the C library's CPUID instructions, each of
 * which leaves the guest.
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
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

static int refuse(int control, const char *what)
{
    char text[ERROR_MAX + 1];
    int length = snprintf(text, sizeof text, "E%s: %s", what, strerror(errno));
    return write_all(control, text, (size_t)length) < 0 ? 2 : 1;
}

static int be_shim(int server, int control, char **arguments)
{
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    name_shim(arguments);
    /* In the server's place: a shim has no other descriptor of ours. */
    if (dup3(control, server, O_CLOEXEC) < 0) return refuse(control, "the shim cannot take its control socket");
    close(control);
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0) return refuse(server, "the shim cannot be watched");
    /* A daemon that has left wants no shim. */
    if (descriptors_send(server, 'P', self) < 0) return 1;
    close(self);
    return run(server);
}

int forkserver(int socket, char **arguments)
{
    prctl(PR_SET_NAME, "shim-forkserver");
    /* Nobody here asks how a shim ended: what counts is in its run's directory. */
    signal(SIGCHLD, SIG_IGN);
    /* Who asked may have left. */
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        struct error err;
        char byte;
        int control = -1;
        ssize_t waiting = recv(socket, &byte, 1, MSG_PEEK);
        if (waiting == 0) return 0;
        if (waiting < 0 && errno == EINTR) continue;
        if (descriptors_receive(socket, &control, 1, &err) < 0) {
            fprintf(stderr, "berth-shim: %s\n", err.text);
            return 1;
        }
        pid_t child = fork();
        if (child == 0) return be_shim(socket, control, arguments);
        if (child < 0) refuse(control, "no process can be made for the shim");
        close(control);
    }
}
