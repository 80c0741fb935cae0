#include "agent/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guard_link.h"
#include "agent/hooks.h"
#include "agent/lease_log.h"
#include "agent/tokens.h"
#include "conf/terms.h"
#include "files/safe_file.h"
#include "hal/clock.h"
#include "hal/hal.h"
#include "log/log.h"
#include "log/quota.h"

enum { AGENT_SLEPT_US = 10000 }; /* more than this between two looks is sleep, not rounding */

struct agent {
    struct agent_config config;
    struct holder holder;
    struct holder_output output;
    struct guard_link guard;
    struct lease_log lease_log;
    struct tokens tokens;
    struct agent_guard_view view[HF_LEASES_PER_AGENT_MAX];
    uv_timer_t timer;
    struct span slept;
    struct log_quota changes;                              /* lines on transitions, by resource */
    struct log_quota refusals;                             /* and on what issuers say, likewise */
    char held[HF_LEASES_PER_AGENT_MAX][HF_REASON_MAX + 1]; /* why, as the log has it */
    bool on_board; /* `hal` is open: this process is one of the board's */
    struct hal hal;
    uv_poll_t hal_poll;
};

static void agent_step(struct agent *agent, const struct holder_event *event);

static void agent_timer(uv_timer_t *timer)
{
    struct holder_event event = { .kind = HOLDER_EVENT_TIMER };
    agent_step(timer->data, &event);
}

static void agent_arm(struct agent *agent, struct instant wake_at)
{
    if (wake_at.us == INSTANT_NEVER.us) {
        uv_timer_stop(&agent->timer);
        return;
    }
    int64_t left_us = instant_diff(wake_at, hal_clock_now()).us;
    uint64_t left_ms = left_us <= 0 ? 0 : (uint64_t)(left_us + 999) / 1000;
    uv_update_time(agent->config.loop);
    uv_timer_start(&agent->timer, agent_timer, left_ms, 0);
}

static void agent_hook(struct agent *agent, const struct holder_action *action, bool acquired)
{
    const char *event = acquired ? "acquired" : "lost";
    log_line(LOG_NOTICE, "%s: %s, token %" PRIu64 "%s%s", action->resource.text, event,
             action->token, action->reason != NULL ? ": " : "",
             action->reason != NULL ? action->reason : "");
    const struct conf *conf = agent->config.conf;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *resource = &conf->resource[i];
        const char *program = acquired ? resource->on_acquired : resource->on_lost;
        if (name_equal(&resource->name, &action->resource) && program[0] != '\0')
            hooks_run(agent->config.loop, program, resource->name.text, action->token, event);
    }
}

/* `now` is the instant by which the holder has decided, and by which it counts what it sends. */
static void agent_act(struct agent *agent, const struct holder_action *action, struct instant now)
{
    switch (action->kind) {
    case HOLDER_SEND:
        lease_log_issuer(&agent->lease_log, now, &action->node, &action->message);
        (void)agent->config.send_to_issuer(agent->config.context, &action->node, &action->message);
        return;
    case HOLDER_GUARD:
        lease_log_guard(&agent->lease_log, now, &action->guard);
        guard_link_send(&agent->guard, &action->guard);
        return;
    case HOLDER_ACQUIRED:
        agent_hook(agent, action, true);
        return;
    case HOLDER_LOST_HOOK:
        agent_hook(agent, action, false);
        return;
    }
}

/* The others' acquires, too, change what an issuer says to this board, so that has a quota as well. */
static bool agent_may_tell(struct agent *agent, const struct hf_name *resource)
{
    static const struct log_quota_rule rule = { .burst = 8, .each_ms = 20000 };
    return log_quota_admit(&agent->refusals, &rule, resource, uv_now(agent->config.loop));
}

