/* An agent's process: the holder between issuers and guard. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    SOCKET_MAX_US = 300,
    SLEPT_US = 10000, /* as AGENT_SLEPT_US */
    DIAL_US = 100000, /* as GUARD_LINK_RETRY_MS */
    NOTICE_MAX_US = 500,
    FORGED_RELEASE_PPM = 10000
};

static struct sim_agent *agent_of(struct world *world, int board)
{
    return &world->board[board].agent;
}

static const char *text_of(const struct world *world, int board)
{
    return world->name[board_node(world, board)].text;
}

static int64_t some_time(struct world *world, int board, int64_t most_us)
{
    struct random *random = world_random(world, STREAM_PROCESS, board_node(world, board));
    return random_between(random, 20, most_us);
}

/* ---- what a step asks for */

static void send_to_issuer(struct world *world, int board, const struct holder_action *action)
{
    int to = world_issuer(world, &action->node);
    HF_CHECK(to >= 0);
    if (action->message.kind == LEASE_RENEW)
        oracle_renewal_sent(world, board, &action->message);
    if (action->message.kind == LEASE_RELEASE)
        oracle_release_sent(world, board, &action->message);
    if (action->message.kind == LEASE_RELEASE && world->settings.plant != PLANT_RELEASE)
        oracle_released(world, board, &action->message);
    trace_agent_says(world, board, &action->message);
    size_t length = wire_encode_lease(&action->message, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, board_node(world, board), to, world->scratch->frame, length);
}

/* The planted bug: what drives is released as if it were proven off. */
static void forge_release(struct world *world, int board, const struct holder_action *action)
{
    if (world->settings.plant != PLANT_RELEASE || action->message.kind != LEASE_RENEW ||
        !random_chance(world_random(world, STREAM_PLANT, board_node(world, board)),
                       FORGED_RELEASE_PPM))
        return;
    struct holder_action forged = *action;
    memset(&forged.message, 0, sizeof(forged.message));
    forged.message.kind = LEASE_RELEASE;
    forged.message.resource = action->message.items[0].resource;
    forged.message.token = action->message.items[0].token;
    forged.message.nonce = action->message.nonce;
    forged.message.fenced = true;
    send_to_issuer(world, board, &forged);
}

static void send_to_guard(struct world *world, int board, const struct guard_message *message)
{
    struct sim_agent *agent = agent_of(world, board);
    if (!agent->socket_open)
        return;
    int64_t at_us = world->now_us + some_time(world, board, SOCKET_MAX_US);
    if (at_us <= agent->socket_busy_us)
        at_us = agent->socket_busy_us + 1;
    agent->socket_busy_us = at_us;
    world_post(world, EVENT_GUARD_MESSAGE, board_node(world, board), at_us - world->now_us, message,
               sizeof(*message))
        ->epoch = agent->socket;
}

static void act(struct world *world, int board, const struct holder_action *action)
{
    switch (action->kind) {
    case HOLDER_SEND:
        send_to_issuer(world, board, action);
        forge_release(world, board, action);
        return;
    case HOLDER_GUARD:
        send_to_guard(world, board, &action->guard);
        return;
    case HOLDER_ACQUIRED:
    case HOLDER_LOST_HOOK:
        return;
    }
}

static void note_changes(struct world *world, int board)
{
    for (size_t i = 0; i < world->scratch->holder_output.change_count; i++) {
        const struct holder_change *change = &world->scratch->holder_output.change[i];
        log_note(world, "%s: agent: %s: %s -%s-> %s%s%s", text_of(world, board),
                 change->resource.text, holder_state_name(change->from),
                 holder_input_name(change->input), holder_state_name(change->to),
                 change->reason ? ": " : "", change->reason ? change->reason : "");
        meet_holder_changed(world, board, change);
        if (change->input == HOLDER_INPUT_LEFTOVER)
            world_cover(world, COVERAGE_LEFTOVERS);
    }
}

