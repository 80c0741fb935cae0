/* Changes of the configuration: one server at a time, learner first, in effect from the log. */
#include "tests/unit/raft/scenario.h"

static struct cluster world;

static struct raft *raft_of(int number)
{
    return &world.node[number].raft;
}

static bool is_member(int at, int number)
{
    struct hf_name name = name_number(number);

    return raft_member_index(&raft_of(at)->members, &name) >= 0;
}

static bool votes(int at, int number)
{
    struct hf_name name = name_number(number);

    return raft_is_voter(raft_of(at), &name);
}

static const struct raft_progress *progress_of(int leader, int number)
{
    struct hf_name name = name_number(number);

    return &raft_of(leader)->progress[raft_member_index(&raft_of(leader)->members, &name)];
}

/* n1 leads `voters` of `count` nodes, and serves. */
static void led_by_n1(int count, int voters)
{
    cluster_init_spare(&world, count, voters);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    assert_true(raft_of(1)->serving);
}

static void beats(int leader, int count)
{
    for (int i = 0; i < count; i++)
        cluster_beat(&world, leader);
}

static void add_and_promote(int leader, int number)
{
    assert_int_equal(cluster_change(&world, leader, RAFT_CHANGE_ADD, number), RAFT_ACCEPTED);
    beats(leader, 3);
    assert_int_equal(cluster_change(&world, leader, RAFT_CHANGE_PROMOTE, number), RAFT_ACCEPTED);
    beats(leader, 2);
}

/* ---- adding and promoting */

static void an_issuer_is_added_as_a_learner_with_its_address(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    (void)cluster_propose(&world, 1, "before");
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 4), RAFT_ACCEPTED);
    beats(1, 3);
    for (int i = 1; i <= 4; i++) {
        assert_true(is_member(i, 4));
        assert_false(votes(i, 4));
        assert_string_equal(raft_of(i)->members.member[3].address, "host:1");
        assert_int_equal(raft_of(i)->members_index, 3);
        assert_false(raft_change_pending(raft_of(i)));
    }
    cluster_assert_applied(&world, 3);
    assert_int_equal(raft_of(4)->election_at.us, INT64_MAX);
}

static void a_learner_counts_for_nothing(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 4);
    beats(1, 3);
    cluster_isolate(&world, 2);
    cluster_isolate(&world, 3);
    uint64_t index = cluster_propose(&world, 1, "x");
    beats(1, 2);
    assert_int_equal(progress_of(1, 4)->match, index);
    assert_true(raft_of(1)->commit < index);
    node_event(&world.node[1], RAFT_EVENT_CONFIRM);
    cluster_after(&world, 1);
    cluster_settle(&world);
    assert_true(progress_of(1, 4)->confirmed_round > 0);
    assert_true(raft_of(1)->round_confirmed < raft_of(1)->round);
    cluster_run(&world, 2 * TEST_ELECTION_MS);
    assert_int_not_equal(raft_of(1)->role, RAFT_LEADER); /* check-quorum */
    assert_null(node_sent_to(&world.node[1], RAFT_VOTE_REQUEST, "n4"));
}

static void a_promoted_learner_votes_counts_and_campaigns(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    add_and_promote(1, 4);
    assert_int_equal(raft_quorum(&raft_of(1)->members), 3);
    assert_true(votes(4, 4));
    assert_int_not_equal(raft_of(4)->election_at.us, INT64_MAX);
    cluster_isolate(&world, 3);
    uint64_t index = cluster_propose(&world, 1, "x");
    beats(1, 2);
    assert_int_equal(raft_of(1)->commit, index);
    cluster_heal(&world);
    beats(1, 3);
    cluster_crash(&world, 1);
    cluster_campaign(&world, 4);
    assert_int_equal(cluster_leader(&world), 4);
}

