/* Leadership transfer: to a successor that has everything, without bending the vote rule. */
#include "tests/unit/raft/node.h"

static struct node node;

static void transfer(const char *to)
{
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_TRANSFER, .peer = name_of(to) });
}

static void the_target_is_told_only_when_it_has_everything(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_propose(&node, "x");
    transfer("n2");
    assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
    assert_null(node_sent(&node, RAFT_TIMEOUT_NOW, 0));
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_TRANSFERRING);
    node_acknowledge(&node, "n3", 2);
    assert_null(node_sent(&node, RAFT_TIMEOUT_NOW, 0));
    node_acknowledge(&node, "n2", 2);
    assert_non_null(node_sent_to(&node, RAFT_TIMEOUT_NOW, "n2"));
    node_acknowledge(&node, "n2", 2);
    assert_null(node_sent(&node, RAFT_TIMEOUT_NOW, 0));
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node.disk.state.members.member[2].voter = false;
    node_start(&node);
    transfer("n2");
    assert_int_equal(node.out.refusal, RAFT_NOT_LEADER);
    node_serve(&node);
    transfer("n1");
    assert_int_equal(node.out.refusal, RAFT_BAD_TARGET);
    transfer("n3");
    assert_int_equal(node.out.refusal, RAFT_BAD_TARGET);
    transfer("n9");
    assert_int_equal(node.out.refusal, RAFT_BAD_TARGET);
    transfer("n2");
    transfer("n2");
    assert_int_equal(node.out.refusal, RAFT_TRANSFERRING);
}

static void a_transfer_that_does_not_happen_is_aborted(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    transfer("n3");
    struct instant until = node.raft.transfer_until;

    assert_int_equal(instant_diff(until, node.now).us, TEST_ELECTION_MS * 1000);
    while (instant_before(node.now, until)) {
        node_propose(&node, "x");
        assert_int_equal(node.out.refusal, RAFT_TRANSFERRING);
        node_acknowledge_round(&node, "n2", node.raft.term, 0);
        assert_false(instant_before(until, node.out.wake_at));
        node.now = instant_max(node.out.wake_at, instant_add(node.now, span_from_ms(1)));
        node_event(&node, RAFT_EVENT_TIMER);
    }
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
}

/* It was told, and did not stand: perhaps it was just not there. */
static void a_target_that_was_told_in_vain_is_told_again(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_acknowledge(&node, "n3", node.raft.last_index);
    transfer("n3");
    assert_non_null(node_sent_to(&node, RAFT_TIMEOUT_NOW, "n3"));
    while (!name_empty(&node.raft.transfer_to)) {
        node_acknowledge_round(&node, "n2", node.raft.term, 0);
        node.now = instant_max(node.out.wake_at, instant_add(node.now, span_from_ms(1)));
        node_event(&node, RAFT_EVENT_TIMER);
    }
    assert_int_equal(node.raft.role, RAFT_LEADER);
    transfer("n3");
    assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
    assert_non_null(node_sent_to(&node, RAFT_TIMEOUT_NOW, "n3"));
}

static void hear(enum raft_message_kind kind, const char *from, uint64_t term)
{
    node_receive(&node, (struct raft_message){ .kind = kind, .from = name_of(from), .term = term });
}

static void the_target_campaigns_at_once_without_a_pre_vote(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear(RAFT_HEARTBEAT, "n2", 4);
    hear(RAFT_TIMEOUT_NOW, "n2", 4);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_int_equal(node.raft.term, 5);
    assert_int_equal(node.out.message_count, 0);
    node_complete_all(&node);
    const struct raft_message *request = node_sent_to(&node, RAFT_VOTE_REQUEST, "n3");

    assert_true(request->transfer);
    assert_false(request->pre);
    assert_int_equal(request->term, 5);
}

