/* A node that lost its log, term and vote: what it may not do, and when it may again. */
#include "tests/unit/raft/network.h"

static struct node node;
static struct node others[5];

/* ---- a node without a memory */

/* The disk is lost and the node starts anew. */
static void forget(struct node *at, enum raft_standing standing)
{
    struct raft_members members = at->disk.state.members;

    node_forget_pending(at, at->pending_count);
    memset(&at->disk, 0, sizeof at->disk);
    at->disk.state.members = members;
    at->disk.state.standing = standing;
    at->config.random_seed += 1000;
    node_start(at);
}

static void start_recovering(int count)
{
    node_init(&node, 1, count, 1);
    forget(&node, RAFT_RECOVERING);
    node_event(&node, RAFT_EVENT_TIMER);
    node_complete_all(&node);
}

static struct raft_message answer_of(const char *from, uint64_t term)
{
    return (struct raft_message){ .kind = RAFT_RECOVER_REPLY,
                                  .from = name_of(from),
                                  .term = term,
                                  .nonce = node.raft.recovery.nonce };
}

static void answer(const char *from, uint64_t term)
{
    node_receive(&node, answer_of(from, term));
}

static void answer_as_leader(const char *from, uint64_t term, uint64_t last_index)
{
    struct raft_message message = answer_of(from, term);

    message.leads = true;
    message.last_index = last_index;
    node_receive(&node, message);
}

/* Entries 1..last, all of term 1. */
static void append(const char *from, uint64_t term, uint64_t last, uint64_t commit)
{
    static struct raft_entry entries[RAFT_APPEND_MAX];

    for (uint64_t i = 0; i < last; i++)
        entries[i] = (struct raft_entry){ .index = i + 1, .term = 1, .length = 1 };
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of(from),
                                               .term = term,
                                               .entry_count = (uint8_t)last,
                                               .entries = entries,
                                               .commit = commit });
}

static void heartbeat(const char *from, uint64_t term)
{
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_HEARTBEAT, .from = name_of(from), .term = term, .round = 7 });
}

static bool has_say(void)
{
    return raft_standing(&node.raft) == RAFT_WHOLE;
}

static void it_grants_no_vote(void **state)
{
    (void)state;
    start_recovering(3);
    for (int kind = 0; kind < 3; kind++) {
        node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                                   .from = name_of("n2"),
                                                   .term = 9,
                                                   .pre = kind == 0,
                                                   .transfer = kind == 2,
                                                   .last_index = 99,
                                                   .last_term = 8,
                                                   .nonce = 1 });
        node_complete_all(&node);
        assert_null(node_sent(&node, RAFT_VOTE_REPLY, 0));
        assert_true(name_empty(&node.raft.vote));
    }
}

static void it_never_campaigns(void **state)
{
    (void)state;
    start_recovering(3);
    heartbeat("n2", 3);
    node_receive(
        &node, (struct raft_message){ .kind = RAFT_TIMEOUT_NOW, .from = name_of("n2"), .term = 3 });
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    for (int i = 0; i < 100; i++) {
        node_wait(&node, TEST_ELECTION_MS);
        node_event(&node, RAFT_EVENT_TIMER);
        assert_int_equal(node.raft.role, RAFT_FOLLOWER);
        assert_null(node_sent(&node, RAFT_VOTE_REQUEST, 0));
    }
}

static void its_acknowledgements_say_that_they_do_not_count(void **state)
{
    (void)state;
    start_recovering(3);
    append("n2", 3, 2, 0);
    node_complete_all(&node);
    const struct raft_message *reply = node_sent_to(&node, RAFT_APPEND_REPLY, "n2");
    assert_non_null(reply);
    assert_true(reply->recovering);
    assert_int_equal(reply->match_index, 2);
    heartbeat("n2", 3);
    assert_null(node_sent(&node, RAFT_HEARTBEAT_REPLY, 0));
    /* Nor one of a leader of the past, who might lead in this term later. */
    heartbeat("n3", 2);
    assert_null(node_sent(&node, RAFT_HEARTBEAT_REPLY, 0));
}

static void it_asks_each_other_voter_until_that_one_has_answered(void **state)
{
    (void)state;
    start_recovering(3);
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n2"));
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n3"));
    answer("n2", 4);
    node_wait(&node, TEST_HEARTBEAT_MS);
    assert_true(instant_reached(node.out.wake_at, node.now));
    node_event(&node, RAFT_EVENT_TIMER);
    assert_null(node_sent_to(&node, RAFT_RECOVER, "n2"));
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n3"));
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n3");
    assert_null(raft_recover_waits_for(&node.raft, 1));
}

static void every_other_voter_must_have_answered(void **state)
{
    (void)state;
    static const char *const names[] = { "n2", "n3", "n4", "n5" };

    start_recovering(5);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    for (int i = 1; i < 4; i++) {
        assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, names[i]);
        node_complete_all(&node);
        assert_false(has_say());
        answer(names[i], 3);
    }
    assert_false(has_say());
    node_complete_all(&node);
    assert_true(has_say());
    assert_true(node.out.standing_changed);
}

