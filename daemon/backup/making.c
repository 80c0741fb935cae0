#include "backup/making.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lease/replica.h"

#define REFUSE(making, ...)                                                                        \
    (fprintf((making)->errors, "%s: ", (making)->act), fprintf((making)->errors, __VA_ARGS__),     \
     false)

static bool allocate(struct journal_config *memory)
{
    size_t buffer = journal_buffer_bytes(REPLICA_SNAPSHOT_MAX);
    memory->entries = malloc(RAFT_LOG_MAX * sizeof(*memory->entries));
    memory->recovered_snapshot = malloc(REPLICA_SNAPSHOT_MAX);
    memory->snapshot = malloc(REPLICA_SNAPSHOT_MAX);
    memory->buffer[0] = malloc(buffer);
    memory->buffer[1] = malloc(buffer);
    return memory->entries && memory->recovered_snapshot && memory->snapshot && memory->buffer[0] &&
           memory->buffer[1];
}

bool making_init(struct making *making, const char *act, const struct disk_platform *platform,
                 const struct conf *conf, FILE *errors)
{
    struct journal_config *memory = &making->memory;
    making->act = act;
    making->data_dir = conf->data_dir;
    making->errors = errors;
    making->platform = platform;
    disk_file_init(&making->files, platform);
    memory->ops = &disk_file_ops;
    text_copy(memory->cluster, sizeof(memory->cluster), conf->cluster_name.text);
    memory->node = conf->node_id;
    memory->snapshot_capacity = REPLICA_SNAPSHOT_MAX;
    memory->growth_bytes = JOURNAL_GROWTH_BYTES;
    return allocate(memory) || REFUSE(making, "out of memory\n");
}

bool making_lock(struct making *making)
{
    char error[256];
    int result =
        disk_file_open(&making->files, making->platform, making->data_dir, error, sizeof(error));
    return result == 0 ||
           REFUSE(making, "%s%s\n", error, result == EWOULDBLOCK ? ": stop holdfastd first" : "");
}

enum journal_result making_read(struct making *making, struct disk_file *files,
                                struct journal_recovered *found)
{
    making->memory.disk = files;
    return journal_open(&making->journal, &making->memory, found);
}

void making_bootstrap(const struct conf *conf, struct raft_members *members)
{
    memset(members, 0, sizeof(*members));
    members->count = conf->issuer_count;
    for (uint8_t i = 0; i < conf->issuer_count; i++) {
        members->member[i].id = conf->issuer[i].id;
        members->member[i].voter = true;
        text_copy(members->member[i].address, sizeof(members->member[i].address),
                  conf->issuer[i].address);
    }
}

bool making_take_above(const char *text, uint64_t *above)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 19 || text[digits] != '\0')
        return false;
    *above = strtoull(text, NULL, 10);
    return true;
}

/* ---- making it */

static const struct raft_entry *no_entry(const void *log, uint64_t index)
{
    (void)log;
    (void)index;
    return NULL;
}

static enum journal_result write_journal(struct journal *journal,
                                         const struct raft_persist *content)
{
    const struct journal_log log = { no_entry, NULL };
    enum journal_result result = journal_append(journal, content, &log);
    if (result == JOURNAL_OK && journal_take(journal))
        result = journal_flush(journal);
    return result;
}

static bool same_members(const struct raft_members *a, const struct raft_members *b)
{
    for (uint8_t i = 0; i < a->count; i++) {
        int at = raft_member_index(b, &a->member[i].id);
        if (at < 0 || b->member[at].voter != a->member[i].voter ||
            strcmp(b->member[at].address, a->member[i].address) != 0)
            return false;
    }
    return a->count == b->count;
}

static bool reads_back(const struct raft_persist *content, const struct raft_recovered *raft)
{
    return raft->standing == (content->begun ? RAFT_UNSURE : RAFT_WHOLE) &&
           raft->term == content->term && raft->snapshot_index == content->snapshot_index &&
           raft->snapshot_term == content->snapshot_term && raft->entry_count == 0 &&
           same_members(&raft->members, &content->members) &&
           raft->snapshot.length == content->snapshot_bytes.length &&
           memcmp(raft->snapshot.data, content->snapshot_bytes.data, raft->snapshot.length) == 0;
}

static void folder_of(const struct making *making, char folder[MAKING_PATH_BYTES])
{
    snprintf(folder, MAKING_PATH_BYTES, "%s/%s.new", making->data_dir, making->act);
}

