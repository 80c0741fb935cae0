/* Hands each event to whom it is for; a paused process gets its events when it goes on. */
#include "base/check.h"
#include "tests/sim/sim.h"

static bool is_timer(enum event_kind kind)
{
    return kind == EVENT_LOOP || kind == EVENT_GUARD_TURN;
}

/* False: the process that it was for is gone, stopped, or has armed another timer since. */
static bool deliverable(struct world *world, const struct event *event)
{
    struct process *process = process_of(world, event->kind, event->node);
    if (!process)
        return true;
    if (!process->up || process->life != event->life)
        return false;
    if (process->paused_until_us > world->now_us) {
        struct event later = *event;
        later.at_us = process->paused_until_us;
        queue_add(&world->queue, &later);
        world->current.data = NULL;
        return false;
    }
    return !is_timer(event->kind) || process_timer_fires(world, event);
}

static void check(struct world *world, const struct event *event)
{
    (void)event;
    oracle_check_bounds(world);
    oracle_check_fences(world);
    operators_check(world);
    if (world->quiet || world->plan.type == SIM_ISSUER_CUT)
        oracle_check_driven(world);
    if (world->plan.type == SIM_ISSUER_CUT)
        oracle_check_one_leads(world);
    if (world->plan.type == SIM_SLOW_DISKS)
        disk_hang_check(world);
}

void dispatch_event(struct world *world, const struct event *event)
{
    static void (*const handlers[EVENT_KINDS])(struct world *, const struct event *) = {
        [EVENT_ISSUER_DISK] = sim_issuer_disk,
        [EVENT_LOOP] = loop_event,
        [EVENT_ASYNC] = loop_async,
        [EVENT_FRAME] = hub_frame,
        [EVENT_LINK] = net_link,
        [EVENT_AGENT_GUARD] = sim_agent_guard,
        [EVENT_GUARD_TURN] = sim_guard_turn,
        [EVENT_GUARD_MESSAGE] = socket_arrives,
        [EVENT_READBACK] = guard_hal_look,
        [EVENT_STRANGER] = stranger_event,
        [EVENT_GUARD_WATCHDOG] = sim_guard_watchdog,
        [EVENT_RECORD] = guard_record_ends,
        [EVENT_PINS] = machine_pins,
        [EVENT_REPAIR] = fault_repair,
        [EVENT_WAKE] = machine_wake,
        [EVENT_CLOCK_GOES] = machine_raw_goes,
        [EVENT_DIAL] = net_dial,
        [EVENT_FAULT] = fault_event,
        [EVENT_DEATH] = fault_death,
        [EVENT_LAGGARD] = laggard_event,
        [EVENT_LEASE_END] = lease_end_event,
        [EVENT_NOTE] = fault_note,
        [EVENT_RESTART] = fault_restart,
        [EVENT_OPERATOR] = fault_operator,
        [EVENT_QUIET] = fault_quiet,
        [EVENT_CHECK] = check,
        [EVENT_REFIT] = fault_refit,
        [EVENT_FIRST_PERMIT] = first_permit_event,
    };
    if (!deliverable(world, event))
        return;
    HF_CHECK(handlers[event->kind]);
    handlers[event->kind](world, event);
}
