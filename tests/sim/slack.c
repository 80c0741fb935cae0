/*
 * What a healthy holder bears, by the arithmetic of timing.h: a leader that is slow but alive, and a
 * stall of its own agent. In a world that is calm but for them nobody may drop anything (L2), however
 * many resources a board holds.
 */
#include "base/timing.h"
#include "tests/sim/fault.h"
#include "tests/sim/sim.h"

enum { WORD_AT_ONCE, WORD_GENTLY, WORD_BOARDS }; /* of a leader that becomes slow */

enum {
    MARGIN_US = 5000, /* what frames and wake-ups take beside */
    STALL_MARGIN_US = 15000,
    STALL_MIN_US = 10000,
    GENTLY = 4 /* the delay grows by one of so many */
};

/* ---- drawing */

static int64_t bearable_us(const struct sim_plan *plan)
{
    return timing_bearable_delay(span_from_us(plan->ttl_us),
                                 span_from_ms(SIM_HEARTBEAT_MS * plan->scale),
                                 span_from_ms(SIM_RELEASE_MS), SIM_DRIFT_PPM)
               .us -
           MARGIN_US;
}

void slack_draw_slow(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    int64_t most_us = bearable_us(plan);
    fault->word = (int)random_below(random, 3);
    fault->duration_us = plan->fault_interval_us * 3 / 5;
    fault->period_us = random_between(random, most_us / 4, most_us);
    /* Two ways instead of four. */
    if (fault->word == WORD_BOARDS)
        fault->period_us *= 2;
}

/* So long that what was renewed an interval before is just not over. */
void slack_draw_stall(const struct sim_plan *plan, struct random *random, struct fault *fault)
{
    struct span ttl = span_from_us(plan->ttl_us);
    int64_t most_us = timing_shrink(ttl, 2 * SIM_DRIFT_PPM).us - SIM_RELEASE_MS * 1000 -
                      timing_renew_interval(ttl).us - STALL_MARGIN_US;
    fault->duration_us = random_between(random, STALL_MIN_US, most_us);
}

/* ---- applying */

/* Nothing was dropped since the last one; nobody may from now on. */
static const char *begin(struct world *world, int *leader, bool stays)
{
    *leader = sim_issuer_leader(world);
    if (*leader < 0)
        world_fail(world, ORACLE_L1, "nobody leads when slack is to be used");
    uint64_t term = world->issuer[*leader].replica->raft.term;
    oracle_check_driven(world);
    if (world->cut_term != 0 && term != world->cut_term)
        world_fail(world, ORACLE_L2,
                   "a slow leader of term %llu was deposed, %s leads in term %llu",
                   (unsigned long long)world->cut_term, world->name[*leader].text,
                   (unsigned long long)term);
    world->cut_term = stays ? term : 0;
    world->oracle.no_drop = true;
    world->oracle.kill_term = term;
    return NULL;
}

const char *slack_apply_slow(struct world *world, const struct fault *fault)
{
    struct slowness *slowness = &world->network.slowness;
    int leader = -1;
    if (slowness->until_us > world->now_us)
        return "somebody is slow already";
    (void)begin(world, &leader, fault->word != WORD_AT_ONCE);
    *slowness = (struct slowness){ .node = leader,
                                   .boards_only = fault->word == WORD_BOARDS,
                                   .gently = fault->word == WORD_GENTLY,
                                   .delay_us = fault->period_us,
                                   .from_us = world->now_us,
                                   .until_us = world->now_us + fault->duration_us };
    world_cover(world, COVERAGE_SLOW_LEADERS);
    return NULL;
}

const char *slack_apply_stall(struct world *world, const struct fault *fault)
{
    int board = world->oracle.drive[0].board;
    int leader = -1;
    int held = 0;
    if (board == ORACLE_NOBODY)
        world_fail(world, ORACLE_L1, "nobody has driven %s when its agent is to stall",
                   world->resource[0].text);
    (void)begin(world, &leader, true);
    process_pause(world->board[board].agent.process, world->now_us + fault->duration_us);
    for (int i = 0; i < world->resource_count; i++)
        held += world->oracle.drive[i].board == board;
    world_cover(world, COVERAGE_STALLS);
    if (held > 1)
        world_cover(world, COVERAGE_STALLS_OF_SEVERAL);
    return NULL;
}

int64_t slack_delay_us(const struct world *world, int from, int to)
{
    const struct slowness *slowness = &world->network.slowness;
    int64_t since_us = world->now_us - slowness->from_us;
    bool to_board = from >= world->issuer_count || to >= world->issuer_count;
    if (world->now_us >= slowness->until_us || (from != slowness->node && to != slowness->node) ||
        (slowness->boards_only && !to_board))
        return 0;
    if (slowness->gently && since_us / GENTLY < slowness->delay_us)
        return since_us / GENTLY;
    return slowness->delay_us;
}
