/*
 * Snapshots: taken here, sent in chunks, received, installed. Source: 5.1 to 5.3; PROTOCOL.md,
 * snapshot-for-laggard and snapshot-goes-forward.
 *
 * An install replaces the log in memory and hands the snapshot to the store in the same step, so
 * that whatever is appended afterwards follows it in both. The state machine is replaced, and the
 * leader told, only when the store has it.
 */
#include <string.h>

#include "raft/raft_internal.h"

static bool lies_in_buffer(const struct raft *raft, struct bytes bytes)
{
    uintptr_t start = (uintptr_t)raft->config.snapshot_buffer;
    uintptr_t data = (uintptr_t)bytes.data;
    return bytes.data && data >= start && data < start + raft->config.snapshot_capacity;
}

static bool needed_by_follower(const struct raft *raft)
{
    if (raft->role != RAFT_LEADER || raft->snapshot.data)
        return false;
    for (int i = 0; i < raft->members.count; i++) {
        if (raft->progress[i].state == RAFT_SNAPSHOT)
            return true;
    }
    return false;
}

bool raft_wants_snapshot(const struct raft *raft)
{
    if (raft->role == RAFT_HALTED || raft->compact_seq || raft->install_seq)
        return false;
    return raft->applied - raft->snapshot_durable >= RAFT_COMPACT_AT || needed_by_follower(raft);
}

static void persist_snapshot(struct raft_context *context, bool keep_log)
{
    struct raft *raft = context->raft;
    struct raft_persist *persist = raft_persist_open(context);
    persist->snapshot = true;
    persist->snapshot_index = raft->snapshot_index;
    persist->snapshot_term = raft->snapshot_term;
    persist->members = raft->snapshot_members;
    persist->snapshot_bytes = raft->snapshot;
    persist->keep_log = keep_log;
}

void raft_compact(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    HF_CHECK(event->snapshot.data && !lies_in_buffer(raft, event->snapshot));
    /* An installed snapshot is newer than this one; and without an applied entry there is nothing in it. */
    if (raft->install_seq || raft->applied == 0)
        return;
    raft->snapshot = event->snapshot;
    raft->snapshot_index = raft->applied;
    raft->snapshot_term = raft_term_at(raft, raft->applied);
    (void)raft_members_as_of(raft, raft->applied, &raft->snapshot_members);
    persist_snapshot(context, true);
    raft->compact_seq = context->out->persist.seq;
    raft->compact_index = raft->applied;
}

void raft_snapshot_begin(struct raft_progress *progress)
{
    progress->state = RAFT_SNAPSHOT;
    progress->inflight = 0;
    progress->snapshot_index = 0;
}

void raft_snapshot_send(struct raft_context *context, int peer)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress = &raft->progress[peer];
    struct raft_message *message;
    size_t left;
    if (!raft->snapshot.data)
        return;
    if (progress->snapshot_index != raft->snapshot_index) {
        progress->snapshot_index = raft->snapshot_index;
        progress->snapshot_offset = 0;
        progress->resend_at = context->now;
    }
    if (!instant_reached(progress->resend_at, context->now))
        return;
    message = raft_send(context, RAFT_SNAPSHOT_REQUEST, &raft->members.member[peer].id);
    if (!message)
        return;
    left = raft->snapshot.length - (size_t)progress->snapshot_offset;
    message->match_index = raft_counted_match(progress);
    message->snapshot_index = raft->snapshot_index;
    message->snapshot_term = raft->snapshot_term;
    message->offset = progress->snapshot_offset;
    message->total = raft->snapshot.length;
    message->members = &raft->snapshot_members;
    message->chunk.data = raft->snapshot.data + progress->snapshot_offset;
    message->chunk.length = left < RAFT_SNAPSHOT_CHUNK ? left : RAFT_SNAPSHOT_CHUNK;
    progress->resend_at =
        instant_add(context->now, span_add(raft->config.heartbeat, raft->config.heartbeat));
}

void raft_snapshot_reply_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress =
        &raft->progress[raft_member_index(&raft->members, &message->from)];
    if (message->installed && message->snapshot_index <= raft->commit) {
        if (message->snapshot_index > progress->match)
            progress->match = message->snapshot_index;
        raft_note_promise(raft, message, message->snapshot_index);
        if (progress->state == RAFT_SNAPSHOT && progress->match + 1 >= raft->first_index)
            raft_progress_replicate(context, progress);
        return;
    }
    if (message->installed || progress->state != RAFT_SNAPSHOT ||
        message->snapshot_index != progress->snapshot_index ||
        message->offset == progress->snapshot_offset || message->offset > raft->snapshot.length)
        return;
    /* Back as well as forth: a receiver that restarted begins again. */
    progress->snapshot_offset = message->offset;
    progress->resend_at = context->now;
}

