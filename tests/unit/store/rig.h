/*
 * A journal on a disk in memory, driven by a script, with what must come back after each batch.
 *
 * The disk keeps every operation in order, so that a test can build what a power cut after any of
 * them leaves; it undoes whatever was done since rig_mark(), so that a test can try thousands.
 * Each test program has its own rig: everything is static.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_RIG_H
#define HOLDFAST_TESTS_UNIT_STORE_RIG_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/format.h"
#include "store/journal.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"

enum {
    RIG_SLOT_BYTES = 4 * 1024 * 1024,
    RIG_OPERATIONS_MAX = 8192,
    RIG_UNDO_MAX = 4096,
    RIG_BATCHES_MAX = 1024,
    RIG_SNAPSHOT_CAPACITY = 512 * 1024,
    RIG_INDEX_MAX = 4096,
    RIG_SECTOR_BYTES = 512,
    RIG_NEVER = INT32_MAX
};

enum rig_kind { RIG_WRITE, RIG_SYNC, RIG_GROW };

struct rig_operation {
    enum rig_kind kind;
    int slot;
    uint64_t offset; /* of a write; new size of a growth */
    size_t length;
    uint8_t *data;
};

struct rig_undo {
    int slot;
    uint64_t offset;
    size_t length;
    uint8_t *data;
};

/* Which call fails, and how: an errno value, 0 for none. */
struct rig_faults {
    int read, write, sync, size, preallocate, set_aside;
    int writes_left; /* below 0: all; else the power goes within the write after that many */
};

struct rig_disk {
    uint8_t *bytes[DISK_SLOTS];
    uint64_t size[DISK_SLOTS];
    bool unsynced[DISK_SLOTS];
    bool keeps; /* keeps operations */
    struct rig_operation operation[RIG_OPERATIONS_MAX];
    int operations;
    struct rig_undo undo[RIG_UNDO_MAX];
    int undos;
    uint64_t size_at_mark[DISK_SLOTS];
    struct rig_faults faults;
    int writes;
};

static inline uint8_t *rig_copy(const void *data, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, data, length);
    return copy;
}

/* Changes bytes so that rig_undo() can take it back. */
static inline void rig_poke(struct rig_disk *disk, int slot, uint64_t offset, const void *data,
                            size_t length)
{
    assert_true(offset + length <= RIG_SLOT_BYTES && disk->undos < RIG_UNDO_MAX);
    if (!disk->keeps)
        disk->undo[disk->undos++] =
            (struct rig_undo){ slot, offset, length, rig_copy(disk->bytes[slot] + offset, length) };
    memcpy(disk->bytes[slot] + offset, data, length);
}

static inline void rig_mark(struct rig_disk *disk)
{
    while (disk->undos > 0)
        free(disk->undo[--disk->undos].data);
    memcpy(disk->size_at_mark, disk->size, sizeof(disk->size));
}

static inline void rig_undo(struct rig_disk *disk)
{
    while (disk->undos > 0) {
        struct rig_undo *undo = &disk->undo[--disk->undos];
        memcpy(disk->bytes[undo->slot] + undo->offset, undo->data, undo->length);
        free(undo->data);
    }
    memcpy(disk->size, disk->size_at_mark, sizeof(disk->size));
    disk->faults = (struct rig_faults){ .writes_left = -1 };
    memset(disk->unsynced, 0, sizeof(disk->unsynced));
}

static inline void rig_note(struct rig_disk *disk, enum rig_kind kind, int slot, uint64_t offset,
                            const void *data, size_t length)
{
    if (!disk->keeps)
        return;
    assert_true(disk->operations < RIG_OPERATIONS_MAX);
    disk->operation[disk->operations++] =
        (struct rig_operation){ kind, slot, offset, length, data ? rig_copy(data, length) : NULL };
}

static inline int rig_read(void *context, int slot, uint64_t offset, void *data, size_t length)
{
    struct rig_disk *disk = context;
    assert_true(offset + length <= disk->size[slot]);
    memcpy(data, disk->bytes[slot] + offset, length);
    return disk->faults.read;
}

