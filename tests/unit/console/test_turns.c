/* Whose command is next: nobody waits for ever, and no crowd of readers keeps an operator waiting. */
#include "tests/unit/support/unit.h"

#include "console/turns.h"

enum { SESSIONS = 16 };

/* Takes `rounds` turns of sessions that all want one each time; how many each had. */
static void take_turns(struct turn_wish *wish, unsigned *had, unsigned rounds)
{
    bool operator_last = false;
    uint64_t turn = 0;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned first = 0;
        for (unsigned at = 1; at < SESSIONS; at++) {
            if (turns_before(&wish[at], &wish[first], operator_last))
                first = at;
        }
        wish[first].served = ++turn;
        operator_last = wish[first].operator_role;
        had[first]++;
    }
}

static void sessions_of_one_role_have_as_many_turns_each(void **state)
{
    (void)state;
    struct turn_wish wish[SESSIONS] = { { .served = 0 } };
    unsigned had[SESSIONS] = { 0 };
    take_turns(wish, had, 10 * SESSIONS);
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_int_equal(had[i], 10);
}

static void an_operator_has_every_second_turn_whatever_the_crowd_of_readers(void **state)
{
    (void)state;
    struct turn_wish wish[SESSIONS] = { { .served = 0 } };
    unsigned had[SESSIONS] = { 0 };
    wish[7].operator_role = true;
    take_turns(wish, had, 300);
    assert_int_equal(had[7], 150);
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_true(i == 7 || had[i] == 10);
}

static void a_reader_has_every_second_turn_whatever_the_crowd_of_operators(void **state)
{
    (void)state;
    struct turn_wish wish[SESSIONS] = { { .served = 0 } };
    unsigned had[SESSIONS] = { 0 };
    for (unsigned i = 0; i < SESSIONS; i++)
        wish[i].operator_role = i != 7;
    take_turns(wish, had, 300);
    assert_int_equal(had[7], 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_of_one_role_have_as_many_turns_each),
        cmocka_unit_test(an_operator_has_every_second_turn_whatever_the_crowd_of_readers),
        cmocka_unit_test(a_reader_has_every_second_turn_whatever_the_crowd_of_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
