/* The journal on a simulated disk: power cuts at every write, flipped bits, failing devices. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/crc32c.h"
#include "store/format.h"
#include "store/journal.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"

enum {
    SLOT_BYTES = 2 * 1024 * 1024,
    SECTOR_BYTES = 512,
    OPERATIONS_MAX = 4096,
    BATCHES_MAX = 128,
    SNAPSHOT_CAPACITY = 16384,
    INDEX_MAX = 2048
};

/* ---- a disk that remembers what was asked of it, in order */

enum operation_kind { OPERATION_WRITE, OPERATION_SYNC, OPERATION_GROW };

struct operation {
    enum operation_kind kind;
    int slot;
    uint64_t offset; /* of a write; size of a growth */
    size_t length;
    uint8_t *data;
};

struct sim_disk {
    uint8_t *bytes[DISK_SLOTS];
    uint64_t size[DISK_SLOTS];
    struct operation operation[OPERATIONS_MAX];
    int operations;
    int write_error; /* errno of all writes from now on */
    int sync_error;
};

static struct sim_disk disk;
static struct sim_disk crashed; /* what a power cut left of it */

static int sim_read(void *context, int slot, uint64_t offset, void *data, size_t length)
{
    struct sim_disk *sim = context;
    assert_true(offset + length <= sim->size[slot]);
    memcpy(data, sim->bytes[slot] + offset, length);
    return 0;
}

static void note(struct sim_disk *sim, enum operation_kind kind, int slot, uint64_t offset,
                 const void *data, size_t length)
{
    assert_true(sim->operations < OPERATIONS_MAX);
    struct operation *operation = &sim->operation[sim->operations++];
    *operation = (struct operation){ kind, slot, offset, length, NULL };
    if (length > 0) {
        operation->data = malloc(length);
        assert_non_null(operation->data);
        memcpy(operation->data, data, length);
    }
}

static int sim_write(void *context, int slot, uint64_t offset, const void *data, size_t length)
{
    struct sim_disk *sim = context;
    assert_true(offset + length <= sim->size[slot]);
    if (sim->write_error)
        return sim->write_error;
    note(sim, OPERATION_WRITE, slot, offset, data, length);
    memcpy(sim->bytes[slot] + offset, data, length);
    return 0;
}

static int sim_sync(void *context, int slot)
{
    struct sim_disk *sim = context;
    note(sim, OPERATION_SYNC, slot, 0, NULL, 0);
    return sim->sync_error;
}

static int sim_size(void *context, int slot, uint64_t *bytes)
{
    *bytes = ((struct sim_disk *)context)->size[slot];
    return 0;
}

static int sim_preallocate(void *context, int slot, uint64_t bytes)
{
    struct sim_disk *sim = context;
    if (bytes > SLOT_BYTES)
        return ENOSPC;
    note(sim, OPERATION_GROW, slot, bytes, NULL, 0);
    if (bytes > sim->size[slot])
        sim->size[slot] = bytes;
    return 0;
}

static const struct disk_ops sim_ops = { .read = sim_read,
                                         .write = sim_write,
                                         .sync = sim_sync,
                                         .size = sim_size,
                                         .preallocate = sim_preallocate };

static void disk_reset(struct sim_disk *sim)
{
    for (int i = 0; i < sim->operations; i++)
        free(sim->operation[i].data);
    sim->operations = 0;
    sim->write_error = sim->sync_error = 0;
    for (int i = 0; i < DISK_SLOTS; i++) {
        if (!sim->bytes[i])
            sim->bytes[i] = malloc(SLOT_BYTES);
        assert_non_null(sim->bytes[i]);
        memset(sim->bytes[i], 0, SLOT_BYTES);
        sim->size[i] = 0;
    }
}

/* ---- the log that a raft would have, and the journal under test */

static struct raft_entry log_entry[INDEX_MAX];
static uint64_t log_first; /* entries below are gone */
static uint64_t log_last;
static uint8_t snapshot_bytes[SNAPSHOT_CAPACITY];

static const struct raft_entry *entry_at(const void *log, uint64_t index)
{
    (void)log;
    return index >= log_first && index <= log_last ? &log_entry[index] : NULL;
}

static const struct journal_log the_log = { entry_at, NULL };

