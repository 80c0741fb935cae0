/* The server thread: accepts masters, judges their requests, hands them on, brings answers back. */
#include "gateway/gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/gateway_address.h"
#include "gateway/gateway_master.h"
#include "hal/clock.h"
#include "log/log.h"

enum {
    LISTEN_BACKLOG = 256, /* the kernel's own limit may be lower */
    ACCEPTS_PER_TURN = 4,
    TICK_MS = 1000,
    MASTER_DEAD_S = 10, /* a master whose machine is gone frees its slot after about this */
    POLL_STOP = 0,
    POLL_DONE,
    POLL_LISTEN,
    POLL_MASTER,
    POLL_COUNT = POLL_MASTER + GATEWAY_PLACES_MAX
};

struct gateway {
    struct hf_name resource;
    struct gateway_shared shared;
    struct gateway_upstream *upstream[CONF_ACTUATORS_MAX];
    size_t upstream_count;
    int listen_fd;
    uint16_t port;
    pthread_t thread;

    struct gateway_turns turns; /* of the server thread */

    /* The server thread's own. */
    struct gateway_master master[GATEWAY_PLACES_MAX];
    struct log_brake bad_requests;
    struct log_brake turned_away;
    bool tick;          /* look again after TICK_MS: a brake may hold lines back */
    bool accept_paused; /* until the next look */
};

/* ---- log lines that a master could cause without end, so they have a brake */

static void flush_brake(struct gateway *gateway, struct log_brake *brake, const char *what)
{
    uint64_t held = log_brake_release(brake, hal_clock_now());
    if (held != 0)
        log_line(LOG_WARNING, "gateway: %" PRIu64 " more %s", held, what);
    gateway->tick = gateway->tick || brake->held != 0;
}

static void flush_logs(struct gateway *gateway)
{
    gateway->tick = false;
    flush_brake(gateway, &gateway->bad_requests, "bad requests answered or cut off");
    flush_brake(gateway, &gateway->turned_away, "connections turned away");
    for (size_t i = 0; i < gateway->upstream_count; i++) {
        if (gateway_upstream_flush_log(gateway->upstream[i]))
            gateway->tick = true;
    }
}

static bool admit_log(struct gateway *gateway, struct log_brake *brake)
{
    bool admitted = log_brake_admit(brake, hal_clock_now());
    gateway->tick = gateway->tick || !admitted;
    return admitted;
}

static void log_bad_request(struct gateway *gateway, const struct gateway_master *master,
                            uint8_t unit, const uint8_t *pdu, size_t length, uint8_t code)
{
    if (!admit_log(gateway, &gateway->bad_requests))
        return;
    const char *why = "length, quantity or value not allowed";
    if (code == GATEWAY_EXCEPTION_PATH)
        why = "no such unit is configured";
    else if (code == GATEWAY_EXCEPTION_FUNCTION)
        why = "only functions 1-6, 15, 16, 22, 23 pass";
    log_line(LOG_WARNING, "gateway: %s: unit %u function %u, %zu bytes: exception 0x%02X, %s",
             master->peer, unit, pdu[0], length, code, why);
}

/* ---- one master */

static void close_master(struct gateway_master *master)
{
    gateway_master_hang_up(master);
    gateway_master_change(master, GATEWAY_MASTER_CLOSED);
}

static void close_bad_stream(struct gateway *gateway, struct gateway_master *master)
{
    const uint8_t *in = master->in;
    if (admit_log(gateway, &gateway->bad_requests))
        log_line(LOG_WARNING,
                 "gateway: %s: closed: no Modbus TCP header (protocol %u, must be 0; length %u, "
                 "must be 2 to %d)",
                 master->peer, (unsigned)in[2] << 8 | in[3], (unsigned)in[4] << 8 | in[5],
                 GATEWAY_PDU_MAX + 1);
    close_master(master);
}

