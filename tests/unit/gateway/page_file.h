/*
 * A lease page as the guard publishes it, for tests that have no guard.
 */
#ifndef HOLDFAST_TESTS_GATEWAY_PAGE_FILE_H
#define HOLDFAST_TESTS_GATEWAY_PAGE_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/page.h"
#include "hal/clock.h"
#include "tests/unit/support/unit.h"

/* As the guard does: a new file, renamed into place. `owner` is the guard's thread id. */
static inline void page_publish(const char *folder, const char *resource, uint32_t owner,
                                int64_t left_us)
{
    char path[256];
    char draft[256];
    snprintf(path, sizeof(path), "%s/lease.page", folder);
    snprintf(draft, sizeof(draft), "%s/lease.page.new", folder);
    struct lease_page page = { .magic = PAGE_MAGIC,
                               .version = PAGE_VERSION,
                               .size = sizeof(page),
                               .resource_count = 1,
                               .boot = page_boot_id() };
    atomic_init(&page.owner, owner);
    strcpy(page.resource[0].name, resource);
    struct page_reading value = { PAGE_DRIVING, 7, hal_clock_now().us + left_us,
                                  hal_clock_slept().us };
    page_write(&page.resource[0], &value);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &page, sizeof(page)), sizeof(page));
    close(fd);
    assert_int_equal(rename(draft, path), 0);
}

#endif
