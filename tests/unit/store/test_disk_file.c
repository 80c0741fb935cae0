/*
 * The journal's real files on an operating system that answers as it may: in parts, interrupted, with
 * an error at any call, with the lock taken; and that loses its power after any call.
 */
#include <fcntl.h>
#include <unistd.h>

#include "store/disk_file.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/support/memory_files.h"

enum { KIBIBYTE = 1024, SCRIPT_BATCHES = 40, CUT_DRAWS = 2 };

static const char folder[] = "/data";
static struct disk_file files;
static char error[256];

static int setup(void **state)
{
    (void)state;
    memory_files_reset(folder);
    error[0] = '\0';
    return 0;
}

static int open_files(void)
{
    return disk_file_open(&files, &memory_platform, folder, error, sizeof(error));
}

/* ---- answers */

static enum memory_call told_call;
static unsigned told_at; /* the call of that kind which is answered so; 0: each */
static int told;

static int tell(enum memory_call call, unsigned number)
{
    (void)number;
    bool meant = call == told_call && (told_at == 0 || memory_files.called[call] == told_at);
    return meant ? told : MEMORY_DONE;
}

/* From now on the `at`-th call from here of this kind is answered so; 0: each. */
static void answer_with(enum memory_call call, unsigned at, int answer)
{
    told_call = call;
    told_at = at > 0 ? memory_files.called[call] + at : 0;
    told = answer;
    memory_files.answer = tell;
}

/* Of each kind, the first call is interrupted and every second one after it; others do half. */
static int tell_pieces(enum memory_call call, unsigned number)
{
    (void)number;
    bool interrupted = memory_files.called[call] % 2 != 0;
    if (call != MEMORY_PREAD && call != MEMORY_PWRITE)
        return call == MEMORY_ALLOCATE && interrupted ? EINTR : MEMORY_DONE;
    return interrupted ? EINTR : MEMORY_HALF;
}

static void what_is_done_in_parts_or_interrupted_is_finished(void **state)
{
    (void)state;
    static uint8_t data[3 * KIBIBYTE];
    static uint8_t back[sizeof(data)];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(open_files(), 0);
    memory_files.answer = tell_pieces;
    for (int i = 0; i < 2; i++)
        assert_int_equal(disk_file_ops.preallocate(&files, i, 64 * KIBIBYTE), 0);
    assert_int_equal(disk_file_ops.write(&files, 1, 700, data, sizeof(data)), 0);
    assert_int_equal(disk_file_ops.read(&files, 1, 700, back, sizeof(back)), 0);
    memory_files.answer = NULL;
    assert_memory_equal(back, data, sizeof(data));
    assert_int_equal(disk_file_ops.read(&files, 1, 700, back, sizeof(back)), 0);
    assert_memory_equal(back, data, sizeof(data));
    assert_int_equal(disk_file_ops.read(&files, 0, 700, back, sizeof(back)), 0);
    assert_int_equal(back[0] | back[1] | back[2], 0);
}

static void a_read_or_write_of_nothing_is_an_error_not_a_loop(void **state)
{
    (void)state;
    uint8_t data[100] = { 1 };
    assert_int_equal(open_files(), 0);
    assert_int_equal(disk_file_ops.write(&files, 0, 0, data, sizeof(data)), 0);
    answer_with(MEMORY_PWRITE, 0, MEMORY_NOTHING);
    assert_int_equal(disk_file_ops.write(&files, 0, 0, data, sizeof(data)), EIO);
    answer_with(MEMORY_PREAD, 0, MEMORY_NOTHING);
    assert_int_equal(disk_file_ops.read(&files, 0, 0, data, sizeof(data)), EIO);
}

/* The first write to a block that is only promised costs the file system a note of its own. */
static void space_is_written_once_when_it_is_reserved(void **state)
{
    (void)state;
    assert_int_equal(open_files(), 0);
    assert_int_equal(disk_file_ops.preallocate(&files, 0, 200 * KIBIBYTE), 0);
    assert_int_equal(memory_files.written, 200 * KIBIBYTE);
    assert_int_equal(disk_file_ops.preallocate(&files, 0, 300 * KIBIBYTE), 0);
    assert_int_equal(memory_files.written, 300 * KIBIBYTE);
    assert_int_equal(disk_file_ops.preallocate(&files, 0, 100 * KIBIBYTE), 0);
    assert_int_equal(memory_files.written, 300 * KIBIBYTE);
}

