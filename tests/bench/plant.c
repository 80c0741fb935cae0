#include "tests/bench/plant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

static const char *board_name(const struct plant *plant, int board)
{
    return board < 0 ? "" : plant->config->boards[board].text;
}

static const char *resource_name(const struct plant *plant, int resource)
{
    return resource < 0 ? "" : plant->config->resources[resource].name.text;
}

static void on_line(struct plant *plant, const struct witness_event *event)
{
    if (event->level)
        plant->boards[event->board].contacts[event->resource][event->line].on_since_ns =
            event->at_ns;
    trace_write(&plant->trace, event->at_ns, "line",
                ",\"board\":\"%s\",\"resource\":\"%s\",\"line\":\"%s\",\"level\":%d",
                board_name(plant, event->board), resource_name(plant, event->resource),
                plant->config->resources[event->resource].lines[event->line].name.text,
                event->level);
}

static void on_overlap(struct plant *plant, const struct witness_event *event)
{
    const char *resource = resource_name(plant, event->resource);
    const char *board = board_name(plant, event->board);
    const char *other = board_name(plant, event->other);
    trace_write(&plant->trace, event->at_ns, "overlap",
                ",\"kind\":\"drive\",\"resource\":\"%s\",\"board\":\"%s\",\"since_ns\":%" PRId64
                ",\"other\":\"%s\",\"other_since_ns\":%" PRId64,
                resource, board, event->since_ns, other, event->other_since_ns);
    fprintf(stderr, "overlap: %s: %s drives since %" PRId64 " ns, %s since %" PRId64 " ns\n",
            resource, board, event->since_ns, other, event->other_since_ns);
}

static void on_event(void *context, const struct witness_event *event)
{
    struct plant *plant = context;
    switch (event->type) {
    case WITNESS_EVENT_LINE:
        on_line(plant, event);
        break;
    case WITNESS_EVENT_DRIVE:
        trace_write(&plant->trace, event->at_ns, "drive",
                    ",\"board\":\"%s\",\"resource\":\"%s\",\"level\":%d",
                    board_name(plant, event->board), resource_name(plant, event->resource),
                    event->level);
        break;
    case WITNESS_EVENT_OVERLAP:
        on_overlap(plant, event);
        break;
    }
}

void plant_init(struct plant *plant, const struct bench_config *config,
                const struct plant_hooks *hooks)
{
    plant->config = config;
    plant->hooks = *hooks;
    plant->modbus_overlaps = 0;
    memset(plant->boards, 0, sizeof plant->boards);
    witness_init(&plant->witness, config->board_count, on_event, plant);
    for (int r = 0; r < config->resource_count; r++) {
        int index = witness_add_resource(&plant->witness);
        for (int i = 0; i < config->resources[r].line_count; i++) {
            const struct bench_line_config *line = &config->resources[r].lines[i];
            (void)witness_add_line(&plant->witness, index, line->kind,
                                   (int64_t)line->hold_ms * NS_PER_MS);
        }
    }
}

void plant_set_level(struct plant *plant, int board, int resource, int line, bool level,
                     int64_t earliest_ns, int64_t latest_ns)
{
    witness_set_level(&plant->witness, board, resource, line, level, earliest_ns, latest_ns);
}

static void lines_to_power_on(struct plant *plant, int board, bool retained_too,
                              int64_t earliest_ns, int64_t latest_ns)
{
    for (int r = 0; r < plant->config->resource_count; r++)
        for (int i = 0; i < plant->config->resources[r].line_count; i++)
            if (retained_too || !plant->config->resources[r].lines[i].retain)
                witness_set_level(&plant->witness, board, r, i, false, earliest_ns, latest_ns);
}

/* What the contact shows at now_ns; *change_ns is when energising will change it, if it will. */
static bool contact_level(const struct plant *plant, int board, int resource, int line,
                          int64_t now_ns, int64_t *change_ns)
{
    const struct plant_contact *contact = &plant->boards[board].contacts[resource][line];
    int64_t energise_ns =
        (int64_t)plant->config->resources[resource].lines[line].energise_ms * NS_PER_MS;
    *change_ns = WITNESS_FOREVER;
    if (contact->force != WITNESS_FORCE_NONE)
        return contact->force == WITNESS_FORCE_ON;
    if (!witness_line_on(&plant->witness, board, resource, line))
        return false;
    if (now_ns - contact->on_since_ns >= energise_ns)
        return true;
    *change_ns = contact->on_since_ns + energise_ns;
    return false;
}

