#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/disk_file.h"

enum { WRITER_STACK_BYTES = 128 * 1024 };

struct store {
    struct store_config config;
    struct disk_file files;
    bool has_files;
    struct journal journal;
    struct store_counters counters;
    bool writing;      /* a batch was handed to the writer and not yet collected */
    uint64_t began_ns; /* then: when */
    bool failed;
    enum journal_result append_result; /* of a batch that could not even be encoded */
    uv_async_t wakeup;
    uv_thread_t writer;
    /* Below here under the lock. */
    uv_mutex_t lock;
    uv_cond_t work;
    bool todo;
    bool done;
    bool stopping;
    enum journal_result result;
    uint64_t duration_us;
};

static void flush_one(struct store *store)
{
    /* The writer alone has the taken batch until it says `done`. */
    uv_mutex_unlock(&store->lock);
    uint64_t begin_ns = uv_hrtime();
    enum journal_result result = journal_flush(&store->journal);
    uint64_t duration_us = (uv_hrtime() - begin_ns) / 1000;
    uv_mutex_lock(&store->lock);
    store->result = result;
    store->duration_us = duration_us;
    store->done = true;
    uv_async_send(&store->wakeup);
}

static void writer_main(void *argument)
{
    struct store *store = argument;
    uv_mutex_lock(&store->lock);
    for (;;) {
        while (!store->todo && !store->stopping)
            uv_cond_wait(&store->work, &store->lock);
        if (store->stopping)
            break;
        store->todo = false;
        flush_one(store);
    }
    uv_mutex_unlock(&store->lock);
}

static void start_writing(struct store *store)
{
    if (store->failed || store->writing || !journal_take(&store->journal))
        return;
    store->writing = true;
    store->began_ns = uv_hrtime();
    uv_mutex_lock(&store->lock);
    store->todo = true;
    uv_cond_signal(&store->work);
    uv_mutex_unlock(&store->lock);
}

static void count_flush(struct store *store, uint64_t duration_us)
{
    struct store_counters *counters = &store->counters;
    counters->bytes_written = store->journal.bytes_written;
    counters->syncs = store->journal.syncs;
    counters->last_us = duration_us;
    if (duration_us > counters->worst_us)
        counters->worst_us = duration_us;
}

static void fail(struct store *store, const char *text)
{
    store->failed = true;
    store->config.on_failed(store->config.context, text);
}

static void collect(struct store *store)
{
    uv_mutex_lock(&store->lock);
    bool done = store->done;
    enum journal_result result = store->result;
    uint64_t duration_us = store->duration_us;
    store->done = false;
    uv_mutex_unlock(&store->lock);
    if (!done)
        return;
    store->writing = false;
    count_flush(store, duration_us);
    if (store->failed)
        return;
    if (result != JOURNAL_OK) {
        fail(store, store->journal.error);
        return;
    }
    uint64_t seq = journal_taken_seq(&store->journal);
    start_writing(store);
    store->config.on_persisted(store->config.context, seq);
}

static void on_wakeup(uv_async_t *async)
{
    struct store *store = async->data;
    collect(store);
    if (store->append_result != JOURNAL_OK && !store->failed)
        fail(store, "journal: the log or the snapshot is larger than the limits allow");
}

static const struct raft_entry *entry_at(const void *log, uint64_t index)
{
    return raft_entry_at(log, index);
}

void store_append(struct store *store, const struct raft_persist *persist, const struct raft *raft)
{
    struct journal_log log = { .entry_at = entry_at, .log = raft };
    if (store->failed || store->append_result != JOURNAL_OK)
        return;
    store->append_result = journal_append(&store->journal, persist, &log);
    if (store->append_result == JOURNAL_OK)
        start_writing(store);
    else
        uv_async_send(&store->wakeup);
}

static void free_memory(struct store *store)
{
    struct journal_config *config = &store->journal.config;
    if (store->has_files)
        disk_file_close(&store->files);
    free(config->entries);
    free(config->recovered_snapshot);
    free(config->snapshot);
    free(config->buffer[0]);
    free(config->buffer[1]);
    free(store);
}

