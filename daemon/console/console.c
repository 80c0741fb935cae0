#include "console/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/call.h"
#include "console/purse.h"
#include "console/seats.h"
#include "hal/clock.h"
#include "log/log.h"
#include "node/issuers.h"
#include "peer/refusals.h"
#include "peer/tls_stream.h"

_Static_assert((int)CONSOLE_SESSIONS_MAX == (int)SEATS_MAX, "a session is a seat");

static const char prompt[] = "holdfast> ";

struct session {
    struct console *console;
    struct tls_stream *stream;
    struct call_caller caller;
    struct call *call; /* NULL: ready for the next line */
    char input[CONSOLE_LINE_MAX + 2];
    size_t input_length;
    uv_timer_t
        patience;      /* open for the session's whole life: until the greeting, then of idleness */
    uint64_t since_ms; /* when its last command was answered, or it came */
    bool greeted;
    bool first_line;
    bool reading; /* inside session_read_lines(), which goes on by itself */
    bool ending;
    struct session *next;
};

/* A command that another node relayed to us. */
struct relayed {
    struct console *console;
    struct hf_name from;
    uint64_t id;
    struct call *call;
    struct relayed *next;
};

struct console {
    struct node *node;
    struct tls_listener *listener;
    struct session *sessions;
    struct relayed *relayed;
    size_t relayed_count;
    struct refusals refusals;
};

/* ---- one connection ---- */

static void session_write(struct session *session, const char *data, size_t length)
{
    if (session->ending)
        return;
    if (!tls_stream_write(session->stream, (struct bytes){ (const uint8_t *)data, length })) {
        session->ending = true;
        tls_stream_abort(session->stream);
    }
}

static void session_end(struct session *session)
{
    if (session->ending)
        return;
    session->ending = true;
    tls_stream_close(session->stream);
}

static void session_fail(struct session *session, const char *text)
{
    session_write(session, text, strlen(text));
    log_line(LOG_WARNING, "console: %s: %.*s", tls_stream_remote(session->stream),
             (int)strcspn(text, "\n"), text);
    session_end(session);
}

/* Not its fault, so not worth a line in the log. */
static void session_dismiss(struct session *session, const char *text)
{
    session_write(session, text, strlen(text));
    session_end(session);
}

static void session_greet(struct session *session)
{
    char greeting[128];
    int length = snprintf(greeting, sizeof(greeting), "holdfast %s console, role %s\n%s",
                          session->console->node->conf.node_id.text,
                          session->caller.operator_role ? "operator" : "viewer", prompt);
    session->greeted = true;
    session_write(session, greeting, (size_t)length);
}

static void session_idle(uv_timer_t *timer);

/* It has been heard, or answered. */
static void session_note(struct session *session)
{
    session->since_ms = uv_now(&session->console->node->loop);
    if (session->greeted && !session->ending)
        uv_timer_start(&session->patience, session_idle, SEATS_IDLE_MS, 0);
}

/* Whoever is in a watch is there, without a word. */
static void session_idle(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (session->call != NULL)
        session_note(session);
    else
        session_dismiss(session, "ERR 408 no command for 600 s\n");
}

/* Nothing came: whoever is there waits for us, as people do, and is no HTTP client. */
static void session_patience_over(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (session->input_length == 0 && !session->greeted)
        session_greet(session);
    uv_timer_start(timer, session_idle, SEATS_IDLE_MS, 0);
}

static void session_read_lines(struct session *session);

static void session_call_write(void *context, const char *data, size_t length)
{
    session_write(context, data, length);
}

static void session_call_finish(void *context, enum call_error error)
{
    struct session *session = context;
    (void)error; /* Its text is written already. */
    session_write(session, prompt, sizeof(prompt) - 1);
    session_note(session);
    if (!session->reading)
        session_read_lines(session);
}

static void session_http(struct session *session, const char *line)
{
    struct text body = { 0 };
    struct text answer = { 0 };
    bool metrics = strncmp(line, "GET /metrics ", 13) == 0 || strcmp(line, "GET /metrics") == 0;
    if (metrics)
        metrics_print(session->console->node, &body);
    else
        text_print(&body, "only /metrics is here\n");
    text_print(&answer,
               "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
               "Content-Length: %zu\r\nConnection: close\r\n\r\n",
               metrics ? "200 OK" : "404 Not Found", body.length);
    text_append(&answer, body.data, body.length);
    if (!answer.failed && !body.failed)
        session_write(session, answer.data, answer.length);
    text_free(&body);
    text_free(&answer);
    session_end(session);
}

