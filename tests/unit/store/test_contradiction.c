/*
 * Records whose checksum holds and whose content cannot be: written so, by a program with a bug or by
 * somebody. Each is said to be damage, and nothing of it is taken.
 */
#include "tests/unit/store/rig.h"

enum { IMAGE_SNAPSHOT_AT = FORMAT_RECORD_BYTES + FORMAT_HARD_STATE_BYTES };

static uint8_t payload[64 * 1024];
static size_t payload_length;
static uint32_t payload_records;

static int setup(void **state)
{
    (void)state;
    payload_length = payload_records = 0;
    rig_growth_bytes = JOURNAL_GROWTH_BYTES;
    rig_run(12);
    assert_true(rig_state.term > 1 || rig_last > 1);
    return 0;
}

/* Adds a record that says it is `length` bytes long; its body, zeros, is returned. */
static uint8_t *add(uint32_t kind, size_t length)
{
    uint8_t *record = payload + payload_length;
    assert_true(payload_length + FORMAT_RECORD_BYTES + length <= sizeof(payload));
    memset(record, 0, FORMAT_RECORD_BYTES + length);
    format_put_u32(record, kind);
    format_put_u32(record + 4, (uint32_t)length);
    payload_length += FORMAT_RECORD_BYTES + length;
    payload_records++;
    return record + FORMAT_RECORD_BYTES;
}

static void add_entry(uint64_t index, uint32_t kind, size_t length)
{
    uint8_t *body = add(FORMAT_ENTRY, FORMAT_ENTRY_BYTES + length);
    format_put_u64(body, index);
    format_put_u64(body + 8, rig_state.term);
    format_put_u32(body + 16, kind);
}

static void add_hard_state(uint64_t term, const char *vote)
{
    uint8_t *body = add(FORMAT_HARD_STATE, FORMAT_HARD_STATE_BYTES);
    format_put_u64(body, term);
    memcpy(body + 8, vote, strlen(vote));
}

/* The payload as frame `seq` at byte `at`, under a good checksum. */
static void write_frame_at(uint64_t seq, uint64_t at)
{
    static uint8_t frame[FORMAT_FRAME_BYTES + sizeof(payload)];
    size_t length = FORMAT_FRAME_BYTES + payload_length;
    struct format_frame head = { .length = (uint32_t)payload_length,
                                 .seq = seq,
                                 .generation = rig_journal.generation,
                                 .records = payload_records,
                                 .payload_crc = crc32c(0, payload, payload_length) };
    format_put_frame(frame, &head);
    memcpy(frame + FORMAT_FRAME_BYTES, payload, payload_length);
    rig_poke(&rig_disk, rig_journal.slot, at, frame, length);
    if (rig_disk.size[rig_journal.slot] < at + length)
        rig_disk.size[rig_journal.slot] = at + length;
}

static void write_frame(void)
{
    write_frame_at(rig_journal.frame_seq + 1,
                   format_place(rig_journal.end, FORMAT_FRAME_BYTES + payload_length));
}

static enum journal_result read_back(void)
{
    write_frame();
    return rig_open(&rig_disk);
}

static void assert_contradiction(void)
{
    assert_int_equal(read_back(), JOURNAL_CORRUPT);
    assert_non_null(strstr(rig_journal.error, "contradicts what precedes it"));
}

static void what_is_right_is_taken(void **state)
{
    (void)state;
    add_hard_state(rig_state.term + 1, "n4");
    add_entry(rig_last + 1, RAFT_ENTRY_COMMAND, RAFT_ENTRY_DATA_MAX);
    add_entry(rig_last + 2, RAFT_ENTRY_NOOP, 0);
    format_put_u64(add(FORMAT_TRUNCATE, 8), rig_last + 2);
    assert_int_equal(read_back(), JOURNAL_OK);
    assert_int_equal(rig_recovered.raft.term, rig_state.term + 1);
    assert_string_equal(rig_recovered.raft.vote.text, "n4");
    assert_int_equal(rig_recovered.raft.snapshot_index + rig_recovered.raft.entry_count,
                     rig_last + 1);
}

