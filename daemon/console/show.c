/* What the commands that show state share; and two of them, of this node: status and budget. */
#include "console/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/show_anew.h"
#include "console/show_stuck.h"
#include "hal/clock.h"
#include "issuer/recovery.h"

enum { YEAR_2024_S = 1704067200 };

const struct replica *show_replica(const struct call *call)
{
    return call->view->issuer_shell != NULL ? issuer_shell_replica(call->view->issuer_shell) : NULL;
}

/* True if the answer comes from the leader: the command goes on there, or has failed. */
bool show_sent_to_leader(struct call *call)
{
    struct hf_name leader;
    const struct replica *replica = show_replica(call);
    if (replica != NULL && replica_serving(replica))
        return false;
    if (!call_find_leader(call, &leader) || name_equal(&leader, &call->view->conf->node_id)) {
        call_fail(call, CALL_UNAVAILABLE, "no leader is known%s",
                  replica != NULL && !call->caller.relayed ?
                      "; --consistency local shows this issuer's own copy" :
                      "");
        return true;
    }
    call_relay(call, &leader);
    return true;
}

/* ---- status ---- */

/* The role, or why there is none. */
const char *show_issuer_role(const struct raft *raft)
{
    return raft->role == RAFT_HALTED || raft_standing(raft) == RAFT_WHOLE ?
               raft_role_name(raft->role) :
               raft_standing_name(raft_standing(raft));
}

static void status_issuer(struct report *report, const struct console_view *view,
                          const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    const char *failure = issuer_shell_failure(view->issuer_shell);
    char recovery[RECOVERY_TEXT_MAX];
    issuer_shell_describe_recovery(view->issuer_shell, recovery, sizeof(recovery));
    report_text(report, "issuer", show_issuer_role(raft));
    report_token(report, "term", raft->term);
    report_text(report, "leader", raft->leader.text);
    report_flag(report, "quorum",
                raft->role == RAFT_LEADER ?
                    raft_has_quorum(raft, hal_clock_now()) :
                    raft->role == RAFT_FOLLOWER && !name_empty(&raft->leader));
    show_anew_status(report, replica);
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

/* "pump: stuck on since 2026-11-30T14:52:08Z", one after the other; empty without a fault. */
static void status_faults(struct report *report, const struct console_view *view)
{
    char faults[HF_LEASES_PER_AGENT_MAX * (HF_NAME_MAX + SHOW_FAULT_MAX + 32)] = "";
    char since[SHOW_FAULT_MAX];
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct agent_guard_view *guard = agent_guard(view->agent, i);
        size_t used = strlen(faults);
        if (guard->known && show_fault_since(&guard->status, since))
            snprintf(faults + used, sizeof(faults) - used, "%s%s: %s since %s",
                     used > 0 ? ", " : "", view->conf->resource[i].name.text,
                     guard_fault_name((enum guard_fault)guard->status.fault), since);
    }
    report_text(report, "fault", faults);
}

void show_status(struct call *call)
{
    struct report *report = &call->report;
    const struct console_view *view = call->view;
    const struct replica *replica = show_replica(call);
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
    if (view->agent != NULL)
        status_faults(report, view);
    show_stuck_status(report, view, replica);
    status_clock(report);
    snprintf(digest, sizeof(digest), "%016" PRIx64, view->conf->cluster_digest);
    report_text(report, "config_digest", digest);
    if (issuers_outdated(view->issuers, outdated, sizeof(outdated)))
        report_text(report, "config_out_of_date", outdated);
    status_peers(report, view);
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
