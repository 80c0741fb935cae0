/*
 * The oracles: what must hold in every run, judged from true time, from messages and from lines.
 *
 * Purpose: they share no decision with the code that they judge. Of a core object they read only
 *   what it shows to the world: its term, its applied entries and table, the guard's state and
 *   token (as in the lease page).
 * Owner: one world. A broken claim ends in world_fail().
 */
#ifndef HOLDFAST_TESTS_SIM_ORACLE_H
#define HOLDFAST_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "guard/guard.h"
#include "lease/holder.h"
#include "lease/lease_message.h"
#include "lease/replica.h"
#include "lease/table.h"
#include "raft/raft.h"
#include "tests/sim/settings.h"

struct world;

enum oracle_kind {
    ORACLE_NONE,
    ORACLE_S1,    /* one driver */
    ORACLE_S2,    /* tokens rise */
    ORACLE_S3,    /* nothing acknowledged is lost */
    ORACLE_S4,    /* no stale renewal */
    ORACLE_S5,    /* safe by default */
    ORACLE_L1,    /* driven again within the bound */
    ORACLE_L2,    /* losing the leader costs nothing */
    ORACLE_LOG,   /* same index, same command, same table */
    ORACLE_VOTE,  /* one vote per term, durable before it is said; one leader per term */
    ORACLE_DISK,  /* what was durable is recovered */
    ORACLE_PANIC, /* a check of the core itself */
    ORACLE_KINDS
};

enum {
    ORACLE_LOG_MAX = 1 << 15,
    ORACLE_TERMS_MAX = 1 << 15,
    ORACLE_RENEWALS = 256,     /* per board */
    ORACLE_TERM_CHANGES = 128, /* per issuer */
    ORACLE_PROMISES = 64,
    ORACLE_NOBODY = -1
};

struct oracle_lease {
    int holder; /* board, or ORACLE_NOBODY */
    uint64_t token;
    int64_t ttl_us;
    int64_t fence_us;
    bool abandoned;
    int32_t priority; /* of the holder, as granted */
    bool ranked;
    bool transferred;
    int payer; /* when free: of the next grant, a board and one; 0: none */
};

/* One committed entry, as the first issuer that applied it had it. */
struct oracle_entry {
    uint64_t hash; /* of term, kind and bytes */
    uint64_t term;
    struct oracle_lease lease[SIM_RESOURCES_MAX]; /* after it */
    /* If it is a grant that took effect: */
    bool grant;
    int resource;
    int board;
    uint64_t ended_index; /* 0: the token is current */
    int64_t ended_us;     /* first applied anywhere */
};

struct oracle_pin {
    bool pinned;
    int board;
};

/* Of one resource; a bit per board. */
struct oracle_stuck {
    unsigned rows;   /* the table's list */
    unsigned let_go; /* of them */
    /* An operator cleared the fault there, since its last row ended, or it last drove. */
    unsigned cleared;
    unsigned cleared_again; /* of `cleared`: another fault of it, before that row ended */
    unsigned noted;         /* the board was told so, and no operator's act has ended it */
    unsigned go_for; /* an operator said go for them, with their rows in the leader's table */
};

struct oracle_renewal {
    uint64_t nonce;
    uint32_t life; /* of the agent */
    int64_t sent_us;
    int64_t received_us[SIM_ISSUERS_MAX]; /* first time, by this life of the issuer; 0: never */
    uint32_t received_life[SIM_ISSUERS_MAX];
};

/* From `us` on the issuer was up in `term`, or down. */
struct oracle_term {
    int64_t us;
    uint64_t term;
    bool up;
};

/* A log as a disk has it. */
struct oracle_disk_log {
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint64_t last;
};

struct oracle_disk {
    struct oracle_disk_log log; /* synced */
    uint64_t *term;             /* ORACLE_LOG_MAX; of each entry of it */
    uint64_t changed_from;      /* lowest index that batches not taken yet change */
    bool flying;                /* a flush is under way; what it makes of the log: */
    uint64_t flying_from;
    struct oracle_disk_log flying_log;
    uint64_t *flying_term; /* ORACLE_LOG_MAX; from flying_from on */
};

