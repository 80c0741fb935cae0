/*
 * A node without a memory: its log, and the term and vote that it promised, are lost.
 *
 * While it recovers (`the node` below) it
 *  (a) grants no vote or pre-vote and never campaigns;
 *  (b) takes in what leaders send, but its replies carry `recovering`: a leader uses them to know
 *      what to send next, and for nothing else (no commit, no check-quorum, no transfer to it);
 *  (c) answers no heartbeat, so it confirms no round.
 * It asks every other member RECOVER{nonce}; each answers with its term and, if it leads, its last
 * index. It has a say again when
 *  (1) every other member has answered this question, and its own term is the greatest answer;
 *  (2) the leader of the term that it is in now has answered with last index X, and all up to X, as
 *      that leader has it, is on its own stable storage;
 *  (3) its vote in this term, which is this leader's, and that it recovers no more, are durable.
 *
 * Why all of them must answer. Say it voted, before, for C in term u, and C won or may win by that
 * vote. C's own vote for itself was durable before it asked, so C answers u or more: the node's
 * term is at least u from now on, and it helps nobody in a term before u to commit what C lacks.
 * A majority would not do: of five, the node's old vote and B's make C leader in u, while it helps
 * the leader of t < u, with A, to commit an entry that C does not have.
 *
 * Why X is enough. Say it acknowledged entry e, before, to the leader L of term s, and L commits e,
 * counting that, sooner or later. L won s, so it answers s or more, and the answering leader M has
 * a term not below. If M is L, e is in its log. Else somebody who acknowledged e voted for M later
 * and had e then: if that was the node, it was with its old memory, since without one it votes for
 * nobody. Either way e is in the log of M, at X or before, when M answers; so it is in the node's
 * log before the node votes again. The same holds for what is in flight: nothing that was said
 * before the damage is counted twice or taken back.
 *
 * Why the vote in (3). In the present term the node may have voted already, and not for its leader;
 * were it free to vote again in it after a restart, a second leader could be elected.
 *
 * Why requests for votes carry a nonce. Before the damage the node may itself have stood in a term
 * that nobody else entered, so nobody can tell it. When it comes to that term again, with a log
 * that holds less, what was asked for the longer log must not be granted to the shorter: an answer
 * counts only if it repeats the nonce of this start.
 *
 * Others without a memory. Their answer says so, and proves nothing about what they promised. A
 * candidate or leader among them lost what it was when it lost its memory. So the node asks once
 * more after it has learned of them: whoever had won before has a majority in its term by then, and
 * that majority has members that remember, as long as fewer than half have no memory at once. The
 * node counts them as having answered only if a majority of all voters remembers and has answered
 * that later question. Else it waits.
 *
 * Nothing stored at all is the same loss. A new cluster begins with what an operator put on every
 * one of its issuers: a snapshot at index I of term I, the same I on all, and the term I. A node
 * that has this and nothing else is unsure: either nothing happened yet, or its memory was lost and
 * somebody began it anew. It takes nothing in and asks. If anybody that has a memory has a history,
 * it recovers. If every other member says that it is as it was begun, at the same I, there was
 * nothing to forget, and it has a say at once: whoever stood for election, or led, has a later term
 * on its own disk. A majority would not do: of three, one that lost its disk and one that was never
 * started are two, and all that the first one helped to commit is with the third. So all must be
 * there when a cluster starts first. What is counted are answers to this start's question: an old
 * claim to be fresh proves nothing. One that has nothing, or recovers, proves nothing either:
 * neither that there is a history nor that there is none. It takes its say when that is durable:
 * were it unsure again after a restart, a power cut of the whole site, in which one of three had
 * stored its vote for itself and the others had not answered yet, would leave two without a memory.
 * Until its term is a later one it says that it is fresh, whole or not: it promised nothing. (What a
 * restore makes is never fresh: its term is above that of its snapshot.)
 *
 * What was begun here need not be how the history began that others have. So when it gives way to
 * recovery, what it was begun with is no floor that a leader's log could stand on (`unproven`): it
 * takes in no entries before it has that leader's snapshot, at I or later.
 *
 * The members are those in effect, the newest in the log that was received (the configured ones
 * until then). A change that is not committed may have been proposed against a majority that holds
 * another, so while one is pending, the members of both configurations are asked, the newest and
 * the one before it, and rule 1 holds in each. The one before is committed, since no leader
 * proposes a change while another is pending, and none before an entry of its own term is
 * committed; so whoever may stand by another uncommitted change, of another log, is in it. That the
 * change stays pending till the node has a say is no reason to wait: where the node is needed to
 * commit it, the cluster would wait for the node, and the node for the cluster.
 *
 * If one, R, was removed, and that is known to be committed, R is waited for no more. But the node
 * may have voted for R, before, in a term to come; so R must not get the votes that it lacks from
 * those who hold its removal, or R would lead a term with a log that lacks what the node helps to
 * commit now. Two rules see to that, where deafness to R would do too but leaves majorities without
 * a leader (a removal that is taken back, while one node still goes by it):
 *  - A candidate says whether it has a vote in its own newest configuration. If it has none, it
 *    knows of its removal; whoever knows of that too does not hear it (raft_election.c). A majority
 *    of those who stay holds the removal, once it is committed, without the node's word since it
 *    recovers; and R, who counts only them, can't win without one who refuses.
 *  - If it has one, its log lacks the removal, or holds a later configuration. Lacking what is
 *    committed it loses by its log in every majority, but for votes that were given before their
 *    givers held the removal. Who gave one in term u and holds the removal since got that in
 *    u or later, from a leader that had won; so it was committed in u or later, and the node, which
 *    learned of that, is in no earlier term: it helps nobody in a term before u.
 * Whoever is a leader may be heard by anybody: it has won. So messages are heard of whoever is in a
 * configuration that may be the committed one, or is the known leader (raft_hears()).
 *
 * Where there is no way out. With one without a memory, and one whose promises to it can't be
 * learned because it is dead, there is none: of three, the one that is left remembers, but the dead
 * one may have been elected by a vote that nobody remembers. Nor is there one where those who vote
 * in the newest configuration are two, and one of them has no memory: the removal of a third was
 * taken in by the leader, A, and N lost its journal before it was committed. The third may be alive
 * and answer, so that N lacks nothing but the log of a leader; but A leads only till it misses N,
 * by an election timeout, and can't be elected without N's vote. Could N not give it, to the one
 * whose log everybody else votes for? All that N helped to commit in both configurations is there.
 * But N may have gone on from there: it may have led, and removed A, and been the whole majority of
 * what it did next, and A need not know. So A waits, for it can't know better. A leader takes in no
 * change that needs the word of one without a memory, or of one whose connection is broken
 * (raft_members.c, majority_in_contact), so this takes a loss in the milliseconds between that and
 * the commit. While A still leads, N recovers (above), and all goes on. In both cases an operator
 * begins the cluster again from a backup (holdfastd --restore), which is a new history with higher
 * numbers.
 *
 * Why learners are asked as well. Before the damage the node's log may have held the promotion of
 * one, and in its configuration that one stood, and got the node's vote. The leader's log need not
 * have that entry, and says learner; but a learner it is, since only what is one is promoted.
 *
 * A memory that is lost again. Whatever is said without one carries the number of the start
 * (`life`) that lost it. A leader that hears another number begins with that peer anew: what the
 * one before held is lost too. Numbers are random and have no order; a late message of the life
 * before is taken for yet another loss, which costs a probe and counts for nothing.
 *
 * A memory that is lost unseen: a card was put back as it was once, and every checksum is right.
 * What a node promised it had on its disk, so others can tell it what it lacks, whenever that
 * arrives:
 *  - Appends and heartbeats carry what the leader counts of the receiver in this term. A log that
 *    ends below that, or has another entry there, in the same term, has lost what it acknowledged.
 *  - Each start asks all others what they were promised: everybody keeps in its RAM, for each
 *    other, the last term in which that one acknowledged or voted for it, and up to where. A node
 *    that finds itself in an earlier term, or in this one with less, has lost it. It says so, is
 *    without a memory from that step on, and recovers as above. What is older than the loss but
 *    true (its log up to the commit of the image) it keeps. What is found out by this: every loss
 *    of a promise to somebody who still runs, and answers before the node is made to break it. What
 *    is not: a promise to those who have restarted since, or can't be reached; and what the node
 *    does between its start and the first word of whoever knows better, which is one round trip
 *    where there is a connection, and a leader's next heartbeat in any case. A term that it entered
 *    again meanwhile hides a promise of an earlier one; where that was an entry, the leader that
 *    took it there has it. All this is a net below the rule that an image of a card is not put back
 *    (holdfastd(8)), not a licence to do it.
 */
