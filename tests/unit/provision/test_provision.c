/* The cluster file: what it makes for each board, and one clear error at its line for what is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/schema.h"
#include "provision/provision.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { TEXT_MAX = 32768 };

struct fixture {
    char folder[64];
    char file[96];
    char text[TEXT_MAX];
    char told[TEXT_MAX];
    struct provision *provision;
};

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    if (!fix)
        return 1;
    snprintf(fix->folder, sizeof(fix->folder), "/tmp/holdfast-provision-XXXXXX");
    *state = fix;
    if (!mkdtemp(fix->folder))
        return 1;
    snprintf(fix->file, sizeof(fix->file), "%s/line-3.cluster", fix->folder);
    snprintf(fix->text, sizeof(fix->text), "%s", provision_example);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    provision_close(fix->provision);
    folder_remove(fix->folder);
    free(fix);
    return 0;
}

static void write_to(const char *file, const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/* In the text of the fixture; `from` must be there. */
static void change(struct fixture *fix, const char *from, const char *to)
{
    char *at = strstr(fix->text, from);
    char rest[TEXT_MAX];
    if (!at)
        fail_msg("\"%s\" is not in the text", from);
    snprintf(rest, sizeof(rest), "%s", at + strlen(from));
    snprintf(at, sizeof(fix->text) - (size_t)(at - fix->text), "%s%s", to, rest);
}

/* Opens the fixture's text. */
static bool opens(struct fixture *fix)
{
    provision_close(fix->provision);
    write_to(fix->file, fix->text);
    memset(fix->told, 0, sizeof(fix->told));
    FILE *errors = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    fix->provision = provision_open(fix->file, "/etc/holdfast", true, errors);
    fclose(errors);
    return fix->provision != NULL;
}

static void open_good(struct fixture *fix)
{
    if (!opens(fix) || fix->told[0] != '\0')
        fail_msg("told: %s", fix->told);
}

static const struct cluster_board *board(const struct fixture *fix, const char *id)
{
    const struct cluster_board *found = cluster_find(provision_cluster(fix->provision), id);
    assert_non_null(found);
    return found;
}

static const struct conf *conf_of(const struct fixture *fix, const char *id)
{
    return provision_conf(fix->provision, board(fix, id));
}

static const char *text_of(const struct fixture *fix, const char *id)
{
    return provision_conf_text(fix->provision, board(fix, id));
}

/* The line of the text where this is first. */
static unsigned line_of(const struct fixture *fix, const char *words)
{
    const char *at = strstr(fix->text, words);
    unsigned line = 1;
    assert_non_null(at);
    for (const char *c = fix->text; c < at; c++)
        line += *c == '\n';
    return line;
}

/* It is refused by one line, which begins "FILE:LINE: KEY: " and has these words. */
static void refused_at(struct fixture *fix, unsigned line, const char *key, const char *words)
{
    char start[200];
    bool opened = opens(fix);
    snprintf(start, sizeof(start), "%s:%u: %s: ", fix->file, line, key);
    const char *end = strchr(fix->told, '\n');
    if (opened || strncmp(fix->told, start, strlen(start)) != 0 || !strstr(fix->told, words) ||
        !end || end[1] != '\0')
        fail_msg("wanted %s...%s\ntold   %s", start, words, fix->told);
}

/* ---- what it makes */

static void the_example_is_good_without_a_warning(void **state)
{
    struct fixture *fix = *state;
    open_good(fix);
    const struct conf *conf = conf_of(fix, "board-a");
    assert_string_equal(conf->node_id.text, "board-a");
    assert_string_equal(conf->cluster_name.text, "line-3");
    assert_string_equal(conf->listen, "192.168.7.11:7400");
    assert_string_equal(conf->console_listen, "192.168.7.11:7443");
    assert_int_equal(conf->issuer_count, 3);
    assert_string_equal(conf->issuer[2].id.text, "witness");
    assert_string_equal(conf->issuer[2].address, "192.168.7.13:7400");
    assert_string_equal(conf->tls_key, "/etc/holdfast/node.key");
    assert_int_equal(conf->hal, HAL_LINUX);
    assert_int_equal(conf->resource_count, 1);
    assert_int_equal(conf->resource[0].output[0].line.line, 17);
    assert_int_equal(conf->watchdog_timeout_ms, 2000);
    assert_int_equal(conf->policy[0].ttl_max_ms, conf->resource[0].ttl_ms);
    assert_int_equal(conf->policy[0].holder_count, 2);
}

