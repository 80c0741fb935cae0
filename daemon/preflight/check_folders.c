/* The directories that holdfastd and the guard share: are they there, and whose? holdfastd(8), FILES. */
#include <sys/stat.h>

#include "preflight/preflight.h"

static const char remedy[] = "the guard does not start; firmware/tmpfiles has them right";

static void check_folder(const struct preflight *preflight, const char *path, unsigned right,
                         bool run)
{
    const struct preflight_system *system = preflight->system;
    struct findings *findings = preflight->findings;
    struct preflight_folder folder = { .uid = 0 };
    const char *wrong = NULL;
    if (!system->folder(system->context, path, &folder)) {
        finding_add(findings, FINDING_WARN, "directories", remedy,
                    "%s is not there, or is no directory", path);
        return;
    }
    bool group = (folder.mode & S_IWGRP) != 0 && (folder.mode & S_ISGID) == 0;
    if ((folder.mode & S_IWOTH) != 0)
        wrong = "must not be writable by other users";
    else if (run && group)
        wrong = "must not be writable by its group without the set-group-ID bit";
    else if (!folder.writable)
        wrong = "this user may not write there";
    if (wrong != NULL)
        finding_add(findings, FINDING_REFUSED, "directories", remedy,
                    "%s: owned by user %u, mode %04o: %s, %04o of user holdfast is right", path,
                    (unsigned)folder.uid, folder.mode, wrong, right);
    else
        finding_add(findings, FINDING_GOOD, "directories", "", "%s: owned by user %u, mode %04o",
                    path, (unsigned)folder.uid, folder.mode);
}

void check_folders(const struct preflight *preflight)
{
    check_folder(preflight, preflight->conf->run_dir, 02775, true);
    check_folder(preflight, preflight->conf->data_dir, 02770, false);
}
