/* The kinds of faults: how each is drawn, and how it is applied. */
#include "tests/sim/fault.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/timing.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

enum {
    OPERATOR_US = 300000,        /* between an operator's acts in the quiet phase */
    SLOW_TRANSFER_ELECTIONS = 3, /* the others have elected another one meanwhile */
    SLOW_SYNC_US = 2000000,      /* times the scale: longer than a lease */
    TAKEOVER_SLACK_US = 60000    /* grant, first renewal, energise, all wake-ups late */
};

enum { WORD_KILL, WORD_POWER };                      /* of a death */
enum { WORD_HANDED_OVER, WORD_LEADER_DIES };         /* to a laggard */
enum { WORD_HANGS, WORD_GUARD_DIES };                /* of the end of a lease */
enum { WORD_OFF, WORD_ON };                          /* of a readback */
enum { WORD_BOTH_WAYS, WORD_ONE_WAY };               /* of a partition */
enum { WORD_DUMB = 1, WORD_DEAF, WORD_FROM_LEADER }; /* of a cut, if not both ways */
enum { WORD_EARLY, WORD_LATE };                      /* of a step of MONOTONIC */
enum { WORD_AT_ONCE, WORD_SLOW_DISK };               /* of a leader transfer */
enum { WORD_ALL, WORD_LEADER, WORD_FOLLOWER };       /* of slow disks */
enum { WORD_FORWARD, WORD_BACK };                    /* of a step of the date */
/* of a damage; a new card may come with a file that lists nobody else, or be begun by mistake */
enum { WORD_BITS, WORD_BLOCK, WORD_CARD, WORD_CARD_ALONE, WORD_CARD_BEGUN, DAMAGES };
enum { CUT_WAYS = 4 };                                /* words of a cut */
enum { WORD_RESTORED, WORD_ABOVE, WORD_LOW, LOSSES }; /* what an operator does after a loss */

/* ---- drawing */

static int some_issuer(const struct sim_plan *plan, struct random *random)
{
    return (int)random_below(random, (uint64_t)plan->issuers);
}

static int some_board(const struct sim_plan *plan, struct random *random)
{
    return FAULT_BOARD + (int)random_below(random, (uint64_t)plan->boards);
}

static int some_node(const struct sim_plan *plan, struct random *random)
{
    int node = (int)random_below(random, (uint64_t)(plan->issuers + plan->boards));
    return node < plan->issuers ? node : FAULT_BOARD + node - plan->issuers;
}

/* A disturbance may last longer where everything else is slower; it ends when it must be quiet. */
static int64_t some_time(const struct sim_plan *plan, struct random *random,
                         const struct fault *fault, int64_t low_us, int64_t high_us)
{
    int64_t left_us = plan->quiet_us - fault->at_us;
    int64_t time_us =
        random_between(random, low_us, high_us) * random_between(random, 1, plan->scale);
    return time_us < left_us ? time_us : left_us;
}

static int64_t some_down_time(const struct sim_plan *plan, struct random *random,
                              const struct fault *fault)
{
    int64_t most_us = random_chance(random, 500000) ? 200000 : 4000000;
    return some_time(plan, random, fault, 5000, most_us);
}

static void draw_pause(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    static const int64_t most_us[] = { 15000, 40000, 500000, 4000000 };
    fault->part = (enum fault_part)random_below(random, PART_BOARD);
    fault->node = fault->part == PART_ISSUER ? some_issuer(plan, random) : some_board(plan, random);
    fault->duration_us = some_time(plan, random, fault, 1000, most_us[random_below(random, 4)]);
}

/* Of issuers mostly the one that hurts. */
static void draw_kill(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->part = (enum fault_part)random_below(random, PART_BOARD);
    fault->node = fault->part == PART_ISSUER ? FAULT_LEADER : some_board(plan, random);
    fault->duration_us = some_down_time(plan, random, fault);
}

static void draw_power(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 330000) ? FAULT_LEADER : some_board(plan, random);
    fault->duration_us = some_down_time(plan, random, fault);
}

static void draw_death_within(const struct sim_plan *plan, struct random *random,
                              struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 600000) ? WORD_POWER : WORD_KILL;
    fault->duration_us = some_down_time(plan, random, fault);
}

/* Mostly one node alone: a leader, or a board that drives. */
static void draw_partition(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->nodes = 1u << some_node(plan, random);
    if (random_chance(random, 400000)) {
        for (int i = 0; i < plan->issuers + plan->boards - 2; i++) {
            if (random_chance(random, 500000))
                fault->nodes |= 1u << some_node(plan, random);
        }
    }
    fault->word = random_chance(random, 400000) ? WORD_ONE_WAY : WORD_BOTH_WAYS;
    fault->duration_us = some_time(plan, random, fault, 20000, 5000000);
}

static void draw_break(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    do {
        fault->peer = some_node(plan, random);
    } while (fault->peer == fault->node);
    fault->duration_us = random_chance(random, 700000) ? 5000 : 2000000;
}

static void draw_disk_fail(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
}

static void draw_disk_slow(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->duration_us = some_time(plan, random, fault, 200000, 5000000);
}

static void draw_clock_rate(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_node(plan, random);
    fault->ppm = clock_some_rate(plan, random, fault->node < FAULT_BOARD);
}

static void draw_resource_and_board(const struct sim_plan *plan, struct random *random,
                                    struct fault *fault)
{
    fault->resource = (int)random_below(random, (uint64_t)plan->resources);
    fault->node = some_board(plan, random);
}

static void draw_hang(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_board(plan, random);
    fault->duration_us = some_down_time(plan, random, fault);
}

static void draw_laggard(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_LEADER_DIES : WORD_HANDED_OVER;
}

