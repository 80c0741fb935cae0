/*
 * Machines: what shares a clock, a power supply and a holdfastd. A board may live on the machine of
 * an issuer; both roles are one process then, as in daemon/node.
 */
#include "base/check.h"
#include "tests/sim/sim.h"

void machine_place(struct world *world)
{
    for (int i = 0; i < world->issuer_count + world->board_count; i++) {
        world->machine_of[i] = i;
        world->board_on[i] = i - world->issuer_count; /* below 0 for an issuer's */
    }
    for (int board = 0; board < world->board_count; board++) {
        struct sim_agent *agent = &world->board[board].agent;
        agent->process = &agent->own;
        if (board >= world->plan.shared_machines)
            continue;
        agent->process = &world->issuer[board].process;
        world->machine_of[board_node(world, board)] = board;
        world->board_on[board] = board;
    }
}

struct process *machine_daemon(struct world *world, int machine)
{
    if (machine < world->issuer_count)
        return &world->issuer[machine].process;
    return world->board[machine - world->issuer_count].agent.process;
}

void machine_start_daemon(struct world *world, int machine)
{
    struct process *daemon = machine_daemon(world, machine);
    int board = world->board_on[machine];
    process_begin(daemon);
    if (machine < world->issuer_count)
        sim_issuer_start(world, machine);
    /* It may have died within its recovery. */
    if (board < 0 || !daemon->up)
        return;
    sim_agent_start(world, board);
    if (machine >= world->issuer_count)
        return;
    sim_issuer_link(world, machine, machine, true);
    sim_agent_link(world, board, machine, true);
}

void machine_stop_daemon(struct world *world, int machine, bool power)
{
    process_end(machine_daemon(world, machine));
    if (machine < world->issuer_count)
        sim_issuer_stop(world, machine, power);
    if (world->board_on[machine] >= 0)
        sim_agent_stop(world, world->board_on[machine]);
    net_machine_died(world, machine, power);
}
