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

static void tell(struct world *world, int node, int to, const struct wire_issuers *issuers)
{
    static struct wire_message message;
    if (to == node)
        return;
    message.kind = WIRE_ISSUERS;
    message.issuers = *issuers;
    size_t length = wire_encode(&message, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, node, to, world->scratch->frame, length);
}

void gate_tell(struct world *world, int node, const struct hf_name *to,
               const struct wire_issuers *issuers)
{
    for (int i = 0; i < world->issuer_count; i++) {
        if (!to || name_equal(&world->name[i], to))
            tell(world, node, i, issuers);
    }
}

void gate_told(struct world *world, int node, int from, const struct wire_issuers *issuers)
{
    if (gate_hears(world, node, from) && issuers->index > world->issuer[node].told.index)
        world->issuer[node].told = *issuers;
}

void gate_start(struct world *world, int node)
{
    world->issuer[node].told = (struct wire_issuers){ .index = 0 };
}
