/*
 * Turns of one of the gateway's threads: by them the main thread tells one that works or waits from
 * one that stands still.
 *
 * Owner: the thread that turns. Others read `made`. All its waits go through gateway_turns_poll(), so
 *   that it turns at least each longest_ms.
 */
#ifndef HOLDFAST_GATEWAY_GATEWAY_TURNS_H
#define HOLDFAST_GATEWAY_GATEWAY_TURNS_H

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>

struct gateway_turns {
    atomic_uint_fast64_t made;
    uint32_t longest_ms; /* of one wait; 0: no bound */
    uint64_t seen;       /* the main thread's own */
};

/*
 * As poll(2), and a turn. It may end with 0 before timeout_ms (-1: none) is over: callers look again.
 */
static inline int gateway_turns_poll(struct gateway_turns *turns, struct pollfd *polled,
                                     nfds_t count, int timeout_ms)
{
    atomic_fetch_add(&turns->made, 1);
    if (turns->longest_ms != 0 && (timeout_ms < 0 || timeout_ms > (int)turns->longest_ms))
        timeout_ms = (int)turns->longest_ms;
    return poll(polled, count, timeout_ms);
}

#endif
