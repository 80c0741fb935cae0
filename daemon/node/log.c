#include "node/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 540 };

static bool journal;

void log_init(void)
{
    journal = getenv("JOURNAL_STREAM") != NULL;
}

static size_t log_prefix(char *line, size_t size, int level)
{
    if (journal)
        return (size_t)snprintf(line, size, "<%d>", level);
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, size, "%H:%M:%S", &parts);
    return used + (size_t)snprintf(line + used, size - used, ".%03ld ", now.tv_nsec / 1000000);
}

void log_line(int level, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    size_t used = log_prefix(line, sizeof(line), level);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    va_end(arguments);
    if (more > 0)
        used += (size_t)more < sizeof(line) - used - 1 ? (size_t)more : sizeof(line) - used - 2;
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written; /* Nowhere left to complain. */
}
