#include "loop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "conf/terms.h"
#include "log/log.h"

enum {
    LOOP_MESSAGES_PER_TURN = 64,  /* an agent that floods does not keep the loop from its timers */
    LOOP_READBACK_POLL_US = 1000, /* while a readback is awaited and some of them have no edges */
    LOOP_SLEPT_US = 10000,        /* more is a suspended board; less comes of reading two clocks */
    LOOP_STOP_WAIT_MS = 2000,     /* for a write to end, so that the next can be handed over */
    LOOP_CLOCK_WINDOW_US = 1000000,
    LOOP_CLOCK_PAUSE_US = 10000 /* the clocks are not compared by readings further apart */
};

enum loop_source {
    SOURCE_TIMER,
    SOURCE_SIGNAL,
    SOURCE_LISTEN,
    SOURCE_NEWCOMER,
    SOURCE_NEWCOMER_LAST = SOURCE_NEWCOMER + AGENT_NEWCOMERS - 1,
    SOURCE_AGENT,
    SOURCE_HAL,
    SOURCE_RECORD,
    SOURCES
};

static struct instant now_of(const struct loop *loop)
{
    return loop->platform->now(loop->platform->context);
}

static int64_t monotonic_us(const struct loop *loop)
{
    return loop->platform->monotonic_us(loop->platform->context);
}

/* ---- effects */

static const char *resource_name(const struct loop *loop, uint8_t index)
{
    return loop->guard.config.resource[index].name.text;
}

static void apply_levels(struct loop *loop, const struct guard_effects *effects, bool on)
{
    for (uint8_t index = 0; index < loop->board.resource_count; index++) {
        const struct board_resource *resource = &loop->board.resource[index];
        for (uint8_t number = 0; number < resource->output_count; number++) {
            unsigned bit = 1u << number;
            if (!(effects->set_mask[index] & bit) ||
                ((effects->level_mask[index] & bit) != 0) != on)
                continue;
            if (loop->board.hal.output->set(resource->output[number], on) != HAL_OK)
                loop->io_failed |= 1u << index;
        }
    }
}

static void log_changes(struct loop *loop, const struct guard_effects *effects)
{
    for (uint8_t i = 0; i < effects->change_count; i++) {
        const struct guard_change *change = &effects->change[i];
        log_line(change->to == GUARD_FAULT ? LOG_ERR : LOG_INFO, "%s: %s -%s-> %s, token %" PRIu64,
                 resource_name(loop, change->resource), guard_state_name(change->from),
                 guard_event_name(change->event), guard_state_name(change->to),
                 loop->guard.resource[change->resource].token);
    }
}

/* An output that does not do what it is told: by its readback, since when, as the kernel saw it. */
static void log_output(const struct loop *loop, uint8_t index, uint8_t number, bool told_on)
{
    const struct board_resource *resource = &loop->board.resource[index];
    const struct guard_output *output = &loop->guard.resource[index].output[number];
    int64_t edge_us = INT64_MIN;
    char since[64] = "";
    if (resource->readback[number] == NULL || !output->readback_known ||
        output->readback == told_on)
        return;
    (void)loop->board.hal.output->edges(resource->readback[number], &edge_us);
    if (edge_us != INT64_MIN)
        snprintf(since, sizeof(since), ", for %" PRId64 " us by the kernel's date",
                 monotonic_us(loop) - edge_us);
    log_line(LOG_ERR, "%s: output %s was told %s, and its readback shows %s%s",
             resource_name(loop, index), resource->name[number].text, told_on ? "on" : "off",
             output->readback ? "on" : "off", since);
}

/* What came of it for the resource; what may come of it for the board is log_reset()'s. */
static void log_fault(const struct loop *loop, const struct guard_change *change)
{
    const char *name = resource_name(loop, change->resource);
    bool stuck_on = change->event == GUARD_EVENT_STUCK_ON;
    bool stuck = stuck_on || change->event == GUARD_EVENT_STUCK_OFF;
    uint8_t count = loop->board.resource[change->resource].output_count;
    for (uint8_t number = 0; stuck && number < count; number++)
        log_output(loop, change->resource, number, !stuck_on);
    log_line(LOG_ERR, "%s: its outputs stay off until holdfastctl fault clear %s at this board%s",
             name, name, stuck_on ? ", and no board is granted it, unless on_stuck = \"go\"" : "");
}

