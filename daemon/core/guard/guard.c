#include "guard/guard.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/timing.h"

/* One step under way: what every helper needs. */
struct turn {
    struct guard *guard;
    struct guard_effects *effects;
    struct instant now;
    bool went_back; /* the clock, since the last step */
};

static const struct guard_resource_config *resource_config(const struct guard *guard, uint8_t index)
{
    return &guard->config.resource[index];
}

static struct span output_half_period(const struct guard_output_config *config)
{
    return span_from_us(1000000 / (2 * (int64_t)config->rate_hz));
}

static bool output_is_pulse(const struct guard_output_config *config)
{
    return config->kind == GUARD_OUTPUT_PULSE;
}

static void output_set(struct turn *turn, uint8_t index, uint8_t number, bool level)
{
    uint8_t bit = (uint8_t)(1u << number);
    turn->guard->resource[index].output[number].level = level;
    turn->effects->set_mask[index] |= bit;
    if (level)
        turn->effects->level_mask[index] |= bit;
    else
        turn->effects->level_mask[index] &= (uint8_t)~bit;
}

/* How long a readback may disagree with an output that is told on. */
static struct span output_on_grace(const struct guard_output_config *config)
{
    if (!output_is_pulse(config))
        return config->within;
    int64_t edges_us = output_half_period(config).us * GUARD_PULSE_EDGES_TO_ON;
    return span_add(config->within, span_from_us(edges_us));
}

static void output_start(struct turn *turn, uint8_t index, uint8_t number)
{
    const struct guard_output_config *config = &resource_config(turn->guard, index)->output[number];
    struct guard_output *output = &turn->guard->resource[index].output[number];
    output_set(turn, index, number, true);
    output->confirmed = false;
    output->settle_at = INSTANT_NEVER;
    output->edge_at = output_is_pulse(config) ? instant_add(turn->now, output_half_period(config)) :
                                                INSTANT_NEVER;
    output->check_at =
        config->has_readback ? instant_add(turn->now, output_on_grace(config)) : INSTANT_NEVER;
}

/*
 * How long after being told off an output may count as off, by this board's clock. A pulse output is
 * not off before its hold time, nor is one whose readback never showed on before the relay had its
 * time to move; one without readback has no better word than the declared release time. No output is
 * proven in the step that tells it: the shell has yet to set the line, and may fail.
 * PROTOCOL.md, declared-off-by-true-time.
 */
static struct span output_settle(const struct guard *guard, uint8_t index, uint8_t number)
{
    const struct guard_resource_config *resource = resource_config(guard, index);
    const struct guard_output_config *config = &resource->output[number];
    bool confirmed = guard->resource[index].output[number].confirmed;
    struct span hold = output_is_pulse(config) ? config->hold : span_from_us(0);
    struct span settle = span_add(hold, span_from_us(1));
    if (!config->has_readback)
        settle = span_add(hold, resource->release);
    else if (!confirmed && settle.us < config->within.us)
        settle = config->within;
    return timing_stretch(settle, guard->config.drift_ppm);
}

/*
 * A plain output goes off by its level, a pulse output by silence: an edge, in whatever direction,
 * keeps a charge pump charged for another hold time, and a guard that was paused may be dropping
 * long after the deadline, or be unable to tell.
 */
static void output_silence(struct turn *turn, uint8_t index, uint8_t number)
{
    struct guard_output *output = &turn->guard->resource[index].output[number];
    uint8_t bit = (uint8_t)(1u << number);
    if (!output_is_pulse(&resource_config(turn->guard, index)->output[number])) {
        output_set(turn, index, number, false);
    } else if (turn->effects->set_mask[index] & bit) {
        /* The edge that was due in this very step is not made. */
        turn->effects->set_mask[index] &= (uint8_t)~bit;
        turn->effects->level_mask[index] &= (uint8_t)~bit;
        output->level = !output->level;
    }
}

static void output_drop(struct turn *turn, uint8_t index, uint8_t number)
{
    const struct guard_output_config *config = &resource_config(turn->guard, index)->output[number];
    struct guard_output *output = &turn->guard->resource[index].output[number];
    struct span hold = output_is_pulse(config) ? config->hold : span_from_us(0);
    output_silence(turn, index, number);
    output->edge_at = INSTANT_NEVER;
    output->settle_at = instant_add(turn->now, output_settle(turn->guard, index, number));
    output->check_at = INSTANT_NEVER;
    if (config->has_readback && (!output->readback_known || output->readback))
        output->check_at = instant_add(turn->now, span_add(hold, config->within));
}

