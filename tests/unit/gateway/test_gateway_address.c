/* Addresses: what is one, and what a socket says of itself. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/gateway_address.h"
#include "tests/unit/support/unit.h"

static void host_and_port_are_taken_apart_at_the_last_colon(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        const char *port;
        int family;
    } good[] = {
        { "127.0.0.1:502", "127.0.0.1", "502", AF_INET },
        { "10.1.2.3:65535", "10.1.2.3", "65535", AF_INET },
        { "[::1]:502", "::1", "502", AF_INET6 },
        { "fe80::1:502", "fe80::1", "502", AF_INET6 },
        { "[2001:db8::7]:1502", "2001:db8::7", "1502", AF_INET6 },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct gateway_address address;
        assert_true(gateway_address_parse(good[i].text, &address));
        assert_string_equal(address.host, good[i].host);
        assert_string_equal(address.port, good[i].port);
        assert_int_equal(address.socket_address.ss_family, good[i].family);
    }
}

/* A name would have to be looked up, which may take longer than a lease. */
static void names_and_halves_of_addresses_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "502",
                                       ":502",
                                       "127.0.0.1",
                                       "127.0.0.1:",
                                       "127.0.0.1:modbus",
                                       "localhost:502",
                                       "[]:502",
                                       "pump.example:502" };
    char long_one[HF_ADDRESS_MAX + 2];
    struct gateway_address address;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(gateway_address_parse(bad[i], &address));
    memset(long_one, '0', sizeof(long_one));
    memcpy(long_one + sizeof(long_one) - 11, "1.2.3.4:50", 11);
    assert_int_equal(strlen(long_one), HF_ADDRESS_MAX + 1);
    assert_false(gateway_address_parse(long_one, &address));
}

static void a_socket_says_its_port_and_its_peer(void **state)
{
    (void)state;
    struct gateway_address address;
    char text[80];
    assert_true(gateway_address_parse("127.0.0.1:0", &address));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address.socket_address, address.length), 0);
    assert_int_equal(listen(listener, 1), 0);
    uint16_t port = gateway_address_local_port(listener);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    gateway_address_of_peer(fd, text, sizeof(text));
    char expected[80];
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", port);
    assert_string_equal(text, expected);
    gateway_address_of_peer(listener, text, sizeof(text));
    assert_string_equal(text, "unknown");
    close(fd);
    close(listener);
    assert_int_equal(gateway_address_local_port(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_port_are_taken_apart_at_the_last_colon),
        cmocka_unit_test(names_and_halves_of_addresses_are_none),
        cmocka_unit_test(a_socket_says_its_port_and_its_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
