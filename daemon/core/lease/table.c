#include "lease/table.h"

#include <string.h>

#include "base/check.h"
#include "lease/message.h"
#include "lease/codec.h"

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

void lease_table_init(struct lease_table *table)
{
    /* Not the arrays: memory that holds nothing yet is not touched. */
    table->applied = 0;
    table->unknown_us = 0;
    table->begun = 0;
    table->overrule_count = 0;
    table->count = 0;
    table->stuck.count = 0;
    table->history_total = 0;
}

int lease_table_find(const struct lease_table *table, const struct hf_name *resource)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (name_equal(&table->record[i].resource, resource))
            return (int)i;
    }
    return -1;
}

/* -1 if the table is full. */
static int find_or_add(struct lease_table *table, const struct hf_name *resource)
{
    int found = lease_table_find(table, resource);
    if (found >= 0 || table->count == HF_RESOURCES_MAX)
        return found;
    struct lease_record *record = &table->record[table->count];
    memset(record, 0, sizeof(*record));
    record->resource = *resource;
    return (int)table->count++;
}

/* The event as the command tells it; the caller corrects what differs. */
static struct history_event event_of(const struct lease_table *table,
                                     const struct lease_command *command, enum history_kind kind)
{
    struct history_event event;
    memset(&event, 0, sizeof(event));
    event.index = table->applied;
    event.wall_us = command->wall_us;
    event.kind = kind;
    event.resource = command->resource;
    event.holder = command->holder;
    event.token = command->token;
    event.who = command->who;
    event.via = command->via;
    event.unproven = command->unproven;
    text_copy(event.text, sizeof(event.text), command->text);
    return event;
}

static void add_event(struct lease_table *table, struct table_change *change,
                      const struct history_event *event)
{
    table->history[table->history_total % HF_HISTORY_MAX] = *event;
    table->history_total++;
    change->event_added = true;
    change->event = *event;
}

static void free_record(struct lease_record *record)
{
    memset(&record->holder, 0, sizeof(record->holder));
    memset(record->address, 0, sizeof(record->address));
    record->token = 0;
    record->abandoned = false;
    record->ttl_us = 0;
    record->fence_us = 0;
    record->priority = 0;
    record->ranked = false;
    record->transferred = false;
}

/* No lease of before counts any more. */
static void settle(struct lease_table *table)
{
    table->unknown_us = 0;
    table->begun = 0;
}

static void apply_grant(struct lease_table *table, const struct lease_command *command,
                        struct table_change *change)
{
    int found = lease_table_find(table, &command->resource);
    uint64_t current = found >= 0 ? table->record[found].token : 0;
    if (command->token != current || name_empty(&command->holder))
        return;
    if (found < 0)
        found = find_or_add(table, &command->resource);
    if (found < 0)
        return;
    struct lease_record *record = &table->record[found];
    change->record = found;
    if (record->pinned && !name_equal(&record->pinned_to, &command->holder))
        return;
    if (!command->go && stuck_holds(&table->stuck, &command->resource))
        return;
    /* It asked for it with its outputs off: what is seen on from now on is another fault. */
    (void)stuck_remove(&table->stuck, &command->resource, &command->holder);
    if (current != 0) {
        struct history_event expired = event_of(table, command, HISTORY_EXPIRE);
        expired.holder = record->holder;
        memset(expired.text, 0, sizeof(expired.text));
        add_event(table, change, &expired);
    }
    free_record(record);
    record->holder = command->holder;
    record->token = table->applied;
    record->last_token = table->applied;
    record->ttl_us = command->ttl_us;
    record->fence_us = command->fence_us;
    record->priority = command->priority;
    record->ranked = command->ranked;
    record->transferred = command->transferred;
    text_copy(record->address, sizeof(record->address), command->address);
    struct history_event granted = event_of(table, command, HISTORY_GRANT);
    granted.token = record->token;
    add_event(table, change, &granted);
    if (command->settled)
        settle(table);
    change->done = true;
}

/* The record that a release or expiry names by holder and token; NULL if that is not current. */
static struct lease_record *named_record(struct lease_table *table,
                                         const struct lease_command *command,
                                         struct table_change *change)
{
    change->record = lease_table_find(table, &command->resource);
    if (change->record < 0)
        return NULL;
    struct lease_record *record = &table->record[change->record];
    bool matches = record->token != 0 && record->token == command->token &&
                   name_equal(&record->holder, &command->holder);
    return matches ? record : NULL;
}

