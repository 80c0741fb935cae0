/*
 * The node: one holdfastd process, with an issuer, an agent, or both.
 *
 * Purpose: owns the loop and the peer hub, and carries messages between them and the two roles, so
 *   that neither role knows whether the other side is in this process or across the network.
 * Owner: main(). One thread (the loop's); the store has a writer thread of its own.
 * Lifecycle: node_start(), uv_run(), node_stop() from a signal; the loop ends when all is closed.
 */
#ifndef HOLDFAST_NODE_NODE_H
#define HOLDFAST_NODE_NODE_H

#include <stdbool.h>
#include <uv.h>

#include "base/name.h"
#include "conf/conf.h"
#include "lease/message.h"
#include "log/log.h"
#include "log/quota.h"
#include "peer/peer.h"
#include "wire/wire.h"

struct agent;
struct console;
struct issuer_shell;
struct tls_identity;

enum { NODE_LOCAL_MAX = 64 }; /* messages between the two roles of this process */

struct node_local {
    bool to_issuer;
    struct lease_message message;
};

/* An issuer, and what it last said in its hello. */
struct node_peer {
    struct hf_name id;
    char address[HF_ADDRESS_MAX + 1];
    bool up;
    bool issuer;
    bool agent;
    uint64_t config_digest;
    char console[HF_ADDRESS_MAX + 1]; /* what it listens on, as it says; see node/reach.h */
    int64_t since_us;                 /* raw clock, of the last change of `up` */
};

struct node {
    struct conf conf;
    uv_loop_t loop;
    struct tls_identity *identity;
    struct peer_hub *hub;
    struct issuer_shell *issuer; /* NULL: not an issuer */
    struct agent *agent;         /* NULL: holds no leases */
    struct console *console;     /* NULL: not configured */
    bool stopping;
    struct log_quota stray;     /* lines on messages that their senders may not send */
    struct log_quota differing; /* and on nodes with another configuration */
    uint8_t issuer_count;
    struct node_peer issuer_peer[HF_ISSUERS_MAX]; /* node/issuers.h: as known now */
    /* In the list no more; their links stay up while they may still have something to say. */
    uint8_t leaving_count;
    uint8_t leaderless; /* looks in a row at which no leader was known */
    struct hf_name leaving[HF_ISSUERS_MAX];
    uv_timer_t leaving_timer;
    uv_timer_t look_timer;
    struct wire_issuers told; /* the newest that an issuer has told; index 0: none yet */

    uv_async_t local_wake;
    size_t local_first;
    size_t local_count;
    struct node_local local[NODE_LOCAL_MAX];
};

/* The journal can't be read or written, or is another's: not to be tried again soon (EX_IOERR). */
enum { NODE_EXIT_STORE = 74 };

/*
 * Starts everything that node->conf names. Returns 0, or the status to exit with, after one log
 * line: NODE_EXIT_STORE, else EXIT_FAILURE. May block for files, never for the network.
 */
int node_start(struct node *node);

/* Closes everything; uv_run() returns when it is done. */
void node_stop(struct node *node);

/* A command for another node's console, or the answer to one. False: it is not up. */
bool node_send_query(struct node *node, const struct hf_name *to, bool reply,
                     const struct wire_query *query);

/* `peer`, of node->issuer_peer, is connected and said this. */
void node_issuer_up(struct node *node, struct node_peer *peer, const struct wire_hello *hello);

/* 64 bits from the kernel's random source. */
uint64_t node_random(void);

#endif
