/* The socket is made here, so that it can be reset here; libmodbus is given it to talk over. */
#include "gateway/gateway_link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <unistd.h>

#include "hal/clock.h"

enum {
    KEEPALIVE_IDLE_S = 5, /* a warm connection whose actuator lost power is noticed in 8 s */
    KEEPALIVE_INTERVAL_S = 1,
    KEEPALIVE_PROBES = 3,
    PARTIAL_WAIT_MS = 1, /* between looks at an answer that has begun to arrive */
    ANSWER_INCOMPLETE = -1
};

bool gateway_link_open(struct gateway_link *link, const struct gateway_address *address,
                       uint32_t response_ms, struct gateway_turns *turns, int stop_fd)
{
    *link = (struct gateway_link){ .address = *address,
                                   .response_ms = response_ms,
                                   .turns = turns,
                                   .stop_fd = stop_fd,
                                   .fd = -1 };
    link->modbus = modbus_new_tcp_pi(link->address.host, link->address.port);
    if (link->modbus == NULL)
        return false;
    modbus_set_error_recovery(link->modbus, MODBUS_ERROR_RECOVERY_NONE);
    modbus_set_response_timeout(link->modbus, response_ms / 1000, response_ms % 1000 * 1000);
    /* No timeout between bytes: the response timeout holds for the whole answer. */
    modbus_set_byte_timeout(link->modbus, 0, 0);
    return true;
}

void gateway_link_reset(struct gateway_link *link)
{
    if (link->fd < 0)
        return;
    /* Not modbus_close(): its shutdown() would let the queue drain before the reset. */
    close(link->fd);
    link->fd = -1;
    modbus_set_socket(link->modbus, -1);
}

void gateway_link_close(struct gateway_link *link)
{
    gateway_link_reset(link);
    modbus_free(link->modbus);
    link->modbus = NULL;
}

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool set_options(int fd, uint32_t response_ms)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0 &&
           set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)response_ms) &&
           set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S) &&
           set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S) &&
           set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

