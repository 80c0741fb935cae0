/*
 * Three replicas, two boards and two small guards in one deterministic network: every message takes
 * a millisecond, as does the store. After each millisecond the world is checked for two drivers
 * (S1) and for a token that does not rise (S2).
 */
#include <string.h>

#include "lease/codec.h"
#include "lease/holder.h"
#include "lease/replica.h"
#include "tests/unit/support/unit.h"
#include "wire/wire.h"

enum {
    REPLICAS = 3,
    BOARDS = 2,
    NODES = REPLICAS + BOARDS,
    PACKETS = 512,
    TTL_MS = 1000,
    FENCE_MS = 20,
    ELECTION_MS = 150,
    DRIFT_PPM = 2000
};

enum packet_kind { PACKET_NONE, PACKET_RAFT, PACKET_LEASE, PACKET_PERSISTED, PACKET_GUARD };

struct packet {
    enum packet_kind kind;
    int from;
    int to;
    uint64_t order;
    int64_t due_us;
    uint64_t seq;
    struct guard_message guard;
    struct lease_message lease;
    size_t length;
    uint8_t bytes[WIRE_FRAME_MAX];
};

struct board {
    struct holder holder;
    struct instant wake_at;
    bool alive;
    bool driving;
    uint64_t token;
    int64_t deadline_us;
    int64_t status_us;
    size_t acquired;
    size_t lost;
};

static struct replica replica[REPLICAS];
static struct instant replica_wake[REPLICAS];
static struct issuer_policy policy;
static struct board board[BOARDS];
static bool dead[NODES];
static bool cut[NODES][NODES];
static struct packet packet[PACKETS];
static struct replica_output replica_out;
static struct holder_output holder_out;
static struct wire_message decoded;
static struct instant now;
static uint64_t packets;
static uint64_t highest_token;
static uint64_t committed_entries;
static int64_t driven_off_at; /* when the last board stopped driving */

static const char *const names[NODES] = { "i1", "i2", "i3", "a", "b" };

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static int node_of(const struct hf_name *id)
{
    for (int i = 0; i < NODES; i++) {
        if (strcmp(names[i], id->text) == 0)
            return i;
    }
    fail_msg("no node %s", id->text);
    return -1;
}

static struct packet *post(enum packet_kind kind, int from, int to)
{
    for (size_t i = 0; i < PACKETS; i++) {
        if (packet[i].kind != PACKET_NONE)
            continue;
        packet[i].kind = kind;
        packet[i].from = from;
        packet[i].to = to;
        packet[i].order = ++packets;
        packet[i].due_us = now.us + 1000;
        return &packet[i];
    }
    fail_msg("the network is full");
    return NULL;
}

static bool connected(int from, int to)
{
    return !dead[from] && !dead[to] && !cut[from][to];
}

static void post_lease(int from, int to, const struct lease_message *message)
{
    if (connected(from, to))
        post(PACKET_LEASE, from, to)->lease = *message;
}

static void step_replica(int i, const struct replica_event *event)
{
    replica_step(&replica[i], event, now, &replica_out);
    replica_wake[i] = replica_out.wake_at;
    for (size_t n = 0; n < replica_out.persist_count; n++) {
        assert_true(replica_out.persist[n].wanted);
        if (n > 0)
            assert_true(replica_out.persist[n].seq > replica_out.persist[n - 1].seq);
        post(PACKET_PERSISTED, i, i)->seq = replica_out.persist[n].seq;
    }
    for (size_t n = 0; n < replica_out.raft_message_count; n++) {
        int to = node_of(&replica_out.raft_message[n].to);
        if (!connected(i, to))
            continue;
        struct packet *sent = post(PACKET_RAFT, i, to);
        sent->length =
            wire_encode_raft(&replica_out.raft_message[n], sent->bytes, sizeof(sent->bytes));
        assert_true(sent->length > 0);
    }
    for (size_t n = 0; n < replica_out.client_send_count; n++)
        post_lease(i, node_of(&replica_out.client_send[n].node),
                   &replica_out.client_send[n].message);
}

static void replica_event(int i, enum replica_event_kind kind, const char *node)
{
    struct replica_event event = { .kind = kind, .resource = name("pump"), .who = name("olga") };
    if (node)
        event.node = name(node);
    step_replica(i, &event);
}

static void guard_tell(int i)
{
    struct guard_message *status = &post(PACKET_GUARD, REPLICAS + i, REPLICAS + i)->guard;
    guard_message_init(status, GUARD_STATUS);
    status->name = name("pump");
    status->token = board[i].token;
    status->state = board[i].driving ? GUARD_DRIVING : GUARD_SAFE;
    status->proven = !board[i].driving;
    board[i].status_us = now.us;
}

