/* Faults of the network, and of the disks of issuers */
#include "tests/sim/fault_rows.h"

#include <errno.h>

#include "tests/sim/sim.h"

/* ---- network */

static bool is_apart(const struct world *world, const struct fault *fault, int node)
{
    int place = node < world->issuer_count ? node : FAULT_BOARD + node - world->issuer_count;
    return (fault->nodes >> place & 1) != 0;
}

const char *apply_partition(struct world *world, const struct fault *fault)
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

const char *apply_break(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    int peer = fault_node(world, fault->peer);
    if (node < 0 || peer < 0 || node == peer)
        return fault_not_here;
    world_cover(world, COVERAGE_CONNECTION_BREAKS);
    net_break(world, node < peer ? node : peer, node < peer ? peer : node, fault->duration_us);
    return NULL;
}

/* ---- disks and clocks */

const char *apply_disk_fail(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    world->issuer[node].disk.sync_error = EIO;
    return NULL;
}

const char *apply_disk_slow(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    world_cover(world, COVERAGE_SLOW_DISKS);
    world->issuer[node].disk.slow_until_us = world->now_us + fault->duration_us;
    world->issuer[node].disk.slow_us = 0;
    return NULL;
}

/* Of these voters, but for `gone`, do most have a memory, though `forgets` will have none? */
bool fault_most_remember(const struct world *world, const struct raft_members *members, int forgets,
                         int gone)
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
        if (issuer->process.up &&
            !fault_most_remember(world, &issuer->replica->raft.members, node, -1))
            return false;
    }
    return fault_most_remember(world, &world->oracle.members, node, -1);
}

const char *apply_damage(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    if (!world->issuer[node].process.up)
        return fault_is_down;
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

const char *apply_copy_card(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    return node < 0 ? fault_missing(fault->node) : put_back_copy(world, node);
}

const char *apply_put_back(struct world *world, const struct fault *fault)
{
    return put_back_apply(world, fault->duration_us);
}
