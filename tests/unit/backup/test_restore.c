/*
 * The restore: tokens go on above every one of before, the same command gives the same state, and
 * every doubt is a refusal that leaves the directory as it was.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup.h"
#include "backup/making.h"
#include "backup/restore.h"
#include "lease/replica.h"
#include "store/disk_file.h"
#include "store/journal.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

#define BACKUP_WALL_US INT64_C(1763704357000000)
#define HOUR_US        INT64_C(3600000000)

static char folder[64];
static char file[96];
static char told[8192];
static char wrong[4096];
static struct conf conf;
static struct restore request;
static struct lease_table table;
static uint8_t bytes[REPLICA_SNAPSHOT_MAX];
static char text[2 * REPLICA_SNAPSHOT_MAX];

static struct hf_name name(const char *from)
{
    struct hf_name result;
    assert_true(name_from_string(&result, from));
    return result;
}

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
    struct backup backup = { .cluster = name("line-3"),
                             .node = name("issuer-2"),
                             .term = 5,
                             .wall_us = BACKUP_WALL_US,
                             .lease_max_us = 65000000 };
    lease_table_init(&table);
    apply(7, LEASE_COMMAND_GRANT, "pump");
    apply(9, LEASE_COMMAND_PIN, "fan");
    backup.index = table.applied;
    backup.table = (struct bytes){ bytes, lease_table_encode(&table, bytes, sizeof(bytes)) };
    for (uint8_t i = 0; i < conf.issuer_count; i++)
        backup.members.member[backup.members.count++] =
            (struct raft_member){ .id = conf.issuer[i].id, .voter = true };
    size_t length = backup_write(&backup, text, sizeof(text));
    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, length, out), length);
    fclose(out);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/holdfast-restore-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    memset(&conf, 0, sizeof(conf));
    conf.node_id = name("issuer-1");
    conf.cluster_name = name("line-3");
    conf.issuer_role = true;
    conf.drift_ppm = 2000;
    conf.issuer_count = 3;
    for (int i = 0; i < 3; i++) {
        const char id[] = { 'i', 's', 's', 'u', 'e', 'r', '-', (char)('1' + i), '\0' };
        conf.issuer[i].id = name(id);
    }
    snprintf(conf.file, sizeof(conf.file), "board.conf");
    snprintf(conf.data_dir, sizeof(conf.data_dir), "%s/data", folder);
    snprintf(file, sizeof(file), "%s/backup", folder);
    if (mkdir(conf.data_dir, 0700) != 0)
        return -1;
    write_backup();
    request = (struct restore){ .conf = &conf, .file = file, .wall_us = BACKUP_WALL_US + HOUR_US };
    return 0;
}

/* Also what restores made within it. */
static void empty(const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    while (directory && (entry = readdir(directory)) != NULL) {
        char inner[512];
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(inner) != 0)
            folder_remove(inner);
    }
    if (directory)
        closedir(directory);
}

static int tear_down(void **state)
{
    (void)state;
    empty(conf.data_dir);
    folder_remove(conf.data_dir);
    folder_remove(folder);
    return 0;
}

static bool run(void)
{
    memset(told, 0, sizeof(told));
    memset(wrong, 0, sizeof(wrong));
    request.out = fmemopen(told, sizeof(told), "w");
    request.errors = fmemopen(wrong, sizeof(wrong), "w");
    bool done = restore_run(&request);
    fclose(request.out);
    fclose(request.errors);
    return done;
}

static void with_above(uint64_t above)
{
    request.has_above = true;
    request.above = above;
}

static void assert_refused(const char *words)
{
    char path[300];
    assert_false(run());
    if (!strstr(wrong, words))
        fail_msg("'%s' does not say '%s'", wrong, words);
    assert_ptr_equal(strchr(wrong, '\n'), wrong + strlen(wrong) - 1);
    snprintf(path, sizeof(path), "%s/restore.new", conf.data_dir);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* ---- what a start finds */

static struct {
    struct raft_entry entries[RAFT_LOG_MAX];
    uint8_t recovered[REPLICA_SNAPSHOT_MAX];
    uint8_t snapshot[REPLICA_SNAPSHOT_MAX];
    struct journal journal;
    struct journal_recovered found;
    struct disk_file files;
} start;

static const char *path_in_data(const char *leaf)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/%s", conf.data_dir, leaf);
    return path;
}

