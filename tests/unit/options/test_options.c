/* The daemons' common command line. */
#include <stdio.h>
#include <string.h>

#include "options/options.h"
#include "tests/unit/support/unit.h"

static struct options_program program = {
    .name = "holdfast-test",
    .about = "Does one thing.\n",
};
static char told[2048];
static char wrong[2048];

/* Parses `line`, of words with one space between; what is printed goes to told and wrong. */
static int parse(struct options *options, const char *line)
{
    static char words[256];
    char *argv[16] = { "holdfast-test" };
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    told[0] = wrong[0] = '\0';
    FILE *out = fmemopen(told, sizeof(told), "w");
    FILE *errors = fmemopen(wrong, sizeof(wrong), "w");
    assert_non_null(out);
    assert_non_null(errors);
    int status = options_parse(options, &program, argc, argv, out, errors);
    fclose(out);
    fclose(errors);
    return status;
}

static void defaults_are_the_shipped_file_and_a_real_start(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, ""), OPTIONS_GO_ON);
    assert_string_equal(options.file, "/etc/holdfast/holdfast.conf");
    assert_false(options.check_only);
}

static void file_and_check_are_taken(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, "-f -t -c board.conf"), OPTIONS_GO_ON);
    assert_string_equal(options.file, "board.conf");
    assert_true(options.check_only);
}

static void version_and_help_end_well_on_the_output(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, "--version"), 0);
    assert_string_equal(told, "holdfast-test " HOLDFAST_VERSION "\n");
    assert_int_equal(parse(&options, "--help"), 0);
    assert_non_null(strstr(told, "usage: holdfast-test"));
    assert_non_null(strstr(told, "Does one thing.\n"));
    assert_string_equal(wrong, "");
}

static void wrong_ones_end_with_2_and_the_usage(void **state)
{
    (void)state;
    static const char *const lines[] = { "-x", "--wrong", "-c", "board.conf" };
    struct options options;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(parse(&options, lines[i]), OPTIONS_EXIT_USAGE);
        assert_non_null(strstr(wrong, "usage: holdfast-test"));
        assert_string_equal(told, "");
    }
    assert_non_null(strstr(wrong, "board.conf: no arguments are taken"));
}

static void a_restore_is_taken_by_a_program_that_restores_only(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, "--restore b.txt"), OPTIONS_EXIT_USAGE);
    assert_null(strstr(wrong, "--above"));
    program.restores = true;
    assert_int_equal(parse(&options, "--restore b.txt"), OPTIONS_GO_ON);
    assert_string_equal(options.restore, "b.txt");
    assert_null(options.above);
    assert_false(options.force);
    assert_int_equal(parse(&options, "-c f --restore b.txt --above 17 --force"), OPTIONS_GO_ON);
    assert_string_equal(options.above, "17");
    assert_true(options.force);
    assert_int_equal(parse(&options, "--above 17"), OPTIONS_EXIT_USAGE);
    assert_non_null(strstr(wrong, "belong to --init or --restore"));
    assert_int_equal(parse(&options, "--force"), OPTIONS_EXIT_USAGE);
    assert_int_equal(parse(&options, "--init"), OPTIONS_GO_ON);
    assert_true(options.init && !options.restore && !options.above);
    assert_int_equal(parse(&options, "-c f --init --above 12"), OPTIONS_GO_ON);
    assert_string_equal(options.above, "12");
    assert_int_equal(parse(&options, "--init --restore b.txt"), OPTIONS_EXIT_USAGE);
    assert_int_equal(parse(&options, "-t --init"), OPTIONS_EXIT_USAGE);
    assert_int_equal(parse(&options, "--restore b.txt -t"), OPTIONS_EXIT_USAGE);
    program.restores = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_shipped_file_and_a_real_start),
        cmocka_unit_test(file_and_check_are_taken),
        cmocka_unit_test(version_and_help_end_well_on_the_output),
        cmocka_unit_test(wrong_ones_end_with_2_and_the_usage),
        cmocka_unit_test(a_restore_is_taken_by_a_program_that_restores_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
