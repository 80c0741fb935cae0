/*
 * Swarm testing: what a run of chaos is made of, drawn anew for each seed.
 *
 * Purpose: where every run has some of everything, what one kind of fault needs another one spoils.
 *   So most runs lack some kinds and have plenty of others; in some a few places get most of it, or it
 *   comes in bursts.
 * Owner: plan.c, while it makes a scenario. The list of faults is all that comes of it: a replay needs
 *   no mix.
 * Source: Groce, Zhang, Eide, Chen, Regehr, "Swarm Testing", ISSTA 2012.
 */
#ifndef HOLDFAST_TESTS_SIM_MIX_H
#define HOLDFAST_TESTS_SIM_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/fault.h"

enum { MIX_NOWHERE = -1 };

struct mix {
    unsigned weight[FAULT_KINDS]; /* in chaos; 0: not in this run, unless a feature brings it */
    int issuer;                   /* most of what strikes an issuer strikes this place, or */
    int board;                    /* MIX_NOWHERE: any of them */
    unsigned burst_ppm;           /* so many faults come right after the one before */
    int clear_every; /* operators look for latched faults so much more seldom; 0: never */
};

/* From a stream of its own: the rest of the plan does not depend on it. */
void mix_draw(const struct settings *settings, const struct sim_plan *plan, struct mix *mix);
/* The table's weights, and nothing else. */
void mix_even(struct mix *mix);
/* Draws one of the kinds by weight, and its fields; `at_us` is set. */
void mix_draw_fault(const struct mix *mix, const struct sim_plan *plan, struct random *random,
                    struct fault *fault);

#endif
