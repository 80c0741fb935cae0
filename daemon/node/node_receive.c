/* Who may say what, and whom it is for. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "hal/clock.h"
#include "log/log.h"
#include "node/node_private.h"

static const struct log_quota_rule line_rule = { .burst = 4, .each_ms = 20000 };

/* ---- messages */

/* A node that does so in a loop can't fill the log. */
static void log_stray(struct node *node, const struct hf_name *from, const char *what)
{
    uint64_t now_ms = uv_now(node->config.loop);
    struct hf_name who;
    uint32_t held;
    while ((held = log_quota_collect(&node->stray, now_ms, &who)) > 0)
        log_line(LOG_WARNING, "%s: %" PRIu32 " more messages refused or ignored", who.text, held);
    if (log_quota_admit(&node->stray, &line_rule, from, now_ms))
        log_line(LOG_WARNING, "%s: %s", from->text, what);
}

static bool is_heard(const struct node *node, const struct hf_name *from)
{
    return issuers_hears(&node->issuers, node_raft(node), from);
}

static bool lease_for_issuer(enum lease_message_kind kind)
{
    return kind == LEASE_ACQUIRE || kind == LEASE_WITHDRAW || kind == LEASE_RENEW ||
           kind == LEASE_RELEASE || kind == LEASE_STUCK;
}

static void receive_lease(struct node *node, const struct hf_name *from,
                          const struct lease_message *message)
{
    if (lease_for_issuer(message->kind)) {
        if (node->issuer != NULL)
            issuer_shell_lease(node->issuer, from, message);
    } else if (node->agent != NULL && is_heard(node, from)) {
        agent_receive(node->agent, from, message);
    } else {
        char what[80];
        snprintf(what, sizeof(what), "%s from a node that is no issuer here: ignored",
                 lease_message_name(message->kind));
        log_stray(node, from, what);
    }
}

static void receive_raft(struct node *node, const struct hf_name *from,
                         const struct raft_message *message)
{
    if (!name_equal(&message->from, from)) {
        char what[80];
        snprintf(what, sizeof(what), "raft message that claims to be from %s: refused",
                 message->from.text);
        log_stray(node, from, what);
    } else if (node->issuer == NULL || !is_heard(node, from)) {
        log_stray(node, from, "raft message from a node that is no issuer here: ignored");
    } else {
        issuer_shell_raft(node->issuer, message);
    }
}

static void receive_store(struct node *node, const struct hf_name *from,
                          const struct wire_store *store)
{
    if (node->issuer != NULL && issuers_find(&node->issuers, from) != NULL)
        issuer_shell_store(node->issuer, from, store);
    else
        log_stray(node, from, "word of its journal, from a node that is no issuer here: ignored");
}

static void receive_issuers(struct node *node, const struct hf_name *from,
                            const struct wire_issuers *issuers)
{
    if (is_heard(node, from))
        node_members_told(node, issuers);
    else
        log_stray(node, from,
                  "word of who the issuers are, from a node that is none here: ignored");
}

void node_receive(struct node *node, const struct hf_name *from, const struct wire_message *message)
{
    const struct node_events *events = &node->events;
    switch (message->kind) {
    case WIRE_RAFT:
        receive_raft(node, from, &message->raft);
        return;
    case WIRE_LEASE:
        receive_lease(node, from, &message->lease);
        return;
    case WIRE_QUERY:
        if (events->on_query != NULL)
            events->on_query(events->context, from, &message->query);
        return;
    case WIRE_QUERY_REPLY:
        if (events->on_query_reply != NULL)
            events->on_query_reply(events->context, from, &message->query);
        return;
    case WIRE_STORE:
        receive_store(node, from, &message->store);
        return;
    case WIRE_ISSUERS:
        receive_issuers(node, from, &message->issuers);
        return;
    case WIRE_HELLO:
    case WIRE_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "hello above the hub");
}

/* ---- links */

static void log_differing(struct node *node, const struct wire_hello *hello)
{
    uint64_t own = node->config.conf->cluster_digest;
    if (hello->config_digest != own &&
        log_quota_admit(&node->differing, &line_rule, &hello->node, uv_now(node->config.loop)))
        log_line(LOG_WARNING,
                 "%s: its cluster configuration differs from ours (%016" PRIx64 ", ours %016" PRIx64
                 "): issuers and timing must be the same on all nodes",
                 hello->node.text, hello->config_digest, own);
}

static void on_up(void *context, const struct wire_hello *hello)
{
    struct node *node = context;
    if (node->stopping)
        return;
    log_differing(node, hello);
    if (issuers_link_up(&node->issuers, hello, hal_clock_now()) && node->agent != NULL)
        agent_link(node->agent, &hello->node, true);
    if (node->issuer == NULL)
        return;
    issuer_shell_tell_issuers(node->issuer, &hello->node);
    if (hello->agent)
        issuer_shell_client(node->issuer, &hello->node, true);
}

static void on_down(void *context, const struct hf_name *id, const char *reason)
{
    struct node *node = context;
    (void)reason; /* The hub has logged it. */
    if (node->stopping)
        return;
    if (node->events.on_peer_down != NULL)
        node->events.on_peer_down(node->events.context, id);
    bool issuer = issuers_link_down(&node->issuers, id, hal_clock_now());
    if (issuer && node->agent != NULL)
        agent_link(node->agent, id, false);
    if (issuer && node->issuer != NULL)
        issuer_shell_peer_down(node->issuer, id);
    if (node->issuer != NULL)
        issuer_shell_client(node->issuer, id, false);
}

static void on_message(void *context, const struct hf_name *from,
                       const struct wire_message *message)
{
    struct node *node = context;
    if (!node->stopping)
        node_receive(node, from, message);
}

static bool is_issuer(void *context, const struct hf_name *id)
{
    const struct node *node = context;
    return issuers_find(&node->issuers, id) != NULL;
}

static void on_log(void *context, int level, const char *line)
{
    (void)context;
    log_line(level, "%s", line);
}

struct peer_events node_hub_events(struct node *node)
{
    return (struct peer_events){ .context = node,
                                 .on_up = on_up,
                                 .on_down = on_down,
                                 .on_message = on_message,
                                 .is_issuer = is_issuer,
                                 .on_log = on_log };
}
