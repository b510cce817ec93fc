/* A container's output in the system's journal as well: one datagram a line, in the journal's native protocol (systemd, "Native Journal
 * Protocol"). Nobody waits for the journal: what it does not take is in the log. */
#define _GNU_SOURCE
#include "shim.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIELDS_MAX 2048u
#define TEXT_MAX 16384u

static struct { int fd; size_t length; char fields[FIELDS_MAX]; } journal = { .fd = -1 };

void journal_open(const char *fields)
{
    journal.length = strlen(fields);
    if (journal.length >= FIELDS_MAX) return;
    memcpy(journal.fields, fields, journal.length);
    journal.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* As the journal's own library: many lines in a moment are kept for it. */
    int size = 1 << 20;
    if (journal.fd >= 0 && setsockopt(journal.fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) return;
}

void journal_put(int stream, const char *text, size_t size, bool whole)
{
    static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
    if (journal.fd < 0 || size > TEXT_MAX) return;
    char head[64];
    /* Its numbers are syslog's: an error stream's lines are errors, as Docker's driver has them. */
    int length = snprintf(head, sizeof head, "PRIORITY=%d\n%sMESSAGE=", stream == 0 ? 6 : 3, whole ? "" : "CONTAINER_PARTIAL_MESSAGE=true\n");
    struct iovec parts[] = {
        { .iov_base = journal.fields, .iov_len = journal.length },
        { .iov_base = head, .iov_len = (size_t)length },
        { .iov_base = (char *)(uintptr_t)text, .iov_len = size },
        { .iov_base = "\n", .iov_len = 1 },
    };
    struct msghdr message = { .msg_name = (void *)(uintptr_t)&address, .msg_namelen = sizeof address, .msg_iov = parts, .msg_iovlen = 4 };
    if (sendmsg(journal.fd, &message, MSG_NOSIGNAL) < 0) return;
}
