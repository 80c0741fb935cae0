/*
 * Writes RUN/lease.page (layout in client/page.h).
 *
 * Owner: the guard's one thread, which must be the one that called page_file_open(): the kernel
 *   marks the page when that thread dies.
 * Lifecycle: page_file_open() after the guard has the run directory to itself; page_file_publish()
 *   for each change; page_file_close() at a planned end.
 */
#ifndef HOLDFAST_GUARD_PAGE_FILE_H
#define HOLDFAST_GUARD_PAGE_FILE_H

#include <stdbool.h>

#include "client/page.h"
#include "guard/guard.h"
#include "guard/platform.h"

struct page_file {
    const struct platform *platform;
    struct lease_page *map;
    /* In this start of the kernel: a guard had a page here before, and may have left these lines on. */
    bool earlier;
    uint64_t lines; /* 0: none */
};

/*
 * Marks the page of an earlier guard stale and puts a new, all-safe one in its place, unless that
 * guard may have left other lines on than `lines`, of conf_level_lines(), or it can't tell: what is there
 * is no page, or of another version and not of an end with all off.
 * False after one log line.
 * The platform outlives the file.
 */
bool page_file_open(struct page_file *file, const struct platform *platform, const char *run_dir,
                    const struct guard_config *config, uint64_t lines);

/* Before the first permit: from now on the lines may be on when this guard ends; 0: none is. */
void page_file_note_lines(struct page_file *file, uint64_t lines);

/* After page_file_close(): all was proven off at the end, which a guard of any version reads. */
void page_file_note_off(struct page_file *file);

/*
 * Publishes a resource, and wakes waiting readers if its state or token is new. `slept`: of the board
 * since it booted, without sleep that the guard has not been told of. Never blocks.
 */
void page_file_publish(struct page_file *file, const struct guard *guard, uint8_t resource,
                       struct span slept);

/* Marks every lease of the page not valid, and the page as nobody's. */
void page_file_close(struct page_file *file);

#endif
