/*
 * What a leader does while its table does not know who held what before it began: it holds off the
 * first grant of each resource, until no lease of before can count or every board of the policy waits
 * for it here; and it grants nothing at or below a token that a board says it had.
 *
 * Source: PROTOCOL.md, hold-off, all-boards-wait, word-on-tokens; why it is safe, and what it rests on,
 *   stands there.
 */
#include "lease/issuer_internal.h"

/* ---- the hold-off */

const struct hf_name *issuer_awaited(const struct issuer *issuer, const struct hf_name *resource,
                                     size_t n)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    const struct issuer_policy *policy = issuer_policy_of(issuer, resource);
    for (uint8_t i = 0; policy && i < policy->holder_count; i++) {
        if ((!lease || issuer_find_waiter(lease, &policy->holder[i]) < 0) && n-- == 0)
            return &policy->holder[i];
    }
    return NULL;
}

/* A grant of it stands in the log since the table began anew. */
static bool granted_since(const struct lease_table *table, const struct hf_name *resource)
{
    int found = lease_table_find(table, resource);
    return found >= 0 && table->record[found].last_token > table->begun;
}

bool issuer_held_off(const struct issuer *issuer, const struct hf_name *resource,
                     struct instant now)
{
    const struct lease_table *table = issuer->table;
    if (!issuer->serving || table->unknown_us == 0 || instant_reached(issuer->unknown_until, now))
        return false;
    return !granted_since(table, resource) &&
           (!issuer_policy_of(issuer, resource) || issuer_awaited(issuer, resource, 0) != NULL);
}

/* ---- a board's word on tokens */

bool issuer_hear_claim(const struct issuer *issuer, struct issuer_lease *lease,
                       const struct hf_name *node, uint64_t token)
{
    int at = issuer_find_allowed(issuer_policy_of(issuer, &lease->resource), node);
    if (at < 0 || token <= lease->claim[at])
        return false;
    lease->claim[at] = token;
    return true;
}

bool issuer_claim_of(const struct issuer *issuer, const struct hf_name *resource,
                     struct issuer_claim *claim)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    const struct issuer_policy *policy = issuer_policy_of(issuer, resource);
    *claim = (struct issuer_claim){ .token = issuer->table->applied };
    for (uint8_t i = 0; lease && policy && i < policy->holder_count; i++) {
        if (lease->claim[i] > claim->token &&
            !lease_table_overruled(issuer->table, resource, &policy->holder[i]))
            *claim = (struct issuer_claim){ policy->holder[i], lease->claim[i] };
    }
    return !name_empty(&claim->board);
}

uint64_t issuer_claim_by(const struct issuer *issuer, const struct hf_name *resource,
                         const struct hf_name *node)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    int at = issuer_find_allowed(issuer_policy_of(issuer, resource), node);
    bool counts = lease && at >= 0 && lease->claim[at] > issuer->table->applied &&
                  !lease_table_overruled(issuer->table, resource, node);
    return counts ? lease->claim[at] : 0;
}
