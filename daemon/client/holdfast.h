/*
 * libholdfast: is this board's lease valid, right now?
 *
 * Purpose: an application asks before every act on the shared hardware, in nanoseconds and without
 *   a system call that sleeps: the guard publishes a read-only page, and the answer is the page and
 *   CLOCK_MONOTONIC_RAW.
 * Threads: all functions may be called from any thread; one struct hf_page may be shared.
 * Limits: a process may be paused between the answer and the act. Only hardware (the guard's
 *   outputs) or a token checked at the device closes that gap.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stdbool.h>
#include <stdint.h>

struct hf_page; /* opaque */

/* Errors, negative; 0 is success. */
enum hf_error {
    HF_OK = 0,
    HF_ERROR_NOT_FOUND = -1, /* no page since the start: no guard has run yet */
    HF_ERROR_DENIED = -2,
    HF_ERROR_FORMAT = -3, /* not a lease page, or of another version */
    HF_ERROR_MEMORY = -4,
    HF_ERROR_TIMEOUT = -5 /* hf_wait_change: nothing changed */
};

/*
 * Maps RUN/lease.page, e.g. "/run/holdfast/lease.page". On success *page is to be given back by
 * hf_close(). Does not block.
 */
int hf_open(const char *path, struct hf_page **page);

/*
 * True if this board holds `resource` now and its guard drives it. Stores, where the pointers are
 * not NULL, the fencing token and the microseconds left (> 0). When false, *token is the last known
 * one or 0, and *left_us is 0. About 50 ns. Never blocks.
 */
bool hf_lease_valid(const struct hf_page *page, const char *resource, uint64_t *token,
                    int64_t *left_us);

/*
 * Waits until anything on the page that concerns validity (state, token) changes, at most
 * timeout_ms (>= 0). Returns HF_OK on a change, HF_ERROR_TIMEOUT. Renewals alone do not wake it.
 * It returns within 20 ms of the guard's death, too. What changed since the last return counts, so
 * nothing is missed between two calls; one thread per struct hf_page should wait.
 */
int hf_wait_change(struct hf_page *page, int timeout_ms);

/* The page was written by a guard that is no longer there, or is replaced: open anew. */
bool hf_page_stale(const struct hf_page *page);

void hf_close(struct hf_page *page);

const char *hf_error_text(int error);

#endif
