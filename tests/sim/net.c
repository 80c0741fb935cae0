/*
 * Connections and what is on them. A frame never outlives its connection, as with TLS; within one,
 * unless the network is `ordered`, frames are lost, repeated, delayed and overtaken.
 */
#include <string.h>

#include "tests/sim/sim.h"

enum {
    DIAL_MIN_US = 50000,
    DIAL_MAX_US = 500000,
    OWN_MAX_US = 100,
    LINK_MAX_US = 5000,       /* between a connection and the word of it */
    RESET_MAX_US = 3000,      /* a peer's process died */
    SILENCE_MIN_US = 1000000, /* a peer's power was cut, or the way is blocked */
    SILENCE_MAX_US = 3000000,
    RESEND_MIN_US = 20000,
    RESEND_MAX_US = 200000,
    STRAGGLERS_PPM = 10000
};

static int node_count(const struct world *world)
{
    return world->issuer_count + world->board_count;
}

static bool is_issuer(const struct world *world, int node)
{
    return node < world->issuer_count;
}

static struct connection *connection_of(struct world *world, int a, int b)
{
    return a < b ? &world->network.connection[a][b] : &world->network.connection[b][a];
}

static bool blocked(const struct world *world, int from, int to)
{
    return world->network.blocked_until_us[from][to] > world->now_us;
}

static int64_t some_time(struct world *world, int node, int64_t low_us, int64_t high_us)
{
    return random_between(world_random(world, STREAM_NET, node), low_us, high_us);
}

bool net_is_missed(const struct world *world, int a, int b)
{
    const struct connection *connection =
        a < b ? &world->network.connection[a][b] : &world->network.connection[b][a];
    return !connection->open &&
           world->now_us - connection->closed_us >= (int64_t)PEER_DIAL_LATE_MS * 1000;
}

static void post_dial(struct world *world, int a, int b, int64_t delay_us)
{
    world_post(world, EVENT_DIAL, a < b ? a : b, delay_us, NULL, 0)->peer = a < b ? b : a;
}

static void post_link(struct world *world, int node, int peer, bool up, uint32_t epoch,
                      int64_t delay_us)
{
    struct event *event = world_post(world, EVENT_LINK, node, delay_us, NULL, 0);
    event->peer = peer;
    event->up = up;
    event->epoch = epoch;
}

bool net_is_up(const struct world *world, int node, int peer)
{
    const struct network *network = &world->network;
    return node < peer ? network->connection[node][peer].up[0] :
                         network->connection[peer][node].up[1];
}

void net_start(struct world *world)
{
    for (int low = 0; low < world->issuer_count; low++) {
        for (int high = low + 1; high < node_count(world); high++) {
            if (world->machine_of[high] == high)
                post_dial(world, low, high, some_time(world, low, 1000, DIAL_MAX_US));
        }
    }
}

void net_dial(struct world *world, const struct event *event)
{
    struct connection *connection = connection_of(world, event->node, event->peer);
    int ends[2] = { event->node, event->peer };
    bool possible = hub_wants(world, ends[0], ends[1]) && !blocked(world, ends[0], ends[1]) &&
                    !blocked(world, ends[1], ends[0]);
    for (int side = 0; side < 2; side++) {
        const struct process *process = machine_daemon(world, ends[side]);
        possible = possible && process->up && process->paused_until_us <= world->now_us;
    }
    if (!possible) {
        post_dial(world, ends[0], ends[1], some_time(world, ends[0], DIAL_MIN_US, DIAL_MAX_US));
        return;
    }
    connection->open = true;
    connection->epoch++;
    for (int side = 0; side < 2; side++) {
        connection->busy_us[side] = world->now_us;
        connection->stall_us[side] = connection->stalled_us[side] = 0;
        post_link(world, ends[side], ends[1 - side], true, connection->epoch,
                  some_time(world, ends[side], 100, LINK_MAX_US));
    }
}

