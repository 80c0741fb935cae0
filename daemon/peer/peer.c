#include "peer/peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/check.h"
#include "peer/peer_private.h"

/* ---- log */

void hub_log(struct peer_hub *hub, int level, const char *format, ...)
{
    char line[HUB_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    hub->events.on_log(hub->events.context, level, line);
}

void hub_log_coming(struct peer_hub *hub, const struct hf_name *node, const char *format, ...)
{
    static const struct log_quota_rule rule = { .burst = 8, .each_ms = 6000 };
    char line[HUB_LINE_MAX];
    va_list arguments;
    if (!log_quota_admit(&hub->comings, &rule, node, uv_now(hub->loop))) {
        hub_tick_start(hub);
        return;
    }
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    hub_log(hub, LOG_INFO, "%s: %s", node->text, line);
}

void hub_log_refusal(struct peer_hub *hub, int cause, const char *who, const char *detail)
{
    const char *words = refusal_cause_text(cause);
    size_t length = strlen(words);
    hub_tick_start(hub);
    if (!refusals_admit(&hub->refusals, cause, who, uv_now(hub->loop)))
        return;
    /* The TLS layer's detail begins with the cause already. */
    if (strncmp(detail, words, length) == 0)
        hub_log(hub, LOG_WARNING, "%s: refused: %s", who, detail);
    else
        hub_log(hub, LOG_WARNING, "%s: refused: %s: %s", who, words, detail);
}

/* ---- tick: runs while a hello is awaited, or while counts of lines held back are to be logged */

static void log_held_back(struct peer_hub *hub, int cause)
{
    uint32_t count = refusals_collect(&hub->refusals, cause, uv_now(hub->loop));
    if (count > 0)
        hub_log(hub, LOG_WARNING, "%s: refused: %s: the last of %u more within %d s",
                hub->refusals.window[cause].last, refusal_cause_text(cause), count,
                REFUSALS_WINDOW_MS / 1000);
}

static void log_comings_held_back(struct peer_hub *hub)
{
    struct hf_name node;
    uint32_t count;
    while ((count = log_quota_collect(&hub->comings, uv_now(hub->loop), &node)) > 0)
        hub_log(hub, LOG_WARNING,
                "%s: connected or disconnected %u more times within %d s; it is %s", node.text,
                count, LOG_QUOTA_WINDOW_MS / 1000,
                peer_is_up(hub, &node) ? "connected" : "not connected");
}

static void on_tick(uv_timer_t *timer)
{
    struct peer_hub *hub = timer->data;
    bool greeting = false;
    for (struct peer_link *link = hub->links; link != NULL; link = link->next) {
        link_check_hello(link);
        greeting = greeting || link->state == LINK_GREETING;
    }
    for (int cause = 0; cause < REFUSAL_CAUSES; cause++)
        log_held_back(hub, cause);
    log_comings_held_back(hub);
    if (!greeting && !refusals_pending(&hub->refusals) && !log_quota_pending(&hub->comings))
        uv_timer_stop(timer);
}

void hub_tick_start(struct peer_hub *hub)
{
    if (!hub->closing && !uv_is_active((uv_handle_t *)&hub->tick))
        uv_timer_start(&hub->tick, on_tick, HUB_TICK_MS, HUB_TICK_MS);
}

/* ---- dialling */

/* splitmix64: jitter needs to differ between boards, nothing more. */
static uint64_t random_next(struct peer_hub *hub)
{
    uint64_t value = hub->random += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/*
 * Issuers: the smaller id dials, and the other one late, as the smaller one may not know it any more,
 * or not yet. An agent that is no issuer dials every issuer.
 */
static bool dials(const struct peer_hub *hub, const struct hf_name *id)
{
    const struct wire_hello *self = &hub->self;
    return !self->issuer || hub->dials_all || name_compare(&self->node, id) < 0;
}

static void dial_now(uv_timer_t *timer);

/* Between half of this and all of it: those that were dialled together are not again. */
static uint64_t with_jitter(struct peer_hub *hub, uint32_t most_ms)
{
    uint32_t half = most_ms / 2;
    return half + random_next(hub) % (half + 1);
}

/* What a handshake that failed for its slowness makes the next try wait. */
static uint64_t strain_of(struct peer_dial *dial, uint32_t strained_ms)
{
    uint32_t most_ms = dial->strain_ms > 0 ? dial->strain_ms * 2 : strained_ms;
    dial->strain_ms = strained_ms == 0             ? 0 :
                      most_ms < DIAL_STRAIN_MAX_MS ? most_ms :
                                                     DIAL_STRAIN_MAX_MS;
    return with_jitter(dial->hub, dial->strain_ms);
}

static void dial_again(struct peer_dial *dial, const struct dial_end *end)
{
    if (!dial->wanted)
        return;
    uint64_t strain_ms = strain_of(dial, end->strained_ms);
    if (!dials(dial->hub, &dial->id)) {
        uv_timer_start(&dial->timer, dial_now, PEER_DIAL_LATE_MS + strain_ms, 0);
        return;
    }
    if (end->steady)
        dial->delay_ms = DIAL_DELAY_MIN_MS;
    uint64_t wait_ms = with_jitter(dial->hub, dial->delay_ms);
    dial->delay_ms =
        dial->delay_ms * 2 < DIAL_DELAY_MAX_MS ? dial->delay_ms * 2 : DIAL_DELAY_MAX_MS;
    uv_timer_start(&dial->timer, dial_now, wait_ms > strain_ms ? wait_ms : strain_ms, 0);
}

/* By a connection that it dialled itself, which is up or about to be. */
static bool has_come(const struct peer_hub *hub, const struct hf_name *id)
{
    const struct peer_link *link = hub->links;
    while (link != NULL &&
           (link->dial != NULL || link->state == LINK_CLOSING || !name_equal(&link->node, id)))
        link = link->next;
    return link != NULL;
}

/*
 * True while a handshake that its host began with this node may be its own: a second one beside it would
 * make both slower. Not for ever, since strangers may share its host. Who dials first, and was not too
 * slow, does not wait.
 */
static bool is_coming(struct peer_dial *dial)
{
    const struct peer_hub *hub = dial->hub;
    bool patient = !dials(hub, &dial->id) || dial->strain_ms > 0;
    if (!patient || hub->listener == NULL || dial->waited == DIAL_COMING_TIMES ||
        !tls_listener_shakes(hub->listener, dial->address)) {
        dial->waited = 0;
        return false;
    }
    dial->waited++;
    return true;
}

/* Not if it has come by itself; hub_dial_after() goes on when that ends. */
static void dial_now(uv_timer_t *timer)
{
    static const struct dial_end no_memory = { .steady = false };
    struct peer_dial *dial = timer->data;
    if (has_come(dial->hub, &dial->id))
        return;
    if (is_coming(dial))
        uv_timer_start(&dial->timer, dial_now, DIAL_COMING_MS, 0);
    else if (link_dial(dial) == NULL)
        dial_again(dial, &no_memory);
}

static struct peer_link *link_of_dial(const struct peer_dial *dial)
{
    struct peer_link *link = dial->hub->links;
    while (link != NULL && link->dial != dial)
        link = link->next;
    return link;
}

/* A link of this dial is up, or on its way. */
static bool dial_goes_on(const struct peer_dial *dial)
{
    const struct peer_link *link = dial->hub->links;
    while (link != NULL && (link->dial != dial || link->state == LINK_CLOSING))
        link = link->next;
    return link != NULL;
}

static struct peer_dial *dial_find(struct peer_hub *hub, const struct hf_name *id)
{
    for (size_t i = 0; i < hub->dial_count; i++) {
        if (name_equal(&hub->dials[i].id, id))
            return &hub->dials[i];
    }
    return NULL;
}

void hub_dial_after(struct peer_hub *hub, const struct hf_name *node, const struct dial_end *end)
{
    struct peer_dial *dial = dial_find(hub, node);
    if (dial == NULL || dial_goes_on(dial))
        return;
    /* What it dialled itself in vain makes nobody's wait shorter. */
    if (dial->strain_ms > 0 && end->strained_ms == 0 && uv_is_active((uv_handle_t *)&dial->timer))
        return;
    dial_again(dial, end);
}

void hub_dial_eases(struct peer_hub *hub, const struct hf_name *node)
{
    struct peer_dial *dial = dial_find(hub, node);
    if (dial != NULL)
        dial->strain_ms = 0;
}

static void dial_abort(const struct peer_dial *dial, const char *reason)
{
    for (struct peer_link *link = dial->hub->links; link != NULL; link = link->next) {
        if (link->dial == dial)
            link_abort(link, reason);
    }
}

void hub_dial_yields(struct peer_hub *hub, const struct hf_name *node)
{
    const struct peer_dial *dial = dial_find(hub, node);
    if (dial == NULL || name_compare(&hub->self.node, node) < 0)
        return;
    for (struct peer_link *link = hub->links; link != NULL; link = link->next) {
        if (link->dial == dial && link->state != LINK_UP)
            link_abort(link, "it has come by itself");
    }
}

/* An entry that is used no more, or else the next one that never was. NULL: all are in use. */
static struct peer_dial *dial_place(struct peer_hub *hub)
{
    for (size_t i = 0; i < hub->dial_count; i++) {
        struct peer_dial *dial = &hub->dials[i];
        if (!dial->wanted && link_of_dial(dial) == NULL)
            return dial;
    }
    if (hub->dial_count == HUB_DIALS_MAX)
        return NULL;
    struct peer_dial *dial = &hub->dials[hub->dial_count++];
    dial->hub = hub;
    uv_timer_init(hub->loop, &dial->timer);
    dial->timer.data = dial;
    hub->pending++;
    return dial;
}

static void dial_add(struct peer_hub *hub, const struct hf_name *id, const char *address)
{
    struct peer_dial *dial = dial_find(hub, id);
    if (dial == NULL) {
        dial = dial_place(hub);
        if (dial == NULL) {
            hub_log(hub, LOG_ERR, "%s: not dialled: connections to issuers that left still close",
                    id->text);
            return;
        }
        dial->id = *id;
        tls_session_free(dial->session);
        dial->session = tls_session_create(); /* without one, each handshake is a full one */
    }
    dial->wanted = true;
    dial->complained = false;
    text_copy(dial->address, sizeof(dial->address), address);
    dial->delay_ms = DIAL_DELAY_MIN_MS;
    dial->strain_ms = 0;
    dial->waited = 0;
    if (link_of_dial(dial) == NULL)
        uv_timer_start(&dial->timer, dial_now, dials(hub, id) ? 0 : PEER_DIAL_LATE_MS, 0);
}

void peer_hub_dial(struct peer_hub *hub, const struct hf_name *id, const char *address)
{
    struct peer_dial *dial = dial_find(hub, id);
    if (hub->listener != NULL && !hub->closing)
        tls_listener_expect(hub->listener, address);
    if (hub->closing || address[0] == '\0' || name_equal(&hub->self.node, id))
        return;
    if (dial != NULL && dial->wanted && strcmp(dial->address, address) == 0)
        return;
    dial_add(hub, id, address);
    dial = dial_find(hub, id);
    if (dial != NULL)
        dial_abort(dial, "it is dialled anew");
}

void peer_hub_dial_all(struct peer_hub *hub, bool all)
{
    if (hub->closing || all == hub->dials_all)
        return;
    hub->dials_all = all;
    for (size_t i = 0; i < hub->dial_count && all; i++) {
        struct peer_dial *dial = &hub->dials[i];
        if (dial->wanted && !dial_goes_on(dial))
            uv_timer_start(&dial->timer, dial_now, 0, 0);
    }
}

void peer_hub_forget(struct peer_hub *hub, const struct hf_name *id)
{
    struct peer_dial *dial = dial_find(hub, id);
    if (dial == NULL || !dial->wanted || hub->closing)
        return;
    dial->wanted = false;
    uv_timer_stop(&dial->timer);
    dial_abort(dial, "it left the cluster");
}

/* ---- links whose packets are lost: another is dialled beside, until one of the two works */

static struct peer_link *second_link(const struct peer_link *link)
{
    struct peer_link *other = link->hub->links;
    while (other != NULL &&
           (other == link || other->dial != link->dial || other->state == LINK_CLOSING))
        other = other->next;
    return other;
}

/*
 * TCP sends lost data again after 200, 400 and 800 ms, so after an interruption of 0.7 s it may
 * take another 0.7 s until the next try. The first packet of a new connection is tried every
 * HUB_WATCH_MS instead, and arrives as soon as the network works again. Whichever link works first
 * is kept: a new one replaces the old one, and if the old one recovers, the attempt at a new one is
 * ended.
 */
static void link_rescue(struct peer_link *link, const struct tls_stream_flight *flight)
{
    struct peer_link *second = second_link(link);
    uint64_t patience_ms =
        flight->round_ms * 2 > HUB_WATCH_MS ? flight->round_ms * 2 : HUB_WATCH_MS;
    bool connecting = second != NULL && !tls_stream_connected(second->stream);
    if (connecting &&
        (!flight->lost || uv_now(link->hub->loop) - second->since_ms + 5 >= patience_ms)) {
        link_abort(second, "its first packet was not answered");
        second = NULL;
    }
    if (flight->lost && second == NULL)
        (void)link_dial(link->dial);
}

static void on_watch(uv_timer_t *timer)
{
    struct peer_hub *hub = timer->data;
    bool waiting = false;
    for (struct peer_link *link = hub->links; link != NULL; link = link->next) {
        if (link->dial == NULL || link->state != LINK_UP)
            continue;
        const struct tls_stream_flight flight = tls_stream_flight(link->stream);
        waiting = waiting || flight.waiting || second_link(link) != NULL;
        link_rescue(link, &flight);
    }
    if (!waiting)
        uv_timer_stop(timer);
}

void hub_watch_start(struct peer_hub *hub)
{
    if (!hub->closing && !uv_is_active((uv_handle_t *)&hub->watch))
        uv_timer_start(&hub->watch, on_watch, HUB_WATCH_MS, HUB_WATCH_MS);
}

/* ---- turns: each link has a share of one, whatever it sends */

static void on_again(uv_idle_t *idle)
{
    (void)idle; /* that it is active makes the next turn come at once */
}

static void on_turn(uv_prepare_t *prepare)
{
    struct peer_hub *hub = prepare->data;
    bool again = false;
    hub->turn++;
    if (!uv_is_active((uv_handle_t *)&hub->again))
        return;
    for (struct peer_link *link = hub->links; link != NULL && !hub->closing; link = link->next)
        again = link_turn(link) || again;
    if (!again && !hub->closing)
        uv_idle_stop(&hub->again);
}

static void hub_turns_open(struct peer_hub *hub)
{
    uv_prepare_init(hub->loop, &hub->turns);
    hub->turns.data = hub;
    uv_prepare_start(&hub->turns, on_turn);
    uv_unref((uv_handle_t *)&hub->turns);
    uv_idle_init(hub->loop, &hub->again);
    hub->again.data = hub;
    hub->pending += 2;
}

void hub_turn_again(struct peer_hub *hub)
{
    if (!hub->closing)
        uv_idle_start(&hub->again, on_again);
}

/* ---- listening */

static void on_stream(void *context, struct tls_stream *stream, const struct tls_name *peer)
{
    link_accept(context, stream, peer);
}

static void on_refused(void *context, const char *remote, enum tls_cause cause, const char *reason)
{
    hub_log_refusal(context, (int)cause, remote, reason);
}

static bool hub_listen(struct peer_hub *hub, const char *address, char *error, size_t error_size)
{
    const struct tls_listener_config config = { .address = address,
                                                .identity = hub->identity,
                                                .places_max = PEER_WAITING_MAX,
                                                .handshakes_max = PEER_HANDSHAKES_MAX,
                                                .per_host_max = PEER_PER_HOST_MAX,
                                                .connections_max = PEER_CONNECTIONS_MAX,
                                                .limits = link_limits };
    const struct tls_listener_events events = { hub, on_stream, on_refused };
    hub->listener = tls_listener_create(hub->loop, &config, &events, error, error_size);
    if (hub->listener == NULL)
        return false;
    hub->pending++;
    return true;
}

/* ---- creation and end */

static void hub_encode_hello(struct peer_hub *hub)
{
    hub->message.kind = WIRE_HELLO;
    hub->message.hello = hub->self;
    hub->hello_length = (uint16_t)wire_encode(&hub->message, hub->hello, sizeof(hub->hello));
    HF_CHECK(hub->hello_length > 0);
}

/* Every other node would refuse a wrong certificate; checked here, this node's own log says why. */
static bool certificate_suits(const struct peer_config *config, char *error, size_t error_size)
{
    const struct tls_name *name = tls_identity_name(config->identity);
    bool named = strcmp(name->common_name, config->self.node.text) == 0;
    bool allowed = strcmp(name->unit, "node") == 0;
    if (!named)
        snprintf(error, error_size,
                 "tls.cert: the certificate names \"%s\", must name node.id, \"%s\"",
                 name->common_name, config->self.node.text);
    else if (!allowed)
        snprintf(error, error_size,
                 "tls.cert: the certificate of \"%s\" has OU \"%s\", must be \"node\"",
                 name->common_name, name->unit);
    return named && allowed;
}

struct peer_hub *peer_hub_create(uv_loop_t *loop, const struct peer_config *config,
                                 const struct peer_events *events, char *error, size_t error_size)
{
    HF_CHECK(config->dial_count <= HF_ISSUERS_MAX);
    struct peer_hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL) {
        snprintf(error, error_size, "no memory for the peer port");
        return NULL;
    }
    hub->loop = loop;
    hub->events = *events;
    hub->self = config->self;
    hub->identity = config->identity;
    hub->random = config->random_seed;
    hub_encode_hello(hub);
    if (!certificate_suits(config, error, error_size)) {
        free(hub);
        return NULL;
    }
    if (config->listen != NULL && !hub_listen(hub, config->listen, error, error_size)) {
        free(hub);
        return NULL;
    }
    uv_timer_init(loop, &hub->tick);
    hub->tick.data = hub;
    uv_timer_init(loop, &hub->watch);
    hub->watch.data = hub;
    hub->pending += 2;
    hub_turns_open(hub);
    for (size_t i = 0; i < config->dial_count; i++) {
        if (hub->listener != NULL)
            tls_listener_expect(hub->listener, config->dial[i].address);
        if (!name_equal(&config->self.node, &config->dial[i].id))
            dial_add(hub, &config->dial[i].id, config->dial[i].address);
    }
    return hub;
}

uint16_t peer_hub_port(const struct peer_hub *hub)
{
    return hub->listener == NULL ? 0 : tls_listener_port(hub->listener);
}

void hub_release(struct peer_hub *hub)
{
    if (--hub->pending > 0)
        return;
    for (size_t i = 0; i < hub->dial_count; i++)
        tls_session_free(hub->dials[i].session);
    hub->done(hub->done_context);
    free(hub);
}

static void on_listener_gone(void *context)
{
    hub_release(context);
}

static void on_tick_closed(uv_handle_t *handle)
{
    hub_release(handle->data);
}

static void on_dial_closed(uv_handle_t *handle)
{
    const struct peer_dial *dial = handle->data;
    hub_release(dial->hub);
}

void peer_hub_close(struct peer_hub *hub, void (*done)(void *context), void *context)
{
    HF_CHECK(!hub->closing);
    hub->closing = true;
    hub->done = done;
    hub->done_context = context;
    for (struct peer_link *link = hub->links; link != NULL; link = link->next)
        link_abort(link, "this node stops");
    for (size_t i = 0; i < hub->dial_count; i++)
        uv_close((uv_handle_t *)&hub->dials[i].timer, on_dial_closed);
    if (hub->listener != NULL)
        tls_listener_close(hub->listener, on_listener_gone, hub);
    uv_close((uv_handle_t *)&hub->tick, on_tick_closed);
    uv_close((uv_handle_t *)&hub->watch, on_tick_closed);
    uv_close((uv_handle_t *)&hub->turns, on_tick_closed);
    uv_close((uv_handle_t *)&hub->again, on_tick_closed);
}

/* ---- sending */

static struct peer_link *find_up(const struct peer_hub *hub, const struct hf_name *node)
{
    for (struct peer_link *link = hub->links; link != NULL; link = link->next) {
        if (link->state == LINK_UP && name_equal(&link->node, node))
            return link;
    }
    return NULL;
}

bool peer_send(struct peer_hub *hub, const struct hf_name *node, struct bytes envelope)
{
    HF_CHECK(envelope.length >= 1 && envelope.length <= WIRE_FRAME_MAX);
    struct peer_link *link = find_up(hub, node);
    return link != NULL && link_send(link, envelope);
}

void peer_send_all(struct peer_hub *hub, struct bytes envelope)
{
    HF_CHECK(envelope.length >= 1 && envelope.length <= WIRE_FRAME_MAX);
    for (struct peer_link *link = hub->links; link != NULL; link = link->next) {
        if (link->state == LINK_UP)
            (void)link_send(link, envelope);
    }
}

const struct wire_hello *peer_hub_hello(const struct peer_hub *hub, const struct hf_name *node)
{
    const struct peer_link *link = find_up(hub, node);
    return link != NULL ? &link->hello : NULL;
}

bool peer_is_up(const struct peer_hub *hub, const struct hf_name *node)
{
    return find_up(hub, node) != NULL;
}
