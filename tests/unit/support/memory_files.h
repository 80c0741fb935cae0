/*
 * A file system in memory, as a struct disk_platform, that knows what a power cut may leave: data
 * that no sync of its file covered arrives by sectors of 512 bytes, or not; a name that was made,
 * renamed or taken away is so after a sync of the folder where the new name is (of the name that is
 * gone), and until then perhaps. A rename is whole or not at all. One world, one thread.
 *
 * It answers as a test tells it to: any call may fail, be interrupted, do half, or find the power off.
 */
#ifndef HOLDFAST_TESTS_UNIT_MEMORY_FILES_H
#define HOLDFAST_TESTS_UNIT_MEMORY_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "store/disk_platform.h"

enum memory_call {
    MEMORY_OPENAT,
    MEMORY_CLOSE,
    MEMORY_FSTAT,
    MEMORY_PREAD,
    MEMORY_PWRITE,
    MEMORY_ALLOCATE,
    MEMORY_FDATASYNC,
    MEMORY_FSYNC,
    MEMORY_DROP_CACHE,
    MEMORY_FLOCK,
    MEMORY_RENAMEAT,
    MEMORY_LINKAT,
    MEMORY_UNLINKAT,
    MEMORY_MKDIRAT,
    MEMORY_FACCESSAT,
    MEMORY_CALLS
};

/* What a call is answered with instead of being done; otherwise an errno value. */
enum { MEMORY_DONE = 0, MEMORY_HALF = -1, MEMORY_NOTHING = -2 };

struct memory_files {
    unsigned calls; /* since memory_files_reset() */
    unsigned called[MEMORY_CALLS];
    uint64_t written; /* bytes, zeros too */
    /* From this call on the power is off: nothing is done, each call fails. 0: never. */
    unsigned off_at;
    enum memory_call off_call; /* the call that found it off first */
    /* The next cut lets the latest name arrive and no other: that shows what an earlier sync was for. */
    bool latest_name_alone;
    /* NULL: each call is done. `number` is the value of `calls`. */
    int (*answer)(enum memory_call call, unsigned number);
};

extern struct memory_files memory_files;
extern const struct disk_platform memory_platform;

/* An empty file system with one folder, `path`, that has survived already. */
void memory_files_reset(const char *path);

/* The process is gone: descriptors and locks are, the cache stays. Answers and power are good again. */
void memory_files_kill(void);

/* The power comes back: a kill, and of what no sync covered a part that `seed` draws. */
void memory_files_cut(uint64_t seed);

/* Descriptors that are open. */
unsigned memory_files_open(void);

#endif
