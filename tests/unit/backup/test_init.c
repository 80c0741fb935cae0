/*
 * The beginning: one act on each issuer, the same everywhere, and refused where a journal is. Every
 * refusal leaves the directory as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/init.h"
#include "backup/making.h"
#include "lease/replica.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

static char folder[64];
static char told[4096];
static char wrong[4096];
static struct conf conf;
static struct init request;
static struct making making;
static struct journal_recovered found;
static struct lease_table table;

static struct hf_name name(const char *from)
{
    struct hf_name result;
    assert_true(name_from_string(&result, from));
    return result;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/holdfast-init-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    memset(&conf, 0, sizeof(conf));
    conf.node_id = name("issuer-1");
    conf.cluster_name = name("line-3");
    conf.issuer_role = true;
    conf.issuer_count = 3;
    for (int i = 0; i < 3; i++) {
        const char id[] = { 'i', 's', 's', 'u', 'e', 'r', '-', (char)('1' + i), '\0' };
        conf.issuer[i].id = name(id);
        snprintf(conf.issuer[i].address, sizeof(conf.issuer[i].address), "127.0.0.%d:7400", i + 1);
    }
    snprintf(conf.file, sizeof(conf.file), "board.conf");
    snprintf(conf.data_dir, sizeof(conf.data_dir), "%s", folder);
    request = (struct init){ .conf = &conf };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char aside[96];
    for (int i = 1; i <= 3; i++) {
        snprintf(aside, sizeof(aside), "%s/before-init-%d", folder, i);
        if (access(aside, F_OK) == 0)
            folder_remove(aside);
    }
    folder_remove(folder);
    return 0;
}

static bool run(void)
{
    memset(told, 0, sizeof(told));
    memset(wrong, 0, sizeof(wrong));
    request.out = fmemopen(told, sizeof(told), "w");
    request.errors = fmemopen(wrong, sizeof(wrong), "w");
    bool done = init_run(&request);
    fclose(request.out);
    fclose(request.errors);
    return done;
}

/* Opens the journal as the daemon would; `content`: and appends this. */
static void look(const struct raft_persist *content)
{
    const struct journal_log none = { NULL, NULL };
    memset(&making, 0, sizeof(making));
    assert_true(making_init(&making, "test", &conf, stderr));
    assert_true(making_lock(&making));
    assert_int_equal(making_read(&making, &making.files, &found), JOURNAL_OK);
    if (found.raft.snapshot_index > 0)
        assert_true(lease_table_decode(&table, found.raft.snapshot));
    if (content) {
        assert_int_equal(journal_append(&making.journal, content, &none), JOURNAL_OK);
        assert_true(journal_take(&making.journal));
        assert_int_equal(journal_flush(&making.journal), JOURNAL_OK);
    }
    making_close(&making);
}

static void expect_refusal(const char *words)
{
    assert_false(run());
    assert_string_equal(told, "");
    if (!strstr(wrong, words))
        fail_msg("'%s' does not say '%s'", wrong, words);
    assert_ptr_equal(strchr(wrong, '\n'), wrong + strlen(wrong) - 1); /* one line */
}

static void it_makes_a_journal_that_says_new(void **state)
{
    (void)state;
    assert_true(run());
    assert_string_equal(wrong, "");
    assert_non_null(strstr(told, "begun: issuer-1, an issuer of the new cluster 'line-3'"));
    assert_non_null(strstr(told, "the first start waits until all are there"));
    look(NULL);
    assert_false(found.fresh);
    assert_int_equal(found.raft.standing, RAFT_UNSURE);
    assert_int_equal(found.raft.term, 1);
    assert_true(name_empty(&found.raft.vote));
    assert_int_equal(found.raft.snapshot_index, 1);
    assert_int_equal(found.raft.snapshot_term, 1);
    assert_int_equal(found.raft.entry_count, 0);
    assert_int_equal(found.raft.members.count, 3);
    assert_true(found.raft.members.member[2].voter);
    assert_string_equal(found.raft.members.member[2].address, "127.0.0.3:7400");
    assert_true(table.unknown_us > 0 && table.begun == 1 && table.count == 0);
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
    look(&vote);
    look(NULL);
    assert_int_equal(found.raft.standing, RAFT_WHOLE);
    assert_int_equal(found.raft.term, 2);
    assert_int_equal(found.raft.snapshot_index, 1);
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
    look(&recovers);
    look(NULL);
    assert_int_equal(found.raft.standing, RAFT_RECOVERING);
    expect_refusal(", recovering): start it, it needs no --init");
}

