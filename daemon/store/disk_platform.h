/*
 * What the journal's files ask of the operating system: files, and directory entries, each with a
 * sync of its own.
 *
 * Purpose: the only way to a file system from here and from daemon/backup. Each operation is the
 *   system call of its name, with its arguments, its -1 and its errno; allocate is
 *   posix_fallocate(3), which returns the errno value. A simulated world, or a test of what an OS may
 *   answer, has a table of its own: descriptors and paths say all there is to say, so there is no
 *   context. Each may block for as long as the device does.
 * Owner: constant.
 */
#ifndef HOLDFAST_STORE_DISK_PLATFORM_H
#define HOLDFAST_STORE_DISK_PLATFORM_H

#include <sys/stat.h>
#include <sys/types.h>

struct disk_platform {
    /* `directory` may be AT_FDCWD, as in all of them; `flags` have O_CLOEXEC. */
    int (*openat)(int directory, const char *name, int flags, mode_t mode);
    int (*close)(int descriptor);
    int (*fstat)(int descriptor, struct stat *status);
    ssize_t (*pread)(int descriptor, void *data, size_t length, off_t offset);
    ssize_t (*pwrite)(int descriptor, const void *data, size_t length, off_t offset);
    int (*allocate)(int descriptor, off_t offset, off_t length);
    int (*fdatasync)(int descriptor);
    int (*fsync)(int descriptor);      /* of a directory: its entries */
    int (*drop_cache)(int descriptor); /* what is clean; posix_fadvise(2), DONTNEED */
    int (*flock)(int descriptor, int operation);
    int (*renameat)(int from_directory, const char *from, int to_directory, const char *to);
    int (*linkat)(int from_directory, const char *from, int to_directory, const char *to);
    int (*unlinkat)(int directory, const char *name, int flags);
    int (*mkdirat)(int directory, const char *name, mode_t mode);
    int (*faccessat)(int directory, const char *name, int mode);
};

/* The system itself. */
extern const struct disk_platform disk_platform_system;

#endif
