/* One step from end to end: which handler each event has in each role, and what follows from it. */
#include "raft/raft.h"

#include <string.h>

#include "raft/raft_internal.h"

static void refuse_not_leader(struct raft_context *context, const struct raft_event *event)
{
    (void)event;
    context->out->refusal = RAFT_NOT_LEADER;
}

static void ignore(struct raft_context *context, const struct raft_event *event)
{
    (void)context;
    (void)event;
}

static void store_failed(struct raft_context *context, const struct raft_event *event)
{
    (void)event;
    raft_change_role(context, RAFT_ROLE_STORE_FAILED);
}

#define WITHOUT_LEADERSHIP                                                                         \
    {                                                                                              \
        [RAFT_EVENT_TIMER] = raft_election_timeout, [RAFT_EVENT_MESSAGE] = raft_receive,           \
        [RAFT_EVENT_PROPOSE] = refuse_not_leader, [RAFT_EVENT_CONFIRM] = refuse_not_leader,        \
        [RAFT_EVENT_PERSISTED] = raft_persisted, [RAFT_EVENT_STORE_FAILED] = store_failed,         \
        [RAFT_EVENT_COMPACT] = raft_compact, [RAFT_EVENT_TRANSFER] = refuse_not_leader,            \
        [RAFT_EVENT_MEMBERS] = refuse_not_leader, [RAFT_EVENT_PEER_DOWN] = ignore                  \
    }

const raft_event_handler raft_event_table[RAFT_ROLES][RAFT_EVENT_KINDS] = {
    [RAFT_FOLLOWER] = WITHOUT_LEADERSHIP,
    [RAFT_PRE_CANDIDATE] = WITHOUT_LEADERSHIP,
    [RAFT_CANDIDATE] = WITHOUT_LEADERSHIP,
    [RAFT_LEADER] = {
        [RAFT_EVENT_TIMER] = raft_leader_timer,
        [RAFT_EVENT_MESSAGE] = raft_receive,
        [RAFT_EVENT_PROPOSE] = raft_propose,
        [RAFT_EVENT_CONFIRM] = raft_confirm,
        [RAFT_EVENT_PERSISTED] = raft_persisted,
        [RAFT_EVENT_STORE_FAILED] = store_failed,
        [RAFT_EVENT_COMPACT] = raft_compact,
        [RAFT_EVENT_TRANSFER] = raft_transfer,
        [RAFT_EVENT_MEMBERS] = raft_change_members,
        [RAFT_EVENT_PEER_DOWN] = raft_peer_down,
    },
    [RAFT_HALTED] = {
        [RAFT_EVENT_TIMER] = ignore,
        [RAFT_EVENT_MESSAGE] = ignore,
        [RAFT_EVENT_PROPOSE] = refuse_not_leader,
        [RAFT_EVENT_CONFIRM] = refuse_not_leader,
        [RAFT_EVENT_PERSISTED] = ignore, /* of a batch before the one that failed */
        [RAFT_EVENT_STORE_FAILED] = ignore,
        [RAFT_EVENT_COMPACT] = ignore,
        [RAFT_EVENT_TRANSFER] = refuse_not_leader,
        [RAFT_EVENT_MEMBERS] = refuse_not_leader,
        [RAFT_EVENT_PEER_DOWN] = ignore,
    },
};

static void recover_log(struct raft *raft, const struct raft_recovered *recovered)
{
    HF_CHECK(recovered->entry_count <= RAFT_LOG_MAX);
    raft_log_reset(raft, recovered->snapshot_index, recovered->snapshot_term, &recovered->members);
    for (size_t i = 0; i < recovered->entry_count; i++) {
        const struct raft_entry *entry = &recovered->entries[i];
        HF_CHECK(entry->index == raft->last_index + 1 && entry->length <= RAFT_ENTRY_DATA_MAX);
        HF_CHECK(entry->term >= raft_term_at(raft, raft->last_index) &&
                 entry->term <= recovered->term);
        raft->last_index = entry->index;
        *raft_log_slot(raft, entry->index) = *entry;
        raft->ring_seq[entry->index % RAFT_LOG_MAX] = 0;
    }
}

/* Everything but the ring: memory that holds no entry yet is not touched. */
static void clear(struct raft *raft)
{
    const size_t behind = offsetof(struct raft, first_index);
    memset(raft, 0, offsetof(struct raft, ring));
    memset((uint8_t *)raft + behind, 0, sizeof(*raft) - behind);
}

