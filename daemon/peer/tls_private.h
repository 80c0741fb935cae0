/*
 * What tls.c tells tls_engine.c about an identity, in mbedTLS's own types. For those two only.
 */
#ifndef HOLDFAST_PEER_TLS_PRIVATE_H
#define HOLDFAST_PEER_TLS_PRIVATE_H

#include <mbedtls/ssl.h>
#include <stdbool.h>

#include "peer/tls.h"

struct tls_session {
    mbedtls_ssl_session saved;
    bool filled;
};

const mbedtls_ssl_config *tls_identity_server_config(const struct tls_identity *identity);
const mbedtls_ssl_config *tls_identity_client_config(const struct tls_identity *identity);

/* The CA's own certificate, the first of its file; lives as long as the identity. */
struct bytes tls_identity_ca(const struct tls_identity *identity);

/*
 * After a handshake: the peer's subject into *name. A resumed session carries its certificate
 * along, so that its end of validity is checked again here. Returns TLS_CAUSE_NONE or the fault.
 */
enum tls_cause tls_peer_name(const struct tls_identity *identity, const mbedtls_ssl_context *ssl,
                             struct tls_name *name);

/* True if the last handshake of `ssl` resumed what `session` holds. */
bool tls_session_is_resumed(const struct tls_session *session, const mbedtls_ssl_context *ssl);

/* A number that changes whenever the handshake of `ssl` makes progress. */
int tls_handshake_stage(const mbedtls_ssl_context *ssl);

/* Saves the session of a finished handshake, in place of what was there. */
void tls_session_save(struct tls_session *session, const mbedtls_ssl_context *ssl);

/* What `code`, returned by mbedTLS on `ssl`, means: the cause, and one clause into `text`. */
enum tls_cause tls_error_explain(const mbedtls_ssl_context *ssl, int code, char *text,
                                 size_t text_size);

#endif