static void output_fail(struct turn *turn, uint8_t index, uint8_t number)
{
    struct guard_output *output = &turn->guard->resource[index].output[number];
    output_silence(turn, index, number);
    output->edge_at = INSTANT_NEVER;
    output->settle_at = INSTANT_NEVER;
    output->check_at = INSTANT_NEVER;
}

static enum guard_fault fault_of(enum guard_event event)
{
    static const enum guard_fault faults[GUARD_EVENTS] = {
        [GUARD_EVENT_STUCK_ON] = GUARD_FAULT_STUCK_ON,
        [GUARD_EVENT_STUCK_OFF] = GUARD_FAULT_STUCK_OFF,
        [GUARD_EVENT_IO_ERROR] = GUARD_FAULT_OUTPUT_IO,
        [GUARD_EVENT_OVERRUN] = GUARD_FAULT_LATE,
        [GUARD_EVENT_CLOCK] = GUARD_FAULT_CLOCK,
    };
    return faults[event];
}

static void resource_enter(struct turn *turn, uint8_t index, enum guard_state state)
{
    static void (*const enter[GUARD_STATES])(struct turn *, uint8_t, uint8_t) = {
        [GUARD_DRIVING] = output_start,
        [GUARD_DROPPING] = output_drop,
        [GUARD_FAULT] = output_fail,
    };
    uint8_t count = resource_config(turn->guard, index)->output_count;
    if (state != GUARD_DRIVING)
        turn->guard->resource[index].deadline = INSTANT_NEVER;
    if (enter[state] == NULL)
        return;
    for (uint8_t number = 0; number < count; number++)
        enter[state](turn, index, number);
}

static void resource_record(struct turn *turn, uint8_t index)
{
    turn->guard->resource[index].record_version = ++turn->guard->record_version;
    turn->effects->record = true;
}

/* A latch, and the end of one, are to be written down. One that could not be ended is as it was. */
static void resource_latch(struct turn *turn, uint8_t index, enum guard_event event)
{
    struct guard_resource *resource = &turn->guard->resource[index];
    bool restored = event == GUARD_EVENT_UNRECORDED;
    if (resource->state == GUARD_FAULT) {
        resource->was = resource->fault;
        resource->was_kept = resource->kept;
        resource->clear_until =
            instant_add(turn->now, span_from_ms(turn->guard->stopping ? GUARD_STOP_WAIT_MS :
                                                                        GUARD_CLEAR_WAIT_MS));
    } else if (!restored) {
        resource->reset = GUARD_RESET_TO_COME;
    }
    HF_CHECK(!restored || resource->was != GUARD_FAULT_NONE);
    resource->kept = restored && resource->was_kept;
    resource->withheld = 0;
    resource_record(turn, index);
}

/* The one place that changes a state. */
static void resource_event(struct turn *turn, uint8_t index, enum guard_event event)
{
    struct guard_resource *resource = &turn->guard->resource[index];
    const struct cell *cell = guard_cell(resource->state, event);
    enum guard_state next = (enum guard_state)cell->next;
    if (cell->kind == CELL_STAY)
        return;
    HF_CHECK(cell->kind == CELL_GO);
    HF_CHECK(turn->effects->change_count < GUARD_CHANGES_MAX);
    turn->effects->change[turn->effects->change_count++] =
        (struct guard_change){ index, resource->state, event, next };
    if (resource->state == GUARD_FAULT || next == GUARD_FAULT)
        resource_latch(turn, index, event);
    resource->line_failed = false;
    resource->state = next;
    resource->fault = GUARD_FAULT_NONE;
    if (next == GUARD_FAULT)
        resource->fault = event == GUARD_EVENT_UNRECORDED ? resource->was : fault_of(event);
    resource->changed = turn->now;
    turn->effects->status_mask |= 1u << index;
    turn->effects->publish_mask |= 1u << index;
    resource_enter(turn, index, next);
}

static void all_event(struct turn *turn, enum guard_event event)
{
    for (uint8_t index = 0; index < turn->guard->config.resource_count; index++)
        resource_event(turn, index, event);
}

/* ---- time */