/* The first output that may be on. */
static const char *output_name_on(const struct loop *loop, uint8_t index)
{
    const struct board_resource *resource = &loop->board.resource[index];
    uint8_t number = 0;
    while (number + 1 < resource->output_count && !guard_may_be_on(&loop->guard, index, number))
        number++;
    return resource->name[number].text;
}

/* That a reset is to come is said once for each fault, also where it was latched before the start. */
static void log_reset(struct loop *loop, uint8_t index)
{
    const struct board *board = &loop->board;
    int64_t since_us = instant_diff(loop->guard.now, loop->fed_at).us;
    int64_t left_us = (int64_t)board->watchdog_ms * 1000 - since_us;
    uint32_t bit = 1u << index;
    if (loop->guard.resource[index].state != GUARD_FAULT)
        loop->reset_told &= ~bit;
    if ((loop->reset_told & bit) != 0 || !guard_wants_reset(&loop->guard, index))
        return;
    loop->reset_told |= bit;
    if (board->watchdog_ms == 0)
        log_line(LOG_ERR, "%s: output %s may be on, and there is no watchdog to reset this board",
                 resource_name(loop, index), output_name_on(loop, index));
    else
        log_line(LOG_ERR,
                 "%s: output %s may be on: the watchdog resets this board in about %" PRId64
                 " ms, unless it is shown off before",
                 resource_name(loop, index), output_name_on(loop, index),
                 left_us > 0 ? left_us / 1000 : 0);
}

static void log_faults(struct loop *loop, const struct guard_effects *effects)
{
    for (uint8_t i = 0; i < effects->change_count; i++) {
        if (effects->change[i].to == GUARD_FAULT)
            log_fault(loop, &effects->change[i]);
    }
    for (uint8_t index = 0; index < loop->guard.config.resource_count; index++)
        log_reset(loop, index);
}

static void feed_watchdog(struct loop *loop)
{
    if (loop->board.hal.watchdog->feed(loop->board.hal.context) == HAL_OK)
        loop->fed_at = loop->guard.now;
    else
        log_line(LOG_ERR, "watchdog: can't be fed");
}

static void apply_effects(struct loop *loop, const struct guard_effects *effects)
{
    apply_levels(loop, effects, false);
    apply_levels(loop, effects, true);
    for (uint8_t index = 0; index < loop->guard.config.resource_count; index++) {
        if (effects->publish_mask & (1u << index))
            page_file_publish(&loop->page, &loop->guard, index, loop->slept);
    }
    if (effects->feed_watchdog)
        feed_watchdog(loop);
    record_changed(&loop->record, &loop->guard, effects);
    loop->status_mask |= effects->status_mask;
    log_changes(loop, effects);
    log_faults(loop, effects);
}

/*
 * One step with its effects; each resource with a line that failed gets a step for that as well, in a
 * fault too: what could not be told off may be on.
 */
static enum guard_refusal loop_step(struct loop *loop, const struct guard_input *input)
{
    struct guard_effects effects;
    guard_step(&loop->guard, now_of(loop), input, &effects);
    enum guard_refusal refusal = effects.refusal;
    apply_effects(loop, &effects);
    /* A deadline may be reached in such a step, too. What is in a fault is told nothing by it. */
    while (loop->io_failed != 0) {
        uint8_t index = (uint8_t)__builtin_ctz(loop->io_failed);
        struct guard_input failed = { .kind = GUARD_INPUT_IO_ERROR, .resource = index };
        loop->io_failed &= ~(1u << index);
        guard_step(&loop->guard, now_of(loop), &failed, &effects);
        apply_effects(loop, &effects);
    }
    return refusal;
}

static void loop_step_kind(struct loop *loop, enum guard_input_kind kind)
{
    struct guard_input input = { .kind = kind };
    (void)loop_step(loop, &input);
}

/* ---- lines in */

static void read_line(struct loop *loop, uint8_t index, uint8_t number)
{
    struct hal_line *line = loop->board.resource[index].readback[number];
    const struct guard_output *output = &loop->guard.resource[index].output[number];
    struct guard_input input = { .kind = GUARD_INPUT_READBACK,
                                 .resource = index,
                                 .output = number };
    if (line == NULL)
        return;
    if (loop->board.hal.output->get(line, &input.on) != HAL_OK)
        input.kind = GUARD_INPUT_IO_ERROR;
    else if (output->readback_known && output->readback == input.on)
        return;
    (void)loop_step(loop, &input);
}

