/*
 * L1, L2 and S3 of an issuer's steps: what it tells a successor and an operator of a hand-over, and
 * how soon it stands again after a split vote. Of a core object it reads what it shows.
 */
#include "tests/sim/sim.h"

static struct oracle_issuer *issuer_of(struct world *world, int issuer)
{
    return &world->oracle.issuer[issuer];
}

/* ---- a hand-over of the leadership: whoever has all that the leader has is told to stand */

static bool has_everything(const struct raft *raft, const struct hf_name *id)
{
    int at = raft_member_index(&raft->members, id);
    return at >= 0 && !raft->progress[at].recovering &&
           raft->progress[at].match == raft->last_index;
}

static void check_hand_over(struct world *world, int issuer, const struct replica_event *event,
                            const struct replica_output *out)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    if (event->kind == REPLICA_LEADER_TRANSFER && out->refusal == RAFT_ACCEPTED)
        seen->hand_over = event->node;
    if (raft->role != RAFT_LEADER || !name_equal(&raft->transfer_to, &seen->hand_over))
        seen->hand_over = (struct hf_name){ { 0 } };
    if (name_empty(&seen->hand_over))
        return;
    for (size_t i = 0; i < out->raft_message_count; i++) {
        const struct raft_message *message = &out->raft_message[i];
        if (message->kind == RAFT_TIMEOUT_NOW && name_equal(&message->to, &seen->hand_over)) {
            seen->hand_over = (struct hf_name){ { 0 } };
            return;
        }
    }
    if (has_everything(raft, &seen->hand_over))
        world_fail(world, ORACLE_L1,
                   "%s is to hand over to %s, which has all of its log, and does not tell it",
                   world->name[issuer].text, seen->hand_over.text);
}

/* ---- a transfer of a resource: done once the board that it was for holds it */

static void check_transfers(struct world *world, int issuer)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    const struct replica *replica = world->issuer[issuer].replica;
    for (int i = 0; i < world->resource_count; i++) {
        const struct issuer_transfer *transfer = replica_transfer(replica, &world->resource[i]);
        enum issuer_transfer_state state = transfer ? transfer->state : ISSUER_TRANSFER_NONE;
        bool news = state == ISSUER_TRANSFER_DONE && seen->transfer[i] != ISSUER_TRANSFER_DONE;
        int at = lease_table_find(&replica->table, &world->resource[i]);
        seen->transfer[i] = state;
        if (news && (at < 0 || !name_equal(&replica->table.record[at].holder, &transfer->to)))
            world_fail(world, ORACLE_S3, "%s says that %s was handed over to %s, '%s' holds it",
                       world->name[issuer].text, world->resource[i].text, transfer->to.text,
                       at < 0 ? "" : replica->table.record[at].holder.text);
    }
}

/* ---- a split vote: three quarters of an election timeout later at the latest it stands again */

static bool votes(const struct raft *raft)
{
    int self = raft_member_index(&raft->members, &raft->config.self);
    return self >= 0 && raft->members.member[self].voter;
}

/* It has a vote, and neither it nor its clocks stood or stepped since then. */
static bool is_timed(const struct world *world, int issuer, int64_t since_us)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    int machine = world->machine_of[issuer];
    return votes(raft) && !world->clock[machine].raw.stands &&
           world->touched_us[machine] < since_us &&
           world->issuer[issuer].process.paused_until_us < since_us;
}

void oracle_issuer_steps(struct world *world, int issuer)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    int64_t most_us = (int64_t)SIM_ELECTION_MS * 1000 * world->plan.scale * 7 / 8;
    bool patient = !instant_reached(raft->patient_until, clock_local(world, issuer));
    if (raft->role == RAFT_CANDIDATE && raft->term == seen->split_term &&
        world->now_us - seen->split_us > most_us && is_timed(world, issuer, seen->split_us))
        world_fail(world, ORACLE_L2, "%s was refused a vote in term %llu, and waited for %lld us",
                   world->name[issuer].text, (unsigned long long)raft->term,
                   (long long)(world->now_us - seen->split_us));
    /* Where disks are slow, a majority may still say yes: it asks again as often as it would stand. */
    if (patient)
        seen->split_us = world->now_us;
}

static void note_split(struct world *world, int issuer, const struct raft_message *message)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    if (!message || message->kind != RAFT_VOTE_REPLY || message->pre || message->granted ||
        raft->role != RAFT_CANDIDATE || message->term != raft->term ||
        message->nonce != raft->life + raft->term || seen->split_term == raft->term)
        return;
    seen->split_term = raft->term;
    seen->split_us = world->now_us;
}

void oracle_issuer_stepped(struct world *world, int issuer, const struct replica_event *event,
                           const struct replica_output *out)
{
    check_hand_over(world, issuer, event, out);
    check_transfers(world, issuer);
    note_split(world, issuer, event->raft_message);
}

void oracle_issuer_starts(struct world *world, int issuer)
{
    struct oracle_issuer *seen = issuer_of(world, issuer);
    seen->hand_over = (struct hf_name){ { 0 } };
    seen->split_term = 0;
    for (int i = 0; i < SIM_RESOURCES_MAX; i++)
        seen->transfer[i] = ISSUER_TRANSFER_NONE;
}
