/* The boards' protocol, line by line, and who may say what. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/protocol.h"
#include "tests/unit/support/unit.h"

static struct bench_command command;
static char reason[BENCH_ERROR_MAX];

static bool parse(const char *text, enum bench_role role)
{
    reason[0] = '\0';
    return bench_protocol_parse(text, role, &command, reason);
}

static void takes_every_command(void **state)
{
    (void)state;
    assert_true(parse("hello board-a gateway 4711", BENCH_ROLE_NONE));
    assert_int_equal(command.role, BENCH_ROLE_GATEWAY);
    assert_int_equal(command.pid, 4711);
    assert_string_equal(command.board.text, "board-a");
    assert_true(parse("out pump/enable 1", BENCH_ROLE_GUARD));
    assert_string_equal(command.resource.text, "pump");
    assert_string_equal(command.line.text, "enable");
    assert_true(command.level);
    assert_true(parse("wd arm 2000", BENCH_ROLE_GUARD));
    assert_int_equal(command.value, 2000);
    assert_true(parse("wd feed", BENCH_ROLE_GUARD));
    assert_int_equal(command.verb, BENCH_WD_FEED);
    assert_true(parse("wd stop", BENCH_ROLE_GUARD));
    assert_int_equal(command.verb, BENCH_WD_STOP);
    assert_true(parse("modbus 65535", BENCH_ROLE_GATEWAY));
    assert_int_equal(command.value, 65535);
}

/* Every cell of role x command. */
static void each_role_says_only_its_own(void **state)
{
    static const char *const lines[] = { "hello b guard 2", "out r/l 0", "wd arm 1",
                                         "wd feed",         "wd stop",   "modbus 1" };
    static const char *const expected[] = { "100000", "011110", "000000", "000001" };
    (void)state;
    for (int role = BENCH_ROLE_NONE; role <= BENCH_ROLE_GATEWAY; role++)
        for (int i = 0; i < 6; i++) {
            bool taken = parse(lines[i], (enum bench_role)role);
            if (taken != (expected[role][i] == '1') || (!taken && reason[0] == '\0'))
                fail_msg("%s: \"%s\": %d \"%s\"", bench_role_name((enum bench_role)role), lines[i],
                         taken, reason);
        }
}

static void refuses_what_is_malformed_with_a_reason(void **state)
{
    static const char *const hello[] = { "hello",
                                         "hello b guard",
                                         "hello b guard 1",
                                         "hello b guard -2",
                                         "hello b guard 02",
                                         "hello b guard 4194305",
                                         "hello -b guard 2",
                                         "hello b Guard 2",
                                         "hello  b guard 2",
                                         " hello b guard 2",
                                         "hello b guard 2 ",
                                         "hello\tb guard 2",
                                         "" };
    static const char *const guard[] = { "out pump 1",
                                         "out pump/ 1",
                                         "out /enable 1",
                                         "out pump/enable 2",
                                         "out pump/enable 01",
                                         "out pump/enable",
                                         "wd",
                                         "wd arm",
                                         "wd arm 0",
                                         "wd arm 600001",
                                         "wd arm 99999999999999999999",
                                         "wd bark",
                                         "wd feed 1",
                                         "OUT pump/enable 1",
                                         "a b c d e f g" };
    char longest[BENCH_LINE_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof hello / sizeof hello[0]; i++)
        if (parse(hello[i], BENCH_ROLE_NONE) || reason[0] == '\0')
            fail_msg("taken: \"%s\"", hello[i]);
    for (size_t i = 0; i < sizeof guard / sizeof guard[0]; i++)
        if (parse(guard[i], BENCH_ROLE_GUARD) || reason[0] == '\0')
            fail_msg("taken: \"%s\"", guard[i]);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_false(parse(longest, BENCH_ROLE_GUARD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_command),
        cmocka_unit_test(each_role_says_only_its_own),
        cmocka_unit_test(refuses_what_is_malformed_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