static void draw_lease_end(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->resource = (int)random_below(random, (uint64_t)plan->resources);
    fault->word = random_chance(random, 500000) ? WORD_GUARD_DIES : WORD_HANGS;
}

static void draw_sleep(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    static const int64_t most_us[] = { 50000, 500000, 5000000 };
    fault->node = some_node(plan, random);
    fault->duration_us = some_time(plan, random, fault, 20000, most_us[random_below(random, 3)]);
}

static void draw_wake_step(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    static const int64_t most_us[] = { 4000, 100000, 3000000 };
    fault->node = some_node(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_EARLY : WORD_LATE;
    fault->duration_us = random_between(random, 1000, most_us[random_below(random, 3)]);
}

static void draw_raw_step(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_board(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_FORWARD : WORD_BACK;
    /* A guard sees a step back that is longer than the time since its last look. */
    fault->duration_us =
        2 * SIM_GUARD_STATUS_MS * 1000 * plan->scale + random_between(random, 1000, 3000000);
}

static void draw_raw_stands(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_node(plan, random);
    fault->duration_us = some_time(plan, random, fault, 100000, 5000000);
}

static void draw_weld(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    draw_resource_and_board(plan, random, fault);
    fault->duration_us = some_time(plan, random, fault, 100000, 3000000);
}

static void draw_readback(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    draw_weld(plan, random, fault);
    fault->word = random_chance(random, 500000) ? WORD_ON : WORD_OFF;
}

static void draw_resource(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->resource = (int)random_below(random, (uint64_t)plan->resources);
}

static void draw_leader_death(const struct sim_plan *plan, struct random *random,
                              struct fault *fault)
{
    fault->word = random_chance(random, 500000) ? WORD_POWER : WORD_KILL;
    fault->duration_us = plan->scale * 1000000;
}

static void draw_board_death(const struct sim_plan *plan, struct random *random,
                             struct fault *fault)
{
    fault->duration_us = random_between(random, 1200000, 2000000) * plan->scale;
}

/* Long enough for elections, then as long without. */
static void draw_cut(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 400000) ? FAULT_LEADER : some_issuer(plan, random);
    fault->word = (int)random_below(random, CUT_WAYS);
    fault->duration_us = plan->fault_interval_us * 3 / 5;
}

/* A target whose disk is slow keeps its vote to itself while others campaign. */
static void draw_leader_transfer(const struct sim_plan *plan, struct random *random,
                                 struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 300000) ? WORD_SLOW_DISK : WORD_AT_ONCE;
}

static void draw_wall_step(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_FORWARD : WORD_BACK;
    fault->duration_us = random_between(random, 1, 4000) * 1000000;
}

static void draw_disks_slow(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->word = random_chance(random, 600000) ? WORD_ALL :
                  random_chance(random, 500000) ? WORD_LEADER :
                                                  WORD_FOLLOWER;
    fault->duration_us = plan->fault_interval_us * 4 / 5;
}

static void draw_loss(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->word = (int)random_below(random, LOSSES);
    fault->duration_us = some_down_time(plan, random, fault);
}

static void draw_damage(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 300000) ? FAULT_LEADER : some_issuer(plan, random);
    fault->word = (int)random_below(random, DAMAGES);
    fault->duration_us = some_down_time(plan, random, fault);
}

static void draw_put_back(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->duration_us = some_down_time(plan, random, fault);
}

/* Mostly the guard first: its outputs are what was changed. */
static void draw_refit(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->part = random_chance(random, 700000) ? PART_GUARD : PART_AGENT;
    fault->node = some_board(plan, random);
    fault->period_us = some_time(plan, random, fault, 1, 6000000);
    fault->duration_us = some_time(plan, random, fault, 5000, 200000);
}

static void draw_member(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
}

/* Of those who go, often the one that leads. */
static void draw_member_remove(const struct sim_plan *plan, struct random *random,
                               struct fault *fault)
{
    fault->node = random_chance(random, 400000) ? FAULT_LEADER : some_issuer(plan, random);
}

void fault_draw(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    uint64_t all = 0;
    for (int i = 0; i < FAULT_KINDS; i++)
        all += fault_table[i].weight;
    uint64_t left = random_below(random, all);
    int kind = 0;
    while (left >= fault_table[kind].weight)
        left -= fault_table[kind++].weight;
    fault->kind = (enum fault_kind)kind;
    if (fault_table[kind].draw)
        fault_table[kind].draw(plan, random, fault);
}

/* ---- whom it is for */

static const char not_here[] = "no such node";
static const char no_leader[] = "nobody leads";
static const char is_down[] = "it is down";
static const char not_covered[] = "its output does not cover hangs";
static const char no_board[] = "no board";
static const char asleep[] = "it sleeps";

/* The node's number in this world, or -1. */
static int node_of(const struct world *world, int place)
{
    if (place == FAULT_LEADER)
        return sim_issuer_leader(world);
    if (place >= FAULT_BOARD)
        return place - FAULT_BOARD < world->board_count ? board_node(world, place - FAULT_BOARD) :
                                                          -1;
    return place < world->issuer_count ? place : -1;
}

static const char *missing(int place)
{
    return place == FAULT_LEADER ? no_leader : not_here;
}

