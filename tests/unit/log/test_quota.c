/* What one name may cause in the log: the first lines at once, the rest as a count. */
#include <stdio.h>
#include <string.h>

#include "log/quota.h"
#include "tests/unit/support/unit.h"

static const struct log_quota_rule rule = { .burst = 8, .each_ms = 6000 };
static struct log_quota quota;

static int set_up(void **state)
{
    (void)state;
    memset(&quota, 0, sizeof(quota));
    return 0;
}

static struct hf_name name(unsigned number)
{
    struct hf_name result;
    char text[20];
    snprintf(text, sizeof(text), "board-%u", number);
    assert_true(name_from_string(&result, text));
    return result;
}

static bool admit(unsigned number, uint64_t now_ms)
{
    struct hf_name who = name(number);
    return log_quota_admit(&quota, &rule, &who, now_ms);
}

static void the_first_lines_are_told_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rule.burst; i++)
        assert_true(admit(1, 5));
    assert_false(admit(1, 5));
    assert_true(log_quota_pending(&quota));
    assert_true(admit(2, 5));
}

static void what_comes_seldom_is_always_told(void **state)
{
    (void)state;
    for (uint64_t now_ms = 0; now_ms < 3600000; now_ms += rule.each_ms)
        assert_true(admit(1, now_ms));
    assert_false(log_quota_pending(&quota));
}

static void an_hour_of_coming_and_going_is_eleven_lines_a_minute(void **state)
{
    (void)state;
    unsigned lines = 0;
    uint64_t counted = 0;
    for (uint64_t now_ms = 0; now_ms < 3600000; now_ms += 50) {
        struct hf_name who;
        lines += admit(1, now_ms);
        uint32_t held = log_quota_collect(&quota, now_ms, &who);
        lines += held > 0;
        counted += held;
    }
    assert_true(lines <= rule.burst + 11 * 60);
    assert_true(lines >= 10 * 60);
    assert_true(counted + lines > 3600000 / 50 - 1300); /* but for the last minute's */
}

static void what_was_held_back_is_counted_a_minute_later(void **state)
{
    (void)state;
    struct hf_name who = name(9);
    for (unsigned i = 0; i < rule.burst + 41; i++)
        (void)admit(1, 1000);
    assert_int_equal(log_quota_collect(&quota, 60999, &who), 0);
    assert_int_equal(log_quota_collect(&quota, 61000, &who), 41);
    assert_string_equal(who.text, "board-1");
    assert_int_equal(log_quota_collect(&quota, 61000, &who), 0);
    assert_false(log_quota_pending(&quota));
}

static void newcomers_take_the_place_of_the_quiet_not_of_the_loud(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        (void)admit(1, 1000);
    for (unsigned other = 2; other < 2 + 3 * LOG_QUOTA_NAMES; other++)
        assert_true(admit(other, 2000));
    assert_false(admit(1, 2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_lines_are_told_at_once, set_up),
        cmocka_unit_test_setup(what_comes_seldom_is_always_told, set_up),
        cmocka_unit_test_setup(an_hour_of_coming_and_going_is_eleven_lines_a_minute, set_up),
        cmocka_unit_test_setup(what_was_held_back_is_counted_a_minute_later, set_up),
        cmocka_unit_test_setup(newcomers_take_the_place_of_the_quiet_not_of_the_loud, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
