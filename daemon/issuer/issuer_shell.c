#include "issuer/issuer_shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/making.h"
#include "hal/clock.h"
#include "issuer/budget_watch.h"
#include "issuer/recovery.h"
#include "issuer/store_watch.h"
#include "log/log.h"

enum { STORE_LOOK_MS = 1000, STORE_STALE_MS = 5000 };

/* What another issuer last said about its journal. */
struct shell_peer {
    struct hf_name id; /* empty: unused */
    struct instant heard;
    struct wire_store store;
};

struct issuer_shell {
    struct issuer_shell_config config;
    uint64_t told_index; /* of the configuration that all nodes were told; 0: none */
    struct replica replica;
    struct replica_output output;
    struct issuer_policy policy[CONF_POLICIES_MAX];
    struct store *store;
    uv_timer_t timer;
    uv_timer_t look; /* at the store, for people */
    struct store_watch watch;
    struct shell_peer peer[HF_ISSUERS_MAX];
    struct issuer_shell_watcher *watchers;
    struct issuer_shell_reader *readers;
    struct issuer_shell_waiting *waiting;
    struct recovery_watch recovery;
    struct budget_watch budgets;
    char failure[ISSUER_SHELL_TEXT_MAX];
};

static void shell_step(struct issuer_shell *shell, struct replica_event *event);

/* ---- what a step asks for ---- */

static void shell_timer(uv_timer_t *timer)
{
    struct replica_event event = { .kind = REPLICA_TIMER };
    shell_step(timer->data, &event);
}

static void shell_arm(struct issuer_shell *shell)
{
    struct instant wake_at = shell->output.wake_at;
    if (wake_at.us == INSTANT_NEVER.us) {
        uv_timer_stop(&shell->timer);
        return;
    }
    int64_t left_us = instant_diff(wake_at, hal_clock_now()).us;
    uint64_t left_ms = left_us <= 0 ? 0 : (uint64_t)(left_us + 999) / 1000;
    uv_update_time(shell->config.loop);
    uv_timer_start(&shell->timer, shell_timer, left_ms, 0);
}

static void shell_log_role(const struct issuer_shell *shell)
{
    const struct raft *raft = &shell->replica.raft;
    const char *halted = shell->replica.halted;
    log_line(LOG_NOTICE, "raft: %s in term %" PRIu64 ", leader %s%s%s", raft_role_name(raft->role),
             raft->term, name_empty(&raft->leader) ? "unknown" : raft->leader.text,
             halted != NULL ? ": " : "", halted != NULL ? halted : "");
}

static void shell_show_history(struct issuer_shell *shell, const struct history_event *event)
{
    struct issuer_shell_watcher *next;
    const char *via = name_empty(&event->via) ? "" : " via ";
    const char *unproven = event->unproven ? ", unproven" : "";
    if (name_empty(&event->resource)) /* An act on the cluster, not on a resource. */
        log_line(LOG_INFO, "entry %" PRIu64 ": by %s%s%s%s: %s", event->index, event->who.text, via,
                 event->via.text, unproven, event->text);
    else
        log_line(LOG_INFO, "%s: entry %" PRIu64 ": holder %s, token %" PRIu64 ", by %s%s%s%s%s%s",
                 event->resource.text, event->index,
                 name_empty(&event->holder) ? "none" : event->holder.text, event->token,
                 event->who.text, via, event->via.text, unproven,
                 event->text[0] != '\0' ? ": " : "", event->text);
    for (struct issuer_shell_watcher *at = shell->watchers; at != NULL; at = next) {
        next = at->next;
        at->on_event(at->context, event);
    }
}

/* A reader may go away, or come, while it is told. */
static void shell_tell_readers(struct issuer_shell *shell, uint64_t confirmed, bool lost)
{
    struct issuer_shell_reader **at = &shell->readers;
    while (*at != NULL) {
        struct issuer_shell_reader *reader = *at;
        bool done = confirmed != 0 && reader->round <= confirmed;
        if (!done && !lost) {
            at = &reader->next;
            continue;
        }
        *at = reader->next;
        reader->on_confirmed(reader->context, done);
        at = &shell->readers;
    }
}

/* As with readers. */
static void shell_tell_waiting(struct issuer_shell *shell)
{
    struct issuer_shell_waiting **at = &shell->waiting;
    while (*at != NULL) {
        struct issuer_shell_waiting *waiting = *at;
        enum replica_outcome outcome = replica_act_outcome(&shell->replica, &waiting->act);
        if (outcome == REPLICA_ACT_OPEN) {
            at = &waiting->next;
            continue;
        }
        *at = waiting->next;
        waiting->on_outcome(waiting->context, outcome);
        at = &shell->waiting;
    }
}

