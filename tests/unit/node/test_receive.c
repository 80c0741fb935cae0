/*
 * Who may say what to a node: real roles, without a hub. This test says it for the hub.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/init.h"
#include "node/node_private.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/log_file.h"
#include "tests/unit/support/unit.h"

enum { ISSUERS = 3, TESTS_MAX = 32 };

static char folder[32];
static uv_loop_t loop;
static struct conf conf;
static struct node *node;
static struct peer_events hub;
static unsigned told;     /* by node_events */
static unsigned answered; /* by the issuer here, to what another one asks */

/* A node's memory, and its roles', are the process's: this keeps them in sight of the leak checker. */
static struct node *started[TESTS_MAX];
static size_t started_count;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static void configure(void)
{
    memset(&conf, 0, sizeof(conf));
    snprintf(conf.file, sizeof(conf.file), "%s/holdfast.conf", folder);
    snprintf(conf.data_dir, sizeof(conf.data_dir), "%s", folder);
    snprintf(conf.run_dir, sizeof(conf.run_dir), "%s", folder);
    conf.cluster_name = name("line-3");
    conf.node_id = name("i1");
    conf.election_ms = 60000; /* no election comes in between */
    conf.heartbeat_ms = 1000;
    conf.slow_store_ms = 1000;
    conf.issuer_role = true;
    conf.issuer_count = ISSUERS;
    for (int i = 0; i < ISSUERS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "i%d", i + 1);
        conf.issuer[i].id = name(text);
        snprintf(conf.issuer[i].address, sizeof(conf.issuer[i].address), "10.0.0.%d:7400", i + 1);
    }
    conf.agent_role = true;
    conf.hal = HAL_LINUX;
    conf.resource_count = 1;
    conf.resource[0].name = name("pump");
    conf.resource[0].ttl_ms = 1000;
    conf.resource[0].release_ms = 5;
    conf.resource[0].fence = span_from_ms(20);
}

static void begin(void)
{
    FILE *nowhere = fopen("/dev/null", "w");
    const struct init init = {
        .conf = &conf, .platform = &disk_platform_system, .out = nowhere, .errors = stderr
    };
    assert_non_null(nowhere);
    assert_true(init_run(&init));
    fclose(nowhere);
}

static void on_members(void *context, const struct raft *raft)
{
    node_members_follow(context, raft);
}

static bool link_settled(void *context, const struct hf_name *issuer)
{
    (void)context;
    (void)issuer;
    return false;
}

static bool count_answer(void *context, const struct raft_message *sent)
{
    answered += sent->kind == RAFT_RECOVER_REPLY;
    return node_send_raft(context, sent);
}

static void start_roles(void)
{
    const struct issuer_shell_config issuer = {
        .loop = &loop,
        .conf = &conf,
        .random_seed = 1,
        .callbacks = { .send_raft = count_answer,
                       .send_to_agent = node_send_to_agent,
                       .send_store = node_send_store,
                       .send_issuers = node_send_issuers,
                       .on_members = on_members,
                       .link_settled = link_settled },
        .context = node,
    };
    const struct agent_config agent = { .loop = &loop,
                                        .conf = &conf,
                                        .nonce_start = 5000,
                                        .send_to_issuer = node_send_to_issuer,
                                        .context = node };
    node->issuer = issuer_shell_start(&issuer);
    node->agent = agent_start(&agent);
    assert_non_null(node->issuer);
    assert_non_null(node->agent);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/holdfast-node-XXXXXX");
    assert_non_null(mkdtemp(folder));
    log_file_begin(folder);
    configure();
    begin();
    uv_loop_init(&loop);
    node = calloc(1, sizeof(*node));
    assert_non_null(node);
    assert_true(started_count < TESTS_MAX);
    started[started_count++] = node;
    node->config = (struct node_config){ .loop = &loop, .conf = &conf };
    issuers_init(&node->issuers, &conf);
    node_local_start(node);
    node_members_start(node);
    start_roles();
    hub = node_hub_events(node);
    told = 0;
    answered = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    node_stop(node);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    log_file_end();
    folder_remove(folder);
    return 0;
}

