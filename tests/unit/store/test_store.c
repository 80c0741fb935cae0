/* The store: what is reported durable, when, and on real files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk_file.h"
#include "store/store.h"
#include "tests/unit/support/unit.h"

enum { CAPACITY = 65536, DEADLINE_MS = 10000, SEEN_MAX = 64 };

static struct raft raft;
static uv_loop_t loop;
static uint64_t seen[SEEN_MAX];
static int seen_count;
static int failures;
static char failure[256];
static uint64_t next_seq;
static char directory[64];

static void on_persisted(void *context, uint64_t seq)
{
    (void)context;
    assert_true(seen_count < SEEN_MAX);
    seen[seen_count++] = seq;
}

static void on_failed(void *context, const char *text)
{
    (void)context;
    failures++;
    snprintf(failure, sizeof(failure), "%s", text);
}

static struct store_config config_here(void)
{
    struct store_config config = { .loop = &loop,
                                   .data_dir = directory,
                                   .cluster = "line-3",
                                   .snapshot_capacity = CAPACITY,
                                   .on_persisted = on_persisted,
                                   .on_failed = on_failed };
    assert_true(name_from_string(&config.node, "board-a"));
    return config;
}

static int setup(void **state)
{
    (void)state;
    memset(&raft, 0, sizeof(raft));
    raft.first_index = 1;
    seen_count = failures = 0;
    next_seq = 0;
    snprintf(directory, sizeof(directory), "/tmp/holdfast-store-XXXXXX");
    assert_non_null(mkdtemp(directory));
    return uv_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = { "journal.0", "journal.1", "journal.lock" };
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
    (void)uv_loop_close(&loop); /* close_here() saw that nothing is left, unless the test failed */
    return 0;
}

static void append_entry(struct store *store)
{
    struct raft_entry *entry = &raft.ring[++raft.last_index % RAFT_LOG_MAX];
    *entry = (struct raft_entry){ .index = raft.last_index,
                                  .term = 1,
                                  .length = 3,
                                  .kind = RAFT_ENTRY_COMMAND,
                                  .data = { 'a', 'b', 'c' } };
    struct raft_persist persist = { .wanted = true,
                                    .seq = ++next_seq,
                                    .hard_state = true,
                                    .term = 1,
                                    .first_index = raft.last_index,
                                    .last_index = raft.last_index };
    store_append(store, &persist, &raft);
}

static void on_deadline(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop until `count` completions and `failed` failures were seen. */
static void run_until(int count, int failed)
{
    uv_timer_t timer;
    bool late = false;
    timer.data = &late;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_deadline, DEADLINE_MS, 0);
    while ((seen_count < count || failures < failed) && !late)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_false(late);
}

static struct store *open_here(struct journal_recovered *recovered)
{
    char error[256];
    struct store *store;
    struct store_config config = config_here();
    if (store_open(&store, &config, recovered, error, sizeof(error)) != JOURNAL_OK)
        fail_msg("%s", error);
    return store;
}

