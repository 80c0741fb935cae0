/*
 * The guard's loop: descriptors and timers in, guard_step(), effects out.
 *
 * Owner: holdfast-guard's one thread. All memory is the caller's; nothing is allocated after
 *   loop_open(). Waits only in ppoll(), by an absolute timer, and re-checks the raw clock.
 */
#ifndef HOLDFAST_GUARD_LOOP_H
#define HOLDFAST_GUARD_LOOP_H

#include <stdbool.h>

#include "agent_socket.h"
#include "board.h"
#include "guard/guard.h"
#include "page_file.h"

struct loop {
    struct guard guard;
    struct board board;
    struct page_file page;
    struct agent_socket sockets;
    int timer_fd;
    int signal_fd;
    int lock_fd;
    bool realtime;
    bool bench_lost;      /* the HAL's descriptor is of no more use */
    uint32_t io_failed;   /* resources whose lines failed in this turn */
    uint32_t status_mask; /* statuses to send at the end of this turn */
    struct span slept;
    struct instant clock_raw; /* start of the window in which the two clocks are compared */
    int64_t clock_monotonic_us;
    struct guard_message refused; /* the last refusal, so that a repeated one is logged once */
};

/* Takes the run directory, the lines and the watchdog. False after one log line. */
bool loop_open(struct loop *loop, const struct conf *conf);

/* Until SIGTERM or SIGINT. True if every output was then proven off. */
bool loop_run(struct loop *loop);

/* Gives everything back; the watchdog is stopped only if `proven`. */
void loop_close(struct loop *loop, const char *run_dir, bool proven);

#endif
