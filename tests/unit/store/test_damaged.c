/* A damaged journal is set aside, and a new one begun that remembers that its issuer recovers. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk_file.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/support/folder.h"

/* A byte of the first record of the current slot. */
static void damage(struct rig_disk *disk)
{
    uint8_t byte = disk->bytes[rig_journal.slot][FORMAT_FRAMES_AT + FORMAT_FRAME_BYTES] ^ 1;
    rig_poke(disk, rig_journal.slot, FORMAT_FRAMES_AT + FORMAT_FRAME_BYTES, &byte, 1);
}

static void append_hard_state(uint64_t seq, uint64_t term, bool recovering)
{
    const struct raft_persist persist = { .wanted = true,
                                          .seq = seq,
                                          .hard_state = true,
                                          .term = term,
                                          .recovering = recovering,
                                          .first_index = 1 };
    const struct journal_log none = { NULL, NULL };
    assert_int_equal(journal_append(&rig_journal, &persist, &none), JOURNAL_OK);
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
}

static void begin_anew(void)
{
    rig_run(30);
    damage(&rig_disk);
    assert_int_equal(rig_open_or_begin_anew(&rig_disk), JOURNAL_OK);
    assert_true(rig_recovered.set_aside && rig_recovered.kept);
}

static void what_is_damaged_is_said_and_a_new_journal_begun(void **state)
{
    (void)state;
    begin_anew();
    assert_non_null(strstr(rig_recovered.damage, "its first record is damaged"));
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    assert_int_equal(rig_recovered.raft.term, 0);
}

static void that_it_recovers_is_remembered_until_it_does_not(void **state)
{
    (void)state;
    begin_anew();
    append_hard_state(1, 0, true);
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
    assert_false(rig_recovered.fresh);
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    append_hard_state(1, 7, true);
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
    assert_int_equal(rig_recovered.raft.term, 7);
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    append_hard_state(1, 7, false);
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
    assert_int_equal(rig_recovered.raft.standing, RAFT_WHOLE);
}

static void a_snapshot_on_the_way_keeps_the_mark(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "a table";
    begin_anew();
    append_hard_state(1, 3, true);
    const struct raft_persist snapshot = {
        .wanted = true,
        .seq = 2,
        .snapshot = true,
        .snapshot_index = 40,
        .snapshot_term = 3,
        .members = { .count = 1, .member[0] = { .id = { "board-a" }, .voter = true } },
        .snapshot_bytes = { bytes, sizeof(bytes) },
        .first_index = 1,
    };
    const struct journal_log none = { NULL, NULL };
    assert_int_equal(journal_append(&rig_journal, &snapshot, &none), JOURNAL_OK);
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
    assert_int_equal(rig_recovered.raft.snapshot_index, 40);
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
}

static void an_empty_journal_is_a_lost_one_and_a_good_one_is_left_alone(void **state)
{
    (void)state;
    rig_start();
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    assert_true(journal_holds_nothing(&rig_recovered));
    rig_run(30);
    assert_int_equal(rig_open_or_begin_anew(&rig_disk), JOURNAL_OK);
    assert_false(rig_recovered.set_aside);
    assert_int_equal(rig_recovered.raft.standing, RAFT_WHOLE);
    assert_int_equal(rig_digest_recovered(), rig_digest[rig_batches]);
}

static void without_room_for_a_new_one_it_says_both(void **state)
{
    (void)state;
    rig_run(30);
    damage(&rig_disk);
    rig_disk.faults.set_aside = ENOSPC;
    assert_int_equal(rig_open_or_begin_anew(&rig_disk), JOURNAL_IO);
    assert_non_null(strstr(rig_journal.error, "damaged; cannot begin a new one: No space left"));
}

static void an_unreadable_disk_is_not_taken_for_a_damaged_journal(void **state)
{
    (void)state;
    rig_run(30);
    rig_disk.faults.read = EIO;
    assert_int_equal(rig_open_or_begin_anew(&rig_disk), JOURNAL_IO);
    assert_false(rig_recovered.set_aside);
}

static void files_are_renamed_one_generation_is_kept_and_room_is_reserved(void **state)
{
    (void)state;
    struct disk_file disk;
    char error[200];
    char text[16] = "";
    struct stat status;
    bool kept = false;
    char directory[] = "/tmp/holdfast-damaged-XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_int_equal(disk_file_open(&disk, &disk_platform_system, directory, error, sizeof(error)),
                     0);
    for (int round = 1; round <= 2; round++) {
        snprintf(text, sizeof(text), "round %d", round);
        assert_int_equal(disk_file_ops.preallocate(&disk, 0, 100000), 0);
        assert_int_equal(disk_file_ops.write(&disk, 0, 0, text, sizeof(text)), 0);
        assert_int_equal(disk_file_ops.set_aside(&disk, &kept), 0);
        assert_true(kept);
    }
    int old = openat(disk.directory, "journal.0.damaged", O_RDONLY);
    assert_true(old >= 0 && read(old, text, sizeof(text)) == (ssize_t)sizeof(text));
    assert_string_equal(text, "round 2");
    close(old);
    assert_int_equal(fstatat(disk.directory, "journal.1.damaged", &status, 0), 0);
    /* The slot that is open now is the new file, empty, with the room of the old one. */
    assert_int_equal(fstatat(disk.directory, "journal.0", &status, 0), 0);
    assert_int_equal(status.st_size, 100000);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(disk_file_ops.read(&disk, 0, 0, text, sizeof(text)), 0);
    assert_int_equal(text[0], 0);
    /* What is longer than any journal is no measure of what a new one needs. */
    assert_int_equal(ftruncate(disk.slot[1], 64 * 1024 * 1024), 0);
    assert_int_equal(disk_file_ops.set_aside(&disk, &kept), 0);
    assert_int_equal(fstat(disk.slot[1], &status), 0);
    assert_int_equal(status.st_size, 4 * 1024 * 1024);
    disk_file_close(&disk);
    folder_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_damaged_is_said_and_a_new_journal_begun),
        cmocka_unit_test(that_it_recovers_is_remembered_until_it_does_not),
        cmocka_unit_test(a_snapshot_on_the_way_keeps_the_mark),
        cmocka_unit_test(an_empty_journal_is_a_lost_one_and_a_good_one_is_left_alone),
        cmocka_unit_test(without_room_for_a_new_one_it_says_both),
        cmocka_unit_test(an_unreadable_disk_is_not_taken_for_a_damaged_journal),
        cmocka_unit_test(files_are_renamed_one_generation_is_kept_and_room_is_reserved),
    };
    rig_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
