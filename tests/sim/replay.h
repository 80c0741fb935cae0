/*
 * Schedules as files, and failing seeds made small.
 * Owner: main.c. Reads files, prints to standard output; nothing else in tests/sim does both.
 */
#ifndef HOLDFAST_TESTS_SIM_REPLAY_H
#define HOLDFAST_TESTS_SIM_REPLAY_H

#include <stddef.h>

#include "tests/sim/sim.h"

/*
 * Shrinks the scenario of the seed, which fails, and prints what is left: a schedule file, with all
 * that is no schedule behind `#`. False if the seed does not fail.
 */
bool replay_shrunk(const struct settings *settings);

/* Runs the schedule in the file. True if what it expects came true; an error is printed. */
bool replay_file(const char *path, bool verbose);

/* Runs all files *.schedule of the folder; counts. One that cannot be read counts as failed. */
void replay_folder(const char *folder, uint64_t *passed, uint64_t *failed);

/* refusals.c: texts that are no scenario are refused, each for its reason. Counts. */
void replay_refusals(uint64_t *passed, uint64_t *failed);

/*
 * True if the failing seed shrinks to at most `faults_max` faults, and what was printed, read back,
 * fails by the same oracle in the same way.
 */
bool replay_shrinks(const struct settings *settings, size_t faults_max);

/* True if the seed's scenario, printed and read back, gives the same events. */
bool replay_repeats(const struct settings *settings, uint64_t digest);

/*
 * The files of the folder that end so, sorted; of `*names`, `*count` are the caller's to free.
 * False, and an error is printed, if it cannot be read.
 */
bool replay_list(const char *folder, const char *ending, char ***names, size_t *count);
/* NULL, and an error is printed, if it cannot be read; else the caller's to free. */
char *replay_read(const char *path);

#endif
