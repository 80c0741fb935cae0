/* Sessions of a console, over TLS: lines, seats, roles, HTTP, and the end. */
#include "tests/unit/console/site.h"

#include <malloc.h>

#include "console/seats.h"

static bool has_two_prompts(const void *context)
{
    const struct client *client = context;
    const char *first = strstr(client->text, PROMPT);
    return first != NULL && strstr(first + 1, PROMPT) != NULL;
}

/* ---- lines */

static void who_says_nothing_is_greeted_with_its_role(void **state)
{
    (void)state;
    struct client *olga = client_dial(ISSUER, "olga", "operator");
    struct client *vera = client_dial(BOARD, "vera", "viewer");
    run_until(client_has_prompt, olga);
    run_until(client_has_prompt, vera);
    assert_string_equal(olga->text, "holdfast i1 console, role operator\n" PROMPT);
    assert_string_equal(vera->text, "holdfast board-a console, role viewer\n" PROMPT);
}

static void lines_that_come_at_once_are_answered_one_after_another(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    client_say(olga, "pin pump none\nunpin pump\n");
    run_until(has_two_prompts, olga);
    const char *pinned = strstr(olga->text, "done             pinned\n");
    assert_non_null(pinned);
    assert_has(pinned, "done             unpinned\n");
    assert_has_not(olga->text, "ERR");
    assert_false(issuer_replica()->table.record[0].pinned);
}

static void line_may_end_as_in_a_terminal_and_may_be_empty(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "unpin pump\r"), "unpinned");
    assert_string_equal(ask(olga, " \t"), "");
    assert_string_equal(ask(olga, ""), "");
    assert_has(ask(olga, "help"), "operator");
}

static void line_of_512_bytes_is_taken_and_a_longer_one_ends_the_session(void **state)
{
    (void)state;
    char line[CONSOLE_LINE_MAX + 2];
    struct client *olga = client_open(ISSUER, "olga", "operator");
    memset(line, 'x', sizeof(line));
    line[CONSOLE_LINE_MAX] = '\0';
    assert_has(ask(olga, line), "ERR 400 unknown command xxx");
    line[CONSOLE_LINE_MAX] = 'x';
    line[CONSOLE_LINE_MAX + 1] = '\0';
    assert_string_equal(ask(olga, line), "ERR 400 a command is at most 512 bytes long\n");
    run_until(client_is_closed, olga);
}

/* Behind a line that is taken there may be more than a line has, and more than one read comes after it. */
static void what_is_behind_a_line_is_as_long_as_a_line_at_most(void **state)
{
    (void)state;
    char first[TLS_STREAM_PLAIN + 1];
    char more[TLS_STREAM_PLAIN + 1];
    struct client *olga = client_open(ISSUER, "olga", "operator");
    memset(first, 'a', sizeof(first));
    memset(more, 'a', sizeof(more));
    memcpy(first, "x\n", 2);
    first[TLS_STREAM_PLAIN] = more[TLS_STREAM_PLAIN] = '\0';
    client_say(olga, first);
    client_say(olga, more);
    run_until(client_is_closed, olga);
    assert_has(olga->text, "ERR 400 unknown command x");
    assert_has(olga->text, "ERR 400 a command is at most 512 bytes long\n");
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    assert_has(ask(vera, "help"), "commands");
}

static void line_that_is_no_text_ends_the_session(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_string_equal(ask(olga, "pin \x1b pump"), "ERR 400 a command is one line of text\n");
    run_until(client_is_closed, olga);
}

static void bad_lines_in_a_loop_do_not_fill_the_log(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct client *vera = client_open(ISSUER, "vera", "viewer");
        assert_string_equal(ask(vera, "\x01"), "ERR 400 a command is one line of text\n");
        run_until(client_is_closed, vera);
    }
    assert_int_equal(log_lines("refused: bad line: a command is one line of text"), 1);
    assert_int_equal(log_lines("a command is"), 1);
}

static void quit_ends_the_session(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_string_equal(ask(olga, "quit"), "");
    run_until(client_is_closed, olga);
}

/* ---- much at once */

enum { MANY = 1000, MANY_BYTES_MAX = 512 * 1024 };

static size_t used_bytes;

/* After a turn's events, and before what they closed is freed. */
static void note_use(uv_check_t *check)
{
    struct mallinfo2 info = mallinfo2();
    (void)check;
    if (info.uordblks + info.hblkhd > used_bytes)
        used_bytes = info.uordblks + info.hblkhd;
}

