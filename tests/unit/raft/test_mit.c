/*
 * The exercises of MIT's distributed systems course, as facts about whole clusters: elections (2A),
 * agreement (2B), crashes (2C), snapshots (2D). Every step is watched: one leader per term, one
 * history; and what a client was told is committed stays where it is.
 */
#include "tests/unit/raft/network.h"
#include "tests/unit/raft/scenario.h"

enum { PROMISES_MAX = 1 << 12, WAIT_MS = 10000, LONG_MS = 3 * TEST_ELECTION_MS };

static struct network world;
static struct cluster quiet; /* no delays, nothing by chance: for counting messages */
static struct history history;

/* A proposal that was accepted and, once its leader has applied it, acknowledged. */
struct promise {
    int leader;
    uint64_t index;
    uint64_t term;
};

static struct promise open_promises[PROMISES_MAX];
static size_t open_count;
static uint64_t acknowledged_term[HISTORY_ENTRIES_MAX]; /* by index; 0: none */
static unsigned acknowledged;

static void observe(struct network *network, int i)
{
    history_observe(&history, &network->node[i], i + 1);
}

static void begin(int count, uint64_t seed)
{
    memset(&history, 0, sizeof history);
    memset(acknowledged_term, 0, sizeof acknowledged_term);
    open_count = 0;
    acknowledged = 0;
    network_init(&world, count, seed);
    world.after_step = observe;
}

static struct raft *raft_of(int i)
{
    return &world.node[i].raft;
}

static bool in_touch(int i)
{
    return world.up[i] && !world.cut[i];
}

/* ---- clients */

/* Returns the index that it may get, 0 if it was refused. */
static uint64_t propose(int i, unsigned value)
{
    uint64_t last = raft_of(i)->last_index;
    char text[16];

    (void)snprintf(text, sizeof text, "%08x", value);
    network_step(&world, i,
                 &(struct raft_event){ .kind = RAFT_EVENT_PROPOSE,
                                       .command = { (const uint8_t *)text, 8 } });
    return raft_of(i)->last_index > last ? raft_of(i)->last_index : 0;
}

static void propose_tracked(int i, unsigned value)
{
    uint64_t index = propose(i, value);

    if (index > 0 && open_count < PROMISES_MAX)
        open_promises[open_count++] = (struct promise){ i, index, raft_of(i)->term };
}

static void track_promises(void)
{
    size_t kept = 0;

    for (size_t p = 0; p < open_count; p++) {
        const struct promise *promise = &open_promises[p];
        const struct node *node = &world.node[promise->leader];

        if (!world.up[promise->leader] || node->raft.term != promise->term ||
            node->raft.role != RAFT_LEADER)
            continue; /* nobody will tell the client */
        if (node->machine_index < promise->index) {
            open_promises[kept++] = *promise;
            continue;
        }
        assert_int_equal(acknowledged_term[promise->index], 0);
        acknowledged_term[promise->index] = promise->term;
        acknowledged++;
    }
    open_count = kept;
}

/* What was acknowledged is in every log that reaches so far. */
static void check_promises(void)
{
    for (int i = 0; i < world.count; i++) {
        const struct raft *raft = raft_of(i);

        for (uint64_t at = raft->first_index; at <= raft->commit; at++) {
            if (acknowledged_term[at])
                assert_int_equal(raft_term_at(raft, at), acknowledged_term[at]);
        }
    }
}

static void run(int ms)
{
    for (int t = 0; t < ms; t++) {
        network_tick(&world);
        track_promises();
    }
}

static bool all_in_touch_applied(uint64_t index)
{
    for (int i = 0; i < world.count; i++) {
        if (in_touch(i) && world.node[i].machine_index < index)
            return false;
    }
    return true;
}

static int wait_leader(void)
{
    int leader = network_wait_serving(&world);

    assert_true(leader >= 0);
    return leader;
}

