#include "issuer/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/making.h"
#include "log/log.h"

enum { PATIENCE_MS = 2000, BEGUN_TEXT_MAX = 64 };

/* ---- what is missing */

static size_t add(char *text, size_t size, size_t used, const char *more)
{
    int length = used < size ? snprintf(text + used, size - used, "%s", more) : 0;
    return used + (size_t)length < size ? used + (size_t)length : size - 1;
}

/* What an operator typed to begin a journal at this entry. */
static void how_begun(uint64_t index, char text[BEGUN_TEXT_MAX])
{
    if (index > MAKING_JUMP)
        snprintf(text, BEGUN_TEXT_MAX, "by --init --above %" PRIu64, index - MAKING_JUMP);
    else if (index == 1)
        snprintf(text, BEGUN_TEXT_MAX, "by --init without --above");
    else
        snprintf(text, BEGUN_TEXT_MAX, "at entry %" PRIu64, index);
}

/* Of two that were begun apart, the lower one is begun again: so no token is given twice. */
static void describe_apart(const struct raft *raft, const struct hf_name *other, uint64_t index,
                           char *text, size_t size)
{
    const struct hf_name *self = &raft->config.self;
    bool lower = raft->last_index < index;
    uint64_t highest = lower ? index : raft->last_index;
    char mine[BEGUN_TEXT_MAX];
    char theirs[BEGUN_TEXT_MAX];
    how_begun(raft->last_index, mine);
    how_begun(index, theirs);
    int used = snprintf(text, size, "begun %s, but %s %s: stop %s and begin it again with ", mine,
                        other->text, theirs, lower ? self->text : other->text);
    if (highest > MAKING_JUMP && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, "--init --above %" PRIu64 " --force",
                 highest - MAKING_JUMP);
    else
        (void)add(text, size, (size_t)used, "the other's --init --above N --force");
}

static const struct raft_answer *answer_by(const struct raft *raft, const struct hf_name *id)
{
    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        if (name_equal(&raft->recovery.answer[i].id, id))
            return &raft->recovery.answer[i];
    }
    return NULL;
}

/*
 * Whether a peer has no memory. Mostly it said so itself. An issuer that is unsure gets no such
 * answer: but a peer that is up and has a history would have made it recover, and one that was begun
 * as well would have said so. So one that is up, and neither, has no memory.
 */
static bool has_nothing(const struct raft *raft, const struct hf_name *id,
                        const struct recovery_links *links)
{
    const struct raft_answer *answer = answer_by(raft, id);
    if (raft_standing(raft) == RAFT_UNSURE)
        return links != NULL && links->is_up(links->context, id) &&
               (answer == NULL || (!answer->fresh && answer->apart == 0));
    return answer != NULL && answer->answered && !answer->whole && answer->life != 0;
}

/* Voters that have no memory now, this issuer with them. */
static unsigned count_forgetful(const struct raft *raft, const struct recovery_links *links)
{
    unsigned count = 0;
    for (int i = 0; i < raft->members.count; i++) {
        const struct raft_member *member = &raft->members.member[i];
        bool self = name_equal(&member->id, &raft->config.self);
        if (member->voter && (self || has_nothing(raft, &member->id, links)))
            count++;
    }
    return count;
}

static bool anybody_remembers(const struct raft *raft)
{
    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        if (!name_empty(&raft->recovery.answer[i].id) && raft->recovery.answer[i].whole)
            return true;
    }
    return false;
}

/* Waiting alone does not help. */
static const char *way_out(const struct raft *raft, const struct recovery_links *links)
{
    if (raft_standing(raft) == RAFT_UNSURE)
        return "; if the cluster is new: stop that one and begin it by --init; if not: see "
               "holdfastd(8)";
    if (raft_voter_count(&raft->members) - count_forgetful(raft, links) >=
        raft_quorum(&raft->members))
        return "";
    if (!anybody_remembers(raft) && raft->term == 0)
        return "; too few issuers have a memory: if the cluster is new: --init here and on each "
               "that was not begun; if it is lost: --restore, see holdfastd(8)";
    return "; too few issuers have a memory, as a majority has lost its journal: --restore, see "
           "holdfastd(8)";
}

