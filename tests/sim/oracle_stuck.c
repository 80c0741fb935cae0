/*
 * S1, of outputs stuck on: once a board was told that its word is noted, nobody is granted the
 * resource until an operator said go, or the policy does. What he said counts once it is in the log,
 * and for what stood in the table that he saw. And the model of the table's list.
 */
#include "base/timing.h"
#include "tests/sim/sim.h"

static int board_of(const struct world *world, const struct hf_name *name)
{
    return world_board_node(world, name) - world->issuer_count;
}

void oracle_model_stuck(struct world *world, const struct lease_command *command, int resource)
{
    struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    unsigned bit = 1u << board_of(world, &command->holder);
    if (stuck->rows & bit)
        return;
    world_cover(world, COVERAGE_STUCK_ON);
    stuck->rows |= bit;
}

/*
 * A row goes with one clearing. What ends it may have waited for disks for so long that the next fault
 * is cleared, too; and what ends none takes no clearing with it.
 */
static void forget_row(struct oracle_stuck *stuck, unsigned bit)
{
    if (stuck->rows & bit) {
        stuck->cleared = (stuck->cleared & ~bit) | (stuck->cleared_again & bit);
        stuck->cleared_again &= ~bit;
    }
    stuck->rows &= ~bit;
    stuck->let_go &= ~bit;
    stuck->noted &= ~bit;
    stuck->go_for &= ~bit;
}

void oracle_model_clear(struct world *world, const struct lease_command *command, int resource)
{
    struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    unsigned bit = 1u << board_of(world, &command->holder);
    bool held = (stuck->rows & ~stuck->let_go & bit) != 0;
    if (command->go) {
        if (held)
            world_cover(world, COVERAGE_STUCK_LET_GO);
        stuck->let_go |= stuck->rows & bit;
        stuck->noted &= ~(stuck->go_for & bit);
        return;
    }
    if (held && (stuck->cleared & bit) == 0 && !world->plan.stuck_go)
        world_fail(world, ORACLE_S1,
                   "%s: %s is no longer held for, and no operator cleared its "
                   "fault",
                   world->resource[resource].text, command->holder.text);
    if (stuck->rows & bit)
        world_cover(world, held ? COVERAGE_STUCK_CLEARED : COVERAGE_STUCK_SEEN_OFF);
    forget_row(stuck, bit);
}

void oracle_model_granted(struct world *world, const struct lease_command *command, int resource)
{
    struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    unsigned bit = 1u << board_of(world, &command->holder);
    forget_row(stuck, bit);
}

bool oracle_model_held(struct world *world, uint64_t index, const struct lease_command *command,
                       int resource)
{
    const struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    bool held = (stuck->rows & ~stuck->let_go) != 0;
    if (command->go && !world->plan.stuck_go)
        world_fail(world, ORACLE_S1,
                   "entry %llu grants %s though an output is stuck on, the policy "
                   "does not say so",
                   (unsigned long long)index, world->resource[resource].text);
    if (held)
        world_cover(world, command->go ? COVERAGE_STUCK_GRANTED : COVERAGE_STUCK_OVERTAKEN);
    return held && !command->go;
}

void oracle_granted(struct world *world, uint64_t index, int resource)
{
    if (world->oracle.stuck[resource].noted != 0 && !world->plan.stuck_go)
        world_fail(world, ORACLE_S1,
                   "entry %llu grants %s, an output was noted to be stuck on and "
                   "no operator said go",
                   (unsigned long long)index, world->resource[resource].text);
}

/* What the table says is not answered while it is being changed: it may be no more when that is read. */
static void check_at_rest(struct world *world, int issuer, int board,
                          const struct lease_message *message)
{
    const struct replica *replica = world->issuer[issuer].replica;
    for (size_t i = 0; i < replica->issuer.lease_count; i++) {
        const struct issuer_lease *lease = &replica->issuer.lease[i];
        if (!name_equal(&lease->resource, &message->resource))
            continue;
        if (lease->word_index > replica->table.applied)
            world_fail(world, ORACLE_S3,
                       "%s says that a word about %s is noted, and writes another",
                       world->name[issuer].text, message->resource.text);
        /* Where it is off again there is no row that the grant would end. */
        if (!message->fenced && lease->pending == ISSUER_PENDING_GRANT &&
            name_equal(&lease->pending_node, &world->name[board_node(world, board)]))
            world_fail(world, ORACLE_S3,
                       "%s says that a word about %s is noted, and grants what ends it",
                       world->name[issuer].text, message->resource.text);
    }
}

