/*
 * What the commands that show the cluster share: whose copy they show, and what an issuer is called.
 *
 * Owner: the console's commands; loop thread.
 */
#ifndef HOLDFAST_CONSOLE_SHOW_H
#define HOLDFAST_CONSOLE_SHOW_H

#include "console/call.h"
#include "guard/guard_message.h"

enum { SHOW_FAULT_MAX = 40 };

/* This node's copy; NULL if it is no issuer. */
const struct replica *show_replica(const struct call *call);

/* True if this node is not the leader: the command goes on there, or has failed. */
bool show_sent_to_leader(struct call *call);

/* Since when a guard has a fault, by the date of its board. False: it has none. */
bool show_fault_since(const struct guard_message *status, char text[SHOW_FAULT_MAX]);

/* The role that an issuer has, or why it has none yet. A string of the program's. */
const char *show_issuer_role(const struct raft *raft);

#endif
