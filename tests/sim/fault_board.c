/* Faults of a board's hardware and of clocks */
#include "tests/sim/fault_rows.h"

#include "tests/sim/sim.h"

enum { JUST_US = 1000000 /* times the scale: no output goes off for longer */ };

const char *apply_hang(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    int board = node - world->issuer_count;
    if (board < 0)
        return fault_no_board;
    if (!world->board[board].guard.process.up)
        return fault_is_down;
    if (world->asleep_until_us[world->machine_of[node]] != 0)
        return fault_asleep;
    if (!fault_covers_hangs(world, node))
        return fault_not_covered;
    world_cover(world, COVERAGE_KERNEL_HANGS);
    machine_hang(world, board);
    /* Nothing ends it but somebody who cuts the power. */
    if (!world->plan.hardware[board].watchdog)
        fault_restart_board(world, board, fault->duration_us);
    return NULL;
}

const char *apply_lease_end(struct world *world, const struct fault *fault)
{
    if (fault->resource >= world->resource_count)
        return fault_no_board;
    return lease_end_apply(world, fault->resource, fault->word == WORD_GUARD_DIES);
}

/* NULL, and the machine of a fault's node; or why its clocks are left alone now. */
static const char *whole_machine(const struct world *world, const struct fault *fault, int *machine)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    *machine = world->machine_of[node];
    int board = world->board_on[*machine];
    if (world->asleep_until_us[*machine] != 0)
        return fault_asleep;
    if (world->clock[*machine].raw.stands)
        return "its clock stands";
    if (world->hung[*machine] || (board >= 0 && !world->board[board].guard.process.up))
        return fault_is_down;
    return NULL;
}

const char *apply_sleep(struct world *world, const struct fault *fault)
{
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    if (skipped)
        return skipped;
    if (!fault_covers_hangs(world, machine))
        return fault_not_covered;
    world_cover(world, COVERAGE_SLEEPS);
    machine_sleep(world, machine, fault->duration_us);
    return NULL;
}

const char *apply_wake_step(struct world *world, const struct fault *fault)
{
    enum { BORNE_US = 500 }; /* of the release time, beside slew and a late scheduler */
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    bool late = fault->word == WORD_LATE;
    if (skipped)
        return skipped;
    if (late && fault->duration_us > BORNE_US && !fault_covers_hangs(world, machine))
        return fault_not_covered;
    world_cover(world, COVERAGE_WAKE_STEPS);
    machine_step_wakes(world, machine, late ? -fault->duration_us : fault->duration_us);
    return NULL;
}

static bool drops(const struct world *world, int board, int resource)
{
    return world->board[board].guard.loop.guard.resource[resource].state == GUARD_DROPPING;
}

/* Nothing but its clock tells a guard without readback, or with one that lies, when that output is off. */
static bool drops_by_clock_alone(const struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        bool told = !world->plan.hardware[board].blind &&
                    world->board[board].line[i].reading != READING_OFF;
        if (!told && drops(world, board, i))
            return true;
    }
    return false;
}

const char *apply_raw_step(struct world *world, const struct fault *fault)
{
    int machine = 0;
    const char *skipped = whole_machine(world, fault, &machine);
    bool back = fault->word == WORD_BACK;
    if (skipped)
        return skipped;
    /* An issuer's deadlines are as good as its clock; only a guard watches one. */
    if (machine < world->issuer_count)
        return "an issuer lives there";
    if (!fault_covers_hangs(world, machine))
        return fault_not_covered;
    if (world->board[world->board_on[machine]].guard.absent_until_us >= world->now_us)
        return "its guard is away";
    if (clock_local(world, machine).us < fault->duration_us)
        return "its clock has just begun";
    if (!back && drops_by_clock_alone(world, world->board_on[machine]))
        return "an output goes off by that clock";
    world_cover(world, COVERAGE_RAW_STEPS);
    machine_step_raw(world, machine, back ? -fault->duration_us : fault->duration_us);
    return NULL;
}

const char *apply_raw_stands(struct world *world, const struct fault *fault)
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
    int board = fault_node(world, fault->node) - world->issuer_count;
    if (board < 0 || fault->resource >= world->resource_count)
        return fault_no_board;
    if (world->plan.hardware[board].blind)
        return "nobody would see it: it has no readback";
    *line = &world->board[board].line[fault->resource];
    return (*line)->welded || (*line)->reading != READING_TRUE ? "broken already" : NULL;
}

static void repair_later(struct world *world, const struct fault *fault)
{
    world_post(world, EVENT_REPAIR, fault_node(world, fault->node), fault->duration_us, NULL, 0)
        ->peer = fault->resource;
}

const char *apply_weld(struct world *world, const struct fault *fault)
{
    struct line *line = NULL;
    const char *skipped = whole_line(world, fault, &line);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_WELDED_RELAYS);
    line_weld(world, fault_node(world, fault->node) - world->issuer_count, fault->resource);
    repair_later(world, fault);
    return NULL;
}

const char *apply_readback(struct world *world, const struct fault *fault)
{
    struct line *line = NULL;
    const char *skipped = whole_line(world, fault, &line);
    if (skipped)
        return skipped;
    int board = fault_node(world, fault->node) - world->issuer_count;
    int machine = world->machine_of[board_node(world, board)];
    if (fault->word != WORD_ON && drops(world, board, fault->resource) &&
        world->now_us - world->touched_us[machine] < JUST_US * world->plan.scale)
        return "an output goes off by a clock that stepped";
    world_cover(world, COVERAGE_STUCK_READBACKS);
    line_stick(world, fault_node(world, fault->node) - world->issuer_count, fault->resource,
               fault->word == WORD_ON ? READING_ON : READING_OFF);
    repair_later(world, fault);
    return NULL;
}

void fault_repair(struct world *world, const struct event *event)
{
    line_repair(world, event->node - world->issuer_count, event->peer);
}

const char *apply_clock_rate(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    world_cover(world, COVERAGE_CLOCK_RATE_CHANGES);
    clock_change_rate(world, world->machine_of[node], fault->ppm);
    return NULL;
}

const char *apply_wall_step(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    world_cover(world, COVERAGE_WALL_STEPS);
    world->wall_offset_us[node] +=
        fault->word == WORD_FORWARD ? fault->duration_us : -fault->duration_us;
    return NULL;
}
