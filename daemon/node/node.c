#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/agent.h"
#include "base/check.h"
#include "console/console.h"
#include "hal/clock.h"
#include "issuer/issuer_shell.h"
#include "log/log.h"
#include "node/issuers.h"
#include "peer/tls.h"

enum { LINK_SETTLES_US = 1000000 };

_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    log_line(LOG_CRIT, "assertion failed at %s:%d: %s; aborting, so that outputs go safe", file,
             line, what);
    abort();
}

uint64_t node_random(void)
{
    uint64_t value = 0;
    ssize_t got = getrandom(&value, sizeof(value), 0);
    HF_CHECK(got == (ssize_t)sizeof(value));
    return value;
}

/* ---- messages between the two roles of this process ---- */

static void node_local_deliver(struct node *node)
{
    while (node->local_count > 0) {
        struct node_local *local = &node->local[node->local_first];
        node->local_first = (node->local_first + 1) % NODE_LOCAL_MAX;
        node->local_count--;
        struct lease_message message = local->message;
        if (local->to_issuer)
            issuer_shell_lease(node->issuer, &node->conf.node_id, &message);
        else
            agent_receive(node->agent, &node->conf.node_id, &message);
    }
}

static void node_local_wake(uv_async_t *async)
{
    struct node *node = async->data;
    if (!node->stopping)
        node_local_deliver(node);
}

static bool node_local_queue(struct node *node, bool to_issuer, const struct lease_message *message)
{
    if (node->local_count == NODE_LOCAL_MAX)
        return false;
    size_t at = (node->local_first + node->local_count) % NODE_LOCAL_MAX;
    node->local[at].to_issuer = to_issuer;
    node->local[at].message = *message;
    node->local_count++;
    uv_async_send(&node->local_wake);
    return true;
}

/* ---- sending ---- */

static uint8_t node_frame[WIRE_FRAME_MAX];

static bool node_send_frame(const struct node *node, const struct hf_name *to, size_t length)
{
    HF_CHECK(length > 0);
    return node->hub != NULL && peer_send(node->hub, to, (struct bytes){ node_frame, length });
}

static bool node_send_lease(struct node *node, const struct hf_name *to,
                            const struct lease_message *message)
{
    return node_send_frame(node, to, wire_encode_lease(message, node_frame, sizeof(node_frame)));
}

/* For the agent. */
static bool node_send_to_issuer(void *context, const struct hf_name *to,
                                const struct lease_message *message)
{
    struct node *node = context;
    if (node->issuer != NULL && name_equal(to, &node->conf.node_id))
        return node_local_queue(node, true, message);
    return node_send_lease(node, to, message);
}

/* For the issuer, as the next ones. */
static bool node_send_to_agent(void *context, const struct hf_name *to,
                               const struct lease_message *message)
{
    struct node *node = context;
    if (node->agent != NULL && name_equal(to, &node->conf.node_id))
        return node_local_queue(node, false, message);
    return node_send_lease(node, to, message);
}

static bool node_send_raft(void *context, const struct raft_message *message)
{
    struct node *node = context;
    return node_send_frame(node, &message->to,
                           wire_encode_raft(message, node_frame, sizeof(node_frame)));
}

bool node_send_query(struct node *node, const struct hf_name *to, bool reply,
                     const struct wire_query *query)
{
    static struct wire_message message;
    message.kind = reply ? WIRE_QUERY_REPLY : WIRE_QUERY;
    message.query = *query;
    return node_send_frame(node, to, wire_encode(&message, node_frame, sizeof(node_frame)));
}

static bool node_send_store(void *context, const struct hf_name *to, const struct wire_store *store)
{
    static struct wire_message message = { .kind = WIRE_STORE };
    message.store = *store;
    return node_send_frame(context, to, wire_encode(&message, node_frame, sizeof(node_frame)));
}

