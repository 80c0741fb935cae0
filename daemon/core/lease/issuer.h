/*
 * The issuer: grants, renews and takes back leases while its replica leads.
 *
 * Purpose: decides on top of the replicated table: queues, confirmed renewals, free times.
 * Owner: struct replica (lease/replica.h), one thread. Everything but `table` is the leader's
 *   memory and void without leadership.
 * Source: PROTOCOL.md, round-after-receipt, t1-is-learned, issuer-free, leader-counts-anew,
 *   no-confirm-while-ending, answered-is-committed, ask-never-overrule, hold-off, all-boards-wait,
 *   word-on-tokens, word-counts-at-once, yield-for-a-pin-only, policy-names-it, board-pays.
 *
 * Rules:
 *  - Serves only between ISSUER_EVENT_SERVING and ISSUER_EVENT_NOT_SERVING.
 *  - A renewal is answered only after the confirmation round that was asked for after its receipt,
 *    and only if the lease is still the current one and no grant or expiry of it is proposed (S4).
 *  - t1 of a lease is when its round was confirmed, its grant applied, or, for a new leader, when
 *    its own no-op was applied; whichever was last. Free at timing_issuer_free(t1, ...) (S1).
 *  - While the table began anew (table.unknown_us: a new cluster, or a restore) a resource is first
 *    granted when the longest lease that anybody may hold, by the backup or by the policy, is over,
 *    counted like that of a new leader's leases; or when every board of its policy waits for it
 *    (S1). PROTOCOL.md, all-boards-wait has the argument.
 *  - No grant gets a token that is not above the highest one that a board of the policy says it had
 *    (S2), unless an operator overruled that board.
 *  - At most one grant, release or expiry per resource is under way.
 *  - A waiter is served by priority, then arrival. One whose connection is down is not granted.
 *  - The present holder of a token never waits in the queue: it is told its own token, so that a
 *    restarted agent can release it with the guard's proof.
 *  - A refusal goes into the history once per (board, resource, reason) until that changes, and for
 *    one board and resource at most once in ISSUER_NOTE_INTERVAL_MS, whatever the board asks for.
 *  - Nothing is proposed for a resource that no policy names, but what ends a row that is left of it.
 *  - What a board causes is charged to its budget (lease/budget.h): a refusal's note, its release, the
 *    end of a lease that it did not renew, and the grant that follows either; to whom it had the
 *    holder yield by failback, all of that. A board whose budget is spent waits in its queue, has
 *    nobody yield, and its refusals are not noted; a release is taken always, and was kept back for.
 *    So was, for each other resource that a policy lets it hold, that it takes that over.
 *    Whoever takes over from another board is not concerned by that one's budget. What operators ask
 *    for is charged to no board.
 *  - A board that the operator transferred the resource to is not asked to yield by failback.
 *  - A board whose output an operator let go is set aside until it has not said for ISSUER_QUIET_MS,
 *    to this leader and in this leadership, that it is stuck on: meanwhile its word that it is off
 *    again is not written down, it is granted the resource after all others that wait, and nobody
 *    yields to it by failback. A transfer or a pin to it counts as ever.
 *  - While an output of a resource is stuck on (lease/stuck.h) nobody is granted it, and its holder is
 *    asked to yield for a pin only. The word of a board counts at once, for ISSUER_WORD_MS, and for
 *    good once it is in the table; it is said again until then. Of a policy that says go it is
 *    written down, and holds nothing.
 *
 * Checked at the end of every step (hf_panic(): the issuer is gone, its leases run out): who holds
 * what is what the table says, of the row of that name; no token is above the log; a proposal under
 * way is not applied yet; the queue is in its order, and the holder does not wait in it.
 *
 * Duties of the caller after every issuer_step(), in the order of action[]:
 *  1. ISSUER_SEND: send it; may be lost.
 *  2. ISSUER_PROPOSE: propose it and call issuer_proposed() with the log index, or 0 if refused.
 *  3. ISSUER_CONFIRM: ask Raft for a round and call issuer_round_asked() with it, or 0 if refused.
 * After events that changed anything, step with ISSUER_EVENT_TIMER: only that one proposes grants
 * and expiries. APPLIED, SERVING and ROUND emit ISSUER_SEND only, so that a whole range of entries
 * can be applied before the next proposal.
 */
#ifndef HOLDFAST_CORE_LEASE_ISSUER_H
#define HOLDFAST_CORE_LEASE_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/timing.h"
#include "lease/budget.h"
#include "lease/lease_message.h"
#include "lease/table.h"

