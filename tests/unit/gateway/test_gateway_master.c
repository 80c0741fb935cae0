/* A master's connection: every cell of its table, its frames; lease arithmetic. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/gateway_lease.h"
#include "gateway/gateway_master.h"
#include "tests/unit/support/cells.h"
#include "tests/unit/support/unit.h"

enum { S = GATEWAY_MASTER_STATES, E = GATEWAY_MASTER_EVENTS };

static void every_cell_leads_where_it_should(void **state)
{
    (void)state;
    static const struct {
        enum gateway_master_state from;
        enum gateway_master_event event;
        enum gateway_master_state to;
    } legal[] = {
        { GATEWAY_MASTER_FREE, GATEWAY_MASTER_ACCEPTED, GATEWAY_MASTER_READING },
        { GATEWAY_MASTER_READING, GATEWAY_MASTER_FORWARDED, GATEWAY_MASTER_WAITING },
        { GATEWAY_MASTER_READING, GATEWAY_MASTER_ANSWERED, GATEWAY_MASTER_WRITING },
        { GATEWAY_MASTER_READING, GATEWAY_MASTER_CLOSED, GATEWAY_MASTER_FREE },
        { GATEWAY_MASTER_WAITING, GATEWAY_MASTER_ANSWERED, GATEWAY_MASTER_WRITING },
        { GATEWAY_MASTER_WAITING, GATEWAY_MASTER_CLOSED, GATEWAY_MASTER_FREE },
        { GATEWAY_MASTER_WAITING, GATEWAY_MASTER_LEFT, GATEWAY_MASTER_ABANDONED },
        { GATEWAY_MASTER_WRITING, GATEWAY_MASTER_FLUSHED, GATEWAY_MASTER_READING },
        { GATEWAY_MASTER_WRITING, GATEWAY_MASTER_CLOSED, GATEWAY_MASTER_FREE },
        { GATEWAY_MASTER_ABANDONED, GATEWAY_MASTER_ANSWERED, GATEWAY_MASTER_FREE },
    };
    size_t count = sizeof(legal) / sizeof(legal[0]);
    assert_int_equal(cells_walk(gateway_master_cell(0, 0), S, E), S * E - count);
    for (size_t i = 0; i < count; i++) {
        const struct cell *cell = gateway_master_cell(legal[i].from, legal[i].event);
        assert_int_equal(cell->kind, CELL_GO);
        assert_int_equal(cell->next, legal[i].to);
    }
}

static void who_asked_for_nothing_gives_way_and_the_longest_silent_first(void **state)
{
    (void)state;
    struct gateway_master masters[5] = { { .state = GATEWAY_MASTER_READING, .since = { 40 } },
                                         { .state = GATEWAY_MASTER_READING, .since = { 30 } },
                                         { .state = GATEWAY_MASTER_READING, .since = { 10 } },
                                         { .state = GATEWAY_MASTER_WAITING, .since = { 5 } },
                                         { .state = GATEWAY_MASTER_FREE } };
    const struct instant now = { 100 };
    const struct span none = { 0 };
    masters[1].in_length = 3; /* half a header is no request */
    masters[2].asked = true;
    masters[3].asked = true;
    assert_ptr_equal(gateway_master_spare(masters, 5, false, none, now), &masters[1]);
    masters[1].state = GATEWAY_MASTER_FREE;
    assert_ptr_equal(gateway_master_spare(masters, 5, false, none, now), &masters[0]);
    assert_null(gateway_master_spare(masters, 5, false, (struct span){ 61 }, now));
    assert_ptr_equal(gateway_master_spare(masters, 5, true, (struct span){ 90 }, now), &masters[2]);
    assert_null(gateway_master_spare(masters, 5, true, (struct span){ 91 }, now));
    masters[2].in_length = 3; /* but in the middle of one it does not give way */
    assert_null(gateway_master_spare(masters, 5, true, none, now));
}