static void guard_hear(int i, const struct guard_message *message)
{
    if (message->kind == GUARD_PERMIT && message->token >= board[i].token &&
        message->deadline_us > now.us && (board[i].driving || message->token > board[i].token)) {
        board[i].driving = true;
        board[i].token = message->token;
        board[i].deadline_us = message->deadline_us;
    } else if (message->kind == GUARD_DROP && message->token >= board[i].token) {
        board[i].driving = false;
        board[i].token = message->token;
    }
    guard_tell(i);
}

static void step_holder(int i, const struct holder_event *event)
{
    holder_step(&board[i].holder, event, now, &holder_out);
    board[i].wake_at = holder_out.wake_at;
    for (size_t n = 0; n < holder_out.count; n++) {
        const struct holder_action *action = &holder_out.action[n];
        if (action->kind == HOLDER_SEND)
            post_lease(REPLICAS + i, node_of(&action->node), &action->message);
        else if (action->kind == HOLDER_GUARD)
            guard_hear(i, &action->guard);
        board[i].acquired += action->kind == HOLDER_ACQUIRED;
        board[i].lost += action->kind == HOLDER_LOST_HOOK;
    }
}

static void deliver(struct packet *what)
{
    static struct packet taken;
    taken = *what;
    what->kind = PACKET_NONE;
    if (!connected(taken.from, taken.to))
        return;
    struct replica_event event = { .node = name(names[taken.from]), .seq = taken.seq };
    struct holder_event heard = { .node = event.node,
                                  .message = &taken.lease,
                                  .guard = &taken.guard };
    if (taken.kind == PACKET_RAFT) {
        const char *complaint = wire_decode(&decoded, (struct bytes){ taken.bytes, taken.length });
        if (complaint)
            fail_msg("%s", complaint);
        event.kind = REPLICA_RAFT_MESSAGE;
        event.raft_message = &decoded.raft;
        step_replica(taken.to, &event);
    } else if (taken.kind == PACKET_PERSISTED) {
        event.kind = REPLICA_PERSISTED;
        step_replica(taken.to, &event);
    } else if (taken.kind == PACKET_GUARD) {
        heard.kind = HOLDER_EVENT_GUARD_MESSAGE;
        step_holder(taken.to - REPLICAS, &heard);
    } else if (taken.to < REPLICAS) {
        event.kind = REPLICA_LEASE_MESSAGE;
        event.lease_message = &taken.lease;
        step_replica(taken.to, &event);
    } else {
        heard.kind = HOLDER_EVENT_MESSAGE;
        step_holder(taken.to - REPLICAS, &heard);
    }
}

static struct packet *next_due(void)
{
    struct packet *next = NULL;
    for (size_t i = 0; i < PACKETS; i++) {
        if (packet[i].kind != PACKET_NONE && packet[i].due_us <= now.us &&
            (!next || packet[i].order < next->order))
            next = &packet[i];
    }
    return next;
}

static void check_world(void)
{
    int drivers = 0;
    for (int i = 0; i < BOARDS; i++)
        drivers += board[i].driving;
    if (drivers > 1)
        fail_msg("S1: two boards drive at %lld us", (long long)now.us);
    for (int i = 0; i < REPLICAS; i++) {
        for (uint32_t n = 0; n < replica[i].table.count; n++) {
            if (replica[i].table.record[n].last_token > highest_token)
                highest_token = replica[i].table.record[n].last_token;
        }
        if (replica[i].table.applied > committed_entries)
            committed_entries = replica[i].table.applied;
        assert_null(replica[i].halted);
    }
}

static void run_guard(int i)
{
    bool was = board[i].driving;
    if (board[i].driving && (now.us >= board[i].deadline_us || dead[REPLICAS + i])) {
        board[i].driving = false;
        if (!dead[REPLICAS + i])
            guard_tell(i);
    }
    if (was && !board[i].driving)
        driven_off_at = now.us;
    if (!dead[REPLICAS + i] && now.us - board[i].status_us >= 20000)
        guard_tell(i);
}

static void run_ms(void)
{
    const struct holder_event tick = { .kind = HOLDER_EVENT_TIMER };
    bool driving[BOARDS] = { board[0].driving, board[1].driving };
    now.us += 1000;
    for (struct packet *due = next_due(); due; due = next_due())
        deliver(due);
    for (int i = 0; i < REPLICAS; i++) {
        for (int n = 0; !dead[i] && instant_reached(replica_wake[i], now) && n < 20; n++)
            replica_event(i, REPLICA_TIMER, NULL);
    }
    for (int i = 0; i < BOARDS; i++) {
        run_guard(i);
        if (!dead[REPLICAS + i] && instant_reached(board[i].wake_at, now))
            step_holder(i, &tick);
        if (driving[i] && !board[i].driving)
            driven_off_at = now.us;
    }
    check_world();
}

static void run(int64_t ms)
{
    for (; ms > 0; ms--)
        run_ms();
}

