/* Whole clusters on a bad network with bad disks: what must hold at every step, for fixed seeds. */
#include "tests/unit/raft/network.h"

enum { HISTORY_MAX = 1 << 15, TERMS_MAX = 1 << 12 };

static struct network world;
static int leader_of_term[TERMS_MAX]; /* 1 + position, 0: none seen */
static uint64_t applied_hash[HISTORY_MAX];
static uint64_t applied_last;
static unsigned restores;
static uint64_t newest_leader_term;
/* By node and round: the newest leader's term when the round was asked for. */
static uint64_t asked_in[NETWORK_NODES_MAX][HISTORY_MAX];
static unsigned confirmations;

/* Election safety: one leader per term. State machine safety: one history. */
static void check_node(struct network *network, int i)
{
    struct node *node = &network->node[i];

    if (node->raft.role == RAFT_LEADER) {
        assert_true(node->raft.term < TERMS_MAX);
        assert_true(leader_of_term[node->raft.term] == 0 ||
                    leader_of_term[node->raft.term] == i + 1);
        leader_of_term[node->raft.term] = i + 1;
    }
    if (node->raft.role == RAFT_LEADER && node->raft.term > newest_leader_term)
        newest_leader_term = node->raft.term;
    if (node->out.confirmed_round) {
        /* No stale confirmation: nobody led a later term when it was asked for. */
        assert_int_equal(node->raft.role, RAFT_LEADER);
        assert_true(asked_in[i][node->out.confirmed_round] <= node->raft.term);
        confirmations++;
    }
    restores += node->out.restore ? 1 : 0;
    assert_true(node->machine_index < HISTORY_MAX);
    if (node->machine_index == 0)
        return;
    if (applied_hash[node->machine_index] == 0)
        applied_hash[node->machine_index] = node->machine_hash;
    assert_int_equal(applied_hash[node->machine_index], node->machine_hash);
    if (node->machine_index > applied_last)
        applied_last = node->machine_index;
    assert_true(node->raft.commit <= node->raft.last_index);
}

/* Log matching: equal index and term in two logs means equal logs up to there. */
static void check_logs_match(const struct network *network)
{
    for (int a = 0; a < network->count; a++) {
        for (int b = a + 1; b < network->count; b++) {
            const struct raft *x = &network->node[a].raft;
            const struct raft *y = &network->node[b].raft;
            uint64_t last = x->last_index < y->last_index ? x->last_index : y->last_index;
            bool matched = false;

            for (uint64_t i = last; i >= x->first_index && i >= y->first_index; i--) {
                bool equal = raft_term_at(x, i) == raft_term_at(y, i);

                assert_true(equal || !matched);
                matched = equal;
                if (equal)
                    assert_memory_equal(raft_entry_at(x, i)->data, raft_entry_at(y, i)->data, 8);
            }
        }
    }
}

static void world_begin(int count, uint64_t seed)
{
    memset(leader_of_term, 0, sizeof leader_of_term);
    memset(applied_hash, 0, sizeof applied_hash);
    applied_last = 0;
    newest_leader_term = 0;
    network_init(&world, count, seed);
    world.after_step = check_node;
}

static void propose_somewhere(struct network *network, unsigned value)
{
    int leader = (int)network_random(network, (unsigned)network->count);
    char text[16];

    if (!network->up[leader])
        return;
    (void)snprintf(text, sizeof text, "%08x", value);
    network_step(network, leader,
                 &(struct raft_event){ .kind = RAFT_EVENT_PROPOSE,
                                       .command = { (const uint8_t *)text, 8 } });
}

static void confirm_somewhere(struct network *network)
{
    int leader = (int)network_random(network, (unsigned)network->count);
    struct node *node = &network->node[leader];

    if (!network->up[leader] || !node->raft.serving)
        return;
    /* Written before the step: a round may be confirmed within it. */
    asked_in[leader][node->raft.round + 1] = newest_leader_term;
    asked_in[leader][node->raft.round + 2] = newest_leader_term;
    network_step(network, leader, &(struct raft_event){ .kind = RAFT_EVENT_CONFIRM });
    assert_int_equal(node->out.refusal, RAFT_ACCEPTED);
}

static void disturb(struct network *network)
{
    int victim = (int)network_random(network, (unsigned)network->count);

    switch (network_random(network, 3000)) {
    case 0:
        if (network->up[victim])
            network_crash(network, victim);
        break;
    case 10:
    case 11:
    case 12:
    case 13:
        if (!network->up[victim])
            network_start(network, victim);
        break;
    case 3:
        network->cut[victim] = true;
        break;
    case 20:
    case 21:
    case 22:
    case 23:
        network->cut[victim] = false;
        break;
    case 6:
        if (network->up[victim])
            network_step(network, victim,
                         &(struct raft_event){
                             .kind = RAFT_EVENT_TRANSFER,
                             .peer = name_number(
                                 1 + (int)network_random(network, (unsigned)network->count)) });
        break;
    case 7:
        network->disk_max_us = 1 + network_random(network, 400000);
        break;
    case 8:
    case 9:
        network->disk_max_us = 1 + network_random(network, 5000);
        break;
    default:
        break;
    }
}

static void heal(struct network *network)
{
    network->loss_percent = 0;
    network->disk_max_us = 5000;
    network->delay_max_us = 3000;
    for (int i = 0; i < network->count; i++) {
        network->cut[i] = false;
        network->disk_at[i] = instant_min(network->disk_at[i], network_later(network, 5000));
        if (!network->up[i])
            network_start(network, i);
    }
}

static bool all_caught_up(const struct network *network, uint64_t index)
{
    for (int i = 0; i < network->count; i++) {
        if (network->node[i].machine_index < index)
            return false;
    }
    return true;
}

