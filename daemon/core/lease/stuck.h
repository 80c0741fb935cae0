/*
 * The outputs that were seen stuck on: a part of the replicated table.
 *
 * Purpose: after an output of a resource was seen on though it was told off, nobody is granted that
 *   resource until an operator says go. What is on can't be taken back, and a second board must not
 *   be switched on beside it by a program that knows of the first.
 * Owner: struct lease_table; changed by applied commands only.
 * Source: PROTOCOL.md, stuck-holds, only-operators-let-go, go-is-for-what-stood.
 *
 * Rules:
 *  - One row a board and resource, from its word that the output is stuck on.
 *  - A held row bars every GRANT of the resource, also to that board, unless the GRANT says that the
 *    policy lets it pass (on_stuck = "go").
 *  - `fault clear R` at that board ends its row, once the guard proves the outputs off. `fault clear R
 *    BOARD` elsewhere lets go that board's row, though nothing proves it off: the row stays, and bars
 *    nothing, until the board is seen off and has been quiet for a while; at the latest a grant to that
 *    board ends the row, so that what sticks in its next drive is held again. So a board that goes on
 *    about the same fault, says by turns that it is on and off, or is reset by its watchdog again and
 *    again, does not hold again what an operator let go.
 *  - A go is for the board that it names, and for its row that stood when it was said: while a word of
 *    the resource is on its way into the log it is refused, and may be said again a moment later.
 *  - A full list takes the place of a row that was let go, else refuses. The leader then holds by
 *    the board's word alone, which is repeated until it is written down.
 */
#ifndef HOLDFAST_CORE_LEASE_STUCK_H
#define HOLDFAST_CORE_LEASE_STUCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/name.h"

struct stuck_row {
    struct hf_name resource;
    struct hf_name board;
    int64_t wall_us; /* when it was written down, by the leader's wall clock; for people */
    bool let_go;     /* an operator said go */
};

struct stuck_list {
    uint32_t count;
    struct stuck_row row[HF_STUCK_MAX];
};

/* NULL: it is not known to be stuck. */
const struct stuck_row *stuck_find(const struct stuck_list *list, const struct hf_name *resource,
                                   const struct hf_name *board);

/* The first row that bars grants of the resource; NULL: none does. */
const struct stuck_row *stuck_holds(const struct stuck_list *list, const struct hf_name *resource);

/* How many rows bar grants of the resource. */
uint32_t stuck_count_held(const struct stuck_list *list, const struct hf_name *resource);

/* Another row finds room. */
bool stuck_has_room(const struct stuck_list *list);

/* Adds a row. False: it is there already, or the list is full of what is held. */
bool stuck_add(struct stuck_list *list, const struct hf_name *resource, const struct hf_name *board,
               int64_t wall_us);

/* Takes a board's row away. False: there is none. */
bool stuck_remove(struct stuck_list *list, const struct hf_name *resource,
                  const struct hf_name *board);

/* Takes all rows of a resource away. */
void stuck_forget(struct stuck_list *list, const struct hf_name *resource);

/* Lets go a board's row: it bars no grant any more. False: there is none that does. */
bool stuck_let_go(struct stuck_list *list, const struct hf_name *resource,
                  const struct hf_name *board);

/* For the snapshot: at most STUCK_ENCODED_MAX bytes; returns how many. */
enum {
    STUCK_ROW_BYTES = 2 * (HF_NAME_MAX + 1) + 8 + 1,
    STUCK_ENCODED_MAX = 4 + HF_STUCK_MAX * STUCK_ROW_BYTES
};
size_t stuck_encode(const struct stuck_list *list, uint8_t *out);

/* Takes its bytes from the front of `bytes`: how many, 0 if they are no valid list. */
size_t stuck_decode(struct stuck_list *list, struct bytes bytes);

#endif
