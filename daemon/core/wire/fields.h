/*
 * Internal to core/wire: what the conversions of every message share.
 *
 * Complaints are static text that names the message and the field. A conversion to a generated
 * struct (pack) takes over only the fields that the message's kind uses; a conversion from one
 * (unpack) refuses a field that the kind does not use.
 */
#ifndef HOLDFAST_CORE_WIRE_FIELDS_H
#define HOLDFAST_CORE_WIRE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"
#include "holdfast.pb.h"
#include "lease/message.h"
#include "lease/table.h"
#include "raft/raft.h"

/* Indexes, terms, tokens, rounds and sizes stay below this, so that sums of two never wrap. */
#define WIRE_COUNTER_MAX (UINT64_C(1) << 62)

/* Copies a name into a generated string of the same size. */
void fields_pack_name(char out[HF_NAME_MAX + 1], const struct hf_name *name);

/* Copies text of a string of `size` bytes; what is not printable ASCII becomes '?'. */
void fields_pack_text(char *out, size_t size, const char *text);

/* True for a valid name, or an empty one if not `required`. */
bool fields_unpack_name(struct hf_name *out, const char *text, bool required);

/* True if the text is printable ASCII; then copied and zero filled. */
bool fields_unpack_text(char *out, size_t size, const char *text);

static inline bool fields_in_range(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/* Clears all but the lists, which are large: their counts say what is in them. */
void fields_clear_raft(holdfast_Raft *out);
void fields_pack_raft(holdfast_Raft *out, const struct raft_message *message);
void fields_pack_members(holdfast_Members *out, const struct raft_members *members);
void fields_pack_lease(holdfast_Lease *out, const struct lease_message *message);
void fields_pack_command(holdfast_Command *out, const struct lease_command *command);
void fields_pack_record(holdfast_Record *out, const struct lease_record *record);
void fields_pack_event(holdfast_Event *out, const struct history_event *event);

/*
 * Bytes of a generated struct, as nanopb would encode it. Return their number, 0 if `capacity` is too
 * small; of an envelope, which_body says what it holds.
 */
size_t fields_write_envelope(const holdfast_Envelope *envelope, uint8_t *out, size_t capacity);
size_t fields_write_members(const holdfast_Members *members, uint8_t *out, size_t capacity);
size_t fields_write_command(const holdfast_Command *command, uint8_t *out, size_t capacity);
size_t fields_write_record(const holdfast_Record *record, uint8_t *out, size_t capacity);
size_t fields_write_event(const holdfast_Event *event, uint8_t *out, size_t capacity);

/* Memory for what a raft message points to. */
struct fields_raft_parts {
    struct raft_entry *entries;
    uint8_t *chunk;
    struct raft_members *members;
};

/* Return NULL or a complaint. `parts` receive what *out then points to. */
const char *fields_unpack_raft(struct raft_message *out, struct fields_raft_parts *parts,
                               const holdfast_Raft *message);
const char *fields_unpack_members(struct raft_members *out, const holdfast_Members *members);
const char *fields_unpack_lease(struct lease_message *out, const holdfast_Lease *message);
const char *fields_unpack_command(struct lease_command *out, const holdfast_Command *command);
const char *fields_unpack_record(struct lease_record *out, const holdfast_Record *record);
const char *fields_unpack_event(struct history_event *out, const holdfast_Event *event);

/*
 * Why nanopb refused an envelope: the field that is longer than its limit, or the list with too
 * many elements; "frame: not a valid message" if it is neither.
 */
const char *fields_explain_refusal(const uint8_t *data, size_t length);

#endif
