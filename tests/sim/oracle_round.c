/* VOTE, DISK and S4: terms and votes as others see them, and who stood behind a renewal. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* ---- terms */

/* A voter that has gone on to a later term may have voted for him in this one. */
static void check_elected(struct world *world, int issuer, uint64_t term)
{
    const struct raft_members *members = &world->issuer[issuer].replica->raft.members;
    int voters = 0;
    int votes = 0;
    for (int i = 0; i < members->count; i++) {
        int node = world_issuer(world, &members->member[i].id);
        const struct oracle_issuer *seen = &world->oracle.issuer[node];
        bool voted =
            seen->durable_term == term && name_equal(&seen->durable_vote, &world->name[issuer]);
        bool promised =
            (seen->forgetful || seen->put_back) &&
            (seen->lost_term > term ||
             (seen->lost_term == term && name_equal(&seen->lost_vote, &world->name[issuer])));
        voters += members->member[i].voter;
        votes += members->member[i].voter && (voted || promised || seen->durable_term > term);
    }
    if (2 * votes <= voters)
        world_fail(world, ORACLE_VOTE, "%s leads in term %llu with the votes of %d of %d",
                   world->name[issuer].text, (unsigned long long)term, votes, voters);
}

void oracle_term(struct world *world, int issuer)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    const struct sim_issuer *node = &world->issuer[issuer];
    struct oracle_term now = { world->now_us, 0,
                               node->process.up && !seen->forgetful && !seen->put_back };
    const struct oracle_term *last = &seen->change[(seen->change_count - 1) % ORACLE_TERM_CHANGES];
    if (now.up) {
        now.term = node->replica->raft.term;
        HF_CHECK(now.term < ORACLE_TERMS_MAX);
        if (world->oracle.steady_term != 0 && now.term != world->oracle.steady_term)
            world_fail(world, ORACLE_L2, "%s is in term %llu; only disks were slow, in term %llu",
                       world->name[issuer].text, (unsigned long long)now.term,
                       (unsigned long long)world->oracle.steady_term);
    }
    if (seen->change_count == 0 || last->up != now.up || last->term != now.term)
        seen->change[seen->change_count++ % ORACLE_TERM_CHANGES] = now;
    if (!node->process.up || node->replica->raft.role != RAFT_LEADER)
        return;
    int8_t *leader = &world->oracle.leader[now.term];
    if (*leader == ORACLE_NOBODY)
        check_elected(world, issuer, now.term);
    if (*leader != ORACLE_NOBODY && *leader != issuer)
        world_fail(world, ORACLE_VOTE, "%s and %s lead in term %llu", world->name[*leader].text,
                   world->name[issuer].text, (unsigned long long)now.term);
    *leader = (int8_t)issuer;
}

void oracle_check_one_leads(struct world *world)
{
    int leader = sim_issuer_leader(world);
    for (int i = 0; i < world->issuer_count; i++) {
        const struct sim_issuer *issuer = &world->issuer[i];
        if (i != leader && issuer->process.up && issuer->replica->raft.role == RAFT_LEADER)
            world_fail(world, ORACLE_L1, "%s still leads in term %llu, and no majority follows",
                       world->name[i].text, (unsigned long long)issuer->replica->raft.term);
    }
}

/* Was the issuer up, in a term not above `term`, at some instant since `since_us`? */
static bool followed_since(const struct oracle_issuer *seen, int64_t since_us, uint64_t term)
{
    uint32_t oldest =
        seen->change_count > ORACLE_TERM_CHANGES ? seen->change_count - ORACLE_TERM_CHANGES : 0;
    for (uint32_t i = seen->change_count; i-- > oldest;) {
        const struct oracle_term *change = &seen->change[i % ORACLE_TERM_CHANGES];
        if (change->up && change->term <= term)
            return true;
        if (change->us <= since_us)
            return false;
    }
    return oldest > 0;
}

/* ---- votes */

