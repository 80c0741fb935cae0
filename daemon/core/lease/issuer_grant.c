/* Grants, expiries and releases: proposed, and what follows once the log has them. */
#include "lease/issuer_internal.h"

void issuer_answer_released(const struct hf_name *node, const struct hf_name *resource,
                            uint64_t token, uint64_t nonce, struct issuer_output *out)
{
    struct lease_message *answer = issuer_send(out, node, LEASE_RELEASED, resource);
    answer->token = token;
    answer->nonce = nonce;
}

/*
 * Who is to blame that its holder releases it now, and pays for that and for the next grant: nobody if
 * an operator wants it, the board that it was asked to yield to by failback, else the holder.
 */
static const struct hf_name *payer_of_release(const struct issuer *issuer,
                                              const struct issuer_lease *lease)
{
    static const struct hf_name nobody;
    const struct lease_record *record = issuer_record_of(issuer, lease);
    if (issuer_operator_wants_yield(issuer, lease))
        return &nobody;
    return lease->asked_token == record->token ? &lease->asked_for : &record->holder;
}

static void propose_release(struct issuer *issuer, struct issuer_lease *lease,
                            const struct hf_name *node, const struct lease_message *message,
                            struct instant now, struct issuer_output *out)
{
    struct lease_command *command =
        issuer_propose(issuer, out, LEASE_COMMAND_RELEASE, &lease->resource);
    command->holder = *node;
    command->who = *node;
    command->token = message->token;
    command->fenced = message->fenced;
    text_copy(command->text, sizeof(command->text), message->text);
    issuer_pay(out, payer_of_release(issuer, lease));
    lease->pending = ISSUER_PENDING_RELEASE;
    lease->pending_index = 0;
    lease->pending_node = *node;
    lease->pending_nonce = message->nonce;
    if (issuer_transfer_waits(lease))
        lease->transfer.released = now;
}

void issuer_on_release(struct issuer *issuer, const struct issuer_client *client,
                       const struct lease_message *message, struct instant now,
                       struct issuer_output *out)
{
    if (message->token > issuer->table->applied) {
        issuer_ask_about_release(issuer, client, message, now, out);
        return;
    }
    struct issuer_lease *lease = issuer_find_lease(issuer, &message->resource);
    const struct lease_record *record = lease ? issuer_record_of(issuer, lease) : NULL;
    bool current = record && issuer_holder_is(record, &client->node, message->token);
    if (!current || (record->abandoned && !message->fenced)) {
        issuer_answer_released(&client->node, &message->resource, message->token, message->nonce,
                               out);
        return;
    }
    if (lease->pending == ISSUER_PENDING_NONE)
        propose_release(issuer, lease, &client->node, message, now, out);
    else if (lease->pending == ISSUER_PENDING_RELEASE)
        lease->pending_nonce = message->nonce;
}

const struct hf_name *issuer_payer_of_grant(const struct issuer *issuer,
                                            const struct issuer_lease *lease,
                                            const struct hf_name *node)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    if (record->last_token == 0)
        return node; /* nobody has had it */
    return name_empty(&record->holder) ? &record->payer : &record->holder;
}

static void propose_grant(struct issuer *issuer, struct issuer_lease *lease,
                          const struct issuer_waiter *waiter, struct instant now,
                          struct issuer_output *out)
{
    struct lease_command *command =
        issuer_propose(issuer, out, LEASE_COMMAND_GRANT, &lease->resource);
    command->holder = waiter->node;
    command->token = issuer_record_of(issuer, lease)->token;
    command->ttl_us = waiter->ttl_us;
    command->fence_us = waiter->fence_us;
    command->settled = issuer->table->unknown_us > 0 && instant_reached(issuer->unknown_until, now);
    command->priority = waiter->priority;
    command->ranked = true;
    command->go = issuer_policy_says_go(issuer, &lease->resource);
    text_copy(command->address, sizeof(command->address), waiter->address);
    if (issuer_transfer_waits(lease) && name_equal(&lease->transfer.to, &waiter->node)) {
        command->transferred = true;
        command->who = lease->transfer.who;
        command->via = lease->transfer.via;
        text_copy(command->text, sizeof(command->text), "transfer");
    }
    issuer_pay(out, issuer_payer_of_grant(issuer, lease, &waiter->node));
    lease->pending = ISSUER_PENDING_GRANT;
    lease->pending_index = 0;
    lease->pending_node = waiter->node;
}

static void propose_expire(struct issuer *issuer, struct issuer_lease *lease,
                           struct issuer_output *out)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    struct lease_command *command =
        issuer_propose(issuer, out, LEASE_COMMAND_EXPIRE, &lease->resource);
    command->holder = record->holder;
    command->token = record->token;
    text_copy(command->text, sizeof(command->text),
              record->abandoned ? "released without proof" : "not renewed in time");
    issuer_pay(out, &record->holder);
    lease->pending = ISSUER_PENDING_EXPIRE;
    lease->pending_index = 0;
}

