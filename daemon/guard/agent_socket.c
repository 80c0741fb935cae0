#include "agent_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hal/clock.h"
#include "log/log.h"

/* Room for a status of each resource: an agent that does not read shall not get old news later. */
enum { AGENT_SEND_BUFFER = 32768, AGENT_BACKLOG = 64, AGENT_ACCEPTS_PER_TURN = 4 };

static bool socket_address(struct sockaddr_un *address, const char *run_dir)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/guard.sock", run_dir);
    return length > 0 && (size_t)length < sizeof(address->sun_path);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/*
 * By the thread's file system user rather than by chown: whoever owns the folder could have put
 * another file in the socket's place by then. Without the privilege, the socket is the guard's own,
 * and a group of RUN that is inherited (its set-group-ID bit) lets the owner in.
 */
static bool bind_for(int fd, const struct sockaddr_un *address, uid_t owner)
{
    mode_t mask = umask(0117);
    uid_t own = (uid_t)setfsuid(owner);
    unlink(address->sun_path);
    bool bound = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    int error = errno;
    (void)setfsuid(own);
    umask(mask);
    errno = error;
    return bound;
}

void agent_socket_none(struct agent_socket *sockets)
{
    *sockets = (struct agent_socket){ .listen_fd = -1, .agent_fd = -1 };
    for (int i = 0; i < AGENT_NEWCOMERS; i++)
        sockets->newcomer_fd[i] = -1;
}

bool agent_socket_open(struct agent_socket *sockets, const char *run_dir,
                       const struct hf_name *node)
{
    struct sockaddr_un address;
    struct stat run;
    agent_socket_none(sockets);
    sockets->node = *node;
    sockets->run_owner = geteuid();
    if (!socket_address(&address, run_dir)) {
        log_line(LOG_ERR, "%s/guard.sock: at most %zu characters are allowed", run_dir,
                 sizeof(address.sun_path) - 1);
        return false;
    }
    if (stat(run_dir, &run) == 0)
        sockets->run_owner = run.st_uid;
    sockets->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = sockets->listen_fd >= 0 &&
                 bind_for(sockets->listen_fd, &address, sockets->run_owner) &&
                 listen(sockets->listen_fd, AGENT_BACKLOG) == 0;
    if (!bound)
        log_line(LOG_ERR, "%s: can't be bound: %s", address.sun_path, strerror(errno));
    return bound;
}

/* Whoever comes in a loop gets one line a second, with how many there were. */
static bool admit_log(struct agent_socket *sockets)
{
    uint64_t more = log_brake_release(&sockets->refused, hal_clock_now());
    if (more > 0)
        log_line(LOG_WARNING, "agent: %" PRIu64 " more refused", more);
    return log_brake_admit(&sockets->refused, hal_clock_now());
}

static bool peer_allowed(struct agent_socket *sockets, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid() || peer.uid == sockets->run_owner)
        return true;
    if (!admit_log(sockets))
        return false;
    log_line(LOG_WARNING,
             "agent: uid %u (pid %d) refused: only root, uid %u and the run directory's owner, uid "
             "%u, may connect",
             (unsigned)peer.uid, (int)peer.pid, (unsigned)geteuid(), (unsigned)sockets->run_owner);
    return false;
}

/* In the order in which they came. */
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
        close_fd(&sockets->newcomer_fd[0]);
        for (int i = 1; i < AGENT_NEWCOMERS; i++)
            sockets->newcomer_fd[i - 1] = sockets->newcomer_fd[i];
        count--;
    }
    sockets->newcomer_fd[count] = fd;
}

void agent_socket_accept(struct agent_socket *sockets)
{
    const int size = AGENT_SEND_BUFFER;
    for (int i = 0; i < AGENT_ACCEPTS_PER_TURN; i++) {
        int fd = accept4(sockets->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (!peer_allowed(sockets, fd)) {
            close(fd);
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        newcomer_add(sockets, fd);
    }
}

/* True with a well-formed message; *gone if the connection is of no more use. */
static bool receive(int fd, struct guard_message *message, bool *gone)
{
    ssize_t length = recv(fd, message, sizeof(*message), MSG_DONTWAIT | MSG_TRUNC);
    *gone = false;
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
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
    bool taken = receive(*newcomer, &message, &gone);
    if (taken && (message.kind != GUARD_HELLO || !name_equal(&message.name, &sockets->node))) {
        log_line(LOG_WARNING, "agent: refused: says kind %u, name %s; hello, name %s is due",
                 (unsigned)message.kind, message.name.text, sockets->node.text);
        gone = true;
    }
    if (gone) {
        close_fd(newcomer);
        return AGENT_NOTHING;
    }
    if (!taken)
        return AGENT_NOTHING;
    close_fd(&sockets->agent_fd);
    sockets->agent_fd = *newcomer;
    *newcomer = -1;
    return AGENT_ARRIVED;
}

enum agent_input agent_socket_receive(struct agent_socket *sockets, struct guard_message *message)
{
    bool gone = false;
    if (sockets->agent_fd < 0)
        return AGENT_NOTHING;
    bool taken = receive(sockets->agent_fd, message, &gone);
    bool known = taken && (message->kind == GUARD_PERMIT || message->kind == GUARD_DROP ||
                           message->kind == GUARD_CLEAR_FAULT || message->kind == GUARD_TERMS);
    if (taken && !known)
        log_line(LOG_WARNING, "agent: kind %u refused: not an agent's", (unsigned)message->kind);
    if (gone || (taken && !known)) {
        close_fd(&sockets->agent_fd);
        return AGENT_GONE;
    }
    return taken ? AGENT_MESSAGE : AGENT_NOTHING;
}

bool agent_socket_send(struct agent_socket *sockets, const struct guard_message *message)
{
    if (sockets->agent_fd < 0)
        return true;
    ssize_t sent = send(sockets->agent_fd, message, sizeof(*message), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent == (ssize_t)sizeof(*message) || errno == EAGAIN || errno == ENOBUFS;
}

void agent_socket_drop(struct agent_socket *sockets)
{
    close_fd(&sockets->agent_fd);
}

void agent_socket_close(struct agent_socket *sockets, const char *run_dir)
{
    struct sockaddr_un address;
    close_fd(&sockets->agent_fd);
    for (int i = 0; i < AGENT_NEWCOMERS; i++)
        close_fd(&sockets->newcomer_fd[i]);
    close_fd(&sockets->listen_fd);
    if (socket_address(&address, run_dir))
        unlink(address.sun_path);
}
