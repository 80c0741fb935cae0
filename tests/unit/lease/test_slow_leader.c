/*
 * A leader that is slow but alive: all its links, or that to the board, take long one way. Three
 * replicas and one board that drives; frames come in order, as over TCP. Law: a healthy holder
 * loses nothing for as long as the arithmetic of timing_bearable_delay() allows it.
 */
#include <string.h>

#include "base/timing.h"
#include "lease/holder.h"
#include "lease/replica.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"
#include "wire/wire.h"

enum {
    REPLICAS = 3,
    BOARD = REPLICAS,
    NODES = REPLICAS + 1,
    PACKETS = 1024,
    TTL_US = 1000000,
    ELECTION_MS = 300,
    HEARTBEAT_MS = 50,
    RELEASE_US = 5000,
    DRIFT_PPM = 2000,
    FAST_US = 1000,
    STATUS_US = 20000
};

enum packet_kind { PACKET_NONE, PACKET_RAFT, PACKET_LEASE, PACKET_PERSISTED };

struct packet {
    enum packet_kind kind;
    int from;
    int to;
    uint64_t order;
    int64_t due_us;
    uint64_t seq;
    struct lease_message lease;
    size_t length;
    uint8_t bytes[4096];
};

struct rig {
    struct replica replica[REPLICAS];
    struct instant replica_wake[REPLICAS];
    struct issuer_policy policy;
    struct holder holder;
    struct instant holder_wake;
    struct instant now;
    struct packet packet[PACKETS];
    uint64_t packets;
    int64_t delay_us[NODES][NODES];
    int64_t jitter_us;
    int64_t busy_us[NODES][NODES];

    int64_t deadline_us; /* the guard's */
    uint64_t token;
    unsigned drops;
    unsigned renewals;   /* sent by the board, one per issuer */
    unsigned heartbeats; /* sent by a leader, one per peer */
};

static struct rig rig;
static struct replica_output replica_out;
static struct holder_output holder_out;
static struct wire_message decoded;

static const char *const names[NODES] = { "i1", "i2", "i3", "a" };

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

/* ---- the network */

static struct packet *post(enum packet_kind kind, int from, int to)
{
    for (size_t i = 0; i < PACKETS; i++) {
        struct packet *packet = &rig.packet[i];
        if (packet->kind != PACKET_NONE)
            continue;
        int64_t late_us = rig.delay_us[from][to] > FAST_US && rig.jitter_us > 0 ?
                              (int64_t)random_below((uint64_t)rig.jitter_us) :
                              0;
        packet->kind = kind;
        packet->from = from;
        packet->to = to;
        packet->order = ++rig.packets;
        packet->due_us = rig.now.us + rig.delay_us[from][to] + late_us;
        if (packet->due_us < rig.busy_us[from][to])
            packet->due_us = rig.busy_us[from][to];
        rig.busy_us[from][to] = packet->due_us;
        return packet;
    }
    fail_msg("the network is full");
    return NULL;
}

static void step_replica(int i, const struct replica_event *event)
{
    replica_step(&rig.replica[i], event, rig.now, &replica_out);
    rig.replica_wake[i] = replica_out.wake_at;
    for (size_t n = 0; n < replica_out.persist_count; n++)
        post(PACKET_PERSISTED, i, i)->seq = replica_out.persist[n].seq;
    for (size_t n = 0; n < replica_out.raft_message_count; n++) {
        rig.heartbeats += replica_out.raft_message[n].kind == RAFT_HEARTBEAT;
        struct packet *sent = post(PACKET_RAFT, i, node_of(&replica_out.raft_message[n].to));
        sent->length =
            wire_encode_raft(&replica_out.raft_message[n], sent->bytes, sizeof(sent->bytes));
        assert_true(sent->length > 0);
    }
    for (size_t n = 0; n < replica_out.client_send_count; n++)
        post(PACKET_LEASE, i, BOARD)->lease = replica_out.client_send[n].message;
}

static void step_holder(const struct holder_event *event);

static void hear_guard(void)
{
    struct guard_message status;
    struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = &status };
    guard_message_init(&status, GUARD_STATUS);
    status.name = name("pump");
    status.token = rig.token;
    status.state = rig.deadline_us != 0 ? GUARD_DRIVING : GUARD_SAFE;
    status.proven = rig.deadline_us == 0;
    step_holder(&event);
}

static void guard_hears(const struct guard_message *message)
{
    if (message->kind == GUARD_PERMIT && message->deadline_us > rig.now.us) {
        rig.token = message->token;
        rig.deadline_us = message->deadline_us;
    } else if (message->kind == GUARD_DROP && rig.deadline_us != 0) {
        rig.deadline_us = 0;
        rig.drops++;
    }
}

