/* Elections: who may win one, when a vote is given, and who is left alone. */
#include "tests/unit/raft/node.h"

static struct node node;

static void ask_vote(uint64_t term, const char *from, uint64_t last_index, uint64_t last_term,
                     bool pre, bool transfer)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of(from),
                                               .term = term,
                                               .pre = pre,
                                               .transfer = transfer,
                                               .last_index = last_index,
                                               .last_term = last_term });
}

static void hear_heartbeat(uint64_t term, const char *from)
{
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_HEARTBEAT, .from = name_of(from), .term = term });
}

static void times_out_between_one_and_two_election_timeouts_and_redraws(void **state)
{
    (void)state;
    bool differs = false;
    int64_t first = 0;

    for (uint64_t seed = 0; seed < 50; seed++) {
        node_init(&node, 1, 3, seed * 1000);
        int64_t span = instant_diff(node.raft.election_at, node.now).us;

        assert_in_range(span, TEST_ELECTION_MS * 1000, 2 * TEST_ELECTION_MS * 1000 - 1);
        first = seed == 0 ? span : first;
        differs = differs || span != first;
        node_time_out(&node);
        assert_int_not_equal(instant_diff(node.raft.election_at, node.now).us, span);
    }
    assert_true(differs);
}

static void pre_vote_changes_no_term_and_writes_nothing(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    assert_int_equal(node.raft.term, 0);
    assert_false(node.out.persist.wanted);
    assert_int_equal(node.out.message_count, 2);
    assert_true(node.out.messages[0].pre);
    assert_int_equal(node.out.messages[0].term, 1);
    node_time_out(&node);
    assert_int_equal(node.raft.term, 0);
}

static void refuse(const char *from, bool pre)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REPLY,
                                               .from = name_of(from),
                                               .to = node.raft.config.self,
                                               .term = node.raft.term,
                                               .pre = pre });
}

/* Three issuers, the leader dead, both others candidates: neither may wait a whole timeout. */
static void a_refused_candidate_tries_again_sooner_and_asks_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        node_init(&node, 1, 3, seed);
        node_time_out(&node);
        node_grant(&node, "n2", true);
        node_complete_all(&node);
        assert_int_equal(node.raft.role, RAFT_CANDIDATE);
        refuse("n2", false);
        int64_t left_us = instant_diff(node.raft.election_at, node.now).us;
        int64_t election_us = node.raft.config.election.us;
        assert_true(left_us >= election_us / 4 && left_us < election_us * 3 / 4);
        struct instant drawn = node.raft.election_at;
        refuse("n3", false);
        assert_int_equal(node.raft.election_at.us, drawn.us);
        node_time_out(&node);
        assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    }
}

static void a_refused_pre_vote_changes_no_timer(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_time_out(&node);
    struct instant drawn = node.raft.election_at;
    refuse("n2", true);
    assert_int_equal(node.raft.election_at.us, drawn.us);
}

static void candidate_asks_only_after_its_own_vote_is_durable(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_time_out(&node);
    node_grant(&node, "n2", true);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_int_equal(node.raft.term, 1);
    assert_true(node.out.persist.hard_state);
    assert_int_equal(node.out.message_count, 0);
    node_grant(&node, "n2", false);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    node_complete_all(&node);
    assert_int_equal(node.raft.role, RAFT_LEADER);
}

static void a_slow_disk_does_not_drive_the_term_up(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_time_out(&node);
    node_grant(&node, "n2", true);
    for (int i = 0; i < 5; i++)
        node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_int_equal(node.raft.term, 1);
    node_complete_all(&node);
    assert_non_null(node_sent(&node, RAFT_VOTE_REQUEST, 1));
}

static void stand_with_a_sync_of(int64_t sync_ms)
{
    node_init(&node, 1, 3, 1);
    node_time_out(&node);
    node_grant(&node, "n2", true);
    node_wait(&node, sync_ms);
    node_complete_all(&node);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
}

