/* How each kind of fault is drawn, from the stream of the schedule */
#include "tests/sim/fault_rows.h"

#include "tests/sim/sim.h"

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

void draw_pause(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    static const int64_t most_us[] = { 15000, 40000, 500000, 4000000 };
    fault->part = (enum fault_part)random_below(random, PART_BOARD);
    fault->node = fault->part == PART_ISSUER ? some_issuer(plan, random) : some_board(plan, random);
    fault->duration_us = some_time(plan, random, fault, 1000, most_us[random_below(random, 4)]);
}

/* Of issuers mostly the one that hurts. */
void draw_kill(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->part = (enum fault_part)random_below(random, PART_BOARD);
    fault->node = fault->part == PART_ISSUER ? FAULT_LEADER : some_board(plan, random);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_power(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 330000) ? FAULT_LEADER : some_board(plan, random);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_death_within(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 600000) ? WORD_POWER : WORD_KILL;
    fault->duration_us = some_down_time(plan, random, fault);
}

/* Mostly one node alone: a leader, or a board that drives. */
void draw_partition(const struct sim_plan *plan, struct random *random, struct fault *fault)
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

void draw_break(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    do {
        fault->peer = some_node(plan, random);
    } while (fault->peer == fault->node);
    fault->duration_us = random_chance(random, 700000) ? 5000 : 2000000;
}

void draw_disk_fail(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
}

void draw_disk_slow(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->duration_us = some_time(plan, random, fault, 200000, 5000000);
}

void draw_clock_rate(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_node(plan, random);
    fault->ppm = clock_some_rate(plan, random, fault->node < FAULT_BOARD);
}

void draw_resource_and_board(const struct sim_plan *plan, struct random *random,
                             struct fault *fault)
{
    fault->resource = (int)random_below(random, (uint64_t)plan->resources);
    fault->node = some_board(plan, random);
}

void draw_hang(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_board(plan, random);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_laggard(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_LEADER_DIES : WORD_HANDED_OVER;
}

void draw_lease_end(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->resource = (int)random_below(random, (uint64_t)plan->resources);
    fault->word = random_chance(random, 500000) ? WORD_GUARD_DIES : WORD_HANGS;
}

void draw_sleep(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    static const int64_t most_us[] = { 50000, 500000, 5000000 };
    fault->node = some_node(plan, random);
    fault->duration_us = some_time(plan, random, fault, 20000, most_us[random_below(random, 3)]);
}

void draw_wake_step(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    static const int64_t most_us[] = { 4000, 100000, 3000000 };
    fault->node = some_node(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_EARLY : WORD_LATE;
    fault->duration_us = random_between(random, 1000, most_us[random_below(random, 3)]);
}

void draw_raw_step(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_board(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_FORWARD : WORD_BACK;
    /* A guard sees a step back that is longer than the time since its last look. */
    fault->duration_us =
        2 * SIM_GUARD_STATUS_MS * 1000 * plan->scale +
        random_between(random, 1000, 3000000) * (random_chance(random, 500000) ? plan->scale : 1);
}

void draw_raw_stands(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_node(plan, random);
    fault->duration_us = some_time(plan, random, fault, 100000, 5000000);
}

void draw_weld(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    draw_resource_and_board(plan, random, fault);
    fault->duration_us = some_time(plan, random, fault, 100000, 3000000);
}

void draw_readback(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    draw_weld(plan, random, fault);
    fault->word = random_chance(random, 500000) ? WORD_ON : WORD_OFF;
}

void draw_resource(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->resource = (int)random_below(random, (uint64_t)plan->resources);
}

void draw_leader_death(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->word = random_chance(random, 500000) ? WORD_POWER : WORD_KILL;
    fault->duration_us = plan->scale * 1000000;
}

void draw_board_death(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->duration_us = random_between(random, 1200000, 2000000) * plan->scale;
}

/* Long enough for elections, then as long without. */
void draw_cut(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 400000) ? FAULT_LEADER : some_issuer(plan, random);
    fault->word = (int)random_below(random, CUT_WAYS);
    fault->duration_us = plan->fault_interval_us * 3 / 5;
}

/* A target whose disk is slow keeps its vote to itself while others campaign. */
void draw_leader_transfer(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 300000) ? WORD_SLOW_DISK : WORD_AT_ONCE;
}

void draw_wall_step(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_FORWARD : WORD_BACK;
    fault->duration_us = random_between(random, 1, 4000) * 1000000;
}

void draw_disks_slow(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->word = random_chance(random, 600000) ? WORD_ALL :
                  random_chance(random, 500000) ? WORD_LEADER :
                                                  WORD_FOLLOWER;
    fault->duration_us = plan->fault_interval_us * 4 / 5;
    if (fault->at_us != SIM_SETTLE_US * plan->scale || !random_chance(random, 300000))
        return;
    /* An election takes many syncs, so the run has no other fault. */
    fault->word = WORD_AND_DEATH;
    fault->duration_us = plan->quiet_us - fault->at_us;
}

void draw_loss(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->word = (int)random_below(random, LOSSES);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_damage(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 300000) ? FAULT_LEADER : some_issuer(plan, random);
    fault->word = (int)random_below(random, DAMAGES);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_put_back(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->duration_us = some_down_time(plan, random, fault);
}

/* Mostly the guard first: its outputs are what was changed. */
void draw_refit(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->part = random_chance(random, 700000) ? PART_GUARD : PART_AGENT;
    fault->node = some_board(plan, random);
    fault->period_us = some_time(plan, random, fault, 1, 6000000);
    fault->duration_us = some_time(plan, random, fault, 5000, 200000);
}

/* Mostly the guard: its outputs have just gone on. */
void draw_first_permit(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_board(plan, random);
    fault->word = random_chance(random, 500000) ? WORD_GUARD : (int)random_below(random, DYING);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_waiter_death(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    draw_resource(plan, random, fault);
    fault->duration_us = some_down_time(plan, random, fault);
}

void draw_member(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = some_issuer(plan, random);
}

/* Of those who go, often the one that leads. */
void draw_member_remove(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    fault->node = random_chance(random, 400000) ? FAULT_LEADER : some_issuer(plan, random);
}