static void step_holder(const struct holder_event *event)
{
    holder_step(&rig.holder, event, rig.now, &holder_out);
    rig.holder_wake = holder_out.wake_at;
    for (size_t n = 0; n < holder_out.count; n++) {
        const struct holder_action *action = &holder_out.action[n];
        if (action->kind == HOLDER_SEND) {
            rig.renewals += action->message.kind == LEASE_RENEW;
            post(PACKET_LEASE, BOARD, node_of(&action->node))->lease = action->message;
        } else if (action->kind == HOLDER_GUARD) {
            guard_hears(&action->guard);
        }
    }
}

static void deliver(struct packet *what)
{
    static struct packet taken;
    taken = *what;
    what->kind = PACKET_NONE;
    struct replica_event event = { .node = name(names[taken.from]), .seq = taken.seq };
    const struct holder_event heard = { .kind = HOLDER_EVENT_MESSAGE,
                                        .node = event.node,
                                        .message = &taken.lease };
    if (taken.to == BOARD) {
        step_holder(&heard);
        return;
    }
    event.kind = REPLICA_PERSISTED;
    if (taken.kind == PACKET_RAFT) {
        assert_null(wire_decode(&decoded, (struct bytes){ taken.bytes, taken.length }));
        event.kind = REPLICA_RAFT_MESSAGE;
        event.raft_message = &decoded.raft;
    } else if (taken.kind == PACKET_LEASE) {
        event.kind = REPLICA_LEASE_MESSAGE;
        event.lease_message = &taken.lease;
    }
    step_replica(taken.to, &event);
}

static struct packet *next_due(void)
{
    struct packet *next = NULL;
    for (size_t i = 0; i < PACKETS; i++) {
        struct packet *packet = &rig.packet[i];
        if (packet->kind != PACKET_NONE && packet->due_us <= rig.now.us &&
            (!next || packet->order < next->order))
            next = packet;
    }
    return next;
}

static void run_ms(void)
{
    const struct holder_event tick = { .kind = HOLDER_EVENT_TIMER };
    const struct replica_event timer = { .kind = REPLICA_TIMER };
    rig.now.us += 1000;
    if (rig.deadline_us != 0 && rig.now.us >= rig.deadline_us) {
        rig.deadline_us = 0;
        rig.drops++;
    }
    for (struct packet *due = next_due(); due; due = next_due())
        deliver(due);
    for (int i = 0; i < REPLICAS; i++) {
        for (int n = 0; instant_reached(rig.replica_wake[i], rig.now) && n < 20; n++)
            step_replica(i, &timer);
    }
    if (instant_reached(rig.holder_wake, rig.now))
        step_holder(&tick);
    if (rig.now.us % STATUS_US == 0)
        hear_guard();
}

static void run(int64_t us)
{
    for (; us > 0; us -= 1000)
        run_ms();
}

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
        if (replica_serving(&rig.replica[i]))
            return i;
    }
    return -1;
}

/* ---- set-up */

static void start_replica(int i, uint64_t seed)
{
    struct raft_config raft = { .self = name(names[i]),
                                .election = span_from_ms(ELECTION_MS),
                                .heartbeat = span_from_ms(HEARTBEAT_MS),
                                .random_seed = seed * 3 + (uint64_t)i };
    struct issuer_config issuer = {
        .self = name(names[i]), .drift_ppm = DRIFT_PPM, .policy = &rig.policy, .policy_count = 1
    };
    struct raft_recovered recovered;
    memset(&recovered, 0, sizeof(recovered));
    recovered.members.count = REPLICAS;
    for (int n = 0; n < REPLICAS; n++) {
        recovered.members.member[n].id = name(names[n]);
        recovered.members.member[n].voter = true;
    }
    replica_init(&rig.replica[i], &raft, &issuer, &recovered, rig.now);
    rig.replica_wake[i] = rig.now;
}

static void start_board(void)
{
    struct holder_config config;
    const struct holder_event guard_up = { .kind = HOLDER_EVENT_GUARD_UP };
    memset(&config, 0, sizeof(config));
    config.self = name(names[BOARD]);
    config.drift_ppm = DRIFT_PPM;
    config.guard_silence = span_from_ms(200);
    config.nonce_start = 1;
    config.resource_count = 1;
    config.resource[0].resource = name("pump");
    config.resource[0].ttl = span_from_us(TTL_US);
    config.resource[0].release = span_from_us(RELEASE_US);
    holder_init(&rig.holder, &config, rig.now);
    for (int n = 0; n < REPLICAS; n++) {
        const struct holder_event up = { .kind = HOLDER_EVENT_LINK_UP, .node = name(names[n]) };
        const struct replica_event client = { .kind = REPLICA_CLIENT_UP, .node = name("a") };
        step_holder(&up);
        step_replica(n, &client);
    }
    step_holder(&guard_up);
}

