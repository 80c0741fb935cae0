/* Prometheus text format 0.0.4 of this node. Source: prometheus.io, "Exposition formats". */
#include <inttypes.h>

#include "console/show_anew.h"
#include "console/call.h"
#include "console/show_stuck.h"
#include "hal/clock.h"

static void metric(struct text *text, const char *name, const char *type, const char *help)
{
    text_print(text, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name, type);
}

static void metric_one(struct text *text, const char *name, const char *type, const char *help,
                       double value)
{
    metric(text, name, type, help);
    /* What counts is told whole: terms and indices of a cluster that was restored have 16 digits. */
    if (value > -9e15 && value < 9e15 && value == (double)(int64_t)value)
        text_print(text, "holdfast_%s %" PRId64 "\n", name, (int64_t)value);
    else
        text_print(text, "holdfast_%s %.9g\n", name, value);
}

/* As this issuer knows them: of what was caused while it led. */
static void metrics_budgets(const struct replica *replica, struct text *text)
{
    metric(text, "board_budget_bytes", "gauge",
           "What is left of a board's budget of journal bytes; negative: it must wait.");
    for (size_t i = 0; i < replica->issuer.client_count; i++) {
        const struct issuer_client *client = &replica->issuer.client[i];
        text_print(text, "holdfast_board_budget_bytes{board=\"%s\"} %" PRId64 "\n",
                   client->node.text, budget_left(&client->budget, &budget_board, hal_clock_now()));
    }
    metric(text, "board_budget_bites_total", "counter",
           "How often a board's budget began to hold it back.");
    for (size_t i = 0; i < replica->issuer.client_count; i++) {
        const struct issuer_client *client = &replica->issuer.client[i];
        text_print(text, "holdfast_board_budget_bites_total{board=\"%s\"} %" PRIu64 "\n",
                   client->node.text, client->bites);
    }
}

static void metrics_issuer(const struct console_view *view, struct text *text)
{
    const struct replica *replica = issuer_shell_replica(view->issuer_shell);
    const struct raft *raft = &replica->raft;
    const struct store_counters *store = issuer_shell_counters(view->issuer_shell);
    metric_one(text, "issuer_leader", "gauge", "1 if this issuer leads and serves.",
               replica_serving(replica) ? 1 : 0);
    metric_one(text, "recovery_standing", "gauge",
               "0 if this issuer is whole; 1 unsure: begun, waits for all others; 2 recovering.",
               raft_standing(raft) == RAFT_WHOLE  ? 0 :
               raft_standing(raft) == RAFT_UNSURE ? 1 :
                                                    2);
    metric_one(text, "raft_term", "gauge", "Current term.", (double)raft->term);
    metric_one(text, "raft_commit_index", "gauge", "Last committed log index.",
               (double)raft->commit);
    metric_one(text, "store_failed", "gauge", "1 if the store failed and this issuer halted.",
               raft->role == RAFT_HALTED ? 1 : 0);
    metric_one(text, "store_written_bytes_total", "counter", "Bytes written to the journal.",
               (double)store->bytes_written);
    metric_one(text, "store_syncs_total", "counter", "Syncs of the journal.", (double)store->syncs);
    metric_one(text, "store_sync_last_seconds", "gauge", "Duration of the last sync.",
               (double)store->last_us / 1e6);
    metric(text, "store_slow", "gauge", "1 while an issuer's syncs exceed issuer.slow_store_ms.");
    for (uint8_t i = 0; i < raft->members.count; i++) {
        struct wire_store told;
        if (issuer_shell_store_of(view->issuer_shell, &raft->members.member[i].id, &told))
            text_print(text, "holdfast_store_slow{issuer=\"%s\"} %d\n",
                       raft->members.member[i].id.text, told.slow ? 1 : 0);
    }
    metric_one(text, "store_slow_syncs_total", "counter",
               "Syncs that took longer than issuer.slow_store_ms.",
               (double)issuer_shell_slow_total(view->issuer_shell));
    metric_one(text, "store_sync_worst_seconds", "gauge", "Longest sync since the start.",
               (double)store->worst_us / 1e6);
    metric(text, "lease_held", "gauge", "1 for the holder of each resource, as applied here.");
    for (uint32_t i = 0; i < replica->table.count; i++) {
        const struct lease_record *record = &replica->table.record[i];
        if (!name_empty(&record->holder))
            text_print(text, "holdfast_lease_held{resource=\"%s\",holder=\"%s\"} 1\n",
                       record->resource.text, record->holder.text);
    }
    metric(text, "lease_token", "gauge", "Last fencing token of each resource.");
    for (uint32_t i = 0; i < replica->table.count; i++) {
        const struct lease_record *record = &replica->table.record[i];
        text_print(text, "holdfast_lease_token{resource=\"%s\"} %" PRIu64 "\n",
                   record->resource.text, record->last_token);
    }
    show_anew_metrics(text, replica);
    metrics_budgets(replica, text);
    show_stuck_metrics(text, &replica->table);
    metric_one(text, "history_events_total", "counter", "Replicated history events.",
               (double)replica->table.history_total);
}

