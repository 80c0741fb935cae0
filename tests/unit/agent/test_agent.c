/* The agent's shell, alone: this test is its issuer, by the callback, and its guard, by the socket. */
#include "agent/agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/guard_link.h"
#include "conf/terms.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 10000, TTL_MS = 1000, SENT_MAX = 64, AGENTS_MAX = 8 };

static struct {
    char folder[32];
    char log[64];
    int stderr_fd;
    int listen_fd;
    int guard_fd;
    uv_loop_t loop;
    struct conf conf;
    struct agent *agent;
    bool issuer_takes; /* what is sent to it */
    size_t sent_count; /* taken or not */
    struct lease_message sent[SENT_MAX];
} f;

/* An agent's memory is the process's: this keeps them in sight of the leak checker. */
static struct agent *started[AGENTS_MAX];
static size_t started_count;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static bool send_to_issuer(void *context, const struct hf_name *to,
                           const struct lease_message *message)
{
    assert_ptr_equal(context, &f);
    assert_string_equal(to->text, "i1");
    assert_true(f.sent_count < SENT_MAX);
    f.sent[f.sent_count++] = *message;
    return f.issuer_takes;
}

static size_t count_sent(enum lease_message_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < f.sent_count; i++)
        count += f.sent[i].kind == kind;
    return count;
}

static const struct lease_message *last_sent(enum lease_message_kind kind)
{
    for (size_t i = f.sent_count; i > 0; i--) {
        if (f.sent[i - 1].kind == kind)
            return &f.sent[i - 1];
    }
    return NULL;
}

/* ---- the log */

static unsigned log_lines(const char *with)
{
    char line[1024];
    unsigned lines = 0;
    FILE *in = fopen(f.log, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL)
        lines += strstr(line, with) != NULL;
    fclose(in);
    return lines;
}

