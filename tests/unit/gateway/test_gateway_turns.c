/* Each of the gateway's threads shows that it goes on, or does not when it stands still. */
#include "tests/unit/gateway/rig.h"

enum { TURN_MS = 5, ROUNDS = 3, LONG_RESPONSE_MS = 10000 };

static const uint8_t write_one[] = { 6, 0, 12, 0, 7 };
static const uint8_t read_one[] = { 3, 0, 0, 0, 1 };

static struct {
    atomic_bool wanted; /* the next thread that comes by stands still */
    atomic_int threads; /* that have come to stand */
    atomic_bool over;
    atomic_int connections;
} still;

static void stand_still(void)
{
    if (!atomic_exchange(&still.wanted, false))
        return;
    atomic_fetch_add(&still.threads, 1);
    while (!atomic_load(&still.over))
        usleep(1000);
}

/* The actuators' threads come by here. */
static void connected(void *context, uint16_t port)
{
    (void)context;
    (void)port;
    stand_still();
    atomic_fetch_add(&still.connections, 1);
}

/* A write's first question, by the server's thread. */
static bool lease_valid(void *context, int64_t *left_us)
{
    stand_still();
    return rig_lease_valid(context, left_us);
}

static void restart(struct rig *rig)
{
    struct gateway_lease lease = { lease_valid, rig };
    struct gateway_watcher watcher = { .connected = connected, .turn_ms = TURN_MS };
    (void)gateway_stop(rig->gateway);
    rig->gateway = NULL;
    assert_true(gateway_start(&rig->conf, &lease, &watcher, &rig->gateway));
}

static void await_turns(struct rig *rig)
{
    for (int64_t end_ms = now_ms() + PATIENCE_MS; !gateway_all_turned(rig->gateway);) {
        assert_true(now_ms() < end_ms);
        usleep(1000);
    }
}

static void assert_all_go_on(struct rig *rig)
{
    for (int i = 0; i < ROUNDS; i++) {
        gateway_mark_turns(rig->gateway);
        await_turns(rig);
    }
}

/* All others turn often meanwhile. */
static void assert_one_stands_still(struct rig *rig)
{
    gateway_mark_turns(rig->gateway);
    for (int64_t end_ms = now_ms() + 20 * TURN_MS; now_ms() < end_ms; usleep(1000))
        assert_false(gateway_all_turned(rig->gateway));
    atomic_store(&still.over, true);
    assert_all_go_on(rig);
}

static void threads_that_have_nothing_to_do_turn(void **state)
{
    struct rig *rig = *state;
    restart(rig);
    assert_all_go_on(rig);
}

static void thread_that_waits_for_its_actuator_turns(void **state)
{
    struct rig *rig = *state;
    rig->actuator.mode = ACTUATOR_SILENT;
    rig->conf.actuator[0].response_ms = LONG_RESPONSE_MS;
    restart(rig);
    int requests = rig->actuator.requests;
    int fd = connect_raw(rig);
    int64_t start_ms = now_ms();
    send_raw(fd, UNIT, read_one, sizeof(read_one));
    await(&rig->actuator.requests, requests + 1);
    assert_all_go_on(rig);
    assert_true(now_ms() - start_ms < LONG_RESPONSE_MS);
    close(fd);
}

static void actuators_thread_that_stands_still_does_not(void **state)
{
    struct rig *rig = *state;
    atomic_store(&still.wanted, true);
    restart(rig);
    await(&still.threads, 1);
    assert_one_stands_still(rig);
}

static void server_thread_that_stands_still_does_not(void **state)
{
    struct rig *rig = *state;
    restart(rig);
    await(&still.connections, 2); /* the actuators' threads do not come by any more */
    atomic_store(&still.wanted, true);
    int fd = connect_raw(rig);
    send_raw(fd, UNIT, write_one, sizeof(write_one));
    await(&still.threads, 1);
    assert_one_stands_still(rig);
    close(fd);
}

static int set_up(void **state)
{
    atomic_store(&still.wanted, false);
    atomic_store(&still.threads, 0);
    atomic_store(&still.over, false);
    atomic_store(&still.connections, 0);
    return rig_set_up(state);
}

static int tear_down(void **state)
{
    atomic_store(&still.over, true);
    return rig_tear_down(state);
}

#define ON_A_RIG_OF_OURS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_RIG_OF_OURS(threads_that_have_nothing_to_do_turn),
        ON_A_RIG_OF_OURS(thread_that_waits_for_its_actuator_turns),
        ON_A_RIG_OF_OURS(actuators_thread_that_stands_still_does_not),
        ON_A_RIG_OF_OURS(server_thread_that_stands_still_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
