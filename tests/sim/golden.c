#include "tests/sim/golden.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/replay.h"
#include "tests/sim/sim.h"

enum { PATH_BYTES = 4096, LINES_MAX = 60, HINT_LINES = 4 };

static const char ending[] = ".scenario";

/* The comments that a scenario begins with tell its story: the trace repeats them. */
static void copy_story(FILE *out, const char *text)
{
    while (text[0] == '#') {
        size_t length = strcspn(text, "\n");
        fprintf(out, "%.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
    fputc('\n', out);
}

/* The trace, the caller's to free; NULL, with a line printed, if the run fails. */
static char *run(const char *path)
{
    uint64_t ignored[COVERAGE_KINDS] = { 0 };
    char error[SCENARIO_ERROR_MAX];
    struct settings settings;
    struct scenario scenario;
    struct run_result result;
    char *trace = NULL;
    size_t length = 0;
    char *text = replay_read(path);
    if (!text)
        return NULL;
    FILE *out = open_memstream(&trace, &length);
    HF_CHECK(out);
    copy_story(out, text);
    const char *wrong = scenario_parse(text, &settings, &scenario, error);
    free(text);
    if (!wrong) {
        struct trace state = { .out = out,
                               .from_us = scenario.trace_from_us,
                               .disk = scenario.trace_disk,
                               .renewals = scenario.trace_renewals };
        settings.trace = &state;
        run_scenario(&settings, &scenario, &result, ignored);
        if (!result.passed) {
            log_print_last(stdout, "  ");
            wrong = result.failure;
        }
        scenario_free(&scenario);
    }
    HF_CHECK(fclose(out) == 0);
    if (!wrong)
        return trace;
    printf("%s: %s\n", path, wrong);
    free(trace);
    return NULL;
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* ---- comparing */

static const char *next_line(const char *text)
{
    text += strcspn(text, "\n");
    return text + (*text == '\n');
}

static void print_lines(char mark, const char *text)
{
    for (int i = 0; i < HINT_LINES && *text; i++, text = next_line(text))
        printf("  %c %.*s\n", mark, (int)strcspn(text, "\n"), text);
}

static void print_difference(const char *path, const char *golden, const char *trace)
{
    unsigned number = 1;
    const char *before = golden;
    while (*golden && *trace) {
        size_t length = strcspn(golden, "\n");
        if (length != strcspn(trace, "\n") || memcmp(golden, trace, length) != 0)
            break;
        before = golden;
        golden = next_line(golden);
        trace = next_line(trace);
        number++;
    }
    printf("%s:%u: the run differs from here on:\n", path, number);
    if (number > 1)
        printf("    %.*s\n", (int)strcspn(before, "\n"), before);
    print_lines('-', golden);
    print_lines('+', trace);
    printf("  if that is meant: holdfast-sim --golden tests/golden --update, and read the diff\n");
}

static bool compare(const char *path, const char *trace)
{
    char *golden = replay_read(path);
    bool same = golden && strcmp(golden, trace) == 0;
    if (golden && !same)
        print_difference(path, golden, trace);
    free(golden);
    return same;
}

static bool rewrite(const char *path, const char *trace)
{
    FILE *file = fopen(path, "w");
    bool written = file && fputs(trace, file) >= 0;
    if (file && fclose(file) != 0)
        written = false;
    if (!written)
        printf("%s: %s\n", path, strerror(errno));
    return written;
}

static bool check_one(const char *folder, const char *name, bool update)
{
    char scenario[PATH_BYTES];
    char golden[PATH_BYTES];
    int stem = (int)(strlen(name) - strlen(ending));
    snprintf(scenario, sizeof(scenario), "%s/%s", folder, name);
    snprintf(golden, sizeof(golden), "%s/%.*s.trace", folder, stem, name);
    char *trace = run(scenario);
    if (!trace)
        return false;
    bool good = update ? rewrite(golden, trace) : compare(golden, trace);
    unsigned lines = count_lines(trace);
    if (lines > LINES_MAX)
        printf("%s: %u lines; nobody reads more than %d\n", golden, lines, LINES_MAX);
    free(trace);
    return good && lines <= LINES_MAX;
}

void golden_check(const char *folder, bool update, uint64_t *passed, uint64_t *failed)
{
    char **names = NULL;
    size_t count = 0;
    bool listed = replay_list(folder, ending, &names, &count);
    *failed += !listed || count == 0;
    for (size_t i = 0; i < count; i++) {
        if (check_one(folder, names[i], update))
            ++*passed;
        else
            ++*failed;
        free(names[i]);
    }
    free(names);
}
