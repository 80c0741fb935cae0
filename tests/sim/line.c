/*
 * Outputs as the plant has them: pins, charge pumps, relays that weld, readbacks that lie. What the
 * board's software believes is not asked.
 */
#include "tests/sim/sim.h"

enum { READBACK_LAG_US = 500 };

bool line_is_on(const struct line *line, int64_t at_us)
{
    return line->off_us > 0 && line->on_us <= at_us && at_us < line->off_us;
}

static bool is_pulse(const struct world *world, int board)
{
    return world->plan.hardware[board].output == OUTPUT_PULSE;
}

/* Until when it stays on, if nothing happens any more. */
static int64_t holds_until(const struct world *world, int board, const struct line *line)
{
    if (line->welded)
        return INT64_MAX;
    if (is_pulse(world, board))
        return line->rise_us + world->board[board].hold_ms * 1000;
    return line->level ? INT64_MAX : world->now_us;
}

static void rise(struct world *world, int board, int resource)
{
    struct line *line = &world->board[board].line[resource];
    oracle_edge(world, board, resource);
    guard_client_sees_edge(world, board, resource);
    if (!line_is_on(line, world->now_us)) {
        line->on_us = world->now_us;
        world_cover(world, COVERAGE_DRIVES);
        log_note(world, "%s: %s: line on, token %llu", world->name[board_node(world, board)].text,
                 world->resource[resource].text,
                 (unsigned long long)world->board[board].guard.loop.guard.resource[resource].token);
    }
    line->rise_us = world->now_us;
    line->off_us = holds_until(world, board, line);
    guard_hal_line_changed(world, board, resource);
}

/* A fall pumps nothing, as in the bench. */
static void fall(struct world *world, int board, int resource)
{
    struct line *line = &world->board[board].line[resource];
    if (is_pulse(world, board))
        return;
    oracle_fall(world, board, resource);
    line->off_us = holds_until(world, board, line);
    guard_hal_line_changed(world, board, resource);
    log_note(world, "%s: %s: line off", world->name[board_node(world, board)].text,
             world->resource[resource].text);
}

void line_set(struct world *world, int board, int resource, bool level)
{
    struct line *line = &world->board[board].line[resource];
    if (line->level == level)
        return;
    line->level = level;
    if (level)
        rise(world, board, resource);
    else
        fall(world, board, resource);
}

void line_all_low(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++)
        line_set(world, board, i, false);
}

bool line_reads(const struct world *world, int board, int resource)
{
    const struct line *line = &world->board[board].line[resource];
    if (line->reading != READING_TRUE)
        return line->reading == READING_ON;
    return line_is_on(line, world->now_us - READBACK_LAG_US);
}

int64_t line_reads_until_us(const struct world *world, int board, int resource)
{
    const struct line *line = &world->board[board].line[resource];
    if (line->reading != READING_TRUE || line->off_us == 0)
        return INT64_MAX;
    if (line->on_us + READBACK_LAG_US > world->now_us)
        return line->on_us + READBACK_LAG_US;
    if (line->off_us == INT64_MAX || line->off_us + READBACK_LAG_US <= world->now_us)
        return INT64_MAX;
    return line->off_us + READBACK_LAG_US;
}

void line_stick(struct world *world, int board, int resource, enum line_reading reading)
{
    world->board[board].line[resource].reading = reading;
    guard_hal_line_changed(world, board, resource);
}

void line_change_pumps(struct world *world, int board)
{
    struct sim_board *refitted = &world->board[board];
    int64_t before_us = refitted->hold_ms * 1000;
    int64_t after_us = refitted->file_hold_ms * 1000;
    if (before_us == after_us)
        return;
    refitted->hold_ms = refitted->file_hold_ms;
    for (int i = 0; i < world->resource_count; i++) {
        struct line *line = &refitted->line[i];
        int64_t end_us = line->rise_us + before_us;
        if (end_us > world->now_us + after_us)
            end_us = world->now_us + after_us;
        line->rise_us = end_us - after_us;
        if (!line->welded && line_is_on(line, world->now_us))
            line->off_us = end_us;
    }
}

void line_weld(struct world *world, int board, int resource)
{
    struct line *line = &world->board[board].line[resource];
    line->welded = true;
    if (line_is_on(line, world->now_us))
        line->off_us = INT64_MAX;
    guard_hal_line_changed(world, board, resource);
}

void line_repair(struct world *world, int board, int resource)
{
    struct line *line = &world->board[board].line[resource];
    line->reading = READING_TRUE;
    line->repaired_us = world->now_us;
    if (line->welded && line_is_on(line, world->now_us)) {
        line->welded = false;
        line->off_us = holds_until(world, board, line);
    }
    line->welded = false;
    guard_hal_line_changed(world, board, resource);
}
