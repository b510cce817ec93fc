/* Removing a run's writable layer, whose names and depth are the container's choice. */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 32

struct removal { int top; unsigned budget, moved; bool bounded; };

static bool spend(struct removal *removal)
{
    if (!removal->bounded) return true;
    if (removal->budget == 0) return false;
    removal->budget--;
    return true;
}

/* Empties a directory. A tree deeper than DEPTH_MAX is moved up beside the top, to be met there again, so that neither
 * the stack nor the descriptors grow with what a container made. */
static int empty(struct removal *removal, int directory, int depth)
{
    DIR *stream = fdopendir(directory);
    if (!stream) {
        close(directory);
        return 1;
    }
    int left = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (!spend(removal)) {
            left = 1;
            break;
        }
        int here = dirfd(stream);
        if (entry->d_type != DT_DIR && unlinkat(here, name, 0) == 0) continue;
        if (unlinkat(here, name, AT_REMOVEDIR) == 0) continue;
        if (depth >= DEPTH_MAX) {
            char moved[48];
            snprintf(moved, sizeof moved, ".deep-%d-%u", (int)getpid(), removal->moved++);
            if (renameat(here, name, removal->top, moved) < 0) left = 1;
            continue;
        }
        int child = openat(here, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0) {
            if (errno != ENOENT && unlinkat(here, name, 0) < 0) left = 1;
            continue;
        }
        left |= empty(removal, child, depth + 1);
        if (unlinkat(here, name, AT_REMOVEDIR) < 0 && errno != ENOENT) left = 1;
    }
    closedir(stream);
    return left;
}

int remove_tree(const char *path, unsigned budget)
{
    struct removal removal = { .budget = budget, .bounded = budget > 0 };
    removal.top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (removal.top < 0) return errno == ENOENT ? 0 : 1;
    unsigned before;
    int left;
    do {
        before = removal.moved;
        int again = openat(removal.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        left = again < 0 ? 1 : empty(&removal, again, 0);
    } while (removal.moved != before);
    close(removal.top);
    if (rmdir(path) == 0) return 0;
    return left | 1;
}
