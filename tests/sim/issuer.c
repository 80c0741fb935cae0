/* An issuer's process: the replica above the journal above a simulated disk. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/timing.h"
#include "tests/sim/sim.h"

static const struct raft_entry *entry_at(const void *log, uint64_t index)
{
    return raft_entry_at(log, index);
}

/* ---- disk */

static void note_hard_state(struct sim_issuer *issuer, const struct raft_persist *persist)
{
    if (!persist->hard_state)
        return;
    HF_CHECK(issuer->hard_count < SIM_HARD_STATES_MAX);
    issuer->hard[issuer->hard_count++] =
        (struct hard_state){ persist->seq, persist->term, persist->vote };
}

static void flush(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    int slot = issuer->journal.slot;
    if (issuer->flushing || issuer->store_failed || !journal_take(&issuer->journal))
        return;
    if (issuer->journal.slot != slot && slot >= 0)
        world_cover(world, COVERAGE_SLOT_SWITCHES);
    oracle_disk_taken(world, node);
    issuer->flushing = true;
    issuer->flush_failed = journal_flush(&issuer->journal) != JOURNAL_OK;
    int64_t flush_us = disk_flush_us(world, &issuer->disk);
    world_post(world, EVENT_ISSUER_DISK, node, flush_us, NULL, 0);
    trace_flush_begins(world, node);
    if (issuer->doom.at != DOOM_FLUSH)
        return;
    issuer->doom.at = DOOM_NONE;
    world_post(world, EVENT_DEATH, node, random_between(issuer->disk.random, 1, flush_us), NULL, 0);
}

static void persist(struct world *world, int node, const struct raft_persist *batch)
{
    struct sim_issuer *issuer = &world->issuer[node];
    const struct journal_log log = { entry_at, &issuer->replica->raft };
    if (issuer->store_failed)
        return;
    if (batch->truncate_from > 0)
        world_cover(world, COVERAGE_LOG_TRUNCATIONS);
    note_hard_state(issuer, batch);
    oracle_disk_appended(world, node, batch);
    oracle_members_appended(world, node, batch);
    enum journal_result result = journal_append(&issuer->journal, batch, &log);
    if (result != JOURNAL_OK)
        world_fail(world, ORACLE_DISK, "%s: batch %llu does not fit the journal",
                   world->name[node].text, (unsigned long long)batch->seq);
    flush(world, node);
}

static void tell_durable(struct world *world, int node, uint64_t seq)
{
    struct sim_issuer *issuer = &world->issuer[node];
    size_t done = 0;
    for (; done < issuer->hard_count && issuer->hard[done].seq <= seq; done++)
        oracle_durable(world, node, issuer->hard[done].term, &issuer->hard[done].vote);
    issuer->hard_count -= done;
    memmove(issuer->hard, issuer->hard + done, issuer->hard_count * sizeof(issuer->hard[0]));
}

void sim_issuer_disk(struct world *world, const struct event *event)
{
    struct sim_issuer *issuer = &world->issuer[event->node];
    issuer->flushing = false;
    if (issuer->flush_failed) {
        const struct replica_event failed = { .kind = REPLICA_STORE_FAILED };
        log_note(world, "%s: store failed: %s", world->name[event->node].text,
                 issuer->journal.error);
        world_cover(world, COVERAGE_STORE_FAILURES);
        issuer->store_failed = true;
        sim_issuer_step(world, event->node, &failed);
        return;
    }
    uint64_t seq = journal_taken_seq(&issuer->journal);
    disk_settle(&issuer->disk);
    tell_durable(world, event->node, seq);
    trace_flush_done(world, event->node);
    oracle_disk_synced(world, event->node);
    flush(world, event->node);
    const struct replica_event persisted = { .kind = REPLICA_PERSISTED, .seq = seq };
    sim_issuer_step(world, event->node, &persisted);
}

/* ---- one step, and what it asks for */

static void send_raft(struct world *world, int node, struct raft_message *message)
{
    if (world->settings.plant == PLANT_VOTE && message->kind == RAFT_VOTE_REPLY && !message->pre)
        message->granted = true;
    int to = world_issuer(world, &message->to);
    HF_CHECK(to >= 0);
    oracle_raft_sent(world, message);
    meet_raft_sent(world, node, message);
    size_t length = wire_encode_raft(message, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, node, to, world->scratch->frame, length);
}