/* Its latch is not on the disk yet; in GUARD_DROPPING: the end of one is not. */
static bool unrecorded(const struct guard *guard, uint8_t index)
{
    return guard->resource[index].record_version > guard->recorded;
}

/* A fault that was cleared is not over before that is on the disk: a reset would bring it back. */
static bool resource_shown_off(const struct guard *guard, uint8_t index, struct instant now)
{
    const struct guard_resource_config *config = resource_config(guard, index);
    if (unrecorded(guard, index))
        return false;
    for (uint8_t number = 0; number < config->output_count; number++) {
        const struct guard_output *output = &guard->resource[index].output[number];
        if (!instant_reached(output->settle_at, now))
            return false;
        if (config->output[number].has_readback && (!output->readback_known || output->readback))
            return false;
    }
    return true;
}

static void resource_check_time(struct turn *turn, uint8_t index)
{
    const struct guard_resource_config *config = resource_config(turn->guard, index);
    struct guard_resource *resource = &turn->guard->resource[index];
    for (uint8_t number = 0; number < config->output_count; number++) {
        if (!instant_reached(resource->output[number].check_at, turn->now))
            continue;
        resource_event(turn, index,
                       resource->state == GUARD_DRIVING ? GUARD_EVENT_STUCK_OFF :
                                                          GUARD_EVENT_STUCK_ON);
        return;
    }
    if (resource->state != GUARD_DROPPING)
        return;
    if (resource_shown_off(turn->guard, index, turn->now))
        resource_event(turn, index, GUARD_EVENT_SHOWN_OFF);
    else if (unrecorded(turn->guard, index) && instant_reached(resource->clear_until, turn->now))
        resource_event(turn, index, GUARD_EVENT_UNRECORDED);
}

/* At most one edge a step: a late loop makes no burst. */
static void resource_toggle(struct turn *turn, uint8_t index)
{
    const struct guard_resource_config *config = resource_config(turn->guard, index);
    struct guard_resource *resource = &turn->guard->resource[index];
    for (uint8_t number = 0; number < config->output_count; number++) {
        struct guard_output *output = &resource->output[number];
        if (!instant_reached(output->edge_at, turn->now))
            continue;
        struct span half = output_half_period(&config->output[number]);
        output_set(turn, index, number, !output->level);
        output->edge_at = instant_add(output->edge_at, half);
        if (instant_reached(output->edge_at, turn->now))
            output->edge_at = instant_add(turn->now, half);
    }
}

/* Before anything else in every step: nothing that happens may keep an output on past it. */
static void all_deadlines(struct turn *turn)
{
    for (uint8_t index = 0; index < turn->guard->config.resource_count; index++) {
        const struct guard_resource *resource = &turn->guard->resource[index];
        if (resource->state != GUARD_DRIVING || !instant_reached(resource->deadline, turn->now))
            continue;
        struct span past = instant_diff(turn->now, resource->deadline);
        bool overrun = past.us > resource_config(turn->guard, index)->release.us;
        resource_event(turn, index, overrun ? GUARD_EVENT_OVERRUN : GUARD_EVENT_DEADLINE);
    }
}

static void resource_time(struct turn *turn, uint8_t index, struct span late)
{
    if (late.us > resource_config(turn->guard, index)->release.us)
        resource_event(turn, index, GUARD_EVENT_LATE);
    resource_check_time(turn, index);
    if (turn->guard->resource[index].state == GUARD_DRIVING)
        resource_toggle(turn, index);
}

static struct span feed_interval(const struct guard *guard)
{
    return span_from_us(guard->config.watchdog_timeout.us / GUARD_FEEDS_PER_TIMEOUT);
}

/* Told off, and no readback shows it; without a readback, the line may not have taken it. */
static bool output_may_be_on(const struct guard *guard, uint8_t index, uint8_t number)
{
    const struct guard_resource *resource = &guard->resource[index];
    const struct guard_output *output = &resource->output[number];
    /* Of one that was kept, all that is known is its name. */
    bool line_failed = resource->line_failed || resource->fault == GUARD_FAULT_OUTPUT_IO;
    bool shown_off = output->readback_known && !output->readback;
    return resource_config(guard, index)->output[number].has_readback ? !shown_off : line_failed;
}

static bool resource_may_be_on(const struct guard *guard, uint8_t index)
{
    for (uint8_t number = 0; number < resource_config(guard, index)->output_count; number++) {
        if (output_may_be_on(guard, index, number))
            return true;
    }
    return false;
}

