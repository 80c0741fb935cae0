/* What operators do and see at the console of the issuer that leads, and at a board's. */
#include <stdatomic.h>
#include <sys/syscall.h>

#include "tests/unit/console/site.h"

#include "backup/backup.h"
#include "console/call.h"

static atomic_bool disks_wait;

/* In the place of the C library's: as long as a test wants. */
int fdatasync(int fd)
{
    while (atomic_load(&disks_wait))
        usleep(1000);
    return (int)syscall(SYS_fdatasync, fd);
}

struct wanted {
    struct client *client;
    const char *line;
    const char *part;
};

static bool is_answered(const void *context)
{
    const struct wanted *wanted = context;
    return strstr(ask(wanted->client, wanted->line), wanted->part) != NULL;
}

/* Asks until the answer has `part` in it. */
static const char *ask_until(struct client *client, const char *line, const char *part)
{
    const struct wanted wanted = { client, line, part };
    uint64_t end_ms = uv_hrtime() / 1000000 + SITE_PATIENCE_MS;
    while (!is_answered(&wanted) && uv_hrtime() / 1000000 < end_ms)
        site_turn();
    assert_has(client->text, part);
    return client->text;
}

/* ---- acts */

static void act_is_in_history_and_log_with_who_said_it(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin pump none"), "done             pinned\n");
    const char *history = ask(olga, "history -n 1 --json");
    assert_has(history, "\"event\":\"operator\",\"resource\":\"pump\"");
    assert_has(history, "\"who\":\"olga\"");
    assert_int_equal(log_lines("operator olga: pin pump none"), 1);
    assert_int_equal(log_lines("pump: entry"), 1);
}

static void pin_holds_a_resource_back_until_it_is_unpinned(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin pump board-a"), "pinned");
    assert_string_equal(issuer_replica()->table.record[0].pinned_to.text, "board-a");
    assert_has(ask(olga, "pin pump none"), "pinned");
    assert_true(name_empty(&issuer_replica()->table.record[0].pinned_to));
    ask_until(olga, "leases --json", "\"state\":\"free, pinned\"");
    assert_has(ask(olga, "unpin pump"), "unpinned");
    ask_until(olga, "leases --json", "\"state\":\"free\"");
}

static void viewer_may_do_nothing(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "transfer pump board-a",
        "pin pump none",
        "unpin pump",
        "fault clear pump",
        "leader transfer i1",
        "token overrule pump board-a",
        "backup",
        "member promote i1",
        "member add i2 127.0.0.1:7",
        "member remove i1",
        "resource remove pump",
        "note fault-cleared pump",
    };
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    uint64_t entries = issuer_replica()->table.history_total;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_has(ask(vera, lines[i]), "needs an operator's certificate");
    assert_int_equal(issuer_replica()->table.history_total, entries);
}

static void names_that_no_policy_has_are_refused(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin pomp none"),
               "ERR 404 resource pomp: must be one of issuer.policy, which names pump, fan\n");
    assert_has(ask(olga, "pin pump board-x"), "ERR 404 board board-x: must be one of the holders");
    assert_has(ask(olga, "transfer fan board-a"), "ERR 404 board board-a: must be one of the");
    assert_has(ask(olga, "token overrule fan board-a"), "ERR 404 board board-a: must be one of");
    assert_has(ask(olga, "fault clear pomp"), "ERR 404 resource pomp: must be one of");
    assert_has(ask(olga, "fault clear pomp board-a"), "ERR 404 resource pomp: must be one of");
    assert_has(ask(olga, "fault clear pump -x"), "ERR 400 board -x: allowed are");
    assert_has(ask(olga, "pin -pump none"), "ERR 400 resource -pump: allowed are");
    assert_int_equal(issuer_replica()->table.count, 0);
}

static void too_few_and_too_many_words_are_told_the_usage(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "unpin"), "ERR 400 usage: unpin RESOURCE [--json]");
    assert_has(ask(olga, "unpin pump now"), "ERR 400 usage: unpin RESOURCE [--json]");
    assert_has(ask(olga, "fault clear"), "ERR 400 usage: fault clear RESOURCE [BOARD] [--json]");
    assert_has(ask(olga, "fault clear a b c"), "ERR 400 usage: fault clear RESOURCE [BOARD]");
    assert_has(ask(olga, "leases all"), "ERR 400 usage: leases");
    assert_has(ask(olga, "--json"), "ERR 400 no command before --json");
    assert_has(ask(olga, "1 2 3 4 5 6 7 8 9 10 11 12 13"), "ERR 400 a command has 1 to 12 words");
}