/* The voters' commits would have to wait for it. */
static void a_learner_that_is_behind_is_not_promoted(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    cluster_isolate(&world, 4);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 4);
    beats(1, 2);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4), RAFT_MEMBER_BEHIND);
    cluster_heal(&world);
    beats(1, 3);
    for (int i = 0; i < 3; i++) {
        world.disk_held[4] = true;
        for (int k = 0; k <= RAFT_APPEND_MAX; k++)
            (void)cluster_propose(&world, 1, "x");
        /* What is in its memory alone is not there. */
        assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4), RAFT_MEMBER_BEHIND);
        world.disk_held[4] = false;
        cluster_complete(&world, 4, world.node[4].pending_count);
        cluster_settle(&world);
    }
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4), RAFT_ACCEPTED);
}

static void a_new_issuer_is_brought_up_by_a_snapshot_that_names_it(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    for (int i = 0; i < RAFT_COMPACT_AT + 2 * RAFT_TRAILING; i++)
        (void)cluster_propose(&world, 1, "x");
    assert_true(raft_of(1)->first_index > 1);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 4);
    beats(1, 10);
    assert_true(raft_of(4)->snapshot_durable > 0);
    assert_false(raft_change_pending(raft_of(4)));
    assert_true(is_member(4, 4));
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4), RAFT_ACCEPTED);
    beats(1, 2);
    assert_true(votes(4, 4));
}

/* A snapshot is of the configuration as of its index, not of the one in effect. */
static void a_snapshot_carries_the_configuration_as_of_its_index(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    add_and_promote(1, 4);
    for (int i = 2; i <= 4; i++)
        cluster_link(&world, 1, i, false);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 4), RAFT_ACCEPTED);
    node_compact(&world.node[1]);
    assert_true(world.node[1].out.persist.snapshot);
    assert_int_equal(world.node[1].out.persist.members.count, 4);
    assert_true(world.node[1].out.persist.members.member[3].voter);
    assert_int_equal(raft_of(1)->members.count, 3);
    node_complete_all(&world.node[1]);
    cluster_restart(&world, 1);
    assert_int_equal(raft_of(1)->members.count, 3);
    assert_int_equal(raft_of(1)->base.count, 4);
    assert_true(raft_change_pending(raft_of(1)));
}

/* The way of a learner that gets a snapshot of after its own promotion. */
static void a_learner_promoted_through_a_snapshot_gets_an_election_timer(void **state)
{
    (void)state;
    static uint8_t image[NODE_SNAPSHOT_BYTES];
    struct node *node = &world.node[4];

    led_by_n1(4, 3);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 4);
    beats(1, 3);
    assert_int_equal(node->raft.election_at.us, INT64_MAX);
    machine_save(image, 40, 77);
    for (size_t offset = 0; offset < sizeof image; offset += RAFT_SNAPSHOT_CHUNK) {
        size_t left = sizeof image - offset;

        node_receive(node,
                     (struct raft_message){ .kind = RAFT_SNAPSHOT_REQUEST,
                                            .from = name_of("n1"),
                                            .term = node->raft.term,
                                            .snapshot_index = 40,
                                            .snapshot_term = node->raft.term,
                                            .offset = offset,
                                            .total = sizeof image,
                                            .members = members_lent(4),
                                            .chunk = { image + offset, left < RAFT_SNAPSHOT_CHUNK ?
                                                                           left :
                                                                           RAFT_SNAPSHOT_CHUNK } });
    }
    assert_true(node->out.members_changed);
    assert_int_not_equal(node->raft.election_at.us, INT64_MAX);
    node_complete_all(node);
    node_time_out(node);
    assert_int_equal(node->raft.role, RAFT_PRE_CANDIDATE);
}

static void a_new_peer_is_probed_from_the_end_of_the_log(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    for (int i = 0; i < 20; i++)
        (void)cluster_propose(&world, 1, "x");
    cluster_isolate(&world, 4);
    assert_int_equal(cluster_ask_change(&world, 1, RAFT_CHANGE_ADD, 4), RAFT_ACCEPTED);
    assert_int_equal(progress_of(1, 4)->state, RAFT_PROBE);
    assert_int_equal(progress_of(1, 4)->next, raft_of(1)->last_index + 1);
    assert_int_equal(progress_of(1, 4)->match, 0);
    cluster_heal(&world);
    beats(1, 3);
    assert_int_equal(progress_of(1, 4)->match, raft_of(1)->last_index);
}

