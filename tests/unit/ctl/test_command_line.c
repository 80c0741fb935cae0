/* The command line of holdfastctl: every usage error is one clear line and status 2. */
#include <stdio.h>
#include <string.h>

#include "ctl/commands.h"
#include "ctl/command_line.h"
#include "tests/unit/support/unit.h"

enum { ARGUMENTS_MAX = 24 };

struct told {
    char out[8192];
    char errors[2048];
};

static int run(struct told *told, const char *const *arguments)
{
    int count = 0;
    char *argv[ARGUMENTS_MAX + 1] = { 0 };
    static char words[ARGUMENTS_MAX][128];
    for (; arguments[count]; count++) {
        snprintf(words[count], sizeof(words[count]), "%s", arguments[count]);
        argv[count] = words[count];
    }
    FILE *out = fmemopen(told->out, sizeof(told->out), "w");
    FILE *errors = fmemopen(told->errors, sizeof(told->errors), "w");
    int status = ctl_run(count, argv, out, errors);
    fclose(out);
    fclose(errors);
    return status;
}

#define RUN(told, ...) run(told, (const char *const[]){ "holdfastctl", __VA_ARGS__, NULL })

static void options_stand_before_the_command_and_format_behind_it_too(void **state)
{
    (void)state;
    struct ctl_options options;
    char *const argv[] = { "holdfastctl", "-c", "F", "--ca=A", "history", "-n", "5", "-o", "json" };
    assert_true(ctl_options_parse(&options, 9, argv, stderr));
    assert_string_equal(options.conf_file, "F");
    assert_string_equal(options.ca, "A");
    assert_true(options.json);
    assert_int_equal(options.word_count, 3);
    assert_string_equal(options.words[2], "5");
}

/* "-h" of history, or a file called "-c": behind the command they are the command's. */
static void what_stands_behind_the_command_is_the_commands(void **state)
{
    (void)state;
    struct ctl_options options;
    char *const argv[] = { "holdfastctl", "history", "-c", "F", "--node", "N", "--version" };
    assert_true(ctl_options_parse(&options, 7, argv, stderr));
    assert_null(options.conf_file);
    assert_null(options.node);
    assert_false(options.version);
    assert_int_equal(options.word_count, 6);
}

static void the_later_format_wins(void **state)
{
    (void)state;
    struct ctl_options options;
    char *const argv[] = { "holdfastctl", "--json", "-o", "table", "status" };
    assert_true(ctl_options_parse(&options, 5, argv, stderr));
    assert_false(options.json);
}

struct wrong {
    const char *arguments[6];
    const char *says;
};

static const struct wrong wrongs[] = {
    { { "holdfastctl" }, "no command" },
    { { "holdfastctl", "frobnicate" }, "frobnicate: unknown command" },
    { { "holdfastctl", "-z", "status" }, "-z: unknown option" },
    { { "holdfastctl", "-o", "xml", "status" }, "\"xml\", must be table or json" },
    { { "holdfastctl", "-c" }, "holdfastctl: -c: no value, must be FILE" },
    { { "holdfastctl", "--json=yes", "status" }, "takes no value" },
    { { "holdfastctl", "transfer", "pump" }, "usage: transfer RESOURCE BOARD" },
    { { "holdfastctl", "fault", "clear" }, "usage: fault clear RESOURCE" },
    { { "holdfastctl", "unpin" }, "usage: unpin RESOURCE" },
    { { "holdfastctl", "preflight", "--seconds", "abc" }, "--seconds: \"abc\", must be 0 to 3600" },
    { { "holdfastctl", "preflight", "--seconds", "3601" },
      "--seconds: \"3601\", must be 0 to 3600" },
    { { "holdfastctl", "preflight", "--seconds" }, "--seconds: no value; usage: preflight" },
    { { "holdfastctl", "preflight", "--try" }, "--try: unknown option; usage: preflight" },
    { { "holdfastctl", "status\nquit" }, "control character" },
    { { "holdfastctl", "pki" }, "usage: pki" },
    { { "holdfastctl", "pki", "frob", "--dir", "x" }, "usage: pki" },
    { { "holdfastctl", "pki", "init", "--dir" }, "usage: pki" },
    { { "holdfastctl", "pki", "init", "--dir", "x" }, "usage: pki" },
    { { "holdfastctl", "pki", "init", "--dri", "x" }, "--dri: unknown option" },
    { { "holdfastctl", "pki", "renew", "--force", "--dir=x" }, "--force: unknown option" },
    { { "holdfastctl", "pki", "init", "--dir=/x", "--cluster=a b" },
      "--cluster: \"a b\", must be" },
    { { "holdfastctl", "pki", "init", "--dir=/x", "--cluster=a", "--days=0" },
      "--days: \"0\", must be a whole number of days, 1 to 36500" },
    { { "holdfastctl", "pki", "issue", "--dir=/x", "--name=../a", "--role=node" },
      "--name: \"../a\", must be" },
    { { "holdfastctl", "pki", "issue", "--dir=/x", "--name=a", "--role=nod" },
      "--role: \"nod\", must be node, viewer or operator" },
    { { "holdfastctl", "check", "x.conf" }, "check: x.conf: not known here; usage: check" },
    { { "holdfastctl", "budget", "x.conf" }, "budget: x.conf: not known here; usage: budget" },
    { { "holdfastctl", "reference", "mann" }, "reference: mann: not known here; usage: reference" },
    { { "holdfastctl", "reference", "man", "x" }, "reference: x: not known here; usage" },
};

