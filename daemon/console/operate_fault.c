/* A fault of a guard: its clearing at the board, the operator's go, and the note of it. */
#include <inttypes.h>
#include <stdio.h>

#include "console/operate.h"
#include "console/resources.h"
#include "log/log.h"

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
    struct call **note = &call->view->kept->note;
    const struct call_sink sink = { note, ignore_write, ignore_finish };
    char line[64 + HF_NAME_MAX];
    snprintf(line, sizeof(line), "note fault-cleared %s", call->resource.text);
    call_start(call->view, line, &call->caller, &sink, note);
}

/* ---- at the board with the fault ---- */

/* Its number among this board's resources; -1: this board has no such resource. */
static int fault_resource(const struct call *call)
{
    const struct conf *conf = call->view->conf;
    for (uint8_t i = 0; call->view->agent != NULL && i < conf->resource_count; i++) {
        if (name_equal(&conf->resource[i].name, &call->resource))
            return i;
    }
    return -1;
}

/* True if the guard of this board has latched a fault, or its agent waits for one to be cleared. */
static bool fault_is_here(const struct call *call)
{
    const struct agent *agent = call->view->agent;
    int resource = fault_resource(call);
    if (resource < 0)
        return false;
    const struct agent_guard_view *view = agent_guard(agent, (size_t)resource);
    return agent_holder(agent)->lease[resource].state == HOLDER_BLOCKED ||
           (view->known && view->status.state == GUARD_FAULT);
}

static void fault_clear_here(struct call *call)
{
    (void)agent_clear_fault(call->view->agent, &call->resource);
    log_line(LOG_NOTICE, "operator %s: fault clear %s", call->caller.who.text, call->resource.text);
    fault_note(call);
    report_text(&call->report, "done", "the guard was told; see guard for the outcome");
    call_answer(call);
}

/* ---- nothing to clear here ---- */

static bool fault_names_resource(struct call *call)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
    if (issuer_policy_of(&replica->issuer, &call->resource) != NULL)
        return true;
    resources_refuse(call, &call->resource);
    return false;
}

/* The refusal, by this issuer's table. */
static void fault_say_where(struct call *call)
{
    const struct lease_table *table = &issuer_shell_replica(call->view->issuer_shell)->table;
    const char *resource = call->resource.text;
    const char *asked =
        call->caller.relayed ? call->caller.via.text : call->view->conf->node_id.text;
    const struct stuck_row *row = stuck_holds(&table->stuck, &call->resource);
    uint32_t count = stuck_count_held(&table->stuck, &call->resource);
    char more[48] = "";
    if (!fault_names_resource(call))
        return;
    if (row == NULL) {
        call_fail(
            call, CALL_CONFLICT,
            "%s: no fault of it is latched at %s, and by what the issuers know no output that is "
            "stuck on holds it back; see guard and leases",
            resource, asked);
        return;
    }
    if (count > 1)
        snprintf(more, sizeof(more), " (and those of %" PRIu32 " more, see leases)", count - 1);
    call_fail(
        call, CALL_CONFLICT,
        "%s: no fault of it is latched at %s. By what the issuers know, %s's output is stuck "
        "on%s: repair it, and say fault clear %s at the console of %s. fault clear %s %s has it "
        "granted whatever that output does",
        resource, asked, row->board.text, more, resource, row->board.text, resource,
        row->board.text);
}

/*
 * A clear at a board without the fault is no go for another board's output: it may have been typed
 * at the wrong board. Whose output is stuck on the leader knows best.
 */
static void fault_refuse(struct call *call)
{
    struct hf_name leader;
    const struct hf_name *node = &call->view->conf->node_id;
    const struct issuer_shell *shell = call->view->issuer_shell;
    bool leads = shell != NULL && replica_serving(issuer_shell_replica(shell));
    call->acts = false;
    if (!leads && call_find_leader(call, &leader) && !name_equal(&leader, node)) {
        snprintf(call->line, sizeof(call->line), "fault where %s", call->resource.text);
        call_relay(call, &leader);
    } else if (shell != NULL) {
        fault_say_where(call);
    } else {
        call_fail(
            call, CALL_UNAVAILABLE,
            "%s: no fault of it is latched at %s, and no issuer is connected that knows whose "
            "output is stuck on",
            call->resource.text, node->text);
    }
}

/* Asked by a node at whose console there is nothing to clear. */
void operate_fault_where(struct call *call)
{
    if (!call->caller.relayed || call->view->issuer_shell == NULL)
        call_fail(call, CALL_BAD_COMMAND, "fault where is what nodes ask issuers; see leases");
    else if (operate_name(call, 1, "resource", &call->resource))
        fault_say_where(call);
}

/* ---- the operator's go ---- */

static void fault_go_done(struct call *call)
{
    const struct lease_table *table = &issuer_shell_replica(call->view->issuer_shell)->table;
    const struct stuck_row *row = stuck_holds(&table->stuck, &call->resource);
    char text[128];
    if (row == NULL) {
        operate_done(call);
        return;
    }
    snprintf(text, sizeof(text), "let go for %s; %s's output holds it still, see leases",
             call->word[2], row->board.text);
    operate_done_as(call, text);
}

static void fault_go(struct call *call, struct replica_event *event)
{
    if (!operate_here(call, &event->resource) || !fault_names_resource(call))
        return;
    call->done = "let go: it may be granted again";
    if (operate_step(call, event))
        operate_await(call, fault_go_done);
}

/* False, and the call has failed, if this board's guard is not there to be told, nor known of. */
static bool fault_guard_known(struct call *call)
{
    if (fault_resource(call) < 0 || agent_guard_up(call->view->agent))
        return true;
    call_fail(
        call, CALL_UNAVAILABLE,
        "%s: the guard of %s is not connected: nothing was told, and nothing is known of its "
        "fault; start it, which keeps a latched fault, and say this again. If it can't be, fault "
        "clear %s %s at another node's console has it granted whatever that output does",
        call->resource.text, call->view->conf->node_id.text, call->resource.text,
        call->view->conf->node_id.text);
    return false;
}

/*
 * Without a board, or with this one: the guard here is told, and a resource that is held for its output
 * is let go when it proves the outputs off. With another board: the operator lets the resource go
 * on his own word, whatever that board's output does, and also if that board is silent.
 */
void operate_fault_clear(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_CLEAR };
    if (!operate_name(call, 1, "resource", &event.resource) ||
        (call->word_count > 2 && !operate_name(call, 2, "board", &event.node)))
        return;
    call->resource = event.resource;
    bool own = !call->caller.relayed &&
               (name_empty(&event.node) || name_equal(&event.node, &call->view->conf->node_id));
    if (own && !fault_guard_known(call))
        return;
    if (own && fault_is_here(call))
        fault_clear_here(call);
    else if (name_empty(&event.node))
        fault_refuse(call);
    else
        fault_go(call, &event);
}

void operate_note_fault(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_NOTE,
                                   .history = HISTORY_OPERATOR,
                                   .text = "fault cleared" };
    if (operate_name(call, 1, "resource", &event.resource) && operate_here(call, &event.resource))
        operate_act(call, &event, "noted");
}
