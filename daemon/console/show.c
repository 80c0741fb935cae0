/* Commands that show the state of this node, or of the leader. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/terms.h"
#include "console/anew.h"
#include "console/call.h"
#include "console/stuck.h"
#include "hal/clock.h"
#include "issuer/budget_watch.h"
#include "issuer/recovery.h"

enum { YEAR_2024_S = 1704067200 };

static const struct replica *call_replica(const struct call *call)
{
    return call->view->issuer != NULL ? issuer_shell_replica(call->view->issuer) : NULL;
}

/* True if the answer comes from the leader: the command goes on there, or has failed. */
static bool call_sent_to_leader(struct call *call)
{
    struct hf_name leader;
    const struct replica *replica = call_replica(call);
    if (replica != NULL && replica_serving(replica))
        return false;
    if (!call_find_leader(call, &leader) || name_equal(&leader, &call->view->conf->node_id)) {
        call_fail(call, CALL_UNAVAILABLE, "no leader is known%s",
                  replica != NULL ? "; --consistency local shows this issuer's own copy" : "");
        return true;
    }
    call_relay(call, &leader);
    return true;
}

/* ---- status ---- */

/* The role, or why there is none. */
static const char *issuer_role(const struct raft *raft)
{
    return raft->role == RAFT_HALTED || raft_standing(raft) == RAFT_WHOLE ?
               raft_role_name(raft->role) :
               raft_standing_name(raft_standing(raft));
}

static void status_issuer(struct report *report, const struct console_view *view,
                          const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    const char *failure = issuer_shell_failure(view->issuer);
    char recovery[RECOVERY_TEXT_MAX];
    issuer_shell_describe_recovery(view->issuer, recovery, sizeof(recovery));
    report_text(report, "issuer", issuer_role(raft));
    report_token(report, "term", raft->term);
    report_text(report, "leader", raft->leader.text);
    report_flag(report, "quorum",
                raft->role == RAFT_LEADER ?
                    raft_has_quorum(raft, hal_clock_now()) :
                    raft->role == RAFT_FOLLOWER && !name_empty(&raft->leader));
    anew_status(report, replica);
    report_text(report, "recovery", recovery[0] != '\0' ? recovery : "none");
    report_token(report, "commit", raft->commit);
    report_token(report, "applied", raft->applied);
    report_text(report, "store", failure[0] != '\0' ? failure : "good");
}

static void status_clock(struct report *report)
{
    time_t wall = time(NULL);
    char text[64];
    struct tm parts;
    gmtime_r(&wall, &parts);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    report_text(report, "wall_clock", text);
    report_text(report, "clock",
                wall < YEAR_2024_S ? "wall clock not set; leases do not need it" : "sane");
    report_number(report, "slept_ms", span_to_ms(hal_clock_slept()));
}

static void status_peers(struct report *report, const struct console_view *view)
{
    report_list_open(report, "issuers");
    for (uint8_t i = 0; i < view->issuers->count; i++) {
        const struct issuers_peer *peer = &view->issuers->peer[i];
        bool self = name_equal(&peer->id, &view->conf->node_id);
        report_row(report);
        report_text(report, "id", peer->id.text);
        report_text(report, "link", self ? "self" : peer->up ? "up" : "down");
        if (self || peer->up)
            report_text(report, "config",
                        self || peer->config_digest == view->conf->cluster_digest ? "agrees" :
                                                                                    "differs");
        else
            report_none(report, "config");
    }
    report_list_close(report);
}

static const char *status_guard(const struct console_view *view)
{
    bool mismatch = false;
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct agent_guard_view *guard = agent_guard(view->agent, i);
        mismatch = mismatch || (guard->known && guard->mismatch);
    }
    if (!agent_guard_up(view->agent))
        return "not connected";
    return mismatch ? "not used: it is configured otherwise, see guard" : "connected";
}

void show_status(struct call *call)
{
    struct report *report = &call->report;
    const struct console_view *view = call->view;
    const struct replica *replica = call_replica(call);
    char digest[32];
    char outdated[400];
    report_text(report, "node", view->conf->node_id.text);
    report_text(report, "cluster", view->conf->cluster_name.text);
    report_text(report, "version", HOLDFAST_VERSION);
    if (replica != NULL)
        status_issuer(report, view, replica);
    else
        report_text(report, "leader", agent_holder(view->agent)->leader.text);
    if (view->agent != NULL)
        report_text(report, "guard", status_guard(view));
    stuck_status(report, view, replica);
    status_clock(report);
    snprintf(digest, sizeof(digest), "%016" PRIx64, view->conf->cluster_digest);
    report_text(report, "config_digest", digest);
    if (issuers_outdated(view->issuers, outdated, sizeof(outdated)))
        report_text(report, "config_out_of_date", outdated);
    status_peers(report, view);
    call_answer(call);
}

