/*
 * What the console sees of the node below it: all that its commands may read and act upon.
 *
 * Owner: console.c, filled once at its start; loop thread. What it points to outlives the console.
 */
#ifndef HOLDFAST_CONSOLE_VIEW_H
#define HOLDFAST_CONSOLE_VIEW_H

#include "agent/agent.h"
#include "issuer/issuer_shell.h"
#include "node/issuers.h"
#include "node/node.h"

struct console_view {
    uv_loop_t *loop;
    const struct conf *conf;
    struct node *node; /* for node_send_query() */
    const struct issuers *issuers;
    struct issuer_shell *issuer; /* NULL: not an issuer */
    struct agent *agent;         /* NULL: holds no leases */
};

#endif
