/* L1: with failback the preferred board drives in the end, whoever led when the other was granted. */
#include "tests/sim/sim.h"

/* A yield that is lost is said again each second, so many in a row are not lost. */
enum { PATIENCE_US = 8000000 };

void oracle_transfer_asked(struct world *world, int resource, int board)
{
    world->oracle.transfer_asked[resource] |= 1u << board;
}

void oracle_yield(struct world *world, int issuer, const struct lease_message *message)
{
    const struct oracle_entry *grant = &world->oracle.entry[message->token];
    if (message->token <= world->oracle.last && grant->grant &&
        grant->term != world->issuer[issuer].replica->raft.term)
        world_cover(world, COVERAGE_YIELDS_INHERITED);
}

static bool is_for_long(const struct world *world, int board, int resource, enum holder_state state,
                        int64_t since_us)
{
    const struct sim_agent *agent = &world->board[board].agent;
    return agent->process->up && agent->process->paused_until_us <= world->now_us &&
           agent->holder->lease[resource].state == state && world->now_us - since_us > PATIENCE_US;
}

/* The issuers that serve, from `*at` on; NULL: no more. */
static const struct issuer *next_serving(const struct world *world, int *at)
{
    while (*at < world->issuer_count) {
        const struct sim_issuer *node = &world->issuer[(*at)++];
        if (node->process.up && replica_serving(node->replica))
            return &node->replica->issuer;
    }
    return NULL;
}

/* In the whole of a run's faults a board may spend its budget: then it waits, and has nobody yield. */
bool oracle_held_back(const struct world *world, int board)
{
    const struct hf_name *name = &world->name[board_node(world, board)];
    const struct issuer *issuer;
    for (int at = 0; (issuer = next_serving(world, &at)) != NULL;) {
        for (size_t k = 0; k < issuer->client_count; k++) {
            if (issuer->client[k].held_back && name_equal(&issuer->client[k].node, name))
                return true;
        }
    }
    return false;
}

/* An output of it was let go by an operator: nobody yields to it before it was quiet for a while. */
static bool is_set_aside(const struct world *world, int resource, int board)
{
    const struct hf_name *name = &world->name[board_node(world, board)];
    const struct issuer *issuer;
    for (int at = 0; (issuer = next_serving(world, &at)) != NULL;) {
        const struct issuer_lease *lease = issuer_lease_of(issuer, &world->resource[resource]);
        if (lease && issuer_is_set_aside(issuer, lease, name, clock_local(world, at - 1)))
            return true;
    }
    return false;
}

/* After a hand-over to a board that did not take over, there is none for a while. */
static bool is_paused(const struct world *world, int resource)
{
    const struct issuer *issuer;
    for (int at = 0; (issuer = next_serving(world, &at)) != NULL;) {
        for (uint32_t k = 0; k < issuer->lease_count; k++) {
            const struct issuer_lease *lease = &issuer->lease[k];
            if (name_equal(&lease->resource, &world->resource[resource]) &&
                !instant_reached(lease->failback_at, clock_local(world, at - 1)))
                return true;
        }
    }
    return false;
}

void oracle_check_failback(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++) {
        const struct oracle_lease *lease = &world->oracle.entry[world->oracle.last].lease[i];
        int preferred = i % world->board_count;
        if (lease->holder == ORACLE_NOBODY || lease->holder == preferred || lease->transferred ||
            (world->plan.failback & sim_failback_bit(i, preferred)) == 0)
            continue;
        if (!oracle_held_back(world, preferred) && !is_paused(world, i) &&
            !is_set_aside(world, i, preferred) &&
            is_for_long(world, preferred, i, HOLDER_WAITING,
                        world->board[preferred].agent.waits_since_us[i]) &&
            is_for_long(world, lease->holder, i, HOLDER_HOLDING,
                        world->board[lease->holder].agent.holds_since_us[i]))
            world_fail(world, ORACLE_L1, "%s: %s holds, %s is preferred and waits",
                       world->resource[i].text, world->name[board_node(world, lease->holder)].text,
                       world->name[board_node(world, preferred)].text);
    }
}
