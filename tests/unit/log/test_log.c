/* The logger: what a line looks like, that it never waits, and the brake on repeats. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "tests/unit/support/unit.h"

struct capture {
    int pipe_fd[2];
    int stderr_fd;
};

static int capture_start(void **state)
{
    static struct capture capture;
    capture.stderr_fd = dup(STDERR_FILENO);
    if (pipe2(capture.pipe_fd, O_NONBLOCK | O_CLOEXEC) != 0 ||
        dup2(capture.pipe_fd[1], STDERR_FILENO) < 0)
        return -1;
    *state = &capture;
    return 0;
}

static int capture_end(void **state)
{
    struct capture *capture = *state;
    dup2(capture->stderr_fd, STDERR_FILENO);
    close(capture->stderr_fd);
    close(capture->pipe_fd[0]);
    close(capture->pipe_fd[1]);
    unsetenv("JOURNAL_STREAM");
    return 0;
}

/* What has been logged since, as text; empty if nothing. */
static const char *captured(const struct capture *capture)
{
    static char text[4096];
    ssize_t got = read(capture->pipe_fd[0], text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void journal_gets_the_priority_and_no_time(void **state)
{
    setenv("JOURNAL_STREAM", "8:1", 1);
    log_open("guard: ");
    log_line(LOG_WARNING, "pump: %d ms left", 820);
    assert_string_equal(captured(*state), "<4>pump: 820 ms left\n");
}

static void people_get_the_time_and_the_prefix(void **state)
{
    unsetenv("JOURNAL_STREAM");
    log_open("guard: ");
    log_line(LOG_INFO, "pump: on");
    const char *line = captured(*state);
    int hours, minutes, seconds, ms, used = 0;
    assert_int_equal(sscanf(line, "%2d:%2d:%2d.%3d %n", &hours, &minutes, &seconds, &ms, &used), 4);
    assert_string_equal(line + used, "guard: pump: on\n");
}

static void long_line_is_cut_and_still_one_line(void **state)
{
    char text[2001];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    setenv("JOURNAL_STREAM", "8:1", 1);
    log_open("");
    log_line(LOG_INFO, "%s", text);
    const char *line = captured(*state);
    assert_int_equal(strlen(line), strlen("<6>") + 500 + 1);
    assert_string_equal(line + strlen(line) - 2, "x\n");
}

static void full_stderr_loses_lines_and_holds_nobody_up(void **state)
{
    struct capture *capture = *state;
    char page[4096] = { 0 };
    log_open("");
    while (write(capture->pipe_fd[1], page, sizeof(page)) > 0)
        ;
    /* The next write would wait, were it made. */
    int flags = fcntl(capture->pipe_fd[1], F_GETFL);
    assert_int_equal(fcntl(capture->pipe_fd[1], F_SETFL, flags & ~O_NONBLOCK), 0);
    errno = ENOTTY;
    log_line(LOG_INFO, "lost");
    assert_int_equal(errno, ENOTTY);
    while (read(capture->pipe_fd[0], page, sizeof(page)) > 0)
        assert_null(memchr(page, 'l', sizeof(page)));
    log_line(LOG_INFO, "heard");
    assert_non_null(strstr(captured(capture), "heard\n"));
}

static void repeated_lines_are_counted_not_logged(void **state)
{
    (void)state;
    struct log_brake brake = { { 0 }, 0 };
    struct instant now = { 5000000 };
    assert_true(log_brake_admit(&brake, now));
    for (int i = 0; i < 37; i++) {
        assert_int_equal(log_brake_release(&brake, now), 0);
        assert_false(log_brake_admit(&brake, now));
    }
    now = instant_add(now, span_from_ms(1000));
    assert_int_equal(log_brake_release(&brake, now), 37);
    /* The line that said so was this second's. */
    assert_false(log_brake_admit(&brake, now));
    now = instant_add(now, span_from_ms(1000));
    assert_int_equal(log_brake_release(&brake, now), 1);
    now = instant_add(now, span_from_ms(1000));
    assert_int_equal(log_brake_release(&brake, now), 0);
    assert_true(log_brake_admit(&brake, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(journal_gets_the_priority_and_no_time, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(people_get_the_time_and_the_prefix, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(long_line_is_cut_and_still_one_line, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(full_stderr_loses_lines_and_holds_nobody_up, capture_start,
                                        capture_end),
        cmocka_unit_test(repeated_lines_are_counted_not_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