/* A new entry is applied by everybody in touch; returns its index. Tries again if it gets lost. */
static uint64_t agree(void)
{
    uint64_t index = 0;
    uint64_t term = 0;
    int leader = -1;

    for (int ms = 0; ms < WAIT_MS; ms++) {
        if (index == 0 || ms % 2000 == 1999) {
            leader = wait_leader();
            term = raft_of(leader)->term;
            index = propose(leader, 0xa9);
        }
        network_tick(&world);
        if (index == 0 || !all_in_touch_applied(index))
            continue;
        if (raft_term_at(raft_of(leader), index) == term)
            return index;
        index = 0;
    }
    fail_msg("no agreement");
    return 0;
}

static void assert_nobody_serves(void)
{
    assert_int_equal(network_serving(&world), -1);
}

static int other_than(int i)
{
    return (i + 1) % world.count;
}

static void cut(int i, bool is_cut)
{
    world.cut[i] = is_cut;
}

static void heal(void)
{
    for (int i = 0; i < world.count; i++) {
        cut(i, false);
        if (!world.up[i])
            network_start(&world, i);
    }
}

/* ---- 2A: elections */

static void a_leader_is_elected_and_stays_while_nothing_fails(void **state)
{
    (void)state;
    begin(3, 1);
    int leader = wait_leader();
    uint64_t term = raft_of(leader)->term;

    run(20 * TEST_ELECTION_MS);
    assert_int_equal(network_serving(&world), leader);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(raft_of(i)->term, term);
        assert_true(name_equal(&raft_of(i)->leader, &world.node[leader].config.self));
    }
}

static void leaders_come_and_go_with_the_majority(void **state)
{
    (void)state;
    begin(3, 2);
    int first = wait_leader();

    cut(first, true);
    run(LONG_MS);
    int second = wait_leader();
    uint64_t term = raft_of(second)->term;

    assert_int_not_equal(second, first);
    cut(first, false); /* the old one does not disturb the new */
    run(LONG_MS);
    assert_int_equal(network_serving(&world), second);
    assert_int_equal(raft_of(first)->term, term);
    cut(second, true);
    cut(other_than(second), true);
    run(LONG_MS);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(raft_of(i)->role, RAFT_LEADER);
    cut(other_than(second), false);
    run(LONG_MS);
    int third = wait_leader();

    cut(second, false);
    run(LONG_MS);
    assert_int_equal(network_serving(&world), third);
}

static void elections_succeed_again_and_again_while_two_of_five_are_away(void **state)
{
    (void)state;
    begin(5, 3);
    for (int round = 0; round < 10; round++) {
        int a = (int)network_random(&world, 5);
        int b = (int)network_random(&world, 5);

        (void)wait_leader();
        cut(a, true);
        cut(b, true);
        run(LONG_MS);
        (void)wait_leader();
        heal();
    }
    (void)agree();
}

/* ---- 2B: agreement */

static void entries_are_agreed_in_order_by_all(void **state)
{
    (void)state;
    begin(5, 4);
    for (uint64_t i = 2; i <= 4; i++)
        assert_int_equal(agree(), i);
}

static void begin_quiet(void)
{
    cluster_init(&quiet, 3);
    cluster_campaign(&quiet, 1);
    cluster_beat(&quiet, 1);
}

static void each_entry_is_sent_to_each_peer_once(void **state)
{
    (void)state;
    begin_quiet();
    unsigned before = quiet.sent[RAFT_APPEND_REQUEST];

    for (int i = 0; i < 10; i++)
        assert_true(cluster_propose(&quiet, 1, "some data") > 0);
    assert_int_equal(quiet.sent[RAFT_APPEND_REQUEST] - before, 20);
}

static void a_leader_alone_commits_nothing_once_its_followers_fail_one_by_one(void **state)
{
    (void)state;
    begin(3, 5);
    int leader = wait_leader();

    (void)agree();
    cut(other_than(leader), true);
    uint64_t index = agree();

    cut(other_than(other_than(leader)), true);
    (void)propose(leader, 1);
    run(LONG_MS);
    assert_int_equal(world.node[leader].machine_index, index);
    assert_nobody_serves();
}

static void agreement_goes_on_when_leaders_fail_until_no_majority_is_left(void **state)
{
    (void)state;
    begin(3, 6);
    (void)agree();
    int first = wait_leader();

    cut(first, true);
    run(LONG_MS);
    (void)agree();
    int second = wait_leader();
    uint64_t applied = history.applied_last;

    cut(second, true);
    (void)propose(second, 1);
    run(LONG_MS);
    assert_int_equal(history.applied_last, applied);
    assert_nobody_serves();
}