/* About 30 lines are what a newcomer is asked for. */
static void the_example_is_short(void **state)
{
    struct fixture *fix = *state;
    unsigned lines = 0;
    for (const char *c = fix->text; *c != '\0'; c++)
        lines += *c == '\n';
    assert_true(lines <= 30);
}

static void all_boards_agree_on_the_cluster(void **state)
{
    struct fixture *fix = *state;
    open_good(fix);
    assert_true(conf_of(fix, "board-a")->cluster_digest == conf_of(fix, "board-b")->cluster_digest);
    assert_true(conf_of(fix, "board-a")->cluster_digest == conf_of(fix, "witness")->cluster_digest);
}

static void a_board_has_no_group_that_it_has_no_use_for(void **state)
{
    struct fixture *fix = *state;
    change(fix, "common = {", "common = { issuer = { slow_store_ms = 100; };");
    change(fix, "{ id = \"witness\"; address = \"192.168.7.13\"; issuer = true; }",
           "{ id = \"witness\"; address = \"192.168.7.13\"; issuer = true; },\n"
           "{ id = \"board-c\"; address = \"192.168.7.14\"; }");
    change(fix, "\"board-b\" );", "\"board-b\", \"board-c\" );");
    open_good(fix);
    const struct conf *witness = conf_of(fix, "witness");
    assert_false(witness->agent_role || witness->has_watchdog || witness->has_hal);
    assert_int_equal(witness->slow_store_ms, 100);
    const struct conf *plain = conf_of(fix, "board-c");
    assert_true(plain->agent_role && plain->has_watchdog && !plain->issuer_role);
    assert_string_equal(plain->listen, "");
    assert_null(strstr(text_of(fix, "board-c"), "issuer = {"));
}

static void common_and_own_keys_are_merged_in_that_order(void **state)
{
    struct fixture *fix = *state;
    change(fix, "common = {",
           "common = { timing = { election_ms = 250; }; node = { data_dir = \"/data\"; };");
    change(fix, "\"192.168.7.12\"; issuer = true;",
           "\"192.168.7.12\"; issuer = true;\n"
           "    resources = ( { name = \"pump\"; priority = 7; outputs = ( { name = \"relay\"; "
           "line = 22; } ); } );\n"
           "    conf = { watchdog = { timeout_ms = 1000; }; node = { run_dir = \"/run/b\"; };\n"
           "             console = { listen = \"0.0.0.0:9000\"; }; };");
    open_good(fix);
    const struct conf *a = conf_of(fix, "board-a");
    const struct conf *b = conf_of(fix, "board-b");
    assert_int_equal(a->election_ms, 250);
    assert_int_equal(b->election_ms, 250);
    assert_string_equal(a->run_dir, "/run/holdfast");
    assert_string_equal(b->run_dir, "/run/b");
    assert_string_equal(b->data_dir, "/data");
    assert_int_equal(a->watchdog_timeout_ms, 2000);
    assert_int_equal(b->watchdog_timeout_ms, 1000);
    assert_string_equal(b->watchdog_device, "/dev/watchdog0");
    assert_int_equal(a->resource[0].priority, 0);
    assert_int_equal(b->resource[0].priority, 7);
    assert_int_equal(b->resource[0].output_count, 1);
    assert_int_equal(b->resource[0].output[0].line.line, 22);
    assert_int_equal(b->resource[0].output[0].reset_ms, 500);
    assert_string_equal(b->console_listen, "0.0.0.0:9000");
}

