/* Members: counting voters and what a majority of them has reached. */
#include "raft/raft_internal.h"

uint8_t raft_voter_count(const struct raft_members *members)
{
    uint8_t count = 0;

    for (int i = 0; i < members->count; i++)
        count = (uint8_t)(count + (members->member[i].voter ? 1 : 0));
    return count;
}

uint8_t raft_quorum(const struct raft_members *members)
{
    return (uint8_t)(raft_voter_count(members) / 2 + 1);
}

int raft_member_index(const struct raft_members *members, const struct hf_name *id)
{
    for (int i = 0; i < members->count; i++) {
        if (name_equal(&members->member[i].id, id))
            return i;
    }
    return -1;
}

bool raft_is_voter(const struct raft *raft, const struct hf_name *id)
{
    int index = raft_member_index(&raft->members, id);

    return index >= 0 && raft->members.member[index].voter;
}

int raft_self_index(const struct raft *raft)
{
    return raft_member_index(&raft->members, &raft->config.self);
}

uint64_t raft_majority_value(const struct raft_members *members, const uint64_t *values)
{
    uint64_t sorted[HF_ISSUERS_MAX]; /* greatest first */
    int count = 0;

    for (int i = 0; i < members->count; i++) {
        int at = count;

        if (!members->member[i].voter)
            continue;
        while (at > 0 && sorted[at - 1] < values[i]) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = values[i];
        count++;
    }
    return count > 0 ? sorted[raft_quorum(members) - 1] : 0;
}
