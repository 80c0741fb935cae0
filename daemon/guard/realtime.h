/*
 * What the guard asks of the kernel for being on time: SCHED_FIFO, locked memory, no timer slack.
 * Called once, after start-up and before outputs are armed. Works without the privileges, and says
 * in one log line what is missing.
 */
#ifndef HOLDFAST_GUARD_REALTIME_H
#define HOLDFAST_GUARD_REALTIME_H

#include <stdbool.h>

#include "guard/platform.h"

/* True if scheduling and memory locking are both in force. */
bool realtime_enter(const struct platform *platform);

#endif
