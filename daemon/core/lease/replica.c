#include "lease/replica.h"

#include <string.h>

#include "base/check.h"
#include "lease/codec.h"

/*
 * One step. Raft and issuer take turns: a raft step leaves entries and rounds to be handled, an
 * issuer step leaves proposals for raft. Entries are applied before raft is stepped again.
 */
struct turn {
    struct replica *replica;
    struct instant now;
    int64_t wall_us;
    struct replica_output *out;
    bool raft_left; /* raft_out holds entries, a restore or a round not handled yet */
    struct instant issuer_wake_at;
    size_t proposals; /* of the issuer, accepted */
};

/* ---- raft */

static void keep_messages(struct turn *turn, const struct raft_output *from)
{
    struct replica_output *out = turn->out;
    for (size_t i = 0; i < from->message_count; i++) {
        /* There is always room: see room_for_raft(). */
        HF_CHECK(out->raft_message_count < REPLICA_RAFT_MESSAGES_MAX);
        out->raft_message[out->raft_message_count++] = from->messages[i];
    }
}

static void step_raft(struct turn *turn, const struct raft_event *event)
{
    struct replica *replica = turn->replica;
    struct raft_output *from = &replica->raft_out;
    HF_CHECK(!turn->raft_left);
    raft_step(&replica->raft, event, turn->now, from);
    if (from->persist.wanted) {
        HF_CHECK(turn->out->persist_count < REPLICA_PERSISTS_MAX);
        turn->out->persist[turn->out->persist_count++] = from->persist;
    }
    keep_messages(turn, from);
    replica->raft_wake_at = from->wake_at;
    turn->out->role_changed = turn->out->role_changed || from->role_changed;
    turn->out->members_changed = turn->out->members_changed || from->members_changed;
    if (!name_empty(&from->forgetful))
        turn->out->forgetful = from->forgetful;
    if (from->confirmed_round > turn->out->confirmed_round)
        turn->out->confirmed_round = from->confirmed_round;
    turn->raft_left = from->restore || from->apply_last >= from->apply_first ||
                      from->serving_began || from->role_changed || from->confirmed_round != 0;
}

static bool room_for_raft(const struct turn *turn)
{
    return turn->out->persist_count < REPLICA_PERSISTS_MAX - 1 &&
           turn->out->raft_message_count + (size_t)2 * RAFT_MESSAGES_MAX <=
               REPLICA_RAFT_MESSAGES_MAX;
}

static void halt(struct turn *turn, const char *why)
{
    const struct raft_event failed = { .kind = RAFT_EVENT_STORE_FAILED };
    turn->replica->halted = why;
    turn->raft_left = false;
    step_raft(turn, &failed);
    turn->raft_left = false;
}

/* ---- issuer */

static void keep_send(struct turn *turn, const struct issuer_action *action)
{
    struct replica_output *out = turn->out;
    if (out->client_send_count == REPLICA_SENDS_MAX)
        return; /* as if the network had lost it */
    struct replica_send *send = &out->client_send[out->client_send_count++];
    send->node = action->node;
    send->message = action->message;
}

/* Returns the entry's index, 0 if it was refused. */
static uint64_t propose(struct turn *turn, struct lease_command *command,
                        const struct hf_name *payer)
{
    uint8_t bytes[RAFT_ENTRY_DATA_MAX];
    if (turn->raft_left || !room_for_raft(turn)) {
        turn->out->refusal = RAFT_LOG_FULL;
        return 0;
    }
    command->wall_us = turn->wall_us;
    command->payer = *payer;
    size_t length = lease_command_encode(command, bytes, sizeof(bytes));
    HF_CHECK(length > 0);
    const struct raft_event event = { .kind = RAFT_EVENT_PROPOSE, .command = { bytes, length } };
    step_raft(turn, &event);
    turn->out->refusal = turn->replica->raft_out.refusal;
    if (turn->out->refusal != RAFT_ACCEPTED)
        return 0;
    /* The first goes to the disk alone, what follows while that is written with the second. */
    issuer_charge(&turn->replica->issuer, payer, budget_entry_bytes(length, turn->proposals++ < 2),
                  turn->now);
    return turn->replica->raft_out.proposed_index;
}

/* Returns the round, 0 if it was refused. */
static uint64_t confirm(struct turn *turn)
{
    const struct raft_event event = { .kind = RAFT_EVENT_CONFIRM };
    if (turn->raft_left || !room_for_raft(turn))
        return 0;
    step_raft(turn, &event);
    bool accepted = turn->replica->raft_out.refusal == RAFT_ACCEPTED;
    return accepted ? turn->replica->raft_out.requested_round : 0;
}

