#include "ctl/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

#include "ctl/answer.h"
#include "ctl/certificate.h"
#include "ctl/printable.h"

struct client {
    const struct client_config *config;
    FILE *errors;
    int64_t
        part_by_ms; /* CLOCK_MONOTONIC: greeting, or answer, is whole; 0: it may take its time */
    mbedtls_net_context net;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_ssl_config ssl_config;
    mbedtls_ssl_context ssl;
};

static const int ciphers[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

static enum ctl_exit fail(const struct client *client, enum ctl_exit status, const char *what,
                          int error)
{
    char why[128] = "";
    if (error != 0)
        mbedtls_strerror(error, why, sizeof(why));
    fprintf(client->errors, "holdfastctl: %s: %s%s%s\n", client->config->address, what,
            error != 0 ? ": " : "", why);
    return status;
}

static enum ctl_exit load_files(struct client *client)
{
    const struct client_config *config = client->config;
    char error[CERTIFICATE_TEXT_MAX];
    if (certificate_load_crt(&client->ca, config->ca, error) &&
        certificate_load_crt(&client->cert, config->cert, error) &&
        certificate_load_key(&client->key, config->key, error)) {
        if (mbedtls_pk_check_pair(&client->cert.pk, &client->key) == 0)
            return CTL_EXIT_MORE;
        snprintf(error, sizeof(error), "%.100s: is not the key of %.100s", config->key,
                 config->cert);
    }
    fprintf(client->errors, "holdfastctl: %s\n", error);
    return CTL_EXIT_USAGE;
}

/* ---- TCP */

static bool wait_connected(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLOUT };
    int error = 0;
    socklen_t size = sizeof(error);
    int count;
    do {
        count = poll(&ready, 1, CLIENT_TIMEOUT_MS);
    } while (count < 0 && errno == EINTR);
    if (count == 0)
        errno = ETIMEDOUT;
    if (count <= 0)
        return false;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    return error == 0;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int send_some(void *context, const unsigned char *bytes, size_t length)
{
    struct client *client = context;
    return mbedtls_net_send(&client->net, bytes, length);
}

static void limit_part(struct client *client, uint32_t all_ms)
{
    client->part_by_ms = all_ms != 0 ? monotonic_ms() + all_ms : 0;
}

/* A byte now and then is progress, and would never end. */
static int receive_some(void *context, unsigned char *bytes, size_t length, uint32_t timeout_ms)
{
    struct client *client = context;
    if (client->part_by_ms != 0) {
        int64_t left_ms = client->part_by_ms - monotonic_ms();
        if (left_ms <= 0)
            return MBEDTLS_ERR_SSL_TIMEOUT;
        if (left_ms < (int64_t)timeout_ms)
            timeout_ms = (uint32_t)left_ms;
    }
    return mbedtls_net_recv_timeout(&client->net, bytes, length, timeout_ms);
}

/* One address; returns the descriptor, blocking again, or -1 with errno. */
static int connect_one(const struct addrinfo *to)
{
    const struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_MS / 1000 };
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (fd < 0)
        return -1;
    bool connected = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ||
                     (errno == EINPROGRESS && wait_connected(fd));
    if (connected && fcntl(fd, F_SETFL, 0) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* getaddrinfo() takes the low 16 bits of a larger number. */
static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    long number = digits >= 1 && digits <= 5 && text[digits] == '\0' ? strtol(text, NULL, 10) : 0;
    return number >= 1 && number <= 65535;
}

/* Splits "HOST:PORT" or "[IPv6]:PORT"; false if it is neither. */
static bool split_address(const char *address, char *host, size_t host_size, char *port,
                          size_t port_size)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !is_port(colon + 1))
        return false;
    size_t length = (size_t)(colon - address);
    bool bracketed = address[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        address++;
        length -= 2;
    }
    if (length == 0 || length >= host_size || strlen(colon + 1) >= port_size ||
        (!bracketed && memchr(address, ':', length)))
        return false;
    memcpy(host, address, length);
    host[length] = '\0';
    snprintf(port, port_size, "%s", colon + 1);
    return true;
}

