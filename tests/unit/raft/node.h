/*
 * One raft node with a disk and a state machine, for tests. Included by each test program.
 *
 * The disk holds what was completed; batches wait in `pending` until node_complete(). The state
 * machine is a running hash over the applied entries, so that two nodes at one index compare.
 */
#ifndef HOLDFAST_TESTS_RAFT_NODE_H
#define HOLDFAST_TESTS_RAFT_NODE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft/raft_internal.h"
#include "tests/unit/support/unit.h"

#define TEST_ELECTION_MS  300
#define TEST_HEARTBEAT_MS 50

enum {
    NODE_BATCH_ENTRIES_MAX = 64,
    NODE_PENDING_MAX = 4096,
    NODE_SNAPSHOT_BYTES = 3 * RAFT_SNAPSHOT_CHUNK + 100,
    NODE_DISK_ENTRIES_MAX = 8192,
    NODE_DIRT = 0xa5
};

struct batch {
    struct raft_persist persist;
    struct raft_entry *entries; /* owned */
    uint8_t *snapshot;          /* owned */
};

struct disk {
    struct raft_recovered state;
    uint8_t snapshot[NODE_SNAPSHOT_BYTES];
    struct raft_entry entry[NODE_DISK_ENTRIES_MAX];
};

struct node {
    struct raft raft;
    struct raft_output out;
    struct raft_config config;
    struct instant now;
    struct disk disk;
    struct batch pending[NODE_PENDING_MAX];
    size_t pending_count;
    uint8_t buffer[NODE_SNAPSHOT_BYTES];
    uint8_t compact_bytes[NODE_SNAPSHOT_BYTES];
    uint64_t machine_index;
    uint64_t machine_hash;
    uint64_t confirmed_round;
    unsigned role_changes;
    unsigned servings;
    void (*applied)(struct node *node, const struct raft_entry *entry); /* may be NULL */
};

static inline struct hf_name name_of(const char *text)
{
    struct hf_name name;

    assert_true(name_from_string(&name, text));
    return name;
}

static inline struct hf_name name_number(int number)
{
    char text[16];

    (void)snprintf(text, sizeof text, "n%d", number);
    return name_of(text);
}

/* Voters n1..n<count>. */
static inline struct raft_members members_of(int count)
{
    struct raft_members members = { .count = (uint8_t)count };

    for (int i = 0; i < count; i++)
        members.member[i] = (struct raft_member){ .id = name_number(i + 1), .voter = true };
    return members;
}

/* The same, lent until the next call. */
static inline const struct raft_members *members_lent(int count)
{
    static struct raft_members members;

    members = members_of(count);
    return &members;
}

/* ---- state machine */

static inline uint64_t hash_entry(uint64_t hash, const struct raft_entry *entry)
{
    hash = (hash ^ entry->index) * 0x100000001B3ULL;
    hash = (hash ^ entry->term) * 0x100000001B3ULL;
    for (uint16_t i = 0; i < entry->length; i++)
        hash = (hash ^ entry->data[i]) * 0x100000001B3ULL;
    return hash;
}

static inline void machine_save(uint8_t *bytes, uint64_t index, uint64_t hash)
{
    memset(bytes, (int)(index % 251), NODE_SNAPSHOT_BYTES);
    memcpy(bytes, &index, sizeof index);
    memcpy(bytes + NODE_SNAPSHOT_BYTES - sizeof hash, &hash, sizeof hash);
}

/* Checks every byte: a mix of two snapshots must not pass. */
static inline void machine_load(struct bytes bytes, uint64_t *index, uint64_t *hash)
{
    static uint8_t expected[NODE_SNAPSHOT_BYTES];

    assert_int_equal(bytes.length, NODE_SNAPSHOT_BYTES);
    memcpy(index, bytes.data, sizeof *index);
    memcpy(hash, bytes.data + NODE_SNAPSHOT_BYTES - sizeof *hash, sizeof *hash);
    machine_save(expected, *index, *hash);
    assert_memory_equal(bytes.data, expected, NODE_SNAPSHOT_BYTES);
}

