/*
 * The gateway between real sockets: masters in front, actuators behind, the lease in our hand.
 */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "gateway/gateway_upstream.h"
#include "tests/unit/gateway/rig.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/log_file.h"

enum { FUZZ_FRAMES = 2000, SEVERAL = 8, ROUNDS = 20 };

/* ---- what passes */

static void reads_come_back_with_the_actuators_contents(void **state)
{
    struct rig *rig = *state;
    modbus_mapping_t *map = rig->actuator.map;
    for (int i = 0; i < ACTUATOR_REGISTERS; i++) {
        map->tab_bits[i] = i % 3 == 0;
        map->tab_input_bits[i] = i % 5 == 0;
        map->tab_registers[i] = (uint16_t)(i * 7);
        map->tab_input_registers[i] = (uint16_t)(i * 11);
    }
    modbus_t *master = connect_master(rig, UNIT);
    uint8_t bits[2000];
    uint16_t registers[125];
    assert_int_equal(modbus_read_bits(master, 0, 2000, bits), 2000);
    assert_memory_equal(bits, map->tab_bits, 2000);
    assert_int_equal(modbus_read_input_bits(master, 3, 9, bits), 9);
    assert_memory_equal(bits, map->tab_input_bits + 3, 9);
    assert_int_equal(modbus_read_registers(master, 10, 125, registers), 125);
    assert_memory_equal(registers, map->tab_registers + 10, 250);
    assert_int_equal(modbus_read_input_registers(master, 1, 1, registers), 1);
    assert_int_equal(registers[0], 11);
    assert_int_equal(gateway_counters(rig->gateway).reads_forwarded, 4);
    end_master(master);
}

static void writes_reach_the_actuator_with_their_contents(void **state)
{
    struct rig *rig = *state;
    modbus_mapping_t *map = rig->actuator.map;
    modbus_t *master = connect_master(rig, UNIT);
    uint8_t bits[1968];
    uint16_t registers[123];
    for (int i = 0; i < 1968; i++)
        bits[i] = i % 2 == 0;
    for (int i = 0; i < 123; i++)
        registers[i] = (uint16_t)(i + 1000);
    assert_int_equal(modbus_write_bit(master, 7, TRUE), 1);
    assert_int_equal(map->tab_bits[7], 1);
    assert_int_equal(modbus_write_register(master, 12, 4711), 1);
    assert_int_equal(map->tab_registers[12], 4711);
    assert_int_equal(modbus_write_bits(master, 0, 1968, bits), 1968);
    assert_memory_equal(map->tab_bits, bits, 1968);
    assert_int_equal(modbus_write_registers(master, 100, 123, registers), 123);
    assert_memory_equal(map->tab_registers + 100, registers, 246);
    map->tab_registers[3] = 0x0012;
    assert_int_equal(modbus_mask_write_register(master, 3, 0x00F2, 0x0025), 1);
    assert_int_equal(map->tab_registers[3], 0x0017);
    uint16_t back[3] = { 0 };
    assert_int_equal(modbus_write_and_read_registers(master, 300, 2, registers, 100, 3, back), 3);
    assert_memory_equal(map->tab_registers + 300, registers, 4);
    assert_memory_equal(back, map->tab_registers + 100, 6);
    assert_int_equal(gateway_counters(rig->gateway).writes_forwarded, 6);
    assert_int_equal(gateway_counters(rig->gateway).refused, 0);
    /* All over the one connection that was kept warm. */
    assert_int_equal(rig->actuator.connections, 1);
    end_master(master);
}

static void unit_id_chooses_the_actuator(void **state)
{
    struct rig *rig = *state;
    modbus_t *master = connect_master(rig, OTHER_UNIT);
    assert_int_equal(modbus_write_register(master, 5, 55), 1);
    assert_int_equal(rig->other.map->tab_registers[5], 55);
    assert_int_equal(rig->actuator.requests, 0);
    end_master(master);
}

static void exceptions_of_the_actuator_pass_unchanged(void **state)
{
    struct rig *rig = *state;
    const uint8_t beyond[] = { 6, 0xFF, 0xFF, 0, 1 };
    assert_exception(rig, UNIT, beyond, sizeof(beyond), 0x02);
    const uint8_t read_beyond[] = { 3, 0xFF, 0, 0, 1 };
    assert_exception(rig, UNIT, read_beyond, sizeof(read_beyond), 0x02);
    assert_int_equal(gateway_counters(rig->gateway).torn_down, 0);
}