static void check_durable(struct world *world, int issuer, uint64_t term,
                          const struct hf_name *vote, const char *what)
{
    const struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    if (seen->durable_term != term || !name_equal(&seen->durable_vote, vote))
        world_fail(world, ORACLE_VOTE, "%s %s %s in term %llu; its disk has term %llu, vote '%s'",
                   world->name[issuer].text, what, vote->text, (unsigned long long)term,
                   (unsigned long long)seen->durable_term, seen->durable_vote.text);
}

/* Whoever acknowledges entries in a term follows no leader of an earlier one any more. */
static void check_acknowledged(struct world *world, int issuer, const struct raft_message *message)
{
    const struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    bool counts = (message->kind == RAFT_APPEND_REPLY && message->success) ||
                  (message->kind == RAFT_SNAPSHOT_REPLY && message->installed);
    if (counts && seen->durable_term < message->term)
        world_fail(world, ORACLE_VOTE, "%s acknowledges in term %llu; its disk has term %llu",
                   world->name[issuer].text, (unsigned long long)message->term,
                   (unsigned long long)seen->durable_term);
}

void oracle_raft_sent(struct world *world, const struct raft_message *message)
{
    int from = world_issuer(world, &message->from);
    if (message->kind == RAFT_VOTE_REPLY && !message->pre && message->granted)
        check_durable(world, from, message->term, &message->to, "votes for");
    if (message->kind == RAFT_VOTE_REQUEST && !message->pre)
        check_durable(world, from, message->term, &message->from, "campaigns as");
    check_acknowledged(world, from, message);
    oracle_disk_said(world, message);
    oracle_memory_sent(world, message);
    put_back_sent(world, message);
}

void oracle_raft_arrived(struct world *world, int issuer, const struct raft_message *message,
                         int64_t sent_us)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    int from = world_issuer(world, &message->from);
    oracle_memory_arrived(world, issuer, message);
    if (message->kind != RAFT_HEARTBEAT_REPLY)
        return;
    if (message->term > seen->reply_term[from]) {
        seen->reply_term[from] = message->term;
        seen->reply_sent_us[from] = 0;
    }
    if (message->term == seen->reply_term[from] && sent_us > seen->reply_sent_us[from])
        seen->reply_sent_us[from] = sent_us;
}

/*
 * Whether a vote that was durable is another one in its term. Who recovers stands by whoever leads,
 * whatever it voted before that.
 */
static bool vote_is_another(const struct world *world, const struct oracle_issuer *seen,
                            uint64_t term, const struct hf_name *vote)
{
    if (term != seen->durable_term || name_empty(&seen->durable_vote) ||
        name_equal(&seen->durable_vote, vote))
        return false;
    return !seen->forgetful || name_empty(vote) ||
           world->oracle.leader[term] != world_issuer(world, vote);
}

void oracle_durable(struct world *world, int issuer, uint64_t term, const struct hf_name *vote)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    if (term < seen->durable_term || vote_is_another(world, seen, term, vote))
        world_fail(world, ORACLE_VOTE, "%s stores term %llu, vote '%s' over term %llu, vote '%s'",
                   world->name[issuer].text, (unsigned long long)term, vote->text,
                   (unsigned long long)seen->durable_term, seen->durable_vote.text);
    seen->durable_term = term;
    seen->durable_vote = *vote;
}

void oracle_recovered(struct world *world, int issuer, const struct raft_recovered *recovered)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    if (recovered->term < seen->durable_term ||
        vote_is_another(world, seen, recovered->term, &recovered->vote))
        world_fail(world, ORACLE_DISK, "%s recovers term %llu, vote '%s'; it had %llu, '%s'",
                   world->name[issuer].text, (unsigned long long)recovered->term,
                   recovered->vote.text, (unsigned long long)seen->durable_term,
                   seen->durable_vote.text);
    oracle_disk_recovered(world, issuer, recovered);
    seen->durable_term = recovered->term;
    seen->durable_vote = recovered->vote;
    seen->applied = recovered->snapshot_index;
    seen->serving = false;
    memset(seen->reply_term, 0, sizeof(seen->reply_term));
}

/* ---- renewals */