/* True once a condition holds; false if it does not within the time. */
#define RUN_UNTIL(condition, ms)                                                                   \
    do {                                                                                           \
        int64_t left_ = (ms);                                                                      \
        while (!(condition) && left_-- > 0)                                                        \
            run_ms();                                                                              \
        assert_true(condition);                                                                    \
    } while (0)

static int leader(void)
{
    for (int i = 0; i < REPLICAS; i++) {
        if (!dead[i] && replica_serving(&replica[i]))
            return i;
    }
    return -1;
}

static void set_link(int i, int to, bool up)
{
    const struct holder_event event = { .kind = up ? HOLDER_EVENT_LINK_UP : HOLDER_EVENT_LINK_DOWN,
                                        .node = name(names[to]) };
    step_holder(i, &event);
    replica_event(to, up ? REPLICA_CLIENT_UP : REPLICA_CLIENT_DOWN, names[REPLICAS + i]);
}

static void kill_node(int node)
{
    dead[node] = true;
    for (int i = 0; i < BOARDS && node < REPLICAS; i++) {
        const struct holder_event event = { .kind = HOLDER_EVENT_LINK_DOWN,
                                            .node = name(names[node]) };
        if (!dead[REPLICAS + i])
            step_holder(i, &event);
    }
    for (int i = 0; i < REPLICAS && node >= REPLICAS; i++) {
        if (!dead[i])
            replica_event(i, REPLICA_CLIENT_DOWN, names[node]);
    }
}

static void cut_off(int node, bool off)
{
    for (int i = 0; i < NODES; i++)
        cut[node][i] = cut[i][node] = off && i != node;
}

static void start_holder(int i, int32_t priority)
{
    struct holder_config config;
    const struct holder_event up = { .kind = HOLDER_EVENT_GUARD_UP };
    memset(&config, 0, sizeof(config));
    config.self = name(names[REPLICAS + i]);
    config.drift_ppm = DRIFT_PPM;
    config.guard_silence = span_from_ms(100);
    config.nonce_start = (uint64_t)(i + 1) * 1000000 + (uint64_t)now.us;
    config.resource_count = 1;
    config.resource[0].resource = name("pump");
    config.resource[0].ttl = span_from_ms(TTL_MS);
    config.resource[0].fence = span_from_ms(FENCE_MS);
    config.resource[0].release = span_from_ms(5);
    config.resource[0].priority = priority;
    holder_init(&board[i].holder, &config, now);
    for (int n = 0; n < REPLICAS; n++) {
        if (!dead[n])
            set_link(i, n, true);
    }
    step_holder(i, &up);
}

static void start_replica(int i)
{
    struct raft_config raft = { .self = name(names[i]),
                                .election = span_from_ms(ELECTION_MS),
                                .heartbeat = span_from_ms(25),
                                .random_seed = 77 + (uint64_t)i };
    struct issuer_config issuer = {
        .self = name(names[i]), .drift_ppm = DRIFT_PPM, .policy = &policy, .policy_count = 1
    };
    struct raft_recovered recovered;
    memset(&recovered, 0, sizeof(recovered));
    recovered.members.count = REPLICAS;
    for (int n = 0; n < REPLICAS; n++) {
        recovered.members.member[n].id = name(names[n]);
        recovered.members.member[n].voter = true;
    }
    replica_init(&replica[i], &raft, &issuer, &recovered, now);
    replica_wake[i] = now;
}

static int set_up(void **state)
{
    (void)state;
    memset(packet, 0, sizeof(packet));
    memset(board, 0, sizeof(board));
    memset(dead, 0, sizeof(dead));
    memset(cut, 0, sizeof(cut));
    memset(&policy, 0, sizeof(policy));
    policy.resource = name("pump");
    policy.holder_count = 2;
    policy.holder[0] = name("a");
    policy.holder[1] = name("b");
    policy.ttl_max_us = 5000000;
    policy.fence_max_us = 600000000;
    now.us = 1000000;
    highest_token = 0;
    committed_entries = 0;
    for (int i = 0; i < REPLICAS; i++)
        start_replica(i);
    RUN_UNTIL(leader() >= 0, 3000);
    start_holder(0, 10);
    RUN_UNTIL(board[0].driving, 1000);
    start_holder(1, 5);
    run(50);
    return 0;
}

/* ---- claims */

static void a_free_resource_is_granted_and_driven(void **state)
{
    (void)state;
    assert_int_equal(board[0].acquired, 1);
    assert_int_equal(board[0].token, highest_token);
    assert_int_equal(holder_lease_of(&board[1].holder, &policy.resource)->state, HOLDER_WAITING);
    size_t waiters;
    const struct issuer_waiter *first =
        replica_waiters(&replica[leader()], &policy.resource, &waiters);
    assert_int_equal(waiters, 1);
    assert_string_equal(first->node.text, "b");
}

