/*
 * Chance in streams: one per use and node, each seeded from the run's seed, so that what draws more
 * or less than before disturbs nothing else.
 * Owner: one world, and the plan of its run.
 */
#ifndef HOLDFAST_TESTS_SIM_RANDOM_H
#define HOLDFAST_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

enum stream {
    STREAM_PLAN,     /* the world of the run */
    STREAM_SCHEDULE, /* its faults */
    STREAM_NET,      /* delays, losses, dials: of the sending node */
    STREAM_DISK,     /* latencies, torn writes */
    STREAM_CLOCK,
    STREAM_TIMER,    /* late wake-ups */
    STREAM_PROCESS,  /* sockets, seeds and nonces of agent, guard and issuer */
    STREAM_PLANT,    /* planted bugs */
    STREAM_MIX,      /* which faults there are */
    STREAM_CHILD,    /* what a child of a seed has otherwise, and whose turn it is */
    STREAM_STRANGER, /* who else comes to guard.sock */
    STREAM_RECORD,   /* of a board's DATA/faults */
    STREAMS
};

struct random {
    uint64_t state;
    bool steady; /* every draw but random_next() gives the middle: a world without jitter */
};

void random_init(struct random *random, uint64_t seed, enum stream stream, int node);
/* Any 64 bits, also in a steady stream. */
uint64_t random_next(struct random *random);
/* Uniform in 0..bound - 1; bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Uniform in low..high. */
int64_t random_between(struct random *random, int64_t low, int64_t high);
/* True in `ppm` of a million; in a steady stream only what is certain is true. */
bool random_chance(struct random *random, unsigned ppm);

#endif
