/* The console's client, against a small console of its own: whom it trusts, what it prints. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

#include "ctl/client.h"
#include "ctl/pki.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

/* Certificates of any dates; the function of ctl/pki.h of that name is another. */
#define pki_issue pki_issue_any
#include "tests/unit/peer/pki.h"
#undef pki_issue

/* One console that takes one connection, answers one line and says `after` the greeting. */
struct console {
    char cert[128];
    char key[128];
    char ca[128];
    const char *greeting; /* up to and with the first prompt */
    const char *answer;   /* NULL: says nothing more */
    atomic_bool silent;   /* and does not hang up before the client does */
    atomic_bool drips;    /* a byte of its greeting now and then, without end */
    atomic_bool trickles; /* likewise of its answer */
    int listen_fd;
    int port;
    char heard[600]; /* the line that arrived */
    pthread_t thread;
};

struct fixture {
    char folder[64];
    char out[1024];
    char errors[1024];
    const char *node; /* whom the client asks for */
    const struct conf *issuers;
    uint32_t greeting_ms;
    uint32_t answer_ms;
    struct client_elsewhere elsewhere;
    struct console console;
};

static const char greeting[] = "holdfast board-a console, role viewer\nholdfast> ";

static void file_of(const struct fixture *fix, const char *name, char *out)
{
    snprintf(out, 128, "%s/%s", fix->folder, name);
}

/* ---- the small console */

static void talk(struct console *console, mbedtls_ssl_context *ssl)
{
    size_t used = 0;
    int count;
    while (console->drips && mbedtls_ssl_write(ssl, (const unsigned char *)"h", 1) == 1)
        usleep(10000);
    if (console->drips)
        return;
    mbedtls_ssl_write(ssl, (const unsigned char *)console->greeting, strlen(console->greeting));
    while (!memchr(console->heard, '\n', used) && used < sizeof(console->heard) - 1) {
        count = mbedtls_ssl_read(ssl, (unsigned char *)console->heard + used,
                                 sizeof(console->heard) - 1 - used);
        if (count <= 0)
            return;
        used += (size_t)count;
    }
    while (console->trickles && mbedtls_ssl_write(ssl, (const unsigned char *)"x", 1) == 1)
        usleep(10000);
    if (console->trickles)
        return;
    if (console->answer)
        mbedtls_ssl_write(ssl, (const unsigned char *)console->answer, strlen(console->answer));
    unsigned char more;
    if (console->silent)
        (void)mbedtls_ssl_read(ssl, &more, 1);
    mbedtls_ssl_close_notify(ssl);
}

struct server {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    mbedtls_net_context net;
};

static int prepare(struct server *server, const struct console *console)
{
    mbedtls_entropy_init(&server->entropy);
    mbedtls_ctr_drbg_init(&server->random);
    mbedtls_x509_crt_init(&server->ca);
    mbedtls_x509_crt_init(&server->cert);
    mbedtls_pk_init(&server->key);
    mbedtls_ssl_config_init(&server->config);
    mbedtls_ssl_init(&server->ssl);
    mbedtls_net_init(&server->net);
    if (mbedtls_ctr_drbg_seed(&server->random, mbedtls_entropy_func, &server->entropy, NULL, 0) ||
        mbedtls_x509_crt_parse_file(&server->ca, console->ca) ||
        mbedtls_x509_crt_parse_file(&server->cert, console->cert) ||
        mbedtls_pk_parse_keyfile(&server->key, console->key, NULL) ||
        mbedtls_ssl_config_defaults(&server->config, MBEDTLS_SSL_IS_SERVER,
                                    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT))
        return -1;
    mbedtls_ssl_conf_rng(&server->config, mbedtls_ctr_drbg_random, &server->random);
    mbedtls_ssl_conf_ca_chain(&server->config, &server->ca, NULL);
    mbedtls_ssl_conf_authmode(&server->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_own_cert(&server->config, &server->cert, &server->key);
    return mbedtls_ssl_setup(&server->ssl, &server->config);
}

static void *serve(void *argument)
{
    struct console *console = argument;
    struct server server;
    struct pollfd caller = { .fd = console->listen_fd, .events = POLLIN };
    int prepared = prepare(&server, console);
    /* A test whose client never calls must end all the same. */
    if (prepared == 0 && poll(&caller, 1, 5000) == 1)
        server.net.fd = accept(console->listen_fd, NULL, NULL);
    if (server.net.fd >= 0) {
        mbedtls_ssl_set_bio(&server.ssl, &server.net, mbedtls_net_send, mbedtls_net_recv, NULL);
        if (mbedtls_ssl_handshake(&server.ssl) == 0)
            talk(console, &server.ssl);
    }
    mbedtls_net_free(&server.net);
    mbedtls_ssl_free(&server.ssl);
    mbedtls_ssl_config_free(&server.config);
    mbedtls_pk_free(&server.key);
    mbedtls_x509_crt_free(&server.cert);
    mbedtls_x509_crt_free(&server.ca);
    mbedtls_ctr_drbg_free(&server.random);
    mbedtls_entropy_free(&server.entropy);
    return NULL;
}

static void start(struct fixture *fix, const char *identity, const char *hello, const char *answer)
{
    struct console *console = &fix->console;
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof(at);
    char name[64];
    memset(console, 0, sizeof(*console));
    snprintf(name, sizeof(name), "%s.crt", identity);
    file_of(fix, name, console->cert);
    snprintf(name, sizeof(name), "%s.key", identity);
    file_of(fix, name, console->key);
    file_of(fix, "ca.crt", console->ca);
    console->greeting = hello;
    console->answer = answer;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    console->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(console->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(console->listen_fd, 1), 0);
    getsockname(console->listen_fd, (struct sockaddr *)&at, &size);
    console->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&console->thread, NULL, serve, console), 0);
}