int64_t issuer_shell_lease_max_us(const struct replica *replica)
{
    int64_t longest_us = issuer_lease_max_us(&replica->issuer.config);
    if (replica->table.unknown_us > longest_us)
        longest_us = replica->table.unknown_us;
    for (uint32_t i = 0; i < replica->table.count; i++) {
        const struct lease_record *record = &replica->table.record[i];
        if (record->ttl_us + record->fence_us > longest_us)
            longest_us = record->ttl_us + record->fence_us;
    }
    return longest_us;
}

void issuer_shell_tell_issuers(struct issuer_shell *shell, const struct hf_name *node)
{
    const struct raft *raft = &shell->replica.raft;
    struct wire_issuers issuers = { .index = shell->told_index, .members = raft->members };
    if (shell->told_index != 0 && raft->members_index == shell->told_index)
        shell->config.callbacks.send_issuers(shell->config.context, node, &issuers);
}

/* The log's configuration is what this node goes by at once; others are told when it is for good. */
static void shell_follow_members(struct issuer_shell *shell)
{
    const struct issuer_shell_config *config = &shell->config;
    const struct raft *raft = &shell->replica.raft;
    if (shell->output.members_changed)
        config->callbacks.on_members(config->context, raft);
    if (raft_change_pending(raft) || raft->members_index == shell->told_index)
        return;
    shell->told_index = raft->members_index;
    issuer_shell_tell_issuers(shell, NULL);
    config->callbacks.on_members(config->context, raft);
}

static struct recovery_links shell_links(const struct issuer_shell *shell)
{
    return (struct recovery_links){ shell->config.callbacks.link_settled, shell->config.context };
}

void issuer_shell_describe_recovery(struct issuer_shell *shell, char *text, size_t size)
{
    const struct recovery_links links = shell_links(shell);
    recovery_describe(&shell->replica.raft, &links, text, size);
}

static void shell_watch_recovery(struct issuer_shell *shell)
{
    const struct recovery_links links = shell_links(shell);
    recovery_tell_forgetful(&shell->output.forgetful);
    recovery_watch(&shell->recovery, &shell->replica.raft, &links, hal_clock_now());
}

/* What a step asks for, in this order: what must be durable goes to the store before all else. */
static void shell_carry_out(struct issuer_shell *shell)
{
    const struct issuer_shell_callbacks *callbacks = &shell->config.callbacks;
    const struct replica_output *output = &shell->output;
    void *context = shell->config.context;
    for (size_t i = 0; i < output->persist_count; i++)
        store_append(shell->store, &output->persist[i], &shell->replica.raft);
    for (size_t i = 0; i < output->raft_message_count; i++)
        (void)callbacks->send_raft(context, &output->raft_message[i]);
    for (size_t i = 0; i < output->client_send_count; i++)
        (void)callbacks->send_to_agent(context, &output->client_send[i].node,
                                       &output->client_send[i].message);
    for (size_t i = 0; i < output->history_count; i++)
        shell_show_history(shell, &output->history[i]);
    if (output->role_changed)
        shell_log_role(shell);
    shell_follow_members(shell);
    shell_watch_recovery(shell);
    shell_arm(shell);
}

/* The one step of the replica. shell->output stays as it is until the next one. */
static void shell_step_replica(struct issuer_shell *shell, struct replica_event *event)
{
    event->wall_us = hal_clock_wall_us();
    replica_step(&shell->replica, event, hal_clock_now(), &shell->output);
    shell_carry_out(shell);
}

/* A step, and word to whoever waits for what came of it: they may step anew from within. */
static void shell_step(struct issuer_shell *shell, struct replica_event *event)
{
    shell_step_replica(shell, event);
    uint64_t confirmed = shell->output.confirmed_round;
    bool serving = replica_serving(&shell->replica);
    if (confirmed != 0 || !serving)
        shell_tell_readers(shell, confirmed, !serving);
    shell_tell_waiting(shell);
    if (replica_wants_snapshot(&shell->replica)) {
        struct replica_event compact = { .kind = REPLICA_COMPACT };
        shell_step_replica(shell, &compact);
    }
}

/* ---- the store ---- */

