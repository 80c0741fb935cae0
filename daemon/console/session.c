#include "console/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "console/seats.h"
#include "console/turns.h"

_Static_assert((int)CONSOLE_SESSIONS_MAX == (int)SEATS_MAX, "a session is a seat");

static const char prompt[] = "holdfast> ";

struct session {
    struct console *console;
    struct tls_stream *stream;
    struct call_caller caller;
    struct call *call;                               /* NULL: ready for the next line */
    char input[CONSOLE_LINE_MAX + TLS_STREAM_PLAIN]; /* what is left of a line, and what comes */
    size_t input_length;
    uv_timer_t out;  /* runs while the next line waits for the last answer to go out */
    uint64_t served; /* the console's turn in which its last command was taken; 0: none was */
    /*
     * Open for the session's whole life: waits for the time to greet, then for the end of idleness.
     */
    uv_timer_t patience;
    uint64_t since_ms; /* when its last command was answered, or it came */
    bool greeted;
    bool first_line;
    bool ending;
    unsigned handles; /* open */
    struct session *next;
};

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

/* Ends it for a line that is none. */
static void session_fail(struct session *session, const char *why)
{
    char text[100];
    int length = snprintf(text, sizeof(text), "ERR 400 %s\n", why);
    session_write(session, text, (size_t)length);
    console_log_refusal(session->console, REFUSAL_LINE, tls_stream_remote(session->stream), why);
    session_end(session);
}

/* Ends it with a text, and without a log line: the client did nothing wrong. */
static void session_dismiss(struct session *session, const char *text)
{
    session_write(session, text, strlen(text));
    session_end(session);
}

static void session_greet(struct session *session)
{
    char greeting[128];
    int length = snprintf(greeting, sizeof(greeting), "holdfast %s console, role %s\n%s",
                          session->console->view.conf->node_id.text,
                          session->caller.operator_role ? "operator" : "viewer", prompt);
    session->greeted = true;
    session_write(session, greeting, (size_t)length);
}

static void session_idle(uv_timer_t *timer);

/* Notes that it did something, so it is not idle: a line came, or an answer went out. */
static void session_note(struct session *session)
{
    session->since_ms = uv_now(session->console->view.loop);
    if (session->greeted && !session->ending)
        uv_timer_start(&session->patience, session_idle, SEATS_IDLE_MS, 0);
}

/* A session in a watch is not idle, though nothing is typed. */
static void session_idle(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (session->call != NULL)
        session_note(session);
    else
        session_dismiss(session, "ERR 408 no command for 600 s\n");
}

/* An HTTP client would have sent its request by now, so this one waits to be greeted. */
static void session_patience_over(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (session->input_length == 0 && !session->greeted)
        session_greet(session);
    uv_timer_start(timer, session_idle, SEATS_IDLE_MS, 0);
}

static void session_advance(struct session *session);

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
    session_advance(session);
}

static void session_http(struct session *session, const char *line)
{
    struct text body = { 0 };
    struct text answer = { 0 };
    bool metrics = strncmp(line, "GET /metrics ", 13) == 0 || strcmp(line, "GET /metrics") == 0;
    if (metrics)
        metrics_print(&session->console->view, &body);
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
        call_start(&session->console->view, line, &session->caller, &sink, &session->call);
    }
}

bool session_text_ok(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
            return false;
    }
    return true;
}

static bool session_line_waits(const struct session *session)
{
    return memchr(session->input, '\n', session->input_length) != NULL;
}