static void stop(struct fixture *fix)
{
    pthread_join(fix->console.thread, NULL);
    close(fix->console.listen_fd);
}

/* ---- the client's side */

static enum ctl_exit call(struct fixture *fix, const char *ca_name, const char *address,
                          uint32_t silence_ms)
{
    char ca[128];
    char cert[128];
    char key[128];
    file_of(fix, ca_name, ca);
    file_of(fix, "alice.crt", cert);
    file_of(fix, "alice.key", key);
    const struct client_config config = { .address = address,
                                          .node = fix->node,
                                          .issuers = fix->issuers,
                                          .ca = ca,
                                          .cert = cert,
                                          .key = key,
                                          .greeting_ms = fix->greeting_ms,
                                          .answer_ms = fix->answer_ms };
    memset(fix->out, 0, sizeof(fix->out));
    memset(fix->errors, 0, sizeof(fix->errors));
    FILE *out = fmemopen(fix->out, sizeof(fix->out), "w");
    FILE *errors = fmemopen(fix->errors, sizeof(fix->errors), "w");
    enum ctl_exit status =
        client_call(&config, "leases --json", silence_ms, out, errors, &fix->elsewhere);
    fclose(out);
    fclose(errors);
    return status;
}

static enum ctl_exit call_console(struct fixture *fix, const char *ca_name, uint32_t silence_ms)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%d", fix->console.port);
    return call(fix, ca_name, address, silence_ms);
}

static bool make(const char *folder, bool (*command)(const struct pki_request *), const char *name,
                 const char *role, FILE *quiet)
{
    const struct pki_request request = { .folder = folder,
                                         .name = name,
                                         .role = role,
                                         .days = 30,
                                         .force = true,
                                         .out = quiet,
                                         .errors = stderr };
    return command(&request);
}

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    char made[128];
    char other[128];
    *state = fix;
    snprintf(fix->folder, sizeof(fix->folder), "/tmp/holdfast-ctl-XXXXXX");
    FILE *quiet = fopen("/dev/null", "w");
    if (!mkdtemp(fix->folder) || !quiet)
        return 1;
    bool done = make(fix->folder, pki_init, "other", NULL, quiet) &&
                make(fix->folder, pki_issue, "stranger", "node", quiet);
    file_of(fix, "ca.crt", made);
    file_of(fix, "other.crt", other);
    done = done && rename(made, other) == 0 && make(fix->folder, pki_init, "line-3", NULL, quiet) &&
           make(fix->folder, pki_issue, "board-a", "node", quiet) &&
           make(fix->folder, pki_issue, "alice", "operator", quiet);
    fclose(quiet);
    return done ? 0 : 1;
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    folder_remove(fix->folder);
    free(fix);
    return 0;
}

static void an_answer_is_printed_with_status_0(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", greeting, "{\"leases\":[]}\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_OK);
    stop(fix);
    assert_string_equal(fix->console.heard, "leases --json\n");
    assert_string_equal(fix->out, "{\"leases\":[]}\n");
}

static void a_refusal_has_status_1(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", greeting, "ERR 403 operators only\nholdfast> ");
    fix->node = "board-a";
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_REFUSED);
    stop(fix);
    fix->node = NULL;
    assert_string_equal(fix->out, "");
    assert_string_equal(fix->errors, "ERR 403 operators only\n");
}

