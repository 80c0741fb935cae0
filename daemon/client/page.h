/*
 * The lease page: what the guard publishes and libholdfast reads, in one shared file mapping.
 *
 * Owner: holdfast-guard writes, one thread; any number of processes map it read-only.
 * Lifecycle: the guard builds a new file and renames it into place, so that a reader never sees half
 *   a page; the page of an earlier guard gets owner 0, or keeps PAGE_ENDED_OFF. All up to `change`
 *   is at these places in every version: a guard of another one reads it. `owner` is the guard's
 *   thread id, registered with the kernel as a robust futex: the kernel itself puts PAGE_OWNER_DIED
 *   in its place when the guard dies, however it dies.
 * `boot` ties the page to one start of the kernel: where the folder outlives a restart, nobody marked
 *   the page of before it, and its deadlines are instants of a clock that began anew.
 * CLOCK_MONOTONIC_RAW stands still while the board is suspended, and a reader may be woken before the
 * guard: so beside a deadline stands how long the board had slept when it was published, CLOCK_BOOTTIME
 * less CLOCK_MONOTONIC. What a reader finds more is taken off. No deadline goes by either clock: both
 * are slewed.
 * Each resource is guarded by a sequence lock of its own: odd while it is being written.
 * Source: Linux, Documentation/locking/robust-futex-ABI.rst and seqlock.rst.
 */
#ifndef HOLDFAST_CLIENT_PAGE_H
#define HOLDFAST_CLIENT_PAGE_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

enum {
    PAGE_MAGIC = 0x48464c50, /* "HFLP" */
    PAGE_VERSION = 4,
    PAGE_NAME_SIZE = 32, /* with its terminating zero */
    PAGE_RESOURCES_MAX = 16,
    PAGE_OWNER_DIED = 0x40000000, /* the kernel's FUTEX_OWNER_DIED */
    /*
     * All outputs were proven off at the guard's end. Dead to readers of every version, and not what the
     * kernel leaves of a guard that died: that has no thread id.
     */
    PAGE_ENDED_OFF = PAGE_OWNER_DIED | 1,
    PAGE_READ_TRIES = 1000 /* a writer that stalls within its few stores counts as not valid */
};

enum page_state { PAGE_SAFE, PAGE_DRIVING, PAGE_DROPPING, PAGE_FAULT };

struct page_resource {
    char name[PAGE_NAME_SIZE]; /* zero padded; never changes */
    _Atomic uint32_t sequence;
    _Atomic uint32_t state; /* enum page_state */
    _Atomic uint64_t token;
    _Atomic int64_t deadline_us; /* CLOCK_MONOTONIC_RAW; 0 unless driving */
    _Atomic int64_t slept_us;    /* of the board since it booted; 0 unless driving */
};

struct lease_page {
    uint32_t magic;
    uint32_t version;
    uint32_t size; /* of this struct */
    uint32_t resource_count;
    uint64_t boot;           /* page_boot_id() of the guard */
    _Atomic uint32_t owner;  /* thread id of the guard; 0, PAGE_ENDED_OFF: written no more */
    _Atomic uint32_t change; /* futex: counts changes of a state or token */
    struct page_resource resource[PAGE_RESOURCES_MAX];
    /* For the next guard: conf_level_lines() of what may be on; 0: all was proven off at the end. */
    uint64_t level_lines;
};

_Static_assert(sizeof(struct page_resource) == 64, "one cache line per resource");

/* What a reader gets of one resource. */
struct page_reading {
    enum page_state state;
    uint64_t token;
    int64_t deadline_us;
    int64_t slept_us;
};

/*
 * The first 64 bits of the kernel's random id of this start, as text says them; 0 if it tells none.
 * Source: Linux, Documentation/admin-guide/sysctl/kernel.rst, random/boot_id.
 */
static inline uint64_t page_boot_id(void)
{
    char text[36] = { 0 };
    uint64_t id = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0, digits = 0; i < length && digits < 16; i++) {
        char c = text[i];
        if (c == '-')
            continue;
        id = id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        digits++;
    }
    return id;
}

/* Stores a resource; true if its state or token is new. For the one writer only. */
static inline bool page_write(struct page_resource *entry, const struct page_reading *value)
{
    bool changed =
        atomic_load_explicit(&entry->state, memory_order_relaxed) != (uint32_t)value->state ||
        atomic_load_explicit(&entry->token, memory_order_relaxed) != value->token;
    uint32_t sequence = atomic_load_explicit(&entry->sequence, memory_order_relaxed);
    atomic_store_explicit(&entry->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&entry->state, (uint32_t)value->state, memory_order_relaxed);
    atomic_store_explicit(&entry->token, value->token, memory_order_relaxed);
    atomic_store_explicit(&entry->deadline_us, value->deadline_us, memory_order_relaxed);
    atomic_store_explicit(&entry->slept_us, value->slept_us, memory_order_relaxed);
    atomic_store_explicit(&entry->sequence, sequence + 2, memory_order_release);
    return changed;
}

/* Reads a resource whole; false if the writer stalled in its middle. Never blocks. */
static inline bool page_read(const struct page_resource *entry, struct page_reading *value)
{
    for (int i = 0; i < PAGE_READ_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&entry->sequence, memory_order_acquire);
        value->state = (enum page_state)atomic_load_explicit(&entry->state, memory_order_relaxed);
        value->token = atomic_load_explicit(&entry->token, memory_order_relaxed);
        value->deadline_us = atomic_load_explicit(&entry->deadline_us, memory_order_relaxed);
        value->slept_us = atomic_load_explicit(&entry->slept_us, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        uint32_t after = atomic_load_explicit(&entry->sequence, memory_order_relaxed);
        if (before == after && (before & 1) == 0)
            return true;
    }
    return false;
}

/* A guard is there and writes this page. */
static inline bool page_owned(const struct lease_page *page)
{
    uint32_t owner = atomic_load_explicit(&page->owner, memory_order_acquire);
    return owner != 0 && (owner & PAGE_OWNER_DIED) == 0;
}

#endif