static void shell_tell_slow(const struct issuer_shell *shell, enum store_watch_news news)
{
    const struct store_watch *watch = &shell->watch;
    uint64_t threshold_ms = watch->threshold_us / 1000;
    if (news == STORE_WATCH_BEGAN)
        log_line(LOG_WARNING,
                 "store: slow: a sync takes %" PRIu64 " ms, above %" PRIu64 " ms: grants "
                 "wait for the disks of a majority, renewals do not",
                 watch->worst_us / 1000, threshold_ms);
    else if (news == STORE_WATCH_OVER)
        log_line(LOG_NOTICE,
                 "store: no longer slow: %" PRIu64 " syncs took more than %" PRIu64
                 " ms, the longest %" PRIu64 " ms",
                 watch->count, threshold_ms, watch->worst_us / 1000);
}

static void shell_persisted(void *context, uint64_t seq)
{
    struct issuer_shell *shell = context;
    struct replica_event event = { .kind = REPLICA_PERSISTED, .seq = seq };
    uint64_t took_us = store_get_counters(shell->store)->last_us;
    shell_tell_slow(shell, store_watch_done(&shell->watch, took_us, hal_clock_now()));
    shell_step(shell, &event);
}

static void shell_own_store(const struct issuer_shell *shell, struct wire_store *store)
{
    const struct store_counters *counters = store_get_counters(shell->store);
    *store = (struct wire_store){
        .sync_last_us = counters->last_us,
        .sync_worst_us = counters->worst_us,
        .waiting_us = store_waiting_us(shell->store),
        .written_bytes = counters->bytes_written,
        .syncs = counters->syncs,
        .slow = shell->watch.slow,
        .failed = shell->failure[0] != '\0',
    };
}

static void shell_look(uv_timer_t *timer)
{
    struct issuer_shell *shell = timer->data;
    const struct raft_members *members = &shell->replica.raft.members;
    uint64_t waiting_us = shell->failure[0] != '\0' ? 0 : store_waiting_us(shell->store);
    struct wire_store store;
    shell_tell_slow(shell, store_watch_look(&shell->watch, waiting_us, hal_clock_now()));
    budget_watch_look(&shell->budgets, &shell->replica.issuer, hal_clock_now());
    shell_own_store(shell, &store);
    for (uint8_t i = 0; i < members->count; i++) {
        const struct hf_name *id = &members->member[i].id;
        if (!name_equal(id, &shell->config.conf->node_id))
            (void)shell->config.callbacks.send_store(shell->config.context, id, &store);
    }
}

static void shell_store_failed(void *context, const char *text)
{
    struct issuer_shell *shell = context;
    struct replica_event event = { .kind = REPLICA_STORE_FAILED };
    snprintf(shell->failure, sizeof(shell->failure), "%s", text);
    log_line(LOG_ERR, "store: %s; this issuer votes and answers no more until it is restarted",
             text);
    shell_step(shell, &event);
}

/* ---- events ---- */

void issuer_shell_raft(struct issuer_shell *shell, const struct raft_message *message)
{
    struct replica_event event = { .kind = REPLICA_RAFT_MESSAGE, .raft_message = message };
    shell_step(shell, &event);
}

void issuer_shell_lease(struct issuer_shell *shell, const struct hf_name *agent,
                        const struct lease_message *message)
{
    struct replica_event event = { .kind = REPLICA_LEASE_MESSAGE,
                                   .node = *agent,
                                   .lease_message = message };
    shell_step(shell, &event);
}

void issuer_shell_client(struct issuer_shell *shell, const struct hf_name *agent, bool up)
{
    struct replica_event event = { .kind = up ? REPLICA_CLIENT_UP : REPLICA_CLIENT_DOWN,
                                   .node = *agent };
    shell_step(shell, &event);
}

void issuer_shell_peer_down(struct issuer_shell *shell, const struct hf_name *peer)
{
    struct replica_event event = { .kind = REPLICA_PEER_DOWN, .node = *peer };
    shell_step(shell, &event);
}

static bool shell_is_stale(const struct shell_peer *peer)
{
    return name_empty(&peer->id) ||
           instant_reached(instant_add(peer->heard, span_from_ms(STORE_STALE_MS)), hal_clock_now());
}

/* One that was heard of lately keeps its place; one that was not gives it up. */
static struct shell_peer *shell_claim_peer(struct issuer_shell *shell, const struct hf_name *id)
{
    struct shell_peer *place = NULL;
    for (size_t i = 0; i < HF_ISSUERS_MAX; i++) {
        struct shell_peer *peer = &shell->peer[i];
        if (name_equal(&peer->id, id))
            return peer;
        if (shell_is_stale(peer))
            place = peer;
    }
    return place;
}

