/* The event log of a run: the last lines are kept for a failure, with -v all are printed. */
#ifndef HOLDFAST_TESTS_SIM_LOG_H
#define HOLDFAST_TESTS_SIM_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct world;

enum { LOG_LINES = 40, LOG_LINE_MAX = 200 };

void log_reset(bool verbose);
/* One line, of the true time now. */
__attribute__((format(printf, 2, 3))) void log_note(const struct world *world, const char *format,
                                                    ...);
/* As log_note(), behind a node's name and what stands between, which are short. */
void log_note_of(const struct world *world, const char *who, const char *behind, const char *format,
                 va_list arguments);
/* The last LOG_LINES lines, oldest first, each behind `prefix`. */
void log_print_last(FILE *out, const char *prefix);

#endif
