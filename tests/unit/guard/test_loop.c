/* The guard's real loop in a world of the test's: every answer of the system, bad ones too. */
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/guard/fake_platform.h"

enum {
    PUMP,
    FAN,
    HORN,
    RELEASE_US = 100000,
    WITHIN_US = 50000,
    FEED_US = 100000,
    TTL_US = 3000000
};

static const char pump_enable[] = "pump/enable"; /* gpio with readback */
static const char pump_light[] = "pump/light";   /* gpio */
static const char fan_run[] = "fan/run";         /* gpio */
static const char horn_blow[] = "horn/blow";     /* pulse, an edge each 5 ms */

static struct conf_resource *add_resource(struct conf *conf, const char *name)
{
    struct conf_resource *resource = &conf->resource[conf->resource_count++];
    assert_true(name_from_string(&resource->name, name));
    resource->ttl_ms = TTL_US / 1000;
    resource->release_ms = RELEASE_US / 1000;
    return resource;
}

static struct conf_output *add_output(struct conf_resource *resource, const char *name)
{
    struct conf_output *output = &resource->output[resource->output_count++];
    assert_true(name_from_string(&output->name, name));
    output->kind = CONF_OUTPUT_GPIO;
    output->covers = CONF_COVERS_KERNEL;
    return output;
}

static void configure(struct conf *conf)
{
    assert_true(name_from_string(&conf->node_id, "board-a"));
    strcpy(conf->run_dir, "/run/holdfast");
    strcpy(conf->data_dir, "/var/lib/holdfast");
    struct conf_resource *pump = add_resource(conf, "pump");
    struct conf_output *enable = add_output(pump, "enable");
    enable->has_readback = true;
    enable->readback_within_ms = WITHIN_US / 1000;
    add_output(pump, "light");
    add_output(add_resource(conf, "fan"), "run");
    struct conf_output *blow = add_output(add_resource(conf, "horn"), "blow");
    blow->kind = CONF_OUTPUT_PULSE;
    blow->rate_hz = 100;
    blow->hold_ms = 20;
    conf->has_watchdog = true;
    conf->watchdog_timeout_ms = 4 * FEED_US / 1000;
    conf->hal = HAL_LINUX;
}

static int set_up(void **state)
{
    struct fake_platform *f = fake_new();
    configure(&f->conf);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fake_free(*state);
    return 0;
}

static bool open_loop(struct fake_platform *f)
{
    return loop_open(&f->loop, &f->platform, &f->conf);
}

static enum guard_state state_of(const struct fake_platform *f, int resource)
{
    return f->loop.guard.resource[resource].state;
}

static enum guard_fault fault_of(const struct fake_platform *f, int resource)
{
    return f->loop.guard.resource[resource].fault;
}

/* Open, everything off by proof, no agent. */
static void start(struct fake_platform *f)
{
    assert_true(open_loop(f));
    fake_run(f, 2 * RELEASE_US);
    for (int resource = PUMP; resource <= HORN; resource++)
        assert_int_equal(state_of(f, resource), GUARD_SAFE);
}

static void say(struct fake_platform *f, int agent, enum guard_message_kind kind, const char *name,
                uint64_t token, int64_t deadline_us)
{
    struct guard_message message;
    guard_message_init(&message, kind);
    assert_true(name_from_string(&message.name, name));
    message.token = token;
    message.deadline_us = deadline_us;
    for (int i = 0; i < f->conf.resource_count; i++) {
        if (name_equal(&message.name, &f->conf.resource[i].name))
            message.terms = f->loop.guard.config.resource[i].terms;
    }
    fake_say_bytes(f, agent, &message, sizeof(message));
}

static int join(struct fake_platform *f)
{
    int agent = fake_connect(f, 1000);
    fake_settle(f);
    say(f, agent, GUARD_HELLO, "board-a", 0, 0);
    fake_settle(f);
    const struct guard_message *hello = fake_heard(f, agent, GUARD_HELLO, "board-a");
    assert_non_null(hello);
    assert_int_equal(hello->pid, 4711);
    return agent;
}

static int start_with_agent(struct fake_platform *f)
{
    start(f);
    return join(f);
}

/* Has `name` driven by token 7 from now on for `ahead_us`. */
static void drive(struct fake_platform *f, int agent, const char *name, int64_t ahead_us)
{
    say(f, agent, GUARD_PERMIT, name, 7, f->raw_us + ahead_us);
    fake_settle(f);
    const struct guard_message *status = fake_heard(f, agent, GUARD_STATUS, name);
    assert_non_null(status);
    assert_int_equal(status->state, GUARD_DRIVING);
}

static const struct fake_act *next_act(const struct fake_platform *f, size_t from,
                                       enum fake_kind kind, const char *line)
{
    for (size_t i = from; i < f->act_count; i++) {
        if (f->act[i].kind == kind && (line == NULL || strcmp(f->act[i].line, line) == 0))
            return &f->act[i];
    }
    return NULL;
}

/* ---- order within a turn */

static void a_drop_reaches_the_line_before_page_log_and_agent(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    fake_run(f, 10000);
    size_t from = f->act_count;
    int64_t log_bytes = fake_log_bytes(f);
    say(f, agent, GUARD_DROP, "fan", 7, 0);
    fake_settle(f);
    const struct fake_act *off = next_act(f, from, FAKE_OFF, fan_run);
    const struct fake_act *published = next_act(f, from, FAKE_PUBLISHED, NULL);
    const struct fake_act *sent = next_act(f, from, FAKE_SENT, NULL);
    assert_non_null(off);
    assert_non_null(published);
    assert_non_null(sent);
    assert_true(off < published && published < sent);
    assert_int_equal(off->page[FAN], PAGE_DRIVING);
    assert_int_equal(published->page[FAN], PAGE_DROPPING);
    assert_int_equal(off->log_bytes, log_bytes);
    assert_int_equal(published->log_bytes, log_bytes);
    assert_true(fake_log_says(f, "fan: driving -drop-> dropping, token 7"));
}

static void what_goes_off_is_told_before_what_goes_on(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", 10000);
    size_t from = f->act_count;
    /* One step: the permit comes when the other's deadline is reached. */
    fake_pass_time(f, 10000);
    say(f, agent, GUARD_PERMIT, "pump", 7, f->raw_us + TTL_US);
    loop_turn(&f->loop);
    const struct fake_act *off = next_act(f, from, FAKE_OFF, fan_run);
    const struct fake_act *on = next_act(f, from, FAKE_ON, pump_enable);
    assert_non_null(off);
    assert_non_null(on);
    assert_true(off < on);
}

static void a_drop_that_is_there_when_an_edge_is_due_makes_no_edge(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "horn", TTL_US);
    fake_run(f, 50000);
    const struct hal_line *blow = fake_line(f, horn_blow);
    int edges = blow->edges;
    assert_in_range(edges, 10, 12);
    fake_pass_time(f, f->armed_us - f->monotonic_us);
    say(f, agent, GUARD_DROP, "horn", 7, 0);
    loop_turn(&f->loop);
    assert_int_equal(state_of(f, HORN), GUARD_DROPPING);
    assert_int_equal(blow->edges, edges);
}

static void levels_are_read_before_time_judges_them(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    struct hal_line *enable = fake_line(f, pump_enable);
    enable->contact_held = true;
    drive(f, agent, "pump", TTL_US);
    fake_run(f, WITHIN_US - 10000);
    enable->contact = true; /* 10 ms before it must; the turn comes 10 ms after that */
    fake_turn_after(f, 20000);
    assert_int_equal(state_of(f, PUMP), GUARD_DRIVING);
    assert_true(enable->level);
}

static void a_turn_that_finds_a_fault_does_not_feed(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    fake_run(f, f->loop.guard.feed_at.us - f->raw_us - 1);
    size_t from = f->act_count;
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 1);
    assert_int_equal(state_of(f, PUMP), GUARD_FAULT);
    assert_null(next_act(f, from, FAKE_FEED, NULL));
    assert_false(fake_line(f, pump_enable)->level);
    fake_run(f, 4 * FEED_US);
    assert_null(next_act(f, from, FAKE_FEED, NULL));
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->watchdog, 2);
}

/* ---- time */

static void an_output_is_off_at_its_deadline_to_the_microsecond(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    int64_t deadline_us = f->raw_us + 12345;
    drive(f, agent, "fan", 12345);
    fake_run(f, 50000);
    assert_false(fake_line(f, fan_run)->level);
    assert_int_equal(fake_line(f, fan_run)->changed_us, deadline_us);
    assert_int_equal(state_of(f, PUMP), GUARD_SAFE);
}

/* The page is for processes that read the raw clock. */
static void the_page_says_token_and_deadline_of_the_raw_clock(void **state)
{
    struct fake_platform *f = *state;
    struct page_reading reading;
    int agent = start_with_agent(f);
    int64_t deadline_us = f->raw_us + 12345;
    drive(f, agent, "fan", 12345);
    assert_true(page_read(&f->page.resource[FAN], &reading));
    assert_int_equal(reading.state, PAGE_DRIVING);
    assert_int_equal(reading.token, 7);
    assert_int_equal(reading.deadline_us, deadline_us);
    fake_run(f, 12345);
    assert_true(page_read(&f->page.resource[FAN], &reading));
    assert_int_not_equal(reading.state, PAGE_DRIVING);
    assert_int_equal(reading.deadline_us, 0);
}

static void a_turn_that_is_late_drops_and_does_not_feed(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    fake_run(f, f->loop.guard.feed_at.us - f->raw_us - 1);
    size_t from = f->act_count;
    int64_t due_us = f->armed_us - f->monotonic_us;
    fake_turn_after(f, due_us + RELEASE_US + 1);
    assert_null(next_act(f, from, FAKE_FEED, NULL));
    assert_false(fake_line(f, fan_run)->level);
    assert_int_equal(state_of(f, FAN), GUARD_DROPPING);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->lateness_worst_us, RELEASE_US + 1);
    /* One stall costs a part of the interval, not all of it. */
    fake_run(f, FEED_US / 2);
    assert_non_null(next_act(f, from, FAKE_FEED, NULL));
}

