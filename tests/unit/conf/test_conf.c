/* Configuration: what is good loads whole, what is bad is refused by one clear error at its line. */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "tests/unit/support/unit.h"

/* Every key of the schema once, its pattern behind it as a comment. */
static const char good[] =
    "node = {\n"
    "  id = \"board-a\"; # node.id\n"
    "  data_dir = \"/var/lib/holdfast\"; # node.data_dir\n"
    "  run_dir = \"/run/holdfast\"; # node.run_dir\n"
    "};\n"
    "cluster = {\n"
    "  name = \"line-3\"; # cluster.name\n"
    "  listen = \"10.0.0.1:7400\"; # cluster.listen\n"
    "  issuers = (\n"
    "    { id = \"board-a\"; # cluster.issuers[].id\n"
    "      address = \"10.0.0.1:7400\"; # cluster.issuers[].address\n"
    "    } );\n"
    "};\n"
    "tls = {\n"
    "  ca = \"ca.crt\"; # tls.ca\n"
    "  cert = \"a.crt\"; # tls.cert\n"
    "  key = \"a.key\"; # tls.key\n"
    "};\n"
    "timing = {\n"
    "  heartbeat_ms = 50; # timing.heartbeat_ms\n"
    "  election_ms = 300; # timing.election_ms\n"
    "  drift_ppm = 2000; # timing.drift_ppm\n"
    "};\n"
    "issuer = {\n"
    "  policy = ( # issuer.policy\n"
    "    { resource = \"pump\"; # issuer.policy[].resource\n"
    "      holders = ( \"board-a\", \"board-b\" ); # issuer.policy[].holders\n"
    "      ttl_max_ms = 5000; # issuer.policy[].ttl_max_ms\n"
    "      fence_max_ms = 4500; # issuer.policy[].fence_max_ms\n"
    "      on_stuck = \"hold\"; # issuer.policy[].on_stuck\n"
    "    } );\n"
    "  slow_store_ms = 500; # issuer.slow_store_ms\n"
    "};\n"
    "agent = {\n"
    "  lease_log_kb = 64; # agent.lease_log_kb\n"
    "  resources = ( # agent.resources\n"
    "    { name = \"pump\"; # agent.resources[].name\n"
    "      ttl_ms = 1000; # agent.resources[].ttl_ms\n"
    "      priority = 100; # agent.resources[].priority\n"
    "      failback = \"manual\"; # agent.resources[].failback\n"
    "      release_ms = 5; # agent.resources[].release_ms\n"
    "      on_acquired = \"acquired\"; # agent.resources[].on_acquired\n"
    "      on_lost = \"/etc/holdfast/lost\"; # agent.resources[].on_lost\n"
    "      outputs = ( # agent.resources[].outputs\n"
    "        { name = \"enable\"; # agent.resources[].outputs[].name\n"
    "          kind = \"pulse\"; # agent.resources[].outputs[].kind\n"
    "          chip = \"gpiochip0\"; # agent.resources[].outputs[].chip\n"
    "          line = 17; # agent.resources[].outputs[].line\n"
    "          line_name = \"PUMP\"; # agent.resources[].outputs[].line_name\n"
    "          rate_hz = 500; # agent.resources[].outputs[].rate_hz\n"
    "          hold_ms = 40; # agent.resources[].outputs[].hold_ms\n"
    "          readback = {\n"
    "            chip = \"gpiochip0\"; # agent.resources[].outputs[].readback.chip\n"
    "            line = 27; # agent.resources[].outputs[].readback.line\n"
    "            line_name = \"AUX\"; # agent.resources[].outputs[].readback.line_name\n"
    "            active_low = true; # agent.resources[].outputs[].readback.active_low\n"
    "            bias = \"pull-up\"; # agent.resources[].outputs[].readback.bias\n"
    "            within_ms = 5; # agent.resources[].outputs[].readback.within_ms\n"
    "          };\n"
    "        },\n"
    "        { name = \"relay\"; kind = \"gpio\"; chip = \"gpiochip1\"; line = 17;\n"
    "          active_low = true; # agent.resources[].outputs[].active_low\n"
    "          covers = \"kernel\"; # agent.resources[].outputs[].covers\n"
    "          reset_ms = 500; # agent.resources[].outputs[].reset_ms\n"
    "        } );\n"
    "    } );\n"
    "};\n"
    "watchdog = { # watchdog\n"
    "  device = \"/dev/watchdog0\"; # watchdog.device\n"
    "  timeout_ms = 2000; # watchdog.timeout_ms\n"
    "  close_pings = true; # watchdog.close_pings\n"
    "};\n"
    "hal = {\n"
    "  backend = \"sim\"; # hal.backend\n"
    "  socket = \"bench.sock\"; # hal.socket\n"
    "};\n"
    "gateway = {\n"
    "  listen = \"127.0.0.1:1502\"; # gateway.listen\n"
    "  resource = \"pump\"; # gateway.resource\n"
    "  reads_need_lease = false; # gateway.reads_need_lease\n"
    "  actuators = ( # gateway.actuators\n"
    "    { unit = 1; # gateway.actuators[].unit\n"
    "      tcp = \"10.0.0.50:502\"; # gateway.actuators[].tcp\n"
    "      response_ms = 100; # gateway.actuators[].response_ms\n"
    "    } );\n"
    "};\n"
    "console = {\n"
    "  listen = \"[::]:7443\"; # console.listen\n"
    "};\n";

enum { TEXT_MAX = 16384 };