static struct raft_entry entries_memory[RAFT_LOG_MAX];
static uint8_t recovered_memory[SNAPSHOT_CAPACITY];
static uint8_t snapshot_memory[SNAPSHOT_CAPACITY];
static struct journal journal;
static struct journal_recovered recovered;

static struct journal_config config_on(struct sim_disk *sim)
{
    static uint8_t *buffer[2];
    for (int i = 0; i < 2; i++) {
        if (!buffer[i])
            buffer[i] = malloc(journal_buffer_bytes(SNAPSHOT_CAPACITY));
        assert_non_null(buffer[i]);
    }
    struct journal_config config = { .ops = &sim_ops,
                                     .disk = sim,
                                     .cluster = "line-3",
                                     .entries = entries_memory,
                                     .recovered_snapshot = recovered_memory,
                                     .snapshot = snapshot_memory,
                                     .snapshot_capacity = SNAPSHOT_CAPACITY,
                                     .buffer = { buffer[0], buffer[1] },
                                     .growth_bytes = 6000 };
    assert_true(name_from_string(&config.node, "board-a"));
    return config;
}

static enum journal_result open_on(struct sim_disk *sim)
{
    struct journal_config config = config_on(sim);
    return journal_open(&journal, &config, &recovered);
}

/* ---- what must come back after each batch */

struct model {
    uint64_t term;
    struct hf_name vote;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    size_t snapshot_length;
    uint32_t snapshot_crc;
    uint64_t last;
};

static struct model model;
static uint64_t digest_of[BATCHES_MAX + 1];
static uint64_t term_of[BATCHES_MAX + 1];
static uint64_t batches;
static int acked_at[BATCHES_MAX + 1];    /* operations done when batch was acknowledged */
static int appended_at[BATCHES_MAX + 1]; /* operations done when it was appended */

static uint64_t mix(uint64_t digest, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; i++)
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001B3);
    return digest;
}

static uint64_t mix_entry(uint64_t digest, const struct raft_entry *entry)
{
    digest = mix(digest, &entry->index, sizeof(entry->index));
    digest = mix(digest, &entry->term, sizeof(entry->term));
    digest = mix(digest, &entry->kind, sizeof(entry->kind));
    return mix(digest, entry->data, entry->length);
}

static uint64_t digest_head(uint64_t term, const struct hf_name *vote, uint64_t snapshot_index,
                            uint64_t snapshot_term, size_t length, uint32_t crc)
{
    uint64_t digest = mix(UINT64_C(0xCBF29CE484222325), &term, sizeof(term));
    digest = mix(digest, vote->text, sizeof(vote->text));
    digest = mix(digest, &snapshot_index, sizeof(snapshot_index));
    digest = mix(digest, &snapshot_term, sizeof(snapshot_term));
    digest = mix(digest, &length, sizeof(length));
    return mix(digest, &crc, sizeof(crc));
}

static uint64_t digest_model(void)
{
    uint64_t digest = digest_head(model.term, &model.vote, model.snapshot_index,
                                  model.snapshot_term, model.snapshot_length, model.snapshot_crc);
    for (uint64_t i = model.snapshot_index + 1; i <= model.last; i++)
        digest = mix_entry(digest, &log_entry[i]);
    return digest;
}

static uint64_t digest_recovered(void)
{
    const struct raft_recovered *raft = &recovered.raft;
    uint64_t digest =
        digest_head(raft->term, &raft->vote, raft->snapshot_index, raft->snapshot_term,
                    raft->snapshot.length, crc32c(0, raft->snapshot.data, raft->snapshot.length));
    for (size_t i = 0; i < raft->entry_count; i++)
        digest = mix_entry(digest, &raft->entries[i]);
    return digest;
}

static void batch_begin(struct raft_persist *persist)
{
    *persist = (struct raft_persist){ .wanted = true, .seq = ++batches, .first_index = 1 };
    assert_true(batches <= BATCHES_MAX);
}

static void batch_hard_state(struct raft_persist *persist)
{
    char name[16];
    model.term++;
    snprintf(name, sizeof(name), "n%u", (unsigned)random_below(5));
    assert_true(name_from_string(&model.vote, name));
    persist->hard_state = true;
    persist->term = model.term;
    persist->vote = model.vote;
}