static void a_turn_that_is_late_by_the_release_time_still_vouches(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    fake_run(f, f->loop.guard.feed_at.us - f->raw_us - 1);
    size_t from = f->act_count;
    fake_turn_after(f, f->armed_us - f->monotonic_us + RELEASE_US);
    assert_non_null(next_act(f, from, FAKE_FEED, NULL));
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
}

static void a_deadline_that_is_overrun_is_a_fault(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", 5000);
    fake_turn_after(f, 5000 + RELEASE_US + 1);
    assert_int_equal(state_of(f, FAN), GUARD_FAULT);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_LATE);
    assert_false(fake_line(f, fan_run)->level);
}

static void a_wait_that_ends_early_or_is_interrupted_is_no_input(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "horn", TTL_US);
    fake_run(f, 1000);
    int edges = fake_line(f, horn_blow)->edges;
    for (int i = 0; i < 50; i++) {
        f->poll_answer = -EINTR;
        loop_turn(&f->loop);
    }
    assert_int_equal(fake_line(f, horn_blow)->edges, edges);
    assert_int_equal(state_of(f, HORN), GUARD_DRIVING);
    assert_false(f->loop.guard.stopping);
    fake_run(f, 10000);
    assert_int_equal(fake_line(f, horn_blow)->edges, edges + 2);
}

static void a_raw_clock_that_stands_is_a_fault_within_its_window(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->raw_stands = true;
    fake_run(f, 2100000);
    assert_int_equal(state_of(f, FAN), GUARD_FAULT);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_CLOCK);
    assert_false(fake_line(f, fan_run)->level);
}

static void a_raw_clock_that_goes_back_is_a_fault_at_once(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->raw_us -= 1000;
    fake_turn_after(f, 0);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_CLOCK);
    assert_false(fake_line(f, fan_run)->level);
}

static void a_raw_clock_that_jumps_ahead_is_a_late_turn(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->raw_us += TTL_US / 2;
    fake_turn_after(f, 0);
    assert_int_equal(state_of(f, FAN), GUARD_DROPPING);
    assert_false(fake_line(f, fan_run)->level);
}

/* A guard that is held up between the two is late, which is another matter. */
static void a_pause_between_two_readings_is_no_clock_that_stands(void **state)
{
    struct fake_platform *f = *state;
    start(f);
    f->pause_us = 600000;
    fake_turn_after(f, 1000000);
    assert_int_equal(f->pause_us, 0);
    fake_run(f, 2500000);
    for (int resource = PUMP; resource <= HORN; resource++)
        assert_int_equal(state_of(f, resource), GUARD_SAFE);
}

static void monotonic_that_steps_ahead_alone_is_a_clock_that_stands(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    fake_run(f, 100000);
    f->monotonic_us += 2000000;
    fake_turn_after(f, 0);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_CLOCK);
}

static void a_sleep_drops_everything_and_the_agent_must_come_anew(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    /* Said before the sleep, found after it. */
    say(f, agent, GUARD_PERMIT, "fan", 8, f->raw_us + TTL_US);
    f->slept_us += 10001;
    loop_turn(&f->loop);
    assert_false(fake_line(f, fan_run)->level);
    assert_int_equal(state_of(f, FAN), GUARD_DROPPING);
    assert_false(fake_find(f, agent)->open);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(state_of(f, FAN), GUARD_SAFE);
    agent = join(f);
    say(f, agent, GUARD_PERMIT, "fan", 9, f->raw_us + TTL_US);
    fake_run(f, 1000000);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
}

/* A reader who wakes before the guard takes off what was slept meanwhile. */
static void the_page_knows_of_no_sleep_that_the_guard_was_not_told_of(void **state)
{
    struct fake_platform *f = *state;
    struct page_reading reading;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    int64_t known_us = f->slept_us;
    f->slept_us += 9000; /* goes unnoticed */
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    loop_turn(&f->loop);
    assert_true(page_read(&f->page.resource[FAN], &reading));
    assert_int_equal(reading.state, PAGE_DRIVING);
    assert_int_equal(reading.slept_us, known_us);
    f->slept_us += 1001;
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    loop_turn(&f->loop);
    assert_true(page_read(&f->page.resource[FAN], &reading));
    assert_int_equal(reading.state, PAGE_DROPPING);
    assert_int_equal(reading.slept_us, 0);
}

static void the_reading_of_two_clocks_is_no_sleep(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->slept_us += 10000;
    fake_run(f, 1000000);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    assert_true(fake_find(f, agent)->open);
}

/* ---- lines */

static void a_line_that_cannot_be_set_is_a_fault_in_the_same_turn(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    size_t from = f->act_count;
    fake_line(f, pump_light)->set_answer = HAL_IO;
    say(f, agent, GUARD_PERMIT, "pump", 7, f->raw_us + TTL_US);
    loop_turn(&f->loop);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_OUTPUT_IO);
    assert_non_null(next_act(f, from, FAKE_ON, pump_enable));
    assert_false(fake_line(f, pump_enable)->level);
    assert_int_equal(atomic_load(&f->page.resource[PUMP].state), PAGE_FAULT);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->state, GUARD_FAULT);
    assert_int_equal(state_of(f, FAN), GUARD_SAFE);
}

static void a_line_that_cannot_be_told_off_is_told_again_and_starves_the_watchdog(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    fake_line(f, fan_run)->set_answer = HAL_IO;
    size_t from = f->act_count;
    say(f, agent, GUARD_DROP, "fan", 7, 0);
    fake_run(f, 5 * FEED_US);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
    assert_null(next_act(f, from, FAKE_FEED, NULL));
    assert_true(fake_line(f, fan_run)->level);
    fake_line(f, fan_run)->set_answer = HAL_OK;
    fake_run(f, 50000);
    assert_false(fake_line(f, fan_run)->level);
}

static void a_line_that_fails_in_the_turn_of_another_fault_starves_the_watchdog(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", 5000);
    fake_line(f, fan_run)->set_answer = HAL_IO;
    fake_turn_after(f, 5000 + RELEASE_US + 1);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_LATE);
    assert_true(fake_line(f, fan_run)->level);
    size_t from = f->act_count;
    fake_run(f, 5 * FEED_US);
    assert_null(next_act(f, from, FAKE_FEED, NULL));
}

/* The deadline of one is reached while another's failure is taken in. */
static void a_line_that_fails_while_another_is_dealt_with_is_a_fault(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    drive(f, agent, "fan", TTL_US);
    fake_run(f, 2000);
    fake_line(f, fan_run)->set_answer = HAL_IO;
    fake_line(f, pump_light)->set_answer = HAL_IO;
    f->line_takes_us = TTL_US;
    say(f, agent, GUARD_DROP, "fan", 7, 0);
    fake_turn_after(f, 0);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
    assert_int_not_equal(state_of(f, PUMP), GUARD_DRIVING);
    assert_true(f->loop.guard.resource[PUMP].line_failed);
}

static void a_fault_that_was_cleared_is_over(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    fake_line(f, fan_run)->set_answer = HAL_IO;
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    fake_run(f, 10000);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
    fake_line(f, fan_run)->set_answer = HAL_OK;
    fake_run(f, 2 * RELEASE_US);
    say(f, agent, GUARD_CLEAR_FAULT, "fan", 0, 0);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(state_of(f, FAN), GUARD_SAFE);
    say(f, agent, GUARD_PERMIT, "fan", 8, f->raw_us + TTL_US);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    assert_true(fake_line(f, fan_run)->level);
}

static void a_readback_that_cannot_be_read_is_a_fault_and_told_off(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    fake_run(f, 10000);
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    size_t from = f->act_count;
    fake_run(f, 20000);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_OUTPUT_IO);
    assert_false(fake_line(f, pump_enable)->level);
    assert_false(fake_line(f, pump_light)->level);
    say(f, agent, GUARD_PERMIT, "pump", 8, f->raw_us + TTL_US);
    fake_run(f, 100000);
    assert_null(next_act(f, from, FAKE_ON, NULL));
}

static void every_readback_of_a_resource_is_read(void **state)
{
    struct fake_platform *f = *state;
    struct conf_output *light = &f->conf.resource[PUMP].output[1];
    light->has_readback = true;
    light->readback_within_ms = WITHIN_US / 1000;
    int agent = start_with_agent(f);
    fake_line(f, pump_light)->contact_held = true; /* never comes on */
    say(f, agent, GUARD_PERMIT, "pump", 7, f->raw_us + TTL_US);
    fake_run(f, 2 * WITHIN_US);
    assert_int_equal(state_of(f, PUMP), GUARD_FAULT);
    assert_false(fake_line(f, pump_enable)->level);
}

static void a_readback_that_fails_before_the_proof_lets_nothing_drive(void **state)
{
    struct fake_platform *f = *state;
    assert_true(open_loop(f));
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 2 * RELEASE_US);
    int agent = join(f);
    say(f, agent, GUARD_PERMIT, "pump", 7, f->raw_us + TTL_US);
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    fake_run(f, 20000);
    assert_int_equal(state_of(f, PUMP), GUARD_FAULT);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    assert_false(fake_line(f, pump_enable)->level);
}

static void a_bench_that_is_lost_is_a_fault_of_every_resource(void **state)
{
    struct fake_platform *f = *state;
    f->bench_fd = FAKE_BENCH;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->service_answer = HAL_LOST;
    fake_settle(f);
    for (int resource = PUMP; resource <= HORN; resource++)
        assert_int_equal(fault_of(f, resource), GUARD_FAULT_OUTPUT_IO);
    fake_run(f, 100000);
}

static void a_readback_without_a_descriptor_is_looked_at_each_millisecond(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    struct hal_line *enable = fake_line(f, pump_enable);
    drive(f, agent, "pump", TTL_US);
    fake_run(f, 10000);
    enable->contact_held = true;
    say(f, agent, GUARD_DROP, "pump", 7, 0);
    fake_run(f, RELEASE_US / 4);
    enable->contact = false;
    fake_run(f, 1000);
    assert_false(f->loop.guard.resource[PUMP].output[0].readback);
}