/* Only a reset may still turn an output off, and none was tried for this fault. */
static bool resource_needs_reset(const struct guard *guard, uint8_t index)
{
    const struct guard_resource *resource = &guard->resource[index];
    return resource->state == GUARD_FAULT && resource->reset != GUARD_RESET_DONE &&
           resource_may_be_on(guard, index);
}

static bool guard_needs_reset(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        if (resource_needs_reset(guard, index))
            return true;
    }
    return false;
}

/*
 * Written down while most of the timeout is left: the next start knows that a reset was tried for this
 * fault, and not merely that there was a start. An output that goes off after all has its reset to come.
 */
static void resource_feed(struct turn *turn, uint8_t index)
{
    struct guard_resource *resource = &turn->guard->resource[index];
    enum guard_reset reset = resource->reset;
    if (resource->state != GUARD_FAULT || reset == GUARD_RESET_DONE)
        return;
    if (!resource_may_be_on(turn->guard, index)) {
        resource->withheld = 0;
        reset = GUARD_RESET_TO_COME;
    } else if (resource->withheld < GUARD_FEEDS_WITHHELD &&
               ++resource->withheld == GUARD_FEEDS_WITHHELD) {
        reset = GUARD_RESET_BEGUN;
    }
    if (reset == resource->reset)
        return;
    resource->reset = reset;
    resource_record(turn, index);
}

/* Lateness that the loop may have and still vouch for the board. */
static struct span lateness_allowed(const struct guard *guard)
{
    struct span allowed = feed_interval(guard);
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        struct span release = resource_config(guard, index)->release;
        if (release.us < allowed.us)
            allowed = release;
    }
    return allowed;
}

static void watchdog_time(struct turn *turn, struct span late)
{
    struct guard *guard = turn->guard;
    struct span interval = feed_interval(guard);
    if (!guard->config.has_watchdog || !instant_reached(guard->feed_at, turn->now))
        return;
    for (uint8_t index = 0; index < guard->config.resource_count; index++)
        resource_feed(turn, index);
    guard->watchdog_fed = !guard_needs_reset(guard) && late.us <= lateness_allowed(guard).us;
    turn->effects->feed_watchdog = guard->watchdog_fed;
    /* A late loop gets another chance soon, so that one stall does not cost a whole interval. */
    if (!guard->watchdog_fed)
        interval = span_from_us(interval.us / GUARD_FEEDS_PER_TIMEOUT + 1);
    guard->feed_at = instant_add(turn->now, interval);
}

/* Reports, and tells the outputs of a latched fault off once more: a line may have recovered. */
static void status_time(struct turn *turn)
{
    struct guard *guard = turn->guard;
    if (!instant_reached(guard->status_at, turn->now))
        return;
    guard->status_at = instant_add(turn->now, guard->config.status_interval);
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        turn->effects->status_mask |= 1u << index;
        if (guard->resource[index].state == GUARD_FAULT)
            resource_enter(turn, index, GUARD_FAULT);
    }
}

static bool fault_unrecorded(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        if (guard->resource[index].state == GUARD_FAULT && unrecorded(guard, index))
            return true;
    }
    return false;
}

static void record_time(struct turn *turn)
{
    struct guard *guard = turn->guard;
    if (!instant_reached(guard->record_at, turn->now))
        return;
    guard->record_at = INSTANT_NEVER;
    turn->effects->record = turn->effects->record || fault_unrecorded(guard);
}

static void all_time(struct turn *turn)
{
    struct guard *guard = turn->guard;
    struct span late = span_from_us(0);
    if (instant_before(guard->wake_at, turn->now))
        late = instant_diff(turn->now, guard->wake_at);
    if (late.us > guard->lateness_worst.us)
        guard->lateness_worst = late;
    for (uint8_t index = 0; index < guard->config.resource_count; index++)
        resource_time(turn, index, late);
    watchdog_time(turn, late);
    record_time(turn);
    status_time(turn);
}

static struct instant output_wake(const struct guard_output *output, struct instant now)
{
    struct instant wake = instant_min(output->edge_at, output->check_at);
    /* A settling time that is past waits for the readback, not for time. */
    if (instant_before(now, output->settle_at))
        wake = instant_min(wake, output->settle_at);
    return wake;
}

