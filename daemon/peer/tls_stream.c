#include "peer/tls_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "peer/tls_stream_private.h"

enum {
    STREAM_READ_BYTES = 8192, /* ciphertext taken from the kernel in a turn of the loop */
    STREAM_EARLY_BYTES = 2048 /* and from who has not proven anything: it may have to wait */
};

static void stream_step(struct tls_stream *stream, enum stream_event event)
{
    const struct cell *cell = stream_cell(stream->state, event);
    if (cell->kind == CELL_STAY)
        return;
    HF_CHECK(cell->kind == CELL_GO);
    stream->state = (enum stream_state)cell->next;
}

/* ---- ending */

static void on_handle_closed(uv_handle_t *handle)
{
    struct tls_stream *stream = handle->data;
    if (--stream->open_handles > 0)
        return;
    /* Before on_closed, whose callee may free the identity that the engine uses. */
    if (stream->engaged)
        tls_engine_free(&stream->engine);
    tls_buffer_free(&stream->heard);
    tls_buffer_free(&stream->sending);
    if (stream->listener != NULL)
        listener_forget(stream->listener, stream);
    if (stream->events.on_closed != NULL)
        stream->events.on_closed(stream->events.context, stream->cause, stream->reason);
    free(stream);
}

static void close_handles(struct tls_stream *stream)
{
    if (stream->listener != NULL)
        listener_end(stream->listener, stream);
    uv_close((uv_handle_t *)&stream->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&stream->timer, on_handle_closed);
}

/* Keeps the first cause: later failures only follow from it. */
static void stream_fail(struct tls_stream *stream, enum tls_cause cause, const char *reason)
{
    if (stream->state == STREAM_CLOSING)
        return;
    if (stream->state != STREAM_DRAINING) {
        stream->cause = cause;
        snprintf(stream->reason, sizeof(stream->reason), "%s", reason);
    }
    stream_step(stream, STREAM_FAIL);
    close_handles(stream);
}

static void stream_fail_network(struct tls_stream *stream, const char *what, int code)
{
    char reason[STREAM_REASON_MAX];
    snprintf(reason, sizeof(reason), "%s: %s", what, uv_strerror(code));
    stream_fail(stream, TLS_CAUSE_NETWORK, reason);
}

/* The alert that tells the peer why goes out if the kernel takes it at once. */
static void stream_fail_engine(struct tls_stream *stream)
{
    char reason[STREAM_REASON_MAX];
    enum tls_cause cause = tls_engine_explain(&stream->engine, reason, sizeof(reason));
    struct tls_buffer *out = &stream->engine.out;
    if (!stream->writing && out->length > 0) {
        uv_buf_t alert = uv_buf_init((char *)out->data, (unsigned)out->length);
        (void)uv_try_write((uv_stream_t *)&stream->tcp, &alert, 1);
    }
    stream_fail(stream, cause, reason);
}

/* ---- sending */

size_t tls_stream_queued(const struct tls_stream *stream)
{
    return stream->engine.out.length +
           uv_stream_get_write_queue_size((const uv_stream_t *)&stream->tcp);
}

static void drain_finish(struct tls_stream *stream)
{
    stream_step(stream, STREAM_DRAINED);
    close_handles(stream);
}

static void on_written(uv_write_t *request, int status);
static void read_on(struct tls_stream *stream);

static void on_shut(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status; /* the peer's end of file, or the timer, comes next */
}

static void drain_advance(struct tls_stream *stream)
{
    if (stream->state != STREAM_DRAINING || stream->writing || stream->shut)
        return;
    stream->shut = true;
    if (uv_shutdown(&stream->shutdown, (uv_stream_t *)&stream->tcp, on_shut) != 0)
        drain_finish(stream);
}

/* What the kernel did not take at once waits in one uv_write; more collects in `out` meanwhile. */
static void queue_rest(struct tls_stream *stream)
{
    struct tls_buffer spare = stream->sending;
    stream->sending = stream->engine.out;
    stream->engine.out = spare;
    uv_buf_t rest = uv_buf_init((char *)stream->sending.data, (unsigned)stream->sending.length);
    int code = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, &rest, 1, on_written);
    if (code != 0) {
        stream_fail_network(stream, "sending failed", code);
        return;
    }
    stream->writing = true;
}

static void stream_flush(struct tls_stream *stream)
{
    struct tls_buffer *out = &stream->engine.out;
    if (stream->writing || stream->state == STREAM_CLOSING || out->length == 0)
        return;
    uv_buf_t all = uv_buf_init((char *)out->data, (unsigned)out->length);
    int sent = uv_try_write((uv_stream_t *)&stream->tcp, &all, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        stream_fail_network(stream, "sending failed", sent);
        return;
    }
    if (sent > 0)
        tls_buffer_consume(out, (size_t)sent);
    if (out->length > 0)
        queue_rest(stream);
}