static void renewals_write_nothing_to_the_log(void **state)
{
    (void)state;
    uint64_t before = committed_entries;
    run(20 * TTL_MS);
    assert_true(board[0].driving);
    assert_int_equal(board[0].lost, 0);
    assert_int_equal(committed_entries, before);
}

static void s1_l1_another_board_takes_over_once_the_lease_is_free(void **state)
{
    (void)state;
    run(777);
    struct instant free = issuer_free_at(&replica[leader()].issuer, &policy.resource);
    uint64_t old_token = board[0].token;
    kill_node(REPLICAS);
    RUN_UNTIL(board[1].driving, 2 * TTL_MS);
    assert_true(now.us >= free.us);
    /* Grant: a commit and a push; then a renewal's round. */
    assert_true(now.us <= free.us + 20000);
    assert_true(board[1].token > old_token);
}

static void restart_agent(int i)
{
    const struct holder_event down = { .kind = HOLDER_EVENT_GUARD_DOWN };
    step_holder(i, &down);
    board[i].driving = false; /* the guard drops when its agent goes */
    for (int n = 0; n < REPLICAS; n++)
        set_link(i, n, false);
    start_holder(i, 10);
}

static void a_restarted_agent_frees_what_it_held_with_proof(void **state)
{
    (void)state;
    restart_agent(0);
    /* Much less than the ttl: the release was proven. */
    RUN_UNTIL(board[0].driving || board[1].driving, 100);
}

static void a_fenced_release_frees_at_once(void **state)
{
    (void)state;
    struct lease_message yield;
    memset(&yield, 0, sizeof(yield));
    yield.kind = LEASE_YIELD;
    yield.resource = policy.resource;
    yield.token = board[0].token;
    post_lease(leader(), REPLICAS, &yield);
    RUN_UNTIL(board[1].driving, 100);
    assert_int_equal(board[0].lost, 1);
}

static void l2_losing_the_leader_costs_the_holder_nothing(void **state)
{
    (void)state;
    uint64_t token = board[0].token;
    kill_node(leader());
    for (int i = 0; i < 5 * TTL_MS; i++) {
        run_ms();
        assert_true(board[0].driving);
    }
    assert_true(leader() >= 0);
    assert_int_equal(board[0].token, token);
    assert_int_equal(board[0].lost, 0);
}

static void s4_a_leader_that_was_cut_off_confirms_nothing(void **state)
{
    (void)state;
    int old = leader();
    for (int i = 0; i < REPLICAS; i++)
        cut[old][i] = cut[i][old] = i != old;
    /* The boards still reach it, and only it. */
    for (int i = 0; i < REPLICAS; i++) {
        for (int n = REPLICAS; n < NODES; n++)
            cut[i][n] = cut[n][i] = i != old;
    }
    run(10);
    struct instant deadline = holder_lease_of(&board[0].holder, &policy.resource)->deadline;
    run(2 * TTL_MS);
    assert_true(holder_lease_of(&board[0].holder, &policy.resource)->deadline.us <= deadline.us);
    assert_false(board[0].driving);
    assert_false(board[1].driving);
    memset(cut, 0, sizeof(cut));
    RUN_UNTIL(board[0].driving || board[1].driving, 3 * TTL_MS);
}

static void s1_a_holder_that_is_cut_off_is_off_before_the_next_drives(void **state)
{
    (void)state;
    cut_off(REPLICAS, true);
    RUN_UNTIL(board[1].driving, 2 * TTL_MS);
    assert_false(board[0].driving);
    assert_true(now.us - driven_off_at >= FENCE_MS * 1000);
    cut_off(REPLICAS, false);
    run(3 * TTL_MS);
    assert_true(board[1].driving);
    assert_int_equal(holder_lease_of(&board[0].holder, &policy.resource)->state, HOLDER_WAITING);
}

/* A board that has leaders follow each other would have a full budget at each. */
static void what_a_board_costs_is_known_to_the_next_leader(void **state)
{
    (void)state;
    uint64_t entry = replica[leader()].table.applied;
    struct lease_message yield = { .kind = LEASE_YIELD };
    yield.resource = policy.resource;
    yield.token = board[0].token;
    post_lease(leader(), REPLICAS, &yield);
    RUN_UNTIL(board[1].driving, 2 * TTL_MS);
    int before = leader();
    assert_true(replica[before].table.applied > entry);
    kill_node(before);
    RUN_UNTIL(leader() >= 0, 10 * ELECTION_MS);
    const struct issuer *issuer = &replica[leader()].issuer;
    bool charged = false;
    for (size_t i = 0; i < issuer->client_count; i++)
        charged = charged || issuer->client[i].spent_bytes > 0;
    assert_int_not_equal(leader(), before);
    assert_true(charged);
}

