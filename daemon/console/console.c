#include "console/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/console_private.h"
#include "console/relay.h"
#include "console/relayed.h"
#include "console/session.h"
#include "log/log.h"

/* ---- listening */

void console_log_refusal(struct console *console, int cause, const char *who, const char *detail)
{
    uint64_t now_ms = uv_now(console->view.loop);
    uint32_t more = refusals_collect(&console->refusals, cause, now_ms);
    if (more > 0)
        log_line(LOG_WARNING, "console: %s: refused: %s: the last of %u more",
                 console->refusals.window[cause].last, refusal_cause_text(cause), more);
    if (!refusals_admit(&console->refusals, cause, who, now_ms))
        return;
    /* The TLS layer's detail begins with the cause already. */
    const char *words = refusal_cause_text(cause);
    bool said = strncmp(detail, words, strlen(words)) == 0;
    log_line(LOG_WARNING, "console: %s: refused: %s%s%s", who, said ? "" : words, said ? "" : ": ",
             detail);
}

static bool console_role(const struct tls_name *peer, struct call_caller *caller)
{
    memset(caller, 0, sizeof(*caller));
    if (!name_from_string(&caller->who, peer->common_name))
        return false;
    caller->operator_role = strcmp(peer->unit, "operator") == 0;
    return caller->operator_role || strcmp(peer->unit, "viewer") == 0 ||
           strcmp(peer->unit, "node") == 0;
}

/* Sends the reason and closes. A listener's stream must be adopted even if it is not wanted. */
static void console_turn_away(struct tls_stream *stream, const char *text)
{
    const struct tls_stream_events nobody = { 0 };
    tls_stream_adopt(stream, &nobody);
    if (tls_stream_write(stream, (struct bytes){ (const uint8_t *)text, strlen(text) }))
        tls_stream_close(stream);
    else
        tls_stream_abort(stream);
}

static void console_refuse_role(struct console *console, struct tls_stream *stream,
                                const struct tls_name *peer)
{
    char detail[160];
    snprintf(detail, sizeof(detail),
             "OU of CN \"%s\" is \"%s\", allowed are viewer, operator and node", peer->common_name,
             peer->unit);
    console_log_refusal(console, TLS_CAUSE_ROLE, tls_stream_remote(stream), detail);
    console_turn_away(stream, "ERR 403 the certificate's OU must be viewer, operator or node\n");
}

static void console_refuse_seat(struct console *console, struct tls_stream *stream, const char *why)
{
    char text[100];
    console_log_refusal(console, TLS_CAUSE_BUSY, tls_stream_remote(stream), why);
    snprintf(text, sizeof(text), "ERR 503 %s\n", why);
    console_turn_away(stream, text);
}

static void console_stream(void *context, struct tls_stream *stream, const struct tls_name *peer)
{
    struct console *console = context;
    struct call_caller caller;
    if (!console_role(peer, &caller)) {
        console_refuse_role(console, stream, peer);
        return;
    }
    const char *full = session_seat(console, &caller);
    if (full != NULL)
        console_refuse_seat(console, stream, full);
    else if (!session_open(console, stream, &caller))
        console_turn_away(stream, "ERR 500 out of memory\n");
}

static void console_refused(void *context, const char *remote, enum tls_cause cause,
                            const char *reason)
{
    console_log_refusal(context, (int)cause, remote, reason);
}

static bool console_listen(struct console *console, const struct tls_identity *identity)
{
    const struct tls_listener_events events = { console, console_stream, console_refused };
    const struct tls_listener_config config = {
        .address = console->view.conf->console_listen,
        .identity = identity,
        .places_max = CONSOLE_WAITING_MAX,
        .handshakes_max = CONSOLE_HANDSHAKES_MAX,
        .per_host_max = CONSOLE_PER_HOST_MAX,
        .connections_max = CONSOLE_SESSIONS_MAX + CONSOLE_ENDING_MAX,
        .limits = { .handshake_ms = 5000, .silence_ms = 10000, .queue_max = CONSOLE_QUEUE_MAX },
    };
    char error[TLS_TEXT_MAX];
    console->listener =
        tls_listener_create(console->view.loop, &config, &events, error, sizeof(error));
    if (console->listener == NULL)
        log_line(LOG_ERR, "console: %s", error);
    return console->listener != NULL;
}

static void console_closed(void *context)
{
    (void)context;
}

/* ---- from the node */

static void console_query(void *context, const struct hf_name *from, const struct wire_query *query)
{
    relayed_query(context, from, query);
}

static void console_query_reply(void *context, const struct hf_name *from,
                                const struct wire_query *reply)
{
    const struct console *console = context;
    relay_answer(&console->view, from, reply);
}

static void console_peer_down(void *context, const struct hf_name *peer)
{
    struct console *console = context;
    relay_peer_down(&console->view, peer);
    relayed_peer_down(console, peer);
}

/* ---- start and stop */

struct console *console_start(const struct console_config *config)
{
    struct console *console = calloc(1, sizeof(*console));
    if (console == NULL) {
        log_line(LOG_ERR, "console: out of memory");
        return NULL;
    }
    console->view = (struct console_view){ .loop = config->loop,
                                           .conf = config->conf,
                                           .node = config->node,
                                           .issuers = node_issuers(config->node),
                                           .issuer_shell = node_issuer(config->node),
                                           .agent = node_agent(config->node),
                                           .kept = &console->kept };
    if (config->conf->has_console && !console_listen(console, config->identity)) {
        free(console);
        return NULL;
    }
    session_turns_open(console);
    const struct node_events events = { .context = console,
                                        .on_query = console_query,
                                        .on_query_reply = console_query_reply,
                                        .on_peer_down = console_peer_down };
    node_set_events(config->node, &events);
    return console;
}

void console_stop(struct console *console)
{
    session_end_all(console);
    session_turns_close(console);
    relay_cancel_all(&console->view); /* notes that nobody waits for */
    relayed_end_all(console);
    if (console->listener != NULL)
        tls_listener_close(console->listener, console_closed, console);
}
