/*
 * A few nodes and a network that delivers at once, for scenarios that are told step by step.
 *
 * Nodes are numbered from 1, as their names are. Time stands still unless a scenario moves it;
 * links, kinds of message and disks fail when told to, never by chance. After every step of any
 * node the history checks election safety (one leader per term) and state machine safety (one
 * history).
 */
#ifndef HOLDFAST_TESTS_RAFT_SCENARIO_H
#define HOLDFAST_TESTS_RAFT_SCENARIO_H

#include "tests/unit/raft/node.h"

enum {
    HISTORY_TERMS_MAX = 4096,
    HISTORY_ENTRIES_MAX = 1 << 15,
    CLUSTER_NODES_MAX = 7,
    CLUSTER_LETTERS_MAX = 1024,
    CLUSTER_DELIVERIES_MAX = 1000000
};

/* ---- what all nodes together have done */

struct history {
    int leader_of_term[HISTORY_TERMS_MAX]; /* number of the node; 0: none seen */
    uint64_t hash[HISTORY_ENTRIES_MAX];    /* of the state machine at an index; 0: none seen */
    uint64_t applied_last;
};

static inline void history_observe(struct history *history, const struct node *node, int number)
{
    uint64_t at = node->machine_index;

    if (node->raft.role == RAFT_LEADER) {
        assert_true(node->raft.term < HISTORY_TERMS_MAX);
        assert_true(history->leader_of_term[node->raft.term] == 0 ||
                    history->leader_of_term[node->raft.term] == number);
        history->leader_of_term[node->raft.term] = number;
    }
    assert_true(at < HISTORY_ENTRIES_MAX);
    if (at == 0)
        return;
    if (history->hash[at] == 0)
        history->hash[at] = node->machine_hash;
    assert_int_equal(history->hash[at], node->machine_hash);
    if (at > history->applied_last)
        history->applied_last = at;
}

/* ---- the cluster */

struct letter {
    struct raft_message message;
    struct raft_entry entries[RAFT_APPEND_MAX];
    uint8_t chunk[RAFT_SNAPSHOT_CHUNK];
    struct raft_members members;
};

struct cluster {
    int count;
    struct instant now;
    struct node node[CLUSTER_NODES_MAX + 1];
    bool down[CLUSTER_NODES_MAX + 1];
    bool disk_held[CLUSTER_NODES_MAX + 1]; /* batches wait until the scenario completes them */
    bool cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1]; /* from, to */
    bool lost[RAFT_MESSAGE_KINDS];
    unsigned sent[RAFT_MESSAGE_KINDS]; /* whether they arrive or not */
    struct history history;
    size_t first;
    size_t used;
    struct letter letter[CLUSTER_LETTERS_MAX];
};

static inline int cluster_number(const struct cluster *cluster, const struct hf_name *name)
{
    for (int i = 1; i <= cluster->count; i++) {
        if (name_equal(&cluster->node[i].config.self, name))
            return i;
    }
    fail_msg("a message to nobody");
    return 0;
}

static inline void cluster_post(struct cluster *cluster, int from)
{
    const struct raft_output *out = &cluster->node[from].out;

    for (size_t m = 0; m < out->message_count; m++) {
        const struct raft_message *message = &out->messages[m];
        int to = cluster_number(cluster, &message->to);
        struct letter *letter;

        cluster->sent[message->kind]++;
        if (cluster->cut[from][to] || cluster->lost[message->kind] || cluster->down[to])
            continue;
        assert_true(cluster->used < CLUSTER_LETTERS_MAX);
        letter = &cluster->letter[(cluster->first + cluster->used++) % CLUSTER_LETTERS_MAX];
        letter->message = *message;
        for (uint8_t e = 0; e < message->entry_count; e++)
            letter->entries[e] = message->entries[e];
        letter->message.entries = letter->entries;
        if (message->chunk.length > 0)
            memcpy(letter->chunk, message->chunk.data, message->chunk.length);
        letter->message.chunk.data = letter->chunk;
        if (message->members)
            letter->members = *message->members;
        letter->message.members = message->members ? &letter->members : NULL;
    }
}

static inline void cluster_noted(struct cluster *cluster, int number)
{
    cluster_post(cluster, number);
    history_observe(&cluster->history, &cluster->node[number], number);
}

/* After any step of a node: its messages go out, its disk and its snapshot wishes are served. */
static inline void cluster_after(struct cluster *cluster, int number)
{
    struct node *node = &cluster->node[number];

    cluster_noted(cluster, number);
    while (!cluster->disk_held[number] &&
           (node->pending_count > 0 || raft_wants_snapshot(&node->raft))) {
        if (node->pending_count > 0)
            node_complete_all(node);
        else
            node_compact(node);
        cluster_noted(cluster, number);
    }
}

