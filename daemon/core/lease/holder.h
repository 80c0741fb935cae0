/*
 * The holder: a board's side of the lease protocol.
 *
 * Purpose: acquires and renews the configured resources, hands permits to the guard, releases with
 *   the guard's proof.
 * Owner: the agent shell; one thread. Lifecycle: holder_init(), holder_step() for ever.
 * Source: design page lease-protocol.
 *
 * Rules:
 *  - Drives only after a renewal of this token was answered; the deadline counts from when that
 *    renewal was *sent* (timing_holder_deadline()).
 *  - A permit carries an instant, never a duration.
 *  - A release disowns every answer and every permit still under way.
 *  - Renews nothing while the guard is silent, and nothing that it did not get in this start: what
 *    a predecessor of this process held is released as soon as the guard proves the outputs off.
 *  - Nonces start at a random 64-bit number and count up.
 */
#ifndef HOLDFAST_CORE_LEASE_HOLDER_H
#define HOLDFAST_CORE_LEASE_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/limits.h"
#include "guard/message.h"
#include "lease/message.h"

enum {
    HOLDER_NONCES = 8,      /* renewals under way whose send instants are remembered */
    HOLDER_ACTIONS_MAX = 128
};

enum holder_state {
    HOLDER_IDLE,      /* guard not ready, or no issuer connected */
    HOLDER_WAITING,   /* acquire sent, maybe queued */
    HOLDER_GRANTED,   /* token known, first renewal not answered yet */
    HOLDER_HOLDING,   /* permits go to the guard */
    HOLDER_STOPPING,  /* drop sent, waits for the guard's proof */
    HOLDER_RELEASING, /* release sent, waits for RELEASED */
    HOLDER_BLOCKED,   /* guard fault: waits for an operator */
    HOLDER_STATES
};

struct holder_resource_config {
    struct hf_name resource;
    struct span ttl;
    struct span fence;
    struct span release;
    int32_t priority;
    bool failback_auto;
    char address[HF_ADDRESS_MAX + 1];
};

struct holder_config {
    struct hf_name self;
    uint32_t drift_ppm;
    struct span guard_silence; /* a guard unheard for this long gets no more renewals */
    uint64_t nonce_start;      /* random, from outside */
    size_t issuer_count;
    struct hf_name issuer[HF_ISSUERS_MAX];
    size_t resource_count;
    struct holder_resource_config resource[HF_LEASES_PER_AGENT_MAX];
};

enum holder_event_kind {
    HOLDER_EVENT_TIMER,
    HOLDER_EVENT_LINK_UP,   /* node: an issuer */
    HOLDER_EVENT_LINK_DOWN, /* node */
    HOLDER_EVENT_MESSAGE,   /* node, message */
    HOLDER_EVENT_GUARD_UP,
    HOLDER_EVENT_GUARD_DOWN,
    HOLDER_EVENT_GUARD_MESSAGE, /* guard */
    HOLDER_EVENT_CLEAR_FAULT,   /* resource: an operator's word, passed to the guard */
    HOLDER_EVENT_SLEPT,         /* the board slept: every lease is lost */
    HOLDER_EVENT_KINDS
};

struct holder_event {
    enum holder_event_kind kind;
    struct hf_name node;
    struct hf_name resource;
    const struct lease_message *message;
    const struct guard_message *guard;
};

enum holder_action_kind {
    HOLDER_SEND,      /* message to issuer `node` */
    HOLDER_GUARD,     /* guard message to the guard */
    HOLDER_ACQUIRED,  /* hook: resource, token; the guard reported it driving */
    HOLDER_LOST_HOOK  /* hook: resource, token; the guard reported it safe again */
};

struct holder_action {
    enum holder_action_kind kind;
    struct hf_name node;
    struct hf_name resource;
    uint64_t token;
    const char *reason; /* static text, for the log and the hook */
    struct lease_message message;
    struct guard_message guard;
};

struct holder_output {
    size_t count;
    struct holder_action action[HOLDER_ACTIONS_MAX];
    struct instant wake_at;
};

#endif
