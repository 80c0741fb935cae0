/* Acts on a resource's row: who holds it, who may, and whether it stays. */
#include <inttypes.h>
#include <string.h>

#include "console/operate.h"
#include "console/resources.h"
#include "hal/clock.h"

/* ---- names of the policy ---- */

/*
 * Refuses names that no policy has, which may be misspelt: a pin to such a board would take the
 * resource from its holder, and of other acts the core could only say that they do not apply. `or`
 * is what the act takes besides a board's name, for the error.
 */
static bool operate_names_holder(struct call *call, const struct replica_event *event,
                                 const char * or)
{
    const struct conf *conf = call->view->conf;
    for (size_t i = 0; i < conf->policy_count; i++) {
        const struct conf_policy *policy = &conf->policy[i];
        if (!name_equal(&policy->resource, &event->resource))
            continue;
        for (size_t k = 0; k < policy->holder_count; k++) {
            if (name_empty(&event->node) || name_equal(&policy->holder[k], &event->node))
                return true;
        }
        call_fail(call, CALL_NOT_FOUND,
                  "board %s: must be one of the holders of %s in issuer.policy%s", event->node.text,
                  event->resource.text, or);
        return false;
    }
    resources_refuse(call, &event->resource);
    return false;
}

/* ---- transfer ---- */

/*
 * False, and the call has failed with the reason, while nobody can be granted the resource at all.
 */
static bool transfer_not_held_off(struct call *call, const struct replica_event *event)
{
    const struct issuer *issuer = &issuer_shell_replica(call->view->issuer_shell)->issuer;
    struct instant now = hal_clock_now();
    struct instant until = issuer_unknown_until(issuer);
    const struct hf_name *board = issuer_awaited(issuer, &event->resource, 0);
    if (until.us == INSTANT_NEVER.us || !issuer_held_off(issuer, &event->resource, now))
        return true;
    call_fail(call, CALL_CONFLICT,
              "%s: held off, not granted to anybody yet: leases from before may count for %" PRId64
              " ms more, unless all of its boards wait (%s %s not); see leases",
              event->resource.text, instant_diff(until, now).us / 1000,
              board != NULL ? board->text : "one of them",
              board != NULL && issuer_awaited(issuer, &event->resource, 1) != NULL ?
                  "and others do" :
                  "does");
    return false;
}

/* Likewise while an output is stuck on, by the table: it says whose. */
static bool transfer_not_stuck(struct call *call, const struct replica_event *event)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
    const struct issuer_policy *policy = issuer_policy_of(&replica->issuer, &event->resource);
    const struct stuck_row *row = stuck_holds(&replica->table.stuck, &event->resource);
    if (row == NULL || policy == NULL || policy->stuck_go)
        return true;
    call_fail(
        call, CALL_CONFLICT,
        "%s: not transferred to %s: %s's output is stuck on, held until fault clear %s at %s; "
        "see leases",
        event->resource.text, event->node.text, row->board.text, event->resource.text,
        row->board.text);
    return false;
}

/* Likewise while it is pinned away from the board that it is to go to. */
static bool transfer_not_pinned(struct call *call, const struct replica_event *event)
{
    const struct lease_table *table = &issuer_shell_replica(call->view->issuer_shell)->table;
    int found = lease_table_find(table, &event->resource);
    const struct lease_record *record = found >= 0 ? &table->record[found] : NULL;
    if (record == NULL || !record->pinned || name_equal(&record->pinned_to, &event->node))
        return true;
    call_fail(call, CALL_CONFLICT,
              "%s: not transferred to %s: pinned to %s; unpin %s, or pin it to %s",
              event->resource.text, event->node.text,
              name_empty(&record->pinned_to) ? "nobody" : record->pinned_to.text,
              event->resource.text, event->node.text);
    return false;
}