static void only_the_leader_may_tell(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    hear(RAFT_TIMEOUT_NOW, "n2", 4);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    hear(RAFT_HEARTBEAT, "n2", 4);
    hear(RAFT_TIMEOUT_NOW, "n3", 4);
    hear(RAFT_TIMEOUT_NOW, "n2", 3);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    assert_int_equal(node.raft.term, 4);
}

/* Two candidates of one term, one of them by transfer: the second gets no vote. */
static void transfer_does_not_vote_twice_in_a_term(void **state)
{
    (void)state;
    struct raft_message request = { .kind = RAFT_VOTE_REQUEST, .from = name_of("n2"), .term = 5 };

    node_init(&node, 1, 3, 1);
    hear(RAFT_TIMEOUT_NOW, "n2", 4);
    node_receive(&node, request);
    node_complete_all(&node);
    assert_true(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    request.from = name_of("n3");
    request.transfer = true;
    request.last_index = 99;
    request.last_term = 4;
    node_receive(&node, request);
    assert_false(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    assert_false(node.out.persist.wanted);
}

static void a_candidate_by_transfer_does_not_vote_for_another(void **state)
{
    (void)state;
    struct raft_message request = { .kind = RAFT_VOTE_REQUEST,
                                    .from = name_of("n3"),
                                    .term = 5,
                                    .transfer = true,
                                    .last_index = 99,
                                    .last_term = 4 };

    node_init(&node, 1, 3, 1);
    hear(RAFT_HEARTBEAT, "n2", 4);
    hear(RAFT_TIMEOUT_NOW, "n2", 4);
    node_receive(&node, request);
    assert_false(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
}

/* Five voters, "n1" leads; whoever is in `heard` answered just now, the others long ago. */
static void lose_the_majority(const char *const *heard, size_t count)
{
    static const char *const voters[] = { "n2", "n3" };

    node_init(&node, 1, 5, 1);
    node_elect(&node, voters, 2);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 1);
    node_acknowledge(&node, "n3", 1);
    node_acknowledge(&node, "n4", 1);
    node_wait(&node, TEST_ELECTION_MS - 1);
    for (size_t i = 0; i < count; i++)
        node_acknowledge_round(&node, heard[i], node.raft.term, 0);
    node_wait(&node, 1);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
}

static void a_leader_that_lost_its_majority_tells_one_that_it_does_not_hear(void **state)
{
    (void)state;
    static const char *const heard[] = { "n2" };

    lose_the_majority(heard, 1);
    assert_null(node_sent_to(&node, RAFT_TIMEOUT_NOW, "n2"));
    assert_non_null(node_sent_to(&node, RAFT_TIMEOUT_NOW, "n3"));
    assert_int_equal(node.out.message_count, 1);
    lose_the_majority(NULL, 0);
    assert_non_null(node_sent_to(&node, RAFT_TIMEOUT_NOW, "n2"));
    assert_int_equal(node.out.message_count, 1);
}

/* "n5" lacks what is committed: it could not win, and its campaign would cost a term. */
static void a_leader_that_lost_its_majority_tells_none_that_lacks_what_is_committed(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2", "n3" };

    node_init(&node, 1, 5, 1);
    node_elect(&node, voters, 2);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 1);
    node_acknowledge(&node, "n3", 1);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.commit, 1);
    for (int i = 2; i <= 4; i++)
        node.raft.progress[i - 1].recovering = true;
    node_wait(&node, TEST_ELECTION_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    assert_null(node_sent(&node, RAFT_TIMEOUT_NOW, 0));
}

static bool hands_over(void)
{
    return node_sent(&node, RAFT_TIMEOUT_NOW, 0) != NULL;
}

/* Heartbeats go out and are answered; `n2` stores what it is sent. */
static bool hung_leader_hands_over(int ms, const char *stores)
{
    static const char *const others[] = { "n2", "n3" };
    for (int t = 0; t < ms; t += TEST_HEARTBEAT_MS) {
        node_wait(&node, TEST_HEARTBEAT_MS);
        for (int i = 0; i < 2; i++) {
            node_acknowledge_round(&node, others[i], node.raft.term, node.raft.round);
            if (hands_over())
                return true;
        }
        if (stores) {
            node_acknowledge(&node, stores, node.raft.last_index);
            if (hands_over())
                return true;
        }
        node_event(&node, RAFT_EVENT_TIMER);
        if (hands_over())
            return true;
    }
    return false;
}

static void a_leader_whose_disk_hangs_hands_over_to_one_that_has_all(void **state)
{
    enum { BOUND_MS = 20 * TEST_ELECTION_MS };
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_acknowledge(&node, "n2", node.raft.last_index);
    node_acknowledge(&node, "n3", node.raft.last_index);
    node_propose(&node, "x");
    /* From here on no batch of n1 is ever completed. */
    node_acknowledge(&node, "n2", node.raft.last_index);
    node_acknowledge(&node, "n3", node.raft.last_index);
    assert_int_equal(node.raft.commit, node.raft.last_index);
    assert_false(hung_leader_hands_over(BOUND_MS - 2 * TEST_HEARTBEAT_MS, NULL));
    assert_true(hung_leader_hands_over(4 * TEST_HEARTBEAT_MS, NULL));
    assert_int_equal(node.raft.role, RAFT_LEADER);
    /* That word was lost: it tries again, and serves meanwhile. */
    node_wait(&node, TEST_ELECTION_MS - TEST_HEARTBEAT_MS);
    node_acknowledge_round(&node, "n2", node.raft.term, node.raft.round);
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_true(name_empty(&node.raft.transfer_to));
    assert_false(hung_leader_hands_over(BOUND_MS / 2, NULL));
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
    assert_true(hung_leader_hands_over(BOUND_MS, "n2"));
    node_forget_pending(&node, node.pending_count);
}

static void a_leader_whose_disk_hangs_leads_on_where_the_others_commit_nothing(void **state)
{
    (void)state;
    node_init(&node, 1, 5, 1);
    node_elect(&node, (const char *const[]){ "n2", "n3" }, 2);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", node.raft.last_index);
    node_acknowledge(&node, "n3", node.raft.last_index);
    node_propose(&node, "x");
    assert_false(hung_leader_hands_over(100 * TEST_ELECTION_MS, "n2"));
    assert_int_equal(node.raft.role, RAFT_LEADER);
    node_forget_pending(&node, node.pending_count);
}

static void a_leader_whose_disk_is_slow_but_gets_on_leads_on(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    for (int i = 0; i < 20; i++) {
        node_propose(&node, "x");
        node_propose(&node, "y");
        assert_false(hung_leader_hands_over(10 * TEST_ELECTION_MS, "n2"));
        node_complete(&node, node.pending_count - 1);
    }
    node_forget_pending(&node, node.pending_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_target_is_told_only_when_it_has_everything),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(a_transfer_that_does_not_happen_is_aborted),
        cmocka_unit_test(a_target_that_was_told_in_vain_is_told_again),
        cmocka_unit_test(the_target_campaigns_at_once_without_a_pre_vote),
        cmocka_unit_test(only_the_leader_may_tell),
        cmocka_unit_test(transfer_does_not_vote_twice_in_a_term),
        cmocka_unit_test(a_leader_that_lost_its_majority_tells_one_that_it_does_not_hear),
        cmocka_unit_test(a_leader_that_lost_its_majority_tells_none_that_lacks_what_is_committed),
        cmocka_unit_test(a_candidate_by_transfer_does_not_vote_for_another),
        cmocka_unit_test(a_leader_whose_disk_hangs_hands_over_to_one_that_has_all),
        cmocka_unit_test(a_leader_whose_disk_hangs_leads_on_where_the_others_commit_nothing),
        cmocka_unit_test(a_leader_whose_disk_is_slow_but_gets_on_leads_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
