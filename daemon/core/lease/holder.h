/*
 * The holder: a board's side of the lease protocol.
 *
 * Purpose: acquires and renews the configured resources, hands permits to the guard, releases with
 *   the guard's proof.
 * Owner: the agent shell; one thread. Lifecycle: holder_init(), holder_step() for ever.
 * Source: PROTOCOL.md, renew-before-drive, t0-is-sent, late-answer-revives-nothing,
 *   instant-not-duration, release-disowns, nonce-per-boot, renewals-overlap, guard-is-alive,
 *   proof-is-readback, terms-agree, fence-in-table, word-on-tokens, said-until-noted.
 *
 * Rules:
 *  - Drives only after a renewal of this token was answered; the deadline counts from when that
 *    renewal was *sent* (timing_holder_deadline()).
 *  - A permit carries an instant, never a duration.
 *  - A release disowns every answer and every permit still under way.
 *  - Renews nothing while the guard is silent, and nothing that it did not get in this start: what
 *    a predecessor of this process held is released as soon as the guard proves the outputs off.
 *  - Silence is the guard's, not a resource's: a status of one resource shows that the guard lives,
 *    and renews all. After a stall none waits for its own status, and thereby for a turn.
 *  - Nonces start at a random 64-bit number and count up.
 *  - A renewal that is not answered keeps none back: the next one leaves half an interval later, with
 *    a nonce and send instant of its own, and each answer counts by its own (timing_bearable_delay()
 *    says how slow a leader may be for that).
 *  - A proof is a guard's STATUS that is SAFE and proven, either with this token, or on a
 *    connection over which no permit of this token was ever sent.
 *  - A lease that the guard cannot prove off is never released as fenced.
 *  - Every acquire says the highest token that the guard ever took of the resource, in former starts
 *    too: the caller keeps lease[].highest and gives it back in the configuration.
 *  - A guard that is configured otherwise is not used: no permit goes to it, nothing is asked for,
 *    and what it says of outputs that are off proves nothing for the fence latency declared here.
 *  - A grant for which the issuer would wait less than this board's fence latency is not driven.
 *  - An output that is on though told off is told to the leader, whoever holds the lease: at once, to
 *    every new leader, and again until the leader has noted it. So is that all are off again, once an
 *    operator cleared the fault here.
 *
 * Checked at the end of every step (hf_panic(), so that the guard loses its agent and drops): a token
 * while granted to releasing and at no other time, disowned once it is given up and not before; what
 * is granted has a guard; what is held was permitted on this guard's connection, until no later than
 * a renewal sent right now would allow; no permit above the highest token that boards say they had.
 *
 * Duties of the caller after every holder_step(), in the order of action[]: HOLDER_SEND to that
 * issuer, HOLDER_GUARD to the guard (GUARD_HELLO too: it is the first after HOLDER_EVENT_GUARD_UP),
 * run the hooks without waiting for them, and arm the timer for wake_at. Messages may be lost.
 */
#ifndef HOLDFAST_CORE_LEASE_HOLDER_H
#define HOLDFAST_CORE_LEASE_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cell.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/timing.h"
#include "guard/guard_message.h"
#include "lease/lease_message.h"

enum {
    /* Renewals whose send instants are remembered: at most ten a ttl, and one more per grant. */
    HOLDER_NONCES = 2 * TIMING_RENEWALS_PER_TTL + HF_LEASES_PER_AGENT_MAX,
    HOLDER_ACTIONS_MAX = 256,
    HOLDER_CHANGES_MAX = 4 * HF_LEASES_PER_AGENT_MAX,
    HOLDER_RESEND_MS = 1000,    /* an acquire or release is sent again after this */
    HOLDER_DROP_REPEAT_MS = 100 /* a drop is sent again until the guard proves it */
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
    uint64_t highest; /* token that the guard ever took, as kept from former starts; 0: none */
    char address[HF_ADDRESS_MAX + 1];
    struct guard_terms terms; /* a guard that has others is not used */
};

struct holder_config {
    struct hf_name self;
    uint32_t drift_ppm;
    struct span guard_silence; /* a guard unheard for this long gets no more renewals */
    uint64_t nonce_start;      /* random, from outside */
    size_t resource_count;
    struct holder_resource_config resource[HF_LEASES_PER_AGENT_MAX];
};

