/* The Raft paper, rule by rule (5.1 to 5.4), seen from one node. SCENARIOS.md has the sources. */
#include "tests/unit/raft/scenario.h"

static struct node node;
static struct cluster cluster;

enum { APPLIED_MAX = 64 };
static struct raft_entry applied[APPLIED_MAX];
static size_t applied_count;

static void record_applied(struct node *at, const struct raft_entry *entry)
{
    (void)at;
    assert_true(applied_count < APPLIED_MAX);
    applied[applied_count++] = *entry;
}

/* Brings n1 of three into a role, by events alone, from a disk that knows `term`. */
static void enter_role(enum raft_role role, uint64_t term)
{
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 3, 1);
    node.disk.state.term = term;
    node_start(&node);
    switch (role) {
    case RAFT_FOLLOWER:
        node_receive(&node, (struct raft_message){
                                .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = term + 1 });
        node_complete_all(&node);
        break;
    case RAFT_PRE_CANDIDATE:
        node_time_out(&node);
        break;
    case RAFT_CANDIDATE:
        node_time_out(&node);
        node_grant(&node, "n2", true);
        node_complete_all(&node);
        break;
    case RAFT_LEADER:
        node_elect(&node, voters, 1);
        node_complete_all(&node);
        break;
    case RAFT_HALTED:
    case RAFT_ROLES:
        fail();
    }
    assert_int_equal(node.raft.role, role);
}

static void append(uint64_t term, uint64_t prev_index, uint64_t prev_term, const uint64_t *terms,
                   uint8_t count, uint64_t commit)
{
    static struct raft_entry entries[RAFT_APPEND_MAX];

    for (uint8_t i = 0; i < count; i++)
        entries[i] = (struct raft_entry){ .index = prev_index + 1 + i,
                                          .term = terms[i],
                                          .length = 1,
                                          .data = { (uint8_t)('a' + i) } };
    node_receive(&node, (struct raft_message){ .kind = RAFT_APPEND_REQUEST,
                                               .from = name_of("n2"),
                                               .term = term,
                                               .prev_index = prev_index,
                                               .prev_term = prev_term,
                                               .entry_count = count,
                                               .entries = entries,
                                               .commit = commit });
}

/* Lets n1 of `size` lead in a new term, its no-op committed by all. */
static void lead(int size)
{
    static const char *const voters[] = { "n2", "n3", "n4", "n5" };

    node_elect(&node, voters, (size_t)size - 1);
    node_complete_all(&node);
    for (int i = 0; i < size - 1; i++)
        node_acknowledge(&node, voters[i], node.raft.last_index);
    assert_true(node.raft.serving);
}

static void every_role_follows_a_higher_term(void **state)
{
    (void)state;
    static const enum raft_message_kind kinds[] = { RAFT_APPEND_REQUEST, RAFT_HEARTBEAT,
                                                    RAFT_VOTE_REQUEST };

    for (int role = RAFT_FOLLOWER; role <= RAFT_LEADER; role++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            bool leads = kinds[k] != RAFT_VOTE_REQUEST;

            enter_role((enum raft_role)role, 0);
            uint64_t last = node.raft.last_index;

            node_receive(
                &node, (struct raft_message){
                           .kind = kinds[k], .from = name_of("n3"), .term = 7, .transfer = true });
            assert_int_equal(node.raft.role, RAFT_FOLLOWER);
            assert_int_equal(node.raft.term, 7);
            assert_int_equal(node.raft.last_index, last);
            assert_true(node.out.persist.hard_state);
            assert_int_equal(node.out.persist.term, 7);
            assert_int_equal(name_empty(&node.raft.leader), !leads);
        }
    }
}