static struct gateway_upstream *find_upstream(const struct gateway *gateway, uint8_t unit)
{
    for (size_t i = 0; i < gateway->upstream_count; i++) {
        if (gateway_upstream_unit(gateway->upstream[i]) == unit)
            return gateway->upstream[i];
    }
    return NULL;
}

static void answer_exception(struct gateway_master *master, uint8_t function,
                             enum gateway_exception code)
{
    uint8_t pdu[GATEWAY_EXCEPTION_LENGTH];
    size_t length = gateway_pdu_exception(function, (uint8_t)code, pdu);
    gateway_master_answer(master, pdu, length);
    gateway_master_change(master, GATEWAY_MASTER_ANSWERED);
}

static void forward(struct gateway_master *master, struct gateway_upstream *upstream,
                    const struct gateway_pdu_facts *facts, const uint8_t *pdu, size_t length)
{
    master->job.facts = *facts;
    memcpy(master->job.request, pdu, length);
    master->job.request_length = length;
    master->upstream = upstream;
    gateway_master_change(master, GATEWAY_MASTER_FORWARDED);
    gateway_upstream_submit(upstream, &master->job);
}

/* Refusals are answered at once; only what the lease allows now goes into an actuator's queue. */
static void handle_request(struct gateway *gateway, struct gateway_master *master, uint8_t unit,
                           const uint8_t *pdu, size_t length)
{
    struct gateway_pdu_facts facts;
    struct gateway_upstream *upstream = find_upstream(gateway, unit);
    enum gateway_exception code =
        upstream == NULL ? GATEWAY_EXCEPTION_PATH : gateway_pdu_check(pdu, length, &facts);
    if (code != GATEWAY_EXCEPTION_NONE) {
        log_bad_request(gateway, master, unit, pdu, length, (uint8_t)code);
        answer_exception(master, pdu[0], code);
    } else if (!gateway_upstream_permits(upstream, &facts)) {
        gateway->tick = true;
        answer_exception(master, facts.function, GATEWAY_EXCEPTION_BUSY);
    } else {
        forward(master, upstream, &facts, pdu, length);
    }
}

static void send_answer(struct gateway_master *master)
{
    if (!gateway_master_send(master))
        close_master(master);
    else if (master->out_sent == master->out_length)
        gateway_master_change(master, GATEWAY_MASTER_FLUSHED);
}

/*
 * A connection counts as a master from its first request on. False: there are as many as may be,
 * and none of them has been quiet for long enough to be closed for this one.
 */
static bool takes_part(struct gateway *gateway, struct gateway_master *master)
{
    struct instant now = hal_clock_now();
    size_t masters = 0;
    for (size_t i = 0; i < GATEWAY_PLACES_MAX && !master->asked; i++)
        masters += gateway->master[i].state != GATEWAY_MASTER_FREE && gateway->master[i].asked;
    if (masters >= GATEWAY_MASTERS_MAX) {
        struct gateway_master *spare =
            gateway_master_spare(gateway->master, GATEWAY_PLACES_MAX, true,
                                 (struct span){ GATEWAY_SPARE_S * INT64_C(1000000) }, now);
        if (spare == NULL && admit_log(gateway, &gateway->turned_away))
            log_line(LOG_WARNING,
                     "gateway: connection turned away: %d masters are connected, no more than "
                     "that may be",
                     GATEWAY_MASTERS_MAX);
        if (spare == NULL)
            return false;
        close_master(spare);
    }
    master->asked = true;
    master->since = now;
    return true;
}

/*
 * Works through what the master has sent already: at most as many frames as its buffer holds, and
 * never past one that is waiting or an answer that the socket does not take.
 */
static void advance(struct gateway *gateway, struct gateway_master *master)
{
    for (;;) {
        if (master->state == GATEWAY_MASTER_WRITING)
            send_answer(master);
        if (master->state != GATEWAY_MASTER_READING)
            return;
        uint8_t unit;
        const uint8_t *pdu;
        size_t length;
        enum gateway_frame frame = gateway_master_frame(master, &unit, &pdu, &length);
        if (frame == GATEWAY_FRAME_WHOLE && !takes_part(gateway, master))
            close_master(master);
        else if (frame == GATEWAY_FRAME_WHOLE)
            handle_request(gateway, master, unit, pdu, length);
        else if (frame == GATEWAY_FRAME_BAD)
            close_bad_stream(gateway, master);
        else
            return;
    }
}

