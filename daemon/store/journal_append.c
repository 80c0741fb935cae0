/* The protocol thread's half of the journal: batches into the pending buffer. */
#include <string.h>

#include "base/check.h"
#include "store/format.h"

enum {
    ENTRY_RECORD_MAX = FORMAT_RECORD_BYTES + FORMAT_ENTRY_BYTES + RAFT_ENTRY_DATA_MAX,
    SMALL_RECORDS_MAX = 256 /* hard state and truncate of one batch, with room to spare */
};

size_t journal_buffer_bytes(size_t snapshot_capacity)
{
    return FORMAT_FRAME_BYTES + SMALL_RECORDS_MAX + FORMAT_RECORD_BYTES + FORMAT_SNAPSHOT_BYTES +
           FORMAT_MEMBERS_MAX + snapshot_capacity + (size_t)RAFT_LOG_MAX * ENTRY_RECORD_MAX;
}

/* Starts a record; its body of `length` bytes is to be filled in at what is returned. */
static uint8_t *add_record(struct journal_batch *batch, enum format_record kind, size_t length)
{
    if (batch->length == 0)
        batch->length = FORMAT_FRAME_BYTES;
    uint8_t *record = batch->data + batch->length;
    format_put_u32(record, (uint32_t)kind);
    format_put_u32(record + 4, (uint32_t)length);
    batch->length += FORMAT_RECORD_BYTES + length;
    batch->records++;
    return record + FORMAT_RECORD_BYTES;
}

static void add_hard_state(struct journal *journal)
{
    enum format_record kind = journal->begun      ? FORMAT_BEGUN :
                              journal->recovering ? FORMAT_RECOVERING :
                                                    FORMAT_HARD_STATE;
    uint8_t *body = add_record(&journal->pending, kind, FORMAT_HARD_STATE_BYTES);
    format_put_u64(body, journal->term);
    memcpy(body + 8, journal->vote.text, HF_NAME_MAX + 1);
}

static void add_truncate(struct journal *journal, uint64_t from)
{
    format_put_u64(add_record(&journal->pending, FORMAT_TRUNCATE, 8), from);
}

static void add_entries(struct journal *journal, const struct journal_log *log, uint64_t first,
                        uint64_t last)
{
    for (uint64_t index = first; index <= last; index++) {
        const struct raft_entry *entry = log->entry_at(log->log, index);
        HF_CHECK(entry && entry->index == index && entry->length <= RAFT_ENTRY_DATA_MAX);
        uint8_t *body =
            add_record(&journal->pending, FORMAT_ENTRY, FORMAT_ENTRY_BYTES + (size_t)entry->length);
        format_put_u64(body, entry->index);
        format_put_u64(body + 8, entry->term);
        format_put_u32(body + 16, (uint32_t)entry->kind);
        memcpy(body + FORMAT_ENTRY_BYTES, entry->data, entry->length);
    }
}

static void add_snapshot(struct journal *journal)
{
    uint8_t members[FORMAT_MEMBERS_MAX];
    size_t members_length = raft_members_encode(&journal->members, members, sizeof(members));
    HF_CHECK(members_length > 0);
    uint8_t *body = add_record(&journal->pending, FORMAT_SNAPSHOT,
                               FORMAT_SNAPSHOT_BYTES + members_length + journal->snapshot.length);
    format_put_u64(body, journal->snapshot_index);
    format_put_u64(body + 8, journal->snapshot_term);
    format_put_u32(body + 16, (uint32_t)members_length);
    memcpy(body + FORMAT_SNAPSHOT_BYTES, members, members_length);
    if (journal->snapshot.length > 0)
        memcpy(body + FORMAT_SNAPSHOT_BYTES + members_length, journal->snapshot.data,
               journal->snapshot.length);
}

/* True if the log still has every entry that an image needs. */
static bool image_possible(const struct journal *journal, const struct journal_log *log)
{
    uint64_t count = journal->last_index - journal->snapshot_index;
    return count <= RAFT_LOG_MAX &&
           (count == 0 || (log->entry_at(log->log, journal->snapshot_index + 1) != NULL &&
                           log->entry_at(log->log, journal->last_index) != NULL));
}

/* An image stands for everything before it: batches that still wait need not be written. */
static void append_image(struct journal *journal, const struct journal_log *log)
{
    struct journal_batch *pending = &journal->pending;
    pending->length = 0;
    pending->records = 0;
    pending->image = true;
    add_hard_state(journal);
    if (journal->snapshot_index > 0 || journal->members.count > 0)
        add_snapshot(journal);
    add_entries(journal, log, journal->snapshot_index + 1, journal->last_index);
}

