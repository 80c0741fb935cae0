/*
 * The gate: which messages are heard, what their term means, and who handles them. PROTOCOL.md,
 * peers-never-abort and old-term-ignored.
 */
#include <string.h>

#include "raft/raft_internal.h"

/* What such a message says of the sender's memory, see below. */
static bool speaks_of_loss(enum raft_message_kind kind)
{
    return kind == RAFT_APPEND_REPLY || kind == RAFT_SNAPSHOT_REPLY || kind == RAFT_RECOVER ||
           kind == RAFT_RECOVER_REPLY;
}

struct raft_message *raft_send(struct raft_context *context, enum raft_message_kind kind,
                               const struct hf_name *to)
{
    struct raft_output *out = context->out;
    struct raft_message *message;
    if (out->message_count == RAFT_MESSAGES_MAX ||
        (speaks_of_loss(kind) && !raft_loss_durable(context->raft)))
        return NULL;
    message = &out->messages[out->message_count++];
    memset(message, 0, sizeof(*message));
    message->kind = kind;
    message->from = context->raft->config.self;
    message->to = *to;
    message->term = context->raft->term;
    message->recovering =
        (kind == RAFT_APPEND_REPLY || kind == RAFT_SNAPSHOT_REPLY) && !raft_has_say(context->raft);
    if (message->recovering || kind == RAFT_RECOVER || kind == RAFT_RECOVER_REPLY)
        message->life = raft_has_say(context->raft) ? 0 : context->raft->life;
    return message;
}

static bool entries_well_formed(const struct raft_message *message)
{
    uint64_t term = message->prev_term;
    if (message->entry_count > RAFT_APPEND_MAX || (message->entry_count > 0 && !message->entries))
        return false;
    for (uint8_t i = 0; i < message->entry_count; i++) {
        const struct raft_entry *entry = &message->entries[i];
        if (entry->index != message->prev_index + 1 + i || entry->length > RAFT_ENTRY_DATA_MAX ||
            entry->kind >= RAFT_ENTRY_KINDS || entry->term < term || entry->term > message->term)
            return false;
        if (entry->kind == RAFT_ENTRY_MEMBERS &&
            !raft_members_readable((struct bytes){ entry->data, entry->length }))
            return false;
        term = entry->term;
    }
    return true;
}

static bool chunk_well_formed(const struct raft_message *message)
{
    uint64_t length = message->chunk.length;
    return length <= RAFT_SNAPSHOT_CHUNK && (length == 0 || message->chunk.data) &&
           message->offset <= message->total && length <= message->total - message->offset &&
           message->snapshot_index > 0 && message->snapshot_term > 0 &&
           message->snapshot_term <= message->term && message->members &&
           message->members->count <= HF_ISSUERS_MAX && raft_voter_count(message->members) > 0;
}

/* Numbers stay far from the end, so that sums of two of them never wrap. */
static bool numbers_in_range(const struct raft_message *message)
{
    const uint64_t limit = INT64_MAX;
    return message->term < limit && message->prev_index < limit && message->last_index < limit &&
           message->match_index < limit && message->snapshot_index < limit &&
           message->hint_index < limit;
}

static bool is_of_recovery(const struct raft_message *message)
{
    return message->kind == RAFT_RECOVER || message->kind == RAFT_RECOVER_REPLY;
}

/* Whether only a leader sends this kind, and which reply tells a leader of an old term so. */
struct gate_row {
    bool from_leader;
    bool to_leader;
    bool from_member; /* heard from members only: it is counted */
    bool reply_to_old;
    enum raft_message_kind old_reply;
    void (*handle)(struct raft_context *context, const struct raft_message *message);
};