static void a_message_of_an_old_term_changes_nothing(void **state)
{
    (void)state;
    static const uint8_t byte = 1;
    static const struct raft_entry entry = { .index = 1, .term = 4, .length = 1 };
    static struct raft before;

    for (int role = RAFT_FOLLOWER; role <= RAFT_LEADER; role++) {
        enter_role((enum raft_role)role, 5);
        memcpy(&before, &node.raft, sizeof before);

        for (int kind = 0; kind < RAFT_MESSAGE_KINDS; kind++) {
            for (int pre = 0; pre < 2 && kind != RAFT_RECOVER; pre++) { /* has no term */
                node_receive(&node, (struct raft_message){ .kind = (enum raft_message_kind)kind,
                                                           .from = name_of("n3"),
                                                           .term = 4,
                                                           .pre = pre != 0,
                                                           .transfer = true,
                                                           .granted = true,
                                                           .success = true,
                                                           .match_index = 1,
                                                           .round = 1,
                                                           .last_index = 99,
                                                           .last_term = 4,
                                                           .entry_count = 1,
                                                           .entries = &entry,
                                                           .commit = 1,
                                                           .snapshot_index = 1,
                                                           .snapshot_term = 1,
                                                           .total = 1,
                                                           .members = members_lent(3),
                                                           .chunk = { &byte, 1 },
                                                           .installed = true });
                assert_false(node.out.persist.wanted);
                assert_false(node.out.role_changed);
                assert_memory_equal(&node.raft, &before, sizeof before);
                for (size_t m = 0; m < node.out.message_count; m++) {
                    assert_int_equal(node.out.messages[m].term, before.term);
                    assert_false(node.out.messages[m].granted);
                    assert_false(node.out.messages[m].success);
                }
            }
        }
    }
}

static void starts_as_a_follower_of_nobody(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };

    node_init(&node, 1, 3, 1);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    node.disk.state.vote = name_of("n1");
    node_restart_with_log(&node, 3, log, 2);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    assert_int_equal(node.raft.term, 3);
    assert_true(name_empty(&node.raft.leader));
    assert_true(name_equal(&node.raft.vote, &node.config.self));
    assert_int_equal(node.raft.commit, 0);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    /* It asks what it promised, and no more. */
    for (size_t i = 0; i < node.out.message_count; i++)
        assert_int_equal(node.out.messages[i].kind, RAFT_RECOVER);
}

static void a_leader_sends_every_peer_a_heartbeat_each_interval_and_stays(void **state)
{
    (void)state;
    enter_role(RAFT_LEADER, 0);
    node_acknowledge(&node, "n2", 1);
    node_acknowledge(&node, "n3", 1);
    for (int i = 0; i < 4 * TEST_ELECTION_MS / TEST_HEARTBEAT_MS; i++) {
        struct instant due = node.raft.heartbeat_at;

        assert_int_equal(node.out.wake_at.us, due.us);
        node.now = (struct instant){ due.us - 1 };
        node_event(&node, RAFT_EVENT_TIMER);
        assert_int_equal(node.out.message_count, 0);
        node_time_out(&node);
        assert_int_equal(instant_diff(node.raft.heartbeat_at, due).us, TEST_HEARTBEAT_MS * 1000);
        assert_int_equal(node.out.message_count, 2);
        assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->entry_count, 0);
        assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n3")->prev_index, 0);
        node_acknowledge_round(&node, "n2", node.raft.term, 0);
        assert_int_equal(node.raft.role, RAFT_LEADER);
    }
}

static void a_follower_that_hears_nothing_stands_for_election(void **state)
{
    (void)state;
    enter_role(RAFT_FOLLOWER, 0);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    node_grant(&node, "n3", true);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_int_equal(node.raft.term, 2);
    node_complete_all(&node);
    assert_int_equal(node.disk.state.term, 2);
    assert_true(name_equal(&node.disk.state.vote, &node.config.self));
    assert_int_equal(node.out.message_count, 2);
    assert_int_equal(node_sent_to(&node, RAFT_VOTE_REQUEST, "n2")->term, 2);
    assert_int_equal(node_sent_to(&node, RAFT_VOTE_REQUEST, "n3")->term, 2);
}

