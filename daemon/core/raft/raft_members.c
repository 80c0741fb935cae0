/*
 * Members: who votes, what a majority of them has reached, and how one is added or removed.
 *
 * One server at a time (4.1): any majority before a change and any after it have a server in
 * common, so a configuration may take effect as soon as it is in the log, and be taken back with
 * it. That holds for one step only. Hence a leader makes no change while another is on its way,
 * nor before an entry of its own term is committed: an unfinished change of an earlier leader may
 * lie in other logs, two steps away (Ongaro, raft-dev, 10 July 2015).
 * Source: PROTOCOL.md, one-change, learner-first, configuration-from-log, heard-if-maybe-member,
 *   stand-if-maybe-voter, change-needs-contact.
 */
#include <string.h>

#include "raft/raft_internal.h"

uint8_t raft_voter_count(const struct raft_members *members)
{
    uint8_t count = 0;
    for (int i = 0; i < members->count; i++)
        count = (uint8_t)(count + (members->member[i].voter ? 1 : 0));
    return count;
}

uint8_t raft_quorum(const struct raft_members *members)
{
    return (uint8_t)(raft_voter_count(members) / 2 + 1);
}

int raft_member_index(const struct raft_members *members, const struct hf_name *id)
{
    for (int i = 0; i < members->count; i++) {
        if (name_equal(&members->member[i].id, id))
            return i;
    }
    return -1;
}

static bool votes_in(const struct raft_members *members, const struct hf_name *id)
{
    int index = raft_member_index(members, id);
    return index >= 0 && members->member[index].voter;
}

bool raft_is_voter(const struct raft *raft, const struct hf_name *id)
{
    return votes_in(&raft->members, id);
}

int raft_self_index(const struct raft *raft)
{
    return raft_member_index(&raft->members, &raft->config.self);
}

uint64_t raft_majority_value(const struct raft_members *members, const uint64_t *values)
{
    uint64_t sorted[HF_ISSUERS_MAX]; /* greatest first */
    int count = 0;
    for (int i = 0; i < members->count; i++) {
        int at = count;
        if (!members->member[i].voter)
            continue;
        while (at > 0 && sorted[at - 1] < values[i]) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = values[i];
        count++;
    }
    return count > 0 ? sorted[raft_quorum(members) - 1] : 0;
}

/* ---- the configuration in effect */

bool raft_members_readable(struct bytes bytes)
{
    struct raft_members members;
    return raft_members_decode(&members, bytes);
}

uint64_t raft_members_as_of(const struct raft *raft, uint64_t index, struct raft_members *out)
{
    for (uint64_t i = index; i >= raft->first_index; i--) {
        const struct raft_entry *entry = raft_entry_at(raft, i);
        if (entry->kind != RAFT_ENTRY_MEMBERS)
            continue;
        HF_CHECK(raft_members_decode(out, (struct bytes){ entry->data, entry->length }));
        return i;
    }
    *out = raft->base;
    return raft->first_index - 1;
}

/*
 * Whether `id` is in a configuration that may be the committed one, as far as this node knows: in any
 * from the last that it knows to be committed to the newest. After a restart it knows little of what
 * is committed.
 */
static bool may_be_member(const struct raft *raft, const struct hf_name *id, bool as_voter)
{
    struct raft_members members;
    uint64_t at = raft->members_index;
    if (as_voter ? votes_in(&raft->members, id) : raft_member_index(&raft->members, id) >= 0)
        return true;
    while (at > raft_floor(raft)) {
        at = raft_members_as_of(raft, at - 1, &members);
        if (as_voter ? votes_in(&members, id) : raft_member_index(&members, id) >= 0)
            return true;
    }
    return false;
}

bool raft_hears(const struct raft *raft, const struct hf_name *id)
{
    return !name_empty(id) && (name_equal(&raft->leader, id) || may_be_member(raft, id, false));
}

bool raft_change_pending(const struct raft *raft)
{
    return raft->members_index > raft->commit;
}

/*
 * 4.2.2: one whose removal is not committed may be the only one whose log can win, and stands for
 * election though it has no vote in it.
 */
bool raft_may_campaign(const struct raft *raft)
{
    return raft_has_say(raft) && may_be_member(raft, &raft->config.self, true);
}

/* What is known of a peer goes with it to its new position. */
static void carry_progress(struct raft *raft, const struct raft_members *before)
{
    struct raft_progress known[HF_ISSUERS_MAX];
    memcpy(known, raft->progress, sizeof(known));
    for (int i = 0; i < raft->members.count; i++) {
        int at = raft_member_index(before, &raft->members.member[i].id);
        if (at >= 0)
            raft->progress[i] = known[at];
        else
            raft_progress_begin(raft, &raft->progress[i]);
    }
}

void raft_members_follow_log(struct raft_context *context)
{
    struct raft *raft = context->raft;
    struct raft_members before = raft->members;
    raft->members_index = raft_members_as_of(raft, raft->last_index, &raft->members);
    carry_progress(raft, &before);
    context->out->members_changed = true;
    if (!raft_may_campaign(raft))
        raft->election_at = INSTANT_NEVER;
    else if (raft->election_at.us == INSTANT_NEVER.us)
        raft_draw_election(raft, context->now);
}

/* ---- changes */

