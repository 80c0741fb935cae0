/* Faults: pauses, deaths and restarts; and whom any fault is for */
#include "tests/sim/fault_rows.h"

#include "base/check.h"
#include "tests/sim/sim.h"

enum { REFIT_AGAIN_US = 300000 }; /* while its board cannot be */

/* ---- whom it is for */

const char fault_not_here[] = "no such node";
const char fault_no_leader[] = "nobody leads";
const char fault_is_down[] = "it is down";
const char fault_not_covered[] = "its output does not cover hangs";
const char fault_no_board[] = "no board";
const char fault_asleep[] = "it sleeps";

/* The node's number in this world, or -1. */
int fault_node(const struct world *world, int place)
{
    if (place == FAULT_LEADER)
        return sim_issuer_leader(world);
    if (place >= FAULT_BOARD)
        return place - FAULT_BOARD < world->board_count ? board_node(world, place - FAULT_BOARD) :
                                                          -1;
    return place < world->issuer_count ? place : -1;
}

const char *fault_missing(int place)
{
    return place == FAULT_LEADER ? fault_no_leader : fault_not_here;
}

static struct process *part_process(struct world *world, enum fault_part part, int node)
{
    if (part == PART_ISSUER)
        return &world->issuer[node].process;
    struct sim_board *board = &world->board[node - world->issuer_count];
    return part == PART_AGENT ? board->agent.process : &board->guard.process;
}

/* ---- ends and restarts */

/* What died in a fault is back when it must be quiet. */
static int64_t until_quiet(const struct world *world, int64_t duration_us)
{
    int64_t left_us = world->plan.quiet_us - world->now_us;
    if (left_us < 0)
        left_us = 0;
    return duration_us < left_us ? duration_us : left_us;
}

/* In the boot that the machine is in now: a reset forgets it. */
static void post_restart(struct world *world, int node, enum fault_part part, int64_t delay_us)
{
    struct event *event = world_post(world, EVENT_RESTART, node, delay_us, NULL, 0);
    event->epoch = part;
    event->life = world->boot[world->machine_of[node]];
}

void fault_restart_board(struct world *world, int board, int64_t delay_us)
{
    post_restart(world, board_node(world, board), PART_BOARD, delay_us);
}

static void restart_later(struct world *world, int node, enum fault_part part, int64_t delay_us)
{
    post_restart(world, node, part, until_quiet(world, delay_us));
}

void fault_restart(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    int machine = world->machine_of[event->node];
    if (event->life != world->boot[machine])
        return;
    if (world->asleep_until_us[machine] != 0) {
        post_restart(world, event->node, (enum fault_part)event->epoch,
                     world->asleep_until_us[machine] - world->now_us + 1);
        return;
    }
    /* What hung and has no watchdog comes to its end by somebody's hand. */
    if (world->hung[machine])
        machine_power_cut(world, machine);
    switch ((enum fault_part)event->epoch) {
    case PART_ISSUER:
    case PART_AGENT:
        if (!machine_daemon(world, machine)->up)
            machine_start_daemon(world, machine);
        return;
    case PART_GUARD:
        if (!world->board[board].guard.process.up)
            sim_guard_start(world, board);
        return;
    case PART_BOARD:
        if (!world->board[board].guard.process.up)
            sim_guard_start(world, board);
        if (!machine_daemon(world, machine)->up)
            machine_start_daemon(world, machine);
        return;
    case FAULT_PARTS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "restart");
}

void fault_kill_issuer(struct world *world, int node, bool power, int64_t down_us)
{
    world_cover(world, power ? COVERAGE_ISSUER_POWER_CUTS : COVERAGE_ISSUER_KILLS);
    if (power && world->board_on[node] >= 0) {
        fault_power_cut_board(world, world->board_on[node], until_quiet(world, down_us));
        return;
    }
    if (power)
        machine_power_cut(world, node);
    else
        machine_stop_daemon(world, node, false);
    restart_later(world, node, PART_ISSUER, down_us);
}

void fault_power_cut_board(struct world *world, int board, int64_t off_us)
{
    world_cover(world, COVERAGE_BOARD_POWER_CUTS);
    machine_power_cut(world, world->machine_of[board_node(world, board)]);
    fault_restart_board(world, board, off_us);
}

/* A plain output that covers the guard's death alone promises nothing if anything stands still. */
bool fault_covers_hangs(const struct world *world, int node)
{
    int board = world->board_on[world->machine_of[node]];
    return board < 0 || world->plan.hardware[board].output != OUTPUT_GPIO_PROCESS;
}

const char *apply_pause(struct world *world, const struct fault *fault)
{
    static const enum coverage_kind kinds[] = {
        [PART_ISSUER] = COVERAGE_ISSUER_PAUSES,
        [PART_AGENT] = COVERAGE_AGENT_PAUSES,
        [PART_GUARD] = COVERAGE_GUARD_PAUSES,
    };
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    struct process *process = part_process(world, fault->part, node);
    if (!process->up)
        return fault_is_down;
    if (fault->part == PART_GUARD && !fault_covers_hangs(world, node))
        return fault_not_covered;
    world_cover(world, kinds[fault->part]);
    process_pause(process, world->now_us + fault->duration_us);
    if (fault->part == PART_GUARD)
        sim_guard_absent(world, node - world->issuer_count, process->paused_until_us);
    return NULL;
}

