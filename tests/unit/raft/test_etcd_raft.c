/* Facts from etcd's tests of its Raft, as far as this core has what they are about. */
#include "tests/unit/raft/scenario.h"

static struct cluster world;

static struct raft *raft_of(int number)
{
    return &world.node[number].raft;
}

static struct raft_progress *progress_of(int leader, int peer)
{
    return &raft_of(leader)->progress[peer - 1];
}

static void begin(int count)
{
    cluster_init(&world, count);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 1);
}

static void propose_many(int leader, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(cluster_propose(&world, leader, "x") > 0);
}

static void silence(int number)
{
    cluster_isolate(&world, number);
}

/* ---- progress and flow */

static void a_silent_peer_is_sent_one_append_per_heartbeat_until_it_answers(void **state)
{
    (void)state;
    struct node *leader = &world.node[1];

    begin(3);
    cluster_event(&world, 1,
                  &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n3") });
    world.cut[1][3] = true;
    for (int beats = 0; beats < 2 * TEST_ELECTION_MS / TEST_HEARTBEAT_MS; beats++) {
        cluster_pass(&world, TEST_HEARTBEAT_MS);
        cluster_timer(&world, 1);
        assert_int_equal(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3")->prev_index,
                         progress_of(1, 3)->match);
        cluster_settle(&world);
        assert_null(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3"));
        (void)cluster_propose(&world, 1, "x");
        assert_null(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3"));
    }
    cluster_heal(&world);
    cluster_beat(&world, 1);
    assert_int_equal(progress_of(1, 3)->match, raft_of(1)->last_index);
    cluster_pass(&world, TEST_HEARTBEAT_MS);
    cluster_timer(&world, 1);
    assert_null(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3"));
}

/* The second peer has answered its probe, the third has not. */
static void a_proposal_goes_at_once_only_to_those_who_answered(void **state)
{
    (void)state;
    struct node *leader = &world.node[1];

    cluster_init(&world, 3);
    world.cut[3][1] = true;
    cluster_campaign(&world, 1);
    world.disk_held[1] = true;
    cluster_pass(&world, 1);
    node_propose(leader, "x");
    assert_int_equal(node_sent_to(leader, RAFT_APPEND_REQUEST, "n2")->entries[0].index, 2);
    assert_null(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3"));
    node_acknowledge(leader, "n3", 1);
    assert_int_equal(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3")->entries[0].index, 2);
    assert_int_equal(node_sent_to(leader, RAFT_APPEND_REQUEST, "n3")->entry_count, 1);
}

static void a_backlog_leaves_in_full_messages_when_the_peer_answers(void **state)
{
    (void)state;
    struct node *leader = &world.node[1];

    begin(3);
    cluster_event(&world, 1,
                  &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n3") });
    world.cut[1][3] = true;
    propose_many(1, 2 * RAFT_APPEND_MAX + 3);
    node_acknowledge(leader, "n3", 1);
    static const uint8_t sizes[] = { RAFT_APPEND_MAX, RAFT_APPEND_MAX, 3 };
    size_t nth = 0;

    for (size_t m = 0; m < leader->out.message_count; m++) {
        if (leader->out.messages[m].kind != RAFT_APPEND_REQUEST)
            continue;
        assert_true(nth < 3);
        assert_int_equal(leader->out.messages[m].prev_index, 1 + nth * RAFT_APPEND_MAX);
        assert_int_equal(leader->out.messages[m].entry_count, sizes[nth++]);
    }
    assert_int_equal(nth, 3);
}

static void the_noop_is_appended_however_much_is_uncommitted(void **state)
{
    (void)state;
    static uint64_t log[RAFT_UNCOMMITTED_MAX];

    for (size_t i = 0; i < RAFT_UNCOMMITTED_MAX; i++)
        log[i] = 1;
    cluster_init(&world, 3);
    cluster_with_log(&world, 1, 1, log, RAFT_UNCOMMITTED_MAX);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 2);
    cluster_assert_applied(&world, RAFT_UNCOMMITTED_MAX + 1);
    assert_true(cluster_propose(&world, 1, "x") > 0);
}

/* Each acknowledgement makes room for one more, and an old one for none. */
static void the_window_moves_with_new_acknowledgements_only(void **state)
{
    (void)state;
    struct node *leader = &world.node[1];

    begin(3);
    world.cut[1][2] = true;
    propose_many(1, RAFT_INFLIGHT_MAX);
    for (uint64_t match = 2; match < 6; match++) {
        (void)cluster_propose(&world, 1, "x");
        assert_null(node_sent_to(leader, RAFT_APPEND_REQUEST, "n2"));
        node_acknowledge(leader, "n2", match);
        assert_non_null(node_sent_to(leader, RAFT_APPEND_REQUEST, "n2"));
        assert_int_equal(progress_of(1, 2)->inflight, RAFT_INFLIGHT_MAX);
        for (uint64_t old = 0; old <= match; old++) {
            node_acknowledge(leader, "n2", old);
            assert_int_equal(progress_of(1, 2)->inflight, RAFT_INFLIGHT_MAX);
            assert_int_equal(progress_of(1, 2)->match, match);
        }
    }
}

static void a_late_refusal_does_not_throw_a_peer_back(void **state)
{
    (void)state;
    struct node *leader = &world.node[1];

    begin(3);
    propose_many(1, 5);
    assert_int_equal(progress_of(1, 2)->match, 6);
    for (uint64_t prev = 1; prev <= 6; prev++) {
        node_receive(leader, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                                    .term = 1,
                                                    .from = name_of("n2"),
                                                    .prev_index = prev,
                                                    .hint_index = 1 });
        assert_int_equal(progress_of(1, 2)->state, RAFT_REPLICATE);
        assert_int_equal(progress_of(1, 2)->next, 7);
        assert_int_equal(leader->out.message_count, 0);
    }
}

/* The refusals are those of followers whose entry 10 is missing, or of the term that is named. */
static void a_refusal_moves_the_probe_to_the_end_of_what_may_match(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6 };
    static const struct {
        uint64_t hint_term, hint_index, next_prev;
    } rows[] = { { 0, 5, 4 }, { 0, 1, 0 }, { 2, 4, 3 }, { 3, 7, 6 }, { 5, 6, 7 }, { 4, 4, 5 } };
    struct node *leader = &world.node[1];

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        cluster_init(&world, 3);
        cluster_with_log(&world, 1, 7, log, 10);
        world.lost[RAFT_APPEND_REQUEST] = true;
        cluster_campaign(&world, 1);
        assert_int_equal(raft_of(1)->role, RAFT_LEADER);
        node_receive(leader, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                                    .term = 8,
                                                    .from = name_of("n2"),
                                                    .prev_index = 10,
                                                    .hint_term = rows[r].hint_term,
                                                    .hint_index = rows[r].hint_index });
        assert_int_equal(node_sent_to(leader, RAFT_APPEND_REQUEST, "n2")->prev_index,
                         rows[r].next_prev);
    }
}

static void appends_that_arrive_out_of_order_all_arrive(void **state)
{
    (void)state;
    static struct raft_message held[3];
    static struct raft_entry entry[3];

    begin(3);
    world.cut[1][2] = true;
    for (int i = 0; i < 3; i++) {
        world.node[1].now = world.now;
        node_propose(&world.node[1], "x");
        held[i] = *node_sent_to(&world.node[1], RAFT_APPEND_REQUEST, "n2");
        entry[i] = held[i].entries[0];
        held[i].entries = &entry[i];
        cluster_after(&world, 1);
        cluster_settle(&world);
    }
    world.cut[1][2] = false;
    for (int i = 2; i >= 0; i--) {
        node_receive(&world.node[2], held[i]);
        cluster_after(&world, 2);
        cluster_settle(&world);
    }
    assert_int_equal(raft_of(2)->last_index, 4);
    assert_int_equal(progress_of(1, 2)->match, 4);
    cluster_beat(&world, 1);
    cluster_assert_applied(&world, 4);
}

static void a_heartbeat_moves_commit_forward_never_back(void **state)
{
    (void)state;
    begin(3);
    propose_many(1, 3);
    cluster_beat(&world, 1);
    assert_int_equal(raft_of(2)->commit, 4);
    node_receive(&world.node[2],
                 (struct raft_message){
                     .kind = RAFT_HEARTBEAT, .term = 1, .from = name_of("n1"), .commit = 2 });
    assert_int_equal(raft_of(2)->commit, 4);
    assert_non_null(node_sent_to(&world.node[2], RAFT_HEARTBEAT_REPLY, "n1"));
}

/* ---- elections */

static void a_node_leads_if_a_majority_answers(void **state)
{
    (void)state;
    static const struct {
        int size;
        int silent;
        bool leads;
    } rows[] = { { 3, 0, true }, { 3, 1, true },  { 3, 2, false }, { 4, 2, false },
                 { 5, 2, true }, { 5, 3, false }, { 2, 1, false } };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        cluster_init(&world, rows[r].size);
        for (int i = 0; i < rows[r].silent; i++)
            silence(rows[r].size - i);
        cluster_campaign(&world, 1);
        assert_int_equal(raft_of(1)->role, rows[r].leads ? RAFT_LEADER : RAFT_PRE_CANDIDATE);
        assert_int_equal(raft_of(1)->term, rows[r].leads ? 1 : 0);
        assert_int_equal(cluster_propose(&world, 1, "x"), rows[r].leads ? 2 : 0);
        assert_int_equal(raft_of(1)->commit, rows[r].leads ? 2 : 0);
    }
}

static void a_majority_with_longer_logs_elects_nobody_else(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1 };

    cluster_init(&world, 5);
    for (int i = 2; i <= 4; i++)
        cluster_with_log(&world, i, 1, log, (size_t)(i == 4 ? 2 : 1));
    cluster_campaign(&world, 1);
    assert_int_not_equal(raft_of(1)->role, RAFT_LEADER);
    assert_int_not_equal(raft_of(1)->role, RAFT_CANDIDATE);
    cluster_run(&world, 5 * TEST_ELECTION_MS);
    assert_in_range(cluster_leader(&world), 2, 4);
}

