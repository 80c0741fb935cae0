/*
 * An issuer: daemon/issuer as it ships, with the store as it ships, above a simulated disk. Whatever
 * they call of the system ends in the world: loop.c, heap.c, disk.c. What passes between them, the
 * core and the node is seen here (the Makefile wraps those calls), and not changed.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/timing.h"
#include "issuer/issuer_shell.h"
#include "tests/sim/sim.h"

enum { STORES_PPM = 100000 };

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
    if (world->issuer_count == 1 && issuer->damaged && lost)
        world_cover(world, COVERAGE_LONE_LOST);
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
        daemon_dies_as_it_starts();
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
    if (put_back_starts(world, node))
        oracle_put_back(world, node, recovered);
    oracle_recovered(world, node, recovered);
    oracle_issuer_starts(world, node);
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
    struct raft_members members; /* only before a part of a snapshot */
    uint64_t members_index;
};

static void look(struct world *world, int node, const struct replica *replica,
                 const struct replica_event *event, struct before *before)
{
    before->led = replica->raft.role == RAFT_LEADER;
    before->renewals_wait = replica->issuer.renewal_count > 0;
    before->installing = meet_installing(world, node);
    before->term = replica->raft.term;
    before->snapshot = replica->raft.snapshot_index;
    if (event->raft_message && event->raft_message->kind == RAFT_SNAPSHOT_REQUEST)
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
    put_back_look(world);
    if (before->led && before->renewals_wait && raft->role != RAFT_LEADER)
        world_cover(world, COVERAGE_LEADER_LOST_IN_RENEWAL);
    if (before->installing && raft->term != before->term)
        world_cover(world, COVERAGE_TERM_CHANGES_IN_INSTALL);
    if (event->kind == REPLICA_COMPACT) {
        world_cover(world, COVERAGE_SNAPSHOTS_TAKEN);
        oracle_compacted(world, node);
    } else if (raft->snapshot_index > before->snapshot) {
        note_installed(world, node, before);
    }
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
    look(world, node, replica, event, &before);
    oracle_issuer_steps(world, node);
    __real_replica_step(replica, event, now, out);
    note_step(world, node, event, &before);
    oracle_issuer_stepped(world, node, event, out);
    oracle_term(world, node);
    oracle_applied(world, node);
    oracle_memory(world, node);
}

/* ---- what it sends */

static bool send_raft(void *context, const struct raft_message *message)
{
    static struct raft_message said; /* large */
    struct world *world = loop_running()->world;
    said = *message;
    if (world->settings.plant == PLANT_VOTE && said.kind == RAFT_VOTE_REPLY && !said.pre)
        said.granted = true;
    HF_CHECK(world_issuer(world, &said.to) >= 0);
    oracle_raft_sent(world, &said);
    meet_raft_sent(world, loop_running()->machine, &said);
    return running_issuer()->callbacks.send_raft(context, &said);
}

static bool send_to_agent(void *context, const struct hf_name *to,
                          const struct lease_message *message)
{
    struct world *world = loop_running()->world;
    int node = loop_running()->machine;
    int board = world_board_node(world, to) - world->issuer_count;
    struct lease_message said = *message;
    if (world->settings.plant == PLANT_TOKEN && said.kind == LEASE_GRANTED)
        said.token++;
    if (said.kind == LEASE_YIELD)
        world_cover(world, COVERAGE_YIELDS);
    oracle_issuer_says(world, node, board, &said);
    trace_issuer_says(world, node, board, &said);
    return running_issuer()->callbacks.send_to_agent(context, to, &said);
}

/* For people only, and many: some are enough. */
static bool send_store(void *context, const struct hf_name *to, const struct wire_store *store)
{
    struct random *random =
        world_random(loop_running()->world, STREAM_PROCESS, loop_running()->machine);
    return !random_chance(random, STORES_PPM) ||
           running_issuer()->callbacks.send_store(context, to, store);
}

struct issuer_shell *__wrap_issuer_shell_start(const struct issuer_shell_config *config);
struct issuer_shell *__real_issuer_shell_start(const struct issuer_shell_config *config);
struct issuer_shell *__wrap_issuer_shell_start(const struct issuer_shell_config *config)
{
    struct sim_issuer *issuer = running_issuer();
    struct issuer_shell_config seen = *config;
    issuer->callbacks = config->callbacks;
    issuer->context = config->context;
    seen.callbacks.send_raft = send_raft;
    seen.callbacks.send_to_agent = send_to_agent;
    seen.callbacks.send_store = send_store;
    seen.disk_ops = &sim_disk_ops;
    seen.disk = &issuer->disk;
    issuer->shell = __real_issuer_shell_start(&seen);
    return issuer->shell;
}

/* ---- what it hears */

/* The planted bug: renewals answered by whoever gets them. */
static void answer_without_leading(const struct hf_name *agent, const struct lease_message *renewal)
{
    const struct sim_issuer *issuer = running_issuer();
    if (loop_running()->world->settings.plant != PLANT_ANSWER || renewal->kind != LEASE_RENEW ||
        replica_serving(issuer->replica))
        return;
    struct lease_message answer = *renewal;
    answer.kind = LEASE_RENEWED;
    answer.round_trip_us = 0;
    answer.slack_us = 0;
    (void)send_to_agent(issuer->context, agent, &answer);
}

void __wrap_issuer_shell_raft(struct issuer_shell *shell, const struct raft_message *message);
void __real_issuer_shell_raft(struct issuer_shell *shell, const struct raft_message *message);
void __wrap_issuer_shell_lease(struct issuer_shell *shell, const struct hf_name *agent,
                               const struct lease_message *message);
void __real_issuer_shell_lease(struct issuer_shell *shell, const struct hf_name *agent,
                               const struct lease_message *message);

void __wrap_issuer_shell_raft(struct issuer_shell *shell, const struct raft_message *message)
{
    struct world *world = loop_running()->world;
    meet_raft_arrived(world, loop_running()->machine, message);
    oracle_raft_arrived(world, loop_running()->machine, message, world->frame_sent_us);
    __real_issuer_shell_raft(shell, message);
}

void __wrap_issuer_shell_lease(struct issuer_shell *shell, const struct hf_name *agent,
                               const struct lease_message *message)
{
    struct world *world = loop_running()->world;
    int node = loop_running()->machine;
    int board = world_board_node(world, agent) - world->issuer_count;
    if (message->kind == LEASE_RENEW)
        oracle_renewal_arrived(world, node, board, message);
    meet_lease_arrived(world, node, board, message);
    answer_without_leading(agent, message);
    bool word = message->kind == LEASE_STUCK && oracle_word_is_news(world, node, board, message);
    __real_issuer_shell_lease(shell, agent, message);
    if (word)
        oracle_word_taken(world, node, board, message);
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

void sim_issuer_prepare(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    sim_issuer_allocate(world, node);
    issuer->store_failed = false;
    issuer->hard_count = 0;
    issuer->disk.sync_error = 0;
    issuer->disk.hung_until_us = 0;
}

void sim_issuer_dies_in_recovery(struct world *world, int node)
{
    struct sim_issuer *issuer = &world->issuer[node];
    world_cover(world, COVERAGE_DEATHS_IN_RECOVERY);
    issuer->doom.at = DOOM_NONE;
    fault_kill_issuer(world, node, issuer->doom.power, issuer->doom.down_us);
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
    put_back_look(world);
    if (served)
        meet_no_longer_serves(world);
}