static struct instant guard_next_wake(const struct guard *guard)
{
    struct instant wake = instant_min(guard->status_at, guard->feed_at);
    wake = instant_min(wake, guard->record_at);
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        const struct guard_resource *resource = &guard->resource[index];
        wake = instant_min(wake, resource->deadline);
        if (resource->state == GUARD_DROPPING && unrecorded(guard, index))
            wake = instant_min(wake, resource->clear_until);
        for (uint8_t number = 0; number < resource_config(guard, index)->output_count; number++)
            wake = instant_min(wake, output_wake(&resource->output[number], guard->now));
    }
    return wake;
}

/* ---- readback */

static void take_readback(struct turn *turn, uint8_t index, uint8_t number, bool on)
{
    HF_CHECK(index < turn->guard->config.resource_count);
    HF_CHECK(number < resource_config(turn->guard, index)->output_count);
    const struct guard_output_config *config = &resource_config(turn->guard, index)->output[number];
    struct guard_resource *resource = &turn->guard->resource[index];
    struct guard_output *output = &resource->output[number];
    bool expected = resource->state == GUARD_DRIVING;
    if (!output->readback_known || output->readback != on)
        turn->effects->status_mask |= 1u << index;
    output->readback = on;
    output->readback_known = true;
    if (resource->state == GUARD_FAULT)
        return;
    if (on == expected) {
        output->check_at = INSTANT_NEVER;
        output->confirmed = output->confirmed || on;
    } else if (output->check_at.us == INSTANT_NEVER.us) {
        struct span grace = expected ? output_on_grace(config) : config->within;
        struct instant from = turn->now;
        /* What was pumped before the drop keeps it on for its hold time, shown or not until now. */
        if (resource->state == GUARD_DROPPING && output_is_pulse(config))
            from = instant_max(from, instant_add(resource->changed, config->hold));
        output->check_at = instant_add(from, grace);
    }
}

/* ---- messages */

