/*
 * Clocks. Two functions, both non-blocking and unable to fail on a supported kernel (>= 2.6.39).
 * Implemented once for both backends: time is not simulated by the HAL.
 */
#ifndef HOLDFAST_HAL_CLOCK_H
#define HOLDFAST_HAL_CLOCK_H

#include "base/instant.h"

/*
 * CLOCK_MONOTONIC_RAW, in microseconds: every lease decision. Not slewed by NTP.
 * Source: clock_gettime(2).
 */
struct instant hal_clock_now(void);

/*
 * CLOCK_BOOTTIME minus CLOCK_MONOTONIC: how long the board has slept since boot. Growing means that
 * the lease is lost.
 */
struct span hal_clock_slept(void);

/* CLOCK_REALTIME in microseconds since the epoch: for people only. */
int64_t hal_clock_wall_us(void);

#endif