struct oracle_issuer {
    uint64_t applied;
    bool serving;
    uint64_t serving_term;
    uint32_t change_count;
    struct oracle_term change[ORACLE_TERM_CHANGES];
    uint64_t durable_term;
    struct hf_name durable_vote;
    struct oracle_disk disk;
    /* Its disk was damaged, and it has not shown yet that it knows enough to have a say. */
    bool forgetful;
    bool put_back;      /* its card was, and it has not found out yet */
    bool found_out;     /* it has, and nobody was told: a death may make it forget that */
    bool whole;         /* so it took itself to be when it last ran */
    uint64_t lost_term; /* what its disk had: promises of then may still be on their way */
    struct hf_name lost_vote;
    uint64_t lost_last;
    uint64_t lost_last_term;
    uint64_t applied_then;          /* last entry that anybody had applied */
    bool answered[SIM_ISSUERS_MAX]; /* since then, from memory */
    bool excused[SIM_ISSUERS_MAX];  /* said that it has none either */
    uint64_t answered_term;         /* the greatest */
    int64_t first_answer_us;        /* 0: none yet */
    bool by_snapshot;
    /* Of the latest answer to a heartbeat that came in from there. */
    int64_t reply_sent_us[SIM_ISSUERS_MAX];
    uint64_t reply_term[SIM_ISSUERS_MAX];
    /* To whom it is to hand over the lead, and has not told it; empty: to nobody. */
    struct hf_name hand_over;
    enum issuer_transfer_state transfer[SIM_RESOURCES_MAX]; /* as it last said */
    /* Of the newest word of the board, by this life of its agent. */
    uint64_t word_nonce[SIM_BOARDS_MAX];
    uint32_t word_life[SIM_BOARDS_MAX];
    uint64_t split_term; /* in which it was first refused a vote at split_us; 0: none */
    int64_t split_us;
};

/* Since when a readback was seen to disagree with the guard's state. */
struct oracle_doubt {
    bool open;
    enum guard_state state;
    int64_t since_us;
};

/* A fault that a guard latched, until an operator clears it. */
struct oracle_latch {
    bool was_on;        /* with an output on, */
    uint32_t boot;      /* in this start of its machine first */
    bool reset;         /* its watchdog has reset the board for it since */
    bool reset_before;  /* the same of the one that an operator tries to clear */
    int64_t on_us;      /* the guard was last seen to have a cause for that then, */
    int64_t on_from_us; /* and all the time since; 0: it is off */
    bool durable;       /* the guard was told that it is on the disk */
    bool over;          /* the resource was safe since */
};

struct oracle_board {
    struct oracle_renewal renewal[ORACLE_RENEWALS];
    uint64_t confirmed_token[SIM_RESOURCES_MAX];
    int64_t confirmed_sent_us[SIM_RESOURCES_MAX]; /* the newest renewal that confirmed it */
    uint64_t released_token[SIM_RESOURCES_MAX];   /* highest that its agent ever gave up */
    int64_t deadline_us[SIM_RESOURCES_MAX];       /* true: sent + ttl, of that token */
    uint64_t driven_token[SIM_RESOURCES_MAX];     /* of the last rising edge */
    int64_t driven_deadline_us[SIM_RESOURCES_MAX];
    struct oracle_doubt doubt[SIM_RESOURCES_MAX];
    struct oracle_latch latch[SIM_RESOURCES_MAX];
    /* As its agent was told by its guard: in a fault, with a readback on, since then; 0: it is not. */
    int64_t told_on_us[SIM_RESOURCES_MAX];
    bool told_stuck[SIM_RESOURCES_MAX]; /* and the fault is an output stuck on */
    bool says_stuck[SIM_RESOURCES_MAX]; /* its agent does */
};

struct oracle_change {
    int issuer;
    uint64_t term;
    uint64_t index;
};

/* What an operator was told of an act. */
struct oracle_told {
    struct replica_act act;
    bool done; /* else: that it will never be */
};

struct oracle_drive {
    uint64_t token;
    int board;
    int64_t dead_us; /* the board that drove was killed for good then; 0: no */
    int64_t bound_us;
};

