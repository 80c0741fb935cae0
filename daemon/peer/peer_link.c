#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/check.h"
#include "peer/peer_private.h"

const struct tls_stream_limits link_limits = { .handshake_ms = PEER_HANDSHAKE_MS,
                                               .silence_ms = PEER_SILENCE_MS,
                                               .queue_max = PEER_QUEUE_MAX };

static void link_step(struct peer_link *link, enum link_event event)
{
    const struct cell *cell = link_cell(link->state, event);
    if (cell->kind == CELL_STAY)
        return;
    HF_CHECK(cell->kind == CELL_GO);
    link->state = (enum link_state)cell->next;
    link->since_ms = uv_now(link->hub->loop);
}

/* "board-b at 10.0.0.2:7400", or the address alone while nobody is proven. */
static void link_who(const struct peer_link *link, char who[REFUSAL_WHO_MAX])
{
    const struct hf_name *name = &link->node;
    if (name_empty(name) && link->dial != NULL)
        name = &link->dial->id;
    const char *remote = tls_stream_remote(link->stream);
    if (name_empty(name))
        snprintf(who, REFUSAL_WHO_MAX, "%s", remote);
    else
        snprintf(who, REFUSAL_WHO_MAX, "%s at %s", name->text, remote);
}

/* ---- ending */

static void link_announce_down(struct peer_link *link, const char *reason)
{
    if (!link->announced)
        return;
    link->announced = false;
    if (link->hub->closing)
        return;
    hub_log_coming(link->hub, &link->node, "disconnected: %s", reason);
    link->hub->events.on_down(link->hub->events.context, &link->node, reason);
}

/* `politely`: what was written before is still sent. on_down is called later, from the loop. */
static void link_end(struct peer_link *link, const char *reason, bool politely)
{
    if (link->state == LINK_CLOSING)
        return;
    link_step(link, LINK_CLOSE);
    snprintf(link->reason, sizeof(link->reason), "%s", reason);
    if (politely)
        tls_stream_close(link->stream);
    else
        tls_stream_abort(link->stream);
}

void link_abort(struct peer_link *link, const char *reason)
{
    link_end(link, reason, false);
}

