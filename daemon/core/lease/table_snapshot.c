#include "base/fnv.h"
#include "lease/codec.h"
#include "lease/lease_message.h"
#include "lease/packed.h"
#include "lease/table.h"

/*
 * Snapshot: magic, version, applied, record count, history total, history count; versions 2 to 4:
 * unknown_us; versions 3 and 4: begun, overrule count, each overrule (resource and board of 32 bytes,
 * token); version 4: the list of outputs stuck on (stuck.h); then each record and each kept event,
 * oldest first, behind a 16-bit length; then FNV-1a of all that. Numbers are big-endian. Version 4 is
 * written while an output is stuck on, else 3 while any of what that adds counts, else 1; 2 is read: a
 * restored table in which nothing was granted yet.
 */
enum {
    SNAPSHOT_MAGIC = 0x48464c54, /* "HFLT" */
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_VERSION_RESTORED = 2,
    SNAPSHOT_VERSION_ANEW = 3,
    SNAPSHOT_VERSION_STUCK = 4,
    SNAPSHOT_HEADER = 4 + 4 + 8 + 4 + 8 + 4,
    SNAPSHOT_UNKNOWN = 8,
    SNAPSHOT_ANEW = 8 + 4, /* besides it */
    SNAPSHOT_OVERRULE = 2 * (HF_NAME_MAX + 1) + 8,
    SNAPSHOT_CHECKSUM = 8,
    SNAPSHOT_RECORD_MAX = 256, /* of one encoded record; checked by a test */
    SNAPSHOT_EVENT_MAX = 256   /* of one encoded event; checked by a test */
};

size_t lease_table_encoded_max(void)
{
    return SNAPSHOT_HEADER + SNAPSHOT_UNKNOWN + SNAPSHOT_ANEW +
           (size_t)LEASE_OVERRULES_MAX * SNAPSHOT_OVERRULE + STUCK_ENCODED_MAX +
           (size_t)HF_RESOURCES_MAX * (2 + SNAPSHOT_RECORD_MAX) +
           (size_t)HF_HISTORY_MAX * (2 + SNAPSHOT_EVENT_MAX) + SNAPSHOT_CHECKSUM;
}

static uint64_t history_kept(uint64_t total)
{
    return total < HF_HISTORY_MAX ? total : HF_HISTORY_MAX;
}

/* Writes the length in front of `length` bytes that already stand behind it. */
static bool close_part(uint8_t *out, size_t *at, size_t length)
{
    if (length == 0)
        return false;
    put_number(out, at, length, 2);
    *at += length;
    return true;
}

static void put_anew(const struct lease_table *table, uint8_t *out, size_t *at)
{
    put_number(out, at, (uint64_t)table->unknown_us, SNAPSHOT_UNKNOWN);
    put_number(out, at, table->begun, 8);
    put_number(out, at, table->overrule_count, 4);
    for (uint32_t i = 0; i < table->overrule_count; i++) {
        put_name(out, at, &table->overrule[i].resource);
        put_name(out, at, &table->overrule[i].board);
        put_number(out, at, table->overrule[i].token, 8);
    }
}

size_t lease_table_encode(const struct lease_table *table, uint8_t *out, size_t capacity)
{
    size_t at = 0;
    bool anew = table->unknown_us > 0 || table->overrule_count > 0;
    bool stuck = table->stuck.count > 0;
    /* One bound for any table: whether a snapshot fits must not depend on what is in it. */
    if (capacity < lease_table_encoded_max())
        return 0;
    uint64_t kept = history_kept(table->history_total);
    put_number(out, &at, SNAPSHOT_MAGIC, 4);
    put_number(out, &at,
               stuck ? SNAPSHOT_VERSION_STUCK :
               anew  ? SNAPSHOT_VERSION_ANEW :
                       SNAPSHOT_VERSION,
               4);
    put_number(out, &at, table->applied, 8);
    put_number(out, &at, table->count, 4);
    put_number(out, &at, table->history_total, 8);
    put_number(out, &at, kept, 4);
    if (anew || stuck)
        put_anew(table, out, &at);
    if (stuck)
        at += stuck_encode(&table->stuck, out + at);
    for (uint32_t i = 0; i < table->count; i++) {
        if (!close_part(out, &at,
                        lease_record_encode(&table->record[i], out + at + 2, SNAPSHOT_RECORD_MAX)))
            return 0;
    }
    for (uint64_t n = table->history_total - kept; n < table->history_total; n++) {
        if (!close_part(out, &at,
                        history_event_encode(&table->history[n % HF_HISTORY_MAX], out + at + 2,
                                             SNAPSHOT_EVENT_MAX)))
            return 0;
    }
    put_number(out, &at, fnv_add(FNV_START, out, at), 8);
    return at;
}

