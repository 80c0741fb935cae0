/*
 * The trace of a run, for people: who did what at which true time, in one line each.
 *
 * Purpose: tests/golden. The event log, without connections, and beside it what it does not say:
 *   entries committed, messages about leases, renewals (the first of a token and the first under a
 *   leader in full, the others summed up), when a resource is free, when a line goes off.
 * Owner: who sets settings.trace; one run. Without it nothing in here does anything.
 */
#ifndef HOLDFAST_TESTS_SIM_TRACE_H
#define HOLDFAST_TESTS_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/settings.h"

struct world;
struct lease_message;

/* Renewals of one board that were not shown one by one. */
struct trace_renewals {
    uint64_t shown_token[SIM_RESOURCES_MAX]; /* its first renewal was */
    bool wanted;                             /* the next one is shown: the leader is new */
    bool shown;                              /* the one under way is, in full */
    uint64_t nonce;                          /* of the latest one */
    unsigned sent;
    unsigned confirmed;
    int64_t since_us; /* of the first that is not shown */
    unsigned flushes; /* of all issuers before that one */
};

struct trace {
    FILE *out;
    int64_t from_us; /* nothing before this is printed */
    bool disk;       /* flushes are */
    bool renewals;   /* every one is, not only the first of a token */
    uint64_t committed;
    bool serving[SIM_ISSUERS_MAX];
    bool was_on[SIM_BOARDS_MAX][SIM_RESOURCES_MAX];
    unsigned flushes;
    /* An agent asks every issuer, and again: only what is new is shown. */
    bool asked[SIM_BOARDS_MAX][SIM_RESOURCES_MAX];
    uint32_t queued[SIM_BOARDS_MAX][SIM_RESOURCES_MAX];   /* position */
    uint64_t released[SIM_BOARDS_MAX][SIM_RESOURCES_MAX]; /* token */
    int64_t leases_us;                                    /* when they were shown last */
    struct trace_renewals of[SIM_BOARDS_MAX];
};

/* A line of the event log, `who: what`. */
void trace_line(const struct world *world, const char *line);
/* After every event. */
void trace_poll(const struct world *world);
void trace_issuer_says(const struct world *world, int issuer, int board,
                       const struct lease_message *message);
void trace_agent_says(const struct world *world, int board, const struct lease_message *message);
/* The agent got an answer to a renewal. */
void trace_renewed(const struct world *world, int board, const struct lease_message *message);
void trace_flush_begins(const struct world *world, int issuer);
void trace_flush_done(const struct world *world, int issuer);
/* Who holds what, and when it is free: as the leader reckons. */
void trace_leases(const struct world *world);
/* What is summed up is printed. */
void trace_end(const struct world *world);

#endif