static void a_term_that_goes_back(void **state)
{
    (void)state;
    add_hard_state(rig_state.term - 1, "n4");
    assert_contradiction();
}

static void a_vote_for_no_name(void **state)
{
    (void)state;
    add_hard_state(rig_state.term, "no name\n");
    assert_contradiction();
}

static void a_hard_state_of_another_length(void **state)
{
    (void)state;
    format_put_u64(add(FORMAT_HARD_STATE, FORMAT_HARD_STATE_BYTES - 1), rig_state.term);
    assert_contradiction();
}

static void an_entry_that_is_not_the_next(void **state)
{
    (void)state;
    add_entry(rig_last + 2, RAFT_ENTRY_COMMAND, 5);
    assert_contradiction();
}

static void an_entry_that_is_there_already(void **state)
{
    (void)state;
    add_entry(rig_last, RAFT_ENTRY_COMMAND, 5);
    assert_contradiction();
}

static void an_entry_of_no_kind(void **state)
{
    (void)state;
    add_entry(rig_last + 1, RAFT_ENTRY_KINDS, 5);
    assert_contradiction();
}

static void an_entry_that_is_too_long(void **state)
{
    (void)state;
    add_entry(rig_last + 1, RAFT_ENTRY_COMMAND, RAFT_ENTRY_DATA_MAX + 1);
    assert_contradiction();
}

static void an_entry_that_is_cut(void **state)
{
    (void)state;
    format_put_u64(add(FORMAT_ENTRY, FORMAT_ENTRY_BYTES - 1), rig_last + 1);
    assert_contradiction();
}

static void members_that_cannot_be_read(void **state)
{
    (void)state;
    add_entry(rig_last + 1, RAFT_ENTRY_MEMBERS, 3);
    assert_contradiction();
}

static void more_entries_than_a_log_holds(void **state)
{
    (void)state;
    uint64_t next = rig_last + 1;
    for (uint64_t i = rig_last - rig_state.snapshot_index; i <= RAFT_LOG_MAX; i++)
        add_entry(next++, RAFT_ENTRY_COMMAND, 1);
    assert_contradiction();
}

static void a_truncation_of_what_the_snapshot_has(void **state)
{
    (void)state;
    format_put_u64(add(FORMAT_TRUNCATE, 8), rig_state.snapshot_index);
    assert_contradiction();
}

static void a_truncation_of_another_length(void **state)
{
    (void)state;
    format_put_u64(add(FORMAT_TRUNCATE, 9), rig_last);
    assert_contradiction();
}

static void a_snapshot_that_is_no_image(void **state)
{
    (void)state;
    format_put_u64(add(FORMAT_SNAPSHOT, FORMAT_SNAPSHOT_BYTES), rig_last + 1);
    assert_contradiction();
}

static void a_record_of_no_kind(void **state)
{
    (void)state;
    (void)add(99, 8);
    assert_contradiction();
}

static void a_record_that_goes_on_past_its_frame(void **state)
{
    (void)state;
    uint8_t *body = add(FORMAT_TRUNCATE, 8);
    format_put_u64(body, rig_last);
    format_put_u32(body - 4, 16);
    assert_contradiction();
}

static void bytes_behind_the_last_record(void **state)
{
    (void)state;
    add_hard_state(rig_state.term, "n1");
    payload_length += 8;
    assert_contradiction();
}

static void fewer_records_than_are_told(void **state)
{
    (void)state;
    add_hard_state(rig_state.term, "n1");
    payload_records++;
    assert_contradiction();
}