static void batch_entries(struct raft_persist *persist, uint64_t count)
{
    persist->first_index = model.last + 1;
    for (uint64_t i = 0; i < count; i++) {
        struct raft_entry *entry = &log_entry[++model.last];
        assert_true(model.last < INDEX_MAX);
        *entry = (struct raft_entry){ .index = model.last,
                                      .term = model.term,
                                      .kind = RAFT_ENTRY_COMMAND,
                                      .length = (uint16_t)(1 + random_below(RAFT_ENTRY_DATA_MAX)) };
        for (uint16_t j = 0; j < entry->length; j++)
            entry->data[j] = (uint8_t)random_u64();
    }
    persist->last_index = log_last = model.last;
}

static void batch_snapshot(struct raft_persist *persist, uint64_t index, bool keep_log)
{
    model.snapshot_index = index;
    model.snapshot_term = model.term;
    model.snapshot_length = (size_t)random_below(3000);
    for (size_t i = 0; i < model.snapshot_length; i++)
        snapshot_bytes[i] = (uint8_t)random_u64();
    model.snapshot_crc = crc32c(0, snapshot_bytes, model.snapshot_length);
    persist->snapshot = true;
    persist->snapshot_index = index;
    persist->snapshot_term = model.term;
    persist->members.count = 1;
    assert_true(name_from_string(&persist->members.member[0].id, "board-a"));
    persist->members.member[0].voter = true;
    persist->snapshot_bytes = (struct bytes){ snapshot_bytes, model.snapshot_length };
    persist->keep_log = keep_log;
    if (!keep_log) {
        model.last = index;
        log_first = index + 1;
    }
}

static void random_batch(void)
{
    struct raft_persist persist;
    batch_begin(&persist);
    uint64_t kind = random_below(10);
    uint64_t above = model.last - model.snapshot_index;
    if (kind < 3 || model.term == 0)
        batch_hard_state(&persist);
    if (kind == 4 && above > 3) {
        persist.truncate_from = model.snapshot_index + 1 + random_below(above);
        model.last = persist.truncate_from - 1;
    }
    if (kind == 5 && above > 6)
        batch_snapshot(&persist, model.snapshot_index + 1 + random_below(above), true);
    if (kind == 6 && random_below(2))
        batch_snapshot(&persist, model.last + 1 + random_below(5), false);
    if (kind > 2)
        batch_entries(&persist, 1 + random_below(4));
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
    /* What the caller owns may change as soon as journal_append() is back. */
    memset(snapshot_bytes, 0xEE, sizeof(snapshot_bytes));
    digest_of[batches] = digest_model();
    term_of[batches] = model.term;
    appended_at[batches] = disk.operations;
}

static void flush_all(void)
{
    while (journal_take(&journal)) {
        assert_int_equal(journal_flush(&journal), JOURNAL_OK);
        for (uint64_t i = journal_taken_seq(&journal); i > 0 && acked_at[i] == INT32_MAX; i--)
            acked_at[i] = disk.operations;
    }
}

static void start_over(void)
{
    disk_reset(&disk);
    memset(&model, 0, sizeof(model));
    log_first = 1;
    log_last = 0;
    batches = 0;
    for (int i = 0; i <= BATCHES_MAX; i++)
        acked_at[i] = INT32_MAX;
    digest_of[0] = digest_model();
    term_of[0] = 0;
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_true(recovered.fresh);
}

static void run_workload(uint64_t count)
{
    start_over();
    while (batches < count) {
        for (uint64_t i = 1 + random_below(3); i > 0 && batches < count; i--)
            random_batch();
        flush_all();
    }
}

/* ---- power cuts */

static bool synced_before(int operation, int end)
{
    for (int i = operation + 1; i < end; i++) {
        if (disk.operation[i].kind == OPERATION_SYNC &&
            disk.operation[i].slot == disk.operation[operation].slot)
            return true;
    }
    return false;
}

enum tearing { TEAR_NONE_ARRIVED, TEAR_ALL_BUT_LAST_HALF, TEAR_SECTORS, TEARINGS };

static void apply_torn(const struct operation *operation, enum tearing tearing)
{
    uint8_t *to = crashed.bytes[operation->slot] + operation->offset;
    size_t half = (size_t)random_below(operation->length + 1);
    if (tearing == TEAR_ALL_BUT_LAST_HALF)
        memcpy(to, operation->data, half);
    for (size_t at = 0; tearing == TEAR_SECTORS && at < operation->length;) {
        size_t left = operation->length - at;
        size_t sector = SECTOR_BYTES - (size_t)((operation->offset + at) % SECTOR_BYTES);
        size_t length = left < sector ? left : sector;
        if (random_below(2))
            memcpy(to + at, operation->data + at, length);
        at += length;
    }
}

