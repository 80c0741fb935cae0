#include "realtime.h"

#include <string.h>

#include "log/log.h"

/* Below the kernel's own interrupt threads (50), above everything else. */
enum { REALTIME_PRIORITY = 49 };

/*
 * The program itself is locked whole; of the rest (mostly libc) what has been or will be touched,
 * since locking all of libc would cost more memory than everything else together.
 */
static int memory_lock(const struct platform *platform)
{
    int result = platform->lock_memory(platform->context);
    return result < 0 ? result : platform->lock_program(platform->context);
}

static const char *outcome(int result)
{
    return result < 0 ? strerror(-result) : "ok";
}

bool realtime_enter(const struct platform *platform)
{
    platform->sharpen_timers(platform->context);
    int memory = memory_lock(platform);
    int scheduling = platform->schedule(platform->context, REALTIME_PRIORITY);
    if (memory >= 0 && scheduling >= 0)
        return true;
    log_line(LOG_WARNING, "not real-time: SCHED_FIFO: %s; mlockall: %s", outcome(scheduling),
             outcome(memory));
    return false;
}