/* The voters' disks may be as slow as its own, and busy when the request comes. */
static void a_candidate_with_a_slow_disk_asks_again_in_its_term(void **state)
{
    enum { SYNC_MS = 2000 };
    (void)state;
    stand_with_a_sync_of(SYNC_MS);
    struct instant asked = node.now;

    while (node.raft.role == RAFT_CANDIDATE) {
        node_time_out(&node);
        if (node.raft.role != RAFT_CANDIDATE)
            break;
        assert_int_equal(node.raft.term, 1);
        assert_non_null(node_sent_to(&node, RAFT_VOTE_REQUEST, "n2"));
        /* Sooner than whoever gave it the vote would stand. */
        assert_true(instant_diff(node.raft.election_at, node.now).us < TEST_ELECTION_MS * 1000);
    }
    assert_true(instant_diff(node.now, asked).us >= 2 * SYNC_MS * 1000);
    stand_with_a_sync_of(SYNC_MS);
    node_time_out(&node);
    node_grant(&node, "n3", false);
    assert_int_equal(node.raft.role, RAFT_LEADER);
}

/* The voter heard of the new term by something else, and only then the request of the one before. */
static void a_refusal_of_an_earlier_term_is_none_in_this_one(void **state)
{
    (void)state;
    stand_with_a_sync_of(5);
    uint64_t nonce = node_sent_to(&node, RAFT_VOTE_REQUEST, "n3")->nonce;
    node_time_out(&node);
    node_grant(&node, "n2", true);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_int_equal(node.raft.term, 2);
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_VOTE_REPLY, .from = name_of("n3"), .term = 2, .nonce = nonce });
    node_complete_all(&node);
    assert_non_null(node_sent_to(&node, RAFT_VOTE_REQUEST, "n3"));
}

static void a_candidate_with_a_good_disk_is_no_more_patient_than_before(void **state)
{
    (void)state;
    stand_with_a_sync_of(5);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
}

/* Only the other disks are slow: nobody answers, so it waits for longer the next time. */
static void elections_that_nobody_answers_make_patient_until_a_leader_is_heard(void **state)
{
    (void)state;
    stand_with_a_sync_of(0);
    for (unsigned tries = 1; tries <= 8; tries++) {
        while (node.raft.role == RAFT_CANDIDATE)
            node_time_out(&node);
        assert_int_equal(node.raft.silent_elections, tries < 6 ? tries : 6);
        node_grant(&node, "n2", true);
        node_complete_all(&node);
        assert_int_equal(node.raft.role, RAFT_CANDIDATE);
        int64_t patient_us = instant_diff(node.raft.patient_until, node.now).us;
        assert_int_equal(patient_us, (TEST_ELECTION_MS * 1000) << (tries < 6 ? tries : 6));
    }
    hear_heartbeat(node.raft.term, "n2");
    assert_int_equal(node.raft.silent_elections, 0);
}

