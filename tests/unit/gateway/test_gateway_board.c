/* The gateway as a part of its board: joined, told of, lost and joined again. */
#include "gateway/gateway_board.h"
#include "hal/clock.h"
#include "tests/unit/hal/fake_bench.h"

struct rig {
    char folder[64];
    struct fake_bench bench;
    struct conf conf;
    struct gateway_board board;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    strcpy(rig->folder, "/tmp/holdfast-board-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    fake_bench_open(&rig->bench, rig->folder);
    rig->conf.hal = HAL_SIM;
    snprintf(rig->conf.hal_socket, sizeof(rig->conf.hal_socket), "%s", rig->bench.path);
    assert_true(name_from_string(&rig->conf.node_id, "board-a"));
    gateway_board_open(&rig->board, &rig->conf);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    gateway_board_close(&rig->board);
    fake_bench_close(&rig->bench);
    rmdir(rig->folder);
    free(rig);
    return 0;
}

static void announce(struct rig *rig, uint16_t first, uint16_t last)
{
    for (uint32_t port = first; port <= last; port++)
        gateway_board_announce_port(&rig->board, (uint16_t)port);
}

static bool last_is(const struct rig *rig, uint16_t port)
{
    char line[32];
    snprintf(line, sizeof(line), "modbus %u", port);
    return strcmp(rig->bench.last, line) == 0;
}

static void lose_bench(struct rig *rig)
{
    fake_bench_hang_up(&rig->bench);
    AWAIT(&rig->bench, rig->bench.at_off);
    struct pollfd polled = { gateway_board_descriptor(&rig->board), POLLIN, 0 };
    assert_int_equal(poll(&polled, 1, 5000), 1);
    gateway_board_drain(&rig->board);
    assert_int_equal(gateway_board_descriptor(&rig->board), -1);
}

static void join_again(struct rig *rig)
{
    /* Not at once: a bench that goes and comes would be joined in a circle. */
    assert_true(gateway_board_join(&rig->board));
    assert_int_equal(gateway_board_descriptor(&rig->board), -1);
    rig->board.retry_at = hal_clock_now();
    assert_false(gateway_board_join(&rig->board));
    assert_true(gateway_board_descriptor(&rig->board) >= 0);
}

static void it_joins_once_as_what_it_is_and_tells_of_each_connection(void **state)
{
    struct rig *rig = *state;
    char hello[64];
    assert_false(gateway_board_join(&rig->board));
    assert_false(gateway_board_join(&rig->board));
    snprintf(hello, sizeof(hello), "hello board-a gateway %ld", (long)getpid());
    AWAIT(&rig->bench, strcmp(rig->bench.hello, hello) == 0);
    announce(rig, 40001, 40001);
    AWAIT(&rig->bench, last_is(rig, 40001));
}

/* More connections than are remembered, then a bench that knows none of them. */
static void a_bench_that_comes_back_is_told_of_the_latest_connections(void **state)
{
    struct rig *rig = *state;
    assert_false(gateway_board_join(&rig->board));
    announce(rig, 40001, 40001 + 2 * CONF_ACTUATORS_MAX);
    AWAIT(&rig->bench, last_is(rig, 40001 + 2 * CONF_ACTUATORS_MAX));
    lose_bench(rig);
    announce(rig, 40101, 40103);
    join_again(rig);
    /* In the order in which they were made. */
    AWAIT(&rig->bench, last_is(rig, 40103));
    assert_int_equal(rig->bench.ports, 2 * CONF_ACTUATORS_MAX + 1 + CONF_ACTUATORS_MAX);
}

static void what_is_left_is_given_back(void **state)
{
    struct rig *rig = *state;
    int first = dup(STDIN_FILENO);
    close(first);
    for (int i = 0; i < 3; i++) {
        rig->board.retry_at = hal_clock_now();
        assert_false(gateway_board_join(&rig->board));
        AWAIT(&rig->bench, rig->bench.fd >= 0 && !rig->bench.at_off);
        lose_bench(rig);
    }
    AWAIT(&rig->bench, rig->bench.fd < 0);
    int last = dup(STDIN_FILENO);
    close(last);
    assert_true(last <= first + 1); /* the bench closes its own end a moment later */
}

int main(void)
{
#define ON_A_BOARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_A_BOARD(it_joins_once_as_what_it_is_and_tells_of_each_connection),
        ON_A_BOARD(a_bench_that_comes_back_is_told_of_the_latest_connections),
        ON_A_BOARD(what_is_left_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
