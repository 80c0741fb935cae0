/*
 * The loop of a simulated holdfastd: the part of libuv's interface that the shells use, above the
 * world's queue. loop.c defines libuv's own names, so the shells are linked with it as they are.
 *
 * Owner: the world, one by machine. Lifecycle: loop_begin() as the process starts; loop_enter() and
 *   loop_leave() around whatever it does; loop_end() as it dies: its handles and its memory are gone
 *   with it, and nothing of it runs.
 * Rules:
 *  - Time is as in libuv: MONOTONIC in whole milliseconds, as it was when the loop woke or
 *    uv_update_time() looked. A timer fires in the first turn at which that time has come: so a little
 *    late, or, as RAW goes, early by less than a millisecond.
 *  - Between loop_enter() and loop_leave() the process is the one that runs: hal_clock_now(),
 *    log_line() and calloc() are its own.
 *  - Its one thread, the store's writer, runs within uv_cond_signal() until it would wait; what it
 *    wakes the loop by arrives when the disk is done.
 */
#ifndef HOLDFAST_TESTS_SIM_LOOP_H
#define HOLDFAST_TESTS_SIM_LOOP_H

#include <uv.h>

#include "tests/sim/queue.h"

struct world;

struct sim_loop {
    uv_loop_t uv; /* uv.data is this */
    struct world *world;
    int machine;
    uv_timer_t *timers; /* those that are started */
    uv_poll_t *poll;    /* the only one; NULL: none is started */
    uv_handle_t *closing;
    uint64_t starts; /* of timers */
    uv_async_t *asyncs;
    unsigned async_count; /* ever */
    uv_thread_cb thread;  /* the one that it may have; NULL: none */
    void *thread_argument;
    bool in_thread;
    int64_t thread_us; /* so much later it is there */
};

void loop_begin(struct world *world, int machine);
void loop_end(struct world *world, int machine);

/* Returns what ran before, for loop_leave(). */
struct sim_loop *loop_enter(struct world *world, int machine);
void loop_leave(struct sim_loop *before);

/* The one that runs. A run that failed left it in the middle: loop_forget(). */
struct sim_loop *loop_running(void);
bool loop_runs(void);
void loop_forget(void);

/* Its timers, as far as their time has come. */
void loop_event(struct world *world, const struct event *event);
/* An async handle was sent to: its number is the event's epoch. */
void loop_async(struct world *world, const struct event *event);
/* What its poll handle watches can be read. */
void loop_readable(struct sim_loop *loop);
/* The thread, which runs, was kept so long by what it does. */
void loop_thread_takes(int64_t time_us);

/* heap.c */
void *heap_world(size_t bytes); /* by malloc, whoever runs */
void heap_end(const struct sim_loop *owner);

#endif