static void every_node_can_lead_in_its_turn(void **state)
{
    (void)state;
    cluster_init(&world, 3);
    for (int i = 1; i <= 9; i++) {
        int number = 1 + i % 3;

        cluster_campaign(&world, number);
        cluster_beat(&world, number);
        cluster_assert_leads(&world, number, (uint64_t)i);
        cluster_assert_applied(&world, (uint64_t)i);
    }
}

/* n3 led term 2 and told nobody; n1's older entry is the one that survives. */
static void an_entry_of_a_newer_term_that_no_majority_saw_is_overwritten(void **state)
{
    (void)state;
    static const uint64_t one[] = { 1 };
    static const uint64_t two[] = { 2 };
    static const uint64_t result[] = { 1, 3 };

    cluster_init(&world, 5);
    cluster_with_log(&world, 1, 1, one, 1);
    cluster_with_log(&world, 2, 1, one, 1);
    for (int i = 3; i <= 5; i++) {
        world.node[i].disk.state.vote = name_of("n3");
        cluster_with_log(&world, i, 2, two, i == 3 ? 1 : 0);
    }
    cluster_campaign(&world, 1); /* refused by who knows a later term, and learns it */
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER);
    assert_int_equal(raft_of(1)->term, 2);
    cluster_campaign(&world, 1);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 3);
    for (int i = 1; i <= 5; i++)
        cluster_assert_log(&world, i, result, 2);
    cluster_assert_applied(&world, 2);
}

