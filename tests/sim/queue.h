/*
 * The agenda of the world: a binary heap of events, in order of true time, then of posting.
 * Owner: one world. Grows by malloc; queue_clear() frees it and every payload in it.
 */
#ifndef HOLDFAST_TESTS_SIM_QUEUE_H
#define HOLDFAST_TESTS_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
    /* of an issuer's process */
    EVENT_ISSUER_DISK,
    /* of an agent's process */
    EVENT_AGENT_GUARD, /* from the guard: a message, or without data: it is gone */
    /* of a guard's process */
    EVENT_GUARD_TURN,
    EVENT_LOOP, /* of a holdfastd, by machine: timers of its loop */
    EVENT_ASYNC,
    EVENT_FRAME,
    EVENT_LINK,
    /* of the world */
    EVENT_GUARD_MESSAGE, /* at guard.sock: a message; without data a connection, or its end */
    EVENT_STRANGER,      /* to the guard.sock of a board */
    EVENT_READBACK,      /* of a board's line: may be another */
    EVENT_GUARD_WATCHDOG,
    EVENT_RECORD, /* of a board: its DATA/faults is written */
    EVENT_PINS,   /* of a board that is reset: they go to their pull */
    EVENT_REPAIR,
    EVENT_WAKE,       /* of a machine that slept */
    EVENT_CLOCK_GOES, /* of a machine whose clock stood */
    EVENT_DIAL,
    EVENT_FAULT,
    EVENT_DEATH,
    EVENT_LAGGARD,   /* of an issuer that is to need a snapshot */
    EVENT_LEASE_END, /* of a board that is to stop then */
    EVENT_NOTE,
    EVENT_RESTART,
    EVENT_OPERATOR,
    EVENT_QUIET,
    EVENT_CHECK,
    EVENT_REFIT,        /* of a board: restart what runs with its old file */
    EVENT_FIRST_PERMIT, /* of a board that is to stop then */
    EVENT_KINDS
};

struct event {
    int64_t at_us;
    enum event_kind kind;
    int node;
    int peer;
    bool up;
    uint32_t life;  /* of the process that it is for */
    uint32_t epoch; /* of the connection, socket or timer */
    int64_t sent_us;
    void *data; /* owned by the queue, then by who popped it; may be NULL */
    size_t length;
};

/* In the heap: only what decides the order moves there. */
struct queue_place {
    int64_t at_us;
    uint64_t order;
    uint32_t event; /* its number */
};

struct queue {
    struct queue_place *heap;
    struct event *event;
    uint32_t count;
    uint32_t capacity;
    uint64_t order;
};

/* Adds *event under a new order. Returns its place, valid until the next call. */
struct event *queue_add(struct queue *queue, const struct event *event);
/* Takes the first one. False if there is none. */
bool queue_take(struct queue *queue, struct event *event);
void queue_clear(struct queue *queue);

#endif
