/*
 * RUN/guard.sock, as the kernel has it: the calls of agent/guard_link.c (the Makefile wraps them) and
 * those that the guard makes through its platform. What either says comes to the other in order,
 * message by message, some time later, and so does the end; what the other side has closed is known
 * at once to whoever sends.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/sim/sim.h"
#include "tests/sim/wrapped.h"

enum { FIRST_FD = 1 << 20, DELAY_MIN_US = 20, DELAY_MAX_US = 300, AGENT_PID = 200 };

static struct sim_socket *socket_of(struct world *world, int board)
{
    return &world->board[board].socket;
}

/* NULL: both ends have closed it. */
static struct sim_connection *find(struct sim_socket *socket, uint32_t number)
{
    for (int i = 0; i < SIM_CONNECTIONS; i++) {
        if (socket->connection[i].number == number && number != 0)
            return &socket->connection[i];
    }
    return NULL;
}

/* Whatever was done to the connection: what the guard may take in. */
static void note(struct sim_socket *socket, struct sim_connection *connection)
{
    unsigned bit = 1u << (connection - socket->connection);
    if (!connection->open && !connection->guard_open)
        connection->number = 0;
    bool there = connection->number != 0 && connection->guard_open;
    bool input = connection->count > 0 || connection->ended;
    socket->waiting &= ~bit;
    socket->ready &= ~bit;
    if (there && connection->waits)
        socket->waiting |= bit;
    if (there && connection->accepted && input)
        socket->ready |= bit;
}

/* Not before what was sent before it. */
static int64_t arrival_us(struct world *world, int board, enum stream stream, int64_t *busy_us)
{
    struct random *random = world_random(world, stream, board_node(world, board));
    int64_t at_us = world->now_us + random_between(random, DELAY_MIN_US, DELAY_MAX_US);
    if (at_us <= *busy_us)
        at_us = *busy_us + 1;
    *busy_us = at_us;
    return at_us;
}

/* ---- to the guard: a connection, which is `up`; a message; or without data, the end */

static struct event *post_to_guard(struct world *world, int board,
                                   struct sim_connection *connection, const void *data,
                                   size_t length)
{
    int64_t at_us = arrival_us(world, board, connection->stream, &connection->busy_us);
    struct event *event = world_post(world, EVENT_GUARD_MESSAGE, board_node(world, board),
                                     at_us - world->now_us, data, length);
    event->epoch = connection->number;
    return event;
}

/* What was said or ended before a connection was made is there before it. */
static int64_t last_arrival_us(const struct sim_socket *socket)
{
    int64_t last_us = 0;
    for (int i = 0; i < SIM_CONNECTIONS; i++) {
        const struct sim_connection *connection = &socket->connection[i];
        if (connection->number != 0 && connection->busy_us > last_us)
            last_us = connection->busy_us;
    }
    return last_us;
}

int socket_dial(struct world *world, int board, uid_t uid, enum stream stream, uint32_t *number)
{
    struct sim_socket *socket = socket_of(world, board);
    if (!socket->bound)
        return ENOENT;
    if (!socket->listening)
        return ECONNREFUSED;
    for (int i = 0; i < SIM_CONNECTIONS; i++) {
        struct sim_connection *connection = &socket->connection[i];
        if (connection->number != 0)
            continue;
        *number = ++socket->numbers;
        *connection = (struct sim_connection){ .number = *number,
                                               .uid = uid,
                                               .stream = stream,
                                               .dialled_us = world->now_us,
                                               .busy_us = last_arrival_us(socket),
                                               .open = true,
                                               .guard_open = true };
        post_to_guard(world, board, connection, NULL, 0)->up = true;
        return 0;
    }
    return EAGAIN;
}

int socket_say(struct world *world, int board, uint32_t number, const void *data, size_t length)
{
    struct sim_connection *connection = find(socket_of(world, board), number);
    if (!connection || !connection->guard_open)
        return EPIPE;
    if (connection->sending == SIM_TO_GUARD_MAX)
        return EAGAIN;
    connection->sending++;
    post_to_guard(world, board, connection, data, length);
    return 0;
}

void socket_hang_up(struct world *world, int board, uint32_t number)
{
    struct sim_connection *connection = find(socket_of(world, board), number);
    if (!connection)
        return;
    connection->open = false;
    if (connection->guard_open)
        post_to_guard(world, board, connection, NULL, 0);
    note(socket_of(world, board), connection);
}

static void take_in(struct sim_connection *connection, const struct event *event)
{
    HF_CHECK(connection->count < SIM_TO_GUARD_MAX);
    struct sim_packet *packet =
        &connection->said[(connection->first + connection->count++) % SIM_TO_GUARD_MAX];
    size_t most = sizeof(packet->message);
    packet->length = event->length;
    memcpy(&packet->message, event->data, event->length < most ? event->length : most);
}