static void agent_log_held_back(struct agent *agent)
{
    uint64_t now_ms = uv_now(agent->config.loop);
    struct hf_name resource;
    uint32_t held;
    while ((held = log_quota_collect(&agent->changes, now_ms, &resource)) > 0)
        log_line(LOG_INFO, "%s: %" PRIu32 " more changes of its state, not logged", resource.text,
                 held);
    while ((held = log_quota_collect(&agent->refusals, now_ms, &resource)) > 0)
        log_line(LOG_WARNING, "%s: %" PRIu32 " more words of issuers on it, not logged",
                 resource.text, held);
}

/* A resource may flap in a loop, so each has a quota of lines. */
static void agent_log_changes(struct agent *agent)
{
    static const struct log_quota_rule rule = { .burst = 30, .each_ms = 5000 };
    uint64_t now_ms = uv_now(agent->config.loop);
    for (size_t i = 0; i < agent->output.change_count; i++) {
        const struct holder_change *change = &agent->output.change[i];
        const struct holder_lease *lease = holder_lease_of(&agent->holder, &change->resource);
        char token[32] = "";
        if (lease != NULL && lease->token != 0)
            snprintf(token, sizeof(token), " (token %" PRIu64 ")", lease->token);
        if (log_quota_admit(&agent->changes, &rule, &change->resource, now_ms))
            log_line(LOG_INFO, "%s: %s -%s-> %s%s%s%s", change->resource.text,
                     holder_state_name(change->from), holder_input_name(change->input),
                     holder_state_name(change->to), token, change->reason != NULL ? ": " : "",
                     change->reason != NULL ? change->reason : "");
    }
}

static void agent_step_once(struct agent *agent, const struct holder_event *event)
{
    struct instant now = hal_clock_now();
    holder_step(&agent->holder, event, now, &agent->output);
    for (size_t i = 0; i < agent->output.count; i++)
        agent_act(agent, &agent->output.action[i], now);
    agent_log_held_back(agent);
    agent_log_changes(agent);
    tokens_note(&agent->tokens, &agent->holder);
    agent_arm(agent, agent->output.wake_at);
}

/* The raw clock does not count sleep, so a sleep is looked for before anything is decided. */
static void agent_step(struct agent *agent, const struct holder_event *event)
{
    struct span slept = hal_clock_slept();
    if (slept.us - agent->slept.us > AGENT_SLEPT_US) {
        struct holder_event sleep = { .kind = HOLDER_EVENT_SLEPT };
        log_line(LOG_ERR, "board slept for %" PRId64 " ms: leases are lost",
                 span_to_ms(span_sub(slept, agent->slept)));
        agent->slept = slept;
        lease_log_event(&agent->lease_log, hal_clock_now(), "slept");
        agent_step_once(agent, &sleep);
    }
    agent_step_once(agent, event);
}

void agent_link(struct agent *agent, const struct hf_name *issuer, bool up)
{
    struct holder_event event = { .kind = up ? HOLDER_EVENT_LINK_UP : HOLDER_EVENT_LINK_DOWN,
                                  .node = *issuer };
    agent_step(agent, &event);
}

/* Once for each reason, not each time that it asks. */
static void agent_note_held(struct agent *agent, const struct lease_message *message)
{
    const struct conf *conf = agent->config.conf;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        if (!name_equal(&conf->resource[i].name, &message->resource) ||
            strcmp(agent->held[i], message->text) == 0)
            continue;
        text_copy(agent->held[i], sizeof(agent->held[i]), message->text);
        if (agent_may_tell(agent, &message->resource))
            log_line(LOG_WARNING, "%s: %s", message->resource.text,
                     message->text[0] != '\0' ? message->text : "held no longer");
    }
}

void agent_receive(struct agent *agent, const struct hf_name *issuer,
                   const struct lease_message *message)
{
    struct holder_event event = { .kind = HOLDER_EVENT_MESSAGE,
                                  .node = *issuer,
                                  .message = message };
    if (message->kind == LEASE_REFUSED && !name_empty(&message->resource) &&
        agent_may_tell(agent, &message->resource))
        log_line(LOG_WARNING, "%s: refused by %s: %s", message->resource.text, issuer->text,
                 message->text);
    if (message->kind == LEASE_QUEUED)
        agent_note_held(agent, message);
    lease_log_issuer(&agent->lease_log, hal_clock_now(), issuer, message);
    agent_step(agent, &event);
}

