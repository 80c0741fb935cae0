/* S1, S5, S2 over drives, L1 and L2: judged at every edge of a line, by true time. */
#include "tests/sim/sim.h"

void oracle_answer(struct world *world, int board, const struct lease_message *message)
{
    struct oracle_board *seen = &world->oracle.board[board];
    const struct oracle_renewal *renewal = &seen->renewal[message->nonce % ORACLE_RENEWALS];
    if (renewal->nonce != message->nonce ||
        renewal->life != world->board[board].agent.process->life)
        return;
    for (uint8_t i = 0; i < message->item_count; i++) {
        const struct lease_item *item = &message->items[i];
        int resource = world_resource(world, &item->resource);
        int64_t deadline_us =
            renewal->sent_us + sim_ttl_us(&world->plan, resource, world->board[board].agent.ttl_us);
        if (!item->lost && item->token == seen->driven_token[resource] &&
            deadline_us > seen->driven_deadline_us[resource])
            seen->driven_deadline_us[resource] = deadline_us;
        /* Where a cluster was begun too low a lower token may be newer; an old answer is not. */
        if (item->lost || renewal->sent_us < seen->confirmed_sent_us[resource] ||
            (item->token < seen->confirmed_token[resource] && !world->begun_low))
            continue;
        if (item->token != seen->confirmed_token[resource] ||
            deadline_us > seen->deadline_us[resource])
            seen->deadline_us[resource] = deadline_us;
        seen->confirmed_token[resource] = item->token;
        seen->confirmed_sent_us[resource] = renewal->sent_us;
    }
}

/* Every rising edge keeps a charge pump charged. */
static void check_permitted(struct world *world, int board, int resource)
{
    const struct oracle_board *seen = &world->oracle.board[board];
    const struct guard_resource *guard = &world->board[board].guard.loop.guard.resource[resource];
    const char *text = world->name[board_node(world, board)].text;
    if (guard->state != GUARD_DRIVING)
        world_fail(world, ORACLE_S5, "%s: %s goes on while the guard is in state %s", text,
                   world->resource[resource].text, guard_state_name(guard->state));
    if (guard->token != seen->confirmed_token[resource])
        world_fail(world, ORACLE_S5, "%s: %s driven with token %llu, confirmed is %llu", text,
                   world->resource[resource].text, (unsigned long long)guard->token,
                   (unsigned long long)seen->confirmed_token[resource]);
    if (world->board[board].guard.clock_went_back)
        world_fail(world, ORACLE_S5, "%s: edge of %s though its clock went back", text,
                   world->resource[resource].text);
    if (world->now_us > seen->deadline_us[resource] && !sim_guard_clock_is_bad(world, board))
        world_fail(world, ORACLE_S5, "%s: edge of %s %lld us after the lease ended", text,
                   world->resource[resource].text,
                   (long long)(world->now_us - seen->deadline_us[resource]));
}

static void check_alone(struct world *world, int board, int resource)
{
    const struct line *own = &world->board[board].line[resource];
    for (int other = 0; other < world->board_count; other++) {
        const struct line *line = &world->board[other].line[resource];
        if (other == board || !line_is_on(line, world->now_us))
            continue;
        /* A relay that does not open: no software can help that. Its guard must say so. */
        if (line->welded || own->welded)
            world_cover(world, COVERAGE_WELDED_OVERLAPS);
        else if (sim_guard_clock_is_bad(world, board) || sim_guard_clock_is_bad(world, other))
            world_cover(world, COVERAGE_STOOD_OVERLAPS);
        else
            world_fail(world, ORACLE_S1, "%s: %s and %s drive", world->resource[resource].text,
                       world->name[board_node(world, board)].text,
                       world->name[board_node(world, other)].text);
    }
}

void oracle_client_told(struct world *world, int board, int resource)
{
    for (int other = 0; other < world->board_count; other++) {
        const struct line *line = &world->board[other].line[resource];
        if (other == board || !line_is_on(line, world->now_us) || line->welded ||
            sim_guard_clock_is_bad(world, board) || sim_guard_clock_is_bad(world, other))
            continue;
        world_fail(world, ORACLE_S1, "%s: a client of %s is told that it is its, and %s drives",
                   world->resource[resource].text, world->name[board_node(world, board)].text,
                   world->name[board_node(world, other)].text);
    }
}

static void check_token(struct world *world, int board, int resource)
{
    struct oracle_drive *drive = &world->oracle.drive[resource];
    uint64_t token = world->board[board].guard.loop.guard.resource[resource].token;
    /* Past the lease that it measures with a clock that stands: counted with the overlaps. */
    if (token < drive->token && sim_guard_clock_is_bad(world, board))
        return;
    /* Tokens of before are given again, to boards that were not heard when that began: see begin.c. */
    bool order = !world->begun_low;
    if (order && (token < drive->token || (token == drive->token && board != drive->board)))
        world_fail(world, ORACLE_S2, "%s: %s drives with token %llu after %llu of another",
                   world->resource[resource].text, world->name[board_node(world, board)].text,
                   (unsigned long long)token, (unsigned long long)drive->token);
    drive->token = token;
    drive->board = board;
}

