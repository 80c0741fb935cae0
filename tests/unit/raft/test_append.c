/* Replication: what a follower takes and acknowledges, what a leader sends, the disk between. */
#include "tests/unit/raft/node.h"

static struct node node;

/* An append of entries of these terms after prev; from n2. */
static void append(uint64_t term, uint64_t prev_index, uint64_t prev_term, const uint64_t *terms,
                   uint8_t count, uint64_t commit)
{
    static struct raft_entry entries[RAFT_APPEND_MAX];

    for (uint8_t i = 0; i < count; i++)
        entries[i] =
            (struct raft_entry){ .index = prev_index + 1 + i, .term = terms[i], .length = 1 };
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = term,
                                               .prev_index = prev_index,
                                               .prev_term = prev_term,
                                               .entry_count = count,
                                               .entries = entries,
                                               .commit = commit });
}

static const struct raft_message *reply(void)
{
    return node_sent(&node, RAFT_APPEND_REPLY, 0);
}

static void an_append_is_acknowledged_only_when_durable(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 1, 1 };

    node_init(&node, 1, 3, 1);
    append(1, 0, 0, terms, 3, 0);
    assert_null(reply());
    assert_int_equal(node.out.persist.first_index, 1);
    assert_int_equal(node.out.persist.last_index, 3);
    append(1, 0, 0, terms, 3, 0);
    assert_null(reply());
    assert_false(node.out.persist.wanted);
    node_complete_all(&node);
    assert_true(reply()->success);
    assert_int_equal(reply()->match_index, 3);
    append(1, 0, 0, terms, 2, 0);
    assert_int_equal(reply()->match_index, 3);
}

static void a_completion_that_brings_no_entry_is_not_an_answer(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 1 };

    node_init(&node, 1, 3, 1);
    node_receive(&node,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 1 });
    append(1, 0, 0, terms, 2, 0);
    node_complete(&node, 1);
    assert_null(reply());
    node_complete(&node, 1);
    assert_int_equal(reply()->match_index, 2);
}

static void a_stale_completion_does_not_acknowledge_rewritten_entries(void **state)
{
    (void)state;
    static const uint64_t old_terms[] = { 1, 1 };
    static const uint64_t new_terms[] = { 2, 2 };

    node_init(&node, 1, 3, 1);
    append(1, 0, 0, old_terms, 2, 0);
    append(2, 0, 0, new_terms, 2, 0);
    assert_int_equal(node.out.persist.truncate_from, 1);
    node_complete(&node, 1);
    assert_null(reply());
    assert_int_equal(raft_durable_index(&node.raft), 0);
    node_complete(&node, 1);
    assert_int_equal(reply()->match_index, 2);
    assert_int_equal(reply()->term, 2);
}

static void an_empty_append_is_not_acknowledged_before_its_term_is_durable(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 1, log, 2);
    append(2, 2, 1, NULL, 0, 0);
    assert_null(reply());
    node_complete_all(&node);
    assert_int_equal(reply()->match_index, 2);
}

static void refusals_hint_at_the_conflict(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1, 2, 2, 2 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 5);
    append(3, 9, 3, NULL, 0, 0);
    assert_false(reply()->success);
    assert_int_equal(reply()->prev_index, 9);
    assert_int_equal(reply()->hint_index, 6);
    assert_int_equal(reply()->hint_term, 0);
    append(3, 5, 3, NULL, 0, 0);
    assert_int_equal(reply()->hint_term, 2);
    assert_int_equal(reply()->hint_index, 3);
}

/* Figure 7 of the Raft paper: leader log of term 8 against followers' logs. */
static void a_leader_brings_every_log_of_figure_7_into_line(void **state)
{
    (void)state;
    static const uint64_t leader_log[] = { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6 };
    static const struct {
        size_t count;
        uint64_t terms[12];
    } rows[] = {
        { 9, { 1, 1, 1, 4, 4, 5, 5, 6, 6 } },
        { 4, { 1, 1, 1, 4 } },
        { 11, { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6 } },
        { 12, { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7 } },
        { 7, { 1, 1, 1, 4, 4, 4, 4 } },
        { 11, { 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3 } },
    };
    static const char *const voters[] = { "n3" };
    static struct node leader;

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        int trips = 0;

        node_init(&leader, 2, 3, 5);
        node_restart_with_log(&leader, 7, leader_log, 10);
        node_init(&node, 1, 3, 1);
        node_restart_with_log(&node, 7, rows[r].terms, rows[r].count);
        node_elect(&leader, voters, 1);
        while (node.raft.last_index != 11 || leader.raft.progress[0].match != 11) {
            const struct raft_message *request = node_sent_to(&leader, RAFT_APPEND_REQUEST, "n1");

            assert_non_null(request);
            assert_true(++trips <= 4);
            node_receive(&node, *request);
            if (!reply())
                node_complete_all(&node);
            node_receive(&leader, *reply());
        }
        for (uint64_t i = 1; i <= 10; i++)
            assert_int_equal(raft_term_at(&node.raft, i), leader_log[i - 1]);
        assert_int_equal(raft_term_at(&node.raft, 11), 8);
    }
}

