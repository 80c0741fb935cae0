/* Compares what is left of the lease with the longest time that a write can take. */
#include "gateway/gateway_lease.h"

struct span gateway_worst_transit(uint32_t response_ms)
{
    return span_add(span_from_ms(response_ms), span_from_ms(GATEWAY_LINK_MARGIN_MS));
}

enum gateway_lease_answer gateway_lease_check(const struct gateway_lease *lease, struct span need,
                                              struct span *left)
{
    int64_t left_us = 0;
    bool held = lease->valid(lease->context, &left_us);
    *left = span_from_us(held ? left_us : 0);
    if (!held || left_us <= 0)
        return GATEWAY_LEASE_NONE;
    return left_us > need.us ? GATEWAY_LEASE_ENOUGH : GATEWAY_LEASE_SHORT;
}