void oracle_noted(struct world *world, int issuer, int board, const struct lease_message *message)
{
    int resource = world_resource(world, &message->resource);
    struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    const struct lease_table *table = &world->issuer[issuer].replica->table;
    bool known = stuck_find(&table->stuck, &message->resource,
                            &world->name[board_node(world, board)]) != NULL;
    if (known == message->fenced)
        world_fail(world, ORACLE_S3, "%s says that a word of %s about %s is noted, it is not",
                   world->name[issuer].text, world->name[board_node(world, board)].text,
                   message->resource.text);
    check_at_rest(world, issuer, board, message);
    /* The answer to an old word of a board that was cleared since: it counts for nobody. */
    const struct sim_agent *agent = &world->board[board].agent;
    bool old = agent->process->up && !agent->holder->lease[resource].word.stuck;
    /* Let go already: the operator's word was about this very fault. */
    if (!message->fenced && !old && (stuck->let_go & 1u << board) == 0)
        stuck->noted |= 1u << board;
}

void oracle_said_clear(struct world *world, int resource, int board)
{
    struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    stuck->cleared_again |= stuck->cleared & 1u << board;
    stuck->cleared |= 1u << board;
}

/*
 * It drives: what an operator cleared before is over. But for a word that was said before that and
 * got into the log behind the grant: what ends its row is still the same clearing.
 */
void oracle_stuck_drives(struct world *world, int resource, int board)
{
    struct oracle_stuck *stuck = &world->oracle.stuck[resource];
    stuck->cleared &= ~(1u << board) | stuck->rows;
    stuck->cleared_again &= stuck->cleared;
}

/* The boards that this table has a row of. */
static struct oracle_stuck rows_of(const struct world *world, const struct lease_table *table,
                                   int resource)
{
    struct oracle_stuck has = { 0 };
    for (int board = 0; board < world->board_count; board++) {
        const struct stuck_row *row = stuck_find(&table->stuck, &world->resource[resource],
                                                 &world->name[board_node(world, board)]);
        has.rows |= row ? 1u << board : 0;
        has.let_go |= row && row->let_go ? 1u << board : 0;
    }
    return has;
}

void oracle_said_go(struct world *world, int resource, int board, int issuer)
{
    world->oracle.stuck[resource].go_for |=
        rows_of(world, &world->issuer[issuer].replica->table, resource).rows & 1u << board;
}

void oracle_compare_stuck(struct world *world, int issuer, const struct lease_table *table)
{
    for (int i = 0; i < world->resource_count; i++) {
        struct oracle_stuck has = rows_of(world, table, i);
        if (has.rows != world->oracle.stuck[i].rows || has.let_go != world->oracle.stuck[i].let_go)
            world_fail(world, ORACLE_LOG,
                       "%s: %s at entry %llu holds for %x, let go %x, not %x, %x",
                       world->name[issuer].text, world->resource[i].text,
                       (unsigned long long)table->applied, has.rows, has.let_go,
                       world->oracle.stuck[i].rows, world->oracle.stuck[i].let_go);
    }
}

void oracle_restore_stuck(struct world *world, const struct lease_table *table)
{
    for (int i = 0; i < world->resource_count; i++) {
        const struct oracle_stuck lost = world->oracle.stuck[i];
        struct oracle_stuck has = rows_of(world, table, i);
        /* At its board a fault was cleared whatever the cluster has lost, and whatever it has back. */
        has.cleared = lost.cleared | (has.rows & ~lost.rows);
        has.cleared_again = lost.cleared_again;
        world->oracle.stuck[i] = has;
    }
}

