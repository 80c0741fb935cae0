/*
 * The store: the journal on real files, written off the protocol thread.
 *
 * Purpose: takes raft's batches on the loop thread, writes and syncs them on a thread of its own,
 *   and reports on the loop thread what is durable. Batches that arrive while a write is under way
 *   are merged into the next: one append, one fdatasync.
 * Owner: the issuer shell; all functions on the loop thread.
 * Lifecycle: store_open() before raft_init(), store_release_recovered() after it, store_append()
 *   for ever, store_close().
 */
#ifndef HOLDFAST_STORE_STORE_H
#define HOLDFAST_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/name.h"
#include "raft/raft.h"
#include "store/disk.h"
#include "store/journal.h"

struct store;

struct store_config {
    uv_loop_t *loop;
    const char *data_dir;       /* where the files are; unused if `ops` is given */
    const struct disk_ops *ops; /* NULL: real files */
    void *disk;                 /* of `ops`; outlives the store */
    const char *cluster;
    struct hf_name node;
    size_t snapshot_capacity; /* bytes of the largest snapshot */
    /* On the loop thread, never from within store_append(): all batches up to seq are durable. */
    void (*on_persisted)(void *context, uint64_t seq);
    /* Once; nothing is reported persisted after it. `text` is valid during the call. */
    void (*on_failed)(void *context, const char *text);
    void *context;
};

struct store_counters {
    uint64_t bytes_written; /* to the journal since store_open() */
    uint64_t syncs;
    uint64_t last_us; /* how long an append took to be written and synced, CLOCK_MONOTONIC */
    uint64_t worst_us;
};

/*
 * Opens, locks and recovers; blocks for as long as the disk does. On JOURNAL_OK *store is new, and
 * what *recovered points to stays valid: its entries until store_release_recovered(), its snapshot
 * until store_close(). Else *store is NULL and `error` has one line of text. A damaged journal is
 * JOURNAL_OK with recovered->set_aside.
 */
enum journal_result store_open(struct store **store, const struct store_config *config,
                               struct journal_recovered *recovered, char *error, size_t error_size);

/* As journal_keep_members(). */
void store_keep_members(struct store *store, const struct raft_members *members);

/* Gives back the memory of the recovered entries, once raft_init() has copied them. */
void store_release_recovered(struct store *store);

/* Duty 1 of raft.h. Copies everything; does not block. Ignored after a failure. */
void store_append(struct store *store, const struct raft_persist *persist, const struct raft *raft);

/* How long the append under way has taken so far, CLOCK_MONOTONIC; 0: none is. */
uint64_t store_waiting_us(const struct store *store);

/* Valid until the store is closed. */
const struct store_counters *store_get_counters(const struct store *store);

/*
 * Waits for the write under way (as long as the disk takes), drops what has not been taken up, and
 * reports nothing any more. The memory is freed by the loop, which must run once more.
 */
void store_close(struct store *store);

#endif