static void s3_an_answered_release_survives_the_leader(void **state)
{
    (void)state;
    uint64_t token = board[0].token;
    struct lease_message yield = { .kind = LEASE_YIELD };
    yield.resource = policy.resource;
    yield.token = token;
    post_lease(leader(), REPLICAS, &yield);
    RUN_UNTIL(holder_lease_of(&board[0].holder, &policy.resource)->state == HOLDER_WAITING, 200);
    kill_node(leader());
    RUN_UNTIL(leader() >= 0, 10 * ELECTION_MS);
    int found = lease_table_find(&replica[leader()].table, &policy.resource);
    assert_true(replica[leader()].table.record[found].token != token);
    RUN_UNTIL(board[0].driving || board[1].driving, 2 * TTL_MS);
    assert_true(highest_token > token);
}

static void s2_tokens_rise_over_many_changes_of_leader_and_holder(void **state)
{
    (void)state;
    uint64_t last = board[0].token;
    for (int i = 0; i < 6; i++) {
        int to = board[0].driving ? 1 : 0;
        struct replica_event change = { .kind = REPLICA_LEADER_TRANSFER };
        change.node = name(names[(leader() + 1) % REPLICAS]);
        step_replica(leader(), &change);
        assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
        run(2 * ELECTION_MS);
        RUN_UNTIL(leader() >= 0, 10 * ELECTION_MS);
        run(1500);
        replica_event(leader(), REPLICA_TRANSFER, names[REPLICAS + to]);
        assert_null(replica_out.error);
        RUN_UNTIL(board[to].driving, 500);
        assert_true(board[to].token > last);
        last = board[to].token;
    }
}

static void a_transfer_is_done_within_milliseconds_and_tells_its_gap(void **state)
{
    (void)state;
    int at = leader();
    replica_event(at, REPLICA_TRANSFER, "b");
    assert_null(replica_out.error);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    RUN_UNTIL(replica_transfer(&replica[at], &policy.resource)->state == ISSUER_TRANSFER_DONE, 100);
    assert_in_range(replica_transfer(&replica[at], &policy.resource)->gap.us, 1, 50000);
    run(5);
    assert_true(board[1].driving);
    run(2 * TTL_MS);
    assert_true(board[1].driving);
}

static void operators_are_refused_by_followers(void **state)
{
    (void)state;
    int follower = (leader() + 1) % REPLICAS;
    replica_event(follower, REPLICA_TRANSFER, "b");
    assert_int_equal(replica_out.refusal, RAFT_NOT_LEADER);
    replica_event(follower, REPLICA_CONFIRM, NULL);
    assert_int_equal(replica_out.refusal, RAFT_NOT_LEADER);
    replica_event(leader(), REPLICA_CONFIRM, NULL);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    assert_true(replica_out.requested_round > 0);
}

/* The note comes first: what stands behind might be lost with the leader's leadership. */
/* While the leader hands over nothing is written down: what was not taken is not done either. */
static void a_transfer_that_the_log_does_not_take_is_not_begun(void **state)
{
    (void)state;
    int at = leader();
    uint64_t token = board[0].token;
    for (int other = 0; other < REPLICAS; other++)
        cut_off(other, other != at);
    replica_event(at, REPLICA_LEADER_TRANSFER, names[(at + 1) % REPLICAS]);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    replica_event(at, REPLICA_TRANSFER, "b");
    assert_int_equal(replica_out.refusal, RAFT_TRANSFERRING);
    assert_int_equal(replica_transfer(&replica[at], &policy.resource)->state,
                     ISSUER_TRANSFER_FAILED);
    for (int other = 0; other < REPLICAS; other++)
        cut_off(other, false);
    run(2 * TTL_MS);
    assert_true(board[0].driving);
    assert_int_equal(board[0].token, token);
}

/* A lease runs out as it asks for a round, while the leader hands over: that expiry has to wait, not the reader. */
static void who_asks_is_told_of_his_own_event_alone(void **state)
{
    (void)state;
    int at = leader();
    kill_node(REPLICAS);
    struct instant free = issuer_free_at(&replica[at].issuer, &policy.resource);
    while (now.us + 1000 < free.us)
        run_ms();
    replica_event(at, REPLICA_LEADER_TRANSFER, names[(at + 1) % REPLICAS]);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    now = free;
    replica_event(at, REPLICA_CONFIRM, NULL);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    assert_true(replica_out.requested_round > 0);
    RUN_UNTIL(board[1].driving, 4 * TTL_MS);
}

