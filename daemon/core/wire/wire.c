#include "wire/wire.h"

#include <stddef.h>
#include <string.h>

#include <pb_decode.h>

#include "wire/wire_internal.h"

_Static_assert(sizeof(((holdfast_Query *)0)->text.bytes) == WIRE_TEXT_MAX,
               "holdfast.options follows wire.h");
_Static_assert(sizeof(((holdfast_Hello *)0)->cluster) == sizeof(((struct wire_hello *)0)->cluster),
               "holdfast.options follows wire.h");

/*
 * The generated form of the frame at hand: about 10 KB, too much for a small stack. One thread of a
 * process uses the codec.
 */
static holdfast_Envelope scratch;

static size_t encode_scratch(uint8_t *out, size_t capacity)
{
    return wire_write_envelope(&scratch, out,
                               capacity < WIRE_FRAME_MAX ? capacity : WIRE_FRAME_MAX);
}

size_t wire_encode_raft(const struct raft_message *message, uint8_t *out, size_t capacity)
{
    scratch.which_body = holdfast_Envelope_raft_tag;
    wire_pack_raft(&scratch.body.raft, message);
    return encode_scratch(out, capacity);
}

size_t wire_encode_lease(const struct lease_message *message, uint8_t *out, size_t capacity)
{
    scratch.which_body = holdfast_Envelope_lease_tag;
    wire_pack_lease(&scratch.body.lease, message);
    return encode_scratch(out, capacity);
}

static size_t encode_hello(const struct wire_hello *hello, uint8_t *out, size_t capacity)
{
    holdfast_Hello *to = &scratch.body.hello;
    scratch.which_body = holdfast_Envelope_hello_tag;
    memset(to, 0, sizeof(*to));
    to->version = hello->version;
    fields_pack_text(to->cluster, sizeof(to->cluster), hello->cluster);
    fields_pack_name(to->node, &hello->node);
    to->issuer = hello->issuer;
    to->agent = hello->agent;
    to->config_digest = hello->config_digest;
    fields_pack_text(to->console, sizeof(to->console), hello->console);
    return encode_scratch(out, capacity);
}

static size_t encode_query(const struct wire_query *query, bool reply, uint8_t *out,
                           size_t capacity)
{
    holdfast_Query *to = &scratch.body.query;
    if (query->length > WIRE_TEXT_MAX)
        return 0;
    scratch.which_body = reply ? holdfast_Envelope_query_reply_tag : holdfast_Envelope_query_tag;
    memset(to, 0, offsetof(holdfast_Query, text));
    to->id = query->id;
    fields_pack_name(to->who, &query->who);
    to->operator_role = query->operator_role;
    to->json = query->json;
    to->last = reply && query->last;
    to->error = reply ? query->error : 0;
    to->text.size = query->length;
    memcpy(to->text.bytes, query->text, query->length);
    return encode_scratch(out, capacity);
}

static size_t encode_issuers(const struct wire_issuers *issuers, uint8_t *out, size_t capacity)
{
    holdfast_Issuers *to = &scratch.body.issuers;
    scratch.which_body = holdfast_Envelope_issuers_tag;
    memset(to, 0, sizeof(*to));
    to->index = issuers->index;
    to->has_members = true;
    raft_members_pack(&to->members, &issuers->members);
    return encode_scratch(out, capacity);
}

static size_t encode_store(const struct wire_store *store, uint8_t *out, size_t capacity)
{
    scratch.which_body = holdfast_Envelope_store_tag;
    scratch.body.store = (holdfast_Store){
        .sync_last_us = store->sync_last_us,
        .sync_worst_us = store->sync_worst_us,
        .waiting_us = store->waiting_us,
        .written_bytes = store->written_bytes,
        .syncs = store->syncs,
        .slow = store->slow,
        .failed = store->failed,
    };
    return encode_scratch(out, capacity);
}

size_t wire_encode(const struct wire_message *message, uint8_t *out, size_t capacity)
{
    switch (message->kind) {
    case WIRE_HELLO:
        return encode_hello(&message->hello, out, capacity);
    case WIRE_RAFT:
        return wire_encode_raft(&message->raft, out, capacity);
    case WIRE_LEASE:
        return wire_encode_lease(&message->lease, out, capacity);
    case WIRE_QUERY:
        return encode_query(&message->query, false, out, capacity);
    case WIRE_QUERY_REPLY:
        return encode_query(&message->query, true, out, capacity);
    case WIRE_STORE:
        return encode_store(&message->store, out, capacity);
    case WIRE_ISSUERS:
        return encode_issuers(&message->issuers, out, capacity);
    case WIRE_KINDS:
        break;
    }
    return 0;
}

static const char *unpack_hello(struct wire_hello *out, const holdfast_Hello *hello)
{
    memset(out, 0, sizeof(*out));
    /* Whether the version suits is the receiver's to say: it can name both in its log. */
    out->version = hello->version;
    if (hello->cluster[0] == '\0' ||
        !fields_unpack_text(out->cluster, sizeof(out->cluster), hello->cluster))
        return "hello: cluster is empty or not printable";
    if (!fields_unpack_name(&out->node, hello->node, true))
        return "hello: node is not a name";
    out->issuer = hello->issuer;
    out->agent = hello->agent;
    out->config_digest = hello->config_digest;
    if (!fields_unpack_text(out->console, sizeof(out->console), hello->console))
        return "hello: console is not printable";
    return NULL;
}

static const char *unpack_query(struct wire_query *out, const holdfast_Query *query, bool reply)
{
    if (!fields_unpack_name(&out->who, query->who, !reply))
        return "query: who is not a name";
    if (!reply && (query->last || query->error != 0))
        return "query: last and error belong to a reply";
    out->id = query->id;
    out->operator_role = query->operator_role;
    out->json = query->json;
    out->last = query->last;
    out->error = query->error;
    out->length = query->text.size;
    memcpy(out->text, query->text.bytes, query->text.size);
    return NULL;
}

