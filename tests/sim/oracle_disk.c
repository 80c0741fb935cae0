/*
 * DISK and S3 over entries: what the disk of each issuer holds, as far as its syncs came back, and
 * who relied on more than that.
 *
 * A flush takes whatever was appended so far, and is one frame: after a death within it the disk
 * has all of it or none.
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static struct oracle_disk *disk_of(struct world *world, int issuer)
{
    return &world->oracle.issuer[issuer].disk;
}

/* Nobody may ever miss what was applied somewhere. */
static void check_truncation(struct world *world, int issuer, uint64_t from)
{
    const struct oracle_disk *disk = disk_of(world, issuer);
    bool applied =
        from > disk->log.snapshot_index && from <= disk->log.last && from <= world->oracle.last;
    if (applied && disk->term[from] == world->oracle.entry[from].term)
        world_fail(world, ORACLE_LOG, "%s truncates its log from entry %llu on, which was applied",
                   world->name[issuer].text, (unsigned long long)from);
}

void oracle_disk_appended(struct world *world, int issuer, const struct raft_persist *batch)
{
    struct oracle_disk *disk = disk_of(world, issuer);
    if (batch->truncate_from > 0)
        check_truncation(world, issuer, batch->truncate_from);
    uint64_t from = disk->changed_from;
    if (batch->truncate_from > 0 && batch->truncate_from < from)
        from = batch->truncate_from;
    if (batch->snapshot && batch->snapshot_index + 1 < from)
        from = batch->snapshot_index + 1;
    if (batch->last_index >= batch->first_index && batch->first_index < from)
        from = batch->first_index;
    disk->changed_from = from;
}

void oracle_disk_taken(struct world *world, int issuer)
{
    struct oracle_disk *disk = disk_of(world, issuer);
    const struct sim_issuer *node = &world->issuer[issuer];
    const struct journal *journal = node->live;
    disk->flying = true;
    disk->flying_from = disk->changed_from;
    disk->flying_log = (struct oracle_disk_log){ journal->snapshot_index, journal->snapshot_term,
                                                 journal->last_index };
    disk->changed_from = UINT64_MAX;
    HF_CHECK(journal->last_index < ORACLE_LOG_MAX);
    for (uint64_t i = disk->flying_from; i <= journal->last_index; i++)
        disk->flying_term[i] = raft_term_at(&node->replica->raft, i);
}

void oracle_disk_synced(struct world *world, int issuer)
{
    struct oracle_disk *disk = disk_of(world, issuer);
    for (uint64_t i = disk->flying_from; i <= disk->flying_log.last; i++)
        disk->term[i] = disk->flying_term[i];
    disk->log = disk->flying_log;
    disk->flying = false;
}

static uint64_t recovered_last(const struct raft_recovered *recovered)
{
    return recovered->snapshot_index + recovered->entry_count;
}

/* Is it the disk's log, or what was to become of that? */
static bool same_log(const struct oracle_disk *disk, bool flying,
                     const struct raft_recovered *recovered)
{
    const struct oracle_disk_log *log = flying ? &disk->flying_log : &disk->log;
    if (recovered->snapshot_index != log->snapshot_index || recovered_last(recovered) != log->last)
        return false;
    for (size_t i = 0; i < recovered->entry_count; i++) {
        uint64_t index = recovered->snapshot_index + 1 + i;
        bool changed = flying && index >= disk->flying_from;
        uint64_t term = changed ? disk->flying_term[index] : disk->term[index];
        if (recovered->entries[i].term != term)
            return false;
    }
    return true;
}

void oracle_disk_recovered(struct world *world, int issuer, const struct raft_recovered *recovered)
{
    struct oracle_disk *disk = disk_of(world, issuer);
    bool whole =
        same_log(disk, false, recovered) || (disk->flying && same_log(disk, true, recovered));
    if (!whole)
        world_fail(world, ORACLE_DISK,
                   "%s recovers the log %llu..%llu; it had another one, up to "
                   "%llu",
                   world->name[issuer].text, (unsigned long long)recovered->snapshot_index + 1,
                   (unsigned long long)recovered_last(recovered),
                   (unsigned long long)disk->log.last);
    oracle_disk_put_back(world, issuer, recovered);
}

