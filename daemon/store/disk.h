/*
 * Two files, as the journal sees them: slots 0 and 1. disk_file.h has the real ones; a simulator
 * puts its own underneath.
 *
 * Every operation returns 0 or an errno value, and may block for as long as the device does.
 * Used by one thread at a time: by the opener first, then by the writer thread alone.
 */
#ifndef HOLDFAST_STORE_DISK_H
#define HOLDFAST_STORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_SLOTS = 2 };

struct disk_ops {
    /* Reads exactly `length` bytes, all of them below size(). */
    int (*read)(void *disk, int slot, uint64_t offset, void *data, size_t length);
    /* Writes exactly `length` bytes; a short write is EIO, or ENOSPC if the device is full. */
    int (*write)(void *disk, int slot, uint64_t offset, const void *data, size_t length);
    /* Returns 0 only when everything written to the slot so far is on stable storage. */
    int (*sync)(void *disk, int slot);
    int (*size)(void *disk, int slot, uint64_t *bytes);
    /* Grows the slot to at least `bytes`, zero filled: writes below cannot run out of space. */
    int (*preallocate)(void *disk, int slot, uint64_t bytes);
    /*
     * Empties both slots, with room for what they held. What they held is kept for inspection, and
     * *kept set, if there is room for that as well; what was kept before is given up.
     */
    int (*set_aside)(void *disk, bool *kept);
};

#endif
