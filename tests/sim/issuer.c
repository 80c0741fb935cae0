/*
 * An issuer's process: daemon/issuer as it ships, with the store as it ships, above a simulated disk.
 * Whatever they call of the system ends in the world: loop.c, heap.c, disk.c. What passes between
 * them and the core is seen here (the Makefile wraps those calls), and not changed.
 */
#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include "base/check.h"
#include "base/timing.h"
#include "issuer/issuer_shell.h"
#include "tests/sim/sim.h"

static jmp_buf dies_in_recovery;

static struct sim_issuer *running_issuer(void)
{
    return &loop_running()->world->issuer[loop_running()->machine];
}

/* ---- its journal and disk */

enum journal_result __wrap_journal_append(struct journal *journal, const struct raft_persist *batch,
                                          const struct journal_log *log);
enum journal_result __real_journal_append(struct journal *journal, const struct raft_persist *batch,
                                          const struct journal_log *log);
bool __wrap_journal_take(struct journal *journal);
bool __real_journal_take(struct journal *journal);
enum journal_result __wrap_journal_flush(struct journal *journal);
enum journal_result __real_journal_flush(struct journal *journal);
enum journal_result __wrap_journal_open_or_begin_anew(struct journal *journal,
                                                      const struct journal_config *config,
                                                      struct journal_recovered *out);
enum journal_result __real_journal_open_or_begin_anew(struct journal *journal,
                                                      const struct journal_config *config,
                                                      struct journal_recovered *out);

static void note_hard_state(struct sim_issuer *issuer, const struct raft_persist *persist)
{
    if (!persist->hard_state)
        return;
    HF_CHECK(issuer->hard_count < SIM_HARD_STATES_MAX);
    issuer->hard[issuer->hard_count++] =
        (struct hard_state){ persist->seq, persist->term, persist->vote };
}

enum journal_result __wrap_journal_append(struct journal *journal, const struct raft_persist *batch,
                                          const struct journal_log *log)
{
    if (!loop_runs())
        return __real_journal_append(journal, batch, log);
    struct world *world = loop_running()->world;
    int node = loop_running()->machine;
    if (batch->truncate_from > 0)
        world_cover(world, COVERAGE_LOG_TRUNCATIONS);
    note_hard_state(&world->issuer[node], batch);
    oracle_disk_appended(world, node, batch);
    oracle_members_appended(world, node, batch);
    enum journal_result result = __real_journal_append(journal, batch, log);
    if (result != JOURNAL_OK)
        world_fail(world, ORACLE_DISK, "%s: batch %llu does not fit the journal",
                   world->name[node].text, (unsigned long long)batch->seq);
    return result;
}

bool __wrap_journal_take(struct journal *journal)
{
    int slot = journal->slot;
    bool taken = __real_journal_take(journal);
    if (!taken || !loop_runs())
        return taken;
    if (journal->slot != slot && slot >= 0)
        world_cover(loop_running()->world, COVERAGE_SLOT_SWITCHES);
    oracle_disk_taken(loop_running()->world, loop_running()->machine);
    return taken;
}

