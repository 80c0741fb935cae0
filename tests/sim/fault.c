/* The plan of a run, and everything that goes wrong in it. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/timing.h"
#include "tests/sim/sim.h"

enum {
    SETTLE_US = 3000000,       /* before the first fault */
    CHAOS_US = 20000000,
    LINKS_US = 5000000,        /* links and resends */
    ELECTIONS = 7,             /* election timeouts until somebody leads, at the most */
    CHECKED_US = 3000000,
    KILLS_US = 30000000,
    KILL_EVERY_US = 5000000,
    OPERATOR_US = 300000,
    TAKEOVER_SLACK_US = 60000, /* grant, first renewal, energise, all wake-ups late */
    BEYOND_PPM = 100000
};

enum part { PART_ISSUER, PART_AGENT, PART_GUARD, PART_BOARD };

static int some_issuer(struct world *world)
{
    return (int)world_below(world, (uint64_t)world->issuer_count);
}

static int some_board(struct world *world)
{
    return (int)world_below(world, (uint64_t)world->board_count);
}

static int64_t until_quiet(const struct world *world, int64_t duration_us)
{
    int64_t left_us = world->quiet_us - world->now_us;
    return duration_us < left_us ? duration_us : left_us;
}

/* A disturbance may last longer where everything else is slower. */
static int64_t stretch(struct world *world, int64_t duration_us)
{
    return duration_us * world_between(world, 1, world->plan.scale);
}

/* True time by which every resource must be driven again. */
static int64_t driven_by_us(const struct world *world)
{
    const struct sim_plan *plan = &world->plan;
    return world->quiet_us + LINKS_US + ELECTIONS * plan->scale * SIM_ELECTION_MS * 1000 +
           2 * plan->ttl_us;
}

/* ---- plan */

/* One in eight seeds is as fast as can be; most are as slow as real plants. */
static void plan_pace(struct world *world)
{
    static const struct pace {
        int64_t scale;
        uint32_t rate_hz;
        int64_t hold_ms;
        int64_t readback_ms;
    } paces[] = {
        { 1, 125, 20, 5 },   { 1, 20, 200, 20 },   { 5, 10, 300, 50 },   { 10, 5, 600, 100 },
        { 10, 5, 600, 100 }, { 20, 2, 1500, 200 }, { 20, 2, 1500, 200 }, { 20, 2, 1500, 200 },
    };
    struct sim_plan *plan = &world->plan;
    const struct pace *pace = &paces[world_below(world, sizeof(paces) / sizeof(paces[0]))];
    plan->scale = pace->scale;
    plan->rate_hz = pace->rate_hz;
    plan->hold_ms = pace->hold_ms;
    plan->readback_ms = pace->readback_ms;
}

static void plan_network(struct world *world)
{
    struct network *network = &world->network;
    network->delay_max_us = world_between(world, 300, 20000);
    network->ordered = world_chance(world, 400000);
    if (world_chance(world, 500000))
        network->straggle_max_us = world_between(world, 50000, 1000000);
    if (!network->ordered && world_chance(world, 700000)) {
        network->loss_ppm = (unsigned)world_below(world, 100000);
        network->repeat_ppm = (unsigned)world_below(world, 100000);
    }
}

static void plan_kills(struct world *world)
{
    struct sim_plan *plan = &world->plan;
    struct span recommended = timing_recommended_ttl(span_from_ms(SIM_ELECTION_MS * plan->scale),
                                                     span_from_ms(SIM_HEARTBEAT_MS * plan->scale),
                                                     span_from_ms(SIM_RELEASE_MS), SIM_DRIFT_PPM);
    plan->ttl_us = plan->type == SIM_LEADER_KILL ?
                       recommended.us : world_between(world, 2, 10) * 100000 * plan->scale;
    plan->failback = false;
    plan->shared_machines = 0;
    plan->note_interval_us = 0;
    plan->fault_interval_us = KILL_EVERY_US * plan->scale;
    world->network.ordered = true;
    world->network.loss_ppm = 0;
    world->network.repeat_ppm = 0;
    world->network.straggle_max_us = 0;
    world->network.delay_max_us = 1000;
    world->quiet_us = KILLS_US * plan->scale;
    world->end_us = world->quiet_us;
}

