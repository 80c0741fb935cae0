/*
 * The console: one command a line over TLS, for people, scripts and Prometheus.
 *
 * Purpose: the listener (console.c) and its connections (session.h), the commands (call.h), their
 *   answers (report.h), those that go to another node (relay.h) and that come from one (relayed.h).
 * Owner: main(), above the node, of which it sees what is in view.h. Loop thread.
 * Lifecycle: console_start() after node_start(), events, console_stop() before node_stop(). The
 *   memory is the process's.
 * Rules:
 *  - OU "viewer" or "node" reads; "operator" also acts. Any other OU is refused.
 *  - A greeting, then a prompt; the next line is taken when the answer to the last one is with the
 *    kernel. While a line waits, nothing more is read. All sessions together have one line taken in a
 *    turn of the loop, see turns.h: however much clients say at once, it costs one answer, and the
 *    node's other work goes on in between. Anything typed at a watch ends it.
 *  - "GET /metrics ..." as the first line gets an HTTP answer and the connection is closed. HTTP
 *    allows nothing before that answer, so the greeting waits for the first line, but at most
 *    CONSOLE_GREETING_MS.
 *  - Seats are limited, some are kept for operators, and idle ones end: see seats.h.
 *  - A line longer than CONSOLE_LINE_MAX, or with bytes that are no text, ends the connection with
 *    one error. What is behind a line that was taken is looked at before more is read, so that what is
 *    kept of a client has a bound, however its bytes are cut into records.
 *  - A command that another node must answer is relayed over the peer hub, once. Whose word counts
 *    there for an operator is in voucher.h; `fault clear` of a latched fault is for the board's own
 *    console. A board's console relays questions only, and says where acts are taken (CALL_ELSEWHERE).
 *  - An act is answered when it is committed (operate.c), and a certificate that acts in a loop, or a
 *    board that asks in one, is told to wait (CALL_TOO_MANY).
 */
#ifndef HOLDFAST_CONSOLE_CONSOLE_H
#define HOLDFAST_CONSOLE_CONSOLE_H

#include <uv.h>

#include "conf/conf.h"

enum {
    CONSOLE_LINE_MAX = 512,    /* bytes of one command */
    CONSOLE_SESSIONS_MAX = 16, /* see seats.h */
    CONSOLE_ENDING_MAX = 16, /* that are told why, and close; more: the first of them is cut off */
    /* Connections that nothing is proven about, see peer/admission.h. */
    CONSOLE_WAITING_MAX = 96,
    CONSOLE_HANDSHAKES_MAX = 10,
    CONSOLE_PER_HOST_MAX = 4,
    /* Commands of other nodes at once, and of one node: its sessions', and notes of its own. */
    CONSOLE_RELAYED_MAX = 64,
    CONSOLE_RELAYED_NODE_MAX = CONSOLE_SESSIONS_MAX + 8,
    CONSOLE_GREETING_MS = 100, /* a network's round trip, and less than people notice */
    CONSOLE_TURN_MS = 1, /* from a command to the next one, of any session: a turn, at least */
    CONSOLE_OUT_MS = 5,  /* how often it is looked whether an answer is out */
    CONSOLE_QUEUE_MAX = 4 * 1024 * 1024 /* one answer, or what a watch tells who does not read */
};

struct console;
struct node;
struct tls_identity;

struct console_config {
    uv_loop_t *loop;
    const struct conf *conf;             /* outlives the console, as all of these */
    const struct tls_identity *identity; /* as the node's */
    struct node *node;                   /* started */
};

/*
 * Has the node tell it of relayed commands (node_set_events()), also where no console is configured:
 * they are answered all the same. NULL after one log line.
 */
struct console *console_start(const struct console_config *config);

/* Ends every session and call; while the node's hub is still there. */
void console_stop(struct console *console);

#endif
