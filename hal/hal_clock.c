#include <time.h>

#include "hal/clock.h"

static int64_t clock_read_us(clockid_t clock)
{
    struct timespec at = { 0, 0 };
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

struct instant hal_clock_now(void)
{
    return (struct instant){ clock_read_us(CLOCK_MONOTONIC_RAW) };
}

struct span hal_clock_slept(void)
{
    /* In this order a pause between the two can only make the result too small. */
    int64_t boottime_us = clock_read_us(CLOCK_BOOTTIME);
    return span_from_us(boottime_us - clock_read_us(CLOCK_MONOTONIC));
}

int64_t hal_clock_wall_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}