static void take_role(enum raft_role role)
{
    cluster_init(&world, 3);
    if (role == RAFT_FOLLOWER)
        return;
    if (role == RAFT_LEADER) {
        cluster_campaign(&world, 1);
    } else {
        silence(1);
        cluster_campaign(&world, 1);
        if (role == RAFT_CANDIDATE) {
            node_grant(&world.node[1], "n2", true);
            node_complete_all(&world.node[1]);
        }
        cluster_heal(&world);
    }
    assert_int_equal(raft_of(1)->role, role);
}

static void a_vote_that_passes_stickiness_is_given_from_any_role(void **state)
{
    (void)state;
    for (int role = RAFT_FOLLOWER; role <= RAFT_LEADER; role++) {
        for (int pre = 0; pre < 2; pre++) {
            take_role((enum raft_role)role);
            struct node *node = &world.node[1];
            uint64_t term = node->raft.term;
            struct hf_name vote = node->raft.vote;

            node_receive(node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                                      .pre = pre != 0,
                                                      .from = name_of("n3"),
                                                      .term = term + 1,
                                                      .transfer = !pre,
                                                      .last_index = 42,
                                                      .last_term = term + 1 });
            if (pre) {
                assert_int_equal(node->raft.role, role);
                assert_int_equal(node->raft.term, term);
                assert_true(name_equal(&node->raft.vote, &vote));
                assert_false(node->out.persist.wanted);
                assert_int_equal(node_sent(node, RAFT_VOTE_REPLY, 0) != NULL, role != RAFT_LEADER);
                continue;
            }
            assert_int_equal(node->raft.role, RAFT_FOLLOWER);
            assert_int_equal(node->raft.term, term + 1);
            assert_true(name_equal(&node->raft.vote, &(struct hf_name){ "n3" }));
            node_complete_all(node);
            assert_true(node_sent_to(node, RAFT_VOTE_REPLY, "n3")->granted);
        }
    }
}

