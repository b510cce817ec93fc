/* The launch spec: what the daemon asks for, as flat length-prefixed fields.
 *
 *   header  u32 magic "BRTH", u32 version, u32 bytes that follow
 *   field   u16 tag, u16 zero, u32 length, `length` bytes
 *
 * All numbers are little endian. A string's bytes end with one NUL, which `length` counts. Every read is checked
 * against what is left; an unknown tag, a short field or a missing one is an error, so that a daemon and a shim of
 * different versions never half understand each other. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t u64(const uint8_t *at) { return (uint64_t)u32(at) | (uint64_t)u32(at + 4) << 32; }

struct value { const uint8_t *bytes; uint32_t length; unsigned tag; };

static int take_string(const struct value *value, const char **out, struct error *err)
{
    if (value->length == 0 || value->bytes[value->length - 1] != 0 || memchr(value->bytes, 0, value->length) != value->bytes + value->length - 1)
        return fail(err, 0, "launch spec: field %u is not a string that ends with one NUL", value->tag);
    *out = (const char *)value->bytes;
    return 0;
}

static int take_path(const struct value *value, const char **out, struct error *err)
{
    if (take_string(value, out, err) < 0) return -1;
    if ((*out)[0] != '/' || value->length > 4096)
        return fail(err, 0, "launch spec: field %u is not an absolute path of at most 4095 bytes", value->tag);
    return 0;
}

static int take_u64(const struct value *value, uint64_t *out, struct error *err)
{
    if (value->length != 8) return fail(err, 0, "launch spec: field %u is not 8 bytes", value->tag);
    *out = u64(value->bytes);
    return 0;
}

static int take_bool(const struct value *value, bool *out, struct error *err)
{
    if (value->length != 1 || value->bytes[0] > 1) return fail(err, 0, "launch spec: field %u is not a boolean", value->tag);
    *out = value->bytes[0] == 1;
    return 0;
}

/* Grows an array one element at a time, doubling; counts are bounded by the spec's own size. */
static void *grow(void *items, size_t count, size_t element)
{
    if (count != 0 && (count & (count - 1)) != 0) return items;
    return realloc(items, (count == 0 ? 1 : count * 2) * element);
}

static int append_string(struct strings *list, const struct value *value, struct error *err)
{
    const char *text;
    if (take_string(value, &text, err) < 0) return -1;
    const char **items = grow(list->items, list->count, sizeof *items);
    if (!items) return fail(err, ENOMEM, "launch spec");
    list->items = items;
    list->items[list->count++] = text;
    return 0;
}

