/*
 * The beginning: one act on each issuer, the same everywhere, and refused where a journal is. Every
 * refusal leaves the directory as it was.
 */
#include "backup/init.h"
#include "tests/unit/backup/rig.h"

static struct init request;

static int set_up(void **state)
{
    (void)state;
    if (!rig_make())
        return -1;
    request = (struct init){ .conf = &rig_conf, .platform = rig_platform };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_remove();
    return 0;
}

static bool act(FILE *out, FILE *errors)
{
    request.out = out;
    request.errors = errors;
    return init_run(&request);
}

static bool run(void)
{
    return rig_act(act);
}

static void expect_refusal(const char *words)
{
    rig_assert_refuses(act, words);
    assert_string_equal(rig_told, "");
}

static void it_makes_a_journal_that_says_new(void **state)
{
    (void)state;
    assert_true(run());
    assert_string_equal(rig_wrong, "");
    assert_non_null(strstr(rig_told, "begun: issuer-1, an issuer of the new cluster 'line-3'"));
    assert_non_null(strstr(rig_told, "the first start waits until all are there"));
    rig_look();
    assert_false(rig_found.fresh);
    assert_int_equal(rig_found.raft.standing, RAFT_UNSURE);
    assert_int_equal(rig_found.raft.term, 1);
    assert_true(name_empty(&rig_found.raft.vote));
    assert_int_equal(rig_found.raft.snapshot_index, 1);
    assert_int_equal(rig_found.raft.snapshot_term, 1);
    assert_int_equal(rig_found.raft.entry_count, 0);
    assert_int_equal(rig_found.raft.members.count, 3);
    assert_true(rig_found.raft.members.member[2].voter);
    assert_string_equal(rig_found.raft.members.member[2].address, "127.0.0.3:7400");
    assert_true(rig_table.unknown_us > 0 && rig_table.begun == 1 && rig_table.count == 0);
}

static void the_mark_is_gone_with_the_next_hard_state(void **state)
{
    (void)state;
    assert_true(run());
    const struct raft_persist vote = { .wanted = true,
                                       .seq = 1,
                                       .hard_state = true,
                                       .term = 2,
                                       .vote = name("issuer-2"),
                                       .first_index = 1 };
    rig_append(&vote);
    rig_look();
    assert_int_equal(rig_found.raft.standing, RAFT_WHOLE);
    assert_int_equal(rig_found.raft.term, 2);
    assert_int_equal(rig_found.raft.snapshot_index, 1);
}

static void what_recovers_after_all_is_remembered_as_such(void **state)
{
    (void)state;
    assert_true(run());
    const struct raft_persist recovers = { .wanted = true,
                                           .seq = 1,
                                           .hard_state = true,
                                           .term = 1,
                                           .recovering = true,
                                           .first_index = 1 };
    rig_append(&recovers);
    rig_look();
    assert_int_equal(rig_found.raft.standing, RAFT_RECOVERING);
    expect_refusal(", recovering): start it, it needs no --init");
}

static void s2_with_a_number_every_token_is_above_it(void **state)
{
    (void)state;
    request.has_above = true;
    request.above = 12;
    assert_true(run());
    assert_non_null(strstr(rig_told, "with the same number"));
    rig_look();
    assert_true(rig_found.raft.snapshot_index > 12);
    assert_int_equal(rig_found.raft.snapshot_index, 12 + MAKING_JUMP);
    assert_int_equal(rig_found.raft.term, rig_found.raft.snapshot_index);
    assert_int_equal(rig_table.begun, rig_found.raft.snapshot_index);
    request.above = MAKING_ABOVE_MAX + 1;
    expect_refusal("must be 1 to 9007190664806400");
    request.above = 0;
    expect_refusal("--above 0: must be 1 to 9007190664806400");
}

static void the_second_time_it_refuses(void **state)
{
    (void)state;
    assert_true(run());
    expect_refusal("was begun already, at entry 1: start it");
    rig_look();
    assert_int_equal(rig_found.raft.standing, RAFT_UNSURE);
}

static void where_a_journal_is_it_refuses_and_names_the_other_acts(void **state)
{
    (void)state;
    assert_true(run());
    const struct raft_persist vote = {
        .wanted = true, .seq = 1, .hard_state = true, .term = 7, .first_index = 1
    };
    rig_append(&vote);
    expect_refusal("has a journal (entry 1 of term 7): start it, it needs no --init");
    assert_non_null(strstr(rig_wrong, "holdfastd -c board.conf --restore BACKUP --force"));
    assert_non_null(strstr(rig_wrong, "holdfastd -c board.conf --init --above N --force"));
    rig_look();
    assert_int_equal(rig_found.raft.term, 7);
}

