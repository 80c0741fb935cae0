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
        world->board[board].guard.watchdog_us = INT64_MAX;
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

/* Whatever ran is gone at once, its peers hear nothing of it. */
static void stop_all(struct world *world, int machine)
{
    int board = world->board_on[machine];
    world->boot[machine]++;
    if (board >= 0 && world->board[board].guard.process.up)
        sim_guard_vanish(world, board);
    if (machine_daemon(world, machine)->up)
        machine_stop_daemon(world, machine, true);
}

void machine_hang(struct world *world, int board)
{
    int machine = world->machine_of[board_node(world, board)];
    log_note(world, "%s: kernel hangs", world->name[machine].text);
    stop_all(world, machine);
    world->hung[machine] = true;
}

void machine_power_cut(struct world *world, int machine)
{
    int board = world->board_on[machine];
    /* An issuer logs it itself. */
    if (machine >= world->issuer_count)
        log_note(world, "%s: power cut", world->name[machine].text);
    stop_all(world, machine);
    world->hung[machine] = false;
    clock_boot(world, machine);
    if (board < 0)
        return;
    world->board[board].guard.watchdog_us = INT64_MAX;
    line_all_low(world, board);
}

void machine_reset(struct world *world, int board)
{
    int machine = world->machine_of[board_node(world, board)];
    struct random *random = world_random(world, STREAM_PROCESS, board_node(world, board));
    int64_t reset_us = random_between(random, 1, world->plan.hardware[board].reset_us);
    /* Where no reset time is declared, pins fall with the reset itself. */
    if (world->plan.hardware[board].output == OUTPUT_GPIO_PROCESS)
        line_all_low(world, board);
    log_note(world, "%s: watchdog resets the board", world->name[machine].text);
    world_cover(world, COVERAGE_WATCHDOG_RESETS);
    if (world->hung[machine])
        world_cover(world, COVERAGE_HANG_RESETS);
    stop_all(world, machine);
    world->hung[machine] = false;
    clock_boot(world, machine);
    world->board[board].guard.watchdog_us = INT64_MAX;
    world_post(world, EVENT_PINS, board_node(world, board), reset_us, NULL, 0)->life =
        world->boot[machine];
    fault_restart_board(world, board, reset_us + random_between(random, 100000, 2000000));
}

void machine_pins(struct world *world, const struct event *event)
{
    if (event->life == world->boot[world->machine_of[event->node]])
        line_all_low(world, event->node - world->issuer_count);
}