static const char *unpack_issuers(struct wire_issuers *out, const holdfast_Issuers *issuers)
{
    if (issuers->index >= FIELDS_COUNTER_MAX)
        return "issuers: index is out of range, up to 2^62 is allowed";
    if (!issuers->has_members)
        return "issuers: members are missing";
    out->index = issuers->index;
    return raft_members_unpack(&out->members, &issuers->members);
}

static const char *unpack_store(struct wire_store *out, const holdfast_Store *store)
{
    memset(out, 0, sizeof(*out));
    if (store->sync_last_us >= FIELDS_COUNTER_MAX || store->sync_worst_us >= FIELDS_COUNTER_MAX ||
        store->waiting_us >= FIELDS_COUNTER_MAX || store->written_bytes >= FIELDS_COUNTER_MAX ||
        store->syncs >= FIELDS_COUNTER_MAX)
        return "store: a figure is out of range, up to 2^62 is allowed";
    out->sync_last_us = store->sync_last_us;
    out->sync_worst_us = store->sync_worst_us;
    out->waiting_us = store->waiting_us;
    out->written_bytes = store->written_bytes;
    out->syncs = store->syncs;
    out->slow = store->slow;
    out->failed = store->failed;
    return NULL;
}

static const char *unpack_envelope(struct wire_message *out)
{
    struct wire_raft_parts parts = { out->entries, out->chunk, &out->members };
    switch (scratch.which_body) {
    case holdfast_Envelope_hello_tag:
        out->kind = WIRE_HELLO;
        return unpack_hello(&out->hello, &scratch.body.hello);
    case holdfast_Envelope_raft_tag:
        out->kind = WIRE_RAFT;
        return wire_unpack_raft(&out->raft, &parts, &scratch.body.raft);
    case holdfast_Envelope_lease_tag:
        out->kind = WIRE_LEASE;
        return wire_unpack_lease(&out->lease, &scratch.body.lease);
    case holdfast_Envelope_query_tag:
        out->kind = WIRE_QUERY;
        return unpack_query(&out->query, &scratch.body.query, false);
    case holdfast_Envelope_query_reply_tag:
        out->kind = WIRE_QUERY_REPLY;
        return unpack_query(&out->query, &scratch.body.query_reply, true);
    case holdfast_Envelope_store_tag:
        out->kind = WIRE_STORE;
        return unpack_store(&out->store, &scratch.body.store);
    case holdfast_Envelope_issuers_tag:
        out->kind = WIRE_ISSUERS;
        return unpack_issuers(&out->issuers, &scratch.body.issuers);
    default:
        return "frame: no message of a known kind in it";
    }
}

/*
 * Clears what an envelope's body needs clear: the lists in it are large, and their counts say
 * what is in them. Returns its descriptor, NULL for a tag that is no body's.
 */
static const pb_msgdesc_t *clear_body(uint32_t tag)
{
    switch (tag) {
    case holdfast_Envelope_hello_tag:
        memset(&scratch.body.hello, 0, sizeof(scratch.body.hello));
        return holdfast_Hello_fields;
    case holdfast_Envelope_raft_tag:
        wire_clear_raft(&scratch.body.raft);
        return holdfast_Raft_fields;
    case holdfast_Envelope_lease_tag:
        memset(&scratch.body.lease, 0, offsetof(holdfast_Lease, items));
        scratch.body.lease.highest = 0; /* behind them */
        return holdfast_Lease_fields;
    case holdfast_Envelope_query_tag:
    case holdfast_Envelope_query_reply_tag:
        memset(&scratch.body.query, 0, offsetof(holdfast_Query, text));
        scratch.body.query.text.size = 0;
        return holdfast_Query_fields;
    case holdfast_Envelope_store_tag:
        memset(&scratch.body.store, 0, sizeof(scratch.body.store));
        return holdfast_Store_fields;
    case holdfast_Envelope_issuers_tag:
        memset(&scratch.body.issuers, 0, sizeof(scratch.body.issuers));
        return holdfast_Issuers_fields;
    default:
        return NULL;
    }
}

/*
 * As pb_decode() of an envelope, which would clear the largest body there is for each frame. Of
 * several bodies the last one counts.
 */
static bool decode_envelope(pb_istream_t *stream)
{
    pb_wire_type_t wire_type;
    uint32_t tag;
    bool end = false;
    scratch.which_body = 0;
    while (pb_decode_tag(stream, &wire_type, &tag, &end)) {
        const pb_msgdesc_t *descriptor = clear_body(tag);
        pb_istream_t body;
        if (tag == 0)
            return false;
        if (!descriptor) {
            if (!pb_skip_field(stream, wire_type))
                return false;
            continue;
        }
        if (wire_type != PB_WT_STRING || !pb_make_string_substream(stream, &body) ||
            !pb_decode_ex(&body, descriptor, &scratch.body, PB_DECODE_NOINIT) ||
            !pb_close_string_substream(stream, &body))
            return false;
        scratch.which_body = (pb_size_t)tag;
    }
    return end;
}

const char *wire_decode(struct wire_message *out, struct bytes frame)
{
    if (frame.length == 0 || frame.length > WIRE_FRAME_MAX)
        return "frame: length is out of range, 1 to 16384 bytes are allowed";
    pb_istream_t stream = pb_istream_from_buffer(frame.data, frame.length);
    if (!decode_envelope(&stream))
        return wire_explain_refusal(frame.data, frame.length);
    return unpack_envelope(out);
}