/* n1 and n3 don't hear each other. */
static void a_pre_candidate_that_fails_disrupts_nobody(void **state)
{
    (void)state;
    cluster_init(&world, 3);
    cluster_link(&world, 1, 3, false);
    cluster_campaign(&world, 1);
    assert_int_equal(cluster_leader(&world), 1);
    raft_of(3)->election_at = world.now;
    cluster_timer(&world, 3);
    cluster_settle(&world);
    assert_int_equal(raft_of(3)->role, RAFT_PRE_CANDIDATE);
    cluster_heal(&world);
    raft_of(3)->election_at = world.now;
    cluster_timer(&world, 3);
    cluster_settle(&world);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 1, 1);
    cluster_assert_applied(&world, 1);
}

static void a_candidate_that_was_cut_off_concedes_and_takes_the_log(void **state)
{
    (void)state;
    take_role(RAFT_CANDIDATE);
    silence(1);
    cluster_campaign(&world, 3);
    cluster_heal(&world);
    assert_int_equal(raft_of(1)->role, RAFT_CANDIDATE);
    assert_int_equal(raft_of(1)->term, 1);
    assert_int_equal(cluster_leader(&world), 3);
    assert_int_equal(cluster_propose(&world, 3, "force follower"), 2);
    cluster_beat(&world, 3);
    cluster_beat(&world, 3);
    cluster_assert_leads(&world, 3, 1);
    cluster_assert_applied(&world, 2);
}

/* Its own vote is not on the disk yet when it hears that another has won. */
static void an_own_vote_that_becomes_durable_too_late_asks_nobody(void **state)
{
    (void)state;
    struct node *node = &world.node[1];

    cluster_init(&world, 3);
    world.disk_held[1] = true;
    cluster_campaign(&world, 1);
    assert_int_equal(node->raft.role, RAFT_CANDIDATE);
    node_receive(node, (struct raft_message){ .kind = RAFT_HEARTBEAT,
                                              .from = name_of("n2"),
                                              .term = node->raft.term });
    assert_int_equal(node->raft.role, RAFT_FOLLOWER);
    node_complete_all(node);
    assert_int_equal(node->out.message_count, 0);
    assert_int_equal(node->raft.role, RAFT_FOLLOWER);
    node_grant(node, "n3", false);
    assert_int_equal(node->raft.role, RAFT_FOLLOWER);
}

static void a_leaders_own_write_that_completes_after_its_term_commits_nothing(void **state)
{
    (void)state;
    struct node *node = &world.node[1];

    begin(3);
    world.disk_held[1] = true;
    world.cut[1][3] = true;
    assert_int_equal(cluster_propose(&world, 1, "x"), 2); /* n2 has it: one more is a majority */
    node_receive(node,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n3"), .term = 2 });
    assert_int_equal(node->raft.role, RAFT_FOLLOWER);
    node_complete_all(node);
    assert_int_equal(node->raft.role, RAFT_FOLLOWER);
    assert_int_equal(node->raft.commit, 1);
    assert_null(node_sent(node, RAFT_APPEND_REPLY, 0));
}

/* It won its pre-vote and entered a term, and was cut off before it could ask for votes. */
static void a_candidate_stuck_in_a_later_term_gets_in_again(void **state)
{
    (void)state;
    begin(3);
    cluster_isolate(&world, 3);
    raft_of(3)->election_at = world.now;
    cluster_timer(&world, 3);
    node_grant(&world.node[3], "n2", true);
    cluster_after(&world, 3);
    assert_int_equal(raft_of(3)->role, RAFT_CANDIDATE);
    assert_int_equal(raft_of(3)->term, 2);
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    cluster_heal(&world);
    cluster_beat(&world, 1);
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER); /* told of the term, it makes way */
    assert_int_equal(raft_of(1)->term, 2);
    cluster_run(&world, 5 * TEST_ELECTION_MS);
    int leader = cluster_leader(&world);

    assert_true(leader > 0);
    assert_true(raft_of(leader)->term >= 2); /* n1 has a vote left in term 2 */
    cluster_assert_leads(&world, leader, raft_of(leader)->term);
    cluster_assert_applied(&world, 3);
}

