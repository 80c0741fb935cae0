/* What log and console say of an issuer without a memory: whom it waits for, and the way out. */
#include "issuer/recovery.h"

#include "backup/making.h"
#include "tests/unit/support/log_capture.h"
#include "tests/unit/support/unit.h"

enum { MS = 1000 };

static struct raft raft;
static struct recovery_watch watch;
static struct instant now;
static const char *up; /* the only one that is connected; NULL: nobody */

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static bool is_up(void *context, const struct hf_name *id)
{
    assert_ptr_equal(context, &raft);
    return up != NULL && strcmp(id->text, up) == 0;
}

static const struct recovery_links links = { is_up, &raft };

static void begin(enum raft_standing standing, uint8_t issuers)
{
    static const char *const ids[] = { "i1", "i2", "i3", "i4", "i5" };
    memset(&raft, 0, sizeof(raft));
    memset(&watch, 0, sizeof(watch));
    raft.config.self = name("i1");
    raft.members.count = issuers;
    for (uint8_t i = 0; i < issuers; i++) {
        raft.members.member[i].id = name(ids[i]);
        raft.members.member[i].voter = true;
    }
    raft.base = raft.snapshot_members = raft.members;
    raft.recovery.standing = standing;
    watch.standing = standing;
    now = (struct instant){ 1000000 };
    up = NULL;
    log_forget();
}

static struct raft_answer *answer_of(uint8_t place, const char *id)
{
    struct raft_answer *answer = &raft.recovery.answer[place];
    answer->id = name(id);
    answer->answered = true;
    return answer;
}

/* It said itself that it has no memory. */
static void forgets(uint8_t place, const char *id)
{
    answer_of(place, id)->life = 7;
}

static const char *describe(void)
{
    static char text[RECOVERY_TEXT_MAX];
    recovery_describe(&raft, &links, text, sizeof(text));
    return text;
}

