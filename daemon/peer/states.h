/*
 * The state tables of a TLS stream and of a peer link (base/cell.h). Only data; every cell is walked by
 * a test. tls_stream.c and peer_link.c act on them, in one function each, that alone change the state.
 */
#ifndef HOLDFAST_PEER_STATES_H
#define HOLDFAST_PEER_STATES_H

#include "base/cell.h"

enum stream_state {
    STREAM_DIALLING,    /* TCP connect under way */
    STREAM_HANDSHAKING, /* TLS under way */
    STREAM_OPEN,
    STREAM_DRAINING, /* the owner closed: last bytes are going out */
    STREAM_CLOSING,  /* handles are closing; on_closed comes next */
    STREAM_STATES
};

enum stream_event {
    STREAM_CONNECTED,
    STREAM_ESTABLISHED,
    STREAM_CLOSE,   /* the owner's wish */
    STREAM_DRAINED, /* all sent and the peer gone, or TLS_LINGER_MS over */
    STREAM_FAIL,    /* any fault, an abort, the peer's end */
    STREAM_EVENTS
};

enum link_state {
    LINK_SECURING, /* dialled; TLS not up yet */
    LINK_GREETING, /* waits for the other side's hello */
    LINK_UP,
    LINK_CLOSING,
    LINK_STATES
};

enum link_event {
    LINK_SECURED,  /* TLS is up, the certificate allows this peer */
    LINK_ACCEPTED, /* an acceptable hello */
    LINK_CLOSE,    /* refused, replaced, hub closes, or the stream is gone */
    LINK_EVENTS
};

/* What `event` does in `state`. */
const struct cell *stream_cell(enum stream_state state, enum stream_event event);
const struct cell *link_cell(enum link_state state, enum link_event event);

#endif