static struct process *part_process(struct world *world, enum fault_part part, int node)
{
    if (part == PART_ISSUER)
        return &world->issuer[node].process;
    struct board *board = &world->board[node - world->issuer_count];
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
static bool covers_hangs(const struct world *world, int node)
{
    int board = world->board_on[world->machine_of[node]];
    return board < 0 || world->plan.hardware[board].output != OUTPUT_GPIO_PROCESS;
}

static const char *apply_pause(struct world *world, const struct fault *fault)
{
    static const enum coverage_kind kinds[] = {
        [PART_ISSUER] = COVERAGE_ISSUER_PAUSES,
        [PART_AGENT] = COVERAGE_AGENT_PAUSES,
        [PART_GUARD] = COVERAGE_GUARD_PAUSES,
    };
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    struct process *process = part_process(world, fault->part, node);
    if (!process->up)
        return is_down;
    if (fault->part == PART_GUARD && !covers_hangs(world, node))
        return not_covered;
    world_cover(world, kinds[fault->part]);
    process_pause(process, world->now_us + fault->duration_us);
    if (fault->part == PART_GUARD)
        sim_guard_absent(world, node - world->issuer_count, process->paused_until_us);
    return NULL;
}

static const char *apply_kill(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    int board = node - world->issuer_count;
    if (node < 0)
        return missing(fault->node);
    if (!part_process(world, fault->part, node)->up)
        return is_down;
    if (world->asleep_until_us[world->machine_of[node]] != 0)
        return asleep;
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

static const char *apply_power(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    if (node >= world->issuer_count)
        fault_power_cut_board(world, node - world->issuer_count, fault->duration_us);
    else if (!world->issuer[node].process.up)
        return is_down;
    else
        fault_kill_issuer(world, node, true, fault->duration_us);
    return NULL;
}

static const char *apply_refit(struct world *world, const struct fault *fault)
{
    int board = node_of(world, fault->node) - world->issuer_count;
    if (board < 0 || fault->part == PART_ISSUER)
        return no_board;
    const char *skipped = refit_check(world, board);
    if (!skipped && world->hung[world->machine_of[board_node(world, board)]])
        skipped = is_down;
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
        world_post(world, EVENT_REFIT, event->node, OPERATOR_US, NULL, 0);
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

/* The death comes with the next flush or recovery, whenever that is. */
static const char *await_death(struct world *world, const struct fault *fault, enum sim_doom_at at)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    world->issuer[node].doom = (struct sim_doom){ .at = at,
                                                  .power = fault->word == WORD_POWER,
                                                  .down_us = fault->duration_us };
    return NULL;
}

static const char *apply_kill_in_flush(struct world *world, const struct fault *fault)
{
    return await_death(world, fault, DOOM_FLUSH);
}

static const char *apply_kill_in_start(struct world *world, const struct fault *fault)
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

/* ---- hardware of boards */

static const char *apply_hang(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    int board = node - world->issuer_count;
    if (board < 0)
        return no_board;
    if (!world->board[board].guard.process.up)
        return is_down;
    if (world->asleep_until_us[world->machine_of[node]] != 0)
        return asleep;
    if (!covers_hangs(world, node))
        return not_covered;
    world_cover(world, COVERAGE_KERNEL_HANGS);
    machine_hang(world, board);
    /* Nothing ends it but somebody who cuts the power. */
    if (!world->plan.hardware[board].watchdog)
        fault_restart_board(world, board, fault->duration_us);
    return NULL;
}

static const char *apply_lease_end(struct world *world, const struct fault *fault)
{
    if (fault->resource >= world->resource_count)
        return no_board;
    return lease_end_apply(world, fault->resource, fault->word == WORD_GUARD_DIES);
}

/* NULL, and the machine of a fault's node; or why its clocks are left alone now. */
static const char *whole_machine(const struct world *world, const struct fault *fault, int *machine)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    *machine = world->machine_of[node];
    int board = world->board_on[*machine];
    if (world->asleep_until_us[*machine] != 0)
        return asleep;
    if (world->clock[*machine].raw.stands)
        return "its clock stands";
    if (world->hung[*machine] || (board >= 0 && !world->board[board].guard.process.up))
        return is_down;
    return NULL;
}

static const char *apply_sleep(struct world *world, const struct fault *fault)
{
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    if (skipped)
        return skipped;
    if (!covers_hangs(world, machine))
        return not_covered;
    world_cover(world, COVERAGE_SLEEPS);
    machine_sleep(world, machine, fault->duration_us);
    return NULL;
}

static const char *apply_wake_step(struct world *world, const struct fault *fault)
{
    enum { BORNE_US = 500 }; /* of the release time, beside slew and a late scheduler */
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    bool late = fault->word == WORD_LATE;
    if (skipped)
        return skipped;
    if (late && fault->duration_us > BORNE_US && !covers_hangs(world, machine))
        return not_covered;
    world_cover(world, COVERAGE_WAKE_STEPS);
    machine_step_wakes(world, machine, late ? -fault->duration_us : fault->duration_us);
    return NULL;
}

static const char *apply_raw_step(struct world *world, const struct fault *fault)
{
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    bool back = fault->word == WORD_BACK;
    if (skipped)
        return skipped;
    /* An issuer's deadlines are as good as its clock; only a guard watches one. */
    if (machine < world->issuer_count)
        return "an issuer lives there";
    if (!covers_hangs(world, machine))
        return not_covered;
    if (world->board[world->board_on[machine]].guard.absent_until_us >= world->now_us)
        return "its guard is away";
    if (clock_local(world, machine).us < fault->duration_us)
        return "its clock has just begun";
    world_cover(world, COVERAGE_RAW_STEPS);
    machine_step_raw(world, machine, back ? -fault->duration_us : fault->duration_us);
    return NULL;
}

static const char *apply_raw_stands(struct world *world, const struct fault *fault)
{
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_RAW_STOOD);
    machine_stand_raw(world, machine, fault->duration_us);
    return NULL;
}

/* The line of a fault, if it is whole so far. */
static const char *whole_line(struct world *world, const struct fault *fault, struct line **line)
{
    int board = node_of(world, fault->node) - world->issuer_count;
    if (board < 0 || fault->resource >= world->resource_count)
        return no_board;
    *line = &world->board[board].line[fault->resource];
    return (*line)->welded || (*line)->reading != READING_TRUE ? "broken already" : NULL;
}