static void session_line(struct session *session, char *line)
{
    const struct call_sink sink = { session, session_call_write, session_call_finish };
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r')
        line[--length] = '\0';
    if (session->first_line && strncmp(line, "GET /", 5) == 0) {
        session_http(session, line);
        return;
    }
    session->first_line = false;
    if (!session->greeted)
        session_greet(session);
    session_note(session);
    if (strspn(line, " \t") == length) {
        session_write(session, prompt, sizeof(prompt) - 1);
    } else if (strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0) {
        session_end(session);
    } else {
        call_start(session->console->node, line, &session->caller, &sink, &session->call);
    }
}

static bool text_ok(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
            return false;
    }
    return true;
}

/* Takes the first line out of the input, if one is whole. */
static bool session_next_line(struct session *session, char line[CONSOLE_LINE_MAX + 2],
                              size_t *length)
{
    char *end = memchr(session->input, '\n', session->input_length);
    if (end == NULL)
        return false;
    *length = (size_t)(end - session->input);
    memcpy(line, session->input, *length);
    line[*length] = '\0';
    session->input_length -= *length + 1;
    memmove(session->input, end + 1, session->input_length);
    return true;
}

/* Anything typed at a watch ends it. */
static void session_end_watch(struct session *session)
{
    if (session->call == NULL || !session->call->endless)
        return;
    call_cancel(session->call);
    session->call = NULL;
    session_write(session, prompt, sizeof(prompt) - 1);
}

/* Lines wait while a command is being answered. */
static void session_read_lines(struct session *session)
{
    char line[CONSOLE_LINE_MAX + 2];
    size_t length = 0;
    session->reading = true;
    while (!session->ending && session->call == NULL && session_next_line(session, line, &length)) {
        if (text_ok(line, length))
            session_line(session, line);
        else
            session_fail(session, "ERR 400 a command is one line of text\n");
        if (session->input_length > 0)
            session_end_watch(session);
    }
    session->reading = false;
}

static void session_data(void *context, struct bytes data)
{
    struct session *session = context;
    for (size_t i = 0; i < data.length && !session->ending; i++) {
        session_end_watch(session);
        if (session->input_length > CONSOLE_LINE_MAX) {
            session_fail(session, session->call == NULL ?
                                      "ERR 400 a command is at most 512 bytes long\n" :
                                      "ERR 400 at most 512 bytes may wait for an answer\n");
            return;
        }
        session->input[session->input_length++] = (char)data.data[i];
        if (data.data[i] == '\n')
            session_read_lines(session);
    }
}

static void session_free(uv_handle_t *handle)
{
    free(handle->data);
}

static void session_closed(void *context, enum tls_cause cause, const char *reason)
{
    struct session *session = context;
    (void)cause;
    (void)reason;
    if (session->call != NULL)
        call_cancel(session->call);
    struct session **at = &session->console->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    uv_close((uv_handle_t *)&session->patience, session_free);
}

/* ---- listening ---- */

/* Whoever knocks in a loop can't fill the log: a line per cause and minute, with a count. */
static void console_log_refusal(struct console *console, int cause, const char *who,
                                const char *detail)
{
    uint64_t now_ms = uv_now(&console->node->loop);
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

/* A stream that is not wanted must be adopted all the same; it is told why. */
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

static struct seat seat_of(const struct session *session)
{
    return (struct seat){ .who = session->caller.who,
                          .operator_role = session->caller.operator_role,
                          .busy = session->call != NULL,
                          .since_ms = session->since_ms };
}

/* NULL if there is a seat for it now, which another may have had to leave; else why not. */
static const char *console_seat(struct console *console, const struct call_caller *caller)
{
    struct session *sessions[SEATS_MAX];
    struct seat seats[SEATS_MAX];
    size_t count = 0;
    const char *why = NULL;
    uint64_t now_ms = uv_now(&console->node->loop);
    const struct seat newcomer = { caller->who, caller->operator_role, false, now_ms };
    for (struct session *at = console->sessions; at != NULL && count < SEATS_MAX; at = at->next) {
        if (at->ending)
            continue;
        sessions[count] = at;
        seats[count++] = seat_of(at);
    }
    int index = seats_choose(seats, count, &newcomer, now_ms, &why);
    if (index == SEATS_REFUSED)
        return why;
    if (index >= 0)
        session_dismiss(sessions[index], "ERR 503 this session's place is given to another\n");
    return NULL;
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
    const char *full = console_seat(console, &caller);
    if (full != NULL) {
        console_refuse_seat(console, stream, full);
        return;
    }
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        console_turn_away(stream, "ERR 500 out of memory\n");
        return;
    }
    const struct tls_stream_events events = { .context = session,
                                              .on_data = session_data,
                                              .on_closed = session_closed };
    tls_stream_adopt(stream, &events);
    session->console = console;
    session->stream = stream;
    session->caller = caller;
    session->first_line = true;
    session->since_ms = uv_now(&console->node->loop);
    session->next = console->sessions;
    console->sessions = session;
    uv_timer_init(&console->node->loop, &session->patience);
    session->patience.data = session;
    uv_timer_start(&session->patience, session_patience_over, CONSOLE_GREETING_MS, 0);
}