static void apply_release(struct lease_table *table, const struct lease_command *command,
                          struct table_change *change)
{
    struct lease_record *record = named_record(table, command, change);
    if (!record || (record->abandoned && !command->fenced))
        return;
    if (command->fenced)
        free_record(record);
    else
        record->abandoned = true;
    struct history_event event = event_of(table, command, HISTORY_RELEASE);
    add_event(table, change, &event);
    change->done = true;
}

static void apply_expire(struct lease_table *table, const struct lease_command *command,
                         struct table_change *change)
{
    struct lease_record *record = named_record(table, command, change);
    if (!record)
        return;
    free_record(record);
    struct history_event event = event_of(table, command, HISTORY_EXPIRE);
    add_event(table, change, &event);
    change->done = true;
}

static void apply_pin(struct lease_table *table, const struct lease_command *command,
                      struct table_change *change)
{
    change->record = find_or_add(table, &command->resource);
    if (change->record < 0)
        return;
    struct lease_record *record = &table->record[change->record];
    record->pinned = command->pinned;
    memset(&record->pinned_to, 0, sizeof(record->pinned_to));
    if (command->pinned)
        record->pinned_to = command->holder;
    struct history_event event = event_of(table, command, HISTORY_OPERATOR);
    add_event(table, change, &event);
    change->done = true;
}

static void apply_note(struct lease_table *table, const struct lease_command *command,
                       struct table_change *change)
{
    change->record = lease_table_find(table, &command->resource);
    struct history_event event = event_of(table, command, command->event);
    add_event(table, change, &event);
    change->done = true;
}

static struct lease_overrule *find_overrule(struct lease_table *table,
                                            const struct hf_name *resource,
                                            const struct hf_name *board)
{
    for (uint32_t i = 0; i < table->overrule_count; i++) {
        struct lease_overrule *overrule = &table->overrule[i];
        if (name_equal(&overrule->resource, resource) && name_equal(&overrule->board, board))
            return overrule;
    }
    return NULL;
}

static void apply_overrule(struct lease_table *table, const struct lease_command *command,
                           struct table_change *change)
{
    struct lease_overrule *overrule = find_overrule(table, &command->resource, &command->holder);
    change->record = lease_table_find(table, &command->resource);
    if (!overrule && table->overrule_count == LEASE_OVERRULES_MAX)
        return;
    if (!overrule) {
        overrule = &table->overrule[table->overrule_count++];
        *overrule = (struct lease_overrule){ command->resource, command->holder, 0 };
    }
    if (command->token > overrule->token)
        overrule->token = command->token;
    struct history_event event = event_of(table, command, HISTORY_OPERATOR);
    event.token = 0; /* no grant of this log; the text has it */
    add_event(table, change, &event);
    change->done = true;
}

static void apply_stuck(struct lease_table *table, const struct lease_command *command,
                        struct table_change *change)
{
    change->record = find_or_add(table, &command->resource);
    if (change->record < 0 ||
        !stuck_add(&table->stuck, &command->resource, &command->holder, command->wall_us))
        return;
    struct history_event event = event_of(table, command, HISTORY_FAULT);
    add_event(table, change, &event);
    change->done = true;
}

static void apply_clear(struct lease_table *table, const struct lease_command *command,
                        struct table_change *change)
{
    bool all = name_empty(&command->holder);
    change->record = lease_table_find(table, &command->resource);
    if (all ? !stuck_let_go(&table->stuck, &command->resource) :
              !stuck_remove(&table->stuck, &command->resource, &command->holder))
        return;
    struct history_event event = event_of(table, command, all ? HISTORY_OPERATOR : HISTORY_FAULT);
    add_event(table, change, &event);
    change->done = true;
}

/* The log is past them: what they stood against bars nothing any more. */
static void forget_overrules(struct lease_table *table)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->overrule_count; i++) {
        if (table->overrule[i].token > table->applied)
            table->overrule[kept++] = table->overrule[i];
    }
    table->overrule_count = kept;
}

static void apply_remove(struct lease_table *table, const struct lease_command *command,
                         struct table_change *change)
{
    int found = lease_table_find(table, &command->resource);
    if (found < 0)
        return;
    const struct lease_record *record = &table->record[found];
    if (!name_empty(&record->holder) || record->pinned) {
        change->record = found;
        return;
    }
    size_t behind = table->count - (size_t)found - 1;
    memmove(&table->record[found], &table->record[found + 1], behind * sizeof(table->record[0]));
    table->count--;
    stuck_forget(&table->stuck, &command->resource);
    struct history_event event = event_of(table, command, HISTORY_OPERATOR);
    add_event(table, change, &event);
    change->removed = true;
    change->done = true;
}