/* n3 missed a term; its log is as good as the others'. */
static void a_node_of_a_smaller_term_is_elected_once_it_has_learned_the_term(void **state)
{
    (void)state;
    begin(3);
    cluster_isolate(&world, 3);
    cluster_pass(&world, (int64_t)2 * TEST_ELECTION_MS);
    cluster_timer(&world, 1); /* it heard nobody, and steps down */
    cluster_timer(&world, 2);
    cluster_settle(&world);
    assert_int_equal(cluster_leader(&world), 2);
    cluster_heal(&world);
    cluster_crash(&world, 1);
    cluster_beat(&world, 2);
    cluster_beat(&world, 2);
    assert_int_equal(raft_of(3)->term, 2);
    cluster_crash(&world, 2);
    cluster_restart(&world, 1);
    cluster_campaign(&world, 3);
    cluster_beat(&world, 3);
    cluster_assert_leads(&world, 3, 3);
    cluster_assert_applied(&world, 3);
}

static void after_a_split_vote_somebody_wins(void **state)
{
    (void)state;
    begin(3);
    cluster_crash(&world, 1);
    cluster_pass(&world, (int64_t)2 * TEST_ELECTION_MS);
    cluster_timer(&world, 2);
    cluster_timer(&world, 3);
    cluster_settle(&world);
    assert_int_equal(raft_of(2)->role, RAFT_CANDIDATE); /* each voted for itself */
    assert_int_equal(raft_of(3)->role, RAFT_CANDIDATE);
    assert_int_equal(raft_of(2)->term, 2);
    assert_int_equal(raft_of(3)->term, 2);
    cluster_campaign(&world, 2);
    cluster_beat(&world, 2);
    cluster_assert_leads(&world, 2, 3);
}

static void two_voters_need_each_other(void **state)
{
    (void)state;
    begin(2);
    cluster_crash(&world, 2);
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    assert_int_equal(raft_of(1)->commit, 1);
    cluster_run(&world, 2 * TEST_ELECTION_MS);
    assert_int_not_equal(raft_of(1)->role, RAFT_LEADER);
    assert_int_equal(raft_of(1)->term, 1);
    cluster_restart(&world, 2);
    cluster_run(&world, 5 * TEST_ELECTION_MS);
    assert_int_equal(cluster_leader(&world), 1); /* n2 lacks an entry */
    cluster_assert_applied(&world, 3);
}

/* ---- learners */

static void a_learner_that_is_asked_votes_and_campaigns_never(void **state)
{
    (void)state;
    struct node *learner = &world.node[3];

    cluster_init(&world, 3);
    cluster_learner(&world, 3);
    node_receive(learner,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n1"), .term = 1 });
    node_receive(learner, (struct raft_message){
                              .kind = RAFT_TIMEOUT_NOW, .from = name_of("n1"), .term = 1 });
    assert_int_equal(learner->raft.role, RAFT_FOLLOWER);
    cluster_pass(&world, (int64_t)3 * TEST_ELECTION_MS);
    cluster_timer(&world, 3);
    assert_int_equal(learner->raft.role, RAFT_FOLLOWER);
    node_receive(learner, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                                 .term = 2,
                                                 .from = name_of("n2"),
                                                 .last_index = 11,
                                                 .last_term = 1 });
    node_complete_all(learner);
    assert_true(node_sent_to(learner, RAFT_VOTE_REPLY, "n2")->granted);
    assert_int_equal(learner->raft.election_at.us, INT64_MAX);
}

