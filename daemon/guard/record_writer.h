/*
 * The guard's platform on Linux: who writes DATA/faults.
 *
 * Purpose: a process of its own, since a thread in an uninterruptible write to a bad card would keep
 *   the guard's lines open when the guard is killed. It has none of the guard's descriptors but 0 to
 *   2, for its log, and no real-time priority; whatever touches the disk is done there. It gets its
 *   writes over a socket pair, and ends with the guard, after what it was given.
 * Source: unix(7), flock(2), rename(2), statfs(2).
 */
#ifndef HOLDFAST_GUARD_RECORD_WRITER_H
#define HOLDFAST_GUARD_RECORD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* As in platform.h. */
bool linux_open_record(void *context, const char *data_dir, int *handle);
ssize_t linux_read_record(void *context, int handle, void *bytes, size_t size);
int linux_write_record(void *context, int handle, const void *bytes, size_t size);
int linux_record_written(void *context, int handle);

#endif
