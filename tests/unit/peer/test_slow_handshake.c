/*
 * Boards that start at once come to each other though their processors are slow at handshakes. Each board
 * is a thread with a loop of its own here, as it is a process: every step of a handshake takes its time
 * there, in which nothing else of that board goes on.
 */
#include "tests/unit/support/unit.h"

#include "peer/peer.h"
#include "peer/tls_engine.h"
#include "tests/unit/peer/client.h"

enum { BOARDS_MAX = 5, PATIENCE_MS = 90000 };

struct board {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    struct peer_hub *hub;
    struct tls_identity *identity;
    atomic_uint ups; /* less those that went down */
    char address[40];
};

static struct pki pki;
static struct board board[BOARDS_MAX];
static unsigned boards;
static atomic_uint step_us;
static atomic_uint steps;

enum tls_progress __real_tls_engine_handshake(struct tls_engine *engine);
enum tls_progress __wrap_tls_engine_handshake(struct tls_engine *engine);
enum tls_progress __wrap_tls_engine_handshake(struct tls_engine *engine)
{
    atomic_fetch_add(&steps, 1);
    usleep(atomic_load(&step_us));
    return __real_tls_engine_handshake(engine);
}

static void on_up(void *context, const struct wire_hello *hello)
{
    (void)hello;
    atomic_fetch_add(&((struct board *)context)->ups, 1);
}

static void on_down(void *context, const struct hf_name *node, const char *reason)
{
    (void)node;
    (void)reason;
    atomic_fetch_sub(&((struct board *)context)->ups, 1);
}

static void on_message(void *context, const struct hf_name *node,
                       const struct wire_message *message)
{
    (void)context;
    (void)node;
    (void)message;
}

static void on_log(void *context, int level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void on_stopped(void *context)
{
    (void)context;
}

static void on_stop(uv_async_t *stop)
{
    struct board *at = stop->data;
    peer_hub_close(at->hub, on_stopped, NULL);
    uv_close((uv_handle_t *)stop, NULL);
}

static void run(void *context)
{
    (void)uv_run(&((struct board *)context)->loop, UV_RUN_DEFAULT);
}

static void id_of(unsigned number, struct hf_name *id)
{
    char text[24];
    snprintf(text, sizeof(text), "board-%u", number);
    assert_true(name_from_string(id, text));
}

/* Listens, and knows nobody yet. */
static void board_open(unsigned number)
{
    struct board *at = &board[number];
    struct peer_config config = { .random_seed = number };
    const struct peer_events events = { .context = at,
                                        .on_up = on_up,
                                        .on_down = on_down,
                                        .on_message = on_message,
                                        .on_log = on_log };
    char subject[64];
    char error[TLS_TEXT_MAX] = "";
    config.self = (struct wire_hello){ .version = WIRE_VERSION, .issuer = true, .agent = true };
    id_of(number, &config.self.node);
    text_copy(config.self.cluster, sizeof(config.self.cluster), "line-3");
    snprintf(subject, sizeof(subject), "CN=%s,OU=node,O=line-3", config.self.node.text);
    pki_issue(&pki, "ca", config.self.node.text, subject, PKI_FROM, PKI_TO);
    at->identity = pki_load(&pki, "ca", config.self.node.text);
    config.identity = at->identity;
    /* As boards do, each has a host of its own. */
    snprintf(at->address, sizeof(at->address), "127.0.0.%u:0", number + 1);
    config.listen = at->address;
    atomic_store(&at->ups, 0);
    assert_int_equal(uv_loop_init(&at->loop), 0);
    assert_int_equal(uv_async_init(&at->loop, &at->stop, on_stop), 0);
    at->stop.data = at;
    at->hub = peer_hub_create(&at->loop, &config, &events, error, sizeof(error));
    if (at->hub == NULL)
        fail_msg("%s", error);
    snprintf(at->address, sizeof(at->address), "127.0.0.%u:%u", number + 1, peer_hub_port(at->hub));
}

static unsigned links(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < boards; i++)
        sum += atomic_load(&board[i].ups);
    return sum;
}

static void all_come_to_each_other(unsigned count, unsigned step_ms)
{
    struct hf_name id;
    boards = count;
    atomic_store(&step_us, step_ms * 1000);
    atomic_store(&steps, 0);
    for (unsigned i = 0; i < boards; i++)
        board_open(i);
    for (unsigned i = 0; i < boards; i++) {
        for (unsigned k = 0; k < boards; k++) {
            id_of(k, &id);
            peer_hub_dial(board[i].hub, &id, board[k].address);
        }
    }
    uint64_t began_ms = uv_hrtime() / 1000000;
    for (unsigned i = 0; i < boards; i++)
        assert_int_equal(uv_thread_create(&board[i].thread, run, &board[i]), 0);
    while (links() < boards * (boards - 1) && uv_hrtime() / 1000000 - began_ms < PATIENCE_MS)
        usleep(1000);
    unsigned up = links();
    print_message("%u of %u links up after %u ms and %u steps\n", up, boards * (boards - 1),
                  (unsigned)(uv_hrtime() / 1000000 - began_ms), atomic_load(&steps));
    atomic_store(&step_us, 0);
    for (unsigned i = 0; i < boards; i++)
        uv_async_send(&board[i].stop);
    for (unsigned i = 0; i < boards; i++) {
        uv_thread_join(&board[i].thread);
        assert_int_equal(uv_loop_close(&board[i].loop), 0);
        tls_identity_free(board[i].identity);
    }
    assert_int_equal(up, boards * (boards - 1));
}

/* One handshake alone takes longer than a step of it may. */
static void two_boards_whose_handshake_takes_longer_than_its_limit_come_to_each_other(void **state)
{
    (void)state;
    all_come_to_each_other(2, 800);
}

/* Alone each takes less than the limit, together none does: dialled again at once, none ever would. */
static void five_boards_that_are_too_slow_for_all_at_once_come_to_each_other(void **state)
{
    (void)state;
    all_come_to_each_other(5, 500);
}

static int open_pki(void **state)
{
    (void)state;
    pki_open(&pki);
    return 0;
}

static int close_pki(void **state)
{
    (void)state;
    pki_close(&pki);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_boards_whose_handshake_takes_longer_than_its_limit_come_to_each_other),
        cmocka_unit_test(five_boards_that_are_too_slow_for_all_at_once_come_to_each_other),
    };
    return cmocka_run_group_tests(tests, open_pki, close_pki);
}
