/*
 * A guard and whatever an agent, a plant and the clock may do: an output is told on only while its
 * resource drives under a permit that was sent, before that permit's deadline, for an agent that is
 * there.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "guard/guard.h"

enum { PLAIN, PULSE, RESOURCES };
enum { TTL_MS = 1000, STEP_BYTES = 8, RAW_MESSAGE = 7 };

static struct guard guard;
static struct guard_effects effects;
static struct instant now;
static bool level[RESOURCES];
static int64_t permitted_us[RESOURCES]; /* the furthest deadline that any permit named */

static void apply(void)
{
    for (uint8_t i = 0; i < RESOURCES; i++) {
        bool was = level[i];
        if (effects.set_mask[i] & 1)
            level[i] = (effects.level_mask[i] & 1) != 0;
        /* A plain output drives by its level; a pulse output by its edges, and is off in silence. */
        bool drives = i == PULSE ? level[i] != was : level[i];
        if (!drives)
            continue;
        HF_CHECK(guard.agent && guard.resource[i].state == GUARD_DRIVING);
        HF_CHECK(instant_before(now, guard.resource[i].deadline));
        HF_CHECK(guard.resource[i].deadline.us <= permitted_us[i]);
    }
    HF_CHECK(effects.change_count <= GUARD_CHANGES_MAX);
}

static void step(const struct guard_input *input)
{
    guard_step(&guard, now, input, &effects);
    apply();
    for (uint8_t i = 0; i < RESOURCES; i++) {
        struct guard_message status;
        guard_status(&guard, i, &status);
        HF_CHECK(guard_message_check(&status, sizeof(status)) == NULL);
    }
}

static void start(void)
{
    static const struct guard_output_config outputs[RESOURCES] = {
        [PLAIN] = { GUARD_OUTPUT_GPIO, 0, { 0 }, true, { 5000 } },
        [PULSE] = { GUARD_OUTPUT_PULSE, 500, { 20000 }, false, { 0 } },
    };
    struct guard_config config;
    memset(&config, 0, sizeof(config));
    HF_CHECK(name_from_string(&config.node, "board-a"));
    config.status_interval = span_from_ms(GUARD_STATUS_INTERVAL_MS);
    config.has_watchdog = true;
    config.watchdog_timeout = span_from_ms(2000);
    config.resource_count = RESOURCES;
    for (int i = 0; i < RESOURCES; i++) {
        HF_CHECK(name_from_string(&config.resource[i].name, i == PLAIN ? "pump" : "valve"));
        config.resource[i].ttl = span_from_ms(TTL_MS);
        config.resource[i].release = span_from_ms(5);
        config.resource[i].output_count = 1;
        config.resource[i].output[0] = outputs[i];
    }
    memset(level, 0, sizeof(level));
    memset(permitted_us, 0, sizeof(permitted_us));
    now = (struct instant){ 1000000 };
    guard_init(&guard, &config);
    guard_start(&guard, now, &effects);
    apply();
}

/* A message as the socket would take it in: checked first, and only from an agent. */
static void send_message(const struct guard_message *message)
{
    if (!guard.agent || guard_message_check(message, sizeof(*message)) != NULL)
        return;
    if (message->kind != GUARD_PERMIT && message->kind != GUARD_DROP &&
        message->kind != GUARD_CLEAR_FAULT && message->kind != GUARD_TERMS)
        return;
    for (int i = 0; i < RESOURCES; i++) {
        if (message->kind == GUARD_PERMIT &&
            name_equal(&message->name, &guard.config.resource[i].name) &&
            message->deadline_us > permitted_us[i])
            permitted_us[i] = message->deadline_us;
    }
    struct guard_input input = { .kind = GUARD_INPUT_MESSAGE, .message = message };
    step(&input);
}

static void make_message(const uint8_t *at)
{
    struct guard_message message;
    guard_message_init(&message, (enum guard_message_kind)(GUARD_PERMIT + at[3] % 4));
    HF_CHECK(name_from_string(&message.name, at[2] & 1 ? "pump" : at[2] & 2 ? "valve" : "other"));
    message.token = at[4];
    message.deadline_us = now.us + ((int64_t)at[5] - 16) * 5000;
    send_message(&message);
}

/* How many of the `size` bytes are used up. */
static size_t play(const uint8_t *at, size_t size)
{
    static const enum guard_input_kind plain[] = { GUARD_INPUT_TICK,       GUARD_INPUT_AGENT_UP,
                                                   GUARD_INPUT_AGENT_LOST, GUARD_INPUT_READBACK,
                                                   GUARD_INPUT_IO_ERROR,   GUARD_INPUT_CLOCK,
                                                   GUARD_INPUT_SLEPT,      GUARD_INPUT_STOP };
    if (at[0] % 16 == 15)
        now.us = now.us > 100000 ? now.us - at[1] * 100 : now.us;
    else
        now.us += (int64_t)at[1] * at[1];
    if (at[6] % 16 == RAW_MESSAGE && size >= STEP_BYTES + sizeof(struct guard_message)) {
        struct guard_message message;
        memcpy(&message, at + STEP_BYTES, sizeof(message));
        send_message(&message);
        return STEP_BYTES + sizeof(message);
    }
    if (at[6] & 8) {
        make_message(at);
    } else {
        struct guard_input input = { .kind = plain[at[6] % 8],
                                     .resource = at[2] % RESOURCES,
                                     .on = (at[3] & 1) != 0 };
        if (input.kind == GUARD_INPUT_READBACK)
            input.resource = PLAIN; /* the only one with a readback */
        step(&input);
    }
    return STEP_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start();
    for (size_t at = 0; at + STEP_BYTES <= size;)
        at += play(data + at, size - at);
    return 0;
}