/* One line's chip has interrupts, the other's has none. */
static void one_readback_without_edges_is_enough_to_look_at_all(void **state)
{
    struct fake_platform *f = *state;
    struct conf_output *light = &f->conf.resource[PUMP].output[1];
    light->has_readback = true;
    light->readback_within_ms = WITHIN_US / 1000;
    f->bench_fd = FAKE_BENCH;
    int agent = start_with_agent(f);
    assert_false(fake_log_says(f, "it is polled"));
    for (int without = 0; without < 2; without++) {
        fake_readback(f, pump_light)->no_edges = without;
        say(f, agent, GUARD_PERMIT, "pump", 7 + (uint64_t)without, f->raw_us + TTL_US);
        fake_run(f, 10000);
        fake_line(f, pump_light)->contact_held = true;
        say(f, agent, GUARD_DROP, "pump", 7 + (uint64_t)without, 0);
        fake_run(f, 10);
        int64_t next_us = f->armed_us - f->monotonic_us;
        if (without)
            assert_in_range(next_us, 0, 1000);
        else
            assert_in_range(next_us, 1001, WITHIN_US);
        fake_line(f, pump_light)->contact = false;
        fake_line(f, pump_light)->contact_held = false;
        fake_run(f, RELEASE_US);
        assert_int_equal(state_of(f, PUMP), GUARD_SAFE);
    }
}

static void a_chip_without_edges_is_said_at_the_start(void **state)
{
    struct fake_platform *f = *state;
    f->bench_fd = FAKE_BENCH;
    f->without_edges = true;
    start(f);
    assert_true(fake_log_says(f, "pump: readback of enable: no edges from its chip"));
}

static void a_contact_that_did_not_obey_is_told_with_the_kernels_date(void **state)
{
    struct fake_platform *f = *state;
    start(f);
    struct hal_line *contact = fake_readback(f, pump_enable);
    contact->edge_us = f->monotonic_us - 200;
    fake_line(f, pump_enable)->contact = true;
    fake_line(f, pump_enable)->contact_held = true;
    fake_turn_after(f, 0);
    fake_run(f, 2 * WITHIN_US);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_STUCK_ON);
    assert_true(fake_log_says(f, "pump: output enable was told off, and its readback shows on, for "
                                 "50200 us by the kernel's date"));
    assert_true(
        fake_log_says(f, "pump: its outputs stay off until holdfastctl fault clear pump at this "
                         "board, and no board is granted it, unless on_stuck = \"go\""));
}

/* A weld: the lines say which output, and what becomes of the board, once. */
static void a_reset_that_is_to_come_is_said_once_with_its_time(void **state)
{
    struct fake_platform *f = *state;
    char line[128];
    start(f);
    fake_line(f, pump_enable)->contact = true;
    fake_line(f, pump_enable)->contact_held = true;
    fake_turn_after(f, 0);
    fake_run(f, 2 * WITHIN_US);
    int64_t left_us = f->fed_us + 4 * FEED_US - f->loop.guard.resource[PUMP].changed.us;
    snprintf(line, sizeof(line),
             "pump: output enable may be on: the watchdog resets this board in about %lld ms",
             (long long)(left_us / 1000));
    assert_true(fake_log_says(f, line));
    int64_t log_bytes = fake_log_bytes(f);
    for (int i = 0; i < 10; i++) {
        fake_line(f, pump_enable)->contact = i % 2 != 0;
        fake_run(f, 1000);
    }
    assert_int_equal(state_of(f, PUMP), GUARD_FAULT);
    assert_int_equal(fake_log_bytes(f), log_bytes);
}

static void a_weld_without_a_watchdog_says_that_none_resets_the_board(void **state)
{
    struct fake_platform *f = *state;
    f->conf.has_watchdog = false;
    start(f);
    fake_line(f, pump_enable)->contact = true;
    fake_line(f, pump_enable)->contact_held = true;
    fake_turn_after(f, 0);
    fake_run(f, 2 * WITHIN_US);
    assert_true(
        fake_log_says(f, "pump: output enable may be on, and there is no watchdog to reset this "
                         "board"));
}

/* Off by its readback: nothing is to be reset, and nothing is said of it. */
static void a_contact_that_does_not_close_is_no_reset(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    fake_line(f, pump_enable)->contact_held = true;
    drive(f, agent, "pump", TTL_US);
    fake_run(f, 2 * WITHIN_US);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_STUCK_OFF);
    assert_true(fake_log_says(f, "pump: output enable was told on, and its readback shows off"));
    assert_true(
        fake_log_says(f, "pump: its outputs stay off until holdfastctl fault clear pump at this "
                         "board"));
    assert_false(fake_log_says(f, "resets this board"));
    assert_false(fake_log_says(f, "is granted it"));
}

static void a_watchdog_that_cannot_be_fed_is_said_and_the_loop_goes_on(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->feed_answer = HAL_IO;
    fake_run(f, 2 * FEED_US);
    assert_true(fake_log_says(f, "watchdog: can't be fed"));
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
}

static void the_watchdog_is_fed_four_times_a_timeout(void **state)
{
    struct fake_platform *f = *state;
    start(f);
    for (int i = 0; i < 100; i++) {
        fake_run(f, FEED_US / 10);
        assert_in_range(f->raw_us - f->fed_us, 0, FEED_US);
    }
}

/* ---- the agent */

static void an_agent_that_does_not_read_keeps_its_place(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    const ssize_t no_room[] = { -EAGAIN, -ENOBUFS };
    for (size_t i = 0; i < 2; i++) {
        fake_find(f, agent)->send_answer = no_room[i];
        fake_run(f, 100000);
        assert_true(fake_find(f, agent)->open);
        assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    }
    fake_find(f, agent)->send_answer = 0;
    size_t heard = fake_find(f, agent)->heard_count;
    fake_run(f, 20000);
    assert_int_equal(fake_find(f, agent)->heard_count, heard + 3);
}

static void a_send_that_fails_is_a_lost_agent_in_the_same_turn(void **state)
{
    const ssize_t answers[] = { -EPIPE, -ECONNRESET, 17 };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct fake_platform *f = *state;
        int agent = start_with_agent(f);
        drive(f, agent, "fan", TTL_US);
        fake_find(f, agent)->send_answer = answers[i];
        fake_pass_time(f, f->armed_us - f->monotonic_us);
        while (fake_find(f, agent)->open)
            loop_turn(&f->loop);
        assert_false(fake_line(f, fan_run)->level);
        assert_true(fake_log_says(f, "agent: connection lost"));
        assert_int_equal(state_of(f, FAN), GUARD_DROPPING);
        loop_close(&f->loop, f->conf.run_dir, false);
        fake_free(f);
        (void)set_up(state);
    }
}

static void a_receive_that_is_interrupted_is_no_loss(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    fake_run(f, TTL_US / 2);
    fake_find(f, agent)->receive_answer = -EINTR;
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    loop_turn(&f->loop);
    assert_true(fake_find(f, agent)->open);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    fake_run(f, TTL_US * 3 / 4);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
}

static void the_end_of_the_agents_connection_drops(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    drive(f, agent, "pump", TTL_US);
    fake_find(f, agent)->ended = true;
    loop_turn(&f->loop);
    assert_false(fake_line(f, fan_run)->level);
    assert_false(fake_line(f, pump_enable)->level);
    assert_int_equal(atomic_load(&f->page.resource[FAN].state), PAGE_DROPPING);
    assert_int_equal(atomic_load(&f->page.resource[PUMP].state), PAGE_DROPPING);
    assert_false(fake_find(f, agent)->open);
}

static void a_newer_agent_takes_the_place_and_drops_what_the_older_drove(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    int newer = fake_connect(f, 1000);
    fake_settle(f);
    say(f, newer, GUARD_HELLO, "board-a", 0, 0);
    size_t from = f->act_count;
    loop_turn(&f->loop);
    assert_false(fake_find(f, agent)->open);
    assert_false(fake_line(f, fan_run)->level);
    const struct fake_act *off = next_act(f, from, FAKE_OFF, fan_run);
    const struct fake_act *sent = next_act(f, from, FAKE_SENT, NULL);
    assert_true(off != NULL && sent != NULL && off < sent);
    assert_non_null(fake_heard(f, newer, GUARD_HELLO, NULL));
    /* Its first statuses say what it took over. */
    assert_int_equal(fake_heard(f, newer, GUARD_STATUS, "fan")->state, GUARD_DROPPING);
    say(f, newer, GUARD_PERMIT, "fan", 8, f->raw_us + TTL_US);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(fake_heard(f, newer, GUARD_REFUSED, "fan")->refusal, GUARD_REFUSED_STATE);
}

static void a_newcomer_of_another_name_or_with_another_word_changes_nothing(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    int stranger = fake_connect(f, 1000);
    int hasty = fake_connect(f, 1000);
    int namesake = fake_connect(f, 1000);
    fake_settle(f);
    say(f, stranger, GUARD_HELLO, "board-b", 0, 0);
    say(f, hasty, GUARD_DROP, "fan", 7, 0);
    say(f, namesake, GUARD_DROP, "board-a", 7, 0);
    fake_settle(f);
    assert_false(fake_find(f, stranger)->open);
    assert_false(fake_find(f, hasty)->open);
    assert_false(fake_find(f, namesake)->open);
    assert_true(fake_find(f, agent)->open);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
}

static void only_root_the_guard_and_the_owner_of_the_folder_may_connect(void **state)
{
    struct fake_platform *f = *state;
    start(f);
    const uid_t allowed[] = { 0, 500, 1000 };
    for (size_t i = 0; i < 3; i++) {
        int agent = fake_connect(f, allowed[i]);
        fake_settle(f);
        assert_true(fake_find(f, agent)->open);
    }
    int stranger = fake_connect(f, 1001);
    fake_settle(f);
    assert_false(fake_find(f, stranger)->open);
    assert_true(fake_log_says(f, "agent: uid 1001 (pid 99) refused: only root, uid 500"));
}

static void the_newcomer_that_waited_longest_gives_way(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    int first = fake_connect(f, 1000);
    int second = fake_connect(f, 1000);
    for (int i = 0; i < AGENT_NEWCOMERS - 1; i++)
        (void)fake_connect(f, 1000);
    fake_settle(f);
    assert_false(fake_find(f, first)->open);
    assert_true(fake_find(f, second)->open);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    say(f, second, GUARD_HELLO, "board-a", 0, 0);
    fake_settle(f);
    assert_non_null(fake_heard(f, second, GUARD_HELLO, NULL));
}

