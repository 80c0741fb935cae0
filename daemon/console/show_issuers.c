/* The command `issuers`: the members of the log, how far each is, and how their stores do. */
#include "console/show.h"
#include "hal/clock.h"

static void issuer_store_fields(struct report *report, const struct console_view *view,
                                const struct hf_name *id)
{
    struct wire_store store;
    if (!issuer_shell_store_of(view->issuer_shell, id, &store)) {
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
    const struct raft *raft = &show_replica(call)->raft;
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
                        show_issuer_role(raft) :
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
    if (show_replica(call) == NULL && show_sent_to_leader(call))
        return;
    issuers_answer(call);
}
