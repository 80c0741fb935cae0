/* Two nodes and what they learn of each other over their link: roles, configuration, issuers. */
#include "tests/unit/console/site.h"

#include <arpa/inet.h>

#include "node/node_private.h"

static const struct hf_name *leader_of(enum site_of at)
{
    return &agent_holder(node_agent(site.node[at].node))->leader;
}

static const struct issuers_peer *issuer_known_to(enum site_of at, const char *id)
{
    const struct hf_name issuer = name(id);
    return issuers_find(node_issuers(site.node[at].node), &issuer);
}

static const struct issuer_client *client_of_issuer(const char *id)
{
    const struct issuer *issuer = &issuer_replica()->issuer;
    for (size_t i = 0; i < issuer->client_count; i++) {
        if (strcmp(issuer->client[i].node.text, id) == 0)
            return &issuer->client[i];
    }
    return NULL;
}

static bool no_change_is_pending(const void *context)
{
    (void)context;
    return !raft_change_pending(&issuer_replica()->raft);
}

static void change_members(enum raft_change change, const char *id, const char *address)
{
    const char *error = NULL;
    struct replica_act act;
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = change,
                                   .node = name(id),
                                   .who = name("olga"),
                                   .address = address,
                                   .text = "member" };
    run_until(no_change_is_pending, NULL);
    assert_int_equal(
        issuer_shell_operate(node_issuer(site.node[ISSUER].node), &event, &act, &error),
        RAFT_ACCEPTED);
}

/* ---- who is there */

static void nodes_tell_each_other_their_roles_and_consoles(void **state)
{
    (void)state;
    const struct hf_name issuer = name("i1");
    const struct hf_name board = name("board-a");
    const struct wire_hello *of_issuer = peer_hub_hello(site.node[BOARD].node->hub, &issuer);
    const struct wire_hello *of_board = peer_hub_hello(site.node[ISSUER].node->hub, &board);
    assert_true(of_issuer != NULL && of_board != NULL);
    assert_true(of_issuer->issuer && !of_issuer->agent);
    assert_true(of_board->agent && !of_board->issuer);
    assert_string_equal(of_issuer->console, site.node[ISSUER].conf.console_listen);
    assert_string_equal(of_issuer->cluster, "line-3");
    assert_int_equal(of_issuer->config_digest, 7);
    assert_string_equal(issuer_known_to(BOARD, "i1")->console, of_issuer->console);
    assert_int_equal(log_lines("its cluster configuration differs"), 0);
}

static void differ(void)
{
    site.node[BOARD].conf.cluster_digest = 8;
}

static int set_up_differing(void **state)
{
    site_adjust = differ;
    int result = set_up(state);
    site_adjust = NULL;
    return result;
}

static void other_configuration_is_told_on_both_sides(void **state)
{
    (void)state;
    assert_int_equal(log_lines("board-a: its cluster configuration differs from ours"), 1);
    assert_int_equal(log_lines("i1: its cluster configuration differs from ours"), 1);
}

static bool board_is_down(const void *context)
{
    (void)context;
    return client_of_issuer("board-a") != NULL && !client_of_issuer("board-a")->up;
}

static bool board_has_no_leader(const void *context)
{
    (void)context;
    return name_empty(leader_of(BOARD)) && !issuer_known_to(BOARD, "i1")->up;
}

static void link_that_ends_is_known_to_both_roles(void **state)
{
    (void)state;
    assert_true(client_of_issuer("board-a")->up);
    assert_string_equal(leader_of(BOARD)->text, "i1");
    stop(&site.node[BOARD]);
    run_until(board_is_down, NULL);
    start_again(&site.node[BOARD]);
    run_until(site_is_up, NULL);
    assert_true(client_of_issuer("board-a")->up);
    stop(&site.node[ISSUER]);
    run_until(board_has_no_leader, NULL);
}

/* ---- both roles in one process */

static void give_issuer_an_agent(void)
{
    struct conf *conf = &site.node[ISSUER].conf;
    conf->agent_role = true;
    conf->hal = HAL_LINUX;
    conf->resource_count = 1;
    conf->resource[0] = site.node[BOARD].conf.resource[0];
    conf->policy[0].holder[1] = conf->node_id;
}

static int set_up_both(void **state)
{
    site_adjust = give_issuer_an_agent;
    int result = set_up(state);
    site_adjust = NULL;
    return result;
}

static bool issuer_is_its_own_client(const void *context)
{
    (void)context;
    return client_of_issuer("i1") != NULL && client_of_issuer("i1")->up &&
           strcmp(leader_of(ISSUER)->text, "i1") == 0;
}