/* A permit of another size, and a status, which only a guard may say. */
static void a_message_that_breaks_the_rules_is_a_lost_agent(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct fake_platform *f = *state;
        struct guard_message message;
        int agent = start_with_agent(f);
        drive(f, agent, "fan", TTL_US);
        guard_message_init(&message, i == 0 ? GUARD_PERMIT : GUARD_STATUS);
        assert_true(name_from_string(&message.name, "fan"));
        fake_say_bytes(f, agent, &message, sizeof(message) - (i == 0));
        loop_turn(&f->loop);
        assert_false(fake_find(f, agent)->open);
        assert_false(fake_line(f, fan_run)->level);
        fake_free(f);
        (void)set_up(state);
    }
}

static void an_agent_that_floods_does_not_keep_the_loop_from_its_time(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", 5000);
    for (int i = 0; i < 100; i++)
        say(f, agent, GUARD_TERMS, "pump", 0, 0);
    size_t taken = fake_find(f, agent)->taken;
    loop_turn(&f->loop);
    assert_int_equal(fake_find(f, agent)->taken, taken + 64);
    fake_turn_after(f, 5000);
    assert_false(fake_line(f, fan_run)->level);
}

static void a_refusal_is_answered_each_time_and_logged_once(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    say(f, agent, GUARD_PERMIT, "fan", 6, f->raw_us + TTL_US);
    fake_settle(f);
    int64_t log_bytes = fake_log_bytes(f);
    assert_true(fake_log_says(f, "fan: token 6 refused"));
    assert_int_equal(fake_heard(f, agent, GUARD_REFUSED, "fan")->permits_refused, 1);
    say(f, agent, GUARD_PERMIT, "fan", 6, f->raw_us + TTL_US);
    fake_settle(f);
    assert_int_equal(fake_heard(f, agent, GUARD_REFUSED, "fan")->permits_refused, 2);
    assert_int_equal(fake_heard(f, agent, GUARD_REFUSED, "fan")->token, 6);
    assert_int_equal(fake_log_bytes(f), log_bytes);
    assert_int_equal(state_of(f, FAN), GUARD_DRIVING);
    /* To the next agent it is news. */
    agent = join(f);
    log_bytes = fake_log_bytes(f);
    say(f, agent, GUARD_PERMIT, "fan", 6, f->raw_us + TTL_US);
    fake_settle(f);
    assert_true(fake_log_bytes(f) > log_bytes);
}

/* Who connects in a loop costs the loop no more than this in a turn, and the log a line a second. */
static void strangers_that_crowd_in_are_taken_a_few_at_a_time_and_told_of_once(void **state)
{
    struct fake_platform *f = *state;
    start(f);
    for (int i = 0; i < 6; i++)
        (void)fake_connect(f, 1001);
    loop_turn(&f->loop);
    assert_false(f->connection[3].waits);
    assert_true(f->connection[4].waits);
    int64_t log_bytes = fake_log_bytes(f);
    fake_settle(f);
    assert_false(f->connection[5].waits);
    assert_int_equal(fake_log_bytes(f), log_bytes);
    assert_true(fake_log_says(f, "agent: uid 1001 (pid 99) refused"));
    fake_run(f, 1100000);
    (void)fake_connect(f, 1001);
    fake_settle(f);
    assert_true(fake_log_says(f, "agent: 5 more refused"));
}

/* ---- faults that outlive a reset */

/* FAN was stuck on at 1790000000 s; a reset was begun for it in the kernel's start `tried`. */
static void keep_fault(struct fake_platform *f, uint64_t tried)
{
    struct record_entry kept = { .fault = GUARD_FAULT_STUCK_ON,
                                 .since_s = 1790000000,
                                 .tried = tried };
    assert_true(name_from_string(&kept.resource, "fan"));
    f->record_length = record_print(&kept, 1, f->record);
}

static void a_latch_is_written_down_and_is_there_at_the_next_start(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    assert_int_equal(f->records, 0);
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 40000);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_OUTPUT_IO);
    assert_int_equal(f->records, 1);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->fault_since_s, 1790000000);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->fault_recorded, 1);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->fault_since_s, 0);

    struct fake_platform *next = fake_new();
    configure(&next->conf);
    memcpy(next->record, f->record, f->record_length);
    next->record_length = f->record_length;
    next->wall_s = f->wall_s + 100;
    assert_true(open_loop(next));
    fake_run(next, 2 * RELEASE_US);
    agent = join(next);
    fake_run(next, 20000);
    assert_int_equal(fault_of(next, PUMP), GUARD_FAULT_OUTPUT_IO);
    assert_int_equal(state_of(next, FAN), GUARD_SAFE);
    assert_int_equal(fake_heard(next, agent, GUARD_STATUS, "pump")->fault_since_s, 1790000000);
    assert_int_equal(fake_heard(next, agent, GUARD_STATUS, "pump")->fault_kept, 1);
    assert_true(fake_log_says(next, "pump: fault: output error, latched at 2026-09-21T"));
    assert_int_equal(next->records, 1); /* its reset is begun */
    say(next, agent, GUARD_CLEAR_FAULT, "pump", 0, 0);
    fake_run(next, 2 * RELEASE_US);
    assert_int_equal(state_of(next, PUMP), GUARD_SAFE);
    assert_int_equal(next->records, 2);
    struct record_entry entry[RECORD_ENTRIES_MAX];
    size_t count = 1;
    assert_true(record_parse(next->record, next->record_length, entry, &count));
    assert_int_equal(count, 0);
    fake_free(next);
}

static enum guard_reset start_after(void **state, uint64_t tried, uint64_t boot,
                                    enum hal_backend hal)
{
    struct fake_platform *f = *state;
    f->boot_id = boot;
    f->conf.hal = hal;
    keep_fault(f, tried);
    assert_true(open_loop(f));
    enum guard_reset reset = f->loop.guard.resource[FAN].reset;
    fake_free(f);
    (void)set_up(state);
    return reset;
}

static void only_a_start_of_the_kernel_after_one_was_begun_is_a_reset(void **state)
{
    enum { BOOT = 77 };
    assert_int_equal(start_after(state, 0, BOOT, HAL_LINUX), GUARD_RESET_TO_COME);
    assert_int_equal(start_after(state, BOOT, BOOT, HAL_LINUX), GUARD_RESET_BEGUN);
    assert_int_equal(start_after(state, BOOT + 1, BOOT, HAL_LINUX), GUARD_RESET_DONE);
    /* Nobody knows of a start of the kernel: not for ever. */
    assert_int_equal(start_after(state, 0, 0, HAL_LINUX), GUARD_RESET_TO_COME);
    assert_int_equal(start_after(state, 1, 0, HAL_LINUX), GUARD_RESET_DONE);
    /* A simulated board is reset without one. */
    assert_int_equal(start_after(state, 0, BOOT, HAL_SIM), GUARD_RESET_TO_COME);
    assert_int_equal(start_after(state, BOOT, BOOT, HAL_SIM), GUARD_RESET_DONE);
}

/* The entry of the only fault there is, as it is on the disk. */
static struct record_entry on_disk(const struct fake_platform *f)
{
    struct record_entry entry[RECORD_ENTRIES_MAX];
    size_t count = 0;
    assert_true(record_parse(f->record, f->record_length, entry, &count));
    assert_int_equal(count, 1);
    return entry[0];
}

static void a_reset_is_written_down_when_the_watchdog_is_starved_for_it(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    fake_run(f, 10000);
    fake_line(f, pump_enable)->contact_held = true;
    say(f, agent, GUARD_DROP, "pump", 7, 0);
    fake_run(f, 2 * WITHIN_US);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_STUCK_ON);
    int64_t fed_us = f->fed_us;
    fake_run(f, fed_us + 2 * FEED_US - f->raw_us);
    assert_int_equal(f->fed_us, fed_us);
    assert_int_equal(on_disk(f).tried, FAKE_BOOT_ID);
    assert_int_equal(f->records, 2);
    /* Off after all: a reset is still to come for it. */
    fake_line(f, pump_enable)->contact_held = false;
    fake_line(f, pump_enable)->contact = false;
    fake_run(f, 2 * FEED_US);
    assert_int_equal(on_disk(f).tried, 0);
    assert_int_equal(f->records, 3);
}

static void open_with_a_damaged_record(struct fake_platform *f)
{
    keep_fault(f, 1);
    f->record[f->record_length / 2] ^= 1;
    assert_true(open_loop(f));
    fake_run(f, 2 * RELEASE_US);
}

static void a_record_that_is_damaged_is_a_fault_of_every_resource(void **state)
{
    struct fake_platform *f = *state;
    open_with_a_damaged_record(f);
    assert_true(fake_log_says(f, "/var/lib/holdfast/faults: damaged: counts as a fault"));
    for (int i = PUMP; i <= HORN; i++)
        assert_int_equal(fault_of(f, i), GUARD_FAULT_RECORD);
    int agent = join(f);
    say(f, agent, GUARD_CLEAR_FAULT, "fan", 0, 0);
    say(f, agent, GUARD_CLEAR_FAULT, "horn", 0, 0);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(state_of(f, FAN), GUARD_SAFE);
    assert_int_equal(state_of(f, HORN), GUARD_SAFE);
    assert_int_equal(state_of(f, PUMP), GUARD_FAULT);
    struct record_entry entry[RECORD_ENTRIES_MAX];
    size_t count = 0;
    assert_true(record_parse(f->record, f->record_length, entry, &count));
    assert_int_equal(count, 1);
    assert_string_equal(entry[0].resource.text, "pump");
}

static void a_record_that_cannot_be_read_is_a_fault_of_every_resource(void **state)
{
    struct fake_platform *f = *state;
    keep_fault(f, 1);
    f->read_answer = -EIO;
    assert_true(open_loop(f));
    assert_true(fake_log_says(f, "/var/lib/holdfast/faults: Input/output error: counts as a"));
    for (int i = PUMP; i <= HORN; i++)
        assert_int_equal(fault_of(f, i), GUARD_FAULT_RECORD);
}

