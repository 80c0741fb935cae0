/*
 * Damage. Every byte of a journal is flipped, one at a time, in a journal at rest, right after
 * recovery from a power cut, and within a switch of slots; then whole sectors, blocks and files are
 * lost. Either all that was acknowledged comes back, or the damage is reported: never a silent cut,
 * never another term.
 */
#include "tests/unit/store/rig.h"

enum { STATES_TRIED = 25, TAIL_BYTES = 120 };

static struct {
    unsigned long tried, whole, corrupt;
} count;

static struct rig_disk rig_crashed; /* what is damaged */
static uint64_t used[DISK_SLOTS];   /* behind the last byte ever written, a block more */

/* The files end behind what is used: opening need not read a megabyte of zeros each time. */
static void measure_used(struct rig_disk *disk)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        uint64_t end = disk->size[slot];
        while (end > 0 && disk->bytes[slot][end - 1] == 0)
            end--;
        used[slot] = disk->size[slot] == 0 ? 0 : end + FORMAT_BLOCK_BYTES;
        disk->size[slot] = used[slot];
    }
}

/* The disk at rest becomes that of the damage, so that each trial can be undone. */
static void damage_what_the_script_left(void)
{
    rig_disk_reset(&rig_crashed, false);
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        memcpy(rig_crashed.bytes[slot], rig_disk.bytes[slot], RIG_SLOT_BYTES);
        rig_crashed.size[slot] = rig_disk.size[slot];
    }
    measure_used(&rig_crashed);
    rig_mark(&rig_crashed);
}

/* What is reported ends in a new journal, whose issuer recovers, also after its next start. */
static void assert_begins_anew(void)
{
    /* One blank disk is like the other: a sample will do. */
    if (count.corrupt % 64 != 1)
        return;
    assert_int_equal(rig_open_or_begin_anew(&rig_crashed), JOURNAL_OK);
    assert_true(rig_recovered.set_aside && rig_recovered.damage[0] != '\0');
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    assert_int_equal(rig_recovered.raft.term, 0);
    assert_int_equal(rig_recovered.raft.entry_count, 0);
    assert_int_equal(rig_recovered.raft.snapshot_index, 0);
    const struct raft_persist mark = {
        .wanted = true, .seq = 1, .hard_state = true, .recovering = true, .first_index = 1
    };
    const struct journal_log none = { NULL, NULL };
    assert_int_equal(journal_append(&rig_journal, &mark, &none), JOURNAL_OK);
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
    assert_int_equal(rig_open(&rig_crashed), JOURNAL_OK);
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
}

/* Nothing but one of the states low..high may come back, and the damage named otherwise. */
static void assert_whole_or_reported(uint64_t low, uint64_t high, const char *what, int slot,
                                     uint64_t at)
{
    enum journal_result result = rig_open(&rig_crashed);
    count.tried++;
    if (result == JOURNAL_CORRUPT) {
        assert_true(rig_journal.error[0] != '\0' && strchr(rig_journal.error, '\n') == NULL);
        count.corrupt++;
        assert_begins_anew();
        return;
    }
    if (result != JOURNAL_OK)
        fail_msg("%s at byte %llu of slot %d: %s", what, (unsigned long long)at, slot,
                 rig_journal.error);
    if (rig_recovered.raft.term < rig_term[low] || rig_recovered.raft.term > rig_term[high])
        fail_msg("%s at byte %llu of slot %d: term %llu accepted", what, (unsigned long long)at,
                 slot, (unsigned long long)rig_recovered.raft.term);
    uint64_t digest = rig_digest_recovered();
    for (uint64_t i = low; i <= high; i++) {
        if (digest == rig_digest[i]) {
            count.whole++;
            return;
        }
    }
    fail_msg("%s at byte %llu of slot %d: something else was accepted", what,
             (unsigned long long)at, slot);
}

static void flip(int slot, uint64_t at, uint8_t mask, uint64_t low, uint64_t high)
{
    uint8_t byte = rig_crashed.bytes[slot][at] ^ mask;
    rig_poke(&rig_crashed, slot, at, &byte, 1);
    assert_whole_or_reported(low, high, "a flip", slot, at);
    rig_undo(&rig_crashed);
}

