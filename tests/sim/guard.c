/* A guard's process, turn by turn as daemon/guard/loop.c, and the board's lines. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    SLEPT_US = 10000, /* as LOOP_SLEPT_US */
    CLOCK_WINDOW_US = 1000000,
    SOCKET_MAX_US = 300,
    NOTICE_MAX_US = 500,
    PLANTED_US = 1000000
};

static struct sim_guard *guard_of(struct world *world, int board)
{
    return &world->board[board].guard;
}

static const char *text_of(const struct world *world, int board)
{
    return world->name[board_node(world, board)].text;
}

static int64_t some_time(struct world *world, int board, int64_t low_us, int64_t high_us)
{
    struct random *random = world_random(world, STREAM_PROCESS, board_node(world, board));
    return random_between(random, low_us, high_us);
}

/* ---- to the agent */

static void send_to_agent(struct world *world, int board, const struct guard_message *message)
{
    struct sim_guard *guard = guard_of(world, board);
    if (guard->socket == 0)
        return;
    int64_t at_us = world->now_us + some_time(world, board, 20, SOCKET_MAX_US);
    if (at_us <= guard->socket_busy_us)
        at_us = guard->socket_busy_us + 1;
    guard->socket_busy_us = at_us;
    world_post(world, EVENT_AGENT_GUARD, board_node(world, board), at_us - world->now_us, message,
               sizeof(*message))
        ->epoch = guard->socket;
}

static void send_statuses(struct world *world, int board, uint32_t mask)
{
    struct guard_message status;
    const struct sim_guard *guard = guard_of(world, board);
    for (uint8_t i = 0; i < guard->guard.config.resource_count; i++) {
        if (!(mask & (1u << i)) || !guard->guard.agent)
            continue;
        guard_status(&guard->guard, i, &status);
        oracle_status(world, board, i, &status);
        send_to_agent(world, board, &status);
    }
}

/* ---- effects */

static void note_changes(struct world *world, int board, const struct guard_effects *effects)
{
    for (uint8_t i = 0; i < effects->change_count; i++) {
        const struct guard_change *change = &effects->change[i];
        bool drop = change->from == GUARD_DRIVING;
        oracle_guard_changed(world, board, change);
        log_note(world, "%s: guard: %s: %s -%s-> %s", text_of(world, board),
                 world->resource[change->resource].text, guard_state_name(change->from),
                 guard_event_name(change->event), guard_state_name(change->to));
        if (drop && change->event == GUARD_EVENT_DEADLINE)
            world_cover(world, COVERAGE_DROPS_AT_DEADLINE);
        if (drop && change->event == GUARD_EVENT_AGENT_LOST)
            world_cover(world, COVERAGE_DROPS_AGENT_LOST);
        if (drop && (change->event == GUARD_EVENT_LATE || change->event == GUARD_EVENT_OVERRUN))
            world_cover(world, COVERAGE_DROPS_LATE);
        if (change->to == GUARD_FAULT)
            world_cover(world, COVERAGE_GUARD_FAULTS);
        if (change->from == GUARD_FAULT)
            guard_of(world, board)->fault_left_us = world->now_us;
        if (change->to == GUARD_FAULT && change->event == GUARD_EVENT_CLOCK) {
            world_cover(world, COVERAGE_CLOCK_FAULTS);
            guard_of(world, board)->clock_fault = true;
        }
        if (drop && change->event == GUARD_EVENT_SLEPT)
            world_cover(world, COVERAGE_DROPS_SLEPT);
    }
}

static void feed_watchdog(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    int64_t timeout_us = SIM_WATCHDOG_MS * 1000 * world->plan.scale;
    guard->watchdog_us = world->now_us + timeout_us;
    world_post(world, EVENT_GUARD_WATCHDOG, board_node(world, board), timeout_us, NULL, 0)->epoch =
        ++guard->watchdog_id;
}

static void apply(struct world *world, int board, const struct guard_effects *effects)
{
    for (int on = 0; on <= 1; on++) {
        for (int i = 0; i < world->resource_count; i++) {
            if ((effects->set_mask[i] & 1) && (effects->level_mask[i] & 1) == on)
                line_set(world, board, i, on);
        }
    }
    note_changes(world, board, effects);
    if (effects->feed_watchdog) {
        oracle_fed(world, board);
        feed_watchdog(world, board);
    }
    send_statuses(world, board, effects->status_mask);
}

static enum guard_refusal step(struct world *world, int board, const struct guard_input *input)
{
    struct guard_effects effects;
    struct sim_guard *guard = guard_of(world, board);
    struct instant now = clock_local(world, board_node(world, board));
    bool went_back = instant_before(now, guard->guard.now);
    guard_step(&guard->guard, now, input, &effects);
    if (went_back)
        oracle_clock_went_back(world, board);
    guard->clock_went_back = false;
    apply(world, board, &effects);
    return effects.refusal;
}

/* ---- a turn: levels, messages, time */

