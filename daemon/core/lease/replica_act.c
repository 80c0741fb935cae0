/*
 * What became of an operator's act: nobody is told that it is done before it is for good.
 * Source: PROTOCOL.md, act-by-majority.
 */
#include "lease/replica.h"

enum replica_outcome replica_act_outcome(const struct replica *replica,
                                         const struct replica_act *act)
{
    const struct raft *raft = &replica->raft;
    /* Not committed here: cut off from this log it may still be in that of the next leader. */
    if (raft->commit < act->index || replica->table.applied < act->index)
        return REPLICA_ACT_OPEN;
    uint64_t term = raft_term_at(raft, act->index);
    if (term != 0)
        return term == act->term ? REPLICA_ACT_DONE : REPLICA_ACT_REPLACED;
    /* In a snapshot. Whoever has led ever since its term began has cut nothing of its own log. */
    bool leads_since = raft->role == RAFT_LEADER && raft->term == act->term;
    return leads_since ? REPLICA_ACT_DONE : REPLICA_ACT_UNKNOWN;
}

const struct history_event *replica_act_event(const struct replica *replica, uint64_t index)
{
    const struct lease_table *table = &replica->table;
    uint64_t kept = table->history_total < HF_HISTORY_MAX ? table->history_total : HF_HISTORY_MAX;
    for (uint64_t n = table->history_total; n > table->history_total - kept; n--) {
        const struct history_event *event = &table->history[(n - 1) % HF_HISTORY_MAX];
        if (event->index == index)
            return event;
    }
    return NULL;
}
