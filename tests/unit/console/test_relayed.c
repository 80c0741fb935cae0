/*
 * What nodes ask each other for the operators at their consoles, over their link: both ends as they
 * are, and each end with the test as the other one.
 */
#include "tests/unit/console/site.h"

#include "console/call.h"
#include "console/relay.h"
#include "console/relayed.h"
#include "wire/wire.h"

/* ---- the test in the place of a node's console: what comes to it, and what it says */

static struct heard {
    unsigned queries;
    unsigned cancels;
    unsigned replies;
    unsigned last;  /* of them, ends of answers */
    uint32_t error; /* of the last one */
    size_t length;
    char text[SITE_TEXT_MAX]; /* of all replies */
    struct wire_query query;  /* the last one that is no cancel */
    uint64_t cancelled;
} heard;

static void hear_query(void *context, const struct hf_name *from, const struct wire_query *query)
{
    (void)context;
    (void)from;
    if (query->length == 0) {
        heard.cancels++;
        heard.cancelled = query->id;
        return;
    }
    heard.queries++;
    heard.query = *query;
}

static void hear_reply(void *context, const struct hf_name *from, const struct wire_query *reply)
{
    (void)context;
    (void)from;
    assert_true(heard.length + reply->length < sizeof(heard.text));
    memcpy(heard.text + heard.length, reply->text, reply->length);
    heard.length += reply->length;
    heard.text[heard.length] = '\0';
    heard.replies++;
    heard.last += reply->last;
    heard.error = reply->last ? reply->error : heard.error;
}

static void hear_down(void *context, const struct hf_name *peer)
{
    (void)context;
    (void)peer;
}

static void forget_heard(void)
{
    memset(&heard, 0, sizeof(heard));
}

static void take_place_of(enum site_of of)
{
    const struct node_events events = { .on_query = hear_query,
                                        .on_query_reply = hear_reply,
                                        .on_peer_down = hear_down };
    forget_heard();
    node_set_events(site.node[of].node, &events);
}

static struct wire_query question(uint64_t id, const char *text)
{
    struct wire_query query = { .id = id, .operator_role = true, .who = name("mallory") };
    query.length = (uint16_t)strlen(text);
    memcpy(query.text, text, query.length);
    return query;
}

static void say(enum site_of from, const struct wire_query *query)
{
    const struct hf_name to = site.node[from == BOARD ? ISSUER : BOARD].conf.node_id;
    assert_true(node_send_query(site.node[from].node, &to, false, query));
}

static bool is_answered(const void *context)
{
    (void)context;
    return heard.last > 0;
}

static const char *answer_to(enum site_of from, uint64_t id, const char *text)
{
    const struct wire_query query = question(id, text);
    forget_heard();
    say(from, &query);
    run_until(is_answered, NULL);
    return heard.text;
}

static bool query_has_come(const void *context)
{
    (void)context;
    return heard.queries > 0;
}

static bool cancel_has_come(const void *context)
{
    (void)context;
    return heard.cancels > 0;
}

static const struct console *issuer_console(void)
{
    return site.node[ISSUER].console;
}

static bool as_many_are_relayed(const void *count)
{
    return issuer_console()->relayed_count == *(const size_t *)count;
}

static void run_until_relayed(size_t count)
{
    run_until(as_many_are_relayed, &count);
}

static bool is_told_of_olgas_act(const void *client)
{
    return strstr(((const struct client *)client)->text, "by olga") != NULL;
}

/* ---- both ends */

static void what_is_asked_at_a_board_is_answered_by_the_leader(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    struct client *vera = client_open(BOARD, "vera", "viewer");
    for (int i = 0; i < 15; i++) {
        assert_has(ask(olga, "pin fan none"), "pinned");
        assert_has(ask(olga, "pin pump none"), "pinned");
    }
    const char *there = ask(olga, "history -n 30 --json");
    assert_true(strlen(there) > 2 * WIRE_TEXT_MAX); /* so its answer comes in pieces */
    assert_string_equal(ask(vera, "history -n 30 --json"), there);
    assert_has(ask(vera, "leases --json"), "{\"from\":\"i1\",\"leader\":true,");
    assert_has(ask(vera, "leases"), "from             i1\n");
    assert_int_equal(issuer_console()->relayed_count, 0);
}

