#include "lease/message.h"

#include "base/check.h"

static const char *const message_names[LEASE_MESSAGE_KINDS] = {
    [LEASE_ACQUIRE] = "acquire", [LEASE_WITHDRAW] = "withdraw", [LEASE_RENEW] = "renew",
    [LEASE_RELEASE] = "release", [LEASE_LEADER] = "leader",     [LEASE_QUEUED] = "queued",
    [LEASE_GRANTED] = "granted", [LEASE_RENEWED] = "renewed",   [LEASE_RELEASED] = "released",
    [LEASE_REFUSED] = "refused", [LEASE_YIELD] = "yield",       [LEASE_LOST] = "lost",
    [LEASE_STUCK] = "stuck",     [LEASE_NOTED] = "noted",
};

static const char *const refusal_names[LEASE_REFUSALS] = {
    [LEASE_REFUSED_NONE] = "none",         [LEASE_REFUSED_POLICY] = "policy",
    [LEASE_REFUSED_TTL] = "ttl",           [LEASE_REFUSED_FENCE] = "fence",
    [LEASE_REFUSED_PINNED] = "pinned",     [LEASE_REFUSED_FULL] = "full",
    [LEASE_REFUSED_IDENTITY] = "identity", [LEASE_REFUSED_TOKEN] = "token",
};

const char *lease_message_name(enum lease_message_kind kind)
{
    HF_CHECK(kind >= 0 && kind < LEASE_MESSAGE_KINDS);
    return message_names[kind];
}

const char *lease_refusal_name(enum lease_refusal refusal)
{
    HF_CHECK(refusal >= 0 && refusal < LEASE_REFUSALS);
    return refusal_names[refusal];
}