/* The first `end` operations happened; what was not synced arrived in part. */
static void cut_power(int end, enum tearing tearing)
{
    disk_reset(&crashed);
    for (int i = 0; i < end; i++) {
        const struct operation *operation = &disk.operation[i];
        bool durable = synced_before(i, end);
        if (operation->kind == OPERATION_GROW && (durable || tearing != TEAR_NONE_ARRIVED) &&
            operation->offset > crashed.size[operation->slot])
            crashed.size[operation->slot] = operation->offset;
        if (operation->kind == OPERATION_WRITE && durable)
            memcpy(crashed.bytes[operation->slot] + operation->offset, operation->data,
                   operation->length);
        if (operation->kind == OPERATION_WRITE && !durable)
            apply_torn(operation, tearing);
    }
}

static void assert_recovers_what_was_acknowledged(int end)
{
    enum journal_result result = open_on(&crashed);
    if (result != JOURNAL_OK)
        fail_msg("cut after %d operations: %s", end, journal.error);
    uint64_t low = 0;
    uint64_t high = 0;
    for (uint64_t i = 1; i <= batches; i++) {
        low = acked_at[i] <= end ? i : low;
        high = appended_at[i] <= end ? i : high;
    }
    assert_true(recovered.raft.term >= term_of[low]);
    uint64_t digest = digest_recovered();
    for (uint64_t i = low; i <= high; i++) {
        if (digest == digest_of[i])
            return;
    }
    fail_msg("cut after %d operations: none of the states %llu..%llu", end, (unsigned long long)low,
             (unsigned long long)high);
}

static void a_power_cut_at_any_write_loses_nothing_acknowledged(void **state)
{
    (void)state;
    run_workload(60);
    assert_true(journal.generation > 4);
    for (int end = 0; end <= disk.operations; end++) {
        for (int tearing = 0; tearing < TEARINGS; tearing++) {
            cut_power(end, (enum tearing)tearing);
            assert_recovers_what_was_acknowledged(end);
        }
    }
}

static void work_goes_on_after_a_power_cut(void **state)
{
    (void)state;
    run_workload(20);
    for (int round = 0; round < 20; round++) {
        cut_power(disk.operations - (int)random_below(4), TEAR_SECTORS);
        assert_int_equal(open_on(&crashed), JOURNAL_OK);
        assert_false(recovered.fresh);
        /* The same log goes on from what came back. */
        uint64_t last = recovered.raft.snapshot_index + recovered.raft.entry_count;
        uint64_t term = recovered.raft.term + 1;
        struct raft_persist persist = {
            .wanted = true, .seq = 1, .hard_state = true, .term = term, .first_index = 1
        };
        assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
        assert_true(journal_take(&journal));
        assert_int_equal(journal_flush(&journal), JOURNAL_OK);
        assert_int_equal(open_on(&crashed), JOURNAL_OK);
        assert_int_equal(recovered.raft.term, term);
        assert_int_equal(recovered.raft.snapshot_index + recovered.raft.entry_count, last);
    }
}

static void reopening_gives_the_last_state(void **state)
{
    (void)state;
    run_workload(100);
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_true(digest_recovered() == digest_of[batches]);
    assert_int_equal(recovered.cut_bytes, 0);
    assert_int_equal(recovered.raft.members.count, recovered.raft.snapshot_index ? 1 : 0);
}

/* A file that lists others at a later start changes nothing. */
static void the_members_of_the_first_start_are_kept_until_a_snapshot_has_others(void **state)
{
    (void)state;
    struct raft_members first = { .count = 3 };
    struct raft_persist persist;
    for (int i = 0; i < 3; i++) {
        const char id[2] = { (char)('a' + i), '\0' };
        assert_true(name_from_string(&first.member[i].id, id));
        first.member[i].voter = true;
    }
    start_over();
    assert_int_equal(recovered.raft.members.count, 0);
    journal_keep_members(&journal, &first);
    batch_begin(&persist);
    batch_hard_state(&persist);
    batch_entries(&persist, 3);
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
    flush_all();
    for (int times = 0; times < 2; times++) {
        assert_int_equal(open_on(&disk), JOURNAL_OK);
        assert_memory_equal(&recovered.raft.members, &first, sizeof(first));
        assert_int_equal(recovered.raft.snapshot_index, 0);
        assert_null(recovered.raft.snapshot.data);
        assert_int_equal(recovered.raft.entry_count, 3);
    }
    batch_begin(&persist);
    batch_snapshot(&persist, 2, true);
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
    flush_all();
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_int_equal(recovered.raft.members.count, 1);
    assert_int_equal(recovered.raft.snapshot_index, 2);
}