static void a_new_member_has_nothing_of_whoever_stood_at_its_place(void **state)
{
    (void)state;
    led_by_n1(5, 4);
    uint64_t index = cluster_propose(&world, 1, "x");
    beats(1, 2);
    assert_int_equal(progress_of(1, 4)->match, index);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 4), RAFT_ACCEPTED);
    beats(1, 2);
    cluster_isolate(&world, 5);
    assert_int_equal(cluster_ask_change(&world, 1, RAFT_CHANGE_ADD, 5), RAFT_ACCEPTED);
    assert_int_equal(progress_of(1, 5)->match, 0);
    assert_int_equal(progress_of(1, 5)->state, RAFT_PROBE);
}

/* ---- which changes are made, and when */

static void a_change_that_fits_no_configuration_is_refused(void **state)
{
    (void)state;
    led_by_n1(3, 3);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 2), RAFT_MEMBER_KNOWN);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 2), RAFT_MEMBER_KNOWN);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4), RAFT_MEMBER_UNKNOWN);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 4), RAFT_MEMBER_UNKNOWN);
    assert_int_equal(cluster_change(&world, 2, RAFT_CHANGE_REMOVE, 3), RAFT_NOT_LEADER);
    assert_int_equal(raft_of(1)->last_index, 1);
}

static void there_are_seven_at_most(void **state)
{
    (void)state;
    led_by_n1(7, 6);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 7), RAFT_ACCEPTED);
    beats(1, 2);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 8), RAFT_MEMBERS_FULL);
}

static void names_and_addresses_must_fit_an_entry(void **state)
{
    (void)state;
    char address[HF_ADDRESS_MAX + 1];
    struct raft_event event = { .kind = RAFT_EVENT_MEMBERS,
                                .change = RAFT_CHANGE_ADD,
                                .address = address };
    int number = 2;

    memset(address, 'a', HF_ADDRESS_MAX);
    address[HF_ADDRESS_MAX] = '\0';
    led_by_n1(1, 1);
    do {
        event.peer = name_number(number++);
        /* The members themselves: one alone commits whatever it proposes. */
        world.node[1].now = world.now;
        node_step(&world.node[1], &event);
        if (world.node[1].out.refusal == RAFT_ACCEPTED)
            node_complete_all(&world.node[1]);
    } while (world.node[1].out.refusal == RAFT_ACCEPTED);
    assert_int_equal(world.node[1].out.refusal, RAFT_MEMBERS_LONG);
    assert_int_equal(raft_judge_change(raft_of(1), &event, world.now), RAFT_MEMBERS_LONG);
    assert_in_range(raft_of(1)->members.count, 4, 6);
}

static void one_change_is_under_way_at_most(void **state)
{
    (void)state;
    led_by_n1(5, 3);
    for (int i = 2; i <= 3; i++)
        cluster_link(&world, 1, i, false);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 4), RAFT_ACCEPTED);
    assert_true(raft_change_pending(raft_of(1)));
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 5), RAFT_CHANGE_PENDING);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 4), RAFT_CHANGE_PENDING);
    cluster_heal(&world);
    beats(1, 8);
    assert_false(raft_change_pending(raft_of(1)));
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 5), RAFT_ACCEPTED);
}

static void nothing_is_changed_before_an_entry_of_the_own_term_is_committed(void **state)
{
    (void)state;
    cluster_init_spare(&world, 4, 3);
    world.lost[RAFT_APPEND_REPLY] = true;
    cluster_campaign(&world, 1);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 4), RAFT_NOT_LEADER);
    cluster_heal(&world);
    beats(1, 8);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 4), RAFT_ACCEPTED);
}