/* The master hung up while its request is with an upstream. */
static void abandon(struct gateway_master *master)
{
    if (gateway_upstream_withdraw(master->upstream, &master->job)) {
        close_master(master);
        return;
    }
    gateway_master_hang_up(master);
    gateway_master_change(master, GATEWAY_MASTER_LEFT);
}

static void serve_socket(struct gateway *gateway, struct gateway_master *master)
{
    switch (master->state) {
    case GATEWAY_MASTER_READING:
        if (!gateway_master_receive(master))
            close_master(master);
        else
            advance(gateway, master);
        break;
    case GATEWAY_MASTER_WRITING:
        advance(gateway, master);
        break;
    case GATEWAY_MASTER_WAITING:
        abandon(master);
        break;
    case GATEWAY_MASTER_FREE:
    case GATEWAY_MASTER_ABANDONED:
    case GATEWAY_MASTER_STATES:
        break;
    }
}

static void collect_answer(struct gateway *gateway, struct gateway_master *master)
{
    bool pending =
        master->state == GATEWAY_MASTER_WAITING || master->state == GATEWAY_MASTER_ABANDONED;
    if (!pending || !atomic_load(&master->job.done))
        return;
    if (master->state == GATEWAY_MASTER_WAITING)
        gateway_master_answer(master, master->job.answer, master->job.answer_length);
    gateway_master_change(master, GATEWAY_MASTER_ANSWERED);
    gateway->tick = true; /* the upstream may have refused it and hold back the log line */
    advance(gateway, master);
}

/* ---- all masters */

/* A free place, or that of whoever has said nothing for longest. */
static struct gateway_master *find_place(struct gateway *gateway)
{
    for (size_t i = 0; i < GATEWAY_PLACES_MAX; i++) {
        if (gateway->master[i].state == GATEWAY_MASTER_FREE)
            return &gateway->master[i];
    }
    struct gateway_master *silent = gateway_master_spare(gateway->master, GATEWAY_PLACES_MAX, false,
                                                         (struct span){ 0 }, hal_clock_now());
    if (silent != NULL)
        close_master(silent);
    return silent;
}

static void set_master_options(int fd)
{
    int on = 1;
    int idle_s = MASTER_DEAD_S / 2;
    int limit_ms = MASTER_DEAD_S * 1000;
    /* Without these it works, only slower and with slots held longer: no reason to turn it away. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
}

static void accept_master(struct gateway *gateway)
{
    int fd = accept4(gateway->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* Short of descriptors, most likely: the listener stays readable, so do not spin on it. */
        gateway->accept_paused = errno != EAGAIN && errno != ECONNABORTED && errno != EINTR;
        return;
    }
    struct gateway_master *master = find_place(gateway);
    if (master == NULL) { /* not expected: of so many places some have asked for nothing */
        close(fd);
        return;
    }
    set_master_options(fd);
    gateway_master_accept(master, fd, hal_clock_now());
}

static short events_of(const struct gateway_master *master)
{
    switch (master->state) {
    case GATEWAY_MASTER_READING:
        return POLLIN;
    case GATEWAY_MASTER_WRITING:
        return POLLOUT;
    case GATEWAY_MASTER_WAITING:
        return POLLRDHUP; /* a request that has not started goes with its master */
    case GATEWAY_MASTER_FREE:
    case GATEWAY_MASTER_ABANDONED:
    case GATEWAY_MASTER_STATES:
        break;
    }
    return 0;
}

