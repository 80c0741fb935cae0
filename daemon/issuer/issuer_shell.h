/*
 * The issuer's shell: puts the replica (core/lease/replica.h) on the loop, with the store.
 *
 * Owner: whoever started it, on the loop that it was given; loop thread. It knows no node, no
 *   network, no agent and no console but by its callbacks.
 * Lifecycle: issuer_shell_start(), events from outside, issuer_shell_stop(); its memory is the
 *   process's.
 * Rules:
 *  - Callbacks come from the loop thread, also from within the functions below, and never call the
 *    shell from within. What a callback could not send is lost: Raft and the agents ask again.
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
#include <uv.h>

#include "conf/conf.h"
#include "lease/replica.h"
#include "store/store.h"
#include "wire/wire.h"

struct issuer_shell;

enum { ISSUER_SHELL_TEXT_MAX = 256 };

struct issuer_shell_callbacks {
    /* To the issuer message->to, to an agent, or to another issuer. False: it is not up. */
    bool (*send_raft)(void *context, const struct raft_message *message);
    bool (*send_to_agent)(void *context, const struct hf_name *to,
                          const struct lease_message *message);
    bool (*send_store)(void *context, const struct hf_name *to, const struct wire_store *store);
    /* Who the issuers are, for good: to one node, or (NULL) to all that are connected. */
    void (*send_issuers)(void *context, const struct hf_name *to,
                         const struct wire_issuers *issuers);
    /* The log's configuration is another one, or is committed now; maybe within the start. */
    void (*on_members)(void *context, const struct raft *raft);
    /* This issuer is connected, for long enough that it could have answered. */
    bool (*link_settled)(void *context, const struct hf_name *issuer);
};

struct issuer_shell_config {
    uv_loop_t *loop;
    const struct conf *conf;         /* outlives the shell */
    uint64_t random_seed;            /* of election timeouts */
    const struct disk_ops *disk_ops; /* NULL: real files in conf->data_dir */
    void *disk;                      /* of disk_ops; outlives the shell */
    struct issuer_shell_callbacks callbacks;
    void *context;
};

/* Somebody who wants to see history events as they are applied: an element of a list. */
struct issuer_shell_watcher {
    void (*on_event)(void *context, const struct history_event *event);
    void *context;
    struct issuer_shell_watcher *next;
};

/* Somebody who waits for a confirmation round: a linearizable read. One shot. */
struct issuer_shell_reader {
    void (*on_confirmed)(void *context, bool confirmed); /* false: leadership was lost */
    void *context;
    uint64_t round;
    struct issuer_shell_reader *next;
};

/* Somebody who waits for what becomes of an operator's act. One shot: never REPLICA_ACT_OPEN. */
struct issuer_shell_waiting {
    void (*on_outcome)(void *context, enum replica_outcome outcome);
    void *context;
    struct replica_act act;
    struct issuer_shell_waiting *next;
};

/* `config` is copied. Returns NULL after one log line. Blocks while the journal is read. */
struct issuer_shell *issuer_shell_start(const struct issuer_shell_config *config);

/* Flushes nothing: what was not acknowledged was not promised. */
void issuer_shell_stop(struct issuer_shell *shell);

/* Messages of those who may send them, and their links: who may is for the caller to know. */
void issuer_shell_raft(struct issuer_shell *shell, const struct raft_message *message);
void issuer_shell_lease(struct issuer_shell *shell, const struct hf_name *agent,
                        const struct lease_message *message);
void issuer_shell_client(struct issuer_shell *shell, const struct hf_name *agent, bool up);
void issuer_shell_peer_down(struct issuer_shell *shell, const struct hf_name *peer);
void issuer_shell_store(struct issuer_shell *shell, const struct hf_name *peer,
                        const struct wire_store *store);

/*
 * The longest, in us, that a lease may count: by this issuer's policy, and of what former leaders
 * granted. A backup says so, and whoever restores it holds off for as long.
 */
int64_t issuer_shell_lease_max_us(const struct replica *replica);

/* To a node that has connected, or to all (NULL): who the issuers are, if that is committed in the log. */
void issuer_shell_tell_issuers(struct issuer_shell *shell, const struct hf_name *node);

/*
 * An operator's act: `event` is one of REPLICA_TRANSFER, _PIN, _OVERRULE, _CLEAR, _NOTE, _REMOVE,
 * _LEADER_TRANSFER and _MEMBERS. *error is the reason (static text) if the lease rules refuse it,
 * else NULL. What is accepted is not done yet: issuer_shell_await() tells of *act when it is.
 */
enum raft_refusal issuer_shell_operate(struct issuer_shell *shell, struct replica_event *event,
                                       struct replica_act *act, const char **error);
/* on_outcome follows, maybe within the call, maybe never: the caller has a time limit of its own. */
void issuer_shell_await(struct issuer_shell *shell, struct issuer_shell_waiting *waiting);
void issuer_shell_forget_waiting(struct issuer_shell *shell, struct issuer_shell_waiting *waiting);
/* False: not the leader. Else on_confirmed follows, maybe within the call. */
bool issuer_shell_read(struct issuer_shell *shell, struct issuer_shell_reader *reader);
void issuer_shell_forget_reader(struct issuer_shell *shell, struct issuer_shell_reader *reader);
void issuer_shell_watch(struct issuer_shell *shell, struct issuer_shell_watcher *watcher);
void issuer_shell_unwatch(struct issuer_shell *shell, struct issuer_shell_watcher *watcher);
const struct replica *issuer_shell_replica(const struct issuer_shell *shell);
const struct store_counters *issuer_shell_counters(const struct issuer_shell *shell);
/* How the journal of this or another issuer fares; false: not known, or not heard of lately. */
bool issuer_shell_store_of(const struct issuer_shell *shell, const struct hf_name *id,
                           struct wire_store *store);
/* Slow appends to this issuer's journal since the start. */
uint64_t issuer_shell_slow_total(const struct issuer_shell *shell);
/* As recovery_describe(), with link_settled(). */
void issuer_shell_describe_recovery(struct issuer_shell *shell, char *text, size_t size);
/* Empty, or why the store failed. */
const char *issuer_shell_failure(const struct issuer_shell *shell);

#endif
