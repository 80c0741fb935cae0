#include "lease/issuer_internal.h"

const char issuer_no_policy[] = "no policy of the issuers names this resource";

/* ---- output */

struct issuer_action *issuer_add_action(struct issuer_output *out, enum issuer_action_kind kind)
{
    /* Every event's share of the actions is bounded; see the limits in issuer.h. */
    HF_CHECK(out->count < ISSUER_ACTIONS_MAX);
    struct issuer_action *action = &out->action[out->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

struct lease_message *issuer_send(struct issuer_output *out, const struct hf_name *node,
                                  enum lease_message_kind kind, const struct hf_name *resource)
{
    struct issuer_action *action = issuer_add_action(out, ISSUER_SEND);
    action->node = *node;
    action->message.kind = kind;
    if (resource)
        action->message.resource = *resource;
    return &action->message;
}

struct lease_command *issuer_propose(struct issuer *issuer, struct issuer_output *out,
                                     enum lease_command_kind kind, const struct hf_name *resource)
{
    struct issuer_action *action = issuer_add_action(out, ISSUER_PROPOSE);
    action->command.kind = kind;
    action->command.resource = *resource;
    action->command.who = issuer->config.self;
    return &action->command;
}

void issuer_pay(struct issuer_output *out, const struct hf_name *payer)
{
    out->action[out->count - 1].payer = *payer;
}

/* ---- boards */

struct issuer_client *issuer_find_client(struct issuer *issuer, const struct hf_name *node)
{
    for (size_t i = 0; i < issuer->client_count; i++) {
        if (name_equal(&issuer->client[i].node, node))
            return &issuer->client[i];
    }
    return NULL;
}

struct issuer_client *issuer_connected_client(struct issuer *issuer, const struct hf_name *node)
{
    struct issuer_client *client = issuer_find_client(issuer, node);
    return client && client->up ? client : NULL;
}

/* A slot for a board that connects: its own, an unused one, or one of a board that is gone. */
static struct issuer_client *claim_client(struct issuer *issuer, const struct hf_name *node)
{
    struct issuer_client *client = issuer_find_client(issuer, node);
    if (client)
        return client;
    if (issuer->client_count < HF_AGENTS_MAX)
        client = &issuer->client[issuer->client_count++];
    for (size_t i = 0; i < HF_AGENTS_MAX && !client; i++) {
        /* An element is never NULL: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        if (!issuer->client[i].up)
            client = &issuer->client[i];
    }
    if (!client)
        return NULL;
    memset(client, 0, sizeof(*client));
    client->node = *node;
    return client;
}

/* ---- leases */

const struct issuer_lease *issuer_lease_of(const struct issuer *issuer,
                                           const struct hf_name *resource)
{
    for (uint32_t i = 0; i < issuer->lease_count; i++) {
        if (name_equal(&issuer->lease[i].resource, resource))
            return &issuer->lease[i];
    }
    return NULL;
}

/* The same, for whoever may change it. */
struct issuer_lease *issuer_find_lease(struct issuer *issuer, const struct hf_name *resource)
{
    return (struct issuer_lease *)issuer_lease_of(issuer, resource);
}

void issuer_note_holder(struct issuer *issuer, struct issuer_lease *lease)
{
    lease->record = lease_table_find(issuer->table, &lease->resource);
    if (lease->record < 0)
        return;
    lease->holder = issuer->table->record[lease->record].holder;
    lease->token = issuer->table->record[lease->record].token;
}

struct issuer_lease *issuer_find_or_add_lease(struct issuer *issuer, const struct hf_name *resource,
                                              struct instant now)
{
    struct issuer_lease *lease = issuer_find_lease(issuer, resource);
    if (lease || issuer->lease_count == HF_RESOURCES_MAX)
        return lease;
    lease = &issuer->lease[issuer->lease_count++];
    memset(lease, 0, sizeof(*lease));
    lease->resource = *resource;
    lease->confirmed = now;
    for (size_t i = 0; i < ISSUER_POLICY_HOLDERS_MAX; i++)
        lease->quiet_at[i] = instant_add(now, span_from_ms(ISSUER_QUIET_MS));
    issuer_note_holder(issuer, lease);
    return lease;
}

const struct lease_record *issuer_record_of(const struct issuer *issuer,
                                            const struct issuer_lease *lease)
{
    static const struct lease_record none;
    return lease->record >= 0 ? &issuer->table->record[lease->record] : &none;
}

bool issuer_holder_is(const struct lease_record *record, const struct hf_name *node, uint64_t token)
{
    return record->token != 0 && record->token == token && name_equal(&record->holder, node);
}

struct instant issuer_lease_free_at(const struct issuer *issuer, const struct issuer_lease *lease)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    return timing_issuer_free(lease->confirmed, span_from_us(record->ttl_us),
                              span_from_us(record->fence_us), issuer->config.drift_ppm);
}

/* ---- messages of boards */

static void issuer_on_message(struct issuer *issuer, const struct issuer_event *event,
                              struct instant now, struct issuer_output *out)
{
    const struct lease_message *message = event->message;
    struct issuer_client *client = issuer_connected_client(issuer, &event->node);
    if (!issuer->serving || !client)
        return;
    switch (message->kind) {
    case LEASE_ACQUIRE:
        issuer_on_acquire(issuer, client, message, now, out);
        return;
    case LEASE_WITHDRAW:
        issuer_on_withdraw(issuer, client, message);
        return;
    case LEASE_RENEW:
        issuer_on_renew(issuer, client, message, now, out);
        return;
    case LEASE_RELEASE:
        issuer_on_release(issuer, client, message, now, out);
        return;
    case LEASE_STUCK:
        issuer_on_stuck(issuer, client, message, now, out);
        return;
    case LEASE_NOTED:
    case LEASE_LEADER:
    case LEASE_QUEUED:
    case LEASE_GRANTED:
    case LEASE_RENEWED:
    case LEASE_RELEASED:
    case LEASE_REFUSED:
    case LEASE_YIELD:
    case LEASE_LOST:
    case LEASE_MESSAGE_KINDS:
        return; /* an issuer's own words, or none: nothing to answer */
    }
}

/* ---- leadership, connections */

/* The backup's bound, or the present policy's if that allows more. */
static struct instant unknown_end(const struct issuer *issuer, struct instant serving)
{
    int64_t own_us = issuer_lease_max_us(&issuer->config);
    int64_t longest_us = own_us > issuer->table->unknown_us ? own_us : issuer->table->unknown_us;
    return timing_issuer_free(serving, span_from_us(longest_us), span_from_us(0),
                              issuer->config.drift_ppm);
}

static void on_serving(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                       struct issuer_output *out)
{
    issuer->serving = true;
    issuer->term = event->term;
    issuer->lease_count = 0;
    issuer->renewal_count = 0;
    issuer->unknown_until = unknown_end(issuer, now);
    for (uint32_t i = 0; i < issuer->table->count; i++)
        issuer_find_or_add_lease(issuer, &issuer->table->record[i].resource, now);
    for (size_t i = 0; i < issuer->client_count; i++) {
        if (issuer->client[i].up)
            issuer_send(out, &issuer->client[i].node, LEASE_LEADER, NULL)->term = issuer->term;
    }
}

static void on_not_serving(struct issuer *issuer)
{
    issuer->serving = false;
    issuer->lease_count = 0;
    issuer->renewal_count = 0;
}

static void on_client_up(struct issuer *issuer, const struct issuer_event *event,
                         struct instant now, struct issuer_output *out)
{
    struct issuer_client *client = claim_client(issuer, &event->node);
    if (!client)
        return; /* more boards than a cluster may have: this one is not served */
    client->up = true;
    client->word_heard = false;
    client->connected = now;
    if (issuer->serving)
        issuer_send(out, &client->node, LEASE_LEADER, NULL)->term = issuer->term;
}

static void on_client_down(struct issuer *issuer, const struct issuer_event *event)
{
    struct issuer_client *client = issuer_find_client(issuer, &event->node);
    size_t kept = 0;
    if (!client)
        return;
    client->up = false;
    for (uint32_t i = 0; i < issuer->lease_count; i++)
        issuer_remove_waiter(&issuer->lease[i], &event->node);
    for (size_t i = 0; i < issuer->renewal_count; i++) {
        if (name_equal(&issuer->renewal[i].node, &event->node))
            continue;
        if (kept != i)
            issuer->renewal[kept] = issuer->renewal[i];
        kept++;
    }
    issuer->renewal_count = kept;
}

void issuer_init(struct issuer *issuer, const struct issuer_config *config,
                 const struct lease_table *table)
{
    issuer->client_count = 0;
    issuer->budgets_full = false;
    issuer->config = *config;
    issuer->table = table;
    issuer->term = 0;
    issuer->arrivals = 0;
    issuer->round_confirmed = 0;
    on_not_serving(issuer);
}

/* What holds of a lease while this issuer serves: see issuer.h. */
static void check_lease(const struct issuer *issuer, const struct issuer_lease *lease)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    HF_CHECK(lease->record < 0 || name_equal(&record->resource, &lease->resource));
    HF_CHECK(lease->token == record->token);
    HF_CHECK((record->token == 0) == name_empty(&record->holder));
    HF_CHECK(record->token <= record->last_token && record->last_token <= issuer->table->applied);
    HF_CHECK(lease->pending == ISSUER_PENDING_NONE || lease->pending_index == 0 ||
             lease->pending_index > issuer->table->applied);
    for (uint8_t i = 0; i < lease->waiter_count; i++) {
        HF_CHECK(i == 0 || issuer_served_before(&lease->waiter[i - 1], &lease->waiter[i]));
        HF_CHECK(record->token == 0 || !name_equal(&lease->waiter[i].node, &record->holder));
    }
}

static void issuer_check(const struct issuer *issuer)
{
    HF_CHECK(issuer->serving || (issuer->lease_count == 0 && issuer->renewal_count == 0));
    HF_CHECK(issuer->renewal_count <= ISSUER_RENEWALS_MAX);
    for (uint32_t i = 0; i < issuer->lease_count; i++)
        check_lease(issuer, &issuer->lease[i]);
}

static void take_event(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                       struct issuer_output *out)
{
    switch (event->kind) {
    case ISSUER_EVENT_SERVING:
        on_serving(issuer, event, now, out);
        return;
    case ISSUER_EVENT_NOT_SERVING:
        on_not_serving(issuer);
        return;
    case ISSUER_EVENT_CLIENT_UP:
        on_client_up(issuer, event, now, out);
        return;
    case ISSUER_EVENT_CLIENT_DOWN:
        on_client_down(issuer, event);
        return;
    case ISSUER_EVENT_MESSAGE:
        issuer_on_message(issuer, event, now, out);
        return;
    case ISSUER_EVENT_APPLIED:
        issuer_on_applied(issuer, event, now, out);
        return;
    case ISSUER_EVENT_ROUND:
        if (event->round > issuer->round_confirmed)
            issuer->round_confirmed = event->round;
        issuer_confirm_renewals(issuer, now, out);
        return;
    case ISSUER_EVENT_TIMER:
        issuer_on_timer(issuer, now, out);
        return;
    case ISSUER_EVENT_TRANSFER:
    case ISSUER_EVENT_PIN:
    case ISSUER_EVENT_NOTE:
    case ISSUER_EVENT_OVERRULE:
    case ISSUER_EVENT_REMOVE:
    case ISSUER_EVENT_CLEAR:
        issuer_on_operator(issuer, event, now, out);
        return;
    case ISSUER_EVENT_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "issuer event");
}

void issuer_step(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                 struct issuer_output *out)
{
    out->count = 0;
    out->error = NULL;
    out->wake_at = now;
    take_event(issuer, event, now, out);
    issuer_check(issuer);
}

/* ---- for people */

struct instant issuer_free_at(const struct issuer *issuer, const struct hf_name *resource)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    if (!lease || issuer_record_of(issuer, lease)->token == 0)
        return INSTANT_NEVER;
    return issuer_lease_free_at(issuer, lease);
}

struct instant issuer_unknown_until(const struct issuer *issuer)
{
    bool counts = issuer->serving && issuer->table->unknown_us > 0;
    return counts ? issuer->unknown_until : INSTANT_NEVER;
}

struct span issuer_time_left(const struct issuer *issuer, const struct hf_name *resource,
                             struct instant now)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    if (!lease)
        return span_from_us(0);
    struct instant end =
        instant_add(lease->confirmed, span_from_us(issuer_record_of(issuer, lease)->ttl_us));
    bool held = issuer_record_of(issuer, lease)->token != 0 && instant_before(now, end);
    return held ? instant_diff(end, now) : span_from_us(0);
}
