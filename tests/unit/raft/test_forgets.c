/* Memory that is lost more than once, or unseen: by whom it is noticed, and what follows. */
#include "tests/unit/raft/network.h"

static struct node node;

/* ---- a leader, n1 of three, and what it makes of n3 */

static const struct raft_progress *of_n3(void)
{
    return &node.raft.progress[2];
}

static void lead(unsigned proposals)
{
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_acknowledge(&node, "n3", node.raft.last_index);
    for (unsigned i = 0; i < proposals; i++)
        node_propose(&node, "a");
    node_complete_all(&node);
}

static struct raft_message reply_of_n3(uint64_t life)
{
    return (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                  .from = name_of("n3"),
                                  .term = node.raft.term,
                                  .recovering = life != 0,
                                  .life = life,
                                  .nonce = of_n3()->nonce };
}

static void refuse_as_n3(uint64_t life, uint64_t hint)
{
    struct raft_message reply = reply_of_n3(life);

    reply.prev_index = of_n3()->next - 1;
    reply.hint_index = hint;
    node_receive(&node, reply);
}

static void acknowledge_as_n3(uint64_t life, uint64_t match)
{
    struct raft_message reply = reply_of_n3(life);

    reply.success = true;
    reply.match_index = match;
    node_receive(&node, reply);
}

static void heartbeat_is_due(void)
{
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
}

static void one_that_loses_its_memory_again_while_it_recovers_is_begun_with_anew(void **state)
{
    (void)state;
    lead(3);
    refuse_as_n3(7, 1);
    acknowledge_as_n3(7, 4);
    assert_int_equal(of_n3()->match, 4);
    refuse_as_n3(8, 1);
    assert_int_equal(of_n3()->match, 0);
    assert_string_equal(node.out.forgetful.text, "n3");
    heartbeat_is_due();
    const struct raft_message *append = node_sent_to(&node, RAFT_APPEND_REQUEST, "n3");
    assert_non_null(append);
    assert_int_equal(append->prev_index, 0);
}

static void a_question_of_another_life_is_a_new_loss_as_well(void **state)
{
    (void)state;
    lead(3);
    refuse_as_n3(7, 1);
    acknowledge_as_n3(7, 4);
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_RECOVER, .from = name_of("n3"), .nonce = 5, .life = 8 });
    assert_int_equal(of_n3()->match, 0);
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_RECOVER, .from = name_of("n3"), .nonce = 5, .life = 8 });
    assert_true(name_empty(&node.out.forgetful));
}

/*
 * n3 acknowledged, and its reply is late. It restarts: nothing that it has is verified before it
 * has answered an append of now, and a quiet leader sends no other.
 */
static void an_answer_of_before_a_restart_does_not_end_the_probe_of_after_it(void **state)
{
    (void)state;
    lead(1);
    struct raft_message late = reply_of_n3(0);
    late.success = true;
    late.match_index = node.raft.last_index;
    late.nonce = of_n3()->nonce;
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n3") });
    node_receive(&node, late);
    assert_int_equal(of_n3()->match, node.raft.last_index);
    heartbeat_is_due();
    const struct raft_message *probe = node_sent_to(&node, RAFT_APPEND_REQUEST, "n3");
    assert_non_null(probe);
    assert_int_not_equal(probe->nonce, late.nonce);
    acknowledge_as_n3(0, node.raft.last_index);
    assert_int_equal(of_n3()->state, RAFT_REPLICATE);
}

static void a_change_is_not_accepted_that_only_one_without_a_memory_would_commit(void **state)
{
    (void)state;
    lead(1);
    const struct raft_event remove = { .kind = RAFT_EVENT_MEMBERS,
                                       .change = RAFT_CHANGE_REMOVE,
                                       .peer = name_of("n2") };
    assert_int_equal(raft_judge_change(&node.raft, &remove, node.now), RAFT_ACCEPTED);
    refuse_as_n3(7, 1);
    assert_int_equal(raft_judge_change(&node.raft, &remove, node.now), RAFT_MEMBERS_DOWN);
}