static void on_written(uv_write_t *request, int status)
{
    struct tls_stream *stream = request->data;
    stream->writing = false;
    tls_buffer_consume(&stream->sending, stream->sending.length);
    if (stream->state == STREAM_CLOSING)
        return;
    if (status != 0) {
        stream_fail_network(stream, "sending failed", status);
        return;
    }
    stream_flush(stream);
    drain_advance(stream);
    if (stream->held && tls_stream_queued(stream) <= stream->hold_above / 4)
        read_on(stream);
}

static void hold_if_full(struct tls_stream *stream)
{
    if (stream->hold_above == 0 || stream->held || stream->state != STREAM_OPEN ||
        tls_stream_queued(stream) <= stream->hold_above)
        return;
    stream->held = true;
    (void)uv_read_stop((uv_stream_t *)&stream->tcp);
}

void tls_stream_hold(struct tls_stream *stream, size_t above)
{
    stream->hold_above = above;
    hold_if_full(stream);
}

void tls_stream_pause(struct tls_stream *stream, bool pause)
{
    if (stream->paused == pause || stream->state != STREAM_OPEN)
        return;
    stream->paused = pause;
    if (pause)
        (void)uv_read_stop((uv_stream_t *)&stream->tcp);
    else if (!stream->held)
        read_on(stream);
}

bool tls_stream_write(struct tls_stream *stream, struct bytes data)
{
    if (stream->state != STREAM_OPEN ||
        tls_stream_queued(stream) + data.length > stream->limits.queue_max)
        return false;
    if (!tls_engine_write(&stream->engine, data)) {
        stream_fail_engine(stream);
        return false;
    }
    stream_flush(stream);
    hold_if_full(stream);
    return stream->state == STREAM_OPEN;
}

/* ---- receiving */

static void stream_establish(struct tls_stream *stream)
{
    struct tls_name peer;
    enum tls_cause cause = tls_engine_peer(&stream->engine, &peer);
    if (cause != TLS_CAUSE_NONE) {
        stream_fail(stream, cause, tls_cause_text(cause));
        return;
    }
    stream_step(stream, STREAM_ESTABLISHED);
    uv_timer_stop(&stream->timer);
    if (stream->events.on_ready != NULL)
        stream->events.on_ready(stream->events.context, &peer);
}

static void stream_advance(struct tls_stream *stream)
{
    switch (tls_engine_handshake(&stream->engine)) {
    case TLS_DONE:
        stream_flush(stream);
        if (stream->state == STREAM_HANDSHAKING)
            stream_establish(stream);
        break;
    case TLS_WANTS:
        stream_flush(stream);
        break;
    case TLS_ENDED:
        stream_fail(stream, TLS_CAUSE_NETWORK, "closed by the other side during the handshake");
        break;
    case TLS_FAILED:
        stream_fail_engine(stream);
        break;
    }
}

static void on_timer(uv_timer_t *timer);

/* From now on, not from when this turn of the loop began: the steps of others may have taken long. */
static void stream_limit(struct tls_stream *stream, uint64_t limit_ms)
{
    uint64_t now_ms = uv_hrtime() / 1000000;
    uint64_t turn_ms = uv_now(stream->tcp.loop);
    stream->last_look = false;
    uv_timer_start(&stream->timer, on_timer, limit_ms + (now_ms > turn_ms ? now_ms - turn_ms : 0),
                   0);
}

/* The other side has done its part of a step, so that it gets as long again for the next. */
static void stream_extend(struct tls_stream *stream)
{
    uint64_t all_ms = (uint64_t)stream->limits.handshake_ms * TLS_HANDSHAKE_TIMES;
    uint64_t took_ms = uv_hrtime() / 1000000 - stream->shakes_ms;
    uint64_t left_ms = took_ms < all_ms ? all_ms - took_ms : 0;
    stream_limit(stream,
                 left_ms < stream->limits.handshake_ms ? left_ms : stream->limits.handshake_ms);
}

/* The listener adds up the computing time of those that have not proven who they are. */
static void stream_handshake(struct tls_stream *stream)
{
    struct tls_listener *listener = stream->listener;
    uint64_t started_ns = uv_hrtime();
    int stage = tls_engine_stage(&stream->engine);
    if (stream->shakes_ms == 0)
        stream->shakes_ms = started_ns / 1000000;
    stream_advance(stream);
    bool on = tls_engine_stage(&stream->engine) != stage;
    if (on && stream->state == STREAM_HANDSHAKING)
        stream_extend(stream);
    if (listener != NULL)
        listener_shook(listener, stream, (uv_hrtime() - started_ns) / 1000, on);
}