void recovery_describe(const struct raft *raft, const struct recovery_links *links, char *text,
                       size_t size)
{
    size_t used = 0;
    uint64_t index = 0;
    bool stuck = false;
    const struct hf_name *name = raft_recover_begun_apart(raft, 0, &index);
    text[0] = '\0';
    if (raft_standing(raft) == RAFT_WHOLE)
        return;
    if (name != NULL) {
        describe_apart(raft, name, index, text, size);
        return;
    }
    if (raft->members.count == 1 && raft_standing(raft) == RAFT_RECOVERING) {
        snprintf(text, size,
                 "has no memory and nobody to recover from: --init, --restore, or list the "
                 "other issuers");
        return;
    }
    for (size_t i = 0; (name = raft_recover_waits_for(raft, i)) != NULL; i++) {
        bool nothing = has_nothing(raft, name, links);
        used = add(text, size, used, i == 0 ? "waits for " : ", ");
        used = add(text, size, used, name->text);
        used = add(text, size, used, nothing ? " (up, but has no memory)" : "");
        stuck = stuck || nothing;
    }
    if (used == 0)
        used = add(text, size, used, "waits for a leader's log");
    if (stuck)
        (void)add(text, size, used, way_out(raft, links));
}

/* The card was put back as it was once, or bytes of it: all checksums are right. */
static void tell_loss(const struct raft *raft)
{
    const struct raft_loss *loss = &raft->recovery.loss;
    log_line(LOG_ALERT,
             "recovery: what is stored here is older than what this issuer promised: it "
             "acknowledged entry %" PRIu64 " in term %" PRIu64
             " to %s, and came back with entry %" PRIu64 " in term %" PRIu64
             ": was its card put back from an image? It votes no more "
             "until it has recovered from its peers",
             loss->match, loss->term, loss->told_by.text, loss->has_last, loss->has_term);
}

static void tell_standing(enum raft_standing before, const struct raft *raft)
{
    enum raft_standing now = raft_standing(raft);
    if (now == RAFT_RECOVERING && !name_empty(&raft->recovery.loss.told_by))
        tell_loss(raft);
    else if (now == RAFT_RECOVERING)
        log_line(LOG_WARNING, "recovery: this issuer was begun by --init, but the cluster has a "
                              "history: it has no say until it has recovered from the others");
    else if (before == RAFT_RECOVERING)
        log_line(LOG_NOTICE,
                 "recovery: done in term %" PRIu64 " at entry %" PRIu64 ", this issuer "
                 "votes again",
                 raft->term, raft_durable_index(raft));
    else
        log_line(LOG_NOTICE,
                 "recovery: none is needed, the cluster is new: all its issuers were "
                 "begun at entry %" PRIu64,
                 raft->last_index);
}

static void tell_waiting(struct recovery_watch *watch, const struct raft *raft,
                         const struct recovery_links *links, struct instant now)
{
    char waits[RECOVERY_TEXT_MAX];
    recovery_describe(raft, links, waits, sizeof(waits));
    if (strcmp(waits, watch->waits) != 0) {
        memcpy(watch->waits, waits, sizeof(waits));
        watch->since = now;
        watch->told = false;
    }
    if (watch->told || waits[0] == '\0' ||
        !instant_reached(instant_add(watch->since, span_from_ms(PATIENCE_MS)), now))
        return;
    watch->told = true;
    log_line(LOG_WARNING, "recovery: %s: %s", raft_standing_name(raft_standing(raft)), waits);
}

void recovery_tell_forgetful(const struct hf_name *peer)
{
    if (!name_empty(peer))
        log_line(LOG_WARNING,
                 "recovery: %s has lost its memory: what it acknowledged counts for "
                 "nothing until it has recovered",
                 peer->text);
}

void recovery_watch(struct recovery_watch *watch, const struct raft *raft,
                    const struct recovery_links *links, struct instant now)
{
    if (raft_standing(raft) != watch->standing)
        tell_standing(watch->standing, raft);
    watch->standing = raft_standing(raft);
    tell_waiting(watch, raft, links, now);
}