static void close_here(struct store *store)
{
    store_close(store);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static void what_was_persisted_is_there_after_reopening(void **state)
{
    (void)state;
    struct journal_recovered recovered;
    struct store *store = open_here(&recovered);
    assert_true(recovered.fresh);
    store_release_recovered(store);
    for (int i = 1; i <= 5; i++) {
        append_entry(store);
        run_until(i, 0);
        assert_int_equal(seen[i - 1], i);
    }
    close_here(store);
    store = open_here(&recovered);
    assert_false(recovered.fresh);
    assert_int_equal(recovered.raft.term, 1);
    assert_int_equal(recovered.raft.entry_count, 5);
    assert_int_equal(recovered.raft.entries[4].index, 5);
    assert_memory_equal(recovered.raft.entries[4].data, "abc", 3);
    close_here(store);
}

static void counters_tell_what_it_cost(void **state)
{
    (void)state;
    struct journal_recovered recovered;
    struct store *store = open_here(&recovered);
    const struct store_counters *counters = store_get_counters(store);
    assert_int_equal(counters->bytes_written, 0);
    append_entry(store);
    run_until(1, 0);
    uint64_t bytes = counters->bytes_written;
    uint64_t syncs = counters->syncs;
    assert_true(bytes > 0 && syncs == 5); /* the first frame, and the headers of both slots */
    append_entry(store);
    run_until(2, 0);
    assert_int_equal(counters->syncs, syncs + 1);
    assert_true(counters->bytes_written > bytes && counters->bytes_written < bytes + 400);
    assert_true(counters->worst_us >= counters->last_us && counters->last_us > 0);
    close_here(store);
}

static void files_are_private_and_preallocated(void **state)
{
    (void)state;
    struct journal_recovered recovered;
    struct store *store = open_here(&recovered);
    append_entry(store);
    run_until(1, 0);
    char path[128];
    struct stat status;
    snprintf(path, sizeof(path), "%s/journal.0", directory);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(status.st_size >= 1024 * 1024);
    close_here(store);
}

static void a_second_daemon_is_refused(void **state)
{
    (void)state;
    char error[256];
    struct journal_recovered recovered;
    struct store *store = open_here(&recovered);
    struct store *second;
    struct store_config config = config_here();
    assert_int_equal(store_open(&second, &config, &recovered, error, sizeof(error)), JOURNAL_IO);
    assert_null(second);
    assert_non_null(strstr(error, "journal.lock: held by another process"));
    close_here(store);
    close_here(open_here(&recovered));
}

static void a_missing_directory_is_named(void **state)
{
    (void)state;
    char error[256];
    struct journal_recovered recovered;
    struct store *store;
    struct store_config config = config_here();
    config.data_dir = "/nonexistent/holdfast";
    assert_int_equal(store_open(&store, &config, &recovered, error, sizeof(error)), JOURNAL_IO);
    assert_non_null(strstr(error, "/nonexistent/holdfast"));
    assert_non_null(strstr(error, "No such file or directory"));
}

static void a_journal_of_another_node_or_cluster_is_refused(void **state)
{
    (void)state;
    char error[256];
    struct journal_recovered recovered;
    struct store *store = open_here(&recovered);
    append_entry(store);
    run_until(1, 0);
    close_here(store);
    struct store_config config = config_here();
    assert_true(name_from_string(&config.node, "board-b"));
    assert_int_equal(store_open(&store, &config, &recovered, error, sizeof(error)),
                     JOURNAL_FOREIGN);
    assert_non_null(strstr(error, "belongs to node 'board-a', this is 'board-b'"));
    config = config_here();
    config.cluster = "line-4";
    assert_int_equal(store_open(&store, &config, &recovered, error, sizeof(error)),
                     JOURNAL_FOREIGN);
    assert_non_null(strstr(error, "belongs to cluster 'line-3', this is 'line-4'"));
}

/* ---- real files underneath, with a gate and a fault before the sync */

static struct disk_file files;
static uv_mutex_t gate;
static uv_cond_t gate_moved;
static bool gate_shut;
static bool sync_waits;
static int sync_error;

static int gated_sync(void *disk, int slot)
{
    uv_mutex_lock(&gate);
    sync_waits = true;
    uv_cond_broadcast(&gate_moved);
    while (gate_shut)
        uv_cond_wait(&gate_moved, &gate);
    sync_waits = false;
    int error = sync_error;
    uv_mutex_unlock(&gate);
    return error ? error : disk_file_ops.sync(disk, slot);
}

static struct disk_ops gated_ops;

static struct store *open_gated(void)
{
    char error[256];
    struct journal_recovered recovered;
    struct store *store;
    struct store_config config = config_here();
    gated_ops = disk_file_ops;
    gated_ops.sync = gated_sync;
    gate_shut = sync_waits = false;
    sync_error = 0;
    uv_mutex_init(&gate);
    uv_cond_init(&gate_moved);
    assert_int_equal(disk_file_open(&files, &disk_platform_system, directory, error, sizeof(error)),
                     0);
    config.ops = &gated_ops;
    config.disk = &files;
    assert_int_equal(store_open(&store, &config, &recovered, error, sizeof(error)), JOURNAL_OK);
    append_entry(store);
    run_until(1, 0);
    return store;
}

static void set_gate(bool shut)
{
    uv_mutex_lock(&gate);
    gate_shut = shut;
    uv_cond_broadcast(&gate_moved);
    uv_mutex_unlock(&gate);
}

static void wait_for_sync_to_wait(void)
{
    uv_mutex_lock(&gate);
    while (!sync_waits)
        uv_cond_wait(&gate_moved, &gate);
    uv_mutex_unlock(&gate);
}

static void wait_for_sync_to_end(const struct store *store)
{
    for (int tries = 0; tries < DEADLINE_MS && store_waiting_us(store) > 0; tries++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(store_waiting_us(store), 0);
}

static void close_gated(struct store *store)
{
    close_here(store);
    disk_file_close(&files);
    uv_cond_destroy(&gate_moved);
    uv_mutex_destroy(&gate);
}

static void batches_during_a_write_are_merged_and_complete_in_order(void **state)
{
    (void)state;
    struct store *store = open_gated();
    uint64_t syncs = store_get_counters(store)->syncs;
    set_gate(true);
    append_entry(store);
    wait_for_sync_to_wait();
    for (int i = 0; i < 4; i++)
        append_entry(store);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(seen_count, 1);
    set_gate(false);
    run_until(3, 0);
    assert_int_equal(seen[1], 2);
    assert_int_equal(seen[2], 6);
    assert_int_equal(store_get_counters(store)->syncs, syncs + 2);
    close_gated(store);
}

static void a_failed_sync_is_told_once_and_nothing_is_durable_after_it(void **state)
{
    (void)state;
    struct store *store = open_gated();
    set_gate(true);
    append_entry(store);
    wait_for_sync_to_wait();
    append_entry(store);
    sync_error = EIO;
    set_gate(false);
    run_until(1, 1);
    sync_error = 0;
    assert_non_null(strstr(failure, "journal.0: cannot sync: Input/output error"));
    append_entry(store);
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(failures, 1);
    assert_int_equal(seen_count, 1);
    close_gated(store);
}

static void how_long_a_write_takes_is_told_while_it_does_and_after_it(void **state)
{
    (void)state;
    enum { WRITE_US = 60000, NO_WRITE_US = 60 * 1000 * 1000 };
    struct store *store = open_gated();
    const struct store_counters *counters = store_get_counters(store);
    uint64_t first_us = counters->worst_us;
    assert_int_equal(store_waiting_us(store), 0);
    set_gate(true);
    append_entry(store);
    wait_for_sync_to_wait();
    usleep(WRITE_US);
    assert_in_range(store_waiting_us(store), WRITE_US, NO_WRITE_US);
    set_gate(false);
    run_until(2, 0);
    assert_int_equal(store_waiting_us(store), 0);
    assert_in_range(counters->last_us, WRITE_US, NO_WRITE_US);
    assert_int_equal(counters->worst_us,
                     first_us > counters->last_us ? first_us : counters->last_us);
    close_gated(store);
}

static void append_too_much(struct store *store)
{
    static const uint8_t snapshot[CAPACITY + 1];
    struct raft_persist persist = { .wanted = true,
                                    .seq = ++next_seq,
                                    .snapshot = true,
                                    .snapshot_index = 1,
                                    .snapshot_term = 1,
                                    .first_index = 1,
                                    .snapshot_bytes = { snapshot, sizeof(snapshot) } };
    store_append(store, &persist, &raft);
}

/* The loop is woken for the batch that can't be had, while the one before it is not durable yet. */
static void what_is_under_way_is_not_durable_because_something_else_is_told(void **state)
{
    (void)state;
    struct store *store = open_gated();
    set_gate(true);
    append_entry(store);
    wait_for_sync_to_wait();
    append_too_much(store);
    run_until(1, 1);
    assert_int_equal(seen_count, 1);
    set_gate(false);
    wait_for_sync_to_end(store);
    assert_int_equal(failures, 1);
    close_gated(store);
}

static void closing_during_a_write_reports_nothing(void **state)
{
    (void)state;
    struct store *store = open_gated();
    append_entry(store);
    append_entry(store);
    close_gated(store);
    assert_int_equal(seen_count, 1);
    assert_int_equal(failures, 0);
}

static void a_snapshot_past_the_capacity_fails_the_store(void **state)
{
    (void)state;
    struct journal_recovered recovered;
    struct store *store = open_here(&recovered);
    append_too_much(store);
    assert_int_equal(failures, 0);
    run_until(0, 1);
    assert_non_null(strstr(failure, "larger than the limits"));
    close_here(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_persisted_is_there_after_reopening),
        TEST(counters_tell_what_it_cost),
        TEST(files_are_private_and_preallocated),
        TEST(a_second_daemon_is_refused),
        TEST(a_missing_directory_is_named),
        TEST(a_journal_of_another_node_or_cluster_is_refused),
        TEST(batches_during_a_write_are_merged_and_complete_in_order),
        TEST(a_failed_sync_is_told_once_and_nothing_is_durable_after_it),
        TEST(how_long_a_write_takes_is_told_while_it_does_and_after_it),
        TEST(what_is_under_way_is_not_durable_because_something_else_is_told),
        TEST(closing_during_a_write_reports_nothing),
        TEST(a_snapshot_past_the_capacity_fails_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