/* Only hard states, so that growth alone makes the switches. */
static void a_slot_that_grew_too_long_is_switched_with_its_snapshot(void **state)
{
    (void)state;
    struct raft_persist persist;
    start_over();
    batch_begin(&persist);
    batch_hard_state(&persist);
    batch_snapshot(&persist, 9, false);
    batch_entries(&persist, 3);
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
    flush_all();
    memset(snapshot_bytes, 0xEE, sizeof(snapshot_bytes));
    for (int round = 0; round < 2; round++) {
        uint64_t generation = journal.generation;
        for (int i = 0; i < 300 && journal.generation < generation + 2; i++) {
            batch_begin(&persist);
            batch_hard_state(&persist);
            assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
            flush_all();
            batches = 1; /* one number for all of them: only the last state is asked for */
            journal.pending.last_seq = 1;
        }
        assert_int_equal(journal.generation, generation + 2);
        assert_int_equal(open_on(&disk), JOURNAL_OK);
        assert_true(digest_recovered() == digest_model());
    }
}

/* ---- damage */

/* A slot with its image and two small frames behind it. */
static void three_frames(uint64_t frame_at[3])
{
    start_over();
    for (int i = 0; i < 3; i++) {
        struct raft_persist persist;
        batch_begin(&persist);
        batch_hard_state(&persist);
        batch_entries(&persist, 2);
        assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
        digest_of[batches] = digest_model();
        assert_true(journal_take(&journal));
        frame_at[i] = journal.taken.offset;
        assert_int_equal(journal_flush(&journal), JOURNAL_OK);
    }
}

