/*
 * Files that are there whole or not at all, for keys and certificates.
 */
#ifndef HOLDFAST_CTL_PKI_FILE_H
#define HOLDFAST_CTL_PKI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Writes `length` bytes to `file` by way of a new file beside it, synced, mode `mode`. Without
 * `force` an existing file stays as it is, and what is no regular file does in any case. False with
 * errno (EEXIST: it is there, and stays). Blocks for the disk.
 */
bool pki_file_write(const char *file, const void *bytes, size_t length, mode_t mode, bool force);

/* Writes all of it to an open file and syncs that. False with errno. Blocks for the disk. */
bool pki_file_fill(int fd, const void *bytes, size_t length);

#endif
