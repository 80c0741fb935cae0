/*
 * What people see of a table that began anew: which resources are held off, and for whom, and which
 * are barred by a board's word on a token (PROTOCOL.md, hold-off and word-on-tokens).
 *
 * Owner: the console's commands; loop thread. Only a leader knows; of another issuer nothing is shown.
 */
#ifndef HOLDFAST_CONSOLE_SHOW_ANEW_H
#define HOLDFAST_CONSOLE_SHOW_ANEW_H

#include "console/report.h"
#include "lease/replica.h"

/* For `leases`, before its list. */
void show_anew_note(struct report *report, const struct replica *replica);

/* The state of a free resource, NULL if it is neither held off nor barred. */
const char *show_anew_state(const struct replica *replica, const struct hf_name *resource);

/* For `leases`, behind its list: lists of what is held off and barred, if anything is. */
void show_anew_lists(struct report *report, const struct replica *replica);

/* For `status`: one line of what is held off, and one of what is barred, if anything is. */
void show_anew_status(struct report *report, const struct replica *replica);

void show_anew_metrics(struct text *text, const struct replica *replica);

#endif