static void a_flipped_bit_before_the_last_record_is_reported(void **state)
{
    (void)state;
    uint64_t frame_at[3];
    three_frames(frame_at);
    for (uint64_t bit = frame_at[0] * 8; bit < frame_at[2] * 8; bit += 1 + random_below(7)) {
        disk.bytes[0][bit / 8] ^= (uint8_t)(1u << (bit % 8));
        enum journal_result result = open_on(&disk);
        /* Padding between frames is nobody's. */
        if (result == JOURNAL_OK)
            assert_true(digest_recovered() == digest_of[batches]);
        else
            assert_int_equal(result, JOURNAL_CORRUPT);
        disk.bytes[0][bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    disk.bytes[0][frame_at[1] + FORMAT_FRAME_BYTES + 20] ^= 4;
    assert_int_equal(open_on(&disk), JOURNAL_CORRUPT);
    assert_non_null(strstr(journal.error, "journal.0: record 2"));
    assert_non_null(strstr(journal.error, "valid ones after it"));
}

static void a_torn_tail_is_cut_and_counted(void **state)
{
    (void)state;
    uint64_t frame_at[3];
    three_frames(frame_at);
    uint64_t length = journal.taken.length;
    memset(disk.bytes[0] + frame_at[2] + FORMAT_FRAME_BYTES + 8, 0, (size_t)length / 2);
    memset(disk.bytes[0] + format_mark_at(3) + FORMAT_MARK_BYTES, 0, (size_t)length / 2);
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_true(digest_recovered() == digest_of[batches - 1]);
    assert_int_equal(recovered.cut_bytes, length);
}

static void one_damaged_header_copy_is_survived_two_are_reported(void **state)
{
    (void)state;
    run_workload(60);
    int slot = journal.slot;
    for (int copy = 0; copy < 2; copy++) {
        uint64_t at = copy ? FORMAT_HEADER_COPY_AT : 0;
        disk.bytes[slot][at + 17] ^= 1;
        assert_int_equal(open_on(&disk), JOURNAL_OK);
        assert_true(digest_recovered() == digest_of[batches]);
        assert_int_equal(recovered.repairs, 1);
        assert_int_equal(open_on(&disk), JOURNAL_OK);
        assert_int_equal(recovered.repairs, 0);
    }
    disk.bytes[slot][17] ^= 1;
    disk.bytes[slot][FORMAT_HEADER_COPY_AT + 17] ^= 1;
    assert_int_equal(open_on(&disk), JOURNAL_CORRUPT);
    assert_non_null(strstr(journal.error, "superseded"));
}

static void a_lost_current_slot_does_not_bring_the_old_one_back(void **state)
{
    (void)state;
    run_workload(60);
    disk.size[journal.slot] = 0;
    assert_int_equal(open_on(&disk), JOURNAL_CORRUPT);
    assert_non_null(strstr(journal.error, "damaged or missing"));
}

static void a_damaged_image_is_reported_though_nothing_follows_it(void **state)
{
    (void)state;
    start_over();
    random_batch();
    flush_all();
    disk.bytes[0][FORMAT_FRAMES_AT + FORMAT_FRAME_BYTES + 9] ^= 1;
    assert_int_equal(open_on(&disk), JOURNAL_CORRUPT);
    assert_non_null(strstr(journal.error, "first record"));
}

static void a_foreign_journal_is_refused_by_name(void **state)
{
    (void)state;
    run_workload(5);
    struct journal_config config = config_on(&disk);
    strcpy(config.cluster, "line-4");
    assert_int_equal(journal_open(&journal, &config, &recovered), JOURNAL_FOREIGN);
    assert_non_null(strstr(journal.error, "cluster 'line-3', this is 'line-4'"));
    config = config_on(&disk);
    assert_true(name_from_string(&config.node, "board-b"));
    assert_int_equal(journal_open(&journal, &config, &recovered), JOURNAL_FOREIGN);
    assert_non_null(strstr(journal.error, "node 'board-a', this is 'board-b'"));
}

/* ---- failing devices */

static void expect_failure(const char *words)
{
    random_batch();
    assert_true(journal_take(&journal));
    assert_int_equal(journal_flush(&journal), JOURNAL_IO);
    if (!strstr(journal.error, words))
        fail_msg("'%s' does not say '%s'", journal.error, words);
}

static void a_device_that_refuses_is_reported_with_its_reason(void **state)
{
    (void)state;
    run_workload(5);
    disk.write_error = ENOSPC;
    expect_failure("cannot write: No space left on device");
    run_workload(5);
    disk.write_error = EROFS;
    expect_failure("cannot write: Read-only file system");
}

/* A killed process leaves what only the page cache has; the next one must not build on that. */
static void what_is_recovered_is_synced_before_it_counts(void **state)
{
    (void)state;
    run_workload(20);
    int operations = disk.operations;
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_int_equal(disk.operations, operations + DISK_SLOTS);
    for (int i = 0; i < DISK_SLOTS; i++) {
        assert_int_equal(disk.operation[operations + i].kind, OPERATION_SYNC);
        assert_int_equal(disk.operation[operations + i].slot, i);
    }
    disk.sync_error = EIO;
    assert_int_equal(open_on(&disk), JOURNAL_IO);
    assert_non_null(strstr(journal.error, "cannot sync what it recovered"));
}

static void a_failed_sync_is_never_repeated(void **state)
{
    (void)state;
    run_workload(5);
    disk.sync_error = EIO;
    expect_failure("cannot sync: Input/output error");
    int operations = disk.operations;
    disk.sync_error = 0;
    random_batch();
    assert_true(journal_take(&journal));
    assert_int_equal(journal_flush(&journal), JOURNAL_IO);
    assert_int_equal(disk.operations, operations);
}

static void batches_that_wait_share_one_write_and_one_sync(void **state)
{
    (void)state;
    start_over();
    random_batch();
    flush_all();
    int operations = disk.operations;
    for (int i = 0; i < 3; i++) {
        struct raft_persist persist;
        batch_begin(&persist);
        batch_entries(&persist, 1);
        assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
    }
    assert_true(journal_take(&journal));
    assert_int_equal(journal_taken_seq(&journal), batches);
    assert_int_equal(journal_flush(&journal), JOURNAL_OK);
    assert_int_equal(disk.operations, operations + 3); /* the frame, its mark, one sync */
    assert_false(journal_take(&journal));
}

static void append(const struct raft_persist *persist)
{
    assert_int_equal(journal_append(&journal, persist, &the_log), JOURNAL_OK);
}

/* The two have a buffer each. */
static void what_is_appended_while_a_batch_is_written_is_no_part_of_it(void **state)
{
    (void)state;
    run_workload(10);
    for (int round = 0; round < 4; round++) {
        struct raft_persist persist;
        batch_begin(&persist);
        batch_entries(&persist, 1);
        append(&persist);
        assert_true(journal_take(&journal));
        batch_begin(&persist);
        batch_hard_state(&persist);
        append(&persist);
        assert_int_equal(journal_flush(&journal), JOURNAL_OK);
        assert_true(journal_take(&journal));
        assert_int_equal(journal_flush(&journal), JOURNAL_OK);
        assert_int_equal(open_on(&disk), JOURNAL_OK);
        assert_true(digest_recovered() == digest_model());
    }
}

/* As when it turns out that the memory here is less than what was promised. */
static void what_is_forgotten_is_gone_but_for_the_members(void **state)
{
    (void)state;
    start_over();
    struct raft_persist persist;
    batch_begin(&persist);
    batch_hard_state(&persist);
    batch_entries(&persist, 4);
    append(&persist);
    batch_begin(&persist);
    batch_snapshot(&persist, 3, true);
    append(&persist);
    flush_all();
    assert_true(model.snapshot_length > 0);
    persist = (struct raft_persist){ .wanted = true,
                                     .seq = ++batches,
                                     .forget = true,
                                     .hard_state = true,
                                     .recovering = true,
                                     .first_index = 1 };
    append(&persist);
    flush_all();
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_int_equal(recovered.raft.standing, RAFT_RECOVERING);
    assert_int_equal(recovered.raft.term, 0);
    assert_true(name_empty(&recovered.raft.vote));
    assert_int_equal(recovered.raft.snapshot_index, 0);
    assert_int_equal(recovered.raft.entry_count, 0);
    assert_int_equal(recovered.raft.members.count, 1);
    assert_true(journal_holds_nothing(&recovered));
}

static void reopen_with(enum raft_standing standing)
{
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_int_equal(recovered.raft.standing, standing);
    assert_true(digest_recovered() == digest_model());
}

/* A restart is no reason to have a say: an image after it has all that the slot before it had. */
static void what_was_recovered_is_in_the_next_image(void **state)
{
    static const enum raft_standing standings[] = { RAFT_WHOLE, RAFT_RECOVERING, RAFT_UNSURE };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        start_over();
        struct raft_persist persist;
        batch_begin(&persist);
        batch_hard_state(&persist);
        persist.recovering = standings[i] == RAFT_RECOVERING;
        persist.begun = standings[i] == RAFT_UNSURE;
        batch_entries(&persist, 5);
        append(&persist);
        flush_all();
        reopen_with(standings[i]);
        batch_begin(&persist);
        batch_snapshot(&persist, 2, true);
        append(&persist);
        flush_all();
        reopen_with(standings[i]);
        uint64_t generation = journal.generation;
        while (journal.generation == generation) {
            batch_begin(&persist);
            batch_entries(&persist, 4);
            append(&persist);
            flush_all();
        }
        reopen_with(standings[i]);
    }
}

/* A leader's snapshot that ends within a log that is not the leader's. */
static void a_snapshot_that_replaces_the_log_leaves_none_of_it(void **state)
{
    (void)state;
    start_over();
    struct raft_persist persist;
    batch_begin(&persist);
    batch_hard_state(&persist);
    batch_entries(&persist, 6);
    append(&persist);
    flush_all();
    batch_begin(&persist);
    batch_snapshot(&persist, 3, false);
    append(&persist);
    flush_all();
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_int_equal(recovered.raft.snapshot_index, 3);
    assert_int_equal(recovered.raft.entry_count, 0);
}

/* As while a disk is slow, and leaders come and go: more than a buffer has room for. */
static void batches_that_wait_never_outgrow_their_buffer(void **state)
{
    enum { ROUNDS = 40, ENTRIES = 64 };
    (void)state;
    start_over();
    struct raft_persist persist;
    batch_begin(&persist);
    batch_hard_state(&persist);
    append(&persist);
    flush_all();
    for (int round = 0; round < ROUNDS; round++) {
        batch_begin(&persist);
        batch_entries(&persist, ENTRIES);
        append(&persist);
        assert_true(journal.pending.length <= journal_buffer_bytes(SNAPSHOT_CAPACITY));
        batch_begin(&persist);
        persist.truncate_from = model.last - ENTRIES + 1;
        model.last = log_last = persist.truncate_from - 1;
        append(&persist);
    }
    flush_all();
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_true(digest_recovered() == digest_model());
}

/* Its snapshot can't be stored: an image of it would lack entries that the log has compacted. */
static void an_image_of_a_log_that_lacks_entries_is_refused(void **state)
{
    (void)state;
    start_over();
    struct raft_persist persist;
    batch_begin(&persist);
    batch_hard_state(&persist);
    batch_entries(&persist, 6);
    append(&persist);
    flush_all();
    log_first = 4;
    batch_begin(&persist);
    batch_snapshot(&persist, 2, true);
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_FULL);
}