static void a_follower_that_was_away_catches_up(void **state)
{
    (void)state;
    begin(3, 7);
    int away = other_than(wait_leader());

    (void)agree();
    cut(away, true);
    for (int i = 0; i < 5; i++)
        (void)agree();
    run(LONG_MS);
    (void)agree();
    cut(away, false);
    uint64_t index = agree();

    assert_true(world.node[away].machine_index >= index);
}

static void too_many_followers_away_means_no_agreement_and_none_is_pretended(void **state)
{
    (void)state;
    begin(5, 8);
    uint64_t index = agree();
    int leader = wait_leader();

    for (int i = 1; i <= 3; i++)
        cut((leader + i) % 5, true);
    propose_tracked(leader, 1);
    run(2 * LONG_MS);
    assert_int_equal(history.applied_last, index);
    assert_int_equal(acknowledged, 0);
    heal();
    assert_true(agree() > index);
    check_promises();
}

static void concurrent_proposals_get_indices_of_their_own(void **state)
{
    (void)state;
    begin(3, 9);
    int leader = wait_leader();
    uint64_t first = propose(leader, 0);

    for (uint64_t i = 1; i < 5; i++)
        assert_int_equal(propose(leader, (unsigned)i), first + i);
    (void)agree();
    for (int n = 0; n < 3; n++) {
        for (unsigned i = 0; i < 5; i++) {
            char text[16];

            (void)snprintf(text, sizeof text, "%08x", i);
            assert_memory_equal(raft_entry_at(raft_of(n), first + i)->data, text, 8);
        }
    }
}

static void what_a_cut_off_leader_took_in_gives_way_when_it_rejoins(void **state)
{
    (void)state;
    begin(3, 10);
    (void)agree();
    int first = wait_leader();

    cut(first, true);
    for (unsigned i = 0; i < 3; i++)
        propose_tracked(first, 100 + i);
    run(LONG_MS);
    (void)agree();
    int second = wait_leader();

    cut(second, true);
    cut(first, false);
    run(LONG_MS);
    (void)agree();
    cut(second, false);
    (void)agree();
    assert_int_equal(acknowledged, 0);
}

/* Leaders in minorities pile up entries that conflict with each other's. */
static void long_conflicting_logs_are_brought_into_line_quickly(void **state)
{
    (void)state;
    begin(5, 11);
    (void)agree();
    for (int round = 0; round < 4; round++) {
        int leader = wait_leader();

        for (int i = 1; i <= 3; i++)
            cut((leader + i) % 5, true);
        for (unsigned i = 0; i < 50; i++)
            propose_tracked(leader, i);
        run(20);
        cut(leader, true);
        cut((leader + 4) % 5, true);
        for (int i = 1; i <= 3; i++)
            cut((leader + i) % 5, false);
        run(LONG_MS);
        leader = wait_leader();
        for (unsigned i = 0; i < 50; i++)
            propose_tracked(leader, i);
        run(100);
        heal();
    }
    int leader = wait_leader();

    run(TEST_ELECTION_MS);
    for (int i = 0; i < 5; i++)
        assert_int_equal(raft_of(i)->last_index, raft_of(leader)->last_index);
    assert_int_equal(acknowledged, 200);
    check_promises();
}

static void few_messages_are_sent_for_an_election_for_agreement_and_for_nothing(void **state)
{
    (void)state;
    cluster_init(&quiet, 3);
    cluster_campaign(&quiet, 1);
    assert_int_equal(quiet.sent[RAFT_VOTE_REQUEST], 4); /* twice to two peers */
    assert_int_equal(quiet.sent[RAFT_VOTE_REPLY], 4);
    cluster_beat(&quiet, 1);
    unsigned appends = quiet.sent[RAFT_APPEND_REQUEST];
    unsigned heartbeats = quiet.sent[RAFT_HEARTBEAT];

    cluster_run(&quiet, 20 * TEST_HEARTBEAT_MS);
    assert_int_equal(quiet.sent[RAFT_APPEND_REQUEST], appends);
    assert_int_equal(quiet.sent[RAFT_HEARTBEAT] - heartbeats, 40);
    assert_int_equal(quiet.sent[RAFT_VOTE_REQUEST], 4);
}

