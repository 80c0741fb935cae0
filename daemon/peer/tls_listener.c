#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "peer/tls_stream_private.h"

enum {
    LISTENER_BACKLOG = 1024,    /* the kernel's own limit may be lower */
    LISTENER_HEARD_MAX = 65536, /* bytes that wait, of all who have not proven who they are */
    /* So many connections a turn, so that one who connects without end leaves time for others. */
    LISTENER_TURN_ACCEPTS = 4,
    LISTENER_TURN_MS = 1,
    /*
     * From one step of a handshake, or look for one, to the next: shorter where another listener had
     * the turn, which so has the next one here.
     */
    LISTENER_WAIT_MS = 2,
    LISTENER_NEXT_MS = 1
};

struct tls_listener {
    uv_tcp_t tcp;
    uv_timer_t turn; /* runs from the first accept of a turn to the end of the turn */
    uv_timer_t wait; /* runs while steps of handshakes wait: they are taken from it alone */
    uv_prepare_t
        begins; /* a turn of the loop: its clock may go on within one, and timers run again */
    struct tls_listener_config config;
    struct tls_listener_events events;
    struct admission admission;
    struct tls_stream *waiting[ADMISSION_PLACES_MAX]; /* by place */
    struct tls_stream *streams;                       /* every stream that lives, adopted or not */
    uint32_t count;                                   /* of them */
    uint32_t adopted;                                 /* of them, without those that are closing */
    unsigned accepts;                                 /* in this turn */
    bool deferred;                                    /* a connection was left for the next turn */
    uint16_t port;
    unsigned handles;
    bool closing;
    void (*done)(void *context);
    void *done_context;
};

static void finish_if_empty(struct tls_listener *listener)
{
    if (listener->handles > 0 || listener->count > 0)
        return;
    listener->done(listener->done_context);
    free(listener);
}

static void stream_unlink(struct tls_listener *listener, struct tls_stream *stream)
{
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        listener->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    stream->listener = NULL;
    listener->count--;
}

static void listener_leave(struct tls_listener *listener, struct tls_stream *stream)
{
    if (stream->place == ADMISSION_NONE)
        return;
    listener->waiting[stream->place] = NULL;
    admission_leave(&listener->admission, stream->place);
    stream->place = ADMISSION_NONE;
}

void listener_unlink(struct tls_listener *listener, struct tls_stream *stream)
{
    if (stream->link != ADMISSION_NONE)
        admission_unlink(&listener->admission, stream->link, uv_now(listener->tcp.loop));
    stream->link = ADMISSION_NONE;
}

void listener_end(struct tls_listener *listener, struct tls_stream *stream)
{
    listener_leave(listener, stream);
    listener_unlink(listener, stream);
    listener->adopted -= stream->adopted;
}

void listener_forget(struct tls_listener *listener, struct tls_stream *stream)
{
    bool adopted = stream->adopted;
    stream_unlink(listener, stream);
    if (!adopted && !listener->closing)
        listener->events.on_refused(listener->events.context, stream->remote, stream->cause,
                                    stream->reason);
    finish_if_empty(listener);
}

/* Of the streams that their owner has closed, the one that lingers longest; NULL: there is none. */
static struct tls_stream *longest_lingering(const struct tls_listener *listener)
{
    struct tls_stream *found = NULL;
    for (struct tls_stream *at = listener->streams; at != NULL; at = at->next) {
        if (at->adopted && at->state == STREAM_DRAINING &&
            (found == NULL ||
             uv_timer_get_due_in(&at->timer) <= uv_timer_get_due_in(&found->timer)))
            found = at;
    }
    return found;
}

/*
 * Who is proven is refused only while others are at work: who comes and goes in a loop, and never
 * closes its own side, keeps nobody out.
 */
static bool make_room(struct tls_listener *listener)
{
    if (listener->adopted < listener->config.connections_max)
        return true;
    struct tls_stream *lingering = longest_lingering(listener);
    if (lingering == NULL)
        return false;
    tls_stream_abort(lingering);
    return true;
}

