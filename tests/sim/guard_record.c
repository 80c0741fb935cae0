/*
 * A board's DATA/faults, and who writes it: it outlives guard and kernel. A write replaces the file
 * as a whole some time later, whatever became of the guard meanwhile; or it fails; a board that goes
 * in the middle of it has the old file or the new one. A power cut may damage it. What a guard that was
 * killed had written may hang: the next one is told that it is busy, until it is done.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    WRITE_MIN_US = 300,
    WRITE_MAX_US = 30000,
    SLOW_WRITE_MAX_US = 2000000,
    SLOW_PPM = 50000,
    FAILS_PPM = 30000,
    HUNG_WRITE_MAX_US = 20000000,
    HANGS_PPM = 100000,
    DAMAGE_PPM = 20000
};

static struct sim_record *record_of(void *context)
{
    const struct sim_guard *guard = context;
    return &guard->world->board[guard->board].record;
}

static struct random *random_of(struct world *world, int board)
{
    return world_random(world, STREAM_RECORD, board_node(world, board));
}

static void replace(struct sim_record *record)
{
    memcpy(record->file, record->next, record->next_length);
    record->length = record->next_length;
    record->writing = false;
}

static bool may_fail(const struct world *world)
{
    return plan_is_chaos(&world->plan) && !world->plan.steady && !world->quiet;
}

/* ---- the guard's calls */

bool guard_open_record(void *context, const char *data_dir, int *handle)
{
    struct sim_record *record = record_of(context);
    (void)data_dir;
    record->ended = false;
    record->hangs = record->writing;
    *handle = HANDLE_RECORD;
    return true;
}

ssize_t guard_read_record(void *context, int handle, void *bytes, size_t size)
{
    struct sim_guard *guard = context;
    struct world *world = guard->world;
    struct sim_record *record = record_of(context);
    HF_CHECK(handle == HANDLE_RECORD && record->length <= size);
    guard_may_die(guard); /* with its lines told off, and no answer yet */
    record->unread = false;
    if (record->hangs && may_fail(world)) {
        record->unread = true;
        world_cover(world, COVERAGE_RECORDS_HUNG);
        return -EBUSY;
    }
    /* Who wrote for the guard before was waited for. */
    if (record->hangs)
        replace(record);
    record->hangs = false;
    if (may_fail(world) && random_chance(random_of(world, guard->board), FAILS_PPM)) {
        record->unread = true;
        world_cover(world, COVERAGE_RECORDS_UNREAD);
        return -EIO;
    }
    memcpy(bytes, record->file, record->length);
    return record->length == 0 ? -ENOENT : (ssize_t)record->length;
}

int guard_write_record(void *context, int handle, const void *bytes, size_t size)
{
    struct sim_guard *guard = context;
    struct world *world = guard->world;
    struct sim_record *record = record_of(context);
    struct random *random = random_of(world, guard->board);
    HF_CHECK(handle == HANDLE_RECORD && size <= sizeof(record->next));
    guard_may_die(guard);
    record->failed = record->failed || record->hangs;
    if (record->hangs)
        return -EBUSY;
    HF_CHECK(!record->writing);
    memcpy(record->next, bytes, size);
    record->next_length = size;
    record->writing = true;
    record->ended = false;
    int64_t most_us = random_chance(random, SLOW_PPM) ? SLOW_WRITE_MAX_US : WRITE_MAX_US;
    if (may_fail(world) && random_chance(random, HANGS_PPM))
        most_us = HUNG_WRITE_MAX_US;
    world_post(world, EVENT_RECORD, board_node(world, guard->board),
               random_between(random, WRITE_MIN_US, most_us), NULL, 0)
        ->epoch = ++record->number;
    return 0;
}

int guard_record_written(void *context, int handle)
{
    struct sim_record *record = record_of(context);
    HF_CHECK(handle == HANDLE_RECORD);
    if (!record->ended)
        return -EAGAIN;
    record->ended = false;
    record->told_us = ((struct sim_guard *)context)->world->now_us;
    return record->failed ? -EIO : 0;
}

/* ---- time, and what ends */

void guard_record_ends(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    struct sim_record *record = &world->board[board].record;
    if (event->epoch != record->number || !record->writing)
        return;
    bool fails = may_fail(world) && random_chance(random_of(world, board), FAILS_PPM);
    record->failed = fails || record->hangs;
    if (fails) {
        world_cover(world, COVERAGE_RECORDS_FAILED);
        record->writing = false;
    } else {
        replace(record);
    }
    record->ended = !record->hangs; /* else nobody waits for it */
    record->hangs = false;
    sim_guard_wake(world, board);
}

void guard_record_heals(struct world *world, int board)
{
    const struct sim_record *record = &world->board[board].record;
    if (record->writing)
        world_post(world, EVENT_RECORD, board_node(world, board), WRITE_MAX_US, NULL, 0)->epoch =
            record->number;
}

void guard_record_cut(struct world *world, int board)
{
    struct sim_record *record = &world->board[board].record;
    if (record->writing && random_chance(random_of(world, board), 500000))
        replace(record);
    record->writing = false;
    record->ended = false;
    record->hangs = false;
}

void guard_record_damaged(struct world *world, int board)
{
    struct sim_record *record = &world->board[board].record;
    struct random *random = random_of(world, board);
    if (record->length == 0 || !plan_is_chaos(&world->plan) || world->quiet ||
        !random_chance(random, DAMAGE_PPM))
        return;
    record->file[random_below(random, record->length)] ^= (char)(1u << random_below(random, 8));
    world_cover(world, COVERAGE_RECORDS_DAMAGED);
}
