#include "conf/terms.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/load.h"
#include "conf/ms.h"

enum { TERMS_LINE_MAX = 512 };

static uint64_t add_line(uint64_t hash, const char *what, const struct conf_line *line)
{
    char text[TERMS_LINE_MAX];
    snprintf(text, sizeof(text), "/%s %s %" PRIu32 " %s", what, line->chip, line->line, line->name);
    return conf_digest_add(hash, text);
}

static uint64_t add_output(uint64_t hash, const struct conf_output *output)
{
    char text[TERMS_LINE_MAX];
    snprintf(text, sizeof(text), "/output %s %d %d %" PRIu32 " %" PRIu32 " %d %" PRIu32,
             output->name.text, (int)output->kind, (int)output->active_low, output->rate_hz,
             output->hold_ms, (int)output->covers, output->reset_ms);
    hash = add_line(conf_digest_add(hash, text), "line", &output->line);
    if (!output->has_readback)
        return hash;
    snprintf(text, sizeof(text), "/within %" PRIu32 " %d %d", output->readback_within_ms,
             (int)output->readback_active_low, (int)output->readback_bias);
    return add_line(conf_digest_add(hash, text), "readback", &output->readback);
}

struct guard_terms conf_terms(const struct conf *conf, const struct conf_resource *resource)
{
    char text[TERMS_LINE_MAX];
    uint64_t hash = conf_digest_add(CONF_DIGEST_START, resource->name.text);
    for (uint8_t i = 0; i < resource->output_count; i++)
        hash = add_output(hash, &resource->output[i]);
    snprintf(text, sizeof(text), "/watchdog %d %s %" PRIu32 " %d", (int)conf->has_watchdog,
             conf->watchdog_device, conf->watchdog_timeout_ms, (int)conf->watchdog_close_pings);
    return (struct guard_terms){
        .ttl_us = span_from_ms(resource->ttl_ms).us,
        .release_us = span_from_ms(resource->release_ms).us,
        .fence_us = resource->fence.us,
        .digest = conf_digest_add(hash, text),
    };
}

const char *conf_terms_differ(char text[CONF_TERMS_TEXT_MAX + 1], const struct guard_terms *guard,
                              const struct guard_terms *agent)
{
    const struct {
        const char *what;
        int64_t guard_us;
        int64_t agent_us;
    } times[] = {
        { "fence latency", guard->fence_us, agent->fence_us },
        { "ttl", guard->ttl_us, agent->ttl_us },
        { "release time", guard->release_us, agent->release_us },
    };
    const size_t size = CONF_TERMS_TEXT_MAX + 1;
    text[0] = '\0';
    if (guard_terms_equal(guard, agent))
        return text;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (times[i].guard_us == times[i].agent_us)
            continue;
        snprintf(text, size,
                 "%s is %s ms by the guard's configuration, %s ms by the agent's: "
                 "restart both with one file",
                 times[i].what, conf_ms(span_from_us(times[i].guard_us)).text,
                 conf_ms(span_from_us(times[i].agent_us)).text);
        return text;
    }
    snprintf(text, size,
             "outputs or watchdog are configured otherwise at the guard (digest %016" PRIx64
             ") than at the agent (%016" PRIx64 "): restart both with one file",
             guard->digest, agent->digest);
    return text;
}

static uint64_t line_digest(const struct conf_output *output)
{
    char text[CONF_LINE_TEXT_MAX + 1];
    uint64_t digest = conf_digest_add(CONF_DIGEST_START, output->active_low ? "low " : "high ");
    return conf_digest_add(digest, conf_line_text(&output->line, text));
}

uint64_t conf_level_lines(const struct conf *conf)
{
    uint64_t digest = 0;
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *resource = &conf->resource[i];
        for (uint8_t number = 0; number < resource->output_count; number++) {
            const struct conf_output *output = &resource->output[number];
            if (output->kind == CONF_OUTPUT_GPIO && output->covers == CONF_COVERS_KERNEL)
                digest += line_digest(output);
        }
    }
    return digest;
}
