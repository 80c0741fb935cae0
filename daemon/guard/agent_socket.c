#include "agent_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log/log.h"

enum {
    AGENT_ACCEPTS_PER_TURN = 4,
    AGENT_PATH_SIZE = 108 /* unix(7), sun_path with its terminating zero */
};

/* False if it is too long to be bound. */
static bool socket_path(char path[AGENT_PATH_SIZE], const char *run_dir)
{
    int length = snprintf(path, AGENT_PATH_SIZE, "%s/guard.sock", run_dir);
    return length > 0 && length < AGENT_PATH_SIZE;
}

static void hang_up(const struct agent_socket *sockets, int *fd)
{
    if (*fd >= 0)
        sockets->platform->close(sockets->platform->context, *fd);
    *fd = -1;
}

void agent_socket_none(struct agent_socket *sockets, const struct platform *platform)
{
    *sockets = (struct agent_socket){ .platform = platform, .listen_fd = -1, .agent_fd = -1 };
    for (int i = 0; i < AGENT_NEWCOMERS; i++)
        sockets->newcomer_fd[i] = -1;
}

bool agent_socket_open(struct agent_socket *sockets, const char *run_dir,
                       const struct hf_name *node)
{
    char path[AGENT_PATH_SIZE];
    const struct platform *platform = sockets->platform;
    sockets->node = *node;
    if (!socket_path(path, run_dir)) {
        log_line(LOG_ERR, "%s/guard.sock: at most %d characters are allowed", run_dir,
                 AGENT_PATH_SIZE - 1);
        return false;
    }
    sockets->listen_fd = platform->listen(platform->context, path, &sockets->run_owner);
    if (sockets->listen_fd < 0)
        log_line(LOG_ERR, "%s: can't be bound: %s", path, strerror(-sockets->listen_fd));
    return sockets->listen_fd >= 0;
}

/* Connections made in a loop are logged once a second at most, with their number. */
static bool admit_log(struct agent_socket *sockets)
{
    struct instant now = sockets->platform->now(sockets->platform->context);
    uint64_t more = log_brake_release(&sockets->refused, now);
    if (more > 0)
        log_line(LOG_WARNING, "agent: %" PRIu64 " more refused", more);
    return log_brake_admit(&sockets->refused, now);
}

static bool peer_allowed(struct agent_socket *sockets, const struct platform_peer *peer)
{
    uid_t own = sockets->platform->uid;
    if (peer->uid == 0 || peer->uid == own || peer->uid == sockets->run_owner)
        return true;
    if (!admit_log(sockets))
        return false;
    log_line(LOG_WARNING,
             "agent: uid %u (pid %d) refused: only root, uid %u and the run directory's owner, uid "
             "%u, may connect",
             (unsigned)peer->uid, (int)peer->pid, (unsigned)own, (unsigned)sockets->run_owner);
    return false;
}

/* Adds it behind the others: newcomers stand in the order in which they came. */
static void newcomer_add(struct agent_socket *sockets, int fd)
{
    int count = 0;
    for (int i = 0; i < AGENT_NEWCOMERS; i++) {
        int waiting = sockets->newcomer_fd[i];
        sockets->newcomer_fd[i] = -1;
        if (waiting >= 0)
            sockets->newcomer_fd[count++] = waiting;
    }
    if (count == AGENT_NEWCOMERS) {
        hang_up(sockets, &sockets->newcomer_fd[0]);
        for (int i = 1; i < AGENT_NEWCOMERS; i++)
            sockets->newcomer_fd[i - 1] = sockets->newcomer_fd[i];
        count--;
    }
    sockets->newcomer_fd[count] = fd;
}

void agent_socket_accept(struct agent_socket *sockets)
{
    const struct platform *platform = sockets->platform;
    for (int i = 0; i < AGENT_ACCEPTS_PER_TURN; i++) {
        struct platform_peer peer;
        int fd = platform->accept(platform->context, sockets->listen_fd, &peer);
        if (fd < 0)
            return;
        if (peer_allowed(sockets, &peer))
            newcomer_add(sockets, fd);
        else
            platform->close(platform->context, fd);
    }
}

/* True with a well-formed message. *gone: the connection ended, or is to be closed. */
static bool receive(const struct agent_socket *sockets, int fd, struct guard_message *message,
                    bool *gone)
{
    const struct platform *platform = sockets->platform;
    ssize_t length = platform->receive(platform->context, fd, message, sizeof(*message));
    *gone = false;
    if (length == -EAGAIN || length == -EINTR)
        return false;
    *gone = true;
    if (length <= 0)
        return false;
    const char *wrong = guard_message_check(message, (size_t)length);
    if (wrong != NULL) {
        log_line(LOG_WARNING, "agent: message of %zd bytes refused: %s (%zu bytes, version %d)",
                 length, wrong, sizeof(*message), GUARD_MESSAGE_VERSION);
        return false;
    }
    *gone = false;
    return true;
}

enum agent_input agent_socket_greet(struct agent_socket *sockets, int index)
{
    struct guard_message message;
    bool gone = false;
    int *newcomer = &sockets->newcomer_fd[index];
    bool taken = receive(sockets, *newcomer, &message, &gone);
    if (taken && (message.kind != GUARD_HELLO || !name_equal(&message.name, &sockets->node))) {
        log_line(LOG_WARNING, "agent: refused: says kind %u, name %s; hello, name %s is due",
                 (unsigned)message.kind, message.name.text, sockets->node.text);
        gone = true;
    }
    if (gone) {
        hang_up(sockets, newcomer);
        return AGENT_NOTHING;
    }
    if (!taken)
        return AGENT_NOTHING;
    hang_up(sockets, &sockets->agent_fd);
    sockets->agent_fd = *newcomer;
    *newcomer = -1;
    return AGENT_ARRIVED;
}

enum agent_input agent_socket_receive(struct agent_socket *sockets, struct guard_message *message)
{
    bool gone = false;
    if (sockets->agent_fd < 0)
        return AGENT_NOTHING;
    bool taken = receive(sockets, sockets->agent_fd, message, &gone);
    bool known = taken && (message->kind == GUARD_PERMIT || message->kind == GUARD_DROP ||
                           message->kind == GUARD_CLEAR_FAULT || message->kind == GUARD_TERMS);
    if (taken && !known)
        log_line(LOG_WARNING, "agent: kind %u refused: not an agent's", (unsigned)message->kind);
    if (gone || (taken && !known)) {
        hang_up(sockets, &sockets->agent_fd);
        return AGENT_GONE;
    }
    return taken ? AGENT_MESSAGE : AGENT_NOTHING;
}

bool agent_socket_send(struct agent_socket *sockets, const struct guard_message *message)
{
    const struct platform *platform = sockets->platform;
    if (sockets->agent_fd < 0)
        return true;
    ssize_t sent = platform->send(platform->context, sockets->agent_fd, message, sizeof(*message));
    return sent == (ssize_t)sizeof(*message) || sent == -EAGAIN || sent == -ENOBUFS;
}

void agent_socket_drop(struct agent_socket *sockets)
{
    hang_up(sockets, &sockets->agent_fd);
}

void agent_socket_close(struct agent_socket *sockets, const char *run_dir)
{
    char path[AGENT_PATH_SIZE];
    hang_up(sockets, &sockets->agent_fd);
    for (int i = 0; i < AGENT_NEWCOMERS; i++)
        hang_up(sockets, &sockets->newcomer_fd[i]);
    hang_up(sockets, &sockets->listen_fd);
    if (socket_path(path, run_dir))
        sockets->platform->unlink(sockets->platform->context, path);
}
