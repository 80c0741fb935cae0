/*
 * Whose turn it is in a set of runs: fresh seeds, one after the other, and in a third of the turns a
 * child of a run that came somewhere rare.
 *
 * Purpose: a random walk comes to the common places again and again. What is rare is known from the
 *   set itself: which coverage counters, how high, and which notable things one right after the other
 *   (world_trail()), were met by few of the runs before.
 * Owner: main.c and hunt.c, for one set. The same first seed and count give the same runs; only the
 *   verdicts do not matter for it.
 * Source: the corpus of AFL (Zalewski, 2013), whose edges and buckets are counters here.
 */
#ifndef HOLDFAST_TESTS_SIM_GUIDE_H
#define HOLDFAST_TESTS_SIM_GUIDE_H

#include "tests/sim/sim.h"

/* From `from` on; fresh seeds alone with `fresh`. One set at a time: what is met is kept here. */
void guide_begin(uint64_t from, enum sim_type only, bool fresh);
/* The next run. */
void guide_next(struct settings *settings);
/* What it met, whatever became of it. */
void guide_learn(const struct settings *settings, const struct run_result *result);

#endif
