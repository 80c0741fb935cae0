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

/* In this order a pause between the two readings can only make the result too small. */
static int64_t slept_us(void)
{
    int64_t boottime_us = clock_read_us(CLOCK_BOOTTIME);
    return boottime_us - clock_read_us(CLOCK_MONOTONIC);
}

struct span hal_clock_slept(void)
{
    enum { READINGS = 3 }; /* the caller is hardly put aside in each of them */
    int64_t most_us = slept_us();
    for (int i = 1; i < READINGS; i++) {
        int64_t us = slept_us();
        most_us = us > most_us ? us : most_us;
    }
    return span_from_us(most_us);
}

int64_t hal_clock_wall_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}
