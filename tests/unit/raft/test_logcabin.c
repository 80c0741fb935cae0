/* Facts from LogCabin's tests of its consensus that no other source here states. */
#include "tests/unit/raft/scenario.h"

static struct node node;
static uint8_t image[NODE_SNAPSHOT_BYTES];

static void snapshot_chunk(uint64_t term, const char *from, uint64_t index, size_t offset)
{
    size_t left = sizeof image - offset;

    machine_save(image, index, index * 77);
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_SNAPSHOT_REQUEST,
                            .from = name_of(from),
                            .term = term,
                            .snapshot_index = index,
                            .snapshot_term = 2,
                            .offset = offset,
                            .total = sizeof image,
                            .members = members_lent(3),
                            .chunk = { image + offset,
                                       left < RAFT_SNAPSHOT_CHUNK ? left : RAFT_SNAPSHOT_CHUNK } });
}

/* n1 has a snapshot of everything up to `index`, of term 2, and no log above it. */
static void begin_with_snapshot(uint64_t index)
{
    node_init(&node, 1, 3, 1);
    for (size_t offset = 0; offset < sizeof image; offset += RAFT_SNAPSHOT_CHUNK)
        snapshot_chunk(3, "n2", index, offset);
    node_complete_all(&node);
    assert_int_equal(node.machine_index, index);
}

static void a_majority_has_reached_the_middle_value_or_less(void **state)
{
    (void)state;
    static const struct {
        int count;
        uint64_t values[HF_ISSUERS_MAX];
        uint64_t reached;
    } rows[] = {
        { 1, { 7 }, 7 },
        { 2, { 7, 3 }, 3 },
        { 3, { 1, 9, 4 }, 4 },
        { 3, { 9, 9, 0 }, 9 },
        { 4, { 1, 2, 3, 4 }, 2 },
        { 5, { 5, 1, 4, 2, 3 }, 3 },
        { 5, { 0, 0, 0, 9, 9 }, 0 },
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct raft_members members = members_of(rows[r].count);

        assert_int_equal(raft_majority_value(&members, rows[r].values), rows[r].reached);
        assert_int_equal(raft_quorum(&members), rows[r].count / 2 + 1);
        if (rows[r].count != 3)
            continue;
        members.member[0].voter = false; /* two are left, and both must have it */
        assert_int_equal(raft_majority_value(&members, rows[r].values),
                         rows[r].values[1] < rows[r].values[2] ? rows[r].values[1] :
                                                                 rows[r].values[2]);
    }
}

static void a_leaders_append_or_chunk_ends_a_candidacy_and_restarts_the_timer(void **state)
{
    (void)state;
    for (int chunk = 0; chunk < 2; chunk++) {
        node_init(&node, 1, 3, 1);
        node_time_out(&node);
        node_grant(&node, "n2", true);
        assert_int_equal(node.raft.role, RAFT_CANDIDATE);
        node_wait(&node, 10000);
        if (chunk)
            snapshot_chunk(10, "n3", 40, 0);
        else
            node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                                       .term = 10,
                                                       .from = name_of("n3") });
        assert_int_equal(node.raft.role, RAFT_FOLLOWER);
        assert_int_equal(node.raft.term, 10);
        assert_true(name_equal(&node.raft.leader, &(struct hf_name){ "n3" }));
        assert_true(name_empty(&node.raft.vote));
        assert_in_range(instant_diff(node.out.wake_at, node.now).us, TEST_ELECTION_MS * 1000,
                        2 * TEST_ELECTION_MS * 1000);
    }
}

/* Entries 1..5 are gone into the snapshot; an append that begins among them is no gap. */
static void an_append_that_begins_below_the_snapshot_is_known_already(void **state)
{
    (void)state;
    static struct raft_entry entries[6];

    for (uint64_t i = 0; i < 6; i++)
        entries[i] = (struct raft_entry){ .index = 2 + i, .term = i < 4 ? 1 : 3, .length = 1 };
    begin_with_snapshot(5);
    for (uint8_t count = 0; count <= 6; count++) {
        node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                                   .term = 3,
                                                   .from = name_of("n2"),
                                                   .prev_index = 1,
                                                   .prev_term = 1,
                                                   .entry_count = count,
                                                   .entries = entries });
        node_complete_all(&node);
        assert_true(node_sent(&node, RAFT_APPEND_REPLY, 0)->success);
        assert_int_equal(node_sent(&node, RAFT_APPEND_REPLY, 0)->match_index,
                         count <= 4 ? 5 : 1 + count);
        assert_int_equal(node.raft.last_index, count <= 4 ? 5 : 1 + count);
    }
    assert_int_equal(node.disk.state.entry_count, 2);
}

