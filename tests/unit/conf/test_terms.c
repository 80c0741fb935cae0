/* What agent and guard must agree on: every key that a fence latency is made of is in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/terms.h"
#include "tests/unit/support/unit.h"

static const char text[] =
    "node = { id = \"board-a\"; };\n"
    "cluster = { name = \"line-3\"; issuers = ( { id = \"i1\"; address = \"10.0.0.1:7400\"; } ); "
    "};\n"
    "tls = { ca = \"ca.crt\"; cert = \"a.crt\"; key = \"a.key\"; };\n"
    "agent = { resources = ( { name = \"pump\"; ttl_ms = 9000; release_ms = 50; priority = 3; "
    "outputs = (\n"
    "  { name = \"p\"; kind = \"pulse\"; chip = \"c0\"; line = 4; rate_hz = 250; hold_ms = 20; },\n"
    "  { name = \"g\"; kind = \"gpio\"; chip = \"c1\"; line = 5; reset_ms = 300; active_low = "
    "false;\n"
    "    readback = { chip = \"c2\"; line = 6; within_ms = 30; }; } ); } ); };\n"
    "watchdog = { device = \"wd\"; timeout_ms = 2000; close_pings = true; };\n"
    "hal = { backend = \"sim\"; socket = \"s\"; };\n";

/* The text with `from` replaced. */
static struct guard_terms load(const char *from, const char *to)
{
    static struct conf conf;
    char path[] = "/tmp/holdfast-terms-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    const char *at = from ? strstr(text, from) : NULL;
    if (at) {
        assert_null(strstr(at + 1, from));
        fprintf(file, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    } else {
        assert_null(from);
        fputs(text, file);
    }
    fclose(file);
    assert_int_equal(conf_load(&conf, path, stderr), 0);
    unlink(path);
    return conf_terms(&conf, &conf.resource[0]);
}

static void every_key_that_counts_makes_other_terms(void **state)
{
    static const char *const changes[][2] = {
        { "ttl_ms = 9000", "ttl_ms = 9001" },
        { "release_ms = 50", "release_ms = 60" },
        { "reset_ms = 300", "covers = \"process\"" },
        { "name = \"p\"", "name = \"q\"" },
        { "chip = \"c0\"", "chip = \"c9\"" },
        { "line = 4", "line = 7" },
        { "rate_hz = 250", "rate_hz = 251" },
        { "hold_ms = 20", "hold_ms = 21" },
        { "reset_ms = 300", "reset_ms = 301" },
        { "active_low = false", "active_low = true" },
        { "chip = \"c2\"", "chip = \"c9\"" },
        { "line = 6", "line = 8" },
        { "line = 6", "line_name = \"AUX\"" },
        { "line = 4", "line = 4; line_name = \"PUMP\"" },
        { "within_ms = 30", "within_ms = 30; active_low = true" },
        { "within_ms = 30", "within_ms = 30; bias = \"pull-down\"" },
        { "within_ms = 30", "within_ms = 31" },
        { "device = \"wd\"", "device = \"we\"" },
        { "timeout_ms = 2000", "timeout_ms = 2001" },
        { "close_pings = true", "close_pings = false" },
    };
    const struct guard_terms own = load(NULL, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct guard_terms other = load(changes[i][0], changes[i][1]);
        if (guard_terms_equal(&own, &other))
            fail_msg("%s makes no difference", changes[i][1]);
    }
}

static void what_does_not_count_makes_none(void **state)
{
    const struct guard_terms own = load(NULL, NULL);
    const struct guard_terms priority = load("priority = 3", "priority = 4");
    const struct guard_terms address = load("10.0.0.1", "10.0.0.2");
    (void)state;
    assert_true(guard_terms_equal(&own, &priority));
    assert_true(guard_terms_equal(&own, &address));
}

static void the_difference_is_told_with_both_numbers(void **state)
{
    char words[CONF_TERMS_TEXT_MAX + 1];
    const struct guard_terms own = load(NULL, NULL);
    const struct guard_terms reset = load("reset_ms = 300", "reset_ms = 1300");
    const struct guard_terms ttl = load("ttl_ms = 9000", "ttl_ms = 8000");
    const struct guard_terms rate = load("rate_hz = 250", "rate_hz = 251");
    (void)state;
    assert_string_equal(conf_terms_differ(words, &own, &own), "");
    assert_string_equal(conf_terms_differ(words, &reset, &own),
                        "fence latency is 5300 ms by the guard's configuration, 4300 ms by the "
                        "agent's: restart both with one file");
    assert_string_equal(conf_terms_differ(words, &own, &ttl),
                        "ttl is 9000 ms by the guard's configuration, 8000 ms by the agent's: "
                        "restart both with one file");
    assert_non_null(strstr(conf_terms_differ(words, &own, &rate), "outputs or watchdog"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_that_counts_makes_other_terms),
        cmocka_unit_test(what_does_not_count_makes_none),
        cmocka_unit_test(the_difference_is_told_with_both_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
