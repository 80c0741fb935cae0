/*
 * What tls_listener.c needs of a stream. For it and tls_stream.c only.
 */
#ifndef HOLDFAST_PEER_TLS_STREAM_PRIVATE_H
#define HOLDFAST_PEER_TLS_STREAM_PRIVATE_H

#include "peer/address.h"
#include "peer/states.h"
#include "peer/tls_engine.h"
#include "peer/tls_stream.h"

enum { STREAM_REASON_MAX = 200 };

struct tls_stream {
    uv_tcp_t tcp;
    uv_timer_t timer; /* limit of the handshake, later of draining */
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct tls_engine engine;
    struct tls_buffer sending; /* what the write under way reads */
    bool writing;
    bool shut;
    enum stream_state state;
    unsigned open_handles;
    struct tls_stream_limits limits;
    struct tls_stream_events events;
    enum tls_cause cause;
    char reason[STREAM_REASON_MAX];
    char remote[ADDRESS_TEXT_MAX];
    /* Listener's: */
    struct tls_listener *listener; /* NULL when dialled, or the listener is gone */
    struct tls_stream *previous;
    struct tls_stream *next;
    bool adopted;
};

/* A server side stream, not connected yet. NULL if there is no memory. */
struct tls_stream *stream_create_server(uv_loop_t *loop, const struct tls_identity *identity,
                                        const struct tls_stream_limits *limits);

/* After uv_accept() into stream->tcp: starts the handshake. */
void stream_start_server(struct tls_stream *stream);

/* Calls back into the listener: the stream is about to be freed. */
void listener_forget(struct tls_listener *listener, struct tls_stream *stream);

#endif
