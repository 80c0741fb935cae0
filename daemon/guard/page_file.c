#include "page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf/conf.h"
#include "log/log.h"

enum { PATH_SIZE = CONF_PATH_MAX + 32 };

_Static_assert((int)PAGE_SAFE == (int)GUARD_SAFE && (int)PAGE_DRIVING == (int)GUARD_DRIVING &&
                   (int)PAGE_DROPPING == (int)GUARD_DROPPING && (int)PAGE_FAULT == (int)GUARD_FAULT,
               "the page publishes the guard's states as they are");
_Static_assert((int)PAGE_RESOURCES_MAX == (int)GUARD_RESOURCES_MAX, "one entry per resource");
_Static_assert((int)PAGE_NAME_SIZE == (int)sizeof(struct hf_name), "names fit");
_Static_assert((int)PAGE_OWNER_DIED == (int)FUTEX_OWNER_DIED, "the kernel sets this bit");

/* Readers wait on `change` in other processes, so it is not a private futex. */
static void page_wake(struct lease_page *page)
{
    atomic_fetch_add(&page->change, 1);
    syscall(SYS_futex, &page->change, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static struct lease_page *page_map_file(const char *path, int flags)
{
    struct stat info;
    void *map = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0644);
    if (fd < 0)
        return NULL;
    bool sized = (flags & O_CREAT) ?
                     ftruncate(fd, sizeof(struct lease_page)) == 0 && fchmod(fd, 0644) == 0 :
                     fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
                         info.st_size >= (off_t)sizeof(struct lease_page);
    if (sized)
        map = mmap(NULL, sizeof(struct lease_page), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

/* Whoever still maps the page of an earlier guard learns that it is written no more. */
static void page_mark_stale(const char *path)
{
    struct lease_page *old = page_map_file(path, 0);
    if (old == NULL)
        return;
    if (old->magic == PAGE_MAGIC && old->version == PAGE_VERSION) {
        atomic_store(&old->owner, 0);
        page_wake(old);
    }
    munmap(old, sizeof(*old));
}

/*
 * The kernel walks this list when the thread ends, whatever ends it, and sets FUTEX_OWNER_DIED in
 * the word that lies futex_offset after the entry. It replaces libc's own list, which serves robust
 * mutexes that the guard has none of.
 */
static bool page_own(struct lease_page *page)
{
    static struct robust_list_head head;
    static struct robust_list entry;
    entry.next = &head.list;
    head.list.next = &entry;
    head.futex_offset = (long)((intptr_t)&page->owner - (intptr_t)&entry);
    head.list_op_pending = NULL;
    atomic_store(&page->owner, (uint32_t)syscall(SYS_gettid));
    return syscall(SYS_set_robust_list, &head, sizeof(head)) == 0;
}

static void page_fill(struct lease_page *page, const struct guard_config *config)
{
    page->magic = PAGE_MAGIC;
    page->version = PAGE_VERSION;
    page->size = sizeof(*page);
    page->resource_count = config->resource_count;
    page->boot = page_boot_id();
    for (uint8_t i = 0; i < config->resource_count; i++)
        memcpy(page->resource[i].name, config->resource[i].name.text, PAGE_NAME_SIZE);
}

bool page_file_open(struct page_file *file, const char *run_dir, const struct guard_config *config)
{
    char path[PATH_SIZE];
    char fresh[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/lease.page", run_dir);
    snprintf(fresh, sizeof(fresh), "%s/lease.page.new", run_dir);
    page_mark_stale(path);
    unlink(fresh);
    file->map = page_map_file(fresh, O_CREAT | O_EXCL);
    if (file->map == NULL) {
        log_line(LOG_ERR, "%s: can't be made: %s", fresh, strerror(errno));
        return false;
    }
    page_fill(file->map, config);
    if (!page_own(file->map) || rename(fresh, path) < 0) {
        log_line(LOG_ERR, "%s: can't be published: %s", path, strerror(errno));
        return false;
    }
    return true;
}

void page_file_publish(struct page_file *file, const struct guard *guard, uint8_t index)
{
    const struct guard_resource *resource = &guard->resource[index];
    bool driving = resource->state == GUARD_DRIVING;
    struct page_reading reading = { (enum page_state)resource->state, resource->token,
                                    driving ? resource->deadline.us : 0 };
    if (page_write(&file->map->resource[index], &reading))
        page_wake(file->map);
}

void page_file_close(struct page_file *file)
{
    struct page_reading safe = { PAGE_SAFE, 0, 0 };
    if (file->map == NULL)
        return;
    atomic_store(&file->map->owner, 0);
    for (uint32_t i = 0; i < file->map->resource_count; i++)
        (void)page_write(&file->map->resource[i], &safe);
    page_wake(file->map);
    /* Stays mapped: the kernel still looks at the owner word when this thread ends. */
}
