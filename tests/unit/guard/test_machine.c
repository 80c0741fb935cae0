/* The guard's machine: every cell, the permit's rules, every way to drop, and what proves it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guard/guard.h"
#include "tests/unit/support/cells.h"
#include "tests/unit/support/unit.h"

enum { PUMP, VALVE, RESOURCES };
enum { TTL_MS = 1000, RELEASE_MS = 5, WITHIN_MS = 5, HOLD_MS = 20, RATE_HZ = 500 };

/* A guard with a plant of the test's own: levels as the lines were last told. */
struct fixture {
    struct guard guard;
    struct guard_effects effects;
    struct instant now;
    bool level[RESOURCES][HF_OUTPUTS_MAX];
    int edges;
    int feeds;
    struct guard_terms terms; /* as the agent says */
    bool disk_waits;          /* what is to be written down stays under way */
    int records;              /* how often something was */
};

static void apply(struct fixture *f)
{
    for (uint8_t i = 0; i < f->guard.config.resource_count; i++) {
        for (uint8_t o = 0; o < f->guard.config.resource[i].output_count; o++) {
            if (!(f->effects.set_mask[i] & (1u << o)))
                continue;
            bool level = (f->effects.level_mask[i] & (1u << o)) != 0;
            f->edges += level != f->level[i][o];
            f->level[i][o] = level;
        }
    }
    f->feeds += f->effects.feed_watchdog;
}

static void record(struct fixture *f, bool durable)
{
    struct guard_effects effects;
    const struct guard_input input = { .kind = GUARD_INPUT_RECORDED,
                                       .on = durable,
                                       .version = f->guard.record_version };
    guard_step(&f->guard, f->now, &input, &effects);
    f->records += effects.record;
}

/* What it wants written down is durable at once, but for a test of its own. */
static void step(struct fixture *f, const struct guard_input *input)
{
    guard_step(&f->guard, f->now, input, &f->effects);
    apply(f);
    f->records += f->effects.record;
    if (f->effects.record && !f->disk_waits)
        record(f, true);
}

/* A pulse output is off by silence, whatever its level. */
static bool told_off(const struct fixture *f, uint8_t resource)
{
    const struct guard_output *output = &f->guard.resource[resource].output[0];
    if (f->guard.config.resource[resource].output[0].kind == GUARD_OUTPUT_PULSE)
        return output->edge_at.us == INSTANT_NEVER.us;
    return !f->level[resource][0];
}

static void happen(struct fixture *f, enum guard_input_kind kind)
{
    struct guard_input input = { .kind = kind };
    step(f, &input);
}

static void readback(struct fixture *f, uint8_t resource, bool on)
{
    struct guard_input input = { .kind = GUARD_INPUT_READBACK, .resource = resource, .on = on };
    step(f, &input);
}

static void io_error(struct fixture *f, uint8_t resource)
{
    struct guard_input input = { .kind = GUARD_INPUT_IO_ERROR, .resource = resource };
    step(f, &input);
}

static enum guard_refusal say(struct fixture *f, enum guard_message_kind kind, const char *name,
                              uint64_t token, int64_t ahead_ms)
{
    struct guard_message message;
    guard_message_init(&message, kind);
    assert_true(name_from_string(&message.name, name));
    message.token = token;
    message.deadline_us = f->now.us + ahead_ms * 1000;
    message.terms = f->terms;
    struct guard_input input = { .kind = GUARD_INPUT_MESSAGE, .message = &message };
    step(f, &input);
    return f->effects.refusal;
}

static enum guard_refusal permit(struct fixture *f, uint64_t token, int64_t ahead_ms)
{
    return say(f, GUARD_PERMIT, "pump", token, ahead_ms);
}

/* Lets time pass as an exact loop would: a tick at each wake. */
static void pass_us(struct fixture *f, int64_t us)
{
    int64_t until_us = f->now.us + us;
    while (f->guard.wake_at.us <= until_us) {
        f->now.us = f->guard.wake_at.us > f->now.us ? f->guard.wake_at.us : f->now.us + 1;
        happen(f, GUARD_INPUT_TICK);
    }
    f->now.us = until_us > f->now.us ? until_us : f->now.us;
}

static void pass_ms(struct fixture *f, int64_t ms)
{
    pass_us(f, ms * 1000);
}

static enum guard_state state_of(const struct fixture *f, uint8_t resource)
{
    return f->guard.resource[resource].state;
}

static enum guard_fault fault_of(const struct fixture *f)
{
    return f->guard.resource[PUMP].fault;
}

static struct guard_config config_of(enum guard_output_kind kind, bool has_readback)
{
    struct guard_config config;
    memset(&config, 0, sizeof(config));
    assert_true(name_from_string(&config.node, "board-a"));
    config.status_interval = span_from_ms(GUARD_STATUS_INTERVAL_MS);
    config.has_watchdog = true;
    config.watchdog_timeout = span_from_ms(2000);
    config.resource_count = RESOURCES;
    for (int i = 0; i < RESOURCES; i++) {
        struct guard_resource_config *resource = &config.resource[i];
        assert_true(name_from_string(&resource->name, i == PUMP ? "pump" : "valve"));
        resource->ttl = span_from_ms(TTL_MS);
        resource->release = span_from_ms(RELEASE_MS);
        resource->output_count = 1;
        resource->output[0] = (struct guard_output_config){ kind, RATE_HZ, span_from_ms(HOLD_MS),
                                                            has_readback, span_from_ms(WITHIN_MS) };
    }
    return config;
}

/* Started, proven safe, with an agent. */
static void set_up(struct fixture *f, enum guard_output_kind kind, bool has_readback)
{
    struct guard_config config = config_of(kind, has_readback);
    memset(f, 0, sizeof(*f));
    f->now = (struct instant){ 1000000 };
    guard_init(&f->guard, &config);
    for (uint8_t i = 0; has_readback && i < RESOURCES; i++)
        readback(f, i, false);
    guard_start(&f->guard, f->now, &f->effects);
    apply(f);
    assert_int_equal(state_of(f, PUMP), GUARD_DROPPING);
    pass_ms(f, HOLD_MS + WITHIN_MS);
    assert_int_equal(state_of(f, PUMP), GUARD_SAFE);
    happen(f, GUARD_INPUT_AGENT_UP);
    f->edges = 0;
}

