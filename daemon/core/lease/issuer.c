#include "lease/issuer.h"

#include <string.h>

#include "base/check.h"

static const struct instant at_once = { 0 };

/* ---- output */

static struct issuer_action *add_action(struct issuer_output *out, enum issuer_action_kind kind)
{
    /* Every event's share of the actions is bounded; see the limits in issuer.h. */
    HF_CHECK(out->count < ISSUER_ACTIONS_MAX);
    struct issuer_action *action = &out->action[out->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

static struct lease_message *send(struct issuer_output *out, const struct hf_name *node,
                                  enum lease_message_kind kind, const struct hf_name *resource)
{
    struct issuer_action *action = add_action(out, ISSUER_SEND);
    action->node = *node;
    action->message.kind = kind;
    if (resource)
        action->message.resource = *resource;
    return &action->message;
}

static struct lease_command *propose(struct issuer *issuer, struct issuer_output *out,
                                     enum lease_command_kind kind, const struct hf_name *resource)
{
    struct issuer_action *action = add_action(out, ISSUER_PROPOSE);
    action->command.kind = kind;
    action->command.resource = *resource;
    action->command.who = issuer->config.self;
    return &action->command;
}

/* No entry for a resource that no policy names: the table holds what policies name, and no more. */
static const char no_policy[] = "no policy of the issuers names this resource";

static void pay(struct issuer_output *out, const struct hf_name *payer)
{
    out->action[out->count - 1].payer = *payer;
}

/* ---- boards */

static struct issuer_client *find_client(struct issuer *issuer, const struct hf_name *node)
{
    for (size_t i = 0; i < HF_AGENTS_MAX; i++) {
        if (name_equal(&issuer->client[i].node, node))
            return &issuer->client[i];
    }
    return NULL;
}

static struct issuer_client *connected_client(struct issuer *issuer, const struct hf_name *node)
{
    struct issuer_client *client = find_client(issuer, node);
    return client && client->up ? client : NULL;
}

/* A slot for a board that connects: its own, an unused one, or one of a board that is gone. */
static struct issuer_client *claim_client(struct issuer *issuer, const struct hf_name *node)
{
    const struct hf_name nobody = { "" };
    struct issuer_client *client = find_client(issuer, node);
    if (client)
        return client;
    client = find_client(issuer, &nobody);
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

static struct issuer_lease *find_lease(struct issuer *issuer, const struct hf_name *resource)
{
    for (uint32_t i = 0; i < issuer->lease_count; i++) {
        if (name_equal(&issuer->lease[i].resource, resource))
            return &issuer->lease[i];
    }
    return NULL;
}

static void note_holder(struct issuer *issuer, struct issuer_lease *lease)
{
    lease->record = lease_table_find(issuer->table, &lease->resource);
    if (lease->record < 0)
        return;
    lease->holder = issuer->table->record[lease->record].holder;
    lease->token = issuer->table->record[lease->record].token;
}

/* NULL if the leader's memory is full. */
static struct issuer_lease *find_or_add_lease(struct issuer *issuer, const struct hf_name *resource,
                                              struct instant now)
{
    struct issuer_lease *lease = find_lease(issuer, resource);
    if (lease || issuer->lease_count == HF_RESOURCES_MAX)
        return lease;
    lease = &issuer->lease[issuer->lease_count++];
    memset(lease, 0, sizeof(*lease));
    lease->resource = *resource;
    lease->confirmed = now;
    note_holder(issuer, lease);
    return lease;
}

static const struct lease_record *record_of(const struct issuer *issuer,
                                            const struct issuer_lease *lease)
{
    static const struct lease_record none;
    return lease->record >= 0 ? &issuer->table->record[lease->record] : &none;
}

static bool holds(const struct lease_record *record, const struct hf_name *node, uint64_t token)
{
    return record->token != 0 && record->token == token && name_equal(&record->holder, node);
}

static struct instant free_at(const struct issuer *issuer, const struct issuer_lease *lease)
{
    const struct lease_record *record = record_of(issuer, lease);
    return timing_issuer_free(lease->confirmed, span_from_us(record->ttl_us),
                              span_from_us(record->fence_us), issuer->config.drift_ppm);
}

/* ---- budgets */

static size_t leases_of(const struct issuer *issuer, const struct hf_name *node)
{
    size_t held = 0;
    for (uint32_t i = 0; i < issuer->table->count; i++)
        held += name_equal(&issuer->table->record[i].holder, node);
    return held;
}

/* Enough for all that its leases may still cost, and for one more; most have far more than that. */
static int64_t wanted_bytes(const struct issuer *issuer, const struct issuer_client *client,
                            int64_t left)
{
    const int64_t most = (HF_LEASES_PER_AGENT_MAX + 1) * BUDGET_LEASE_BYTES;
    if (left >= most)
        return 0;
    int64_t wanted = (int64_t)(leases_of(issuer, &client->node) + 1) * BUDGET_LEASE_BYTES;
    return wanted < most ? wanted : most;
}

struct instant issuer_budget_ready_at(const struct issuer *issuer,
                                      const struct issuer_client *client)
{
    return budget_ready_at(&client->budget, &budget_board, wanted_bytes(issuer, client, 0));
}

/* Returns when to look again. */
static struct instant look_at_budget(struct issuer *issuer, struct issuer_client *client,
                                     struct instant now)
{
    int64_t left = budget_left(&client->budget, &budget_board, now);
    int64_t wanted = wanted_bytes(issuer, client, left);
    client->held_back = left < wanted;
    if (client->held_back && !client->bitten)
        client->bites++;
    client->bitten = client->held_back || (client->bitten && left < budget_board.burst / 4);
    return client->held_back ? issuer_budget_ready_at(issuer, client) : INSTANT_NEVER;
}

static struct instant look_at_budgets(struct issuer *issuer, struct instant now)
{
    struct instant again = INSTANT_NEVER;
    issuer->held_back_count = 0;
    for (size_t i = 0; i < HF_AGENTS_MAX; i++) {
        struct issuer_client *client = &issuer->client[i];
        if (name_empty(&client->node) || instant_reached(client->budget.full_at, now)) {
            client->held_back = client->bitten = false;
            continue;
        }
        again = instant_min(again, look_at_budget(issuer, client, now));
        issuer->held_back_count += client->held_back;
    }
    return again;
}

static bool is_held_back(const struct issuer *issuer, const struct hf_name *node)
{
    for (size_t i = 0; i < HF_AGENTS_MAX && issuer->held_back_count > 0; i++) {
        if (name_equal(&issuer->client[i].node, node))
            return issuer->client[i].held_back;
    }
    return false;
}

void issuer_charge(struct issuer *issuer, const struct hf_name *payer, int64_t bytes,
                   struct instant now)
{
    struct issuer_client *client = name_empty(payer) ? NULL : find_client(issuer, payer);
    if (!client)
        return;
    budget_spend(&client->budget, &budget_board, bytes, now);
    client->spent_bytes += (uint64_t)bytes;
}

/* ---- queue */

static int find_waiter(const struct issuer_lease *lease, const struct hf_name *node)
{
    for (int i = 0; i < lease->waiter_count; i++) {
        if (name_equal(&lease->waiter[i].node, node))
            return i;
    }
    return -1;
}

static void remove_waiter(struct issuer_lease *lease, const struct hf_name *node)
{
    int at = find_waiter(lease, node);
    if (at < 0)
        return;
    lease->waiter_count--;
    for (int i = at; i < lease->waiter_count; i++)
        lease->waiter[i] = lease->waiter[i + 1];
}

static bool served_before(const struct issuer_waiter *a, const struct issuer_waiter *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a->arrival < b->arrival;
}

/* Its position from 0, or -1 if the queue is full. One that waits already keeps its arrival. */
static int queue_waiter(struct issuer *issuer, struct issuer_lease *lease,
                        const struct hf_name *node, const struct lease_message *message)
{
    int found = find_waiter(lease, node);
    if (found < 0 && lease->waiter_count == HF_WAITERS_MAX)
        return -1;
    struct issuer_waiter waiter;
    memset(&waiter, 0, sizeof(waiter));
    waiter.node = *node;
    waiter.priority = message->priority;
    waiter.failback_auto = message->failback_auto;
    waiter.ttl_us = message->ttl_us;
    waiter.fence_us = message->fence_us;
    waiter.arrival = found >= 0 ? lease->waiter[found].arrival : ++issuer->arrivals;
    text_copy(waiter.address, sizeof(waiter.address), message->address);
    remove_waiter(lease, node);
    int at = lease->waiter_count++;
    for (; at > 0 && served_before(&waiter, &lease->waiter[at - 1]); at--)
        lease->waiter[at] = lease->waiter[at - 1];
    lease->waiter[at] = waiter;
    return at;
}

/* ---- outputs stuck on */

static const char held_text[] = "an output of it is stuck on: held until fault clear, see leases";

static bool policy_says_go(const struct issuer *issuer, const struct hf_name *resource)
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, resource);
    return policy && policy->stuck_go;
}

/* Nobody is granted it: by the table, or by a board's word that is not written down yet. */
static bool is_held(const struct issuer *issuer, const struct issuer_lease *lease,
                    struct instant now)
{
    return !policy_says_go(issuer, &lease->resource) &&
           (stuck_holds(&issuer->table->stuck, &lease->resource) ||
            !instant_reached(lease->word_until, now));
}

static bool pin_allows(const struct lease_record *record, const struct hf_name *node)
{
    return !record->pinned || name_equal(&record->pinned_to, node);
}

static bool transfer_waits(const struct issuer_lease *lease)
{
    return lease->transfer.state == ISSUER_TRANSFER_PENDING && lease->transfer.token == 0;
}

/* Who is granted next: the target of a transfer, else by priority and arrival. NULL: nobody. */
static const struct issuer_waiter *next_waiter(const struct issuer *issuer,
                                               const struct issuer_lease *lease)
{
    const struct lease_record *record = record_of(issuer, lease);
    if (transfer_waits(lease)) {
        int target = find_waiter(lease, &lease->transfer.to);
        if (target >= 0 && pin_allows(record, &lease->transfer.to))
            return &lease->waiter[target];
    }
    for (uint8_t i = 0; i < lease->waiter_count; i++) {
        const struct hf_name *node = &lease->waiter[i].node;
        if (pin_allows(record, node) && !is_held_back(issuer, node))
            return &lease->waiter[i];
    }
    return NULL;
}

/* ---- transfers */

static void fail_transfer(struct issuer_lease *lease, const char *reason)
{
    if (lease->transfer.state != ISSUER_TRANSFER_PENDING)
        return;
    lease->transfer.state = ISSUER_TRANSFER_FAILED;
    lease->transfer.reason = reason;
}

static void note_granted_for_transfer(struct issuer_lease *lease)
{
    if (!transfer_waits(lease))
        return;
    if (!name_equal(&lease->holder, &lease->transfer.to)) {
        fail_transfer(lease, "granted to another board, the target had gone");
        return;
    }
    lease->transfer.token = lease->token;
}

static void note_confirmed_for_transfer(struct issuer_lease *lease, struct instant now)
{
    if (lease->transfer.state != ISSUER_TRANSFER_PENDING || lease->transfer.token != lease->token)
        return;
    lease->transfer.state = ISSUER_TRANSFER_DONE;
    lease->transfer.gap = instant_diff(now, lease->transfer.released);
}

static const char *begin_transfer(struct issuer *issuer, const struct issuer_event *event,
                                  struct instant now)
{
    struct issuer_lease *lease = find_lease(issuer, &event->resource);
    if (!lease || record_of(issuer, lease)->token == 0)
        return "nobody holds this resource";
    const struct lease_record *record = record_of(issuer, lease);
    if (name_equal(&record->holder, &event->node))
        return "the board holds it already";
    if (!issuer_policy_of(issuer, &event->resource))
        return no_policy;
    if (is_held(issuer, lease, now))
        return held_text;
    if (lease->transfer.state == ISSUER_TRANSFER_PENDING)
        return "a transfer of this resource is under way";
    if (lease->pending == ISSUER_PENDING_GRANT)
        return "a grant of this resource is under way; try again";
    if (!connected_client(issuer, &event->node) || find_waiter(lease, &event->node) < 0)
        return "the board is not waiting for this resource";
    if (!pin_allows(record, &event->node))
        return "the resource is pinned to another board, or to nobody";
    struct span patience =
        span_add(span_from_us(record->ttl_us), span_from_ms(ISSUER_TRANSFER_MARGIN_MS));
    memset(&lease->transfer, 0, sizeof(lease->transfer));
    lease->transfer.state = ISSUER_TRANSFER_PENDING;
    lease->transfer.from = record->holder;
    lease->transfer.to = event->node;
    lease->transfer.who = event->who;
    lease->transfer.via = event->via;
    lease->transfer.until = instant_add(now, patience);
    /* Until the former holder's release arrives: if it dies instead, the gap counts from here. */
    lease->transfer.released = now;
    lease->yield_at = at_once;
    return NULL;
}

/* ---- refusals */

static struct issuer_note *find_note(struct issuer_client *client, const struct hf_name *resource)
{
    for (size_t i = 0; i < ISSUER_NOTES_PER_NODE; i++) {
        if (name_equal(&client->note[i].resource, resource))
            return &client->note[i];
    }
    return NULL;
}

/* A note for another resource: an unused one, or one that bars nothing any more. NULL: none. */
static struct issuer_note *claim_note(struct issuer_client *client, struct instant now)
{
    const struct hf_name unused = { "" };
    struct issuer_note *note = find_note(client, &unused);
    for (size_t i = 0; i < ISSUER_NOTES_PER_NODE && !note; i++) {
        if (instant_reached(client->note[i].again_at, now))
            note = &client->note[i];
    }
    if (note)
        memset(note, 0, sizeof(*note));
    return note;
}

/*
 * True if this refusal goes into the history: another reason than the last one that did, and not so
 * soon after it that a board could fill log and card with its requests. One that is refused more
 * resources than it may ask for is noted no faster than that.
 */
static bool note_refusal(struct issuer_client *client, const struct hf_name *resource,
                         enum lease_refusal refusal, struct instant now)
{
    struct issuer_note *note = find_note(client, resource);
    if (!note)
        note = claim_note(client, now);
    if (!note || note->refusal == refusal || !instant_reached(note->again_at, now))
        return false;
    note->resource = *resource;
    note->refusal = refusal;
    note->again_at = instant_add(now, span_from_ms(ISSUER_NOTE_INTERVAL_MS));
    return true;
}

static void refuse(struct issuer *issuer, struct issuer_client *client,
                   const struct hf_name *resource, enum lease_refusal refusal, const char *text,
                   struct instant now, struct issuer_output *out)
{
    struct lease_message *answer = send(out, &client->node, LEASE_REFUSED, resource);
    answer->refusal = refusal;
    text_copy(answer->text, sizeof(answer->text), text);
    if (!issuer_policy_of(issuer, resource) ||
        budget_left(&client->budget, &budget_board, now) < BUDGET_LEASE_BYTES ||
        !note_refusal(client, resource, refusal, now))
        return;
    struct lease_command *command = propose(issuer, out, LEASE_COMMAND_NOTE, resource);
    command->event = HISTORY_REFUSAL;
    command->holder = client->node;
    text_copy(command->text, sizeof(command->text), text);
    pay(out, &client->node);
}

/* ---- messages of boards */

static void answer_queued(struct issuer *issuer, const struct issuer_lease *lease,
                          const struct hf_name *node, uint32_t position, struct issuer_output *out)
{
    const struct lease_record *record = record_of(issuer, lease);
    struct lease_message *answer = send(out, node, LEASE_QUEUED, &lease->resource);
    answer->holder = record->holder;
    answer->token = record->token;
    answer->position = position;
    issuer_explain_held(issuer, &lease->resource, answer->text);
}

/* One entry at a time for a resource, and none that would do nothing. */
static void propose_word(struct issuer *issuer, const struct issuer_lease *lease,
                         const struct issuer_client *client, bool stuck, const char *text,
                         struct instant now, struct issuer_output *out)
{
    if (lease->word_index > issuer->table->applied ||
        (stuck && !stuck_has_room(&issuer->table->stuck)) ||
        budget_left(&client->budget, &budget_board, now) < BUDGET_LEASE_BYTES)
        return;
    struct lease_command *command =
        propose(issuer, out, stuck ? LEASE_COMMAND_STUCK : LEASE_COMMAND_CLEAR, &lease->resource);
    command->holder = client->node;
    command->who = client->node;
    text_copy(command->text, sizeof(command->text), text);
    pay(out, &client->node);
}

/* A board that asks for it has proven its outputs off; what an operator let go is over then. */
static void note_seen_off(struct issuer *issuer, struct issuer_client *client,
                          const struct hf_name *resource, struct instant now,
                          struct issuer_output *out)
{
    const struct stuck_row *row = stuck_find(&issuer->table->stuck, resource, &client->node);
    const struct issuer_lease *lease = find_lease(issuer, resource);
    if (row && lease && (row->let_go || policy_says_go(issuer, resource)))
        propose_word(issuer, lease, client, false, "its outputs are off again", now, out);
}

/* Repeated by the board until it is noted. Words may overtake each other: the newest counts. */
static void on_stuck(struct issuer *issuer, struct issuer_client *client,
                     const struct lease_message *message, struct instant now,
                     struct issuer_output *out)
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, &message->resource);
    bool news = !client->word_heard || (int64_t)(message->nonce - client->word_nonce) > 0;
    if (!policy || !issuer_policy_allows(policy, &client->node) || !news)
        return;
    struct issuer_lease *lease = find_or_add_lease(issuer, &message->resource, now);
    if (!lease)
        return;
    client->word_heard = true;
    client->word_nonce = message->nonce;
    bool known = stuck_find(&issuer->table->stuck, &message->resource, &client->node) != NULL;
    if (known != message->fenced) {
        struct lease_message *answer = send(out, &client->node, LEASE_NOTED, &message->resource);
        answer->nonce = message->nonce;
        answer->fenced = message->fenced;
        return;
    }
    if (!message->fenced) {
        lease->word_until = instant_add(now, span_from_ms(ISSUER_WORD_MS));
        if (is_held(issuer, lease, now))
            fail_transfer(lease, held_text);
    }
    const char *text = policy->stuck_go ? "an output is stuck on; on_stuck = go" :
                                          "an output is stuck on: held until fault clear";
    propose_word(issuer, lease, client, !message->fenced,
                 message->fenced ? "fault cleared at the board, its outputs are off" : text, now,
                 out);
}

