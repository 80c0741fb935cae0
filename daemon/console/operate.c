/*
 * What every act of an operator goes through: may it be done here and on this word, the step of the
 * replica, and the wait until it is committed. The acts themselves are in operate_*.c.
 */
#include "console/operate.h"

#include <inttypes.h>
#include <string.h>

#include "hal/clock.h"
#include "log/log.h"
#include "node/reach.h"

bool operate_name(struct call *call, int word, const char *what, struct hf_name *name)
{
    if (name_from_string(name, call->word[word]))
        return true;
    call_fail(call, CALL_BAD_COMMAND, "%s %.40s: allowed are 1 to %d of A-Z a-z 0-9 . _ -", what,
              call->word[word], HF_NAME_MAX);
    return false;
}

/* ---- where, and on whose word ---- */

/* Logged with a quota, so that a node that tries in a loop can't fill the log. */
void operate_refuse_voucher(struct call *call)
{
    static const struct log_quota_rule rule = { .burst = 4, .each_ms = 20000 };
    const struct call_caller *caller = &call->caller;
    struct log_quota *quota = &call->view->kept->vouchers;
    uint64_t now_ms = uv_now(call->view->loop);
    struct hf_name via;
    uint32_t held;
    while ((held = log_quota_collect(quota, now_ms, &via)) > 0)
        log_line(LOG_WARNING, "operators: %" PRIu32 " more acts refused that %s vouched for", held,
                 via.text);
    if (log_quota_admit(quota, &rule, &caller->via, now_ms))
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
 * A board can't prove to the leader that it speaks for an operator. The operator must show his
 * certificate to an issuer himself, at its console: the answer says where that is.
 */
static void operate_elsewhere(struct call *call)
{
    struct hf_name issuer;
    char console[HF_ADDRESS_MAX + 1];
    const struct issuers_peer *peer =
        call_find_leader(call, &issuer) ? issuers_find(call->view->issuers, &issuer) : NULL;
    bool reachable =
        peer != NULL && reach_console(peer->console, peer->address, console, sizeof(console));
    if (strncmp(call->line, "member", 6) == 0)
        call_fail(call, CALL_FORBIDDEN,
                  "%s may not vouch for an operator here: who the issuers are is said at the "
                  "console of one of them%s%s%s%s",
                  call->view->conf->node_id.text, peer != NULL ? ", such as " : "",
                  peer != NULL ? issuer.text : "", reachable ? " at " : "",
                  reachable ? console : "");
    else if (peer == NULL)
        call_fail(call, CALL_ELSEWHERE,
                  "acts are taken at the console of an issuer, and none is connected");
    else if (reachable)
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
    if (call->view->issuer_shell == NULL && call->by_board == VOUCHER_NONE) {
        operate_elsewhere(call);
        return false;
    }
    if (call->view->issuer_shell != NULL &&
        replica_serving(issuer_shell_replica(call->view->issuer_shell)))
        return true;
    if (!call_find_leader(call, &leader) || name_equal(&leader, &call->view->conf->node_id))
        call_fail(call, CALL_UNAVAILABLE, "no leader is known");
    else
        call_relay(call, &leader);
    return false;
}

/* ---- the step ---- */

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
    case RAFT_STORE_BEHIND:
        return "the log is full: the leader's own disk does not keep up; it hands over by itself, "
               "or see leader transfer";
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

/* True if the same act may be accepted later, without anybody changing anything. */
static bool operate_may_pass(enum raft_refusal refusal)
{
    return refusal == RAFT_NOT_LEADER || refusal == RAFT_TRANSFERRING || refusal == RAFT_LOG_FULL ||
           refusal == RAFT_STORE_BEHIND || refusal == RAFT_CHANGE_PENDING ||
           refusal == RAFT_MEMBER_BEHIND || refusal == RAFT_MEMBERS_DOWN;
}

enum { ACTS_BURST = 120, ACT_US = 500000 };

/*
 * Acts are counted by certificate, so that one that acts in a loop wears out no issuer's card. What
 * a board says itself is charged to the board's budget instead.
 */
static bool operate_affords(struct call *call)
{
    static const struct budget_rule acts = { .burst = ACTS_BURST, .unit_us = ACT_US };
    struct instant now = hal_clock_now();
    if (operate_by_board(call))
        return true;
    struct budget *budget =
        purse_of(call->view->kept->operators, CONSOLE_OPERATORS_MAX, &call->caller.who);
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

/* What the core says of "the board" is said with its name: "pump, board-b: the board is ...". */
static void operate_refuse(struct call *call, const struct replica_event *event, const char *error)
{
    bool both = !name_empty(&event->resource) && !name_empty(&event->node);
    call_fail(call, CALL_CONFLICT, "%s%s%s: %s", event->resource.text, both ? ", " : "",
              event->node.text, error);
}

/* Steps the replica; on refusal the call has failed. */
bool operate_step(struct call *call, struct replica_event *event)
{
    const char *error = NULL;
    if (!operate_affords(call))
        return false;
    event->who = call->caller.who;
    event->via = call->caller.via;
    event->unproven = operate_by_board(call);
    enum raft_refusal refusal =
        issuer_shell_operate(call->view->issuer_shell, event, &call->act.act, &error);
    if (error != NULL)
        operate_refuse(call, event, error);
    else if (refusal != RAFT_ACCEPTED)
        call_fail(call, operate_may_pass(refusal) ? CALL_UNAVAILABLE : CALL_CONFLICT, "%s: %s",
                  name_empty(&event->resource) ? event->node.text : event->resource.text,
                  operate_refusal(refusal));
    else
        log_line(LOG_NOTICE, "operator %s%s%s: %s", call->caller.who.text,
                 call->caller.relayed ? " via " : "", call->caller.via.text, call->line);
    return error == NULL && refusal == RAFT_ACCEPTED;
}

/* ---- waiting until it is committed */

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
void operate_await(struct call *call, void (*on_done)(struct call *call))
{
    call->on_done = on_done;
    call->act.on_outcome = operate_outcome;
    call->act.context = call;
    call->awaiting = true;
    uv_timer_start(&call->timer, operate_late, CALL_COMMIT_MS, 0);
    issuer_shell_await(call->view->issuer_shell, &call->act);
}

void operate_done_as(struct call *call, const char *done)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
    if (replica_act_event(replica, call->act.act.index) == NULL) {
        call_fail(call, CALL_CONFLICT, "not done: entry %" PRIu64 " had no effect; see history",
                  call->act.act.index);
        return;
    }
    report_text(&call->report, "done", done);
    report_token(&call->report, "index", call->act.act.index);
    call_answer(call);
}

void operate_done(struct call *call)
{
    operate_done_as(call, call->done);
}

/* Steps the replica, and answers `done` when that is committed. */
void operate_act(struct call *call, struct replica_event *event, const char *done)
{
    call->done = done;
    if (operate_step(call, event))
        operate_await(call, operate_done);
}
