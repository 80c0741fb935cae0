/* Where another node's console is reached, by what that node says it listens on. */
#include "node/reach.h"

#include "tests/unit/support/unit.h"

static void expect(const char *told, const char *peer, const char *reached)
{
    char out[64] = "";
    bool known = reach_console(told, peer, out, sizeof(out));
    assert_int_equal(known, reached != NULL);
    if (reached != NULL)
        assert_string_equal(out, reached);
}

static void an_address_of_its_own_is_taken_as_it_is(void **state)
{
    (void)state;
    expect("10.0.0.1:7500", "10.0.0.1:7400", "10.0.0.1:7500");
    expect("192.168.1.1:7500", "10.0.0.1:7400", "192.168.1.1:7500");
    expect("[fd00::1]:7500", "[fd00::2]:7400", "[fd00::1]:7500");
}

static void every_address_is_the_one_that_its_peers_use(void **state)
{
    (void)state;
    expect("0.0.0.0:7500", "10.0.0.1:7400", "10.0.0.1:7500");
    expect("[::]:7500", "[fd00::2]:7400", "[fd00::2]:7500");
    expect("0.0.0.0:7500", "", NULL);
}

static void an_address_that_only_itself_can_reach_is_none(void **state)
{
    (void)state;
    expect("127.0.0.1:7500", "10.0.0.1:7400", NULL);
    expect("[::1]:7500", "10.0.0.1:7400", NULL);
    expect("127.0.0.2:7500", "127.0.0.2:7400", "127.0.0.2:7500");
}

static void what_is_no_address_is_nowhere(void **state)
{
    (void)state;
    expect("", "10.0.0.1:7400", NULL);
    expect("console", "10.0.0.1:7400", NULL);
    expect("10.0.0.1:0", "10.0.0.1:7400", NULL);
    expect("a b at c:7500", "10.0.0.1:7400", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_of_its_own_is_taken_as_it_is),
        cmocka_unit_test(every_address_is_the_one_that_its_peers_use),
        cmocka_unit_test(an_address_that_only_itself_can_reach_is_none),
        cmocka_unit_test(what_is_no_address_is_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