static void commit_never_passes_what_is_verified(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1, 1, 1 };
    static const uint64_t next[] = { 1 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 4);
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 2, .commit = 4 });
    assert_int_equal(node.raft.commit, 0);
    append(2, 1, 1, next, 1, 4);
    assert_int_equal(node.raft.commit, 2);
    append(2, 4, 1, NULL, 0, 3);
    assert_int_equal(node.raft.commit, 3);
    assert_int_equal(node.machine_index, 3);
}

static void a_shorter_old_append_does_not_cut_the_log(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 1, 1 };

    node_init(&node, 1, 3, 1);
    append(1, 0, 0, terms, 3, 0);
    append(1, 0, 0, terms, 1, 0);
    assert_int_equal(node.raft.last_index, 3);
    append(1, 1, 1, NULL, 0, 0);
    assert_int_equal(node.raft.last_index, 3);
}

static void what_is_committed_is_never_cut(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 1 };
    static const uint64_t other[] = { 2, 2, 2 };

    node_init(&node, 1, 3, 1);
    append(1, 0, 0, terms, 2, 2);
    assert_int_equal(node.raft.commit, 2);
    append(2, 0, 0, other, 3, 0);
    assert_int_equal(raft_term_at(&node.raft, 2), 1);
    assert_int_equal(raft_term_at(&node.raft, 3), 2);
}

static void malformed_appends_are_not_heard(void **state)
{
    (void)state;
    static const uint64_t falling[] = { 2, 1 };
    static const uint64_t future[] = { 9 };

    node_init(&node, 1, 3, 1);
    append(3, 0, 0, falling, 2, 0);
    append(3, 0, 0, future, 1, 0);
    assert_int_equal(node.raft.last_index, 0);
    assert_int_equal(node.raft.term, 0);
}

static void a_leader_streams_before_its_own_disk_and_keeps_the_cap(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    for (int i = 0; i < RAFT_INFLIGHT_MAX; i++) {
        node_propose(&node, "x");
        assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n2")->entry_count, 1);
    }
    assert_true(raft_durable_index(&node.raft) < node.raft.last_index);
    node_propose(&node, "x");
    assert_null(node_sent_to(&node, RAFT_APPEND_REQUEST, "n2"));
    assert_null(node_sent_to(&node, RAFT_APPEND_REQUEST, "n3")); /* probed, silent so far */
    node_acknowledge(&node, "n2", 2);
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n2")->prev_index, 9);
}

static void a_lost_append_is_sent_again(void **state)
{
    (void)state;
    bool again = false;

    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_propose(&node, "x");
    for (int i = 0; i < 2 * TEST_ELECTION_MS / TEST_HEARTBEAT_MS && !again; i++) {
        node_time_out(&node);
        again = node_sent_to(&node, RAFT_APPEND_REQUEST, "n2") != NULL;
        node_acknowledge_round(&node, "n2", node.raft.term, 0);
    }
    assert_true(again);
    assert_int_equal(node.raft.progress[1].state, RAFT_PROBE);
}

static void a_broken_connection_goes_back_to_probing(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_propose(&node, "x");
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n2") });
    assert_int_equal(node.raft.progress[1].state, RAFT_PROBE);
    assert_int_equal(node.out.message_count, 0);
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n2")->prev_index, 1);
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n2")->entry_count, 1);
}

static void proposals_are_refused_before_serving_and_when_too_many_wait(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 3, 1);
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_NOT_LEADER);
    node_elect(&node, voters, 1);
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_NOT_LEADER);
    node_complete_all(&node);
    node_acknowledge(&node, "n2", 1);
    for (uint64_t i = 0; i < RAFT_UNCOMMITTED_MAX; i++) {
        node_propose(&node, "x");
        assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
        assert_int_equal(node.out.proposed_index, 2 + i);
    }
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_LOG_FULL);
    assert_int_equal(node.out.proposed_index, 0);
    assert_false(node.out.persist.wanted);
}

