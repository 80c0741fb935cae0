/*
 * Elections: pre-vote, votes, stickiness. Source: 3.4, 3.6, 4.2.3, 9.6; PROTOCOL.md, one-vote,
 * longer-log-wins, distinct-voters, pre-vote, sticky-follower, nonce-of-this-start,
 * candidate-bears-slow-disks.
 *
 * A candidate asks for votes only after its own vote is durable. Were the requests sent earlier, a
 * restart could make it stand in the same term again with a shorter log, and count grants that
 * were given to the longer one.
 */
#include "raft/raft_internal.h"

enum {
    SYNCS_OF_A_VOTER = 2, /* what a voter's disk writes already, then the vote */
    SILENT_MAX = 6        /* elections in a row from which on patience grows no more */
};

static bool log_up_to_date(const struct raft *raft, const struct raft_message *request)
{
    uint64_t last_term = raft_term_at(raft, raft->last_index);
    return request->last_term > last_term ||
           (request->last_term == last_term && request->last_index >= raft->last_index);
}

/* 4.2.3: whoever hears a working leader does not help to depose it. */
static bool sticks_to_leader(const struct raft_context *context)
{
    const struct raft *raft = context->raft;
    if (raft->role == RAFT_LEADER)
        return true;
    return !name_empty(&raft->leader) &&
           !instant_reached(instant_add(raft->leader_contact, raft->config.election), context->now);
}

/* Likewise of a candidate that has this node's vote and still asks: the other voters' may be coming. */
static bool sticks_to_candidate(const struct raft_context *context, const struct hf_name *other)
{
    const struct raft *raft = context->raft;
    return !name_empty(&raft->vote) && !name_equal(&raft->vote, &raft->config.self) &&
           !name_equal(&raft->vote, other) &&
           !instant_reached(instant_add(raft->vote_asked, raft->config.election), context->now);
}

/* Of what is asked in this start for `term`. */
static uint64_t vote_nonce(const struct raft *raft, uint64_t term)
{
    return raft->life + term;
}

/* Of all voters but those that refused. */
static void request_votes(struct raft_context *context, bool pre, uint64_t term)
{
    struct raft *raft = context->raft;
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];
        struct raft_message *message;
        if (!member->voter || name_equal(&member->id, &raft->config.self) ||
            raft->progress[i].vote_refused)
            continue;
        message = raft_send(context, RAFT_VOTE_REQUEST, &member->id);
        if (!message)
            return;
        message->term = term;
        message->pre = pre;
        message->transfer = !pre && raft->campaign_transfer;
        message->last_index = raft->last_index;
        message->last_term = raft_term_at(raft, raft->last_index);
        message->nonce = vote_nonce(raft, term);
        message->voter = raft_is_voter(raft, &raft->config.self);
    }
}

static void clear_votes(struct raft *raft)
{
    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        raft->progress[i].vote_granted = false;
        raft->progress[i].vote_refused = false;
    }
    raft->vote_split = false;
}

/*
 * Whether a majority may still say yes. If any refused, the one that says nothing at all is most
 * likely the leader that died.
 */
static bool may_be_elected(const struct raft *raft)
{
    int voters = raft_voter_count(&raft->members);
    int refused = 0;
    for (int i = 0; i < raft->members.count; i++) {
        if (raft->members.member[i].voter && raft->progress[i].vote_refused)
            refused++;
    }
    return refused == 0 || voters - refused - 1 >= raft_quorum(&raft->members);
}

/*
 * PROTOCOL.md, candidate-bears-slow-disks. What the voters' disks take is known from this node's
 * own, and from elections that nobody answered in time.
 */
static struct span patience(const struct raft *raft, struct span own_sync)
{
    int64_t election_us = raft->config.election.us;
    int64_t most_us = election_us << SILENT_MAX;
    int64_t span_us = raft->silent_elections > 0 ? election_us << raft->silent_elections : 0;
    if (own_sync.us > most_us / SYNCS_OF_A_VOTER)
        return span_from_us(most_us);
    if (SYNCS_OF_A_VOTER * own_sync.us > span_us)
        span_us = SYNCS_OF_A_VOTER * own_sync.us;
    return span_from_us(span_us);
}

