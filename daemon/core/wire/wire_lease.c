/* The lease protocol's messages <-> generated structs. */
#include "wire/wire_internal.h"

#include <string.h>

_Static_assert((int)holdfast_Lease_Kind_NOTED == LEASE_MESSAGE_KINDS, "one for one, plus one");
_Static_assert((int)holdfast_Lease_Refusal_TOKEN + 1 == LEASE_REFUSALS, "one for one");
_Static_assert(sizeof(((holdfast_Lease *)0)->items) / sizeof(holdfast_Item) ==
                   HF_LEASES_PER_AGENT_MAX,
               "holdfast.options follows limits.h");
_Static_assert(sizeof(((holdfast_Lease *)0)->resource) == HF_NAME_MAX + 1,
               "holdfast.options follows limits.h");
_Static_assert(sizeof(((holdfast_Lease *)0)->address) == HF_ADDRESS_MAX + 1,
               "holdfast.options follows limits.h");
_Static_assert(sizeof(((holdfast_Lease *)0)->text) == HF_REASON_MAX + 1,
               "holdfast.options follows limits.h");

/* The fields that depend on the kind. */
/* clang-format off */
#define LEASE_SCALARS(X)                                                                           \
    X(token) X(nonce) X(term) X(ttl_us) X(fence_us) X(priority) X(failback_auto) X(fenced)         \
    X(position) X(round_trip_us) X(slack_us) X(highest)
/* clang-format on */

#define BIT_NUMBER(field) BIT_##field,
enum {
    LEASE_SCALARS(BIT_NUMBER) BIT_resource,
    BIT_holder,
    BIT_refusal,
    BIT_address,
    BIT_text,
    BIT_items
};
#define HAS(field) (1u << BIT_##field)

static const uint32_t fields_of_kind[LEASE_MESSAGE_KINDS] = {
    [LEASE_ACQUIRE] = HAS(resource) | HAS(ttl_us) | HAS(fence_us) | HAS(priority) |
                      HAS(failback_auto) | HAS(address) | HAS(highest),
    [LEASE_WITHDRAW] = HAS(resource),
    [LEASE_RENEW] = HAS(nonce) | HAS(items) | HAS(round_trip_us) | HAS(slack_us),
    [LEASE_RELEASE] = HAS(nonce) | HAS(resource) | HAS(token) | HAS(fenced) | HAS(text),
    [LEASE_LEADER] = HAS(term),
    [LEASE_QUEUED] = HAS(resource) | HAS(holder) | HAS(token) | HAS(position) | HAS(text),
    [LEASE_GRANTED] = HAS(resource) | HAS(token) | HAS(ttl_us) | HAS(fence_us),
    [LEASE_RENEWED] = HAS(nonce) | HAS(items),
    [LEASE_RELEASED] = HAS(nonce) | HAS(resource) | HAS(token),
    [LEASE_REFUSED] = HAS(resource) | HAS(refusal) | HAS(text),
    [LEASE_YIELD] = HAS(resource) | HAS(token) | HAS(holder) | HAS(text),
    [LEASE_LOST] = HAS(resource) | HAS(token),
    [LEASE_STUCK] = HAS(nonce) | HAS(resource) | HAS(fenced),
    [LEASE_NOTED] = HAS(nonce) | HAS(resource) | HAS(fenced),
};

static void pack_items(holdfast_Lease *out, const struct lease_message *message)
{
    out->items_count = message->item_count;
    for (uint8_t i = 0; i < message->item_count; i++) {
        fields_pack_name(out->items[i].resource, &message->items[i].resource);
        out->items[i].token = message->items[i].token;
        out->items[i].lost = message->kind == LEASE_RENEWED && message->items[i].lost;
    }
}

void wire_pack_lease(holdfast_Lease *out, const struct lease_message *message)
{
    uint32_t has = fields_of_kind[message->kind];
    /* The items are large, and cleared one by one; what stands behind them is not. */
    memset(out, 0, offsetof(holdfast_Lease, items));
    out->highest = 0;
    out->kind = (holdfast_Lease_Kind)(message->kind + 1);
#define PACK(field)                                                                                \
    if (has & HAS(field))                                                                          \
        out->field = message->field;
    LEASE_SCALARS(PACK)
#undef PACK
    if (has & HAS(resource))
        fields_pack_name(out->resource, &message->resource);
    if (has & HAS(holder))
        fields_pack_name(out->holder, &message->holder);
    if (has & HAS(refusal))
        out->refusal = (holdfast_Lease_Refusal)message->refusal;
    if (has & HAS(address))
        fields_pack_text(out->address, sizeof(out->address), message->address);
    if (has & HAS(text))
        fields_pack_text(out->text, sizeof(out->text), message->text);
    if (has & HAS(items))
        pack_items(out, message);
}