static void set_up_driving(struct fixture *f, enum guard_output_kind kind, bool has_readback)
{
    set_up(f, kind, has_readback);
    assert_int_equal(permit(f, 7, 900), GUARD_REFUSED_NONE);
    assert_int_equal(state_of(f, PUMP), GUARD_DRIVING);
    if (has_readback)
        readback(f, PUMP, true);
}

static void every_state_has_a_way_in(struct fixture *f, enum guard_state state)
{
    set_up_driving(f, GUARD_OUTPUT_GPIO, true);
    if (state == GUARD_SAFE)
        set_up(f, GUARD_OUTPUT_GPIO, true);
    else if (state == GUARD_DROPPING)
        happen(f, GUARD_INPUT_SLEPT);
    else if (state == GUARD_FAULT)
        io_error(f, PUMP);
    assert_int_equal(state_of(f, PUMP), state);
}

/* Brings the event about by inputs alone, from a state in which its cell is legal. */
static void bring_about(struct fixture *f, enum guard_event event)
{
    switch (event) {
    case GUARD_EVENT_PERMIT:
        assert_int_equal(permit(f, 99, 500), GUARD_REFUSED_NONE);
        break;
    case GUARD_EVENT_RENEW:
        assert_int_equal(permit(f, 7, 500), GUARD_REFUSED_NONE);
        break;
    case GUARD_EVENT_DROP:
        say(f, GUARD_DROP, "pump", 7, 0);
        break;
    case GUARD_EVENT_AGENT_UP:
        happen(f, GUARD_INPUT_AGENT_UP);
        break;
    case GUARD_EVENT_AGENT_LOST:
        happen(f, GUARD_INPUT_AGENT_LOST);
        break;
    case GUARD_EVENT_DEADLINE:
        pass_ms(f, 901);
        break;
    case GUARD_EVENT_OVERRUN:
        f->now = instant_add(f->guard.resource[PUMP].deadline, span_from_us(RELEASE_MS * 1000 + 1));
        happen(f, GUARD_INPUT_TICK);
        break;
    case GUARD_EVENT_LATE:
        f->now = instant_add(f->guard.wake_at, span_from_us(RELEASE_MS * 1000 + 1));
        happen(f, GUARD_INPUT_TICK);
        break;
    case GUARD_EVENT_SHOWN_OFF:
        readback(f, PUMP, false);
        pass_ms(f, 1);
        break;
    case GUARD_EVENT_STUCK_ON:
        readback(f, PUMP, true);
        pass_ms(f, WITHIN_MS);
        break;
    case GUARD_EVENT_STUCK_OFF:
        readback(f, PUMP, false);
        pass_ms(f, WITHIN_MS);
        break;
    case GUARD_EVENT_IO_ERROR:
        io_error(f, PUMP);
        break;
    case GUARD_EVENT_CLOCK:
        f->now.us -= 1000;
        happen(f, GUARD_INPUT_TICK);
        break;
    case GUARD_EVENT_SLEPT:
        happen(f, GUARD_INPUT_SLEPT);
        break;
    case GUARD_EVENT_CLEAR_FAULT:
        say(f, GUARD_CLEAR_FAULT, "pump", 0, 0);
        break;
    case GUARD_EVENT_UNRECORDED:
        f->disk_waits = true;
        if (state_of(f, PUMP) != GUARD_FAULT) {
            io_error(f, PUMP);
            say(f, GUARD_CLEAR_FAULT, "pump", 0, 0);
        }
        record(f, false);
        break;
    case GUARD_EVENT_STOP:
        happen(f, GUARD_INPUT_STOP);
        break;
    case GUARD_EVENTS:
        fail();
    }
}

static void every_legal_cell_leads_where_the_table_says(void **state)
{
    static struct fixture f;
    (void)state;
    assert_true(cells_walk(guard_cell(0, 0), GUARD_STATES, GUARD_EVENTS) > 0);
    for (int s = 0; s < GUARD_STATES; s++) {
        for (int e = 0; e < GUARD_EVENTS; e++) {
            const struct cell *cell = guard_cell((enum guard_state)s, (enum guard_event)e);
            if (cell->kind == CELL_ILLEGAL)
                continue;
            /* A late loop sees the readback of a line that is dropping late, too: made stuck on. */
            every_state_has_a_way_in(&f, (enum guard_state)s);
            if (e == GUARD_EVENT_LATE && s == GUARD_DROPPING)
                f.guard.resource[PUMP].output[0].check_at = INSTANT_NEVER;
            bring_about(&f, (enum guard_event)e);
            enum guard_state next = (enum guard_state)(cell->kind == CELL_GO ? cell->next : s);
            if (state_of(&f, PUMP) != next)
                fail_msg("%s -%s-> %s, not %s", guard_state_name((enum guard_state)s),
                         guard_event_name((enum guard_event)e),
                         guard_state_name(state_of(&f, PUMP)), guard_state_name(next));
            assert_int_equal(f.level[PUMP][0], next == GUARD_DRIVING);
        }
    }
}

static void no_way_leads_to_driving_but_a_permit_in_safe(void **state)
{
    (void)state;
    for (int s = 0; s < GUARD_STATES; s++) {
        for (int e = 0; e < GUARD_EVENTS; e++) {
            const struct cell *cell = guard_cell((enum guard_state)s, (enum guard_event)e);
            if (cell->kind == CELL_GO && cell->next == GUARD_DRIVING) {
                assert_int_equal(s, GUARD_SAFE);
                assert_int_equal(e, GUARD_EVENT_PERMIT);
            }
        }
    }
}

