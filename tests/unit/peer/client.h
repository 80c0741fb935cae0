/*
 * A client of its own, on a thread and blocking, that does what the code under test never would:
 * old TLS, poor ciphers, wrong certificates, plain text, silence. And helpers to run a loop.
 */
#ifndef HOLDFAST_TESTS_PEER_CLIENT_H
#define HOLDFAST_TESTS_PEER_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <uv.h>

#include "tests/unit/peer/pki.h"

enum { CLIENT_PATIENCE_S = 10 };

struct client {
    /* Filled in by the test. */
    const struct pki *pki;
    uint16_t port;
    const char *certificate; /* name in the pki, or NULL: shows none */
    int version_minor;       /* MBEDTLS_SSL_MINOR_VERSION_*, 0: any */
    const int *suites;       /* NULL: any */
    const uint8_t *send;     /* after the handshake */
    size_t send_length;
    bool renegotiates; /* asks for another handshake then */
    unsigned warnings; /* so many alerts that mean nothing */
    atomic_bool deaf;  /* reads nothing while it is set */
    /* Results, valid once `ended`. */
    int handshake; /* 0 or mbedTLS's error */
    const char *suite;
    size_t received;
    uint8_t last[256]; /* the first bytes received */
    atomic_bool ended;
    uv_thread_t thread;
};

static inline void client_talk(struct client *client, mbedtls_ssl_context *ssl)
{
    for (size_t sent = 0; sent < client->send_length;) {
        int count = mbedtls_ssl_write(ssl, client->send + sent, client->send_length - sent);
        if (count <= 0)
            break;
        sent += (size_t)count;
    }
    for (unsigned i = 0; i < client->warnings; i++)
        (void)mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
                                             MBEDTLS_SSL_ALERT_MSG_USER_CANCELED);
    if (client->renegotiates)
        (void)mbedtls_ssl_renegotiate(ssl);
    while (atomic_load(&client->deaf))
        usleep(1000);
    for (;;) {
        uint8_t bytes[256];
        int count = mbedtls_ssl_read(ssl, bytes, sizeof(bytes));
        if (count <= 0)
            return;
        if (client->received == 0)
            memcpy(client->last, bytes, (size_t)count);
        client->received += (size_t)count;
    }
}

static inline void client_run(void *context)
{
    struct client *client = context;
    mbedtls_net_context net;
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    char port[8];
    mbedtls_net_init(&net);
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&config);
    mbedtls_x509_crt_init(&certificate);
    mbedtls_pk_init(&key);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
    mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
    mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
    if (client->version_minor != 0) {
        mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, client->version_minor);
        mbedtls_ssl_conf_max_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, client->version_minor);
    }
    mbedtls_ssl_conf_renegotiation(&config, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    if (client->suites != NULL)
        mbedtls_ssl_conf_ciphersuites(&config, client->suites);
    if (client->certificate != NULL) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s.crt", client->pki->folder, client->certificate);
        mbedtls_x509_crt_parse_file(&certificate, path);
        snprintf(path, sizeof(path), "%s/%s.key", client->pki->folder, client->certificate);
        mbedtls_pk_parse_keyfile(&key, path, NULL);
        mbedtls_ssl_conf_own_cert(&config, &certificate, &key);
    }
    snprintf(port, sizeof(port), "%u", client->port);
    client->handshake = mbedtls_net_connect(&net, "127.0.0.1", port, MBEDTLS_NET_PROTO_TCP);
    if (client->handshake == 0) {
        const struct timeval patience = { .tv_sec = CLIENT_PATIENCE_S };
        setsockopt(net.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        mbedtls_ssl_setup(&ssl, &config);
        mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
        client->handshake = mbedtls_ssl_handshake(&ssl);
        client->suite = mbedtls_ssl_get_ciphersuite(&ssl);
        if (client->handshake == 0)
            client_talk(client, &ssl);
    }
    mbedtls_net_free(&net);
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&certificate);
    mbedtls_pk_free(&key);
    mbedtls_ctr_drbg_free(&random);
    mbedtls_entropy_free(&entropy);
    atomic_store(&client->ended, true);
}

static inline void client_start(struct client *client)
{
    assert_int_equal(uv_thread_create(&client->thread, client_run, client), 0);
}

/* ---- plain sockets */

static inline int plain_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* True once the other side has closed; eats what it sent. */
static inline bool plain_is_closed(int fd)
{
    char bytes[256];
    ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno == ECONNRESET);
}

/* ---- loop */

static inline void on_nudge(uv_timer_t *timer)
{
    (void)timer; /* lets UV_RUN_ONCE return, so that the condition is looked at */
}

static inline void on_nudge_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

/* Runs the loop until `condition` holds, at most 10 s. */
static inline bool run_until(uv_loop_t *loop, bool (*condition)(void *context), void *context)
{
    bool closed = false;
    uv_timer_t nudge;
    uv_timer_init(loop, &nudge);
    nudge.data = &closed;
    uv_timer_start(&nudge, on_nudge, 2, 2);
    uint64_t end = uv_hrtime() + 10 * (uint64_t)1000000000;
    bool holds = condition(context);
    while (!holds && uv_hrtime() < end) {
        uv_run(loop, UV_RUN_ONCE);
        holds = condition(context);
    }
    uv_close((uv_handle_t *)&nudge, on_nudge_closed);
    while (!closed)
        uv_run(loop, UV_RUN_NOWAIT);
    return holds;
}

static inline bool is_set(void *flag)
{
    return *(bool *)flag;
}

static inline bool client_has_ended(void *client)
{
    return atomic_load(&((struct client *)client)->ended);
}

static inline void client_wait(uv_loop_t *loop, struct client *client)
{
    assert_true(run_until(loop, client_has_ended, client));
    uv_thread_join(&client->thread);
}

#endif