void fault_plan(struct world *world)
{
    static const int64_t ttls_ms[] = { 200, 500, 1000, 2000 };
    struct sim_plan *plan = &world->plan;
    uint64_t kind = world_below(world, 10);
    bool chaos = kind >= 2 || world->settings.skew_beyond || world->settings.plant != PLANT_NONE;
    plan->type = chaos ? SIM_CHAOS : kind == 0 ? SIM_LEADER_KILL : SIM_BOARD_KILL;
    if (world->settings.only != SIM_TYPES)
        plan->type = world->settings.only;
    chaos = plan->type == SIM_CHAOS;
    plan_pace(world);
    world->issuer_count = world_chance(world, 250000) ? 5 : 3;
    world->board_count = world_chance(world, 300000) ? 3 : 2;
    world->resource_count = world_chance(world, 400000) ? 2 : 1;
    plan->ttl_us = ttls_ms[world_below(world, 4)] * 1000 * plan->scale;
    plan->fault_interval_us = world_between(world, 200000, 2500000) * plan->scale;
    plan->note_interval_us =
        world_chance(world, 150000) ? world_between(world, 8000, 30000) * plan->scale : 0;
    plan->growth_bytes = (uint64_t)world_between(world, 20000, 200000);
    plan->shared_machines =
        world_chance(world, 400000) ? (int)world_between(world, 1, world->board_count) : 0;
    plan->watchdog = world_chance(world, 500000);
    plan->failback = world_chance(world, 300000);
    plan->skew_ppm_max = world->settings.skew_beyond ? BEYOND_PPM : SIM_DRIFT_PPM;
    world->quiet_us = (SETTLE_US + CHAOS_US) * plan->scale;
    world->end_us = driven_by_us(world) + CHECKED_US;
    plan_network(world);
    if (!chaos)
        plan_kills(world);
}

void fault_start(struct world *world)
{
    world_post(world, EVENT_FAULT, 0, SETTLE_US * world->plan.scale, NULL, 0);
    world_post(world, EVENT_OPERATOR, 0, SETTLE_US * world->plan.scale, NULL, 0);
    world_post(world, EVENT_QUIET, 0, world->quiet_us, NULL, 0);
    if (world->plan.type != SIM_CHAOS)
        return;
    for (int64_t check_us = driven_by_us(world); check_us <= world->end_us; check_us += 500000)
        world_post(world, EVENT_CHECK, 0, check_us, NULL, 0);
}

/* ---- ends and restarts */

static void restart_later(struct world *world, int node, enum part part, int64_t delay_us)
{
    world_post(world, EVENT_RESTART, node, until_quiet(world, delay_us), NULL, 0)->epoch = part;
}

void fault_restart(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    int machine = world->machine_of[event->node];
    switch ((enum part)event->epoch) {
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
    }
    hf_panic(__FILE__, __LINE__, "restart");
}

static int64_t down_time(struct world *world)
{
    int64_t most_us = world_chance(world, 500000) ? 200000 : 4000000;
    return stretch(world, world_between(world, 5000, most_us));
}

void fault_kill_issuer(struct world *world, int node, bool power, int64_t down_us)
{
    if (!world->issuer[node].process.up)
        return;
    world_cover(world, power ? COVERAGE_ISSUER_POWER_CUTS : COVERAGE_ISSUER_KILLS);
    if (power && world->board_on[node] >= 0) {
        fault_power_cut_board(world, world->board_on[node], until_quiet(world, down_us));
        return;
    }
    machine_stop_daemon(world, node, power);
    if (power)
        clock_boot(world, node);
    restart_later(world, node, PART_ISSUER, down_us);
}