static void agent_guard_up_event(void *context)
{
    struct holder_event event = { .kind = HOLDER_EVENT_GUARD_UP };
    agent_step(context, &event);
}

static void agent_guard_down_event(void *context)
{
    struct agent *agent = context;
    struct holder_event event = { .kind = HOLDER_EVENT_GUARD_DOWN };
    for (size_t i = 0; i < HF_LEASES_PER_AGENT_MAX; i++)
        agent->view[i].known = false;
    lease_log_event(&agent->lease_log, hal_clock_now(), "guard lost");
    agent_step(agent, &event);
}

/* One line for each time that a guard shows itself to be configured otherwise. */
static void agent_note_terms(struct agent_guard_view *view, const struct guard_message *status,
                             const struct guard_terms *own)
{
    bool told = view->known && view->mismatch;
    view->mismatch = !guard_terms_equal(&status->terms, own);
    if (view->mismatch && !told) {
        char text[CONF_TERMS_TEXT_MAX + 1];
        log_line(LOG_ERR, "%s: guard not used: %s", status->name.text,
                 conf_terms_differ(text, &status->terms, own));
    }
}

static void agent_note_status(struct agent *agent, const struct guard_message *message)
{
    const struct conf *conf = agent->config.conf;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        struct agent_guard_view *view = &agent->view[i];
        if (!name_equal(&conf->resource[i].name, &message->name))
            continue;
        if (message->fault != GUARD_FAULT_NONE && (!view->known || view->status.fault == 0))
            log_line(LOG_ERR, "%s: guard fault: %s%s", message->name.text,
                     guard_fault_name((enum guard_fault)message->fault),
                     message->fault_kept != 0 ? ", from before its start" : "");
        agent_note_terms(view, message, &agent->holder.config.resource[i].terms);
        view->status = *message;
        view->known = true;
    }
}

static void agent_note_refusal(const struct guard_message *message)
{
    const char *why = guard_refusal_name((enum guard_refusal)message->refusal);
    /* That its terms differ is told from its status: agent_note_terms(). */
    if (message->refusal == GUARD_REFUSED_TERMS)
        return;
    if (message->token == 0)
        log_line(LOG_ERR, "%s: guard not used: %s: restart both with one file", message->name.text,
                 why);
    else
        log_line(LOG_WARNING, "%s: permit %" PRIu64 " refused by the guard: %s", message->name.text,
                 message->token, why);
}

static void agent_guard_message(void *context, const struct guard_message *message)
{
    struct agent *agent = context;
    struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = message };
    if (message->kind == GUARD_STATUS)
        agent_note_status(agent, message);
    if (message->kind == GUARD_REFUSED)
        agent_note_refusal(message);
    lease_log_guard(&agent->lease_log, hal_clock_now(), message);
    agent_step(agent, &event);
}

bool agent_clear_fault(struct agent *agent, const struct hf_name *resource)
{
    const struct conf *conf = agent->config.conf;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        if (!name_equal(&conf->resource[i].name, resource))
            continue;
        struct holder_event event = { .kind = HOLDER_EVENT_CLEAR_FAULT, .resource = *resource };
        agent_step(agent, &event);
        return true;
    }
    return false;
}

static void agent_configure(const struct agent_config *own, struct holder_config *config)
{
    const struct conf *conf = own->conf;
    memset(config, 0, sizeof(*config));
    config->self = conf->node_id;
    config->drift_ppm = conf->drift_ppm;
    config->guard_silence = own->guard_silence;
    config->nonce_start = own->nonce_start;
    config->resource_count = conf->resource_count;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *from = &conf->resource[i];
        struct holder_resource_config *to = &config->resource[i];
        to->resource = from->name;
        to->ttl = span_from_ms(from->ttl_ms);
        to->fence = from->fence;
        to->release = span_from_ms(from->release_ms);
        to->priority = from->priority;
        to->terms = conf_terms(conf, from);
        to->failback_auto = from->failback == CONF_FAILBACK_AUTO;
        text_copy(to->address, sizeof(to->address), conf->has_gateway ? conf->gateway_listen : "");
    }
}

