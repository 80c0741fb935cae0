/*
 * A run before it begins: its seed, its world (the plan) and its list of faults.
 * Owner: who makes it; scenario_free() frees the list.
 */
#ifndef HOLDFAST_TESTS_SIM_SCENARIO_H
#define HOLDFAST_TESTS_SIM_SCENARIO_H

#include <stddef.h>
#include <stdio.h>

#include "tests/sim/fault.h"
#include "tests/sim/oracle.h"
#include "tests/sim/settings.h"

struct scenario {
    struct sim_plan plan;
    struct fault *fault; /* in order of time */
    size_t count;
    size_t capacity;
    enum oracle_kind expected; /* ORACLE_NONE: nothing breaks */
    int64_t trace_from_us;     /* for golden traces */
    bool trace_disk;
    bool trace_renewals;
};

enum { SCENARIO_ERROR_MAX = FAULT_LINE_MAX + 32 };

/* plan.c: all of it from the seed. From then on settings->seed is that of the run's streams. */
void scenario_make(struct settings *settings, struct scenario *scenario);
/* The fence latency of each board's hardware, as the configuration reckons it. */
void plan_fences(struct sim_plan *plan);
int64_t plan_longest_fence_us(const struct sim_plan *plan);
int64_t plan_longest_ttl_us(const struct sim_plan *plan);
/* True time by which every resource must be driven again after the last fault. */
int64_t plan_driven_by_us(const struct sim_plan *plan);
/* Faults of all kinds, then a quiet phase. */
bool plan_is_chaos(const struct sim_plan *plan);

/* scenario.c */
void scenario_add(struct scenario *scenario, const struct fault *fault);
/* *copy need not be anything before. */
void scenario_copy(struct scenario *copy, const struct scenario *scenario);
void scenario_free(struct scenario *scenario);

/* scenario_text.c */
void scenario_print(FILE *out, const struct settings *settings, const struct scenario *scenario);
/*
 * Reads what scenario_print() wrote; `#` begins a comment. What the text does not say is as in a
 * calm world without jitter. The text is destroyed. NULL, or the error: static text, or in `error`
 * of SCENARIO_ERROR_MAX bytes.
 */
const char *scenario_parse(char *text, struct settings *settings, struct scenario *scenario,
                           char *error);

#endif