static void s2_with_a_number_every_token_is_above_it(void **state)
{
    (void)state;
    request.has_above = true;
    request.above = 12;
    assert_true(run());
    assert_non_null(strstr(told, "with the same number"));
    look(NULL);
    assert_true(found.raft.snapshot_index > 12);
    assert_int_equal(found.raft.snapshot_index, 12 + MAKING_JUMP);
    assert_int_equal(found.raft.term, found.raft.snapshot_index);
    assert_int_equal(table.begun, found.raft.snapshot_index);
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
    look(NULL);
    assert_int_equal(found.raft.standing, RAFT_UNSURE);
}

static void where_a_journal_is_it_refuses_and_names_the_other_acts(void **state)
{
    (void)state;
    assert_true(run());
    const struct raft_persist vote = {
        .wanted = true, .seq = 1, .hard_state = true, .term = 7, .first_index = 1
    };
    look(&vote);
    expect_refusal("has a journal (entry 1 of term 7): start it, it needs no --init");
    assert_non_null(strstr(wrong, "holdfastd -c board.conf --restore BACKUP --force"));
    assert_non_null(strstr(wrong, "holdfastd -c board.conf --init --above N --force"));
    look(NULL);
    assert_int_equal(found.raft.term, 7);
}

static void s2_force_needs_a_number_above_what_the_journal_shows_and_keeps_it(void **state)
{
    (void)state;
    char kept[128];
    assert_true(run());
    const struct raft_persist vote = {
        .wanted = true, .seq = 1, .hard_state = true, .term = 7, .first_index = 1
    };
    look(&vote);
    request.force = true;
    expect_refusal("shows 7: say --above N");
    request.has_above = true;
    request.above = 6;
    expect_refusal("must be at least 7, shown by the journal that is there");
    request.above = 12;
    assert_true(run());
    look(NULL);
    assert_int_equal(found.raft.standing, RAFT_UNSURE);
    assert_int_equal(found.raft.snapshot_index, 12 + MAKING_JUMP);
    snprintf(kept, sizeof(kept), "%s/before-init-1/journal.0", folder);
    assert_int_equal(access(kept, F_OK), 0);
    /* As it was begun, it may be begun again above any number. */
    request.above = 30;
    assert_true(run());
    look(NULL);
    assert_int_equal(found.raft.snapshot_index, 30 + MAKING_JUMP);
}

/* Started too soon: it wrote down that it waits, and knows of nothing. */
static void an_issuer_that_waits_for_a_memory_and_heard_of_none_may_be_begun(void **state)
{
    (void)state;
    struct raft_persist waits = {
        .wanted = true, .seq = 1, .hard_state = true, .recovering = true, .first_index = 1
    };
    look(&waits);
    assert_true(run());
    look(NULL);
    assert_int_equal(found.raft.standing, RAFT_UNSURE);
    assert_int_equal(found.raft.snapshot_index, 1);
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
    look(&waits);
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
        conf.node_id = name("issuer-2");
        expect_refusal("belongs to node 'issuer-1', this is 'issuer-2': node.id");
        assert_null(strstr(wrong, "start it"));
        conf.node_id = name("issuer-1");
        conf.cluster_name = name("line-4");
        expect_refusal("belongs to cluster 'line-3', this is 'line-4': node.id");
        assert_null(strstr(wrong, "start it"));
        conf.cluster_name = name("line-3");
    }
    look(NULL);
    assert_int_equal(found.raft.snapshot_index, 1);
}

static void remains_of_a_state_ask_for_a_number(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/journal.0.damaged", folder);
    FILE *file = fopen(path, "w");
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
    conf.issuer_role = false;
    expect_refusal("issuer-1 is no issuer: only issuers keep a journal");
    conf.issuer_role = true;
}

static void the_daemons_lock_is_respected(void **state)
{
    (void)state;
    struct disk_file other;
    char error[200];
    assert_int_equal(disk_file_open(&other, folder, error, sizeof(error)), 0);
    expect_refusal("held by another process, one daemon may use it: stop holdfastd first");
    disk_file_close(&other);
}

static void what_an_interrupted_one_left_is_no_hindrance(void **state)
{
    (void)state;
    char made[96];
    char path[128];
    snprintf(made, sizeof(made), "%s/init.new", folder);
    snprintf(path, sizeof(path), "%s/journal.0", made);
    assert_int_equal(mkdir(made, 0700), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("torn", file);
    fclose(file);
    assert_true(run());
    look(NULL);
    assert_int_equal(found.raft.standing, RAFT_UNSURE);
    assert_int_not_equal(access(made, F_OK), 0);
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
