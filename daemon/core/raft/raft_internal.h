/*
 * What the files of raft share. Private to this folder and to its tests.
 *
 * Purpose: one step works on a raft_context; every file below adds to its output. raft.c opens and
 *   finishes the step; raft_change_role() is the only one that changes the role.
 */
#ifndef HOLDFAST_CORE_RAFT_INTERNAL_H
#define HOLDFAST_CORE_RAFT_INTERNAL_H

#include "base/cell.h"
#include "base/check.h"
#include "raft/raft.h"

struct raft_context {
    struct raft *raft;
    struct raft_output *out;
    struct instant now;
    bool heartbeats_due; /* a leader sends one to every peer when the step is finished */
};

/* ---- raft_role.c: the machine of roles */

enum raft_role_event {
    RAFT_ROLE_ELECTION_TIMEOUT,
    RAFT_ROLE_PRE_VOTE_WON,
    RAFT_ROLE_TOLD_TO_CAMPAIGN, /* 3.10: no pre-vote */
    RAFT_ROLE_ELECTION_WON,
    RAFT_ROLE_HIGHER_TERM, /* the new term is set already */
    RAFT_ROLE_LEADER_SEEN, /* a valid message of this term's leader */
    RAFT_ROLE_QUORUM_LOST,
    RAFT_ROLE_REMOVED, /* a leader: the configuration without it is committed */
    RAFT_ROLE_STORE_FAILED,
    RAFT_ROLE_EVENTS
};

extern const struct cell raft_role_table[RAFT_ROLES][RAFT_ROLE_EVENTS];

/* The only function that changes the role. */
void raft_change_role(struct raft_context *context, enum raft_role_event event);

/* Never 0, and in the range of the wire's counters. */
uint64_t raft_nonce(struct raft *raft);

/* Draws the election timer from [E, 2E); never for a node that may not stand. */
void raft_draw_election(struct raft *raft, struct instant now);

/* After a refused vote: the next try comes within [E/4, 3E/4), if not sooner anyway. */
void raft_draw_retry(struct raft *raft, struct instant now);

/* Takes over a higher term, and becomes a follower of nobody in it. */
void raft_enter_term(struct raft_context *context, uint64_t term);

/* ---- raft.c: what each event does in each role; never NULL */

typedef void (*raft_event_handler)(struct raft_context *context, const struct raft_event *event);
extern const raft_event_handler raft_event_table[RAFT_ROLES][RAFT_EVENT_KINDS];

/* ---- raft_members.c */

bool raft_is_voter(const struct raft *raft, const struct hf_name *id);
int raft_self_index(const struct raft *raft);

/* Whether this node may stand for election. */
bool raft_may_campaign(const struct raft *raft);

/* The configuration as of `index`, first_index - 1 to last_index; returns its entry's index. */
uint64_t raft_members_as_of(const struct raft *raft, uint64_t index, struct raft_members *out);

/* Bytes of a RAFT_ENTRY_MEMBERS entry are a configuration that somebody can vote in. */
bool raft_members_readable(struct bytes bytes);

/* The log's last configuration may be another than before: takes it into effect. */
void raft_members_follow_log(struct raft_context *context);

void raft_change_members(struct raft_context *context, const struct raft_event *event);

/* A leader whose removal is committed makes way. */
void raft_leave_if_removed(struct raft_context *context);

/* The value that a majority of the voters has reached, from one value per position in members. */
uint64_t raft_majority_value(const struct raft_members *members, const uint64_t *values);

/* ---- raft_log.c: the ring */

struct raft_entry *raft_log_slot(struct raft *raft, uint64_t index);

/* Up to here the log is what every leader to come has: committed, or an installed snapshot. */
uint64_t raft_floor(const struct raft *raft);

/* Entries that still fit, when what a durable snapshot covers may be dropped. */
uint64_t raft_log_room(const struct raft *raft);

/* Appends one entry and adds it to the batch of this step. There must be room. */
void raft_log_append(struct raft_context *context, uint64_t term, enum raft_entry_kind kind,
                     struct bytes data);

/* Voids the entries from `from` on; from > commit. */
void raft_log_truncate(struct raft_context *context, uint64_t from);

/* Drops the entries up to and including `index` from memory. */
void raft_log_drop_prefix(struct raft *raft, uint64_t index);

/* Empties the log; its next entry is index + 1. `members`: as of index. */
void raft_log_reset(struct raft *raft, uint64_t index, uint64_t term,
                    const struct raft_members *members);

/* ---- raft_persist.c: batches out, completions in */

struct raft_persist *raft_persist_open(struct raft_context *context);
void raft_persist_hard_state(struct raft_context *context);
bool raft_hard_state_durable(const struct raft *raft);
void raft_persisted(struct raft_context *context, const struct raft_event *event);

/* ---- raft_message.c: the gate for messages in, and the way out */

/* A message to `to` with from, to and term set and all else zero; NULL if no more fit (it counts as
 * lost). */
struct raft_message *raft_send(struct raft_context *context, enum raft_message_kind kind,
                               const struct hf_name *to);