static void act_without_effect_is_not_told_as_done(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "resource remove pump"), "ERR 409 ");
    assert_has(ask(olga, "transfer pump board-b"),
               "ERR 409 pump: held off, not granted to anybody");
}

static bool both_are_taken(const void *context)
{
    (void)context;
    return log_lines(": resource remove pump") == 2;
}

static bool both_are_answered(const void *clients)
{
    struct client *const *both = clients;
    return client_has_prompt(both[0]) && client_has_prompt(both[1]);
}

/* Both entries are on their way before the first of them takes effect. */
static void of_two_that_remove_at_once_one_is_told_that_it_had_no_effect(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin pump none"), "pinned");
    assert_has(ask(olga, "unpin pump"), "unpinned");
    stop(&site.node[ISSUER]);
    run_until(client_is_closed, olga);
    site.node[ISSUER].conf.policy_count = 0;
    start_again(&site.node[ISSUER]);
    run_until(site_is_up, NULL);
    struct client *both[] = { client_open(ISSUER, "olga", "operator"),
                              client_open(ISSUER, "otto", "operator") };
    atomic_store(&disks_wait, true);
    for (int i = 0; i < 2; i++)
        client_say(both[i], "resource remove pump\n");
    bool taken = site_run(both_are_taken, NULL, SITE_PATIENCE_MS);
    atomic_store(&disks_wait, false);
    assert_true(taken);
    run_until(both_are_answered, both);
    int done = strstr(both[0]->text, "removed") != NULL ? 0 : 1;
    assert_has(both[done]->text, "removed");
    assert_has(both[1 - done]->text, "ERR 409 not done: entry ");
    assert_has(both[1 - done]->text, " had no effect; see history");
}

/* Each certificate on its own; what was spent comes back with time. */
static void certificate_does_120_acts_at_once_and_two_a_second(void **state)
{
    (void)state;
    struct client *otto = client_open(ISSUER, "otto", "operator");
    struct client *ida = client_open(ISSUER, "ida", "operator");
    struct instant began = site_now;
    unsigned done = 0;
    while (strstr(ask(otto, "unpin pump"), "ERR") == NULL && done < 500)
        done++;
    assert_has(otto->text, "ERR 429 the certificate otto has done 120 acts within a minute");
    int64_t more = instant_diff(site_now, began).us / 500000 + 1;
    assert_true(done >= 120 && done <= 120 + more);
    assert_has(ask(ida, "unpin pump"), "unpinned");
    site_now.us += 600000;
    assert_has(ask(otto, "unpin pump"), "unpinned");
}

/* ---- issuers */

static void issuer_is_added_at_an_address_of_its_own_only(void **state)
{
    (void)state;
    char line[100];
    struct client *olga = client_open(ISSUER, "olga", "operator");
    snprintf(line, sizeof(line), "member add i2 %s", site.node[ISSUER].conf.listen);
    assert_has(ask(olga, line), "is that of issuer i1 already");
    assert_has(ask(olga, "member add i2 127.0.0.1:0"), "ERR 400 address 127.0.0.1:0: must be");
    assert_has(ask(olga, "member add i2 localhost:7400"), "ERR 400 address localhost:7400: must");
    assert_int_equal(issuer_replica()->raft.members.count, 1);
    assert_has(ask(olga, "member add i2 127.0.0.1:1"), "added as a learner");
    assert_int_equal(issuer_replica()->raft.members.count, 2);
    assert_has(ask(olga, "member promote i2"), "ERR 503 i2: it has not caught up");
    assert_has(ask(olga, "issuers --json"), "\"id\":\"i2\",\"role\":\"learner\"");
    assert_has(ask(olga, "member remove i2"), "removed");
    assert_has(ask(olga, "member remove i1"), "ERR 409 i1: it is the last voter");
}