static void node_send_issuers(void *context, const struct hf_name *to,
                              const struct wire_issuers *issuers)
{
    const struct node *node = context;
    static struct wire_message message = { .kind = WIRE_ISSUERS };
    message.issuers = *issuers;
    size_t length = wire_encode(&message, node_frame, sizeof(node_frame));
    if (to != NULL)
        node_send_frame(node, to, length);
    else if (node->hub != NULL)
        peer_send_all(node->hub, (struct bytes){ node_frame, length });
}

/* ---- receiving ---- */

void node_issuer_up(struct node *node, struct node_peer *peer, const struct wire_hello *hello)
{
    peer->up = true;
    peer->issuer = hello->issuer;
    peer->agent = hello->agent;
    peer->config_digest = hello->config_digest;
    text_copy(peer->console, sizeof(peer->console), hello->console);
    peer->since_us = hal_clock_now().us;
    if (node->agent != NULL)
        agent_link(node->agent, &hello->node, true);
}

static void node_peer_up(void *context, const struct wire_hello *hello)
{
    struct node *node = context;
    struct node_peer *peer = issuers_find(node, &hello->node);
    static const struct log_quota_rule rule = { .burst = 4, .each_ms = 20000 };
    if (hello->config_digest != node->conf.cluster_digest &&
        log_quota_admit(&node->differing, &rule, &hello->node, uv_now(&node->loop)))
        log_line(LOG_WARNING,
                 "%s: its cluster configuration differs from ours (%016" PRIx64 ", ours %016" PRIx64
                 "): issuers and timing must be the same on all nodes",
                 hello->node.text, hello->config_digest, node->conf.cluster_digest);
    if (peer != NULL)
        node_issuer_up(node, peer, hello);
    else if (issuers_is_leaving(node, &hello->node) && node->agent != NULL)
        agent_link(node->agent, &hello->node, true);
    if (node->issuer != NULL)
        issuer_shell_tell_issuers(node->issuer, &hello->node);
    if (node->issuer != NULL && hello->agent)
        issuer_shell_client(node->issuer, &hello->node, true);
}

static void node_peer_down(void *context, const struct hf_name *id, const char *reason)
{
    struct node *node = context;
    struct node_peer *peer = issuers_find(node, id);
    (void)reason; /* The hub has logged it. */
    if (node->stopping)
        return;
    console_peer_down(node->console, id);
    if (peer != NULL) {
        peer->up = false;
        peer->since_us = hal_clock_now().us;
    }
    if (peer != NULL || issuers_is_leaving(node, id)) {
        if (node->agent != NULL)
            agent_link(node->agent, id, false);
        if (node->issuer != NULL)
            issuer_shell_peer_down(node->issuer, id);
    }
    if (node->issuer != NULL)
        issuer_shell_client(node->issuer, id, false);
}

/* A node that does so in a loop can't fill the log. */
static void node_log_stray(struct node *node, const struct hf_name *from, const char *what)
{
    static const struct log_quota_rule rule = { .burst = 4, .each_ms = 20000 };
    uint64_t now_ms = uv_now(&node->loop);
    struct hf_name who;
    uint32_t held;
    while ((held = log_quota_collect(&node->stray, now_ms, &who)) > 0)
        log_line(LOG_WARNING, "%s: %" PRIu32 " more messages refused or ignored", who.text, held);
    if (log_quota_admit(&node->stray, &rule, from, now_ms))
        log_line(LOG_WARNING, "%s: %s", from->text, what);
}

static bool node_lease_for_issuer(enum lease_message_kind kind)
{
    return kind == LEASE_ACQUIRE || kind == LEASE_WITHDRAW || kind == LEASE_RENEW ||
           kind == LEASE_RELEASE || kind == LEASE_STUCK;
}

