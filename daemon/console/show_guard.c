/* The command `guard`: what this board's guard says of each resource. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conf/terms.h"
#include "console/show.h"
#include "hal/clock.h"

bool show_fault_since(const struct guard_message *status, char text[SHOW_FAULT_MAX])
{
    time_t seconds = (time_t)status->fault_since_s;
    struct tm parts;
    return status->state == GUARD_FAULT && gmtime_r(&seconds, &parts) != NULL &&
           strftime(text, SHOW_FAULT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
}

static void guard_levels(struct report *report, const char *key,
                         const struct conf_resource *resource, uint32_t levels, bool readback)
{
    char text[(HF_NAME_MAX + 6) * HF_OUTPUTS_MAX] = "";
    for (uint8_t i = 0; i < resource->output_count; i++) {
        const struct conf_output *output = &resource->output[i];
        if (readback && !output->has_readback)
            continue;
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s=%s", used > 0 ? "," : "",
                 output->name.text, (levels >> i & 1) != 0 ? "on" : "off");
    }
    report_text(report, key, text);
}

static void guard_since(struct report *report, const struct guard_message *status)
{
    char text[SHOW_FAULT_MAX];
    if (show_fault_since(status, text))
        report_text(report, "fault_since", text);
    else
        report_none(report, "fault_since");
    report_flag(report, "fault_kept", status->fault_kept != 0);
    if (status->state == GUARD_FAULT)
        report_flag(report, "fault_recorded", status->fault_recorded != 0);
    else
        report_none(report, "fault_recorded");
}

static void guard_row(struct report *report, const struct conf_resource *resource,
                      const struct agent_guard_view *view, const struct holder_lease *lease)
{
    const struct guard_message *status = &view->status;
    report_row(report);
    report_text(report, "resource", resource->name.text);
    report_text(report, "agent", holder_state_name(lease->state));
    if (!view->known) {
        static const char *const keys[] = { "guard",          "token",  "left_ms",     "outputs",
                                            "readback",       "fault",  "fault_since", "fault_kept",
                                            "fault_recorded", "proven", "mismatch" };
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            report_none(report, keys[i]);
        return;
    }
    int64_t left_us = status->deadline_us - hal_clock_now().us;
    report_text(report, "guard", guard_state_name((enum guard_state)status->state));
    report_token(report, "token", status->token);
    if (status->state == GUARD_DRIVING)
        report_milli(report, "left_ms", left_us > 0 ? left_us : 0);
    else
        report_none(report, "left_ms");
    guard_levels(report, "outputs", resource, status->outputs_on, false);
    guard_levels(report, "readback", resource, status->readback_on, true);
    report_text(report, "fault", guard_fault_name((enum guard_fault)status->fault));
    guard_since(report, status);
    report_flag(report, "proven", status->proven != 0);
    if (view->mismatch) {
        char text[CONF_TERMS_TEXT_MAX + 1];
        report_text(report, "mismatch",
                    conf_terms_differ(text, &status->terms, &lease->config.terms));
    } else {
        report_none(report, "mismatch");
    }
}

static const char *guard_watchdog(uint8_t watchdog)
{
    static const char *const names[] = { "none", "fed", "not fed" };
    return watchdog < 3 ? names[watchdog] : "unknown";
}

static const char *guard_outcome(uint8_t error)
{
    return error == 0 ? "yes" : strerror(error);
}

/* One answer for a program that reads it, and for people which half is missing, and why. */
static void guard_realtime(struct report *report, const struct guard_message *status)
{
    report_flag(report, "realtime", guard_message_realtime(status));
    report_text(report, "realtime_scheduling", guard_outcome(status->schedule_error));
    report_text(report, "realtime_memory", guard_outcome(status->memory_error));
}

void show_guard(struct call *call)
{
    struct report *report = &call->report;
    const struct console_view *view = call->view;
    if (view->agent == NULL) {
        call_fail(call, CALL_NOT_FOUND, "%s holds no leases and has no guard",
                  view->conf->node_id.text);
        return;
    }
    const struct agent_guard_view *first = agent_guard(view->agent, 0);
    report_text(report, "board", view->conf->node_id.text);
    report_flag(report, "connected", agent_guard_up(view->agent));
    if (first->known) {
        report_number(report, "pid", first->status.pid);
        report_text(report, "watchdog", guard_watchdog(first->status.watchdog));
        guard_realtime(report, &first->status);
        report_milli(report, "lateness_worst_ms", first->status.lateness_worst_us);
        report_number(report, "permits_refused", first->status.permits_refused);
    }
    report_list_open(report, "resources");
    for (uint8_t i = 0; i < view->conf->resource_count; i++) {
        const struct conf_resource *resource = &view->conf->resource[i];
        guard_row(report, resource, agent_guard(view->agent, i),
                  holder_lease_of(agent_holder(view->agent), &resource->name));
    }
    report_list_close(report);
    call_answer(call);
}
