/* Snapshots: taken, served, received in pieces, installed; and what may come in between. */
#include "tests/unit/raft/node.h"

static struct node node;
static uint8_t image[NODE_SNAPSHOT_BYTES];

/* Chunk number `nth` of a snapshot at index from n2; returns the reply, if any. */
static const struct raft_message *chunk(uint64_t term, uint64_t index, uint64_t snapshot_term,
                                        unsigned nth)
{
    size_t offset = nth * (size_t)RAFT_SNAPSHOT_CHUNK;
    size_t left = NODE_SNAPSHOT_BYTES - offset;

    machine_save(image, index, index * 77);
    node_receive(&node, (struct raft_message){
                            .kind = RAFT_SNAPSHOT_REQUEST,
                            .from = name_of("n2"),
                            .term = term,
                            .snapshot_index = index,
                            .snapshot_term = snapshot_term,
                            .offset = offset,
                            .total = NODE_SNAPSHOT_BYTES,
                            .members = members_lent(3),
                            .chunk = { image + offset,
                                       left < RAFT_SNAPSHOT_CHUNK ? left : RAFT_SNAPSHOT_CHUNK } });
    return node_sent(&node, RAFT_SNAPSHOT_REPLY, 0);
}

static void chunks(uint64_t term, uint64_t index, uint64_t snapshot_term)
{
    for (unsigned i = 0; i < 4; i++)
        (void)chunk(term, index, snapshot_term, i);
}

static void append_one(uint64_t term, uint64_t prev_index, uint64_t prev_term)
{
    struct raft_entry entry = { .index = prev_index + 1, .term = term };

    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = term,
                                               .prev_index = prev_index,
                                               .prev_term = prev_term,
                                               .entry_count = 1,
                                               .entries = &entry });
}

static void pieces_in_any_order_and_number_make_one_snapshot(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    assert_int_equal(chunk(2, 40, 1, 2)->offset, 0);
    assert_int_equal(chunk(2, 40, 1, 0)->offset, RAFT_SNAPSHOT_CHUNK);
    assert_int_equal(chunk(2, 40, 1, 0)->offset, RAFT_SNAPSHOT_CHUNK);
    assert_int_equal(chunk(2, 40, 1, 3)->offset, RAFT_SNAPSHOT_CHUNK);
    assert_int_equal(chunk(2, 40, 1, 1)->offset, 2 * RAFT_SNAPSHOT_CHUNK);
    assert_int_equal(chunk(2, 40, 1, 2)->offset, 3 * RAFT_SNAPSHOT_CHUNK);
    assert_null(chunk(2, 40, 1, 3));
    assert_true(node.out.persist.snapshot);
    assert_false(node.out.persist.keep_log);
    assert_false(node.out.restore);
    assert_null(chunk(2, 40, 1, 3));
    node_complete_all(&node);
    assert_true(node.out.restore);
    assert_int_equal(node.machine_index, 40);
    assert_true(node_sent(&node, RAFT_SNAPSHOT_REPLY, 0)->installed);
    assert_true(chunk(2, 40, 1, 3)->installed);
    assert_int_equal(node.raft.commit, 40);
}

static void nothing_is_received_while_an_install_waits_for_the_store(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    chunks(2, 40, 1);
    assert_null(chunk(2, 60, 1, 0));
    machine_save(image, 40, 40 * 77);
    assert_memory_equal(node.buffer, image, NODE_SNAPSHOT_BYTES);
    node_complete_all(&node);
    assert_int_equal(node.machine_index, 40);
    assert_int_equal(chunk(2, 60, 1, 0)->offset, RAFT_SNAPSHOT_CHUNK);
}

static void a_higher_term_in_between_does_not_lose_the_install(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    chunks(2, 40, 1);
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_HEARTBEAT, .from = name_of("n3"), .term = 5, .commit = 60 });
    node_complete(&node, 2);
    assert_true(node.out.restore);
    assert_int_equal(node.machine_index, 40);
    assert_int_equal(node.raft.commit, 40);
    assert_null(node_sent_to(&node, RAFT_SNAPSHOT_REPLY, "n2"));
}

