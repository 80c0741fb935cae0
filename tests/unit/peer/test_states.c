/* The state tables of streams and links, cell by cell. */
#include "tests/unit/support/unit.h"

#include "peer/states.h"

static void every_cell_of_a_stream_is_as_designed(void **state)
{
    enum {
        NO = STREAM_ILLEGAL,
        HS = STREAM_HANDSHAKING,
        OP = STREAM_OPEN,
        DR = STREAM_DRAINING,
        CL = STREAM_CLOSING
    };
    static const int expected[STREAM_STATES][STREAM_EVENTS] = {
        /*                connected established close drained fail */
        /* dialling    */ { HS, NO, CL, NO, CL },
        /* handshaking */ { NO, OP, CL, NO, CL },
        /* open        */ { NO, NO, DR, NO, CL },
        /* draining    */ { NO, NO, DR, CL, CL },
        /* closing     */ { NO, NO, CL, NO, CL },
    };
    (void)state;
    for (int from = 0; from < STREAM_STATES; from++) {
        for (int event = 0; event < STREAM_EVENTS; event++)
            assert_int_equal(stream_state_next((enum stream_state)from, (enum stream_event)event),
                             expected[from][event]);
    }
}

static void every_cell_of_a_link_is_as_designed(void **state)
{
    enum { NO = LINK_ILLEGAL, GR = LINK_GREETING, UP = LINK_UP, CL = LINK_CLOSING };
    static const int expected[LINK_STATES][LINK_EVENTS] = {
        /*             secured accepted close */
        /* securing */ { GR, NO, CL },
        /* greeting */ { NO, UP, CL },
        /* up       */ { NO, NO, CL },
        /* closing  */ { NO, NO, CL },
    };
    (void)state;
    for (int from = 0; from < LINK_STATES; from++) {
        for (int event = 0; event < LINK_EVENTS; event++)
            assert_int_equal(link_state_next((enum link_state)from, (enum link_event)event),
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