struct fixture {
    char folder[64];
    char file[96];
    struct conf conf;
    char told[TEXT_MAX]; /* what the last load wrote */
};

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    snprintf(fix->folder, sizeof(fix->folder), "/tmp/holdfast-conf-XXXXXX");
    if (!fix || !mkdtemp(fix->folder))
        return 1;
    snprintf(fix->file, sizeof(fix->file), "%s/holdfast.conf", fix->folder);
    *state = fix;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    unlink(fix->file);
    rmdir(fix->folder);
    free(fix);
    return 0;
}

static int load_file(struct fixture *fix, const char *file)
{
    fix->told[0] = '\0'; /* what was told before stays there if nothing is told now */
    FILE *told = fmemopen(fix->told, sizeof(fix->told), "w");
    int count = conf_load(&fix->conf, file, told);
    fclose(told);
    return count;
}

static int load_bytes(struct fixture *fix, const char *bytes, size_t length)
{
    FILE *file = fopen(fix->file, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    return load_file(fix, fix->file);
}

static int load_text(struct fixture *fix, const char *text)
{
    return load_bytes(fix, text, strlen(text));
}

static unsigned line_at(const char *text, const char *at)
{
    unsigned line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

static unsigned lines_told(const struct fixture *fix)
{
    return line_at(fix->told, fix->told + strlen(fix->told)) - 1;
}

/* One error, at this line, that says `part`. */
static void expect_one_error(const struct fixture *fix, int count, unsigned line, const char *part)
{
    char start[128];
    snprintf(start, sizeof(start), "%s:%u: ", fix->file, line);
    if (count != 1 || lines_told(fix) != 1 || strncmp(fix->told, start, strlen(start)) != 0 ||
        !strstr(fix->told, part))
        fail_msg("expected one error \"%s...%s\", got %d:\n%s", start, part, count, fix->told);
}

/* The good file with the first `from` behind `after` made `to`. Returns where it is. */
static size_t edit(char *out, const char *after, const char *from, const char *to)
{
    const char *start = strstr(good, after);
    const char *at = start ? strstr(start, from) : NULL;
    if (!at)
        fail_msg("no \"%s\" behind \"%s\" in the good file", from, after);
    int length = snprintf(out, TEXT_MAX, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    assert_in_range(length, 1, TEXT_MAX - 1);
    return (size_t)(at - good);
}

/* ---- what is good */

static void the_good_file_loads_without_a_word(void **state)
{
    struct fixture *fix = *state;
    int count = load_text(fix, good);
    assert_string_equal(fix->told, "");
    assert_int_equal(count, 0);
    const struct conf *conf = &fix->conf;
    assert_string_equal(conf->node_id.text, "board-a");
    assert_true(conf->issuer_role);
    assert_true(conf->agent_role);
    assert_int_equal(conf->policy_count, 1);
    assert_int_equal(conf->policy[0].holder_count, 2);
    assert_string_equal(conf->policy[0].holder[1].text, "board-b");
    assert_int_equal(conf->resource[0].output_count, 2);
    assert_int_equal(conf->resource[0].output[0].kind, CONF_OUTPUT_PULSE);
    assert_true(conf->resource[0].output[0].has_readback);
    assert_int_equal(conf->resource[0].output[0].readback.line, 27);
    assert_string_equal(conf->resource[0].output[0].readback.name, "AUX");
    assert_true(conf->resource[0].output[0].readback_active_low);
    assert_int_equal(conf->resource[0].output[0].readback_bias, HAL_BIAS_PULL_UP);
    assert_string_equal(conf->resource[0].output[0].line.name, "PUMP");
    assert_string_equal(conf->resource[0].output[1].line.name, "");
    assert_int_equal(conf->resource[0].output[1].line.line, 17);
    assert_false(conf->resource[0].output[1].has_readback);
    assert_true(conf->resource[0].output[1].active_low);
    assert_int_equal(conf->resource[0].fence.us, 4500000);
    assert_int_equal(conf->actuator[0].unit, 1);
    assert_string_equal(conf->console_listen, "[::]:7443");
}

static void paths_become_absolute_by_the_file_s_folder(void **state)
{
    struct fixture *fix = *state;
    char wanted[128];
    assert_int_equal(load_text(fix, good), 0);
    snprintf(wanted, sizeof(wanted), "%s/ca.crt", fix->folder);
    assert_string_equal(fix->conf.tls_ca, wanted);
    snprintf(wanted, sizeof(wanted), "%s/acquired", fix->folder);
    assert_string_equal(fix->conf.resource[0].on_acquired, wanted);
    assert_string_equal(fix->conf.resource[0].on_lost, "/etc/holdfast/lost");
}

static void every_shipped_example_loads_without_a_word(void **state)
{
    struct fixture *fix = *state;
    DIR *folder = opendir("conf/examples");
    assert_non_null(folder);
    int found = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char file[300];
        if (!strstr(entry->d_name, ".conf"))
            continue;
        snprintf(file, sizeof(file), "conf/examples/%s", entry->d_name);
        int count = load_file(fix, file);
        if (count != 0 || fix->told[0] != '\0')
            fail_msg("%s", fix->told);
        found++;
    }
    closedir(folder);
    assert_true(found >= 3);
}

static void what_is_left_out_gets_its_default(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(load_file(fix, "conf/examples/gpio-relay.conf"), 0);
    const struct conf *conf = &fix->conf;
    assert_false(conf->issuer_role);
    assert_false(conf->has_gateway);
    assert_false(conf->has_console);
    assert_string_equal(conf->data_dir, "/var/lib/holdfast");
    assert_int_equal(conf->heartbeat_ms, 50);
    assert_int_equal(conf->election_ms, 300);
    assert_int_equal(conf->drift_ppm, 2000);
    assert_int_equal(conf->resource[0].priority, 0);
    assert_int_equal(conf->resource[0].failback, CONF_FAILBACK_MANUAL);
    assert_int_equal(load_file(fix, "conf/examples/board-a.conf"), 0);
    assert_int_equal(conf->resource[0].output[0].readback_bias, HAL_BIAS_AS_IS);
    assert_false(conf->resource[0].output[0].readback_active_low);
}

/* ---- each key, mutated */

/* The good file with the value of the key marked `path` made `value`; returns the line. */
static unsigned mutate(char *out, const char *path, const char *value)
{
    char marker[128];
    snprintf(marker, sizeof(marker), " # %s\n", path);
    const char *end = strstr(good, marker);
    if (!end)
        fail_msg("no line of %s in the good file", path);
    const char *leaf = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
    const char *start = end;
    while (start > good && start[-1] != '\n')
        start--;
    start = strstr(start, leaf);
    assert_non_null(start);
    snprintf(out, TEXT_MAX, "%.*s%s = %s;%s", (int)(start - good), good, leaf, value, end);
    return line_at(good, end);
}

static void check_mutant(struct fixture *fix, const struct conf_key *key, const char *value)
{
    char text[TEXT_MAX];
    char allowed[200];
    unsigned line = mutate(text, key->path, value);
    int count = load_text(fix, text);
    conf_key_allowed(key, allowed, sizeof(allowed));
    expect_one_error(fix, count, line, conf_key_leaf(key));
    expect_one_error(fix, count, line, allowed);
}

static bool is_scalar(const struct conf_key *key)
{
    return key->type != CONF_TYPE_GROUP && key->type != CONF_TYPE_LIST;
}

static void every_key_refuses_a_value_of_a_wrong_type(void **state)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        if (!is_scalar(key))
            continue;
        check_mutant(*state, key, "{ }");
        check_mutant(*state, key, key->type == CONF_TYPE_INT ? "\"12\"" : "12");
        check_mutant(*state, key, "1.5");
    }
}

