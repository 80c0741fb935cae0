/*
 * What agents and issuers say to each other about leases.
 *
 * Purpose: the messages of the lease protocol as plain structs; core/wire turns them into bytes.
 * Source: PROTOCOL.md, part 4.
 */
#ifndef HOLDFAST_CORE_LEASE_LEASE_MESSAGE_H
#define HOLDFAST_CORE_LEASE_LEASE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/name.h"

enum lease_message_kind {
    /* agent to issuer */
    LEASE_ACQUIRE,  /* resource, ttl_us, fence_us, priority, failback_auto, address, highest */
    LEASE_WITHDRAW, /* resource: leaves its queue */
    LEASE_RENEW,    /* nonce, item_count, items; round_trip_us, slack_us for people */
    LEASE_RELEASE,  /* nonce, resource, token, fenced, text (why) */
    /* issuer (leader) to agent */
    LEASE_LEADER, /* term: the sender leads and serves since its no-op was applied */
    LEASE_QUEUED, /* resource, holder, token (the holder's), position from 1, text (held why) */
    /* resource, token, ttl_us, fence_us: complete one renewal before driving */
    LEASE_GRANTED,
    LEASE_RENEWED,  /* nonce, item_count, items with lost set or not */
    LEASE_RELEASED, /* nonce, resource, token */
    LEASE_REFUSED,  /* resource, refusal, text */
    LEASE_YIELD,    /* resource, token, holder (who comes next, may be empty), text */
    LEASE_LOST,     /* resource, token: not the sender's any more */
    /* agent to issuer: nonce, resource, fenced: an output of it is on though told off; or, fenced: they
     * are off again, and an operator cleared the fault at the board */
    LEASE_STUCK,
    LEASE_NOTED, /* issuer to agent: nonce, resource, fenced: of a STUCK; it is committed */
    LEASE_MESSAGE_KINDS
};

enum lease_refusal {
    LEASE_REFUSED_NONE,
    LEASE_REFUSED_POLICY, /* no policy for the resource, or the board is not among its holders */
    LEASE_REFUSED_TTL,    /* ttl is 0 or above the policy's ttl_max */
    LEASE_REFUSED_FENCE,  /* fence latency out of range */
    LEASE_REFUSED_PINNED, /* pinned to another board or to nobody */
    LEASE_REFUSED_FULL,   /* the table or the queue is full */
    LEASE_REFUSED_UNUSED, /* never said: refused on the wire as unknown */
    LEASE_REFUSED_TOKEN,  /* a board has had a token that is not below the next one here */
    LEASE_REFUSALS
};

enum {
    LEASE_PRIORITY_MAX = 1000,                                   /* and as far below 0 */
    LEASE_TTL_MIN_US = 50000,                                    /* 50 ms */
    LEASE_TTL_MAX_US = 600000000,                                /* 10 min */
    LEASE_FENCE_MAX_US = 600000000,                              /* 10 min */
    LEASE_UNKNOWN_MAX_US = LEASE_TTL_MAX_US + LEASE_FENCE_MAX_US /* how long a lost lease counts */
};

struct lease_item {
    struct hf_name resource;
    uint64_t token;
    bool lost; /* in a RENEWED: this token is not the current one */
};

/* One flat message; each kind uses the fields named behind it, the others are zero. */
struct lease_message {
    enum lease_message_kind kind;
    struct hf_name resource;
    struct hf_name holder;
    uint64_t token;
    uint64_t nonce; /* unique per boot of the agent */
    uint64_t term;
    int64_t ttl_us;
    int64_t fence_us;
    int32_t priority;   /* -1000..1000, higher first */
    bool failback_auto; /* a waiter that outranks the holder makes the issuer ask it to yield */
    bool fenced;        /* outputs proven off by readback */
    uint32_t position;
    enum lease_refusal refusal;
    int64_t round_trip_us;
    int64_t slack_us;
    uint64_t highest; /* token of the resource that the board's guard ever took; 0: none is known */
    char address[HF_ADDRESS_MAX + 1];
    char text[HF_REASON_MAX + 1];
    uint8_t item_count;
    struct lease_item items[HF_LEASES_PER_AGENT_MAX];
};

const char *lease_message_name(enum lease_message_kind kind);

#endif
