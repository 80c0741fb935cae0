/*
 * What the guard asks of the kernel for being on time: SCHED_FIFO, locked memory, no timer slack.
 * Called once, after start-up and before outputs are armed. Works without the privileges. One log
 * line says that it is real-time, or what is missing and why.
 */
#ifndef HOLDFAST_GUARD_REALTIME_H
#define HOLDFAST_GUARD_REALTIME_H

#include <stdint.h>

#include "guard/platform.h"

/* Each an errno; 0: in force. */
struct realtime {
    uint8_t schedule_error;
    uint8_t memory_error;
};

void realtime_enter(const struct platform *platform, struct realtime *realtime);

#endif