static void step_issuer(struct turn *turn, const struct issuer_event *event)
{
    struct replica *replica = turn->replica;
    struct issuer_output *from = &replica->issuer_out;
    issuer_step(&replica->issuer, event, turn->now, from);
    turn->issuer_wake_at = from->wake_at;
    for (size_t i = 0; i < from->count; i++) {
        struct issuer_action *action = &from->action[i];
        switch (action->kind) {
        case ISSUER_SEND:
            keep_send(turn, action);
            break;
        case ISSUER_PROPOSE:
            issuer_proposed(&replica->issuer, &action->command,
                            propose(turn, &action->command, &action->payer), turn->now);
            break;
        case ISSUER_CONFIRM:
            issuer_round_asked(&replica->issuer, confirm(turn));
            break;
        }
    }
}

/* ---- what raft left */

static void keep_history(struct turn *turn, uint64_t from)
{
    const struct lease_table *table = &turn->replica->table;
    for (uint64_t n = from; n < table->history_total; n++) {
        if (turn->out->history_count == REPLICA_HISTORY_MAX)
            return;
        turn->out->history[turn->out->history_count++] = table->history[n % HF_HISTORY_MAX];
    }
}

/* Returns false if the entry cannot be read. */
static bool apply_command(struct turn *turn, const struct raft_entry *entry)
{
    struct replica *replica = turn->replica;
    struct lease_command command;
    uint64_t events = replica->table.history_total;
    if (!lease_command_decode(&command, (struct bytes){ entry->data, entry->length }))
        return false;
    struct table_change change = lease_table_apply(&replica->table, entry->index, &command);
    keep_history(turn, events);
    const struct issuer_event applied = { .kind = ISSUER_EVENT_APPLIED,
                                          .index = entry->index,
                                          .change = &change };
    if (replica->issuer.serving)
        step_issuer(turn, &applied);
    else if (entry->index > replica->recovered)
        issuer_charge_heard(&replica->issuer, &command.payer,
                            budget_entry_bytes(entry->length, true), turn->now);
    return true;
}

static bool apply_entries(struct turn *turn, uint64_t first, uint64_t last)
{
    struct replica *replica = turn->replica;
    for (uint64_t index = first; index <= last; index++) {
        const struct raft_entry *entry = raft_entry_at(&replica->raft, index);
        HF_CHECK(entry);
        if (entry->kind != RAFT_ENTRY_COMMAND)
            lease_table_skip(&replica->table, index);
        else if (!apply_command(turn, entry))
            return false;
    }
    return true;
}

static bool restore(struct turn *turn, uint64_t index, struct bytes bytes)
{
    struct replica *replica = turn->replica;
    return lease_table_decode(&replica->table, bytes) && replica->table.applied == index;
}

static void stop_serving(struct turn *turn)
{
    const struct replica *replica = turn->replica;
    const struct issuer_event event = { .kind = ISSUER_EVENT_NOT_SERVING };
    bool leads = replica->raft.role == RAFT_LEADER && replica->raft.serving &&
                 replica->raft.term == replica->issuer.term;
    if (replica->issuer.serving && !leads)
        step_issuer(turn, &event);
}

static void handle_raft(struct turn *turn)
{
    struct raft_output *from = &turn->replica->raft_out;
    /* Applying and telling the issuer emits messages only: raft is not stepped in between. */
    const struct issuer_event serving = { .kind = ISSUER_EVENT_SERVING,
                                          .term = turn->replica->raft.term };
    const struct issuer_event round = { .kind = ISSUER_EVENT_ROUND,
                                        .round = from->confirmed_round };
    stop_serving(turn);
    if (from->restore && !restore(turn, from->restore_index, from->restore_bytes)) {
        halt(turn, "the snapshot received is not readable");
        return;
    }
    if (!apply_entries(turn, from->apply_first, from->apply_last)) {
        halt(turn, "a log entry is not readable");
        return;
    }
    turn->raft_left = false;
    if (from->serving_began)
        step_issuer(turn, &serving);
    if (round.round != 0 && turn->replica->issuer.serving)
        step_issuer(turn, &round);
}

