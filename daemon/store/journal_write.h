/*
 * Internal to the journal: single writes, each with its sync, for the writer and for recovery.
 *
 * All of them return false after noting journal->failure and journal->error, and block.
 */
#ifndef HOLDFAST_STORE_JOURNAL_WRITE_H
#define HOLDFAST_STORE_JOURNAL_WRITE_H

#include "store/format.h"

/* Writes one of a slot's two headers (`copy` 0 or 1) and syncs it. */
bool journal_write_header(struct journal *journal, int slot, int copy, enum format_state state,
                          uint64_t generation, uint64_t image_end);

/* Writes the mark of a frame that is `length` bytes at `frame`; not synced. */
bool journal_write_mark(struct journal *journal, int slot, uint64_t offset, const uint8_t *frame,
                        size_t length);

/* Writes `length` bytes within what is reserved after it; not synced. */
bool journal_write_bytes(struct journal *journal, int slot, uint64_t offset, const void *data,
                         size_t length);

bool journal_sync(struct journal *journal, int slot);

#endif
