/* Recovery, second half: what it found is made durable, and is there twice again. */
#include <string.h>

#include "store/journal_recovery.h"
#include "store/journal_write.h"

enum journal_result recovery_sync(struct journal *journal)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        int error = journal->config.ops->sync(journal->config.disk, slot);
        if (error != 0)
            return recovery_refuse(journal, JOURNAL_IO,
                                   "journal.%d: cannot sync what it recovered: %s", slot,
                                   strerror(error));
    }
    return JOURNAL_OK;
}

/* The last frame and its mark: both are there again, or one of them is written from the other. */
static bool repair_last(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    uint8_t *frame = journal->config.buffer[0];
    struct format_frame head;
    bool valid;
    bool torn;
    uint64_t at = recovery->restored ? format_mark_at(journal->frame_seq) + FORMAT_MARK_BYTES :
                                       recovery->last_at;
    if (!recovery->restored &&
        (journal->frame_seq == 1 || recovery->mark.seq == journal->frame_seq))
        return true;
    if (recovery_read_frame(recovery, slot, at, &head, &valid, &torn) != JOURNAL_OK)
        return false;
    if (!valid)
        return recovery_refuse_unsteady(journal, slot, journal->frame_seq) == JOURNAL_OK;
    size_t length = FORMAT_FRAME_BYTES + head.length;
    recovery->out->repairs++;
    return (recovery->restored ?
                journal_write_bytes(journal, slot, recovery->last_at, frame, length) :
                journal_write_mark(journal, slot, recovery->last_at, frame, length)) &&
           journal_sync(journal, slot);
}

/* What a switch of slots left undone when the power went, and damaged headers. */
static bool repair_headers(struct recovery *recovery, int slot, enum format_state state)
{
    struct journal *journal = recovery->journal;
    const struct slot_view *view = &recovery->slot[slot];
    bool current = state == FORMAT_CURRENT;
    for (int i = 0; i < 2; i++) {
        const struct format_header *copy = &view->copy[i];
        if (view->copy_valid[i] && copy->state == state &&
            (copy->generation == journal->generation) == current)
            continue;
        recovery->out->repairs++;
        if (!journal_write_header(journal, slot, i, state, journal->generation - (current ? 0 : 1),
                                  view->header.image_end))
            return false;
    }
    return true;
}

enum journal_result recovery_repair(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    if (repair_last(recovery, slot) && repair_headers(recovery, slot, FORMAT_CURRENT))
        repair_headers(recovery, 1 - slot, FORMAT_SUPERSEDED);
    return journal->failure;
}
