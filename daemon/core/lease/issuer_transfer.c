/* Planned hand-overs: begun by an operator, and why a holder is asked to yield. */
#include "lease/issuer_internal.h"

bool issuer_transfer_waits(const struct issuer_lease *lease)
{
    return lease->transfer.state == ISSUER_TRANSFER_PENDING && lease->transfer.token == 0;
}

void issuer_fail_transfer(struct issuer_lease *lease, const char *reason)
{
    if (lease->transfer.state != ISSUER_TRANSFER_PENDING)
        return;
    lease->transfer.state = ISSUER_TRANSFER_FAILED;
    lease->transfer.reason = reason;
}

void issuer_note_granted_for_transfer(struct issuer_lease *lease)
{
    if (!issuer_transfer_waits(lease))
        return;
    if (!name_equal(&lease->holder, &lease->transfer.to)) {
        issuer_fail_transfer(lease, "granted to another board, the target had gone");
        return;
    }
    lease->transfer.token = lease->token;
}

void issuer_note_confirmed_for_transfer(struct issuer_lease *lease, struct instant now)
{
    if (lease->transfer.state != ISSUER_TRANSFER_PENDING || lease->transfer.token != lease->token)
        return;
    lease->transfer.state = ISSUER_TRANSFER_DONE;
    lease->transfer.gap = instant_diff(now, lease->transfer.released);
}

const char *issuer_begin_transfer(struct issuer *issuer, const struct issuer_event *event,
                                  struct instant now)
{
    struct issuer_lease *lease = issuer_find_lease(issuer, &event->resource);
    if (!lease || issuer_record_of(issuer, lease)->token == 0)
        return "nobody holds this resource";
    const struct lease_record *record = issuer_record_of(issuer, lease);
    if (name_equal(&record->holder, &event->node))
        return "the board holds it already";
    if (!issuer_policy_of(issuer, &event->resource))
        return issuer_no_policy;
    if (issuer_is_held(issuer, lease, now))
        return issuer_held_text;
    if (lease->transfer.state == ISSUER_TRANSFER_PENDING)
        return "a transfer of this resource is under way";
    if (lease->pending == ISSUER_PENDING_GRANT)
        return "a grant of this resource is under way; try again";
    if (!issuer_connected_client(issuer, &event->node) ||
        issuer_find_waiter(lease, &event->node) < 0)
        return "the board is not waiting for this resource";
    if (!issuer_pin_allows(record, &event->node))
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

const char *issuer_wanted_yield(const struct issuer *issuer, const struct issuer_lease *lease,
                                struct instant now, struct hf_name *successor)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    memset(successor, 0, sizeof(*successor));
    if (!issuer_pin_allows(record, &record->holder)) {
        *successor = record->pinned_to;
        return "pinned";
    }
    /* Nobody would be granted it. */
    if (issuer_is_held(issuer, lease, now))
        return NULL;
    if (issuer_transfer_waits(lease)) {
        *successor = lease->transfer.to;
        return "transfer";
    }
    if (!record->ranked || record->transferred)
        return NULL;
    for (uint8_t i = 0; i < lease->waiter_count; i++) {
        const struct issuer_waiter *waiter = &lease->waiter[i];
        if (waiter->failback_auto && waiter->priority > record->priority &&
            issuer_pin_allows(record, &waiter->node) &&
            !issuer_is_held_back(issuer, &waiter->node, false) &&
            !issuer_is_set_aside(issuer, lease, &waiter->node, now)) {
            *successor = waiter->node;
            return "failback to a board of higher priority";
        }
    }
    return NULL;
}

bool issuer_operator_wants_yield(const struct issuer *issuer, const struct issuer_lease *lease)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    return issuer_transfer_waits(lease) || !issuer_pin_allows(record, &record->holder);
}

/* One who has a healthy board drop its outputs, and does not take over, has to wait longer each time. */
void issuer_note_failback(struct issuer_lease *lease, const struct hf_name *holder,
                          struct instant now)
{
    enum { DOUBLED_MAX = 6 };
    if (lease->asked_token == 0)
        return;
    lease->asked_token = 0;
    if (name_equal(&lease->asked_for, holder)) {
        lease->failbacks_for_nothing = 0;
        return;
    }
    int64_t pause_ms = (int64_t)ISSUER_FAILBACK_PAUSE_MS << lease->failbacks_for_nothing;
    lease->failback_at = instant_add(now, span_from_ms(pause_ms));
    if (lease->failbacks_for_nothing < DOUBLED_MAX)
        lease->failbacks_for_nothing++;
}

void issuer_ask_to_yield(struct issuer *issuer, struct issuer_lease *lease,
                         struct issuer_pass *pass, struct issuer_output *out)
{
    const struct lease_record *record = issuer_record_of(issuer, lease);
    struct hf_name successor;
    const char *why =
        record->abandoned ? NULL : issuer_wanted_yield(issuer, lease, pass->now, &successor);
    if (!why)
        return;
    bool failback = !issuer_operator_wants_yield(issuer, lease);
    struct instant at =
        failback ? instant_max(lease->yield_at, lease->failback_at) : lease->yield_at;
    if (!instant_reached(at, pass->now)) {
        issuer_wake_by(pass, at);
        return;
    }
    if (pass->yields == ISSUER_YIELDS_PER_STEP) {
        issuer_wake_by(pass, pass->now);
        return;
    }
    pass->yields++;
    lease->yield_at = instant_add(pass->now, span_from_ms(ISSUER_YIELD_REPEAT_MS));
    if (failback) {
        lease->asked_for = successor;
        lease->asked_token = record->token;
    }
    issuer_wake_by(pass, lease->yield_at);
    struct lease_message *message =
        issuer_send(out, &record->holder, LEASE_YIELD, &lease->resource);
    message->token = record->token;
    message->holder = successor;
    text_copy(message->text, sizeof(message->text), why);
}
