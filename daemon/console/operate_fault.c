/* A fault of a guard: its clearing at the board, the operator's go, and the note of it. */
#include <stdio.h>

#include "console/operate.h"
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

/* True if the guard of this board has latched a fault, or had one when it was lost. */
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
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
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
 * At the console of the board with the fault: its guard is told, and a resource that is held for an
 * output stuck on is let go when the guard proves the outputs off. At any other console the
 * operator lets it go on his own word, whatever that board shows, and also if it is silent.
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
