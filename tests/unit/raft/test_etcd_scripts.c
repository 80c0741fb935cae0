/* Stories of a few nodes, told step by step: etcd's interaction scripts, as far as they apply. */
#include "tests/unit/raft/scenario.h"

static struct cluster world;

static struct raft *raft_of(int number)
{
    return &world.node[number].raft;
}

static enum raft_progress_state progress_of(int leader, int peer)
{
    return raft_of(leader)->progress[peer - 1].state;
}

/* n1 leads `count` nodes in term 1; its no-op is applied by all. */
static void begin(int count)
{
    cluster_init(&world, count);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 1);
    cluster_assert_applied(&world, 1);
}

static void a_campaign_ends_with_one_leader_and_one_entry_everywhere(void **state)
{
    (void)state;
    begin(3);
    for (int i = 1; i <= 3; i++) {
        const struct disk *disk = &world.node[i].disk;

        assert_true(name_equal(&disk->state.vote, &(struct hf_name){ "n1" }));
        assert_int_equal(disk->state.term, 1);
        assert_int_equal(disk->state.entry_count, 1);
        assert_int_equal(disk->entry[0].kind, RAFT_ENTRY_NOOP);
    }
    assert_int_equal(world.sent[RAFT_VOTE_REQUEST], 4);
}

/* Two batches deep on every disk: entries commit in order, as a majority's disks get there. */
static void a_pipeline_of_writes_commits_as_the_disks_get_there(void **state)
{
    (void)state;
    begin(3);
    for (int i = 1; i <= 3; i++)
        world.disk_held[i] = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cluster_propose(&world, 1, "x"), 2 + (uint64_t)i);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(raft_of(i)->last_index, 4);
        assert_int_equal(raft_durable_index(raft_of(i)), 1);
    }
    assert_int_equal(raft_of(1)->commit, 1);
    cluster_complete(&world, 1, 2);
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->commit, 1);
    cluster_complete(&world, 2, 1);
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->commit, 2);
    cluster_complete(&world, 3, 3);
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->commit, 3);
    cluster_complete(&world, 2, 2);
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->commit, 4);
    cluster_beat(&world, 1);
    cluster_assert_applied(&world, 4);
}

static void append_of(uint64_t term, const char *from)
{
    struct raft_entry entry = { .index = 2, .term = term, .length = 1 };

    node_receive(&world.node[1], (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                                        .from = name_of(from),
                                                        .term = term,
                                                        .prev_index = 1,
                                                        .prev_term = 1,
                                                        .entry_count = 1,
                                                        .entries = &entry });
}

/* Three leaders write one index, while the first write is still on its way to the disk. */
static void completions_of_overwritten_appends_acknowledge_nothing(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1 };
    struct node *node = &world.node[1];

    cluster_init(&world, 7);
    cluster_with_log(&world, 1, 1, log, 1);
    world.disk_held[1] = true;
    append_of(1, "n2");
    append_of(2, "n3");
    node_receive(node,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n4"), .term = 3 });
    append_of(3, "n4");
    assert_int_equal(node->pending_count, 4);
    for (uint64_t done = 1; done <= 3; done++) {
        node_complete(node, 1);
        assert_null(node_sent(node, RAFT_APPEND_REPLY, 0));
        assert_int_equal(raft_durable_index(&node->raft), 1);
        assert_int_equal(raft_term_at(&node->raft, 2), 3);
    }
    node_complete(node, 1);
    assert_int_equal(node_sent(node, RAFT_APPEND_REPLY, 0)->match_index, 2);
    assert_true(name_equal(&node->out.messages[0].to, &(struct hf_name){ "n4" }));
    assert_int_equal(node->disk.entry[1].term, 3);
}

static void a_leader_without_a_quorum_goes_and_its_late_heartbeats_do_no_harm(void **state)
{
    (void)state;
    begin(3);
    for (int i = 0; i < 4; i++) { /* the network is slow: sent, and not delivered yet */
        cluster_pass(&world, TEST_HEARTBEAT_MS);
        cluster_timer(&world, 1);
    }
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    cluster_pass(&world, TEST_ELECTION_MS);
    cluster_timer(&world, 1);
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER);
    assert_int_equal(raft_of(1)->term, 1);
    assert_true(name_empty(&raft_of(1)->leader));
    /* Its last word, behind the heartbeats, is to a successor. */
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER);
    cluster_assert_leads(&world, 2, 2);
}