/* Everything under way arrives, and what follows from it, until nothing moves any more. */
static inline void cluster_settle(struct cluster *cluster)
{
    for (int i = 0; cluster->used > 0; i++) {
        struct letter *letter = &cluster->letter[cluster->first];
        int from = cluster_number(cluster, &letter->message.from);
        int to = cluster_number(cluster, &letter->message.to);

        assert_true(i < CLUSTER_DELIVERIES_MAX);
        if (!cluster->down[to] && !cluster->cut[from][to]) {
            cluster->node[to].now = cluster->now;
            node_receive(&cluster->node[to], letter->message);
            cluster_after(cluster, to);
        }
        cluster->first = (cluster->first + 1) % CLUSTER_LETTERS_MAX;
        cluster->used--;
    }
}

static inline void cluster_event(struct cluster *cluster, int number,
                                 const struct raft_event *event)
{
    cluster->node[number].now = cluster->now;
    node_step(&cluster->node[number], event);
    cluster_after(cluster, number);
}

static inline void cluster_timer(struct cluster *cluster, int number)
{
    cluster_event(cluster, number, &(struct raft_event){ .kind = RAFT_EVENT_TIMER });
}

static inline void cluster_pass(struct cluster *cluster, int64_t ms)
{
    cluster->now = instant_add(cluster->now, span_from_ms(ms));
}

/* The held batches of this node reach its disk. */
static inline void cluster_complete(struct cluster *cluster, int number, size_t batches)
{
    cluster->node[number].now = cluster->now;
    node_complete(&cluster->node[number], batches);
    cluster_after(cluster, number);
}

static inline void cluster_restart(struct cluster *cluster, int number)
{
    cluster->down[number] = false;
    cluster->node[number].now = cluster->now;
    node_start(&cluster->node[number]);
    cluster_timer(cluster, number);
}

/* What waited for the disk is lost, and so is the connection to the others. */
static inline void cluster_crash(struct cluster *cluster, int number)
{
    cluster->down[number] = true;
    for (int i = 1; i <= cluster->count; i++) {
        if (i != number && !cluster->down[i])
            cluster_event(cluster, i,
                          &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN,
                                                .peer = cluster->node[number].config.self });
    }
}

static inline void cluster_init(struct cluster *cluster, int count)
{
    for (int i = 1; i <= CLUSTER_NODES_MAX; i++)
        node_forget_pending(&cluster->node[i], cluster->node[i].pending_count);
    memset(cluster, 0, offsetof(struct cluster, letter));
    cluster->count = count;
    cluster->now = (struct instant){ 1000000 };
    for (int i = 1; i <= count; i++) {
        node_init(&cluster->node[i], i, count, 1);
        cluster_timer(cluster, i);
    }
}

/* This node starts again with entries of these terms on its disk, in `term`. */
static inline void cluster_with_log(struct cluster *cluster, int number, uint64_t term,
                                    const uint64_t *terms, size_t count)
{
    cluster->node[number].now = cluster->now;
    node_restart_with_log(&cluster->node[number], term, terms, count);
    cluster_timer(cluster, number);
}

/* Nodes from `voters` + 1 on are spare: no member yet, though they know the others. */
static inline void cluster_init_spare(struct cluster *cluster, int count, int voters)
{
    cluster_init(cluster, count);
    for (int i = 1; i <= count; i++) {
        cluster->node[i].disk.state.members = members_of(voters);
        cluster_restart(cluster, i);
    }
}

/* Asked of `leader`; nothing is delivered yet. */
static inline enum raft_refusal cluster_ask_change(struct cluster *cluster, int leader,
                                                   enum raft_change change, int number)
{
    const struct raft_event event = { .kind = RAFT_EVENT_MEMBERS,
                                      .change = change,
                                      .peer = name_number(number),
                                      .address = "host:1" };
    enum raft_refusal judged;

    cluster->node[leader].now = cluster->now;
    judged = raft_judge_change(&cluster->node[leader].raft, &event, cluster->now);
    node_step(&cluster->node[leader], &event);
    assert_int_equal(judged, cluster->node[leader].out.refusal);
    assert_int_equal(cluster->node[leader].out.members_changed, judged == RAFT_ACCEPTED);
    cluster_after(cluster, leader);
    return judged;
}

static inline enum raft_refusal cluster_change(struct cluster *cluster, int leader,
                                               enum raft_change change, int number)
{
    enum raft_refusal refusal = cluster_ask_change(cluster, leader, change, number);