static enum ctl_exit open_socket(struct client *client)
{
    char host[128];
    char port[8];
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    if (!split_address(client->config->address, host, sizeof(host), port, sizeof(port)))
        return fail(client, CTL_EXIT_USAGE,
                    "must be HOST:PORT or [IPv6]:PORT with a port of 1 to 65535", 0);
    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0)
        return fail(client, CTL_EXIT_UNREACHABLE, gai_strerror(error), 0);
    for (const struct addrinfo *to = list; to && client->net.fd < 0; to = to->ai_next)
        client->net.fd = connect_one(to);
    int why = errno;
    freeaddrinfo(list);
    if (client->net.fd < 0)
        return fail(client, CTL_EXIT_UNREACHABLE, strerror(why), 0);
    return CTL_EXIT_MORE;
}

/* ---- TLS */

/*
 * A board without a battery may show 1970. Before the own certificate began, the clock proves
 * nothing, and "not yet valid" is not held against the server. An end that has passed always is.
 */
static int judge(void *context, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    const struct client *client = context;
    (void)crt;
    (void)depth;
    if (mbedtls_x509_time_is_future(&client->cert.valid_from))
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_FUTURE;
    return 0;
}

static enum ctl_exit set_up_tls(struct client *client)
{
    mbedtls_ssl_config *ssl_config = &client->ssl_config;
    int error =
        mbedtls_ctr_drbg_seed(&client->random, mbedtls_entropy_func, &client->entropy, NULL, 0);
    if (error == 0)
        error =
            mbedtls_ssl_config_defaults(ssl_config, MBEDTLS_SSL_IS_CLIENT,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (error == 0)
        error = mbedtls_ssl_conf_own_cert(ssl_config, &client->cert, &client->key);
    if (error != 0)
        return fail(client, CTL_EXIT_UNREACHABLE, "cannot set up TLS", error);
    mbedtls_ssl_conf_min_version(ssl_config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(ssl_config, ciphers);
    mbedtls_ssl_conf_authmode(ssl_config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(ssl_config, &client->ca, NULL);
    mbedtls_ssl_conf_verify(ssl_config, judge, client);
    mbedtls_ssl_conf_rng(ssl_config, mbedtls_ctr_drbg_random, &client->random);
    mbedtls_ssl_conf_read_timeout(ssl_config, CLIENT_TIMEOUT_MS);
    error = mbedtls_ssl_setup(&client->ssl, ssl_config);
    if (error == 0)
        error = mbedtls_ssl_set_hostname(&client->ssl, NULL);
    if (error != 0)
        return fail(client, CTL_EXIT_UNREACHABLE, "cannot set up TLS", error);
    mbedtls_ssl_set_bio(&client->ssl, client, send_some, NULL, receive_some);
    limit_part(client, client->config->greeting_ms);
    return CTL_EXIT_MORE;
}

/* "ADDRESS: its certificate BEFORE "NAME"", to go on: the name is the other side's word. */
static void tell_certificate(const struct client *client, const char *before, const char *name)
{
    fprintf(client->errors, "holdfastctl: %s: its certificate %s \"", client->config->address,
            before);
    printable_puts(name, client->errors);
    fputs("\"", client->errors);
}

static void tell_allowed(const struct client *client)
{
    const struct conf *issuers = client->config->issuers;
    if (client->config->node) {
        fprintf(client->errors, ", must be %s\n", client->config->node);
        return;
    }
    for (uint8_t i = 0; i < issuers->issuer_count; i++)
        fprintf(client->errors, "%s%s",
                i == 0                         ? ", must be " :
                i + 1 == issuers->issuer_count ? " or " :
                                                 ", ",
                issuers->issuer[i].id.text);
    fprintf(client->errors, ", the issuers of %s, or the one that --node names\n", issuers->file);
}

static bool is_wanted(const struct client_config *config, const char *name)
{
    if (config->node)
        return strcmp(name, config->node) == 0;
    return !config->issuers || client_is_issuer(config->issuers, name);
}

/* Who is there; nobody else than who is wanted is told anything. */
static enum ctl_exit recognise(const struct client *client)
{
    const struct client_config *config = client->config;
    struct certificate_subject subject;
    certificate_read_subject(mbedtls_ssl_get_peer_cert(&client->ssl), &subject);
    if (strcmp(subject.unit, "node") != 0) {
        tell_certificate(client, "has the role", subject.unit);
        fputs(", must be node\n", client->errors);
        return CTL_EXIT_UNREACHABLE;
    }
    if (!is_wanted(config, subject.common_name)) {
        tell_certificate(client, "is of node", subject.common_name);
        tell_allowed(client);
        return CTL_EXIT_UNREACHABLE;
    }
    if (!config->node && !config->issuers) {
        fprintf(client->errors, "holdfastctl: %s: asked ", config->address);
        printable_puts(subject.common_name, client->errors);
        fputs(", any node will do without --node\n", client->errors);
    }
    return CTL_EXIT_MORE;
}

static enum ctl_exit shake_hands(struct client *client)
{
    int error;
    do {
        error = mbedtls_ssl_handshake(&client->ssl);
    } while (error == MBEDTLS_ERR_SSL_WANT_READ || error == MBEDTLS_ERR_SSL_WANT_WRITE);
    if (error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        char why[160];
        mbedtls_x509_crt_verify_info(why, sizeof(why), "",
                                     mbedtls_ssl_get_verify_result(&client->ssl));
        why[strcspn(why, "\n")] = '\0';
        fprintf(client->errors, "holdfastctl: %s: its certificate is not trusted: %s\n",
                client->config->address, why);
        return CTL_EXIT_UNREACHABLE;
    }
    if (error != 0)
        return fail(client, CTL_EXIT_UNREACHABLE, "TLS handshake failed", error);
    return recognise(client);
}

/* ---- the session */

/* Reads until the current part of the answer is over. */
static enum ctl_exit read_part(struct client *client, struct ctl_answer *answer)
{
    enum ctl_answer_part part = answer->part;
    char bytes[4096];
    while (answer->part == part || (answer->refused && answer->part != CTL_ANSWER_DONE)) {
        int count = mbedtls_ssl_read(&client->ssl, (unsigned char *)bytes, sizeof(bytes));
        if (count == MBEDTLS_ERR_SSL_WANT_READ || count == MBEDTLS_ERR_SSL_WANT_WRITE)
            continue;
        bool closed = count == 0 || count == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ||
                      count == MBEDTLS_ERR_SSL_CONN_EOF;
        if (count <= 0 && answer->refused)
            return CTL_EXIT_REFUSED;
        if (closed)
            return fail(client, CTL_EXIT_UNREACHABLE,
                        "closed the connection before its answer "
                        "was whole",
                        0);
        if (count == MBEDTLS_ERR_SSL_TIMEOUT)
            return fail(client, CTL_EXIT_UNREACHABLE, "no answer in time", 0);
        if (count < 0)
            return fail(client, CTL_EXIT_UNREACHABLE, "connection lost", count);
        ctl_answer_take(answer, bytes, (size_t)count);
    }
    return CTL_EXIT_MORE;
}

static enum ctl_exit send_line(struct client *client, const char *line)
{
    char text[CTL_LINE_MAX + 2];
    int length = snprintf(text, sizeof(text), "%s\n", line);
    if (length < 0 || (size_t)length >= sizeof(text))
        return fail(client, CTL_EXIT_USAGE, "the command is too long", 0);
    int sent = 0;
    while (sent < length) {
        int count = mbedtls_ssl_write(&client->ssl, (const unsigned char *)text + sent,
                                      (size_t)(length - sent));
        if (count < 0 && count != MBEDTLS_ERR_SSL_WANT_READ)
            return fail(client, CTL_EXIT_UNREACHABLE, "cannot send", count);
        sent += count > 0 ? count : 0;
    }
    return CTL_EXIT_MORE;
}

static void note_elsewhere(struct client_elsewhere *elsewhere, const struct ctl_answer *answer)
{
    if (!answer->moved)
        return;
    snprintf(elsewhere->line, sizeof(elsewhere->line), "%s", answer->line);
    if (!ctl_answer_elsewhere(answer, elsewhere->node, sizeof(elsewhere->node), elsewhere->address,
                              sizeof(elsewhere->address)))
        elsewhere->node[0] = '\0';
}

static enum ctl_exit converse(struct client *client, const char *line, uint32_t silence_ms,
                              FILE *out, struct client_elsewhere *elsewhere)
{
    struct ctl_answer answer;
    ctl_answer_init(&answer, out, client->errors);
    enum ctl_exit status = read_part(client, &answer);
    if (status != CTL_EXIT_MORE)
        return status;
    if (!answer.greeted)
        return fail(client, CTL_EXIT_UNREACHABLE, "does not greet as a Holdfast console", 0);
    client->part_by_ms = 0;
    status = send_line(client, line);
    if (status != CTL_EXIT_MORE)
        return status;
    mbedtls_ssl_conf_read_timeout(&client->ssl_config, silence_ms);
    if (silence_ms != 0)
        limit_part(client, client->config->answer_ms);
    status = read_part(client, &answer);
    if (status != CTL_EXIT_MORE)
        return status;
    mbedtls_ssl_close_notify(&client->ssl);
    note_elsewhere(elsewhere, &answer);
    if (answer.misused)
        return CTL_EXIT_USAGE;
    return answer.refused ? CTL_EXIT_REFUSED : CTL_EXIT_OK;
}

static void client_init(struct client *client, const struct client_config *config, FILE *errors)
{
    client->config = config;
    client->errors = errors;
    client->part_by_ms = 0;
    mbedtls_net_init(&client->net);
    mbedtls_entropy_init(&client->entropy);
    mbedtls_ctr_drbg_init(&client->random);
    mbedtls_x509_crt_init(&client->ca);
    mbedtls_x509_crt_init(&client->cert);
    mbedtls_pk_init(&client->key);
    mbedtls_ssl_config_init(&client->ssl_config);
    mbedtls_ssl_init(&client->ssl);
}

static void client_free(struct client *client)
{
    mbedtls_ssl_free(&client->ssl);
    mbedtls_ssl_config_free(&client->ssl_config);
    mbedtls_pk_free(&client->key);
    mbedtls_x509_crt_free(&client->cert);
    mbedtls_x509_crt_free(&client->ca);
    mbedtls_ctr_drbg_free(&client->random);
    mbedtls_entropy_free(&client->entropy);
    mbedtls_net_free(&client->net);
}

bool client_is_issuer(const struct conf *conf, const char *name)
{
    for (uint8_t i = 0; i < conf->issuer_count; i++) {
        if (strcmp(conf->issuer[i].id.text, name) == 0)
            return true;
    }
    return false;
}

enum ctl_exit client_call(const struct client_config *config, const char *line, uint32_t silence_ms,
                          FILE *out, FILE *errors, struct client_elsewhere *elsewhere)
{
    struct client client;
    memset(elsewhere, 0, sizeof(*elsewhere));
    client_init(&client, config, errors);
    enum ctl_exit status = load_files(&client);
    if (status == CTL_EXIT_MORE)
        status = open_socket(&client);
    if (status == CTL_EXIT_MORE)
        status = set_up_tls(&client);
    if (status == CTL_EXIT_MORE)
        status = shake_hands(&client);
    if (status == CTL_EXIT_MORE)
        status = converse(&client, line, silence_ms, out, elsewhere);
    client_free(&client);
    return status;
}