static void permit_is_judged_by_token_deadline_and_state(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    assert_int_equal(say(&f, GUARD_PERMIT, "fan", 5, 500), GUARD_REFUSED_UNKNOWN);
    assert_int_equal(permit(&f, 0, 500), GUARD_REFUSED_TOKEN);
    assert_int_equal(permit(&f, 5, 0), GUARD_REFUSED_LATE);
    assert_int_equal(permit(&f, 5, -10), GUARD_REFUSED_LATE);
    assert_int_equal(permit(&f, 5, TTL_MS + 1), GUARD_REFUSED_DEADLINE);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    assert_int_equal(permit(&f, 5, TTL_MS), GUARD_REFUSED_NONE);
    assert_int_equal(permit(&f, 4, 500), GUARD_REFUSED_TOKEN);
    assert_int_equal(permit(&f, 6, 500), GUARD_REFUSED_STATE);
    assert_int_equal(state_of(&f, PUMP), GUARD_DRIVING);
    assert_int_equal(f.guard.resource[PUMP].token, 5);
    assert_int_equal(f.guard.permits_refused, 7);
    io_error(&f, PUMP);
    assert_int_equal(permit(&f, 8, 500), GUARD_REFUSED_FAULT);
}

static void s1_a_permit_of_another_configuration_is_refused(void **state)
{
    static struct fixture f;
    static const struct guard_terms own = { 1000000, 5000, 20000, 77 };
    const struct guard_terms other[] = { { 1000001, 5000, 20000, 77 },
                                         { 1000000, 5001, 20000, 77 },
                                         { 1000000, 5000, 19999, 77 },
                                         { 1000000, 5000, 20000, 78 },
                                         { 0, 0, 0, 0 } };
    struct guard_message status;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    f.guard.config.resource[PUMP].terms = own;
    guard_status(&f.guard, PUMP, &status);
    assert_true(guard_terms_equal(&status.terms, &own));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        f.terms = other[i];
        assert_int_equal(permit(&f, 5, 500), GUARD_REFUSED_TERMS);
        assert_int_equal(say(&f, GUARD_TERMS, "pump", 0, 0), GUARD_REFUSED_TERMS);
        assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
        assert_int_equal(f.guard.resource[PUMP].token, 0);
    }
    f.terms = own;
    assert_int_equal(say(&f, GUARD_TERMS, "pump", 0, 0), GUARD_REFUSED_NONE);
    assert_int_equal(permit(&f, 5, 500), GUARD_REFUSED_NONE);
    /* A drop is heard whoever says it. */
    f.terms = other[0];
    assert_int_equal(permit(&f, 5, 600), GUARD_REFUSED_TERMS);
    assert_int_equal(say(&f, GUARD_DROP, "pump", 5, 0), GUARD_REFUSED_NONE);
    assert_int_not_equal(state_of(&f, PUMP), GUARD_DRIVING);
}

static void token_that_was_dropped_is_not_taken_again(void **state)
{
    static const enum guard_event drops[] = { GUARD_EVENT_DROP, GUARD_EVENT_AGENT_LOST,
                                              GUARD_EVENT_DEADLINE, GUARD_EVENT_LATE,
                                              GUARD_EVENT_SLEPT };
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
        set_up_driving(&f, GUARD_OUTPUT_GPIO, false);
        bring_about(&f, drops[i]);
        assert_false(f.level[PUMP][0]);
        pass_ms(&f, RELEASE_MS);
        assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
        if (!f.guard.agent)
            happen(&f, GUARD_INPUT_AGENT_UP);
        assert_int_equal(permit(&f, 7, 500), GUARD_REFUSED_TOKEN);
        assert_int_equal(permit(&f, 8, 500), GUARD_REFUSED_NONE);
    }
}

static void drop_disowns_a_permit_still_under_way(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    say(&f, GUARD_DROP, "pump", 12, 0);
    assert_int_equal(permit(&f, 12, 500), GUARD_REFUSED_TOKEN);
    assert_int_equal(permit(&f, 13, 500), GUARD_REFUSED_NONE);
    say(&f, GUARD_DROP, "pump", 12, 0);
    assert_int_equal(state_of(&f, PUMP), GUARD_DRIVING);
    say(&f, GUARD_DROP, "pump", 0, 0);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
}

static void drop_of_one_resource_leaves_the_other(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, false);
    assert_int_equal(say(&f, GUARD_PERMIT, "valve", 3, 500), GUARD_REFUSED_NONE);
    say(&f, GUARD_DROP, "pump", 7, 0);
    assert_false(f.level[PUMP][0]);
    assert_true(f.level[VALVE][0]);
    happen(&f, GUARD_INPUT_AGENT_LOST);
    assert_false(f.level[VALVE][0]);
}

static void drop_is_proven_by_readback_and_dated(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, true);
    pass_ms(&f, 100);
    say(&f, GUARD_DROP, "pump", 7, 0);
    pass_ms(&f, 3);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.state, GUARD_DROPPING);
    assert_int_equal(status.proven, 0);
    assert_int_equal(status.readback_on, 1);
    readback(&f, PUMP, false);
    happen(&f, GUARD_INPUT_TICK);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.state, GUARD_SAFE);
    assert_int_equal(status.proven, 1);
    assert_int_equal(status.changed_us, f.now.us);
    assert_null(guard_message_check(&status, sizeof(status)));
}

/* Its agent says by that that it may be stuck on. */
static void readback_that_cannot_be_read_any_more_is_what_it_showed_last(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, true);
    io_error(&f, PUMP);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.state, GUARD_FAULT);
    assert_int_equal(status.readback_on, 1);
}

/* Dropped before its relay had shown on: an early "off" may still be followed by an "on". */
static void unconfirmed_output_is_not_proven_before_its_time(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    permit(&f, 7, 500);
    pass_ms(&f, 1);
    say(&f, GUARD_DROP, "pump", 7, 0);
    pass_ms(&f, WITHIN_MS - 1);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
    pass_ms(&f, 2);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
}

