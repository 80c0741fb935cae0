/*
 * The power goes at any call of an act that makes a journal: what was there counts, or what is made,
 * or the daemon refuses both; and what was there is kept.
 */
#include <errno.h>
#include <fcntl.h>

#include "backup/init.h"
#include "backup/restore.h"
#include "tests/unit/backup/rig.h"
#include "tests/unit/support/memory_files.h"

enum { OLD_TERM = 7, OLD_INDEX = 77, DRAWS = 1 };

#define ABOVE   UINT64_C(1763704357000001)
#define WALL_US INT64_C(1763704357000000)

static char file[96]; /* the backup, on a real disk */
static bool (*act)(FILE *out, FILE *errors);
static bool has_old;

static bool init(FILE *out, FILE *errors)
{
    const struct init request = { .conf = &rig_conf,
                                  .platform = &memory_platform,
                                  .has_above = true,
                                  .above = ABOVE,
                                  .force = has_old,
                                  .out = out,
                                  .errors = errors };
    return init_run(&request);
}

static bool restore(FILE *out, FILE *errors)
{
    const struct restore request = { .conf = &rig_conf,
                                     .platform = &memory_platform,
                                     .file = file,
                                     .has_above = true,
                                     .above = ABOVE,
                                     .force = has_old,
                                     .wall_us = WALL_US + 1,
                                     .out = out,
                                     .errors = errors };
    return restore_run(&request);
}

static void write_backup(void)
{
    static struct lease_table table;
    lease_table_begin(&table, 9);
    rig_write_backup(file, &table, 9, WALL_US);
}

static int set_up(void **state)
{
    (void)state;
    rig_platform = &memory_platform;
    snprintf(rig_folder, sizeof(rig_folder), "/tmp/holdfast-cut-XXXXXX");
    if (!mkdtemp(rig_folder))
        return -1;
    snprintf(file, sizeof(file), "%s/backup", rig_folder);
    rig_configure("/data");
    write_backup();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(rig_folder);
    return 0;
}

/* ---- what a start finds */

static bool is_old(void)
{
    return rig_result == JOURNAL_OK && rig_found.raft.term == OLD_TERM &&
           rig_found.raft.snapshot_index == OLD_INDEX && !rig_has_table;
}

static bool is_new(void)
{
    return rig_result == JOURNAL_OK && rig_found.raft.snapshot_index == ABOVE + MAKING_JUMP &&
           rig_found.raft.members.count == 3 && rig_has_table;
}

/* In one of the folders that acts moved it to. */
static bool old_is_kept(void)
{
    static const char *const folders[] = { "/data/before-init-1", "/data/before-restore-1" };
    for (size_t i = 0; i < 2; i++) {
        if (memory_platform.faccessat(AT_FDCWD, folders[i], F_OK) == 0 &&
            rig_try_look(folders[i], NULL) && is_old())
            return true;
    }
    return false;
}

static void begin_world(void)
{
    memory_files_reset("/data");
    if (has_old)
        rig_make_journal(OLD_TERM, OLD_INDEX);
}

/* After the power came back: `done`: the act had said so. */
static void assert_old_or_new(unsigned at, bool done)
{
    assert_true(rig_try_look("/data", NULL));
    bool old = has_old ? is_old() : rig_result == JOURNAL_OK && rig_found.fresh;
    bool made = is_new();
    bool refused = rig_result == JOURNAL_CORRUPT;
    if (done ? !made : !old && !made && !refused)
        fail_msg("off at call %u of the act: result %d", at, (int)rig_result);
    if (has_old && !old && !old_is_kept())
        fail_msg("off at call %u of the act: what was there is lost", at);
}

/* The act once more, by the book: over whatever is there by now. */
static void assert_can_be_repeated(unsigned at)
{
    bool before = has_old;
    has_old = true; /* --force */
    if (!rig_act(act) && !strstr(rig_wrong, "shown by the journal"))
        fail_msg("off at call %u, again: %s", at, rig_wrong);
    has_old = before;
    rig_look();
    assert_true(is_new());
}

