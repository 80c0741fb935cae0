/*
 * Who may sit at the console when many want to. Pure; the clock is passed in.
 *
 * Purpose: whoever may only look can't lock out who must act. Owner: session.c.
 * Rules:
 *  - Of SEATS_MAX sessions, SEATS_OPERATOR are kept for role operator; one certificate may have
 *    SEATS_NAME_MAX.
 *  - An operator who finds no seat gets that of the longest idle viewer, else of a viewer at work
 *    (a watch, say), else of an operator who was idle for SEATS_SPARE_MS.
 *  - A viewer who finds none gets that of a viewer who was idle for SEATS_SPARE_MS; and of its own
 *    certificate, whoever finds no seat gets that of the longest idle one at once.
 *  - A session without a command for SEATS_IDLE_MS ends; one in a watch does not.
 */
#ifndef HOLDFAST_CONSOLE_SEATS_H
#define HOLDFAST_CONSOLE_SEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"

enum {
    SEATS_MAX = 16,
    SEATS_OPERATOR = 4,
    SEATS_NAME_MAX = 8,
    SEATS_SPARE_MS = 10000,
    SEATS_IDLE_MS = 600000,
    SEATS_FREE = -1,   /* there is room */
    SEATS_REFUSED = -2 /* nobody gives way */
};

struct seat {
    struct hf_name who;
    bool operator_role;
    bool busy;         /* a command, or a watch, is under way */
    uint64_t since_ms; /* when its last command was answered, or it came */
};

/*
 * Where the newcomer sits: SEATS_FREE; the index of the seat that gives way to it; or
 * SEATS_REFUSED, with one clause in *why (static text).
 */
int seats_choose(const struct seat *seats, size_t count, const struct seat *newcomer,
                 uint64_t now_ms, const char **why);

#endif
