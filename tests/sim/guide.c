#include "tests/sim/guide.h"

#include <string.h>

#include "tests/sim/child.h"

enum {
    TURNS = 3,     /* one of so many is a child's */
    PARENTS = 32,  /* the latest */
    CHILDREN = 12, /* of each, at the most */
    BUCKETS = 8,   /* of a counter: 1, 2, 3 to 4, 5 to 8, and so on */
    TRAIL = COVERAGE_KINDS * BUCKETS,
    FEATURES = TRAIL + 8 * SIM_TRAIL_BYTES,
    NEW_POINTS = 8,
    RARE_RUNS = 200 /* rare is what fewer than one run of so many met */
};

struct parent {
    struct settings settings;
    uint8_t children;
};

static struct guide {
    struct settings fresh; /* the next fresh one */
    bool only_fresh;
    uint64_t runs;
    uint64_t bar; /* points that make a parent: about one run in eight does */
    uint32_t met[FEATURES];
    struct parent parent[PARENTS];
    size_t parents; /* ever */
    struct random random;
} guide;

void guide_begin(uint64_t from, enum sim_type only, bool fresh)
{
    memset(&guide, 0, sizeof(guide));
    guide.fresh = (struct settings){ .seed = from, .only = only };
    guide.only_fresh = fresh;
    random_init(&guide.random, from, STREAM_CHILD, SIM_GENERATIONS_MAX);
}

/* NULL: all have as many children as they may. */
static struct parent *some_parent(void)
{
    size_t count = guide.parents < PARENTS ? guide.parents : PARENTS;
    size_t first = count > 0 ? (size_t)random_below(&guide.random, count) : 0;
    for (size_t i = 0; i < count; i++) {
        struct parent *parent = &guide.parent[(first + i) % count];
        if (parent->children < CHILDREN)
            return parent;
    }
    return NULL;
}

void guide_next(struct settings *settings)
{
    struct parent *parent = NULL;
    if (!guide.only_fresh && guide.runs % TURNS == TURNS - 1)
        parent = some_parent();
    guide.runs++;
    if (!parent) {
        *settings = guide.fresh;
        guide.fresh.seed++;
        return;
    }
    *settings = parent->settings;
    settings->child[settings->generations++] = parent->children++;
}

/* How much of it few have met; and counts it as met. */
static uint64_t points(unsigned feature)
{
    uint32_t before = guide.met[feature]++;
    if (before == 0)
        return NEW_POINTS;
    return before < guide.runs / RARE_RUNS ? 1 : 0;
}

static uint64_t points_of_counters(const uint64_t *coverage)
{
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < COVERAGE_KINDS; kind++) {
        unsigned bucket = 0;
        while (bucket < BUCKETS - 1 && coverage[kind] > UINT64_C(1) << bucket)
            bucket++;
        if (coverage[kind] > 0)
            sum += points(kind * BUCKETS + bucket);
    }
    return sum;
}

static uint64_t points_of_trail(const uint8_t *trail)
{
    uint64_t sum = 0;
    for (unsigned byte = 0; byte < SIM_TRAIL_BYTES; byte++) {
        for (unsigned bit = 0; trail[byte] >> bit != 0; bit++) {
            if (trail[byte] >> bit & 1)
                sum += points(TRAIL + 8 * byte + bit);
        }
    }
    return sum;
}

void guide_learn(const struct settings *settings, const struct run_result *result)
{
    uint64_t sum = points_of_counters(result->coverage) + points_of_trail(result->trail);
    guide.bar -= (guide.bar + 63) / 64;
    if (sum == 0 || sum < guide.bar || !result->has_children ||
        settings->generations == SIM_GENERATIONS_MAX)
        return;
    guide.bar += guide.bar / 8 + 1;
    guide.parent[guide.parents++ % PARENTS] = (struct parent){ .settings = *settings };
}
