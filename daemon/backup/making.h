/*
 * Making a journal offline: what --init and --restore have in common.
 *
 * Purpose: the new journal is made whole in a folder of its own (DATA/ACT.new), read back from the
 *   disk, and then renamed over what is there, one slot after the other, the current one first. So a
 *   power cut at any point leaves the old journal, the new one, or something that the daemon refuses;
 *   never half of one.
 * Owner: the act, in main(), instead of a node; one thread. Blocks for the disk. The daemon's lock is
 *   held from making_lock() to making_close().
 */
#ifndef HOLDFAST_BACKUP_MAKING_H
#define HOLDFAST_BACKUP_MAKING_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"
#include "store/disk_file.h"
#include "store/journal.h"

/* How far above the number that an operator gives (--above) a log goes on. */
#define MAKING_JUMP (UINT64_C(1) << 32)
/* Highest number for --above: with the jump, tokens stay below 2^53, exact in any JSON reader. */
#define MAKING_ABOVE_MAX ((UINT64_C(1) << 53) - 2 * MAKING_JUMP)

enum { MAKING_PATH_BYTES = CONF_PATH_MAX + 64, MAKING_ASIDE_MAX = 100 };

struct making {
    const char *act; /* "init" or "restore"; before every error, and in the folder's name */
    const char *data_dir;
    const struct disk_platform *platform;
    FILE *errors;
    struct disk_file files; /* of the data directory, locked */
    struct journal journal;
    struct journal_config memory;
};

/* Zeroed memory. False: out of memory, told; making_close() all the same. */
bool making_init(struct making *making, const char *act, const struct disk_platform *platform,
                 const struct conf *conf, FILE *errors);

/* Opens and locks the data directory. False after one line. */
bool making_lock(struct making *making);

/* Journal of an open directory, as journal_open(); making->journal.error says what is wrong. */
enum journal_result making_read(struct making *making, struct disk_file *files,
                                struct journal_recovered *found);

/* The issuers of a configuration file, all of them voters. */
void making_bootstrap(const struct conf *conf, struct raft_members *members);

/* A number for --above, of digits only. */
bool making_take_above(const char *text, uint64_t *above);

/* Makes a journal of `content` in the folder, and reads it back. False after one line. */
bool making_make(struct making *making, const struct raft_persist *content);

/* Gives the journal that is there a second name, in DATA/before-ACT-N. False after one line. */
bool making_set_aside(struct making *making, FILE *out);

/* Renames it over the slots of the data directory. False after one line. */
bool making_put_in_place(struct making *making);

/* Removes what is left of the folder, gives back the lock and the memory. */
void making_close(struct making *making);

#endif
