/* Who the issuers are: configurations and instants in, whom to dial and whom to forget, out. */
#include "node/issuers.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 300, AT_INDEX = 100 };

static struct conf conf;
static struct issuers issuers;
static struct issuers_change change;
static struct raft raft;
static struct instant now;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

/* "abc": members a, b and c, each at an address of its own. */
static struct raft_members members_of(const char *letters)
{
    struct raft_members members = { 0 };
    for (const char *at = letters; *at != '\0'; at++) {
        struct raft_member *member = &members.member[members.count++];
        const char text[] = { *at, '\0' };
        member->id = name(text);
        member->voter = true;
        snprintf(member->address, sizeof(member->address), "10.0.0.%d:7400", *at - 'a' + 1);
    }
    return members;
}

/* This node's own log: a snapshot with the configuration `kept`, and, above it, one with `latest`. */
static const struct raft *log_of(const char *kept, const char *latest)
{
    const struct raft_config config = { .self = name("a"),
                                        .election = span_from_ms(PATIENCE_MS),
                                        .heartbeat = span_from_ms(PATIENCE_MS / 5),
                                        .random_seed = 1 };
    struct raft_entry entry = { .index = AT_INDEX + 1, .term = 1, .kind = RAFT_ENTRY_MEMBERS };
    struct raft_recovered recovered = { .standing = RAFT_WHOLE,
                                        .term = 1,
                                        .snapshot_index = AT_INDEX,
                                        .snapshot_term = 1,
                                        .members = members_of(kept),
                                        .entries = &entry };
    if (latest != NULL) {
        struct raft_members members = members_of(latest);
        entry.length = (uint16_t)raft_members_encode(&members, entry.data, sizeof(entry.data));
        assert_true(entry.length > 0);
        recovered.entry_count = 1;
    }
    raft_init(&raft, &config, &recovered, now);
    return &raft;
}

static int set_up(void **state)
{
    (void)state;
    struct raft_members listed = members_of("abcd");
    memset(&conf, 0, sizeof(conf));
    conf.node_id = name("a");
    conf.election_ms = PATIENCE_MS;
    conf.issuer_count = listed.count;
    for (uint8_t i = 0; i < listed.count; i++) {
        conf.issuer[i].id = listed.member[i].id;
        strcpy(conf.issuer[i].address, listed.member[i].address);
    }
    now = (struct instant){ 1000000 };
    issuers_init(&issuers, &conf);
    return 0;
}

static bool knows(const char *id)
{
    const struct hf_name node = name(id);
    return issuers_find(&issuers, &node) != NULL;
}

static bool hears(const struct raft *own, const char *id)
{
    const struct hf_name node = name(id);
    return issuers_hears(&issuers, own, &node);
}

static bool up(const char *id)
{
    const struct wire_hello hello = { .node = name(id), .config_digest = 77 };
    return issuers_link_up(&issuers, &hello, now);
}

static bool down(const char *id)
{
    const struct hf_name node = name(id);
    return issuers_link_down(&issuers, &node, now);
}

static void follow(const struct raft *own)
{
    issuers_follow(&issuers, own, now, &change);
}

static void tell(const char *letters, uint64_t index, const struct raft *own)
{
    const struct wire_issuers told = { .index = index, .members = members_of(letters) };
    issuers_told(&issuers, &told, own, now, &change);
}

/* Whom to dial, as letters. */
static const char *dialled(void)
{
    static char text[HF_ISSUERS_MAX + 1];
    for (uint8_t i = 0; i < change.dial_count; i++)
        text[i] = change.dial[i].id.text[0];
    text[change.dial_count] = '\0';
    return text;
}

static const char *forgotten(void)
{
    static char text[HF_ISSUERS_MAX + 1];
    for (uint8_t i = 0; i < change.forget_count; i++)
        text[i] = change.forget[i].text[0];
    text[change.forget_count] = '\0';
    return text;
}