#include <string.h>

#include "raft/raft_internal.h"

static const char *const standing_names[RAFT_STANDINGS] = { "whole", "unsure", "recovering" };

const char *raft_standing_name(enum raft_standing standing)
{
    return standing < RAFT_STANDINGS ? standing_names[standing] : "unknown";
}

enum raft_standing raft_standing(const struct raft *raft)
{
    return raft->recovery.standing;
}

bool raft_has_say(const struct raft *raft)
{
    return raft->recovery.standing == RAFT_WHOLE;
}

/* A snapshot at I of term I, the term I, no vote, no entries. */
static bool is_as_begun(const struct raft *raft)
{
    return raft->last_index == raft->snapshot_index &&
           raft->snapshot_index == raft->snapshot_term && raft->term == raft->snapshot_term &&
           name_empty(&raft->vote);
}

void raft_recover_init(struct raft *raft, enum raft_standing standing, struct instant now)
{
    raft->life = raft_nonce(raft);
    raft->recovery.standing = standing;
    raft->recovery.mark_due = standing == RAFT_RECOVERING;
    raft->recovery.nonce = raft_nonce(raft);
    raft->recovery.ask_at = now;
    /* Who never had a term never promised anything. */
    if (standing == RAFT_WHOLE && raft->term == 0)
        raft->recovery.ask_at = INSTANT_NEVER;
    if (standing == RAFT_UNSURE || (standing == RAFT_WHOLE && is_as_begun(raft)))
        raft->recovery.born = raft->last_index;
    /* It may have been unsure before, and what it has be what it was begun with. */
    else if (standing == RAFT_RECOVERING && raft->last_index == raft->snapshot_index &&
             raft->snapshot_index == raft->snapshot_term)
        raft->recovery.unproven = raft->last_index;
}

