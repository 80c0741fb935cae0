/* Bugs that were reproduced in other engines, as stories of a cluster that does not have them. */
#include "tests/unit/raft/scenario.h"

static struct cluster world;

static struct raft *raft_of(int number)
{
    return &world.node[number].raft;
}

/*
 * Figure 8 of the Raft paper up to (c). n1 led term 1 and told only n2 of entry 2. n5 led term 2
 * with an entry 2 of its own that nobody else saw. n1 leads again, in term 3, and has brought its
 * old entry 2 to n3 as well: three of five have it. Its own no-op of term 3 has gone nowhere yet.
 */
static void tell_figure_8_until_c(void)
{
    static const uint64_t old_log[] = { 1, 1 };
    struct raft_entry old = { .index = 2, .term = 1, .length = 1, .data = { 'x' } };

    cluster_init(&world, 5);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    for (int i = 3; i <= 5; i++)
        cluster_link(&world, 1, i, false);
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    cluster_assert_log(&world, 2, old_log, 2);
    cluster_crash(&world, 1);
    cluster_heal(&world);
    world.lost[RAFT_APPEND_REQUEST] = true;
    cluster_campaign(&world, 5);
    assert_int_equal(raft_of(5)->role, RAFT_LEADER);
    assert_int_equal(raft_term_at(raft_of(5), 2), 2);
    cluster_crash(&world, 5);
    cluster_restart(&world, 1);
    cluster_campaign(&world, 1); /* learns of term 2 */
    cluster_campaign(&world, 1);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_int_equal(raft_of(1)->term, 3);
    node_receive(&world.node[3], (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                                        .term = 3,
                                                        .from = name_of("n1"),
                                                        .prev_index = 1,
                                                        .prev_term = 1,
                                                        .entry_count = 1,
                                                        .entries = &old });
    cluster_after(&world, 3);
    cluster_settle(&world);
    node_acknowledge(&world.node[1], "n2", 2);
    cluster_after(&world, 1);
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->progress[2].match, 2);
    assert_int_equal(raft_of(1)->commit, 0); /* since its restart it has applied nothing */
    assert_int_equal(world.node[1].machine_index, 0);
}

/* (d): n5 comes back, wins, and its entry of term 2 replaces the one that three nodes have. */
static void figure_8_an_old_entry_on_a_majority_may_still_be_replaced(void **state)
{
    (void)state;
    static const uint64_t result[] = { 1, 2, 4 };

    tell_figure_8_until_c();
    cluster_crash(&world, 1);
    cluster_heal(&world);
    cluster_restart(&world, 5);
    cluster_campaign(&world, 5);
    cluster_campaign(&world, 5);
    cluster_beat(&world, 5);
    cluster_restart(&world, 1);
    cluster_beat(&world, 5);
    cluster_beat(&world, 5);
    cluster_assert_leads(&world, 5, 4);
    for (int i = 1; i <= 5; i++)
        cluster_assert_log(&world, i, result, 3);
    cluster_assert_applied(&world, 3);
}

/* (e): n1's entry of term 3 reached a majority, and with it the old one: n5 can't win any more. */
static void figure_8_an_old_entry_below_a_committed_own_one_stays(void **state)
{
    (void)state;
    tell_figure_8_until_c();
    cluster_heal(&world);
    cluster_crash(&world, 4);
    for (int beats = 0; beats <= TEST_ELECTION_MS / TEST_HEARTBEAT_MS + 1; beats++)
        cluster_beat(&world, 1);
    assert_int_equal(raft_of(1)->commit, 3);
    cluster_crash(&world, 1);
    cluster_restart(&world, 4);
    cluster_restart(&world, 5);
    cluster_campaign(&world, 5);
    cluster_campaign(&world, 5);
    assert_int_not_equal(raft_of(5)->role, RAFT_LEADER);
    assert_int_not_equal(raft_of(5)->role, RAFT_CANDIDATE);
    cluster_run(&world, 10 * TEST_ELECTION_MS);
    assert_in_range(cluster_leader(&world), 2, 3);
    assert_int_equal(raft_term_at(raft_of(5), 2), 1);
    assert_int_equal(raft_term_at(raft_of(5), 3), 3);
    assert_memory_equal(raft_entry_at(raft_of(5), 2)->data, "x", 1);
}

/*
 * n3 has won the votes of n4 and n5 for term 2 when n1, whom nobody has told, hands over to n2.
 * n2 stands in the same term, may pass stickiness, and must get no vote a second time.
 */