void raft_init(struct raft *raft, const struct raft_config *config,
               const struct raft_recovered *recovered, struct instant now)
{
    HF_CHECK(config->heartbeat.us > 0 && config->heartbeat.us < config->election.us);
    HF_CHECK(recovered->members.count > 0 && recovered->members.count <= HF_ISSUERS_MAX);
    clear(raft);
    raft->config = *config;
    raft->random = config->random_seed * 0x9E3779B97F4A7C15ULL + 1;
    /* cppcheck-suppress knownConditionTrueFalse ; the product wraps, so the sum may be 0 */
    if (raft->random == 0)
        raft->random = 1;
    raft->role = RAFT_FOLLOWER;
    raft->term = recovered->term;
    raft->vote = recovered->vote;
    raft->snapshot = recovered->snapshot;
    raft->snapshot_index = recovered->snapshot_index;
    raft->snapshot_term = recovered->snapshot_term;
    raft->snapshot_members = recovered->members;
    raft->snapshot_durable = recovered->snapshot_index;
    raft->commit = recovered->snapshot_index;
    raft->applied = recovered->snapshot_index;
    raft->verified = recovered->snapshot_index;
    raft->next_seq = 1;
    recover_log(raft, recovered);
    raft->members_index = raft_members_as_of(raft, raft->last_index, &raft->members);
    raft_recover_init(raft, recovered->standing, now);
    raft_draw_election(raft, now);
}

static void lead_on(struct raft_context *context)
{
    raft_advance_commit(context);
    raft_count_round(context);
    raft_replicate(context);
    raft_hand_over_hung(context);
    raft_transfer_progress(context);
    if (context->heartbeats_due)
        raft_send_heartbeats(context);
    raft_leave_if_removed(context);
}

static void apply_committed(struct raft_context *context)
{
    struct raft *raft = context->raft;
    context->out->apply_first = raft->applied + 1;
    /* While an installed snapshot waits for the store, the entries follow a state yet to come. */
    if (!raft->install_seq)
        raft->applied = raft->commit;
    context->out->apply_last = raft->applied;
    if (raft->role == RAFT_LEADER && !raft->serving && raft->applied >= raft->noop_index) {
        raft->serving = true;
        context->out->serving_began = true;
    }
}

static struct instant next_wake(const struct raft *raft)
{
    struct instant at = raft->election_at;
    if (raft->role == RAFT_HALTED)
        return INSTANT_NEVER;
    if (raft->role == RAFT_LEADER) {
        at = instant_min(raft->heartbeat_at, raft_quorum_until(raft));
        if (!name_empty(&raft->transfer_to))
            at = instant_min(at, raft->transfer_until);
    }
    return instant_min(at, raft_recover_wake(raft));
}

/* Everything but the messages, which raft_send() clears one by one: they are large. */
static void clear_output(struct raft_output *out)
{
    memset(&out->persist, 0, sizeof(out->persist));
    out->persist.first_index = 1;
    out->message_count = 0;
    out->restore = false;
    out->restore_index = 0;
    out->restore_bytes = (struct bytes){ NULL, 0 };
    out->role_changed = false;
    out->standing_changed = false;
    out->forgetful = (struct hf_name){ { 0 } };
    out->members_changed = false;
    out->serving_began = false;
    out->confirmed_round = 0;
    out->refusal = RAFT_ACCEPTED;
    out->proposed_index = 0;
    out->requested_round = 0;
}

/* What holds after every step, whatever came in: see raft.h. */
static void raft_check(const struct raft *raft)
{
    bool leads = raft->role == RAFT_LEADER;
    HF_CHECK(raft->applied <= raft->commit && raft->commit <= raft->last_index);
    HF_CHECK(raft->first_index <= raft->snapshot_index + 1);
    HF_CHECK(raft->members_index <= raft->last_index);
    HF_CHECK(raft->snapshot_index <= raft->commit || raft->install_seq != 0);
    HF_CHECK(raft->last_index - raft->first_index + 1 <= RAFT_LOG_MAX);
    HF_CHECK(raft->round_confirmed <= raft->round && raft->persisted_seq < raft->next_seq);
    HF_CHECK(leads || !raft->serving);
    HF_CHECK(!leads || (name_equal(&raft->leader, &raft->config.self) && raft_has_say(raft) &&
                        raft->noop_index <= raft->last_index));
    for (int i = 0; leads && i < raft->members.count; i++)
        HF_CHECK(raft->progress[i].match <= raft->last_index);
}

void raft_step(struct raft *raft, const struct raft_event *event, struct instant now,
               struct raft_output *out)
{
    struct raft_context context = { .raft = raft, .out = out, .now = now };
    enum raft_role role_before = raft->role;
    uint64_t term_before = raft->term;
    struct hf_name leader_before = raft->leader;
    enum raft_standing standing_before = raft->recovery.standing;
    HF_CHECK(event->kind < RAFT_EVENT_KINDS);
    clear_output(out);
    raft_event_table[raft->role][event->kind](&context, event);
    raft_recover_on(&context);
    raft_count_votes(&context);
    if (raft->role == RAFT_LEADER)
        lead_on(&context);
    apply_committed(&context);
    out->wake_at = next_wake(raft);
    out->standing_changed = raft->recovery.standing != standing_before;
    out->role_changed = raft->role != role_before || raft->term != term_before ||
                        !name_equal(&raft->leader, &leader_before);
    raft_check(raft);
}
