/*
 * What the journal costs a card: bytes, device blocks and syncs per entry of the log, compaction
 * included; and how long a full one takes to read back. Counts are asserted, times only printed.
 */
#include <time.h>
#include <unistd.h>

#include "lease/replica.h"
#include "store/disk_file.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/support/folder.h"
#include "lease/codec.h"

enum { RESOURCES = 16, GRANTS = 8192, DAYS_10_YEARS = 3652 };

static struct lease_table table;
static struct {
    uint64_t bytes, blocks, syncs, worst_blocks, worst_syncs;
} steady, amortised;

static void name_numbered(struct hf_name *name, const char *stem, unsigned number)
{
    char text[HF_NAME_MAX + 1];
    snprintf(text, sizeof(text), "%s-%u", stem, number);
    assert_true(name_from_string(name, text));
}

/* A grant that replaces the one before, as the leader proposes it. */
static struct lease_command grant_command(unsigned number)
{
    struct lease_command command = { .kind = LEASE_COMMAND_GRANT,
                                     .ttl_us = 1000000,
                                     .fence_us = 20000,
                                     .wall_us = 1700000000000000 + number };
    name_numbered(&command.resource, "pump", number % RESOURCES);
    name_numbered(&command.holder, "board", number % 7);
    int record = lease_table_find(&table, &command.resource);
    command.token = record < 0 ? 0 : table.record[record].token;
    command.who = command.holder;
    snprintf(command.address, sizeof(command.address), "10.0.0.%u:7400", number % 7);
    snprintf(command.text, sizeof(command.text), "the lease was free");
    return command;
}

static const struct raft_entry *ring_at(const void *log, uint64_t index)
{
    (void)log;
    return rig_entry[index % RIG_INDEX_MAX].index == index ? &rig_entry[index % RIG_INDEX_MAX] :
                                                             NULL;
}

static const struct journal_log ring = { ring_at, NULL };

static void append_grant(unsigned number)
{
    struct lease_command command = grant_command(number);
    struct raft_entry *entry = &rig_entry[++rig_last % RIG_INDEX_MAX];
    *entry = (struct raft_entry){ .index = rig_last, .term = 1, .kind = RAFT_ENTRY_COMMAND };
    entry->length = (uint16_t)lease_command_encode(&command, entry->data, sizeof(entry->data));
    assert_true(entry->length > 0);
    assert_true(lease_table_apply(&table, rig_last, &command).done);
    struct raft_persist persist = {
        .wanted = true, .seq = ++rig_batches, .first_index = rig_last, .last_index = rig_last
    };
    assert_int_equal(journal_append(&rig_journal, &persist, &ring), JOURNAL_OK);
}

static void append_snapshot(void)
{
    size_t length = lease_table_encode(&table, rig_snapshot, sizeof(rig_snapshot));
    assert_true(length > 0);
    struct raft_persist persist = { .wanted = true,
                                    .seq = ++rig_batches,
                                    .snapshot = true,
                                    .snapshot_index = rig_last,
                                    .snapshot_term = 1,
                                    .keep_log = true,
                                    .first_index = 1,
                                    .members.count = 1,
                                    .snapshot_bytes = { rig_snapshot, length } };
    assert_true(name_from_string(&persist.members.member[0].id, "board-a"));
    persist.members.member[0].voter = true;
    assert_int_equal(journal_append(&rig_journal, &persist, &ring), JOURNAL_OK);
}