struct table_change lease_table_apply(struct lease_table *table, uint64_t index,
                                      const struct lease_command *command)
{
    struct table_change change;
    memset(&change, 0, sizeof(change));
    change.record = -1;
    lease_table_skip(table, index);
    switch (command->kind) {
    case LEASE_COMMAND_GRANT:
        apply_grant(table, command, &change);
        return change;
    case LEASE_COMMAND_RELEASE:
        apply_release(table, command, &change);
        return change;
    case LEASE_COMMAND_EXPIRE:
        apply_expire(table, command, &change);
        return change;
    case LEASE_COMMAND_PIN:
        apply_pin(table, command, &change);
        return change;
    case LEASE_COMMAND_NOTE:
        apply_note(table, command, &change);
        return change;
    case LEASE_COMMAND_OVERRULE:
        apply_overrule(table, command, &change);
        return change;
    case LEASE_COMMAND_REMOVE:
        apply_remove(table, command, &change);
        return change;
    case LEASE_COMMAND_STUCK:
        apply_stuck(table, command, &change);
        return change;
    case LEASE_COMMAND_CLEAR:
        apply_clear(table, command, &change);
        return change;
    case LEASE_COMMAND_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "command kind");
}

void lease_table_skip(struct lease_table *table, uint64_t index)
{
    HF_CHECK(index > table->applied);
    table->applied = index;
    forget_overrules(table);
}

void lease_table_restore(struct lease_table *table, uint64_t index, int64_t unknown_us,
                         int64_t wall_us)
{
    const struct lease_command restore = {
        .wall_us = wall_us,
        .who = { "restore" },
        .text = "restored from a backup, all free, held off until no older lease can count",
    };
    struct table_change change;
    HF_CHECK(unknown_us > 0 && unknown_us <= LEASE_UNKNOWN_MAX_US);
    lease_table_skip(table, index);
    for (uint32_t i = 0; i < table->count; i++)
        free_record(&table->record[i]);
    table->unknown_us = unknown_us;
    table->begun = index;
    struct history_event event = event_of(table, &restore, HISTORY_OPERATOR);
    add_event(table, &change, &event);
}

void lease_table_begin(struct lease_table *table, uint64_t index)
{
    lease_table_init(table);
    lease_table_skip(table, index);
    table->unknown_us = 1; /* and at least as long as the leader's policy allows a lease */
    table->begun = index;
}

bool lease_table_overruled(const struct lease_table *table, const struct hf_name *resource,
                           const struct hf_name *board)
{
    for (uint32_t i = 0; i < table->overrule_count; i++) {
        const struct lease_overrule *overrule = &table->overrule[i];
        if (name_equal(&overrule->resource, resource) && name_equal(&overrule->board, board))
            return true;
    }
    return false;
}

size_t lease_table_encoded_max(void)
{
    return SNAPSHOT_HEADER + SNAPSHOT_UNKNOWN + SNAPSHOT_ANEW +
           (size_t)LEASE_OVERRULES_MAX * SNAPSHOT_OVERRULE + STUCK_ENCODED_MAX +
           (size_t)HF_RESOURCES_MAX * (2 + SNAPSHOT_RECORD_MAX) +
           (size_t)HF_HISTORY_MAX * (2 + SNAPSHOT_EVENT_MAX) + SNAPSHOT_CHECKSUM;
}

static uint64_t checksum(const uint8_t *data, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void put_number(uint8_t *out, size_t *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        out[*at + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    *at += width;
}

static uint64_t take_number(const uint8_t *data, size_t *at, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | data[*at + i];
    *at += width;
    return value;
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

static void put_name(uint8_t *out, size_t *at, const struct hf_name *name)
{
    memcpy(out + *at, name->text, sizeof(name->text));
    *at += sizeof(name->text);
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
    put_number(out, &at, checksum(out, at), 8);
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

static bool take_name(struct bytes bytes, size_t *at, struct hf_name *name)
{
    size_t length = 0;
    while (length < HF_NAME_MAX && bytes.data[*at + length] != '\0')
        length++;
    bool good = name_set(name, (const char *)bytes.data + *at, length);
    /* One form only: what follows the name is zero. */
    good = good && memcmp(name->text, bytes.data + *at, sizeof(name->text)) == 0;
    *at += sizeof(name->text);
    return good;
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
        if (!take_name(bytes, at, &overrule->resource) || !take_name(bytes, at, &overrule->board))
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
    if (take_number(bytes.data, &tail, 8) != checksum(bytes.data, end) ||
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
