/*
 * The console: one command a line over TLS, for people, scripts and Prometheus.
 *
 * Purpose: the listener and its connections (this file's console.c), the commands (call.h), their
 *   answers (report.h).
 * Owner: struct node; loop thread. Lifecycle: console_start(), events, console_stop().
 * Rules:
 *  - OU "viewer" or "node" reads; "operator" also acts. Any other OU is refused.
 *  - A greeting, then a prompt; the next line is read when the answer to the last one is out.
 *    Anything typed at a watch ends it.
 *  - "GET /metrics ..." as the first line gets an HTTP answer and the connection is closed. HTTP
 *    allows nothing before that answer, so the greeting waits for the first line, but at most
 *    CONSOLE_GREETING_MS.
 *  - Seats are limited, some are kept for operators, and idle ones end: see seats.h.
 *  - A line longer than CONSOLE_LINE_MAX, or with bytes that are no text, ends the connection with
 *    one error.
 *  - A command that another node must answer is relayed over the peer hub, once. Whose word counts
 *    there for an operator is in voucher.h; `fault clear` is for the board's own console. A board's
 *    console relays questions only, and says where acts are taken (CALL_ELSEWHERE).
 *  - An act is answered when it is committed (operate.c), and a certificate that acts in a loop, or a
 *    board that asks in one, is told to wait (CALL_TOO_MANY).
 */
#ifndef HOLDFAST_CONSOLE_CONSOLE_H
#define HOLDFAST_CONSOLE_CONSOLE_H

#include <stdbool.h>

#include "node/node.h"

enum {
    CONSOLE_LINE_MAX = 512,    /* bytes of one command */
    CONSOLE_SESSIONS_MAX = 16, /* see seats.h */
    CONSOLE_ENDING_MAX = 16,   /* that are told why, and close */
    /* Connections that nothing is proven about, see peer/admission.h. */
    CONSOLE_WAITING_MAX = 96,
    CONSOLE_HANDSHAKES_MAX = 16,
    CONSOLE_PER_HOST_MAX = 4,
    /* Commands of other nodes at once, and of one node: its sessions', and notes of its own. */
    CONSOLE_RELAYED_MAX = 64,
    CONSOLE_RELAYED_NODE_MAX = CONSOLE_SESSIONS_MAX + 8,
    CONSOLE_GREETING_MS = 100, /* a network's round trip, and less than people notice */
    CONSOLE_QUEUE_MAX = 4 * 1024 * 1024
};

struct console;

/* Also where no console is configured: relayed commands are answered all the same. */
struct console *console_start(struct node *node);
/* Ends every session and call; while the peer hub is still there. The memory is the process's. */
void console_stop(struct console *console);

/* From the node: a command relayed to us, an answer to one that we relayed, a peer gone. */
void console_relayed(struct console *console, const struct hf_name *from,
                     const struct wire_query *query);
void console_relay_answer(struct console *console, const struct hf_name *from,
                          const struct wire_query *reply);
void console_peer_down(struct console *console, const struct hf_name *peer);

#endif