static void print_counts(const char *what)
{
    printf("figure: %s: %lu tried: whole %lu, reported as damage %lu, silently cut 0\n", what,
           count.tried, count.whole, count.corrupt);
    assert_int_equal(count.tried, count.whole + count.corrupt);
    memset(&count, 0, sizeof(count));
}

/* A journal whose slots were both current before, with many frames behind its image. */
static void run_to_many_frames(void)
{
    do
        rig_run(40 + random_below(40));
    while (rig_journal.generation < 3 || rig_journal.frame_seq < 8);
    damage_what_the_script_left();
}

static void every_byte_flipped_is_whole_or_reported(void **state)
{
    (void)state;
    static const uint8_t masks[] = { 0x01, 0x80, 0xFF };
    rig_growth_bytes = 3000;
    run_to_many_frames();
    assert_int_equal(rig_open(&rig_crashed), JOURNAL_OK);
    assert_int_equal(rig_recovered.repairs, 0);
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        for (uint64_t at = 0; at < used[slot]; at++) {
            /* Where nothing was ever written, one mask will do. */
            size_t several = rig_crashed.bytes[slot][at] != 0 ? sizeof(masks) : 1;
            for (size_t i = 0; i < several; i++)
                flip(slot, at, masks[i], rig_batches, rig_batches);
        }
    }
    assert_true(count.whole > 0 && count.corrupt > 0);
    print_counts("single flips, journal at rest, every byte");
}

/* Each byte whose loss could bring an older state back: of headers, marks and the last frame. */
static void flip_what_decides(uint64_t low, uint64_t high, uint64_t last_at, uint64_t last_end,
                              int current)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        uint64_t starts[4] = { 0, FORMAT_HEADER_COPY_AT, FORMAT_MARKS_AT,
                               FORMAT_MARKS_AT + FORMAT_BLOCK_BYTES };
        for (int i = 0; i < 4 && used[slot] > 0; i++) {
            size_t length = i < 2 ? FORMAT_HEADER_BYTES : FORMAT_MARK_BYTES + FORMAT_FRAME_BYTES;
            for (size_t at = 0; at < length; at++)
                flip(slot, starts[i] + at, (uint8_t)(1u << random_below(8)), low, high);
        }
    }
    for (uint64_t at = last_at; at < last_end; at++)
        flip(current, at, (uint8_t)(1u << random_below(8)), low, high);
}

/* The first `end` operations were asked for; of what was not synced, each sector with luck. */
static void build_cut(int end)
{
    bool synced[DISK_SLOTS] = { false, false };
    uint64_t kept_of_3 = random_below(4);
    rig_disk_reset(&rig_crashed, false);
    static bool durable[RIG_OPERATIONS_MAX];
    for (int i = end - 1; i >= 0; i--) {
        durable[i] = synced[rig_disk.operation[i].slot];
        if (rig_disk.operation[i].kind == RIG_SYNC)
            synced[rig_disk.operation[i].slot] = true;
    }
    for (int i = 0; i < end; i++) {
        const struct rig_operation *operation = &rig_disk.operation[i];
        if (operation->kind == RIG_GROW && operation->offset > rig_crashed.size[operation->slot])
            rig_crashed.size[operation->slot] = operation->offset;
        for (size_t at = 0; at < operation->length; at += RIG_SECTOR_BYTES) {
            size_t left = operation->length - at;
            if (durable[i] || random_below(3) < kept_of_3)
                memcpy(rig_crashed.bytes[operation->slot] + operation->offset + at,
                       operation->data + at, left < RIG_SECTOR_BYTES ? left : RIG_SECTOR_BYTES);
        }
    }
    measure_used(&rig_crashed);
}

static void bounds_of_cut(int end, uint64_t *low, uint64_t *high)
{
    *low = *high = 0;
    for (uint64_t i = 1; i <= rig_batches; i++) {
        *low = rig_acked_at[i] <= end ? i : *low;
        *high = rig_appended_at[i] <= end ? i : *high;
    }
}

