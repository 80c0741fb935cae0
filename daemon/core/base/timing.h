/*
 * The timing argument of the lease protocol, in one place.
 *
 * T = ttl; rho = drift_ppm / 1e6; r = release time of the holder's outputs; F = fence latency.
 *
 * Second by second, for one lease that its holder stops renewing:
 *   t0          the holder sends its last renewal (holder's clock)
 *   t1 >= t0    the leader learns that a majority confirmed its term (leader's clock)
 *   deadline    t0 + T*(1 - rho) - r on the holder's clock. The guard decides to drop; outputs are
 *               off r later. At most T of true time has passed since t0.
 *   + F         at the latest now the hardware is safe, whatever became of the holder.
 *   free        t1 + (T + F)*(1 + rho) on the leader's clock. At least T + F of true time has
 *               passed since t1 >= t0, so the resource may be granted again.
 *
 * All functions are pure. Rounding is always to the safe side: a deadline down, a free time up.
 * Source: PROTOCOL.md, t0-is-sent, holder-deadline, t1-is-learned, issuer-free, fence-latency,
 *   safe-rounding, slow-leader-bound; part 3 has the proof.
 */
#ifndef HOLDFAST_CORE_BASE_TIMING_H
#define HOLDFAST_CORE_BASE_TIMING_H

#include <stdint.h>

#include "base/instant.h"

enum {
    TIMING_DRIFT_PPM_MAX = 100000, /* 10 %: past this the arithmetic is not worth having */
    TIMING_RENEWALS_PER_TTL = 5    /* a holder renews this often per ttl */
};

/* ceil(span * (1 + drift_ppm/1e6)); span >= 0. */
struct span timing_stretch(struct span span, uint32_t drift_ppm);

/* floor(span * (1 - drift_ppm/1e6)); span >= 0. */
struct span timing_shrink(struct span span, uint32_t drift_ppm);

/*
 * The instant at which the holder's guard must decide to drop: sent + ttl*(1-rho) - release.
 * `sent` is when the renewal that was confirmed was *sent*, on the holder's clock.
 */
struct instant timing_holder_deadline(struct instant sent, struct span ttl, uint32_t drift_ppm,
                                      struct span release);

/*
 * The first instant at which the leader may grant the resource again:
 * confirmed + (ttl + fence)*(1+rho), on the leader's clock.
 */
struct instant timing_issuer_free(struct instant confirmed, struct span ttl, struct span fence,
                                  uint32_t drift_ppm);

/* How often a holder renews a lease of this ttl: ttl / TIMING_RENEWALS_PER_TTL, at least 1 ms. */
struct span timing_renew_interval(struct span ttl);

/* What a fence latency covers, from the configuration of one output. */
enum timing_fence_kind {
    TIMING_FENCE_PULSE,        /* charge pump or retriggerable monostable: its time constant */
    TIMING_FENCE_GPIO_PROCESS, /* plain GPIO, covers the death of the guard only */
    TIMING_FENCE_GPIO_KERNEL   /* plain GPIO, covers a kernel hang: the watchdog resets the board */
};

struct timing_fence {
    enum timing_fence_kind kind;
    struct span hold;             /* pulse: time constant */
    struct span watchdog_timeout; /* gpio_kernel */
    struct span reset_time;       /* gpio_kernel: from watchdog bite to pins at their pulls */
    bool close_pings;             /* gpio_kernel: closing the device pings it once more */
};

/* Fence latency F of one output, >= 0. */
struct span timing_fence_latency(const struct timing_fence *fence);

/* The parts of the failover bound; each >= 0, sum in `total`. */
struct timing_bound {
    struct span lease;    /* (T + F)*(1 + rho) */
    struct span grant;    /* commit of the grant at a majority, and its push */
    struct span renewal;  /* the first renewal: one confirmation round */
    struct span energise; /* permit to the guard, outputs on */
    struct span total;
};

struct timing_bound timing_failover_bound(struct span ttl, struct span fence, uint32_t drift_ppm,
                                          struct span grant, struct span renewal,
                                          struct span energise);

/*
 * The smallest ttl at which losing the leader costs a healthy holder nothing (claim L2):
 * one renewal interval, the longest usual election (2 * election timeout), one heartbeat and the
 * release time must fit into ttl*(1-rho).
 */
struct span timing_recommended_ttl(struct span election, struct span heartbeat, struct span release,
                                   uint32_t drift_ppm);

/*
 * The longest one-way delay of all of a leader's links at which a healthy holder loses nothing, >= 0.
 * A renewal that is not answered at once has others behind it, each with a send instant and a round
 * of its own (at most a heartbeat interval later), so the answers come as often as the renewals,
 * only later: by four ways, to the leader, to the voters, back, and back to the holder. So
 *   interval + heartbeat + 4 * delay <= ttl*(1-rho) - release.
 * At the recommended ttl that is half an election timeout. A leader that becomes so slow at once
 * that it misses its voters' answers for an election timeout hands over; with
 *   interval + heartbeat + election + delay <= ttl*(1-rho) - release
 * that costs nothing either, and at the recommended ttl it holds whenever the first does.
 */
struct span timing_bearable_delay(struct span ttl, struct span heartbeat, struct span release,
                                  uint32_t drift_ppm);

#endif
