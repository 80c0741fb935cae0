/*
 * Does systemd want the guard's watchdog for itself? Who opens it first has it.
 * Source: systemd-system.conf(5): a drop-in of the same name in /etc hides one of /run, and that one of
 * /usr/lib; they are read in the order of their names, and the last setting wins.
 */
#include <stdio.h>
#include <string.h>

#include "preflight/preflight.h"

enum { VALUE_MAX = 64, TEXT_MAX = 8192 };

/* The last one that has a name counts. */
static const char *const folders[] = { "/usr/lib/systemd/system.conf.d",
                                       "/run/systemd/system.conf.d", "/etc/systemd/system.conf.d" };
enum { FOLDERS = sizeof(folders) / sizeof(folders[0]) };

struct setting {
    char watchdog[VALUE_MAX]; /* RuntimeWatchdogSec */
    char device[VALUE_MAX];   /* WatchdogDevice */
    char from[CONF_PATH_MAX]; /* where the first of them is said */
};

/* True if the line sets `name`; then the value is copied, cut. */
static bool take(const char *line, const char *name, char *value)
{
    size_t length = strlen(name);
    if (strncmp(line, name, length) != 0)
        return false;
    line += length + strspn(line + length, " \t");
    if (*line != '=')
        return false;
    line += 1 + strspn(line + 1, " \t");
    snprintf(value, VALUE_MAX, "%.*s", (int)strcspn(line, " \t\n"), line);
    return true;
}

static void read_file(const struct preflight *preflight, const char *path, struct setting *setting)
{
    static char text[TEXT_MAX];
    const struct hal_files *files = &preflight->system->files;
    if (!files->read(files->context, path, text, sizeof(text)))
        return;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, " \t\n");
        if (take(line, "RuntimeWatchdogSec", setting->watchdog))
            snprintf(setting->from, sizeof(setting->from), "%s", path);
        (void)take(line, "WatchdogDevice", setting->device);
    }
}

/* The name behind `name`, of all folders' files. False: there is none. */
static bool next_name(const struct preflight *preflight, char *name)
{
    const struct preflight_system *system = preflight->system;
    char next[VALUE_MAX] = "";
    char found[VALUE_MAX];
    for (size_t folder = 0; folder < FOLDERS; folder++) {
        if (system->next_file(system->context, folders[folder], name, found, sizeof(found)) &&
            (next[0] == '\0' || strcmp(found, next) < 0))
            snprintf(next, sizeof(next), "%s", found);
    }
    snprintf(name, VALUE_MAX, "%s", next);
    return name[0] != '\0';
}

/* By name, whatever folder they are in: a 10-x.conf of /etc loses to a 40-y.conf of /usr/lib. */
static void read_drop_ins(const struct preflight *preflight, struct setting *setting)
{
    const struct preflight_system *system = preflight->system;
    char path[CONF_PATH_MAX];
    char name[VALUE_MAX] = "";
    while (next_name(preflight, name)) {
        size_t length = strlen(name);
        size_t folder = FOLDERS;
        if (length < 5 || strcmp(name + length - 5, ".conf") != 0)
            continue;
        do
            snprintf(path, sizeof(path), "%s/%s", folders[--folder], name);
        while (folder > 0 && !system->exists(system->context, path));
        read_file(preflight, path, setting);
    }
}

/* "off", or a time without a digit but 0. */
static bool is_off(const char *value)
{
    return value[0] == '\0' || strcmp(value, "off") == 0 ||
           (value[0] == '0' && strpbrk(value, "123456789") == NULL);
}

/* Both name the same one; /dev/watchdog is the first. */
static bool same_device(const char *one, const char *other)
{
    const char *const names[] = { one, other };
    char leaf[2][VALUE_MAX];
    for (int i = 0; i < 2; i++) {
        const char *slash = strrchr(names[i], '/');
        const char *name = slash != NULL ? slash + 1 : names[i];
        snprintf(leaf[i], VALUE_MAX, "%s", strcmp(name, "watchdog") == 0 ? "watchdog0" : name);
    }
    return strcmp(leaf[0], leaf[1]) == 0;
}

void check_service(const struct preflight *preflight)
{
    struct setting setting = { .device = "/dev/watchdog0" };
    if (!preflight->conf->has_watchdog)
        return;
    read_file(preflight, "/etc/systemd/system.conf", &setting);
    read_drop_ins(preflight, &setting);
    if (is_off(setting.watchdog))
        return;
    bool same = same_device(setting.device, preflight->conf->watchdog_device);
    finding_add(
        preflight->findings, same ? FINDING_REFUSED : FINDING_NOTE, "watchdog",
        same ? "the guard does not start: it can't have it" : "",
        "systemd feeds %s (RuntimeWatchdogSec=%s in %s)%s", setting.device, setting.watchdog,
        setting.from,
        same ? ": say RuntimeWatchdogSec=off in a drop-in whose name sorts later, and reboot" : "");
}
