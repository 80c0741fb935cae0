/*
 * Large memory of a run, kept for the next one: to map and clear it anew would cost more than the
 * run itself. Nothing of a run before may show in the next, which run.c's repeats check.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static void *kept(void **memory, size_t bytes)
{
    if (!*memory)
        *memory = calloc(1, bytes);
    HF_CHECK(*memory);
    return *memory;
}

struct scratch *memory_scratch(void)
{
    static void *scratch;
    return kept(&scratch, sizeof(struct scratch));
}

void memory_oracle(struct oracle *oracle)
{
    static void *entry;
    static void *acknowledged;
    static void *leader;
    static void *term[SIM_ISSUERS_MAX];
    static void *flying[SIM_ISSUERS_MAX];
    oracle->entry = kept(&entry, ORACLE_LOG_MAX * sizeof(oracle->entry[0]));
    oracle->acknowledged = kept(&acknowledged, ORACLE_TERMS_MAX * sizeof(uint64_t));
    oracle->leader = kept(&leader, ORACLE_TERMS_MAX);
    for (int i = 0; i < SIM_ISSUERS_MAX; i++) {
        oracle->issuer[i].disk.term = kept(&term[i], ORACLE_LOG_MAX * sizeof(uint64_t));
        oracle->issuer[i].disk.flying_term = kept(&flying[i], ORACLE_LOG_MAX * sizeof(uint64_t));
    }
}

void memory_issuer(struct sim_issuer *issuer, int node)
{
    enum { ENTRIES, RECOVERED, SNAPSHOT, BUFFER_0, BUFFER_1, PARTS };
    static void *parts[SIM_ISSUERS_MAX][PARTS];
    const size_t buffer = journal_buffer_bytes(REPLICA_SNAPSHOT_MAX);
    void **part = parts[node];
    issuer->memory.entries = kept(&part[ENTRIES], RAFT_LOG_MAX * sizeof(struct raft_entry));
    issuer->memory.recovered_snapshot = kept(&part[RECOVERED], REPLICA_SNAPSHOT_MAX);
    issuer->memory.snapshot = kept(&part[SNAPSHOT], REPLICA_SNAPSHOT_MAX);
    issuer->memory.snapshot_capacity = REPLICA_SNAPSHOT_MAX;
    issuer->memory.buffer[0] = kept(&part[BUFFER_0], buffer);
    issuer->memory.buffer[1] = kept(&part[BUFFER_1], buffer);
}

struct conf *memory_conf(int node)
{
    static void *conf[SIM_NODES_MAX];
    return kept(&conf[node], sizeof(struct conf));
}

/* A disk that was used before is cleared as far as it was written. */
void memory_disk(struct sim_disk *disk, int node)
{
    static void *slots[SIM_ISSUERS_MAX][2 * DISK_SLOTS];
    static size_t used[SIM_ISSUERS_MAX][DISK_SLOTS];
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        size_t *dirty = &used[node][slot];
        disk->cache[slot] = kept(&slots[node][2 * slot], SIM_DISK_SLOT_BYTES);
        disk->stable[slot] = kept(&slots[node][2 * slot + 1], SIM_DISK_SLOT_BYTES);
        memset(disk->cache[slot], 0, *dirty);
        memset(disk->stable[slot], 0, *dirty);
        *dirty = 0;
        disk->used[slot] = dirty;
    }
}