static void kill_agent(struct world *world, int board)
{
    if (!world->board[board].agent.process->up)
        return;
    world_cover(world, COVERAGE_AGENT_KILLS);
    machine_stop_daemon(world, world->machine_of[board_node(world, board)], false);
    restart_later(world, board_node(world, board), PART_AGENT, down_time(world));
}

static void kill_guard(struct world *world, int board)
{
    if (!world->board[board].guard.process.up)
        return;
    world_cover(world, COVERAGE_GUARD_KILLS);
    sim_guard_stop(world, board);
    restart_later(world, board_node(world, board), PART_GUARD, down_time(world));
}

void fault_power_cut_board(struct world *world, int board, int64_t off_us)
{
    struct board *cut = &world->board[board];
    int machine = world->machine_of[board_node(world, board)];
    world_cover(world, COVERAGE_BOARD_POWER_CUTS);
    cut->guard.watchdog_us = INT64_MAX;
    if (cut->guard.process.up)
        sim_guard_stop(world, board);
    if (cut->agent.process->up)
        machine_stop_daemon(world, machine, true);
    clock_boot(world, machine);
    world_post(world, EVENT_RESTART, board_node(world, board), off_us, NULL, 0)->epoch =
        PART_BOARD;
}

/* ---- pauses */

static void pause_process(struct world *world, struct process *process, enum coverage_kind kind,
                          const char *what, int node)
{
    static const int64_t most_us[] = { 15000, 40000, 500000, 4000000 };
    int64_t most = most_us[world_below(world, 4)];
    if (!process->up)
        return;
    world_cover(world, kind);
    int64_t duration_us = stretch(world, world_between(world, 1000, most));
    process->paused_until_us = world->now_us + until_quiet(world, duration_us);
    log_note(world, "%s: %s paused for %lld us", world->name[node].text, what,
             (long long)(process->paused_until_us - world->now_us));
}

static void pause_something(struct world *world)
{
    int issuer = some_issuer(world);
    int board = some_board(world);
    int node = board_node(world, board);
    switch (world_below(world, 3)) {
    case 0:
        pause_process(world, &world->issuer[issuer].process, COVERAGE_ISSUER_PAUSES, "issuer",
                      issuer);
        return;
    case 1:
        pause_process(world, world->board[board].agent.process, COVERAGE_AGENT_PAUSES, "agent",
                      node);
        return;
    default:
        pause_process(world, &world->board[board].guard.process, COVERAGE_GUARD_PAUSES, "guard",
                      node);
        return;
    }
}

/* ---- network */

static void partition(struct world *world)
{
    int nodes = world->issuer_count + world->board_count;
    int64_t duration_us = until_quiet(world, stretch(world, world_between(world, 20000, 5000000)));
    bool one_way = world_chance(world, 400000);
    uint64_t apart = 1 + world_below(world, (1u << nodes) - 2);
    /* Mostly one node alone: a leader, or a board that drives. */
    if (world_chance(world, 600000))
        apart = UINT64_C(1) << world_below(world, (uint64_t)nodes);
    world_cover(world, one_way ? COVERAGE_ONE_WAY_PARTITIONS : COVERAGE_PARTITIONS);
    log_note(world, "network: %s partition of nodes 0x%llx for %lld us",
             one_way ? "one-way" : "full", (unsigned long long)apart, (long long)duration_us);
    for (int from = 0; from < nodes; from++) {
        for (int to = 0; to < nodes; to++) {
            bool out = (apart >> from & 1) != 0 && (apart >> to & 1) == 0;
            bool in = (apart >> from & 1) == 0 && (apart >> to & 1) != 0;
            if (out || (in && !one_way))
                net_block(world, from, to, duration_us);
        }
    }
}