static void its_term_is_the_greatest_answer_and_a_leader_of_less_is_not_enough(void **state)
{
    (void)state;
    start_recovering(3);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    answer("n3", 5);
    node_complete_all(&node);
    assert_int_equal(node.disk.state.term, 5);
    assert_false(has_say());
    append("n3", 5, 2, 2);
    node_complete_all(&node);
    assert_false(has_say());
    answer_as_leader("n3", 5, 2);
    node_complete_all(&node);
    assert_true(has_say());
}

static void all_that_the_leader_had_must_be_on_its_disk(void **state)
{
    (void)state;
    start_recovering(3);
    answer_as_leader("n2", 3, 4);
    answer("n3", 3);
    append("n2", 3, 3, 3);
    node_complete_all(&node);
    assert_false(has_say());
    append("n2", 3, 4, 3);
    assert_int_equal(node.raft.recovery.ending, false);
    node_complete_all(&node); /* entry 4 */
    assert_true(node.raft.recovery.ending);
    node_wait(&node, TEST_HEARTBEAT_MS);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_false(has_say());
    node_complete_all(&node); /* that it ends */
    assert_true(has_say());
    assert_int_equal(node.disk.state.standing, RAFT_WHOLE);
}

static void it_has_voted_for_its_leader_in_the_present_term(void **state)
{
    (void)state;
    start_recovering(3);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    answer("n3", 3);
    node_complete_all(&node);
    assert_true(has_say());
    assert_string_equal(node.disk.state.vote.text, "n2");
    node_start(&node);
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REQUEST,
                                               .from = name_of("n3"),
                                               .term = 3,
                                               .last_index = 9,
                                               .last_term = 3 });
    node_complete_all(&node);
    assert_true(node_sent(&node, RAFT_VOTE_REPLY, 0) == NULL ||
                !node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
}

static void the_leader_learns_at_once_what_counts_from_now_on(void **state)
{
    (void)state;
    start_recovering(3);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    answer("n3", 3);
    node_complete_all(&node);
    const struct raft_message *reply = node_sent_to(&node, RAFT_APPEND_REPLY, "n2");
    assert_non_null(reply);
    assert_false(reply->recovering);
    assert_int_equal(reply->match_index, 2);
    heartbeat("n2", 3);
    assert_int_equal(node_sent(&node, RAFT_HEARTBEAT_REPLY, 0)->round, 7);
}

static void a_crash_in_the_middle_goes_on_recovering_and_asks_all_again(void **state)
{
    (void)state;
    start_recovering(3);
    assert_int_equal(node.disk.state.standing, RAFT_RECOVERING);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer("n3", 3);
    struct raft_message old = answer_of("n3", 3);
    node.config.random_seed++;
    node_start(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
    assert_int_equal(node.raft.last_index, 2);
    node_receive(&node, old);
    node_complete_all(&node);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    node_complete_all(&node);
    assert_false(has_say());
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n3");
}

static void a_crash_before_the_end_is_durable_goes_on_recovering(void **state)
{
    (void)state;
    start_recovering(3);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    answer("n3", 3);
    assert_true(node.raft.recovery.ending);
    node_start(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
}

static void alone_it_recovers_from_nobody(void **state)
{
    (void)state;
    start_recovering(1);
    for (int i = 0; i < 50; i++) {
        node_wait(&node, TEST_ELECTION_MS);
        node_event(&node, RAFT_EVENT_TIMER);
        node_complete_all(&node);
        assert_false(has_say());
    }
    assert_null(raft_recover_waits_for(&node.raft, 0));
}

/* ---- others without a memory */

static void answer_forgetful(const char *from, uint64_t life)
{
    struct raft_message message = answer_of(from, 0);

    message.life = life;
    node_receive(&node, message);
}

static void whoever_has_no_memory_counts_only_in_a_question_asked_after_that_was_known(void **state)
{
    (void)state;
    start_recovering(5);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    answer_as_leader("n2", 3, 2);
    answer("n3", 3);
    answer("n4", 3);
    struct raft_message old = answer_of("n3", 3);
    answer_forgetful("n5", 77);
    /* All anew. */
    node_receive(&node, old);
    answer_as_leader("n2", 3, 2);
    answer("n4", 3);
    answer_forgetful("n5", 77);
    node_complete_all(&node);
    assert_false(has_say());
    answer("n3", 4);
    node_complete_all(&node);
    assert_false(has_say());
    append("n3", 4, 2, 2);
    answer_as_leader("n3", 4, 2);
    node_complete_all(&node);
    assert_true(has_say());
}

/* It may have taken in more since, or lead no more. */
static void a_leaders_answer_to_an_earlier_question_does_not_count(void **state)
{
    (void)state;
    for (int leads = 0; leads < 2; leads++) {
        start_recovering(5);
        append("n2", 3, 2, 2);
        node_complete_all(&node);
        answer_as_leader("n2", 3, 2);
        answer_forgetful("n5", 77);
        if (leads)
            answer_as_leader("n2", 3, 4);
        else
            answer("n2", 3);
        answer("n3", 3);
        answer("n4", 3);
        answer_forgetful("n5", 77);
        node_complete_all(&node);
        assert_false(has_say());
    }
    append("n2", 3, 4, 2);
    node_complete_all(&node); /* entry 4 */
    node_complete_all(&node); /* that it ends */
    assert_true(has_say());
}

static void it_waits_while_no_majority_has_a_memory(void **state)
{
    (void)state;
    start_recovering(3);
    append("n2", 3, 2, 2);
    node_complete_all(&node);
    for (int i = 0; i < 3; i++) {
        answer_as_leader("n2", 3, 2);
        answer_forgetful("n3", 77);
        node_complete_all(&node);
        assert_false(has_say());
    }
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n3");
}

/* ---- whoever is asked */

static void an_answer_tells_the_term_and_of_a_leader_its_last_index(void **state)
{
    (void)state;
    const struct raft_message *reply;
    const struct raft_message question = { .kind = RAFT_RECOVER,
                                           .from = name_of("n3"),
                                           .nonce = 5 };

    node_init(&node, 1, 3, 1);
    node_receive(&node, question);
    reply = node_sent_to(&node, RAFT_RECOVER_REPLY, "n3");
    assert_true(reply->fresh);
    node_serve(&node);
    node_receive(&node, question);
    reply = node_sent_to(&node, RAFT_RECOVER_REPLY, "n3");
    assert_false(reply->fresh);
    assert_int_equal(reply->nonce, 5);
    assert_int_equal(reply->term, 1);
    assert_true(reply->leads);
    assert_int_equal(reply->last_index, 1);
    assert_int_equal(reply->life, 0);
    /* Who asks may have acknowledged what the leader does not know yet to be committed. */
    node_propose(&node, "a");
    assert_int_equal(node.raft.commit, 1);
    node_receive(&node, question);
    assert_int_equal(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3")->last_index, 2);
    node_complete_all(&node);
}

/* A leader of three, whose n3 recovers. */
static void lead_with_one_that_recovers(void)
{
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_acknowledge(&node, "n3", node.raft.last_index);
    node_propose(&node, "a");
    node_complete_all(&node);
}

static void acknowledge_recovering(uint64_t match)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                               .from = name_of("n3"),
                                               .term = node.raft.term,
                                               .success = true,
                                               .match_index = match,
                                               .recovering = true });
}