static bool is_answered_by_the_leader(const void *context)
{
    return strstr(((const struct client *)context)->text, "from             i1\n") != NULL;
}

static void watch_at_a_board_runs_at_the_leader_until_anything_is_typed(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    struct client *vera = client_open(BOARD, "vera", "viewer");
    client_say(vera, "watch\n");
    run_until_relayed(1);
    assert_has(ask(olga, "pin pump none"), "pinned");
    run_until(is_told_of_olgas_act, vera);
    assert_has(vera->text, "operator pump holder - token 0 by olga");
    client_say(vera, "\n");
    run_until(client_has_prompt, vera);
    run_until_relayed(0);
    client_say(vera, "leases\n");
    run_until(is_answered_by_the_leader, vera); /* behind the prompt of the empty line, too */
}

static void board_that_goes_takes_its_questions_and_no_others_with_it(void **state)
{
    (void)state;
    const struct hf_name other = name("board-b");
    const struct wire_query watch = question(5, "watch");
    struct client *vera = client_open(BOARD, "vera", "viewer");
    client_say(vera, "watch\n");
    struct client *olga = client_open(ISSUER, "olga", "operator");
    relayed_query(site.node[ISSUER].console, &other, &watch);
    run_until_relayed(2);
    node_stop(site.node[BOARD].node); /* before its console could cancel anything */
    run_until_relayed(1);
    assert_has(ask(olga, "help"), "commands"); /* what else would go has gone by then */
    assert_int_equal(issuer_console()->relayed_count, 1);
}

static void who_asked_through_an_issuer_that_goes_is_told(void **state)
{
    (void)state;
    struct client *vera = client_open(BOARD, "vera", "viewer");
    struct client *olga = client_open(BOARD, "olga", "operator");
    client_say(vera, "watch\n");
    client_say(olga, "watch\n");
    run_until_relayed(2);
    stop(&site.node[ISSUER]);
    run_until(client_has_prompt, vera);
    run_until(client_has_prompt, olga);
    assert_has(vera->text, "ERR 503 the connection to i1 was lost\n");
    assert_has(olga->text, "ERR 503 the connection to i1 was lost\n");
    assert_has(ask(vera, "leases"), "ERR 503 ");
}

/* ---- a board that says what it likes */

static void board_vouches_for_no_operator(void **state)
{
    (void)state;
    take_place_of(BOARD);
    assert_has(answer_to(BOARD, 1, "pin pump none"), "ERR 403 board-a may not vouch for");
    assert_int_equal(heard.error, CALL_FORBIDDEN);
    assert_has(answer_to(BOARD, 3, "backup"), "ERR 403 board-a may not vouch for an operator here");
    assert_has(answer_to(BOARD, 5, "metrics"), "ERR 403 board-a may not vouch for an operator");
    assert_has(answer_to(BOARD, 7, "note fault-cleared fan"), "ERR 403 board-a may not vouch");
    assert_has(answer_to(BOARD, 11, "fault clear pump"), "ERR 403 board-a may not vouch for");
    assert_has(answer_to(BOARD, 13, "fault clear pump board-a"), "ERR 403 board-a may not vouch");
    assert_has(answer_to(BOARD, 15, "fault where pump"), "ERR 409 pump: no fault of it is latched");
    assert_has(answer_to(BOARD, 9, "note fault-cleared pump"), "done             noted\n");
    assert_int_equal(issuer_replica()->table.count, 0);
    const struct lease_table *table = &issuer_replica()->table;
    const struct history_event *event =
        &table->history[(table->history_total - 1) % HF_HISTORY_MAX];
    assert_string_equal(event->who.text, "mallory");
    assert_string_equal(event->via.text, "board-a");
    assert_true(event->unproven);
    assert_int_equal(log_lines("refused: board-a may not vouch for an operator"), 4);
}