/* ---- those who are asked */

/* As it was begun, whether or not it has learned meanwhile that all others are so too. */
static bool is_fresh(const struct raft *raft)
{
    return raft->recovery.standing != RAFT_RECOVERING && raft->term == raft->recovery.born &&
           raft->last_index == raft->recovery.born;
}

static struct raft_promise *promise_of(struct raft *raft, const struct hf_name *id)
{
    struct raft_promise *unused = NULL;

    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        struct raft_promise *promise = &raft->promise[i];

        if (name_equal(&promise->id, id))
            return promise;
        if (raft_member_index(&raft->members, &promise->id) < 0)
            unused = promise;
    }
    /* Of one that left it is kept until the place is wanted. */
    if (unused)
        *unused = (struct raft_promise){ .id = *id };
    return unused;
}

void raft_note_promise(struct raft *raft, const struct raft_message *message, uint64_t match)
{
    struct raft_promise *promise = promise_of(raft, &message->from);

    if (!promise || message->recovering || message->term < promise->term)
        return;
    if (message->term > promise->term)
        *promise = (struct raft_promise){ .id = message->from, .term = message->term };
    if (match > promise->match)
        promise->match = match;
    promise->vote = promise->vote || message->kind == RAFT_VOTE_REPLY;
}

/* Whoever knows that its promises are lost need not be told of them. */
static void tell_promise(struct raft *raft, const struct raft_message *question,
                         struct raft_message *reply)
{
    struct raft_promise *promise = promise_of(raft, &question->from);

