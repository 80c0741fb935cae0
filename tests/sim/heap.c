/*
 * What the processes of the world allocate: a killed one frees nothing, so what it had is given back
 * by loop_end(). Shells and store take tens of megabytes at each start and touch little of them, so
 * blocks are pages, zero when they are taken, and kept by their size for whoever starts next.
 *
 * The Makefile wraps calloc(), malloc() and free(): while a process runs they are its own. What the
 * world itself allocates meanwhile goes by heap_world().
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { BLOCKS_MAX = 256, PAGE_BYTES = 4096, PAGES_MAX = 16384 };

struct block {
    uint8_t *start;
    size_t bytes;
    const struct sim_loop *owner; /* NULL: free */
};

static struct block blocks[BLOCKS_MAX];
static size_t block_count;
static uint8_t *lowest = (uint8_t *)UINTPTR_MAX; /* of their starts */
static uint8_t *highest;

void *__real_calloc(size_t count, size_t size);
void *__real_malloc(size_t size);
void __real_free(void *memory);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void __wrap_free(void *memory);

static struct block *find_free(size_t bytes)
{
    for (size_t i = 0; i < block_count; i++) {
        if (!blocks[i].owner && blocks[i].bytes == bytes)
            return &blocks[i];
    }
    HF_CHECK(block_count < BLOCKS_MAX);
    struct block *block = &blocks[block_count++];
    *block = (struct block){ .bytes = bytes };
    block->start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    HF_CHECK(block->start != MAP_FAILED);
    lowest = block->start < lowest ? block->start : lowest;
    highest = block->start > highest ? block->start : highest;
    return block;
}

/*
 * To zero: the pages that are in memory are cleared and kept, since to have one anew from the kernel
 * takes longer than that. The rest was never touched, or is swapped out, and given up.
 */
static void give_back(struct block *block)
{
    static unsigned char there[PAGES_MAX];
    size_t pages = block->bytes / PAGE_BYTES;
    HF_CHECK(pages <= PAGES_MAX && mincore(block->start, block->bytes, there) == 0);
    for (size_t first = 0, end = 0; first < pages; first = end) {
        while (end < pages && ((there[end] ^ there[first]) & 1) == 0)
            end++;
        uint8_t *start = block->start + first * PAGE_BYTES;
        size_t bytes = (end - first) * PAGE_BYTES;
        if (there[first] & 1)
            memset(start, 0, bytes);
        else
            HF_CHECK(madvise(start, bytes, MADV_DONTNEED) == 0);
    }
    block->owner = NULL;
}

static void *take(const struct sim_loop *owner, size_t bytes)
{
    struct block *block = find_free((bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
    block->owner = owner;
    return block->start;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return loop_runs() ? take(loop_running(), count * size) : __real_calloc(count, size);
}

void *__wrap_malloc(size_t size)
{
    return loop_runs() ? take(loop_running(), size) : __real_malloc(size);
}

void __wrap_free(void *memory)
{
    uint8_t *start = memory;
    /* Most is the world's, and lies elsewhere. */
    for (size_t i = 0; start >= lowest && start <= highest && i < block_count; i++) {
        if (blocks[i].start == start) {
            give_back(&blocks[i]);
            return;
        }
    }
    __real_free(memory);
}

void *heap_world(size_t bytes)
{
    return __real_malloc(bytes);
}

void heap_end(const struct sim_loop *owner)
{
    for (size_t i = 0; i < block_count; i++) {
        if (blocks[i].owner == owner)
            give_back(&blocks[i]);
    }
}