static void leader_is_not_handed_over_to_itself_or_to_nobody(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "leader transfer i1"), "ERR 409 i1: leads already");
    assert_has(ask(olga, "leader transfer i9"), "ERR 409 i9: it is no other voter");
}

/* ---- at a board */

static void act_at_a_boards_console_is_sent_to_an_issuers(void **state)
{
    (void)state;
    char wanted[160];
    struct client *olga = client_open(BOARD, "olga", "operator");
    snprintf(wanted, sizeof(wanted),
             "ERR 421 acts are taken at the console of an issuer: ask i1 at %s",
             site.node[ISSUER].conf.console_listen);
    assert_has(ask(olga, "pin pump none"), wanted);
    assert_has(ask(olga, "member remove i1"), "ERR 403 board-a may not vouch for an operator here");
    assert_int_equal(issuer_replica()->table.count, 0);
}

static bool fault_is_noted(const void *context)
{
    (void)context;
    const struct lease_table *table = &issuer_replica()->table;
    for (uint64_t i = 0; i < table->history_total; i++) {
        if (strcmp(table->history[i].text, "fault cleared") == 0)
            return true;
    }
    return false;
}

static bool guard_was_told(const void *context)
{
    (void)context;
    return site.cleared > 0;
}

static bool board_is_blocked(const void *context)
{
    (void)context;
    return agent_holder(node_agent(site.node[BOARD].node))->lease[0].state == HOLDER_BLOCKED;
}

static bool guard_is_gone(const void *context)
{
    (void)context;
    return !agent_guard_up(node_agent(site.node[BOARD].node));
}

static bool guard_is_back(const void *context)
{
    return !guard_is_gone(context) && board_is_blocked(NULL);
}

/* The guard that latched it died: nobody is there to be told, and it is not said that it was. */
static void fault_whose_guard_is_gone_is_cleared_when_that_is_back(void **state)
{
    (void)state;
    struct client *olga = client_open(BOARD, "olga", "operator");
    site.fault = GUARD_FAULT_STUCK_OFF;
    listen_as_guard();
    run_until(board_is_blocked, NULL);
    close(site.guard_listens);
    close(site.guard);
    site.guard = site.guard_listens = -1;
    run_until(guard_is_gone, NULL);
    assert_has(ask(olga, "fault clear pump"),
               "ERR 503 pump: the guard of board-a is not connected: nothing was told");
    assert_has(olga->text, "start it, which keeps a latched fault, and say this again");
    assert_has(olga->text, "fault clear pump board-a at another node's console has it granted");
    listen_as_guard();
    run_until(guard_is_back, NULL);
    assert_has(ask(olga, "fault clear pump"), "done             the guard was told");
}

static void fault_is_cleared_at_its_board_and_noted_by_its_word(void **state)
{
    (void)state;
    struct client *olga = client_open(BOARD, "olga", "operator");
    site.fault = GUARD_FAULT_STUCK_OFF;
    listen_as_guard();
    run_until(board_is_blocked, NULL);
    assert_has(ask(olga, "guard --json"), "\"fault\":\"stuck off\"");
    assert_has(ask(olga, "metrics"), "holdfast_guard_fault{resource=\"pump\"} 1\n");
    assert_has(ask(olga, "fault clear pump"), "done             the guard was told");
    run_until(fault_is_noted, NULL);
    run_until(guard_was_told, NULL);
    struct client *there = client_open(ISSUER, "olga", "operator");
    const char *history = ask(there, "history --resource pump --json");
    assert_has(history, "\"who\":\"olga via board-a, unproven\",\"why\":\"fault cleared\"");
    assert_int_equal(site.cleared, 1);
}

static bool held_for_board_a(const void *context)
{
    (void)context;
    const struct stuck_list *stuck = &issuer_replica()->table.stuck;
    const struct hf_name pump = name("pump");
    const struct stuck_row *row = stuck_holds(stuck, &pump);
    return row != NULL && strcmp(row->board.text, "board-a") == 0;
}

static void weld(void)
{
    site.fault = GUARD_FAULT_STUCK_ON;
    listen_as_guard();
    run_until(held_for_board_a, NULL);
}

