/*
 * The gate of an issuer's daemon (daemon/node): whose messages it hears, and how it learns of
 * issuers that its own log does not have yet. Every issuer is connected to every other; a
 * stranger's words arrive, and are ignored.
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static const struct raft *raft_of(const struct world *world, int node)
{
    return &world->issuer[node].replica->raft;
}

/* The own log counts, unless an issuer told of a newer configuration that is committed. */
static bool listed(const struct world *world, int node, const struct hf_name *id)
{
    const struct sim_issuer *issuer = &world->issuer[node];
    bool own = raft_of(world, node)->members_index >= issuer->told.index;
    return raft_member_index(own ? &raft_of(world, node)->members : &issuer->told.members, id) >= 0;
}

bool gate_hears(struct world *world, int node, int from)
{
    const struct hf_name *id = &world->name[from];
    if (listed(world, node, id) || raft_hears(raft_of(world, node), id))
        return true;
    world_cover(world, COVERAGE_STRANGERS_IGNORED);
    return false;
}

static void tell(struct world *world, int node, int to)
{
    static struct wire_message message;
    const struct sim_issuer *issuer = &world->issuer[node];
    const struct raft *raft = raft_of(world, node);
    if (issuer->tells_index == 0 || raft->members_index != issuer->tells_index || to == node)
        return;
    message.kind = WIRE_ISSUERS;
    message.issuers.index = issuer->tells_index;
    message.issuers.members = raft->members;
    size_t length = wire_encode(&message, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, node, to, world->scratch->frame, length);
}

void gate_link_up(struct world *world, int node, int peer)
{
    if (peer < world->issuer_count)
        tell(world, node, peer);
}

void gate_after_step(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    const struct raft *raft = raft_of(world, node);
    if (raft_change_pending(raft) || raft->members_index == issuer->tells_index)
        return;
    issuer->tells_index = raft->members_index;
    for (int to = 0; to < world->issuer_count; to++)
        tell(world, node, to);
}

void gate_told(struct world *world, int node, int from, const struct wire_issuers *issuers)
{
    if (gate_hears(world, node, from) && issuers->index > world->issuer[node].told.index)
        world->issuer[node].told = *issuers;
}

void gate_start(struct world *world, int node)
{
    world->issuer[node].told = (struct wire_issuers){ .index = 0 };
    world->issuer[node].tells_index = 0;
}
