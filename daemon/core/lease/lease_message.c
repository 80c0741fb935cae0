#include "lease/lease_message.h"

#include "base/check.h"

static const char *const message_names[LEASE_MESSAGE_KINDS] = {
    [LEASE_ACQUIRE] = "acquire", [LEASE_WITHDRAW] = "withdraw", [LEASE_RENEW] = "renew",
    [LEASE_RELEASE] = "release", [LEASE_LEADER] = "leader",     [LEASE_QUEUED] = "queued",
    [LEASE_GRANTED] = "granted", [LEASE_RENEWED] = "renewed",   [LEASE_RELEASED] = "released",
    [LEASE_REFUSED] = "refused", [LEASE_YIELD] = "yield",       [LEASE_LOST] = "lost",
    [LEASE_STUCK] = "stuck",     [LEASE_NOTED] = "noted",
};

const char *lease_message_name(enum lease_message_kind kind)
{
    HF_CHECK(kind >= 0 && kind < LEASE_MESSAGE_KINDS);
    return message_names[kind];
}
