/*
 * The beginning: makes the journal of an issuer of a new cluster, offline, on each issuer once.
 *
 * Purpose: `holdfastd --init`. An empty data directory is a lost one and never has a say by itself;
 *   this is the one act that says a cluster is new. What is made:
 *  - a snapshot of an empty lease table at entry and term 1; with --above N at N + 2^32, so that every
 *    token is above those that a cluster before this one gave (tokens are log indexes). It is the same
 *    on every issuer with the same issuers in its file and the same number.
 *  - the table says that it begins anew: first grants are held off (PROTOCOL.md, hold-off).
 *  - the mark FORMAT_BEGUN, which is gone as soon as the issuer has a say. Until then it asks all
 *    others whether they were begun with the same number and know of no history either
 *    (PROTOCOL.md, begun-together); if one has a history, it recovers from it.
 * Refused where a journal is, unless with --above and --force: then that one is kept in
 * DATA/before-init-N. Owner: main(), instead of a node; one thread. Blocks for the disk.
 */
#ifndef HOLDFAST_BACKUP_INIT_H
#define HOLDFAST_BACKUP_INIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"
#include "store/disk_platform.h"

struct init {
    const struct conf *conf;
    const struct disk_platform *platform; /* disk_platform_system */
    bool has_above;
    uint64_t above;
    bool force;   /* sets a journal that is there aside; with `above` only */
    FILE *out;    /* what it did */
    FILE *errors; /* why it did nothing */
};

/* True if the journal was put in place. Else nothing was changed, or `errors` says what was. */
bool init_run(const struct init *init);

#endif
