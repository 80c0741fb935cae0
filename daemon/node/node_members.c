#include "hal/clock.h"
#include "log/log.h"
#include "node/node_private.h"

enum { LOOK_MS = 1000, LOOKS_A_TELLING = 10 };

const struct raft *node_raft(const struct node *node)
{
    return node->issuer != NULL ? &issuer_shell_replica(node->issuer)->raft : NULL;
}

static void log_issuers(const struct node *node)
{
    const struct issuers *issuers = &node->issuers;
    char text[ISSUERS_TEXT_MAX];
    if (node->config.conf->issuer_role && issuers_find(issuers, &issuers->self) == NULL)
        log_line(LOG_WARNING, "this node is no issuer of the cluster: not yet, or not any more");
    if (issuers_outdated(issuers, text, sizeof(text)))
        log_line(LOG_WARNING, "cluster.issuers of this node's file is out of date: %s", text);
    else
        log_line(LOG_NOTICE, "cluster.issuers of this node's file is up to date again");
}

static void hang_up(struct node *node, const struct hf_name *id)
{
    if (node->agent != NULL)
        agent_link(node->agent, id, false);
    if (node->hub != NULL)
        peer_hub_forget(node->hub, id);
}

/* One that is connected already, as a board or before it was added, is an issuer from now on. */
static void dial(struct node *node, const struct conf_node_address *to)
{
    const struct issuers_peer *peer = issuers_find(&node->issuers, &to->id);
    if (node->hub == NULL)
        return;
    const struct wire_hello *hello = peer_hub_hello(node->hub, &to->id);
    if (peer != NULL && !peer->up && hello != NULL) {
        (void)issuers_link_up(&node->issuers, hello, hal_clock_now());
        if (node->agent != NULL)
            agent_link(node->agent, &to->id, true);
    }
    peer_hub_dial(node->hub, &to->id, to->address);
}

static void expire(uv_timer_t *timer);

static void arm(struct node *node)
{
    struct instant at = issuers_wake_at(&node->issuers);
    if (at.us == INSTANT_NEVER.us) {
        uv_timer_stop(&node->leaving_timer);
        return;
    }
    int64_t left_us = instant_diff(at, hal_clock_now()).us;
    uint64_t left_ms = left_us <= 0 ? 0 : (uint64_t)(left_us + 999) / 1000;
    uv_update_time(node->config.loop);
    uv_timer_start(&node->leaving_timer, expire, left_ms, 0);
}

static void carry_out(struct node *node, const struct issuers_change *change)
{
    if (node->hub != NULL)
        peer_hub_dial_all(node->hub, change->dial_all);
    for (uint8_t i = 0; i < change->forget_count; i++)
        hang_up(node, &change->forget[i]);
    for (uint8_t i = 0; i < change->dial_count; i++)
        dial(node, &change->dial[i]);
    if (change->differs)
        log_issuers(node);
    arm(node);
}

static void expire(uv_timer_t *timer)
{
    struct node *node = timer->data;
    struct issuers_change change;
    issuers_expire(&node->issuers, node_raft(node), hal_clock_now(), &change);
    carry_out(node, &change);
}

static void look(uv_timer_t *timer)
{
    struct node *node = timer->data;
    struct issuers_change change;
    issuers_look(&node->issuers, node_raft(node), &change);
    /* They were no issuers to the agent; mostly none of them is dialled now, either. */
    for (uint8_t i = 0; i < change.forget_count && node->hub != NULL; i++)
        peer_hub_forget(node->hub, &change.forget[i]);
    change.forget_count = 0;
    carry_out(node, &change);
    /* Who was told may not have taken this node for an issuer then; one that left is none. */
    if (node->issuer != NULL && ++node->looks % LOOKS_A_TELLING == 0 &&
        issuers_find(&node->issuers, &node->issuers.self) != NULL)
        issuer_shell_tell_issuers(node->issuer, NULL);
}

void node_members_start(struct node *node)
{
    uv_timer_init(node->config.loop, &node->leaving_timer);
    node->leaving_timer.data = node;
    uv_timer_init(node->config.loop, &node->look_timer);
    node->look_timer.data = node;
    if (node->config.conf->issuer_role)
        uv_timer_start(&node->look_timer, look, LOOK_MS, LOOK_MS);
}

void node_members_stop(struct node *node)
{
    uv_close((uv_handle_t *)&node->leaving_timer, NULL);
    uv_close((uv_handle_t *)&node->look_timer, NULL);
}

void node_members_follow(struct node *node, const struct raft *raft)
{
    struct issuers_change change;
    issuers_follow(&node->issuers, raft, hal_clock_now(), &change);
    carry_out(node, &change);
}

void node_members_told(struct node *node, const struct wire_issuers *issuers)
{
    struct issuers_change change;
    issuers_told(&node->issuers, issuers, node_raft(node), hal_clock_now(), &change);
    carry_out(node, &change);
}
