/*
 * A replica: Raft, the lease table and the issuer on top, as one step function.
 *
 * Purpose: the glue between raft and issuer, once, for daemon and simulator alike.
 * Owner: the issuer shell; one thread. Large (about 2 MB, most of it never touched): static.
 *
 * Duties of the caller after every replica_step(), in this order:
 *  1. `persist` to the store, as raft.h duty 1 and 7.
 *  2. `raft_message[]` to peers, `client_send[]` to agents; a message to a node that is not
 *     connected is dropped.
 *  3. Show `history[]` to whoever watches.
 *  4. Arm the timer for wake_at.
 * The caller steps REPLICA_COMPACT when replica_wants_snapshot().
 */
#ifndef HOLDFAST_CORE_LEASE_REPLICA_H
#define HOLDFAST_CORE_LEASE_REPLICA_H

#include "lease/issuer.h"
#include "raft/raft.h"

enum {
    REPLICA_SENDS_MAX = 1024,
    REPLICA_HISTORY_MAX = 128,
    REPLICA_SNAPSHOT_MAX = 512 * 1024 /* bytes of a serialised table; checked by a test */
};

enum replica_event_kind {
    REPLICA_TIMER,
    REPLICA_RAFT_MESSAGE,   /* raft_message */
    REPLICA_LEASE_MESSAGE,  /* node, lease_message */
    REPLICA_CLIENT_UP,      /* node: an agent's connection is up */
    REPLICA_CLIENT_DOWN,    /* node */
    REPLICA_PEER_DOWN,      /* node: an issuer's connection is down */
    REPLICA_PERSISTED,      /* seq */
    REPLICA_STORE_FAILED,
    REPLICA_COMPACT,        /* takes a snapshot of the table */
    REPLICA_CONFIRM,        /* a linearizable read: see requested_round */
    REPLICA_TRANSFER,       /* operator: resource to node; who */
    REPLICA_PIN,            /* operator: resource, pinned, node; who */
    REPLICA_NOTE,           /* operator act for the history: resource, history, text; who */
    REPLICA_LEADER_TRANSFER, /* node */
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
    const char *text;
    uint64_t seq;
    int64_t wall_us; /* wall clock now, for people only */
};

struct replica_send {
    struct hf_name node;
    struct lease_message message;
};

struct replica_output {
    struct raft_persist persist;
    size_t raft_message_count;
    struct raft_message raft_message[RAFT_MESSAGES_MAX];
    size_t client_send_count;
    struct replica_send client_send[REPLICA_SENDS_MAX];
    size_t history_count;
    struct history_event history[REPLICA_HISTORY_MAX];
    bool role_changed;
    uint64_t confirmed_round; /* as raft_output */
    uint64_t requested_round; /* of REPLICA_CONFIRM */
    enum raft_refusal refusal; /* of an operator's event */
    struct instant wake_at;
};

#endif