static void repair_later(struct world *world, const struct fault *fault)
{
    world_post(world, EVENT_REPAIR, node_of(world, fault->node), fault->duration_us, NULL, 0)
        ->peer = fault->resource;
}

static const char *apply_weld(struct world *world, const struct fault *fault)
{
    struct line *line = NULL;
    const char *skipped = whole_line(world, fault, &line);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_WELDED_RELAYS);
    line_weld(world, node_of(world, fault->node) - world->issuer_count, fault->resource);
    repair_later(world, fault);
    return NULL;
}

static const char *apply_readback(struct world *world, const struct fault *fault)
{
    struct line *line = NULL;
    const char *skipped = whole_line(world, fault, &line);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_STUCK_READBACKS);
    line->reading = fault->word == WORD_ON ? READING_ON : READING_OFF;
    repair_later(world, fault);
    return NULL;
}

void fault_repair(struct world *world, const struct event *event)
{
    line_repair(world, event->node - world->issuer_count, event->peer);
}

/* ---- network */

static bool is_apart(const struct world *world, const struct fault *fault, int node)
{
    int place = node < world->issuer_count ? node : FAULT_BOARD + node - world->issuer_count;
    return (fault->nodes >> place & 1) != 0;
}

static const char *apply_partition(struct world *world, const struct fault *fault)
{
    int nodes = world->issuer_count + world->board_count;
    bool one_way = fault->word == WORD_ONE_WAY;
    world_cover(world, one_way ? COVERAGE_ONE_WAY_PARTITIONS : COVERAGE_PARTITIONS);
    for (int from = 0; from < nodes; from++) {
        for (int to = 0; to < nodes; to++) {
            bool out = is_apart(world, fault, from) && !is_apart(world, fault, to);
            bool in = !is_apart(world, fault, from) && is_apart(world, fault, to);
            if (out || (in && !one_way))
                net_block(world, from, to, fault->duration_us);
        }
    }
    return NULL;
}

static const char *apply_break(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    int peer = node_of(world, fault->peer);
    if (node < 0 || peer < 0 || node == peer)
        return not_here;
    world_cover(world, COVERAGE_CONNECTION_BREAKS);
    net_break(world, node < peer ? node : peer, node < peer ? peer : node, fault->duration_us);
    return NULL;
}

/* ---- disks and clocks */

static const char *apply_disk_fail(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    world->issuer[node].disk.sync_error = EIO;
    return NULL;
}

static const char *apply_disk_slow(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    world_cover(world, COVERAGE_SLOW_DISKS);
    world->issuer[node].disk.slow_until_us = world->now_us + fault->duration_us;
    world->issuer[node].disk.slow_us = 0;
    return NULL;
}

/* Of these voters, but for `gone`, do most have a memory, though `forgets` will have none? */
static bool most_remember(const struct world *world, const struct raft_members *members,
                          int forgets, int gone)
{
    int voters = 0;
    int without = 0;
    for (int i = 0; i < members->count; i++) {
        int node = world_issuer(world, &members->member[i].id);
        if (!members->member[i].voter || node == gone)
            continue;
        voters++;
        without += node == forgets || !oracle_remembers(world, node);
    }
    return 2 * without < voters;
}

/*
 * One more without a memory, or with none yet, must leave a majority that has one: in every
 * configuration that may count. While a change is under way, that is known only if whoever made it
 * still leads.
 */
static bool enough_remember(const struct world *world, int node)
{
    int leader = sim_issuer_leader(world);
    if (world->oracle.change.index != 0 &&
        (leader < 0 ||
         world->issuer[leader].replica->raft.members_index < world->oracle.change.index))
        return false;
    for (int i = 0; i < world->issuer_count; i++) {
        const struct sim_issuer *issuer = &world->issuer[i];
        if (issuer->process.up && !most_remember(world, &issuer->replica->raft.members, node, -1))
            return false;
    }
    return most_remember(world, &world->oracle.members, node, -1);
}

static const char *apply_damage(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    if (!world->issuer[node].process.up)
        return is_down;
    /* One alone waits for its operator; to begin there is a loss. */
    if (world->issuer_count == 1 && fault->word == WORD_CARD_BEGUN)
        return "nobody else has a memory";
    if (world->issuer_count > 1 && !enough_remember(world, node))
        return "too few would remember";
    bool forgetful = raft_standing(&world->issuer[node].replica->raft) == RAFT_RECOVERING;
    fault_kill_issuer(world, node, true, fault->duration_us);
    world->issuer[node].damaged = true;
    world->issuer[node].alone = fault->word == WORD_CARD_ALONE;
    if (fault->word == WORD_CARD || fault->word == WORD_CARD_ALONE)
        disk_wipe(&world->issuer[node].disk);
    else if (fault->word == WORD_CARD_BEGUN)
        sim_begin_by_mistake(world, node);
    else
        disk_damage(&world->issuer[node].disk, fault->word == WORD_BLOCK);
    if (world->oracle.change.index != 0)
        world_cover(world, COVERAGE_DAMAGED_IN_A_CHANGE);
    if (forgetful)
        world_cover(world, COVERAGE_DAMAGED_AGAIN);
    world_cover(world, fault->word == WORD_CARD_ALONE ? COVERAGE_CARDS_ALONE :
                       fault->word == WORD_CARD_BEGUN ? COVERAGE_CARDS_BEGUN :
                       fault->word == WORD_CARD       ? COVERAGE_CARDS_REPLACED :
                                                        COVERAGE_JOURNALS_DAMAGED);
    return NULL;
}