static void begin_to_wait(struct raft_context *context)
{
    struct raft *raft = context->raft;
    struct span span = patience(raft, instant_diff(context->now, raft->vote_since));
    raft->patient_until = instant_add(context->now, span);
    if (span.us > raft->config.election.us)
        raft_draw_retry(raft, context->now);
}

/*
 * True if a candidate goes on waiting in its term. It asks all again, often enough that whoever
 * gave it the vote does not stand meanwhile.
 */
static bool waits_for_votes(struct raft_context *context)
{
    struct raft *raft = context->raft;
    if (raft->role != RAFT_CANDIDATE || !may_be_elected(raft))
        return false;
    if (instant_reached(raft->patient_until, context->now)) {
        if (raft->silent_elections < SILENT_MAX)
            raft->silent_elections++;
        return false;
    }
    request_votes(context, false, raft->term);
    return true;
}

void raft_election_timeout(struct raft_context *context, const struct raft_event *event)
{
    struct raft *raft = context->raft;
    (void)event;
    if (!instant_reached(raft->election_at, context->now))
        return;
    /*
     * A disk slower than the timeout must not drive the term up, neither the candidate's nor that
     * of who gives it the vote; a log without room for the first entry of a term can't lead one,
     * and a change of members may have taken the vote away.
     */
    if (!raft_may_campaign(raft) || !raft_hard_state_durable(raft) || raft_log_room(raft) == 0) {
        raft_draw_election(raft, context->now);
        return;
    }
    if (waits_for_votes(context)) {
        raft_draw_election(raft, context->now);
        raft_draw_retry(raft, context->now);
        return;
    }
    raft_change_role(context, RAFT_ROLE_ELECTION_TIMEOUT);
}

/* Not if the configuration in effect is without this node: it may stand, but has no vote. */
static void vote_for_self(struct raft *raft)
{
    int self = raft_self_index(raft);
    if (self >= 0)
        raft->progress[self].vote_granted = true;
}

void raft_begin_pre_vote(struct raft_context *context)
{
    struct raft *raft = context->raft;
    raft->leader = (struct hf_name){ { 0 } };
    raft_draw_election(raft, context->now);
    clear_votes(raft);
    vote_for_self(raft);
    request_votes(context, true, raft->term + 1);
}

void raft_begin_election(struct raft_context *context, bool transfer)
{
    struct raft *raft = context->raft;
    raft_enter_term(context, raft->term + 1);
    raft->vote = raft->config.self;
    raft_persist_hard_state(context);
    raft->vote_for_self = true;
    raft->campaign_transfer = transfer;
    raft->vote_since = context->now;
    raft_draw_election(raft, context->now);
    clear_votes(raft);
}

static void reply_to_vote(struct raft_context *context, const struct hf_name *to, bool pre,
                          bool granted, uint64_t term, uint64_t nonce)
{
    struct raft_message *reply = raft_send(context, RAFT_VOTE_REPLY, to);
    if (!reply)
        return;
    reply->term = term;
    reply->pre = pre;
    reply->granted = granted;
    reply->nonce = nonce;
}

void raft_vote_persisted(struct raft_context *context)
{
    struct raft *raft = context->raft;
    if (!raft_hard_state_durable(raft))
        return;
    if (raft->vote_for_self) {
        raft->vote_for_self = false;
        vote_for_self(raft);
        begin_to_wait(context);
        request_votes(context, false, raft->term);
    }
    if (!name_empty(&raft->vote_reply_to)) {
        reply_to_vote(context, &raft->vote_reply_to, false, true, raft->term,
                      raft->vote_reply_nonce);
        raft->vote_reply_to = (struct hf_name){ { 0 } };
    }
}

