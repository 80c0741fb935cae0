#include "realtime.h"

#include <string.h>

#include "guard/guard_message.h"
#include "log/log.h"

/*
 * The program itself is locked whole; of the rest (mostly libc) what has been or will be touched,
 * since locking all of libc would cost more memory than everything else together.
 */
static int memory_lock(const struct platform *platform)
{
    int result = platform->lock_memory(platform->context);
    return result < 0 ? result : platform->lock_program(platform->context);
}

static const char *outcome(uint8_t error)
{
    return error != 0 ? strerror(error) : "ok";
}

static uint8_t error_of(int result)
{
    if (result >= 0)
        return 0;
    return (uint8_t)(-result <= UINT8_MAX ? -result : UINT8_MAX);
}

void realtime_enter(const struct platform *platform, struct realtime *realtime)
{
    platform->sharpen_timers(platform->context);
    realtime->memory_error = error_of(memory_lock(platform));
    realtime->schedule_error =
        error_of(platform->schedule(platform->context, GUARD_REALTIME_PRIORITY));
    if (realtime->memory_error == 0 && realtime->schedule_error == 0)
        log_line(LOG_INFO, "real-time: SCHED_FIFO %d, memory locked", GUARD_REALTIME_PRIORITY);
    else
        log_line(LOG_WARNING, "not real-time: SCHED_FIFO: %s; mlockall: %s",
                 outcome(realtime->schedule_error), outcome(realtime->memory_error));
}
