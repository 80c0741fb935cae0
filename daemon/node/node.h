/*
 * The node: one holdfastd process, with an issuer, an agent, or both.
 *
 * Purpose: owns the peer hub and both roles, and carries messages between them, so that neither role
 *   knows whether the other side is in this process or across the network.
 * Owner: main(), on the loop that it gives. One thread (the loop's); the store has a writer thread
 *   of its own.
 * Lifecycle: node_start(), node_set_events() before the loop runs, uv_run(), node_stop() from a
 *   signal; the loop ends when all is closed. The memory is the process's.
 * Rules:
 *  - Who may say what is judged here, and only here: a role believes what it is given.
 *  - What stands above (the console) is known by struct node_events alone. It reads the roles by
 *    node_issuer(), node_agent() and node_issuers(), and acts through issuer_shell.h and agent.h.
 */
#ifndef HOLDFAST_NODE_NODE_H
#define HOLDFAST_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/name.h"
#include "conf/conf.h"
#include "wire/wire.h"

struct agent;
struct issuer_shell;
struct issuers;
struct node;
struct tls_identity;

struct node_config {
    uv_loop_t *loop;
    const struct conf *conf;             /* outlives the node */
    const struct tls_identity *identity; /* as conf */
};

/* For whoever stands above, from the loop thread. Not after node_stop(). */
struct node_events {
    void *context;
    /* A command that the node `from` relays to this one, or its answer to one. */
    void (*on_query)(void *context, const struct hf_name *from, const struct wire_query *query);
    void (*on_query_reply)(void *context, const struct hf_name *from,
                           const struct wire_query *reply);
    void (*on_peer_down)(void *context, const struct hf_name *peer);
};

/* The journal can't be read or written, or is another's: not to be tried again soon (EX_IOERR). */
enum { NODE_EXIT_STORE = 74 };

/*
 * Starts the roles that conf names. Returns 0, or the status to exit with, after one log line:
 * NODE_EXIT_STORE, else EXIT_FAILURE. May block for files, never for the network.
 */
int node_start(struct node **node, const struct node_config *config);

/* Until then nobody is told. */
void node_set_events(struct node *node, const struct node_events *events);

/* Closes everything; uv_run() returns when it is done. */
void node_stop(struct node *node);

/* The roles; NULL: this node has not got it. They stay until the loop has ended. */
struct issuer_shell *node_issuer(const struct node *node);
struct agent *node_agent(const struct node *node);

/* Who the issuers are, as known now; see node/issuers.h. */
const struct issuers *node_issuers(const struct node *node);

/* A command for another node, or the answer to one. False: it is not up. */
bool node_send_query(struct node *node, const struct hf_name *to, bool reply,
                     const struct wire_query *query);

/* 64 bits from the kernel's random source. */
uint64_t node_random(void);

#endif
