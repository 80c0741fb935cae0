/* What operators do */
#include "tests/sim/fault_rows.h"

#include <string.h>

#include "tests/sim/sim.h"

enum {
    OPERATOR_US = 300000,       /* between an operator's acts in the quiet phase */
    SLOW_TRANSFER_ELECTIONS = 3 /* the others have elected another one meanwhile */
};

static const char *leader_event(struct world *world, struct replica_event *event)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0 || world->issuer[leader].process.paused_until_us > world->now_us)
        return fault_no_leader;
    (void)name_from_string(&event->who, "operator");
    const struct issuer *issuer = &world->issuer[leader].replica->issuer;
    bool held_off = issuer_held_off(issuer, &event->resource, clock_local(world, leader));
    const char *refused = operator_act(world, leader, event);
    if (held_off && !refused && event->kind != REPLICA_NOTE)
        world_cover(world, COVERAGE_ACTS_HELD_OFF);
    operator_reads(world);
    return refused;
}

const char *apply_transfer(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0 || fault->resource >= world->resource_count)
        return fault_missing(fault->node);
    struct replica_event event = { .kind = REPLICA_TRANSFER,
                                   .node = world->name[node],
                                   .resource = world->resource[fault->resource] };
    const char *skipped = leader_event(world, &event);
    if (skipped && strstr(skipped, "stuck on"))
        world_cover(world, COVERAGE_TRANSFERS_HELD);
    if (skipped)
        return skipped;
    world_cover(world, COVERAGE_BOARD_TRANSFERS);
    oracle_transfer_asked(world, fault->resource, node - world->issuer_count);
    return skipped;
}

void fault_transfer_leader(struct world *world, int node)
{
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER, .node = world->name[node] };
    world_cover(world, COVERAGE_LEADER_TRANSFERS);
    (void)leader_event(world, &event);
}

const char *apply_laggard(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    return laggard_apply(world, node, fault->word == WORD_LEADER_DIES);
}

const char *apply_leader_transfer(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0)
        return fault_missing(fault->node);
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER, .node = world->name[node] };
    if (fault->word == WORD_SLOW_DISK) {
        struct sim_disk *disk = &world->issuer[node].disk;
        disk->slow_us =
            (int64_t)SLOW_TRANSFER_ELECTIONS * SIM_ELECTION_MS * 1000 * world->plan.scale;
        disk->slow_until_us = world->now_us + disk->slow_us;
    }
    world_cover(world, COVERAGE_LEADER_TRANSFERS);
    return leader_event(world, &event);
}

const char *apply_pin(struct world *world, const struct fault *fault)
{
    int node = fault_node(world, fault->node);
    if (node < 0 || fault->resource >= world->resource_count)
        return fault_missing(fault->node);
    struct replica_event event = { .kind = REPLICA_PIN,
                                   .pinned = true,
                                   .resource = world->resource[fault->resource],
                                   .node = world->name[node] };
    return leader_event(world, &event);
}

const char *apply_unpin(struct world *world, const struct fault *fault)
{
    if (fault->resource >= world->resource_count)
        return fault_not_here;
    struct replica_event event = { .kind = REPLICA_PIN,
                                   .resource = world->resource[fault->resource] };
    return leader_event(world, &event);
}

/* As a voter it counts at once, though it has no memory and nobody has noticed that yet. */
static bool remember_with(const struct world *world, const struct raft_members *members, int node)
{
    struct raft_members with = *members;
    int at = raft_member_index(&with, &world->name[node]);
    if (at >= 0)
        with.member[at].voter = true;
    return fault_most_remember(world, &with, -1, -1);
}

static const char *change_members(struct world *world, const struct fault *fault,
                                  enum raft_change change)
{
    int leader = sim_issuer_leader(world);
    int node = fault_node(world, fault->node);
    if (leader < 0 || node < 0)
        return fault_missing(fault->node);
    const struct raft *raft = &world->issuer[leader].replica->raft;
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = change,
                                   .node = world->name[node],
                                   .address = "10.0.0.1:7400",
                                   .text = "simulated" };
    if (change == RAFT_CHANGE_REMOVE && raft_voter_count(&raft->members) <= 2)
        return "two voters are left";
    if (change == RAFT_CHANGE_REMOVE && !fault_most_remember(world, &raft->members, -1, node))
        return "too few would remember";
    if (change == RAFT_CHANGE_PROMOTE && !remember_with(world, &raft->members, node))
        return "too few would remember";
    const char *skipped = leader_event(world, &event);
    if (skipped)
        return skipped;
    oracle_change_asked(world, leader, raft->members_index);
    /* Too soon: the first one is on its way. */
    event.change = change == RAFT_CHANGE_REMOVE ? RAFT_CHANGE_ADD : RAFT_CHANGE_REMOVE;
    (void)leader_event(world, &event);
    return NULL;
}

