/*
 * Raft for a handful of issuers, as a pure step function: event + now in, actions out.
 *
 * Purpose: elects a leader, replicates entries of opaque bytes, confirms leadership by quorum
 *   rounds that touch no disk, and keeps the log short by snapshots.
 * Owner: one struct raft, embedded by its owner (the replica), used by one thread.
 * Lifecycle: raft_init() from what the store recovered, then raft_step() for ever.
 * Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014); section numbers below are its.
 *
 * Checked at the end of every step (hf_panic()): applied up to commit, commit within the log, nothing
 * dropped that no snapshot covers; who leads has a say, and counts no entry of a peer beyond its log.
 *
 * Duties of the caller, after every raft_step(), in this order:
 *  1. Hand `persist`, if `persist.wanted`, to the store, in the order of `persist.seq`. The store
 *     completes batches in that order. It may merge several into one sync. The entries pointed to
 *     must be copied (or written) before the next raft_step().
 *  2. Send `messages`; none of them needs to wait for `persist`: a reply that depends on durable
 *     state is made by the RAFT_EVENT_PERSISTED that completes it. What `entries` and `chunk` point
 *     to is valid until the next raft_step(). Messages may be lost, delayed, repeated or reordered.
 *  3. If `restore` is set, replace the state machine by that snapshot, before applying anything.
 *  4. Apply the entries `apply_first`..`apply_last` (none if apply_last < apply_first), read by
 *     raft_entry_at(), each exactly once and in order, before the next raft_step().
 *  5. Take note of `role_changed`, `serving_began`, `confirmed_round`.
 *  6. Arm one timer for `wake_at` and step with RAFT_EVENT_TIMER when it is reached. Stepping early
 *     or late is safe.
 *  7. When a batch is on stable storage, step with RAFT_EVENT_PERSISTED. If it can't be written,
 *     step with RAFT_EVENT_STORE_FAILED, and never again report that or a later batch as persisted.
 *  8. When raft_wants_snapshot() says so, serialise the state machine as of the last applied entry
 *     and step with RAFT_EVENT_COMPACT at once. The bytes must stay unchanged until a later
 *     RAFT_EVENT_COMPACT or `restore` has replaced them: one buffer, overwritten for the next
 *     RAFT_EVENT_COMPACT, will do. They must not lie in config.snapshot_buffer.
 *  9. Step with RAFT_EVENT_PEER_DOWN when the connection to a peer breaks.
 * 10. Start it with recovered.standing RAFT_UNSURE if what is stored is the beginning of a new
 *     cluster and no batch with hard_state ever followed: a snapshot at index I of term I, the term
 *     I without a vote, no entries; I is the same on all issuers. Start it with RAFT_RECOVERING if
 *     what was stored is damaged, if it was stored with `recovering`, or if nothing is stored:
 *     nothing there is nothing known, and never a new cluster.
 *
 * Whose bytes a snapshot is: config.snapshot_buffer belongs to raft, which fills it chunk by chunk.
 *   An installed snapshot is served from there until the next one begins to arrive; from then on
 *   raft has none to serve, and asks for one by raft_wants_snapshot() should it lead and need it.
 *   So a snapshot that is partly received is never served, and the caller copies nothing. While an
 *   installed snapshot waits for the store, no chunk is accepted, so `persist.snapshot_bytes` and
 *   `restore_bytes` stay unchanged until their batch is reported RAFT_EVENT_PERSISTED.
 */
#ifndef HOLDFAST_CORE_RAFT_RAFT_H
#define HOLDFAST_CORE_RAFT_RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/name.h"

enum {
    RAFT_ENTRY_DATA_MAX = 320, /* bytes of an entry's payload */
    RAFT_LOG_MAX = 1024,       /* entries held in memory above the snapshot */
    /* entries kept below a snapshot for followers that lag a little */
    RAFT_TRAILING = 64,
    RAFT_COMPACT_AT = 512,      /* applied entries above the snapshot at which one is wanted */
    RAFT_APPEND_MAX = 16,       /* entries of one append message */
    RAFT_UNCOMMITTED_MAX = 256, /* uncommitted entries that a leader accepts */
    RAFT_INFLIGHT_MAX = 8,      /* append messages under way to one follower */
    RAFT_SNAPSHOT_CHUNK = 4096, /* bytes of one snapshot chunk */
    RAFT_MESSAGES_MAX = 64      /* messages out of one step */
};

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE, /* 9.6: asks whether an election could be won, without a new term */
    RAFT_CANDIDATE,
    RAFT_LEADER,
    RAFT_HALTED, /* the store failed: votes, answers and sends nothing any more */
    RAFT_ROLES
};

