#include "holdfast.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "page.h"

/* A guard that dies changes no counter, so a wait looks at its owner word this often. */
enum { WAIT_SLICE_MS = 20 };

struct hf_page {
    const struct lease_page *map;
    _Atomic uint32_t seen; /* the change counter that hf_wait_change() last returned with */
    _Atomic bool seen_stale;
};

static int error_of(int error)
{
    if (error == EACCES || error == EPERM)
        return HF_ERROR_DENIED;
    if (error == ENOMEM)
        return HF_ERROR_MEMORY;
    return HF_ERROR_NOT_FOUND;
}

static int page_check(const struct lease_page *map)
{
    if (map->magic != PAGE_MAGIC || map->version != PAGE_VERSION || map->size != sizeof(*map) ||
        map->resource_count > PAGE_RESOURCES_MAX)
        return HF_ERROR_FORMAT;
    return map->boot == page_boot_id() ? HF_OK : HF_ERROR_NOT_FOUND;
}

static int page_map(int fd, const struct lease_page **out)
{
    struct stat info;
    if (fstat(fd, &info) < 0)
        return error_of(errno);
    if (!S_ISREG(info.st_mode) || info.st_size < (off_t)sizeof(struct lease_page))
        return HF_ERROR_FORMAT;
    /* Populated at once: the first question must not fault. */
    void *map = mmap(NULL, sizeof(struct lease_page), PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        return error_of(errno);
    int result = page_check(map);
    if (result != HF_OK) {
        munmap(map, sizeof(struct lease_page));
        return result;
    }
    *out = map;
    return HF_OK;
}

int hf_open(const char *path, struct hf_page **out)
{
    const struct lease_page *map = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_of(errno);
    int result = page_map(fd, &map);
    close(fd);
    if (result != HF_OK)
        return result;
    struct hf_page *page = malloc(sizeof(*page));
    if (page == NULL) {
        munmap((void *)map, sizeof(*map));
        return HF_ERROR_MEMORY;
    }
    page->map = map;
    atomic_init(&page->seen, atomic_load(&map->change));
    atomic_init(&page->seen_stale, !page_owned(map));
    *out = page;
    return HF_OK;
}

void hf_close(struct hf_page *page)
{
    if (page == NULL)
        return;
    munmap((void *)page->map, sizeof(*page->map));
    free(page);
}

static const struct page_resource *page_find(const struct lease_page *map, const char *resource)
{
    for (uint32_t i = 0; i < map->resource_count; i++) {
        if (strncmp(map->resource[i].name, resource, PAGE_NAME_SIZE) == 0)
            return &map->resource[i];
    }
    return NULL;
}

static bool clock_read(clockid_t clock, int64_t *now_us)
{
    struct timespec now;
    if (clock_gettime(clock, &now) < 0)
        return false;
    *now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    return true;
}

/*
 * What is left of a lease; 0 or less: nothing. The clocks are read last, and in this order: whatever
 * happened before, sleep or a pause between the readings counts against it.
 */
static int64_t time_left_us(const struct page_reading *reading)
{
    int64_t monotonic_us = 0;
    int64_t raw_us = 0;
    int64_t boottime_us = 0;
    if (!clock_read(CLOCK_MONOTONIC, &monotonic_us) || !clock_read(CLOCK_MONOTONIC_RAW, &raw_us) ||
        !clock_read(CLOCK_BOOTTIME, &boottime_us))
        return 0;
    int64_t asleep_us = boottime_us - monotonic_us - reading->slept_us;
    int64_t awake_us = reading->deadline_us - raw_us;
    return asleep_us > 0 ? awake_us - asleep_us : awake_us;
}

bool hf_lease_valid(const struct hf_page *page, const char *resource, uint64_t *token,
                    int64_t *left_us)
{
    struct page_reading reading = { .state = PAGE_SAFE };
    int64_t left = 0;
    const struct page_resource *entry = page_find(page->map, resource);
    bool whole = entry != NULL && page_read(entry, &reading);
    if (whole && reading.state == PAGE_DRIVING && page_owned(page->map))
        left = time_left_us(&reading);
    if (token != NULL)
        *token = whole ? reading.token : 0;
    if (left_us != NULL)
        *left_us = left > 0 ? left : 0;
    return left > 0;
}

bool hf_page_stale(const struct hf_page *page)
{
    return !page_owned(page->map);
}

/* True once for each change of the counter, and once when the guard goes. */
static bool take_change(struct hf_page *page)
{
    uint32_t change = atomic_load(&page->map->change);
    bool stale = !page_owned(page->map);
    bool counted = atomic_exchange(&page->seen, change) != change;
    bool went = atomic_exchange(&page->seen_stale, stale) != stale;
    return counted || went;
}

static int64_t monotonic_ms(void)
{
    struct timespec now = { 0, 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Not FUTEX_PRIVATE: the guard wakes from another process. Every result is looked into by the caller. */
static void sleep_on(const _Atomic uint32_t *word, uint32_t seen, int64_t milliseconds)
{
    struct timespec slice = { 0, (long)(milliseconds * 1000000) };
#ifdef SYS_futex_time64 /* a 32-bit kernel has a call for each width of its seconds */
    if (sizeof(slice.tv_sec) == sizeof(int64_t)) {
        syscall(SYS_futex_time64, word, FUTEX_WAIT, seen, &slice, NULL, 0);
        return;
    }
#endif
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &slice, NULL, 0);
}

int hf_wait_change(struct hf_page *page, int timeout_ms)
{
    int64_t limit_ms = monotonic_ms() + timeout_ms;
    while (!take_change(page)) {
        int64_t left_ms = limit_ms - monotonic_ms();
        if (left_ms <= 0)
            return HF_ERROR_TIMEOUT;
        if (left_ms > WAIT_SLICE_MS)
            left_ms = WAIT_SLICE_MS;
        sleep_on(&page->map->change, atomic_load(&page->seen), left_ms);
    }
    return HF_OK;
}

const char *hf_error_text(int error)
{
    switch (error) {
    case HF_OK:
        return "ok";
    case HF_ERROR_NOT_FOUND:
        return "no lease page at this path since the board started: no guard has run yet";
    case HF_ERROR_DENIED:
        return "permission denied";
    case HF_ERROR_FORMAT:
        return "not a lease page, or of another version";
    case HF_ERROR_MEMORY:
        return "out of memory";
    case HF_ERROR_TIMEOUT:
        return "nothing changed within the time";
    default:
        return "unknown error";
    }
}
