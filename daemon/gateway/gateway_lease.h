/*
 * The gateway's question to the lease, and how much of it a write needs.
 *
 * Purpose: claim S6, "no late write": a write starts only if the lease outlives its worst transit.
 *   The answer comes in through a function, so that the gateway does not know where it comes from.
 * Owner: the gateway's threads; the structure is plain data and never changes.
 */
#ifndef HOLDFAST_GATEWAY_LEASE_H
#define HOLDFAST_GATEWAY_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

enum {
    /*
     * What a write may take besides the actuator's own response time: the way from the check to
     * the wire, the reset of a connection that gave no answer, and rounding.
     */
    GATEWAY_LINK_MARGIN_MS = 10
};

struct gateway_lease {
    /*
     * True if this board holds the resource now; *left_us is then the time left when it returns,
     * > 0: whatever the answer took has been counted. Called from all threads of the gateway at
     * once, right before a write. It may wait for another caller, and for a local file to be opened,
     * never for another process.
     */
    bool (*valid)(void *context, int64_t *left_us);
    void *context;
};

enum gateway_lease_answer {
    GATEWAY_LEASE_ENOUGH,
    GATEWAY_LEASE_NONE,
    GATEWAY_LEASE_SHORT /* held, but it may end before the write has */
};

/*
 * The longest that a write can take from the check of the lease to its end at the actuator:
 * response_ms (1..10000, the configured bound on send-to-answer; past it the gateway resets the
 * connection) plus GATEWAY_LINK_MARGIN_MS.
 *
 * What it cannot bound: a pause of this process between the check and the send, and what a stalled
 * actuator's own receive buffer holds when the reset arrives. Only the actuator, or a fence latency
 * F that covers its drain, closes those.
 */
struct span gateway_worst_transit(uint32_t response_ms);

/* Whether the lease is held and lasts longer than `need` (>= 0). *left is 0 if it is not held. */
enum gateway_lease_answer gateway_lease_check(const struct gateway_lease *lease, struct span need,
                                              struct span *left);

#endif
