/* The replicated history, as a list and live. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/call.h"
#include "console/resources.h"

enum { HISTORY_WHO_MAX = 2 * HF_NAME_MAX + 16 };

static const char *history_name(enum history_kind kind)
{
    static const char *const names[HISTORY_KINDS] = {
        [HISTORY_GRANT] = "grant",     [HISTORY_RELEASE] = "release",
        [HISTORY_EXPIRE] = "expire",   [HISTORY_TRANSFER] = "transfer",
        [HISTORY_REFUSAL] = "refusal", [HISTORY_OPERATOR] = "operator",
        [HISTORY_FAULT] = "fault",
    };
    return kind < HISTORY_KINDS ? names[kind] : "unknown";
}

static void history_time(char *text, size_t size, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t used = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, size - used, ".%03dZ", (int)(wall_us / 1000 % 1000));
}

/* "olga", if she showed her certificate to the leader itself; else with the node whose word it is. */
static void history_who(char *text, size_t size, const struct history_event *event)
{
    snprintf(text, size, "%s%s%s%s", event->who.text, name_empty(&event->via) ? "" : " via ",
             event->via.text, event->unproven ? ", unproven" : "");
}

static void history_fields(struct report *report, const struct history_event *event)
{
    char when[64];
    char who[HISTORY_WHO_MAX];
    history_time(when, sizeof(when), event->wall_us);
    report_text(report, "time", when);
    report_token(report, "index", event->index);
    report_text(report, "event", history_name(event->kind));
    report_text(report, "resource", event->resource.text);
    report_text(report, "holder", event->holder.text);
    report_token(report, "token", event->token);
    history_who(who, sizeof(who), event);
    report_text(report, "who", who);
    report_text(report, "why", event->text);
}

/* Where the history is: here on an issuer, else on the leader. True if the call went there. */
static bool history_is_elsewhere(struct call *call)
{
    struct hf_name leader;
    if (call->view->issuer_shell != NULL)
        return false;
    if (call_find_leader(call, &leader))
        call_relay(call, &leader);
    else
        call_fail(call, CALL_UNAVAILABLE, "no issuer is connected");
    return true;
}

static bool history_filter(struct call *call, const char *usage)
{
    const char *resource = call_take_option(call, "--resource");
    if (call->word_count != 1 ||
        (resource != NULL && !name_from_string(&call->resource, resource))) {
        call_fail(call, CALL_BAD_COMMAND, "usage: %s [--json]", usage);
        return false;
    }
    return true;
}

static bool history_wanted(const struct call *call, const struct history_event *event)
{
    return name_empty(&call->resource) || name_equal(&call->resource, &event->resource);
}

static const struct lease_table *history_table(const struct call *call)
{
    return &issuer_shell_replica(call->view->issuer_shell)->table;
}

static uint64_t history_kept(const struct lease_table *table)
{
    return table->history_total < HF_HISTORY_MAX ? table->history_total : HF_HISTORY_MAX;
}

/*
 * Where the newest `limit` events that are wanted begin, of those kept; *found: how many they are.
 */
static uint64_t history_begin(const struct call *call, long limit, long *found)
{
    const struct lease_table *table = history_table(call);
    uint64_t first = table->history_total;
    for (*found = 0; first > table->history_total - history_kept(table) && *found < limit;) {
        first--;
        *found += history_wanted(call, &table->history[first % HF_HISTORY_MAX]) ? 1 : 0;
    }
    return first;
}

/* False, and the call has failed, if the name that was asked for is none that this issuer knows. */
static bool history_knows(struct call *call)
{
    if (name_empty(&call->resource) ||
        resources_known(issuer_shell_replica(call->view->issuer_shell), &call->resource))
        return true;
    resources_refuse(call, &call->resource);
    return false;
}

void show_history(struct call *call)
{
    const char *text = call_take_option(call, "-n");
    char *end = NULL;
    long limit = text != NULL ? strtol(text, &end, 10) : 20;
    if (text != NULL && (*end != '\0' || limit < 1 || limit > HF_HISTORY_MAX)) {
        call_fail(call, CALL_BAD_COMMAND, "-n %.20s: allowed are 1 to %d events", text,
                  HF_HISTORY_MAX);
        return;
    }
    if (!history_filter(call, "history [-n N] [--resource R]") || history_is_elsewhere(call))
        return;
    const struct lease_table *table = history_table(call);
    long found;
    uint64_t first = history_begin(call, limit, &found);
    /* What was of a resource that is gone is still shown. */
    if (found == 0 && !history_knows(call))
        return;
    report_list_open(&call->report, "history");
    for (uint64_t i = first; i < table->history_total; i++) {
        const struct history_event *event = &table->history[i % HF_HISTORY_MAX];
        if (!history_wanted(call, event))
            continue;
        report_row(&call->report);
        history_fields(&call->report, event);
    }
    report_list_close(&call->report);
    call_answer(call);
}

/* One line an event: the human form has fixed columns, since a live list can't be aligned. */
static void watch_event(void *context, const struct history_event *event)
{
    struct call *call = context;
    if (!history_wanted(call, event))
        return;
    if (call->json) {
        struct report report;
        report_open(&report, true);
        history_fields(&report, event);
        report_close(&report);
        if (!report.out.failed)
            call->sink.on_write(call->sink.context, report.out.data, report.out.length);
        text_free(&report.out);
        return;
    }
    char when[64];
    char who[HISTORY_WHO_MAX];
    char line[384];
    history_who(who, sizeof(who), event);
    history_time(when, sizeof(when), event->wall_us);
    int length = snprintf(line, sizeof(line), "%s %-8s %s holder %s token %" PRIu64 " by %s%s%s\n",
                          when, history_name(event->kind), event->resource.text,
                          event->holder.text[0] != '\0' ? event->holder.text : "-", event->token,
                          who, event->text[0] != '\0' ? ": " : "", event->text);
    call->sink.on_write(call->sink.context, line, (size_t)length);
}

void watch_history(struct call *call)
{
    if (!history_filter(call, "watch [--resource R]"))
        return;
    call->endless = true;
    if (history_is_elsewhere(call) || !history_knows(call))
        return;
    call->watcher.on_event = watch_event;
    call->watcher.context = call;
    call->watching = true;
    issuer_shell_watch(call->view->issuer_shell, &call->watcher);
}