/* What is due is done then: whoever wakes by it would else be woken again without end. */
static void wait_ms(int64_t ms, const struct raft *own)
{
    now = instant_add(now, span_from_ms(ms));
    issuers_expire(&issuers, own, now, &change);
    assert_true(instant_before(now, issuers_wake_at(&issuers)));
}

/* ---- */

static void at_first_the_file_counts(void **state)
{
    (void)state;
    char text[ISSUERS_TEXT_MAX];
    assert_int_equal(issuers.count, 4);
    assert_true(knows("a") && knows("b") && knows("c") && knows("d"));
    assert_false(knows("e"));
    assert_false(issuers_outdated(&issuers, text, sizeof(text)));
    follow(NULL);
    assert_false(change.differs);
    assert_int_equal(change.dial_count, 0);
}

static void the_own_log_counts_more_than_the_file(void **state)
{
    (void)state;
    char text[ISSUERS_TEXT_MAX];
    follow(log_of("abce", NULL));
    assert_true(change.differs);
    assert_string_equal(dialled(), "bce"); /* not itself */
    assert_string_equal(change.dial[2].address, "10.0.0.5:7400");
    assert_true(knows("e"));
    assert_false(knows("d"));
    assert_true(issuers_outdated(&issuers, text, sizeof(text)));
    assert_string_equal(text, "add e at 10.0.0.5:7400, remove d");
    follow(&raft);
    assert_false(change.differs);
}

static void what_an_issuer_tells_counts_if_it_is_newer_than_the_own_log(void **state)
{
    (void)state;
    follow(log_of("abcd", NULL));
    tell("abc", AT_INDEX - 1, &raft);
    assert_true(knows("d"));
    tell("abce", AT_INDEX + 1, &raft);
    assert_true(knows("e") && !knows("d"));
    tell("abcd", AT_INDEX, &raft);
    assert_true(knows("e") && !knows("d"));
    follow(log_of("abcd", "abcf"));
    assert_true(knows("f") && !knows("e"));
}

static void board_goes_by_what_it_is_told(void **state)
{
    (void)state;
    tell("bce", 7, NULL);
    assert_true(change.differs);
    assert_string_equal(dialled(), "bce");
    assert_false(knows("a"));
}

/* An issuer of before addresses were in the log. */
static void member_without_an_address_has_that_of_the_file(void **state)
{
    (void)state;
    struct wire_issuers told = { .index = 7, .members = members_of("bc") };
    told.members.member[1].address[0] = '\0';
    issuers_told(&issuers, &told, NULL, now, &change);
    assert_string_equal(change.dial[1].address, "10.0.0.3:7400");
}

static void address_that_the_file_has_otherwise_is_told(void **state)
{
    (void)state;
    char text[ISSUERS_TEXT_MAX];
    struct wire_issuers told = { .index = 7, .members = members_of("abcd") };
    text_copy(told.members.member[1].address, HF_ADDRESS_MAX + 1, "10.0.9.2:7400");
    issuers_told(&issuers, &told, NULL, now, &change);
    assert_true(change.differs);
    assert_true(issuers_outdated(&issuers, text, sizeof(text)));
    assert_string_equal(text, "change b at 10.0.9.2:7400");
}

/* It may need our acknowledgement of its own removal, hands over, and answers. */
static void who_was_removed_keeps_its_link_for_an_election_timeout(void **state)
{
    (void)state;
    assert_true(up("d"));
    tell("abc", 7, NULL);
    assert_string_equal(forgotten(), "");
    assert_true(down("d") && up("d"));
    assert_int_equal(issuers_wake_at(&issuers).us, now.us + PATIENCE_MS * 1000);
    wait_ms(PATIENCE_MS - 1, NULL);
    assert_string_equal(forgotten(), "");
    wait_ms(1, NULL);
    assert_string_equal(forgotten(), "d");
    assert_false(up("d"));
    assert_int_equal(issuers_wake_at(&issuers).us, INSTANT_NEVER.us);
}