static void a_leader_commits_nothing_by_one_that_recovers(void **state)
{
    (void)state;
    lead_with_one_that_recovers();
    acknowledge_recovering(2);
    assert_int_equal(node.raft.commit, 1);
    node_acknowledge(&node, "n3", 2);
    assert_int_equal(node.raft.commit, 2);
}

static void an_old_acknowledgement_gives_no_weight_to_new_ones(void **state)
{
    (void)state;
    lead_with_one_that_recovers();
    acknowledge_recovering(2);
    node_acknowledge(&node, "n3", 1); /* of before the damage, late */
    assert_int_equal(node.raft.commit, 1);
    acknowledge_recovering(2);
    assert_int_equal(node.raft.commit, 1);
}

static void a_leader_drops_what_it_believed_of_the_log_that_was_lost(void **state)
{
    (void)state;
    lead_with_one_that_recovers();
    node_acknowledge(&node, "n3", 2);
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                               .from = name_of("n3"),
                                               .term = node.raft.term,
                                               .prev_index = 2,
                                               .hint_index = 1,
                                               .recovering = true });
    assert_int_equal(node.raft.progress[2].match, 0);
    const struct raft_message *retry = node_sent_to(&node, RAFT_APPEND_REQUEST, "n3");
    assert_non_null(retry);
    assert_int_equal(retry->prev_index, 0);
    assert_int_equal(retry->entry_count, 2);
}

static void a_leader_that_is_asked_tries_the_one_who_asks_anew(void **state)
{
    (void)state;
    lead_with_one_that_recovers();
    node_acknowledge(&node, "n3", 2);
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_RECOVER, .from = name_of("n3"), .nonce = 5, .life = 6 });
    assert_int_equal(node.raft.progress[2].match, 0);
    assert_non_null(node_sent_to(&node, RAFT_APPEND_REQUEST, "n3"));
}

static void one_that_recovers_keeps_no_leader_in_office(void **state)
{
    (void)state;
    lead_with_one_that_recovers();
    for (int i = 0; i < 10 && node.raft.role == RAFT_LEADER; i++) {
        node_wait(&node, TEST_HEARTBEAT_MS);
        acknowledge_recovering(1);
        node_event(&node, RAFT_EVENT_TIMER);
    }
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
}

static void leadership_is_not_handed_to_one_that_recovers(void **state)
{
    (void)state;
    lead_with_one_that_recovers();
    acknowledge_recovering(2);
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_TRANSFER, .peer = name_of("n3") });
    assert_int_equal(node.out.refusal, RAFT_BAD_TARGET);
    lead_with_one_that_recovers();
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_TRANSFER, .peer = name_of("n3") });
    acknowledge_recovering(2);
    assert_null(node_sent(&node, RAFT_TIMEOUT_NOW, 0));
}

