#include "lease/codec.h"

#include <string.h>

#include "base/fields.h"
#include "holdfast.pb.h"
#include "lease/lease_message.h"

_Static_assert((int)holdfast_Command_Kind_CLEAR == LEASE_COMMAND_KINDS, "one for one, plus one");
_Static_assert((int)holdfast_HistoryKind_HISTORY_FAULT == HISTORY_KINDS, "one for one, plus one");
_Static_assert(sizeof(((holdfast_Command *)0)->address) == HF_ADDRESS_MAX + 1,
               "holdfast.options follows limits.h");
_Static_assert(sizeof(((holdfast_Command *)0)->text) == HF_REASON_MAX + 1,
               "holdfast.options follows limits.h");

#define COMMAND_SCALARS(X)                                                                         \
    X(token)                                                                                       \
    X(ttl_us) X(fence_us) X(fenced) X(pinned) X(priority) X(ranked) X(transferred) X(settled) X(go)

#define BIT_NUMBER(field) BIT_##field,
enum { COMMAND_SCALARS(BIT_NUMBER) BIT_event, BIT_address };
#define HAS(field) (1u << BIT_##field)

/* Resource, holder, wall_us, who, via, unproven, payer and text are every kind's. */
static const uint32_t fields_of_kind[LEASE_COMMAND_KINDS] = {
    [LEASE_COMMAND_GRANT] = HAS(token) | HAS(ttl_us) | HAS(fence_us) | HAS(address) |
                            HAS(priority) | HAS(ranked) | HAS(transferred) | HAS(settled) | HAS(go),
    [LEASE_COMMAND_RELEASE] = HAS(token) | HAS(fenced),
    [LEASE_COMMAND_EXPIRE] = HAS(token),
    [LEASE_COMMAND_PIN] = HAS(pinned),
    [LEASE_COMMAND_NOTE] = HAS(event),
    [LEASE_COMMAND_OVERRULE] = HAS(token),
    [LEASE_COMMAND_REMOVE] = 0,
    [LEASE_COMMAND_STUCK] = 0,
    [LEASE_COMMAND_CLEAR] = HAS(go),
};

static void pack_command(holdfast_Command *out, const struct lease_command *command)
{
    uint32_t has = fields_of_kind[command->kind];
    memset(out, 0, sizeof(*out));
    out->kind = (holdfast_Command_Kind)(command->kind + 1);
    fields_pack_name(out->resource, &command->resource);
    fields_pack_name(out->holder, &command->holder);
    fields_pack_name(out->who, &command->who);
    fields_pack_name(out->via, &command->via);
    fields_pack_name(out->payer, &command->payer);
    out->unproven = command->unproven;
    fields_pack_text(out->text, sizeof(out->text), command->text);
    out->wall_us = command->wall_us;
#define PACK(field)                                                                                \
    if (has & HAS(field))                                                                          \
        out->field = command->field;
    COMMAND_SCALARS(PACK)
#undef PACK
    if (has & HAS(event))
        out->event = (holdfast_HistoryKind)(command->event + 1);
    if (has & HAS(address))
        fields_pack_text(out->address, sizeof(out->address), command->address);
}

static bool times_ok(int64_t ttl_us, int64_t ttl_min_us, int64_t fence_us)
{
    return fields_in_range(ttl_us, ttl_min_us, LEASE_TTL_MAX_US) &&
           fields_in_range(fence_us, 0, LEASE_FENCE_MAX_US);
}

static const char *unpack_command_strings(struct lease_command *out,
                                          const holdfast_Command *command)
{
    bool note = out->kind == LEASE_COMMAND_NOTE;
    bool holderless = note || out->kind == LEASE_COMMAND_PIN || out->kind == LEASE_COMMAND_REMOVE;
    if (!fields_unpack_name(&out->resource, command->resource, !note))
        return "command: resource is not a name";
    if (!fields_unpack_name(&out->holder, command->holder, !holderless))
        return "command: holder is not a name";
    if (!fields_unpack_name(&out->who, command->who, false))
        return "command: who is not a name";
    if (!fields_unpack_name(&out->via, command->via, command->unproven))
        return "command: via is not a name";
    if (!fields_unpack_name(&out->payer, command->payer, false))
        return "command: payer is not a name";
    out->unproven = command->unproven;
    if (!fields_unpack_text(out->address, sizeof(out->address), command->address))
        return "command: address is not printable";
    if (!fields_unpack_text(out->text, sizeof(out->text), command->text))
        return "command: text is not printable";
    return NULL;
}

