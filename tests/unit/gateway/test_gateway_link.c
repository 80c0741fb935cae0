/*
 * The gateway's connections: what they are made with, whose answer counts, when they are made anew,
 * and what they cost while nothing happens.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/select.h>

#include "gateway/gateway_link.h"
#include "gateway/gateway_upstream.h"
#include "tests/unit/gateway/rig.h"

enum { DESCRIPTORS_MAX = 256, IDLE_MS = 400, LATE_READS = 2500, READ_ANSWER = 252 };

static const uint8_t read_one[] = { 3, 0, 0, 0, 1 };

/* How often threads of this process wait, the actuators' too: who computes without end does so often. */
static atomic_int polls;

int poll(struct pollfd *polled, nfds_t count, int timeout_ms)
{
    const struct timespec limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
    atomic_fetch_add(&polls, 1);
    return ppoll(polled, count, timeout_ms < 0 ? NULL : &limit, NULL);
}

static void assert_rests(void)
{
    polls = 0;
    usleep(IDLE_MS * 1000);
    assert_true(polls < IDLE_MS / 4);
}

/* ---- whose answer counts */

static void say(struct rig *rig, const uint8_t *adu, size_t length)
{
    memcpy(rig->actuator.said, adu, length);
    rig->actuator.said_length = length;
    rig->actuator.mode = ACTUATOR_SAYS;
}

static void answer_of_another_request_unit_or_length_is_no_answer(void **state)
{
    struct rig *rig = *state;
    static const struct {
        uint8_t adu[16];
        size_t length;
    } wrong[] = {
        { { 0, 1, 0, 0, 0, 5, UNIT, 3, 2, 0, 7 }, 11 },       /* another transaction */
        { { 1, 0, 0, 0, 0, 5, UNIT, 3, 2, 0, 7 }, 11 },       /* the same */
        { { 0, 0, 0, 0, 0, 5, OTHER_UNIT, 3, 2, 0, 7 }, 11 }, /* another unit */
        { { 0, 0, 0, 0, 0, 5, UNIT, 3, 2, 0, 7, 0 }, 12 },    /* a byte too many */
        { { 0, 0, 0, 0, 0, 7, UNIT, 3, 4, 0, 7, 0, 8 }, 13 }, /* two registers for one */
        { { 0, 0, 0, 0, 0, 3, UNIT, 0x86, 2 }, 9 },           /* another function's refusal */
        { { 0, 0, 0, 1, 0, 5, UNIT, 3, 2, 0, 7 }, 11 },       /* another protocol */
    };
    for (int i = 0; i < (int)(sizeof(wrong) / sizeof(wrong[0])); i++) {
        say(rig, wrong[i].adu, wrong[i].length);
        assert_exception(rig, UNIT, read_one, sizeof(read_one), 0x0B);
        await(&rig->actuator.resets, i + 1);
        await(&rig->actuator.connections, i + 2);
    }
    static const uint8_t right[] = { 0, 0, 0, 0, 0, 5, UNIT, 3, 2, 0, 7 };
    uint8_t answer[GATEWAY_PDU_MAX];
    say(rig, right, sizeof(right));
    int master = connect_raw(rig);
    send_raw(master, UNIT, read_one, sizeof(read_one));
    assert_int_equal(receive_raw(master, answer), 4);
    assert_int_equal(answer[3], 7);
    close(master);
}

/* It lies there when the next request is made, and would be taken for its answer. */
static void answer_that_nobody_asked_for_answers_no_later_request(void **state)
{
    struct rig *rig = *state;
    modbus_t *master = connect_master(rig, UNIT);
    uint16_t value = 0;
    await(&rig->actuator.connections, 1);
    rig->actuator.mode = ACTUATOR_TWICE;
    for (uint16_t i = 1; i <= 3; i++) {
        int count = -1; /* until the gateway, too, knows of the connection that was accepted */
        rig->actuator.map->tab_registers[5] = i;
        for (int left = PATIENCE_MS; count < 0 && left > 0; left--, usleep(1000))
            count = modbus_read_registers(master, 5, 1, &value);
        assert_int_equal(count, 1);
        assert_int_equal(value, i);
        usleep(2 * ACTUATOR_AGAIN_MS * 1000);
        await(&rig->actuator.connections, i + 1);
    }
    end_master(master);
}

