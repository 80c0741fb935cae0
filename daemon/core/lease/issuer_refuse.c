/* Refusals: each is answered, and noted in the history as seldom as issuer.h says. */
#include "lease/issuer_internal.h"

struct issuer_note *issuer_find_note(struct issuer_client *client, const struct hf_name *resource)
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
    struct issuer_note *note = issuer_find_note(client, &unused);
    for (size_t i = 0; i < ISSUER_NOTES_PER_NODE && !note; i++) {
        /* An element is never NULL: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
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
static bool note_refusal(struct issuer_client *client, const struct issuer_note *refused,
                         struct instant now)
{
    struct issuer_note *note = issuer_find_note(client, &refused->resource);
    if (!note)
        note = claim_note(client, now);
    if (!note || note->refusal == refused->refusal || !instant_reached(note->again_at, now))
        return false;
    *note = *refused;
    note->again_at = instant_add(now, span_from_ms(ISSUER_NOTE_INTERVAL_MS));
    return true;
}

void issuer_refuse(struct issuer *issuer, struct issuer_client *client,
                   const struct issuer_note *refused, const char *text, struct instant now,
                   struct issuer_output *out)
{
    const struct hf_name *resource = &refused->resource;
    struct lease_message *answer = issuer_send(out, &client->node, LEASE_REFUSED, resource);
    answer->refusal = refused->refusal;
    text_copy(answer->text, sizeof(answer->text), text);
    if (!issuer_policy_of(issuer, resource) || !issuer_can_afford(issuer, client, now) ||
        !note_refusal(client, refused, now))
        return;
    struct lease_command *command = issuer_propose(issuer, out, LEASE_COMMAND_NOTE, resource);
    command->event = HISTORY_REFUSAL;
    command->holder = client->node;
    text_copy(command->text, sizeof(command->text), text);
    issuer_pay(out, &client->node);
}
