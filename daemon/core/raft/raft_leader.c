/*
 * A leader's side of replication: progress of each peer, proposals, commit.
 * Source: 3.5, 3.6.2, 6.2, 10.2.1 (appends leave before the leader's own disk is done).
 */
#include <string.h>

#include "raft/raft_internal.h"

/* What was sent or said before no longer tells how to go on. */
void raft_progress_probe(struct raft *raft, struct raft_progress *progress, uint64_t next)
{
    progress->state = RAFT_PROBE;
    progress->next = next;
    progress->inflight = 0;
    progress->paused = false;
    progress->nonce = raft_nonce(raft);
}

void raft_progress_replicate(struct raft_context *context, struct raft_progress *progress)
{
    progress->state = RAFT_REPLICATE;
    progress->next = progress->match + 1;
    progress->inflight = 0;
    progress->resend_at = instant_add(context->now, context->raft->config.election);
}

void raft_progress_begin(struct raft *raft, struct raft_progress *progress)
{
    memset(progress, 0, sizeof(*progress));
    raft_progress_probe(raft, progress, raft->last_index + 1);
}

void raft_lead(struct raft_context *context)
{
    struct raft *raft = context->raft;
    raft->leader = raft->config.self;
    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        raft_progress_begin(raft, &raft->progress[i]);
        raft->progress[i].last_contact = context->now;
        raft->progress[i].down = true;
    }
    raft_confirm_begin_lead(raft);
    raft_log_append(context, raft->term, RAFT_ENTRY_NOOP, (struct bytes){ NULL, 0 });
    raft->noop_index = raft->last_index;
    raft->unsynced_index = 0;
    raft->heartbeat_at = instant_add(context->now, raft->config.heartbeat);
    context->heartbeats_due = true;
}

struct instant raft_quorum_until(const struct raft *raft)
{
    uint64_t contact_us[HF_ISSUERS_MAX] = { 0 };
    int self = raft_self_index(raft);
    uint64_t latest_us;
    for (int i = 0; i < raft->members.count; i++)
        contact_us[i] = i == self ? INT64_MAX : (uint64_t)raft->progress[i].last_contact.us;
    latest_us = raft_majority_value(&raft->members, contact_us);
    return instant_add((struct instant){ (int64_t)latest_us }, raft->config.election);
}

bool raft_has_quorum(const struct raft *raft, struct instant now)
{
    return raft->role == RAFT_LEADER && !instant_reached(raft_quorum_until(raft), now);
}

/* What may have been lost is tried again; probes go out once per heartbeat. */
static void retry_peers(struct raft_context *context)
{
    struct raft *raft = context->raft;
    for (int i = 0; i < raft->members.count; i++) {
        struct raft_progress *progress = &raft->progress[i];
        progress->paused = false;
        if (progress->state == RAFT_REPLICATE && progress->inflight > 0 &&
            instant_reached(progress->resend_at, context->now))
            raft_progress_probe(raft, progress, progress->match + 1);
    }
}

void raft_leader_timer(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    (void)event;
    if (!raft_has_quorum(raft, context->now)) {
        raft_hand_over_lost(context);
        raft_change_role(context, RAFT_ROLE_QUORUM_LOST);
        return;
    }
    if (instant_reached(raft->transfer_until, context->now))
        raft->transfer_to = (struct hf_name){ { 0 } };
    if (!instant_reached(raft->heartbeat_at, context->now))
        return;
    raft->heartbeat_at = instant_add(context->now, raft->config.heartbeat);
    context->heartbeats_due = true;
    retry_peers(context);
}

enum raft_refusal raft_judge_room(const struct raft *raft)
{
    if (raft->last_index - raft->commit >= RAFT_UNCOMMITTED_MAX)
        return RAFT_LOG_FULL;
    /* The last places are kept for the first entries of leaders to come. */
    return raft_log_room(raft) > RAFT_APPEND_MAX ? RAFT_ACCEPTED : RAFT_STORE_BEHIND;
}

void raft_propose(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    HF_CHECK(event->command.length > 0 && event->command.length <= RAFT_ENTRY_DATA_MAX);
    if (!raft->serving) {
        context->out->refusal = RAFT_NOT_LEADER;
    } else if (!name_empty(&raft->transfer_to)) {
        context->out->refusal = RAFT_TRANSFERRING;
    } else if (raft_judge_room(raft) != RAFT_ACCEPTED) {
        context->out->refusal = raft_judge_room(raft);
    } else {
        raft_log_append(context, raft->term, RAFT_ENTRY_COMMAND, event->command);
        context->out->proposed_index = raft->last_index;
    }
}

static void free_inflight(struct raft_context *context, struct raft_progress *progress)
{
    uint8_t freed = 0;
    while (freed < progress->inflight && progress->inflight_last[freed] <= progress->match)
        freed++;
    if (freed == 0)
        return;
    progress->inflight = (uint8_t)(progress->inflight - freed);
    memmove(progress->inflight_last, progress->inflight_last + freed,
            progress->inflight * sizeof(progress->inflight_last[0]));
    progress->resend_at = instant_add(context->now, context->raft->config.election);
}

static void append_succeeded(struct raft_context *context, struct raft_progress *progress,
                             const struct raft_message *reply)
{
    struct raft *raft = context->raft;
    if (reply->match_index > raft->last_index)
        return;
    if (reply->match_index > progress->match)
        progress->match = reply->match_index;
    raft_note_promise(raft, reply, reply->match_index);
    switch (progress->state) {
    case RAFT_PROBE:
        /* Of before a restart, it says what is on the disk, but not what is verified since. */
        if (reply->nonce == progress->nonce)
            raft_progress_replicate(context, progress);
        break;
    case RAFT_REPLICATE:
        free_inflight(context, progress);
        if (progress->next <= progress->match)
            progress->next = progress->match + 1;
        break;
    case RAFT_SNAPSHOT:
        if (progress->match + 1 >= raft->first_index)
            raft_progress_replicate(context, progress);
        break;
    case RAFT_PROGRESS_STATES:
        hf_panic(__FILE__, __LINE__, "no such progress state");
    }
}

