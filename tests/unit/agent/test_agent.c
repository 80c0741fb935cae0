/* The agent's shell, alone: this test is its issuer, by the callback, and its guard, by the socket. */
#include "agent/agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/guard_link.h"
#include "conf/terms.h"
#include "hal/clock.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/log_file.h"
#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 10000, TTL_MS = 1000, SENT_MAX = 64, AGENTS_MAX = 32 };

static struct {
    char folder[32];
    int listen_fd;
    int guard_fd;
    uv_loop_t loop;
    struct conf conf;
    struct agent *agent;
    bool issuer_takes; /* what is sent to it */
    size_t sent_count; /* taken or not */
    struct lease_message sent[SENT_MAX];
} f;

/*
 * ---- the clocks: this test's own. Time passes with the turns of the loop, so however late a busy
 * machine is, nobody was silent meanwhile. Timers of the loop are as late as they like.
 */

static struct instant now;
static struct span slept;

struct instant hal_clock_now(void)
{
    return now;
}

struct span hal_clock_slept(void)
{
    return slept;
}

int64_t hal_clock_wall_us(void)
{
    return 0;
}

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
    while (!done() && uv_hrtime() / 1000000 < end_ms) {
        now.us += 1000;
        uv_run(&f.loop, UV_RUN_ONCE);
    }
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
static unsigned permits;   /* and how many */
static uint64_t dropped;   /* and of the last drop */
static unsigned cleared;   /* how often a fault was */
static struct hf_name cleared_of;

static void guard_hear(void)
{
    struct guard_message message;
    while (recv(f.guard_fd, &message, sizeof(message), MSG_DONTWAIT) == sizeof(message)) {
        assert_null(guard_message_check(&message, sizeof(message)));
        permitted = message.kind == GUARD_PERMIT ? message.token : permitted;
        permits += message.kind == GUARD_PERMIT;
        dropped = message.kind == GUARD_DROP ? message.token : dropped;
        cleared += message.kind == GUARD_CLEAR_FAULT;
        cleared_of = message.kind == GUARD_CLEAR_FAULT ? message.name : cleared_of;
    }
}

static bool guard_heard_permit(void)
{
    guard_hear();
    guard_say_status(permitted != 0 ? GUARD_DRIVING : GUARD_SAFE, permitted);
    return permitted != 0;
}

static bool guard_heard_drop(void)
{
    guard_hear();
    return dropped != 0;
}