/* It may come back without a memory, and nobody knows before it does. */
static void nor_one_that_only_one_would_commit_whose_connection_broke(void **state)
{
    (void)state;
    lead(1);
    const struct raft_event remove = { .kind = RAFT_EVENT_MEMBERS,
                                       .change = RAFT_CHANGE_REMOVE,
                                       .peer = name_of("n2") };
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = name_of("n3") });
    assert_int_equal(raft_judge_change(&node.raft, &remove, node.now), RAFT_MEMBERS_DOWN);
    node_acknowledge_round(&node, "n3", node.raft.term, 0);
    assert_int_equal(raft_judge_change(&node.raft, &remove, node.now), RAFT_ACCEPTED);
}

/* ---- a follower, n1 of three, whose card is an older one: term 3, entries 1 and 2 of term 1 */

static const uint64_t older[] = { 1, 1 };

static void start_from_an_older_card(void)
{
    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 3, older, 2);
    node_event(&node, RAFT_EVENT_TIMER);
}

static void heartbeat_of_n2(uint64_t term, uint64_t match)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_HEARTBEAT,
                                               .from = name_of("n2"),
                                               .term = term,
                                               .match_index = match,
                                               .round = 4 });
}

static void append_of_n2(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t match)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = term,
                                               .prev_index = prev,
                                               .prev_term = prev_term,
                                               .match_index = match,
                                               .nonce = 9 });
}

static void promise_told_by(const char *from, uint64_t term, uint64_t match, bool vote)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_RECOVER_REPLY,
                                               .from = name_of(from),
                                               .term = term,
                                               .nonce = node.raft.recovery.nonce,
                                               .last_term = term,
                                               .match_index = match,
                                               .granted = vote });
}

static bool found_out(void)
{
    return raft_standing(&node.raft) == RAFT_RECOVERING && node.out.standing_changed;
}

static void a_log_that_ends_below_what_its_leader_counts_is_a_lost_memory(void **state)
{
    (void)state;
    start_from_an_older_card();
    heartbeat_of_n2(4, 2);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
    heartbeat_of_n2(4, 3);
    assert_true(found_out());
    assert_null(node_sent(&node, RAFT_HEARTBEAT_REPLY, 0));
    assert_true(node.out.persist.recovering);
    assert_string_equal(node.raft.recovery.loss.told_by.text, "n2");
    assert_int_equal(node.raft.recovery.loss.match, 3);
    assert_int_equal(node.raft.recovery.loss.has_last, 2);
    node_complete_all(&node);
    assert_int_equal(node.disk.state.standing, RAFT_RECOVERING);
}

static void so_is_one_that_has_other_entries_there_and_its_refusal_says_so(void **state)
{
    (void)state;
    start_from_an_older_card();
    append_of_n2(4, 2, 3, 1);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
    append_of_n2(4, 2, 3, 2);
    assert_true(found_out());
    node_complete_all(&node);
    append_of_n2(4, 2, 3, 2);
    const struct raft_message *reply = node_sent(&node, RAFT_APPEND_REPLY, 0);
    assert_true(reply->recovering);
    assert_int_equal(reply->life, node.raft.life);
}

/*
 * Whoever hears of a loss forgets what it was promised. If the disk did not know, a power cut would
 * leave a node that takes its older card for whole, and nobody that could tell it.
 */
static void a_loss_is_said_once_it_is_durable(void **state)
{
    (void)state;
    start_from_an_older_card();
    append_of_n2(4, 2, 3, 2);
    assert_true(found_out());
    assert_null(node_sent(&node, RAFT_APPEND_REPLY, 0));
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_null(node_sent_to(&node, RAFT_RECOVER, "n2"));
    assert_true(instant_before(node.now, node.out.wake_at)); /* the disk is waited for, no clock */
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_RECOVER, .from = name_of("n3"), .nonce = 5, .life = 8 });
    assert_null(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3"));
    node_complete_all(&node);
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n2"));
}

static void what_a_leader_counted_of_a_node_in_an_earlier_term_is_no_measure(void **state)
{
    (void)state;
    start_from_an_older_card();
    heartbeat_of_n2(2, 3);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
}

