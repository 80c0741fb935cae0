/*
 * What is wrong with a file: errors and warnings are collected, and then printed in the order of
 * lines.
 *
 * Owner: conf_load(), for the time of one call.
 */
#ifndef HOLDFAST_CONF_CONF_REPORT_H
#define HOLDFAST_CONF_CONF_REPORT_H

#include <stdbool.h>
#include <stdio.h>

enum {
    CONF_REPORT_MAX = 100, /* lines kept; more are counted only */
    CONF_REPORT_TEXT = 700
};

struct conf_report_line {
    unsigned line;
    bool warning;
    char text[CONF_REPORT_TEXT];
};

struct conf_report {
    int errors;
    int dropped;
    int count;
    struct conf_report_line lines[CONF_REPORT_MAX];
};

/* Adds "key: text" at `line`; key may be NULL. Text that does not fit is cut. */
void conf_report_error(struct conf_report *report, unsigned line, const char *key,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
void conf_report_warning(struct conf_report *report, unsigned line, const char *key,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* True if `key`, or a key within it, was refused already. */
bool conf_report_has(const struct conf_report *report, const char *key);

/* Writes all of it as "FILE:LINE: ..." in the order of lines. */
void conf_report_print(struct conf_report *report, const char *file, FILE *out);

#endif
