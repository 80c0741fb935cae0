/*
 * holdfast-sim: runs seeds of the simulated world.
 *
 *   holdfast-sim --check [--seeds N] [--from SEED]   a set of seeds, planted bugs, coverage
 *   holdfast-sim --set [-v] [--seeds N] [--from SEED]
 *                                                    the set of seeds alone, as soak.py reads it; -v
 *                                                    names each run before it begins. --seeds N alone
 *                                                    means that, too
 *   holdfast-sim --seed NAME [-v]                    one seed, or child (12.3); -v prints its events
 *   holdfast-sim --seed NAME --shrink                the least of a failing one that still fails
 *   holdfast-sim --schedule FILE [-v]                what --shrink printed
 *   holdfast-sim --golden FOLDER [--update]          traces that are known byte for byte
 *   holdfast-sim --skew-beyond [--seeds N] [--from SEED]
 *   holdfast-sim --plant N --seed SEED [-v]          one seed with planted bug N
 *   holdfast-sim --hunt S1,S5 [--seeds N] [--from SEED] [--cpu SECONDS]
 *                                                    seeds until one of these oracles fails
 * With --type N (enum sim_type) every run is of that type; with --fresh no run is a child.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/child.h"
#include "tests/sim/commit.h"
#include "tests/sim/golden.h"
#include "tests/sim/guide.h"
#include "tests/sim/hunt.h"
#include "tests/sim/replay.h"
#include "tests/sim/sim.h"

enum {
    SEEDS_DEFAULT = 2000,
    PLANT_SEEDS_MAX = 120, /* a planted bug must show within so many seeds */
    RARE_PLANT_SEEDS_MAX = 300,
    BEYOND_SEEDS = 72,
    REPEAT_EVERY = 50,    /* so often a seed is run twice */
    SHRUNK_MAX = 2,       /* so many failing seeds of a set are shrunk */
    PLANT_FAULTS_MAX = 5, /* what a planted bug shrinks to, in one of the first */
    PLANT_TRIES = 3,      /* seeds that show it: a race may hide in many faults */
    COVERAGE_SEEDS = 1000 /* fewer cannot be expected to meet everything */
};

struct plant {
    const char *name;
    uint32_t expected; /* bit per oracle */
};

static const struct plant plants[PLANTS] = {
    [PLANT_DEADLINE] = { "a permit with a later deadline", 1u << ORACLE_S5 | 1u << ORACLE_S1 },
    [PLANT_ANSWER] = { "renewals answered without leading", 1u << ORACLE_S4 },
    [PLANT_VOTE] = { "refused votes turned into granted ones",
                     1u << ORACLE_VOTE | 1u << ORACLE_S3 },
    [PLANT_DISK] = { "a disk that lies about sync",
                     1u << ORACLE_DISK | 1u << ORACLE_VOTE | 1u << ORACLE_LOG | 1u << ORACLE_S3 },
    [PLANT_RELEASE] = { "a release of what still drives", 1u << ORACLE_S1 },
    [PLANT_TOKEN] = { "a grant announced with another token", 1u << ORACLE_S2 },
    [PLANT_RESTORED_FREE] = { "a restored cluster that grants at once", 1u << ORACLE_S1 },
    [PLANT_RESTORED_LOG] = { "a restored log that goes on where its backup ends",
                             1u << ORACLE_S2 | 1u << ORACLE_S3 | 1u << ORACLE_S5 },
};

struct options {
    bool check;
    bool set;
    bool one;
    bool skew_beyond;
    bool shrink;
    const char *schedule;
    const char *golden;
    bool update;
    bool verbose;
    bool fresh;
    struct settings named; /* by --seed */
    uint64_t from;
    uint64_t seeds;
    uint64_t plant;
    uint64_t only;
    uint64_t cpu_s;
    uint32_t hunted; /* bit per oracle */
};

