/* Commands that act. Each leaves its trace in the replicated history, with who and why. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "console/call.h"
#include "console/purse.h"
#include "hal/clock.h"
#include "log/log.h"
#include "log/quota.h"
#include "node/reach.h"
#include "peer/address.h"

static bool operate_name(struct call *call, int word, const char *what, struct hf_name *name)
{
    if (name_from_string(name, call->word[word]))
        return true;
    call_fail(call, CALL_BAD_COMMAND, "%s %.40s: allowed are 1 to %d of A-Z a-z 0-9 . _ -", what,
              call->word[word], HF_NAME_MAX);
    return false;
}

/* A node that tries in a loop can't fill the log. */
void operate_refuse_voucher(struct call *call)
{
    static struct log_quota quota;
    static const struct log_quota_rule rule = { .burst = 4, .each_ms = 20000 };
    const struct call_caller *caller = &call->caller;
    uint64_t now_ms = uv_now(call->view->loop);
    struct hf_name via;
    uint32_t held;
    while ((held = log_quota_collect(&quota, now_ms, &via)) > 0)
        log_line(LOG_WARNING, "operators: %" PRIu32 " more acts refused that %s vouched for", held,
                 via.text);
    if (log_quota_admit(&quota, &rule, &caller->via, now_ms))
        log_line(LOG_WARNING, "operator %s: %s: refused: %s may not vouch for an operator",
                 caller->who.text, call->line, caller->via.text);
    call_fail(call, CALL_FORBIDDEN,
              "%s may not vouch for an operator here; ask an issuer's console", caller->via.text);
}

bool operate_by_board(const struct call *call)
{
    return call->caller.relayed && issuers_find(call->view->issuers, &call->caller.via) == NULL;
}

/*
 * A board's word proves no operator to the leader. He takes his certificate there himself: to the
 * leader's console, or to that of any issuer.
 */
static void operate_elsewhere(struct call *call)
{
    struct hf_name issuer;
    char console[HF_ADDRESS_MAX + 1];
    const struct issuers_peer *peer =
        call_find_leader(call, &issuer) ? issuers_find(call->view->issuers, &issuer) : NULL;
    if (strncmp(call->line, "member", 6) == 0)
        call_fail(
            call, CALL_FORBIDDEN,
            "%s may not vouch for an operator here: who the issuers are is said at the console "
            "of one of them",
            call->view->conf->node_id.text);
    else if (peer == NULL)
        call_fail(call, CALL_ELSEWHERE,
                  "acts are taken at the console of an issuer, and none is connected");
    else if (reach_console(peer->console, peer->address, console, sizeof(console)))
        call_fail(call, CALL_ELSEWHERE, "acts are taken at the console of an issuer: ask %s at %s",
                  issuer.text, console);
    else
        call_fail(call, CALL_ELSEWHERE,
                  "acts are taken at the console of an issuer, such as that of %s", issuer.text);
}

bool operate_here(struct call *call, const struct hf_name *resource)
{
    struct hf_name leader;
    if (call->caller.relayed &&
        !voucher_accepted(call->view->conf, &call->caller.via, !operate_by_board(call),
                          call->by_board, resource)) {
        operate_refuse_voucher(call);
        return false;
    }
    if (call->view->issuer == NULL && call->by_board == VOUCHER_NONE) {
        operate_elsewhere(call);
        return false;
    }
    if (call->view->issuer != NULL && replica_serving(issuer_shell_replica(call->view->issuer)))
        return true;
    if (!call_find_leader(call, &leader) || name_equal(&leader, &call->view->conf->node_id))
        call_fail(call, CALL_UNAVAILABLE, "no leader is known");
    else
        call_relay(call, &leader);
    return false;
}

