/*
 * An application on each board, which asks daemon/client as it ships whether its board holds the
 * lease, and what must hold for what it is told: S1 and S5 as a client sees them. Its calls of the
 * system end here (the Makefile wraps them) while it asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "client/holdfast.h"
#include "tests/sim/sim.h"
#include "tests/sim/wrapped.h"

enum {
    FIRST_FD = 1 << 21,
    BOOT_FD = FIRST_FD + SIM_PAGES,
    LOOK_TURNS = 16,     /* of its guard, where nothing seems to happen */
    BOOT_TEXT_BYTES = 37 /* 8-4-4-4-12 */
};

/* Who asks now; NULL: the world itself runs. */
static struct world *asking;
static int asking_board;

/* ---- its system calls */

int __wrap_open(const char *path, int flags, ...) WRAPPED("wrap", "open", "open64");
int __real_open(const char *path, int flags, ...) WRAPPED("real", "open", "open64");
ssize_t __wrap_read(int fd, void *data, size_t length);
ssize_t __real_read(int fd, void *data, size_t length);
int __wrap_fstat(int fd, struct stat *info) WRAPPED("wrap", "fstat", "__fstat64_time64");
int __real_fstat(int fd, struct stat *info) WRAPPED("real", "fstat", "__fstat64_time64");
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
    WRAPPED("wrap", "mmap", "mmap64");
void *__real_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
    WRAPPED("real", "mmap", "mmap64");
int __wrap_munmap(void *map, size_t length);
int __real_munmap(void *map, size_t length);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
    WRAPPED("wrap", "clock_gettime", "__clock_gettime64");
int __real_clock_gettime(clockid_t clock, struct timespec *now)
    WRAPPED("real", "clock_gettime", "__clock_gettime64");

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if (!asking)
        return __real_open(path, flags, mode);
    if (strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        return BOOT_FD;
    const struct sim_page *file = guard_page_named(asking, asking_board);
    if (file)
        return FIRST_FD + (int)(file - asking->board[asking_board].run_dir.file);
    errno = ENOENT;
    return -1;
}

ssize_t __wrap_read(int fd, void *data, size_t length)
{
    char text[BOOT_TEXT_BYTES];
    if (!asking)
        return __real_read(fd, data, length);
    HF_CHECK(fd == BOOT_FD);
    uint64_t id = guard_boot_id(&asking->board[asking_board].guard);
    snprintf(text, sizeof(text), "%08x-%04x-%04x-0000-000000000000", (unsigned)(id >> 32),
             (unsigned)(id >> 16 & 0xffff), (unsigned)(id & 0xffff));
    size_t count = length < sizeof(text) - 1 ? length : sizeof(text) - 1;
    memcpy(data, text, count);
    return (ssize_t)count;
}

int __wrap_fstat(int fd, struct stat *info)
{
    if (!asking)
        return __real_fstat(fd, info);
    memset(info, 0, sizeof(*info));
    info->st_mode = S_IFREG;
    info->st_size = sizeof(struct lease_page);
    return 0;
}

void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (!asking)
        return __real_mmap(at, length, protection, flags, fd, offset);
    HF_CHECK(length == sizeof(struct lease_page) && fd >= FIRST_FD && fd < BOOT_FD);
    struct sim_page *file = &asking->board[asking_board].run_dir.file[fd - FIRST_FD];
    file->maps++;
    return &file->page;
}

int __wrap_munmap(void *map, size_t length)
{
    if (!asking)
        return __real_munmap(map, length);
    guard_unmap(&asking->board[asking_board].guard, map, length);
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!asking)
        return __real_clock_gettime(clock, now);
    int node = board_node(asking, asking_board);
    int64_t us = clock == CLOCK_MONOTONIC_RAW ? clock_local(asking, node).us :
                                                clock_monotonic_us(asking, node);
    if (clock == CLOCK_BOOTTIME)
        us += clock_slept_us(asking, node);
    else
        HF_CHECK(clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_MONOTONIC);
    *now = (struct timespec){ us / 1000000, (long)(us % 1000000 * 1000) };
    return 0;
}

/* ---- asking */

void guard_client_forget(void)
{
    asking = NULL;
}

static struct sim_client *begin(struct world *world, int board)
{
    HF_CHECK(!asking);
    asking = world;
    asking_board = board;
    return &world->board[board].run_dir.client;
}

static void end(void)
{
    asking = NULL;
}

static bool ask(struct world *world, int board, int resource, uint64_t *token)
{
    const struct sim_client *client = begin(world, board);
    bool valid =
        client->page && hf_lease_valid(client->page, world->resource[resource].text, token, NULL);
    end();
    return valid;
}

void guard_client_closes(struct world *world, int board)
{
    struct sim_client *client = begin(world, board);
    hf_close(client->page);
    *client = (struct sim_client){ 0 };
    end();
}

/* Where there is another page than the one that it has: that one. */
static bool opens(struct world *world, int board)
{
    struct sim_client *client = &world->board[board].run_dir.client;
    const struct sim_page *file = guard_page_named(world, board);
    if (!file || file == client->file)
        return false;
    guard_client_closes(world, board);
    HF_CHECK(!loop_runs()); /* what it allocates is its own */
    client = begin(world, board);
    int result = hf_open("/run/holdfast/lease.page", &client->page);
    client->file = file;
    end();
    if (result != HF_OK)
        world_fail(world, ORACLE_S5, "%s: a client can't open the lease page: %s",
                   world->name[board_node(world, board)].text, hf_error_text(result));
    return true;
}

/* ---- what it may be told */

static const char *text_of(const struct world *world, int board)
{
    return world->name[board_node(world, board)].text;
}