static void look(void)
{
    recovery_watch(&watch, &raft, &links, now);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* ---- whom it waits for */

static void issuer_with_a_memory_waits_for_nobody(void **state)
{
    (void)state;
    begin(RAFT_WHOLE, 3);
    assert_string_equal(describe(), "");
}

static void those_who_have_not_answered_are_named(void **state)
{
    (void)state;
    begin(RAFT_RECOVERING, 3);
    assert_string_equal(describe(), "waits for i2, i3");
    answer_of(0, "i2")->whole = true;
    assert_string_equal(describe(), "waits for i3");
    answer_of(1, "i3")->whole = true;
    assert_string_equal(describe(), "waits for a leader's log");
}

static void lone_issuer_is_told_that_there_is_nobody(void **state)
{
    (void)state;
    begin(RAFT_RECOVERING, 1);
    assert_string_equal(describe(), "has no memory and nobody to recover from: --init, --restore, "
                                    "or list the other issuers");
}

/* ---- where waiting does not help */

static void way_out_is_told_once_too_few_have_a_memory_and_not_before(void **state)
{
    (void)state;
    begin(RAFT_RECOVERING, 5);
    raft.term = 9;
    forgets(0, "i2");
    assert_string_equal(describe(), "waits for i2 (up, but has no memory), i3, i4, i5");
    forgets(1, "i3");
    assert_true(ends_with(describe(), "; too few issuers have a memory, as a majority has lost "
                                      "its journal: --restore, see holdfastd(8)"));
}

static void new_cluster_is_told_of_init(void **state)
{
    (void)state;
    begin(RAFT_RECOVERING, 3);
    forgets(0, "i2");
    assert_true(ends_with(describe(), "if the cluster is new: --init here and on each that was "
                                      "not begun; if it is lost: --restore, see holdfastd(8)"));
    answer_of(1, "i3")->whole = true;
    assert_true(ends_with(describe(), "as a majority has lost its journal: --restore, see "
                                      "holdfastd(8)"));
}

/* Of one that was begun, only who is connected and silent has no memory. */
static void unsure_issuer_takes_whom_it_is_connected_with_for_forgetful(void **state)
{
    (void)state;
    begin(RAFT_UNSURE, 3);
    assert_string_equal(describe(), "waits for i2, i3");
    up = "i3";
    assert_string_equal(describe(),
                        "waits for i2, i3 (up, but has no memory); if the cluster is new: stop "
                        "that one and begin it by --init; if not: see holdfastd(8)");
    static char text[RECOVERY_TEXT_MAX];
    recovery_describe(&raft, NULL, text, sizeof(text));
    assert_string_equal(text, "waits for i2, i3");
}

static void of_two_that_were_begun_apart_the_lower_one_is_to_be_begun_again(void **state)
{
    (void)state;
    begin(RAFT_UNSURE, 3);
    raft.last_index = 500 + MAKING_JUMP;
    answer_of(0, "i2")->apart = 900 + MAKING_JUMP;
    assert_string_equal(describe(), "begun by --init --above 500, but i2 by --init --above 900: "
                                    "stop i1 and begin it again with --init --above 900 --force");
    raft.last_index = 1000 + MAKING_JUMP;
    assert_string_equal(describe(), "begun by --init --above 1000, but i2 by --init --above 900: "
                                    "stop i2 and begin it again with --init --above 1000 --force");
    raft.last_index = 1;
    assert_string_equal(describe(), "begun by --init without --above, but i2 by --init --above "
                                    "900: stop i1 and begin it again with --init --above 900 "
                                    "--force");
    raft.recovery.answer[0].apart = 40;
    assert_string_equal(describe(), "begun by --init without --above, but i2 at entry 40: stop i1 "
                                    "and begin it again with the other's --init --above N --force");
}

/* ---- in the log */

static void whom_it_waits_for_is_told_once_if_that_takes_long(void **state)
{
    (void)state;
    begin(RAFT_RECOVERING, 3);
    for (int i = 0; i < 19; i++, now.us += 100 * MS)
        look();
    assert_int_equal(logged, 0);
    for (int i = 0; i < 50; i++, now.us += 100 * MS)
        look();
    assert_int_equal(logged, 1);
    assert_string_equal(logged_line, "recovery: recovering: waits for i2, i3");
    answer_of(0, "i2")->whole = true;
    look();
    assert_int_equal(logged, 1);
    now.us += 2000 * MS;
    look();
    look();
    assert_int_equal(logged, 2);
    assert_string_equal(logged_line, "recovery: recovering: waits for i3");
}

static void change_of_standing_is_told_once_with_its_cause(void **state)
{
    (void)state;
    begin(RAFT_UNSURE, 3);
    raft.recovery.standing = RAFT_RECOVERING;
    look();
    look();
    assert_int_equal(logged, 1);
    assert_non_null(strstr(logged_line, "begun by --init, but the cluster has a history"));
    raft.recovery.standing = RAFT_WHOLE;
    raft.term = 12;
    look();
    look();
    assert_int_equal(logged, 2);
    assert_non_null(strstr(logged_line, "recovery: done in term 12 at entry"));
    begin(RAFT_UNSURE, 3);
    raft.recovery.standing = RAFT_WHOLE;
    look();
    assert_non_null(strstr(logged_line, "none is needed, the cluster is new"));
}

/* Its card was put back: that is an alert, and names who knows better. */
static void loss_is_told_with_who_found_it_out(void **state)
{
    (void)state;
    begin(RAFT_WHOLE, 3);
    raft.recovery.standing = RAFT_RECOVERING;
    raft.recovery.loss = (struct raft_loss){
        .told_by = name("i3"), .term = 8, .match = 70, .has_term = 5, .has_last = 20
    };
    look();
    assert_int_equal(logged, 1);
    assert_int_equal(logged_level, LOG_ALERT);
    assert_non_null(strstr(logged_line, "it acknowledged entry 70 in term 8 to i3, and came back "
                                        "with entry 20 in term 5"));
}

static void peer_that_forgot_is_told_of_and_nobody_is_not(void **state)
{
    (void)state;
    const struct hf_name nobody = { "" };
    const struct hf_name peer = name("i2");
    begin(RAFT_WHOLE, 3);
    recovery_tell_forgetful(&nobody);
    assert_int_equal(logged, 0);
    recovery_tell_forgetful(&peer);
    assert_int_equal(logged, 1);
    assert_non_null(strstr(logged_line, "recovery: i2 has lost its memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issuer_with_a_memory_waits_for_nobody),
        cmocka_unit_test(those_who_have_not_answered_are_named),
        cmocka_unit_test(lone_issuer_is_told_that_there_is_nobody),
        cmocka_unit_test(way_out_is_told_once_too_few_have_a_memory_and_not_before),
        cmocka_unit_test(new_cluster_is_told_of_init),
        cmocka_unit_test(unsure_issuer_takes_whom_it_is_connected_with_for_forgetful),
        cmocka_unit_test(of_two_that_were_begun_apart_the_lower_one_is_to_be_begun_again),
        cmocka_unit_test(whom_it_waits_for_is_told_once_if_that_takes_long),
        cmocka_unit_test(change_of_standing_is_told_once_with_its_cause),
        cmocka_unit_test(loss_is_told_with_who_found_it_out),
        cmocka_unit_test(peer_that_forgot_is_told_of_and_nobody_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