static void it_asks_at_its_start_what_it_promised(void **state)
{
    (void)state;
    start_from_an_older_card();
    const struct raft_message *question = node_sent_to(&node, RAFT_RECOVER, "n2");
    assert_non_null(question);
    assert_int_equal(question->life, 0);
    promise_told_by("n2", 3, 2, false);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_null(node_sent_to(&node, RAFT_RECOVER, "n2"));
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n3"));
}

static void a_promise_in_a_later_term_is_a_lost_memory(void **state)
{
    (void)state;
    start_from_an_older_card();
    promise_told_by("n2", 4, 2, false);
    assert_true(found_out());
}

static void so_is_more_than_it_has_in_the_same_term(void **state)
{
    (void)state;
    start_from_an_older_card();
    promise_told_by("n2", 3, 3, false);
    assert_true(found_out());
}

static void so_is_a_vote_in_the_same_term_that_it_does_not_know(void **state)
{
    (void)state;
    start_from_an_older_card();
    promise_told_by("n2", 3, 2, true);
    assert_true(found_out());
    start_from_an_older_card();
    node.disk.state.vote = name_of("n2");
    node_start(&node);
    node_event(&node, RAFT_EVENT_TIMER);
    promise_told_by("n2", 3, 2, true);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
}

static void snapshot_of_n2(uint64_t term, uint64_t index, uint64_t match)
{
    static uint8_t image[NODE_SNAPSHOT_BYTES];

    machine_save(image, index, index * 77);
    for (size_t offset = 0; offset < sizeof image; offset += RAFT_SNAPSHOT_CHUNK) {
        size_t left = sizeof image - offset;

        node_receive(&node,
                     (struct raft_message){ .kind = RAFT_SNAPSHOT_REQUEST,
                                            .from = name_of("n2"),
                                            .term = term,
                                            .snapshot_index = index,
                                            .snapshot_term = term,
                                            .offset = offset,
                                            .total = sizeof image,
                                            .match_index = match,
                                            .members = members_lent(3),
                                            .chunk = { image + offset, left < RAFT_SNAPSHOT_CHUNK ?
                                                                           left :
                                                                           RAFT_SNAPSHOT_CHUNK } });
    }
}

static void so_is_one_that_gets_a_snapshot_of_a_leader_that_counts_more(void **state)
{
    (void)state;
    start_from_an_older_card();
    snapshot_of_n2(4, 5, 3);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
    node_complete_all(&node);
    assert_true(node_sent(&node, RAFT_SNAPSHOT_REPLY, 0)->installed);
    assert_true(node_sent(&node, RAFT_SNAPSHOT_REPLY, 0)->recovering);
}

static void what_is_told_while_a_snapshot_is_stored_is_asked_for_again(void **state)
{
    (void)state;
    start_from_an_older_card();
    snapshot_of_n2(3, 5, 0);
    promise_told_by("n3", 3, 2, true);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
    node_complete_all(&node);
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n3"));
    promise_told_by("n3", 3, 2, true);
    assert_true(found_out());
}

static void a_vote_that_waits_for_the_disk_is_not_given_any_more(void **state)
{
    (void)state;
    start_from_an_older_card();
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of("n3"),
                                               .term = 5,
                                               .last_index = 9,
                                               .last_term = 4,
                                               .voter = true,
                                               .nonce = 1 });
    promise_told_by("n2", 6, 3, false);
    assert_true(found_out());
    node_complete_all(&node);
    assert_null(node_sent(&node, RAFT_VOTE_REPLY, 0));
}

static void one_that_stands_for_election_stops(void **state)
{
    (void)state;
    start_from_an_older_card();
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    promise_told_by("n2", 4, 3, false);
    assert_true(found_out());
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    node_wait(&node, 10 * TEST_ELECTION_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
}

/* ---- who remembers what others promised */

static const struct raft_message *asked_by_n3(uint64_t life)
{
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_RECOVER, .from = name_of("n3"), .nonce = 5, .life = life });
    return node_sent_to(&node, RAFT_RECOVER_REPLY, "n3");
}