static void who_is_back_in_time_is_not_forgotten(void **state)
{
    (void)state;
    tell("abc", 7, NULL);
    tell("abcd", 8, NULL);
    wait_ms(2 * PATIENCE_MS, NULL);
    assert_string_equal(forgotten(), "");
    assert_true(knows("d"));
}

static void who_leaves_again_has_its_time_again(void **state)
{
    (void)state;
    tell("abc", 7, NULL);
    tell("abcd", 8, NULL);
    wait_ms(PATIENCE_MS - 1, NULL);
    tell("abc", 9, NULL);
    wait_ms(1, NULL);
    assert_string_equal(forgotten(), "");
    wait_ms(PATIENCE_MS, NULL);
    assert_string_equal(forgotten(), "d");
}

/* Its removal may be taken back, or its log be the only one that can win. */
static void who_was_removed_is_not_hung_up_on_while_the_log_knows_it(void **state)
{
    (void)state;
    follow(log_of("abcd", "abc"));
    assert_false(knows("d"));
    wait_ms(PATIENCE_MS, &raft);
    assert_string_equal(forgotten(), "");
    wait_ms(PATIENCE_MS, &raft);
    assert_string_equal(forgotten(), "");
    wait_ms(PATIENCE_MS, log_of("abc", NULL));
    assert_string_equal(forgotten(), "d");
}

/* Both its roles are in one process: there is no link to end, and none that comes up again. */
static void nobody_hangs_up_on_itself(void **state)
{
    (void)state;
    tell("bcd", 5, NULL);
    assert_string_equal(forgotten(), "");
    wait_ms(PATIENCE_MS, NULL);
    assert_string_equal(forgotten(), "");
}

