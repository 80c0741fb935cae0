/*
 * The watchdog, by what the kernel tells of it without its being opened: opening starts it.
 * Source: Linux, Documentation/ABI/testing/sysfs-class-watchdog.
 */
#include <inttypes.h>
#include <linux/watchdog.h>
#include <string.h>

#include "preflight/preflight.h"

enum { BCM2835_LONGEST_S = 15 };

static const char topic[] = "watchdog";

struct device {
    const struct preflight *preflight;
    char folder[CONF_PATH_MAX + 32]; /* its place in /sys/class/watchdog */
    char identity[64];
    int64_t nowayout; /* -1: not told */
    int64_t options;  /* -1: not told */
};

static void add(const struct device *device, enum finding_level level, const char *fence,
                const char *says)
{
    finding_add(device->preflight->findings, level, topic, fence, "%s", says);
}

static int64_t number_of(const struct device *device, const char *file)
{
    char path[sizeof(device->folder) + 32];
    snprintf(path, sizeof(path), "%s/%s", device->folder, file);
    return preflight_number(device->preflight, path, -1);
}

static bool text_of(const struct device *device, const char *file, char *text, size_t size)
{
    char path[sizeof(device->folder) + 32];
    snprintf(path, sizeof(path), "%s/%s", device->folder, file);
    return preflight_read(device->preflight, path, text, size);
}

static bool device_find(struct device *device, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *leaf = slash != NULL ? slash + 1 : name;
    snprintf(device->folder, sizeof(device->folder), "/sys/class/watchdog/%s",
             strcmp(leaf, "watchdog") == 0 ? "watchdog0" : leaf);
    if (!text_of(device, "identity", device->identity, sizeof(device->identity)))
        return false;
    device->nowayout = number_of(device, "nowayout");
    device->options = number_of(device, "options");
    return true;
}

/* Does it go on counting when its owner is gone? */
static void check_close(const struct device *device)
{
    if (device->nowayout == 1)
        add(device, FINDING_NOTE, "",
            "nowayout is set: it counts on whatever happens, so a guard that is stopped resets the "
            "board");
    else if (device->options < 0)
        add(device, FINDING_NOTE, "",
            "the kernel does not tell its options here; the guard asks for magic close when it "
            "starts, --try-watchdog does now");
    else if (device->options & WDIOF_MAGICCLOSE)
        add(device, FINDING_GOOD, "", "has magic close: the guard's death does not stop it");
    else
        add(device, FINDING_REFUSED,
            "a guard that dies stops it, and nothing ends what then stays on; the guard does not "
            "start with it",
            "has no magic close, and nowayout is not set");
}

static void check_range(const struct device *device, int64_t timeout_s)
{
    struct findings *findings = device->preflight->findings;
    int64_t min_s = number_of(device, "min_timeout");
    int64_t max_s = number_of(device, "max_timeout");
    if (max_s > 0 && (timeout_s < min_s || timeout_s > max_s))
        finding_add(findings, FINDING_REFUSED, topic, "the guard does not start with it",
                    "counts %" PRId64 " to %" PRId64 " s, configured are %" PRId64 " s", min_s,
                    max_s, timeout_s);
    else if (max_s > 0)
        finding_add(findings, FINDING_GOOD, topic, "",
                    "counts %" PRId64 " to %" PRId64 " s, configured are %" PRId64 " s", min_s,
                    max_s, timeout_s);
    bool emulated = max_s == 0 ||
                    (strstr(device->identity, "BCM2835") != NULL && timeout_s > BCM2835_LONGEST_S);
    if (emulated)
        finding_add(findings, FINDING_NOTE, topic,
                    "no longer by that: once the guard is late the kernel stops feeding, and a "
                    "kernel that hangs is bitten sooner",
                    "the kernel feeds it by itself where its hardware counts less than %" PRId64
                    " s",
                    timeout_s);
}

static void check_settable(const struct device *device, int64_t timeout_s)
{
    struct findings *findings = device->preflight->findings;
    int64_t now_s = number_of(device, "timeout");
    if (device->options < 0 || (device->options & WDIOF_SETTIMEOUT))
        return;
    if (now_s == timeout_s)
        finding_add(findings, FINDING_GOOD, topic, "",
                    "its driver can't set a timeout; it counts %" PRId64 " s, as configured",
                    now_s);
    else
        finding_add(findings, FINDING_REFUSED, topic, "the guard does not start with it",
                    "its driver can't set a timeout; it counts %" PRId64 " s, configured are "
                    "%" PRId64 " s",
                    now_s, timeout_s);
}