static void read_lines(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    for (int i = 0; i < world->resource_count; i++) {
        const struct guard_output *output = &guard->guard.resource[i].output[0];
        bool on = line_reads(world, board, i);
        const struct guard_input input = { .kind = GUARD_INPUT_READBACK,
                                           .resource = (uint8_t)i,
                                           .on = on };
        if (!output->readback_known || output->readback != on)
            step(world, board, &input);
    }
}

static void finish_turn(struct world *world, int board)
{
    const struct guard_input tick = { .kind = GUARD_INPUT_TICK };
    struct sim_guard *guard = guard_of(world, board);
    int node = board_node(world, board);
    /* While a readback is awaited: often enough to see it in time. */
    int64_t poll_us = world->plan.readback_ms * 1000 / 5;
    step(world, board, &tick);
    oracle_turn_ended(world, board);
    struct instant wake_at = guard->guard.wake_at;
    struct instant poll_at = instant_add(clock_local(world, node), span_from_us(poll_us));
    if (guard_awaits_readback(&guard->guard))
        wake_at = instant_min(wake_at, poll_at);
    process_arm(world, EVENT_GUARD_TURN, node, wake_at);
}

/* RAW must move when MONOTONIC does. */
static void compare_clocks(struct world *world, int board)
{
    const struct guard_input stands = { .kind = GUARD_INPUT_CLOCK };
    struct sim_guard *guard = guard_of(world, board);
    int64_t monotonic_us = clock_monotonic_us(world, board_node(world, board));
    struct instant raw = clock_local(world, board_node(world, board));
    int64_t passed_us = monotonic_us - guard->compared_monotonic_us;
    if (passed_us < CLOCK_WINDOW_US)
        return;
    bool first = guard->compared_monotonic_us == 0;
    bool still = instant_diff(raw, guard->compared_raw).us < passed_us / 2;
    guard->compared_monotonic_us = monotonic_us;
    guard->compared_raw = raw;
    if (!first && still)
        step(world, board, &stands);
}

static void check_clocks(struct world *world, int board)
{
    const struct guard_input slept = { .kind = GUARD_INPUT_SLEPT };
    struct sim_guard *guard = guard_of(world, board);
    int64_t slept_us = clock_slept_us(world, board_node(world, board));
    compare_clocks(world, board);
    if (slept_us <= guard->slept_us + SLEPT_US)
        return;
    guard->slept_us = slept_us;
    log_note(world, "%s: guard sees that the board slept", text_of(world, board));
    step(world, board, &slept);
    if (guard->socket != 0)
        world_post(world, EVENT_AGENT_GUARD, board_node(world, board),
                   some_time(world, board, 20, NOTICE_MAX_US), NULL, 0)
            ->epoch = guard->socket;
    guard->socket = 0;
}

void sim_guard_turn(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    read_lines(world, board);
    check_clocks(world, board);
    finish_turn(world, board);
}

static void refuse(struct world *world, int board, const struct guard_message *message,
                   enum guard_refusal refusal)
{
    struct guard_message answer;
    guard_message_init(&answer, GUARD_REFUSED);
    answer.name = message->name;
    answer.token = message->token;
    answer.refusal = (uint8_t)refusal;
    send_to_agent(world, board, &answer);
}

static void greet(struct world *world, int board, uint32_t socket)
{
    const struct guard_input up = { .kind = GUARD_INPUT_AGENT_UP };
    struct guard_message hello;
    guard_of(world, board)->socket = socket;
    guard_of(world, board)->socket_busy_us = world->now_us;
    guard_message_init(&hello, GUARD_HELLO);
    hello.name = world->name[board_node(world, board)];
    send_to_agent(world, board, &hello);
    step(world, board, &up);
}

static void take_message(struct world *world, int board, const struct event *event)
{
    struct sim_guard *guard = guard_of(world, board);
    struct guard_message message;
    memcpy(&message, event->data, sizeof(message));
    const char *wrong = guard_message_check(event->data, event->length);
    if (wrong)
        world_fail(world, ORACLE_PANIC, "%s: agent's message: %s", text_of(world, board), wrong);
    if (message.kind == GUARD_HELLO) {
        greet(world, board, event->epoch);
        return;
    }
    if (event->epoch != guard->socket)
        return;
    if (world->settings.plant == PLANT_DEADLINE && message.kind == GUARD_PERMIT)
        message.deadline_us += PLANTED_US;
    const struct guard_input input = { .kind = GUARD_INPUT_MESSAGE, .message = &message };
    enum guard_refusal refusal = step(world, board, &input);
    if (refusal != GUARD_REFUSED_NONE)
        refuse(world, board, &message, refusal);
}