static void say_many(struct client *client)
{
    char line[128];
    for (int i = 0; i < MANY; i++) {
        snprintf(line, sizeof(line), "step-%d %060d\n", i, i);
        client_say(client, line);
    }
}

static bool has_answer_to_the_last(const void *context)
{
    char part[32];
    const struct client *client = context;
    snprintf(part, sizeof(part), "step-%d 0", MANY - 1);
    return client->closed || strstr(client->text, part) != NULL;
}

/* In the order in which it was asked. */
static void check_all_answers(const char *text)
{
    char part[48];
    for (int i = 0; i < MANY; i++) {
        snprintf(part, sizeof(part), "ERR 400 unknown command step-%d 0", i);
        text = strstr(text, part);
        assert_non_null(text);
    }
}

static void thousand_lines_at_once_cost_one_answer_and_a_turn_each(void **state)
{
    (void)state;
    uv_check_t check;
    size_t turns = 0;
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    say_many(vera);
    uv_check_init(&site.loop, &check);
    uv_check_start(&check, note_use);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    used_bytes = before;
    for (; !has_answer_to_the_last(vera) && turns < 100 * MANY; turns++)
        site_turn();
    uv_close((uv_handle_t *)&check, NULL);
    run_until(client_has_prompt, vera);
    assert_false(vera->closed);
    check_all_answers(vera->text);
    /* The loop runs timers twice in a turn of site_turn(). */
    assert_true(turns >= MANY / 2);
    assert_true(used_bytes - before < MANY_BYTES_MAX);
}

static size_t count_answers(const char *text)
{
    size_t count = 0;
    for (text = strstr(text, "ERR 400 "); text != NULL; text = strstr(text + 1, "ERR 400 "))
        count++;
    return count;
}

/* Sixteen cost a turn no more than one does, and an operator among them waits for none of theirs. */
static void all_sessions_together_cost_one_answer_a_turn(void **state)
{
    (void)state;
    enum { READERS = 10, LINES = 60 };
    struct client *reader[READERS];
    const struct console *console = site.node[ISSUER].console;
    for (int i = 0; i < READERS; i++)
        reader[i] = client_open(ISSUER, i % 2 == 0 ? "vera" : "viktor", "viewer");
    struct client *alice = client_open(ISSUER, "alice", "operator");
    for (int i = 0; i < LINES * READERS; i++)
        client_say(reader[i % READERS], "step\n");
    while (count_answers(reader[0]->text) < LINES / 4)
        site_turn();
    client_say(alice, "step\n");
    uint64_t asked = console->turns;
    uint64_t answered = 0;
    for (bool all = false; !all;) {
        uint64_t before = console->turns;
        size_t least = LINES;
        site_turn();
        /* The loop runs timers twice in a turn of site_turn(). */
        assert_true(console->turns - before <= 2);
        for (int i = 0; i < READERS; i++)
            least = count_answers(reader[i]->text) < least ? count_answers(reader[i]->text) : least;
        /* What is answered is on its way for a few turns. */
        for (int i = 0; i < READERS; i++)
            assert_true(count_answers(reader[i]->text) <= least + 4);
        if (answered == 0 && count_answers(alice->text) == 1)
            answered = console->turns;
        all = least == LINES;
    }
    assert_true(answered > 0 && answered - asked <= READERS);
}

/* Who says quit behind them hears all that was asked before. */
static void quit_waits_for_the_answers_before_it(void **state)
{
    (void)state;
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    for (int i = 0; i < 30; i++)
        client_say(vera, i % 2 == 0 ? "leases --consistency quorum\n" : "help\n");
    client_say(vera, "quit\nhelp\n");
    run_until(client_is_closed, vera);
    size_t prompts = 0;
    for (const char *at = vera->text; (at = strstr(at, PROMPT)) != NULL; at++)
        prompts++;
    assert_int_equal(prompts, 30);
    assert_has_not(vera->text, "ERR");
}

/* ---- watch */

static bool has_line(const void *context)
{
    return strchr(((const struct client *)context)->text, '\n') != NULL;
}

