/*
 * A follower's side of replication: appends, heartbeats, and replies that wait for the disk.
 * Source: PROTOCOL.md, commit-within-verified, append-cuts-conflicts-only, durable-before-said,
 *   round-of-this-term.
 */
#include "raft/raft_internal.h"

/* Never past what this term's leader has verified; a log that shrank by corruption can't lie. */
static void learn_commit(struct raft *raft, uint64_t commit)
{
    uint64_t known = commit < raft->verified ? commit : raft->verified;
    if (known > raft->commit)
        raft->commit = known;
}

void raft_heartbeat_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft_message *reply;
    learn_commit(context->raft, message->commit);
    raft_recover_if_lost(context, message, false);
    /* Whoever has no say can't vouch that its leader still leads. */
    if (!raft_has_say(context->raft))
        return;
    reply = raft_send(context, RAFT_HEARTBEAT_REPLY, &message->from);
    if (reply)
        reply->round = message->round;
}

void raft_append_reply(struct raft_context *context)
{
    struct raft *raft = context->raft;
    uint64_t durable = raft_durable_index(raft);
    uint64_t match = raft->verified < durable ? raft->verified : durable;
    struct raft_message *reply;
    if (!raft->append_reply_due || raft->role != RAFT_FOLLOWER || name_empty(&raft->leader) ||
        raft->install_seq || !raft_hard_state_durable(raft))
        return;
    if (match < raft->verified && match <= raft->append_acknowledged)
        return;
    reply = raft_send(context, RAFT_APPEND_REPLY, &raft->leader);
    if (!reply)
        return;
    reply->success = true;
    reply->prev_index = raft->append_reply_prev;
    reply->nonce = raft->append_reply_nonce;
    reply->match_index = match;
    raft->append_acknowledged = match;
    raft->append_reply_due = match < raft->verified;
}

/* 5.3 of the Raft paper: one refusal per conflicting term, not per entry. */
static void refuse_append(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_message *reply = raft_send(context, RAFT_APPEND_REPLY, &message->from);
    uint64_t index = message->prev_index;
    if (!reply)
        return;
    reply->prev_index = message->prev_index;
    reply->nonce = message->nonce;
    if (index > raft->last_index) {
        reply->hint_index = raft->last_index + 1;
        return;
    }
    reply->hint_term = raft_term_at(raft, index);
    while (index > raft_floor(raft) + 1 && raft_term_at(raft, index - 1) == reply->hint_term)
        index--;
    reply->hint_index = index;
}

/* No entry can follow what this node was begun with: a snapshot is needed first. */
static void refuse_without_floor(struct raft_context *context, const struct raft_message *message)
{
    struct raft_message *reply = raft_send(context, RAFT_APPEND_REPLY, &message->from);
    if (!reply)
        return;
    reply->prev_index = message->prev_index;
    reply->nonce = message->nonce;
}

/*
 * Takes over entries above `matched`, which is known to match. Returns the last index that matches
 * now. What does not fit is not taken, hence not acknowledged, and comes again.
 */
static uint64_t take_entries(struct raft_context *context, const struct raft_message *message,
                             uint64_t matched)
{
    struct raft *raft = context->raft;
    for (uint8_t i = 0; i < message->entry_count; i++) {
        const struct raft_entry *entry = &message->entries[i];
        if (entry->index <= matched)
            continue;
        if (entry->index <= raft->last_index) {
            if (raft_term_at(raft, entry->index) == entry->term) {
                matched = entry->index;
                continue;
            }
            /* One leader never takes back what it verified: not a message to believe. */
            if (entry->index <= raft->verified)
                return matched;
            raft_log_truncate(context, entry->index);
        }
        /* Nor does its log go back in terms: above what was not compared, that is not said yet. */
        if (raft_log_room(raft) == 0 || entry->term < raft_term_at(raft, raft->last_index))
            return matched;
        raft_log_append(context, entry->term, entry->kind,
                        (struct bytes){ entry->data, entry->length });
        matched = entry->index;
    }
    return matched;
}

void raft_append_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    uint64_t matched = message->prev_index;
    if (raft->recovery.unproven > 0) {
        refuse_without_floor(context, message);
        return;
    }
    if (matched <= raft_floor(raft)) {
        /* Below the floor every leader has the same entries; they may be gone from memory. */
        matched = raft_floor(raft);
    } else if (matched > raft->last_index || raft_term_at(raft, matched) != message->prev_term) {
        raft_recover_if_lost(context, message, true);
        refuse_append(context, message);
        return;
    }
    matched = take_entries(context, message, matched);
    if (matched > raft->verified)
        raft->verified = matched;
    learn_commit(raft, message->commit);
    raft->append_reply_due = true;
    raft->append_reply_prev = message->prev_index;
    raft->append_reply_nonce = message->nonce;
    raft->append_acknowledged = raft_durable_index(raft);
    raft_append_reply(context);
}