static void decide_lease(struct issuer *issuer, struct issuer_lease *lease,
                         struct issuer_pass *pass, struct issuer_output *out)
{
    bool held = issuer_record_of(issuer, lease)->token != 0;
    if (issuer_held_off(issuer, &lease->resource, pass->now)) {
        issuer_wake_by(pass, issuer->unknown_until);
        return;
    }
    if (held && !instant_reached(issuer_lease_free_at(issuer, lease), pass->now)) {
        issuer_wake_by(pass, issuer_lease_free_at(issuer, lease));
        issuer_ask_to_yield(issuer, lease, pass, out);
        return;
    }
    struct issuer_claim claim;
    bool barred = issuer_is_held(issuer, lease, pass->now) ||
                  issuer_claim_of(issuer, &lease->resource, &claim);
    const struct issuer_waiter *waiter =
        barred ? NULL : issuer_next_waiter(issuer, lease, pass->now);
    if (!instant_reached(lease->word_until, pass->now))
        issuer_wake_by(pass, lease->word_until);
    if (!waiter && !held)
        return;
    if (!instant_reached(lease->retry_at, pass->now)) {
        issuer_wake_by(pass, lease->retry_at);
        return;
    }
    if (pass->proposals == ISSUER_PROPOSALS_PER_STEP) {
        issuer_wake_by(pass, pass->now);
        return;
    }
    pass->proposals++;
    if (waiter)
        propose_grant(issuer, lease, waiter, pass->now, out);
    else
        propose_expire(issuer, lease, out);
}

void issuer_on_timer(struct issuer *issuer, struct instant now, struct issuer_output *out)
{
    struct issuer_pass pass = { .now = now, .wake_at = INSTANT_NEVER };
    if (!issuer->serving) {
        out->wake_at = INSTANT_NEVER;
        return;
    }
    if (!issuer_confirm_renewals(issuer, now, out))
        issuer_wake_by(&pass, now);
    issuer_wake_by(&pass, issuer_look_at_budgets(issuer, now));
    for (uint32_t i = 0; i < issuer->lease_count; i++) {
        struct issuer_lease *lease = &issuer->lease[i];
        if (lease->transfer.state == ISSUER_TRANSFER_PENDING) {
            if (instant_reached(lease->transfer.until, now))
                issuer_fail_transfer(lease, "not done in time");
            else
                issuer_wake_by(&pass, lease->transfer.until);
        }
        if (lease->pending == ISSUER_PENDING_NONE)
            decide_lease(issuer, lease, &pass, out);
    }
    out->wake_at = pass.wake_at;
}

static void note_grant_applied(struct issuer_lease *lease, struct instant now,
                               struct issuer_output *out, const struct lease_record *record)
{
    issuer_remove_waiter(lease, &record->holder);
    lease->confirmed = now;
    lease->yield_at = at_once;
    issuer_note_failback(lease, &record->holder, now);
    issuer_note_granted_for_transfer(lease);
    struct lease_message *grant =
        issuer_send(out, &record->holder, LEASE_GRANTED, &lease->resource);
    grant->token = record->token;
    grant->ttl_us = record->ttl_us;
    grant->fence_us = record->fence_us;
}

static void tell_old_holder(const struct issuer_lease *lease, const struct hf_name *holder,
                            uint64_t token, struct issuer_output *out)
{
    if (token != 0 && token != lease->token)
        issuer_send(out, holder, LEASE_LOST, &lease->resource)->token = token;
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
    return issuer_find_or_add_lease(issuer, &issuer->table->record[event->change->record].resource,
                                    now);
}

/* The rows behind a removed one have moved up. */
static void follow_rows(struct issuer *issuer)
{
    for (uint32_t i = 0; i < issuer->lease_count; i++)
        issuer->lease[i].record = lease_table_find(issuer->table, &issuer->lease[i].resource);
}

void issuer_on_applied(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                       struct issuer_output *out)
{
    if (issuer->serving && event->change->removed)
        follow_rows(issuer);
    struct issuer_lease *lease = issuer->serving ? lease_of_change(issuer, event, now) : NULL;
    if (!lease)
        return;
    struct hf_name old_holder = lease->holder;
    uint64_t old_token = lease->token;
    issuer_note_holder(issuer, lease);
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
            note_grant_applied(lease, now, out, issuer_record_of(issuer, lease));
        return;
    case ISSUER_PENDING_RELEASE:
        issuer_answer_released(&lease->pending_node, &lease->resource, old_token,
                               lease->pending_nonce, out);
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
    struct issuer_lease *lease = issuer_find_lease(issuer, &command->resource);
    if (lease && index == 0 && command->kind == LEASE_COMMAND_NOTE &&
        command->event == HISTORY_TRANSFER)
        issuer_fail_transfer(lease, "the log took no entry");
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