    if (promise && question->life != 0)
        *promise = (struct raft_promise){ .id = question->from };
    if (!promise || promise->term == 0)
        return;
    reply->last_term = promise->term;
    reply->match_index = promise->match;
    reply->granted = promise->vote;
}

void raft_recover_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_message *reply = raft_send(context, RAFT_RECOVER_REPLY, &message->from);
    int peer = raft_member_index(&raft->members, &message->from);

    if (raft->role == RAFT_LEADER && peer >= 0 && message->life != 0)
        raft_note_memory(context, &raft->progress[peer], message);
    if (!reply)
        return;
    reply->nonce = message->nonce;
    reply->fresh = is_fresh(raft);
    reply->leads = raft->role == RAFT_LEADER;
    reply->last_index = reply->leads || reply->fresh ? raft->last_index : 0;
    tell_promise(raft, message, reply);
}

void raft_note_memory(struct raft_context *context, struct raft_progress *progress,
                      const struct raft_message *message)
{
    struct raft *raft = context->raft;
    bool recovering = message->recovering || message->kind == RAFT_RECOVER;
    bool names_next = message->kind == RAFT_APPEND_REPLY && !message->success;
    uint64_t next = names_next ? message->prev_index + 1 : progress->match + 1;

    /* One that loses its memory again is another: what the one before had is lost as well. */
    if (progress->recovering == recovering && (!recovering || progress->life == message->life))
        return;
    if (recovering)
        context->out->forgetful = message->from;
    progress->recovering = recovering;
    progress->life = recovering ? message->life : 0;
    progress->match = 0;
    if (progress->state == RAFT_SNAPSHOT)
        return;
    /* A refusal is taken as the answer to this probe; else where it was is where to look first. */
    raft_progress_probe(raft, progress, next <= raft->last_index ? next : raft->last_index + 1);
    if (names_next)
        progress->nonce = message->nonce;
}

uint64_t raft_counted_match(const struct raft_progress *progress)
{
    return progress->recovering ? 0 : progress->match;
}

/* ---- the one who asks */

/* The configuration before a change that is pending here. False: none is. */
static bool previous_members(const struct raft *raft, struct raft_members *out)
{
    if (!raft_change_pending(raft) || raft->members_index < raft->first_index)
        return false;
    (void)raft_members_as_of(raft, raft->members_index - 1, out);
    return true;
}

/*
 * Who is asked: the members of the newest configuration, and of the one before it while that may be
 * the committed one. They are one step apart, so there are no more than fit one.
 */
static void asked_members(const struct raft *raft, struct raft_members *out)
{
    struct raft_members before;

    *out = raft->members;
    if (!previous_members(raft, &before))
        return;
    for (int i = 0; i < before.count; i++) {
        int at = raft_member_index(out, &before.member[i].id);

        if (at < 0 && out->count < HF_ISSUERS_MAX)
            out->member[out->count++] = before.member[i];
        else if (at >= 0 && before.member[i].voter)
            out->member[at].voter = true;
    }
}

/* `asked` holds id. */
static struct raft_answer *answer_of(struct raft *raft, const struct raft_members *asked,
                                     const struct hf_name *id)
{
    struct raft_answer *unused = NULL;

    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        struct raft_answer *answer = &raft->recovery.answer[i];

        if (name_equal(&answer->id, id))
            return answer;
        if (raft_member_index(asked, &answer->id) < 0)
            unused = answer;
    }
    /* There are fewer others than places. */
    HF_CHECK(unused);
    *unused = (struct raft_answer){ .id = *id };
    return unused;
}

