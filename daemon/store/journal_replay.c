/* Recovery, first half: frame after frame, record after record, to the state they add up to. */
#include <inttypes.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/journal_recovery.h"

static bool take_hard_state(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    struct hf_name vote = { { 0 } };
    if (length != FORMAT_HARD_STATE_BYTES || format_get_u64(body) < raft->term)
        return false;
    if (body[8] != 0 &&
        !name_set(&vote, (const char *)body + 8, strnlen((const char *)body + 8, HF_NAME_MAX + 1)))
        return false;
    raft->term = format_get_u64(body);
    raft->vote = vote;
    return true;
}

/* Raft looks into these alone; a snapshot's configuration is judged in the same way. */
static bool entry_is_readable(const struct raft_entry *entry)
{
    struct raft_members members;
    return raft_members_decode(&members, (struct bytes){ entry->data, entry->length });
}

static bool take_entry(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    if (length < FORMAT_ENTRY_BYTES || length - FORMAT_ENTRY_BYTES > RAFT_ENTRY_DATA_MAX ||
        raft->entry_count == RAFT_LOG_MAX ||
        format_get_u64(body) != recovery_last_index(raft) + 1 ||
        format_get_u32(body + 16) >= RAFT_ENTRY_KINDS)
        return false;
    struct raft_entry *entry = &recovery->journal->config.entries[raft->entry_count++];
    entry->index = format_get_u64(body);
    entry->term = format_get_u64(body + 8);
    entry->kind = (enum raft_entry_kind)format_get_u32(body + 16);
    entry->length = (uint16_t)(length - FORMAT_ENTRY_BYTES);
    memcpy(entry->data, body + FORMAT_ENTRY_BYTES, entry->length);
    return entry->kind != RAFT_ENTRY_MEMBERS || entry_is_readable(entry);
}

static bool take_truncate(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    if (length != 8 || format_get_u64(body) <= raft->snapshot_index)
        return false;
    if (format_get_u64(body) <= recovery_last_index(raft))
        raft->entry_count = (size_t)(format_get_u64(body) - 1 - raft->snapshot_index);
    return true;
}

static bool take_snapshot(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    const struct journal_config *config = &recovery->journal->config;
    if (length < FORMAT_SNAPSHOT_BYTES || raft->members.count != 0 || raft->entry_count != 0)
        return false;
    size_t members_length = format_get_u32(body + 16);
    length -= FORMAT_SNAPSHOT_BYTES;
    if (members_length > length || length - members_length > config->snapshot_capacity)
        return false;
    const uint8_t *members = body + FORMAT_SNAPSHOT_BYTES;
    if (!raft_members_decode(&raft->members, (struct bytes){ members, members_length }))
        return false;
    raft->snapshot_index = format_get_u64(body);
    raft->snapshot_term = format_get_u64(body + 8);
    /* Before the first snapshot: the members of the first start alone. */
    if (raft->snapshot_index == 0)
        return raft->snapshot_term == 0 && length == members_length;
    raft->snapshot = (struct bytes){ config->recovered_snapshot, length - members_length };
    memcpy(config->recovered_snapshot, members + members_length, length - members_length);
    return true;
}

static bool take_record(struct recovery *recovery, uint32_t kind, const uint8_t *body,
                        size_t length, bool image)
{
    switch (kind) {
    case FORMAT_HARD_STATE:
    case FORMAT_RECOVERING:
    case FORMAT_BEGUN:
        recovery->out->raft.standing = kind == FORMAT_RECOVERING ? RAFT_RECOVERING :
                                       kind == FORMAT_BEGUN      ? RAFT_UNSURE :
                                                                   RAFT_WHOLE;
        return take_hard_state(recovery, body, length);
    case FORMAT_ENTRY:
        return take_entry(recovery, body, length);
    case FORMAT_TRUNCATE:
        return take_truncate(recovery, body, length);
    case FORMAT_SNAPSHOT:
        return image && take_snapshot(recovery, body, length);
    default:
        return false;
    }
}

