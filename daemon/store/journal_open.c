/* Recovery: from two slots to the state that was last durable, or to why that can't be had. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "store/crc32c.h"
#include "store/journal_write.h"
#include "wire/wire.h"

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

__attribute__((format(printf, 3, 4))) static enum journal_result
refuse(struct journal *journal, enum journal_result result, const char *format, ...)
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
static void choose_header(struct slot_view *view)
{
    const struct format_header *first = &view->copy[0];
    const struct format_header *second = &view->copy[1];
    view->valid = view->copy_valid[0] || view->copy_valid[1];
    view->header = view->copy_valid[0] ? *first : *second;
    if (view->copy_valid[0] && view->copy_valid[1] &&
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
    int error = config->ops->size(config->disk, slot, &view->size);
    if (error != 0)
        return refuse(recovery->journal, JOURNAL_IO, "journal.%d: cannot read its size: %s", slot,
                      strerror(error));
    enum journal_result result = read_bytes(recovery, slot, 0, first, sizeof(first));
    if (result == JOURNAL_OK)
        result = read_bytes(recovery, slot, FORMAT_HEADER_COPY_AT, second, sizeof(second));
    if (result != JOURNAL_OK)
        return result;
    view->copy_valid[0] = format_get_header(&view->copy[0], first);
    view->copy_valid[1] = format_get_header(&view->copy[1], second);
    choose_header(view);
    view->copy_blank = all_zero(second, sizeof(second));
    recovery->journal->allocated[slot] = view->size;
    return JOURNAL_OK;
}

static enum journal_result check_identity(struct recovery *recovery, int slot)
{
    const struct format_header *header = &recovery->slot[slot].header;
    const struct journal_config *config = &recovery->journal->config;
    if (header->version < JOURNAL_VERSION_OLDEST || header->version > JOURNAL_VERSION)
        return refuse(recovery->journal, JOURNAL_FOREIGN,
                      "journal.%d: format version %" PRIu32 ", this program reads %d to %d", slot,
                      header->version, JOURNAL_VERSION_OLDEST, JOURNAL_VERSION);
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
    if (body[8] != 0 &&
        !name_set(&vote, (const char *)body + 8, strnlen((const char *)body + 8, HF_NAME_MAX + 1)))
        return false;
    raft->term = format_get_u64(body);
    raft->vote = vote;
    return true;
}

static uint64_t last_index(const struct raft_recovered *raft)
{
    return raft->snapshot_index + raft->entry_count;
}

/* Raft looks into these alone; a snapshot's configuration is judged in the same way. */
static bool entry_is_readable(const struct raft_entry *entry)
{
    struct raft_members members;
    return wire_decode_members(&members, (struct bytes){ entry->data, entry->length });
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
    return entry->kind != RAFT_ENTRY_MEMBERS || entry_is_readable(entry);
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
    if (length < FORMAT_SNAPSHOT_BYTES || raft->members.count != 0 || raft->entry_count != 0)
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
        enum journal_result result =
            read_bytes(recovery, slot, offset, window, WINDOW + FORMAT_FRAME_BYTES);
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
        enum journal_result result = read_frame(recovery, slot, places[i], frame, found, &torn);
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

/* Takes the frame that is in buffer 0. */
static enum journal_result take_frame(struct recovery *recovery, int slot, uint64_t offset,
                                      const struct format_frame *frame)
{
    struct journal *journal = recovery->journal;
    if (!take_payload(recovery, frame, journal->config.buffer[0] + FORMAT_FRAME_BYTES))
        return refuse(journal, JOURNAL_CORRUPT,
                      "journal.%d: record %" PRIu64 " at byte %" PRIu64
                      " contradicts what precedes it",
                      slot, frame->seq, offset);
    recovery->last_at = offset;
    recovery->out->cut_bytes = 0;
    journal->frame_seq = frame->seq;
    journal->end = format_align(offset + FORMAT_FRAME_BYTES + frame->length);
    return JOURNAL_OK;
}

/* Every frame from the image on, up to the first that is not whole. */
static enum journal_result read_frames(struct recovery *recovery, int slot)
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
            result = take_frame(recovery, slot, offset, &frame);
        if (result != JOURNAL_OK)
            return result;
    }
    return JOURNAL_OK;
}

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
            read_bytes(recovery, slot, format_mark_at(i), block, FORMAT_BLOCK_BYTES);
        if (result != JOURNAL_OK)
            return result;
        if (format_get_mark(&mark, block) && mark.generation == recovery->journal->generation &&
            mark.seq > recovery->mark.seq && copy_is_whole(&mark, block + FORMAT_MARK_BYTES))
            recovery->mark = mark;
    }
    return JOURNAL_OK;
}

/* It was whole a moment ago. */
static enum journal_result refuse_unsteady(struct journal *journal, int slot, uint64_t seq)
{
    return refuse(journal, JOURNAL_CORRUPT,
                  "journal.%d: record %" PRIu64 " reads differently each time", slot, seq);
}

