/* The event log of a run: the last lines are kept for a failure, with -v all are printed. */
#ifndef HOLDFAST_TESTS_SIM_LOG_H
#define HOLDFAST_TESTS_SIM_LOG_H

#include <stdbool.h>
#include <stdio.h>

struct world;

enum { LOG_LINES = 40, LOG_LINE_MAX = 200 };

void log_reset(bool verbose);
/* One line, with the true time in front. */
__attribute__((format(printf, 2, 3))) void log_note(const struct world *world, const char *format,
                                                    ...);
/* The last LOG_LINES lines, oldest first, each behind `prefix`. */
void log_print_last(FILE *out, const char *prefix);

#endif
