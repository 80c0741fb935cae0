#include "issuer/budget_watch.h"

#include <inttypes.h>
#include <string.h>

#include "log/log.h"

int64_t budget_watch_wait_s(const struct issuer *issuer, const struct issuer_client *client,
                            struct instant now)
{
    if (!issuer->serving || !client->held_back)
        return 0;
    int64_t left_us = instant_diff(issuer_budget_ready_at(issuer, client), now).us;
    return left_us > 0 ? (left_us + 999999) / 1000000 : 0;
}

static void tell(const struct issuer *issuer, const struct issuer_client *client,
                 struct instant now)
{
    log_line(
        LOG_WARNING,
        "%s: over its budget: it has caused %" PRIu64 " bytes of journal since this issuer "
        "started, %d at once and as many an hour are taken: its acquires wait (a takeover from "
        "another board only if takeovers spent it as well), its refusals are not noted; the next "
        "in %" PRId64 " s",
        client->node.text, client->spent_bytes, BUDGET_BOARD_BURST,
        budget_watch_wait_s(issuer, client, now));
}

void budget_watch_look(struct budget_watch *watch, const struct issuer *issuer, struct instant now)
{
    for (size_t i = 0; issuer->serving && i < issuer->client_count; i++) {
        const struct issuer_client *client = &issuer->client[i];
        struct hf_name *told = &watch->bitten[i];
        bool known = !name_empty(told) && name_equal(told, &client->node);
        if (client->bitten && !known)
            tell(issuer, client, now);
        else if (!client->bitten && known)
            log_line(LOG_NOTICE, "%s: within its budget again", client->node.text);
        memset(told, 0, sizeof(*told));
        if (client->bitten)
            *told = client->node;
    }
}
