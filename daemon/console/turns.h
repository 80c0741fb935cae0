/*
 * Whose command is next, where several sessions have one. Pure.
 *
 * Purpose: all sessions together cost a turn of the loop one command, and none of them waits for ever.
 * Owner: session.c.
 * Rules: operators and the others take turns as long as both want one, so that no crowd of readers
 *   keeps an operator waiting; within each, whoever was served longest ago is next.
 */
#ifndef HOLDFAST_CONSOLE_TURNS_H
#define HOLDFAST_CONSOLE_TURNS_H

#include <stdbool.h>
#include <stdint.h>

/* A session whose next command may be taken. */
struct turn_wish {
    bool operator_role;
    uint64_t served; /* the number of its last turn; 0: it had none */
};

/* Whether `a` comes before `b`; `operator_last`: the last turn was an operator's. */
bool turns_before(const struct turn_wish *a, const struct turn_wish *b, bool operator_last);

#endif
