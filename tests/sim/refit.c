/*
 * A board that is refitted: another charge pump, with another time constant, and a file that says so.
 * The hardware is changed while the guard is down; guard and agent read the file when they start,
 * each by itself. Whoever runs with a file that is no longer the board's is restarted some time later;
 * so too after a restore that brought files with another ttl.
 */
#include "tests/sim/fault.h"
#include "tests/sim/sim.h"

const char *refit_check(const struct world *world, int board)
{
    if (world->plan.hardware[board].output != OUTPUT_PULSE)
        return "it has no charge pump";
    return world->plan.refit_hold_ms == 0 ? "there is no other one" : NULL;
}

void refit_change_file(struct world *world, int board)
{
    const struct sim_plan *plan = &world->plan;
    struct sim_board *refitted = &world->board[board];
    refitted->file_hold_ms =
        refitted->file_hold_ms == plan->hold_ms ? plan->refit_hold_ms : plan->hold_ms;
    log_note(world, "%s: its file has a hold time of %lld ms now",
             world->name[board_node(world, board)].text, (long long)refitted->file_hold_ms);
}

bool refit_is_old(const struct world *world, int board, enum fault_part part)
{
    const struct sim_board *refitted = &world->board[board];
    if (part == PART_AGENT)
        return refitted->agent.process->up && (refitted->agent.hold_ms != refitted->file_hold_ms ||
                                               refitted->agent.ttl_us != world->ttl_us);
    return refitted->guard.process.up &&
           (refitted->hold_ms != refitted->file_hold_ms || refitted->ttl_us != world->ttl_us);
}