/* True if all that was asked for by then was acknowledged: nothing was under way. */
static bool at_rest(int end)
{
    for (uint64_t i = 1; i <= rig_batches; i++) {
        if (rig_acked_at[i] == end)
            return true;
    }
    return false;
}

/* What a reopened journal handed out counts as durable: one more flip must not take it back. */
static void after_a_power_cut_and_recovery_a_flip_is_whole_or_reported(void **state)
{
    (void)state;
    int states = 0;
    rig_growth_bytes = 3000;
    rig_run(150);
    while (states < STATES_TRIED) {
        int end = 1 + (int)random_below((uint64_t)rig_disk.operations);
        if (at_rest(end))
            continue;
        build_cut(end);
        assert_int_equal(rig_open(&rig_crashed), JOURNAL_OK);
        if (rig_recovered.fresh)
            continue;
        states++;
        uint64_t digest = rig_digest_recovered();
        uint64_t low;
        uint64_t high;
        bounds_of_cut(end, &low, &high);
        while (low < high && rig_digest[low] != digest)
            low++;
        assert_true(rig_digest[low] == digest);
        uint64_t last_end = rig_journal.end;
        int current = rig_journal.slot;
        uint64_t last_at = last_end - TAIL_BYTES;
        measure_used(&rig_crashed);
        rig_mark(&rig_crashed);
        flip_what_decides(low, low, last_at, last_end, current);
        for (int slot = 0; slot < DISK_SLOTS; slot++) {
            rig_crashed.size[slot] = 0;
            assert_whole_or_reported(low, low, "a lost file", slot, 0);
            rig_undo(&rig_crashed);
        }
    }
    print_counts("single flips, and lost files, after recovery from a power cut");
}

/* Where the last frame is that was written whole before the first `end` operations were done. */
static const struct rig_operation *last_frame_before(int end)
{
    for (int i = end - 1;; i--) {
        assert_true(i >= 0);
        if (rig_disk.operation[i].kind == RIG_WRITE &&
            rig_disk.operation[i].offset >= FORMAT_FRAMES_AT)
            return &rig_disk.operation[i];
    }
}

/* A cut and a flip at once: what was acknowledged must still be there or be reported missing. */
static void a_flip_within_a_power_cut_takes_nothing_acknowledged(void **state)
{
    (void)state;
    rig_growth_bytes = 3000;
    rig_run(20);
    for (int end = rig_acked_at[1]; end <= rig_disk.operations; end++) {
        uint64_t low;
        uint64_t high;
        build_cut(end);
        bounds_of_cut(end, &low, &high);
        rig_mark(&rig_crashed);
        const struct rig_operation *last = last_frame_before(rig_acked_at[low]);
        uint64_t length = last->length < TAIL_BYTES ? last->length : TAIL_BYTES;
        flip_what_decides(low, high, last->offset, last->offset + length, last->slot);
    }
    print_counts("single flips together with a power cut");
}

static void lose(int slot, uint64_t at, size_t length, int filling)
{
    static uint8_t lost[FORMAT_BLOCK_BYTES];
    for (size_t i = 0; i < length; i++)
        lost[i] = filling == 2 ? (uint8_t)random_u64() : filling == 1 ? 0xFF : 0;
    rig_poke(&rig_crashed, slot, at, lost, length);
    assert_whole_or_reported(rig_batches, rig_batches, "a loss", slot, at);
    rig_undo(&rig_crashed);
}

static void a_lost_sector_or_block_is_whole_or_reported(void **state)
{
    (void)state;
    static const size_t sizes[] = { RIG_SECTOR_BYTES, FORMAT_BLOCK_BYTES };
    rig_growth_bytes = 3000;
    for (int round = 0; round < 20; round++) {
        run_to_many_frames();
        for (int slot = 0; slot < DISK_SLOTS; slot++) {
            for (size_t i = 0; i < 2; i++) {
                for (uint64_t at = 0; at < used[slot]; at += sizes[i]) {
                    for (int filling = 0; filling < 3; filling++)
                        lose(slot, at, sizes[i], filling);
                }
            }
        }
    }
    print_counts("lost sectors and blocks");
}