/* A board had a token that is not below the next one here: whoever waits is told, and waits no more. */
static void refuse_waiters(struct issuer *issuer, struct issuer_lease *lease, struct instant now,
                           struct issuer_output *out)
{
    struct issuer_claim claim;
    char text[HF_REASON_MAX + 1];
    if (!issuer_claim_of(issuer, &lease->resource, &claim))
        return;
    issuer_explain_claim(issuer, &claim, text);
    while (lease->waiter_count > 0) {
        struct issuer_client *client =
            connected_client(issuer, &lease->waiter[--lease->waiter_count].node);
        if (client)
            refuse(issuer, client, &lease->resource, LEASE_REFUSED_TOKEN, text, now, out);
    }
}

/* What a board says it had: by an acquire, or by a lease that it releases or renews. */
static void hear_claim(struct issuer *issuer, const struct hf_name *node,
                       const struct hf_name *resource, uint64_t token, struct instant now,
                       struct issuer_output *out)
{
    /* No grant is at or below what is applied. */
    if (token <= issuer->table->applied || !issuer_policy_of(issuer, resource))
        return;
    struct issuer_lease *lease = find_or_add_lease(issuer, resource, now);
    if (lease && issuer_hear_claim(issuer, lease, node, token))
        refuse_waiters(issuer, lease, now, out);
}