/* ---- the lease */

static const struct {
    uint8_t pdu[12];
    size_t length;
} writes[] = {
    { { 5, 0, 1, 0xFF, 0 }, 5 },     { { 6, 0, 12, 0, 1 }, 5 },
    { { 15, 0, 1, 0, 3, 1, 7 }, 7 }, { { 16, 0, 1, 0, 1, 2, 0, 9 }, 8 },
    { { 22, 0, 1, 0, 1, 0, 2 }, 7 }, { { 23, 0, 1, 0, 1, 0, 2, 0, 1, 2, 0, 7 }, 12 },
};

static void no_write_passes_without_a_lease(void **state)
{
    struct rig *rig = *state;
    rig->held = false;
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        assert_exception(rig, UNIT, writes[i].pdu, writes[i].length, 0x06);
    /* A read that does arrive shows that nothing else came before it. */
    modbus_t *master = connect_master(rig, UNIT);
    uint16_t value;
    assert_int_equal(modbus_read_registers(master, 12, 1, &value), 1);
    assert_int_equal(value, 0);
    assert_int_equal(rig->actuator.requests, 1);
    assert_int_equal(rig->actuator.writes, 0);
    assert_int_equal(gateway_counters(rig->gateway).refused, 6);
    end_master(master);
}

static void lease_shorter_than_the_transit_is_no_lease_for_a_write(void **state)
{
    struct rig *rig = *state;
    rig->left_us = gateway_worst_transit(RESPONSE_MS).us;
    assert_exception(rig, UNIT, writes[1].pdu, writes[1].length, 0x06);
    assert_int_equal(rig->actuator.requests, 0);
    rig->left_us++;
    modbus_t *master = connect_master(rig, UNIT);
    assert_int_equal(modbus_write_register(master, 12, 1), 1);
    end_master(master);
}

static void reads_need_the_lease_only_where_configured(void **state)
{
    struct rig *rig = *state;
    const uint8_t read[] = { 3, 0, 0, 0, 1 };
    (void)gateway_stop(rig->gateway);
    rig->conf.gateway_reads_need_lease = true;
    start_gateway(rig);
    rig->held = false;
    assert_exception(rig, UNIT, read, sizeof(read), 0x06);
    assert_int_equal(rig->actuator.requests, 0);
    rig->held = true;
    rig->left_us = 1; /* a read is never late */
    modbus_t *master = connect_master(rig, UNIT);
    uint16_t value;
    assert_int_equal(modbus_read_registers(master, 0, 1, &value), 1);
    end_master(master);
}

static void refusal_does_not_wait_for_a_slow_actuator(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    rig->actuator.delay_ms = RESPONSE_MS * 2 / 3;
    const uint8_t read[] = { 3, 0, 0, 0, 1 };
    int slow = connect_raw(rig);
    send_raw(slow, UNIT, read, sizeof(read));
    await(&rig->actuator.requests, 1);
    rig->held = false;
    assert_exception(rig, UNIT, writes[1].pdu, writes[1].length, 0x06);
    /* The refusal is here, and the read that came first is not. */
    struct pollfd polled = { .fd = slow, .events = POLLIN };
    assert_int_equal(poll(&polled, 1, 0), 0);
    assert_int_equal(receive_raw(slow, answer), 4);
    assert_int_equal(rig->actuator.writes, 0);
    close(slow);
}

static void lease_is_asked_again_after_the_wait_for_the_actuator(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    rig->actuator.delay_ms = RESPONSE_MS / 2;
    const uint8_t read[] = { 3, 0, 0, 0, 1 };
    int first = connect_raw(rig);
    int second = connect_raw(rig);
    send_raw(first, UNIT, read, sizeof(read));
    await(&rig->actuator.requests, 1);
    send_raw(second, UNIT, writes[1].pdu, writes[1].length);
    /* Refusing a third master shows that the second's request has been let in before it. */
    assert_exception(rig, 99, read, sizeof(read), 0x0A);
    rig->held = false;
    assert_int_equal(receive_raw(second, answer), 2);
    assert_int_equal(answer[1], 0x06);
    assert_int_equal(receive_raw(first, answer), 4);
    assert_int_equal(rig->actuator.writes, 0);
    close(first);
    close(second);
}