static bool runs(const struct world *world, int board)
{
    int machine = world->machine_of[board_node(world, board)];
    return world->asleep_until_us[machine] == 0 && !world->hung[machine];
}

static void judge_yes(struct world *world, int board, int resource, uint64_t token)
{
    const struct sim_guard *guard = &world->board[board].guard;
    const struct guard_resource *drives = &guard->loop.guard.resource[resource];
    const struct oracle_board *seen = &world->oracle.board[board];
    const char *what = world->resource[resource].text;
    world_cover(world, COVERAGE_CLIENTS_TOLD_YES);
    if (!guard->process.up)
        world_fail(world, ORACLE_S5, "%s: a client is told that %s is its, and the guard is dead",
                   text_of(world, board), what);
    if (drives->state != GUARD_DRIVING || drives->token != token)
        world_fail(world, ORACLE_S5,
                   "%s: a client is told that %s is its by token %llu, the guard is in state %s "
                   "with token %llu",
                   text_of(world, board), what, (unsigned long long)token,
                   guard_state_name(drives->state), (unsigned long long)drives->token);
    /* Of a clock that went back only the guard's next turn can tell, and the board may sleep before it. */
    if (world->now_us > seen->deadline_us[resource] && !guard->clock_went_back &&
        !sim_guard_clock_is_bad(world, board))
        world_fail(world, ORACLE_S5, "%s: a client is told that %s is its %lld us after its lease",
                   text_of(world, board), what,
                   (long long)(world->now_us - seen->deadline_us[resource]));
    oracle_client_told(world, board, resource);
}

static void look(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        uint64_t token = 0;
        if (ask(world, board, i, &token))
            judge_yes(world, board, i, token);
        else if (!world->board[board].guard.process.up)
            world_cover(world, COVERAGE_CLIENTS_OF_DEAD_GUARDS);
    }
}

void guard_client_looks(struct world *world, int board)
{
    world->board[board].run_dir.client.turns = 0;
    if (!runs(world, board))
        return;
    /* It may find out late that its page was replaced. */
    look(world, board);
    if (opens(world, board))
        look(world, board);
}

void guard_client_sees_edge(struct world *world, int board, int resource)
{
    for (int other = 0; other < world->board_count; other++) {
        const struct sim_page *file = world->board[other].run_dir.client.file;
        uint64_t token = 0;
        if (other == board || !file || !runs(world, other) ||
            atomic_load(&file->page.resource[resource].state) != PAGE_DRIVING)
            continue;
        if (ask(world, other, resource, &token))
            judge_yes(world, other, resource, token);
    }
}

/* ---- what the page says after a turn of the guard */

static bool must_be_told(const struct world *world, int board, int resource)
{
    const struct sim_guard *guard = &world->board[board].guard;
    struct instant deadline = guard->loop.guard.resource[resource].deadline;
    struct instant now = clock_local(world, board_node(world, board));
    bool stands = world->clock[world->machine_of[board_node(world, board)]].raw.stands;
    return guard->loop.guard.resource[resource].state == GUARD_DRIVING && !stands &&
           instant_diff(deadline, now).us > 0 &&
           world->now_us - guard->clock_touched_us >
               2 * sim_ttl_us(&world->plan, resource, world->plan.ttl_us);
}

static void check_told(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        uint64_t token = 0;
        if (must_be_told(world, board, i) && !ask(world, board, i, &token))
            world_fail(world, ORACLE_L2,
                       "%s: a client is told that %s is not its, and the guard drives",
                       text_of(world, board), world->resource[i].text);
    }
}

/* True if its state or token is another than after the last turn. */
static bool check_entry(struct world *world, int board, int resource)
{
    struct sim_page *file = world->board[board].run_dir.mapped;
    const struct guard_resource *guard = &world->board[board].guard.loop.guard.resource[resource];
    const struct page_resource *entry = &file->page.resource[resource];
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    uint64_t token = atomic_load_explicit(&entry->token, memory_order_relaxed);
    int64_t deadline_us = atomic_load_explicit(&entry->deadline_us, memory_order_relaxed);
    int64_t drives_us = guard->state == GUARD_DRIVING ? guard->deadline.us : 0;
    bool other = state != file->seen_state[resource] || token != file->seen_token[resource];
    if (state != (uint32_t)guard->state || token != guard->token || deadline_us != drives_us)
        world_fail(world, ORACLE_S5,
                   "%s: the lease page says %s for %s by token %llu until %lld, the guard %s by "
                   "%llu until %lld",
                   text_of(world, board), guard_state_name((enum guard_state)state),
                   world->resource[resource].text, (unsigned long long)token,
                   (long long)deadline_us, guard_state_name(guard->state),
                   (unsigned long long)guard->token, (long long)drives_us);
    file->seen_state[resource] = state;
    file->seen_token[resource] = token;
    return other;
}

void guard_client_turn_ended(struct world *world, int board)
{
    struct sim_run_dir *run_dir = &world->board[board].run_dir;
    struct sim_page *file = run_dir->mapped;
    uint32_t change = atomic_load_explicit(&file->page.change, memory_order_relaxed);
    bool other = false;
    for (int i = 0; i < world->resource_count; i++)
        other = check_entry(world, board, i) || other;
    if (other && (change == file->seen_change || change != file->woken))
        world_fail(world, ORACLE_L2, "%s: the lease page changed and no reader was woken",
                   text_of(world, board));
    file->seen_change = change;
    if (!other && ++run_dir->client.turns < LOOK_TURNS)
        return;
    guard_client_looks(world, board);
    check_told(world, board);
}