/* ---- leases ---- */

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
    if (name_empty(&record->holder) && anew_state(replica, &record->resource) != NULL)
        return anew_state(replica, &record->resource);
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
    const struct replica *replica = call_replica(call);
    bool serving = replica_serving(replica);
    report_text(report, "from", call->view->conf->node_id.text);
    report_flag(report, "leader", serving);
    report_token(report, "applied", replica->table.applied);
    anew_note(report, replica);
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
        stuck_state(report, replica, record, lease_state(replica, record));
        lease_waiters(report, replica, &record->resource);
        stuck_boards(report, &replica->table, &record->resource);
    }
    report_list_close(report);
    anew_lists(report, replica);
    call_answer(call);
}

static void leases_read(void *context, bool confirmed)
{
    struct call *call = context;
    call->reading = false;
    if (confirmed)
        leases_answer(call);
    else
        call_fail(call, CALL_UNAVAILABLE, "leadership was lost before a majority confirmed it");
}

static void leases_read_late(uv_timer_t *timer)
{
    call_fail(timer->data, CALL_TIMEOUT, "no majority of issuers confirmed within %d ms",
              CALL_READ_MS);
}

static void leases_quorum(struct call *call)
{
    call->reader.on_confirmed = leases_read;
    call->reader.context = call;
    call->reading = true;
    uv_timer_start(&call->timer, leases_read_late, CALL_READ_MS, 0);
    if (issuer_shell_read(call->view->issuer, &call->reader))
        return;
    call->reading = false;
    call_fail(call, CALL_UNAVAILABLE, "this issuer does not lead any more; try again");
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
    if (local && call_replica(call) == NULL) {
        call_fail(call, CALL_NOT_FOUND, "this node is no issuer and has no copy of its own");
        return;
    }
    if (!local && call_sent_to_leader(call))
        return;
    if (quorum)
        leases_quorum(call);
    else
        leases_answer(call);
}

/* ---- issuers ---- */

static void issuer_store_fields(struct report *report, const struct console_view *view,
                                const struct hf_name *id)
{
    struct wire_store store;
    if (!issuer_shell_store_of(view->issuer, id, &store)) {
        report_none(report, "store");
        report_none(report, "sync_last_ms");
        report_none(report, "sync_worst_ms");
        report_none(report, "written_bytes");
        return;
    }
    /* The one under way counts as soon as it is longer than what is known. */
    uint64_t last_us =
        store.waiting_us > store.sync_last_us ? store.waiting_us : store.sync_last_us;
    uint64_t worst_us = last_us > store.sync_worst_us ? last_us : store.sync_worst_us;
    report_text(report, "store", store.failed ? "FAILED" : store.slow ? "SLOW" : "good");
    report_milli(report, "sync_last_ms", (int64_t)last_us);
    report_milli(report, "sync_worst_ms", (int64_t)worst_us);
    report_token(report, "written_bytes", store.written_bytes);
}

static void issuer_contact(struct report *report, const struct raft *raft, size_t position,
                           bool self)
{
    const struct raft_progress *progress = &raft->progress[position];
    struct instant now = hal_clock_now();
    const struct hf_name *id = &raft->members.member[position].id;
    if (raft->role == RAFT_LEADER && !self && progress->last_contact.us > 0)
        report_milli(report, "contact_ms", instant_diff(now, progress->last_contact).us);
    else if (raft->role == RAFT_FOLLOWER && name_equal(id, &raft->leader))
        report_milli(report, "contact_ms", instant_diff(now, raft->leader_contact).us);
    else
        report_none(report, "contact_ms");
}

static void issuers_answer(struct call *call)
{
    struct report *report = &call->report;
    const struct raft *raft = &call_replica(call)->raft;
    report_text(report, "from", call->view->conf->node_id.text);
    report_token(report, "term", raft->term);
    report_text(report, "leader", raft->leader.text);
    report_number(report, "voters", raft_voter_count(&raft->members));
    report_number(report, "majority", raft_quorum(&raft->members));
    if (raft_change_pending(raft))
        report_text(report, "change", "of members, not committed yet");
    report_list_open(report, "issuers");
    for (uint8_t i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];
        bool self = name_equal(&member->id, &call->view->conf->node_id);
        report_row(report);
        report_text(report, "id", member->id.text);
        report_text(report, "role",
                    self && (member->voter || raft_standing(raft) != RAFT_WHOLE) ?
                        issuer_role(raft) :
                    name_equal(&member->id, &raft->leader)                    ? "leader" :
                    raft->role == RAFT_LEADER && raft->progress[i].recovering ? "recovering" :
                    member->voter                                             ? "voter" :
                                                                                "learner");
        report_text(report, "address", member->address);
        if (self)
            report_token(report, "match", raft_durable_index(raft));
        else if (raft->role == RAFT_LEADER)
            report_token(report, "match", raft->progress[i].match);
        else
            report_none(report, "match");
        issuer_contact(report, raft, i, self);
        issuer_store_fields(report, call->view, &member->id);
    }
    report_list_close(report);
    call_answer(call);
}

