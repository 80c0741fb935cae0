#include "raft/members_codec.h"

#include <string.h>

#include "base/fields.h"

_Static_assert(sizeof(((holdfast_Members *)0)->member) / sizeof(holdfast_Member) == HF_ISSUERS_MAX,
               "holdfast.options follows limits.h");
_Static_assert(sizeof(((holdfast_Member *)0)->id) == HF_NAME_MAX + 1,
               "holdfast.options follows limits.h");
_Static_assert(sizeof(((holdfast_Member *)0)->address) == HF_ADDRESS_MAX + 1,
               "holdfast.options follows limits.h");

void raft_members_pack(holdfast_Members *out, const struct raft_members *members)
{
    out->member_count = members->count;
    for (uint8_t i = 0; i < members->count; i++) {
        fields_pack_name(out->member[i].id, &members->member[i].id);
        out->member[i].voter = members->member[i].voter;
        fields_pack_text(out->member[i].address, sizeof(out->member[i].address),
                         members->member[i].address);
    }
}

const char *raft_members_unpack(struct raft_members *out, const holdfast_Members *members)
{
    memset(out, 0, sizeof(*out));
    if (members->member_count == 0)
        return "members: empty, 1 to 7 are allowed";
    out->count = (uint8_t)members->member_count;
    for (uint8_t i = 0; i < out->count; i++) {
        if (!fields_unpack_name(&out->member[i].id, members->member[i].id, true))
            return "members: id is not a name";
        out->member[i].voter = members->member[i].voter;
        if (!fields_unpack_text(out->member[i].address, sizeof(out->member[i].address),
                                members->member[i].address))
            return "members: address is not printable";
        for (uint8_t j = 0; j < i; j++) {
            if (name_equal(&out->member[i].id, &out->member[j].id))
                return "members: an id stands there twice";
        }
    }
    return raft_voter_count(out) > 0 ? NULL : "members: no voter among them, 1 to 7 are allowed";
}

size_t raft_members_encode(const struct raft_members *members, uint8_t *out, size_t capacity)
{
    holdfast_Members message;
    raft_members_pack(&message, members);
    return fields_encode(holdfast_Members_fields, &message, out, capacity);
}

bool raft_members_decode(struct raft_members *members, struct bytes bytes)
{
    holdfast_Members message;
    return fields_decode(holdfast_Members_fields, &message, bytes) &&
           raft_members_unpack(members, &message) == NULL;
}