static void a_learner_takes_entries_and_snapshots_and_commits_with_the_others(void **state)
{
    (void)state;
    cluster_init(&world, 3);
    cluster_learner(&world, 3);
    cluster_campaign(&world, 1);
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    cluster_beat(&world, 1);
    assert_int_equal(progress_of(1, 3)->match, 2);
    cluster_assert_applied(&world, 2);
    cluster_isolate(&world, 3);
    propose_many(1, RAFT_COMPACT_AT + 100);
    cluster_heal(&world);
    for (int i = 0; i <= TEST_ELECTION_MS / TEST_HEARTBEAT_MS + 1; i++)
        cluster_beat(&world, 1);
    assert_true(raft_of(3)->snapshot_durable > 0);
    assert_false(raft_of(3)->members.member[2].voter);
    cluster_assert_applied(&world, RAFT_COMPACT_AT + 102);
}

static void the_members_of_a_snapshot_are_taken_over(void **state)
{
    (void)state;
    static uint8_t image[NODE_SNAPSHOT_BYTES];
    struct raft_members members = members_of(4);
    struct node *node = &world.node[1];

    members.member[0].voter = false;
    cluster_init(&world, 3);
    machine_save(image, 40, 77);
    for (size_t offset = 0; offset < sizeof image; offset += RAFT_SNAPSHOT_CHUNK) {
        struct raft_message chunk = { .kind = RAFT_SNAPSHOT_REQUEST,
                                      .from = name_of("n2"),
                                      .term = 2,
                                      .snapshot_index = 40,
                                      .snapshot_term = 1,
                                      .offset = offset,
                                      .total = sizeof image,
                                      .members = &members };
        size_t left = sizeof image - offset;

        chunk.chunk = (struct bytes){ image + offset,
                                      left < RAFT_SNAPSHOT_CHUNK ? left : RAFT_SNAPSHOT_CHUNK };
        node_receive(node, chunk);
    }
    node_complete_all(node);
    assert_int_equal(node->raft.members.count, 4);
    assert_int_equal(raft_voter_count(&node->raft.members), 3);
    assert_int_equal(node->disk.state.members.count, 4);
    node_receive(node,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 2 });
    assert_int_equal(node->raft.election_at.us, INT64_MAX); /* it has become a learner */
    node_start(node);
    assert_int_equal(node->raft.members.count, 4);
    assert_false(node->raft.members.member[0].voter);
}

/* ---- commit */

static void entries_reach_everybody_across_a_change_of_leader(void **state)
{
    (void)state;
    static const uint64_t result[] = { 1, 1, 2, 2 };

    begin(3);
    assert_int_equal(cluster_propose(&world, 1, "first"), 2);
    cluster_campaign(&world, 2);
    assert_int_equal(cluster_propose(&world, 1, "refused"), 0);
    assert_int_equal(cluster_propose(&world, 2, "second"), 4);
    cluster_beat(&world, 2);
    cluster_assert_applied(&world, 4);
    for (int i = 1; i <= 3; i++) {
        cluster_assert_log(&world, i, result, 4);
        assert_memory_equal(raft_entry_at(raft_of(i), 2)->data, "first", 5);
        assert_memory_equal(raft_entry_at(raft_of(i), 4)->data, "second", 6);
    }
}

static void a_single_voter_commits_alone(void **state)
{
    (void)state;
    cluster_init(&world, 1);
    cluster_campaign(&world, 1);
    assert_int_equal(cluster_propose(&world, 1, "x"), 2);
    assert_int_equal(cluster_propose(&world, 1, "x"), 3);
    cluster_assert_applied(&world, 3);
}

/* Two entries of term 1 that only n1 and n2 of five have, and n2 leads term 2. */
static void begin_with_a_minority_copy(void)
{
    begin(5);
    for (int i = 3; i <= 5; i++)
        cluster_link(&world, 1, i, false);
    propose_many(1, 2);
    assert_int_equal(raft_of(1)->commit, 1);
    cluster_heal(&world);
}