static void s2_force_needs_a_number_above_what_the_journal_shows_and_keeps_it(void **state)
{
    (void)state;
    assert_true(run());
    const struct raft_persist vote = {
        .wanted = true, .seq = 1, .hard_state = true, .term = 7, .first_index = 1
    };
    rig_append(&vote);
    request.force = true;
    expect_refusal("shows 7: say --above N");
    request.has_above = true;
    request.above = 6;
    expect_refusal("must be at least 7, shown by the journal that is there");
    request.above = 12;
    assert_true(run());
    rig_look();
    assert_int_equal(rig_found.raft.standing, RAFT_UNSURE);
    assert_int_equal(rig_found.raft.snapshot_index, 12 + MAKING_JUMP);
    assert_int_equal(access(rig_path("before-init-1/journal.0"), F_OK), 0);
    /* As it was begun, it may be begun again above any number. */
    request.above = 30;
    assert_true(run());
    rig_look();
    assert_int_equal(rig_found.raft.snapshot_index, 30 + MAKING_JUMP);
}

/* Started too soon: it wrote down that it waits, and knows of nothing. */
static void an_issuer_that_waits_for_a_memory_and_heard_of_none_may_be_begun(void **state)
{
    (void)state;
    struct raft_persist waits = {
        .wanted = true, .seq = 1, .hard_state = true, .recovering = true, .first_index = 1
    };
    rig_append(&waits);
    assert_true(run());
    rig_look();
    assert_int_equal(rig_found.raft.standing, RAFT_UNSURE);
    assert_int_equal(rig_found.raft.snapshot_index, 1);
}

static void one_that_heard_of_a_term_may_not(void **state)
{
    (void)state;
    struct raft_persist waits = { .wanted = true,
                                  .seq = 1,
                                  .hard_state = true,
                                  .recovering = true,
                                  .term = 4,
                                  .first_index = 1 };
    rig_append(&waits);
    expect_refusal("(entry 0 of term 4, recovering): start it");
}

/* A wrong file, or the card of another issuer: to start it would help nobody. */
static void a_journal_of_another_node_or_cluster_is_left_alone_and_named(void **state)
{
    (void)state;
    assert_true(run());
    for (int forced = 0; forced < 2; forced++) {
        request.force = request.has_above = forced == 1;
        request.above = 12;
        rig_conf.node_id = name("issuer-2");
        expect_refusal("belongs to node 'issuer-1', this is 'issuer-2': node.id");
        assert_null(strstr(rig_wrong, "start it"));
        rig_conf.node_id = name("issuer-1");
        rig_conf.cluster_name = name("line-4");
        expect_refusal("belongs to cluster 'line-3', this is 'line-4': node.id");
        assert_null(strstr(rig_wrong, "start it"));
        rig_conf.cluster_name = name("line-3");
    }
    rig_look();
    assert_int_equal(rig_found.raft.snapshot_index, 1);
}

static void remains_of_a_state_ask_for_a_number(void **state)
{
    (void)state;
    FILE *file = fopen(rig_path("journal.0.damaged"), "w");
    assert_non_null(file);
    fclose(file);
    expect_refusal("journal.0.damaged shows that an issuer had a state here");
    request.has_above = true;
    request.above = 9;
    assert_true(run());
}

static void who_is_no_issuer_begins_nothing(void **state)
{
    (void)state;
    rig_conf.issuer_role = false;
    expect_refusal("issuer-1 is no issuer: only issuers keep a journal");
    rig_conf.issuer_role = true;
}

static void the_daemons_lock_is_respected(void **state)
{
    (void)state;
    struct disk_file other;
    char error[200];
    assert_int_equal(
        disk_file_open(&other, &disk_platform_system, rig_conf.data_dir, error, sizeof(error)), 0);
    expect_refusal("held by another process, one daemon may use it: stop holdfastd first");
    disk_file_close(&other);
}

static void what_an_interrupted_one_left_is_no_hindrance(void **state)
{
    (void)state;
    assert_int_equal(mkdir(rig_path("init.new"), 0700), 0);
    FILE *file = fopen(rig_path("init.new/journal.0"), "w");
    assert_non_null(file);
    fputs("torn", file);
    fclose(file);
    assert_true(run());
    rig_look();
    assert_int_equal(rig_found.raft.standing, RAFT_UNSURE);
    assert_int_not_equal(access(rig_path("init.new"), F_OK), 0);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(it_makes_a_journal_that_says_new),
        CLAIM(the_mark_is_gone_with_the_next_hard_state),
        CLAIM(what_recovers_after_all_is_remembered_as_such),
        CLAIM(s2_with_a_number_every_token_is_above_it),
        CLAIM(the_second_time_it_refuses),
        CLAIM(where_a_journal_is_it_refuses_and_names_the_other_acts),
        CLAIM(s2_force_needs_a_number_above_what_the_journal_shows_and_keeps_it),
        CLAIM(an_issuer_that_waits_for_a_memory_and_heard_of_none_may_be_begun),
        CLAIM(one_that_heard_of_a_term_may_not),
        CLAIM(a_journal_of_another_node_or_cluster_is_left_alone_and_named),
        CLAIM(remains_of_a_state_ask_for_a_number),
        CLAIM(who_is_no_issuer_begins_nothing),
        CLAIM(the_daemons_lock_is_respected),
        CLAIM(what_an_interrupted_one_left_is_no_hindrance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
