/*
 * "host:port" with a numeric host <-> socket addresses. Pure; never asks a name server.
 */
#ifndef HOLDFAST_PEER_ADDRESS_H
#define HOLDFAST_PEER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT_MAX = 64 };

/* Parses "a.b.c.d:port" or "[ipv6]:port", port 0..65535. False if it is neither. */
bool address_parse(const char *text, struct sockaddr_storage *address);

/* The reverse, into `text` of ADDRESS_TEXT_MAX bytes or more; "?" for another family. */
void address_format(const struct sockaddr_storage *address, char *text, size_t size);

/* Its port; 0 for another family. */
unsigned short address_port(const struct sockaddr_storage *address);

#endif
