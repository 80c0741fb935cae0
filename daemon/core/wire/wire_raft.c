/* Raft's messages <-> generated structs. */
#include "wire/wire_internal.h"

#include <string.h>

_Static_assert((int)holdfast_Raft_Kind_RECOVER_REPLY == RAFT_MESSAGE_KINDS,
               "one for one, plus one");
_Static_assert((int)holdfast_Entry_Kind_MEMBERS == RAFT_ENTRY_KINDS, "one for one, plus one");
_Static_assert(sizeof(((holdfast_Raft *)0)->entries) / sizeof(holdfast_Entry) == RAFT_APPEND_MAX,
               "holdfast.options follows raft.h");
_Static_assert(sizeof(((holdfast_Raft *)0)->chunk.bytes) == RAFT_SNAPSHOT_CHUNK,
               "holdfast.options follows raft.h");
_Static_assert(sizeof(((holdfast_Entry *)0)->data.bytes) == RAFT_ENTRY_DATA_MAX,
               "holdfast.options follows raft.h");

/* The fields that depend on the kind. */
/* clang-format off */
#define RAFT_FLAGS(X)                                                                              \
    X(pre) X(transfer) X(granted) X(success) X(installed) X(recovering) X(fresh) X(leads) X(voter)
#define RAFT_COUNTERS(X)                                                                           \
    X(last_index) X(last_term) X(prev_index) X(prev_term) X(commit) X(match_index) X(hint_index)   \
    X(hint_term) X(round) X(snapshot_index) X(snapshot_term) X(offset) X(total) X(nonce) X(life)
/* clang-format on */

#define BIT_NUMBER(field) BIT_##field,
enum { RAFT_FLAGS(BIT_NUMBER) RAFT_COUNTERS(BIT_NUMBER) BIT_entries, BIT_chunk };
#define HAS(field) (1u << BIT_##field)

static const uint32_t fields_of_kind[RAFT_MESSAGE_KINDS] = {
    [RAFT_VOTE_REQUEST] =
        HAS(pre) | HAS(transfer) | HAS(last_index) | HAS(last_term) | HAS(nonce) | HAS(voter),
    [RAFT_VOTE_REPLY] = HAS(pre) | HAS(granted) | HAS(nonce),
    [RAFT_APPEND_REQUEST] = HAS(prev_index) | HAS(prev_term) | HAS(commit) | HAS(entries) |
                            HAS(match_index) | HAS(nonce),
    [RAFT_APPEND_REPLY] = HAS(prev_index) | HAS(success) | HAS(match_index) | HAS(hint_index) |
                          HAS(hint_term) | HAS(recovering) | HAS(nonce) | HAS(life),
    [RAFT_HEARTBEAT] = HAS(commit) | HAS(round) | HAS(match_index),
    [RAFT_HEARTBEAT_REPLY] = HAS(round),
    [RAFT_SNAPSHOT_REQUEST] = HAS(match_index) | HAS(snapshot_index) | HAS(snapshot_term) |
                              HAS(offset) | HAS(total) | HAS(chunk),
    [RAFT_SNAPSHOT_REPLY] =
        HAS(snapshot_index) | HAS(offset) | HAS(installed) | HAS(recovering) | HAS(life),
    [RAFT_TIMEOUT_NOW] = 0,
    [RAFT_RECOVER] = HAS(nonce) | HAS(life),
    [RAFT_RECOVER_REPLY] = HAS(nonce) | HAS(last_index) | HAS(fresh) | HAS(leads) | HAS(life) |
                           HAS(last_term) | HAS(match_index) | HAS(granted),
};

static void pack_entries(holdfast_Raft *out, const struct raft_message *message)
{
    out->entries_count = message->entry_count;
    for (uint8_t i = 0; i < message->entry_count; i++) {
        const struct raft_entry *entry = &message->entries[i];
        out->entries[i].kind = (holdfast_Entry_Kind)(entry->kind + 1);
        out->entries[i].term = entry->term;
        out->entries[i].data.size = entry->length;
        memcpy(out->entries[i].data.bytes, entry->data, entry->length);
    }
}

void wire_clear_raft(holdfast_Raft *out)
{
    memset(out, 0, offsetof(holdfast_Raft, entries));
    out->chunk.size = 0;
    memset(&out->recovering, 0, sizeof(*out) - offsetof(holdfast_Raft, recovering));
}

