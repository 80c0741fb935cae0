/* How late does a process wake on this machine, as it is loaded now? */
#include <inttypes.h>

#include "preflight/preflight.h"

enum { ROOM = 2 }; /* seconds are few: the worst of a year is later */

static uint32_t proposed_ms(int64_t worst_us)
{
    return (uint32_t)(ROOM * worst_us / 1000 + 1);
}

void check_wake_ups(const struct preflight *preflight)
{
    const struct preflight_system *system = preflight->system;
    bool realtime = false;
    if (preflight->seconds == 0)
        return;
    int64_t worst_us = system->worst_lateness_us(system->context, preflight->seconds, &realtime);
    finding_add(preflight->findings, FINDING_NOTE, "wake-ups", "",
                "late by %" PRId64 " us at the worst in %u s, %s; release_ms = %u leaves room for "
                "twice that",
                worst_us, (unsigned)preflight->seconds,
                realtime ? "at the guard's priority" : "without real-time priority",
                (unsigned)proposed_ms(worst_us));
    for (unsigned i = 0; i < preflight->conf->resource_count; i++) {
        const struct conf_resource *resource = &preflight->conf->resource[i];
        int64_t release_us = (int64_t)resource->release_ms * 1000;
        if (release_us >= worst_us * ROOM)
            continue;
        bool over = release_us <= worst_us;
        finding_add(preflight->findings, over ? FINDING_REFUSED : FINDING_WARN, resource->name.text,
                    over ?
                        "r does not hold: such a turn drops the resource, or is a latched fault" :
                        "r has little room: a busier minute drops the resource",
                    "release_ms = %u, propose %u", (unsigned)resource->release_ms,
                    (unsigned)proposed_ms(worst_us));
    }
}