/* False: the change fits no configuration of these members; *refusal says why. */
static bool changed_members(const struct raft *raft, const struct raft_event *event,
                            struct raft_members *out, enum raft_refusal *refusal)
{
    int at = raft_member_index(&raft->members, &event->peer);
    *out = raft->members;
    *refusal = RAFT_ACCEPTED;
    if (event->change == RAFT_CHANGE_ADD) {
        if (at >= 0)
            *refusal = RAFT_MEMBER_KNOWN;
        else if (out->count == HF_ISSUERS_MAX)
            *refusal = RAFT_MEMBERS_FULL;
        else
            at = out->count++;
        if (*refusal != RAFT_ACCEPTED)
            return false;
        memset(&out->member[at], 0, sizeof(out->member[at]));
        out->member[at].id = event->peer;
        text_copy(out->member[at].address, sizeof(out->member[at].address), event->address);
        return true;
    }
    if (at < 0)
        *refusal = RAFT_MEMBER_UNKNOWN;
    else if (event->change == RAFT_CHANGE_PROMOTE && out->member[at].voter)
        *refusal = RAFT_MEMBER_KNOWN;
    if (*refusal != RAFT_ACCEPTED)
        return false;
    if (event->change == RAFT_CHANGE_PROMOTE) {
        out->member[at].voter = true;
        return true;
    }
    out->count--;
    memmove(&out->member[at], &out->member[at + 1],
            (size_t)(out->count - at) * sizeof(out->member[0]));
    memset(&out->member[out->count], 0, sizeof(out->member[0]));
    if (raft_voter_count(out) == 0)
        *refusal = RAFT_MEMBER_LAST;
    return *refusal == RAFT_ACCEPTED;
}

/* 4.2.1: else commits would have to wait for it while it catches up. */
static bool caught_up(const struct raft *raft, const struct hf_name *peer)
{
    const struct raft_progress *progress = &raft->progress[raft_member_index(&raft->members, peer)];
    return progress->state == RAFT_REPLICATE && !progress->recovering &&
           progress->match + RAFT_APPEND_MAX >= raft->last_index;
}

/* A change that its own majority can't commit would leave the cluster without a leader. */
static bool majority_in_contact(const struct raft *raft, const struct raft_members *members,
                                struct instant now)
{
    int count = 0;
    for (int i = 0; i < members->count; i++) {
        int at = raft_member_index(&raft->members, &members->member[i].id);
        const struct raft_progress *progress = &raft->progress[at];
        struct instant until = instant_add(progress->last_contact, raft->config.election);
        if (!members->member[i].voter)
            continue;
        /* One that has no memory commits nothing, however well it is heard. */
        if (at == raft_self_index(raft) ||
            (!instant_reached(until, now) && !progress->recovering && !progress->down))
            count++;
    }
    return count >= raft_quorum(members);
}

static enum raft_refusal judge(const struct raft *raft, const struct raft_event *event,
                               struct instant now, struct raft_members *out)
{
    enum raft_refusal refusal;
    if (raft->role != RAFT_LEADER || !raft->serving || raft->commit < raft->noop_index)
        return RAFT_NOT_LEADER;
    if (!name_empty(&raft->transfer_to))
        return RAFT_TRANSFERRING;
    if (raft_change_pending(raft))
        return RAFT_CHANGE_PENDING;
    if (!changed_members(raft, event, out, &refusal))
        return refusal;
    if (event->change == RAFT_CHANGE_PROMOTE && !caught_up(raft, &event->peer))
        return RAFT_MEMBER_BEHIND;
    if (event->change != RAFT_CHANGE_ADD && !majority_in_contact(raft, out, now))
        return RAFT_MEMBERS_DOWN;
    return raft_judge_room(raft);
}

static size_t encode(const struct raft_members *members, uint8_t bytes[RAFT_ENTRY_DATA_MAX])
{
    return raft_members_encode(members, bytes, RAFT_ENTRY_DATA_MAX);
}

enum raft_refusal raft_judge_change(const struct raft *raft, const struct raft_event *event,
                                    struct instant now)
{
    struct raft_members members;
    uint8_t bytes[RAFT_ENTRY_DATA_MAX];
    enum raft_refusal refusal = judge(raft, event, now, &members);
    if (refusal == RAFT_ACCEPTED && encode(&members, bytes) == 0)
        return RAFT_MEMBERS_LONG;
    return refusal;
}

void raft_change_members(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    struct raft_members members;
    uint8_t bytes[RAFT_ENTRY_DATA_MAX];
    size_t length;
    HF_CHECK(event->change < RAFT_CHANGES && !name_empty(&event->peer));
    context->out->refusal = judge(raft, event, context->now, &members);
    if (context->out->refusal != RAFT_ACCEPTED)
        return;
    length = encode(&members, bytes);
    if (length == 0) {
        context->out->refusal = RAFT_MEMBERS_LONG;
        return;
    }
    raft_log_append(context, raft->term, RAFT_ENTRY_MEMBERS, (struct bytes){ bytes, length });
    context->out->proposed_index = raft->last_index;
}

/* ---- a leader that removed itself */

/* The voter with the longest log, which is told to campaign at once. */
static int successor(const struct raft *raft)
{
    int best = -1;
    for (int i = 0; i < raft->members.count; i++) {
        if (raft->members.member[i].voter &&
            (best < 0 ||
             raft_counted_match(&raft->progress[i]) > raft_counted_match(&raft->progress[best])))
            best = i;
    }
    return best;
}

void raft_leave_if_removed(struct raft_context *context)
{
    struct raft *raft = context->raft;
    if (raft_is_voter(raft, &raft->config.self) || raft_change_pending(raft))
        return;
    /* Those who stay learn that it is committed: nobody has to prove it again. */
    raft_send_heartbeats(context);
    (void)raft_send(context, RAFT_TIMEOUT_NOW, &raft->members.member[successor(raft)].id);
    raft_change_role(context, RAFT_ROLE_REMOVED);
}
