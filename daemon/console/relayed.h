/*
 * Commands that other nodes relayed to this one: each is a call whose answer goes back in pieces.
 *
 * Owner: console.c; loop thread. Lifecycle: from the query to its last piece, to a cancel (an empty
 *   query of the same id), or to the end of the link.
 */
#ifndef HOLDFAST_CONSOLE_RELAYED_H
#define HOLDFAST_CONSOLE_RELAYED_H

#include "console/console_private.h"

void relayed_query(struct console *console, const struct hf_name *from,
                   const struct wire_query *query);
void relayed_peer_down(struct console *console, const struct hf_name *peer);
void relayed_end_all(struct console *console);

#endif