    cluster_settle(cluster);
    return refusal;
}

static inline void cluster_learner(struct cluster *cluster, int learner)
{
    for (int i = 1; i <= cluster->count; i++) {
        cluster->node[i].disk.state.members.member[learner - 1].voter = false;
        cluster_restart(cluster, i);
    }
}

static inline void cluster_link(struct cluster *cluster, int a, int b, bool works)
{
    cluster->cut[a][b] = !works;
    cluster->cut[b][a] = !works;
}

static inline void cluster_isolate(struct cluster *cluster, int number)
{
    for (int i = 1; i <= cluster->count; i++)
        cluster_link(cluster, number, i, i == number);
}

static inline void cluster_heal(struct cluster *cluster)
{
    memset(cluster->cut, 0, sizeof cluster->cut);
    memset(cluster->lost, 0, sizeof cluster->lost);
}

/* Nobody hears a leader for two election timeouts, and this node alone notices. */
static inline void cluster_campaign(struct cluster *cluster, int number)
{
    cluster_pass(cluster, (int64_t)2 * TEST_ELECTION_MS);
    cluster_timer(cluster, number);
    cluster_settle(cluster);
}

/* The leader's next heartbeat, and all that follows. */
static inline void cluster_beat(struct cluster *cluster, int number)
{
    cluster_pass(cluster, TEST_HEARTBEAT_MS);
    cluster_timer(cluster, number);
    cluster_settle(cluster);
}

/* Time goes by for everybody. */
static inline void cluster_run(struct cluster *cluster, int ms)
{
    for (int t = 0; t < ms; t++) {
        cluster_pass(cluster, 1);
        for (int i = 1; i <= cluster->count; i++) {
            if (!cluster->down[i] && instant_reached(cluster->node[i].out.wake_at, cluster->now))
                cluster_timer(cluster, i);
        }
        cluster_settle(cluster);
    }
}

/* Returns the index of the proposal, 0 if it was refused. */
static inline uint64_t cluster_propose(struct cluster *cluster, int number, const char *text)
{
    uint64_t index;

    cluster->node[number].now = cluster->now;
    node_propose(&cluster->node[number], text);
    index = cluster->node[number].out.proposed_index;
    cluster_after(cluster, number);
    cluster_settle(cluster);
    return index;
}

static inline enum raft_refusal cluster_transfer(struct cluster *cluster, int from, int to)
{
    enum raft_refusal refusal;

    cluster->node[from].now = cluster->now;
    node_step(&cluster->node[from],
              &(struct raft_event){ .kind = RAFT_EVENT_TRANSFER, .peer = name_number(to) });
    refusal = cluster->node[from].out.refusal;
    cluster_after(cluster, from);
    cluster_settle(cluster);
    return refusal;
}

/* Number of the one node that serves in the highest term, 0 if none does. */
static inline int cluster_leader(const struct cluster *cluster)
{
    int leader = 0;

    for (int i = 1; i <= cluster->count; i++) {
        const struct raft *raft = &cluster->node[i].raft;

        if (!cluster->down[i] && raft->serving &&
            (leader == 0 || raft->term > cluster->node[leader].raft.term))
            leader = i;
    }
    return leader;
}

static inline void cluster_assert_leads(const struct cluster *cluster, int leader, uint64_t term)
{
    for (int i = 1; i <= cluster->count; i++) {
        const struct raft *raft = &cluster->node[i].raft;

        if (cluster->down[i])
            continue;
        assert_int_equal(raft->role, i == leader ? RAFT_LEADER : RAFT_FOLLOWER);
        assert_int_equal(raft->term, term);
        assert_true(name_equal(&raft->leader, &cluster->node[leader].config.self));
    }
}

/* Every node that is up has applied exactly the entries up to `index`, and the same ones. */
static inline void cluster_assert_applied(const struct cluster *cluster, uint64_t index)
{
    uint64_t hash = 0;

    for (int i = 1; i <= cluster->count; i++) {
        const struct node *node = &cluster->node[i];

        if (cluster->down[i])
            continue;
        hash = hash ? hash : node->machine_hash;
        assert_int_equal(node->machine_index, index);
        assert_int_equal(node->machine_hash, hash);
    }
}

/* The log of this node has entries of exactly these terms, from index 1 on. */
static inline void cluster_assert_log(const struct cluster *cluster, int number,
                                      const uint64_t *terms, size_t count)
{
    const struct raft *raft = &cluster->node[number].raft;

    assert_int_equal(raft->last_index, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(raft_term_at(raft, i + 1), terms[i]);
}

#endif