static void step_once(struct world *world, int board, const struct holder_event *event)
{
    struct sim_agent *agent = agent_of(world, board);
    int node = board_node(world, board);
    struct holder_output *output = &world->scratch->holder_output;
    holder_step(&agent->holder, event, clock_local(world, node), output);
    note_changes(world, board);
    for (size_t i = 0; i < output->count; i++)
        act(world, board, &output->action[i]);
    for (int i = 0; i < world->resource_count; i++)
        agent->kept[i] = agent->holder.lease[i].highest;
    agent->wake_at = output->wake_at;
    process_arm(world, EVENT_AGENT_TIMER, node, agent->wake_at);
}

/* As the shell: a sleep is looked for before anything is decided. */
static void step(struct world *world, int board, const struct holder_event *event)
{
    const struct holder_event sleep = { .kind = HOLDER_EVENT_SLEPT };
    struct sim_agent *agent = agent_of(world, board);
    int64_t slept_us = clock_slept_us(world, board_node(world, board));
    if (slept_us - agent->slept_us > SLEPT_US) {
        log_note(world, "%s: agent sees that the board slept", text_of(world, board));
        agent->slept_us = slept_us;
        step_once(world, board, &sleep);
    }
    step_once(world, board, event);
}

/* ---- events */

void sim_agent_timer(struct world *world, const struct event *event)
{
    const struct holder_event timer = { .kind = HOLDER_EVENT_TIMER };
    int board = event->node - world->issuer_count;
    struct sim_agent *agent = agent_of(world, board);
    /* It may be early by RAW: the core is stepped all the same, as by the shell. */
    if (agent->timer.wake_at.us == agent->wake_at.us ||
        instant_reached(agent->wake_at, clock_local(world, event->node)))
        step(world, board, &timer);
    else
        process_arm(world, EVENT_AGENT_TIMER, event->node, agent->wake_at);
}

void sim_agent_frame(struct world *world, const struct event *event)
{
    const struct bytes frame = { event->data, event->length };
    int board = event->node - world->issuer_count;
    if (!net_arrives(world, event))
        return;
    const char *wrong = wire_decode(&world->scratch->message, frame);
    if (wrong)
        world_fail(world, ORACLE_PANIC, "%s: frame refused: %s", text_of(world, board), wrong);
    const struct holder_event message = { .kind = HOLDER_EVENT_MESSAGE,
                                          .node = world->name[event->peer],
                                          .message = &world->scratch->message.lease };
    if (world->scratch->message.lease.kind == LEASE_RENEWED)
        oracle_answer(world, board, &world->scratch->message.lease);
    if (world->scratch->message.lease.kind == LEASE_RENEWED)
        trace_renewed(world, board, &world->scratch->message.lease);
    if (world->scratch->message.lease.kind == LEASE_REFUSED &&
        world->scratch->message.lease.refusal == LEASE_REFUSED_TOKEN)
        world_cover(world,
                    world->issuer_count == 1 ? COVERAGE_LONE_BARRED : COVERAGE_GRANTS_BARRED);
    step(world, board, &message);
}

void sim_agent_link(struct world *world, int board, int issuer, bool up)
{
    const struct holder_event event = { .kind = up ? HOLDER_EVENT_LINK_UP : HOLDER_EVENT_LINK_DOWN,
                                        .node = world->name[issuer] };
    log_note(world, "%s: connection to %s %s", text_of(world, board), world->name[issuer].text,
             up ? "up" : "down");
    step(world, board, &event);
}

/* ---- the guard's socket */

static void post_dial(struct world *world, int board)
{
    world_post(world, EVENT_AGENT_DIAL, board_node(world, board), DIAL_US, NULL, 0);
}

void sim_agent_dial(struct world *world, const struct event *event)
{
    const struct holder_event up = { .kind = HOLDER_EVENT_GUARD_UP };
    int board = event->node - world->issuer_count;
    struct sim_agent *agent = agent_of(world, board);
    if (!world->board[board].guard.process.up) {
        post_dial(world, board);
        return;
    }
    agent->socket_open = true;
    agent->socket++;
    step(world, board, &up);
}

