/* Users and groups as the image's own passwd and group files name them. The files are attacker data: opened inside the
 * root, only when regular, and only to a fixed size. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCOUNT_FILE_MAX (1u << 20)

static char *read_accounts(const char *path)
{
    struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return NULL;
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    close(root);
    if (fd < 0) return NULL;
    struct stat st;
    char *text = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (text = malloc(ACCOUNT_FILE_MAX + 1))) {
        size_t used = 0;
        ssize_t got;
        while (used < ACCOUNT_FILE_MAX && (got = read(fd, text + used, ACCOUNT_FILE_MAX - used)) > 0) used += (size_t)got;
        text[used] = 0;
    }
    close(fd);
    return text;
}

/* A decimal id below 2^32 - 1 (which means "no change" to the kernel). */
static bool parse_id(const char *text, uint32_t *id)
{
    if (*text == 0 || strlen(text) > 10) return false;
    uint64_t value = 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    if (value >= UINT32_MAX) return false;
    *id = (uint32_t)value;
    return true;
}

/* Splits one line, in place, into up to `max` fields at ':'. Returns how many. */
static size_t split(char *line, char **fields, size_t max)
{
    size_t count = 0;
    while (line && count < max) fields[count++] = strsep(&line, ":");
    return count;
}

static bool listed(char *members, const char *name)
{
    for (char *member; (member = strsep(&members, ","));)
        if (strcmp(member, name) == 0) return true;
    return false;
}

/* Finds the account by name, or by number; `name` receives its login name when there is one. */
static bool find_user(const char *wanted, struct user *user, char *name, size_t name_size)
{
    uint32_t number, id, group;
    bool numeric = parse_id(wanted, &number), found = false;
    char *text = read_accounts("etc/passwd"), *rest = text, *line;
    while (!found && (line = strsep(&rest, "\n"))) {
        char *fields[7];
        if (split(line, fields, 7) < 6 || !parse_id(fields[2], &id) || !parse_id(fields[3], &group)) continue;
        if (strcmp(fields[0], wanted) != 0 && !(numeric && id == number)) continue;
        user->uid = id;
        user->gid = group;
        strncpy(user->home, fields[5], sizeof user->home - 1);
        strncpy(name, fields[0], name_size - 1);
        found = true;
    }
    free(text);
    if (!found && numeric) {
        user->uid = number;
        found = true;
    }
    return found;
}

static bool find_group(const char *wanted, gid_t *gid)
{
    uint32_t id;
    if (parse_id(wanted, &id)) {
        *gid = id;
        return true;
    }
    bool found = false;
    char *text = read_accounts("etc/group"), *rest = text, *line;
    while (!found && (line = strsep(&rest, "\n"))) {
        char *fields[4];
        if (split(line, fields, 4) < 3 || !parse_id(fields[2], &id) || strcmp(fields[0], wanted) != 0) continue;
        *gid = id;
        found = true;
    }
    free(text);
    return found;
}

static void find_memberships(const char *name, struct user *user)
{
    char *text = read_accounts("etc/group"), *rest = text, *line;
    while (user->group_count < USER_GROUPS_MAX && (line = strsep(&rest, "\n"))) {
        char *fields[4];
        uint32_t id;
        if (split(line, fields, 4) == 4 && parse_id(fields[2], &id) && listed(fields[3], name)) user->groups[user->group_count++] = id;
    }
    free(text);
}

int user_resolve(const char *text, struct user *user, struct error *err)
{
    *user = (struct user){ .home = "/" };
    if (!text || !*text) text = "0";
    char wanted[128], name[128] = "";
    if (strlen(text) >= sizeof wanted) return fail(err, 0, "user '%.40s...' is too long", text);
    strcpy(wanted, text);
    char *group = strchr(wanted, ':');
    if (group) *group++ = 0;
    if (!find_user(wanted, user, name, sizeof name)) return fail(err, 0, "user '%s' is not in the root file system's /etc/passwd", wanted);
    if (group) {
        if (!find_group(group, &user->gid)) return fail(err, 0, "group '%s' is not in the root file system's /etc/group", group);
    } else if (*name) {
        find_memberships(name, user);
    }
    return 0;
}
