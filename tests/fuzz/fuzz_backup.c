/*
 * A backup file, sealed again with a good checksum: whatever is taken in is whole, in range, and
 * comes back the same when it is written once more.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "lease/lease_message.h"
#include "lease/replica.h"

static uint8_t bytes[REPLICA_SNAPSHOT_MAX];
static struct lease_table table;

static void check(const struct backup *backup)
{
    HF_CHECK(backup->index > 0 && backup->term > 0 && backup->index == table.applied);
    HF_CHECK(backup->lease_max_us > 0 && backup->lease_max_us <= LEASE_UNKNOWN_MAX_US);
    HF_CHECK(backup->members.count > 0 && backup->members.count <= HF_ISSUERS_MAX);
    size_t capacity = backup_text_max(backup->table.length);
    char *text = malloc(capacity);
    struct backup again;
    static uint8_t bytes_again[REPLICA_SNAPSHOT_MAX];
    char error[BACKUP_ERROR_MAX];
    HF_CHECK(text != NULL);
    size_t length = backup_write(backup, text, capacity);
    HF_CHECK(length > 0);
    HF_CHECK(backup_read(&again, (struct bytes){ (const uint8_t *)text, length }, bytes_again,
                         sizeof(bytes_again), &table, error));
    HF_CHECK(again.index == backup->index && again.table.length == backup->table.length &&
             memcmp(bytes_again, bytes, again.table.length) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup backup;
    char digest[65];
    char error[BACKUP_ERROR_MAX] = "";
    char *text = malloc(size + 80);
    HF_CHECK(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    backup_digest((struct bytes){ data, size }, digest);
    size_t length = size + (size_t)snprintf(text + size, 80, "sha256: %s\n", digest);
    if (backup_read(&backup, (struct bytes){ (const uint8_t *)text, length }, bytes, sizeof(bytes),
                    &table, error))
        check(&backup);
    else
        HF_CHECK(error[0] != '\0' && strchr(error, '\n') == NULL);
    free(text);
    return 0;
}