enum {
    ISSUER_ACTIONS_MAX = 512,      /* out of one step */
    ISSUER_ANSWERS_PER_STEP = 256, /* renewals answered by one step; the rest at once in the next */
    ISSUER_YIELDS_PER_STEP = 64,
    /* Sent twice per interval while unanswered: as many as a round that a lease survives takes. */
    ISSUER_RENEWALS_PER_NODE = TIMING_RENEWALS_PER_TTL + 1, /* more: the newest is replaced */
    ISSUER_RENEWALS_MAX = ISSUER_RENEWALS_PER_NODE * HF_AGENTS_MAX, /* waiting for a round */
    ISSUER_PROPOSALS_PER_STEP = 32, /* by the timer; the rest follows at once in the next step */
    ISSUER_POLICY_HOLDERS_MAX = 16,
    ISSUER_NOTES_PER_NODE = HF_LEASES_PER_AGENT_MAX, /* refusals remembered of one board */
    ISSUER_NOTE_INTERVAL_MS = 60000,
    ISSUER_YIELD_REPEAT_MS = 1000,
    /* After a failback to a board that did not take over; twice that after the next one in a row, to 64 times. */
    ISSUER_FAILBACK_PAUSE_MS = 60000,
    ISSUER_WORD_MS = 3000,    /* a board's word of an output stuck on, before it is committed */
    ISSUER_QUIET_MS = 600000, /* for so long none: of what an operator let go it counts again */
    ISSUER_RETRY_MS = 20,     /* a proposal that Raft refused is made again after this */
    ISSUER_TRANSFER_MARGIN_MS = 5000 /* a transfer is given up after ttl plus this */
};

/* Who may hold a resource; from this issuer's configuration, checked by the leader. */
struct issuer_policy {
    struct hf_name resource;
    uint8_t holder_count;
    struct hf_name holder[ISSUER_POLICY_HOLDERS_MAX];
    int64_t ttl_max_us;
    int64_t fence_max_us; /* longest fence latency that a board may declare */
    bool stuck_go;        /* granted although an output is stuck on */
};

struct issuer_config {
    struct hf_name self;
    uint32_t drift_ppm;
    const struct issuer_policy *policy; /* owned by the caller, outlives the issuer */
    size_t policy_count;                /* 0..HF_RESOURCES_MAX */
};

/* What a board says of tokens that it had. */
struct issuer_claim {
    struct hf_name board;
    uint64_t token;
};

struct issuer_waiter {
    struct hf_name node;
    int32_t priority;
    bool failback_auto;
    int64_t ttl_us;
    int64_t fence_us;
    uint64_t arrival; /* order of arrival */
    char address[HF_ADDRESS_MAX + 1];
};

enum issuer_transfer_state {
    ISSUER_TRANSFER_NONE,
    ISSUER_TRANSFER_PENDING, /* holder asked to yield, or target granted and not renewed yet */
    ISSUER_TRANSFER_DONE,    /* the target's first renewal was confirmed: it may drive */
    ISSUER_TRANSFER_FAILED
};

/* The last planned hand-over of one resource. */
struct issuer_transfer {
    enum issuer_transfer_state state;
    struct hf_name from;
    struct hf_name to;
    struct hf_name who;
    struct hf_name via;      /* as in the event */
    struct instant until;    /* given up then */
    struct instant released; /* the former holder's release arrived: its outputs were off by then */
    uint64_t token;          /* of the target's grant; 0: not granted yet */
    struct span gap;         /* done: from `released` to the target's first confirmed renewal */
    const char *reason;      /* failed: static text */
};

enum issuer_pending {
    ISSUER_PENDING_NONE,
    ISSUER_PENDING_GRANT,
    ISSUER_PENDING_RELEASE,
    ISSUER_PENDING_EXPIRE
};

/* The leader's memory of one resource. */
struct issuer_lease {
    struct hf_name resource;
    int record;                  /* in table.record, -1: not in the table yet */
    struct instant confirmed;    /* t1 */
    enum issuer_pending pending; /* proposal under way */
    uint64_t pending_index;      /* its log index */
    struct hf_name pending_node; /* grant: to whom; release: who waits for the answer */
    uint64_t pending_nonce;      /* release: of the answer */
    struct instant retry_at;     /* no proposal before this */
    struct instant word_until;   /* a board says that an output is stuck on: nothing is granted */
    uint64_t word_index;         /* log index of the last proposal about that */
    uint8_t waiter_count;
    struct issuer_waiter waiter[HF_WAITERS_MAX]; /* in order of service */
    struct hf_name holder; /* as of the last applied command, to tell it when it lost */
    uint64_t token;
    struct instant yield_at; /* the holder is not asked (again) to yield before this */
    /* For whom the holder of that token was asked to yield by failback: it pays, though it has gone. */
    struct hf_name asked_for;
    uint64_t asked_token;                      /* 0: for nobody */
    struct instant failback_at;                /* no failback before this */
    uint8_t failbacks_for_nothing;             /* in a row: whom they were for did not take it */
    uint64_t claim[ISSUER_POLICY_HOLDERS_MAX]; /* highest token that each of the policy's said */
    struct instant quiet_at[ISSUER_POLICY_HOLDERS_MAX]; /* see ISSUER_QUIET_MS */
    struct issuer_transfer transfer;
};