static void a_lost_file_is_whole_or_reported_from_the_first_record_on(void **state)
{
    (void)state;
    for (uint64_t batches = 1; batches <= 40; batches++) {
        rig_run(batches);
        damage_what_the_script_left();
        for (int slot = 0; slot < DISK_SLOTS; slot++) {
            rig_crashed.size[slot] = 0;
            assert_whole_or_reported(batches, batches, "a lost file", slot, 0);
            rig_undo(&rig_crashed);
        }
    }
    assert_int_equal(count.corrupt, 40);
    print_counts("lost files");
}

/* Two blocks lost at once: that of the last three frames, and that of the last one's mark. */
static void only_the_last_record_lost_together_with_its_mark_looks_like_a_torn_tail(void **state)
{
    (void)state;
    static const uint8_t zeros[FORMAT_BLOCK_BYTES];
    struct raft_persist persist;
    uint64_t at[3];
    rig_growth_bytes = 6000;
    rig_run(10);
    for (int i = 0; i < 3; i++) {
        rig_begin(&persist);
        rig_entries(&persist, 1, 100);
        rig_append(&persist);
        rig_flush();
        at[i] = rig_journal.taken.offset;
    }
    assert_true(rig_journal.frame_seq > 3);
    damage_what_the_script_left();
    uint64_t mark_at = format_mark_at(rig_journal.frame_seq);
    uint64_t end = rig_journal.end;
    int slot = rig_journal.slot;
    for (int i = 2; i >= 0; i--) {
        rig_poke(&rig_crashed, slot, mark_at, zeros, sizeof(zeros));
        rig_poke(&rig_crashed, slot, at[i], zeros, (size_t)(end - at[i]));
        enum journal_result result = rig_open(&rig_crashed);
        if (i == 0) {
            assert_int_equal(result, JOURNAL_CORRUPT); /* the mark of the second tells */
        } else {
            if (result != JOURNAL_OK)
                fail_msg("%d lost: %s", 3 - i, rig_journal.error);
            assert_true(rig_digest_recovered() == rig_digest[rig_batches - 1]);
        }
        rig_undo(&rig_crashed);
    }
    /* The last but one comes back from its copy, but then the last one is behind it. */
    rig_poke(&rig_crashed, slot, mark_at, zeros, sizeof(zeros));
    rig_poke(&rig_crashed, slot, at[1], zeros, FORMAT_FRAME_BYTES);
    assert_int_equal(rig_open(&rig_crashed), JOURNAL_CORRUPT);
    rig_undo(&rig_crashed);
}

/* It has no copy, but a mark that was written after it was whole. */
static void a_flip_in_a_last_record_longer_than_a_block_is_reported(void **state)
{
    (void)state;
    struct raft_persist persist;
    rig_growth_bytes = 40000;
    rig_run(10);
    do {
        rig_begin(&persist);
        rig_entries(&persist, 2 * RAFT_APPEND_MAX, RAFT_ENTRY_DATA_MAX);
        rig_append(&persist);
        rig_flush();
    } while (rig_journal.frame_seq < 3 || rig_journal.taken.length <= FORMAT_COPIED_MAX);
    uint64_t from = rig_journal.taken.offset;
    uint64_t to = from + rig_journal.taken.length;
    int slot = rig_journal.slot;
    damage_what_the_script_left();
    for (uint64_t at = from; at < to; at++)
        flip(slot, at, (uint8_t)(1u << random_below(8)), rig_batches, rig_batches);
    assert_int_equal(count.corrupt, to - from);
    print_counts("single flips of a long last record");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_flipped_is_whole_or_reported),
        cmocka_unit_test(after_a_power_cut_and_recovery_a_flip_is_whole_or_reported),
        cmocka_unit_test(a_flip_within_a_power_cut_takes_nothing_acknowledged),
        cmocka_unit_test(a_lost_sector_or_block_is_whole_or_reported),
        cmocka_unit_test(a_lost_file_is_whole_or_reported_from_the_first_record_on),
        cmocka_unit_test(a_flip_in_a_last_record_longer_than_a_block_is_reported),
        cmocka_unit_test(only_the_last_record_lost_together_with_its_mark_looks_like_a_torn_tail),
    };
    rig_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