static void a_new_leader_starts_the_pieces_afresh(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    (void)chunk(2, 40, 1, 0);
    assert_int_equal(chunk(3, 40, 1, 1)->offset, 0);
}

static void entries_behind_a_waiting_install_follow_it(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    chunks(2, 40, 1);
    append_one(2, 40, 1);
    assert_null(node_sent(&node, RAFT_APPEND_REPLY, 0));
    node_receive(&node,
                 (struct raft_message){
                     .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 2, .commit = 41 });
    assert_int_equal(node.machine_index, 0);
    node_complete_all(&node);
    assert_int_equal(node.machine_index, 41);
    assert_int_equal(node_sent(&node, RAFT_APPEND_REPLY, 0)->match_index, 41);
}

static void an_older_snapshot_arriving_late_changes_nothing(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    chunks(2, 40, 1);
    node_complete_all(&node);
    const struct raft_message *reply = chunk(2, 30, 1, 0);

    assert_true(reply->installed);
    assert_int_equal(reply->snapshot_index, 30);
    assert_false(node.out.restore);
    assert_int_equal(node.raft.snapshot_index, 40);
    (void)chunk(2, 60, 1, 0);
    assert_null(chunk(2, 50, 1, 0));
    assert_int_equal(node.raft.receiving_index, 60);
}

static void a_divergent_log_above_the_snapshot_goes(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1, 1, 1, 1 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 1, log, 5);
    chunks(3, 3, 2);
    node_complete_all(&node);
    assert_int_equal(node.raft.last_index, 3);
    assert_int_equal(raft_term_at(&node.raft, 3), 2);
    assert_int_equal(node.disk.state.entry_count, 0);
    assert_int_equal(node.machine_index, 3);
}

static void a_log_that_has_it_all_is_kept(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1, 1, 1, 1 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 5);
    assert_true(chunk(2, 3, 1, 0)->installed);
    assert_false(node.out.restore);
    assert_int_equal(node.raft.last_index, 5);
    assert_int_equal(node.machine_index, 3);
}

static void a_crash_before_the_install_is_durable_leaves_the_old_state(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 1 };

    node_init(&node, 1, 3, 1);
    node_restart_with_log(&node, 2, log, 2);
    chunks(2, 40, 2);
    node_start(&node);
    assert_int_equal(node.raft.last_index, 2);
    chunks(2, 40, 2);
    node_complete_all(&node);
    node_start(&node);
    assert_int_equal(node.raft.commit, 40);
    assert_int_equal(node.machine_index, 40);
}

static void a_partly_received_snapshot_is_never_served(void **state)
{
    (void)state;
    static const char *const voters[] = { "n3" };

    node_init(&node, 1, 3, 1);
    chunks(2, 40, 1);
    node_complete_all(&node);
    (void)chunk(2, 60, 1, 0);
    node_elect(&node, voters, 1);
    node_complete_all(&node);
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                               .from = name_of("n2"),
                                               .term = node.raft.term,
                                               .prev_index = 40,
                                               .hint_index = 1 });
    assert_null(node_sent(&node, RAFT_SNAPSHOT_REQUEST, 0));
    assert_true(raft_wants_snapshot(&node.raft));
    node_compact(&node);
    assert_int_equal(node_sent_to(&node, RAFT_SNAPSHOT_REQUEST, "n2")->snapshot_index, 40);
    assert_ptr_equal(node_sent_to(&node, RAFT_SNAPSHOT_REQUEST, "n2")->chunk.data,
                     node.compact_bytes);
    assert_false(raft_wants_snapshot(&node.raft));
}

static void one_too_large_is_not_taken(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    node.raft.config.snapshot_capacity = NODE_SNAPSHOT_BYTES - 1;
    assert_int_equal(chunk(2, 40, 1, 0)->offset, 0);
    assert_int_equal(chunk(2, 40, 1, 1)->offset, 0);
    assert_int_equal(node.raft.receiving_index, 0);
}

