/*
 * A card that is put back as it was: every checksum is right, and what was promised since is gone.
 *
 * It is done only where the product says that it finds out (PROTOCOL.md, card-put-back): a leader
 * leads and goes on leading, is connected, and counts more of this issuer than the card has; nobody
 * else has lost anything; and no frame overtakes another, or a late word of an earlier recovery
 * could make the leader count nothing. Until it is found out no other fault comes. If the leader is
 * lost all the same, the run ends there, and is counted.
 */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    LINKS_US = 5000000, /* until all are connected again, when one is back */
    ELECTIONS = 4       /* as long as the leader may take to be heard */
};

const char *put_back_copy(struct world *world, int node)
{
    struct sim_card *card = &world->card;
    const struct sim_issuer *issuer = &world->issuer[node];
    if (world->put_back.open)
        return "another one is to be found out";
    if (!issuer->process.up || !oracle_remembers(world, node) ||
        raft_standing(&issuer->replica->raft) != RAFT_WHOLE)
        return "it has no memory now";
    disk_copy(&issuer->disk, card);
    card->node = node;
    card->last = world->oracle.issuer[node].disk.log.last;
    return NULL;
}

/* It runs, undisturbed, in the leader's term. */
static bool is_well(const struct world *world, int node, uint64_t term)
{
    const struct sim_issuer *issuer = &world->issuer[node];
    int machine = world->machine_of[node];
    return issuer->process.up && issuer->process.paused_until_us <= world->now_us &&
           world->asleep_until_us[machine] == 0 && !world->clock[machine].raw.stands &&
           !issuer->store_failed && issuer->disk.sync_error == 0 &&
           issuer->disk.slow_until_us <= world->now_us &&
           issuer->disk.hung_until_us <= world->now_us && issuer->doom.at == DOOM_NONE &&
           oracle_remembers(world, node) && raft_standing(&issuer->replica->raft) == RAFT_WHOLE &&
           issuer->replica->raft.term == term;
}

static bool all_are_well(const struct world *world, uint64_t term)
{
    for (int i = 0; i < world->issuer_count; i++) {
        if (!is_well(world, i, term))
            return false;
        for (int to = 0; to < world->issuer_count; to++) {
            if (world->network.blocked_until_us[i][to] > world->now_us)
                return false;
        }
    }
    return true;
}

const char *put_back_apply(struct world *world, int64_t down_us)
{
    const struct sim_card *card = &world->card;
    int leader = sim_issuer_leader(world);
    if (world->put_back.open || !card->bytes[0])
        return "no card was copied";
    if (!world->network.ordered)
        return "a late word could hide what the leader counts";
    if (leader < 0 || leader == card->node)
        return "nobody else leads";
    const struct raft *raft = &world->issuer[leader].replica->raft;
    if (!all_are_well(world, raft->term) || raft_change_pending(raft))
        return "not all are well";
    int peer = raft_member_index(&raft->members, &world->name[card->node]);
    if (peer < 0 || raft->progress[peer].state != RAFT_REPLICATE ||
        raft->progress[peer].recovering || raft->progress[peer].match <= card->last)
        return "nothing that the leader counts is lost by it";
    world_cover(world, COVERAGE_CARDS_PUT_BACK);
    fault_kill_issuer(world, card->node, true, down_us);
    disk_put_back(&world->issuer[card->node].disk, card);
    world->put_back = (struct sim_put_back){
        .open = true,
        .unread = true,
        .node = card->node,
        .leader = leader,
        .term = raft->term,
        .until_us = world->now_us + down_us + LINKS_US +
                    (int64_t)ELECTIONS * SIM_ELECTION_MS * 1000 * world->plan.scale,
    };
    return NULL;
}

bool put_back_starts(struct world *world, int node)
{
    struct sim_put_back *back = &world->put_back;
    bool first = back->open && back->unread && back->node == node;
    if (first)
        back->unread = false;
    return first;
}

/* Nothing more is promised. */
static void end_run(struct world *world, const char *why)
{
    log_note(world, "%s before %s has found out: the run ends here", why,
             world->name[world->put_back.node].text);
    world_cover(world, COVERAGE_PUT_BACK_ENDED);
    world->over = true;
}

/* NULL, or why nothing is promised any more. */
static const char *leader_lost(const struct world *world)
{
    const struct sim_put_back *back = &world->put_back;
    const struct sim_issuer *leader = &world->issuer[back->leader];
    for (int i = 0; i < world->issuer_count; i++) {
        const struct sim_issuer *issuer = &world->issuer[i];
        if (issuer->process.up && issuer->replica->raft.term > back->term)
            return "there is a later term";
    }
    return leader->process.up && leader->replica->raft.role == RAFT_LEADER ? NULL :
                                                                             "the leader is lost";
}

static void find_out(struct world *world)
{
    world->put_back.open = false;
    world_cover(world, COVERAGE_PUT_BACK_FOUND);
    log_note(world, "%s: has found out that its card was put back",
             world->name[world->put_back.node].text);
    oracle_finds_out(world, world->put_back.node);
}

void put_back_look(struct world *world)
{
    struct sim_put_back *back = &world->put_back;
    const struct sim_issuer *node = &world->issuer[back->node];
    if (!back->open || world->over)
        return;
    const char *lost = leader_lost(world);
    if (!back->unread && node->process.up && raft_standing(&node->replica->raft) != RAFT_WHOLE)
        find_out(world);
    else if (lost)
        end_run(world, lost);
    if (!world->over && back->open && world->now_us > back->until_us)
        world_fail(world, ORACLE_VOTE, "%s has not found out that its card was put back",
                   world->name[back->node].text);
}

void put_back_sent(struct world *world, const struct raft_message *message)
{
    const struct sim_put_back *back = &world->put_back;
    int from = world_issuer(world, &message->from);
    if (!back->open || from != back->node)
        return;
    bool votes = (message->kind == RAFT_VOTE_REPLY && message->granted && !message->pre) ||
                 (message->kind == RAFT_VOTE_REQUEST && !message->pre);
    bool counts = message->kind == RAFT_HEARTBEAT_REPLY ||
                  (message->kind == RAFT_APPEND_REPLY && message->success) ||
                  (message->kind == RAFT_SNAPSHOT_REPLY && message->installed);
    if (votes)
        end_run(world, "it was asked for its vote");
    else if (counts && message->term == back->term && !message->recovering)
        world_fail(world, ORACLE_VOTE,
                   "%s answers its leader, and has not found out that its card was put back",
                   message->from.text);
}