static void every_number_refuses_what_is_below_its_minimum_or_above_its_maximum(void **state)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        char value[32];
        if (key->type != CONF_TYPE_INT)
            continue;
        snprintf(value, sizeof(value), "%lld", (long long)key->min - 1);
        check_mutant(*state, key, value);
        snprintf(value, sizeof(value), "%lld", (long long)key->max + 1);
        check_mutant(*state, key, value);
    }
}

static void every_text_refuses_what_it_cannot_be(void **state)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        if (!is_scalar(key) || key->type == CONF_TYPE_INT || key->type == CONF_TYPE_BOOL ||
            key->type == CONF_TYPE_NAMES)
            continue;
        check_mutant(*state, key, "\"\"");
        check_mutant(*state, key, "\"a\\nb\"");
    }
}

static void every_group_refuses_an_unknown_key_and_names_the_nearest(void **state)
{
    struct fixture *fix = *state;
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        char text[TEXT_MAX];
        char marker[128];
        char extra[200];
        char wanted[200];
        if (!is_scalar(key))
            continue;
        snprintf(marker, sizeof(marker), " # %s\n", key->path);
        snprintf(extra, sizeof(extra), " %sx = 1; # %s\n", conf_key_leaf(key), key->path);
        size_t at = edit(text, marker, marker, extra);
        snprintf(wanted, sizeof(wanted), "%sx: unknown key, the nearest known one is %s\n",
                 conf_key_leaf(key), key->path);
        expect_one_error(fix, load_text(fix, text), line_at(good, good + at), wanted);
    }
}

static void every_required_key_is_missed_at_the_line_of_its_group(void **state)
{
    struct fixture *fix = *state;
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        char text[TEXT_MAX];
        char comment[128];
        if (!is_scalar(key) || !key->required)
            continue;
        mutate(text, key->path, "0");
        /* The mutated line becomes a comment. */
        snprintf(comment, sizeof(comment), "%s = 0;", conf_key_leaf(key));
        char *start = strstr(text, comment);
        assert_non_null(start);
        *start = '#';
        int count = load_text(fix, text);
        if (count != 1 || !strstr(fix->told, "missing") || !strstr(fix->told, conf_key_leaf(key)) ||
            strstr(fix->told, ":0:"))
            fail_msg("%s left out: %d\n%s", key->path, count, fix->told);
    }
}

static void lists_refuse_elements_that_are_no_groups(void **state)
{
    struct fixture *fix = *state;
    static const char *const lists[] = { "policy = (", "resources = (", "outputs = (",
                                         "actuators = (" };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        char text[TEXT_MAX];
        char with[64];
        snprintf(with, sizeof(with), "%s 5,", lists[i]);
        size_t at = edit(text, lists[i], lists[i], with);
        expect_one_error(fix, load_text(fix, text), line_at(good, good + at),
                         "[0]: 5, must be a group");
    }
}

/* ---- across keys */

struct cross {
    const char *after; /* in the good file, where to begin looking */
    const char *from;
    const char *to;
    const char *at; /* text at whose line the error is, in the edited file */
    const char *says;
};

