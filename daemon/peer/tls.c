#include "peer/tls.h"

#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "peer/tls_private.h"
#include "peer/tls_watch.h"

struct tls_identity {
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    mbedtls_ssl_config server;
    mbedtls_ssl_config client;
    mbedtls_ssl_ticket_context tickets;
    mbedtls_x509_time floor; /* the time is certainly later: see "The clock" */
    struct tls_name name;
    bool step_had; /* see tls_identity_step_had() */
    bool *step;    /* of it: as `random`, it changes where the identity is const */
};

/* ChaCha20 first: on boards without AES instructions it is faster, and constant in time. */
static const int cipher_suites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

/* ---- calls whose form differs between mbedTLS 2.28 and 3.x: here, and nowhere else */

static bool key_matches(const mbedtls_x509_crt *certificate, const mbedtls_pk_context *key)
{
    return mbedtls_pk_check_pair(&certificate->pk, key) == 0;
}

static int key_parse(mbedtls_pk_context *key, const char *path)
{
    return mbedtls_pk_parse_keyfile(key, path, NULL);
}

static void config_limits(mbedtls_ssl_config *config)
{
    static const mbedtls_ecp_group_id curves[] = { MBEDTLS_ECP_DP_CURVE25519,
                                                   MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_NONE };
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_curves(config, curves);
}

/* The number of the alert just received, of type fatal or warning. */
static int last_alert(const mbedtls_ssl_context *ssl)
{
    return ssl->in_msg[1];
}

int tls_handshake_stage(const mbedtls_ssl_context *ssl)
{
    return ssl->state;
}

bool tls_session_is_resumed(const struct tls_session *session, const mbedtls_ssl_context *ssl)
{
    return session->filled && ssl->session != NULL &&
           memcmp(session->saved.master, ssl->session->master, sizeof(ssl->session->master)) == 0;
}

/* ---- time: see "The clock" in tls.h */

static bool time_before(const mbedtls_x509_time *a, const mbedtls_x509_time *b)
{
    const int left[] = { a->year, a->mon, a->day, a->hour, a->min, a->sec };
    const int right[] = { b->year, b->mon, b->day, b->hour, b->min, b->sec };
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        if (left[i] != right[i])
            return left[i] < right[i];
    }
    return false;
}

static bool is_expired(const struct tls_identity *identity, const mbedtls_x509_crt *certificate)
{
    return mbedtls_x509_time_is_past(&certificate->valid_to) ||
           time_before(&certificate->valid_to, &identity->floor);
}

/* mbedTLS calls this for every certificate of a chain; *flags is what it found wrong so far. */
static int judge_time(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    const struct tls_identity *identity = context;
    (void)depth;
    if (mbedtls_x509_time_is_future(&identity->floor))
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_FUTURE;
    if (is_expired(identity, certificate))
        *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    return 0;
}

static enum tls_cause cause_of_flags(uint32_t flags)
{
    if (flags & MBEDTLS_X509_BADCERT_MISSING)
        return TLS_CAUSE_NO_CERTIFICATE;
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        return TLS_CAUSE_CA;
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        return TLS_CAUSE_EXPIRED;
    if (flags & MBEDTLS_X509_BADCERT_FUTURE)
        return TLS_CAUSE_NOT_YET_VALID;
    return TLS_CAUSE_CERTIFICATE;
}

/* ---- names */

static void copy_part(char out[HF_NAME_MAX + 1], const mbedtls_x509_name *part, bool *seen)
{
    bool fits = part->val.len <= HF_NAME_MAX && memchr(part->val.p, 0, part->val.len) == NULL;
    if (fits && !*seen)
        memcpy(out, part->val.p, part->val.len);
    else
        memset(out, 0, HF_NAME_MAX + 1);
    *seen = true;
}

static void name_of(const mbedtls_x509_crt *certificate, struct tls_name *name)
{
    bool seen_name = false;
    bool seen_unit = false;
    bool seen_organization = false;
    memset(name, 0, sizeof(*name));
    for (const mbedtls_x509_name *part = &certificate->subject; part != NULL; part = part->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0)
            copy_part(name->common_name, part, &seen_name);
        else if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_ORG_UNIT, &part->oid) == 0)
            copy_part(name->unit, part, &seen_unit);
        else if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_ORGANIZATION, &part->oid) == 0)
            copy_part(name->organization, part, &seen_organization);
    }
}

