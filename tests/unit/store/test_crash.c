/*
 * Power cuts. A script runs on a disk that keeps every operation; the power is cut after each of
 * them, and of what was not synced each subset of sectors arrives (a sample of the subsets where
 * they are many), also in part. What comes back must be the state of the last acknowledged batch,
 * or of a later one that was under way.
 */
#include "tests/unit/store/rig.h"

enum { PENDING_MAX = 64, PIECES_MAX = 512, EXHAUSTIVE_PIECES = 8, SAMPLES = 40 };

/* A sector's part of a write that was not synced. */
struct piece {
    const struct rig_operation *operation;
    size_t from;
    size_t length;
    size_t arrived;
};

static struct rig_disk rig_crashed; /* what a power cut left */
static int pending[PENDING_MAX];    /* operations that no sync has covered */
static int pendings;
static struct piece piece[PIECES_MAX];
static int pieces;
static int end;      /* operations done when the power goes */
static uint64_t low; /* batches acknowledged, batches asked for */
static uint64_t high;
static struct {
    unsigned long points, cut, repaired, whole_unacknowledged, within_recovery, went_on;
} tried;

static void arrive(const struct rig_operation *operation, size_t from, size_t length)
{
    uint64_t offset = operation->offset + from;
    if (length == 0)
        return;
    rig_poke(&rig_crashed, operation->slot, offset, operation->data + from, length);
    if (offset + length > rig_crashed.size[operation->slot])
        rig_crashed.size[operation->slot] = offset + length;
    rig_crashed.unsynced[operation->slot] = true;
}

/* Moves on by one operation: a sync makes what it covers part of the disk for good. */
static void advance(void)
{
    const struct rig_operation *operation = &rig_disk.operation[end];
    rig_undo(&rig_crashed);
    if (operation->kind == RIG_WRITE) {
        assert_true(pendings < PENDING_MAX);
        pending[pendings++] = end;
    }
    int kept = 0;
    for (int i = 0; operation->kind == RIG_SYNC && i < pendings; i++) {
        const struct rig_operation *write = &rig_disk.operation[pending[i]];
        if (write->slot == operation->slot)
            arrive(write, 0, write->length);
        else
            pending[kept++] = pending[i];
    }
    if (operation->kind == RIG_SYNC)
        pendings = kept;
    rig_mark(&rig_crashed);
    end++;
    while (low < rig_batches && rig_acked_at[low + 1] <= end)
        low++;
    while (high < rig_batches && rig_appended_at[high + 1] <= end)
        high++;
}

static void split_pending(void)
{
    pieces = 0;
    for (int i = 0; i < pendings; i++) {
        const struct rig_operation *write = &rig_disk.operation[pending[i]];
        for (size_t at = 0; at < write->length;) {
            size_t left = write->length - at;
            size_t sector = RIG_SECTOR_BYTES - (size_t)((write->offset + at) % RIG_SECTOR_BYTES);
            size_t length = left < sector ? left : sector;
            assert_true(pieces < PIECES_MAX);
            piece[pieces++] = (struct piece){ write, at, length, 0 };
            at += length;
        }
    }
}

static void apply_pieces(void)
{
    rig_undo(&rig_crashed);
    for (int i = 0; i < pieces; i++)
        arrive(piece[i].operation, piece[i].from, piece[i].arrived);
}

static uint64_t assert_opens_in_range(void)
{
    if (rig_open(&rig_crashed) != JOURNAL_OK)
        fail_msg("cut after %d operations: %s", end, rig_journal.error);
    /* A killed process leaves what only the page cache has: that counts once it is synced. */
    if (!rig_recovered.fresh)
        assert_false(rig_crashed.unsynced[0] || rig_crashed.unsynced[1]);
    assert_true(rig_recovered.raft.term >= rig_term[low]);
    uint64_t digest = rig_digest_recovered();
    for (uint64_t i = low; i <= high; i++) {
        if (digest == rig_digest[i])
            return i;
    }
    fail_msg("cut after %d operations: none of the states %llu..%llu", end, (unsigned long long)low,
             (unsigned long long)high);
    return 0;
}

static const struct raft_entry *recovered_entry_at(const void *log, uint64_t index)
{
    (void)log;
    const struct raft_recovered *raft = &rig_recovered.raft;
    if (index <= raft->snapshot_index || index > raft->snapshot_index + raft->entry_count)
        return NULL;
    return &raft->entries[index - raft->snapshot_index - 1];
}

/* The reopened journal takes another batch, which is there when it is opened again. */
static void assert_goes_on(void)
{
    static const struct journal_log log = { recovered_entry_at, NULL };
    struct raft_recovered *raft = &rig_recovered.raft;
    uint64_t index = raft->snapshot_index + raft->entry_count + 1;
    uint64_t term = raft->term + 1;
    assert_true(raft->entry_count < RAFT_LOG_MAX);
    struct raft_entry *entry = &rig_journal.config.entries[raft->entry_count++];
    *entry = (struct raft_entry){
        .index = index, .term = term, .kind = RAFT_ENTRY_COMMAND, .length = 40, .data = "goes on"
    };
    struct raft_persist persist = { .wanted = true,
                                    .seq = 1,
                                    .hard_state = true,
                                    .term = term,
                                    .vote = raft->vote,
                                    .first_index = index,
                                    .last_index = index };
    raft->term = term;
    uint64_t digest = rig_digest_recovered();
    assert_int_equal(journal_append(&rig_journal, &persist, &log), JOURNAL_OK);
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
    if (rig_open(&rig_crashed) != JOURNAL_OK)
        fail_msg("gone on after %d operations: %s", end, rig_journal.error);
    assert_true(rig_digest_recovered() == digest);
    assert_int_equal(rig_recovered.repairs, 0);
    tried.went_on++;
}