static void who_has_a_vote_on_its_way_to_the_disk_neither_stands_nor_helps_another(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(1, "n2", 0, 0, false, false);
    node_wait(&node, TEST_ELECTION_MS);
    ask_vote(2, "n3", 0, 0, true, false);
    assert_false(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    node_complete_all(&node);
    assert_true(node_sent_to(&node, RAFT_VOTE_REPLY, "n2")->granted);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
}

static bool helps(const char *candidate)
{
    ask_vote(2, candidate, 0, 0, true, false);
    return node_sent(&node, RAFT_VOTE_REPLY, 0)->granted;
}

static void who_gave_its_vote_helps_no_other_while_the_candidate_still_asks(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(1, "n2", 0, 0, false, false);
    node_complete_all(&node);
    node_wait(&node, TEST_ELECTION_MS - 1);
    assert_false(helps("n3"));
    assert_true(helps("n2"));
    ask_vote(1, "n2", 0, 0, false, false);
    node_wait(&node, TEST_ELECTION_MS - 1);
    assert_false(helps("n3"));
    node_wait(&node, 1);
    assert_true(helps("n3"));
}

static void votes_of_one_voter_count_once(void **state)
{
    (void)state;
    node_init(&node, 1, 5, 1);
    node_time_out(&node);
    node_grant(&node, "n2", true);
    node_grant(&node, "n2", true);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    node_grant(&node, "n3", true);
    node_complete_all(&node);
    node_grant(&node, "n2", false);
    node_grant(&node, "n2", false);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    node_grant(&node, "n4", false);
    assert_int_equal(node.raft.role, RAFT_LEADER);
}

static void a_learner_neither_campaigns_nor_counts(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node.disk.state.members.member[1].voter = false;
    node_start(&node);
    node_time_out(&node);
    assert_null(node_sent_to(&node, RAFT_VOTE_REQUEST, "n2"));
    node_grant(&node, "n2", true);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    node.disk.state.members.member[0].voter = false;
    node_start(&node);
    assert_int_equal(node.raft.election_at.us, INT64_MAX);
}

static void a_single_voter_leads_alone(void **state)
{
    (void)state;
    node_init(&node, 1, 1, 1);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    node_complete_all(&node);
    assert_int_equal(node.raft.role, RAFT_LEADER);
    assert_false(node.raft.serving);
    node_complete_all(&node);
    assert_true(node.out.serving_began);
    assert_true(raft_has_quorum(&node.raft, instant_add(node.now, span_from_ms(99999))));
}

static void vote_is_answered_only_when_durable(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(2, "n2", 0, 0, false, false);
    assert_int_equal(node.out.message_count, 0);
    assert_true(node.out.persist.hard_state);
    assert_true(name_equal(&node.out.persist.vote, &(struct hf_name){ "n2" }));
    ask_vote(2, "n2", 0, 0, false, false);
    assert_int_equal(node.out.message_count, 0);
    node_complete_all(&node);
    assert_true(node_sent_to(&node, RAFT_VOTE_REPLY, "n2")->granted);
    ask_vote(2, "n2", 0, 0, false, false);
    assert_true(node_sent_to(&node, RAFT_VOTE_REPLY, "n2")->granted);
}

static void a_vote_overtaken_by_a_term_is_never_answered(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(2, "n2", 0, 0, false, false);
    ask_vote(3, "n3", 0, 0, false, false);
    node_complete(&node, 1);
    assert_int_equal(node.out.message_count, 0);
    node_complete_all(&node);
    assert_int_equal(node.out.message_count, 1);
    assert_int_equal(node_sent_to(&node, RAFT_VOTE_REPLY, "n3")->term, 3);
}

static void a_vote_of_an_old_term_does_not_turn_into_one_of_a_new_term(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(2, "n2", 0, 0, false, false);
    hear_heartbeat(3, "n3");
    node_complete_all(&node);
    assert_null(node_sent(&node, RAFT_VOTE_REPLY, 0));
}

static void one_vote_per_term_even_after_a_restart(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(2, "n2", 0, 0, false, false);
    ask_vote(2, "n3", 0, 0, false, false);
    assert_false(node_sent_to(&node, RAFT_VOTE_REPLY, "n3")->granted);
    node_complete_all(&node);
    node_start(&node);
    ask_vote(2, "n3", 100, 2, false, true);
    assert_false(node_sent_to(&node, RAFT_VOTE_REPLY, "n3")->granted);
    ask_vote(2, "n2", 0, 0, false, false);
    assert_true(node_sent_to(&node, RAFT_VOTE_REPLY, "n2")->granted);
}

static void only_an_up_to_date_log_gets_votes(void **state)
{
    (void)state;
    static const struct {
        uint64_t last_index, last_term;
        bool granted;
    } rows[] = { { 3, 2, true }, { 2, 2, false }, { 9, 1, false }, { 1, 3, true }, { 4, 2, true } };
    static const uint64_t log[] = { 1, 1, 2 };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int pre = 0; pre < 2; pre++) {
            node_init(&node, 1, 3, 1);
            node_restart_with_log(&node, 3, log, 3);
            ask_vote(4, "n2", rows[i].last_index, rows[i].last_term, pre != 0, false);
            if (!pre && rows[i].granted)
                node_complete_all(&node);
            assert_int_equal(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted, rows[i].granted);
        }
    }
}

