#include "console/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/operate.h"
#include "console/relay.h"
#include "hal/clock.h"

static void show_help(struct call *call);

static const struct call_command commands[] = {
    { .name = "status", .usage = "status", .run = show_status },
    { .name = "leases",
      .usage = "leases [--consistency local|leader|quorum]",
      .by_board = VOUCHER_READ,
      .run = show_leases },
    { .name = "issuers", .usage = "issuers", .by_board = VOUCHER_READ, .run = show_issuers },
    { .name = "agents", .usage = "agents", .by_board = VOUCHER_READ, .run = show_agents },
    { .name = "guard", .usage = "guard", .run = show_guard },
    { .name = "history",
      .usage = "history [-n N] [--resource R]",
      .by_board = VOUCHER_READ,
      .run = show_history },
    { .name = "watch",
      .usage = "watch [--resource R]",
      .by_board = VOUCHER_READ,
      .run = watch_history },
    { .name = "budget", .usage = "budget", .run = show_budget },
    { .name = "metrics", .usage = "metrics", .run = show_metrics },
    { .name = "transfer",
      .usage = "transfer RESOURCE BOARD",
      .operator_only = true,
      .words = 2,
      .run = operate_transfer },
    { .name = "pin",
      .usage = "pin RESOURCE BOARD|none",
      .operator_only = true,
      .words = 2,
      .run = operate_pin },
    { .name = "unpin",
      .usage = "unpin RESOURCE",
      .operator_only = true,
      .words = 1,
      .run = operate_unpin },
    { .name = "fault clear",
      .usage = "fault clear RESOURCE [BOARD]",
      .operator_only = true,
      .words = 1,
      .optional = 1,
      .run = operate_fault_clear },
    { .name = "token overrule",
      .usage = "token overrule RESOURCE BOARD",
      .operator_only = true,
      .words = 2,
      .run = operate_overrule },
    { .name = "leader transfer",
      .usage = "leader transfer ISSUER",
      .operator_only = true,
      .words = 1,
      .run = operate_leader_transfer },
    { .name = "backup", .usage = "backup", .operator_only = true, .run = operate_backup },
    { .name = "member add",
      .usage = "member add ISSUER ADDRESS",
      .operator_only = true,
      .words = 2,
      .run = operate_member_add },
    { .name = "member promote",
      .usage = "member promote ISSUER",
      .operator_only = true,
      .words = 1,
      .run = operate_member_promote },
    { .name = "member remove",
      .usage = "member remove ISSUER",
      .operator_only = true,
      .words = 1,
      .run = operate_member_remove },
    { .name = "resource remove",
      .usage = "resource remove RESOURCE",
      .operator_only = true,
      .words = 1,
      .run = operate_resource_remove },
    { .name = "note fault-cleared",
      .operator_only = true,
      .words = 1,
      .by_board = VOUCHER_FAULT,
      .run = operate_note_fault },
    { .name = "fault where", .words = 1, .by_board = VOUCHER_READ, .run = operate_fault_where },
    { .name = "help", .usage = "help", .run = show_help },
};

static void call_closed(uv_handle_t *handle)
{
    struct call *call = handle->data;
    text_free(&call->report.out);
    text_free(&call->report.cells);
    free(call);
}

static void call_release(struct call *call)
{
    call->finished = true;
    if (call->reading)
        issuer_shell_forget_reader(call->view->issuer_shell, &call->reader);
    if (call->awaiting)
        issuer_shell_forget_waiting(call->view->issuer_shell, &call->act);
    if (call->watching)
        issuer_shell_unwatch(call->view->issuer_shell, &call->watcher);
    relay_end(call);
    if (call->handle != NULL)
        *call->handle = NULL;
    uv_close((uv_handle_t *)&call->timer, call_closed);
}

void call_finish(struct call *call, enum call_error error)
{
    struct call_sink sink = call->sink;
    if (call->finished)
        return;
    call_release(call);
    sink.on_finish(sink.context, error);
}

void call_cancel(struct call *call)
{
    relay_cancel(call);
    call_release(call);
}

void call_answer(struct call *call)
{
    report_close(&call->report);
    if (call->report.out.failed) {
        call_fail(call, CALL_FAILED, "out of memory");
        return;
    }
    call->sink.on_write(call->sink.context, call->report.out.data, call->report.out.length);
    call_finish(call, CALL_OK);
}

void call_fail(struct call *call, enum call_error error, const char *format, ...)
{
    char line[512];
    int used = snprintf(line, sizeof(line), "ERR %d ", error);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    line[length++] = '\n';
    call->sink.on_write(call->sink.context, line, length);
    call_finish(call, error);
}

/* ---- a read that a majority confirms ---- */

static void call_read_done(void *context, bool confirmed)
{
    struct call *call = context;
    call->reading = false;
    if (confirmed)
        call->on_read(call);
    else
        call_fail(call, CALL_UNAVAILABLE, "leadership was lost before a majority confirmed it");
}

static void call_read_late(uv_timer_t *timer)
{
    call_fail(timer->data, CALL_TIMEOUT, "no majority of issuers confirmed within %d ms",
              CALL_READ_MS);
}

void call_read(struct call *call, void (*on_read)(struct call *call))
{
    call->on_read = on_read;
    call->reader.on_confirmed = call_read_done;
    call->reader.context = call;
    call->reading = true;
    uv_timer_start(&call->timer, call_read_late, CALL_READ_MS, 0);
    if (issuer_shell_read(call->view->issuer_shell, &call->reader))
        return;
    call->reading = false;
    call_fail(call, CALL_UNAVAILABLE, "this issuer does not lead any more; try again");
}