/* Policy, ranges and pin, and then what boards say of tokens. */
static enum lease_refusal judge_acquire(const struct issuer *issuer, const struct hf_name *node,
                                        const struct lease_message *message,
                                        char text[HF_REASON_MAX + 1])
{
    struct issuer_claim claim;
    enum lease_refusal refusal = issuer_check_acquire(issuer, node, message, text);
    int found = lease_table_find(issuer->table, &message->resource);
    bool holder = found >= 0 && name_equal(&issuer->table->record[found].holder, node);
    if (refusal != LEASE_REFUSED_NONE || holder ||
        !issuer_claim_of(issuer, &message->resource, &claim))
        return refusal;
    issuer_explain_claim(issuer, &claim, text);
    return LEASE_REFUSED_TOKEN;
}

static void on_acquire(struct issuer *issuer, struct issuer_client *client,
                       const struct lease_message *message, struct instant now,
                       struct issuer_output *out)
{
    char text[HF_REASON_MAX + 1];
    hear_claim(issuer, &client->node, &message->resource, message->highest, now, out);
    note_seen_off(issuer, client, &message->resource, now, out);
    enum lease_refusal refusal = judge_acquire(issuer, &client->node, message, text);
    struct issuer_lease *lease = find_lease(issuer, &message->resource);
    if (refusal != LEASE_REFUSED_NONE) {
        if (lease)
            remove_waiter(lease, &client->node);
        refuse(issuer, client, &message->resource, refusal, text, now, out);
        return;
    }
    lease = find_or_add_lease(issuer, &message->resource, now);
    if (!lease) {
        refuse(issuer, client, &message->resource, LEASE_REFUSED_FULL,
               "the table has no room for another resource", now, out);
        return;
    }
    const struct lease_record *record = record_of(issuer, lease);
    if (record->token != 0 && name_equal(&record->holder, &client->node)) {
        remove_waiter(lease, &client->node);
        answer_queued(issuer, lease, &client->node, 0, out);
        return;
    }
    int position = queue_waiter(issuer, lease, &client->node, message);
    if (position < 0) {
        refuse(issuer, client, &message->resource, LEASE_REFUSED_FULL, "the queue is full", now,
               out);
        return;
    }
    struct issuer_note *note = find_note(client, &message->resource);
    if (note)
        note->refusal = LEASE_REFUSED_NONE;
    answer_queued(issuer, lease, &client->node, (uint32_t)position + 1, out);
}

