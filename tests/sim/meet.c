/*
 * Events that meet: which of the interleavings that a lease protocol is lost in were there in a
 * run. It counts for the coverage and judges nothing.
 */
#include "tests/sim/sim.h"

static const struct raft *raft_of(const struct world *world, int issuer)
{
    return &world->issuer[issuer].replica->raft;
}

/* ---- snapshots */

void meet_raft_sent(struct world *world, int issuer, const struct raft_message *message)
{
    if (message->kind == RAFT_SNAPSHOT_REQUEST && !name_empty(&raft_of(world, issuer)->transfer_to))
        world_cover(world, COVERAGE_SNAPSHOTS_SENT_IN_TRANSFER);
}

void meet_snapshot_installed(struct world *world)
{
    int leader = sim_issuer_leader(world);
    if (leader >= 0 && !name_empty(&raft_of(world, leader)->transfer_to))
        world_cover(world, COVERAGE_SNAPSHOTS_INSTALLED_IN_TRANSFER);
}

/* On its way in, or waiting for the disk. */
bool meet_installing(const struct world *world, int issuer)
{
    return raft_of(world, issuer)->receiving_index != 0 || raft_of(world, issuer)->install_seq != 0;
}

/* ---- rounds and renewals */

void meet_raft_arrived(struct world *world, int issuer, const struct raft_message *message)
{
    if (message->kind == RAFT_HEARTBEAT && message->round != 0 &&
        message->term < raft_of(world, issuer)->term)
        world_cover(world, COVERAGE_STALE_ROUNDS_REFUSED);
}

static bool renewal_waits(const struct issuer *issuer, const struct hf_name *node,
                          const struct lease_message *release)
{
    for (size_t i = 0; i < issuer->renewal_count; i++) {
        const struct issuer_renewal *renewal = &issuer->renewal[i];
        for (uint8_t k = 0; k < renewal->item_count; k++) {
            if (name_equal(&renewal->node, node) && renewal->item[k].token == release->token &&
                name_equal(&renewal->item[k].resource, &release->resource))
                return true;
        }
    }
    return false;
}

static void release_arrived(struct world *world, int node, int board,
                            const struct lease_message *message)
{
    const struct issuer *issuer = &world->issuer[node].replica->issuer;
    const struct issuer_lease *lease = issuer_lease_of(issuer, &message->resource);
    if (lease && lease->pending == ISSUER_PENDING_GRANT)
        world_cover(world, COVERAGE_RELEASES_BESIDE_GRANT);
    if (lease && renewal_waits(issuer, &world->name[board_node(world, board)], message))
        world_cover(world, COVERAGE_RELEASES_BESIDE_RENEWAL);
}

void meet_lease_arrived(struct world *world, int issuer, int board,
                        const struct lease_message *message)
{
    if (message->kind == LEASE_RELEASE)
        release_arrived(world, issuer, board, message);
}

/* ---- nobody leads */

void meet_no_longer_serves(struct world *world)
{
    if (world->leaderless_since_us == 0 && sim_issuer_leader(world) < 0)
        world->leaderless_since_us = world->now_us;
}

void meet_serves(struct world *world)
{
    const struct oracle_lease *lease = world->oracle.entry[world->oracle.last].lease;
    for (int i = 0; i < world->resource_count && world->leaderless_since_us != 0; i++) {
        int board = lease[i].holder;
        if (board == ORACLE_NOBODY ||
            world->oracle.board[board].confirmed_token[i] != lease[i].token)
            continue;
        int64_t end_us = world->oracle.board[board].deadline_us[i];
        if (end_us > world->leaderless_since_us && end_us <= world->now_us)
            world_cover(world, COVERAGE_EXPIRED_WITHOUT_LEADER);
    }
    world->leaderless_since_us = 0;
}

/* ---- those who wait */

void meet_holder_changed(struct world *world, int board, const struct holder_change *change)
{
    int resource = world_resource(world, &change->resource);
    world_trail(world, TRAIL_HOLDER, (unsigned)change->from * HOLDER_INPUTS + change->input);
    int64_t *since_us = &world->board[board].agent.waits_since_us[resource];
    if (change->from == HOLDER_WAITING && change->to == HOLDER_GRANTED &&
        world->now_us - *since_us > world->plan.ttl_us)
        world_cover(world, COVERAGE_GRANTED_AFTER_LONG);
    if (change->to == HOLDER_WAITING && change->from != HOLDER_WAITING)
        *since_us = world->now_us;
    if (change->to == HOLDER_HOLDING) {
        first_permit_sent(world, board);
        world->board[board].agent.holds_since_us[resource] = world->now_us;
    }
}