static void a_leader_that_removes_itself_is_noted_and_costs_the_holder_nothing(void **state)
{
    (void)state;
    int at = leader();
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = RAFT_CHANGE_REMOVE,
                                   .node = name(names[at]),
                                   .who = name("olga"),
                                   .text = "member remove" };
    step_replica(at, &event);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    assert_true(replica_out.members_changed);
    assert_int_equal(replica_out.act.index, replica[at].raft.last_index);
    event.change = RAFT_CHANGE_PROMOTE;
    uint64_t last = replica[at].raft.last_index;
    step_replica(at, &event);
    assert_int_equal(replica_out.refusal, RAFT_CHANGE_PENDING);
    assert_int_equal(replica_out.act.index, 0);
    assert_int_equal(replica[at].raft.last_index, last); /* nor is it noted */
    RUN_UNTIL(leader() >= 0 && leader() != at, 3 * TTL_MS);
    for (int i = 0; i < 2 * TTL_MS; i++) {
        run_ms();
        assert_true(board[0].driving);
    }
    const struct lease_table *table = &replica[leader()].table;
    const struct history_event *noted =
        &table->history[(table->history_total - 1) % HF_HISTORY_MAX];
    assert_int_equal(noted->kind, HISTORY_OPERATOR);
    assert_string_equal(noted->text, "member remove");
    assert_true(name_equal(&noted->who, &event.who));
    assert_true(name_equal(&noted->holder, &event.node));
}

/* ---- what an operator is told */

static struct replica_act ask(int at, enum replica_event_kind kind)
{
    struct replica_event event = { .kind = kind,
                                   .resource = policy.resource,
                                   .pinned = true,
                                   .history = HISTORY_OPERATOR,
                                   .text = "by hand",
                                   .who = name("olga") };
    step_replica(at, &event);
    assert_int_equal(replica_out.refusal, RAFT_ACCEPTED);
    assert_null(replica_out.error);
    assert_true(replica_out.act.index > replica[at].raft.commit);
    assert_int_equal(replica_out.act.term, replica[at].raft.term);
    return replica_out.act;
}

static enum replica_outcome outcome_at(int at, const struct replica_act *act)
{
    return replica_act_outcome(&replica[at], act);
}

static bool pinned_at(int at)
{
    int found = lease_table_find(&replica[at].table, &policy.resource);
    return found >= 0 && replica[at].table.record[found].pinned;
}

static void s3_an_act_is_done_only_when_a_majority_has_it(void **state)
{
    (void)state;
    int at = leader();
    int others[2] = { (at + 1) % REPLICAS, (at + 2) % REPLICAS };
    for (int i = 0; i < 2; i++)
        cut[at][others[i]] = cut[others[i]][at] = true;
    struct replica_act act = ask(at, REPLICA_PIN);
    for (int i = 0; i < 100; i++) {
        run_ms();
        assert_int_equal(outcome_at(at, &act), REPLICA_ACT_OPEN);
    }
    for (int i = 0; i < 2; i++)
        cut[at][others[i]] = cut[others[i]][at] = false;
    RUN_UNTIL(outcome_at(at, &act) == REPLICA_ACT_DONE, 2000);
    assert_true(pinned_at(at));
    assert_non_null(replica_act_event(&replica[at], act.index));
    assert_int_equal(replica_act_event(&replica[at], act.index)->kind, HISTORY_OPERATOR);
    assert_null(replica_act_event(&replica[at], act.index + 1));
}

static void an_act_that_another_leader_has_written_over_is_never_done(void **state)
{
    (void)state;
    int at = leader();
    cut_off(at, true);
    struct replica_act act = ask(at, REPLICA_PIN);
    RUN_UNTIL(leader() >= 0 && leader() != at, 5000);
    run(500);
    assert_int_equal(outcome_at(at, &act), REPLICA_ACT_OPEN);
    cut_off(at, false);
    RUN_UNTIL(outcome_at(at, &act) == REPLICA_ACT_REPLACED, 5000);
    run(1000);
    for (int i = 0; i < REPLICAS; i++)
        assert_false(pinned_at(i));
}

/* It stands in two logs, and whoever leads next has one of them: the old leader learns of it. */
static void an_act_that_the_next_leader_keeps_is_done_for_the_last_one_too(void **state)
{
    (void)state;
    int at = leader();
    int keeps = (at + 1) % REPLICAS;
    int lacks = (at + 2) % REPLICAS;
    cut[at][lacks] = true;
    cut[keeps][at] = true; /* what it says does not arrive */
    struct replica_act act = ask(at, REPLICA_PIN);
    RUN_UNTIL(replica[keeps].raft.last_index >= act.index, 100);
    cut_off(at, true);
    RUN_UNTIL(leader() >= 0 && leader() != at, 5000);
    assert_int_equal(leader(), keeps);
    RUN_UNTIL(outcome_at(keeps, &act) == REPLICA_ACT_DONE, 1000);
    assert_int_equal(outcome_at(at, &act), REPLICA_ACT_OPEN);
    cut_off(at, false);
    RUN_UNTIL(outcome_at(at, &act) == REPLICA_ACT_DONE, 5000);
    assert_true(pinned_at(at));
}

