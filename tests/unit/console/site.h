/*
 * A site in one loop, for tests of the console: an issuer, alone in its cluster, and a board, as
 * whole nodes, joined by TLS; each has a console. The test is the operators, and the board's guard.
 */
#ifndef HOLDFAST_TESTS_CONSOLE_SITE_H
#define HOLDFAST_TESTS_CONSOLE_SITE_H

#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backup/init.h"
#include "conf/terms.h"
#include "console/console_private.h"
#include "hal/clock.h"
#include "node/node.h"
#include "tests/unit/peer/pki.h"
#include "tests/unit/support/log_file.h"

enum {
    SITE_PATIENCE_MS = 20000,
    SITE_TURN_MS = 20, /* a turn of the loop takes no longer, by the nodes' clock */
    SITE_TTL_MS = 400,
    SITE_FENCE_MS = 50,
    SITE_CLIENTS = 40,
    SITE_STARTS_MAX = 512,
    SITE_TEXT_MAX = 128 * 1024
};

enum site_of { ISSUER, BOARD, SITES };

#define PROMPT "holdfast> "

struct site_node {
    char folder[64];
    struct conf conf;
    struct tls_identity *identity;
    struct node *node;
    struct console *console;
    bool stopped;
};

struct client {
    struct tls_stream *stream;
    bool ready;
    bool closed;
    size_t length;
    char text[SITE_TEXT_MAX];
};

/* Clients that come from now on read nothing. */
static bool site_deaf;

static struct {
    char folder[48];
    uv_loop_t loop;
    struct pki pki;
    struct site_node node[SITES];
    struct tls_identity *identity[SITE_CLIENTS]; /* of clients, by the order in which they came */
    struct client client[SITE_CLIENTS];
    size_t clients;
    int guard_listens;
    int guard;
    uint64_t permitted; /* the guard drives under this token */
    unsigned cleared;   /* how often the guard was told to clear a fault */
    enum guard_fault fault;
} site;

/* The nodes' memory is the process's: this keeps it in sight of the leak checker. */
static void *site_started[SITE_STARTS_MAX];
static size_t site_started_count;

/* ---- the clock: when a busy machine stands still, nobody was silent meanwhile */

static struct instant site_now = { 1000000 };
static uint64_t site_turned_us;

struct instant hal_clock_now(void)
{
    return site_now;
}

struct span hal_clock_slept(void)
{
    return (struct span){ 0 };
}

int64_t hal_clock_wall_us(void)
{
    return 1767225600000000 + 123000;
}

/* ---- the guard of the board */