static void votes_that_were_asked_for_with_the_lost_log_do_not_count(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_time_out(&node);
    node_grant(&node, "n2", true);
    node_complete_all(&node);
    uint64_t before = node_sent_to(&node, RAFT_VOTE_REQUEST, "n2")->nonce;
    node.config.random_seed++;
    node_start(&node);
    node.raft.term = 0; /* as one that never knew of its candidacy */
    node_time_out(&node);
    node_grant(&node, "n2", true);
    node_complete_all(&node);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REPLY,
                                               .from = name_of("n2"),
                                               .term = node.raft.term,
                                               .granted = true,
                                               .nonce = before });
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    node_grant(&node, "n2", false);
    assert_int_equal(node.raft.role, RAFT_LEADER);
}

static void a_vote_repeats_the_nonce_of_its_request(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_VOTE_REQUEST, .from = name_of("n2"), .term = 2, .nonce = 42 });
    node_complete_all(&node);
    assert_true(node_sent(&node, RAFT_VOTE_REPLY, 0)->granted);
    assert_int_equal(node_sent(&node, RAFT_VOTE_REPLY, 0)->nonce, 42);
}

/* ---- nothing stored at all */

static void start_unsure(int count)
{
    node_init(&node, 1, count, 1);
    forget(&node, RAFT_UNSURE);
    node_event(&node, RAFT_EVENT_TIMER);
}

/* As an issuer is that was begun in a new cluster: a snapshot at (born, born), and nothing else. */
static void begin_at(struct node *at, uint64_t born)
{
    forget(at, RAFT_UNSURE);
    machine_save(at->disk.snapshot, born, 17);
    at->disk.state.snapshot = (struct bytes){ at->disk.snapshot, NODE_SNAPSHOT_BYTES };
    at->disk.state.snapshot_index = born;
    at->disk.state.snapshot_term = born;
    at->disk.state.term = born;
    node_start(at);
}

static void answer_begun_at(const char *from, uint64_t born)
{
    struct raft_message message = answer_of(from, born);

    message.fresh = true;
    message.last_index = born;
    message.life = 99;
    node_receive(&node, message);
}

static void answer_fresh(const char *from)
{
    answer_begun_at(from, node.raft.recovery.born);
}

static void a_new_cluster_starts_when_all_are_fresh(void **state)
{
    (void)state;
    start_unsure(5);
    assert_non_null(node_sent_to(&node, RAFT_RECOVER, "n5"));
    answer_fresh("n2");
    answer_fresh("n2");
    node_complete_all(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_UNSURE);
    answer_fresh("n3");
    answer_fresh("n4");
    node_complete_all(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_UNSURE);
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n5");
    assert_null(raft_recover_waits_for(&node.raft, 1));
    answer_fresh("n5");
    node_complete_all(&node);
    assert_true(has_say());
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
}

static void one_history_is_enough_to_recover(void **state)
{
    (void)state;
    start_unsure(5);
    answer_fresh("n2");
    answer("n3", 4);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
    assert_true(node.out.persist.recovering);
    answer_fresh("n4");
    answer_fresh("n5");
    node_complete_all(&node);
    assert_int_equal(node.disk.state.standing, RAFT_RECOVERING);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
}

static void a_claim_to_be_fresh_that_answers_another_question_is_not_counted(void **state)
{
    (void)state;
    start_unsure(3);
    struct raft_message old = answer_of("n2", 0);
    old.fresh = true;
    old.nonce ^= 2;
    node_receive(&node, old);
    node_complete_all(&node);
    assert_int_equal(raft_standing(&node.raft), RAFT_UNSURE);
}

static void a_new_cluster_starts_when_all_were_begun_at_one_index(void **state)
{
    uint64_t index = 0;

    (void)state;
    node_init(&node, 1, 3, 1);
    begin_at(&node, 9);
    node_event(&node, RAFT_EVENT_TIMER);
    answer_begun_at("n2", 9);
    answer_begun_at("n3", 8);
    assert_int_equal(raft_standing(&node.raft), RAFT_UNSURE);
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n3");
    assert_string_equal(raft_recover_begun_apart(&node.raft, 0, &index)->text, "n3");
    assert_int_equal(index, 8);
    assert_null(raft_recover_begun_apart(&node.raft, 1, &index));
    answer_begun_at("n3", 9);
    node_complete_all(&node);
    assert_true(has_say());
    assert_null(raft_recover_begun_apart(&node.raft, 0, &index));
}

/*
 * A power cut of the whole site: n2 had stored its vote for itself, this node's answer was not on its
 * card yet. Were it unsure again, n2's vote would make it and n3 nodes without a memory, for ever.
 */
