#include "lease/table.h"

#include <string.h>

#include "base/check.h"
#include "lease/lease_message.h"

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

static void add_event(struct lease_table *table, const struct history_event *event)
{
    table->history[table->history_total % HF_HISTORY_MAX] = *event;
    table->history_total++;
}

static void free_record(struct lease_record *record)
{
    memset(&record->holder, 0, sizeof(record->holder));
    memset(&record->payer, 0, sizeof(record->payer));
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
        add_event(table, &expired);
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
    add_event(table, &granted);
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
    if (command->fenced) {
        free_record(record);
        record->payer = command->payer;
    } else {
        record->abandoned = true;
    }
    struct history_event event = event_of(table, command, HISTORY_RELEASE);
    add_event(table, &event);
    change->done = true;
}

static void apply_expire(struct lease_table *table, const struct lease_command *command,
                         struct table_change *change)
{
    struct lease_record *record = named_record(table, command, change);
    if (!record)
        return;
    free_record(record);
    record->payer = command->payer;
    struct history_event event = event_of(table, command, HISTORY_EXPIRE);
    add_event(table, &event);
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
    add_event(table, &event);
    change->done = true;
}

static void apply_note(struct lease_table *table, const struct lease_command *command,
                       struct table_change *change)
{
    change->record = lease_table_find(table, &command->resource);
    struct history_event event = event_of(table, command, command->event);
    add_event(table, &event);
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
    add_event(table, &event);
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
    add_event(table, &event);
    change->done = true;
}

static void apply_clear(struct lease_table *table, const struct lease_command *command,
                        struct table_change *change)
{
    bool go = command->go;
    change->record = lease_table_find(table, &command->resource);
    if (go ? !stuck_let_go(&table->stuck, &command->resource, &command->holder) :
             !stuck_remove(&table->stuck, &command->resource, &command->holder))
        return;
    struct history_event event = event_of(table, command, go ? HISTORY_OPERATOR : HISTORY_FAULT);
    add_event(table, &event);
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
    add_event(table, &event);
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
    HF_CHECK(unknown_us > 0 && unknown_us <= LEASE_UNKNOWN_MAX_US);
    lease_table_skip(table, index);
    for (uint32_t i = 0; i < table->count; i++)
        free_record(&table->record[i]);
    table->unknown_us = unknown_us;
    table->begun = index;
    struct history_event event = event_of(table, &restore, HISTORY_OPERATOR);
    add_event(table, &event);
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
