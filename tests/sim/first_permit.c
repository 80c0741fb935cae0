/*
 * The fault that aims at the beginning: a board is granted a resource, and as soon as its guard has
 * taken the first permit, and told its outputs on, the guard dies, the kernel hangs or the agent dies.
 */
#include "tests/sim/fault_rows.h"

#include "tests/sim/sim.h"

enum { LOOK_US = 100, LOOKS_MAX = 100 /* the guard is late, or refuses it */ };

const char *first_permit_await(struct world *world, int board, int word, int64_t down_us)
{
    if (!world->board[board].guard.process.up)
        return fault_is_down;
    world->first_permit[board] = (struct sim_first_permit){ true, word, down_us };
    return NULL;
}

static void post_look(struct world *world, int board, uint32_t looks)
{
    world_post(world, EVENT_FIRST_PERMIT, board_node(world, board), LOOK_US, NULL, 0)->epoch =
        looks;
}

void first_permit_sent(struct world *world, int board)
{
    if (!world->first_permit[board].awaited)
        return;
    world->first_permit[board].awaited = false;
    post_look(world, board, 0);
}

static bool drives(const struct world *world, int board)
{
    const struct sim_guard *guard = &world->board[board].guard;
    for (int i = 0; i < world->resource_count && guard->process.up; i++) {
        if (guard->loop.guard.resource[i].state == GUARD_DRIVING)
            return true;
    }
    return false;
}

static void strike(struct world *world, int board)
{
    const struct sim_first_permit *strike = &world->first_permit[board];
    const struct fault fault = {
        .kind = strike->word == WORD_HANG ? FAULT_HANG : FAULT_KILL,
        .part = strike->word == WORD_AGENT ? PART_AGENT : PART_GUARD,
        .node = FAULT_BOARD + board,
        .duration_us = strike->down_us,
    };
    if (!fault_table[fault.kind].apply(world, &fault))
        world_cover(world, COVERAGE_KILLS_AT_FIRST_PERMIT);
}

void first_permit_event(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    /* A card that was put back is to be found out first. */
    if (world->quiet || world->put_back.open)
        return;
    if (drives(world, board))
        strike(world, board);
    else if (event->epoch < LOOKS_MAX)
        post_look(world, board, event->epoch + 1);
}
