/*
 * What agent and guard say to each other on RUN/guard.sock (SOCK_SEQPACKET).
 *
 * Purpose: one fixed-size, versioned message; both ends are on one machine and one byte order, and
 *   share CLOCK_MONOTONIC_RAW, so instants may cross (PROTOCOL.md, instant-not-duration).
 * Rules: the receiver refuses a message of another size, magic or version, or with a kind or name
 *   out of range, by closing the connection with one log line. The connection counts over which the
 *   last HELLO of this board came, from an allowed uid; then the guard closes the one before it.
 *   Connecting alone replaces nobody.
 */
#ifndef HOLDFAST_CORE_GUARD_GUARD_MESSAGE_H
#define HOLDFAST_CORE_GUARD_GUARD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/name.h"

enum {
    GUARD_MESSAGE_MAGIC = 0x48464755, /* "HFGU" */
    GUARD_MESSAGE_VERSION = 3,
    GUARD_STATUS_INTERVAL_MS = 20, /* holdfast-guard's */
    GUARD_REALTIME_PRIORITY = 49 /* its SCHED_FIFO: below the kernel's own interrupt threads (50) */
};

enum guard_message_kind {
    /* agent to guard */
    GUARD_HELLO = 1, /* name = node id: first message; the guard answers HELLO, then STATUS each */
    GUARD_PERMIT,    /* name, token, deadline_us, terms */
    GUARD_DROP,      /* name, token */
    GUARD_CLEAR_FAULT, /* name */
    GUARD_TERMS, /* name, terms: the agent's, after its HELLO; refused if the guard's differ */
    /* guard to agent */
    GUARD_STATUS,  /* name and everything below */
    GUARD_REFUSED, /* name, token, refusal */
    GUARD_MESSAGE_KINDS
};

enum guard_state {
    GUARD_SAFE,     /* outputs off, proven by readback where there is one */
    GUARD_DRIVING,  /* outputs on until the deadline */
    GUARD_DROPPING, /* outputs told off, readback not yet seen off */
    GUARD_FAULT,    /* latched, over resets; outputs told off */
    GUARD_STATES
};

enum guard_fault {
    GUARD_FAULT_NONE,
    GUARD_FAULT_STUCK_ON,  /* told off, reads on */
    GUARD_FAULT_STUCK_OFF, /* told on, reads off */
    GUARD_FAULT_OUTPUT_IO, /* the HAL could not set or read a line */
    GUARD_FAULT_LATE,      /* the guard's loop was late by more than its release time */
    GUARD_FAULT_CLOCK,     /* the clock went back or stood still */
    GUARD_FAULT_RECORD,    /* what was latched before can't be read */
    GUARD_FAULTS
};

enum guard_refusal {
    GUARD_REFUSED_NONE,
    GUARD_REFUSED_UNKNOWN,  /* no such resource on this board */
    GUARD_REFUSED_TOKEN,    /* lower than the last one, or the last one after its drop */
    GUARD_REFUSED_DEADLINE, /* further ahead than the configured ttl */
    GUARD_REFUSED_LATE,     /* already past */
    GUARD_REFUSED_FAULT,    /* latched fault */
    GUARD_REFUSED_STATE,    /* not safe yet from the previous token */
    GUARD_REFUSED_TERMS,    /* agent and guard are configured differently */
    GUARD_REFUSALS
};

/*
 * What agent and guard must agree on about one resource: each read it from the board's file when it
 * started. The issuers wait for the fence latency that the agent declared, so a guard whose outputs
 * take longer must not drive for it, and what such a guard proves is no proof for it.
 */
struct guard_terms {
    int64_t ttl_us;
    int64_t release_us;
    int64_t fence_us; /* as computed: what the agent declares to the issuers */
    uint64_t digest;  /* of all else: outputs, readbacks, watchdog */
};

struct guard_message {
    uint32_t magic;
    uint16_t version;
    uint16_t kind; /* enum guard_message_kind */
    struct hf_name name;
    uint64_t token;      /* permit, drop, refused; status: token of the current or last permit */
    int64_t deadline_us; /* permit; status: of the current permit, 0 if none */
    uint8_t state;       /* enum guard_state */
    uint8_t fault;       /* enum guard_fault */
    uint8_t refusal;     /* enum guard_refusal */
    uint8_t proven;      /* status: outputs off, shown so by readback, else by their release time */
    uint8_t output_count;
    uint8_t watchdog;       /* 0 none, 1 fed, 2 not fed */
    uint8_t schedule_error; /* errno of SCHED_FIFO; 0: it is in force */
    uint8_t memory_error;   /* errno of locking memory; 0: all of it is locked */
    uint8_t fault_kept;     /* status: latched before this guard started */
    uint8_t fault_recorded; /* status: nothing of it is still to be written */
    uint8_t spare[6];
    int64_t fault_since_s;     /* status: wall time of the latch, seconds since 1970; 0: no fault */
    uint32_t outputs_on;       /* bit per output: commanded level (pulse: toggling) */
    uint32_t readback_on;      /* bit per output: last level read; 0 without readback */
    int64_t changed_us;        /* instant of the last change of state */
    int64_t lateness_worst_us; /* of the guard's loop since its start */
    uint32_t pid;              /* of the guard */
    uint32_t permits_refused;
    struct guard_terms terms; /* terms, permit: the agent's; status: the guard's */
};

/* Of a status: SCHED_FIFO and locked memory are both in force. */
bool guard_message_realtime(const struct guard_message *message);

bool guard_terms_equal(const struct guard_terms *a, const struct guard_terms *b);

/* Fills magic, version, kind; zeroes the rest. */
void guard_message_init(struct guard_message *message, enum guard_message_kind kind);

/* Returns NULL if the message is well formed, else what is wrong with it (static text). */
const char *guard_message_check(const void *bytes, size_t length);

const char *guard_state_name(enum guard_state state);
const char *guard_fault_name(enum guard_fault fault);
const char *guard_refusal_name(enum guard_refusal refusal);

#endif