static struct wire_message message;

static void say(const char *from)
{
    const struct hf_name id = name(from);
    hub.on_message(hub.context, &id, &message);
}

static void connect_node(const char *id)
{
    const struct wire_hello hello = { .node = name(id), .agent = true };
    hub.on_up(hub.context, &hello);
}

static const struct hf_name *leader_of_agent(void)
{
    return &agent_holder(node->agent)->leader;
}

/* ---- lease answers */

static void say_leads(const char *from)
{
    message =
        (struct wire_message){ .kind = WIRE_LEASE, .lease = { .kind = LEASE_LEADER, .term = 3 } };
    say(from);
}

static void lease_answers_of_an_issuer_are_taken(void **state)
{
    (void)state;
    connect_node("i2");
    say_leads("i2");
    assert_string_equal(leader_of_agent()->text, "i2");
}

static void lease_answers_of_a_node_that_is_no_issuer_are_not_taken(void **state)
{
    (void)state;
    connect_node("board-x");
    say_leads("board-x");
    assert_true(name_empty(leader_of_agent()));
    assert_int_equal(log_lines("board-x: leader from a node that is no issuer here: ignored"), 1);
}

static void node_that_is_no_issuer_cannot_fill_the_log(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        say_leads("board-x");
    unsigned lines = log_lines("board-x: ");
    assert_true(lines >= 1 && lines <= 8);
}

/* ---- raft */

/* What any issuer answers at once, from memory. */
static void ask(const char *from, const char *claims)
{
    message.kind = WIRE_RAFT;
    message.raft = (struct raft_message){
        .kind = RAFT_RECOVER, .from = name(claims), .to = name("i1"), .term = 50, .life = 7
    };
    say(from);
}

static void raft_message_of_an_issuer_is_taken(void **state)
{
    (void)state;
    assert_int_equal(answered, 0);
    ask("i2", "i2");
    assert_int_equal(answered, 1);
}

static void raft_message_with_a_forged_sender_is_refused(void **state)
{
    (void)state;
    ask("i3", "i2");
    ask("board-x", "i2");
    assert_int_equal(answered, 0);
    assert_int_equal(log_lines("i3: raft message that claims to be from i2: refused"), 1);
    assert_int_equal(log_lines("board-x: raft message that claims to be from i2: refused"), 1);
}

static void raft_message_of_a_node_that_is_no_issuer_is_not_taken(void **state)
{
    (void)state;
    ask("board-x", "board-x");
    assert_int_equal(answered, 0);
    assert_int_equal(log_lines("board-x: raft message from a node that is no issuer here"), 1);
}

/* ---- words about journals and issuers */

static void word_of_a_journal_counts_from_issuers_only(void **state)
{
    (void)state;
    const struct hf_name stranger = name("board-x");
    const struct hf_name issuer = name("i2");
    struct wire_store store;
    message = (struct wire_message){ .kind = WIRE_STORE, .store = { .syncs = 7 } };
    say("board-x");
    assert_false(issuer_shell_store_of(node->issuer, &stranger, &store));
    say("i2");
    assert_true(issuer_shell_store_of(node->issuer, &issuer, &store));
    assert_int_equal(store.syncs, 7);
}

static void say_issuers(const char *from, const struct hf_name *only)
{
    message = (struct wire_message){ .kind = WIRE_ISSUERS, .issuers = { .index = UINT64_MAX } };
    message.issuers.members.count = 1;
    message.issuers.members.member[0].id = *only;
    say(from);
}

static void who_the_issuers_are_is_believed_of_issuers_only(void **state)
{
    (void)state;
    const struct hf_name stranger = name("board-x");
    say_issuers("board-x", &stranger);
    assert_null(issuers_find(node_issuers(node), &stranger));
    assert_int_equal(log_lines("board-x: word of who the issuers are"), 1);
    say_issuers("i2", &stranger);
    assert_non_null(issuers_find(node_issuers(node), &stranger));
}

/* ---- links */

