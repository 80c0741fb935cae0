/* The command `leases`: who holds what, by a copy, a leader or a majority. */
#include <stdio.h>
#include <string.h>

#include "console/show_anew.h"
#include "console/show.h"
#include "console/show_stuck.h"
#include "hal/clock.h"

static void lease_waiters(struct report *report, const struct replica *replica,
                          const struct hf_name *resource)
{
    char text[(HF_NAME_MAX + 2) * HF_WAITERS_MAX] = "";
    size_t count = 0;
    const struct issuer_waiter *waiter = replica_waiters(replica, resource, &count);
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? "," : "",
                                 waiter[i].node.text);
    report_text(report, "waiters", text);
}

static const char *lease_state(const struct replica *replica, const struct lease_record *record)
{
    if (name_empty(&record->holder) && show_anew_state(replica, &record->resource) != NULL)
        return show_anew_state(replica, &record->resource);
    if (name_empty(&record->holder))
        return record->pinned ? "free, pinned" : "free";
    if (record->abandoned)
        return "abandoned";
    if (replica_serving(replica) &&
        instant_reached(issuer_free_at(&replica->issuer, &record->resource), hal_clock_now()))
        return "expired";
    return record->pinned ? "held, pinned" : "held";
}

static void leases_answer(struct call *call)
{
    struct report *report = &call->report;
    const struct replica *replica = show_replica(call);
    bool serving = replica_serving(replica);
    report_text(report, "from", call->view->conf->node_id.text);
    report_flag(report, "leader", serving);
    report_token(report, "applied", replica->table.applied);
    show_anew_note(report, replica);
    report_list_open(report, "leases");
    for (uint32_t i = 0; i < replica->table.count; i++) {
        const struct lease_record *record = &replica->table.record[i];
        report_row(report);
        report_text(report, "resource", record->resource.text);
        report_text(report, "holder", record->holder.text);
        report_token(report, "token", record->last_token);
        if (serving && !name_empty(&record->holder))
            report_number(
                report, "left_ms",
                span_to_ms(issuer_time_left(&replica->issuer, &record->resource, hal_clock_now())));
        else
            report_none(report, "left_ms");
        show_stuck_state(report, replica, record, lease_state(replica, record));
        lease_waiters(report, replica, &record->resource);
        show_stuck_boards(report, &replica->table, &record->resource);
    }
    report_list_close(report);
    show_anew_lists(report, replica);
    call_answer(call);
}

void show_leases(struct call *call)
{
    const char *consistency = call_take_option(call, "--consistency");
    if (consistency == NULL)
        consistency = "leader";
    bool local = strcmp(consistency, "local") == 0;
    bool quorum = strcmp(consistency, "quorum") == 0;
    if (call->word_count != 1 || (!local && !quorum && strcmp(consistency, "leader") != 0)) {
        call_fail(call, CALL_BAD_COMMAND,
                  "usage: leases [--consistency local|leader|quorum] [--json]");
        return;
    }
    if (local && show_replica(call) == NULL) {
        call_fail(call, CALL_NOT_FOUND, "this node is no issuer and has no copy of its own");
        return;
    }
    if (!local && show_sent_to_leader(call))
        return;
    if (quorum)
        call_read(call, leases_answer);
    else
        leases_answer(call);
}
