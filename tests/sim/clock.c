/* Each node's raw clock: another start, another rate, and a rate that may change. */
#include "tests/sim/sim.h"

enum { BOOT_MAX_US = 100000000 };

static const int64_t million = 1000000;

static int64_t local_at(const struct skewed_clock *clock, int64_t true_us)
{
    int64_t passed_us = true_us - clock->true_base_us;
    return clock->local_base_us + passed_us + passed_us * clock->ppm / million;
}

struct instant clock_local(const struct world *world, int node)
{
    return (struct instant){ local_at(&world->clock[world->machine_of[node]], world->now_us) };
}

int64_t clock_true_us(const struct world *world, int node, struct instant at)
{
    const struct skewed_clock *clock = &world->clock[world->machine_of[node]];
    if (at.us == INSTANT_NEVER.us)
        return INT64_MAX;
    int64_t ahead_us = at.us - local_at(clock, world->now_us);
    if (ahead_us <= 0)
        return world->now_us;
    /* Never early: a microsecond for each rounding. */
    return world->now_us + ahead_us * million / (million + clock->ppm) + 2;
}

int32_t clock_some_rate(const struct sim_plan *plan, struct random *random, bool issuer)
{
    int32_t most = plan->skew_ppm_max;
    /* The worst that there is: holders that are slow, issuers that are in a hurry. */
    if (most > SIM_DRIFT_PPM)
        return issuer ? most : -most;
    /* The ends of the range are where the arithmetic is tight. */
    if (random_chance(random, 500000))
        return random_chance(random, 500000) ? most : -most;
    return (int32_t)random_between(random, -most, most);
}

void clock_boot(struct world *world, int machine)
{
    struct random *random = world_random(world, STREAM_CLOCK, machine);
    world->clock[machine] = (struct skewed_clock){
        .true_base_us = world->now_us,
        .local_base_us = random_between(random, 0, BOOT_MAX_US),
        .ppm = clock_some_rate(&world->plan, random, machine < world->issuer_count),
    };
}

void clock_change_rate(struct world *world, int machine, int32_t ppm)
{
    struct skewed_clock *clock = &world->clock[machine];
    clock->local_base_us = local_at(clock, world->now_us);
    clock->true_base_us = world->now_us;
    clock->ppm = ppm;
}