static const struct cross crosses[] = {
    { "heartbeat_ms", "50", "150", "heartbeat_ms", "300 ms / 2 = 150 ms" },
    { "issuers", "} );", "}, { id = \"b\"; address = \"10.0.0.2:1\"; } );", "issuers",
      "a majority of two is two" },
    { "issuers", "} );",
      "}, { id = \"b\"; address = \"10.0.0.2:1\"; },\n"
      "{ id = \"b\"; address = \"10.0.0.3:1\"; } );",
      "{ id = \"b\"; address = \"10.0.0.3", "every id must be different" },
    { "issuers", "} );",
      "}, { id = \"b\"; address = \"10.0.0.2:1\"; },\n"
      "{ id = \"c\"; address = \"10.0.0.2:1\"; } );",
      "{ id = \"c\"; address", "every address must be different" },
    { "console = {", "listen = ", "listen = \"10.0.0.1:7400\"; # ", "7400\"; # \"",
      "\"10.0.0.1:7400\" is cluster.listen already, every address must be different" },
    { "node", "id = \"board-a\"", "id = \"board-z\"", "issuer = {", "is none of them" },
    { "cluster = {", "listen = ", "# ", "cluster = {", "its peers connect to it" },
    { "ttl_max_ms", "5000", "900", "ttl_ms = 1000", "ttl_max_ms = 900 ms" },
    { "fence_max_ms", "4500", "4499", "outputs = (", "4500 ms, must be at most issuer.policy[0]" },
    { "holders", "\"board-b\"", "\"board-a\"", "holders", "each board once is allowed" },
    { "release_ms", "5", "700", "ttl_ms = 1000", "998 - 700 - 200 = 98 ms" },
    { "hold_ms", "40", "1", "hold_ms", "2 * 2 ms = 4 ms" },
    { "rate_hz", "500", "60", "release_ms", "8.334 ms at 60 Hz" },
    { "rate_hz", "rate_hz = 500;", "", "{ name = \"enable\"", "10 to 2000 Hz" },
    { "hold_ms", "hold_ms = 40;", "", "{ name = \"enable\"", "1 to 1000 ms" },
    { "name = \"relay\"", "active_low = true;", "rate_hz = 50;", "rate_hz = 50;",
      "kind = \"pulse\"" },
    { "rate_hz", "rate_hz = 500;", "rate_hz = 500; reset_ms = 4;", "reset_ms = 4",
      "kind = \"gpio\"" },
    { "reset_ms", "reset_ms = 500;", "", "{ name = \"relay\"", "must have it: 1 to 60000 ms" },
    { "covers", "\"kernel\"", "\"process\"", "reset_ms = 500", "covers = \"kernel\"" },
    { "within_ms", "5", "960", "within_ms", "40 + 960 = 1000 ms must be below" },
    { "line = 27", "27", "17", "line = 17; # agent.resources[].outputs[].readback", "used once" },
    { "line = 17;",
      "line = 17; # agent.resources[].outputs[].line\n          line_name = \"PUMP\";", "",
      "{ name = \"enable\"", "0 to 1023, where there is no line_name" },
    { "chip = \"gpiochip0\"; # agent.resources[].outputs[].readback",
      "line = 27; # agent.resources[].outputs[].readback.line\n            line_name = \"AUX\";",
      "line_name = \"PUMP\";", "line_name = \"PUMP\"; # agent.resources[].outputs[].readback",
      "line_name: gpiochip0 line \"PUMP\" is agent.resources[0].outputs[0].line already" },
    { "{ name = \"relay\"", "relay", "enable", "{ name = \"enable\"; kind = \"gpio\"",
      "every name must be different" },
    { "hal = {", "socket = \"bench.sock\";", "", "hal = {", "the bench's socket" },
    { "hal = {", "\"sim\"", "\"linux\"", "socket = ", "allowed only for backend = \"sim\"" },
    { "gateway = {", "resource = \"pump\"", "resource = \"fan\"", "resource = \"fan\"",
      "one of agent.resources" },
    { "response_ms", "100", "993", "response_ms", "998 - 5 = 993 ms" },
    { "response_ms = 100", "} );", "},\n{ unit = 1; tcp = \"10.0.0.5:1\"; response_ms = 5; } );",
      "{ unit = 1; tcp", "every unit must be different" },
};

static void numbers_that_do_not_add_up_are_refused_at_the_line_to_change(void **state)
{
    struct fixture *fix = *state;
    for (size_t i = 0; i < sizeof(crosses) / sizeof(crosses[0]); i++) {
        const struct cross *cross = &crosses[i];
        char text[TEXT_MAX];
        edit(text, cross->after, cross->from, cross->to);
        const char *at = strstr(text, cross->at);
        assert_non_null(at);
        expect_one_error(fix, load_text(fix, text), line_at(text, at), cross->says);
    }
}

/* The last value that is still good, where the next one is refused or warned of. */
static const struct limit {
    const char *after;
    const char *from;
    const char *to;
    const char *one_more; /* is told as "... one_more ..." */
    const char *says;
} limits[] = {
    { "issuer.policy[].holders", "ttl_max_ms = 5000", "ttl_max_ms = 1000", "ttl_max_ms = 999",
      "1000 ms, must be at most issuer.policy[0].ttl_max_ms = 999 ms" },
    { "outputs[].rate_hz", "hold_ms = 40", "hold_ms = 4", "hold_ms = 3",
      "3 ms, must be at least two periods of 500 Hz" },
    { "agent.resources[].name", "ttl_ms = 1000", "ttl_ms = 821", "ttl_ms = 820",
      "820 ms is below the recommended 820.803 ms" },
    { "outputs[].rate_hz", "within_ms = 5", "within_ms = 959", "within_ms = 960",
      "hold_ms + within_ms = 40 + 960 = 1000 ms must be below ttl_ms" },
    { "active_low", "reset_ms = 500",
      "reset_ms = 500; readback = { chip = \"c\"; line = 1; within_ms = 5; }",
      "reset_ms = 500; readback = { chip = \"c\"; line = 1; within_ms = 6; }",
      "6 ms is longer than release_ms = 5 ms" },
    { "cluster.name", "10.0.0.1:7400", "10.0.0.1:740", "10.0.0.1:07400", "\"10.0.0.1:07400\"" },
};

