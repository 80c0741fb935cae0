#include "tests/bench/actuator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "tests/bench/posix.h"

enum { MBAP = 7 /* bytes of the TCP header with the unit */, CRC = 2 };

/* ---- frames: where the first one of the link's bytes lies */

struct frame {
    size_t length; /* of the whole frame; 0: not complete yet */
    size_t pdu_offset;
    size_t pdu_length;
    uint8_t unit;
    bool bad; /* no frame can begin here */
};

static struct frame find_tcp_frame(const struct actuator_link *link)
{
    struct frame frame = { .pdu_offset = MBAP };
    if (link->length < MBAP)
        return frame;
    size_t follows = (size_t)(link->bytes[4] << 8 | link->bytes[5]);
    frame.bad = link->bytes[2] != 0 || link->bytes[3] != 0 || follows < 2 || follows > PDU_MAX + 1;
    frame.unit = link->bytes[6];
    frame.pdu_length = follows - 1;
    if (!frame.bad && link->length >= 6 + follows)
        frame.length = 6 + follows;
    return frame;
}

static struct frame find_rtu_frame(const struct actuator_link *link)
{
    struct frame frame = { .pdu_offset = 1 };
    int pdu = link->length < 2 ? 0 : pdu_request_length(link->bytes + 1, link->length - 1);
    frame.bad = pdu < 0 || pdu > PDU_MAX;
    if (pdu <= 0 || frame.bad || link->length < 1 + (size_t)pdu + CRC)
        return frame;
    frame.length = 1 + (size_t)pdu + CRC;
    frame.unit = link->bytes[0];
    frame.pdu_length = (size_t)pdu;
    const uint8_t *crc = link->bytes + 1 + pdu;
    frame.bad = pdu_crc(link->bytes, 1 + (size_t)pdu) != (crc[0] | crc[1] << 8);
    return frame;
}

static struct frame find_frame(const struct actuator_link *link)
{
    return link->peer_port ? find_tcp_frame(link) : find_rtu_frame(link);
}

/* ---- executing */

/* A board that is known stays so: the port may be somebody else's when a slow write takes effect. */
static void find_board(struct actuator_link *link)
{
    if (link->board < 0 && link->peer_port)
        link->board = boards_find_port(link->actuator->boards, link->peer_port);
}

static void record(struct actuator_link *link, const struct pdu_write *write)
{
    struct actuator *actuator = link->actuator;
    /* The witness must know all that the boards did before this write took effect. */
    boards_pump(actuator->boards);
    find_board(link);
    const struct plant_write entry = {
        .actuator = actuator->config,
        .board = link->board,
        .function = write->function,
        .address = write->address,
        .count = write->count,
        .values = write->values,
        .peer = link->peer,
        .received_ns = link->arrived_ns,
    };
    plant_record_write(actuator->plant, &entry, posix_now_ns());
}

static void respond(struct actuator_link *link, const struct frame *frame, const uint8_t *pdu,
                    size_t length)
{
    uint8_t out[ACTUATOR_FRAME_MAX];
    memcpy(out, link->bytes, frame->pdu_offset);
    memcpy(out + frame->pdu_offset, pdu, length);
    size_t total = frame->pdu_offset + length;
    if (link->peer_port) {
        out[4] = (uint8_t)((length + 1) >> 8);
        out[5] = (uint8_t)(length + 1);
        (void)posix_send(link->fd, (const char *)out, total);
        return;
    }
    uint16_t crc = pdu_crc(out, total);
    out[total++] = (uint8_t)crc;
    out[total++] = (uint8_t)(crc >> 8);
    if (write(link->fd, out, total) != (ssize_t)total)
        fprintf(stderr, "%s: pty full, response lost\n", link->actuator->config->name.text);
}

static void execute(struct actuator_link *link, const struct frame *frame)
{
    uint8_t response[PDU_MAX];
    struct pdu_write write;
    bool broadcast = frame->unit == 0;
    /* Another unit's request: a serial actuator is silent, and so is this one. */
    if (!broadcast && frame->unit != link->actuator->config->unit)
        return;
    size_t length = pdu_execute(&link->actuator->image, link->bytes + frame->pdu_offset,
                                frame->pdu_length, response, &write);
    if (write.count > 0)
        record(link, &write);
    if (!broadcast)
        respond(link, frame, response, length);
}

/* ---- links */

static void on_handle_closed(uv_handle_t *handle)
{
    struct actuator_link *link = handle->data;
    if (--link->open_handles == 0)
        free(link);
}

static bool port_in_use(const struct actuator *actuator, uint16_t port)
{
    for (int i = 0; i < actuator->link_count; i++)
        if (actuator->links[i]->peer_port == port)
            return true;
    return false;
}

static void drop_link(struct actuator_link *link)
{
    struct actuator *actuator = link->actuator;
    for (int i = 0; i < actuator->link_count; i++)
        if (actuator->links[i] == link)
            actuator->links[i] = actuator->links[--actuator->link_count];
    if (link->board >= 0 && !port_in_use(actuator, link->peer_port))
        boards_forget_port(actuator->boards, link->peer_port);
    uv_poll_stop(&link->poll);
    uv_timer_stop(&link->timer);
    close(link->fd);
    uv_close((uv_handle_t *)&link->poll, on_handle_closed);
    uv_close((uv_handle_t *)&link->timer, on_handle_closed);
}

