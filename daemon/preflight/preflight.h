/*
 * Looks at a board before it is trusted: what its watchdog, kernel, clock, limits and lines mean for
 * the fence latency F that its configuration declares.
 *
 * Owner: holdfastctl; blocking.
 */
#ifndef HOLDFAST_PREFLIGHT_PREFLIGHT_H
#define HOLDFAST_PREFLIGHT_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "preflight/finding.h"
#include "preflight/system.h"

enum { PREFLIGHT_SECONDS = 10, PREFLIGHT_SECONDS_MAX = 3600 };

struct preflight {
    const struct conf *conf;
    const struct preflight_system *system;
    uint32_t seconds; /* of wake-ups, 0: none */
    bool try_lines;
    bool try_watchdog;
    struct findings *findings;
};

/* Every check, in the order in which they are told. Blocks for `seconds` and a little more. */
void preflight_run(const struct preflight *preflight);

/* One check each; what they add is theirs to say. */
void check_watchdog(const struct preflight *preflight);
void check_service(const struct preflight *preflight);
void check_folders(const struct preflight *preflight);
void check_lines(const struct preflight *preflight);
void check_machine(const struct preflight *preflight);
void check_limits(const struct preflight *preflight);
void check_clock(const struct preflight *preflight);
void check_wake_ups(const struct preflight *preflight);

/* The file's text without the newline behind it, cut. False: can't be read. */
bool preflight_read(const struct preflight *preflight, const char *path, char *text, size_t size);

/* The number in the file; `otherwise` if there is none. */
int64_t preflight_number(const struct preflight *preflight, const char *path, int64_t otherwise);

/* An output of kind gpio is configured, whose F covers what `covers` says. */
bool preflight_has_level(const struct preflight *preflight, enum conf_covers covers);

/* The smallest release_ms of the resources; UINT32_MAX without any. */
uint32_t preflight_release_ms(const struct preflight *preflight);

#endif