void net_link(struct world *world, const struct event *event)
{
    struct connection *connection = connection_of(world, event->node, event->peer);
    int side = event->node < event->peer ? 0 : 1;
    if (event->up) {
        if (event->epoch != connection->epoch || !connection->open)
            return;
        /* A new connection replaces one whose end was not noticed. */
        if (connection->up[side])
            hub_tell(world, event->node, event->peer, false);
        connection->up[side] = true;
        connection->side_epoch[side] = event->epoch;
        hub_tell(world, event->node, event->peer, true);
    } else if (connection->up[side] && connection->side_epoch[side] == event->epoch) {
        connection->up[side] = false;
        hub_tell(world, event->node, event->peer, false);
    }
}

static void close_connection(struct world *world, int a, int b, int64_t min_us, int64_t max_us)
{
    struct connection *connection = connection_of(world, a, b);
    if (!connection->open)
        return;
    connection->open = false;
    connection->closed_us = world->now_us;
    for (int side = 0; side < 2; side++) {
        int node = (side == 0) == (a < b) ? a : b;
        int peer = node == a ? b : a;
        if (machine_daemon(world, node)->up)
            post_link(world, node, peer, false, connection->epoch,
                      some_time(world, node, min_us, max_us));
    }
    post_dial(world, a, b, some_time(world, a, DIAL_MIN_US, DIAL_MAX_US));
}

void net_break(struct world *world, int a, int b, int64_t notice_max_us)
{
    if (world->machine_of[a] != world->machine_of[b])
        close_connection(world, world->machine_of[a], world->machine_of[b], 0, notice_max_us);
}

void net_machine_died(struct world *world, int machine, bool silent)
{
    for (int peer = 0; peer < node_count(world); peer++) {
        if (peer == machine || (!is_issuer(world, machine) && !is_issuer(world, peer)))
            continue;
        connection_of(world, machine, peer)->up[machine < peer ? 0 : 1] = false;
        bool unheard = silent || blocked(world, machine, peer);
        close_connection(world, machine, peer, unheard ? SILENCE_MIN_US : 100,
                         unheard ? SILENCE_MAX_US : RESET_MAX_US);
    }
}

static int64_t travel_us(struct world *world, int from)
{
    struct random *random = world_random(world, STREAM_NET, from);
    const struct network *network = &world->network;
    if (network->straggle_max_us > 0 && random_chance(random, STRAGGLERS_PPM))
        return random_between(random, network->delay_max_us, network->straggle_max_us);
    return random_between(random, 50, network->delay_max_us);
}

static void post_frame(struct world *world, int from, int to, uint32_t epoch, const uint8_t *frame,
                       size_t length)
{
    struct connection *connection = connection_of(world, from, to);
    int64_t *busy_us = &connection->busy_us[to < from ? 0 : 1];
    int64_t at_us = world->now_us + travel_us(world, from) + slack_delay_us(world, from, to);
    if (at_us < *busy_us && !world->network.ordered)
        world_cover(world, COVERAGE_FRAMES_OVERTAKEN);
    if (at_us <= *busy_us && world->network.ordered)
        at_us = *busy_us + 1;
    if (at_us > *busy_us)
        *busy_us = at_us;
    struct event *event = world_post(world, EVENT_FRAME, to, at_us - world->now_us, frame, length);
    event->peer = from;
    event->epoch = epoch;
}

bool net_send(struct world *world, int from, int to, const uint8_t *frame, size_t length)
{
    const struct network *network = &world->network;
    struct connection *connection = connection_of(world, from, to);
    struct random *random = world_random(world, STREAM_NET, from);
    int side = from < to ? 0 : 1;
    if (from == to || !connection->up[side])
        return false;
    uint32_t epoch = connection->side_epoch[side];
    if (epoch != connection->epoch || !connection->open)
        return true;
    if (!network->ordered && random_chance(random, network->loss_ppm)) {
        world_cover(world, COVERAGE_FRAMES_LOST);
        return true;
    }
    post_frame(world, from, to, epoch, frame, length);
    if (!network->ordered && random_chance(random, network->repeat_ppm)) {
        world_cover(world, COVERAGE_FRAMES_REPEATED);
        post_frame(world, from, to, epoch, frame, length);
    }
    return true;
}