static void on_handshake_done(void *context, const struct tls_name *peer)
{
    struct tls_stream *stream = context;
    struct tls_listener *listener = stream->listener;
    stream->link = admission_link(&listener->admission, &stream->host, peer->common_name,
                                  uv_now(listener->tcp.loop));
    if (!make_room(listener)) {
        stream_refuse(stream, TLS_CAUSE_BUSY, "too many connections");
        return;
    }
    listener->events.on_stream(listener->events.context, stream, peer);
    HF_CHECK(stream->adopted);
}

void tls_stream_adopt(struct tls_stream *stream, const struct tls_stream_events *events)
{
    struct tls_listener *listener = stream->listener;
    HF_CHECK(listener != NULL && !stream->adopted);
    listener_leave(listener, stream);
    stream->adopted = true;
    listener->adopted++;
    stream->events = *events;
}

void tls_listener_expect(struct tls_listener *listener, const char *address)
{
    struct sockaddr_storage of;
    if (!address_parse(address, &of))
        return;
    const struct admission_key key = admission_key(&of);
    admission_expect(&listener->admission, &key, uv_now(listener->tcp.loop));
}

bool tls_listener_shakes(const struct tls_listener *listener, const char *address)
{
    struct sockaddr_storage of;
    if (!address_parse(address, &of))
        return false;
    const struct admission_key key = admission_key(&of);
    return admission_shakes(&listener->admission, &key);
}

/* ---- who is in, and whose turn it is */

/* Closes the stream that lost its place to another one. */
static void give_way(struct tls_listener *listener, int place)
{
    if (place == ADMISSION_NONE)
        return;
    struct tls_stream *stream = listener->waiting[place];
    listener->waiting[place] = NULL;
    stream->place = ADMISSION_NONE;
    stream_refuse(stream, TLS_CAUSE_BUSY, "too many connections: gave way to a newer one");
}

/* Of those of the lowest standing, the one of whom most bytes wait; and *sum of all. */
static int longest_heard(const struct tls_listener *listener, size_t *sum)
{
    int found = ADMISSION_NONE;
    int lowest = INT_MAX;
    size_t most = 0;
    *sum = 0;
    for (int i = 0; i < ADMISSION_PLACES_MAX; i++) {
        const struct tls_stream *at = listener->waiting[i];
        if (at == NULL || at->heard.length == 0)
            continue;
        int standing = admission_standing(&listener->admission, i);
        *sum += at->heard.length;
        if (standing < lowest || (standing == lowest && at->heard.length > most)) {
            found = i;
            lowest = standing;
            most = at->heard.length;
        }
    }
    return found;
}

/* A ClientHello has some hundreds of bytes, so that only who has more to say than that costs anybody a place. */
static void bound_heard(struct tls_listener *listener)
{
    size_t sum;
    int longest = longest_heard(listener, &sum);
    while (sum > LISTENER_HEARD_MAX) {
        admission_leave(&listener->admission, longest);
        give_way(listener, longest);
        longest = longest_heard(listener, &sum);
    }
}

static void on_wait(uv_timer_t *timer);

static void step_after(struct tls_listener *listener, uint64_t wait_ms)
{
    if (listener->admission.waiting > 0 && !listener->closing &&
        !uv_is_active((uv_handle_t *)&listener->wait))
        uv_timer_start(&listener->wait, on_wait, wait_ms, 0);
}

static void on_turn_begins(uv_prepare_t *prepare)
{
    const struct tls_listener *listener = prepare->data;
    *tls_identity_step_had(listener->config.identity) = false;
}

/* At most one in each turn of the loop, of all listeners: a step takes long, and others wait meanwhile. */
static void on_wait(uv_timer_t *timer)
{
    struct tls_listener *listener = timer->data;
    uint64_t now_ms = uv_now(listener->tcp.loop);
    bool *had = tls_identity_step_had(listener->config.identity);
    int victim = ADMISSION_NONE;
    if (*had) {
        step_after(listener, LISTENER_NEXT_MS);
        return;
    }
    int place = admission_next(&listener->admission, now_ms, &victim);
    give_way(listener, victim);
    if (place != ADMISSION_NONE) {
        *had = true;
        stream_engage(listener->waiting[place]);
    }
    step_after(listener, LISTENER_WAIT_MS);
}

