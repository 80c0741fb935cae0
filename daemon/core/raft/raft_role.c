/*
 * The machine of roles: every role x event, and the one function that changes the role. PROTOCOL.md,
 * one-role-changer and illegal-aborts.
 */
#include <string.h>

#include "raft/raft_internal.h"

const struct cell raft_role_table[RAFT_ROLES][RAFT_ROLE_EVENTS] = {
    [RAFT_FOLLOWER] = {
        [RAFT_ROLE_ELECTION_TIMEOUT] = GO(RAFT_PRE_CANDIDATE),
        [RAFT_ROLE_PRE_VOTE_WON] = ILLEGAL("a follower won a pre-vote that it did not ask for"),
        [RAFT_ROLE_TOLD_TO_CAMPAIGN] = GO(RAFT_CANDIDATE),
        [RAFT_ROLE_ELECTION_WON] = ILLEGAL("a follower won an election that it did not stand in"),
        [RAFT_ROLE_HIGHER_TERM] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_LEADER_SEEN] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_QUORUM_LOST] = ILLEGAL("a follower has no quorum to lose"),
        [RAFT_ROLE_REMOVED] = ILLEGAL("a follower leads nothing to be removed from"),
        [RAFT_ROLE_STORE_FAILED] = GO(RAFT_HALTED),
    },
    [RAFT_PRE_CANDIDATE] = {
        [RAFT_ROLE_ELECTION_TIMEOUT] = GO(RAFT_PRE_CANDIDATE),
        [RAFT_ROLE_PRE_VOTE_WON] = GO(RAFT_CANDIDATE),
        [RAFT_ROLE_TOLD_TO_CAMPAIGN] = ILLEGAL("a pre-candidate has no leader to be told by"),
        [RAFT_ROLE_ELECTION_WON] = ILLEGAL("a pre-candidate won an election without a new term"),
        [RAFT_ROLE_HIGHER_TERM] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_LEADER_SEEN] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_QUORUM_LOST] = ILLEGAL("a pre-candidate has no quorum to lose"),
        [RAFT_ROLE_REMOVED] = ILLEGAL("a pre-candidate leads nothing to be removed from"),
        [RAFT_ROLE_STORE_FAILED] = GO(RAFT_HALTED),
    },
    [RAFT_CANDIDATE] = {
        [RAFT_ROLE_ELECTION_TIMEOUT] = GO(RAFT_PRE_CANDIDATE),
        [RAFT_ROLE_PRE_VOTE_WON] = ILLEGAL("a candidate is past its pre-vote"),
        [RAFT_ROLE_TOLD_TO_CAMPAIGN] = ILLEGAL("a candidate has no leader to be told by"),
        [RAFT_ROLE_ELECTION_WON] = GO(RAFT_LEADER),
        [RAFT_ROLE_HIGHER_TERM] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_LEADER_SEEN] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_QUORUM_LOST] = ILLEGAL("a candidate has no quorum to lose"),
        [RAFT_ROLE_REMOVED] = ILLEGAL("a candidate leads nothing to be removed from"),
        [RAFT_ROLE_STORE_FAILED] = GO(RAFT_HALTED),
    },
    [RAFT_LEADER] = {
        [RAFT_ROLE_ELECTION_TIMEOUT] = ILLEGAL("a leader runs no election timer"),
        [RAFT_ROLE_PRE_VOTE_WON] = ILLEGAL("a leader asks for no pre-vote"),
        [RAFT_ROLE_TOLD_TO_CAMPAIGN] = ILLEGAL("a leader is told to campaign by nobody"),
        [RAFT_ROLE_ELECTION_WON] = ILLEGAL("a leader won the election twice"),
        [RAFT_ROLE_HIGHER_TERM] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_LEADER_SEEN] = ILLEGAL("two leaders in one term"),
        [RAFT_ROLE_QUORUM_LOST] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_REMOVED] = GO(RAFT_FOLLOWER),
        [RAFT_ROLE_STORE_FAILED] = GO(RAFT_HALTED),
    },
    [RAFT_HALTED] = {
        [RAFT_ROLE_ELECTION_TIMEOUT] = ILLEGAL("a halted node does not campaign"),
        [RAFT_ROLE_PRE_VOTE_WON] = ILLEGAL("a halted node does not campaign"),
        [RAFT_ROLE_TOLD_TO_CAMPAIGN] = ILLEGAL("a halted node does not campaign"),
        [RAFT_ROLE_ELECTION_WON] = ILLEGAL("a halted node does not lead"),
        [RAFT_ROLE_HIGHER_TERM] = ILLEGAL("a halted node can not keep a new term"),
        [RAFT_ROLE_LEADER_SEEN] = ILLEGAL("a halted node follows nobody"),
        [RAFT_ROLE_QUORUM_LOST] = ILLEGAL("a halted node has no quorum to lose"),
        [RAFT_ROLE_REMOVED] = ILLEGAL("a halted node leads nothing to be removed from"),
        [RAFT_ROLE_STORE_FAILED] = ILLEGAL("a store fails once"),
    },
};

