/* Recovery: from two slots to the state that was last durable, or to why that can't be had. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/format.h"
#include "wire/wire.h"

/* What recovery knows of one slot. */
struct slot_view {
    uint64_t size;
    bool valid; /* header is that of a generation */
    bool copy_blank;
    struct format_header header;
};

struct recovery {
    struct journal *journal;
    struct journal_recovered *out;
    struct slot_view slot[DISK_SLOTS];
};

__attribute__((format(printf, 3, 4)))
static enum journal_result refuse(struct journal *journal, enum journal_result result,
                                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(journal->error, sizeof(journal->error), format, arguments);
    va_end(arguments);
    journal->failure = result;
    return result;
}

/* Reads up to `length` bytes; what lies past the end of the slot reads as zero. */
static enum journal_result read_bytes(struct recovery *recovery, int slot, uint64_t offset,
                                      uint8_t *data, size_t length)
{
    const struct journal_config *config = &recovery->journal->config;
    uint64_t size = recovery->slot[slot].size;
    size_t there = offset >= size ? 0 : size - offset < length ? (size_t)(size - offset) : length;
    memset(data + there, 0, length - there);
    int error = there ? config->ops->read(config->disk, slot, offset, data, there) : 0;
    if (error == 0)
        return JOURNAL_OK;
    return refuse(recovery->journal, JOURNAL_IO, "journal.%d: cannot read: %s", slot,
                  strerror(error));
}