enum holder_event_kind {
    HOLDER_EVENT_TIMER,
    HOLDER_EVENT_LINK_UP,   /* node: an issuer, as the caller knows; HF_ISSUERS_MAX at a time */
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
    HOLDER_SEND,     /* message to issuer `node` */
    HOLDER_GUARD,    /* guard message to the guard */
    HOLDER_ACQUIRED, /* hook: resource, token; the guard reported it driving */
    HOLDER_LOST_HOOK /* hook: resource, token; the guard reported it safe again */
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

/* What happens to one lease; holder.c maps events of the outside to these. */
enum holder_input {
    HOLDER_INPUT_READY,     /* guard safe and proven, an issuer connected */
    HOLDER_INPUT_UNREADY,   /* no more */
    HOLDER_INPUT_GRANTED,   /* a new token, higher than all that were given up */
    HOLDER_INPUT_CONFIRMED, /* a renewal of this token, not given up, was answered in time */
    HOLDER_INPUT_LOST,      /* the issuer says that the token is not ours */
    HOLDER_INPUT_YIELD,     /* the issuer asks for a hand-over */
    HOLDER_INPUT_LEFTOVER,  /* the issuer says that we hold a token not got in this start */
    HOLDER_INPUT_RELEASED,  /* the release is answered */
    HOLDER_INPUT_OVERDUE,   /* deadline passed; or the first renewal took too long */
    HOLDER_INPUT_DROPPED,   /* the guard refused the permit, dropped by itself, or is gone */
    HOLDER_INPUT_PROVEN,   /* the guard proves the outputs off; blocked: and the fault is cleared */
    HOLDER_INPUT_UNPROVEN, /* deadline passed, guard safe, but nothing proves it for this token */
    HOLDER_INPUT_FAULT,    /* the guard latched a fault */
    HOLDER_INPUT_SLEPT,    /* the board slept */
    HOLDER_INPUTS
};

/* For the log: `resource: from -input-> to`. */
struct holder_change {
    struct hf_name resource;
    enum holder_state from;
    enum holder_input input;
    enum holder_state to;
    const char *reason; /* static text, or NULL */
};

struct holder_output {
    size_t count;
    struct holder_action action[HOLDER_ACTIONS_MAX];
    size_t change_count; /* what did not fit is not logged */
    struct holder_change change[HOLDER_CHANGES_MAX];
    struct instant wake_at;
};

/* What holder.c last heard from the guard about one resource. */
struct holder_guard_view {
    bool known;  /* on this connection */
    bool agrees; /* its terms are ours */
    enum guard_state state;
    enum guard_fault fault;
    uint64_t token;
    bool proven;
    struct instant heard;
};

/* What the leader is told about outputs that are on though told off. */
struct holder_word {
    bool stuck;              /* seen so, and not cleared here since */
    bool off;                /* cleared, and shown off: the leader does not know that yet */
    bool noted;              /* the present word is */
    uint64_t nonce;          /* of the first time that it was said; 0: not yet */
    struct instant on_since; /* another fault: readback on since then; INSTANT_NEVER: it is off */
    struct instant say_at;
};

struct holder_lease {
    struct holder_resource_config config;
    enum holder_state state;
    uint64_t token;          /* granted .. releasing; else 0 */
    uint64_t highest;        /* token that the guard ever took, or was given in a permit; 0: none */
    uint64_t disowned;       /* highest token ever given up: nothing of it counts any more */
    struct span ttl;         /* as granted */
    struct instant deadline; /* holding: the guard's; granted: when the grant is given up */
    struct instant ask_at;   /* when acquire, release or drop is sent (again) */
    bool answered;           /* the last acquire or release was answered */
    uint64_t permitted;      /* highest token permitted on this guard connection, 0: none */
    bool fenced;             /* releasing: proven */
    bool cleared;            /* blocked: an operator cleared the fault */
    uint64_t driving;        /* token that the guard was seen driving, until its lost hook */
    struct holder_guard_view guard;
    struct holder_word word;
    struct hf_name held_by;     /* from QUEUED, for people */
    uint32_t position;          /* in the queue, 0: unknown */
    enum lease_refusal refusal; /* last answer, if it was one */
    const char *reason;         /* of the last loss; static text */
    struct span slack;          /* smallest time that was left when a renewal was confirmed */
};

struct holder_nonce {
    uint64_t nonce; /* 0: unused */
    struct instant sent;
};

struct holder_link {
    struct hf_name node;
    bool up;
};

struct holder {
    struct holder_config config;
    struct instant latest; /* of all steps: a clock that went back is the guard's matter */
    struct holder_link link[HF_ISSUERS_MAX];
    struct hf_name leader; /* empty: unknown */
    uint64_t leader_term;
    bool guard_up;
    struct instant guard_heard; /* a status of any resource, on this connection */
    uint64_t next_nonce;
    size_t nonce_next; /* slot of the next one */
    struct holder_nonce nonce[HOLDER_NONCES];
    uint64_t renew_nonce; /* of the last renewal sent */
    struct instant renew_sent;
    struct span renew_interval;
    struct instant renew_at; /* half an interval after an unanswered one */
    bool renew_answered;
    struct span round_trip; /* of the last confirmed renewal */
    struct span slack;      /* smallest of all leases; INT64_MAX before the first */
    size_t lease_count;
    struct holder_lease lease[HF_LEASES_PER_AGENT_MAX];
};

void holder_init(struct holder *holder, const struct holder_config *config, struct instant now);

/* One event. `out` is overwritten as far as it is used. Never blocks. */
void holder_step(struct holder *holder, const struct holder_event *event, struct instant now,
                 struct holder_output *out);

/* The lease of a configured resource, or NULL. */
const struct holder_lease *holder_lease_of(const struct holder *holder,
                                           const struct hf_name *resource);

/* The cell of a state and an input; never NULL. */
const struct cell *holder_cell(enum holder_state state, enum holder_input input);

const char *holder_state_name(enum holder_state state);
const char *holder_input_name(enum holder_input input);

#endif