enum raft_entry_kind {
    RAFT_ENTRY_COMMAND, /* the owner's bytes */
    RAFT_ENTRY_NOOP,    /* a new leader's first entry (6.4) */
    RAFT_ENTRY_MEMBERS, /* a whole configuration (4.1), in effect from when it is in the log */
    RAFT_ENTRY_KINDS
};

struct raft_entry {
    uint64_t index; /* from 1 */
    uint64_t term;
    enum raft_entry_kind kind;
    uint16_t length; /* 0..RAFT_ENTRY_DATA_MAX */
    uint8_t data[RAFT_ENTRY_DATA_MAX];
};

struct raft_member {
    struct hf_name id;
    bool voter; /* false: a learner, which gets everything and counts for nothing (4.2.1) */
    char address[HF_ADDRESS_MAX + 1]; /* for the caller's network; may be empty */
};

struct raft_members {
    uint8_t count;
    struct raft_member member[HF_ISSUERS_MAX];
};

enum raft_message_kind {
    RAFT_VOTE_REQUEST,
    RAFT_VOTE_REPLY,
    RAFT_APPEND_REQUEST,
    RAFT_APPEND_REPLY,
    RAFT_HEARTBEAT,       /* also carries confirmation rounds */
    RAFT_HEARTBEAT_REPLY, /* from memory, never waits for a disk */
    RAFT_SNAPSHOT_REQUEST,
    RAFT_SNAPSHOT_REPLY,
    RAFT_TIMEOUT_NOW,   /* 3.10: the leader asks its successor to campaign at once */
    RAFT_RECOVER,       /* what an issuer without a memory asks all others */
    RAFT_RECOVER_REPLY, /* from memory, in any role but halted */
    RAFT_MESSAGE_KINDS
};

/* One flat message; each kind uses the fields named behind it, the others are zero. */
struct raft_message {
    enum raft_message_kind kind;
    struct hf_name from;
    struct hf_name to;
    uint64_t term; /* all kinds */

    bool pre;            /* vote request, vote reply: pre-vote */
    bool transfer;       /* vote request: bypasses stickiness, never the vote rule */
    bool voter;          /* vote request: the candidate votes in its own newest configuration */
    bool granted;        /* vote reply; recover reply: whoever asks voted for it in last_term */
    uint64_t last_index; /* vote request: of the candidate's log; recover reply */
    uint64_t last_term;  /* vote request; recover reply: last term in which whoever asks promised */

    uint64_t prev_index; /* append request; append reply: the prev_index that it answers */
    uint64_t prev_term;  /* append request */
    uint64_t commit;     /* append request, heartbeat: never above what the receiver verified */
    uint8_t entry_count; /* append request: 0..RAFT_APPEND_MAX */
    /* append request: entry_count consecutive entries; borrowed */
    const struct raft_entry *entries;

    bool success; /* append reply */
    /*
     * append reply: durable and verified up to here; append request, heartbeat: what the leader
     * counts of the receiver; recover reply: what whoever asks acknowledged in last_term
     */
    uint64_t match_index;
    /* append reply, refused: first index of the conflicting term; 0: a snapshot must come first */
    uint64_t hint_index;
    uint64_t hint_term; /* append reply, refused: 0 or the conflicting term (5.3) */

    uint64_t round; /* heartbeat and its reply: confirmation round, 0 = none */

    uint64_t snapshot_index; /* snapshot request and reply */
    uint64_t snapshot_term;  /* snapshot request */
    uint64_t offset;         /* snapshot request: of chunk; reply: the next offset wanted */
    uint64_t total;          /* snapshot request: bytes of the whole */
    const struct raft_members *members; /* snapshot request: as of snapshot_index; borrowed */
    struct bytes chunk;                 /* snapshot request: borrowed */
    bool installed;                     /* snapshot reply: durable and restored */

    /* append and snapshot reply: of one that recovers; for the flow only, it counts for nothing */
    bool recovering;
    /*
     * vote request: of this start of the candidate; append request: of the probe that this began
     * with; recover: of the question; replies: the same
     */
    uint64_t nonce;
    bool fresh; /* recover reply: it is as it was begun, at last_index */
    bool leads; /* recover reply: leads in `term`, and last_index is of its log */
    /*
     * append, snapshot and recover reply, recover: 0, or: the sender has no memory, since the start
     * that is named here
     */
    uint64_t life;
};

