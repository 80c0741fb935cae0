/* Whose messages a node hears, and whose candidacy, when configurations differ. */
#include "tests/unit/raft/network.h"

static struct node node;

static struct raft_entry members_entry(uint64_t index, uint64_t term, const char *names)
{
    struct raft_entry entry = { .index = index, .term = term, .kind = RAFT_ENTRY_MEMBERS };
    struct raft_members members = { .count = 0 };

    for (const char *at = names; *at != '\0'; at++) {
        char name[3] = { 'n', *at, '\0' };
        members.member[members.count++] =
            (struct raft_member){ .id = name_of(name), .voter = true };
    }
    entry.length = (uint16_t)raft_members_encode(&members, entry.data, sizeof entry.data);
    return entry;
}

static bool hears(const char *name)
{
    struct hf_name id = name_of(name);

    return raft_hears(&node.raft, &id);
}

static void start_with(struct node *at, int number, uint64_t term, size_t count, ...)
{
    va_list entries;

    node_init(at, number, 3, 1);
    va_start(entries, count);
    for (size_t i = 0; i < count; i++)
        at->disk.entry[i] = members_entry(i + 1, term, va_arg(entries, const char *));
    va_end(entries);
    at->disk.state.entry_count = count;
    at->disk.state.term = term;
    node_start(at);
}

static void commit_by_n2(uint64_t term, uint64_t index)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = term,
                                               .prev_index = index,
                                               .prev_term = raft_term_at(&node.raft, index),
                                               .commit = index });
    assert_int_equal(node.raft.commit, index);
}

static void it_hears_the_members_and_no_stranger(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    assert_true(hears("n2") && hears("n3"));
    assert_false(hears("n4"));
    assert_false(raft_hears(&node.raft, &(struct hf_name){ { 0 } }));
}

static void it_hears_whom_a_change_removes_until_that_is_committed(void **state)
{
    (void)state;
    start_with(&node, 1, 1, 1, "12");
    assert_true(hears("n3"));
    commit_by_n2(1, 1);
    assert_false(hears("n3"));
}

static void it_hears_whom_a_change_adds_as_soon_as_it_has_it(void **state)
{
    (void)state;
    start_with(&node, 1, 1, 1, "1234");
    assert_true(hears("n4"));
}

/* It does not know how much of its log is committed: any of these may be. */
static void it_hears_every_configuration_from_the_last_that_it_knows_to_be_committed(void **state)
{
    (void)state;
    start_with(&node, 1, 1, 3, "1234", "124", "12");
    assert_true(hears("n3") && hears("n4"));
    commit_by_n2(1, 2);
    assert_false(hears("n3"));
    assert_true(hears("n4"));
}

static void it_hears_its_leader_though_that_removed_itself(void **state)
{
    (void)state;
    start_with(&node, 1, 1, 1, "13");
    commit_by_n2(1, 1);
    assert_true(hears("n2"));
    node_receive(
        &node, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = name_of("n2"), .term = 1 });
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_false(hears("n2"));
}

/* ---- whom it votes for */

static const struct raft_message *asked_for_a_vote(const char *from, bool pre, bool voter)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of(from),
                                               .term = 5,
                                               .pre = pre,
                                               .last_index = 9,
                                               .last_term = 4,
                                               .voter = voter,
                                               .nonce = 1 });
    node_complete_all(&node);
    return node_sent(&node, RAFT_VOTE_REPLY, 0);
}

static void a_candidate_that_knows_of_its_removal_gets_no_vote_of_one_who_knows_too(void **state)
{
    (void)state;
    for (int pre = 0; pre < 2; pre++) {
        start_with(&node, 1, 1, 1, "12");
        assert_null(asked_for_a_vote("n3", pre == 1, false));
        assert_int_equal(node.raft.term, 1);
        assert_true(asked_for_a_vote("n3", pre == 1, true)->granted);
    }
}

/* 4.2.2: it may be the only one whose log can win. */
static void it_gets_the_vote_of_one_who_does_not_know_yet(void **state)
{
    (void)state;
    start_with(&node, 1, 1, 0);
    assert_true(asked_for_a_vote("n3", false, false)->granted);
}

/*
 * It was added, and removes itself, and restarted: it knows of no commit. Its log alone can win.
 */
static void
it_stands_for_election_while_any_configuration_that_may_be_committed_has_its_vote(void **state)
{
    (void)state;
    start_with(&node, 4, 1, 2, "1234", "123");
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    commit_by_n2(1, 2);
    node_wait(&node, 10 * TEST_ELECTION_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
}

static void a_candidate_says_whether_its_newest_configuration_lets_it_vote(void **state)
{
    (void)state;
    start_with(&node, 1, 1, 0);
    node_time_out(&node);
    assert_true(node_sent_to(&node, RAFT_VOTE_REQUEST, "n2")->voter);
    start_with(&node, 1, 1, 1, "23");
    node_time_out(&node);
    assert_false(node_sent_to(&node, RAFT_VOTE_REQUEST, "n2")->voter);
}

/* ---- whole clusters: everybody hears by raft_hears() only */

static struct network network;

static bool known_to_raft(struct network *at, int to, const struct hf_name *from)
{
    return raft_hears(&at->node[to].raft, from);
}

static bool leads_within(int64_t ms)
{
    for (int64_t i = 0; i < ms && network_serving(&network) < 0; i++)
        network_tick(&network);
    return network_serving(&network) >= 0;
}

/*
 * n1 led, and removed itself: only n2 stored that. n3 hung. n1 and n2 lost their power, n1 before
 * its own entry was on its disk; n1 and n3 elect n1. n2 goes by a list without n1, and must hear it
 * all the same: when n3 dies, n1 and n2 are all there is.
 */
static void a_removal_that_only_one_has_stored_leaves_no_majority_deaf(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        network_init(&network, 3, seed);
        network.hears = known_to_raft;
        for (int i = 0; i < 3; i++)
            network_crash(&network, i);
        for (int i = 0; i < 3; i++)
            start_with(&network.node[i], i + 1, 1, i == 1 ? 1 : 0, "23");
        network_start(&network, 0);
        network_start(&network, 2);
        assert_true(leads_within(3000));
        network_start(&network, 1);
        for (int ms = 0; ms < 1000; ms++)
            network_tick(&network);
        network_crash(&network, 2);
        for (int ms = 0; ms < 10 * TEST_ELECTION_MS; ms++)
            network_tick(&network);
        assert_true(leads_within(1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_hears_the_members_and_no_stranger),
        cmocka_unit_test(it_hears_whom_a_change_removes_until_that_is_committed),
        cmocka_unit_test(it_hears_whom_a_change_adds_as_soon_as_it_has_it),
        cmocka_unit_test(it_hears_every_configuration_from_the_last_that_it_knows_to_be_committed),
        cmocka_unit_test(it_hears_its_leader_though_that_removed_itself),
        cmocka_unit_test(a_candidate_that_knows_of_its_removal_gets_no_vote_of_one_who_knows_too),
        cmocka_unit_test(it_gets_the_vote_of_one_who_does_not_know_yet),
        cmocka_unit_test(
            it_stands_for_election_while_any_configuration_that_may_be_committed_has_its_vote),
        cmocka_unit_test(a_candidate_says_whether_its_newest_configuration_lets_it_vote),
        cmocka_unit_test(a_removal_that_only_one_has_stored_leaves_no_majority_deaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
