/*
 * What the files of the issuer share. Private to this folder.
 */
#ifndef HOLDFAST_CORE_LEASE_ISSUER_INTERNAL_H
#define HOLDFAST_CORE_LEASE_ISSUER_INTERNAL_H

#include <string.h>

#include "base/check.h"
#include "lease/issuer.h"

static const struct instant at_once = { 0 };

/* One pass over all leases: what is left of its bounds, and when to come back. */
struct issuer_pass {
    struct instant now;
    struct instant wake_at;
    size_t proposals;
    size_t yields;
};

static inline void issuer_wake_by(struct issuer_pass *pass, struct instant at)
{
    pass->wake_at = instant_min(pass->wake_at, at);
}

/* ---- issuer.c */

/* No entry for a resource that no policy names: the table holds what policies name, and no more. */
extern const char issuer_no_policy[];
struct issuer_action *issuer_add_action(struct issuer_output *out, enum issuer_action_kind kind);
struct lease_message *issuer_send(struct issuer_output *out, const struct hf_name *node,
                                  enum lease_message_kind kind, const struct hf_name *resource);
struct lease_command *issuer_propose(struct issuer *issuer, struct issuer_output *out,
                                     enum lease_command_kind kind, const struct hf_name *resource);
void issuer_pay(struct issuer_output *out, const struct hf_name *payer);
struct issuer_client *issuer_find_client(struct issuer *issuer, const struct hf_name *node);
struct issuer_client *issuer_connected_client(struct issuer *issuer, const struct hf_name *node);
struct issuer_lease *issuer_find_lease(struct issuer *issuer, const struct hf_name *resource);
void issuer_note_holder(struct issuer *issuer, struct issuer_lease *lease);
/* NULL if the leader's memory is full. */
struct issuer_lease *issuer_find_or_add_lease(struct issuer *issuer, const struct hf_name *resource,
                                              struct instant now);
const struct lease_record *issuer_record_of(const struct issuer *issuer,
                                            const struct issuer_lease *lease);
bool issuer_holder_is(const struct lease_record *record, const struct hf_name *node,
                      uint64_t token);
struct instant issuer_lease_free_at(const struct issuer *issuer, const struct issuer_lease *lease);

/* ---- issuer_budget.c */

struct instant issuer_look_at_budgets(struct issuer *issuer, struct instant now);
/* `takes_over`: for a resource that another board gave up, or had given up. */
bool issuer_is_held_back(const struct issuer *issuer, const struct hf_name *node, bool takes_over);
/* For an entry that only says something: what its leases may cost is kept back. */
bool issuer_can_afford(const struct issuer *issuer, const struct issuer_client *client,
                       struct instant now);

/* ---- issuer_queue.c */

/* The order of the queue: priority, then arrival. */
bool issuer_served_before(const struct issuer_waiter *a, const struct issuer_waiter *b);
int issuer_find_waiter(const struct issuer_lease *lease, const struct hf_name *node);
void issuer_remove_waiter(struct issuer_lease *lease, const struct hf_name *node);
bool issuer_pin_allows(const struct lease_record *record, const struct hf_name *node);
/* Who is granted next: the target of a transfer, else by priority and arrival. NULL: nobody. */
const struct issuer_waiter *issuer_next_waiter(const struct issuer *issuer,
                                               const struct issuer_lease *lease,
                                               struct instant now);
/* What a board says it had: by an acquire, or by a lease that it releases or renews. */
void issuer_hear_token(struct issuer *issuer, const struct hf_name *node,
                       const struct hf_name *resource, uint64_t token, struct instant now,
                       struct issuer_output *out);
void issuer_on_acquire(struct issuer *issuer, struct issuer_client *client,
                       const struct lease_message *message, struct instant now,
                       struct issuer_output *out);
void issuer_on_withdraw(struct issuer *issuer, const struct issuer_client *client,
                        const struct lease_message *message);

/* ---- issuer_refuse.c */

struct issuer_note *issuer_find_note(struct issuer_client *client, const struct hf_name *resource);
/* `refused`: what, and why; `again_at` is not used. */
void issuer_refuse(struct issuer *issuer, struct issuer_client *client,
                   const struct issuer_note *refused, const char *text, struct instant now,
                   struct issuer_output *out);

/* ---- issuer_stuck.c */

extern const char issuer_held_text[];
bool issuer_policy_says_go(const struct issuer *issuer, const struct hf_name *resource);
/* Nobody is granted it: by the table, or by a board's word that is not written down yet. */
bool issuer_is_held(const struct issuer *issuer, const struct issuer_lease *lease,
                    struct instant now);