struct raft_config {
    struct hf_name self;
    struct span election;     /* base timeout E, 10..60000 ms; the timer is drawn from [E, 2E) */
    struct span heartbeat;    /* > 0, < election */
    uint64_t random_seed;     /* from outside; differs between nodes and starts */
    uint8_t *snapshot_buffer; /* receives a snapshot; owned by the caller for raft's lifetime */
    size_t snapshot_capacity; /* bytes */
};

/* Whether this node's memory is whole, so that it has a say: PROTOCOL.md, part 9. */
enum raft_standing {
    RAFT_WHOLE,
    /* what is stored says "new" and no more: the cluster is, or only this node's memory */
    RAFT_UNSURE,
    RAFT_RECOVERING, /* its log, term and vote were lost; it has no say till it is sure of them */
    RAFT_STANDINGS
};

/*
 * What the store recovered; everything zero but `members` and `standing` if there is nothing. With
 * RAFT_UNSURE: snapshot_index, snapshot_term and term are one number, and there is nothing else.
 */
struct raft_recovered {
    enum raft_standing standing;
    uint64_t term;
    struct hf_name vote; /* empty: none in `term` */
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct raft_members members;      /* of the snapshot, or the bootstrap configuration */
    struct bytes snapshot;            /* stays alive as in duty 8 */
    const struct raft_entry *entries; /* consecutive from snapshot_index + 1; copied */
    size_t entry_count;               /* 0..RAFT_LOG_MAX */
};

enum raft_event_kind {
    RAFT_EVENT_TIMER,
    /*
     * message: from a peer whose identity the caller has proven, and who is heard by raft_hears(),
     * or is of a newer configuration that the caller knows to be committed: PROTOCOL.md,
     * heard-if-maybe-member
     */
    RAFT_EVENT_MESSAGE,
    RAFT_EVENT_PROPOSE,      /* command: bytes for the log; leaders only */
    RAFT_EVENT_CONFIRM,      /* asks for a confirmation round that starts now or later */
    RAFT_EVENT_PERSISTED,    /* seq: this and all earlier batches are on stable storage */
    RAFT_EVENT_STORE_FAILED, /* the node halts */
    RAFT_EVENT_COMPACT,      /* snapshot: the state machine as of the last applied entry */
    RAFT_EVENT_TRANSFER,     /* peer: leader hands over to this voter (3.10) */
    RAFT_EVENT_MEMBERS,      /* change, peer, address: one change of the configuration (4.1) */
    RAFT_EVENT_PEER_DOWN,    /* peer: its connection broke; what was in flight is lost */
    RAFT_EVENT_KINDS
};

enum raft_change {
    RAFT_CHANGE_ADD,     /* peer, address: a new learner */
    RAFT_CHANGE_PROMOTE, /* peer: a learner that has caught up becomes a voter */
    RAFT_CHANGE_REMOVE,  /* peer: voter or learner; a leader that removes itself goes at the end */
    RAFT_CHANGES
};

struct raft_event {
    enum raft_event_kind kind;
    const struct raft_message *message;
    struct bytes command; /* 1..RAFT_ENTRY_DATA_MAX bytes */
    uint64_t seq;
    struct bytes snapshot;
    struct hf_name peer;
    enum raft_change change;
    const char *address; /* terminated, at most HF_ADDRESS_MAX characters */
};

/* A batch for the store: one atomic append, in the order of the fields. */
struct raft_persist {
    bool wanted;
    uint64_t seq; /* strictly increasing from 1 within one start */
    bool hard_state;
    uint64_t term;
    struct hf_name vote;
    bool recovering; /* hard_state: this node has no say until a later one without it */
    bool begun;      /* hard_state: of a new cluster; never by raft, see RAFT_UNSURE */
    bool forget;     /* before all else: nothing is stored here but the members; with hard_state */
    /* replaces everything up to snapshot_index; later entries follow if they match */
    bool snapshot;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct raft_members members;
    struct bytes snapshot_bytes;
    bool keep_log;          /* with snapshot: entries above snapshot_index stay as they are */
    uint64_t truncate_from; /* 0, or: entries from this index on are void */
    /* entries first_index..last_index, by raft_entry_at(); none if first > last */
    uint64_t first_index;
    uint64_t last_index;
};