/* Distinct device blocks that a flush wrote between its syncs, and what else it cost. */
static void count_flush(bool grant)
{
    static uint64_t seen[RIG_SLOT_BYTES / FORMAT_BLOCK_BYTES * DISK_SLOTS];
    uint64_t bytes = 0;
    uint64_t blocks = 0;
    uint64_t syncs = 0;
    size_t marked = 0;
    for (int i = 0; i < rig_disk.operations; i++) {
        const struct rig_operation *operation = &rig_disk.operation[i];
        syncs += operation->kind == RIG_SYNC;
        bytes += operation->length;
        if (operation->kind != RIG_WRITE) {
            marked = 0;
            continue;
        }
        uint64_t last = (operation->offset + operation->length - 1) / FORMAT_BLOCK_BYTES;
        for (uint64_t at = operation->offset / FORMAT_BLOCK_BYTES; at <= last; at++) {
            uint64_t block = at * DISK_SLOTS + (uint64_t)operation->slot;
            size_t j = 0;
            while (j < marked && seen[j] != block)
                j++;
            if (j == marked) {
                seen[marked++] = block;
                blocks++;
            }
        }
    }
    rig_forget_operations(&rig_disk);
    amortised.bytes += bytes;
    amortised.blocks += blocks;
    amortised.syncs += syncs;
    if (!grant)
        return;
    steady.bytes += bytes;
    steady.blocks += blocks;
    steady.syncs += syncs;
    steady.worst_blocks = blocks > steady.worst_blocks ? blocks : steady.worst_blocks;
    steady.worst_syncs = syncs > steady.worst_syncs ? syncs : steady.worst_syncs;
}

static void flush_and_count(bool grant)
{
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
    count_flush(grant);
}

/* The number in front of these words of README.md, with its thousands' commas. */
static double promised(const char *words)
{
    static char text[65536];
    FILE *file = fopen("README.md", "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *at = strstr(text, words);
    assert_non_null(at);
    double number = 0;
    double place = 1;
    for (at--; (*at >= '0' && *at <= '9') || *at == ','; at--) {
        if (*at == ',')
            continue;
        number += place * (*at - '0');
        place *= 10;
    }
    return number;
}

static void a_grant_costs_two_blocks_and_one_sync(void **state)
{
    (void)state;
    rig_growth_bytes = JOURNAL_GROWTH_BYTES;
    rig_start();
    lease_table_init(&table);
    append_grant(0);
    flush_and_count(false);
    memset(&amortised, 0, sizeof(amortised));
    for (unsigned grant = 1; grant <= GRANTS; grant++) {
        append_grant(grant);
        flush_and_count(true);
        if (grant % RAFT_COMPACT_AT == 0) {
            append_snapshot();
            flush_and_count(false);
        }
    }
    assert_int_equal(steady.worst_blocks, 2);
    assert_int_equal(steady.worst_syncs, 1);
    assert_true(amortised.blocks * 10 < GRANTS * 22ul); /* compaction adds less than a tenth */
    assert_true(amortised.syncs * 50 < GRANTS * 51ul);
    double written = (double)amortised.blocks * FORMAT_BLOCK_BYTES / GRANTS;
    printf("figure: a grant at an issuer: %.1f bytes in at most %llu device blocks, %llu sync\n",
           (double)steady.bytes / GRANTS, (unsigned long long)steady.worst_blocks,
           (unsigned long long)steady.worst_syncs);
    printf("figure: with compaction every %d entries of %d resources: %.1f bytes, %.3f device "
           "blocks (%.0f bytes), %.3f syncs a grant\n",
           RAFT_COMPACT_AT, RESOURCES, (double)amortised.bytes / GRANTS,
           (double)amortised.blocks / GRANTS, written, (double)amortised.syncs / GRANTS);
    double a_day = 10e12 / DAYS_10_YEARS / written;
    double readme = promised(" grants a day for ten years on a 10 TB");
    printf("figure: 10 TB of endurance over ten years: %.0f grants a day, the README says %.0f\n",
           a_day, readme);
    assert_true(readme <= a_day && readme >= 0.95 * a_day);
    uint64_t footprint = rig_disk.size[0] + rig_disk.size[1];
    printf("figure: journal on the disk after %d grants: %llu bytes (bar 2 MiB)\n", GRANTS,
           (unsigned long long)footprint);
    assert_true(footprint <= 2 * 1024 * 1024);
}

static void nothing_is_written_while_nothing_happens(void **state)
{
    (void)state;
    rig_growth_bytes = 6000;
    rig_run(20);
    int operations = rig_disk.operations;
    for (int i = 0; i < 100; i++)
        assert_false(journal_take(&rig_journal));
    assert_int_equal(rig_disk.operations, operations);
}

/* ---- a full journal: the largest image, then as many frames as a slot takes */

static void fill(void)
{
    struct raft_persist persist;
    rig_growth_bytes = JOURNAL_GROWTH_BYTES;
    rig_start();
    rig_begin(&persist);
    rig_hard_state(&persist);
    rig_take_snapshot(&persist, 7, false);
    memset(rig_snapshot, 0x5A, sizeof(rig_snapshot));
    persist.snapshot_bytes.length = rig_state.snapshot_length = REPLICA_SNAPSHOT_MAX;
    rig_state.snapshot_crc = crc32c(0, rig_snapshot, REPLICA_SNAPSHOT_MAX);
    rig_entries(&persist, RAFT_LOG_MAX, RAFT_ENTRY_DATA_MAX);
    rig_append(&persist);
    rig_flush();
    assert_int_equal(rig_journal.generation, 1);
}

/* One batch more; false if that switched the slot. The log is full: the last entry is replaced. */
static bool replace_last_entry(void)
{
    struct raft_persist persist = { .wanted = true,
                                    .seq = rig_journal.pending.last_seq + 1,
                                    .truncate_from = rig_last };
    rig_last--;
    rig_entries(&persist, 1, RAFT_ENTRY_DATA_MAX);
    assert_int_equal(journal_append(&rig_journal, &persist, &rig_log), JOURNAL_OK);
    if (rig_journal.pending.image)
        return false;
    assert_true(journal_take(&rig_journal));
    assert_int_equal(journal_flush(&rig_journal), JOURNAL_OK);
    return true;
}

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void copy_to(struct disk_file *files)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        assert_int_equal(disk_file_ops.preallocate(files, slot, rig_disk.size[slot]), 0);
        assert_int_equal(
            disk_file_ops.write(files, slot, 0, rig_disk.bytes[slot], (size_t)rig_disk.size[slot]),
            0);
        assert_int_equal(disk_file_ops.sync(files, slot), 0);
    }
}

