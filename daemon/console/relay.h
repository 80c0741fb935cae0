/*
 * Calls of this node that another node answers.
 *
 * Owner: the call (call.h), which is on the console's list `asked` (view.h) from call_relay() to its
 *   end. Loop thread.
 */
#ifndef HOLDFAST_CONSOLE_RELAY_H
#define HOLDFAST_CONSOLE_RELAY_H

#include "console/call.h"

/* A piece of an answer, or its end; ignored unless `from` was asked. */
void relay_answer(const struct console_view *view, const struct hf_name *from,
                  const struct wire_query *reply);

/* Nobody answers what that node was asked. */
void relay_peer_down(const struct console_view *view, const struct hf_name *peer);

/* The other node is told not to go on, if the call is relayed. */
void relay_cancel(const struct call *call);

/* The call is finished. */
void relay_end(struct call *call);

/* Cancels every one of them. */
void relay_cancel_all(const struct console_view *view);

#endif