void issuer_shell_store(struct issuer_shell *shell, const struct hf_name *peer,
                        const struct wire_store *store)
{
    struct shell_peer *place = shell_claim_peer(shell, peer);
    if (place == NULL)
        return;
    place->id = *peer;
    place->heard = hal_clock_now();
    place->store = *store;
}

bool issuer_shell_store_of(const struct issuer_shell *shell, const struct hf_name *id,
                           struct wire_store *store)
{
    if (name_equal(id, &shell->config.conf->node_id)) {
        shell_own_store(shell, store);
        return true;
    }
    for (size_t i = 0; i < HF_ISSUERS_MAX; i++) {
        const struct shell_peer *peer = &shell->peer[i];
        if (!name_equal(&peer->id, id) || shell_is_stale(peer))
            continue;
        *store = peer->store;
        return true;
    }
    return false;
}

uint64_t issuer_shell_slow_total(const struct issuer_shell *shell)
{
    return shell->watch.total;
}

enum raft_refusal issuer_shell_operate(struct issuer_shell *shell, struct replica_event *event,
                                       struct replica_act *act, const char **error)
{
    shell_step_replica(shell, event);
    *act = shell->output.act;
    *error = shell->output.error;
    return shell->output.refusal;
}

void issuer_shell_await(struct issuer_shell *shell, struct issuer_shell_waiting *waiting)
{
    waiting->next = shell->waiting;
    shell->waiting = waiting;
    shell_tell_waiting(shell);
}

void issuer_shell_forget_waiting(struct issuer_shell *shell, struct issuer_shell_waiting *waiting)
{
    for (struct issuer_shell_waiting **at = &shell->waiting; *at != NULL; at = &(*at)->next) {
        if (*at == waiting) {
            *at = waiting->next;
            return;
        }
    }
}

bool issuer_shell_read(struct issuer_shell *shell, struct issuer_shell_reader *reader)
{
    struct replica_event event = { .kind = REPLICA_CONFIRM };
    shell_step_replica(shell, &event);
    uint64_t confirmed = shell->output.confirmed_round;
    if (shell->output.requested_round == 0)
        return false;
    reader->round = shell->output.requested_round;
    reader->next = shell->readers;
    shell->readers = reader;
    if (confirmed != 0)
        shell_tell_readers(shell, confirmed, false);
    return true;
}

void issuer_shell_forget_reader(struct issuer_shell *shell, struct issuer_shell_reader *reader)
{
    for (struct issuer_shell_reader **at = &shell->readers; *at != NULL; at = &(*at)->next) {
        if (*at == reader) {
            *at = reader->next;
            return;
        }
    }
}

void issuer_shell_watch(struct issuer_shell *shell, struct issuer_shell_watcher *watcher)
{
    watcher->next = shell->watchers;
    shell->watchers = watcher;
}

void issuer_shell_unwatch(struct issuer_shell *shell, struct issuer_shell_watcher *watcher)
{
    for (struct issuer_shell_watcher **at = &shell->watchers; *at != NULL; at = &(*at)->next) {
        if (*at == watcher) {
            *at = watcher->next;
            return;
        }
    }
}

const struct replica *issuer_shell_replica(const struct issuer_shell *shell)
{
    return &shell->replica;
}

const struct store_counters *issuer_shell_counters(const struct issuer_shell *shell)
{
    return store_get_counters(shell->store);
}

const char *issuer_shell_failure(const struct issuer_shell *shell)
{
    return shell->failure;
}

/* ---- start and stop ---- */

static size_t shell_policies(struct issuer_shell *shell, const struct conf *conf)
{
    for (size_t i = 0; i < conf->policy_count; i++) {
        const struct conf_policy *from = &conf->policy[i];
        struct issuer_policy *to = &shell->policy[i];
        to->resource = from->resource;
        to->ttl_max_us = span_from_ms(from->ttl_max_ms).us;
        to->fence_max_us = span_from_ms(from->fence_max_ms).us;
        to->stuck_go = from->on_stuck == CONF_ON_STUCK_GO;
        to->holder_count = from->holder_count;
        for (uint8_t k = 0; k < from->holder_count; k++)
            to->holder[k] = from->holder[k];
    }
    return conf->policy_count;
}

