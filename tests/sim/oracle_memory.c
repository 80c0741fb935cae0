/* VOTE for issuers whose disk was damaged: they may forget, and have no say till they have recovered. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static struct oracle_issuer *issuer_of(struct world *world, int issuer)
{
    return &world->oracle.issuer[issuer];
}

/* Nobody has answered yet. */
static void begin_to_ask(const struct world *world, struct oracle_issuer *seen)
{
    seen->applied_then = world->oracle.last;
    memset(seen->answered, 0, sizeof(seen->answered));
    memset(seen->excused, 0, sizeof(seen->excused));
    seen->answered_term = 0;
    seen->first_answer_us = 0;
    seen->by_snapshot = false;
}

void oracle_forgets(struct world *world, int issuer)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    oracle_disk_forgets(world, issuer);
    if (!seen->forgetful || seen->durable_term > seen->lost_term) {
        seen->lost_term = seen->durable_term;
        seen->lost_vote = seen->durable_vote;
    }
    seen->forgetful = true;
    seen->put_back = seen->found_out = false;
    seen->durable_term = 0;
    seen->durable_vote = (struct hf_name){ { 0 } };
    begin_to_ask(world, seen);
}

void oracle_begun_by_mistake(struct world *world, int issuer,
                             const struct raft_recovered *recovered)
{
    issuer_of(world, issuer)->disk.log =
        (struct oracle_disk_log){ recovered->snapshot_index, recovered->snapshot_term,
                                  recovered->snapshot_index };
}

/* What it promised counts for what it was; what it has now counts for nothing. */
void oracle_put_back(struct world *world, int issuer, const struct raft_recovered *recovered)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    oracle_disk_forgets(world, issuer);
    seen->lost_term = seen->durable_term;
    seen->lost_vote = seen->durable_vote;
    seen->put_back = true;
    seen->durable_term = recovered->term;
    seen->durable_vote = recovered->vote;
    oracle_disk_put_back(world, issuer, recovered);
}

void oracle_finds_out(struct world *world, int issuer)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    seen->put_back = false;
    seen->found_out = true;
    seen->forgetful = true;
    begin_to_ask(world, seen);
}

bool oracle_remembers(const struct world *world, int issuer)
{
    const struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    return seen->whole && !seen->forgetful && !seen->put_back && !world->issuer[issuer].damaged &&
           seen->durable_term > world->begun_index; /* what was begun there is no memory yet */
}

void oracle_snapshot_installed(struct world *world, int issuer)
{
    issuer_of(world, issuer)->by_snapshot = true;
}

void oracle_memory_arrived(struct world *world, int issuer, const struct raft_message *message)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    int from = world_issuer(world, &message->from);
    if (!seen->forgetful || message->kind != RAFT_RECOVER_REPLY)
        return;
    /* It has had an answer of all, and waits for its disk: what one says again changes nothing. */
    if (world->issuer[issuer].replica->raft.recovery.ending)
        return;
    if (message->life != 0) {
        seen->excused[from] = true;
        return;
    }
    if (seen->first_answer_us == 0)
        seen->first_answer_us = world->now_us;
    seen->answered[from] = true;
    if (message->term > seen->answered_term)
        seen->answered_term = message->term;
}

void oracle_memory_sent(struct world *world, const struct raft_message *message)
{
    struct oracle_issuer *seen = issuer_of(world, world_issuer(world, &message->from));
    seen->found_out = seen->found_out && message->life == 0;
    bool vote = (message->kind == RAFT_VOTE_REPLY && message->granted) ||
                message->kind == RAFT_VOTE_REQUEST;
    bool counts = (message->kind == RAFT_APPEND_REPLY && message->success) ||
                  (message->kind == RAFT_SNAPSHOT_REPLY && message->installed);
    if (seen->forgetful &&
        (vote || message->kind == RAFT_HEARTBEAT_REPLY || (counts && !message->recovering)) &&
        raft_standing(&world->issuer[world_issuer(world, &message->from)].replica->raft) !=
            RAFT_WHOLE)
        world_fail(world, ORACLE_VOTE, "%s has a say in term %llu, without a memory",
                   message->from.text, (unsigned long long)message->term);
}

/*
 * An answer of all, or of a majority if the others said that they have no memory either; and nothing
 * that anybody had applied is missing.
 */
static void check_recovered(struct world *world, int issuer)
{
    const struct oracle_issuer *seen = issuer_of(world, issuer);
    const struct raft_members *members = &world->issuer[issuer].replica->raft.members;
    int voters = raft_voter_count(members);
    int answers = 0;
    for (int m = 0; m < members->count; m++)
        answers +=
            members->member[m].voter && seen->answered[world_issuer(world, &members->member[m].id)];
    for (int m = 0; m < members->count; m++) {
        int i = world_issuer(world, &members->member[m].id);
        if (i != issuer && members->member[m].voter && !seen->answered[i] &&
            (!seen->excused[i] || 2 * answers <= voters))
            world_fail(world, ORACLE_VOTE, "%s recovered without an answer of %s",
                       world->name[issuer].text, world->name[i].text);
    }
    if (seen->durable_term < seen->answered_term || seen->disk.log.last < seen->applied_then)
        world_fail(world, ORACLE_VOTE,
                   "%s recovered in term %llu with entry %llu; it was told of "
                   "term %llu, and entry %llu was applied",
                   world->name[issuer].text, (unsigned long long)seen->durable_term,
                   (unsigned long long)seen->disk.log.last, (unsigned long long)seen->answered_term,
                   (unsigned long long)seen->applied_then);
}

void oracle_memory(struct world *world, int issuer)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    const struct sim_issuer *node = &world->issuer[issuer];
    if (node->process.up)
        seen->whole = raft_standing(&node->replica->raft) == RAFT_WHOLE;
    /* One that was killed before what it found out was on its disk, and was told again. */
    if (seen->put_back && !world->put_back.open && node->process.up && !seen->whole)
        oracle_finds_out(world, issuer);
    if (!seen->forgetful || !node->process.up || raft_standing(&node->replica->raft) != RAFT_WHOLE)
        return;
    if (seen->found_out) {
        /* Nobody forgot what it promised, so it is told again. */
        seen->found_out = seen->forgetful = false;
        seen->put_back = true;
        return;
    }
    check_recovered(world, issuer);
    seen->forgetful = false;
    oracle_term(world, issuer);
    world_cover(world, COVERAGE_RECOVERIES);
    if (seen->by_snapshot)
        world_cover(world, COVERAGE_RECOVERIES_BY_SNAPSHOT);
    if (world->now_us - seen->first_answer_us > SIM_ELECTION_MS * 1000 * world->plan.scale)
        world_cover(world, COVERAGE_RECOVERIES_WAITED);
    log_note(world, "%s: recovered", world->name[issuer].text);
}
