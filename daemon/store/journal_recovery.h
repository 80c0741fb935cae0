/*
 * Internal to the journal: what its recovery knows on its way, and the steps of it.
 *
 * journal_open.c chooses the slot and has the order of the steps, journal_replay.c reads the frames,
 * journal_judge.c says what comes of where they end, journal_repair.c writes again what is there only
 * once. Each step returns JOURNAL_OK, or the reason that journal->error tells. All of them block.
 */
#ifndef HOLDFAST_STORE_JOURNAL_RECOVERY_H
#define HOLDFAST_STORE_JOURNAL_RECOVERY_H

#include "store/format.h"

/* What recovery knows of one slot. */
struct slot_view {
    uint64_t size;
    bool valid; /* header is that of a generation */
    bool copy_blank;
    struct format_header header;
    bool copy_valid[2];
    struct format_header copy[2];
};

struct recovery {
    struct journal *journal;
    struct journal_recovered *out;
    struct slot_view slot[DISK_SLOTS];
    uint64_t last_at;        /* offset of the last frame */
    struct format_mark mark; /* the newest one; sequence 0: none */
    bool restored;           /* the last frame came from that mark's copy */
};

/* Notes why the journal can't be had; returns `result`. */
__attribute__((format(printf, 3, 4))) enum journal_result
recovery_refuse(struct journal *journal, enum journal_result result, const char *format, ...);

/* The same, of a frame that was whole a moment ago. */
enum journal_result recovery_refuse_unsteady(struct journal *journal, int slot, uint64_t seq);

/* Reads `length` bytes; what lies past the end of the slot reads as zero. */
enum journal_result recovery_read_bytes(struct recovery *recovery, int slot, uint64_t offset,
                                        uint8_t *data, size_t length);

/*
 * Reads the frame at `offset` into buffer 0. *valid: it is whole and of this generation. *torn: not
 * that, but its own header is.
 */
enum journal_result recovery_read_frame(struct recovery *recovery, int slot, uint64_t offset,
                                        struct format_frame *frame, bool *valid, bool *torn);

/* Takes over the records of the frame that is in buffer 0 and was read at `offset`. */
enum journal_result recovery_take_frame(struct recovery *recovery, int slot, uint64_t offset,
                                        const struct format_frame *frame);

/* Reads and takes every frame from the image on, up to the first that is not whole. */
enum journal_result recovery_replay(struct recovery *recovery, int slot);

/*
 * Nothing whole follows at journal->end. The marks tell what must have been there: the end, a torn
 * tail that was never acknowledged, or damage.
 */
enum journal_result recovery_judge_end(struct recovery *recovery, int slot);

/*
 * Makes both slots durable. A process that was killed within a flush leaves what only the page cache
 * has: it is read like the rest, and counts from now on.
 */
enum journal_result recovery_sync(struct journal *journal);

/* Everything that counts from now on is on the disk twice, as after a flush. */
enum journal_result recovery_repair(struct recovery *recovery, int slot);

/* Index of the last entry that was recovered so far. */
static inline uint64_t recovery_last_index(const struct raft_recovered *raft)
{
    return raft->snapshot_index + raft->entry_count;
}

#endif