/* Its connection broke and came back; it misses nothing, so no entry would tell. */
static void a_peer_that_has_everything_is_replicated_to_again_after_a_break(void **state)
{
    (void)state;
    begin(3);
    assert_int_equal(progress_of(1, 2), RAFT_REPLICATE);
    cluster_event(&world, 1,
                  &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n2") });
    cluster_settle(&world);
    assert_int_equal(progress_of(1, 2), RAFT_PROBE);
    cluster_beat(&world, 1);
    assert_int_equal(progress_of(1, 2), RAFT_REPLICATE);
    assert_int_equal(raft_of(1)->last_index, 1);
}

/* The leader can't say more than it knows the follower to have; a lost reply costs a resend. */
static void a_follower_whose_replies_were_lost_learns_the_commit_in_the_end(void **state)
{
    (void)state;
    begin(3);
    world.cut[3][1] = true;
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    assert_int_equal(cluster_propose(&world, 1, "x"), 3);
    world.cut[3][1] = false;
    assert_int_equal(raft_of(1)->commit, 3);
    assert_int_equal(raft_of(3)->last_index, 3);
    assert_int_equal(raft_of(1)->progress[2].match, 1);
    assert_true(raft_of(3)->commit < 3);
    for (int beats = 0; raft_of(3)->commit < 3; beats++) {
        assert_true(beats <= TEST_ELECTION_MS / TEST_HEARTBEAT_MS + 1);
        cluster_beat(&world, 1);
    }
    cluster_assert_applied(&world, 3);
}

static void pre_vote_keeps_a_node_that_is_behind_from_calling_an_election(void **state)
{
    (void)state;
    begin(3);
    world.cut[1][3] = true;
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    cluster_campaign(&world, 3);
    assert_int_equal(raft_of(3)->role, RAFT_PRE_CANDIDATE);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(raft_of(i)->term, 1);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    cluster_heal(&world);
    cluster_campaign(&world, 2);
    cluster_beat(&world, 2);
    cluster_assert_leads(&world, 2, 2);
    cluster_assert_applied(&world, 3);
}

/* This node's election timer is the first to run out, though the leader is well. */
static void doubt(int number)
{
    raft_of(number)->election_at = world.now;
    cluster_timer(&world, number);
    cluster_settle(&world);
}

static void a_majority_that_lost_its_leader_may_replace_it_one_node_may_not(void **state)
{
    (void)state;
    begin(3);
    doubt(2);
    assert_int_equal(raft_of(2)->role, RAFT_PRE_CANDIDATE);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 1);
    doubt(3);
    assert_int_equal(cluster_leader(&world), 1);
    doubt(2);
    cluster_assert_leads(&world, 2, 2);
}

/* Figure 7 of the Raft paper: seven logs, the fifth with a longer tail. */
static void seven_logs_of_figure_7_become_one(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        uint64_t terms[12];
    } logs[] = {
        { 10, { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6 } },
        { 9, { 1, 1, 1, 4, 4, 5, 5, 6, 6 } },
        { 4, { 1, 1, 1, 4 } },
        { 11, { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6 } },
        { 12, { 1, 1, 1, 4, 4, 5, 5, 6, 7, 7, 7, 7 } },
        { 7, { 1, 1, 1, 4, 4, 4, 4 } },
        { 11, { 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3 } },
    };
    static const uint64_t result[] = { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8 };

    cluster_init(&world, 7);
    for (int i = 1; i <= 7; i++)
        cluster_with_log(&world, i, 7, logs[i - 1].terms, logs[i - 1].count);
    cluster_campaign(&world, 1);
    assert_int_equal(cluster_leader(&world), 1);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 8);
    cluster_assert_applied(&world, 11);
    for (int i = 1; i <= 7; i++) {
        cluster_assert_log(&world, i, result, 11);
        assert_int_equal(world.node[i].disk.state.entry_count, 11);
        if (i > 1)
            assert_int_equal(progress_of(1, i), RAFT_REPLICATE);
    }
}

static void appends_to_a_peer_that_loses_them_pause_at_the_cap_and_catch_up(void **state)
{
    (void)state;
    begin(3);
    world.cut[1][3] = true;
    for (int i = 0; i < 3 * RAFT_INFLIGHT_MAX; i++)
        assert_true(cluster_propose(&world, 1, "x") > 0);
    assert_int_equal(raft_of(1)->commit, 1 + 3 * RAFT_INFLIGHT_MAX);
    assert_int_equal(raft_of(1)->progress[2].inflight, RAFT_INFLIGHT_MAX);
    assert_int_equal(raft_of(1)->progress[2].next, 2 + RAFT_INFLIGHT_MAX);
    assert_int_equal(raft_of(3)->last_index, 1);
    cluster_heal(&world);
    for (int i = 0; i <= TEST_ELECTION_MS / TEST_HEARTBEAT_MS + 1; i++)
        cluster_beat(&world, 1);
    assert_int_equal(progress_of(1, 3), RAFT_REPLICATE);
    assert_int_equal(raft_of(1)->progress[2].inflight, 0);
    cluster_assert_applied(&world, 1 + 3 * RAFT_INFLIGHT_MAX);
}

