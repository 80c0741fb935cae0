/*
 * What preflight found: a list of plain texts, printed as text or JSON.
 *
 * Owner: one run. What does not fit any more is counted, and told.
 */
#ifndef HOLDFAST_PREFLIGHT_FINDING_H
#define HOLDFAST_PREFLIGHT_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum finding_level {
    FINDING_GOOD,
    FINDING_NOTE,   /* to be known */
    FINDING_WARN,   /* the promise has a hole that the board itself may not have */
    FINDING_REFUSED /* the board does not keep what its configuration declares */
};

enum { FINDINGS_MAX = 256, FINDING_TOPIC_MAX = 63, FINDING_TEXT_MAX = 383 };

struct finding {
    enum finding_level level;
    char topic[FINDING_TOPIC_MAX + 1];
    char says[FINDING_TEXT_MAX + 1];
    char fence[FINDING_TEXT_MAX + 1]; /* what follows for F; empty: nothing */
};

struct findings {
    size_t count;
    size_t left_out;
    struct finding finding[FINDINGS_MAX];
};

/* Adds one, `fence` and what was seen; `fence` may be empty. */
__attribute__((format(printf, 5, 6))) void finding_add(struct findings *findings,
                                                       enum finding_level level, const char *topic,
                                                       const char *fence, const char *format, ...);

/* How many are refusals. */
size_t findings_refused(const struct findings *findings);

void findings_print(const struct findings *findings, const char *node, FILE *out);

/* One object on one line. */
void findings_print_json(const struct findings *findings, const char *node, FILE *out);

#endif
