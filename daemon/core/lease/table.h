/*
 * The replicated lease table: what every issuer has after applying the same log.
 *
 * Purpose: the state machine above Raft. Commands are applied in log order; the result depends on
 *   nothing but the commands (no clock, no configuration of this node).
 * Owner: the issuer; one thread. Also serialised as the snapshot.
 * Source: PROTOCOL.md, token-is-index, grant-replaces-token, owner-and-token, proof-or-time,
 *   pure-table, rank-in-table, stuck-holds, hold-off, overrule-is-replicated, remove-free-rows.
 *
 * Rules, each enforced when the command is *applied* (a proposal may be overtaken):
 *  - GRANT names the token that it replaces (0: the resource is free). If that is no longer the
 *    current one, the command does nothing. The new token is the entry's log index, so tokens rise
 *    with every grant, for ever (S2).
 *  - RELEASE and EXPIRE name holder and token; both must match.
 *  - A GRANT of a resource that is held for an output stuck on (lease/stuck.h) does nothing, unless it
 *    says that the policy lets it pass.
 *  - An unfenced RELEASE leaves the lease in place, abandoned: nobody can renew it, and it is free
 *    only when its time is up, as if the board had died.
 *  - A table that begins anew (a new cluster's, or restored from a backup) doesn't know who holds
 *    what: everything is free in it, and unknown_us says how long a lease of before may still count.
 *    Leaders hold off their first grant of each resource (issuer.h says for how long, and what ends
 *    it early). A settled GRANT was made when that time had passed: it ends it for all.
 *  - An OVERRULE makes one board's word on tokens (ACQUIRE, `highest`) count no more, whatever it says
 *    next: a board that lies would only say more. It is forgotten when the log is past the token that
 *    it was made for; until then what the board has from this log is below that.
 *  - REMOVE takes away a row that nobody holds, not even by the rest of a lease, and that is not
 *    pinned. Tokens are log indexes: what is granted later has a higher one than all before (S2).
 */
#ifndef HOLDFAST_CORE_LEASE_TABLE_H
#define HOLDFAST_CORE_LEASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/name.h"
#include "lease/stuck.h"

enum lease_command_kind {
    /* resource, holder, token (replaced one), ttl_us, fence_us, address, priority, ranked,
     * transferred, settled, go */
    LEASE_COMMAND_GRANT,
    LEASE_COMMAND_RELEASE,  /* resource, holder, token, fenced, text */
    LEASE_COMMAND_EXPIRE,   /* resource, holder, token */
    LEASE_COMMAND_PIN,      /* resource, holder (empty: nobody), pinned; who, text */
    LEASE_COMMAND_NOTE,     /* event kind, resource, holder, who, text: history only */
    LEASE_COMMAND_OVERRULE, /* resource, holder (the board), token: its word up to this */
    LEASE_COMMAND_REMOVE,   /* resource, who, text: its row, if it is free and not pinned */
    LEASE_COMMAND_STUCK,    /* resource, holder (the board), text: an output of it is stuck on */
    LEASE_COMMAND_CLEAR,    /* resource, holder (the board), go (let go, else its row ends), text */
    LEASE_COMMAND_KINDS
};

enum history_kind {
    HISTORY_GRANT,
    HISTORY_RELEASE,
    HISTORY_EXPIRE,
    HISTORY_TRANSFER, /* planned hand-over asked for */
    HISTORY_REFUSAL,
    HISTORY_OPERATOR, /* pin, unpin, fault clear */
    HISTORY_FAULT,    /* an output stuck on, or off again */
    HISTORY_KINDS
};

struct lease_command {
    enum lease_command_kind kind;
    struct hf_name resource;
    struct hf_name holder;
    uint64_t token;
    int64_t ttl_us;
    int64_t fence_us;
    bool fenced;
    bool pinned;
    int32_t priority; /* of the holder, as it asked */
    bool ranked;      /* the priority is known: false in a log of before it was written down */
    bool transferred; /* by a planned hand-over: no failback from it */
    bool settled;     /* GRANT: no lease of before the table began anew can count any more */
    bool go;          /* though an output is stuck on: GRANT by the policy, CLEAR by an operator */
    enum history_kind event; /* NOTE */
    int64_t wall_us;         /* leader's wall clock when proposed, for people only; unix epoch */
    struct hf_name who;   /* who caused it: a board, an operator's certificate name, the issuer */
    struct hf_name via;   /* whose word `who` is: the node that relayed it; empty: seen by itself */
    bool unproven;        /* and that node is no issuer: anybody may be meant */
    struct hf_name payer; /* the board whose budget bears the entry; empty: nobody's */
    char address[HF_ADDRESS_MAX + 1];
    char text[HF_REASON_MAX + 1];
};

