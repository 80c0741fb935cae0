#include "page_file.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "log/log.h"

enum { PATH_SIZE = CONF_PATH_MAX + 32, PAGE_HEAD_SIZE = offsetof(struct lease_page, resource) };

/*
 * What lies in the place of the page at a start. EMPTY: named before the disk had what was in it, by a
 * guard of an earlier boot, as power was cut. FOREIGN: of another version, and maybe not all off.
 */
enum page_old { PAGE_OLD_KNOWN, PAGE_OLD_EMPTY, PAGE_OLD_FOREIGN, PAGE_OLD_DAMAGED };

_Static_assert((int)PAGE_SAFE == (int)GUARD_SAFE && (int)PAGE_DRIVING == (int)GUARD_DRIVING &&
                   (int)PAGE_DROPPING == (int)GUARD_DROPPING && (int)PAGE_FAULT == (int)GUARD_FAULT,
               "the page publishes the guard's states as they are");
_Static_assert((int)PAGE_RESOURCES_MAX == (int)GUARD_RESOURCES_MAX, "one entry per resource");
_Static_assert((int)PAGE_NAME_SIZE == (int)sizeof(struct hf_name), "names fit");
_Static_assert((int)PAGE_OWNER_DIED == (int)FUTEX_OWNER_DIED, "the kernel sets this bit");

static void page_wake(const struct page_file *file, struct lease_page *page)
{
    atomic_fetch_add(&page->change, 1);
    file->platform->wake_readers(file->platform->context, page);
}

/* Of one that is smaller, as another version's may be, no more than what every version has. */
static int page_map_old(const struct platform *platform, const char *path, size_t *size, void **map)
{
    *size = sizeof(struct lease_page);
    int result = platform->map_file(platform->context, path, *size, map);
    if (result != -EINVAL)
        return result;
    *size = PAGE_HEAD_SIZE;
    return platform->map_file(platform->context, path, *size, map);
}

/*
 * What an earlier guard left on, if this one can tell: where the lines stand in a page of another version
 * it does not know, but that all was off at the end it reads in each.
 */
static enum page_old page_read_old(struct page_file *file, const struct lease_page *old, bool whole)
{
    static const uint8_t nothing[PAGE_HEAD_SIZE];
    const struct platform *platform = file->platform;
    if (memcmp(old, nothing, sizeof(nothing)) == 0)
        return PAGE_OLD_EMPTY;
    if (old->magic != PAGE_MAGIC)
        return PAGE_OLD_DAMAGED;
    bool same_boot = old->boot == platform->boot_id(platform->context);
    bool ended_off = atomic_load(&old->owner) == PAGE_ENDED_OFF;
    bool known = whole && old->version == PAGE_VERSION && old->size == sizeof(*old);
    file->earlier = same_boot;
    if (!same_boot || ended_off)
        return PAGE_OLD_KNOWN;
    if (!known)
        return old->version == PAGE_VERSION ? PAGE_OLD_DAMAGED : PAGE_OLD_FOREIGN;
    file->lines = old->level_lines;
    return PAGE_OLD_KNOWN;
}

/* Readers that still map the page of an earlier guard are told that nobody writes it any more. */
static enum page_old page_mark_stale(struct page_file *file, const char *path)
{
    const struct platform *platform = file->platform;
    void *map = NULL;
    size_t size = 0;
    int result = page_map_old(platform, path, &size, &map);
    if (result < 0)
        return result == -ENOENT ? PAGE_OLD_KNOWN : PAGE_OLD_DAMAGED;
    struct lease_page *old = map;
    enum page_old found = page_read_old(file, old, size == sizeof(*old));
    if (found == PAGE_OLD_KNOWN || found == PAGE_OLD_FOREIGN) {
        if (atomic_load(&old->owner) != PAGE_ENDED_OFF) /* the next start asks, if this one fails */
            atomic_store(&old->owner, 0);
        page_wake(file, old);
    }
    platform->unmap(platform->context, map, size);
    return found;
}