static void every_error_of_every_operation_is_told(void **state)
{
    (void)state;
    static const int numbers[] = { EIO, ENOSPC, EROFS, EDQUOT, ENODEV };
    uint8_t byte = 1;
    uint64_t size = 0;
    assert_int_equal(open_files(), 0);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int number = numbers[i];
        answer_with(MEMORY_PWRITE, 0, number);
        assert_int_equal(disk_file_ops.write(&files, 0, 0, &byte, 1), number);
        /* Of zeros that are to be written once, too. */
        assert_int_equal(disk_file_ops.preallocate(&files, 1, (i + 1) * KIBIBYTE), number);
        answer_with(MEMORY_PREAD, 0, number);
        assert_int_equal(disk_file_ops.read(&files, 0, 0, &byte, 1), number);
        answer_with(MEMORY_ALLOCATE, 0, number);
        assert_int_equal(disk_file_ops.preallocate(&files, 1, 1024 * KIBIBYTE), number);
        answer_with(MEMORY_FSTAT, 0, number);
        assert_int_equal(disk_file_ops.size(&files, 0, &size), number);
        assert_int_equal(disk_file_ops.preallocate(&files, 1, 1024 * KIBIBYTE), number);
        answer_with(MEMORY_FDATASYNC, 0, number);
        for (int slot = 0; slot < DISK_SLOTS; slot++)
            assert_int_equal(disk_file_ops.sync(&files, slot), number);
    }
    /* Who was interrupted does not know what is on the device. */
    answer_with(MEMORY_FDATASYNC, 0, EINTR);
    assert_int_equal(disk_file_ops.sync(&files, 0), EINTR);
}

static unsigned fail_at;
static int fail_with;
static enum memory_call failed;

static int tell_at(enum memory_call call, unsigned number)
{
    if (number != fail_at)
        return MEMORY_DONE;
    failed = call;
    return fail_with;
}

/* An error of these is nobody's loss. */
static bool is_harmless(enum memory_call call)
{
    return call == MEMORY_CLOSE || call == MEMORY_DROP_CACHE;
}

/* True if opening was over before the `fail_at`-th call. */
static bool opens_or_tells(void)
{
    memory_files_reset(folder);
    memory_files.answer = tell_at;
    failed = MEMORY_CALLS;
    int result = open_files();
    memory_files.answer = NULL;
    if (failed == MEMORY_CALLS || is_harmless(failed)) {
        assert_int_equal(result, 0);
        disk_file_close(&files);
    } else {
        assert_int_equal(result, fail_with);
        assert_non_null(strstr(error, folder));
        assert_non_null(strstr(error, strerror(fail_with)));
    }
    assert_int_equal(memory_files_open(), 0);
    assert_int_equal(open_files(), 0); /* the lock is given back */
    disk_file_close(&files);
    return failed == MEMORY_CALLS;
}

static void an_error_at_any_call_of_opening_is_told_and_nothing_is_held(void **state)
{
    (void)state;
    static const int numbers[] = { EIO, EROFS, ENOSPC, EACCES };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        fail_with = numbers[i];
        for (fail_at = 1; !opens_or_tells(); fail_at++)
            continue;
        assert_in_range(fail_at, 10, 30);
    }
}

static void a_second_opener_is_refused_and_takes_nothing_away(void **state)
{
    (void)state;
    struct disk_file second;
    assert_int_equal(open_files(), 0);
    assert_int_equal(disk_file_open(&second, &memory_platform, folder, error, sizeof(error)),
                     EWOULDBLOCK);
    assert_non_null(strstr(error, "/data/journal.lock: held by another process"));
    assert_int_equal(memory_files_open(), 4);
    disk_file_close(&files);
    assert_int_equal(open_files(), 0);
}

/* ---- the journal on them */

static struct journal_config config_here(void)
{
    struct journal_config config = rig_config(NULL);
    config.ops = &disk_file_ops;
    config.disk = &files;
    return config;
}

static enum journal_result open_journal(void)
{
    struct journal_config config = config_here();
    if (open_files() != 0)
        return JOURNAL_IO;
    return journal_open_or_begin_anew(&rig_journal, &config, &rig_recovered);
}

static void begin_script(uint64_t seed)
{
    random_seed = seed;
    rig_growth_bytes = 6000;
    rig_state = (struct rig_state){ 0 };
    rig_last = rig_batches = 0;
    rig_digest[0] = rig_digest_expected();
    rig_term[0] = 0;
}