/* Below a directory: no "." or ".." component that a walk could climb by. */
static bool plain_relative(const char *path)
{
    if (path[0] == '/' || strlen(path) > 4094) return false;
    for (const char *at = path; *at;) {
        while (*at == '/') at++;
        size_t length = strcspn(at, "/");
        if ((length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.')) return false;
        at += length;
    }
    return true;
}

/* A target inside the root file system. */
static bool plain_absolute(const char *path) { return path[0] == '/' && plain_relative(path + 1 + strspn(path + 1, "/")); }

/* u8 kind, u8 flags, u16 descriptor, u32 mode, u64 size, source NUL, target NUL */
static int append_mount(struct spec *spec, const struct value *value, struct error *err)
{
    if (value->length < 18) return fail(err, 0, "launch spec: a mount is too short");
    const uint8_t *text = value->bytes + 16;
    size_t left = value->length - 16;
    const uint8_t *end = memchr(text, 0, left);
    if (!end || (size_t)(end - text) + 1 >= left || memchr(end + 1, 0, left - (size_t)(end - text) - 1) != value->bytes + value->length - 1)
        return fail(err, 0, "launch spec: a mount is not two strings");
    struct mount_entry *mounts = grow(spec->mounts, spec->mount_count, sizeof *mounts);
    if (!mounts) return fail(err, ENOMEM, "launch spec");
    spec->mounts = mounts;
    struct mount_entry *mount = &mounts[spec->mount_count];
    *mount = (struct mount_entry){
        .kind = value->bytes[0],
        .flags = value->bytes[1],
        .descriptor = (uint16_t)(value->bytes[2] | value->bytes[3] << 8),
        .mode = u32(value->bytes + 4),
        .size = u64(value->bytes + 8),
        .source = (const char *)text,
        .target = (const char *)end + 1,
    };
    if (mount->kind != MOUNT_BIND && mount->kind != MOUNT_TMPFS) return fail(err, 0, "launch spec: mount kind %u is unknown", mount->kind);
    if (!plain_absolute(mount->target)) return fail(err, 0, "launch spec: a mount's target is not a plain absolute path");
    spec->mount_count++;
    return 0;
}

/* Relative to the mount that came last, so the order of the fields counts. */
static int append_hidden(struct spec *spec, const struct value *value, struct error *err)
{
    const char *text;
    if (take_string(value, &text, err) < 0) return -1;
    struct hidden_entry *hidden = grow(spec->hidden, spec->hidden_count, sizeof *hidden);
    if (!hidden) return fail(err, ENOMEM, "launch spec");
    spec->hidden = hidden;
    hidden[spec->hidden_count++] = (struct hidden_entry){ spec->mount_count, text };
    return 0;
}

static int append_rlimit(struct spec *spec, const struct value *value, struct error *err)
{
    if (value->length != 20) return fail(err, 0, "launch spec: a resource limit is not 20 bytes");
    struct rlimit_entry *rlimits = grow(spec->rlimits, spec->rlimit_count, sizeof *rlimits);
    if (!rlimits) return fail(err, ENOMEM, "launch spec");
    spec->rlimits = rlimits;
    rlimits[spec->rlimit_count++] = (struct rlimit_entry){ u32(value->bytes), u64(value->bytes + 4), u64(value->bytes + 12) };
    return 0;
}

static int take_field(struct spec *spec, const struct value *value, struct error *err)
{
    uint64_t number;
    switch ((enum field)value->tag) {
    case FIELD_RUN_ID: return take_string(value, &spec->run_id, err);
    case FIELD_RUN_DIR: return take_path(value, &spec->run_dir, err);
    case FIELD_LOG_BASE: return take_path(value, &spec->log_base, err);
    case FIELD_LOG_CAP: return take_u64(value, &spec->log_cap, err);
    case FIELD_LAYERS_DIR: return take_path(value, &spec->layers_dir, err);
    case FIELD_LOWER: return append_string(&spec->lowers, value, err);
    case FIELD_SCRATCH: return take_path(value, &spec->scratch, err);
    case FIELD_READ_ONLY: return take_bool(value, &spec->read_only, err);
    case FIELD_ARGUMENT: return append_string(&spec->arguments, value, err);
    case FIELD_ENVIRONMENT: return append_string(&spec->environment, value, err);
    case FIELD_WORKING_DIR: return take_path(value, &spec->working_dir, err);
    case FIELD_USER: return take_string(value, &spec->user, err);
    case FIELD_HOSTNAME: return take_string(value, &spec->hostname, err);
    case FIELD_MOUNT: return append_mount(spec, value, err);
    case FIELD_HOST_NETWORK: return take_bool(value, &spec->host_network, err);
    case FIELD_INIT: return take_bool(value, &spec->init, err);
    case FIELD_CAPABILITIES: return take_u64(value, &spec->capabilities, err);
    case FIELD_SECCOMP:
        if (value->length == 0 || value->length % 8 != 0 || value->length / 8 > 4096)
            return fail(err, 0, "launch spec: the seccomp filter is not 1 to 4096 instructions");
        spec->seccomp = value->bytes;
        spec->seccomp_bytes = value->length;
        return 0;
    case FIELD_RLIMIT: return append_rlimit(spec, value, err);
    case FIELD_CGROUP_V2: return take_path(value, &spec->cgroup_v2, err);
    case FIELD_CGROUP_V1: return append_string(&spec->cgroups_v1, value, err);
    case FIELD_STOP_SIGNAL:
        if (take_u64(value, &number, err) < 0) return -1;
        if (number < 1 || number > 64) return fail(err, 0, "launch spec: stop signal %llu is not 1 to 64", (unsigned long long)number);
        spec->stop_signal = (uint32_t)number;
        return 0;
    case FIELD_GRACE_MS: return take_u64(value, &spec->grace_ms, err);
    case FIELD_TIMEOUT_MS: return take_u64(value, &spec->timeout_ms, err);
    case FIELD_PRIVILEGED: return take_bool(value, &spec->privileged, err);
    case FIELD_HIDE: return append_hidden(spec, value, err);
    case FIELD_BOOT_ID: return take_string(value, &spec->boot_id, err);
    case FIELD_SHM_BYTES: return take_u64(value, &spec->shm_bytes, err);
    case FIELD_ROOT_DESCRIPTOR: return take_u64(value, &spec->root_descriptor, err);
    case FIELD_DESCRIPTORS: return take_u64(value, &spec->descriptors, err);
    case FIELD_CPU_MILLIS: return take_u64(value, &spec->cpu_millis, err);
    case FIELD_NETWORK_DESCRIPTOR: return take_u64(value, &spec->network_descriptor, err);
    case FIELD_TARGET_DESCRIPTOR: return take_u64(value, &spec->target_descriptor, err);
    case FIELD_OUTPUT_DESCRIPTOR: return take_u64(value, &spec->output_descriptor, err);
    case FIELD_GROUP: return append_string(&spec->groups, value, err);
    case FIELD_SYSCTL: return append_string(&spec->sysctls, value, err);
    case FIELD_OOM_SCORE:
        if (take_u64(value, &spec->oom_score, err) < 0) return -1;
        return spec->oom_score > 2000 ? fail(err, 0, "launch spec: oom_score_adj is not -1000 to 1000") : 0;
    case FIELD_HOST_NAMESPACES:
        if (take_u64(value, &spec->host_namespaces, err) < 0) return -1;
        return spec->host_namespaces > 7 ? fail(err, 0, "launch spec: a namespace is unknown") : 0;
    case FIELD_OPEN_INPUT: return take_bool(value, &spec->open_input, err);
    case FIELD_TERMINAL: return take_bool(value, &spec->terminal, err);
    case FIELD_JOURNAL: return take_string(value, &spec->journal, err);
    case FIELD_PROCESSES_DESCRIPTOR: return take_u64(value, &spec->processes_descriptor, err);
    case FIELD_IPC_DESCRIPTOR: return take_u64(value, &spec->ipc_descriptor, err);
    }
    return fail(err, 0, "launch spec: field %u is unknown to this shim", value->tag);
}

/* What only a run of its own needs. */
static int check_run(const struct spec *spec, struct error *err)
{
    if (!spec->run_dir || !spec->log_base || !spec->scratch || !spec->boot_id)
        return fail(err, 0, "launch spec: run, log or scratch directory, or boot id is missing");
    if (spec->root_descriptor == NO_DESCRIPTOR ? !spec->layers_dir || spec->lowers.count == 0 : spec->root_descriptor >= spec->descriptors)
        return fail(err, 0, "launch spec: there is no root file system");
    if (spec->network_descriptor != NO_DESCRIPTOR && (spec->host_network || spec->network_descriptor >= spec->descriptors))
        return fail(err, 0, "launch spec: there is no network, or there are two");
    if (spec->processes_descriptor != NO_DESCRIPTOR && (spec->host_namespaces & HOST_PID || spec->processes_descriptor >= spec->descriptors))
        return fail(err, 0, "launch spec: there is no pid namespace, or there are two");
    if (spec->ipc_descriptor != NO_DESCRIPTOR && (spec->host_namespaces & HOST_IPC || spec->ipc_descriptor >= spec->descriptors))
        return fail(err, 0, "launch spec: there is no IPC namespace, or there are two");
    for (size_t i = 0; i < spec->mount_count; i++)
        if (spec->mounts[i].kind == MOUNT_BIND && spec->mounts[i].descriptor >= spec->descriptors)
            return fail(err, 0, "launch spec: the mount of %.100s has no descriptor", spec->mounts[i].source);
    return 0;
}

/* Settings of the namespaces that the container has of its own: "a/b", as below /proc/sys. */
static bool is_own_sysctl(const struct spec *spec, const char *entry)
{
    static const char *const ipc[] = { "kernel/msgmax=", "kernel/msgmnb=", "kernel/msgmni=", "kernel/sem=", "kernel/shmall=", "kernel/shmmax=",
                                       "kernel/shmmni=", "kernel/shm_rmid_forced=", "fs/mqueue/", NULL };
    const char *end = strchr(entry, '=');
    if (!end || end == entry || !plain_relative(entry)) return false;
    for (const char *at = entry; at < end; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./", *at)) return false;
    if (strncmp(entry, "net/", 4) == 0) return !spec->host_network;
    bool owns_ipc = !(spec->host_namespaces & HOST_IPC) && spec->ipc_descriptor == NO_DESCRIPTOR;
    for (size_t i = 0; owns_ipc && ipc[i]; i++)
        if (strncmp(entry, ipc[i], strlen(ipc[i])) == 0) return true;
    return false;
}

static int check_whole(const struct spec *spec, struct error *err)
{
    if (!spec->run_id || !spec->working_dir) return fail(err, 0, "launch spec: run id or working directory is missing");
    if (spec->arguments.count == 0 || spec->arguments.items[0][0] == 0) return fail(err, 0, "launch spec: there is no command");
    if (spec->descriptors > DESCRIPTORS_MAX) return fail(err, 0, "launch spec: more than %u descriptors", DESCRIPTORS_MAX);
    if (spec->target_descriptor == NO_DESCRIPTOR && spec->output_descriptor == NO_DESCRIPTOR) {
        if (check_run(spec, err) < 0) return -1;
    } else if (spec->target_descriptor >= spec->descriptors || spec->output_descriptor >= spec->descriptors || spec->target_descriptor == spec->output_descriptor) {
        return fail(err, 0, "launch spec: there is no container to join, or no place for the output");
    }
    if (!spec->cgroup_v2 && spec->cgroups_v1.count == 0) return fail(err, 0, "launch spec: there is no cgroup");
    if (!spec->privileged && !spec->seccomp) return fail(err, 0, "launch spec: there is no seccomp filter");
    for (size_t i = 0; i < spec->environment.count; i++)
        if (!strchr(spec->environment.items[i], '=')) return fail(err, 0, "launch spec: an environment entry has no '='");
    for (size_t i = 0; i < spec->sysctls.count; i++)
        if (!is_own_sysctl(spec, spec->sysctls.items[i])) return fail(err, 0, "launch spec: %.100s is no setting of the container's own", spec->sysctls.items[i]);
    for (size_t i = 0; i < spec->hidden_count; i++)
        if (!spec->hidden[i].path[0] || !plain_relative(spec->hidden[i].path)) return fail(err, 0, "launch spec: a hidden path is not a plain relative path");
    for (size_t i = 0; i < spec->cgroups_v1.count; i++)
        if (!strstr(spec->cgroups_v1.items[i], ":/")) return fail(err, 0, "launch spec: a v1 cgroup is not controller:/path");
    return 0;
}

int spec_parse(struct spec *spec, const uint8_t *bytes, size_t size, struct error *err)
{
    *spec = (struct spec){ .stop_signal = 15, .grace_ms = 10000, .log_cap = 16u << 20, .shm_bytes = 64u << 20, .root_descriptor = NO_DESCRIPTOR, .network_descriptor = NO_DESCRIPTOR,
                           .target_descriptor = NO_DESCRIPTOR, .output_descriptor = NO_DESCRIPTOR, .processes_descriptor = NO_DESCRIPTOR,
                           .ipc_descriptor = NO_DESCRIPTOR, .oom_score = NO_OOM_SCORE };
    if (size < SPEC_HEADER || u32(bytes) != SPEC_MAGIC) return fail(err, 0, "launch spec: this is not a launch spec");
    if (u32(bytes + 4) != SPEC_VERSION)
        return fail(err, 0, "launch spec: version %u, and this shim knows %u; daemon and shim must be of one release", u32(bytes + 4), SPEC_VERSION);
    if (u32(bytes + 8) != size - SPEC_HEADER) return fail(err, 0, "launch spec: %zu bytes came, the header says %u", size - SPEC_HEADER, u32(bytes + 8));
    size_t at = SPEC_HEADER;
    while (at < size) {
        if (size - at < 8) return fail(err, 0, "launch spec: a field's head is cut off");
        struct value value = { .tag = (unsigned)bytes[at] | (unsigned)bytes[at + 1] << 8, .length = u32(bytes + at + 4), .bytes = bytes + at + 8 };
        if (value.length > size - at - 8) return fail(err, 0, "launch spec: field %u is cut off", value.tag);
        if (take_field(spec, &value, err) < 0) return -1;
        at += 8 + (size_t)value.length;
    }
    return check_whole(spec, err);
}

void spec_free(struct spec *spec)
{
    free(spec->lowers.items);
    free(spec->arguments.items);
    free(spec->environment.items);
    free(spec->cgroups_v1.items);
    free(spec->groups.items);
    free(spec->sysctls.items);
    free(spec->hidden);
    free(spec->mounts);
    free(spec->rlimits);
}

static int read_exactly(int fd, uint8_t *bytes, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(fd, bytes + used, size - used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        used += (size_t)got;
    }
    return 0;
}

int spec_read(int fd, uint8_t **bytes, size_t *size, struct error *err)
{
    uint8_t header[SPEC_HEADER];
    if (read_exactly(fd, header, sizeof header) < 0) return fail(err, 0, "launch spec: the daemon left before it was sent");
    uint32_t length = u32(header + 8);
    if (u32(header) != SPEC_MAGIC || length > SPEC_MAX) return fail(err, 0, "launch spec: this is not a launch spec of at most %u bytes", SPEC_MAX);
    *size = SPEC_HEADER + length;
    *bytes = malloc(*size);
    if (!*bytes) return fail(err, ENOMEM, "launch spec");
    memcpy(*bytes, header, sizeof header);
    if (read_exactly(fd, *bytes + SPEC_HEADER, length) < 0) return fail(err, 0, "launch spec: the daemon left before all of it was sent");
    return 0;
}
