/*
 * A board's lines and watchdog as its guard has them: hal/hal.h above line.c. Readbacks are as on a
 * real board where the pace is fast: they must be looked at. At slower ones they are as on a bench,
 * which says by a descriptor that one has changed.
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* One output and its readback are one line of the board. */
struct hal_line {
    struct world *world;
    int board;
    int resource;
};

static struct hal_line lines[SIM_BOARDS_MAX][SIM_RESOURCES_MAX];

static enum hal_result open_line(void *context, const char *resource, struct hal_line **out)
{
    struct sim_guard *guard = context;
    struct hf_name name;
    HF_CHECK(name_from_string(&name, resource));
    int number = world_resource(guard->world, &name);
    HF_CHECK(number >= 0);
    *out = &lines[guard->board][number];
    **out = (struct hal_line){ guard->world, guard->board, number };
    return HAL_OK;
}

static enum hal_result open_output(void *context, const struct hal_line_config *config,
                                   struct hal_line **out)
{
    enum hal_result result = open_line(context, config->resource, out);
    line_set((*out)->world, (*out)->board, (*out)->resource, false);
    return result;
}

static enum hal_result open_input(void *context, const struct hal_line_config *config,
                                  struct hal_line **out)
{
    enum hal_result result = open_line(context, config->resource, out);
    guard_hal_line_changed((*out)->world, (*out)->board, (*out)->resource);
    return result;
}

static enum hal_result set(struct hal_line *line, bool on)
{
    guard_may_die(&line->world->board[line->board].guard);
    line_set(line->world, line->board, line->resource, on);
    return HAL_OK;
}

static enum hal_result get(struct hal_line *line, bool *on)
{
    struct sim_hal *hal = &line->world->board[line->board].guard.hal;
    if (hal->fails_until_us[line->resource] > line->world->now_us) {
        hal->failed |= 1u << line->resource;
        return HAL_IO;
    }
    *on = hal->told ? hal->level[line->resource] :
                      line_reads(line->world, line->board, line->resource);
    return HAL_OK;
}

static bool edges(const struct hal_line *line, int64_t *monotonic_us)
{
    *monotonic_us = INT64_MIN;
    return line->world->board[line->board].guard.hal.told;
}

void guard_hal_fails(struct world *world, int board, int resource, int64_t until_us)
{
    log_note(world, "%s: the readback of %s can't be read",
             world->name[board_node(world, board)].text, world->resource[resource].text);
    world_cover(world, COVERAGE_READBACKS_FAILED);
    world->board[board].guard.hal.fails_until_us[resource] = until_us;
}

static void close_line(struct hal_line *line)
{
    line_set(line->world, line->board, line->resource, false);
}

/* ---- watchdog */

void guard_hal_feed(struct sim_guard *guard)
{
    struct world *world = guard->world;
    int64_t timeout_us = SIM_WATCHDOG_MS * 1000 * world->plan.scale;
    guard->watchdog_us = world->now_us + timeout_us;
    world_post(world, EVENT_GUARD_WATCHDOG, board_node(world, guard->board), timeout_us, NULL, 0)
        ->epoch = ++guard->watchdog_id;
}

static enum hal_result arm(void *context, const char *device, uint32_t timeout_ms,
                           uint32_t *actual_ms)
{
    const struct sim_guard *guard = context;
    (void)device;
    HF_CHECK(timeout_ms == SIM_WATCHDOG_MS * guard->world->plan.scale);
    *actual_ms = timeout_ms;
    guard_hal_feed(context);
    return HAL_OK;
}

static enum hal_result feed(void *context)
{
    struct sim_guard *guard = context;
    guard_may_die(guard);
    oracle_fed(guard->world, guard->board);
    oracle_fed_late(guard->world, guard->board);
    guard_hal_feed(guard);
    return HAL_OK;
}

static enum hal_result stop(void *context)
{
    struct sim_guard *guard = context;
    oracle_watchdog_stopped(guard->world, guard->board);
    guard->watchdog_us = INT64_MAX;
    return HAL_OK;
}

/* ---- levels that come by themselves */

static enum hal_result service(void *context)
{
    struct sim_guard *guard = context;
    struct sim_hal *hal = &guard->hal;
    hal->input = false;
    for (int i = 0; hal->told && i < guard->world->resource_count; i++)
        hal->level[i] = line_reads(guard->world, guard->board, i);
    return HAL_OK;
}

bool guard_hal_readable(const struct sim_guard *guard)
{
    return guard->hal.input;
}

/* Not now, if it is looked at before that. */
static void look_at(struct world *world, int board, int resource, int64_t at_us)
{
    struct sim_hal *hal = &world->board[board].guard.hal;
    bool sooner = hal->look_us[resource] >= world->now_us && hal->look_us[resource] <= at_us;
    if (at_us == INT64_MAX || sooner)
        return;
    hal->look_us[resource] = at_us;
    world_post(world, EVENT_READBACK, board_node(world, board), at_us - world->now_us, NULL, 0)
        ->peer = resource;
}

void guard_hal_line_changed(struct world *world, int board, int resource)
{
    const struct sim_hal *hal = &world->board[board].guard.hal;
    if (!hal->told)
        return;
    bool shows = line_reads(world, board, resource);
    look_at(world, board, resource,
            shows != hal->level[resource] ? world->now_us :
                                            line_reads_until_us(world, board, resource));
}

void guard_hal_look(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    int resource = event->peer;
    struct sim_hal *hal = &world->board[board].guard.hal;
    if (event->at_us != hal->look_us[resource])
        return;
    hal->look_us[resource] = 0;
    look_at(world, board, resource, line_reads_until_us(world, board, resource));
    if (hal->input || line_reads(world, board, resource) == hal->level[resource])
        return;
    hal->input = true;
    sim_guard_wake(world, board);
}

static enum hal_result look(void *context, const struct hal_line_config *config,
                            struct hal_line_facts *facts)
{
    (void)context;
    (void)config;
    (void)facts;
    return HAL_UNSUPPORTED;
}

static const char *why(void *context)
{
    (void)context;
    return "";
}

static void close_hal(struct hal *hal)
{
    (void)hal;
}

enum hal_result guard_hal_open(void *context, const struct conf *conf, struct hal *hal)
{
    static const struct hal_output_ops outputs = { open_output, open_input, set, get,
                                                   edges,       close_line, look };
    static const struct hal_watchdog_ops watchdog = { arm, feed, stop };
    struct sim_guard *guard = context;
    (void)conf;
    guard->hal.told = guard->world->plan.scale > 1;
    guard->hal.input = false;
    guard->hal.failed = 0;
    memset(guard->hal.look_us, 0, sizeof(guard->hal.look_us));
    *hal = (struct hal){ .backend = guard->hal.told ? "sim" : "linux",
                         .output = &outputs,
                         .watchdog = &watchdog,
                         .context = guard,
                         .fd = guard->hal.told ? HANDLE_BENCH : -1,
                         .service = service,
                         .why = why,
                         .close = close_hal };
    return HAL_OK;
}
