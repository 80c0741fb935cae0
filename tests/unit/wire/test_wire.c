/* The codec: every kind there and back, and nothing that is malformed gets in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pb_decode.h>
#include <pb_encode.h>

#include "holdfast.pb.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"
#include "lease/codec.h"
#include "wire/wire.h"

enum { ROUNDS = 40 };

static bool random_bool(void)
{
    return random_below(2) != 0;
}

/* Below 2^62, all magnitudes alike. */
static uint64_t random_counter(void)
{
    return random_u64() >> (2 + random_below(62));
}

static struct hf_name random_name(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-.";
    struct hf_name name;
    char text[HF_NAME_MAX];
    size_t length = 1 + (size_t)random_below(HF_NAME_MAX);
    for (size_t i = 0; i < length; i++)
        text[i] = alphabet[random_below(i == 0 ? 42 : sizeof(alphabet) - 1)];
    assert_true(name_set(&name, text, length));
    return name;
}

static void random_text(char *out, size_t size)
{
    size_t length = (size_t)random_below(size);
    memset(out, 0, size);
    for (size_t i = 0; i < length; i++)
        out[i] = (char)(' ' + random_below(95));
}

static struct raft_members random_members(void)
{
    struct raft_members members = { .count = (uint8_t)(1 + random_below(HF_ISSUERS_MAX)) };
    for (uint8_t i = 0; i < members.count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "node-%u-%u", i, (unsigned)random_below(1000));
        assert_true(name_from_string(&members.member[i].id, id));
        members.member[i].voter = i == 0 || random_bool();
        random_text(members.member[i].address, sizeof(members.member[i].address));
    }
    return members;
}

static struct wire_message message;
static struct wire_message decoded;
static uint8_t frame[WIRE_FRAME_MAX];

static void random_entries(struct raft_message *raft, uint8_t count)
{
    raft->prev_term = random_below(5);
    raft->term = 20 + random_counter() / 2;
    raft->entry_count = count;
    raft->entries = message.entries;
    for (uint8_t i = 0; i < count; i++) {
        struct raft_entry *entry = &message.entries[i];
        memset(entry, 0, sizeof(*entry));
        entry->index = raft->prev_index + 1 + i;
        entry->term = 5 + i / 3u;
        entry->kind = (enum raft_entry_kind)random_below(RAFT_ENTRY_KINDS);
        entry->length =
            entry->kind == RAFT_ENTRY_NOOP ? 0 : (uint16_t)(1 + random_below(RAFT_ENTRY_DATA_MAX));
        for (uint16_t j = 0; j < entry->length; j++)
            entry->data[j] = (uint8_t)random_u64();
    }
}

static void random_chunk(struct raft_message *raft)
{
    size_t length = (size_t)random_below(RAFT_SNAPSHOT_CHUNK + 1);
    for (size_t i = 0; i < length; i++)
        message.chunk[i] = (uint8_t)random_u64();
    raft->chunk = (struct bytes){ message.chunk, length };
    raft->snapshot_index = 1 + random_counter() / 2;
    raft->snapshot_term = 1 + random_counter() / 2;
    raft->offset = random_below(1000000);
    raft->total = raft->offset + length + random_below(1000000);
    message.members = random_members();
    raft->members = &message.members;
}

static void random_append_reply(struct raft_message *raft)
{
    raft->prev_index = random_counter();
    raft->success = random_bool();
    raft->match_index = random_counter();
    raft->hint_index = random_counter();
    raft->hint_term = random_counter();
    raft->recovering = random_bool();
    raft->nonce = random_counter();
    raft->life = random_counter();
}

static void random_recover_reply(struct raft_message *raft)
{
    raft->nonce = random_counter();
    raft->last_index = random_counter();
    raft->fresh = random_bool();
    raft->leads = random_bool();
    raft->life = random_counter();
    raft->last_term = random_counter();
    raft->match_index = random_counter();
    raft->granted = random_bool();
}