/* Another board's relay, as the issuer has it in its table. */
static void weld_another(void)
{
    const struct hf_name pump = name("pump");
    const struct hf_name board = name("board-b");
    struct lease_table *table = (struct lease_table *)&issuer_replica()->table;
    assert_true(stuck_add(&table->stuck, &pump, &board, 1));
}

static bool guard_is_safe(const void *context)
{
    (void)context;
    const struct agent_guard_view *view = agent_guard(node_agent(site.node[BOARD].node), 0);
    return view->known && view->status.state != GUARD_FAULT;
}

/* Typed at the wrong board, it is no go for another one's relay. */
static void clear_where_nothing_is_latched_is_refused_and_says_whose_output_is_stuck(void **state)
{
    (void)state;
    struct client *olga = client_open(BOARD, "olga", "operator");
    listen_as_guard();
    run_until(guard_is_safe, NULL);
    assert_has(ask(olga, "fault clear pump"),
               "ERR 409 pump: no fault of it is latched at board-a, and ");
    assert_has(olga->text, "no output that is stuck on holds it back");
    weld_another();
    assert_has(ask(olga, "fault clear pump"),
               "ERR 409 pump: no fault of it is latched at board-a. By ");
    assert_has(olga->text,
               "board-b's output is stuck on: repair it, and say fault clear pump at the "
               "console of board-b. fault clear pump board-b has it granted");
    assert_has(ask(olga, "fault clear fog"), "ERR 404 resource fog: must be one of issuer.policy");
    assert_int_equal(issuer_replica()->table.stuck.row[0].let_go, false);
    assert_int_equal(site.cleared, 0);
    stop(&site.node[ISSUER]);
    assert_has(ask(olga, "fault clear pump"), "ERR 503 ");
}

static void go_names_its_board_at_an_issuers_console(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    weld();
    assert_has(ask(olga, "leases"), "waits for an operator: fault clear pump at board-a");
    assert_has(ask(olga, "fault clear pump"), "ERR 409 pump: no fault of it is latched at i1. By ");
    assert_has(olga->text, "board-a's output is stuck on: repair it");
    assert_has(
        ask(olga, "fault clear pump board-b"),
        "ERR 409 pump, board-b: no output of that board is known to be stuck on, see leases");
    assert_true(held_for_board_a(NULL));
    weld_another();
    assert_has(ask(olga, "fault clear pump"), "stuck on (and those of 1 more, see leases)");
    assert_has(ask(olga, "fault clear pump board-a"),
               "done             let go for board-a; board-b's output holds it still, see leases");
    assert_has(ask(olga, "fault clear pump board-b"), "done             let go: it may be granted");
    assert_has(ask(olga, "history -n 1 --json"), "\"holder\":\"board-b\"");
    assert_int_equal(site.cleared, 0);
}

/* The guard proves the outputs off first, whatever way the board with the fault is asked. */
static void board_with_the_fault_clears_it_though_it_is_named(void **state)
{
    (void)state;
    struct client *olga = client_open(BOARD, "olga", "operator");
    weld();
    assert_has(ask(olga, "fault clear pump board-a"), "done             the guard was told");
    run_until(fault_is_noted, NULL);
    assert_true(held_for_board_a(NULL));
    assert_has(ask(olga, "fault clear pump board-b"),
               "ERR 421 acts are taken at the console of an ");
}

static void board_whose_guard_is_not_there_tells_nothing_of_its_fault(void **state)
{
    (void)state;
    struct client *olga = client_open(BOARD, "olga", "operator");
    assert_has(ask(olga, "fault clear pump"), "ERR 503 pump: the guard of board-a is not "
                                              "connected: nothing was told, and nothing is known");
    assert_has(ask(olga, "fault clear pump board-a"), "ERR 503 pump: the guard of board-a is not ");
    assert_has(ask(olga, "fault where pump"), "ERR 400 fault where is what nodes ask issuers");
}

