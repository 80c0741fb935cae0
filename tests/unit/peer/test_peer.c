/* Hubs in one loop: links, order, redial, and every refusal with its log line. */
#include "tests/unit/support/unit.h"

#include "peer/frame.h"
#include "peer/peer.h"
#include "tests/unit/peer/client.h"

enum { LOG_BYTES = 16384, FRAMES = 10000, WINDOW = 32 };

static struct pki pki;
static uv_loop_t loop;

struct node {
    struct peer_hub *hub;
    struct tls_identity *identity;
    struct wire_hello self;
    struct hf_name other; /* whom it sends frames to */
    unsigned ups;
    unsigned downs;
    char down_reason[200];
    uint64_t received; /* query frames; each carries its number */
    uint64_t sent;
    bool in_order;
    bool pumping; /* answers each frame with the next of its own */
    bool sending; /* inside peer_send() */
    bool stops_on_message;
    size_t echoes; /* frames that it answers each with */
    bool doubts;   /* it takes nobody for an issuer */
    bool gone;
    char log[LOG_BYTES];
};

static struct wire_message scratch;
static uint8_t envelope[WIRE_FRAME_MAX];

static size_t encode_query(uint64_t id, size_t text_length)
{
    scratch.kind = WIRE_QUERY;
    memset(&scratch.query, 0, sizeof(scratch.query));
    scratch.query.id = id;
    name_from_string(&scratch.query.who, "ops");
    scratch.query.length = (uint16_t)text_length;
    memset(scratch.query.text, 'x', text_length);
    return wire_encode(&scratch, envelope, sizeof(envelope));
}

static bool node_send(struct node *node, size_t text_length)
{
    size_t length = encode_query(node->sent, text_length);
    assert_true(length > 0);
    node->sending = true;
    bool taken = peer_send(node->hub, &node->other, (struct bytes){ envelope, length });
    node->sending = false;
    node->sent += taken;
    return taken;
}

static void on_gone(void *context)
{
    *(bool *)context = true;
}

static void on_up(void *context, const struct wire_hello *hello)
{
    struct node *node = context;
    assert_true(peer_is_up(node->hub, &hello->node));
    assert_int_equal(node->ups, node->downs);
    node->ups++;
    node->other = hello->node;
}

static void on_down(void *context, const struct hf_name *name, const char *reason)
{
    struct node *node = context;
    assert_false(node->sending);
    assert_true(name_equal(name, &node->other));
    node->downs++;
    snprintf(node->down_reason, sizeof(node->down_reason), "%s", reason);
}

static void on_message(void *context, const struct hf_name *name,
                       const struct wire_message *message)
{
    struct node *node = context;
    assert_true(name_equal(name, &node->other));
    assert_int_equal(message->kind, WIRE_QUERY);
    node->in_order = node->in_order && message->query.id == node->received;
    node->received++;
    if (node->stops_on_message)
        peer_hub_close(node->hub, on_gone, &node->gone);
    if (node->pumping && node->sent < FRAMES)
        assert_true(node_send(node, (size_t)(node->sent % 700)));
    for (size_t i = 0; i < node->echoes; i++)
        (void)node_send(node, 2000);
}

static bool is_issuer(void *context, const struct hf_name *name)
{
    const struct node *node = context;
    (void)name;
    return !node->doubts;
}

static void on_log(void *context, int level, const char *line)
{
    struct node *node = context;
    size_t used = strlen(node->log);
    assert_true(level >= 3 && level <= 7);
    assert_null(strchr(line, '\n'));
    snprintf(node->log + used, sizeof(node->log) - used, "%s\n", line);
}

static struct wire_hello hello_of(const char *id, bool issuer)
{
    struct wire_hello hello = { .version = WIRE_VERSION, .issuer = issuer, .agent = !issuer };
    name_from_string(&hello.node, id);
    text_copy(hello.cluster, sizeof(hello.cluster), "line-3");
    return hello;
}

static void node_open(struct node *node, const char *ca, const char *certificate)
{
    node->identity = pki_load(&pki, ca, certificate);
    node->in_order = true;
}