static void every_usage_error_is_told_with_status_2(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct told told = { 0 };
        const char *arguments[7] = { 0 };
        memcpy(arguments, wrongs[i].arguments, sizeof(wrongs[i].arguments));
        int status = run(&told, arguments);
        if (status != CTL_EXIT_USAGE || !strstr(told.errors, wrongs[i].says))
            fail_msg("case %zu: status %d, \"%s\"", i, status, told.errors);
        assert_string_equal(told.out, "");
    }
}

static void too_many_words_are_a_usage_error(void **state)
{
    (void)state;
    struct told told = { 0 };
    assert_int_equal(RUN(&told, "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
                         "a", "a", "a", "a"),
                     CTL_EXIT_USAGE);
}

static void help_and_version_need_nothing(void **state)
{
    (void)state;
    struct told told = { 0 };
    assert_int_equal(RUN(&told, "--help"), CTL_EXIT_OK);
    assert_non_null(strstr(told.out, "transfer RESOURCE BOARD"));
    const char *asked = strstr(told.out, "\nAsked of the console:\n");
    const char *here = strstr(told.out, "\nDone here, without a daemon:\n");
    assert_non_null(asked);
    assert_non_null(here);
    const char *backup = strstr(told.out, "\n  backup FILE");
    assert_true(asked < backup && backup < here && here < strstr(told.out, "\n  preflight "));
    assert_int_equal(RUN(&told, "--version"), CTL_EXIT_OK);
    assert_non_null(strstr(told.out, "holdfastctl " HOLDFAST_VERSION));
}

static void budget_needs_no_daemon(void **state)
{
    (void)state;
    struct told told = { 0 };
    assert_int_equal(RUN(&told, "-c", "conf/examples/board-a.conf", "-o", "json", "budget"),
                     CTL_EXIT_OK);
    assert_non_null(strstr(told.out, "\"total_ms\":"));
    assert_string_equal(told.errors, "");
}

static void a_bad_configuration_is_refused_with_its_errors(void **state)
{
    (void)state;
    struct told told = { 0 };
    assert_int_equal(RUN(&told, "-c", "/nonexistent/h.conf", "budget"), CTL_EXIT_REFUSED);
    assert_non_null(strstr(told.errors, "/nonexistent/h.conf:0: cannot read"));
    assert_int_equal(RUN(&told, "-c", "/nonexistent/h.conf", "status"), CTL_EXIT_REFUSED);
    assert_int_equal(RUN(&told, "-c", "/nonexistent/h.conf", "check"), CTL_EXIT_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_the_command_and_format_behind_it_too),
        cmocka_unit_test(what_stands_behind_the_command_is_the_commands),
        cmocka_unit_test(the_later_format_wins),
        cmocka_unit_test(every_usage_error_is_told_with_status_2),
        cmocka_unit_test(too_many_words_are_a_usage_error),
        cmocka_unit_test(help_and_version_need_nothing),
        cmocka_unit_test(budget_needs_no_daemon),
        cmocka_unit_test(a_bad_configuration_is_refused_with_its_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