static void agent_hal_readable(uv_poll_t *poll, int status, int events)
{
    struct agent *agent = poll->data;
    (void)events;
    if (status >= 0 && agent->hal.service(agent->hal.context) == HAL_OK)
        return;
    log_line(LOG_WARNING, "bench: connection lost");
    uv_poll_stop(poll);
}

/* A watchdog resets the whole board; a simulated one must know this process for that. */
static bool agent_join_board(struct agent *agent)
{
    struct hal_board board = conf_hal_board(agent->config.conf, "agent");
    enum hal_result result = hal_open(&agent->hal, &board);
    if (result != HAL_OK) {
        log_line(LOG_ERR, "hal %s %s: %s", hal_backend_name(board.backend), board.socket,
                 hal_result_name(result));
        return false;
    }
    agent->on_board = true;
    if (agent->hal.fd < 0)
        return true;
    uv_poll_init(agent->config.loop, &agent->hal_poll, agent->hal.fd);
    agent->hal_poll.data = agent;
    uv_poll_start(&agent->hal_poll, UV_READABLE, agent_hal_readable);
    return true;
}

/*
 * Two agents of one board would take each other's lease for a leftover. The kernel gives the lock
 * back when this process ends, however it ends.
 */
static bool agent_lock(const char *run_dir)
{
    char path[CONF_PATH_MAX + 16];
    char error[SAFE_FILE_TEXT_MAX];
    (void)mkdir(run_dir, 0755); /* If it can't be made, safe_folder() says so. */
    snprintf(path, sizeof(path), "%s/agent.lock", run_dir);
    if (safe_folder(run_dir, false, error, sizeof(error)) &&
        safe_file_lock(path, "in use: another holdfastd is the agent of this board", error,
                       sizeof(error)) >= 0)
        return true; /* The descriptor is the process's until its end. */
    log_line(LOG_ERR, "%s", error);
    return false;
}

struct agent *agent_start(const struct agent_config *config)
{
    struct agent *agent = calloc(1, sizeof(*agent));
    const struct conf *conf = config->conf;
    struct holder_config holder;
    if (agent == NULL) {
        log_line(LOG_ERR, "agent: out of memory");
        return NULL;
    }
    agent->config = *config;
    agent->slept = hal_clock_slept();
    if (!agent_lock(conf->run_dir) || !agent_join_board(agent)) {
        free(agent);
        return NULL;
    }
    agent_configure(config, &holder);
    tokens_open(&agent->tokens, config->loop, conf, &holder);
    holder_init(&agent->holder, &holder, hal_clock_now());
    lease_log_open(&agent->lease_log, conf, hal_clock_now());
    uv_timer_init(config->loop, &agent->timer);
    agent->timer.data = agent;
    agent->guard.context = agent;
    agent->guard.on_up = agent_guard_up_event;
    agent->guard.on_down = agent_guard_down_event;
    agent->guard.on_message = agent_guard_message;
    guard_link_start(&agent->guard, config->loop, conf->run_dir);
    return agent;
}

void agent_stop(struct agent *agent)
{
    guard_link_stop(&agent->guard);
    lease_log_close(&agent->lease_log, hal_clock_now());
    uv_close((uv_handle_t *)&agent->timer, NULL);
    if (agent->on_board && agent->hal.fd >= 0) {
        uv_poll_stop(&agent->hal_poll);
        uv_close((uv_handle_t *)&agent->hal_poll, NULL);
    }
    if (agent->on_board)
        agent->hal.close(&agent->hal);
}

const struct holder *agent_holder(const struct agent *agent)
{
    return &agent->holder;
}

const struct agent_guard_view *agent_guard(const struct agent *agent, size_t resource)
{
    return &agent->view[resource];
}

bool agent_guard_up(const struct agent *agent)
{
    return guard_link_up(&agent->guard);
}