static void an_empty_log_ends_where_its_snapshot_ends(void **state)
{
    (void)state;
    begin_with_snapshot(40);
    node_start(&node);
    assert_int_equal(node.raft.last_index, 40);
    assert_int_equal(raft_term_at(&node.raft, 40), 2);
    assert_int_equal(node.raft.commit, 40);
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 4,
                                               .last_index = 39,
                                               .last_term = 2 });
    assert_false(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    node_complete_all(&node);
    node_time_out(&node);
    assert_int_equal(node_sent(&node, RAFT_VOTE_REQUEST, 0)->last_index, 40);
    assert_int_equal(node_sent(&node, RAFT_VOTE_REQUEST, 0)->last_term, 2);
}

static void any_reply_of_a_later_term_ends_the_leadership(void **state)
{
    (void)state;
    static const enum raft_message_kind kinds[] = { RAFT_VOTE_REPLY, RAFT_APPEND_REPLY,
                                                    RAFT_HEARTBEAT_REPLY, RAFT_SNAPSHOT_REPLY };

    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        node_init(&node, 1, 3, 1);
        node_serve(&node);
        node_propose(&node, "x");
        node_complete_all(&node);
        node_receive(&node, (struct raft_message){ .kind = kinds[k],
                                                   .from = name_of("n3"),
                                                   .term = 5,
                                                   .success = true,
                                                   .match_index = 2,
                                                   .installed = true,
                                                   .snapshot_index = 2 });
        assert_int_equal(node.raft.role, RAFT_FOLLOWER);
        assert_int_equal(node.raft.term, 5);
        assert_int_equal(node.raft.commit, 1); /* and it is no acknowledgement */
        assert_true(node.out.persist.hard_state);
        assert_true(name_empty(&node.raft.leader));
    }
}

static void a_vote_that_comes_after_the_election_is_won_changes_nothing(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    for (int granted = 0; granted < 2; granted++) {
        node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REPLY,
                                                   .from = name_of("n3"),
                                                   .term = node.raft.term,
                                                   .granted = granted != 0 });
        assert_int_equal(node.raft.role, RAFT_LEADER);
        assert_true(node.raft.serving);
        assert_false(node.out.role_changed);
        assert_int_equal(node.raft.last_index, 1);
    }
}

/* Else a candidate that can't win could keep a better one from ever standing. */
static void a_higher_term_alone_does_not_postpone_the_own_campaign(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 2);
    struct instant before = node.raft.election_at;

    node_wait(&node, TEST_ELECTION_MS / 2);
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 9,
                                               .last_index = 9,
                                               .last_term = 1 });
    assert_int_equal(node.raft.term, 9);
    assert_false(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    assert_int_equal(node.raft.election_at.us, before.us);
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of("n3"),
                                               .term = 9,
                                               .last_index = 9,
                                               .last_term = 2 });
    assert_true(name_equal(&node.raft.vote, &(struct hf_name){ "n3" }));
    assert_int_not_equal(node.raft.election_at.us, before.us); /* a vote does */
    assert_true(instant_diff(node.raft.election_at, node.now).us >= TEST_ELECTION_MS * 1000);
}

/* Twice the follower says that it stored less than was sent. */
static void a_leader_goes_back_to_what_the_receiver_has_stored(void **state)
{
    (void)state;
    static struct cluster world;

    cluster_init(&world, 3);
    cluster_isolate(&world, 3);
    cluster_campaign(&world, 1);
    for (int i = 0; i < RAFT_COMPACT_AT + 100; i++)
        assert_true(cluster_propose(&world, 1, "x") > 0);
    cluster_heal(&world);
    cluster_beat(&world, 1);
    cluster_crash(&world, 3);
    cluster_restart(&world, 3);
    world.cut[1][3] = true; /* pieces are lost under way, once and again */
    cluster_beat(&world, 1);
    cluster_beat(&world, 1);
    world.cut[1][3] = false;
    for (int i = 0; i < 4; i++)
        cluster_beat(&world, 1);
    assert_true(world.node[3].raft.snapshot_durable > 0);
    cluster_assert_applied(&world, RAFT_COMPACT_AT + 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_majority_has_reached_the_middle_value_or_less),
        cmocka_unit_test(a_leaders_append_or_chunk_ends_a_candidacy_and_restarts_the_timer),
        cmocka_unit_test(an_append_that_begins_below_the_snapshot_is_known_already),
        cmocka_unit_test(an_empty_log_ends_where_its_snapshot_ends),
        cmocka_unit_test(any_reply_of_a_later_term_ends_the_leadership),
        cmocka_unit_test(a_vote_that_comes_after_the_election_is_won_changes_nothing),
        cmocka_unit_test(a_higher_term_alone_does_not_postpone_the_own_campaign),
        cmocka_unit_test(a_leader_goes_back_to_what_the_receiver_has_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
