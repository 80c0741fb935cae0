/*
 * What the lease protocol writes down <-> bytes of the published format (wire/holdfast.proto):
 * commands of the log, and what a table's snapshot is made of.
 *
 * Purpose: an entry of the log, a message that carries it and a snapshot share one format. Whatever
 *   the bytes are, what is decoded is valid: names, enums, ranges, and the fields of its kind only.
 * Pure; no state, no allocation. Encoders return the number of bytes, 0 if `capacity` is too small;
 * decoders return false if the bytes are none.
 */
#ifndef HOLDFAST_CORE_LEASE_CODEC_H
#define HOLDFAST_CORE_LEASE_CODEC_H

#include "base/bytes.h"
#include "lease/table.h"

/* The bytes of an entry; RAFT_ENTRY_DATA_MAX is room for any. */
size_t lease_command_encode(const struct lease_command *command, uint8_t *out, size_t capacity);
bool lease_command_decode(struct lease_command *command, struct bytes bytes);

size_t lease_record_encode(const struct lease_record *record, uint8_t *out, size_t capacity);
bool lease_record_decode(struct lease_record *record, struct bytes bytes);

size_t history_event_encode(const struct history_event *event, uint8_t *out, size_t capacity);
bool history_event_decode(struct history_event *event, struct bytes bytes);

#endif