static void it_has_its_say_only_when_that_outlives_a_power_cut(void **state)
{
    const struct raft_message question = { .kind = RAFT_RECOVER,
                                           .from = name_of("n3"),
                                           .nonce = 5 };

    (void)state;
    node_init(&node, 1, 3, 1);
    begin_at(&node, 9);
    node_event(&node, RAFT_EVENT_TIMER);
    answer_fresh("n2");
    answer_fresh("n3");
    assert_false(has_say());
    node_receive(&node, question);
    assert_true(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3")->fresh);
    node_complete_all(&node);
    assert_true(has_say());
    node_start(&node);
    assert_true(has_say());
    node_receive(&node, question);
    assert_true(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3")->fresh);
    assert_int_equal(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3")->last_index, 9);
}

static void from_its_next_term_on_it_is_not_new_any_more(void **state)
{
    const struct raft_message question = { .kind = RAFT_RECOVER,
                                           .from = name_of("n3"),
                                           .nonce = 5 };

    (void)state;
    node_init(&node, 1, 3, 1);
    begin_at(&node, 9);
    node_event(&node, RAFT_EVENT_TIMER);
    answer_fresh("n2");
    answer_fresh("n3");
    node_complete_all(&node);
    node_elect(&node, (const char *const[]){ "n2" }, 1);
    node_receive(&node, question);
    assert_false(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3")->fresh);
    node_start(&node);
    node_receive(&node, question);
    assert_false(node_sent_to(&node, RAFT_RECOVER_REPLY, "n3")->fresh);
}

static void
one_that_has_nothing_says_neither_that_there_is_a_history_nor_that_there_is_none(void **state)
{
    struct raft_message message;

    (void)state;
    start_unsure(3);
    answer_fresh("n2");
    message = answer_of("n3", 0);
    message.life = 77;
    node_receive(&node, message);
    assert_int_equal(raft_standing(&node.raft), RAFT_UNSURE);
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n3");
}

static void alone_with_an_empty_disk_it_waits_for_ever(void **state)
{
    (void)state;
    start_recovering(1);
    for (int i = 0; i < 50; i++) {
        node_wait(&node, 10 * TEST_ELECTION_MS);
        node_event(&node, RAFT_EVENT_TIMER);
        node_complete_all(&node);
        assert_false(has_say());
    }
}

/* It was begun at 9; the others have a history that began elsewhere, and an entry 9 of their own. */
static void what_it_was_begun_with_is_no_floor_for_the_log_of_others(void **state)
{
    static uint8_t bytes[NODE_SNAPSHOT_BYTES];

    (void)state;
    node_init(&node, 1, 3, 1);
    begin_at(&node, 9);
    node_event(&node, RAFT_EVENT_TIMER);
    for (int start = 0; start < 2; start++) {
        answer_as_leader("n2", 20, 4);
        answer("n3", 12);
        assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
        answer_as_leader("n2", 20, 4);
        answer("n3", 12);
        node_complete_all(&node);
        node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                                   .from = name_of("n2"),
                                                   .term = 20,
                                                   .prev_index = 9,
                                                   .prev_term = 9 });
        const struct raft_message *reply = node_sent_to(&node, RAFT_APPEND_REPLY, "n2");
        assert_false(reply->success);
        assert_int_equal(reply->hint_index, 0);
        node_complete_all(&node);
        assert_false(has_say());
        if (start == 0) {
            node_start(&node);
            node_event(&node, RAFT_EVENT_TIMER);
        }
    }
    /* Nor after a restart before it had heard of any other term. */
    node.disk.state.term = 9;
    node_start(&node);
    assert_int_equal(node.raft.recovery.unproven, 9);
    node_event(&node, RAFT_EVENT_TIMER);
    answer_as_leader("n2", 20, 4);
    answer("n3", 12);
    machine_save(bytes, 9, 18);
    for (size_t offset = 0; offset < sizeof bytes; offset += RAFT_SNAPSHOT_CHUNK) {
        size_t left = sizeof bytes - offset;
        node_receive(&node,
                     (struct raft_message){ .kind = RAFT_SNAPSHOT_REQUEST,
                                            .from = name_of("n2"),
                                            .term = 20,
                                            .snapshot_index = 9,
                                            .snapshot_term = 9,
                                            .offset = offset,
                                            .total = sizeof bytes,
                                            .members = members_lent(3),
                                            .chunk = { bytes + offset, left < RAFT_SNAPSHOT_CHUNK ?
                                                                           left :
                                                                           RAFT_SNAPSHOT_CHUNK } });
    }
    assert_true(node.out.persist.snapshot);
    node_complete_all(&node);
    assert_int_equal(node.machine_hash, 18);
    node_complete_all(&node);
    assert_true(has_say());
}

/* By mistake, with --above: no leader of the others will ever have a term or a snapshot above 900. */
static void begun_above_a_history_that_goes_on_it_is_as_if_nothing_were_stored(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    begin_at(&node, 900);
    node_event(&node, RAFT_EVENT_TIMER);
    answer_as_leader("n2", 20, 4);
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
    assert_true(node.out.persist.forget && node.out.persist.recovering);
    assert_int_equal(node.raft.term, 0);
    node_complete_all(&node);
    node_start(&node); /* what is stored says the same */
    assert_int_equal(raft_standing(&node.raft), RAFT_RECOVERING);
    assert_int_equal(node.raft.term, 0);
    assert_int_equal(node.raft.last_index, 0);
    node_event(&node, RAFT_EVENT_TIMER);
    answer_as_leader("n2", 20, 4);
    answer("n3", 12);
    assert_int_equal(node.raft.term, 20);
    node_complete_all(&node);
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 20,
                                               .prev_index = 4,
                                               .prev_term = 20 });
    const struct raft_message *reply = node_sent_to(&node, RAFT_APPEND_REPLY, "n2");
    assert_int_equal(reply->term, 20); /* nobody is deposed by it */
    assert_false(reply->success);
    assert_false(has_say());
}

