/*
 * A table of states x events: `[STATE][EVENT] =` one of STAY, GO(state), ILLEGAL("what makes it
 * impossible"). Only data; what acts on it ends an illegal cell in hf_panic().
 */
#ifndef HOLDFAST_CORE_BASE_CELL_H
#define HOLDFAST_CORE_BASE_CELL_H

#include <stdint.h>

enum cell_kind { CELL_UNWRITTEN, CELL_STAY, CELL_GO, CELL_ILLEGAL };

struct cell {
    enum cell_kind kind;
    uint8_t next;    /* GO only */
    const char *why; /* ILLEGAL only */
};

/* clang-format off */
#define STAY            { .kind = CELL_STAY }
#define GO(state)       { .kind = CELL_GO, .next = (state) }
#define ILLEGAL(reason) { .kind = CELL_ILLEGAL, .why = (reason) }
/* clang-format on */

#endif
