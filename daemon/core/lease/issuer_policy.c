/* Who may ask for what: policy, ranges and pins, with a refusal that names the value. */
#include "lease/issuer_internal.h"

static void append_text(char *out, size_t size, const char *text)
{
    size_t at = strlen(out);
    while (at + 1 < size && *text != '\0')
        out[at++] = *text++;
    out[at] = '\0';
}

static void append_number(char *out, size_t size, int64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    append_text(out, size, digits + at);
}

static void explain_range(char *out, const char *what, int64_t value, int64_t low, int64_t high)
{
    size_t size = HF_REASON_MAX + 1;
    append_text(out, size, what);
    append_text(out, size, " is ");
    append_number(out, size, value);
    append_text(out, size, " us, allowed ");
    append_number(out, size, low);
    append_text(out, size, "..");
    append_number(out, size, high);
    append_text(out, size, " us");
}

const struct issuer_policy *issuer_policy_of(const struct issuer *issuer,
                                             const struct hf_name *resource)
{
    for (size_t i = 0; i < issuer->config.policy_count; i++) {
        if (name_equal(&issuer->config.policy[i].resource, resource))
            return &issuer->config.policy[i];
    }
    return NULL;
}

int issuer_find_allowed(const struct issuer_policy *policy, const struct hf_name *node)
{
    for (int i = 0; policy && i < policy->holder_count; i++) {
        if (name_equal(&policy->holder[i], node))
            return i;
    }
    return -1;
}

static enum lease_refusal check_pin(const struct issuer *issuer, const struct hf_name *node,
                                    const struct hf_name *resource, char *text)
{
    int found = lease_table_find(issuer->table, resource);
    if (found < 0 || !issuer->table->record[found].pinned)
        return LEASE_REFUSED_NONE;
    const struct hf_name *pinned_to = &issuer->table->record[found].pinned_to;
    if (name_equal(pinned_to, node))
        return LEASE_REFUSED_NONE;
    append_text(text, HF_REASON_MAX + 1, "pinned to ");
    append_text(text, HF_REASON_MAX + 1, name_empty(pinned_to) ? "nobody" : pinned_to->text);
    return LEASE_REFUSED_PINNED;
}

enum lease_refusal issuer_check_acquire(const struct issuer *issuer, const struct hf_name *node,
                                        const struct lease_message *message,
                                        char text[HF_REASON_MAX + 1])
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, &message->resource);
    memset(text, 0, HF_REASON_MAX + 1);
    if (!policy) {
        append_text(text, HF_REASON_MAX + 1, "no policy for this resource");
        return LEASE_REFUSED_POLICY;
    }
    if (issuer_find_allowed(policy, node) < 0) {
        append_text(text, HF_REASON_MAX + 1, node->text);
        append_text(text, HF_REASON_MAX + 1, " is not among its holders");
        return LEASE_REFUSED_POLICY;
    }
    int64_t most_us = policy->ttl_max_us < LEASE_TTL_MAX_US ? policy->ttl_max_us : LEASE_TTL_MAX_US;
    /* cppcheck-suppress knownConditionTrueFalse ; it takes the shorter TTL for the only one */
    if (message->ttl_us < LEASE_TTL_MIN_US || message->ttl_us > most_us) {
        explain_range(text, "ttl", message->ttl_us, LEASE_TTL_MIN_US, most_us);
        return LEASE_REFUSED_TTL;
    }
    int64_t fence_us =
        policy->fence_max_us < LEASE_FENCE_MAX_US ? policy->fence_max_us : LEASE_FENCE_MAX_US;
    /* cppcheck-suppress knownConditionTrueFalse ; it takes the smaller fence for the only one */
    if (message->fence_us < 0 || message->fence_us > fence_us) {
        explain_range(text, "fence", message->fence_us, 0, fence_us);
        return LEASE_REFUSED_FENCE;
    }
    return check_pin(issuer, node, &message->resource, text);
}

/* The command first, if not all of it has room. */
void issuer_explain_claim(const struct issuer *issuer, const struct issuer_claim *claim,
                          char text[HF_REASON_MAX + 1])
{
    const size_t size = HF_REASON_MAX + 1;
    const size_t words = 54 + 3 * 6; /* with three numbers of six digits */
    bool whole = strlen(claim->board.text) + words < size && claim->token < 1000000;
    memset(text, 0, size);
    append_text(text, size, claim->board.text);
    append_text(text, size, whole ? " took token " : " had ");
    append_number(text, size, (int64_t)claim->token);
    append_text(text, size, whole ? ", here is " : ", here ");
    append_number(text, size, (int64_t)issuer->table->applied + 1);
    append_text(text, size, whole ? ": --restore or --init --above " : ": --init --above ");
    append_number(text, size, (int64_t)claim->token);
}

void issuer_explain_overrule(uint64_t token, char text[HF_REASON_MAX + 1])
{
    memset(text, 0, HF_REASON_MAX + 1);
    append_text(text, HF_REASON_MAX + 1, "the board's word on token ");
    append_number(text, HF_REASON_MAX + 1, (int64_t)token);
    append_text(text, HF_REASON_MAX + 1, " is overruled");
}

int64_t issuer_lease_max_us(const struct issuer_config *config)
{
    int64_t longest_us = 0;
    for (size_t i = 0; i < config->policy_count; i++) {
        int64_t lease_us = config->policy[i].ttl_max_us + config->policy[i].fence_max_us;
        longest_us = lease_us > longest_us ? lease_us : longest_us;
    }
    return longest_us < LEASE_UNKNOWN_MAX_US ? longest_us : LEASE_UNKNOWN_MAX_US;
}

void issuer_explain_held(const struct issuer *issuer, const struct hf_name *resource,
                         char text[HF_REASON_MAX + 1])
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, resource);
    const struct stuck_row *row = stuck_holds(&issuer->table->stuck, resource);
    memset(text, 0, HF_REASON_MAX + 1);
    if (!row || (policy && policy->stuck_go))
        return;
    append_text(text, HF_REASON_MAX + 1, "held: an output of ");
    append_text(text, HF_REASON_MAX + 1, row->board.text);
    append_text(text, HF_REASON_MAX + 1, " is stuck on, see leases");
}
