/*
 * The guard's loop: descriptors and timers in, guard_step(), effects out.
 *
 * Owner: holdfast-guard's one thread. All memory is the caller's; nothing is allocated after
 *   loop_open(). Waits only in the platform's poll(), by an absolute timer, and re-checks the raw
 *   clock.
 * Lifecycle: loop_open(); loop_run(), or loop_turn() until loop_ended() by whoever brings its own
 *   time; loop_close(), after a loop_open() that failed too.
 */
#ifndef HOLDFAST_GUARD_LOOP_H
#define HOLDFAST_GUARD_LOOP_H

#include <stdbool.h>

#include "agent_socket.h"
#include "board.h"
#include "guard/guard.h"
#include "guard/platform.h"
#include "page_file.h"
#include "realtime.h"
#include "record.h"

struct loop {
    const struct platform *platform;
    struct guard guard;
    struct board board;
    struct page_file page;
    struct agent_socket sockets;
    struct record record;
    struct realtime realtime;
    bool opened;           /* loop_open() came to its end */
    bool bench_lost;       /* the HAL's descriptor is of no more use */
    uint32_t io_failed;    /* resources whose lines failed in this turn */
    uint32_t status_mask;  /* statuses to send at the end of this turn */
    uint32_t reset_told;   /* resources in a fault of which the log says that a reset is to come */
    struct instant fed_at; /* the watchdog, or armed */
    struct instant
        stop_until; /* asked to end: what is still to be written is no longer waited for */
    struct span slept;
    struct instant clock_raw; /* start of the window in which the two clocks are compared */
    int64_t clock_monotonic_us;
    struct guard_message refused; /* the last refusal, so that a repeated one is logged once */
};

/*
 * Takes the run directory, the lines and the watchdog, and sets the timer for the first turn. The
 * platform outlives the loop; `conf` is read during the call only. False after one log line.
 */
bool loop_open(struct loop *loop, const struct platform *platform, const struct conf *conf);

/* Waits for the timer or for input, takes in what there is, and sets the timer anew. */
void loop_turn(struct loop *loop);

/* Asked to end, every resource has come to rest, and what was latched is with who writes it. */
bool loop_ended(const struct loop *loop);

/* Until SIGTERM or SIGINT. True if every output was then proven off. */
bool loop_run(struct loop *loop);

/* Gives everything back; the watchdog is stopped only if `safe`: guard_needs_no_watchdog(). */
void loop_close(struct loop *loop, const char *run_dir, bool safe);

#endif
