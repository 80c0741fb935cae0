/* Chance, names, memory, failures: what every part of the world uses. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* Streams belong to places: they do not depend on how many issuers there are. */
struct random *world_random(struct world *world, enum stream stream, int node)
{
    int place = node < world->issuer_count ? node : FAULT_BOARD + node - world->issuer_count;
    return &world->random[stream][place];
}

void *world_copy(const void *bytes, size_t length)
{
    void *copy = heap_world(length);
    HF_CHECK(copy);
    memcpy(copy, bytes, length);
    return copy;
}

static int find_node(const struct world *world, const struct hf_name *name, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        if (name_equal(&world->name[i], name))
            return i;
    }
    return -1;
}

int world_issuer(const struct world *world, const struct hf_name *name)
{
    return find_node(world, name, 0, world->issuer_count);
}

int world_board_node(const struct world *world, const struct hf_name *name)
{
    return find_node(world, name, world->issuer_count, world->board_count);
}

int world_resource(const struct world *world, const struct hf_name *name)
{
    for (int i = 0; i < world->resource_count; i++) {
        if (name_equal(&world->resource[i], name))
            return i;
    }
    return -1;
}

void world_cover(struct world *world, enum coverage_kind kind)
{
    world->coverage[kind]++;
    if (!coverage_is_common(kind))
        world_trail(world, TRAIL_COUNTER, kind);
}

void world_trail(struct world *world, enum trail_sort sort, unsigned what)
{
    enum { SORT_BITS = 10, FACTOR = 40503 };
    unsigned now = (unsigned)sort << SORT_BITS | what;
    unsigned bit = (world->trail_last * FACTOR + now) % (8 * SIM_TRAIL_BYTES);
    world->trail[bit / 8] |= (uint8_t)(1u << bit % 8);
    world->trail_last = now;
}

void world_fail(struct world *world, enum oracle_kind oracle, const char *format, ...)
{
    char text[SIM_FAILURE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_note(world, "%s broken: %s", oracle_name(oracle), text);
    if (world->settings.tolerated & (1u << oracle)) {
        world->tolerated[oracle]++;
        return;
    }
    world->failed = oracle;
    text_copy(world->failure, sizeof(world->failure), text);
    longjmp(world->stop, 1);
}

struct event *world_post(struct world *world, enum event_kind kind, int node, int64_t delay_us,
                         const void *data, size_t length)
{
    struct event event = { .at_us = world->now_us + delay_us,
                           .kind = kind,
                           .node = node,
                           .sent_us = world->now_us,
                           .length = length };
    const struct process *process = process_of(world, kind, node);
    event.life = process ? process->life : 0;
    if (length > 0)
        event.data = world_copy(data, length);
    return queue_add(&world->queue, &event);
}
