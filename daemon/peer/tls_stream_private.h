/*
 * What tls_listener.c needs of a stream. For it and tls_stream.c only.
 */
#ifndef HOLDFAST_PEER_TLS_STREAM_PRIVATE_H
#define HOLDFAST_PEER_TLS_STREAM_PRIVATE_H

#include "peer/address.h"
#include "peer/admission.h"
#include "peer/states.h"
#include "peer/tls_engine.h"
#include "peer/tls_stream.h"

enum {
    STREAM_REASON_MAX = 200,
    STREAM_FIRST_MS = 1000, /* from TCP's connect to a whole first message */
    STREAM_FIRST_MAX = 8192 /* bytes of a first message: a ClientHello has some hundreds */
};

struct tls_stream {
    uv_tcp_t tcp;
    uv_timer_t timer; /* limit of the handshake, later of draining */
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct tls_engine engine;
    bool engaged; /* it has an engine: a listener's stream gets one with its turn */
    struct tls_buffer
        heard; /* ciphertext that waits: for its turn, or while it is held or paused */
    struct tls_buffer sending; /* what the write under way reads */
    bool writing;
    bool shut;
    bool last_look; /* its time is up, but for what has come already */
    bool filled;    /* the last piece read filled its memory: the next one is for the next turn */
    bool answered;  /* see tls_stream_answered() */
    bool held;      /* not read, since much waits to be sent */
    bool paused;    /* not read, since the owner said so */
    size_t hold_above; /* see tls_stream_hold() */
    enum stream_state state;
    uint64_t shakes_ms; /* since when, by uv_hrtime(); 0: its handshake has not begun */
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
    uint32_t first_ms;         /* limit of its first message, while that is awaited */
    int place;                 /* in the listener's admission; ADMISSION_NONE: none (any more) */
    struct admission_key host; /* where it comes from */
    int link;                  /* by which its host is known while it is open; or ADMISSION_NONE */
    bool adopted;
};

/* A server side stream, not connected yet. NULL if there is no memory. */
struct tls_stream *stream_create_server(uv_loop_t *loop, const struct tls_identity *identity,
                                        const struct tls_stream_limits *limits);

/*
 * After uv_accept() into stream->tcp from `address`: waits for the client's first message, at most
 * STREAM_FIRST_MS or the handshake's limit.
 */
void stream_start_server(struct tls_stream *stream, const struct sockaddr_storage *address);

/* It is its turn: the handshake begins, or goes on, with what came. */
void stream_engage(struct tls_stream *stream);

/* Ends it; `reason` is for on_refused. */
void stream_refuse(struct tls_stream *stream, enum tls_cause cause, const char *reason);

/* Calls back into the listener: a first message has begun, or is whole. */
void listener_heard(struct tls_listener *listener, struct tls_stream *stream, bool whole);

/* The handshake can go on, when it is its turn. */
void listener_ready(struct tls_listener *listener, struct tls_stream *stream);

/* A step of this stream's handshake took so long; `on`: it made progress. */
void listener_shook(struct tls_listener *listener, struct tls_stream *stream, uint64_t microseconds,
                    bool on);

/* Its owner has closed the stream: while the last bytes go out it counts as a link no more. */
void listener_unlink(struct tls_listener *listener, struct tls_stream *stream);

/* The stream is about to be closed, or (forget) freed. */
void listener_end(struct tls_listener *listener, struct tls_stream *stream);
void listener_forget(struct tls_listener *listener, struct tls_stream *stream);

#endif
