/*
 * The peer hub of a simulated holdfastd: peer/peer.h above the world's network, in place of TLS. As
 * there, one of two that dial each other is enough, and of two issuers the first by name dials, or
 * the other if it does not come.
 */
#include "base/check.h"
#include "peer/peer.h"
#include "tests/sim/sim.h"

static int machine_named(const struct world *world, const struct hf_name *name)
{
    int issuer = world_issuer(world, name);
    int machine = issuer >= 0 ? issuer : world_board_node(world, name);
    HF_CHECK(machine >= 0);
    return machine;
}

/* ---- for the node */

struct peer_hub *peer_hub_create(uv_loop_t *uv, const struct peer_config *config,
                                 const struct peer_events *events, char *error, size_t error_size)
{
    const struct sim_loop *loop = uv->data;
    struct peer_hub *hub = &loop->world->hub[loop->machine];
    (void)error;
    (void)error_size;
    *hub = (struct peer_hub){
        .world = loop->world, .machine = loop->machine, .events = *events, .self = config->self
    };
    for (size_t i = 0; i < config->dial_count; i++)
        hub->dials[machine_named(loop->world, &config->dial[i].id)] = true;
    return hub;
}

bool peer_send(struct peer_hub *hub, const struct hf_name *node, struct bytes envelope)
{
    return net_send(hub->world, hub->machine, machine_named(hub->world, node), envelope.data,
                    envelope.length);
}

void peer_send_all(struct peer_hub *hub, struct bytes envelope)
{
    for (int i = 0; i < hub->world->issuer_count + hub->world->board_count; i++) {
        if (i != hub->machine)
            (void)net_send(hub->world, hub->machine, i, envelope.data, envelope.length);
    }
}

void peer_hub_dial(struct peer_hub *hub, const struct hf_name *id, const char *address)
{
    (void)address;
    hub->dials[machine_named(hub->world, id)] = true;
}

void peer_hub_dial_all(struct peer_hub *hub, bool all)
{
    hub->dials_all = all;
}

void peer_hub_forget(struct peer_hub *hub, const struct hf_name *id)
{
    int peer = machine_named(hub->world, id);
    hub->dials[peer] = false;
    if (!hub_wants(hub->world, hub->machine, peer))
        net_break(hub->world, hub->machine, peer, 0);
}

const struct wire_hello *peer_hub_hello(const struct peer_hub *hub, const struct hf_name *node)
{
    int peer = machine_named(hub->world, node);
    return net_is_up(hub->world, hub->machine, peer) ? &hub->world->hub[peer].self : NULL;
}

bool peer_is_up(const struct peer_hub *hub, const struct hf_name *node)
{
    return peer_hub_hello(hub, node) != NULL;
}

/* Nothing here stops in order: it is killed. */
void peer_hub_close(struct peer_hub *hub, void (*done)(void *context), void *context)
{
    (void)hub;
    (void)done;
    (void)context;
    hf_panic(__FILE__, __LINE__, "a hub that is closed");
}

/* ---- for the world */

static bool dials(const struct world *world, int from, int to)
{
    const struct peer_hub *hub = &world->hub[from];
    return hub->dials[to] &&
           (!hub->self.issuer || hub->dials_all || from < to || net_is_missed(world, from, to));
}

bool hub_wants(const struct world *world, int a, int b)
{
    return dials(world, a, b) || dials(world, b, a);
}

void hub_tell(struct world *world, int machine, int peer, bool up)
{
    const struct peer_events *events = &world->hub[machine].events;
    log_note(world, "%s: connection to %s %s", world->name[machine].text, world->name[peer].text,
             up ? "up" : "down");
    struct sim_loop *before = loop_enter(world, machine);
    if (up)
        events->on_up(events->context, &world->hub[peer].self);
    else
        events->on_down(events->context, &world->name[peer], "it ended");
    loop_leave(before);
}

void hub_frame(struct world *world, const struct event *event)
{
    const struct peer_events *events = &world->hub[event->node].events;
    const struct bytes frame = { event->data, event->length };
    if (!net_arrives(world, event))
        return;
    const char *wrong = wire_decode(&world->scratch->message, frame);
    if (wrong)
        world_fail(world, ORACLE_PANIC, "%s: frame refused: %s", world->name[event->node].text,
                   wrong);
    world->frame_sent_us = event->sent_us;
    struct sim_loop *before = loop_enter(world, event->node);
    events->on_message(events->context, &world->name[event->peer], &world->scratch->message);
    loop_leave(before);
}
