/*
 * What the console sees of the node below it: all that its commands may read and act upon.
 *
 * Owner: console.c, filled once at its start; loop thread. What it points to outlives the console.
 */
#ifndef HOLDFAST_CONSOLE_VIEW_H
#define HOLDFAST_CONSOLE_VIEW_H

#include "agent/agent.h"
#include "console/purse.h"
#include "issuer/issuer_shell.h"
#include "log/quota.h"
#include "node/issuers.h"
#include "node/node.h"

enum { CONSOLE_OPERATORS_MAX = 16 }; /* whose purses are kept: more than act at once */

struct call;

/* What outlives a call, zeroed at the start. */
struct console_kept {
    struct call *asked; /* those that another node answers, see relay.h */
    struct call *note;  /* of a fault that was cleared here, while it is told: operate_fault.c */
    struct purse operators[CONSOLE_OPERATORS_MAX]; /* acts, by certificate */
    struct purse boards[HF_AGENTS_MAX];            /* bytes of answers, by board */
    struct log_quota vouchers;                     /* lines on acts that a node may not vouch for */
};

struct console_view {
    uv_loop_t *loop;
    const struct conf *conf;
    struct node *node; /* for node_send_query() */
    const struct issuers *issuers;
    struct issuer_shell *issuer_shell; /* NULL: not an issuer */
    struct agent *agent;               /* NULL: holds no leases */
    struct console_kept *kept;
};

#endif
