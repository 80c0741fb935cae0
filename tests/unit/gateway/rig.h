/*
 * The gateway between real sockets: masters in front, actuators behind, the lease in the test's hand.
 * Owner: a test program that includes it; one rig a test, by rig_set_up() and rig_tear_down().
 */
#ifndef HOLDFAST_TESTS_GATEWAY_RIG_H
#define HOLDFAST_TESTS_GATEWAY_RIG_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "gateway/gateway_pdu.h"
#include "hal/clock.h"
#include "tests/unit/gateway/actuator.h"

enum { UNIT = 1, OTHER_UNIT = 2, RESPONSE_MS = 500, PATIENCE_MS = 5000 };

struct rig {
    struct actuator actuator;
    struct actuator other; /* of OTHER_UNIT */
    struct conf conf;
    struct gateway *gateway;
    atomic_bool held;
    atomic_llong left_us;
};

static inline bool rig_lease_valid(void *context, int64_t *left_us)
{
    struct rig *rig = context;
    *left_us = atomic_load(&rig->left_us);
    return atomic_load(&rig->held);
}

static inline void add_actuator(struct rig *rig, uint8_t unit, uint16_t port)
{
    struct conf_actuator *actuator = &rig->conf.actuator[rig->conf.actuator_count++];
    actuator->unit = unit;
    actuator->response_ms = RESPONSE_MS;
    snprintf(actuator->tcp, sizeof(actuator->tcp), "127.0.0.1:%u", port);
}

static inline void start_gateway(struct rig *rig)
{
    struct gateway_lease lease = { rig_lease_valid, rig };
    assert_true(gateway_start(&rig->conf, &lease, NULL, &rig->gateway));
}

static inline int rig_set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    actuator_start(&rig->actuator);
    actuator_start(&rig->other);
    rig->held = true;
    rig->left_us = 1000000;
    rig->conf.has_gateway = true;
    assert_true(name_from_string(&rig->conf.gateway_resource, "valve"));
    strcpy(rig->conf.gateway_listen, "127.0.0.1:0");
    add_actuator(rig, UNIT, rig->actuator.port);
    add_actuator(rig, OTHER_UNIT, rig->other.port);
    start_gateway(rig);
    *state = rig;
    return 0;
}

static inline int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    if (rig->gateway != NULL)
        (void)gateway_stop(rig->gateway);
    actuator_stop(&rig->actuator);
    actuator_stop(&rig->other);
    free(rig);
    return 0;
}

static inline int64_t now_ms(void)
{
    return hal_clock_now().us / 1000;
}

/* Waits for a counter to reach `want`. */
static inline void await(atomic_int *counter, int want)
{
    int64_t end = now_ms() + PATIENCE_MS;
    while (atomic_load(counter) < want && now_ms() < end)
        usleep(1000);
    assert_true(atomic_load(counter) >= want);
}

static inline modbus_t *connect_master(const struct rig *rig, int unit)
{
    modbus_t *master = modbus_new_tcp("127.0.0.1", gateway_port(rig->gateway));
    assert_non_null(master);
    modbus_set_response_timeout(master, PATIENCE_MS / 1000, 0);
    modbus_set_slave(master, unit);
    assert_int_equal(modbus_connect(master), 0);
    return master;
}

static inline void end_master(modbus_t *master)
{
    modbus_close(master);
    modbus_free(master);
}

static inline int open_raw(void)
{
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

static inline void connect_to_gateway(const struct rig *rig, int fd)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(gateway_port(rig->gateway)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

/* A master without libmodbus, for what libmodbus would not send. */
static inline int connect_raw(const struct rig *rig)
{
    int fd = open_raw();
    connect_to_gateway(rig, fd);
    return fd;
}

static inline void send_raw(int fd, uint8_t unit, const uint8_t *pdu, size_t length)
{
    uint8_t adu[GATEWAY_ADU_MAX] = { 0x12, 0x34, 0, 0, 0, (uint8_t)(length + 1), unit };
    memcpy(adu + GATEWAY_MBAP_LENGTH, pdu, length);
    size_t whole = GATEWAY_MBAP_LENGTH + length;
    assert_int_equal(send(fd, adu, whole, MSG_NOSIGNAL), whole);
}

/* The next answer's PDU; returns its length, or 0 if the gateway closed the connection. */
static inline size_t receive_raw(int fd, uint8_t *pdu)
{
    uint8_t header[GATEWAY_MBAP_LENGTH];
    ssize_t got = recv(fd, header, sizeof(header), MSG_WAITALL);
    if (got <= 0) {
        assert_true(got == 0 || errno == ECONNRESET);
        return 0;
    }
    assert_int_equal(got, sizeof(header));
    assert_int_equal(header[0], 0x12);
    assert_int_equal(header[1], 0x34);
    size_t length = (size_t)header[5] - 1;
    assert_int_equal(recv(fd, pdu, length, MSG_WAITALL), length);
    return length;
}

static inline void assert_exception(const struct rig *rig, uint8_t unit, const uint8_t *pdu,
                                    size_t length, uint8_t code)
{
    uint8_t answer[GATEWAY_PDU_MAX];
    int fd = connect_raw(rig);
    send_raw(fd, unit, pdu, length);
    assert_int_equal(receive_raw(fd, answer), 2);
    assert_int_equal(answer[0], pdu[0] | 0x80);
    assert_int_equal(answer[1], code);
    close(fd);
}

#define ON_A_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

#endif