static void send_lease(struct world *world, int node, int to, struct lease_message *message)
{
    if (world->settings.plant == PLANT_TOKEN && message->kind == LEASE_GRANTED)
        message->token++;
    if (message->kind == LEASE_YIELD)
        world_cover(world, COVERAGE_YIELDS);
    oracle_issuer_says(world, node, to - world->issuer_count, message);
    trace_issuer_says(world, node, to - world->issuer_count, message);
    size_t length = wire_encode_lease(message, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, node, to, world->scratch->frame, length);
}

static void note_role(struct world *world, int node)
{
    const struct raft *raft = &world->issuer[node].replica->raft;
    log_note(world, "%s: %s in term %llu, leader %s", world->name[node].text,
             raft_role_name(raft->role), (unsigned long long)raft->term,
             name_empty(&raft->leader) ? "unknown" : raft->leader.text);
    if (raft->role == RAFT_LEADER && !raft->serving)
        world_cover(world, COVERAGE_ELECTIONS);
}

static void carry_out(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    struct replica_output *output = &world->scratch->output;
    for (size_t i = 0; i < output->persist_count; i++)
        persist(world, node, &output->persist[i]);
    for (size_t i = 0; i < output->raft_message_count; i++)
        send_raft(world, node, &output->raft_message[i]);
    for (size_t i = 0; i < output->client_send_count; i++)
        send_lease(world, node, world_board_node(world, &output->client_send[i].node),
                   &output->client_send[i].message);
    if (output->role_changed)
        note_role(world, node);
    issuer->wake_at = output->wake_at;
    process_arm(world, EVENT_ISSUER_TIMER, node, issuer->wake_at);
}

static void step_once(struct world *world, int node, const struct replica_event *event)
{
    struct sim_issuer *issuer = &world->issuer[node];
    bool renewals_wait = issuer->replica->issuer.renewal_count > 0;
    bool led = issuer->replica->raft.role == RAFT_LEADER;
    bool installing = meet_installing(world, node);
    uint64_t term = issuer->replica->raft.term;
    uint64_t snapshot = issuer->replica->raft.snapshot_index;
    struct raft_members members = issuer->replica->raft.members;
    uint64_t members_index = issuer->replica->raft.members_index;
    replica_step(issuer->replica, event, clock_local(world, node), &world->scratch->output);
    put_back_look(world);
    if (led && renewals_wait && issuer->replica->raft.role != RAFT_LEADER)
        world_cover(world, COVERAGE_LEADER_LOST_IN_RENEWAL);
    if (installing && issuer->replica->raft.term != term)
        world_cover(world, COVERAGE_TERM_CHANGES_IN_INSTALL);
    if (issuer->replica->raft.snapshot_index > snapshot && event->kind != REPLICA_COMPACT) {
        world_cover(world, COVERAGE_SNAPSHOTS_INSTALLED);
        oracle_snapshot_installed(world, node);
        meet_snapshot_installed(world);
        if (memcmp(&members, &issuer->replica->raft.members, sizeof(members)) != 0)
            world_cover(world, COVERAGE_SNAPSHOTS_OF_MEMBERS);
        log_note(world, "%s: snapshot of entry %llu installed", world->name[node].text,
                 (unsigned long long)issuer->replica->raft.snapshot_index);
    }
    if (issuer->replica->halted && event->kind != REPLICA_STORE_FAILED && !issuer->store_failed)
        world_fail(world, ORACLE_LOG, "%s halted: %s", world->name[node].text,
                   issuer->replica->halted);
    if (issuer->replica->raft.members_index < members_index) {
        world_cover(world, COVERAGE_CHANGES_TAKEN_BACK);
        log_note(world, "%s: the change of members at entry %llu is taken back",
                 world->name[node].text, (unsigned long long)members_index);
    }
    oracle_term(world, node);
    if (world->scratch->output.act.index != 0)
        oracle_act_asked(world, node, &world->scratch->output.act);
    oracle_applied(world, node);
    carry_out(world, node);
    gate_after_step(world, node);
    oracle_memory(world, node);
}

void sim_issuer_step(struct world *world, int node, const struct replica_event *event)
{
    struct replica_event compact = { .kind = REPLICA_COMPACT };
    struct replica_event timed = *event;
    compact.wall_us = timed.wall_us = world->now_us + world->wall_offset_us[node];
    step_once(world, node, &timed);
    if (!replica_wants_snapshot(world->issuer[node].replica))
        return;
    world_cover(world, COVERAGE_SNAPSHOTS_TAKEN);
    step_once(world, node, &compact);
}

/* ---- events */