static void fill_poll(const struct gateway *gateway, struct pollfd *polled)
{
    polled[POLL_STOP] = (struct pollfd){ .fd = gateway->shared.stop_fd, .events = POLLIN };
    polled[POLL_DONE] = (struct pollfd){ .fd = gateway->shared.done_fd, .events = POLLIN };
    polled[POLL_LISTEN] =
        (struct pollfd){ .fd = gateway->accept_paused ? -1 : gateway->listen_fd, .events = POLLIN };
    for (size_t i = 0; i < GATEWAY_PLACES_MAX; i++) {
        const struct gateway_master *master = &gateway->master[i];
        polled[POLL_MASTER + i] = (struct pollfd){ .fd = master->fd, .events = events_of(master) };
    }
}

static void serve_poll(struct gateway *gateway, const struct pollfd *polled)
{
    if (polled[POLL_DONE].revents != 0) {
        uint64_t count;
        ssize_t got = read(gateway->shared.done_fd, &count, sizeof(count));
        (void)got; /* non-blocking; the jobs say which are done */
        for (size_t i = 0; i < GATEWAY_PLACES_MAX; i++)
            collect_answer(gateway, &gateway->master[i]);
    }
    for (size_t i = 0; i < GATEWAY_PLACES_MAX; i++) {
        /* Skipped if an answer above has changed what this master waits for since the poll. */
        const struct pollfd *seen = &polled[POLL_MASTER + i];
        struct gateway_master *master = &gateway->master[i];
        if (seen->revents != 0 && seen->fd == master->fd && seen->events == events_of(master))
            serve_socket(gateway, master);
    }
    for (int i = 0; i < ACCEPTS_PER_TURN && polled[POLL_LISTEN].revents != 0; i++)
        accept_master(gateway);
}

static void *run(void *argument)
{
    struct gateway *gateway = argument;
    struct pollfd polled[POLL_COUNT];
    for (;;) {
        fill_poll(gateway, polled);
        bool wait_short = gateway->tick || gateway->accept_paused;
        int ready =
            gateway_turns_poll(&gateway->turns, polled, POLL_COUNT, wait_short ? TICK_MS : -1);
        gateway->accept_paused = false;
        if (polled[POLL_STOP].revents != 0 && ready > 0)
            break;
        if (ready > 0)
            serve_poll(gateway, polled);
        if (gateway->tick)
            flush_logs(gateway);
    }
    for (size_t i = 0; i < GATEWAY_PLACES_MAX; i++)
        gateway_master_hang_up(&gateway->master[i]);
    return NULL;
}

/* ---- start and stop */

static bool bind_listener(struct gateway *gateway, const struct gateway_address *address)
{
    int on = 1;
    gateway->listen_fd =
        socket(address->socket_address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return gateway->listen_fd >= 0 &&
           setsockopt(gateway->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           bind(gateway->listen_fd, (const struct sockaddr *)&address->socket_address,
                address->length) == 0 &&
           listen(gateway->listen_fd, LISTEN_BACKLOG) == 0;
}

static bool open_listener(struct gateway *gateway, const char *text)
{
    struct gateway_address address;
    if (!gateway_address_parse(text, &address)) {
        log_line(LOG_ERR, "gateway: listen \"%s\" is no address, numeric host:port is", text);
        return false;
    }
    if (!bind_listener(gateway, &address)) {
        log_line(LOG_ERR, "gateway: cannot listen on %s: %s", text, strerror(errno));
        return false;
    }
    gateway->port = gateway_address_local_port(gateway->listen_fd);
    return true;
}

static bool start_threads(struct gateway *gateway, const struct conf *conf)
{
    for (size_t i = 0; i < conf->actuator_count; i++) {
        struct gateway_upstream *upstream =
            gateway_upstream_start(&conf->actuator[i], &gateway->shared);
        if (upstream == NULL)
            return false;
        gateway->upstream[gateway->upstream_count++] = upstream;
    }
    return pthread_create(&gateway->thread, NULL, run, gateway) == 0;
}

/* Ends the upstreams and frees all; the server thread is not running. */
static struct gateway_counters dispose(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->upstream_count; i++)
        gateway_upstream_stop(gateway->upstream[i]);
    struct gateway_counters counters = gateway_counters(gateway);
    if (gateway->listen_fd >= 0)
        close(gateway->listen_fd);
    if (gateway->shared.stop_fd >= 0)
        close(gateway->shared.stop_fd);
    if (gateway->shared.done_fd >= 0)
        close(gateway->shared.done_fd);
    free(gateway);
    return counters;
}

/* poll(2) takes no more descriptors than the process may open, and a gateway that can't wait serves nobody. */
static bool descriptors_suffice(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= POLL_COUNT)
        return true;
    log_line(LOG_ERR, "gateway: %llu open files are allowed (ulimit -n), must be %d at least",
             (unsigned long long)limit.rlim_cur, POLL_COUNT);
    return false;
}