/* The checksum held, so whatever is wrong in here was written so. */
static bool take_payload(struct recovery *recovery, const struct format_frame *frame,
                         const uint8_t *payload)
{
    size_t at = 0;
    for (uint32_t i = 0; i < frame->records; i++) {
        if (frame->length - at < FORMAT_RECORD_BYTES)
            return false;
        uint32_t kind = format_get_u32(payload + at);
        size_t length = format_get_u32(payload + at + 4);
        at += FORMAT_RECORD_BYTES;
        if (length > frame->length - at ||
            !take_record(recovery, kind, payload + at, length, frame->seq == 1))
            return false;
        at += length;
    }
    return at == frame->length;
}

enum journal_result recovery_read_frame(struct recovery *recovery, int slot, uint64_t offset,
                                        struct format_frame *frame, bool *valid, bool *torn)
{
    const struct journal_config *config = &recovery->journal->config;
    uint8_t *buffer = config->buffer[0];
    *valid = *torn = false;
    enum journal_result result =
        recovery_read_bytes(recovery, slot, offset, buffer, FORMAT_FRAME_BYTES);
    if (result != JOURNAL_OK)
        return result;
    if (!format_get_frame(frame, buffer) ||
        frame->generation != recovery->slot[slot].header.generation ||
        frame->length > journal_buffer_bytes(config->snapshot_capacity) - FORMAT_FRAME_BYTES)
        return JOURNAL_OK;
    result = recovery_read_bytes(recovery, slot, offset + FORMAT_FRAME_BYTES,
                                 buffer + FORMAT_FRAME_BYTES, frame->length);
    *valid = result == JOURNAL_OK &&
             crc32c(0, buffer + FORMAT_FRAME_BYTES, frame->length) == frame->payload_crc;
    *torn = !*valid;
    return result;
}

/* Finds frame `seq` at *offset or, if it did not fit there, at the start of the next block. */
static enum journal_result seek_frame(struct recovery *recovery, int slot, uint64_t seq,
                                      uint64_t *offset, struct format_frame *frame, bool *found)
{
    uint64_t places[2] = { *offset, format_next_block(*offset) };
    int count = *offset % FORMAT_BLOCK_BYTES == 0 ? 1 : 2;
    bool torn;
    *found = false;
    recovery->out->cut_bytes = 0;
    for (int i = 0; i < count; i++) {
        enum journal_result result =
            recovery_read_frame(recovery, slot, places[i], frame, found, &torn);
        *found = *found && frame->seq == seq;
        if (torn && frame->seq == seq)
            recovery->out->cut_bytes = FORMAT_FRAME_BYTES + (uint64_t)frame->length;
        if (result != JOURNAL_OK || *found) {
            *offset = places[i];
            return result;
        }
    }
    return JOURNAL_OK;
}

enum journal_result recovery_take_frame(struct recovery *recovery, int slot, uint64_t offset,
                                        const struct format_frame *frame)
{
    struct journal *journal = recovery->journal;
    if (!take_payload(recovery, frame, journal->config.buffer[0] + FORMAT_FRAME_BYTES))
        return recovery_refuse(journal, JOURNAL_CORRUPT,
                               "journal.%d: record %" PRIu64 " at byte %" PRIu64
                               " contradicts what precedes it",
                               slot, frame->seq, offset);
    recovery->last_at = offset;
    recovery->out->cut_bytes = 0;
    journal->frame_seq = frame->seq;
    journal->end = format_align(offset + FORMAT_FRAME_BYTES + frame->length);
    return JOURNAL_OK;
}

enum journal_result recovery_replay(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    struct format_frame frame;
    bool found = true;
    journal->end = FORMAT_FRAMES_AT;
    while (found) {
        uint64_t offset = journal->end;
        enum journal_result result =
            seek_frame(recovery, slot, journal->frame_seq + 1, &offset, &frame, &found);
        if (result == JOURNAL_OK && found)
            result = recovery_take_frame(recovery, slot, offset, &frame);
        if (result != JOURNAL_OK)
            return result;
    }
    return JOURNAL_OK;
}