/* The output of a fault that nobody can read may be on, and only a start of the board is a reset. */
static void a_record_that_cannot_be_read_by_a_second_guard_leaves_the_reset_to_come(void **state)
{
    enum { NO_BOOT_ID = 0 };
    static const struct {
        uint64_t earlier, boot;
        enum hal_backend hal;
        enum guard_reset reset;
    } cases[] = { { FAKE_BOOT_ID, FAKE_BOOT_ID, HAL_LINUX, GUARD_RESET_TO_COME },
                  { FAKE_BOOT_ID - 1, FAKE_BOOT_ID, HAL_LINUX, GUARD_RESET_DONE },
                  { NO_BOOT_ID, NO_BOOT_ID, HAL_LINUX, GUARD_RESET_DONE },
                  { FAKE_BOOT_ID, FAKE_BOOT_ID, HAL_SIM, GUARD_RESET_DONE } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_platform *f = *state;
        f->old_page.magic = PAGE_MAGIC;
        f->old_page.version = PAGE_VERSION;
        f->old_page.size = sizeof(f->old_page);
        f->old_page.boot = cases[i].earlier;
        f->boot_id = cases[i].boot;
        f->conf.hal = cases[i].hal;
        f->read_answer = -EIO;
        assert_true(open_loop(f));
        assert_int_equal(fault_of(f, FAN), GUARD_FAULT_RECORD);
        assert_int_equal(f->loop.guard.resource[FAN].reset, cases[i].reset);
        fake_free(f);
        (void)set_up(state);
    }
}

static void every_bit_of_a_record_that_falls_over_is_found(void **state)
{
    struct fake_platform *f = *state;
    struct record_entry entry[RECORD_ENTRIES_MAX];
    size_t count = 0;
    keep_fault(f, 1);
    assert_true(record_parse(f->record, f->record_length, entry, &count));
    assert_int_equal(count, 1);
    assert_int_equal(entry[0].since_s, 1790000000);
    for (size_t bit = 0; bit < 8 * f->record_length; bit++) {
        f->record[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(record_parse(f->record, f->record_length, entry, &count));
        f->record[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < f->record_length; length++)
        assert_false(record_parse(f->record, length, entry, &count));
}

static void a_slow_disk_delays_neither_lines_nor_feeding(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    f->record_waits = true;
    drive(f, agent, "pump", TTL_US);
    size_t from = f->act_count;
    fake_line(f, pump_enable)->contact_held = true;
    fake_line(f, pump_enable)->contact = false;
    fake_run(f, 2 * WITHIN_US);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_STUCK_OFF);
    assert_non_null(next_act(f, from, FAKE_OFF, pump_enable));
    assert_int_equal(f->records, 1);
    from = f->act_count;
    drive(f, agent, "fan", 200000);
    fake_run(f, 5 * FEED_US);
    assert_false(fake_log_says(f, "not there yet"));
    fake_run(f, 10 * FEED_US);
    assert_true(fake_log_says(f, "faults: being written for 10"));
    assert_non_null(next_act(f, from, FAKE_FEED, NULL));
    assert_non_null(next_act(f, from, FAKE_OFF, fan_run));
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->fault_recorded, 0);
    /* What was latched meanwhile is written next. */
    fake_line(f, fan_run)->set_answer = HAL_IO;
    say(f, agent, GUARD_PERMIT, "fan", 8, f->raw_us + TTL_US);
    fake_run(f, 20000);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
    assert_int_equal(f->records, 1);
    f->record_waits = false;
    fake_run(f, 20000);
    assert_int_equal(f->records, 2);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->fault_recorded, 1);
}

static void the_end_of_a_write_speaks_for_what_was_in_it(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    f->record_waits = true;
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 20000);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_OUTPUT_IO);
    fake_line(f, fan_run)->set_answer = HAL_IO;
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    fake_run(f, 20000);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
    f->record_waits = false;
    f->record_waits_then = true;
    fake_run(f, 20000);
    assert_int_equal(f->records, 2);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->fault_recorded, 1);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->fault_recorded, 0);
    /* The one that has it fails, and is tried again. */
    f->record_waits = f->record_waits_then = false;
    f->record_answer = -ENOSPC;
    fake_run(f, 20000);
    f->record_answer = 0;
    fake_run(f, GUARD_RECORD_RETRY_MS * 1000);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->fault_recorded, 1);
}

static void a_fault_that_cannot_be_written_down_is_said_and_still_starves(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    f->record_answer = -ENOSPC;
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 20000);
    assert_true(fake_log_says(f, "/var/lib/holdfast/faults: can't be written: No space left"));
    size_t from = f->act_count;
    fake_run(f, 5 * FEED_US);
    assert_null(next_act(f, from, FAKE_FEED, NULL));
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->fault_recorded, 0);
    assert_int_equal(f->records, 2); /* the latch, and that its reset is begun */
    /* It is tried again, and said once. */
    int64_t log_bytes = fake_log_bytes(f);
    fake_run(f, GUARD_RECORD_RETRY_MS * 1000);
    assert_int_equal(f->records, 3);
    assert_int_equal(fake_log_bytes(f), log_bytes);
    f->record_answer = 0;
    fake_run(f, GUARD_RECORD_RETRY_MS * 1000);
    assert_int_equal(f->records, 4);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "pump")->fault_recorded, 1);
    /* It went well in between: the next failure is news. */
    f->record_answer = -ENOSPC;
    log_bytes = fake_log_bytes(f);
    fake_readback(f, pump_enable)->get_answer = HAL_OK;
    say(f, agent, GUARD_CLEAR_FAULT, "pump", 0, 0);
    fake_run(f, 20000);
    assert_true(fake_log_says_after(f, log_bytes, "faults: can't be written: No space left"));
}

static void a_writer_that_is_gone_is_said_and_nothing_is_cleared_without_it(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    fake_line(f, fan_run)->set_answer = HAL_IO;
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    fake_run(f, 20000);
    fake_line(f, fan_run)->set_answer = HAL_OK;
    f->write_answer = -EPIPE;
    say(f, agent, GUARD_CLEAR_FAULT, "fan", 0, 0);
    fake_run(f, 2 * RELEASE_US);
    assert_true(fake_log_says(f, "faults: can't be written: who writes it is gone"));
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
    assert_false(f->record_open);
    say(f, agent, GUARD_CLEAR_FAULT, "fan", 0, 0);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
}

static void a_write_that_cannot_begin_is_one_that_failed(void **state)
{
    struct fake_platform *f = *state;
    (void)start_with_agent(f);
    f->write_answer = -EAGAIN;
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 20000);
    assert_true(fake_log_says(f, "faults: can't be written: Device or resource busy"));
    f->write_answer = 0;
    fake_run(f, GUARD_RECORD_RETRY_MS * 1000);
    assert_true(f->records > 0);
}

/* What was latched behind a write that is slow is given to who writes before the guard ends. */
static void an_end_waits_for_what_is_still_to_be_handed_over(void **state)
{
    for (int hangs = 0; hangs <= 1; hangs++) {
        struct fake_platform *f = *state;
        (void)start_with_agent(f);
        f->record_waits = true;
        fake_readback(f, pump_enable)->get_answer = HAL_IO;
        fake_run(f, 20000);
        int agent = join(f);
        fake_line(f, fan_run)->set_answer = HAL_IO;
        say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
        fake_run(f, 20000);
        assert_int_equal(fault_of(f, FAN), GUARD_FAULT_OUTPUT_IO);
        assert_int_equal(f->records, 1);
        f->signal = SIGTERM;
        fake_run(f, 1000000);
        assert_false(loop_ended(&f->loop));
        f->record_waits = hangs;
        fake_run(f, hangs ? 1000000 : 20000);
        assert_true(loop_ended(&f->loop));
        assert_true(hangs ? f->records == 1 : f->records >= 2);
        fake_free(f);
        (void)set_up(state);
    }
}

static void an_end_does_not_wait_for_a_card_that_hangs_to_clear_a_fault(void **state)
{
    struct fake_platform *f = *state;
    keep_fault(f, 1);
    assert_true(open_loop(f));
    fake_run(f, 2 * RELEASE_US);
    int agent = join(f);
    f->record_waits = true;
    say(f, agent, GUARD_CLEAR_FAULT, "fan", 0, 0);
    fake_run(f, 20000);
    assert_int_equal(state_of(f, FAN), GUARD_DROPPING);
    f->signal = SIGTERM;
    fake_run(f, 2500000);
    assert_true(loop_ended(&f->loop));
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_STUCK_ON);
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->fault_since_s, 1790000000);
}

static void a_fault_of_a_resource_that_is_no_more_is_kept(void **state)
{
    struct fake_platform *f = *state;
    struct record_entry entry[RECORD_ENTRIES_MAX];
    size_t count = 0;
    keep_fault(f, 1);
    assert_true(name_from_string(&f->conf.resource[FAN].name, "blower"));
    assert_true(open_loop(f));
    assert_true(fake_log_says(f, "fan: fault: stuck on: no resource of this board, kept"));
    fake_readback(f, pump_enable)->get_answer = HAL_IO;
    fake_run(f, 20000);
    assert_int_equal(f->records, 1);
    assert_true(record_parse(f->record, f->record_length, entry, &count));
    assert_int_equal(count, 2);
    assert_string_equal(entry[0].resource.text, "pump");
    assert_string_equal(entry[1].resource.text, "fan");
    assert_int_equal(entry[1].since_s, 1790000000);
    assert_int_equal(entry[1].tried, 1);
}

/* The platform fails the test if a line is not told off before, or the watchdog counts. */
static void a_start_waits_for_the_disk_with_every_line_off(void **state)
{
    struct fake_platform *f = *state;
    keep_fault(f, FAKE_BOOT_ID + 1);
    f->read_takes_us = 20000000;
    assert_true(open_loop(f));
    assert_int_equal(f->fed_us, f->raw_us);
    fake_run(f, 2 * RELEASE_US);
    assert_int_equal(fault_of(f, FAN), GUARD_FAULT_STUCK_ON);
    assert_int_equal(state_of(f, PUMP), GUARD_SAFE);
}

/* ---- the start */

static void memory_that_cannot_be_locked_is_said_and_reported(void **state)
{
    struct fake_platform *f = *state;
    f->lock_memory_answer = -ENOMEM;
    int agent = start_with_agent(f);
    fake_run(f, 20000);
    assert_true(
        fake_log_says(f, "not real-time: SCHED_FIFO: ok; mlockall: Cannot allocate memory"));
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->memory_error, ENOMEM);
    assert_false(guard_message_realtime(fake_heard(f, agent, GUARD_STATUS, "fan")));
    drive(f, agent, "fan", TTL_US);
}