/* An actuator of which only the kernel answers: one connection may wait to be accepted, not two. */
static int listen_without_room(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 0), 0);
    *port = bound_port(fd);
    return fd;
}

/* Connections that wait, till one stays without an answer: who comes now is not let in either. */
static size_t fill_queue(uint16_t port, int *fds, size_t max)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t count = 0; count < max; count++) {
        struct pollfd polled = { .events = POLLOUT };
        fds[count] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        polled.fd = fds[count];
        assert_true(fds[count] >= 0);
        (void)connect(fds[count], (struct sockaddr *)&address, sizeof(address));
        if (poll(&polled, 1, 100) == 0)
            return count + 1;
    }
    fail_msg("the queue is never full");
    return max;
}

/* Connections to this port that are being made: state 02 (SYN_SENT), see proc_net_tcp.rst. */
static int begun_connections(uint16_t port)
{
    char line[256];
    int count = 0;
    FILE *table = fopen("/proc/net/tcp", "r");
    assert_non_null(table);
    while (fgets(line, sizeof(line), table) != NULL) {
        unsigned remote = 0;
        unsigned kind = 0;
        int fields =
            sscanf(line, " %*d: %*8[0-9A-F]:%*4[0-9A-F] %*8[0-9A-F]:%4X %2X", &remote, &kind);
        count += fields == 2 && remote == port && kind == 2;
    }
    fclose(table);
    return count;
}

