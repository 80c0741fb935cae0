/*
 * "host:port" as a socket address. Numeric only: a name server has no place in a fencing path.
 *
 * Owner: plain data.
 */
#ifndef HOLDFAST_GATEWAY_ADDRESS_H
#define HOLDFAST_GATEWAY_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/limits.h"

struct gateway_address {
    struct sockaddr_storage socket_address;
    socklen_t length;
    char host[HF_ADDRESS_MAX + 1];
    char port[HF_ADDRESS_MAX + 1];
};

/*
 * Reads "10.0.0.50:502" or "[fd00::50]:502". Returns false, with *address undefined, for anything
 * else. Does not block.
 */
bool gateway_address_parse(const char *text, struct gateway_address *address);

/* The port of a socket's own end, 0 if it has none. */
uint16_t gateway_address_local_port(int fd);

/* The address of a socket's other end, as text of at most `size` bytes with its terminator. */
void gateway_address_of_peer(int fd, char *text, size_t size);

#endif
