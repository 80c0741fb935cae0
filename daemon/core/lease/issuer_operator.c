/* What operators ask for: checked, refused in words, or proposed in their name. */
#include "lease/issuer_internal.h"

/* A proposal in the name of whoever asked. */
static struct lease_command *propose_act(struct issuer *issuer, const struct issuer_event *event,
                                         enum lease_command_kind kind, struct issuer_output *out)
{
    struct lease_command *command = issuer_propose(issuer, out, kind, &event->resource);
    command->who = event->who;
    command->via = event->via;
    command->unproven = event->unproven;
    if (event->unproven)
        issuer_pay(out, &event->via);
    return command;
}

static void on_transfer(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                        struct issuer_output *out)
{
    out->error = issuer_begin_transfer(issuer, event, now);
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
        return !event->pinned && is_left_pinned(issuer, &event->resource) ? NULL : issuer_no_policy;
    if (event->pinned && !name_empty(&event->node) && issuer_find_allowed(policy, &event->node) < 0)
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
        return issuer_no_policy;
    if (!event->unproven)
        return NULL;
    const struct issuer_client *client = issuer_find_client(issuer, &event->via);
    if (!client || !issuer_can_afford(issuer, client, now))
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
        out->error = "the issuers know of no such resource, see leases";
    else if (issuer->table->record[found].pinned)
        out->error = "it is pinned; unpin it first";
    else if (!name_empty(&issuer->table->record[found].holder))
        out->error = "it is held, or held off; wait until it is free";
    if (out->error)
        return;
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_REMOVE, out);
    text_copy(command->text, sizeof(command->text), "removed: no policy names it");
}

/* Why that board's row can't be let go; NULL: it can. */
static const char *clear_fault(struct issuer *issuer, const struct issuer_event *event,
                               struct instant now)
{
    const struct stuck_list *stuck = &issuer->table->stuck;
    const struct issuer_lease *lease = issuer_find_lease(issuer, &event->resource);
    const struct stuck_row *row = stuck_find(stuck, &event->resource, &event->node);
    if (row && row->let_go)
        return "that board's output was let go already, see leases";
    /* What is on its way into the log the operator has not seen. */
    if (row && lease && lease->word_index > issuer->table->applied)
        return "a word about its outputs is just being written down; look, and try again";
    if (row)
        return NULL;
    if (lease && !stuck_holds(stuck, &event->resource) && issuer_is_held(issuer, lease, now))
        return "an output of it was just seen stuck on; try again";
    return "no output of that board is known to be stuck on, see leases";
}

static void on_clear(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                     struct issuer_output *out)
{
    struct issuer_lease *lease = issuer_find_lease(issuer, &event->resource);
    out->error = clear_fault(issuer, event, now);
    if (out->error)
        return;
    if (lease)
        issuer_note_noise(issuer, lease, &event->node, now);
    struct lease_command *command = propose_act(issuer, event, LEASE_COMMAND_CLEAR, out);
    command->holder = event->node;
    command->go = true;
    text_copy(command->text, sizeof(command->text),
              "fault cleared: may be granted, though an output was seen stuck on");
}

void issuer_on_operator(struct issuer *issuer, const struct issuer_event *event, struct instant now,
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
