/*
 * A disk below the journal. Writes are seen by the process at once, and are stable only after a
 * sync of their slot. A flush is asked for at one instant and takes its time: when the process or
 * the power goes in between, only some of it was done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    SECTOR_BYTES = 512,
    BLOCK_BYTES = 4096,
    FLUSH_MIN_US = 500,
    FLUSH_MAX_US = 8000,
    FLUSH_SLOW_MAX_US = 2000000
};

static int disk_read(void *context, int slot, uint64_t offset, void *data, size_t length)
{
    const struct sim_disk *disk = context;
    HF_CHECK(offset + length <= disk->size[slot]);
    memcpy(data, disk->cache[slot] + offset, length);
    return 0;
}

/* Keeps the operations from `from` on. */
static void forget(struct sim_disk *disk, size_t from)
{
    for (size_t i = 0; i < from; i++)
        free(disk->operation[i].data);
    disk->count -= from;
    memmove(disk->operation, disk->operation + from, disk->count * sizeof(disk->operation[0]));
}

static void put(uint8_t *bytes, const struct disk_operation *operation, size_t from, size_t length)
{
    if (from >= operation->length)
        return;
    if (length > operation->length - from)
        length = operation->length - from;
    memcpy(bytes + operation->offset + from, operation->data + from, length);
}

/* The page cache is full: the kernel writes back by itself. */
static void write_back(struct sim_disk *disk)
{
    const struct disk_operation *oldest = &disk->operation[0];
    put(disk->stable[oldest->slot], oldest, 0, oldest->sync ? 0 : SIZE_MAX);
    forget(disk, 1);
    disk->begun -= disk->begun > 0;
}

static struct disk_operation *note(struct sim_disk *disk, bool sync, int slot)
{
    if (disk->count == SIM_DISK_OPERATIONS_MAX)
        write_back(disk);
    struct disk_operation *operation = &disk->operation[disk->count++];
    *operation = (struct disk_operation){ .sync = sync, .slot = slot };
    return operation;
}

static int disk_write(void *context, int slot, uint64_t offset, const void *data, size_t length)
{
    struct sim_disk *disk = context;
    HF_CHECK(offset + length <= disk->size[slot]);
    struct disk_operation *operation = note(disk, false, slot);
    operation->offset = offset;
    operation->length = length;
    operation->data = world_copy(data, length);
    memcpy(disk->cache[slot] + offset, data, length);
    if (offset + length > *disk->used[slot])
        *disk->used[slot] = (size_t)(offset + length);
    return 0;
}

static int disk_sync(void *context, int slot)
{
    struct sim_disk *disk = context;
    if (disk->sync_error != 0)
        return disk->sync_error;
    if (disk->world->settings.plant != PLANT_DISK)
        note(disk, true, slot);
    return 0;
}

static int disk_size(void *context, int slot, uint64_t *bytes)
{
    *bytes = ((struct sim_disk *)context)->size[slot];
    return 0;
}

static int disk_preallocate(void *context, int slot, uint64_t bytes)
{
    struct sim_disk *disk = context;
    if (bytes > SIM_DISK_SLOT_BYTES)
        return ENOSPC;
    if (bytes > disk->size[slot])
        disk->size[slot] = bytes;
    return 0;
}

/* What was damaged is of no use to anybody here. */
static int disk_set_aside(void *context, bool *kept)
{
    struct sim_disk *disk = context;
    disk_wipe(disk);
    *kept = true;
    return 0;
}

const struct disk_ops sim_disk_ops = { disk_read, disk_write,       disk_sync,
                                       disk_size, disk_preallocate, disk_set_aside };

void disk_init(struct world *world, struct sim_disk *disk, int node)
{
    disk->world = world;
    disk->random = world_random(world, STREAM_DISK, node);
    memory_disk(disk, node);
}

int64_t disk_flush_us(struct world *world, const struct sim_disk *disk)
{
    if (disk->hung_until_us > world->now_us)
        return disk->hung_until_us - world->now_us + FLUSH_MIN_US;
    if (disk->slow_until_us > world->now_us && disk->slow_us > 0)
        return disk->slow_us;
    if (disk->slow_until_us > world->now_us)
        return random_between(disk->random, FLUSH_MIN_US, FLUSH_SLOW_MAX_US);
    return random_between(disk->random, FLUSH_MIN_US, FLUSH_MAX_US);
}

/* True if a sync of its slot came after operation `at`. */
static bool synced(const struct sim_disk *disk, size_t at)
{
    for (size_t i = at + 1; i < disk->count; i++) {
        if (disk->operation[i].sync && disk->operation[i].slot == disk->operation[at].slot)
            return true;
    }
    return false;
}

