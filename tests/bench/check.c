#include "tests/bench/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/trace.h"

enum { NAME_MAX_BYTES = 32 };

/* One line of one board, on from..until. */
struct interval {
    char resource[NAME_MAX_BYTES];
    char board[NAME_MAX_BYTES];
    char line[NAME_MAX_BYTES];
    int64_t from_ns;
    int64_t until_ns; /* INT64_MAX: still on at the end */
    bool closed;
};

struct checker {
    const char *path;
    FILE *out;
    FILE *errors;
    struct interval *intervals;
    size_t count;
    size_t size;
    long line_number;
    long recorded; /* overlap events in the trace */
    long overlaps; /* found anew */
    bool malformed;
};

static void complain(struct checker *checker, const char *what)
{
    fprintf(checker->errors, "%s:%ld: malformed: %s\n", checker->path, checker->line_number, what);
    checker->malformed = true;
}

/* The value behind `"key":`, or NULL. Names hold no quotes, so that a plain search will do. */
static const char *find_value(const char *line, const char *key)
{
    char pattern[40];
    snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *at = strstr(line, pattern);
    return at ? at + strlen(pattern) : NULL;
}

static bool get_number(const char *line, const char *key, int64_t *out)
{
    const char *text = find_value(line, key);
    char *end = NULL;
    if (!text)
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return end != text && errno == 0 && (*end == ',' || *end == '}');
}

static bool get_name(const char *line, const char *key, char out[NAME_MAX_BYTES])
{
    const char *text = find_value(line, key);
    const char *end = text && *text == '"' ? strchr(text + 1, '"') : NULL;
    size_t length = end ? (size_t)(end - text - 1) : 0;
    if (!end || length >= NAME_MAX_BYTES)
        return false;
    memset(out, 0, NAME_MAX_BYTES);
    memcpy(out, text + 1, length);
    return true;
}

static struct interval *find_open(struct checker *checker, const struct interval *key)
{
    for (size_t i = checker->count; i-- > 0;) {
        struct interval *entry = &checker->intervals[i];
        if (!entry->closed && strcmp(entry->resource, key->resource) == 0 &&
            strcmp(entry->board, key->board) == 0 && strcmp(entry->line, key->line) == 0)
            return entry;
    }
    return NULL;
}

static void open_interval(struct checker *checker, const struct interval *interval)
{
    if (checker->count == checker->size) {
        size_t size = checker->size ? checker->size * 2 : 64;
        struct interval *grown = realloc(checker->intervals, size * sizeof *grown);
        if (!grown) {
            complain(checker, "out of memory");
            return;
        }
        checker->intervals = grown;
        checker->size = size;
    }
    checker->intervals[checker->count++] = *interval;
}

static void take_line_event(struct checker *checker, const char *text, int64_t at_ns)
{
    struct interval key = { .from_ns = at_ns, .until_ns = INT64_MAX };
    int64_t level = -1;
    if (!get_name(text, "board", key.board) || !get_name(text, "resource", key.resource) ||
        !get_name(text, "line", key.line) || !get_number(text, "level", &level) ||
        (level != 0 && level != 1)) {
        complain(checker, "line event without board, resource, line or level");
        return;
    }
    struct interval *open = find_open(checker, &key);
    if ((open != NULL) == (level == 1)) {
        complain(checker, level ? "a line goes on that is on" : "a line goes off that is off");
    } else if (level == 1) {
        open_interval(checker, &key);
    } else if (at_ns < open->from_ns) {
        complain(checker, "a line goes off before it went on");
    } else {
        open->until_ns = at_ns;
        open->closed = true;
    }
}

