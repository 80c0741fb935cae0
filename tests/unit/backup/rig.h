/*
 * An issuer whose journal is made offline: its configuration, what an act told, and what a start
 * would find in a folder. Each test program has its own rig: everything is static.
 */
#ifndef HOLDFAST_TESTS_UNIT_BACKUP_RIG_H
#define HOLDFAST_TESTS_UNIT_BACKUP_RIG_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup.h"
#include "backup/making.h"
#include "lease/replica.h"
#include "store/crc32c.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/name.h"
#include "tests/unit/support/unit.h"

static const struct disk_platform *rig_platform = &disk_platform_system;
static char rig_folder[64]; /* has the data directory */
static struct conf rig_conf;
static char rig_told[8192];
static char rig_wrong[4096];
/* Of the journal that rig_look() saw. Bytes are gone by then: their checksum, and the table. */
static struct journal_recovered rig_found;
static enum journal_result rig_result;
static uint32_t rig_snapshot_crc;
static bool rig_has_table;
static struct lease_table rig_table;

/* issuer-1 of three, whose data directory is `data_dir`. */
static inline void rig_configure(const char *data_dir)
{
    memset(&rig_conf, 0, sizeof(rig_conf));
    rig_conf.node_id = name("issuer-1");
    rig_conf.cluster_name = name("line-3");
    rig_conf.issuer_role = true;
    rig_conf.drift_ppm = 2000;
    rig_conf.issuer_count = 3;
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof(id), "issuer-%d", i + 1);
        rig_conf.issuer[i].id = name(id);
        snprintf(rig_conf.issuer[i].address, sizeof(rig_conf.issuer[i].address), "127.0.0.%d:7400",
                 i + 1);
    }
    snprintf(rig_conf.file, sizeof(rig_conf.file), "board.conf");
    snprintf(rig_conf.data_dir, sizeof(rig_conf.data_dir), "%s", data_dir);
}

/* A backup of `table` as issuer-2 had it at `index`, at `wall_us`, into `path`. */
static inline void rig_write_backup(const char *path, const struct lease_table *table,
                                    uint64_t index, int64_t wall_us)
{
    static uint8_t bytes[REPLICA_SNAPSHOT_MAX];
    static char text[2 * REPLICA_SNAPSHOT_MAX];
    struct backup backup = { .cluster = name("line-3"),
                             .node = name("issuer-2"),
                             .index = index,
                             .term = 5,
                             .wall_us = wall_us,
                             .lease_max_us = 65000000 };
    backup.table = (struct bytes){ bytes, lease_table_encode(table, bytes, sizeof(bytes)) };
    for (uint8_t i = 0; i < rig_conf.issuer_count; i++)
        backup.members.member[backup.members.count++] =
            (struct raft_member){ .id = rig_conf.issuer[i].id, .voter = true };
    size_t length = backup_write(&backup, text, sizeof(text));
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, length, out), length);
    fclose(out);
}

/* The same, in a folder of its own. */
static inline bool rig_make(void)
{
    char data_dir[96];
    snprintf(rig_folder, sizeof(rig_folder), "/tmp/holdfast-backup-XXXXXX");
    if (!mkdtemp(rig_folder))
        return false;
    snprintf(data_dir, sizeof(data_dir), "%s/data", rig_folder);
    rig_configure(data_dir);
    return mkdir(data_dir, 0700) == 0;
}

/* Removes what is in it, and in the folders that acts made there. */
static inline void rig_empty_data(void)
{
    DIR *directory = opendir(rig_conf.data_dir);
    const struct dirent *entry;
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        char inner[512];
        snprintf(inner, sizeof(inner), "%s/%s", rig_conf.data_dir, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(inner) != 0)
            folder_remove(inner);
    }
    closedir(directory);
}

static inline void rig_remove(void)
{
    rig_empty_data();
    folder_remove(rig_conf.data_dir);
    folder_remove(rig_folder);
}

static inline const char *rig_path(const char *leaf)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/%s", rig_conf.data_dir, leaf);
    return path;
}

/* Runs an act; keeps what it says. */
static inline bool rig_act(bool (*act)(FILE *out, FILE *errors))
{
    memset(rig_told, 0, sizeof(rig_told));
    memset(rig_wrong, 0, sizeof(rig_wrong));
    FILE *out = fmemopen(rig_told, sizeof(rig_told), "w");
    FILE *errors = fmemopen(rig_wrong, sizeof(rig_wrong), "w");
    assert_true(out && errors);
    bool done = act(out, errors);
    fclose(out);
    fclose(errors);
    return done;
}

/* In one line, with these words. */
static inline void rig_assert_refuses(bool (*act)(FILE *out, FILE *errors), const char *words)
{
    assert_false(rig_act(act));
    if (!strstr(rig_wrong, words))
        fail_msg("'%s' does not say '%s'", rig_wrong, words);
    assert_ptr_equal(strchr(rig_wrong, '\n'), rig_wrong + strlen(rig_wrong) - 1);
}

static inline const struct raft_entry *rig_no_entry(const void *log, uint64_t index)
{
    (void)log;
    (void)index;
    return NULL;
}

static inline void rig_note(void)
{
    const struct raft_recovered *raft = &rig_found.raft;
    rig_snapshot_crc = crc32c(0, raft->snapshot.data, raft->snapshot.length);
    rig_has_table = raft->snapshot_index > 0 && lease_table_decode(&rig_table, raft->snapshot);
}

/*
 * Opens the journal of a folder as the daemon would; appends `content`, unless that is NULL. False:
 * the files could not be opened, or not written. Whether they could be read is rig_result.
 */
static inline bool rig_try_look(const char *folder, const struct raft_persist *content)
{
    const struct journal_log none = { rig_no_entry, NULL };
    struct making making;
    memset(&making, 0, sizeof(making));
    assert_true(making_init(&making, "look", rig_platform, &rig_conf, stderr));
    making.data_dir = folder;
    bool done = making_lock(&making);
    rig_result = done ? making_read(&making, &making.files, &rig_found) : JOURNAL_IO;
    if (rig_result == JOURNAL_OK)
        rig_note();
    if (content && rig_result == JOURNAL_OK)
        done = journal_append(&making.journal, content, &none) == JOURNAL_OK &&
               journal_take(&making.journal) && journal_flush(&making.journal) == JOURNAL_OK;
    making_close(&making);
    return done;
}

/* The journal of the data directory, which must be there. */
static inline void rig_look(void)
{
    assert_true(rig_try_look(rig_conf.data_dir, NULL));
    assert_int_equal(rig_result, JOURNAL_OK);
}

static inline void rig_append(const struct raft_persist *content)
{
    assert_true(rig_try_look(rig_conf.data_dir, content));
    assert_int_equal(rig_result, JOURNAL_OK);
}

/* A journal of before, in this term and at this entry. */
static inline void rig_make_journal(uint64_t term, uint64_t index)
{
    static const uint8_t bytes[100] = { 'o', 'l', 'd' };
    struct raft_persist persist = { .wanted = true,
                                    .seq = 1,
                                    .hard_state = true,
                                    .term = term,
                                    .snapshot = true,
                                    .snapshot_index = index,
                                    .snapshot_term = term,
                                    .first_index = 1,
                                    .snapshot_bytes = { bytes, sizeof(bytes) } };
    persist.members.count = 1;
    persist.members.member[0] = (struct raft_member){ .id = rig_conf.node_id, .voter = true };
    rig_append(&persist);
    assert_true(rig_found.fresh);
}

#endif
