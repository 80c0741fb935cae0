/*
 * The issuer: grants, renews and takes back leases while its replica leads.
 *
 * Purpose: decides on top of the replicated table: queues, confirmed renewals, free times.
 * Owner: struct replica (lease/replica.h), one thread. Everything but `table` is the leader's
 *   memory and void without leadership.
 * Source: design page lease-protocol.
 *
 * Rules:
 *  - Serves only between ISSUER_EVENT_SERVING and ISSUER_EVENT_NOT_SERVING.
 *  - A renewal is answered only after the confirmation round that was asked for after its receipt,
 *    and only if the lease is still the current one and no grant or expiry of it is proposed (S4).
 *  - t1 of a lease is when its round was confirmed, its grant applied, or, for a new leader, when
 *    its own no-op was applied; whichever was last. Free at timing_issuer_free(t1, ...) (S1).
 *  - At most one proposal per resource is under way.
 *  - A waiter is served by priority, then arrival. One whose connection is down is not granted.
 */
#ifndef HOLDFAST_CORE_LEASE_ISSUER_H
#define HOLDFAST_CORE_LEASE_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/limits.h"
#include "lease/message.h"
#include "lease/table.h"

enum {
    ISSUER_ACTIONS_MAX = 2048,  /* out of one step */
    ISSUER_RENEWALS_MAX = 2 * HF_AGENTS_MAX, /* renewals waiting for a round */
    ISSUER_PROPOSALS_PER_STEP = 32, /* by the timer; the rest follows at once in the next step */
    ISSUER_POLICY_HOLDERS_MAX = 16
};

/* Who may hold a resource; from this issuer's configuration, checked by the leader. */
struct issuer_policy {
    struct hf_name resource;
    uint8_t holder_count;
    struct hf_name holder[ISSUER_POLICY_HOLDERS_MAX];
    int64_t ttl_max_us;
};

struct issuer_config {
    struct hf_name self;
    uint32_t drift_ppm;
    const struct issuer_policy *policy; /* owned by the caller, outlives the issuer */
    size_t policy_count;                /* 0..HF_RESOURCES_MAX */
};

struct issuer_waiter {
    struct hf_name node;
    int32_t priority;
    bool failback_auto;
    int64_t ttl_us;
    int64_t fence_us;
    uint64_t arrival; /* order of arrival */
    char address[HF_ADDRESS_MAX + 1];
};

/* The leader's memory of one resource; parallel to table.record. */
struct issuer_lease {
    struct instant confirmed; /* t1 */
    uint64_t pending_index;   /* 0, or: log index of the proposal under way */
    uint8_t waiter_count;
    struct issuer_waiter waiter[HF_WAITERS_MAX]; /* in order of service */
    bool yield_asked;
    struct hf_name transfer_to; /* planned hand-over under way, empty: none */
    struct instant transfer_until;
};

/* What the leader knows of a connected board; for people. */
struct issuer_client {
    struct hf_name node; /* empty: slot unused */
    struct instant connected;
    struct instant last_renewal;
    int64_t round_trip_us;
    int64_t slack_us;
    uint64_t refusal_noted; /* what was last refused to it, so that history notes it once */
};

struct issuer_renewal {
    struct hf_name node;
    uint64_t nonce;
    uint64_t round; /* answered when this round is confirmed */
    uint8_t item_count;
    struct lease_item item[HF_LEASES_PER_AGENT_MAX];
};

enum issuer_event_kind {
    ISSUER_EVENT_SERVING,     /* own no-op applied in `term` */
    ISSUER_EVENT_NOT_SERVING, /* leadership lost: forgets its memory, pushes nothing */
    ISSUER_EVENT_CLIENT_UP,   /* node */
    ISSUER_EVENT_CLIENT_DOWN, /* node */
    ISSUER_EVENT_MESSAGE,     /* node (proven identity), message */
    ISSUER_EVENT_APPLIED,     /* index, change: a command took effect (or not) in the table */
    ISSUER_EVENT_ROUND,       /* round: confirmed */
    ISSUER_EVENT_PROPOSED,    /* proposal (its position among the step's actions) got `index` */
    ISSUER_EVENT_TIMER,
    ISSUER_EVENT_TRANSFER,    /* resource, node: hand over to this board; who */
    ISSUER_EVENT_PIN,         /* resource, pinned, node (empty: nobody); who */
    ISSUER_EVENT_NOTE,        /* resource, history kind, text; who: into the history */
    ISSUER_EVENT_KINDS
};

struct issuer_event {
    enum issuer_event_kind kind;
    struct hf_name node;
    const struct lease_message *message;
    uint64_t term;
    uint64_t index;
    uint64_t round;
    const struct table_change *change;
    struct hf_name resource;
    bool pinned;
    enum history_kind history;
    struct hf_name who;
    const char *text;
};

/* Kept apart from the log and the wire: what the replica must do, in order. */
enum issuer_action_kind {
    ISSUER_SEND,    /* message to node */
    ISSUER_PROPOSE, /* command; on acceptance lease `record` gets its pending_index */
    ISSUER_CONFIRM  /* ask for a round; `renewal` waits for it */
};

struct issuer_action {
    enum issuer_action_kind kind;
    struct hf_name node;
    int record;
    struct lease_message message;
    struct lease_command command;
};
#endif