static bool find_resource(const struct guard *guard, const struct hf_name *name, uint8_t *index)
{
    for (uint8_t i = 0; i < guard->config.resource_count; i++) {
        if (name_equal(&guard->config.resource[i].name, name)) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* In safe, yet a readback has just gone on: not a state to start from. */
static bool resource_doubtful(const struct guard *guard, uint8_t index)
{
    for (uint8_t number = 0; number < resource_config(guard, index)->output_count; number++) {
        if (guard->resource[index].output[number].check_at.us != INSTANT_NEVER.us)
            return true;
    }
    return false;
}

static enum guard_refusal permit_judge(const struct turn *turn, uint8_t index,
                                       const struct guard_message *permit)
{
    const struct guard *guard = turn->guard;
    const struct guard_resource *resource = &guard->resource[index];
    struct instant deadline = { permit->deadline_us };
    bool driving = resource->state == GUARD_DRIVING;
    if (!guard_terms_equal(&permit->terms, &resource_config(guard, index)->terms))
        return GUARD_REFUSED_TERMS;
    if (resource->state == GUARD_FAULT)
        return GUARD_REFUSED_FAULT;
    if (permit->token < resource->token || (permit->token == resource->token && !driving))
        return GUARD_REFUSED_TOKEN;
    if (instant_reached(deadline, turn->now))
        return GUARD_REFUSED_LATE;
    if (instant_diff(deadline, turn->now).us > resource_config(guard, index)->ttl.us)
        return GUARD_REFUSED_DEADLINE;
    if (permit->token == resource->token)
        return GUARD_REFUSED_NONE;
    if (resource->state != GUARD_SAFE || resource_doubtful(guard, index) || !guard->agent ||
        guard->stopping)
        return GUARD_REFUSED_STATE;
    return GUARD_REFUSED_NONE;
}

static void take_permit(struct turn *turn, uint8_t index, const struct guard_message *permit)
{
    struct guard_resource *resource = &turn->guard->resource[index];
    enum guard_refusal refusal = permit_judge(turn, index, permit);
    if (refusal != GUARD_REFUSED_NONE) {
        turn->effects->refusal = refusal;
        return;
    }
    bool renewal = permit->token == resource->token;
    resource->token = permit->token;
    resource->deadline = (struct instant){ permit->deadline_us };
    turn->effects->publish_mask |= 1u << index;
    resource_event(turn, index, renewal ? GUARD_EVENT_RENEW : GUARD_EVENT_PERMIT);
}

/* Disowns the token and all below it; 0: the one that drives. An older one is disowned already. */
static void take_drop(struct turn *turn, uint8_t index, uint64_t token)
{
    struct guard_resource *resource = &turn->guard->resource[index];
    if (token != 0 && token < resource->token)
        return;
    if (token > resource->token) {
        resource->token = token;
        turn->effects->publish_mask |= 1u << index;
    }
    resource_event(turn, index, GUARD_EVENT_DROP);
}

/* Said by an agent when it connects, so that both sides know of a difference before any permit. */
static void take_terms(struct turn *turn, uint8_t index, const struct guard_terms *terms)
{
    if (!guard_terms_equal(terms, &resource_config(turn->guard, index)->terms))
        turn->effects->refusal = GUARD_REFUSED_TERMS;
}

static void take_message(struct turn *turn, const struct guard_message *message)
{
    uint8_t index = 0;
    if (!find_resource(turn->guard, &message->name, &index)) {
        turn->effects->refusal = GUARD_REFUSED_UNKNOWN;
    } else {
        turn->effects->status_mask |= 1u << index;
        if (message->kind == GUARD_PERMIT)
            take_permit(turn, index, message);
        else if (message->kind == GUARD_DROP)
            take_drop(turn, index, message->token);
        /* The operator did not know of a clock fault that was found in this very step. */
        else if (message->kind == GUARD_CLEAR_FAULT && !turn->went_back)
            resource_event(turn, index, GUARD_EVENT_CLEAR_FAULT);
        else if (message->kind == GUARD_TERMS)
            take_terms(turn, index, &message->terms);
    }
    if (turn->effects->refusal != GUARD_REFUSED_NONE)
        turn->guard->permits_refused++;
}

static void agent_lost(struct turn *turn)
{
    turn->guard->agent = false;
    all_event(turn, GUARD_EVENT_AGENT_LOST);
}

static void agent_up(struct turn *turn)
{
    if (turn->guard->agent)
        agent_lost(turn);
    turn->guard->agent = true;
    all_event(turn, GUARD_EVENT_AGENT_UP);
    turn->effects->status_mask = (1u << turn->guard->config.resource_count) - 1;
}

/* What the readbacks showed before says nothing about now. */
static void take_io_error(struct turn *turn, uint8_t index)
{
    HF_CHECK(index < turn->guard->config.resource_count);
    for (uint8_t number = 0; number < resource_config(turn->guard, index)->output_count; number++)
        turn->guard->resource[index].output[number].readback_known = false;
    resource_event(turn, index, GUARD_EVENT_IO_ERROR);
    turn->guard->resource[index].line_failed = true;
}

/* One that failed speaks for all that it should have had; what a later one has is still to come. */
static void take_recorded(struct turn *turn, uint32_t version, bool durable)
{
    struct guard *guard = turn->guard;
    HF_CHECK(version <= guard->record_version);
    for (uint8_t index = 0; !durable && index < guard->config.resource_count; index++) {
        if (unrecorded(guard, index) && guard->resource[index].record_version <= version)
            resource_event(turn, index, GUARD_EVENT_UNRECORDED);
    }
    if (durable && version > guard->recorded)
        guard->recorded = version;
    if (!durable && fault_unrecorded(guard))
        guard->record_at = instant_add(turn->now, span_from_ms(GUARD_RECORD_RETRY_MS));
}

static void take_stop(struct turn *turn)
{
    struct guard *guard = turn->guard;
    struct instant until = instant_add(turn->now, span_from_ms(GUARD_STOP_WAIT_MS));
    guard->stopping = true;
    for (uint8_t index = 0; index < guard->config.resource_count; index++)
        guard->resource[index].clear_until = instant_min(guard->resource[index].clear_until, until);
    all_event(turn, GUARD_EVENT_STOP);
}

static void take_input(struct turn *turn, const struct guard_input *input)
{
    switch (input->kind) {
    case GUARD_INPUT_TICK:
        break;
    case GUARD_INPUT_AGENT_UP:
        agent_up(turn);
        break;
    case GUARD_INPUT_AGENT_LOST:
        agent_lost(turn);
        break;
    case GUARD_INPUT_MESSAGE:
        take_message(turn, input->message);
        break;
    case GUARD_INPUT_READBACK:
        take_readback(turn, input->resource, input->output, input->on);
        break;
    case GUARD_INPUT_IO_ERROR:
        take_io_error(turn, input->resource);
        break;
    case GUARD_INPUT_CLOCK:
        all_event(turn, GUARD_EVENT_CLOCK);
        break;
    case GUARD_INPUT_SLEPT:
        all_event(turn, GUARD_EVENT_SLEPT);
        /* What it has under way counts by a clock that stood still: it must come anew. */
        agent_lost(turn);
        break;
    case GUARD_INPUT_RECORDED:
        take_recorded(turn, input->version, input->on);
        break;
    case GUARD_INPUT_STOP:
        take_stop(turn);
        break;
    }
}

/* ---- the steps */

static void restart_timers(struct guard *guard, struct instant now)
{
    guard->status_at = instant_add(now, guard->config.status_interval);
    guard->feed_at =
        guard->config.has_watchdog ? instant_add(now, feed_interval(guard)) : INSTANT_NEVER;
    guard->wake_at = INSTANT_NEVER;
    if (guard->record_at.us != INSTANT_NEVER.us)
        guard->record_at = now;
    for (uint8_t index = 0; index < guard->config.resource_count; index++)
        guard->resource[index].clear_until =
            instant_min(guard->resource[index].clear_until,
                        instant_add(now, span_from_ms(GUARD_CLEAR_WAIT_MS)));
}

/* The list of changes is long and mostly empty: its count says what is in it. */
static void effects_clear(struct guard_effects *effects)
{
    memset(effects, 0, offsetof(struct guard_effects, change));
}

static bool output_told_on(const struct guard *guard, uint8_t index, uint8_t number)
{
    const struct guard_output *output = &guard->resource[index].output[number];
    bool pulse = output_is_pulse(&resource_config(guard, index)->output[number]);
    return pulse ? output->edge_at.us != INSTANT_NEVER.us : output->level;
}

/* What holds after every step, whatever came in: see guard.h. */
static void guard_check(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        const struct guard_resource *resource = &guard->resource[index];
        bool driving = resource->state == GUARD_DRIVING;
        HF_CHECK((resource->state == GUARD_FAULT) == (resource->fault != GUARD_FAULT_NONE));
        HF_CHECK(!resource->line_failed || resource->state == GUARD_FAULT);
        HF_CHECK(!driving || (guard->agent && !guard->stopping && resource->token != 0));
        HF_CHECK(driving ? instant_before(guard->now, resource->deadline) :
                           resource->deadline.us == INSTANT_NEVER.us);
        for (uint8_t number = 0; number < resource_config(guard, index)->output_count; number++)
            HF_CHECK(driving || !output_told_on(guard, index, number));
    }
}

static void turn_end(struct turn *turn)
{
    /* A fault that was latched in this very step counts already. */
    if (guard_needs_reset(turn->guard) && turn->effects->feed_watchdog) {
        turn->effects->feed_watchdog = false;
        turn->guard->watchdog_fed = false;
    }
    turn->guard->wake_at = guard_next_wake(turn->guard);
    turn->effects->wake_at = turn->guard->wake_at;
    guard_check(turn->guard);
}

void guard_init(struct guard *guard, const struct guard_config *config)
{
    HF_CHECK(config->resource_count <= GUARD_RESOURCES_MAX);
    HF_CHECK(config->status_interval.us > 0);
    memset(guard, 0, sizeof(*guard));
    guard->config = *config;
    guard->watchdog_fed = true;
    guard->record_at = INSTANT_NEVER;
    for (uint8_t index = 0; index < config->resource_count; index++) {
        struct guard_resource *resource = &guard->resource[index];
        HF_CHECK(config->resource[index].output_count <= HF_OUTPUTS_MAX);
        resource->state = GUARD_DROPPING;
        resource->deadline = INSTANT_NEVER;
        resource->clear_until = INSTANT_NEVER;
        for (size_t number = 0; number < HF_OUTPUTS_MAX; number++) {
            resource->output[number].edge_at = INSTANT_NEVER;
            resource->output[number].settle_at = INSTANT_NEVER;
            resource->output[number].check_at = INSTANT_NEVER;
        }
    }
    guard->status_at = INSTANT_NEVER;
    guard->feed_at = INSTANT_NEVER;
    guard->wake_at = INSTANT_NEVER;
}

void guard_latch(struct guard *guard, uint8_t index, enum guard_fault fault, enum guard_reset reset)
{
    HF_CHECK(index < guard->config.resource_count);
    HF_CHECK(fault != GUARD_FAULT_NONE && fault < GUARD_FAULTS);
    guard->resource[index].state = GUARD_FAULT;
    guard->resource[index].fault = fault;
    guard->resource[index].kept = true;
    guard->resource[index].reset = reset;
}

void guard_start(struct guard *guard, struct instant now, struct guard_effects *effects)
{
    struct turn turn = { guard, effects, now, false };
    effects_clear(effects);
    guard->now = now;
    restart_timers(guard, now);
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        guard->resource[index].changed = now;
        /* Not dropping if a fault was kept, or a line failed before: told off all the same. */
        resource_enter(&turn, index, guard->resource[index].state);
        for (uint8_t number = 0; number < resource_config(guard, index)->output_count; number++)
            output_set(&turn, index, number, false);
        effects->publish_mask |= 1u << index;
    }
    turn_end(&turn);
}