static void node_receive_lease(struct node *node, const struct hf_name *from,
                               const struct lease_message *message)
{
    if (node_lease_for_issuer(message->kind)) {
        if (node->issuer != NULL)
            issuer_shell_lease(node->issuer, from, message);
    } else if (node->agent != NULL && issuers_hears(node, from)) {
        agent_receive(node->agent, from, message);
    } else {
        char what[80];
        snprintf(what, sizeof(what), "%s from a node that is no issuer here: ignored",
                 lease_message_name(message->kind));
        node_log_stray(node, from, what);
    }
}

static void node_receive_raft(struct node *node, const struct hf_name *from,
                              const struct raft_message *message)
{
    char what[80];
    if (node->issuer != NULL && issuers_hears(node, from) && name_equal(&message->from, from)) {
        issuer_shell_raft(node->issuer, message);
        return;
    }
    if (name_equal(&message->from, from))
        snprintf(what, sizeof(what), "raft message from a node that is no issuer here: ignored");
    else
        snprintf(what, sizeof(what), "raft message that claims to be from %s: refused",
                 message->from.text);
    node_log_stray(node, from, what);
}

static void node_receive_store(struct node *node, const struct hf_name *from,
                               const struct wire_store *store)
{
    if (node->issuer != NULL && issuers_find(node, from) != NULL)
        issuer_shell_store(node->issuer, from, store);
    else
        node_log_stray(node, from,
                       "word of its journal, from a node that is no issuer here: "
                       "ignored");
}

static void node_receive_issuers(struct node *node, const struct hf_name *from,
                                 const struct wire_issuers *issuers)
{
    if (issuers_hears(node, from))
        issuers_told(node, issuers);
    else
        node_log_stray(node, from,
                       "word of who the issuers are, from a node that is none here: "
                       "ignored");
}

static void node_peer_message(void *context, const struct hf_name *from,
                              const struct wire_message *message)
{
    struct node *node = context;
    switch (message->kind) {
    case WIRE_RAFT:
        node_receive_raft(node, from, &message->raft);
        return;
    case WIRE_LEASE:
        node_receive_lease(node, from, &message->lease);
        return;
    case WIRE_QUERY:
        console_relayed(node->console, from, &message->query);
        return;
    case WIRE_QUERY_REPLY:
        console_relay_answer(node->console, from, &message->query);
        return;
    case WIRE_STORE:
        node_receive_store(node, from, &message->store);
        return;
    case WIRE_ISSUERS:
        node_receive_issuers(node, from, &message->issuers);
        return;
    case WIRE_HELLO:
    case WIRE_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "hello above the hub");
}

static bool node_peer_is_issuer(void *context, const struct hf_name *id)
{
    return issuers_find(context, id) != NULL;
}

static void node_peer_log(void *context, int level, const char *line)
{
    (void)context;
    log_line(level, "%s", line);
}

/* ---- start and stop ---- */

static bool node_start_hub(struct node *node)
{
    const struct conf *conf = &node->conf;
    struct peer_config config = { .identity = node->identity, .random_seed = node_random() };
    const struct peer_events events = { .context = node,
                                        .on_up = node_peer_up,
                                        .on_down = node_peer_down,
                                        .on_message = node_peer_message,
                                        .is_issuer = node_peer_is_issuer,
                                        .on_log = node_peer_log };
    char error[200];
    config.self.version = WIRE_VERSION;
    text_copy(config.self.cluster, sizeof(config.self.cluster), conf->cluster_name.text);
    config.self.node = conf->node_id;
    config.self.issuer = conf->issuer_role;
    config.self.agent = conf->agent_role;
    config.self.config_digest = conf->cluster_digest;
    if (conf->has_console)
        text_copy(config.self.console, sizeof(config.self.console), conf->console_listen);
    config.listen = conf->issuer_role ? conf->listen : NULL;
    for (uint8_t i = 0; i < node->issuer_count; i++) {
        if (name_equal(&node->issuer_peer[i].id, &conf->node_id))
            continue;
        config.dial[config.dial_count].id = node->issuer_peer[i].id;
        config.dial[config.dial_count].address = node->issuer_peer[i].address;
        config.dial_count++;
    }
    node->hub = peer_hub_create(&node->loop, &config, &events, error, sizeof(error));
    if (node->hub == NULL)
        log_line(LOG_ERR, "%s", error);
    return node->hub != NULL;
}

