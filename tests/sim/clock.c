/*
 * Each machine's clocks. RAW decides: another start, another rate, and a rate that may change.
 * MONOTONIC wakes: at RAW's rate but for what a time daemon slews it by. BOOTTIME runs on in sleep,
 * so its distance to MONOTONIC is the sleep so far.
 */
#include "tests/sim/sim.h"

enum { BOOT_MAX_US = 100000000, SLEW_MAX_PPM = 100000, SLEW_LATE_US = 4000 };

static const int64_t million = 1000000;

static int64_t shows(const struct skewed_clock *clock, int64_t true_us)
{
    int64_t passed_us = true_us - clock->true_base_us;
    if (clock->stands)
        return clock->local_base_us;
    return clock->local_base_us + passed_us + passed_us * clock->ppm / million;
}

struct instant clock_local(const struct world *world, int node)
{
    return (struct instant){ shows(&world->clock[world->machine_of[node]].raw, world->now_us) };
}

int64_t clock_monotonic_us(const struct world *world, int node)
{
    return shows(&world->clock[world->machine_of[node]].monotonic, world->now_us);
}

int64_t clock_slept_us(const struct world *world, int node)
{
    return world->clock[world->machine_of[node]].slept_us;
}

/* A microsecond for each rounding. */
static int64_t stretch(int64_t us, const struct skewed_clock *clock)
{
    return us * million / (million + clock->ppm) + 2;
}

int64_t clock_true_us(const struct world *world, int node, struct instant at)
{
    const struct machine_clock *clock = &world->clock[world->machine_of[node]];
    if (at.us == INSTANT_NEVER.us)
        return INT64_MAX;
    int64_t ahead_us = at.us - shows(&clock->raw, world->now_us);
    if (ahead_us <= 0)
        return world->now_us;
    return world->now_us + stretch(ahead_us, &clock->raw);
}

int64_t clock_stretch_us(const struct world *world, int node, int64_t monotonic_us)
{
    return stretch(monotonic_us, &world->clock[world->machine_of[node]].monotonic);
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

/* As far as the guard's longest sleep, its report's interval, bears it: that is 10 % of 20 ms. */
static int32_t some_slew(const struct sim_plan *plan, struct random *random)
{
    int64_t most = SLEW_LATE_US * 1000 / (SIM_GUARD_STATUS_MS * plan->scale);
    if (plan->type != SIM_CHAOS || plan->steady || random_chance(random, 500000))
        return 0;
    if (most > SLEW_MAX_PPM)
        most = SLEW_MAX_PPM;
    return (int32_t)random_between(random, -most, most);
}

void clock_boot(struct world *world, int machine)
{
    struct random *random = world_random(world, STREAM_CLOCK, machine);
    struct skewed_clock raw = {
        .true_base_us = world->now_us,
        .local_base_us = random_between(random, 0, BOOT_MAX_US),
        .ppm = clock_some_rate(&world->plan, random, machine < world->issuer_count),
    };
    struct machine_clock *clock = &world->clock[machine];
    *clock = (struct machine_clock){ raw, raw, some_slew(&world->plan, random), 0 };
    clock->monotonic.ppm += clock->slew_ppm;
}

/* From now on it counts anew, from what it shows. */
static void rebase(const struct world *world, struct skewed_clock *clock)
{
    clock->local_base_us = shows(clock, world->now_us);
    clock->true_base_us = world->now_us;
}

void clock_change_rate(struct world *world, int machine, int32_t ppm)
{
    struct machine_clock *clock = &world->clock[machine];
    rebase(world, &clock->raw);
    rebase(world, &clock->monotonic);
    clock->raw.ppm = ppm;
    clock->monotonic.ppm = ppm + clock->slew_ppm;
    if (world->board_on[machine] >= 0)
        sim_guard_rate_changed(world, world->board_on[machine]);
}

void clock_step(struct world *world, struct skewed_clock *clock, int64_t step_us)
{
    rebase(world, clock);
    clock->local_base_us += step_us;
}

void clock_stand(struct world *world, struct skewed_clock *clock, bool stands)
{
    rebase(world, clock);
    clock->stands = stands;
}
