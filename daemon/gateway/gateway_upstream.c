/* The actuator's thread: connect, take a job, ask the lease, send, answer. */
#include "gateway/gateway_upstream.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "gateway/gateway_link.h"
#include "hal/clock.h"
#include "log/log.h"

struct gateway_upstream {
    struct gateway_shared *shared;
    struct conf_actuator actuator;
    struct gateway_turns turns;
    struct gateway_link link;
    struct instant connect_at; /* not before; the thread's own */
    struct instant tried_at;   /* the last attempt to connect */
    int last_connect_error;    /* 0: connected, -1: never tried */
    int wake_fd;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards what follows */
    struct gateway_job *queue[GATEWAY_MASTERS_MAX];
    size_t queue_length;
    struct log_brake refusals;
    struct log_brake torn_down;
};

static void signal_event(int fd)
{
    uint64_t one = 1;
    /*
     * Fails only if the counter is full; it is readable then, and that wakes the reader all the
     * same.
     */
    ssize_t written = write(fd, &one, sizeof(one));
    (void)written;
}

static bool stopping(struct gateway_upstream *upstream)
{
    struct pollfd polled = { .fd = upstream->shared->stop_fd, .events = POLLIN };
    return gateway_turns_poll(&upstream->turns, &polled, 1, 0) > 0;
}

static bool access_needs_lease(const struct gateway_upstream *upstream,
                               const struct gateway_pdu_facts *facts)
{
    return facts->access == GATEWAY_ACCESS_WRITE || upstream->shared->reads_need_lease;
}

static const char *access_name(enum gateway_access access)
{
    return access == GATEWAY_ACCESS_WRITE ? "write" : "read";
}

/* True if the line may be logged now. A master could cause these without end, so they have a brake. */
static bool admit_log(struct gateway_upstream *upstream, struct log_brake *brake)
{
    gateway_upstream_flush_log(upstream);
    pthread_mutex_lock(&upstream->mutex);
    bool admitted = log_brake_admit(brake, hal_clock_now());
    pthread_mutex_unlock(&upstream->mutex);
    return admitted;
}

static void log_refusal(struct gateway_upstream *upstream, const struct gateway_pdu_facts *facts,
                        enum gateway_lease_answer answer, struct span left, struct span need)
{
    if (!admit_log(upstream, &upstream->refusals))
        return;
    if (answer == GATEWAY_LEASE_SHORT)
        log_line(LOG_WARNING,
                 "%s unit %u: %s refused: lease too short, %" PRId64 " ms left, %" PRId64
                 " ms needed (function %u %s %u)",
                 upstream->shared->resource, upstream->actuator.unit, access_name(facts->access),
                 span_to_ms(left), span_to_ms(need), facts->function, facts->noun, facts->address);
    else
        log_line(LOG_WARNING, "%s unit %u: %s refused: no lease (function %u %s %u)",
                 upstream->shared->resource, upstream->actuator.unit, access_name(facts->access),
                 facts->function, facts->noun, facts->address);
}

bool gateway_upstream_flush_log(struct gateway_upstream *upstream)
{
    pthread_mutex_lock(&upstream->mutex);
    uint64_t held = log_brake_release(&upstream->refusals, hal_clock_now());
    uint64_t torn_down = log_brake_release(&upstream->torn_down, hal_clock_now());
    bool more = upstream->refusals.held != 0 || upstream->torn_down.held != 0;
    pthread_mutex_unlock(&upstream->mutex);
    if (held != 0)
        log_line(LOG_WARNING, "%s unit %u: %" PRIu64 " more requests refused for want of the lease",
                 upstream->shared->resource, upstream->actuator.unit, held);
    if (torn_down != 0)
        log_line(LOG_WARNING, "%s unit %u: %" PRIu64 " more requests torn down",
                 upstream->shared->resource, upstream->actuator.unit, torn_down);
    return more;
}

bool gateway_upstream_permits(struct gateway_upstream *upstream,
                              const struct gateway_pdu_facts *facts)
{
    if (!access_needs_lease(upstream, facts))
        return true;
    /* A read changes nothing, so it may end after the lease: 0 is enough. */
    struct span need = facts->access == GATEWAY_ACCESS_WRITE ?
                           gateway_worst_transit(upstream->actuator.response_ms) :
                           span_from_us(0);
    struct span left;
    enum gateway_lease_answer answer = gateway_lease_check(&upstream->shared->lease, need, &left);
    if (answer == GATEWAY_LEASE_ENOUGH)
        return true;
    atomic_fetch_add(&upstream->shared->refused, 1);
    log_refusal(upstream, facts, answer, left, need);
    return false;
}

/* ---- the queue */

void gateway_upstream_submit(struct gateway_upstream *upstream, struct gateway_job *job)
{
    atomic_store(&job->done, false);
    pthread_mutex_lock(&upstream->mutex);
    HF_CHECK(upstream->queue_length < GATEWAY_MASTERS_MAX);
    upstream->queue[upstream->queue_length++] = job;
    pthread_mutex_unlock(&upstream->mutex);
    signal_event(upstream->wake_fd);
}

