/*
 * The fault that makes an issuer need a snapshot: it is cut off from the others while the log grows
 * past it. When it is back its disk is slow, and leadership goes on to it, or the leader dies while
 * the snapshot is on its way in.
 */
#include "base/check.h"
#include "tests/sim/fault.h"
#include "tests/sim/sim.h"

enum {
    NOTE_US = 2000,
    GROW_LOOK_US = 20000,
    GROW_MAX_US = 4000000,
    CATCH_LOOK_US = 500,
    CATCH_MAX_US = 2000000, /* links are dialled anew meanwhile */
    SLOW_ELECTIONS = 2,     /* a flush takes so many election timeouts */
    DOWN_US = 1000000
};

enum stage { STAGE_GROW, STAGE_CATCH };

static int64_t election_us(const struct world *world)
{
    return SIM_ELECTION_MS * 1000 * world->plan.scale;
}

static void post(struct world *world, int node, bool leader_dies, enum stage stage,
                 int64_t until_us)
{
    int64_t look_us = stage == STAGE_GROW ? GROW_LOOK_US : CATCH_LOOK_US;
    struct event *event = world_post(world, EVENT_LAGGARD, node, look_us, NULL, 0);
    event->up = leader_dies;
    event->epoch = stage;
    event->life = world->issuer[node].process.life;
    event->sent_us = until_us;
}

static void heal(struct world *world, int node)
{
    for (int peer = 0; peer < world->issuer_count; peer++) {
        world->network.blocked_until_us[node][peer] = 0;
        world->network.blocked_until_us[peer][node] = 0;
    }
}

static bool is_linked(const struct world *world, int a, int b)
{
    const struct connection *connection = &world->network.connection[a < b ? a : b][a < b ? b : a];
    return connection->open && connection->up[0] && connection->up[1];
}

static void grow(struct world *world, const struct event *event, int leader)
{
    int node = event->node;
    const struct raft *raft = &world->issuer[leader].replica->raft;
    if (raft->first_index <= world->issuer[node].replica->raft.last_index + 1) {
        post(world, node, event->up, STAGE_GROW, event->sent_us);
        return;
    }
    struct sim_disk *disk = &world->issuer[node].disk;
    world_cover(world, COVERAGE_LAGGARDS);
    world->notes_until_us = world->now_us;
    heal(world, node);
    if (event->up) {
        disk->slow_us = SLOW_ELECTIONS * election_us(world);
        disk->slow_until_us = world->now_us + CATCH_MAX_US + disk->slow_us;
    }
    post(world, node, event->up, STAGE_CATCH, world->now_us + CATCH_MAX_US);
}

static void catch_up(struct world *world, const struct event *event, int leader)
{
    int node = event->node;
    if (event->up && meet_installing(world, node))
        fault_kill_issuer(world, leader, false, DOWN_US * world->plan.scale);
    else if (!event->up && is_linked(world, node, leader))
        fault_transfer_leader(world, node);
    else
        post(world, node, event->up, STAGE_CATCH, event->sent_us);
}

void laggard_event(struct world *world, const struct event *event)
{
    int leader = sim_issuer_leader(world);
    const struct sim_issuer *issuer = &world->issuer[event->node];
    bool over = world->quiet || world->now_us >= event->sent_us;
    if (over || leader < 0 || leader == event->node || !issuer->process.up ||
        issuer->process.life != event->life || world->asleep_until_us[leader] != 0) {
        heal(world, event->node);
        return;
    }
    if (event->epoch == STAGE_GROW)
        grow(world, event, leader);
    else
        catch_up(world, event, leader);
}

const char *laggard_apply(struct world *world, int node, bool leader_dies)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0 || node == leader || !world->issuer[node].process.up)
        return "it leads or is down";
    if (raft_member_index(&world->issuer[leader].replica->raft.members, &world->name[node]) < 0)
        return "it is no member";
    for (int peer = 0; peer < world->issuer_count; peer++) {
        net_block(world, node, peer, GROW_MAX_US);
        net_block(world, peer, node, GROW_MAX_US);
    }
    fault_add_notes(world, GROW_MAX_US, NOTE_US);
    post(world, node, leader_dies, STAGE_GROW, world->now_us + GROW_MAX_US);
    return NULL;
}
