/*
 * Preloaded into every program of a board in a chaos run: its clocks are those of CLOCK_FILE (see
 * clock_shim.h). Programs reach the clock through libc, so that libc's names are enough. Timers of
 * the kernel run in true time; those with an absolute end get it translated when they are set.
 */
#define _GNU_SOURCE
#include "clock_shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct clock_file *clock_file;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
static int (*real_settime)(int, int, const struct itimerspec *, struct itimerspec *);

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("CLOCK_FILE");
    if (real_gettime == NULL) {
        real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        real_nanosleep = (int (*)(clockid_t, int, const struct timespec *, struct timespec *))dlsym(
            RTLD_NEXT, "clock_nanosleep");
        real_settime = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))dlsym(
            RTLD_NEXT, "timerfd_settime");
    }
    int fd = path != NULL && clock_file == NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof *clock_file, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        clock_file = map;
}

static int64_t read_ns(clockid_t clock)
{
    struct timespec at;
    if (real_gettime == NULL)
        open_clock();
    real_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Of MONOTONIC or BOOTTIME: how far the board's is ahead of the machine's. */
static int64_t ahead_ns(clockid_t clock)
{
    int64_t true_ns = read_ns(CLOCK_MONOTONIC_RAW);
    struct clock_segment segment = clock_segment_at(clock_file, true_ns);
    int64_t ahead = clock_segment_raw_ns(&segment, true_ns) - true_ns + segment.monotonic_ns;
    return clock == CLOCK_BOOTTIME ? ahead + segment.slept_ns : ahead;
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int64_t ns = 0;
    if (real_gettime == NULL)
        open_clock();
    if (clock_file == NULL ||
        (clock != CLOCK_MONOTONIC_RAW && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME))
        return real_gettime(clock, at);
    if (clock == CLOCK_MONOTONIC_RAW) {
        int64_t true_ns = read_ns(clock);
        struct clock_segment segment = clock_segment_at(clock_file, true_ns);
        ns = clock_segment_raw_ns(&segment, true_ns);
    } else {
        ns = ahead_ns(clock) + read_ns(clock);
    }
    *at = (struct timespec){ ns / 1000000000, ns % 1000000000 };
    return 0;
}

/* An instant of the board's MONOTONIC as one of the machine's; 0 stays 0. */
static struct timespec translate(const struct timespec *at)
{
    int64_t ns = (int64_t)at->tv_sec * 1000000000 + at->tv_nsec;
    if (ns == 0)
        return *at;
    ns -= ahead_ns(CLOCK_MONOTONIC);
    ns = ns > 0 ? ns : 1;
    return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left)
{
    if (real_gettime == NULL)
        open_clock();
    if (clock_file == NULL || clock != CLOCK_MONOTONIC || !(flags & TIMER_ABSTIME))
        return real_nanosleep(clock, flags, until, left);
    const struct timespec own = translate(until);
    return real_nanosleep(clock, flags, &own, left);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *former)
{
    struct itimerspec own = *when;
    if (real_gettime == NULL)
        open_clock();
    if (clock_file != NULL && (flags & TFD_TIMER_ABSTIME))
        own.it_value = translate(&when->it_value);
    return real_settime(fd, flags, &own, former);
}
