/* The log: a ring of entries above the snapshot, each with the batch that carries it to disk. */
#include <string.h>

#include "raft/raft_internal.h"

struct raft_entry *raft_log_slot(struct raft *raft, uint64_t index)
{
    return &raft->ring[index % RAFT_LOG_MAX];
}

const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index)
{
    if (index < raft->first_index || index > raft->last_index)
        return NULL;
    return &raft->ring[index % RAFT_LOG_MAX];
}

uint64_t raft_term_at(const struct raft *raft, uint64_t index)
{
    const struct raft_entry *entry = raft_entry_at(raft, index);
    if (entry)
        return entry->term;
    return index == raft->first_index - 1 ? raft->prev_term : 0;
}

/*
 * An entry counts only if the batch that carried *this* entry is durable. A completion for an
 * index that was truncated and rewritten meanwhile has an older batch, and misses. PROTOCOL.md,
 * stale-completion.
 */
uint64_t raft_durable_index(const struct raft *raft)
{
    uint64_t index = raft->last_index;
    if (raft->install_seq)
        return 0;
    while (index >= raft->first_index && raft->ring_seq[index % RAFT_LOG_MAX] > raft->persisted_seq)
        index--;
    return index;
}

uint64_t raft_floor(const struct raft *raft)
{
    return raft->commit >= raft->first_index ? raft->commit : raft->first_index - 1;
}

uint64_t raft_log_room(const struct raft *raft)
{
    uint64_t held_from = raft->snapshot_durable + 1;
    if (held_from < raft->first_index)
        held_from = raft->first_index;
    return RAFT_LOG_MAX - (raft->last_index + 1 - held_from);
}

void raft_log_append(struct raft_context *context, uint64_t term, enum raft_entry_kind kind,
                     struct bytes data)
{
    struct raft *raft = context->raft;
    struct raft_persist *persist = raft_persist_open(context);
    struct raft_entry *entry;
    HF_CHECK(raft_log_room(raft) > 0);
    HF_CHECK(data.length <= RAFT_ENTRY_DATA_MAX);
    if (raft->last_index + 1 - raft->first_index == RAFT_LOG_MAX)
        raft_log_drop_prefix(raft, raft->first_index);
    raft->last_index++;
    entry = raft_log_slot(raft, raft->last_index);
    memset(entry, 0, sizeof(*entry));
    entry->index = raft->last_index;
    entry->term = term;
    entry->kind = kind;
    entry->length = (uint16_t)data.length;
    if (data.length > 0)
        memcpy(entry->data, data.data, data.length);
    raft->ring_seq[raft->last_index % RAFT_LOG_MAX] = persist->seq;
    if (persist->first_index > persist->last_index)
        persist->first_index = raft->last_index;
    persist->last_index = raft->last_index;
    if (kind == RAFT_ENTRY_MEMBERS)
        raft_members_follow_log(context);
}

void raft_log_truncate(struct raft_context *context, uint64_t from)
{
    struct raft *raft = context->raft;
    HF_CHECK(from > raft_floor(raft) && from <= raft->last_index);
    raft_persist_open(context)->truncate_from = from;
    raft->last_index = from - 1;
    if (raft->members_index >= from)
        raft_members_follow_log(context);
}

void raft_log_drop_prefix(struct raft *raft, uint64_t index)
{
    HF_CHECK(index >= raft->first_index && index <= raft->last_index);
    HF_CHECK(index <= raft->snapshot_durable);
    (void)raft_members_as_of(raft, index, &raft->base);
    raft->prev_term = raft_term_at(raft, index);
    raft->first_index = index + 1;
}

void raft_log_reset(struct raft *raft, uint64_t index, uint64_t term,
                    const struct raft_members *members)
{
    raft->base = *members;
    raft->first_index = index + 1;
    raft->last_index = index;
    raft->prev_term = term;
}