static bool all_zero(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

/* The newer copy counts; of the same generation, the one that is superseded already. */
static void choose_header(struct slot_view *view, bool first_valid,
                          const struct format_header *first, bool second_valid,
                          const struct format_header *second)
{
    view->valid = first_valid || second_valid;
    view->header = first_valid ? *first : *second;
    if (first_valid && second_valid &&
        (second->generation > first->generation ||
         (second->generation == first->generation && second->state == FORMAT_SUPERSEDED)))
        view->header = *second;
}

static enum journal_result read_header(struct recovery *recovery, int slot)
{
    struct slot_view *view = &recovery->slot[slot];
    const struct journal_config *config = &recovery->journal->config;
    uint8_t first[FORMAT_HEADER_BYTES];
    uint8_t second[FORMAT_HEADER_BYTES];
    struct format_header header[2];
    int error = config->ops->size(config->disk, slot, &view->size);
    if (error != 0)
        return refuse(recovery->journal, JOURNAL_IO, "journal.%d: cannot read its size: %s", slot,
                      strerror(error));
    enum journal_result result = read_bytes(recovery, slot, 0, first, sizeof(first));
    if (result == JOURNAL_OK)
        result = read_bytes(recovery, slot, FORMAT_HEADER_COPY_AT, second, sizeof(second));
    if (result != JOURNAL_OK)
        return result;
    bool first_valid = format_get_header(&header[0], first);
    bool second_valid = format_get_header(&header[1], second);
    choose_header(view, first_valid, &header[0], second_valid, &header[1]);
    view->copy_blank = all_zero(second, sizeof(second));
    recovery->journal->allocated[slot] = view->size;
    return JOURNAL_OK;
}

static enum journal_result check_identity(struct recovery *recovery, int slot)
{
    const struct format_header *header = &recovery->slot[slot].header;
    const struct journal_config *config = &recovery->journal->config;
    if (header->version != JOURNAL_VERSION)
        return refuse(recovery->journal, JOURNAL_FOREIGN,
                      "journal.%d: format version %" PRIu32 ", this program reads %d", slot,
                      header->version, JOURNAL_VERSION);
    if (strcmp(header->cluster, config->cluster) != 0)
        return refuse(recovery->journal, JOURNAL_FOREIGN,
                      "journal.%d: belongs to cluster '%s', this is '%s'", slot, header->cluster,
                      config->cluster);
    if (!name_equal(&header->node, &config->node))
        return refuse(recovery->journal, JOURNAL_FOREIGN,
                      "journal.%d: belongs to node '%s', this is '%s'", slot, header->node.text,
                      config->node.text);
    return JOURNAL_OK;
}

/* Decides which slot is current: -1 for none yet. */
static enum journal_result choose_slot(struct recovery *recovery, int *chosen)
{
    const struct slot_view *a = &recovery->slot[0];
    const struct slot_view *b = &recovery->slot[1];
    *chosen = -1;
    if (!a->valid && !b->valid) {
        /* A first header that was torn has a blank copy; nothing was ever acknowledged then. */
        if (a->copy_blank && b->copy_blank)
            return JOURNAL_OK;
        return refuse(recovery->journal, JOURNAL_CORRUPT,
                      "journal: the headers of both slots are damaged");
    }
    *chosen = !a->valid || (b->valid && b->header.generation > a->header.generation) ? 1 : 0;
    enum journal_result result = check_identity(recovery, *chosen);
    if (result == JOURNAL_OK && recovery->slot[*chosen].header.state != FORMAT_CURRENT)
        return refuse(recovery->journal, JOURNAL_CORRUPT,
                      "journal.%d: damaged or missing; journal.%d was superseded by it",
                      1 - *chosen, *chosen);
    return result;
}

static bool take_hard_state(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    struct hf_name vote = { { 0 } };
    if (length != FORMAT_HARD_STATE_BYTES || format_get_u64(body) < raft->term)
        return false;
    if (body[8] != 0 && !name_set(&vote, (const char *)body + 8, strnlen((const char *)body + 8,
                                                                         HF_NAME_MAX + 1)))
        return false;
    raft->term = format_get_u64(body);
    raft->vote = vote;
    return true;
}

static uint64_t last_index(const struct raft_recovered *raft)
{
    return raft->snapshot_index + raft->entry_count;
}

static bool take_entry(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    if (length < FORMAT_ENTRY_BYTES || length - FORMAT_ENTRY_BYTES > RAFT_ENTRY_DATA_MAX ||
        raft->entry_count == RAFT_LOG_MAX || format_get_u64(body) != last_index(raft) + 1 ||
        format_get_u32(body + 16) >= RAFT_ENTRY_KINDS)
        return false;
    struct raft_entry *entry = &recovery->journal->config.entries[raft->entry_count++];
    entry->index = format_get_u64(body);
    entry->term = format_get_u64(body + 8);
    entry->kind = (enum raft_entry_kind)format_get_u32(body + 16);
    entry->length = (uint16_t)(length - FORMAT_ENTRY_BYTES);
    memcpy(entry->data, body + FORMAT_ENTRY_BYTES, entry->length);
    return true;
}

static bool take_truncate(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    if (length != 8 || format_get_u64(body) <= raft->snapshot_index)
        return false;
    if (format_get_u64(body) <= last_index(raft))
        raft->entry_count = (size_t)(format_get_u64(body) - 1 - raft->snapshot_index);
    return true;
}

static bool take_snapshot(struct recovery *recovery, const uint8_t *body, size_t length)
{
    struct raft_recovered *raft = &recovery->out->raft;
    const struct journal_config *config = &recovery->journal->config;
    if (length < FORMAT_SNAPSHOT_BYTES || raft->snapshot_index != 0 || raft->entry_count != 0)
        return false;
    size_t members_length = format_get_u32(body + 16);
    length -= FORMAT_SNAPSHOT_BYTES;
    if (members_length > length || length - members_length > config->snapshot_capacity)
        return false;
    const uint8_t *members = body + FORMAT_SNAPSHOT_BYTES;
    if (!wire_decode_members(&raft->members, (struct bytes){ members, members_length }))
        return false;
    raft->snapshot_index = format_get_u64(body);
    raft->snapshot_term = format_get_u64(body + 8);
    raft->snapshot = (struct bytes){ config->recovered_snapshot, length - members_length };
    memcpy(config->recovered_snapshot, members + members_length, length - members_length);
    return raft->snapshot_index > 0;
}

static bool take_record(struct recovery *recovery, uint32_t kind, const uint8_t *body,
                        size_t length, bool image)
{
    switch (kind) {
    case FORMAT_HARD_STATE:
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

/*
 * Reads the frame at `offset` into buffer 0. *valid: it is whole and of this generation. *torn: not
 * that, but its own header is.
 */
static enum journal_result read_frame(struct recovery *recovery, int slot, uint64_t offset,
                                      struct format_frame *frame, bool *valid, bool *torn)
{
    const struct journal_config *config = &recovery->journal->config;
    uint8_t *buffer = config->buffer[0];
    *valid = *torn = false;
    enum journal_result result = read_bytes(recovery, slot, offset, buffer, FORMAT_FRAME_BYTES);
    if (result != JOURNAL_OK)
        return result;
    if (!format_get_frame(frame, buffer) ||
        frame->generation != recovery->slot[slot].header.generation ||
        frame->length > journal_buffer_bytes(config->snapshot_capacity) - FORMAT_FRAME_BYTES)
        return JOURNAL_OK;
    result = read_bytes(recovery, slot, offset + FORMAT_FRAME_BYTES, buffer + FORMAT_FRAME_BYTES,
                        frame->length);
    *valid = result == JOURNAL_OK &&
             crc32c(0, buffer + FORMAT_FRAME_BYTES, frame->length) == frame->payload_crc;
    *torn = !*valid;
    return result;
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
        enum journal_result result = read_bytes(recovery, slot, offset, window,
                                                WINDOW + FORMAT_FRAME_BYTES);
        for (size_t i = 0; result == JOURNAL_OK && i < WINDOW; i += FORMAT_ALIGNMENT) {
            if (window[i] != 'H' || !format_get_frame(&frame, window + i) || frame.seq <= seq)
                continue;
            result = read_frame(recovery, slot, offset + i, &frame, &valid, &torn);
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

/* The frame at `end` is not valid: end of the journal, torn tail or corruption? */
static enum journal_result judge_end(struct recovery *recovery, int slot, uint64_t end,
                                     uint64_t seq, const struct format_frame *frame, bool torn)
{
    uint64_t found = 0;
    enum journal_result result = find_later_frame(recovery, slot, end, seq, &found);
    if (result != JOURNAL_OK)
        return result;
    if (found > 0)
        return refuse(recovery->journal, JOURNAL_CORRUPT,
                      "journal.%d: record %" PRIu64 " at byte %" PRIu64
                      " is damaged, with valid ones after it at byte %" PRIu64,
                      slot, seq, end, found);
    if (torn)
        recovery->out->cut_bytes = FORMAT_FRAME_BYTES + (uint64_t)frame->length;
    return JOURNAL_OK;
}

static enum journal_result read_frames(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    struct format_frame frame;
    bool valid;
    bool torn;
    uint64_t offset = FORMAT_FRAMES_AT;
    for (uint64_t seq = 1;; seq++) {
        enum journal_result result = read_frame(recovery, slot, offset, &frame, &valid, &torn);
        if (result != JOURNAL_OK)
            return result;
        if (!valid || frame.seq != seq) {
            journal->end = offset;
            journal->frame_seq = seq - 1;
            return judge_end(recovery, slot, offset, seq, &frame, torn);
        }
        if (!take_payload(recovery, &frame, journal->config.buffer[0] + FORMAT_FRAME_BYTES))
            return refuse(journal, JOURNAL_CORRUPT,
                          "journal.%d: record %" PRIu64 " at byte %" PRIu64
                          " contradicts what precedes it",
                          slot, seq, offset);
        offset = format_align(offset + FORMAT_FRAME_BYTES + frame.length);
    }
}

static enum journal_result recover_slot(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    const struct format_header *header = &recovery->slot[slot].header;
    journal->slot = slot;
    journal->generation = header->generation;
    journal->image_end = header->image_end;
    enum journal_result result = read_frames(recovery, slot);
    if (result != JOURNAL_OK)
        return result;
    /* The header was written after the image was durable. */
    if (journal->frame_seq == 0 || journal->end < header->image_end)
        return refuse(journal, JOURNAL_CORRUPT, "journal.%d: its first record is damaged", slot);
    return JOURNAL_OK;
}

static void note_recovered(struct journal *journal, struct journal_recovered *out)
{
    out->raft.entries = journal->config.entries;
    journal->term = out->raft.term;
    journal->vote = out->raft.vote;
    journal->snapshot_index = out->raft.snapshot_index;
    journal->snapshot_term = out->raft.snapshot_term;
    journal->members = out->raft.members;
    journal->snapshot = out->raft.snapshot;
    journal->last_index = last_index(&out->raft);
}

/*
 * A process that was killed within a flush leaves what only the page cache has. It is read like the
 * rest, and counts as durable from now on, so it must be.
 */
static enum journal_result sync_recovered(struct journal *journal)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        int error = journal->config.ops->sync(journal->config.disk, slot);
        if (error != 0)
            return refuse(journal, JOURNAL_IO, "journal.%d: cannot sync what it recovered: %s",
                          slot, strerror(error));
    }
    return JOURNAL_OK;
}

enum journal_result journal_open(struct journal *journal, const struct journal_config *config,
                                 struct journal_recovered *out)
{
    struct recovery recovery = { .journal = journal, .out = out };
    int slot = -1;
    memset(journal, 0, sizeof(*journal));
    memset(out, 0, sizeof(*out));
    journal->config = *config;
    journal->slot = -1;
    journal->pending.data = config->buffer[0];
    enum journal_result result = read_header(&recovery, 0);
    if (result == JOURNAL_OK)
        result = read_header(&recovery, 1);
    if (result == JOURNAL_OK)
        result = choose_slot(&recovery, &slot);
    if (result == JOURNAL_OK && slot >= 0)
        result = recover_slot(&recovery, slot);
    if (result == JOURNAL_OK && slot >= 0)
        result = sync_recovered(journal);
    if (result != JOURNAL_OK)
        return result;
    out->fresh = slot < 0;
    note_recovered(journal, out);
    return JOURNAL_OK;
}