static void console_refused(void *context, const char *remote, enum tls_cause cause,
                            const char *reason)
{
    console_log_refusal(context, (int)cause, remote, reason);
}

struct console *console_start(struct node *node)
{
    struct console *console = calloc(1, sizeof(*console));
    const struct tls_listener_events events = { console, console_stream, console_refused };
    struct tls_listener_config config = {
        .address = node->conf.console_listen,
        .identity = node->identity,
        .places_max = CONSOLE_WAITING_MAX,
        .handshakes_max = CONSOLE_HANDSHAKES_MAX,
        .per_host_max = CONSOLE_PER_HOST_MAX,
        .connections_max = CONSOLE_SESSIONS_MAX + CONSOLE_ENDING_MAX,
        .limits = { .handshake_ms = 5000, .silence_ms = 10000, .queue_max = CONSOLE_QUEUE_MAX },
    };
    char error[TLS_TEXT_MAX];
    if (console == NULL) {
        log_line(LOG_ERR, "console: out of memory");
        return NULL;
    }
    console->node = node;
    if (!node->conf.has_console)
        return console;
    console->listener = tls_listener_create(&node->loop, &config, &events, error, sizeof(error));
    if (console->listener == NULL) {
        log_line(LOG_ERR, "console: %s", error);
        free(console);
        return NULL;
    }
    return console;
}

static void console_closed(void *context)
{
    (void)context;
}

/* ---- commands from other nodes ---- */

static void relayed_free(struct relayed *relayed)
{
    struct relayed **at = &relayed->console->relayed;
    while (*at != relayed)
        at = &(*at)->next;
    *at = relayed->next;
    relayed->console->relayed_count--;
    free(relayed);
}

/* A question, answered or not; and what may be owed before a board is not even told to wait. */
enum { RELAYED_LEAST_BYTES = 512, RELAYED_DEBT_BYTES = 64 * 1024 };

static int64_t relayed_spend(const struct hf_name *from, struct node *node, size_t bytes);

static void relayed_send(const struct relayed *relayed, const char *data, size_t length, bool last,
                         enum call_error error)
{
    static struct wire_query reply;
    memset(&reply, 0, sizeof(reply));
    reply.id = relayed->id;
    reply.who = relayed->console->node->conf.node_id;
    reply.last = last;
    reply.error = (uint32_t)error;
    reply.length = (uint16_t)length;
    (void)relayed_spend(&relayed->from, relayed->console->node, length);
    if (length > 0)
        memcpy(reply.text, data, length);
    node_send_query(relayed->console->node, &relayed->from, true, &reply);
}

static void relayed_write(void *context, const char *data, size_t length)
{
    for (size_t at = 0; at < length; at += WIRE_TEXT_MAX) {
        size_t piece = length - at < WIRE_TEXT_MAX ? length - at : WIRE_TEXT_MAX;
        relayed_send(context, data + at, piece, false, CALL_OK);
    }
}

static void relayed_finish(void *context, enum call_error error)
{
    relayed_send(context, NULL, 0, true, error);
    relayed_free(context);
}

static struct relayed *relayed_find(struct console *console, const struct hf_name *from,
                                    uint64_t id)
{
    struct relayed *relayed = console->relayed;
    while (relayed != NULL && (relayed->id != id || !name_equal(&relayed->from, from)))
        relayed = relayed->next;
    return relayed;
}

static size_t relayed_count_of(const struct console *console, const struct hf_name *from)
{
    size_t count = 0;
    for (const struct relayed *at = console->relayed; at != NULL; at = at->next)
        count += name_equal(&at->from, from) ? 1 : 0;
    return count;
}

/*
 * What boards may ask of this node, in bytes of answers: more than people read, less than keeps an
 * issuer busy. Issuers ask for the operators at their consoles, whose number is limited there.
 * Returns what was left before; beyond a debt nothing more is charged.
 */