static bool allocate(struct journal_config *config, size_t snapshot_capacity)
{
    size_t buffer = journal_buffer_bytes(snapshot_capacity);
    config->snapshot_capacity = snapshot_capacity;
    config->growth_bytes = JOURNAL_GROWTH_BYTES;
    config->entries = malloc(RAFT_LOG_MAX * sizeof(*config->entries));
    config->recovered_snapshot = malloc(snapshot_capacity);
    config->snapshot = malloc(snapshot_capacity);
    config->buffer[0] = malloc(buffer);
    config->buffer[1] = malloc(buffer);
    return config->entries && config->recovered_snapshot && config->snapshot && config->buffer[0] &&
           config->buffer[1];
}

static enum journal_result open_journal(struct store *store, const struct store_config *config,
                                        struct journal_recovered *recovered, char *error,
                                        size_t error_size)
{
    struct journal_config journal = { .ops = config->ops,
                                      .disk = config->disk,
                                      .node = config->node };
    bool allocated = allocate(&journal, config->snapshot_capacity);
    store->journal.config = journal;
    if (!allocated) {
        snprintf(error, error_size, "journal: out of memory");
        return JOURNAL_FULL;
    }
    text_copy(journal.cluster, sizeof(journal.cluster), config->cluster);
    if (!config->ops) {
        if (disk_file_open(&store->files, &disk_platform_system, config->data_dir, error,
                           error_size) != 0)
            return JOURNAL_IO;
        store->has_files = true;
        journal.ops = &disk_file_ops;
        journal.disk = &store->files;
    }
    enum journal_result result = journal_open_or_begin_anew(&store->journal, &journal, recovered);
    if (result != JOURNAL_OK)
        snprintf(error, error_size, "%s", store->journal.error);
    return result;
}

static bool start_writer(struct store *store)
{
    uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
                                    .stack_size = WRITER_STACK_BYTES };
    if (uv_mutex_init(&store->lock) != 0)
        return false;
    if (uv_cond_init(&store->work) != 0) {
        uv_mutex_destroy(&store->lock);
        return false;
    }
    if (uv_thread_create_ex(&store->writer, &options, writer_main, store) != 0) {
        uv_cond_destroy(&store->work);
        uv_mutex_destroy(&store->lock);
        return false;
    }
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    free_memory(handle->data);
}

void store_keep_members(struct store *store, const struct raft_members *members)
{
    journal_keep_members(&store->journal, members);
}

enum journal_result store_open(struct store **out, const struct store_config *config,
                               struct journal_recovered *recovered, char *error, size_t error_size)
{
    *out = NULL;
    struct store *store = calloc(1, sizeof(*store));
    if (!store) {
        snprintf(error, error_size, "journal: out of memory");
        return JOURNAL_FULL;
    }
    store->config = *config;
    enum journal_result result = open_journal(store, config, recovered, error, error_size);
    if (result == JOURNAL_OK && uv_async_init(config->loop, &store->wakeup, on_wakeup) != 0) {
        snprintf(error, error_size, "journal: cannot attach to the event loop");
        result = JOURNAL_IO;
    }
    if (result != JOURNAL_OK) {
        free_memory(store);
        return result;
    }
    store->wakeup.data = store;
    if (!start_writer(store)) {
        snprintf(error, error_size, "journal: cannot start the writer thread");
        uv_close((uv_handle_t *)&store->wakeup, on_closed);
        return JOURNAL_IO;
    }
    *out = store;
    return JOURNAL_OK;
}

void store_release_recovered(struct store *store)
{
    free(store->journal.config.entries);
    store->journal.config.entries = NULL;
}

uint64_t store_waiting_us(const struct store *store)
{
    return store->writing ? (uv_hrtime() - store->began_ns) / 1000 : 0;
}

const struct store_counters *store_get_counters(const struct store *store)
{
    return &store->counters;
}

void store_close(struct store *store)
{
    uv_mutex_lock(&store->lock);
    store->stopping = true;
    uv_cond_signal(&store->work);
    uv_mutex_unlock(&store->lock);
    uv_thread_join(&store->writer);
    uv_cond_destroy(&store->work);
    uv_mutex_destroy(&store->lock);
    uv_close((uv_handle_t *)&store->wakeup, on_closed);
}