static void open_journal(const char *path)
{
    static uint8_t *buffer[2];
    char error[256];
    for (int i = 0; i < 2; i++) {
        if (!buffer[i])
            buffer[i] = malloc(journal_buffer_bytes(REPLICA_SNAPSHOT_MAX));
    }
    struct journal_config config = { .ops = &disk_file_ops,
                                     .disk = &start.files,
                                     .node = conf.node_id,
                                     .entries = start.entries,
                                     .recovered_snapshot = start.recovered,
                                     .snapshot = start.snapshot,
                                     .snapshot_capacity = REPLICA_SNAPSHOT_MAX,
                                     .buffer = { buffer[0], buffer[1] },
                                     .growth_bytes = JOURNAL_GROWTH_BYTES };
    snprintf(config.cluster, sizeof(config.cluster), "%s", conf.cluster_name.text);
    if (disk_file_open(&start.files, path, error, sizeof(error)) != 0)
        fail_msg("%s", error);
    assert_int_equal(journal_open(&start.journal, &config, &start.found), JOURNAL_OK);
}

static void read_journal(const char *path)
{
    open_journal(path);
    disk_file_close(&start.files);
}

static const struct raft_entry *no_entry(const void *log, uint64_t index)
{
    (void)log;
    (void)index;
    return NULL;
}

/* Makes a journal of before, in this term and at this entry. */
static void make_old_journal(uint64_t term, uint64_t index)
{
    const struct journal_log log = { no_entry, NULL };
    struct raft_persist persist = { .wanted = true,
                                    .seq = 1,
                                    .hard_state = true,
                                    .term = term,
                                    .snapshot = true,
                                    .snapshot_index = index,
                                    .snapshot_term = term,
                                    .first_index = 1,
                                    .snapshot_bytes = { bytes, 100 } };
    persist.members.count = 1;
    persist.members.member[0] = (struct raft_member){ .id = conf.node_id, .voter = true };
    open_journal(conf.data_dir);
    assert_true(start.found.fresh);
    assert_int_equal(journal_append(&start.journal, &persist, &log), JOURNAL_OK);
    assert_true(journal_take(&start.journal));
    assert_int_equal(journal_flush(&start.journal), JOURNAL_OK);
    disk_file_close(&start.files);
}

static uint64_t told_above(void)
{
    const char *at = strstr(told, "--above ");
    assert_non_null(at);
    return strtoull(at + 8, NULL, 10);
}

/* ---- tests */

static void without_a_number_nothing_is_changed_and_one_is_told(void **state)
{
    (void)state;
    assert_false(run());
    assert_string_equal(wrong, "");
    assert_int_equal(told_above(), request.wall_us);
    assert_non_null(strstr(told, "nothing was changed"));
    read_journal(conf.data_dir);
    assert_true(start.found.fresh);
}

static void s2_log_and_term_go_on_above_the_number(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_true(run());
    read_journal(conf.data_dir);
    uint64_t index = (uint64_t)request.wall_us + MAKING_JUMP;
    assert_int_equal(start.found.raft.snapshot_index, index);
    assert_int_equal(start.found.raft.snapshot_term, index);
    /* One more: nobody takes it for what --init made with the same number. */
    assert_int_equal(start.found.raft.term, index + 1);
    assert_true(name_empty(&start.found.raft.vote));
    assert_int_equal(start.found.raft.members.count, 3);
    assert_true(lease_table_decode(&table, start.found.raft.snapshot));
    assert_int_equal(table.applied, index);
    assert_int_equal(table.unknown_us, 65000000);
    assert_int_equal(table.record[0].token, 0);
    assert_true(table.record[1].pinned);
    assert_non_null(strstr(told, "resource: pump: free, last token in the backup 7\n"));
    assert_non_null(
        strstr(told, "resource: fan: free, last token in the backup 0, pinned to nobody"));
    assert_non_null(strstr(told, "grants: none for 65130 ms"));
}

static void the_same_command_gives_the_same_state_on_every_issuer(void **state)
{
    (void)state;
    char first[80];
    with_above((uint64_t)request.wall_us);
    assert_true(run());
    snprintf(first, sizeof(first), "%.64s", strstr(told, "sha256 ") + 7);
    empty(conf.data_dir);
    conf.node_id = name("issuer-3");
    request.wall_us += HOUR_US;
    assert_true(run());
    assert_non_null(strstr(told, first));
}