static void reset(int fd)
{
    const struct linger at_once = { .l_onoff = 1 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(fd);
}

/* Accepts whoever waits until it is the gateway: the only one that is no socket of the test. */
static int accept_gateway(int listen_fd, const int *fds, size_t count)
{
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof(peer);
        struct pollfd polled = { .fd = listen_fd, .events = POLLIN };
        assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
        int fd = accept4(listen_fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
        bool own = false;
        for (size_t i = 0; i < count; i++)
            own = own || (fds[i] >= 0 && bound_port(fds[i]) == ntohs(peer.sin_port));
        if (!own)
            return fd;
        close(fd);
    }
}

/*
 * The lease is held when the write is let in, and when the gateway begins to connect; it has ended
 * when the actuator has room at last.
 */
static void lease_that_ends_while_the_actuator_lets_nobody_in_writes_nothing(void **state)
{
    enum { LONG_RESPONSE_MS = 4000, FILLERS = 8 };
    struct rig *rig = *state;
    const uint8_t read[] = { 3, 0, 0, 0, 1 };
    uint8_t answer[GATEWAY_PDU_MAX];
    uint8_t byte;
    int fillers[FILLERS];
    (void)gateway_stop(rig->gateway);
    uint16_t port = 0;
    int listen_fd = listen_without_room(&port);
    add_actuator(rig, UNIT + 5, port);
    rig->conf.actuator[rig->conf.actuator_count - 1].response_ms = LONG_RESPONSE_MS;
    rig->left_us = INT64_C(1000000) * 60;
    start_gateway(rig);
    int link = accept_gateway(listen_fd, NULL, 0);
    int first = connect_raw(rig);
    int second = connect_raw(rig);
    send_raw(first, UNIT + 5, read, sizeof(read));
    assert_int_equal(recv(link, &byte, 1, MSG_PEEK), 1);
    send_raw(second, UNIT + 5, writes[1].pdu, writes[1].length);
    /* Refusing a third master shows that the second's request has been let in before it. */
    assert_exception(rig, 99, read, sizeof(read), 0x0A);
    size_t count = fill_queue(port, fillers, FILLERS);
    reset(link);
    assert_int_equal(receive_raw(first, answer), 2);
    for (int64_t end_ms = now_ms() + PATIENCE_MS; begun_connections(port) < 2;)
        assert_true(now_ms() < end_ms);
    rig->held = false;
    link = accept_gateway(listen_fd, fillers, count);
    assert_int_equal(receive_raw(second, answer), 2);
    assert_int_equal(answer[1], 0x06);
    assert_int_equal(recv(link, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    close(link);
    for (size_t i = 0; i < count; i++)
        close(fillers[i]);
    close(first);
    close(second);
    close(listen_fd);
}

static void stopping_does_not_wait_for_an_actuator_that_lets_nobody_in(void **state)
{
    enum { LONG_RESPONSE_MS = 10000, FILLERS = 8 };
    struct rig *rig = *state;
    int fillers[FILLERS];
    uint16_t port = 0;
    (void)gateway_stop(rig->gateway);
    int listen_fd = listen_without_room(&port);
    size_t count = fill_queue(port, fillers, FILLERS);
    add_actuator(rig, UNIT + 5, port);
    rig->conf.actuator[rig->conf.actuator_count - 1].response_ms = LONG_RESPONSE_MS;
    start_gateway(rig);
    for (int64_t end_ms = now_ms() + PATIENCE_MS; begun_connections(port) < 2;)
        assert_true(now_ms() < end_ms);
    int64_t start = now_ms();
    (void)gateway_stop(rig->gateway);
    rig->gateway = NULL;
    assert_true(now_ms() - start < LONG_RESPONSE_MS / 2);
    for (size_t i = 0; i < count; i++)
        close(fillers[i]);
    close(listen_fd);
}

/* ---- what is torn down */

static void write_without_an_answer_is_reset_and_never_sent_again(void **state)
{
    struct rig *rig = *state;
    rig->actuator.mode = ACTUATOR_SILENT;
    int64_t start = now_ms();
    assert_exception(rig, UNIT, writes[1].pdu, writes[1].length, 0x0B);
    assert_true(now_ms() - start >= RESPONSE_MS);
    await(&rig->actuator.resets, 1);
    assert_int_equal(rig->actuator.ends, 0);
    /* The gateway connects anew ahead of need; nothing of the old write comes over it. */
    await(&rig->actuator.connections, 2);
    rig->actuator.mode = ACTUATOR_ANSWERS;
    modbus_t *master = connect_master(rig, UNIT);
    assert_int_equal(modbus_write_register(master, 13, 2), 1);
    assert_int_equal(rig->actuator.writes, 2);
    assert_int_equal(rig->actuator.map->tab_registers[12], 0);
    assert_int_equal(gateway_counters(rig->gateway).torn_down, 1);
    end_master(master);
}

/* A master may ask without end, and an actuator answer nonsense without end. */
static void requests_torn_down_in_a_loop_do_not_fill_the_log(void **state)
{
    struct rig *rig = *state;
    enum { TORN = 20 };
    char folder[] = "/tmp/hf-gateway-XXXXXX";
    assert_non_null(mkdtemp(folder));
    log_file_begin(folder);
    rig->actuator.mode = ACTUATOR_NONSENSE;
    int64_t start = now_ms();
    while (gateway_counters(rig->gateway).torn_down < TORN)
        assert_exception(rig, UNIT, writes[1].pdu, writes[1].length, 0x0B);
    while (log_lines("more requests torn down") == 0 && now_ms() - start < 10000)
        usleep(1000);
    unsigned told = log_lines(": write torn down: ");
    unsigned left_out = log_lines("more requests torn down");
    int64_t seconds = (now_ms() - start) / 1000;
    log_file_end();
    folder_remove(folder);
    assert_true(told >= 1 && told <= 1 + seconds && told < TORN);
    assert_true(left_out >= 1);
}

static void actuator_that_is_too_slow_is_reset_before_it_answers(void **state)
{
    struct rig *rig = *state;
    rig->actuator.delay_ms = PATIENCE_MS;
    assert_exception(rig, UNIT, writes[1].pdu, writes[1].length, 0x0B);
    /* It was waiting for its delay: only the reset can have woken it. */
    await(&rig->actuator.resets, 1);
    assert_int_equal(rig->actuator.map->tab_registers[12], 0);
}

/* A connection that sits in an actuator's backlog takes the write, but nobody reads it. */
static void stalled_actuator_sees_a_reset_not_an_open_connection(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int stalled = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stalled, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(stalled, 4), 0);
    (void)gateway_stop(rig->gateway);
    add_actuator(rig, 3, bound_port(stalled));
    start_gateway(rig);
    assert_exception(rig, 3, writes[1].pdu, writes[1].length, 0x0B);
    int fd = accept(stalled, NULL, NULL);
    assert_true(fd >= 0);
    uint8_t bytes[GATEWAY_ADU_MAX];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        continue;
    assert_int_equal(got, -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    close(stalled);
}

static void lease_lost_under_way_resets_the_write(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    rig->actuator.mode = ACTUATOR_SILENT;
    int fd = connect_raw(rig);
    send_raw(fd, UNIT, writes[1].pdu, writes[1].length);
    await(&rig->actuator.requests, 1);
    int64_t lost = now_ms();
    rig->held = false;
    assert_int_equal(receive_raw(fd, answer), 2);
    assert_int_equal(answer[1], 0x0B);
    assert_true(now_ms() - lost < RESPONSE_MS / 2);
    await(&rig->actuator.resets, 1);
    close(fd);
}

static void answer_that_does_not_fit_is_no_answer(void **state)
{
    struct rig *rig = *state;
    rig->actuator.mode = ACTUATOR_NONSENSE;
    int64_t start = now_ms();
    assert_exception(rig, UNIT, writes[1].pdu, writes[1].length, 0x0B);
    assert_true(now_ms() - start < RESPONSE_MS);
    await(&rig->actuator.resets, 1);
    rig->actuator.mode = ACTUATOR_ANSWERS;
    await(&rig->actuator.connections, 2);
}

static void stopping_resets_what_is_under_way(void **state)
{
    struct rig *rig = *state;
    rig->actuator.mode = ACTUATOR_SILENT;
    int fd = connect_raw(rig);
    send_raw(fd, UNIT, writes[1].pdu, writes[1].length);
    await(&rig->actuator.requests, 1);
    int64_t start = now_ms();
    assert_int_equal(gateway_stop(rig->gateway).torn_down, 1);
    assert_true(now_ms() - start < RESPONSE_MS);
    await(&rig->actuator.resets, 1);
    uint8_t answer[GATEWAY_PDU_MAX];
    assert_int_equal(receive_raw(fd, answer), 0);
    close(fd);
    start_gateway(rig);
}

static void master_that_hangs_up_takes_its_waiting_write_along(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    rig->actuator.delay_ms = RESPONSE_MS / 2;
    const uint8_t read[] = { 3, 0, 0, 0, 1 };
    int first = connect_raw(rig);
    int second = connect_raw(rig);
    send_raw(first, UNIT, read, sizeof(read));
    await(&rig->actuator.requests, 1);
    send_raw(second, UNIT, writes[1].pdu, writes[1].length);
    assert_exception(rig, 99, read, sizeof(read), 0x0A);
    close(second);
    assert_int_equal(receive_raw(first, answer), 4);
    /* In the actuator's queue, the write stood before this read. */
    send_raw(first, UNIT, read, sizeof(read));
    assert_int_equal(receive_raw(first, answer), 4);
    assert_int_equal(rig->actuator.writes, 0);
    close(first);
}

/* Its place is nobody's until the actuator has answered, or another would get that answer. */
static void answer_to_a_master_that_left_goes_to_nobody(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    rig->actuator.delay_ms = RESPONSE_MS / 4;
    rig->other.delay_ms = RESPONSE_MS * 3 / 4;
    const uint8_t read_three[] = { 3, 0, 0, 0, 3 };
    const uint8_t read_one[] = { 3, 0, 0, 0, 1 };
    int left = connect_raw(rig);
    send_raw(left, UNIT, read_three, sizeof(read_three));
    await(&rig->actuator.requests, 1);
    close(left);
    /* Refusing another master shows that the gateway has seen the end of the first. */
    assert_exception(rig, 99, read_one, sizeof(read_one), 0x0A);
    int next = connect_raw(rig);
    send_raw(next, OTHER_UNIT, read_one, sizeof(read_one));
    assert_int_equal(receive_raw(next, answer), 4);
    close(next);
}

static void unreachable_actuator_fails_to_respond(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int closed = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(closed, (struct sockaddr *)&any, sizeof(any)), 0); /* no listen */
    (void)gateway_stop(rig->gateway);
    add_actuator(rig, 3, bound_port(closed));
    start_gateway(rig);
    assert_exception(rig, 3, writes[1].pdu, writes[1].length, 0x0B);
    /* Once it is there, it is found without being asked for. */
    assert_int_equal(listen(closed, 4), 0);
    struct pollfd polled = { .fd = closed, .events = POLLIN };
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    close(closed);
}

/* ---- bad input */

static void bad_requests_get_their_exception_and_the_gateway_goes_on(void **state)
{
    struct rig *rig = *state;
    const struct {
        uint8_t unit;
        uint8_t pdu[12];
        size_t length;
        uint8_t code;
    } bad[] = {
        { UNIT, { 3, 0, 0, 0, 0 }, 5, 0x03 },           /* quantity 0 */
        { UNIT, { 3, 0, 0, 0, 126 }, 5, 0x03 },         /* too many */
        { UNIT, { 1, 0, 0, 0x07, 0xD1 }, 5, 0x03 },     /* 2001 coils */
        { UNIT, { 3, 0, 0 }, 3, 0x03 },                 /* too short */
        { UNIT, { 6, 0, 0, 0, 1, 9 }, 6, 0x03 },        /* too long */
        { UNIT, { 16, 0, 0, 0, 2, 2, 0, 1 }, 8, 0x03 }, /* byte count */
        { UNIT, { 5, 0, 0, 0x12, 0x34 }, 5, 0x03 },     /* neither on nor off */
        { UNIT, { 7 }, 1, 0x01 },
        { UNIT, { 43, 14, 1, 0 }, 4, 0x01 },
        { UNIT, { 0 }, 1, 0x01 },
        { UNIT, { 0x86, 0, 0, 0, 1 }, 5, 0x01 },
        { 99, { 3, 0, 0, 0, 1 }, 5, 0x0A },
        { 0, { 6, 0, 0, 0, 1 }, 5, 0x0A }, /* broadcast */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_exception(rig, bad[i].unit, bad[i].pdu, bad[i].length, bad[i].code);
    assert_int_equal(rig->actuator.requests, 0);
    modbus_t *master = connect_master(rig, UNIT);
    assert_int_equal(modbus_write_register(master, 1, 1), 1);
    end_master(master);
}

static void bad_header_closes_that_connection_only(void **state)
{
    struct rig *rig = *state;
    const uint8_t bad[][8] = {
        { 0, 1, 0, 1, 0, 6, UNIT, 3 },   /* protocol */
        { 0, 1, 0, 0, 0, 1, UNIT, 3 },   /* length below 2 */
        { 0, 1, 0, 0, 0, 255, UNIT, 3 }, /* above 254 */
        { 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T' },
    };
    modbus_t *good = connect_master(rig, UNIT);
    uint8_t answer[GATEWAY_PDU_MAX];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = connect_raw(rig);
        assert_int_equal(send(fd, bad[i], sizeof(bad[i]), 0), sizeof(bad[i]));
        assert_int_equal(receive_raw(fd, answer), 0);
        close(fd);
        assert_int_equal(modbus_write_register(good, 1, (uint16_t)i), 1);
    }
    end_master(good);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    const uint8_t read[] = { 3, 0, 0, 0, 2 };
    int fd = connect_raw(rig);
    send_raw(fd, UNIT, read, sizeof(read));
    send_raw(fd, 99, read, sizeof(read));
    send_raw(fd, UNIT, writes[1].pdu, writes[1].length);
    assert_int_equal(receive_raw(fd, answer), 6);
    assert_int_equal(receive_raw(fd, answer), 2);
    assert_int_equal(receive_raw(fd, answer), 5);
    assert_memory_equal(answer, writes[1].pdu, 5);
    close(fd);
}

/* ---- many */

struct load {
    const struct rig *rig;
    pthread_t thread;
    uint16_t address;
    bool good;
};

static void *run_load(void *argument)
{
    struct load *load = argument;
    modbus_t *master = connect_master(load->rig, load->address % 2 == 0 ? UNIT : OTHER_UNIT);
    load->good = true;
    for (uint16_t i = 1; i <= ROUNDS; i++) {
        uint16_t value = 0;
        load->good = load->good && modbus_write_register(master, load->address, i) == 1 &&
                     modbus_read_registers(master, load->address, 1, &value) == 1 && value == i;
    }
    end_master(master);
    return NULL;
}

static void several_masters_at_once_get_their_own_answers(void **state)
{
    struct rig *rig = *state;
    struct load load[SEVERAL];
    for (uint16_t i = 0; i < SEVERAL; i++) {
        load[i] = (struct load){ .rig = rig, .address = i };
        assert_int_equal(pthread_create(&load[i].thread, NULL, run_load, &load[i]), 0);
    }
    for (int i = 0; i < SEVERAL; i++) {
        pthread_join(load[i].thread, NULL);
        assert_true(load[i].good);
    }
    assert_int_equal(gateway_counters(rig->gateway).writes_forwarded, SEVERAL * ROUNDS);
    assert_int_equal(gateway_counters(rig->gateway).torn_down, 0);
}

static void one_master_too_many_is_turned_away_and_a_slot_is_reused(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    int fd[GATEWAY_MASTERS_MAX];
    for (int i = 0; i < GATEWAY_MASTERS_MAX; i++) {
        fd[i] = connect_raw(rig);
        send_raw(fd[i], UNIT, writes[1].pdu, writes[1].length);
        assert_int_equal(receive_raw(fd[i], answer), 5);
    }
    int extra = connect_raw(rig);
    send_raw(extra, UNIT, writes[1].pdu, writes[1].length);
    assert_int_equal(receive_raw(extra, answer), 0);
    close(extra);
    close(fd[0]);
    /* The gateway needs a moment to see that the slot is free. */
    size_t length = 0;
    int64_t end = now_ms() + PATIENCE_MS;
    while (length == 0 && now_ms() < end) {
        fd[0] = connect_raw(rig);
        send_raw(fd[0], UNIT, writes[1].pdu, writes[1].length);
        length = receive_raw(fd[0], answer);
        if (length == 0)
            close(fd[0]);
    }
    assert_int_equal(length, 5);
    for (int i = 0; i < GATEWAY_MASTERS_MAX; i++)
        close(fd[i]);
}

/* Each of them is one connection that asks for nothing. */
static void silent_connections_cost_no_master_its_place(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    int silent[2 * GATEWAY_PLACES_MAX];
    int before = connect_raw(rig);
    send_raw(before, UNIT, writes[1].pdu, writes[1].length);
    assert_int_equal(receive_raw(before, answer), 5);
    for (int i = 0; i < 2 * GATEWAY_PLACES_MAX; i++) {
        silent[i] = connect_raw(rig);
        if (i % 2 == 0) /* half a header */
            assert_int_equal(send(silent[i], answer, 3, MSG_NOSIGNAL), 3);
    }
    for (int turn = 0; turn < 3; turn++) {
        int master = connect_raw(rig);
        send_raw(master, UNIT, writes[1].pdu, writes[1].length);
        assert_int_equal(receive_raw(master, answer), 5);
        close(master);
        send_raw(before, UNIT, writes[1].pdu, writes[1].length);
        assert_int_equal(receive_raw(before, answer), 5);
    }
    for (int i = 0; i < 2 * GATEWAY_PLACES_MAX; i++)
        close(silent[i]);
    close(before);
}

/* A process that may have no more than these, and has all of them. */
enum { DESCRIPTORS = 2 * GATEWAY_PLACES_MAX };

struct shortage {
    struct rlimit before;
    int filler[DESCRIPTORS];
    int fillers;
};

static void use_up_descriptors(struct shortage *shortage)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &shortage->before), 0);
    const struct rlimit tight = { DESCRIPTORS, shortage->before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    shortage->fillers = 0;
    for (int fd = dup(STDIN_FILENO); fd >= 0; fd = dup(STDIN_FILENO))
        shortage->filler[shortage->fillers++] = fd;
    assert_int_equal(errno, EMFILE);
}

static void end_shortage(const struct shortage *shortage)
{
    for (int i = 0; i < shortage->fillers; i++)
        close(shortage->filler[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &shortage->before), 0);
}

/* The gateway's, counted: the actuators use accept(2). */
static atomic_int accepts;

int accept4(int fd, struct sockaddr *restrict peer, socklen_t *restrict length, int flags)
{
    atomic_fetch_add(&accepts, 1);
    return (int)syscall(SYS_accept4, fd, peer, length, flags);
}

static void master_that_finds_no_descriptor_left_is_let_in_once_there_is_one(void **state)
{
    enum { WITHOUT_MS = 600, ACCEPTS_MAX = 16 /* of four turns */ };
    struct rig *rig = *state;
    struct shortage shortage;
    uint8_t answer[GATEWAY_PDU_MAX];
    await(&rig->actuator.connections, 1);
    await(&rig->other.connections, 1);
    int master = open_raw();
    int before = connect_raw(rig);
    send_raw(before, UNIT, writes[1].pdu, writes[1].length);
    assert_int_equal(receive_raw(before, answer), 5);
    use_up_descriptors(&shortage);
    accepts = 0;
    connect_to_gateway(rig, master);
    send_raw(master, UNIT, writes[1].pdu, writes[1].length);
    usleep(WITHOUT_MS * 1000);
    int tried = accepts;
    /* Who is in already is served. */
    send_raw(before, UNIT, writes[1].pdu, writes[1].length);
    size_t served = receive_raw(before, answer);
    end_shortage(&shortage);
    assert_int_equal(served, 5);
    assert_in_range(tried, 1, ACCEPTS_MAX);
    assert_int_equal(receive_raw(master, answer), 5);
    close(master);
    close(before);
}

static unsigned random_below(uint64_t *seed, unsigned limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % limit;
}

static void random_frames_write_nothing_without_a_lease(void **state)
{
    struct rig *rig = *state;
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    uint64_t seed = first;
    print_message("seed %llu (replay: HOLDFAST_SEED)\n", (unsigned long long)first);
    rig->held = false;
    int fd = connect_raw(rig);
    for (int i = 0; i < FUZZ_FRAMES; i++) {
        uint8_t answer[GATEWAY_PDU_MAX];
        uint8_t pdu[12];
        const size_t which = random_below(&seed, sizeof(writes) / sizeof(writes[0]));
        size_t length = writes[which].length;
        memcpy(pdu, writes[which].pdu, sizeof(pdu));
        for (unsigned n = random_below(&seed, 3); n > 0; n--)
            pdu[random_below(&seed, (unsigned)length)] = (uint8_t)random_below(&seed, 256);
        if (random_below(&seed, 4) == 0)
            length = 1 + random_below(&seed, sizeof(pdu));
        send_raw(fd, (uint8_t)(random_below(&seed, 8) == 0 ? 9 : UNIT), pdu, length);
        size_t got = receive_raw(fd, answer);
        assert_true(got >= 2);
        /* Whatever is no read comes back as an exception. */
        if (pdu[0] == 0 || pdu[0] > 4)
            assert_int_equal(got, 2);
    }
    close(fd);
    assert_int_equal(rig->actuator.writes, 0);
    assert_int_equal(gateway_counters(rig->gateway).writes_forwarded, 0);
    assert_true(gateway_counters(rig->gateway).refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_RIG(reads_come_back_with_the_actuators_contents),
        ON_A_RIG(writes_reach_the_actuator_with_their_contents),
        ON_A_RIG(unit_id_chooses_the_actuator),
        ON_A_RIG(exceptions_of_the_actuator_pass_unchanged),
        ON_A_RIG(no_write_passes_without_a_lease),
        ON_A_RIG(lease_shorter_than_the_transit_is_no_lease_for_a_write),
        ON_A_RIG(reads_need_the_lease_only_where_configured),
        ON_A_RIG(refusal_does_not_wait_for_a_slow_actuator),
        ON_A_RIG(lease_is_asked_again_after_the_wait_for_the_actuator),
        ON_A_RIG(lease_that_ends_while_the_actuator_lets_nobody_in_writes_nothing),
        ON_A_RIG(stopping_does_not_wait_for_an_actuator_that_lets_nobody_in),
        ON_A_RIG(write_without_an_answer_is_reset_and_never_sent_again),
        ON_A_RIG(requests_torn_down_in_a_loop_do_not_fill_the_log),
        ON_A_RIG(actuator_that_is_too_slow_is_reset_before_it_answers),
        ON_A_RIG(stalled_actuator_sees_a_reset_not_an_open_connection),
        ON_A_RIG(lease_lost_under_way_resets_the_write),
        ON_A_RIG(answer_that_does_not_fit_is_no_answer),
        ON_A_RIG(stopping_resets_what_is_under_way),
        ON_A_RIG(master_that_hangs_up_takes_its_waiting_write_along),
        ON_A_RIG(answer_to_a_master_that_left_goes_to_nobody),
        ON_A_RIG(unreachable_actuator_fails_to_respond),
        ON_A_RIG(bad_requests_get_their_exception_and_the_gateway_goes_on),
        ON_A_RIG(bad_header_closes_that_connection_only),
        ON_A_RIG(pipelined_requests_are_answered_in_order),
        ON_A_RIG(several_masters_at_once_get_their_own_answers),
        ON_A_RIG(one_master_too_many_is_turned_away_and_a_slot_is_reused),
        ON_A_RIG(silent_connections_cost_no_master_its_place),
        ON_A_RIG(master_that_finds_no_descriptor_left_is_let_in_once_there_is_one),
        ON_A_RIG(random_frames_write_nothing_without_a_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