static const struct raft_answer *find_answer(const struct raft *raft, const struct hf_name *id)
{
    static const struct raft_answer none;

    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        if (name_equal(&raft->recovery.answer[i].id, id))
            return &raft->recovery.answer[i];
    }
    return &none;
}

/* A new question: what was answered to those before counts no more. */
static void ask_anew(struct raft_context *context)
{
    struct raft_recovery *recovery = &context->raft->recovery;

    recovery->nonce = raft_nonce(context->raft);
    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        recovery->answer[i].answered = false;
        recovery->answer[i].whole = false;
        recovery->answer[i].fresh = false;
        recovery->answer[i].apart = 0;
    }
    recovery->leader_term = 0;
    recovery->ask_at = context->now;
}

static void begin_recovery(struct raft_context *context)
{
    context->raft->recovery.standing = RAFT_RECOVERING;
    context->raft->recovery.mark_due = true;
    ask_anew(context);
}

/*
 * It was begun above a history that goes on: by mistake, and no leader of that will have a term or
 * a snapshot above. It promised nothing by it, so it is as if nothing were stored here.
 */
static void forget_beginning(struct raft_context *context)
{
    struct raft *raft = context->raft;
    const struct raft_members members = raft->members;

    raft->term = 0;
    memset(&raft->vote, 0, sizeof raft->vote);
    raft->snapshot = (struct bytes){ NULL, 0 };
    raft->snapshot_index = 0;
    raft->snapshot_term = 0;
    raft->snapshot_durable = 0;
    raft->snapshot_members = members;
    raft->commit = 0;
    raft->applied = 0;
    raft->verified = 0;
    raft_log_reset(raft, 0, 0, &members);
    raft_members_follow_log(context);
    raft_persist_open(context)->forget = true;
}

static void hear_of_beginning(struct raft_context *context, struct raft_answer *answer,
                              const struct raft_message *message)
{
    uint64_t born = context->raft->recovery.born;

    answer->fresh = message->fresh && message->last_index == born;
    answer->apart = message->fresh && !answer->fresh ? message->last_index : 0;
    if (message->fresh || message->life != 0)
        return;
    if (born > message->term)
        forget_beginning(context);
    else
        context->raft->recovery.unproven = born;
    begin_recovery(context);
}

/* `message` is of one that has no memory itself. */
static void hear_forgetful(struct raft_context *context, struct raft_answer *answer,
                           const struct raft_message *message)
{
    if (answer->life == message->life) {
        answer->answered = true;
        answer->whole = false;
        return;
    }
    answer->life = message->life;
    ask_anew(context);
}

static void hear_whole(struct raft_context *context, struct raft_answer *answer,
                       const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_recovery *recovery = &raft->recovery;

    answer->answered = true;
    answer->whole = true;
    if (message->term > raft->term) {
        raft_enter_term(context, message->term);
        raft_change_role(context, RAFT_ROLE_HIGHER_TERM);
    }
    if (message->leads && message->term == raft->term && recovery->leader_term != raft->term) {
        recovery->leader_term = message->term;
        recovery->leader_last = message->last_index;
    }
}

/* ---- one that takes its memory for whole, and is told what it promised */

static void lose_say(struct raft_context *context, const struct raft_message *told, uint64_t term)
{
    struct raft *raft = context->raft;

    raft->recovery.loss = (struct raft_loss){ .told_by = told->from,
                                              .term = term,
                                              .match = told->match_index,
                                              .has_term = raft->term,
                                              .has_last = raft->last_index };
    raft->vote_reply_to = (struct hf_name){ { 0 } };
    /* What was asked for with this memory is not to be counted by it. */
    raft->life = raft_nonce(raft);
    begin_recovery(context);
    if (raft->role != RAFT_FOLLOWER) {
        raft_change_role(context, RAFT_ROLE_HIGHER_TERM);
        raft->leader = (struct hf_name){ { 0 } };
    }
    raft_draw_election(raft, context->now);
}