/* The owner may close or abort inside on_data: state is looked at afresh each time round. */
static void stream_read_plain(struct tls_stream *stream)
{
    uint8_t plain[TLS_STREAM_PLAIN];
    while (stream->state == STREAM_OPEN && !stream->held && !stream->paused) {
        size_t length = 0;
        switch (tls_engine_read(&stream->engine, plain, sizeof(plain), &length)) {
        case TLS_DONE:
            stream->events.on_data(stream->events.context, (struct bytes){ plain, length });
            break;
        case TLS_WANTS:
            stream_flush(stream);
            return;
        case TLS_ENDED:
            stream_fail(stream, TLS_CAUSE_NONE, "closed by the other side");
            return;
        case TLS_FAILED:
            stream_fail_engine(stream);
            return;
        }
    }
}

/*
 * Read memory lives for one callback only: an idle connection holds none. libuv reads on in the same turn
 * while the memory it gets is filled, and leaves it at that if it gets none.
 */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    const struct tls_stream *stream = handle->data;
    (void)suggested;
    size_t size = stream->state == STREAM_HANDSHAKING ? STREAM_EARLY_BYTES : STREAM_READ_BYTES;
    char *memory = stream->filled ? NULL : malloc(size);
    buffer->base = memory;
    buffer->len = memory == NULL ? 0 : size;
}

static void on_read_end(struct tls_stream *stream, int code)
{
    if (stream->state == STREAM_DRAINING)
        drain_finish(stream);
    else if (code == UV_EOF)
        stream_fail(stream, TLS_CAUSE_NETWORK,
                    stream->state == STREAM_OPEN ? "connection ended by the other side" :
                                                   "closed by the other side during the handshake");
    else
        stream_fail_network(stream, "connection lost", code);
}

static void stream_take(struct tls_stream *stream, struct bytes in)
{
    tls_engine_lend(&stream->engine, in);
    if (stream->state == STREAM_HANDSHAKING)
        stream_handshake(stream);
    if (stream->state == STREAM_OPEN)
        stream_read_plain(stream);
    const struct bytes rest = stream->engine.in;
    tls_engine_lend(&stream->engine, (struct bytes){ NULL, 0 });
    bool stopped = stream->held || stream->paused;
    if (stopped && stream->state == STREAM_OPEN && rest.length > 0 &&
        !tls_buffer_append(&stream->heard, rest.data, rest.length))
        stream_fail(stream, TLS_CAUSE_MEMORY, tls_cause_text(TLS_CAUSE_MEMORY));
}

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buffer);

/* Hands on first what waits; that alone may hold or pause it. */
static void read_on(struct tls_stream *stream)
{
    stream->held = false;
    if (stream->paused)
        return;
    struct tls_buffer heard = stream->heard;
    stream->heard = (struct tls_buffer){ 0 };
    if (stream->state != STREAM_DRAINING)
        stream_take(stream, (struct bytes){ heard.data, heard.length });
    tls_buffer_free(&heard);
    int code = stream->held || stream->paused || stream->state == STREAM_CLOSING ?
                   0 :
                   uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read);
    if (code != 0 && code != UV_EALREADY)
        stream_fail_network(stream, "cannot read", code);
}

/* ---- timer */

/*
 * A loop that was busy for longer than the limit comes here before it reads what has come meanwhile: that
 * is looked at first.
 */
static void on_timer(uv_timer_t *timer)
{
    struct tls_stream *stream = timer->data;
    if (stream->state == STREAM_DRAINING) {
        drain_finish(stream);
    } else if (!stream->last_look) {
        stream->last_look = true;
        uv_timer_start(timer, on_timer, 1, 0);
    } else {
        char reason[STREAM_REASON_MAX];
        bool tcp = stream->state == STREAM_DIALLING;
        if (stream->first_ms > 0)
            snprintf(reason, sizeof(reason), "handshake timeout: no ClientHello within %u ms",
                     stream->first_ms);
        else
            snprintf(reason, sizeof(reason), "%s not done within %u ms",
                     tcp ? "connect" : "handshake", stream->limits.handshake_ms);
        stream_fail(stream, tcp ? TLS_CAUSE_NETWORK : TLS_CAUSE_TIMEOUT, reason);
    }
}

/* ---- before TLS: a first message is only collected; the costly handshake waits for its turn */

