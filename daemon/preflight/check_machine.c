/* What the machine itself may do to a board: sleep, or be paused from outside. */
#include <string.h>

#include "hal/virtual.h"
#include "preflight/preflight.h"

/* `systemctl mask` makes a link to /dev/null, which reads as nothing at all. */
static bool masked(const struct preflight *preflight, const char *target)
{
    char path[96];
    char text[8];
    snprintf(path, sizeof(path), "/etc/systemd/system/%s", target);
    return preflight_read(preflight, path, text, sizeof(text)) && text[0] == '\0';
}

static void check_sleep(const struct preflight *preflight)
{
    char states[64];
    bool can =
        preflight_read(preflight, "/sys/power/state", states, sizeof(states)) && states[0] != '\0';
    if (!can)
        finding_add(preflight->findings, FINDING_GOOD, "sleep", "", "this kernel can't suspend");
    else if (masked(preflight, "sleep.target") || masked(preflight, "suspend.target"))
        finding_add(preflight->findings, FINDING_GOOD, "sleep", "",
                    "the kernel can suspend (%s), systemd's targets for it are masked", states);
    else
        finding_add(preflight->findings, FINDING_WARN, "sleep",
                    "not bounded: a board that sleeps drops no level output, and its watchdog may "
                    "sleep too; systemctl mask sleep.target suspend.target hibernate.target",
                    "the kernel can suspend (%s), and nothing keeps systemd from it", states);
}

static void check_virtual(const struct preflight *preflight)
{
    char what[HAL_VIRTUAL_MAX + 1];
    if (hal_virtual(&preflight->system->files, what))
        finding_add(preflight->findings, FINDING_WARN, "virtual machine",
                    "not bounded: one that is paused stands still with its clocks, its outputs as "
                    "they are; outside of the promise",
                    "this is one, by %s", what);
    else
        finding_add(preflight->findings, FINDING_GOOD, "virtual machine", "",
                    "no sign that this is one");
}

void check_machine(const struct preflight *preflight)
{
    check_sleep(preflight);
    check_virtual(preflight);
}