static void a_leader_sends_a_snapshot_to_one_that_can_take_no_entries(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                               .from = name_of("n3"),
                                               .term = node.raft.term,
                                               .prev_index = 0,
                                               .recovering = true });
    assert_true(raft_wants_snapshot(&node.raft));
    node_compact(&node);
    assert_int_equal(node_sent_to(&node, RAFT_SNAPSHOT_REQUEST, "n3")->snapshot_index, 1);
}

static void while_unsure_it_takes_nothing_in(void **state)
{
    (void)state;
    start_unsure(3);
    append("n2", 3, 2, 2);
    heartbeat("n2", 3);
    assert_false(node.out.persist.wanted);
    assert_int_equal(node.out.message_count, 0);
    assert_int_equal(node.raft.term, 0);
}

static void alone_it_starts_at_once(void **state)
{
    (void)state;
    start_unsure(1);
    node_complete_all(&node);
    assert_true(has_say());
}

/* ---- whole clusters */

/* All that `from` has sent in its last step to `to` arrives there. */
static void deliver(const struct node *from, struct node *to)
{
    for (size_t i = 0; i < from->out.message_count; i++) {
        if (name_equal(&from->out.messages[i].to, &to->config.self))
            node_receive(to, from->out.messages[i]);
    }
}

/*
 * n1 voted for n2 in term 2, and its vote is late. It is damaged, and helps n3, who leads term 1, to
 * commit what n2 does not have. n2 wins by n1's old vote and n4's.
 */
static void an_old_vote_and_a_new_acknowledgement_do_not_meet(void **state)
{
    (void)state;
    struct node *leader = &others[3];

    for (int i = 1; i <= 5; i++)
        node_init(&others[i - 1], i, 5, 1);
    leader = &others[2];
    node_elect(leader, (const char *const[]){ "n1", "n5" }, 2);
    node_complete_all(leader);
    /* n2 stands in term 2, and n1 promises its vote. */
    struct node *candidate = &others[1];
    candidate->raft.term = 1;
    node_time_out(candidate);
    node_grant(candidate, "n1", true);
    node_grant(candidate, "n4", true);
    node_complete_all(candidate);
    assert_int_equal(candidate->raft.term, 2);
    /* n1, without a memory, gets the log of n3, and every answer but the candidate's. */
    start_recovering(5);
    append("n3", 1, 1, 0);
    node_complete_all(&node);
    answer_as_leader("n3", 1, 1);
    answer("n4", 1);
    answer("n5", 1);
    node_complete_all(&node);
    assert_false(has_say());
    /* What it says counts for nothing at n3, though n5 makes it two of five. */
    node_acknowledge(leader, "n5", 1);
    node_receive(leader, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                                .from = name_of("n1"),
                                                .term = 1,
                                                .success = true,
                                                .match_index = 1,
                                                .recovering = true });
    assert_int_equal(leader->raft.commit, 0);
    /* The candidate's answer takes it out of term 1 for good. */
    node_receive(candidate, (struct raft_message){ .kind = RAFT_RECOVER,
                                                   .from = name_of("n1"),
                                                   .nonce = node.raft.recovery.nonce });
    deliver(candidate, &node);
    node_complete_all(&node);
    assert_int_equal(node.disk.state.term, 2);
    assert_false(has_say());
    append("n3", 1, 1, 0);
    assert_int_equal(node_sent(&node, RAFT_APPEND_REPLY, 0)->term, 2);
    assert_false(node_sent(&node, RAFT_APPEND_REPLY, 0)->success);
    node_grant(candidate, "n1", false);
    node_grant(candidate, "n4", false);
    assert_int_equal(candidate->raft.role, RAFT_LEADER);
}

/* n1..n3 vote; n4 does so too, or learns. */
static struct raft_entry entry_of_members(uint64_t index, bool n4_votes)
{
    struct raft_members members = members_of(4);
    struct raft_entry entry = { .index = index, .term = 1, .kind = RAFT_ENTRY_MEMBERS };

    members.member[3].voter = n4_votes;
    entry.length = (uint16_t)raft_members_encode(&members, entry.data, sizeof entry.data);
    return entry;
}

/* In term 2, with n4 as a learner since entry 1; its promotion, entry 2, is in its own log alone. */
static void start_with_learner(int number)
{
    struct node *at = &others[number - 1];

    node_init(at, number, 3, 1);
    at->disk.entry[0] = entry_of_members(1, false);
    at->disk.entry[1] = entry_of_members(2, true);
    at->disk.state.entry_count = number == 4 ? 2 : 1;
    at->disk.state.term = 2 - (number == 2 ? 1 : 0);
    node_start(at);
}

/*
 * Before its damage n1 had been told, by the leader of term 1, that n4 votes, and had voted for n4 in
 * term 3. Nobody else knows of that: n2 leads term 2, and has n4 for a learner.
 */
