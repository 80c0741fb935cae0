/* A slow journal is told once when it begins and once when it is over. */
#include "issuer/store_watch.h"
#include "tests/unit/support/unit.h"

enum { LIMIT_US = 500000, SLOW_US = 2000000, GOOD_US = 5000 };

static struct store_watch watch;
static struct instant now;

static int set_up(void **state)
{
    (void)state;
    watch = (struct store_watch){ .threshold_us = LIMIT_US };
    now.us = 1000000;
    return 0;
}

static enum store_watch_news done(uint64_t took_us)
{
    now.us += 1000;
    return store_watch_done(&watch, took_us, now);
}

static enum store_watch_news look(uint64_t waiting_us)
{
    return store_watch_look(&watch, waiting_us, now);
}

static void what_is_at_the_threshold_is_not_slow(void **state)
{
    (void)state;
    assert_int_equal(done(LIMIT_US), STORE_WATCH_NOTHING);
    assert_int_equal(look(LIMIT_US), STORE_WATCH_NOTHING);
    assert_false(watch.slow);
    assert_int_equal(done(LIMIT_US + 1), STORE_WATCH_BEGAN);
    assert_true(watch.slow);
}

static void an_episode_is_told_once_and_its_end_once(void **state)
{
    (void)state;
    assert_int_equal(done(SLOW_US), STORE_WATCH_BEGAN);
    for (int i = 0; i < 100; i++)
        assert_int_equal(done(i % 2 ? SLOW_US + 7 : GOOD_US), STORE_WATCH_NOTHING);
    assert_int_equal(watch.count, 51);
    assert_int_equal(watch.worst_us, SLOW_US + 7);
    now.us += STORE_WATCH_CALM_MS * 1000 - 1;
    assert_int_equal(look(0), STORE_WATCH_NOTHING);
    now.us += 1;
    assert_int_equal(look(0), STORE_WATCH_OVER);
    assert_int_equal(look(0), STORE_WATCH_NOTHING);
    assert_int_equal(done(SLOW_US), STORE_WATCH_BEGAN);
    assert_int_equal(watch.count, 1);
    assert_int_equal(watch.total, 52);
}

/* A sync that never returns is told as well, while it hangs, and counts once. */
static void an_append_that_hangs_is_told_before_it_is_done(void **state)
{
    (void)state;
    assert_int_equal(look(LIMIT_US + 1), STORE_WATCH_BEGAN);
    for (uint64_t waiting_us = LIMIT_US; waiting_us < 60000000; waiting_us += 1000000) {
        now.us += 1000000;
        assert_int_equal(look(waiting_us + 2), STORE_WATCH_NOTHING);
    }
    assert_int_equal(done(60000000), STORE_WATCH_NOTHING);
    assert_int_equal(watch.count, 1);
    assert_int_equal(watch.worst_us, 60000000);
    now.us += STORE_WATCH_CALM_MS * 1000;
    assert_int_equal(look(0), STORE_WATCH_OVER);
}

/* What the one that hung took is its own: the next is counted, and measured, anew. */
static void what_hung_counts_neither_for_the_next_append_nor_for_the_next_episode(void **state)
{
    (void)state;
    assert_int_equal(look(3 * SLOW_US), STORE_WATCH_BEGAN);
    assert_int_equal(done(3 * SLOW_US), STORE_WATCH_NOTHING);
    assert_int_equal(done(SLOW_US), STORE_WATCH_NOTHING);
    assert_int_equal(watch.count, 2);
    assert_int_equal(watch.total, 2);
    now.us += STORE_WATCH_CALM_MS * 1000;
    assert_int_equal(look(0), STORE_WATCH_OVER);
    assert_int_equal(done(SLOW_US), STORE_WATCH_BEGAN);
    assert_int_equal(watch.worst_us, SLOW_US);
}

static void a_good_append_ends_an_episode_as_well_as_an_idle_disk(void **state)
{
    (void)state;
    assert_int_equal(done(SLOW_US), STORE_WATCH_BEGAN);
    now.us += STORE_WATCH_CALM_MS * 1000;
    assert_int_equal(done(GOOD_US), STORE_WATCH_OVER);
    assert_int_equal(done(SLOW_US), STORE_WATCH_BEGAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_at_the_threshold_is_not_slow, set_up),
        cmocka_unit_test_setup(an_episode_is_told_once_and_its_end_once, set_up),
        cmocka_unit_test_setup(an_append_that_hangs_is_told_before_it_is_done, set_up),
        cmocka_unit_test_setup(
            what_hung_counts_neither_for_the_next_append_nor_for_the_next_episode, set_up),
        cmocka_unit_test_setup(a_good_append_ends_an_episode_as_well_as_an_idle_disk, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