/* `listen`: port, 0 for any; -1: none. Dials `to`, an id at a port, unless NULL. */
static void node_start(struct node *node, int listen, const char *to, uint16_t to_port)
{
    static const struct peer_events callbacks = { .on_up = on_up,
                                                  .on_down = on_down,
                                                  .on_message = on_message,
                                                  .is_issuer = is_issuer,
                                                  .on_log = on_log };
    struct peer_events events = callbacks;
    struct peer_config config = { .self = node->self,
                                  .identity = node->identity,
                                  .random_seed = 42 };
    char here[32];
    char there[32];
    char error[TLS_TEXT_MAX] = "";
    events.context = node;
    if (listen >= 0) {
        snprintf(here, sizeof(here), "127.0.0.1:%d", listen);
        config.listen = here;
    }
    if (to != NULL) {
        snprintf(there, sizeof(there), "127.0.0.1:%u", to_port);
        config.dial_count = 1;
        name_from_string(&config.dial[0].id, to);
        config.dial[0].address = there;
    }
    node->gone = false;
    node->hub = peer_hub_create(&loop, &config, &events, error, sizeof(error));
    if (node->hub == NULL)
        fail_msg("%s", error);
}

static void node_stop(struct node *node)
{
    peer_hub_close(node->hub, on_gone, &node->gone);
    assert_true(run_until(&loop, is_set, &node->gone));
}

static void node_end(struct node *node)
{
    node_stop(node);
    tls_identity_free(node->identity);
}

static struct node a;
static struct node b;

/* board-a listens as an issuer; board-b, an agent, dials it. */
static void open_pair(void)
{
    a.self = hello_of("board-a", true);
    b.self = hello_of("board-b", false);
    node_open(&a, "ca", "board-a");
    node_open(&b, "ca", "board-b");
    node_start(&a, 0, NULL, 0);
}

static bool both_up(void *context)
{
    (void)context;
    return a.ups > a.downs && b.ups > b.downs;
}

static void start_pair(void)
{
    open_pair();
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    assert_true(run_until(&loop, both_up, NULL));
}

static void end_pair(void)
{
    node_end(&b);
    node_end(&a);
}

static int setup(void **state)
{
    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    return uv_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    return uv_loop_close(&loop);
}

/* ---- the good case */

static bool all_received(void *context)
{
    (void)context;
    return a.received == FRAMES && b.received == FRAMES;
}

static void ten_thousand_frames_go_both_ways_in_order(void **state)
{
    (void)state;
    start_pair();
    a.pumping = true;
    b.pumping = true;
    for (int i = 0; i < WINDOW; i++) {
        assert_true(node_send(&a, 100));
        assert_true(node_send(&b, 100));
    }
    assert_true(run_until(&loop, all_received, NULL));
    assert_true(a.in_order && b.in_order);
    assert_int_equal(a.downs + b.downs, 0);
    assert_non_null(strstr(a.log, "board-b: connected, 127.0.0.1:"));
    end_pair();
}