void sim_guard_message(struct world *world, const struct event *event)
{
    const struct guard_input lost = { .kind = GUARD_INPUT_AGENT_LOST };
    int board = event->node - world->issuer_count;
    struct sim_guard *guard = guard_of(world, board);
    read_lines(world, board);
    check_clocks(world, board);
    if (event->data) {
        take_message(world, board, event);
    } else if (guard->socket == event->epoch) {
        guard->socket = 0;
        step(world, board, &lost);
    }
    finish_turn(world, board);
}

void sim_guard_watchdog(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    struct sim_guard *guard = guard_of(world, board);
    if (event->epoch != guard->watchdog_id || guard->watchdog_us == INT64_MAX)
        return;
    machine_reset(world, board);
}

/* ---- life */

static void configure_output(const struct world *world, int board,
                             struct guard_output_config *output)
{
    bool pulse = world->plan.hardware[board].output == OUTPUT_PULSE;
    output->kind = pulse ? GUARD_OUTPUT_PULSE : GUARD_OUTPUT_GPIO;
    output->rate_hz = pulse ? world->plan.rate_hz : 0;
    output->hold = span_from_ms(pulse ? world->board[board].hold_ms : 0);
    output->has_readback = true;
    output->within = span_from_ms(world->plan.readback_ms);
}

static void configure(struct world *world, int board, struct guard_config *config)
{
    struct guard_terms terms[SIM_RESOURCES_MAX];
    file_terms(world, board, world->board[board].hold_ms, terms);
    memset(config, 0, sizeof(*config));
    config->node = world->name[board_node(world, board)];
    config->status_interval = span_from_ms(SIM_GUARD_STATUS_MS * world->plan.scale);
    config->resource_count = (uint8_t)world->resource_count;
    config->has_watchdog = world->plan.hardware[board].watchdog;
    config->watchdog_timeout = span_from_ms(SIM_WATCHDOG_MS * world->plan.scale);
    for (int i = 0; i < world->resource_count; i++) {
        struct guard_resource_config *resource = &config->resource[i];
        resource->name = world->resource[i];
        resource->ttl = span_from_us(world->plan.ttl_us);
        if (world->settings.plant == PLANT_DEADLINE)
            resource->ttl.us += PLANTED_US;
        resource->release = span_from_ms(SIM_RELEASE_MS);
        resource->terms = terms[i];
        resource->output_count = 1;
        configure_output(world, board, &resource->output[0]);
    }
}

void sim_guard_absent(struct world *world, int board, int64_t until_us)
{
    struct sim_guard *guard = guard_of(world, board);
    if (guard->absent_until_us < world->now_us)
        guard->absent_from_us = world->now_us;
    if (guard->absent_until_us < until_us)
        guard->absent_until_us = until_us;
}

bool sim_guard_clock_is_bad(const struct world *world, int board)
{
    const struct sim_guard *guard = &world->board[board].guard;
    int64_t back_us = world->now_us - world->board[board].hold_ms * 1000;
    return world->now_us < guard->clock_bad_until_us ||
           (guard->absent_from_us < guard->clock_bad_until_us && back_us <= guard->absent_until_us);
}

void sim_guard_start(struct world *world, int board)
{
    struct guard_config config;
    struct guard_effects effects;
    struct sim_guard *guard = guard_of(world, board);
    world->board[board].hold_ms = world->board[board].file_hold_ms;
    configure(world, board, &config);
    process_begin(&guard->process);
    timer_stop(&guard->timer);
    oracle_guard_started(world, board);
    guard->absent_until_us = world->now_us;
    guard->socket = 0;
    guard->slept_us = clock_slept_us(world, board_node(world, board));
    guard->compared_monotonic_us = 0;
    guard->clock_went_back = false;
    log_note(world, "%s: guard starts", text_of(world, board));
    guard_init(&guard->guard, &config);
    /* As they are requested, before anything else. */
    line_all_low(world, board);
    if (config.has_watchdog)
        feed_watchdog(world, board);
    read_lines(world, board);
    guard_start(&guard->guard, clock_local(world, board_node(world, board)), &effects);
    apply(world, board, &effects);
    finish_turn(world, board);
}

void sim_guard_vanish(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    process_end(&guard->process);
    timer_stop(&guard->timer);
    sim_guard_absent(world, board, INT64_MAX);
}

/* A line that nobody holds goes to its pull, unless the kernel lets it be. */
void sim_guard_stop(struct world *world, int board)
{
    const struct sim_hardware *hardware = &world->plan.hardware[board];
    struct sim_guard *guard = guard_of(world, board);
    struct sim_agent *agent = &world->board[board].agent;
    log_note(world, "%s: guard killed", text_of(world, board));
    sim_guard_vanish(world, board);
    if (!hardware->retains)
        line_all_low(world, board);
    if (guard->watchdog_us != INT64_MAX && hardware->close_pings)
        feed_watchdog(world, board);
    if (agent->process->up && agent->socket_open)
        world_post(world, EVENT_AGENT_GUARD, board_node(world, board),
                   some_time(world, board, 20, NOTICE_MAX_US), NULL, 0)
            ->epoch = agent->socket;
}
