#include "provision/ip.h"

#include <arpa/inet.h>
#include <string.h>

_Static_assert(IP_TEXT_MAX == INET6_ADDRSTRLEN - 1, "room for any address");

bool ip_parse(struct ip *ip, const char *text)
{
    *ip = (struct ip){ .six = strchr(text, ':') != NULL };
    ip->bits = ip->six ? 128 : 32;
    return inet_pton(ip->six ? AF_INET6 : AF_INET, text, ip->bytes) == 1;
}

void ip_print(const struct ip *ip, char *out)
{
    if (!inet_ntop(ip->six ? AF_INET6 : AF_INET, ip->bytes, out, IP_TEXT_MAX + 1))
        out[0] = '\0';
}

static unsigned bit(const struct ip *ip, uint32_t at)
{
    unsigned byte = ip->bytes[at / 8];
    return byte >> (7 - at % 8) & 1u;
}

bool ip_same_network(const struct ip *a, const struct ip *b, uint32_t prefix)
{
    bool same = a->six == b->six;
    for (uint32_t at = 0; same && at < prefix && at < a->bits; at++)
        same = bit(a, at) == bit(b, at);
    return same;
}

bool ip_host_is_all(const struct ip *ip, uint32_t prefix, bool ones)
{
    bool all = true;
    for (uint32_t at = prefix; all && at < ip->bits; at++)
        all = bit(ip, at) == (ones ? 1u : 0u);
    return all;
}
