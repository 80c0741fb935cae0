/* What a board may make the issuers write: who is held back, and who pays. lease/budget.h has the rules. */
#include "lease/issuer_internal.h"

static size_t leases_of(const struct issuer *issuer, const struct hf_name *node)
{
    size_t held = 0;
    for (uint32_t i = 0; i < issuer->table->count; i++)
        held += name_equal(&issuer->table->record[i].holder, node);
    return held;
}

/* How many it may hold by the policies. */
static size_t leases_open_to(const struct issuer *issuer, const struct hf_name *node)
{
    size_t open = 0;
    for (size_t i = 0; i < issuer->config.policy_count; i++)
        open += issuer_find_allowed(&issuer->config.policy[i], node) >= 0;
    return open;
}

static int64_t bytes_for(size_t leases)
{
    const size_t most = HF_LEASES_PER_AGENT_MAX;
    return (int64_t)(leases < most ? leases : most) * BUDGET_LEASE_BYTES;
}

/* Enough for all that its leases may still cost, and for one more that it takes over. */
static int64_t takeover_bytes(const struct issuer *issuer, const struct issuer_client *client)
{
    return bytes_for(leases_of(issuer, &client->node)) + BUDGET_LEASE_BYTES;
}

/*
 * For what it causes itself: so much that it may still take over what else it is there for. The last
 * one is for the grant, which it pays for here.
 */
static int64_t wanted_bytes(const struct issuer *issuer, const struct issuer_client *client,
                            int64_t left)
{
    if (left >= (int64_t)(HF_LEASES_PER_AGENT_MAX + 2) * BUDGET_LEASE_BYTES)
        return 0; /* as most boards have */
    int64_t open = bytes_for(leases_open_to(issuer, &client->node)) + BUDGET_LEASE_BYTES;
    int64_t takeover = takeover_bytes(issuer, client);
    return (open > takeover ? open : takeover) + BUDGET_LEASE_BYTES;
}

struct instant issuer_budget_ready_at(const struct issuer *issuer,
                                      const struct issuer_client *client)
{
    return budget_ready_at(&client->budget, &budget_board, wanted_bytes(issuer, client, 0));
}

bool issuer_can_afford(const struct issuer *issuer, const struct issuer_client *client,
                       struct instant now)
{
    int64_t left = budget_left(&client->budget, &budget_board, now);
    return left >= wanted_bytes(issuer, client, left);
}

/* Returns when to look again. */
static struct instant look_at_budget(struct issuer *issuer, struct issuer_client *client,
                                     struct instant now)
{
    int64_t left = budget_left(&client->budget, &budget_board, now);
    int64_t wanted = wanted_bytes(issuer, client, left);
    client->held_back = left < wanted;
    client->spent = client->held_back && left < takeover_bytes(issuer, client);
    if (client->held_back && !client->bitten)
        client->bites++;
    client->bitten = client->held_back || (client->bitten && left < budget_board.burst / 4);
    if (client->spent)
        return budget_ready_at(&client->budget, &budget_board, takeover_bytes(issuer, client));
    return client->held_back ? issuer_budget_ready_at(issuer, client) : INSTANT_NEVER;
}

struct instant issuer_look_at_budgets(struct issuer *issuer, struct instant now)
{
    struct instant again = INSTANT_NEVER;
    if (issuer->budgets_full)
        return again;
    issuer->budgets_full = true;
    issuer->held_back_count = 0;
    for (size_t i = 0; i < issuer->client_count; i++) {
        struct issuer_client *client = &issuer->client[i];
        if (instant_reached(client->budget.full_at, now)) {
            client->held_back = client->spent = client->bitten = false;
            continue;
        }
        issuer->budgets_full = false;
        again = instant_min(again, look_at_budget(issuer, client, now));
        issuer->held_back_count += client->held_back;
    }
    return again;
}

bool issuer_is_held_back(const struct issuer *issuer, const struct hf_name *node, bool takes_over)
{
    for (size_t i = 0; i < issuer->client_count && issuer->held_back_count > 0; i++) {
        if (name_equal(&issuer->client[i].node, node))
            return takes_over ? issuer->client[i].spent : issuer->client[i].held_back;
    }
    return false;
}

static void charge(struct issuer *issuer, struct issuer_client *client, int64_t bytes,
                   struct instant now)
{
    budget_spend(&client->budget, &budget_board, bytes, now);
    issuer->budgets_full = false;
    client->spent_bytes += (uint64_t)bytes;
}

void issuer_charge(struct issuer *issuer, const struct hf_name *payer, int64_t bytes,
                   struct instant now)
{
    struct issuer_client *client = name_empty(payer) ? NULL : issuer_find_client(issuer, payer);
    if (client)
        charge(issuer, client, bytes, now);
}

void issuer_charge_heard(struct issuer *issuer, const struct hf_name *payer, int64_t bytes,
                         struct instant now)
{
    struct issuer_client *client = name_empty(payer) ? NULL : issuer_find_client(issuer, payer);
    if (!client)
        return;
    int64_t spare =
        budget_left(&client->budget, &budget_board, now) - wanted_bytes(issuer, client, 0);
    if (spare > 0)
        charge(issuer, client, bytes < spare ? bytes : spare, now);
}
