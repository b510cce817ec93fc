#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVER_FD 3

static int check_spec(void)
{
    struct error err;
    struct spec spec;
    uint8_t *bytes = NULL;
    size_t size;
    if (spec_read(0, &bytes, &size, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        free(bytes);
        return 1;
    }
    int result = spec_parse(&spec, bytes, size, &err);
    if (result < 0) fprintf(stderr, "%s\n", err.text);
    else printf("%s: %zu arguments, %zu layers, %zu mounts\n", spec.run_id, spec.arguments.count, spec.lowers.count, spec.mount_count);
    spec_free(&spec);
    free(bytes);
    return result < 0;
}

static int write_filter(const char *text, char *const *words)
{
    struct error err;
    char *end;
    errno = 0;
    unsigned long long capabilities = strtoull(text, &end, 16);
    if (errno != 0 || *text == 0 || *end != 0) {
        fprintf(stderr, "berth-shim: '%s' is not a capability mask in hexadecimal\n", text);
        return 2;
    }
    struct seccomp_options options = { 0 };
    for (; *words; words++) {
        if (strcmp(*words, "socketcall") == 0) options.socketcall = true;
        else if (strcmp(*words, "fixed-projects") == 0) options.fixed_projects = true;
        else {
            fprintf(stderr, "berth-shim: the filter has no option '%s'\n", *words);
            return 2;
        }
    }
    if (seccomp_write(1, capabilities, options, &err) == 0) return 0;
    fprintf(stderr, "berth-shim: %s\n", err.text);
    return 1;
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "forkserver") == 0) {
        /* Nothing of the daemon's may reach a container, whatever it forgot to mark. */
        if (close_range(SERVER_FD + 1, ~0u, 0) < 0) {
            fprintf(stderr, "berth-shim: cannot close inherited descriptors: %s\n", strerror(errno));
            return 2;
        }
        if (fcntl(SERVER_FD, F_SETFD, FD_CLOEXEC) < 0) {
            fprintf(stderr, "berth-shim: descriptor %d is not the daemon's socket: the daemon starts this program\n", SERVER_FD);
            return 2;
        }
        return forkserver(SERVER_FD, arguments);
    }
    if (count == 2 && strcmp(arguments[1], "check-spec") == 0) return check_spec();
    if (count >= 3 && strcmp(arguments[1], "seccomp") == 0) return write_filter(arguments[2], arguments + 3);
    if (count >= 9 && strcmp(arguments[1], "log") == 0) return keep_log(arguments + 2);
    if (count == 3 && strcmp(arguments[1], "remove-tree") == 0) return remove_tree(arguments[2], 0);
    if (count >= 6 && strcmp(arguments[1], "seed") == 0) return seed_volume(arguments[2], arguments[3], arguments[4], arguments + 5, (size_t)count - 5);
    fprintf(stderr, "usage: berth-shim forkserver | check-spec | seccomp CAPABILITIES [socketcall] [fixed-projects] | remove-tree DIRECTORY |\n"
                    "       berth-shim seed VOLUME TARGET LAYERS-DIRECTORY LAYER...\n"
                    "       berth-shim log LOCK-FILE LOG-BASE LOG-CAP CPU-MILLIS OUT-NUMBER ERR-NUMBER PID...\n"
                    "berthd starts it as a fork server; each run gets a process forked from it. It is not for use by hand.\n");
    return 2;
}
