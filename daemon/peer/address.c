#include "peer/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_port(const char *text, in_port_t *port)
{
    unsigned long value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    value = strtoul(text, NULL, 10);
    if (value > 65535)
        return false;
    *port = htons((in_port_t)value);
    return true;
}

bool address_parse(const char *text, struct sockaddr_storage *address)
{
    char host[INET6_ADDRSTRLEN];
    bool bracketed = text[0] == '[';
    const char *start = text + (bracketed ? 1 : 0);
    const char *end = bracketed ? strstr(start, "]:") : strchr(start, ':');
    if (end == NULL || (size_t)(end - start) >= sizeof(host))
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    const char *port = end + (bracketed ? 2 : 1);
    memset(address, 0, sizeof(*address));
    if (bracketed) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
        six->sin6_family = AF_INET6;
        return inet_pton(AF_INET6, host, &six->sin6_addr) == 1 && parse_port(port, &six->sin6_port);
    }
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    four->sin_family = AF_INET;
    return inet_pton(AF_INET, host, &four->sin_addr) == 1 && parse_port(port, &four->sin_port);
}

unsigned short address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return 0;
}

void address_format(const struct sockaddr_storage *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, host, sizeof(host));
        snprintf(text, size, "%s:%u", host, address_port(address));
    } else if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, host, sizeof(host));
        snprintf(text, size, "[%s]:%u", host, address_port(address));
    } else {
        snprintf(text, size, "?");
    }
}