/* Wherever it is: one record before it was whole once, or it would not have been written. */
static void a_whole_frame_behind_one_that_is_missing(void **state)
{
    enum { WINDOW = 65536, AROUND = 64 };
    static const uint64_t windows[] = { 0, 1, 2, 17 };
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        for (int before = -AROUND; before <= AROUND; before += FORMAT_ALIGNMENT) {
            (void)setup(state);
            int64_t at = (int64_t)(rig_journal.end + windows[i] * WINDOW) + before;
            if (at < (int64_t)rig_journal.end)
                continue;
            add_hard_state(rig_state.term, "n1");
            write_frame_at(rig_journal.frame_seq + 2, (uint64_t)at);
            assert_int_equal(rig_open(&rig_disk), JOURNAL_CORRUPT);
            assert_non_null(strstr(rig_journal.error, "with valid ones after it"));
        }
    }
}

/* ---- the image */

/* Its snapshot record's body; to be sealed again by seal_image(). */
static uint8_t *image_snapshot(void)
{
    uint8_t *frame = rig_disk.bytes[rig_journal.slot] + FORMAT_FRAMES_AT;
    uint8_t *record = frame + FORMAT_FRAME_BYTES + IMAGE_SNAPSHOT_AT;
    assert_int_equal(format_get_u32(record), FORMAT_SNAPSHOT);
    return record + FORMAT_RECORD_BYTES;
}

static void seal_image(void)
{
    uint8_t *frame = rig_disk.bytes[rig_journal.slot] + FORMAT_FRAMES_AT;
    struct format_frame head;
    assert_true(format_get_frame(&head, frame));
    head.payload_crc = crc32c(0, frame + FORMAT_FRAME_BYTES, head.length);
    format_put_frame(frame, &head);
}

/* An image with a snapshot in it. */
static void begin_image(void)
{
    struct raft_persist persist;
    rig_begin(&persist);
    rig_take_snapshot(&persist, rig_last + 1, false);
    rig_append(&persist);
    rig_flush();
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
}

static void assert_image_refused(void)
{
    seal_image();
    assert_int_equal(rig_open(&rig_disk), JOURNAL_CORRUPT);
    assert_non_null(strstr(rig_journal.error, "contradicts what precedes it"));
}

static void members_longer_than_their_record(void **state)
{
    (void)state;
    begin_image();
    format_put_u32(image_snapshot() + 16, 1 << 20);
    assert_image_refused();
}

static void a_snapshot_whose_members_cannot_be_read(void **state)
{
    (void)state;
    begin_image();
    format_put_u32(image_snapshot() + 16, 0);
    assert_image_refused();
}

static void a_snapshot_of_no_entry_with_a_state(void **state)
{
    (void)state;
    begin_image();
    format_put_u64(image_snapshot(), 0);
    format_put_u64(image_snapshot() + 8, 0);
    assert_image_refused();
}

int main(void)
{
#define REFUSES(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        REFUSES(what_is_right_is_taken),
        REFUSES(a_term_that_goes_back),
        REFUSES(a_vote_for_no_name),
        REFUSES(a_hard_state_of_another_length),
        REFUSES(an_entry_that_is_not_the_next),
        REFUSES(an_entry_that_is_there_already),
        REFUSES(an_entry_of_no_kind),
        REFUSES(an_entry_that_is_too_long),
        REFUSES(an_entry_that_is_cut),
        REFUSES(members_that_cannot_be_read),
        REFUSES(more_entries_than_a_log_holds),
        REFUSES(a_truncation_of_what_the_snapshot_has),
        REFUSES(a_truncation_of_another_length),
        REFUSES(a_snapshot_that_is_no_image),
        REFUSES(a_record_of_no_kind),
        REFUSES(a_record_that_goes_on_past_its_frame),
        REFUSES(bytes_behind_the_last_record),
        REFUSES(fewer_records_than_are_told),
        REFUSES(a_whole_frame_behind_one_that_is_missing),
        REFUSES(members_longer_than_their_record),
        REFUSES(a_snapshot_whose_members_cannot_be_read),
        REFUSES(a_snapshot_of_no_entry_with_a_state),
    };
    rig_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
