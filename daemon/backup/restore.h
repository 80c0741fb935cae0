/*
 * The restore: makes a lost cluster's journal of a backup, offline, on each issuer in turn.
 *
 * Purpose: `holdfastd --restore`. What makes it dangerous, and what meets it:
 *  - S2, tokens are log indexes, and the ones given after the backup are in no file. The log goes on
 *    MAKING_JUMP above a number that the operator passes to every issuer (--above) and that this
 *    program makes: the wall time in microseconds, or any higher index that the backup or a journal
 *    in the data directory shows. No log has a million entries in a second, so no two restores
 *    begin at the same token, whatever backup they are of. Without a clock to trust it refuses.
 *  - The same file and number give the same state on every issuer; its digest is told.
 *  - S1, boards may hold leases that the backup does not know: see lease_table_restore().
 *  - The term is that number too: an old issuer that was forgotten has a lower one.
 *  - A journal that is there is moved aside, on --force only, and never deleted. The daemon's lock
 *    is held meanwhile.
 *  - The new journal is made whole before it is put in place: making.h.
 * Owner: main(), instead of a node; one thread. Blocks for the disk.
 */
#ifndef HOLDFAST_BACKUP_RESTORE_H
#define HOLDFAST_BACKUP_RESTORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"
#include "store/disk_platform.h"

struct restore {
    const struct conf *conf;
    const struct disk_platform *platform; /* disk_platform_system */
    const char *file;
    bool has_above;
    uint64_t above;
    bool force;
    int64_t wall_us; /* now, unix epoch */
    FILE *out;       /* what it does, line by line */
    FILE *errors;    /* why it does not */
};

/* True if the journal was put in place. Else nothing was changed, or `errors` says what was. */
bool restore_run(const struct restore *restore);

#endif
