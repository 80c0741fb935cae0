/*
 * One connection of a local master: its bytes, its frames, its state. One request at a time.
 *
 * Owner: the gateway's server thread. A fixed number of slots, reused. When all slots are taken,
 *   the connection that has been silent for longest without ever asking for anything is closed for
 *   a new one. When all masters are there, one that has asked for nothing for GATEWAY_SPARE_S is
 *   closed for a connection that asks.
 *
 * FREE -> READING -> WAITING -> WRITING -> READING ...; a local answer goes from READING to WRITING
 * at once. A master that leaves while its request is at the actuator is ABANDONED: the slot stays
 * taken until the request is done.
 */
#ifndef HOLDFAST_GATEWAY_MASTER_H
#define HOLDFAST_GATEWAY_MASTER_H

#include "base/cell.h"
#include "base/instant.h"
#include "gateway/gateway_upstream.h"

enum gateway_master_state {
    GATEWAY_MASTER_FREE,
    GATEWAY_MASTER_READING,   /* until a whole request is there */
    GATEWAY_MASTER_WAITING,   /* its request is with an upstream */
    GATEWAY_MASTER_WRITING,   /* its answer is on the way out */
    GATEWAY_MASTER_ABANDONED, /* the connection is gone, the request is still with the upstream */
    GATEWAY_MASTER_STATES
};

enum gateway_master_event {
    GATEWAY_MASTER_ACCEPTED,
    GATEWAY_MASTER_FORWARDED, /* the request went to an upstream */
    GATEWAY_MASTER_ANSWERED,  /* by the upstream, or by the gateway itself */
    GATEWAY_MASTER_FLUSHED,   /* the answer is with the kernel */
    GATEWAY_MASTER_CLOSED,    /* connection closed, nothing is with an upstream */
    GATEWAY_MASTER_LEFT,      /* connection closed, the request is being served */
    GATEWAY_MASTER_EVENTS
};

enum { GATEWAY_PEER_TEXT_MAX = 63, GATEWAY_SPARE_S = 60 };

struct gateway_master {
    enum gateway_master_state state;
    int fd;               /* -1 in FREE and ABANDONED */
    bool asked;           /* it has sent a whole request */
    struct instant since; /* its last one, or when it came */
    char peer[GATEWAY_PEER_TEXT_MAX + 1];
    uint8_t in[GATEWAY_ADU_MAX];
    size_t in_length;
    uint8_t out[GATEWAY_ADU_MAX];
    size_t out_length;
    size_t out_sent;
    struct gateway_job job;
    struct gateway_upstream *upstream; /* that has the job, in WAITING and ABANDONED */
};

enum gateway_frame {
    GATEWAY_FRAME_NONE, /* not all there yet */
    GATEWAY_FRAME_WHOLE,
    GATEWAY_FRAME_BAD /* no Modbus TCP header: the stream cannot be followed any more */
};

/* What `event` does in `state`. */
const struct cell *gateway_master_cell(enum gateway_master_state state,
                                       enum gateway_master_event event);

/* Changes the state; the only place that does. An illegal cell is a bug and panics. */
void gateway_master_change(struct gateway_master *master, enum gateway_master_event event);

/* Takes over `fd` (an accepted, non-blocking connection) into a FREE slot. */
void gateway_master_accept(struct gateway_master *master, int fd, struct instant now);

/*
 * Of `count` masters, the one to be closed for another. It is in the middle of nothing; it has
 * asked for something before (`asked`) or never has; and it has been quiet for `least` or longer,
 * longer than the others. NULL: there is none.
 */
struct gateway_master *gateway_master_spare(struct gateway_master *masters, size_t count,
                                            bool asked, struct span least, struct instant now);

/* Closes the connection if there is one; the event is the caller's. */
void gateway_master_hang_up(struct gateway_master *master);

/* Reads what is there, as far as it fits. Returns false at the end of the stream or an error. */
bool gateway_master_receive(struct gateway_master *master);

/*
 * Looks for a whole frame at the start of what was read. GATEWAY_FRAME_WHOLE: *unit is its unit id,
 * *pdu points into the master, valid until gateway_master_answer().
 */
enum gateway_frame gateway_master_frame(const struct gateway_master *master, uint8_t *unit,
                                        const uint8_t **pdu, size_t *length);

/*
 * Puts the answer `pdu` (1..GATEWAY_PDU_MAX bytes, copied) to the first frame into the out buffer,
 * with that frame's transaction and unit id, and takes the frame away.
 */
void gateway_master_answer(struct gateway_master *master, const uint8_t *pdu, size_t length);

/* Sends what the socket takes. Returns false on an error; done when out_sent == out_length. */
bool gateway_master_send(struct gateway_master *master);

#endif