static const char *unpack_command_scalars(struct lease_command *out,
                                          const holdfast_Command *command, uint32_t has)
{
#define TAKE(field)                                                                                \
    if (command->field && !(has & HAS(field)))                                                     \
        return "command: " #field " does not belong to this kind";                                 \
    out->field = command->field;
    COMMAND_SCALARS(TAKE)
#undef TAKE
    if (command->address[0] != '\0' && !(has & HAS(address)))
        return "command: address does not belong to this kind";
    bool event = command->event != holdfast_HistoryKind_HISTORY_UNSPECIFIED;
    if (event != ((has & HAS(event)) != 0) || (uint32_t)command->event > (uint32_t)HISTORY_KINDS)
        return "command: event is unknown, or does not belong to this kind";
    out->event = event ? (enum history_kind)((int)command->event - 1) : HISTORY_GRANT;
    return NULL;
}

static const char *unpack_command(struct lease_command *out, const holdfast_Command *command)
{
    memset(out, 0, sizeof(*out));
    if (command->kind == holdfast_Command_Kind_UNSPECIFIED ||
        (uint32_t)command->kind > (uint32_t)LEASE_COMMAND_KINDS)
        return "command: unknown kind";
    out->kind = (enum lease_command_kind)((int)command->kind - 1);
    out->wall_us = command->wall_us;
    const char *complaint = unpack_command_strings(out, command);
    if (!complaint)
        complaint = unpack_command_scalars(out, command, fields_of_kind[out->kind]);
    if (complaint)
        return complaint;
    if (out->token >= FIELDS_COUNTER_MAX)
        return "command: token is out of range, up to 2^62 is allowed";
    bool names_grant = out->kind == LEASE_COMMAND_RELEASE || out->kind == LEASE_COMMAND_EXPIRE ||
                       out->kind == LEASE_COMMAND_OVERRULE;
    if (names_grant && out->token == 0)
        return "command: token is missing";
    if (out->kind == LEASE_COMMAND_GRANT && !times_ok(out->ttl_us, LEASE_TTL_MIN_US, out->fence_us))
        return "command: ttl_us or fence_us is out of range";
    if (!fields_in_range(out->priority, -LEASE_PRIORITY_MAX, LEASE_PRIORITY_MAX))
        return "command: priority is out of range, -1000 to 1000 is allowed";
    return NULL;
}

static void pack_record(holdfast_Record *out, const struct lease_record *record)
{
    memset(out, 0, sizeof(*out));
    fields_pack_name(out->resource, &record->resource);
    fields_pack_name(out->holder, &record->holder);
    fields_pack_name(out->pinned_to, &record->pinned_to);
    fields_pack_name(out->payer, &record->payer);
    fields_pack_text(out->address, sizeof(out->address), record->address);
    out->token = record->token;
    out->last_token = record->last_token;
    out->abandoned = record->abandoned;
    out->pinned = record->pinned;
    out->ttl_us = record->ttl_us;
    out->fence_us = record->fence_us;
    out->priority = record->priority;
    out->ranked = record->ranked;
    out->transferred = record->transferred;
}

