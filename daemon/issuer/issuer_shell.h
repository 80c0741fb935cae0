/*
 * The issuer's shell: puts the replica (core/lease/replica.h) on the loop, between the peer hub,
 * the store and the console.
 *
 * Owner: struct node; loop thread. Lifecycle: issuer_shell_start(), events, issuer_shell_stop().
 * Rules:
 *  - Syncs happen on the store's thread; what depends on them is stepped when they are done.
 *  - Once a second each issuer tells the others how its journal fares, so that any console shows
 *    all of them. Nothing but what people see depends on it.
 *  - When the store fails, one log line says so, the replica halts, and this issuer votes and
 *    answers no more until it is restarted. Its process goes on: an agent beside it is not touched.
 */
#ifndef HOLDFAST_ISSUER_ISSUER_SHELL_H
#define HOLDFAST_ISSUER_ISSUER_SHELL_H

#include <stdbool.h>
#include <stdint.h>

#include "lease/replica.h"
#include "node/node.h"
#include "store/store.h"

struct issuer_shell;

enum { ISSUER_TEXT_MAX = 256 };

/* Somebody who wants to see history events as they are applied: an element of a list. */
struct issuer_watcher {
    void (*on_event)(void *context, const struct history_event *event);
    void *context;
    struct issuer_watcher *next;
};

/* Somebody who waits for a confirmation round: a linearizable read. One shot. */
struct issuer_reader {
    void (*on_confirmed)(void *context, bool confirmed); /* false: leadership was lost */
    void *context;
    uint64_t round;
    struct issuer_reader *next;
};

/* Somebody who waits for what becomes of an operator's act. One shot: never REPLICA_ACT_OPEN. */
struct issuer_waiting {
    void (*on_outcome)(void *context, enum replica_outcome outcome);
    void *context;
    struct replica_act act;
    struct issuer_waiting *next;
};

/* Returns NULL after one log line. Blocks while the journal is read. */
struct issuer_shell *issuer_shell_start(struct node *node);

/* Flushes nothing: what was not acknowledged was not promised. */
void issuer_shell_stop(struct issuer_shell *issuer);

/* From the node. */
void issuer_shell_raft(struct issuer_shell *issuer, const struct raft_message *message);
void issuer_shell_lease(struct issuer_shell *issuer, const struct hf_name *agent,
                        const struct lease_message *message);
void issuer_shell_client(struct issuer_shell *issuer, const struct hf_name *agent, bool up);
void issuer_shell_peer_down(struct issuer_shell *issuer, const struct hf_name *peer);
void issuer_shell_store(struct issuer_shell *issuer, const struct hf_name *peer,
                        const struct wire_store *store);

/* To a node that has connected: who the issuers are, if that is committed in the log. */
void issuer_shell_tell_issuers(struct issuer_shell *issuer, const struct hf_name *node);

/* For the console. `event` is one of REPLICA_TRANSFER, _PIN, _NOTE, _LEADER_TRANSFER, _MEMBERS. */
/* *error is set to the reason (static text) if the issuer refuses it, else to NULL. */
/* What is accepted is not done yet: *act is for issuer_shell_await(). */
enum raft_refusal issuer_shell_operate(struct issuer_shell *issuer, struct replica_event *event,
                                       struct replica_act *act, const char **error);
/* on_outcome follows, maybe within the call, maybe never: the caller has a time limit of its own. */
void issuer_shell_await(struct issuer_shell *issuer, struct issuer_waiting *waiting);
void issuer_shell_forget_waiting(struct issuer_shell *issuer, struct issuer_waiting *waiting);
/* False: not the leader. Else on_confirmed follows, maybe within the call. */
bool issuer_shell_read(struct issuer_shell *issuer, struct issuer_reader *reader);
void issuer_shell_forget_reader(struct issuer_shell *issuer, struct issuer_reader *reader);
void issuer_shell_watch(struct issuer_shell *issuer, struct issuer_watcher *watcher);
void issuer_shell_unwatch(struct issuer_shell *issuer, struct issuer_watcher *watcher);
const struct replica *issuer_shell_replica(const struct issuer_shell *issuer);
const struct store_counters *issuer_shell_counters(const struct issuer_shell *issuer);
/* How the journal of this or another issuer fares; false: not known, or not heard of lately. */
bool issuer_shell_store_of(const struct issuer_shell *issuer, const struct hf_name *id,
                           struct wire_store *store);
/* Slow appends to this issuer's journal since the start. */
uint64_t issuer_shell_slow_total(const struct issuer_shell *issuer);
/* As recovery_describe(), with this node's links. */
void issuer_shell_describe_recovery(struct issuer_shell *issuer, char *text, size_t size);
/* Empty, or why the store failed. */
const char *issuer_shell_failure(const struct issuer_shell *issuer);

#endif
