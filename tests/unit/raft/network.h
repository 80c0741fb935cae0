/* Several nodes and a network between them that loses, repeats, delays and reorders. For tests. */
#ifndef HOLDFAST_TESTS_RAFT_NETWORK_H
#define HOLDFAST_TESTS_RAFT_NETWORK_H

#include "tests/unit/raft/node.h"

enum { NETWORK_NODES_MAX = 5, NETWORK_IN_FLIGHT_MAX = 512 };

struct packet {
    bool used;
    struct instant at;
    struct raft_message message;
    struct raft_entry entries[RAFT_APPEND_MAX];
    uint8_t chunk[RAFT_SNAPSHOT_CHUNK];
    struct raft_members members;
};

struct network {
    int count;
    uint64_t random;
    struct instant now;
    struct node node[NETWORK_NODES_MAX];
    bool up[NETWORK_NODES_MAX];
    bool cut[NETWORK_NODES_MAX]; /* off the network, but running */
    /* as in a daemon: who is not known as an issuer is not heard; NULL: all are */
    bool (*hears)(struct network *network, int to, const struct hf_name *from);
    int packet_end; /* none behind this one is used */
    struct instant disk_at[NETWORK_NODES_MAX];
    struct packet packet[NETWORK_IN_FLIGHT_MAX];
    unsigned loss_percent;
    unsigned repeat_percent;
    unsigned delay_max_us;
    unsigned straggle_percent; /* of the messages are late by up to straggle_max_us */
    unsigned straggle_max_us;
    unsigned disk_max_us;
    /* of a node's disk: so long at the least, and what waits when a sync begins is done by it */
    unsigned disk_min_us[NETWORK_NODES_MAX];
    size_t disk_takes[NETWORK_NODES_MAX];
    void (*after_step)(struct network *network, int node);
};

static inline unsigned network_random(struct network *network, unsigned bound)
{
    network->random = network->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((network->random >> 33) % bound);
}

static inline int network_find(const struct network *network, const struct hf_name *name)
{
    for (int i = 0; i < network->count; i++) {
        if (name_equal(&network->node[i].config.self, name))
            return i;
    }
    return -1;
}

static inline struct instant network_later(struct network *network, unsigned max_us)
{
    return instant_add(network->now, span_from_us(1 + network_random(network, max_us)));
}

static inline void network_post(struct network *network, const struct raft_message *message)
{
    for (int i = 0; i < NETWORK_IN_FLIGHT_MAX; i++) {
        struct packet *packet = &network->packet[i];

        if (packet->used)
            continue;
        packet->used = true;
        if (i >= network->packet_end)
            network->packet_end = i + 1;
        packet->at =
            network_later(network, network->straggle_percent > 0 && network_random(network, 100) <
                                                                        network->straggle_percent ?
                                       network->straggle_max_us :
                                       network->delay_max_us);
        packet->message = *message;
        if (message->entry_count > 0)
            memcpy(packet->entries, message->entries,
                   message->entry_count * sizeof packet->entries[0]);
        packet->message.entries = packet->entries;
        if (message->chunk.length > 0)
            memcpy(packet->chunk, message->chunk.data, message->chunk.length);
        packet->message.chunk.data = packet->chunk;
        if (message->members)
            packet->members = *message->members;
        packet->message.members = message->members ? &packet->members : NULL;
        return;
    }
}

/* After any step of node i: its messages go out, its snapshot wishes are met. */
static inline void network_after(struct network *network, int i)
{
    struct node *node = &network->node[i];

    for (size_t m = 0; m < node->out.message_count; m++) {
        if (network->cut[i] || network_random(network, 100) < network->loss_percent)
            continue;
        network_post(network, &node->out.messages[m]);
        if (network_random(network, 100) < network->repeat_percent)
            network_post(network, &node->out.messages[m]);
    }
    if (network->after_step)
        network->after_step(network, i);
    if (node->pending_count > 0 && network->disk_at[i].us == INT64_MAX) {
        network->disk_takes[i] = node->pending_count;
        network->disk_at[i] = instant_add(network_later(network, network->disk_max_us),
                                          span_from_us(network->disk_min_us[i]));
    }
}

