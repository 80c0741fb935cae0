#include "node/node.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "hal/clock.h"
#include "log/log.h"
#include "node/node_private.h"

enum { LINK_SETTLES_US = 1000000 };

uint64_t node_random(void)
{
    uint64_t value = 0;
    ssize_t got = getrandom(&value, sizeof(value), 0);
    HF_CHECK(got == (ssize_t)sizeof(value));
    return value;
}

/* ---- views */

void node_set_events(struct node *node, const struct node_events *events)
{
    node->events = *events;
}

struct issuer_shell *node_issuer(const struct node *node)
{
    return node->issuer;
}

struct agent *node_agent(const struct node *node)
{
    return node->agent;
}

const struct issuers *node_issuers(const struct node *node)
{
    return &node->issuers;
}

/* ---- the roles and the hub */

static void on_members(void *context, const struct raft *raft)
{
    node_members_follow(context, raft);
}

/* An answer to what was asked when the link came up has had its time. */
static bool link_settled(void *context, const struct hf_name *issuer)
{
    const struct node *node = context;
    const struct issuers_peer *peer = issuers_find(&node->issuers, issuer);
    return peer != NULL && peer->up &&
           instant_diff(hal_clock_now(), peer->since).us > LINK_SETTLES_US;
}

static bool start_issuer(struct node *node)
{
    const struct issuer_shell_config config = {
        .loop = node->config.loop,
        .conf = node->config.conf,
        .random_seed = node_random(),
        .callbacks = { .send_raft = node_send_raft,
                       .send_to_agent = node_send_to_agent,
                       .send_store = node_send_store,
                       .send_issuers = node_send_issuers,
                       .on_members = on_members,
                       .link_settled = link_settled },
        .context = node,
    };
    node->issuer = issuer_shell_start(&config);
    return node->issuer != NULL;
}

static bool start_agent(struct node *node)
{
    const struct agent_config config = {
        .loop = node->config.loop,
        .conf = node->config.conf,
        .nonce_start = node_random(),
        .guard_silence = span_from_ms(AGENT_GUARD_SILENCE_MS),
        .send_to_issuer = node_send_to_issuer,
        .context = node,
    };
    node->agent = agent_start(&config);
    return node->agent != NULL;
}

static bool start_hub(struct node *node)
{
    const struct conf *conf = node->config.conf;
    const struct peer_events events = node_hub_events(node);
    struct peer_config config = { .identity = node->config.identity, .random_seed = node_random() };
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
    for (uint8_t i = 0; i < node->issuers.count; i++) {
        if (name_equal(&node->issuers.peer[i].id, &conf->node_id))
            continue;
        config.dial[config.dial_count].id = node->issuers.peer[i].id;
        config.dial[config.dial_count].address = node->issuers.peer[i].address;
        config.dial_count++;
    }
    node->hub = peer_hub_create(node->config.loop, &config, &events, error, sizeof(error));
    if (node->hub == NULL)
        log_line(LOG_ERR, "%s", error);
    return node->hub != NULL;
}

/* The two roles of one process are each other's link, from the start. */
static void link_own_roles(struct node *node)
{
    if (node->issuer == NULL || node->agent == NULL)
        return;
    issuer_shell_client(node->issuer, &node->config.conf->node_id, true);
    agent_link(node->agent, &node->config.conf->node_id, true);
}

int node_start(struct node **started, const struct node_config *config)
{
    struct node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        log_line(LOG_ERR, "node: out of memory");
        return EXIT_FAILURE;
    }
    *started = node;
    node->config = *config;
    issuers_init(&node->issuers, config->conf);
    node_local_start(node);
    node_members_start(node);
    if (config->conf->issuer_role && !start_issuer(node))
        return NODE_EXIT_STORE;
    if (config->conf->agent_role && !start_agent(node))
        return EXIT_FAILURE;
    if (!start_hub(node))
        return EXIT_FAILURE;
    node_members_follow(node, node_raft(node)); /* The journal may know better than the file. */
    link_own_roles(node);
    return 0;
}

static void on_hub_closed(void *context)
{
    struct node *node = context;
    node->hub = NULL; /* A role that still sends something finds nobody up. */
}

void node_stop(struct node *node)
{
    if (node->stopping)
        return;
    node->stopping = true;
    if (node->agent != NULL)
        agent_stop(node->agent);
    if (node->issuer != NULL)
        issuer_shell_stop(node->issuer);
    if (node->hub != NULL)
        peer_hub_close(node->hub, on_hub_closed, node);
    node_members_stop(node);
    node_local_stop(node);
}