static void on_withdraw(struct issuer *issuer, const struct issuer_client *client,
                        const struct lease_message *message)
{
    struct issuer_lease *lease = find_lease(issuer, &message->resource);
    if (lease)
        remove_waiter(lease, &client->node);
}

static void answer_released(const struct hf_name *node, const struct hf_name *resource,
                            uint64_t token, uint64_t nonce, struct issuer_output *out)
{
    struct lease_message *answer = send(out, node, LEASE_RELEASED, resource);
    answer->token = token;
    answer->nonce = nonce;
}

static const char *wanted_yield(const struct issuer *issuer, const struct issuer_lease *lease,
                                struct instant now, struct hf_name *successor);

/*
 * Who is to blame that its holder releases it now: the board that it yields to by failback, nobody
 * (this issuer, which pays nothing) if an operator wanted it, else the holder.
 */
static struct hf_name cause_of_release(const struct issuer *issuer,
                                       const struct issuer_lease *lease,
                                       const struct hf_name *holder, struct instant now)
{
    struct hf_name successor;
    if (!wanted_yield(issuer, lease, now, &successor))
        return *holder;
    bool operators = transfer_waits(lease) || !pin_allows(record_of(issuer, lease), holder);
    return operators ? issuer->config.self : successor;
}

static void propose_release(struct issuer *issuer, struct issuer_lease *lease,
                            const struct hf_name *node, const struct lease_message *message,
                            struct instant now, struct issuer_output *out)
{
    struct lease_command *command = propose(issuer, out, LEASE_COMMAND_RELEASE, &lease->resource);
    command->holder = *node;
    command->who = *node;
    command->token = message->token;
    command->fenced = message->fenced;
    text_copy(command->text, sizeof(command->text), message->text);
    lease->cause = cause_of_release(issuer, lease, node, now);
    pay(out, &lease->cause);
    lease->pending = ISSUER_PENDING_RELEASE;
    lease->pending_index = 0;
    lease->pending_node = *node;
    lease->pending_nonce = message->nonce;
    if (transfer_waits(lease))
        lease->transfer.released = now;
}

/* A slot for a renewal: a new one, or that of the board's newest if it has its share already. */
static struct issuer_renewal *claim_renewal(struct issuer *issuer, const struct hf_name *node)
{
    size_t own = 0;
    size_t newest = 0;
    for (size_t i = 0; i < issuer->renewal_count; i++) {
        if (!name_equal(&issuer->renewal[i].node, node))
            continue;
        own++;
        newest = i;
    }
    if (own >= ISSUER_RENEWALS_PER_NODE)
        return &issuer->renewal[newest];
    if (issuer->renewal_count == ISSUER_RENEWALS_MAX)
        return NULL;
    return &issuer->renewal[issuer->renewal_count++];
}

/*
 * A token from beyond this log: granted by a newer leader, or before the log began anew. Only a round
 * shows it: if this leader is confirmed for one asked for now, nobody newer granted anything before.
 */
static void ask_about_release(struct issuer *issuer, const struct issuer_client *client,
                              const struct lease_message *message, struct instant now,
                              struct issuer_output *out)
{
    struct issuer_renewal *renewal = claim_renewal(issuer, &client->node);
    hear_claim(issuer, &client->node, &message->resource, message->token, now, out);
    if (!renewal)
        return;
    renewal->node = client->node;
    renewal->nonce = message->nonce;
    renewal->round = 0;
    renewal->release = true;
    renewal->item_count = 1;
    renewal->item[0] = (struct lease_item){ message->resource, message->token, false };
    add_action(out, ISSUER_CONFIRM);
}