/* It is to be quiet about its output from now on, for what an operator let go to be over. */
void issuer_note_noise(const struct issuer *issuer, struct issuer_lease *lease,
                       const struct hf_name *node, struct instant now);
/* A board that asks for it has proven its outputs off; what an operator let go is over then. */
void issuer_note_seen_off(struct issuer *issuer, struct issuer_client *client,
                          const struct hf_name *resource, struct instant now,
                          struct issuer_output *out);
/* Repeated by the board until it is noted. Words may overtake each other: the newest counts. */
void issuer_on_stuck(struct issuer *issuer, struct issuer_client *client,
                     const struct lease_message *message, struct instant now,
                     struct issuer_output *out);

/* ---- issuer_transfer.c */

bool issuer_transfer_waits(const struct issuer_lease *lease);
void issuer_fail_transfer(struct issuer_lease *lease, const char *reason);
void issuer_note_granted_for_transfer(struct issuer_lease *lease);
void issuer_note_confirmed_for_transfer(struct issuer_lease *lease, struct instant now);
const char *issuer_begin_transfer(struct issuer *issuer, const struct issuer_event *event,
                                  struct instant now);
/* Why the holder should hand over, and to whom; NULL if it need not. */
const char *issuer_wanted_yield(const struct issuer *issuer, const struct issuer_lease *lease,
                                struct instant now, struct hf_name *successor);
/* A transfer waits, or a pin bars the holder. */
bool issuer_operator_wants_yield(const struct issuer *issuer, const struct issuer_lease *lease);
/* A grant to `holder` is applied. */
void issuer_note_failback(struct issuer_lease *lease, const struct hf_name *holder,
                          struct instant now);
void issuer_ask_to_yield(struct issuer *issuer, struct issuer_lease *lease,
                         struct issuer_pass *pass, struct issuer_output *out);

/* ---- issuer_renew.c */

/*
 * A token from beyond this log: granted by a newer leader, or before the log began anew. Only a round
 * shows it: if this leader is confirmed for one asked for now, nobody newer granted anything before.
 */
void issuer_ask_about_release(struct issuer *issuer, const struct issuer_client *client,
                              const struct lease_message *message, struct instant now,
                              struct issuer_output *out);
void issuer_on_renew(struct issuer *issuer, struct issuer_client *client,
                     const struct lease_message *message, struct instant now,
                     struct issuer_output *out);
/* Returns false if some had to be left for the next step. */
bool issuer_confirm_renewals(struct issuer *issuer, struct instant now, struct issuer_output *out);

/* ---- issuer_grant.c */

/* Who pays for a grant to this board now. */
const struct hf_name *issuer_payer_of_grant(const struct issuer *issuer,
                                            const struct issuer_lease *lease,
                                            const struct hf_name *node);
void issuer_answer_released(const struct hf_name *node, const struct hf_name *resource,
                            uint64_t token, uint64_t nonce, struct issuer_output *out);
void issuer_on_release(struct issuer *issuer, const struct issuer_client *client,
                       const struct lease_message *message, struct instant now,
                       struct issuer_output *out);
void issuer_on_applied(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                       struct issuer_output *out);
void issuer_on_timer(struct issuer *issuer, struct instant now, struct issuer_output *out);

/* ---- issuer_operator.c */

void issuer_on_operator(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                        struct issuer_output *out);

/* ---- issuer_anew.c, issuer_policy.c */

/* Notes what `node` says. False: it says nothing new, or has no say here. */
bool issuer_hear_claim(const struct issuer *issuer, struct issuer_lease *lease,
                       const struct hf_name *node, uint64_t token);
/*
 * Checks an acquire of `node` against policy, ranges and pin. Returns LEASE_REFUSED_NONE or the
 * refusal, and then writes what is wrong, its value and what is allowed into `text`.
 */
enum lease_refusal issuer_check_acquire(const struct issuer *issuer, const struct hf_name *node,
                                        const struct lease_message *message,
                                        char text[HF_REASON_MAX + 1]);
/* Its place in policy->holder; -1: none, or no policy. */
int issuer_find_allowed(const struct issuer_policy *policy, const struct hf_name *node);
/* For the history. */
void issuer_explain_overrule(uint64_t token, char text[HF_REASON_MAX + 1]);
/* Why nobody is granted the resource, for people; empty: it is not held for an output stuck on. */
void issuer_explain_held(const struct issuer *issuer, const struct hf_name *resource,
                         char text[HF_REASON_MAX + 1]);

#endif