static void break_connection(struct world *world)
{
    int low = some_issuer(world);
    int high = (int)world_below(world, (uint64_t)(world->issuer_count + world->board_count));
    if (low == high)
        return;
    world_cover(world, COVERAGE_CONNECTION_BREAKS);
    log_note(world, "network: connection %s - %s breaks", world->name[low].text,
             world->name[high].text);
    net_break(world, low, high, world_chance(world, 700000) ? 5000 : 2000000);
}

/* ---- disks */

static void disturb_disk(struct world *world)
{
    int node = some_issuer(world);
    struct sim_disk *disk = &world->issuer[node].disk;
    if (world_chance(world, 200000)) {
        disk->sync_error = EIO;
        log_note(world, "%s: disk fails from now on", world->name[node].text);
        return;
    }
    world_cover(world, COVERAGE_SLOW_DISKS);
    disk->slow_until_us = world->now_us + stretch(world, world_between(world, 200000, 5000000));
    log_note(world, "%s: disk is slow", world->name[node].text);
}

/* ---- operators */

static void leader_event(struct world *world, struct replica_event *event)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0 || world->issuer[leader].process.paused_until_us > world->now_us)
        return;
    (void)name_from_string(&event->who, "operator");
    sim_issuer_step(world, leader, event);
}

static void transfer_board(struct world *world)
{
    struct replica_event event = {
        .kind = REPLICA_TRANSFER,
        .resource = world->resource[world_below(world, (uint64_t)world->resource_count)],
        .node = world->name[board_node(world, some_board(world))],
    };
    uint64_t accepted = world->oracle.last;
    world->scratch->output.error = "no leader";
    leader_event(world, &event);
    if (!world->scratch->output.error && world->scratch->output.refusal == RAFT_ACCEPTED) {
        world_cover(world, COVERAGE_BOARD_TRANSFERS);
        log_note(world, "operator: transfer %s to %s, at entry %llu", event.resource.text,
                 event.node.text, (unsigned long long)accepted);
    }
}

static void transfer_leader(struct world *world)
{
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER,
                                   .node = world->name[some_issuer(world)] };
    world_cover(world, COVERAGE_LEADER_TRANSFERS);
    log_note(world, "operator: leader transfer to %s", event.node.text);
    leader_event(world, &event);
}

static void pin_something(struct world *world)
{
    struct replica_event event = {
        .kind = REPLICA_PIN,
        .resource = world->resource[world_below(world, (uint64_t)world->resource_count)],
        .pinned = world_chance(world, 500000),
        .node = world->name[board_node(world, some_board(world))],
    };
    leader_event(world, &event);
}

static void unpin_all(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++) {
        struct replica_event event = { .kind = REPLICA_PIN, .resource = world->resource[i] };
        if (world->oracle.pin[i].pinned)
            leader_event(world, &event);
    }
}

static void clear_faults(struct world *world)
{
    for (int i = 0; i < world->board_count; i++) {
        const struct process *agent = world->board[i].agent.process;
        if (agent->up && agent->paused_until_us <= world->now_us)
            sim_agent_clear_faults(world, i);
    }
}

void fault_operator(struct world *world, const struct event *event)
{
    struct replica_event note = { .kind = REPLICA_NOTE, .resource = world->resource[0],
                                  .history = HISTORY_OPERATOR, .text = "simulated" };
    int64_t interval_us = world->plan.note_interval_us;
    (void)event;
    if (world->quiet)
        unpin_all(world);
    else if (interval_us > 0)
        leader_event(world, &note);
    if (world->quiet || world_chance(world, interval_us > 0 ? 20000 : 500000))
        clear_faults(world);
    world_post(world, EVENT_OPERATOR, 0, world->quiet || interval_us == 0 ? OPERATOR_US :
                                                                            interval_us, NULL, 0);
}

/* ---- chaos */