struct oracle {
    struct oracle_entry *entry; /* ORACLE_LOG_MAX; index 0 is the empty log */
    uint64_t last;
    struct oracle_pin pin[SIM_RESOURCES_MAX];
    struct oracle_stuck stuck[SIM_RESOURCES_MAX];
    unsigned transfer_asked[SIM_RESOURCES_MAX]; /* by an operator, ever: a bit per board */
    uint64_t *acknowledged; /* by term: highest index that an answer in it stands on */
    int8_t *leader;         /* by term: who led, -1: nobody yet */
    struct oracle_issuer issuer[SIM_ISSUERS_MAX];
    struct oracle_board board[SIM_BOARDS_MAX];
    struct oracle_drive drive[SIM_RESOURCES_MAX];
    struct raft_members members; /* as of `last` */
    uint64_t members_index;
    struct oracle_change change; /* the last that an operator asked for; index 0: none waits */
    size_t promise_count;        /* of what was said about entries that nobody had applied yet */
    struct oracle_told promise[ORACLE_PROMISES];
    uint64_t quiet_index;  /* applied somewhere when the faults ended; 0: they go on */
    bool no_drop;          /* L2 is in force */
    uint64_t kill_term;    /* of the leader that was killed last */
    uint64_t steady_term;  /* nobody may leave it; 0: everybody may */
    int64_t elected_by_us; /* by then slow disks must have elected a leader; 0: none died so */
};

const char *oracle_name(enum oracle_kind kind);
void oracle_init(struct world *world);

/* oracle_log.c: after every step of an issuer, and after its start */
void oracle_applied(struct world *world, int issuer);
void oracle_compacted(struct world *world, int issuer);
/*
 * All disks were lost, and every issuer has this table now. What was acknowledged after the backup
 * is lost, and the operator knows it; tokens and lines are judged on.
 */
/* It forgot, and has what somebody began there. */
void oracle_begun_by_mistake(struct world *world, int issuer,
                             const struct raft_recovered *recovered);
/* What an issuer's new journal says: a log up to `index`, and a term. */
void oracle_issuer_begun(struct world *world, int issuer, uint64_t index, uint64_t term);
/* The log goes on behind `index`, with every resource free. */
void oracle_log_begun(struct world *world, uint64_t index);
/* Somebody began with too low a number: tokens of before say nothing of those to come. */
void oracle_tokens_begin_again(struct world *world);
void oracle_restored(struct world *world, uint64_t index, uint64_t term,
                     const struct lease_table *table);
/* An operator's change of members was accepted as this entry: under way until it is committed. */
void oracle_change_asked(struct world *world, int issuer, uint64_t index);
/* An answer stands on this entry: whoever leads in the issuer's term or later has it. */
void oracle_acknowledge(struct world *world, int issuer, uint64_t index);
/* A message of an issuer to a board, as it is sent. */
void oracle_issuer_says(struct world *world, int issuer, int board,
                        const struct lease_message *message);

/* oracle_acts.c: what operators are told of their acts: done, or never to be done */
void oracle_act_told(struct world *world, int issuer, const struct replica_act *act, bool done);
/* The entry is applied for the first time. */
void oracle_act_entry(struct world *world, const struct raft_entry *entry);
/* The run is over. */
void oracle_check_acts(struct world *world);
/* All was lost and restored: what was said before counts no more. */
void oracle_acts_restored(struct world *world);

/* oracle_round.c */
/* An operator who asked then, when `index` was applied somewhere, is told that what he reads is so. */
void oracle_read(struct world *world, int issuer, int64_t asked_us, uint64_t index);
void oracle_term(struct world *world, int issuer);
void oracle_raft_sent(struct world *world, const struct raft_message *message);
void oracle_raft_arrived(struct world *world, int issuer, const struct raft_message *message,
                         int64_t sent_us);