static void tell_contacts(struct plant *plant, int board, int64_t now_ns)
{
    struct plant_board *state = &plant->boards[board];
    for (int r = 0; state->guarded && r < plant->config->resource_count; r++) {
        const struct bench_resource_config *resource = &plant->config->resources[r];
        for (int i = 0; i < resource->line_count; i++) {
            int64_t change_ns = 0;
            bool level = contact_level(plant, board, r, i, now_ns, &change_ns);
            if (!resource->lines[i].readback || level == state->contacts[r][i].level)
                continue;
            state->contacts[r][i].level = level;
            plant->hooks.readback(plant->hooks.context, board, resource, &resource->lines[i],
                                  level);
        }
    }
}

void plant_join_guard(struct plant *plant, int board, int64_t at_ns)
{
    struct plant_board *state = &plant->boards[board];
    state->guarded = true;
    for (int r = 0; r < plant->config->resource_count; r++) {
        const struct bench_resource_config *resource = &plant->config->resources[r];
        for (int i = 0; i < resource->line_count; i++) {
            int64_t change_ns = 0;
            bool level = contact_level(plant, board, r, i, at_ns, &change_ns);
            state->contacts[r][i].level = level;
            if (resource->lines[i].readback)
                plant->hooks.readback(plant->hooks.context, board, resource, &resource->lines[i],
                                      level);
        }
    }
}

void plant_leave_guard(struct plant *plant, int board, int64_t earliest_ns, int64_t latest_ns)
{
    plant->boards[board].guarded = false;
    lines_to_power_on(plant, board, false, earliest_ns, latest_ns);
}

static void record_watchdog(struct plant *plant, int board, const char *what, int64_t at_ns)
{
    trace_write(&plant->trace, at_ns, "wd", ",\"board\":\"%s\",\"what\":\"%s\",\"timeout_ms\":%u",
                board_name(plant, board), what, plant->boards[board].wd_timeout_ms);
}

void plant_arm_watchdog(struct plant *plant, int board, uint32_t timeout_ms, int64_t at_ns)
{
    struct plant_board *state = &plant->boards[board];
    state->wd_armed = true;
    state->wd_timeout_ms = timeout_ms;
    state->wd_deadline_ns = at_ns + (int64_t)timeout_ms * NS_PER_MS;
    record_watchdog(plant, board, "arm", at_ns);
}

bool plant_feed_watchdog(struct plant *plant, int board, int64_t at_ns)
{
    struct plant_board *state = &plant->boards[board];
    if (state->wd_armed)
        state->wd_deadline_ns = at_ns + (int64_t)state->wd_timeout_ms * NS_PER_MS;
    return state->wd_armed;
}

void plant_stop_watchdog(struct plant *plant, int board, int64_t at_ns)
{
    if (plant->boards[board].wd_armed)
        record_watchdog(plant, board, "stop", at_ns);
    plant->boards[board].wd_armed = false;
}

void plant_reset_board(struct plant *plant, int board, const char *why, int64_t at_ns)
{
    struct plant_board *state = &plant->boards[board];
    state->wd_armed = false;
    state->guarded = false;
    state->reset_until_ns = at_ns + (int64_t)plant->config->reset_ms * NS_PER_MS;
    plant->hooks.reset(plant->hooks.context, board);
    lines_to_power_on(plant, board, true, at_ns, at_ns);
    trace_write(&plant->trace, at_ns, "reset", ",\"board\":\"%s\",\"why\":\"%s\"",
                board_name(plant, board), why);
}

void plant_force_relay(struct plant *plant, int board, int resource, int line,
                       enum witness_force force, int64_t at_ns)
{
    witness_set_force(&plant->witness, board, resource, line, force, at_ns);
}

void plant_force_readback(struct plant *plant, int board, int resource, int line,
                          enum witness_force force)
{
    plant->boards[board].contacts[resource][line].force = force;
}