/* A refusal that is in the history already. */
struct issuer_note {
    struct hf_name resource;    /* empty: unused */
    enum lease_refusal refusal; /* the last one noted; NONE: accepted since */
    struct instant again_at;    /* no note before this */
};

/* What an issuer knows of a board that is or was connected; for people. */
struct issuer_client {
    struct hf_name node;
    bool up;
    struct instant connected;
    struct instant last_renewal;
    int64_t round_trip_us; /* as the board says */
    int64_t slack_us;      /* smallest, as the board says */
    struct issuer_note note[ISSUER_NOTES_PER_NODE];
    struct budget budget; /* of entries that it causes, in bytes of journal */
    uint64_t spent_bytes; /* ever */
    bool held_back;       /* by the last look: too little is left for another lease */
    bool spent;           /* nor for one that it takes over from another board */
    bool bitten;          /* something waited, or was left out, since the budget was last good */
    uint64_t bites;       /* how often that began */
    bool word_heard;      /* of outputs stuck on, on this connection */
    uint64_t word_nonce;  /* of the newest */
};

struct issuer_renewal {
    struct hf_name node;
    uint64_t nonce;
    uint64_t round; /* answered when this round is confirmed */
    bool release;   /* of a token from beyond the log: the first item */
    uint8_t item_count;
    struct lease_item item[HF_LEASES_PER_AGENT_MAX];
};

enum issuer_event_kind {
    ISSUER_EVENT_SERVING,     /* own no-op applied in `term` */
    ISSUER_EVENT_NOT_SERVING, /* leadership lost: forgets its memory, pushes nothing */
    ISSUER_EVENT_CLIENT_UP,   /* node */
    ISSUER_EVENT_CLIENT_DOWN, /* node */
    ISSUER_EVENT_MESSAGE,     /* node (proven identity), message */
    ISSUER_EVENT_APPLIED,     /* index, change: a command took effect (or not) in the table */
    ISSUER_EVENT_ROUND,       /* round: confirmed */
    ISSUER_EVENT_TIMER,
    ISSUER_EVENT_TRANSFER, /* resource, node: hand over to this board; who */
    ISSUER_EVENT_PIN,      /* resource, pinned, node (empty: nobody); who */
    ISSUER_EVENT_NOTE,     /* resource, history kind, text; who: into the history */
    ISSUER_EVENT_OVERRULE, /* resource, node: its word on tokens counts no more; who */
    ISSUER_EVENT_REMOVE,   /* resource: its row, which no policy names any more; who */
    ISSUER_EVENT_CLEAR,    /* resource, node; who: it is no longer held for that board's output */
    ISSUER_EVENT_KINDS
};

struct issuer_event {
    enum issuer_event_kind kind;
    struct hf_name node;
    const struct lease_message *message;
    uint64_t term;
    uint64_t index;
    uint64_t round;
    const struct table_change *change;
    struct hf_name resource;
    bool pinned;
    enum history_kind history;
    struct hf_name who;
    struct hf_name via; /* operators' events: the node that relayed it; empty: none did */
    bool unproven;      /* and that is a board, on whose word alone `who` is: it pays */
    const char *text;
};

/* Kept apart from the log and the wire: what the replica must do, in order. */
enum issuer_action_kind {
    ISSUER_SEND,    /* message to node */
    ISSUER_PROPOSE, /* command; the answer comes by issuer_proposed() */
    ISSUER_CONFIRM  /* ask for a round; the answer comes by issuer_round_asked() */
};

struct issuer_action {
    enum issuer_action_kind kind;
    struct hf_name node;
    struct lease_message message;
    struct lease_command command; /* wall_us is the caller's to fill in */
    struct hf_name payer;         /* of the entry; empty: no board */
};

struct issuer_output {
    size_t count;
    struct issuer_action action[ISSUER_ACTIONS_MAX];
    const char *error; /* an operator's event was refused: static text; NULL: accepted */
    struct instant wake_at;
};

