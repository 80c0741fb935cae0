/*
 * The restore: tokens go on above every one of before, the same command gives the same state, and
 * every doubt is a refusal that leaves the directory as it was.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "backup/restore.h"
#include "tests/unit/backup/rig.h"

#define BACKUP_WALL_US INT64_C(1763704357000000)
#define HOUR_US        INT64_C(3600000000)

static char file[96];
static struct restore request;
static struct lease_table table;

static void apply(uint64_t index, enum lease_command_kind kind, const char *resource)
{
    struct lease_command command = { .kind = kind,
                                     .resource = name(resource),
                                     .who = name("issuer-1") };
    if (kind == LEASE_COMMAND_GRANT) {
        command.holder = name("board-a");
        command.ttl_us = 1000000;
    }
    command.pinned = kind == LEASE_COMMAND_PIN;
    assert_true(lease_table_apply(&table, index, &command).done);
}

static void write_backup(void)
{
    lease_table_init(&table);
    apply(7, LEASE_COMMAND_GRANT, "pump");
    apply(9, LEASE_COMMAND_PIN, "fan");
    rig_write_backup(file, &table, table.applied, BACKUP_WALL_US);
}

static int set_up(void **state)
{
    (void)state;
    if (!rig_make())
        return -1;
    snprintf(file, sizeof(file), "%s/backup", rig_folder);
    write_backup();
    request = (struct restore){ .platform = &disk_platform_system,
                                .conf = &rig_conf,
                                .file = file,
                                .wall_us = BACKUP_WALL_US + HOUR_US };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_remove();
    return 0;
}

static bool act(FILE *out, FILE *errors)
{
    request.out = out;
    request.errors = errors;
    return restore_run(&request);
}

static bool run(void)
{
    return rig_act(act);
}

static void with_above(uint64_t above)
{
    request.has_above = true;
    request.above = above;
}

static void assert_refused(const char *words)
{
    rig_assert_refuses(act, words);
    assert_int_not_equal(access(rig_path("restore.new"), F_OK), 0);
}

/* Reads a journal that is kept within the data directory. */
static void look_at(const char *leaf)
{
    assert_true(rig_try_look(rig_path(leaf), NULL));
    assert_int_equal(rig_result, JOURNAL_OK);
}

static uint64_t told_above(void)
{
    const char *at = strstr(rig_told, "--above ");
    assert_non_null(at);
    return strtoull(at + 8, NULL, 10);
}

/* ---- tests */

static void without_a_number_nothing_is_changed_and_one_is_told(void **state)
{
    (void)state;
    assert_false(run());
    assert_string_equal(rig_wrong, "");
    assert_int_equal(told_above(), request.wall_us);
    assert_non_null(strstr(rig_told, "nothing was changed"));
    rig_look();
    assert_true(rig_found.fresh);
}

static void s2_log_and_term_go_on_above_the_number(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_true(run());
    rig_look();
    uint64_t index = (uint64_t)request.wall_us + MAKING_JUMP;
    assert_int_equal(rig_found.raft.snapshot_index, index);
    assert_int_equal(rig_found.raft.snapshot_term, index);
    /* One more: nobody takes it for what --init made with the same number. */
    assert_int_equal(rig_found.raft.term, index + 1);
    assert_true(name_empty(&rig_found.raft.vote));
    assert_int_equal(rig_found.raft.members.count, 3);
    assert_true(rig_has_table);
    assert_int_equal(rig_table.applied, index);
    assert_int_equal(rig_table.unknown_us, 65000000);
    assert_int_equal(rig_table.record[0].token, 0);
    assert_true(rig_table.record[1].pinned);
    assert_non_null(strstr(rig_told, "resource: pump: free, last token in the backup 7\n"));
    assert_non_null(
        strstr(rig_told, "resource: fan: free, last token in the backup 0, pinned to nobody"));
    assert_non_null(strstr(rig_told, "grants: none for 65130 ms"));
}

static void the_same_command_gives_the_same_state_on_every_issuer(void **state)
{
    (void)state;
    char first[80];
    with_above((uint64_t)request.wall_us);
    assert_true(run());
    snprintf(first, sizeof(first), "%.64s", strstr(rig_told, "sha256 ") + 7);
    rig_empty_data();
    rig_conf.node_id = name("issuer-3");
    request.wall_us += HOUR_US;
    assert_true(run());
    assert_non_null(strstr(rig_told, first));
}

static void s2_a_second_restore_of_the_same_backup_goes_higher(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_true(run());
    uint64_t highest = request.above + MAKING_JUMP + 100000; /* entries of a minute, at the most */
    rig_empty_data();
    request.has_above = false;
    request.wall_us += 60000000;
    assert_false(run());
    assert_true(told_above() + MAKING_JUMP > highest);
}

static void s2_a_number_below_what_is_known_is_refused(void **state)
{
    (void)state;
    with_above(8);
    assert_refused("--above 8: must be at least 9, shown by the backup");
    with_above(4);
    assert_refused("must be at least 9");
    with_above(MAKING_ABOVE_MAX + 1);
    assert_refused("must be at most");
}

static void s2_a_number_of_another_day_is_refused(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    request.wall_us += 25 * HOUR_US;
    assert_refused("made more than a day ago");
    with_above(12345);
    assert_refused("made more than a day ago");
}

static void s2_without_a_clock_it_is_not_sure_unless_told(void **state)
{
    (void)state;
    request.wall_us = 1000000;
    assert_refused("this node's clock says 1970-01-01T00:00:01Z, before the backup");
    with_above(5000000);
    assert_true(run());
    rig_look();
    assert_int_equal(rig_found.raft.snapshot_index, 5000000 + MAKING_JUMP);
}