static const char *unpack_record(struct lease_record *out, const holdfast_Record *record)
{
    memset(out, 0, sizeof(*out));
    if (!fields_unpack_name(&out->resource, record->resource, true))
        return "record: resource is not a name";
    if (!fields_unpack_name(&out->holder, record->holder, false))
        return "record: holder is not a name";
    if (!fields_unpack_name(&out->pinned_to, record->pinned_to, false))
        return "record: pinned_to is not a name";
    if (!fields_unpack_name(&out->payer, record->payer, false))
        return "record: payer is not a name";
    if (!fields_unpack_text(out->address, sizeof(out->address), record->address))
        return "record: address is not printable";
    if (record->last_token >= FIELDS_COUNTER_MAX || record->token > record->last_token)
        return "record: token is out of range, up to last_token is allowed";
    if (name_empty(&out->holder) != (record->token == 0))
        return "record: holder and token go together";
    if (!name_empty(&out->holder) && !name_empty(&out->payer))
        return "record: payer belongs to a free one";
    if (!times_ok(record->ttl_us, record->token ? LEASE_TTL_MIN_US : 0, record->fence_us))
        return "record: ttl_us or fence_us is out of range";
    if (!fields_in_range(record->priority, -LEASE_PRIORITY_MAX, LEASE_PRIORITY_MAX))
        return "record: priority is out of range, -1000 to 1000 is allowed";
    out->token = record->token;
    out->last_token = record->last_token;
    out->abandoned = record->abandoned;
    out->pinned = record->pinned;
    out->ttl_us = record->ttl_us;
    out->fence_us = record->fence_us;
    out->priority = record->priority;
    out->ranked = record->ranked;
    out->transferred = record->transferred;
    return NULL;
}

static void pack_event(holdfast_Event *out, const struct history_event *event)
{
    memset(out, 0, sizeof(*out));
    fields_pack_name(out->resource, &event->resource);
    fields_pack_name(out->holder, &event->holder);
    fields_pack_name(out->who, &event->who);
    fields_pack_name(out->via, &event->via);
    out->unproven = event->unproven;
    fields_pack_text(out->text, sizeof(out->text), event->text);
    out->index = event->index;
    out->wall_us = event->wall_us;
    out->kind = (holdfast_HistoryKind)(event->kind + 1);
    out->token = event->token;
}

static const char *unpack_event(struct history_event *out, const holdfast_Event *event)
{
    memset(out, 0, sizeof(*out));
    if (event->kind == holdfast_HistoryKind_HISTORY_UNSPECIFIED ||
        (uint32_t)event->kind > (uint32_t)HISTORY_KINDS)
        return "event: unknown kind";
    if (!fields_unpack_name(&out->resource, event->resource, false))
        return "event: resource is not a name";
    if (!fields_unpack_name(&out->holder, event->holder, false))
        return "event: holder is not a name";
    if (!fields_unpack_name(&out->who, event->who, false))
        return "event: who is not a name";
    if (!fields_unpack_name(&out->via, event->via, event->unproven))
        return "event: via is not a name";
    out->unproven = event->unproven;
    if (!fields_unpack_text(out->text, sizeof(out->text), event->text))
        return "event: text is not printable";
    if (event->index >= FIELDS_COUNTER_MAX || event->token >= FIELDS_COUNTER_MAX)
        return "event: index or token is out of range, up to 2^62 is allowed";
    out->index = event->index;
    out->wall_us = event->wall_us;
    out->kind = (enum history_kind)((int)event->kind - 1);
    out->token = event->token;
    return NULL;
}

size_t lease_command_encode(const struct lease_command *command, uint8_t *out, size_t capacity)
{
    holdfast_Command message;
    pack_command(&message, command);
    return fields_encode(holdfast_Command_fields, &message, out, capacity);
}

bool lease_command_decode(struct lease_command *command, struct bytes bytes)
{
    holdfast_Command message;
    return fields_decode(holdfast_Command_fields, &message, bytes) &&
           unpack_command(command, &message) == NULL;
}

size_t lease_record_encode(const struct lease_record *record, uint8_t *out, size_t capacity)
{
    holdfast_Record message;
    pack_record(&message, record);
    return fields_encode(holdfast_Record_fields, &message, out, capacity);
}

bool lease_record_decode(struct lease_record *record, struct bytes bytes)
{
    holdfast_Record message;
    return fields_decode(holdfast_Record_fields, &message, bytes) &&
           unpack_record(record, &message) == NULL;
}

size_t history_event_encode(const struct history_event *event, uint8_t *out, size_t capacity)
{
    holdfast_Event message;
    pack_event(&message, event);
    return fields_encode(holdfast_Event_fields, &message, out, capacity);
}

bool history_event_decode(struct history_event *event, struct bytes bytes)
{
    holdfast_Event message;
    return fields_decode(holdfast_Event_fields, &message, bytes) &&
           unpack_event(event, &message) == NULL;
}
