#include "board.h"

#include <string.h>

#include "conf/terms.h"
#include "log/log.h"

static void output_config(const struct conf_output *from, struct guard_output_config *to)
{
    to->kind = from->kind == CONF_OUTPUT_PULSE ? GUARD_OUTPUT_PULSE : GUARD_OUTPUT_GPIO;
    to->rate_hz = from->rate_hz;
    to->hold = span_from_ms(from->hold_ms);
    to->has_readback = from->has_readback;
    to->within = span_from_ms(from->readback_within_ms);
}

void board_guard_config(const struct conf *conf, struct guard_config *config)
{
    memset(config, 0, sizeof(*config));
    config->node = conf->node_id;
    config->status_interval = span_from_ms(GUARD_STATUS_INTERVAL_MS);
    config->drift_ppm = conf->drift_ppm;
    config->has_watchdog = conf->has_watchdog;
    config->watchdog_timeout = span_from_ms(conf->watchdog_timeout_ms);
    config->resource_count = conf->resource_count;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *from = &conf->resource[i];
        struct guard_resource_config *to = &config->resource[i];
        to->name = from->name;
        to->ttl = span_from_ms(from->ttl_ms);
        to->release = span_from_ms(from->release_ms);
        to->output_count = from->output_count;
        for (uint8_t number = 0; number < from->output_count; number++)
            output_config(&from->output[number], &to->output[number]);
        to->terms = conf_terms(conf, from);
    }
}

static bool board_open_hal(struct board *board, const struct platform *platform,
                           const struct conf *conf)
{
    enum hal_result result = platform->open_hal(platform->context, conf, &board->hal);
    board->hal_open = result == HAL_OK;
    if (result != HAL_OK)
        log_line(LOG_ERR, "hal %s %s: %s", hal_backend_name(conf->hal), conf->hal_socket,
                 hal_result_name(result));
    return board->hal_open;
}

static void log_refusal(const struct board *board, const struct conf_resource *resource,
                        const char *what, const struct conf_output *output,
                        const struct conf_line *line, enum hal_result result)
{
    char text[CONF_LINE_TEXT_MAX + 1];
    const char *why = board->hal.why(board->hal.context);
    log_line(LOG_ERR, "%s: %s %s (%s): %s%s%s", resource->name.text, what, output->name.text,
             conf_line_text(line, text), hal_result_name(result), why[0] != '\0' ? ": " : "", why);
}

static bool board_open_readback(struct board *board, const struct conf_resource *resource,
                                const struct conf_output *output, struct hal_line **line)
{
    const struct hal_line_config config = conf_hal_readback(resource, output);
    int64_t edge_us;
    enum hal_result result = board->hal.output->open_input(board->hal.context, &config, line);
    if (result != HAL_OK) {
        log_refusal(board, resource, "readback of", output, &output->readback, result);
        return false;
    }
    if (!board->hal.output->edges(*line, &edge_us) && board->hal.fd >= 0)
        log_line(LOG_INFO, "%s: readback of %s: no edges from its chip, it is polled",
                 resource->name.text, output->name.text);
    return true;
}

/*
 * F = 0 counts on a chip that lets go of a line when its owner dies. So it is tried once, at the
 * level that means off; to the kernel, a line that is closed and one whose owner died are the same.
 */
static bool board_lets_go(const struct board *board, const struct conf_resource *resource,
                          const struct conf_output *output)
{
    const struct hal_output_ops *ops = board->hal.output;
    const struct hal_line_config config = conf_hal_output(resource, output);
    struct hal_line_facts facts;
    struct hal_line *line = NULL;
    if (output->kind != CONF_OUTPUT_GPIO || output->covers != CONF_COVERS_PROCESS ||
        ops->open_output(board->hal.context, &config, &line) != HAL_OK)
        return true; /* a line that can't be opened is told by who needs it */
    ops->close(line);
    if (ops->look(board->hal.context, &config, &facts) != HAL_OK || facts.used || !facts.output)
        return true;
    log_line(
        LOG_ERR,
        "%s: output %s (%s [%s] line %u): stays driven after its owner died, but covers = "
        "\"process\" reckons with F = 0: say covers = \"kernel\" with a watchdog, or make it a "
        "pulse",
        resource->name.text, output->name.text, facts.chip, facts.label, (unsigned)facts.line);
    return false;
}

