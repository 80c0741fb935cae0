/*
 * What a source of work may cost: a bucket that is full at first, is emptied by what is spent, and
 * fills up steadily.
 *
 * Purpose: bounds what any one board makes the issuers write to their cards, and what any one
 *   certificate makes them do. Pure.
 * Owner: whoever holds the bucket; plain data. Zeroed memory is a full bucket.
 * Source: PROTOCOL.md, board-pays, release-is-taken.
 *
 * The bar for boards: one board, whatever it says, makes an issuer's journal write at most 100,000
 * bytes within an hour. Each entry is charged with what the journal writes for it: the entry's record,
 * twice (in its frame and in the copy in the mark, store/FORMAT.md), and those of the frame itself if
 * the entry may be the first in it. Not charged: the image that a snapshot writes once for 512 entries
 * of whomever, some 40 KB; no board can cause so many within an hour. Who is charged: lease/issuer.h.
 */
#ifndef HOLDFAST_CORE_LEASE_BUDGET_H
#define HOLDFAST_CORE_LEASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"

enum {
    BUDGET_BOARD_BURST = 49152, /* bytes at once: 140 grants */
    BUDGET_BOARD_HOUR = 49152,  /* bytes an hour: one grant in 25 s, for ever */
    /* Kept back for each lease that a board has, or may take over: its release, and the grant that follows. */
    BUDGET_LEASE_BYTES = 1024,
    BUDGET_ENTRY_RECORD = 2 * (8 + 20), /* beside twice its own bytes */
    BUDGET_FRAME = 2 * 40 + 48
};

struct budget_rule {
    int64_t burst;   /* units that a full bucket holds, > 0 */
    int64_t unit_us; /* one unit comes back in this time, > 0 */
};

struct budget {
    struct instant full_at; /* it is full again then, if nothing more is spent */
};

extern const struct budget_rule budget_board;

/* What is left at `now`; negative: more was spent than there was. At most rule->burst. */
int64_t budget_left(const struct budget *budget, const struct budget_rule *rule,
                    struct instant now);

/* Spends `units` (>= 0), whether they are left or not. */
void budget_spend(struct budget *budget, const struct budget_rule *rule, int64_t units,
                  struct instant now);

/* When `units` (at most rule->burst) are left, if nothing more is spent; maybe in the past. */
struct instant budget_ready_at(const struct budget *budget, const struct budget_rule *rule,
                               int64_t units);

/* Bytes that the journal writes for an entry of `length` bytes; `opens`: as the first of a frame. */
int64_t budget_entry_bytes(size_t length, bool opens);

#endif