static inline int rig_write(void *context, int slot, uint64_t offset, const void *data,
                            size_t length)
{
    struct rig_disk *disk = context;
    assert_true(offset + length <= disk->size[slot]);
    if (disk->faults.write)
        return disk->faults.write;
    if (disk->faults.writes_left == 0) {
        rig_poke(disk, slot, offset, data, (size_t)random_below(length + 1));
        disk->faults.write = disk->faults.sync = EIO;
        return EIO;
    }
    if (disk->faults.writes_left > 0)
        disk->faults.writes_left--;
    rig_note(disk, RIG_WRITE, slot, offset, data, length);
    rig_poke(disk, slot, offset, data, length);
    disk->unsynced[slot] = true;
    disk->writes++;
    return 0;
}

static inline int rig_sync(void *context, int slot)
{
    struct rig_disk *disk = context;
    if (disk->faults.sync)
        return disk->faults.sync;
    rig_note(disk, RIG_SYNC, slot, 0, NULL, 0);
    disk->unsynced[slot] = false;
    return 0;
}

static inline int rig_size(void *context, int slot, uint64_t *bytes)
{
    struct rig_disk *disk = context;
    *bytes = disk->size[slot];
    return disk->faults.size;
}

static inline int rig_preallocate(void *context, int slot, uint64_t bytes)
{
    struct rig_disk *disk = context;
    if (disk->faults.preallocate)
        return disk->faults.preallocate;
    if (bytes > RIG_SLOT_BYTES)
        return ENOSPC;
    rig_note(disk, RIG_GROW, slot, bytes, NULL, 0);
    if (bytes > disk->size[slot])
        disk->size[slot] = bytes;
    return 0;
}

static inline int rig_set_aside(void *context, bool *kept)
{
    static const uint8_t zeros[RIG_SLOT_BYTES];
    struct rig_disk *disk = context;
    if (disk->faults.set_aside)
        return disk->faults.set_aside;
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        rig_poke(disk, slot, 0, zeros, RIG_SLOT_BYTES); /* of a lost file, too */
        disk->size[slot] = 0;
    }
    *kept = true;
    return 0;
}

static const struct disk_ops rig_ops = { rig_read, rig_write,       rig_sync,
                                         rig_size, rig_preallocate, rig_set_aside };

static inline void rig_forget_operations(struct rig_disk *disk)
{
    for (int i = 0; i < disk->operations; i++)
        free(disk->operation[i].data);
    disk->operations = 0;
}

/* An empty disk. `keeps`: it keeps operations and can't undo. */
static inline void rig_disk_reset(struct rig_disk *disk, bool keeps)
{
    rig_forget_operations(disk);
    disk->writes = 0;
    disk->keeps = keeps;
    rig_mark(disk);
    for (int i = 0; i < DISK_SLOTS; i++) {
        if (!disk->bytes[i])
            disk->bytes[i] = malloc(RIG_SLOT_BYTES);
        assert_non_null(disk->bytes[i]);
        memset(disk->bytes[i], 0, RIG_SLOT_BYTES);
        disk->size[i] = 0;
        disk->unsynced[i] = false;
    }
    disk->faults = (struct rig_faults){ .writes_left = -1 };
}

/* ---- the journal, and the log that a raft would have */

static struct rig_disk rig_disk; /* what the script runs on */
static struct journal rig_journal;
static struct journal_recovered rig_recovered;
static struct raft_entry rig_entry[RIG_INDEX_MAX];
static uint64_t rig_last; /* the log ends here */
static uint8_t rig_snapshot[RIG_SNAPSHOT_CAPACITY];
static uint64_t rig_growth_bytes = 6000;

static inline const struct raft_entry *rig_entry_at(const void *log, uint64_t index)
{
    (void)log;
    return index >= 1 && index <= rig_last ? &rig_entry[index] : NULL;
}

static const struct journal_log rig_log = { rig_entry_at, NULL };

static inline struct journal_config rig_config(struct rig_disk *disk)
{
    static struct raft_entry entries[RAFT_LOG_MAX];
    static uint8_t recovered[RIG_SNAPSHOT_CAPACITY];
    static uint8_t snapshot[RIG_SNAPSHOT_CAPACITY];
    static uint8_t *buffer[2];
    for (int i = 0; i < 2; i++) {
        if (!buffer[i])
            buffer[i] = malloc(journal_buffer_bytes(RIG_SNAPSHOT_CAPACITY));
        assert_non_null(buffer[i]);
    }
    struct journal_config config = { .ops = &rig_ops,
                                     .disk = disk,
                                     .cluster = "line-3",
                                     .entries = entries,
                                     .recovered_snapshot = recovered,
                                     .snapshot = snapshot,
                                     .snapshot_capacity = RIG_SNAPSHOT_CAPACITY,
                                     .buffer = { buffer[0], buffer[1] },
                                     .growth_bytes = rig_growth_bytes };
    assert_true(name_from_string(&config.node, "board-a"));
    return config;
}

