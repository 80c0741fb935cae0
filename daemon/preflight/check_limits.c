/* May the guard be on time: real-time priority, locked memory. */
#include <inttypes.h>
#include <linux/capability.h>

#include "guard/guard_message.h"
#include "preflight/preflight.h"

enum { MEMORY_KB = 8 * 1024 }; /* all that the guard maps */

static const char late[] =
    "not longer, but a busy machine makes the guard late, which drops outputs "
    "and starves the watchdog";

static void check_priority(const struct preflight *preflight)
{
    const struct preflight_system *system = preflight->system;
    int64_t limit = system->limit(system->context, RLIMIT_RTPRIO);
    if (limit >= GUARD_REALTIME_PRIORITY || system->capable(system->context, CAP_SYS_NICE))
        finding_add(preflight->findings, FINDING_GOOD, "real time", "",
                    "this user may have SCHED_FIFO %d", GUARD_REALTIME_PRIORITY);
    else
        finding_add(preflight->findings, FINDING_WARN, "real time", late,
                    "this user may have no SCHED_FIFO %d: RLIMIT_RTPRIO is %" PRId64 ", say "
                    "LimitRTPRIO=%d",
                    GUARD_REALTIME_PRIORITY, limit, GUARD_REALTIME_PRIORITY);
}

static void check_memory(const struct preflight *preflight)
{
    const struct preflight_system *system = preflight->system;
    int64_t limit = system->limit(system->context, RLIMIT_MEMLOCK);
    if (limit >= (int64_t)MEMORY_KB * 1024 || system->capable(system->context, CAP_IPC_LOCK))
        finding_add(preflight->findings, FINDING_GOOD, "memory", "",
                    "this user may lock the guard's memory");
    else
        finding_add(preflight->findings, FINDING_WARN, "memory", late,
                    "this user may lock %" PRId64 " KiB, the guard wants %d: say "
                    "LimitMEMLOCK=%dM",
                    limit / 1024, MEMORY_KB, MEMORY_KB / 1024);
}

static void check_throttling(const struct preflight *preflight)
{
    int64_t runtime_us =
        preflight_number(preflight, "/proc/sys/kernel/sched_rt_runtime_us", INT64_MIN);
    if (runtime_us == 0)
        finding_add(preflight->findings, FINDING_WARN, "real time", late,
                    "kernel.sched_rt_runtime_us is 0: no real-time process gets the processor");
    else if (runtime_us == -1)
        finding_add(
            preflight->findings, FINDING_NOTE, "real time", "",
            "kernel.sched_rt_runtime_us is -1: nothing stops a real-time process that loops");
}

void check_limits(const struct preflight *preflight)
{
    check_priority(preflight);
    check_memory(preflight);
    check_throttling(preflight);
}