static int64_t relayed_spend(const struct hf_name *from, struct node *node, size_t bytes)
{
    static struct purse boards[HF_AGENTS_MAX];
    static const struct budget_rule answers = { .burst = 512 * 1024, .unit_us = 8 };
    struct instant now = hal_clock_now();
    if (issuers_find(node, from) != NULL)
        return answers.burst;
    struct budget *budget = purse_of(boards, HF_AGENTS_MAX, from);
    int64_t left = budget_left(budget, &answers, now);
    if (left > -RELAYED_DEBT_BYTES)
        budget_spend(budget, &answers, (int64_t)bytes, now);
    return left;
}

/* NULL if it may run, else why not. */
static const char *relayed_fault(const struct console *console, const struct hf_name *from,
                                 const struct wire_query *query, int64_t left)
{
    if (relayed_count_of(console, from) == CONSOLE_RELAYED_NODE_MAX)
        return "ERR 503 too many relayed commands of one node at once\n";
    if (console->relayed_count == CONSOLE_RELAYED_MAX)
        return "ERR 503 too many relayed commands at once\n";
    if (left <= 0)
        return "ERR 429 this board has asked for more than is answered at once; try again\n";
    if (query->length > CONSOLE_LINE_MAX)
        return "ERR 400 a command is at most 512 bytes long\n";
    if (!text_ok(query->text, query->length) || memchr(query->text, '\r', query->length) != NULL)
        return "ERR 400 a command is one line of text\n";
    return NULL;
}

static void relayed_start(struct relayed *relayed, const struct wire_query *query)
{
    struct console *console = relayed->console;
    const struct call_sink sink = { relayed, relayed_write, relayed_finish };
    const struct call_caller caller = { .who = query->who,
                                        .operator_role = query->operator_role,
                                        .json = query->json,
                                        .relayed = true,
                                        .via = relayed->from };
    char line[CONSOLE_LINE_MAX + 1];
    memcpy(line, query->text, query->length);
    line[query->length] = '\0';
    relayed->next = console->relayed;
    console->relayed = relayed;
    console->relayed_count++;
    call_start(console->node, line, &caller, &sink, &relayed->call);
}

void console_relayed(struct console *console, const struct hf_name *from,
                     const struct wire_query *query)
{
    struct relayed *relayed = relayed_find(console, from, query->id);
    if (relayed != NULL) {
        call_cancel(relayed->call);
        relayed_free(relayed);
        return;
    }
    if (query->length == 0)
        return; /* A cancel that crossed the end of the answer. */
    int64_t left = relayed_spend(from, console->node, RELAYED_LEAST_BYTES);
    if (left <= -RELAYED_DEBT_BYTES)
        return; /* Answers to a board that asks on and on would only fill its link. */
    relayed = calloc(1, sizeof(*relayed));
    if (relayed == NULL)
        return; /* The asker's time limit ends it. */
    relayed->console = console;
    relayed->from = *from;
    relayed->id = query->id;
    const char *fault = relayed_fault(console, from, query, left);
    if (fault == NULL) {
        relayed_start(relayed, query);
        return;
    }
    relayed_send(relayed, fault, strlen(fault), true, CALL_BAD_COMMAND);
    free(relayed);
}

void console_relay_answer(struct console *console, const struct hf_name *from,
                          const struct wire_query *reply)
{
    struct call *call = call_find_relayed(reply->id);
    (void)console;
    if (call == NULL || !name_equal(&call->target, from))
        return;
    if (reply->length > 0)
        call->sink.on_write(call->sink.context, reply->text, reply->length);
    if (reply->last)
        call_finish(call, (enum call_error)reply->error);
}

void console_peer_down(struct console *console, const struct hf_name *peer)
{
    struct call *call;
    while ((call = call_first_relayed_to(peer)) != NULL)
        call_fail(call, CALL_UNAVAILABLE, "the connection to %s was lost%s", peer->text,
                  call_open_end(call));
    struct relayed *next;
    for (struct relayed *at = console->relayed; at != NULL; at = next) {
        next = at->next;
        if (!name_equal(&at->from, peer))
            continue;
        call_cancel(at->call);
        relayed_free(at);
    }
}

void console_stop(struct console *console)
{
    for (struct session *at = console->sessions; at != NULL; at = at->next) {
        at->ending = true;
        if (at->call != NULL)
            call_cancel(at->call);
        tls_stream_abort(at->stream);
    }
    call_cancel_relayed(); /* notes that nobody waits for */
    while (console->relayed != NULL) {
        /* relayed_free() takes it off the list: NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        call_cancel(console->relayed->call);
        relayed_free(console->relayed);
    }
    if (console->listener != NULL)
        tls_listener_close(console->listener, console_closed, console);
}
