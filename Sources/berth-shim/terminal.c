/* A container's terminal: a pair of its own devpts. The container has the one end as its input, output and /dev/console; the shim reads
 * the other, and that is the log. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

/* The log's lines end as a pipe's do, and a program that asks how wide it is gets what a terminal is when nobody says. */
static int settle(int fd)
{
    struct termios modes;
    struct winsize window = { .ws_row = 24, .ws_col = 80 };
    if (tcgetattr(fd, &modes) < 0) return -1;
    modes.c_oflag &= ~(tcflag_t)ONLCR;
    return tcsetattr(fd, TCSANOW, &modes) < 0 || ioctl(fd, TIOCSWINSZ, &window) < 0 ? -1 : 0;
}

int terminal_open(int dev, struct terminal *terminal, struct error *err)
{
    int unlocked = 0;
    /* Of the devpts that was mounted just now, before anything of a recipe was. */
    terminal->other = openat(dev, "pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (terminal->other < 0 || ioctl(terminal->other, TIOCSPTLCK, &unlocked) < 0) return fail(err, errno, "cannot make the container's terminal");
    /* By the open end: no name is looked up. */
    terminal->own = terminal_peer(terminal->other, O_RDWR);
    if (terminal->own < 0 || settle(terminal->own) < 0) return fail(err, errno, "cannot open the container's terminal");
    return 0;
}

int terminal_name(const struct terminal *terminal, char *name, size_t size, struct error *err)
{
    unsigned number;
    if (ioctl(terminal->other, TIOCGPTN, &number) < 0) return fail(err, errno, "cannot find the container's terminal");
    snprintf(name, size, "pts/%u", number);
    return 0;
}

int terminal_peer(int other, int flags) { return ioctl(other, TIOCGPTPEER, flags | O_NOCTTY | O_CLOEXEC); }

int terminal_take(struct error *err) { return ioctl(0, TIOCSCTTY, 0) < 0 ? fail(err, errno, "cannot make the terminal the container's own") : 0; }

void terminal_to_front(pid_t group)
{
    /* Who is not in front may not ask for it unless the signal for that is blocked, as it is here. */
    if (ioctl(0, TIOCSPGRP, &group) < 0) return;
}