/* That it showed on in the last drive says nothing of this one. */
static void output_confirmed_in_its_last_drive_is_not_proven_before_its_time(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, true);
    pass_ms(&f, 50);
    say(&f, GUARD_DROP, "pump", 7, 0);
    readback(&f, PUMP, false);
    pass_ms(&f, WITHIN_MS);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    assert_int_equal(permit(&f, 8, 500), GUARD_REFUSED_NONE);
    pass_ms(&f, 1);
    say(&f, GUARD_DROP, "pump", 8, 0);
    pass_ms(&f, WITHIN_MS - 1);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
    pass_ms(&f, 2);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
}

static void pulse_is_proven_off_after_its_hold_time_only(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_PULSE, true);
    pass_ms(&f, 50);
    say(&f, GUARD_DROP, "pump", 7, 0);
    assert_true(told_off(&f, PUMP));
    f.edges = 0;
    readback(&f, PUMP, false);
    pass_ms(&f, HOLD_MS - 1);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
    pass_ms(&f, 2);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    assert_int_equal(f.edges, 0);
}

/* Nothing shows it off, so it counts as off when its hardware is declared to be, not before. */
static void output_without_readback_is_not_proven_before_its_release_time(void **state)
{
    static const enum guard_output_kind kinds[] = { GUARD_OUTPUT_GPIO, GUARD_OUTPUT_PULSE };
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int64_t hold_ms = kinds[i] == GUARD_OUTPUT_PULSE ? HOLD_MS : 0;
        set_up_driving(&f, kinds[i], false);
        pass_ms(&f, 50);
        say(&f, GUARD_DROP, "pump", 7, 0);
        assert_true(told_off(&f, PUMP));
        f.edges = 0;
        pass_us(&f, (hold_ms + RELEASE_MS) * 1000 - 1);
        assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
        pass_us(&f, 1);
        assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
        assert_int_equal(f.edges, 0);
    }
}

/* Its clock shows 1,002 ms after 1,000 ms of true time: what is declared in true time takes longer. */
static void a_fast_clock_proves_nothing_off_too_early(void **state)
{
    static struct fixture f;
    (void)state;
    for (int has_readback = 0; has_readback < 2; has_readback++) {
        int64_t off_us = 1002 * (HOLD_MS + (has_readback ? 0 : RELEASE_MS));
        set_up_driving(&f, GUARD_OUTPUT_PULSE, has_readback);
        f.guard.config.drift_ppm = 2000;
        say(&f, GUARD_DROP, "pump", 7, 0);
        if (has_readback)
            readback(&f, PUMP, false);
        pass_us(&f, off_us - 1);
        assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
        pass_us(&f, 3);
        assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    }
}

static void safe_is_no_proof_while_a_readback_shows_on(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    readback(&f, PUMP, true);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.state, GUARD_SAFE);
    assert_int_equal(status.proven, 0);
    readback(&f, PUMP, false);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.proven, 1);
}

static void stuck_on_is_a_latched_fault_that_starves_the_watchdog(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_PULSE, true);
    pass_ms(&f, 50);
    say(&f, GUARD_DROP, "pump", 7, 0);
    pass_ms(&f, HOLD_MS + WITHIN_MS - 1);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
    pass_ms(&f, 2);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_ON);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.watchdog, 2);
    assert_int_equal(status.proven, 0);
    readback(&f, PUMP, false);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    pass_ms(&f, HOLD_MS + WITHIN_MS);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    pass_ms(&f, 2000);
    assert_true(f.feeds >= 3);
}

/* ---- faults that outlive a reset */

/* A guard of plain outputs that starts with what was kept of PUMP, whose readback shows `on`. */
static void start_latched(struct fixture *f, enum guard_reset reset, bool on)
{
    struct guard_config config = config_of(GUARD_OUTPUT_GPIO, true);
    memset(f, 0, sizeof(*f));
    f->now = (struct instant){ 1000000 };
    guard_init(&f->guard, &config);
    guard_latch(&f->guard, PUMP, GUARD_FAULT_STUCK_ON, reset);
    readback(f, PUMP, on);
    readback(f, VALVE, false);
    guard_start(&f->guard, f->now, &f->effects);
    apply(f);
    happen(f, GUARD_INPUT_AGENT_UP);
    pass_ms(f, HOLD_MS + WITHIN_MS);
}

static bool is_fed(struct fixture *f)
{
    f->feeds = 0;
    pass_ms(f, 5000);
    return f->feeds >= 9;
}

static void a_fault_that_was_kept_is_one_from_the_start(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    start_latched(&f, GUARD_RESET_DONE, false);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_ON);
    assert_int_equal(state_of(&f, VALVE), GUARD_SAFE);
    assert_int_equal(permit(&f, 7, 900), GUARD_REFUSED_FAULT);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.fault_kept, 1);
    assert_int_equal(status.fault_recorded, 1);
    assert_int_equal(status.watchdog, 1);
    assert_int_equal(f.records, 0);
    assert_true(is_fed(&f));
    assert_int_equal(say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0), GUARD_REFUSED_NONE);
    pass_ms(&f, RELEASE_MS);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    assert_int_equal(f.records, 1);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.fault_kept, 0);
    assert_int_equal(permit(&f, 7, 900), GUARD_REFUSED_NONE);
}

static void a_board_is_reset_once_for_each_latch(void **state)
{
    static struct fixture f;
    (void)state;
    start_latched(&f, GUARD_RESET_DONE, true);
    assert_true(is_fed(&f));
    /* Cleared, and still on: that is another latch, for which a reset was not tried. */
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    pass_ms(&f, 2 * WITHIN_MS);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
    assert_int_equal(f.records, 3); /* its reset is begun */
}

/* A start of the kernel alone, as for an upgrade, is no reset that was tried for it. */
static void a_reset_is_begun_once_feeds_are_withheld_and_not_by_a_latch(void **state)
{
    static struct fixture f;
    (void)state;
    start_latched(&f, GUARD_RESET_TO_COME, false);
    assert_true(is_fed(&f));
    assert_int_equal(f.records, 0);
    readback(&f, PUMP, true);
    pass_ms(&f, 500 + 125); /* a quarter of the timeout at most, and a quarter of that */
    assert_int_equal(f.guard.resource[PUMP].reset, GUARD_RESET_BEGUN);
    assert_int_equal(f.records, 1);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
    assert_int_equal(f.records, 1);
    readback(&f, PUMP, false);
    assert_true(is_fed(&f));
    assert_int_equal(f.guard.resource[PUMP].reset, GUARD_RESET_TO_COME);
    assert_int_equal(f.records, 2);
    readback(&f, PUMP, true);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
    /* What was withheld before counts for nothing: it is written down anew. */
    assert_int_equal(f.guard.resource[PUMP].reset, GUARD_RESET_BEGUN);
    assert_int_equal(f.records, 3);
}