void oracle_renewal_sent(struct world *world, int board, const struct lease_message *message)
{
    struct oracle_renewal *renewal =
        &world->oracle.board[board].renewal[message->nonce % ORACLE_RENEWALS];
    /* One renewal goes to several issuers: it was sent once. */
    if (renewal->nonce == message->nonce)
        return;
    *renewal = (struct oracle_renewal){ .nonce = message->nonce,
                                        .sent_us = world->now_us,
                                        .life = world->board[board].agent.process->life };
}

void oracle_release_sent(struct world *world, int board, const struct lease_message *message)
{
    uint64_t *released =
        &world->oracle.board[board].released_token[world_resource(world, &message->resource)];
    if (message->token > *released)
        *released = message->token;
}

void oracle_renewal_arrived(struct world *world, int issuer, int board,
                            const struct lease_message *message)
{
    struct oracle_renewal *renewal =
        &world->oracle.board[board].renewal[message->nonce % ORACLE_RENEWALS];
    uint32_t life = world->issuer[issuer].process.life;
    if (renewal->nonce != message->nonce || renewal->received_life[issuer] == life)
        return;
    renewal->received_life[issuer] = life;
    renewal->received_us[issuer] = world->now_us;
}

static void check_majority(struct world *world, int issuer, int64_t received_us, const char *what)
{
    const struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    uint64_t term = world->issuer[issuer].replica->raft.term;
    const struct raft_members *members = &world->issuer[issuer].replica->raft.members;
    int voters = 0;
    int followed = 0;
    int answered = 0;
    for (int m = 0; m < members->count; m++) {
        int i = world_issuer(world, &members->member[m].id);
        bool asked = seen->reply_term[i] == term && seen->reply_sent_us[i] >= received_us;
        if (!members->member[m].voter)
            continue;
        voters++;
        followed += followed_since(&world->oracle.issuer[i], received_us, term);
        answered += i == issuer || asked;
    }
    if (2 * followed <= voters)
        world_fail(world, ORACLE_S4, "%s answers a %s in term %llu that %d of %d issuers had left",
                   world->name[issuer].text, what, (unsigned long long)term, voters - followed,
                   voters);
    if (2 * answered <= voters)
        world_fail(world, ORACLE_S4, "%s answers a %s that %d of %d issuers confirmed",
                   world->name[issuer].text, what, answered, voters);
}

void oracle_renewed(struct world *world, int issuer, int board, const struct lease_message *message)
{
    const struct oracle *oracle = &world->oracle;
    const struct oracle_renewal *renewal =
        &oracle->board[board].renewal[message->nonce % ORACLE_RENEWALS];
    bool known = renewal->nonce == message->nonce &&
                 renewal->received_life[issuer] == world->issuer[issuer].process.life;
    for (uint8_t i = 0; i < message->item_count; i++) {
        uint64_t token = message->items[i].token;
        if (message->items[i].lost) {
            world_cover(world, COVERAGE_LOST_ANSWERS);
            continue;
        }
        world_cover(world, COVERAGE_RENEWALS);
        const struct oracle_entry *grant = &oracle->entry[token <= oracle->last ? token : 0];
        if (!grant->grant || grant->board != board)
            world_fail(world, ORACLE_S4, "%s renews token %llu, which was never granted to %s",
                       world->name[issuer].text, (unsigned long long)token,
                       world->name[board_node(world, board)].text);
        if (known && grant->ended_index != 0 && grant->ended_us < renewal->received_us[issuer])
            world_fail(world, ORACLE_S4, "%s renews token %llu, which ended before it was asked",
                       world->name[issuer].text, (unsigned long long)token);
        if (known)
            check_majority(world, issuer, renewal->received_us[issuer], "renewal");
    }
}

/* ---- reads */

void oracle_read(struct world *world, int issuer, int64_t asked_us, uint64_t index)
{
    check_majority(world, issuer, asked_us, "read");
    if (world->issuer[issuer].replica->table.applied < index)
        world_fail(world, ORACLE_S3, "%s answers a read without entry %llu, which was applied then",
                   world->name[issuer].text, (unsigned long long)index);
}
