#include "peer/tls_engine.h"

#include <stdlib.h>
#include <string.h>

#include "peer/tls_private.h"

enum { BUFFER_START = 1024, BUFFER_KEEP = 2048 }; /* bytes */

bool tls_buffer_append(struct tls_buffer *buffer, const uint8_t *data, size_t length)
{
    if (buffer->length + length > buffer->capacity) {
        size_t capacity = buffer->capacity == 0 ? BUFFER_START : buffer->capacity;
        while (capacity < buffer->length + length)
            capacity *= 2;
        uint8_t *grown = realloc(buffer->data, capacity);
        if (grown == NULL)
            return false;
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return true;
}

void tls_buffer_consume(struct tls_buffer *buffer, size_t count)
{
    buffer->length -= count;
    if (buffer->length > 0)
        memmove(buffer->data, buffer->data + count, buffer->length);
    else if (buffer->capacity > BUFFER_KEEP)
        tls_buffer_free(buffer);
}

void tls_buffer_free(struct tls_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct tls_buffer){ 0 };
}

static int engine_send(void *context, const unsigned char *data, size_t length)
{
    struct tls_engine *engine = context;
    return tls_buffer_append(&engine->out, data, length) ? (int)length :
                                                           MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

static int engine_receive(void *context, unsigned char *out, size_t length)
{
    struct tls_engine *engine = context;
    if (engine->in.length == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    size_t count = length < engine->in.length ? length : engine->in.length;
    if (!tls_watch_take(&engine->watch, (struct bytes){ engine->in.data, count }))
        return engine->watch.late ? MBEDTLS_ERR_SSL_UNEXPECTED_RECORD :
                                    MBEDTLS_ERR_SSL_PEER_VERIFY_FAILED;
    memcpy(out, engine->in.data, count);
    engine->in.data += count;
    engine->in.length -= count;
    return (int)count;
}

bool tls_engine_init(struct tls_engine *engine, const struct tls_identity *identity, bool server,
                     struct tls_session *session)
{
    *engine = (struct tls_engine){ .identity = identity, .session = session };
    engine->watch.ca = tls_identity_ca(identity);
    mbedtls_ssl_init(&engine->ssl);
    const mbedtls_ssl_config *config =
        server ? tls_identity_server_config(identity) : tls_identity_client_config(identity);
    if (mbedtls_ssl_setup(&engine->ssl, config) != 0)
        return false;
    mbedtls_ssl_set_bio(&engine->ssl, engine, engine_send, engine_receive, NULL);
    /* A session that cannot be offered costs a full handshake, nothing else. */
    if (session != NULL && session->filled &&
        mbedtls_ssl_set_session(&engine->ssl, &session->saved) != 0)
        session->filled = false;
    return true;
}

void tls_engine_free(struct tls_engine *engine)
{
    mbedtls_ssl_free(&engine->ssl);
    tls_buffer_free(&engine->out);
}

int tls_engine_stage(const struct tls_engine *engine)
{
    return tls_handshake_stage(&engine->ssl);
}

void tls_engine_lend(struct tls_engine *engine, struct bytes in)
{
    engine->in = in;
}

static enum tls_progress progress_of(struct tls_engine *engine, int code)
{
    if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE)
        return TLS_WANTS;
    if (code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || code == MBEDTLS_ERR_SSL_CONN_EOF)
        return TLS_ENDED;
    engine->code = code;
    return TLS_FAILED;
}

enum tls_progress tls_engine_handshake(struct tls_engine *engine)
{
    int code = mbedtls_ssl_handshake(&engine->ssl);
    if (code != 0)
        return progress_of(engine, code);
    if (engine->session != NULL) {
        engine->resumed = tls_session_is_resumed(engine->session, &engine->ssl);
        tls_session_save(engine->session, &engine->ssl);
    }
    return TLS_DONE;
}

enum tls_cause tls_engine_peer(const struct tls_engine *engine, struct tls_name *name)
{
    return tls_peer_name(engine->identity, &engine->ssl, name);
}

enum tls_progress tls_engine_read(struct tls_engine *engine, uint8_t *out, size_t capacity,
                                  size_t *length)
{
    int code = mbedtls_ssl_read(&engine->ssl, out, capacity);
    if (code > 0) {
        *length = (size_t)code;
        return TLS_DONE;
    }
    return code == 0 ? TLS_ENDED : progress_of(engine, code);
}

bool tls_engine_write(struct tls_engine *engine, struct bytes data)
{
    size_t sent = 0;
    while (sent < data.length) {
        int code = mbedtls_ssl_write(&engine->ssl, data.data + sent, data.length - sent);
        if (code < 0) {
            engine->code = code;
            return false;
        }
        sent += (size_t)code;
    }
    return true;
}

void tls_engine_end(struct tls_engine *engine)
{
    (void)mbedtls_ssl_close_notify(&engine->ssl);
}

enum tls_cause tls_engine_explain(const struct tls_engine *engine, char *text, size_t text_size)
{
    return tls_error_explain(&engine->ssl, engine->code, text, text_size);
}
