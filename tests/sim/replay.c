#include "tests/sim/replay.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/child.h"
#include "tests/sim/commit.h"
#include "tests/sim/shrink.h"

enum { FILE_MAX = 1 << 20, PATH_BYTES = 4096 };

/* ---- files */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name);
    size_t tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

bool replay_list(const char *folder, const char *ending, char ***names, size_t *count)
{
    DIR *open = opendir(folder);
    *names = NULL;
    *count = 0;
    if (!open) {
        printf("%s: %s\n", folder, strerror(errno));
        return false;
    }
    for (const struct dirent *entry = readdir(open); entry; entry = readdir(open)) {
        if (!ends_with(entry->d_name, ending))
            continue;
        *names = realloc(*names, (*count + 1) * sizeof((*names)[0]));
        HF_CHECK(*names);
        (*names)[*count] = strdup(entry->d_name);
        HF_CHECK((*names)[*count]);
        ++*count;
    }
    closedir(open);
    if (*count > 0)
        qsort(*names, *count, sizeof((*names)[0]), compare_names);
    return true;
}

char *replay_read(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, FILE_MAX + 1);
    HF_CHECK(text);
    size_t length = file ? fread(text, 1, FILE_MAX, file) : 0;
    bool good = file && !ferror(file) && length < FILE_MAX;
    if (!good)
        printf("%s: %s\n", path, length == FILE_MAX ? "longer than 1 MiB" : strerror(errno));
    if (file)
        fclose(file);
    if (good)
        return text;
    free(text);
    return NULL;
}

/* ---- schedules */

static void print_outcome(const char *what, const struct run_result *result)
{
    if (result->passed)
        printf("%s: %.6f s simulated, nothing broken\n", what, (double)result->simulated_us / 1e6);
    else
        printf("%s: %s broken at %.6f s: %s\n", what, oracle_name(result->failed),
               (double)result->simulated_us / 1e6, result->failure);
}

static bool run_text(const char *what, char *text, bool verbose)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    char error[SCENARIO_ERROR_MAX];
    struct settings settings;
    struct scenario scenario;
    struct run_result result;
    const char *wrong = scenario_parse(text, &settings, &scenario, error);
    if (wrong) {
        printf("%s: %s\n", what, wrong);
        return false;
    }
    settings.verbose = verbose;
    run_scenario(&settings, &scenario, &result, ignored);
    bool expected = result.failed == scenario.expected;
    if (!expected && !verbose)
        log_print_last(stdout, "  ");
    print_outcome(what, &result);
    if (!expected)
        printf("%s: expected: %s\n", what,
               scenario.expected == ORACLE_NONE ? "nothing broken" :
                                                  oracle_name(scenario.expected));
    scenario_free(&scenario);
    return expected;
}

bool replay_file(const char *path, bool verbose)
{
    char *text = replay_read(path);
    bool expected = text && run_text(path, text, verbose);
    free(text);
    return expected;
}

void replay_folder(const char *folder, uint64_t *passed, uint64_t *failed)
{
    char **names = NULL;
    size_t count = 0;
    *failed += !replay_list(folder, ".schedule", &names, &count);
    for (size_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (replay_file(path, false))
            ++*passed;
        else
            ++*failed;
        free(names[i]);
    }
    free(names);
}

/* The caller frees it. */
static char *print_scenario(const struct settings *settings, const struct scenario *scenario)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    HF_CHECK(out);
    scenario_print(out, settings, scenario);
    HF_CHECK(fclose(out) == 0);
    return text;
}

/* Runs what is read back from its text. */
static void run_printed(const struct settings *settings, const struct scenario *scenario,
                        struct run_result *result)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    char error[SCENARIO_ERROR_MAX];
    char *text = print_scenario(settings, scenario);
    struct settings read_settings;
    struct scenario read_scenario;
    const char *wrong = scenario_parse(text, &read_settings, &read_scenario, error);
    if (wrong) {
        printf("what was printed cannot be read: %s\n", wrong);
        memset(result, 0, sizeof(*result));
    } else {
        run_scenario(&read_settings, &read_scenario, result, ignored);
        scenario_free(&read_scenario);
    }
    free(text);
}

bool replay_repeats(const struct settings *settings, uint64_t digest)
{
    struct settings made = *settings;
    struct scenario scenario;
    struct run_result result;
    scenario_make(&made, &scenario);
    run_printed(&made, &scenario, &result);
    scenario_free(&scenario);
    return result.digest == digest;
}

/* ---- shrinking */

/* False if the seed does not fail. *last: the run of what is left; its log is the latest one. */
static bool shrink_seed(const struct settings *settings, struct shrunk *shrunk,
                        struct run_result *last)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    struct settings made = *settings;
    struct scenario scenario;
    struct run_result result;
    scenario_make(&made, &scenario);
    run_scenario(&made, &scenario, &result, ignored);
    if (!result.passed) {
        shrink_scenario(&made, &scenario, &result, shrunk);
        run_scenario(&shrunk->settings, &shrunk->scenario, last, ignored);
    }
    scenario_free(&scenario);
    return !result.passed;
}

static void print_shrunk(const struct settings *settings, const struct shrunk *shrunk,
                         const struct run_result *result)
{
    char name[CHILD_NAME_MAX];
    printf("# commit %s: seed %s shrunk from %zu faults to %zu in %u runs%s\n", sim_commit,
           child_name(settings, name), shrunk->faults_before, shrunk->scenario.count, shrunk->runs,
           shrunk->exhausted ? "; there was no time for more" : "");
    printf("# %s broken at %.6f s: %s\n", oracle_name(result->failed),
           (double)result->simulated_us / 1e6, result->failure);
    printf("# run it with --schedule FILE; keep it as tests/sim/regressions/NAME.schedule\n");
    scenario_print(stdout, &shrunk->settings, &shrunk->scenario);
    log_print_last(stdout, "# ");
    fflush(stdout);
}

bool replay_shrunk(const struct settings *settings)
{
    struct settings quiet = *settings;
    struct shrunk shrunk;
    struct run_result result;
    quiet.verbose = false;
    if (!shrink_seed(&quiet, &shrunk, &result))
        return false;
    print_shrunk(&quiet, &shrunk, &result);
    scenario_free(&shrunk.scenario);
    return true;
}

bool replay_shrinks(const struct settings *settings, size_t faults_max)
{
    struct shrunk shrunk;
    struct run_result result;
    struct run_result again;
    if (!shrink_seed(settings, &shrunk, &result)) {
        printf("shrink: seed %" PRIu64 " does not fail\n", settings->seed);
        return false;
    }
    run_printed(&shrunk.settings, &shrunk.scenario, &again);
    bool same = !again.passed && again.failed == result.failed && again.digest == result.digest;
    bool small = shrunk.scenario.count <= faults_max;
    printf("shrink: seed %" PRIu64 ", %s: %zu faults to %zu in %u runs%s%s\n", settings->seed,
           oracle_name(result.failed), shrunk.faults_before, shrunk.scenario.count, shrunk.runs,
           small ? "" : ": TOO MANY", same ? "" : ": what was printed DOES NOT FAIL THE SAME WAY");
    if (!small || !same)
        print_shrunk(settings, &shrunk, &result);
    scenario_free(&shrunk.scenario);
    return small && same;
}
