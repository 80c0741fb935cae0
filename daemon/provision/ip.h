/*
 * Numeric addresses without a port, and which network they are in. Pure.
 */
#ifndef HOLDFAST_PROVISION_IP_H
#define HOLDFAST_PROVISION_IP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    IP_TEXT_MAX = 45, /* characters: INET6_ADDRSTRLEN - 1 */
    IP_BYTES_MAX = 16
};

struct ip {
    bool six;
    unsigned bits; /* 32 or 128 */
    unsigned char bytes[IP_BYTES_MAX];
};

/* False if the text is no numeric address. */
bool ip_parse(struct ip *ip, const char *text);

/* As everybody writes it, into `out` of IP_TEXT_MAX + 1 bytes. */
void ip_print(const struct ip *ip, char *out);

/* The first `prefix` bits are the same, of addresses of one kind. */
bool ip_same_network(const struct ip *a, const struct ip *b, uint32_t prefix);

/* The bits behind `prefix` are all `ones`, or all zero: it names no host. */
bool ip_host_is_all(const struct ip *ip, uint32_t prefix, bool ones);

#endif