/* So far it is the beginning of a TLS record of the handshake that holds a ClientHello. */
static bool may_be_hello(const struct tls_buffer *heard)
{
    const uint8_t *at = heard->data;
    return at[0] == 22 && (heard->length < 2 || at[1] == 3) &&
           (heard->length < 5 || (size_t)(at[3] << 8 | at[4]) + 5 <= STREAM_FIRST_MAX) &&
           (heard->length < 6 || at[5] == 1);
}

static void stream_hear(struct tls_stream *stream, struct bytes in)
{
    struct tls_buffer *heard = &stream->heard;
    if (!tls_buffer_append(heard, in.data, in.length)) {
        stream_fail(stream, TLS_CAUSE_MEMORY, tls_cause_text(TLS_CAUSE_MEMORY));
    } else if (!may_be_hello(heard)) {
        stream_fail(stream, TLS_CAUSE_PROTOCOL, "no acceptable TLS: not a ClientHello");
    } else {
        bool whole = heard->length >= 5 &&
                     heard->length - 5 >= (size_t)(heard->data[3] << 8 | heard->data[4]);
        if (whole) {
            (void)uv_read_stop((uv_stream_t *)&stream->tcp);
            stream->first_ms = 0;
            stream_limit(stream, stream->limits.handshake_ms);
        }
        listener_heard(stream->listener, stream, whole);
    }
}

/* Any later step may be as costly as the first: what came waits for its turn, and no more is read. */
static void stream_wait(struct tls_stream *stream, struct bytes in)
{
    (void)uv_read_stop((uv_stream_t *)&stream->tcp);
    if (!tls_buffer_append(&stream->heard, in.data, in.length)) {
        stream_fail(stream, TLS_CAUSE_MEMORY, tls_cause_text(TLS_CAUSE_MEMORY));
        return;
    }
    stream_extend(stream);
    listener_ready(stream->listener, stream);
}

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buffer)
{
    struct tls_stream *stream = handle->data;
    const struct bytes in = { (const uint8_t *)buffer->base, count > 0 ? (size_t)count : 0 };
    bool enough = stream->filled && count == UV_ENOBUFS;
    stream->filled = in.length > 0 && in.length == buffer->len;
    if (enough)
        return;
    stream->answered = stream->answered || count > 0;
    if (count < 0 && stream->state != STREAM_CLOSING)
        on_read_end(stream, (int)count);
    bool shakes = stream->state == STREAM_HANDSHAKING && stream->listener != NULL;
    if (count > 0 && shakes && stream->engaged)
        stream_wait(stream, in);
    else if (count > 0 && shakes)
        stream_hear(stream, in);
    else if (count > 0 && stream->state != STREAM_CLOSING)
        stream_take(stream, in);
    free(buffer->base);
}

/* ---- creation */

/*
 * The kernel ends the connection after silence_ms: when data stays unacknowledged, when the peer's
 * window stays shut (its process reads nothing), or when probes, one a second on an idle
 * connection, stay unanswered. Source: Linux tcp(7), TCP_USER_TIMEOUT and TCP_KEEPIDLE.
 */
static void set_tcp_options(struct tls_stream *stream)
{
    int fd = -1;
    if (uv_fileno((const uv_handle_t *)&stream->tcp, &fd) != 0)
        return;
    const int seconds = 1;
    const int probes = (int)(stream->limits.silence_ms / 1000);
    const int on = 1;
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    /*
     * With few packets under way, lost ones are sent again every 200 ms, not after 200, 400, 800.
     */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stream->limits.silence_ms,
                     sizeof(stream->limits.silence_ms));
}

static struct tls_stream *stream_create(uv_loop_t *loop, const struct tls_identity *identity,
                                        bool server, struct tls_session *session,
                                        const struct tls_stream_limits *limits)
{
    struct tls_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    stream->engine.identity = identity;
    stream->engaged = !server;
    if ((!server && !tls_engine_init(&stream->engine, identity, false, session)) ||
        uv_tcp_init(loop, &stream->tcp) != 0) {
        if (stream->engaged)
            tls_engine_free(&stream->engine);
        free(stream);
        return NULL;
    }
    uv_timer_init(loop, &stream->timer);
    stream->tcp.data = stream;
    stream->timer.data = stream;
    stream->connect.data = stream;
    stream->write.data = stream;
    stream->open_handles = 2;
    stream->limits = *limits;
    stream->state = server ? STREAM_HANDSHAKING : STREAM_DIALLING;
    stream->place = ADMISSION_NONE;
    stream->link = ADMISSION_NONE;
    snprintf(stream->remote, sizeof(stream->remote), "?");
    stream->first_ms = !server                                ? 0 :
                       limits->handshake_ms < STREAM_FIRST_MS ? limits->handshake_ms :
                                                                STREAM_FIRST_MS;
    stream_limit(stream, server ? stream->first_ms : limits->handshake_ms);
    return stream;
}