static void raise_stop(struct gateway *gateway)
{
    uint64_t one = 1;
    ssize_t written = write(gateway->shared.stop_fd, &one, sizeof(one));
    (void)written; /* an eventfd of 0 takes a 1 */
}

bool gateway_start(const struct conf *conf, const struct gateway_lease *lease,
                   const struct gateway_watcher *watcher, struct gateway **out)
{
    if (!descriptors_suffice())
        return false;
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    if (gateway == NULL) {
        log_line(LOG_ERR, "gateway: out of memory");
        return false;
    }
    gateway->resource = conf->gateway_resource;
    gateway->shared.resource = gateway->resource.text;
    gateway->shared.lease = *lease;
    if (watcher != NULL)
        gateway->shared.watcher = *watcher;
    gateway->turns.longest_ms = gateway->shared.watcher.turn_ms;
    gateway->shared.reads_need_lease = conf->gateway_reads_need_lease;
    gateway->shared.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gateway->shared.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gateway->listen_fd = -1;
    for (size_t i = 0; i < GATEWAY_PLACES_MAX; i++)
        gateway->master[i].fd = -1;
    bool ready = gateway->shared.stop_fd >= 0 && gateway->shared.done_fd >= 0;
    if (!ready)
        log_line(LOG_ERR, "gateway: no descriptor for events: %s", strerror(errno));
    if (ready && open_listener(gateway, conf->gateway_listen) && start_threads(gateway, conf)) {
        *out = gateway;
        return true;
    }
    if (ready)
        raise_stop(gateway);
    (void)dispose(gateway);
    return false;
}

uint16_t gateway_port(const struct gateway *gateway)
{
    return gateway->port;
}

struct gateway_counters gateway_counters(const struct gateway *gateway)
{
    return (struct gateway_counters){
        .reads_forwarded = atomic_load(&gateway->shared.reads_forwarded),
        .writes_forwarded = atomic_load(&gateway->shared.writes_forwarded),
        .refused = atomic_load(&gateway->shared.refused),
        .torn_down = atomic_load(&gateway->shared.torn_down),
    };
}

static struct gateway_turns *turns_of(struct gateway *gateway, size_t thread)
{
    return thread < gateway->upstream_count ? gateway_upstream_turns(gateway->upstream[thread]) :
                                              &gateway->turns;
}

bool gateway_all_turned(struct gateway *gateway)
{
    bool turned = true;
    for (size_t i = 0; i <= gateway->upstream_count; i++) {
        const struct gateway_turns *turns = turns_of(gateway, i);
        turned = turned && atomic_load(&turns->made) != turns->seen;
    }
    return turned;
}

void gateway_mark_turns(struct gateway *gateway)
{
    for (size_t i = 0; i <= gateway->upstream_count; i++) {
        struct gateway_turns *turns = turns_of(gateway, i);
        turns->seen = atomic_load(&turns->made);
    }
}

struct gateway_counters gateway_stop(struct gateway *gateway)
{
    raise_stop(gateway);
    pthread_join(gateway->thread, NULL);
    return dispose(gateway);
}