static void a_guard_that_was_restarted_alone_still_wants_its_reset(void **state)
{
    static struct fixture f;
    (void)state;
    start_latched(&f, GUARD_RESET_TO_COME, true);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
    start_latched(&f, GUARD_RESET_TO_COME, false);
    assert_true(is_fed(&f));
}

static void the_watchdog_is_fed_in_a_fault_whose_outputs_are_off(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, true);
    readback(&f, PUMP, false);
    pass_ms(&f, 2 * WITHIN_MS);
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_OFF);
    assert_true(is_fed(&f));
    /* On after all. */
    readback(&f, PUMP, true);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
    readback(&f, PUMP, false);
    assert_true(is_fed(&f));
    /* What can't be read may be on, whatever it showed before. */
    io_error(&f, PUMP);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
}

static void without_a_readback_a_line_that_fails_may_be_on_and_no_other(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, false);
    happen(&f, GUARD_INPUT_CLOCK);
    assert_int_equal(fault_of(&f), GUARD_FAULT_CLOCK);
    assert_true(is_fed(&f));
    set_up_driving(&f, GUARD_OUTPUT_GPIO, false);
    io_error(&f, PUMP);
    f.feeds = 0;
    pass_ms(&f, 5000);
    assert_int_equal(f.feeds, 0);
}

/* A loop that is late, or a clock that jumps, is found in the very turn in which the line fails. */
static void a_line_that_fails_in_a_fault_of_another_name_may_be_on(void **state)
{
    static const enum guard_event first[] = { GUARD_EVENT_CLOCK, GUARD_EVENT_OVERRUN };
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_up_driving(&f, GUARD_OUTPUT_GPIO, false);
        bring_about(&f, first[i]);
        assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
        enum guard_fault fault = fault_of(&f);
        io_error(&f, PUMP);
        assert_int_equal(fault_of(&f), fault);
        assert_int_equal(f.records, 1);
        f.feeds = 0;
        pass_ms(&f, 5000);
        assert_int_equal(f.feeds, 0);
        say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
        pass_ms(&f, 2 * RELEASE_MS);
        assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
        assert_true(is_fed(&f));
    }
}

static void a_clearing_counts_when_it_is_on_the_disk(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    f.disk_waits = true;
    io_error(&f, PUMP);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.fault_recorded, 0);
    record(&f, true);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.fault_recorded, 1);
    readback(&f, PUMP, false);
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    pass_ms(&f, 1000);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
    assert_int_equal(permit(&f, 7, 900), GUARD_REFUSED_STATE);
    record(&f, true);
    happen(&f, GUARD_INPUT_TICK);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
    assert_int_equal(permit(&f, 7, 900), GUARD_REFUSED_NONE);
}

static void what_is_durable_of_before_says_nothing_of_a_later_clearing(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    f.disk_waits = true;
    io_error(&f, PUMP);
    readback(&f, PUMP, false);
    uint32_t latch = f.guard.record_version;
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    const struct guard_input late = { .kind = GUARD_INPUT_RECORDED, .on = true, .version = latch };
    step(&f, &late);
    pass_ms(&f, 1000);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
}

static void a_clearing_that_cannot_be_written_is_a_fault_again(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    io_error(&f, PUMP);
    readback(&f, PUMP, false);
    f.disk_waits = true;
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    record(&f, false);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    assert_int_equal(fault_of(&f), GUARD_FAULT_OUTPUT_IO);
    assert_int_equal(state_of(&f, VALVE), GUARD_SAFE);
    assert_int_equal(f.records, 3);
    record(&f, false); /* that fault can't be written either */
    assert_int_equal(f.records, 3);
    f.disk_waits = false;
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    pass_ms(&f, RELEASE_MS);
    assert_int_equal(state_of(&f, PUMP), GUARD_SAFE);
}

static void a_record_that_failed_is_written_again_after_a_clock_that_went_back(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    f.disk_waits = true;
    for (uint8_t i = 0; i < RESOURCES; i++)
        io_error(&f, i);
    record(&f, false);
    f.records = 0;
    f.now.us -= 900000;
    happen(&f, GUARD_INPUT_TICK);
    assert_int_equal(f.records, 1);
}

/* Its reset was done: an attempt to clear it makes no new one. */
static void a_clearing_that_cannot_be_written_leaves_the_fault_as_it_was(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    start_latched(&f, GUARD_RESET_DONE, true);
    f.disk_waits = true;
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    record(&f, false);
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_ON);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.fault_kept, 1);
    assert_true(is_fed(&f));
}

static void a_clearing_that_is_not_durable_in_time_is_a_fault_again(void **state)
{
    static struct fixture f;
    (void)state;
    for (int stops = 0; stops <= 1; stops++) {
        set_up(&f, GUARD_OUTPUT_GPIO, true);
        io_error(&f, PUMP);
        readback(&f, PUMP, false);
        f.disk_waits = true;
        say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
        uint32_t clearing = f.guard.record_version;
        if (stops)
            happen(&f, GUARD_INPUT_STOP);
        pass_ms(&f, (stops ? GUARD_STOP_WAIT_MS : GUARD_CLEAR_WAIT_MS) - 1);
        assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
        assert_false(guard_at_rest(&f.guard));
        pass_ms(&f, 1);
        assert_int_equal(fault_of(&f), GUARD_FAULT_OUTPUT_IO);
        assert_true(guard_at_rest(&f.guard));
        /* It is on the disk after all: that is not what is to be there now. */
        const struct guard_input late = { .kind = GUARD_INPUT_RECORDED,
                                          .on = true,
                                          .version = clearing };
        step(&f, &late);
        assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
        assert_true(f.guard.record_version > f.guard.recorded);
    }
}

