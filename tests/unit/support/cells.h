/* Walks a table of states x events (base/cell.h): every cell is written, and holds what its kind has. */
#ifndef HOLDFAST_TESTS_CELLS_H
#define HOLDFAST_TESTS_CELLS_H

#include "base/cell.h"
#include "tests/unit/support/unit.h"

/* `table` is its first cell. Returns how many are illegal. */
static inline size_t cells_walk(const struct cell *table, int states, int events)
{
    size_t illegal = 0;
    for (int state = 0; state < states; state++) {
        for (int event = 0; event < events; event++) {
            const struct cell *cell = &table[state * events + event];
            if (cell->kind == CELL_UNWRITTEN || cell->next >= states)
                fail_msg("cell [%d][%d] is not written, or leads nowhere", state, event);
            assert_int_equal(cell->kind == CELL_ILLEGAL, cell->why != NULL);
            assert_true(cell->kind == CELL_GO || cell->next == 0);
            illegal += cell->kind == CELL_ILLEGAL;
        }
    }
    return illegal;
}

#endif
