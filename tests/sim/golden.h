/*
 * Golden traces: scenarios whose whole trace is known, byte for byte.
 * Owner: main.c. Files NAME.scenario and NAME.trace of one folder, tests/golden.
 */
#ifndef HOLDFAST_TESTS_SIM_GOLDEN_H
#define HOLDFAST_TESTS_SIM_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Runs every scenario and compares; prints the first difference of each. With `update` the traces
 * are written anew instead. A run in which an oracle breaks has failed either way.
 */
void golden_check(const char *folder, bool update, uint64_t *passed, uint64_t *failed);

#endif