static void a_command_that_the_console_does_not_know_has_status_2(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", greeting, "ERR 400 usage: leases\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_USAGE);
    stop(fix);
    assert_non_null(strstr(fix->errors, "ERR 400 usage: leases\n"));
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A watch has none: the limit is that of the command, not of the greeting. */
static void silence_has_the_limit_of_its_command(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", greeting, NULL);
    fix->console.silent = true;
    double began = seconds();
    assert_int_equal(call_console(fix, "ca.crt", 100), CTL_EXIT_UNREACHABLE);
    assert_true(seconds() - began < CLIENT_TIMEOUT_MS / 1000.0);
    stop(fix);
    assert_non_null(strstr(fix->errors, "no answer in time"));
}

/* Each byte is progress: the limit of a silence never comes. */
static void what_comes_by_drops_ends(struct fixture *fix, atomic_bool *drops, uint32_t *limit_ms)
{
    start(fix, "board-a", greeting, NULL);
    *drops = true;
    *limit_ms = 1000;
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    assert_non_null(strstr(fix->errors, "no answer in time"));
}

static void a_greeting_that_comes_by_drops_has_an_end(void **state)
{
    struct fixture *fix = *state;
    what_comes_by_drops_ends(fix, &fix->console.drips, &fix->greeting_ms);
}

static void an_answer_that_comes_by_drops_has_an_end(void **state)
{
    struct fixture *fix = *state;
    what_comes_by_drops_ends(fix, &fix->console.trickles, &fix->answer_ms);
}

static void a_console_of_another_ca_is_not_trusted(void **state)
{
    struct fixture *fix = *state;
    start(fix, "stranger", greeting, "x\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    assert_non_null(strstr(fix->errors, "not trusted"));
    assert_string_equal(fix->console.heard, "");
}

/* The clock is set: the client's own certificate has begun. */
static void a_console_whose_certificate_is_not_valid_yet_is_not_trusted(void **state)
{
    struct fixture *fix = *state;
    struct pki pki;
    char folder[sizeof(fix->folder)];
    pki_open(&pki);
    pki_issue_any(&pki, "ca", "future", "CN=future,O=test,OU=node", "20480101000000", PKI_TO);
    pki_issue_any(&pki, "ca", "alice", "CN=alice,O=test,OU=operator", PKI_FROM, PKI_TO);
    memcpy(folder, fix->folder, sizeof(folder));
    snprintf(fix->folder, sizeof(fix->folder), "%s", pki.folder);
    start(fix, "future", greeting, "x\nholdfast> ");
    enum ctl_exit status = call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS);
    stop(fix);
    memcpy(fix->folder, folder, sizeof(folder));
    pki_close(&pki);
    assert_int_equal(status, CTL_EXIT_UNREACHABLE);
    assert_non_null(strstr(fix->errors, "not trusted"));
    assert_string_equal(fix->console.heard, "");
}

static void a_console_whose_certificate_is_no_node_s_is_not_trusted(void **state)
{
    struct fixture *fix = *state;
    start(fix, "alice", greeting, "x\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    assert_non_null(strstr(fix->errors, "has the role \"operator\", must be node"));
    assert_string_equal(fix->console.heard, "");
}

