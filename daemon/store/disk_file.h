/*
 * The journal's real files: DIR/journal.0 and DIR/journal.1, mode 0600; the lock DIR/journal.lock;
 * what was damaged last, if there was room: DIR/journal.0.damaged and DIR/journal.1.damaged.
 *
 * Owner: store.c. Lifecycle: disk_file_open(), use through disk_file_ops, disk_file_close().
 */
#ifndef HOLDFAST_STORE_DISK_FILE_H
#define HOLDFAST_STORE_DISK_FILE_H

#include "store/disk.h"
#include "store/disk_platform.h"

struct disk_file {
    const struct disk_platform *platform;
    int directory;
    int lock;
    int slot[DISK_SLOTS];
};

/* `disk` of every operation is a struct disk_file. */
extern const struct disk_ops disk_file_ops;

/* Holds nothing yet: disk_file_close() may follow. */
void disk_file_init(struct disk_file *disk, const struct disk_platform *platform);

/*
 * Locks the directory against a second daemon and opens both files, creating what is missing. All
 * of it must be owned by this process's user, and not be writable by others. Returns 0, or an errno
 * value with `error` saying what could not be done; then nothing is held. EPERM: wrong owner or
 * mode. EWOULDBLOCK: another process holds the lock. Blocks for as long as the disk does.
 */
int disk_file_open(struct disk_file *disk, const struct disk_platform *platform,
                   const char *directory, char *error, size_t error_size);

/* Closes everything and gives the lock up. */
void disk_file_close(struct disk_file *disk);

#endif
