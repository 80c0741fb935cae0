/* Every cell of both tables: roles by role events, and roles by public events. */
#include "tests/unit/raft/node.h"
#include "tests/unit/support/cells.h"

static struct node node;
static jmp_buf panicked;
static const char *panic_text;

_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    panic_text = what;
    longjmp(panicked, 1);
}

/* Brings the node into a role by events alone. */
static void enter_role(enum raft_role role)
{
    static const char *const voters[] = { "n2" };

    node_init(&node, 1, 3, 1);
    switch (role) {
    case RAFT_PRE_CANDIDATE:
        node_time_out(&node);
        break;
    case RAFT_CANDIDATE:
        node_time_out(&node);
        node_grant(&node, "n2", true);
        break;
    case RAFT_LEADER:
        node_elect(&node, voters, 1);
        break;
    case RAFT_HALTED:
        node_event(&node, RAFT_EVENT_STORE_FAILED);
        break;
    case RAFT_FOLLOWER:
    case RAFT_ROLES:
        break;
    }
    assert_int_equal(node.raft.role, role);
}

/* True if the change of role ends in hf_panic(). */
static bool change_aborts(enum raft_role_event event)
{
    struct raft_context context = { .raft = &node.raft, .out = &node.out, .now = node.now };

    node.out.message_count = 0;
    if (setjmp(panicked) != 0)
        return true;
    raft_change_role(&context, event);
    return false;
}

static void every_role_event_leads_where_the_table_says_or_aborts(void **state)
{
    (void)state;
    static const char legal[RAFT_ROLES][RAFT_ROLE_EVENTS + 1] = {
        /* timeout, pre-vote won, told, won, higher term, leader seen, quorum lost, removed, store
         * failed */
        "p-c-ff--h", "pc--ff--h", "p--lff--h", "----f-ffh", "---------",
    };
    static const char letters[RAFT_ROLES + 1] = "fpclh";

    assert_true(cells_walk(raft_role_table[0], RAFT_ROLES, RAFT_ROLE_EVENTS) > 0);
    for (int role = 0; role < RAFT_ROLES; role++) {
        for (int event = 0; event < RAFT_ROLE_EVENTS; event++) {
            const struct cell *cell = &raft_role_table[role][event];
            bool aborted;

            enter_role((enum raft_role)role);
            aborted = change_aborts((enum raft_role_event)event);
            assert_int_equal(aborted, legal[role][event] == '-');
            if (aborted) {
                assert_string_equal(panic_text, cell->why);
                assert_int_equal(node.raft.role, role);
            } else {
                assert_int_equal(letters[node.raft.role], legal[role][event]);
            }
        }
    }
}

static void every_event_is_survived_in_every_role(void **state)
{
    (void)state;
    static const uint8_t bytes[NODE_SNAPSHOT_BYTES] = { 1 };
    struct raft_message message = {
        .kind = RAFT_HEARTBEAT, .from = name_of("n2"), .to = name_of("n1"), .term = 9
    };

    for (int role = 0; role < RAFT_ROLES; role++) {
        for (int kind = 0; kind < RAFT_EVENT_KINDS; kind++) {
            assert_non_null(raft_event_table[role][kind]);
            enter_role((enum raft_role)role);
            node_step(&node, &(struct raft_event){ .kind = (enum raft_event_kind)kind,
                                                   .message = &message,
                                                   .command = { bytes, 1 },
                                                   .snapshot = { bytes, sizeof bytes },
                                                   .peer = name_of("n2") });
            if (kind == RAFT_EVENT_STORE_FAILED)
                assert_int_equal(node.raft.role, RAFT_HALTED);
            if (kind == RAFT_EVENT_MESSAGE && role != RAFT_HALTED)
                assert_int_equal(node.raft.role, RAFT_FOLLOWER);
            if (kind == RAFT_EVENT_PROPOSE || kind == RAFT_EVENT_CONFIRM ||
                kind == RAFT_EVENT_MEMBERS)
                assert_int_equal(node.out.refusal, RAFT_NOT_LEADER);
            if (kind == RAFT_EVENT_TRANSFER)
                assert_int_equal(node.out.refusal,
                                 role == RAFT_LEADER ? RAFT_ACCEPTED : RAFT_NOT_LEADER);
        }
    }
}