/* Any batches, until the disk refuses; the last one that was acknowledged. */
static uint64_t run_script(void)
{
    uint64_t acknowledged = rig_batches;
    while (rig_batches < SCRIPT_BATCHES) {
        for (uint64_t i = random_below(4) ? 1 : 3; i > 0; i--)
            rig_append_any();
        if (!journal_take(&rig_journal))
            continue;
        if (journal_flush(&rig_journal) != JOURNAL_OK)
            return acknowledged;
        acknowledged = journal_taken_seq(&rig_journal);
    }
    return acknowledged;
}

static void assert_has(uint64_t low, uint64_t high)
{
    uint64_t digest = rig_digest_recovered();
    for (uint64_t i = low; i <= high; i++) {
        if (digest == rig_digest[i])
            return;
    }
    fail_msg("off at call %u: none of the states %llu..%llu", memory_files.off_at,
             (unsigned long long)low, (unsigned long long)high);
}

static void a_sync_that_fails_is_not_asked_for_again(void **state)
{
    (void)state;
    begin_script(1);
    assert_int_equal(open_journal(), JOURNAL_OK);
    uint64_t acknowledged = run_script();
    assert_true(acknowledged >= SCRIPT_BATCHES);
    answer_with(MEMORY_FDATASYNC, 1, EIO); /* one; the next would succeed */
    rig_append_any();
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_IO);
    unsigned calls = memory_files.calls;
    rig_append_any();
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_IO);
    assert_int_equal(memory_files.calls, calls);
}

/* The kernel has it as clean after a failed sync, and would show it to a restart. */
static void after_a_failed_sync_a_restart_reads_what_the_device_has(void **state)
{
    (void)state;
    begin_script(2);
    assert_int_equal(open_journal(), JOURNAL_OK);
    uint64_t acknowledged = run_script();
    uint64_t expected = rig_digest[acknowledged];
    answer_with(MEMORY_FDATASYNC, 1, EIO);
    struct raft_persist persist;
    rig_begin(&persist);
    rig_entries(&persist, 1, 100);
    rig_append(&persist);
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_IO);
    memory_files_kill();
    assert_int_equal(open_journal(), JOURNAL_OK);
    assert_int_equal(rig_digest_recovered(), expected);
    memory_files_cut(1);
    assert_int_equal(open_journal(), JOURNAL_OK);
    assert_int_equal(rig_digest_recovered(), expected);
}

static unsigned cut_points;

/* The power goes at call `off`, and once more within the recovery. */
static bool cut_at(unsigned off, uint64_t seed)
{
    memory_files_reset(folder);
    begin_script(seed);
    memory_files.off_at = off;
    uint64_t acknowledged = 0;
    if (open_journal() == JOURNAL_OK)
        acknowledged = run_script();
    bool whole = memory_files.calls < off;
    uint64_t draw = off * 16 + seed;
    memory_files_cut(draw);
    memory_files.off_at = memory_files.calls + 1 + off % 40;
    (void)open_journal();
    memory_files_cut(draw + 7);
    enum journal_result result = open_journal();
    if (result != JOURNAL_OK || rig_recovered.set_aside)
        fail_msg("off at call %u: %s", off, result == JOURNAL_OK ? rig_recovered.damage : error);
    assert_has(acknowledged, rig_batches);
    cut_points++;
    return !whole;
}

static void after_a_power_cut_at_any_call_what_was_acknowledged_is_there(void **state)
{
    (void)state;
    cut_points = 0;
    for (uint64_t draw = 1; draw <= CUT_DRAWS; draw++) {
        for (unsigned off = 1; cut_at(off, draw); off++)
            continue;
    }
    printf("power cuts at %u calls of the operating system\n", cut_points);
    assert_true(cut_points > 300);
}

/* What was damaged: both slots' headers, so that all is lost. */
static void damage_all(void)
{
    uint8_t noise[2 * FORMAT_BLOCK_BYTES];
    memset(noise, 0x5A, sizeof(noise));
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        assert_int_equal(disk_file_ops.write(&files, slot, 0, noise, sizeof(noise)), 0);
        assert_int_equal(disk_file_ops.sync(&files, slot), 0);
    }
}

static void damaged_journal(void)
{
    memory_files_reset(folder);
    begin_script(3);
    assert_int_equal(open_journal(), JOURNAL_OK);
    (void)run_script();
    damage_all();
    memory_files_kill();
}

/* What was begun anew may have a first batch; true: it was acknowledged. */
static bool begin_anew(void)
{
    begin_script(4);
    rig_append_any();
    return journal_take(&rig_journal) && journal_flush(&rig_journal) == JOURNAL_OK;
}