void raft_recover_if_lost(struct raft_context *context, const struct raft_message *message,
                          bool conflict)
{
    const struct raft *raft = context->raft;

    /* While a snapshot is installed the log is not what is stored. */
    if (!raft_has_say(raft) || raft->install_seq)
        return;
    if (message->match_index > raft->last_index ||
        (conflict && message->prev_index <= message->match_index))
        lose_say(context, message, message->term);
}

static void hear_promise(struct raft_context *context, const struct raft_message *message)
{
    const struct raft *raft = context->raft;

    if (raft->install_seq || message->last_term < raft->term)
        return;
    if (message->last_term > raft->term || message->match_index > raft->last_index ||
        (message->granted && !name_equal(&raft->vote, &message->from)))
        lose_say(context, message, message->last_term);
}

void raft_recover_reply_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_recovery *recovery = &raft->recovery;
    struct raft_members asked;
    struct raft_answer *answer;

    asked_members(raft, &asked);
    if (recovery->ending || message->nonce != recovery->nonce ||
        raft_member_index(&asked, &message->from) < 0)
        return;
    answer = answer_of(raft, &asked, &message->from);
    if (recovery->standing == RAFT_WHOLE) {
        answer->answered = !raft->install_seq; /* else it is asked again after that */
        hear_promise(context, message);
    } else if (recovery->standing == RAFT_UNSURE) {
        hear_of_beginning(context, answer, message);
    } else if (message->life != 0) {
        hear_forgetful(context, answer, message);
    } else {
        hear_whole(context, answer, message);
    }
}

static bool is_asked(const struct raft *raft, const struct raft_member *member)
{
    return !name_equal(&member->id, &raft->config.self);
}

/* Whether this member's answer, or another one, is still of use. */
static bool is_to_be_asked(const struct raft *raft, const struct raft_member *member)
{
    const struct raft_answer *answer = find_answer(raft, &member->id);

    if (!is_asked(raft, member))
        return false;
    if (raft_has_say(raft) || !answer->answered)
        return !answer->answered;
    /* One without a memory may have recovered since, and who did not lead may lead now. */
    return !answer->whole ||
           (name_equal(&member->id, &raft->leader) && raft->recovery.leader_term != raft->term);
}

static void ask(struct raft_context *context)
{
    struct raft *raft = context->raft;
    struct raft_recovery *recovery = &raft->recovery;

    struct raft_members asked;
    bool all = true;

    asked_members(raft, &asked);
    for (int i = 0; i < asked.count; i++) {
        struct raft_message *message;

        if (!is_to_be_asked(raft, &asked.member[i]))
            continue;
        (void)answer_of(raft, &asked, &asked.member[i].id);
        all = false;
        message = raft_send(context, RAFT_RECOVER, &asked.member[i].id);
        if (message)
            message->nonce = recovery->nonce;
    }
    recovery->ask_at = all && raft_has_say(raft) ?
                           INSTANT_NEVER :
                           instant_add(context->now, raft->config.heartbeat);
}

const struct hf_name *raft_recover_waits_for(const struct raft *raft, size_t n)
{
    struct raft_members asked;

    asked_members(raft, &asked);
    for (int i = 0; i < asked.count; i++) {
        const struct raft_member *member = &asked.member[i];
        const struct raft_answer *answer = find_answer(raft, &member->id);
        int at = raft_member_index(&raft->members, &member->id);

        /* Of a learner any answer will do. */
        if (!is_asked(raft, member) || (at < 0 && name_empty(&answer->id)) || answer->whole ||
            answer->fresh || (!member->voter && answer->answered) || n-- > 0)
            continue;
        return at < 0 ? &answer->id : &raft->members.member[at].id;
    }
    return NULL;
}