/* The next length-prefixed part before `end`. */
static bool take_part(struct bytes bytes, size_t *at, size_t end, struct bytes *part)
{
    if (end - *at < 2)
        return false;
    size_t length = (size_t)take_number(bytes.data, at, 2);
    if (length > end - *at)
        return false;
    *part = (struct bytes){ bytes.data + *at, length };
    *at += length;
    return true;
}

static bool take_records(struct lease_table *table, uint32_t count, struct bytes bytes, size_t *at,
                         size_t end)
{
    struct bytes part;
    for (; table->count < count; table->count++) {
        struct lease_record *record = &table->record[table->count];
        if (!take_part(bytes, at, end, &part) || !lease_record_decode(record, part))
            return false;
        if (record->last_token > table->applied || lease_table_find(table, &record->resource) >= 0)
            return false;
    }
    return true;
}

static bool take_events(struct lease_table *table, struct bytes bytes, size_t *at, size_t end)
{
    struct bytes part;
    for (uint64_t n = table->history_total - history_kept(table->history_total);
         n < table->history_total; n++) {
        struct history_event *event = &table->history[n % HF_HISTORY_MAX];
        if (!take_part(bytes, at, end, &part) || !history_event_decode(event, part))
            return false;
    }
    return true;
}

static bool take_unknown(struct lease_table *table, struct bytes bytes, size_t *at, size_t end)
{
    if (end - *at < SNAPSHOT_UNKNOWN)
        return false;
    uint64_t unknown_us = take_number(bytes.data, at, SNAPSHOT_UNKNOWN);
    table->unknown_us = (int64_t)unknown_us;
    table->begun = unknown_us > 0 ? table->applied : 0; /* version 2: nothing granted since */
    return unknown_us <= LEASE_UNKNOWN_MAX_US;
}

static bool take_anew(struct lease_table *table, struct bytes bytes, size_t *at, size_t end)
{
    if (!take_unknown(table, bytes, at, end) || end - *at < SNAPSHOT_ANEW)
        return false;
    table->begun = take_number(bytes.data, at, 8);
    uint32_t count = (uint32_t)take_number(bytes.data, at, 4);
    if (count > LEASE_OVERRULES_MAX || (end - *at) / SNAPSHOT_OVERRULE < count ||
        (table->unknown_us > 0) != (table->begun > 0) || table->begun > table->applied)
        return false;
    for (; table->overrule_count < count; table->overrule_count++) {
        struct lease_overrule *overrule = &table->overrule[table->overrule_count];
        if (!take_name(bytes.data, at, &overrule->resource) ||
            !take_name(bytes.data, at, &overrule->board))
            return false;
        overrule->token = take_number(bytes.data, at, 8);
        if (overrule->token <= table->applied || overrule->token >= UINT64_C(1) << 62)
            return false;
    }
    return true;
}

/* What only some versions have. */
static bool take_extras(struct lease_table *table, uint64_t version, struct bytes bytes, size_t *at,
                        size_t end)
{
    if (version == SNAPSHOT_VERSION)
        return true;
    if (version == SNAPSHOT_VERSION_RESTORED)
        return take_unknown(table, bytes, at, end) && table->unknown_us > 0;
    if (!take_anew(table, bytes, at, end))
        return false;
    if (version == SNAPSHOT_VERSION_ANEW)
        return table->unknown_us > 0 || table->overrule_count > 0;
    size_t length = stuck_decode(&table->stuck, (struct bytes){ bytes.data + *at, end - *at });
    *at += length;
    return length > 0 && table->stuck.count > 0;
}

static bool decode_body(struct lease_table *table, struct bytes bytes)
{
    size_t at = 0;
    if (bytes.length < SNAPSHOT_HEADER + SNAPSHOT_CHECKSUM)
        return false;
    size_t end = bytes.length - SNAPSHOT_CHECKSUM;
    size_t tail = end;
    if (take_number(bytes.data, &tail, 8) != fnv_add(FNV_START, bytes.data, end) ||
        take_number(bytes.data, &at, 4) != SNAPSHOT_MAGIC)
        return false;
    uint64_t version = take_number(bytes.data, &at, 4);
    if (version < SNAPSHOT_VERSION || version > SNAPSHOT_VERSION_STUCK)
        return false;
    table->applied = take_number(bytes.data, &at, 8);
    uint32_t count = (uint32_t)take_number(bytes.data, &at, 4);
    table->history_total = take_number(bytes.data, &at, 8);
    uint64_t kept = take_number(bytes.data, &at, 4);
    if (count > HF_RESOURCES_MAX || kept != history_kept(table->history_total))
        return false;
    if (!take_extras(table, version, bytes, &at, end))
        return false;
    return take_records(table, count, bytes, &at, end) && take_events(table, bytes, &at, end) &&
           at == end;
}

bool lease_table_decode(struct lease_table *table, struct bytes bytes)
{
    lease_table_init(table);
    if (decode_body(table, bytes))
        return true;
    lease_table_init(table);
    return false;
}
