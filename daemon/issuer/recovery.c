#include "issuer/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log/log.h"

enum { PATIENCE_MS = 2000 };

void recovery_describe(const struct raft *raft, char *text, size_t size)
{
    size_t used = 0;
    uint64_t index = 0;
    const struct hf_name *name = raft_recover_begun_apart(raft, 0, &index);
    text[0] = '\0';
    if (raft_standing(raft) == RAFT_WHOLE)
        return;
    if (name != NULL) {
        snprintf(text, size, "begun at entry %" PRIu64 ", but %s at entry %" PRIu64 ": one of them must "
                 "be begun again with the other's --above", raft->last_index, name->text, index);
        return;
    }
    if (raft->members.count == 1 && raft_standing(raft) == RAFT_RECOVERING) {
        snprintf(text, size, "has no memory and nobody to recover from: --init, --restore, or list the "
                 "other issuers");
        return;
    }
    for (size_t i = 0; (name = raft_recover_waits_for(raft, i)) != NULL && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "waits for " : ", ",
                                 name->text);
    if (used == 0)
        snprintf(text, size, "waits for a leader's log");
}

/* The card was put back as it was once, or bytes of it: all checksums are right. */
static void tell_loss(const struct raft *raft)
{
    const struct raft_loss *loss = &raft->recovery.loss;
    log_line(LOG_ALERT, "recovery: what is stored here is older than what this issuer promised: it "
             "acknowledged entry %" PRIu64 " in term %" PRIu64 " to %s, and came back with entry %"
             PRIu64 " in term %" PRIu64 ": was its card put back from an image? It votes no more "
             "until it has recovered from its peers", loss->match, loss->term, loss->told_by.text,
             loss->has_last, loss->has_term);
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
        log_line(LOG_NOTICE, "recovery: done in term %" PRIu64 " at entry %" PRIu64 ", this issuer "
                 "votes again", raft->term, raft_durable_index(raft));
    else
        log_line(LOG_NOTICE, "recovery: none is needed, the cluster is new: all its issuers were "
                 "begun at entry %" PRIu64, raft->last_index);
}

static void tell_waiting(struct recovery_watch *watch, const struct raft *raft, struct instant now)
{
    char waits[RECOVERY_TEXT_MAX];
    recovery_describe(raft, waits, sizeof(waits));
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
        log_line(LOG_WARNING, "recovery: %s has lost its memory: what it acknowledged counts for "
                 "nothing until it has recovered", peer->text);
}

void recovery_watch(struct recovery_watch *watch, const struct raft *raft, struct instant now)
{
    if (raft_standing(raft) != watch->standing)
        tell_standing(watch->standing, raft);
    watch->standing = raft_standing(raft);
    tell_waiting(watch, raft, now);
}
