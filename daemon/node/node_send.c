#include "base/check.h"
#include "node/node_private.h"

/* ---- messages between the two roles of this process */

static void local_deliver(uv_async_t *async)
{
    struct node *node = async->data;
    const struct hf_name *self = &node->config.conf->node_id;
    while (!node->stopping && node->local_count > 0) {
        struct node_local local = node->local[node->local_first];
        node->local_first = (node->local_first + 1) % NODE_LOCAL_MAX;
        node->local_count--;
        if (local.to_issuer)
            issuer_shell_lease(node->issuer, self, &local.message);
        else
            agent_receive(node->agent, self, &local.message);
    }
}

void node_local_start(struct node *node)
{
    uv_async_init(node->config.loop, &node->local_wake, local_deliver);
    node->local_wake.data = node;
}

void node_local_stop(struct node *node)
{
    uv_close((uv_handle_t *)&node->local_wake, NULL);
}

static bool local_queue(struct node *node, bool to_issuer, const struct lease_message *message)
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

/* ---- messages to other nodes */

static uint8_t frame[WIRE_FRAME_MAX];

static bool send_frame(const struct node *node, const struct hf_name *to, size_t length)
{
    HF_CHECK(length > 0);
    return node->hub != NULL && peer_send(node->hub, to, (struct bytes){ frame, length });
}

static bool send_lease(const struct node *node, const struct hf_name *to,
                       const struct lease_message *message)
{
    return send_frame(node, to, wire_encode_lease(message, frame, sizeof(frame)));
}

bool node_send_to_issuer(void *context, const struct hf_name *to,
                         const struct lease_message *message)
{
    struct node *node = context;
    if (node->issuer != NULL && name_equal(to, &node->config.conf->node_id))
        return local_queue(node, true, message);
    return send_lease(node, to, message);
}

bool node_send_to_agent(void *context, const struct hf_name *to,
                        const struct lease_message *message)
{
    struct node *node = context;
    if (node->agent != NULL && name_equal(to, &node->config.conf->node_id))
        return local_queue(node, false, message);
    return send_lease(node, to, message);
}

bool node_send_raft(void *context, const struct raft_message *message)
{
    return send_frame(context, &message->to, wire_encode_raft(message, frame, sizeof(frame)));
}

bool node_send_query(struct node *node, const struct hf_name *to, bool reply,
                     const struct wire_query *query)
{
    static struct wire_message message;
    message.kind = reply ? WIRE_QUERY_REPLY : WIRE_QUERY;
    message.query = *query;
    return send_frame(node, to, wire_encode(&message, frame, sizeof(frame)));
}

bool node_send_store(void *context, const struct hf_name *to, const struct wire_store *store)
{
    static struct wire_message message = { .kind = WIRE_STORE };
    message.store = *store;
    return send_frame(context, to, wire_encode(&message, frame, sizeof(frame)));
}

void node_send_issuers(void *context, const struct hf_name *to, const struct wire_issuers *issuers)
{
    static struct wire_message message = { .kind = WIRE_ISSUERS };
    const struct node *node = context;
    message.issuers = *issuers;
    size_t length = wire_encode(&message, frame, sizeof(frame));
    if (to != NULL)
        (void)send_frame(node, to, length);
    else if (node->hub != NULL)
        peer_send_all(node->hub, (struct bytes){ frame, length });
}
