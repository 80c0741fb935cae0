#include "peer/states.h"

#include "base/check.h"

#define NO_TCP_YET        ILLEGAL("TLS runs over TCP, which is not connected yet")
#define NO_SECOND_CONNECT ILLEGAL("TCP connects once, before TLS")
#define NO_SECOND_TLS     ILLEGAL("TLS is established once")
#define NOT_DRAINING      ILLEGAL("only what its owner closed drains")
#define IS_DEAF           ILLEGAL("what is closing is handed no more input")

static const struct cell stream_table[STREAM_STATES][STREAM_EVENTS] = {
    [STREAM_DIALLING] = {
        [STREAM_CONNECTED] = GO(STREAM_HANDSHAKING),
        [STREAM_ESTABLISHED] = NO_TCP_YET,
        [STREAM_CLOSE] = GO(STREAM_CLOSING),
        [STREAM_DRAINED] = NOT_DRAINING,
        [STREAM_FAIL] = GO(STREAM_CLOSING),
    },
    [STREAM_HANDSHAKING] = {
        [STREAM_CONNECTED] = NO_SECOND_CONNECT,
        [STREAM_ESTABLISHED] = GO(STREAM_OPEN),
        [STREAM_CLOSE] = GO(STREAM_CLOSING),
        [STREAM_DRAINED] = NOT_DRAINING,
        [STREAM_FAIL] = GO(STREAM_CLOSING),
    },
    [STREAM_OPEN] = {
        [STREAM_CONNECTED] = NO_SECOND_CONNECT,
        [STREAM_ESTABLISHED] = NO_SECOND_TLS,
        [STREAM_CLOSE] = GO(STREAM_DRAINING),
        [STREAM_DRAINED] = NOT_DRAINING,
        [STREAM_FAIL] = GO(STREAM_CLOSING),
    },
    [STREAM_DRAINING] = {
        [STREAM_CONNECTED] = NO_SECOND_CONNECT,
        [STREAM_ESTABLISHED] = NO_SECOND_TLS,
        [STREAM_CLOSE] = STAY,
        [STREAM_DRAINED] = GO(STREAM_CLOSING),
        [STREAM_FAIL] = GO(STREAM_CLOSING),
    },
    [STREAM_CLOSING] = {
        [STREAM_CONNECTED] = IS_DEAF,
        [STREAM_ESTABLISHED] = IS_DEAF,
        [STREAM_CLOSE] = STAY,
        [STREAM_DRAINED] = IS_DEAF,
        [STREAM_FAIL] = STAY,
    },
};

static const struct cell link_table[LINK_STATES][LINK_EVENTS] = {
    [LINK_SECURING] = {
        [LINK_SECURED] = GO(LINK_GREETING),
        [LINK_ACCEPTED] = ILLEGAL("a hello comes over TLS, which is not up yet"),
        [LINK_CLOSE] = GO(LINK_CLOSING),
    },
    [LINK_GREETING] = {
        [LINK_SECURED] = NO_SECOND_TLS,
        [LINK_ACCEPTED] = GO(LINK_UP),
        [LINK_CLOSE] = GO(LINK_CLOSING),
    },
    [LINK_UP] = {
        [LINK_SECURED] = NO_SECOND_TLS,
        [LINK_ACCEPTED] = ILLEGAL("a second hello is refused as a bad frame before it gets here"),
        [LINK_CLOSE] = GO(LINK_CLOSING),
    },
    [LINK_CLOSING] = {
        [LINK_SECURED] = IS_DEAF,
        [LINK_ACCEPTED] = IS_DEAF,
        [LINK_CLOSE] = STAY,
    },
};

const struct cell *stream_cell(enum stream_state state, enum stream_event event)
{
    HF_CHECK((unsigned)state < STREAM_STATES && (unsigned)event < STREAM_EVENTS);
    return &stream_table[state][event];
}

const struct cell *link_cell(enum link_state state, enum link_event event)
{
    HF_CHECK((unsigned)state < LINK_STATES && (unsigned)event < LINK_EVENTS);
    return &link_table[state][event];
}