/* After all faults end: a leader, a new entry, and everybody applies everything ever applied. */
static void must_recover(struct network *network, uint64_t seed)
{
    uint64_t target = 0;

    heal(network);
    for (int ms = 0; ms < 60000; ms++) {
        int leader = network_serving(network);

        if (leader >= 0 && ms % 2000 == 0) { /* the one before may have gone with its leader */
            node_propose(&network->node[leader], "last");
            if (network->node[leader].out.refusal == RAFT_ACCEPTED)
                target = network->node[leader].out.proposed_index;
            network_after(network, leader);
        }
        network_tick(network);
        if (target > 0 && all_caught_up(network, target) && all_caught_up(network, applied_last))
            return;
    }
    for (int i = 0; i < network->count; i++)
        fprintf(stderr, "n%d: %s term %llu log %llu..%llu commit %llu\n", i + 1,
                raft_role_name(network->node[i].raft.role),
                (unsigned long long)network->node[i].raft.term,
                (unsigned long long)network->node[i].raft.first_index,
                (unsigned long long)network->node[i].raft.last_index,
                (unsigned long long)network->node[i].raft.commit);
    fail_msg("seed %llu: no recovery", (unsigned long long)seed);
}

static void survive(int count, uint64_t seed, int ms, unsigned proposals)
{
    world_begin(count, seed);
    world.loss_percent = network_random(&world, 8);
    world.repeat_percent = network_random(&world, 15);
    world.delay_max_us = 1 + network_random(&world, 30000);
    for (int t = 0; t < ms; t++) {
        network_tick(&world);
        for (unsigned p = 0; p < proposals; p++)
            propose_somewhere(&world, (unsigned)t * 16 + p);
        confirm_somewhere(&world);
        disturb(&world);
        if (t % 64 == 0)
            check_logs_match(&world);
    }
    must_recover(&world, seed);
    check_logs_match(&world);
}

static void clusters_keep_one_history_through_loss_reorder_and_crashes(void **state)
{
    (void)state;
    uint64_t applied = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        survive(seed % 3 == 0 ? 5 : 3, seed, 10000, 1);
        applied += applied_last;
    }
    assert_true(applied > 40 * 100);
    assert_true(confirmations > 40 * 100);
}

static void clusters_under_load_compact_and_install_snapshots(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 106; seed++) {
        survive(3, seed, 10000, 4);
        assert_true(world.node[0].raft.snapshot_durable > 0);
    }
    assert_true(restores > 0);
}

static void a_cut_off_leader_confirms_nothing_and_steps_down(void **state)
{
    (void)state;
    world_begin(3, 7);
    int leader = network_wait_serving(&world);

    assert_true(leader >= 0);
    world.cut[leader] = true;
    network_step(&world, leader, &(struct raft_event){ .kind = RAFT_EVENT_CONFIRM });
    uint64_t round = world.node[leader].out.requested_round;

    assert_true(round > 0);
    for (int ms = 0; ms < TEST_ELECTION_MS + 10; ms++)
        network_tick(&world);
    assert_int_not_equal(world.node[leader].raft.role, RAFT_LEADER);
    assert_true(world.node[leader].confirmed_round < round);
    assert_true(network_wait_serving(&world) >= 0);
    assert_int_not_equal(network_serving(&world), leader);
}

static void a_node_cut_off_for_long_comes_back_without_a_new_election(void **state)
{
    (void)state;
    world_begin(3, 11);
    int leader = network_wait_serving(&world);
    int other = (leader + 1) % 3;
    uint64_t term = world.node[leader].raft.term;

    world.cut[other] = true;
    for (int ms = 0; ms < 5000; ms++)
        network_tick(&world);
    world.cut[other] = false;
    for (int ms = 0; ms < 2000; ms++)
        network_tick(&world);
    assert_int_equal(network_serving(&world), leader);
    assert_int_equal(world.node[leader].raft.term, term);
    assert_int_equal(world.node[other].raft.term, term);
}

enum { SLOW_SYNC_US = 2000000, SLOW_BOUND_MS = 60000 };

/* Who leads dies; ms until another one serves, or SLOW_BOUND_MS. */
static int ms_without_a_leader(unsigned slow)
{
    int leader = network_wait_serving(&world);
    int ms = 0;

    assert_true(leader >= 0);
    for (int i = 1; i < world.count; i++) {
        if (slow & 1u << i)
            world.disk_min_us[(leader + i) % world.count] = SLOW_SYNC_US;
    }
    network_crash(&world, leader);
    while (ms < SLOW_BOUND_MS && network_serving(&world) < 0) {
        network_tick(&world);
        ms++;
    }
    return ms;
}

static void those_whose_disks_take_longer_than_an_election_elect_a_leader(void **state)
{
    static const struct slow {
        int count;
        unsigned disks; /* counted on from the leader that dies */
    } slow[] = { { 3, 6 }, { 3, 2 }, { 3, 4 }, { 5, 30 }, { 5, 14 }, { 5, 6 } };
    (void)state;
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        for (uint64_t seed = 201; seed <= 230; seed++) {
            world_begin(slow[i].count, seed);
            if (ms_without_a_leader(slow[i].disks) == SLOW_BOUND_MS)
                fail_msg("case %zu, seed %llu: nobody leads", i, (unsigned long long)seed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_keep_one_history_through_loss_reorder_and_crashes),
        cmocka_unit_test(clusters_under_load_compact_and_install_snapshots),
        cmocka_unit_test(a_cut_off_leader_confirms_nothing_and_steps_down),
        cmocka_unit_test(a_node_cut_off_for_long_comes_back_without_a_new_election),
        cmocka_unit_test(those_whose_disks_take_longer_than_an_election_elect_a_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
