/*
 * LOG, S2 and S3: one log, one table, tokens that rise, and nothing acknowledged that is lost. The
 * model of the table is written here a second time, from the rules in lease/table.h.
 */
#include <string.h>

#include "base/check.h"
#include "lease/codec.h"
#include "tests/sim/sim.h"

static const char *const names[ORACLE_KINDS] = {
    [ORACLE_NONE] = "nothing", [ORACLE_S1] = "S1",     [ORACLE_S2] = "S2",
    [ORACLE_S3] = "S3",        [ORACLE_S4] = "S4",     [ORACLE_S5] = "S5",
    [ORACLE_L1] = "L1",        [ORACLE_L2] = "L2",     [ORACLE_LOG] = "log",
    [ORACLE_VOTE] = "vote",    [ORACLE_DISK] = "disk", [ORACLE_PANIC] = "panic",
};

const char *oracle_name(enum oracle_kind kind)
{
    HF_CHECK(kind < ORACLE_KINDS);
    return names[kind];
}

void oracle_init(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    memory_oracle(oracle);
    oracle->entry[0] = (struct oracle_entry){ 0 };
    sim_bootstrap_members(world, &oracle->members);
    memset(oracle->acknowledged, 0, ORACLE_TERMS_MAX * sizeof(oracle->acknowledged[0]));
    memset(oracle->leader, ORACLE_NOBODY, ORACLE_TERMS_MAX);
    for (int i = 0; i < SIM_RESOURCES_MAX; i++) {
        oracle->entry[0].lease[i].holder = ORACLE_NOBODY;
        oracle->drive[i].board = ORACLE_NOBODY;
    }
}

/* ---- the model */

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t entry_hash(const struct raft_entry *entry)
{
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), &entry->term, sizeof(entry->term));
    hash = mix(hash, &entry->kind, sizeof(entry->kind));
    return mix(hash, entry->data, entry->length);
}

static int board_of(const struct world *world, const struct hf_name *name)
{
    int node = world_board_node(world, name);
    return node < 0 ? ORACLE_NOBODY : node - world->issuer_count;
}

/* By what came first: after a release without proof the lease runs out as well. */
static void end_token(struct world *world, uint64_t token, uint64_t index)
{
    struct oracle_entry *grant = &world->oracle.entry[token];
    if (token == 0 || grant->ended_index != 0)
        return;
    grant->ended_index = index;
    grant->ended_us = world->now_us;
}

/* What the board's guard had is known to whoever grants it, since it came with the acquire. */
static void check_first_grant(struct world *world, int issuer, uint64_t index,
                              const struct lease_command *command, int resource)
{
    const struct lease_table *table = &world->issuer[issuer].replica->table;
    int board = board_of(world, &command->holder);
    if (board == ORACLE_NOBODY)
        return;
    if (world->board[board].agent.had[resource] >= index)
        world_fail(world, ORACLE_S2, "%s is granted %s with token %llu, its guard had %llu",
                   world->name[board_node(world, board)].text, world->resource[resource].text,
                   (unsigned long long)index,
                   (unsigned long long)world->board[board].agent.had[resource]);
    if (command->settled)
        world_cover(world, COVERAGE_GRANTS_SETTLED);
    else if (table->unknown_us > 0)
        world_cover(world, COVERAGE_GRANTS_EARLY);
}

static void model_grant(struct world *world, int issuer, uint64_t index,
                        const struct lease_command *command, int resource)
{
    struct oracle_entry *entry = &world->oracle.entry[index];
    struct oracle_lease *lease = &entry->lease[resource];
    const struct oracle_pin *pin = &world->oracle.pin[resource];
    int board = board_of(world, &command->holder);
    /* Overtaken in the log: it does nothing. */
    if (command->token != lease->token || (pin->pinned && pin->board != board) ||
        oracle_model_held(world, index, command, resource))
        return;
    oracle_granted(world, index, resource);
    oracle_model_granted(world, command, resource);
    if (lease->token >= index)
        world_fail(world, ORACLE_S2, "%s: token %llu granted after %llu",
                   world->resource[resource].text, (unsigned long long)index,
                   (unsigned long long)lease->token);
    world_cover(world, COVERAGE_GRANTS);
    check_first_grant(world, issuer, index, command, resource);
    if (lease->token != 0 && lease->holder != board)
        world_cover(world, COVERAGE_TAKEOVERS);
    end_token(world, lease->token, index);
    if (command->transferred && (world->oracle.transfer_asked[resource] & 1u << board) == 0)
        world_fail(world, ORACLE_LOG, "entry %llu says that an operator handed %s over",
                   (unsigned long long)index, world->resource[resource].text);
    *lease = (struct oracle_lease){ .holder = board,
                                    .token = index,
                                    .ttl_us = command->ttl_us,
                                    .fence_us = command->fence_us,
                                    .priority = command->priority,
                                    .ranked = command->ranked,
                                    .transferred = command->transferred };
    entry->grant = true;
    entry->resource = resource;
    entry->board = board;
}