static void s2_the_journal_that_is_there_counts_and_is_kept(void **state)
{
    (void)state;
    uint64_t old = (uint64_t)request.wall_us + 1000;
    rig_make_journal(old - 7, old);
    with_above((uint64_t)request.wall_us);
    assert_refused("has a journal");
    request.force = true;
    assert_refused("shown by the journal that is there");
    request.has_above = false;
    assert_false(run());
    assert_int_equal(told_above(), old);
    assert_non_null(strstr(rig_told, " --force\n"));
    with_above(old);
    assert_true(run());
    look_at("before-restore-1");
    assert_int_equal(rig_found.raft.snapshot_index, old);
    assert_int_equal(rig_found.raft.term, old - 7);
    rig_look();
    assert_int_equal(rig_found.raft.snapshot_index, old + MAKING_JUMP);
}

/* Restored, and thrown away again: the one that was kept before still counts. */
static void s2_journals_that_were_moved_aside_count(void **state)
{
    (void)state;
    uint64_t old = (uint64_t)request.wall_us + 1000;
    rig_make_journal(old, 77);
    with_above(old);
    request.force = true;
    assert_true(run());
    unlink(rig_path("journal.0"));
    unlink(rig_path("journal.1"));
    with_above(old - 1);
    assert_refused("shown by before-restore-1");
    with_above(old);
    assert_true(run());
    assert_refused(
        "shown by the journal that is there"); /* the same once more, over what it made */
    with_above(old + MAKING_JUMP + 1);
    assert_true(run());
    look_at("before-restore-2");
    assert_int_equal(rig_found.raft.snapshot_index, old + MAKING_JUMP);
}

static void a_journal_that_cannot_be_read_is_kept_too(void **state)
{
    (void)state;
    rig_make_journal(3, 77);
    int slot = open(rig_path("journal.0"), O_RDWR);
    char noise[64];
    memset(noise, 0x5A, sizeof(noise));
    assert_int_equal(pwrite(slot, noise, sizeof(noise), 4 * 4096 + 20), sizeof(noise));
    close(slot);
    with_above((uint64_t)request.wall_us);
    assert_refused("has a journal");
    request.force = true;
    assert_true(run());
    assert_non_null(strstr(rig_told, "the one that is there cannot be read"));
    assert_int_equal(access(rig_path("before-restore-1/journal.0"), F_OK), 0);
}

static void what_does_not_belong_here_is_refused(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    rig_conf.cluster_name = name("line-4");
    assert_refused("the backup is of cluster 'line-3', this is 'line-4'");
    rig_conf.cluster_name = name("line-3");
    rig_conf.node_id = name("board-a");
    assert_refused("board-a is not among the backup's issuers");
    rig_conf.node_id = name("issuer-1");
    rig_conf.issuer[2].id = name("issuer-9");
    assert_refused(
        "cluster.issuers has issuer-9, which is not among the backup's issuers: issuer-1");
    rig_conf.issuer_count = 1;
    assert_refused("the backup has 3 issuers, cluster.issuers 1");
    rig_conf.issuer_role = false;
    assert_refused("issuer-1 is no issuer");
}

static void a_backup_that_is_not_good_is_refused(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_int_equal(truncate(file, 100), 0);
    assert_refused("no checksum");
    assert_int_equal(unlink(file), 0);
    assert_refused("cannot open: No such file");
}

static void a_daemon_that_runs_keeps_its_directory(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    rig_make_journal(3, 77);
    request.force = true;
    int lock = open(rig_path("journal.lock"), O_RDWR);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    assert_refused("held by another process");
    close(lock);
    rig_look();
    assert_int_equal(rig_found.raft.snapshot_index, 77);
}

static void a_restore_that_was_interrupted_is_begun_again(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_int_equal(mkdir(rig_path("restore.new"), 0700), 0);
    int left = open(rig_path("restore.new/journal.0"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(left, "half", 4), 4);
    close(left);
    assert_true(run());
    assert_int_not_equal(access(rig_path("restore.new"), F_OK), 0);
    rig_look();
    assert_int_equal(rig_found.raft.snapshot_index, request.above + MAKING_JUMP);
}

static void numbers_are_digits_only(void **state)
{
    (void)state;
    uint64_t above = 0;
    assert_true(making_take_above("1763704357000000", &above));
    assert_int_equal(above, 1763704357000000);
    static const char *const bad[] = { "",   "-1",  "+1",   " 1",
                                       "1 ", "1e9", "0x10", "99999999999999999999" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(making_take_above(bad[i], &above));
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(without_a_number_nothing_is_changed_and_one_is_told),
        CLAIM(s2_log_and_term_go_on_above_the_number),
        CLAIM(the_same_command_gives_the_same_state_on_every_issuer),
        CLAIM(s2_a_second_restore_of_the_same_backup_goes_higher),
        CLAIM(s2_a_number_below_what_is_known_is_refused),
        CLAIM(s2_a_number_of_another_day_is_refused),
        CLAIM(s2_without_a_clock_it_is_not_sure_unless_told),
        CLAIM(s2_the_journal_that_is_there_counts_and_is_kept),
        CLAIM(s2_journals_that_were_moved_aside_count),
        CLAIM(a_journal_that_cannot_be_read_is_kept_too),
        CLAIM(what_does_not_belong_here_is_refused),
        CLAIM(a_backup_that_is_not_good_is_refused),
        CLAIM(a_daemon_that_runs_keeps_its_directory),
        CLAIM(a_restore_that_was_interrupted_is_begun_again),
        CLAIM(numbers_are_digits_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
