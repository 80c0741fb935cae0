/*
 * Leases are decided by CLOCK_MONOTONIC_RAW, which nothing slews or steps. But the kernel has no
 * timers by it: the guard wakes by CLOCK_MONOTONIC, and while that is slewed, late by as much.
 * Source: chrony.conf(5), adjtimex(2).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/guard_message.h"
#include "preflight/preflight.h"

enum { CHRONY_SLEW_PPM = 83333, CONF_TEXT_MAX = 16384 };

static const char topic[] = "clock";

/* The value behind the last line that begins with this directive. */
static bool directive(const char *text, const char *name, double *value)
{
    bool found = false;
    size_t length = strlen(name);
    while (text != NULL) {
        text += strspn(text, " \t\n");
        if (strncmp(text, name, length) == 0 && (text[length] == ' ' || text[length] == '\t')) {
            *value = strtod(text + length, NULL);
            found = true;
        }
        text = strchr(text, '\n');
    }
    return found;
}

/* The last value that one of a folder's files gives. */
static bool directive_in_folder(const struct preflight *preflight, const char *folder,
                                double *value)
{
    static char text[CONF_TEXT_MAX];
    const struct preflight_system *system = preflight->system;
    bool found = false;
    char path[CONF_PATH_MAX + 80];
    char name[64] = "";
    while (system->next_file(system->context, folder, name, name, sizeof(name))) {
        size_t length = strlen(name);
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        if (length > 5 && strcmp(name + length - 5, ".conf") == 0 &&
            system->files.read(system->files.context, path, text, sizeof(text)))
            found |= directive(text, "maxslewrate", value);
    }
    return found;
}

/* As chrony reads it: line by line, a confdir's files where it stands. The last value counts. */
static bool slew_rate(const struct preflight *preflight, const char *text, double *value)
{
    static const char confdir[] = "confdir";
    bool found = false;
    char line[CONF_PATH_MAX];
    char folder[CONF_PATH_MAX];
    while (text != NULL) {
        text += strspn(text, " \t\n");
        snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
        if (strncmp(line, confdir, strlen(confdir)) == 0) {
            const char *words = line + strlen(confdir);
            for (words += strspn(words, " \t"); *words != '\0'; words += strspn(words, " \t")) {
                size_t length = strcspn(words, " \t");
                snprintf(folder, sizeof(folder), "%.*s", (int)length, words);
                found |= directive_in_folder(preflight, folder, value);
                words += length;
            }
        }
        found |= directive(line, "maxslewrate", value);
        text = strchr(text, '\n');
    }
    return found;
}

static void check_chrony(const struct preflight *preflight)
{
    static const char *const paths[] = { "/etc/chrony/chrony.conf", "/etc/chrony.conf" };
    static char text[CONF_TEXT_MAX];
    const struct hal_files *files = &preflight->system->files;
    double slew_ppm = CHRONY_SLEW_PPM;
    bool there = false;
    for (size_t i = 0; !there && i < sizeof(paths) / sizeof(paths[0]); i++)
        there = files->read(files->context, paths[i], text, sizeof(text));
    if (!there) {
        finding_add(preflight->findings, FINDING_GOOD, topic, "",
                    "no chrony is configured; other NTP clients slew by 500 ppm at most");
        return;
    }
    bool said = slew_rate(preflight, text, &slew_ppm);
    /* The guard wakes this often at the least, and looks at the raw clock each time. */
    double late_ms = GUARD_STATUS_INTERVAL_MS * slew_ppm / 1e6;
    bool short_of = late_ms >= preflight_release_ms(preflight);
    finding_add(preflight->findings, short_of ? FINDING_REFUSED : FINDING_GOOD, topic,
                short_of ?
                    "r does not hold: an output may be off later than release_ms says; lower "
                    "maxslewrate, or raise release_ms" :
                    "",
                "chrony slews by up to %.0f ppm (%s), which makes the guard late by up to %.1f ms",
                slew_ppm, said ? "maxslewrate" : "its default", late_ms);
    finding_add(preflight->findings, FINDING_GOOD, topic, "",
                "steps (makestep) and maxdrift change no lease: those go by the raw clock");
}

/* What NTP corrects is what the oscillator is off by: this is drift_ppm, measured. */
static void check_rate(const struct preflight *preflight)
{
    const struct preflight_system *system = preflight->system;
    double ppm = 0;
    uint32_t drift_ppm = preflight->conf->drift_ppm;
    if (!system->correction_ppm(system->context, &ppm)) {
        finding_add(preflight->findings, FINDING_NOTE, topic, "",
                    "not synchronized now: how far its rate is off is not known, declared are %u "
                    "ppm",
                    (unsigned)drift_ppm);
        return;
    }
    double off = ppm < 0 ? -ppm : ppm;
    finding_add(preflight->findings, off > drift_ppm ? FINDING_REFUSED : FINDING_GOOD, topic,
                off > drift_ppm ? "T and F are reckoned with drift_ppm: no bound holds" : "",
                "its rate is off by %.1f ppm as NTP corrects it now, declared are %u ppm", ppm,
                (unsigned)drift_ppm);
}

void check_clock(const struct preflight *preflight)
{
    check_chrony(preflight);
    check_rate(preflight);
}
