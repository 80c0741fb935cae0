#include "preflight/preflight.h"

#include <stdlib.h>
#include <string.h>

bool preflight_read(const struct preflight *preflight, const char *path, char *text, size_t size)
{
    const struct hal_files *files = &preflight->system->files;
    text[0] = '\0';
    if (!files->read(files->context, path, text, size))
        return false;
    text[strcspn(text, "\n")] = '\0';
    return true;
}

int64_t preflight_number(const struct preflight *preflight, const char *path, int64_t otherwise)
{
    char text[32];
    char *end = text;
    if (!preflight_read(preflight, path, text, sizeof(text)))
        return otherwise;
    long long number = strtoll(text, &end, 0);
    return end != text ? number : otherwise;
}

bool preflight_has_level(const struct preflight *preflight, enum conf_covers covers)
{
    for (unsigned i = 0; i < preflight->conf->resource_count; i++) {
        const struct conf_resource *resource = &preflight->conf->resource[i];
        for (unsigned number = 0; number < resource->output_count; number++) {
            const struct conf_output *output = &resource->output[number];
            if (output->kind == CONF_OUTPUT_GPIO && output->covers == covers)
                return true;
        }
    }
    return false;
}

uint32_t preflight_release_ms(const struct preflight *preflight)
{
    uint32_t smallest_ms = UINT32_MAX;
    for (unsigned i = 0; i < preflight->conf->resource_count; i++) {
        uint32_t release_ms = preflight->conf->resource[i].release_ms;
        if (release_ms < smallest_ms)
            smallest_ms = release_ms;
    }
    return smallest_ms;
}

void preflight_run(const struct preflight *preflight)
{
    if (preflight->conf->resource_count == 0) {
        finding_add(preflight->findings, FINDING_NOTE, "agent", "",
                    "none here: nothing is driven, and no fence latency declared");
        check_clock(preflight);
        return;
    }
    if (preflight->conf->hal == HAL_SIM) {
        finding_add(preflight->findings, FINDING_NOTE, "hal", "",
                    "a simulated board: its lines and its watchdog are the bench's");
    } else {
        check_watchdog(preflight);
        check_service(preflight);
        check_lines(preflight);
    }
    check_folders(preflight);
    check_machine(preflight);
    check_limits(preflight);
    check_clock(preflight);
    check_wake_ups(preflight);
}
