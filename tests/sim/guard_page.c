/*
 * A board's run directory: files in memory, which outlive the guard and go with the board's kernel.
 * A file that was replaced is there for as long as somebody maps it.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static struct sim_run_dir *run_dir_of(void *context)
{
    const struct sim_guard *guard = context;
    return &guard->world->board[guard->board].run_dir;
}

static enum sim_page_name name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    HF_CHECK(slash != NULL);
    if (strcmp(slash, "/lease.page") == 0)
        return SIM_PAGE_NAMED;
    HF_CHECK(strcmp(slash, "/lease.page.new") == 0);
    return SIM_PAGE_NEW;
}

static struct sim_page *find(struct sim_run_dir *run_dir, enum sim_page_name name)
{
    for (int i = 0; i < SIM_PAGES; i++) {
        if (run_dir->file[i].name == name)
            return &run_dir->file[i];
    }
    return NULL;
}

static struct sim_page *page_of(struct sim_run_dir *run_dir, const void *map)
{
    for (int i = 0; i < SIM_PAGES; i++) {
        if (&run_dir->file[i].page == map)
            return &run_dir->file[i];
    }
    hf_panic(__FILE__, __LINE__, "a mapping that is none");
}

struct sim_page *guard_page_named(struct world *world, int board)
{
    return find(&world->board[board].run_dir, SIM_PAGE_NAMED);
}

/* ---- the guard's calls */

int guard_map_file(void *context, const char *path, size_t size, void **map)
{
    struct sim_page *file = find(run_dir_of(context), name_of(path));
    HF_CHECK(size == sizeof(struct lease_page));
    if (!file)
        return -ENOENT;
    file->maps++;
    run_dir_of(context)->looked = file;
    *map = &file->page;
    return 0;
}

int guard_map_new_file(void *context, const char *path, size_t size, void **map)
{
    struct sim_run_dir *run_dir = run_dir_of(context);
    struct sim_page *old = find(run_dir, name_of(path));
    HF_CHECK(size == sizeof(struct lease_page));
    guard_may_die(context);
    if (old)
        old->name = SIM_PAGE_UNNAMED;
    for (int i = 0; i < SIM_PAGES; i++) {
        struct sim_page *file = &run_dir->file[i];
        if (file->name != SIM_PAGE_UNNAMED || file->maps > 0)
            continue;
        memset(file, 0, sizeof(*file));
        file->name = name_of(path);
        file->maps = 1;
        run_dir->mapped = file;
        *map = &file->page;
        return 0;
    }
    hf_panic(__FILE__, __LINE__, "no place for a file");
}

void guard_unmap(void *context, void *map, size_t size)
{
    struct sim_page *file = page_of(run_dir_of(context), map);
    HF_CHECK(size == sizeof(struct lease_page) && file->maps > 0);
    file->maps--;
    run_dir_of(context)->looked = NULL;
}

int guard_rename(void *context, const char *from, const char *to)
{
    struct sim_page *file = find(run_dir_of(context), name_of(from));
    struct sim_page *old = find(run_dir_of(context), name_of(to));
    if (!file)
        return -ENOENT;
    guard_may_die(context);
    if (old)
        old->name = SIM_PAGE_UNNAMED;
    file->name = name_of(to);
    return 0;
}

uint64_t guard_boot_id(void *context)
{
    const struct sim_guard *guard = context;
    int node = board_node(guard->world, guard->board);
    return UINT64_C(1) + guard->world->boot[guard->world->machine_of[node]];
}

int guard_own_page(void *context, struct lease_page *page)
{
    const struct sim_guard *guard = context;
    atomic_store(&page->owner, guard->platform.pid);
    page_of(run_dir_of(context), page)->owned = true;
    return 0;
}

void guard_wake_readers(void *context, struct lease_page *page)
{
    guard_may_die(context);
    page_of(run_dir_of(context), page)->woken = atomic_load(&page->change);
}

/* ---- what ends */

void guard_pages_disowned(struct world *world, int board)
{
    struct sim_run_dir *run_dir = &world->board[board].run_dir;
    struct sim_page *file = run_dir->mapped;
    if (run_dir->looked)
        run_dir->looked->maps--;
    run_dir->looked = NULL;
    if (!file)
        return;
    /* As the kernel does: the thread id goes. */
    if (file->owned && atomic_load(&file->page.owner) != 0)
        atomic_store(&file->page.owner, PAGE_OWNER_DIED);
    file->owned = false;
    file->maps--;
    run_dir->mapped = NULL;
}

void guard_run_dir_lost(struct world *world, int board)
{
    guard_client_closes(world, board);
    memset(&world->board[board].run_dir, 0, sizeof(world->board[board].run_dir));
    socket_lost(world, board);
}