static void random_raft(enum raft_message_kind kind)
{
    struct raft_message *raft = &message.raft;
    memset(raft, 0, sizeof(*raft));
    message.kind = WIRE_RAFT;
    *raft = (struct raft_message){
        .kind = kind, .from = random_name(), .to = random_name(), .term = random_counter()
    };
    switch (kind) {
    case RAFT_VOTE_REQUEST:
        raft->pre = random_bool();
        raft->transfer = random_bool();
        raft->voter = random_bool();
        raft->last_index = random_counter();
        raft->last_term = random_counter();
        raft->nonce = random_counter();
        break;
    case RAFT_VOTE_REPLY:
        raft->pre = random_bool();
        raft->granted = random_bool();
        raft->nonce = random_counter();
        break;
    case RAFT_APPEND_REQUEST:
        raft->prev_index = random_counter();
        raft->commit = random_counter();
        raft->match_index = random_counter();
        raft->nonce = random_counter();
        random_entries(raft, (uint8_t)random_below(RAFT_APPEND_MAX + 1));
        break;
    case RAFT_APPEND_REPLY:
        random_append_reply(raft);
        break;
    case RAFT_HEARTBEAT:
        raft->commit = random_counter();
        raft->match_index = random_counter();
        raft->round = random_counter();
        break;
    case RAFT_HEARTBEAT_REPLY:
        raft->round = random_counter();
        break;
    case RAFT_SNAPSHOT_REQUEST:
        random_chunk(raft);
        break;
    case RAFT_SNAPSHOT_REPLY:
        raft->snapshot_index = random_counter();
        raft->offset = random_counter();
        raft->installed = random_bool();
        raft->recovering = random_bool();
        raft->life = random_counter();
        break;
    case RAFT_RECOVER:
        raft->nonce = random_counter();
        raft->life = random_counter();
        break;
    case RAFT_RECOVER_REPLY:
        random_recover_reply(raft);
        break;
    case RAFT_TIMEOUT_NOW:
    case RAFT_MESSAGE_KINDS:
        break;
    }
}

static void random_items(struct lease_message *lease)
{
    lease->nonce = random_u64();
    lease->item_count = (uint8_t)random_below(HF_LEASES_PER_AGENT_MAX + 1);
    for (uint8_t i = 0; i < lease->item_count; i++) {
        lease->items[i].resource = random_name();
        lease->items[i].token = 1 + random_counter() / 2;
        lease->items[i].lost = lease->kind == LEASE_RENEWED && random_bool();
    }
}

static void random_lease(enum lease_message_kind kind)
{
    struct lease_message *lease = &message.lease;
    memset(lease, 0, sizeof(*lease));
    message.kind = WIRE_LEASE;
    lease->kind = kind;
    if (kind != LEASE_RENEW && kind != LEASE_RENEWED && kind != LEASE_LEADER)
        lease->resource = random_name();
    if (kind == LEASE_RELEASE || kind == LEASE_QUEUED || kind == LEASE_GRANTED ||
        kind == LEASE_RELEASED || kind == LEASE_YIELD || kind == LEASE_LOST)
        lease->token = 1 + random_counter() / 2;
    if (kind == LEASE_ACQUIRE || kind == LEASE_GRANTED)
        lease->ttl_us =
            LEASE_TTL_MIN_US + (int64_t)random_below(LEASE_TTL_MAX_US - LEASE_TTL_MIN_US + 1);
    if (kind == LEASE_RELEASE || kind == LEASE_REFUSED || kind == LEASE_YIELD)
        random_text(lease->text, sizeof(lease->text));
    if (kind == LEASE_RELEASE || kind == LEASE_RELEASED)
        lease->nonce = random_u64();
    if (kind == LEASE_RENEW || kind == LEASE_RENEWED)
        random_items(lease);
    if (kind == LEASE_ACQUIRE || kind == LEASE_GRANTED)
        lease->fence_us = (int64_t)random_below(LEASE_FENCE_MAX_US + 1);
    if (kind == LEASE_ACQUIRE) {
        lease->priority = (int32_t)random_below(2001) - 1000;
        lease->failback_auto = random_bool();
        lease->highest = random_bool() ? random_counter() : 0;
        random_text(lease->address, sizeof(lease->address));
    }
    if (kind == LEASE_RENEW) {
        lease->round_trip_us = (int64_t)random_counter();
        lease->slack_us = (int64_t)random_u64();
    }
    lease->fenced = kind == LEASE_RELEASE && random_bool();
    lease->term = kind == LEASE_LEADER ? random_counter() : 0;
    lease->position = kind == LEASE_QUEUED ? (uint32_t)random_u64() : 0;
    if (kind == LEASE_QUEUED || kind == LEASE_YIELD)
        lease->holder = random_name();
    if (kind == LEASE_REFUSED)
        do
            lease->refusal = (enum lease_refusal)(1 + random_below(LEASE_REFUSALS - 1));
        while (lease->refusal == LEASE_REFUSED_UNUSED);
}

static void random_hello(void)
{
    memset(&message.hello, 0, sizeof(message.hello));
    message.kind = WIRE_HELLO;
    message.hello.version = (uint32_t)random_u64();
    snprintf(message.hello.cluster, sizeof(message.hello.cluster), "line-%u",
             (unsigned)random_below(100000));
    message.hello.node = random_name();
    message.hello.issuer = random_bool();
    message.hello.agent = random_bool();
    message.hello.config_digest = random_u64();
}

static void random_query(enum wire_kind kind)
{
    struct wire_query *query = &message.query;
    memset(query, 0, sizeof(*query));
    message.kind = kind;
    query->id = random_u64();
    query->who = random_name();
    query->operator_role = random_bool();
    query->json = random_bool();
    query->last = kind == WIRE_QUERY_REPLY && random_bool();
    query->error = kind == WIRE_QUERY_REPLY ? (uint32_t)random_u64() : 0;
    query->length = (uint16_t)random_below(WIRE_TEXT_MAX + 1);
    for (uint16_t i = 0; i < query->length; i++)
        query->text[i] = (char)random_u64();
}

