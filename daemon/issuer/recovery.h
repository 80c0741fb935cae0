/*
 * What the log and the console say of an issuer that has no memory (raft_recover.c).
 *
 * Owner: the issuer shell; loop thread. Lifecycle: zeroed, then recovery_watch() after each step.
 */
#ifndef HOLDFAST_ISSUER_RECOVERY_H
#define HOLDFAST_ISSUER_RECOVERY_H

#include "base/instant.h"
#include "raft/raft.h"

enum { RECOVERY_TEXT_MAX = 256 };

struct recovery_watch {
    enum raft_standing standing; /* as it was last */
    char waits[RECOVERY_TEXT_MAX];
    struct instant since; /* it has waited for just these */
    bool told;
};

/* "waits for issuer-4" or "waits for a leader's log"; empty if nothing is missing. */
void recovery_describe(const struct raft *raft, char *text, size_t size);

/* This issuer leads; empty: nobody. */
void recovery_tell_forgetful(const struct hf_name *peer);

/* One line when something changes, and one for whom it waits for if that takes long. */
void recovery_watch(struct recovery_watch *watch, const struct raft *raft, struct instant now);

#endif