/* `stalled`: and what comes behind it as well. */
static void put_off(struct world *world, const struct event *event, int64_t delay_us, bool stalled)
{
    struct event later = *event;
    later.at_us = world->now_us + delay_us;
    later.up = stalled;
    queue_add(&world->queue, &later);
    world->current.data = NULL;
}

/*
 * Where frames come in order, none overtakes one that could not come in: all that came meanwhile follows
 * when that is over.
 */
static void stall(struct world *world, const struct event *event, int64_t delay_us, bool begins)
{
    struct connection *connection = connection_of(world, event->node, event->peer);
    int side = event->node < event->peer ? 0 : 1;
    if (begins && world->now_us >= connection->stall_us[side]) {
        connection->stall_us[side] = world->now_us + delay_us;
        connection->stalled_us[side] = connection->stall_us[side] - 1;
    }
    int64_t at_us = ++connection->stalled_us[side];
    if (at_us > connection->busy_us[side])
        connection->busy_us[side] = at_us;
    put_off(world, event, at_us - world->now_us, true);
}

/* It is behind another one that was put off. */
static bool must_follow(const struct connection *connection, int side, const struct event *event,
                        int64_t now_us)
{
    return now_us < connection->stall_us[side] ||
           (!event->up && now_us <= connection->stalled_us[side]);
}

static bool arrives_in_order(struct world *world, const struct event *event, bool is_blocked,
                             bool is_up)
{
    struct connection *connection = connection_of(world, event->node, event->peer);
    int side = event->node < event->peer ? 0 : 1;
    if (event->epoch != connection->epoch || !connection->open)
        return is_up && !is_blocked;
    /* The sender's kernel repeats it for as long as the connection stands. */
    if (is_blocked || !is_up || must_follow(connection, side, event, world->now_us)) {
        stall(world, event, is_blocked ? RESEND_MAX_US : LINK_MAX_US, is_blocked || !is_up);
        return false;
    }
    return true;
}

bool net_arrives(struct world *world, const struct event *event)
{
    int node = event->node;
    int peer = event->peer;
    struct connection *connection = connection_of(world, node, peer);
    int side = node < peer ? 0 : 1;
    bool is_blocked = blocked(world, peer, node);
    bool is_up = connection->up[side] && connection->side_epoch[side] == event->epoch;
    if (world->network.ordered)
        return arrives_in_order(world, event, is_blocked, is_up);
    if (is_blocked)
        world_cover(world, COVERAGE_FRAMES_LOST);
    else if (!is_up && event->epoch == connection->epoch && connection->open)
        put_off(world, event, LINK_MAX_US, false);
    return is_up && !is_blocked;
}

void net_block(struct world *world, int from_node, int to_node, int64_t duration_us)
{
    int from = world->machine_of[from_node];
    int to = world->machine_of[to_node];
    if (from == to)
        return;
    int64_t until_us = world->now_us + duration_us;
    if (world->network.blocked_until_us[from][to] < until_us)
        world->network.blocked_until_us[from][to] = until_us;
    /* Long ones end the connection, sooner or later, at each end. */
    if (duration_us > SILENCE_MIN_US && (is_issuer(world, from) || is_issuer(world, to)))
        close_connection(world, from, to, SILENCE_MIN_US, SILENCE_MAX_US);
}

void net_heal(struct world *world)
{
    memset(world->network.blocked_until_us, 0, sizeof(world->network.blocked_until_us));
    world->network.loss_ppm = 0;
    world->network.repeat_ppm = 0;
    world->network.straggle_max_us = 0;
    world->network.delay_max_us = 2000;
}
