/* Who may sit at a console that is full. */
#include "tests/unit/support/unit.h"

#include <stdio.h>

#include "console/seats.h"

enum { NOW = 1000000, VIEWERS = SEATS_MAX - SEATS_OPERATOR };

static struct seat seats[SEATS_MAX];
static const char *why;

static struct seat seat(const char *who, bool operator_role, bool busy, uint64_t idle_ms)
{
    struct seat made = { .operator_role = operator_role, .busy = busy, .since_ms = NOW - idle_ms };
    assert_true(name_from_string(&made.who, who));
    return made;
}

/* Certificates of their own, each idle for longer than the one before. */
static void fill(size_t from, size_t to, bool operator_role, bool busy, uint64_t idle_ms)
{
    for (size_t i = from; i < to; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n-%zu", i);
        seats[i] = seat(name, operator_role, busy, idle_ms + i);
    }
}

static int choose(size_t count, struct seat newcomer)
{
    return seats_choose(seats, count, &newcomer, NOW, &why);
}

static void viewers_leave_room_for_operators(void **state)
{
    (void)state;
    fill(0, VIEWERS, false, false, 0);
    assert_int_equal(choose(VIEWERS - 1, seat("new", false, false, 0)), SEATS_FREE);
    assert_int_equal(choose(VIEWERS, seat("new", false, false, 0)), SEATS_REFUSED);
    assert_string_equal(why, "too many sessions");
    assert_int_equal(choose(VIEWERS, seat("ops", true, false, 0)), SEATS_FREE);
}

static void an_operator_gets_the_seat_of_the_longest_idle_viewer(void **state)
{
    (void)state;
    fill(0, VIEWERS, false, false, 0);
    fill(VIEWERS, SEATS_MAX, true, false, SEATS_IDLE_MS / 2);
    assert_int_equal(choose(SEATS_MAX, seat("ops", true, false, 0)), VIEWERS - 1);
    seats[VIEWERS - 1].busy = true;
    assert_int_equal(choose(SEATS_MAX, seat("ops", true, false, 0)), VIEWERS - 2);
}

static void an_operator_gets_a_watchers_seat_where_no_viewer_is_idle(void **state)
{
    (void)state;
    fill(0, VIEWERS, false, true, 5000);
    fill(VIEWERS, SEATS_MAX, true, false, SEATS_IDLE_MS / 2);
    assert_int_equal(choose(SEATS_MAX, seat("ops", true, false, 0)), VIEWERS - 1);
}

static void among_operators_only_one_that_was_idle_for_long_gives_way(void **state)
{
    (void)state;
    fill(0, SEATS_MAX, true, false, 0);
    assert_int_equal(choose(SEATS_MAX, seat("ops", true, false, 0)), SEATS_REFUSED);
    seats[3].since_ms = NOW - SEATS_SPARE_MS;
    assert_int_equal(choose(SEATS_MAX, seat("ops", true, false, 0)), 3);
    seats[3].busy = true;
    assert_int_equal(choose(SEATS_MAX, seat("ops", true, false, 0)), SEATS_REFUSED);
}

static void a_viewer_gets_a_viewers_seat_that_was_idle_for_long_and_no_operators(void **state)
{
    (void)state;
    fill(0, VIEWERS, false, false, 0);
    fill(VIEWERS, SEATS_MAX, true, false, SEATS_IDLE_MS / 2);
    assert_int_equal(choose(SEATS_MAX, seat("new", false, false, 0)), SEATS_REFUSED);
    seats[5].since_ms = NOW - SEATS_SPARE_MS - 1;
    assert_int_equal(choose(SEATS_MAX, seat("new", false, false, 0)), 5);
}

static void one_certificate_has_its_share(void **state)
{
    (void)state;
    for (size_t i = 0; i < SEATS_NAME_MAX; i++)
        seats[i] = seat("same", false, i != 2, 10 * i);
    assert_int_equal(choose(SEATS_NAME_MAX, seat("same", false, false, 0)), 2);
    seats[2].busy = true;
    assert_int_equal(choose(SEATS_NAME_MAX, seat("same", false, false, 0)), SEATS_REFUSED);
    assert_string_equal(why, "too many sessions of this certificate, at most 8");
    assert_int_equal(choose(SEATS_NAME_MAX, seat("other", false, false, 0)), SEATS_FREE);
    assert_int_equal(choose(SEATS_NAME_MAX, seat("same", true, false, 0)), SEATS_FREE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(viewers_leave_room_for_operators),
        cmocka_unit_test(an_operator_gets_the_seat_of_the_longest_idle_viewer),
        cmocka_unit_test(an_operator_gets_a_watchers_seat_where_no_viewer_is_idle),
        cmocka_unit_test(among_operators_only_one_that_was_idle_for_long_gives_way),
        cmocka_unit_test(a_viewer_gets_a_viewers_seat_that_was_idle_for_long_and_no_operators),
        cmocka_unit_test(one_certificate_has_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