void raft_receive(struct raft_context *context, const struct raft_event *event);

/* ---- raft_election.c */

void raft_election_timeout(struct raft_context *context, const struct raft_event *event);
void raft_begin_pre_vote(struct raft_context *context);
void raft_begin_election(struct raft_context *context, bool transfer);
void raft_vote_request_received(struct raft_context *context, const struct raft_message *message);
void raft_vote_reply_received(struct raft_context *context, const struct raft_message *message);
void raft_vote_persisted(struct raft_context *context); /* sends what waited for the vote */
void raft_count_votes(struct raft_context *context);

/* ---- raft_follower.c: appends and heartbeats in */

void raft_append_received(struct raft_context *context, const struct raft_message *message);
void raft_append_reply(struct raft_context *context); /* if one is due and durable */
void raft_heartbeat_received(struct raft_context *context, const struct raft_message *message);

/* ---- raft_leader.c: replication and commit */

void raft_lead(struct raft_context *context); /* on winning */
void raft_leader_timer(struct raft_context *context, const struct raft_event *event);
void raft_propose(struct raft_context *context, const struct raft_event *event);
/* Whether there is room for an entry; if not, who does not keep up. */
enum raft_refusal raft_judge_room(const struct raft *raft);
void raft_append_reply_received(struct raft_context *context, const struct raft_message *message);
void raft_peer_down(struct raft_context *context, const struct raft_event *event);
void raft_advance_commit(struct raft_context *context);
void raft_replicate(struct raft_context *context);
/* Of a peer that nothing is known of yet. */
void raft_progress_begin(struct raft *raft, struct raft_progress *progress);
/* Looks anew where its log matches, from `next` down. */
void raft_progress_probe(struct raft *raft, struct raft_progress *progress, uint64_t next);
struct instant raft_quorum_until(const struct raft *raft);
/* The peer is known to hold everything up to match + 1: streams from there. */
void raft_progress_replicate(struct raft_context *context, struct raft_progress *progress);

/* ---- raft_confirm.c: heartbeats out, and the rounds that ride on them */

void raft_confirm(struct raft_context *context, const struct raft_event *event);
void raft_confirm_begin_lead(struct raft *raft);
void raft_heartbeat_reply_received(struct raft_context *context,
                                   const struct raft_message *message);
void raft_count_round(struct raft_context *context);
void raft_send_heartbeats(struct raft_context *context);

/* ---- raft_transfer.c */

void raft_transfer(struct raft_context *context, const struct raft_event *event);
void raft_transfer_progress(struct raft_context *context);
/* A leader whose own disk syncs nothing any more makes way. */
void raft_hand_over_hung(struct raft_context *context);
/* Before this leader steps down, since it hears no majority. */
void raft_hand_over_lost(struct raft_context *context);
void raft_timeout_now_received(struct raft_context *context, const struct raft_message *message);

/* ---- raft_recover.c: a node without a memory, and those that it asks */

void raft_recover_init(struct raft *raft, enum raft_standing standing, struct instant now);
/* True if this node has a say: it may vote, campaign, and acknowledge. */
bool raft_has_say(const struct raft *raft);

/*
 * False while it has no memory, and its disk does not say so yet. PROTOCOL.md, loss-before-said: whoever
 * heard of it keeps no more what it promised.
 */
bool raft_loss_durable(const struct raft *raft);
void raft_recover_received(struct raft_context *context, const struct raft_message *message);
void raft_recover_reply_received(struct raft_context *context, const struct raft_message *message);
/* At the end of each step: asks, and ends the recovery when it has what it needs. */
void raft_recover_on(struct raft_context *context);
/* When the next question is due. */
struct instant raft_recover_wake(const struct raft *raft);
/* A leader hears from a peer that has or has not its memory. */
void raft_note_memory(struct raft_context *context, struct raft_progress *progress,
                      const struct raft_message *message);
/* `message`, of one that has its memory, promises to hold everything up to `match` in its term. */
void raft_note_promise(struct raft *raft, const struct raft_message *message, uint64_t match);
/*
 * The leader of this term says what this node acknowledged in it (match_index). `conflict`: the log
 * has another entry at prev_index.
 */
void raft_recover_if_lost(struct raft_context *context, const struct raft_message *message,
                          bool conflict);
/* What a peer's acknowledgement counts for: nothing while it recovers. */
uint64_t raft_counted_match(const struct raft_progress *progress);

/* ---- raft_snapshot.c */

void raft_compact(struct raft_context *context, const struct raft_event *event);
/* The peer needs one, from the first chunk on. */
void raft_snapshot_begin(struct raft_progress *progress);
void raft_snapshot_send(struct raft_context *context, int peer);
void raft_snapshot_request_received(struct raft_context *context,
                                    const struct raft_message *message);
void raft_snapshot_reply_received(struct raft_context *context, const struct raft_message *message);
void raft_snapshot_persisted(struct raft_context *context);
void raft_snapshot_reply(struct raft_context *context); /* if one is due and durable */

#endif
