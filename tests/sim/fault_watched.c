/* Faults that come alone, in runs that watch L1 and L2 */
#include "tests/sim/fault_rows.h"

#include "base/timing.h"
#include "tests/sim/sim.h"

enum {
    SLOW_SYNC_US = 2000000,   /* times the scale: longer than a lease */
    ELECT_US = 19000000,      /* times the scale: until one leads, though every sync is slow */
    TAKEOVER_SLACK_US = 60000 /* grant, first renewal, energise, all wake-ups late */
};

/* ---- one kind of death only */

const char *apply_leader_death(struct world *world, const struct fault *fault)
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

const char *apply_board_death(struct world *world, const struct fault *fault)
{
    int board = world->oracle.drive[0].board;
    oracle_check_bounds(world);
    oracle_check_driven(world);
    if (board == ORACLE_NOBODY)
        return "nobody drives";
    world->oracle.no_drop = false; /* where a disk hangs, until then nobody does */
    struct span fence = span_from_us(world->plan.hardware[board].fence_us);
    struct span lease = span_add(span_from_us(world->plan.ttl_us), fence);
    /* Stretched by the issuer's reckoning, and once more by its clock. */
    int64_t bound_us =
        timing_stretch(timing_stretch(lease, SIM_DRIFT_PPM), SIM_DRIFT_PPM).us + TAKEOVER_SLACK_US;
    for (int i = 0; i < world->resource_count; i++) {
        if (world->oracle.drive[i].board == board)
            oracle_board_died(world, i, world->now_us + bound_us);
    }
    if (world->waiter != ORACLE_NOBODY && !world->board[world->waiter].agent.process->up)
        world_cover(world, COVERAGE_WAITER_BEFORE_HOLDER);
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

const char *apply_cut(struct world *world, const struct fault *fault)
{
    int leader = sim_issuer_leader(world);
    int node = fault_node(world, fault->node);
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when an issuer is to be cut off");
    if (node < 0)
        return fault_missing(fault->node);
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

/* Each vote, and the first entry of the leader to come, takes a sync or two. */
static void leader_dies_on_slow_disks(struct world *world, int leader, int64_t down_us)
{
    world->oracle.kill_term = world->issuer[leader].replica->raft.term;
    world->oracle.steady_term = 0;
    world->oracle.no_drop = false;
    world->oracle.elected_by_us = world->now_us + ELECT_US * world->plan.scale;
    world_cover(world, COVERAGE_SLOW_ELECTIONS);
    fault_kill_issuer(world, leader, false, down_us);
}

static bool one_leads_in_a_later_term(const struct world *world)
{
    int leader = sim_issuer_leader(world);
    return leader >= 0 && world->issuer[leader].replica->raft.term > world->oracle.kill_term;
}

const char *apply_disks_slow(struct world *world, const struct fault *fault)
{
    int leader = sim_issuer_leader(world);
    if (world->oracle.elected_by_us != 0) {
        if (world->now_us >= world->oracle.elected_by_us && !one_leads_in_a_later_term(world))
            world_fail(world, ORACLE_L1, "nobody was elected in %.1f s while disks were slow",
                       (double)ELECT_US * (double)world->plan.scale / 1e6);
        return "the leader died when disks became slow";
    }
    if (leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when disks become slow");
    oracle_check_driven(world);
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_disk *disk = &world->issuer[i].disk;
        if ((fault->word == WORD_LEADER || fault->word == WORD_FOLLOWER) &&
            (i == leader) != (fault->word == WORD_LEADER))
            continue;
        disk->slow_us = SLOW_SYNC_US * world->plan.scale;
        disk->slow_until_us = world->now_us + fault->duration_us;
    }
    world->oracle.steady_term = world->issuer[leader].replica->raft.term;
    world->oracle.kill_term = world->oracle.steady_term;
    world->oracle.no_drop = true;
    world_cover(world, COVERAGE_SLOW_PHASES);
    if (fault->word == WORD_AND_DEATH)
        leader_dies_on_slow_disks(world, leader, fault->duration_us);
    return NULL;
}