/* A change of the leader before is pending for the next one too, until its no-op commits it. */
static void a_new_leader_finishes_the_change_that_it_finds(void **state)
{
    (void)state;
    led_by_n1(5, 3);
    cluster_link(&world, 1, 3, false);
    world.lost[RAFT_APPEND_REPLY] = true;
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 4), RAFT_ACCEPTED);
    assert_true(is_member(2, 4));
    cluster_crash(&world, 1);
    cluster_link(&world, 1, 3, true);
    cluster_campaign(&world, 2);
    assert_int_equal(raft_of(2)->role, RAFT_LEADER);
    assert_int_equal(cluster_change(&world, 2, RAFT_CHANGE_ADD, 5), RAFT_NOT_LEADER);
    cluster_heal(&world);
    beats(2, 8);
    assert_false(raft_change_pending(raft_of(2)));
    assert_true(is_member(3, 4));
    assert_int_equal(cluster_change(&world, 2, RAFT_CHANGE_ADD, 5), RAFT_ACCEPTED);
}

static void a_transfer_and_a_change_keep_out_of_each_others_way(void **state)
{
    (void)state;
    led_by_n1(3, 3);
    cluster_isolate(&world, 2);
    (void)cluster_propose(&world, 1, "x");
    assert_int_equal(cluster_transfer(&world, 1, 2), RAFT_ACCEPTED);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2), RAFT_TRANSFERRING);
    cluster_run(&world, TEST_ELECTION_MS + TEST_HEARTBEAT_MS);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2), RAFT_ACCEPTED);
    assert_int_equal(cluster_transfer(&world, 1, 2), RAFT_BAD_TARGET);
}

/* n3 has been dead for long. That n1 has only just begun to lead does not make it heard. */
static void a_new_leader_counts_nobody_as_in_contact_whom_it_has_not_heard(void **state)
{
    (void)state;
    cluster_init_spare(&world, 3, 3);
    cluster_isolate(&world, 3);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    assert_true(raft_of(1)->serving);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2), RAFT_MEMBERS_DOWN);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 3), RAFT_ACCEPTED);
}

/* n3 is dead: without n2 as well, n1 would wait for n3 for ever. */
static void a_change_that_its_own_majority_could_not_commit_is_refused(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 4);
    cluster_isolate(&world, 3);
    for (int i = 0; i <= TEST_ELECTION_MS / TEST_HEARTBEAT_MS; i++)
        beats(1, 1);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2), RAFT_MEMBERS_DOWN);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 3), RAFT_ACCEPTED);
    beats(1, 2);
    assert_int_equal(raft_of(1)->members.count, 3);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4), RAFT_ACCEPTED);
}

/* ---- removing */

static void a_removed_voter_is_not_counted_and_hears_no_more(void **state)
{
    (void)state;
    led_by_n1(4, 4);
    assert_int_equal(raft_quorum(&raft_of(1)->members), 3);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 4), RAFT_ACCEPTED);
    beats(1, 2);
    assert_null(node_sent_to(&world.node[1], RAFT_HEARTBEAT, "n4"));
    cluster_isolate(&world, 3);
    uint64_t index = cluster_propose(&world, 1, "x");
    beats(1, 2);
    assert_int_equal(raft_of(1)->commit, index);
    assert_true(raft_of(4)->last_index < index);
}

/* It never learns of its removal, and campaigns for ever. */
static void a_removed_server_disturbs_nobody(void **state)
{
    (void)state;
    led_by_n1(4, 4);
    (void)cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 4);
    beats(1, 2);
    cluster_run(&world, 20 * TEST_ELECTION_MS);
    assert_true(world.sent[RAFT_VOTE_REQUEST] > 20);
    assert_int_equal(cluster_leader(&world), 1);
    assert_int_equal(raft_of(1)->term, 1);
    for (int i = 2; i <= 3; i++)
        assert_int_equal(raft_of(i)->term, 1);
}

static void changes_follow_the_progress_of_who_stays(void **state)
{
    (void)state;
    led_by_n1(5, 5);
    uint64_t index = cluster_propose(&world, 1, "x");
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2), RAFT_ACCEPTED);
    for (int i = 3; i <= 5; i++) {
        assert_int_equal(progress_of(1, i)->state, RAFT_REPLICATE);
        assert_int_equal(progress_of(1, i)->match, index + 1);
    }
    assert_int_equal(raft_of(1)->members.count, 4);
}

