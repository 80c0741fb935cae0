/*
 * The hunt: seeds one after the other until one of the wanted oracles fails.
 *
 * Purpose: tests/mutants lets a mutated core live here until it is found out. What other oracles
 *   say on the way is printed once each, and does not end the hunt.
 */
#ifndef HOLDFAST_TESTS_SIM_HUNT_H
#define HOLDFAST_TESTS_SIM_HUNT_H

#include "tests/sim/sim.h"

struct hunt {
    uint32_t oracles; /* bit per oracle that ends it */
    uint64_t from;
    uint64_t seeds;
    uint64_t cpu_s; /* at the most, of one core */
    enum sim_type only;
    bool fresh; /* no run is a child of another */
};

/* "S1,S5": true if every name is an oracle's. */
bool hunt_take_oracles(const char *text, uint32_t *oracles);

/* True if one was broken. Ends with a line "hunt: WHAT after N seeds, H simulated hours, T s". */
bool hunt(const struct hunt *hunt);

#endif