static inline enum journal_result rig_open(struct rig_disk *disk)
{
    struct journal_config config = rig_config(disk);
    return journal_open(&rig_journal, &config, &rig_recovered);
}

static inline enum journal_result rig_open_or_begin_anew(struct rig_disk *disk)
{
    struct journal_config config = rig_config(disk);
    return journal_open_or_begin_anew(&rig_journal, &config, &rig_recovered);
}

/* ---- what must come back after each batch */

struct rig_state {
    uint64_t term;
    struct hf_name vote;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    size_t snapshot_length;
    uint32_t snapshot_crc;
};

static struct rig_state rig_state;
static uint64_t rig_batches;
static uint64_t rig_digest[RIG_BATCHES_MAX + 1];
static uint64_t rig_term[RIG_BATCHES_MAX + 1];
static int rig_acked_at[RIG_BATCHES_MAX + 1];    /* operations done when it was acknowledged */
static int rig_appended_at[RIG_BATCHES_MAX + 1]; /* operations done when it was appended */

static inline uint64_t rig_mix(uint64_t digest, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; i++)
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001B3);
    return digest;
}

static inline uint64_t rig_mix_entry(uint64_t digest, const struct raft_entry *entry)
{
    digest = rig_mix(digest, &entry->index, sizeof(entry->index));
    digest = rig_mix(digest, &entry->term, sizeof(entry->term));
    digest = rig_mix(digest, &entry->kind, sizeof(entry->kind));
    return rig_mix(digest, entry->data, entry->length);
}

static inline uint64_t rig_mix_state(const struct rig_state *state)
{
    uint64_t digest = rig_mix(UINT64_C(0xCBF29CE484222325), &state->term, sizeof(state->term));
    digest = rig_mix(digest, state->vote.text, sizeof(state->vote.text));
    digest = rig_mix(digest, &state->snapshot_index, sizeof(state->snapshot_index));
    digest = rig_mix(digest, &state->snapshot_term, sizeof(state->snapshot_term));
    digest = rig_mix(digest, &state->snapshot_length, sizeof(state->snapshot_length));
    return rig_mix(digest, &state->snapshot_crc, sizeof(state->snapshot_crc));
}

static inline uint64_t rig_digest_expected(void)
{
    uint64_t digest = rig_mix_state(&rig_state);
    for (uint64_t i = rig_state.snapshot_index + 1; i <= rig_last; i++)
        digest = rig_mix_entry(digest, &rig_entry[i]);
    return digest;
}

static inline uint64_t rig_digest_recovered(void)
{
    const struct raft_recovered *raft = &rig_recovered.raft;
    struct rig_state state = { raft->term,
                               raft->vote,
                               raft->snapshot_index,
                               raft->snapshot_term,
                               raft->snapshot.length,
                               crc32c(0, raft->snapshot.data, raft->snapshot.length) };
    uint64_t digest = rig_mix_state(&state);
    for (size_t i = 0; i < raft->entry_count; i++)
        digest = rig_mix_entry(digest, &raft->entries[i]);
    return digest;
}

/* ---- the script */

static inline void rig_begin(struct raft_persist *persist)
{
    *persist = (struct raft_persist){ .wanted = true, .seq = ++rig_batches, .first_index = 1 };
    assert_true(rig_batches <= RIG_BATCHES_MAX);
}

static inline void rig_hard_state(struct raft_persist *persist)
{
    char name[16];
    rig_state.term += random_below(2);
    if (rig_state.term == 0)
        rig_state.term = 1;
    snprintf(name, sizeof(name), "n%u", (unsigned)random_below(5));
    assert_true(name_from_string(&rig_state.vote, name));
    persist->hard_state = true;
    persist->term = rig_state.term;
    persist->vote = rig_state.vote;
}

