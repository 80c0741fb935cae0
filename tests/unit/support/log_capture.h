/* The last lines of the log, in memory: for tests of what says something and does nothing else. */
#ifndef HOLDFAST_TESTS_UNIT_LOG_CAPTURE_H
#define HOLDFAST_TESTS_UNIT_LOG_CAPTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log/log.h"

static unsigned logged;
static int logged_level;
static char logged_line[1024];

void log_line(int level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(logged_line, sizeof(logged_line), format, arguments);
    va_end(arguments);
    logged_level = level;
    logged++;
}

static inline void log_forget(void)
{
    logged = 0;
    logged_line[0] = '\0';
}

#endif