static void random_issuers(void)
{
    memset(&message.issuers, 0, sizeof(message.issuers));
    message.kind = WIRE_ISSUERS;
    message.issuers.index = random_counter();
    message.issuers.members = random_members();
}

static void random_store(void)
{
    memset(&message.store, 0, sizeof(message.store));
    message.kind = WIRE_STORE;
    message.store.sync_last_us = random_counter();
    message.store.sync_worst_us = random_counter();
    message.store.waiting_us = random_counter();
    message.store.written_bytes = random_counter();
    message.store.syncs = random_counter();
    message.store.slow = random_bool();
    message.store.failed = random_bool();
}

enum { SUBJECTS = 5 + RAFT_MESSAGE_KINDS + LEASE_MESSAGE_KINDS };

/* Every kind of frame has a number, so that tests can walk them all. */
static void random_subject(int subject)
{
    if (subject < RAFT_MESSAGE_KINDS)
        random_raft((enum raft_message_kind)subject);
    else if (subject < RAFT_MESSAGE_KINDS + LEASE_MESSAGE_KINDS)
        random_lease((enum lease_message_kind)(subject - RAFT_MESSAGE_KINDS));
    else if (subject == SUBJECTS - 1)
        random_hello();
    else if (subject == SUBJECTS - 2)
        random_store();
    else if (subject == SUBJECTS - 3)
        random_issuers();
    else
        random_query(subject == SUBJECTS - 4 ? WIRE_QUERY : WIRE_QUERY_REPLY);
}

static void assert_same_raft(const struct raft_message *a, const struct raft_message *b)
{
    struct raft_message x = *a;
    struct raft_message y = *b;
    assert_int_equal(x.entry_count, y.entry_count);
    for (uint8_t i = 0; i < x.entry_count; i++) {
        assert_int_equal(x.entries[i].index, y.entries[i].index);
        assert_int_equal(x.entries[i].term, y.entries[i].term);
        assert_int_equal(x.entries[i].kind, y.entries[i].kind);
        assert_int_equal(x.entries[i].length, y.entries[i].length);
        assert_memory_equal(x.entries[i].data, y.entries[i].data, x.entries[i].length);
    }
    assert_int_equal(x.chunk.length, y.chunk.length);
    if (x.chunk.length > 0)
        assert_memory_equal(x.chunk.data, y.chunk.data, x.chunk.length);
    assert_int_equal(x.members != NULL, y.members != NULL);
    if (x.members)
        assert_memory_equal(x.members, y.members, sizeof(*x.members));
    x.members = y.members = NULL;
    x.entries = y.entries = NULL;
    x.chunk = y.chunk = (struct bytes){ NULL, 0 };
    assert_memory_equal(&x, &y, sizeof(x));
}

static void assert_decoded_is_message(void)
{
    assert_int_equal(decoded.kind, message.kind);
    if (message.kind == WIRE_RAFT)
        assert_same_raft(&decoded.raft, &message.raft);
    else if (message.kind == WIRE_LEASE)
        assert_memory_equal(&decoded.lease, &message.lease, sizeof(message.lease));
    else if (message.kind == WIRE_HELLO)
        assert_memory_equal(&decoded.hello, &message.hello, sizeof(message.hello));
    else if (message.kind == WIRE_ISSUERS)
        assert_memory_equal(&decoded.issuers, &message.issuers, sizeof(message.issuers));
    else if (message.kind == WIRE_STORE)
        assert_memory_equal(&decoded.store, &message.store, sizeof(message.store));
    else
        assert_memory_equal(&decoded.query, &message.query,
                            offsetof(struct wire_query, text) + message.query.length);
}

static size_t encode_subject(int subject)
{
    random_subject(subject);
    size_t length = wire_encode(&message, frame, sizeof(frame));
    assert_true(length > 0);
    return length;
}

static const char *decode(size_t length)
{
    return wire_decode(&decoded, (struct bytes){ frame, length });
}

static void every_kind_comes_back_as_it_was_sent(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        for (int subject = 0; subject < SUBJECTS; subject++) {
            assert_null(decode(encode_subject(subject)));
            assert_decoded_is_message();
        }
    }
}

/* nanopb reads it, and writes the same again. */
static void assert_as_nanopb(const pb_msgdesc_t *descriptor, void *into, const uint8_t *bytes,
                             size_t length)
{
    static uint8_t again[WIRE_FRAME_MAX];
    pb_istream_t in = pb_istream_from_buffer(bytes, length);
    pb_ostream_t out = pb_ostream_from_buffer(again, sizeof(again));
    assert_true(pb_decode(&in, descriptor, into));
    assert_true(pb_encode(&out, descriptor, into));
    assert_int_equal(out.bytes_written, length);
    assert_memory_equal(again, bytes, length);
}