static void model_end(struct world *world, uint64_t index, const struct lease_command *command,
                      int resource)
{
    struct oracle_lease *lease = &world->oracle.entry[index].lease[resource];
    bool release = command->kind == LEASE_COMMAND_RELEASE;
    if (lease->token == 0 || lease->token != command->token ||
        lease->holder != board_of(world, &command->holder))
        return;
    if (release && lease->token > world->oracle.board[lease->holder].released_token[resource])
        world_fail(world, ORACLE_S3,
                   "%s: token %llu is ended by a release that its holder did not "
                   "send",
                   world->resource[resource].text, (unsigned long long)lease->token);
    end_token(world, lease->token, index);
    if (release && !command->fenced) {
        world_cover(world, COVERAGE_UNFENCED_RELEASES);
        lease->abandoned = true;
        return;
    }
    world_cover(world, release ? COVERAGE_FENCED_RELEASES : COVERAGE_EXPIRIES);
    *lease = (struct oracle_lease){ .holder = ORACLE_NOBODY,
                                    .payer = board_of(world, &command->payer) + 1 };
}

/* 0: no member, 1: a learner, 2: a voter. */
static int standing_of(const struct raft_members *members, const struct hf_name *name)
{
    for (int i = 0; i < members->count; i++) {
        if (name_equal(&members->member[i].id, name))
            return members->member[i].voter ? 2 : 1;
    }
    return 0;
}

/* A change by one, a learner first. */
static void model_members(struct world *world, int issuer, const struct raft_entry *entry)
{
    struct oracle *oracle = &world->oracle;
    struct raft_members members;
    int changes = 0;
    if (!raft_members_decode(&members, (struct bytes){ entry->data, entry->length }))
        world_fail(world, ORACLE_LOG, "entry %llu is not readable",
                   (unsigned long long)entry->index);
    for (int i = 0; i < world->issuer_count; i++) {
        int before = standing_of(&oracle->members, &world->name[i]);
        int after = standing_of(&members, &world->name[i]);
        changes += before != after;
        if (before == 0 && after == 2)
            world_fail(world, ORACLE_LOG, "entry %llu makes %s a voter that was no learner",
                       (unsigned long long)entry->index, world->name[i].text);
        if (before != after)
            world_cover(world, after == 0 ? COVERAGE_MEMBERS_REMOVED :
                               after == 1 ? COVERAGE_MEMBERS_ADDED :
                                            COVERAGE_MEMBERS_PROMOTED);
        if (after == 0 && before == 2 && oracle->leader[entry->term] == i)
            world_cover(world, COVERAGE_LEADERS_REMOVED);
    }
    if (changes != 1)
        world_fail(world, ORACLE_LOG, "entry %llu changes %d members at once",
                   (unsigned long long)entry->index, changes);
    if (world->issuer[issuer].replica->raft.term > entry->term)
        world_cover(world, COVERAGE_CHANGES_INHERITED);
    oracle->members = members;
    oracle->members_index = entry->index;
}

static void check_members(struct world *world, int issuer, const struct raft_members *members,
                          const char *what, uint64_t index)
{
    for (int i = 0; i < world->issuer_count; i++) {
        if (standing_of(members, &world->name[i]) !=
            standing_of(&world->oracle.members, &world->name[i]))
            world_fail(world, ORACLE_LOG,
                       "%s: %s entry %llu has another configuration than that of entry %llu",
                       world->name[issuer].text, what, (unsigned long long)index,
                       (unsigned long long)world->oracle.members_index);
    }
}