const char *apply_member_add(struct world *world, const struct fault *fault)
{
    return change_members(world, fault, RAFT_CHANGE_ADD);
}

const char *apply_member_promote(struct world *world, const struct fault *fault)
{
    return change_members(world, fault, RAFT_CHANGE_PROMOTE);
}

const char *apply_member_remove(struct world *world, const struct fault *fault)
{
    return change_members(world, fault, RAFT_CHANGE_REMOVE);
}

const char *apply_clear(struct world *world, const struct fault *fault)
{
    (void)fault;
    for (int i = 0; i < world->board_count; i++) {
        const struct process *agent = world->board[i].agent.process;
        if (agent->up && agent->paused_until_us <= world->now_us)
            sim_agent_clear_faults(world, i);
    }
    return NULL;
}

void fault_add_notes(struct world *world, int64_t duration_us, int64_t period_us)
{
    world->notes_until_us = world->now_us + duration_us;
    world->notes_period_us = period_us;
    if (!world->notes_posted)
        world_post(world, EVENT_NOTE, 0, 0, NULL, 0);
    world->notes_posted = true;
}

const char *apply_notes(struct world *world, const struct fault *fault)
{
    fault_add_notes(world, fault->duration_us, fault->period_us);
    return NULL;
}

void fault_note(struct world *world, const struct event *event)
{
    struct replica_event note = { .kind = REPLICA_NOTE,
                                  .resource = world->resource[0],
                                  .history = HISTORY_OPERATOR,
                                  .text = "simulated" };
    (void)event;
    world->notes_posted = !world->quiet && world->now_us < world->notes_until_us;
    if (!world->notes_posted)
        return;
    (void)leader_event(world, &note);
    world_post(world, EVENT_NOTE, 0, world->notes_period_us, NULL, 0);
}

static const char *let_go_of(struct world *world, int resource, int board)
{
    struct replica_event event = { .kind = REPLICA_CLEAR,
                                   .resource = world->resource[resource],
                                   .node = world->name[board_node(world, board)] };
    const char *skipped = leader_event(world, &event);
    if (!skipped)
        oracle_said_go(world, resource, board, sim_issuer_leader(world));
    return skipped;
}

/* The board that the leader holds it for, as the operator sees it there; else any, in vain. */
static const char *let_go(struct world *world, int resource)
{
    int leader = sim_issuer_leader(world);
    const struct stuck_row *row =
        leader < 0 ?
            NULL :
            stuck_holds(&world->issuer[leader].replica->table.stuck, &world->resource[resource]);
    return let_go_of(world, resource,
                     row ? world_board_node(world, &row->board) - world->issuer_count : 0);
}

const char *apply_go(struct world *world, const struct fault *fault)
{
    return fault->resource < world->resource_count ? let_go(world, fault->resource) :
                                                     "no such resource";
}

static void let_all_go(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++)
        (void)let_go(world, i);
}

static void unpin_all(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++) {
        struct replica_event event = { .kind = REPLICA_PIN, .resource = world->resource[i] };
        if (world->oracle.pin[i].pinned)
            (void)leader_event(world, &event);
    }
}

/* In the quiet phase somebody sees to it that everything may be driven again. */
void fault_operator(struct world *world, const struct event *event)
{
    const struct fault clear = { .kind = FAULT_CLEAR };
    (void)event;
    unpin_all(world);
    (void)apply_clear(world, &clear);
    let_all_go(world);
    world_post(world, EVENT_OPERATOR, 0, OPERATOR_US, NULL, 0);
}

/* ---- the worst day */

const char *apply_backup(struct world *world, const struct fault *fault)
{
    (void)fault;
    return restore_backup(world);
}

const char *apply_loss(struct world *world, const struct fault *fault)
{
    if (fault->word == WORD_RESTORED)
        return restore_cluster(world, fault->duration_us);
    return sim_begin_anew(world, fault->duration_us, fault->word == WORD_ABOVE);
}