static void act_as_ole(void)
{
    const char *error = NULL;
    struct replica_act act;
    struct replica_event event = {
        .kind = REPLICA_PIN, .resource = name("pump"), .who = name("ole"), .text = "pin"
    };
    struct issuer_shell *shell = node_issuer(site.node[ISSUER].node);
    assert_int_equal(issuer_shell_operate(shell, &event, &act, &error), RAFT_ACCEPTED);
}

/* Acts until each of these clients, who said "watch", has been told of an act. */
static void run_until_watching(struct client *first, size_t count)
{
    uint64_t end_ms = uv_hrtime() / 1000000 + SITE_PATIENCE_MS;
    for (struct client *client = first; client < first + count; client++) {
        while (!has_line(client) && uv_hrtime() / 1000000 < end_ms) {
            act_as_ole();
            (void)site_run(has_line, client, SITE_TURN_MS);
        }
        assert_true(has_line(client));
    }
}

static bool is_told_of_olgas_act(const void *context)
{
    return strstr(((const struct client *)context)->text, "by olga") != NULL;
}

static bool is_helped(const void *context)
{
    return strstr(((const struct client *)context)->text, "commands") != NULL;
}

static void watch_tells_what_happens_until_anything_is_typed(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    client_say(vera, "watch --resource pump\n");
    run_until_watching(vera, 1);
    assert_has(ask(olga, "pin fan none"), "pinned");
    assert_has(ask(olga, "pin pump none"), "pinned");
    run_until(is_told_of_olgas_act, vera);
    assert_has(vera->text, "2026-01-01T00:00:00.123Z operator pump holder - token 0 by olga");
    assert_has_not(vera->text, "fan");
    client_forget(vera);
    client_say(vera, "\n");
    run_until(client_has_prompt, vera);
    client_forget(vera);
    assert_has(ask(olga, "unpin pump"), "unpinned");
    client_say(vera, "help\n");
    run_until(is_helped, vera); /* behind the prompt of the empty line, too */
    assert_has_not(vera->text, "by olga");
}

/* ---- HTTP */

static void metrics_are_served_to_http_and_the_connection_closed(void **state)
{
    (void)state;
    struct client *vera = client_dial(ISSUER, "vera", "viewer");
    client_say(vera, "GET /metrics HTTP/1.0\r\n\r\n");
    run_until(client_is_closed, vera);
    assert_has(vera->text, "HTTP/1.0 200 OK\r\n");
    assert_has(vera->text, "holdfast_issuer_leader 1\n");
    assert_has(vera->text, "node=\"i1\",cluster=\"line-3\"} 1\n");
    struct client *other = client_dial(ISSUER, "olga", "operator");
    client_say(other, "GET / HTTP/1.0\r\n\r\n");
    run_until(client_is_closed, other);
    assert_has(other->text, "HTTP/1.0 404 Not Found\r\n");
}

static void who_has_said_a_command_speaks_no_http(void **state)
{
    (void)state;
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    assert_has(ask(vera, "help"), "commands");
    assert_has(ask(vera, "GET /metrics HTTP/1.0"), "ERR 400 unknown command GET");
    assert_false(vera->closed);
}

/* ---- roles and seats */

static void certificate_of_another_role_is_told_so_once_in_the_log(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct client *stranger = client_dial(ISSUER, "gina", "gateway");
        run_until(client_is_closed, stranger);
        assert_has(stranger->text, "ERR 403 the certificate's OU must be viewer, operator or node");
    }
    assert_int_equal(log_lines("OU of CN \"gina\" is \"gateway\""), 1);
}

static void node_may_only_look(void **state)
{
    (void)state;
    struct client *node = client_dial(ISSUER, "board-b", "node");
    run_until(client_has_prompt, node);
    assert_has(node->text, "role viewer\n");
    assert_has(ask(node, "pin pump none"), "ERR 403 pin needs an operator's certificate");
}

static void ninth_session_of_a_certificate_gets_the_place_of_the_longest_idle(void **state)
{
    (void)state;
    struct client *vera[SEATS_NAME_MAX + 1];
    for (int i = 0; i < SEATS_NAME_MAX; i++)
        vera[i] = client_open(ISSUER, "vera", "viewer");
    assert_has(ask(vera[0], "help"), "commands"); /* so the second one is idle for longest */
    run_on(5);
    vera[SEATS_NAME_MAX] = client_open(ISSUER, "vera", "viewer");
    run_until(client_is_closed, vera[1]);
    assert_has(vera[1]->text, "ERR 503 this session's place is given to another\n");
    for (int i = 0; i <= SEATS_NAME_MAX; i++) {
        if (i != 1)
            assert_has(ask(vera[i], "help"), "commands");
    }
}