/* What an issuer goes by, where it knows as much as anybody and nothing is on its way. */
static void compare_members(struct world *world, int issuer)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    if (raft->applied != world->oracle.last || raft->members_index > raft->applied)
        return;
    check_members(world, issuer, &raft->members, "at", raft->applied);
}

/* Where a restore or a new beginning left no entry, there is no term to compare with. */
static void compare_snapshot(struct world *world, int issuer)
{
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    if (raft->snapshot_index == 0 || raft->snapshot_index > world->oracle.last)
        return;
    if (raft->snapshot_index >= world->oracle.members_index)
        check_members(world, issuer, &raft->snapshot_members, "a snapshot of",
                      raft->snapshot_index);
    uint64_t term = world->oracle.entry[raft->snapshot_index].term;
    if (term != 0 && raft->snapshot_term != term)
        world_fail(world, ORACLE_LOG, "%s has a snapshot of entry %llu in term %llu, not %llu",
                   world->name[issuer].text, (unsigned long long)raft->snapshot_index,
                   (unsigned long long)raft->snapshot_term, (unsigned long long)term);
}

static bool same_record(const struct lease_record *a, const struct lease_record *b)
{
    return name_equal(&a->resource, &b->resource) && name_equal(&a->holder, &b->holder) &&
           a->token == b->token && a->last_token == b->last_token && a->abandoned == b->abandoned &&
           a->pinned == b->pinned && name_equal(&a->pinned_to, &b->pinned_to) &&
           a->ttl_us == b->ttl_us && a->fence_us == b->fence_us && a->priority == b->priority &&
           a->ranked == b->ranked && a->transferred == b->transferred &&
           name_equal(&a->payer, &b->payer) && strcmp(a->address, b->address) == 0;
}

static bool same_table(const struct lease_table *a, const struct lease_table *b)
{
    bool same = a->unknown_us == b->unknown_us && a->history_total == b->history_total &&
                a->count == b->count && a->overrule_count == b->overrule_count &&
                a->stuck.count == b->stuck.count && (a->unknown_us == 0 || a->begun == b->begun);
    for (uint32_t i = 0; same && i < a->count; i++)
        same = same_record(&a->record[i], &b->record[i]);
    for (uint32_t i = 0; same && i < a->overrule_count; i++)
        same = name_equal(&a->overrule[i].resource, &b->overrule[i].resource) &&
               name_equal(&a->overrule[i].board, &b->overrule[i].board) &&
               a->overrule[i].token == b->overrule[i].token;
    for (uint32_t i = 0; same && i < a->stuck.count; i++)
        same = name_equal(&a->stuck.row[i].resource, &b->stuck.row[i].resource) &&
               name_equal(&a->stuck.row[i].board, &b->stuck.row[i].board) &&
               a->stuck.row[i].wall_us == b->stuck.row[i].wall_us &&
               a->stuck.row[i].let_go == b->stuck.row[i].let_go;
    return same;
}

/* All that grants go by must be in the snapshot that the table was just made into. */
void oracle_compacted(struct world *world, int issuer)
{
    static struct lease_table read;
    const struct replica *replica = world->issuer[issuer].replica;
    const struct lease_table *table = &replica->table;
    if (replica->raft.snapshot.data != replica->own_snapshot ||
        !lease_table_decode(&read, replica->raft.snapshot))
        world_fail(world, ORACLE_LOG, "%s: its snapshot is not readable", world->name[issuer].text);
    if (read.applied != table->applied)
        return;
    if (!same_table(&read, table))
        world_fail(world, ORACLE_LOG, "%s: the snapshot of entry %llu is not what its table is",
                   world->name[issuer].text, (unsigned long long)read.applied);
}

