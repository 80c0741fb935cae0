#include "tests/sim/random.h"

static const uint64_t golden_ratio = UINT64_C(0x9E3779B97F4A7C15);

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void random_init(struct random *random, uint64_t seed, enum stream stream, int node)
{
    uint64_t which = (uint64_t)stream << 8 | (uint64_t)node;
    random->state = mix(seed * golden_ratio + 1) ^ mix((which + 1) * golden_ratio);
    random->steady = false;
}

/* SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators". */
uint64_t random_next(struct random *random)
{
    random->state += golden_ratio;
    return mix(random->state);
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    return random->steady ? bound / 2 : random_next(random) % bound;
}

int64_t random_between(struct random *random, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(random, (uint64_t)(high - low) + 1);
}

bool random_chance(struct random *random, unsigned ppm)
{
    if (random->steady)
        return ppm >= 1000000;
    return ppm > 0 && random_below(random, 1000000) < ppm;
}
