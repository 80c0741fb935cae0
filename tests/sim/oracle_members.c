/*
 * LOG over changes of the members: no leader begins one while another may be on its way, in his own
 * log or in that of an earlier leader. Source: 4.1, and Ongaro's correction of 10 July 2015.
 */
#include "tests/sim/sim.h"

static void check_change(struct world *world, int issuer, uint64_t index)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    const struct oracle *oracle = &world->oracle;
    for (uint64_t i = oracle->last + 1; i < index; i++) {
        const struct raft_entry *entry = raft_entry_at(raft, i);
        if (entry && entry->kind == RAFT_ENTRY_MEMBERS)
            world_fail(world, ORACLE_LOG,
                       "%s changes the members in entry %llu while entry %llu, "
                       "another change, is not committed",
                       world->name[issuer].text, (unsigned long long)index, (unsigned long long)i);
    }
    if (oracle->entry[oracle->last].term < raft->term)
        world_fail(world, ORACLE_LOG,
                   "%s changes the members in term %llu, of which nothing is "
                   "committed",
                   world->name[issuer].text, (unsigned long long)raft->term);
}

void oracle_members_appended(struct world *world, int issuer, const struct raft_persist *batch)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    if (raft->role != RAFT_LEADER)
        return;
    for (uint64_t i = batch->first_index; i <= batch->last_index; i++) {
        const struct raft_entry *entry = raft_entry_at(raft, i);
        if (entry && entry->kind == RAFT_ENTRY_MEMBERS && entry->term == raft->term)
            check_change(world, issuer, i);
    }
}