enum journal_result __wrap_journal_flush(struct journal *journal)
{
    enum journal_result result = __real_journal_flush(journal);
    if (!loop_runs())
        return result;
    struct world *world = loop_running()->world;
    int node = loop_running()->machine;
    struct sim_issuer *issuer = &world->issuer[node];
    int64_t flush_us = disk_flush_us(world, &issuer->disk);
    issuer->flush_failed = result != JOURNAL_OK;
    loop_thread_takes(flush_us);
    trace_flush_begins(world, node);
    if (issuer->doom.at != DOOM_FLUSH)
        return result;
    issuer->doom.at = DOOM_NONE;
    world_post(world, EVENT_DEATH, node, random_between(issuer->disk.random, 1, flush_us), NULL, 0);
    return result;
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

/* The disk is done with a flush, and the store's writer wakes the loop. */
void sim_issuer_disk(struct world *world, const struct event *event)
{
    struct sim_issuer *issuer = &world->issuer[event->node];
    if (issuer->flush_failed) {
        world_cover(world, COVERAGE_STORE_FAILURES);
        issuer->store_failed = true;
    } else {
        disk_settle(&issuer->disk);
        tell_durable(world, event->node, journal_taken_seq(issuer->live));
        trace_flush_done(world, event->node);
        oracle_disk_synced(world, event->node);
    }
    loop_async(world, event);
}

static void judge_recovered(struct world *world, int node, const struct journal_recovered *found)
{
    struct sim_issuer *issuer = &world->issuer[node];
    if (found->set_aside)
        world_cover(world, COVERAGE_DAMAGE_REPORTED);
    bool lost = found->set_aside || found->fresh;
    if (issuer->damaged && (lost || found->raft.standing == RAFT_UNSURE))
        oracle_forgets(world, node);
    if (issuer->damaged && !lost && found->raft.standing == RAFT_UNSURE)
        oracle_begun_by_mistake(world, node, &found->raft);
    else if (!issuer->damaged && found->set_aside)
        world_fail(world, ORACLE_DISK, "%s reports damage, there was none: %s",
                   world->name[node].text, found->damage);
    issuer->damaged = false;
    if (found->cut_bytes > 0)
        world_cover(world, COVERAGE_TORN_TAILS);
}

enum journal_result __wrap_journal_open_or_begin_anew(struct journal *journal,
                                                      const struct journal_config *config,
                                                      struct journal_recovered *out)
{
    struct world *world = loop_running()->world;
    struct sim_issuer *issuer = running_issuer();
    struct journal_config smaller = *config;
    smaller.growth_bytes = world->plan.growth_bytes;
    enum journal_result result = __real_journal_open_or_begin_anew(journal, &smaller, out);
    if (result != JOURNAL_OK)
        world_fail(world, ORACLE_DISK, "%s: %s", world->name[loop_running()->machine].text,
                   journal->error);
    issuer->live = journal;
    judge_recovered(world, loop_running()->machine, out);
    if (!world->quiet && issuer->doom.at == DOOM_START)
        longjmp(dies_in_recovery, 1);
    disk_settle(&issuer->disk);
    return result;
}

/* ---- its replica */

void __wrap_replica_init(struct replica *replica, const struct raft_config *raft,
                         const struct issuer_config *config, const struct raft_recovered *recovered,
                         struct instant now);
void __real_replica_init(struct replica *replica, const struct raft_config *raft,
                         const struct issuer_config *config, const struct raft_recovered *recovered,
                         struct instant now);
void __wrap_replica_step(struct replica *replica, const struct replica_event *event,
                         struct instant now, struct replica_output *out);
void __real_replica_step(struct replica *replica, const struct replica_event *event,
                         struct instant now, struct replica_output *out);

void __wrap_replica_init(struct replica *replica, const struct raft_config *raft,
                         const struct issuer_config *config, const struct raft_recovered *recovered,
                         struct instant now)
{
    struct world *world = loop_running()->world;
    int node = loop_running()->machine;
    oracle_recovered(world, node, recovered);
    __real_replica_init(replica, raft, config, recovered, now);
    world->issuer[node].replica = replica;
    log_note(world, "%s: starts in term %llu, log %llu..%llu", world->name[node].text,
             (unsigned long long)recovered->term, (unsigned long long)recovered->snapshot_index + 1,
             (unsigned long long)(recovered->snapshot_index + recovered->entry_count));
    if (replica->halted)
        world_fail(world, ORACLE_DISK, "%s: %s", world->name[node].text, replica->halted);
    oracle_term(world, node);
    oracle_applied(world, node);
}

/* What it was before a step, as far as what becomes of it is of interest. */
struct before {
    bool led;
    bool renewals_wait;
    bool installing;
    uint64_t term;
    uint64_t snapshot;
    struct raft_members members;
    uint64_t members_index;
};

static void look(struct world *world, int node, const struct replica *replica,
                 struct before *before)
{
    before->led = replica->raft.role == RAFT_LEADER;
    before->renewals_wait = replica->issuer.renewal_count > 0;
    before->installing = meet_installing(world, node);
    before->term = replica->raft.term;
    before->snapshot = replica->raft.snapshot_index;
    before->members = replica->raft.members;
    before->members_index = replica->raft.members_index;
}

static void note_installed(struct world *world, int node, const struct before *before)
{
    const struct raft *raft = &world->issuer[node].replica->raft;
    world_cover(world, COVERAGE_SNAPSHOTS_INSTALLED);
    oracle_snapshot_installed(world, node);
    meet_snapshot_installed(world);
    if (memcmp(&before->members, &raft->members, sizeof(raft->members)) != 0)
        world_cover(world, COVERAGE_SNAPSHOTS_OF_MEMBERS);
    log_note(world, "%s: snapshot of entry %llu installed", world->name[node].text,
             (unsigned long long)raft->snapshot_index);
}

static void note_step(struct world *world, int node, const struct replica_event *event,
                      const struct before *before)
{
    const struct sim_issuer *issuer = &world->issuer[node];
    const struct raft *raft = &issuer->replica->raft;
    if (before->led && before->renewals_wait && raft->role != RAFT_LEADER)
        world_cover(world, COVERAGE_LEADER_LOST_IN_RENEWAL);
    if (before->installing && raft->term != before->term)
        world_cover(world, COVERAGE_TERM_CHANGES_IN_INSTALL);
    if (event->kind == REPLICA_COMPACT)
        world_cover(world, COVERAGE_SNAPSHOTS_TAKEN);
    else if (raft->snapshot_index > before->snapshot)
        note_installed(world, node, before);
    if (raft->role == RAFT_LEADER && !raft->serving && !before->led)
        world_cover(world, COVERAGE_ELECTIONS);
    if (issuer->replica->halted && event->kind != REPLICA_STORE_FAILED && !issuer->store_failed)
        world_fail(world, ORACLE_LOG, "%s halted: %s", world->name[node].text,
                   issuer->replica->halted);
    if (raft->members_index < before->members_index) {
        world_cover(world, COVERAGE_CHANGES_TAKEN_BACK);
        log_note(world, "%s: the change of members at entry %llu is taken back",
                 world->name[node].text, (unsigned long long)before->members_index);
    }
}

void __wrap_replica_step(struct replica *replica, const struct replica_event *event,
                         struct instant now, struct replica_output *out)
{
    struct world *world = loop_running()->world;
    int node = loop_running()->machine;
    struct before before;
    look(world, node, replica, &before);
    __real_replica_step(replica, event, now, out);
    note_step(world, node, event, &before);
    oracle_term(world, node);
    oracle_applied(world, node);
    oracle_memory(world, node);
}

/* ---- what it sends */

static bool send_raft(void *context, const struct raft_message *message)
{
    static struct raft_message said; /* large */
    struct world *world = context;
    int node = loop_running()->machine;
    int to = world_issuer(world, &message->to);
    HF_CHECK(to >= 0);
    said = *message;
    if (world->settings.plant == PLANT_VOTE && said.kind == RAFT_VOTE_REPLY && !said.pre)
        said.granted = true;
    oracle_raft_sent(world, &said);
    meet_raft_sent(world, node, &said);
    size_t length = wire_encode_raft(&said, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, node, to, world->scratch->frame, length);
    return true;
}

static void say(struct world *world, int node, int to, const struct lease_message *message)
{
    struct lease_message said = *message;
    if (world->settings.plant == PLANT_TOKEN && said.kind == LEASE_GRANTED)
        said.token++;
    if (said.kind == LEASE_YIELD)
        world_cover(world, COVERAGE_YIELDS);
    oracle_issuer_says(world, node, to - world->issuer_count, &said);
    trace_issuer_says(world, node, to - world->issuer_count, &said);
    size_t length = wire_encode_lease(&said, world->scratch->frame, WIRE_FRAME_MAX);
    HF_CHECK(length > 0);
    net_send(world, node, to, world->scratch->frame, length);
}

static bool send_to_agent(void *context, const struct hf_name *to,
                          const struct lease_message *message)
{
    say(context, loop_running()->machine, world_board_node(context, to), message);
    return true;
}

/* For people only: nothing hears it. */
static bool send_store(void *context, const struct hf_name *to, const struct wire_store *store)
{
    (void)context;
    (void)to;
    (void)store;
    return true;
}

static void send_issuers(void *context, const struct hf_name *to,
                         const struct wire_issuers *issuers)
{
    gate_tell(context, loop_running()->machine, to, issuers);
}

static void on_members(void *context, const struct raft *raft)
{
    (void)context;
    (void)raft;
}

static bool link_settled(void *context, const struct hf_name *issuer)
{
    return net_is_up(context, loop_running()->machine, world_issuer(context, issuer));
}

/* ---- events */

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
    say(world, node, to, &answer);
}

