/*
 * One actuator: its thread, its queue of requests, its link.
 *
 * Purpose: one outstanding request per actuator. The thread keeps the link connected ahead of need,
 *   takes requests in their order, and asks the lease last of all, right before the first byte.
 * Owner: the gateway. Started once, stopped once. gateway_upstream_submit() and _withdraw() are for
 *   the server's thread, gateway_upstream_turns() for who started it; all else is its own thread's.
 */
#ifndef HOLDFAST_GATEWAY_UPSTREAM_H
#define HOLDFAST_GATEWAY_UPSTREAM_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "gateway/gateway_job.h"
#include "gateway/gateway_lease.h"
#include "gateway/gateway_turns.h"

enum {
    GATEWAY_MASTERS_MAX = 16,  /* each has one request under way at most, so a queue holds all */
    GATEWAY_PLACES_MAX = 96,   /* connections, with those that have not asked for anything yet */
    GATEWAY_RECONNECT_MS = 500 /* after a connection failed; requests fail at once until then */
};

/* Who wants to know of connections to actuators, and whether the threads go on, if anyone. */
struct gateway_watcher {
    /*
     * A connection from local_port is up. Called by any upstream's thread; must not block. May be
     * NULL.
     */
    void (*connected)(void *context, uint16_t local_port);
    void *context;
    uint32_t turn_ms; /* each thread turns at least this often; 0: as there is something to do */
};

/* What all threads of one gateway share. Set up before any of them starts. */
struct gateway_shared {
    const char *resource;
    struct gateway_watcher watcher;
    struct gateway_lease lease;
    bool reads_need_lease;
    int stop_fd; /* readable once the gateway ends; nobody reads it */
    int done_fd; /* eventfd: a job is done */
    atomic_uint_fast64_t reads_forwarded;
    atomic_uint_fast64_t writes_forwarded;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t torn_down;
};

struct gateway_upstream; /* opaque */

/*
 * Starts the thread for `actuator` (copied). `shared` outlives it. Returns NULL, with one line in
 * the log, if the address is no address, or memory or threads are short.
 */
struct gateway_upstream *gateway_upstream_start(const struct conf_actuator *actuator,
                                                struct gateway_shared *shared);

/* Joins the thread and frees all; shared->stop_fd must be readable by now. Jobs are left undone. */
void gateway_upstream_stop(struct gateway_upstream *upstream);

/* The Modbus unit id, 1..247. */
uint8_t gateway_upstream_unit(const struct gateway_upstream *upstream);

/*
 * Whether the lease allows what *facts describes to be sent to this actuator now. If not, counts
 * and logs the refusal. Never blocks for the actuator.
 */
bool gateway_upstream_permits(struct gateway_upstream *upstream,
                              const struct gateway_pdu_facts *facts);

/* Queues `job`; shared->done_fd is written when it is done. At most GATEWAY_MASTERS_MAX at once. */
void gateway_upstream_submit(struct gateway_upstream *upstream, struct gateway_job *job);

/*
 * Takes `job` back if it has not been started: true, and it will never be sent. Else it goes on and
 * will be done.
 */
bool gateway_upstream_withdraw(struct gateway_upstream *upstream, const struct gateway_job *job);

/* Those of its thread. */
struct gateway_turns *gateway_upstream_turns(struct gateway_upstream *upstream);

/* Logs lines held back by the brakes, if due. Returns true if more are held. */
bool gateway_upstream_flush_log(struct gateway_upstream *upstream);

#endif