static void read_lines(struct loop *loop)
{
    if (!loop->bench_lost && loop->board.hal.service(loop->board.hal.context) != HAL_OK) {
        log_line(LOG_ERR, "hal: connection to the bench lost");
        loop->bench_lost = true;
        for (uint8_t index = 0; index < loop->board.resource_count; index++) {
            struct guard_input lost = { .kind = GUARD_INPUT_IO_ERROR, .resource = index };
            (void)loop_step(loop, &lost);
        }
    }
    if (loop->bench_lost)
        return;
    for (uint8_t index = 0; index < loop->board.resource_count; index++) {
        for (uint8_t number = 0; number < loop->board.resource[index].output_count; number++)
            read_line(loop, index, number);
    }
}

/* ---- the agent */

static void agent_gone(struct loop *loop)
{
    agent_socket_drop(&loop->sockets);
    loop_step_kind(loop, GUARD_INPUT_AGENT_LOST);
    log_line(LOG_WARNING, "agent: connection lost");
}

static void agent_send(struct loop *loop, const struct guard_message *message)
{
    if (!agent_socket_send(&loop->sockets, message))
        agent_gone(loop);
}

static void agent_arrived(struct loop *loop)
{
    struct guard_message hello;
    if (loop->guard.agent)
        log_line(LOG_NOTICE, "agent: replaced by a newer connection");
    memset(&loop->refused, 0, sizeof(loop->refused));
    guard_message_init(&hello, GUARD_HELLO);
    hello.name = loop->guard.config.node;
    hello.pid = loop->platform->pid;
    loop_step_kind(loop, GUARD_INPUT_AGENT_UP);
    log_line(LOG_INFO, "agent: connected");
    agent_send(loop, &hello);
}

static void refuse_terms(const struct loop *loop, const struct guard_message *message,
                         enum guard_refusal refusal)
{
    char text[CONF_TERMS_TEXT_MAX + 1];
    if (refusal == GUARD_REFUSED_UNKNOWN)
        log_line(LOG_ERR, "%s: agent refused: %s: restart both with one file", message->name.text,
                 guard_refusal_name(refusal));
    for (uint8_t index = 0; index < loop->guard.config.resource_count; index++) {
        const struct guard_resource_config *resource = &loop->guard.config.resource[index];
        if (name_equal(&resource->name, &message->name))
            log_line(LOG_ERR, "%s: agent refused: %s", message->name.text,
                     conf_terms_differ(text, &resource->terms, &message->terms));
    }
}

static void agent_refuse(struct loop *loop, const struct guard_message *message,
                         enum guard_refusal refusal)
{
    struct guard_message answer;
    guard_message_init(&answer, GUARD_REFUSED);
    answer.name = message->name;
    answer.token = message->token;
    answer.refusal = (uint8_t)refusal;
    answer.permits_refused = loop->guard.permits_refused;
    answer.pid = loop->platform->pid;
    agent_send(loop, &answer);
    if (loop->refused.refusal == answer.refusal && loop->refused.token == answer.token &&
        name_equal(&loop->refused.name, &answer.name))
        return;
    loop->refused = answer;
    if (refusal == GUARD_REFUSED_TERMS || message->kind == GUARD_TERMS) {
        refuse_terms(loop, message, refusal);
        return;
    }
    int64_t ahead_us = message->deadline_us - now_of(loop).us;
    log_line(LOG_WARNING, "%s: token %" PRIu64 " refused: %s, deadline %" PRId64 " us ahead",
             message->name.text, message->token, guard_refusal_name(refusal), ahead_us);
}

static void agent_take(struct loop *loop)
{
    struct guard_message message;
    for (int i = 0; i < LOOP_MESSAGES_PER_TURN; i++) {
        enum agent_input came = agent_socket_receive(&loop->sockets, &message);
        if (came == AGENT_GONE)
            agent_gone(loop);
        if (came != AGENT_MESSAGE)
            return;
        struct guard_input input = { .kind = GUARD_INPUT_MESSAGE, .message = &message };
        enum guard_refusal refusal = loop_step(loop, &input);
        if (refusal != GUARD_REFUSED_NONE)
            agent_refuse(loop, &message, refusal);
    }
}