/* Entries are gone from memory then; only who has led ever since can say what they were. */
static void what_became_of_an_act_is_known_after_a_snapshot_by_its_leader_only(void **state)
{
    (void)state;
    int at = leader();
    int other = (at + 1) % REPLICAS;
    struct replica_act act = ask(at, REPLICA_NOTE);
    RUN_UNTIL(outcome_at(at, &act) == REPLICA_ACT_DONE, 100);
    while (replica[at].raft.first_index <= act.index + 1 ||
           replica[other].raft.first_index <= act.index + 1) {
        ask(at, REPLICA_NOTE);
        run(2);
        for (int i = 0; i < REPLICAS; i++) {
            if (replica_wants_snapshot(&replica[i]))
                replica_event(i, REPLICA_COMPACT, NULL);
        }
    }
    assert_int_equal(leader(), at);
    assert_int_equal(outcome_at(at, &act), REPLICA_ACT_DONE);
    assert_int_equal(outcome_at(other, &act), REPLICA_ACT_UNKNOWN);
    act.term--;
    assert_int_equal(outcome_at(at, &act), REPLICA_ACT_UNKNOWN);
}

static void a_refused_board_that_keeps_asking_costs_one_entry(void **state)
{
    (void)state;
    policy.holder_count = 1;
    struct lease_message withdraw = { .kind = LEASE_WITHDRAW };
    withdraw.resource = policy.resource;
    post_lease(REPLICAS + 1, leader(), &withdraw);
    run(5);
    uint64_t before = committed_entries;
    run(10 * TTL_MS);
    assert_int_equal(committed_entries, before + 1);
    const struct lease_table *table = &replica[leader()].table;
    const struct history_event *last = &table->history[(table->history_total - 1) % HF_HISTORY_MAX];
    assert_int_equal(last->kind, HISTORY_REFUSAL);
    assert_string_equal(last->holder.text, "b");
}

static void assert_same_table(const struct lease_table *a, const struct lease_table *b)
{
    assert_int_equal(a->applied, b->applied);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->history_total, b->history_total);
    assert_memory_equal(a->record, b->record, a->count * sizeof(a->record[0]));
    for (uint64_t n = 0; n < HF_HISTORY_MAX && n < a->history_total; n++)
        assert_memory_equal(&a->history[n], &b->history[n], sizeof(a->history[n]));
}

static void all_replicas_have_the_same_table(void **state)
{
    (void)state;
    replica_event(leader(), REPLICA_TRANSFER, "b");
    run(500);
    for (int i = 1; i < REPLICAS; i++)
        assert_same_table(&replica[i].table, &replica[0].table);
}

/* Notes fill the log until a snapshot is wanted; a replica that was away gets it in chunks. */
static void a_replica_that_was_away_is_restored_by_snapshot(void **state)
{
    (void)state;
    int away = (leader() + 1) % REPLICAS;
    cut_off(away, true);
    bool compacted = false;
    for (int i = 0; i < 1500; i++) {
        struct replica_event note = { .kind = REPLICA_NOTE,
                                      .resource = policy.resource,
                                      .history = HISTORY_OPERATOR,
                                      .text = "tightened a screw",
                                      .who = name("olga") };
        step_replica(leader(), &note);
        run_ms();
        run_ms();
        for (int n = 0; n < REPLICAS; n++) {
            if (replica_wants_snapshot(&replica[n])) {
                replica_event(n, REPLICA_COMPACT, NULL);
                compacted = true;
            }
        }
    }
    assert_true(compacted);
    uint64_t behind = replica[away].table.applied;
    assert_true(replica[leader()].raft.first_index > behind + 1);
    cut_off(away, false);
    RUN_UNTIL(replica[away].table.applied == replica[leader()].table.applied, 5000);
    run(100);
    assert_same_table(&replica[away].table, &replica[leader()].table);
    assert_true(board[0].driving);
    assert_int_equal(board[0].lost, 0);
}

static void an_unreadable_snapshot_halts_the_replica(void **state)
{
    (void)state;
    static struct replica lone;
    static const uint8_t junk[64];
    struct raft_config raft = { .self = name("i1"),
                                .election = span_from_ms(ELECTION_MS),
                                .heartbeat = span_from_ms(25),
                                .random_seed = 1 };
    struct issuer_config issuer = { .self = name("i1"), .drift_ppm = DRIFT_PPM };
    struct raft_recovered recovered;
    memset(&recovered, 0, sizeof(recovered));
    recovered.members.count = 1;
    recovered.members.member[0].id = name("i1");
    recovered.members.member[0].voter = true;
    recovered.term = 1;
    recovered.snapshot_index = 5;
    recovered.snapshot_term = 1;
    recovered.snapshot = (struct bytes){ junk, sizeof(junk) };
    replica_init(&lone, &raft, &issuer, &recovered, now);
    assert_non_null(lone.halted);
    assert_int_equal(lone.raft.role, RAFT_HALTED);
}

