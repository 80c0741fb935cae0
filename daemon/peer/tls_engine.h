/*
 * TLS engine: one side of one TLS connection as bytes in, bytes out, without any socket.
 *
 * Purpose: keeps mbedTLS apart from the event loop. Ciphertext that came is lent with
 *   tls_engine_lend() and consumed by the next calls; ciphertext to send collects in `out`.
 * Owner: one tls_stream, which embeds it.
 */
#ifndef HOLDFAST_PEER_TLS_ENGINE_H
#define HOLDFAST_PEER_TLS_ENGINE_H

#include <mbedtls/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "peer/tls.h"
#include "peer/tls_watch.h"

enum tls_progress {
    TLS_DONE,  /* handshake finished, or bytes were read */
    TLS_WANTS, /* needs more ciphertext */
    TLS_ENDED, /* the peer closed in order */
    TLS_FAILED
};

/* A buffer that grows by need and keeps no more than a little when it is empty. */
struct tls_buffer {
    uint8_t *data;
    size_t length;
    size_t capacity;
};

struct tls_engine {
    mbedtls_ssl_context ssl;
    struct tls_buffer out;
    struct bytes in; /* lent; what is left of it */
    const struct tls_identity *identity;
    struct tls_session *session;
    bool resumed;
    struct tls_watch watch;
    int code; /* of the call that failed */
};

/* Drops the first `count` bytes. */
void tls_buffer_consume(struct tls_buffer *buffer, size_t count);
void tls_buffer_free(struct tls_buffer *buffer);

/* False if there is no memory; free it in either case. `session`: a client's, or NULL. */
bool tls_engine_init(struct tls_engine *engine, const struct tls_identity *identity, bool server,
                     struct tls_session *session);
void tls_engine_free(struct tls_engine *engine);

/* Adds a copy. False if there is no memory. */
bool tls_buffer_append(struct tls_buffer *buffer, const uint8_t *data, size_t length);

/* A number that changes whenever the handshake makes progress. */
int tls_engine_stage(const struct tls_engine *engine);

/* Lends ciphertext until the next TLS_WANTS. */
void tls_engine_lend(struct tls_engine *engine, struct bytes in);

enum tls_progress tls_engine_handshake(struct tls_engine *engine);

/* After the handshake: the peer's subject, and TLS_CAUSE_NONE or what is wrong with it. */
enum tls_cause tls_engine_peer(const struct tls_engine *engine, struct tls_name *name);

/* Reads plaintext: TLS_DONE with 1..capacity bytes in *length, else see enum. */
enum tls_progress tls_engine_read(struct tls_engine *engine, uint8_t *out, size_t capacity,
                                  size_t *length);

/* Encrypts all of `data` into `out`. False if that failed. */
bool tls_engine_write(struct tls_engine *engine, struct bytes data);

/* Puts a close_notify into `out`. */
void tls_engine_end(struct tls_engine *engine);

/* After TLS_FAILED or a failed write. */
enum tls_cause tls_engine_explain(const struct tls_engine *engine, char *text, size_t text_size);

#endif