struct history_event {
    uint64_t index; /* log index */
    int64_t wall_us;
    enum history_kind kind;
    struct hf_name resource;
    struct hf_name holder;
    uint64_t token;
    struct hf_name who;
    struct hf_name via; /* as in the command */
    bool unproven;
    char text[HF_REASON_MAX + 1];
};

struct lease_record {
    struct hf_name resource;
    struct hf_name holder; /* empty: free */
    uint64_t token;        /* of the current grant; 0 when free */
    uint64_t last_token;   /* of the last grant ever */
    bool abandoned;        /* released without proof */
    bool pinned;
    struct hf_name pinned_to; /* with pinned; empty: nobody */
    int64_t ttl_us;
    int64_t fence_us;
    int32_t priority; /* of the holder, with ranked, transferred: as granted */
    bool ranked;
    bool transferred;
    struct hf_name payer; /* when free: of what ended the last grant; empty: no board */
    char address[HF_ADDRESS_MAX + 1];
};

enum { LEASE_OVERRULES_MAX = 32 };

/* What an operator said of a board that lies, or was lent to another cluster. */
struct lease_overrule {
    struct hf_name resource;
    struct hf_name board;
    uint64_t token; /* its word counts above this only */
};

struct lease_table {
    uint64_t applied; /* index of the last applied entry */
    /* 0, or: it began anew, and leases (ttl and fence) of so long may be out there */
    int64_t unknown_us;
    uint64_t begun; /* with unknown_us: the entry at which; tokens above it were given since */
    uint32_t overrule_count;
    struct lease_overrule overrule[LEASE_OVERRULES_MAX];
    uint32_t count;
    struct lease_record record[HF_RESOURCES_MAX]; /* in order of first use */
    struct stuck_list stuck;
    uint64_t history_total; /* events ever; the last HF_HISTORY_MAX are kept */
    struct history_event history[HF_HISTORY_MAX]; /* event n at n % HF_HISTORY_MAX */
};

/* What applying one command did. */
struct table_change {
    bool done;    /* false: overtaken or not matching, nothing changed */
    int record;   /* index into record, or -1 */
    bool removed; /* a row is gone; those behind it have moved up by one */
};

void lease_table_init(struct lease_table *table);

/* Applies the command of entry `index` (> table->applied). */
struct table_change lease_table_apply(struct lease_table *table, uint64_t index,
                                      const struct lease_command *command);

/* Notes that entry `index` (a no-op) was applied. */
void lease_table_skip(struct lease_table *table, uint64_t index);

/*
 * Turns the table of a backup into the one that a lost cluster goes on with, at entry `index`, which
 * is above every token ever given (checked only: > table->applied). Whoever the backup shows as a
 * holder may be none any more, and another one may be: all are free, and held off for `unknown_us`
 * (> 0). Pins, outputs stuck on and history stay; `wall_us` dates the event that is added.
 */
void lease_table_restore(struct lease_table *table, uint64_t index, int64_t unknown_us,
                         int64_t wall_us);

/*
 * Makes *table the one that a new cluster begins with, at entry `index` (>= 1), which is above every
 * token ever given. It is the same on every issuer, so how long it holds off is the leader's policy.
 */
void lease_table_begin(struct lease_table *table, uint64_t index);

/* True while the word of `board` on tokens of `resource` does not count. */
bool lease_table_overruled(const struct lease_table *table, const struct hf_name *resource,
                           const struct hf_name *board);

/* Index of the record, or -1. */
int lease_table_find(const struct lease_table *table, const struct hf_name *resource);

/* Largest number of bytes that lease_table_encode() makes. */
size_t lease_table_encoded_max(void);

/* Serialises for a snapshot. Returns the number of bytes, 0 if `capacity` is too small. */
size_t lease_table_encode(const struct lease_table *table, uint8_t *out, size_t capacity);

/* Returns false, and leaves *table empty, if the bytes are no whole, valid table. */
bool lease_table_decode(struct lease_table *table, struct bytes bytes);

#endif