/* What a board caused long before this start is not charged again, however much of it is in the log. */
static void a_restart_charges_nothing_that_is_in_the_journal(void **state)
{
    (void)state;
    enum { OLD = 400 };
    static struct replica lone;
    static struct raft_entry entries[OLD];
    struct raft_config raft = { .self = name("i1"),
                                .election = span_from_ms(ELECTION_MS),
                                .heartbeat = span_from_ms(25),
                                .random_seed = 1 };
    struct issuer_config issuer = {
        .self = name("i1"), .drift_ppm = DRIFT_PPM, .policy = &policy, .policy_count = 1
    };
    struct raft_recovered recovered;
    struct lease_command command;
    memset(&command, 0, sizeof(command));
    command.kind = LEASE_COMMAND_EXPIRE;
    command.resource = name("pump");
    command.holder = command.who = command.payer = name("a");
    command.token = 1;
    for (int i = 0; i < OLD; i++) {
        entries[i] =
            (struct raft_entry){ .index = (uint64_t)i + 1, .term = 1, .kind = RAFT_ENTRY_COMMAND };
        entries[i].length =
            (uint16_t)lease_command_encode(&command, entries[i].data, sizeof(entries[i].data));
        assert_true(entries[i].length > 0);
    }
    memset(&recovered, 0, sizeof(recovered));
    recovered.members.count = 1;
    recovered.members.member[0].id = name("i1");
    recovered.members.member[0].voter = true;
    recovered.term = 1;
    recovered.entries = entries;
    recovered.entry_count = OLD;
    replica_init(&lone, &raft, &issuer, &recovered, now);
    struct replica_event event = { .kind = REPLICA_CLIENT_UP, .node = name("a") };
    replica_step(&lone, &event, now, &replica_out);
    for (int i = 0; i < 1000 && !replica_serving(&lone); i++) {
        now = instant_add(now, span_from_ms(10));
        event = (struct replica_event){ .kind = REPLICA_TIMER };
        replica_step(&lone, &event, now, &replica_out);
        for (int turn = 0; turn < 4 && lone.raft.persisted_seq + 1 < lone.raft.next_seq; turn++) {
            event =
                (struct replica_event){ .kind = REPLICA_PERSISTED, .seq = lone.raft.next_seq - 1 };
            replica_step(&lone, &event, now, &replica_out);
        }
    }
    assert_true(replica_serving(&lone));
    assert_true(lone.table.applied > OLD);
    int64_t left = budget_left(&lone.issuer.client[0].budget, &budget_board, now);
    print_message("left: %d of %d\n", (int)left, BUDGET_BOARD_BURST);
    assert_true(left > BUDGET_BOARD_BURST / 2);
}

#define CLAIM(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_free_resource_is_granted_and_driven),
        CLAIM(renewals_write_nothing_to_the_log),
        CLAIM(s1_l1_another_board_takes_over_once_the_lease_is_free),
        CLAIM(a_restarted_agent_frees_what_it_held_with_proof),
        CLAIM(a_fenced_release_frees_at_once),
        CLAIM(l2_losing_the_leader_costs_the_holder_nothing),
        CLAIM(s4_a_leader_that_was_cut_off_confirms_nothing),
        CLAIM(s1_a_holder_that_is_cut_off_is_off_before_the_next_drives),
        CLAIM(what_a_board_costs_is_known_to_the_next_leader),
        CLAIM(s3_an_answered_release_survives_the_leader),
        CLAIM(s2_tokens_rise_over_many_changes_of_leader_and_holder),
        CLAIM(a_transfer_is_done_within_milliseconds_and_tells_its_gap),
        CLAIM(operators_are_refused_by_followers),
        CLAIM(who_asks_is_told_of_his_own_event_alone),
        CLAIM(a_transfer_that_the_log_does_not_take_is_not_begun),
        CLAIM(a_leader_that_removes_itself_is_noted_and_costs_the_holder_nothing),
        CLAIM(s3_an_act_is_done_only_when_a_majority_has_it),
        CLAIM(an_act_that_another_leader_has_written_over_is_never_done),
        CLAIM(an_act_that_the_next_leader_keeps_is_done_for_the_last_one_too),
        CLAIM(what_became_of_an_act_is_known_after_a_snapshot_by_its_leader_only),
        CLAIM(a_refused_board_that_keeps_asking_costs_one_entry),
        CLAIM(all_replicas_have_the_same_table),
        CLAIM(a_replica_that_was_away_is_restored_by_snapshot),
        CLAIM(an_unreadable_snapshot_halts_the_replica),
        CLAIM(a_restart_charges_nothing_that_is_in_the_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
