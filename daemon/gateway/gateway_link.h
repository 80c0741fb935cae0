/*
 * One Modbus TCP connection to one actuator, and one request at a time on it.
 *
 * Purpose: a request is sent only into an empty connection, and either gets its answer within the
 *   actuator's response time or takes the connection with it: closing sends a reset and throws the
 *   kernel's send queue away (SO_LINGER 0, set as soon as the socket exists, so that a killed
 *   gateway resets too). Nothing stays queued, nothing is sent twice.
 * Owner: one thread (the actuator's). Opened once; connects and resets any number of times.
 * libmodbus frames the request and reads the answer, without its error recovery, which would block
 *   and send again unasked. Its raw requests all have transaction id 0, so a late answer could not
 *   be told from the next one: another reason for a reset after every failure.
 */
#ifndef HOLDFAST_GATEWAY_LINK_H
#define HOLDFAST_GATEWAY_LINK_H

#include <modbus/modbus.h>

#include "gateway/gateway_address.h"
#include "gateway/gateway_job.h"
#include "gateway/gateway_lease.h"
#include "gateway/gateway_turns.h"

enum {
    GATEWAY_LEASE_POLL_MS = 2,   /* how often a write under way looks at the lease */
    GATEWAY_CONNECT_MIN_MS = 250 /* a connection may take response_ms, or this if that is less */
};

enum gateway_link_result {
    GATEWAY_LINK_ANSWERED,
    GATEWAY_LINK_LATE,       /* no whole answer within response_ms */
    GATEWAY_LINK_BROKEN,     /* the connection failed */
    GATEWAY_LINK_NONSENSE,   /* an answer that does not belong to the request */
    GATEWAY_LINK_LEASE_LOST, /* while the write was under way */
    GATEWAY_LINK_STOPPED     /* the gateway is ending */
};

struct gateway_link {
    modbus_t *modbus;
    struct gateway_address address;
    uint32_t response_ms;
    struct gateway_turns *turns;
    int stop_fd; /* readable once the gateway ends; never read here */
    int fd;      /* -1: not connected */
};

/*
 * Prepares *link for `address` (copied); does not connect. response_ms 1..10000. `turns`, of the
 * thread that it is for, outlives it. Returns false if memory is short. Given back by
 * gateway_link_close().
 */
bool gateway_link_open(struct gateway_link *link, const struct gateway_address *address,
                       uint32_t response_ms, struct gateway_turns *turns, int stop_fd);

/*
 * Connects. Returns 0 or an errno value (ETIMEDOUT, ECANCELED when the gateway ends). Blocks for
 * at most the larger of response_ms and GATEWAY_CONNECT_MIN_MS, less when the gateway ends.
 */
int gateway_link_connect(struct gateway_link *link);

/* True if connected, with nothing unsent, nothing unacknowledged and nothing unasked to read. */
bool gateway_link_ready(const struct gateway_link *link);

/*
 * Sends the job's request to `unit` and takes its answer into the job. The link must be ready. With
 * `lease` not NULL the request is given up as soon as the lease is not held. On any result but
 * GATEWAY_LINK_ANSWERED the connection has been reset, and the job has no answer. Blocks for at most
 * response_ms.
 */
enum gateway_link_result gateway_link_exchange(struct gateway_link *link, uint8_t unit,
                                               struct gateway_job *job,
                                               const struct gateway_lease *lease);

/* Resets the connection, if there is one. Does not block. */
void gateway_link_reset(struct gateway_link *link);

void gateway_link_close(struct gateway_link *link);

#endif