/* ---- words ---- */

static void call_remove_words(struct call *call, int at, int count)
{
    for (int i = at; i + count < call->word_count; i++)
        call->word[i] = call->word[i + count];
    call->word_count -= count;
}

const char *call_take_option(struct call *call, const char *name)
{
    for (int i = 1; i + 1 < call->word_count; i++) {
        if (strcmp(call->word[i], name) != 0)
            continue;
        const char *value = call->word[i + 1];
        call_remove_words(call, i, 2);
        return value;
    }
    return NULL;
}

static bool call_take_flag(struct call *call, const char *name)
{
    for (int i = 0; i < call->word_count; i++) {
        if (strcmp(call->word[i], name) == 0) {
            call_remove_words(call, i, 1);
            return true;
        }
    }
    return false;
}

static bool call_split(struct call *call)
{
    char *rest = NULL;
    char *word = strtok_r(call->words, " \t", &rest);
    for (; word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (call->word_count == CALL_WORDS_MAX)
            return false;
        call->word[call->word_count++] = word;
    }
    return true;
}

static int call_match(const struct call *call, const struct call_command *command)
{
    const char *second = strchr(command->name, ' ');
    if (second == NULL)
        return strcmp(call->word[0], command->name) == 0 ? 1 : 0;
    size_t length = (size_t)(second - command->name);
    bool first =
        strlen(call->word[0]) == length && strncmp(call->word[0], command->name, length) == 0;
    return first && call->word_count > 1 && strcmp(call->word[1], second + 1) == 0 ? 2 : 0;
}

static void show_help(struct call *call)
{
    report_list_open(&call->report, "commands");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].usage == NULL)
            continue;
        report_row(&call->report);
        report_text(&call->report, "command", commands[i].usage);
        report_text(&call->report, "role", commands[i].operator_only ? "operator" : "viewer");
    }
    report_list_close(&call->report);
    call_answer(call);
}

/* Options of the commands that take some are taken by the commands; what is left must fit. */
static bool call_takes_options(const struct call_command *command)
{
    return strstr(command->usage != NULL ? command->usage : "", "[-") != NULL;
}

static void call_dispatch(struct call *call)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct call_command *command = &commands[i];
        int used = call_match(call, command);
        int left = call->word_count - used;
        if (used == 0)
            continue;
        call->by_board = command->by_board;
        if (call->by_board == VOUCHER_NONE && operate_by_board(call)) {
            operate_refuse_voucher(call);
            return;
        }
        if (command->operator_only && !call->caller.operator_role) {
            call_fail(call, CALL_FORBIDDEN,
                      "%s needs an operator's certificate; that of %s may only look", command->name,
                      call->caller.who.text);
            return;
        }
        if (!call_takes_options(command) &&
            (left < command->words || left > command->words + command->optional)) {
            call_fail(call, CALL_BAD_COMMAND, "usage: %s [--json]",
                      command->usage != NULL ? command->usage : command->name);
            return;
        }
        call->acts = command->operator_only;
        if (used == 2)
            call_remove_words(call, 0, 1);
        command->run(call);
        return;
    }
    bool second = call->word_count > 1;
    call_fail(call, CALL_BAD_COMMAND, "unknown command %.40s%s%.40s; try help", call->word[0],
              second ? " " : "", second ? call->word[1] : "");
}

void call_start(const struct console_view *view, const char *line, const struct call_caller *caller,
                const struct call_sink *sink, struct call **handle)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        static const char text[] = "ERR 500 out of memory\n";
        sink->on_write(sink->context, text, sizeof(text) - 1);
        sink->on_finish(sink->context, CALL_FAILED);
        return;
    }
    call->view = view;
    call->caller = *caller;
    call->sink = *sink;
    call->handle = handle;
    call->started_us = hal_clock_now().us;
    uv_timer_init(view->loop, &call->timer);
    call->timer.data = call;
    *handle = call;
    snprintf(call->line, sizeof(call->line), "%s", line);
    snprintf(call->words, sizeof(call->words), "%s", line);
    if (!call_split(call) || call->word_count == 0) {
        call_fail(call, CALL_BAD_COMMAND, "a command has 1 to %d words", CALL_WORDS_MAX);
        return;
    }
    call->json = call_take_flag(call, "--json") || caller->json;
    report_open(&call->report, call->json);
    if (call->word_count == 0)
        call_fail(call, CALL_BAD_COMMAND, "no command before --json");
    else
        call_dispatch(call);
}

/* ---- what is known of the leader */

static bool call_find_connected_issuer(const struct console_view *view, struct hf_name *id)
{
    for (uint8_t i = 0; i < view->issuers->count; i++) {
        if (view->issuers->peer[i].up) {
            *id = view->issuers->peer[i].id;
            return true;
        }
    }
    return false;
}

bool call_find_leader(const struct call *call, struct hf_name *leader)
{
    const struct console_view *view = call->view;
    if (view->issuer_shell != NULL) {
        *leader = issuer_shell_replica(view->issuer_shell)->raft.leader;
        return !name_empty(leader);
    }
    *leader = agent_holder(view->agent)->leader;
    return !name_empty(leader) || call_find_connected_issuer(view, leader);
}