const char *apply_kill(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    int board = node - world->issuer_count;
    if (node < 0)
        return fault_missing(fault->node);
    if (!part_process(world, fault->part, node)->up)
        return fault_is_down;
    if (world->asleep_until_us[world->machine_of[node]] != 0)
        return fault_asleep;
    if (fault->part == PART_GUARD && world->board[board].guard.clock_went_back)
        return "it has yet to look at its clock";
    if (fault->part == PART_ISSUER) {
        fault_kill_issuer(world, node, false, fault->duration_us);
        return NULL;
    }
    bool agent = fault->part == PART_AGENT;
    world_cover(world, agent ? COVERAGE_AGENT_KILLS : COVERAGE_GUARD_KILLS);
    if (!agent && world->plan.hardware[board].retains)
        world_cover(world, COVERAGE_RETAINED_PINS);
    if (agent)
        machine_stop_daemon(world, world->machine_of[node], false);
    else
        sim_guard_stop(world, board);
    restart_later(world, node, fault->part, fault->duration_us);
    return NULL;
}

const char *apply_power(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    if (node >= world->issuer_count)
        fault_power_cut_board(world, node - world->issuer_count, fault->duration_us);
    else if (!world->issuer[node].process.up)
        return fault_is_down;
    else
        fault_kill_issuer(world, node, true, fault->duration_us);
    return NULL;
}

const char *apply_refit(struct world *world, const struct fault *fault)
{
    int board = fault_node(world, fault->node) - world->issuer_count;
    if (board < 0 || fault->part == PART_ISSUER)
        return fault_no_board;
    const char *skipped = refit_check(world, board);
    if (!skipped && world->hung[world->machine_of[board_node(world, board)]])
        skipped = fault_is_down;
    if (!skipped)
        skipped = apply_kill(world, fault);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_REFITS);
    refit_change_file(world, board);
    world_post(world, EVENT_REFIT, board_node(world, board), fault->period_us, NULL, 0);
    return NULL;
}

void fault_refit(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    int machine = world->machine_of[event->node];
    if (world->asleep_until_us[machine] != 0 || world->hung[machine] ||
        world->board[board].guard.clock_went_back) {
        world_post(world, EVENT_REFIT, event->node, REFIT_AGAIN_US, NULL, 0);
        return;
    }
    if (refit_is_old(world, board, PART_GUARD)) {
        sim_guard_stop(world, board);
        post_restart(world, event->node, PART_GUARD, 1000);
    }
    if (refit_is_old(world, board, PART_AGENT)) {
        machine_stop_daemon(world, machine, false);
        post_restart(world, event->node, PART_AGENT, 1000);
    }
}

const char *apply_first_permit(struct world *world, const struct fault *fault)
{
    int board = fault_node(world, fault->node) - world->issuer_count;
    if (board < 0)
        return fault_no_board;
    return first_permit_await(world, board, fault->word, fault->duration_us);
}

static bool drives_anything(const struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        if (world->oracle.drive[i].board == board)
            return true;
    }
    return false;
}

const char *apply_waiter_death(struct world *world, const struct fault *fault)
{
    size_t count = 0;
    int leader = sim_issuer_leader(world);
    if (leader < 0)
        return fault_no_leader;
    if (fault->resource >= world->resource_count)
        return fault_no_board;
    const struct issuer_waiter *waiter =
        replica_waiters(world->issuer[leader].replica, &world->resource[fault->resource], &count);
    int node = count > 0 ? world_board_node(world, &waiter[0].node) : -1;
    if (node < 0)
        return "nobody waits";
    /* Where L1 is watched nothing else is to be taken over. */
    if (!plan_is_chaos(&world->plan) && drives_anything(world, node - world->issuer_count))
        return "it drives another one";
    const struct fault kill = { .kind = FAULT_KILL,
                                .part = PART_AGENT,
                                .node = FAULT_BOARD + node - world->issuer_count,
                                .duration_us = fault->duration_us };
    const char *skipped = apply_kill(world, &kill);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_WAITERS_KILLED);
    world->waiter = node - world->issuer_count;
    return NULL;
}

/* The death comes with the next flush or recovery, whenever that is. */
static const char *await_death(struct world *world, const struct fault *fault, enum sim_doom_at at)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    world->issuer[node].doom = (struct sim_doom){ .at = at,
                                                  .power = fault->word == WORD_POWER,
                                                  .down_us = fault->duration_us };
    return NULL;
}

const char *apply_kill_in_flush(struct world *world, const struct fault *fault)
{
    return await_death(world, fault, DOOM_FLUSH);
}

const char *apply_kill_in_start(struct world *world, const struct fault *fault)
{
    return await_death(world, fault, DOOM_START);
}

void fault_death(struct world *world, const struct event *event)
{
    struct sim_issuer *issuer = &world->issuer[event->node];
    const struct sim_doom doom = issuer->doom;
    issuer->doom.at = DOOM_NONE;
    if (!world->quiet && issuer->process.up && world->asleep_until_us[event->node] == 0)
        fault_kill_issuer(world, event->node, doom.power, doom.down_us);
}
