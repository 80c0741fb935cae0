/* Outputs stuck on: what boards say of them, and what is held for it. lease/stuck.h has the rules. */
#include "lease/issuer_internal.h"

const char issuer_held_text[] = "an output of it is stuck on: held until fault clear, see leases";

/* What is proposed on a board's word: kind and text. */
static const struct lease_command off_again = { .kind = LEASE_COMMAND_CLEAR,
                                                .text = "its outputs are off again" };
static const struct lease_command cleared = {
    .kind = LEASE_COMMAND_CLEAR, .text = "fault cleared at the board, its outputs are off"
};
static const struct lease_command stuck_and_held = {
    .kind = LEASE_COMMAND_STUCK, .text = "an output is stuck on: held until fault clear"
};
static const struct lease_command stuck_and_go = { .kind = LEASE_COMMAND_STUCK,
                                                   .text = "an output is stuck on; on_stuck = go" };

bool issuer_policy_says_go(const struct issuer *issuer, const struct hf_name *resource)
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, resource);
    return policy && policy->stuck_go;
}

bool issuer_is_held(const struct issuer *issuer, const struct issuer_lease *lease,
                    struct instant now)
{
    return !issuer_policy_says_go(issuer, &lease->resource) &&
           (stuck_holds(&issuer->table->stuck, &lease->resource) ||
            !instant_reached(lease->word_until, now));
}

void issuer_note_noise(const struct issuer *issuer, struct issuer_lease *lease,
                       const struct hf_name *node, struct instant now)
{
    int at = issuer_find_allowed(issuer_policy_of(issuer, &lease->resource), node);
    if (at >= 0)
        lease->quiet_at[at] = instant_add(now, span_from_ms(ISSUER_QUIET_MS));
}

bool issuer_is_set_aside(const struct issuer *issuer, const struct issuer_lease *lease,
                         const struct hf_name *node, struct instant now)
{
    const struct stuck_row *row = stuck_find(&issuer->table->stuck, &lease->resource, node);
    const struct issuer_policy *policy = issuer_policy_of(issuer, &lease->resource);
    int at = issuer_find_allowed(policy, node);
    return row && row->let_go && at >= 0 && !policy->stuck_go &&
           !instant_reached(lease->quiet_at[at], now);
}

/* A word about the resource is on its way into the log: what the table says may be overtaken by it. */
static bool is_writing(const struct issuer *issuer, const struct issuer_lease *lease)
{
    return lease->word_index > issuer->table->applied;
}

/*
 * One entry at a time for a resource, and none that would do nothing. That an output is stuck on is
 * written whatever its board has spent: it is charged, and what ends it waits for a budget.
 */
static void propose_word(struct issuer *issuer, const struct issuer_lease *lease,
                         const struct issuer_client *client, const struct lease_command *word,
                         struct instant now, struct issuer_output *out)
{
    bool stuck = word->kind == LEASE_COMMAND_STUCK;
    bool affordable = issuer_can_afford(issuer, client, now);
    if (is_writing(issuer, lease) || (stuck ? !stuck_has_room(&issuer->table->stuck) : !affordable))
        return;
    struct lease_command *command = issuer_propose(issuer, out, word->kind, &lease->resource);
    command->holder = client->node;
    command->who = client->node;
    text_copy(command->text, sizeof(command->text), word->text);
    issuer_pay(out, &client->node);
}

void issuer_note_seen_off(struct issuer *issuer, struct issuer_client *client,
                          const struct hf_name *resource, struct instant now,
                          struct issuer_output *out)
{
    const struct stuck_row *row = stuck_find(&issuer->table->stuck, resource, &client->node);
    const struct issuer_lease *lease = issuer_find_lease(issuer, resource);
    bool over = row && (row->let_go || issuer_policy_says_go(issuer, resource));
    if (over && lease && !issuer_is_set_aside(issuer, lease, &client->node, now))
        propose_word(issuer, lease, client, &off_again, now, out);
}

/* PROTOCOL.md, noted-at-rest: what stands of the board's output is not about to change. */
static bool is_at_rest(const struct issuer *issuer, const struct issuer_lease *lease,
                       const struct hf_name *board)
{
    bool granting =
        lease->pending == ISSUER_PENDING_GRANT && name_equal(&lease->pending_node, board);
    return !granting && !is_writing(issuer, lease);
}

void issuer_on_stuck(struct issuer *issuer, struct issuer_client *client,
                     const struct lease_message *message, struct instant now,
                     struct issuer_output *out)
{
    const struct issuer_policy *policy = issuer_policy_of(issuer, &message->resource);
    bool news = !client->word_heard || (int64_t)(message->nonce - client->word_nonce) > 0;
    if (issuer_find_allowed(policy, &client->node) < 0 || !news)
        return;
    struct issuer_lease *lease = issuer_find_or_add_lease(issuer, &message->resource, now);
    if (!lease)
        return;
    client->word_heard = true;
    client->word_nonce = message->nonce;
    if (!message->fenced)
        issuer_note_noise(issuer, lease, &client->node, now);
    else if (issuer_is_set_aside(issuer, lease, &client->node, now))
        return;
    bool known = stuck_find(&issuer->table->stuck, &message->resource, &client->node) != NULL;
    /* Else it is said again, and answered when it is known what stands there. */
    if (known != message->fenced && is_at_rest(issuer, lease, &client->node)) {
        struct lease_message *answer =
            issuer_send(out, &client->node, LEASE_NOTED, &message->resource);
        answer->nonce = message->nonce;
        answer->fenced = message->fenced;
        return;
    }
    if (!message->fenced) {
        lease->word_until = instant_add(now, span_from_ms(ISSUER_WORD_MS));
        if (issuer_is_held(issuer, lease, now))
            issuer_fail_transfer(lease, issuer_held_text);
    }
    const struct lease_command *stuck = policy->stuck_go ? &stuck_and_go : &stuck_and_held;
    propose_word(issuer, lease, client, message->fenced ? &cleared : stuck, now, out);
}
