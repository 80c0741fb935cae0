/* Processes: which one an event is for, their lives and their timers. */
#include "base/check.h"
#include "tests/sim/sim.h"

struct process *process_of(struct world *world, enum event_kind kind, int node)
{
    switch (kind) {
    case EVENT_LOOP:
    case EVENT_ASYNC:
    case EVENT_FRAME:
    case EVENT_LINK:
        return machine_daemon(world, node);
    case EVENT_ISSUER_DISK:
        return &world->issuer[node].process;
    case EVENT_AGENT_GUARD:
        return world->board[node - world->issuer_count].agent.process;
    case EVENT_GUARD_TURN:
        return &world->board[node - world->issuer_count].guard.process;
    case EVENT_GUARD_MESSAGE:
    case EVENT_READBACK:
    case EVENT_STRANGER:
    case EVENT_GUARD_WATCHDOG:
    case EVENT_RECORD:
    case EVENT_PINS:
    case EVENT_REPAIR:
    case EVENT_WAKE:
    case EVENT_CLOCK_GOES:
    case EVENT_DIAL:
    case EVENT_FAULT:
    case EVENT_DEATH:
    case EVENT_LAGGARD:
    case EVENT_LEASE_END:
    case EVENT_NOTE:
    case EVENT_RESTART:
    case EVENT_OPERATOR:
    case EVENT_QUIET:
    case EVENT_CHECK:
    case EVENT_REFIT:
    case EVENT_FIRST_PERMIT:
        return NULL;
    case EVENT_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "event kind");
}

static struct timer *timer_of(struct world *world, enum event_kind kind, int node)
{
    if (kind == EVENT_LOOP)
        return &world->loop_timer[node];
    HF_CHECK(kind == EVENT_GUARD_TURN);
    return &world->board[node - world->issuer_count].guard.timer;
}

bool process_timer_fires(struct world *world, const struct event *event)
{
    struct timer *timer = timer_of(world, event->kind, event->node);
    if (event->epoch != timer->id)
        return false;
    timer->at_us = INT64_MAX;
    return true;
}

void process_set_timer(struct world *world, enum event_kind kind, int node, int64_t at_us)
{
    struct timer *timer = timer_of(world, kind, node);
    if (at_us < world->now_us)
        at_us = world->now_us;
    timer->at_us = at_us;
    world_post(world, kind, node, at_us - world->now_us, NULL, 0)->epoch = ++timer->id;
}

void process_begin(struct process *process)
{
    process->up = true;
    process->life++;
    process->paused_until_us = 0;
}

void process_end(struct process *process)
{
    process->up = false;
    process->life++;
}

void timer_stop(struct timer *timer)
{
    timer->id++;
    timer->at_us = INT64_MAX;
}

static void shift(struct world *world, enum event_kind kind, int node, int64_t later_us)
{
    int64_t at_us = timer_of(world, kind, node)->at_us;
    if (process_of(world, kind, node)->up && at_us != INT64_MAX)
        process_set_timer(world, kind, node, at_us + later_us);
}

void process_shift_timers(struct world *world, int machine, int64_t later_us)
{
    int board = world->board_on[machine];
    shift(world, EVENT_LOOP, machine, later_us);
    if (board < 0)
        return;
    shift(world, EVENT_GUARD_TURN, board_node(world, board), later_us);
}

void process_pause(struct process *process, int64_t until_us)
{
    if (process->paused_until_us < until_us)
        process->paused_until_us = until_us;
}
