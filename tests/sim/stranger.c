/*
 * Others at a board's guard.sock, in chaos: users who may not connect, somebody else's agent, whoever
 * says nothing, or nonsense, or a permit before a hello. None of them may change anything, but a
 * twin: a second agent of the same board. And readbacks that can't be read for a while.
 */
#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    EVERY_US = 1500000, /* mean, times the scale */
    OTHER_UID = 1001,
    SILENT_MAX = SIM_STRANGERS,
    TOKENS_AHEAD = 1000,
    FAILS_PPM = 30000,
    FAILS_CLEARING_PPM = 50000,
    FAILS_MAX_US = 100000 /* times the scale */
};

/* A twin is a second agent of this board: it takes the place, and the first one comes anew. */
enum manner { FORBIDDEN, MISNAMED, WITHOUT_HELLO, NONSENSE, SILENT, TWIN, MANNERS };

static struct random *chance(struct world *world, int board)
{
    return world_random(world, STREAM_STRANGER, board_node(world, board));
}

static void post_next(struct world *world, int board)
{
    int64_t delay_us = random_between(chance(world, board), 1000, 2 * EVERY_US * world->plan.scale);
    world_post(world, EVENT_STRANGER, board_node(world, board), delay_us, NULL, 0);
}

void strangers_start(struct world *world)
{
    for (int board = 0; board < world->board_count; board++) {
        if (plan_is_chaos(&world->plan) && !world->plan.steady)
            post_next(world, board);
    }
}

/* One that the guard would take from its agent. */
static struct guard_message permit(struct world *world, int board)
{
    const struct guard *guard = &world->board[board].guard.loop.guard;
    uint8_t resource = (uint8_t)random_below(chance(world, board), guard->config.resource_count);
    struct guard_message message;
    guard_message_init(&message, GUARD_PERMIT);
    message.name = world->resource[resource];
    message.token = guard->resource[resource].token + TOKENS_AHEAD;
    message.deadline_us =
        clock_local(world, board_node(world, board)).us + world->board[board].ttl_us / 2;
    message.terms = guard->config.resource[resource].terms;
    return message;
}

static void say_hello(struct world *world, int board, uint32_t number, int named)
{
    struct guard_message hello;
    guard_message_init(&hello, GUARD_HELLO);
    hello.name = world->name[board_node(world, named)];
    (void)socket_say(world, board, number, &hello, sizeof(hello));
}

static void say_nonsense(struct world *world, int board, uint32_t number)
{
    struct guard_message message;
    size_t length = sizeof(message);
    guard_message_init(&message, GUARD_HELLO);
    message.name = world->name[board_node(world, board)];
    switch (random_below(chance(world, board), 4)) {
    case 0:
        length--;
        break;
    case 1:
        message.magic++;
        break;
    case 2:
        message.version++;
        break;
    default:
        message.kind = GUARD_STATUS;
        break;
    }
    (void)socket_say(world, board, number, &message, length);
}

static void come(struct world *world, int board, enum manner manner)
{
    uint32_t number = 0;
    const struct guard_message forged = permit(world, board);
    if (socket_dial(world, board, manner == FORBIDDEN ? OTHER_UID : SIM_AGENT_UID, STREAM_STRANGER,
                    &number) != 0)
        return;
    world_cover(world, COVERAGE_STRANGERS_AT_GUARDS);
    if (manner == FORBIDDEN || manner == MISNAMED)
        say_hello(world, board, number,
                  manner == FORBIDDEN ? board : (board + 1) % world->board_count);
    if (manner == TWIN) {
        say_hello(world, board, number, board);
        world->board[board].socket.hung_up_us = world->now_us;
    }
    if (manner == NONSENSE)
        say_nonsense(world, board, number);
    if (manner == FORBIDDEN || manner == MISNAMED || manner == WITHOUT_HELLO)
        (void)socket_say(world, board, number, &forged, sizeof(forged));
    struct sim_socket *socket = &world->board[board].socket;
    if ((manner == SILENT || manner == TWIN) && socket->silent_count < SILENT_MAX)
        socket->silent[socket->silent_count++] = number;
    else
        socket_hang_up(world, board, number);
}

static void fail(struct world *world, int board, int resource)
{
    struct random *random = chance(world, board);
    int64_t until_us =
        world->now_us + random_between(random, 1000, FAILS_MAX_US * world->plan.scale);
    guard_hal_fails(world, board, resource,
                    until_us < world->plan.quiet_us ? until_us : world->plan.quiet_us);
}

/* What was repaired, or not, fails again while a fault of it is being cleared. */
void stranger_sees_clearing(struct world *world, int board, int resource)
{
    bool drawn = plan_is_chaos(&world->plan) && !world->plan.steady && !world->quiet;
    if (drawn && !world->plan.hardware[board].blind &&
        random_chance(chance(world, board), FAILS_CLEARING_PPM))
        fail(world, board, resource);
}

void stranger_event(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    struct sim_socket *socket = &world->board[board].socket;
    struct random *random = chance(world, board);
    while (socket->silent_count > 0 && random_chance(random, 600000))
        socket_hang_up(world, board, socket->silent[--socket->silent_count]);
    if (world->quiet)
        return;
    enum manner manner =
        (enum manner)random_below(random, random_chance(random, 200000) ? MANNERS : TWIN);
    if (manner == MISNAMED && world->board_count == 1)
        manner = SILENT; /* there is no other name */
    if (random_chance(random, FAILS_PPM) && !world->plan.hardware[board].blind)
        fail(world, board, (int)random_below(random, (uint64_t)world->resource_count));
    int64_t count = manner == SILENT ? random_between(random, 1, SILENT_MAX) : 1;
    for (int64_t i = 0; i < count; i++)
        come(world, board, manner);
    post_next(world, board);
}
