/*
 * Which refusals are worth a log line: the first of a cause, then a count a minute later.
 *
 * Purpose: whoever connects in a loop and is refused cannot fill the log. Pure; the clock is passed
 * in.
 * Owner: a peer hub, or a console, which embeds it, zeroed.
 */
#ifndef HOLDFAST_PEER_REFUSALS_H
#define HOLDFAST_PEER_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "peer/tls.h"

enum { REFUSALS_WINDOW_MS = 60000 };

/* A cause of enum tls_cause, or one of these. */
enum refusal_cause {
    REFUSAL_CLUSTER = TLS_CAUSES, /* hello: wrong cluster name */
    REFUSAL_VERSION,              /* hello: protocol version mismatch */
    REFUSAL_HELLO,                /* no hello in time, or the connection ended before it */
    REFUSAL_FRAME,                /* a frame of bad length, undecodable, or out of turn */
    REFUSAL_LINE,                 /* the console's: a line that is too long, or no text */
    REFUSAL_CAUSES
};

enum { REFUSAL_WHO_MAX = 100 };

struct refusals {
    struct {
        uint64_t started_ms;
        uint32_t held_back;
        bool open;
        char last[REFUSAL_WHO_MAX]; /* whom the last one held back was about */
    } window[REFUSAL_CAUSES];
};

/* The cause in a few words; static text. `cause` 0..REFUSAL_CAUSES - 1. */
const char *refusal_cause_text(int cause);

/* True if this refusal gets its line now; else it is counted, with `who`. */
bool refusals_admit(struct refusals *refusals, int cause, const char *who, uint64_t now_ms);

/*
 * Closes the window of `cause` if its minute is over. Returns how many were held back in it, 0 if
 * none or it is not over; `last` of the window then still says whom the last one was about.
 */
uint32_t refusals_collect(struct refusals *refusals, int cause, uint64_t now_ms);

/* True while refusals_collect() has something to wait for. */
bool refusals_pending(const struct refusals *refusals);

#endif
