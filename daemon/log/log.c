#include "log/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOG_TEXT_MAX = 500, LOG_PREFIX_MAX = 40 };

static bool log_to_journal;
static const char *log_prefix = "";

void log_open(const char *prefix)
{
    log_to_journal = getenv("JOURNAL_STREAM") != NULL;
    log_prefix = prefix;
    tzset(); /* reads its file and allocates now, not at the first line */
}

/* Returns the length, less than LOG_PREFIX_MAX. */
static size_t put_prefix(char *line, int level)
{
    int length = 0;
    if (log_to_journal) {
        length = snprintf(line, LOG_PREFIX_MAX, "<%d>", level);
    } else {
        struct timespec now = { 0, 0 };
        struct tm parts = { 0 };
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &parts);
        length = snprintf(line, LOG_PREFIX_MAX, "%02d:%02d:%02d.%03ld %s", parts.tm_hour,
                          parts.tm_min, parts.tm_sec, now.tv_nsec / 1000000, log_prefix);
    }
    if (length < 0)
        return 0;
    return length < LOG_PREFIX_MAX ? (size_t)length : LOG_PREFIX_MAX - 1;
}

static void write_line(const char *line, size_t length)
{
    struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
        return;
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* there is nobody left to tell */
}

void log_line(int level, const char *format, ...)
{
    char line[LOG_PREFIX_MAX + LOG_TEXT_MAX + 1];
    int error = errno;
    size_t used = put_prefix(line, level);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + used, LOG_TEXT_MAX + 1, format, arguments);
    va_end(arguments);
    if (length >= 0) {
        used += length < LOG_TEXT_MAX ? (size_t)length : LOG_TEXT_MAX;
        line[used++] = '\n';
        write_line(line, used);
    }
    errno = error;
}
