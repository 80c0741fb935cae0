/*
 * The agent's end of RUN/guard.sock.
 *
 * Owner: the agent's shell; loop thread. Never blocks.
 * Lifecycle: guard_link_start(), callbacks, guard_link_stop(); the memory must stay until the loop
 *   has closed its handles. Redials for ever: every GUARD_LINK_RETRY_MS while it is down; less
 *   often, up to GUARD_LINK_RETRY_MAX_MS, at a guard that hangs up without a word.
 * Source: daemon/core/guard/guard_message.h.
 */
#ifndef HOLDFAST_AGENT_GUARD_LINK_H
#define HOLDFAST_AGENT_GUARD_LINK_H

#include <stdbool.h>
#include <uv.h>

#include "guard/guard_message.h"

enum { GUARD_LINK_RETRY_MS = 20, GUARD_LINK_RETRY_MAX_MS = 1000 };

struct guard_link {
    uv_loop_t *loop;
    char path[256];
    int fd;         /* -1: down */
    bool poll_open; /* poll is an open handle */
    bool heard;     /* a message came over this connection */
    bool complained;
    uint32_t retry_ms; /* after a connection that ended: doubled while the guard says no word */
    bool stopping;
    uv_poll_t poll;
    uv_timer_t retry;
    void *context;
    void (*on_up)(void *context);
    void (*on_down)(void *context);
    void (*on_message)(void *context, const struct guard_message *message);
};

/* The callbacks and context are set by the caller before. Dials at once. */
void guard_link_start(struct guard_link *link, uv_loop_t *loop, const char *run_dir);
void guard_link_stop(struct guard_link *link);

/* False if the guard is not there or takes nothing more; what is lost so is safe to lose. */
bool guard_link_send(struct guard_link *link, const struct guard_message *message);

static inline bool guard_link_up(const struct guard_link *link)
{
    return link->fd >= 0;
}

#endif