static void a_halted_node_emits_nothing_any_more(void **state)
{
    (void)state;
    enter_role(RAFT_LEADER);
    node_event(&node, RAFT_EVENT_STORE_FAILED);
    assert_true(node.out.role_changed);
    for (int kind = 0; kind < RAFT_MESSAGE_KINDS; kind++) {
        node_receive(&node, (struct raft_message){ .kind = (enum raft_message_kind)kind,
                                                   .from = name_of("n2"),
                                                   .term = 99 });
        assert_int_equal(node.out.message_count, 0);
        assert_false(node.out.persist.wanted);
        assert_int_equal(node.out.wake_at.us, INT64_MAX);
    }
    node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_PERSISTED, .seq = 1 });
    node_wait(&node, 100000);
    node_event(&node, RAFT_EVENT_TIMER);
    assert_int_equal(node.out.message_count, 0);
    assert_int_equal(node.raft.role, RAFT_HALTED);
    assert_int_equal(node.raft.term, 1);
    assert_false(raft_wants_snapshot(&node.raft));
}

/* Hostile numbers in every field of every kind, in every role: ignored, refused, never an abort. */
static void no_message_from_a_peer_reaches_an_assertion(void **state)
{
    (void)state;
    static const uint64_t numbers[] = { 0, 1, 2, 3, 1000, INT64_MAX - 1, INT64_MAX, UINT64_MAX };
    static const uint8_t chunk[RAFT_SNAPSHOT_CHUNK];
    static struct raft_entry entries[RAFT_APPEND_MAX];
    volatile uint64_t random = 88172645463325252ULL;

    if (setjmp(panicked) != 0)
        fail_msg("a message reached: %s", panic_text);
    for (int i = 0; i < 200000; i++) {
        uint64_t r = random;
        struct raft_message m = { .kind = (enum raft_message_kind)(r % RAFT_MESSAGE_KINDS) };
        uint64_t *const fields[] = { &m.last_index,     &m.last_term,     &m.prev_index,
                                     &m.prev_term,      &m.commit,        &m.match_index,
                                     &m.hint_index,     &m.hint_term,     &m.round,
                                     &m.snapshot_index, &m.snapshot_term, &m.offset,
                                     &m.total };

        if (i % 200 == 0)
            enter_role((enum raft_role)(i / 200 % RAFT_HALTED));
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
            r = r * 6364136223846793005ULL + 1442695040888963407ULL;
            *fields[f] = numbers[(r >> 40) % ((r >> 60) == 0 ? 8 : 4)];
        }
        m.term = (r >> 20) % 64 == 0 ? numbers[(r >> 33) % 8] : node.raft.term + (r >> 30) % 2;
        m.from = name_number(2 + (int)((r >> 25) % 2));
        m.pre = (r >> 10) & 1;
        m.transfer = (r >> 11) & 1;
        m.granted = (r >> 12) & 1;
        m.success = (r >> 13) & 1;
        m.installed = (r >> 14) & 1;
        m.entry_count = (uint8_t)((r >> 15) % (RAFT_APPEND_MAX + 2));
        m.entries = (r >> 19) % 16 == 0 ? NULL : entries;
        for (uint64_t e = 0; e < RAFT_APPEND_MAX; e++)
            entries[e] = (struct raft_entry){ .index = m.prev_index + 1 + e,
                                              .term = m.term - ((r >> 35) + e) % 2 };
        m.members = members_lent(3);
        m.chunk = (struct bytes){ chunk, (size_t)((r >> 22) % 3 * 2048) };
        random = r + (uint64_t)i;
        if (m.kind == RAFT_SNAPSHOT_REQUEST && (r >> 50) % 4 != 0)
            continue; /* leave the other kinds a log to work on */
        m.total = m.total <= 1000 ? m.total * 1024 : m.total;
        m.to = node.config.self;
        raft_step(&node.raft, &(struct raft_event){ .kind = RAFT_EVENT_MESSAGE, .message = &m },
                  node.now, &node.out);
        if (node.out.persist.wanted)
            raft_step(
                &node.raft,
                &(struct raft_event){ .kind = RAFT_EVENT_PERSISTED, .seq = node.out.persist.seq },
                node.now, &node.out);
    }
}

static void a_completion_from_the_future_aborts(void **state)
{
    (void)state;
    volatile bool aborted = true;

    enter_role(RAFT_FOLLOWER);
    if (setjmp(panicked) == 0) {
        node_step(&node, &(struct raft_event){ .kind = RAFT_EVENT_PERSISTED, .seq = 1 });
        aborted = false;
    }
    assert_true(aborted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_event_leads_where_the_table_says_or_aborts),
        cmocka_unit_test(every_event_is_survived_in_every_role),
        cmocka_unit_test(a_halted_node_emits_nothing_any_more),
        cmocka_unit_test(no_message_from_a_peer_reaches_an_assertion),
        cmocka_unit_test(a_completion_from_the_future_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