static const char *unpack_items(struct lease_message *out, const holdfast_Lease *message)
{
    out->item_count = (uint8_t)message->items_count;
    for (uint8_t i = 0; i < out->item_count; i++) {
        const holdfast_Item *item = &message->items[i];
        if (!fields_unpack_name(&out->items[i].resource, item->resource, true))
            return "lease: resource of an item is not a name";
        if (item->token == 0 || item->token >= FIELDS_COUNTER_MAX)
            return "lease: token of an item is out of range, 1 up to 2^62 is allowed";
        if (item->lost && out->kind != LEASE_RENEWED)
            return "lease: lost of an item does not belong to this kind";
        out->items[i].token = item->token;
        out->items[i].lost = item->lost;
    }
    return NULL;
}

static const char *unpack_strings(struct lease_message *out, const holdfast_Lease *message,
                                  uint32_t has)
{
#define FOREIGN(field)                                                                             \
    if (message->field[0] != '\0' && !(has & HAS(field)))                                          \
        return "lease: " #field " does not belong to this kind";
    FOREIGN(resource)
    FOREIGN(holder)
    FOREIGN(address)
    FOREIGN(text)
#undef FOREIGN
    if (!fields_unpack_name(&out->resource, message->resource, (has & HAS(resource)) != 0))
        return "lease: resource is not a name";
    if (!fields_unpack_name(&out->holder, message->holder, false))
        return "lease: holder is not a name";
    if (!fields_unpack_text(out->address, sizeof(out->address), message->address))
        return "lease: address is not printable";
    if (!fields_unpack_text(out->text, sizeof(out->text), message->text))
        return "lease: text is not printable";
    return NULL;
}

static const char *unpack_scalars(struct lease_message *out, const holdfast_Lease *message,
                                  uint32_t has)
{
#define TAKE(field)                                                                                \
    if (message->field && !(has & HAS(field)))                                                     \
        return "lease: " #field " does not belong to this kind";                                   \
    out->field = message->field;
    LEASE_SCALARS(TAKE)
#undef TAKE
    if (message->refusal != holdfast_Lease_Refusal_NONE && !(has & HAS(refusal)))
        return "lease: refusal does not belong to this kind";
    if ((uint32_t)message->refusal >= (uint32_t)LEASE_REFUSALS ||
        (uint32_t)message->refusal == (uint32_t)LEASE_REFUSED_UNUSED)
        return "lease: unknown refusal";
    out->refusal = (enum lease_refusal)message->refusal;
    return NULL;
}

static const char *check_ranges(const struct lease_message *message, uint32_t has)
{
    bool held = message->kind != LEASE_QUEUED; /* a queue may stand before a free resource */
    if ((has & HAS(token)) &&
        (message->token >= FIELDS_COUNTER_MAX || (held && message->token == 0)))
        return "lease: token is out of range, 1 up to 2^62 is allowed";
    if (message->highest >= FIELDS_COUNTER_MAX)
        return "lease: highest is out of range, up to 2^62 is allowed";
    if (message->term >= FIELDS_COUNTER_MAX)
        return "lease: term is out of range, up to 2^62 is allowed";
    if ((has & HAS(ttl_us)) &&
        !fields_in_range(message->ttl_us, LEASE_TTL_MIN_US, LEASE_TTL_MAX_US))
        return "lease: ttl_us is out of range, 50000 to 600000000 us are allowed";
    if (!fields_in_range(message->fence_us, 0, LEASE_FENCE_MAX_US))
        return "lease: fence_us is out of range, 0 to 600000000 us are allowed";
    if (!fields_in_range(message->priority, -LEASE_PRIORITY_MAX, LEASE_PRIORITY_MAX))
        return "lease: priority is out of range, -1000 to 1000 is allowed";
    if (message->round_trip_us < 0)
        return "lease: round_trip_us is out of range, 0 us and above is allowed";
    if (message->kind == LEASE_REFUSED && message->refusal == LEASE_REFUSED_NONE)
        return "lease: refusal is missing";
    return NULL;
}

const char *wire_unpack_lease(struct lease_message *out, const holdfast_Lease *message)
{
    memset(out, 0, sizeof(*out));
    if (message->kind == holdfast_Lease_Kind_UNSPECIFIED ||
        (uint32_t)message->kind > (uint32_t)LEASE_MESSAGE_KINDS)
        return "lease: unknown kind";
    out->kind = (enum lease_message_kind)((int)message->kind - 1);
    uint32_t has = fields_of_kind[out->kind];
    const char *complaint = unpack_strings(out, message, has);
    if (!complaint)
        complaint = unpack_scalars(out, message, has);
    if (!complaint)
        complaint = check_ranges(out, has);
    if (!complaint && message->items_count > 0 && !(has & HAS(items)))
        complaint = "lease: items do not belong to this kind";
    return complaint ? complaint : unpack_items(out, message);
}