/* Of a few: one alone may have been held up by the machine. */
static void write_is_given_up_at_its_limit_not_later(void **state)
{
    struct rig *rig = *state;
    const uint8_t write[] = { 6, 0, 12, 0, 1 };
    int64_t least_ms = INT64_MAX;
    rig->actuator.mode = ACTUATOR_SILENT;
    for (int tries = 0; tries < 3 && least_ms >= RESPONSE_MS * 3 / 2; tries++) {
        int64_t start = now_ms();
        assert_exception(rig, UNIT, write, sizeof(write), 0x0B);
        int64_t took_ms = now_ms() - start;
        least_ms = took_ms < least_ms ? took_ms : least_ms;
        await(&rig->actuator.connections, tries + 2);
    }
    assert_in_range(least_ms, RESPONSE_MS, RESPONSE_MS * 3 / 2);
}

static void half_an_answer_is_waited_for_without_computing(void **state)
{
    struct rig *rig = *state;
    static const uint8_t half[] = { 0, 0, 0, 0, 0, 5, UNIT, 3 };
    say(rig, half, sizeof(half));
    polls = 0;
    assert_exception(rig, UNIT, read_one, sizeof(read_one), 0x0B);
    /* A look each millisecond, not one after the other. */
    assert_true(polls < 3 * RESPONSE_MS);
    await(&rig->actuator.resets, 1);
}

/* Of a few: one alone may have been held up by the machine. */
static void connection_that_is_lost_under_way_is_told_at_once(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    int64_t least_ms = INT64_MAX;
    rig->actuator.mode = ACTUATOR_SILENT;
    for (int tries = 0; tries < 3 && least_ms >= RESPONSE_MS / 2; tries++) {
        int master = connect_raw(rig);
        int64_t start = now_ms();
        send_raw(master, UNIT, read_one, sizeof(read_one));
        await(&rig->actuator.requests, tries + 1);
        actuator_hang_up(&rig->actuator);
        assert_int_equal(receive_raw(master, answer), 2);
        assert_int_equal(answer[1], 0x0B);
        int64_t took_ms = now_ms() - start;
        least_ms = took_ms < least_ms ? took_ms : least_ms;
        close(master);
    }
    assert_true(least_ms < RESPONSE_MS / 2);
}

/* ---- when they are made anew */

static void connection_that_the_actuator_ended_is_made_anew_without_being_asked_for(void **state)
{
    struct rig *rig = *state;
    modbus_t *master = connect_master(rig, UNIT);
    for (int i = 1; i <= 3; i++) {
        await(&rig->actuator.connections, i);
        usleep(10000); /* until both sides have it */
        actuator_hang_up(&rig->actuator);
        await(&rig->actuator.connections, i + 1);
        assert_int_equal(modbus_write_register(master, 3, (uint16_t)i), 1);
    }
    assert_int_equal(gateway_counters(rig->gateway).torn_down, 0);
    end_master(master);
}

static void actuator_that_hangs_up_at_once_is_tried_twice_a_second(void **state)
{
    enum { WATCHED_MS = 1200 };
    struct rig *rig = *state;
    await(&rig->actuator.connections, 1);
    rig->actuator.mode = ACTUATOR_LEAVES;
    actuator_hang_up(&rig->actuator);
    int before = rig->actuator.connections;
    polls = 0;
    usleep(WATCHED_MS * 1000);
    assert_true(polls < WATCHED_MS / 4);
    assert_in_range(rig->actuator.connections - before, 1, WATCHED_MS / GATEWAY_RECONNECT_MS + 1);
}

static atomic_int connected;

static void note_connection(void *context, uint16_t port)
{
    if (port != 0)
        atomic_fetch_add((atomic_int *)context, 1);
}

static void actuator_that_is_not_there_costs_nothing_and_is_not_told_of(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int closed = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(closed, (struct sockaddr *)&any, sizeof(any)), 0); /* no listen */
    (void)gateway_stop(rig->gateway);
    int before = rig->actuator.connections;
    add_actuator(rig, 3, bound_port(closed));
    struct gateway_lease lease = { rig_lease_valid, rig };
    struct gateway_watcher watcher = { .connected = note_connection, .context = &connected };
    atomic_store(&connected, 0);
    assert_true(gateway_start(&rig->conf, &lease, &watcher, &rig->gateway));
    await(&rig->actuator.connections, before + 1);
    assert_exception(rig, 3, read_one, sizeof(read_one), 0x0B);
    assert_rests();
    /* Whoever wants to know is told of connections that stand, of each once. */
    await(&connected, 2);
    assert_int_equal(connected, 2);
    close(closed);
}

