/* Hooks: what they are told, how many run at once, and what is said of those that fail. */
#include "agent/hooks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/folder.h"
#include "tests/unit/support/log_file.h"
#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 20000 };

static char folder[32];
static char program[64];
static uv_loop_t loop;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/holdfast-hooks-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(program, sizeof(program), "%s/hook", folder);
    log_file_begin(folder);
    uv_loop_init(&loop);
    return 0;
}

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

static unsigned processes;

static void count_process(uv_handle_t *handle, void *unused)
{
    (void)unused;
    processes += handle->type == UV_PROCESS;
}

/* The daemon does not wait for its hooks; this test does. */
static void await_hooks(void)
{
    uv_timer_t tick; /* a loop of which nothing is alive looks at nothing */
    uint64_t end_ms = uv_hrtime() / 1000000 + PATIENCE_MS;
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, wake, 2, 2);
    do {
        uv_run(&loop, UV_RUN_ONCE);
        processes = 0;
        uv_walk(&loop, count_process, NULL);
    } while (processes > 0 && uv_hrtime() / 1000000 < end_ms);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static int tear_down(void **state)
{
    (void)state;
    await_hooks();
    assert_int_equal(uv_loop_close(&loop), 0);
    log_file_end();
    folder_remove(folder);
    return 0;
}

static void write_program(const char *body)
{
    FILE *out = fopen(program, "w");
    assert_non_null(out);
    fprintf(out, "#!/bin/sh\ncd %s\n%s\n", folder, body);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(program, 0700), 0);
}

static unsigned lines_of(const char *file, const char *with)
{
    char path[96];
    char line[512];
    unsigned lines = 0;
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    FILE *in = fopen(path, "r");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        lines += strstr(line, with) != NULL;
    if (in != NULL)
        fclose(in);
    return lines;
}

/* Runs the loop until there are so many such lines. */
static void await(const char *file, const char *with, unsigned lines)
{
    uint64_t end_ms = uv_hrtime() / 1000000 + PATIENCE_MS;
    uv_timer_t tick;
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, wake, 2, 2);
    while (lines_of(file, with) < lines && uv_hrtime() / 1000000 < end_ms)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(lines_of(file, with), lines);
}

static void run(const char *event)
{
    hooks_run(&loop, program, "pump", UINT64_C(5000000012), event);
}

static void hook_is_told_what_happened_to_what(void **state)
{
    (void)state;
    write_program("env > told.new; echo that-is-all >> told.new; mv told.new told");
    run("lost");
    await("told", "that-is-all", 1);
    assert_int_equal(lines_of("told", "HOLDFAST_RESOURCE=pump"), 1);
    assert_int_equal(lines_of("told", "HOLDFAST_TOKEN=5000000012"), 1);
    assert_int_equal(lines_of("told", "HOLDFAST_EVENT=lost"), 1);
    assert_int_equal(lines_of("told", "PATH="), 1);
    assert_int_equal(lines_of("log", ""), 0);
}

static void path_that_is_too_long_is_replaced_not_cut(void **state)
{
    (void)state;
    char path[300];
    char before[4096] = "";
    const char *own = getenv("PATH");
    snprintf(before, sizeof(before), "%s", own != NULL ? own : "");
    memset(path, '/', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    write_program("echo \"$PATH.\" > path.new; mv path.new path");
    assert_int_equal(setenv("PATH", path, 1), 0);
    run("lost");
    assert_int_equal(setenv("PATH", before, 1), 0);
    await("path", "/usr/sbin:/usr/bin:/sbin:/bin.", 1);
}

static void hook_that_fails_is_told_with_its_status_or_signal(void **state)
{
    (void)state;
    write_program("exit 3");
    run("acquired");
    await("log", "pump: acquired: hook exited with status 3", 1);
    write_program("kill -9 $$");
    run("lost");
    await("log", "pump: lost: hook ended by signal 9", 1);
}

/* A hook that hangs takes one place, no more; and gives it back at its end. */
static void eight_hooks_run_at_once_and_their_places_come_back(void **state)
{
    (void)state;
    char go[64];
    /* It ends with the test, too, should that be killed. */
    write_program(
        "echo here >> here; while [ ! -e go ] && kill -0 $PPID; do sleep 0.02; done; exit 4");
    for (int i = 0; i < HOOKS_MAX; i++)
        run("acquired");
    await("here", "here", HOOKS_MAX);
    assert_int_equal(lines_of("log", "not started"), 0);
    run("lost");
    assert_int_equal(lines_of("log", "pump: lost hook not started: 8 hooks are still running"), 1);
    snprintf(go, sizeof(go), "%s/go", folder);
    close(open(go, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    await("log", "hook exited with status 4", HOOKS_MAX);
    run("lost");
    await("here", "here", HOOKS_MAX + 1);
    await("log", "hook exited with status 4", HOOKS_MAX + 1);
    assert_int_equal(lines_of("log", "not started"), 1);
}

static void program_that_cannot_be_started_is_told_and_takes_no_place(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * HOOKS_MAX; i++) {
        run("acquired");
        await_hooks();
    }
    assert_int_equal(lines_of("log", "pump: acquired hook /tmp/holdfast-hooks-"), 2 * HOOKS_MAX);
    assert_int_equal(lines_of("log", "no such file or directory"), 2 * HOOKS_MAX);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(hook_is_told_what_happened_to_what),
        TEST(path_that_is_too_long_is_replaced_not_cut),
        TEST(hook_that_fails_is_told_with_its_status_or_signal),
        TEST(eight_hooks_run_at_once_and_their_places_come_back),
        TEST(program_that_cannot_be_started_is_told_and_takes_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