static inline void rig_entries(struct raft_persist *persist, uint64_t count, size_t length_max)
{
    persist->first_index = rig_last + 1;
    for (uint64_t i = 0; i < count; i++) {
        assert_true(rig_last + 1 < RIG_INDEX_MAX);
        struct raft_entry *entry = &rig_entry[++rig_last];
        *entry = (struct raft_entry){ .index = rig_last,
                                      .term = rig_state.term,
                                      .kind = RAFT_ENTRY_COMMAND,
                                      .length = (uint16_t)(1 + random_below(length_max)) };
        for (uint16_t j = 0; j < entry->length; j++)
            entry->data[j] = (uint8_t)random_u64();
    }
    persist->last_index = rig_last;
}

/* The leader's own, `index` within the log; or one installed, above it, instead of the log. */
static inline void rig_take_snapshot(struct raft_persist *persist, uint64_t index, bool keep_log)
{
    rig_state.snapshot_index = index;
    rig_state.snapshot_term = rig_state.term;
    rig_state.snapshot_length = (size_t)random_below(1500);
    for (size_t i = 0; i < rig_state.snapshot_length; i++)
        rig_snapshot[i] = (uint8_t)random_u64();
    rig_state.snapshot_crc = crc32c(0, rig_snapshot, rig_state.snapshot_length);
    persist->snapshot = true;
    persist->snapshot_index = index;
    persist->snapshot_term = rig_state.term;
    persist->members.count = 1;
    assert_true(name_from_string(&persist->members.member[0].id, "board-a"));
    persist->members.member[0].voter = true;
    persist->snapshot_bytes = (struct bytes){ rig_snapshot, rig_state.snapshot_length };
    persist->keep_log = keep_log;
    if (!keep_log)
        rig_last = index;
}

static inline void rig_append(const struct raft_persist *persist)
{
    assert_int_equal(journal_append(&rig_journal, persist, &rig_log), JOURNAL_OK);
    rig_digest[rig_batches] = rig_digest_expected();
    rig_term[rig_batches] = rig_state.term;
    rig_appended_at[rig_batches] = rig_disk.operations;
    rig_acked_at[rig_batches] = RIG_NEVER;
}

static inline void rig_flush(void)
{
    while (journal_take(&rig_journal)) {
        uint64_t seq = journal_taken_seq(&rig_journal);
        assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
        for (uint64_t i = seq; i > 0 && rig_acked_at[i] == RIG_NEVER; i--)
            rig_acked_at[i] = rig_disk.operations;
    }
}

/* A fresh journal on an empty disk. */
static inline void rig_start(void)
{
    rig_disk_reset(&rig_disk, true);
    rig_state = (struct rig_state){ 0 };
    rig_last = rig_batches = 0;
    rig_digest[0] = rig_digest_expected();
    rig_term[0] = 0;
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
    assert_true(rig_recovered.fresh);
}

/* Any batch that a raft could ask for; what kind is drawn. */
static inline void rig_append_any(void)
{
    struct raft_persist persist;
    uint64_t kind = random_below(16);
    uint64_t above = rig_last - rig_state.snapshot_index;
    rig_begin(&persist);
    if (kind < 5 || rig_state.term == 0)
        rig_hard_state(&persist);
    if ((kind == 4 || kind == 5) && above > 3) {
        persist.truncate_from = rig_state.snapshot_index + 1 + random_below(above);
        rig_last = persist.truncate_from - 1;
    } else if (kind == 6 && above > 6) {
        rig_take_snapshot(&persist, rig_state.snapshot_index + 1 + random_below(above), true);
    } else if (kind == 7 && random_below(3) == 0) {
        rig_take_snapshot(&persist, rig_last + 1 + random_below(5), false);
    }
    if (kind == 8) /* a follower catches up: longer than a block */
        rig_entries(&persist, 2 * RAFT_APPEND_MAX, RAFT_ENTRY_DATA_MAX);
    else if (kind > 3)
        rig_entries(&persist, 1 + random_below(2), 200);
    rig_append(&persist);
}

static inline void rig_run(uint64_t batches)
{
    rig_start();
    while (rig_batches < batches) {
        for (uint64_t i = random_below(4) ? 1 : 3; i > 0 && rig_batches < batches; i--)
            rig_append_any();
        rig_flush();
    }
}

static inline void rig_seed(void)
{
    const char *given = getenv("HOLDFAST_SEED");
    random_seed = given ? strtoull(given, NULL, 0) : 20240117;
    printf("seed %llu (HOLDFAST_SEED changes it)\n", (unsigned long long)random_seed);
}

#endif
