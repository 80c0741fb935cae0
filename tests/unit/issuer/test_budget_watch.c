/* What is told of boards that caused more of the journal than their budget. */
#include "issuer/budget_watch.h"

#include "tests/unit/support/log_capture.h"
#include "tests/unit/support/unit.h"

enum { SECOND_US = 1000000, SLOT = 3 };

static struct lease_table table; /* nobody holds anything */
static struct issuer issuer;
static struct budget_watch watch;
static struct issuer_client *client;
static const struct instant now = { 1000 * (int64_t)SECOND_US };

static int set_up(void **state)
{
    (void)state;
    memset(&issuer, 0, sizeof(issuer));
    memset(&watch, 0, sizeof(watch));
    issuer.table = &table;
    issuer.serving = true;
    issuer.client_count = SLOT + 1;
    client = &issuer.client[SLOT];
    assert_true(name_from_string(&client->node, "board-a"));
    client->spent_bytes = 60000;
    log_forget();
    return 0;
}

static void look(void)
{
    budget_watch_look(&watch, &issuer, now);
}

static void bite(bool bitten)
{
    client->bitten = client->held_back = bitten;
    budget_spend(&client->budget, &budget_board, bitten ? BUDGET_BOARD_BURST : 0, now);
}

static void budget_that_bites_is_told_once_and_once_more_when_it_is_good_again(void **state)
{
    (void)state;
    look();
    assert_int_equal(logged, 0);
    bite(true);
    for (int i = 0; i < 5; i++)
        look();
    assert_int_equal(logged, 1);
    assert_int_equal(logged_level, LOG_WARNING);
    assert_non_null(strstr(logged_line, "board-a: over its budget: it has caused 60000 bytes"));
    assert_non_null(strstr(logged_line, "(a takeover from another board only if takeovers spent"));
    bite(false);
    for (int i = 0; i < 5; i++)
        look();
    assert_int_equal(logged, 2);
    assert_string_equal(logged_line, "board-a: within its budget again");
    bite(true);
    look();
    assert_int_equal(logged, 3);
}

/* A slot that another board has by now is another board's. */
static void board_in_the_place_of_another_is_told_on_its_own(void **state)
{
    (void)state;
    bite(true);
    look();
    assert_true(name_from_string(&client->node, "board-b"));
    look();
    assert_int_equal(logged, 2);
    assert_non_null(strstr(logged_line, "board-b: over its budget"));
}

static void nothing_is_said_without_leadership(void **state)
{
    (void)state;
    issuer.serving = false;
    bite(true);
    look();
    assert_int_equal(logged, 0);
    assert_int_equal(budget_watch_wait_s(&issuer, client, now), 0);
}

/* Full seconds, and never none while it has to wait. */
static void wait_is_told_in_seconds_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(budget_watch_wait_s(&issuer, client, now), 0);
    bite(true);
    int64_t ready_us = instant_diff(issuer_budget_ready_at(&issuer, client), now).us;
    assert_true(ready_us > SECOND_US);
    int64_t wait_s = budget_watch_wait_s(&issuer, client, now);
    assert_true(wait_s * SECOND_US >= ready_us && (wait_s - 1) * SECOND_US < ready_us);
    const struct instant nearly = { now.us + ready_us - 1 };
    assert_int_equal(budget_watch_wait_s(&issuer, client, nearly), 1);
    const struct instant then = { now.us + ready_us };
    assert_int_equal(budget_watch_wait_s(&issuer, client, then), 0);
    client->held_back = false;
    assert_int_equal(budget_watch_wait_s(&issuer, client, now), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(budget_that_bites_is_told_once_and_once_more_when_it_is_good_again,
                               set_up),
        cmocka_unit_test_setup(board_in_the_place_of_another_is_told_on_its_own, set_up),
        cmocka_unit_test_setup(nothing_is_said_without_leadership, set_up),
        cmocka_unit_test_setup(wait_is_told_in_seconds_rounded_up, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