/*
 * Where to try next: behind our last entry of the conflicting term if we have one, else where that
 * term begins at the follower.
 */
static uint64_t next_by_hint(const struct raft *raft, const struct raft_message *reply)
{
    uint64_t index = reply->prev_index < raft->last_index ? reply->prev_index : raft->last_index;
    if (reply->hint_term == 0)
        return reply->hint_index;
    while (index >= raft->first_index && raft_term_at(raft, index) > reply->hint_term)
        index--;
    return raft_term_at(raft, index) == reply->hint_term ? index + 1 : reply->hint_index;
}

static void append_refused(struct raft_context *context, struct raft_progress *progress,
                           const struct raft_message *reply)
{
    uint64_t next = next_by_hint(context->raft, reply);
    if (progress->state == RAFT_SNAPSHOT)
        return;
    if (reply->hint_index == 0 && reply->recovering) {
        raft_snapshot_begin(progress);
        return;
    }
    if (reply->prev_index <= progress->match)
        return;
    if (progress->state == RAFT_PROBE &&
        (reply->prev_index != progress->next - 1 || reply->nonce != progress->nonce))
        return; /* answers an older probe */
    raft_progress_probe(context->raft, progress, progress->match + 1);
    if (next > reply->prev_index)
        next = reply->prev_index;
    if (next > progress->next)
        progress->next = next;
}

void raft_append_reply_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress =
        &raft->progress[raft_member_index(&raft->members, &message->from)];
    if (message->success)
        append_succeeded(context, progress, message);
    else
        append_refused(context, progress, message);
}

void raft_peer_down(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    int peer = raft_member_index(&raft->members, &event->peer);
    if (peer < 0 || peer == raft_self_index(raft))
        return;
    raft->progress[peer].down = true;
    if (raft->progress[peer].state == RAFT_SNAPSHOT) {
        raft->progress[peer].resend_at = context->now;
    } else {
        raft_progress_probe(raft, &raft->progress[peer], raft->progress[peer].match + 1);
        raft->progress[peer].paused = true; /* nobody hears one before the next heartbeat */
    }
}

/*
 * 3.6.2: only an entry of this term commits by counting; older ones commit with it. PROTOCOL.md,
 * commit-by-term.
 */
void raft_advance_commit(struct raft_context *context)
{
    struct raft *raft = context->raft;
    uint64_t match[HF_ISSUERS_MAX] = { 0 };
    int self = raft_self_index(raft);
    uint64_t reached;
    for (int i = 0; i < raft->members.count; i++)
        match[i] = i == self ? raft_durable_index(raft) : raft_counted_match(&raft->progress[i]);
    reached = raft_majority_value(&raft->members, match);
    if (reached > raft->commit && raft_term_at(raft, reached) == raft->term)
        raft->commit = reached;
}

/* How many entries from `next` on go into one message: they lie side by side in the ring. */
static uint8_t append_count(const struct raft *raft, uint64_t next)
{
    uint64_t count = raft->last_index + 1 - next;
    uint64_t to_end = RAFT_LOG_MAX - next % RAFT_LOG_MAX;
    if (count > to_end)
        count = to_end;
    return (uint8_t)(count > RAFT_APPEND_MAX ? RAFT_APPEND_MAX : count);
}

static bool may_append(const struct raft *raft, const struct raft_progress *progress)
{
    if (progress->state == RAFT_PROBE)
        return !progress->paused;
    return progress->state == RAFT_REPLICATE && progress->next <= raft->last_index &&
           progress->inflight < RAFT_INFLIGHT_MAX;
}

static bool send_append(struct raft_context *context, int peer)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress = &raft->progress[peer];
    struct raft_message *message;
    if (!may_append(raft, progress))
        return false;
    message = raft_send(context, RAFT_APPEND_REQUEST, &raft->members.member[peer].id);
    if (!message)
        return false;
    message->prev_index = progress->next - 1;
    message->prev_term = raft_term_at(raft, message->prev_index);
    message->match_index = raft_counted_match(progress);
    message->nonce = progress->nonce;
    message->entry_count = append_count(raft, progress->next);
    if (message->entry_count > 0)
        message->entries = raft_log_slot(raft, progress->next);
    message->commit = message->prev_index + message->entry_count;
    if (message->commit > raft->commit)
        message->commit = raft->commit;
    if (progress->state == RAFT_PROBE) {
        progress->paused = true;
        return false;
    }
    if (progress->inflight == 0)
        progress->resend_at = instant_add(context->now, raft->config.election);
    progress->next += message->entry_count;
    progress->inflight_last[progress->inflight++] = progress->next - 1;
    return true;
}

static void replicate_to(struct raft_context *context, int peer)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress = &raft->progress[peer];
    if (progress->state != RAFT_SNAPSHOT && progress->next < raft->first_index)
        raft_snapshot_begin(progress);
    if (progress->state == RAFT_SNAPSHOT) {
        raft_snapshot_send(context, peer);
        return;
    }
    for (int i = 0; i < RAFT_INFLIGHT_MAX && send_append(context, peer); i++)
        ;
}

void raft_replicate(struct raft_context *context)
{
    struct raft *raft = context->raft;
    for (int i = 0; i < raft->members.count; i++) {
        if (i != raft_self_index(raft))
            replicate_to(context, i);
    }
}
