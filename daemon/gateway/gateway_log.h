/*
 * Log lines on stderr, and a brake on lines that repeat.
 *
 * Owner: gateway_log() any thread; a struct gateway_brake belongs to whoever locks it.
 */
#ifndef HOLDFAST_GATEWAY_LOG_H
#define HOLDFAST_GATEWAY_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

/* Writes one line, at most 400 bytes of it, to stderr in one write. May block as stderr does. */
void gateway_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Lets one line of a kind through per second and counts the rest. All zero is a good start. */
struct gateway_brake {
    struct instant open_at;
    uint64_t held;
};

/* True if the line may be logged now; else it is counted. */
bool gateway_brake_admit(struct gateway_brake *brake, struct instant now);

/*
 * The number of lines held back, if it is time to say so (> 0, to be logged as "N more ..."), else
 * 0. Call it before gateway_brake_admit(), and again from time to time while `held` is not 0.
 */
uint64_t gateway_brake_release(struct gateway_brake *brake, struct instant now);

#endif
