/* The agent's end of the guard's socket, against a guard played by this test. */
#include "agent/guard_link.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/support/descriptors.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 5000, NOBODY = 65534, BACKLOG = 64 };

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

static void guard_bind(struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/guard.sock", f->folder);
    (void)unlink(address.sun_path);
    f->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* Nobody listens yet. */
static int set_up_alone(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/holdfast-link-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->log, sizeof(f->log), "%s/log", f->folder);
    f->saved_stderr = dup(STDERR_FILENO);
    int log = open(f->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(f->saved_stderr >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    close(log);
    guard_bind(f);
    f->guard_fd = -1;
    uv_loop_init(&f->loop);
    f->link.context = f;
    f->link.on_up = on_up;
    f->link.on_down = on_down;
    f->link.on_message = on_message;
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    set_up_alone(state);
    struct fixture *f = *state;
    assert_int_equal(listen(f->listen_fd, 4), 0);
    guard_link_start(&f->link, &f->loop, f->folder);
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

/* Runs the loop until `count` is more than it was. */
static void run_until_more(struct fixture *f, const unsigned *count, unsigned was)
{
    for (uint64_t end_ms = now_ms() + PATIENCE_MS; *count == was && now_ms() < end_ms; usleep(1000))
        uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_true(*count > was);
}

static void guard_hang_up(struct fixture *f)
{
    unsigned downs = f->downs;
    close(f->guard_fd);
    f->guard_fd = -1;
    run_until_more(f, &f->downs, downs);
}

static void guard_greet(struct fixture *f)
{
    struct guard_message hello;
    unsigned messages = f->messages;
    guard_message_init(&hello, GUARD_HELLO);
    assert_true(name_from_string(&hello.name, "board-a"));
    assert_int_equal(send(f->guard_fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    run_until_more(f, &f->messages, messages);
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
    run_until_more(f, &f->downs, 0);
    assert_int_equal(f->messages, 0);
    assert_int_equal(log_lines(f), 1);
}

/* What was heard once is told anew when it goes wrong again. */
static void guard_that_was_good_is_told_of_when_it_hangs_up_again(void **state)
{
    struct fixture *f = *state;
    guard_accept(f);
    guard_hang_up(f);
    assert_int_equal(log_lines(f), 1);
    guard_accept(f);
    guard_greet(f);
    guard_hang_up(f);
    assert_int_equal(log_lines(f), 3);
    guard_accept(f);
    guard_hang_up(f);
    assert_int_equal(log_lines(f), 4);
}

static void no_descriptor_is_left_of_connections_that_ended(void **state)
{
    struct fixture *f = *state;
    guard_accept(f);
    guard_hang_up(f);
    unsigned before = descriptors_open();
    for (int i = 0; i < 3; i++) {
        guard_accept(f);
        guard_hang_up(f);
    }
    assert_int_equal(descriptors_open(), before);
}

static void run_for(struct fixture *f, uint64_t ms)
{
    for (uint64_t end_ms = now_ms() + ms; now_ms() < end_ms; usleep(1000))
        uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void guard_that_is_not_there_is_told_once_and_found_when_it_comes(void **state)
{
    struct fixture *f = *state;
    guard_link_start(&f->link, &f->loop, f->folder);
    run_for(f, 10 * GUARD_LINK_RETRY_MS);
    assert_int_equal(f->ups, 0);
    assert_int_equal(log_lines(f), 1);
    assert_int_equal(listen(f->listen_fd, 4), 0);
    guard_accept(f);
    guard_greet(f);
    assert_int_equal(f->ups, 1);
    assert_int_equal(log_lines(f), 2);
}

static void listen_as_nobody(struct fixture *f)
{
    if (geteuid() != 0) {
        guard_link_start(&f->link, &f->loop, f->folder); /* tear_down() stops it */
        skip();
    }
    assert_int_equal(seteuid(NOBODY), 0);
    int listening = listen(f->listen_fd, BACKLOG); /* by whom, the kernel notes here */
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(listening, 0);
}

/* As firmware/ has it: the set-group-ID bit says that the folder's group is theirs alone. */
static void guard_of_another_user_is_heard_in_a_folder_of_their_group(void **state)
{
    static const mode_t not_theirs[] = { 0775, 02777 };
    struct fixture *f = *state;
    char path[64];
    snprintf(path, sizeof(path), "%s/guard.sock", f->folder);
    listen_as_nobody(f);
    assert_int_equal(chmod(f->folder, 02775), 0);
    guard_link_start(&f->link, &f->loop, f->folder);
    run_for(f,
            2 * GUARD_LINK_RETRY_MS); /* the socket is of a third user, who may have put it there */
    assert_int_equal(f->ups, 0);
    assert_int_equal(chown(path, NOBODY, (gid_t)-1), 0);
    for (size_t i = 0; i < sizeof(not_theirs) / sizeof(not_theirs[0]); i++) {
        assert_int_equal(chmod(f->folder, not_theirs[i]), 0);
        run_for(f, 2 * GUARD_LINK_RETRY_MS);
        assert_int_equal(f->ups, 0);
    }
    assert_int_equal(chmod(f->folder, 02775), 0);
    guard_accept(f);
    run_for(f, 2 * GUARD_LINK_RETRY_MS);
    assert_int_equal(f->ups, 1);
}

/* Its word that outputs are off would free a lease. */
static void guard_of_another_user_is_not_heard(void **state)
{
    struct fixture *f = *state;
    listen_as_nobody(f);
    guard_link_start(&f->link, &f->loop, f->folder);
    run_for(f, 5 * GUARD_LINK_RETRY_MS);
    assert_int_equal(f->ups, 0);
    assert_false(guard_link_up(&f->link));
    assert_int_equal(log_lines(f), 1);
    close(f->listen_fd);
    guard_bind(f);
    assert_int_equal(listen(f->listen_fd, 4), 0);
    guard_accept(f);
    assert_int_equal(f->ups, 1);
}

static void message_of_another_length_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    struct {
        struct guard_message status;
        char more;
    } longer = { .more = 1 };
    guard_accept(f);
    guard_message_init(&longer.status, GUARD_STATUS);
    assert_true(name_from_string(&longer.status.name, "pump"));
    assert_true(send(f->guard_fd, &longer, sizeof(longer), MSG_NOSIGNAL) > 0);
    run_until_more(f, &f->downs, 0);
    assert_int_equal(f->messages, 0);
}

/* The agent's loop waits for nobody; what is not taken is told. */
static void guard_that_takes_nothing_more_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct guard_message permit;
    unsigned taken = 0;
    guard_accept(f);
    guard_message_init(&permit, GUARD_PERMIT);
    assert_true(name_from_string(&permit.name, "pump"));
    while (guard_link_send(&f->link, &permit) && taken < 100000)
        taken++;
    assert_true(taken > 0 && taken < 100000);
    assert_int_equal(log_lines(f), 1);
    assert_false(guard_link_send(&f->link, &permit));
    assert_int_equal(log_lines(f), 2);
    assert_true(guard_link_up(&f->link));
    /* Nobody listens any more: on a slow machine it would be dialled again before it is looked at. */
    close(f->listen_fd);
    guard_bind(f);
    guard_hang_up(f);
    assert_false(guard_link_send(&f->link, &permit));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            guard_that_hangs_up_on_the_agent_is_dialled_less_and_less_and_told_once, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(guard_that_restarts_is_dialled_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guard_of_a_former_version_is_not_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guard_that_was_good_is_told_of_when_it_hangs_up_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_descriptor_is_left_of_connections_that_ended, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            guard_that_is_not_there_is_told_once_and_found_when_it_comes, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(guard_of_another_user_is_not_heard, set_up_alone,
                                        tear_down),
        cmocka_unit_test_setup_teardown(guard_of_another_user_is_heard_in_a_folder_of_their_group,
                                        set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(message_of_another_length_ends_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(guard_that_takes_nothing_more_is_told_of, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