static void whoever_led_tells_what_was_promised_to_it_also_when_it_leads_no_more(void **state)
{
    (void)state;
    lead(3);
    acknowledge_as_n3(0, 4);
    node_receive(&node, (struct raft_message){ .kind = RAFT_HEARTBEAT,
                                               .from = name_of("n2"),
                                               .term = node.raft.term + 1 });
    const struct raft_message *reply = asked_by_n3(0);
    assert_int_equal(reply->last_term, 1);
    assert_int_equal(reply->match_index, 4);
    assert_false(reply->granted);
    assert_int_equal(reply->term, 2);
}

static void a_vote_is_remembered(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_elect(&node, (const char *const[]){ "n3" }, 1);
    const struct raft_message *reply = asked_by_n3(0);
    assert_int_equal(reply->last_term, 1);
    assert_true(reply->granted);
}

static void a_vote_of_an_earlier_term_is_none_in_this_one(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_elect(&node, (const char *const[]){ "n3" }, 1);
    node_receive(&node,
                 (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 2 });
    node_complete_all(&node);
    node_elect(&node, (const char *const[]){ "n2" }, 1);
    acknowledge_as_n3(0, 1);
    const struct raft_message *reply = asked_by_n3(0);
    assert_int_equal(reply->last_term, 3);
    assert_false(reply->granted);
    node_complete_all(&node);
}

/* It knows; told again after it has recovered, it would take itself for forgetful once more. */
static void whoever_says_that_it_has_no_memory_is_told_of_no_promise(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_elect(&node, (const char *const[]){ "n3" }, 1);
    assert_int_equal(asked_by_n3(7)->last_term, 0);
    assert_int_equal(asked_by_n3(0)->last_term, 0);
}

/* ---- a recovery that ends */

static struct raft_message answer_of(const char *from, uint64_t term, uint64_t life)
{
    return (struct raft_message){ .kind = RAFT_RECOVER_REPLY,
                                  .from = name_of(from),
                                  .term = term,
                                  .life = life,
                                  .nonce = node.raft.recovery.nonce };
}

/* n1 of `count` starts with an empty disk. */
static void start_recovering(int count)
{
    node_init(&node, 1, count, 1);
    node.disk.state.standing = RAFT_RECOVERING;
    node_start(&node);
    node_event(&node, RAFT_EVENT_TIMER);
    node_complete_all(&node);
}

static void one_that_had_no_memory_is_asked_again_till_it_has(void **state)
{
    (void)state;
    start_recovering(3);
    for (int i = 0; i < 2; i++)
        node_receive(&node, answer_of("n3", 0, 77));
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n3"));
    node_receive(&node, answer_of("n3", 4, 0));
    assert_true(raft_recover_waits_for(&node.raft, 0) == NULL ||
                strcmp(raft_recover_waits_for(&node.raft, 0)->text, "n3") != 0);
}

/* Entry 2 of n2's log removes `removed`; what is committed is entry 1. */
static void append_removal(const char *removed)
{
    struct raft_members members = members_of(3);
    struct raft_entry entries[2] = { { .index = 1, .term = 1, .length = 1 },
                                     { .index = 2, .term = 3, .kind = RAFT_ENTRY_MEMBERS } };
    struct hf_name name = name_of(removed);
    int at = raft_member_index(&members, &name);

    members.member[at] = members.member[--members.count];
    memset(&members.member[members.count], 0, sizeof members.member[0]);
    entries[1].length =
        (uint16_t)raft_members_encode(&members, entries[1].data, sizeof entries[1].data);
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 3,
                                               .entry_count = 2,
                                               .entries = entries,
                                               .commit = 1 });
    node_complete_all(&node);
}

