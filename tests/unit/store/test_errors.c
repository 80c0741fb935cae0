/*
 * A disk that refuses, and files that are not ours: each is one clear line, nothing is reported
 * durable after it, and nothing is tried again as if it had worked.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk_file.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/support/folder.h"

enum { OTHER_USER = 65534, MEBIBYTE = 1024 * 1024 };

static char folder[64];
static struct disk_file files;
static char error[256];

static int setup(void **state)
{
    (void)state;
    rig_growth_bytes = 6000;
    snprintf(folder, sizeof(folder), "/tmp/holdfast-errors-XXXXXX");
    error[0] = '\0';
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    disk_file_close(&files);
    folder_remove(folder);
    return 0;
}

static void assert_says(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' does not say '%s'", text, words);
    assert_null(strchr(text, '\n'));
}

/* ---- the device refuses */

static void append_one(void)
{
    struct raft_persist persist;
    rig_begin(&persist);
    rig_entries(&persist, 1, 100);
    rig_append(&persist);
}

/* The flush fails with these words, and every later one without touching the disk. */
static void assert_fails_for_good(const char *words)
{
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_IO);
    assert_says(rig_journal.error, words);
    rig_disk.faults = (struct rig_faults){ .writes_left = -1 };
    int operations = rig_disk.operations;
    append_one();
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_IO);
    assert_says(rig_journal.error, words);
    assert_int_equal(rig_disk.operations, operations);
}

static void a_write_that_fails_is_named_and_ends_the_journal(void **state)
{
    (void)state;
    static const int numbers[] = { EIO, ENOSPC, EROFS, EDQUOT };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char words[128];
        rig_run(9);
        append_one();
        rig_disk.faults.write = numbers[i];
        snprintf(words, sizeof(words), "journal.%d: cannot write: %s", rig_journal.slot,
                 strerror(numbers[i]));
        assert_fails_for_good(words);
    }
}

static void a_sync_that_fails_once_is_never_taken_for_done(void **state)
{
    (void)state;
    rig_run(9);
    append_one();
    rig_disk.faults.sync = EIO;
    assert_fails_for_good("cannot sync: Input/output error");
    /* What was acknowledged before is there for the next start. */
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
    assert_true(rig_recovered.raft.term >= rig_term[9]);
}

static void a_full_device_is_named_before_anything_is_written_there(void **state)
{
    (void)state;
    struct raft_persist persist;
    rig_start();
    rig_begin(&persist);
    rig_hard_state(&persist);
    rig_append(&persist);
    rig_disk.faults.preallocate = ENOSPC;
    assert_fails_for_good("journal.0: cannot reserve space: No space left on device");
    assert_int_equal(rig_disk.writes, 0);
}

static void a_device_that_cannot_be_read_is_no_corruption_and_no_fresh_disk(void **state)
{
    (void)state;
    rig_run(9);
    rig_disk.faults.read = EIO;
    assert_int_equal(rig_open(&rig_disk), JOURNAL_IO);
    assert_says(rig_journal.error, "journal.0: cannot read: Input/output error");
    rig_disk.faults = (struct rig_faults){ .size = EIO, .writes_left = -1 };
    assert_int_equal(rig_open(&rig_disk), JOURNAL_IO);
    assert_says(rig_journal.error, "journal.0: cannot read its size: Input/output error");
    rig_disk.faults = (struct rig_faults){ .writes_left = -1 };
    assert_int_equal(rig_open(&rig_disk), JOURNAL_OK);
}

static void a_repair_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    rig_run(9);
    static const uint8_t zeros[FORMAT_HEADER_BYTES];
    rig_poke(&rig_disk, rig_journal.slot, FORMAT_HEADER_COPY_AT, zeros, sizeof(zeros));
    rig_disk.faults.write = EROFS;
    assert_int_equal(rig_open(&rig_disk), JOURNAL_IO);
    assert_says(rig_journal.error, "cannot write: Read-only file system");
}

/* ---- a journal that is not ours */

static void reseal_header(int slot, uint64_t at)
{
    uint8_t *header = rig_disk.bytes[slot] + at;
    format_put_u32(header + FORMAT_HEADER_BYTES - 4, crc32c(0, header, FORMAT_HEADER_BYTES - 4));
}

