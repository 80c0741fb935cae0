#include "base/timing.h"

#include "base/check.h"

static const int64_t million = 1000000;

struct span timing_stretch(struct span span, uint32_t drift_ppm)
{
    HF_CHECK(span.us >= 0 && span.us <= INT64_MAX / (2 * million));
    int64_t extra = (span.us * (int64_t)drift_ppm + million - 1) / million;
    return span_from_us(span.us + extra);
}

struct span timing_shrink(struct span span, uint32_t drift_ppm)
{
    HF_CHECK(span.us >= 0 && span.us <= INT64_MAX / (2 * million));
    int64_t less = (span.us * (int64_t)drift_ppm + million - 1) / million;
    return span_from_us(span.us - less);
}

struct instant timing_holder_deadline(struct instant sent, struct span ttl, uint32_t drift_ppm,
                                      struct span release)
{
    return instant_sub(instant_add(sent, timing_shrink(ttl, drift_ppm)), release);
}

struct instant timing_issuer_free(struct instant confirmed, struct span ttl, struct span fence,
                                  uint32_t drift_ppm)
{
    return instant_add(confirmed, timing_stretch(span_add(ttl, fence), drift_ppm));
}

struct span timing_renew_interval(struct span ttl)
{
    int64_t us = ttl.us / TIMING_RENEWALS_PER_TTL;
    return span_from_us(us < 1000 ? 1000 : us);
}

struct span timing_fence_latency(const struct timing_fence *fence)
{
    struct span total = span_from_us(0);
    switch (fence->kind) {
    case TIMING_FENCE_PULSE:
        return fence->hold;
    case TIMING_FENCE_GPIO_PROCESS:
        return total;
    case TIMING_FENCE_GPIO_KERNEL:
        total = span_add(fence->watchdog_timeout, fence->reset_time);
        if (fence->close_pings)
            total = span_add(total, fence->watchdog_timeout);
        return total;
    }
    hf_panic(__FILE__, __LINE__, "fence kind");
}

struct timing_bound timing_failover_bound(struct span ttl, struct span fence, uint32_t drift_ppm,
                                          struct span grant, struct span renewal,
                                          struct span energise)
{
    struct timing_bound bound = {
        .lease = timing_stretch(span_add(ttl, fence), drift_ppm),
        .grant = grant,
        .renewal = renewal,
        .energise = energise,
    };
    bound.total = span_add(span_add(bound.lease, grant), span_add(renewal, energise));
    return bound;
}

struct span timing_recommended_ttl(struct span election, struct span heartbeat, struct span release,
                                   uint32_t drift_ppm)
{
    /* ttl*(1-rho) - ttl/renewals >= 2*election + heartbeat + release, solved for ttl. */
    int64_t need_us = 2 * election.us + heartbeat.us + release.us;
    int64_t share_ppm = million - (int64_t)drift_ppm - million / TIMING_RENEWALS_PER_TTL;
    HF_CHECK(share_ppm > 0);
    return span_from_us((need_us * million + share_ppm - 1) / share_ppm);
}

struct span timing_bearable_delay(struct span ttl, struct span heartbeat, struct span release,
                                  uint32_t drift_ppm)
{
    int64_t left_us = timing_shrink(ttl, drift_ppm).us - release.us -
                      timing_renew_interval(ttl).us - heartbeat.us;
    return span_from_us(left_us > 0 ? left_us / 4 : 0);
}