static const char *operate_refusal(enum raft_refusal refusal)
{
    switch (refusal) {
    case RAFT_ACCEPTED:
        return "accepted";
    case RAFT_NOT_LEADER:
        return "this issuer does not lead any more; try again";
    case RAFT_TRANSFERRING:
        return "a leader transfer is under way; try again";
    case RAFT_LOG_FULL:
        return "the log is full: a majority of issuers does not keep up";
    case RAFT_BAD_TARGET:
        return "it is no other voter of this cluster, see issuers";
    case RAFT_CHANGE_PENDING:
        return "a change of members is not committed yet; one at a time";
    case RAFT_MEMBER_KNOWN:
        return "it is one already, see issuers";
    case RAFT_MEMBER_UNKNOWN:
        return "it is no issuer of this cluster, see issuers";
    case RAFT_MEMBER_BEHIND:
        return "it has not caught up with the log; see issuers, and try again";
    case RAFT_MEMBER_LAST:
        return "it is the last voter; nobody would be left to decide";
    case RAFT_MEMBERS_FULL:
        return "there are 7 issuers, the most that a cluster may have; remove one first";
    case RAFT_MEMBERS_LONG:
        return "the names and addresses of all issuers together are too long for an entry of the "
               "log; use shorter addresses";
    case RAFT_MEMBERS_DOWN:
        return "of the voters that would be, no majority is connected: the change would leave the "
               "cluster without a leader; bring the others back first";
    case RAFT_REFUSALS:
        break;
    }
    return "refused";
}

/* The same may be accepted later, though nobody changes anything. */
static bool operate_may_pass(enum raft_refusal refusal)
{
    return refusal == RAFT_NOT_LEADER || refusal == RAFT_TRANSFERRING || refusal == RAFT_LOG_FULL ||
           refusal == RAFT_CHANGE_PENDING || refusal == RAFT_MEMBER_BEHIND ||
           refusal == RAFT_MEMBERS_DOWN;
}

enum { OPERATORS_MAX = 16, ACTS_BURST = 120, ACT_US = 500000 };

/* A certificate that acts in a loop wears no card out. A board's own words have the board's budget. */
static bool operate_affords(struct call *call)
{
    static struct purse operators[OPERATORS_MAX];
    static const struct budget_rule acts = { .burst = ACTS_BURST, .unit_us = ACT_US };
    struct instant now = hal_clock_now();
    if (operate_by_board(call))
        return true;
    struct budget *budget = purse_of(operators, OPERATORS_MAX, &call->caller.who);
    if (budget_left(budget, &acts, now) > 0) {
        budget_spend(budget, &acts, 1, now);
        return true;
    }
    call_fail(
        call, CALL_TOO_MANY,
        "the certificate %s has done %d acts within a minute, more than are taken of one: try "
        "again in a second",
        call->caller.who.text, ACTS_BURST);
    return false;
}

/* Steps the replica; on refusal the call has failed. */
static bool operate_step(struct call *call, struct replica_event *event)
{
    const char *error = NULL;
    if (!operate_affords(call))
        return false;
    event->who = call->caller.who;
    event->via = call->caller.via;
    event->unproven = operate_by_board(call);
    enum raft_refusal refusal =
        issuer_shell_operate(call->view->issuer, event, &call->act.act, &error);
    if (error != NULL)
        call_fail(call, CALL_CONFLICT, "%s: %s", event->resource.text, error);
    else if (refusal != RAFT_ACCEPTED)
        call_fail(call, operate_may_pass(refusal) ? CALL_UNAVAILABLE : CALL_CONFLICT, "%s: %s",
                  name_empty(&event->resource) ? event->node.text : event->resource.text,
                  operate_refusal(refusal));
    else
        log_line(LOG_NOTICE, "operator %s%s%s: %s", call->caller.who.text,
                 call->caller.relayed ? " via " : "", call->caller.via.text, call->line);
    return error == NULL && refusal == RAFT_ACCEPTED;
}

/* ---- waiting until it is for good */

static void operate_unknown(struct call *call)
{
    call_fail(call, CALL_TIMEOUT,
              "not known yet: entry %" PRIu64 " of term %" PRIu64
              " is not known to be committed, and "
              "may be yet; see history%s for whether it was done",
              call->act.act.index, call->act.act.term,
              strncmp(call->line, "member", 6) == 0 ? " and issuers" : " and leases");
}

static void operate_late(uv_timer_t *timer)
{
    operate_unknown(timer->data);
}

