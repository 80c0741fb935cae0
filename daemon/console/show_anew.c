#include "console/show_anew.h"

#include <inttypes.h>
#include <stdio.h>

#include "hal/clock.h"

enum { BOARDS_TEXT_MAX = (HF_NAME_MAX + 2) * ISSUER_POLICY_HOLDERS_MAX, LINE_MAX_BYTES = 400 };

static int64_t left_us(const struct replica *replica)
{
    struct instant until = issuer_unknown_until(&replica->issuer);
    int64_t left = until.us == INSTANT_NEVER.us ? 0 : instant_diff(until, hal_clock_now()).us;
    return left > 0 ? left : 0;
}

static bool held_off(const struct replica *replica, size_t policy)
{
    const struct issuer_config *config = &replica->issuer.config;
    return policy < config->policy_count &&
           issuer_held_off(&replica->issuer, &config->policy[policy].resource, hal_clock_now());
}

static bool barred(const struct replica *replica, size_t policy, struct issuer_claim *claim)
{
    const struct issuer_config *config = &replica->issuer.config;
    return replica_serving(replica) && policy < config->policy_count &&
           issuer_claim_of(&replica->issuer, &config->policy[policy].resource, claim);
}

/*
 * The first policy from `at` on whose resource is held off; the number of policies if there is
 * none.
 */
static size_t next_held_off(const struct replica *replica, size_t at)
{
    while (at < replica->issuer.config.policy_count && !held_off(replica, at))
        at++;
    return at;
}

static size_t next_barred(const struct replica *replica, size_t at, struct issuer_claim *claim)
{
    while (at < replica->issuer.config.policy_count && !barred(replica, at, claim))
        at++;
    return at;
}

static const struct hf_name *resource_at(const struct replica *replica, size_t policy)
{
    return &replica->issuer.config.policy[policy].resource;
}

static void awaited(const struct replica *replica, size_t policy, char text[BOARDS_TEXT_MAX])
{
    const struct hf_name *board;
    size_t used = 0;
    text[0] = '\0';
    for (size_t n = 0; (board = issuer_awaited(&replica->issuer, resource_at(replica, policy), n));
         n++)
        used += (size_t)snprintf(text + used, BOARDS_TEXT_MAX - used, "%s%s", n > 0 ? "," : "",
                                 board->text);
}

void show_anew_note(struct report *report, const struct replica *replica)
{
    if (next_held_off(replica, 0) == replica->issuer.config.policy_count)
        return;
    report_text(report, "began_anew",
                "nothing is granted for the first time while leases from before "
                "may count, unless all of its boards wait");
    report_milli(report, "hold_off_ms", left_us(replica));
}

const char *show_anew_state(const struct replica *replica, const struct hf_name *resource)
{
    struct issuer_claim claim;
    if (!replica_serving(replica))
        return NULL;
    if (issuer_claim_of(&replica->issuer, resource, &claim))
        return "barred";
    return issuer_held_off(&replica->issuer, resource, hal_clock_now()) ? "held off" : NULL;
}

static void list_held_off(struct report *report, const struct replica *replica)
{
    size_t count = replica->issuer.config.policy_count;
    size_t at = next_held_off(replica, 0);
    if (at == count)
        return;
    report_list_open(report, "held_off");
    for (; at < count; at = next_held_off(replica, at + 1)) {
        char boards[BOARDS_TEXT_MAX];
        awaited(replica, at, boards);
        report_row(report);
        report_text(report, "resource", resource_at(replica, at)->text);
        report_milli(report, "left_ms", left_us(replica));
        report_text(report, "waits_for", boards);
    }
    report_list_close(report);
}

static void list_barred(struct report *report, const struct replica *replica)
{
    size_t count = replica->issuer.config.policy_count;
    struct issuer_claim claim;
    size_t at = next_barred(replica, 0, &claim);
    if (at == count)
        return;
    report_list_open(report, "barred");
    for (; at < count; at = next_barred(replica, at + 1, &claim)) {
        const char *resource = resource_at(replica, at)->text;
        char mend[LINE_MAX_BYTES];
        snprintf(mend, sizeof(mend),
                 "stop all issuers, then on each of them --restore BACKUP --force or "
                 "--init --above %" PRIu64
                 " --force; if the board is wrong: token overrule %s %s, then "
                 "restart its agent and guard",
                 claim.token, resource, claim.board.text);
        report_row(report);
        report_text(report, "resource", resource);
        report_text(report, "board", claim.board.text);
        report_token(report, "took_token", claim.token);
        report_token(report, "next_here", replica->table.applied + 1);
        report_text(report, "mend", mend);
    }
    report_list_close(report);
}

void show_anew_lists(struct report *report, const struct replica *replica)
{
    list_held_off(report, replica);
    list_barred(report, replica);
}

void show_anew_status(struct report *report, const struct replica *replica)
{
    size_t count = replica->issuer.config.policy_count;
    struct issuer_claim claim;
    char text[LINE_MAX_BYTES + BOARDS_TEXT_MAX];
    size_t at = next_held_off(replica, 0);
    if (at < count) {
        char boards[BOARDS_TEXT_MAX];
        awaited(replica, at, boards);
        snprintf(text, sizeof(text), "%s%s, %" PRId64 " ms left, waits for %s",
                 resource_at(replica, at)->text,
                 next_held_off(replica, at + 1) < count ? " and others" : "",
                 left_us(replica) / 1000, boards);
        report_text(report, "held_off", text);
    }
    at = next_barred(replica, 0, &claim);
    if (at == count)
        return;
    snprintf(text, sizeof(text),
             "%s: %s took token %" PRIu64 ", the next here is %" PRIu64 ", see leases",
             resource_at(replica, at)->text, claim.board.text, claim.token,
             replica->table.applied + 1);
    report_text(report, "barred", text);
}

void show_anew_metrics(struct text *text, const struct replica *replica)
{
    size_t count = replica->issuer.config.policy_count;
    struct issuer_claim claim;
    text_print(text,
               "# HELP holdfast_lease_held_off_seconds Until the first grant, while leases from "
               "before the cluster began anew may count.\n"
               "# TYPE holdfast_lease_held_off_seconds gauge\n");
    for (size_t at = next_held_off(replica, 0); at < count; at = next_held_off(replica, at + 1))
        text_print(text, "holdfast_lease_held_off_seconds{resource=\"%s\"} %.9g\n",
                   resource_at(replica, at)->text, (double)left_us(replica) / 1e6);
    text_print(text,
               "# HELP holdfast_lease_barred_token Token that a board had, not below the next one "
               "here: no grant.\n# TYPE holdfast_lease_barred_token gauge\n");
    for (size_t at = next_barred(replica, 0, &claim); at < count;
         at = next_barred(replica, at + 1, &claim))
        text_print(text, "holdfast_lease_barred_token{resource=\"%s\",board=\"%s\"} %" PRIu64 "\n",
                   resource_at(replica, at)->text, claim.board.text, claim.token);
}
