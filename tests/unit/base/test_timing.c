/* Timing arithmetic: rounded to the safe side, and safe at the worst clocks. */
#include "base/timing.h"
#include "tests/unit/support/unit.h"

static void rounds_to_the_safe_side(void **state)
{
    (void)state;
    assert_int_equal(timing_stretch(span_from_us(1), 1).us, 2);
    assert_int_equal(timing_shrink(span_from_us(1), 1).us, 0);
    assert_int_equal(timing_stretch(span_from_ms(1000), 2000).us, 1002000);
    assert_int_equal(timing_shrink(span_from_ms(1000), 2000).us, 998000);
    assert_int_equal(timing_stretch(span_from_us(0), 2000).us, 0);
}

static void deadline_counts_from_the_sending_less_the_release(void **state)
{
    (void)state;
    struct instant deadline =
        timing_holder_deadline((struct instant){ 5000 }, span_from_ms(1000), 2000, span_from_ms(5));
    assert_int_equal(deadline.us, 5000 + 998000 - 5000);
}

/* The holder's clock runs slow and the leader's fast, both by the whole allowance. */
static void holder_is_off_before_the_issuer_frees_at_the_worst_clocks(void **state)
{
    (void)state;
    for (uint32_t ppm = 0; ppm <= 50000; ppm += 500) {
        for (int64_t ttl_ms = 50; ttl_ms <= 600000; ttl_ms = ttl_ms * 3 + 1) {
            struct span ttl = span_from_ms(ttl_ms);
            struct span fence = span_from_ms(20);
            double rho = ppm / 1e6;
            double holder =
                (double)timing_holder_deadline((struct instant){ 0 }, ttl, ppm, span_from_us(0)).us;
            double issuer = (double)timing_issuer_free((struct instant){ 0 }, ttl, fence, ppm).us;
            assert_true(holder / (1.0 - rho) <= (double)ttl.us + 0.001);
            assert_true(issuer / (1.0 + rho) >= (double)(ttl.us + fence.us) - 0.001);
        }
    }
}

static void fence_latency_counts_what_is_covered(void **state)
{
    (void)state;
    struct timing_fence fence = { .kind = TIMING_FENCE_PULSE,
                                  .hold = span_from_ms(20),
                                  .watchdog_timeout = span_from_ms(2000),
                                  .reset_time = span_from_ms(500),
                                  .close_pings = true };
    assert_int_equal(timing_fence_latency(&fence).us, 20000);
    fence.kind = TIMING_FENCE_GPIO_PROCESS;
    assert_int_equal(timing_fence_latency(&fence).us, 0);
    fence.kind = TIMING_FENCE_GPIO_KERNEL;
    assert_int_equal(timing_fence_latency(&fence).us, 4500000);
    fence.close_pings = false;
    assert_int_equal(timing_fence_latency(&fence).us, 2500000);
}

static void bound_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    struct timing_bound bound =
        timing_failover_bound(span_from_ms(1000), span_from_ms(20), 2000, span_from_ms(3),
                              span_from_ms(2), span_from_ms(1));
    assert_int_equal(bound.lease.us, 1022040);
    assert_int_equal(bound.total.us, 1022040 + 6000);
}

static void recommended_ttl_survives_the_loss_of_the_leader(void **state)
{
    (void)state;
    struct span ttl =
        timing_recommended_ttl(span_from_ms(300), span_from_ms(50), span_from_ms(5), 2000);
    int64_t left = timing_shrink(ttl, 2000).us - timing_renew_interval(ttl).us;
    assert_true(left >= 655000);
    assert_true(ttl.us <= 1000000);
}

static void four_ways_of_a_slow_leader_fit_beside_interval_and_heartbeat(void **state)
{
    (void)state;
    struct span delay =
        timing_bearable_delay(span_from_ms(1000), span_from_ms(50), span_from_ms(5), 2000);
    assert_int_equal(delay.us, (998000 - 5000 - 200000 - 50000) / 4);
    /* At the recommended ttl: half an election timeout. */
    struct span ttl =
        timing_recommended_ttl(span_from_ms(300), span_from_ms(50), span_from_ms(5), 2000);
    assert_in_range(timing_bearable_delay(ttl, span_from_ms(50), span_from_ms(5), 2000).us, 149999,
                    150001);
    assert_int_equal(
        timing_bearable_delay(span_from_ms(50), span_from_ms(50), span_from_ms(5), 2000).us, 0);
}

static void never_stays_never(void **state)
{
    (void)state;
    assert_int_equal(instant_add(INSTANT_NEVER, span_from_ms(-5)).us, INT64_MAX);
    assert_int_equal(instant_add((struct instant){ INT64_MAX - 1 }, span_from_ms(5)).us, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_to_the_safe_side),
        cmocka_unit_test(deadline_counts_from_the_sending_less_the_release),
        cmocka_unit_test(holder_is_off_before_the_issuer_frees_at_the_worst_clocks),
        cmocka_unit_test(fence_latency_counts_what_is_covered),
        cmocka_unit_test(bound_is_the_sum_of_its_parts),
        cmocka_unit_test(recommended_ttl_survives_the_loss_of_the_leader),
        cmocka_unit_test(four_ways_of_a_slow_leader_fit_beside_interval_and_heartbeat),
        cmocka_unit_test(never_stays_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
