#include "peer/states.h"

/* Named so that a reader sees that nobody forgot the cell. */
enum {
    NO_SECOND_CONNECT = STREAM_ILLEGAL, /* TCP connects once, before TLS */
    NO_TCP_YET = STREAM_ILLEGAL,
    NOT_DRAINING = STREAM_ILLEGAL,
    NO_SECOND_HANDSHAKE = STREAM_ILLEGAL,
    IS_DEAF = STREAM_ILLEGAL, /* a closing stream is handed no more input */

    NO_HELLO_BEFORE_TLS = LINK_ILLEGAL,
    NO_SECOND_TLS = LINK_ILLEGAL,
    NO_SECOND_HELLO = LINK_ILLEGAL, /* refused as a bad frame before it gets here */
    IS_GONE = LINK_ILLEGAL
};

static const unsigned char stream_table[STREAM_STATES][STREAM_EVENTS] = {
    [STREAM_DIALLING] = { [STREAM_CONNECTED] = STREAM_HANDSHAKING,
                          [STREAM_ESTABLISHED] = NO_TCP_YET,
                          [STREAM_CLOSE] = STREAM_CLOSING,
                          [STREAM_DRAINED] = NOT_DRAINING,
                          [STREAM_FAIL] = STREAM_CLOSING },
    [STREAM_HANDSHAKING] = { [STREAM_CONNECTED] = NO_SECOND_CONNECT,
                             [STREAM_ESTABLISHED] = STREAM_OPEN,
                             [STREAM_CLOSE] = STREAM_CLOSING,
                             [STREAM_DRAINED] = NOT_DRAINING,
                             [STREAM_FAIL] = STREAM_CLOSING },
    [STREAM_OPEN] = { [STREAM_CONNECTED] = NO_SECOND_CONNECT,
                      [STREAM_ESTABLISHED] = NO_SECOND_HANDSHAKE,
                      [STREAM_CLOSE] = STREAM_DRAINING,
                      [STREAM_DRAINED] = NOT_DRAINING,
                      [STREAM_FAIL] = STREAM_CLOSING },
    [STREAM_DRAINING] = { [STREAM_CONNECTED] = NO_SECOND_CONNECT,
                          [STREAM_ESTABLISHED] = NO_SECOND_HANDSHAKE,
                          [STREAM_CLOSE] = STREAM_DRAINING,
                          [STREAM_DRAINED] = STREAM_CLOSING,
                          [STREAM_FAIL] = STREAM_CLOSING },
    [STREAM_CLOSING] = { [STREAM_CONNECTED] = IS_DEAF,
                         [STREAM_ESTABLISHED] = IS_DEAF,
                         [STREAM_CLOSE] = STREAM_CLOSING,
                         [STREAM_DRAINED] = IS_DEAF,
                         [STREAM_FAIL] = STREAM_CLOSING },
};

static const unsigned char link_table[LINK_STATES][LINK_EVENTS] = {
    [LINK_SECURING] = { [LINK_SECURED] = LINK_GREETING,
                        [LINK_ACCEPTED] = NO_HELLO_BEFORE_TLS,
                        [LINK_CLOSE] = LINK_CLOSING },
    [LINK_GREETING] = { [LINK_SECURED] = NO_SECOND_TLS,
                        [LINK_ACCEPTED] = LINK_UP,
                        [LINK_CLOSE] = LINK_CLOSING },
    [LINK_UP] = { [LINK_SECURED] = NO_SECOND_TLS,
                  [LINK_ACCEPTED] = NO_SECOND_HELLO,
                  [LINK_CLOSE] = LINK_CLOSING },
    [LINK_CLOSING] = { [LINK_SECURED] = IS_GONE,
                       [LINK_ACCEPTED] = IS_GONE,
                       [LINK_CLOSE] = LINK_CLOSING },
};

enum stream_state stream_state_next(enum stream_state state, enum stream_event event)
{
    return (enum stream_state)stream_table[state][event];
}

enum link_state link_state_next(enum link_state state, enum link_event event)
{
    return (enum link_state)link_table[state][event];
}