const struct hf_name *raft_recover_begun_apart(const struct raft *raft, size_t n, uint64_t *index)
{
    for (int i = 0; i < raft->members.count && raft->recovery.standing == RAFT_UNSURE; i++) {
        const struct raft_answer *answer = find_answer(raft, &raft->members.member[i].id);

        if (answer->apart == 0 || n-- > 0)
            continue;
        *index = answer->apart;
        return &answer->id;
    }
    return NULL;
}

/* Rule 1, and what counts of those who have no memory either. */
static bool answered_in(const struct raft *raft, const struct raft_members *members)
{
    int others = 0;
    int whole = 0;

    for (int i = 0; i < members->count; i++) {
        const struct raft_member *member = &members->member[i];
        const struct raft_answer *answer = find_answer(raft, &member->id);

        if (!is_asked(raft, member))
            continue;
        if (!answer->answered)
            return false;
        others += member->voter ? 1 : 0;
        whole += member->voter && answer->whole ? 1 : 0;
    }
    return whole == others || whole >= raft_quorum(members);
}

static bool all_answered(const struct raft *raft)
{
    struct raft_members before;

    return answered_in(raft, &raft->members) &&
           (!previous_members(raft, &before) || answered_in(raft, &before));
}

/* Rule 2. */
static bool has_leaders_log(const struct raft *raft)
{
    const struct raft_recovery *recovery = &raft->recovery;

    return raft->term > 0 && recovery->leader_term == raft->term && !name_empty(&raft->leader) &&
           recovery->unproven == 0 && raft->verified >= recovery->leader_last &&
           raft_durable_index(raft) >= recovery->leader_last;
}

static bool cluster_is_new(const struct raft *raft)
{
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];

        if (is_asked(raft, member) && !find_answer(raft, &member->id)->fresh)
            return false;
    }
    return true;
}

/* Rule 3: from the vote in this term on, all that is promised is kept as by anybody. */
static void end_recovery(struct raft_context *context)
{
    struct raft *raft = context->raft;

    raft->recovery.ending = true;
    raft->vote = raft->leader;
    raft_persist_hard_state(context);
    raft->recovery.end_seq = raft->hard_seq;
}

/* From then on this node is whole at every start, whatever the others have become meanwhile. */
static void end_beginning(struct raft_context *context)
{
    struct raft *raft = context->raft;

    raft->recovery.ending = true;
    raft_persist_hard_state(context);
    raft->recovery.end_seq = raft->hard_seq;
}

static void take_say(struct raft_context *context)
{
    struct raft *raft = context->raft;

    raft->recovery.standing = RAFT_WHOLE;
    raft->recovery.ending = false;
    raft->recovery.loss = (struct raft_loss){ .term = 0 };
    raft->recovery.ask_at = INSTANT_NEVER;
    raft_draw_election(raft, context->now);
    /* What the leader has from it so far does not count; it learns at once what does. */
    raft->append_reply_due = !name_empty(&raft->leader);
    raft->append_reply_prev = raft_floor(raft);
    raft->append_acknowledged = 0;
    raft_append_reply(context);
}

void raft_recover_on(struct raft_context *context)
{
    struct raft *raft = context->raft;
    struct raft_recovery *recovery = &raft->recovery;

    if (raft->role == RAFT_HALTED)
        return;
    if (recovery->ending) {
        if (recovery->end_seq <= raft->persisted_seq)
            take_say(context);
        return;
    }
    if (recovery->mark_due) {
        recovery->mark_due = false;
        raft_persist_hard_state(context);
    }
    if (recovery->standing == RAFT_UNSURE && cluster_is_new(raft))
        end_beginning(context);
    else if (recovery->standing == RAFT_RECOVERING && all_answered(raft) && has_leaders_log(raft))
        end_recovery(context);
    else if (instant_reached(recovery->ask_at, context->now))
        ask(context);
}

struct instant raft_recover_wake(const struct raft *raft)
{
    return raft->recovery.ending ? INSTANT_NEVER : raft->recovery.ask_at;
}
