/* The text is split at its last colon, since an IPv6 host contains colons itself. */
#include "gateway/gateway_address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool split(const char *text, struct gateway_address *address)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strlen(text) > HF_ADDRESS_MAX)
        return false;
    const char *host = text;
    size_t host_length = (size_t)(colon - text);
    if (host_length >= 2 && host[0] == '[' && host[host_length - 1] == ']') {
        host++;
        host_length -= 2;
    }
    if (host_length == 0 || colon[1] == '\0')
        return false;
    memcpy(address->host, host, host_length);
    memcpy(address->port, colon + 1, strlen(colon + 1));
    return true;
}

bool gateway_address_parse(const char *text, struct gateway_address *address)
{
    memset(address, 0, sizeof(*address));
    if (!split(text, address))
        return false;
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    if (getaddrinfo(address->host, address->port, &hints, &found) != 0)
        return false;
    memcpy(&address->socket_address, found->ai_addr, found->ai_addrlen);
    address->length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

uint16_t gateway_address_local_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } own = { .ipv6 = { .sin6_port = 0 } };
    socklen_t length = sizeof(own);
    if (getsockname(fd, &own.any, &length) != 0)
        return 0;
    /* The port has the same place in both families. */
    return ntohs(own.ipv4.sin_port);
}

void gateway_address_of_peer(int fd, char *text, size_t size)
{
    struct sockaddr_storage peer = { 0 };
    socklen_t length = sizeof(peer);
    char host[INET6_ADDRSTRLEN];
    char port[8];
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0 ||
        getnameinfo((struct sockaddr *)&peer, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, size, "unknown");
    else
        snprintf(text, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