static void ninth_session_is_refused_while_eight_are_busy_and_taken_when_one_ends(void **state)
{
    (void)state;
    struct client *vera[SEATS_NAME_MAX];
    for (int i = 0; i < SEATS_NAME_MAX; i++) {
        vera[i] = client_open(ISSUER, "vera", "viewer");
        client_say(vera[i], "watch\n");
    }
    run_until_watching(vera[0], SEATS_NAME_MAX);
    struct client *late = client_dial(ISSUER, "vera", "viewer");
    run_until(client_is_closed, late);
    assert_string_equal(late->text, "ERR 503 too many sessions of this certificate, at most 8\n");
    tls_stream_abort(vera[3]->stream);
    uint64_t end_ms = uv_hrtime() / 1000000 + SITE_PATIENCE_MS;
    do { /* until the console has noticed */
        late = client_dial(ISSUER, "vera", "viewer");
        run_until(client_has_prompt, late);
    } while (late->closed && uv_hrtime() / 1000000 < end_ms);
    assert_false(late->closed);
}

/* Viewers who come, are turned away and never hear of it: each lingers for a second. */
static void operator_comes_in_through_a_crowd_of_refused_viewers(void **state)
{
    enum { WATCHERS = SEATS_MAX - SEATS_OPERATOR };
    enum { CROWD = CONSOLE_SESSIONS_MAX + CONSOLE_ENDING_MAX - WATCHERS };
    struct tls_identity *crowd[CROWD];
    (void)state;
    for (int i = 0; i < CROWD; i++)
        crowd[i] = identity_of("vera", "viewer");
    struct tls_identity *olga = identity_of("olga", "operator");
    for (int i = 0; i < WATCHERS; i++)
        client_say(client_open(ISSUER, i < SEATS_NAME_MAX ? "vera" : "vito", "viewer"), "watch\n");
    run_until_watching(&site.client[0], WATCHERS);
    site_deaf = true;
    for (int i = 0; i < CROWD; i++)
        (void)client_dial_as(ISSUER, crowd[i]);
    site_deaf = false;
    assert_has(ask(client_dial_as(ISSUER, olga), "help"), "commands");
    for (size_t i = 0; i < site.clients; i++) {
        if (!site.client[i].closed)
            tls_stream_abort(site.client[i].stream);
    }
    run_until(client_is_closed, &site.client[site.clients - 1]);
}

/* ---- the end */

/* tear_down() says whether anything is left open. */
static void console_may_stop_whatever_goes_on(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    struct client *there = client_open(BOARD, "vera", "viewer");
    client_say(vera, "watch\n");
    client_say(there, "watch\n");
    run_until_watching(vera, 2);
    client_say(olga, "pin pump none\nunpin pump\n");
    site_turn();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_says_nothing_is_greeted_with_its_role),
        TEST(lines_that_come_at_once_are_answered_one_after_another),
        TEST(line_may_end_as_in_a_terminal_and_may_be_empty),
        TEST(line_of_512_bytes_is_taken_and_a_longer_one_ends_the_session),
        TEST(what_is_behind_a_line_is_as_long_as_a_line_at_most),
        TEST(line_that_is_no_text_ends_the_session),
        TEST(bad_lines_in_a_loop_do_not_fill_the_log),
        TEST(quit_ends_the_session),
        TEST(thousand_lines_at_once_cost_one_answer_and_a_turn_each),
        TEST(all_sessions_together_cost_one_answer_a_turn),
        TEST(quit_waits_for_the_answers_before_it),
        TEST(watch_tells_what_happens_until_anything_is_typed),
        TEST(metrics_are_served_to_http_and_the_connection_closed),
        TEST(who_has_said_a_command_speaks_no_http),
        TEST(certificate_of_another_role_is_told_so_once_in_the_log),
        TEST(node_may_only_look),
        TEST(ninth_session_of_a_certificate_gets_the_place_of_the_longest_idle),
        TEST(ninth_session_is_refused_while_eight_are_busy_and_taken_when_one_ends),
        TEST(operator_comes_in_through_a_crowd_of_refused_viewers),
        TEST(console_may_stop_whatever_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
