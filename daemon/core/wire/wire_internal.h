/*
 * Internal to core/wire: the conversions that the frame codec (wire.c) is made of. What they share
 * with the codecs of log and journal is base/fields.h.
 */
#ifndef HOLDFAST_CORE_WIRE_INTERNAL_H
#define HOLDFAST_CORE_WIRE_INTERNAL_H

#include "base/fields.h"
#include "holdfast.pb.h"
#include "lease/lease_message.h"
#include "raft/members_codec.h"
#include "raft/raft.h"

/* Clears all but the lists, which are large: their counts say what is in them. */
void wire_clear_raft(holdfast_Raft *out);
void wire_pack_raft(holdfast_Raft *out, const struct raft_message *message);
void wire_pack_lease(holdfast_Lease *out, const struct lease_message *message);

/*
 * Bytes of a frame, as nanopb would encode it. Returns their number, 0 if `capacity` is too small;
 * which_body says what it holds.
 */
size_t wire_write_envelope(const holdfast_Envelope *envelope, uint8_t *out, size_t capacity);

/* Memory for what a raft message points to. */
struct wire_raft_parts {
    struct raft_entry *entries;
    uint8_t *chunk;
    struct raft_members *members;
};

/* Return NULL or a complaint. `parts` receive what *out then points to. */
const char *wire_unpack_raft(struct raft_message *out, struct wire_raft_parts *parts,
                             const holdfast_Raft *message);
const char *wire_unpack_lease(struct lease_message *out, const holdfast_Lease *message);

/*
 * Why nanopb refused an envelope: the field that is longer than its limit, or the list with too
 * many elements; "frame: not a valid message" if it is neither.
 */
const char *wire_explain_refusal(const uint8_t *data, size_t length);

#endif