static void a_node_that_hears_its_leader_ignores_requests(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(2, "n2");
    node_wait(&node, TEST_ELECTION_MS - 1);
    ask_vote(9, "n3", 9, 9, true, false);
    assert_int_equal(node.out.message_count, 0);
    ask_vote(9, "n3", 9, 9, false, false);
    assert_int_equal(node.out.message_count, 0);
    assert_int_equal(node.raft.term, 2);
    node_complete_all(&node);
    node_wait(&node, 1);
    ask_vote(9, "n3", 9, 9, true, false);
    assert_true(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    assert_int_equal(node.raft.term, 2);
    ask_vote(9, "n3", 9, 9, false, false);
    assert_int_equal(node.raft.term, 9);
}

static void every_word_of_its_leader_counts_anew(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(2, "n2");
    node_complete_all(&node);
    node_wait(&node, TEST_ELECTION_MS - 1);
    hear_heartbeat(2, "n2");
    node_wait(&node, TEST_ELECTION_MS - 1);
    ask_vote(9, "n3", 9, 9, true, false);
    assert_null(node_sent(&node, RAFT_VOTE_REPLY, 0));
    node_wait(&node, 1);
    ask_vote(9, "n3", 9, 9, true, false);
    assert_true(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
}

static void a_node_just_started_has_heard_nobody(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    ask_vote(1, "n3", 0, 0, true, false);
    assert_true(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
}

/* Two that ask each other for pre-votes in different terms come to one term by that alone. */
static void who_asks_in_an_older_term_is_told_the_newer_one(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(5, "n2");
    node_complete_all(&node);
    node_wait(&node, TEST_ELECTION_MS);
    for (int pre = 0; pre <= 1; pre++) {
        ask_vote(3, "n3", 9, 4, pre, false);
        const struct raft_message *reply = node_sent_to(&node, RAFT_VOTE_REPLY, "n3");
        assert_non_null(reply);
        assert_int_equal(reply->term, 5);
        assert_int_equal(reply->pre, pre);
        assert_false(reply->granted);
    }
}

static void transfer_passes_stickiness_but_not_a_pre_vote(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(2, "n2");
    ask_vote(3, "n3", 9, 9, true, true);
    assert_int_equal(node.out.message_count, 0);
    ask_vote(3, "n3", 9, 9, false, true);
    node_complete_all(&node);
    assert_true(node_sent_to(&node, RAFT_VOTE_REPLY, "n3")->granted);
}

static void a_leader_ignores_requests_but_yields_to_a_higher_term(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    ask_vote(7, "n3", 9, 9, false, false);
    assert_int_equal(node.raft.role, RAFT_LEADER);
    node_acknowledge_round(&node, "n3", 7, 0);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    assert_true(node.out.role_changed);
    assert_true(node.out.persist.hard_state);
    assert_true(instant_before(node.now, node.out.wake_at));
}

static void a_leader_without_a_majority_steps_down_and_says_so(void **state)
{
    (void)state;
    node_init(&node, 1, 5, 1);
    static const char *const voters[] = { "n2", "n3" };

    node_elect(&node, voters, 2);
    node_wait(&node, TEST_ELECTION_MS - 1);
    node_acknowledge_round(&node, "n2", node.raft.term, 0);
    node_acknowledge_round(&node, "n2", node.raft.term, 0);
    assert_true(raft_has_quorum(&node.raft, node.now));
    node_wait(&node, 1);
    assert_false(raft_has_quorum(&node.raft, node.now));
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    assert_true(node.out.role_changed);
    assert_true(name_empty(&node.raft.leader));
    assert_int_equal(node.raft.term, 1);
}

static void an_old_leader_is_told_the_term(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(4, "n2");
    hear_heartbeat(3, "n3");
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT_REPLY, "n3")->term, 4);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT_REPLY, "n3")->round, 0);
    assert_true(name_equal(&node.raft.leader, &(struct hf_name){ "n2" }));
}

