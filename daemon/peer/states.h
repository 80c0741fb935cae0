/*
 * The state tables of a TLS stream and of a peer link. Pure; every cell is walked by a test.
 * Used by tls_stream.c and peer_link.c, in one function each, that alone change the state.
 */
#ifndef HOLDFAST_PEER_STATES_H
#define HOLDFAST_PEER_STATES_H

enum stream_state {
    STREAM_DIALLING,    /* TCP connect under way */
    STREAM_HANDSHAKING, /* TLS under way */
    STREAM_OPEN,
    STREAM_DRAINING, /* the owner closed: last bytes are going out */
    STREAM_CLOSING,  /* handles are closing; on_closed comes next */
    STREAM_STATES,
    STREAM_ILLEGAL = STREAM_STATES
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
    LINK_STATES,
    LINK_ILLEGAL = LINK_STATES
};

enum link_event {
    LINK_SECURED,  /* TLS is up, the certificate allows this peer */
    LINK_ACCEPTED, /* an acceptable hello */
    LINK_CLOSE,    /* refused, replaced, hub closes, or the stream is gone */
    LINK_EVENTS
};

/* The state after `event`, or STREAM_ILLEGAL: the event cannot happen in that state. */
enum stream_state stream_state_next(enum stream_state state, enum stream_event event);

/* The state after `event`, or LINK_ILLEGAL: the event cannot happen in that state. */
enum link_state link_state_next(enum link_state state, enum link_event event);

#endif