static void node_on_members(void *context, const struct raft *raft)
{
    (void)raft;
    issuers_follow(context);
}

/* An answer to what was asked when the link came up has had its time. */
static bool node_link_settled(void *context, const struct hf_name *issuer)
{
    const struct node_peer *peer = issuers_find(context, issuer);
    return peer != NULL && peer->up && hal_clock_now().us - peer->since_us > LINK_SETTLES_US;
}

static bool node_start_issuer(struct node *node)
{
    const struct issuer_shell_config config = {
        .loop = &node->loop,
        .conf = &node->conf,
        .random_seed = node_random(),
        .callbacks = { .send_raft = node_send_raft,
                       .send_to_agent = node_send_to_agent,
                       .send_store = node_send_store,
                       .send_issuers = node_send_issuers,
                       .on_members = node_on_members,
                       .link_settled = node_link_settled },
        .context = node,
    };
    node->issuer = issuer_shell_start(&config);
    return node->issuer != NULL;
}

static bool node_start_agent(struct node *node)
{
    const struct agent_config config = {
        .loop = &node->loop,
        .conf = &node->conf,
        .nonce_start = node_random(),
        .send_to_issuer = node_send_to_issuer,
        .context = node,
    };
    node->agent = agent_start(&config);
    return node->agent != NULL;
}

/* The two roles of one process are each other's link, from the start. */
static void node_link_own_roles(struct node *node)
{
    if (node->issuer == NULL || node->agent == NULL)
        return;
    issuer_shell_client(node->issuer, &node->conf.node_id, true);
    agent_link(node->agent, &node->conf.node_id, true);
}

int node_start(struct node *node)
{
    const struct conf *conf = &node->conf;
    char error[200];
    issuers_from_file(node);
    uv_loop_init(&node->loop);
    uv_async_init(&node->loop, &node->local_wake, node_local_wake);
    node->local_wake.data = node;
    issuers_start(node);
    node->identity =
        tls_identity_load(conf->tls_ca, conf->tls_cert, conf->tls_key, error, sizeof(error));
    if (node->identity == NULL) {
        log_line(LOG_ERR, "%s", error);
        return EXIT_FAILURE;
    }
    if (conf->issuer_role && !node_start_issuer(node))
        return NODE_EXIT_STORE;
    if (conf->agent_role && !node_start_agent(node))
        return EXIT_FAILURE;
    if (!node_start_hub(node))
        return EXIT_FAILURE;
    issuers_follow(node); /* The journal may know better than the file. */
    node->console = console_start(node);
    if (node->console == NULL)
        return EXIT_FAILURE;
    node_link_own_roles(node);
    log_line(LOG_NOTICE, "%s: started in cluster %s as %s%s%s", conf->node_id.text,
             conf->cluster_name.text, conf->issuer_role ? "issuer" : "",
             conf->issuer_role && conf->agent_role ? " and " : "", conf->agent_role ? "agent" : "");
    return 0;
}

static void node_hub_closed(void *context)
{
    struct node *node = context;
    node->hub = NULL; /* A role that still sends something finds nobody up. */
}

void node_stop(struct node *node)
{
    if (node->stopping)
        return;
    node->stopping = true;
    if (node->console != NULL)
        console_stop(node->console);
    if (node->agent != NULL)
        agent_stop(node->agent);
    if (node->issuer != NULL)
        issuer_shell_stop(node->issuer);
    if (node->hub != NULL)
        peer_hub_close(node->hub, node_hub_closed, node);
    issuers_stop(node);
    uv_close((uv_handle_t *)&node->local_wake, NULL);
}