/* ---- what boards say of them */

/* S1: a word that no other of this agent has overtaken counts at once. */
bool oracle_word_is_news(struct world *world, int issuer, int board,
                         const struct lease_message *message)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    const struct issuer *rules = &world->issuer[issuer].replica->issuer;
    uint32_t life = world->board[board].agent.process->life;
    bool known = seen->word_life[board] == life;
    bool up = false;
    if (known && (int64_t)(message->nonce - seen->word_nonce[board]) <= 0)
        return false;
    for (size_t i = 0; i < rules->client_count; i++)
        up = up || (rules->client[i].up &&
                    name_equal(&rules->client[i].node, &world->name[board_node(world, board)]));
    if (!rules->serving || !up)
        return false;
    seen->word_life[board] = life;
    seen->word_nonce[board] = message->nonce;
    return true;
}

void oracle_word_taken(struct world *world, int issuer, int board,
                       const struct lease_message *message)
{
    const struct replica *replica = world->issuer[issuer].replica;
    struct instant now = clock_local(world, issuer);
    const struct hf_name *name = &world->name[board_node(world, board)];
    if (message->fenced || !replica->issuer.serving ||
        stuck_find(&replica->table.stuck, &message->resource, name))
        return;
    for (uint32_t i = 0; i < replica->issuer.lease_count; i++) {
        const struct issuer_lease *lease = &replica->issuer.lease[i];
        if (name_equal(&lease->resource, &message->resource) &&
            !instant_reached(lease->word_until, now))
            return;
    }
    world_fail(world, ORACLE_S1,
               "%s hears that an output of %s is stuck on at %s, and holds nothing",
               world->name[issuer].text, message->resource.text, name->text);
}

void oracle_guard_told(struct world *world, int board, const struct guard_message *status)
{
    struct oracle_board *seen = &world->oracle.board[board];
    int resource = status->kind == GUARD_STATUS ? world_resource(world, &status->name) : -1;
    if (resource < 0)
        return;
    bool on = status->state == GUARD_FAULT && status->readback_on != 0;
    seen->told_stuck[resource] =
        status->state == GUARD_FAULT && status->fault == GUARD_FAULT_STUCK_ON;
    if (!on || seen->told_on_us[resource] == 0)
        seen->told_on_us[resource] = on ? world->now_us : 0;
}

/* L2: an output is said to be stuck on if its guard says so, or it was on for longer than it may be. */
void oracle_agent_says(struct world *world, int board, const struct holder *holder)
{
    enum { MARGIN_US = 1000 };
    int32_t skew = world->plan.skew_ppm_max;
    uint32_t ppm = 2 * (uint32_t)(skew > SIM_DRIFT_PPM ? skew : SIM_DRIFT_PPM);
    struct oracle_board *seen = &world->oracle.board[board];
    for (int i = 0; i < world->resource_count; i++) {
        const struct holder_lease *lease = holder_lease_of(holder, &world->resource[i]);
        int64_t least_us = timing_shrink(lease->config.fence, ppm).us - MARGIN_US;
        bool begins = lease->word.stuck && !seen->says_stuck[i];
        seen->says_stuck[i] = lease->word.stuck;
        if (!begins || seen->told_stuck[i] ||
            world->clock[world->machine_of[board_node(world, board)]].raw.stands ||
            world->board[board].guard.clock_touched_us >= seen->told_on_us[i])
            continue;
        if (seen->told_on_us[i] == 0 || world->now_us - seen->told_on_us[i] < least_us)
            world_fail(world, ORACLE_L2,
                       "%s says that an output of %s is stuck on, and it was not on for so long",
                       world->name[board_node(world, board)].text, world->resource[i].text);
    }
}

void oracle_agent_starts(struct world *world, int board)
{
    struct oracle_board *seen = &world->oracle.board[board];
    for (int i = 0; i < SIM_RESOURCES_MAX; i++) {
        seen->told_on_us[i] = 0;
        seen->told_stuck[i] = false;
        seen->says_stuck[i] = false;
    }
}