void oracle_disk_put_back(struct world *world, int issuer, const struct raft_recovered *recovered)
{
    struct oracle_disk *disk = disk_of(world, issuer);
    disk->flying = false;
    disk->changed_from = UINT64_MAX;
    disk->log = (struct oracle_disk_log){ recovered->snapshot_index, recovered->snapshot_term,
                                          recovered_last(recovered) };
    for (size_t i = 0; i < recovered->entry_count; i++)
        disk->term[recovered->snapshot_index + 1 + i] = recovered->entries[i].term;
}

static bool has_entry(const struct oracle_disk *disk, uint64_t index, uint64_t term)
{
    return index <= disk->log.snapshot_index ||
           (index <= disk->log.last && disk->term[index] == term);
}

static uint64_t last_term(const struct oracle_disk *disk)
{
    return disk->log.last > disk->log.snapshot_index ? disk->term[disk->log.last] :
                                                       disk->log.snapshot_term;
}

void oracle_disk_said(struct world *world, const struct raft_message *message)
{
    int from = world_issuer(world, &message->from);
    uint64_t index = 0;
    if (message->kind == RAFT_APPEND_REPLY && message->success)
        index = message->match_index;
    else if (message->kind == RAFT_SNAPSHOT_REPLY && message->installed)
        index = message->snapshot_index;
    const struct oracle_disk *disk = disk_of(world, from);
    uint64_t term = raft_term_at(&world->issuer[from].replica->raft, index);
    if (!has_entry(disk, index, term))
        world_fail(world, ORACLE_DISK, "%s says that it has entry %llu; its disk does not",
                   world->name[from].text, (unsigned long long)index);
}

/* Of a disk that forgot, what it had counts, for what was said of it; what it gets does not yet. */
static bool holds(struct world *world, int issuer, const struct raft_entry *entry)
{
    const struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    return seen->forgetful || seen->put_back ? entry->index <= seen->lost_last :
                                               has_entry(&seen->disk, entry->index, entry->term);
}

void oracle_disk_forgets(struct world *world, int issuer)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    if (seen->disk.log.last > seen->lost_last || !seen->forgetful) {
        seen->lost_last = seen->disk.log.last;
        seen->lost_last_term = last_term(&seen->disk);
    }
    seen->disk.log = (struct oracle_disk_log){ 0 };
    seen->disk.flying = false;
    seen->disk.changed_from = UINT64_MAX;
}

void oracle_disk_committed(struct world *world, int issuer, const struct raft_entry *entry)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    int voters = 0;
    int holders = 0;
    int behind = 0; /* of them, those whose log goes on into the term of whoever commits */
    for (int i = 0; i < raft->members.count; i++) {
        int node = world_issuer(world, &raft->members.member[i].id);
        const struct oracle_disk *disk = disk_of(world, node);
        bool forgetful =
            world->oracle.issuer[node].forgetful || world->oracle.issuer[node].put_back;
        uint64_t lost_last_term = world->oracle.issuer[node].lost_last_term;
        bool has = raft->members.member[i].voter && holds(world, node, entry);
        voters += raft->members.member[i].voter;
        holders += has;
        behind += has && (forgetful ? lost_last_term : last_term(disk)) >= raft->term;
    }
    if (2 * holders <= voters)
        world_fail(world, ORACLE_S3, "%s commits entry %llu that %d of %d voters' disks have",
                   world->name[issuer].text, (unsigned long long)entry->index, holders, voters);
    if (raft->role == RAFT_LEADER && 2 * behind <= voters)
        world_fail(world, ORACLE_S3,
                   "%s commits entry %llu of term %llu in term %llu, of which %d "
                   "of %d voters' disks have an entry",
                   world->name[issuer].text, (unsigned long long)entry->index,
                   (unsigned long long)entry->term, (unsigned long long)raft->term, behind, voters);
}
