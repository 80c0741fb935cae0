/*
 * A node without a memory: its log, and the term and vote that it promised, are lost.
 *
 * While it recovers it votes for nobody, counts for nothing and confirms no round; it asks every other
 * member what it may have promised. It has a say again when (1) all of them have answered and its term
 * is the greatest answer, (2) it has on its own disk all that the leader of that term had, and (3) its
 * vote for that leader is durable. A new cluster is one only if every member says that it was begun, at
 * the same index; what is stored of an older day is found out by what the others were promised.
 *
 * Why that is enough, and where there is no way out: PROTOCOL.md, part 9. Its rules, in the order of
 * this file: begun-together, card-put-back, another-life, all-must-answer, begun-is-no-floor,
 * forgetful-is-asked-again, leaders-log-first, change-holds-up-nothing, vote-with-the-leader,
 * no-say-without-memory.
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
    memset(&raft->vote, 0, sizeof(raft->vote));
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

bool raft_loss_durable(const struct raft *raft)
{
    const struct raft_recovery *recovery = &raft->recovery;
    return recovery->standing != RAFT_RECOVERING ||
           (!recovery->mark_due && recovery->mark_seq <= raft->persisted_seq);
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
    if (message->last_term < raft->term)
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
        if (raft->install_seq)
            return; /* The log is not what is stored: it is asked again after that. */
        answer->answered = true;
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

/* PROTOCOL.md, all-must-answer; and what counts of those who have no memory either. */
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

/* PROTOCOL.md, leaders-log-first. */
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

/*
 * PROTOCOL.md, vote-with-the-leader: from the vote in this term on, all that is promised is kept as by
 * anybody.
 */
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
        recovery->mark_seq = raft->hard_seq;
    }
    if (recovery->standing == RAFT_UNSURE && cluster_is_new(raft))
        end_beginning(context);
    else if (recovery->standing == RAFT_RECOVERING && all_answered(raft) && has_leaders_log(raft))
        end_recovery(context);
    else if (instant_reached(recovery->ask_at, context->now) && raft_loss_durable(raft))
        ask(context);
}

struct instant raft_recover_wake(const struct raft *raft)
{
    bool waits_for_disk = raft->recovery.ending || !raft_loss_durable(raft);
    return waits_for_disk ? INSTANT_NEVER : raft->recovery.ask_at;
}