/* n2 leads and removes n3, and needs n1 for it, which has lost its memory meanwhile. */
static void a_recovery_ends_in_a_change_when_all_of_before_and_after_have_answered(void **state)
{
    (void)state;
    start_recovering(3);
    append_removal("n3");
    struct raft_message leader = answer_of("n2", 3, 0);
    leader.leads = true;
    leader.last_index = 2;
    node_receive(&node, leader);
    node_complete_all(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n3"));
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n3");
    node_receive(&node, answer_of("n3", 3, 0));
    node_complete_all(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_WHOLE);
    const struct raft_message *reply = node_sent_to(&node, RAFT_APPEND_REPLY, "n2");
    assert_int_equal(reply->match_index, 2);
    assert_false(reply->recovering);
}

static struct network network;

/* n<i + 1> is left with an empty disk, and starts again at once. */
static void lose_memory(int i)
{
    struct raft_members members = network.node[i].disk.state.members;

    network_crash(&network, i);
    memset(&network.node[i].disk, 0, sizeof network.node[i].disk);
    network.node[i].disk.state.members = members;
    network.node[i].disk.state.standing = RAFT_RECOVERING;
    network_start(&network, i);
}

/* The leader has taken the change in, and needs for it the one that loses its memory now. */
static void
a_removal_that_was_taken_in_before_the_loss_ends_well_while_its_leader_leads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        network_init(&network, 3, seed);
        int leader = network_wait_serving(&network);
        for (int ms = 0; ms < 500; ms++)
            network_tick(&network);
        assert_int_equal(network_serving(&network), leader);
        network_step(&network, leader,
                     &(struct raft_event){ .kind = RAFT_EVENT_MEMBERS,
                                           .change = RAFT_CHANGE_REMOVE,
                                           .peer = name_number((leader + 1) % 3 + 1) });
        assert_int_equal(network.node[leader].out.refusal, RAFT_ACCEPTED);
        lose_memory((leader + 2) % 3);
        for (int ms = 0; ms < 10 * TEST_ELECTION_MS; ms++)
            network_tick(&network);
        assert_true(network_serving(&network) >= 0);
        assert_int_equal(raft_standing(&network.node[(leader + 2) % 3].raft), RAFT_WHOLE);
        assert_false(raft_change_pending(&network.node[leader].raft));
    }
}

static void an_answer_of_one_who_was_not_asked_is_none(void **state)
{
    (void)state;
    start_recovering(3);
    node_receive(&node, answer_of("n9", 9, 0));
    assert_int_equal(node.raft.term, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_loses_its_memory_again_while_it_recovers_is_begun_with_anew),
        cmocka_unit_test(a_question_of_another_life_is_a_new_loss_as_well),
        cmocka_unit_test(an_answer_of_before_a_restart_does_not_end_the_probe_of_after_it),
        cmocka_unit_test(a_change_is_not_accepted_that_only_one_without_a_memory_would_commit),
        cmocka_unit_test(nor_one_that_only_one_would_commit_whose_connection_broke),
        cmocka_unit_test(a_log_that_ends_below_what_its_leader_counts_is_a_lost_memory),
        cmocka_unit_test(so_is_one_that_has_other_entries_there_and_its_refusal_says_so),
        cmocka_unit_test(a_loss_is_said_once_it_is_durable),
        cmocka_unit_test(so_is_one_that_gets_a_snapshot_of_a_leader_that_counts_more),
        cmocka_unit_test(what_a_leader_counted_of_a_node_in_an_earlier_term_is_no_measure),
        cmocka_unit_test(it_asks_at_its_start_what_it_promised),
        cmocka_unit_test(a_promise_in_a_later_term_is_a_lost_memory),
        cmocka_unit_test(so_is_more_than_it_has_in_the_same_term),
        cmocka_unit_test(so_is_a_vote_in_the_same_term_that_it_does_not_know),
        cmocka_unit_test(what_is_told_while_a_snapshot_is_stored_is_asked_for_again),
        cmocka_unit_test(a_vote_that_waits_for_the_disk_is_not_given_any_more),
        cmocka_unit_test(one_that_stands_for_election_stops),
        cmocka_unit_test(whoever_led_tells_what_was_promised_to_it_also_when_it_leads_no_more),
        cmocka_unit_test(a_vote_is_remembered),
        cmocka_unit_test(a_vote_of_an_earlier_term_is_none_in_this_one),
        cmocka_unit_test(whoever_says_that_it_has_no_memory_is_told_of_no_promise),
        cmocka_unit_test(one_that_had_no_memory_is_asked_again_till_it_has),
        cmocka_unit_test(a_recovery_ends_in_a_change_when_all_of_before_and_after_have_answered),
        cmocka_unit_test(
            a_removal_that_was_taken_in_before_the_loss_ends_well_while_its_leader_leads),
        cmocka_unit_test(an_answer_of_one_who_was_not_asked_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
