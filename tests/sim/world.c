/* Chance, names, memory, failures: what every part of the world uses. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators". */
static uint64_t next_random(struct world *world)
{
    world->random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = world->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t world_below(struct world *world, uint64_t bound)
{
    return next_random(world) % bound;
}

int64_t world_between(struct world *world, int64_t low, int64_t high)
{
    return low + (int64_t)world_below(world, (uint64_t)(high - low) + 1);
}

bool world_chance(struct world *world, unsigned ppm)
{
    return ppm > 0 && world_below(world, 1000000) < ppm;
}

void *world_copy(const void *bytes, size_t length)
{
    void *copy = malloc(length);
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
    struct event event = { .at_us = world->now_us + delay_us, .kind = kind, .node = node,
                           .sent_us = world->now_us, .length = length };
    const struct process *process = process_of(world, kind, node);
    event.life = process ? process->life : 0;
    if (length > 0)
        event.data = world_copy(data, length);
    return queue_add(&world->queue, &event);
}
