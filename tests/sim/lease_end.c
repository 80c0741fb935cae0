/*
 * The fault that aims: whoever drives hears nothing more, and its guard stops just before the end
 * of the lease and just after it fed the watchdog. What its fence covers takes as long as it can.
 */
#include "base/check.h"
#include "guard/guard.h"
#include "tests/sim/fault.h"
#include "tests/sim/sim.h"

enum {
    LOOK_US = 20000,        /* between looks at how lease and feeds lie, times the scale */
    LOOKS_MAX_US = 3000000, /* then as they lie, times the scale */
    GAP_PARTS = 16,         /* of the time between two feeds: so near is near enough */
    BEFORE_US = 1000,
    BEFORE_BITE_US = 500
};

enum stage { STAGE_LOOK, STAGE_STOP, STAGE_KILL };

static int64_t watchdog_timeout_us(const struct world *world)
{
    return SIM_WATCHDOG_MS * 1000 * world->plan.scale;
}

static void post(struct world *world, const struct event *of, enum stage stage, int64_t at_us)
{
    struct event aimed = *of; /* the queue's own may move */
    struct event *event =
        world_post(world, EVENT_LEASE_END, aimed.node, at_us - world->now_us, NULL, 0);
    event->epoch = stage;
    event->peer = aimed.peer;
    event->up = aimed.up;
    event->life = aimed.life;
    event->sent_us = aimed.sent_us;
}

/* The guard drives and nothing else is wrong with it; when it will drop, in true time. */
static bool drives(const struct world *world, int board, int resource, int64_t *drop_us)
{
    const struct sim_guard *guard = &world->board[board].guard;
    int node = board_node(world, board);
    if (world->quiet || !guard->process.up || guard->process.paused_until_us > world->now_us ||
        world->asleep_until_us[world->machine_of[node]] != 0 || guard->clock_went_back ||
        world->clock[world->machine_of[node]].raw.stands || guard->watchdog_us == INT64_MAX ||
        guard->loop.guard.resource[resource].state != GUARD_DRIVING)
        return false;
    *drop_us = clock_true_us(world, node, guard->loop.guard.resource[resource].deadline);
    return true;
}

static bool lies_well(const struct world *world, int board, int64_t drop_us)
{
    int64_t interval_us = watchdog_timeout_us(world) / GUARD_FEEDS_PER_TIMEOUT;
    int64_t fed_us = world->board[board].guard.watchdog_us - watchdog_timeout_us(world);
    int64_t gap_us = (drop_us - BEFORE_US - fed_us) % interval_us;
    return gap_us > BEFORE_US && gap_us < interval_us / GAP_PARTS;
}

/* From now on no renewal comes. */
static void look(struct world *world, const struct event *event, int board, int64_t drop_us)
{
    if (!lies_well(world, board, drop_us) && world->now_us < event->sent_us) {
        post(world, event, STAGE_LOOK, world->now_us + LOOK_US * world->plan.scale);
        return;
    }
    int64_t until_us = drop_us + 2 * watchdog_timeout_us(world);
    if (until_us > world->plan.quiet_us)
        until_us = world->plan.quiet_us;
    process_pause(world->board[board].agent.process, until_us);
    post(world, event, STAGE_STOP, drop_us - BEFORE_US);
}

static void stop(struct world *world, const struct event *event, int board, int64_t drop_us)
{
    struct sim_guard *guard = &world->board[board].guard;
    /* What was on its way came; it knows of no more. */
    if (drop_us > world->now_us + 2 * BEFORE_US) {
        post(world, event, STAGE_STOP, drop_us - BEFORE_US);
        return;
    }
    world_cover(world, COVERAGE_STOPS_AT_LEASE_END);
    if (!event->up) {
        world_cover(world, COVERAGE_KERNEL_HANGS);
        machine_hang(world, board);
        return;
    }
    int64_t bite_us = guard->watchdog_us;
    log_note(world, "%s: guard stands still", world->name[event->node].text);
    process_pause(&guard->process, bite_us);
    sim_guard_absent(world, board, bite_us);
    post(world, event, STAGE_KILL, bite_us - BEFORE_BITE_US);
}

static void kill_guard(struct world *world, int board)
{
    if (!world->board[board].guard.process.up)
        return;
    world_cover(world, COVERAGE_KILLS_BEFORE_BITE);
    sim_guard_stop(world, board);
    /* The watchdog is sooner, whatever it was fed. */
    fault_restart_board(world, board, 2 * watchdog_timeout_us(world));
}

void lease_end_event(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    int64_t drop_us = 0;
    if (event->life != world->boot[world->machine_of[event->node]])
        return;
    if (event->epoch == STAGE_KILL) {
        kill_guard(world, board);
        return;
    }
    if (!drives(world, board, event->peer, &drop_us) ||
        drop_us + watchdog_timeout_us(world) > world->plan.quiet_us)
        return;
    if (event->epoch == STAGE_LOOK)
        look(world, event, board, drop_us);
    else
        stop(world, event, board, drop_us);
}

const char *lease_end_apply(struct world *world, int resource, bool kill)
{
    int64_t drop_us = 0;
    int board = world->oracle.drive[resource].board;
    if (board == ORACLE_NOBODY || !drives(world, board, resource, &drop_us))
        return "nobody drives who is whole";
    if (world->plan.hardware[board].output == OUTPUT_GPIO_PROCESS)
        return "its output does not cover hangs";
    const struct event aimed = {
        .node = board_node(world, board),
        .peer = resource,
        .up = kill,
        .life = world->boot[world->machine_of[board_node(world, board)]],
        .sent_us = world->now_us + LOOKS_MAX_US * world->plan.scale,
    };
    post(world, &aimed, STAGE_LOOK, world->now_us);
    return NULL;
}
