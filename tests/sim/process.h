/* Processes of the world and their timers: process.c acts on them. */
#ifndef HOLDFAST_TESTS_SIM_PROCESS_H
#define HOLDFAST_TESTS_SIM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* What can be killed and stopped. A new life begins with each start; events of an old one miss. */
struct process {
    bool up;
    uint32_t life;
    int64_t paused_until_us;
};

/* One per role: a process with two roles has two. */
struct timer {
    uint32_t id;   /* of the armed one: others that fire are stale */
    int64_t at_us; /* true time at which it fires; INT64_MAX: none */
};

#endif