static bool guard_heard_clear(void)
{
    guard_hear();
    return cleared != 0;
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
    pump->priority = 7;
    pump->failback = CONF_FAILBACK_AUTO;
    f.conf.drift_ppm = 2000;
    f.conf.lease_log_kb = 64;
    f.conf.has_gateway = true;
    strcpy(f.conf.gateway_listen, "10.0.0.9:502");
    f.conf.resource[1] = *pump;
    f.conf.resource[1].name = name("fan");
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

static void start(void)
{
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
}

static int set_up_with(void **unused, uint8_t resources, int64_t slept_ms)
{
    (void)unused;
    memset(&f, 0, sizeof(f));
    permitted = dropped = permits = cleared = 0;
    slept = span_from_ms(slept_ms);
    now = (struct instant){ 1000000 };
    strcpy(f.folder, "/tmp/holdfast-agent-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    log_file_begin(f.folder);
    configure();
    f.conf.resource_count = resources;
    listen_as_guard();
    uv_loop_init(&f.loop);
    f.issuer_takes = true;
    start();
    return 0;
}

static int set_up(void **unused)
{
    return set_up_with(unused, 1, 0);
}

static int tear_down(void **unused)
{
    (void)unused;
    agent_stop(f.agent);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    log_file_end();
    close(f.listen_fd);
    if (f.guard_fd >= 0)
        close(f.guard_fd);
    if (strcmp(f.conf.run_dir, f.folder) != 0)
        folder_remove(f.conf.run_dir);
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

static void hold(uint64_t token)
{
    issuer_grant(token);
    issuer_confirm();
    run_until(guard_heard_permit);
    assert_int_equal(state(), HOLDER_HOLDING);
}

static bool has_renewed(void)
{
    guard_say_status(GUARD_DRIVING, permitted);
    return count_sent(LEASE_RENEW) > 0;
}

/* Where in the lease log the first line of this event stands; 0: nowhere. */
static int lease_log_line(const char *event)
{
    char path[64];
    char line[512];
    char wanted[48];
    int found = 0;
    snprintf(path, sizeof(path), "%s/lease.log", f.folder);
    snprintf(wanted, sizeof(wanted), "\"ev\":\"%s\"", event);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    for (int at = 1; found == 0 && fgets(line, sizeof(line), in) != NULL; at++)
        found = strstr(line, wanted) != NULL ? at : 0;
    fclose(in);
    return found;
}

/* ---- the timer */

static uint64_t soonest_ms;

static void find_soonest(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (handle->type != UV_TIMER || !uv_is_active(handle))
        return;
    uint64_t due_ms = uv_timer_get_due_in((uv_timer_t *)handle);
    soonest_ms = due_ms < soonest_ms ? due_ms : soonest_ms;
}

/* Late by less than the loop can tell: what a copy of the holder would do next is the judge. */
static void timer_is_armed_for_the_instant_at_which_the_holder_wakes(void **unused)
{
    static struct holder copy;
    static struct holder_output output;
    const struct holder_event timer = { .kind = HOLDER_EVENT_TIMER };
    (void)unused;
    hold(12);
    for (int i = 0; i < 20; i++) {
        guard_say_status(GUARD_DRIVING, 12);
        now.us += 3000;
        uv_run(&f.loop, UV_RUN_NOWAIT);
        issuer_link(true); /* a step, which arms it */
        copy = *agent_holder(f.agent);
        holder_step(&copy, &timer, now, &output);
        int64_t left_us = instant_diff(output.wake_at, now).us;
        soonest_ms = UINT64_MAX;
        uv_walk(&f.loop, find_soonest, NULL);
        assert_int_equal(soonest_ms, left_us <= 0 ? 0 : (left_us + 999) / 1000);
    }
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

static bool holds_no_more(void)
{
    f.sent_count = 0;
    return state() != HOLDER_HOLDING;
}

static void lease_whose_renewals_are_not_taken_is_given_up(void **unused)
{
    (void)unused;
    hold(12);
    f.issuer_takes = false;
    run_until(holds_no_more);
    assert_int_equal(log_lines("pump: holding -overdue-> stopping (token 12)"), 1);
}

static bool is_without_guard(void)
{
    return state() == HOLDER_IDLE && !agent_guard_up(f.agent);
}

static void guard_that_comes_back_is_served_anew(void **unused)
{
    (void)unused;
    size_t asked = count_sent(LEASE_ACQUIRE);
    guard_hang_up();
    run_until(is_without_guard);
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
    hold(12);
    guard_hang_up();
    run_until(holds_no_more);
    assert_int_equal(log_lines("pump: holding -dropped-> stopping (token 12)"), 1);
}

/* ---- sleep */

static void board_that_slept_gives_its_lease_up(void **unused)
{
    (void)unused;
    hold(12);
    slept = span_from_ms(1500);
    issuer_link(true); /* whatever comes next */
    assert_int_equal(state(), HOLDER_STOPPING);
    run_until(guard_heard_drop);
    assert_int_equal(dropped, 12);
    assert_int_equal(log_lines("board slept for 1500 ms: leases are lost"), 1);
    issuer_link(true);
    assert_int_equal(log_lines("board slept for"), 1);
}

/* What came while it slept is looked at afterwards: the answer to a renewal from before is none. */
static void sleep_counts_before_whatever_woke_the_board(void **unused)
{
    (void)unused;
    hold(12);
    f.sent_count = 0;
    run_until(has_renewed);
    guard_hear();
    unsigned before = permits;
    slept = span_from_ms(1500);
    issuer_confirm();
    assert_int_equal(state(), HOLDER_STOPPING);
    run_until(guard_heard_drop);
    assert_int_equal(permits, before);
    assert_true(lease_log_line("slept") > 0);
}

static void sleep_from_before_the_start_costs_nothing(void **unused)
{
    set_up_with(unused, 1, 5000);
    issuer_link(true);
    guard_accept();
    run_until(is_waiting);
    hold(12);
    assert_int_equal(log_lines("board slept"), 0);
}

/* The two clocks are not read at one instant. */
static void rounding_between_two_clocks_is_no_sleep(void **unused)
{
    (void)unused;
    hold(12);
    slept = span_from_ms(10);
    issuer_link(true);
    assert_int_equal(state(), HOLDER_HOLDING);
    assert_int_equal(log_lines("board slept for"), 0);
}

/* ---- what the guard says */

static bool guard_is_a_stranger(void)
{
    return agent_guard(f.agent, 0)->mismatch;
}

static void guard_of_another_configuration_is_not_used_and_told_once(void **unused)
{
    set_up(unused);
    issuer_link(true);
    run_until(guard_connected);
    struct guard_message status;
    guard_message_init(&status, GUARD_STATUS);
    status.name = name("pump");
    status.proven = 1;
    status.terms = conf_terms(&f.conf, &f.conf.resource[0]);
    status.terms.fence_us++;
    for (int i = 0; i < 5; i++)
        guard_say(&status);
    run_until(guard_is_a_stranger);
    for (int i = 0; i < 5; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(state(), HOLDER_IDLE);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 0);
    assert_int_equal(log_lines("pump: guard not used: fence latency is"), 1);
}

static bool is_blocked(void)
{
    return state() == HOLDER_BLOCKED;
}

static void fault_is_told_once_and_cleared_by_a_word_to_the_guard(void **unused)
{
    (void)unused;
    struct guard_message status;
    const struct hf_name pump = name("pump");
    const struct hf_name other = name("other");
    guard_message_init(&status, GUARD_STATUS);
    status.name = pump;
    status.state = GUARD_FAULT;
    status.fault = GUARD_FAULT_STUCK_ON;
    status.terms = conf_terms(&f.conf, &f.conf.resource[0]);
    guard_say(&status);
    guard_say(&status);
    run_until(is_blocked);
    assert_false(agent_clear_fault(f.agent, &other));
    guard_hear();
    assert_int_equal(cleared, 0);
    assert_true(agent_clear_fault(f.agent, &pump));
    run_until(guard_heard_clear);
    assert_int_equal(log_lines("pump: guard fault: "), 1);
}

static void fault_that_a_guard_begins_with_is_told(void **unused)
{
    set_up(unused);
    run_until(guard_connected);
    struct guard_message status;
    guard_message_init(&status, GUARD_STATUS);
    status.name = name("pump");
    status.state = GUARD_FAULT;
    status.fault = GUARD_FAULT_LATE;
    status.terms = conf_terms(&f.conf, &f.conf.resource[0]);
    guard_say(&status);
    run_until(is_blocked);
    assert_int_equal(log_lines("pump: guard fault: "), 1);
}

static void fault_of_the_second_resource_is_cleared_and_no_other(void **unused)
{
    const struct hf_name fan = name("fan");
    set_up_with(unused, 2, 0);
    guard_accept();
    guard_hear();
    assert_true(agent_clear_fault(f.agent, &fan));
    run_until(guard_heard_clear);
    assert_string_equal(cleared_of.text, "fan");
    assert_int_equal(cleared, 1);
}

static bool refusal_is_told(void)
{
    return log_lines("refused by the guard") > 0;
}

static bool other_guard_is_told(void)
{
    return log_lines("restart both with one file") > 0;
}

static void refusal_of_the_guard_is_told_with_its_token(void **unused)
{
    (void)unused;
    struct guard_message refused;
    guard_message_init(&refused, GUARD_REFUSED);
    refused.name = name("pump");
    refused.token = 12;
    refused.refusal = GUARD_REFUSED_TERMS; /* that is told from its status */
    guard_say(&refused);
    refused.refusal = GUARD_REFUSED_TOKEN;
    guard_say(&refused);
    run_until(refusal_is_told);
    assert_int_equal(log_lines("pump: permit 12 refused by the guard: "), 1);
    refused.token = 0;
    refused.refusal = GUARD_REFUSED_UNKNOWN;
    guard_say(&refused);
    run_until(other_guard_is_told);
    assert_int_equal(log_lines("pump: guard not used: "), 1);
    assert_int_equal(log_lines("refused by the guard"), 1);
}

static bool is_seen(void)
{
    return agent_guard(f.agent, 1)->known;
}

static void status_is_that_of_its_resource(void **unused)
{
    set_up_with(unused, 2, 0);
    run_until(guard_connected);
    struct guard_message status;
    guard_message_init(&status, GUARD_STATUS);
    status.name = name("fan");
    status.terms = conf_terms(&f.conf, &f.conf.resource[1]);
    status.token = 5;
    guard_say(&status);
    run_until(is_seen);
    assert_false(agent_guard(f.agent, 0)->known);
    assert_int_equal(agent_guard(f.agent, 1)->status.token, 5);
}

/* ---- hooks */

static bool has_text(const char *file, const char *text)
{
    char path[64];
    char line[64] = "";
    snprintf(path, sizeof(path), "%s/%s", f.folder, file);
    FILE *in = fopen(path, "r");
    bool read = in != NULL && fgets(line, sizeof(line), in) != NULL;
    if (in != NULL)
        fclose(in);
    return read && strcmp(line, text) == 0;
}

static void write_hook(char *path, size_t size, const char *event)
{
    snprintf(path, size, "%s/on-%s", f.folder, event);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "#!/bin/sh\necho \"$HOLDFAST_EVENT $HOLDFAST_TOKEN\" > %s/%s\n", f.folder, event);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

static unsigned processes;

static void count_process(uv_handle_t *handle, void *unused)
{
    (void)unused;
    processes += handle->type == UV_PROCESS;
}

static bool no_hook_runs(void)
{
    processes = 0;
    uv_walk(&f.loop, count_process, NULL);
    return processes == 0;
}

static bool acquired_is_run(void)
{
    return has_text("acquired", "acquired 12\n");
}

static bool lost_is_run(void)
{
    guard_say_status(GUARD_SAFE, 0);
    return has_text("lost", "lost 12\n");
}

static void hooks_are_run_when_outputs_went_on_and_when_they_went_off(void **unused)
{
    struct conf_resource *pump = &f.conf.resource[0];
    (void)unused;
    write_hook(pump->on_acquired, sizeof(pump->on_acquired), "acquired");
    write_hook(pump->on_lost, sizeof(pump->on_lost), "lost");
    hold(12);
    run_until(acquired_is_run);
    assert_false(lost_is_run());
    issuer_link(false);
    slept = span_from_ms(1500);
    issuer_link(true);
    run_until(lost_is_run);
    run_until(no_hook_runs);
    assert_int_equal(log_lines("pump: acquired, token 12"), 1);
    assert_int_equal(log_lines("pump: lost, token 12"), 1);
}

/* ---- what an issuer says */

static void refusal_of_an_issuer_is_told(void **unused)
{
    (void)unused;
    const struct lease_message refused = { .kind = LEASE_REFUSED,
                                           .resource = name("pump"),
                                           .text = "ttl is above ttl_max_ms" };
    issuer_say(&refused);
    assert_int_equal(log_lines("pump: refused by i1: ttl is above ttl_max_ms"), 1);
}

/* One board that says an absurd token has the others refused as often as they ask. */
static void what_issuers_say_again_and_again_does_not_fill_the_log(void **unused)
{
    (void)unused;
    enum { WORDS = 200 };
    struct lease_message word = { .resource = name("pump"), .position = 1 };
    for (int i = 0; i < WORDS; i++) {
        word.kind = i % 2 == 0 ? LEASE_REFUSED : LEASE_QUEUED;
        snprintf(word.text, sizeof(word.text), "board-b says token %d", i);
        issuer_say(&word);
    }
    unsigned lines = log_lines("board-b says token");
    assert_true(lines >= 4 && lines <= WORDS / 10);
}

static void each_word_is_said_once(void **unused)
{
    (void)unused;
    assert_int_equal(count_sent(LEASE_ACQUIRE), 1);
    hold(12);
    assert_int_equal(count_sent(LEASE_RENEW), 1);
}

static void reason_to_be_held_is_told_once_and_its_end(void **unused)
{
    (void)unused;
    struct lease_message queued = { .kind = LEASE_QUEUED,
                                    .resource = name("pump"),
                                    .position = 1,
                                    .text = "outputs of board-b are stuck on" };
    for (int i = 0; i < 3; i++)
        issuer_say(&queued);
    queued.text[0] = '\0';
    for (int i = 0; i < 3; i++)
        issuer_say(&queued);
    assert_int_equal(log_lines("pump: outputs of board-b are stuck on"), 1);
    assert_int_equal(log_lines("pump: held no longer"), 1);
}

static void acquire_says_what_the_file_says(void **unused)
{
    (void)unused;
    const struct lease_message *acquire = last_sent(LEASE_ACQUIRE);
    assert_non_null(acquire);
    assert_string_equal(acquire->resource.text, "pump");
    assert_int_equal(acquire->ttl_us, TTL_MS * 1000);
    assert_int_equal(acquire->fence_us, 20000);
    assert_int_equal(acquire->priority, 7);
    assert_true(acquire->failback_auto);
    assert_string_equal(acquire->address, "10.0.0.9:502");
    assert_int_equal(acquire->highest, 0);
    const struct holder_config *config = &agent_holder(f.agent)->config;
    assert_string_equal(config->self.text, "board-a");
    assert_int_equal(config->drift_ppm, 2000);
    assert_int_equal(config->nonce_start, 5000);
    assert_int_equal(config->resource[0].release.us, 5000);
    assert_int_equal(config->guard_silence.us, 10 * GUARD_STATUS_INTERVAL_MS * 1000);
}

/* ---- for the next start, and for people */

static bool token_is_kept(void)
{
    char path[64];
    char text[512] = "";
    snprintf(path, sizeof(path), "%s/tokens", f.folder);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return false;
    size_t length = fread(text, 1, sizeof(text) - 1, in);
    fclose(in);
    return length > 0 && strstr(text, "pump 12") != NULL;
}

static void token_that_the_guard_took_is_said_at_the_next_start(void **unused)
{
    (void)unused;
    hold(12);
    run_until(token_is_kept);
    agent_stop(f.agent);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    guard_hang_up();
    /* The lock of the one before is this process's. */
    snprintf(f.conf.run_dir, sizeof(f.conf.run_dir), "%s/next", f.folder);
    start();
    assert_int_equal(agent_holder(f.agent)->config.resource[0].highest, 12);
}

static void lease_log_has_the_cause_before_the_act(void **unused)
{
    (void)unused;
    hold(12);
    int acquire = lease_log_line("acquire");
    int granted = lease_log_line("granted");
    int renewed = lease_log_line("renewed");
    assert_true(0 < acquire && acquire < granted && granted < renewed);
    assert_true(renewed < lease_log_line("permit"));
    assert_true(lease_log_line("renew") < renewed);
    guard_hang_up();
    run_until(holds_no_more);
    assert_true(lease_log_line("guard lost") > 0);
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
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_waiting, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_becomes_of_a_lease_is_in_the_log),
        TEST(resource_that_flaps_does_not_fill_the_log),
        TEST(lease_whose_renewals_are_not_taken_is_given_up),
        TEST(guard_that_comes_back_is_served_anew),
        TEST(guard_that_goes_takes_the_lease_with_it),
        TEST(board_that_slept_gives_its_lease_up),
        TEST(sleep_counts_before_whatever_woke_the_board),
        TEST(rounding_between_two_clocks_is_no_sleep),
        TEST(timer_is_armed_for_the_instant_at_which_the_holder_wakes),
        TEST(refusal_of_the_guard_is_told_with_its_token),
        TEST(refusal_of_an_issuer_is_told),
        TEST(what_issuers_say_again_and_again_does_not_fill_the_log),
        TEST(each_word_is_said_once),
        TEST(hooks_are_run_when_outputs_went_on_and_when_they_went_off),
        cmocka_unit_test_teardown(sleep_from_before_the_start_costs_nothing, tear_down),
        cmocka_unit_test_teardown(fault_that_a_guard_begins_with_is_told, tear_down),
        cmocka_unit_test_teardown(fault_of_the_second_resource_is_cleared_and_no_other, tear_down),
        cmocka_unit_test_teardown(status_is_that_of_its_resource, tear_down),
        TEST(fault_is_told_once_and_cleared_by_a_word_to_the_guard),
        TEST(reason_to_be_held_is_told_once_and_its_end),
        TEST(acquire_says_what_the_file_says),
        TEST(token_that_the_guard_took_is_said_at_the_next_start),
        TEST(lease_log_has_the_cause_before_the_act),
        TEST(second_agent_of_a_board_does_not_start),
        cmocka_unit_test_teardown(what_an_issuer_does_not_take_is_sent_again, tear_down),
        cmocka_unit_test_teardown(guard_of_another_configuration_is_not_used_and_told_once,
                                  tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