/* It is set aside again at the next start, or was: what begins anew says that it recovers. */
static void a_power_cut_while_it_is_set_aside_leaves_an_issuer_that_recovers(void **state)
{
    (void)state;
    unsigned at = 0;
    unsigned last = UINT32_MAX;
    while (++at < last) {
        damaged_journal();
        memory_files.off_at = memory_files.calls + at;
        bool begun = open_journal() == JOURNAL_OK;
        bool acknowledged = begun && begin_anew();
        if (memory_files.calls < memory_files.off_at)
            last = at;
        memory_files_cut(at);
        assert_int_equal(open_journal(), JOURNAL_OK);
        if (acknowledged || (begun && rig_recovered.raft.standing != RAFT_RECOVERING))
            assert_int_equal(rig_digest_recovered(), rig_digest[1]);
        else
            assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    }
    assert_true(last > 50);
}

static void an_error_while_it_is_set_aside_is_told_and_no_journal_is_begun(void **state)
{
    (void)state;
    fail_with = EROFS;
    failed = MEMORY_OPENAT;
    unsigned tried = 0;
    for (; failed != MEMORY_CALLS; tried++) {
        damaged_journal();
        fail_at = memory_files.calls + tried + 1;
        failed = MEMORY_CALLS;
        memory_files.answer = tell_at;
        enum journal_result result = open_journal();
        bool harmless = failed == MEMORY_CALLS || is_harmless(failed);
        assert_int_equal(result, harmless ? JOURNAL_OK : JOURNAL_IO);
        if (!harmless)
            assert_non_null(strstr(error[0] ? error : rig_journal.error, strerror(EROFS)));
        error[0] = '\0';
    }
    assert_true(tried > 30);
}

static void assert_given_up(void)
{
    assert_true(rig_recovered.set_aside);
    assert_false(rig_recovered.kept);
    assert_int_equal(memory_platform.faccessat(AT_FDCWD, "/data/journal.0.damaged", F_OK), -1);
    assert_int_equal(memory_platform.faccessat(AT_FDCWD, "/data/journal.1.damaged", F_OK), -1);
    /* The folder, the lock and two slots: nothing of what was given up. */
    assert_int_equal(memory_files_open(), 4);
}

/* To go on matters more than to look back. */
static void without_room_for_both_the_damaged_one_is_given_up(void **state)
{
    (void)state;
    damaged_journal();
    answer_with(MEMORY_ALLOCATE, 1, ENOSPC);
    assert_int_equal(open_journal(), JOURNAL_OK);
    assert_given_up();
    damaged_journal();
    answer_with(MEMORY_ALLOCATE, 0, ENOSPC);
    assert_int_equal(open_journal(), JOURNAL_IO);
    assert_non_null(strstr(rig_journal.error, "cannot begin a new one: No space left on device"));
}

/* One slot has another name by then, the other one still has the damaged journal in it. */
static void without_room_for_another_name_both_slots_are_emptied(void **state)
{
    (void)state;
    damaged_journal();
    answer_with(MEMORY_RENAMEAT, 2, ENOSPC);
    assert_int_equal(open_journal(), JOURNAL_OK);
    assert_given_up();
    assert_int_equal(rig_recovered.raft.standing, RAFT_RECOVERING);
    assert_true(begin_anew());
    memory_files_cut(1);
    assert_int_equal(open_journal(), JOURNAL_OK);
    assert_int_equal(rig_digest_recovered(), rig_digest[1]);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        CLAIM(what_is_done_in_parts_or_interrupted_is_finished),
        CLAIM(a_read_or_write_of_nothing_is_an_error_not_a_loop),
        CLAIM(space_is_written_once_when_it_is_reserved),
        CLAIM(every_error_of_every_operation_is_told),
        CLAIM(an_error_at_any_call_of_opening_is_told_and_nothing_is_held),
        CLAIM(a_second_opener_is_refused_and_takes_nothing_away),
        CLAIM(a_sync_that_fails_is_not_asked_for_again),
        CLAIM(after_a_failed_sync_a_restart_reads_what_the_device_has),
        CLAIM(after_a_power_cut_at_any_call_what_was_acknowledged_is_there),
        CLAIM(a_power_cut_while_it_is_set_aside_leaves_an_issuer_that_recovers),
        CLAIM(an_error_while_it_is_set_aside_is_told_and_no_journal_is_begun),
        CLAIM(without_room_for_both_the_damaged_one_is_given_up),
        CLAIM(without_room_for_another_name_both_slots_are_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