const char *raft_role_name(enum raft_role role)
{
    static const char *const names[RAFT_ROLES] = {
        [RAFT_FOLLOWER] = "follower",   [RAFT_PRE_CANDIDATE] = "pre-candidate",
        [RAFT_CANDIDATE] = "candidate", [RAFT_LEADER] = "leader",
        [RAFT_HALTED] = "halted",
    };
    return role < RAFT_ROLES ? names[role] : "unknown";
}

/* xorshift64* (Vigna 2016): spreads timers, no more is asked of it. */
static uint64_t random_number(struct raft *raft)
{
    raft->random ^= raft->random >> 12;
    raft->random ^= raft->random << 25;
    raft->random ^= raft->random >> 27;
    return raft->random * 0x2545F4914F6CDD1DULL;
}

uint64_t raft_nonce(struct raft *raft)
{
    return random_number(raft) >> 2 | 1;
}

void raft_draw_election(struct raft *raft, struct instant now)
{
    uint64_t span_us = (uint64_t)raft->config.election.us;
    if (!raft_may_campaign(raft)) {
        raft->election_at = INSTANT_NEVER;
        return;
    }
    span_us += (random_number(raft) >> 11) % span_us;
    raft->election_at = instant_add(now, span_from_us((int64_t)span_us));
}

void raft_draw_retry(struct raft *raft, struct instant now)
{
    int64_t half_us = raft->config.election.us / 2;
    struct span delay =
        span_from_us(half_us / 2 + (int64_t)((random_number(raft) >> 11) % (uint64_t)half_us));
    raft->election_at = instant_min(raft->election_at, instant_add(now, delay));
}

static void follow(struct raft_context *context, enum raft_role before, enum raft_role_event event)
{
    struct raft *raft = context->raft;
    /* A higher term alone must not postpone a follower's own campaign; a leader's message does. */
    if (before != RAFT_FOLLOWER || event == RAFT_ROLE_LEADER_SEEN)
        raft_draw_election(raft, context->now);
    if (event == RAFT_ROLE_QUORUM_LOST || event == RAFT_ROLE_REMOVED)
        raft->leader = (struct hf_name){ { 0 } };
}

void raft_change_role(struct raft_context *context, enum raft_role_event event)
{
    struct raft *raft = context->raft;
    const struct cell *cell = &raft_role_table[raft->role][event];
    enum raft_role before = raft->role;
    if (cell->kind != CELL_GO)
        hf_panic(__FILE__, __LINE__, cell->why);
    raft->role = (enum raft_role)cell->next;
    raft->serving = false;
    raft->vote_for_self = false;
    raft->transfer_to = (struct hf_name){ { 0 } };
    if (event == RAFT_ROLE_LEADER_SEEN || event == RAFT_ROLE_ELECTION_WON) {
        /* The election is over. */
        raft->silent_elections = 0;
        raft->vote_asked = (struct instant){ 0 };
    }
    switch (raft->role) {
    case RAFT_FOLLOWER:
        follow(context, before, event);
        break;
    case RAFT_PRE_CANDIDATE:
        raft_begin_pre_vote(context);
        break;
    case RAFT_CANDIDATE:
        raft_begin_election(context, event == RAFT_ROLE_TOLD_TO_CAMPAIGN);
        break;
    case RAFT_LEADER:
        raft_lead(context);
        break;
    case RAFT_HALTED:
        raft->leader = (struct hf_name){ { 0 } };
        break;
    case RAFT_ROLES:
        hf_panic(__FILE__, __LINE__, "no such role");
    }
}

void raft_enter_term(struct raft_context *context, uint64_t term)
{
    struct raft *raft = context->raft;
    HF_CHECK(term > raft->term);
    raft->term = term;
    raft->vote = (struct hf_name){ { 0 } };
    raft->leader = (struct hf_name){ { 0 } };
    raft->verified = raft_floor(raft);
    raft->vote_reply_to = (struct hf_name){ { 0 } };
    raft->append_reply_due = false;
    raft->append_acknowledged = 0;
    raft->snapshot_reply_index = 0;
    raft->receiving_index = 0;
    raft_persist_hard_state(context);
}