static void a_leader_that_removes_itself_goes_when_that_is_committed(void **state)
{
    (void)state;
    led_by_n1(3, 3);
    world.lost[RAFT_APPEND_REPLY] = true;
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 1), RAFT_ACCEPTED);
    uint64_t index = raft_of(1)->last_index;
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_true(raft_of(1)->serving);
    /* Of the two that stay, both must have it: its own copy does not count any more. */
    node_acknowledge(&world.node[1], "n2", index);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    assert_true(raft_of(1)->commit < index);
    node_acknowledge(&world.node[1], "n3", index);
    assert_int_equal(raft_of(1)->commit, index);
    assert_int_equal(world.node[1].machine_index, index);
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER);
    assert_true(name_empty(&raft_of(1)->leader));
    assert_int_equal(raft_of(1)->election_at.us, INT64_MAX);
    assert_non_null(node_sent(&world.node[1], RAFT_TIMEOUT_NOW, 0));
}

static void a_leader_that_removed_itself_hands_over_at_once(void **state)
{
    (void)state;
    led_by_n1(3, 3);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 1), RAFT_ACCEPTED);
    beats(1, 1);
    assert_in_range(cluster_leader(&world), 2, 3);
    assert_int_equal(raft_of(cluster_leader(&world))->term, 2);
    assert_int_not_equal(raft_of(1)->role, RAFT_LEADER);
    cluster_run(&world, 10 * TEST_ELECTION_MS);
    assert_int_equal(raft_of(cluster_leader(&world))->term, 2);
}

static void a_leader_on_its_way_out_counts_in_no_round_and_no_quorum(void **state)
{
    (void)state;
    led_by_n1(3, 3);
    world.lost[RAFT_APPEND_REPLY] = true;
    (void)cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 1);
    world.lost[RAFT_HEARTBEAT_REPLY] = true;
    node_event(&world.node[1], RAFT_EVENT_CONFIRM);
    uint64_t round = world.node[1].out.requested_round;
    assert_true(round > 0);
    node_acknowledge_round(&world.node[1], "n2", 1, round);
    assert_int_equal(world.node[1].out.confirmed_round, 0);
    node_acknowledge_round(&world.node[1], "n3", 1, round);
    assert_int_equal(world.node[1].out.confirmed_round, round);
    cluster_pass(&world, TEST_ELECTION_MS - 1);
    world.node[1].now = world.now;
    node_acknowledge_round(&world.node[1], "n2", 1, 0);
    cluster_pass(&world, 1);
    assert_false(raft_has_quorum(raft_of(1), world.now));
}

static void the_last_voter_stays(void **state)
{
    (void)state;
    led_by_n1(2, 2);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2), RAFT_ACCEPTED);
    beats(1, 1);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 1), RAFT_MEMBER_LAST);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_ADD, 2), RAFT_ACCEPTED);
    beats(1, 2);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 1), RAFT_MEMBER_LAST);
}

/*
 * 4.2.2: n1 removed itself from {n1, n2}, and only its own disk knows. n2 can't win without n1,
 * and n1's log is the longer one: n1 must stand, and go when it has finished.
 */
static void one_whose_removal_is_not_committed_may_still_be_needed(void **state)
{
    (void)state;
    led_by_n1(2, 2);
    cluster_isolate(&world, 2);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 1), RAFT_ACCEPTED);
    cluster_crash(&world, 1);
    cluster_heal(&world);
    cluster_restart(&world, 1);
    assert_int_not_equal(raft_of(1)->election_at.us, INT64_MAX);
    cluster_run(&world, 20 * TEST_ELECTION_MS);
    assert_int_equal(cluster_leader(&world), 2);
    assert_false(raft_change_pending(raft_of(2)));
    assert_false(is_member(2, 1));
}

/* ---- in the log */

static void a_change_that_is_overwritten_is_taken_back(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    cluster_isolate(&world, 1);
    assert_int_equal(cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 3), RAFT_ACCEPTED);
    assert_int_equal(raft_of(1)->members.count, 2);
    cluster_campaign(&world, 2);
    assert_int_equal(raft_of(2)->role, RAFT_LEADER);
    cluster_heal(&world);
    beats(2, 8);
    assert_int_equal(raft_of(1)->members.count, 3);
    assert_int_equal(raft_of(1)->members_index, 0);
    assert_true(votes(1, 3));
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER);
}

