#include "node/issuers.h"

#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "hal/clock.h"
#include "issuer/issuer_shell.h"

enum { LEADERLESS_LOOKS = 2, LOOK_MS = 1000 };

static const struct conf_node_address *in_file(const struct node *node, const struct hf_name *id)
{
    for (uint8_t i = 0; i < node->conf.issuer_count; i++) {
        if (name_equal(&node->conf.issuer[i].id, id))
            return &node->conf.issuer[i];
    }
    return NULL;
}

void issuers_from_file(struct node *node)
{
    node->issuer_count = node->conf.issuer_count;
    for (uint8_t i = 0; i < node->issuer_count; i++) {
        struct node_peer *peer = &node->issuer_peer[i];
        peer->id = node->conf.issuer[i].id;
        text_copy(peer->address, sizeof(peer->address), node->conf.issuer[i].address);
    }
}

struct node_peer *issuers_find(struct node *node, const struct hf_name *id)
{
    for (uint8_t i = 0; i < node->issuer_count; i++) {
        if (name_equal(&node->issuer_peer[i].id, id))
            return &node->issuer_peer[i];
    }
    return NULL;
}

/* ---- out of date? */

static void note(char *text, size_t size, const char *what, const struct hf_name *id,
                 const char *address)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s %s%s%s", used > 0 ? ", " : "", what, id->text,
             address[0] != '\0' ? " at " : "", address);
}

bool issuers_outdated(const struct node *node, char *text, size_t size)
{
    text[0] = '\0';
    for (uint8_t i = 0; i < node->issuer_count; i++) {
        const struct node_peer *peer = &node->issuer_peer[i];
        const struct conf_node_address *listed = in_file(node, &peer->id);
        if (listed == NULL)
            note(text, size, "add", &peer->id, peer->address);
        else if (strcmp(listed->address, peer->address) != 0)
            note(text, size, "change", &peer->id, peer->address);
    }
    for (uint8_t i = 0; i < node->conf.issuer_count; i++) {
        bool known = false;
        for (uint8_t k = 0; k < node->issuer_count; k++)
            known = known || name_equal(&node->issuer_peer[k].id, &node->conf.issuer[i].id);
        if (!known)
            note(text, size, "remove", &node->conf.issuer[i].id, "");
    }
    return text[0] != '\0';
}

static void log_change(struct node *node)
{
    char text[400];
    if (node->issuer != NULL && issuers_find(node, &node->conf.node_id) == NULL)
        log_line(LOG_WARNING, "this node is no issuer of the cluster: not yet, or not any more");
    if (issuers_outdated(node, text, sizeof(text)))
        log_line(LOG_WARNING, "cluster.issuers of this node's file is out of date: %s", text);
    else
        log_line(LOG_NOTICE, "cluster.issuers of this node's file is up to date again");
}

/* ---- taking a configuration over */

static struct node_peer made_of(struct node *node, const struct raft_member *member)
{
    const struct node_peer *known = issuers_find(node, &member->id);
    const struct conf_node_address *listed = in_file(node, &member->id);
    struct node_peer peer = { .id = member->id };
    if (known != NULL)
        peer = *known;
    if (member->address[0] != '\0')
        text_copy(peer.address, sizeof(peer.address), member->address);
    else if (listed != NULL)
        text_copy(peer.address, sizeof(peer.address), listed->address);
    return peer;
}

static const struct raft *own_raft(const struct node *node)
{
    return node->issuer != NULL ? &issuer_shell_replica(node->issuer)->raft : NULL;
}

bool issuers_is_leaving(const struct node *node, const struct hf_name *id)
{
    for (uint8_t i = 0; i < node->leaving_count; i++) {
        if (name_equal(&node->leaving[i], id))
            return true;
    }
    return false;
}

/*
 * The operator's file is heard as well as the log: one that was removed and is back may be needed by
 * an issuer that missed its return, and nobody else may be there to say so. What it says is judged by
 * Raft's own rules.
 */
bool issuers_hears(struct node *node, const struct hf_name *id)
{
    const struct raft *raft = own_raft(node);
    return issuers_find(node, id) != NULL || in_file(node, id) != NULL ||
           (raft != NULL && raft_hears(raft, id));
}

static void hang_up(struct node *node, const struct hf_name *id)
{
    if (node->agent != NULL)
        agent_link(node->agent, id, false);
    if (node->hub != NULL)
        peer_hub_forget(node->hub, id);
}

