/* Recovery, the end of the frames: the last one, a torn tail that was never acknowledged, or damage. */
#include <inttypes.h>

#include "store/crc32c.h"
#include "store/journal_recovery.h"

/* True if the copy behind a mark, which is at `bytes`, is the frame that the mark names. */
static bool copy_is_whole(const struct format_mark *mark, const uint8_t *bytes)
{
    struct format_frame frame;
    return mark->length == 0 ||
           (mark->length >= FORMAT_FRAME_BYTES && format_get_frame(&frame, bytes) &&
            frame.seq == mark->seq && frame.generation == mark->generation &&
            frame.length == mark->length - FORMAT_FRAME_BYTES &&
            crc32c(0, bytes + FORMAT_FRAME_BYTES, frame.length) == frame.payload_crc);
}

/* The newest whole mark of the generation that is being read. */
static enum journal_result read_marks(struct recovery *recovery, int slot)
{
    uint8_t *block = recovery->journal->config.buffer[0];
    for (uint64_t i = 0; i < FORMAT_MARKS; i++) {
        struct format_mark mark;
        enum journal_result result =
            recovery_read_bytes(recovery, slot, format_mark_at(i), block, FORMAT_BLOCK_BYTES);
        if (result != JOURNAL_OK)
            return result;
        if (format_get_mark(&mark, block) && mark.generation == recovery->journal->generation &&
            mark.seq > recovery->mark.seq && copy_is_whole(&mark, block + FORMAT_MARK_BYTES))
            recovery->mark = mark;
    }
    return JOURNAL_OK;
}

enum journal_result recovery_refuse_unsteady(struct journal *journal, int slot, uint64_t seq)
{
    return recovery_refuse(journal, JOURNAL_CORRUPT,
                           "journal.%d: record %" PRIu64 " reads differently each time", slot, seq);
}

/* Is there, from `offset` on, a whole frame of this generation that comes after `seq`? */
static enum journal_result find_later_frame(struct recovery *recovery, int slot, uint64_t offset,
                                            uint64_t seq, uint64_t *found)
{
    enum { WINDOW = 65536 };
    uint8_t *window = recovery->journal->config.buffer[1];
    struct format_frame frame;
    bool valid;
    bool torn;
    *found = 0;
    for (; offset < recovery->slot[slot].size; offset += WINDOW) {
        enum journal_result result =
            recovery_read_bytes(recovery, slot, offset, window, WINDOW + FORMAT_FRAME_BYTES);
        for (size_t i = 0; result == JOURNAL_OK && i < WINDOW; i += FORMAT_ALIGNMENT) {
            if (window[i] != 'H' || !format_get_frame(&frame, window + i) || frame.seq <= seq)
                continue;
            result = recovery_read_frame(recovery, slot, offset + i, &frame, &valid, &torn);
            if (result == JOURNAL_OK && valid) {
                *found = offset + i;
                return JOURNAL_OK;
            }
        }
        if (result != JOURNAL_OK)
            return result;
    }
    return JOURNAL_OK;
}

/* The last frame is damaged, its copy is not. */
static enum journal_result restore_last(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    const struct format_mark *mark = &recovery->mark;
    uint8_t *buffer = journal->config.buffer[0];
    struct format_frame frame = { .length = 0 };
    if (mark->offset != journal->end && mark->offset != format_next_block(journal->end))
        return recovery_refuse(journal, JOURNAL_CORRUPT,
                               "journal.%d: record %" PRIu64
                               " is not where it was written, at byte "
                               "%" PRIu64,
                               slot, mark->seq, mark->offset);
    enum journal_result result = recovery_read_bytes(
        recovery, slot, format_mark_at(mark->seq) + FORMAT_MARK_BYTES, buffer, mark->length);
    if (result != JOURNAL_OK)
        return result;
    if (!format_get_frame(&frame, buffer) || frame.seq != mark->seq)
        return recovery_refuse_unsteady(journal, slot, mark->seq);
    recovery->restored = true;
    return recovery_take_frame(recovery, slot, mark->offset, &frame);
}

enum journal_result recovery_judge_end(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    enum journal_result result = read_marks(recovery, slot);
    uint64_t seq = journal->frame_seq + 1;
    uint64_t end = journal->end;
    uint64_t found = recovery->mark.seq > seq ? recovery->mark.offset : 0;
    if (result == JOURNAL_OK && recovery->mark.seq == seq) {
        if (recovery->mark.length == 0)
            return recovery_refuse(journal, JOURNAL_CORRUPT,
                                   "journal.%d: record %" PRIu64 " at byte %" PRIu64
                                   " is damaged, and was written whole",
                                   slot, seq, recovery->mark.offset);
        result = restore_last(recovery, slot);
    }
    if (result == JOURNAL_OK && found == 0)
        result = find_later_frame(recovery, slot, journal->end, seq, &found);
    if (result == JOURNAL_OK && found > 0)
        return recovery_refuse(journal, JOURNAL_CORRUPT,
                               "journal.%d: record %" PRIu64 " at byte %" PRIu64
                               " is damaged, with valid ones after it at byte %" PRIu64,
                               slot, seq, end, found);
    return result;
}