static void on_release(struct issuer *issuer, const struct issuer_client *client,
                       const struct lease_message *message, struct instant now,
                       struct issuer_output *out)
{
    if (message->token > issuer->table->applied) {
        ask_about_release(issuer, client, message, now, out);
        return;
    }
    struct issuer_lease *lease = find_lease(issuer, &message->resource);
    const struct lease_record *record = lease ? record_of(issuer, lease) : NULL;
    bool current = record && holds(record, &client->node, message->token);
    if (!current || (record->abandoned && !message->fenced)) {
        answer_released(&client->node, &message->resource, message->token, message->nonce, out);
        return;
    }
    if (lease->pending == ISSUER_PENDING_NONE)
        propose_release(issuer, lease, &client->node, message, now, out);
    else if (lease->pending == ISSUER_PENDING_RELEASE)
        lease->pending_nonce = message->nonce;
}

static void on_renew(struct issuer *issuer, struct issuer_client *client,
                     const struct lease_message *message, struct instant now,
                     struct issuer_output *out)
{
    if (message->item_count == 0 || message->item_count > HF_LEASES_PER_AGENT_MAX)
        return;
    client->last_renewal = now;
    client->round_trip_us = message->round_trip_us;
    client->slack_us = message->slack_us;
    struct issuer_renewal *renewal = claim_renewal(issuer, &client->node);
    if (!renewal)
        return;
    renewal->node = client->node;
    renewal->nonce = message->nonce;
    renewal->round = 0;
    renewal->release = false;
    renewal->item_count = message->item_count;
    memcpy(renewal->item, message->items, sizeof(renewal->item[0]) * message->item_count);
    add_action(out, ISSUER_CONFIRM);
    for (uint8_t i = 0; i < message->item_count; i++)
        hear_claim(issuer, &client->node, &message->items[i].resource, message->items[i].token, now,
                   out);
}