void sim_agent_guard(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    struct sim_agent *agent = agent_of(world, board);
    struct holder_event happened = { .kind = HOLDER_EVENT_GUARD_DOWN };
    if (!agent->socket_open || event->epoch != agent->socket)
        return;
    if (event->data) {
        happened.kind = HOLDER_EVENT_GUARD_MESSAGE;
        happened.guard = event->data;
        const char *wrong = guard_message_check(event->data, event->length);
        if (wrong)
            world_fail(world, ORACLE_PANIC, "%s: guard's message: %s", text_of(world, board),
                       wrong);
        if (happened.guard->refusal == GUARD_REFUSED_TERMS)
            world_cover(world, COVERAGE_MISMATCHES);
    } else {
        agent->socket_open = false;
        post_dial(world, board);
    }
    step(world, board, &happened);
}

void sim_agent_clear_faults(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        const struct holder_event clear = { .kind = HOLDER_EVENT_CLEAR_FAULT,
                                            .resource = world->resource[i] };
        const struct sim_guard *guard = &world->board[board].guard;
        const struct holder_lease *lease =
            holder_lease_of(&world->board[board].agent.holder, &world->resource[i]);
        /* A guard that died in its fault knows of none: the agent stays blocked, and says so. */
        bool blocked =
            lease->state == HOLDER_BLOCKED || guard->guard.resource[i].state == GUARD_FAULT;
        if (!guard->process.up || !blocked)
            continue;
        world_cover(world, COVERAGE_FAULTS_CLEARED);
        oracle_said_clear(world, i, board);
        step(world, board, &clear);
    }
}

/* ---- life */

static void configure(struct world *world, int board, struct holder_config *config)
{
    memset(config, 0, sizeof(*config));
    config->self = world->name[board_node(world, board)];
    config->drift_ppm = SIM_DRIFT_PPM;
    config->guard_silence = span_from_ms(SIM_GUARD_SILENCE_MS * world->plan.scale);
    config->nonce_start =
        random_next(world_random(world, STREAM_PROCESS, board_node(world, board)));
    config->resource_count = (size_t)world->resource_count;
    for (int i = 0; i < world->resource_count; i++) {
        struct holder_resource_config *resource = &config->resource[i];
        resource->resource = world->resource[i];
        resource->ttl = span_from_us(world->plan.ttl_us);
        resource->fence =
            span_from_us(refit_fence_us(world, board, agent_of(world, board)->hold_ms));
        resource->terms = refit_terms(world, board, agent_of(world, board)->hold_ms);
        resource->release = span_from_ms(SIM_RELEASE_MS);
        resource->priority = board == i % world->board_count ? 100 : 50;
        resource->highest = agent_of(world, board)->kept[i];
        resource->failback_auto = (world->plan.failback & sim_failback_bit(i, board)) != 0;
    }
}

void sim_agent_start(struct world *world, int board)
{
    struct holder_config config;
    struct sim_agent *agent = agent_of(world, board);
    agent->hold_ms = world->board[board].file_hold_ms;
    configure(world, board, &config);
    timer_stop(&agent->timer);
    agent->socket_open = false;
    agent->socket_busy_us = world->now_us;
    holder_init(&agent->holder, &config, clock_local(world, board_node(world, board)));
    agent->wake_at = INSTANT_NEVER;
    agent->slept_us = clock_slept_us(world, board_node(world, board));
    log_note(world, "%s: agent starts", text_of(world, board));
    world_post(world, EVENT_AGENT_DIAL, board_node(world, board), 1000, NULL, 0);
}

void sim_agent_stop(struct world *world, int board)
{
    struct sim_agent *agent = agent_of(world, board);
    int node = board_node(world, board);
    log_note(world, "%s: agent killed", text_of(world, board));
    timer_stop(&agent->timer);
    /* What it wrote to the socket before is read before the end of it. */
    int64_t at_us = world->now_us + some_time(world, board, NOTICE_MAX_US);
    if (at_us <= agent->socket_busy_us)
        at_us = agent->socket_busy_us + 1;
    if (agent->socket_open)
        world_post(world, EVENT_GUARD_MESSAGE, node, at_us - world->now_us, NULL, 0)->epoch =
            agent->socket;
    agent->socket_open = false;
}