static void a_candidate_without_a_majority_stands_again_in_a_new_term(void **state)
{
    (void)state;
    enter_role(RAFT_CANDIDATE, 0);
    assert_int_equal(node.raft.term, 1);
    node_time_out(&node);
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    assert_int_equal(node.raft.term, 1);
    assert_int_equal(node_sent_to(&node, RAFT_VOTE_REQUEST, "n2")->term, 2);
    node_grant(&node, "n2", false); /* late, of the term before: no vote in the one to come */
    assert_int_equal(node.raft.role, RAFT_PRE_CANDIDATE);
    node_grant(&node, "n3", true);
    node_complete_all(&node);
    assert_int_equal(node.raft.role, RAFT_CANDIDATE);
    assert_int_equal(node.raft.term, 2);
    assert_int_equal(node_sent(&node, RAFT_VOTE_REQUEST, 1)->term, 2);
}

static void an_election_is_won_by_a_majority_and_by_nothing_less(void **state)
{
    (void)state;
    static const char *const voters[] = { "n2", "n3", "n4", "n5" };
    static const struct {
        int size;
        const char *votes; /* of n2 on: y, n, or silent */
        enum raft_role role;
    } rows[] = {
        { 1, "", RAFT_LEADER },       { 3, "yy", RAFT_LEADER },      { 3, "y.", RAFT_LEADER },
        { 3, ".y", RAFT_LEADER },     { 5, "yyyy", RAFT_LEADER },    { 5, "yyy.", RAFT_LEADER },
        { 5, "yy..", RAFT_LEADER },   { 5, "n.yy", RAFT_LEADER },    { 2, ".", RAFT_CANDIDATE },
        { 3, "nn", RAFT_CANDIDATE },  { 5, "nnnn", RAFT_CANDIDATE }, { 5, "ynnn", RAFT_CANDIDATE },
        { 3, "..", RAFT_CANDIDATE },  { 5, "y...", RAFT_CANDIDATE }, { 5, "nn..", RAFT_CANDIDATE },
        { 4, "y..", RAFT_CANDIDATE }, { 4, "yy.", RAFT_LEADER },     { 5, "....", RAFT_CANDIDATE },
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        node_init(&node, 1, rows[r].size, 1);
        node_time_out(&node);
        for (int i = 0; i < rows[r].size - 1 && node.raft.role == RAFT_PRE_CANDIDATE; i++)
            node_grant(&node, voters[i], true);
        node_complete_all(&node);
        for (size_t v = 0; v < strlen(rows[r].votes); v++) {
            if (rows[r].votes[v] != '.')
                node_receive(&node, (struct raft_message){ .kind = RAFT_VOTE_REPLY,
                                                           .term = 1,
                                                           .from = name_of(voters[v]),
                                                           .granted = rows[r].votes[v] == 'y' });
        }
        assert_int_equal(node.raft.role, rows[r].role);
        assert_int_equal(node.raft.term, 1);
    }
}

static void a_candidate_that_hears_a_leader_of_its_term_or_later_follows(void **state)
{
    (void)state;
    static const enum raft_message_kind kinds[] = { RAFT_APPEND_REQUEST, RAFT_HEARTBEAT };

    for (int i = 0; i < 8; i++) {
        uint64_t term = 1 + (uint64_t)(i % 2);

        enter_role(i < 4 ? RAFT_CANDIDATE : RAFT_PRE_CANDIDATE, 0);
        node_receive(&node, (struct raft_message){
                                .kind = kinds[i / 2 % 2], .from = name_of("n2"), .term = term });
        assert_int_equal(node.raft.role, RAFT_FOLLOWER);
        assert_int_equal(node.raft.term, term);
        assert_true(name_equal(&node.raft.leader, &(struct hf_name){ "n2" }));
        node_grant(&node, "n3", false); /* too late */
        assert_int_equal(node.raft.role, RAFT_FOLLOWER);
    }
}

static int tenth_of_timeout(const struct node *at)
{
    return (int)(instant_diff(at->raft.election_at, at->now).us * 10 /
                 (TEST_ELECTION_MS * (int64_t)1000));
}