void wire_pack_raft(holdfast_Raft *out, const struct raft_message *message)
{
    uint32_t has = fields_of_kind[message->kind];
    wire_clear_raft(out);
    out->kind = (holdfast_Raft_Kind)(message->kind + 1);
    fields_pack_name(out->from, &message->from);
    fields_pack_name(out->to, &message->to);
    out->term = message->term;
#define PACK(field)                                                                                \
    if (has & HAS(field))                                                                          \
        out->field = message->field;
    RAFT_FLAGS(PACK)
    RAFT_COUNTERS(PACK)
#undef PACK
    if (has & HAS(entries))
        pack_entries(out, message);
    if (has & HAS(chunk)) {
        out->has_members = true;
        raft_members_pack(&out->members, message->members);
        out->chunk.size = (pb_size_t)message->chunk.length;
        if (message->chunk.length > 0)
            memcpy(out->chunk.bytes, message->chunk.data, message->chunk.length);
    }
}

static const char *unpack_entry(struct raft_entry *out, const holdfast_Entry *entry)
{
    if (entry->kind == holdfast_Entry_Kind_UNSPECIFIED ||
        (uint32_t)entry->kind > (uint32_t)RAFT_ENTRY_KINDS)
        return "entry: unknown kind";
    if ((entry->kind == holdfast_Entry_Kind_NOOP) != (entry->data.size == 0))
        return "entry: data is missing, or there although the kind has none";
    out->kind = (enum raft_entry_kind)((int)entry->kind - 1);
    out->term = entry->term;
    out->length = entry->data.size;
    memcpy(out->data, entry->data.bytes, entry->data.size);
    return NULL;
}

static const char *unpack_entries(struct raft_message *out, struct raft_entry *entries,
                                  const holdfast_Raft *message)
{
    uint64_t term = message->prev_term;
    out->entry_count = (uint8_t)message->entries_count;
    out->entries = entries;
    for (uint8_t i = 0; i < out->entry_count; i++) {
        const char *complaint = unpack_entry(&entries[i], &message->entries[i]);
        if (complaint)
            return complaint;
        entries[i].index = message->prev_index + 1 + i;
        if (entries[i].term == 0 || entries[i].term < term || entries[i].term > message->term)
            return "entry: term is out of order, 1 up to the message's is allowed";
        term = entries[i].term;
    }
    return NULL;
}

static const char *unpack_snapshot(struct raft_message *out, struct wire_raft_parts *parts,
                                   const holdfast_Raft *message)
{
    if (message->snapshot_index == 0 || message->snapshot_term == 0)
        return "raft: a snapshot has an index and a term from 1";
    if (message->offset > message->total || message->chunk.size > message->total - message->offset)
        return "raft: chunk goes past total";
    if (!message->has_members)
        return "raft: members are missing";
    memcpy(parts->chunk, message->chunk.bytes, message->chunk.size);
    out->chunk = (struct bytes){ parts->chunk, message->chunk.size };
    out->members = parts->members;
    return raft_members_unpack(parts->members, &message->members);
}

static const char *unpack_scalars(struct raft_message *out, const holdfast_Raft *message,
                                  uint32_t has)
{
#define FLAG(field)                                                                                \
    if (message->field && !(has & HAS(field)))                                                     \
        return "raft: " #field " does not belong to this kind";                                    \
    out->field = message->field;
#define COUNTER(field)                                                                             \
    if (message->field >= FIELDS_COUNTER_MAX)                                                      \
        return "raft: " #field " is out of range, up to 2^62 is allowed";                          \
    FLAG(field)
    RAFT_FLAGS(FLAG)
    RAFT_COUNTERS(COUNTER)
#undef COUNTER
#undef FLAG
    return NULL;
}

const char *wire_unpack_raft(struct raft_message *out, struct wire_raft_parts *parts,
                             const holdfast_Raft *message)
{
    memset(out, 0, sizeof(*out));
    if (message->kind == holdfast_Raft_Kind_UNSPECIFIED ||
        (uint32_t)message->kind > (uint32_t)RAFT_MESSAGE_KINDS)
        return "raft: unknown kind";
    out->kind = (enum raft_message_kind)((int)message->kind - 1);
    uint32_t has = fields_of_kind[out->kind];
    if (!fields_unpack_name(&out->from, message->from, true))
        return "raft: from is not a name";
    if (!fields_unpack_name(&out->to, message->to, true))
        return "raft: to is not a name";
    if (message->term >= FIELDS_COUNTER_MAX)
        return "raft: term is out of range, up to 2^62 is allowed";
    out->term = message->term;
    const char *complaint = unpack_scalars(out, message, has);
    if (complaint)
        return complaint;
    if (message->entries_count > 0 && !(has & HAS(entries)))
        return "raft: entries do not belong to this kind";
    if ((message->chunk.size > 0 || message->has_members) && !(has & HAS(chunk)))
        return "raft: chunk and members do not belong to this kind";
    if (has & HAS(entries))
        return unpack_entries(out, parts->entries, message);
    if (has & HAS(chunk))
        return unpack_snapshot(out, parts, message);
    return NULL;
}