/* Until neither has anything left for the other. */
static void take_turns(struct turn *turn)
{
    const struct issuer_event timer = { .kind = ISSUER_EVENT_TIMER };
    enum raft_refusal refusal = turn->out->refusal;
    for (int pass = 0; pass < REPLICA_PASSES_MAX; pass++) {
        if (turn->raft_left)
            handle_raft(turn);
        step_issuer(turn, &timer);
        if (!turn->raft_left)
            break;
    }
    if (turn->raft_left) {
        handle_raft(turn);
        turn->issuer_wake_at = turn->now;
    }
    stop_serving(turn);
    /* What an operator is told is about his own event, not about what else was proposed. */
    turn->out->refusal = refusal;
}

/* ---- events */

static void compact(struct turn *turn)
{
    struct replica *replica = turn->replica;
    if (!raft_wants_snapshot(&replica->raft))
        return;
    size_t length =
        lease_table_encode(&replica->table, replica->own_snapshot, sizeof(replica->own_snapshot));
    HF_CHECK(length > 0);
    const struct raft_event event = { .kind = RAFT_EVENT_COMPACT,
                                      .snapshot = { replica->own_snapshot, length } };
    step_raft(turn, &event);
}

static void pass_to_raft(struct turn *turn, const struct replica_event *event,
                         enum raft_event_kind kind)
{
    const struct raft_event raft = {
        .kind = kind, .message = event->raft_message, .seq = event->seq, .peer = event->node
    };
    step_raft(turn, &raft);
    turn->out->refusal = turn->replica->raft_out.refusal;
    if (kind == RAFT_EVENT_CONFIRM && turn->out->refusal == RAFT_ACCEPTED)
        turn->out->requested_round = turn->replica->raft_out.requested_round;
}

static void pass_to_issuer(struct turn *turn, const struct replica_event *event,
                           enum issuer_event_kind kind)
{
    const struct issuer_event issuer = {
        .kind = kind,
        .node = event->node,
        .message = event->lease_message,
        .resource = event->resource,
        .pinned = event->pinned,
        .history = event->history,
        .who = event->who,
        .via = event->via,
        .unproven = event->unproven,
        .text = event->text,
    };
    step_issuer(turn, &issuer);
    turn->out->error = turn->replica->issuer_out.error;
}

/* The entry that was proposed last is the operator's. */
static void note_act(struct turn *turn)
{
    const struct replica *replica = turn->replica;
    turn->out->act = (struct replica_act){ replica->raft_out.proposed_index, replica->raft.term };
}

static void pass_to_operator(struct turn *turn, const struct replica_event *event,
                             enum issuer_event_kind kind)
{
    if (!turn->replica->issuer.serving) {
        turn->out->refusal = RAFT_NOT_LEADER;
        return;
    }
    pass_to_issuer(turn, event, kind);
    if (turn->out->refusal == RAFT_ACCEPTED && !turn->out->error)
        note_act(turn);
}

/*
 * The note stands before the change in the log: when a leader removes itself, what stands behind
 * might be lost with its leadership.
 */
static void change_members(struct turn *turn, const struct replica_event *event)
{
    const struct raft_event change = { .kind = RAFT_EVENT_MEMBERS,
                                       .change = event->change,
                                       .peer = event->node,
                                       .address = event->address };
    struct replica_event note = *event;
    note.history = HISTORY_OPERATOR;
    turn->out->refusal = raft_judge_change(&turn->replica->raft, &change, turn->now);
    if (turn->out->refusal != RAFT_ACCEPTED)
        return;
    pass_to_operator(turn, &note, ISSUER_EVENT_NOTE);
    if (turn->out->refusal != RAFT_ACCEPTED || turn->out->error)
        return;
    if (turn->raft_left)
        handle_raft(turn);
    step_raft(turn, &change);
    turn->out->refusal = turn->replica->raft_out.refusal;
    if (turn->out->refusal == RAFT_ACCEPTED)
        note_act(turn);
    else
        turn->out->act = (struct replica_act){ 0 }; /* the note's */
}