static void what_is_just_good_is_taken_without_a_word_and_one_more_is_not(void **state)
{
    struct fixture *fix = *state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct limit *limit = &limits[i];
        char text[TEXT_MAX];
        edit(text, limit->after, limit->from, limit->to);
        int count = load_text(fix, text);
        if (count != 0 || fix->told[0] != '\0')
            fail_msg("%s: %s", limit->to, fix->told);
        edit(text, limit->after, limit->from, limit->one_more);
        (void)load_text(fix, text);
        if (!strstr(fix->told, limit->says))
            fail_msg("%s: %s", limit->one_more, fix->told);
    }
}

/*
 * A clock that is fast by 10 % counts 44 ms while an output holds for its 40: at hold_ms + within_ms
 * the guard has to be later than that.
 */
static void readback_has_time_left_on_a_fast_clock(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "timing = {", "drift_ppm = 2000", "drift_ppm = 100000");
    int count = load_text(fix, text);
    assert_string_equal(fix->told, "");
    assert_int_equal(count, 0);
    char *within = strstr(text, "within_ms = 5");
    assert_non_null(within);
    memcpy(within, "within_ms = 4", strlen("within_ms = 4"));
    expect_one_error(fix, load_text(fix, text), line_at(text, within),
                     "readback.within_ms: 4 ms, must be above hold_ms * drift_ppm = 40 ms * 100000 "
                     "ppm = 4 ms");
}

/* ttl * (1 - drift) - release_ms - interval = 998 - 398 - 200 = 400 ms = two intervals. */
static void two_renewals_that_just_fit_are_enough(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "agent.resources[].name", "release_ms = 5", "release_ms = 398");
    (void)load_text(fix, text);
    assert_null(strstr(fix->told, "does not add up"));
    edit(text, "agent.resources[].name", "release_ms = 5", "release_ms = 399");
    (void)load_text(fix, text);
    assert_non_null(strstr(fix->told, "does not add up"));
}

/* A Unix socket's path has 107 characters at most. */
static void folder_may_be_as_long_as_a_socket_in_it_allows(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    char folder[128] = "/";
    memset(folder + 1, 'r', 96 - 1);
    edit(text, "node.data_dir", "/run/holdfast", folder);
    assert_int_equal(load_text(fix, text), 0);
    folder[96] = 'r';
    edit(text, "node.data_dir", "/run/holdfast", folder);
    assert_int_equal(load_text(fix, text), 1);
    assert_non_null(strstr(fix->told, "RUN/guard.sock 108 characters long"));
}

static void every_number_takes_its_minimum_and_its_maximum(void **state)
{
    struct fixture *fix = *state;
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        if (key->type != CONF_TYPE_INT)
            continue;
        for (int end = 0; end < 2; end++) {
            char text[TEXT_MAX];
            char value[32];
            char allowed[200];
            char told[300];
            snprintf(value, sizeof(value), "%lld", (long long)(end == 0 ? key->min : key->max));
            (void)mutate(text, key->path, value);
            (void)load_text(fix, text);
            conf_key_allowed(key, allowed, sizeof(allowed));
            snprintf(told, sizeof(told), ", must be %s", allowed);
            if (strstr(fix->told, told))
                fail_msg("%s", fix->told);
        }
    }
}

static void an_output_that_covers_the_kernel_needs_a_watchdog(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "watchdog = {", "watchdog = {", "/*");
    char *end = strstr(strstr(text, "close_pings"), "};");
    memcpy(end, "*/", 2);
    unsigned line = line_at(text, strstr(text, "covers = "));
    expect_one_error(fix, load_text(fix, text), line, "needs the group \"watchdog\"");
}

static void a_board_with_an_agent_must_name_its_hardware(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "hal = {", "hal = {", "/*");
    char *end = strstr(strstr(text, "bench.sock"), "};");
    memcpy(end, "*/", 2);
    unsigned line = line_at(text, strstr(text, "agent = {"));
    expect_one_error(fix, load_text(fix, text), line, "must say what its lines are");
}

static void an_issuer_without_a_policy_is_refused(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "issuer = {", "issuer = {", "/*");
    char *end = strstr(strstr(text, "ttl_max_ms"), "};");
    memcpy(end, "*/", 2);
    expect_one_error(fix, load_text(fix, text), 2, "the group \"issuer\" with its policy");
}