static void metrics_agent(const struct console_view *view, struct text *text)
{
    const struct holder *holder = agent_holder(view->agent);
    metric_one(text, "guard_connected", "gauge", "1 if the guard is connected.",
               agent_guard_up(view->agent) ? 1 : 0);
    metric_one(text, "renewal_round_trip_seconds", "gauge", "Of the last confirmed renewal.",
               (double)holder->round_trip.us / 1e6);
    metric(text, "agent_holding", "gauge", "1 while this board holds the resource.");
    for (uint8_t i = 0; i < view->conf->resource_count; i++)
        text_print(text, "holdfast_agent_holding{resource=\"%s\"} %d\n",
                   view->conf->resource[i].name.text,
                   holder->lease[i].state == HOLDER_HOLDING ? 1 : 0);
    metric(text, "guard_fault", "gauge", "1 while the guard has a latched fault.");
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct agent_guard_view *guard = agent_guard(view->agent, i);
        text_print(text, "holdfast_guard_fault{resource=\"%s\"} %d\n",
                   view->conf->resource[i].name.text,
                   guard->known && guard->status.state == GUARD_FAULT ? 1 : 0);
    }
    metric(text, "guard_fault_unrecorded", "gauge",
           "1 while the guard has a latched fault that is not on its disk.");
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct agent_guard_view *guard = agent_guard(view->agent, i);
        text_print(text, "holdfast_guard_fault_unrecorded{resource=\"%s\"} %d\n",
                   view->conf->resource[i].name.text,
                   guard->known && guard->status.state == GUARD_FAULT &&
                       !guard->status.fault_recorded);
    }
    metric(text, "guard_mismatch", "gauge", "1 while guard and agent are configured differently.");
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct agent_guard_view *guard = agent_guard(view->agent, i);
        text_print(text, "holdfast_guard_mismatch{resource=\"%s\"} %d\n",
                   view->conf->resource[i].name.text, guard->known && guard->mismatch);
    }
    if (agent_guard(view->agent, 0)->known) {
        metric_one(text, "guard_realtime", "gauge",
                   "1 if the guard has real-time scheduling and locked memory.",
                   guard_message_realtime(&agent_guard(view->agent, 0)->status) ? 1 : 0);
        metric_one(text, "guard_lateness_worst_seconds", "gauge", "Worst lateness of the guard.",
                   (double)agent_guard(view->agent, 0)->status.lateness_worst_us / 1e6);
    }
}

void metrics_print(const struct console_view *view, struct text *text)
{
    metric(text, "info", "gauge", "Version and node.");
    text_print(text, "holdfast_info{version=\"%s\",node=\"%s\",cluster=\"%s\"} 1\n",
               HOLDFAST_VERSION, view->conf->node_id.text, view->conf->cluster_name.text);
    if (view->issuer_shell != NULL)
        metrics_issuer(view, text);
    if (view->agent != NULL)
        metrics_agent(view, text);
}

/* Prometheus' text as it is; as JSON, the same text in one field. */
void show_metrics(struct call *call)
{
    struct text text = { 0 };
    metrics_print(call->view, &text);
    if (text.failed) {
        call_fail(call, CALL_FAILED, "out of memory");
    } else if (call->json) {
        report_text(&call->report, "metrics", text.data);
        call_answer(call);
    } else {
        call->sink.on_write(call->sink.context, text.data, text.length);
        call_finish(call, CALL_OK);
    }
    text_free(&text);
}