static void a_console_of_another_node_is_sent_no_command(void **state)
{
    struct fixture *fix = *state;
    fix->node = "board-b";
    start(fix, "board-a", greeting, "x\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    fix->node = NULL;
    assert_non_null(strstr(fix->errors, "its certificate is of node \"board-a\", must be board-b"));
    assert_string_equal(fix->console.heard, "");
}

static void the_console_of_the_node_asked_for_answers(void **state)
{
    struct fixture *fix = *state;
    fix->node = "board-a";
    start(fix, "board-a", greeting, "{}\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_OK);
    stop(fix);
    fix->node = NULL;
}

static void where_any_node_will_do_it_is_said_which_answered(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", greeting, "{}\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_OK);
    stop(fix);
    assert_non_null(strstr(fix->errors, ": asked board-a, any node will do without --node\n"));
}

static void set_issuers(struct conf *conf, const char *last)
{
    static const char *const names[] = { "issuer-1", "issuer-2" };
    memset(conf, 0, sizeof(*conf));
    snprintf(conf->file, sizeof(conf->file), "line-3.conf");
    conf->issuer_count = 3;
    for (size_t i = 0; i < 3; i++)
        snprintf(conf->issuer[i].id.text, sizeof(conf->issuer[i].id.text), "%s",
                 i < 2 ? names[i] : last);
}

/* A board's key is in the field: it does not answer an act in the place of an issuer. */
static void where_an_issuer_is_asked_a_board_is_sent_no_command(void **state)
{
    struct fixture *fix = *state;
    struct conf conf;
    set_issuers(&conf, "issuer-3");
    fix->issuers = &conf;
    start(fix, "board-a", greeting, "done\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    fix->issuers = NULL;
    assert_non_null(strstr(
        fix->errors, ": its certificate is of node \"board-a\", must be issuer-1, issuer-2 or "
                     "issuer-3, the issuers of line-3.conf, or the one that --node names\n"));
    assert_string_equal(fix->console.heard, "");
}

static void one_that_is_among_the_issuers_is_asked(void **state)
{
    struct fixture *fix = *state;
    struct conf conf;
    set_issuers(&conf, "board-a");
    fix->issuers = &conf;
    start(fix, "board-a", greeting, "done\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_OK);
    stop(fix);
    fix->issuers = NULL;
    assert_string_equal(fix->errors, "");
}

static void so_is_the_one_that_was_named_whoever_the_issuers_are(void **state)
{
    struct fixture *fix = *state;
    struct conf conf;
    set_issuers(&conf, "issuer-3");
    fix->issuers = &conf;
    fix->node = "board-a";
    start(fix, "board-a", greeting, "done\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_OK);
    stop(fix);
    fix->issuers = NULL;
    fix->node = NULL;
}

static void an_answer_cut_short_is_no_answer(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", greeting, "half an answ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    assert_non_null(strstr(fix->errors, "before its answer was whole"));
}

static void another_service_is_sent_no_command(void **state)
{
    struct fixture *fix = *state;
    start(fix, "board-a", "SSH-2.0\nholdfast> ", "x\nholdfast> ");
    assert_int_equal(call_console(fix, "ca.crt", CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    stop(fix);
    assert_non_null(strstr(fix->errors, "does not greet"));
    assert_string_equal(fix->console.heard, "");
}

static void a_closed_port_has_status_3_at_once(void **state)
{
    struct fixture *fix = *state;
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof(at);
    char address[32];
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Bound and not listening: nobody else can take the port meanwhile. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(call(fix, "ca.crt", address, CLIENT_TIMEOUT_MS), CTL_EXIT_UNREACHABLE);
    close(fd);
    assert_non_null(strstr(fix->errors, "Connection refused"));
}

static void an_address_or_file_that_cannot_be_used_has_status_2(void **state)
{
    struct fixture *fix = *state;
    static const char *const addresses[] = { "", "7443", "host", ":1", "a:b:c", "host:" };
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_int_equal(call(fix, "ca.crt", addresses[i], CLIENT_TIMEOUT_MS), CTL_EXIT_USAGE);
        assert_non_null(strstr(fix->errors, "must be HOST:PORT"));
    }
    assert_int_equal(call(fix, "none.crt", "127.0.0.1:1", CLIENT_TIMEOUT_MS), CTL_EXIT_USAGE);
    assert_non_null(strstr(fix->errors, "none.crt: cannot read"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_printed_with_status_0),
        cmocka_unit_test(a_refusal_has_status_1),
        cmocka_unit_test(a_command_that_the_console_does_not_know_has_status_2),
        cmocka_unit_test(silence_has_the_limit_of_its_command),
        cmocka_unit_test(a_greeting_that_comes_by_drops_has_an_end),
        cmocka_unit_test(an_answer_that_comes_by_drops_has_an_end),
        cmocka_unit_test(a_console_of_another_ca_is_not_trusted),
        cmocka_unit_test(a_console_whose_certificate_is_not_valid_yet_is_not_trusted),
        cmocka_unit_test(a_console_whose_certificate_is_no_node_s_is_not_trusted),
        cmocka_unit_test(a_console_of_another_node_is_sent_no_command),
        cmocka_unit_test(the_console_of_the_node_asked_for_answers),
        cmocka_unit_test(where_any_node_will_do_it_is_said_which_answered),
        cmocka_unit_test(where_an_issuer_is_asked_a_board_is_sent_no_command),
        cmocka_unit_test(one_that_is_among_the_issuers_is_asked),
        cmocka_unit_test(so_is_the_one_that_was_named_whoever_the_issuers_are),
        cmocka_unit_test(an_answer_cut_short_is_no_answer),
        cmocka_unit_test(another_service_is_sent_no_command),
        cmocka_unit_test(a_closed_port_has_status_3_at_once),
        cmocka_unit_test(an_address_or_file_that_cannot_be_used_has_status_2),
    };
    /* As holdfastctl itself does. */
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