static void nothing_commits_while_the_own_term_has_no_entry_at_a_majority(void **state)
{
    (void)state;
    begin_with_a_minority_copy();
    world.lost[RAFT_APPEND_REQUEST] = true;
    cluster_campaign(&world, 2);
    assert_int_equal(raft_of(2)->role, RAFT_LEADER);
    cluster_beat(&world, 2);
    assert_int_equal(raft_of(2)->commit, 1);
    assert_false(raft_of(2)->serving);
    cluster_heal(&world);
    cluster_beat(&world, 2);
    assert_true(raft_of(2)->serving);
    assert_int_equal(raft_of(2)->commit, 4);
}

static void a_new_leader_commits_what_it_found_without_a_new_proposal(void **state)
{
    (void)state;
    begin_with_a_minority_copy();
    cluster_campaign(&world, 2);
    assert_int_equal(raft_of(2)->commit, 4);
    cluster_beat(&world, 2);
    cluster_assert_applied(&world, 4);
}

static void an_append_of_an_old_leader_that_arrives_late_is_ignored(void **state)
{
    (void)state;
    static const uint64_t result[] = { 1, 2, 3, 3 };
    static const struct raft_entry old = { .index = 3, .term = 2, .length = 1 };

    begin(3);
    cluster_campaign(&world, 2);
    cluster_campaign(&world, 1);
    node_receive(&world.node[1], (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                                        .term = 2,
                                                        .from = name_of("n2"),
                                                        .prev_index = 2,
                                                        .prev_term = 2,
                                                        .entry_count = 1,
                                                        .entries = &old });
    cluster_after(&world, 1);
    cluster_settle(&world);
    assert_int_equal(cluster_propose(&world, 1, "some data"), 4);
    cluster_beat(&world, 1);
    for (int i = 1; i <= 3; i++)
        cluster_assert_log(&world, i, result, 4);
    cluster_assert_applied(&world, 4);
}

/* ---- transfer */

static void leadership_goes_to_an_up_to_date_node_within_one_exchange(void **state)
{
    (void)state;
    begin(3);
    (void)cluster_propose(&world, 1, "x");
    assert_int_equal(cluster_transfer(&world, 1, 2), RAFT_ACCEPTED);
    cluster_assert_leads(&world, 2, 2);
    assert_int_equal(cluster_transfer(&world, 1, 1), RAFT_NOT_LEADER);
    cluster_beat(&world, 2);
    assert_int_equal(cluster_transfer(&world, 2, 1), RAFT_ACCEPTED); /* and back */
    cluster_assert_leads(&world, 1, 3);
    assert_true(cluster_propose(&world, 1, "y") > 0);
    cluster_beat(&world, 1);
    cluster_assert_applied(&world, 5);
}

static void a_slow_target_is_brought_up_to_date_first(void **state)
{
    (void)state;
    begin(3);
    world.cut[1][3] = true;
    (void)cluster_propose(&world, 1, "x");
    cluster_event(&world, 1,
                  &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n3") });
    cluster_heal(&world);
    assert_int_equal(cluster_transfer(&world, 1, 3), RAFT_ACCEPTED);
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 3, 2);
    cluster_beat(&world, 3);
    cluster_assert_applied(&world, 3);
}

static void a_target_that_needs_a_snapshot_gets_it_and_then_leads(void **state)
{
    (void)state;
    begin(3);
    cluster_isolate(&world, 3);
    propose_many(1, RAFT_COMPACT_AT + 100);
    cluster_heal(&world);
    assert_int_equal(progress_of(1, 3)->state, RAFT_SNAPSHOT);
    assert_int_equal(cluster_transfer(&world, 1, 3), RAFT_ACCEPTED);
    cluster_beat(&world, 1);
    cluster_beat(&world, 1);
    cluster_assert_leads(&world, 3, 2);
    assert_true(raft_of(3)->snapshot_durable > 0);
}

static void a_higher_term_ends_a_transfer(void **state)
{
    (void)state;
    begin(3);
    cluster_isolate(&world, 3);
    assert_int_equal(cluster_transfer(&world, 1, 3), RAFT_ACCEPTED);
    assert_false(name_empty(&raft_of(1)->transfer_to));
    cluster_campaign(&world, 2); /* n1 is sticky: no answer, hence no election */
    assert_int_equal(raft_of(1)->role, RAFT_LEADER);
    node_receive(
        &world.node[1],
        (struct raft_message){ .kind = RAFT_HEARTBEAT_REPLY, .term = 2, .from = name_of("n2") });
    assert_int_equal(raft_of(1)->role, RAFT_FOLLOWER);
    assert_true(name_empty(&raft_of(1)->transfer_to));
    cluster_after(&world, 1);
    cluster_campaign(&world, 1);
    assert_true(cluster_propose(&world, 1, "x") > 0);
}