static void a_fault_that_could_not_be_written_is_written_later(void **state)
{
    static struct fixture f;
    struct guard_message status;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    f.disk_waits = true;
    happen(&f, GUARD_INPUT_CLOCK);
    record(&f, false);
    assert_int_equal(f.records, 1);
    pass_ms(&f, GUARD_RECORD_RETRY_MS - 1);
    assert_int_equal(f.records, 1);
    pass_ms(&f, 1);
    assert_int_equal(f.records, 2);
    record(&f, false);
    pass_ms(&f, GUARD_RECORD_RETRY_MS);
    assert_int_equal(f.records, 3);
    record(&f, true);
    guard_status(&f.guard, PUMP, &status);
    assert_int_equal(status.fault_recorded, 1);
    pass_ms(&f, 3 * GUARD_RECORD_RETRY_MS);
    assert_int_equal(f.records, 3);
}

static void a_guard_ends_with_its_watchdog_stopped_unless_a_reset_is_to_come(void **state)
{
    static struct fixture f;
    (void)state;
    start_latched(&f, GUARD_RESET_DONE, true);
    assert_true(guard_needs_no_watchdog(&f.guard));
    assert_false(guard_proven_safe(&f.guard));
    start_latched(&f, GUARD_RESET_TO_COME, false);
    assert_true(guard_needs_no_watchdog(&f.guard));
    start_latched(&f, GUARD_RESET_TO_COME, true);
    assert_false(guard_needs_no_watchdog(&f.guard));
    set_up_driving(&f, GUARD_OUTPUT_GPIO, true);
    assert_false(guard_needs_no_watchdog(&f.guard));
    say(&f, GUARD_DROP, "pump", 7, 0);
    assert_false(guard_needs_no_watchdog(&f.guard));
    readback(&f, PUMP, false);
    pass_ms(&f, 1);
    assert_true(guard_needs_no_watchdog(&f.guard));
    readback(&f, PUMP, true);
    assert_false(guard_needs_no_watchdog(&f.guard));
}

static void cleared_fault_that_is_still_there_comes_back(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, true);
    readback(&f, PUMP, true);
    assert_int_equal(permit(&f, 9, 500), GUARD_REFUSED_STATE);
    pass_ms(&f, WITHIN_MS);
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_ON);
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
    pass_ms(&f, WITHIN_MS);
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_ON);
}

static void pulse_dropped_before_it_shows_on_has_its_hold_time(void **state)
{
    static struct fixture f;
    (void)state;
    for (int stays = 0; stays <= 1; stays++) {
        set_up(&f, GUARD_OUTPUT_PULSE, true);
        permit(&f, 7, 900);
        say(&f, GUARD_DROP, "pump", 7, 0);
        pass_us(&f, 500);
        readback(&f, PUMP, true);
        pass_us(&f, HOLD_MS * 1000 - 500);
        assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
        if (!stays)
            readback(&f, PUMP, false);
        pass_ms(&f, WITHIN_MS + 1);
        assert_int_equal(state_of(&f, PUMP), stays ? GUARD_FAULT : GUARD_SAFE);
    }
    assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_ON);
}

static void output_that_does_not_come_on_is_stuck_off(void **state)
{
    static const enum guard_output_kind kinds[] = { GUARD_OUTPUT_GPIO, GUARD_OUTPUT_PULSE };
    static struct fixture f;
    (void)state;
    for (int i = 0; i < 2; i++) {
        int64_t edges_us = i == 0 ? 0 : GUARD_PULSE_EDGES_TO_ON * 1000;
        set_up(&f, kinds[i], true);
        permit(&f, 7, 900);
        pass_us(&f, WITHIN_MS * 1000 + edges_us - 1);
        assert_int_equal(state_of(&f, PUMP), GUARD_DRIVING);
        pass_us(&f, 1);
        assert_int_equal(fault_of(&f), GUARD_FAULT_STUCK_OFF);
        assert_true(told_off(&f, PUMP));
    }
}

static void pulse_has_its_rate_and_ends_at_the_deadline(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_PULSE, false);
    permit(&f, 7, 100);
    pass_us(&f, 99999);
    assert_int_equal(f.edges, 100);
    pass_ms(&f, 100);
    assert_true(told_off(&f, PUMP));
    assert_in_range(f.edges, 100, 101);
}

static void late_loop_makes_no_burst_of_edges(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_PULSE, false);
    permit(&f, 7, 900);
    pass_ms(&f, 10);
    int edges = f.edges;
    f.now.us += 4000;
    happen(&f, GUARD_INPUT_TICK);
    assert_int_equal(f.edges, edges + 1);
    assert_int_equal(f.guard.wake_at.us, f.now.us + 1000);
    assert_int_equal(state_of(&f, PUMP), GUARD_DRIVING);
}

/* Paused just before an edge, beyond the deadline: the deadline wins, whatever woke the loop. */
static void no_edge_and_no_renewal_after_the_deadline(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_PULSE, false);
    permit(&f, 7, 10);
    pass_ms(&f, 9);
    f.now.us += 1500;
    assert_int_equal(permit(&f, 7, 500), GUARD_REFUSED_TOKEN);
    assert_true(told_off(&f, PUMP));
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
}

/*
 * Paused with the line high, a guard goes on long after its deadline: the falling edge would keep
 * the charge pump on for another hold time, while another board drives.
 */
static void drop_of_a_pulse_makes_no_edge(void **state)
{
    static const enum guard_input_kind kinds[] = { GUARD_INPUT_TICK, GUARD_INPUT_SLEPT,
                                                   GUARD_INPUT_AGENT_LOST, GUARD_INPUT_STOP };
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (int64_t paused_ms = 0; paused_ms <= 300; paused_ms += 150) {
            set_up(&f, GUARD_OUTPUT_PULSE, false);
            permit(&f, 7, 100);
            pass_ms(&f, 50);
            assert_true(f.level[PUMP][0]);
            f.edges = 0;
            /* An edge is due by then, too. */
            f.now.us += paused_ms * 1000 + (kinds[i] == GUARD_INPUT_TICK ? 200000 : 1000);
            happen(&f, kinds[i]);
            assert_true(told_off(&f, PUMP));
            pass_ms(&f, 200);
            assert_int_equal(f.edges, 0);
        }
    }
}