void guard_step(struct guard *guard, struct instant now, const struct guard_input *input,
                struct guard_effects *effects)
{
    struct turn turn = { guard, effects, now, instant_before(now, guard->now) };
    effects_clear(effects);
    guard->now = now;
    if (turn.went_back) {
        all_event(&turn, GUARD_EVENT_CLOCK);
        restart_timers(guard, now);
    }
    all_deadlines(&turn);
    /*
     * Levels are taken before they are judged by the time, since a late turn has several to take;
     * all else comes after.
     */
    if (input->kind != GUARD_INPUT_READBACK && input->kind != GUARD_INPUT_IO_ERROR)
        all_time(&turn);
    take_input(&turn, input);
    turn_end(&turn);
}

/* ---- reports */

static bool resource_proven(const struct guard *guard, uint8_t index)
{
    return guard->resource[index].state == GUARD_SAFE && !resource_doubtful(guard, index);
}

static uint8_t watchdog_report(const struct guard *guard)
{
    if (!guard->config.has_watchdog)
        return 0;
    return guard->watchdog_fed && !guard_needs_reset(guard) ? 1 : 2;
}

void guard_status(const struct guard *guard, uint8_t index, struct guard_message *message)
{
    HF_CHECK(index < guard->config.resource_count);
    const struct guard_resource_config *config = resource_config(guard, index);
    const struct guard_resource *resource = &guard->resource[index];
    bool driving = resource->state == GUARD_DRIVING;
    guard_message_init(message, GUARD_STATUS);
    message->name = config->name;
    message->token = resource->token;
    message->deadline_us = driving ? resource->deadline.us : 0;
    message->state = (uint8_t)resource->state;
    message->fault = (uint8_t)resource->fault;
    message->proven = resource_proven(guard, index);
    message->output_count = config->output_count;
    message->watchdog = watchdog_report(guard);
    message->outputs_on = driving ? (1u << config->output_count) - 1 : 0;
    for (uint8_t number = 0; number < config->output_count; number++) {
        if (config->output[number].has_readback && resource->output[number].readback)
            message->readback_on |= 1u << number;
    }
    message->fault_kept = resource->kept;
    message->fault_recorded = resource->state == GUARD_FAULT && !unrecorded(guard, index);
    message->changed_us = resource->changed.us;
    message->lateness_worst_us = guard->lateness_worst.us;
    message->permits_refused = guard->permits_refused;
    message->terms = config->terms;
}

bool guard_wants_reset(const struct guard *guard, uint8_t index)
{
    return resource_needs_reset(guard, index);
}

bool guard_may_be_on(const struct guard *guard, uint8_t index, uint8_t number)
{
    return guard->resource[index].state == GUARD_FAULT && output_may_be_on(guard, index, number);
}

bool guard_awaits_readback(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        if (guard->resource[index].state == GUARD_DROPPING || resource_doubtful(guard, index))
            return true;
    }
    return false;
}

bool guard_at_rest(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        enum guard_state state = guard->resource[index].state;
        if (state == GUARD_DRIVING || state == GUARD_DROPPING)
            return false;
    }
    return true;
}

bool guard_needs_no_watchdog(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        if (!resource_proven(guard, index) && guard->resource[index].state != GUARD_FAULT)
            return false;
    }
    return !guard_needs_reset(guard);
}

bool guard_proven_safe(const struct guard *guard)
{
    for (uint8_t index = 0; index < guard->config.resource_count; index++) {
        if (!resource_proven(guard, index))
            return false;
    }
    return true;
}
