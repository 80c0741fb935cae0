/*
 * What all acts of operators share: where one is taken, on whose word, and when it is done for good.
 *
 * An act's command reads its names, asks operate_here() whether this node is to do it, fills a
 * replica_event, and hands that to operate_act(), which answers when a majority has it. Whatever returns
 * false here has failed the call or sent it elsewhere: nothing more is said to it.
 * Owner: the console's commands; loop thread.
 */
#ifndef HOLDFAST_CONSOLE_OPERATE_H
#define HOLDFAST_CONSOLE_OPERATE_H

#include "console/call.h"

/* Reads the name in `word`; `what` it is the name of is for the error. False: the call has failed. */
bool operate_name(struct call *call, int word, const char *what, struct hf_name *name);

/* True if the call was relayed, by a node that is no issuer as far as this one knows. */
bool operate_by_board(const struct call *call);

/* Fails the call: its node may not relay it. */
void operate_refuse_voucher(struct call *call);

/*
 * True if this node leads; else the call went to the leader or has failed. `resource`: NULL for an
 * act on none.
 */
bool operate_here(struct call *call, const struct hf_name *resource);

/* Steps the replica with the act, on the operator's account. False: the call has failed. */
bool operate_step(struct call *call, struct replica_event *event);

/* After operate_step(): `on_done` runs when that is committed; whatever else comes fails the call. */
void operate_await(struct call *call, void (*on_done)(struct call *call));

/* The answer to an act that is committed: call->done, or what is said here. The call is over. */
void operate_done(struct call *call);
void operate_done_as(struct call *call, const char *done);

/* All of these; the answer is then `done`, a text that outlives the call. */
void operate_act(struct call *call, struct replica_event *event, const char *done);

#endif
