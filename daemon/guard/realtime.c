#include "realtime.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "log.h"

/* Below the kernel's own interrupt threads (50), above everything else. */
enum { REALTIME_PRIORITY = 49 };

/* The program's first byte and the byte after its last, by the linker. */
extern const char __executable_start[];
extern const char end[];

/*
 * The program itself is locked whole; of the rest (mostly libc) what has been or will be touched,
 * since locking all of libc would cost more memory than everything else together.
 */
static bool memory_lock(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        return false;
    return mlock(__executable_start, (size_t)(end - __executable_start)) == 0;
}

bool realtime_enter(void)
{
    struct sched_param parameter = { .sched_priority = REALTIME_PRIORITY };
    const char *scheduling = "ok";
    const char *memory = "ok";
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (!memory_lock())
        memory = strerror(errno);
    if (sched_setscheduler(0, SCHED_FIFO, &parameter) < 0)
        scheduling = strerror(errno);
    if (strcmp(scheduling, "ok") == 0 && strcmp(memory, "ok") == 0)
        return true;
    log_line(LOG_WARNING, "not real-time: SCHED_FIFO: %s; mlockall: %s", scheduling, memory);
    return false;
}
