/* A knocking stranger gets one line a minute, with a count. */
#include "tests/unit/support/unit.h"

#include <string.h>

#include "peer/refusals.h"

static void first_of_a_cause_is_told_and_the_rest_counted(void **state)
{
    struct refusals refusals;
    (void)state;
    memset(&refusals, 0, sizeof(refusals));
    assert_false(refusals_pending(&refusals));
    assert_true(refusals_admit(&refusals, TLS_CAUSE_CA, "one", 1000));
    for (int i = 0; i < 41; i++)
        assert_false(refusals_admit(&refusals, TLS_CAUSE_CA, i < 40 ? "two" : "three", 2000));
    assert_int_equal(refusals_collect(&refusals, TLS_CAUSE_CA, 60999), 0);
    assert_int_equal(refusals_collect(&refusals, TLS_CAUSE_CA, 61000), 41);
    assert_string_equal(refusals.window[TLS_CAUSE_CA].last, "three");
}

static void causes_do_not_silence_each_other(void **state)
{
    struct refusals refusals;
    (void)state;
    memset(&refusals, 0, sizeof(refusals));
    for (int cause = 0; cause < REFUSAL_CAUSES; cause++)
        assert_true(refusals_admit(&refusals, cause, "one", 5));
}

static void quiet_minute_lets_the_next_one_be_told(void **state)
{
    struct refusals refusals;
    (void)state;
    memset(&refusals, 0, sizeof(refusals));
    assert_true(refusals_admit(&refusals, REFUSAL_FRAME, "one", 0));
    assert_int_equal(refusals_collect(&refusals, REFUSAL_FRAME, 60000), 0);
    assert_false(refusals_pending(&refusals));
    assert_true(refusals_admit(&refusals, REFUSAL_FRAME, "one", 60001));
}

static void going_on_for_hours_is_one_line_a_minute(void **state)
{
    struct refusals refusals;
    unsigned lines = 0;
    (void)state;
    memset(&refusals, 0, sizeof(refusals));
    for (uint64_t second = 0; second < 3600; second++) {
        lines += refusals_collect(&refusals, TLS_CAUSE_ROLE, second * 1000) > 0;
        lines += refusals_admit(&refusals, TLS_CAUSE_ROLE, "one", second * 1000);
    }
    assert_int_equal(lines, 60);
}

static void every_cause_has_words_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < REFUSAL_CAUSES; a++) {
        assert_non_null(refusal_cause_text(a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(refusal_cause_text(a), refusal_cause_text(b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_of_a_cause_is_told_and_the_rest_counted),
        cmocka_unit_test(causes_do_not_silence_each_other),
        cmocka_unit_test(quiet_minute_lets_the_next_one_be_told),
        cmocka_unit_test(going_on_for_hours_is_one_line_a_minute),
        cmocka_unit_test(every_cause_has_words_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
