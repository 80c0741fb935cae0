/*
 * What an operator does for the worst day: a backup now and then, and the restore of a cluster that
 * has lost every disk. The restore itself is the daemon's (daemon/backup), offline; here its rule
 * stands in for it: log and term go on above everything that ever was.
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { JUMP = 100 };

static uint8_t backup_bytes[REPLICA_SNAPSHOT_MAX];
static uint8_t restored_bytes[REPLICA_SNAPSHOT_MAX];
static struct lease_table restored; /* large */

const char *restore_backup(struct world *world)
{
    int leader = sim_issuer_leader(world);
    if (leader < 0)
        return "nobody leads";
    const struct replica *replica = world->issuer[leader].replica;
    struct sim_backup *backup = &world->backup;
    backup->of_restored = world->restored;
    backup->lease_max_us = issuer_shell_lease_max_us(replica);
    backup->members = replica->raft.members;
    backup->bytes.data = backup_bytes;
    backup->bytes.length = lease_table_encode(&replica->table, backup_bytes, sizeof(backup_bytes));
    HF_CHECK(backup->bytes.length > 0);
    world_cover(world, COVERAGE_BACKUPS);
    return NULL;
}

/* Above every term that anybody ever was in. */
uint64_t restore_next_term(const struct world *world)
{
    uint64_t highest = 0;
    for (int i = 0; i < world->issuer_count; i++) {
        const struct sim_issuer *issuer = &world->issuer[i];
        const struct oracle_issuer *seen = &world->oracle.issuer[i];
        uint64_t term = issuer->process.up ? issuer->replica->raft.term : issuer->stored_term;
        highest = term > highest ? term : highest;
        highest = seen->durable_term > highest ? seen->durable_term : highest;
        highest = seen->lost_term > highest ? seen->lost_term : highest;
        for (uint32_t k = 0; k < ORACLE_TERM_CHANGES && k < seen->change_count; k++)
            highest = seen->change[k].term > highest ? seen->change[k].term : highest;
    }
    return highest + JUMP;
}

/* The table that every issuer starts with; its length as bytes. */
static size_t make_state(struct world *world, uint64_t *index)
{
    HF_CHECK(lease_table_decode(&restored, world->backup.bytes));
    /* The planted bug: the log goes on where the backup ends. */
    bool jump = world->settings.plant != PLANT_RESTORED_LOG;
    *index = jump ? world->oracle.last + JUMP : restored.applied + 1;
    lease_table_restore(&restored, *index, world->backup.lease_max_us, world->now_us);
    /* The planted bug: free means free. */
    if (world->settings.plant == PLANT_RESTORED_FREE)
        restored.unknown_us = 0;
    return lease_table_encode(&restored, restored_bytes, sizeof(restored_bytes));
}

static void write_journal(struct world *world, int node, uint64_t index, uint64_t term,
                          size_t length)
{
    const struct raft_persist persist = {
        .wanted = true,
        .seq = 1,
        .hard_state = true,
        .term = term,
        .snapshot = true,
        .snapshot_index = index,
        .snapshot_term = term,
        .members = world->backup.members,
        .snapshot_bytes = { restored_bytes, length },
        .first_index = 1,
    };
    sim_write_journal(world, node, &persist);
}

/* The issuers read their new files as they start, each board some time later. */
static void bring_files(struct world *world)
{
    enum { BOARDS_US = 3000000 }; /* times the scale */
    const struct sim_plan *plan = &world->plan;
    if (plan->restored_ttl_us == 0)
        return;
    if (world->backup.of_restored)
        world_cover(world, COVERAGE_RESTORED_AGAIN);
    world->ttl_us = world->ttl_us == plan->ttl_us ? plan->restored_ttl_us : plan->ttl_us;
    log_note(world, "the files have a ttl of %lld us now", (long long)world->ttl_us);
    for (int board = 0; board < world->board_count; board++) {
        int node = board_node(world, board);
        struct random *random = world_random(world, STREAM_PROCESS, node);
        world_post(world, EVENT_REFIT, node, random_between(random, 1, BOARDS_US * plan->scale),
                   NULL, 0);
    }
}

const char *restore_cluster(struct world *world, int64_t down_us)
{
    uint64_t index = 0;
    if (world->backup.bytes.length == 0)
        return "there is no backup";
    if (world->begun_low)
        return "the log began again below it";
    if (sim_waits_for_operator(world))
        world_cover(world, COVERAGE_LONE_RESTORED);
    uint64_t term = restore_next_term(world);
    size_t length = make_state(world, &index);
    bring_files(world);
    world->restored = true;
    for (int i = 0; i < world->issuer_count; i++) {
        if (world->issuer[i].process.up)
            fault_kill_issuer(world, i, false, down_us);
        write_journal(world, i, index, term, length);
    }
    oracle_restored(world, index, term, &restored);
    world->begun_index = 0;
    world_cover(world, COVERAGE_RESTORES);
    return NULL;
}