/* ---- disk */

static inline void disk_truncate(struct disk *disk, uint64_t from)
{
    size_t keep =
        from > disk->state.snapshot_index ? (size_t)(from - disk->state.snapshot_index - 1) : 0;

    if (keep < disk->state.entry_count)
        disk->state.entry_count = keep;
}

static inline void disk_snapshot(struct disk *disk, const struct batch *batch)
{
    const struct raft_persist *persist = &batch->persist;
    uint64_t last = disk->state.snapshot_index + disk->state.entry_count;
    size_t drop = disk->state.entry_count;

    if (persist->keep_log && last > persist->snapshot_index)
        drop = (size_t)(persist->snapshot_index - disk->state.snapshot_index);
    disk->state.entry_count -= drop;
    memmove(disk->entry, disk->entry + drop, disk->state.entry_count * sizeof disk->entry[0]);
    disk->state.snapshot_index = persist->snapshot_index;
    disk->state.snapshot_term = persist->snapshot_term;
    disk->state.members = persist->members;
    memcpy(disk->snapshot, batch->snapshot, NODE_SNAPSHOT_BYTES);
    disk->state.snapshot = (struct bytes){ disk->snapshot, NODE_SNAPSHOT_BYTES };
}

static inline void disk_write(struct disk *disk, const struct batch *batch)
{
    const struct raft_persist *persist = &batch->persist;

    if (persist->forget) {
        assert_true(persist->hard_state && persist->recovering);
        disk->state.term = 0;
        disk->state.snapshot_index = 0;
        disk->state.snapshot_term = 0;
        disk->state.entry_count = 0;
    }
    if (persist->hard_state) {
        assert_true(persist->term >= disk->state.term);
        disk->state.term = persist->term;
        disk->state.vote = persist->vote;
        disk->state.standing = persist->recovering ? RAFT_RECOVERING : RAFT_WHOLE;
    }
    if (persist->snapshot)
        disk_snapshot(disk, batch);
    if (persist->truncate_from)
        disk_truncate(disk, persist->truncate_from);
    for (uint64_t i = persist->first_index; i <= persist->last_index; i++) {
        assert_int_equal(i, disk->state.snapshot_index + disk->state.entry_count + 1);
        assert_true(disk->state.entry_count < NODE_DISK_ENTRIES_MAX);
        disk->entry[disk->state.entry_count++] = batch->entries[i - persist->first_index];
    }
}

static inline void batch_free(struct batch *batch)
{
    free(batch->entries);
    free(batch->snapshot);
}

static inline void node_forget_pending(struct node *node, size_t count)
{
    for (size_t i = 0; i < count; i++)
        batch_free(&node->pending[i]);
    node->pending_count -= count;
    memmove(node->pending, node->pending + count, node->pending_count * sizeof node->pending[0]);
}

static inline void node_queue_persist(struct node *node)
{
    const struct raft_persist *persist = &node->out.persist;
    struct batch *batch = &node->pending[node->pending_count];

    if (!persist->wanted)
        return;
    assert_true(node->pending_count < NODE_PENDING_MAX);
    node->pending_count++;
    *batch = (struct batch){ .persist = *persist };
    if (persist->first_index <= persist->last_index) {
        batch->entries = calloc((size_t)(persist->last_index + 1 - persist->first_index),
                                sizeof batch->entries[0]);
        assert_non_null(batch->entries);
        for (uint64_t i = persist->first_index; i <= persist->last_index; i++)
            batch->entries[i - persist->first_index] = *raft_entry_at(&node->raft, i);
    }
    if (persist->snapshot) {
        batch->snapshot = malloc(NODE_SNAPSHOT_BYTES);
        assert_non_null(batch->snapshot);
        assert_int_equal(persist->snapshot_bytes.length, NODE_SNAPSHOT_BYTES);
        memcpy(batch->snapshot, persist->snapshot_bytes.data, NODE_SNAPSHOT_BYTES);
    }
}

