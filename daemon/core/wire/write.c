/*
 * Frames -> bytes, straight from the generated field lists, the same bytes as nanopb's encoder. That
 * one looks each field up in packed descriptors, and goes over nested messages twice, first for the
 * length. README.md has the figures.
 */
#include <string.h>

#include "wire/wire_internal.h"

enum { WIRE_TYPE_VARINT, WIRE_TYPE_64BIT, WIRE_TYPE_BYTES, VARINT_STEP = 128 };

struct writer {
    uint8_t *at;
    const uint8_t *end;
    bool full; /* something did not fit: there is no result */
};

static inline void write_varint(struct writer *out, uint64_t value)
{
    while (out->at < out->end && value >= VARINT_STEP) {
        *out->at++ = (uint8_t)(value | VARINT_STEP);
        value /= VARINT_STEP;
    }
    if (out->at < out->end)
        *out->at++ = (uint8_t)value;
    else
        out->full = true;
}

static inline void write_tag(struct writer *out, uint32_t number, uint32_t type)
{
    write_varint(out, number << 3 | type);
}

/* A field that has its default value is not written at all. */
static inline void write_number(struct writer *out, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    write_tag(out, number, WIRE_TYPE_VARINT);
    write_varint(out, value);
}

static inline uint64_t zigzag(int64_t value)
{
    uint64_t doubled = (uint64_t)value << 1;
    return value < 0 ? ~doubled : doubled;
}

static void write_fixed64(struct writer *out, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    write_tag(out, number, WIRE_TYPE_64BIT);
    out->full = out->full || out->end - out->at < 8;
    for (unsigned shift = 0; shift < 64 && !out->full; shift += 8)
        *out->at++ = (uint8_t)(value >> shift);
}

static void write_bytes(struct writer *out, uint32_t number, const void *data, size_t length)
{
    if (length == 0)
        return;
    write_tag(out, number, WIRE_TYPE_BYTES);
    write_varint(out, length);
    if (out->full || (size_t)(out->end - out->at) < length) {
        out->full = true;
        return;
    }
    memcpy(out->at, data, length);
    out->at += length;
}

/* Leaves one byte for the length, which is enough for most: returns where the content begins. */
static uint8_t *nested_begin(struct writer *out, uint32_t number)
{
    write_tag(out, number, WIRE_TYPE_BYTES);
    write_varint(out, 0);
    return out->at;
}

static void nested_end(struct writer *out, uint8_t *content)
{
    size_t length = (size_t)(out->at - content);
    size_t more = 0;
    for (size_t rest = length / VARINT_STEP; rest > 0; rest /= VARINT_STEP)
        more++;
    if (out->full || (size_t)(out->end - out->at) < more) {
        out->full = true;
        return;
    }
    memmove(content + more, content, length);
    out->at = content - 1;
    write_varint(out, length);
    out->at += length;
}

/* ---- one writer for each message, made of its field list; the arguments are names */

/* NOLINTBEGIN(bugprone-macro-parentheses) */

#define WRITE(message, allocation, label, type, field, number)                                     \
    WRITE_##label##_##type(message, field, number)
#define WRITE_SINGULAR_UENUM(message, field, number)                                               \
    write_number(out, number, (uint64_t)message->field);
#define WRITE_SINGULAR_BOOL(message, field, number)   write_number(out, number, message->field);
#define WRITE_SINGULAR_UINT32(message, field, number) write_number(out, number, message->field);
#define WRITE_SINGULAR_UINT64(message, field, number) write_number(out, number, message->field);
#define WRITE_SINGULAR_INT64(message, field, number)                                               \
    write_number(out, number, (uint64_t)message->field);
#define WRITE_SINGULAR_SINT32(message, field, number)                                              \
    write_number(out, number, zigzag(message->field));
#define WRITE_SINGULAR_SINT64(message, field, number)                                              \
    write_number(out, number, zigzag(message->field));
#define WRITE_SINGULAR_FIXED64(message, field, number) write_fixed64(out, number, message->field);
#define WRITE_SINGULAR_STRING(message, field, number)                                              \
    write_bytes(out, number, message->field, strlen(message->field));
#define WRITE_SINGULAR_BYTES(message, field, number)                                               \
    write_bytes(out, number, message->field.bytes, message->field.size);
#define WRITE_OPTIONAL_MESSAGE(message, field, number)                                             \
    if (message->has_##field) {                                                                    \
        uint8_t *content = nested_begin(out, number);                                              \
        write_##field(out, &message->field);                                                       \
        nested_end(out, content);                                                                  \
    }
#define WRITE_REPEATED_MESSAGE(message, field, number)                                             \
    for (pb_size_t i = 0; i < message->field##_count; i++) {                                       \
        uint8_t *content = nested_begin(out, number);                                              \
        write_##field(out, &message->field[i]);                                                    \
        nested_end(out, content);                                                                  \
    }

/* Named after the field that holds them, as the lists know no more of what is nested. */
#define WRITER(field, type)                                                                        \
    static void write_##field(struct writer *out, const holdfast_##type *message)                  \
    {                                                                                              \
        holdfast_##type##_FIELDLIST(WRITE, message)                                                \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
WRITER(member, Member)
WRITER(members, Members)
WRITER(entries, Entry)
WRITER(items, Item)
WRITER(hello, Hello)
WRITER(raft, Raft)
WRITER(lease, Lease)
WRITER(query, Query)
WRITER(store, Store)
WRITER(issuers, Issuers)

size_t wire_write_envelope(const holdfast_Envelope *envelope, uint8_t *out, size_t capacity)
{
    struct writer writer = { .at = out, .end = out + capacity };
    uint8_t *content = nested_begin(&writer, envelope->which_body);
    switch (envelope->which_body) {
    case holdfast_Envelope_hello_tag:
        write_hello(&writer, &envelope->body.hello);
        break;
    case holdfast_Envelope_raft_tag:
        write_raft(&writer, &envelope->body.raft);
        break;
    case holdfast_Envelope_lease_tag:
        write_lease(&writer, &envelope->body.lease);
        break;
    case holdfast_Envelope_query_tag:
        write_query(&writer, &envelope->body.query);
        break;
    case holdfast_Envelope_query_reply_tag:
        write_query(&writer, &envelope->body.query_reply);
        break;
    case holdfast_Envelope_store_tag:
        write_store(&writer, &envelope->body.store);
        break;
    case holdfast_Envelope_issuers_tag:
        write_issuers(&writer, &envelope->body.issuers);
        break;
    default:
        return 0;
    }
    nested_end(&writer, content);
    return writer.full ? 0 : (size_t)(writer.at - out);
}