/* The last frame is damaged, its copy is not. */
static enum journal_result restore_last(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    const struct format_mark *mark = &recovery->mark;
    uint8_t *buffer = journal->config.buffer[0];
    struct format_frame frame = { .length = 0 };
    if (mark->offset != journal->end && mark->offset != format_next_block(journal->end))
        return refuse(journal, JOURNAL_CORRUPT,
                      "journal.%d: record %" PRIu64 " is not where it was written, at byte "
                      "%" PRIu64,
                      slot, mark->seq, mark->offset);
    enum journal_result result = read_bytes(
        recovery, slot, format_mark_at(mark->seq) + FORMAT_MARK_BYTES, buffer, mark->length);
    if (result != JOURNAL_OK)
        return result;
    if (!format_get_frame(&frame, buffer) || frame.seq != mark->seq)
        return refuse_unsteady(journal, slot, mark->seq);
    recovery->restored = true;
    return take_frame(recovery, slot, mark->offset, &frame);
}

/*
 * Nothing whole follows at journal->end. The marks tell what must have been there: the end, a torn
 * tail that was never acknowledged, or damage.
 */
static enum journal_result judge_end(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    enum journal_result result = read_marks(recovery, slot);
    uint64_t seq = journal->frame_seq + 1;
    uint64_t end = journal->end;
    uint64_t found = recovery->mark.seq > seq ? recovery->mark.offset : 0;
    if (result == JOURNAL_OK && recovery->mark.seq == seq) {
        if (recovery->mark.length == 0)
            return refuse(journal, JOURNAL_CORRUPT,
                          "journal.%d: record %" PRIu64 " at byte %" PRIu64
                          " is damaged, and was written whole",
                          slot, seq, recovery->mark.offset);
        result = restore_last(recovery, slot);
    }
    if (result == JOURNAL_OK && found == 0)
        result = find_later_frame(recovery, slot, journal->end, seq, &found);
    if (result == JOURNAL_OK && found > 0)
        return refuse(journal, JOURNAL_CORRUPT,
                      "journal.%d: record %" PRIu64 " at byte %" PRIu64
                      " is damaged, with valid ones after it at byte %" PRIu64,
                      slot, seq, end, found);
    return result;
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
    return judge_end(recovery, slot);
}

static void note_recovered(struct journal *journal, struct journal_recovered *out)
{
    out->raft.entries = journal->config.entries;
    journal->term = out->raft.term;
    journal->vote = out->raft.vote;
    journal->recovering = out->raft.standing == RAFT_RECOVERING;
    journal->begun = out->raft.standing == RAFT_UNSURE;
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
    if (read_frame(recovery, slot, at, &head, &valid, &torn) != JOURNAL_OK)
        return false;
    if (!valid)
        return refuse_unsteady(journal, slot, journal->frame_seq) == JOURNAL_OK;
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

/* Everything that counts from now on is on the disk twice, as after a flush. */
static enum journal_result repair(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    if (repair_last(recovery, slot) && repair_headers(recovery, slot, FORMAT_CURRENT))
        repair_headers(recovery, 1 - slot, FORMAT_SUPERSEDED);
    return journal->failure;
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
    if (result == JOURNAL_OK && slot >= 0)
        result = repair(&recovery, slot);
    if (result != JOURNAL_OK)
        return result;
    out->fresh = slot < 0;
    /* Nothing is lost, not new: only --init says that a cluster is. */
    if (out->fresh)
        out->raft.standing = RAFT_RECOVERING;
    note_recovered(journal, out);
    return JOURNAL_OK;
}

bool journal_holds_nothing(const struct journal_recovered *found)
{
    const struct raft_recovered *raft = &found->raft;
    return found->fresh || (raft->standing == RAFT_RECOVERING && raft->term == 0 &&
                            raft->snapshot_index == 0 && raft->entry_count == 0);
}

bool journal_knows_no_members(const struct journal_recovered *found)
{
    const struct raft_recovered *raft = &found->raft;
    return raft->members.count == 0 || (raft->standing == RAFT_RECOVERING &&
                                        raft->snapshot_index == 0 && raft->entry_count == 0);
}

void journal_keep_members(struct journal *journal, const struct raft_members *members)
{
    HF_CHECK(journal->snapshot_index == 0 && members->count > 0);
    journal->members = *members;
}

enum journal_result journal_open_or_begin_anew(struct journal *journal,
                                               const struct journal_config *config,
                                               struct journal_recovered *out)
{
    char damage[JOURNAL_ERROR_MAX + 1];
    bool kept = false;
    enum journal_result result = journal_open(journal, config, out);
    if (result != JOURNAL_CORRUPT)
        return result;
    memcpy(damage, journal->error, sizeof(damage));
    int error = config->ops->set_aside(config->disk, &kept);
    if (error != 0)
        return refuse(journal, JOURNAL_IO, "%.120s; cannot begin a new one: %s", damage,
                      strerror(error));
    result = journal_open(journal, config, out);
    if (result != JOURNAL_OK)
        return result;
    out->set_aside = true;
    out->kept = kept;
    memcpy(out->damage, damage, sizeof(damage));
    out->raft.standing = RAFT_RECOVERING;
    journal->recovering = true;
    return JOURNAL_OK;
}
