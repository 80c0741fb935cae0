/* The node's state, for the files of this folder and their tests. */
#ifndef HOLDFAST_NODE_NODE_PRIVATE_H
#define HOLDFAST_NODE_NODE_PRIVATE_H

#include "agent/agent.h"
#include "issuer/issuer_shell.h"
#include "log/quota.h"
#include "node/issuers.h"
#include "node/node.h"
#include "peer/peer.h"

enum { NODE_LOCAL_MAX = 64 }; /* messages between the two roles of this process */

struct node_local {
    bool to_issuer;
    struct lease_message message;
};

struct node {
    struct node_config config;
    struct node_events events;
    struct peer_hub *hub;        /* NULL: not yet, or not any more: nobody is up */
    struct issuer_shell *issuer; /* NULL: not an issuer */
    struct agent *agent;         /* NULL: holds no leases */
    bool stopping;
    struct log_quota stray;     /* lines on messages that their senders may not send */
    struct log_quota differing; /* and on nodes with another configuration */
    struct issuers issuers;
    uv_timer_t leaving_timer; /* for issuers_expire() */
    uv_timer_t look_timer;    /* for issuers_look() */
    uint32_t looks;           /* so many times */

    uv_async_t local_wake;
    size_t local_first;
    size_t local_count;
    struct node_local local[NODE_LOCAL_MAX];
};

/* ---- node_send.c: to a role of this process or of another one */

/* For the roles: `context` is a struct node. False: not up. */
bool node_send_to_issuer(void *context, const struct hf_name *to,
                         const struct lease_message *message);
bool node_send_to_agent(void *context, const struct hf_name *to,
                        const struct lease_message *message);
bool node_send_raft(void *context, const struct raft_message *message);
bool node_send_store(void *context, const struct hf_name *to, const struct wire_store *store);
void node_send_issuers(void *context, const struct hf_name *to, const struct wire_issuers *issuers);

/* Hands over what the roles of this process have for each other. Before the first message. */
void node_local_start(struct node *node);
void node_local_stop(struct node *node);

/* ---- node_receive.c: what the hub tells */

struct peer_events node_hub_events(struct node *node);

/* A message of the node `from`, whose certificate is proven: to its role, if it may say that. */
void node_receive(struct node *node, const struct hf_name *from,
                  const struct wire_message *message);

/* ---- node_members.c: carries out what issuers.h says */

void node_members_start(struct node *node);
void node_members_stop(struct node *node);

/* The own log's configuration changed or is committed now, or the hub is there now. */
void node_members_follow(struct node *node, const struct raft *raft);

/* An issuer said who they are. */
void node_members_told(struct node *node, const struct wire_issuers *issuers);

/* NULL: no issuer here. */
const struct raft *node_raft(const struct node *node);

#endif