static void a_vote_that_is_taken_back_ends_the_timer(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 4);
    beats(1, 3);
    for (int i = 2; i <= 3; i++)
        cluster_link(&world, 1, i, false);
    (void)cluster_change(&world, 1, RAFT_CHANGE_PROMOTE, 4);
    assert_true(votes(4, 4));
    assert_int_not_equal(raft_of(4)->election_at.us, INT64_MAX);
    cluster_crash(&world, 1);
    cluster_link(&world, 4, 1, false);
    cluster_campaign(&world, 2);
    assert_int_equal(raft_of(2)->role, RAFT_LEADER);
    beats(2, 8);
    assert_false(votes(4, 4));
    assert_int_equal(raft_of(4)->election_at.us, INT64_MAX);
}

static void the_configuration_is_what_the_recovered_log_says(void **state)
{
    (void)state;
    led_by_n1(5, 3);
    add_and_promote(1, 4);
    (void)cluster_change(&world, 1, RAFT_CHANGE_ADD, 5);
    beats(1, 3);
    (void)cluster_change(&world, 1, RAFT_CHANGE_REMOVE, 2);
    beats(1, 2);
    struct raft_members members = raft_of(1)->members;
    for (int i = 1; i <= 5; i++) {
        if (i == 2)
            continue;
        cluster_crash(&world, i);
        cluster_restart(&world, i);
        assert_memory_equal(&raft_of(i)->members, &members, sizeof members);
    }
    cluster_campaign(&world, 3);
    for (int i = 0; i < RAFT_COMPACT_AT + 2 * RAFT_TRAILING; i++)
        (void)cluster_propose(&world, 3, "x");
    assert_true(raft_of(3)->first_index > raft_of(3)->members_index);
    assert_memory_equal(&raft_of(3)->base, &members, sizeof members);
    cluster_crash(&world, 3);
    cluster_restart(&world, 3);
    assert_memory_equal(&raft_of(3)->members, &members, sizeof members);
}

/* n3 was away while n4 was added and became the leader. */
static void a_leader_that_is_not_in_the_own_configuration_is_heard(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    cluster_isolate(&world, 3);
    add_and_promote(1, 4);
    assert_int_equal(cluster_transfer(&world, 1, 4), RAFT_ACCEPTED);
    beats(4, 2);
    assert_int_equal(cluster_leader(&world), 4);
    assert_false(is_member(3, 4));
    cluster_heal(&world);
    beats(4, 8);
    assert_true(votes(3, 4));
    cluster_assert_leads(&world, 4, 2);
}

static void a_candidate_that_is_not_in_the_own_configuration_gets_the_vote(void **state)
{
    (void)state;
    led_by_n1(4, 3);
    cluster_isolate(&world, 3);
    add_and_promote(1, 4);
    cluster_crash(&world, 1);
    cluster_heal(&world);
    cluster_campaign(&world, 4); /* of four voters it needs three, n3 among them */
    assert_int_equal(cluster_leader(&world), 4);
}

static void an_entry_that_is_no_configuration_is_refused(void **state)
{
    (void)state;
    struct raft_members nobody = members_of(2);
    struct raft_entry entry = {
        .index = 1, .term = 1, .kind = RAFT_ENTRY_MEMBERS, .length = 3, .data = { 0xff, 0xff, 0xff }
    };
    struct raft_message message = { .kind = RAFT_APPEND_REQUEST,
                                    .from = name_of("n2"),
                                    .term = 1,
                                    .entry_count = 1,
                                    .entries = &entry };

    cluster_init(&world, 3);
    node_receive(&world.node[1], message);
    assert_int_equal(raft_of(1)->last_index, 0);
    nobody.member[0].voter = nobody.member[1].voter = false;
    entry.length = (uint16_t)raft_members_encode(&nobody, entry.data, sizeof entry.data);
    assert_true(entry.length > 0);
    node_receive(&world.node[1], message);
    assert_int_equal(raft_of(1)->last_index, 0);
    assert_int_equal(raft_of(1)->members.count, 3);
    nobody.member[1].voter = true;
    entry.length = (uint16_t)raft_members_encode(&nobody, entry.data, sizeof entry.data);
    node_receive(&world.node[1], message);
    assert_int_equal(raft_of(1)->last_index, 1);
    assert_int_equal(raft_voter_count(&raft_of(1)->members), 1);
}