void socket_arrives(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    struct sim_connection *connection = find(socket_of(world, board), event->epoch);
    if (!connection || !connection->guard_open)
        return;
    if (event->data)
        take_in(connection, event);
    else if (event->up)
        connection->waits = true;
    else
        connection->ended = true;
    note(socket_of(world, board), connection);
    sim_guard_wake(world, board);
}

/* ---- the agent's calls */

static struct sim_agent *agent_of(int fd)
{
    return &loop_running()->world->board[fd - FIRST_FD].agent;
}

static bool is_ours(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + SIM_BOARDS_MAX;
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
    WRAPPED("wrap", "getsockopt", "__getsockopt64");
ssize_t __wrap_send(int fd, const void *data, size_t length, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t length, int flags);
int __wrap_close(int fd);
int __real_close(int fd);

int __wrap_socket(int domain, int type, int protocol)
{
    (void)protocol;
    HF_CHECK(domain == AF_UNIX && (type & SOCK_SEQPACKET) != 0 && (type & SOCK_NONBLOCK) != 0);
    return FIRST_FD + loop_running()->world->board_on[loop_running()->machine];
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct sim_agent *agent = agent_of(fd);
    (void)address;
    (void)length;
    HF_CHECK(!agent->socket_open);
    errno = socket_dial(loop_running()->world, fd - FIRST_FD, SIM_AGENT_UID, STREAM_PROCESS,
                        &agent->socket);
    agent->socket_open = errno == 0;
    memset(agent->permitted, 0, sizeof(agent->permitted));
    return agent->socket_open ? 0 : -1;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    const struct ucred root = { 1, 0, 0 };
    HF_CHECK(is_ours(fd) && level == SOL_SOCKET && option == SO_PEERCRED);
    HF_CHECK(*length == sizeof(root));
    memcpy(value, &root, sizeof(root));
    return 0;
}

static void note_permit(struct sim_agent *agent, const struct guard_message *message)
{
    int resource =
        message->kind == GUARD_PERMIT ? world_resource(loop_running()->world, &message->name) : -1;
    if (resource >= 0 && message->token > agent->permitted[resource])
        agent->permitted[resource] = message->token;
}

ssize_t __wrap_send(int fd, const void *data, size_t length, int flags)
{
    HF_CHECK(is_ours(fd) && agent_of(fd)->socket_open && (flags & MSG_DONTWAIT) != 0);
    errno = socket_say(loop_running()->world, fd - FIRST_FD, agent_of(fd)->socket, data, length);
    if (errno == 0)
        note_permit(agent_of(fd), data);
    return errno == 0 ? (ssize_t)length : -1;
}

ssize_t __wrap_recv(int fd, void *data, size_t length, int flags)
{
    struct sim_agent *agent = agent_of(fd);
    const struct event *event = agent->heard;
    HF_CHECK(is_ours(fd) && agent->socket_open && (flags & MSG_DONTWAIT) != 0);
    if (!event) {
        errno = EAGAIN;
        return -1;
    }
    /* The end stays there to be read. */
    if (!event->data) {
        errno = ECONNRESET;
        return event->up ? -1 : 0;
    }
    agent->heard = NULL;
    memcpy(data, event->data, length < event->length ? length : event->length);
    return (ssize_t)event->length;
}

int __wrap_close(int fd)
{
    if (!is_ours(fd))
        return __real_close(fd);
    socket_agent_died(loop_running()->world, fd - FIRST_FD);
    return 0;
}

void socket_agent_died(struct world *world, int board)
{
    struct sim_agent *agent = &world->board[board].agent;
    if (!agent->socket_open)
        return;
    socket_hang_up(world, board, agent->socket);
    agent->socket_open = false;
    socket_of(world, board)->hung_up_us = world->now_us;
}

void socket_delivered(struct world *world, const struct event *event)
{
    struct sim_connection *connection =
        find(socket_of(world, event->node - world->issuer_count), event->epoch);
    if (connection && event->data)
        connection->unread--;
}

/* ---- the guard's calls */

static struct sim_socket *own_socket(void *context)
{
    struct sim_guard *guard = context;
    return socket_of(guard->world, guard->board);
}

static struct sim_connection *accepted(void *context, int handle)
{
    HF_CHECK(handle >= HANDLE_CONNECTION && handle < HANDLE_CONNECTION + SIM_CONNECTIONS);
    struct sim_connection *connection =
        &own_socket(context)->connection[handle - HANDLE_CONNECTION];
    HF_CHECK(connection->number != 0 && connection->accepted && connection->guard_open);
    return connection;
}

int socket_listen(void *context, const char *path, uid_t *owner)
{
    struct sim_socket *socket = own_socket(context);
    (void)path;
    guard_may_die(context);
    *owner = SIM_AGENT_UID;
    socket->bound = true;
    socket->listening = true;
    return HANDLE_LISTENER;
}

void socket_unlink(void *context, const char *path)
{
    (void)path;
    own_socket(context)->bound = false;
}

/* Whoever came first. */
int socket_accept(void *context, int listener, struct platform_peer *peer)
{
    struct sim_guard *guard = context;
    struct sim_socket *socket = own_socket(context);
    struct sim_connection *first = NULL;
    HF_CHECK(listener == HANDLE_LISTENER && socket->listening);
    guard_may_die(guard);
    for (int i = 0; i < SIM_CONNECTIONS; i++) {
        struct sim_connection *connection = &socket->connection[i];
        if ((socket->waiting & 1u << i) && (!first || connection->number < first->number))
            first = connection;
    }
    if (!first)
        return -EAGAIN;
    first->waits = false;
    first->accepted = true;
    oracle_guard_accepted(guard->world, guard->board);
    note(socket, first);
    *peer = (struct platform_peer){ first->uid, AGENT_PID };
    return HANDLE_CONNECTION + (int)(first - socket->connection);
}

ssize_t socket_receive(void *context, int handle, void *bytes, size_t size)
{
    struct sim_connection *connection = accepted(context, handle);
    if (connection->count == 0)
        return connection->ended ? 0 : -EAGAIN;
    const struct sim_packet *packet = &connection->said[connection->first];
    connection->first = (connection->first + 1) % SIM_TO_GUARD_MAX;
    connection->count--;
    connection->sending--;
    note(own_socket(context), connection);
    size_t length =
        packet->length < sizeof(packet->message) ? packet->length : sizeof(packet->message);
    memcpy(bytes, &packet->message, length < size ? length : size);
    return (ssize_t)packet->length;
}

/* What is not the agent's goes to somebody who does not read it. */
static void post_to_agent(struct world *world, int board, struct sim_connection *connection,
                          const void *data, size_t length, bool reset)
{
    const struct sim_agent *agent = &world->board[board].agent;
    if (!agent->process->up || !agent->socket_open || agent->socket != connection->number)
        return;
    int64_t at_us = arrival_us(world, board, connection->stream, &connection->busy_agent_us);
    struct event *event = world_post(world, EVENT_AGENT_GUARD, board_node(world, board),
                                     at_us - world->now_us, data, length);
    event->epoch = connection->number;
    event->up = reset;
    if (data)
        connection->unread++;
}

ssize_t socket_send(void *context, int handle, const void *bytes, size_t size)
{
    struct sim_guard *guard = context;
    struct sim_connection *connection = accepted(context, handle);
    const struct guard_message *message = bytes;
    guard_may_die(guard);
    if (!connection->open)
        return -EPIPE;
    if (connection->unread >= SIM_TO_AGENT_MAX)
        return -EAGAIN;
    HF_CHECK(size == sizeof(*message));
    connection->answered = true;
    if (message->kind == GUARD_STATUS)
        oracle_status(guard->world, guard->board, world_resource(guard->world, &message->name),
                      message);
    post_to_agent(guard->world, guard->board, connection, bytes, size, false);
    return (ssize_t)size;
}

static void guard_closes(struct world *world, int board, struct sim_connection *connection)
{
    bool unread = connection->count > 0;
    connection->guard_open = false;
    connection->accepted = false;
    connection->waits = false;
    if (connection->open)
        post_to_agent(world, board, connection, NULL, 0, unread);
    note(socket_of(world, board), connection);
}

void socket_close(void *context, int handle)
{
    struct sim_guard *guard = context;
    guard_may_die(guard);
    if (handle == HANDLE_LISTENER) {
        own_socket(context)->listening = false;
        return;
    }
    oracle_guard_hangs_up(guard->world, guard->board, accepted(context, handle));
    guard_closes(guard->world, guard->board, accepted(context, handle));
}

void socket_guard_died(struct world *world, int board)
{
    struct sim_socket *socket = socket_of(world, board);
    socket->listening = false;
    for (int i = 0; i < SIM_CONNECTIONS; i++) {
        if (socket->connection[i].number != 0 && socket->connection[i].guard_open)
            guard_closes(world, board, &socket->connection[i]);
    }
}

/* Numbers go on: what was on its way then finds nobody. */
void socket_lost(struct world *world, int board)
{
    struct sim_socket *socket = socket_of(world, board);
    socket->bound = false;
    socket->listening = false;
    socket->silent_count = 0;
    socket->waiting = 0;
    socket->ready = 0;
    for (int i = 0; i < SIM_CONNECTIONS; i++)
        socket->connection[i].number = 0;
}
