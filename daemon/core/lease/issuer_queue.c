/* Who asks for a resource, and who waits for it in which order. */
#include "lease/issuer_internal.h"

int issuer_find_waiter(const struct issuer_lease *lease, const struct hf_name *node)
{
    for (int i = 0; i < lease->waiter_count; i++) {
        if (name_equal(&lease->waiter[i].node, node))
            return i;
    }
    return -1;
}

void issuer_remove_waiter(struct issuer_lease *lease, const struct hf_name *node)
{
    int at = issuer_find_waiter(lease, node);
    if (at < 0)
        return;
    lease->waiter_count--;
    for (int i = at; i < lease->waiter_count; i++)
        lease->waiter[i] = lease->waiter[i + 1];
}

bool issuer_served_before(const struct issuer_waiter *a, const struct issuer_waiter *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a->arrival < b->arrival;
}

/* Its position from 0, or -1 if the queue is full. One that waits already keeps its arrival. */
static int issuer_queue_waiter(struct issuer *issuer, struct issuer_lease *lease,
                               const struct hf_name *node, const struct lease_message *message)
{
    int found = issuer_find_waiter(lease, node);
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
    issuer_remove_waiter(lease, node);
    int at = lease->waiter_count++;
    for (; at > 0 && issuer_served_before(&waiter, &lease->waiter[at - 1]); at--)
        lease->waiter[at] = lease->waiter[at - 1];
    lease->waiter[at] = waiter;
    return at;
}

bool issuer_pin_allows(const struct lease_record *record, const struct hf_name *node)
{
    return !record->pinned || name_equal(&record->pinned_to, node);
}

const struct issuer_waiter *issuer_next_waiter(const struct issuer *issuer,
                                               const struct issuer_lease *lease, struct instant now)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    const struct issuer_waiter *last = NULL;
    if (issuer_transfer_waits(lease)) {
        int target = issuer_find_waiter(lease, &lease->transfer.to);
        if (target >= 0 && issuer_pin_allows(record, &lease->transfer.to))
            return &lease->waiter[target];
    }
    for (uint8_t i = 0; i < lease->waiter_count; i++) {
        const struct hf_name *node = &lease->waiter[i].node;
        bool takes_over = !name_equal(issuer_payer_of_grant(issuer, lease, node), node);
        if (!issuer_pin_allows(record, node) || issuer_is_held_back(issuer, node, takes_over))
            continue;
        if (!issuer_is_set_aside(issuer, lease, node, now))
            return &lease->waiter[i];
        last = last ? last : &lease->waiter[i];
    }
    return last;
}

static void answer_queued(struct issuer *issuer, const struct issuer_lease *lease,
                          const struct hf_name *node, uint32_t position, struct issuer_output *out)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    struct lease_message *answer = issuer_send(out, node, LEASE_QUEUED, &lease->resource);
    answer->holder = record->holder;
    answer->token = record->token;
    answer->position = position;
    issuer_explain_held(issuer, &lease->resource, answer->text);
}

/* A board had a token that is not below the next one here: whoever waits is told, and waits no more. */
static void refuse_waiters(struct issuer *issuer, struct issuer_lease *lease, struct instant now,
                           struct issuer_output *out)
{
    const struct issuer_note refused = { lease->resource, LEASE_REFUSED_TOKEN, at_once };
    struct issuer_claim claim;
    char text[HF_REASON_MAX + 1];
    if (!issuer_claim_of(issuer, &lease->resource, &claim))
        return;
    issuer_explain_claim(issuer, &claim, text);
    while (lease->waiter_count > 0) {
        struct issuer_client *client =
            issuer_connected_client(issuer, &lease->waiter[--lease->waiter_count].node);
        if (client)
            issuer_refuse(issuer, client, &refused, text, now, out);
    }
}

void issuer_hear_token(struct issuer *issuer, const struct hf_name *node,
                       const struct hf_name *resource, uint64_t token, struct instant now,
                       struct issuer_output *out)
{
    /* No grant is at or below what is applied. */
    if (token <= issuer->table->applied || !issuer_policy_of(issuer, resource))
        return;
    struct issuer_lease *lease = issuer_find_or_add_lease(issuer, resource, now);
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

void issuer_on_acquire(struct issuer *issuer, struct issuer_client *client,
                       const struct lease_message *message, struct instant now,
                       struct issuer_output *out)
{
    char text[HF_REASON_MAX + 1];
    issuer_hear_token(issuer, &client->node, &message->resource, message->highest, now, out);
    issuer_note_seen_off(issuer, client, &message->resource, now, out);
    struct issuer_note refused = { .resource = message->resource };
    refused.refusal = judge_acquire(issuer, &client->node, message, text);
    struct issuer_lease *lease = issuer_find_lease(issuer, &message->resource);
    if (refused.refusal != LEASE_REFUSED_NONE) {
        if (lease)
            issuer_remove_waiter(lease, &client->node);
        issuer_refuse(issuer, client, &refused, text, now, out);
        return;
    }
    refused.refusal = LEASE_REFUSED_FULL;
    lease = issuer_find_or_add_lease(issuer, &message->resource, now);
    if (!lease) {
        issuer_refuse(issuer, client, &refused, "the table has no room for another resource", now,
                      out);
        return;
    }
    const struct lease_record *record = issuer_record_of(issuer, lease);
    if (record->token != 0 && name_equal(&record->holder, &client->node)) {
        issuer_remove_waiter(lease, &client->node);
        answer_queued(issuer, lease, &client->node, 0, out);
        return;
    }
    int position = issuer_queue_waiter(issuer, lease, &client->node, message);
    if (position < 0) {
        issuer_refuse(issuer, client, &refused, "the queue is full", now, out);
        return;
    }
    struct issuer_note *note = issuer_find_note(client, &message->resource);
    if (note)
        note->refusal = LEASE_REFUSED_NONE;
    answer_queued(issuer, lease, &client->node, (uint32_t)position + 1, out);
}

void issuer_on_withdraw(struct issuer *issuer, const struct issuer_client *client,
                        const struct lease_message *message)
{
    struct issuer_lease *lease = issuer_find_lease(issuer, &message->resource);
    if (lease)
        issuer_remove_waiter(lease, &client->node);
}