static void take_raft(struct world *world, const struct event *event,
                      const struct raft_message *message)
{
    if (!gate_hears(world, event->node, event->peer))
        return;
    meet_raft_arrived(world, event->node, message);
    oracle_raft_arrived(world, event->node, message, event->sent_us);
    issuer_shell_raft(world->issuer[event->node].shell, message);
}

static void take_lease(struct world *world, const struct event *event,
                       const struct lease_message *message)
{
    int board = event->peer - world->issuer_count;
    if (message->kind == LEASE_RENEW)
        oracle_renewal_arrived(world, event->node, board, message);
    meet_lease_arrived(world, event->node, board, message);
    answer_without_leading(world, event->node, event->peer, message);
    issuer_shell_lease(world->issuer[event->node].shell, &world->name[event->peer], message);
}

void sim_issuer_frame(struct world *world, const struct event *event)
{
    const struct bytes frame = { event->data, event->length };
    const struct wire_message *message = &world->scratch->message;
    if (!net_arrives(world, event))
        return;
    const char *wrong = wire_decode(&world->scratch->message, frame);
    if (wrong)
        world_fail(world, ORACLE_PANIC, "%s: frame refused: %s", world->name[event->node].text,
                   wrong);
    struct sim_loop *before = loop_enter(world, event->node);
    if (message->kind == WIRE_ISSUERS)
        gate_told(world, event->node, event->peer, &message->issuers);
    else if (message->kind == WIRE_RAFT)
        take_raft(world, event, &message->raft);
    else
        take_lease(world, event, &message->lease);
    loop_leave(before);
}

