/* What a console says of outputs stuck on. */
#include "console/show_stuck.h"

#include <stdio.h>
#include <string.h>

/* One for each board and resource, as `leases` says it: what it is, and who can do what about it. */
static void stuck_describe(const struct replica *replica, const struct stuck_row *row, char *text,
                           size_t size)
{
    const struct issuer_policy *policy = issuer_policy_of(&replica->issuer, &row->resource);
    if (row->let_go)
        snprintf(
            text, size,
            "stuck: %s's output was on, let go by an operator: what it says of it counts again "
            "once it has not said so for %d min",
            row->board.text, ISSUER_QUIET_MS / 60000);
    else if (policy != NULL && policy->stuck_go)
        snprintf(text, size, "stuck: %s's output is on, granted all the same: on_stuck = go",
                 row->board.text);
    else
        snprintf(text, size,
                 "stuck: %s's output is on, waits for an operator: fault clear %s at %s",
                 row->board.text, row->resource.text, row->board.text);
}

/* The row to tell of: one that holds the resource, else any. */
static const struct stuck_row *stuck_of(const struct lease_table *table,
                                        const struct hf_name *resource)
{
    const struct stuck_row *row = stuck_holds(&table->stuck, resource);
    for (uint32_t i = 0; i < table->stuck.count && row == NULL; i++) {
        if (name_equal(&table->stuck.row[i].resource, resource))
            row = &table->stuck.row[i];
    }
    return row;
}

void show_stuck_state(struct report *report, const struct replica *replica,
                      const struct lease_record *record, const char *state)
{
    char stuck[128 + 3 * HF_NAME_MAX];
    char text[sizeof(stuck) + 32];
    const struct stuck_row *row = stuck_of(&replica->table, &record->resource);
    if (row == NULL) {
        report_text(report, "state", state);
        return;
    }
    stuck_describe(replica, row, stuck, sizeof(stuck));
    bool bare = strcmp(state, "free") == 0 && !row->let_go;
    snprintf(text, sizeof(text), "%s%s%s", bare ? "" : state, bare ? "" : "; ", stuck);
    report_text(report, "state", text);
}

void show_stuck_boards(struct report *report, const struct lease_table *table,
                       const struct hf_name *resource)
{
    char text[(HF_NAME_MAX + 2) * ISSUER_POLICY_HOLDERS_MAX] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < table->stuck.count; i++) {
        const struct stuck_row *row = &table->stuck.row[i];
        if (!row->let_go && name_equal(&row->resource, resource) &&
            used + HF_NAME_MAX + 2 < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used > 0 ? "," : "",
                                     row->board.text);
    }
    report_text(report, "stuck", text);
}

void show_stuck_status(struct report *report, const struct console_view *view,
                       const struct replica *replica)
{
    const struct stuck_list *list = replica != NULL ? &replica->table.stuck : NULL;
    char text[512] = "";
    size_t used = 0;
    for (uint32_t i = 0; list != NULL && i < list->count && used < sizeof(text); i++) {
        const struct stuck_row *row = &list->row[i];
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s%s at %s%s", used > 0 ? ", " : "",
                             row->resource.text, row->board.text, row->let_go ? " (let go)" : "");
    }
    for (uint8_t i = 0; list == NULL && i < view->conf->resource_count && used < sizeof(text);
         i++) {
        if (agent_holder(view->agent)->lease[i].word.stuck)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s at %s",
                                     used > 0 ? ", " : "", view->conf->resource[i].name.text,
                                     view->conf->node_id.text);
    }
    report_text(report, "stuck", used > 0 ? text : "none");
}

void show_stuck_metrics(struct text *text, const struct lease_table *table)
{
    text_print(text, "# HELP holdfast_lease_stuck 1 while an output of the board that is stuck on "
                     "holds the resource back, 0 once let go.\n"
                     "# TYPE holdfast_lease_stuck gauge\n");
    for (uint32_t i = 0; i < table->stuck.count; i++) {
        const struct stuck_row *row = &table->stuck.row[i];
        text_print(text, "holdfast_lease_stuck{resource=\"%s\",board=\"%s\"} %d\n",
                   row->resource.text, row->board.text, row->let_go ? 0 : 1);
    }
}