static void set_up_driving(uint64_t seed)
{
    memset(rig.packet, 0, sizeof(rig.packet));
    memset(rig.busy_us, 0, sizeof(rig.busy_us));
    memset(&rig.policy, 0, sizeof(rig.policy));
    rig.policy.resource = name("pump");
    rig.policy.holder_count = 1;
    rig.policy.holder[0] = name("a");
    rig.policy.ttl_max_us = 5000000;
    rig.policy.fence_max_us = 600000000;
    rig.now.us = 1000000;
    random_seed = seed;
    rig.deadline_us = 0;
    rig.token = 0;
    rig.jitter_us = 0;
    for (int from = 0; from < NODES; from++) {
        for (int to = 0; to < NODES; to++)
            rig.delay_us[from][to] = FAST_US;
    }
    for (int i = 0; i < REPLICAS; i++)
        start_replica(i, seed);
    RUN_UNTIL(leader() >= 0, 5000);
    start_board();
    RUN_UNTIL(rig.deadline_us != 0, 2000);
    rig.drops = 0;
}

static void slow_down(int node, int64_t delay_us)
{
    for (int other = 0; other < NODES; other++) {
        if (other != node)
            rig.delay_us[node][other] = rig.delay_us[other][node] = delay_us;
    }
}

/* It gets slow little by little: at no moment does it miss its voters' answers for long. */
static void slow_down_gently(int node, int64_t delay_us)
{
    enum { STEP_US = 5000, EVERY_US = 20000 };
    for (int64_t us = FAST_US; us < delay_us; us += STEP_US) {
        slow_down(node, us);
        run(EVERY_US);
    }
    slow_down(node, delay_us);
}

static int64_t bearable_us(void)
{
    /* Less the turns of this network: each hop waits for the next millisecond. */
    return timing_bearable_delay(span_from_us(TTL_US), span_from_ms(HEARTBEAT_MS),
                                 span_from_us(RELEASE_US), DRIFT_PPM)
               .us -
           2 * FAST_US;
}

/* Some phase of renewals and heartbeats, by the seed. */
static int set_up_leader(uint64_t seed)
{
    enum { PHASES = TTL_US / TIMING_RENEWALS_PER_TTL / 1000 };
    set_up_driving(seed);
    run(1000000 + (int64_t)(seed * 7919 % PHASES) * 1000);
    return leader();
}

/* ---- claims */

static void a_leader_that_stays_slow_costs_the_holder_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        int slow = set_up_leader(seed);
        slow_down_gently(slow, bearable_us());
        run(4000000);
        assert_int_equal(leader(), slow);
        assert_int_equal(rig.drops, 0);
    }
}

static void delays_that_vary_cost_nothing_up_to_the_same_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        int slow = set_up_leader(seed);
        rig.jitter_us = 60000;
        slow_down_gently(slow, bearable_us() - rig.jitter_us);
        run(4000000);
        assert_int_equal(leader(), slow);
        assert_int_equal(rig.drops, 0);
    }
}

/* It misses its voters' answers for an election timeout, and hands over; they still hear it. */
static void a_leader_that_is_slow_at_once_costs_the_holder_nothing(void **state)
{
    unsigned handed_over = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (int64_t delay_us = bearable_us(); delay_us > 50000; delay_us -= 30000) {
            int slow = set_up_leader(seed);
            slow_down(slow, delay_us);
            run(3000000);
            handed_over += leader() != slow;
            if (rig.drops != 0)
                fail_msg("seed %llu, delay %lld us: dropped", (unsigned long long)seed,
                         (long long)delay_us);
        }
    }
    assert_true(handed_over >= 20);
}

static void a_slow_way_to_the_board_alone_costs_nothing(void **state)
{
    /* Two ways only, and no vote of the slow ones. */
    const int64_t delay_us = 2 * bearable_us() - 5 * FAST_US;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        int slow = set_up_leader(seed);
        rig.delay_us[slow][BOARD] = rig.delay_us[BOARD][slow] = delay_us;
        run(3000000);
        assert_int_equal(leader(), slow);
        assert_int_equal(rig.drops, 0);
    }
}

static void slowness_makes_no_more_messages_than_unanswered_renewals(void **state)
{
    (void)state;
    int slow = set_up_leader(1);
    slow_down_gently(slow, bearable_us());
    run(2000000);
    rig.renewals = 0;
    rig.heartbeats = 0;
    run(10 * TTL_US);
    /* Twice per interval, to each issuer; heartbeats as if there were no rounds. */
    assert_in_range(rig.renewals, 0, REPLICAS * 10 * 2 * (TIMING_RENEWALS_PER_TTL + 1));
    assert_in_range(rig.heartbeats, 0, (REPLICAS - 1) * (10 * TTL_US / (HEARTBEAT_MS * 1000) + 2));
    assert_int_equal(rig.drops, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_that_stays_slow_costs_the_holder_nothing),
        cmocka_unit_test(delays_that_vary_cost_nothing_up_to_the_same_bound),
        cmocka_unit_test(a_leader_that_is_slow_at_once_costs_the_holder_nothing),
        cmocka_unit_test(a_slow_way_to_the_board_alone_costs_nothing),
        cmocka_unit_test(slowness_makes_no_more_messages_than_unanswered_renewals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
