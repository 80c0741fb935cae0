/*
 * How many lines one name may cause: some at once, then one in a while; the rest is counted.
 *
 * Purpose: the log may be on the same card as the journal, and whoever comes and goes in a loop must
 *   not wear it out. The first lines about anybody are told at once. Pure; the clock is passed in.
 * Owner: whoever embeds it, zeroed. Names beyond LOG_QUOTA_NAMES take the place of those who have been
 *   quiet for longest.
 */
#ifndef HOLDFAST_LOG_QUOTA_H
#define HOLDFAST_LOG_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"

enum { LOG_QUOTA_NAMES = 64, LOG_QUOTA_WINDOW_MS = 60000 };

struct log_quota_rule {
    uint32_t burst;   /* lines at once, > 0 */
    uint32_t each_ms; /* then one more in this time, > 0 */
};

struct log_quota {
    struct {
        struct hf_name name; /* empty: unused */
        uint64_t full_ms;    /* its burst is whole again then */
        uint64_t held_ms;    /* since when lines are held back */
        uint32_t held;
    } row[LOG_QUOTA_NAMES];
    uint32_t holding; /* rows in which lines are held back */
};

/* True if a line about `name`, not empty, may be told now; else it is counted. */
bool log_quota_admit(struct log_quota *quota, const struct log_quota_rule *rule,
                     const struct hf_name *name, uint64_t now_ms);

/*
 * How many lines were held back about somebody, *name, for whom LOG_QUOTA_WINDOW_MS are over; it is
 * 0 for the next minute then. 0: nobody. Call it until it returns 0.
 */
uint32_t log_quota_collect(struct log_quota *quota, uint64_t now_ms, struct hf_name *name);

/* True while log_quota_collect() has something to wait for. */
bool log_quota_pending(const struct log_quota *quota);

#endif
