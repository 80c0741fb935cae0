/* What a node may relay to another node's console. */
#include "console/voucher.h"

#include <string.h>

#include "console/purse.h"
#include "tests/unit/support/unit.h"

static struct hf_name name(const char *text)
{
    struct hf_name name;
    assert_true(name_from_string(&name, text));
    return name;
}

static bool accepted(const char *via, enum voucher_act act, const char *resource)
{
    static struct conf conf;
    memset(&conf, 0, sizeof(conf));
    conf.policy_count = 2;
    conf.policy[0] = (struct conf_policy){ .resource = name("pump"), .holder_count = 1 };
    conf.policy[0].holder[0] = name("board-a");
    conf.policy[1] = (struct conf_policy){ .resource = name("fan"), .holder_count = 2 };
    conf.policy[1].holder[0] = name("board-b");
    conf.policy[1].holder[1] = name("board-c");
    struct hf_name node = name(via);
    struct hf_name on = name(resource != NULL ? resource : "none");
    return voucher_accepted(&conf, &node, strncmp(via, "issuer-", 7) == 0, act,
                            resource != NULL ? &on : NULL);
}

static void issuers_vouch_for_every_act(void **state)
{
    (void)state;
    assert_true(accepted("issuer-1", VOUCHER_NONE, "pump"));
    assert_true(accepted("issuer-2", VOUCHER_FAULT, "unknown"));
    assert_true(accepted("issuer-2", VOUCHER_NONE, NULL));
}

static void boards_vouch_for_no_operator(void **state)
{
    (void)state;
    static const char *const boards[] = { "board-a", "board-b", "board-z" };
    for (size_t i = 0; i < 3; i++) {
        assert_false(accepted(boards[i], VOUCHER_NONE, NULL));
        assert_false(accepted(boards[i], VOUCHER_NONE, "pump"));
        assert_false(accepted(boards[i], VOUCHER_NONE, "unknown"));
        assert_true(accepted(boards[i], VOUCHER_READ, NULL));
    }
}

static void a_board_notes_faults_of_what_it_may_hold_only(void **state)
{
    (void)state;
    assert_true(accepted("board-a", VOUCHER_FAULT, "pump"));
    assert_false(accepted("board-a", VOUCHER_FAULT, "fan"));
    assert_true(accepted("board-c", VOUCHER_FAULT, "fan"));
    assert_false(accepted("board-c", VOUCHER_FAULT, "pump"));
    assert_false(accepted("board-a", VOUCHER_FAULT, "unknown"));
    assert_false(accepted("board-z", VOUCHER_FAULT, "pump"));
}

static void a_purse_is_its_owners_until_all_are_taken(void **state)
{
    (void)state;
    const struct budget_rule rule = { .burst = 10, .unit_us = 1000000 };
    struct purse purse[2] = { 0 };
    struct hf_name olga = name("olga");
    struct hf_name otto = name("otto");
    struct hf_name anna = name("anna");
    struct instant at = { 1000000 };
    budget_spend(purse_of(purse, 2, &olga), &rule, 10, at);
    budget_spend(purse_of(purse, 2, &otto), &rule, 2, at);
    assert_int_equal(budget_left(purse_of(purse, 2, &olga), &rule, at), 0);
    assert_int_equal(budget_left(purse_of(purse, 2, &otto), &rule, at), 8);
    /* Whoever has spent most is remembered. */
    assert_int_equal(budget_left(purse_of(purse, 2, &anna), &rule, at), 10);
    assert_int_equal(budget_left(purse_of(purse, 2, &olga), &rule, at), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issuers_vouch_for_every_act),
        cmocka_unit_test(boards_vouch_for_no_operator),
        cmocka_unit_test(a_board_notes_faults_of_what_it_may_hold_only),
        cmocka_unit_test(a_purse_is_its_owners_until_all_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