/* Call it with the mutex held. */
static void remove_from_queue(struct gateway_upstream *upstream, size_t at)
{
    upstream->queue_length--;
    for (; at < upstream->queue_length; at++)
        upstream->queue[at] = upstream->queue[at + 1];
}

bool gateway_upstream_withdraw(struct gateway_upstream *upstream, const struct gateway_job *job)
{
    bool found = false;
    pthread_mutex_lock(&upstream->mutex);
    for (size_t i = 0; i < upstream->queue_length && !found; i++) {
        found = upstream->queue[i] == job;
        if (found)
            remove_from_queue(upstream, i);
    }
    pthread_mutex_unlock(&upstream->mutex);
    return found;
}

static struct gateway_job *take_job(struct gateway_upstream *upstream)
{
    struct gateway_job *job = NULL;
    pthread_mutex_lock(&upstream->mutex);
    if (upstream->queue_length > 0) {
        job = upstream->queue[0];
        remove_from_queue(upstream, 0);
    }
    pthread_mutex_unlock(&upstream->mutex);
    return job;
}

/* ---- the link */

static void log_connect(struct gateway_upstream *upstream, int error)
{
    if (error == upstream->last_connect_error || error == ECANCELED)
        return;
    upstream->last_connect_error = error;
    if (error == 0)
        log_line(LOG_INFO, "%s unit %u: connected to %s", upstream->shared->resource,
                 upstream->actuator.unit, upstream->actuator.tcp);
    else
        log_line(LOG_WARNING, "%s unit %u: no connection to %s: %s, trying on",
                 upstream->shared->resource, upstream->actuator.unit, upstream->actuator.tcp,
                 strerror(error));
}

static void tell_watcher(const struct gateway_upstream *upstream)
{
    const struct gateway_watcher *watcher = &upstream->shared->watcher;
    uint16_t port = gateway_address_local_port(upstream->link.fd);
    if (watcher->connected != NULL && port != 0)
        watcher->connected(watcher->context, port);
}

/* Tries to connect unless it failed a moment ago. */
static bool connect_link(struct gateway_upstream *upstream)
{
    if (!instant_reached(upstream->connect_at, hal_clock_now()))
        return false;
    upstream->tried_at = hal_clock_now();
    int error = gateway_link_connect(&upstream->link);
    if (error != 0)
        upstream->connect_at = instant_add(hal_clock_now(), span_from_ms(GATEWAY_RECONNECT_MS));
    else
        tell_watcher(upstream);
    log_connect(upstream, error);
    return error == 0;
}

/* Replaces a connection that the actuator closed, or on which bytes wait that nobody asked for. */
static bool prepare_link(struct gateway_upstream *upstream)
{
    if (gateway_link_ready(&upstream->link))
        return true;
    gateway_link_reset(&upstream->link);
    return connect_link(upstream) && gateway_link_ready(&upstream->link);
}

static const char *result_text(enum gateway_link_result result)
{
    static const char *const texts[] = {
        [GATEWAY_LINK_ANSWERED] = "answered",
        [GATEWAY_LINK_LATE] = "no answer in time",
        [GATEWAY_LINK_BROKEN] = "connection lost",
        [GATEWAY_LINK_NONSENSE] = "answer does not fit the request",
        [GATEWAY_LINK_LEASE_LOST] = "lease lost",
        [GATEWAY_LINK_STOPPED] = "gateway is ending",
    };
    return texts[result];
}

static void count_forwarded(struct gateway_upstream *upstream, enum gateway_access access)
{
    if (access == GATEWAY_ACCESS_WRITE)
        atomic_fetch_add(&upstream->shared->writes_forwarded, 1);
    else
        atomic_fetch_add(&upstream->shared->reads_forwarded, 1);
}

static void exchange(struct gateway_upstream *upstream, struct gateway_job *job)
{
    const struct gateway_pdu_facts *facts = &job->facts;
    bool write = facts->access == GATEWAY_ACCESS_WRITE;
    count_forwarded(upstream, facts->access);
    enum gateway_link_result result = gateway_link_exchange(
        &upstream->link, upstream->actuator.unit, job, write ? &upstream->shared->lease : NULL);
    if (result == GATEWAY_LINK_ANSWERED)
        return;
    atomic_fetch_add(&upstream->shared->torn_down, 1);
    if (admit_log(upstream, &upstream->torn_down))
        log_line(LOG_WARNING,
                 "%s unit %u: %s torn down: %s, connection reset (function %u %s %u, limit %u ms)",
                 upstream->shared->resource, upstream->actuator.unit, access_name(facts->access),
                 result_text(result), facts->function, facts->noun, facts->address,
                 upstream->actuator.response_ms);
    /* The actuator may have acted: "failed to respond" leaves that open, "busy" would deny it. */
    job->answer_length =
        gateway_pdu_exception(facts->function, GATEWAY_EXCEPTION_TARGET, job->answer);
}

