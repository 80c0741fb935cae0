/*
 * Numbers for random tests: splitmix64, so that a printed seed replays a run on any machine.
 * Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
 */
#ifndef HOLDFAST_TESTS_UNIT_RANDOM_H
#define HOLDFAST_TESTS_UNIT_RANDOM_H

#include <stdint.h>

static uint64_t random_seed;

static inline uint64_t random_u64(void)
{
    random_seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random_seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Below bound, which is not 0. */
static inline uint64_t random_below(uint64_t bound)
{
    return random_u64() % bound;
}

#endif