static void a_learner_may_stand_by_a_promotion_that_is_forgotten_and_is_waited_for(void **state)
{
    (void)state;
    struct node *leader = &others[1];
    struct node *voter = &others[2];
    struct node *candidate = &others[3];

    for (int number = 2; number <= 4; number++)
        start_with_learner(number);
    node_elect(leader, (const char *const[]){ "n3" }, 1);
    node_complete_all(leader);
    node_time_out(candidate);
    node_grant(candidate, "n1", true);
    node_grant(candidate, "n3", true);
    node_complete_all(candidate);
    struct raft_message request = *node_sent_to(candidate, RAFT_VOTE_REQUEST, "n3");
    node_grant(candidate, "n1", false); /* the old vote */
    assert_int_equal(candidate->raft.role, RAFT_CANDIDATE);
    start_recovering(3);
    struct raft_entry log[2] = { *raft_entry_at(&leader->raft, 1),
                                 *raft_entry_at(&leader->raft, 2) };
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = 2,
                                               .entry_count = 2,
                                               .entries = log,
                                               .commit = 1 });
    node_complete_all(&node);
    answer_as_leader("n2", 2, 2);
    answer("n3", 2);
    node_complete_all(&node);
    assert_false(has_say());
    assert_string_equal(raft_recover_waits_for(&node.raft, 0)->text, "n4");
    deliver(&node, leader);
    assert_true(leader->raft.commit < 2);
    /* So nothing is lost when n4 wins. */
    node_receive(voter, request);
    node_complete_all(voter);
    deliver(voter, candidate);
    assert_int_equal(candidate->raft.role, RAFT_LEADER);
    answer("n4", 3);
    node_complete_all(&node);
    assert_int_equal(node.disk.state.term, 3);
    assert_false(has_say());
}

static struct network network;

static void propose_some(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int leader = network_wait_serving(&network);
        assert_true(leader >= 0);
        network_step(&network, leader,
                     &(struct raft_event){ .kind = RAFT_EVENT_PROPOSE,
                                           .command = { (const uint8_t *)"x", 1 } });
        network_tick(&network);
        network_tick(&network);
    }
}

static bool whole_within(int which, int64_t ms)
{
    for (int64_t i = 0; i < ms && raft_standing(&network.node[which].raft) != RAFT_WHOLE; i++)
        network_tick(&network);
    return raft_standing(&network.node[which].raft) == RAFT_WHOLE;
}

static void recover_and_carry_on(unsigned entries, unsigned loss_percent, uint64_t seed)
{
    network_init(&network, 3, seed);
    propose_some(entries);
    network.loss_percent = loss_percent;
    network.repeat_percent = loss_percent;
    int leader = network_wait_serving(&network);
    int damaged = (leader + (seed % 2 ? 1 : 0)) % 3; /* the leader itself, every other time */
    network_crash(&network, damaged);
    forget(&network.node[damaged], RAFT_RECOVERING);
    network_start(&network, damaged);
    assert_true(whole_within(damaged, 60000));
    /* With one of the others gone, it is the one that is needed. */
    uint64_t committed = 0;
    for (int i = 0; i < 3; i++)
        committed =
            network.node[i].raft.commit > committed ? network.node[i].raft.commit : committed;
    network_crash(&network, (damaged + 1) % 3);
    propose_some(5);
    assert_true(network.node[damaged].raft.commit >= committed);
}

static void a_damaged_node_recovers_from_a_log_and_carries_on(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++)
        recover_and_carry_on(30, seed > 3 ? 10 : 0, seed);
}

static void a_damaged_node_recovers_from_a_snapshot_and_carries_on(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        recover_and_carry_on(RAFT_COMPACT_AT + 100, seed > 2 ? 10 : 0, seed);
}

static void two_of_five_recover_from_the_others(void **state)
{
    (void)state;
    network_init(&network, 5, 3);
    propose_some(20);
    int leader = network_wait_serving(&network);
    for (int i = 1; i <= 2; i++) {
        network_crash(&network, (leader + i) % 5);
        forget(&network.node[(leader + i) % 5], RAFT_RECOVERING);
    }
    network_start(&network, (leader + 1) % 5);
    assert_false(whole_within((leader + 1) % 5, 2000));
    network_start(&network, (leader + 2) % 5);
    assert_true(whole_within((leader + 1) % 5, 10000));
    assert_true(whole_within((leader + 2) % 5, 10000));
}

static void an_emptied_node_recovers_and_an_empty_cluster_starts(void **state)
{
    (void)state;
    network_init(&network, 3, 4);
    for (int i = 0; i < 3; i++) {
        network_crash(&network, i);
        forget(&network.node[i], RAFT_UNSURE);
    }
    network_start(&network, 0);
    network_start(&network, 1);
    assert_false(whole_within(0, 2000));
    network_start(&network, 2);
    for (int i = 0; i < 3; i++)
        assert_true(whole_within(i, 10000));
    propose_some(5);
    network_crash(&network, 0);
    forget(&network.node[0], RAFT_UNSURE);
    network_start(&network, 0);
    assert_true(whole_within(0, 10000));
    assert_true(network.node[0].raft.term > 0);
}