static void issuer_that_is_gone_leads_no_more(void **state)
{
    (void)state;
    const struct hf_name issuer = name("i2");
    connect_node("i2");
    say_leads("i2");
    hub.on_down(hub.context, &issuer, "test");
    assert_true(name_empty(leader_of_agent()));
    assert_false(issuers_find(node_issuers(node), &issuer)->up);
}

static void roles_of_one_process_reach_each_other_by_the_loop(void **state)
{
    (void)state;
    const struct hf_name self = name("i1");
    const struct lease_message leads = { .kind = LEASE_LEADER, .term = 3 };
    agent_link(node->agent, &self, true);
    assert_true(node_send_to_agent(node, &self, &leads));
    assert_true(name_empty(leader_of_agent())); /* never from within */
    while (name_empty(leader_of_agent()))
        uv_run(&loop, UV_RUN_ONCE);
    assert_string_equal(leader_of_agent()->text, "i1");
}

static void queue_between_the_roles_takes_so_many_and_loses_none_of_them(void **state)
{
    (void)state;
    const struct hf_name self = name("i1");
    struct lease_message leads = { .kind = LEASE_LEADER };
    agent_link(node->agent, &self, true);
    for (leads.term = 1; leads.term <= NODE_LOCAL_MAX; leads.term++)
        assert_true(node_send_to_agent(node, &self, &leads));
    assert_false(node_send_to_agent(node, &self, &leads));
    while (name_empty(leader_of_agent()))
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(agent_holder(node->agent)->leader_term, NODE_LOCAL_MAX);
    assert_true(node_send_to_agent(node, &self, &leads));
}

static void without_a_hub_nobody_else_is_up(void **state)
{
    (void)state;
    const struct hf_name other = name("i2");
    const struct lease_message leads = { .kind = LEASE_LEADER, .term = 3 };
    assert_false(node_send_to_agent(node, &other, &leads));
    assert_false(node_send_to_issuer(node, &other, &leads));
}

/* ---- what stands above */

static void count_query(void *context, const struct hf_name *from, const struct wire_query *query)
{
    assert_ptr_equal(context, &told);
    assert_string_equal(from->text, "board-x");
    told += (unsigned)query->id;
}

static void count_down(void *context, const struct hf_name *peer)
{
    assert_ptr_equal(context, &told);
    assert_string_equal(peer->text, "board-x");
    told += 100;
}

static void who_stands_above_is_told_of_queries_and_of_peers_that_go(void **state)
{
    (void)state;
    const struct hf_name peer = name("board-x");
    const struct node_events events = { .context = &told,
                                        .on_query = count_query,
                                        .on_query_reply = count_query,
                                        .on_peer_down = count_down };
    message = (struct wire_message){ .kind = WIRE_QUERY, .query = { .id = 1 } };
    say("board-x"); /* nobody stands there yet */
    node_set_events(node, &events);
    say("board-x");
    assert_int_equal(told, 1);
    message.kind = WIRE_QUERY_REPLY;
    message.query.id = 10;
    say("board-x");
    assert_int_equal(told, 11);
    hub.on_down(hub.context, &peer, "test");
    assert_int_equal(told, 111);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lease_answers_of_an_issuer_are_taken),
        TEST(lease_answers_of_a_node_that_is_no_issuer_are_not_taken),
        TEST(node_that_is_no_issuer_cannot_fill_the_log),
        TEST(raft_message_of_an_issuer_is_taken),
        TEST(raft_message_with_a_forged_sender_is_refused),
        TEST(raft_message_of_a_node_that_is_no_issuer_is_not_taken),
        TEST(word_of_a_journal_counts_from_issuers_only),
        TEST(who_the_issuers_are_is_believed_of_issuers_only),
        TEST(issuer_that_is_gone_leads_no_more),
        TEST(roles_of_one_process_reach_each_other_by_the_loop),
        TEST(queue_between_the_roles_takes_so_many_and_loses_none_of_them),
        TEST(without_a_hub_nobody_else_is_up),
        TEST(who_stands_above_is_told_of_queries_and_of_peers_that_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
