/*
 * Heartbeats, and the confirmation rounds that ride on them: proof that a majority of the voters,
 * asked after the request came in, still knew this leader's term. Source: 6.4 (ReadIndex);
 * PROTOCOL.md, round-after-receipt, own-round-numbers, answer-speaks-backwards, rounds-ride-heartbeats.
 *
 * A request starts a round at once if none is in flight; else with the next heartbeats that go out,
 * or as soon as none is in flight. So several may be in flight where answers take longer than a
 * heartbeat interval, no request waits for the answers of a round that can't speak for it, and no
 * message is sent for it that would not be sent anyway. An answer speaks for all rounds before it:
 * it was given later than each of them was asked for.
 */
#include "raft/raft_internal.h"

static bool round_in_flight(const struct raft *raft)
{
    return raft->round_confirmed < raft->round;
}

static void start_round(struct raft_context *context)
{
    context->raft->round++;
    context->raft->round_wanted = false;
    context->heartbeats_due = true;
}

/* Round numbers promised in an earlier term are never used again. */
void raft_confirm_begin_lead(struct raft *raft)
{
    if (raft->round_wanted)
        raft->round++;
    raft->round_wanted = false;
    raft->round_confirmed = raft->round;
}

void raft_confirm(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    (void)event;
    if (!raft->serving) {
        context->out->refusal = RAFT_NOT_LEADER;
        return;
    }
    /* The round in flight was asked before this request came in, so it can't speak for it. */
    if (round_in_flight(raft))
        raft->round_wanted = true;
    else
        start_round(context);
    context->out->requested_round = raft->round + (raft->round_wanted ? 1 : 0);
}

void raft_heartbeat_reply_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress =
        &raft->progress[raft_member_index(&raft->members, &message->from)];
    if (message->round <= raft->round && message->round > progress->confirmed_round)
        progress->confirmed_round = message->round;
}

/* Each voter counts once, however often it answers. */
void raft_count_round(struct raft_context *context)
{
    struct raft *raft = context->raft;
    uint64_t rounds[HF_ISSUERS_MAX] = { 0 };
    int self = raft_self_index(raft);
    if (!round_in_flight(raft))
        return;
    for (int i = 0; i < raft->members.count; i++)
        rounds[i] = i == self ? raft->round : raft->progress[i].confirmed_round;
    uint64_t confirmed = raft_majority_value(&raft->members, rounds);
    if (confirmed <= raft->round_confirmed)
        return;
    raft->round_confirmed = confirmed;
    context->out->confirmed_round = confirmed;
    if (raft->round_wanted && !round_in_flight(raft))
        start_round(context);
}

void raft_send_heartbeats(struct raft_context *context)
{
    struct raft *raft = context->raft;
    /* They leave anyway, so they carry what waits for a round, whatever is in flight. */
    if (raft->round_wanted)
        start_round(context);
    for (int i = 0; i < raft->members.count; i++) {
        struct raft_message *message;
        if (i == raft_self_index(raft))
            continue;
        message = raft_send(context, RAFT_HEARTBEAT, &raft->members.member[i].id);
        if (!message)
            return;
        message->match_index = raft_counted_match(&raft->progress[i]);
        message->round = round_in_flight(raft) ? raft->round : 0;
        message->commit =
            raft->progress[i].match < raft->commit ? raft->progress[i].match : raft->commit;
    }
}