static void another_port_is_known_to_all(void **state)
{
    struct fixture *fix = *state;
    change(fix, "common = {", "common = { cluster = { listen = \"0.0.0.0:8000\"; };");
    change(fix, "\"192.168.7.12\"; issuer = true;",
           "\"192.168.7.12\"; issuer = true;\n"
           "    conf = { cluster = { listen = \"192.168.7.12:8001\"; }; };");
    open_good(fix);
    const struct conf *conf = conf_of(fix, "witness");
    assert_string_equal(conf->listen, "0.0.0.0:8000");
    assert_string_equal(conf->issuer[0].address, "192.168.7.11:8000");
    assert_string_equal(conf->issuer[1].address, "192.168.7.12:8001");
}

static void a_network_of_ipv6_is_as_good(void **state)
{
    struct fixture *fix = *state;
    change(fix, "prefix = 24;           # 255.255.255.0", "prefix = 64;");
    change(fix, "gateway = \"192.168.7.1\"; ntp = \"192.168.7.1\";", "ntp = \"2001:db8::123\";");
    change(fix, "\"192.168.7.11\"", "\"fd00::0011\"");
    change(fix, "\"192.168.7.12\"", "\"fd00::12\"");
    change(fix, "\"192.168.7.13\"", "\"fd00::13\"");
    open_good(fix);
    assert_string_equal(conf_of(fix, "board-b")->issuer[0].address, "[fd00::11]:7400");
    assert_string_equal(conf_of(fix, "board-b")->console_listen, "[fd00::12]:7443");
}

/* Every row of the schema can be said in `common` or in a board's own group, but those with an error. */
static void every_key_of_holdfast_conf_is_taken_or_has_its_place_elsewhere(void **state)
{
    struct fixture *fix = *state;
    static const char *const elsewhere[] = { "node.id", "cluster.name", "cluster.issuers", "tls" };
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        const char *group = strchr(key->path, '.');
        char common[200];
        bool other = false;
        for (size_t j = 0; j < sizeof(elsewhere) / sizeof(elsewhere[0]); j++)
            other = other || strncmp(key->path, elsewhere[j], strlen(elsewhere[j])) == 0;
        if (!group || strchr(group + 1, '.') || other)
            continue;
        /* A value of no kind that any key has: it is taken, and refused for what it is. */
        snprintf(common, sizeof(common), "issuer = true; conf = { %.*s = { %s = 1.5; }; };",
                 (int)(group - key->path), key->path, group + 1);
        snprintf(fix->text, sizeof(fix->text), "%s", provision_example);
        change(fix, "issuer = true;", common);
        assert_false(opens(fix));
        if (strstr(fix->told, "unknown key"))
            fail_msg("%s: %s", key->path, fix->told);
    }
}

static void the_file_board_says_who_where_and_how_it_starts(void **state)
{
    struct fixture *fix = *state;
    char text[400] = "";
    open_good(fix);
    FILE *out = fmemopen(text, sizeof(text), "w");
    provision_print_board(fix->provision, board(fix, "board-b"), PROVISION_BEGIN, out);
    fclose(out);
    assert_string_equal(text, "id=board-b\ncluster=line-3\naddress=192.168.7.12/24\n"
                              "gateway=192.168.7.1\nntp=192.168.7.1\nfirst=begin\n");
    change(fix, "gateway = \"192.168.7.1\"; ntp = \"192.168.7.1\";", "");
    open_good(fix);
    out = fmemopen(text, sizeof(text), "w");
    provision_print_board(fix->provision, board(fix, "witness"), PROVISION_REPLACE, out);
    fclose(out);
    assert_string_equal(text,
                        "id=witness\ncluster=line-3\naddress=192.168.7.13/24\nfirst=replace\n");
}

static void texts_survive_quotes_and_backslashes(void **state)
{
    struct fixture *fix = *state;
    change(fix, "common = {", "common = { node = { data_dir = \"/a \\\"b\\\" \\\\c\"; };");
    open_good(fix);
    assert_string_equal(conf_of(fix, "witness")->data_dir, "/a \"b\" \\c");
}