/* Whoever was cut off for long knows that he leads no more. */
void oracle_check_one_leads(struct world *world);
void oracle_durable(struct world *world, int issuer, uint64_t term, const struct hf_name *vote);
void oracle_recovered(struct world *world, int issuer, const struct raft_recovered *recovered);
void oracle_renewal_sent(struct world *world, int board, const struct lease_message *message);
/* A release, as the agent sends it. */
void oracle_release_sent(struct world *world, int board, const struct lease_message *message);
void oracle_renewal_arrived(struct world *world, int issuer, int board,
                            const struct lease_message *message);
void oracle_renewed(struct world *world, int issuer, int board,
                    const struct lease_message *message);

/* oracle_issuer.c: hand-overs, and votes that are split */
/* Before a step, and after it. */
void oracle_issuer_steps(struct world *world, int issuer);
void oracle_issuer_stepped(struct world *world, int issuer, const struct replica_event *event,
                           const struct replica_output *out);
/* A new life. */
void oracle_issuer_starts(struct world *world, int issuer);

/* oracle_disk.c: batches on their way to the disk, and who relies on them */
void oracle_disk_appended(struct world *world, int issuer, const struct raft_persist *batch);
void oracle_disk_taken(struct world *world, int issuer);
void oracle_disk_synced(struct world *world, int issuer);
void oracle_disk_recovered(struct world *world, int issuer, const struct raft_recovered *recovered);
/* Its log is this one from now on. */
void oracle_disk_put_back(struct world *world, int issuer, const struct raft_recovered *recovered);
void oracle_disk_said(struct world *world, const struct raft_message *message);
/* The issuer is the first that applies this entry. */
/* Its disk was damaged: what it had is lost. */
void oracle_disk_forgets(struct world *world, int issuer);
void oracle_disk_committed(struct world *world, int issuer, const struct raft_entry *entry);

/* oracle_memory.c */
/* The issuer starts, and its disk was damaged: it may forget, and has no say till it has recovered. */
void oracle_forgets(struct world *world, int issuer);
/* It starts from a card that was put back: it has lost what it had since, and may not know yet. */
void oracle_put_back(struct world *world, int issuer, const struct raft_recovered *recovered);
/* It knows now: it has no say till it has recovered. */
void oracle_finds_out(struct world *world, int issuer);
/* It is neither forgetful nor new. */
bool oracle_remembers(const struct world *world, int issuer);
/* After every step. */
void oracle_memory(struct world *world, int issuer);
void oracle_snapshot_installed(struct world *world, int issuer);
void oracle_memory_sent(struct world *world, const struct raft_message *message);
void oracle_memory_arrived(struct world *world, int issuer, const struct raft_message *message);

/* oracle_members.c: a batch of entries, as the issuer hands it to its disk */
void oracle_members_appended(struct world *world, int issuer, const struct raft_persist *batch);

/* oracle_line.c */
/* The agent received an answer: a deadline in true time follows. */
void oracle_answer(struct world *world, int board, const struct lease_message *message);
/* A rising edge of the line, now. */
void oracle_edge(struct world *world, int board, int resource);
/* Every resource is driven now. */
void oracle_check_driven(struct world *world);
/* The driving board died now: somebody else must drive by `bound_us`. */
void oracle_board_died(struct world *world, int resource, int64_t bound_us);
/* The run is over: every issuer has what any of them had when the faults ended. */
void oracle_check_level(struct world *world);
/* A takeover that is overdue fails here. */
void oracle_check_bounds(struct world *world);

/* oracle_stuck.c */
void oracle_model_stuck(struct world *world, const struct lease_command *command, int resource);
void oracle_model_clear(struct world *world, const struct lease_command *command, int resource);
/* A grant that took effect: what is stuck from now on is another fault. */
void oracle_model_granted(struct world *world, const struct lease_command *command, int resource);
/* The model of the table: this grant does nothing, as an output is stuck on. */
bool oracle_model_held(struct world *world, uint64_t index, const struct lease_command *command,
                       int resource);
