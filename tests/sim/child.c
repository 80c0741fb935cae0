#include "tests/sim/child.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHANGES_MAX = 3,
    NEAR_US = 50000, /* times the scale */
    OTHER_STREAMS_PPM = 350000
};

/* ---- names */

const char *child_name(const struct settings *settings, char *text)
{
    int at = snprintf(text, CHILD_NAME_MAX, "%" PRIu64, settings->seed);
    for (int i = 0; i < settings->generations; i++)
        at += snprintf(text + at, (size_t)(CHILD_NAME_MAX - at), ".%u", settings->child[i]);
    return text;
}

bool child_take_name(const char *text, struct settings *settings)
{
    char *end = NULL;
    settings->generations = 0;
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    settings->seed = strtoull(text, &end, 10);
    while (*end == '.' && settings->generations < SIM_GENERATIONS_MAX) {
        const char *digits = end + 1;
        unsigned long child = strtoul(digits, &end, 10);
        if (*digits < '0' || *digits > '9' || child > UINT8_MAX)
            return false;
        settings->child[settings->generations++] = (uint8_t)child;
    }
    return *end == '\0';
}

/* ---- one change */

bool child_possible(const struct sim_plan *plan)
{
    return plan_is_chaos(plan);
}

/* How far a clock steps is no time in which something goes on. */
static bool lasts(enum fault_kind kind)
{
    return kind != FAULT_WAKE_STEP && kind != FAULT_RAW_STEP && kind != FAULT_WALL_STEP;
}

/* Within the time of faults, and over when that is. */
static void fit(const struct sim_plan *plan, struct fault *fault)
{
    int64_t first_us = SIM_SETTLE_US * plan->scale;
    if (fault->at_us >= plan->quiet_us)
        fault->at_us = plan->quiet_us - 1;
    if (fault->at_us < first_us)
        fault->at_us = first_us;
    int64_t left_us = plan->quiet_us - fault->at_us;
    if (lasts(fault->kind) && fault->duration_us > left_us)
        fault->duration_us = left_us;
    if (fault->period_us > left_us)
        fault->period_us = left_us;
}

static struct fault take_out(struct scenario *scenario, size_t at)
{
    struct fault fault = scenario->fault[at];
    scenario->count--;
    memmove(&scenario->fault[at], &scenario->fault[at + 1], (scenario->count - at) * sizeof(fault));
    return fault;
}

static void put_in(struct scenario *scenario, struct fault *fault)
{
    fit(&scenario->plan, fault);
    scenario_add(scenario, fault);
}

/* Near the time of any of them. */
static int64_t some_time(const struct scenario *scenario, struct random *random)
{
    int64_t near_us = NEAR_US * scenario->plan.scale;
    size_t which = (size_t)random_below(random, scenario->count);
    return scenario->fault[which].at_us + random_between(random, -near_us, near_us);
}

static void redraw(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    const struct fault before = { .at_us = fault->at_us, .kind = fault->kind };
    if (!fault_table[fault->kind].draw)
        return;
    *fault = before;
    fault_table[fault->kind].draw(plan, random, fault);
}

static void add_some(struct scenario *scenario, const struct mix *mix, struct random *random)
{
    struct fault fault = { .at_us = some_time(scenario, random) };
    fit(&scenario->plan, &fault);
    mix_draw_fault(mix, &scenario->plan, random, &fault);
    put_in(scenario, &fault);
}

static void change(struct scenario *scenario, const struct mix *mix, struct random *random)
{
    enum {
        REMOVED,
        MOVED_FAR,
        MOVED,
        REDRAWN,
        COPIED,
        LONGER,
        SHORTER,
        ADDED,
        OF_ANOTHER_KIND,
        WAYS
    };
    int way = (int)random_below(random, WAYS);
    if (way == ADDED) {
        add_some(scenario, mix, random);
        return;
    }
    int64_t near_us = NEAR_US * scenario->plan.scale;
    int64_t far_us = some_time(scenario, random);
    struct fault fault = take_out(scenario, (size_t)random_below(random, scenario->count));
    if (way == COPIED)
        scenario_add(scenario, &fault);
    if (way == MOVED || way == COPIED)
        fault.at_us += random_between(random, -near_us, near_us);
    if (way == MOVED_FAR)
        fault.at_us = far_us;
    if (way == REDRAWN)
        redraw(&scenario->plan, random, &fault);
    if (way == LONGER && lasts(fault.kind))
        fault.duration_us *= 2;
    if (way == SHORTER && lasts(fault.kind))
        fault.duration_us -= fault.duration_us / 2;
    if (way == OF_ANOTHER_KIND) {
        fault = (struct fault){ .at_us = fault.at_us };
        mix_draw_fault(mix, &scenario->plan, random, &fault);
    }
    if (way != REMOVED)
        put_in(scenario, &fault);
}

void child_make(struct settings *settings, const struct mix *mix, struct scenario *scenario)
{
    enum { LONG_FACTOR = 1000003, SEED_BITS = 62 };
    uint64_t name = settings->seed;
    for (int i = 0; i < settings->generations && child_possible(&scenario->plan); i++) {
        struct random random;
        name = name * LONG_FACTOR + settings->child[i] + 1;
        random_init(&random, name, STREAM_CHILD, i);
        for (uint64_t left = 1 + random_below(&random, CHANGES_MAX);
             left > 0 && scenario->count > 1; left--)
            change(scenario, mix, &random);
        if (random_chance(&random, OTHER_STREAMS_PPM))
            settings->seed = random_next(&random) >> (64 - SEED_BITS);
    }
}