static void roles_of_one_process_are_linked_from_the_start(void **state)
{
    (void)state;
    run_until(issuer_is_its_own_client, NULL);
    const struct holder_config *own = &agent_holder(node_agent(site.node[ISSUER].node))->config;
    const struct holder_config *other = &agent_holder(node_agent(site.node[BOARD].node))->config;
    assert_int_equal(own->guard_silence.us, AGENT_GUARD_SILENCE_MS * 1000);
    assert_true(own->nonce_start != other->nonce_start);
}

/* ---- words of a board */

static bool stuck_is_noted(const void *context)
{
    (void)context;
    return issuer_replica()->table.stuck.count == 1;
}

static void word_of_an_output_stuck_on_is_noted(void **state)
{
    (void)state;
    site.fault = GUARD_FAULT_STUCK_ON;
    listen_as_guard();
    run_until(stuck_is_noted, NULL);
    assert_string_equal(issuer_replica()->table.stuck.row[0].board.text, "board-a");
}

/* ---- who the issuers are */

static bool board_knows_i2(const void *context)
{
    (void)context;
    return issuer_known_to(BOARD, "i2") != NULL;
}

static bool board_has_let_i2_go(const void *context)
{
    (void)context;
    const struct issuers *issuers = node_issuers(site.node[BOARD].node);
    return issuer_known_to(BOARD, "i2") == NULL && issuers->leaving_count == 0;
}

static bool issuer_has_let_i2_go(const void *context)
{
    (void)context;
    const struct issuers *issuers = node_issuers(site.node[ISSUER].node);
    return issuer_known_to(ISSUER, "i2") == NULL && issuers->leaving_count == 0;
}

static bool both_try_on(const void *context)
{
    (void)context;
    return log_lines("i2 at 127.0.0.1:1: no connection, trying on") >= 2;
}

static void nodes_learn_of_a_new_issuer_and_of_its_end(void **state)
{
    (void)state;
    change_members(RAFT_CHANGE_ADD, "i2", "127.0.0.1:1");
    run_until(board_knows_i2, NULL);
    assert_string_equal(issuer_known_to(BOARD, "i2")->address, "127.0.0.1:1");
    assert_non_null(issuer_known_to(ISSUER, "i2"));
    assert_int_equal(log_lines("of this node's file is out of date: add i2 at 127.0.0.1:1"), 2);
    run_until(both_try_on, NULL);
    change_members(RAFT_CHANGE_REMOVE, "i2", NULL);
    run_until(board_has_let_i2_go, NULL);
    run_until(issuer_has_let_i2_go, NULL);
    assert_int_equal(log_lines("of this node's file is up to date again"), 2);
    assert_int_equal(log_lines("i2 at 127.0.0.1:1: no connection, trying on"), 2); /* once each */
}

static unsigned knocks; /* at the door of i2 */

static bool has_knocked(const void *listening)
{
    int fd = accept4(*(const int *)listening, NULL, NULL, SOCK_CLOEXEC);
    knocks += fd >= 0;
    if (fd >= 0)
        close(fd);
    return knocks > 0;
}

/* Each of two nodes has come, and come again, some times. */
static bool has_knocked_often(const void *listening)
{
    (void)has_knocked(listening);
    return knocks >= 6;
}

static void issuer_that_left_is_dialled_no_more(void **state)
{
    (void)state;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(at);
    char address[HF_ADDRESS_MAX + 1];
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listening, 64), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &size), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
    knocks = 0;
    change_members(RAFT_CHANGE_ADD, "i2", address);
    uint64_t begun_ms = uv_hrtime() / 1000000;
    run_until(has_knocked_often, &listening);
    uint64_t often_ms = uv_hrtime() / 1000000 - begun_ms;
    change_members(RAFT_CHANGE_REMOVE, "i2", NULL);
    run_until(board_has_let_i2_go, NULL);
    run_until(issuer_has_let_i2_go, NULL);
    do {
        knocks = 0;
    } while (has_knocked(&listening)); /* what was under way */
    /* They came ever more rarely, yet not as much. */
    assert_false(site_run(has_knocked, &listening, 4 * often_ms));
    close(listening);
}

