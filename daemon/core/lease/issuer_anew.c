/*
 * What a leader does while its table does not know who held what before it began.
 *
 * A table that begins anew (a new cluster's, or one restored from a backup) is empty, but boards may
 * hold leases from before: of a cluster of one that lost its journal, say, or from after the backup.
 * Two things stand between such a lease and a second driver.
 *
 * The hold-off. No resource is granted before the longest lease that anybody may hold is over,
 * counted from when this leader serves: whoever confirmed a lease before the table began confirms
 * none since. It is over for a resource once a grant of it stands in the log (its token is above
 * table.begun: from then on the table knows who holds it), and for all once a grant stands there that
 * was made after the time (`settled`). A leader that is elected before that counts anew.
 *
 * Its early end. While the time runs, a resource may be granted once every board that the policy
 * names for it waits for it here. A board waits here if its acquire was read from its connection by
 * this leader in this leadership, and that connection is up. Then nobody drives it by a lease of
 * before, and nobody will:
 *  - A holder sends an acquire only while its guard says that the outputs are off, and proven so; it
 *    has given up every token of before by then, and takes no answer to one (holder.h: disowned).
 *    From there to driving leads nothing but a GRANTED that comes after, and a renewal of it that is
 *    answered.
 *  - Whose? The acquire came over a connection to this process, so it was sent after this process
 *    began, and that was after the table was made: offline, with the lock held. By then those who
 *    granted before were gone: a leader needs a majority, and no majority of a cluster has its
 *    journals made anew while the old one goes on (an issuer that finds another one with a history
 *    recovers, raft_recover.c). So a GRANTED that comes after, and is renewed, is of a leader of
 *    this log, and stands in it.
 *  - If it was committed before this leader served, the table shows it: the token is above `begun`,
 *    and what counts is that lease. If not, it can't be committed any more without this leader's
 *    term being over, and then nothing that this one proposes is committed either.
 *  - An old acquire that was under way when the board died or restarted says nothing false: a board
 *    that starts anew drives by nothing that is older than its start.
 *  - The proposal stands behind all that this leader applied. Between it and its commit no other
 *    grant of the resource is under way here, and none of another leader can come before it.
 * What it rests on: the policy names every board that the policy of before named, as the hold-off
 * rests on its ttl_max and fence_max being no lower. A board that is taken out of a policy together
 * with the loss of every journal must be off before the start. And no board lies.
 *
 * A board's word on tokens. The agent keeps the highest token that its guard ever took of each
 * resource, and says it with every acquire (`highest`); a renewal or release of a token from beyond
 * the log says it too, since a board that still holds or gives back such a lease acquires nothing. A
 * leader whose next token would not be above
 * it began with too low a number; gateways, devices and guards that saw that token would refuse the
 * next one, or take it for a stale one. It grants nothing of that resource until the log is past it,
 * or an operator says that the board is wrong (LEASE_COMMAND_OVERRULE). Only the word of a board that
 * the policy lets hold the resource counts. A board that connects after a grant can't be heard in
 * advance: that is what the hold-off is for.
 */
#include "lease/issuer.h"

static int holder_index(const struct issuer_policy *policy, const struct hf_name *node)
{
    for (int i = 0; policy && i < policy->holder_count; i++) {
        if (name_equal(&policy->holder[i], node))
            return i;
    }
    return -1;
}

/* ---- the hold-off */

static bool waits(const struct issuer_lease *lease, const struct hf_name *node)
{
    for (uint8_t i = 0; lease && i < lease->waiter_count; i++) {
        if (name_equal(&lease->waiter[i].node, node))
            return true;
    }
    return false;
}

const struct hf_name *issuer_awaited(const struct issuer *issuer, const struct hf_name *resource,
                                     size_t n)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    const struct issuer_policy *policy = issuer_policy_of(issuer, resource);
    for (uint8_t i = 0; policy && i < policy->holder_count; i++) {
        if (!waits(lease, &policy->holder[i]) && n-- == 0)
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
    int at = holder_index(issuer_policy_of(issuer, &lease->resource), node);
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
    int at = holder_index(issuer_policy_of(issuer, resource), node);
    bool counts = lease && at >= 0 && lease->claim[at] > issuer->table->applied &&
                  !lease_table_overruled(issuer->table, resource, node);
    return counts ? lease->claim[at] : 0;
}
