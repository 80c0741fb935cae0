/*
 * Leadership transfer. Source: 3.10. The vote rule holds here as everywhere: PROTOCOL.md, one-vote and
 * hand-over-lost, hand-over-hung.
 */
#include "raft/raft_internal.h"

enum {
    HUNG_ELECTIONS = 20,    /* election timeouts without any progress of its own disk, ... */
    HUNG_LEAST_US = 5000000 /* ... and so long at the least */
};

void raft_transfer(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    if (!name_empty(&raft->transfer_to)) {
        context->out->refusal = RAFT_TRANSFERRING;
    } else if (!raft_is_voter(raft, &event->peer) || name_equal(&event->peer, &raft->config.self) ||
               raft->progress[raft_member_index(&raft->members, &event->peer)].recovering) {
        context->out->refusal = RAFT_BAD_TARGET;
    } else {
        raft->transfer_to = event->peer;
        raft->transfer_sent = false;
        raft->transfer_until = instant_add(context->now, raft->config.election);
    }
}

/* Once the target has everything, and durably, it may campaign. */
void raft_transfer_progress(struct raft_context *context)
{
    struct raft *raft = context->raft;
    int target = raft_member_index(&raft->members, &raft->transfer_to);
    if (target < 0 || raft->transfer_sent ||
        raft_counted_match(&raft->progress[target]) != raft->last_index)
        return;
    raft->transfer_sent = raft_send(context, RAFT_TIMEOUT_NOW, &raft->transfer_to) != NULL;
}

/* A voter that has `index`, durably, and is in contact; of several the one that has most; or -1. */
static int voter_that_has(const struct raft_context *context, uint64_t index)
{
    const struct raft *raft = context->raft;
    int found = -1;
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_progress *progress = &raft->progress[i];
        struct instant silent = instant_add(progress->last_contact, raft->config.election);
        if (i == raft_self_index(raft) || !raft->members.member[i].voter || progress->down ||
            raft_counted_match(progress) < index || instant_reached(silent, context->now))
            continue;
        if (found < 0 || progress->match > raft->progress[found].match)
            found = i;
    }
    return found;
}

/*
 * The others commit without this leader's disk, till no snapshot of its own makes room any more.
 * Only if they do: else the successor would win no election, and renewals need no disk. A disk that
 * is slow but gets on is none of this.
 */
void raft_hand_over_hung(struct raft_context *context)
{
    struct raft *raft = context->raft;
    uint64_t durable = raft_durable_index(raft);
    int64_t bound_us = HUNG_ELECTIONS * raft->config.election.us;
    int successor;
    if (raft->unsynced_index <= durable) {
        raft->unsynced_index = durable < raft->last_index ? durable + 1 : 0;
        raft->unsynced_since = context->now;
        return;
    }
    if (bound_us < HUNG_LEAST_US)
        bound_us = HUNG_LEAST_US;
    if (!instant_reached(instant_add(raft->unsynced_since, span_from_us(bound_us)), context->now) ||
        raft->unsynced_index > raft->commit || !name_empty(&raft->transfer_to))
        return;
    successor = voter_that_has(context, raft->unsynced_index);
    if (successor < 0)
        return;
    raft->unsynced_since = context->now; /* the next try, if this one fails */
    raft->transfer_to = raft->members.member[successor].id;
    raft->transfer_sent = false;
    raft->transfer_until = instant_add(context->now, raft->config.election);
}

/*
 * Whom this leader lost may hear it all the same: all its words come late, or it is deaf. They
 * would wait for as long as the last of its heartbeats lets them. So one of them is told that it
 * leads no more. Not one that it hears: with that one it would be a minority, and raise a term that
 * the majority would have to obey.
 */
void raft_hand_over_lost(struct raft_context *context)
{
    const struct raft *raft = context->raft;
    const struct raft_member *successor = NULL;
    uint64_t best = 0;
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_progress *progress = &raft->progress[i];
        struct instant silent = instant_add(progress->last_contact, raft->config.election);
        if (i == raft_self_index(raft) || !raft->members.member[i].voter || progress->recovering ||
            !instant_reached(silent, context->now) || (successor && progress->match <= best))
            continue;
        successor = &raft->members.member[i];
        best = progress->match;
    }
    if (successor && best >= raft->commit)
        (void)raft_send(context, RAFT_TIMEOUT_NOW, &successor->id);
}

void raft_timeout_now_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    if (raft->role != RAFT_FOLLOWER || !name_equal(&raft->leader, &message->from) ||
        !raft_may_campaign(raft) || raft_log_room(raft) == 0)
        return;
    raft_change_role(context, RAFT_ROLE_TOLD_TO_CAMPAIGN);
}
