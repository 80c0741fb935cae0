/*
 * Peers: mutual-TLS connections between the nodes of a cluster, on one port, above libuv.
 *
 * Purpose: gives its owner frames from proven identities. An issuer listens; agents and issuers
 *   dial issuers. Between two issuers there is one connection, dialled by the one with the smaller
 *   id, or by the other if none came for PEER_DIAL_LATE_MS. Every connection carries frames both ways.
 * Owner: the daemon's loop thread. Opaque; allocates at creation and per connection. The process
 *   ignores SIGPIPE.
 * Rules:
 *  - TLS 1.2 or later, ECDHE + AEAD only, both sides with a certificate of the cluster's CA.
 *  - The certificate's CN is the node's identity, its OU must be "node". A hello that claims
 *    another name, cluster or protocol version is refused with a log line that names which, and
 *    that line is limited to one per cause and minute (with a count).
 *  - A dialler retries with jitter, 50 ms doubling to 500 ms; later, up to 8 s, after a handshake that the
 *    other side worked on and that took too long all the same. An issuer that leaves it to the other one
 *    to dial waits on while a handshake from that one's host is under way. So boards whose processors
 *    are too slow for several handshakes at once come to one. Sessions are resumed where the server
 *    allows.
 *  - Connections that have not proven who they are can't keep known peers out: see
 *    peer/admission.h. Hosts of issuers, and hosts from which a proven node came before, come
 *    first.
 *  - A newer connection of the same identity replaces the older one.
 *  - Output queued for one connection is bounded (PEER_QUEUE_MAX bytes); a connection above it is
 *    closed, as one that makes no progress for PEER_SILENCE_MS while data is queued. From a board
 *    that dialled nothing is read while more than PEER_HOLD_ABOVE bytes wait for it, so that one
 *    that asks and does not read the answers fills no memory here. Issuers are read in any case.
 *  - A node that connects and disconnects in a loop gets 8 log lines at once, then 10 a minute; the
 *    rest is counted, and the count is logged.
 *  - At most PEER_GREETING_MAX connections of one identity wait for their hello; the oldest gives
 *    way.
 */
#ifndef HOLDFAST_PEER_PEER_H
#define HOLDFAST_PEER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/name.h"
#include "wire/wire.h"

enum {
    PEER_WAITING_MAX = 128,   /* connections that have not proven who they are */
    PEER_HANDSHAKES_MAX = 16, /* of them, with a handshake under way: some 45 KB each */
    PEER_PER_HOST_MAX = 8,    /* of them, from one address before it is crowded */
    PEER_CONNECTIONS_MAX = HF_AGENTS_MAX + 2 * HF_ISSUERS_MAX,
    PEER_QUEUE_MAX = 1024 * 1024,
    PEER_HOLD_ABOVE = 64 * 1024, /* waiting for a board: it is not read meanwhile */
    PEER_GREETING_MAX = 2,       /* connections of one identity that have not said hello */
    PEER_DIAL_LATE_MS = 2000,    /* how long an issuer leaves it to one with a smaller id to dial */
    PEER_SILENCE_MS = 3000,
    PEER_HANDSHAKE_MS = 3000
};

struct peer_hub;
struct tls_identity; /* peer/tls.h: CA, certificate and key, loaded once */

struct peer_events {
    void *context;
    /* Hello exchanged and accepted. */
    void (*on_up)(void *context, const struct wire_hello *hello);
    /* Once for each on_up, from the loop, never from inside peer_send(); not after
     * peer_hub_close(). */
    void (*on_down)(void *context, const struct hf_name *node, const char *reason);
    /* One decoded frame (never a hello). *message is valid during the call only. */
    void (*on_message)(void *context, const struct hf_name *node,
                       const struct wire_message *message);
    /* Is it an issuer, as far as the owner knows? May be NULL: all are. */
    bool (*is_issuer)(void *context, const struct hf_name *node);
    /* One log line, already formatted, without newline; level as in syslog.h. */
    void (*on_log)(void *context, int level, const char *line);
};

struct peer_config {
    struct wire_hello self; /* what this node says in its hello */
    const char *listen;     /* "host:port", or NULL: does not listen */
    size_t dial_count;
    struct {
        struct hf_name id;
        const char *address;
    } dial[HF_ISSUERS_MAX];
    const struct tls_identity *identity;
    uint64_t random_seed; /* jitter */
};

/*
 * Starts listening and dialling; of `dial`, this node itself is left out. Returns NULL on failure
 * with a text in `error` (size >= 160).
 */
struct peer_hub *peer_hub_create(uv_loop_t *loop, const struct peer_config *config,
                                 const struct peer_events *events, char *error, size_t error_size);

/* Sends one envelope (encoded bytes, copied). False if the node is not up or was just closed. */
bool peer_send(struct peer_hub *hub, const struct hf_name *node, struct bytes envelope);

/* The same to every node that is up. */
void peer_send_all(struct peer_hub *hub, struct bytes envelope);

/*
 * Dials this issuer as well from now on, or at this address; nothing happens if it is dialled there
 * already. While it is up by a connection of its own it is not dialled.
 */
void peer_hub_dial(struct peer_hub *hub, const struct hf_name *id, const char *address);

/*
 * Whether an issuer dials those with a smaller id at once, too: they know that they need not dial it.
 * Off at first.
 */
void peer_hub_dial_all(struct peer_hub *hub, bool all);

/*
 * Stops dialling this issuer, and closes the connection that this node dialled. A connection that
 * the other one dialled stays.
 */
void peer_hub_forget(struct peer_hub *hub, const struct hf_name *id);

/* What the node said in its hello; NULL: it is not up. Valid until the next event. */
const struct wire_hello *peer_hub_hello(const struct peer_hub *hub, const struct hf_name *node);

/* The port that is bound; 0 if the hub does not listen. Tests ask: they bind port 0, a free one. */
uint16_t peer_hub_port(const struct peer_hub *hub);

/* True while its hello is accepted and the connection stands. */
bool peer_is_up(const struct peer_hub *hub, const struct hf_name *node);

/* Closes everything; `done` is called on the loop when nothing is left. */
void peer_hub_close(struct peer_hub *hub, void (*done)(void *context), void *context);

#endif
