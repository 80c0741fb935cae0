/* The bench file: what is right is taken, and every error is said on its own line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/config.h"
#include "tests/unit/support/unit.h"

static struct bench_config config;
static char path[64];

/* Loads `text` as a file; returns the errors in `errors`. */
static int load(const char *text, char *errors, size_t size)
{
    snprintf(path, sizeof path, "/tmp/bench-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    memset(errors, 0, size);
    FILE *stream = fmemopen(errors, size, "w");
    int count = bench_config_load(&config, path, stream);
    fclose(stream);
    unlink(path);
    return count;
}

static void a_full_file_is_taken(void **state)
{
    char errors[2048];
    (void)state;
    assert_int_equal(
        load("bench = { socket = \"s\"; ctl = \"/run/c\"; trace = \"t\"; boards = (\"a\", \"b\");\n"
             "resources = ( { name = \"pump\"; lines = ( { name = \"enable\"; kind = \"pulse\";\n"
             "  hold_ms = 30; readback = true; retain = true; energise_ms = 4; } ); } );\n"
             "actuators = ( { name = \"valve\"; listen = \"127.0.0.1:0\"; resource = \"pump\"; },\n"
             "  { name = \"lift\"; rtu = true; unit = 7; delay_ms = 3; } ); reset_ms = 5; };",
             errors, sizeof errors),
        0);
    assert_string_equal(config.socket, "/tmp/s");
    assert_string_equal(config.ctl, "/run/c");
    assert_int_equal(config.board_count, 2);
    assert_int_equal(config.resources[0].lines[0].kind, WITNESS_PULSE);
    assert_int_equal(config.resources[0].lines[0].hold_ms, 30);
    assert_true(config.resources[0].lines[0].retain);
    assert_int_equal(config.actuators[0].resource, 0);
    assert_int_equal(config.actuators[1].resource, -1);
    assert_true(config.actuators[1].rtu);
    assert_int_equal(config.reset_ms, 5);
}

static void assert_line(const char *errors, const char *text)
{
    if (!strstr(errors, text))
        fail_msg("no \"%s\" in:\n%s", text, errors);
}

static void every_error_is_said_with_its_line(void **state)
{
    char errors[4096];
    (void)state;
    assert_int_equal(
        load("bench = { socket = 5; trace = \"t\"; boards = (\"a\", \"a\", \"-b\");\n"
             "sokcet = \"s\";\n"
             "resources = ( { name = \"pump\"; lines = ( { name = \"x\"; kind = \"relay\";\n"
             "  hold_ms = 0; readback = 1; },\n"
             "  { name = \"x\"; kind = \"gpio\"; } ); } );\n"
             "actuators = ( { name = \"v\"; listen = \"localhost\"; resource = \"fan\"; unit = "
             "300; },\n"
             "  7 ); };\n",
             errors, sizeof errors),
        13);
    assert_line(errors, ":1: bench.socket: 5, allowed: a path");
    assert_line(errors, "bench.ctl: missing, allowed: a path");
    assert_line(errors, ":1: bench.boards: \"a\", allowed: each board once");
    assert_line(errors, ":1: bench.boards: \"-b\", allowed: 1 to 31");
    assert_line(errors, ":2: bench.sokcet: unknown key, allowed: socket ctl");
    assert_line(errors, ":3: bench.resources[0].lines[0].kind: \"relay\", allowed: \"pulse\"");
    assert_line(errors, ":4: bench.resources[0].lines[0].hold_ms: 0, allowed: 1 to 60000 ms");
    assert_line(errors, ":4: bench.resources[0].lines[0].readback: 1, allowed: true or false");
    assert_line(errors, ":5: bench.resources[0].lines[1].name: \"x\", allowed: each line");
    assert_line(errors, ":6: bench.actuators[0].listen: \"localhost\", allowed: \"IPV4:PORT\"");
    assert_line(errors, ":6: bench.actuators[0].resource: \"fan\", allowed:");
    assert_line(errors, ":6: bench.actuators[0].unit: 300, allowed: 1 to 247");
    assert_line(errors, ":7: bench.actuators[1]: 7, allowed: a group");
}

static void what_is_no_libconfig_or_no_bench_is_said(void **state)
{
    char errors[1024];
    (void)state;
    assert_int_equal(load("bench = {\n = 5", errors, sizeof errors), 1);
    assert_line(errors, ":2: file: syntax error, allowed: libconfig syntax");
    assert_int_equal(load("", errors, sizeof errors), 1);
    assert_line(errors, ": bench: missing, allowed: bench = { ... }");
    FILE *stream = fmemopen(errors, sizeof errors, "w");
    assert_int_equal(bench_config_load(&config, "/nonexistent/bench.conf", stream), 1);
    fclose(stream);
    assert_line(errors,
                "/nonexistent/bench.conf:0: file: No such file or directory, allowed: a file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_file_is_taken),
        cmocka_unit_test(every_error_is_said_with_its_line),
        cmocka_unit_test(what_is_no_libconfig_or_no_bench_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