static void a_snapshot_past_the_capacity_is_refused(void **state)
{
    (void)state;
    start_over();
    struct raft_persist persist;
    batch_begin(&persist);
    batch_snapshot(&persist, 5, false);
    persist.snapshot_bytes.length = SNAPSHOT_CAPACITY + 1;
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_FULL);
}

static void the_fullest_log_and_snapshot_fit(void **state)
{
    (void)state;
    start_over();
    struct raft_persist persist;
    batch_begin(&persist);
    batch_hard_state(&persist);
    batch_snapshot(&persist, 7, false);
    persist.snapshot_bytes.length = model.snapshot_length = SNAPSHOT_CAPACITY;
    model.snapshot_crc = crc32c(0, snapshot_bytes, SNAPSHOT_CAPACITY);
    batch_entries(&persist, RAFT_LOG_MAX);
    assert_int_equal(journal_append(&journal, &persist, &the_log), JOURNAL_OK);
    assert_true(journal_take(&journal));
    assert_int_equal(journal_flush(&journal), JOURNAL_OK);
    assert_int_equal(open_on(&disk), JOURNAL_OK);
    assert_true(digest_recovered() == digest_model());
}

static void crc32c_gives_the_published_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_published_check_value),
        cmocka_unit_test(reopening_gives_the_last_state),
        cmocka_unit_test(the_members_of_the_first_start_are_kept_until_a_snapshot_has_others),
        cmocka_unit_test(a_slot_that_grew_too_long_is_switched_with_its_snapshot),
        cmocka_unit_test(a_power_cut_at_any_write_loses_nothing_acknowledged),
        cmocka_unit_test(work_goes_on_after_a_power_cut),
        cmocka_unit_test(a_flipped_bit_before_the_last_record_is_reported),
        cmocka_unit_test(a_torn_tail_is_cut_and_counted),
        cmocka_unit_test(one_damaged_header_copy_is_survived_two_are_reported),
        cmocka_unit_test(a_lost_current_slot_does_not_bring_the_old_one_back),
        cmocka_unit_test(a_damaged_image_is_reported_though_nothing_follows_it),
        cmocka_unit_test(a_foreign_journal_is_refused_by_name),
        cmocka_unit_test(a_device_that_refuses_is_reported_with_its_reason),
        cmocka_unit_test(what_is_recovered_is_synced_before_it_counts),
        cmocka_unit_test(a_failed_sync_is_never_repeated),
        cmocka_unit_test(batches_that_wait_share_one_write_and_one_sync),
        cmocka_unit_test(what_is_appended_while_a_batch_is_written_is_no_part_of_it),
        cmocka_unit_test(what_is_forgotten_is_gone_but_for_the_members),
        cmocka_unit_test(what_was_recovered_is_in_the_next_image),
        cmocka_unit_test(a_snapshot_that_replaces_the_log_leaves_none_of_it),
        cmocka_unit_test(batches_that_wait_never_outgrow_their_buffer),
        cmocka_unit_test(an_image_of_a_log_that_lacks_entries_is_refused),
        cmocka_unit_test(a_snapshot_past_the_capacity_is_refused),
        cmocka_unit_test(the_fullest_log_and_snapshot_fit),
    };
    const char *given = getenv("HOLDFAST_SEED");
    random_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu (HOLDFAST_SEED repeats it)\n", (unsigned long long)random_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