static void take_event(struct checker *checker, const char *text)
{
    static const char *const known[] = { "line",   "drive",   "wd",   "reset",
                                         "modbus", "overlap", "fault" };
    char event[NAME_MAX_BYTES];
    int64_t at_ns = 0;
    bool found = false;
    if (strncmp(text, "{\"t_ns\":", 8) != 0 || text[strlen(text) - 1] != '}' ||
        !get_number(text, "t_ns", &at_ns) || !get_name(text, "ev", event)) {
        complain(checker, "no event");
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        found = found || strcmp(event, known[i]) == 0;
    if (!found)
        complain(checker, "unknown event");
    if (strcmp(event, "line") == 0)
        take_line_event(checker, text, at_ns);
    if (strcmp(event, "overlap") == 0)
        checker->recorded++;
}

static void read_events(struct checker *checker, FILE *file)
{
    char line[TRACE_LINE_MAX + 1];
    while (fgets(line, sizeof line, file)) {
        size_t length = strlen(line);
        checker->line_number++;
        if (length > 0 && line[length - 1] == '\n') {
            line[length - 1] = '\0';
            if (length > 1)
                take_event(checker, line);
            else
                complain(checker, "empty line");
        } else if (feof(file)) {
            fprintf(checker->errors, "%s:%ld: cut off, left out\n", checker->path,
                    checker->line_number);
        } else {
            complain(checker, "too long, or a zero byte");
        }
    }
    if (ferror(file))
        complain(checker, strerror(errno));
}

static int by_resource_and_time(const void *left, const void *right)
{
    const struct interval *a = left;
    const struct interval *b = right;
    int order = strcmp(a->resource, b->resource);
    if (order != 0)
        return order;
    return (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns);
}

/* Prints the overlaps of interval i with later ones of its resource, sorted by their beginnings. */
static void compare_with_later(struct checker *checker, size_t i)
{
    const struct interval *one = &checker->intervals[i];
    for (size_t k = i + 1; k < checker->count; k++) {
        const struct interval *two = &checker->intervals[k];
        if (strcmp(one->resource, two->resource) != 0 || two->from_ns >= one->until_ns)
            break;
        if (strcmp(one->board, two->board) == 0 || two->from_ns == two->until_ns)
            continue;
        int64_t end_ns = one->until_ns < two->until_ns ? one->until_ns : two->until_ns;
        checker->overlaps++;
        fprintf(checker->out, "%s: overlap: %s and %s at %" PRId64 " ns", one->resource, one->board,
                two->board, two->from_ns);
        if (end_ns == INT64_MAX)
            fprintf(checker->out, " to the end of the trace\n");
        else
            fprintf(checker->out, " for %.6f ms\n", (double)(end_ns - two->from_ns) / 1e6);
    }
}

/* Drives and gaps of the resource whose intervals begin at `first`; returns the index after them.
 */
static size_t report_resource(struct checker *checker, size_t first)
{
    const char *resource = checker->intervals[first].resource;
    const char *board = "";
    int64_t end_ns = INT64_MIN;
    long drives = 0;
    size_t i = first;
    for (; i < checker->count && strcmp(checker->intervals[i].resource, resource) == 0; i++) {
        const struct interval *entry = &checker->intervals[i];
        bool gap = entry->from_ns > end_ns;
        if (gap || strcmp(board, entry->board) != 0)
            drives++;
        if (gap && end_ns != INT64_MIN)
            fprintf(checker->out, "%s: gap of %.3f ms, %s to %s\n", resource,
                    (double)(entry->from_ns - end_ns) / 1e6, board, entry->board);
        if (entry->until_ns >= end_ns) {
            end_ns = entry->until_ns;
            board = entry->board;
        }
        compare_with_later(checker, i);
    }
    fprintf(checker->out, "%s: %ld drives\n", resource, drives);
    return i;
}

int check_trace(const char *path, FILE *out, FILE *errors)
{
    struct checker checker = { .path = path, .out = out, .errors = errors };
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(errors, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    read_events(&checker, file);
    fclose(file);
    if (checker.count > 0)
        qsort(checker.intervals, checker.count, sizeof checker.intervals[0], by_resource_and_time);
    for (size_t i = 0; i < checker.count;)
        i = report_resource(&checker, i);
    fprintf(out, "%ld events, %ld overlaps (%ld recorded)%s\n", checker.line_number,
            checker.overlaps, checker.recorded, checker.malformed ? ", malformed" : "");
    free(checker.intervals);
    return checker.overlaps > 0 || checker.recorded > 0 || checker.malformed;
}
