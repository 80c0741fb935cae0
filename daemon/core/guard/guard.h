/*
 * The guard's machine: when may outputs be on, and what proves that they are off.
 *
 * Purpose: a pure step function: input and instant in, outputs' levels and reports out. Nothing is
 *   energised without a permit, nothing stays on past its deadline, and any doubt (readback that
 *   disagrees, clock that steps, agent lost, own lateness) ends in the safe state (claim S5).
 * Source: PROTOCOL.md, permit-only, token-not-lower, drop-disowns, agent-lost-drops,
 *   pulse-falls-silent, off-takes-its-time, stuck-is-fault, fault-starves-watchdog,
 *   late-loop-starves, latch-outlives-reset, reset-once, clear-is-durable, clock-doubt.
 * Owner: holdfast-guard's one thread, or a simulated board. Plain data, no pointers kept.
 * Lifecycle: guard_init(); guard_latch() for each fault that was kept from before; readback inputs for
 *   every readback line; guard_start(); then guard_step() for every input and at wake_at. A resource
 *   is safe only once its outputs were shown to be off.
 *
 * Checked at the end of every step (hf_panic(), so that the watchdog ends it): an agent, a token and
 * a deadline still to come for whatever drives; no output told on, and no edge due, for whatever does
 * not; a fault's name in the state of a fault, and only there.
 *
 * Duties of the shell:
 *  1. Apply effects at once and before waiting: levels that go off first, then levels that go on.
 *  2. A line that can't be set or read is reported as GUARD_INPUT_IO_ERROR in the same turn.
 *  3. Call guard_step() no later than wake_at. The core measures its own lateness against that.
 *  4. In a turn, pass readback levels first, so that a late turn does not judge by old levels; then
 *     messages; then a tick. Take a fresh instant for each.
 *  5. Pass messages only after guard_message_check(), and only those of the agent announced by
 *     GUARD_INPUT_AGENT_UP last; an UP while there is an agent is that one's loss as well.
 *     After GUARD_INPUT_SLEPT, close the agent's connection: the core takes that as its loss.
 *  6. Feed the hardware watchdog if, and only if, effects say so.
 *  7. When effects say `record`, have the faults of all resources written where a reset does not reach
 *     them, without waiting for it, and say what came of it by GUARD_INPUT_RECORDED. A write that
 *     begins later has the faults of then.
 */
#ifndef HOLDFAST_CORE_GUARD_GUARD_H
#define HOLDFAST_CORE_GUARD_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cell.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/name.h"
#include "guard/guard_message.h"

enum {
    GUARD_RESOURCES_MAX = HF_LEASES_PER_AGENT_MAX,
    GUARD_PULSE_EDGES_TO_ON = 8, /* edges a charge pump may need before its readback shows on */
    GUARD_FEEDS_PER_TIMEOUT = 4, /* the watchdog is fed this often per timeout */
    GUARD_FEEDS_WITHHELD = 2,    /* one after the other, for a resource: a reset is begun for it */
    GUARD_RECORD_RETRY_MS = 5000,
    GUARD_CLEAR_WAIT_MS = 10000, /* for a clearing to be durable */
    GUARD_STOP_WAIT_MS = 1000,   /* the same, once the guard was told to stop */
    GUARD_CHANGES_MAX = 4 * GUARD_RESOURCES_MAX
};

enum guard_output_kind { GUARD_OUTPUT_GPIO, GUARD_OUTPUT_PULSE };

struct guard_output_config {
    enum guard_output_kind kind;
    uint32_t rate_hz; /* pulse: full periods per second, 1..2000 */
    struct span hold; /* pulse: time constant of the charge pump, > 0 */
    bool has_readback;
    struct span within; /* readback follows the output within this, > 0 */
};

struct guard_resource_config {
    struct hf_name name;
    struct span ttl;      /* a permit reaches at most this far ahead, > 0 */
    struct span release;  /* from the guard's decision to output off, own lateness included, > 0 */
    uint8_t output_count; /* 0..HF_OUTPUTS_MAX */
    struct guard_output_config output[HF_OUTPUTS_MAX];
    struct guard_terms terms; /* a permit under others is refused */
};