/* ---- 2C: crashes */

static void crash(int i)
{
    if (world.up[i])
        network_crash(&world, i);
}

static void restart(int i)
{
    if (!world.up[i])
        network_start(&world, i);
}

static void agreement_outlives_restarts_of_all_of_one_and_of_leaders(void **state)
{
    (void)state;
    begin(3, 12);
    uint64_t index = agree();

    for (int i = 0; i < 3; i++)
        crash(i);
    heal();
    assert_true(agree() > index);
    int leader = wait_leader();

    crash(leader);
    restart(leader);
    index = agree();
    leader = wait_leader();
    crash(leader);
    (void)agree();
    restart(leader);
    int follower = other_than(wait_leader());

    crash(follower);
    (void)agree();
    restart(follower);
    assert_true(agree() > index);
}

static void agreement_outlives_rotating_crashes_of_majorities(void **state)
{
    (void)state;
    begin(5, 13);
    uint64_t last = 0;

    for (int round = 0; round < 5; round++) {
        uint64_t index = agree();
        int leader = wait_leader();

        assert_true(index > last);
        last = index;
        crash((leader + 1) % 5);
        crash((leader + 2) % 5);
        (void)agree();
        crash(leader);
        crash((leader + 3) % 5);
        crash((leader + 4) % 5);
        restart((leader + 1) % 5);
        restart((leader + 2) % 5);
        run(LONG_MS);
        assert_nobody_serves();
        restart((leader + 3) % 5);
        run(LONG_MS);
        (void)agree();
        heal();
    }
}

static void a_leader_and_a_follower_that_crash_together_lose_nothing(void **state)
{
    (void)state;
    begin(3, 14);
    uint64_t index = agree();
    int leader = wait_leader();

    cut((leader + 2) % 3, true);
    (void)agree();
    crash(leader);
    crash((leader + 1) % 3);
    cut((leader + 2) % 3, false);
    restart(leader);
    run(LONG_MS);
    assert_true(agree() > index);
    restart((leader + 1) % 3);
    (void)agree();
}

/* Leaders crash right after a proposal, so that old-term entries lie about (Figure 8). */
static void leaders_that_crash_in_mid_replication_commit_nothing_twice(void **state)
{
    (void)state;
    begin(5, 15);
    for (unsigned round = 0; round < 120; round++) {
        int leader = network_serving(&world);
        int back = (int)network_random(&world, 5);
        int up = 0;

        if (leader >= 0)
            propose_tracked(leader, round);
        run(1 + (int)network_random(&world, network_random(&world, 10) == 0 ? 400 : 12));
        if (leader >= 0)
            crash(leader);
        for (int i = 0; i < 5; i++)
            up += world.up[i] ? 1 : 0;
        if (up < 3)
            restart(back);
        run(50);
    }
    heal();
    (void)agree();
    check_promises();
    assert_true(history.applied_last > 20);
}

static void make_unreliable(void)
{
    world.loss_percent = 10;
    world.repeat_percent = 10;
    world.delay_max_us = 27000;
}

static void agreement_is_reached_though_messages_are_lost_repeated_and_late(void **state)
{
    (void)state;
    begin(5, 16);
    make_unreliable();
    for (int i = 0; i < 50; i++)
        (void)agree();
    assert_true(history.applied_last >= 51);
}

/* ---- churn: faults and clients together */

struct churn {
    int count;
    int ms;
    unsigned proposals;  /* per millisecond */
    unsigned cut_one_in; /* milliseconds between changes, on average; 0: never */
    unsigned crash_one_in;
    bool unreliable;
};

static unsigned count_away(void)
{
    unsigned away = 0;

    for (int i = 0; i < world.count; i++)
        away += in_touch(i) ? 0 : 1;
    return away;
}

