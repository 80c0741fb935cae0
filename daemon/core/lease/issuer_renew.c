/* Renewals: each waits for a round that was asked for after it, and is answered by that. */
#include "lease/issuer_internal.h"

/* A slot for a renewal: a new one, or that of the board's newest if it has its share already. */
static struct issuer_renewal *issuer_claim_renewal(struct issuer *issuer,
                                                   const struct hf_name *node)
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

void issuer_ask_about_release(struct issuer *issuer, const struct issuer_client *client,
                              const struct lease_message *message, struct instant now,
                              struct issuer_output *out)
{
    struct issuer_renewal *renewal = issuer_claim_renewal(issuer, &client->node);
    issuer_hear_token(issuer, &client->node, &message->resource, message->token, now, out);
    if (!renewal)
        return;
    renewal->node = client->node;
    renewal->nonce = message->nonce;
    renewal->round = 0;
    renewal->release = true;
    renewal->item_count = 1;
    renewal->item[0] = (struct lease_item){ message->resource, message->token, false };
    issuer_add_action(out, ISSUER_CONFIRM);
}

void issuer_on_renew(struct issuer *issuer, struct issuer_client *client,
                     const struct lease_message *message, struct instant now,
                     struct issuer_output *out)
{
    if (message->item_count == 0 || message->item_count > HF_LEASES_PER_AGENT_MAX)
        return;
    client->last_renewal = now;
    client->round_trip_us = message->round_trip_us;
    client->slack_us = message->slack_us;
    struct issuer_renewal *renewal = issuer_claim_renewal(issuer, &client->node);
    if (!renewal)
        return;
    renewal->node = client->node;
    renewal->nonce = message->nonce;
    renewal->round = 0;
    renewal->release = false;
    renewal->item_count = message->item_count;
    memcpy(renewal->item, message->items, sizeof(renewal->item[0]) * message->item_count);
    issuer_add_action(out, ISSUER_CONFIRM);
    for (uint8_t i = 0; i < message->item_count; i++)
        issuer_hear_token(issuer, &client->node, &message->items[i].resource,
                          message->items[i].token, now, out);
}

/* Adds the answer for one item, unless a proposal that is under way will decide it. */
static void confirm_item(struct issuer *issuer, const struct hf_name *node,
                         const struct lease_item *item, struct instant now,
                         struct lease_message *answer)
{
    struct issuer_lease *lease = issuer_find_lease(issuer, &item->resource);
    const struct lease_record *record = lease ? issuer_record_of(issuer, lease) : NULL;
    bool current = record && issuer_holder_is(record, node, item->token) && !record->abandoned;
    if (current && lease->pending != ISSUER_PENDING_NONE)
        return;
    struct lease_item *answered = &answer->items[answer->item_count++];
    *answered = *item;
    answered->lost = !current;
    if (!current)
        return;
    lease->confirmed = instant_max(lease->confirmed, now);
    issuer_note_confirmed_for_transfer(lease, now);
}

/* Not answered if the token has come into this log meanwhile: the next release of it is proposed. */
static void confirm_release(struct issuer *issuer, const struct issuer_renewal *renewal,
                            struct issuer_output *out)
{
    const struct lease_item *item = &renewal->item[0];
    struct issuer_lease *lease = issuer_find_lease(issuer, &item->resource);
    if (!lease || !issuer_holder_is(issuer_record_of(issuer, lease), &renewal->node, item->token))
        issuer_answer_released(&renewal->node, &item->resource, item->token, renewal->nonce, out);
}

static void confirm_renewal(struct issuer *issuer, const struct issuer_renewal *renewal,
                            struct instant now, struct issuer_output *out)
{
    if (renewal->release) {
        confirm_release(issuer, renewal, out);
        return;
    }
    struct lease_message *answer = issuer_send(out, &renewal->node, LEASE_RENEWED, NULL);
    answer->nonce = renewal->nonce;
    for (uint8_t i = 0; i < renewal->item_count; i++)
        confirm_item(issuer, &renewal->node, &renewal->item[i], now, answer);
    if (answer->item_count == 0)
        out->count--;
}

bool issuer_confirm_renewals(struct issuer *issuer, struct instant now, struct issuer_output *out)
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
