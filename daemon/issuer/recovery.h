/*
 * What the log and the console say of an issuer that has no memory (PROTOCOL.md, part 9).
 *
 * Owner: the issuer shell; loop thread. Lifecycle: zeroed, then recovery_watch() after each step.
 */
#ifndef HOLDFAST_ISSUER_RECOVERY_H
#define HOLDFAST_ISSUER_RECOVERY_H

#include "base/instant.h"
#include "raft/raft.h"

enum { RECOVERY_TEXT_MAX = 640 };

/* Whom this issuer is connected with, long enough for an answer to have come. */
struct recovery_links {
    bool (*is_up)(void *context, const struct hf_name *id);
    void *context;
};

struct recovery_watch {
    enum raft_standing standing; /* as it was last */
    char waits[RECOVERY_TEXT_MAX];
    struct instant since; /* it has waited for just these */
    bool told;
};

/*
 * "waits for issuer-4" or "waits for a leader's log", and the way out where waiting does not help;
 * empty if nothing is missing. Without links nobody counts as connected.
 */
void recovery_describe(const struct raft *raft, const struct recovery_links *links, char *text,
                       size_t size);

/* This issuer leads; empty: nobody. */
void recovery_tell_forgetful(const struct hf_name *peer);

/* One line when something changes, and one for whom it waits for if that takes long. */
void recovery_watch(struct recovery_watch *watch, const struct raft *raft,
                    const struct recovery_links *links, struct instant now);

#endif