/* Of one core: what else runs on the machine does not count. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const struct settings *settings, const struct run_result *result)
{
    char name[CHILD_NAME_MAX];
    printf("seed %s: %s broken at %.6f s: %s\n", child_name(settings, name),
           oracle_name(result->failed), (double)result->simulated_us / 1e6, result->failure);
    if (!settings->verbose)
        log_print_last(stdout, "  ");
    printf("replay: holdfast-sim --seed %s -v (commit %s)\n", name, sim_commit);
    fflush(stdout);
}

/* What the seed makes, printed and read back, must give the same run, whatever ran before it. */
static bool repeats(const struct settings *settings, struct run_result *result)
{
    if (replay_repeats(settings, result->digest))
        return true;
    result->failed = ORACLE_PANIC;
    snprintf(result->failure, sizeof(result->failure), "the seed does not replay");
    return false;
}

struct total {
    uint64_t passed;
    uint64_t failed;
    double hours; /* simulated */
    double events;
    double taken_s;     /* of one core */
    double small_hours; /* of them in worlds of 3 issuers and 2 boards, and the time for those */
    double small_s;
};

static struct total run_set(const struct options *options, uint64_t coverage[COVERAGE_KINDS])
{
    struct total total = { 0 };
    double begin = seconds_now();
    char name[CHILD_NAME_MAX];
    guide_begin(options->from, (enum sim_type)options->only, options->fresh);
    for (uint64_t i = 0; i < options->seeds; i++) {
        struct settings settings;
        struct run_result result;
        double run_begin = seconds_now();
        guide_next(&settings);
        if (options->verbose)
            printf("run %" PRIu64 ": %s\n", i, child_name(&settings, name));
        run_seed(&settings, &result, coverage);
        guide_learn(&settings, &result);
        if (result.issuer_count == 3 && result.board_count == 2) {
            total.small_hours += (double)result.simulated_us / 3.6e9;
            total.small_s += seconds_now() - run_begin;
        }
        total.hours += (double)result.simulated_us / 3.6e9;
        total.events += (double)result.events;
        if (result.passed && (i % REPEAT_EVERY != 0 || repeats(&settings, &result))) {
            total.passed++;
            continue;
        }
        report(&settings, &result);
        if (total.failed++ < SHRUNK_MAX && options->check)
            (void)replay_shrunk(&settings);
    }
    total.taken_s = seconds_now() - begin;
    return total;
}

static void print_total(const struct total *total)
{
    printf("figure: simulator: %.2f hours in %" PRIu64 " seeds, %.2f hours and %.0f thousand "
           "events per CPU second of one core, commit %s\n",
           total->hours, total->passed + total->failed, total->hours / total->taken_s,
           total->events / total->taken_s / 1e3, sim_commit);
    printf("figure: simulator: %.2f hours per CPU second of one core with 3 issuers and 2 boards "
           "(%.2f hours)\n",
           total->small_hours / total->small_s, total->small_hours);
}

/*
 * True if an oracle that should see the bug did so in one of the seeds, no other one did before,
 * and a seed's schedule shrinks to a handful of faults.
 */
static bool plant_is_seen(enum sim_plant plant, uint64_t from)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    int seen = 0;
    /* In most seeds the boards' word on their tokens bars every grant of such a log. */
    int seeds_max = plant == PLANT_RESTORED_LOG ? RARE_PLANT_SEEDS_MAX : PLANT_SEEDS_MAX;
    for (uint64_t i = 0; i < (uint64_t)seeds_max; i++) {
        const struct settings settings = { .seed = from + i, .plant = plant, .only = SIM_TYPES };
        struct run_result result;
        run_seed(&settings, &result, ignored);
        if (result.passed)
            continue;
        if (plants[plant].expected & (1u << result.failed)) {
            printf("planted: %s: seen by %s in seed %" PRIu64 "\n", plants[plant].name,
                   oracle_name(result.failed), settings.seed);
            if (replay_shrinks(&settings, PLANT_FAULTS_MAX) || ++seen == PLANT_TRIES)
                return seen < PLANT_TRIES;
            continue;
        }
        printf("planted: %s: seed %" PRIu64 " ended by %s instead: %s\n", plants[plant].name,
               settings.seed, oracle_name(result.failed), result.failure);
    }
    printf("planted: %s: NOT SEEN in %d seeds\n", plants[plant].name, seeds_max);
    return false;
}

