/*
 * Sessions: the console's connections, one command at a time.
 *
 * Owner: console.c; loop thread. Lifecycle: session_open() adopts the stream; the session frees
 *   itself when the stream is closed, whoever closes it.
 */
#ifndef HOLDFAST_CONSOLE_SESSION_H
#define HOLDFAST_CONSOLE_SESSION_H

#include "console/call.h"
#include "console/console_private.h"
#include "peer/tls_stream.h"

/* NULL if there is a seat for it now, which another may have had to leave; else why not. */
const char *session_seat(struct console *console, const struct call_caller *caller);

/* Once, before the first session, and after the last one. */
void session_turns_open(struct console *console);
void session_turns_close(struct console *console);

/* False: out of memory; the stream is still the caller's. */
bool session_open(struct console *console, struct tls_stream *stream,
                  const struct call_caller *caller);

/* Ends all of them, and their calls, at once. */
void session_end_all(struct console *console);

/* Whether a command is text without control characters; a tab, or a CR, is none. */
bool session_text_ok(const char *line, size_t length);

#endif
