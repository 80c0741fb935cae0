/*
 * Source of the search over the list: Zeller, Hildebrandt, "Simplifying and Isolating
 * Failure-Inducing Input", 2002 (ddmin, complements only).
 */
#include "tests/sim/shrink.h"

#include <string.h>

enum {
    RUNS_MAX = 600,
    EVENTS_MAX = 20000000, /* about 15 s of one core */
    ROUNDS_MAX = 4,        /* of all ways of simplifying, until none helps */
    HALVINGS_MAX = 8,
    OTHER_SEEDS = 8 /* of the streams, tried where a fault cannot go without them */
};

struct search {
    struct settings settings;
    enum oracle_kind oracle;
    struct scenario best;
    int64_t failed_us; /* when the best one fails */
    unsigned runs;
    uint64_t events;
    bool exhausted;
};

/* Takes *candidate for the best one if it fails by the same oracle; frees the loser. */
static bool try(struct search *search, struct scenario *candidate)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    struct run_result result;
    if (search->runs >= RUNS_MAX || search->events >= EVENTS_MAX) {
        search->exhausted = true;
        scenario_free(candidate);
        return false;
    }
    run_scenario(&search->settings, candidate, &result, ignored);
    search->runs++;
    search->events += result.events;
    if (result.failed != search->oracle) {
        scenario_free(candidate);
        return false;
    }
    scenario_free(&search->best);
    search->best = *candidate;
    search->failed_us = result.simulated_us;
    return true;
}

/* ---- the list */

static bool try_without(struct search *search, size_t from, size_t to)
{
    struct scenario candidate;
    scenario_copy(&candidate, &search->best);
    memmove(&candidate.fault[from], &candidate.fault[to],
            (candidate.count - to) * sizeof(candidate.fault[0]));
    candidate.count -= to - from;
    return try(search, &candidate);
}

/* What comes after the failure has no part in it. */
static void cut_tail(struct search *search)
{
    struct scenario *best = &search->best;
    while (best->count > 0 && best->fault[best->count - 1].at_us > search->failed_us)
        best->count--;
}

static void drop_faults(struct search *search)
{
    for (size_t parts = 2; search->best.count > 0 && !search->exhausted;) {
        size_t count = search->best.count;
        size_t length = (count + parts - 1) / parts;
        bool dropped = false;
        /* From the end: what is late is more often idle. */
        for (size_t to = count; to > 0 && !dropped;) {
            size_t from = to > length ? to - length : 0;
            dropped = try_without(search, from, to);
            to = from;
        }
        cut_tail(search);
        if (dropped)
            parts = parts > 2 ? parts - 1 : 2;
        else if (length == 1)
            return;
        else
            parts = 2 * parts < count ? 2 * parts : count;
    }
}

static void shorten_faults(struct search *search)
{
    for (size_t i = 0; i < search->best.count; i++) {
        bool shorter = true;
        for (int half = 0; half < HALVINGS_MAX && shorter; half++) {
            struct scenario candidate;
            if (search->best.fault[i].duration_us < 2000)
                break;
            scenario_copy(&candidate, &search->best);
            candidate.fault[i].duration_us /= 2;
            shorter = try(search, &candidate) && i < search->best.count;
        }
    }
}

/* Of a race each fault seems needed: without it all else is drawn anew. Other draws may do. */
static bool try_without_one(struct search *search, size_t at)
{
    const uint64_t seed = search->settings.seed;
    for (uint64_t i = 1; i <= OTHER_SEEDS && !search->exhausted; i++) {
        search->settings.seed = seed + i;
        if (try_without(search, at, at + 1))
            return true;
    }
    search->settings.seed = seed;
    return false;
}

static bool drop_stubborn_faults(struct search *search)
{
    size_t count = search->best.count;
    for (size_t at = count; at > 0 && !search->exhausted; at--) {
        if (at > search->best.count || !try_without_one(search, at - 1))
            continue;
        cut_tail(search);
    }
    return search->best.count < count;
}

/* ---- the world */

static void fewer_boards(struct sim_plan *plan)
{
    plan->boards -= plan->boards > 1;
    if (plan->shared_machines > plan->boards)
        plan->shared_machines = plan->boards;
}

static void fewer_issuers(struct sim_plan *plan)
{
    plan->issuers -= plan->issuers > 3 ? 2 : 0;
    plan->spare_issuers = plan->spare_issuers > 2 ? plan->spare_issuers - 2 : 0;
}