static int milliseconds_until(struct instant end)
{
    int64_t left_us = instant_diff(end, hal_clock_now()).us;
    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

/*
 * Waits for `events` (0: for time to pass only) on the link, at most timeout_ms, or until the thread
 * has to turn. Returns false if the gateway is ending.
 */
static bool wait_for(const struct gateway_link *link, short events, int timeout_ms)
{
    struct pollfd polled[2] = { { .fd = link->stop_fd, .events = POLLIN },
                                { .fd = events ? link->fd : -1, .events = events } };
    /* An interrupted wait is a short one, as is one for a turn: callers look again. */
    if (gateway_turns_poll(link->turns, polled, 2, timeout_ms) < 0)
        return true;
    return polled[0].revents == 0;
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

/* Also true if the actuator has closed it again by now: gateway_link_ready() notices that. */
static bool connected(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t length = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
           info.tcpi_state != TCP_SYN_SENT;
}

static int finish_connecting(struct gateway_link *link)
{
    uint32_t limit_ms =
        link->response_ms > GATEWAY_CONNECT_MIN_MS ? link->response_ms : GATEWAY_CONNECT_MIN_MS;
    struct instant end = instant_add(hal_clock_now(), span_from_ms(limit_ms));
    for (;;) {
        int left_ms = milliseconds_until(end);
        if (!wait_for(link, POLLOUT, left_ms))
            return ECANCELED;
        int error = socket_error(link->fd);
        if (error != 0 || connected(link->fd))
            return error;
        if (left_ms == 0)
            return ETIMEDOUT;
    }
}

int gateway_link_connect(struct gateway_link *link)
{
    const struct gateway_address *to = &link->address;
    gateway_link_reset(link);
    int fd = socket(to->socket_address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (fd >= FD_SETSIZE) { /* libmodbus waits with select() */
        close(fd);
        return EMFILE;
    }
    link->fd = fd;
    int error = 0;
    if (!set_options(fd, link->response_ms) ||
        connect(fd, (const struct sockaddr *)&to->socket_address, to->length) != 0)
        error = errno;
    if (error == EINPROGRESS)
        error = finish_connecting(link);
    if (error != 0)
        gateway_link_reset(link);
    else
        modbus_set_socket(link->modbus, fd);
    return error;
}

bool gateway_link_ready(const struct gateway_link *link)
{
    if (link->fd < 0)
        return false;
    int unsent = 0;
    if (ioctl(link->fd, SIOCOUTQ, &unsent) != 0 || unsent != 0)
        return false;
    uint8_t byte;
    ssize_t got = recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/*
 * Looks at what has arrived without taking it, so that libmodbus never waits for the rest of an
 * answer, nor reads on where one lies about its length. ANSWER_INCOMPLETE: wait on; *begun says
 * whether anything is there.
 */
static int look_at_answer(const struct gateway_link *link, uint8_t unit,
                          const struct gateway_pdu_facts *facts, bool *begun)
{
    uint8_t adu[GATEWAY_ADU_MAX + 1];
    ssize_t got = recv(link->fd, adu, sizeof(adu), MSG_PEEK | MSG_DONTWAIT);
    *begun = got > 0;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return ANSWER_INCOMPLETE;
    if (got <= 0)
        return GATEWAY_LINK_BROKEN;
    int length = gateway_adu_length(adu, (size_t)got);
    if (length == 0 || (length > 0 && got < length))
        return ANSWER_INCOMPLETE;
    bool header_good = length > 0 && got == length && adu[0] == 0 && adu[1] == 0 && adu[6] == unit;
    if (!header_good || !gateway_pdu_answer_fits(facts, adu + GATEWAY_MBAP_LENGTH,
                                                 (size_t)length - GATEWAY_MBAP_LENGTH))
        return GATEWAY_LINK_NONSENSE;
    return GATEWAY_LINK_ANSWERED;
}

static enum gateway_link_result await_answer(struct gateway_link *link, uint8_t unit,
                                             const struct gateway_pdu_facts *facts,
                                             const struct gateway_lease *lease, struct instant end)
{
    for (;;) {
        bool begun;
        int seen = look_at_answer(link, unit, facts, &begun);
        if (seen != ANSWER_INCOMPLETE)
            return (enum gateway_link_result)seen;
        struct span left;
        if (lease && gateway_lease_check(lease, span_from_us(0), &left) == GATEWAY_LEASE_NONE)
            return GATEWAY_LINK_LEASE_LOST;
        int wait_ms = milliseconds_until(end);
        if (wait_ms == 0)
            return GATEWAY_LINK_LATE;
        if (lease && wait_ms > GATEWAY_LEASE_POLL_MS)
            wait_ms = GATEWAY_LEASE_POLL_MS;
        /*
         * An incomplete answer keeps the socket readable, so waiting for input would spin: wait for
         * time.
         */
        if (!wait_for(link, begun ? 0 : POLLIN, begun ? PARTIAL_WAIT_MS : wait_ms))
            return GATEWAY_LINK_STOPPED;
    }
}

static enum gateway_link_result take_answer(struct gateway_link *link, struct gateway_job *job)
{
    uint8_t adu[MODBUS_TCP_MAX_ADU_LENGTH];
    int length = modbus_receive_confirmation(link->modbus, adu);
    if (length <= GATEWAY_MBAP_LENGTH)
        return GATEWAY_LINK_BROKEN;
    job->answer_length = (size_t)length - GATEWAY_MBAP_LENGTH;
    memcpy(job->answer, adu + GATEWAY_MBAP_LENGTH, job->answer_length);
    return GATEWAY_LINK_ANSWERED;
}

enum gateway_link_result gateway_link_exchange(struct gateway_link *link, uint8_t unit,
                                               struct gateway_job *job,
                                               const struct gateway_lease *lease)
{
    uint8_t raw[1 + GATEWAY_PDU_MAX];
    raw[0] = unit;
    memcpy(raw + 1, job->request, job->request_length);
    struct instant end = instant_add(hal_clock_now(), span_from_ms(link->response_ms));
    enum gateway_link_result result = GATEWAY_LINK_BROKEN;
    if (modbus_send_raw_request(link->modbus, raw, (int)job->request_length + 1) > 0)
        result = await_answer(link, unit, &job->facts, lease, end);
    if (result == GATEWAY_LINK_ANSWERED)
        result = take_answer(link, job);
    if (result != GATEWAY_LINK_ANSWERED)
        gateway_link_reset(link);
    return result;
}
