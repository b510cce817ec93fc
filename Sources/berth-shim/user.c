/* Users and groups as the image's own passwd and group files name them. The files are attacker data: opened inside the
 * root, only when regular, and only to a fixed size. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file beyond this is refused: its lines would be read before each start. */
#define ACCOUNT_BYTES_MAX (64u << 20)
#define LINE_BYTES_MAX (1u << 20)

/* A passwd or group file, read line by line. */
struct accounts { FILE *file; char *line; size_t capacity, bytes; const char *path; bool too_large; int failure; };

static struct accounts open_accounts(const char *path)
{
    struct accounts accounts = { .path = path };
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        accounts.failure = errno;
        return accounts;
    }
    int fd = inside_openat2(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    /* What cannot be read just then is not taken for what is not there: the user would be another one's. */
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EXDEV && errno != ENXIO) accounts.failure = errno;
    close(root);
    struct stat st;
    if (fd < 0) return accounts;
    /* Looked at before a byte is read: one line may be the whole of a sparse file. */
    if (fstat(fd, &st) < 0) {
        accounts.failure = errno;
    } else if (S_ISREG(st.st_mode)) {
        accounts.too_large = st.st_size > (off_t)ACCOUNT_BYTES_MAX;
        if (!accounts.too_large && !(accounts.file = fdopen(fd, "re"))) accounts.failure = errno;
    }
    if (!accounts.file) close(fd);
    return accounts;
}

/* The next line without its end; NULL at the end of the file. */
static char *next_line(struct accounts *accounts)
{
    if (!accounts->file || accounts->too_large) return NULL;
    errno = 0;
    ssize_t length = getline(&accounts->line, &accounts->capacity, accounts->file);
    if (length < 0) {
        if (!feof(accounts->file)) accounts->failure = errno ? errno : EIO;
        return NULL;
    }
    accounts->bytes += (size_t)length;
    if (accounts->bytes > ACCOUNT_BYTES_MAX || length > (ssize_t)LINE_BYTES_MAX) {
        accounts->too_large = true;
        return NULL;
    }
    if (length > 0 && accounts->line[length - 1] == '\n') accounts->line[length - 1] = 0;
    return accounts->line;
}

/* -1 when not all of it was read. */
static int close_accounts(struct accounts *accounts, struct error *err)
{
    if (accounts->file) fclose(accounts->file);
    free(accounts->line);
    if (accounts->failure) return fail(err, accounts->failure, "cannot read /%s in the root file system", accounts->path);
    return accounts->too_large ? fail(err, 0, "/%s in the root file system has more than %u MiB, or a line of more than %u", accounts->path,
                                      ACCOUNT_BYTES_MAX >> 20, LINE_BYTES_MAX >> 20) : 0;
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

static bool only_digits(const char *text) { return *text != 0 && strspn(text, "0123456789") == strlen(text); }

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

/* 1 when it is found, 0 when not. */
static int find_user(const char *wanted, struct user *user, char *name, size_t name_size, struct error *err)
{
    uint32_t number = 0, id, group;
    bool numeric = parse_id(wanted, &number), found = false;
    struct accounts accounts = open_accounts("etc/passwd");
    for (char *line; !found && (line = next_line(&accounts));) {
        char *fields[7];
        if (split(line, fields, 7) < 6 || !parse_id(fields[2], &id) || !parse_id(fields[3], &group)) continue;
        /* A number is a number, also where an account is called so: the image would choose who that is. */
        if (numeric ? id != number : strcmp(fields[0], wanted) != 0) continue;
        user->uid = id;
        user->gid = group;
        snprintf(user->home, sizeof user->home, "%s", fields[5]);
        snprintf(name, name_size, "%s", fields[0]);
        found = true;
    }
    if (close_accounts(&accounts, err) < 0) return -1;
    if (!found && numeric) user->uid = number;
    return found || numeric;
}

/* 1 when it is found, 0 when not. */
static int find_group(const char *wanted, gid_t *gid, struct error *err)
{
    uint32_t id;
    if (parse_id(wanted, &id)) {
        *gid = id;
        return 1;
    }
    bool found = false;
    struct accounts accounts = open_accounts("etc/group");
    for (char *line; !found && (line = next_line(&accounts));) {
        char *fields[4];
        if (split(line, fields, 4) < 3 || !parse_id(fields[2], &id) || strcmp(fields[0], wanted) != 0) continue;
        *gid = id;
        found = true;
    }
    return close_accounts(&accounts, err) < 0 ? -1 : found;
}

static int add_group(struct user *user, gid_t id, struct error *err)
{
    if (user->group_count == NGROUPS_MAX) return fail(err, 0, "the user is in more than %d groups", NGROUPS_MAX);
    if (user->group_count % 64 == 0) {
        gid_t *more = realloc(user->groups, (user->group_count + 64) * sizeof *more);
        if (!more) return fail(err, ENOMEM, "cannot list the user's groups");
        user->groups = more;
    }
    user->groups[user->group_count++] = id;
    return 0;
}

int user_add_groups(const struct strings *groups, struct user *user, struct error *err)
{
    for (size_t i = 0; i < groups->count; i++) {
        gid_t id;
        int found = find_group(groups->items[i], &id, err);
        if (found < 0) return -1;
        if (!found) return fail(err, 0, "group '%.100s' is not in the root file system's /etc/group", groups->items[i]);
        if (add_group(user, id, err) < 0) return -1;
    }
    return 0;
}

static int find_memberships(const char *name, struct user *user, struct error *err)
{
    int result = 0;
    struct accounts accounts = open_accounts("etc/group");
    for (char *line; result == 0 && (line = next_line(&accounts));) {
        char *fields[4];
        uint32_t id;
        if (split(line, fields, 4) != 4 || !parse_id(fields[2], &id) || !listed(fields[3], name)) continue;
        result = add_group(user, id, err);
    }
    return close_accounts(&accounts, err) < 0 ? -1 : result;
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
    hook("user");
    uint32_t number;
    if (only_digits(wanted) && !parse_id(wanted, &number)) return fail(err, 0, "user '%s' is a number that no user has", wanted);
    if (group && only_digits(group) && !parse_id(group, &number)) return fail(err, 0, "group '%s' is a number that no group has", group);
    int found = find_user(wanted, user, name, sizeof name, err);
    if (found < 0) return -1;
    if (!found) return fail(err, 0, "user '%s' is not in the root file system's /etc/passwd", wanted);
    if (group) {
        found = find_group(group, &user->gid, err);
        if (found < 0) return -1;
        if (!found) return fail(err, 0, "group '%s' is not in the root file system's /etc/group", group);
    }
    /* The main group is a supplementary one too, as in Docker: a set-group-id program would else escape from what a file
     * denies that group (CVE-2022-36109). */
    if (add_group(user, user->gid, err) < 0) return -1;
    return !group && *name ? find_memberships(name, user, err) : 0;
}