void listener_heard(struct tls_listener *listener, struct tls_stream *stream, bool whole)
{
    admission_move(&listener->admission, stream->place,
                   whole ? ADMISSION_QUEUED : ADMISSION_PARTIAL, uv_now(listener->tcp.loop));
    step_after(listener, 0);
    bound_heard(listener);
}

void listener_ready(struct tls_listener *listener, struct tls_stream *stream)
{
    admission_move(&listener->admission, stream->place, ADMISSION_READY,
                   uv_now(listener->tcp.loop));
    step_after(listener, 0);
    bound_heard(listener);
}

void listener_shook(struct tls_listener *listener, struct tls_stream *stream, uint64_t microseconds,
                    bool on)
{
    uint64_t now_ms = uv_now(listener->tcp.loop);
    if (stream->place == ADMISSION_NONE)
        return; /* its certificate is proven, or it is closing */
    admission_spend(&listener->admission, stream->place, microseconds, now_ms);
    if (on)
        admission_move(&listener->admission, stream->place, ADMISSION_SHAKING, now_ms);
}

/* ---- accepting */

static void on_turn(uv_timer_t *timer);

static void on_turned_away(uv_handle_t *handle)
{
    free(handle);
}

/* The connection is accepted, so that it leaves the backlog, and closed at once. */
static void turn_away(struct tls_listener *listener, const char *reason)
{
    uv_tcp_t *tcp = malloc(sizeof(*tcp));
    if (tcp == NULL) {
        listener->deferred = true; /* else libuv would accept nothing more */
        uv_timer_start(&listener->turn, on_turn, LISTENER_TURN_MS, 0);
        return;
    }
    char remote[ADDRESS_TEXT_MAX] = "?";
    struct sockaddr_storage address;
    int size = sizeof(address);
    uv_tcp_init(listener->tcp.loop, tcp);
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)tcp) == 0 &&
        uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &size) == 0)
        address_format(&address, remote, sizeof(remote));
    uv_close((uv_handle_t *)tcp, on_turned_away);
    listener->events.on_refused(listener->events.context, remote, TLS_CAUSE_BUSY, reason);
}

static void stream_link(struct tls_listener *listener, struct tls_stream *stream)
{
    stream->listener = listener;
    stream->next = listener->streams;
    if (stream->next != NULL)
        stream->next->previous = stream;
    listener->streams = stream;
    listener->count++;
}

/* Gives an accepted connection a place, or refuses it. */
static void let_in(struct tls_listener *listener, struct tls_stream *stream)
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    int size = sizeof(address);
    int victim = ADMISSION_NONE;
    if (uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&address, &size) != 0) {
        stream_refuse(stream, TLS_CAUSE_NETWORK, "gone before it was accepted");
        return;
    }
    stream->host = admission_key(&address);
    stream->place =
        admission_enter(&listener->admission, &stream->host, uv_now(listener->tcp.loop), &victim);
    give_way(listener, victim);
    if (stream->place != ADMISSION_NONE)
        listener->waiting[stream->place] = stream;
    stream_start_server(stream, &address);
    if (stream->place == ADMISSION_NONE)
        stream_refuse(stream, TLS_CAUSE_BUSY, "too many connections: others came first");
}

static void take_one(struct tls_listener *listener)
{
    uv_loop_t *loop = listener->tcp.loop;
    struct tls_stream *stream =
        stream_create_server(loop, listener->config.identity, &listener->config.limits);
    if (stream == NULL) {
        turn_away(listener, "out of memory");
        return;
    }
    stream->events = (struct tls_stream_events){ .context = stream, .on_ready = on_handshake_done };
    stream_link(listener, stream);
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&stream->tcp) != 0)
        tls_stream_abort(stream);
    else
        let_in(listener, stream);
}