__attribute__((format(printf, 4, 5))) static void
link_refuse(struct peer_link *link, int cause, bool politely, const char *format, ...)
{
    char who[REFUSAL_WHO_MAX];
    char detail[HUB_LINE_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    link_who(link, who);
    hub_log_refusal(link->hub, cause, who, detail);
    link_end(link, refusal_cause_text(cause), politely);
}

/*
 * Logs why a link ended that this side did not close. A dial that goes on failing is logged once.
 */
static void link_explain_loss(struct peer_link *link, enum tls_cause cause, const char *reason)
{
    char who[REFUSAL_WHO_MAX];
    link_who(link, who);
    bool network = cause == TLS_CAUSE_NETWORK || cause == TLS_CAUSE_NONE;
    if (link->state == LINK_UP)
        return; /* link_announce_down() logs it */
    if (!network) {
        hub_log_refusal(link->hub, (int)cause, who, reason);
    } else if (link->dial == NULL) {
        hub_log_refusal(link->hub, REFUSAL_HELLO, who, reason);
    } else if (!link->dial->complained) {
        link->dial->complained = true;
        hub_log(link->hub, LOG_WARNING, "%s: no connection, trying on: %s", who, reason);
    }
}

static void link_unlink(struct peer_link *link)
{
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        link->hub->links = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
}

/* See DIAL_STRAINED_MS. What this side ended itself, for another reason than time, is no sign of it. */
static uint32_t link_strained_ms(const struct peer_link *link)
{
    uint64_t took_ms = uv_now(link->hub->loop) - link->begun_ms;
    bool in_vain = link->state == LINK_SECURING || link->state == LINK_GREETING || link->late;
    bool strained = link->dial != NULL && in_vain && tls_stream_answered(link->stream) &&
                    took_ms >= DIAL_STRAINED_MS;
    return strained ? (uint32_t)took_ms : 0;
}

static void on_closed(void *context, enum tls_cause cause, const char *reason)
{
    struct peer_link *link = context;
    struct peer_hub *hub = link->hub;
    bool own_act = link->state == LINK_CLOSING;
    const struct dial_end end = { .steady = link->state == LINK_UP &&
                                            uv_now(hub->loop) - link->since_ms >= LINK_STEADY_MS,
                                  .strained_ms = link_strained_ms(link) };
    if (!own_act && !hub->closing)
        link_explain_loss(link, cause, reason);
    link_announce_down(link, own_act ? link->reason : reason);
    link_unlink(link);
    if (!hub->closing)
        hub_dial_after(hub, link->dial != NULL ? &link->dial->id : &link->node, &end);
    frame_free(&link->reader);
    free((void *)link->rest.data);
    free(link);
    hub_release(hub);
}

/* ---- sending */

bool link_send(struct peer_link *link, struct bytes envelope)
{
    struct peer_hub *hub = link->hub;
    frame_header_put(hub->frame, (uint32_t)envelope.length);
    memcpy(hub->frame + FRAME_HEADER_BYTES, envelope.data, envelope.length);
    struct bytes frame = { hub->frame, FRAME_HEADER_BYTES + envelope.length };
    if (tls_stream_write(link->stream, frame)) {
        if (link->dial != NULL)
            hub_watch_start(hub);
        return true;
    }
    if (tls_stream_queued(link->stream) + frame.length > PEER_QUEUE_MAX)
        link_refuse(link, TLS_CAUSE_OVERFLOW, false, "%zu bytes wait, %d are allowed",
                    tls_stream_queued(link->stream), PEER_QUEUE_MAX);
    return false;
}

/*
 * Each link that waits costs the memory of its TLS. New ones are first in the list: the oldest go.
 */
static void link_limit_greeting(const struct peer_link *link)
{
    unsigned count = 0;
    for (struct peer_link *other = link->hub->links; other != NULL; other = other->next) {
        if (other->state == LINK_GREETING && name_equal(&other->node, &link->node) &&
            ++count > PEER_GREETING_MAX)
            link_abort(other, "newer connections of it came before its hello");
    }
}

static void link_send_hello(struct peer_link *link)
{
    (void)link_send(link, (struct bytes){ link->hub->hello, link->hub->hello_length });
}

/* ---- certificate */

static void link_secured(struct peer_link *link, const struct tls_name *peer)
{
    struct hf_name name;
    if (strcmp(peer->unit, "node") != 0) {
        link_refuse(link, TLS_CAUSE_ROLE, false, "OU of CN \"%s\" is \"%s\", must be \"node\"",
                    peer->common_name, peer->unit);
        return;
    }
    if (!name_from_string(&name, peer->common_name)) {
        link_refuse(link, TLS_CAUSE_NAME, false, "CN \"%s\" is no node id", peer->common_name);
        return;
    }
    if (link->dial != NULL && !name_equal(&name, &link->dial->id)) {
        link_refuse(link, TLS_CAUSE_NAME, false, "dialled \"%s\", its certificate names \"%s\"",
                    link->dial->id.text, name.text);
        return;
    }
    if (name_equal(&name, &link->hub->self.node)) {
        link_refuse(link, TLS_CAUSE_NAME, false, "its certificate names this node, \"%s\"",
                    name.text);
        return;
    }
    link->node = name;
    link_step(link, LINK_SECURED);
    link_limit_greeting(link);
    hub_tick_start(link->hub);
    if (link->dial != NULL)
        link_send_hello(link);
}

/* ---- hello */

static bool hello_acceptable(struct peer_link *link, const struct wire_hello *hello)
{
    const struct wire_hello *self = &link->hub->self;
    bool foreign_terms =
        hello->version != self->version || strcmp(hello->cluster, self->cluster) != 0;
    /* The dialler still gets this side's hello, so that its log names the cause as well. */
    if (foreign_terms && link->dial == NULL)
        link_send_hello(link);
    if (hello->version != self->version)
        link_refuse(link, REFUSAL_VERSION, true, "it speaks version %u, this node %u",
                    hello->version, self->version);
    else if (foreign_terms)
        link_refuse(link, REFUSAL_CLUSTER, true, "it belongs to \"%s\", this node to \"%s\"",
                    hello->cluster, self->cluster);
    else if (!name_equal(&hello->node, &link->node))
        link_refuse(link, TLS_CAUSE_NAME, false, "it says \"%s\", its certificate \"%s\"",
                    hello->node.text, link->node.text);
    else
        return true;
    return false;
}

/*
 * A node that connects anew has given up its older connection, though that may look alive from
 * here.
 */
static void link_replace_others(struct peer_link *link)
{
    static const char reason[] = "replaced by a newer connection";
    for (struct peer_link *other = link->hub->links; other != NULL; other = other->next) {
        if (other == link || !name_equal(&other->node, &link->node))
            continue;
        if (other->state == LINK_UP)
            link_end(other, reason, false);
        link_announce_down(other, other->reason[0] != '\0' ? other->reason : reason);
    }
}

static bool link_of_issuer(const struct peer_link *link)
{
    const struct peer_events *events = &link->hub->events;
    return events->is_issuer == NULL || events->is_issuer(events->context, &link->node);
}

static void link_hello(struct peer_link *link, const struct wire_hello *hello)
{
    if (!hello_acceptable(link, hello))
        return;
    if (link->dial == NULL)
        link_send_hello(link);
    else
        link->dial->complained = false;
    if (link->state != LINK_GREETING)
        return;
    link_step(link, LINK_ACCEPTED);
    link->hello = *hello;
    if (link->dial == NULL && !link_of_issuer(link))
        tls_stream_hold(link->stream, PEER_HOLD_ABOVE);
    link_replace_others(link);
    hub_dial_eases(link->hub, &link->node);
    if (link->dial == NULL)
        hub_dial_yields(link->hub, &link->node);
    link->announced = true;
    hub_log_coming(link->hub, &link->node, "connected, %s", tls_stream_remote(link->stream));
    link->hub->events.on_up(link->hub->events.context, hello);
}

void link_check_hello(struct peer_link *link)
{
    link->late = link->state == LINK_GREETING &&
                 uv_now(link->hub->loop) - link->since_ms >= PEER_HANDSHAKE_MS;
    if (link->late)
        link_refuse(link, REFUSAL_HELLO, false, "none within %d ms", PEER_HANDSHAKE_MS);
}

/* ---- frames */

static void link_frame(struct peer_link *link, struct bytes frame)
{
    struct peer_hub *hub = link->hub;
    const char *fault = wire_decode(&hub->message, frame);
    if (fault != NULL)
        link_refuse(link, REFUSAL_FRAME, false, "%s", fault);
    else if (hub->message.kind == WIRE_HELLO && link->state == LINK_UP)
        link_refuse(link, REFUSAL_FRAME, false, "a second hello");
    else if (hub->message.kind == WIRE_HELLO)
        link_hello(link, &hub->message.hello);
    else if (link->state != LINK_UP)
        link_refuse(link, REFUSAL_FRAME, false, "a message before the hello");
    else
        hub->events.on_message(hub->events.context, &link->node, &hub->message);
}

static bool link_hears(const struct peer_link *link)
{
    return link->state == LINK_GREETING || link->state == LINK_UP;
}

/* One frame of `data`; false if that has none any more, or the link is closing. */
static bool link_read_frame(struct peer_link *link, struct bytes *data)
{
    struct bytes frame;
    uint32_t length = 0;
    switch (frame_read(&link->reader, data, &frame, &length)) {
    case FRAME_MORE:
        return false;
    case FRAME_READY:
        link_frame(link, frame);
        return true;
    case FRAME_BAD_LENGTH:
        link_refuse(link, REFUSAL_FRAME, false, "length %u bytes, 1 to %d are allowed", length,
                    WIRE_FRAME_MAX);
        return false;
    case FRAME_NO_MEMORY:
        link_refuse(link, TLS_CAUSE_MEMORY, false, "for a frame of %u bytes", length);
        return false;
    }
    return false;
}

/* ---- its share of a turn */

static bool link_has_share(struct peer_link *link)
{
    if (link->turn != link->hub->turn) {
        link->turn = link->hub->turn;
        link->steps = 0;
        link->bytes = 0;
    }
    return link->steps < LINK_TURN_STEPS && link->bytes < LINK_TURN_BYTES;
}

/* What is left of `data` is kept; more of it is not read before the next turn. */
static void link_wait(struct peer_link *link, struct bytes data)
{
    uint8_t *kept = data.length > 0 ? malloc(data.length) : NULL;
    if (data.length > 0 && kept == NULL) {
        link_refuse(link, TLS_CAUSE_MEMORY, false, "for %zu bytes", data.length);
        return;
    }
    if (kept != NULL)
        memcpy(kept, data.data, data.length);
    link->rest = (struct bytes){ kept, data.length };
    link->waits = true;
    tls_stream_pause(link->stream, true);
    hub_turn_again(link->hub);
}

/* Handling a frame may close the link, or the whole hub, so the state is read again before each. */
static void link_take(struct peer_link *link, struct bytes data)
{
    while (link_hears(link) && link_has_share(link)) {
        link->steps++;
        if (!link_read_frame(link, &data))
            return;
    }
    if (link_hears(link))
        link_wait(link, data);
}

/* The last step of a piece found no frame any more: so each piece counts as one. */
static void on_data(void *context, struct bytes data)
{
    struct peer_link *link = context;
    (void)link_has_share(link);
    link->bytes += (uint32_t)data.length;
    link_take(link, data);
}

bool link_turn(struct peer_link *link)
{
    if (!link->waits)
        return false;
    const struct bytes rest = link->rest;
    link->rest = (struct bytes){ NULL, 0 };
    link->waits = false;
    if (link_hears(link))
        link_take(link, rest);
    free((void *)rest.data);
    if (!link->waits && link_hears(link))
        tls_stream_pause(link->stream, false);
    return link->waits;
}

static void on_ready(void *context, const struct tls_name *peer)
{
    link_secured(context, peer);
}

/* ---- creation */

static struct peer_link *link_create(struct peer_hub *hub, struct peer_dial *dial)
{
    struct peer_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return NULL;
    link->hub = hub;
    link->dial = dial;
    link->state = LINK_SECURING;
    link->since_ms = link->begun_ms = uv_now(hub->loop);
    link->next = hub->links;
    if (link->next != NULL)
        link->next->previous = link;
    hub->links = link;
    hub->pending++;
    return link;
}

struct peer_link *link_dial(struct peer_dial *dial)
{
    struct peer_link *link = link_create(dial->hub, dial);
    if (link == NULL)
        return NULL;
    const struct tls_stream_events events = { link, on_ready, on_data, on_closed };
    link->stream = tls_stream_dial(dial->hub->loop, dial->hub->identity, dial->address,
                                   dial->session, &link_limits, &events);
    if (link->stream == NULL) {
        link_unlink(link);
        dial->hub->pending--;
        free(link);
        return NULL;
    }
    return link;
}

static void on_orphan_data(void *context, struct bytes data)
{
    (void)context;
    (void)data;
}

static void on_orphan_closed(void *context, enum tls_cause cause, const char *reason)
{
    (void)context;
    (void)cause;
    (void)reason;
}

void link_accept(struct peer_hub *hub, struct tls_stream *stream, const struct tls_name *peer)
{
    struct peer_link *link = link_create(hub, NULL);
    if (link == NULL) {
        const struct tls_stream_events nobody = { NULL, NULL, on_orphan_data, on_orphan_closed };
        tls_stream_adopt(stream, &nobody);
        tls_stream_abort(stream);
        return;
    }
    const struct tls_stream_events events = { link, on_ready, on_data, on_closed };
    link->stream = stream;
    tls_stream_adopt(stream, &events);
    link_secured(link, peer);
}
