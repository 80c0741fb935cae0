/* The agent's end of the guard's socket, against a guard played by this test. */
#include "agent/guard_link.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 5000 };

struct fixture {
    char folder[32];
    char log[64];
    int saved_stderr;
    int listen_fd;
    int guard_fd;
    uv_loop_t loop;
    struct guard_link link;
    unsigned ups;
    unsigned downs;
    unsigned messages;
};

static void on_up(void *context)
{
    struct fixture *f = context;
    f->ups++;
}

static void on_down(void *context)
{
    struct fixture *f = context;
    f->downs++;
}

static void on_message(void *context, const struct guard_message *message)
{
    struct fixture *f = context;
    (void)message;
    f->messages++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    assert_non_null(f);
    strcpy(f->folder, "/tmp/holdfast-link-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->log, sizeof(f->log), "%s/log", f->folder);
    f->saved_stderr = dup(STDERR_FILENO);
    int log = open(f->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(f->saved_stderr >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    close(log);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/guard.sock", f->folder);
    f->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f->listen_fd, 4), 0);
    f->guard_fd = -1;
    uv_loop_init(&f->loop);
    f->link.context = f;
    f->link.on_up = on_up;
    f->link.on_down = on_down;
    f->link.on_message = on_message;
    guard_link_start(&f->link, &f->loop, f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    guard_link_stop(&f->link);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_loop_close(&f->loop);
    dup2(f->saved_stderr, STDERR_FILENO);
    close(f->saved_stderr);
    close(f->listen_fd);
    if (f->guard_fd >= 0)
        close(f->guard_fd);
    folder_remove(f->folder);
    free(f);
    return 0;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Runs the loop until the agent has connected; returns how long that took. */
static uint64_t guard_accept(struct fixture *f)
{
    uint64_t started = now_ms();
    f->guard_fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    while (f->guard_fd < 0 && now_ms() - started < PATIENCE_MS) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
        f->guard_fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    }
    assert_true(f->guard_fd >= 0);
    return now_ms() - started;
}

static void guard_hang_up(struct fixture *f)
{
    unsigned downs = f->downs;
    close(f->guard_fd);
    f->guard_fd = -1;
    while (f->downs == downs)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void guard_greet(struct fixture *f)
{
    struct guard_message hello;
    unsigned messages = f->messages;
    guard_message_init(&hello, GUARD_HELLO);
    assert_true(name_from_string(&hello.name, "board-a"));
    assert_int_equal(send(f->guard_fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    while (f->messages == messages)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static unsigned log_lines(const struct fixture *f)
{
    unsigned lines = 0;
    FILE *in = fopen(f->log, "r");
    assert_non_null(in);
    for (int c = getc(in); c != EOF; c = getc(in))
        lines += c == '\n';
    fclose(in);
    return lines;
}

/* Another id in its file, another version, another user: it will not be better 20 ms later. */
static void guard_that_hangs_up_on_the_agent_is_dialled_less_and_less_and_told_once(void **state)
{
    struct fixture *f = *state;
    uint64_t waited_ms = 0;
    uint64_t least_ms = 0;
    for (int i = 0; i < 6; i++) {
        waited_ms += guard_accept(f);
        guard_hang_up(f);
        least_ms += i < 5 ? (uint64_t)GUARD_LINK_RETRY_MS << i : 0;
    }
    assert_true(waited_ms >= least_ms);
    assert_int_equal(f->ups, 6);
    assert_int_equal(f->downs, 6);
    assert_int_equal(log_lines(f), 1);
}

static void guard_that_restarts_is_dialled_at_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 6; i++) {
        guard_accept(f);
        guard_hang_up(f);
    }
    guard_accept(f);
    guard_greet(f);
    guard_hang_up(f);
    assert_true(guard_accept(f) < GUARD_LINK_RETRY_MAX_MS / 2);
    guard_greet(f);
    /* Refused once; connected, lost; connected. */
    assert_int_equal(log_lines(f), 4);
}

/* Before what agent and guard must agree on was part of their messages, it could not be compared. */
static void guard_of_a_former_version_is_not_heard(void **state)
{
    struct fixture *f = *state;
    struct guard_message status;
    guard_accept(f);
    guard_message_init(&status, GUARD_STATUS);
    assert_true(name_from_string(&status.name, "pump"));
    status.version = GUARD_MESSAGE_VERSION - 1;
    assert_int_equal(send(f->guard_fd, &status, sizeof(status), MSG_NOSIGNAL), sizeof(status));
    while (f->downs == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->messages, 0);
    assert_int_equal(log_lines(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            guard_that_hangs_up_on_the_agent_is_dialled_less_and_less_and_told_once, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(guard_that_restarts_is_dialled_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guard_of_a_former_version_is_not_heard, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