/* ---- snapshots */

static void an_acknowledgement_past_the_snapshot_ends_its_sending(void **state)
{
    (void)state;
    begin(3);
    cluster_isolate(&world, 3);
    propose_many(1, RAFT_COMPACT_AT + 100);
    assert_int_equal(progress_of(1, 3)->state, RAFT_SNAPSHOT);
    node_acknowledge(&world.node[1], "n3", 2); /* the log no longer begins there */
    assert_int_equal(progress_of(1, 3)->state, RAFT_SNAPSHOT);
    node_acknowledge(&world.node[1], "n3", RAFT_COMPACT_AT);
    assert_int_equal(progress_of(1, 3)->state, RAFT_REPLICATE);
    assert_int_equal(node_sent_to(&world.node[1], RAFT_APPEND_REQUEST, "n3")->prev_index,
                     RAFT_COMPACT_AT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_peer_is_sent_one_append_per_heartbeat_until_it_answers),
        cmocka_unit_test(a_proposal_goes_at_once_only_to_those_who_answered),
        cmocka_unit_test(a_backlog_leaves_in_full_messages_when_the_peer_answers),
        cmocka_unit_test(the_noop_is_appended_however_much_is_uncommitted),
        cmocka_unit_test(the_window_moves_with_new_acknowledgements_only),
        cmocka_unit_test(a_late_refusal_does_not_throw_a_peer_back),
        cmocka_unit_test(a_refusal_moves_the_probe_to_the_end_of_what_may_match),
        cmocka_unit_test(appends_that_arrive_out_of_order_all_arrive),
        cmocka_unit_test(a_heartbeat_moves_commit_forward_never_back),
        cmocka_unit_test(a_node_leads_if_a_majority_answers),
        cmocka_unit_test(a_majority_with_longer_logs_elects_nobody_else),
        cmocka_unit_test(every_node_can_lead_in_its_turn),
        cmocka_unit_test(an_entry_of_a_newer_term_that_no_majority_saw_is_overwritten),
        cmocka_unit_test(a_vote_that_passes_stickiness_is_given_from_any_role),
        cmocka_unit_test(a_pre_candidate_that_fails_disrupts_nobody),
        cmocka_unit_test(a_candidate_that_was_cut_off_concedes_and_takes_the_log),
        cmocka_unit_test(an_own_vote_that_becomes_durable_too_late_asks_nobody),
        cmocka_unit_test(a_leaders_own_write_that_completes_after_its_term_commits_nothing),
        cmocka_unit_test(a_candidate_stuck_in_a_later_term_gets_in_again),
        cmocka_unit_test(a_node_of_a_smaller_term_is_elected_once_it_has_learned_the_term),
        cmocka_unit_test(after_a_split_vote_somebody_wins),
        cmocka_unit_test(two_voters_need_each_other),
        cmocka_unit_test(a_learner_that_is_asked_votes_and_campaigns_never),
        cmocka_unit_test(a_learner_takes_entries_and_snapshots_and_commits_with_the_others),
        cmocka_unit_test(the_members_of_a_snapshot_are_taken_over),
        cmocka_unit_test(entries_reach_everybody_across_a_change_of_leader),
        cmocka_unit_test(a_single_voter_commits_alone),
        cmocka_unit_test(nothing_commits_while_the_own_term_has_no_entry_at_a_majority),
        cmocka_unit_test(a_new_leader_commits_what_it_found_without_a_new_proposal),
        cmocka_unit_test(an_append_of_an_old_leader_that_arrives_late_is_ignored),
        cmocka_unit_test(leadership_goes_to_an_up_to_date_node_within_one_exchange),
        cmocka_unit_test(a_slow_target_is_brought_up_to_date_first),
        cmocka_unit_test(a_target_that_needs_a_snapshot_gets_it_and_then_leads),
        cmocka_unit_test(a_higher_term_ends_a_transfer),
        cmocka_unit_test(an_acknowledgement_past_the_snapshot_ends_its_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