static void operate_outcome(void *context, enum replica_outcome outcome)
{
    struct call *call = context;
    call->awaiting = false;
    if (outcome == REPLICA_ACT_DONE)
        call->on_done(call);
    else if (outcome == REPLICA_ACT_REPLACED)
        call_fail(call, CALL_UNAVAILABLE,
                  "not done: leadership was lost before entry %" PRIu64
                  " was committed, and another "
                  "stands in its place; try again",
                  call->act.act.index);
    else
        operate_unknown(call);
}

/*
 * Nobody is told that an act is done before a majority has it on its disks: a leader that is lost
 * before that takes the act with it. Whoever leads by then, this issuer learns what became of it.
 */
static void operate_await(struct call *call, void (*on_done)(struct call *call))
{
    call->on_done = on_done;
    call->act.on_outcome = operate_outcome;
    call->act.context = call;
    call->awaiting = true;
    uv_timer_start(&call->timer, operate_late, CALL_COMMIT_MS, 0);
    issuer_shell_await(call->view->issuer, &call->act);
}

static void operate_done(struct call *call)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer);
    if (replica_act_event(replica, call->act.act.index) == NULL) {
        call_fail(call, CALL_CONFLICT, "not done: entry %" PRIu64 " had no effect; see history",
                  call->act.act.index);
        return;
    }
    report_text(&call->report, "done", call->done);
    report_token(&call->report, "index", call->act.act.index);
    call_answer(call);
}

/* Steps the replica, and answers `done` when that is committed. */
static void operate_act(struct call *call, struct replica_event *event, const char *done)
{
    call->done = done;
    if (operate_step(call, event))
        operate_await(call, operate_done);
}

/* ---- names of the policy ---- */

/*
 * A name that no policy has, misspelt perhaps: a pin on it would take the resource from its holder,
 * and of the rest the core could only say that it does not apply. `or` ends the list of boards.
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
    call_fail(call, CALL_NOT_FOUND, "resource %s: must be one of issuer.policy",
              event->resource.text);
    return false;
}

/* ---- transfer ---- */

/* Nobody holds it, and this is why. */
static bool transfer_not_held_off(struct call *call, const struct replica_event *event)
{
    const struct issuer *issuer = &issuer_shell_replica(call->view->issuer)->issuer;
    struct instant now = hal_clock_now();
    struct instant until = issuer_unknown_until(issuer);
    const struct hf_name *board = issuer_awaited(issuer, &event->resource, 0);
    if (until.us == INSTANT_NEVER.us || !issuer_held_off(issuer, &event->resource, now))
        return true;
    call_fail(call, CALL_CONFLICT,
              "%s: held off, not granted to anybody yet: leases from before may count for %" PRId64
              " ms more, unless all of its boards wait (%s%s does not); see leases",
              event->resource.text, instant_diff(until, now).us / 1000,
              board != NULL ? board->text : "one of them",
              board != NULL && issuer_awaited(issuer, &event->resource, 1) != NULL ? " and others" :
                                                                                     "");
    return false;
}