static const char *apply_copy_card(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    return node < 0 ? missing(fault->node) : put_back_copy(world, node);
}

static const char *apply_put_back(struct world *world, const struct fault *fault)
{
    return put_back_apply(world, fault->duration_us);
}

/* Of these nobody loses a leader, or a memory. */
static bool leaves_leader(enum fault_kind kind)
{
    return kind == FAULT_CLEAR || kind == FAULT_GO || kind == FAULT_NOTES || kind == FAULT_PIN ||
           kind == FAULT_UNPIN || kind == FAULT_TRANSFER;
}

static const char *apply_clock_rate(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    world_cover(world, COVERAGE_CLOCK_RATE_CHANGES);
    clock_change_rate(world, world->machine_of[node], fault->ppm);
    return NULL;
}

static const char *apply_wall_step(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    world_cover(world, COVERAGE_WALL_STEPS);
    world->wall_offset_us[node] +=
        fault->word == WORD_FORWARD ? fault->duration_us : -fault->duration_us;
    return NULL;
}

/* ---- operators */

static const char *leader_event(struct world *world, struct replica_event *event)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0 || world->issuer[leader].process.paused_until_us > world->now_us)
        return no_leader;
    (void)name_from_string(&event->who, "operator");
    const char *refused = operator_act(world, leader, event);
    operator_reads(world);
    return refused;
}

static const char *apply_transfer(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0 || fault->resource >= world->resource_count)
        return missing(fault->node);
    struct replica_event event = { .kind = REPLICA_TRANSFER,
                                   .node = world->name[node],
                                   .resource = world->resource[fault->resource] };
    const char *skipped = leader_event(world, &event);
    if (skipped && strstr(skipped, "stuck on"))
        world_cover(world, COVERAGE_TRANSFERS_HELD);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_BOARD_TRANSFERS);
    oracle_transfer_asked(world, fault->resource, node - world->issuer_count);
    return skipped;
}

void fault_transfer_leader(struct world *world, int node)
{
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER, .node = world->name[node] };
    world_cover(world, COVERAGE_LEADER_TRANSFERS);
    (void)leader_event(world, &event);
}

static const char *apply_laggard(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    return laggard_apply(world, node, fault->word == WORD_LEADER_DIES);
}

static const char *apply_leader_transfer(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0)
        return missing(fault->node);
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER, .node = world->name[node] };
    if (fault->word == WORD_SLOW_DISK) {
        struct sim_disk *disk = &world->issuer[node].disk;
        disk->slow_us =
            (int64_t)SLOW_TRANSFER_ELECTIONS * SIM_ELECTION_MS * 1000 * world->plan.scale;
        disk->slow_until_us = world->now_us + disk->slow_us;
    }
    world_cover(world, COVERAGE_LEADER_TRANSFERS);
    return leader_event(world, &event);
}

static const char *apply_pin(struct world *world, const struct fault *fault)
{
    int node = node_of(world, fault->node);
    if (node < 0 || fault->resource >= world->resource_count)
        return missing(fault->node);
    struct replica_event event = { .kind = REPLICA_PIN,
                                   .pinned = true,
                                   .resource = world->resource[fault->resource],
                                   .node = world->name[node] };
    return leader_event(world, &event);
}

static const char *apply_unpin(struct world *world, const struct fault *fault)
{
    if (fault->resource >= world->resource_count)
        return not_here;
    struct replica_event event = { .kind = REPLICA_PIN,
                                   .resource = world->resource[fault->resource] };
    return leader_event(world, &event);
}

static const char *change_members(struct world *world, const struct fault *fault,
                                  enum raft_change change)
{
    int leader = sim_issuer_leader(world);
    int node = node_of(world, fault->node);
    if (leader < 0 || node < 0)
        return missing(fault->node);
    const struct raft *raft = &world->issuer[leader].replica->raft;
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = change,
                                   .node = world->name[node],
                                   .address = "10.0.0.1:7400",
                                   .text = "simulated" };
    if (change == RAFT_CHANGE_REMOVE && raft_voter_count(&raft->members) <= 2)
        return "two voters are left";
    if (change == RAFT_CHANGE_REMOVE && !most_remember(world, &raft->members, -1, node))
        return "too few would remember";
    const char *skipped = leader_event(world, &event);
    if (skipped)
        return skipped;
    oracle_change_asked(world, leader, raft->members_index);
    /* Too soon: the first one is on its way. */
    event.change = change == RAFT_CHANGE_REMOVE ? RAFT_CHANGE_ADD : RAFT_CHANGE_REMOVE;
    (void)leader_event(world, &event);
    return NULL;
}

static const char *apply_member_add(struct world *world, const struct fault *fault)
{
    return change_members(world, fault, RAFT_CHANGE_ADD);
}

static const char *apply_member_promote(struct world *world, const struct fault *fault)
{
    return change_members(world, fault, RAFT_CHANGE_PROMOTE);
}

static const char *apply_member_remove(struct world *world, const struct fault *fault)
{
    return change_members(world, fault, RAFT_CHANGE_REMOVE);
}

static const char *apply_clear(struct world *world, const struct fault *fault)
{
    (void)fault;
    for (int i = 0; i < world->board_count; i++) {
        const struct process *agent = world->board[i].agent.process;
        if (agent->up && agent->paused_until_us <= world->now_us)
            sim_agent_clear_faults(world, i);
    }
    return NULL;
}

void fault_add_notes(struct world *world, int64_t duration_us, int64_t period_us)
{
    world->notes_until_us = world->now_us + duration_us;
    world->notes_period_us = period_us;
    if (!world->notes_posted)
        world_post(world, EVENT_NOTE, 0, 0, NULL, 0);
    world->notes_posted = true;
}

