#include "issuer/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log/log.h"

enum { PATIENCE_MS = 2000 };

void recovery_describe(const struct raft *raft, char *text, size_t size)
{
    size_t used = 0;
    const struct hf_name *name;
    text[0] = '\0';
    if (raft_standing(raft) == RAFT_WHOLE)
        return;
    for (size_t i = 0; (name = raft_recover_waits_for(raft, i)) != NULL && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "waits for " : ", ",
                                 name->text);
    if (used == 0)
        snprintf(text, size, "waits for a leader's log");
}

static void tell_standing(enum raft_standing before, const struct raft *raft)
{
    enum raft_standing now = raft_standing(raft);
    if (now == RAFT_RECOVERING)
        log_line(LOG_WARNING, "recovery: nothing is stored here, but the cluster has a history: "
                 "this issuer votes no more until it has recovered from its peers");
    else if (before == RAFT_RECOVERING)
        log_line(LOG_NOTICE, "recovery: done in term %" PRIu64 " at entry %" PRIu64 ", this issuer "
                 "votes again", raft->term, raft_durable_index(raft));
    else
        log_line(LOG_NOTICE, "recovery: none is needed, all other issuers are as new as this "
                 "one");
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

void recovery_watch(struct recovery_watch *watch, const struct raft *raft, struct instant now)
{
    if (raft_standing(raft) != watch->standing)
        tell_standing(watch->standing, raft);
    watch->standing = raft_standing(raft);
    tell_waiting(watch, raft, now);
}