static void more_leave_than_there_is_room_for(void **state)
{
    (void)state;
    static const char *const lists[] = { "abcd", "aefg", "ahij", "aklm" };
    for (uint64_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        tell(lists[i], i + 1, NULL);
    assert_string_equal(forgotten(), "ij"); /* the first seven have their time */
    wait_ms(PATIENCE_MS, NULL);
    assert_string_equal(forgotten(), "bcdefgh");
}

/* ---- links */

static void link_of_an_issuer_outlives_a_change_of_the_others(void **state)
{
    (void)state;
    const struct hf_name b = name("b");
    assert_true(up("b"));
    struct instant since = now;
    tell("abc", 7, NULL);
    now.us += 1000;
    const struct issuers_peer *peer = issuers_find(&issuers, &b);
    assert_true(peer->up);
    assert_int_equal(peer->since.us, since.us);
    assert_int_equal(peer->config_digest, 77);
    assert_true(down("b"));
    assert_false(issuers_find(&issuers, &b)->up);
    assert_int_equal(issuers_find(&issuers, &b)->since.us, now.us);
}

static void link_of_a_board_is_none_of_an_issuer(void **state)
{
    (void)state;
    assert_false(up("x"));
    assert_false(down("x"));
}

/* ---- whom to hear */

static void strangers_are_not_heard(void **state)
{
    (void)state;
    assert_false(hears(NULL, "x"));
    assert_false(hears(log_of("abc", NULL), "x"));
}

static void one_that_the_log_knows_is_heard(void **state)
{
    (void)state;
    follow(log_of("abce", "abc"));
    assert_false(knows("e"));
    assert_true(hears(&raft, "e"));
    assert_false(hears(NULL, "e"));
}

/*
 * d was removed, which lies below this issuer's log by now, and was added again, which it missed.
 * With d alone it may have to elect; nobody but the operator's file says that d may speak.
 */
static void one_of_the_file_is_heard_though_the_log_has_forgotten_it(void **state)
{
    (void)state;
    const struct hf_name d = name("d");
    follow(log_of("abc", NULL));
    wait_ms(PATIENCE_MS, &raft);
    assert_string_equal(forgotten(), "d");
    assert_false(knows("d"));
    assert_false(raft_hears(&raft, &d));
    assert_true(hears(&raft, "d"));
}

/* ---- nobody leads */

static void look(void)
{
    issuers_look(&issuers, &raft, &change);
}

static void those_of_the_file_are_dialled_for_as_long_as_nobody_leads(void **state)
{
    (void)state;
    follow(log_of("abc", NULL));
    wait_ms(PATIENCE_MS, &raft);
    look();
    assert_string_equal(dialled(), ""); /* an election may be under way */
    look();
    assert_string_equal(dialled(), "d");
    assert_string_equal(change.dial[0].address, "10.0.0.4:7400");
    look();
    assert_string_equal(dialled(), "d");
    raft.leader = name("b");
    look();
    assert_string_equal(dialled(), "");
    assert_string_equal(forgotten(), "d");
    assert_false(change.differs);
}

/* Nobody dials one that is no issuer; its board needs them all the same. */
static void who_is_no_member_dials_all_members(void **state)
{
    (void)state;
    tell("bcd", 7, NULL);
    assert_true(change.dial_all);
    assert_string_equal(dialled(), "bcd");
    wait_ms(PATIENCE_MS, NULL);
    assert_true(change.dial_all);
    tell("abcd", 8, NULL);
    assert_false(change.dial_all);
}

static void one_that_is_leaving_is_not_looked_for(void **state)
{
    (void)state;
    follow(log_of("abc", NULL));
    look();
    look();
    assert_string_equal(dialled(), "");
    raft.leader = name("b");
    look();
    assert_string_equal(forgotten(), "");
}

static void board_looks_for_nobody(void **state)
{
    (void)state;
    tell("bc", 7, NULL);
    wait_ms(PATIENCE_MS, NULL);
    for (int i = 0; i < 3; i++) {
        issuers_look(&issuers, NULL, &change);
        assert_int_equal(change.dial_count + change.forget_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(at_first_the_file_counts, set_up),
        cmocka_unit_test_setup(the_own_log_counts_more_than_the_file, set_up),
        cmocka_unit_test_setup(what_an_issuer_tells_counts_if_it_is_newer_than_the_own_log, set_up),
        cmocka_unit_test_setup(board_goes_by_what_it_is_told, set_up),
        cmocka_unit_test_setup(member_without_an_address_has_that_of_the_file, set_up),
        cmocka_unit_test_setup(address_that_the_file_has_otherwise_is_told, set_up),
        cmocka_unit_test_setup(who_was_removed_keeps_its_link_for_an_election_timeout, set_up),
        cmocka_unit_test_setup(who_is_back_in_time_is_not_forgotten, set_up),
        cmocka_unit_test_setup(who_leaves_again_has_its_time_again, set_up),
        cmocka_unit_test_setup(who_was_removed_is_not_hung_up_on_while_the_log_knows_it, set_up),
        cmocka_unit_test_setup(nobody_hangs_up_on_itself, set_up),
        cmocka_unit_test_setup(more_leave_than_there_is_room_for, set_up),
        cmocka_unit_test_setup(link_of_an_issuer_outlives_a_change_of_the_others, set_up),
        cmocka_unit_test_setup(link_of_a_board_is_none_of_an_issuer, set_up),
        cmocka_unit_test_setup(strangers_are_not_heard, set_up),
        cmocka_unit_test_setup(one_that_the_log_knows_is_heard, set_up),
        cmocka_unit_test_setup(one_of_the_file_is_heard_though_the_log_has_forgotten_it, set_up),
        cmocka_unit_test_setup(those_of_the_file_are_dialled_for_as_long_as_nobody_leads, set_up),
        cmocka_unit_test_setup(who_is_no_member_dials_all_members, set_up),
        cmocka_unit_test_setup(one_that_is_leaving_is_not_looked_for, set_up),
        cmocka_unit_test_setup(board_looks_for_nobody, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