enum raft_refusal {
    RAFT_ACCEPTED,
    RAFT_NOT_LEADER,
    RAFT_TRANSFERRING, /* a transfer is under way */
    RAFT_LOG_FULL,     /* too many uncommitted entries: a majority does not keep up */
    RAFT_STORE_BEHIND, /* no room before a snapshot: this node's own store does not keep up */
    RAFT_BAD_TARGET,   /* a transfer to no voter, to itself, or to one that recovers */
    /* of a change of members */
    RAFT_CHANGE_PENDING, /* the one before is not committed yet */
    RAFT_MEMBER_KNOWN,   /* add: it is a member; promote: it is a voter */
    RAFT_MEMBER_UNKNOWN, /* promote, remove: it is no member */
    RAFT_MEMBER_BEHIND,  /* promote: it has not caught up */
    RAFT_MEMBER_LAST,    /* remove: nobody would be left to vote */
    RAFT_MEMBERS_FULL,   /* add: there are HF_ISSUERS_MAX */
    RAFT_MEMBERS_LONG,   /* names and addresses together fit no entry */
    RAFT_MEMBERS_DOWN,   /* too few of the voters that would be are in contact */
    RAFT_REFUSALS
};

struct raft_output {
    struct raft_persist persist;
    size_t message_count;
    struct raft_message messages[RAFT_MESSAGES_MAX];
    bool restore; /* load restore_bytes into the state machine, which is then at restore_index */
    uint64_t restore_index;
    struct bytes restore_bytes;
    uint64_t apply_first; /* apply_last < apply_first: nothing to apply */
    uint64_t apply_last;
    bool role_changed;        /* role, term or known leader differ from before the step */
    bool standing_changed;    /* raft_standing() differs from before the step */
    bool members_changed;     /* raft.members differs from before the step */
    bool serving_began;       /* leader, and its own no-op is among what is applied now */
    struct hf_name forgetful; /* leader: empty, or a peer that turned out to have lost its memory */
    uint64_t confirmed_round; /* 0, or: all confirmations up to this round hold */
    enum raft_refusal refusal; /* of PROPOSE, CONFIRM, TRANSFER, MEMBERS */
    uint64_t proposed_index;   /* of an accepted PROPOSE or MEMBERS */
    uint64_t requested_round;  /* of an accepted CONFIRM: wait for confirmed_round >= this */
    struct instant wake_at;
};

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT, RAFT_PROGRESS_STATES };

/* What a leader or candidate knows of one peer. */
struct raft_progress {
    enum raft_progress_state state;
    uint64_t match;
    uint64_t next;
    uint8_t inflight; /* append messages sent and not answered, while replicating */
    uint64_t inflight_last[RAFT_INFLIGHT_MAX]; /* last index of each, oldest first */
    bool paused;             /* probe: one message out, waits for its reply or the next heartbeat */
    uint64_t snapshot_index; /* snapshot: the one being sent, 0 = not begun */
    uint64_t snapshot_offset; /* snapshot: of the chunk that it wants next */
    struct instant resend_at; /* replicate: unanswered until then is lost; snapshot: next chunk */
    struct instant last_contact; /* last message received from it in this term */
    uint64_t confirmed_round;    /* greatest round that it acknowledged in this term */
    bool vote_granted;
    bool vote_refused;
    bool down;       /* nothing was heard in this term yet, or not since its connection broke */
    bool recovering; /* it has no memory: `match` is for the flow only and counts as 0 */
    uint64_t life;   /* 0, or: recovering, and since which start of it */
    uint64_t nonce;  /* of the probe that the present flow began with: other answers end no probe */
};

/* What one other issuer answered to this node's present question. */
struct raft_answer {
    struct hf_name id; /* empty: nobody's */
    bool answered;     /* this question */
    bool whole;        /* and has a memory */
    bool fresh;        /* and that is as new as this node's own */
    uint64_t apart;    /* 0, or: it is new, but was begun at this index, which is not ours */
    uint64_t life;     /* 0, or: it was known to have no memory before the question was asked */
};

/*
 * The last that another issuer promised to this one, in this start of ours. All of it was on the
 * other's stable storage before it was said.
 */
struct raft_promise {
    struct hf_name id; /* empty: nobody's */
    uint64_t term;
    uint64_t match; /* acknowledged up to here in `term` */
    bool vote;      /* gave its vote in `term` */
};

