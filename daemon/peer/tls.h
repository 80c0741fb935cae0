/*
 * TLS identity: CA, certificate and key of one node, loaded once, and what TLS makes of them.
 *
 * Purpose: the one place that knows which TLS is acceptable: 1.2 or later, ECDHE with an AEAD
 *   cipher, certificates on both sides, signed by the configured CA. Every call whose form depends
 *   on the version of mbedTLS is in tls.c.
 * Owner: the daemon's main; created at start, shared by the peer port and the console, freed after
 *   both. Not for use by two threads.
 * The clock: boards without a battery start in 1970 or at the time of their image. The wall clock
 *   is known to be unset while it is before the "floor", the later start of validity of the CA
 *   and of the own certificate. Until then "not yet valid" is not held against a certificate. A
 *   certificate whose end lies before the wall clock, or before the floor, is expired, always.
 */
#ifndef HOLDFAST_PEER_TLS_H
#define HOLDFAST_PEER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

enum { TLS_TEXT_MAX = 160, TLS_TICKET_SECONDS = 3600 };

/* Why a connection ended or was refused. */
enum tls_cause {
    TLS_CAUSE_NONE,     /* closed in order, by either side */
    TLS_CAUSE_NETWORK,  /* refused, reset, unreachable, silent */
    TLS_CAUSE_TIMEOUT,  /* handshake not finished in time */
    TLS_CAUSE_BUSY,     /* too many handshakes or connections */
    TLS_CAUSE_OVERFLOW, /* its output queue is full */
    TLS_CAUSE_MEMORY,
    TLS_CAUSE_PROTOCOL,       /* not TLS, too old a version, no acceptable cipher, bad record */
    TLS_CAUSE_NO_CERTIFICATE, /* the peer showed none */
    TLS_CAUSE_CA,             /* not signed by the configured CA */
    TLS_CAUSE_EXPIRED,
    TLS_CAUSE_NOT_YET_VALID,
    TLS_CAUSE_CERTIFICATE, /* any other fault of the peer's certificate */
    TLS_CAUSE_BY_PEER,     /* the peer refused this node: its alert says why */
    TLS_CAUSE_ROLE,        /* the certificate's OU does not allow this */
    TLS_CAUSE_NAME,        /* the certificate names another node */
    TLS_CAUSES
};

/* Subject of a certificate. A part that is missing, doubled or too long to fit is empty. */
struct tls_name {
    char common_name[HF_NAME_MAX + 1]; /* CN: node id, or who is at the console */
    char unit[HF_NAME_MAX + 1];        /* OU: "node", "viewer", "operator" */
    char organization[HF_NAME_MAX + 1];
};

struct tls_identity;

/*
 * Loads and checks the three PEM (or DER) files. The key must match the certificate, which must be
 * signed by the CA and not be expired. Returns NULL with one line in `error` (TLS_TEXT_MAX bytes
 * or more) that names the file and the cause. Blocks for reading the files and the system's random
 * source.
 */
struct tls_identity *tls_identity_load(const char *ca_path, const char *certificate_path,
                                       const char *key_path, char *error, size_t error_size);

/* Nothing may use it any more. NULL is allowed. */
void tls_identity_free(struct tls_identity *identity);

/* Subject of the own certificate; lives as long as the identity. */
const struct tls_name *tls_identity_name(const struct tls_identity *identity);

/*
 * Whether a step of a handshake was computed for a listener in this turn of the loop. Whoever is about to does
 * so only if not, and says so here: steps take long, so that all listeners together have one in a turn.
 */
bool *tls_identity_step_had(const struct tls_identity *identity);

/* The cause in a few words, e.g. "wrong CA", "expired certificate"; static text. */
const char *tls_cause_text(enum tls_cause cause);

/* A session that a client saves to resume it with the same peer later. Empty at first. */
struct tls_session;

/* NULL if there is no memory. */
struct tls_session *tls_session_create(void);
void tls_session_free(struct tls_session *session);

#endif
