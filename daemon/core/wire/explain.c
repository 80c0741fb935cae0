/*
 * Names the field for which nanopb refused an envelope. nanopb's own text says "string overflow"
 * without saying which string; the generated field lists know the names. Runs on refusal only.
 */
#include <pb_common.h>
#include <pb_decode.h>

#include "wire/wire_internal.h"

struct complaint {
    uint32_t tag;
    const char *text;
};

#define SINGULAR_TEXT(message, field) message ": " #field " is longer than allowed"
#define OPTIONAL_TEXT(message, field) SINGULAR_TEXT(message, field)
#define REPEATED_TEXT(message, field) message ": " #field " are more than allowed"
#define COMPLAINT(message, allocation, label, type, field, number)                                 \
    { number, label##_TEXT(message, field) },

static const struct complaint hello_complaints[] = { holdfast_Hello_FIELDLIST(COMPLAINT, "hello") };
static const struct complaint raft_complaints[] = { holdfast_Raft_FIELDLIST(COMPLAINT, "raft") };
static const struct complaint entry_complaints[] = { holdfast_Entry_FIELDLIST(COMPLAINT, "entry") };
static const struct complaint members_complaints[] = { holdfast_Members_FIELDLIST(COMPLAINT,
                                                                                  "members") };
static const struct complaint member_complaints[] = { holdfast_Member_FIELDLIST(COMPLAINT,
                                                                                "member") };
static const struct complaint lease_complaints[] = { holdfast_Lease_FIELDLIST(COMPLAINT, "lease") };
static const struct complaint item_complaints[] = { holdfast_Item_FIELDLIST(COMPLAINT, "item") };
static const struct complaint issuers_complaints[] = { holdfast_Issuers_FIELDLIST(COMPLAINT,
                                                                                  "issuers") };
static const struct complaint query_complaints[] = { holdfast_Query_FIELDLIST(COMPLAINT, "query") };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const pb_msgdesc_t *descriptor;
    const struct complaint *complaints;
    size_t count;
} messages[] = {
    { &holdfast_Hello_msg, hello_complaints, COUNT_OF(hello_complaints) },
    { &holdfast_Raft_msg, raft_complaints, COUNT_OF(raft_complaints) },
    { &holdfast_Entry_msg, entry_complaints, COUNT_OF(entry_complaints) },
    { &holdfast_Members_msg, members_complaints, COUNT_OF(members_complaints) },
    { &holdfast_Member_msg, member_complaints, COUNT_OF(member_complaints) },
    { &holdfast_Lease_msg, lease_complaints, COUNT_OF(lease_complaints) },
    { &holdfast_Item_msg, item_complaints, COUNT_OF(item_complaints) },
    { &holdfast_Issuers_msg, issuers_complaints, COUNT_OF(issuers_complaints) },
    { &holdfast_Query_msg, query_complaints, COUNT_OF(query_complaints) },
};

static const char unexplained[] = "frame: not a valid message";

static const char *complaint_about(const pb_msgdesc_t *descriptor, uint32_t tag)
{
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        for (size_t j = 0; messages[i].descriptor == descriptor && j < messages[i].count; j++) {
            if (messages[i].complaints[j].tag == tag)
                return messages[i].complaints[j].text;
        }
    }
    return unexplained;
}

/* Bytes of content that a string or bytes field holds; SIZE_MAX for other types. */
static size_t content_max(const pb_field_iter_t *field)
{
    switch (PB_LTYPE(field->type)) {
    case PB_LTYPE_STRING:
        return field->data_size - 1u;
    case PB_LTYPE_BYTES:
        return field->data_size - offsetof(pb_bytes_array_t, bytes);
    default:
        return SIZE_MAX;
    }
}

enum { EXPLAIN_DEPTH = 5 }; /* envelope, raft, members, member, and one spare */

/* One message that the walk is inside of. A message of this format has at most one list. */
struct level {
    pb_istream_t stream;
    const pb_msgdesc_t *descriptor;
    uint32_t list_count;
};

/*
 * Looks at one field of the innermost message. Returns a complaint, or NULL with either the field
 * behind, or *depth one deeper, into it.
 */
static const char *examine_field(struct level *levels, size_t *depth)
{
    struct level *level = &levels[*depth];
    pb_wire_type_t wire_type;
    uint32_t tag;
    uint32_t length;
    bool end;
    pb_field_iter_t field;
    if (!pb_decode_tag(&level->stream, &wire_type, &tag, &end))
        return unexplained;
    bool known =
        pb_field_iter_begin(&field, level->descriptor, NULL) && pb_field_iter_find(&field, tag);
    if (known && PB_HTYPE(field.type) == PB_HTYPE_REPEATED &&
        ++level->list_count > field.array_size)
        return complaint_about(level->descriptor, tag);
    if (!known || wire_type != PB_WT_STRING)
        return pb_skip_field(&level->stream, wire_type) ? NULL : unexplained;
    if (!pb_decode_varint32(&level->stream, &length))
        return unexplained;
    if (length > content_max(&field))
        return complaint_about(level->descriptor, tag);
    if (length > level->stream.bytes_left)
        return unexplained;
    if (PB_LTYPE_IS_SUBMSG(field.type) && *depth + 1 < EXPLAIN_DEPTH) {
        struct level *inner = &levels[++*depth];
        *inner = (struct level){ .stream = level->stream, .descriptor = field.submsg_desc };
        inner->stream.bytes_left = length;
    }
    return pb_read(&level->stream, NULL, length) ? NULL : unexplained;
}

const char *wire_explain_refusal(const uint8_t *data, size_t length)
{
    struct level levels[EXPLAIN_DEPTH] = { 0 };
    size_t depth = 0;
    levels[0].stream = pb_istream_from_buffer(data, length);
    levels[0].descriptor = &holdfast_Envelope_msg;
    for (;;) {
        while (depth > 0 && levels[depth].stream.bytes_left == 0)
            depth--;
        if (levels[depth].stream.bytes_left == 0)
            return unexplained;
        const char *complaint = examine_field(levels, &depth);
        if (complaint)
            return complaint;
    }
}