static const struct gate_row gate[RAFT_MESSAGE_KINDS] = {
    [RAFT_VOTE_REQUEST] = { .handle = raft_vote_request_received },
    [RAFT_VOTE_REPLY] = { .from_member = true, .handle = raft_vote_reply_received },
    [RAFT_APPEND_REQUEST] = { .from_leader = true,
                              .reply_to_old = true,
                              .old_reply = RAFT_APPEND_REPLY,
                              .handle = raft_append_received },
    [RAFT_APPEND_REPLY] = { .to_leader = true,
                            .from_member = true,
                            .handle = raft_append_reply_received },
    [RAFT_HEARTBEAT] = { .from_leader = true,
                         .reply_to_old = true,
                         .old_reply = RAFT_HEARTBEAT_REPLY,
                         .handle = raft_heartbeat_received },
    [RAFT_HEARTBEAT_REPLY] = { .to_leader = true,
                               .from_member = true,
                               .handle = raft_heartbeat_reply_received },
    [RAFT_SNAPSHOT_REQUEST] = { .from_leader = true,
                                .reply_to_old = true,
                                .old_reply = RAFT_SNAPSHOT_REPLY,
                                .handle = raft_snapshot_request_received },
    [RAFT_SNAPSHOT_REPLY] = { .to_leader = true,
                              .from_member = true,
                              .handle = raft_snapshot_reply_received },
    [RAFT_TIMEOUT_NOW] = { .handle = raft_timeout_now_received },
    [RAFT_RECOVER] = { .handle = raft_recover_received },
    [RAFT_RECOVER_REPLY] = { .handle = raft_recover_reply_received },
};

/*
 * 4.2.2: requests are heard whoever sends them, since a candidate or leader may know of a newer
 * configuration. Whether the sender is an issuer at all is the caller's to know.
 */
static bool acceptable(const struct raft *raft, const struct raft_message *message)
{
    if (!name_equal(&message->to, &raft->config.self) ||
        name_equal(&message->from, &raft->config.self) || name_empty(&message->from) ||
        !numbers_in_range(message) || message->kind >= RAFT_MESSAGE_KINDS)
        return false;
    /* Only who never had a term may have none. */
    if (message->term == 0 && !is_of_recovery(message))
        return false;
    if (gate[message->kind].from_member && raft_member_index(&raft->members, &message->from) < 0)
        return false;
    if (message->kind == RAFT_APPEND_REQUEST)
        return entries_well_formed(message);
    return message->kind != RAFT_SNAPSHOT_REQUEST || chunk_well_formed(message);
}

/* False if the message can't be from this term's leader: another is known, perhaps ourselves. */
static bool hear_leader(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    if (!name_empty(&raft->leader) && !name_equal(&raft->leader, &message->from))
        return false;
    raft_change_role(context, RAFT_ROLE_LEADER_SEEN);
    raft->leader = message->from;
    raft->leader_contact = context->now;
    return true;
}

/* An answer to a pre-vote carries the term that was asked about, which nobody has entered yet. */
static bool judges_its_own_term(const struct raft_message *message)
{
    return message->kind == RAFT_VOTE_REQUEST || is_of_recovery(message) ||
           (message->kind == RAFT_VOTE_REPLY && message->pre && message->granted);
}

static void handle_in_term(struct raft_context *context, const struct raft_message *message)
{
    const struct gate_row *row = &gate[message->kind];
    struct raft *raft = context->raft;
    if (row->from_leader && !hear_leader(context, message))
        return;
    if (row->to_leader) {
        struct raft_progress *progress;
        if (raft->role != RAFT_LEADER)
            return;
        progress = &raft->progress[raft_member_index(&raft->members, &message->from)];
        raft_note_memory(context, progress, message);
        progress->down = false;
        if (!message->recovering)
            progress->last_contact = context->now;
    }
    row->handle(context, message);
}

void raft_receive(struct raft_context *context, const struct raft_event *event)
{
    const struct raft_message *message = event->message;
    struct raft *raft = context->raft;
    if (!acceptable(raft, message))
        return;
    if (judges_its_own_term(message)) {
        gate[message->kind].handle(context, message);
        return;
    }
    /* Before it is sure that the cluster is a new one, it takes nothing in. */
    if (raft->recovery.standing == RAFT_UNSURE)
        return;
    if (message->term < raft->term) {
        /* Without a memory no heartbeat is answered, in whatever term. */
        if (gate[message->kind].reply_to_old &&
            (raft_has_say(raft) || message->kind != RAFT_HEARTBEAT))
            (void)raft_send(context, gate[message->kind].old_reply, &message->from);
        return;
    }
    if (message->term > raft->term) {
        raft_enter_term(context, message->term);
        raft_change_role(context, RAFT_ROLE_HIGHER_TERM);
    }
    handle_in_term(context, message);
}
