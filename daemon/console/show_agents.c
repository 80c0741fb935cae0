/* The command `agents`: the boards, as the leader knows them. */
#include <inttypes.h>
#include <stdio.h>

#include "console/show.h"
#include "hal/clock.h"
#include "issuer/budget_watch.h"

static int agent_leases_held(const struct replica *replica, const struct hf_name *node)
{
    int held = 0;
    for (uint32_t i = 0; i < replica->table.count; i++)
        held += name_equal(&replica->table.record[i].holder, node) ? 1 : 0;
    return held;
}

/* The board's budget: bytes of journal for the entries that it causes. */
static void agent_budget(struct report *report, const struct replica *replica,
                         const struct issuer_client *client)
{
    struct instant now = hal_clock_now();
    int64_t wait_s = budget_watch_wait_s(&replica->issuer, client, now);
    report_number(report, "budget_left_bytes", budget_left(&client->budget, &budget_board, now));
    if (wait_s > 0) {
        char text[48];
        snprintf(text, sizeof(text), "SPENT, next in %" PRId64 " s", wait_s);
        report_text(report, "budget", text);
    } else {
        report_text(report, "budget", client->bitten ? "short" : "good");
    }
}

void show_agents(struct call *call)
{
    struct report *report = &call->report;
    if (show_sent_to_leader(call))
        return;
    const struct replica *replica = show_replica(call);
    struct instant now = hal_clock_now();
    report_text(report, "from", call->view->conf->node_id.text);
    report_list_open(report, "agents");
    for (size_t i = 0; i < replica->issuer.client_count; i++) {
        const struct issuer_client *client = &replica->issuer.client[i];
        report_row(report);
        report_text(report, "board", client->node.text);
        report_text(report, "link", client->up ? "up" : "down");
        if (client->up)
            report_milli(report, "connected_ms", instant_diff(now, client->connected).us);
        else
            report_none(report, "connected_ms");
        report_number(report, "leases", agent_leases_held(replica, &client->node));
        agent_budget(report, replica, client);
        if (client->last_renewal.us > 0) {
            report_milli(report, "renewed_ms", instant_diff(now, client->last_renewal).us);
            report_milli(report, "round_trip_ms", client->round_trip_us);
            report_milli(report, "slack_ms", client->slack_us);
        } else {
            report_none(report, "renewed_ms");
            report_none(report, "round_trip_ms");
            report_none(report, "slack_ms");
        }
    }
    report_list_close(report);
    call_answer(call);
}
