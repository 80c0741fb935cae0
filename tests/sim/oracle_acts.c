/*
 * S3 for operators: whoever is told that his act is done finds it in the log of every later leader,
 * and whoever is told that it never will be, in none. Each is told by the shell of the issuer that he
 * asked, and waits there for as long as that runs (operator.c).
 */
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

void oracle_act_told(struct world *world, int issuer, const struct replica_act *act, bool done)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    const struct oracle_told told = { *act, done };
    world_cover(world, done ? COVERAGE_ACTS_DONE : COVERAGE_ACTS_WRITTEN_OVER);
    if (done && raft->role != RAFT_LEADER)
        world_cover(world, COVERAGE_ACTS_INHERITED);
    promise(world, &told);
    if (done)
        oracle_acknowledge(world, issuer, act->index);
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
}