/* The end of a turn: accepts what the turn had to leave. */
static void on_turn(uv_timer_t *timer)
{
    struct tls_listener *listener = timer->data;
    listener->accepts = 0;
    if (!listener->deferred)
        return;
    listener->deferred = false;
    listener->accepts = 1;
    uv_timer_start(timer, on_turn, LISTENER_TURN_MS, 0);
    take_one(listener);
}

/*
 * A connection that is not accepted here is kept by libuv, which takes no further ones meanwhile.
 */
static void on_connection(uv_stream_t *server, int status)
{
    struct tls_listener *listener = server->data;
    if (status != 0)
        return;
    if (!uv_is_active((uv_handle_t *)&listener->turn))
        uv_timer_start(&listener->turn, on_turn, LISTENER_TURN_MS, 0);
    listener->deferred = listener->accepts >= LISTENER_TURN_ACCEPTS;
    if (listener->deferred)
        return;
    listener->accepts++;
    take_one(listener);
}

/* ---- creation and end */

static void on_failed_closed(uv_handle_t *handle)
{
    struct tls_listener *listener = handle->data;
    if (--listener->handles == 0)
        free(listener);
}

static void init_handles(struct tls_listener *listener, uv_loop_t *loop)
{
    uv_tcp_init(loop, &listener->tcp);
    uv_timer_init(loop, &listener->turn);
    uv_timer_init(loop, &listener->wait);
    uv_prepare_init(loop, &listener->begins);
    listener->tcp.data = listener;
    listener->turn.data = listener;
    listener->wait.data = listener;
    listener->begins.data = listener;
    listener->handles = 4;
    uv_prepare_start(&listener->begins, on_turn_begins);
    uv_unref((uv_handle_t *)&listener->begins);
}

static void close_handles(struct tls_listener *listener, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&listener->tcp, closed);
    uv_close((uv_handle_t *)&listener->turn, closed);
    uv_close((uv_handle_t *)&listener->wait, closed);
    uv_close((uv_handle_t *)&listener->begins, closed);
}

static int listen_on(struct tls_listener *listener, const struct sockaddr_storage *address)
{
    int code = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)address, 0);
    if (code == 0)
        code = uv_listen((uv_stream_t *)&listener->tcp, LISTENER_BACKLOG, on_connection);
    struct sockaddr_storage bound;
    int size = sizeof(bound);
    if (code == 0)
        code = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &size);
    if (code == 0)
        listener->port = address_port(&bound);
    return code;
}

struct tls_listener *tls_listener_create(uv_loop_t *loop, const struct tls_listener_config *config,
                                         const struct tls_listener_events *events, char *error,
                                         size_t error_size)
{
    struct sockaddr_storage address;
    if (!address_parse(config->address, &address)) {
        snprintf(error, error_size, "listen address %s: must be HOST:PORT with a numeric host",
                 config->address);
        return NULL;
    }
    struct tls_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        snprintf(error, error_size, "cannot listen on %s: out of memory", config->address);
        return NULL;
    }
    listener->config = *config;
    listener->events = *events;
    init_handles(listener, loop);
    admission_init(&listener->admission, (uint16_t)config->places_max,
                   (uint16_t)config->handshakes_max, (uint16_t)config->per_host_max, uv_now(loop));
    int code = listen_on(listener, &address);
    if (code != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", config->address, uv_strerror(code));
        close_handles(listener, on_failed_closed);
        return NULL;
    }
    return listener;
}

uint16_t tls_listener_port(const struct tls_listener *listener)
{
    return listener->port;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct tls_listener *listener = handle->data;
    listener->handles--;
    finish_if_empty(listener);
}

void tls_listener_close(struct tls_listener *listener, void (*done)(void *context), void *context)
{
    HF_CHECK(!listener->closing);
    listener->closing = true;
    listener->done = done;
    listener->done_context = context;
    struct tls_stream *stream = listener->streams;
    while (stream != NULL) {
        struct tls_stream *next = stream->next;
        if (stream->adopted)
            stream_unlink(listener, stream);
        else
            tls_stream_abort(stream);
        stream = next;
    }
    close_handles(listener, on_listener_closed);
}
