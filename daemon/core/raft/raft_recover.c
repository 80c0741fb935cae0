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
 * counting that, sooner or later. L won s, so it answers s or more, and the answering leader M has a
 * term not below. If M is L, e is in its log. Else somebody who acknowledged e voted for M later and
 * had e then: if that was the node, it was with its old memory, since without one it votes for
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
 * one of its issuers: a snapshot at index I of term I, the same I on all, and the term I. A node that
 * has this and nothing else is unsure: either nothing happened yet, or its memory was lost and somebody
 * began it anew. It takes nothing in and asks. If anybody that has a memory has a history, it
 * recovers. If every other member says that it is as it was begun, at the same I, there was nothing to
 * forget, and it has a say at once: whoever stood for election, or led, has a later term on its own
 * disk. A majority would not do: of three, one that lost its disk and one that was never started are
 * two, and all that the first one helped to commit is with the third. So all must be there when a
 * cluster starts first. What is counted are answers to this start's question: an old claim to be
 * fresh proves nothing. One that has nothing, or recovers, proves nothing either: neither that there
 * is a history nor that there is none. That it has a say is not stored: until its term is a later one,
 * it says after a restart that it is fresh, and asks again.
 *
 * What was begun here need not be how the history began that others have. So when it gives way to
 * recovery, what it was begun with is no floor that a leader's log could stand on (`unproven`): it
 * takes in no entries before it has that leader's snapshot, at I or later.
 *
 * The members are those in effect, the newest in the log that was received (the configured ones
 * until then). If one was removed, the leader's log shows it, and once that is known to be committed
 * it is waited for no more: a majority that overlaps with every earlier one has the change then, and
 * none of those hears it (their callers know it for no issuer). A change that is not committed may
 * have been proposed against a majority that holds another.
 *
 * Why learners are asked as well. Before the damage the node's log may have held the promotion of
 * one, and in its configuration that one stood, and got the node's vote. The leader's log need not
 * have that entry, and says learner; but a learner it is, since only what is one is promoted.
 */
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

/* Never 0, and in the range of the wire's counters. */
static uint64_t new_nonce(struct raft *raft)
{
    return raft_random(raft) >> 2 | 1;
}

void raft_recover_init(struct raft *raft, enum raft_standing standing, struct instant now)
{
    raft->life = new_nonce(raft);
    raft->recovery.standing = standing;
    raft->recovery.mark_due = standing == RAFT_RECOVERING;
    raft->recovery.nonce = new_nonce(raft);
    raft->recovery.ask_at = now;
    if (standing == RAFT_UNSURE)
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

void raft_recover_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_message *reply = raft_send(context, RAFT_RECOVER_REPLY, &message->from);

    int peer = raft_member_index(&raft->members, &message->from);

    if (raft->role == RAFT_LEADER && peer >= 0)
        raft_note_memory(raft, &raft->progress[peer], message);
    if (!reply)
        return;
    reply->nonce = message->nonce;
    reply->fresh = is_fresh(raft);
    reply->life = raft_has_say(raft) ? 0 : raft->life;
    reply->leads = raft->role == RAFT_LEADER;
    reply->last_index = reply->leads || reply->fresh ? raft->last_index : 0;
}

void raft_note_memory(const struct raft *raft, struct raft_progress *progress,
                      const struct raft_message *message)
{
    bool recovering = message->recovering || message->kind == RAFT_RECOVER;
    bool names_next = message->kind == RAFT_APPEND_REPLY && !message->success;
    uint64_t next = names_next ? message->prev_index + 1 : progress->match + 1;

    if (progress->recovering == recovering)
        return;
    progress->recovering = recovering;
    progress->match = 0;
    if (progress->state == RAFT_SNAPSHOT)
        return;
    /* A refusal is taken as the answer to this probe; else where it was is where to look first. */
    progress->state = RAFT_PROBE;
    progress->next = next <= raft->last_index ? next : raft->last_index + 1;
    progress->inflight = 0;
    progress->paused = false;
}

uint64_t raft_counted_match(const struct raft_progress *progress)
{
    return progress->recovering ? 0 : progress->match;
}

/* ---- the one who asks */

static struct raft_answer *answer_of(struct raft *raft, const struct hf_name *id)
{
    struct raft_answer *unused = NULL;

    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        struct raft_answer *answer = &raft->recovery.answer[i];

        if (name_equal(&answer->id, id))
            return answer;
        if (raft_member_index(&raft->members, &answer->id) < 0)
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

    recovery->nonce = new_nonce(context->raft);
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
    context->raft->recovery.unproven = context->raft->recovery.born;
    ask_anew(context);
}

static void hear_of_beginning(struct raft_context *context, struct raft_answer *answer,
                              const struct raft_message *message)
{
    uint64_t born = context->raft->recovery.born;

    answer->fresh = message->fresh && message->last_index == born;
    answer->apart = message->fresh && !answer->fresh ? message->last_index : 0;
    if (!message->fresh && message->life == 0)
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

void raft_recover_reply_received(struct raft_context *context, const struct raft_message *message)
{
    struct raft *raft = context->raft;
    struct raft_recovery *recovery = &raft->recovery;
    struct raft_answer *answer;

    if (raft_has_say(raft) || recovery->ending || message->nonce != recovery->nonce)
        return;
    answer = answer_of(raft, &message->from);
    if (recovery->standing == RAFT_UNSURE) {
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

static void ask(struct raft_context *context)
{
    struct raft *raft = context->raft;
    struct raft_recovery *recovery = &raft->recovery;

    recovery->ask_at = instant_add(context->now, raft->config.heartbeat);
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];
        bool leads_unasked = name_equal(&member->id, &raft->leader) &&
                             recovery->leader_term != raft->term;
        struct raft_message *message;

        if (!is_asked(raft, member) ||
            (find_answer(raft, &member->id)->answered && !leads_unasked))
            continue;
        message = raft_send(context, RAFT_RECOVER, &member->id);
        if (message)
            message->nonce = recovery->nonce;
    }
}

const struct hf_name *raft_recover_waits_for(const struct raft *raft, size_t n)
{
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];

        const struct raft_answer *answer = find_answer(raft, &member->id);

        /* Of a learner any answer will do. */
        if (is_asked(raft, member) && !answer->whole && !answer->fresh &&
            (member->voter || !answer->answered) && n-- == 0)
            return &member->id;
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
static bool all_answered(const struct raft *raft)
{
    int others = 0;
    int whole = 0;

    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];
        const struct raft_answer *answer = find_answer(raft, &member->id);

        if (!is_asked(raft, member))
            continue;
        if (!answer->answered)
            return false;
        others += member->voter ? 1 : 0;
        whole += member->voter && answer->whole ? 1 : 0;
    }
    return whole == others || whole >= raft_quorum(&raft->members);
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

static void take_say(struct raft_context *context)
{
    struct raft *raft = context->raft;

    raft->recovery.standing = RAFT_WHOLE;
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

    if (raft_has_say(raft) || raft->role == RAFT_HALTED)
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
        take_say(context);
    else if (recovery->standing == RAFT_RECOVERING && all_answered(raft) &&
             has_leaders_log(raft) && !raft_change_pending(raft))
        end_recovery(context);
    else if (instant_reached(recovery->ask_at, context->now))
        ask(context);
}

struct instant raft_recover_wake(const struct raft *raft)
{
    return raft_has_say(raft) || raft->recovery.ending ? INSTANT_NEVER : raft->recovery.ask_at;
}