/* The sender is stopped right after: what it had not handed to the kernel would be lost. */
static void frame_is_in_the_kernel_when_peer_send_returns(void **state)
{
    (void)state;
    start_pair();
    assert_true(node_send(&b, 10));
    peer_hub_close(b.hub, on_gone, &b.gone);
    assert_true(run_until(&loop, is_set, &b.gone));
    for (int turn = 0; turn < 1000 && a.received == 0; turn++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(a.received, 1);
    node_end(&a);
    tls_identity_free(b.identity);
}

static bool b_is_down(void *context)
{
    (void)context;
    return b.downs > 0 && b.ups == b.downs;
}

static bool b_complained(void *context)
{
    (void)context;
    return strstr(b.log, "no connection, trying on") != NULL;
}

static void dialler_comes_back_after_the_listener_restarts(void **state)
{
    (void)state;
    start_pair();
    uint16_t port = peer_hub_port(a.hub);
    node_stop(&a);
    assert_true(run_until(&loop, b_is_down, NULL));
    assert_false(peer_is_up(b.hub, &b.other));
    assert_false(node_send(&b, 1));
    assert_true(run_until(&loop, b_complained, NULL));
    a.ups = 0;
    node_start(&a, port, NULL, 0);
    assert_true(run_until(&loop, both_up, NULL));
    assert_int_equal(b.ups, 2);
    assert_true(node_send(&b, 1));
    end_pair();
}

static void of_two_issuers_the_smaller_id_dials(void **state)
{
    (void)state;
    a.self = hello_of("board-a", true);
    b.self = hello_of("board-b", true);
    node_open(&a, "ca", "board-a");
    node_open(&b, "ca", "board-b");
    node_start(&b, 0, "board-a", 1);
    node_start(&a, 0, "board-b", peer_hub_port(b.hub));
    assert_true(run_until(&loop, both_up, NULL));
    assert_null(strstr(b.log, "no connection"));
    end_pair();
}

/* Two issuers, neither of which dials. */
static void start_issuers(void)
{
    a.self = hello_of("board-a", true);
    b.self = hello_of("board-b", true);
    node_open(&a, "ca", "board-a");
    node_open(&b, "ca", "board-b");
    node_start(&a, 0, NULL, 0);
    node_start(&b, 0, NULL, 0);
}

static void dial(const struct node *from, const char *id, const struct node *to)
{
    char there[32];
    struct hf_name name;
    assert_true(name_from_string(&name, id));
    snprintf(there, sizeof(there), "127.0.0.1:%u", peer_hub_port(to->hub));
    peer_hub_dial(from->hub, &name, there);
}

static void on_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Long enough for several tries to dial. */
static void run_a_while(void)
{
    uv_timer_t timer;
    bool over = false;
    uv_timer_init(&loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, on_over, 300, 0);
    assert_true(run_until(&loop, is_set, &over));
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* It knows that the smaller one need not dial it. */
static void issuer_that_dials_all_does_so_at_once(void **state)
{
    (void)state;
    start_issuers();
    dial(&b, "board-a", &a);
    uint64_t since_ms = uv_now(&loop);
    peer_hub_dial_all(b.hub, true);
    assert_true(run_until(&loop, both_up, NULL));
    assert_true(uv_now(&loop) - since_ms < PEER_DIAL_LATE_MS);
    end_pair();
}

/* The smaller one may not know that it is to dial. */
static void issuer_dials_a_smaller_id_that_does_not_come(void **state)
{
    (void)state;
    start_issuers();
    uint64_t since_ms = uv_now(&loop);
    dial(&b, "board-a", &a);
    assert_true(run_until(&loop, both_up, NULL));
    assert_true(uv_now(&loop) - since_ms >= PEER_DIAL_LATE_MS);
    uint16_t port = peer_hub_port(a.hub);
    node_stop(&a);
    a.ups = 0;
    node_start(&a, port, NULL, 0);
    assert_true(run_until(&loop, both_up, NULL));
    end_pair();
}

/* Two that dial each other would take each other's connection away for ever. */
static void who_is_up_by_its_own_connection_is_not_dialled_until_that_ends(void **state)
{
    (void)state;
    start_issuers();
    peer_hub_dial_all(b.hub, true);
    dial(&b, "board-a", &a);
    assert_true(run_until(&loop, both_up, NULL));
    dial(&a, "board-b", &b);
    run_a_while();
    assert_int_equal(a.ups, 1);
    assert_int_equal(b.ups, 1);
    uint16_t port = peer_hub_port(b.hub);
    node_stop(&b);
    b.ups = 0;
    node_start(&b, port, NULL, 0);
    assert_true(run_until(&loop, both_up, NULL));
    end_pair();
}

/* Both dial at once: one of the two connections stays, the smaller id's. */
static void of_two_that_dial_each_other_at_once_one_connection_stays(void **state)
{
    (void)state;
    start_issuers();
    peer_hub_dial_all(b.hub, true);
    dial(&a, "board-b", &b);
    dial(&b, "board-a", &a);
    assert_true(run_until(&loop, both_up, NULL));
    run_a_while();
    assert_true(both_up(NULL));
    assert_true(a.ups <= 2 && b.ups <= 2);
    end_pair();
}

static bool both_are_down(void *context)
{
    (void)context;
    return a.ups == a.downs && b.ups == b.downs;
}

/* ---- slow processors */

/* A peer of the test's own, as far as TCP goes. */
static uint16_t plain_listen(int *fd)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(*fd >= 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(*fd, 8), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

struct plain {
    int listens;
    int fd; /* -1: nobody has come */
};

static bool plain_has_come(void *context)
{
    struct plain *plain = context;
    plain->fd = accept4(plain->listens, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return plain->fd >= 0;
}

static bool plain_has_heard(void *context)
{
    char bytes[512];
    const struct plain *plain = context;
    return recv(plain->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK) > 5;
}

static bool plain_is_over(void *context)
{
    return plain_is_closed(((const struct plain *)context)->fd);
}

static int no_answer(void *context, unsigned char *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
    return MBEDTLS_ERR_SSL_WANT_READ;
}

/* Says a ClientHello and no more: a handshake that is under way for as long as it is let. */
static int begin_handshake(uint16_t port)
{
    mbedtls_net_context net = { plain_connect(port) };
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &pki.random);
    assert_int_equal(mbedtls_ssl_setup(&ssl, &config), 0);
    mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, no_answer, NULL);
    assert_int_equal(mbedtls_ssl_handshake(&ssl), MBEDTLS_ERR_SSL_WANT_READ);
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    return net.fd;
}

/* A second handshake beside the peer's own would make both slower, where they are slow. */
static void issuer_waits_for_the_handshake_of_a_smaller_id_that_is_under_way(void **state)
{
    struct plain smaller = { .fd = -1 };
    (void)state;
    uint16_t port = plain_listen(&smaller.listens);
    b.self = hello_of("board-b", true);
    node_open(&b, "ca", "board-b");
    node_start(&b, 0, "board-a", port);
    const struct plain under_way = { .fd = begin_handshake(peer_hub_port(b.hub)) };
    /* It ends by its time limit, later than a late dial would be due. */
    assert_true(run_until(&loop, plain_has_come, &smaller));
    char flight[512];
    while (recv(under_way.fd, flight, sizeof(flight), MSG_DONTWAIT) > 0)
        continue;
    assert_true(plain_is_closed(under_way.fd));
    close(under_way.fd);
    close(smaller.fd);
    close(smaller.listens);
    node_end(&b);
}

/* At once, it would find both processors as busy. */
static void handshake_that_was_answered_and_too_slow_is_tried_again_after_as_long(void **state)
{
    struct plain slow = { .fd = -1 };
    (void)state;
    uint16_t port = plain_listen(&slow.listens);
    b.self = hello_of("board-b", false);
    node_open(&b, "ca", "board-b");
    node_start(&b, -1, "board-a", port);
    assert_true(run_until(&loop, plain_has_come, &slow));
    assert_true(run_until(&loop, plain_has_heard, &slow));
    /* The head of a record whose rest does not come. */
    static const uint8_t head[] = { 22, 3, 3, 1, 0, 2 };
    assert_int_equal(send(slow.fd, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
    char hello[512];
    while (recv(slow.fd, hello, sizeof(hello), MSG_DONTWAIT) > 0)
        continue;
    assert_true(run_until(&loop, plain_is_over, &slow));
    uint64_t since_ms = uv_hrtime() / 1000000;
    close(slow.fd);
    assert_true(run_until(&loop, plain_has_come, &slow));
    assert_true(uv_hrtime() / 1000000 - since_ms >= PEER_HANDSHAKE_MS / 2 - 50);
    close(slow.fd);
    close(slow.listens);
    node_end(&b);
}

/* The owner learns of an issuer, of its new address, and that it has left. */
static void whom_to_dial_may_change(void **state)
{
    (void)state;
    char there[32];
    struct hf_name id;
    assert_true(name_from_string(&id, "board-a"));
    open_pair();
    node_start(&b, -1, NULL, 0);
    snprintf(there, sizeof(there), "127.0.0.1:%u", 1u);
    peer_hub_dial(b.hub, &id, there);
    assert_true(run_until(&loop, b_complained, NULL));
    assert_null(peer_hub_hello(b.hub, &id));
    snprintf(there, sizeof(there), "127.0.0.1:%u", peer_hub_port(a.hub));
    peer_hub_dial(b.hub, &id, there);
    assert_true(run_until(&loop, both_up, NULL));
    peer_hub_dial(b.hub, &id, there); /* no news */
    assert_true(peer_hub_hello(b.hub, &id)->issuer);
    assert_int_equal(b.ups, 1);
    peer_hub_forget(b.hub, &id);
    assert_true(run_until(&loop, both_are_down, NULL));
    assert_null(peer_hub_hello(b.hub, &id));
    peer_hub_dial(b.hub, &id, there);
    assert_true(run_until(&loop, both_up, NULL));
    assert_int_equal(b.ups, 2);
    end_pair();
}

static bool a_saw_two(void *context)
{
    (void)context;
    return a.ups >= 2 && a.downs >= 1;
}

static bool b_lost_one(void *context)
{
    (void)context;
    return b.downs >= 1;
}

static void newer_connection_of_an_identity_replaces_the_older(void **state)
{
    static struct node twin;
    (void)state;
    start_pair();
    memset(&twin, 0, sizeof(twin));
    twin.self = b.self;
    node_open(&twin, "ca", "board-b");
    node_start(&twin, -1, "board-a", peer_hub_port(a.hub));
    assert_true(run_until(&loop, a_saw_two, NULL));
    assert_true(run_until(&loop, b_lost_one, NULL));
    assert_string_equal(a.down_reason, "replaced by a newer connection");
    node_end(&twin);
    end_pair();
}

static void connection_above_its_queue_limit_is_closed(void **state)
{
    (void)state;
    start_pair();
    /* The loop does not run, so nobody reads: the kernel fills up, then the queue. */
    unsigned taken = 0;
    while (taken < 40000 && node_send(&b, 2000))
        taken++;
    assert_true(taken > PEER_QUEUE_MAX / 2100 && taken < 40000);
    assert_false(peer_is_up(b.hub, &b.other));
    assert_int_equal(b.downs, 0);
    assert_non_null(strstr(b.log, "output queue full"));
    assert_true(run_until(&loop, b_is_down, NULL));
    assert_true(run_until(&loop, both_up, NULL));
    end_pair();
}

static void hub_may_be_closed_from_its_own_callback(void **state)
{
    (void)state;
    start_pair();
    a.stops_on_message = true;
    for (int i = 0; i < 10; i++)
        assert_true(node_send(&b, 1));
    assert_true(run_until(&loop, is_set, &a.gone));
    assert_int_equal(a.received, 1);
    assert_int_equal(a.downs, 0);
    assert_true(run_until(&loop, b_is_down, NULL));
    node_end(&b);
    tls_identity_free(a.identity);
}

/* ---- refusals */

struct wait_for_line {
    const struct node *node;
    const char *line;
};

static bool line_is_there(void *context)
{
    const struct wait_for_line *wait = context;
    return strstr(wait->node->log, wait->line) != NULL;
}

static void expect_line(const struct node *node, const char *line)
{
    struct wait_for_line wait = { node, line };
    if (!run_until(&loop, line_is_there, &wait))
        fail_msg("no line \"%s\" in:\n%s", line, node->log);
}

static void wrong_cluster_name_is_named_on_both_sides(void **state)
{
    (void)state;
    open_pair();
    text_copy(b.self.cluster, sizeof(b.self.cluster), "line-4");
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    expect_line(&a, "refused: wrong cluster name: it belongs to \"line-4\", this node to "
                    "\"line-3\"");
    expect_line(&b, "refused: wrong cluster name: it belongs to \"line-3\", this node to "
                    "\"line-4\"");
    assert_int_equal(a.ups + b.ups, 0);
    end_pair();
}

static void cluster_whose_name_begins_like_this_ones_is_another(void **state)
{
    static const char *const names[] = { "line-33", "line-", "Line-3" };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char line[128];
        struct wait_for_line wait = { &a, line };
        open_pair();
        text_copy(b.self.cluster, sizeof(b.self.cluster), names[i]);
        node_start(&b, -1, "board-a", peer_hub_port(a.hub));
        snprintf(line, sizeof(line), "wrong cluster name: it belongs to \"%s\", this node to",
                 names[i]);
        bool told = run_until(&loop, line_is_there, &wait);
        unsigned ups = a.ups + b.ups;
        end_pair();
        assert_true(told);
        assert_int_equal(ups, 0);
    }
}

static void protocol_version_mismatch_is_named_on_both_sides(void **state)
{
    (void)state;
    open_pair();
    b.self.version = WIRE_VERSION + 1;
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    expect_line(&a, "refused: protocol version mismatch: it speaks version 2, this node 1");
    expect_line(&b, "refused: protocol version mismatch: it speaks version 1, this node 2");
    assert_int_equal(a.ups + b.ups, 0);
    end_pair();
}

static void wrong_ca_is_named(void **state)
{
    (void)state;
    a.self = hello_of("board-a", true);
    b.self = hello_of("board-b", false);
    node_open(&a, "ca", "board-a");
    node_open(&b, "other", "stranger");
    node_start(&a, 0, NULL, 0);
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    expect_line(&b, "board-a at 127.0.0.1:");
    expect_line(&b, "refused: wrong CA");
    expect_line(&a, "refused by the other side: it does not know the CA");
    assert_int_equal(a.ups + b.ups, 0);
    end_pair();
}

/* A client of its own against a hub; then a good peer still gets in. */
static void expect_client_refused(struct client *client, const char *line)
{
    open_pair();
    client->pki = &pki;
    client->port = peer_hub_port(a.hub);
    client_start(client);
    expect_line(&a, line);
    client_wait(&loop, client);
    assert_int_equal(a.ups, 0);
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    assert_true(run_until(&loop, both_up, NULL));
    end_pair();
}

static void wrong_ca_of_a_client_is_named(void **state)
{
    struct client client = { .certificate = "stranger" };
    (void)state;
    expect_client_refused(&client, "refused: wrong CA");
}

static void expired_certificate_is_named(void **state)
{
    struct client client = { .certificate = "old" };
    (void)state;
    expect_client_refused(&client, "refused: expired certificate");
}

static void wrong_role_certificate_is_named(void **state)
{
    struct client client = { .certificate = "ops" };
    (void)state;
    expect_client_refused(&client, "refused: wrong role certificate: OU of CN \"ops\" is "
                                   "\"operator\", must be \"node\"");
}

static size_t put_frame(uint8_t *out, const uint8_t *bytes, size_t length)
{
    frame_header_put(out, (uint32_t)length);
    memcpy(out + FRAME_HEADER_BYTES, bytes, length);
    return FRAME_HEADER_BYTES + length;
}

static size_t put_hello(uint8_t *out, const char *id)
{
    scratch.kind = WIRE_HELLO;
    scratch.hello = hello_of(id, false);
    return put_frame(out, envelope, wire_encode(&scratch, envelope, sizeof(envelope)));
}

static void foreign_identity_is_named(void **state)
{
    uint8_t bytes[512];
    struct client client = { .certificate = "board-c", .send = bytes };
    (void)state;
    client.send_length = put_hello(bytes, "board-b");
    expect_client_refused(&client, "refused: claimed foreign identity: it says \"board-b\", its "
                                   "certificate \"board-c\"");
}

static void own_name_at_the_other_side_is_refused(void **state)
{
    struct client client = { .certificate = "board-a" };
    (void)state;
    expect_client_refused(&client, "its certificate names this node, \"board-a\"");
}

static void another_node_than_the_one_dialled_is_refused(void **state)
{
    (void)state;
    open_pair();
    node_start(&b, -1, "board-c", peer_hub_port(a.hub));
    expect_line(&b, "refused: claimed foreign identity: dialled \"board-c\", its certificate names "
                    "\"board-a\"");
    end_pair();
}

static void frame_of_bad_length_is_named(void **state)
{
    uint8_t bytes[4] = { 0x00, 0x00, 0x40, 0x01 };
    struct client client = { .certificate = "board-c", .send = bytes, .send_length = 4 };
    (void)state;
    expect_client_refused(&client, "refused: bad frame: length 16385 bytes, 1 to 16384 are "
                                   "allowed");
}

static void undecodable_frame_is_named(void **state)
{
    uint8_t bytes[16];
    struct client client = { .certificate = "board-c", .send = bytes };
    (void)state;
    client.send_length = put_frame(bytes, (const uint8_t *)"\xff\xff\xff", 3);
    expect_client_refused(&client, "refused: bad frame: ");
}

static void message_before_the_hello_is_named(void **state)
{
    uint8_t bytes[512];
    struct client client = { .certificate = "board-c", .send = bytes };
    (void)state;
    client.send_length = put_frame(bytes, envelope, encode_query(1, 4));
    expect_client_refused(&client, "refused: bad frame: a message before the hello");
}

static void second_hello_is_named(void **state)
{
    uint8_t bytes[512];
    struct client client = { .pki = &pki, .certificate = "board-c", .send = bytes };
    (void)state;
    client.send_length = put_hello(bytes, "board-c");
    client.send_length += put_hello(bytes + client.send_length, "board-c");
    open_pair();
    client.port = peer_hub_port(a.hub);
    client_start(&client);
    expect_line(&a, "board-c at 127.0.0.1:");
    expect_line(&a, "refused: bad frame: a second hello");
    client_wait(&loop, &client);
    assert_int_equal(client.last[FRAME_HEADER_BYTES - 1] > 0, 1);
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    assert_true(run_until(&loop, both_up, NULL));
    end_pair();
}

static void plain_text_and_old_tls_are_refused_and_others_go_on(void **state)
{
    struct client client = { .pki = &pki,
                             .certificate = "board-c",
                             .version_minor = MBEDTLS_SSL_MINOR_VERSION_2 };
    (void)state;
    start_pair();
    int fd = plain_connect(peer_hub_port(a.hub));
    assert_int_equal(write(fd, "hello\r\n\r\n", 9), 9);
    expect_line(&a, "refused: no acceptable TLS");
    close(fd);
    client.port = peer_hub_port(a.hub);
    client_start(&client);
    client_wait(&loop, &client);
    assert_int_not_equal(client.handshake, 0);
    assert_int_equal(a.downs + b.downs, 0);
    assert_true(node_send(&b, 1));
    end_pair();
}

static void client_without_a_hello_is_ended_after_its_time(void **state)
{
    struct client client = { .pki = &pki, .certificate = "board-c" };
    (void)state;
    start_pair();
    client.port = peer_hub_port(a.hub);
    client_start(&client);
    client_wait(&loop, &client);
    assert_int_equal(client.handshake, 0);
    assert_int_equal(client.received, 0);
    expect_line(&a, "refused: no hello: none within 3000 ms");
    assert_int_equal(a.downs + b.downs, 0);
    end_pair();
}

/* ---- what one identity may cost */

/* More than the kernel keeps for a connection; few enough at once for PEER_QUEUE_MAX. */
enum { QUESTIONS = 400, QUESTION_BYTES = 900, ECHOES = 20, STILL_TURNS = 100 };

static uint8_t questions[512 + QUESTIONS * (QUESTION_BYTES + 64)];

static size_t put_questions(uint8_t *out)
{
    size_t used = put_hello(out, "board-c");
    for (uint64_t id = 0; id < QUESTIONS; id++)
        used += put_frame(out + used, envelope, encode_query(id, QUESTION_BYTES));
    assert_true(used <= sizeof(questions));
    return used;
}

static bool it_stands_still(void *context)
{
    static uint64_t seen;
    unsigned *turns = context;
    *turns = a.received > 0 && a.received == seen ? *turns + 1 : 0;
    seen = a.received;
    return *turns > STILL_TURNS || a.downs > 0;
}

static bool all_is_answered(void *context)
{
    (void)context;
    return a.received == QUESTIONS || a.downs > 0;
}

static void who_asks_and_does_not_listen_is_not_read_until_it_does(void **state)
{
    struct client client = {
        .pki = &pki, .certificate = "board-c", .send = questions, .deaf = true
    };
    unsigned turns = 0;
    (void)state;
    client.send_length = put_questions(questions);
    open_pair();
    a.doubts = true;
    a.echoes = ECHOES;
    client.port = peer_hub_port(a.hub);
    client_start(&client);
    assert_true(run_until(&loop, it_stands_still, &turns));
    assert_int_equal(a.downs, 0);
    assert_true(a.received < QUESTIONS);
    atomic_store(&client.deaf, false);
    assert_true(run_until(&loop, all_is_answered, NULL));
    assert_int_equal(a.downs, 0);
    assert_int_equal(a.sent, QUESTIONS * ECHOES);
    assert_true(a.in_order);
    node_stop(&a);
    client_wait(&loop, &client);
    tls_identity_free(a.identity);
    tls_identity_free(b.identity);
}

static bool all_but_two_ended(void *context)
{
    struct client *client = context;
    unsigned ended = 0;
    for (int i = 0; i < 6; i++)
        ended += client_has_ended(&client[i]);
    return ended >= 6 - PEER_GREETING_MAX;
}

static void connections_of_one_identity_without_a_hello_are_few(void **state)
{
    static struct client client[6];
    (void)state;
    start_pair();
    memset(client, 0, sizeof(client));
    for (int i = 0; i < 6; i++) {
        client[i] =
            (struct client){ .pki = &pki, .certificate = "board-c", .port = peer_hub_port(a.hub) };
        client_start(&client[i]);
    }
    assert_true(run_until(&loop, all_but_two_ended, client));
    assert_null(strstr(a.log, "no hello: none within"));
    for (int i = 0; i < 6; i++)
        client_wait(&loop, &client[i]);
    expect_line(&a, "no hello: none within"); /* the two that stayed */
    assert_int_equal(a.downs + b.downs, 0);
    end_pair();
}

static unsigned lines_with(const char *log, const char *words)
{
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static bool one_more_came(void *context)
{
    return a.ups > *(unsigned *)context && a.downs == a.ups;
}

static void coming_and_going_in_a_loop_is_told_a_few_times(void **state)
{
    (void)state;
    uint8_t bytes[512];
    size_t length = put_hello(bytes, "board-c");
    uint64_t began_ns = uv_hrtime();
    open_pair();
    for (unsigned seen = a.ups; seen < 20; seen = a.ups) {
        struct client client = {
            .pki = &pki, .certificate = "board-c", .send = bytes, .port = peer_hub_port(a.hub)
        };
        client.send_length = length + put_frame(bytes + length, (const uint8_t *)"\xff\xff", 2);
        client_start(&client);
        assert_true(run_until(&loop, one_more_came, &seen));
        client_wait(&loop, &client);
    }
    unsigned told =
        lines_with(a.log, "board-c: connected,") + lines_with(a.log, "board-c: disconnected:");
    /* Eight at once, and one more each six seconds, which a busy machine may need. */
    assert_in_range(told, 8, 8 + (uv_hrtime() - began_ns) / 6000000000);
    node_start(&b, -1, "board-a", peer_hub_port(a.hub)); /* others are told as ever */
    assert_true(run_until(&loop, both_up, NULL));
    expect_line(&a, "board-b: connected,");
    end_pair();
}

static void repeated_refusals_are_one_line(void **state)
{
    (void)state;
    open_pair();
    for (int i = 0; i < 5; i++) {
        struct client client = { .pki = &pki, .certificate = "ops", .port = peer_hub_port(a.hub) };
        client_start(&client);
        client_wait(&loop, &client);
    }
    const char *first = strstr(a.log, "wrong role");
    assert_non_null(first);
    assert_null(strstr(first + 1, "wrong role"));
    node_start(&b, -1, "board-a", peer_hub_port(a.hub));
    assert_true(run_until(&loop, both_up, NULL));
    end_pair();
}

static void certificate_of_another_name_or_role_does_not_start(void **state)
{
    static const char *const names[][2] = { { "board-b", "certificate names \"board-b\", must name "
                                                         "node.id, \"board-a\"" },
                                            { "ops", "certificate names \"ops\"" },
                                            { "viewer-a", "has OU \"viewer\", must be \"node\"" } };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct peer_events events = { .on_log = on_log };
        char error[TLS_TEXT_MAX] = "";
        struct tls_identity *identity = pki_load(&pki, "ca", names[i][0]);
        struct peer_config config = { .self = hello_of("board-a", true), .identity = identity };
        assert_null(peer_hub_create(&loop, &config, &events, error, sizeof(error)));
        assert_non_null(strstr(error, names[i][1]));
        tls_identity_free(identity);
    }
}

static int open_pki(void **state)
{
    (void)state;
    pki_open(&pki);
    pki_make_ca(&pki, "other", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "board-a", "CN=board-a,OU=node,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "board-b", "CN=board-b,OU=node,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "board-c", "CN=board-c,OU=node,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "viewer-a", "CN=board-a,OU=viewer,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "ops", "CN=ops,OU=operator,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "old", "CN=board-c,OU=node,O=line-3", PKI_FROM, "20200201000000");
    pki_issue(&pki, "other", "stranger", "CN=board-b,OU=node,O=line-3", PKI_FROM, PKI_TO);
    return 0;
}

static int close_pki(void **state)
{
    (void)state;
    pki_close(&pki);
    return 0;
}

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(ten_thousand_frames_go_both_ways_in_order),
        HUB_TEST(frame_is_in_the_kernel_when_peer_send_returns),
        HUB_TEST(dialler_comes_back_after_the_listener_restarts),
        HUB_TEST(of_two_issuers_the_smaller_id_dials),
        HUB_TEST(issuer_that_dials_all_does_so_at_once),
        HUB_TEST(issuer_dials_a_smaller_id_that_does_not_come),
        HUB_TEST(who_is_up_by_its_own_connection_is_not_dialled_until_that_ends),
        HUB_TEST(of_two_that_dial_each_other_at_once_one_connection_stays),
        HUB_TEST(issuer_waits_for_the_handshake_of_a_smaller_id_that_is_under_way),
        HUB_TEST(handshake_that_was_answered_and_too_slow_is_tried_again_after_as_long),
        HUB_TEST(whom_to_dial_may_change),
        HUB_TEST(newer_connection_of_an_identity_replaces_the_older),
        HUB_TEST(connection_above_its_queue_limit_is_closed),
        HUB_TEST(hub_may_be_closed_from_its_own_callback),
        HUB_TEST(wrong_cluster_name_is_named_on_both_sides),
        HUB_TEST(cluster_whose_name_begins_like_this_ones_is_another),
        HUB_TEST(protocol_version_mismatch_is_named_on_both_sides),
        HUB_TEST(wrong_ca_is_named),
        HUB_TEST(wrong_ca_of_a_client_is_named),
        HUB_TEST(expired_certificate_is_named),
        HUB_TEST(wrong_role_certificate_is_named),
        HUB_TEST(foreign_identity_is_named),
        HUB_TEST(own_name_at_the_other_side_is_refused),
        HUB_TEST(another_node_than_the_one_dialled_is_refused),
        HUB_TEST(frame_of_bad_length_is_named),
        HUB_TEST(undecodable_frame_is_named),
        HUB_TEST(message_before_the_hello_is_named),
        HUB_TEST(second_hello_is_named),
        HUB_TEST(plain_text_and_old_tls_are_refused_and_others_go_on),
        HUB_TEST(client_without_a_hello_is_ended_after_its_time),
        HUB_TEST(who_asks_and_does_not_listen_is_not_read_until_it_does),
        HUB_TEST(connections_of_one_identity_without_a_hello_are_few),
        HUB_TEST(coming_and_going_in_a_loop_is_told_a_few_times),
        HUB_TEST(repeated_refusals_are_one_line),
        HUB_TEST(certificate_of_another_name_or_role_does_not_start),
    };
    return cmocka_run_group_tests(tests, open_pki, close_pki);
}