void plant_set_watchdog_dead(struct plant *plant, int board, bool dead)
{
    plant->boards[board].wd_dead = dead;
}

static void check_writer(struct plant *plant, const struct plant_write *write, int64_t at_ns)
{
    int resource = write->actuator->resource;
    for (int other = 0; other < plant->config->board_count; other++) {
        if (other == write->board || !witness_drove_at(&plant->witness, other, resource, at_ns))
            continue;
        plant->modbus_overlaps++;
        trace_write(&plant->trace, at_ns, "overlap",
                    ",\"kind\":\"modbus\",\"resource\":\"%s\",\"board\":\"%s\",\"other\":\"%s\"",
                    resource_name(plant, resource), board_name(plant, write->board),
                    board_name(plant, other));
        fprintf(stderr, "overlap: %s: %s writes to %s while %s drives, at %" PRId64 " ns\n",
                resource_name(plant, resource), board_name(plant, write->board),
                write->actuator->name.text, board_name(plant, other), at_ns);
    }
}

void plant_record_write(struct plant *plant, const struct plant_write *write, int64_t at_ns)
{
    char values[1100] = "";
    size_t used = 0;
    for (int i = 0; i < write->count && used + 8 < sizeof values; i++)
        used += (size_t)snprintf(values + used, sizeof values - used, "%s%u", i ? "," : "",
                                 write->values[i]);
    trace_write(&plant->trace, at_ns, "modbus",
                ",\"actuator\":\"%s\",\"resource\":\"%s\",\"board\":\"%s\",\"function\":%d,"
                "\"register\":%d,\"count\":%d,\"values\":[%s],\"peer\":\"%s\","
                "\"received_ns\":%" PRId64,
                write->actuator->name.text, resource_name(plant, write->actuator->resource),
                board_name(plant, write->board), write->function, write->address, write->count,
                values, write->peer, write->received_ns);
    if (write->board >= 0 && write->actuator->resource >= 0)
        check_writer(plant, write, at_ns);
}

void plant_mark(struct plant *plant, const char *text, int64_t at_ns)
{
    char escaped[512];
    trace_escape(escaped, sizeof escaped, text);
    trace_write(&plant->trace, at_ns, "fault", ",\"text\":\"%s\"", escaped);
}

static void bite(struct plant *plant, int board, int64_t now_ns)
{
    struct plant_board *state = &plant->boards[board];
    state->wd_armed = false;
    record_watchdog(plant, board, state->wd_dead ? "dead" : "bite", state->wd_deadline_ns);
    /* The lines are on until the processes are really killed, however late the bench is. */
    if (!state->wd_dead)
        plant_reset_board(plant, board, "watchdog", now_ns);
}

void plant_advance(struct plant *plant, int64_t known_ns, int64_t now_ns)
{
    witness_advance(&plant->witness, known_ns);
    for (int b = 0; b < plant->config->board_count; b++)
        if (plant->boards[b].wd_armed && plant->boards[b].wd_deadline_ns <= known_ns)
            bite(plant, b, now_ns);
    for (int b = 0; b < plant->config->board_count; b++)
        tell_contacts(plant, b, known_ns);
}

int64_t plant_next_ns(const struct plant *plant)
{
    int64_t next_ns = witness_next_ns(&plant->witness);
    for (int b = 0; b < plant->config->board_count; b++) {
        const struct plant_board *state = &plant->boards[b];
        if (state->wd_armed && state->wd_deadline_ns < next_ns)
            next_ns = state->wd_deadline_ns;
        for (int r = 0; state->guarded && r < plant->config->resource_count; r++)
            for (int i = 0; i < plant->config->resources[r].line_count; i++) {
                int64_t change_ns = 0;
                if (!plant->config->resources[r].lines[i].readback || state->contacts[r][i].level)
                    continue;
                (void)contact_level(plant, b, r, i, INT64_MIN / 2, &change_ns);
                if (change_ns < next_ns)
                    next_ns = change_ns;
            }
    }
    return next_ns;
}

bool plant_failed(const struct plant *plant)
{
    return plant->witness.overlaps > 0 || plant->modbus_overlaps > 0 || plant->trace.failed;
}
