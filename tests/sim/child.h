/*
 * Children of a seed: the same run, but for a few changes to its list of faults.
 *
 * Purpose: from a run that came somewhere rare, more can be seen by going there again and doing
 *   something else. A child has a number below its parent, and may be a parent itself: 12.3.0 is child
 *   0 of child 3 of seed 12. Its name says all about it, as a seed does.
 * Owner: plan.c makes them; guide.c says whose turn it is.
 */
#ifndef HOLDFAST_TESTS_SIM_CHILD_H
#define HOLDFAST_TESTS_SIM_CHILD_H

#include <stdbool.h>

#include "tests/sim/mix.h"
#include "tests/sim/scenario.h"

enum { CHILD_NAME_MAX = 64 };

/* "12.3.0"; returns `text`, of CHILD_NAME_MAX bytes. */
const char *child_name(const struct settings *settings, char *text);
/* Takes seed and generations from such a name. */
bool child_take_name(const char *text, struct settings *settings);
/* Only what bears any order of any faults can have children: others promise too much for that. */
bool child_possible(const struct sim_plan *plan);
/* One generation after the other, from the scenario of the seed; the streams may become others. */
void child_make(struct settings *settings, const struct mix *mix, struct scenario *scenario);

#endif
