/*
 * RUN/guard.sock: the one agent that counts, and a few newcomers that have not said hello yet.
 *
 * Owner: the guard's one thread. Nothing here blocks or allocates.
 * Rules: only root, the guard's own user and the owner of RUN may connect: RUN is named by the
 *   configuration, so its owner is the user that holdfastd was set up to run as. A newcomer that
 *   says a well-formed HELLO under this node's name takes the place of the agent before it. A
 *   message that breaks the rules ends its connection with one log line. Connections
 *   made in a loop neither cost the agent its place nor keep a newcomer from being heard.
 */
#ifndef HOLDFAST_GUARD_AGENT_SOCKET_H
#define HOLDFAST_GUARD_AGENT_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/name.h"
#include "guard/guard_message.h"
#include "guard/platform.h"
#include "log/log.h"

enum { AGENT_NEWCOMERS = 4 };

struct agent_socket {
    const struct platform *platform;
    int listen_fd;
    int agent_fd;                     /* -1: none */
    int newcomer_fd[AGENT_NEWCOMERS]; /* in the order in which they came; -1: none */
    struct log_brake refused;
    struct hf_name node;
    uid_t run_owner; /* of RUN when the socket was opened */
};

enum agent_input {
    AGENT_NOTHING,
    AGENT_MESSAGE, /* *message is permit, drop, clear fault or terms */
    AGENT_GONE,    /* closed, or broke the rules: outputs off */
    AGENT_ARRIVED  /* a newcomer took over; the old connection, if any, is closed */
};

/* No connections, and nothing bound. The platform outlives the sockets. */
void agent_socket_none(struct agent_socket *sockets, const struct platform *platform);

/*
 * Binds RUN/guard.sock, mode 0660, in the place of a stale one; as root, for the owner of RUN. After
 * agent_socket_none(). False after one log line.
 */
bool agent_socket_open(struct agent_socket *sockets, const char *run_dir,
                       const struct hf_name *node);

/* Accepts some of those who wait; the newcomer that has waited longest gives way. */
void agent_socket_accept(struct agent_socket *sockets);

/* Takes in what newcomer `index` said: AGENT_ARRIVED or AGENT_NOTHING. */
enum agent_input agent_socket_greet(struct agent_socket *sockets, int index);

/* Takes in one message of the agent. */
enum agent_input agent_socket_receive(struct agent_socket *sockets, struct guard_message *message);

/*
 * Sends to the agent, if there is one. What does not fit is left out: status comes again soon.
 * False if the connection is gone.
 */
bool agent_socket_send(struct agent_socket *sockets, const struct guard_message *message);

/* Ends the agent's connection. */
void agent_socket_drop(struct agent_socket *sockets);

void agent_socket_close(struct agent_socket *sockets, const char *run_dir);

#endif
