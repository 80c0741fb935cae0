#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "peer/tls_stream_private.h"

enum { LISTENER_BACKLOG = 64 };

struct tls_listener {
    uv_tcp_t tcp;
    struct tls_listener_config config;
    struct tls_listener_events events;
    struct tls_stream *streams; /* every stream that lives, adopted or not */
    uint32_t connections;
    uint32_t handshakes;
    uint16_t port;
    bool closing;
    bool handle_closed;
    void (*done)(void *context);
    void *done_context;
};

static void finish_if_empty(struct tls_listener *listener)
{
    if (!listener->handle_closed || listener->connections > 0)
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
    listener->connections--;
}

void listener_forget(struct tls_listener *listener, struct tls_stream *stream)
{
    bool adopted = stream->adopted;
    stream_unlink(listener, stream);
    if (!adopted) {
        listener->handshakes--;
        if (!listener->closing)
            listener->events.on_refused(listener->events.context, stream->remote, stream->cause,
                                        stream->reason);
    }
    finish_if_empty(listener);
}

static void on_handshake_done(void *context, const struct tls_name *peer)
{
    struct tls_stream *stream = context;
    struct tls_listener *listener = stream->listener;
    listener->events.on_stream(listener->events.context, stream, peer);
    HF_CHECK(stream->adopted);
}

void tls_stream_adopt(struct tls_stream *stream, const struct tls_stream_events *events)
{
    HF_CHECK(stream->listener != NULL && !stream->adopted);
    stream->adopted = true;
    stream->listener->handshakes--;
    stream->events = *events;
}

/* ---- accepting */

static void on_turned_away(uv_handle_t *handle)
{
    free(handle);
}

/* The connection is accepted, so that it leaves the backlog, and closed at once. */
static void turn_away(struct tls_listener *listener, const char *reason)
{
    uv_tcp_t *tcp = malloc(sizeof(*tcp));
    if (tcp == NULL)
        return;
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
    listener->connections++;
    listener->handshakes++;
}

static void on_connection(uv_stream_t *server, int status)
{
    struct tls_listener *listener = server->data;
    if (status != 0)
        return;
    if (listener->handshakes >= listener->config.handshakes_max) {
        turn_away(listener, "too many handshakes under way");
        return;
    }
    if (listener->connections >= listener->config.connections_max) {
        turn_away(listener, "too many connections");
        return;
    }
    struct tls_stream *stream = stream_create_server(server->loop, listener->config.identity,
                                                     &listener->config.limits);
    if (stream == NULL) {
        turn_away(listener, "out of memory");
        return;
    }
    stream->events = (struct tls_stream_events){ .context = stream,
                                                 .on_ready = on_handshake_done };
    stream_link(listener, stream);
    if (uv_accept(server, (uv_stream_t *)&stream->tcp) != 0)
        tls_stream_abort(stream);
    else
        stream_start_server(stream);
}

/* ---- creation and end */

static void on_failed_closed(uv_handle_t *handle)
{
    free(handle->data);
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
    uv_tcp_init(loop, &listener->tcp);
    listener->tcp.data = listener;
    int code = listen_on(listener, &address);
    if (code != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", config->address, uv_strerror(code));
        uv_close((uv_handle_t *)&listener->tcp, on_failed_closed);
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
    listener->handle_closed = true;
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
    uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
}