void show_issuers(struct call *call)
{
    if (call_replica(call) == NULL && call_sent_to_leader(call))
        return;
    issuers_answer(call);
}

/* ---- agents ---- */

static int agent_leases_held(const struct replica *replica, const struct hf_name *node)
{
    int held = 0;
    for (uint32_t i = 0; i < replica->table.count; i++)
        held += name_equal(&replica->table.record[i].holder, node) ? 1 : 0;
    return held;
}

/* Of entries that it causes, in bytes of journal. */
static void agent_budget(struct report *report, const struct replica *replica,
                         const struct issuer_client *client)
{
    struct instant now = hal_clock_now();
    int64_t wait_s = budget_watch_wait_s(&replica->issuer, client, now);
    report_number(report, "budget_bytes", budget_left(&client->budget, &budget_board, now));
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
    if (call_sent_to_leader(call))
        return;
    const struct replica *replica = call_replica(call);
    struct instant now = hal_clock_now();
    report_text(report, "from", call->view->conf->node_id.text);
    report_list_open(report, "agents");
    for (size_t i = 0; i < HF_AGENTS_MAX; i++) {
        const struct issuer_client *client = &replica->issuer.client[i];
        if (name_empty(&client->node))
            continue;
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

/* ---- guard ---- */

static void guard_levels(struct report *report, const char *key,
                         const struct conf_resource *resource, uint32_t levels, bool readback)
{
    char text[(HF_NAME_MAX + 6) * HF_OUTPUTS_MAX] = "";
    for (uint8_t i = 0; i < resource->output_count; i++) {
        const struct conf_output *output = &resource->output[i];
        if (readback && !output->has_readback)
            continue;
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s=%s", used > 0 ? "," : "",
                 output->name.text, (levels >> i & 1) != 0 ? "on" : "off");
    }
    report_text(report, key, text);
}

static void guard_row(struct report *report, const struct conf_resource *resource,
                      const struct agent_guard_view *view, const struct holder_lease *lease)
{
    const struct guard_message *status = &view->status;
    report_row(report);
    report_text(report, "resource", resource->name.text);
    report_text(report, "agent", holder_state_name(lease->state));
    if (!view->known) {
        static const char *const keys[] = { "guard",    "token", "left_ms", "outputs",
                                            "readback", "fault", "proven",  "mismatch" };
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            report_none(report, keys[i]);
        return;
    }
    int64_t left_us = status->deadline_us - hal_clock_now().us;
    report_text(report, "guard", guard_state_name((enum guard_state)status->state));
    report_token(report, "token", status->token);
    if (status->state == GUARD_DRIVING)
        report_milli(report, "left_ms", left_us > 0 ? left_us : 0);
    else
        report_none(report, "left_ms");
    guard_levels(report, "outputs", resource, status->outputs_on, false);
    guard_levels(report, "readback", resource, status->readback_on, true);
    report_text(report, "fault", guard_fault_name((enum guard_fault)status->fault));
    report_flag(report, "proven", status->proven != 0);
    if (view->mismatch) {
        char text[CONF_TERMS_TEXT_MAX + 1];
        report_text(report, "mismatch",
                    conf_terms_differ(text, &status->terms, &lease->config.terms));
    } else {
        report_none(report, "mismatch");
    }
}

static const char *guard_watchdog(uint8_t watchdog)
{
    static const char *const names[] = { "none", "fed", "not fed" };
    return watchdog < 3 ? names[watchdog] : "unknown";
}

void show_guard(struct call *call)
{
    struct report *report = &call->report;
    const struct console_view *view = call->view;
    if (view->agent == NULL) {
        call_fail(call, CALL_NOT_FOUND, "%s holds no leases and has no guard",
                  view->conf->node_id.text);
        return;
    }
    const struct agent_guard_view *first = agent_guard(view->agent, 0);
    report_text(report, "board", view->conf->node_id.text);
    report_flag(report, "connected", agent_guard_up(view->agent));
    if (first->known) {
        report_number(report, "pid", first->status.pid);
        report_text(report, "watchdog", guard_watchdog(first->status.watchdog));
        report_flag(report, "realtime", first->status.realtime != 0);
        report_milli(report, "lateness_worst_ms", first->status.lateness_worst_us);
        report_number(report, "permits_refused", first->status.permits_refused);
    }
    report_list_open(report, "resources");
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct conf_resource *resource = &view->conf->resource[i];
        guard_row(report, resource, agent_guard(view->agent, i),
                  holder_lease_of(agent_holder(view->agent), &resource->name));
    }
    report_list_close(report);
    call_answer(call);
}

/* ---- budget ---- */

void show_budget(struct call *call)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (stream == NULL) {
        call_fail(call, CALL_FAILED, "out of memory");
        return;
    }
    conf_print_budget(call->view->conf, stream, call->json);
    if (fclose(stream) == 0)
        call->sink.on_write(call->sink.context, text, length);
    free(text);
    call_finish(call, CALL_OK);
}