/* n1 leads with a snapshot and a log cut behind it; n3 needs the snapshot. */
static void lead_with_snapshot(void)
{
    node_init(&node, 1, 3, 1);
    node_serve(&node);
    for (uint64_t i = 0; i < RAFT_COMPACT_AT; i++) {
        node_propose(&node, "x");
        node_complete_all(&node);
        node_acknowledge(&node, "n2", node.raft.last_index);
    }
    assert_true(raft_wants_snapshot(&node.raft));
    node_compact(&node);
    assert_true(node.out.persist.keep_log);
    assert_int_equal(node.raft.first_index, 1);
    node_complete_all(&node);
    assert_int_equal(node.raft.first_index, RAFT_COMPACT_AT + 2 - RAFT_TRAILING);
}

static const struct raft_message *answer_chunk(uint64_t offset, bool installed)
{
    node_receive(&node, (struct raft_message){ .kind = RAFT_SNAPSHOT_REPLY,
                                               .from = name_of("n3"),
                                               .term = node.raft.term,
                                               .snapshot_index = node.raft.snapshot_index,
                                               .offset = offset,
                                               .installed = installed });
    return node_sent_to(&node, RAFT_SNAPSHOT_REQUEST, "n3");
}

static void a_leader_sends_piece_by_piece_and_then_the_rest(void **state)
{
    (void)state;
    lead_with_snapshot();
    assert_int_equal(node.raft.progress[2].state, RAFT_SNAPSHOT);
    assert_int_equal(node_sent_to(&node, RAFT_SNAPSHOT_REQUEST, "n3")->offset, 0);
    assert_int_equal(answer_chunk(RAFT_SNAPSHOT_CHUNK, false)->offset, RAFT_SNAPSHOT_CHUNK);
    assert_null(answer_chunk(RAFT_SNAPSHOT_CHUNK, false));
    assert_int_equal(answer_chunk(0, false)->offset, 0); /* it restarted */
    assert_int_equal(answer_chunk(3 * RAFT_SNAPSHOT_CHUNK, false)->chunk.length, 100);
    node_time_out(&node);
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_SNAPSHOT_REQUEST, "n3")->offset,
                     3 * RAFT_SNAPSHOT_CHUNK);
    node_propose(&node, "x");
    assert_null(node_sent_to(&node, RAFT_APPEND_REQUEST, "n3"));
    assert_null(answer_chunk(0, true));
    assert_int_equal(node.raft.progress[2].state, RAFT_REPLICATE);
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n3")->prev_index,
                     node.raft.snapshot_index);
}

static void a_snapshot_taken_now_survives_a_restart_with_the_log_above(void **state)
{
    (void)state;
    lead_with_snapshot();
    node_propose(&node, "above");
    node_complete_all(&node);
    uint64_t hash = node.machine_hash;

    node_start(&node);
    assert_int_equal(node.raft.commit, RAFT_COMPACT_AT + 1);
    assert_int_equal(node.raft.last_index, RAFT_COMPACT_AT + 2);
    assert_int_equal(node.machine_hash, hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_any_order_and_number_make_one_snapshot),
        cmocka_unit_test(nothing_is_received_while_an_install_waits_for_the_store),
        cmocka_unit_test(a_higher_term_in_between_does_not_lose_the_install),
        cmocka_unit_test(a_new_leader_starts_the_pieces_afresh),
        cmocka_unit_test(entries_behind_a_waiting_install_follow_it),
        cmocka_unit_test(an_older_snapshot_arriving_late_changes_nothing),
        cmocka_unit_test(a_divergent_log_above_the_snapshot_goes),
        cmocka_unit_test(a_log_that_has_it_all_is_kept),
        cmocka_unit_test(a_crash_before_the_install_is_durable_leaves_the_old_state),
        cmocka_unit_test(a_partly_received_snapshot_is_never_served),
        cmocka_unit_test(one_too_large_is_not_taken),
        cmocka_unit_test(a_leader_sends_piece_by_piece_and_then_the_rest),
        cmocka_unit_test(a_snapshot_taken_now_survives_a_restart_with_the_log_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
