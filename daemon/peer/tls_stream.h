/*
 * TLS over TCP on a libuv loop, both sides, never blocking.
 *
 * Purpose: bytes from and to a peer with a proven certificate. Used by the peer hub and by the
 *   console alike.
 * Owner: the loop's thread. A stream belongs to who dialled it or adopted it from a listener, until
 *   its on_closed returns; then it is gone.
 * Rules:
 *  - on_closed is called exactly once for each stream, from the loop, never from inside a call of
 *    this header; no other event follows a close or abort by the owner.
 *  - tls_stream_write() hands the bytes to the kernel at once where it takes them (TCP_NODELAY);
 *    the rest is queued, up to the limit given. No timer is in the path of data.
 *  - A handshake has a time limit, which is for a step of it: on slow processors several at once take
 *    long, and to break them off would waste what was done. All of it may take TLS_HANDSHAKE_TIMES of
 *    that. A stream whose queued output makes no progress, or whose host
 *    does not answer, for silence_ms is closed. An idle but living peer is not.
 *  - Received bytes are not queued: on_data gets them as they come. With tls_stream_hold(), nothing
 *    is read while much waits to be sent, so that a peer that does not read its answers asks no
 *    more. With tls_stream_pause(), nothing is read while the owner has enough to do.
 *  - The process ignores SIGPIPE: libuv writes without MSG_NOSIGNAL.
 */
#ifndef HOLDFAST_PEER_TLS_STREAM_H
#define HOLDFAST_PEER_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/bytes.h"
#include "peer/tls.h"

struct tls_stream;
struct tls_listener;

enum {
    TLS_LINGER_MS = 1000,    /* a closing stream waits this long for its last bytes to go out */
    TLS_STREAM_PLAIN = 4096, /* bytes that on_data gets at once, at most */
    TLS_HANDSHAKE_TIMES = 4
};

struct tls_stream_limits {
    uint32_t handshake_ms; /* for TCP, and from one step of TLS to the next, 1..60000 */
    uint32_t silence_ms;   /* 1000..600000 */
    size_t queue_max;      /* bytes of ciphertext waiting to be sent */
};

struct tls_stream_events {
    void *context;
    /* Handshake done and certificate accepted; *peer is valid during the call. May be NULL for a
     * stream adopted from a listener, which is ready already. */
    void (*on_ready)(void *context, const struct tls_name *peer);
    /*
     * 1 to TLS_STREAM_PLAIN bytes, valid during the call. The callee may write, pause, close or
     * abort.
     */
    void (*on_data)(void *context, struct bytes data);
    /* The stream is gone when this returns. `reason` is one clause for a log line. */
    void (*on_closed)(void *context, enum tls_cause cause, const char *reason);
};

/*
 * Dials "a.b.c.d:port" or "[ipv6]:port". `session` (may be NULL, must outlive the stream) is
 * resumed and renewed. Every failure, a bad address too, comes as on_closed. NULL if there is no
 * memory.
 */
struct tls_stream *tls_stream_dial(uv_loop_t *loop, const struct tls_identity *identity,
                                   const char *address, struct tls_session *session,
                                   const struct tls_stream_limits *limits,
                                   const struct tls_stream_events *events);

/*
 * Sends or queues a copy of `data` (0 bytes or more). False if the stream is not ready, closing, or
 * the queue would pass its limit (nothing of `data` is sent then).
 */
bool tls_stream_write(struct tls_stream *stream, struct bytes data);

/*
 * From now on nothing is read while more than `above` bytes (>= 4) wait to be sent, until a quarter
 * of them is left; 0: it is read in any case. Only for a peer that itself always reads: if both
 * sides stopped reading, they would wait for each other for ever.
 */
void tls_stream_hold(struct tls_stream *stream, size_t above);

/*
 * From now on nothing is read, or all is again; nothing is lost in between. The end of the other side
 * is not seen meanwhile, but by writing. Going on gives on_data at once what came before, so it is not
 * for inside on_data.
 */
void tls_stream_pause(struct tls_stream *stream, bool pause);

/* Bytes of ciphertext that the kernel has not taken yet. */
size_t tls_stream_queued(const struct tls_stream *stream);

/* "address:port" of the other side; lives as long as the stream. */
const char *tls_stream_remote(const struct tls_stream *stream);

/* True once TCP stands. */
bool tls_stream_connected(const struct tls_stream *stream);

/* True once the other side has said anything: it works on the handshake, or has done so. */
bool tls_stream_answered(const struct tls_stream *stream);

/* What the kernel knows of bytes that the other side has not acknowledged. */
struct tls_stream_flight {
    bool waiting;      /* there are some */
    bool lost;         /* and some have been sent again already, without an answer */
    uint32_t round_ms; /* a round trip, as measured before */
};
struct tls_stream_flight tls_stream_flight(const struct tls_stream *stream);

/* True if a dialled stream, once ready, resumed the session it was given. For tests. */
bool tls_stream_resumed(const struct tls_stream *stream);

/*
 * Sends what is queued and close_notify, then closes; at most TLS_LINGER_MS. The reason given to
 * on_closed is "closed by this side".
 */
void tls_stream_close(struct tls_stream *stream);

/* Closes at once; what is queued is lost. */
void tls_stream_abort(struct tls_stream *stream);

struct tls_listener_config {
    const char *address;                 /* "a.b.c.d:port" or "[ipv6]:port"; port 0: any free one */
    const struct tls_identity *identity; /* outlives the listener */
    /* Limits of connections that have not proven who they are, see peer/admission.h: */
    uint32_t places_max;     /* connections, 1..ADMISSION_PLACES_MAX */
    uint32_t handshakes_max; /* of them, with a handshake under way */
    uint32_t per_host_max;   /* of them, from one address before it is crowded */
    /*
     * Streams with a proven certificate. Above, of those that their owner has closed the one that
     * lingers longest is aborted; without one, the newcomer is refused.
     */
    uint32_t connections_max;
    struct tls_stream_limits limits;
};

struct tls_listener_events {
    void *context;
    /*
     * A client's handshake is done. The callee must call tls_stream_adopt() before it returns, and
     * owns the stream from then on; it may close or abort it then. *peer is valid during the call.
     */
    void (*on_stream)(void *context, struct tls_stream *stream, const struct tls_name *peer);
    /* A connection was turned away or failed its handshake. */
    void (*on_refused)(void *context, const char *remote, enum tls_cause cause, const char *reason);
};

/* Binds and listens. NULL with one line in `error` (TLS_TEXT_MAX bytes or more). */
struct tls_listener *tls_listener_create(uv_loop_t *loop, const struct tls_listener_config *config,
                                         const struct tls_listener_events *events, char *error,
                                         size_t error_size);

/*
 * The host of "host:port" is an issuer's: it is known from the start, and comes before others.
 * Hosts from which a proven stream came become known by themselves. A bad address is ignored.
 */
void tls_listener_expect(struct tls_listener *listener, const char *address);

/* True if a handshake from the host of "host:port" waits for its turn, or is under way. */
bool tls_listener_shakes(const struct tls_listener *listener, const char *address);

/* The port that is bound. */
uint16_t tls_listener_port(const struct tls_listener *listener);

/* Takes over a stream inside on_stream; see there. events->on_ready is not called. */
void tls_stream_adopt(struct tls_stream *stream, const struct tls_stream_events *events);

/*
 * Stops listening and aborts handshakes that are under way, without on_refused. Adopted streams go
 * on. `done` is called from the loop when the listener is gone.
 */
void tls_listener_close(struct tls_listener *listener, void (*done)(void *context), void *context);

#endif
