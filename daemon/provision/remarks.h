/*
 * What is wrong with a cluster file, as its boards' configurations show it: the same thing at several
 * boards is one line.
 *
 * Owner: provision.c, for the time of one reading.
 */
#ifndef HOLDFAST_PROVISION_REMARKS_H
#define HOLDFAST_PROVISION_REMARKS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/name.h"
#include "conf/conf_report.h"

struct remark {
    unsigned line;
    bool warning;
    char text[CONF_REPORT_TEXT];
    struct hf_name board; /* the first that it was found at */
    struct hf_name last;  /* the last one: a board may say it of two keys that come from one line */
    unsigned others;      /* boards, but for the first */
};

struct remarks {
    int errors;
    int dropped;
    int count;
    struct remark remark[CONF_REPORT_MAX];
};

/* Adds "key: text" at a line of the cluster file, found at `board`. Boards come one after the
 * other; at how many it is known already is counted. */
void remarks_add(struct remarks *remarks, const struct hf_name *board, unsigned line, bool warning,
                 const char *key, const char *text);

/* Counts errors that nobody kept the text of. */
void remarks_add_unsaid(struct remarks *remarks, int errors);

/* Writes errors, and warnings if wanted, as "FILE:LINE: ..." in the order of lines. */
void remarks_print(const struct remarks *remarks, const char *file, bool warnings, FILE *out);

#endif