static void redirect_log(void)
{
    snprintf(f.log, sizeof(f.log), "%s/log", f.folder);
    f.stderr_fd = dup(STDERR_FILENO);
    int log = open(f.log, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    assert_true(f.stderr_fd >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    close(log);
}

/* ---- the loop */

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until `done` holds. */
static void run_until(bool (*done)(void))
{
    uint64_t end_ms = uv_hrtime() / 1000000 + PATIENCE_MS;
    uv_timer_t tick;
    uv_timer_init(&f.loop, &tick);
    uv_timer_start(&tick, wake, 1, 1);
    while (!done() && uv_hrtime() / 1000000 < end_ms)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_true(done());
}

/* ---- the guard */

static bool guard_connected(void)
{
    if (f.guard_fd < 0)
        f.guard_fd = accept4(f.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return f.guard_fd >= 0;
}

static void guard_say(const struct guard_message *message)
{
    assert_int_equal(send(f.guard_fd, message, sizeof(*message), MSG_NOSIGNAL), sizeof(*message));
}

static void guard_say_status(enum guard_state state, uint64_t token)
{
    struct guard_message status;
    guard_message_init(&status, GUARD_STATUS);
    status.name = name("pump");
    status.state = (uint8_t)state;
    status.token = token;
    status.proven = state == GUARD_SAFE;
    status.terms = conf_terms(&f.conf, &f.conf.resource[0]);
    guard_say(&status);
}

static void guard_accept(void)
{
    struct guard_message hello;
    run_until(guard_connected);
    guard_message_init(&hello, GUARD_HELLO);
    hello.name = name("board-a");
    guard_say(&hello);
    guard_say_status(GUARD_SAFE, 0);
}

static void guard_hang_up(void)
{
    close(f.guard_fd);
    f.guard_fd = -1;
}

static uint64_t permitted; /* the token of the last permit heard */

static bool guard_heard_permit(void)
{
    struct guard_message message;
    while (recv(f.guard_fd, &message, sizeof(message), MSG_DONTWAIT) == sizeof(message))
        permitted = message.kind == GUARD_PERMIT ? message.token : permitted;
    guard_say_status(permitted != 0 ? GUARD_DRIVING : GUARD_SAFE, permitted);
    return permitted != 0;
}

/* ---- the issuer */

static void issuer_say(const struct lease_message *message)
{
    const struct hf_name issuer = name("i1");
    agent_receive(f.agent, &issuer, message);
}

static void issuer_link(bool up)
{
    const struct hf_name issuer = name("i1");
    const struct lease_message leader = { .kind = LEASE_LEADER, .term = 3 };
    agent_link(f.agent, &issuer, up);
    if (up)
        issuer_say(&leader);
}

static void issuer_grant(uint64_t token)
{
    const struct lease_message granted = { .kind = LEASE_GRANTED,
                                           .resource = name("pump"),
                                           .token = token,
                                           .ttl_us = TTL_MS * 1000,
                                           .fence_us = f.conf.resource[0].fence.us };
    issuer_say(&granted);
}

static void issuer_confirm(void)
{
    const struct lease_message *renewal = last_sent(LEASE_RENEW);
    assert_non_null(renewal);
    struct lease_message renewed = *renewal;
    renewed.kind = LEASE_RENEWED;
    issuer_say(&renewed);
}

static enum holder_state state(void)
{
    return agent_holder(f.agent)->lease[0].state;
}

static bool is_waiting(void)
{
    return state() == HOLDER_WAITING;
}

static bool is_idle(void)
{
    return state() == HOLDER_IDLE;
}

static bool has_asked_twice(void)
{
    guard_say_status(GUARD_SAFE, 0);
    return count_sent(LEASE_ACQUIRE) >= 2;
}

/* ---- */

static void configure(void)
{
    struct conf_resource *pump = &f.conf.resource[0];
    f.conf.node_id = name("board-a");
    f.conf.hal = HAL_LINUX;
    f.conf.resource_count = 1;
    snprintf(f.conf.run_dir, sizeof(f.conf.run_dir), "%s", f.folder);
    snprintf(f.conf.data_dir, sizeof(f.conf.data_dir), "%s", f.folder);
    pump->name = name("pump");
    pump->ttl_ms = TTL_MS;
    pump->release_ms = 5;
    pump->fence = span_from_ms(20);
}

static void listen_as_guard(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/guard.sock", f.folder);
    f.guard_fd = -1;
    f.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f.listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f.listen_fd, 4), 0);
}

static int set_up(void **unused)
{
    (void)unused;
    memset(&f, 0, sizeof(f));
    permitted = 0;
    strcpy(f.folder, "/tmp/holdfast-agent-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    redirect_log();
    configure();
    listen_as_guard();
    uv_loop_init(&f.loop);
    f.issuer_takes = true;
    const struct agent_config config = { .loop = &f.loop,
                                         .conf = &f.conf,
                                         .nonce_start = 5000,
                                         .guard_silence = span_from_ms(AGENT_GUARD_SILENCE_MS),
                                         .send_to_issuer = send_to_issuer,
                                         .context = &f };
    f.agent = agent_start(&config);
    assert_non_null(f.agent);
    assert_true(started_count < AGENTS_MAX);
    started[started_count++] = f.agent;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    agent_stop(f.agent);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    dup2(f.stderr_fd, STDERR_FILENO);
    close(f.stderr_fd);
    close(f.listen_fd);
    if (f.guard_fd >= 0)
        close(f.guard_fd);
    folder_remove(f.folder);
    return 0;
}

static int set_up_waiting(void **unused)
{
    set_up(unused);
    issuer_link(true);
    guard_accept();
    run_until(is_waiting);
    return 0;
}

static void what_becomes_of_a_lease_is_in_the_log(void **unused)
{
    (void)unused;
    issuer_grant(12);
    issuer_confirm();
    run_until(guard_heard_permit);
    assert_int_equal(permitted, 12);
    assert_int_equal(log_lines("pump: idle -ready-> waiting"), 1);
    assert_int_equal(log_lines("pump: waiting -granted-> granted (token 12)"), 1);
    assert_int_equal(log_lines("pump: granted -confirmed-> holding (token 12)"), 1);
}

static void resource_that_flaps_does_not_fill_the_log(void **unused)
{
    enum { FLAPS = 200 };
    (void)unused;
    for (int i = 0; i < FLAPS; i++) {
        issuer_link(false);
        assert_int_equal(state(), HOLDER_IDLE);
        issuer_link(true);
        assert_int_equal(state(), HOLDER_WAITING);
        f.sent_count = 0;
    }
    unsigned lines = log_lines("pump: ");
    assert_true(lines >= 20 && lines <= FLAPS / 4);
}

static void what_an_issuer_does_not_take_is_sent_again(void **unused)
{
    set_up(unused);
    f.issuer_takes = false;
    issuer_link(true);
    guard_accept();
    run_until(has_asked_twice);
    assert_int_equal(state(), HOLDER_WAITING);
}

static void lease_whose_renewals_are_not_taken_is_given_up(void **unused)
{
    (void)unused;
    issuer_grant(12);
    issuer_confirm();
    run_until(guard_heard_permit);
    f.issuer_takes = false;
    uint64_t before_ms = uv_hrtime() / 1000000;
    while (state() == HOLDER_HOLDING && uv_hrtime() / 1000000 < before_ms + PATIENCE_MS) {
        f.sent_count = 0;
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    assert_int_not_equal(state(), HOLDER_HOLDING);
    assert_true(uv_hrtime() / 1000000 - before_ms <= 2 * TTL_MS);
    assert_int_equal(log_lines("pump: holding -overdue-> stopping (token 12)"), 1);
}

static void guard_that_comes_back_is_served_anew(void **unused)
{
    (void)unused;
    size_t asked = count_sent(LEASE_ACQUIRE);
    guard_hang_up();
    run_until(is_idle);
    assert_false(agent_guard_up(f.agent));
    assert_false(agent_guard(f.agent, 0)->known);
    guard_accept();
    run_until(is_waiting);
    assert_true(agent_guard_up(f.agent));
    assert_true(count_sent(LEASE_ACQUIRE) > asked);
    assert_int_equal(log_lines("guard: connection lost"), 1);
}

/* Its permits and drops are lost while the guard is gone; what it holds is given up. */
static void guard_that_goes_takes_the_lease_with_it(void **unused)
{
    (void)unused;
    issuer_grant(12);
    issuer_confirm();
    run_until(guard_heard_permit);
    guard_hang_up();
    uint64_t end_ms = uv_hrtime() / 1000000 + PATIENCE_MS;
    while (state() == HOLDER_HOLDING && uv_hrtime() / 1000000 < end_ms)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_not_equal(state(), HOLDER_HOLDING);
    assert_int_equal(log_lines("pump: holding -dropped-> stopping (token 12)"), 1);
}

static void second_agent_of_a_board_does_not_start(void **unused)
{
    (void)unused;
    const struct agent_config config = {
        .loop = &f.loop, .conf = &f.conf, .send_to_issuer = send_to_issuer, .context = &f
    };
    assert_null(agent_start(&config));
    assert_int_equal(log_lines("in use: another holdfastd is the agent of this board"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_becomes_of_a_lease_is_in_the_log, set_up_waiting,
                                        tear_down),
        cmocka_unit_test_setup_teardown(resource_that_flaps_does_not_fill_the_log, set_up_waiting,
                                        tear_down),
        cmocka_unit_test_teardown(what_an_issuer_does_not_take_is_sent_again, tear_down),
        cmocka_unit_test_setup_teardown(lease_whose_renewals_are_not_taken_is_given_up,
                                        set_up_waiting, tear_down),
        cmocka_unit_test_setup_teardown(guard_that_comes_back_is_served_anew, set_up_waiting,
                                        tear_down),
        cmocka_unit_test_setup_teardown(guard_that_goes_takes_the_lease_with_it, set_up_waiting,
                                        tear_down),
        cmocka_unit_test_setup_teardown(second_agent_of_a_board_does_not_start, set_up_waiting,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