/* Clocks far outside drift_ppm: the promise does not hold there, and the oracle must say so. */
static bool skew_beyond_breaks(uint64_t from, uint64_t seeds)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    uint64_t seeds_broken = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        const struct settings settings = {
            .seed = from + i,
            .skew_beyond = true,
            .only = SIM_TYPES,
            .tolerated = 1u << ORACLE_S1 | 1u << ORACLE_S2 | 1u << ORACLE_S5 | 1u << ORACLE_L1,
        };
        struct run_result result;
        run_seed(&settings, &result, ignored);
        if (!result.passed) {
            report(&settings, &result);
            return false;
        }
        seeds_broken += result.tolerated[ORACLE_S1] > 0;
    }
    printf("clocks 10 %% off: S1 broken in %" PRIu64 " of %" PRIu64 " seeds%s\n", seeds_broken,
           seeds, seeds_broken > 0 ? ", as expected" : ": NOT SEEN");
    return seeds_broken > 0;
}

static uint64_t print_coverage(const uint64_t coverage[COVERAGE_KINDS])
{
    uint64_t holes = 0;
    for (int i = 0; i < COVERAGE_KINDS; i++) {
        bool rare = coverage_is_rare((enum coverage_kind)i);
        printf("  %10" PRIu64 "  %s%s%s\n", coverage[i], coverage_name((enum coverage_kind)i),
               rare ? " (rare)" : "", coverage[i] == 0 ? ": NEVER" : "");
        holes += coverage[i] == 0 && !rare;
    }
    return holes;
}

static int check(const struct options *options)
{
    uint64_t coverage[COVERAGE_KINDS] = { 0 };
    struct total total = run_set(options, coverage);
    uint64_t passed = total.passed;
    uint64_t failed = total.failed;
    print_total(&total);
    for (int plant = PLANT_NONE + 1; plant < PLANTS; plant++) {
        if (plant_is_seen((enum sim_plant)plant, options->from))
            passed++;
        else
            failed++;
    }
    replay_refusals(&passed, &failed);
    replay_folder("tests/sim/regressions", &passed, &failed);
    if (skew_beyond_breaks(options->from, BEYOND_SEEDS))
        passed++;
    else
        failed++;
    uint64_t holes = print_coverage(coverage);
    if (options->seeds >= COVERAGE_SEEDS)
        failed += holes;
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed > 0;
}

static int set(const struct options *options)
{
    uint64_t coverage[COVERAGE_KINDS] = { 0 };
    struct total total = run_set(options, coverage);
    print_coverage(coverage);
    printf("total: %" PRIu64 " passed, %" PRIu64 " failed, %.6f hours, %.0f events, %.6f s, "
           "commit %s\n",
           total.passed, total.failed, total.hours, total.events, total.taken_s, sim_commit);
    return total.failed > 0;
}

static int one(const struct options *options)
{
    struct settings settings = options->named;
    char name[CHILD_NAME_MAX];
    settings.verbose = options->verbose;
    settings.plant = (enum sim_plant)options->plant;
    settings.only = (enum sim_type)options->only;
    uint64_t coverage[COVERAGE_KINDS] = { 0 };
    struct run_result result;
    if (options->shrink && replay_shrunk(&settings))
        return 1;
    run_seed(&settings, &result, coverage);
    if (!result.passed)
        report(&settings, &result);
    else
        printf("seed %s: %.6f s simulated, nothing broken\n", child_name(&settings, name),
               (double)result.simulated_us / 1e6);
    return !result.passed;
}

static int hunt_from(const struct options *options)
{
    const struct hunt wanted = { .oracles = options->hunted,
                                 .from = options->from,
                                 .seeds = options->seeds,
                                 .cpu_s = options->cpu_s,
                                 .only = (enum sim_type)options->only,
                                 .fresh = options->fresh };
    return !hunt(&wanted);
}

