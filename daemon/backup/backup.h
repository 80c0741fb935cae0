/*
 * A backup: the replicated state of a cluster at one confirmed index, as a text file.
 *
 * Purpose: the format, written by the console of the leader, checked by holdfastctl, read by the
 *   restore. README.md in this folder shows it.
 * Owner: whoever calls; plain data and buffers of the caller. Neither allocates nor blocks.
 */
#ifndef HOLDFAST_BACKUP_BACKUP_H
#define HOLDFAST_BACKUP_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/name.h"
#include "lease/table.h"
#include "raft/raft.h"

enum { BACKUP_VERSION = 1, BACKUP_ERROR_MAX = 160, BACKUP_TIME_MAX = 32 };

struct backup {
    struct hf_name cluster;
    struct hf_name node;  /* who wrote it: the leader */
    uint64_t index;       /* last entry that is in it, 1..2^62 - 1 */
    uint64_t term;        /* of the leader, 1..2^62 - 1 */
    int64_t wall_us;      /* when, unix epoch; for people, and as a check of a later clock */
    int64_t lease_max_us; /* longest time that a lease may count by the policy then, > 0 */
    struct raft_members members;
    struct bytes table; /* lease_table_encode() at `index` */
};

/* Bytes of the longest text of a backup with a table of so many bytes, terminator included. */
size_t backup_text_max(size_t table_length);

/* Writes the text, terminated. Returns its length, 0 if `capacity` is too small. */
size_t backup_write(const struct backup *backup, char *out, size_t capacity);

/*
 * Reads a whole text and checks all of it: format, checksum, ranges, and that the table can be
 * decoded and is of that index. The table's bytes go to `bytes` (`capacity` of them at the most),
 * the table itself to *table. Returns false with one line in `error`.
 */
bool backup_read(struct backup *backup, struct bytes text, uint8_t *bytes, size_t capacity,
                 struct lease_table *table, char error[BACKUP_ERROR_MAX]);

/* "2026-11-21T05:52:37Z" */
void backup_time(int64_t wall_us, char out[BACKUP_TIME_MAX]);

/* SHA-256 in hexadecimal. */
void backup_digest(struct bytes bytes, char out[65]);

#endif