static void on_message(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                       struct issuer_output *out)
{
    const struct lease_message *message = event->message;
    struct issuer_client *client = connected_client(issuer, &event->node);
    if (!issuer->serving || !client)
        return;
    switch (message->kind) {
    case LEASE_ACQUIRE:
        on_acquire(issuer, client, message, now, out);
        return;
    case LEASE_WITHDRAW:
        on_withdraw(issuer, client, message);
        return;
    case LEASE_RENEW:
        on_renew(issuer, client, message, now, out);
        return;
    case LEASE_RELEASE:
        on_release(issuer, client, message, now, out);
        return;
    case LEASE_STUCK:
        on_stuck(issuer, client, message, now, out);
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

/* ---- confirmed renewals */

/* Adds the answer for one item, unless a proposal that is under way will decide it. */
static void confirm_item(struct issuer *issuer, const struct hf_name *node,
                         const struct lease_item *item, struct instant now,
                         struct lease_message *answer)
{
    struct issuer_lease *lease = find_lease(issuer, &item->resource);
    const struct lease_record *record = lease ? record_of(issuer, lease) : NULL;
    bool current = record && holds(record, node, item->token) && !record->abandoned;
    if (current && lease->pending != ISSUER_PENDING_NONE)
        return;
    struct lease_item *answered = &answer->items[answer->item_count++];
    *answered = *item;
    answered->lost = !current;
    if (!current)
        return;
    lease->confirmed = instant_max(lease->confirmed, now);
    note_confirmed_for_transfer(lease, now);
}

/* Unless it turned out to be in this log after all: then the board's next release is for it. */
static void confirm_release(struct issuer *issuer, const struct issuer_renewal *renewal,
                            struct issuer_output *out)
{
    const struct lease_item *item = &renewal->item[0];
    struct issuer_lease *lease = find_lease(issuer, &item->resource);
    if (!lease || !holds(record_of(issuer, lease), &renewal->node, item->token))
        answer_released(&renewal->node, &item->resource, item->token, renewal->nonce, out);
}

static void confirm_renewal(struct issuer *issuer, const struct issuer_renewal *renewal,
                            struct instant now, struct issuer_output *out)
{
    if (renewal->release) {
        confirm_release(issuer, renewal, out);
        return;
    }
    struct lease_message *answer = send(out, &renewal->node, LEASE_RENEWED, NULL);
    answer->nonce = renewal->nonce;
    for (uint8_t i = 0; i < renewal->item_count; i++)
        confirm_item(issuer, &renewal->node, &renewal->item[i], now, answer);
    if (answer->item_count == 0)
        out->count--;
}

/* Returns false if some had to be left for the next step. */
static bool confirm_renewals(struct issuer *issuer, struct instant now, struct issuer_output *out)
{
    size_t answered = 0;
    size_t kept = 0;
    bool all = true;
    for (size_t i = 0; i < issuer->renewal_count; i++) {
        const struct issuer_renewal *renewal = &issuer->renewal[i];
        bool due = renewal->round != 0 && renewal->round <= issuer->round_confirmed;
        if (due && answered < ISSUER_ANSWERS_PER_STEP) {
            confirm_renewal(issuer, renewal, now, out);
            answered++;
            continue;
        }
        all = all && !due;
        if (kept != i)
            issuer->renewal[kept] = *renewal;
        kept++;
    }
    issuer->renewal_count = kept;
    return all;
}

/* ---- the log */

static void note_grant_applied(struct issuer_lease *lease, struct instant now,
                               struct issuer_output *out, const struct lease_record *record)
{
    remove_waiter(lease, &record->holder);
    lease->confirmed = now;
    lease->yield_at = at_once;
    memset(&lease->cause, 0, sizeof(lease->cause));
    note_granted_for_transfer(lease);
    struct lease_message *grant = send(out, &record->holder, LEASE_GRANTED, &lease->resource);
    grant->token = record->token;
    grant->ttl_us = record->ttl_us;
    grant->fence_us = record->fence_us;
}

static void tell_old_holder(const struct issuer_lease *lease, const struct hf_name *holder,
                            uint64_t token, struct issuer_output *out)
{
    if (token != 0 && token != lease->token)
        send(out, holder, LEASE_LOST, &lease->resource)->token = token;
}

static struct issuer_lease *lease_of_change(struct issuer *issuer, const struct issuer_event *event,
                                            struct instant now)
{
    for (uint32_t i = 0; i < issuer->lease_count; i++) {
        struct issuer_lease *lease = &issuer->lease[i];
        if (lease->pending != ISSUER_PENDING_NONE && lease->pending_index == event->index)
            return lease;
    }
    if (event->change->record < 0)
        return NULL;
    return find_or_add_lease(issuer, &issuer->table->record[event->change->record].resource, now);
}

/* The rows behind a removed one have moved up. */
static void follow_rows(struct issuer *issuer)
{
    for (uint32_t i = 0; i < issuer->lease_count; i++)
        issuer->lease[i].record = lease_table_find(issuer->table, &issuer->lease[i].resource);
}

static void on_applied(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                       struct issuer_output *out)
{
    if (issuer->serving && event->change->removed)
        follow_rows(issuer);
    struct issuer_lease *lease = issuer->serving ? lease_of_change(issuer, event, now) : NULL;
    if (!lease)
        return;
    struct hf_name old_holder = lease->holder;
    uint64_t old_token = lease->token;
    note_holder(issuer, lease);
    /* Written down: the table holds from now on, and for no longer than it does. */
    if (lease->word_index == event->index && stuck_holds(&issuer->table->stuck, &lease->resource))
        lease->word_until = at_once;
    if (lease->pending == ISSUER_PENDING_NONE || lease->pending_index != event->index)
        return;
    enum issuer_pending pending = lease->pending;
    lease->pending = ISSUER_PENDING_NONE;
    switch (pending) {
    case ISSUER_PENDING_GRANT:
        tell_old_holder(lease, &old_holder, old_token, out);
        if (event->change->done)
            note_grant_applied(lease, now, out, record_of(issuer, lease));
        return;
    case ISSUER_PENDING_RELEASE:
        answer_released(&lease->pending_node, &lease->resource, old_token, lease->pending_nonce,
                        out);
        return;
    case ISSUER_PENDING_EXPIRE:
        tell_old_holder(lease, &old_holder, old_token, out);
        return;
    case ISSUER_PENDING_NONE:
        break;
    }
    hf_panic(__FILE__, __LINE__, "pending proposal");
}

void issuer_proposed(struct issuer *issuer, const struct lease_command *command, uint64_t index,
                     struct instant now)
{
    bool changes_holder = command->kind == LEASE_COMMAND_GRANT ||
                          command->kind == LEASE_COMMAND_RELEASE ||
                          command->kind == LEASE_COMMAND_EXPIRE;
    struct issuer_lease *lease = find_lease(issuer, &command->resource);
    if (lease && index == 0 && command->kind == LEASE_COMMAND_NOTE &&
        command->event == HISTORY_TRANSFER)
        fail_transfer(lease, "the log took no entry");
    if (lease && (command->kind == LEASE_COMMAND_STUCK || command->kind == LEASE_COMMAND_CLEAR))
        lease->word_index = index;
    if (!changes_holder || !lease)
        return;
    HF_CHECK(lease->pending != ISSUER_PENDING_NONE && lease->pending_index == 0);
    lease->pending_index = index;
    if (index != 0)
        return;
    lease->pending = ISSUER_PENDING_NONE;
    lease->retry_at = instant_add(now, span_from_ms(ISSUER_RETRY_MS));
}

void issuer_round_asked(struct issuer *issuer, uint64_t round)
{
    size_t kept = 0;
    for (size_t i = 0; i < issuer->renewal_count; i++) {
        struct issuer_renewal *renewal = &issuer->renewal[i];
        if (renewal->round == 0)
            renewal->round = round;
        if (renewal->round == 0)
            continue;
        if (kept != i)
            issuer->renewal[kept] = *renewal;
        kept++;
    }
    issuer->renewal_count = kept;
}

/* ---- time: grants, expiries, yields */

static void propose_grant(struct issuer *issuer, struct issuer_lease *lease,
                          const struct issuer_waiter *waiter, struct instant now,
                          struct issuer_output *out)
{
    struct lease_command *command = propose(issuer, out, LEASE_COMMAND_GRANT, &lease->resource);
    command->holder = waiter->node;
    command->token = record_of(issuer, lease)->token;
    command->ttl_us = waiter->ttl_us;
    command->fence_us = waiter->fence_us;
    command->settled = issuer->table->unknown_us > 0 && instant_reached(issuer->unknown_until, now);
    command->priority = waiter->priority;
    command->ranked = true;
    command->go = policy_says_go(issuer, &lease->resource);
    text_copy(command->address, sizeof(command->address), waiter->address);
    if (transfer_waits(lease) && name_equal(&lease->transfer.to, &waiter->node)) {
        command->transferred = true;
        command->who = lease->transfer.who;
        command->via = lease->transfer.via;
        text_copy(command->text, sizeof(command->text), "transfer");
    }
    if (!name_empty(&record_of(issuer, lease)->holder))
        pay(out, &record_of(issuer, lease)->holder);
    else
        pay(out, name_empty(&lease->cause) ? &waiter->node : &lease->cause);
    lease->pending = ISSUER_PENDING_GRANT;
    lease->pending_index = 0;
    lease->pending_node = waiter->node;
}

static void propose_expire(struct issuer *issuer, struct issuer_lease *lease,
                           struct issuer_output *out)
{
    const struct lease_record *record = record_of(issuer, lease);
    struct lease_command *command = propose(issuer, out, LEASE_COMMAND_EXPIRE, &lease->resource);
    command->holder = record->holder;
    command->token = record->token;
    text_copy(command->text, sizeof(command->text),
              record->abandoned ? "released without proof" : "not renewed in time");
    lease->cause = record->holder;
    pay(out, &lease->cause);
    lease->pending = ISSUER_PENDING_EXPIRE;
    lease->pending_index = 0;
}

/* Why the holder should hand over, and to whom; NULL if it need not. */
static const char *wanted_yield(const struct issuer *issuer, const struct issuer_lease *lease,
                                struct instant now, struct hf_name *successor)
{
    const struct lease_record *record = record_of(issuer, lease);
    memset(successor, 0, sizeof(*successor));
    if (!pin_allows(record, &record->holder)) {
        *successor = record->pinned_to;
        return "pinned";
    }
    /* Nobody would be granted it. */
    if (is_held(issuer, lease, now))
        return NULL;
    if (transfer_waits(lease)) {
        *successor = lease->transfer.to;
        return "transfer";
    }
    if (!record->ranked || record->transferred)
        return NULL;
    for (uint8_t i = 0; i < lease->waiter_count; i++) {
        const struct issuer_waiter *waiter = &lease->waiter[i];
        if (waiter->failback_auto && waiter->priority > record->priority &&
            pin_allows(record, &waiter->node) && !is_held_back(issuer, &waiter->node)) {
            *successor = waiter->node;
            return "failback to a board of higher priority";
        }
    }
    return NULL;
}

/* One pass over all leases: what is left of its bounds, and when to come back. */
struct issuer_pass {
    struct instant now;
    struct instant wake_at;
    size_t proposals;
    size_t yields;
};

static void wake_by(struct issuer_pass *pass, struct instant at)
{
    pass->wake_at = instant_min(pass->wake_at, at);
}

static void ask_to_yield(struct issuer *issuer, struct issuer_lease *lease,
                         struct issuer_pass *pass, struct issuer_output *out)
{
    const struct lease_record *record = record_of(issuer, lease);
    struct hf_name successor;
    const char *why = record->abandoned ? NULL : wanted_yield(issuer, lease, pass->now, &successor);
    if (!why)
        return;
    if (!instant_reached(lease->yield_at, pass->now)) {
        wake_by(pass, lease->yield_at);
        return;
    }
    if (pass->yields == ISSUER_YIELDS_PER_STEP) {
        wake_by(pass, pass->now);
        return;
    }
    pass->yields++;
    lease->yield_at = instant_add(pass->now, span_from_ms(ISSUER_YIELD_REPEAT_MS));
    wake_by(pass, lease->yield_at);
    struct lease_message *message = send(out, &record->holder, LEASE_YIELD, &lease->resource);
    message->token = record->token;
    message->holder = successor;
    text_copy(message->text, sizeof(message->text), why);
}

static void decide_lease(struct issuer *issuer, struct issuer_lease *lease,
                         struct issuer_pass *pass, struct issuer_output *out)
{
    bool held = record_of(issuer, lease)->token != 0;
    if (issuer_held_off(issuer, &lease->resource, pass->now)) {
        wake_by(pass, issuer->unknown_until);
        return;
    }
    if (held && !instant_reached(free_at(issuer, lease), pass->now)) {
        wake_by(pass, free_at(issuer, lease));
        ask_to_yield(issuer, lease, pass, out);
        return;
    }
    struct issuer_claim claim;
    bool barred =
        is_held(issuer, lease, pass->now) || issuer_claim_of(issuer, &lease->resource, &claim);
    const struct issuer_waiter *waiter = barred ? NULL : next_waiter(issuer, lease);
    if (!instant_reached(lease->word_until, pass->now))
        wake_by(pass, lease->word_until);
    if (!waiter && !held)
        return;
    if (!instant_reached(lease->retry_at, pass->now)) {
        wake_by(pass, lease->retry_at);
        return;
    }
    if (pass->proposals == ISSUER_PROPOSALS_PER_STEP) {
        wake_by(pass, pass->now);
        return;
    }
    pass->proposals++;
    if (waiter)
        propose_grant(issuer, lease, waiter, pass->now, out);
    else
        propose_expire(issuer, lease, out);
}

static void on_timer(struct issuer *issuer, struct instant now, struct issuer_output *out)
{
    struct issuer_pass pass = { .now = now, .wake_at = INSTANT_NEVER };
    if (!issuer->serving) {
        out->wake_at = INSTANT_NEVER;
        return;
    }
    if (!confirm_renewals(issuer, now, out))
        wake_by(&pass, now);
    wake_by(&pass, look_at_budgets(issuer, now));
    for (uint32_t i = 0; i < issuer->lease_count; i++) {
        struct issuer_lease *lease = &issuer->lease[i];
        if (lease->transfer.state == ISSUER_TRANSFER_PENDING) {
            if (instant_reached(lease->transfer.until, now))
                fail_transfer(lease, "not done in time");
            else
                wake_by(&pass, lease->transfer.until);
        }
        if (lease->pending == ISSUER_PENDING_NONE)
            decide_lease(issuer, lease, &pass, out);
    }
    out->wake_at = pass.wake_at;
}

/* ---- leadership, connections, operators */

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
        find_or_add_lease(issuer, &issuer->table->record[i].resource, now);
    for (size_t i = 0; i < HF_AGENTS_MAX; i++) {
        if (issuer->client[i].up)
            send(out, &issuer->client[i].node, LEASE_LEADER, NULL)->term = issuer->term;
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
        send(out, &client->node, LEASE_LEADER, NULL)->term = issuer->term;
}

static void on_client_down(struct issuer *issuer, const struct issuer_event *event)
{
    struct issuer_client *client = find_client(issuer, &event->node);
    size_t kept = 0;
    if (!client)
        return;
    client->up = false;
    for (uint32_t i = 0; i < issuer->lease_count; i++)
        remove_waiter(&issuer->lease[i], &event->node);
    for (size_t i = 0; i < issuer->renewal_count; i++) {
        if (name_equal(&issuer->renewal[i].node, &event->node))
            continue;
        if (kept != i)
            issuer->renewal[kept] = issuer->renewal[i];
        kept++;
    }
    issuer->renewal_count = kept;
}

/* A proposal in the name of whoever asked. */
static struct lease_command *propose_act(struct issuer *issuer, const struct issuer_event *event,
                                         enum lease_command_kind kind, struct issuer_output *out)
{
    struct lease_command *command = propose(issuer, out, kind, &event->resource);
    command->who = event->who;
    command->via = event->via;
    command->unproven = event->unproven;
    if (event->unproven)
        pay(out, &event->via);
    return command;
}

static void on_transfer(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                        struct issuer_output *out)
{
    out->error = begin_transfer(issuer, event, now);
    if (out->error)
        return;
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_NOTE, out);
    command->event = HISTORY_TRANSFER;
    command->holder = event->node;
}

/* What is left of a resource that no policy names any more may still be unpinned. */
static bool is_left_pinned(const struct issuer *issuer, const struct hf_name *resource)
{
    int found = lease_table_find(issuer->table, resource);
    return found >= 0 && issuer->table->record[found].pinned;
}

static const char *pin_fault(const struct issuer *issuer, const struct issuer_event *event)
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, &event->resource);
    if (!policy)
        return !event->pinned && is_left_pinned(issuer, &event->resource) ? NULL : no_policy;
    if (event->pinned && !name_empty(&event->node) && !issuer_policy_allows(policy, &event->node))
        return "the board is none of its holders in the policy of the issuers";
    return NULL;
}