/* How a node found out that its memory is not what it was; all 0: it was told, or did not. */
struct raft_loss {
    struct hf_name told_by;
    uint64_t term;  /* in which it promised */
    uint64_t match; /* what it acknowledged in it */
    uint64_t has_term;
    uint64_t has_last; /* index of its last entry */
};

struct raft_recovery {
    enum raft_standing standing;
    bool mark_due;     /* the store must have it that this node recovers */
    uint64_t mark_seq; /* and has it once this is durable */
    bool ending;       /* it has all that it needs; true memory once end_seq is durable */
    uint64_t end_seq;
    uint64_t born;     /* index and term of what a new cluster began with; 0: not known */
    uint64_t unproven; /* 0, or: what is stored up to here may be of no history but this node's */
    uint64_t nonce;    /* of the present question */
    struct raft_answer answer[HF_ISSUERS_MAX];
    uint64_t leader_term; /* a leader of this term answered, 0: none yet */
    uint64_t leader_last; /* its last index at that moment */
    struct instant ask_at;
    struct raft_loss loss;
};

struct raft {
    struct raft_config config;
    struct raft_members members; /* in effect: the last in the log, committed or not (4.1) */
    uint64_t members_index;      /* of its entry; below first_index if that is in no log */
    struct raft_members base;    /* as of first_index - 1 */
    uint64_t random;
    uint64_t life; /* random, of this start; never 0 */
    struct raft_recovery recovery;

    enum raft_role role;
    uint64_t term;
    struct hf_name vote;
    struct hf_name leader; /* empty: unknown */

    /* Entry i lives in ring[i % RAFT_LOG_MAX], for first..last. */
    struct raft_entry ring[RAFT_LOG_MAX];
    /* persist batch that carries the entry: stale completions miss */
    uint64_t ring_seq[RAFT_LOG_MAX];
    uint64_t first_index;
    uint64_t last_index; /* first_index - 1 if the log is empty */
    uint64_t prev_term;  /* term of entry first_index - 1 */

    /* The snapshot that is served to others; never one that is only partly received. */
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct raft_members snapshot_members; /* as of snapshot_index */
    struct bytes snapshot; /* data NULL: not at hand, raft_wants_snapshot() asks if one is needed */
    uint64_t snapshot_durable; /* index of the newest snapshot on stable storage */

    uint64_t commit;
    uint64_t applied;
    uint64_t verified; /* matches the leader of this term up to here; >= commit once installed */

    uint64_t next_seq;         /* of the next persist batch */
    uint64_t persisted_seq;    /* all batches up to here are on stable storage */
    uint64_t hard_seq;         /* the batch that carries the present term and vote */
    bool vote_for_self;        /* candidate: its own vote, and its requests, wait for hard_seq */
    bool vote_split;           /* candidate: refused in this term; its next try is drawn sooner */
    bool campaign_transfer;    /* candidate: campaigns because the leader said so */
    struct instant vote_since; /* candidate: its own vote was handed to the store then */
    struct instant patient_until; /* candidate: asks again till then, in its term */
    uint8_t silent_elections;     /* stood in so many in a row that too few answered in time */
    struct hf_name vote_reply_to; /* empty, or: this grant waits for hard_seq */
    uint64_t vote_reply_nonce;    /* of the request that it answers */
    struct instant vote_asked;    /* `vote` asked last for the vote that it has, or gets */
    bool append_reply_due;
    /* prev_index of the append request that the next reply answers */
    uint64_t append_reply_prev;
    uint64_t append_reply_nonce;   /* and its nonce */
    uint64_t append_acknowledged;  /* match index of the last append reply in this term */
    uint64_t snapshot_reply_index; /* 0, or: `installed` is due once this index is durable */

    /* Receiving a snapshot: bytes of it in config.snapshot_buffer so far. */
    uint64_t receiving_index; /* 0: none */
    uint64_t receiving_term;
    uint64_t receiving_total;
    uint64_t receiving_bytes;
    uint64_t install_seq; /* 0, or: the batch that an installed snapshot waits for */
    uint64_t compact_seq; /* 0, or: the batch that an own snapshot waits for */
    uint64_t compact_index;

    struct instant election_at;
    struct instant heartbeat_at;
    struct instant leader_contact; /* last valid message of `leader` */