static void a_program_that_cannot_be_locked_is_said_and_reported(void **state)
{
    struct fake_platform *f = *state;
    f->lock_program_answer = -EAGAIN;
    int agent = start_with_agent(f);
    fake_run(f, 20000);
    assert_true(fake_log_says(f, "not real-time: SCHED_FIFO: ok; mlockall: Resource temp"));
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->memory_error, EAGAIN);
}

static void a_schedule_that_is_refused_is_said_and_reported(void **state)
{
    struct fake_platform *f = *state;
    f->schedule_answer = -EPERM;
    int agent = start_with_agent(f);
    fake_run(f, 20000);
    assert_true(
        fake_log_says(f, "not real-time: SCHED_FIFO: Operation not permitted; mlockall: ok"));
    assert_int_equal(fake_heard(f, agent, GUARD_STATUS, "fan")->schedule_error, EPERM);
}

static void being_on_time_is_said_and_reported(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    fake_run(f, 20000);
    assert_true(fake_log_says(f, "real-time: SCHED_FIFO 49, memory locked"));
    assert_true(guard_message_realtime(fake_heard(f, agent, GUARD_STATUS, "fan")));
}

/* Everything that was opened is given back, and no line was ever told on. */
static void refuses_to_start(struct fake_platform *f, const char *why)
{
    assert_false(open_loop(f));
    loop_close(&f->loop, f->conf.run_dir, true);
    assert_false(f->hal_open);
    assert_false(f->listening);
    assert_false(f->record_open);
    assert_true(why == NULL || fake_log_says(f, why));
    assert_null(next_act(f, 0, FAKE_ON, NULL));
    for (size_t i = 0; i < f->line_count; i++)
        assert_true(f->line[i].closed);
}

static void a_record_that_cannot_be_opened_is_no_start(void **state)
{
    struct fake_platform *f = *state;
    f->open_record_fails = 1;
    refuses_to_start(f, NULL);
    assert_int_equal(f->line_count, 0);
    assert_false(f->watchdog_armed);
}

static void a_record_that_this_user_may_not_write_is_no_start(void **state)
{
    struct fake_platform *f = *state;
    f->read_answer = -EPERM;
    refuses_to_start(f, NULL);
    assert_false(f->watchdog_armed);
}

static void a_start_fails_with_any_line_and_gives_the_others_back(void **state)
{
    static const enum hal_result answers[] = { HAL_BUSY, HAL_NOT_FOUND, HAL_DENIED, HAL_IO };
    for (size_t at = 0; at < 5; at++) {
        struct fake_platform *f = *state;
        f->open_answer = answers[at % 4];
        f->open_fails_at = at;
        refuses_to_start(f, hal_result_name(f->open_answer));
        assert_int_equal(f->line_count, at);
        assert_false(f->watchdog_armed);
        fake_free(f);
        (void)set_up(state);
    }
}

static void a_run_directory_whose_name_is_too_long_for_a_socket_is_refused(void **state)
{
    struct fake_platform *f = *state;
    memset(f->conf.run_dir, 'd', 107 - sizeof("/guard.sock") + 2);
    f->conf.run_dir[0] = '/';
    refuses_to_start(f, "/guard.sock: at most 107 characters are allowed");
}

/* F = 0 is declared, and a guard that died would have left the output on. */
static void a_line_that_stays_driven_after_a_death_needs_more_than_zero(void **state)
{
    struct fake_platform *f = *state;
    struct conf_output *run = &f->conf.resource[FAN].output[0];
    run->covers = CONF_COVERS_PROCESS;
    f->stays_driven = true;
    refuses_to_start(f, "fan: output run");
    assert_true(fake_log_says(f, "covers = \"process\" reckons with F = 0"));
    for (size_t i = 0; i < f->line_count; i++)
        assert_false(f->line[i].level);
    assert_null(next_act(f, 0, FAKE_ON, NULL));
}

static void a_line_that_its_chip_lets_go_of_is_taken(void **state)
{
    struct fake_platform *f = *state;
    f->conf.resource[FAN].output[0].covers = CONF_COVERS_PROCESS;
    assert_true(open_loop(f));
    assert_int_equal(f->looks, 1);
}

/* A pulse drops by itself, and of a bench nothing is known. */
static void what_is_not_known_to_stay_driven_is_taken(void **state)
{
    struct fake_platform *f = *state;
    f->conf.resource[FAN].output[0].covers = CONF_COVERS_PROCESS;
    f->conf.resource[HORN].output[0].covers = CONF_COVERS_PROCESS;
    f->stays_driven = true;
    f->look_answer = HAL_UNSUPPORTED;
    assert_true(open_loop(f));
    assert_int_equal(f->looks, 1);
}

static void the_watchdog_is_told_with_what_it_counts(void **state)
{
    struct fake_platform *f = *state;
    f->why = "\"i6300ESB timer\"";
    start(f);
    assert_true(fake_log_says(f, "\"i6300ESB timer\": 400 ms are in force"));
}

static void a_watchdog_that_is_refused_is_told_with_the_reason(void **state)
{
    struct fake_platform *f = *state;
    f->why = "no magic close";
    f->watchdog_answer = HAL_UNSUPPORTED;
    refuses_to_start(f, "timeout 400 ms: not supported by the device: no magic close");
}

static void the_polarity_of_a_line_is_the_configured_one(void **state)
{
    struct fake_platform *f = *state;
    f->conf.resource[FAN].output[0].active_low = true;
    f->conf.resource[PUMP].output[0].readback_active_low = true;
    f->conf.resource[PUMP].output[0].readback_bias = HAL_BIAS_PULL_UP;
    assert_true(open_loop(f));
    assert_true(fake_line(f, fan_run)->active_low);
    assert_false(fake_line(f, pump_light)->active_low);
    assert_false(fake_line(f, pump_enable)->active_low);
    assert_true(fake_readback(f, pump_enable)->active_low);
    assert_int_equal(fake_readback(f, pump_enable)->bias, HAL_BIAS_PULL_UP);
}

/* The last act of a guard with a bug: a line that fails keeps no other one on. */
static void all_lines_are_told_off_whatever_one_of_them_answers(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    drive(f, agent, "fan", TTL_US);
    fake_line(f, pump_enable)->set_answer = HAL_IO;
    board_all_off(&f->loop.board);
    assert_false(fake_line(f, pump_light)->level);
    assert_false(fake_line(f, fan_run)->level);
}

/* What it had slept before it started is nobody's loss. */
static void an_earlier_sleep_is_none_of_this_guards(void **state)
{
    struct fake_platform *f = *state;
    (void)start_with_agent(f);
    assert_false(fake_log_says(f, "suspended"));
}

static void a_watchdog_that_counts_longer_is_refused_and_stopped(void **state)
{
    struct fake_platform *f = *state;
    f->counts_longer_ms = 1;
    refuses_to_start(f, "counts 401 ms, configured are 400 ms");
    assert_true(f->watchdog_stopped);
}

static void a_watchdog_that_counts_shorter_will_do(void **state)
{
    struct fake_platform *f = *state;
    f->counts_longer_ms = (uint32_t)-100;
    assert_true(open_loop(f));
}

static void a_watchdog_that_cannot_be_started_is_refused(void **state)
{
    static const enum hal_result answers[] = { HAL_UNSUPPORTED, HAL_BUSY, HAL_DENIED, HAL_IO };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char words[80];
        struct fake_platform *f = *state;
        f->watchdog_answer = answers[i];
        snprintf(words, sizeof(words), "timeout 400 ms: %s", hal_result_name(answers[i]));
        refuses_to_start(f, words);
        assert_false(f->watchdog_stopped);
        fake_free(f);
        (void)set_up(state);
    }
}

/* Its timer is all that ends a permit: without it, the watchdog is to reset the board. */
static int ends_how(struct fake_platform *f)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = { 0, 0 };
        (void)setrlimit(RLIMIT_CORE, &no_core);
        loop_turn(&f->loop);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void without_its_timer_or_its_wait_the_guard_ends_at_once(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "fan", TTL_US);
    f->poll_answer = -EINTR;
    assert_int_equal(ends_how(f), 0);
    f->arm_answer = -EINVAL;
    assert_int_equal(ends_how(f), SIGABRT);
    f->arm_answer = 0;
    f->poll_answer = -ENOMEM;
    assert_int_equal(ends_how(f), SIGABRT);
}

static void a_start_fails_with_the_folder(void **state)
{
    struct fake_platform *f = *state;
    f->take_folder_fails = true;
    refuses_to_start(f, NULL);
    assert_false(f->renamed);
}

static void a_start_fails_with_the_page(void **state)
{
    struct fake_platform *f = *state;
    f->map_answer = -ENOSPC;
    refuses_to_start(f, "lease.page.new: can't be made: No space left on device");
    assert_false(f->renamed);
}

static void a_start_fails_without_the_kernels_word_on_the_owner(void **state)
{
    struct fake_platform *f = *state;
    f->own_answer = -ENOSYS;
    refuses_to_start(f, "lease.page: can't be published: Function not implemented");
    assert_false(f->renamed);
    assert_false(page_owned(&f->page));
}

static void a_start_fails_with_the_rename(void **state)
{
    struct fake_platform *f = *state;
    f->rename_answer = -EROFS;
    refuses_to_start(f, "lease.page: can't be published: Read-only file system");
}

static void a_start_fails_with_the_lines(void **state)
{
    struct fake_platform *f = *state;
    f->hal_answer = HAL_DENIED;
    refuses_to_start(f, "permission denied");
}

static void a_start_fails_with_the_socket(void **state)
{
    struct fake_platform *f = *state;
    f->listen_answer = -EADDRINUSE;
    refuses_to_start(f, "guard.sock: can't be bound: Address already in use");
    assert_false(f->watchdog_armed);
}

static void the_page_of_an_earlier_guard_is_marked(void **state)
{
    struct fake_platform *f = *state;
    f->old_page.magic = PAGE_MAGIC;
    f->old_page.version = PAGE_VERSION;
    atomic_store(&f->old_page.owner, 12);
    assert_true(open_loop(f));
    assert_int_equal(atomic_load(&f->old_page.owner), 0);
    assert_int_equal(atomic_load(&f->old_page.change), 1);
    assert_int_equal(f->old_woken, 1);
    assert_true(f->old_unmapped);
    assert_int_equal(atomic_load(&f->page.owner), 4711);
}