/* Takes the first line, which is whole, out of the input. False: it is too long. */
static bool session_next_line(struct session *session, char line[CONSOLE_LINE_MAX + 1],
                              size_t *length)
{
    char *end = memchr(session->input, '\n', session->input_length);
    *length = (size_t)(end - session->input);
    if (*length > CONSOLE_LINE_MAX)
        return false;
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

static void session_fail_long(struct session *session)
{
    session_fail(session, "a command is at most 512 bytes long");
}

static void session_take(struct session *session)
{
    char line[CONSOLE_LINE_MAX + 1];
    size_t length = 0;
    if (!session_next_line(session, line, &length))
        session_fail_long(session);
    else if (!session_text_ok(line, length))
        session_fail(session, "a command is one line of text");
    else
        session_line(session, line);
    if (session->input_length > 0 && !session->ending)
        session_end_watch(session);
}

/* ---- turns */

static bool session_wants_turn(const struct session *session)
{
    return !session->ending && session->call == NULL && session_line_waits(session) &&
           tls_stream_queued(session->stream) == 0;
}

static struct session *next_in_turn(const struct console *console)
{
    struct session *found = NULL;
    struct turn_wish first;
    for (struct session *at = console->sessions; at != NULL; at = at->next) {
        const struct turn_wish wish = { at->caller.operator_role, at->served };
        if (!session_wants_turn(at) ||
            (found != NULL && !turns_before(&wish, &first, console->operator_last)))
            continue;
        found = at;
        first = wish;
    }
    return found;
}

static void session_look(uv_timer_t *timer)
{
    session_advance(timer->data);
}

/*
 * Nothing is read while a line waits, nor behind what is too long for one: so there is always room for
 * what is read at once, whatever stood behind the line taken last.
 */
static void session_read_on(struct session *session)
{
    if (session->ending)
        return;
    bool waits = session_line_waits(session);
    if (waits && session->call == NULL && tls_stream_queued(session->stream) > 0)
        uv_timer_start(&session->out, session_look, CONSOLE_OUT_MS, 0);
    if (!waits && session->input_length > CONSOLE_LINE_MAX)
        session_fail_long(session);
    else
        tls_stream_pause(session->stream, waits);
}

static void console_turn(uv_timer_t *timer)
{
    struct console *console = timer->data;
    struct session *session = next_in_turn(console);
    if (session == NULL)
        return;
    uv_timer_start(timer, console_turn, CONSOLE_TURN_MS, 0);
    if (console->had_in_turn == console->loop_turn)
        return;
    console->had_in_turn = console->loop_turn;
    session->served = ++console->turns;
    console->operator_last = session->caller.operator_role;
    session_take(session);
    session_read_on(session); /* not with another line: the turn is had */
}

static void console_begin_turn(uv_prepare_t *prepare)
{
    struct console *console = prepare->data;
    console->loop_turn++;
}

void session_turns_open(struct console *console)
{
    uv_timer_init(console->view.loop, &console->turn);
    uv_prepare_init(console->view.loop, &console->begins);
    console->turn.data = console;
    console->begins.data = console;
    console->loop_turn = 1;
    uv_prepare_start(&console->begins, console_begin_turn);
    uv_unref((uv_handle_t *)&console->begins);
}

void session_turns_close(struct console *console)
{
    uv_close((uv_handle_t *)&console->turn, NULL);
    uv_close((uv_handle_t *)&console->begins, NULL);
}

/*
 * Takes the next line, if it is this session's turn; else whatever it waits for comes here again: its
 * turn, or the end of the answer.
 */
static void session_advance(struct session *session)
{
    struct console *console = session->console;
    if (session_wants_turn(session) && !uv_is_active((uv_handle_t *)&console->turn))
        console_turn(&console->turn);
    session_read_on(session);
}

static void session_data(void *context, struct bytes data)
{
    struct session *session = context;
    session_end_watch(session);
    /* What is there is the beginning of a line, and no longer than one: see session_read_on(). */
    HF_CHECK(data.length <= sizeof(session->input) - session->input_length);
    memcpy(session->input + session->input_length, data.data, data.length);
    session->input_length += data.length;
    session_advance(session);
}

static void session_free(uv_handle_t *handle)
{
    struct session *session = handle->data;
    if (--session->handles == 0)
        free(session);
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
    uv_close((uv_handle_t *)&session->out, session_free);
}

/* ---- seats */

static struct seat seat_of(const struct session *session)
{
    return (struct seat){ .who = session->caller.who,
                          .operator_role = session->caller.operator_role,
                          .busy = session->call != NULL,
                          .since_ms = session->since_ms };
}

const char *session_seat(struct console *console, const struct call_caller *caller)
{
    struct session *sessions[SEATS_MAX];
    struct seat seats[SEATS_MAX];
    size_t count = 0;
    const char *why = NULL;
    uint64_t now_ms = uv_now(console->view.loop);
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

/* ---- begin and end */

bool session_open(struct console *console, struct tls_stream *stream,
                  const struct call_caller *caller)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return false;
    const struct tls_stream_events events = { .context = session,
                                              .on_data = session_data,
                                              .on_closed = session_closed };
    tls_stream_adopt(stream, &events);
    session->console = console;
    session->stream = stream;
    session->caller = *caller;
    session->first_line = true;
    session->since_ms = uv_now(console->view.loop);
    session->next = console->sessions;
    console->sessions = session;
    uv_timer_init(console->view.loop, &session->patience);
    uv_timer_init(console->view.loop, &session->out);
    session->patience.data = session;
    session->out.data = session;
    session->handles = 2;
    uv_timer_start(&session->patience, session_patience_over, CONSOLE_GREETING_MS, 0);
    return true;
}

void session_end_all(struct console *console)
{
    for (struct session *at = console->sessions; at != NULL; at = at->next) {
        at->ending = true;
        if (at->call != NULL)
            call_cancel(at->call);
        tls_stream_abort(at->stream);
    }
}