static void serve(struct gateway_upstream *upstream, struct gateway_job *job)
{
    uint8_t function = job->facts.function;
    /*
     * The lease could end while it connects, so the lease is asked after that, right before the
     * send.
     */
    if (!prepare_link(upstream))
        job->answer_length = gateway_pdu_exception(function, GATEWAY_EXCEPTION_TARGET, job->answer);
    else if (!gateway_upstream_permits(upstream, &job->facts))
        job->answer_length = gateway_pdu_exception(function, GATEWAY_EXCEPTION_BUSY, job->answer);
    else
        exchange(upstream, job);
    atomic_store(&job->done, true);
    signal_event(upstream->shared->done_fd);
}

/* ---- the thread */

static int idle_timeout_ms(const struct gateway_upstream *upstream)
{
    if (upstream->link.fd >= 0)
        return -1;
    int64_t left_us = instant_diff(upstream->connect_at, hal_clock_now()).us;
    return left_us <= 0 ? 0 : (int)(left_us / 1000) + 1;
}

/* Waits for a job, the end, news from an idle link, or the time to connect again. */
static void wait_idle(struct gateway_upstream *upstream)
{
    struct pollfd polled[3] = { { .fd = upstream->shared->stop_fd, .events = POLLIN },
                                { .fd = upstream->wake_fd, .events = POLLIN },
                                { .fd = upstream->link.fd, .events = POLLIN } };
    if (gateway_turns_poll(&upstream->turns, polled, 3, idle_timeout_ms(upstream)) <= 0)
        return;
    if (polled[1].revents != 0) {
        uint64_t count;
        ssize_t got = read(upstream->wake_fd, &count, sizeof(count));
        (void)got; /* non-blocking; the queue says what there is to do */
    }
    if (polled[2].revents != 0 && !gateway_link_ready(&upstream->link)) {
        log_line(LOG_WARNING,
                 "%s unit %u: idle connection to %s ended by the actuator, connecting again",
                 upstream->shared->resource, upstream->actuator.unit, upstream->actuator.tcp);
        gateway_link_reset(&upstream->link);
        upstream->last_connect_error = -1;
        /*
         * Else an actuator that closes each connection at once would be connected to without a
         * pause.
         */
        upstream->connect_at = instant_add(upstream->tried_at, span_from_ms(GATEWAY_RECONNECT_MS));
    }
}

static void *run(void *argument)
{
    struct gateway_upstream *upstream = argument;
    while (!stopping(upstream)) {
        struct gateway_job *job = take_job(upstream);
        if (job != NULL) {
            serve(upstream, job);
            continue;
        }
        if (upstream->link.fd < 0 && connect_link(upstream))
            continue; /* a job may have come meanwhile */
        wait_idle(upstream);
    }
    gateway_link_reset(&upstream->link);
    return NULL;
}

struct gateway_upstream *gateway_upstream_start(const struct conf_actuator *actuator,
                                                struct gateway_shared *shared)
{
    struct gateway_address address;
    if (!gateway_address_parse(actuator->tcp, &address)) {
        log_line(LOG_ERR, "%s unit %u: \"%s\" is no address, numeric host:port is",
                 shared->resource, actuator->unit, actuator->tcp);
        return NULL;
    }
    struct gateway_upstream *upstream = calloc(1, sizeof(*upstream));
    if (upstream == NULL)
        return NULL;
    upstream->shared = shared;
    upstream->actuator = *actuator;
    upstream->last_connect_error = -1;
    upstream->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&upstream->mutex, NULL);
    upstream->turns.longest_ms = shared->watcher.turn_ms;
    bool opened = gateway_link_open(&upstream->link, &address, actuator->response_ms,
                                    &upstream->turns, shared->stop_fd);
    if (opened && upstream->wake_fd >= 0 &&
        pthread_create(&upstream->thread, NULL, run, upstream) == 0)
        return upstream;
    log_line(LOG_ERR, "%s unit %u: no memory or descriptor for its thread", shared->resource,
             actuator->unit);
    if (opened)
        gateway_link_close(&upstream->link);
    if (upstream->wake_fd >= 0)
        close(upstream->wake_fd);
    free(upstream);
    return NULL;
}

void gateway_upstream_stop(struct gateway_upstream *upstream)
{
    pthread_join(upstream->thread, NULL);
    gateway_link_close(&upstream->link);
    close(upstream->wake_fd);
    pthread_mutex_destroy(&upstream->mutex);
    free(upstream);
}

struct gateway_turns *gateway_upstream_turns(struct gateway_upstream *upstream)
{
    return &upstream->turns;
}

uint8_t gateway_upstream_unit(const struct gateway_upstream *upstream)
{
    return upstream->actuator.unit;
}