static void a_transfer_into_an_election_makes_no_second_leader_of_the_term(void **state)
{
    (void)state;
    cluster_init(&world, 5);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    cluster_link(&world, 3, 1, false);
    cluster_link(&world, 3, 2, false);
    cluster_pass(&world, (int64_t)2 * TEST_ELECTION_MS);
    world.disk_held[3] = true;
    cluster_timer(&world, 3);
    cluster_settle(&world);
    assert_int_equal(raft_of(3)->role, RAFT_CANDIDATE);
    world.disk_held[3] = false;
    world.lost[RAFT_APPEND_REQUEST] = true; /* else n2's log would be out of date as well */
    cluster_complete(&world, 3, 1);
    cluster_settle(&world);
    assert_int_equal(raft_of(3)->role, RAFT_LEADER);
    assert_int_equal(raft_of(3)->term, 2);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_int_equal(cluster_transfer(&world, 1, 2), RAFT_ACCEPTED);
    assert_int_equal(world.sent[RAFT_TIMEOUT_NOW], 1);
    assert_int_equal(raft_of(2)->term, 2);
    assert_int_equal(raft_of(2)->role, RAFT_CANDIDATE);
    for (int i = 4; i <= 5; i++)
        assert_true(name_equal(&world.node[i].disk.state.vote, &(struct hf_name){ "n3" }));
    cluster_heal(&world);
    cluster_beat(&world, 3);
    cluster_beat(&world, 3);
    cluster_assert_leads(&world, 3, 2);
    cluster_assert_applied(&world, 2);
}

/* The other way round: the votes went to the successor first. */
static void an_election_into_a_transfer_makes_no_second_leader_of_the_term(void **state)
{
    (void)state;
    cluster_init(&world, 5);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    cluster_pass(&world, (int64_t)2 * TEST_ELECTION_MS);
    world.disk_held[3] = true;
    cluster_timer(&world, 3); /* its pre-vote is won, its own vote still on the way to the disk */
    cluster_settle(&world);
    assert_int_equal(raft_of(3)->role, RAFT_CANDIDATE);
    assert_int_equal(cluster_transfer(&world, 1, 2), RAFT_ACCEPTED);
    assert_int_equal(raft_of(2)->role, RAFT_LEADER);
    assert_int_equal(raft_of(2)->term, 2);
    world.disk_held[3] = false;
    cluster_complete(&world, 3, world.node[3].pending_count);
    cluster_settle(&world);
    assert_int_not_equal(raft_of(3)->role, RAFT_LEADER);
    cluster_beat(&world, 2);
    cluster_beat(&world, 2);
    cluster_assert_leads(&world, 2, 2);
    cluster_assert_applied(&world, 2);
}

/* A vote that only memory knew would be given again after a restart. */
static void a_voter_that_crashes_before_its_vote_is_durable_has_promised_nothing(void **state)
{
    (void)state;
    cluster_init(&world, 3);
    cluster_isolate(&world, 3);
    world.disk_held[2] = true;
    cluster_campaign(&world, 1);
    assert_int_equal(raft_of(1)->role, RAFT_CANDIDATE); /* n2 has decided, and not answered */
    assert_true(name_equal(&raft_of(2)->vote, &(struct hf_name){ "n1" }));
    cluster_crash(&world, 2);
    world.disk_held[2] = false;
    cluster_heal(&world);
    cluster_isolate(&world, 1);
    cluster_restart(&world, 2);
    cluster_campaign(&world, 3);
    assert_int_equal(raft_of(3)->role, RAFT_LEADER);
    assert_int_equal(raft_of(3)->term, 1);
    cluster_heal(&world);
    cluster_beat(&world, 3);
    cluster_beat(&world, 3);
    cluster_assert_leads(&world, 3, 1);
}

/*
 * The single-server membership bug (Ongaro, raft-dev, 10 July 2015), up to where it went wrong.
 * n1 led term 1 of {n1..n4}; it has made n5 a voter, which only n1 and n5 know, and stopped. n2
 * leads term 2 by the votes of n3 and n4, under the old configuration. Its first entry reaches n3,
 * and n4 if that is told; then n2 is asked to remove n4.
 */