static void cause_chaos(struct world *world)
{
    int node = (int)world_below(world, (uint64_t)(world->issuer_count + world->board_count));
    switch (world_below(world, 16)) {
    case 0:
    case 1:
    case 2:
        pause_something(world);
        return;
    case 3:
        world->issuer[some_issuer(world)].doomed = true;
        return;
    case 4: {
        int leader = sim_issuer_leader(world);
        fault_kill_issuer(world, leader < 0 ? 0 : leader, world_chance(world, 500000),
                          down_time(world));
        return;
    }
    case 5:
        kill_agent(world, some_board(world));
        return;
    case 6:
        kill_guard(world, some_board(world));
        return;
    case 7:
        fault_power_cut_board(world, some_board(world), until_quiet(world, down_time(world)));
        return;
    case 8:
    case 9:
        partition(world);
        return;
    case 10:
        break_connection(world);
        return;
    case 11:
        disturb_disk(world);
        return;
    case 12:
        transfer_board(world);
        return;
    case 13:
        transfer_leader(world);
        return;
    case 14:
        pin_something(world);
        return;
    default:
        world_cover(world, COVERAGE_CLOCK_RATE_CHANGES);
        clock_change_rate(world, world->machine_of[node]);
        return;
    }
}

/* ---- one kind of death only */

static void kill_leader(struct world *world)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads %lld ms after the last death",
                   (long long)world->plan.fault_interval_us / 1000);
    oracle_check_driven(world);
    uint64_t term = world->issuer[leader].replica->raft.term;
    if (world->oracle.no_drop)
        world_cover(world, COVERAGE_LEADERS_KILLED_UNNOTICED);
    if (world->oracle.no_drop && term > world->oracle.kill_term + 1)
        world_cover(world, COVERAGE_SPLIT_VOTES_UNNOTICED);
    world->oracle.no_drop = true;
    world->oracle.kill_term = term;
    fault_kill_issuer(world, leader, world_chance(world, 500000), world->plan.scale * 1000000);
}

static void kill_board(struct world *world)
{
    struct span fence = span_from_ms(world->plan.hold_ms);
    struct span lease = span_add(span_from_us(world->plan.ttl_us), fence);
    /* Stretched by the issuer's reckoning, and once more by its clock. */
    int64_t bound_us = timing_stretch(timing_stretch(lease, SIM_DRIFT_PPM), SIM_DRIFT_PPM).us +
                       TAKEOVER_SLACK_US;
    int board = world->oracle.drive[0].board;
    oracle_check_bounds(world);
    oracle_check_driven(world);
    HF_CHECK(board >= 0);
    for (int i = 0; i < world->resource_count; i++) {
        if (world->oracle.drive[i].board == board)
            oracle_board_died(world, i, world->now_us + bound_us);
    }
    fault_power_cut_board(world, board, world_between(world, 1200000, 2000000) * world->plan.scale);
}

void fault_event(struct world *world, const struct event *event)
{
    int64_t interval_us = world->plan.fault_interval_us;
    if (world->quiet)
        return;
    if (event->up) {
        fault_kill_issuer(world, event->node, world_chance(world, 500000), down_time(world));
        return;
    }
    switch (world->plan.type) {
    case SIM_LEADER_KILL:
        kill_leader(world);
        break;
    case SIM_BOARD_KILL:
        kill_board(world);
        break;
    case SIM_CHAOS:
        cause_chaos(world);
        interval_us = world_between(world, 1000, 2 * interval_us);
        break;
    case SIM_TYPES:
        break;
    }
    world_post(world, EVENT_FAULT, 0, interval_us, NULL, 0);
}

void fault_quiet(struct world *world)
{
    world->quiet = true;
    log_note(world, "quiet: no more faults");
    net_heal(world);
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_issuer *issuer = &world->issuer[i];
        issuer->disk.slow_until_us = 0;
        if (issuer->process.up && (issuer->store_failed || issuer->disk.sync_error != 0))
            fault_kill_issuer(world, i, false, 0);
    }
}
