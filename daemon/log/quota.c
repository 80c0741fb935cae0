#include "log/quota.h"

#include <string.h>

/* The row of this name; a new one takes an unused row, or that of whoever was quiet for longest. */
static size_t row_of(struct log_quota *quota, const struct hf_name *name)
{
    size_t best = 0;
    for (size_t i = 0; i < LOG_QUOTA_NAMES; i++) {
        if (name_equal(&quota->row[i].name, name))
            return i;
        bool quieter = quota->row[i].full_ms < quota->row[best].full_ms;
        bool told = quota->row[i].held == 0;
        if (told == (quota->row[best].held == 0) ? quieter : told)
            best = i;
    }
    quota->holding -= quota->row[best].held > 0;
    memset(&quota->row[best], 0, sizeof(quota->row[best]));
    quota->row[best].name = *name;
    return best;
}

bool log_quota_admit(struct log_quota *quota, const struct log_quota_rule *rule,
                     const struct hf_name *name, uint64_t now_ms)
{
    size_t at = row_of(quota, name);
    uint64_t full_ms = quota->row[at].full_ms > now_ms ? quota->row[at].full_ms : now_ms;
    if (full_ms - now_ms <= (uint64_t)(rule->burst - 1) * rule->each_ms) {
        quota->row[at].full_ms = full_ms + rule->each_ms;
        return true;
    }
    if (quota->row[at].held++ == 0) {
        quota->row[at].held_ms = now_ms;
        quota->holding++;
    }
    return false;
}

uint32_t log_quota_collect(struct log_quota *quota, uint64_t now_ms, struct hf_name *name)
{
    for (size_t i = 0; i < LOG_QUOTA_NAMES && quota->holding > 0; i++) {
        uint32_t held = quota->row[i].held;
        if (held == 0 || now_ms - quota->row[i].held_ms < LOG_QUOTA_WINDOW_MS)
            continue;
        quota->row[i].held = 0;
        quota->holding--;
        *name = quota->row[i].name;
        return held;
    }
    return 0;
}

bool log_quota_pending(const struct log_quota *quota)
{
    return quota->holding > 0;
}
