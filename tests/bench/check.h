/*
 * The offline checker of a witness trace. It trusts no `drive` or `overlap` event: it takes the
 * intervals from the `line` events anew and compares every pair of different boards' intervals.
 */
#ifndef HOLDFAST_BENCH_CHECK_H
#define HOLDFAST_BENCH_CHECK_H

#include <stdio.h>

/*
 * Prints drives, gaps and overlaps of each resource to `out`, errors to `errors`. Returns 0; or 1
 * on any overlap (recomputed or recorded) and on a trace that is malformed. A last line without its
 * end (the bench was killed) is said and left out.
 */
int check_trace(const char *path, FILE *out, FILE *errors);

#endif