/* Kills it: nothing of it is closed. Its page is the old one of the next. */
static void page_is_left_behind(struct fake_platform *f, uint64_t boot_id)
{
    f->old_page.magic = f->page.magic;
    f->old_page.version = f->page.version;
    f->old_page.size = f->page.size;
    f->old_page.boot = boot_id;
    f->old_page.level_lines = f->page.level_lines;
    atomic_store(&f->old_page.owner, PAGE_OWNER_DIED); /* as the kernel leaves it */
    memset(f->line, 0, sizeof(f->line));
    f->line_count = 0;
    f->renamed = f->watchdog_armed = false;
    f->hal_open = f->listening = f->record_open = false;
}

static void
lines_that_an_earlier_guard_may_have_left_on_keep_another_file_from_starting(void **state)
{
    struct fake_platform *f = *state;
    struct conf_output *run = &f->conf.resource[FAN].output[0];
    strcpy(run->line.chip, "gpiochip0");
    run->line.line = 10;
    start(f);
    page_is_left_behind(f, FAKE_BOOT_ID);
    run->line.line = 11;
    refuses_to_start(f, "had other lines (chip, line, active_low) than this file");
    assert_false(f->watchdog_armed || f->renamed);
    run->line.line = 10;
    run->active_low = true;
    refuses_to_start(f, NULL);
    run->covers = CONF_COVERS_PROCESS;
    refuses_to_start(f, NULL);
    run->covers = CONF_COVERS_KERNEL;
    run->active_low = false;
    assert_true(open_loop(f));
    page_is_left_behind(f, FAKE_BOOT_ID + 1);
    run->line.line = 11;
    assert_true(open_loop(f));
}

static void an_end_with_all_off_leaves_no_lines(void **state)
{
    struct fake_platform *f = *state;
    start(f);
    assert_true(f->page.level_lines != 0);
    f->signal = SIGTERM;
    fake_settle(f);
    loop_close(&f->loop, f->conf.run_dir, true);
    assert_true(f->page.level_lines == 0);
    assert_int_equal(atomic_load(&f->page.owner), PAGE_ENDED_OFF);
    assert_false(page_owned(&f->page));
}

/* The watchdog may be stopped: a reset was tried for what is latched. But an output may still be on. */
static void an_end_in_a_fault_leaves_its_lines(void **state)
{
    struct fake_platform *f = *state;
    open_with_a_damaged_record(f);
    assert_int_equal(fault_of(f, PUMP), GUARD_FAULT_RECORD);
    uint64_t lines = f->page.level_lines;
    f->signal = SIGTERM;
    fake_settle(f);
    loop_close(&f->loop, f->conf.run_dir, true);
    assert_true(lines != 0 && f->page.level_lines == lines);
    assert_int_not_equal(atomic_load(&f->page.owner), PAGE_ENDED_OFF);
}

/* It was killed, by a guard that keeps its lines elsewhere in the page, or not at all. */
static void other_guards_page_is_left_behind(struct fake_platform *f, uint64_t boot_id)
{
    page_is_left_behind(f, boot_id);
    f->old_page.level_lines = 0;
    f->old_page.version = PAGE_VERSION + 1;
}

static void page_of_another_version_is_doubt_in_the_same_boot(void **state)
{
    struct fake_platform *f = *state;
    for (int is_short = 0; is_short < 2; is_short++) {
        start(f);
        f->old_short = is_short == 1;
        other_guards_page_is_left_behind(f, FAKE_BOOT_ID);
        for (int i = 0; i < 2; i++) {
            refuses_to_start(f, "of another version of the page than");
            assert_false(f->watchdog_armed || f->renamed);
            assert_int_equal(atomic_load(&f->old_page.owner), 0); /* its readers are told */
        }
        other_guards_page_is_left_behind(f, FAKE_BOOT_ID + 1);
        assert_true(open_loop(f));
        page_is_left_behind(f, FAKE_BOOT_ID);
        f->old_short = false;
    }
    f->old_page.size = sizeof(f->old_page) - 8;
    refuses_to_start(f, "lease.page: is no lease page, or a damaged one");
}

/* As for an upgrade. A start that fails does not forget it. */
static void page_of_another_version_is_no_doubt_after_an_end_with_all_off(void **state)
{
    struct fake_platform *f = *state;
    for (int is_short = 0; is_short < 2; is_short++) {
        start(f);
        f->old_short = is_short == 1;
        other_guards_page_is_left_behind(f, FAKE_BOOT_ID);
        atomic_store(&f->old_page.owner, PAGE_ENDED_OFF);
        f->map_answer = -ENOSPC;
        refuses_to_start(f, "No space left on device");
        f->map_answer = 0;
        assert_true(open_loop(f));
        assert_true(f->loop.page.earlier);
        page_is_left_behind(f, FAKE_BOOT_ID + 1);
        f->old_short = false;
    }
}

/* One that never drove leaves its own lines out: a wrong one can be mended, and the start tried anew. */
static void a_start_that_fails_leaves_the_lines_of_before(void **state)
{
    struct fake_platform *f = *state;
    f->open_fails_at = 0;
    f->open_answer = HAL_NOT_FOUND;
    refuses_to_start(f, NULL);
    assert_true(f->page.level_lines == 0);
    start(f);
    page_is_left_behind(f, FAKE_BOOT_ID);
    uint64_t lines = f->page.level_lines;
    f->open_answer = HAL_NOT_FOUND;
    refuses_to_start(f, NULL);
    assert_true(f->page.level_lines == lines && lines != 0);
}

static void the_page_is_of_this_start_of_the_kernel(void **state)
{
    struct fake_platform *f = *state;
    assert_true(open_loop(f));
    assert_int_equal(f->page.boot, FAKE_BOOT_ID);
}

/* It may have been the page of a guard that left lines on. */
static void what_is_no_page_is_left_as_it_is_and_no_start(void **state)
{
    struct fake_platform *f = *state;
    f->old_page.magic = PAGE_MAGIC + 1;
    f->old_page.version = PAGE_VERSION;
    atomic_store(&f->old_page.owner, 12);
    refuses_to_start(f, "lease.page: is no lease page, or a damaged one");
    assert_false(f->watchdog_armed || f->renamed);
    assert_int_equal(atomic_load(&f->old_page.owner), 12);
    assert_int_equal(f->old_woken, 0);
    assert_true(f->old_unmapped);
    f->old_answer = -EINVAL; /* too short, or not this guard's */
    refuses_to_start(f, "lease.page: is no lease page, or a damaged one");
    f->old_answer = -ENOENT;
    assert_true(open_loop(f));
}

/* Where RUN is on a disk. Nothing is written to it: a start that fails leaves it as it was. */
static void page_that_a_power_cut_left_empty_is_no_doubt(void **state)
{
    struct fake_platform *f = *state;
    memset(&f->old_page, 0, sizeof(f->old_page));
    f->old_answer = 0;
    f->map_answer = -ENOSPC;
    refuses_to_start(f, "No space left on device");
    f->map_answer = 0;
    assert_true(open_loop(f));
    assert_false(f->loop.page.earlier);
    assert_int_equal(f->old_woken, 0);
}

static void what_is_configured_reaches_the_machine_in_its_unit(void **state)
{
    struct fake_platform *f = *state;
    f->conf.drift_ppm = 2000;
    assert_true(open_loop(f));
    const struct guard_config *config = &f->loop.guard.config;
    assert_int_equal(config->drift_ppm, 2000);
    const struct guard_output_config *enable = &config->resource[PUMP].output[0];
    const struct guard_output_config *blow = &config->resource[HORN].output[0];
    assert_int_equal(config->resource_count, 3);
    assert_int_equal(config->watchdog_timeout.us, 4 * FEED_US);
    assert_int_equal(config->resource[PUMP].ttl.us, TTL_US);
    assert_int_equal(config->resource[PUMP].release.us, RELEASE_US);
    assert_int_equal(enable->kind, GUARD_OUTPUT_GPIO);
    assert_true(enable->has_readback);
    assert_int_equal(enable->within.us, WITHIN_US);
    assert_int_equal(blow->kind, GUARD_OUTPUT_PULSE);
    assert_int_equal(blow->rate_hz, 100);
    assert_int_equal(blow->hold.us, 20000);
}

/* ---- the end */

static void a_signal_ends_it_when_all_is_proven_off(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    int newcomer = fake_connect(f, 1000);
    drive(f, agent, "pump", TTL_US);
    f->signal = SIGTERM;
    loop_turn(&f->loop);
    assert_false(fake_line(f, pump_enable)->level);
    assert_false(loop_ended(&f->loop));
    fake_run(f, 2 * RELEASE_US);
    assert_true(loop_ended(&f->loop));
    assert_true(loop_run(&f->loop));
    loop_close(&f->loop, f->conf.run_dir, true);
    assert_true(f->watchdog_stopped);
    assert_false(f->hal_open);
    assert_int_equal(atomic_load(&f->page.owner), PAGE_ENDED_OFF);
    assert_true(f->unlinked);
    assert_false(fake_find(f, agent)->open);
    assert_false(fake_find(f, newcomer)->open);
}

static void a_second_signal_while_it_ends_changes_nothing(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    f->signal = SIGTERM;
    loop_turn(&f->loop);
    int64_t log_bytes = fake_log_bytes(f);
    f->signal = SIGINT;
    loop_turn(&f->loop);
    assert_int_equal(fake_log_bytes(f), log_bytes);
    fake_run(f, 2 * RELEASE_US);
    assert_true(loop_run(&f->loop));
}

static void an_end_without_proof_leaves_the_watchdog_running(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "pump", TTL_US);
    fake_run(f, 10000);
    fake_line(f, pump_enable)->contact_held = true;
    f->signal = SIGTERM;
    fake_run(f, 2 * RELEASE_US);
    assert_true(loop_ended(&f->loop));
    assert_false(loop_run(&f->loop));
    size_t from = f->act_count;
    uint32_t change = atomic_load(&f->page.change);
    loop_close(&f->loop, f->conf.run_dir, false);
    assert_false(f->watchdog_stopped);
    assert_false(fake_line(f, pump_enable)->level);
    /* Nobody reads a fault there that nobody will clear. */
    struct page_reading reading;
    assert_true(page_read(&f->page.resource[PUMP], &reading));
    assert_int_equal(reading.state, PAGE_SAFE);
    assert_int_equal(reading.deadline_us, 0);
    assert_int_equal(atomic_load(&f->page.change), change + 1);
    assert_non_null(next_act(f, from, FAKE_PUBLISHED, NULL));
}

