/*
 * A disk that hangs for long: which runs of slow disks are about that, and what their faults are.
 * Owner: plan.c, while it makes a scenario; from streams of their own.
 */
#ifndef HOLDFAST_TESTS_SIM_DISK_HANG_H
#define HOLDFAST_TESTS_SIM_DISK_HANG_H

#include <stdbool.h>

#include "tests/sim/scenario.h"

/* Half of the runs of slow disks: one hangs instead. */
bool disk_hang_takes_run(const struct settings *settings);
void disk_hang_plan(const struct settings *settings, struct sim_plan *plan);
void disk_hang_add(const struct settings *settings, struct scenario *scenario);
/* To some runs of chaos. */
void disk_hang_add_to_chaos(const struct settings *settings, struct scenario *scenario);

#endif
