/*
 * Others at a board's guard.sock, in chaos: users who may not connect, somebody else's agent, whoever
 * says nothing, or nonsense, or a permit before a hello. None of them may change anything.
 */
#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    EVERY_US = 1500000, /* mean, times the scale */
    OTHER_UID = 1001,
    SILENT_MAX = SIM_STRANGERS,
    TOKENS_AHEAD = 1000
};

enum manner { FORBIDDEN, MISNAMED, WITHOUT_HELLO, NONSENSE, SILENT, MANNERS };

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
    message.deadline_us = clock_local(world, board_node(world, board)).us + world->plan.ttl_us / 2;
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
    if (manner == NONSENSE)
        say_nonsense(world, board, number);
    if (manner != NONSENSE && manner != SILENT)
        (void)socket_say(world, board, number, &forged, sizeof(forged));
    struct sim_socket *socket = &world->board[board].socket;
    if (manner == SILENT && socket->silent_count < SILENT_MAX)
        socket->silent[socket->silent_count++] = number;
    else
        socket_hang_up(world, board, number);
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
    enum manner manner = (enum manner)random_below(random, MANNERS);
    int64_t count = manner == SILENT ? random_between(random, 1, SILENT_MAX) : 1;
    for (int64_t i = 0; i < count; i++)
        come(world, board, manner);
    post_next(world, board);
}