static void one_resource(struct sim_plan *plan)
{
    plan->resources = 1;
}

static void no_sharing(struct sim_plan *plan)
{
    plan->shared_machines = 0;
}

static void only_pulses(struct sim_plan *plan)
{
    for (int board = 0; board < SIM_BOARDS_MAX; board++) {
        plan->hardware[board].output = OUTPUT_PULSE;
        plan->hardware[board].retains = false;
    }
    plan_fences(plan);
}

static void no_watchdog(struct sim_plan *plan)
{
    for (int board = 0; board < SIM_BOARDS_MAX; board++)
        plan->hardware[board].watchdog = plan->hardware[board].output == OUTPUT_GPIO_KERNEL;
}

static void no_failback(struct sim_plan *plan)
{
    plan->failback = 0;
}

static void readbacks(struct sim_plan *plan)
{
    for (int board = 0; board < SIM_BOARDS_MAX; board++)
        plan->hardware[board].blind = false;
}

static void one_ttl(struct sim_plan *plan)
{
    plan->long_ttls = 0;
}

static void ordered_network(struct sim_plan *plan)
{
    plan->ordered = true;
    plan->loss_ppm = 0;
    plan->repeat_ppm = 0;
}

static void no_stragglers(struct sim_plan *plan)
{
    plan->straggle_max_us = 0;
}

static void true_clocks(struct sim_plan *plan)
{
    plan->skew_ppm_max = 0;
}

static void no_jitter(struct sim_plan *plan)
{
    ordered_network(plan);
    plan->straggle_max_us = 0;
    plan->steady = true;
}

static bool try_way(struct search *search, void (*way)(struct sim_plan *))
{
    struct scenario candidate;
    scenario_copy(&candidate, &search->best);
    way(&candidate.plan);
    if (memcmp(&candidate.plan, &search->best.plan, sizeof(candidate.plan)) != 0)
        return try(search, &candidate);
    scenario_free(&candidate);
    return false;
}

/* False if nothing of it helped. */
static bool simplify_world(struct search *search)
{
    static void (*const ways[])(struct sim_plan *) = {
        fewer_boards, fewer_issuers, one_resource,    no_sharing,  only_pulses, no_watchdog,
        no_failback,  no_stragglers, ordered_network, true_clocks, readbacks,   one_ttl,
    };
    bool simpler = false;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        simpler = try_way(search, ways[i]) || simpler;
    return simpler;
}

/* Quiet as soon as the last fault is over; the run ends when it did fail. */
static void shorten_run(struct search *search)
{
    struct scenario candidate;
    int64_t last_us = SIM_SETTLE_US * search->best.plan.scale;
    scenario_copy(&candidate, &search->best);
    for (size_t i = 0; i < candidate.count; i++) {
        int64_t over_us = candidate.fault[i].at_us + candidate.fault[i].duration_us;
        if (over_us > last_us)
            last_us = over_us;
    }
    if (last_us < candidate.plan.quiet_us) {
        candidate.plan.end_us -= candidate.plan.quiet_us - last_us;
        candidate.plan.quiet_us = last_us;
    }
    if (!try(search, &candidate))
        return;
    scenario_copy(&candidate, &search->best);
    if (search->failed_us >= candidate.plan.quiet_us && search->failed_us < candidate.plan.end_us)
        candidate.plan.end_us = search->failed_us;
    try(search, &candidate);
}

void shrink_scenario(const struct settings *settings, const struct scenario *scenario,
                     const struct run_result *failure, struct shrunk *shrunk)
{
    struct search search = { .settings = *settings,
                             .oracle = failure->failed,
                             .failed_us = failure->simulated_us };
    search.settings.verbose = false;
    scenario_copy(&search.best, scenario);
    cut_tail(&search);
    bool again = true;
    for (int round = 0; round < ROUNDS_MAX && again && !search.exhausted; round++) {
        size_t count = search.best.count;
        drop_faults(&search);
        again = simplify_world(&search) || search.best.count < count;
        again = drop_stubborn_faults(&search) || again;
    }
    (void)try_way(&search, no_jitter);
    shorten_faults(&search);
    shorten_run(&search);
    if (settings->plant != PLANT_NONE)
        search.best.expected = search.oracle;
    *shrunk = (struct shrunk){ .settings = search.settings,
                               .scenario = search.best,
                               .faults_before = scenario->count,
                               .runs = search.runs,
                               .exhausted = search.exhausted };
}
