/*
 * Preflight's system on Linux. Nothing is decided here.
 * Source: getrlimit(2), adjtimex(2), capget(2), clock_nanosleep(2), prctl(2).
 */
#include <dirent.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guard/guard_message.h"
#include "preflight/system.h"

enum {
    NS_PER_S = 1000000000,
    NS_PER_MS = 1000000,
    SHORT_SLEEP_NS = NS_PER_MS, /* of a pulse of 500 Hz */
    LONG_SLEEP_EACH = 11        /* one in so many is as long as the guard ever sleeps */
};

static bool linux_exists(void *context, const char *path)
{
    (void)context;
    return access(path, F_OK) == 0;
}

static bool linux_folder(void *context, const char *path, struct preflight_folder *folder)
{
    struct stat info;
    (void)context;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return false;
    *folder = (struct preflight_folder){ info.st_uid, info.st_mode & 07777,
                                         access(path, W_OK | X_OK) == 0 };
    return true;
}

static bool linux_next_file(void *context, const char *folder, const char *after, char *name,
                            size_t size)
{
    char next[NAME_MAX + 1] = "";
    const struct dirent *entry;
    (void)context;
    DIR *stream = opendir(folder);
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (strlen(entry->d_name) < size && strcmp(entry->d_name, after) > 0 &&
            (next[0] == '\0' || strcmp(entry->d_name, next) < 0))
            snprintf(next, sizeof(next), "%s", entry->d_name);
    }
    if (stream != NULL)
        closedir(stream);
    if (next[0] == '\0')
        return false;
    snprintf(name, size, "%s", next);
    return true;
}

static int64_t linux_limit(void *context, int resource)
{
    struct rlimit limit;
    (void)context;
    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return 0;
    return limit.rlim_cur == RLIM_INFINITY ? SYSTEM_UNLIMITED : (int64_t)limit.rlim_cur;
}

static bool linux_capable(void *context, int capability)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    (void)context;
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

static bool linux_correction_ppm(void *context, double *ppm)
{
    struct timex state = { .modes = 0 };
    (void)context;
    int result = adjtimex(&state);
    if (result < 0 || result == TIME_ERROR || (state.status & STA_UNSYNC))
        return false;
    double usual_tick_us = 1e6 / (double)sysconf(_SC_CLK_TCK);
    *ppm = (double)state.freq / 65536 + ((double)state.tick - usual_tick_us) / usual_tick_us * 1e6;
    return true;
}

static _Noreturn void hold(struct hal *hal, const struct hal_line_config *config, int told)
{
    struct hal_line *line = NULL;
    /* It holds nothing that outlives holdfastctl. */
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    char result = (char)hal->output->open_output(hal->context, config, &line);
    (void)!write(told, &result, 1);
    for (;;)
        pause();
}

static enum hal_result linux_hold_and_die(void *context, struct hal *hal,
                                          const struct hal_line_config *config)
{
    int told[2];
    char result = HAL_IO;
    (void)context;
    if (pipe(told) < 0)
        return HAL_IO;
    pid_t child = fork();
    if (child == 0)
        hold(hal, config, told[1]);
    close(told[1]);
    if (child > 0) {
        if (read(told[0], &result, 1) != 1)
            result = HAL_IO;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    close(told[0]);
    return (enum hal_result)result;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t wake_late_ns(int64_t due_ns)
{
    struct timespec at = { due_ns / NS_PER_S, (long)(due_ns % NS_PER_S) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
    return monotonic_ns() - due_ns;
}

/* A processor that had nothing to do for longer sleeps more deeply, and wakes more slowly. */
static int64_t sleep_ns(unsigned number)
{
    return number % LONG_SLEEP_EACH == 0 ? (int64_t)GUARD_STATUS_INTERVAL_MS * NS_PER_MS :
                                           SHORT_SLEEP_NS;
}

static int64_t linux_worst_lateness_us(void *context, uint32_t seconds, bool *realtime)
{
    struct sched_param parameter = { .sched_priority = GUARD_REALTIME_PRIORITY };
    int64_t worst_ns = 0;
    (void)context;
    /*
     * Memory is a matter of its own: this program is larger than the guard, whose limit may not let all
     * of it be locked, and what the loop needs was touched just now.
     */
    (void)mlockall(MCL_CURRENT);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    *realtime = sched_setscheduler(0, SCHED_FIFO, &parameter) == 0;
    int64_t now_ns = monotonic_ns();
    int64_t end_ns = now_ns + (int64_t)seconds * NS_PER_S;
    for (unsigned number = 0; now_ns < end_ns; number++) {
        int64_t late_ns = wake_late_ns(now_ns + sleep_ns(number));
        worst_ns = late_ns > worst_ns ? late_ns : worst_ns;
        now_ns = monotonic_ns();
    }
    parameter.sched_priority = 0;
    (void)sched_setscheduler(0, SCHED_OTHER, &parameter);
    (void)prctl(PR_SET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL); /* as it was */
    (void)munlockall();
    return worst_ns / 1000;
}

void preflight_system_linux(struct preflight_system *system, struct hal *hal)
{
    *system = (struct preflight_system){
        .files = hal_system_files,
        .hal = hal,
        .exists = linux_exists,
        .folder = linux_folder,
        .next_file = linux_next_file,
        .limit = linux_limit,
        .capable = linux_capable,
        .correction_ppm = linux_correction_ppm,
        .hold_and_die = linux_hold_and_die,
        .worst_lateness_us = linux_worst_lateness_us,
    };
}