static void check_says_the_worst_bound_of_each_resource(void **state)
{
    struct fixture *fix = *state;
    char text[1000] = "";
    char wanted[100];
    change(fix, "\"192.168.7.12\"; issuer = true;",
           "\"192.168.7.12\"; issuer = true; conf = { watchdog = { timeout_ms = 1000; }; };");
    open_good(fix);
    const struct conf *a = conf_of(fix, "board-a");
    FILE *out = fmemopen(text, sizeof(text), "w");
    provision_print_check(fix->provision, false, out);
    fclose(out);
    snprintf(wanted, sizeof(wanted), "pump: failover bound %lld ms",
             (long long)conf_failover_bound(a, &a->resource[0]).total.us / 1000);
    assert_non_null(strstr(text, "good; cluster line-3, 3 boards, 3 of them issuers\n"));
    assert_non_null(strstr(text, wanted));
}

/* ---- what is wrong */

struct mistake {
    const char *from;
    const char *to;
    const char *at; /* in the changed text, on the line that is told */
    const char *key;
    const char *words;
};

static const struct mistake mistakes[] = {
    { "cluster = \"line-3\";", "", NULL, "cluster", "missing, must be a name of 1 to 31" },
    { "cluster = \"line-3\"", "cluster = \"line 3\"", "line 3", "cluster",
      "\"line 3\", must be a name" },
    { "prefix = 24", "prefix = 40", "prefix = 40", "network.prefix",
      "40 bits, must be at most the 32 of an IPv4 address" },
    { "prefix = 24", "prefix = \"24\"", "prefix", "network.prefix",
      "\"24\", must be a whole number of bits, 1 to 128" },
    { "prefix = 24;", "", "network = {", "network.prefix", "missing" },
    { "gateway = \"192.168.7.1\"", "gateway = \"192.168.8.1\"", "192.168.8.1", "network.gateway",
      "\"192.168.8.1\", must be in the network of boards[0], 192.168.7.11/24" },
    { "ntp = \"192.168.7.1\"", "ntp = \"pool.ntp.org\"", "pool", "network.ntp",
      "\"pool.ntp.org\", must be a numeric IPv4 or IPv6 address, without prefix and port" },
    { "ntp = ", "dns = ", "dns", "network.dns",
      "unknown key, known here are: prefix, gateway, ntp" },
    { "common = {", "watchdog = { };\ncommon = {", "watchdog = { }", "watchdog",
      "keys of holdfast.conf go into common" },
    { "\"192.168.7.12\"", "\"192.168.7.11\"", "board-b\"; a", "boards[1].address",
      "\"192.168.7.11\" is that of boards[0] already" },
    { "\"192.168.7.12\"", "\"192.168.7.1\"", "board-b\"; a", "boards[1].address",
      "\"192.168.7.1\" is network.gateway already" },
    { "\"192.168.7.12\"", "\"192.168.7.255\"", "board-b\"; a", "boards[1].address",
      "that reaches all of the network" },
    { "\"192.168.7.12\"", "\"192.168.7.12/24\"", "board-b\"; a", "boards[1].address",
      "\"192.168.7.12/24\", must be a numeric" },
    { "id = \"board-b\"", "id = \"board-a\"", "7.12", "boards[1].id",
      "\"board-a\" is boards[0] already" },
    { "id = \"witness\"", "id = \"ca\"", "7.13", "boards[2].id", "\"ca\", must be another" },
    { "\"192.168.7.13\"; issuer = true;", "\"192.168.7.13\";", "boards = (", "boards",
      "2 issuers, must be 1, 3, 5 or 7" },
    { "\"192.168.7.13\"; issuer = true;", "\"192.168.7.13\"; issuer = 1;", "7.13",
      "boards[2].issuer", "1, must be true or false" },
    { "\"192.168.7.13\"; issuer = true;", "\"192.168.7.13\"; role = true;", "7.13",
      "boards[2].role", "known here are: id, address, issuer, resources, conf" },
    { "holders = ( \"board-a\", \"board-b\" )", "holders = ( \"board-a\",\n\"board-x\" )",
      "board-x", "resources[0].holders[1]", "\"board-x\", must be the id of one of boards" },
    { "holders = ( \"board-a\", \"board-b\" );", "", "{ name = \"pump\"", "resources[0].holders",
      "missing, must list the boards that may drive it" },
    { "ttl_ms = 1000;", "ttl_ms = 20;", "ttl_ms = 20", "resources[0].ttl_ms",
      "20 ms, must be a whole number of ms, 50 to 600000 (board-a and 2 more)" },
    { "ttl_ms = 1000;", "tll_ms = 1000;", "tll_ms", "resources[0].tll_ms",
      "unknown key, must be one of those of agent.resources[] (the nearest is ttl_ms)" },
    { "release_ms = 50;", "release_ms = 900;", "ttl_ms", "resources[0].ttl_ms", "does not add up" },
    { "release_ms = 50;", "", "{ name = \"pump\"", "resources[0].release_ms", "missing" },
    { "fence_max_ms = 5000;", "fence_max_ms = 4000;", "outputs = (", "resources[0].outputs",
      "a fence latency of 4500 ms, must be at most" },
    { "line = 17;", "line = 1700;", "line = 1700", "resources[0].outputs[0].line",
      "1700, must be a whole number, 0 to 1023" },
    { "reset_ms = 500;", "", "outputs = (", "resources[0].outputs[0].reset_ms", "missing" },
    { "timeout_ms = 2000;", "timeout_ms = 1500;", "timeout_ms = 1500", "common.watchdog.timeout_ms",
      "1500 ms, must be whole seconds" },
    { "timeout_ms = 2000;", "timout_ms = 2000;", "timout_ms", "common.watchdog.timout_ms",
      "unknown key, the nearest known one of holdfast.conf is watchdog.timeout_ms" },
    { "common = {", "common = { node = { id = \"x\"; };", "common = {", "common.node.id",
      "must not be here: boards[].id says it" },
    { "common = {", "common = { tls = { ca = \"x\"; };", "common = {", "common.tls",
      "must not be here: certificates are made when a card is" },
    { "\"192.168.7.12\"; issuer = true;",
      "\"192.168.7.12\"; issuer = true; conf = { timing = { election_ms = 200; }; };",
      "board-b\"; a", "boards[1].conf.timing", "must not be here: it is the same on every board" },
    { "\"192.168.7.12\"; issuer = true;",
      "\"192.168.7.12\"; issuer = true; conf = { cluster = { listen = \"127.0.0.1:7400\"; }; };",
      "board-b\"; a", "boards[1].conf.cluster.listen",
      "\"127.0.0.1:7400\", must be at its address, \"192.168.7.12:7400\"" },
    { "\"192.168.7.13\"; issuer = true;",
      "\"192.168.7.13\"; issuer = true; conf = { console = { listen = \"192.168.7.13:7400\"; }; };",
      "witness\"; a", "boards[2].conf.console.listen", "is cluster.listen already" },
    { "prefix = 24;", "prefix = 24 bits;", "prefix", "syntax", "must be without a unit" },
    { "boards = (", "boards = (\n  { id = ; },", "{ id = ;", "syntax", "syntax error" },
};

