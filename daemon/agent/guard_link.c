#include "agent/guard_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log/log.h"

static void link_dial(struct guard_link *link);

static void link_retry(uv_timer_t *timer)
{
    link_dial(timer->data);
}

static void link_poll_closed(uv_handle_t *handle)
{
    struct guard_link *link = handle->data;
    link->poll_open = false;
    if (!link->stopping)
        uv_timer_start(&link->retry, link_retry, link->retry_ms, 0);
}

/* A guard that hangs up before its first word will hang up again: told once, dialled less often. */
static void link_note_loss(struct guard_link *link, const char *reason)
{
    bool heard = link->heard;
    link->heard = false;
    if (heard || !link->complained)
        log_line(LOG_ERR, "guard: connection lost%s: %s", heard ? "" : " before its first word",
                 reason);
    if (heard)
        return;
    link->complained = true;
    uint32_t twice_ms = 2 * link->retry_ms;
    link->retry_ms = twice_ms < GUARD_LINK_RETRY_MAX_MS ? twice_ms : GUARD_LINK_RETRY_MAX_MS;
}

static void link_note_word(struct guard_link *link)
{
    if (link->heard)
        return;
    link->heard = true;
    link->complained = false;
    link->retry_ms = GUARD_LINK_RETRY_MS;
    log_line(LOG_INFO, "guard: connected at %s", link->path);
}

/* The descriptor is closed only after its poll handle is stopped. */
static void link_drop(struct guard_link *link, const char *reason)
{
    if (link->fd < 0)
        return;
    uv_poll_stop(&link->poll);
    uv_close((uv_handle_t *)&link->poll, link_poll_closed);
    close(link->fd);
    link->fd = -1;
    if (!link->stopping)
        link_note_loss(link, reason);
    link->on_down(link->context);
}

static void link_readable(uv_poll_t *poll, int status, int events)
{
    struct guard_link *link = poll->data;
    (void)events;
    if (status < 0) {
        link_drop(link, uv_strerror(status));
        return;
    }
    for (int i = 0; i < 64 && link->fd >= 0; i++) {
        struct guard_message message;
        ssize_t got = recv(link->fd, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            link_drop(link, got == 0 ? "closed by the guard" : strerror(errno));
            return;
        }
        const char *wrong = guard_message_check(&message, (size_t)got);
        if (wrong != NULL) {
            link_drop(link, wrong);
            return;
        }
        link_note_word(link);
        link->on_message(link->context, &message);
    }
}

/*
 * The run directory's set-group-ID bit says that its group is the guard's and the agent's own
 * (files/safe_file.h): of another user, the guard is whoever's socket lies there.
 */
static bool link_of_group(const char *path, uid_t peer)
{
    char folder[sizeof(((struct guard_link *)NULL)->path)];
    struct stat at, in;
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return lstat(path, &at) == 0 && S_ISSOCK(at.st_mode) && at.st_uid == peer &&
           stat(folder, &in) == 0 && (in.st_uid == 0 || in.st_uid == geteuid()) &&
           (in.st_mode & S_ISGID) && !(in.st_mode & S_IWOTH);
}

/* Only root's guard, one of our own user, or the one of our group may say that outputs are off. */
static bool link_trusted(int fd, const char *path)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid() || link_of_group(path, peer.uid);
}

static int link_connect(const struct guard_link *link, const char **why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(link->path) >= sizeof(address.sun_path)) {
        *why = "path is too long for a socket";
        return -1;
    }
    memcpy(address.sun_path, link->path, strlen(link->path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        *why = strerror(errno);
    } else if (!link_trusted(fd, link->path)) {
        *why = "the guard runs as neither root nor this user, nor is the run directory of a group "
               "of both (2775)";
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static void link_dial(struct guard_link *link)
{
    const char *why = NULL;
    if (link->poll_open || link->stopping)
        return;
    int fd = link_connect(link, &why);
    if (fd < 0) {
        if (!link->complained)
            log_line(LOG_WARNING, "guard: no connection at %s: %s; trying on", link->path, why);
        link->complained = true;
        uv_timer_start(&link->retry, link_retry, GUARD_LINK_RETRY_MS, 0);
        return;
    }
    link->fd = fd;
    link->poll_open = true;
    uv_poll_init(link->loop, &link->poll, fd);
    link->poll.data = link;
    uv_poll_start(&link->poll, UV_READABLE | UV_DISCONNECT, link_readable);
    link->on_up(link->context);
}

void guard_link_start(struct guard_link *link, uv_loop_t *loop, const char *run_dir)
{
    link->loop = loop;
    link->fd = -1;
    link->retry_ms = GUARD_LINK_RETRY_MS;
    snprintf(link->path, sizeof(link->path), "%.240s/guard.sock", run_dir);
    uv_timer_init(loop, &link->retry);
    link->retry.data = link;
    link_dial(link);
}

void guard_link_stop(struct guard_link *link)
{
    link->stopping = true;
    link_drop(link, "stopping");
    uv_close((uv_handle_t *)&link->retry, NULL);
}

bool guard_link_send(struct guard_link *link, const struct guard_message *message)
{
    if (link->fd < 0)
        return false;
    ssize_t sent = send(link->fd, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)sizeof(*message))
        return true;
    log_line(LOG_WARNING, "guard: message %u not taken: %s", (unsigned)message->kind,
             strerror(errno));
    return false;
}