static void refused_transfer_names_the_board_that_is_in_its_way(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    drive();
    ask_until(olga, "leases --json", "\"state\":\"held\"");
    assert_has(ask(olga, "transfer pump board-b"),
               "ERR 409 pump, board-b: the board is not waiting for this resource\n");
    assert_has(ask(olga, "transfer pump board-a"),
               "ERR 409 pump, board-a: the board holds it already\n");
    assert_has(ask(olga, "pin pump board-a"), "pinned");
    assert_has(ask(olga, "transfer pump board-b"),
               "ERR 409 pump: not transferred to board-b: pinned to board-a; unpin pump, or pin it "
               "to board-b\n");
    assert_has(ask(olga, "unpin pump"), "unpinned");
    weld_another();
    assert_has(ask(olga, "transfer pump board-b"),
               "ERR 409 pump: not transferred to board-b: board-b's output is stuck on, held until "
               "fault clear pump at board-b; see leases\n");
}

/* ---- what is seen */

static void leases_are_shown_as_consistent_as_asked_for(void **state)
{
    (void)state;
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    struct client *there = client_open(BOARD, "vera", "viewer");
    assert_has(ask(vera, "leases --json"), "{\"from\":\"i1\",\"leader\":true,");
    assert_has(ask(vera, "leases --consistency quorum --json"),
               "{\"from\":\"i1\",\"leader\":true,");
    assert_has(ask(vera, "leases --consistency local --json"), "{\"from\":\"i1\",\"leader\":true,");
    assert_has(ask(vera, "leases --consistency most"), "ERR 400 usage: leases");
    assert_has(ask(there, "leases --consistency local"), "ERR 404 this node is no issuer");
    assert_has(ask(there, "leases --consistency quorum --json"), "{\"from\":\"i1\",");
}

static void lease_that_is_held_is_seen_by_all_who_know_of_it(void **state)
{
    (void)state;
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    struct client *there = client_open(BOARD, "vera", "viewer");
    drive();
    char token[64];
    assert_has(ask_until(vera, "leases --json", "\"state\":\"held\""), "\"holder\":\"board-a\"");
    assert_has(ask(vera, "agents --json"), "\"board\":\"board-a\",\"link\":\"up\"");
    assert_has(vera->text, "\"leases\":1,");
    assert_has(ask(vera, "metrics"),
               "holdfast_lease_held{resource=\"pump\",holder=\"board-a\"} 1\n");
    snprintf(token, sizeof(token), "holdfast_lease_token{resource=\"pump\"} %llu\n",
             (unsigned long long)site.permitted);
    assert_has(vera->text, token);
    assert_has(ask_until(there, "guard --json", "\"guard\":\"driving\""),
               "\"outputs\":\"valve=off,motor=on\",\"readback\":\"motor=on\"");
    assert_has(ask(there, "metrics"), "holdfast_agent_holding{resource=\"pump\"} 1\n");
    assert_has(there->text, "holdfast_guard_fault{resource=\"pump\"} 0\n");
    assert_has(ask(there, "status --json"), "\"guard\":\"connected\"");
    assert_has(there->text, "{\"id\":\"i1\",\"link\":\"up\",\"config\":\"agrees\"}");
}

static void board_that_is_gone_is_shown_as_down(void **state)
{
    (void)state;
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    ask_until(vera, "agents --json", "\"board\":\"board-a\",\"link\":\"up\"");
    stop(&site.node[BOARD]);
    ask_until(vera, "agents --json", "\"board\":\"board-a\",\"link\":\"down\"");
}

