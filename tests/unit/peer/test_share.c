/* However much one link sends, and however small, it has its share of a turn, and others theirs. */
#include "tests/unit/support/unit.h"

#include "peer/peer_private.h"
#include "tests/unit/peer/client.h"

enum { FLOOD = 6000, PING_TURNS = 4 };

static struct pki pki;
static uv_loop_t loop;

struct node {
    struct peer_hub *hub;
    struct tls_identity *identity;
    struct hf_name id;
    bool gone;
};

static struct node server;
static struct node flooder;
static struct node honest;

static struct {
    unsigned up;
    unsigned flood; /* frames of the flooder that arrived */
    unsigned pings; /* and of the honest one */
    bool in_order;
} heard;

static struct wire_message scratch;
static uint8_t envelope[WIRE_FRAME_MAX];

static struct bytes encode(uint64_t id)
{
    scratch.kind = WIRE_QUERY;
    memset(&scratch.query, 0, sizeof(scratch.query));
    scratch.query.id = id;
    name_from_string(&scratch.query.who, "x");
    size_t length = wire_encode(&scratch, envelope, sizeof(envelope));
    assert_true(length > 0);
    return (struct bytes){ envelope, length };
}

static void on_up(void *context, const struct wire_hello *hello)
{
    (void)hello;
    heard.up += context == &server;
}

static void on_down(void *context, const struct hf_name *name, const char *reason)
{
    (void)context;
    (void)name;
    (void)reason;
}

static void on_message(void *context, const struct hf_name *name,
                       const struct wire_message *message)
{
    assert_ptr_equal(context, &server);
    if (!name_equal(name, &flooder.id)) {
        heard.pings++;
        return;
    }
    heard.in_order = heard.in_order && message->query.id == heard.flood;
    heard.flood++;
}