static inline void network_step(struct network *network, int i, const struct raft_event *event)
{
    network->node[i].now = network->now;
    node_step(&network->node[i], event);
    network_after(network, i);
    while (raft_wants_snapshot(&network->node[i].raft)) {
        node_compact(&network->node[i]);
        network_after(network, i);
    }
}

static inline void network_tick_disk(struct network *network, int i)
{
    struct node *node = &network->node[i];

    if (node->pending_count == 0 || !instant_reached(network->disk_at[i], network->now))
        return;
    network->disk_at[i] = INSTANT_NEVER;
    node->now = network->now;
    if (network->disk_min_us[i] > 0)
        node_complete(node, network->disk_takes[i]);
    else
        node_complete(node, 1 + network_random(network, (unsigned)node->pending_count));
    network_after(network, i);
}

static inline void network_tick_packet(struct network *network, struct packet *packet)
{
    int to;

    if (!packet->used || !instant_reached(packet->at, network->now))
        return;
    packet->used = false;
    to = network_find(network, &packet->message.to);
    if (to >= 0 && network->up[to] && network->hears &&
        !network->hears(network, to, &packet->message.from))
        return;
    if (to >= 0 && network->up[to] && !network->cut[to])
        network_step(
            network, to,
            &(struct raft_event){ .kind = RAFT_EVENT_MESSAGE, .message = &packet->message });
}

/* One millisecond goes by. */
static inline void network_tick(struct network *network)
{
    network->now = instant_add(network->now, span_from_ms(1));
    for (int i = 0; i < network->count; i++) {
        if (!network->up[i])
            continue;
        network_tick_disk(network, i);
        if (instant_reached(network->node[i].out.wake_at, network->now))
            network_step(network, i, &(struct raft_event){ .kind = RAFT_EVENT_TIMER });
    }
    while (network->packet_end > 0 && !network->packet[network->packet_end - 1].used)
        network->packet_end--;
    for (int i = 0; i < network->packet_end; i++)
        network_tick_packet(network, &network->packet[i]);
}

/* Power cut: some of what waited for the disk may have reached it, unreported. */
static inline void network_crash(struct network *network, int i)
{
    struct node *node = &network->node[i];
    size_t reached = network_random(network, (unsigned)node->pending_count + 1);

    for (size_t b = 0; b < reached; b++)
        disk_write(&node->disk, &node->pending[b]);
    network->up[i] = false;
    for (int peer = 0; peer < network->count; peer++) {
        if (network->up[peer])
            network_step(
                network, peer,
                &(struct raft_event){ .kind = RAFT_EVENT_PEER_DOWN, .peer = node->config.self });
    }
}

static inline void network_start(struct network *network, int i)
{
    network->node[i].now = network->now;
    network->node[i].config.random_seed = network->random + (uint64_t)i;
    node_start(&network->node[i]);
    network->up[i] = true;
    network->disk_at[i] = INSTANT_NEVER;
    network_step(network, i, &(struct raft_event){ .kind = RAFT_EVENT_TIMER });
}

static inline void network_init(struct network *network, int count, uint64_t seed)
{
    for (int i = 0; i < NETWORK_NODES_MAX; i++)
        node_forget_pending(&network->node[i], network->node[i].pending_count);
    memset(network, 0, sizeof *network);
    network->count = count;
    network->random = seed * 0x9E3779B97F4A7C15ULL + 1;
    network->now = (struct instant){ 1000000 };
    network->delay_max_us = 3000;
    network->disk_max_us = 5000;
    for (int i = 0; i < count; i++)
        node_init(&network->node[i], i + 1, count, seed);
    for (int i = 0; i < count; i++)
        network_start(network, i);
}

/* Position of a leader that serves, or -1. */
static inline int network_serving(const struct network *network)
{
    for (int i = 0; i < network->count; i++) {
        if (network->up[i] && !network->cut[i] && network->node[i].raft.serving)
            return i;
    }
    return -1;
}

static inline int network_wait_serving(struct network *network)
{
    for (int ms = 0; ms < 10000 && network_serving(network) < 0; ms++)
        network_tick(network);
    return network_serving(network);
}

#endif
