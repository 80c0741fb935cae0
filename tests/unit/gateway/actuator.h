/*
 * A Modbus TCP actuator for tests: libmodbus's server in a thread, on a port of its own choosing.
 *
 * It counts what reaches it, answers when told to, and notices when a connection is reset.
 */
#ifndef HOLDFAST_TESTS_GATEWAY_ACTUATOR_H
#define HOLDFAST_TESTS_GATEWAY_ACTUATOR_H

#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/support/unit.h"

enum { ACTUATOR_CONNECTIONS_MAX = 4, ACTUATOR_REGISTERS = 2000 };

enum actuator_mode {
    ACTUATOR_ANSWERS,
    ACTUATOR_SILENT,   /* takes the request, never answers */
    ACTUATOR_NONSENSE, /* answers with another function */
    ACTUATOR_SAYS,     /* answers with `said`, whatever was asked */
    ACTUATOR_TWICE,    /* answers, and once more ACTUATOR_AGAIN_MS later */
    ACTUATOR_LEAVES    /* hangs up on whoever connects */
};

enum { ACTUATOR_AGAIN_MS = 30 };

struct actuator {
    modbus_t *modbus;
    modbus_mapping_t *map;
    int listen_fd;
    int stop_fd;
    uint16_t port;
    pthread_t thread;
    int connection[ACTUATOR_CONNECTIONS_MAX];
    _Atomic enum actuator_mode mode;
    atomic_int delay_ms;
    uint8_t said[MODBUS_TCP_MAX_ADU_LENGTH];
    atomic_size_t said_length;
    atomic_int requests;    /* whole requests that arrived */
    atomic_int writes;      /* of them, those that change something */
    atomic_int connections; /* accepted so far */
    atomic_int peer_port;   /* of the latest */
    atomic_int resets;      /* connections that ended in a reset */
    atomic_int ends;        /* connections that ended in order */
};

static inline bool actuator_function_writes(uint8_t function)
{
    return !(function >= 1 && function <= 4);
}

static inline void actuator_end_connection(struct actuator *actuator, int index, int error)
{
    atomic_fetch_add(error == ECONNRESET ? &actuator->resets : &actuator->ends, 1);
    close(actuator->connection[index]);
    actuator->connection[index] = -1;
}

/* False when the connection was reset, or the test ended, before it was time to answer. */
static inline bool actuator_wait(struct actuator *actuator, int fd)
{
    int delay_ms = atomic_load(&actuator->delay_ms);
    if (delay_ms == 0)
        return true;
    struct pollfd polled[2] = { { .fd = actuator->stop_fd, .events = POLLIN }, { .fd = fd } };
    return poll(polled, 2, delay_ms) == 0;
}

static inline void actuator_serve(struct actuator *actuator, int index)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    int fd = actuator->connection[index];
    modbus_set_socket(actuator->modbus, fd);
    int length = modbus_receive(actuator->modbus, request);
    if (length <= 0) {
        actuator_end_connection(actuator, index, errno);
        return;
    }
    atomic_fetch_add(&actuator->requests, 1);
    if (actuator_function_writes(request[7]))
        atomic_fetch_add(&actuator->writes, 1);
    if (!actuator_wait(actuator, fd) || actuator->mode == ACTUATOR_SILENT)
        return;
    if (actuator->mode == ACTUATOR_SAYS) {
        (void)send(fd, actuator->said, actuator->said_length, MSG_NOSIGNAL);
        return;
    }
    if (actuator->mode == ACTUATOR_ANSWERS || actuator->mode == ACTUATOR_TWICE)
        modbus_reply(actuator->modbus, request, length, actuator->map);
    if (actuator->mode == ACTUATOR_TWICE) {
        usleep(ACTUATOR_AGAIN_MS * 1000);
        modbus_reply(actuator->modbus, request, length, actuator->map);
    }
    if (actuator->mode != ACTUATOR_NONSENSE)
        return;
    const uint8_t nonsense[] = { 0, 0, 0, 0, 0, 3, request[6], 0x2B, 0 };
    (void)send(fd, nonsense, sizeof(nonsense), MSG_NOSIGNAL);
}

static inline void actuator_accept(struct actuator *actuator)
{
    struct sockaddr_in peer = { 0 };
    socklen_t length = sizeof(peer);
    int fd = accept(actuator->listen_fd, (struct sockaddr *)&peer, &length);
    atomic_store(&actuator->peer_port, ntohs(peer.sin_port));
    if (actuator->mode == ACTUATOR_LEAVES) {
        atomic_fetch_add(&actuator->connections, 1);
        close(fd);
        return;
    }
    for (int i = 0; i < ACTUATOR_CONNECTIONS_MAX; i++) {
        if (actuator->connection[i] < 0) {
            actuator->connection[i] = fd;
            atomic_fetch_add(&actuator->connections, 1);
            return;
        }
    }
    close(fd);
}

static inline void *actuator_run(void *argument)
{
    struct actuator *actuator = argument;
    for (;;) {
        struct pollfd polled[2 + ACTUATOR_CONNECTIONS_MAX] = {
            { .fd = actuator->stop_fd, .events = POLLIN },
            { .fd = actuator->listen_fd, .events = POLLIN },
        };
        for (int i = 0; i < ACTUATOR_CONNECTIONS_MAX; i++)
            polled[2 + i] = (struct pollfd){ .fd = actuator->connection[i], .events = POLLIN };
        (void)poll(polled, 2 + ACTUATOR_CONNECTIONS_MAX, -1);
        if (polled[0].revents != 0)
            return NULL;
        for (int i = 0; i < ACTUATOR_CONNECTIONS_MAX; i++) {
            if (polled[2 + i].revents != 0)
                actuator_serve(actuator, i);
        }
        if (polled[1].revents != 0)
            actuator_accept(actuator);
    }
}

static inline uint16_t bound_port(int fd)
{
    struct sockaddr_in bound = { 0 };
    socklen_t length = sizeof(bound);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
    return ntohs(bound.sin_port);
}

static inline void actuator_start(struct actuator *actuator)
{
    *actuator = (struct actuator){ .connection = { -1, -1, -1, -1 } };
    actuator->modbus = modbus_new_tcp("127.0.0.1", 0);
    actuator->map = modbus_mapping_new(ACTUATOR_REGISTERS, ACTUATOR_REGISTERS, ACTUATOR_REGISTERS,
                                       ACTUATOR_REGISTERS);
    assert_non_null(actuator->map);
    actuator->listen_fd = modbus_tcp_listen(actuator->modbus, ACTUATOR_CONNECTIONS_MAX);
    assert_true(actuator->listen_fd >= 0);
    actuator->port = bound_port(actuator->listen_fd);
    actuator->stop_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&actuator->thread, NULL, actuator_run, actuator), 0);
}

/* Ends its connections in order. */
static inline void actuator_hang_up(const struct actuator *actuator)
{
    for (int i = 0; i < ACTUATOR_CONNECTIONS_MAX; i++) {
        if (actuator->connection[i] >= 0)
            (void)shutdown(actuator->connection[i], SHUT_RDWR);
    }
}

static inline void actuator_stop(struct actuator *actuator)
{
    assert_int_equal(eventfd_write(actuator->stop_fd, 1), 0);
    pthread_join(actuator->thread, NULL);
    for (int i = 0; i < ACTUATOR_CONNECTIONS_MAX; i++) {
        if (actuator->connection[i] >= 0)
            close(actuator->connection[i]);
    }
    close(actuator->listen_fd);
    close(actuator->stop_fd);
    modbus_mapping_free(actuator->map);
    modbus_free(actuator->modbus);
}

#endif
