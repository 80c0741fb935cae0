/*
 * A replica: Raft, the lease table and the issuer on top, as one step function.
 *
 * Purpose: the glue between raft and issuer, once, for daemon and simulator alike.
 * Owner: the issuer shell; one thread. Large (4.4 MB, most of it never touched): static.
 *   So is its output (2.5 MB, of which only what is counted is written).
 *
 * Duties of the caller after every replica_step(), in this order:
 *  1. `persist[]` to the store in order of seq, as raft.h duty 1 and 7. The bytes and entries that
 *     they name (raft_entry_at(&replica.raft, ...)) must be consumed before the next step.
 *  2. `raft_message[]` to peers, `client_send[]` to agents; a message to a node that is not
 *     connected is dropped. What `entries` and `chunk` point to is valid until the next step.
 *  3. Show `history[]` to whoever watches; what did not fit is in table.history.
 *  4. Arm the timer for wake_at.
 * The caller steps REPLICA_COMPACT when replica_wants_snapshot().
 *
 * A snapshot or an entry that cannot be read (a foreign version, or a bug) halts the replica, as a
 * failed store does: a guess could grant twice.
 */
#ifndef HOLDFAST_CORE_LEASE_REPLICA_H
#define HOLDFAST_CORE_LEASE_REPLICA_H

#include "lease/issuer.h"
#include "raft/raft.h"

enum {
    REPLICA_SENDS_MAX = 2048,
    REPLICA_HISTORY_MAX = HF_HISTORY_MAX,
    REPLICA_PERSISTS_MAX = 64,
    REPLICA_RAFT_MESSAGES_MAX = 512,
    REPLICA_PASSES_MAX = 4, /* rounds of raft and issuer in one step; more follow in the next */
    REPLICA_SNAPSHOT_MAX = 512 * 1024 /* bytes of a serialised table; checked by a test */
};

enum replica_event_kind {
    REPLICA_TIMER,
    REPLICA_RAFT_MESSAGE,  /* raft_message */
    REPLICA_LEASE_MESSAGE, /* node, lease_message */
    REPLICA_CLIENT_UP,     /* node: an agent's connection is up */
    REPLICA_CLIENT_DOWN,   /* node */
    REPLICA_PEER_DOWN,     /* node: an issuer's connection is down */
    REPLICA_PERSISTED,     /* seq */
    REPLICA_STORE_FAILED,
    REPLICA_COMPACT,         /* takes a snapshot of the table */
    REPLICA_CONFIRM,         /* a linearizable read: see requested_round */
    REPLICA_TRANSFER,        /* operator: resource to node; who */
    REPLICA_PIN,             /* operator: resource, pinned, node; who */
    REPLICA_OVERRULE,        /* operator: resource, node: its word on tokens counts no more; who */
    REPLICA_NOTE,            /* operator act for the history: resource, history, text; who */
    REPLICA_REMOVE,          /* operator: the row of a resource that no policy names; who */
    REPLICA_CLEAR,           /* operator act: resource, held for node's output, is let go; who */
    REPLICA_LEADER_TRANSFER, /* node */
    REPLICA_MEMBERS, /* operator: change of an issuer, node, address; who, text for the history */
    REPLICA_EVENT_KINDS
};

struct replica_event {
    enum replica_event_kind kind;
    const struct raft_message *raft_message;
    const struct lease_message *lease_message;
    struct hf_name node;
    struct hf_name resource;
    bool pinned;
    enum history_kind history;
    struct hf_name who;
    struct hf_name via; /* of operators' events: who relayed it; empty: nobody */
    bool unproven;      /* and that was a board */
    const char *text;
    enum raft_change change;
    const char *address; /* of an issuer that is added */
    uint64_t seq;
    int64_t wall_us; /* wall clock now, for people only */
};

/* Where an operator's act stands in the log, if it stays there. */
struct replica_act {
    uint64_t index; /* 0: none */
    uint64_t term;
};

enum replica_outcome {
    REPLICA_ACT_OPEN, /* not committed as far as is known here; it may be yet, by another leader */
    REPLICA_ACT_DONE, /* committed and applied: every later leader has it */
    REPLICA_ACT_REPLACED, /* another entry is committed in its place: it will never be done */
    REPLICA_ACT_UNKNOWN   /* a snapshot came in that covers it: this replica can't tell any more */
};

struct replica_send {
    struct hf_name node;
    struct lease_message message;
};

struct replica_output {
    size_t persist_count;
    struct raft_persist persist[REPLICA_PERSISTS_MAX]; /* each wanted, in order of seq */
    size_t raft_message_count;
    struct raft_message raft_message[REPLICA_RAFT_MESSAGES_MAX];
    size_t client_send_count;
    struct replica_send client_send[REPLICA_SENDS_MAX];
    size_t history_count;
    struct history_event history[REPLICA_HISTORY_MAX];
    bool role_changed;
    bool members_changed;
    struct hf_name forgetful;  /* as raft_output */
    uint64_t confirmed_round;  /* as raft_output */
    uint64_t requested_round;  /* of REPLICA_CONFIRM */
    enum raft_refusal refusal; /* of an operator's event */
    /*
     * Of an accepted operator's event but REPLICA_LEADER_TRANSFER: done once replica_act_outcome()
     * says so, and nobody is told so before.
     */
    struct replica_act act;
    const char *error; /* of an operator's event that was refused: static text, or NULL */
    struct instant wake_at;
};

struct replica {
    struct raft raft;
    struct lease_table table;
    struct issuer issuer;
    struct instant raft_wake_at;
    const char *halted;                              /* why it cannot go on; NULL: it can */
    uint64_t recovered;                              /* the last entry that this start found */
    uint8_t own_snapshot[REPLICA_SNAPSHOT_MAX];      /* of the last REPLICA_COMPACT */
    uint8_t received_snapshot[REPLICA_SNAPSHOT_MAX]; /* raft's */
    struct raft_output raft_out;                     /* scratch of one step */
    struct issuer_output issuer_out;                 /* scratch of one step */
};

/*
 * Rebuilds the table from the recovered snapshot, which stays alive as raft.h duty 8 says.
 * Recovered entries are applied as Raft commits them. raft->snapshot_buffer and snapshot_capacity
 * are set inside. Arm a timer for `now`.
 */
void replica_init(struct replica *replica, const struct raft_config *raft,
                  const struct issuer_config *issuer, const struct raft_recovered *recovered,
                  struct instant now);

/* One event. `out` is overwritten as far as it is used. Never blocks. */
void replica_step(struct replica *replica, const struct replica_event *event, struct instant now,
                  struct replica_output *out);

/* True when the caller should step REPLICA_COMPACT. */
bool replica_wants_snapshot(const struct replica *replica);

/* True while this replica leads and serves agents. */
bool replica_serving(const struct replica *replica);

/* What became of an act of replica_output, asked at any time later. */
enum replica_outcome replica_act_outcome(const struct replica *replica,
                                         const struct replica_act *act);

/*
 * What an act that is done (a pin, a note) left in the history; NULL: the table refused it, or the
 * history has gone on by HF_HISTORY_MAX events since. Valid until the next step.
 */
const struct history_event *replica_act_event(const struct replica *replica, uint64_t index);

/* Outcome of the last REPLICA_TRANSFER of a resource, NULL: none known to this leader. */
const struct issuer_transfer *replica_transfer(const struct replica *replica,
                                               const struct hf_name *resource);

/* Waiters of a resource in order of service; *count is set, 0 without leadership. */
const struct issuer_waiter *replica_waiters(const struct replica *replica,
                                            const struct hf_name *resource, size_t *count);

#endif