/* This grant takes effect. */
void oracle_granted(struct world *world, uint64_t index, int resource);
void oracle_noted(struct world *world, int issuer, int board, const struct lease_message *message);
/* The board's line goes on. */
void oracle_stuck_drives(struct world *world, int resource, int board);
/* An operator cleared the fault at this board. */
void oracle_said_clear(struct world *world, int resource, int board);
/* An operator's word that lets the resource go, whatever that board's output does, was taken. */
void oracle_said_go(struct world *world, int resource, int board, int issuer);
/* A board's word on an output arrives, and was taken by the issuer. */
bool oracle_word_is_news(struct world *world, int issuer, int board,
                         const struct lease_message *message);
void oracle_word_taken(struct world *world, int issuer, int board,
                       const struct lease_message *message);
/* The agent hears of its guard, and has made of it what it says; or it starts. */
void oracle_guard_told(struct world *world, int board, const struct guard_message *status);
void oracle_agent_says(struct world *world, int board, const struct holder *holder);
void oracle_agent_starts(struct world *world, int board);
void oracle_compare_stuck(struct world *world, int issuer, const struct lease_table *table);
void oracle_restore_stuck(struct world *world, const struct lease_table *table);

/* oracle_failback.c */
/* An operator's transfer to this board was accepted. */
void oracle_transfer_asked(struct world *world, int resource, int board);
void oracle_yield(struct world *world, int issuer, const struct lease_message *message);
/* The run is over: what failback is to bring home is there, if its board is well. */
/* The leader makes this board wait for its budget. */
bool oracle_held_back(const struct world *world, int board);
void oracle_check_failback(struct world *world);

/* oracle_guard.c */

/* A plain output goes off now. */
void oracle_fall(struct world *world, int board, int resource);
/* No plain output is on longer than its fence latency allows. */
void oracle_check_fences(struct world *world);
void oracle_release_begins(struct world *world, int board, const struct holder *holder,
                           const struct hf_name *name);
void oracle_status(struct world *world, int board, int resource,
                   const struct guard_message *status);
void oracle_fed(struct world *world, int board);
void oracle_guard_changed(struct world *world, int board, const struct guard_change *change);
void oracle_guard_started(struct world *world, int board);
/* The guard was told that what it is in is on the disk. */
void oracle_recorded(struct world *world, int board);
/* The guard has read what was kept: no less than what was durable, and nothing that was over. */
void oracle_guard_opened(struct world *world, int board);
/* In the fault that it is in, an output was on in an earlier start of the board. */
bool oracle_was_reset(const struct world *world, int board, int resource);
/* The guard's turn has ended: a readback that disagrees does so for a short time only. */
void oracle_turn_ended(struct world *world, int board);
/* How long a readback may disagree with what the guard wants, before that must be a fault. */
int64_t oracle_notice_us(const struct world *world, int board);
/* The guard was stepped at an instant before that of its last step. */
void oracle_clock_went_back(struct world *world, int board);
/* The board's raw clock stood since then, and goes on now. */
void oracle_clock_stood(struct world *world, int board, int64_t since_us);
/* A client of the board was told, rightly as far as the board knows, that the resource is its. */
void oracle_client_told(struct world *world, int board, int resource);
/* The board releases: what it says to be off is off. */
void oracle_released(struct world *world, int board, const struct lease_message *message);

/* oracle_cause.c */
/* A change of the guard's, which has a cause. */
void oracle_guard_dropped(struct world *world, int board, const struct guard_change *change);
/*
 * The watchdog resets the board now: that is not well, or has a fault that was latched since the last
 * reset, with an output that may be on.
 */
void oracle_bitten(struct world *world, int board);
/* The guard's turn has ended: its watchdog was fed, and not long ago. */
void oracle_check_heartbeat(struct world *world, int board);
struct sim_connection;
/* The guard closes a connection. */
void oracle_guard_hangs_up(struct world *world, int board, const struct sim_connection *connection);
void oracle_guard_accepted(struct world *world, int board);
/* The guard's turn has ended: what drives has an agent, and that one is answered. */
void oracle_check_agent(struct world *world, int board);
/* And what could not be read in it is a fault now: a bit per resource. */
void oracle_check_failed(struct world *world, int board, unsigned failed);
/* By a guard that was asked to end. */
void oracle_watchdog_stopped(struct world *world, int board);
void oracle_fed_late(struct world *world, int board);

#endif