static enum memory_call off_call;

/* False once the act was over before the power went. */
static bool cut_at(unsigned at, uint64_t draw, bool latest_name_alone)
{
    begin_world();
    memory_files.off_at = memory_files.calls + at;
    bool done = rig_act(act);
    bool off = memory_files.calls >= memory_files.off_at;
    off_call = memory_files.off_call;
    memory_files.latest_name_alone = latest_name_alone;
    memory_files_cut(at * DRAWS + draw);
    assert_old_or_new(at, done);
    assert_can_be_repeated(at);
    return off;
}

static void assert_holds(bool (*which)(FILE *out, FILE *errors), bool with_old)
{
    unsigned at = 1;
    act = which;
    has_old = with_old;
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        for (at = 1; cut_at(at, draw, false); at++) {
            if (off_call == MEMORY_FSYNC)
                (void)cut_at(at, draw, true);
        }
    }
    printf("power cuts at %u calls of the operating system\n", at);
    assert_true(at > 50);
}

static void a_cut_of_init_on_an_empty_disk_leaves_nothing_or_all(void **state)
{
    (void)state;
    assert_holds(init, false);
}

static void a_cut_of_init_over_a_journal_loses_nothing(void **state)
{
    (void)state;
    assert_holds(init, true);
}

static void a_cut_of_a_restore_on_an_empty_disk_leaves_nothing_or_all(void **state)
{
    (void)state;
    assert_holds(restore, false);
}

static void a_cut_of_a_restore_over_a_journal_loses_nothing(void **state)
{
    (void)state;
    assert_holds(restore, true);
}

/* ---- an operating system that refuses */

static unsigned fail_at;
static enum memory_call failed;

static bool reading_old; /* then: --force also moves aside what cannot be read */

static int tell_at(enum memory_call call, unsigned number)
{
    if (number != fail_at)
        return MEMORY_DONE;
    failed = call;
    reading_old = memory_files.called[MEMORY_MKDIRAT] == 0 &&
                  (call == MEMORY_FSTAT || call == MEMORY_PREAD || call == MEMORY_FDATASYNC);
    return EIO;
}

/* Of these an act can do without: it clears away, closes, or looks for more. */
static bool is_harmless(void)
{
    return failed == MEMORY_CALLS || failed == MEMORY_CLOSE || failed == MEMORY_DROP_CACHE ||
           failed == MEMORY_UNLINKAT || failed == MEMORY_FACCESSAT;
}

static void fail_act_at(unsigned at)
{
    begin_world();
    fail_at = memory_files.calls + at;
    failed = MEMORY_CALLS;
    memory_files.answer = tell_at;
    bool done = rig_act(act);
    if (is_harmless() ? !done : done && !reading_old)
        fail_msg("call %u fails, a %d: %s %s", at, (int)failed, rig_told, rig_wrong);
    if (!done && !strstr(rig_wrong, "Input/output error"))
        fail_msg("call %u fails, a %d: '%s'", at, (int)failed, rig_wrong);
    assert_int_equal(memory_files_open(), 0);
    memory_files_kill();
    assert_old_or_new(at, done);
}

static void an_error_at_any_call_is_told_and_the_act_is_not_done(void **state)
{
    (void)state;
    static bool (*const acts[])(FILE *, FILE *) = { init, restore };
    has_old = true;
    for (size_t i = 0; i < 2; i++) {
        act = acts[i];
        failed = MEMORY_CLOSE;
        for (unsigned at = 1; failed != MEMORY_CALLS; at++)
            fail_act_at(at);
    }
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_cut_of_init_on_an_empty_disk_leaves_nothing_or_all),
        CLAIM(a_cut_of_init_over_a_journal_loses_nothing),
        CLAIM(a_cut_of_a_restore_on_an_empty_disk_leaves_nothing_or_all),
        CLAIM(a_cut_of_a_restore_over_a_journal_loses_nothing),
        CLAIM(an_error_at_any_call_is_told_and_the_act_is_not_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