static void misdirected_messages_and_answers_of_strangers_are_not_heard(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(4, "n1");
    for (int kind = 0; kind < RAFT_MESSAGE_KINDS; kind++) {
        if (kind == RAFT_VOTE_REPLY || kind == RAFT_APPEND_REPLY || kind == RAFT_HEARTBEAT_REPLY ||
            kind == RAFT_SNAPSHOT_REPLY)
            node_receive(&node, (struct raft_message){ .kind = (enum raft_message_kind)kind,
                                                       .from = name_of("stranger"),
                                                       .term = 4 });
    }
    struct raft_message message = {
        .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .to = name_of("n3"), .term = 4
    };
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_MESSAGE, .message = &message });
    assert_int_equal(node.raft.term, 0);
    assert_int_equal(node.out.message_count, 0);
    assert_false(node.out.role_changed);
}

static void a_second_leader_in_one_term_is_not_heard(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear_heartbeat(4, "n2");
    hear_heartbeat(4, "n3");
    assert_int_equal(node.out.message_count, 0);
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    hear_heartbeat(node.raft.term, "n3");
    assert_int_equal(node.raft.role, RAFT_LEADER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_out_between_one_and_two_election_timeouts_and_redraws),
        cmocka_unit_test(pre_vote_changes_no_term_and_writes_nothing),
        cmocka_unit_test(a_refused_candidate_tries_again_sooner_and_asks_before),
        cmocka_unit_test(a_refused_pre_vote_changes_no_timer),
        cmocka_unit_test(candidate_asks_only_after_its_own_vote_is_durable),
        cmocka_unit_test(a_slow_disk_does_not_drive_the_term_up),
        cmocka_unit_test(a_candidate_with_a_slow_disk_asks_again_in_its_term),
        cmocka_unit_test(a_refusal_of_an_earlier_term_is_none_in_this_one),
        cmocka_unit_test(a_candidate_with_a_good_disk_is_no_more_patient_than_before),
        cmocka_unit_test(elections_that_nobody_answers_make_patient_until_a_leader_is_heard),
        cmocka_unit_test(who_has_a_vote_on_its_way_to_the_disk_neither_stands_nor_helps_another),
        cmocka_unit_test(who_gave_its_vote_helps_no_other_while_the_candidate_still_asks),
        cmocka_unit_test(votes_of_one_voter_count_once),
        cmocka_unit_test(a_learner_neither_campaigns_nor_counts),
        cmocka_unit_test(a_single_voter_leads_alone),
        cmocka_unit_test(vote_is_answered_only_when_durable),
        cmocka_unit_test(a_vote_overtaken_by_a_term_is_never_answered),
        cmocka_unit_test(a_vote_of_an_old_term_does_not_turn_into_one_of_a_new_term),
        cmocka_unit_test(one_vote_per_term_even_after_a_restart),
        cmocka_unit_test(only_an_up_to_date_log_gets_votes),
        cmocka_unit_test(a_node_that_hears_its_leader_ignores_requests),
        cmocka_unit_test(every_word_of_its_leader_counts_anew),
        cmocka_unit_test(a_node_just_started_has_heard_nobody),
        cmocka_unit_test(who_asks_in_an_older_term_is_told_the_newer_one),
        cmocka_unit_test(transfer_passes_stickiness_but_not_a_pre_vote),
        cmocka_unit_test(a_leader_ignores_requests_but_yields_to_a_higher_term),
        cmocka_unit_test(a_leader_without_a_majority_steps_down_and_says_so),
        cmocka_unit_test(an_old_leader_is_told_the_term),
        cmocka_unit_test(misdirected_messages_and_answers_of_strangers_are_not_heard),
        cmocka_unit_test(a_second_leader_in_one_term_is_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