static const char *apply_notes(struct world *world, const struct fault *fault)
{
    fault_add_notes(world, fault->duration_us, fault->period_us);
    return NULL;
}

void fault_note(struct world *world, const struct event *event)
{
    struct replica_event note = { .kind = REPLICA_NOTE,
                                  .resource = world->resource[0],
                                  .history = HISTORY_OPERATOR,
                                  .text = "simulated" };
    (void)event;
    world->notes_posted = !world->quiet && world->now_us < world->notes_until_us;
    if (!world->notes_posted)
        return;
    (void)leader_event(world, &note);
    world_post(world, EVENT_NOTE, 0, world->notes_period_us, NULL, 0);
}

static const char *let_go(struct world *world, int resource)
{
    struct replica_event event = { .kind = REPLICA_CLEAR, .resource = world->resource[resource] };
    const char *skipped = leader_event(world, &event);
    if (!skipped)
        oracle_said_go(world, resource, sim_issuer_leader(world));
    return skipped;
}

static const char *apply_go(struct world *world, const struct fault *fault)
{
    return fault->resource < world->resource_count ? let_go(world, fault->resource) :
                                                     "no such resource";
}

static void let_all_go(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++)
        (void)let_go(world, i);
}

static void unpin_all(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++) {
        struct replica_event event = { .kind = REPLICA_PIN, .resource = world->resource[i] };
        if (world->oracle.pin[i].pinned)
            (void)leader_event(world, &event);
    }
}

/* In the quiet phase somebody sees to it that everything may be driven again. */
void fault_operator(struct world *world, const struct event *event)
{
    const struct fault clear = { .kind = FAULT_CLEAR };
    (void)event;
    unpin_all(world);
    (void)apply_clear(world, &clear);
    let_all_go(world);
    world_post(world, EVENT_OPERATOR, 0, OPERATOR_US, NULL, 0);
}

/* ---- one kind of death only */

static const char *apply_leader_death(struct world *world, const struct fault *fault)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when the leader is to die");
    oracle_check_driven(world);
    uint64_t term = world->issuer[leader].replica->raft.term;
    if (world->oracle.no_drop)
        world_cover(world, COVERAGE_LEADERS_KILLED_UNNOTICED);
    if (world->oracle.no_drop && term > world->oracle.kill_term + 1)
        world_cover(world, COVERAGE_SPLIT_VOTES_UNNOTICED);
    world->oracle.no_drop = true;
    world->oracle.kill_term = term;
    fault_kill_issuer(world, leader, fault->word == WORD_POWER, fault->duration_us);
    return NULL;
}

static const char *apply_board_death(struct world *world, const struct fault *fault)
{
    int board = world->oracle.drive[0].board;
    oracle_check_bounds(world);
    oracle_check_driven(world);
    struct span fence = span_from_us(world->plan.hardware[board].fence_us);
    struct span lease = span_add(span_from_us(world->plan.ttl_us), fence);
    /* Stretched by the issuer's reckoning, and once more by its clock. */
    int64_t bound_us =
        timing_stretch(timing_stretch(lease, SIM_DRIFT_PPM), SIM_DRIFT_PPM).us + TAKEOVER_SLACK_US;
    for (int i = 0; i < world->resource_count; i++) {
        if (world->oracle.drive[i].board == board)
            oracle_board_died(world, i, world->now_us + bound_us);
    }
    fault_power_cut_board(world, board, fault->duration_us);
    return NULL;
}

/* ---- one issuer cut off from the others */

/* Who was cut off, unless it was the leader, has deposed nobody. */
static void check_leader_stayed(struct world *world, int leader)
{
    uint64_t term = world->issuer[leader].replica->raft.term;
    if (world->cut_term != 0 && term != world->cut_term)
        world_fail(world, ORACLE_L2,
                   "a healthy leader of term %llu was deposed, %s leads in term "
                   "%llu",
                   (unsigned long long)world->cut_term, world->name[leader].text,
                   (unsigned long long)term);
}

static void cut_link(struct world *world, const struct fault *fault, int node, int peer)
{
    if (fault->word != WORD_DEAF)
        net_block(world, node, peer, fault->duration_us);
    if (fault->word != WORD_DUMB)
        net_block(world, peer, node, fault->duration_us);
}

static const char *apply_cut(struct world *world, const struct fault *fault)
{
    int leader = sim_issuer_leader(world);
    int node = node_of(world, fault->node);
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when an issuer is to be cut off");
    if (node < 0)
        return missing(fault->node);
    oracle_check_driven(world);
    check_leader_stayed(world, leader);
    world_cover(world, node == leader ? COVERAGE_LEADERS_CUT_OFF : COVERAGE_FOLLOWERS_CUT_OFF);
    world->cut_term = node == leader ? 0 : world->issuer[leader].replica->raft.term;
    for (int peer = 0; peer < world->issuer_count; peer++) {
        bool pair = fault->word == WORD_FROM_LEADER && node != leader;
        if (peer != node && (!pair || peer == leader))
            cut_link(world, fault, node, peer);
    }
    /* Another one has led for long, or still does. */
    world_post(world, EVENT_CHECK, 0, fault->duration_us, NULL, 0);
    return NULL;
}

/* ---- slow disks and nothing else */

static const char *apply_disks_slow(struct world *world, const struct fault *fault)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when disks become slow");
    oracle_check_driven(world);
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_disk *disk = &world->issuer[i].disk;
        if (fault->word != WORD_ALL && (i == leader) != (fault->word == WORD_LEADER))
            continue;
        disk->slow_us = SLOW_SYNC_US * world->plan.scale;
        disk->slow_until_us = world->now_us + fault->duration_us;
    }
    world->oracle.steady_term = world->issuer[leader].replica->raft.term;
    world->oracle.kill_term = world->oracle.steady_term;
    world->oracle.no_drop = true;
    world_cover(world, COVERAGE_SLOW_PHASES);
    return NULL;
}