static void a_linux_watchdog_counts_in_whole_seconds(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    FILE *file = fopen("conf/examples/board-a.conf", "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    char *timeout = strstr(text, "timeout_ms = 2000");
    memcpy(timeout, "timeout_ms = 1500", 17);
    expect_one_error(fix, load_text(fix, text), line_at(text, timeout), "whole seconds");
    memcpy(timeout, "timeout_ms =16000", 17);
    assert_int_equal(load_text(fix, text), 0);
    assert_non_null(strstr(fix->told, "warning: watchdog.timeout_ms: 16000 ms is above"));
    memcpy(timeout, "timeout_ms =15000", 17);
    assert_int_equal(load_text(fix, text), 0);
    assert_string_equal(fix->told, "");
}

/* While one is replaced, there are four. */
static void four_issuers_are_a_warning(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "issuers", "} );",
         "}, { id = \"b\"; address = \"10.0.0.2:1\"; },\n"
         "{ id = \"c\"; address = \"10.0.0.3:1\"; }, { id = \"d\"; address = \"10.0.0.4:1\"; } );");
    assert_int_equal(load_text(fix, text), 0);
    assert_non_null(strstr(fix->told, "warning: cluster.issuers: 4 issuers"));
    assert_non_null(strstr(fix->told, "4 survive no more losses than 3"));
}

static void a_ttl_below_the_recommended_one_is_a_warning(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "ttl_ms = 1000", "1000", "800");
    assert_int_equal(load_text(fix, text), 0);
    assert_int_equal(lines_told(fix), 1);
    assert_non_null(strstr(fix->told, "warning: agent.resources[0].ttl_ms: 800 ms is below the "
                                      "recommended 820.803 ms"));
}

static void every_error_is_told_at_once_in_the_order_of_lines(void **state)
{
    struct fixture *fix = *state;
    int count = load_text(fix, "node = { id = \"?\"; };\n"
                               "cluster = { name = 3; issuers = ( ); };\n"
                               "hal = { backend = \"sun\"; };\n"
                               "consul = { };\n"
                               "timing = { heartbeat_ms = 1; };\n");
    assert_int_equal(count, 7);
    unsigned last = 0;
    for (const char *at = fix->told; *at != '\0'; at = strchr(at, '\n') + 1) {
        unsigned line = (unsigned)strtoul(at + strlen(fix->file) + 1, NULL, 10);
        assert_true(line >= last);
        last = line;
    }
    assert_non_null(strstr(fix->told, "tls: missing"));
    assert_non_null(strstr(fix->told, ":4: consul: unknown key, the nearest known one is console"));
}

static void a_known_key_in_a_wrong_group_is_shown_where_it_belongs(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "timing = {", "timing = {", "timing = { rate_hz = 5;");
    load_text(fix, text);
    assert_non_null(strstr(fix->told, "is agent.resources[].outputs[].rate_hz"));
}

/* ---- files */

static void what_is_no_readable_text_is_refused(void **state)
{
    struct fixture *fix = *state;
    expect_one_error(fix, load_bytes(fix, "a = 1;\0b = 2;", 13), 0, "zero byte at offset 6");
    expect_one_error(fix, load_text(fix, "node = {\n id = ;\n"), 2, "syntax");
    expect_one_error(fix, load_text(fix, "node = { id = \"a\"; \nid = \"b\"; };"), 2, "duplicate");
    char *big = malloc(1100000);
    memset(big, '#', 1100000);
    expect_one_error(fix, load_bytes(fix, big, 1100000), 0, "1048576 bytes");
    free(big);
    unlink(fix->file);
    expect_one_error(fix, load_file(fix, fix->file), 0, "No such file");
    assert_int_equal(load_file(fix, fix->folder), 1);
    assert_non_null(strstr(fix->told, "is a directory"));
}

/* Whoever waited for the end of a pipe would wait for ever. */
static void what_is_no_regular_file_is_refused_at_once(void **state)
{
    struct fixture *fix = *state;
    int ends[2];
    char pipe_file[64];
    (void)alarm(60);
    assert_int_equal(mkfifo(fix->file, 0600), 0);
    expect_one_error(fix, load_file(fix, fix->file), 0,
                     "cannot read: it is a pipe, must be a regular file");
    unlink(fix->file);
    assert_int_equal(symlink("/dev/null", fix->file), 0);
    expect_one_error(fix, load_file(fix, fix->file), 0, "it is a device, must be a regular file");
    unlink(fix->file);
    assert_int_equal(pipe(ends), 0);
    snprintf(pipe_file, sizeof(pipe_file), "/dev/fd/%d", ends[0]);
    assert_int_equal(load_file(fix, pipe_file), 1);
    assert_non_null(strstr(fix->told, "it is a pipe, must be a regular file"));
    close(ends[0]);
    close(ends[1]);
    (void)alarm(0);
}

static void file_by_a_link_or_of_standard_input_is_a_file_still(void **state)
{
    struct fixture *fix = *state;
    char link[sizeof(fix->folder) + 8];
    char by_number[64];
    assert_int_equal(load_text(fix, good), 0);
    snprintf(link, sizeof(link), "%s/link", fix->folder);
    assert_int_equal(symlink(fix->file, link), 0);
    assert_int_equal(load_file(fix, link), 0);
    unlink(link);
    int fd = open(fix->file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(by_number, sizeof(by_number), "/dev/fd/%d", fd);
    assert_int_equal(load_file(fix, by_number), 0);
    close(fd);
}

/* libconfig 1.5 keeps the low 32 bits of such a number: 4294968296 would be 1000. */
static void a_number_too_large_for_its_reader_is_refused_not_cut(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    edit(text, "ttl_ms = 1000", "1000", "4294968296");
    unsigned line = line_at(text, strstr(text, "4294968296"));
    expect_one_error(fix, load_text(fix, text), line, "number 4294968296");
    edit(text, "ttl_ms = 1000", "1000", "0x1000003E8");
    expect_one_error(fix, load_text(fix, text), line, "number 0x1000003E8");
    edit(text, "ttl_ms = 1000", "1000;", "1000; # 4294968296 \"/*");
    assert_int_equal(load_text(fix, text), 0);
}

static void number_with_a_unit_is_named(void **state)
{
    struct fixture *fix = *state;
    static const char *const units[] = { "1000ms", "1000 ms", "1s", "1 s", "5%", "1000\tMs" };
    static const char *const none[] = { "1000L", "1000 # ms\n", "1000 /* ms */", "1000\n" };
    char text[TEXT_MAX];
    char says[64];
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        edit(text, "ttl_ms = 1000", "1000", units[i]);
        snprintf(says, sizeof(says), "number %s, must be without a unit", units[i]);
        if (strchr(units[i], '\t') != NULL) /* printed as anything but a tab */
            snprintf(says, sizeof(says), "must be without a unit");
        expect_one_error(fix, load_text(fix, text), line_at(text, strstr(text, "ttl_ms = ")), says);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        edit(text, "ttl_ms = 1000", "1000", none[i]);
        assert_int_equal(load_text(fix, text), 0);
    }
    edit(text, "ttl_ms = 1000", "1000;", "1000 "); /* a ';' may be left out */
    assert_int_equal(load_text(fix, text), 0);
}