/* libmodbus waits by select(2), which has no room for descriptors above this. */
static void descriptor_that_select_cannot_take_is_none(void **state)
{
    struct rig *rig = *state;
    static int filler[FD_SETSIZE];
    int fillers = 0;
    struct rlimit before;
    struct gateway_link link;
    struct gateway_address address;
    char text[32];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    if (before.rlim_max < FD_SETSIZE + 100)
        skip();
    await(&rig->actuator.connections, 1); /* else the gateway's own would be accepted below */
    await(&rig->other.connections, 1);
    /* One for the connection, and none for its other end, which this process accepts, too. */
    const struct rlimit enough = { FD_SETSIZE + 1, before.rlim_max };
    snprintf(text, sizeof(text), "127.0.0.1:%u", rig->actuator.port);
    assert_true(gateway_address_parse(text, &address));
    struct gateway_turns turns = { 0 };
    assert_true(gateway_link_open(&link, &address, RESPONSE_MS, &turns, rig->actuator.stop_fd));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
    for (int fd = dup(STDIN_FILENO); fd < FD_SETSIZE; fd = dup(STDIN_FILENO)) {
        assert_true(fd >= 0 && fillers < FD_SETSIZE - 1);
        filler[fillers++] = fd;
    }
    int result = gateway_link_connect(&link);
    close(FD_SETSIZE);
    for (int i = 0; i < fillers; i++)
        close(filler[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(result, EMFILE);
    assert_int_equal(gateway_link_connect(&link), 0);
    gateway_link_close(&link);
}

/* ---- what they are made with */

/* This process's socket from one port to the other, none of whose ends is the test's own. */
static int find_socket(uint16_t own_port, uint16_t peer_port)
{
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        struct sockaddr_in own = { 0 };
        struct sockaddr_in peer = { 0 };
        socklen_t own_length = sizeof(own);
        socklen_t peer_length = sizeof(peer);
        if (getsockname(fd, (struct sockaddr *)&own, &own_length) == 0 &&
            getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0 &&
            own.sin_family == AF_INET && ntohs(own.sin_port) == own_port &&
            ntohs(peer.sin_port) == peer_port)
            return fd;
    }
    fail_msg("no socket from port %u to port %u", own_port, peer_port);
    return -1;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
    return value;
}

static void assert_private_and_prompt(int fd)
{
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_not_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
}

/* An end of either side's machine, or of this process, is one for the other side too, and soon. */
static void connections_end_at_once_with_whoever_holds_them(void **state)
{
    struct rig *rig = *state;
    struct linger linger = { 0 };
    socklen_t length = sizeof(linger);
    uint8_t answer[GATEWAY_PDU_MAX];
    int master = connect_raw(rig);
    send_raw(master, UNIT, read_one, sizeof(read_one));
    assert_int_equal(receive_raw(master, answer), 4);
    int link = find_socket((uint16_t)rig->actuator.peer_port, rig->actuator.port);
    assert_private_and_prompt(link);
    assert_int_equal(getsockopt(link, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    assert_int_not_equal(linger.l_onoff, 0);
    assert_int_equal(linger.l_linger, 0);
    assert_int_equal(option_of(link, IPPROTO_TCP, TCP_USER_TIMEOUT), RESPONSE_MS);
    assert_in_range(option_of(link, IPPROTO_TCP, TCP_KEEPIDLE), 1, 5);
    assert_int_equal(option_of(link, IPPROTO_TCP, TCP_KEEPINTVL), 1);
    assert_in_range(option_of(link, IPPROTO_TCP, TCP_KEEPCNT), 1, 3);
    int accepted = find_socket(gateway_port(rig->gateway), bound_port(master));
    assert_private_and_prompt(accepted);
    assert_in_range(option_of(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 1, 5);
    assert_int_equal(option_of(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 10000);
    close(master);
}

/* ---- masters */

/* Requests ahead of their answers: the socket is full, and takes parts of answers. */
static void master_that_reads_late_gets_every_answer_whole(void **state)
{
    struct rig *rig = *state;
    const uint8_t read[] = { 3, 0, 0, 0, 125 };
    uint8_t answer[GATEWAY_PDU_MAX];
    const int small = 1;
    for (int i = 0; i < 125; i++)
        rig->actuator.map->tab_registers[i] = (uint16_t)(i * 7);
    int master = open_raw();
    assert_int_equal(setsockopt(master, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    connect_to_gateway(rig, master);
    int accepted = -1;
    for (int i = 0; i < LATE_READS; i++) {
        send_raw(master, UNIT, read, sizeof(read));
        if (i == 0) { /* the gateway's side of it is small, too */
            await(&rig->actuator.requests, 1);
            accepted = find_socket(gateway_port(rig->gateway), bound_port(master));
            assert_int_equal(setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        }
    }
    usleep(100000);
    assert_true(rig->actuator.requests < LATE_READS);
    for (int i = 0; i < LATE_READS; i++) {
        assert_int_equal(receive_raw(master, answer), READ_ANSWER);
        assert_int_equal(answer[1], 250);
        assert_int_equal(answer[2 + 2 * 124] << 8 | answer[3 + 2 * 124], 124 * 7);
    }
    close(master);
}

/* ---- start, rest and end */

static void gateway_that_has_nothing_to_do_rests(void **state)
{
    struct rig *rig = *state;
    modbus_t *master = connect_master(rig, UNIT);
    assert_int_equal(modbus_write_register(master, 3, 1), 1);
    rig->held = false;
    assert_int_equal(modbus_write_register(master, 3, 1), -1);
    assert_rests();
    end_master(master);
}

static void gateway_that_is_started_again_at_once_has_its_port(void **state)
{
    struct rig *rig = *state;
    uint8_t answer[GATEWAY_PDU_MAX];
    snprintf(rig->conf.gateway_listen, sizeof(rig->conf.gateway_listen), "127.0.0.1:%u",
             gateway_port(rig->gateway));
    for (int i = 0; i < 2; i++) {
        int master = connect_raw(rig);
        send_raw(master, UNIT, read_one, sizeof(read_one));
        assert_int_equal(receive_raw(master, answer), 4);
        (void)gateway_stop(rig->gateway); /* ends the connection first, so that the port lingers */
        assert_int_equal(receive_raw(master, answer), 0);
        close(master);
        start_gateway(rig);
    }
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* The actuators, which are threads of this process, close theirs a moment later. */
static void await_descriptors(int count)
{
    int64_t end_ms = now_ms() + PATIENCE_MS;
    while (open_descriptors() != count && now_ms() < end_ms)
        usleep(1000);
    assert_int_equal(open_descriptors(), count);
}

/* Threads of other actuators run by then. */
static void start_that_fails_gives_everything_back(void **state)
{
    struct rig *rig = *state;
    struct gateway_lease lease = { rig_lease_valid, rig };
    struct gateway *gateway = NULL;
    await(&rig->actuator.connections, 1);
    await(&rig->other.connections, 1);
    /* A link to each actuator, which has its own end; the listener and two events; two for waking. */
    int before = open_descriptors() - 2 * 2 - 3 - 2;
    (void)gateway_stop(rig->gateway);
    rig->gateway = NULL;
    await_descriptors(before);
    add_actuator(rig, 3, 502);
    strcpy(rig->conf.actuator[2].tcp, "pump.example:502");
    assert_false(gateway_start(&rig->conf, &lease, NULL, &gateway));
    strcpy(rig->conf.actuator[2].tcp, "127.0.0.1:502");
    strcpy(rig->conf.gateway_listen, "198.51.100.1:502"); /* not this machine's */
    assert_false(gateway_start(&rig->conf, &lease, NULL, &gateway));
    await_descriptors(before);
}

/* poll(2) takes no more descriptors than may be open. */
static void without_enough_descriptors_it_does_not_start(void **state)
{
    struct rig *rig = *state;
    struct gateway_lease lease = { rig_lease_valid, rig };
    struct gateway *gateway = NULL;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit tight = { GATEWAY_PLACES_MAX, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    bool started = gateway_start(&rig->conf, &lease, NULL, &gateway);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_RIG(answer_of_another_request_unit_or_length_is_no_answer),
        ON_A_RIG(answer_that_nobody_asked_for_answers_no_later_request),
        ON_A_RIG(write_is_given_up_at_its_limit_not_later),
        ON_A_RIG(half_an_answer_is_waited_for_without_computing),
        ON_A_RIG(connection_that_is_lost_under_way_is_told_at_once),
        ON_A_RIG(connection_that_the_actuator_ended_is_made_anew_without_being_asked_for),
        ON_A_RIG(actuator_that_hangs_up_at_once_is_tried_twice_a_second),
        ON_A_RIG(actuator_that_is_not_there_costs_nothing_and_is_not_told_of),
        ON_A_RIG(descriptor_that_select_cannot_take_is_none),
        ON_A_RIG(connections_end_at_once_with_whoever_holds_them),
        ON_A_RIG(master_that_reads_late_gets_every_answer_whole),
        ON_A_RIG(gateway_that_has_nothing_to_do_rests),
        ON_A_RIG(gateway_that_is_started_again_at_once_has_its_port),
        ON_A_RIG(start_that_fails_gives_everything_back),
        ON_A_RIG(without_enough_descriptors_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