static void question_that_is_no_line_is_refused(void **state)
{
    (void)state;
    char line[CONSOLE_LINE_MAX + 2];
    take_place_of(BOARD);
    memset(line, 'x', sizeof(line));
    line[CONSOLE_LINE_MAX] = '\0';
    assert_has(answer_to(BOARD, 1, line), "ERR 400 unknown command xxx");
    line[CONSOLE_LINE_MAX] = 'x';
    line[CONSOLE_LINE_MAX + 1] = '\0';
    assert_has(answer_to(BOARD, 3, line), "ERR 400 a command is at most 512 bytes long");
    assert_has(answer_to(BOARD, 5, "leases\nleases"), "ERR 400 a command is one line of text");
    assert_has(answer_to(BOARD, 7, "leases\r"), "ERR 400 a command is one line of text");
    assert_has(answer_to(BOARD, 9, "leases"), "from             i1\n");
}

static void one_node_has_so_many_questions_open_and_all_together_so_many(void **state)
{
    (void)state;
    struct console *console = site.node[ISSUER].console;
    static const char *const boards[] = { "board-b", "board-c", "board-d" };
    uint64_t id = 1;
    for (int i = 0; i < 3; i++) {
        const struct hf_name from = name(boards[i]);
        for (int k = 0; k < CONSOLE_RELAYED_NODE_MAX + 1; k++, id += 2) {
            const struct wire_query watch = question(id, "watch");
            relayed_query(console, &from, &watch);
        }
        size_t most = (size_t)(i + 1) * CONSOLE_RELAYED_NODE_MAX;
        assert_int_equal(console->relayed_count,
                         most < CONSOLE_RELAYED_MAX ? most : CONSOLE_RELAYED_MAX);
    }
}

static void question_that_is_said_again_is_cancelled_but_not_by_another_node(void **state)
{
    (void)state;
    struct console *console = site.node[ISSUER].console;
    const struct hf_name from = name("board-b");
    const struct hf_name other = name("board-c");
    const struct wire_query watch = question(7, "watch");
    const struct wire_query cancel = question(7, "");
    relayed_query(console, &from, &watch);
    assert_int_equal(console->relayed_count, 1);
    relayed_query(console, &other, &cancel);
    assert_int_equal(console->relayed_count, 1);
    relayed_query(console, &from, &cancel);
    assert_int_equal(console->relayed_count, 0);
    relayed_query(console, &from, &cancel);
    assert_int_equal(console->relayed_count, 0);
}

/* 512 KiB of answers at once, then 8 us a byte; each question costs 512 bytes at least. */
static void board_that_asks_on_and_on_is_told_to_wait_and_then_nothing(void **state)
{
    (void)state;
    struct console *console = site.node[ISSUER].console;
    const struct hf_name board = name("board-e");
    const struct hf_name issuer = name("i1");
    uint64_t id = 1;
    for (int i = 0; i < 2000; i++, id += 2) {
        const struct wire_query leases = question(id, "leases");
        relayed_query(console, &board, &leases);
    }
    const struct wire_query watch = question(id, "watch");
    relayed_query(console, &board, &watch);
    assert_int_equal(console->relayed_count, 0);
    relayed_query(console, &issuer, &watch); /* issuers ask for operators, at any time */
    assert_int_equal(console->relayed_count, 1);
    site_now.us += 2000000; /* 250,000 bytes: more than the debt that is kept */
    relayed_query(console, &board, &watch);
    assert_int_equal(console->relayed_count, 2);
}

static void answers_cost_what_they_have_in_bytes(void **state)
{
    (void)state;
    struct console *console = site.node[ISSUER].console;
    const struct hf_name board = name("board-f");
    struct client *olga = client_open(ISSUER, "olga", "operator");
    for (int i = 0; i < 40; i++)
        assert_has(ask(olga, i % 2 == 0 ? "pin pump none" : "unpin pump"), "done");
    size_t bytes = strlen(ask(olga, "history -n 40 --json"));
    uint64_t id = 1;
    for (size_t spent = 0; spent <= 520 * 1024; spent += bytes + 512, id += 2) {
        const struct wire_query history = question(id, "history -n 40 --json");
        relayed_query(console, &board, &history);
    }
    const struct wire_query watch = question(id, "watch");
    relayed_query(console, &board, &watch);
    assert_int_equal(console->relayed_count, 0);
}

