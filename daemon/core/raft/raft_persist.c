/*
 * Persistence: one batch per step at most, completed by the store in order. PROTOCOL.md,
 * durable-before-said.
 */
#include "raft/raft_internal.h"

struct raft_persist *raft_persist_open(struct raft_context *context)
{
    struct raft_persist *persist = &context->out->persist;
    if (!persist->wanted) {
        persist->wanted = true;
        persist->seq = context->raft->next_seq++;
    }
    return persist;
}

void raft_persist_hard_state(struct raft_context *context)
{
    struct raft_persist *persist = raft_persist_open(context);
    persist->hard_state = true;
    persist->term = context->raft->term;
    persist->vote = context->raft->vote;
    persist->recovering = !raft_has_say(context->raft) && !context->raft->recovery.ending;
    context->raft->hard_seq = persist->seq;
}

bool raft_hard_state_durable(const struct raft *raft)
{
    return raft->hard_seq <= raft->persisted_seq;
}

void raft_persisted(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    HF_CHECK(event->seq < raft->next_seq);
    if (event->seq <= raft->persisted_seq)
        return;
    raft->persisted_seq = event->seq;
    raft_snapshot_persisted(context);
    raft_vote_persisted(context);
    raft_append_reply(context);
    raft_snapshot_reply(context);
}
