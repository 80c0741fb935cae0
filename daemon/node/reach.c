#include "node/reach.h"

#include <stdio.h>
#include <string.h>

#include "peer/address.h"

static size_t host_length(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL ? (size_t)(colon - address) : 0;
}

static bool is_host(const char *address, const char *host)
{
    size_t length = host_length(address);
    return length == strlen(host) && strncmp(address, host, length) == 0;
}

static bool is_own(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || is_host(address, "[::1]");
}

bool reach_console(const char *told, const char *peer, char *out, size_t size)
{
    struct sockaddr_storage parsed;
    if (!address_parse(told, &parsed) || address_port(&parsed) == 0)
        return false;
    bool everywhere = is_host(told, "0.0.0.0") || is_host(told, "[::]");
    if (everywhere && host_length(peer) == 0)
        return false;
    if (is_own(told) && !is_own(peer))
        return false;
    int length = everywhere ? snprintf(out, size, "%.*s%s", (int)host_length(peer), peer,
                                       told + host_length(told)) :
                              snprintf(out, size, "%s", told);
    return length > 0 && (size_t)length < size;
}
