/*
 * The disk of one issuer hangs: no sync ends for a long time, while the others' disks are well. In a
 * world that is calm but for that and for the end of a board, whose resource is to be granted again:
 * a leader whose disk hangs hands over (L1), and nobody drops for it (L2). In chaos it is one more
 * fault.
 */
#include "tests/sim/disk_hang.h"

#include "tests/sim/fault_rows.h"

#include "tests/sim/sim.h"

enum {
    EVERY_US = 12000000, /* times the scale, as all of these */
    LASTS_US = 10000000,
    DEATH_US = 8000000,       /* after the beginning of a hang, when another one leads */
    NOTES_US = 300000,        /* between entries, ... */
    MANY_NOTES_US = 5000,     /* ... or so many that a log without room fills */
    LEADS_ON_ELECTIONS = 23,  /* a leader whose disk hangs, at the most */
    CHAOS_LEAST_US = 1000000, /* of a hang in chaos */
    CHAOS_MOST_US = 15000000,
    CHAOS_PPM = 150000, /* so many runs of chaos have one, ... */
    AGAIN_PPM = 400000  /* ... and of these a second one */
};

/* ---- drawing */

void draw_disk_hang(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    int64_t left_us = plan->quiet_us - fault->at_us;
    fault->node = random_chance(random, 700000) ?
                      FAULT_LEADER :
                      (int)random_below(random, (uint64_t)plan->issuers);
    fault->duration_us = plan_is_chaos(plan) ?
                             random_between(random, CHAOS_LEAST_US, CHAOS_MOST_US) * plan->scale :
                             LASTS_US * plan->scale;
    if (fault->duration_us > left_us)
        fault->duration_us = left_us;
}

bool disk_hang_takes_run(const struct settings *settings)
{
    struct random random;
    random_init(&random, settings->seed, STREAM_SCHEDULE, 1);
    return random_chance(&random, 500000);
}

void disk_hang_plan(const struct settings *settings, struct sim_plan *plan)
{
    struct random random;
    random_init(&random, settings->seed, STREAM_SCHEDULE, 2);
    plan->note_interval_us =
        (random_chance(&random, 300000) ? MANY_NOTES_US : NOTES_US) * plan->scale;
}

void disk_hang_add(const struct settings *settings, struct scenario *scenario)
{
    const struct sim_plan *plan = &scenario->plan;
    struct random random;
    struct fault hang = { .kind = FAULT_DISK_HANG, .at_us = SIM_SETTLE_US * plan->scale };
    random_init(&random, settings->seed, STREAM_SCHEDULE, 3);
    for (; hang.at_us + LASTS_US * plan->scale <= plan->quiet_us;
         hang.at_us += EVERY_US * plan->scale) {
        struct fault death = { .kind = FAULT_BOARD_DEATH };
        draw_disk_hang(plan, &random, &hang);
        scenario_add(scenario, &hang);
        death.at_us = hang.at_us + DEATH_US * plan->scale;
        fault_table[death.kind].draw(plan, &random, &death);
        if (random_chance(&random, 700000))
            scenario_add(scenario, &death);
    }
}

void disk_hang_add_to_chaos(const struct settings *settings, struct scenario *scenario)
{
    const struct sim_plan *plan = &scenario->plan;
    int64_t begin_us = SIM_SETTLE_US * plan->scale;
    struct fault hang = { .kind = FAULT_DISK_HANG };
    struct random random;
    random_init(&random, settings->seed, STREAM_SCHEDULE, 4);
    if (!random_chance(&random, CHAOS_PPM))
        return;
    hang.at_us = random_between(&random, begin_us, plan->quiet_us - 1);
    draw_disk_hang(plan, &random, &hang);
    scenario_add(scenario, &hang);
    if (!random_chance(&random, AGAIN_PPM))
        return;
    /* Another one, or the same again, while that lasts. */
    hang.at_us += random_between(&random, 0, hang.duration_us);
    if (hang.at_us < plan->quiet_us) {
        draw_disk_hang(plan, &random, &hang);
        scenario_add(scenario, &hang);
    }
}

/* ---- applying */

static int64_t leads_on_us(const struct world *world)
{
    return (int64_t)LEADS_ON_ELECTIONS * SIM_ELECTION_MS * 1000 * world->plan.scale;
}

/* Nothing else is wrong: whoever leads well leads on, and nobody drops. */
static void watch(struct world *world, int node, int leader, int64_t duration_us)
{
    oracle_check_driven(world);
    world->oracle.kill_term = world->issuer[leader].replica->raft.term;
    world->oracle.steady_term = node == leader ? 0 : world->oracle.kill_term;
    world->oracle.no_drop = true;
    if (node == leader)
        world_cover(world, COVERAGE_LEADERS_DISKS_HUNG);
    world_post(world, EVENT_CHECK, 0, leads_on_us(world), NULL, 0);
    world_post(world, EVENT_CHECK, 0, duration_us - 1, NULL, 0);
}

const char *apply_disk_hang(struct world *world, const struct fault *fault)
{
    int leader = sim_issuer_leader(world);
    int node = fault_node(world, fault->node);
    int64_t left_us = world->plan.quiet_us - world->now_us;
    int64_t duration_us = fault->duration_us < left_us ? fault->duration_us : left_us;
    bool watched = !plan_is_chaos(&world->plan);
    if (watched && leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when a disk is to hang");
    if (node < 0)
        return fault_missing(fault->node);
    if (!world->issuer[node].process.up)
        return fault_is_down;
    world->issuer[node].disk.hung_from_us = world->now_us;
    world->issuer[node].disk.hung_until_us = world->now_us + duration_us;
    world_cover(world, COVERAGE_DISKS_HUNG);
    if (watched)
        watch(world, node, leader, duration_us);
    return NULL;
}

/* L1: the log of a leader whose disk hangs has no room for ever. */
void disk_hang_check(struct world *world)
{
    int leader = sim_issuer_leader(world);
    const struct sim_disk *disk = leader < 0 ? NULL : &world->issuer[leader].disk;
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads while one disk hangs");
    if (disk && disk->hung_until_us > world->now_us &&
        world->now_us - disk->hung_from_us >= leads_on_us(world))
        world_fail(world, ORACLE_L1, "%s leads, and its disk has hung for %.1f s",
                   world->name[leader].text, (double)(world->now_us - disk->hung_from_us) / 1e6);
}