static void on_pin(struct issuer *issuer, const struct issuer_event *event,
                   struct issuer_output *out)
{
    const char *text = "unpinned";
    out->error = pin_fault(issuer, event);
    if (out->error)
        return;
    if (event->pinned)
        text = name_empty(&event->node) ? "pinned to nobody" : "pinned to this board";
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_PIN, out);
    command->pinned = event->pinned;
    if (event->pinned)
        command->holder = event->node;
    text_copy(command->text, sizeof(command->text), event->text ? event->text : text);
}

static void on_overrule(struct issuer *issuer, const struct issuer_event *event,
                        struct issuer_output *out)
{
    uint64_t token = issuer_claim_by(issuer, &event->resource, &event->node);
    if (token == 0) {
        out->error = "that board says of no token above those given here";
        return;
    }
    if (issuer->table->overrule_count == LEASE_OVERRULES_MAX) {
        out->error = "32 boards are overruled already, the most there may be";
        return;
    }
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_OVERRULE, out);
    command->holder = event->node;
    command->token = token;
    issuer_explain_overrule(token, command->text);
}

/* Without a resource: of an act on the cluster. */
static const char *note_fault(struct issuer *issuer, const struct issuer_event *event,
                              struct instant now)
{
    if (!name_empty(&event->resource) && !issuer_policy_of(issuer, &event->resource))
        return no_policy;
    if (!event->unproven)
        return NULL;
    const struct issuer_client *client = find_client(issuer, &event->via);
    if (!client || budget_left(&client->budget, &budget_board, now) < BUDGET_LEASE_BYTES)
        return "the board is over its budget of entries, see agents; not noted";
    return NULL;
}