static void remove_folder(const struct making *making)
{
    static const char *const names[] = { "journal.0", "journal.1", "journal.lock" };
    char folder[MAKING_PATH_BYTES];
    char path[MAKING_PATH_BYTES + 16];
    folder_of(making, folder);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)making->platform->unlinkat(AT_FDCWD, path, 0);
    }
    (void)making->platform->unlinkat(AT_FDCWD, folder, AT_REMOVEDIR);
}

bool making_make(struct making *making, const struct raft_persist *content)
{
    struct journal_recovered found;
    struct disk_file files;
    char folder[MAKING_PATH_BYTES];
    char error[256];
    remove_folder(making); /* what an act that was interrupted left */
    folder_of(making, folder);
    if (making->platform->mkdirat(AT_FDCWD, folder, 0700) != 0)
        return REFUSE(making, "%s: cannot make: %s\n", folder, strerror(errno));
    for (int pass = 0; pass < 2; pass++) {
        if (disk_file_open(&files, making->platform, folder, error, sizeof(error)) != 0)
            return REFUSE(making, "%s\n", error);
        enum journal_result result = making_read(making, &files, &found);
        if (result == JOURNAL_OK && pass == 0)
            result = write_journal(&making->journal, content);
        disk_file_close(&files);
        if (result != JOURNAL_OK)
            return REFUSE(making, "%s: %s\n", folder, making->journal.error);
    }
    return reads_back(content, &found.raft) || REFUSE(making, "%s: reads back otherwise\n", folder);
}

/* ---- putting it in place */

static bool sync_folder(const struct making *making, const char *folder)
{
    const struct disk_platform *platform = making->platform;
    int descriptor = platform->openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    bool done = descriptor >= 0 && platform->fsync(descriptor) == 0;
    int error = errno;
    if (descriptor >= 0)
        platform->close(descriptor);
    return done || REFUSE(making, "%s: cannot sync: %s\n", folder, strerror(error));
}

/* A new folder for what is there. */
static bool make_aside(const struct making *making, char folder[MAKING_PATH_BYTES])
{
    for (int number = 1; number <= MAKING_ASIDE_MAX; number++) {
        snprintf(folder, MAKING_PATH_BYTES, "%s/before-%s-%d", making->data_dir, making->act,
                 number);
        if (making->platform->mkdirat(AT_FDCWD, folder, 0700) == 0)
            return true;
        if (errno != EEXIST)
            break;
    }
    return REFUSE(making, "%s: cannot make: %s\n", folder, strerror(errno));
}

/* A second name for each, so that the first one is replaced at once, and never missing. */
bool making_set_aside(struct making *making, FILE *out)
{
    char folder[MAKING_PATH_BYTES];
    if (!make_aside(making, folder))
        return false;
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        char from[MAKING_PATH_BYTES + 16];
        char to[MAKING_PATH_BYTES + 16];
        snprintf(from, sizeof(from), "%s/journal.%d", making->data_dir, slot);
        snprintf(to, sizeof(to), "%s/journal.%d", folder, slot);
        if (making->platform->linkat(AT_FDCWD, from, AT_FDCWD, to) != 0)
            return REFUSE(making, "%s: cannot move aside to %s: %s\n", from, to, strerror(errno));
    }
    if (!sync_folder(making, folder) || !sync_folder(making, making->data_dir))
        return false;
    fprintf(out, "journal: the one that was there is kept in %s\n", folder);
    return true;
}

/*
 * The slot that is current goes first. Of a half of this the old journal counts, or the new one, or
 * the daemon refuses both: never an empty one.
 */
bool making_put_in_place(struct making *making)
{
    char folder[MAKING_PATH_BYTES];
    folder_of(making, folder);
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        char from[MAKING_PATH_BYTES + 16];
        char to[MAKING_PATH_BYTES + 16];
        snprintf(from, sizeof(from), "%s/journal.%d", folder, slot);
        snprintf(to, sizeof(to), "%s/journal.%d", making->data_dir, slot);
        if (making->platform->renameat(AT_FDCWD, from, AT_FDCWD, to) != 0)
            return REFUSE(making, "%s: cannot put in place: %s; run this again before the daemon\n",
                          to, strerror(errno));
        if (!sync_folder(making, making->data_dir))
            return false;
    }
    return true;
}

void making_close(struct making *making)
{
    if (making->files.directory >= 0)
        remove_folder(making);
    free(making->memory.entries);
    free(making->memory.recovered_snapshot);
    free(making->memory.snapshot);
    free(making->memory.buffer[0]);
    free(making->memory.buffer[1]);
    disk_file_close(&making->files);
}