static void model_apply(struct world *world, int issuer, uint64_t index,
                        const struct raft_entry *entry)
{
    struct lease_command command;
    if (entry->kind == RAFT_ENTRY_MEMBERS)
        model_members(world, issuer, entry);
    if (entry->kind != RAFT_ENTRY_COMMAND)
        return;
    if (!lease_command_decode(&command, (struct bytes){ entry->data, entry->length }))
        world_fail(world, ORACLE_LOG, "entry %llu is not readable", (unsigned long long)index);
    if (command.kind == LEASE_COMMAND_NOTE)
        return;
    int resource = world_resource(world, &command.resource);
    HF_CHECK(resource >= 0);
    switch (command.kind) {
    case LEASE_COMMAND_GRANT:
        model_grant(world, issuer, index, &command, resource);
        return;
    case LEASE_COMMAND_RELEASE:
    case LEASE_COMMAND_EXPIRE:
        model_end(world, index, &command, resource);
        return;
    case LEASE_COMMAND_PIN:
        world->oracle.pin[resource] =
            (struct oracle_pin){ command.pinned, command.pinned ? board_of(world, &command.holder) :
                                                                  ORACLE_NOBODY };
        world_cover(world, COVERAGE_PINS);
        return;
    case LEASE_COMMAND_STUCK:
        oracle_model_stuck(world, &command, resource);
        return;
    case LEASE_COMMAND_CLEAR:
        oracle_model_clear(world, &command, resource);
        return;
    case LEASE_COMMAND_OVERRULE:
    case LEASE_COMMAND_REMOVE: /* every resource here has a policy */
    case LEASE_COMMAND_NOTE:
    case LEASE_COMMAND_KINDS:
        return;
    }
}

/* ---- what issuers apply */

static void take_entry(struct world *world, int issuer, const struct raft_entry *entry)
{
    struct oracle *oracle = &world->oracle;
    uint64_t hash = entry_hash(entry);
    if (entry->index <= oracle->last) {
        if (oracle->entry[entry->index].hash != hash)
            world_fail(world, ORACLE_LOG, "%s applied another entry %llu (term %llu)",
                       world->name[issuer].text, (unsigned long long)entry->index,
                       (unsigned long long)entry->term);
        return;
    }
    if (entry->index != oracle->last + 1)
        world_fail(world, ORACLE_LOG, "%s applied entry %llu, the last known is %llu",
                   world->name[issuer].text, (unsigned long long)entry->index,
                   (unsigned long long)oracle->last);
    HF_CHECK(entry->index < ORACLE_LOG_MAX);
    oracle_disk_committed(world, issuer, entry);
    oracle->last = entry->index;
    struct oracle_entry *added = &oracle->entry[entry->index];
    *added = (struct oracle_entry){ .hash = hash, .term = entry->term };
    memcpy(added->lease, oracle->entry[entry->index - 1].lease, sizeof(added->lease));
    model_apply(world, issuer, entry->index, entry);
    oracle_act_entry(world, entry);
}

/* A pin that anybody was told of keeps who it says from the resource, by whoever decides next. */
static void compare_pin(struct world *world, int issuer, const struct lease_table *table,
                        int resource)
{
    const struct oracle_pin *pin = &world->oracle.pin[resource];
    int found = lease_table_find(table, &world->resource[resource]);
    bool pinned = found >= 0 && table->record[found].pinned;
    int board = pinned ? board_of(world, &table->record[found].pinned_to) : ORACLE_NOBODY;
    if (table->applied == world->oracle.last &&
        (pinned != pin->pinned || (pinned && board != pin->board)))
        world_fail(world, ORACLE_LOG, "%s: %s at entry %llu is pinned otherwise than by the log",
                   world->name[issuer].text, world->resource[resource].text,
                   (unsigned long long)table->applied);
}