static void on_note(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                    struct issuer_output *out)
{
    out->error = note_fault(issuer, event, now);
    if (out->error)
        return;
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_NOTE, out);
    command->event = event->history;
    command->holder = event->node;
    text_copy(command->text, sizeof(command->text), event->text ? event->text : "");
}

/* What the table refuses when it is applied is refused here in words. */
static void on_remove(struct issuer *issuer, const struct issuer_event *event,
                      struct issuer_output *out)
{
    int found = lease_table_find(issuer->table, &event->resource);
    if (issuer_policy_of(issuer, &event->resource))
        out->error = "a policy of the issuers names it; take it out of their files first";
    else if (found < 0)
        out->error = "there is no row of this resource";
    else if (issuer->table->record[found].pinned)
        out->error = "it is pinned; unpin it first";
    else if (!name_empty(&issuer->table->record[found].holder))
        out->error = "it is held, or held off; wait until it is free";
    if (out->error)
        return;
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_REMOVE, out);
    text_copy(command->text, sizeof(command->text), "removed: no policy names it");
}

static void on_clear(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                     struct issuer_output *out)
{
    const struct issuer_lease *lease = find_lease(issuer, &event->resource);
    if (!stuck_holds(&issuer->table->stuck, &event->resource)) {
        out->error = lease && is_held(issuer, lease, now) ?
                         "an output of it was just seen stuck on; try again" :
                         "no output of it is known to be stuck on; ask the board with the fault";
        return;
    }
    /* He means what he can see: a word on its way into the log would be let go with it. */
    if (lease && lease->word_index > issuer->table->applied) {
        out->error = "a word about its outputs is just being written down; look, and try again";
        return;
    }
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_CLEAR, out);
    text_copy(command->text, sizeof(command->text),
              "fault cleared: may be granted, though an output was seen stuck on");
}

static void on_operator(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                        struct issuer_output *out)
{
    if (!issuer->serving) {
        out->error = "this issuer does not lead";
        return;
    }
    if (event->kind == ISSUER_EVENT_TRANSFER)
        on_transfer(issuer, event, now, out);
    else if (event->kind == ISSUER_EVENT_PIN)
        on_pin(issuer, event, out);
    else if (event->kind == ISSUER_EVENT_OVERRULE)
        on_overrule(issuer, event, out);
    else if (event->kind == ISSUER_EVENT_REMOVE)
        on_remove(issuer, event, out);
    else if (event->kind == ISSUER_EVENT_CLEAR)
        on_clear(issuer, event, now, out);
    else
        on_note(issuer, event, now, out);
}

void issuer_init(struct issuer *issuer, const struct issuer_config *config,
                 const struct lease_table *table)
{
    /* Only what a start before this one used: the rest of the memory is not touched. */
    for (size_t i = 0; i < HF_AGENTS_MAX; i++) {
        if (!name_empty(&issuer->client[i].node))
            memset(&issuer->client[i], 0, sizeof(issuer->client[i]));
    }
    issuer->config = *config;
    issuer->table = table;
    issuer->term = 0;
    issuer->arrivals = 0;
    issuer->round_confirmed = 0;
    on_not_serving(issuer);
}

void issuer_step(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                 struct issuer_output *out)
{
    out->count = 0;
    out->error = NULL;
    out->wake_at = now;
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
        on_message(issuer, event, now, out);
        return;
    case ISSUER_EVENT_APPLIED:
        on_applied(issuer, event, now, out);
        return;
    case ISSUER_EVENT_ROUND:
        if (event->round > issuer->round_confirmed)
            issuer->round_confirmed = event->round;
        confirm_renewals(issuer, now, out);
        return;
    case ISSUER_EVENT_TIMER:
        on_timer(issuer, now, out);
        return;
    case ISSUER_EVENT_TRANSFER:
    case ISSUER_EVENT_PIN:
    case ISSUER_EVENT_NOTE:
    case ISSUER_EVENT_OVERRULE:
    case ISSUER_EVENT_REMOVE:
    case ISSUER_EVENT_CLEAR:
        on_operator(issuer, event, now, out);
        return;
    case ISSUER_EVENT_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "issuer event");
}

/* ---- for people */

const struct issuer_lease *issuer_lease_of(const struct issuer *issuer,
                                           const struct hf_name *resource)
{
    for (uint32_t i = 0; i < issuer->lease_count; i++) {
        if (name_equal(&issuer->lease[i].resource, resource))
            return &issuer->lease[i];
    }
    return NULL;
}

struct instant issuer_free_at(const struct issuer *issuer, const struct hf_name *resource)
{
    const struct issuer_lease *lease = issuer_lease_of(issuer, resource);
    if (!lease || record_of(issuer, lease)->token == 0)
        return INSTANT_NEVER;
    return free_at(issuer, lease);
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
        instant_add(lease->confirmed, span_from_us(record_of(issuer, lease)->ttl_us));
    bool held = record_of(issuer, lease)->token != 0 && instant_before(now, end);
    return held ? instant_diff(end, now) : span_from_us(0);
}

const char *issuer_transfer_name(enum issuer_transfer_state state)
{
    switch (state) {
    case ISSUER_TRANSFER_NONE:
        return "none";
    case ISSUER_TRANSFER_PENDING:
        return "pending";
    case ISSUER_TRANSFER_DONE:
        return "done";
    case ISSUER_TRANSFER_FAILED:
        return "failed";
    }
    hf_panic(__FILE__, __LINE__, "transfer state");
}
