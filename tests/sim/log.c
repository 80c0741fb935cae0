#include "tests/sim/log.h"

#include <inttypes.h>
#include <stdarg.h>

#include "tests/sim/sim.h"

static char lines[LOG_LINES][LOG_LINE_MAX];
static unsigned line_count;
static bool printing;

void log_reset(bool verbose)
{
    line_count = 0;
    printing = verbose;
}

void log_note(const struct world *world, const char *format, ...)
{
    char *line = lines[line_count++ % LOG_LINES];
    va_list arguments;
    va_start(arguments, format);
    int length = snprintf(line, LOG_LINE_MAX, "%4" PRId64 ".%06" PRId64 " ",
                          world->now_us / 1000000, world->now_us % 1000000);
    vsnprintf(line + length, LOG_LINE_MAX - (size_t)length, format, arguments);
    va_end(arguments);
    if (printing)
        puts(line);
    trace_line(world, line + length);
}

void log_print_last(FILE *out, const char *prefix)
{
    unsigned first = line_count > LOG_LINES ? line_count - LOG_LINES : 0;
    for (unsigned i = first; i < line_count; i++)
        fprintf(out, "%s%s\n", prefix, lines[i % LOG_LINES]);
}