static void compare_table(struct world *world, int issuer, const struct lease_table *table)
{
    const struct oracle_entry *entry = &world->oracle.entry[table->applied];
    for (int i = 0; i < world->resource_count; i++) {
        const struct oracle_lease *lease = &entry->lease[i];
        int found = lease_table_find(table, &world->resource[i]);
        uint64_t token = found < 0 ? 0 : table->record[found].token;
        int board =
            found < 0 || token == 0 ? ORACLE_NOBODY : board_of(world, &table->record[found].holder);
        bool abandoned = found >= 0 && table->record[found].abandoned;
        if (token != lease->token || board != lease->holder || abandoned != lease->abandoned)
            world_fail(world, ORACLE_LOG, "%s: %s at entry %llu has token %llu, not %llu",
                       world->name[issuer].text, world->resource[i].text,
                       (unsigned long long)table->applied, (unsigned long long)token,
                       (unsigned long long)lease->token);
        if (token != 0 && (table->record[found].priority != lease->priority ||
                           table->record[found].ranked != lease->ranked ||
                           table->record[found].transferred != lease->transferred))
            world_fail(world, ORACLE_LOG,
                       "%s: %s at entry %llu ranks its holder otherwise than it "
                       "was granted",
                       world->name[issuer].text, world->resource[i].text,
                       (unsigned long long)table->applied);
        if (token != 0 && (table->record[found].ttl_us != lease->ttl_us ||
                           table->record[found].fence_us != lease->fence_us))
            world_fail(world, ORACLE_LOG,
                       "%s: %s at entry %llu waits for another time than was "
                       "granted",
                       world->name[issuer].text, world->resource[i].text,
                       (unsigned long long)table->applied);
        if (found >= 0 && board_of(world, &table->record[found].payer) + 1 != lease->payer)
            world_fail(world, ORACLE_LOG, "%s: %s at entry %llu has '%s' pay for its next grant",
                       world->name[issuer].text, world->resource[i].text,
                       (unsigned long long)table->applied, table->record[found].payer.text);
        compare_pin(world, issuer, table, i);
    }
}

/*
 * Of its own term and those before: a leader that was paused may begin to serve after its successor
 * did, without harm, since no round confirms it.
 */
static uint64_t acknowledged_until(const struct oracle *oracle, uint64_t term)
{
    uint64_t highest = 0;
    for (uint64_t i = 0; i <= term; i++) {
        if (oracle->acknowledged[i] > highest)
            highest = oracle->acknowledged[i];
    }
    return highest;
}

static void note_serving(struct world *world, int issuer)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    const struct replica *replica = world->issuer[issuer].replica;
    bool serving = replica_serving(replica);
    bool began = serving && (!seen->serving || seen->serving_term != replica->raft.term);
    if (seen->serving && !serving)
        meet_no_longer_serves(world);
    seen->serving = serving;
    seen->serving_term = replica->raft.term;
    if (!began)
        return;
    meet_serves(world);
    uint64_t acknowledged = acknowledged_until(&world->oracle, replica->raft.term);
    if (replica->table.applied < acknowledged)
        world_fail(world, ORACLE_S3, "%s serves at entry %llu, %llu was acknowledged",
                   world->name[issuer].text, (unsigned long long)replica->table.applied,
                   (unsigned long long)acknowledged);
}

void oracle_acknowledge(struct world *world, int issuer, uint64_t index)
{
    uint64_t term = world->issuer[issuer].replica->raft.term;
    if (index > world->oracle.acknowledged[term])
        world->oracle.acknowledged[term] = index;
}

void oracle_change_asked(struct world *world, int issuer, uint64_t index)
{
    uint64_t term = world->issuer[issuer].replica->raft.term;
    world->oracle.change = (struct oracle_change){ issuer, term, index };
}

static void end_change(struct world *world, int issuer)
{
    struct oracle_change *change = &world->oracle.change;
    const struct raft *raft = &world->issuer[issuer].replica->raft;
    if (change->issuer == issuer && raft->commit >= change->index)
        change->index = 0;
}

void oracle_applied(struct world *world, int issuer)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    const struct replica *replica = world->issuer[issuer].replica;
    uint64_t applied = replica->table.applied;
    bool news = seen->applied != applied;
    for (uint64_t index = seen->applied + 1; index <= applied; index++) {
        const struct raft_entry *entry = raft_entry_at(&replica->raft, index);
        /* What a snapshot brought shows in the table. */
        if (entry)
            take_entry(world, issuer, entry);
    }
    seen->applied = applied;
    if (applied > world->oracle.last)
        world_fail(world, ORACLE_LOG, "%s is at entry %llu that nobody applied",
                   world->name[issuer].text, (unsigned long long)applied);
    if (news)
        compare_table(world, issuer, &replica->table);
    if (news && applied == world->oracle.last)
        oracle_compare_stuck(world, issuer, &replica->table);
    compare_members(world, issuer);
    compare_snapshot(world, issuer);
    end_change(world, issuer);
    note_serving(world, issuer);
}

/* ---- after a restore */