static void stream_start(struct tls_stream *stream)
{
    set_tcp_options(stream);
    int code = uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read);
    if (code != 0)
        stream_fail_network(stream, "cannot read", code);
    else if (stream->engaged)
        stream_handshake(stream);
}

struct tls_stream *stream_create_server(uv_loop_t *loop, const struct tls_identity *identity,
                                        const struct tls_stream_limits *limits)
{
    return stream_create(loop, identity, true, NULL, limits);
}

void stream_start_server(struct tls_stream *stream, const struct sockaddr_storage *address)
{
    address_format(address, stream->remote, sizeof(stream->remote));
    stream_start(stream);
}

void stream_engage(struct tls_stream *stream)
{
    bool engaged = stream->engaged;
    stream->engaged = true;
    if (!engaged && !tls_engine_init(&stream->engine, stream->engine.identity, true, NULL))
        stream_fail(stream, TLS_CAUSE_MEMORY, tls_cause_text(TLS_CAUSE_MEMORY));
    else
        read_on(stream);
}

void stream_refuse(struct tls_stream *stream, enum tls_cause cause, const char *reason)
{
    stream_fail(stream, cause, reason);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct tls_stream *stream = request->data;
    if (stream->state == STREAM_CLOSING)
        return;
    if (status != 0) {
        stream_fail_network(stream, "cannot connect", status);
        return;
    }
    stream_step(stream, STREAM_CONNECTED);
    stream_start(stream);
}

struct tls_stream *tls_stream_dial(uv_loop_t *loop, const struct tls_identity *identity,
                                   const char *address, struct tls_session *session,
                                   const struct tls_stream_limits *limits,
                                   const struct tls_stream_events *events)
{
    struct tls_stream *stream = stream_create(loop, identity, false, session, limits);
    if (stream == NULL)
        return NULL;
    stream->events = *events;
    snprintf(stream->remote, sizeof(stream->remote), "%s", address);
    struct sockaddr_storage to;
    if (!address_parse(address, &to)) {
        stream_fail(stream, TLS_CAUSE_NETWORK, "address is not HOST:PORT with a numeric host");
        return stream;
    }
    int code =
        uv_tcp_connect(&stream->connect, &stream->tcp, (const struct sockaddr *)&to, on_connected);
    if (code != 0)
        stream_fail_network(stream, "cannot connect", code);
    return stream;
}

/* ---- the owner's side */

const char *tls_stream_remote(const struct tls_stream *stream)
{
    return stream->remote;
}

bool tls_stream_connected(const struct tls_stream *stream)
{
    return stream->state != STREAM_DIALLING;
}

bool tls_stream_answered(const struct tls_stream *stream)
{
    return stream->answered;
}

struct tls_stream_flight tls_stream_flight(const struct tls_stream *stream)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);
    int fd = -1;
    memset(&info, 0, sizeof(info));
    if (uv_fileno((const uv_handle_t *)&stream->tcp, &fd) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return (struct tls_stream_flight){ 0 };
    return (struct tls_stream_flight){ .waiting = info.tcpi_unacked > 0,
                                       .lost = info.tcpi_unacked > 0 && info.tcpi_retransmits > 0,
                                       .round_ms = info.tcpi_rtt / 1000 };
}

bool tls_stream_resumed(const struct tls_stream *stream)
{
    return stream->engine.resumed;
}

/* The owner asked for the end: it hears of nothing but on_closed from here on. */
void tls_stream_close(struct tls_stream *stream)
{
    if (stream->state == STREAM_CLOSING || stream->state == STREAM_DRAINING)
        return;
    stream->cause = TLS_CAUSE_NONE;
    snprintf(stream->reason, sizeof(stream->reason), "closed by this side");
    stream_step(stream, STREAM_CLOSE);
    if (stream->state == STREAM_CLOSING) {
        close_handles(stream);
        return;
    }
    if (stream->listener != NULL)
        listener_unlink(stream->listener, stream);
    uv_timer_start(&stream->timer, on_timer, TLS_LINGER_MS, 0);
    tls_engine_end(&stream->engine);
    stream_flush(stream);
    drain_advance(stream);
    bool stopped = stream->held || stream->paused;
    stream->paused = false;
    if (stopped)
        read_on(stream); /* else the end that the peer sends would not be seen */
}

void tls_stream_abort(struct tls_stream *stream)
{
    stream_fail(stream, TLS_CAUSE_NONE, "aborted by this side");
}
