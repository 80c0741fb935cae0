/*
 * What preflight asks of the board, as one small table. An entry is one look, or one act, with
 * nothing to decide in it.
 */
#ifndef HOLDFAST_PREFLIGHT_SYSTEM_H
#define HOLDFAST_PREFLIGHT_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "hal/files.h"
#include "hal/hal.h"

#define SYSTEM_UNLIMITED INT64_MAX

struct preflight_folder {
    uid_t uid;
    unsigned mode; /* permissions, set-group-ID and sticky bit */
    bool writable; /* by this user */
};

struct preflight_system {
    void *context; /* first argument of every entry */
    struct hal_files files;
    struct hal *hal; /* open; the linux backend */

    /* The file is there, whatever it is; it is not opened. */
    bool (*exists)(void *context, const char *path);
    /* What a directory is like. False: it is not there, or is none. */
    bool (*folder)(void *context, const char *path, struct preflight_folder *folder);
    /*
     * The name of the file of this folder that comes next behind `after`, bytewise ("": the first); `name`
     * may be `after`. Longer names are left out. False: there is none.
     */
    bool (*next_file)(void *context, const char *folder, const char *after, char *name,
                      size_t size);
    /* The soft limit (getrlimit(2)) of RLIMIT_RTPRIO and the like; SYSTEM_UNLIMITED: none. */
    int64_t (*limit)(void *context, int resource);
    /* True if this process has the capability (capabilities(7)). */
    bool (*capable)(void *context, int capability);
    /* How far NTP corrects the clock's rate, in ppm, signed. False: it does not. */
    bool (*correction_ppm)(void *context, double *ppm);
    /*
     * Has a child request the line as an output at its inactive level, and kills it. HAL_OK once the
     * child is gone. Blocks for the ioctls.
     */
    enum hal_result (*hold_and_die)(void *context, struct hal *hal,
                                    const struct hal_line_config *config);
    /*
     * Wakes again and again for so many seconds, as the guard does: at its priority where that is
     * permitted (*realtime), without timer slack, mostly after a millisecond and at times after as
     * long as the guard sleeps at the most. Tells by how much it was late at the worst. Blocks for
     * that long.
     */
    int64_t (*worst_lateness_us)(void *context, uint32_t seconds, bool *realtime);
};

/* The real one. `hal` is the caller's. */
void preflight_system_linux(struct preflight_system *system, struct hal *hal);

#endif
