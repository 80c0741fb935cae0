/*
 * Operators at an issuer's console: they act, and wait to be told what became of it; they read, and
 * wait for the round that confirms what they see. Each asks the issuer's shell as the console does.
 * What they are told is judged by S3 (oracle_acts.c) and S4; whoever waits for what is known, by L1.
 */
#include "tests/sim/sim.h"

enum { PATIENCE_US = 1000000, READS_US = 50000 }; /* at the fastest pace */

/* ---- acts */

static void told_outcome(void *context, enum replica_outcome outcome)
{
    struct sim_waiting *place = context;
    int issuer = place->issuer;
    place->waits = false;
    if (outcome == REPLICA_ACT_OPEN)
        world_fail(place->world, ORACLE_S3, "%s tells an operator of an act that is open",
                   place->world->name[issuer].text);
    if (outcome != REPLICA_ACT_UNKNOWN)
        oracle_act_told(place->world, issuer, &place->waiting.act, outcome == REPLICA_ACT_DONE);
}

static void await(struct world *world, int node, const struct replica_act *act)
{
    struct sim_waiting *place = &world->waiting[world->waiting_count++ % SIM_OPERATORS];
    /* The operator who has waited longest gives up. */
    if (place->waits)
        issuer_shell_forget_waiting(world->issuer[place->issuer].shell, &place->waiting);
    *place = (struct sim_waiting){ .world = world, .issuer = node, .waits = true };
    place->waiting =
        (struct issuer_shell_waiting){ .on_outcome = told_outcome, .context = place, .act = *act };
    issuer_shell_await(world->issuer[node].shell, &place->waiting);
}

/* ---- reads */

static void told_confirmed(void *context, bool confirmed)
{
    struct sim_reader *place = context;
    place->waits = false;
    world_cover(place->world, confirmed ? COVERAGE_READS_CONFIRMED : COVERAGE_READS_GIVEN_UP);
    if (confirmed)
        oracle_read(place->world, place->issuer, place->asked_us, place->index);
}

static void read_at(struct world *world, int node)
{
    struct sim_reader *place = &world->reader[world->reader_count++ % SIM_OPERATORS];
    if (place->waits)
        issuer_shell_forget_reader(world->issuer[place->issuer].shell, &place->reader);
    *place = (struct sim_reader){
        .world = world, .issuer = node, .asked_us = world->now_us, .index = world->oracle.last
    };
    place->reader =
        (struct issuer_shell_reader){ .on_confirmed = told_confirmed, .context = place };
    place->waits = true;
    /* It may have been told already. */
    if (!issuer_shell_read(world->issuer[node].shell, &place->reader))
        place->waits = false;
}

/* ---- as the world calls them */

const char *operator_act(struct world *world, int node, struct replica_event *event)
{
    struct replica_act act;
    const char *error = NULL;
    struct issuer_shell *shell = world->issuer[node].shell;
    struct sim_loop *before = loop_enter(world, node);
    enum raft_refusal refusal = issuer_shell_operate(shell, event, &act, &error);
    if (act.index != 0)
        await(world, node, &act);
    loop_leave(before);
    return error || refusal == RAFT_ACCEPTED ? error : "refused";
}

/* At every issuer that runs: one that is no leader refuses it, one that believes to be needs a round. */
void operator_reads(struct world *world)
{
    operators_check(world);
    /* A steady world does what its schedule says, and nothing beside. */
    if (world->plan.steady || world->now_us < world->reads_us)
        return;
    world->reads_us = world->now_us + READS_US * world->plan.scale;
    for (int i = 0; i < world->issuer_count; i++) {
        const struct process *process = &world->issuer[i].process;
        if (!process->up || process->paused_until_us > world->now_us)
            continue;
        struct sim_loop *before = loop_enter(world, i);
        read_at(world, i);
        loop_leave(before);
    }
}

void operators_dropped(struct world *world, int node)
{
    for (int i = 0; i < SIM_OPERATORS; i++) {
        if (world->waiting[i].issuer == node)
            world->waiting[i].waits = false;
        if (world->reader[i].issuer == node)
            world->reader[i].waits = false;
    }
}

static bool is_decided(const struct world *world, const struct sim_waiting *place)
{
    return place->waits && replica_act_outcome(world->issuer[place->issuer].replica,
                                               &place->waiting.act) != REPLICA_ACT_OPEN;
}

/* *late_us: since when it is late; 0: it is not. True: for so long that it was forgotten. */
static bool is_forgotten(const struct world *world, int issuer, bool late, int64_t *late_us)
{
    const struct process *process = &world->issuer[issuer].process;
    bool stood = process->paused_until_us > world->now_us || process->paused_until_us > *late_us;
    if (!late || *late_us == 0 || stood)
        *late_us = late ? world->now_us : 0;
    return late && world->now_us - *late_us > PATIENCE_US * world->plan.scale;
}

void operators_check(struct world *world)
{
    for (int i = 0; i < SIM_OPERATORS; i++) {
        struct sim_waiting *waiting = &world->waiting[i];
        struct sim_reader *reader = &world->reader[i];
        bool unread = reader->waits && !replica_serving(world->issuer[reader->issuer].replica);
        if (is_forgotten(world, waiting->issuer, is_decided(world, waiting), &waiting->late_us))
            world_fail(world, ORACLE_L1, "%s does not tell an operator what became of entry %llu",
                       world->name[waiting->issuer].text,
                       (unsigned long long)waiting->waiting.act.index);
        if (is_forgotten(world, reader->issuer, unread, &reader->late_us))
            world_fail(world, ORACLE_L1, "%s serves no more, and does not tell who reads there",
                       world->name[reader->issuer].text);
    }
}