static void take_event(struct turn *turn, const struct replica_event *event)
{
    switch (event->kind) {
    case REPLICA_TIMER:
        pass_to_raft(turn, event, RAFT_EVENT_TIMER);
        return;
    case REPLICA_RAFT_MESSAGE:
        pass_to_raft(turn, event, RAFT_EVENT_MESSAGE);
        return;
    case REPLICA_LEASE_MESSAGE:
        pass_to_issuer(turn, event, ISSUER_EVENT_MESSAGE);
        return;
    case REPLICA_CLIENT_UP:
        pass_to_issuer(turn, event, ISSUER_EVENT_CLIENT_UP);
        return;
    case REPLICA_CLIENT_DOWN:
        pass_to_issuer(turn, event, ISSUER_EVENT_CLIENT_DOWN);
        return;
    case REPLICA_PEER_DOWN:
        pass_to_raft(turn, event, RAFT_EVENT_PEER_DOWN);
        return;
    case REPLICA_PERSISTED:
        pass_to_raft(turn, event, RAFT_EVENT_PERSISTED);
        return;
    case REPLICA_STORE_FAILED:
        halt(turn, "the store failed");
        return;
    case REPLICA_COMPACT:
        compact(turn);
        return;
    case REPLICA_CONFIRM:
        pass_to_raft(turn, event, RAFT_EVENT_CONFIRM);
        return;
    case REPLICA_TRANSFER:
        pass_to_operator(turn, event, ISSUER_EVENT_TRANSFER);
        return;
    case REPLICA_PIN:
        pass_to_operator(turn, event, ISSUER_EVENT_PIN);
        return;
    case REPLICA_NOTE:
        pass_to_operator(turn, event, ISSUER_EVENT_NOTE);
        return;
    case REPLICA_OVERRULE:
        pass_to_operator(turn, event, ISSUER_EVENT_OVERRULE);
        return;
    case REPLICA_REMOVE:
        pass_to_operator(turn, event, ISSUER_EVENT_REMOVE);
        return;
    case REPLICA_CLEAR:
        pass_to_operator(turn, event, ISSUER_EVENT_CLEAR);
        return;
    case REPLICA_LEADER_TRANSFER:
        pass_to_raft(turn, event, RAFT_EVENT_TRANSFER);
        return;
    case REPLICA_MEMBERS:
        change_members(turn, event);
        return;
    case REPLICA_EVENT_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "replica event");
}

void replica_step(struct replica *replica, const struct replica_event *event, struct instant now,
                  struct replica_output *out)
{
    struct turn turn = { .replica = replica,
                         .now = now,
                         .wall_us = event->wall_us,
                         .out = out,
                         .issuer_wake_at = INSTANT_NEVER };
    out->persist_count = 0;
    out->raft_message_count = 0;
    out->client_send_count = 0;
    out->history_count = 0;
    out->role_changed = false;
    out->members_changed = false;
    out->act = (struct replica_act){ 0 };
    out->forgetful = (struct hf_name){ { 0 } };
    out->confirmed_round = 0;
    out->requested_round = 0;
    out->refusal = RAFT_ACCEPTED;
    out->error = NULL;
    take_event(&turn, event);
    take_turns(&turn);
    out->wake_at = instant_min(replica->raft_wake_at, turn.issuer_wake_at);
}

void replica_init(struct replica *replica, const struct raft_config *raft,
                  const struct issuer_config *issuer, const struct raft_recovered *recovered,
                  struct instant now)
{
    struct raft_config config = *raft;
    const struct raft_event failed = { .kind = RAFT_EVENT_STORE_FAILED };
    HF_CHECK(lease_table_encoded_max() <= REPLICA_SNAPSHOT_MAX);
    config.snapshot_buffer = replica->received_snapshot;
    config.snapshot_capacity = sizeof(replica->received_snapshot);
    lease_table_init(&replica->table);
    issuer_init(&replica->issuer, issuer, &replica->table);
    raft_init(&replica->raft, &config, recovered, now);
    replica->raft_wake_at = now;
    replica->halted = NULL;
    replica->recovered = replica->raft.last_index;
    if (recovered->snapshot_index == 0)
        return;
    if (lease_table_decode(&replica->table, recovered->snapshot) &&
        replica->table.applied == recovered->snapshot_index)
        return;
    replica->halted = "the snapshot recovered is not readable";
    raft_step(&replica->raft, &failed, now, &replica->raft_out);
}

bool replica_wants_snapshot(const struct replica *replica)
{
    return raft_wants_snapshot(&replica->raft);
}

bool replica_serving(const struct replica *replica)
{
    return replica->issuer.serving;
}

const struct issuer_transfer *replica_transfer(const struct replica *replica,
                                               const struct hf_name *resource)
{
    const struct issuer_lease *lease = issuer_lease_of(&replica->issuer, resource);
    if (!lease || lease->transfer.state == ISSUER_TRANSFER_NONE)
        return NULL;
    return &lease->transfer;
}

const struct issuer_waiter *replica_waiters(const struct replica *replica,
                                            const struct hf_name *resource, size_t *count)
{
    const struct issuer_lease *lease = issuer_lease_of(&replica->issuer, resource);
    *count = lease ? lease->waiter_count : 0;
    return lease ? lease->waiter : NULL;
}