static void each_mistake_is_one_error_at_its_line(void **state)
{
    struct fixture *fix = *state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const struct mistake *mistake = &mistakes[i];
        snprintf(fix->text, sizeof(fix->text), "%s", provision_example);
        change(fix, mistake->from, mistake->to);
        refused_at(fix, mistake->at ? line_of(fix, mistake->at) : 0, mistake->key, mistake->words);
    }
}

static void what_is_wrong_at_several_boards_is_said_once_with_their_number(void **state)
{
    struct fixture *fix = *state;
    change(fix, "ttl_ms = 1000;", "ttl_ms = 2000;");
    change(fix, "common = {", "common = { timing = { heartbeat_ms = 200; };");
    refused_at(fix, line_of(fix, "common = {"), "common.timing.heartbeat_ms",
               "must be below election_ms / 2");
    assert_non_null(strstr(fix->told, "(board-a and 2 more)\n"));
}

static void a_cluster_that_drives_nothing_is_refused(void **state)
{
    struct fixture *fix = *state;
    char *at = strstr(fix->text, "resources = (");
    assert_non_null(at);
    *at = '\0';
    refused_at(fix, 0, "resources", "missing, must be a list ( { ... }, ... ) of 1 to 64 groups");
}

static void a_resource_twice_is_no_merge(void **state)
{
    struct fixture *fix = *state;
    change(fix, "resources = (\n", "resources = (\n  { name = \"pump\"; },\n");
    assert_false(opens(fix));
    assert_non_null(strstr(fix->told, "resources[1].name: \"pump\" is resources[0] already"));
    snprintf(fix->text, sizeof(fix->text), "%s", provision_example);
    change(fix, "outputs = ( {",
           "outputs = ( { name = \"relay\"; kind = \"gpio\"; chip = \"c\"; "
           "line = 1; covers = \"process\"; },\n {");
    assert_false(opens(fix));
    assert_non_null(strstr(fix->told, "resources[0].outputs[1].name: \"relay\" is outputs[0]"));
}