void sim_issuer_timer(struct world *world, const struct event *event)
{
    const struct replica_event timer = { .kind = REPLICA_TIMER };
    struct sim_issuer *issuer = &world->issuer[event->node];
    /* It may be early by RAW: the core is stepped all the same, as by the shell. */
    if (issuer->timer.wake_at.us == issuer->wake_at.us ||
        instant_reached(issuer->wake_at, clock_local(world, event->node)))
        sim_issuer_step(world, event->node, &timer);
    else
        process_arm(world, EVENT_ISSUER_TIMER, event->node, issuer->wake_at);
}

/* The planted bug: renewals answered by whoever gets them. */
static void answer_without_leading(struct world *world, int node, int to,
                                   const struct lease_message *renewal)
{
    if (world->settings.plant != PLANT_ANSWER || renewal->kind != LEASE_RENEW ||
        replica_serving(world->issuer[node].replica))
        return;
    struct lease_message answer = *renewal;
    answer.kind = LEASE_RENEWED;
    answer.round_trip_us = 0;
    answer.slack_us = 0;
    send_lease(world, node, to, &answer);
}

void sim_issuer_frame(struct world *world, const struct event *event)
{
    const struct bytes frame = { event->data, event->length };
    if (!net_arrives(world, event))
        return;
    const char *wrong = wire_decode(&world->scratch->message, frame);
    if (wrong)
        world_fail(world, ORACLE_PANIC, "%s: frame refused: %s", world->name[event->node].text,
                   wrong);
    if (world->scratch->message.kind == WIRE_ISSUERS) {
        gate_told(world, event->node, event->peer, &world->scratch->message.issuers);
        return;
    }
    if (world->scratch->message.kind == WIRE_RAFT) {
        struct replica_event raft = { .kind = REPLICA_RAFT_MESSAGE,
                                      .raft_message = &world->scratch->message.raft };
        if (!gate_hears(world, event->node, event->peer))
            return;
        meet_raft_arrived(world, event->node, &world->scratch->message.raft);
        oracle_raft_arrived(world, event->node, &world->scratch->message.raft, event->sent_us);
        sim_issuer_step(world, event->node, &raft);
        return;
    }
    struct replica_event lease = { .kind = REPLICA_LEASE_MESSAGE,
                                   .node = world->name[event->peer],
                                   .lease_message = &world->scratch->message.lease };
    if (world->scratch->message.lease.kind == LEASE_RENEW)
        oracle_renewal_arrived(world, event->node, event->peer - world->issuer_count,
                               &world->scratch->message.lease);
    meet_lease_arrived(world, event->node, event->peer - world->issuer_count,
                       &world->scratch->message.lease);
    answer_without_leading(world, event->node, event->peer, &world->scratch->message.lease);
    sim_issuer_step(world, event->node, &lease);
}

void sim_issuer_link(struct world *world, int node, int peer, bool up)
{
    struct replica_event event = { .node = world->name[peer] };
    log_note(world, "%s: connection to %s %s", world->name[node].text, world->name[peer].text,
             up ? "up" : "down");
    event.kind = REPLICA_PEER_DOWN;
    if (!up && peer < world->issuer_count)
        sim_issuer_step(world, node, &event);
    event.kind = up ? REPLICA_CLIENT_UP : REPLICA_CLIENT_DOWN;
    if (world->board_on[peer] >= 0)
        sim_issuer_step(world, node, &event);
    if (up)
        gate_link_up(world, node, peer);
}

int sim_issuer_leader(const struct world *world)
{
    int leader = -1;
    for (int i = 0; i < world->issuer_count; i++) {
        const struct sim_issuer *issuer = &world->issuer[i];
        if (!issuer->process.up || !replica_serving(issuer->replica))
            continue;
        if (leader < 0 || issuer->replica->raft.term > world->issuer[leader].replica->raft.term)
            leader = i;
    }
    return leader;
}

/* ---- life */

void sim_issuer_allocate(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    issuer->memory = (struct journal_config){
        .ops = &sim_disk_ops,
        .disk = &issuer->disk,
        .cluster = "sim",
        .node = world->name[node],
        .growth_bytes = world->plan.growth_bytes,
    };
    memory_issuer(issuer, node);
    if (!issuer->disk.world)
        disk_init(world, &issuer->disk, node);
}

void sim_bootstrap_members(const struct world *world, struct raft_members *members)
{
    memset(members, 0, sizeof(*members));
    members->count = (uint8_t)(world->issuer_count - world->plan.spare_issuers);
    for (int i = 0; i < members->count; i++)
        members->member[i] = (struct raft_member){ .id = world->name[i], .voter = true };
}

