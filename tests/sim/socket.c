/*
 * The agent's end of its guard's socket, as the kernel gives it: the calls of agent/guard_link.c end
 * here (the Makefile wraps them). A board has one such socket at a time; what the guard says comes
 * in order, message by message, and so does the end.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { FIRST_FD = 1 << 20, SOCKET_MAX_US = 300 };

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
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
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
    if (!loop_running()->world->board[fd - FIRST_FD].guard.process.up) {
        errno = ECONNREFUSED;
        return -1;
    }
    agent->socket_open = true;
    agent->socket++;
    agent->socket_busy_us = loop_running()->world->now_us;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    const struct ucred root = { 1, 0, 0 };
    HF_CHECK(is_ours(fd) && level == SOL_SOCKET && option == SO_PEERCRED);
    HF_CHECK(*length == sizeof(root));
    memcpy(value, &root, sizeof(root));
    return 0;
}

/* What the agent sends, or without data: that it is gone, which is read after all that it sent. */
void socket_to_guard(struct world *world, int board, const void *data, size_t length)
{
    struct sim_agent *agent = &world->board[board].agent;
    int node = board_node(world, board);
    int64_t at_us = world->now_us +
                    random_between(world_random(world, STREAM_PROCESS, node), 20, SOCKET_MAX_US);
    if (at_us <= agent->socket_busy_us)
        at_us = agent->socket_busy_us + 1;
    agent->socket_busy_us = at_us;
    world_post(world, EVENT_GUARD_MESSAGE, node, at_us - world->now_us, data, length)->epoch =
        agent->socket;
}

ssize_t __wrap_send(int fd, const void *data, size_t length, int flags)
{
    struct world *world = loop_running()->world;
    HF_CHECK(is_ours(fd) && agent_of(fd)->socket_open && (flags & MSG_DONTWAIT) != 0);
    if (!world->board[fd - FIRST_FD].guard.process.up) {
        errno = EPIPE;
        return -1;
    }
    socket_to_guard(world, fd - FIRST_FD, data, length);
    return (ssize_t)length;
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
    if (!event->data)
        return 0;
    agent->heard = NULL;
    memcpy(data, event->data, length < event->length ? length : event->length);
    return (ssize_t)event->length;
}

int __wrap_close(int fd)
{
    if (!is_ours(fd))
        return __real_close(fd);
    struct sim_agent *agent = agent_of(fd);
    if (agent->socket_open)
        socket_to_guard(loop_running()->world, fd - FIRST_FD, NULL, 0);
    agent->socket_open = false;
    return 0;
}
