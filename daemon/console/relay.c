#include "console/relay.h"

#include <stdio.h>
#include <string.h>

void relay_end(struct call *call)
{
    for (struct call **at = &call->view->kept->asked; *at != NULL; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            return;
        }
    }
}

/* ---- the question */

/* An empty query of the same id tells the other node that nobody waits for the answer any more. */
static void send_cancel(const struct call *call)
{
    static struct wire_query cancel;
    cancel.id = call->query_id;
    cancel.who = call->caller.who;
    (void)node_send_query(call->view->node, &call->target, false, &cancel);
}

void relay_cancel(const struct call *call)
{
    if (call->query_id != 0)
        send_cancel(call);
}

void relay_cancel_all(const struct console_view *view)
{
    while (view->kept->asked != NULL)
        call_cancel(view->kept->asked);
}

/* What to add to an error that leaves open whether an act was done: "", or how to find out. */
static const char *relay_open_end(const struct call *call)
{
    return call->acts ? "; not known yet whether it was done; see history" : "";
}

static void relay_late(uv_timer_t *timer)
{
    struct call *call = timer->data;
    send_cancel(call);
    call_fail(call, CALL_TIMEOUT, "%s did not answer within %d ms%s", call->target.text,
              CALL_RELAY_MS, relay_open_end(call));
}

void call_relay(struct call *call, const struct hf_name *target)
{
    static struct wire_query query;
    if (call->caller.relayed) {
        call_fail(call, CALL_UNAVAILABLE, "%s is not the leader any more; try again",
                  call->view->conf->node_id.text);
        return;
    }
    memset(&query, 0, sizeof(query));
    query.id = node_random() | 1;
    query.who = call->caller.who;
    query.operator_role = call->caller.operator_role;
    query.json = call->json;
    query.length = (uint16_t)snprintf(query.text, sizeof(query.text), "%s", call->line);
    if (!node_send_query(call->view->node, target, false, &query)) {
        call_fail(call, CALL_UNAVAILABLE, "%s is not connected", target->text);
        return;
    }
    call->query_id = query.id;
    call->target = *target;
    call->next = call->view->kept->asked;
    call->view->kept->asked = call;
    if (strcmp(call->word[0], "watch") != 0 && strcmp(call->word[0], "transfer") != 0)
        uv_timer_start(&call->timer, relay_late, CALL_RELAY_MS, 0);
}

/* ---- the answer */

void relay_answer(const struct console_view *view, const struct hf_name *from,
                  const struct wire_query *reply)
{
    struct call *call = view->kept->asked;
    while (call != NULL && call->query_id != reply->id)
        call = call->next;
    if (call == NULL || !name_equal(&call->target, from))
        return;
    if (reply->length > 0)
        call->sink.on_write(call->sink.context, reply->text, reply->length);
    if (reply->last)
        call_finish(call, (enum call_error)reply->error);
}

static struct call *first_to(const struct console_view *view, const struct hf_name *target)
{
    struct call *call = view->kept->asked;
    while (call != NULL && !name_equal(&call->target, target))
        call = call->next;
    return call;
}

void relay_peer_down(const struct console_view *view, const struct hf_name *peer)
{
    struct call *call;
    while ((call = first_to(view, peer)) != NULL)
        call_fail(call, CALL_UNAVAILABLE, "the connection to %s was lost%s", peer->text,
                  relay_open_end(call));
}