void sim_issuer_link(struct world *world, int node, int peer, bool up)
{
    struct issuer_shell *shell = world->issuer[node].shell;
    log_note(world, "%s: connection to %s %s", world->name[node].text, world->name[peer].text,
             up ? "up" : "down");
    struct sim_loop *before = loop_enter(world, node);
    if (!up && peer < world->issuer_count)
        issuer_shell_peer_down(shell, &world->name[peer]);
    if (world->board_on[peer] >= 0)
        issuer_shell_client(shell, &world->name[peer], up);
    if (up && peer < world->issuer_count)
        issuer_shell_tell_issuers(shell, &world->name[peer]);
    loop_leave(before);
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

static void start_shell(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    const struct issuer_shell_config config = {
        .loop = &loop_running()->uv,
        .conf = issuer->conf,
        .random_seed = random_next(world_random(world, STREAM_PROCESS, node)),
        .disk_ops = &sim_disk_ops,
        .disk = &issuer->disk,
        .callbacks = { send_raft, send_to_agent, send_store, send_issuers, on_members,
                       link_settled },
        .context = world,
    };
    issuer->shell = issuer_shell_start(&config);
    HF_CHECK(issuer->shell);
}

void sim_issuer_start(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    sim_issuer_allocate(world, node);
    issuer->store_failed = false;
    issuer->hard_count = 0;
    issuer->disk.sync_error = 0;
    issuer->conf = memory_conf(node);
    file_of_machine(world, node, 0, issuer->conf);
    gate_start(world, node);
    struct sim_loop *before = loop_enter(world, node);
    if (setjmp(dies_in_recovery) == 0) {
        start_shell(world, node);
    } else {
        world_cover(world, COVERAGE_DEATHS_IN_RECOVERY);
        issuer->doom.at = DOOM_NONE;
        fault_kill_issuer(world, node, issuer->doom.power, issuer->doom.down_us);
    }
    loop_leave(before);
}

static void note_death(struct world *world, int node)
{
    const struct replica *replica = world->issuer[node].replica;
    oracle_term(world, node);
    if (raft_standing(&replica->raft) == RAFT_RECOVERING)
        world_cover(world, COVERAGE_RECOVERIES_INTERRUPTED);
    if (replica->issuer.renewal_count > 0)
        world_cover(world, COVERAGE_LEADERS_DIED_IN_RENEWAL);
    operators_dropped(world, node);
}

void sim_issuer_stop(struct world *world, int node, bool power)
{
    struct sim_issuer *issuer = &world->issuer[node];
    bool served = issuer->replica && replica_serving(issuer->replica);
    log_note(world, "%s: %s", world->name[node].text, power ? "power cut" : "killed");
    if (issuer->replica)
        note_death(world, node);
    if (power)
        disk_power_cut(&issuer->disk);
    else
        disk_kill(&issuer->disk);
    issuer->stored_term = issuer->live->term;
    issuer->live = NULL;
    issuer->shell = NULL;
    issuer->replica = NULL;
    if (served)
        meet_no_longer_serves(world);
}