/* The first line behind "NAME:\n" of a table, its columns' names, has none of them twice. */
static void assert_columns_differ(const char *table)
{
    char names[512];
    const char *line = strstr(table, ":\n");
    assert_non_null(line);
    snprintf(names, sizeof(names), "%.*s", (int)strcspn(line + 2, "\n"), line + 2);
    char *rest = NULL;
    for (char *word = strtok_r(names, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        for (const char *other = strstr(rest, word); other != NULL;
             other = strstr(other + 1, word)) {
            size_t length = strlen(word);
            if ((other == rest || other[-1] == ' ') && (other[length] == ' ' || !other[length]))
                fail_msg("two columns are named %s:\n%s", word, table);
        }
    }
}

static void columns_of_a_table_have_names_of_their_own(void **state)
{
    (void)state;
    static const char *const tables[] = { "leases", "agents", "issuers", "history", "help" };
    struct client *olga = client_open(ISSUER, "olga", "operator");
    struct client *there = client_open(BOARD, "olga", "operator");
    assert_has(ask(olga, "pin fan none"), "pinned");
    ask_until(olga, "agents --json", "\"board\":\"board-a\",\"link\":\"up\"");
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        assert_columns_differ(ask(olga, tables[i]));
    assert_columns_differ(strstr(ask(olga, "status"), "\nissuers:"));
    assert_columns_differ(strstr(ask(there, "guard"), "\nresources:"));
    assert_has(ask(olga, "agents --json"), "\"budget_left_bytes\":");
    assert_has(olga->text, ",\"budget\":\"good\",");
}

static unsigned count(const char *text, const char *part)
{
    unsigned found = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        found++;
    return found;
}

static void history_shows_as_many_of_the_resource_as_asked_for(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    for (int i = 0; i < 2; i++) {
        assert_has(ask(olga, "pin fan none"), "pinned");
        assert_has(ask(olga, "pin pump none"), "pinned");
    }
    assert_int_equal(count(ask(olga, "history -n 3 --json"), "\"event\":\"operator\""), 3);
    assert_int_equal(count(ask(olga, "history --resource fan --json"), "\"resource\":\"fan\""), 2);
    assert_int_equal(count(olga->text, "\"resource\":\"pump\""), 0);
    assert_int_equal(count(ask(olga, "history -n 1 --resource fan --json"), "\"event\":"), 1);
    assert_has(ask(olga, "history -n 0"), "ERR 400 -n 0: allowed are 1 to");
    assert_has(ask(olga, "history -n 100000"), "ERR 400 -n 100000: allowed are 1 to");
    assert_has(ask(olga, "history -n 2x"), "ERR 400 -n 2x: allowed are 1 to");
}

static void resource_that_no_policy_names_is_told_to_who_asks_for_its_events(void **state)
{
    (void)state;
    static const char says[] =
        "ERR 404 resource pomp: must be one of issuer.policy, which names pump, fan\n";
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    struct client *there = client_open(BOARD, "vera", "viewer");
    assert_has(ask(vera, "history --resource pomp"), says);
    assert_has(ask(vera, "watch --resource pomp --json"), says);
    assert_has(ask(there, "history --resource pomp"), says);
    assert_has(ask(there, "watch --resource pomp"), says);
    assert_has(ask(vera, "watch pump"), "ERR 400 usage: watch [--resource R] [--json]");
    assert_has(ask(vera, "history --resource fan"), "history:\n  none\n"); /* nothing was yet */
}

static bool is_told_of_the_removal(const void *context)
{
    return strstr(((const struct client *)context)->text, "removed: no policy names it") != NULL;
}

/* What was taken out of the files is watched until the issuers forget it; its events stay. */
static void events_of_a_resource_that_was_are_shown(void **state)
{
    (void)state;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin fan none"), "pinned");
    assert_has(ask(olga, "unpin fan"), "unpinned");
    stop(&site.node[ISSUER]);
    run_until(client_is_closed, olga);
    assert_string_equal(site.node[ISSUER].conf.policy[1].resource.text, "fan");
    site.node[ISSUER].conf.policy_count = 1;
    start_again(&site.node[ISSUER]);
    run_until(site_is_up, NULL);
    olga = client_open(ISSUER, "olga", "operator");
    struct client *vera = client_open(ISSUER, "vera", "viewer");
    client_say(vera, "watch --resource fan\n");
    for (int turn = 0; turn < 4; turn++) /* of each role one after the other */
        assert_has(ask(olga, "help"), "commands");
    assert_has(ask(olga, "resource remove fan"), "removed");
    run_until(is_told_of_the_removal, vera);
    assert_has(ask(olga, "watch --resource fan"), "ERR 404 resource fan: must be one of");
    assert_int_equal(count(ask(olga, "history --resource fan --json"), "\"resource\":\"fan\""), 3);
}

/* As many names as an error has room for. */
static void refusal_of_a_name_lists_those_that_are_known_as_far_as_there_is_room(void **state)
{
    (void)state;
    struct conf *conf = &site.node[ISSUER].conf;
    struct client *olga = client_open(ISSUER, "olga", "operator");
    stop(&site.node[ISSUER]);
    run_until(client_is_closed, olga);
    for (unsigned i = 2; i < CONF_POLICIES_MAX; i++) {
        char resource[HF_NAME_MAX + 1];
        snprintf(resource, sizeof(resource), "a-name-of-31-letters-as-allo-%02u", i % 100);
        add_policy(conf, resource, "board-a", NULL);
    }
    start_again(&site.node[ISSUER]);
    run_until(site_is_up, NULL);
    olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin pomp none"),
               "which names pump, fan, a-name-of-31-letters-as-allo-02");
    assert_has(olga->text, "a-name-of-31-letters-as-allo-11 and 52 more\n");
    conf->policy_count = 0;
    stop(&site.node[ISSUER]);
    run_until(client_is_closed, olga);
    start_again(&site.node[ISSUER]);
    run_until(site_is_up, NULL);
    olga = client_open(ISSUER, "olga", "operator");
    assert_has(ask(olga, "pin pump none"), "must be one of issuer.policy, which names none\n");
}