/* By the word of the issuer that it connects with, and of its own journal. */
static void node_that_starts_later_learns_of_it_as_well(void **state)
{
    (void)state;
    change_members(RAFT_CHANGE_ADD, "i2", "127.0.0.1:1");
    run_until(board_knows_i2, NULL);
    stop(&site.node[BOARD]);
    run_until(board_is_down, NULL);
    start_again(&site.node[BOARD]);
    assert_null(issuer_known_to(BOARD, "i2"));
    run_until(board_knows_i2, NULL);
    stop(&site.node[ISSUER]);
    run_until(board_has_no_leader, NULL);
    start_again(&site.node[ISSUER]);
    assert_non_null(issuer_known_to(ISSUER, "i2"));
}

static bool board_is_an_issuer_here(const void *context)
{
    (void)context;
    return issuer_known_to(ISSUER, "board-a") != NULL;
}

/* It was connected before it was one: nothing is dialled anew for that. */
static void board_that_becomes_an_issuer_is_up_at_once(void **state)
{
    (void)state;
    change_members(RAFT_CHANGE_ADD, "board-a", "127.0.0.1:1");
    run_until(board_is_an_issuer_here, NULL);
    assert_true(issuer_known_to(ISSUER, "board-a")->up);
}

static bool agent_of_issuer_is_linked_with(const char *id)
{
    const struct holder *holder = agent_holder(node_agent(site.node[ISSUER].node));
    for (size_t i = 0; i < HF_ISSUERS_MAX; i++) {
        if (holder->link[i].up && strcmp(holder->link[i].node.text, id) == 0)
            return true;
    }
    return false;
}

static bool agent_has_let_board_go(const void *context)
{
    (void)context;
    return !agent_of_issuer_is_linked_with("board-a");
}

static void agent_is_linked_with_issuers_alone(void **state)
{
    (void)state;
    run_until(issuer_is_its_own_client, NULL);
    assert_true(agent_of_issuer_is_linked_with("i1"));
    assert_false(agent_of_issuer_is_linked_with("board-a"));
    change_members(RAFT_CHANGE_ADD, "board-a", "127.0.0.1:1");
    run_until(board_is_an_issuer_here, NULL);
    assert_true(agent_of_issuer_is_linked_with("board-a"));
    change_members(RAFT_CHANGE_REMOVE, "board-a", NULL);
    run_until(agent_has_let_board_go, NULL);
}

static bool board_is_gone_as_all_that_it_was(const void *context)
{
    return board_is_down(context) && !issuer_known_to(ISSUER, "board-a")->up &&
           agent_has_let_board_go(context);
}

/* Else it is taken for a board that waits, and is granted what it can't drive. */
static void board_that_is_an_issuer_too_is_gone_as_both(void **state)
{
    (void)state;
    change_members(RAFT_CHANGE_ADD, "board-a", "127.0.0.1:1");
    run_until(board_is_an_issuer_here, NULL);
    assert_true(client_of_issuer("board-a")->up);
    assert_true(agent_of_issuer_is_linked_with("board-a"));
    stop(&site.node[BOARD]);
    run_until(board_is_gone_as_all_that_it_was, NULL);
}

/* ---- the start */

static void node_without_its_folder_does_not_start_and_says_what_kind_of_fault(void **state)
{
    (void)state;
    struct node *node = NULL;
    struct conf conf = site.node[ISSUER].conf;
    snprintf(conf.data_dir, sizeof(conf.data_dir), "%s/none", site.folder);
    const struct node_config config = { .loop = &site.loop, .conf = &conf };
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct node_config alone = config;
    alone.loop = &loop;
    assert_int_equal(node_start(&node, &alone), NODE_EXIT_STORE);
    assert_int_equal(log_lines("store: "), 1);
    node_members_stop(node);
    node_local_stop(node);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    free(node);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nodes_tell_each_other_their_roles_and_consoles),
        cmocka_unit_test_setup_teardown(other_configuration_is_told_on_both_sides, set_up_differing,
                                        tear_down),
        TEST(link_that_ends_is_known_to_both_roles),
        cmocka_unit_test_setup_teardown(roles_of_one_process_are_linked_from_the_start, set_up_both,
                                        tear_down),
        TEST(word_of_an_output_stuck_on_is_noted),
        TEST(nodes_learn_of_a_new_issuer_and_of_its_end),
        TEST(issuer_that_left_is_dialled_no_more),
        TEST(node_that_starts_later_learns_of_it_as_well),
        TEST(board_that_becomes_an_issuer_is_up_at_once),
        cmocka_unit_test_setup_teardown(agent_is_linked_with_issuers_alone, set_up_both, tear_down),
        cmocka_unit_test_setup_teardown(board_that_is_an_issuer_too_is_gone_as_both, set_up_both,
                                        tear_down),
        TEST(node_without_its_folder_does_not_start_and_says_what_kind_of_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