/* ---- the node: the duties of raft.h */

static inline void node_step(struct node *node, const struct raft_event *event)
{
    raft_step(&node->raft, event, node->now, &node->out);
    node_queue_persist(node);
    if (node->out.restore) {
        machine_load(node->out.restore_bytes, &node->machine_index, &node->machine_hash);
        assert_int_equal(node->machine_index, node->out.restore_index);
    }
    for (uint64_t i = node->out.apply_first; i <= node->out.apply_last; i++) {
        const struct raft_entry *entry = raft_entry_at(&node->raft, i);

        assert_non_null(entry);
        assert_int_equal(i, node->machine_index + 1);
        assert_int_equal(entry->index, i);
        node->machine_index = i;
        node->machine_hash = hash_entry(node->machine_hash, entry);
        if (node->applied)
            node->applied(node, entry);
    }
    node->role_changes += node->out.role_changed ? 1 : 0;
    node->servings += node->out.serving_began ? 1 : 0;
    if (node->out.confirmed_round)
        node->confirmed_round = node->out.confirmed_round;
}

static inline void node_start(struct node *node)
{
    node_forget_pending(node, node->pending_count);
    node->disk.state.entries = node->disk.entry;
    node->machine_index = 0;
    node->machine_hash = 0;
    if (node->disk.state.snapshot.data)
        machine_load(node->disk.state.snapshot, &node->machine_index, &node->machine_hash);
    /* The recovered snapshot is held in the receiving buffer, as a frugal caller would. */
    memcpy(node->buffer, node->disk.snapshot, NODE_SNAPSHOT_BYTES);
    struct raft_recovered recovered = node->disk.state;
    if (recovered.snapshot.data)
        recovered.snapshot.data = node->buffer;
    /* As a start leaves it that clears no more than it must. */
    memset(&node->raft, NODE_DIRT, sizeof node->raft);
    raft_init(&node->raft, &node->config, &recovered, node->now);
}

static inline void node_init(struct node *node, int number, int count, uint64_t seed)
{
    node_forget_pending(node, node->pending_count);
    memset(node, 0, sizeof *node);
    node->now = (struct instant){ 1000000 };
    node->config = (struct raft_config){ .self = name_number(number),
                                         .election = span_from_ms(TEST_ELECTION_MS),
                                         .heartbeat = span_from_ms(TEST_HEARTBEAT_MS),
                                         .random_seed = seed + (uint64_t)number,
                                         .snapshot_buffer = node->buffer,
                                         .snapshot_capacity = sizeof node->buffer };
    node->disk.state.members = members_of(count);
    node_start(node);
}

/* Puts entries of these terms on the disk (index 1 on) and starts again. */
static inline void node_restart_with_log(struct node *node, uint64_t term, const uint64_t *terms,
                                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        node->disk.entry[i] = (struct raft_entry){ .index = i + 1, .term = terms[i], .length = 1 };
    node->disk.state.entry_count = count;
    node->disk.state.term = term;
    node_start(node);
}

static inline void node_event(struct node *node, enum raft_event_kind kind)
{
    node_step(node, &(struct raft_event){ .kind = kind });
}

/* The first `count` waiting batches reach the disk, and raft is told. */
static inline void node_complete(struct node *node, size_t count)
{
    uint64_t seq;

    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        disk_write(&node->disk, &node->pending[i]);
    seq = node->pending[count - 1].persist.seq;
    node_forget_pending(node, count);
    node_step(node, &(struct raft_event){ .kind = RAFT_EVENT_PERSISTED, .seq = seq });
}

static inline void node_complete_all(struct node *node)
{
    node_complete(node, node->pending_count);
}