/* The rest of the journal is good. */
static void assert_format_is_refused(int version)
{
    rig_run(9);
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        for (uint64_t at = 0; at <= FORMAT_HEADER_COPY_AT; at += FORMAT_HEADER_COPY_AT) {
            format_put_u32(rig_disk.bytes[slot] + at + 8, (uint32_t)version);
            reseal_header(slot, at);
        }
    }
    int operations = rig_disk.operations;
    char words[80];
    snprintf(words, sizeof(words), "format version %d, this program reads %d to %d", version,
             JOURNAL_VERSION_OLDEST, JOURNAL_VERSION);
    assert_int_equal(rig_open(&rig_disk), JOURNAL_FOREIGN);
    assert_says(rig_journal.error, words);
    assert_int_equal(rig_disk.operations, operations);
}

static void another_format_is_refused_and_left_alone(void **state)
{
    (void)state;
    assert_format_is_refused(JOURNAL_VERSION + 1);
    assert_format_is_refused(JOURNAL_VERSION_OLDEST - 1);
}

static void another_cluster_or_node_is_refused_and_left_alone(void **state)
{
    (void)state;
    rig_run(9);
    int operations = rig_disk.operations;
    struct journal_config config = rig_config(&rig_disk);
    snprintf(config.cluster, sizeof(config.cluster), "line-4");
    assert_int_equal(journal_open(&rig_journal, &config, &rig_recovered), JOURNAL_FOREIGN);
    assert_says(rig_journal.error, "belongs to cluster 'line-3', this is 'line-4'");
    /* Names that begin alike are two. */
    snprintf(config.cluster, sizeof(config.cluster), "line-33");
    assert_int_equal(journal_open(&rig_journal, &config, &rig_recovered), JOURNAL_FOREIGN);
    snprintf(config.cluster, sizeof(config.cluster), "line");
    assert_int_equal(journal_open(&rig_journal, &config, &rig_recovered), JOURNAL_FOREIGN);
    config = rig_config(&rig_disk);
    assert_true(name_from_string(&config.node, "board-b"));
    assert_int_equal(journal_open(&rig_journal, &config, &rig_recovered), JOURNAL_FOREIGN);
    assert_says(rig_journal.error, "belongs to node 'board-a', this is 'board-b'");
    assert_int_equal(rig_disk.operations, operations);
}

/* ---- real files */

static int open_files(const char *directory)
{
    return disk_file_open(&files, &disk_platform_system, directory, error, sizeof(error));
}

static void a_second_opener_is_told_of_the_lock(void **state)
{
    (void)state;
    struct disk_file second;
    assert_int_equal(open_files(folder), 0);
    assert_int_equal(disk_file_open(&second, &disk_platform_system, folder, error, sizeof(error)),
                     EWOULDBLOCK);
    assert_says(error, "/journal.lock: held by another process, one daemon may use it");
    assert_int_equal(second.lock, -1);
}

static void a_directory_that_others_may_write_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(open_files(folder), EPERM);
    assert_says(error, "mode 0777, must not be writable by others");
    assert_says(error, folder);
    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(open_files(folder), 0);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "journal.0", "journal.1", "journal.lock" };
    char path[128];
    char words[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(open_files(folder), 0);
        disk_file_close(&files);
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_int_equal(chmod(path, 0666), 0);
        assert_int_equal(open_files(folder), EPERM);
        snprintf(words, sizeof(words), "/%s: mode 0666, must not be writable by others", names[i]);
        assert_says(error, words);
        assert_int_equal(chmod(path, 0600), 0);
    }
}

static void a_pipe_in_place_of_a_file_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "journal.0", "journal.1", "journal.lock" };
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(open_files(folder), EPERM);
        assert_says(error, "must be a regular file");
        assert_int_equal(unlink(path), 0);
    }
}