static void election_timeouts_spread_over_all_of_their_range(void **state)
{
    (void)state;
    for (int candidate = 0; candidate < 2; candidate++) {
        bool seen[20] = { false };

        enter_role(candidate ? RAFT_CANDIDATE : RAFT_FOLLOWER, 0);
        for (int i = 0; i < 500; i++) {
            if (candidate)
                node_time_out(&node);
            else
                node_receive(&node, (struct raft_message){
                                        .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .term = 1 });
            assert_in_range(tenth_of_timeout(&node), 10, 19);
            seen[tenth_of_timeout(&node)] = true;
        }
        for (int tenth = 10; tenth < 20; tenth++)
            assert_true(seen[tenth]);
    }
}

/* Five nodes, a thousand draws: how often is the first not alone within a tenth of a timeout? */
static unsigned rounds_with_a_tie(bool candidates)
{
    unsigned ties = 0;

    cluster_init(&cluster, 5);
    for (int round = 0; round < 1000; round++) {
        int first = 20;
        int together = 0;

        for (int i = 1; i <= 5; i++) {
            if (candidates)
                node_time_out(&cluster.node[i]);
            else
                node_receive(&cluster.node[i],
                             (struct raft_message){ .kind = RAFT_HEARTBEAT,
                                                    .term = 1,
                                                    .from = name_number(i % 5 + 1) });
        }
        for (int i = 1; i <= 5; i++) {
            int tenth = tenth_of_timeout(&cluster.node[i]);

            together = tenth < first ? 1 : together + (tenth == first);
            first = tenth < first ? tenth : first;
        }
        ties += together > 1;
    }
    return ties;
}

static void mostly_one_node_alone_times_out_first(void **state)
{
    (void)state;
    assert_in_range(rounds_with_a_tie(false), 1, 300);
    assert_in_range(rounds_with_a_tie(true), 1, 300);
}

static void a_proposal_is_written_and_sent_with_what_precedes_it(void **state)
{
    (void)state;
    static const char *const peers[] = { "n2", "n3" };

    node_init(&node, 1, 3, 1);
    lead(3);
    node_propose(&node, "some data");
    assert_int_equal(node.raft.last_index, 2);
    assert_int_equal(node.raft.commit, 1);
    for (int i = 0; i < 2; i++) {
        const struct raft_message *request = node_sent_to(&node, RAFT_APPEND_REQUEST, peers[i]);

        assert_int_equal(request->prev_index, 1);
        assert_int_equal(request->prev_term, 1);
        assert_int_equal(request->commit, 1);
        assert_int_equal(request->entry_count, 1);
        assert_int_equal(request->entries[0].index, 2);
        assert_int_equal(request->entries[0].term, 1);
        assert_memory_equal(request->entries[0].data, "some data", 9);
    }
    assert_int_equal(node.out.persist.first_index, 2);
    assert_int_equal(node.out.persist.last_index, 2);
    node_complete_all(&node);
    assert_memory_equal(node.disk.entry[1].data, "some data", 9);
}

static void a_committed_entry_is_applied_and_the_followers_are_told(void **state)
{
    (void)state;
    node_init(&node, 1, 3, 1);
    lead(3);
    applied_count = 0;
    node.applied = record_applied;
    node_propose(&node, "some data");
    node_complete_all(&node);
    assert_int_equal(applied_count, 0);
    node_acknowledge(&node, "n2", 2);
    assert_int_equal(node.raft.commit, 2);
    assert_int_equal(applied_count, 1);
    assert_memory_equal(applied[0].data, "some data", 9);
    node_propose(&node, "more");
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n2")->commit, 2);
    assert_int_equal(node_sent_to(&node, RAFT_APPEND_REQUEST, "n3")->commit, 2);
    node_time_out(&node);
    assert_int_equal(node_sent_to(&node, RAFT_HEARTBEAT, "n2")->commit, 2);
}