static void on_delay(uv_timer_t *timer);

/* Executes, or delays, the whole frames that are there; drops a link that has no more to do. */
static void serve(struct actuator_link *link)
{
    while (!link->waiting) {
        struct frame frame = find_frame(link);
        if (frame.bad && link->peer_port) {
            drop_link(link);
            return;
        }
        if (frame.bad)
            link->length = 0;
        if (frame.bad || frame.length == 0)
            break;
        if (link->arrived_ns == 0) {
            link->arrived_ns = posix_now_ns();
            boards_pump(link->actuator->boards);
            find_board(link);
        }
        int64_t left_ns =
            link->arrived_ns + (int64_t)link->actuator->delay_ms * 1000000 - posix_now_ns();
        if (left_ns > 0) {
            link->waiting = true;
            /* What follows stays with the kernel until the delay is over. */
            uv_poll_stop(&link->poll);
            uv_update_time(link->actuator->loop);
            uv_timer_start(&link->timer, on_delay, (uint64_t)(left_ns / 1000000 + 1), 0);
            return;
        }
        execute(link, &frame);
        link->arrived_ns = 0;
        link->length -= frame.length;
        memmove(link->bytes, link->bytes + frame.length, link->length);
    }
    if (link->ended && !link->waiting)
        drop_link(link);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct actuator_link *link = poll->data;
    (void)status;
    (void)events;
    ssize_t got = read(link->fd, link->bytes + link->length, sizeof link->bytes - link->length);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        link->ended = true;
        uv_poll_stop(poll);
    } else {
        link->length += (size_t)got;
    }
    serve(link);
}

static void on_delay(uv_timer_t *timer)
{
    struct actuator_link *link = timer->data;
    link->waiting = false;
    if (!link->ended)
        uv_poll_start(&link->poll, UV_READABLE, on_readable);
    serve(link);
}

static struct actuator_link *add_link(struct actuator *actuator, int fd)
{
    struct actuator_link *link = NULL;
    if (actuator->link_count < ACTUATOR_LINKS_MAX)
        link = calloc(1, sizeof *link);
    if (!link || uv_poll_init(actuator->loop, &link->poll, fd) != 0) {
        free(link);
        close(fd);
        return NULL;
    }
    uv_timer_init(actuator->loop, &link->timer);
    link->open_handles = 2;
    link->actuator = actuator;
    link->fd = fd;
    link->board = -1;
    link->poll.data = link->timer.data = link;
    actuator->links[actuator->link_count++] = link;
    uv_poll_start(&link->poll, UV_READABLE, on_readable);
    return link;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct actuator *actuator = poll->data;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    (void)status;
    (void)events;
    int fd = accept4(actuator->listen_fd, (struct sockaddr *)&address, &size,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    int on = 1;
    char host[INET_ADDRSTRLEN] = "";
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct actuator_link *link = add_link(actuator, fd);
    if (!link)
        return;
    link->peer_port = ntohs(address.sin_port);
    (void)inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
    snprintf(link->peer, sizeof link->peer, "%s:%u", host, link->peer_port);
}

static bool open_tcp(struct actuator *actuator)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(actuator->config->port) };
    socklen_t size = sizeof address;
    int on = 1;
    (void)inet_pton(AF_INET, actuator->config->host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    actuator->listen_fd = fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return false;
    actuator->port = ntohs(address.sin_port);
    actuator->listener.data = actuator;
    return uv_poll_init(actuator->loop, &actuator->listener, fd) == 0 &&
           uv_poll_start(&actuator->listener, UV_READABLE, on_connection) == 0;
}

static bool open_pty(struct actuator *actuator)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct termios mode;
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, actuator->pty, sizeof actuator->pty) != 0)
        return false;
    actuator->slave_fd = open(actuator->pty, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (actuator->slave_fd < 0 || tcgetattr(actuator->slave_fd, &mode) != 0)
        return false;
    cfmakeraw(&mode);
    if (tcsetattr(actuator->slave_fd, TCSANOW, &mode) != 0)
        return false;
    struct actuator_link *link = add_link(actuator, master);
    if (link)
        snprintf(link->peer, sizeof link->peer, "%s", actuator->pty);
    return link != NULL;
}

bool actuator_open(struct actuator *actuator, const struct bench_actuator_config *config,
                   uv_loop_t *loop, struct boards *boards, struct plant *plant)
{
    memset(actuator, 0, sizeof *actuator);
    actuator->config = config;
    actuator->loop = loop;
    actuator->boards = boards;
    actuator->plant = plant;
    actuator->delay_ms = config->delay_ms;
    actuator->listen_fd = actuator->slave_fd = -1;
    return config->rtu ? open_pty(actuator) : open_tcp(actuator);
}

void actuator_close(struct actuator *actuator)
{
    while (actuator->link_count > 0)
        drop_link(actuator->links[0]);
    if (actuator->listen_fd >= 0) {
        uv_poll_stop(&actuator->listener);
        uv_close((uv_handle_t *)&actuator->listener, NULL);
        close(actuator->listen_fd);
    }
    if (actuator->slave_fd >= 0)
        close(actuator->slave_fd);
}
