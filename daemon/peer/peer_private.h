/*
 * What peer.c (the hub: listening, dialling, names) and peer_link.c (one connection: certificate,
 * hello, frames) share. For those two only.
 */
#ifndef HOLDFAST_PEER_PEER_PRIVATE_H
#define HOLDFAST_PEER_PEER_PRIVATE_H

#include "log/quota.h"
#include "peer/frame.h"
#include "peer/peer.h"
#include "peer/refusals.h"
#include "peer/states.h"
#include "peer/tls_stream.h"

enum {
    DIAL_DELAY_MIN_MS = 50,
    /* Within a lease's slack: a board that is not connected to the next leader loses its lease. */
    DIAL_DELAY_MAX_MS = 500,
    /*
     * A handshake that was answered and took so long in vain was too slow for one of the processors.
     * Dialling again at once would keep it as busy: the next try waits as long as this one took, twice
     * that after another one, and so on up to the limit. A peer that was restarted refuses, or cuts,
     * sooner than that; one that says nothing is dead, or stopped, and costs nothing.
     */
    DIAL_STRAINED_MS = 500,
    DIAL_STRAIN_MAX_MS = 8000,
    /* How often, and for how many times, it is looked whether the peer's own handshake goes on. */
    DIAL_COMING_MS = 250,
    DIAL_COMING_TIMES = 16,
    LINK_STEADY_MS = 1000, /* a link that held this long lets the next dial start afresh */
    HUB_TICK_MS = 500,     /* while a hello is awaited or refusals are counted */
    HUB_WATCH_MS = 50,     /* between two looks at data not acknowledged, and two redials */
    HUB_HELLO_MAX = 256,   /* bytes of an encoded hello */
    HUB_LINE_MAX = 400,    /* characters of a log line */
    HUB_DIALS_MAX = 2 * HF_ISSUERS_MAX, /* those dialled now, and those whose link still closes */
    /* What a link may have done in a turn of the loop; the rest waits until all others had theirs. */
    LINK_TURN_STEPS = 64, /* frames, and pieces that they came in */
    LINK_TURN_BYTES = 32768
};

/* An issuer that this node dials, until it is told to forget it. */
struct peer_dial {
    struct peer_hub *hub;
    bool wanted;
    struct hf_name id;
    char address[HF_ADDRESS_MAX + 1];
    uv_timer_t timer;
    uint32_t delay_ms;  /* of the next try, before jitter */
    uint32_t strain_ms; /* the longest that the last try made the next one wait; 0: not strained */
    unsigned waited;    /* how often the peer's own handshake was waited for */
    bool complained;    /* this outage has had its log line */
    struct tls_session *session;
};

struct peer_link {
    struct peer_hub *hub;
    struct peer_dial *dial; /* NULL: accepted */
    struct tls_stream *stream;
    enum link_state state;
    bool announced;          /* on_up was told, on_down not yet */
    struct hf_name node;     /* by its certificate; empty before TLS is up */
    struct wire_hello hello; /* once up: what it said */
    uint64_t since_ms;       /* in this state, by the loop's clock */
    uint64_t begun_ms;       /* when it was dialled or accepted */
    struct frame_reader reader;
    uint64_t turn;  /* of the loop, to which the next two belong */
    uint32_t steps; /* see LINK_TURN_STEPS */
    uint32_t bytes;
    bool waits;                   /* for the next turn; its stream is paused */
    struct bytes rest;            /* allocated: what came and is for the next turn */
    bool late;                    /* its hello did not come in time */
    char reason[REFUSAL_WHO_MAX]; /* why this side closed it; empty: it did not */
    struct peer_link *previous;
    struct peer_link *next;
};

struct peer_hub {
    uv_loop_t *loop;
    struct peer_events events;
    struct wire_hello self;
    const struct tls_identity *identity;
    struct tls_listener *listener;
    struct peer_dial dials[HUB_DIALS_MAX];
    size_t dial_count;
    bool dials_all; /* as peer_hub_dial_all() said */
    struct peer_link *links;
    uv_timer_t tick;
    uv_timer_t watch;   /* runs while a dialled link waits for acknowledgements */
    uv_prepare_t turns; /* begins each turn of the loop */
    uv_idle_t again;    /* runs while links wait for the next one: the loop doesn't sleep */
    uint64_t turn;
    struct refusals refusals;
    struct log_quota comings; /* lines on who connects and disconnects */
    uint64_t random;
    unsigned pending; /* handles, links and listener that must be gone before the hub is */
    bool closing;
    void (*done)(void *context);
    void *done_context;
    uint16_t hello_length;
    uint8_t hello[HUB_HELLO_MAX];
    uint8_t frame[FRAME_HEADER_BYTES + WIRE_FRAME_MAX]; /* under construction */
    struct wire_message message;                        /* last decoded */
};

/* peer.c */
void hub_log(struct peer_hub *hub, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Logs "NODE: ...", on its coming or going, unless it has caused too many such lines lately. */
void hub_log_coming(struct peer_hub *hub, const struct hf_name *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One rate-limited line: "WHO: refused: CAUSE: DETAIL"; empty detail: none. */
void hub_log_refusal(struct peer_hub *hub, int cause, const char *who, const char *detail);
void hub_tick_start(struct peer_hub *hub);
/* A link waits for the next turn of the loop, which comes at once. */
void hub_turn_again(struct peer_hub *hub);
/* Something was sent over a dialled link: from now on it is watched for its acknowledgement. */
void hub_watch_start(struct peer_hub *hub);
/* One of those that `pending` counts is gone. After the last one the hub is freed. */
void hub_release(struct peer_hub *hub);
/* How a link ended, for the next try. */
struct dial_end {
    bool steady;          /* it had been up for a while */
    uint32_t strained_ms; /* our handshake was answered, and took so long in vain; 0: it was not */
};
/* A link to `node`, dialled or accepted, ended: if it is to be dialled, tries again later. */
void hub_dial_after(struct peer_hub *hub, const struct hf_name *node, const struct dial_end *end);
/* `node` is up: whatever its handshakes took before, it is not strained any more. */
void hub_dial_eases(struct peer_hub *hub, const struct hf_name *node);
/*
 * `node` is up by its own connection. If two dial each other, that of the smaller id stays: whoever
 * has the larger one gives up its own, which would replace this one.
 */
void hub_dial_yields(struct peer_hub *hub, const struct hf_name *node);

/* peer_link.c */
/* The limits of every peer connection. */
extern const struct tls_stream_limits link_limits;
/* A link for a dial; NULL if there is no memory. */
struct peer_link *link_dial(struct peer_dial *dial);
/* A link for an accepted stream, which it adopts; its certificate says *peer. */
void link_accept(struct peer_hub *hub, struct tls_stream *stream, const struct tls_name *peer);
/* Sends one frame. False, and the link is closing, if its queue is full. */
bool link_send(struct peer_link *link, struct bytes envelope);
/* A turn has begun: a link that waits goes on. True if it waits again. */
bool link_turn(struct peer_link *link);
/* Closes the link if its hello did not come in time. */
void link_check_hello(struct peer_link *link);
/* Closes at once, without a log line. */
void link_abort(struct peer_link *link, const char *reason);

#endif
