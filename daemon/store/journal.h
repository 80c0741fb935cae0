/*
 * The journal: what an issuer must not forget, in two slots of a disk.
 *
 * Purpose: format, recovery and slot switching, above struct disk_ops. No files, threads or clock.
 * Owner: store.c in the daemon, or a simulator.
 * Lifecycle: journal_open(), then append / take / flush for ever. No close: it holds nothing.
 *
 * FORMAT.md tells the format and what comes of every power cut and of damage.
 *
 * Buffers and threads: two buffers. The protocol thread encodes batches into one by
 *   journal_append(); journal_take() hands that one to the writer and gives the protocol thread the
 *   other; journal_flush() runs on the writer thread. journal_take() must not be called before the
 *   flush of what was last taken has returned, and its return is visible to the protocol thread.
 *   Batches appended in between share one frame, one write and one sync.
 */
#ifndef HOLDFAST_STORE_JOURNAL_H
#define HOLDFAST_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"
#include "raft/raft.h"
#include "store/disk.h"

enum {
    JOURNAL_VERSION = 4,
    JOURNAL_VERSION_OLDEST = 2, /* that is read */
    JOURNAL_ERROR_MAX = 191,
    JOURNAL_GROWTH_BYTES = 1024 * 1024 /* a slot grows by this above its image, then is switched */
};

enum journal_result {
    JOURNAL_OK,
    JOURNAL_IO,      /* the disk refused: EIO, ENOSPC, EROFS, ... */
    JOURNAL_CORRUPT, /* something that was durable is damaged or missing */
    JOURNAL_FOREIGN, /* of another cluster, node or format version */
    JOURNAL_FULL,    /* the state does not fit the buffers: limits were exceeded */
    JOURNAL_RESULTS
};

/* Memory for the journal's lifetime, owned by the caller; most of it is never touched. */
struct journal_config {
    const struct disk_ops *ops;
    void *disk;
    char cluster[HF_NAME_MAX + 1];
    struct hf_name node;
    struct raft_entry *entries;  /* RAFT_LOG_MAX; may be released once raft has copied them */
    uint8_t *recovered_snapshot; /* snapshot_capacity bytes; never changed after journal_open() */
    uint8_t *snapshot;           /* snapshot_capacity bytes: copy of the last snapshot appended */
    size_t snapshot_capacity;
    uint8_t *buffer[2];    /* each journal_buffer_bytes(snapshot_capacity) */
    uint64_t growth_bytes; /* JOURNAL_GROWTH_BYTES, or less in tests */
};

struct journal_recovered {
    struct raft_recovered raft; /* members are empty if nothing was stored: bootstrap ones count */
    bool fresh;                 /* nothing was ever stored here */
    bool set_aside;             /* it was damaged: it begins anew, and the issuer must recover */
    bool kept;                  /* with set_aside: what was damaged is kept for inspection */
    char damage[JOURNAL_ERROR_MAX + 1]; /* with set_aside: what is damaged */
    uint64_t cut_bytes;                 /* length of a torn tail that was left out */
    unsigned repairs; /* parts that were damaged or unfinished, and written again */
};

/* One batch of records on its way to the disk. */
struct journal_batch {
    uint8_t *data; /* frame header, then records */
    size_t length; /* bytes so far; 0: nothing */
    uint32_t records;
    bool image;
    uint64_t last_seq; /* of the last struct raft_persist in it */
    int slot;
    uint64_t offset;
    uint64_t generation;
    uint64_t frame_seq;
    int old_slot; /* image: the slot that it supersedes */
    uint64_t old_image_end;
};

struct journal {
    struct journal_config config;
    /* Protocol thread: the state that the appended batches add up to. */
    uint64_t term;
    struct hf_name vote;
    bool recovering;
    bool begun; /* a part of a new cluster, whose other issuers were not heard yet */
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct raft_members members;
    struct bytes snapshot;
    uint64_t last_index;
    /* Protocol thread: where the next frame goes. */
    int slot; /* -1: no slot is current yet */
    uint64_t generation;
    uint64_t image_end;
    uint64_t end;
    uint64_t frame_seq;
    struct journal_batch pending;
    /* Writer thread, between journal_take() and the end of journal_flush(). */
    struct journal_batch taken;
    uint64_t allocated[DISK_SLOTS];
    enum journal_result failure; /* sticky */
    uint64_t bytes_written;      /* headers and frames, since journal_open() */
    uint64_t syncs;
    char error[JOURNAL_ERROR_MAX + 1];
};

/* Bytes of each of the two buffers. */
size_t journal_buffer_bytes(size_t snapshot_capacity);

/*
 * Recovers what is stored. On JOURNAL_OK *out points into the config's memory. Otherwise
 * journal->error says what is wrong, and the journal must not be used. Syncs what it
 * recovered, and writes again what a power cut or damage left single: then each part of what is
 * acknowledged is there twice. Blocks.
 */
enum journal_result journal_open(struct journal *journal, const struct journal_config *config,
                                 struct journal_recovered *out);

/*
 * The same, but a damaged journal is set aside, and a new one begun whose issuer is to recover
 * from its peers (raft.h, RAFT_RECOVERING): JOURNAL_OK, with set_aside and damage in *out.
 * JOURNAL_IO if there is no room for a new one.
 */
enum journal_result journal_open_or_begin_anew(struct journal *journal,
                                               const struct journal_config *config,
                                               struct journal_recovered *out);

/*
 * True if nothing was stored, or nothing but that an issuer waits here for a memory: it had nothing
 * when it started, and heard of no term since.
 */
bool journal_holds_nothing(const struct journal_recovered *found);

/*
 * True if what it has of members is a configuration file's, and may be an old one's: nothing of the
 * cluster's log was received yet, at most a term.
 */
bool journal_knows_no_members(const struct journal_recovered *found);

/*
 * The bootstrap members, if none were recovered: kept from the first image on, so that those of the
 * first start count, whatever a configuration file says at a later one. Before the first append.
 */
void journal_keep_members(struct journal *journal, const struct raft_members *members);

/* Reads an entry of the log that a batch belongs to; valid until the next step of it. */
struct journal_log {
    const struct raft_entry *(*entry_at)(const void *log, uint64_t index);
    const void *log;
};

/*
 * Encodes a batch (raft.h, duty 1) into the pending buffer. Copies everything. Does not block.
 * JOURNAL_FULL if it does not fit: then nothing later may be appended.
 */
enum journal_result journal_append(struct journal *journal, const struct raft_persist *persist,
                                   const struct journal_log *log);

/* Hands the pending batches to the writer. False if there are none. */
bool journal_take(struct journal *journal);

/*
 * Writes and syncs what was taken. JOURNAL_OK: everything up to journal_taken_seq() is on stable
 * storage. Else journal->error says why, and every later flush fails as well: a failed sync may
 * have dropped the data, so it is never repeated. Blocks for as long as the disk does.
 */
enum journal_result journal_flush(struct journal *journal);

/* Sequence of the last batch taken. */
uint64_t journal_taken_seq(const struct journal *journal);

#endif