static int golden(const struct options *options)
{
    uint64_t passed = 0;
    uint64_t failed = 0;
    golden_check(options->golden, options->update, &passed, &failed);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed > 0;
}

static int usage(void)
{
    fputs(
        "usage: holdfast-sim --check [--seeds N] [--from SEED]\n"
        "       holdfast-sim [--set] [-v] [--seeds N] [--from SEED] [--fresh]\n"
        "       holdfast-sim --seed SEED[.CHILD...] [-v] [--plant N]\n"
        "       holdfast-sim --seed SEED[.CHILD...] --shrink [--plant N]\n"
        "       holdfast-sim --schedule FILE [-v]\n"
        "       holdfast-sim --golden FOLDER [--update]\n"
        "       holdfast-sim --skew-beyond [--seeds N] [--from SEED]\n"
        "       holdfast-sim --hunt ORACLE[,ORACLE...] [--seeds N] [--from SEED] [--cpu SECONDS]\n",
        stderr);
    return 2;
}

static bool take_number(const char *text, uint64_t *number)
{
    char *end = NULL;
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    *number = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool parse(int count, char **arguments, struct options *options)
{
    bool counted = false;
    for (int i = 1; i < count; i++) {
        const char *next = i + 1 < count ? arguments[i + 1] : NULL;
        uint64_t *number = NULL;
        if (strcmp(arguments[i], "--check") == 0)
            options->check = true;
        else if (strcmp(arguments[i], "--set") == 0)
            options->set = true;
        else if (strcmp(arguments[i], "--skew-beyond") == 0)
            options->skew_beyond = true;
        else if (strcmp(arguments[i], "--shrink") == 0)
            options->shrink = true;
        else if (strcmp(arguments[i], "-v") == 0)
            options->verbose = true;
        else if (strcmp(arguments[i], "--fresh") == 0)
            options->fresh = true;
        else if (strcmp(arguments[i], "--schedule") == 0 && next)
            options->schedule = arguments[++i];
        else if (strcmp(arguments[i], "--golden") == 0 && next)
            options->golden = arguments[++i];
        else if (strcmp(arguments[i], "--update") == 0)
            options->update = true;
        else if (strcmp(arguments[i], "--seeds") == 0)
            number = (counted = true, &options->seeds);
        else if (strcmp(arguments[i], "--from") == 0)
            number = &options->from;
        else if (strcmp(arguments[i], "--plant") == 0)
            number = &options->plant;
        else if (strcmp(arguments[i], "--type") == 0)
            number = &options->only;
        else if (strcmp(arguments[i], "--cpu") == 0)
            number = &options->cpu_s;
        else if (strcmp(arguments[i], "--seed") == 0 && child_take_name(next, &options->named))
            options->one = (i++, true);
        else if (strcmp(arguments[i], "--hunt") == 0 && hunt_take_oracles(next, &options->hunted))
            i++;
        else
            return false;
        if (number && (i++, !take_number(next, number)))
            return false;
    }
    int modes = options->check + options->set + options->one + options->skew_beyond +
                (options->hunted != 0) + (options->schedule != NULL) + (options->golden != NULL);
    if (modes == 0 && counted)
        options->set = (modes++, true);
    return modes == 1 && options->plant < PLANTS && options->only <= SIM_TYPES &&
           (options->one || !options->shrink) && (options->golden || !options->update);
}

int main(int count, char **arguments)
{
    struct options options = {
        .from = 1, .seeds = SEEDS_DEFAULT, .only = SIM_TYPES, .cpu_s = UINT32_MAX
    };
    if (!parse(count, arguments, &options))
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (options.check)
        return check(&options);
    if (options.set)
        return set(&options);
    if (options.skew_beyond)
        return !skew_beyond_breaks(options.from, options.seeds);
    if (options.schedule)
        return !replay_file(options.schedule, options.verbose);
    if (options.golden)
        return golden(&options);
    if (options.hunted)
        return hunt_from(&options);
    return one(&options);
}