static void grant_vote(struct raft_context *context, const struct raft_message *request)
{
    struct raft *raft = context->raft;
    const struct hf_name *candidate = &request->from;
    if (!name_equal(&raft->vote, candidate)) {
        raft->vote = *candidate;
        raft_persist_hard_state(context);
    }
    raft_draw_election(raft, context->now);
    raft->vote_asked = context->now;
    raft->vote_reply_to = *candidate;
    raft->vote_reply_nonce = request->nonce;
    raft_vote_persisted(context);
}

/*
 * The candidate knows, as this node does, of a configuration in which it has no vote. That may be
 * committed; whoever has a part in committing it must not help to depose it: PROTOCOL.md,
 * removed-gets-no-vote.
 */
static bool may_be_removed(const struct raft *raft, const struct raft_message *request)
{
    return !request->voter && !raft_is_voter(raft, &request->from);
}

void raft_vote_request_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    bool free_to_vote;
    bool granted;
    if (!raft_has_say(raft) || may_be_removed(raft, message))
        return;
    if (message->term < raft->term) {
        reply_to_vote(context, &message->from, message->pre, false, raft->term, message->nonce);
        return;
    }
    if ((message->pre || !message->transfer) && sticks_to_leader(context))
        return;
    if (!message->pre && message->term > raft->term) {
        raft_enter_term(context, message->term);
        raft_change_role(context, RAFT_ROLE_HIGHER_TERM);
    }
    free_to_vote = name_equal(&raft->vote, &message->from) ||
                   (name_empty(&raft->vote) && name_empty(&raft->leader)) ||
                   message->term > raft->term;
    /* 4.2.2: the candidate's configuration counts, and may be newer than ours. */
    granted = free_to_vote && log_up_to_date(raft, message);
    /* An election that goes on, at this disk or at others, would be overtaken; so would the next. */
    if (message->pre && !raft_hard_state_durable(raft))
        granted = false;
    if (message->pre && sticks_to_candidate(context, &message->from))
        granted = false;
    if (granted && !message->pre)
        grant_vote(context, message);
    else
        reply_to_vote(context, &message->from, message->pre, granted,
                      granted ? message->term : raft->term, message->nonce);
}

void raft_vote_reply_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_progress *progress =
        &raft->progress[raft_member_index(&raft->members, &message->from)];
    bool expected = message->pre ?
                        raft->role == RAFT_PRE_CANDIDATE && message->term == raft->term + 1 :
                        raft->role == RAFT_CANDIDATE && message->term == raft->term;
    /*
     * Else an answer to what an earlier start of this node asked, which may have known more; or a
     * refusal of an earlier term, by a voter that is in this one meanwhile and was not asked yet.
     */
    if (!expected || message->nonce != vote_nonce(raft, message->term))
        return;
    if (message->granted) {
        progress->vote_granted = true;
        if (!message->pre)
            raft_note_promise(raft, message, 0);
        return;
    }
    if (message->pre)
        return;
    progress->vote_refused = true;
    if (!raft->vote_split) {
        /*
         * Most likely a split vote, and the third voter is the leader that died. Waiting out a
         * whole timeout would cost a healthy holder its lease; the pre-vote that comes first keeps
         * a quick retry from harming a winner.
         */
        raft->vote_split = true;
        raft_draw_retry(raft, context->now);
    }
}

static bool votes_won(const struct raft *raft)
{
    int granted = 0;
    for (int i = 0; i < raft->members.count; i++) {
        if (raft->members.member[i].voter && raft->progress[i].vote_granted)
            granted++;
    }
    return granted >= raft_quorum(&raft->members);
}

void raft_count_votes(struct raft_context *context)
{
    struct raft *raft = context->raft;
    if (raft->role == RAFT_PRE_CANDIDATE && votes_won(raft))
        raft_change_role(context, RAFT_ROLE_PRE_VOTE_WON);
    if (raft->role == RAFT_CANDIDATE && votes_won(raft))
        raft_change_role(context, RAFT_ROLE_ELECTION_WON);
}