static void send_statuses(struct loop *loop)
{
    struct guard_message status;
    for (uint8_t index = 0; index < loop->guard.config.resource_count; index++) {
        if (!(loop->status_mask & (1u << index)) || !loop->guard.agent)
            continue;
        guard_status(&loop->guard, index, &status);
        status.pid = loop->platform->pid;
        status.schedule_error = loop->realtime.schedule_error;
        status.fault_since_s = record_since_s(&loop->record, index);
        status.memory_error = loop->realtime.memory_error;
        agent_send(loop, &status);
    }
    loop->status_mask = 0;
}

/* ---- the record of faults */

static void take_record(struct loop *loop, bool readable)
{
    struct guard_input input;
    if (!record_ended(&loop->record, readable, &input))
        return;
    (void)loop_step(loop, &input);
    record_continue(&loop->record, &loop->guard);
}

/* ---- clocks */

/* A raw clock that stands would never end a lease, so it must move when the other one does. */
static void compare_clocks(struct loop *loop)
{
    int64_t before_us = monotonic_us(loop);
    struct instant raw = now_of(loop);
    int64_t passed_us = before_us - loop->clock_monotonic_us;
    if (passed_us < LOOP_CLOCK_WINDOW_US || monotonic_us(loop) - before_us > LOOP_CLOCK_PAUSE_US)
        return;
    bool first = loop->clock_monotonic_us == 0;
    bool stands = instant_diff(raw, loop->clock_raw).us < passed_us / 2;
    loop->clock_monotonic_us = before_us;
    loop->clock_raw = raw;
    if (!first && stands)
        loop_step_kind(loop, GUARD_INPUT_CLOCK);
}

static void check_clocks(struct loop *loop)
{
    struct span slept = loop->platform->slept(loop->platform->context);
    compare_clocks(loop);
    if (slept.us <= loop->slept.us + LOOP_SLEPT_US)
        return;
    loop->slept = slept;
    loop_step_kind(loop, GUARD_INPUT_SLEPT);
    agent_socket_drop(&loop->sockets);
    log_line(LOG_WARNING, "board was suspended; the agent must connect anew");
}

/* The kernel has no timers by the raw clock: one by the other clock is set, as far from now. */
static void arm_timer(struct loop *loop)
{
    struct instant wake = loop->guard.wake_at;
    int64_t ahead_us = instant_diff(wake, now_of(loop)).us;
    if (ahead_us > LOOP_READBACK_POLL_US && guard_awaits_readback(&loop->guard) &&
        board_must_poll(&loop->board))
        ahead_us = LOOP_READBACK_POLL_US;
    int64_t at_us = monotonic_us(loop) + (ahead_us > 0 ? ahead_us : 0);
    HF_CHECK(loop->platform->arm(loop->platform->context, at_us) >= 0);
}

/* ---- turns */

static void loop_wait(struct loop *loop, struct pollfd *polled)
{
    polled[SOURCE_TIMER] = (struct pollfd){ loop->platform->timer, POLLIN, 0 };
    polled[SOURCE_SIGNAL] = (struct pollfd){ loop->platform->signals, POLLIN, 0 };
    polled[SOURCE_LISTEN] = (struct pollfd){ loop->sockets.listen_fd, POLLIN, 0 };
    for (int i = 0; i < AGENT_NEWCOMERS; i++)
        polled[SOURCE_NEWCOMER + i] = (struct pollfd){ loop->sockets.newcomer_fd[i], POLLIN, 0 };
    polled[SOURCE_AGENT] = (struct pollfd){ loop->sockets.agent_fd, POLLIN, 0 };
    polled[SOURCE_HAL] = (struct pollfd){ loop->bench_lost ? -1 : loop->board.hal.fd, POLLIN, 0 };
    polled[SOURCE_RECORD] = (struct pollfd){ loop->record.handle, POLLIN, 0 };
    int ready = loop->platform->poll(loop->platform->context, polled, SOURCES);
    if (ready < 0) {
        HF_CHECK(ready == -EINTR);
        for (int source = 0; source < SOURCES; source++)
            polled[source].revents = 0;
    }
}

