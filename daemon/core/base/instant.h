/*
 * Instants and spans of time, in microseconds, as two distinct types.
 *
 * Purpose: an instant can never be passed where a span is meant, nor be added to another instant.
 * Owner: whoever holds the value; plain data. An instant is read from CLOCK_MONOTONIC_RAW of one
 * boot of one machine, and means nothing on another machine or after a restart.
 */
#ifndef HOLDFAST_CORE_BASE_INSTANT_H
#define HOLDFAST_CORE_BASE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

/* A point on this machine's raw monotonic clock, in microseconds since an arbitrary start, >= 0. */
struct instant {
    int64_t us;
};

/* A length of time in microseconds; may be negative as the result of a difference. */
struct span {
    int64_t us;
};

/* Later than every instant that a clock shows: "no deadline", "no timer". */
#define INSTANT_NEVER ((struct instant){ INT64_MAX })

static inline struct span span_from_us(int64_t us)
{
    return (struct span){ us };
}

static inline struct span span_from_ms(int64_t ms)
{
    return (struct span){ ms * 1000 };
}

/* Whole milliseconds, rounded towards zero. */
static inline int64_t span_to_ms(struct span span)
{
    return span.us / 1000;
}

static inline struct span span_add(struct span a, struct span b)
{
    return (struct span){ a.us + b.us };
}

static inline struct span span_sub(struct span a, struct span b)
{
    return (struct span){ a.us - b.us };
}

/* INSTANT_NEVER stays INSTANT_NEVER. */
static inline struct instant instant_add(struct instant at, struct span span)
{
    if (at.us == INT64_MAX || (span.us > 0 && at.us > INT64_MAX - span.us))
        return INSTANT_NEVER;
    return (struct instant){ at.us + span.us };
}

static inline struct instant instant_sub(struct instant at, struct span span)
{
    return instant_add(at, (struct span){ -span.us });
}

/* later - earlier. */
static inline struct span instant_diff(struct instant later, struct instant earlier)
{
    return (struct span){ later.us - earlier.us };
}

static inline bool instant_before(struct instant a, struct instant b)
{
    return a.us < b.us;
}

/* True when `now` is at or past `at`. */
static inline bool instant_reached(struct instant at, struct instant now)
{
    return now.us >= at.us;
}

static inline struct instant instant_min(struct instant a, struct instant b)
{
    return a.us < b.us ? a : b;
}

static inline struct instant instant_max(struct instant a, struct instant b)
{
    return a.us > b.us ? a : b;
}

#endif