static void an_entry_commits_once_a_majority_has_it(void **state)
{
    (void)state;
    static const char *const peers[] = { "n2", "n3", "n4", "n5" };
    static const struct {
        int size;
        const char *acknowledged; /* by n2 on */
        bool committed;
    } rows[] = {
        { 1, "", true },     { 2, ".", false },    { 2, "y", true },     { 3, "..", false },
        { 3, "y.", true },   { 3, ".y", true },    { 3, "yy", true },    { 4, "y..", false },
        { 4, "y.y", true },  { 5, "....", false }, { 5, "y...", false }, { 5, "...y", false },
        { 5, "y..y", true }, { 5, "yyy.", true },  { 5, "yyyy", true },
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        node_init(&node, 1, rows[r].size, 1);
        lead(rows[r].size);
        node_propose(&node, "x");
        node_complete_all(&node);
        for (size_t i = 0; i < strlen(rows[r].acknowledged); i++) {
            if (rows[r].acknowledged[i] == 'y')
                node_acknowledge(&node, peers[i], 2);
        }
        assert_int_equal(node.raft.commit, rows[r].committed ? 2 : 1);
    }
}

static void entries_of_earlier_leaders_commit_with_the_first_own_one(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        uint64_t terms[2];
    } rows[] = { { 0, { 0 } }, { 1, { 2 } }, { 2, { 1, 2 } }, { 1, { 1 } } };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        size_t count = rows[r].count;

        node_init(&node, 1, 3, 1);
        node_restart_with_log(&node, 2, rows[r].terms, count);
        applied_count = 0;
        node.applied = record_applied;
        lead(3);
        node_propose(&node, "some data");
        node_complete_all(&node);
        node_acknowledge(&node, "n3", count + 2);
        assert_int_equal(applied_count, count + 2);
        for (size_t i = 0; i < count + 2; i++) {
            assert_int_equal(applied[i].index, i + 1);
            assert_int_equal(applied[i].term, i < count ? rows[r].terms[i] : 3);
        }
        assert_int_equal(applied[count].kind, RAFT_ENTRY_NOOP);
        assert_memory_equal(applied[count + 1].data, "some data", 9);
    }
}

static void a_follower_applies_what_it_is_told_is_committed_in_order(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 1 };
    static const struct {
        uint8_t count;
        uint64_t commit;
    } rows[] = { { 1, 1 }, { 2, 2 }, { 2, 1 }, { 2, 0 } };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        node_init(&node, 1, 3, 1);
        applied_count = 0;
        node.applied = record_applied;
        append(1, 0, 0, terms, rows[r].count, rows[r].commit);
        assert_int_equal(node.raft.commit, rows[r].commit);
        assert_int_equal(applied_count, rows[r].commit);
        for (size_t i = 0; i < applied_count; i++) {
            assert_int_equal(applied[i].index, i + 1);
            assert_int_equal(applied[i].data[0], 'a' + (int)i);
        }
        append(1, 0, 0, terms, rows[r].count, 0); /* commit never goes back */
        assert_int_equal(node.raft.commit, rows[r].commit);
    }
}

static void an_append_is_taken_only_behind_an_entry_that_matches(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };
    static const struct {
        uint64_t index, term, match; /* match 0: refused */
    } rows[] = { { 0, 0, 1 }, { 1, 1, 1 }, { 2, 2, 2 }, { 2, 1, 0 }, { 3, 3, 0 }, { 3, 2, 0 } };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        node_init(&node, 1, 3, 1);
        node_restart_with_log(&node, 3, log, 2);
        append(3, 1, 1, NULL, 0, 1);
        assert_int_equal(node.raft.commit, 1);
        append(3, rows[r].index, rows[r].term, NULL, 0, 1);
        assert_int_equal(node_sent(&node, RAFT_APPEND_REPLY, 0)->success, rows[r].match > 0);
        assert_int_equal(node_sent(&node, RAFT_APPEND_REPLY, 0)->match_index, rows[r].match);
        assert_int_equal(node.raft.last_index, 2);
    }
}