static void string_without_an_end_is_named_by_its_start(void **state)
{
    struct fixture *fix = *state;
    expect_one_error(fix, load_text(fix, "# \"\nnode = { id = \"board-a; };\n\n"), 2,
                     "a string that starts here has no end");
    expect_one_error(fix, load_text(fix, "node = { id = \"board-a\\\"; };\n"), 1, "no end");
}

/* As editors of Windows write it. */
static void byte_order_mark_is_named_and_how_to_take_it_away(void **state)
{
    struct fixture *fix = *state;
    static char text[TEXT_MAX];
    snprintf(text, sizeof(text), "\xef\xbb\xbf%s", good);
    expect_one_error(fix, load_text(fix, text), 1, "syntax: a byte order mark (EF BB BF), must");
    assert_non_null(strstr(fix->told, "tail -c +4 FILE > NEW-FILE"));
    assert_int_equal(load_text(fix, text + 3), 0); /* what that leaves */
}

static void lines_may_end_as_on_windows(void **state)
{
    struct fixture *fix = *state;
    static char text[2 * TEXT_MAX];
    size_t length = 0;
    assert_int_equal(load_text(fix, good), 0);
    uint64_t digest = fix->conf.digest;
    for (const char *from = good; *from != '\0'; from++) {
        if (*from == '\n')
            text[length++] = '\r';
        text[length++] = *from;
    }
    int count = load_bytes(fix, text, length);
    assert_string_equal(fix->told, "");
    assert_int_equal(count, 0);
    assert_true(fix->conf.digest == digest);
    memcpy(strstr(text, "ttl_ms = 1000"), "ttl_ms = 1   ", 13);
    expect_one_error(fix, load_bytes(fix, text, length), line_at(text, strstr(text, "ttl_ms = 1 ")),
                     "1 ms, must be");
}

static void another_file_cannot_be_included(void **state)
{
    struct fixture *fix = *state;
    expect_one_error(fix, load_text(fix, "# @include\n@include \"other.conf\"\n"), 2, "@include");
}

/* ---- digests */

static void the_cluster_digest_is_that_of_what_all_nodes_agree_on(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    assert_int_equal(load_file(fix, "conf/examples/board-a.conf"), 0);
    uint64_t cluster = fix->conf.cluster_digest;
    uint64_t own = fix->conf.digest;
    assert_int_equal(load_file(fix, "conf/examples/witness.conf"), 0);
    assert_true(fix->conf.cluster_digest == cluster);
    assert_true(fix->conf.digest != own);
    assert_int_equal(load_text(fix, good), 0);
    cluster = fix->conf.cluster_digest;
    edit(text, "drift_ppm", "2000", "2001");
    assert_int_equal(load_text(fix, text), 0);
    assert_true(fix->conf.cluster_digest != cluster);
}

static void the_digest_is_that_of_the_meaning_not_of_the_text(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    assert_int_equal(load_text(fix, good), 0);
    uint64_t digest = fix->conf.digest;
    edit(text, "failback", "failback = \"manual\";", "");
    assert_int_equal(load_text(fix, text), 0);
    assert_true(fix->conf.digest == digest);
    edit(text, "priority", "priority = 100;", "/* moved */");
    strcpy(strstr(text, "# agent.resources[].name"), "priority = 100;\n");
    strcat(text, strstr(good, "      ttl_ms = 1000"));
    char *second = strstr(strstr(text, "ttl_ms = 1000"), "priority = 100;");
    memset(second, ' ', strlen("priority = 100;"));
    assert_int_equal(load_text(fix, text), 0);
    assert_true(fix->conf.digest == digest);
    edit(text, "priority", "100", "101");
    assert_int_equal(load_text(fix, text), 0);
    assert_true(fix->conf.digest != digest);
}

/* ---- what is printed */

static void the_bound_is_the_sum_of_its_printed_parts(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    assert_int_equal(load_file(fix, "conf/examples/board-a.conf"), 0);
    const struct conf *conf = &fix->conf;
    struct timing_bound bound = conf_failover_bound(conf, &conf->resource[0]);
    assert_int_equal(bound.lease.us, 1022040);
    assert_int_equal(bound.total.us,
                     bound.lease.us + bound.grant.us + bound.renewal.us + bound.energise.us);
    assert_true(conf_failover_bound_leader(conf, &conf->resource[0]).us >= bound.total.us + 600000);
    FILE *out = fmemopen(text, sizeof(text), "w");
    conf_print_budget(conf, out, false);
    fclose(out);
    assert_non_null(strstr(text, "t0 + T * (1 - rho) - r = t0 + 998 - 5"));
    assert_non_null(strstr(text, "t1 + (1000 + 20) * (1 + 2000 ppm)"));
    assert_non_null(strstr(text, "1082.04 ms"));
}