static enum raft_refusal tell_2015_until_the_second_change(bool told_n4)
{
    cluster_init_spare(&world, 5, 4);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 5), RAFT_ACCEPTED);
    for (int beats = 0; beats < 3; beats++)
        cluster_beat(&world, 1);
    for (int i = 2; i <= 4; i++)
        cluster_link(&world, 1, i, false);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 5), RAFT_ACCEPTED);
    assert_int_equal(raft_quorum(&raft_of(5)->members), 3);
    assert_int_equal(raft_voter_count(&raft_of(5)->members), 5);
    assert_int_equal(raft_voter_count(&raft_of(2)->members), 4);
    cluster_crash(&world, 1);
    cluster_link(&world, 2, 5, false);
    cluster_pass(&world, (int64_t)2 * TEST_ELECTION_MS);
    world.lost[RAFT_APPEND_REQUEST] = true;
    cluster_timer(&world, 2);
    cluster_settle(&world);
    assert_int_equal(raft_of(2)->role, RAFT_LEADER);
    assert_int_equal(raft_of(2)->term, 2);
    cluster_link(&world, 2, 4, told_n4);
    world.lost[RAFT_APPEND_REQUEST] = false;
    for (int beats = 0; beats < 5; beats++)
        cluster_beat(&world, 2);
    return cluster_change(&world, 2, RAFT_CHANGE_REMOVE, 4);
}

/*
 * n2 has told n3 alone. Were it to remove n4 now, {n2, n3} would be a majority of the three that
 * are left, and n2 would commit with it, while n1, n4 and n5, a majority of the five that n1 and
 * n5 know, elect n1, which overwrites what was committed. So n2 must wait.
 */
static void no_change_of_a_leader_whose_term_has_no_committed_entry(void **state)
{
    (void)state;
    assert_int_equal(tell_2015_until_the_second_change(false), RAFT_NOT_LEADER);
    uint64_t acknowledged = raft_of(2)->commit;
    assert_int_equal(cluster_propose(&world, 2, "of n2"), 0);
    cluster_heal(&world);
    for (int i = 2; i <= 3; i++) {
        for (int k = 1; k <= 5; k++)
            cluster_link(&world, i, k, k == 2 || k == 3);
    }
    cluster_restart(&world, 1);
    cluster_campaign(&world, 1);
    cluster_campaign(&world, 1);
    /* The other majority does lead; nothing that anybody was told is lost by that. */
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_true(raft_of(1)->commit >= acknowledged);
    assert_true(cluster_propose(&world, 1, "of n1") > 0);
    cluster_heal(&world);
    for (int beats = 0; beats < 8; beats++)
        cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, raft_of(1)->term);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(raft_voter_count(&raft_of(i)->members), 5);
    cluster_assert_applied(&world, raft_of(1)->last_index);
}

/* With its first entry at n3 and n4, n2 may; and n4's log keeps n1 from ever leading again. */
static void a_change_after_a_committed_entry_leaves_the_other_majority_no_leader(void **state)
{
    (void)state;
    assert_int_equal(tell_2015_until_the_second_change(true), RAFT_ACCEPTED);
    uint64_t acknowledged = cluster_propose(&world, 2, "of n2");
    cluster_beat(&world, 2);
    assert_true(acknowledged > 0);
    assert_int_equal(raft_of(2)->commit, acknowledged);
    cluster_heal(&world);
    for (int i = 2; i <= 3; i++) {
        for (int k = 1; k <= 5; k++)
            cluster_link(&world, i, k, k == 2 || k == 3);
    }
    cluster_restart(&world, 1);
    for (int tries = 0; tries < 4; tries++) {
        cluster_campaign(&world, 1);
        assert_int_not_equal(raft_of(1)->role, RAFT_LEADER);
    }
    cluster_heal(&world);
    cluster_run(&world, 20 * TEST_ELECTION_MS);
    assert_in_range(cluster_leader(&world), 2, 3);
    assert_false(raft_change_pending(raft_of(1)));
    assert_int_equal(raft_voter_count(&raft_of(1)->members), 3);
    assert_true(raft_of(1)->commit >= acknowledged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figure_8_an_old_entry_on_a_majority_may_still_be_replaced),
        cmocka_unit_test(figure_8_an_old_entry_below_a_committed_own_one_stays),
        cmocka_unit_test(a_transfer_into_an_election_makes_no_second_leader_of_the_term),
        cmocka_unit_test(an_election_into_a_transfer_makes_no_second_leader_of_the_term),
        cmocka_unit_test(no_change_of_a_leader_whose_term_has_no_committed_entry),
        cmocka_unit_test(a_change_after_a_committed_entry_leaves_the_other_majority_no_leader),
        cmocka_unit_test(a_voter_that_crashes_before_its_vote_is_durable_has_promised_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
