/*
 * The agent's shell: puts the holder (core/lease/holder.h) on the loop, between the issuers and the
 * guard's socket, and runs the hooks.
 *
 * Owner: struct node; loop thread. Lifecycle: agent_start(), events, agent_stop().
 * Rules:
 *  - The guard's socket is dialled again every AGENT_GUARD_RETRY_MS while it is down; less often,
 *    up to AGENT_GUARD_RETRY_MAX_MS, at a guard that hangs up without a word.
 *  - A hook is started after the guard has reported the change, and nothing waits for it.
 */
#ifndef HOLDFAST_AGENT_AGENT_H
#define HOLDFAST_AGENT_AGENT_H

#include <stdbool.h>

#include "guard/message.h"
#include "lease/holder.h"
#include "node/node.h"

enum {
    AGENT_GUARD_RETRY_MS = 20,
    AGENT_GUARD_RETRY_MAX_MS = 1000,
    AGENT_HOOKS_MAX = 8 /* hook processes at once; one more is refused with a log line */
};

struct agent;

/* What the guard last said of one resource, for the console. */
struct agent_guard_view {
    bool known;
    bool mismatch; /* it is configured otherwise, and not used */
    struct guard_message status;
    int64_t heard_us; /* raw clock */
};

/* Returns NULL after one log line. Does not block, but up to 1 s for a simulated board's bench. */
struct agent *agent_start(struct node *node);

void agent_stop(struct agent *agent);

/* From the node: an issuer's link, or a message that an issuer sent. */
void agent_link(struct agent *agent, const struct hf_name *issuer, bool up);
void agent_receive(struct agent *agent, const struct hf_name *issuer,
                   const struct lease_message *message);

/* An operator's `fault clear`. False: no such resource here. */
bool agent_clear_fault(struct agent *agent, const struct hf_name *resource);

/* For the console. The pointers stay valid until agent_stop(). */
const struct holder *agent_holder(const struct agent *agent);
const struct agent_guard_view *agent_guard(const struct agent *agent, size_t resource);
bool agent_guard_up(const struct agent *agent);

#endif
