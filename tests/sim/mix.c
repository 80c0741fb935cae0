#include "tests/sim/mix.h"

#include <string.h>

enum {
    HEAVY = 6,         /* times the table's weight */
    ONE_PLACE = 600000 /* so many of a million strike the place that gets most */
};

enum {
    GROUP_DEATHS,
    GROUP_LINKS,
    GROUP_DISKS,
    GROUP_CLOCKS,
    GROUP_STOPS,
    GROUP_LINES,
    GROUP_OPERATORS,
    GROUP_REFITS,
    GROUP_AIMED,
    GROUPS
};

static const uint8_t group_of[FAULT_KINDS] = {
    [FAULT_PAUSE] = GROUP_STOPS,          [FAULT_KILL] = GROUP_DEATHS,
    [FAULT_POWER] = GROUP_DEATHS,         [FAULT_KILL_IN_FLUSH] = GROUP_DEATHS,
    [FAULT_KILL_IN_START] = GROUP_DEATHS, [FAULT_PARTITION] = GROUP_LINKS,
    [FAULT_BREAK] = GROUP_LINKS,          [FAULT_DISK_FAIL] = GROUP_DISKS,
    [FAULT_DISK_SLOW] = GROUP_DISKS,      [FAULT_CLOCK_RATE] = GROUP_CLOCKS,
    [FAULT_HANG] = GROUP_STOPS,           [FAULT_LEASE_END] = GROUP_AIMED,
    [FAULT_SLEEP] = GROUP_CLOCKS,         [FAULT_WAKE_STEP] = GROUP_CLOCKS,
    [FAULT_RAW_STEP] = GROUP_CLOCKS,      [FAULT_RAW_STANDS] = GROUP_CLOCKS,
    [FAULT_WELD] = GROUP_LINES,           [FAULT_READBACK] = GROUP_LINES,
    [FAULT_TRANSFER] = GROUP_OPERATORS,   [FAULT_LEADER_TRANSFER] = GROUP_OPERATORS,
    [FAULT_PIN] = GROUP_OPERATORS,        [FAULT_UNPIN] = GROUP_OPERATORS,
    [FAULT_GO] = GROUP_OPERATORS,         [FAULT_WALL_STEP] = GROUP_CLOCKS,
    [FAULT_LAGGARD] = GROUP_AIMED,        [FAULT_DAMAGE] = GROUP_DISKS,
    [FAULT_REFIT] = GROUP_REFITS,         [FAULT_FIRST_PERMIT] = GROUP_AIMED,
    [FAULT_WAITER_DEATH] = GROUP_DEATHS,  [FAULT_DISK_HANG] = GROUP_DISKS,
};

void mix_even(struct mix *mix)
{
    *mix = (struct mix){ .issuer = MIX_NOWHERE, .board = MIX_NOWHERE, .clear_every = 1 };
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        mix->weight[kind] = fault_table[kind].weight;
}

static void each_kind_by_itself(struct mix *mix, struct random *random)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        uint64_t draw = random_below(random, 20);
        mix->weight[kind] *= draw < 10 ? 0 : draw < 17 ? 1 : HEAVY;
    }
}

/* Only the groups whose bit is set. */
static void keep_groups(struct mix *mix, uint64_t groups)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        if ((groups >> group_of[kind] & 1) == 0)
            mix->weight[kind] = 0;
    }
}

static uint64_t all_weights(const struct mix *mix)
{
    uint64_t all = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        all += mix->weight[kind];
    return all;
}

/* A quarter as the table has it; in an eighth one group alone; in the others half of the kinds. */
static void draw_weights(struct mix *mix, struct random *random)
{
    uint64_t draw = random_below(random, 8);
    mix_even(mix);
    if (draw < 2)
        return;
    if (draw == 2) {
        keep_groups(mix, UINT64_C(1) << random_below(random, GROUPS));
        return;
    }
    each_kind_by_itself(mix, random);
    if (draw >= 6)
        keep_groups(mix, random_next(random));
    if (all_weights(mix) == 0)
        mix_even(mix);
}

void mix_draw(const struct settings *settings, const struct sim_plan *plan, struct mix *mix)
{
    static const int clears[] = { 1, 1, 1, 1, 4, 0 };
    struct random random;
    random_init(&random, settings->seed, STREAM_MIX, 0);
    draw_weights(mix, &random);
    if (random_chance(&random, 250000))
        mix->issuer = (int)random_below(&random, (uint64_t)plan->issuers);
    if (random_chance(&random, 250000))
        mix->board = FAULT_BOARD + (int)random_below(&random, (uint64_t)plan->boards);
    if (random_chance(&random, 400000))
        mix->burst_ppm = (unsigned)random_between(&random, 100000, 700000);
    mix->clear_every = clears[random_below(&random, sizeof(clears) / sizeof(clears[0]))];
}

static bool has_node(const struct fault_row *row)
{
    for (int i = 0; i < FAULT_FIELDS_MAX; i++) {
        if (row->field[i] == FIELD_NODE || row->field[i] == FIELD_ISSUER ||
            row->field[i] == FIELD_BOARD)
            return true;
    }
    return false;
}

static void strike_one_place(const struct mix *mix, struct random *random, struct fault *fault)
{
    int place = fault->node >= FAULT_BOARD ? mix->board : mix->issuer;
    if (place == MIX_NOWHERE || !random_chance(random, ONE_PLACE))
        return;
    if (fault->kind == FAULT_PARTITION)
        fault->nodes = 1u << place;
    else if (has_node(&fault_table[fault->kind]) && fault->node != FAULT_LEADER &&
             (fault->kind != FAULT_BREAK || fault->peer != place))
        fault->node = place;
}

void mix_draw_fault(const struct mix *mix, const struct sim_plan *plan, struct random *random,
                    struct fault *fault)
{
    uint64_t left = random_below(random, all_weights(mix));
    int kind = 0;
    while (left >= mix->weight[kind])
        left -= mix->weight[kind++];
    fault->kind = (enum fault_kind)kind;
    if (fault_table[kind].draw)
        fault_table[kind].draw(plan, random, fault);
    strike_one_place(mix, random, fault);
}
