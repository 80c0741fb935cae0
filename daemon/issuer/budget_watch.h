/*
 * Tells in the log when a board's budget (core/lease/budget.h) begins to bite, and when it is good
 * again: two lines a time, however often its words are held back meanwhile.
 *
 * Owner: the issuer shell; plain data, zeroed at first. Loop thread.
 */
#ifndef HOLDFAST_ISSUER_BUDGET_WATCH_H
#define HOLDFAST_ISSUER_BUDGET_WATCH_H

#include "lease/issuer.h"

struct budget_watch {
    struct hf_name bitten[HF_AGENTS_MAX]; /* by the issuer's client slots; empty: not */
};

/* Once a second or so. Without leadership nothing is said. */
void budget_watch_look(struct budget_watch *watch, const struct issuer *issuer, struct instant now);

/* Seconds until a board that is held back has enough for another lease, 0: it has. */
int64_t budget_watch_wait_s(const struct issuer *issuer, const struct issuer_client *client,
                            struct instant now);

#endif