static void a_board_asks_for_nothing_that_nobody_would_grant(void **state)
{
    struct fixture *fix = *state;
    change(fix, "\"192.168.7.13\"; issuer = true;",
           "\"192.168.7.13\"; issuer = true; resources = ( { name = \"pump\"; ttl_ms = 1000;\n"
           "  release_ms = 50; outputs = ( { name = \"relay\"; kind = \"gpio\"; chip = \"c\"; "
           "line = 1;\n covers = \"kernel\"; reset_ms = 500; } ); } );");
    refused_at(fix, line_of(fix, "resources = ( { name"), "boards[2].resources[0].name",
               "\"pump\", witness is none of its holders");
}

/* A board without an issuer is not judged by a policy of its own. */
static void an_agent_alone_keeps_to_the_issuers_policy(void **state)
{
    struct fixture *fix = *state;
    change(fix, "{ id = \"witness\"",
           "{ id = \"board-c\"; address = \"192.168.7.14\";\n"
           "    resources = ( { name = \"pump\"; ttl_ms = 2000; } ); },\n  { id = \"witness\"");
    change(fix, "\"board-b\" );", "\"board-b\", \"board-c\" );");
    refused_at(fix, line_of(fix, "ttl_ms = 2000"), "boards[2].resources[0].ttl_ms",
               "2000 ms, must be at most ttl_max_ms of \"pump\" = 1000 ms");
    change(fix, "ttl_ms = 2000;", "");
    change(fix, "192.168.7.14\";",
           "192.168.7.14\"; conf = { watchdog = { timeout_ms = 3000; }; };");
    refused_at(fix, line_of(fix, "outputs = ("), "resources[0].outputs",
               "a fence latency of 6500 ms, must be at most fence_max_ms of \"pump\" = 5000 ms");
}

/* More than a report keeps: what is not told any more counts all the same. */
static void an_error_behind_many_warnings_refuses(void **state)
{
    struct fixture *fix = *state;
    char *at = strstr(fix->text, "resources = (");
    assert_non_null(at);
    size_t used = (size_t)(at - fix->text);
    for (unsigned i = 0; i < 14; i++) {
        used += (size_t)snprintf(fix->text + used, sizeof(fix->text) - used,
                                 "%s{ name = \"r%u\"; holders = ( \"board-a\" ); ttl_ms = 1000; "
                                 "release_ms = 50; outputs = (",
                                 i > 0 ? ", " : "resources = ( ", i);
        for (unsigned j = 0; j < 8; j++)
            used +=
                (size_t)snprintf(fix->text + used, sizeof(fix->text) - used,
                                 "%s\n{ name = \"o%u\"; kind = \"gpio\"; chip = \"c\"; line = %u; "
                                 "covers = \"process\"; }",
                                 j > 0 ? ", " : "", j, 8 * i + j);
        used += (size_t)snprintf(fix->text + used, sizeof(fix->text) - used, " ); }");
    }
    snprintf(fix->text + used, sizeof(fix->text) - used, " );\n");
    assert_true(opens(fix));
    change(fix, "issuer = true;",
           "issuer = true; conf = { console = { listen = \"192.168.7.11:7400\"; }; };");
    assert_false(opens(fix));
    assert_non_null(strstr(fix->told, "more\n"));
}