/* A leader that removes itself needs our acknowledgement of that, hands over, and answers. */
static void hang_up_on_unheard(uv_timer_t *timer)
{
    struct node *node = timer->data;
    struct hf_name leaving[HF_ISSUERS_MAX];
    uint8_t count = node->leaving_count;
    memcpy(leaving, node->leaving, sizeof(leaving));
    node->leaving_count = 0;
    for (uint8_t i = 0; i < count; i++) {
        if (issuers_find(node, &leaving[i]) != NULL)
            continue;
        if (own_raft(node) != NULL && raft_hears(own_raft(node), &leaving[i]))
            node->leaving[node->leaving_count++] = leaving[i];
        else
            hang_up(node, &leaving[i]);
    }
    if (node->leaving_count == 0)
        uv_timer_stop(timer);
}

static void drop(struct node *node, const struct node_peer *peer)
{
    uint64_t patience_ms = (uint64_t)node->conf.election_ms;
    if (issuers_is_leaving(node, &peer->id))
        return;
    if (node->leaving_count == HF_ISSUERS_MAX) {
        hang_up(node, &peer->id);
        return;
    }
    node->leaving[node->leaving_count++] = peer->id;
    uv_timer_start(&node->leaving_timer, hang_up_on_unheard, patience_ms, patience_ms);
}

/* Those whom the file lists and the log does not are needed for as long as nobody leads. */
static void look(uv_timer_t *timer)
{
    struct node *node = timer->data;
    const struct raft *raft = own_raft(node);
    if (raft == NULL || node->hub == NULL)
        return;
    if (!name_empty(&raft->leader))
        node->leaderless = 0;
    else if (node->leaderless < LEADERLESS_LOOKS)
        node->leaderless++;
    for (uint8_t i = 0; i < node->conf.issuer_count; i++) {
        const struct conf_node_address *listed = &node->conf.issuer[i];
        if (issuers_find(node, &listed->id) != NULL || issuers_is_leaving(node, &listed->id) ||
            name_equal(&listed->id, &node->conf.node_id))
            continue;
        if (node->leaderless == LEADERLESS_LOOKS)
            peer_hub_dial(node->hub, &listed->id, listed->address);
        else if (node->leaderless == 0)
            peer_hub_forget(node->hub, &listed->id);
    }
}

void issuers_start(struct node *node)
{
    uv_timer_init(&node->loop, &node->leaving_timer);
    node->leaving_timer.data = node;
    uv_timer_init(&node->loop, &node->look_timer);
    node->look_timer.data = node;
    uv_timer_start(&node->look_timer, look, LOOK_MS, LOOK_MS);
}

void issuers_stop(struct node *node)
{
    uv_close((uv_handle_t *)&node->leaving_timer, NULL);
    uv_close((uv_handle_t *)&node->look_timer, NULL);
}

/* One that is connected already, as a board or before it was added, is an issuer from now on. */
static void welcome(struct node *node, struct node_peer *peer)
{
    if (node->hub == NULL || name_equal(&peer->id, &node->conf.node_id))
        return;
    const struct wire_hello *hello = peer_hub_hello(node->hub, &peer->id);
    if (hello != NULL && !peer->up)
        node_issuer_up(node, peer, hello);
    peer_hub_dial(node->hub, &peer->id, peer->address);
}

static bool same(const struct node *node, const struct node_peer *peers, uint8_t count)
{
    if (count != node->issuer_count)
        return false;
    for (uint8_t i = 0; i < count; i++) {
        if (!name_equal(&peers[i].id, &node->issuer_peer[i].id) ||
            strcmp(peers[i].address, node->issuer_peer[i].address) != 0)
            return false;
    }
    return true;
}

static void take_over(struct node *node, const struct raft_members *members)
{
    struct node_peer before[HF_ISSUERS_MAX];
    struct node_peer after[HF_ISSUERS_MAX];
    uint8_t before_count = node->issuer_count;
    for (uint8_t i = 0; i < members->count; i++)
        after[i] = made_of(node, &members->member[i]);
    bool changed = !same(node, after, members->count);
    memcpy(before, node->issuer_peer, sizeof(before));
    memcpy(node->issuer_peer, after, members->count * sizeof(after[0]));
    node->issuer_count = members->count;
    for (uint8_t i = 0; i < before_count; i++) {
        if (issuers_find(node, &before[i].id) == NULL)
            drop(node, &before[i]);
    }
    for (uint8_t i = 0; i < node->issuer_count; i++)
        welcome(node, &node->issuer_peer[i]);
    if (changed)
        log_change(node);
}

void issuers_follow(struct node *node)
{
    const struct raft *raft = own_raft(node);
    bool own = raft != NULL && raft->members_index >= node->told.index;
    if (own)
        take_over(node, &raft->members);
    else if (node->told.index > 0)
        take_over(node, &node->told.members);
}

void issuers_told(struct node *node, const struct wire_issuers *issuers)
{
    if (issuers->index <= node->told.index)
        return;
    node->told = *issuers;
    issuers_follow(node);
}
