/*
 * The agent's end of RUN/guard.sock.
 *
 * Owner: the agent's shell; loop thread. Redials for ever; never blocks.
 * Source: daemon/core/guard/message.h.
 */
#ifndef HOLDFAST_AGENT_GUARD_LINK_H
#define HOLDFAST_AGENT_GUARD_LINK_H

#include <stdbool.h>
#include <uv.h>

#include "guard/message.h"

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
