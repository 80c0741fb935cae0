/* One line, one write: lines of several threads do not mix. */
#include "gateway/gateway_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 400, BRAKE_MS = 1000 };

void gateway_log(const char *format, ...)
{
    char line[LINE_MAX_BYTES + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t used = (size_t)length < sizeof(line) - 2 ? (size_t)length : sizeof(line) - 2;
    line[used++] = '\n';
    /* A log that cannot be written has nowhere to be reported. */
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;
}

bool gateway_brake_admit(struct gateway_brake *brake, struct instant now)
{
    if (!instant_reached(brake->open_at, now)) {
        brake->held++;
        return false;
    }
    brake->open_at = instant_add(now, span_from_ms(BRAKE_MS));
    return true;
}

uint64_t gateway_brake_release(struct gateway_brake *brake, struct instant now)
{
    if (brake->held == 0 || !instant_reached(brake->open_at, now))
        return 0;
    uint64_t held = brake->held;
    brake->held = 0;
    brake->open_at = instant_add(now, span_from_ms(BRAKE_MS));
    return held;
}