/* What was synced is stable; the rest stays in the page cache. */
void disk_settle(struct sim_disk *disk)
{
    if (disk->world->settings.plant == PLANT_DISK) {
        /* The liar keeps the last few writes in its own memory. */
        size_t kept = SIM_DISK_OPERATIONS_MAX / 2;
        for (size_t i = 0; i + kept < disk->count; i++)
            put(disk->stable[disk->operation[i].slot], &disk->operation[i], 0, SIZE_MAX);
        if (disk->count > kept)
            forget(disk, disk->count - kept);
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < disk->count; i++) {
        struct disk_operation *operation = &disk->operation[i];
        if (!operation->sync && !synced(disk, i)) {
            disk->operation[kept++] = *operation;
            continue;
        }
        put(disk->stable[operation->slot], operation, 0, operation->sync ? 0 : SIZE_MAX);
        free(operation->data);
    }
    disk->count = kept;
    disk->begun = kept;
}

/* Every operation that came after the first `done` ones never happened. */
static void undo_after(struct sim_disk *disk, size_t done)
{
    while (disk->count > done)
        free(disk->operation[--disk->count].data);
}

static void rebuild_cache(struct sim_disk *disk)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++)
        memcpy(disk->cache[slot], disk->stable[slot], *disk->used[slot]);
    for (size_t i = 0; i < disk->count; i++) {
        if (!disk->operation[i].sync)
            put(disk->cache[disk->operation[i].slot], &disk->operation[i], 0, SIZE_MAX);
    }
}

void disk_kill(struct sim_disk *disk)
{
    size_t done = disk->begun + (size_t)random_below(disk->random, disk->count - disk->begun + 1);
    undo_after(disk, done);
    if (done > disk->begun && !disk->operation[done - 1].sync &&
        random_chance(disk->random, 500000)) {
        /* Killed within the write. */
        struct disk_operation *last = &disk->operation[done - 1];
        last->length = (size_t)random_below(disk->random, last->length + 1);
    }
    disk->begun = disk->count;
    rebuild_cache(disk);
}

/* Each sector of a write that was not synced is there or not. */
static void tear(struct sim_disk *disk, const struct disk_operation *operation)
{
    unsigned kept_ppm = (unsigned)random_below(disk->random, 3) * 500000;
    for (size_t at = 0; at < operation->length; at += SECTOR_BYTES) {
        if (random_chance(disk->random, kept_ppm))
            put(disk->stable[operation->slot], operation, at, SECTOR_BYTES);
    }
}

void disk_power_cut(struct sim_disk *disk)
{
    if (disk->world->settings.plant != PLANT_DISK)
        undo_after(disk,
                   disk->begun + (size_t)random_below(disk->random, disk->count - disk->begun + 1));
    else
        undo_after(disk, 0);
    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_operation *operation = &disk->operation[i];
        if (operation->sync)
            continue;
        if (synced(disk, i))
            put(disk->stable[operation->slot], operation, 0, SIZE_MAX);
        else
            tear(disk, operation);
    }
    forget(disk, disk->count);
    disk->begun = 0;
    rebuild_cache(disk);
}

static void poke(struct sim_disk *disk, int slot, uint64_t at, uint8_t mask)
{
    disk->stable[slot][at] ^= mask;
    disk->cache[slot][at] = disk->stable[slot][at];
}

/* One block only: damage to two of them at once can look like a torn write (store/FORMAT.md). */
void disk_damage(struct sim_disk *disk, bool block)
{
    int slot = (int)random_below(disk->random, DISK_SLOTS);
    if (*disk->used[slot] < BLOCK_BYTES)
        slot = 1 - slot;
    uint64_t blocks = *disk->used[slot] / BLOCK_BYTES;
    if (blocks == 0)
        return;
    uint64_t start = random_below(disk->random, blocks) * BLOCK_BYTES;
    uint64_t count = block ? BLOCK_BYTES : random_below(disk->random, 8) + 1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = block ? i : random_below(disk->random, BLOCK_BYTES);
        poke(disk, slot, start + at, (uint8_t)random_below(disk->random, 256));
    }
}

void disk_wipe(struct sim_disk *disk)
{
    forget(disk, disk->count);
    disk->begun = 0;
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        memset(disk->stable[slot], 0, *disk->used[slot]);
        memset(disk->cache[slot], 0, *disk->used[slot]);
        disk->size[slot] = 0;
    }
}

void disk_copy(const struct sim_disk *disk, struct sim_card *card)
{
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        free(card->bytes[slot]);
        card->length[slot] = *disk->used[slot];
        card->bytes[slot] = world_copy(disk->stable[slot], card->length[slot]);
        card->size[slot] = disk->size[slot];
    }
}

void disk_put_back(struct sim_disk *disk, const struct sim_card *card)
{
    disk_wipe(disk);
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        memcpy(disk->stable[slot], card->bytes[slot], card->length[slot]);
        memcpy(disk->cache[slot], card->bytes[slot], card->length[slot]);
        disk->size[slot] = card->size[slot];
    }
}

void disk_free(struct sim_disk *disk)
{
    forget(disk, disk->count);
}