static void every_kind_is_written_as_nanopb_writes_it(void **state)
{
    static holdfast_Envelope raw_envelope;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        for (int subject = 0; subject < SUBJECTS; subject++)
            assert_as_nanopb(holdfast_Envelope_fields, &raw_envelope, frame,
                             encode_subject(subject));
    }
}

/* A copy of exact size, so that the sanitizer sees a read past the end. */
static const char *decode_copy(const uint8_t *data, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, data, length);
    const char *complaint = wire_decode(&decoded, (struct bytes){ copy, length });
    free(copy);
    return complaint;
}

/* What was accepted must be a message that could have been sent. */
static void assert_refused_or_valid(const char *complaint)
{
    static struct wire_message accepted;
    static uint8_t again[WIRE_FRAME_MAX];
    if (complaint) {
        assert_true(strlen(complaint) > 5);
        return;
    }
    accepted = decoded;
    if (accepted.kind == WIRE_RAFT) {
        accepted.raft.entries = accepted.raft.entry_count ? accepted.entries : NULL;
        accepted.raft.chunk.data = accepted.chunk;
    }
    size_t length = wire_encode(&accepted, again, sizeof(again));
    assert_true(length > 0);
    assert_null(wire_decode(&decoded, (struct bytes){ again, length }));
    assert_int_equal(decoded.kind, accepted.kind);
}

static void truncation_at_every_byte_is_survived(void **state)
{
    (void)state;
    for (int subject = 0; subject < SUBJECTS; subject++) {
        size_t length = encode_subject(subject);
        for (size_t cut = 0; cut < length; cut++)
            assert_non_null(decode_copy(frame, cut));
    }
}

