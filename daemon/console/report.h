/*
 * Reports: one answer of the console, as a human table or as one JSON object on one line.
 *
 * Purpose: a command names its fields once; both forms come from it and can't differ.
 * Owner: the command that fills it; loop thread. Allocates; when memory runs out the report is
 *   marked failed and the console answers with an error instead.
 * Form: fields at the top level, then lists of rows. A key is lower case with the unit last
 *   ("left_ms"); the human form shows the unit behind the value instead. Columns are as wide as what
 *   is longest in them. Two keys of a row must differ by more than their units.
 */
#ifndef HOLDFAST_CONSOLE_REPORT_H
#define HOLDFAST_CONSOLE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPORT_COLUMNS_MAX = 16,
    REPORT_KEYS_MIN = 16 /* of the column of keys: short ones look alike in all answers */
};

struct text {
    char *data; /* terminated, if not NULL */
    size_t length;
    size_t capacity;
    bool failed;
};

struct report {
    struct text out;
    bool json;
    bool in_list;
    bool in_row;
    bool first_field; /* JSON: no comma before the next one */
    bool first_row;
    struct text cells; /* human: cells of the list, or keys and values before it, ended by '\0' */
    size_t pairs;      /* top level: keys that wait in `cells`, and how wide their column is */
    size_t keys_width;
    const char *key[REPORT_COLUMNS_MAX];
    size_t width[REPORT_COLUMNS_MAX];
    size_t columns;
    size_t column;
    size_t rows;
};

__attribute__((format(printf, 2, 3))) void text_print(struct text *text, const char *format, ...);
void text_append(struct text *text, const char *data, size_t length);
void text_free(struct text *text);

void report_open(struct report *report, bool json);

/* One field, at the top level or in the row that report_row() began. Keys are static texts. */
void report_text(struct report *report, const char *key, const char *value);
void report_number(struct report *report, const char *key, int64_t value);
void report_token(struct report *report, const char *key, uint64_t value);
void report_flag(struct report *report, const char *key, bool value);
void report_none(struct report *report, const char *key);
/* Thousandths of the unit that the key ends in, e.g. microseconds for "left_ms": 12345 is 12.345.
 */
void report_milli(struct report *report, const char *key, int64_t value);

/* A list of rows with the same keys; nothing but rows may come between open and close. */
void report_list_open(struct report *report, const char *key);
void report_row(struct report *report);
void report_list_close(struct report *report);

/* Ends the report; its text is in report->out, ends in a newline, and belongs to the caller. */
void report_close(struct report *report);

#endif