static void backup_is_of_what_is_applied(void **state)
{
    (void)state;
    static struct lease_table table;
    struct backup backup;
    char error[BACKUP_ERROR_MAX];
    size_t capacity = lease_table_encoded_max();
    uint8_t *bytes = malloc(capacity);
    struct client *olga = client_open(ISSUER, "olga", "operator");
    assert_non_null(bytes);
    assert_has(ask(olga, "pin fan none"), "pinned");
    assert_has(ask(olga, "backup --json"), "\"backup\":\"");
    const char *text = ask(olga, "backup");
    const struct bytes read = { (const uint8_t *)text, strlen(text) };
    assert_true(backup_read(&backup, read, bytes, capacity, &table, error));
    assert_int_equal(backup.index, issuer_replica()->table.applied);
    assert_int_equal(backup.term, issuer_replica()->raft.term);
    assert_string_equal(backup.node.text, "i1");
    assert_string_equal(backup.cluster.text, "line-3");
    assert_true(backup.lease_max_us >= (SITE_TTL_MS + SITE_FENCE_MS) * 1000);
    assert_true(table.record[0].pinned);
    assert_int_equal(log_lines("operator olga: backup of entry"), 2);
    free(bytes);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(act_is_in_history_and_log_with_who_said_it),
        TEST(pin_holds_a_resource_back_until_it_is_unpinned),
        TEST(viewer_may_do_nothing),
        TEST(names_that_no_policy_has_are_refused),
        TEST(too_few_and_too_many_words_are_told_the_usage),
        TEST(act_without_effect_is_not_told_as_done),
        TEST(of_two_that_remove_at_once_one_is_told_that_it_had_no_effect),
        TEST(certificate_does_120_acts_at_once_and_two_a_second),
        TEST(issuer_is_added_at_an_address_of_its_own_only),
        TEST(leader_is_not_handed_over_to_itself_or_to_nobody),
        TEST(act_at_a_boards_console_is_sent_to_an_issuers),
        TEST(fault_whose_guard_is_gone_is_cleared_when_that_is_back),
        TEST(fault_is_cleared_at_its_board_and_noted_by_its_word),
        TEST(clear_where_nothing_is_latched_is_refused_and_says_whose_output_is_stuck),
        TEST(go_names_its_board_at_an_issuers_console),
        TEST(board_with_the_fault_clears_it_though_it_is_named),
        TEST(board_whose_guard_is_not_there_tells_nothing_of_its_fault),
        TEST(refused_transfer_names_the_board_that_is_in_its_way),
        TEST(leases_are_shown_as_consistent_as_asked_for),
        TEST(lease_that_is_held_is_seen_by_all_who_know_of_it),
        TEST(board_that_is_gone_is_shown_as_down),
        TEST(columns_of_a_table_have_names_of_their_own),
        TEST(history_shows_as_many_of_the_resource_as_asked_for),
        TEST(resource_that_no_policy_names_is_told_to_who_asks_for_its_events),
        TEST(events_of_a_resource_that_was_are_shown),
        TEST(refusal_of_a_name_lists_those_that_are_known_as_far_as_there_is_room),
        TEST(backup_is_of_what_is_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
