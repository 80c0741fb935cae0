/* Whose word counts for an operator at another node's console. */
#include "console/voucher.h"

#include <string.h>

#include "tests/unit/support/unit.h"

static struct hf_name name(const char *text)
{
    struct hf_name name;
    assert_true(name_from_string(&name, text));
    return name;
}

static bool accepted(const char *via, const char *resource)
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
    return voucher_accepted(&conf, &node, strncmp(via, "issuer-", 7) == 0, resource != NULL ? &on : NULL);
}

static void issuers_vouch_for_every_act(void **state)
{
    (void)state;
    assert_true(accepted("issuer-1", "pump"));
    assert_true(accepted("issuer-2", "unknown"));
    assert_true(accepted("issuer-2", NULL));
}

static void board_vouches_for_what_it_may_hold_only(void **state)
{
    (void)state;
    assert_true(accepted("board-a", "pump"));
    assert_false(accepted("board-a", "fan"));
    assert_true(accepted("board-b", "fan"));
    assert_true(accepted("board-c", "fan"));
    assert_false(accepted("board-c", "pump"));
}

static void board_of_any_policy_vouches_for_acts_on_no_resource(void **state)
{
    (void)state;
    assert_true(accepted("board-c", NULL));
    assert_true(accepted("board-a", "unknown"));
}

static void other_nodes_vouch_for_nobody(void **state)
{
    (void)state;
    assert_false(accepted("board-z", "pump"));
    assert_false(accepted("board-z", "unknown"));
    assert_false(accepted("board-z", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issuers_vouch_for_every_act),
        cmocka_unit_test(board_vouches_for_what_it_may_hold_only),
        cmocka_unit_test(board_of_any_policy_vouches_for_acts_on_no_resource),
        cmocka_unit_test(other_nodes_vouch_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
