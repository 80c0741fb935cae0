/*
 * How a cluster begins: what --init writes on each of its first issuers (daemon/backup/init.c, with
 * its rule standing in for it here).
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { BEGIN_JUMP = 100 };

static struct lease_table begun; /* large */
static uint8_t begun_bytes[REPLICA_SNAPSHOT_MAX];

static const struct raft_entry *no_entry(const void *log, uint64_t index)
{
    (void)log;
    (void)index;
    return NULL;
}

void sim_write_journal(struct world *world, int node, const struct raft_persist *content)
{
    struct sim_issuer *issuer = &world->issuer[node];
    const struct journal_log log = { no_entry, NULL };
    struct journal_recovered found;
    disk_wipe(&issuer->disk);
    issuer->disk.sync_error = 0;
    issuer->damaged = false;
    HF_CHECK(journal_open(&issuer->journal, &issuer->memory, &found) == JOURNAL_OK && found.fresh);
    HF_CHECK(journal_append(&issuer->journal, content, &log) == JOURNAL_OK);
    HF_CHECK(journal_take(&issuer->journal) && journal_flush(&issuer->journal) == JOURNAL_OK);
    disk_settle(&issuer->disk);
    issuer->stored_term = content->term;
}

void sim_begin_issuer(struct world *world, int node, uint64_t index,
                      const struct raft_members *members)
{
    lease_table_begin(&begun, index);
    const struct raft_persist content = {
        .wanted = true,
        .seq = 1,
        .hard_state = true,
        .term = index,
        .begun = true,
        .snapshot = true,
        .snapshot_index = index,
        .snapshot_term = index,
        .members = *members,
        .snapshot_bytes = { begun_bytes,
                            lease_table_encode(&begun, begun_bytes, sizeof(begun_bytes)) },
        .first_index = 1,
    };
    sim_write_journal(world, node, &content);
}

void sim_begin_cluster(struct world *world)
{
    struct raft_members members;
    sim_bootstrap_members(world, &members);
    for (int i = 0; i < members.count; i++) {
        sim_issuer_allocate(world, i);
        sim_begin_issuer(world, i, 1, &members);
        oracle_issuer_begun(world, i, 1, 1);
    }
    oracle_log_begun(world, 1);
    world->begun_index = 1;
}

void sim_begin_by_mistake(struct world *world, int node)
{
    struct raft_members members;
    sim_bootstrap_members(world, &members);
    sim_begin_issuer(world, node, 1, &members);
    world->issuer[node].damaged = true;
}

bool sim_waits_for_operator(const struct world *world)
{
    return world->issuer_count == 1 &&
           (world->oracle.issuer[0].forgetful || world->issuer[0].damaged);
}

/* Above every token, and every term that anybody was in; or, by mistake, from the beginning. */
const char *sim_begin_anew(struct world *world, int64_t down_us, bool above)
{
    uint64_t term = restore_next_term(world);
    uint64_t index = above ? world->oracle.last + BEGIN_JUMP : 1;
    struct raft_members members = world->oracle.members;
    if (above && world->begun_low && world->begun_above > index)
        index = world->begun_above;
    if (above && term > index)
        index = term;
    uint64_t reached = (world->oracle.last > term ? world->oracle.last : term) + BEGIN_JUMP;
    /* What begins too low is begun again, above all that and what comes meanwhile. */
    if (above ? index >= ORACLE_TERMS_MAX / 2 : reached >= ORACLE_TERMS_MAX / 4)
        return "the log is too long for a term like that";
    if (sim_waits_for_operator(world))
        world_cover(world, above ? COVERAGE_LONE_ABOVE : COVERAGE_LONE_LOW);
    /* Lost again before it was mended: the highest of all beginnings counts. */
    if (!above && (!world->begun_low || reached > world->begun_above))
        world->begun_above = reached;
    for (int i = 0; i < world->issuer_count; i++) {
        if (world->issuer[i].process.up)
            fault_kill_issuer(world, i, false, down_us);
        sim_begin_issuer(world, i, index, &members);
    }
    oracle_restored(world, index, index, &begun);
    if (!above)
        oracle_tokens_begin_again(world);
    world->begun_low = !above;
    world->begun_index = index;
    world_cover(world, above ? COVERAGE_BEGUN_ABOVE : COVERAGE_BEGUN_LOW);
    return NULL;
}