struct guard_config {
    struct hf_name node;
    uint8_t resource_count; /* 0..GUARD_RESOURCES_MAX */
    struct guard_resource_config resource[GUARD_RESOURCES_MAX];
    struct span status_interval; /* each resource is reported at least this often, > 0 */
    uint32_t drift_ppm;          /* how far the clock's rate may be off, 0..TIMING_DRIFT_PPM_MAX */
    bool has_watchdog;
    struct span watchdog_timeout; /* > 0 if there is one */
};

/* What can happen to one resource. */
enum guard_event {
    GUARD_EVENT_PERMIT, /* a new token, checked and taken */
    GUARD_EVENT_RENEW,  /* a new deadline for the token that drives */
    GUARD_EVENT_DROP,   /* the agent gives up */
    GUARD_EVENT_AGENT_UP,
    GUARD_EVENT_AGENT_LOST,
    GUARD_EVENT_DEADLINE,  /* reached, within the release time */
    GUARD_EVENT_OVERRUN,   /* reached, and noticed later than the release time */
    GUARD_EVENT_LATE,      /* loop late by more than the release time, deadline still ahead */
    GUARD_EVENT_SHOWN_OFF, /* every output is off, by readback or by its release time */
    GUARD_EVENT_STUCK_ON,
    GUARD_EVENT_STUCK_OFF,
    GUARD_EVENT_IO_ERROR,
    GUARD_EVENT_CLOCK, /* went back, or the shell found it standing still */
    GUARD_EVENT_SLEPT, /* the board was suspended */
    GUARD_EVENT_CLEAR_FAULT,
    GUARD_EVENT_UNRECORDED, /* what it is in could not be written down */
    GUARD_EVENT_STOP,       /* planned end of the guard */
    GUARD_EVENTS
};

/* The reset that a latched fault may have, once. */
enum guard_reset {
    GUARD_RESET_TO_COME, /* if an output may be on */
    GUARD_RESET_BEGUN,   /* the watchdog is starved for it, and nothing has shown the output off */
    GUARD_RESET_DONE     /* the board was reset after that was begun */
};

/* The cell of a state and an event; never NULL. */
const struct cell *guard_cell(enum guard_state state, enum guard_event event);

const char *guard_event_name(enum guard_event event);

struct guard_output {
    bool level;    /* what the line was last told */
    bool readback; /* last level read */
    bool readback_known;
    bool confirmed;           /* readback has shown on in this drive */
    struct instant edge_at;   /* pulse while driving: next edge; else INSTANT_NEVER */
    struct instant settle_at; /* dropping: not shown off before this */
    struct instant check_at;  /* readback must agree by then; INSTANT_NEVER while it does */
};

struct guard_resource {
    enum guard_state state;
    enum guard_fault fault; /* other than NONE in GUARD_FAULT only */
    bool kept;              /* the fault is from before guard_start() */
    bool line_failed;       /* in GUARD_FAULT, whatever the fault: a line of its failed in it */
    enum guard_reset reset;
    uint8_t withheld;           /* feeds in a row for it, at most GUARD_FEEDS_WITHHELD */
    enum guard_fault was;       /* dropping: the fault that was cleared, until that is durable */
    bool was_kept;              /* the same of `kept` */
    struct instant clear_until; /* dropping: what is not durable by then is a fault again */
    uint32_t record_version;    /* that has the last change of all that is written; 0: none */
    uint64_t token;             /* the highest one seen; dropped unless it drives */
    struct instant deadline;    /* INSTANT_NEVER unless driving */
    struct instant changed;     /* of the last change of state: in GUARD_SAFE, the proof */
    struct guard_output output[HF_OUTPUTS_MAX];
};