static void a_full_ring_refuses_proposals_until_a_snapshot_makes_room(void **state)
{
    (void)state;
    node_init(&node, 1, 1, 1);
    node_time_out(&node);
    node_complete_all(&node);
    for (int i = 0; i < 2 * RAFT_LOG_MAX && node.out.refusal == RAFT_ACCEPTED; i++) {
        node_complete_all(&node);
        node_propose(&node, "x");
    }
    assert_int_equal(node.out.refusal, RAFT_STORE_BEHIND);
    assert_true(raft_wants_snapshot(&node.raft));
    node_complete_all(&node);
    node_compact(&node);
    assert_false(raft_wants_snapshot(&node.raft));
    assert_int_equal(node.raft.first_index, 1);
    node_complete_all(&node);
    assert_int_equal(node.raft.first_index, node.raft.snapshot_index - RAFT_TRAILING + 1);
    node_propose(&node, "x");
    assert_int_equal(node.out.refusal, RAFT_ACCEPTED);
}

static void a_full_follower_acknowledges_only_what_it_took(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

    node_init(&node, 1, 3, 1);
    for (uint64_t prev = 0; prev < RAFT_LOG_MAX; prev += 15) {
        append(1, prev, prev ? 1 : 0, terms, 15, 0);
        node_complete_all(&node);
    }
    assert_int_equal(node.raft.last_index, RAFT_LOG_MAX);
    assert_int_equal(reply()->match_index, RAFT_LOG_MAX);
    append(1, RAFT_LOG_MAX, 1, terms, 5, 0);
    assert_int_equal(reply()->match_index, RAFT_LOG_MAX);
    node_wait(&node, 10000);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
}

static void recovered_entries_count_as_durable(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 2);
    assert_int_equal(raft_durable_index(&node.raft), 2);
    assert_int_equal(node.raft.commit, 0);
    append(2, 2, 2, NULL, 0, 2);
    assert_int_equal(reply()->match_index, 2);
    assert_int_equal(node.machine_index, 2);
}

/* The ring is by far the largest part: what holds no entry stays out of memory. */
static void a_start_touches_no_slot_that_holds_nothing(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };
    const uint8_t *slot;

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 2);
    for (size_t i = 0; i < RAFT_LOG_MAX; i++) {
        slot = (const uint8_t *)&node.raft.ring[i];
        for (size_t at = 0; (i < 1 || i > 2) && at < sizeof node.raft.ring[i]; at++)
            assert_int_equal(slot[at], NODE_DIRT);
    }
}

/* A log like that would be refused at the next start, and at every one after it. */
static void an_entry_of_a_lower_term_than_the_one_before_it_is_not_taken(void **state)
{
    static struct raft_entry entries[3] = { { .index = 1, .term = 1, .length = 1 },
                                            { .index = 2, .term = 1, .length = 1 },
                                            { .index = 3, .term = 1, .length = 1 } };

    (void)state;
    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 4, (const uint64_t[]){ 4, 4 }, 2);
    node_receive(&node,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 4 });
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 4,
                                               .prev_index = 2,
                                               .prev_term = 4,
                                               .commit = 2 });
    assert_int_equal(node.raft.commit, 2);
    /* The first two are committed here, so they are not compared. */
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 4,
                                               .entry_count = 3,
                                               .entries = entries });
    node_complete_all(&node);
    assert_int_equal(node.raft.last_index, 2);
    node_start(&node);
    assert_int_equal(node.raft.last_index, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_of_a_lower_term_than_the_one_before_it_is_not_taken),
        cmocka_unit_test(an_append_is_acknowledged_only_when_durable),
        cmocka_unit_test(a_completion_that_brings_no_entry_is_not_an_answer),
        cmocka_unit_test(a_stale_completion_does_not_acknowledge_rewritten_entries),
        cmocka_unit_test(an_empty_append_is_not_acknowledged_before_its_term_is_durable),
        cmocka_unit_test(refusals_hint_at_the_conflict),
        cmocka_unit_test(a_leader_brings_every_log_of_figure_7_into_line),
        cmocka_unit_test(commit_never_passes_what_is_verified),
        cmocka_unit_test(a_shorter_old_append_does_not_cut_the_log),
        cmocka_unit_test(what_is_committed_is_never_cut),
        cmocka_unit_test(malformed_appends_are_not_heard),
        cmocka_unit_test(a_leader_streams_before_its_own_disk_and_keeps_the_cap),
        cmocka_unit_test(a_lost_append_is_sent_again),
        cmocka_unit_test(a_broken_connection_goes_back_to_probing),
        cmocka_unit_test(proposals_are_refused_before_serving_and_when_too_many_wait),
        cmocka_unit_test(a_full_ring_refuses_proposals_until_a_snapshot_makes_room),
        cmocka_unit_test(a_full_follower_acknowledges_only_what_it_took),
        cmocka_unit_test(recovered_entries_count_as_durable),
        cmocka_unit_test(a_start_touches_no_slot_that_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