/* ---- the worst day */

static const char *apply_backup(struct world *world, const struct fault *fault)
{
    (void)fault;
    return restore_backup(world);
}

static const char *apply_loss(struct world *world, const struct fault *fault)
{
    if (fault->word == WORD_RESTORED)
        return restore_cluster(world, fault->duration_us);
    return sim_begin_anew(world, fault->duration_us, fault->word == WORD_ABOVE);
}

/*
 * When no more faults come: files that list too few are mended, and a cluster that was begun anew with
 * too low a number is begun again, as its boards ask for, as is one whose only issuer lost its journal.
 */
static void mend_beginnings(struct world *world)
{
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_issuer *issuer = &world->issuer[i];
        if (issuer->alone && issuer->process.up)
            fault_kill_issuer(world, i, false, 0);
        issuer->alone = false;
    }
    if (world->begun_low || sim_waits_for_operator(world))
        (void)sim_begin_anew(world, 0, true);
}

/* ---- all kinds */

const struct fault_row fault_table[FAULT_KINDS] = {
    [FAULT_PAUSE] = { "pause",
                      12,
                      { FIELD_PART, FIELD_NODE, FIELD_DURATION },
                      { 0 },
                      draw_pause,
                      apply_pause },
    [FAULT_KILL] = { "kill",
                     10,
                     { FIELD_PART, FIELD_NODE, FIELD_DURATION },
                     { 0 },
                     draw_kill,
                     apply_kill },
    [FAULT_POWER] = { "power", 6, { FIELD_NODE, FIELD_DURATION }, { 0 }, draw_power, apply_power },
    [FAULT_KILL_IN_FLUSH] = { "die-in-flush",
                              4,
                              { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                              { "kill", "power" },
                              draw_death_within,
                              apply_kill_in_flush },
    [FAULT_KILL_IN_START] = { "die-in-start",
                              2,
                              { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                              { "kill", "power" },
                              draw_death_within,
                              apply_kill_in_start },
    [FAULT_PARTITION] = { "partition",
                          8,
                          { FIELD_NODES, FIELD_WORD, FIELD_DURATION },
                          { "both-ways", "one-way" },
                          draw_partition,
                          apply_partition },
    [FAULT_BREAK] = { "break",
                      4,
                      { FIELD_NODE, FIELD_PEER, FIELD_DURATION },
                      { 0 },
                      draw_break,
                      apply_break },
    [FAULT_DISK_FAIL] = { "disk-fail",
                          1,
                          { FIELD_ISSUER },
                          { 0 },
                          draw_disk_fail,
                          apply_disk_fail },
    [FAULT_DISK_SLOW] = { "disk-slow",
                          3,
                          { FIELD_ISSUER, FIELD_DURATION },
                          { 0 },
                          draw_disk_slow,
                          apply_disk_slow },
    [FAULT_CLOCK_RATE] = { "clock-rate",
                           4,
                           { FIELD_NODE, FIELD_PPM },
                           { 0 },
                           draw_clock_rate,
                           apply_clock_rate },
    [FAULT_HANG] = { "hang", 4, { FIELD_BOARD, FIELD_DURATION }, { 0 }, draw_hang, apply_hang },
    [FAULT_LEASE_END] = { "lease-end",
                          5,
                          { FIELD_RESOURCE, FIELD_WORD },
                          { "hang", "guard-dies" },
                          draw_lease_end,
                          apply_lease_end },
    [FAULT_SLEEP] = { "sleep", 4, { FIELD_NODE, FIELD_DURATION }, { 0 }, draw_sleep, apply_sleep },
    [FAULT_WAKE_STEP] = { "wake-step",
                          3,
                          { FIELD_NODE, FIELD_WORD, FIELD_DURATION },
                          { "early", "late" },
                          draw_wake_step,
                          apply_wake_step },
    [FAULT_RAW_STEP] = { "raw-step",
                         2,
                         { FIELD_BOARD, FIELD_WORD, FIELD_DURATION },
                         { "forward", "back" },
                         draw_raw_step,
                         apply_raw_step },
    [FAULT_RAW_STANDS] = { "raw-stands",
                           2,
                           { FIELD_NODE, FIELD_DURATION },
                           { 0 },
                           draw_raw_stands,
                           apply_raw_stands },
    [FAULT_WELD] = { "weld",
                     4,
                     { FIELD_RESOURCE, FIELD_BOARD, FIELD_DURATION },
                     { 0 },
                     draw_weld,
                     apply_weld },
    [FAULT_READBACK] = { "readback",
                         3,
                         { FIELD_RESOURCE, FIELD_BOARD, FIELD_WORD, FIELD_DURATION },
                         { "off", "on" },
                         draw_readback,
                         apply_readback },
    [FAULT_TRANSFER] = { "transfer",
                         4,
                         { FIELD_RESOURCE, FIELD_BOARD },
                         { 0 },
                         draw_resource_and_board,
                         apply_transfer },
    [FAULT_LEADER_TRANSFER] = { "leader-transfer",
                                4,
                                { FIELD_ISSUER, FIELD_WORD },
                                { "at-once", "slow-disk" },
                                draw_leader_transfer,
                                apply_leader_transfer },
    [FAULT_PIN] = { "pin",
                    2,
                    { FIELD_RESOURCE, FIELD_BOARD },
                    { 0 },
                    draw_resource_and_board,
                    apply_pin },
    [FAULT_UNPIN] = { "unpin", 2, { FIELD_RESOURCE }, { 0 }, draw_resource, apply_unpin },
    [FAULT_CLEAR] = { "clear", 0, { FIELD_END }, { 0 }, NULL, apply_clear },
    [FAULT_GO] = { "go", 2, { FIELD_RESOURCE }, { 0 }, draw_resource, apply_go },
    [FAULT_NOTES] = { "notes", 0, { FIELD_DURATION, FIELD_PERIOD }, { 0 }, NULL, apply_notes },
    [FAULT_LEADER_DEATH] = { "leader-death",
                             0,
                             { FIELD_WORD, FIELD_DURATION },
                             { "kill", "power" },
                             draw_leader_death,
                             apply_leader_death },
    [FAULT_BOARD_DEATH] = { "board-death",
                            0,
                            { FIELD_DURATION },
                            { 0 },
                            draw_board_death,
                            apply_board_death },
    [FAULT_CUT] = { "cut",
                    0,
                    { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                    { "both-ways", "dumb", "deaf", "from-leader" },
                    draw_cut,
                    apply_cut },
    [FAULT_WALL_STEP] = { "wall-step",
                          2,
                          { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                          { "forward", "back" },
                          draw_wall_step,
                          apply_wall_step },
    [FAULT_LAGGARD] = { "laggard",
                        1,
                        { FIELD_ISSUER, FIELD_WORD },
                        { "handed-over", "leader-dies" },
                        draw_laggard,
                        apply_laggard },
    [FAULT_DISKS_SLOW] = { "disks-slow",
                           0,
                           { FIELD_WORD, FIELD_DURATION },
                           { "all", "leader", "follower" },
                           draw_disks_slow,
                           apply_disks_slow },
    [FAULT_BACKUP] = { "backup", 0, { FIELD_END }, { 0 }, NULL, apply_backup },
    [FAULT_LOSS] = { "loss",
                     0,
                     { FIELD_WORD, FIELD_DURATION },
                     { "restored", "above", "low" },
                     draw_loss,
                     apply_loss },
    [FAULT_DAMAGE] = { "damage",
                       2,
                       { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                       { "bits", "block", "card", "card-alone", "card-begun" },
                       draw_damage,
                       apply_damage },
    [FAULT_MEMBER_ADD] = { "member-add",
                           0,
                           { FIELD_ISSUER },
                           { 0 },
                           draw_member,
                           apply_member_add },
    [FAULT_MEMBER_PROMOTE] = { "member-promote",
                               0,
                               { FIELD_ISSUER },
                               { 0 },
                               draw_member,
                               apply_member_promote },
    [FAULT_MEMBER_REMOVE] = { "member-remove",
                              0,
                              { FIELD_ISSUER },
                              { 0 },
                              draw_member_remove,
                              apply_member_remove },
    [FAULT_REFIT] = { "refit",
                      5,
                      { FIELD_PART, FIELD_BOARD, FIELD_PERIOD, FIELD_DURATION },
                      { 0 },
                      draw_refit,
                      apply_refit },
    [FAULT_SLOW_LEADER] = { "slow-leader",
                            0,
                            { FIELD_WORD, FIELD_PERIOD, FIELD_DURATION },
                            { "at-once", "gently", "boards" },
                            slack_draw_slow,
                            slack_apply_slow },
    [FAULT_STALL] = { "stall", 0, { FIELD_DURATION }, { 0 }, slack_draw_stall, slack_apply_stall },
    [FAULT_COPY_CARD] = { "copy-card", 0, { FIELD_ISSUER }, { 0 }, draw_member, apply_copy_card },
    [FAULT_PUT_BACK] = { "put-back", 0, { FIELD_DURATION }, { 0 }, draw_put_back, apply_put_back },
};

void fault_apply(struct world *world, const struct fault *fault)
{
    char line[FAULT_LINE_MAX];
    const char *text = fault_print(fault, line);
    trace_leases(world);
    log_note(world, "fault:%s", text + strcspn(text, " ")); /* the line begins with its time */
    const char *skipped = world->put_back.open && !leaves_leader(fault->kind) ?
                              "a card that was put back is to be found out first" :
                              fault_table[fault->kind].apply(world, fault);
    if (skipped)
        log_note(world, "fault: %s skipped: %s", fault_table[fault->kind].name, skipped);
}

/* ---- a run's */

static void post_next(struct world *world)
{
    const struct scenario *scenario = world->scenario;
    if (world->next_fault < scenario->count)
        world_post(world, EVENT_FAULT, 0, scenario->fault[world->next_fault].at_us - world->now_us,
                   NULL, 0);
}

void fault_start(struct world *world)
{
    const struct sim_plan *plan = &world->plan;
    post_next(world);
    world_post(world, EVENT_QUIET, 0, plan->quiet_us, NULL, 0);
    if (!plan_is_chaos(plan))
        return;
    for (int64_t check_us = plan_driven_by_us(plan); check_us <= plan->end_us; check_us += 500000)
        world_post(world, EVENT_CHECK, 0, check_us, NULL, 0);
}

void fault_event(struct world *world, const struct event *event)
{
    (void)event;
    if (world->quiet)
        return;
    fault_apply(world, &world->scenario->fault[world->next_fault++]);
    post_next(world);
}

void fault_quiet(struct world *world, const struct event *event)
{
    world->quiet = true;
    world->oracle.quiet_index = world->oracle.last;
    log_note(world, "no more faults");
    net_heal(world);
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_issuer *issuer = &world->issuer[i];
        issuer->disk.slow_until_us = 0;
        if (issuer->process.up && (issuer->store_failed || issuer->disk.sync_error != 0))
            fault_kill_issuer(world, i, false, 0);
    }
    mend_beginnings(world);
    fault_operator(world, event);
}
