/*
 * The agent's shell: puts the holder (core/lease/holder.h) on the loop, between the issuers and the
 * guard's socket, and runs the hooks.
 *
 * Owner: whoever started it, on the loop that it was given; loop thread. It knows no node, no
 *   network and no issuer but by the callback below.
 * Lifecycle: agent_start(), events from outside, agent_stop(); its memory is the process's.
 * Rules:
 *  - What its state does is logged, a line a transition; of a resource that flaps some lines are
 *    held back, and counted.
 *  - A hook is started after the guard has reported the change, and nothing waits for it.
 */
#ifndef HOLDFAST_AGENT_AGENT_H
#define HOLDFAST_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "conf/conf.h"
#include "guard/guard_message.h"
#include "lease/holder.h"

struct agent;

/* What a daemon bears of its guard. */
enum { AGENT_GUARD_SILENCE_MS = 10 * GUARD_STATUS_INTERVAL_MS };

struct agent_config {
    uv_loop_t *loop;
    const struct conf *conf;   /* outlives the agent */
    uint64_t nonce_start;      /* random: an answer to a former start is none to this one */
    struct span guard_silence; /* of a guard that reports nothing so long, nothing is driven */
    /*
     * To the issuer `to`, in this process or across the network. Never calls the agent from within.
     * False: it is not up; the holder sends again when it is time.
     */
    bool (*send_to_issuer)(void *context, const struct hf_name *to,
                           const struct lease_message *message);
    void *context;
};

/* What the guard last said of one resource, for the console. */
struct agent_guard_view {
    bool known;
    bool mismatch; /* it is configured otherwise, and not used */
    struct guard_message status;
};

/*
 * `config` is copied. Returns NULL after one log line. Does not block, but up to 1 s for a simulated
 * board's bench.
 */
struct agent *agent_start(const struct agent_config *config);

void agent_stop(struct agent *agent);

/* An issuer's link, or a message of one that is an issuer: that is for the caller to know. */
void agent_link(struct agent *agent, const struct hf_name *issuer, bool up);
void agent_receive(struct agent *agent, const struct hf_name *issuer,
                   const struct lease_message *message);

/* An operator's `fault clear`. False: no such resource here. */
bool agent_clear_fault(struct agent *agent, const struct hf_name *resource);

/* For people. The pointers stay valid until agent_stop(). */
const struct holder *agent_holder(const struct agent *agent);
const struct agent_guard_view *agent_guard(const struct agent *agent, size_t resource);
bool agent_guard_up(const struct agent *agent);

#endif