static void pulse_that_was_left_high_is_driven_again(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_PULSE, false);
    permit(&f, 7, 900);
    assert_true(f.level[PUMP][0]);
    say(&f, GUARD_DROP, "pump", 7, 0);
    pass_ms(&f, HOLD_MS + RELEASE_MS);
    assert_int_equal(permit(&f, 8, 900), GUARD_REFUSED_NONE);
    f.edges = 0;
    pass_ms(&f, 50);
    assert_in_range(f.edges, 49, 51);
}

static void watchdog_is_not_fed_in_the_step_that_latches_a_fault(void **state)
{
    static struct fixture f;
    const struct guard_input clock = { .kind = GUARD_INPUT_CLOCK };
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_PULSE, true);
    f.now = f.guard.feed_at;
    f.guard.wake_at = f.now;
    step(&f, &clock);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    assert_false(f.effects.feed_watchdog);
    assert_false(f.guard.watchdog_fed);
}

static void watchdog_is_fed_by_a_loop_that_is_on_time_only(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    f.feeds = 0;
    pass_ms(&f, 2000);
    assert_in_range(f.feeds, 4, 5);
    f.feeds = 0;
    for (int i = 0; i < 300; i++) {
        f.now = instant_add(f.guard.wake_at, span_from_us(RELEASE_MS * 1000 + 1));
        happen(&f, GUARD_INPUT_TICK);
    }
    assert_int_equal(f.feeds, 0);
    assert_int_equal(f.guard.lateness_worst.us, RELEASE_MS * 1000 + 1);
    pass_ms(&f, 500);
    assert_true(f.feeds >= 1);
}

static void late_turn_takes_all_levels_before_it_judges(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_GPIO, true);
    say(&f, GUARD_PERMIT, "valve", 3, 900);
    f.now.us += 5000;
    readback(&f, PUMP, true);
    readback(&f, VALVE, true);
    happen(&f, GUARD_INPUT_TICK);
    assert_int_equal(state_of(&f, VALVE), GUARD_DRIVING);
}

static void clock_that_goes_back_ends_everything(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_PULSE, false);
    say(&f, GUARD_PERMIT, "valve", 3, 900);
    f.now.us -= 1;
    happen(&f, GUARD_INPUT_TICK);
    for (uint8_t i = 0; i < RESOURCES; i++) {
        assert_int_equal(f.guard.resource[i].fault, GUARD_FAULT_CLOCK);
        assert_true(told_off(&f, i));
    }
    f.edges = 0;
    pass_ms(&f, 100);
    assert_int_equal(f.edges, 0);
    /* What an operator said of that fault does not clear the next one. */
    f.now.us -= 1;
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    assert_int_equal(state_of(&f, PUMP), GUARD_FAULT);
    say(&f, GUARD_CLEAR_FAULT, "pump", 0, 0);
    assert_int_equal(state_of(&f, PUMP), GUARD_DROPPING);
}

static void stopping_guard_takes_no_permit_and_comes_to_rest(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_driving(&f, GUARD_OUTPUT_PULSE, false);
    happen(&f, GUARD_INPUT_STOP);
    assert_false(guard_at_rest(&f.guard));
    pass_ms(&f, HOLD_MS + RELEASE_MS);
    assert_true(guard_at_rest(&f.guard));
    assert_true(guard_proven_safe(&f.guard));
    assert_int_equal(permit(&f, 9, 500), GUARD_REFUSED_STATE);
}

/* Its deadline was counted by a clock that stood still: what was said before the sleep is void. */
static void a_permit_queued_before_a_sleep_is_not_taken(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    happen(&f, GUARD_INPUT_SLEPT);
    assert_int_equal(permit(&f, 9, 500), GUARD_REFUSED_STATE);
    assert_true(told_off(&f, PUMP));
    happen(&f, GUARD_INPUT_AGENT_UP);
    assert_int_equal(permit(&f, 9, 500), GUARD_REFUSED_NONE);
}

static void nothing_is_driven_without_an_agent(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, GUARD_OUTPUT_GPIO, false);
    happen(&f, GUARD_INPUT_AGENT_LOST);
    assert_int_equal(permit(&f, 9, 500), GUARD_REFUSED_STATE);
    assert_true(told_off(&f, PUMP));
}

/* ---- S5 under a random walk */

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Exactly one step: a shell that takes none can't expect anything to go off. */
static void random_input(struct fixture *f, uint64_t *seed, int64_t *permitted_us)
{
    uint64_t draw = random_next(seed);
    int64_t ahead_ms = (int64_t)(random_next(seed) % 1200) - 50;
    uint64_t token = f->guard.resource[PUMP].token + random_next(seed) % 4;
    switch (draw % 16) {
    case 0:
        happen(f, GUARD_INPUT_AGENT_UP);
        break;
    case 1:
        happen(f, random_next(seed) % 4 == 0 ? GUARD_INPUT_AGENT_LOST : GUARD_INPUT_TICK);
        break;
    case 2:
        say(f, GUARD_DROP, "pump", token, 0);
        break;
    case 3:
        say(f, GUARD_CLEAR_FAULT, "pump", 0, 0);
        break;
    case 4:
        if (random_next(seed) % 8 == 0)
            io_error(f, PUMP);
        else
            happen(f, GUARD_INPUT_TICK);
        break;
    case 5:
    case 6:
    case 7:
        /* Mostly what the plant would show. */
        readback(f, PUMP,
                 (f->guard.resource[PUMP].state == GUARD_DRIVING) != (random_next(seed) % 16 == 0));
        break;
    case 8:
        happen(f, random_next(seed) % 32 == 0 ? GUARD_INPUT_SLEPT : GUARD_INPUT_TICK);
        break;
    case 9:
        if (random_next(seed) % 32 == 0)
            f->now.us -= (int64_t)(random_next(seed) % 2000);
        happen(f, GUARD_INPUT_TICK);
        break;
    default:
        if (permit(f, token, ahead_ms) == GUARD_REFUSED_NONE)
            *permitted_us = f->now.us + ahead_ms * 1000;
        break;
    }
}