enum tls_cause tls_peer_name(const struct tls_identity *identity, const mbedtls_ssl_context *ssl,
                             struct tls_name *name)
{
    const mbedtls_x509_crt *certificate = mbedtls_ssl_get_peer_cert(ssl);
    memset(name, 0, sizeof(*name));
    if (certificate == NULL)
        return TLS_CAUSE_NO_CERTIFICATE;
    name_of(certificate, name);
    return is_expired(identity, certificate) ? TLS_CAUSE_EXPIRED : TLS_CAUSE_NONE;
}

/* ---- loading */

static bool say_unreadable(char *error, size_t size, const char *path, const char *what, int code)
{
    if (code == MBEDTLS_ERR_PK_FILE_IO_ERROR || code == MBEDTLS_ERR_X509_FILE_IO_ERROR) {
        snprintf(error, size, "%s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    char detail[80];
    mbedtls_strerror(code, detail, sizeof(detail));
    snprintf(error, size, "%s: holds no valid %s (%s)", path, what, detail);
    return false;
}

static bool read_files(struct tls_identity *identity, const char *ca_path,
                       const char *certificate_path, const char *key_path, char *error, size_t size)
{
    int code = mbedtls_x509_crt_parse_file(&identity->ca, ca_path);
    if (code != 0)
        return say_unreadable(error, size, ca_path, "CA certificate", code);
    code = mbedtls_x509_crt_parse_file(&identity->certificate, certificate_path);
    if (code != 0)
        return say_unreadable(error, size, certificate_path, "certificate", code);
    code = key_parse(&identity->key, key_path);
    if (code != 0)
        return say_unreadable(error, size, key_path, "private key", code);
    return true;
}

static void say_refused(char *error, size_t size, const char *path, const char *ca_path,
                        const mbedtls_x509_crt *certificate, enum tls_cause cause)
{
    const mbedtls_x509_time *end = &certificate->valid_to;
    if (cause == TLS_CAUSE_CA)
        snprintf(error, size, "%s: is not signed by the CA in %s", path, ca_path);
    else if (cause == TLS_CAUSE_EXPIRED)
        snprintf(error, size, "%s: or its CA expired: valid to %04d-%02d-%02d", path, end->year,
                 end->mon, end->day);
    else
        snprintf(error, size, "%s: is not acceptable: %s", path, tls_cause_text(cause));
}

static bool check_files(struct tls_identity *identity, const char *ca_path,
                        const char *certificate_path, const char *key_path, char *error,
                        size_t size)
{
    const mbedtls_x509_crt *certificate = &identity->certificate;
    const mbedtls_x509_time *ca_from = &identity->ca.valid_from;
    identity->floor =
        time_before(ca_from, &certificate->valid_from) ? certificate->valid_from : *ca_from;
    uint32_t flags = 0;
    if (mbedtls_x509_crt_verify(&identity->certificate, &identity->ca, NULL, NULL, &flags,
                                judge_time, identity) != 0) {
        say_refused(error, size, certificate_path, ca_path, certificate, cause_of_flags(flags));
        return false;
    }
    if (!key_matches(certificate, &identity->key)) {
        snprintf(error, size, "%s: does not match the certificate in %s", key_path,
                 certificate_path);
        return false;
    }
    if (certificate->next != NULL || certificate->raw.len > TLS_CERTIFICATE_MAX) {
        snprintf(error, size,
                 "%s: must hold one certificate of at most %d bytes, signed by the CA itself",
                 certificate_path, TLS_CERTIFICATE_MAX);
        return false;
    }
    name_of(certificate, &identity->name);
    if (identity->name.common_name[0] == '\0') {
        snprintf(error, size, "%s: must have one CN of 1 to %d characters", certificate_path,
                 HF_NAME_MAX);
        return false;
    }
    return true;
}

/*
 * Random bytes from the kernel alone: at boot the call waits until the kernel has enough, which is
 * what a key exchange needs. mbedTLS's own collector would take 40 KB.
 */
static int system_entropy(void *context, unsigned char *out, size_t length)
{
    (void)context;
    size_t have = 0;
    while (have < length) {
        ssize_t count = getrandom(out + have, length - have, 0);
        if (count < 0 && errno != EINTR)
            return MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
        if (count > 0)
            have += (size_t)count;
    }
    return 0;
}

static int configure(struct tls_identity *identity, mbedtls_ssl_config *config, int endpoint)
{
    int code = mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                           MBEDTLS_SSL_PRESET_DEFAULT);
    if (code != 0)
        return code;
    config_limits(config);
    mbedtls_ssl_conf_ciphersuites(config, cipher_suites);
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(config, &identity->ca, NULL);
    mbedtls_ssl_conf_verify(config, judge_time, identity);
    mbedtls_ssl_conf_rng(config, mbedtls_ctr_drbg_random, &identity->random);
    return mbedtls_ssl_conf_own_cert(config, &identity->certificate, &identity->key);
}

static int configure_both(struct tls_identity *identity)
{
    int code = configure(identity, &identity->server, MBEDTLS_SSL_IS_SERVER);
    if (code == 0)
        code = configure(identity, &identity->client, MBEDTLS_SSL_IS_CLIENT);
    if (code == 0)
        code =
            mbedtls_ssl_ticket_setup(&identity->tickets, mbedtls_ctr_drbg_random, &identity->random,
                                     MBEDTLS_CIPHER_AES_256_GCM, TLS_TICKET_SECONDS);
    if (code != 0)
        return code;
    mbedtls_ssl_conf_session_tickets_cb(&identity->server, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &identity->tickets);
    mbedtls_ssl_conf_session_tickets(&identity->client, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    return 0;
}

static struct tls_identity *identity_create(void)
{
    struct tls_identity *identity = calloc(1, sizeof(*identity));
    if (identity == NULL)
        return NULL;
    mbedtls_ctr_drbg_init(&identity->random);
    mbedtls_x509_crt_init(&identity->ca);
    mbedtls_x509_crt_init(&identity->certificate);
    mbedtls_pk_init(&identity->key);
    mbedtls_ssl_config_init(&identity->server);
    mbedtls_ssl_config_init(&identity->client);
    mbedtls_ssl_ticket_init(&identity->tickets);
    identity->step = &identity->step_had;
    return identity;
}

struct tls_identity *tls_identity_load(const char *ca_path, const char *certificate_path,
                                       const char *key_path, char *error, size_t error_size)
{
    struct tls_identity *identity = identity_create();
    if (identity == NULL) {
        snprintf(error, error_size, "%s: no memory to load it", certificate_path);
        return NULL;
    }
    if (!read_files(identity, ca_path, certificate_path, key_path, error, error_size) ||
        !check_files(identity, ca_path, certificate_path, key_path, error, error_size)) {
        tls_identity_free(identity);
        return NULL;
    }
    int code = mbedtls_ctr_drbg_seed(&identity->random, system_entropy, NULL, NULL, 0);
    if (code == 0)
        code = configure_both(identity);
    if (code != 0) {
        char detail[80];
        mbedtls_strerror(code, detail, sizeof(detail));
        snprintf(error, error_size, "%s: TLS cannot be set up: %s", certificate_path, detail);
        tls_identity_free(identity);
        return NULL;
    }
    return identity;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (identity == NULL)
        return;
    mbedtls_ssl_ticket_free(&identity->tickets);
    mbedtls_ssl_config_free(&identity->client);
    mbedtls_ssl_config_free(&identity->server);
    mbedtls_pk_free(&identity->key);
    mbedtls_x509_crt_free(&identity->certificate);
    mbedtls_x509_crt_free(&identity->ca);
    mbedtls_ctr_drbg_free(&identity->random);
    free(identity);
}

const struct tls_name *tls_identity_name(const struct tls_identity *identity)
{
    return &identity->name;
}

bool *tls_identity_step_had(const struct tls_identity *identity)
{
    return identity->step;
}

const mbedtls_ssl_config *tls_identity_server_config(const struct tls_identity *identity)
{
    return &identity->server;
}

struct bytes tls_identity_ca(const struct tls_identity *identity)
{
    return (struct bytes){ identity->ca.raw.p, identity->ca.raw.len };
}

const mbedtls_ssl_config *tls_identity_client_config(const struct tls_identity *identity)
{
    return &identity->client;
}

/* ---- sessions */

struct tls_session *tls_session_create(void)
{
    struct tls_session *session = calloc(1, sizeof(*session));
    if (session != NULL)
        mbedtls_ssl_session_init(&session->saved);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (session == NULL)
        return;
    mbedtls_ssl_session_free(&session->saved);
    free(session);
}

void tls_session_save(struct tls_session *session, const mbedtls_ssl_context *ssl)
{
    mbedtls_ssl_session_free(&session->saved);
    mbedtls_ssl_session_init(&session->saved);
    session->filled = mbedtls_ssl_get_session(ssl, &session->saved) == 0;
}

/* ---- words */

const char *tls_cause_text(enum tls_cause cause)
{
    static const char *const texts[TLS_CAUSES] = {
        [TLS_CAUSE_NONE] = "closed",
        [TLS_CAUSE_NETWORK] = "network error",
        [TLS_CAUSE_TIMEOUT] = "handshake timeout",
        [TLS_CAUSE_BUSY] = "too many connections",
        [TLS_CAUSE_OVERFLOW] = "output queue full",
        [TLS_CAUSE_MEMORY] = "out of memory",
        [TLS_CAUSE_PROTOCOL] = "no acceptable TLS",
        [TLS_CAUSE_NO_CERTIFICATE] = "no certificate",
        [TLS_CAUSE_CA] = "wrong CA",
        [TLS_CAUSE_EXPIRED] = "expired certificate",
        [TLS_CAUSE_NOT_YET_VALID] = "certificate not yet valid",
        [TLS_CAUSE_CERTIFICATE] = "unacceptable certificate",
        [TLS_CAUSE_BY_PEER] = "refused by the other side",
        [TLS_CAUSE_ROLE] = "wrong role certificate",
        [TLS_CAUSE_NAME] = "claimed foreign identity",
    };
    return texts[cause];
}

static const char *alert_text(int alert)
{
    switch (alert) {
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
        return "it does not know the CA of this node's certificate";
    case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
        return "it takes this node's certificate for expired or not yet valid";
    case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
    case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
    case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
    case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
    case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
        return "it does not accept this node's certificate";
    case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
        return "it does not speak TLS 1.2";
    case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
        return "it shares no cipher suite with this node";
    default:
        return "it sent a fatal TLS alert";
    }
}

enum tls_cause tls_error_explain(const mbedtls_ssl_context *ssl, int code, char *text,
                                 size_t text_size)
{
    enum tls_cause cause = TLS_CAUSE_PROTOCOL;
    char detail[100];
    detail[0] = '\0';
    if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || code == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE)
        cause = cause_of_flags(mbedtls_ssl_get_verify_result(ssl));
    else if (code == MBEDTLS_ERR_SSL_PEER_VERIFY_FAILED) {
        cause = TLS_CAUSE_CERTIFICATE;
        snprintf(detail, sizeof(detail),
                 "it must be one, of at most %d bytes, signed by the CA itself",
                 TLS_CERTIFICATE_MAX);
    } else if (code == MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE)
        cause = TLS_CAUSE_NO_CERTIFICATE;
    else if (code == MBEDTLS_ERR_SSL_ALLOC_FAILED)
        cause = TLS_CAUSE_MEMORY;
    else if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        cause = TLS_CAUSE_BY_PEER;
        snprintf(detail, sizeof(detail), "%s (alert %d)", alert_text(last_alert(ssl)),
                 last_alert(ssl));
    } else if (code == MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION)
        snprintf(detail, sizeof(detail), "TLS 1.2 or later is required");
    else if (code == MBEDTLS_ERR_SSL_NO_CIPHER_CHOSEN)
        snprintf(detail, sizeof(detail), "ECDHE with an AEAD cipher is required");
    else if (code == MBEDTLS_ERR_SSL_UNEXPECTED_RECORD)
        snprintf(detail, sizeof(detail),
                 "what may come after the handshake is data, and one alert");
    else if (code == MBEDTLS_ERR_SSL_INVALID_RECORD)
        snprintf(detail, sizeof(detail), "not a TLS record");
    else
        mbedtls_strerror(code, detail, sizeof(detail));
    snprintf(text, text_size, "%s%s%s", tls_cause_text(cause), detail[0] != '\0' ? ": " : "",
             detail);
    return cause;
}
