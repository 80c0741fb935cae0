/*
 * What a console says of outputs stuck on (core/lease/stuck.h): in status, leases and metrics. Plain
 * functions; loop thread.
 */
#ifndef HOLDFAST_CONSOLE_SHOW_STUCK_H
#define HOLDFAST_CONSOLE_SHOW_STUCK_H

#include "console/report.h"
#include "console/view.h"
#include "lease/replica.h"

/* What waits for an operator: of the cluster, or, on a board alone (replica NULL), of its outputs. */
void show_stuck_status(struct report *report, const struct console_view *view,
                       const struct replica *replica);

/* The field "state": `state`, and what an output that is stuck on makes of it. */
void show_stuck_state(struct report *report, const struct replica *replica,
                      const struct lease_record *record, const char *state);

/* The field "stuck": the boards whose outputs hold the resource back. */
void show_stuck_boards(struct report *report, const struct lease_table *table,
                       const struct hf_name *resource);

void show_stuck_metrics(struct text *text, const struct lease_table *table);

#endif