/* The power goes again within what journal_open() repairs, before and within each write. */
static void assert_repair_can_be_cut(void)
{
    for (int writes = 0;; writes++) {
        apply_pieces();
        rig_crashed.faults.writes_left = writes;
        enum journal_result result = rig_open(&rig_crashed);
        rig_crashed.faults = (struct rig_faults){ .writes_left = -1 };
        (void)assert_opens_in_range();
        if (result == JOURNAL_OK)
            return;
        assert_int_equal(result, JOURNAL_IO);
        tried.within_recovery++;
    }
}

static void try_pieces(void)
{
    apply_pieces();
    uint64_t found = assert_opens_in_range();
    bool repaired = rig_recovered.repairs > 0;
    tried.points++;
    tried.cut += rig_recovered.cut_bytes > 0;
    tried.repaired += repaired;
    tried.whole_unacknowledged += found > low;
    if (repaired || tried.points % 4 == 0)
        assert_goes_on();
    if (repaired)
        assert_repair_can_be_cut();
}

static void set_arrived(int from, int to)
{
    for (int i = 0; i < pieces; i++)
        piece[i].arrived = i >= from && i < to ? piece[i].length : 0;
}

static void try_every_subset(void)
{
    for (unsigned subset = 0; subset < 1u << pieces; subset++) {
        for (int i = 0; i < pieces; i++)
            piece[i].arrived = subset >> i & 1 ? piece[i].length : 0;
        try_pieces();
    }
}

static void try_some_subsets(void)
{
    for (int i = 0; i <= pieces; i++) {
        set_arrived(0, i);
        try_pieces();
        set_arrived(i, pieces);
        try_pieces();
    }
    for (int sample = 0; sample < SAMPLES; sample++) {
        for (int i = 0; i < pieces; i++)
            piece[i].arrived = random_below(2) ? piece[i].length : 0;
        try_pieces();
    }
}

/* Devices that tear within a sector are rare, but there are some. */
static void try_broken_sectors(void)
{
    for (int i = 0; i < pieces && i < 4; i++) {
        set_arrived(0, random_below(2) ? pieces : 0);
        piece[i].arrived = (size_t)random_below(piece[i].length);
        try_pieces();
    }
}

static void cut_everywhere(void)
{
    rig_disk_reset(&rig_crashed, false);
    pendings = end = 0;
    low = high = 0;
    for (;;) {
        split_pending();
        if (pieces <= EXHAUSTIVE_PIECES)
            try_every_subset();
        else
            try_some_subsets();
        try_broken_sectors();
        if (end == rig_disk.operations)
            return;
        advance();
    }
}

static void
a_power_cut_after_any_operation_loses_nothing_acknowledged_and_invents_nothing(void **state)
{
    (void)state;
    rig_growth_bytes = 24000;
    rig_run(600);
    assert_true(rig_journal.generation > 10);
    cut_everywhere();
    printf("figure: crash points tried: %lu after %d disk operations of %llu batches in %llu "
           "generations, %lu more within recovery, all recovered\n",
           tried.points, rig_disk.operations, (unsigned long long)rig_batches,
           (unsigned long long)rig_journal.generation, tried.within_recovery);
    printf("figure: of these: torn tail cut %lu, repaired %lu, unacknowledged batch whole %lu, "
           "went on and reopened %lu\n",
           tried.cut, tried.repaired, tried.whole_unacknowledged, tried.went_on);
    assert_true(tried.points > 5000);
    assert_true(tried.cut > 0 && tried.repaired > 0 && tried.whole_unacknowledged > 0);
}

static void add_entry(struct raft_persist *persist, size_t length)
{
    struct raft_entry *entry = &rig_entry[++rig_last];
    *entry = (struct raft_entry){ .index = rig_last,
                                  .term = rig_state.term,
                                  .kind = RAFT_ENTRY_COMMAND,
                                  .length = (uint16_t)length };
    for (size_t i = 0; i < length; i++)
        entry->data[i] = (uint8_t)random_u64();
    persist->last_index = rig_last;
}

/* A batch whose frame has just this length. */
static void append_frame_of(size_t length)
{
    enum { HEAD = FORMAT_RECORD_BYTES + FORMAT_ENTRY_BYTES, FULL = HEAD + RAFT_ENTRY_DATA_MAX };
    struct raft_persist persist;
    rig_begin(&persist);
    persist.first_index = rig_last + 1;
    for (size_t left = length - FORMAT_FRAME_BYTES; left > 0;) {
        size_t record = left >= FULL + HEAD ? FULL : left > FULL ? left / 2 : left;
        add_entry(&persist, record - HEAD);
        left -= record;
    }
    rig_append(&persist);
    rig_flush();
    assert_int_equal(rig_journal.taken.length, length);
}

/* The longest frame with a copy, the shortest without one, and those that just fill a block. */
static void a_power_cut_loses_nothing_where_the_copy_of_a_frame_ends(void **state)
{
    (void)state;
    static const size_t lengths[] = { FORMAT_COPIED_MAX, FORMAT_BLOCK_BYTES };
    rig_growth_bytes = JOURNAL_GROWTH_BYTES;
    rig_run(4);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        append_frame_of(lengths[i] - 1);
        append_frame_of(lengths[i]);
        append_frame_of(lengths[i] + 1);
    }
    cut_everywhere();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_power_cut_after_any_operation_loses_nothing_acknowledged_and_invents_nothing),
        cmocka_unit_test(a_power_cut_loses_nothing_where_the_copy_of_a_frame_ends),
    };
    rig_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