/* Two candidates shared the votes, so the election took a second try: L2 excepts that. */
static bool vote_was_split(const struct world *world)
{
    for (int i = 0; i < world->issuer_count; i++) {
        const struct sim_issuer *issuer = &world->issuer[i];
        if (issuer->process.up && issuer->replica->raft.term > world->oracle.kill_term + 1)
            return true;
    }
    return false;
}

static void note_several(struct world *world, int board, int resource)
{
    for (int i = 0; i < world->resource_count; i++) {
        if (i != resource && line_is_on(&world->board[board].line[i], world->now_us)) {
            world_cover(world, COVERAGE_DRIVES_SEVERAL);
            return;
        }
    }
}

static void note_new_drive(struct world *world, int board, int resource)
{
    struct oracle_drive *drive = &world->oracle.drive[resource];
    if (world->oracle.no_drop && vote_was_split(world)) {
        log_note(world, "%s: dropped for a split vote", world->resource[resource].text);
        world_cover(world, COVERAGE_SPLIT_VOTES_DROPPED);
        world->oracle.no_drop = false;
    }
    if (world->oracle.no_drop)
        world_fail(world, ORACLE_L2, "%s: dropped, and driven again by %s",
                   world->resource[resource].text, world->name[board_node(world, board)].text);
    if (drive->dead_us == 0)
        return;
    log_note(world, "%s: taken over %lld us after the board's death, bound %lld us",
             world->resource[resource].text, (long long)(world->now_us - drive->dead_us),
             (long long)(drive->bound_us - drive->dead_us));
    if (world->now_us > drive->bound_us)
        world_fail(world, ORACLE_L1, "%s: taken over %lld us after the bound",
                   world->resource[resource].text, (long long)(world->now_us - drive->bound_us));
    world_cover(world, COVERAGE_FAILOVERS_IN_BOUND);
    drive->dead_us = 0;
}

void oracle_edge(struct world *world, int board, int resource)
{
    struct oracle_board *seen = &world->oracle.board[board];
    check_alone(world, board, resource);
    check_permitted(world, board, resource);
    check_token(world, board, resource);
    seen->driven_token[resource] = seen->confirmed_token[resource];
    seen->driven_deadline_us[resource] = seen->deadline_us[resource];
    if (line_is_on(&world->board[board].line[resource], world->now_us))
        return;
    oracle_stuck_drives(world, resource, board);
    note_several(world, board, resource);
    note_new_drive(world, board, resource);
}

/* A hand-over's gap is no failure. */
static bool driven_lately(const struct world *world, int resource)
{
    enum { GAP_US = 300000 };
    for (int board = 0; board < world->board_count; board++) {
        if (world->board[board].line[resource].off_us > world->now_us - GAP_US &&
            world->board[board].line[resource].off_us > 0)
            return true;
    }
    return false;
}

static bool all_held_back(const struct world *world)
{
    for (int board = 0; board < world->board_count; board++) {
        if (!oracle_held_back(world, board))
            return false;
    }
    return true;
}

void oracle_check_driven(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++) {
        if (!driven_lately(world, i) && !all_held_back(world))
            world_fail(world, ORACLE_L1, "%s: no board drives", world->resource[i].text);
    }
}

void oracle_board_died(struct world *world, int resource, int64_t bound_us)
{
    struct oracle_drive *drive = &world->oracle.drive[resource];
    drive->dead_us = world->now_us;
    drive->bound_us = bound_us;
}

void oracle_check_level(struct world *world)
{
    for (int m = 0; m < world->oracle.members.count; m++) {
        int i = world_issuer(world, &world->oracle.members.member[m].id);
        const struct sim_issuer *issuer = &world->issuer[i];
        uint64_t applied = issuer->process.up ? issuer->replica->table.applied : 0;
        if (applied < world->oracle.quiet_index)
            world_fail(world, ORACLE_L1, "%s is at entry %llu, long ago there were %llu",
                       world->name[i].text, (unsigned long long)applied,
                       (unsigned long long)world->oracle.quiet_index);
    }
}

void oracle_check_bounds(struct world *world)
{
    for (int i = 0; i < world->resource_count; i++) {
        const struct oracle_drive *drive = &world->oracle.drive[i];
        if (drive->dead_us != 0 && world->now_us > drive->bound_us)
            world_fail(world, ORACLE_L1, "%s: not taken over by the bound, %lld us after the death",
                       world->resource[i].text, (long long)(drive->bound_us - drive->dead_us));
    }
}