struct issuer {
    struct issuer_config config;
    const struct lease_table *table; /* the replica's */
    bool serving;
    uint64_t term;
    uint64_t arrivals;
    struct instant unknown_until; /* while table->unknown_us counts: no grant before this */
    uint64_t round_confirmed;     /* greatest so far */
    uint32_t lease_count;
    struct issuer_lease lease[HF_RESOURCES_MAX];
    size_t client_count; /* slots that were ever used: no loop touches the others */
    struct issuer_client client[HF_AGENTS_MAX];
    size_t held_back_count; /* of clients, by the last look */
    bool budgets_full;      /* all of them, by that look, and nothing was spent since */
    size_t renewal_count;
    struct issuer_renewal renewal[ISSUER_RENEWALS_MAX]; /* in order of arrival */
};

/*
 * `table` is read at every step; owned by the caller, outlives the issuer. *issuer is zeroed memory,
 * or has been an issuer before; what it does not use is left as it is.
 */
void issuer_init(struct issuer *issuer, const struct issuer_config *config,
                 const struct lease_table *table);

/* One event. `out` is overwritten as far as it is used. Never blocks. */
void issuer_step(struct issuer *issuer, const struct issuer_event *event, struct instant now,
                 struct issuer_output *out);

/* The proposal for `resource` of the last step got this log index; 0: it was refused. */
void issuer_proposed(struct issuer *issuer, const struct lease_command *command, uint64_t index,
                     struct instant now);

/* The entry that `payer` caused costs the journal so many bytes. */
void issuer_charge(struct issuer *issuer, const struct hf_name *payer, int64_t bytes,
                   struct instant now);

/*
 * Likewise, of an entry that another leader took: so that the board finds no full budget at the next one.
 * When it was made nobody knows: a log that is caught up is heard at once. So it takes nothing of what
 * is kept back for the board's own leases and takeovers.
 */
void issuer_charge_heard(struct issuer *issuer, const struct hf_name *payer, int64_t bytes,
                         struct instant now);

/* When a board that is held back has enough for another lease, unless it spends more meanwhile. */
struct instant issuer_budget_ready_at(const struct issuer *issuer,
                                      const struct issuer_client *client);

/* The round asked for by the last step is `round`; 0: refused, its renewals are forgotten. */
void issuer_round_asked(struct issuer *issuer, uint64_t round);

/* The leader's memory of a resource, NULL if there is none: not serving, or never asked for. */
const struct issuer_lease *issuer_lease_of(const struct issuer *issuer,
                                           const struct hf_name *resource);

/* When the resource may be granted to another; INSTANT_NEVER if nobody holds it or not serving. */
struct instant issuer_free_at(const struct issuer *issuer, const struct hf_name *resource);

/*
 * When the hold-off of a table that began anew ends; INSTANT_NEVER if there is none, or this issuer
 * does not serve.
 */
struct instant issuer_unknown_until(const struct issuer *issuer);

/* True while that keeps the resource from its first grant. */
bool issuer_held_off(const struct issuer *issuer, const struct hf_name *resource,
                     struct instant now);

/* True while an operator's go for an output of that board stands against what the board says of it. */
bool issuer_is_set_aside(const struct issuer *issuer, const struct issuer_lease *lease,
                         const struct hf_name *node, struct instant now);

/* The n-th board of the resource's policy that does not wait for it here; NULL: no more. */
const struct hf_name *issuer_awaited(const struct issuer *issuer, const struct hf_name *resource,
                                     size_t n);

/* True if a board's word on tokens keeps the resource from being granted: the highest such word. */
bool issuer_claim_of(const struct issuer *issuer, const struct hf_name *resource,
                     struct issuer_claim *claim);

/* The word of this board, if it does that; 0: none, or it counts no more. */
uint64_t issuer_claim_by(const struct issuer *issuer, const struct hf_name *resource,
                         const struct hf_name *node);

/* NULL if no policy names the resource. */
const struct issuer_policy *issuer_policy_of(const struct issuer *issuer,
                                             const struct hf_name *resource);

/* What is wrong with the token of a grant that a claim bars, and what mends it. */
void issuer_explain_claim(const struct issuer *issuer, const struct issuer_claim *claim,
                          char text[HF_REASON_MAX + 1]);

/*
 * The longest time for which a lease granted under this configuration counts: ttl and fence latency
 * of the policy with the largest sum, 0..LEASE_UNKNOWN_MAX_US.
 */
int64_t issuer_lease_max_us(const struct issuer_config *config);

/* What is left of the holder's lease by this issuer's clock, >= 0; 0 if nobody holds it. */
struct span issuer_time_left(const struct issuer *issuer, const struct hf_name *resource,
                             struct instant now);

#endif