/* Why it came to nothing, and who has it now. */
static void transfer_failed(struct call *call, const struct issuer_transfer *transfer)
{
    const struct lease_table *table = &issuer_shell_replica(call->view->issuer_shell)->table;
    int found = lease_table_find(table, &call->resource);
    const char *holder = found >= 0 ? table->record[found].holder.text : "";
    call_fail(call, CALL_CONFLICT, "%s: not transferred to %s: %s; %s holds it",
              call->resource.text, transfer->to.text, transfer->reason,
              holder[0] != '\0' ? holder : "nobody");
}

static void transfer_look(uv_timer_t *timer)
{
    struct call *call = timer->data;
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
    const struct issuer_transfer *transfer = replica_transfer(replica, &call->resource);
    if (transfer == NULL || transfer->state == ISSUER_TRANSFER_NONE ||
        replica->raft.term != call->act.act.term) {
        call_fail(call, CALL_TIMEOUT,
                  "not known yet: leadership was lost while the transfer, entry %" PRIu64 ", was "
                  "under way; see history and leases for whether it was done",
                  call->act.act.index);
        return;
    }
    if (transfer->until.us != call->transfer_until.us) {
        call_fail(call, CALL_TIMEOUT,
                  "not known: another transfer of it was asked for since this one, entry %" PRIu64
                  "; see history for whether it was done",
                  call->act.act.index);
        return;
    }
    if (transfer->state == ISSUER_TRANSFER_FAILED) {
        transfer_failed(call, transfer);
        return;
    }
    if (transfer->state != ISSUER_TRANSFER_DONE)
        return;
    report_text(&call->report, "resource", call->resource.text);
    report_text(&call->report, "from", transfer->from.text);
    report_text(&call->report, "to", transfer->to.text);
    report_token(&call->report, "token", transfer->token);
    report_milli(&call->report, "gap_ms", transfer->gap.us);
    report_token(&call->report, "index", call->act.act.index);
    call_answer(call);
}

void operate_transfer(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_TRANSFER };
    if (!operate_name(call, 1, "resource", &event.resource) ||
        !operate_name(call, 2, "board", &event.node) || !operate_here(call, &event.resource) ||
        !operate_names_holder(call, &event, "") || !transfer_not_held_off(call, &event) ||
        !transfer_not_stuck(call, &event) || !transfer_not_pinned(call, &event))
        return;
    call->resource = event.resource;
    if (!operate_step(call, &event))
        return;
    call->transfer_until =
        replica_transfer(issuer_shell_replica(call->view->issuer_shell), &call->resource)->until;
    uv_timer_start(&call->timer, transfer_look, 0, CALL_POLL_MS);
}

/* ---- pin, unpin ---- */

void operate_pin(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_PIN, .pinned = true };
    if (!operate_name(call, 1, "resource", &event.resource))
        return;
    if (strcmp(call->word[2], "none") != 0 && !operate_name(call, 2, "board", &event.node))
        return;
    if (operate_here(call, &event.resource) && operate_names_holder(call, &event, ", or none"))
        operate_act(call, &event, "pinned");
}

void operate_unpin(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_PIN, .pinned = false };
    if (operate_name(call, 1, "resource", &event.resource) && operate_here(call, &event.resource))
        operate_act(call, &event, "unpinned");
}

/* ---- a board's word on tokens ---- */

/*
 * A board that keeps the resource back by its word may be in no policy any more: it counts as
 * known.
 */
static bool overrule_names_known(struct call *call, const struct replica_event *event)
{
    const struct issuer *issuer = &issuer_shell_replica(call->view->issuer_shell)->issuer;
    return issuer_claim_by(issuer, &event->resource, &event->node) > 0 ||
           operate_names_holder(call, event, "");
}

void operate_overrule(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_OVERRULE };
    if (operate_name(call, 1, "resource", &event.resource) &&
        operate_name(call, 2, "board", &event.node) && operate_here(call, &event.resource) &&
        overrule_names_known(call, &event))
        operate_act(call, &event, "overruled: that board's word up to this token counts no more");
}

/* ---- resources ---- */

void operate_resource_remove(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_REMOVE };
    if (operate_name(call, 1, "resource", &event.resource) && operate_here(call, &event.resource))
        operate_act(call, &event, "removed");
}