/* Takes one node away, a leader as often as not; gives one back if no more may be missing. */
static void disturb_links(void)
{
    int leader = network_serving(&world);
    int start = (int)network_random(&world, (unsigned)world.count);

    if (count_away() < (unsigned)(world.count - 1) / 2) {
        cut(leader >= 0 && network_random(&world, 2) == 0 ? leader : start, true);
        return;
    }
    for (int i = 0; i < world.count; i++) {
        if (world.cut[(start + i) % world.count]) {
            cut((start + i) % world.count, false);
            return;
        }
    }
}

static void disturb_power(void)
{
    int leader = network_serving(&world);
    int start = (int)network_random(&world, (unsigned)world.count);

    if (count_away() < (unsigned)(world.count - 1) / 2) {
        crash(leader >= 0 && network_random(&world, 2) == 0 ? leader : start);
        return;
    }
    for (int i = 0; i < world.count; i++) {
        if (!world.up[(start + i) % world.count]) {
            restart((start + i) % world.count);
            return;
        }
    }
}

static void disturb(const struct churn *churn)
{
    if (churn->cut_one_in && network_random(&world, churn->cut_one_in) == 0)
        disturb_links();
    if (churn->crash_one_in && network_random(&world, churn->crash_one_in) == 0)
        disturb_power();
}

/* Clients ask everybody, leader or not; then all faults end, and everybody gets everything. */
static void survive(const struct churn *churn, uint64_t seed)
{
    begin(churn->count, seed);
    if (churn->unreliable)
        make_unreliable();
    for (int t = 0; t < churn->ms; t++) {
        int asked = (int)network_random(&world, (unsigned)world.count);

        for (unsigned p = 0; p < churn->proposals && world.up[asked]; p++)
            propose_tracked(asked, (unsigned)t);
        run(1);
        disturb(churn);
    }
    heal();
    world.loss_percent = 0;
    assert_true(agree() > acknowledged);
    assert_true(all_in_touch_applied(history.applied_last));
    check_promises();
    assert_true(acknowledged > (unsigned)churn->ms / 100);
}

static void figure_8_on_a_bad_network_keeps_one_history(void **state)
{
    (void)state;
    survive(
        &(struct churn){
            .count = 5, .ms = 20000, .proposals = 1, .cut_one_in = 120, .unreliable = true },
        17);
    assert_true(raft_of(0)->term > 10);
}

static void clients_lose_nothing_while_nodes_come_and_go(void **state)
{
    (void)state;
    survive(
        &(struct churn){
            .count = 5, .ms = 20000, .proposals = 1, .cut_one_in = 400, .crash_one_in = 400 },
        18);
}

static void clients_lose_nothing_on_a_bad_network_either(void **state)
{
    (void)state;
    survive(&(struct churn){ .count = 5,
                             .ms = 20000,
                             .proposals = 1,
                             .cut_one_in = 400,
                             .crash_one_in = 400,
                             .unreliable = true },
            19);
}

/* ---- 2D: snapshots */

static void check_compacted(void)
{
    for (int i = 0; i < world.count; i++) {
        assert_true(raft_of(i)->snapshot_durable > 0);
        assert_true(raft_of(i)->last_index - raft_of(i)->first_index < RAFT_LOG_MAX);
    }
    assert_true(history.applied_last > 2 * RAFT_COMPACT_AT);
}

static void logs_stay_short_by_snapshots(void **state)
{
    (void)state;
    survive(&(struct churn){ .count = 3, .ms = 3000, .proposals = 4 }, 20);
    check_compacted();
}

static void nodes_that_were_cut_off_are_restored_by_snapshot(void **state)
{
    (void)state;
    survive(&(struct churn){ .count = 3, .ms = 6000, .proposals = 3, .cut_one_in = 900 }, 21);
    check_compacted();
}

static void nodes_are_restored_by_snapshot_over_a_bad_network(void **state)
{
    (void)state;
    survive(
        &(struct churn){
            .count = 3, .ms = 6000, .proposals = 3, .cut_one_in = 900, .unreliable = true },
        22);
    check_compacted();
}

static void nodes_that_crashed_are_restored_by_snapshot(void **state)
{
    (void)state;
    survive(&(struct churn){ .count = 3, .ms = 6000, .proposals = 3, .crash_one_in = 900 }, 23);
    check_compacted();
}