/* False: it died within its recovery. */
static bool open_journal(struct world *world, int node, struct journal_recovered *recovered)
{
    struct sim_issuer *issuer = &world->issuer[node];
    if (journal_open_or_begin_anew(&issuer->journal, &issuer->memory, recovered) != JOURNAL_OK)
        world_fail(world, ORACLE_DISK, "%s: %s", world->name[node].text, issuer->journal.error);
    if (recovered->set_aside) {
        world_cover(world, COVERAGE_DAMAGE_REPORTED);
        log_note(world, "%s: %s", world->name[node].text, recovered->damage);
    }
    bool lost = recovered->set_aside || recovered->fresh;
    if (issuer->damaged && (lost || recovered->raft.standing == RAFT_UNSURE))
        oracle_forgets(world, node);
    if (world->issuer_count == 1 && issuer->damaged && lost)
        world_cover(world, COVERAGE_LONE_LOST);
    if (issuer->damaged && !lost && recovered->raft.standing == RAFT_UNSURE)
        oracle_begun_by_mistake(world, node, &recovered->raft);
    else if (!issuer->damaged && recovered->set_aside)
        world_fail(world, ORACLE_DISK, "%s reports damage, there was none: %s",
                   world->name[node].text, recovered->damage);
    issuer->damaged = false;
    if (recovered->cut_bytes > 0)
        world_cover(world, COVERAGE_TORN_TAILS);
    if (!world->quiet && issuer->doom.at == DOOM_START) {
        world_cover(world, COVERAGE_DEATHS_IN_RECOVERY);
        issuer->doom.at = DOOM_NONE;
        fault_kill_issuer(world, node, issuer->doom.power, issuer->doom.down_us);
        return false;
    }
    disk_settle(&issuer->disk);
    if (journal_knows_no_members(recovered)) {
        sim_bootstrap_members(world, &recovered->raft.members);
        if (issuer->alone)
            recovered->raft.members =
                (struct raft_members){ .count = 1,
                                       .member[0] = { .id = world->name[node], .voter = true } };
        journal_keep_members(&issuer->journal, &recovered->raft.members);
    }
    if (put_back_starts(world, node))
        oracle_put_back(world, node, &recovered->raft);
    oracle_recovered(world, node, &recovered->raft);
    return true;
}

void sim_issuer_start(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    struct journal_recovered recovered;
    sim_issuer_allocate(world, node);
    timer_stop(&issuer->timer);
    issuer->flushing = false;
    issuer->store_failed = false;
    issuer->hard_count = 0;
    issuer->disk.sync_error = 0;
    if (!open_journal(world, node, &recovered))
        return;
    const struct raft_config raft = {
        .self = world->name[node],
        .election = span_from_ms(SIM_ELECTION_MS * world->plan.scale),
        .heartbeat = span_from_ms(SIM_HEARTBEAT_MS * world->plan.scale),
        .random_seed = random_next(world_random(world, STREAM_PROCESS, node)),
    };
    const struct issuer_config config = {
        .self = world->name[node],
        .drift_ppm = SIM_DRIFT_PPM,
        .policy = world->policy,
        .policy_count = (size_t)world->resource_count,
    };
    gate_start(world, node);
    replica_init(issuer->replica, &raft, &config, &recovered.raft, clock_local(world, node));
    log_note(world, "%s: starts in term %llu, log %llu..%llu", world->name[node].text,
             (unsigned long long)recovered.raft.term,
             (unsigned long long)recovered.raft.snapshot_index + 1,
             (unsigned long long)(recovered.raft.snapshot_index + recovered.raft.entry_count));
    if (issuer->replica->halted)
        world_fail(world, ORACLE_DISK, "%s: %s", world->name[node].text, issuer->replica->halted);
    oracle_term(world, node);
    oracle_applied(world, node);
    issuer->wake_at = clock_local(world, node);
    process_arm(world, EVENT_ISSUER_TIMER, node, issuer->wake_at);
}

void sim_issuer_stop(struct world *world, int node, bool power)
{
    struct sim_issuer *issuer = &world->issuer[node];
    log_note(world, "%s: %s", world->name[node].text, power ? "power cut" : "killed");
    timer_stop(&issuer->timer);
    oracle_term(world, node);
    if (raft_standing(&issuer->replica->raft) == RAFT_RECOVERING)
        world_cover(world, COVERAGE_RECOVERIES_INTERRUPTED);
    if (power)
        disk_power_cut(&issuer->disk);
    else
        disk_kill(&issuer->disk);
    if (issuer->replica->issuer.renewal_count > 0)
        world_cover(world, COVERAGE_LEADERS_DIED_IN_RENEWAL);
    bool served = replica_serving(issuer->replica);
    oracle_acts_dropped(world, node);
    issuer->replica = NULL;
    put_back_look(world);
    if (served)
        meet_no_longer_serves(world);
}
