/* The console's state, for its sessions, and for what other nodes relay. */
#ifndef HOLDFAST_CONSOLE_CONSOLE_PRIVATE_H
#define HOLDFAST_CONSOLE_CONSOLE_PRIVATE_H

#include <stddef.h>

#include "console/console.h"
#include "console/view.h"
#include "peer/refusals.h"
#include "peer/tls_stream.h"

struct console {
    struct console_view view;
    struct console_kept kept;
    struct tls_listener *listener; /* NULL: no console is configured */
    struct session *sessions;
    uv_timer_t turn; /* runs from a session's command to when the next one, of any, may be taken */
    uint64_t turns;  /* so many were had */
    bool operator_last;   /* the last one was an operator's */
    uv_prepare_t begins;  /* counts turns of the loop: its clock may go on within one */
    uint64_t loop_turn;   /* this one's number */
    uint64_t had_in_turn; /* in which the last command was taken; 0: none was */
    struct relayed *relayed;
    size_t relayed_count;
    struct refusals refusals;
};

/*
 * Says why a client was refused, or was hung up on: one line a minute for each cause (of
 * peer/refusals.h), with a count. Who connects in a loop can't fill the log.
 */
void console_log_refusal(struct console *console, int cause, const char *who, const char *detail);

#endif