/*
 * n3 never had a part in anything, and says so truly. n1 had, lost its disk, and is heard by n3 before
 * n2 is: two of three without a history, and n2 alone has what n1 helped to commit.
 */
static void a_card_that_is_replaced_and_an_issuer_never_started_make_no_new_cluster(void **state)
{
    (void)state;
    network_init(&network, 3, 5);
    for (int i = 0; i < 3; i++)
        network.node[i].disk.state.standing = RAFT_WHOLE;
    network_crash(&network, 2);
    forget(&network.node[2], RAFT_UNSURE);
    propose_some(10);
    uint64_t committed = network.node[1].raft.commit;
    network_crash(&network, 0);
    forget(&network.node[0], RAFT_UNSURE);
    network.cut[1] = true;
    network_start(&network, 0);
    network_start(&network, 2);
    for (int ms = 0; ms < 5000; ms++)
        network_tick(&network);
    assert_true(network_serving(&network) < 0);
    assert_int_equal(raft_standing(&network.node[0].raft), RAFT_UNSURE);
    network.cut[1] = false;
    for (int ms = 0; ms < 5000; ms++)
        network_tick(&network);
    assert_true(network.node[1].raft.commit >= committed);
    assert_int_equal(raft_standing(&network.node[0].raft), RAFT_RECOVERING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grants_no_vote),
        cmocka_unit_test(it_never_campaigns),
        cmocka_unit_test(its_acknowledgements_say_that_they_do_not_count),
        cmocka_unit_test(it_asks_each_other_voter_until_that_one_has_answered),
        cmocka_unit_test(every_other_voter_must_have_answered),
        cmocka_unit_test(its_term_is_the_greatest_answer_and_a_leader_of_less_is_not_enough),
        cmocka_unit_test(all_that_the_leader_had_must_be_on_its_disk),
        cmocka_unit_test(it_has_voted_for_its_leader_in_the_present_term),
        cmocka_unit_test(the_leader_learns_at_once_what_counts_from_now_on),
        cmocka_unit_test(a_crash_in_the_middle_goes_on_recovering_and_asks_all_again),
        cmocka_unit_test(a_crash_before_the_end_is_durable_goes_on_recovering),
        cmocka_unit_test(alone_it_recovers_from_nobody),
        cmocka_unit_test(
            whoever_has_no_memory_counts_only_in_a_question_asked_after_that_was_known),
        cmocka_unit_test(a_leaders_answer_to_an_earlier_question_does_not_count),
        cmocka_unit_test(it_waits_while_no_majority_has_a_memory),
        cmocka_unit_test(an_answer_tells_the_term_and_of_a_leader_its_last_index),
        cmocka_unit_test(a_leader_commits_nothing_by_one_that_recovers),
        cmocka_unit_test(an_old_acknowledgement_gives_no_weight_to_new_ones),
        cmocka_unit_test(a_leader_drops_what_it_believed_of_the_log_that_was_lost),
        cmocka_unit_test(a_leader_that_is_asked_tries_the_one_who_asks_anew),
        cmocka_unit_test(one_that_recovers_keeps_no_leader_in_office),
        cmocka_unit_test(leadership_is_not_handed_to_one_that_recovers),
        cmocka_unit_test(votes_that_were_asked_for_with_the_lost_log_do_not_count),
        cmocka_unit_test(a_vote_repeats_the_nonce_of_its_request),
        cmocka_unit_test(a_new_cluster_starts_when_all_are_fresh),
        cmocka_unit_test(one_history_is_enough_to_recover),
        cmocka_unit_test(a_claim_to_be_fresh_that_answers_another_question_is_not_counted),
        cmocka_unit_test(a_new_cluster_starts_when_all_were_begun_at_one_index),
        cmocka_unit_test(it_has_its_say_only_when_that_outlives_a_power_cut),
        cmocka_unit_test(from_its_next_term_on_it_is_not_new_any_more),
        cmocka_unit_test(
            one_that_has_nothing_says_neither_that_there_is_a_history_nor_that_there_is_none),
        cmocka_unit_test(alone_with_an_empty_disk_it_waits_for_ever),
        cmocka_unit_test(what_it_was_begun_with_is_no_floor_for_the_log_of_others),
        cmocka_unit_test(begun_above_a_history_that_goes_on_it_is_as_if_nothing_were_stored),
        cmocka_unit_test(a_leader_sends_a_snapshot_to_one_that_can_take_no_entries),
        cmocka_unit_test(while_unsure_it_takes_nothing_in),
        cmocka_unit_test(alone_it_starts_at_once),
        cmocka_unit_test(an_old_vote_and_a_new_acknowledgement_do_not_meet),
        cmocka_unit_test(a_learner_may_stand_by_a_promotion_that_is_forgotten_and_is_waited_for),
        cmocka_unit_test(a_damaged_node_recovers_from_a_log_and_carries_on),
        cmocka_unit_test(a_damaged_node_recovers_from_a_snapshot_and_carries_on),
        cmocka_unit_test(two_of_five_recover_from_the_others),
        cmocka_unit_test(an_emptied_node_recovers_and_an_empty_cluster_starts),
        cmocka_unit_test(a_card_that_is_replaced_and_an_issuer_never_started_make_no_new_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