static void a_directory_of_another_owner_is_refused(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        assert_int_equal(chown(folder, OTHER_USER, (gid_t)-1), 0);
        assert_int_equal(open_files(folder), EPERM);
        assert_says(error, "owned by user 65534, must be owned by user 0");
        /* Nor does root's serve anybody else. */
        assert_int_equal(chown(folder, 0, (gid_t)-1), 0);
        assert_int_equal(chmod(folder, 0755), 0);
        assert_int_equal(seteuid(OTHER_USER), 0);
        int result = open_files(folder);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(result, EPERM);
        assert_says(error, "owned by user 0, must be owned by user 65534");
    } else {
        struct stat usr;
        char owned[64];
        assert_int_equal(stat("/usr", &usr), 0);
        if (usr.st_uid == geteuid())
            skip(); /* in a user namespace that root made */
        snprintf(owned, sizeof(owned), "owned by user %u, must be owned by user", usr.st_uid);
        assert_int_equal(open_files("/usr"), EPERM);
        assert_says(error, owned);
    }
}

static void a_link_in_place_of_a_file_is_not_followed(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/journal.0", folder);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(open_files(folder), ELOOP);
    assert_says(error, "/journal.0: cannot open: Too many levels of symbolic links");
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The kernel writes the part that fits, then refuses the rest. */
static void a_short_write_is_finished_or_refused_never_taken_for_whole(void **state)
{
    (void)state;
    static uint8_t data[8192];
    assert_int_equal(open_files(folder), 0);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    limit_file_size(4096);
    int written = disk_file_ops.write(&files, 0, 0, data, sizeof(data));
    int reserved = disk_file_ops.preallocate(&files, 1, MEBIBYTE);
    limit_file_size(RLIM_INFINITY);
    signal(SIGXFSZ, before);
    struct stat status;
    assert_int_equal(fstat(files.slot[0], &status), 0);
    assert_int_equal(status.st_size, 4096); /* it was short */
    assert_int_equal(written, EFBIG);
    assert_int_equal(reserved, EFBIG);
    assert_int_equal(disk_file_ops.write(&files, 0, 0, data, sizeof(data)), 0);
}

/* Blocks that are only reserved would cost the file system a note of its own with each sync. */
static void reserved_space_is_written_not_only_promised(void **state)
{
    (void)state;
    assert_int_equal(open_files(folder), 0);
    assert_int_equal(disk_file_ops.preallocate(&files, 0, MEBIBYTE), 0);
    struct stat status;
    assert_int_equal(fstat(files.slot[0], &status), 0);
    assert_int_equal(status.st_size, MEBIBYTE);
    assert_true((uint64_t)status.st_blocks * 512 >= MEBIBYTE);
    uint8_t byte = 7;
    assert_int_equal(disk_file_ops.write(&files, 0, 100, &byte, 1), 0);
    /* What is there already stays. */
    assert_int_equal(disk_file_ops.preallocate(&files, 0, MEBIBYTE / 2), 0);
    assert_int_equal(disk_file_ops.preallocate(&files, 0, 2 * MEBIBYTE), 0);
    uint8_t back = 0;
    assert_int_equal(disk_file_ops.read(&files, 0, 100, &back, 1), 0);
    assert_int_equal(back, 7);
}

static void reading_past_the_end_is_an_error(void **state)
{
    (void)state;
    uint8_t byte;
    assert_int_equal(open_files(folder), 0);
    assert_int_equal(disk_file_ops.read(&files, 0, 0, &byte, 1), EIO);
}

int main(void)
{
#define ON_FILES(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_fails_is_named_and_ends_the_journal),
        cmocka_unit_test(a_sync_that_fails_once_is_never_taken_for_done),
        cmocka_unit_test(a_full_device_is_named_before_anything_is_written_there),
        cmocka_unit_test(a_device_that_cannot_be_read_is_no_corruption_and_no_fresh_disk),
        cmocka_unit_test(a_repair_that_cannot_be_written_is_named),
        cmocka_unit_test(another_format_is_refused_and_left_alone),
        cmocka_unit_test(another_cluster_or_node_is_refused_and_left_alone),
        ON_FILES(a_second_opener_is_told_of_the_lock),
        ON_FILES(a_directory_that_others_may_write_is_refused),
        ON_FILES(a_file_that_others_may_write_is_refused),
        ON_FILES(a_directory_of_another_owner_is_refused),
        ON_FILES(a_link_in_place_of_a_file_is_not_followed),
        ON_FILES(a_pipe_in_place_of_a_file_is_refused),
        ON_FILES(a_short_write_is_finished_or_refused_never_taken_for_whole),
        ON_FILES(reserved_space_is_written_not_only_promised),
        ON_FILES(reading_past_the_end_is_an_error),
    };
    rig_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