static void nothing_is_allocated_once_it_runs(void **state)
{
    struct fake_platform *f = *state;
    int agent = start_with_agent(f);
    drive(f, agent, "horn", TTL_US);
    struct mallinfo2 before = mallinfo2();
    say(f, agent, GUARD_PERMIT, "fan", 7, f->raw_us + TTL_US);
    fake_run(f, 500000);
    say(f, agent, GUARD_PERMIT, "fan", 6, f->raw_us + TTL_US);
    fake_find(f, agent)->ended = true;
    fake_run(f, 100000);
    (void)join(f);
    fake_run(f, 100000);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks, before.uordblks);
    assert_int_equal(after.hblkhd, before.hblkhd);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    LOOP_TEST(a_drop_reaches_the_line_before_page_log_and_agent),
    LOOP_TEST(what_goes_off_is_told_before_what_goes_on),
    LOOP_TEST(a_drop_that_is_there_when_an_edge_is_due_makes_no_edge),
    LOOP_TEST(levels_are_read_before_time_judges_them),
    LOOP_TEST(a_turn_that_finds_a_fault_does_not_feed),
    LOOP_TEST(an_output_is_off_at_its_deadline_to_the_microsecond),
    LOOP_TEST(the_page_says_token_and_deadline_of_the_raw_clock),
    LOOP_TEST(a_turn_that_is_late_drops_and_does_not_feed),
    LOOP_TEST(a_turn_that_is_late_by_the_release_time_still_vouches),
    LOOP_TEST(a_deadline_that_is_overrun_is_a_fault),
    LOOP_TEST(a_wait_that_ends_early_or_is_interrupted_is_no_input),
    LOOP_TEST(a_raw_clock_that_stands_is_a_fault_within_its_window),
    LOOP_TEST(a_raw_clock_that_goes_back_is_a_fault_at_once),
    LOOP_TEST(a_raw_clock_that_jumps_ahead_is_a_late_turn),
    LOOP_TEST(a_pause_between_two_readings_is_no_clock_that_stands),
    LOOP_TEST(monotonic_that_steps_ahead_alone_is_a_clock_that_stands),
    LOOP_TEST(a_sleep_drops_everything_and_the_agent_must_come_anew),
    LOOP_TEST(the_page_knows_of_no_sleep_that_the_guard_was_not_told_of),
    LOOP_TEST(the_reading_of_two_clocks_is_no_sleep),
    LOOP_TEST(a_line_that_cannot_be_set_is_a_fault_in_the_same_turn),
    LOOP_TEST(a_line_that_cannot_be_told_off_is_told_again_and_starves_the_watchdog),
    LOOP_TEST(a_line_that_fails_in_the_turn_of_another_fault_starves_the_watchdog),
    LOOP_TEST(a_line_that_fails_while_another_is_dealt_with_is_a_fault),
    LOOP_TEST(a_fault_that_was_cleared_is_over),
    LOOP_TEST(a_readback_that_cannot_be_read_is_a_fault_and_told_off),
    LOOP_TEST(every_readback_of_a_resource_is_read),
    LOOP_TEST(a_readback_that_fails_before_the_proof_lets_nothing_drive),
    LOOP_TEST(a_bench_that_is_lost_is_a_fault_of_every_resource),
    LOOP_TEST(a_readback_without_a_descriptor_is_looked_at_each_millisecond),
    LOOP_TEST(one_readback_without_edges_is_enough_to_look_at_all),
    LOOP_TEST(a_chip_without_edges_is_said_at_the_start),
    LOOP_TEST(a_contact_that_did_not_obey_is_told_with_the_kernels_date),
    LOOP_TEST(a_reset_that_is_to_come_is_said_once_with_its_time),
    LOOP_TEST(a_weld_without_a_watchdog_says_that_none_resets_the_board),
    LOOP_TEST(a_contact_that_does_not_close_is_no_reset),
    LOOP_TEST(a_watchdog_that_cannot_be_fed_is_said_and_the_loop_goes_on),
    LOOP_TEST(the_watchdog_is_fed_four_times_a_timeout),
    LOOP_TEST(an_agent_that_does_not_read_keeps_its_place),
    LOOP_TEST(a_send_that_fails_is_a_lost_agent_in_the_same_turn),
    LOOP_TEST(a_receive_that_is_interrupted_is_no_loss),
    LOOP_TEST(the_end_of_the_agents_connection_drops),
    LOOP_TEST(a_newer_agent_takes_the_place_and_drops_what_the_older_drove),
    LOOP_TEST(a_newcomer_of_another_name_or_with_another_word_changes_nothing),
    LOOP_TEST(only_root_the_guard_and_the_owner_of_the_folder_may_connect),
    LOOP_TEST(the_newcomer_that_waited_longest_gives_way),
    LOOP_TEST(a_message_that_breaks_the_rules_is_a_lost_agent),
    LOOP_TEST(an_agent_that_floods_does_not_keep_the_loop_from_its_time),
    LOOP_TEST(a_refusal_is_answered_each_time_and_logged_once),
    LOOP_TEST(strangers_that_crowd_in_are_taken_a_few_at_a_time_and_told_of_once),
    LOOP_TEST(a_latch_is_written_down_and_is_there_at_the_next_start),
    LOOP_TEST(only_a_start_of_the_kernel_after_one_was_begun_is_a_reset),
    LOOP_TEST(a_reset_is_written_down_when_the_watchdog_is_starved_for_it),
    LOOP_TEST(a_record_that_is_damaged_is_a_fault_of_every_resource),
    LOOP_TEST(a_record_that_cannot_be_read_is_a_fault_of_every_resource),
    LOOP_TEST(a_record_that_cannot_be_read_by_a_second_guard_leaves_the_reset_to_come),
    LOOP_TEST(every_bit_of_a_record_that_falls_over_is_found),
    LOOP_TEST(a_slow_disk_delays_neither_lines_nor_feeding),
    LOOP_TEST(the_end_of_a_write_speaks_for_what_was_in_it),
    LOOP_TEST(a_fault_that_cannot_be_written_down_is_said_and_still_starves),
    LOOP_TEST(a_writer_that_is_gone_is_said_and_nothing_is_cleared_without_it),
    LOOP_TEST(a_write_that_cannot_begin_is_one_that_failed),
    LOOP_TEST(an_end_waits_for_what_is_still_to_be_handed_over),
    LOOP_TEST(an_end_does_not_wait_for_a_card_that_hangs_to_clear_a_fault),
    LOOP_TEST(a_fault_of_a_resource_that_is_no_more_is_kept),
    LOOP_TEST(a_record_that_cannot_be_opened_is_no_start),
    LOOP_TEST(a_record_that_this_user_may_not_write_is_no_start),
    LOOP_TEST(a_start_waits_for_the_disk_with_every_line_off),
    LOOP_TEST(memory_that_cannot_be_locked_is_said_and_reported),
    LOOP_TEST(a_program_that_cannot_be_locked_is_said_and_reported),
    LOOP_TEST(a_schedule_that_is_refused_is_said_and_reported),
    LOOP_TEST(being_on_time_is_said_and_reported),
    LOOP_TEST(a_start_fails_with_any_line_and_gives_the_others_back),
    LOOP_TEST(a_run_directory_whose_name_is_too_long_for_a_socket_is_refused),
    LOOP_TEST(a_line_that_stays_driven_after_a_death_needs_more_than_zero),
    LOOP_TEST(a_line_that_its_chip_lets_go_of_is_taken),
    LOOP_TEST(what_is_not_known_to_stay_driven_is_taken),
    LOOP_TEST(the_watchdog_is_told_with_what_it_counts),
    LOOP_TEST(a_watchdog_that_is_refused_is_told_with_the_reason),
    LOOP_TEST(the_polarity_of_a_line_is_the_configured_one),
    LOOP_TEST(all_lines_are_told_off_whatever_one_of_them_answers),
    LOOP_TEST(an_earlier_sleep_is_none_of_this_guards),
    LOOP_TEST(a_watchdog_that_counts_longer_is_refused_and_stopped),
    LOOP_TEST(a_watchdog_that_counts_shorter_will_do),
    LOOP_TEST(a_watchdog_that_cannot_be_started_is_refused),
    LOOP_TEST(without_its_timer_or_its_wait_the_guard_ends_at_once),
    LOOP_TEST(a_start_fails_with_the_folder),
    LOOP_TEST(a_start_fails_with_the_page),
    LOOP_TEST(a_start_fails_without_the_kernels_word_on_the_owner),
    LOOP_TEST(a_start_fails_with_the_rename),
    LOOP_TEST(a_start_fails_with_the_lines),
    LOOP_TEST(a_start_fails_with_the_socket),
    LOOP_TEST(the_page_of_an_earlier_guard_is_marked),
    LOOP_TEST(lines_that_an_earlier_guard_may_have_left_on_keep_another_file_from_starting),
    LOOP_TEST(an_end_with_all_off_leaves_no_lines),
    LOOP_TEST(an_end_in_a_fault_leaves_its_lines),
    LOOP_TEST(page_of_another_version_is_doubt_in_the_same_boot),
    LOOP_TEST(page_of_another_version_is_no_doubt_after_an_end_with_all_off),
    LOOP_TEST(a_start_that_fails_leaves_the_lines_of_before),
    LOOP_TEST(the_page_is_of_this_start_of_the_kernel),
    LOOP_TEST(what_is_no_page_is_left_as_it_is_and_no_start),
    LOOP_TEST(page_that_a_power_cut_left_empty_is_no_doubt),
    LOOP_TEST(what_is_configured_reaches_the_machine_in_its_unit),
    LOOP_TEST(a_signal_ends_it_when_all_is_proven_off),
    LOOP_TEST(a_second_signal_while_it_ends_changes_nothing),
    LOOP_TEST(an_end_without_proof_leaves_the_watchdog_running),
    LOOP_TEST(nothing_is_allocated_once_it_runs),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
