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
    process_begin(machine_daemon(world, machine));
    daemon_start(world, machine);
}

void machine_stop_daemon(struct world *world, int machine, bool power)
{
    process_end(machine_daemon(world, machine));
    if (machine < world->issuer_count)
        sim_issuer_stop(world, machine, power);
    if (world->board_on[machine] >= 0)
        sim_agent_stop(world, world->board_on[machine]);
    loop_end(world, machine);
    net_machine_died(world, machine, power);
}

/* Whatever ran is gone at once, its peers hear nothing of it. */
static void stop_all(struct world *world, int machine)
{
    int board = world->board_on[machine];
    world->boot[machine]++;
    world->asleep_until_us[machine] = 0;
    if (board >= 0 && world->board[board].guard.process.up)
        sim_guard_vanish(world, board);
    if (machine_daemon(world, machine)->up)
        machine_stop_daemon(world, machine, true);
    if (board >= 0)
        guard_run_dir_lost(world, board);
    if (board >= 0)
        guard_record_cut(world, board);
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
    guard_record_damaged(world, board);
    world->board[board].guard.watchdog_us = INT64_MAX;
    line_all_low(world, board);
}

void machine_reset(struct world *world, int board)
{
    int machine = world->machine_of[board_node(world, board)];
    struct random *random = world_random(world, STREAM_PROCESS, board_node(world, board));
    int64_t most_us = world->plan.hardware[board].reset_us;
    int64_t reset_us = random_chance(random, 500000) ? most_us : random_between(random, 1, most_us);
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

/* ---- clocks, and sleep */

static void clock_is_touched(struct world *world, int machine)
{
    world->touched_us[machine] = world->now_us;
    if (world->board_on[machine] >= 0)
        world->board[world->board_on[machine]].guard.clock_touched_us = world->now_us;
}

/* The watchdog of a board with plain outputs that cover a hang counts on in its sleep. */
static void watchdog_sleeps(struct world *world, int board, int64_t duration_us)
{
    struct sim_guard *guard = &world->board[board].guard;
    if (guard->watchdog_us == INT64_MAX || world->plan.hardware[board].output == OUTPUT_GPIO_KERNEL)
        return;
    guard->watchdog_us += duration_us;
    world_post(world, EVENT_GUARD_WATCHDOG, board_node(world, board),
               guard->watchdog_us - world->now_us, NULL, 0)
        ->epoch = ++guard->watchdog_id;
}

/* Its loop looks at its clocks at its next turn, a report's interval away at the most. */
static int64_t next_turn_us(const struct world *world)
{
    return 2 * SIM_GUARD_STATUS_MS * 1000 * world->plan.scale;
}

/* One that was late already is later by that. */
static void turn_is_later(struct world *world, int board, int64_t by_us)
{
    int64_t turn_us = world->now_us + next_turn_us(world);
    int64_t absent_us = world->board[board].guard.absent_until_us;
    sim_guard_absent(world, board, (absent_us > turn_us ? absent_us : turn_us) + by_us);
}

void machine_sleep(struct world *world, int machine, int64_t duration_us)
{
    int board = world->board_on[machine];
    int64_t until_us = world->now_us + duration_us;
    struct machine_clock *clock = &world->clock[machine];
    log_note(world, "%s: sleeps for %lld us", world->name[machine].text, (long long)duration_us);
    world->asleep_until_us[machine] = until_us;
    clock_stand(world, &clock->raw, true);
    clock_stand(world, &clock->monotonic, true);
    process_shift_timers(world, machine, duration_us);
    process_pause(machine_daemon(world, machine), until_us);
    if (board >= 0) {
        process_pause(&world->board[board].guard.process, until_us);
        watchdog_sleeps(world, board, duration_us);
        turn_is_later(world, board, duration_us);
    }
    for (int peer = 0; peer < world->issuer_count + world->board_count; peer++) {
        net_block(world, machine, peer, duration_us);
        net_block(world, peer, machine, duration_us);
    }
    world_post(world, EVENT_WAKE, machine, duration_us, NULL, 0)->life = world->boot[machine];
}

void machine_wake(struct world *world, const struct event *event)
{
    struct machine_clock *clock = &world->clock[event->node];
    if (event->life != world->boot[event->node])
        return;
    clock_stand(world, &clock->raw, false);
    clock_stand(world, &clock->monotonic, false);
    clock->slept_us += world->now_us - event->sent_us;
    world->asleep_until_us[event->node] = 0;
    log_note(world, "%s: wakes", world->name[event->node].text);
    clock_is_touched(world, event->node);
    /* Sooner than the guard, which has yet to find out. */
    if (world->board_on[event->node] >= 0)
        guard_client_looks(world, world->board_on[event->node]);
}

void machine_step_wakes(struct world *world, int machine, int64_t step_us)
{
    int board = world->board_on[machine];
    clock_step(world, &world->clock[machine].monotonic, step_us);
    /* By true time: a clock that is slewed makes it up sooner or later. */
    int64_t later_us = clock_stretch_us(world, machine, -step_us);
    process_shift_timers(world, machine, later_us);
    clock_is_touched(world, machine);
    if (board >= 0 && later_us > 0)
        turn_is_later(world, board, later_us);
}

void machine_step_raw(struct world *world, int machine, int64_t step_us)
{
    int board = world->board_on[machine];
    clock_step(world, &world->clock[machine].raw, step_us);
    clock_is_touched(world, machine);
    world->board[board].guard.clock_went_back = step_us < 0;
    sim_guard_absent(world, board, world->now_us + next_turn_us(world));
}

void machine_stand_raw(struct world *world, int machine, int64_t duration_us)
{
    int board = world->board_on[machine];
    clock_stand(world, &world->clock[machine].raw, true);
    clock_is_touched(world, machine);
    if (board >= 0) {
        struct sim_guard *guard = &world->board[board].guard;
        guard->clock_fault = false;
        /* What was asked for until the clock goes on is reckoned from a time too early. */
        guard->clock_bad_until_us = world->now_us + duration_us +
                                    2 * plan_longest_ttl_us(&world->plan) +
                                    world->board[board].hold_ms * 1000;
    }
    world_post(world, EVENT_CLOCK_GOES, machine, duration_us, NULL, 0)->life = world->boot[machine];
}

void machine_raw_goes(struct world *world, const struct event *event)
{
    int board = world->board_on[event->node];
    if (event->life != world->boot[event->node])
        return;
    if (board >= 0)
        oracle_clock_stood(world, board, event->sent_us);
    clock_stand(world, &world->clock[event->node].raw, false);
    clock_is_touched(world, event->node);
}