struct guard {
    struct guard_config config;
    struct guard_resource resource[GUARD_RESOURCES_MAX];
    bool agent;               /* an agent is connected */
    bool stopping;            /* no more permits are taken */
    bool watchdog_fed;        /* the last due feed was done */
    uint32_t record_version;  /* counts up: of what is to be written down */
    uint32_t recorded;        /* the version that is durable */
    struct instant record_at; /* what could not be written is tried again; INSTANT_NEVER: nothing */
    struct instant now;       /* of the last step */
    struct instant wake_at;   /* as told to the shell by the last step */
    struct instant status_at;
    struct instant feed_at;
    struct span lateness_worst;
    uint32_t permits_refused;
};

enum guard_input_kind {
    GUARD_INPUT_TICK, /* nothing but time */
    GUARD_INPUT_AGENT_UP,
    GUARD_INPUT_AGENT_LOST,
    GUARD_INPUT_MESSAGE,  /* message: permit, drop, clear fault or terms */
    GUARD_INPUT_READBACK, /* resource, output, on */
    GUARD_INPUT_IO_ERROR, /* resource */
    GUARD_INPUT_CLOCK,    /* the shell found the raw clock standing still */
    GUARD_INPUT_SLEPT,
    GUARD_INPUT_RECORDED, /* version; on: it is durable, else it could not be written */
    GUARD_INPUT_STOP
};

struct guard_input {
    enum guard_input_kind kind;
    uint8_t resource;
    uint8_t output;
    bool on;
    uint32_t version;
    const struct guard_message *message; /* borrowed for the call */
};

/* For the log: `resource: from -event-> to`. */
struct guard_change {
    uint8_t resource;
    enum guard_state from;
    enum guard_event event;
    enum guard_state to;
};

/* What the shell must do now. Masks have a bit per output, or per resource. */
struct guard_effects {
    uint8_t set_mask[GUARD_RESOURCES_MAX];   /* outputs to be told their level */
    uint8_t level_mask[GUARD_RESOURCES_MAX]; /* the levels */
    uint32_t status_mask;  /* resources whose status goes to the agent, if there is one */
    uint32_t publish_mask; /* resources whose entry of the lease page changed */
    bool feed_watchdog;
    bool record;                /* guard.record_version is to be written down */
    enum guard_refusal refusal; /* other than NONE: answer the message with GUARD_REFUSED */
    struct instant wake_at;
    uint8_t change_count;
    struct guard_change change[GUARD_CHANGES_MAX]; /* void from change_count on */
};

/* Copies *config, whose ranges are the caller's to keep. Every resource starts as dropping. */
void guard_init(struct guard *guard, const struct guard_config *config);

/*
 * The resource (0..resource_count - 1) starts in this fault, other than NONE, until an operator clears
 * it. `reset`: what is known of its reset; if it is done, another makes nothing better, and the
 * watchdog is fed in it. After guard_init(), before anything else.
 */
void guard_latch(struct guard *guard, uint8_t index, enum guard_fault fault,
                 enum guard_reset reset);

/* Tells every output off and starts to prove it. `now` is the first instant, >= 0. */
void guard_start(struct guard *guard, struct instant now, struct guard_effects *effects);

/* One input at `now`; fills *effects anew. */
void guard_step(struct guard *guard, struct instant now, const struct guard_input *input,
                struct guard_effects *effects);

/* The status message of a resource (0..resource_count - 1); pid and what is real-time are the shell's. */
void guard_status(const struct guard *guard, uint8_t resource, struct guard_message *message);

/* The watchdog, if there is one, is starved for this resource: an output of its fault may be on. */
bool guard_wants_reset(const struct guard *guard, uint8_t resource);

/* The resource is in a fault, and nothing shows that this output of it is off. */
bool guard_may_be_on(const struct guard *guard, uint8_t resource, uint8_t output);

/* A readback is to change soon: a shell that must poll its lines does it often while this holds. */
bool guard_awaits_readback(const struct guard *guard);

/* Every resource is safe or in a fault: a guard that was told to stop may end. */
bool guard_at_rest(const struct guard *guard);

/* Every resource is safe, by proof. */
bool guard_proven_safe(const struct guard *guard);

/*
 * At its end, a guard may stop the watchdog: each resource is safe by proof, or in a fault that no reset
 * is to come for.
 */
bool guard_needs_no_watchdog(const struct guard *guard);

#endif
