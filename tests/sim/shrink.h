/*
 * The smallest run that still fails: delta debugging over a scenario's faults.
 * Owner: main.c. Bounded by runs and by events, not by a clock: the same seed shrinks the same way.
 */
#ifndef HOLDFAST_TESTS_SIM_SHRINK_H
#define HOLDFAST_TESTS_SIM_SHRINK_H

#include "tests/sim/sim.h"

struct shrunk {
    struct settings settings; /* with another seed, perhaps: only its streams count here */
    struct scenario scenario; /* the caller frees it */
    size_t faults_before;
    unsigned runs;
    bool exhausted; /* a bound ended it: perhaps not the smallest */
};

/* Of a scenario that fails as `failure` says. */
void shrink_scenario(const struct settings *settings, const struct scenario *scenario,
                     const struct run_result *failure, struct shrunk *shrunk);

#endif
