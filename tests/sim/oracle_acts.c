/*
 * S3 for operators: whoever is told that his act is done finds it in the log of every later leader,
 * and whoever is told that it never will be, in none. Each is told what the daemon's console would
 * tell him, at the issuer that he asked, and waits there for as long as that runs.
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static void fail_done(struct world *world, const struct replica_act *act)
{
    world_fail(world, ORACLE_S3,
               "an act was said to be done at entry %llu of term %llu, another "
               "entry stands there",
               (unsigned long long)act->index, (unsigned long long)act->term);
}

static void fail_never(struct world *world, const struct replica_act *act)
{
    world_fail(world, ORACLE_S3,
               "an act was said never to be done, it is at entry %llu of term %llu",
               (unsigned long long)act->index, (unsigned long long)act->term);
}

static void judge(struct world *world, const struct oracle_told *told, uint64_t term)
{
    if (told->done && term != told->act.term)
        fail_done(world, &told->act);
    if (!told->done && term == told->act.term)
        fail_never(world, &told->act);
}

/* What is not applied anywhere yet is judged when it is. */
static void promise(struct world *world, const struct oracle_told *told)
{
    struct oracle *oracle = &world->oracle;
    if (told->act.index <= oracle->last)
        judge(world, told, oracle->entry[told->act.index].term);
    else if (oracle->promise_count < ORACLE_PROMISES)
        oracle->promise[oracle->promise_count++] = *told;
}

static void tell(struct world *world, int issuer, const struct oracle_act *asked, bool done)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    const struct oracle_told told = { asked->act, done };
    world_cover(world, done ? COVERAGE_ACTS_DONE : COVERAGE_ACTS_WRITTEN_OVER);
    if (done && raft->role != RAFT_LEADER)
        world_cover(world, COVERAGE_ACTS_INHERITED);
    promise(world, &told);
    if (done)
        oracle_acknowledge(world, issuer, asked->act.index);
}

void oracle_act_asked(struct world *world, int issuer, const struct replica_act *act)
{
    struct oracle *oracle = &world->oracle;
    /* The operator who has waited longest gives up. */
    oracle->act[oracle->acts++ % ORACLE_ACTS] = (struct oracle_act){ issuer, *act };
}

void oracle_acts(struct world *world, int issuer)
{
    for (size_t i = 0; i < ORACLE_ACTS; i++) {
        struct oracle_act *asked = &world->oracle.act[i];
        if (asked->act.index == 0 || asked->issuer != issuer)
            continue;
        enum replica_outcome outcome =
            replica_act_outcome(world->issuer[issuer].replica, &asked->act);
        if (outcome == REPLICA_ACT_OPEN)
            continue;
        if (outcome != REPLICA_ACT_UNKNOWN)
            tell(world, issuer, asked, outcome == REPLICA_ACT_DONE);
        asked->act.index = 0;
    }
}

void oracle_acts_dropped(struct world *world, int issuer)
{
    for (size_t i = 0; i < ORACLE_ACTS; i++) {
        if (world->oracle.act[i].issuer == issuer)
            world->oracle.act[i].act.index = 0;
    }
}

void oracle_act_entry(struct world *world, const struct raft_entry *entry)
{
    const struct oracle *oracle = &world->oracle;
    for (size_t i = 0; i < oracle->promise_count; i++) {
        if (oracle->promise[i].act.index == entry->index)
            judge(world, &oracle->promise[i], entry->term);
    }
}

void oracle_check_acts(struct world *world)
{
    const struct oracle *oracle = &world->oracle;
    for (size_t i = 0; i < oracle->promise_count; i++) {
        if (oracle->promise[i].done && oracle->promise[i].act.index > oracle->last)
            fail_done(world, &oracle->promise[i].act);
    }
}

void oracle_acts_restored(struct world *world)
{
    world->oracle.promise_count = 0;
    memset(world->oracle.act, 0, sizeof(world->oracle.act));
}