static void s2_a_second_restore_of_the_same_backup_goes_higher(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_true(run());
    uint64_t highest = request.above + MAKING_JUMP + 100000; /* entries of a minute, at the most */
    empty(conf.data_dir);
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
    read_journal(conf.data_dir);
    assert_int_equal(start.found.raft.snapshot_index, 5000000 + MAKING_JUMP);
}

static void s2_the_journal_that_is_there_counts_and_is_kept(void **state)
{
    (void)state;
    uint64_t old = (uint64_t)request.wall_us + 1000;
    make_old_journal(old - 7, old);
    with_above((uint64_t)request.wall_us);
    assert_refused("has a journal");
    request.force = true;
    assert_refused("shown by the journal that is there");
    request.has_above = false;
    assert_false(run());
    assert_int_equal(told_above(), old);
    assert_non_null(strstr(told, " --force\n"));
    with_above(old);
    assert_true(run());
    read_journal(path_in_data("before-restore-1"));
    assert_int_equal(start.found.raft.snapshot_index, old);
    assert_int_equal(start.found.raft.term, old - 7);
    read_journal(conf.data_dir);
    assert_int_equal(start.found.raft.snapshot_index, old + MAKING_JUMP);
}

/* Restored, and thrown away again: the one that was kept before still counts. */
static void s2_journals_that_were_moved_aside_count(void **state)
{
    (void)state;
    uint64_t old = (uint64_t)request.wall_us + 1000;
    make_old_journal(old, 77);
    with_above(old);
    request.force = true;
    assert_true(run());
    unlink(path_in_data("journal.0"));
    unlink(path_in_data("journal.1"));
    with_above(old - 1);
    assert_refused("shown by before-restore-1");
    with_above(old);
    assert_true(run());
    assert_refused(
        "shown by the journal that is there"); /* the same once more, over what it made */
    with_above(old + MAKING_JUMP + 1);
    assert_true(run());
    read_journal(path_in_data("before-restore-2"));
    assert_int_equal(start.found.raft.snapshot_index, old + MAKING_JUMP);
}

static void a_journal_that_cannot_be_read_is_kept_too(void **state)
{
    (void)state;
    make_old_journal(3, 77);
    int slot = open(path_in_data("journal.0"), O_RDWR);
    char noise[64];
    memset(noise, 0x5A, sizeof(noise));
    assert_int_equal(pwrite(slot, noise, sizeof(noise), 4 * 4096 + 20), sizeof(noise));
    close(slot);
    with_above((uint64_t)request.wall_us);
    assert_refused("has a journal");
    request.force = true;
    assert_true(run());
    assert_non_null(strstr(told, "the one that is there cannot be read"));
    assert_int_equal(access(path_in_data("before-restore-1/journal.0"), F_OK), 0);
}

static void what_does_not_belong_here_is_refused(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    conf.cluster_name = name("line-4");
    assert_refused("the backup is of cluster 'line-3', this is 'line-4'");
    conf.cluster_name = name("line-3");
    conf.node_id = name("board-a");
    assert_refused("board-a is not among the backup's issuers");
    conf.node_id = name("issuer-1");
    conf.issuer[2].id = name("issuer-9");
    assert_refused("cluster.issuers has issuer-9");
    conf.issuer_count = 1;
    assert_refused("the backup has 3 issuers, cluster.issuers 1");
    conf.issuer_role = false;
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
    make_old_journal(3, 77);
    request.force = true;
    int lock = open(path_in_data("journal.lock"), O_RDWR);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    assert_refused("held by another process");
    close(lock);
    read_journal(conf.data_dir);
    assert_int_equal(start.found.raft.snapshot_index, 77);
}

static void a_restore_that_was_interrupted_is_begun_again(void **state)
{
    (void)state;
    with_above((uint64_t)request.wall_us);
    assert_int_equal(mkdir(path_in_data("restore.new"), 0700), 0);
    int left = open(path_in_data("restore.new/journal.0"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(left, "half", 4), 4);
    close(left);
    assert_true(run());
    assert_int_not_equal(access(path_in_data("restore.new"), F_OK), 0);
    read_journal(conf.data_dir);
    assert_int_equal(start.found.raft.snapshot_index, request.above + MAKING_JUMP);
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
