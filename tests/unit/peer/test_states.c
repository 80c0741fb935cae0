/* The state tables of streams and links, cell by cell. */
#include "tests/unit/support/unit.h"

#include "peer/states.h"
#include "tests/unit/support/cells.h"

enum { NO = -1 };

/* Where a cell leads from `from`; NO: it is illegal. */
static int leads(const struct cell *cell, int from)
{
    return cell->kind == CELL_ILLEGAL ? NO : cell->kind == CELL_GO ? cell->next : from;
}

static void every_cell_of_a_stream_is_as_designed(void **state)
{
    enum { HS = STREAM_HANDSHAKING, OP = STREAM_OPEN, DR = STREAM_DRAINING, CL = STREAM_CLOSING };
    static const int expected[STREAM_STATES][STREAM_EVENTS] = {
        /*                connected established close drained fail */
        /* dialling    */ { HS, NO, CL, NO, CL },
        /* handshaking */ { NO, OP, CL, NO, CL },
        /* open        */ { NO, NO, DR, NO, CL },
        /* draining    */ { NO, NO, DR, CL, CL },
        /* closing     */ { NO, NO, CL, NO, CL },
    };
    (void)state;
    assert_int_equal(cells_walk(stream_cell(0, 0), STREAM_STATES, STREAM_EVENTS), 12);
    for (int from = 0; from < STREAM_STATES; from++) {
        for (int event = 0; event < STREAM_EVENTS; event++)
            assert_int_equal(
                leads(stream_cell((enum stream_state)from, (enum stream_event)event), from),
                expected[from][event]);
    }
}

static void every_cell_of_a_link_is_as_designed(void **state)
{
    enum { GR = LINK_GREETING, UP = LINK_UP, CL = LINK_CLOSING };
    static const int expected[LINK_STATES][LINK_EVENTS] = {
        /*             secured accepted close */
        /* securing */ { GR, NO, CL },
        /* greeting */ { NO, UP, CL },
        /* up       */ { NO, NO, CL },
        /* closing  */ { NO, NO, CL },
    };
    (void)state;
    assert_int_equal(cells_walk(link_cell(0, 0), LINK_STATES, LINK_EVENTS), 6);
    for (int from = 0; from < LINK_STATES; from++) {
        for (int event = 0; event < LINK_EVENTS; event++)
            assert_int_equal(leads(link_cell((enum link_state)from, (enum link_event)event), from),
                             expected[from][event]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_a_stream_is_as_designed),
        cmocka_unit_test(every_cell_of_a_link_is_as_designed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