void oracle_log_begun(struct world *world, uint64_t index)
{
    struct oracle *oracle = &world->oracle;
    HF_CHECK(index < ORACLE_LOG_MAX);
    for (int i = 0; i < world->resource_count; i++)
        end_token(world, oracle->entry[oracle->last].lease[i].token, index);
    for (uint64_t at = oracle->last < index ? oracle->last + 1 : index; at <= index; at++) {
        oracle->entry[at] = (struct oracle_entry){ 0 };
        for (int i = 0; i < SIM_RESOURCES_MAX; i++)
            oracle->entry[at].lease[i].holder = ORACLE_NOBODY;
    }
    oracle->last = index;
}

void oracle_tokens_begin_again(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    memset(oracle->leader, ORACLE_NOBODY, ORACLE_TERMS_MAX);
    for (int i = 0; i < world->resource_count; i++)
        oracle->drive[i].token = 0;
}

void oracle_issuer_begun(struct world *world, int issuer, uint64_t index, uint64_t term)
{
    struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    seen->durable_term = term;
    seen->durable_vote = (struct hf_name){ "" };
    seen->put_back = seen->found_out = false;
    seen->forgetful = false; /* what it forgot belongs to a log that is no more */
    seen->disk.flying = false;
    seen->disk.log = (struct oracle_disk_log){ index, term, index };
}

void oracle_restored(struct world *world, uint64_t index, uint64_t term,
                     const struct lease_table *table)
{
    struct oracle *oracle = &world->oracle;
    oracle_log_begun(world, index);
    oracle_acts_restored(world);
    memset(oracle->acknowledged, 0, ORACLE_TERMS_MAX * sizeof(oracle->acknowledged[0]));
    oracle_restore_stuck(world, table);
    for (int i = 0; i < world->resource_count; i++) {
        int found = lease_table_find(table, &world->resource[i]);
        bool pinned = found >= 0 && table->record[found].pinned;
        oracle->pin[i] =
            (struct oracle_pin){ pinned, pinned ? board_of(world, &table->record[found].pinned_to) :
                                                  ORACLE_NOBODY };
    }
    for (int i = 0; i < world->issuer_count; i++)
        oracle_issuer_begun(world, i, index, term);
}

/* ---- what issuers say */

static void check_granted(struct world *world, int issuer, int board,
                          const struct lease_message *message)
{
    struct oracle *oracle = &world->oracle;
    int resource = world_resource(world, &message->resource);
    const struct oracle_entry *grant =
        message->token <= oracle->last ? &oracle->entry[message->token] : &oracle->entry[0];
    if (!grant->grant || grant->resource != resource || grant->board != board)
        world_fail(world, ORACLE_S2, "%s grants %s token %llu, which is no such grant",
                   world->name[issuer].text, message->resource.text,
                   (unsigned long long)message->token);
    oracle_acknowledge(world, issuer, message->token);
}

static void check_released(struct world *world, int issuer, const struct lease_message *message)
{
    struct oracle *oracle = &world->oracle;
    if (message->token > oracle->last || !oracle->entry[message->token].grant)
        return;
    /* A token of before that was given again: what is released is not what the entry shows. */
    if (world->begun_low)
        return;
    uint64_t ended = oracle->entry[message->token].ended_index;
    if (ended == 0 || ended > world->issuer[issuer].replica->table.applied)
        world_fail(world, ORACLE_S3, "%s says that %s token %llu is released, it is not",
                   world->name[issuer].text, message->resource.text,
                   (unsigned long long)message->token);
    oracle_acknowledge(world, issuer, ended);
}

void oracle_issuer_says(struct world *world, int issuer, int board,
                        const struct lease_message *message)
{
    if (message->kind == LEASE_GRANTED)
        check_granted(world, issuer, board, message);
    else if (message->kind == LEASE_RELEASED)
        check_released(world, issuer, message);
    else if (message->kind == LEASE_RENEWED)
        oracle_renewed(world, issuer, board, message);
    else if (message->kind == LEASE_YIELD)
        oracle_yield(world, issuer, message);
    else if (message->kind == LEASE_NOTED)
        oracle_noted(world, issuer, board, message);
    else if (message->kind == LEASE_QUEUED && message->text[0] != '\0')
        world_cover(world, COVERAGE_QUEUED_HELD);
}
