/* Seeds one after the other until an oracle that was asked for fails: how mutants are killed. */
#include "tests/sim/hunt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/sim/child.h"
#include "tests/sim/guide.h"

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum oracle_kind oracle_named(const char *name, size_t length)
{
    for (int i = ORACLE_NONE + 1; i < ORACLE_KINDS; i++) {
        const char *known = oracle_name((enum oracle_kind)i);
        if (strlen(known) == length && memcmp(known, name, length) == 0)
            return (enum oracle_kind)i;
    }
    return ORACLE_NONE;
}

bool hunt_take_oracles(const char *text, uint32_t *oracles)
{
    *oracles = 0;
    while (text && *text) {
        size_t length = strcspn(text, ",");
        enum oracle_kind oracle = oracle_named(text, length);
        if (oracle == ORACLE_NONE)
            return false;
        *oracles |= 1u << oracle;
        text += length + (text[length] == ',');
    }
    return *oracles != 0;
}

static void print_result(const char *what, uint64_t seeds, double hours, double seconds)
{
    printf("hunt: %s after %" PRIu64 " seeds, %.3f simulated hours, %.1f s\n", what, seeds, hours,
           seconds);
}

bool hunt(const struct hunt *hunt)
{
    uint64_t others[ORACLE_KINDS] = { 0 };
    uint64_t coverage[COVERAGE_KINDS] = { 0 };
    double begin = seconds_now();
    double hours = 0;
    uint64_t seeds = 0;
    char name[CHILD_NAME_MAX];
    char what[CHILD_NAME_MAX + 32] = "nothing broken";
    guide_begin(hunt->from, hunt->only, hunt->fresh);
    while (seeds < hunt->seeds && seconds_now() - begin < (double)hunt->cpu_s) {
        struct settings settings;
        struct run_result result;
        guide_next(&settings);
        seeds++;
        run_seed(&settings, &result, coverage);
        guide_learn(&settings, &result);
        hours += (double)result.simulated_us / 3.6e9;
        if (result.passed)
            continue;
        if (hunt->oracles & 1u << result.failed) {
            printf("seed %s: %s\n", child_name(&settings, name), result.failure);
            snprintf(what, sizeof(what), "%s broken in seed %s", oracle_name(result.failed), name);
            print_result(what, seeds, hours, seconds_now() - begin);
            return true;
        }
        if (others[result.failed]++ == 0)
            printf("seed %s, not what was asked for: %s: %s\n", child_name(&settings, name),
                   oracle_name(result.failed), result.failure);
    }
    print_result(what, seeds, hours, seconds_now() - begin);
    return false;
}