static bool page_old_is_known(enum page_old found, const char *path)
{
    if (found == PAGE_OLD_DAMAGED)
        log_line(
            LOG_ERR,
            "%s: is no lease page, or a damaged one: nobody knows which outputs an earlier guard "
            "left on: remove it once the board was reset since",
            path);
    if (found == PAGE_OLD_FOREIGN)
        log_line(
            LOG_ERR,
            "%s: an earlier guard, of another version of the page than %d, did not end with all "
            "outputs off: start and stop once the one that it was, or reset the board",
            path, PAGE_VERSION);
    return found == PAGE_OLD_KNOWN || found == PAGE_OLD_EMPTY;
}

/* The old lines would stay on, and the reset that ends them would not come: this guard would feed. */
static bool page_lines_agree(const struct page_file *file, const char *path, uint64_t lines)
{
    if (file->lines == 0 || file->lines == lines)
        return true;
    log_line(
        LOG_ERR,
        "%s: an earlier guard did not end with all outputs off, and had other lines (chip, line, "
        "active_low) than this file: start once with the file it had, or reset the board",
        path);
    return false;
}

static void page_fill(struct lease_page *page, const struct platform *platform,
                      const struct guard_config *config)
{
    page->magic = PAGE_MAGIC;
    page->version = PAGE_VERSION;
    page->size = sizeof(*page);
    page->resource_count = config->resource_count;
    page->boot = platform->boot_id(platform->context);
    for (uint8_t i = 0; i < config->resource_count; i++)
        memcpy(page->resource[i].name, config->resource[i].name.text, PAGE_NAME_SIZE);
}

bool page_file_open(struct page_file *file, const struct platform *platform, const char *run_dir,
                    const struct guard_config *config, uint64_t lines)
{
    char path[PATH_SIZE];
    char fresh[PATH_SIZE];
    void *map = NULL;
    *file = (struct page_file){ .platform = platform };
    snprintf(path, sizeof(path), "%s/lease.page", run_dir);
    snprintf(fresh, sizeof(fresh), "%s/lease.page.new", run_dir);
    if (!page_old_is_known(page_mark_stale(file, path), path) ||
        !page_lines_agree(file, path, lines))
        return false;
    int result = platform->map_new_file(platform->context, fresh, sizeof(struct lease_page), &map);
    if (result < 0) {
        log_line(LOG_ERR, "%s: can't be made: %s", fresh, strerror(-result));
        return false;
    }
    file->map = map;
    page_fill(file->map, platform, config);
    page_file_note_lines(file, file->lines);
    result = platform->own_page(platform->context, file->map);
    if (result >= 0)
        result = platform->rename(platform->context, fresh, path);
    if (result < 0)
        log_line(LOG_ERR, "%s: can't be published: %s", path, strerror(-result));
    return result >= 0;
}

void page_file_note_lines(struct page_file *file, uint64_t lines)
{
    file->map->level_lines = lines;
}

void page_file_note_off(struct page_file *file)
{
    page_file_note_lines(file, 0);
    atomic_store(&file->map->owner, PAGE_ENDED_OFF);
}

void page_file_publish(struct page_file *file, const struct guard *guard, uint8_t index,
                       struct span slept)
{
    const struct guard_resource *resource = &guard->resource[index];
    bool driving = resource->state == GUARD_DRIVING;
    struct page_reading reading = { .state = (enum page_state)resource->state,
                                    .token = resource->token,
                                    .deadline_us = driving ? resource->deadline.us : 0,
                                    .slept_us = driving ? slept.us : 0 };
    if (page_write(&file->map->resource[index], &reading))
        page_wake(file, file->map);
}

void page_file_close(struct page_file *file)
{
    struct page_reading safe = { .state = PAGE_SAFE };
    if (file->map == NULL)
        return;
    atomic_store(&file->map->owner, file->map->level_lines == 0 ? PAGE_ENDED_OFF : 0);
    for (uint32_t i = 0; i < file->map->resource_count; i++)
        (void)page_write(&file->map->resource[i], &safe);
    page_wake(file, file->map);
    /* Stays mapped: the kernel still looks at the owner word when this thread ends. */
}
