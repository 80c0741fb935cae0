/*
 * A configuration <-> the published format: `Members` of wire/holdfast.proto. The bytes are those of
 * a RAFT_ENTRY_MEMBERS entry and of the journal's records (raft.h: raft_members_encode(),
 * raft_members_decode()); the generated form is for messages that have members in them.
 */
#ifndef HOLDFAST_CORE_RAFT_MEMBERS_CODEC_H
#define HOLDFAST_CORE_RAFT_MEMBERS_CODEC_H

#include "holdfast.pb.h"
#include "raft/raft.h"

void raft_members_pack(holdfast_Members *out, const struct raft_members *members);

/* NULL, or what is wrong with them: static text. */
const char *raft_members_unpack(struct raft_members *out, const holdfast_Members *members);

#endif