static void nodes_that_crashed_are_restored_over_a_bad_network(void **state)
{
    (void)state;
    survive(
        &(struct churn){
            .count = 3, .ms = 6000, .proposals = 3, .crash_one_in = 900, .unreliable = true },
        24);
    check_compacted();
}

static void load(unsigned entries)
{
    uint64_t target = history.applied_last + entries;

    for (int ms = 0; ms < WAIT_MS && history.applied_last < target; ms++) {
        int leader = network_serving(&world);

        for (int p = 0; p < 4 && leader >= 0; p++)
            propose_tracked(leader, (unsigned)ms);
        run(1);
    }
    assert_true(history.applied_last >= target);
}

static void everybody_crashes_and_goes_on_from_the_snapshots(void **state)
{
    (void)state;
    begin(3, 25);
    for (int round = 0; round < 4; round++) {
        load(RAFT_COMPACT_AT);
        uint64_t index = agree();

        for (int i = 0; i < 3; i++)
            crash(i);
        heal();
        assert_true(agree() > index);
    }
    check_promises();
    check_compacted();
}

/* A second restart, after some entries but no new snapshot, begins at the old snapshot. */
static void restarts_soon_after_a_restart_keep_snapshot_and_log_together(void **state)
{
    (void)state;
    begin(3, 26);
    load(RAFT_COMPACT_AT);
    run(100);
    uint64_t snapshot = raft_of(0)->snapshot_durable;

    assert_true(snapshot > 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            crash(i);
        heal();
        assert_int_equal(raft_of(0)->commit, snapshot);
        assert_int_equal(world.node[0].machine_index, snapshot);
        (void)agree();
        assert_int_equal(raft_of(0)->snapshot_durable, snapshot);
    }
    check_promises();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_is_elected_and_stays_while_nothing_fails),
        cmocka_unit_test(leaders_come_and_go_with_the_majority),
        cmocka_unit_test(elections_succeed_again_and_again_while_two_of_five_are_away),
        cmocka_unit_test(entries_are_agreed_in_order_by_all),
        cmocka_unit_test(each_entry_is_sent_to_each_peer_once),
        cmocka_unit_test(a_leader_alone_commits_nothing_once_its_followers_fail_one_by_one),
        cmocka_unit_test(agreement_goes_on_when_leaders_fail_until_no_majority_is_left),
        cmocka_unit_test(a_follower_that_was_away_catches_up),
        cmocka_unit_test(too_many_followers_away_means_no_agreement_and_none_is_pretended),
        cmocka_unit_test(concurrent_proposals_get_indices_of_their_own),
        cmocka_unit_test(what_a_cut_off_leader_took_in_gives_way_when_it_rejoins),
        cmocka_unit_test(long_conflicting_logs_are_brought_into_line_quickly),
        cmocka_unit_test(few_messages_are_sent_for_an_election_for_agreement_and_for_nothing),
        cmocka_unit_test(agreement_outlives_restarts_of_all_of_one_and_of_leaders),
        cmocka_unit_test(agreement_outlives_rotating_crashes_of_majorities),
        cmocka_unit_test(a_leader_and_a_follower_that_crash_together_lose_nothing),
        cmocka_unit_test(leaders_that_crash_in_mid_replication_commit_nothing_twice),
        cmocka_unit_test(agreement_is_reached_though_messages_are_lost_repeated_and_late),
        cmocka_unit_test(figure_8_on_a_bad_network_keeps_one_history),
        cmocka_unit_test(clients_lose_nothing_while_nodes_come_and_go),
        cmocka_unit_test(clients_lose_nothing_on_a_bad_network_either),
        cmocka_unit_test(logs_stay_short_by_snapshots),
        cmocka_unit_test(nodes_that_were_cut_off_are_restored_by_snapshot),
        cmocka_unit_test(nodes_are_restored_by_snapshot_over_a_bad_network),
        cmocka_unit_test(nodes_that_crashed_are_restored_by_snapshot),
        cmocka_unit_test(nodes_that_crashed_are_restored_over_a_bad_network),
        cmocka_unit_test(everybody_crashes_and_goes_on_from_the_snapshots),
        cmocka_unit_test(restarts_soon_after_a_restart_keep_snapshot_and_log_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