static bool is_running(const struct device *device)
{
    char state[16];
    return text_of(device, "state", state, sizeof(state)) && strcmp(state, "active") == 0;
}

static void check_running(const struct device *device)
{
    if (is_running(device))
        add(device, FINDING_NOTE, "",
            "is counting now: a guard, the boot loader, or systemd (RuntimeWatchdogSec must be off "
            "for the guard to have it)");
}

/* What the device itself says, armed and stopped again. */
static void try_device(const struct device *device)
{
    const struct conf *conf = device->preflight->conf;
    struct findings *findings = device->preflight->findings;
    struct hal *hal = device->preflight->system->hal;
    uint32_t actual_ms = 0;
    if (device->nowayout != 0) {
        add(device, FINDING_NOTE, "", "not tried: it could not be stopped again");
        return;
    }
    /* What counts is somebody's protection: that of a guard that has just died, too. */
    if (is_running(device)) {
        add(device, FINDING_NOTE, "", "not tried: it is counting, and would be stopped by that");
        return;
    }
    enum hal_result result = hal->watchdog->arm(hal->context, conf->watchdog_device,
                                                conf->watchdog_timeout_ms, &actual_ms);
    if (result != HAL_OK) {
        const char *why = hal->why(hal->context);
        finding_add(findings, FINDING_REFUSED, topic, "the guard does not start with it",
                    "tried: %s%s%s", hal_result_name(result), why[0] != '\0' ? ": " : "", why);
        return;
    }
    result = hal->watchdog->stop(hal->context);
    bool longer = actual_ms > conf->watchdog_timeout_ms;
    finding_add(findings, longer ? FINDING_REFUSED : FINDING_GOOD, topic,
                longer ? "the guard does not start with it: F was reckoned with less" : "",
                "tried: %u ms are in force, configured are %u ms", (unsigned)actual_ms,
                (unsigned)conf->watchdog_timeout_ms);
    if (result != HAL_OK)
        finding_add(findings, FINDING_WARN, topic, "", "tried: it can't be stopped: %s",
                    hal_result_name(result));
}

static void check_none(const struct preflight *preflight)
{
    bool level = preflight_has_level(preflight, CONF_COVERS_PROCESS);
    finding_add(preflight->findings, level ? FINDING_WARN : FINDING_NOTE, topic,
                level ?
                    "a hang of guard or kernel leaves a level output on for as long as it lasts" :
                    "a pulse output drops by itself, and needs none",
                "none is configured");
}

/* Nothing in /sys: no such device, or a kernel that is built without. */
static void check_untold(const struct preflight *preflight)
{
    const char *name = preflight->conf->watchdog_device;
    char path[CONF_PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s%s", strchr(name, '/') != NULL ? "" : "/dev/", name);
    if (preflight->system->exists(preflight->system->context, path))
        finding_add(preflight->findings, FINDING_WARN, topic,
                    "whether the guard can have it shows when it starts",
                    "%s is there, but this kernel tells nothing of watchdogs in /sys", path);
    else
        finding_add(preflight->findings, FINDING_REFUSED, topic, "the guard does not start",
                    "%s is not there", path);
}

void check_watchdog(const struct preflight *preflight)
{
    const struct conf *conf = preflight->conf;
    struct device device = { .preflight = preflight };
    int64_t timeout_s = conf->watchdog_timeout_ms / 1000;
    if (!conf->has_watchdog) {
        check_none(preflight);
        return;
    }
    if (!device_find(&device, conf->watchdog_device)) {
        check_untold(preflight);
        return;
    }
    finding_add(preflight->findings, FINDING_GOOD, topic, "", "%s is \"%s\"", conf->watchdog_device,
                device.identity);
    check_close(&device);
    check_range(&device, timeout_s);
    check_settable(&device, timeout_s);
    check_running(&device);
    if (preflight->try_watchdog)
        try_device(&device);
}
