/* Makes every system call of three kinds with senseless arguments, each in a process of its own, and prints "KIND NUMBER
 * ERROR", with "-" for one that did not return. Run inside a container, it shows what the filter answers. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { NATIVE, COMPATIBLE, X32, KINDS };
static const char *const names[KINDS] = { "native", "compatible", "x32" };

static long call(enum kind kind, long number, long first)
{
#if defined(__x86_64__)
    if (kind == COMPATIBLE) {
        int result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"((int)number), "b"((int)first), "c"(-1), "d"(-1), "S"(-1), "D"(-1) : "memory", "r8", "r9", "r10", "r11");
        if (result < 0 && result > -4096) {
            errno = -result;
            return -1;
        }
        return result;
    }
    if (kind == X32) number |= 0x40000000;
#endif
    return syscall(number, first, -1L, -1L, -1L, -1L, -1L);
}

static void probe(enum kind kind, long number, long first)
{
    int ends[2];
    if (pipe(ends) < 0) exit(1);
    pid_t child = fork();
    if (child == 0) {
        /* What the call does to this process must not reach the report. */
        int report = dup2(ends[1], 900);
        pid_t self = getpid();
        errno = 0;
        long result = call(kind, number, first);
        int code = result < 0 ? errno : 0;
        if (getpid() != self) _exit(0);
        if (write(report, &code, sizeof code) != sizeof code) _exit(1);
        _exit(0);
    }
    close(ends[1]);
    int code = -1;
    struct pollfd waiting = { .fd = ends[0], .events = POLLIN };
    if (poll(&waiting, 1, 150) > 0 && read(ends[0], &code, sizeof code) != sizeof code) code = -1;
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    close(ends[0]);
    if (code < 0) printf("%s %ld %ld -\n", names[kind], number, first);
    else printf("%s %ld %ld %d\n", names[kind], number, first, code);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    long most = count > 1 ? atol(arguments[1]) : 470;
    signal(SIGCHLD, SIG_DFL);
    for (int kind = 0; kind < KINDS; kind++)
        for (long number = 0; number <= most; number++) probe(kind, number, -1);
    for (long family = 0; family < 64; family++) {
        probe(NATIVE, SYS_socket, family);
        probe(NATIVE, SYS_socket, family | 1L << 32);
#if defined(__x86_64__)
        probe(COMPATIBLE, 359, family);
#endif
    }
    return 0;
}