static void guard_say(struct guard_message *message)
{
    (void)send(site.guard, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void guard_say_status(void)
{
    const struct conf *conf = &site.node[BOARD].conf;
    struct guard_message status;
    guard_message_init(&status, GUARD_STATUS);
    status.name = conf->resource[0].name;
    status.state = site.fault != GUARD_FAULT_NONE ? GUARD_FAULT :
                   site.permitted != 0            ? GUARD_DRIVING :
                                                    GUARD_SAFE;
    status.fault = (uint8_t)site.fault;
    status.token = site.permitted;
    status.proven = status.state == GUARD_SAFE;
    status.outputs_on = status.state == GUARD_DRIVING ? 2 : 0; /* the second of its outputs */
    status.readback_on = status.outputs_on;
    status.deadline_us = site_now.us + 1000000;
    status.terms = conf_terms(conf, &conf->resource[0]);
    guard_say(&status);
}

static void guard_turn(void)
{
    struct guard_message message;
    if (site.guard < 0) {
        site.guard = accept4(site.guard_listens, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (site.guard < 0)
            return;
        guard_message_init(&message, GUARD_HELLO);
        message.name = site.node[BOARD].conf.node_id;
        guard_say(&message);
    }
    while (recv(site.guard, &message, sizeof(message), MSG_DONTWAIT) == sizeof(message)) {
        if (message.kind == GUARD_PERMIT)
            site.permitted = message.token;
        else if (message.kind == GUARD_DROP)
            site.permitted = 0;
        else if (message.kind == GUARD_CLEAR_FAULT)
            site.cleared++;
    }
    guard_say_status();
}

/* ---- the loop */

static void site_wake(uv_timer_t *timer)
{
    (void)timer;
}

static void site_turn(void)
{
    uint64_t us = uv_hrtime() / 1000;
    uint64_t passed_us = us - site_turned_us;
    site_turned_us = us;
    site_now.us += passed_us < SITE_TURN_MS * 1000 ? (int64_t)passed_us : SITE_TURN_MS * 1000;
    uv_run(&site.loop, UV_RUN_ONCE);
    if (site.guard_listens >= 0)
        guard_turn();
}

static bool site_run(bool (*done)(const void *), const void *context, uint64_t at_most_ms)
{
    uint64_t end_ms = uv_hrtime() / 1000000 + at_most_ms;
    uv_timer_t tick;
    uv_timer_init(&site.loop, &tick);
    uv_timer_start(&tick, site_wake, 1, 1);
    while (!done(context) && uv_hrtime() / 1000000 < end_ms)
        site_turn();
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&site.loop, UV_RUN_NOWAIT);
    return done(context);
}

static void run_until(bool (*done)(const void *), const void *context)
{
    assert_true(site_run(done, context, SITE_PATIENCE_MS));
}

static bool site_never(const void *context)
{
    (void)context;
    return false;
}

/* Whatever else might be told has been told then. */
static inline void run_on(uint64_t ms)
{
    (void)site_run(site_never, NULL, ms);
}

/* ---- configuration */

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

/* Of this process alone, by its number: whatever else runs, nobody takes it meanwhile. */
static void own_address(char address[HF_ADDRESS_MAX + 1])
{
    static unsigned port = 7400;
    unsigned pid = (unsigned)getpid();
    snprintf(address, HF_ADDRESS_MAX + 1, "127.%u.%u.%u:%u", 64 + (pid >> 16 & 63), pid >> 8 & 255,
             pid & 255, port++);
}

static void add_policy(struct conf *conf, const char *resource, const char *a, const char *b)
{
    struct conf_policy *policy = &conf->policy[conf->policy_count++];
    policy->resource = name(resource);
    policy->holder[policy->holder_count++] = name(a);
    if (b != NULL)
        policy->holder[policy->holder_count++] = name(b);
    policy->ttl_max_ms = SITE_TTL_MS;
    policy->fence_max_ms = SITE_FENCE_MS;
}

static void configure_both(struct conf *conf, const char *id, const char *folder)
{
    memset(conf, 0, sizeof(*conf));
    conf->node_id = name(id);
    conf->cluster_name = name("line-3");
    conf->election_ms = 60;
    conf->heartbeat_ms = 20;
    conf->drift_ppm = 2000;
    conf->slow_store_ms = 5000;
    conf->cluster_digest = 7;
    conf->has_console = true;
    own_address(conf->console_listen);
    snprintf(conf->file, sizeof(conf->file), "%s/holdfast.conf", folder);
    snprintf(conf->data_dir, sizeof(conf->data_dir), "%s", folder);
    snprintf(conf->run_dir, sizeof(conf->run_dir), "%s", folder);
}

static void configure_issuer(struct conf *conf)
{
    conf->issuer_role = true;
    add_policy(conf, "pump", "board-a", "board-b");
    add_policy(conf, "fan", "board-b", NULL);
}

static void configure_board(struct conf *conf)
{
    struct conf_resource *pump = &conf->resource[0];
    conf->agent_role = true;
    conf->hal = HAL_LINUX;
    conf->resource_count = 1;
    pump->name = name("pump");
    pump->ttl_ms = SITE_TTL_MS;
    pump->release_ms = 5;
    pump->fence = span_from_ms(SITE_FENCE_MS);
    pump->output_count = 2;
    pump->output[0].name = name("valve");
    pump->output[1].name = name("motor");
    pump->output[1].has_readback = true;
}

static void configure(void)
{
    static const char *const ids[SITES] = { "i1", "board-a" };
    char listen[HF_ADDRESS_MAX + 1];
    own_address(listen);
    for (int i = 0; i < SITES; i++) {
        struct site_node *at = &site.node[i];
        snprintf(at->folder, sizeof(at->folder), "%s/%s", site.folder, ids[i]);
        assert_int_equal(mkdir(at->folder, 0700), 0);
        configure_both(&at->conf, ids[i], at->folder);
        at->conf.issuer_count = 1;
        at->conf.issuer[0].id = name("i1");
        text_copy(at->conf.issuer[0].address, sizeof(at->conf.issuer[0].address), listen);
    }
    text_copy(site.node[ISSUER].conf.listen, sizeof(listen), listen);
    configure_issuer(&site.node[ISSUER].conf);
    configure_board(&site.node[BOARD].conf);
}

static void begin(const struct conf *conf)
{
    FILE *nowhere = fopen("/dev/null", "w");
    const struct init init = {
        .conf = conf, .platform = &disk_platform_system, .out = nowhere, .errors = stderr
    };
    assert_non_null(nowhere);
    assert_true(init_run(&init));
    fclose(nowhere);
}

static void listen_as_guard(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/guard.sock", site.node[BOARD].folder);
    (void)unlink(address.sun_path); /* of a guard that died */
    site.guard_listens = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(site.guard_listens, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(site.guard_listens, 4), 0);
}

/* ---- start and end */

static struct tls_identity *identity_of(const char *cn, const char *unit)
{
    char subject[80];
    snprintf(subject, sizeof(subject), "CN=%s,O=line-3,OU=%s", cn, unit);
    pki_issue(&site.pki, "ca", cn, subject, PKI_FROM, PKI_TO);
    return pki_load(&site.pki, "ca", cn);
}

static void start(struct site_node *at)
{
    at->stopped = false;
    if (at->identity == NULL)
        at->identity = identity_of(at->conf.node_id.text, "node");
    const struct node_config node = { .loop = &site.loop,
                                      .conf = &at->conf,
                                      .identity = at->identity };
    assert_int_equal(node_start(&at->node, &node), 0);
    const struct console_config console = {
        .loop = &site.loop, .conf = &at->conf, .identity = at->identity, .node = at->node
    };
    at->console = console_start(&console);
    assert_non_null(at->console);
    assert_true(site_started_count + 4 <= SITE_STARTS_MAX);
    site_started[site_started_count++] = at->node;
    site_started[site_started_count++] = at->console;
    site_started[site_started_count++] = node_issuer(at->node);
    site_started[site_started_count++] = node_agent(at->node);
}

/* Anew, in this process: the lock of an agent is the process's until its end. */
static inline void start_again(struct site_node *at)
{
    if (at->conf.agent_role)
        snprintf(at->conf.run_dir, sizeof(at->conf.run_dir), "%s/next", site.folder);
    start(at);
}

static inline void stop(struct site_node *at)
{
    if (!at->stopped) {
        console_stop(at->console);
        node_stop(at->node);
    }
    at->stopped = true;
}

static const struct replica *issuer_replica(void)
{
    return issuer_shell_replica(node_issuer(site.node[ISSUER].node));
}

static bool site_is_up(const void *context)
{
    (void)context;
    const struct holder *holder = agent_holder(node_agent(site.node[BOARD].node));
    return replica_serving(issuer_replica()) && !name_empty(&holder->leader);
}

static void (*site_adjust)(void); /* the configuration, before anything starts; NULL: as it is */

static int set_up(void **state)
{
    (void)state;
    memset(&site, 0, sizeof(site));
    site.guard_listens = site.guard = -1;
    site_deaf = false;
    site_now.us += 600000000; /* budgets are the process's: they are full again */
    strcpy(site.folder, "/tmp/holdfast-console-XXXXXX");
    assert_non_null(mkdtemp(site.folder));
    log_file_begin(site.folder);
    pki_open(&site.pki);
    configure();
    if (site_adjust != NULL)
        site_adjust();
    begin(&site.node[ISSUER].conf);
    uv_loop_init(&site.loop);
    for (int i = 0; i < SITES; i++)
        start(&site.node[i]);
    run_until(site_is_up, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < SITES; i++)
        stop(&site.node[i]);
    uv_run(&site.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&site.loop), 0);
    for (size_t i = 0; i < site.clients; i++) {
        assert_true(site.client[i].closed);
        tls_identity_free(site.identity[i]);
    }
    log_file_end();
    close(site.guard_listens);
    close(site.guard);
    for (int i = 0; i < SITES; i++) {
        tls_identity_free(site.node[i].identity);
        if (strcmp(site.node[i].conf.run_dir, site.node[i].folder) != 0)
            folder_remove(site.node[i].conf.run_dir);
        folder_remove(site.node[i].folder);
    }
    pki_close(&site.pki);
    folder_remove(site.folder);
    return 0;
}

/* ---- the board holds the pump */

static bool board_drives(const void *context)
{
    (void)context;
    return site.permitted != 0;
}

static inline void drive(void)
{
    listen_as_guard();
    run_until(board_drives, NULL);
}

/* ---- clients */

static void client_ready(void *context, const struct tls_name *peer)
{
    struct client *client = context;
    (void)peer;
    client->ready = true;
    tls_stream_pause(client->stream, site_deaf);
}

static void client_data(void *context, struct bytes data)
{
    struct client *client = context;
    assert_true(client->length + data.length < sizeof(client->text));
    memcpy(client->text + client->length, data.data, data.length);
    client->length += data.length;
    client->text[client->length] = '\0';
}

static void client_closed(void *context, enum tls_cause cause, const char *reason)
{
    struct client *client = context;
    (void)cause;
    (void)reason;
    client->closed = true;
}

static bool client_is_ready(const void *context)
{
    const struct client *client = context;
    return client->ready || client->closed;
}

static inline bool client_is_closed(const void *context)
{
    return ((const struct client *)context)->closed;
}

/* It has connected, and said nothing. The identity is freed at the end. */
static struct client *client_dial_as(enum site_of where, struct tls_identity *identity)
{
    static const struct tls_stream_limits limits = { 5000, 5000, 1 << 20 };
    assert_true(site.clients < SITE_CLIENTS);
    struct client *client = &site.client[site.clients];
    const struct tls_stream_events events = { client, client_ready, client_data, client_closed };
    site.identity[site.clients++] = identity;
    client->stream = tls_stream_dial(&site.loop, identity, site.node[where].conf.console_listen,
                                     NULL, &limits, &events);
    assert_non_null(client->stream);
    run_until(client_is_ready, client);
    return client;
}

static struct client *client_dial(enum site_of where, const char *who, const char *unit)
{
    return client_dial_as(where, identity_of(who, unit));
}

static inline void client_say(struct client *client, const char *text)
{
    const struct bytes bytes = { (const uint8_t *)text, strlen(text) };
    assert_true(tls_stream_write(client->stream, bytes));
}

static bool client_has_prompt(const void *context)
{
    const struct client *client = context;
    size_t length = strlen(PROMPT);
    return client->closed || (client->length >= length &&
                              strcmp(client->text + client->length - length, PROMPT) == 0);
}

static inline void client_forget(struct client *client)
{
    client->length = 0;
    client->text[0] = '\0';
}

/* An operator or viewer who was greeted. */
static inline struct client *client_open(enum site_of where, const char *who, const char *unit)
{
    struct client *client = client_dial(where, who, unit);
    run_until(client_has_prompt, client);
    assert_false(client->closed);
    client_forget(client);
    return client;
}

/* What is answered to one line, without the prompt. */
static inline const char *ask(struct client *client, const char *line)
{
    client_forget(client);
    client_say(client, line);
    client_say(client, "\n");
    run_until(client_has_prompt, client);
    size_t length = client->length;
    if (!client->closed)
        client->text[length - strlen(PROMPT)] = '\0';
    return client->text;
}

/* On stdout: the log of the nodes is where stderr goes. */
static inline void site_judge(const char *text, const char *part, bool wanted, const char *file,
                              int line)
{
    if ((strstr(text, part) != NULL) == wanted)
        return;
    printf("%s:%d: \"%s\" is %s:\n%s\n", file, line, part, wanted ? "not in" : "in", text);
    _fail(file, line);
}

#define assert_has(text, part)     site_judge(text, part, true, __FILE__, __LINE__)
#define assert_has_not(text, part) site_judge(text, part, false, __FILE__, __LINE__)

#endif