static void propose_many(int leader, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(cluster_propose(&world, leader, "x") > 0);
}

static void a_slow_follower_behind_a_compaction_gets_the_snapshot(void **state)
{
    (void)state;
    begin(3);
    world.cut[1][3] = true;
    propose_many(1, RAFT_COMPACT_AT + 100);
    assert_true(raft_of(1)->first_index > raft_of(3)->last_index + 1);
    assert_int_equal(progress_of(1, 3), RAFT_SNAPSHOT);
    cluster_heal(&world);
    for (int i = 0; i <= TEST_ELECTION_MS / TEST_HEARTBEAT_MS + 1; i++)
        cluster_beat(&world, 1);
    assert_int_equal(progress_of(1, 3), RAFT_REPLICATE);
    assert_true(raft_of(3)->snapshot_durable > 0);
    cluster_assert_applied(&world, RAFT_COMPACT_AT + 101);
}

/* n1 and n2 have `count` entries, compacted; n3 is new and empty, and not reached yet. */
static void begin_without_third(int count)
{
    cluster_init(&world, 3);
    cluster_isolate(&world, 3);
    cluster_campaign(&world, 1);
    propose_many(1, count);
    assert_int_equal(raft_of(1)->commit, count + 1);
}

/* The snapshot is the whole log: nothing is left to send that would bring an acknowledgement. */
static void a_snapshot_of_everything_ends_in_replication_without_a_new_entry(void **state)
{
    (void)state;
    begin_without_third(RAFT_COMPACT_AT - 1);
    assert_int_equal(raft_of(1)->snapshot_durable, RAFT_COMPACT_AT);
    assert_int_equal(raft_of(1)->last_index, RAFT_COMPACT_AT);
    cluster_heal(&world);
    cluster_beat(&world, 1);
    cluster_beat(&world, 1);
    assert_int_equal(raft_of(3)->snapshot_durable, RAFT_COMPACT_AT);
    assert_int_equal(progress_of(1, 3), RAFT_REPLICATE);
    assert_int_equal(raft_of(1)->progress[2].match, RAFT_COMPACT_AT);
    cluster_assert_applied(&world, RAFT_COMPACT_AT);
}

/* The leader has moved on to a newer snapshot when the older one is reported installed. */
static void an_older_snapshot_will_do_if_the_log_goes_on_from_it(void **state)
{
    (void)state;
    begin_without_third(RAFT_COMPACT_AT - 1);
    uint64_t older = raft_of(1)->snapshot_index;

    world.disk_held[3] = true;
    cluster_heal(&world);
    cluster_beat(&world, 1);
    cluster_beat(&world, 1);
    assert_true(raft_of(3)->install_seq > 0);
    propose_many(1, 3);
    cluster_event(
        &world, 1,
        &(struct raft_event){ .kind = RAFT_EVENT_COMPACT,
                              .snapshot = { world.node[1].compact_bytes, NODE_SNAPSHOT_BYTES } });
    assert_true(raft_of(1)->snapshot_index > older);
    assert_int_equal(progress_of(1, 3), RAFT_SNAPSHOT);
    world.disk_held[3] = false;
    cluster_complete(&world, 3, world.node[3].pending_count);
    cluster_settle(&world);
    assert_int_equal(progress_of(1, 3), RAFT_REPLICATE);
    assert_int_equal(raft_of(3)->snapshot_durable, older);
    cluster_beat(&world, 1);
    cluster_assert_applied(&world, older + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_campaign_ends_with_one_leader_and_one_entry_everywhere),
        cmocka_unit_test(a_pipeline_of_writes_commits_as_the_disks_get_there),
        cmocka_unit_test(completions_of_overwritten_appends_acknowledge_nothing),
        cmocka_unit_test(a_leader_without_a_quorum_goes_and_its_late_heartbeats_do_no_harm),
        cmocka_unit_test(a_peer_that_has_everything_is_replicated_to_again_after_a_break),
        cmocka_unit_test(a_follower_whose_replies_were_lost_learns_the_commit_in_the_end),
        cmocka_unit_test(pre_vote_keeps_a_node_that_is_behind_from_calling_an_election),
        cmocka_unit_test(a_majority_that_lost_its_leader_may_replace_it_one_node_may_not),
        cmocka_unit_test(seven_logs_of_figure_7_become_one),
        cmocka_unit_test(appends_to_a_peer_that_loses_them_pause_at_the_cap_and_catch_up),
        cmocka_unit_test(a_slow_follower_behind_a_compaction_gets_the_snapshot),
        cmocka_unit_test(a_snapshot_of_everything_ends_in_replication_without_a_new_entry),
        cmocka_unit_test(an_older_snapshot_will_do_if_the_log_goes_on_from_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