static void transfer_look(uv_timer_t *timer)
{
    struct call *call = timer->data;
    const struct replica *replica = issuer_shell_replica(call->view->issuer);
    const struct issuer_transfer *transfer = replica_transfer(replica, &call->resource);
    if (transfer == NULL || transfer->state == ISSUER_TRANSFER_NONE ||
        replica->raft.term != call->act.act.term) {
        call_fail(call, CALL_TIMEOUT,
                  "not known yet: leadership was lost while the transfer, entry %" PRIu64 ", was "
                  "under way; see history and leases for whether it was done",
                  call->act.act.index);
        return;
    }
    if (transfer->state == ISSUER_TRANSFER_FAILED) {
        call_fail(call, CALL_CONFLICT, "%s: not transferred: %s", call->resource.text,
                  transfer->reason);
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
        !operate_names_holder(call, &event, "") || !transfer_not_held_off(call, &event))
        return;
    call->resource = event.resource;
    if (operate_step(call, &event))
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

/* What keeps a resource back counts, whoever said it: a board that left the policy may have. */
static bool overrule_names_known(struct call *call, const struct replica_event *event)
{
    const struct issuer *issuer = &issuer_shell_replica(call->view->issuer)->issuer;
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

/* ---- faults ---- */

static void ignore_write(void *context, const char *data, size_t length)
{
    (void)context;
    (void)data;
    (void)length;
}

static void ignore_finish(void *context, enum call_error error)
{
    struct call **handle = context;
    (void)error;
    *handle = NULL;
}

/* The act is this board's; its note goes into the history wherever the leader is. */
static void fault_note(struct call *call)
{
    static struct call *note;
    const struct call_sink sink = { &note, ignore_write, ignore_finish };
    char line[64 + HF_NAME_MAX];
    snprintf(line, sizeof(line), "note fault-cleared %s", call->resource.text);
    call_start(call->view, line, &call->caller, &sink, &note);
}

/* The guard of this board has latched one, or had when it died. */
static bool fault_is_here(const struct call *call)
{
    const struct agent *agent = call->view->agent;
    const struct conf *conf = call->view->conf;
    for (uint8_t i = 0; agent != NULL && i < conf->resource_count; i++) {
        if (!name_equal(&conf->resource[i].name, &call->resource))
            continue;
        const struct agent_guard_view *view = agent_guard(agent, i);
        return agent_holder(agent)->lease[i].state == HOLDER_BLOCKED ||
               (view->known && view->status.state == GUARD_FAULT);
    }
    return false;
}

static bool fault_names_resource(struct call *call)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer);
    if (issuer_policy_of(&replica->issuer, &call->resource) != NULL)
        return true;
    call_fail(call, CALL_NOT_FOUND, "resource %s: must be one of issuer.policy",
              call->resource.text);
    return false;
}

static void fault_clear_here(struct call *call)
{
    (void)agent_clear_fault(call->view->agent, &call->resource);
    log_line(LOG_NOTICE, "operator %s: fault clear %s", call->caller.who.text, call->resource.text);
    fault_note(call);
    report_text(&call->report, "done", "the guard was told; see guard for the outcome");
    call_answer(call);
}

/*
 * At the board with the fault: its guard is told, and what was held for an output stuck on goes on
 * when the guard proves the outputs off. At any other console it is the operator's go, whatever that
 * board shows, or if it shows nothing any more.
 */
void operate_fault_clear(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_CLEAR };
    if (!operate_name(call, 1, "resource", &event.resource))
        return;
    call->resource = event.resource;
    if (!call->caller.relayed && fault_is_here(call))
        fault_clear_here(call);
    else if (operate_here(call, &event.resource) && fault_names_resource(call))
        operate_act(call, &event, "let go: it may be granted again");
}

void operate_note_fault(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_NOTE,
                                   .history = HISTORY_OPERATOR,
                                   .text = "fault cleared" };
    if (operate_name(call, 1, "resource", &event.resource) && operate_here(call, &event.resource))
        operate_act(call, &event, "noted");
}

/* ---- resources ---- */

void operate_resource_remove(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_REMOVE };
    if (operate_name(call, 1, "resource", &event.resource) && operate_here(call, &event.resource))
        operate_act(call, &event, "removed");
}

/* ---- leadership ---- */

/* It is no entry of the log: done is what this issuer sees the other one do. */
static void leader_transfer_look(uv_timer_t *timer)
{
    struct call *call = timer->data;
    const struct raft *raft = &issuer_shell_replica(call->view->issuer)->raft;
    int64_t waited_us = hal_clock_now().us - call->started_us;
    if (raft->term > call->act.act.term && name_equal(&raft->leader, &call->resource)) {
        report_text(&call->report, "done", "that issuer leads");
        report_text(&call->report, "leader", raft->leader.text);
        report_token(&call->report, "term", raft->term);
        call_answer(call);
    } else if (raft->term == call->act.act.term && raft->role == RAFT_LEADER &&
               name_empty(&raft->transfer_to)) {
        call_fail(call, CALL_CONFLICT, "%s: did not take over in time; %s leads on",
                  call->resource.text, call->view->conf->node_id.text);
    } else if (waited_us > span_from_ms(CALL_COMMIT_MS).us) {
        call_fail(call, CALL_TIMEOUT,
                  "not known yet: %s was asked to lead; see status for who does",
                  call->resource.text);
    }
}

