/* The commit rule: a majority of durable copies of an entry of the leader's own term. */
#include "tests/unit/raft/node.h"

static struct node node;

/* Figure 8 of the Raft paper, c to e: an old-term entry on a majority is not committed by that. */
static void an_old_term_entry_does_not_commit_by_counting(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };
    static const char *const voters[] = { "n2", "n3" };

    node_init(&node, 1, 5, 1);
    node_restart_with_log(&node, 3, log, 2);
    node_elect(&node, voters, 2);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 2);
    node_acknowledge(&node, "n3", 2);
    assert_int_equal(node.raft.commit, 0);
    assert_int_equal(node.machine_index, 0);
    node_acknowledge(&node, "n2", 3);
    assert_int_equal(node.raft.commit, 0);
    node_acknowledge(&node, "n3", 3);
    assert_int_equal(node.raft.commit, 3);
    assert_int_equal(node.machine_index, 3);
    assert_true(node.out.serving_began);
}

static void the_noop_is_unconditional(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 3, 1);
    node_elect(&node, voters, 1);
    assert_int_equal(raft_entry_at(&node.raft, 1)->kind, RAFT_ENTRY_NOOP);
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n3")->entry_count, 1);
    assert_false(node.raft.serving);
}

static void the_leaders_own_copy_counts_only_when_durable(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 3, 1);
    node_elect(&node, voters, 1);
    node_acknowledge(&node, "n2", 1);
    assert_int_equal(node.raft.commit, 0);
    node_complete_all(&node);
    assert_int_equal(node.raft.commit, 1);
    node_propose(&node, "x");
    node_acknowledge(&node, "n2", 2);
    node_acknowledge(&node, "n2", 2);
    assert_int_equal(node.raft.commit, 1);
    node_acknowledge(&node, "n3", 2); /* two others suffice without the own disk */
    assert_int_equal(node.raft.commit, 2);
}

static void a_heartbeat_tells_no_more_than_the_peer_has(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->commit, 1);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n3")->commit, 0);
}

static void acknowledgements_out_of_order_or_of_the_unknown_do_no_harm(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_propose(&node, "x");
    node_propose(&node, "x");
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 99);
    assert_int_equal(node.raft.commit, 1);
    node_acknowledge(&node, "n2", 3);
    node_acknowledge(&node, "n2", 2);
    assert_int_equal(node.raft.commit, 3);
    assert_int_equal(node.raft.progress[1].match, 3);
}

static void a_learners_copy_does_not_count(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 4, 1);
    node.disk.state.members.member[3].voter = false;
    node_start(&node);
    node_elect(&node, voters, 1);
    node_complete_all(&node);
    node_acknowledge(&node, "n4", 1);
    assert_int_equal(node.raft.commit, 0);
    node_acknowledge(&node, "n3", 1);
    assert_int_equal(node.raft.commit, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_term_entry_does_not_commit_by_counting),
        cmocka_unit_test(the_noop_is_unconditional),
        cmocka_unit_test(the_leaders_own_copy_counts_only_when_durable),
        cmocka_unit_test(a_heartbeat_tells_no_more_than_the_peer_has),
        cmocka_unit_test(acknowledgements_out_of_order_or_of_the_unknown_do_no_harm),
        cmocka_unit_test(a_learners_copy_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