static void budget_of_an_output_with_a_long_name_keeps_its_columns(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    char printed[TEXT_MAX] = "";
    edit(text, "outputs = (", "\"enable\"", "\"a-name-of-31-letters-as-allowed\"");
    assert_int_equal(load_text(fix, text), 0);
    FILE *out = fmemopen(printed, sizeof(printed), "w");
    conf_print_budget(&fix->conf, out, false);
    fclose(out);
    const char *output = strstr(printed, "   a-name-of-31-letters-as-allowed ");
    const char *ttl = strstr(printed, "T  ttl ");
    assert_non_null(output);
    assert_non_null(ttl);
    assert_ptr_equal(strstr(output, " ms   pulse") - (output - ttl), strstr(ttl, " ms   ttl_ms"));
}

static void the_budget_as_json_is_one_object_on_one_line(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    assert_int_equal(load_text(fix, good), 0);
    FILE *out = fmemopen(text, sizeof(text), "w");
    conf_print_budget(&fix->conf, out, true);
    fclose(out);
    assert_true(text[0] == '{');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "\"fence_ms\":4500,\"outputs\":[{\"name\":\"enable\""));
    assert_non_null(strstr(text, "\"deadline_ms\":993,"));
}

static void the_man_page_lists_what_the_schema_knows(void **state)
{
    (void)state;
    static char page[65536];
    static char keys[65536];
    FILE *file = fopen("firmware/man/holdfast.conf.5", "r");
    assert_non_null(file);
    size_t length = fread(page, 1, sizeof(page) - 1, file);
    fclose(file);
    page[length] = '\0';
    FILE *out = fmemopen(keys, sizeof(keys), "w");
    conf_print_reference_man(out);
    fclose(out);
    if (!strstr(page, keys))
        fail_msg("firmware/man/holdfast.conf.5 is not in step with `holdfastctl reference man`");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_good_file_loads_without_a_word),
        cmocka_unit_test(paths_become_absolute_by_the_file_s_folder),
        cmocka_unit_test(every_shipped_example_loads_without_a_word),
        cmocka_unit_test(what_is_left_out_gets_its_default),
        cmocka_unit_test(every_key_refuses_a_value_of_a_wrong_type),
        cmocka_unit_test(every_number_refuses_what_is_below_its_minimum_or_above_its_maximum),
        cmocka_unit_test(every_text_refuses_what_it_cannot_be),
        cmocka_unit_test(every_group_refuses_an_unknown_key_and_names_the_nearest),
        cmocka_unit_test(every_required_key_is_missed_at_the_line_of_its_group),
        cmocka_unit_test(lists_refuse_elements_that_are_no_groups),
        cmocka_unit_test(numbers_that_do_not_add_up_are_refused_at_the_line_to_change),
        cmocka_unit_test(what_is_just_good_is_taken_without_a_word_and_one_more_is_not),
        cmocka_unit_test(readback_has_time_left_on_a_fast_clock),
        cmocka_unit_test(two_renewals_that_just_fit_are_enough),
        cmocka_unit_test(folder_may_be_as_long_as_a_socket_in_it_allows),
        cmocka_unit_test(every_number_takes_its_minimum_and_its_maximum),
        cmocka_unit_test(an_output_that_covers_the_kernel_needs_a_watchdog),
        cmocka_unit_test(a_board_with_an_agent_must_name_its_hardware),
        cmocka_unit_test(an_issuer_without_a_policy_is_refused),
        cmocka_unit_test(a_linux_watchdog_counts_in_whole_seconds),
        cmocka_unit_test(four_issuers_are_a_warning),
        cmocka_unit_test(a_ttl_below_the_recommended_one_is_a_warning),
        cmocka_unit_test(every_error_is_told_at_once_in_the_order_of_lines),
        cmocka_unit_test(a_known_key_in_a_wrong_group_is_shown_where_it_belongs),
        cmocka_unit_test(what_is_no_readable_text_is_refused),
        cmocka_unit_test(what_is_no_regular_file_is_refused_at_once),
        cmocka_unit_test(file_by_a_link_or_of_standard_input_is_a_file_still),
        cmocka_unit_test(a_number_too_large_for_its_reader_is_refused_not_cut),
        cmocka_unit_test(number_with_a_unit_is_named),
        cmocka_unit_test(string_without_an_end_is_named_by_its_start),
        cmocka_unit_test(byte_order_mark_is_named_and_how_to_take_it_away),
        cmocka_unit_test(lines_may_end_as_on_windows),
        cmocka_unit_test(another_file_cannot_be_included),
        cmocka_unit_test(the_cluster_digest_is_that_of_what_all_nodes_agree_on),
        cmocka_unit_test(the_digest_is_that_of_the_meaning_not_of_the_text),
        cmocka_unit_test(the_bound_is_the_sum_of_its_printed_parts),
        cmocka_unit_test(budget_of_an_output_with_a_long_name_keeps_its_columns),
        cmocka_unit_test(the_budget_as_json_is_one_object_on_one_line),
        cmocka_unit_test(the_man_page_lists_what_the_schema_knows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