void operate_leader_transfer(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER };
    if (!operate_name(call, 1, "issuer", &event.node) || !operate_here(call, NULL))
        return;
    if (name_equal(&event.node, &call->view->conf->node_id)) {
        call_fail(call, CALL_CONFLICT, "%s: leads already", event.node.text);
        return;
    }
    call->resource = event.node;
    if (!operate_step(call, &event))
        return;
    call->act.act.term = issuer_shell_replica(call->view->issuer)->raft.term;
    uv_timer_start(&call->timer, leader_transfer_look, 0, CALL_POLL_MS);
}

/* ---- members ---- */

static const char *const member_done[RAFT_CHANGES] = {
    [RAFT_CHANGE_ADD] = "added as a learner; promote it once issuers shows that it has caught up",
    [RAFT_CHANGE_PROMOTE] = "promoted to a voter",
    [RAFT_CHANGE_REMOVE] = "removed",
};

static void member_answer(struct call *call)
{
    const struct raft_members *members = &issuer_shell_replica(call->view->issuer)->raft.members;
    uint8_t voters = raft_voter_count(members);
    report_text(&call->report, "done", member_done[call->change]);
    report_number(&call->report, "voters", voters);
    report_number(&call->report, "majority", raft_quorum(members));
    if (voters == 2)
        report_text(&call->report, "warning",
                    "two voters survive no loss: without either, nothing is granted and every "
                    "lease ends; for while one is replaced only");
    else if (voters % 2 == 0)
        report_text(&call->report, "warning",
                    "an even number of voters survives no more losses than one less");
    call_answer(call);
}

/* No configuration file lists two issuers at one address. */
static bool member_address_free(struct call *call, const struct replica_event *event)
{
    const struct console_view *view = call->view;
    for (uint8_t i = 0; i < view->issuers->count; i++) {
        const struct issuers_peer *peer = &view->issuers->peer[i];
        if (strcmp(peer->address, event->address) != 0 || name_equal(&peer->id, &event->node))
            continue;
        call_fail(call, CALL_CONFLICT,
                  "address %s: is that of issuer %s already, every address must be different",
                  event->address, peer->id.text);
        return false;
    }
    return true;
}

static void operate_member(struct call *call, enum raft_change change, const char *verb)
{
    struct replica_event event = { .kind = REPLICA_MEMBERS, .change = change };
    struct sockaddr_storage parsed;
    char text[HF_REASON_MAX + 1];
    if (!operate_name(call, 1, "issuer", &event.node))
        return;
    if (change == RAFT_CHANGE_ADD) {
        event.address = call->word[2];
        if (strlen(event.address) > HF_ADDRESS_MAX || !address_parse(event.address, &parsed) ||
            address_port(&parsed) == 0) {
            call_fail(call, CALL_BAD_COMMAND,
                      "address %.70s: must be IPV4:PORT or [IPV6]:PORT, port 1 to 65535",
                      event.address);
            return;
        }
    }
    snprintf(text, sizeof(text), "member %s %s%s%s", verb, event.node.text,
             change == RAFT_CHANGE_ADD ? " " : "", change == RAFT_CHANGE_ADD ? event.address : "");
    event.text = text;
    if (!operate_here(call, NULL) ||
        (change == RAFT_CHANGE_ADD && !member_address_free(call, &event)) ||
        !operate_step(call, &event))
        return;
    call->change = change;
    operate_await(call, member_answer);
}

void operate_member_add(struct call *call)
{
    operate_member(call, RAFT_CHANGE_ADD, "add");
}

void operate_member_promote(struct call *call)
{
    operate_member(call, RAFT_CHANGE_PROMOTE, "promote");
}

void operate_member_remove(struct call *call)
{
    operate_member(call, RAFT_CHANGE_REMOVE, "remove");
}