static void a_full_journal_reads_back(void **state)
{
    (void)state;
    char folder[] = "/tmp/holdfast-figures-XXXXXX";
    char error[256];
    struct disk_file files;
    uint64_t frames = 0;
    fill();
    while (replace_last_entry()) {
        frames = rig_journal.frame_seq;
        rig_forget_operations(&rig_disk);
    }
    uint64_t end = rig_journal.end;
    assert_true(end > REPLICA_SNAPSHOT_MAX + JOURNAL_GROWTH_BYTES);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(disk_file_open(&files, &disk_platform_system, folder, error, sizeof(error)),
                     0);
    copy_to(&files);
    disk_file_close(&files);
    double begin = milliseconds();
    assert_int_equal(disk_file_open(&files, &disk_platform_system, folder, error, sizeof(error)),
                     0);
    struct journal_config config = rig_config(&rig_disk);
    config.ops = &disk_file_ops;
    config.disk = &files;
    assert_int_equal(journal_open(&rig_journal, &config, &rig_recovered), JOURNAL_OK);
    double took = milliseconds() - begin;
    disk_file_close(&files);
    folder_remove(folder);
    assert_int_equal(rig_recovered.raft.entry_count, RAFT_LOG_MAX);
    assert_int_equal(rig_recovered.raft.snapshot.length, REPLICA_SNAPSHOT_MAX);
    assert_int_equal(rig_recovered.repairs, 0);
    printf("figure: replay of a full journal: %.1f ms for %llu bytes in %llu frames, from files "
           "(bar 50 ms)\n",
           took, (unsigned long long)end, (unsigned long long)frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_costs_two_blocks_and_one_sync),
        cmocka_unit_test(nothing_is_written_while_nothing_happens),
        cmocka_unit_test(a_full_journal_reads_back),
    };
    rig_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