/* The one line for whoever finds an issuer without a memory. */
static void shell_tell_nothing(const struct conf *conf, const struct journal_recovered *recovered)
{
    char what[JOURNAL_ERROR_MAX + 80];
    if (recovered->set_aside)
        snprintf(what, sizeof(what), "%s; %s", recovered->damage,
                 recovered->kept ? "kept as journal.*.damaged" : "there is no room to keep it");
    else
        snprintf(what, sizeof(what), "%.150s holds no journal", conf->data_dir);
    if (conf->issuer_count > 1)
        log_line(
            LOG_ERR,
            "store: %s: this issuer has no say until it has recovered from the others; "
            "only if the cluster is new, or all are lost: holdfastd -c %s --init, or --restore "
            "BACKUP, on each of them",
            what, conf->file);
    else
        log_line(
            LOG_ERR,
            "store: %s: this issuer has no say, and cluster.issuers lists nobody to "
            "recover from: list the others if there are any; if the cluster is new: holdfastd -c "
            "%s --init; if all is lost: --restore BACKUP, or --init --above N, see holdfastd(8)",
            what, conf->file);
}

static bool shell_open_store(struct issuer_shell *shell, struct journal_recovered *recovered)
{
    const struct conf *conf = shell->config.conf;
    char error[ISSUER_SHELL_TEXT_MAX];
    const struct store_config config = {
        .loop = shell->config.loop,
        .data_dir = conf->data_dir,
        .ops = shell->config.disk_ops,
        .disk = shell->config.disk,
        .cluster = conf->cluster_name.text,
        .node = conf->node_id,
        .snapshot_capacity = REPLICA_SNAPSHOT_MAX,
        .on_persisted = shell_persisted,
        .on_failed = shell_store_failed,
        .context = shell,
    };
    if (store_open(&shell->store, &config, recovered, error, sizeof(error)) != JOURNAL_OK) {
        log_line(LOG_ERR, "store: %s", error);
        return false;
    }
    if (journal_holds_nothing(recovered))
        shell_tell_nothing(conf, recovered);
    if (recovered->cut_bytes > 0)
        log_line(LOG_WARNING,
                 "store: cut a torn tail of %" PRIu64 " bytes that was never "
                 "acknowledged",
                 recovered->cut_bytes);
    if (recovered->repairs > 0)
        log_line(LOG_WARNING,
                 "store: %u damaged or unfinished parts of the journal were restored "
                 "from their copies",
                 recovered->repairs);
    /* While nothing of its log is known, the configuration is the file's, also a mended one's. */
    if (journal_knows_no_members(recovered)) {
        making_bootstrap(conf, &recovered->raft.members);
        store_keep_members(shell->store, &recovered->raft.members);
    }
    return true;
}

static void shell_init_replica(struct issuer_shell *shell,
                               const struct journal_recovered *recovered)
{
    const struct conf *conf = shell->config.conf;
    const struct raft_config raft = {
        .self = conf->node_id,
        .election = span_from_ms(conf->election_ms),
        .heartbeat = span_from_ms(conf->heartbeat_ms),
        .random_seed = shell->config.random_seed,
    };
    const struct issuer_config config = {
        .self = conf->node_id,
        .drift_ppm = conf->drift_ppm,
        .policy = shell->policy,
        .policy_count = shell_policies(shell, conf),
    };
    replica_init(&shell->replica, &raft, &config, &recovered->raft, hal_clock_now());
    if (shell->replica.halted != NULL)
        shell_log_role(shell);
    shell->recovery.standing = recovered->raft.standing;
}

struct issuer_shell *issuer_shell_start(const struct issuer_shell_config *config)
{
    struct issuer_shell *shell = calloc(1, sizeof(*shell));
    struct journal_recovered recovered;
    if (shell == NULL) {
        log_line(LOG_ERR, "issuer: out of memory");
        return NULL;
    }
    shell->config = *config;
    shell->watch.threshold_us = (uint64_t)config->conf->slow_store_ms * 1000;
    if (!shell_open_store(shell, &recovered)) {
        free(shell);
        return NULL;
    }
    uv_timer_init(config->loop, &shell->timer);
    shell->timer.data = shell;
    uv_timer_init(config->loop, &shell->look);
    shell->look.data = shell;
    shell_init_replica(shell, &recovered);
    store_release_recovered(shell->store);
    shell_timer(&shell->timer);
    uv_timer_start(&shell->look, shell_look, STORE_LOOK_MS, STORE_LOOK_MS);
    return shell;
}

void issuer_shell_stop(struct issuer_shell *shell)
{
    uv_close((uv_handle_t *)&shell->timer, NULL);
    uv_close((uv_handle_t *)&shell->look, NULL);
    store_close(shell->store);
}
