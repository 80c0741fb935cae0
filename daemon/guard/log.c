#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool log_prefixed;

void log_open(void)
{
    log_prefixed = getenv("JOURNAL_STREAM") != NULL;
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[256];
    struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
    va_list arguments;
    int used = log_prefixed ? snprintf(text, sizeof(text), "<%d>", (int)level)
                            : snprintf(text, sizeof(text), "guard: ");
    va_start(arguments, format);
    int length = vsnprintf(text + used, sizeof(text) - (size_t)used - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t total = (size_t)used + (size_t)length;
    if (total > sizeof(text) - 2)
        total = sizeof(text) - 2;
    text[total++] = '\n';
    if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
        return;
    if (write(STDERR_FILENO, text, total) < 0)
        return; /* there is nobody left to tell */
}