void raft_snapshot_reply(struct raft_context *context)
{
    struct raft *raft = context->raft;
    struct raft_message *reply;
    if (raft->snapshot_reply_index == 0 || raft->role != RAFT_FOLLOWER ||
        name_empty(&raft->leader) || !raft_hard_state_durable(raft) ||
        raft_durable_index(raft) < raft->snapshot_reply_index)
        return;
    reply = raft_send(context, RAFT_SNAPSHOT_REPLY, &raft->leader);
    if (!reply)
        return;
    reply->snapshot_index = raft->snapshot_reply_index;
    reply->installed = true;
    raft->snapshot_reply_index = 0;
}

static void want_offset(struct raft_context *context, const struct raft_message *request,
                        uint64_t offset)
{
    struct raft_message *reply = raft_send(context, RAFT_SNAPSHOT_REPLY, &request->from);
    if (!reply)
        return;
    reply->snapshot_index = request->snapshot_index;
    reply->offset = offset;
}

static void install(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    raft->snapshot = (struct bytes){ raft->config.snapshot_buffer, (size_t)message->total };
    raft->snapshot_index = message->snapshot_index;
    raft->snapshot_term = message->snapshot_term;
    raft->snapshot_members = *message->members;
    raft->receiving_index = 0;
    raft->compact_seq = 0;
    raft->append_reply_due = false;
    raft->recovery.unproven = 0;
    raft_log_reset(raft, message->snapshot_index, message->snapshot_term, message->members);
    raft_members_follow_log(context);
    raft->verified = message->snapshot_index;
    persist_snapshot(context, false);
    raft->install_seq = context->out->persist.seq;
    raft->snapshot_reply_index = message->snapshot_index;
}

static bool same_as_receiving(const struct raft *raft, const struct raft_message *message)
{
    return message->snapshot_index == raft->receiving_index &&
           message->snapshot_term == raft->receiving_term &&
           message->total == raft->receiving_total;
}

/* False if this chunk begins nothing: it is of an older snapshot, too large, or not the first. */
static bool begin_receiving(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    if (message->snapshot_index < raft->receiving_index)
        return false;
    if (message->offset != 0 || message->total > raft->config.snapshot_capacity) {
        want_offset(context, message, 0);
        return false;
    }
    if (lies_in_buffer(raft, raft->snapshot))
        raft->snapshot = (struct bytes){ NULL, 0 };
    raft->receiving_index = message->snapshot_index;
    raft->receiving_term = message->snapshot_term;
    raft->receiving_total = message->total;
    raft->receiving_bytes = 0;
    return true;
}

/* The log has all that the snapshot covers: no need to replace anything. */
static void already_there(struct raft_context *context, uint64_t index)
{
    struct raft *raft = context->raft;
    raft->receiving_index = 0;
    if (index > raft->verified)
        raft->verified = index;
    if (index > raft->commit)
        raft->commit = index;
    raft->snapshot_reply_index = index;
    raft_snapshot_reply(context);
}

void raft_snapshot_request_received(struct raft_context *context,
                                    const struct raft_message *message)
{
    struct raft *raft = context->raft;
    if (raft->install_seq)
        return;
    raft_recover_if_lost(context, message, false);
    if (raft->recovery.unproven > 0) {
        /* What is stored can't go back; a leader that goes on will have a later one. */
        if (message->snapshot_index < raft->recovery.unproven)
            return;
    } else if (message->snapshot_index <= raft->commit ||
               raft_term_at(raft, message->snapshot_index) == message->snapshot_term) {
        already_there(context, message->snapshot_index);
        return;
    }
    if (!same_as_receiving(raft, message) && !begin_receiving(context, message))
        return;
    if (message->offset == raft->receiving_bytes) {
        if (message->chunk.length > 0)
            memcpy(raft->config.snapshot_buffer + message->offset, message->chunk.data,
                   message->chunk.length);
        raft->receiving_bytes += message->chunk.length;
    }
    if (raft->receiving_bytes == raft->receiving_total)
        install(context, message);
    else
        want_offset(context, message, raft->receiving_bytes);
}

static void installed(struct raft_context *context)
{
    struct raft *raft = context->raft;
    raft->install_seq = 0;
    raft->snapshot_durable = raft->snapshot_index;
    raft->applied = raft->snapshot_index;
    if (raft->commit < raft->snapshot_index)
        raft->commit = raft->snapshot_index;
    context->out->restore = true;
    context->out->restore_index = raft->snapshot_index;
    context->out->restore_bytes = raft->snapshot;
}

static void compacted(struct raft *raft)
{
    raft->compact_seq = 0;
    raft->snapshot_durable = raft->compact_index;
    if (raft->compact_index > RAFT_TRAILING + raft->first_index - 1)
        raft_log_drop_prefix(raft, raft->compact_index - RAFT_TRAILING);
}

void raft_snapshot_persisted(struct raft_context *context)
{
    struct raft *raft = context->raft;
    if (raft->install_seq && raft->install_seq <= raft->persisted_seq)
        installed(context);
    if (raft->compact_seq && raft->compact_seq <= raft->persisted_seq)
        compacted(raft);
}
