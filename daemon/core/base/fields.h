/*
 * Fields of the published format (wire/holdfast.proto): what every conversion to and from a
 * generated struct shares.
 *
 * Purpose: names and texts are checked here, once, whatever message they come in. A conversion to a
 *   generated struct (pack) takes over only the fields that the message's kind uses; a conversion
 *   from one (unpack) refuses a field that the kind does not use, with a complaint: static text that
 *   names the message and the field.
 * Pure; no state, no allocation.
 */
#ifndef HOLDFAST_CORE_BASE_FIELDS_H
#define HOLDFAST_CORE_BASE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pb.h>

#include "base/bytes.h"
#include "base/name.h"

/* Indexes, terms, tokens, rounds and sizes stay below this, so that sums of two never wrap. */
#define FIELDS_COUNTER_MAX (UINT64_C(1) << 62)

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

/* A generated struct <-> bytes. Return 0 if `capacity` is too small, false if it is no message. */
size_t fields_encode(const pb_msgdesc_t *descriptor, const void *message, uint8_t *out,
                     size_t capacity);
bool fields_decode(const pb_msgdesc_t *descriptor, void *message, struct bytes bytes);

#endif