static void random_walk(uint64_t first_seed, enum guard_output_kind kind, int *drove)
{
    static struct fixture f;
    uint64_t seed = first_seed;
    int64_t permitted_us = 0;
    set_up(&f, kind, true);
    for (int i = 0; i < 20000; i++) {
        if (random_next(&seed) % 64 == 0)
            f.now.us += (int64_t)(random_next(&seed) % 8000);
        else
            pass_us(&f, (int64_t)(random_next(&seed) % 3000));
        int edges = f.edges;
        random_input(&f, &seed, &permitted_us);
        bool edge = kind == GUARD_OUTPUT_PULSE && f.edges != edges;
        bool on = edge || !told_off(&f, PUMP) || state_of(&f, PUMP) == GUARD_DRIVING;
        *drove += on;
        if (on && (f.now.us >= permitted_us || !f.guard.agent))
            fail_msg("on without a permit at event %d, seed 0x%llx", i,
                     (unsigned long long)first_seed);
        assert_false(f.level[VALVE][0]);
    }
}

static void nothing_is_energised_without_a_permit_or_past_its_deadline(void **state)
{
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    int drove = 0;
    (void)state;
    print_message("seed 0x%llx (HOLDFAST_SEED replays it)\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < 10; i++)
        random_walk(seed + i + 1, i % 2 ? GUARD_OUTPUT_PULSE : GUARD_OUTPUT_GPIO, &drove);
    /* A walk that never drove would have shown nothing. */
    assert_true(drove > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_legal_cell_leads_where_the_table_says),
        cmocka_unit_test(no_way_leads_to_driving_but_a_permit_in_safe),
        cmocka_unit_test(permit_is_judged_by_token_deadline_and_state),
        cmocka_unit_test(s1_a_permit_of_another_configuration_is_refused),
        cmocka_unit_test(token_that_was_dropped_is_not_taken_again),
        cmocka_unit_test(drop_disowns_a_permit_still_under_way),
        cmocka_unit_test(drop_of_one_resource_leaves_the_other),
        cmocka_unit_test(drop_is_proven_by_readback_and_dated),
        cmocka_unit_test(readback_that_cannot_be_read_any_more_is_what_it_showed_last),
        cmocka_unit_test(unconfirmed_output_is_not_proven_before_its_time),
        cmocka_unit_test(output_confirmed_in_its_last_drive_is_not_proven_before_its_time),
        cmocka_unit_test(pulse_is_proven_off_after_its_hold_time_only),
        cmocka_unit_test(output_without_readback_is_not_proven_before_its_release_time),
        cmocka_unit_test(a_fast_clock_proves_nothing_off_too_early),
        cmocka_unit_test(safe_is_no_proof_while_a_readback_shows_on),
        cmocka_unit_test(stuck_on_is_a_latched_fault_that_starves_the_watchdog),
        cmocka_unit_test(cleared_fault_that_is_still_there_comes_back),
        cmocka_unit_test(pulse_dropped_before_it_shows_on_has_its_hold_time),
        cmocka_unit_test(output_that_does_not_come_on_is_stuck_off),
        cmocka_unit_test(pulse_has_its_rate_and_ends_at_the_deadline),
        cmocka_unit_test(late_loop_makes_no_burst_of_edges),
        cmocka_unit_test(no_edge_and_no_renewal_after_the_deadline),
        cmocka_unit_test(drop_of_a_pulse_makes_no_edge),
        cmocka_unit_test(pulse_that_was_left_high_is_driven_again),
        cmocka_unit_test(a_fault_that_was_kept_is_one_from_the_start),
        cmocka_unit_test(a_board_is_reset_once_for_each_latch),
        cmocka_unit_test(a_reset_is_begun_once_feeds_are_withheld_and_not_by_a_latch),
        cmocka_unit_test(a_guard_that_was_restarted_alone_still_wants_its_reset),
        cmocka_unit_test(the_watchdog_is_fed_in_a_fault_whose_outputs_are_off),
        cmocka_unit_test(without_a_readback_a_line_that_fails_may_be_on_and_no_other),
        cmocka_unit_test(a_line_that_fails_in_a_fault_of_another_name_may_be_on),
        cmocka_unit_test(a_clearing_counts_when_it_is_on_the_disk),
        cmocka_unit_test(what_is_durable_of_before_says_nothing_of_a_later_clearing),
        cmocka_unit_test(a_clearing_that_cannot_be_written_is_a_fault_again),
        cmocka_unit_test(a_record_that_failed_is_written_again_after_a_clock_that_went_back),
        cmocka_unit_test(a_clearing_that_cannot_be_written_leaves_the_fault_as_it_was),
        cmocka_unit_test(a_clearing_that_is_not_durable_in_time_is_a_fault_again),
        cmocka_unit_test(a_fault_that_could_not_be_written_is_written_later),
        cmocka_unit_test(a_guard_ends_with_its_watchdog_stopped_unless_a_reset_is_to_come),
        cmocka_unit_test(watchdog_is_not_fed_in_the_step_that_latches_a_fault),
        cmocka_unit_test(watchdog_is_fed_by_a_loop_that_is_on_time_only),
        cmocka_unit_test(late_turn_takes_all_levels_before_it_judges),
        cmocka_unit_test(clock_that_goes_back_ends_everything),
        cmocka_unit_test(stopping_guard_takes_no_permit_and_comes_to_rest),
        cmocka_unit_test(a_permit_queued_before_a_sleep_is_not_taken),
        cmocka_unit_test(nothing_is_driven_without_an_agent),
        cmocka_unit_test(nothing_is_energised_without_a_permit_or_past_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