static void frames_come_out_whole_however_they_arrive(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct gateway_master master = { .fd = -1 };
    gateway_master_accept(&master, pair[0], (struct instant){ 0 });
    assert_int_equal(master.state, GATEWAY_MASTER_READING);
    const uint8_t two[] = {
        1, 2, 0, 0, 0, 6, 9, 6, 0, 7, 0, 8, 3, 4, 0, 0, 0, 6, 5, 3, 0, 0, 0, 1
    };
    uint8_t unit;
    const uint8_t *pdu;
    size_t length;
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(gateway_master_frame(&master, &unit, &pdu, &length), GATEWAY_FRAME_NONE);
        assert_int_equal(write(pair[1], two + i, 1), 1);
        assert_true(gateway_master_receive(&master));
    }
    assert_int_equal(write(pair[1], two + 12, 12), 12);
    assert_true(gateway_master_receive(&master));
    assert_int_equal(gateway_master_frame(&master, &unit, &pdu, &length), GATEWAY_FRAME_WHOLE);
    assert_int_equal(unit, 9);
    assert_int_equal(length, 5);
    assert_memory_equal(pdu, two + 7, 5);
    const uint8_t answer[] = { 0x86, 6 };
    gateway_master_answer(&master, answer, sizeof(answer));
    const uint8_t want[] = { 1, 2, 0, 0, 0, 3, 9, 0x86, 6 };
    uint8_t got[sizeof(want)];
    assert_true(gateway_master_send(&master));
    assert_int_equal(read(pair[1], got, sizeof(got)), sizeof(got));
    assert_memory_equal(got, want, sizeof(want));
    assert_int_equal(gateway_master_frame(&master, &unit, &pdu, &length), GATEWAY_FRAME_WHOLE);
    assert_int_equal(unit, 5);
    assert_int_equal(pdu[0], 3);
    close(pair[1]);
    assert_false(gateway_master_receive(&master));
    gateway_master_hang_up(&master);
    assert_int_equal(master.fd, -1);
}

static void longest_frame_fits_and_a_longer_one_is_bad(void **state)
{
    (void)state;
    struct gateway_master master = { .fd = -1,
                                     .in = { 0, 0, 0, 0, 0, 254, 1, 16 },
                                     .in_length = GATEWAY_ADU_MAX };
    uint8_t unit;
    const uint8_t *pdu;
    size_t length;
    assert_int_equal(gateway_master_frame(&master, &unit, &pdu, &length), GATEWAY_FRAME_WHOLE);
    assert_int_equal(length, GATEWAY_PDU_MAX);
    master.in[5] = 255;
    assert_int_equal(gateway_master_frame(&master, &unit, &pdu, &length), GATEWAY_FRAME_BAD);
}

struct answer {
    bool held;
    int64_t left_us;
};

static bool fake_valid(void *context, int64_t *left_us)
{
    const struct answer *answer = context;
    *left_us = answer->left_us;
    return answer->held;
}

static void lease_must_outlive_the_worst_transit(void **state)
{
    (void)state;
    struct span need = gateway_worst_transit(100);
    assert_int_equal(need.us, (100 + GATEWAY_LINK_MARGIN_MS) * 1000);
    struct answer answer = { true, need.us + 1 };
    struct gateway_lease lease = { fake_valid, &answer };
    struct span left;
    assert_int_equal(gateway_lease_check(&lease, need, &left), GATEWAY_LEASE_ENOUGH);
    assert_int_equal(left.us, need.us + 1);
    answer.left_us = need.us;
    assert_int_equal(gateway_lease_check(&lease, need, &left), GATEWAY_LEASE_SHORT);
    answer.left_us = 0;
    assert_int_equal(gateway_lease_check(&lease, need, &left), GATEWAY_LEASE_NONE);
    answer = (struct answer){ false, INT64_MAX };
    assert_int_equal(gateway_lease_check(&lease, need, &left), GATEWAY_LEASE_NONE);
    assert_int_equal(left.us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_leads_where_it_should),
        cmocka_unit_test(who_asked_for_nothing_gives_way_and_the_longest_silent_first),
        cmocka_unit_test(frames_come_out_whole_however_they_arrive),
        cmocka_unit_test(longest_frame_fits_and_a_longer_one_is_bad),
        cmocka_unit_test(lease_must_outlive_the_worst_transit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