static bool board_open_output(struct board *board, const struct conf_resource *resource,
                              const struct conf_output *output, struct board_resource *to)
{
    const struct hal_line_config config = conf_hal_output(resource, output);
    struct hal_line *line = NULL;
    if (!board_lets_go(board, resource, output))
        return false;
    enum hal_result result = board->hal.output->open_output(board->hal.context, &config, &line);
    if (result != HAL_OK) {
        log_refusal(board, resource, "output", output, &output->line, result);
        return false;
    }
    uint8_t number = to->output_count++;
    to->output[number] = line;
    to->name[number] = output->name;
    to->readback[number] = NULL;
    return !output->has_readback ||
           board_open_readback(board, resource, output, &to->readback[number]);
}

bool board_must_poll(const struct board *board)
{
    int64_t edge_us;
    for (uint8_t i = 0; i < board->resource_count; i++) {
        const struct board_resource *resource = &board->resource[i];
        for (uint8_t number = 0; number < resource->output_count; number++) {
            if (resource->readback[number] != NULL &&
                !board->hal.output->edges(resource->readback[number], &edge_us))
                return true;
        }
    }
    return false;
}

bool board_open(struct board *board, const struct platform *platform, const struct conf *conf)
{
    if (!board_open_hal(board, platform, conf))
        return false;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *resource = &conf->resource[i];
        board->resource_count = (uint8_t)(i + 1);
        for (uint8_t number = 0; number < resource->output_count; number++) {
            if (!board_open_output(board, resource, &resource->output[number], &board->resource[i]))
                return false;
        }
    }
    return true;
}

bool board_arm_watchdog(struct board *board, const struct conf *conf)
{
    uint32_t actual_ms = 0;
    if (!conf->has_watchdog)
        return true;
    enum hal_result result = board->hal.watchdog->arm(board->hal.context, conf->watchdog_device,
                                                      conf->watchdog_timeout_ms, &actual_ms);
    const char *why = board->hal.why(board->hal.context);
    if (result != HAL_OK) {
        log_line(LOG_ERR, "watchdog %s: timeout %u ms: %s%s%s", conf->watchdog_device,
                 (unsigned)conf->watchdog_timeout_ms, hal_result_name(result),
                 why[0] != '\0' ? ": " : "", why);
        return false;
    }
    board->watchdog_armed = true;
    board->watchdog_ms = actual_ms;
    /* The fence latency was reckoned with the configured time, so a longer one is unsafe. */
    if (actual_ms > conf->watchdog_timeout_ms) {
        log_line(LOG_ERR, "watchdog %s: counts %u ms, configured are %u ms: configure what it can",
                 conf->watchdog_device, (unsigned)actual_ms, (unsigned)conf->watchdog_timeout_ms);
        return false;
    }
    log_line(LOG_INFO, "watchdog %s%s%s: %u ms are in force", conf->watchdog_device,
             why[0] != '\0' ? " " : "", why, (unsigned)actual_ms);
    return true;
}

void board_all_off(struct board *board)
{
    for (uint8_t i = 0; i < board->resource_count; i++) {
        for (uint8_t number = 0; number < board->resource[i].output_count; number++)
            (void)board->hal.output->set(board->resource[i].output[number], false);
    }
}

void board_close(struct board *board)
{
    if (!board->hal_open)
        return;
    for (uint8_t i = 0; i < board->resource_count; i++) {
        struct board_resource *resource = &board->resource[i];
        for (uint8_t number = 0; number < resource->output_count; number++) {
            board->hal.output->close(resource->output[number]);
            if (resource->readback[number] != NULL)
                board->hal.output->close(resource->readback[number]);
        }
    }
    board->hal.close(&board->hal);
    board->hal_open = false;
}
