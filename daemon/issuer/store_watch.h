/*
 * Tells when a journal is slow: once when it begins, once when it is over.
 *
 * Purpose: an operator should learn of a card that wears out from a line of the log, not from a
 *   thousand. Pure: durations and now in, what to say out.
 * Owner: the issuer shell; plain data, loop thread.
 */
#ifndef HOLDFAST_ISSUER_STORE_WATCH_H
#define HOLDFAST_ISSUER_STORE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

enum { STORE_WATCH_CALM_MS = 5000 }; /* so long without a slow append: over */

enum store_watch_news { STORE_WATCH_NOTHING, STORE_WATCH_BEGAN, STORE_WATCH_OVER };

struct store_watch {
    uint64_t threshold_us;  /* an append that takes longer is slow */
    bool slow;              /* within an episode */
    uint64_t count;         /* slow appends of this episode, the one under way included */
    uint64_t worst_us;      /* of this episode */
    uint64_t total;         /* slow appends since the start */
    struct instant calm_at; /* over, if none is slow until then */
    bool counted;           /* the append under way is counted already */
};

/* An append was done, after `took_us`. */
enum store_watch_news store_watch_done(struct store_watch *watch, uint64_t took_us,
                                       struct instant now);

/* From time to time: the append under way has taken `waiting_us` so far, 0: there is none. */
enum store_watch_news store_watch_look(struct store_watch *watch, uint64_t waiting_us,
                                       struct instant now);

#endif