static void warnings_are_told_and_refuse_nothing(void **state)
{
    struct fixture *fix = *state;
    change(fix, "covers = \"kernel\"; reset_ms = 500;", "covers = \"process\";");
    assert_true(opens(fix));
    assert_non_null(strstr(fix->told, ": warning: resources[0].outputs[0].covers: "));
    assert_non_null(strstr(fix->told, "(board-a and 1 more)\n"));
}

static void a_file_that_is_not_there_is_one_line(void **state)
{
    (void)state;
    char told[400] = "";
    FILE *errors = fmemopen(told, sizeof(told), "w");
    assert_null(provision_open("/nonexistent/x.cluster", "/etc/holdfast", false, errors));
    fclose(errors);
    assert_string_equal(told, "/nonexistent/x.cluster:0: cannot read: No such file or directory\n");
}

/* ---- SSH keys */

static const char good_key[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 alice@desk";

static void with_keys(struct fixture *fix, const char *text)
{
    char file[128];
    snprintf(file, sizeof(file), "%s/operators.pub", fix->folder);
    write_to(file, text);
    snprintf(fix->text, sizeof(fix->text), "%s", provision_example);
    change(fix, "# ssh_keys", "ssh_keys");
}

static void public_keys_become_authorized_keys(void **state)
{
    struct fixture *fix = *state;
    char text[400];
    snprintf(text, sizeof(text), "# who\r\n%s\r\n\nno-pty %s", good_key, good_key);
    with_keys(fix, text);
    open_good(fix);
    snprintf(text, sizeof(text), "# who\n%s\n\nno-pty %s\n", good_key, good_key);
    assert_string_equal(provision_ssh_keys(fix->provision), text);
}

static void what_is_no_public_key_is_refused(void **state)
{
    struct fixture *fix = *state;
    static const char *const bad[][2] = {
        { "", "no key in it" },
        { "# nobody\n", "no key in it" },
        { "ssh-ed25519\n", "operators.pub:1: no public key" },
        { "alice\n", "operators.pub:1: no public key" },
        { "-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        with_keys(fix, bad[i][0]);
        assert_false(opens(fix));
        if (!strstr(fix->told, bad[i][1]))
            fail_msg("%s: %s", bad[i][1], fix->told);
    }
    change(fix, "operators.pub", "nobody.pub");
    assert_false(opens(fix));
    assert_non_null(strstr(fix->told, "nobody.pub: cannot read: No such file or directory"));
    char start[128];
    snprintf(start, sizeof(start), "%s:%u: ssh_keys: ", fix->file, line_of(fix, "ssh_keys"));
    assert_memory_equal(fix->told, start, strlen(start));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_example_is_good_without_a_warning),
        TEST(the_example_is_short),
        TEST(all_boards_agree_on_the_cluster),
        TEST(a_board_has_no_group_that_it_has_no_use_for),
        TEST(common_and_own_keys_are_merged_in_that_order),
        TEST(another_port_is_known_to_all),
        TEST(a_network_of_ipv6_is_as_good),
        TEST(every_key_of_holdfast_conf_is_taken_or_has_its_place_elsewhere),
        TEST(the_file_board_says_who_where_and_how_it_starts),
        TEST(texts_survive_quotes_and_backslashes),
        TEST(check_says_the_worst_bound_of_each_resource),
        TEST(each_mistake_is_one_error_at_its_line),
        TEST(what_is_wrong_at_several_boards_is_said_once_with_their_number),
        TEST(a_cluster_that_drives_nothing_is_refused),
        TEST(a_resource_twice_is_no_merge),
        TEST(a_board_asks_for_nothing_that_nobody_would_grant),
        TEST(an_agent_alone_keeps_to_the_issuers_policy),
        TEST(an_error_behind_many_warnings_refuses),
        TEST(warnings_are_told_and_refuse_nothing),
        TEST(a_file_that_is_not_there_is_one_line),
        TEST(public_keys_become_authorized_keys),
        TEST(what_is_no_public_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