static void take_signal(struct loop *loop)
{
    int number = loop->platform->take_signal(loop->platform->context);
    if (number == 0 || loop->guard.stopping)
        return;
    loop_step_kind(loop, GUARD_INPUT_STOP);
    loop->stop_until = instant_add(now_of(loop), span_from_ms(LOOP_STOP_WAIT_MS));
    log_line(LOG_NOTICE, "stopping on signal %d", number);
}

/* The order is a duty of core/guard/guard.h: levels, messages, time. Then the agent is told. */
void loop_turn(struct loop *loop)
{
    struct pollfd polled[SOURCES];
    loop_wait(loop, polled);
    read_lines(loop);
    check_clocks(loop);
    if (polled[SOURCE_SIGNAL].revents)
        take_signal(loop);
    take_record(loop, polled[SOURCE_RECORD].revents != 0);
    if (polled[SOURCE_AGENT].revents)
        agent_take(loop);
    for (int i = 0; i < AGENT_NEWCOMERS; i++) {
        if (polled[SOURCE_NEWCOMER + i].revents &&
            agent_socket_greet(&loop->sockets, i) == AGENT_ARRIVED)
            agent_arrived(loop);
    }
    if (polled[SOURCE_LISTEN].revents)
        agent_socket_accept(&loop->sockets);
    loop_step_kind(loop, GUARD_INPUT_TICK);
    send_statuses(loop);
    arm_timer(loop);
}

bool loop_ended(const struct loop *loop)
{
    bool written =
        !record_waits(&loop->record) || instant_reached(loop->stop_until, loop->guard.now);
    return loop->guard.stopping && guard_at_rest(&loop->guard) && written;
}

bool loop_run(struct loop *loop)
{
    while (!loop_ended(loop)) {
        loop_turn(loop);
        loop->platform->alive(loop->platform->context);
    }
    send_statuses(loop);
    return guard_proven_safe(&loop->guard);
}

/* ---- start and end */

static void start_guard(struct loop *loop)
{
    struct guard_effects effects;
    loop->slept = loop->platform->slept(loop->platform->context);
    read_lines(loop);
    guard_start(&loop->guard, now_of(loop), &effects);
    loop->fed_at = loop->guard.now; /* it was armed just before */
    apply_effects(loop, &effects);
}

bool loop_open(struct loop *loop, const struct platform *platform, const struct conf *conf)
{
    struct guard_config config;
    memset(loop, 0, sizeof(*loop));
    loop->platform = platform;
    agent_socket_none(&loop->sockets, platform);
    record_none(&loop->record, platform);
    board_guard_config(conf, &config);
    guard_init(&loop->guard, &config);
    if (!platform->take_folder(platform->context, conf->run_dir) ||
        !record_open(&loop->record, conf, &loop->guard))
        return false;
    /* Outputs before the disk, which may hang, and before the socket: no agent is heard before all are off. */
    if (!page_file_open(&loop->page, platform, conf->run_dir, &config, conf_level_lines(conf)) ||
        !board_open(&loop->board, platform, conf) ||
        !record_read(&loop->record, &loop->guard, loop->page.earlier) ||
        !agent_socket_open(&loop->sockets, conf->run_dir, &conf->node_id))
        return false;
    realtime_enter(platform, &loop->realtime);
    record_rehearse(&loop->record);
    if (!board_arm_watchdog(&loop->board, conf))
        return false;
    page_file_note_lines(&loop->page, conf_level_lines(conf));
    loop->opened = true;
    start_guard(loop);
    log_line(LOG_NOTICE, "%s: %u resources, hal %s, watchdog %s", conf->node_id.text,
             (unsigned)conf->resource_count, loop->board.hal.backend,
             conf->has_watchdog ? conf->watchdog_device : "none");
    arm_timer(loop);
    return true;
}

void loop_close(struct loop *loop, const char *run_dir, bool safe)
{
    page_file_close(&loop->page);
    if (loop->board.hal_open && loop->board.watchdog_armed && safe) {
        enum hal_result result = loop->board.hal.watchdog->stop(loop->board.hal.context);
        if (result != HAL_OK)
            log_line(LOG_WARNING, "watchdog: can't be stopped: %s", hal_result_name(result));
    }
    if (loop->sockets.listen_fd >= 0)
        agent_socket_close(&loop->sockets, run_dir);
    board_close(&loop->board);
    if (loop->opened && guard_proven_safe(&loop->guard))
        page_file_note_off(&loop->page);
    record_close(&loop->record);
}
