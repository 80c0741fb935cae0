#include "console/relayed.h"

#include <stdlib.h>
#include <string.h>

#include "console/call.h"
#include "console/session.h"
#include "hal/clock.h"
#include "node/issuers.h"

struct relayed {
    struct console *console;
    struct hf_name from;
    uint64_t id;
    struct call *call;
    struct relayed *next;
};

static void relayed_free(struct relayed *relayed)
{
    struct relayed **at = &relayed->console->relayed;
    while (*at != relayed)
        at = &(*at)->next;
    *at = relayed->next;
    relayed->console->relayed_count--;
    free(relayed);
}

/*
 * What a question costs at least; and the debt beyond which a board gets no answer, not even why.
 */
enum { RELAYED_LEAST_BYTES = 512, RELAYED_DEBT_BYTES = 64 * 1024 };

/*
 * What boards may ask of this node, in bytes of answers: more than people read, less than keeps an
 * issuer busy. Issuers ask for the operators at their consoles, whose number is limited there.
 * Returns what was left before; beyond a debt nothing more is charged.
 */
static int64_t relayed_spend(const struct console *console, const struct hf_name *from,
                             size_t bytes)
{
    static const struct budget_rule answers = { .burst = (int64_t)512 * 1024, .unit_us = 8 };
    struct instant now = hal_clock_now();
    if (issuers_find(console->view.issuers, from) != NULL)
        return answers.burst;
    struct budget *budget = purse_of(console->view.kept->boards, HF_AGENTS_MAX, from);
    int64_t left = budget_left(budget, &answers, now);
    if (left > -RELAYED_DEBT_BYTES)
        budget_spend(budget, &answers, (int64_t)bytes, now);
    return left;
}

static void relayed_send(const struct relayed *relayed, const char *data, size_t length, bool last,
                         enum call_error error)
{
    static struct wire_query reply;
    memset(&reply, 0, sizeof(reply));
    reply.id = relayed->id;
    reply.who = relayed->console->view.conf->node_id;
    reply.last = last;
    reply.error = (uint32_t)error;
    reply.length = (uint16_t)length;
    (void)relayed_spend(relayed->console, &relayed->from, length);
    if (length > 0)
        memcpy(reply.text, data, length);
    (void)node_send_query(relayed->console->view.node, &relayed->from, true, &reply);
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
    if (!session_text_ok(query->text, query->length) ||
        memchr(query->text, '\r', query->length) != NULL)
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
    call_start(&console->view, line, &caller, &sink, &relayed->call);
}

void relayed_query(struct console *console, const struct hf_name *from,
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
    int64_t left = relayed_spend(console, from, RELAYED_LEAST_BYTES);
    if (left <= -RELAYED_DEBT_BYTES)
        return; /* Refusals to a board that goes on asking would only fill its link. */
    relayed = calloc(1, sizeof(*relayed));
    if (relayed == NULL)
        return; /* The asking node gives up by its own time limit. */
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

void relayed_peer_down(struct console *console, const struct hf_name *peer)
{
    struct relayed *next;
    for (struct relayed *at = console->relayed; at != NULL; at = next) {
        next = at->next;
        if (!name_equal(&at->from, peer))
            continue;
        call_cancel(at->call);
        relayed_free(at);
    }
}

void relayed_end_all(struct console *console)
{
    while (console->relayed != NULL) {
        /* relayed_free() takes it off the list: NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        call_cancel(console->relayed->call);
        relayed_free(console->relayed);
    }
}
