/* Calls of Linux and its C library that Swift's Glibc module lacks, or that must not be written in Swift because they run
 * between fork and exec. Each returns -1 and sets errno when it fails, as the calls themselves do. */
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/xattr.h>

/* A descriptor for a process; readable once it has ended. */
int clinux_pidfd_open(pid_t pid);
/* Sends a signal to the process of a pidfd; never to another that has its number now. */
int clinux_pidfd_signal(int pidfd, int number);

/* Opens what a name is, not its contents (O_PATH), relative to a directory; `flags` are more of open's. */
int clinux_open_place(int directory, const char *name, int flags);

/* What a file is and takes, as far as this host knows it without asking: a network server or a process that serves a file
 * system may not answer. Mounts nothing. */
struct clinux_file {
    uint64_t device, inode, mount, blocks; /* blocks of 512 bytes */
    uint32_t mode, links;
};
/* Relative to a directory; `flags` are more of statx's. */
int clinux_look(int directory, const char *name, int flags, struct clinux_file *file);

/* Free and all bytes and inodes of a disk; no inodes at all where the file system does not count them. */
struct clinux_space {
    int64_t free, total, free_inodes, inodes;
};
/* Of a path's disk. What ext4 keeps back for root counts as free. */
int clinux_disk_space(const char *path, struct clinux_space *space);

/* Gives a file so many bytes of the disk, without writing them; fails where the file system cannot, or keeps files in memory. */
int clinux_allocate(int fd, int64_t bytes);

/* Writes all of the file system that a descriptor is of to its disk. 0, or -1 with errno. */
int clinux_sync_disk(int fd);

/* Gives each of two directories the other's name, in one step. 0, or -1 with errno. */
int clinux_exchange(const char *one, const char *other);

/* A file in memory with these bytes, that nobody can change or grow any more. */
int clinux_sealed_file(const char *name, const void *bytes, size_t size);

/* Starts the program in `program_fd` with one argument, in a session of its own, with nothing of ours but `control_fd`
 * (as descriptor 3) and `error_fd` (as 2). */
int clinux_spawn(int program_fd, const char *name, const char *argument, int control_fd, int error_fd, pid_t *pid);

/* A timer on the wall clock; a read of it fails with ECANCELED when the clock was set. */
int clinux_wall_timer(void);
/* Expires once, at this many milliseconds since the epoch; in the past is at once. */
int clinux_wall_timer_set(int fd, int64_t milliseconds);

/* A pair of connected stream sockets, closed on exec. */
int clinux_socket_pair(int *first, int *second);

/* A pipe, closed on exec. */
int clinux_pipe(int *reading, int *writing);

/* Sends descriptors over a Unix socket, a byte with each some of them, as Sources/berth-shim/descriptors.c takes them. */
int clinux_send_descriptors(int socket, const int *descriptors, size_t count);
/* Receives a byte, and the one descriptor that may come with it: -1 when none does. 1, 0 at the end, -1 with errno. */
int clinux_receive_descriptor(int socket, char *byte, int *descriptor);

/* Lets what is made below a directory take so many bytes, as one project of the file system's quotas; fails where there are
 * none (ext4 and xfs have them when they are mounted so). 0 takes the project's limit back, and leaves the directory alone. */
int clinux_project_limit(const char *directory, uint32_t project, uint64_t bytes);

/* Devices that may be opened: -1 is any number; `access` has the kernel's bits, 1 to make a node, 2 to read, 4 to write. */
struct clinux_device_rule { int is_block; int32_t major, minor, access; };
/* Loads a program for control groups of version 2 that lets their processes open the devices that Docker's default lets
 * them open: null, zero, full, random, urandom, tty, ptmx and terminals, and those of the rules. A descriptor. */
int clinux_device_filter(const struct clinux_device_rule *rules, size_t count);
/* Puts it on a group, whose path is given; it is gone with the group. */
int clinux_device_filter_attach(int filter, const char *cgroup);

/* Makes a network namespace with a loopback interface, and keeps it at a path where there is nothing: a file is made, and the
 * namespace mounted on it. */
int clinux_make_network(const char *path);
/* Whether there is one. */
int clinux_is_network(const char *path);
/* Whether the namespace has an interface of this name: 1, 0, or -1 when it cannot be entered. */
int clinux_has_interface(const char *path, const char *name);
/* Writes a setting below /proc/sys/net, "PATH=VALUE", as the namespace has it. */
int clinux_set_in_network(const char *path, const char *setting);
/* Lets go of it; it ends with its last process. What is not there is no failure. */
int clinux_remove_network(const char *path);
/* Ends the TCP sockets of a network namespace in which no process is any more, those too that wait for late packets (TIME-WAIT).
 * How many could not be ended. */
int clinux_end_sockets(const char *path);
/* A descriptor that is readable when interfaces or their addresses, or rules of nftables, have changed. */
int clinux_link_changes(void);
int clinux_firewall_changes(void);
/* Reads what made it readable. How many changes these were. */
int clinux_passed_over(int fd);

/* What SO_PEERCRED gives: struct ucred, which Swift does not see. */
struct clinux_credentials {
    int32_t pid;
    uint32_t uid, gid;
};

/* Gives memory that is free, and kept for later, back to the system. */
void clinux_give_memory_back(void);

#endif
