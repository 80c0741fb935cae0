/*
 * A run before it begins: its seed, its world (the plan) and its list of faults.
 * Owner: who makes it; scenario_free() frees the list.
 */
#ifndef HOLDFAST_TESTS_SIM_SCENARIO_H
#define HOLDFAST_TESTS_SIM_SCENARIO_H

#include <stddef.h>

#include "tests/sim/fault.h"
#include "tests/sim/settings.h"

struct scenario {
    struct sim_plan plan;
    struct fault *fault; /* in order of time */
    size_t count;
    size_t capacity;
};

/* plan.c: all of it from the seed. */
void scenario_make(const struct settings *settings, struct scenario *scenario);
/* True time by which every resource must be driven again after the last fault. */
int64_t plan_driven_by_us(const struct sim_plan *plan);

/* scenario.c */
void scenario_add(struct scenario *scenario, const struct fault *fault);
void scenario_free(struct scenario *scenario);

#endif