static void every_flipped_bit_is_refused_or_valid(void **state)
{
    (void)state;
    for (int subject = 0; subject < SUBJECTS; subject++) {
        size_t length = encode_subject(subject);
        for (size_t bit = 0; bit < length * 8; bit++) {
            frame[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_refused_or_valid(decode_copy(frame, length));
            frame[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

static void noise_is_refused_or_valid(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t length = 1 + (size_t)random_below(60);
        for (size_t i = 0; i < length; i++)
            frame[i] = (uint8_t)random_u64();
        frame[0] = (uint8_t)((1 + random_below(5)) << 3 | 2);
        frame[1] = (uint8_t)(length > 2 ? length - 2 : 0);
        assert_refused_or_valid(decode_copy(frame, length));
    }
}

static void unknown_fields_are_skipped(void **state)
{
    (void)state;
    /* Field 99 as varint, 100 as bytes, 101 as fixed32, 102 as fixed64. */
    static const uint8_t unknown[] = {
        0x98, 0x06, 0x07, 0xA2, 0x06, 2, 'h', 'f', 0xAD, 0x06, 1, 2,
        3,    4,    0xB1, 0x06, 1,    2, 3,   4,   5,    6,    7, 8
    };
    random_lease(LEASE_RELEASED);
    size_t length = wire_encode(&message, frame, sizeof(frame));
    assert_true(length > 0 && length < 100);
    memcpy(frame + length, unknown, sizeof(unknown));
    assert_null(decode(length + sizeof(unknown)));
    assert_decoded_is_message();
    /* And inside the message: its length byte grows. */
    frame[1] = (uint8_t)(frame[1] + sizeof(unknown));
    assert_null(decode(length + sizeof(unknown)));
    assert_decoded_is_message();
}

static void frames_without_a_known_message_are_refused(void **state)
{
    (void)state;
    static const uint8_t future[] = { 0x52, 1, 0 };
    assert_string_equal(wire_decode(&decoded, (struct bytes){ future, sizeof(future) }),
                        "frame: no message of a known kind in it");
    assert_non_null(strstr(wire_decode(&decoded, (struct bytes){ future, 0 }), "length"));
    assert_non_null(
        strstr(wire_decode(&decoded, (struct bytes){ frame, WIRE_FRAME_MAX + 1 }), "length"));
}

/* Encodes a generated envelope, past what the codec itself would ever send. */
static holdfast_Envelope raw;

static const char *decode_raw(void)
{
    pb_ostream_t stream = pb_ostream_from_buffer(frame, sizeof(frame));
    assert_true(pb_encode(&stream, holdfast_Envelope_fields, &raw));
    return decode(stream.bytes_written);
}

static holdfast_Lease *raw_lease(holdfast_Lease_Kind kind)
{
    memset(&raw, 0, sizeof(raw));
    raw.which_body = holdfast_Envelope_lease_tag;
    raw.body.lease.kind = kind;
    return &raw.body.lease;
}

static holdfast_Raft *raw_raft(holdfast_Raft_Kind kind)
{
    memset(&raw, 0, sizeof(raw));
    raw.which_body = holdfast_Envelope_raft_tag;
    raw.body.raft.kind = kind;
    strcpy(raw.body.raft.from, "a");
    strcpy(raw.body.raft.to, "b");
    raw.body.raft.term = 9;
    return &raw.body.raft;
}

#define assert_complaint(complaint, word)                                                          \
    do {                                                                                           \
        const char *made = (complaint);                                                            \
        assert_non_null(made);                                                                     \
        if (!strstr(made, (word)))                                                                 \
            fail_msg("'%s' does not say '%s'", made, (word));                                      \
    } while (0)

static void lease_fields_out_of_range_are_named(void **state)
{
    (void)state;
    holdfast_Lease *lease = raw_lease(holdfast_Lease_Kind_UNSPECIFIED);
    assert_complaint(decode_raw(), "lease: unknown kind");
    lease = raw_lease((holdfast_Lease_Kind)(holdfast_Lease_Kind_NOTED + 1));
    assert_complaint(decode_raw(), "lease: unknown kind");
    lease = raw_lease(holdfast_Lease_Kind_ACQUIRE);
    assert_complaint(decode_raw(), "resource");
    strcpy(lease->resource, "pump");
    assert_complaint(decode_raw(), "ttl_us");
    lease->ttl_us = LEASE_TTL_MAX_US + 1;
    assert_complaint(decode_raw(), "ttl_us");
    lease->ttl_us = LEASE_TTL_MIN_US;
    assert_null(decode_raw());
    lease->fence_us = -1;
    assert_complaint(decode_raw(), "fence_us");
    lease->fence_us = LEASE_FENCE_MAX_US;
    lease->priority = 1001;
    assert_complaint(decode_raw(), "priority");
    lease->priority = -1000;
    assert_null(decode_raw());
    strcpy(lease->address, "a\nb");
    assert_complaint(decode_raw(), "address");
    strcpy(lease->address, "a:1");
    strcpy(lease->resource, "-pump");
    assert_complaint(decode_raw(), "resource");
}

/* Enums are 32 bits on the wire: found by a flipped bit, seed 1795232467. */
static void kinds_above_half_the_range_are_refused(void **state)
{
    (void)state;
    raw_raft((holdfast_Raft_Kind)3026984178u);
    assert_complaint(decode_raw(), "raft: unknown kind");
    raw_lease((holdfast_Lease_Kind)3026984178u);
    assert_complaint(decode_raw(), "lease: unknown kind");
    holdfast_Raft *raft = raw_raft(holdfast_Raft_Kind_APPEND_REQUEST);
    strcpy(raft->from, "a");
    strcpy(raft->to, "b");
    raft->term = 1;
    raft->entries_count = 1;
    raft->entries[0].term = 1;
    raft->entries[0].kind = (holdfast_Entry_Kind)3026984178u;
    assert_complaint(decode_raw(), "kind");
}

static void fields_of_other_kinds_are_refused(void **state)
{
    (void)state;
    holdfast_Lease *lease = raw_lease(holdfast_Lease_Kind_WITHDRAW);
    strcpy(lease->resource, "pump");
    assert_null(decode_raw());
    lease->token = 5;
    assert_complaint(decode_raw(), "token does not belong");
    lease->token = 0;
    lease->items_count = 1;
    strcpy(lease->items[0].resource, "pump");
    lease->items[0].token = 3;
    assert_complaint(decode_raw(), "items do not belong");
    holdfast_Raft *raft = raw_raft(holdfast_Raft_Kind_HEARTBEAT);
    assert_null(decode_raw());
    raft->granted = true;
    assert_complaint(decode_raw(), "granted does not belong");
    raft->granted = false;
    raft->chunk.size = 3;
    assert_complaint(decode_raw(), "chunk and members");
    lease = raw_lease(holdfast_Lease_Kind_RENEW);
    lease->items_count = 1;
    strcpy(lease->items[0].resource, "pump");
    lease->items[0].token = 3;
    lease->items[0].lost = true;
    assert_complaint(decode_raw(), "lost");
}

static void raft_fields_out_of_range_are_named(void **state)
{
    (void)state;
    holdfast_Raft *raft = raw_raft(holdfast_Raft_Kind_APPEND_REQUEST);
    raft->entries_count = 1;
    raft->entries[0].kind = holdfast_Entry_Kind_NOOP;
    raft->entries[0].term = 9;
    assert_null(decode_raw());
    raft->entries[0].term = 10;
    assert_complaint(decode_raw(), "term is out of order");
    raft->entries[0].term = 3;
    raft->prev_term = 4;
    assert_complaint(decode_raw(), "term is out of order");
    raft->prev_term = 3;
    raft->entries[0].data.size = 1;
    assert_complaint(decode_raw(), "data");
    raft->entries_count = 0;
    raft->prev_index = UINT64_MAX;
    assert_complaint(decode_raw(), "prev_index");
    raft = raw_raft(holdfast_Raft_Kind_SNAPSHOT_REQUEST);
    raft->snapshot_index = raft->snapshot_term = 1;
    raft->total = 2;
    raft->chunk.size = 3;
    assert_complaint(decode_raw(), "chunk goes past total");
    raft->total = 3;
    assert_complaint(decode_raw(), "members are missing");
    raft->has_members = true;
    assert_complaint(decode_raw(), "members: empty");
    raft->members.member_count = 2;
    strcpy(raft->members.member[0].id, "a");
    strcpy(raft->members.member[1].id, "a");
    assert_complaint(decode_raw(), "twice");
    strcpy(raft->members.member[1].id, "b");
    assert_complaint(decode_raw(), "no voter");
    raft->members.member[1].voter = true;
    raft->members.member[0].address[0] = '\n';
    assert_complaint(decode_raw(), "address");
    raft->members.member[0].address[0] = '\0';
    assert_null(decode_raw());
    raft->from[0] = '\0';
    assert_complaint(decode_raw(), "from");
}

/* Puts one length-delimited field of `length` bytes of `fill` at out; returns its size. */
static size_t put_field(uint8_t *out, uint8_t tag, size_t length, uint8_t fill)
{
    size_t head = 1;
    if (tag > 15)
        out[0] = (uint8_t)((tag << 3 | 2) | 0x80), out[head++] = (uint8_t)(tag >> 4);
    else
        out[0] = (uint8_t)(tag << 3 | 2);
    if (length > 127)
        out[head++] = (uint8_t)(length | 0x80), out[head++] = (uint8_t)(length >> 7);
    else
        out[head++] = (uint8_t)length;
    memset(out + head, fill, length);
    return head + length;
}

/* The frame becomes `content` wrapped as field `tag` of an envelope. */
static const char *decode_wrapped(uint8_t tag, const uint8_t *content, size_t length)
{
    size_t size = put_field(frame, tag, length, 0);
    memcpy(frame + size - length, content, length);
    return decode(size);
}

static void over_long_fields_are_named(void **state)
{
    (void)state;
    uint8_t content[4200];
    size_t length = put_field(content, 2, HF_NAME_MAX + 1, 'a');
    assert_complaint(decode_wrapped(3, content, length), "lease: resource is longer");
    assert_complaint(decode_wrapped(1, content, length), "hello: cluster is longer");
    assert_complaint(decode_wrapped(2, content, length), "raft: from is longer");
    length = put_field(content, 16, HF_ADDRESS_MAX + 1, 'a');
    assert_complaint(decode_wrapped(3, content, length), "lease: address is longer");
    length = put_field(content, 17, HF_REASON_MAX + 1, 'a');
    assert_complaint(decode_wrapped(3, content, length), "lease: text is longer");
    length = put_field(content, 25, RAFT_SNAPSHOT_CHUNK + 1, 'a');
    assert_complaint(decode_wrapped(2, content, length), "raft: chunk is longer");
    length = put_field(content, 7, WIRE_TEXT_MAX + 1, 'a');
    assert_complaint(decode_wrapped(4, content, length), "query: text is longer");
}

static void too_many_elements_are_named(void **state)
{
    (void)state;
    uint8_t content[400];
    size_t length = 0;
    for (int i = 0; i <= RAFT_APPEND_MAX; i++)
        length += put_field(content + length, 24, 0, 0);
    assert_complaint(decode_wrapped(2, content, length), "raft: entries are more than allowed");
    length = 0;
    for (int i = 0; i <= HF_LEASES_PER_AGENT_MAX; i++)
        length += put_field(content + length, 18, 0, 0);
    assert_complaint(decode_wrapped(3, content, length), "lease: items are more than allowed");
    length = 0;
    uint8_t members[40];
    for (int i = 0; i <= HF_ISSUERS_MAX; i++)
        length += put_field(members + length, 1, 0, 0);
    size_t outer = put_field(content, 23, length, 0);
    memcpy(content + outer - length, members, length);
    assert_complaint(decode_wrapped(2, content, outer), "members: member are more than allowed");
}

static void an_over_long_name_deep_inside_is_named(void **state)
{
    (void)state;
    uint8_t name[64];
    uint8_t item[128];
    uint8_t content[256];
    size_t length = put_field(name, 1, HF_NAME_MAX + 1, 'a');
    size_t outer = put_field(item, 18, length, 0);
    memcpy(item + outer - length, name, length);
    assert_complaint(decode_wrapped(3, item, outer), "item: resource is longer");
    outer = put_field(item, 1, length, 0);
    memcpy(item + outer - length, name, length);
    size_t outermost = put_field(content, 23, outer, 0);
    memcpy(content + outermost - outer, item, outer);
    assert_complaint(decode_wrapped(2, content, outermost), "member: id is longer");
}

static struct hf_name longest_name(void)
{
    struct hf_name name = { { 0 } };
    memset(name.text, 'n', HF_NAME_MAX);
    return name;
}

static struct lease_command longest_command(enum lease_command_kind kind)
{
    struct lease_command command = { .kind = kind,
                                     .resource = longest_name(),
                                     .holder = longest_name(),
                                     .who = longest_name(),
                                     .wall_us = -1 };
    memset(command.text, 't', HF_REASON_MAX);
    if (kind == LEASE_COMMAND_GRANT) {
        memset(command.address, 'a', HF_ADDRESS_MAX);
        command.ttl_us = LEASE_TTL_MAX_US;
        command.fence_us = LEASE_FENCE_MAX_US;
        command.priority = -LEASE_PRIORITY_MAX;
        command.ranked = command.transferred = command.settled = command.go = true;
    }
    if (kind == LEASE_COMMAND_GRANT || kind == LEASE_COMMAND_RELEASE ||
        kind == LEASE_COMMAND_EXPIRE || kind == LEASE_COMMAND_OVERRULE)
        command.token = (UINT64_C(1) << 62) - 1;
    command.go |= kind == LEASE_COMMAND_CLEAR;
    command.fenced = kind == LEASE_COMMAND_RELEASE;
    command.pinned = kind == LEASE_COMMAND_PIN;
    command.event = kind == LEASE_COMMAND_NOTE ? HISTORY_OPERATOR : HISTORY_GRANT;
    return command;
}

static void the_longest_command_fits_an_entry(void **state)
{
    (void)state;
    for (int kind = 0; kind < LEASE_COMMAND_KINDS; kind++) {
        uint8_t bytes[RAFT_ENTRY_DATA_MAX];
        struct lease_command command = longest_command((enum lease_command_kind)kind);
        struct lease_command back;
        holdfast_Command raw_command;
        size_t length = lease_command_encode(&command, bytes, sizeof(bytes));
        assert_true(length > 0);
        assert_as_nanopb(holdfast_Command_fields, &raw_command, bytes, length);
        assert_true(lease_command_decode(&back, (struct bytes){ bytes, length }));
        assert_memory_equal(&back, &command, sizeof(back));
        assert_int_equal(lease_command_encode(&command, bytes, length - 1), 0);
        for (size_t cut = 0; cut < length; cut++) {
            if (lease_command_decode(&back, (struct bytes){ bytes, cut }))
                assert_true(back.kind == command.kind);
        }
    }
}

static void the_longest_append_and_chunk_fit_a_frame(void **state)
{
    (void)state;
    random_raft(RAFT_APPEND_REQUEST);
    message.raft.from = message.raft.to = longest_name();
    message.raft.prev_index = (UINT64_C(1) << 62) - 100;
    random_entries(&message.raft, RAFT_APPEND_MAX);
    message.raft.term = (UINT64_C(1) << 62) - 1;
    for (int i = 0; i < RAFT_APPEND_MAX; i++) {
        message.entries[i].kind = RAFT_ENTRY_COMMAND;
        message.entries[i].term = (UINT64_C(1) << 62) - 1;
        message.entries[i].length = RAFT_ENTRY_DATA_MAX;
    }
    size_t length = wire_encode(&message, frame, sizeof(frame));
    assert_true(length > RAFT_APPEND_MAX * RAFT_ENTRY_DATA_MAX);
    assert_null(decode(length));
    assert_decoded_is_message();
    random_raft(RAFT_SNAPSHOT_REQUEST);
    message.raft.chunk.length = RAFT_SNAPSHOT_CHUNK;
    message.raft.total = message.raft.offset + RAFT_SNAPSHOT_CHUNK;
    length = wire_encode(&message, frame, sizeof(frame));
    assert_true(length > RAFT_SNAPSHOT_CHUNK);
    assert_null(decode(length));
    assert_decoded_is_message();
}

static void a_buffer_that_is_too_small_yields_nothing(void **state)
{
    (void)state;
    for (int subject = 0; subject < SUBJECTS; subject++) {
        size_t length = encode_subject(subject);
        assert_int_equal(wire_encode(&message, frame, length - 1), 0);
        assert_int_equal(wire_encode(&message, frame, length), length);
    }
}

static void malformed_commands_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[RAFT_ENTRY_DATA_MAX];
    struct lease_command back;
    struct lease_command command = longest_command(LEASE_COMMAND_RELEASE);
    command.token = 0;
    size_t length = lease_command_encode(&command, bytes, sizeof(bytes));
    assert_false(lease_command_decode(&back, (struct bytes){ bytes, length }));
    command = longest_command(LEASE_COMMAND_GRANT);
    command.ttl_us = LEASE_TTL_MIN_US - 1;
    length = lease_command_encode(&command, bytes, sizeof(bytes));
    assert_false(lease_command_decode(&back, (struct bytes){ bytes, length }));
    memset(&command.holder, 0, sizeof(command.holder));
    command.ttl_us = LEASE_TTL_MIN_US;
    length = lease_command_encode(&command, bytes, sizeof(bytes));
    assert_false(lease_command_decode(&back, (struct bytes){ bytes, length }));
    assert_false(lease_command_decode(&back, (struct bytes){ bytes, 0 }));
}

static void text_that_is_not_printable_is_made_so_when_sent(void **state)
{
    (void)state;
    random_lease(LEASE_YIELD);
    strcpy(message.lease.text, "by \x1b[31mhand\xff");
    assert_null(decode(wire_encode(&message, frame, sizeof(frame))));
    assert_string_equal(decoded.lease.text, "by ?[31mhand?");
}

static void members_records_and_events_come_back(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    holdfast_Members raw_members;
    holdfast_Record raw_record;
    holdfast_Event raw_event;
    for (int round = 0; round < ROUNDS; round++) {
        struct raft_members members = random_members();
        struct raft_members members_back;
        size_t length = raft_members_encode(&members, bytes, sizeof(bytes));
        assert_true(raft_members_decode(&members_back, (struct bytes){ bytes, length }));
        assert_memory_equal(&members_back, &members, sizeof(members));
        assert_as_nanopb(holdfast_Members_fields, &raw_members, bytes, length);
        struct lease_record record = { .resource = random_name(), .last_token = random_counter() };
        struct lease_record record_back;
        if (record.last_token > 0 && random_bool()) {
            record.holder = random_name();
            record.token = record.last_token;
            record.abandoned = random_bool();
            record.ttl_us = LEASE_TTL_MIN_US;
            record.fence_us = (int64_t)random_below(LEASE_FENCE_MAX_US);
            record.priority = (int32_t)random_below(2 * LEASE_PRIORITY_MAX) - LEASE_PRIORITY_MAX;
            record.ranked = random_bool();
            record.transferred = random_bool();
            random_text(record.address, sizeof(record.address));
        }
        length = lease_record_encode(&record, bytes, sizeof(bytes));
        assert_true(lease_record_decode(&record_back, (struct bytes){ bytes, length }));
        assert_memory_equal(&record_back, &record, sizeof(record));
        assert_as_nanopb(holdfast_Record_fields, &raw_record, bytes, length);
        struct history_event event = { .index = random_counter(),
                                       .wall_us = (int64_t)random_u64(),
                                       .kind = (enum history_kind)random_below(HISTORY_KINDS),
                                       .resource = random_name(),
                                       .holder = random_name(),
                                       .token = random_counter(),
                                       .who = random_name() };
        struct history_event event_back;
        random_text(event.text, sizeof(event.text));
        length = history_event_encode(&event, bytes, sizeof(bytes));
        assert_true(history_event_decode(&event_back, (struct bytes){ bytes, length }));
        assert_memory_equal(&event_back, &event, sizeof(event));
        assert_as_nanopb(holdfast_Event_fields, &raw_event, bytes, length);
    }
}

static void a_record_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct lease_record back;
    struct lease_record record = {
        .resource = longest_name(), .last_token = 4, .token = 4, .ttl_us = LEASE_TTL_MIN_US
    };
    size_t length = lease_record_encode(&record, bytes, sizeof(bytes));
    assert_false(lease_record_decode(&back, (struct bytes){ bytes, length }));
    record.holder = longest_name();
    length = lease_record_encode(&record, bytes, sizeof(bytes));
    assert_true(lease_record_decode(&back, (struct bytes){ bytes, length }));
    record.token = 5;
    length = lease_record_encode(&record, bytes, sizeof(bytes));
    assert_false(lease_record_decode(&back, (struct bytes){ bytes, length }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was_sent),
        cmocka_unit_test(every_kind_is_written_as_nanopb_writes_it),
        cmocka_unit_test(truncation_at_every_byte_is_survived),
        cmocka_unit_test(every_flipped_bit_is_refused_or_valid),
        cmocka_unit_test(noise_is_refused_or_valid),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(frames_without_a_known_message_are_refused),
        cmocka_unit_test(lease_fields_out_of_range_are_named),
        cmocka_unit_test(kinds_above_half_the_range_are_refused),
        cmocka_unit_test(fields_of_other_kinds_are_refused),
        cmocka_unit_test(raft_fields_out_of_range_are_named),
        cmocka_unit_test(over_long_fields_are_named),
        cmocka_unit_test(too_many_elements_are_named),
        cmocka_unit_test(an_over_long_name_deep_inside_is_named),
        cmocka_unit_test(the_longest_command_fits_an_entry),
        cmocka_unit_test(the_longest_append_and_chunk_fit_a_frame),
        cmocka_unit_test(a_buffer_that_is_too_small_yields_nothing),
        cmocka_unit_test(malformed_commands_are_refused),
        cmocka_unit_test(text_that_is_not_printable_is_made_so_when_sent),
        cmocka_unit_test(members_records_and_events_come_back),
        cmocka_unit_test(a_record_that_contradicts_itself_is_refused),
    };
    const char *given = getenv("HOLDFAST_SEED");
    random_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu (HOLDFAST_SEED repeats it)\n", (unsigned long long)random_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