static void on_log(void *context, int level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void on_gone(void *context)
{
    *(bool *)context = true;
}

static struct wire_hello hello_of(const struct node *node)
{
    struct wire_hello hello = { .version = WIRE_VERSION,
                                .issuer = node == &server,
                                .agent = node != &server,
                                .node = node->id };
    text_copy(hello.cluster, sizeof(hello.cluster), "line-3");
    return hello;
}

static void node_start(struct node *node, const char *id, uint16_t to)
{
    const struct peer_events events = { .context = node,
                                        .on_up = on_up,
                                        .on_down = on_down,
                                        .on_message = on_message,
                                        .on_log = on_log };
    char error[TLS_TEXT_MAX] = "";
    char there[32];
    snprintf(there, sizeof(there), "127.0.0.1:%u", to);
    assert_true(name_from_string(&node->id, id));
    node->gone = false;
    node->identity = pki_load(&pki, "ca", id);
    struct peer_config config = { .self = hello_of(node),
                                  .identity = node->identity,
                                  .random_seed = 42 };
    if (to == 0)
        config.listen = "127.0.0.1:0";
    else {
        config.dial_count = 1;
        config.dial[0].id = server.id;
        config.dial[0].address = there;
    }
    node->hub = peer_hub_create(&loop, &config, &events, error, sizeof(error));
    if (node->hub == NULL)
        fail_msg("%s", error);
}

static void node_end(struct node *node)
{
    peer_hub_close(node->hub, on_gone, &node->gone);
    assert_true(run_until(&loop, is_set, &node->gone));
    tls_identity_free(node->identity);
}

static bool all_up(void *count)
{
    return heard.up == *(unsigned *)count;
}

static int set_up(void **state)
{
    (void)state;
    memset(&heard, 0, sizeof(heard));
    heard.in_order = true;
    assert_int_equal(uv_loop_init(&loop), 0);
    node_start(&server, "board-a", 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    node_end(&server);
    return uv_loop_close(&loop);
}

/* One turn of the loop; what of the flood it took is no more than a link's share. */
static void turn(uv_run_mode mode)
{
    unsigned before = heard.flood;
    uv_run(&loop, mode);
    assert_true(heard.flood - before <= LINK_TURN_STEPS);
}

static void others_are_heard_beside_a_flood_of_frames(void **state)
{
    (void)state;
    unsigned both = 2;
    node_start(&flooder, "board-b", peer_hub_port(server.hub));
    node_start(&honest, "board-c", peer_hub_port(server.hub));
    assert_true(run_until(&loop, all_up, &both));
    for (unsigned i = 0; i < FLOOD; i++)
        assert_true(peer_send(flooder.hub, &server.id, encode(i)));
    for (unsigned ping = 1; heard.flood < FLOOD / 2; ping++) {
        assert_true(peer_send(honest.hub, &server.id, encode(0)));
        for (unsigned turns = 0; heard.pings < ping; turns++) {
            assert_true(turns < PING_TURNS);
            turn(UV_RUN_NOWAIT);
        }
    }
    while (heard.flood < FLOOD)
        turn(UV_RUN_ONCE);
    assert_true(heard.in_order);
    node_end(&honest);
    node_end(&flooder);
}

/* The same, many frames to a record of TLS, of which each then goes over many turns. */
static void frames_that_came_together_are_taken_over_many_turns(void **state)
{
    (void)state;
    static uint8_t bytes[FLOOD * 32];
    size_t used = 0;
    assert_true(name_from_string(&flooder.id, "board-b"));
    const struct wire_message hello = { .kind = WIRE_HELLO, .hello = hello_of(&flooder) };
    size_t length = wire_encode(&hello, bytes + FRAME_HEADER_BYTES, sizeof(bytes));
    for (unsigned i = 0; length > 0; i++) {
        frame_header_put(bytes + used, (uint32_t)length);
        used += FRAME_HEADER_BYTES + length;
        const struct bytes next = i < FLOOD ? encode(i) : (struct bytes){ NULL, 0 };
        length = next.length;
        assert_true(used + FRAME_HEADER_BYTES + length <= sizeof(bytes));
        if (length > 0)
            memcpy(bytes + used + FRAME_HEADER_BYTES, next.data, length);
    }
    struct client client = { .pki = &pki,
                             .port = peer_hub_port(server.hub),
                             .certificate = "board-b",
                             .send = bytes,
                             .send_length = used };
    client_start(&client);
    while (heard.flood < FLOOD)
        turn(UV_RUN_ONCE);
    assert_true(heard.in_order);
    peer_hub_close(server.hub, on_gone, &server.gone);
    client_wait(&loop, &client);
    assert_true(run_until(&loop, is_set, &server.gone));
    tls_identity_free(server.identity);
    node_start(&server, "board-a", 0);
}

/* What waits for its turn is lost with its link, and nothing else happens. */
static void a_link_may_end_while_it_waits(void **state)
{
    (void)state;
    unsigned one = 1;
    node_start(&flooder, "board-b", peer_hub_port(server.hub));
    assert_true(run_until(&loop, all_up, &one));
    for (unsigned i = 0; i < FLOOD; i++)
        assert_true(peer_send(flooder.hub, &server.id, encode(i)));
    while (heard.flood == 0)
        turn(UV_RUN_ONCE);
    assert_true(heard.flood < FLOOD);
    node_end(&server);
    node_end(&flooder);
    node_start(&server, "board-a", 0);
}

static int make_pki(void **state)
{
    (void)state;
    pki_open(&pki);
    pki_issue(&pki, "ca", "board-a", "CN=board-a,OU=node,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "board-b", "CN=board-b,OU=node,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "board-c", "CN=board-c,OU=node,O=line-3", PKI_FROM, PKI_TO);
    return 0;
}

static int remove_pki(void **state)
{
    (void)state;
    pki_close(&pki);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_are_heard_beside_a_flood_of_frames, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(frames_that_came_together_are_taken_over_many_turns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_link_may_end_while_it_waits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