/* Upper bound of the bytes of a batch without snapshot. */
static size_t batch_bytes(const struct raft_persist *persist)
{
    size_t entries = persist->last_index >= persist->first_index ?
                         (size_t)(persist->last_index - persist->first_index + 1) :
                         0;
    return SMALL_RECORDS_MAX + entries * ENTRY_RECORD_MAX;
}

static bool batch_fits(const struct journal *journal, size_t bytes)
{
    return journal->pending.length + FORMAT_FRAME_BYTES + bytes <=
           journal_buffer_bytes(journal->config.snapshot_capacity);
}

static bool slot_is_long(const struct journal *journal, size_t bytes)
{
    return !journal->pending.image && journal->end + journal->pending.length + bytes >
                                          journal->image_end + journal->config.growth_bytes;
}

/* Takes over the batch's effect; only then is known what an image of the whole would hold. */
static void note_batch(struct journal *journal, const struct raft_persist *persist)
{
    if (persist->forget) {
        journal->term = 0;
        journal->snapshot_index = 0;
        journal->snapshot_term = 0;
        journal->snapshot.length = 0;
        journal->last_index = 0;
    }
    if (persist->hard_state) {
        HF_CHECK(persist->term >= journal->term);
        journal->term = persist->term;
        journal->vote = persist->vote;
        journal->recovering = persist->recovering;
        journal->begun = persist->begun;
    }
    if (persist->snapshot) {
        HF_CHECK(persist->snapshot_index >= journal->snapshot_index);
        journal->snapshot_index = persist->snapshot_index;
        journal->snapshot_term = persist->snapshot_term;
        journal->members = persist->members;
        if (persist->snapshot_bytes.length > 0)
            memcpy(journal->config.snapshot, persist->snapshot_bytes.data,
                   persist->snapshot_bytes.length);
        journal->snapshot =
            (struct bytes){ journal->config.snapshot, persist->snapshot_bytes.length };
        if (!persist->keep_log || journal->last_index < persist->snapshot_index)
            journal->last_index = persist->snapshot_index;
    }
    if (persist->truncate_from > 0 && persist->truncate_from <= journal->last_index) {
        HF_CHECK(persist->truncate_from > journal->snapshot_index);
        journal->last_index = persist->truncate_from - 1;
    }
    if (persist->last_index >= persist->first_index) {
        HF_CHECK(persist->first_index == journal->last_index + 1);
        journal->last_index = persist->last_index;
    }
}

enum journal_result journal_append(struct journal *journal, const struct raft_persist *persist,
                                   const struct journal_log *log)
{
    size_t bytes = batch_bytes(persist);
    HF_CHECK(persist->wanted && persist->seq > journal->pending.last_seq);
    if (persist->snapshot && persist->snapshot_bytes.length > journal->config.snapshot_capacity)
        return JOURNAL_FULL;
    note_batch(journal, persist);
    journal->pending.last_seq = persist->seq;
    bool must = persist->snapshot || persist->forget ||
                (journal->slot < 0 && !journal->pending.image) || !batch_fits(journal, bytes);
    if (must || slot_is_long(journal, bytes)) {
        if (image_possible(journal, log)) {
            append_image(journal, log);
            return JOURNAL_OK;
        }
        if (must)
            return JOURNAL_FULL;
    }
    if (persist->hard_state)
        add_hard_state(journal);
    if (persist->truncate_from > 0)
        add_truncate(journal, persist->truncate_from);
    if (persist->last_index >= persist->first_index)
        add_entries(journal, log, persist->first_index, persist->last_index);
    return JOURNAL_OK;
}

static void place_image(struct journal *journal, struct journal_batch *batch)
{
    /* The very first one marks the other slot too: a lost file must not look like a new disk. */
    batch->old_slot = journal->slot == 0 ? 0 : 1;
    batch->old_image_end = journal->image_end;
    journal->slot = 1 - batch->old_slot;
    journal->generation++;
    journal->end = FORMAT_FRAMES_AT;
    journal->image_end = FORMAT_FRAMES_AT + batch->length;
    journal->frame_seq = 0;
}

bool journal_take(struct journal *journal)
{
    struct journal_batch *batch = &journal->pending;
    if (batch->length == 0)
        return false;
    if (batch->image)
        place_image(journal, batch);
    batch->slot = journal->slot;
    batch->generation = journal->generation;
    batch->offset = format_place(journal->end, batch->length);
    batch->frame_seq = ++journal->frame_seq;
    journal->end = format_align(batch->offset + batch->length);
    journal->taken = *batch;
    *batch = (struct journal_batch){
        .data = batch->data == journal->config.buffer[0] ? journal->config.buffer[1] :
                                                           journal->config.buffer[0],
        .last_seq = journal->taken.last_seq,
    };
    return true;
}

uint64_t journal_taken_seq(const struct journal *journal)
{
    return journal->taken.last_seq;
}
