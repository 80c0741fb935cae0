#include "realtime.h"

#include <errno.h>
#include <link.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log/log.h"

/* Below the kernel's own interrupt threads (50), above everything else. */
enum { REALTIME_PRIORITY = 49 };

/* The program's first byte and the byte after its last, by the linker. */
extern const char __executable_start[]; /* NOLINT(bugprone-reserved-identifier): the linker's */
extern const char end[];

/*
 * Gives back what a library's read-only segments took in while the program started: reading the
 * configuration touches most of libc, the loop next to nothing. What is needed comes back from the
 * page cache, and is locked then.
 */
static int forget_segments(struct dl_phdr_info *object, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_W))
            continue;
        uintptr_t from = (object->dlpi_addr + header->p_vaddr) & ~(page - 1);
        uintptr_t to = object->dlpi_addr + header->p_vaddr + header->p_memsz;
        /* Only ever an advice: a kernel that will not take it costs memory, nothing else. */
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

/*
 * The program itself is locked whole; of the rest (mostly libc) what has been or will be touched,
 * since locking all of libc would cost more memory than everything else together.
 */
static bool memory_lock(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        return false;
    return mlock(__executable_start, (uintptr_t)end - (uintptr_t)__executable_start) == 0;
}

bool realtime_enter(void)
{
    struct sched_param parameter = { .sched_priority = REALTIME_PRIORITY };
    const char *scheduling = "ok";
    const char *memory = "ok";
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    dl_iterate_phdr(forget_segments, NULL);
    if (!memory_lock())
        memory = strerror(errno);
    if (sched_setscheduler(0, SCHED_FIFO, &parameter) < 0)
        scheduling = strerror(errno);
    if (strcmp(scheduling, "ok") == 0 && strcmp(memory, "ok") == 0)
        return true;
    log_line(LOG_WARNING, "not real-time: SCHED_FIFO: %s; mlockall: %s", scheduling, memory);
    return false;
}
