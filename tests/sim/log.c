#include "tests/sim/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "tests/sim/sim.h"

struct log_entry {
    int64_t at_us;
    char text[LOG_LINE_MAX];
};

static struct log_entry lines[LOG_LINES];
static unsigned line_count;
static bool printing;

void log_reset(bool verbose)
{
    line_count = 0;
    printing = verbose;
}

static void print(FILE *out, const char *prefix, const struct log_entry *line)
{
    fprintf(out, "%s%4" PRId64 ".%06" PRId64 " %s\n", prefix, line->at_us / 1000000,
            line->at_us % 1000000, line->text);
}

/* Most lines are never seen: of what is to be formatted, the time can wait until one is. */
static void note(const struct world *world, size_t length, const char *format, va_list arguments)
{
    struct log_entry *line = &lines[line_count++ % LOG_LINES];
    line->at_us = world->now_us;
    vsnprintf(line->text + length, LOG_LINE_MAX - length, format, arguments);
    if (printing)
        print(stdout, "", line);
    trace_line(world, line->text);
}

void log_note(const struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(world, 0, format, arguments);
    va_end(arguments);
}

void log_note_of(const struct world *world, const char *who, const char *behind, const char *format,
                 va_list arguments)
{
    char *text = lines[line_count % LOG_LINES].text;
    size_t length = strlen(who);
    memcpy(text, who, length);
    memcpy(text + length, behind, strlen(behind));
    note(world, length + strlen(behind), format, arguments);
}

void log_print_last(FILE *out, const char *prefix)
{
    unsigned first = line_count > LOG_LINES ? line_count - LOG_LINES : 0;
    for (unsigned i = first; i < line_count; i++)
        print(out, prefix, &lines[i % LOG_LINES]);
}
