/*
 * The wire codec: core structs <-> nanopb bytes of holdfast.proto.
 *
 * Purpose: one envelope per frame. Pure; no allocation. Frames on TLS are a 4-byte big-endian
 *   length (1..WIRE_FRAME_MAX) and that many bytes of one Envelope.
 * Rules: unknown fields are skipped. Every name, enum, count and range is checked once, so that
 *   the core never sees a malformed message. What is in the log, the journal and snapshots has its
 *   codec beside its structs, of the same format: lease/codec.h, raft_members_encode().
 */
#ifndef HOLDFAST_CORE_WIRE_WIRE_H
#define HOLDFAST_CORE_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "lease/lease_message.h"
#include "raft/raft.h"

enum {
    WIRE_VERSION = 1,
    WIRE_FRAME_MAX = 16384, /* bytes of one envelope */
    WIRE_TEXT_MAX = 2048    /* bytes of a relayed console line or chunk of its answer */
};

enum wire_kind {
    WIRE_HELLO, /* first frame in each direction */
    WIRE_RAFT,
    WIRE_LEASE,
    WIRE_QUERY,       /* a console command relayed to another node */
    WIRE_QUERY_REPLY, /* its answer, in chunks, the last one marked */
    WIRE_STORE,       /* how an issuer's journal fares, for people */
    WIRE_ISSUERS,     /* the issuers as committed, from an issuer to everybody */
    WIRE_KINDS
};

struct wire_hello {
    uint32_t version; /* WIRE_VERSION of the sender */
    char cluster[HF_NAME_MAX + 1];
    struct hf_name node;
    bool issuer;
    bool agent;
    uint64_t config_digest;           /* of what all nodes must agree on */
    char console[HF_ADDRESS_MAX + 1]; /* "HOST:PORT"; empty: none that others can reach */
};

struct wire_query {
    uint64_t id;
    struct hf_name who; /* certificate name at the console */
    bool operator_role; /* who may act */
    bool json;          /* machine form wanted */
    bool last;          /* reply: no more chunks follow */
    uint32_t error;     /* reply: 0 or the console's error code */
    uint16_t length;
    char text[WIRE_TEXT_MAX];
};

struct wire_store {
    uint64_t sync_last_us;  /* of the last append and its sync; 0: none yet */
    uint64_t sync_worst_us; /* since the start */
    uint64_t waiting_us;    /* of the append under way so far; 0: none */
    uint64_t written_bytes; /* since the start */
    uint64_t syncs;
    bool slow;   /* by the sender's own threshold */
    bool failed; /* the sender votes and answers no more */
};

struct wire_issuers {
    uint64_t index; /* of the log, as of which these are the issuers; greater is newer */
    struct raft_members members;
};

/* A decoded frame. Owned by the caller; about 8 KB: static or embedded, not on a small stack. */
struct wire_message {
    enum wire_kind kind;
    struct wire_hello hello;
    struct raft_message raft; /* entries, members and chunk point into the fields below */
    struct raft_entry entries[RAFT_APPEND_MAX];
    struct raft_members members;
    uint8_t chunk[RAFT_SNAPSHOT_CHUNK];
    struct lease_message lease;
    struct wire_query query;
    struct wire_store store;
    struct wire_issuers issuers;
};

/*
 * Encodes one message of message->kind. Returns the number of bytes, 0 if `capacity` is too small.
 * `raft.entries`, `raft.members` and `raft.chunk` may point anywhere.
 */
size_t wire_encode(const struct wire_message *message, uint8_t *out, size_t capacity);

/* The same without copying a whole struct wire_message together. */
size_t wire_encode_raft(const struct raft_message *message, uint8_t *out, size_t capacity);
size_t wire_encode_lease(const struct lease_message *message, uint8_t *out, size_t capacity);

/*
 * Decodes one envelope. Returns NULL, or what is wrong with it (static text; *out is then void).
 */
const char *wire_decode(struct wire_message *out, struct bytes frame);

#endif