    uint64_t noop_index;           /* leader: of its own-term no-op */
    uint64_t unsynced_index;       /* leader: 0, or: the oldest entry that its own store lacks */
    struct instant unsynced_since; /* and since when that is the oldest */
    bool serving;                  /* leader: the no-op is applied */
    uint64_t round; /* leader: last round started; monotonic across terms in this start */
    uint64_t round_confirmed;
    bool round_wanted;          /* somebody waits for round + 1 */
    struct hf_name transfer_to; /* empty: no transfer under way */
    bool transfer_sent;         /* the target was told to campaign */
    struct instant transfer_until;
    struct raft_progress progress[HF_ISSUERS_MAX]; /* by position in members */
    struct raft_promise promise[HF_ISSUERS_MAX];
};

/*
 * Starts as a follower. `now` starts the election timer. Recovered entries count as durable; the
 * state machine is expected to be at recovered->snapshot already, which is never sent to `restore`.
 * Both structs are copied, but for the bytes that their fields borrow.
 */
void raft_init(struct raft *raft, const struct raft_config *config,
               const struct raft_recovered *recovered, struct instant now);

/*
 * One event. `out` is overwritten (of `messages`, only the first message_count). Never blocks.
 * Illegal transitions end in hf_panic(); no message from a peer can cause one.
 * PROPOSE, CONFIRM and MEMBERS are refused with RAFT_NOT_LEADER until the leader serves, that is
 * until its own no-op is applied. What was accepted may still be lost with the leadership.
 */
void raft_step(struct raft *raft, const struct raft_event *event, struct instant now,
               struct raft_output *out);

/* Entry at index, or NULL if it is not in memory. Valid until the next raft_step(). */
const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index);

/* Term of the entry at index; 0 if unknown. */
uint64_t raft_term_at(const struct raft *raft, uint64_t index);

/* Last index that is on this node's stable storage; 0 while a snapshot is being installed. */
uint64_t raft_durable_index(const struct raft *raft);

/*
 * True when RAFT_COMPACT_AT entries are applied above the last snapshot, or a follower needs a
 * snapshot and none is at hand, and none is under way.
 */
bool raft_wants_snapshot(const struct raft *raft);

/* Number of voters, and how many make a majority of them. */
uint8_t raft_voter_count(const struct raft_members *members);
uint8_t raft_quorum(const struct raft_members *members);

/*
 * Configuration <-> bytes of a RAFT_ENTRY_MEMBERS entry or a journal record, in the published format.
 * Return 0 if `capacity` is too small, false if the bytes are none that somebody can vote in.
 */
size_t raft_members_encode(const struct raft_members *members, uint8_t *out, size_t capacity);
bool raft_members_decode(struct raft_members *members, struct bytes bytes);

/*
 * Whether a change that is asked for now would be accepted, and if not, why. PROPOSE's refusals
 * count as well. `event` is a RAFT_EVENT_MEMBERS.
 */
enum raft_refusal raft_judge_change(const struct raft *raft, const struct raft_event *event,
                                    struct instant now);

/* True while the configuration in effect is not committed. */
bool raft_change_pending(const struct raft *raft);

/*
 * Whether messages of `id` are to be heard: it is in a configuration that, as far as this node
 * knows, may be the committed one, from the last that it knows to be committed to the newest, or it
 * is the known leader. Pure; for callers' gates.
 */
bool raft_hears(const struct raft *raft, const struct hf_name *id);

/* Position of id in members, or -1. */
int raft_member_index(const struct raft_members *members, const struct hf_name *id);

/* True if a leader heard a majority (with itself) within the election timeout, by `now`. */
bool raft_has_quorum(const struct raft *raft, struct instant now);

const char *raft_role_name(enum raft_role role);

/* Whether this node has a say; changes with raft_output.standing_changed only. */
enum raft_standing raft_standing(const struct raft *raft);

const char *raft_standing_name(enum raft_standing standing);

/*
 * Of a node that is not whole: whom it waits for, by n from 0; NULL when there is no n-th one. None
 * at all: it waits for the log of a leader.
 */
const struct hf_name *raft_recover_waits_for(const struct raft *raft, size_t n);

/*
 * Of a node that is unsure: who is as new, but was begun at another index, by n from 0; NULL when
 * there is no n-th one. Such a cluster never starts: one of them must be begun again.
 */
const struct hf_name *raft_recover_begun_apart(const struct raft *raft, size_t n, uint64_t *index);

#endif