static inline void node_receive(struct node *node, struct raft_message message)
{
    message.to = node->config.self;
    /* A vote that is given by hand answers the request of its term, if nothing else is said. */
    if (message.kind == RAFT_VOTE_REPLY && message.nonce == 0)
        message.nonce = node->raft.life + message.term;
    /* Nor one of an append: it answers what the leader asks now. */
    if (message.kind == RAFT_APPEND_REPLY && message.nonce == 0) {
        int peer = raft_member_index(&node->raft.members, &message.from);
        message.nonce = peer >= 0 ? node->raft.progress[peer].nonce : 0;
    }
    node_step(node, &(struct raft_event){ .kind = RAFT_EVENT_MESSAGE, .message = &message });
}

static inline void node_propose(struct node *node, const char *text)
{
    node_step(node, &(struct raft_event){ .kind = RAFT_EVENT_PROPOSE,
                                          .command = { (const uint8_t *)text, strlen(text) } });
}

static inline void node_compact(struct node *node)
{
    machine_save(node->compact_bytes, node->machine_index, node->machine_hash);
    node_step(node,
              &(struct raft_event){ .kind = RAFT_EVENT_COMPACT,
                                    .snapshot = { node->compact_bytes, NODE_SNAPSHOT_BYTES } });
}

static inline void node_wait(struct node *node, int64_t ms)
{
    node->now = instant_add(node->now, span_from_ms(ms));
}

/* The clock goes to wake_at, and the timer fires. */
static inline void node_time_out(struct node *node)
{
    node->now = instant_max(node->now, node->raft.role == RAFT_LEADER ? node->raft.heartbeat_at :
                                                                        node->raft.election_at);
    node_event(node, RAFT_EVENT_TIMER);
}

/* The n-th (from 0) message of this kind in the last output, or NULL. */
static inline const struct raft_message *node_sent(const struct node *node,
                                                   enum raft_message_kind kind, size_t nth)
{
    for (size_t i = 0; i < node->out.message_count; i++) {
        if (node->out.messages[i].kind == kind && nth-- == 0)
            return &node->out.messages[i];
    }
    return NULL;
}

static inline const struct raft_message *node_sent_to(const struct node *node,
                                                      enum raft_message_kind kind, const char *to)
{
    struct hf_name name = name_of(to);

    for (size_t i = 0; i < node->out.message_count; i++) {
        if (node->out.messages[i].kind == kind && name_equal(&node->out.messages[i].to, &name))
            return &node->out.messages[i];
    }
    return NULL;
}

/* A vote reply to what the node asks now. */
static inline void node_grant(struct node *node, const char *from, bool pre)
{
    node_receive(node, (struct raft_message){ .kind = RAFT_VOTE_REPLY,
                                              .from = name_of(from),
                                              .term = node->raft.term + (pre ? 1 : 0),
                                              .pre = pre,
                                              .granted = true });
}

static inline void node_acknowledge(struct node *node, const char *from, uint64_t match)
{
    node_receive(node, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                              .from = name_of(from),
                                              .term = node->raft.term,
                                              .success = true,
                                              .match_index = match });
}

static inline void node_acknowledge_round(struct node *node, const char *from, uint64_t term,
                                          uint64_t round)
{
    node_receive(node, (struct raft_message){ .kind = RAFT_HEARTBEAT_REPLY,
                                              .from = name_of(from),
                                              .term = term,
                                              .round = round });
}

/* Leads by the votes of `voters` ("n2", ...), no-op appended and durable, not yet committed. */
static inline void node_elect(struct node *node, const char *const *voters, size_t count)
{
    node_time_out(node);
    for (size_t i = 0; i < count && node->raft.role == RAFT_PRE_CANDIDATE; i++)
        node_grant(node, voters[i], true);
    node_complete_all(node);
    for (size_t i = 0; i < count && node->raft.role == RAFT_CANDIDATE; i++)
        node_grant(node, voters[i], false);
    assert_int_equal(node->raft.role, RAFT_LEADER);
}

/* n1 of three leads and serves, with n2's help. */
static inline void node_serve(struct node *node)
{
    static const char *const voters[] = { "n2" };

    node_elect(node, voters, 1);
    node_complete_all(node);
    node_acknowledge(node, "n2", node->raft.last_index);
    assert_true(node->raft.serving);
}

#endif