static void the_whole_cluster_is_replaced_one_by_one(void **state)
{
    (void)state;
    int leader = 1;

    led_by_n1(6, 3);
    for (int i = 4; i <= 6; i++) {
        add_and_promote(leader, i);
        (void)cluster_propose(&world, leader, "x");
        assert_int_equal(cluster_change(&world, leader, RAFT_CHANGE_REMOVE, i - 3), RAFT_ACCEPTED);
        cluster_beat(&world, leader);
        leader = cluster_leader(&world);
        assert_true(leader > i - 3);
        beats(leader, 2);
        assert_int_equal(raft_of(leader)->members.count, 3);
    }
    for (int i = 1; i <= 3; i++)
        cluster_crash(&world, i);
    beats(leader, 2);
    uint64_t index = cluster_propose(&world, leader, "y");
    beats(leader, 2);
    cluster_assert_applied(&world, index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issuer_is_added_as_a_learner_with_its_address),
        cmocka_unit_test(a_learner_counts_for_nothing),
        cmocka_unit_test(a_promoted_learner_votes_counts_and_campaigns),
        cmocka_unit_test(a_learner_that_is_behind_is_not_promoted),
        cmocka_unit_test(a_new_issuer_is_brought_up_by_a_snapshot_that_names_it),
        cmocka_unit_test(a_snapshot_carries_the_configuration_as_of_its_index),
        cmocka_unit_test(a_learner_promoted_through_a_snapshot_gets_an_election_timer),
        cmocka_unit_test(a_new_peer_is_probed_from_the_end_of_the_log),
        cmocka_unit_test(a_new_member_has_nothing_of_whoever_stood_at_its_place),
        cmocka_unit_test(a_change_that_fits_no_configuration_is_refused),
        cmocka_unit_test(there_are_seven_at_most),
        cmocka_unit_test(names_and_addresses_must_fit_an_entry),
        cmocka_unit_test(one_change_is_under_way_at_most),
        cmocka_unit_test(nothing_is_changed_before_an_entry_of_the_own_term_is_committed),
        cmocka_unit_test(a_new_leader_finishes_the_change_that_it_finds),
        cmocka_unit_test(a_transfer_and_a_change_keep_out_of_each_others_way),
        cmocka_unit_test(a_new_leader_counts_nobody_as_in_contact_whom_it_has_not_heard),
        cmocka_unit_test(a_change_that_its_own_majority_could_not_commit_is_refused),
        cmocka_unit_test(a_removed_voter_is_not_counted_and_hears_no_more),
        cmocka_unit_test(a_removed_server_disturbs_nobody),
        cmocka_unit_test(changes_follow_the_progress_of_who_stays),
        cmocka_unit_test(a_leader_that_removes_itself_goes_when_that_is_committed),
        cmocka_unit_test(a_leader_that_removed_itself_hands_over_at_once),
        cmocka_unit_test(a_leader_on_its_way_out_counts_in_no_round_and_no_quorum),
        cmocka_unit_test(the_last_voter_stays),
        cmocka_unit_test(one_whose_removal_is_not_committed_may_still_be_needed),
        cmocka_unit_test(a_change_that_is_overwritten_is_taken_back),
        cmocka_unit_test(a_vote_that_is_taken_back_ends_the_timer),
        cmocka_unit_test(the_configuration_is_what_the_recovered_log_says),
        cmocka_unit_test(a_leader_that_is_not_in_the_own_configuration_is_heard),
        cmocka_unit_test(a_candidate_that_is_not_in_the_own_configuration_gets_the_vote),
        cmocka_unit_test(an_entry_that_is_no_configuration_is_refused),
        cmocka_unit_test(the_whole_cluster_is_replaced_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