static void a_conflicting_entry_goes_with_all_that_follow_it(void **state)
{
    (void)state;
    static const uint64_t log[] = { 1, 2 };
    static const struct {
        uint64_t prev_index, prev_term;
        uint8_t count;
        uint64_t terms[2];
        size_t log_count;
        uint64_t log_terms[3];
        uint64_t truncate_from;
        bool written;
    } rows[] = {
        { 2, 2, 1, { 3 }, 3, { 1, 2, 3 }, 0, true },
        { 1, 1, 2, { 3, 4 }, 3, { 1, 3, 4 }, 2, true },
        { 0, 0, 1, { 1 }, 2, { 1, 2 }, 0, false },
        { 0, 0, 1, { 3 }, 1, { 3 }, 1, true },
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        node_init(&node, 1, 3, 1);
        node_restart_with_log(&node, 4, log, 2);
        append(4, rows[r].prev_index, rows[r].prev_term, rows[r].terms, rows[r].count, 0);
        assert_int_equal(node.out.persist.wanted, rows[r].written);
        assert_int_equal(node.out.persist.truncate_from, rows[r].truncate_from);
        node_complete_all(&node);
        assert_int_equal(node.raft.last_index, rows[r].log_count);
        assert_int_equal(node.disk.state.entry_count, rows[r].log_count);
        for (size_t i = 0; i < rows[r].log_count; i++) {
            assert_int_equal(raft_term_at(&node.raft, i + 1), rows[r].log_terms[i]);
            assert_int_equal(node.disk.entry[i].term, rows[r].log_terms[i]);
        }
    }
}

static void a_vote_request_tells_where_the_candidates_log_ends(void **state)
{
    (void)state;
    static const uint64_t terms[] = { 1, 2 };

    for (uint8_t count = 1; count <= 2; count++) {
        node_init(&node, 1, 3, 1);
        append(count, 0, 0, terms, count, 0);
        node_complete_all(&node);
        for (int pre = 1; pre >= 0; pre--) {
            if (pre)
                node_time_out(&node);
            else
                node_grant(&node, "n2", true);
            node_complete_all(&node);
            for (size_t i = 0; i < 2; i++) {
                const struct raft_message *request = node_sent(&node, RAFT_VOTE_REQUEST, i);

                assert_int_equal(request->pre, pre);
                assert_int_equal(request->term, count + 1);
                assert_int_equal(request->last_index, count);
                assert_int_equal(request->last_term, terms[count - 1]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_follows_a_higher_term),
        cmocka_unit_test(a_message_of_an_old_term_changes_nothing),
        cmocka_unit_test(starts_as_a_follower_of_nobody),
        cmocka_unit_test(a_leader_sends_every_peer_a_heartbeat_each_interval_and_stays),
        cmocka_unit_test(a_follower_that_hears_nothing_stands_for_election),
        cmocka_unit_test(a_candidate_without_a_majority_stands_again_in_a_new_term),
        cmocka_unit_test(an_election_is_won_by_a_majority_and_by_nothing_less),
        cmocka_unit_test(a_candidate_that_hears_a_leader_of_its_term_or_later_follows),
        cmocka_unit_test(election_timeouts_spread_over_all_of_their_range),
        cmocka_unit_test(mostly_one_node_alone_times_out_first),
        cmocka_unit_test(a_proposal_is_written_and_sent_with_what_precedes_it),
        cmocka_unit_test(a_committed_entry_is_applied_and_the_followers_are_told),
        cmocka_unit_test(an_entry_commits_once_a_majority_has_it),
        cmocka_unit_test(entries_of_earlier_leaders_commit_with_the_first_own_one),
        cmocka_unit_test(a_follower_applies_what_it_is_told_is_committed_in_order),
        cmocka_unit_test(an_append_is_taken_only_behind_an_entry_that_matches),
        cmocka_unit_test(a_conflicting_entry_goes_with_all_that_follow_it),
        cmocka_unit_test(a_vote_request_tells_where_the_candidates_log_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
