/* Confirmation rounds: a majority of distinct voters, in this term, asked after the request. */
#include "tests/unit/raft/node.h"

static struct node node;

static uint64_t confirm(void)
{
    node_event(&node, RAFT_EVENT_CONFIRM);
    assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
    return node.out.requested_round;
}

static void a_round_starts_at_once_and_needs_a_majority(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    uint64_t round = confirm();

    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->round, round);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n3")->round, round);
    assert_false(node.out.persist.wanted);
    assert_int_equal(node.out.confirmed_round, 0);
    node_acknowledge_round(&node, "n3", node.raft.term, round);
    assert_int_equal(node.out.confirmed_round, round);
    node_acknowledge_round(&node, "n2", node.raft.term, round);
    assert_int_equal(node.out.confirmed_round, 0);
}

static void a_request_during_a_round_waits_for_the_next(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    uint64_t first = confirm();
    uint64_t second = confirm();

    assert_int_equal(second, first + 1);
    assert_null(node_sent(&node, RAFT_HEARTBEAT, 0));
    assert_int_equal(confirm(), second);
    node_acknowledge_round(&node, "n2", node.raft.term, first);
    assert_int_equal(node.out.confirmed_round, first);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->round, second);
    node_acknowledge_round(&node, "n3", node.raft.term, first);
    assert_int_equal(node.out.confirmed_round, 0);
    node_acknowledge_round(&node, "n3", node.raft.term, second);
    assert_int_equal(node.out.confirmed_round, second);
}

/* Where answers take longer than a heartbeat interval, no request waits for those of another. */
static void a_request_during_a_round_leaves_with_the_next_heartbeats(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    uint64_t first = confirm();
    uint64_t second = confirm();

    assert_int_equal(node.out.message_count, 0);
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->round, second);
    uint64_t third = confirm();

    assert_int_equal(third, second + 1);
    assert_int_equal(node.out.message_count, 0);
    node_acknowledge_round(&node, "n3", node.raft.term, first);
    assert_int_equal(node.out.confirmed_round, first);
    assert_null(node_sent(&node, RAFT_HEARTBEAT, 0));
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->round, third);
    node_acknowledge_round(&node, "n3", node.raft.term, second);
    assert_int_equal(node.out.confirmed_round, second);
    node_acknowledge_round(&node, "n3", node.raft.term, third);
    assert_int_equal(node.out.confirmed_round, third);
}

/* It was given later than each of them was asked for. */
static void an_answer_speaks_for_the_rounds_before_it(void **state)
{
    (void)state;
    node_init(&node, 1, 5, 1);
    static const char *const voters[] = { "n2", "n3" };

    node_elect(&node, voters, 2);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 1);
    node_acknowledge(&node, "n3", 1);
    uint64_t first = confirm();
    uint64_t second = confirm();

    node_time_out(&node);
    node_acknowledge_round(&node, "n2", node.raft.term, second);
    assert_int_equal(node.confirmed_round, 0);
    node_acknowledge_round(&node, "n3", node.raft.term, first);
    assert_int_equal(node.confirmed_round, first);
    node_acknowledge_round(&node, "n4", node.raft.term, second);
    assert_int_equal(node.confirmed_round, second);
}

static void repeated_answers_of_one_voter_count_once(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2", "n3" };

    node_init(&node, 1, 5, 1);
    node_elect(&node, voters, 2);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 1);
    node_acknowledge(&node, "n3", 1);
    uint64_t round = confirm();

    for (int i = 0; i < 4; i++)
        node_acknowledge_round(&node, "n2", node.raft.term, round);
    assert_int_equal(node.confirmed_round, 0);
    node_acknowledge_round(&node, "n5", node.raft.term, round);
    assert_int_equal(node.confirmed_round, round);
}

static void answers_of_an_old_term_or_an_unknown_round_do_not_count(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    uint64_t old_term = node.raft.term;
    uint64_t old_round = confirm();

    node_wait(&node, TEST_ELECTION_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    node_serve(&node);
    assert_true(node.raft.term > old_term);
    uint64_t round = confirm();

    assert_true(round > old_round);
    node_acknowledge_round(&node, "n2", old_term, round);
    node_acknowledge_round(&node, "n3", old_term, old_round);
    node_acknowledge_round(&node, "n3", node.raft.term, old_round);
    node_acknowledge_round(&node, "n2", node.raft.term, round + 5);
    assert_int_equal(node.confirmed_round, 0);
    node_acknowledge_round(&node, "n2", node.raft.term, round);
    assert_int_equal(node.confirmed_round, round);
}

static void a_promised_round_is_never_reused_in_a_later_term(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    (void)confirm();
    uint64_t promised = confirm();

    node_wait(&node, TEST_ELECTION_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    node_serve(&node);
    assert_true(confirm() > promised);
}

static void nothing_is_confirmed_before_serving(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 3, 1);
    node_event(&node, RAFT_EVENT_CONFIRM);
    assert_int_equal(node.out.refusal, RAFT_NOT_LEADER);
    node_elect(&node, voters, 1);
    node_event(&node, RAFT_EVENT_CONFIRM);
    assert_int_equal(node.out.refusal, RAFT_NOT_LEADER);
    assert_int_equal(node.out.requested_round, 0);
}

static void a_single_voter_confirms_at_once(void **state)
{
    (void)state;
    node_init(&node, 1, 1, 1);
    node_time_out(&node);
    node_complete_all(&node);
    node_complete_all(&node);
    for (int i = 0; i < 3; i++) {
        uint64_t round = confirm();

        assert_int_equal(node.out.confirmed_round, round);
    }
}

static void a_lost_round_is_repeated_by_the_next_heartbeat(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    uint64_t round = confirm();

    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->round, round);
    node_acknowledge_round(&node, "n2", node.raft.term, round);
    assert_int_equal(node.out.confirmed_round, round);
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->round, 0);
}

static void a_learners_answer_does_not_count(void **state)
{
    (void)state;
    node_init(&node, 1, 4, 1);
    node.disk.state.members.member[3].voter = false;
    node_start(&node);
    node_serve(&node);
    uint64_t round = confirm();

    node_acknowledge_round(&node, "n4", node.raft.term, round);
    assert_int_equal(node.out.confirmed_round, 0);
    node_acknowledge_round(&node, "n2", node.raft.term, round);
    assert_int_equal(node.out.confirmed_round, round);
}

static void a_follower_answers_from_memory_while_its_disk_hangs(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 3, .round = 8 });
    assert_int_equal(node.pending_count, 1);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT_REPLY, "n2")->round, 8);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT_REPLY, "n2")->term, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_starts_at_once_and_needs_a_majority),
        cmocka_unit_test(a_request_during_a_round_waits_for_the_next),
        cmocka_unit_test(a_request_during_a_round_leaves_with_the_next_heartbeats),
        cmocka_unit_test(an_answer_speaks_for_the_rounds_before_it),
        cmocka_unit_test(repeated_answers_of_one_voter_count_once),
        cmocka_unit_test(answers_of_an_old_term_or_an_unknown_round_do_not_count),
        cmocka_unit_test(a_promised_round_is_never_reused_in_a_later_term),
        cmocka_unit_test(nothing_is_confirmed_before_serving),
        cmocka_unit_test(a_single_voter_confirms_at_once),
        cmocka_unit_test(a_lost_round_is_repeated_by_the_next_heartbeat),
        cmocka_unit_test(a_learners_answer_does_not_count),
        cmocka_unit_test(a_follower_answers_from_memory_while_its_disk_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