/* ---- what a node asks, and whom it believes */

static void question_says_who_asks_and_how(void **state)
{
    (void)state;
    struct client *vera = client_open(BOARD, "vera", "viewer");
    take_place_of(ISSUER);
    client_say(vera, "history -n 3 --json\n");
    run_until(query_has_come, NULL);
    uint64_t first = heard.query.id;
    assert_string_equal(heard.query.who.text, "vera");
    assert_false(heard.query.operator_role);
    assert_true(heard.query.json);
    assert_int_equal(heard.query.length, strlen("history -n 3 --json"));
    assert_memory_equal(heard.query.text, "history -n 3 --json", heard.query.length);
    forget_heard();
    struct client *olga = client_open(BOARD, "olga", "operator");
    client_say(olga, "leases\n");
    run_until(query_has_come, NULL);
    assert_string_equal(heard.query.who.text, "olga");
    assert_true(heard.query.operator_role);
    assert_false(heard.query.json);
    assert_true(heard.query.id != first && first != 0);
}

static void answer_counts_from_whom_was_asked_and_is_whole_with_its_last_piece(void **state)
{
    (void)state;
    const struct console_view *view = &site.node[BOARD].console->view;
    const struct hf_name issuer = name("i1");
    const struct hf_name other = name("board-b");
    struct client *vera = client_open(BOARD, "vera", "viewer");
    take_place_of(ISSUER);
    client_say(vera, "leases\n");
    run_until(query_has_come, NULL);
    struct wire_query reply = question(heard.query.id, "one ");
    relay_answer(view, &other, &reply);
    relay_answer(view, &issuer, &reply);
    reply = question(heard.query.id + 2, "another's ");
    reply.last = true;
    relay_answer(view, &issuer, &reply);
    reply = question(heard.query.id, "two\n");
    reply.last = true;
    relay_answer(view, &issuer, &reply);
    relay_answer(view, &issuer, &reply);
    run_until(client_has_prompt, vera);
    assert_string_equal(vera->text, "one two\n" PROMPT);
}

static void who_does_not_answer_is_told_that_nobody_waits(void **state)
{
    (void)state;
    struct client *vera = client_open(BOARD, "vera", "viewer");
    take_place_of(ISSUER);
    client_say(vera, "leases\n");
    run_until(query_has_come, NULL);
    run_until(client_has_prompt, vera);
    assert_has(vera->text, "ERR 504 i1 did not answer within 5000 ms\n");
    run_until(cancel_has_come, NULL);
    assert_has(ask(vera, "help"), "commands"); /* another one would have come by then */
    assert_int_equal(heard.cancels, 1);
    assert_int_equal(heard.cancelled, heard.query.id);
}

/* It would go round between nodes of which none leads. */
static void what_was_passed_on_once_is_not_passed_on_again(void **state)
{
    (void)state;
    take_place_of(ISSUER);
    assert_has(answer_to(ISSUER, 1, "leases"), "ERR 503 board-a is not the leader any more");
    assert_int_equal(heard.queries, 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_asked_at_a_board_is_answered_by_the_leader),
        TEST(watch_at_a_board_runs_at_the_leader_until_anything_is_typed),
        TEST(board_that_goes_takes_its_questions_and_no_others_with_it),
        TEST(who_asked_through_an_issuer_that_goes_is_told),
        TEST(board_vouches_for_no_operator),
        TEST(question_that_is_no_line_is_refused),
        TEST(one_node_has_so_many_questions_open_and_all_together_so_many),
        TEST(question_that_is_said_again_is_cancelled_but_not_by_another_node),
        TEST(board_that_asks_on_and_on_is_told_to_wait_and_then_nothing),
        TEST(answers_cost_what_they_have_in_bytes),
        TEST(question_says_who_asks_and_how),
        TEST(answer_counts_from_whom_was_asked_and_is_whole_with_its_last_piece),
        TEST(who_does_not_answer_is_told_that_nobody_waits),
        TEST(what_was_passed_on_once_is_not_passed_on_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
