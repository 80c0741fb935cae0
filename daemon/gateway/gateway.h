/*
 * The Modbus fencing proxy: local masters in front, actuators behind, the lease between.
 *
 * Purpose: reads pass; a write passes only while this board holds the resource for longer than the
 *   write can take (claim S6). A refusal is answered at once, whatever an actuator is doing.
 * Threads: one server thread for all masters, one thread per actuator, all started by
 *   gateway_start() and joined by gateway_stop(). The functions here are for the thread that
 *   started it; gateway_counters() is for any.
 */
#ifndef HOLDFAST_GATEWAY_GATEWAY_H
#define HOLDFAST_GATEWAY_GATEWAY_H

#include "conf/conf.h"
#include "gateway/gateway_lease.h"
#include "gateway/gateway_upstream.h"

struct gateway; /* opaque */

struct gateway_counters {
    uint64_t reads_forwarded;
    uint64_t writes_forwarded;
    uint64_t refused;   /* for want of the lease */
    uint64_t torn_down; /* forwarded, and the connection reset before an answer */
};

/*
 * Listens on conf->gateway_listen and starts all threads; conf->has_gateway is true. `lease` and
 * `watcher` (may be NULL) are copied, what they point to outlives the gateway. On success *out is
 * to be given back by gateway_stop(). Returns false with one line in the log: bad address, address
 * in use, memory. Signals that the caller takes should be blocked before, so that no thread here
 * gets them.
 */
bool gateway_start(const struct conf *conf, const struct gateway_lease *lease,
                   const struct gateway_watcher *watcher, struct gateway **out);

/* The port that it listens on. Tests ask: they listen on port 0, a free one. */
uint16_t gateway_port(const struct gateway *gateway);

struct gateway_counters gateway_counters(const struct gateway *gateway);

/*
 * Whether each thread has turned since gateway_mark_turns(), or ever: one that has not stands still, if
 * more than watcher->turn_ms went by. For one thread, as the next. Never blocks.
 */
bool gateway_all_turned(struct gateway *gateway);

void gateway_mark_turns(struct gateway *gateway);

/*
 * Resets requests under way, closes all connections, joins all threads and frees all. Returns the
 * last state of the counters. Blocks for milliseconds.
 */
struct gateway_counters gateway_stop(struct gateway *gateway);

#endif
