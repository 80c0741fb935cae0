/*
 * The simulated world: issuers, boards, network, disks and clocks, all of it decided by one seed.
 *
 * Purpose: runs the unchanged core objects (replica, holder, guard, wire codec) and the journal
 *   under faults, in simulated time, on one thread.
 * Owner: run.c makes one world per seed and throws it away. True time is in microseconds from 0.
 * Rules: nothing in here reads a clock, a file or an address; the same seed replays exactly.
 *   Nodes are numbered: issuers first, then boards. Faults end at the plan's `quiet_us`.
 */
#ifndef HOLDFAST_TESTS_SIM_SIM_H
#define HOLDFAST_TESTS_SIM_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "guard/guard.h"
#include "issuer/issuer_shell.h"
#include "lease/holder.h"
#include "lease/replica.h"
#include "peer/peer.h"
#include "store/journal.h"
#include "tests/sim/coverage.h"
#include "tests/sim/guard.h"
#include "tests/sim/log.h"
#include "tests/sim/loop.h"
#include "tests/sim/oracle.h"
#include "tests/sim/queue.h"
#include "tests/sim/random.h"
#include "tests/sim/scenario.h"
#include "tests/sim/settings.h"
#include "tests/sim/trace.h"
#include "wire/wire.h"

/* ---- clocks */

/* A raw monotonic clock: local = local_base + (true - true_base) * (1 + ppm/1e6). */
struct skewed_clock {
    int64_t true_base_us;
    int64_t local_base_us;
    int32_t ppm;
    bool stands;
};

struct machine_clock {
    struct skewed_clock raw;
    struct skewed_clock monotonic;
    int32_t slew_ppm; /* of MONOTONIC against RAW */
    int64_t slept_us; /* BOOTTIME - MONOTONIC */
};

/* ---- disk: what the process sees, and what a power cut would leave */

struct disk_operation {
    bool sync; /* else a write */
    int slot;
    uint64_t offset;
    size_t length;
    uint8_t *data; /* owned */
};

struct sim_disk {
    struct world *world;
    struct random *random;
    uint8_t *cache[DISK_SLOTS];
    uint8_t *stable[DISK_SLOTS];
    uint64_t size[DISK_SLOTS];
    size_t *used[DISK_SLOTS]; /* highest byte ever written */
    size_t count;             /* operations that are not on stable storage for certain */
    size_t begun;             /* of them, those of an earlier life: done, but not stable */
    struct disk_operation operation[SIM_DISK_OPERATIONS_MAX];
    int sync_error; /* errno of every sync from now on */
    int64_t slow_until_us;
    int64_t slow_us; /* each flush until then takes so long; 0: some time */
    int64_t hung_from_us;
    int64_t hung_until_us; /* no flush ends before that */
};

/* ---- an issuer */

struct hard_state {
    uint64_t seq;
    uint64_t term;
    struct hf_name vote;
};

/* A death that waits for its moment. */
enum sim_doom_at { DOOM_NONE, DOOM_FLUSH, DOOM_START };

struct sim_doom {
    enum sim_doom_at at;
    bool power; /* else a kill */
    int64_t down_us;
};

struct sim_issuer {
    bool alone;             /* its file lists nobody else; counts while nothing is stored */
    bool of_today;          /* its file was mended, and lists those who are issuers now */
    struct process process; /* its holdfastd: the agent of its machine, if any, lives in it too */
    struct issuer_shell *shell;              /* NULL: it is down, as the next three */
    struct replica *replica;                 /* of the shell */
    struct journal *live;                    /* of its store */
    struct issuer_shell_callbacks callbacks; /* of its node */
    void *context;
    uint64_t stored_term;   /* as its journal had it when it ended */
    struct journal journal; /* to write one while it is down */
    struct journal_config memory;
    struct sim_disk disk;
    struct sim_doom doom;
    bool flush_failed;
    bool damaged; /* its disk was, since it was last started */
    bool store_failed;
    size_t hard_count; /* appended to the journal, not yet known to be durable */
    struct hard_state hard[SIM_HARD_STATES_MAX];
};

/* ---- a board: agent, guard and the lines between guard and plant */

enum line_reading { READING_TRUE, READING_OFF, READING_ON };

struct line {
    bool level;                /* of the pin */
    bool welded;               /* the relay: once on, it stays on whatever it is told */
    enum line_reading reading; /* of its readback: true, or stuck */
    int64_t repaired_us;       /* last; 0: never */
    int64_t on_us;             /* of the present or last drive: its first rising edge */
    int64_t rise_us;           /* last rising edge */
    int64_t off_us;            /* not on from then on; INT64_MAX: for as long as nothing happens */
};

struct sim_agent {
    struct process *process; /* its own, or that of the issuer of its machine */
    struct process own;
    struct agent *shell;         /* NULL: it is down */
    const struct holder *holder; /* of the shell */
    bool (*send_to_issuer)(void *context, const struct hf_name *to,
                           const struct lease_message *message); /* of its node */
    void *context;
    const struct event *heard;                 /* from its guard, to be read */
    uint64_t kept[SIM_RESOURCES_MAX];          /* on the board's disk: the highest token of each */
    uint64_t had[SIM_RESOURCES_MAX];           /* in truth: its guard took it */
    int64_t waits_since_us[SIM_RESOURCES_MAX]; /* for a grant */
    int64_t holds_since_us[SIM_RESOURCES_MAX];
    bool socket_open;
    uint32_t socket;                       /* number of the connection to the guard */
    uint64_t permitted[SIM_RESOURCES_MAX]; /* the highest token, by a permit on that connection */
    int64_t hold_ms;                       /* of the file that it read, as is */
    int64_t ttl_us;
};

struct sim_board {
    int64_t file_hold_ms; /* of its charge pumps, as its file says now */
    int64_t hold_ms;      /* as its guard read it when it started, and as they are since then */
    int64_t ttl_us;       /* as its guard read it then */
    struct sim_agent agent;
    struct sim_guard guard;
    struct sim_socket socket;
    struct sim_run_dir run_dir;
    struct sim_record record;
    struct line line[SIM_RESOURCES_MAX];
};

/* ---- network */

/* As daemon/node has it. */
struct peer_hub {
    struct world *world;
    int machine;
    struct peer_events events;
    struct wire_hello self;
    bool dials_all;
    bool dials[SIM_NODES_MAX];
};

/* A TLS connection between two machines, `low` < `high`. Side 0 is low. */
struct connection {
    uint32_t epoch;
    bool open;
    int64_t closed_us;
    bool up[2];             /* as the side was told */
    uint32_t side_epoch[2]; /* of the connection that it was told of */
    int64_t busy_us[2];     /* in-order links: last arrival at the side */
    int64_t stall_us[2];    /* likewise: nothing arrives before this, ... */
    int64_t
        stalled_us[2]; /* ... when the first of what waits for it does, and until this the others */
};

/* A node all of whose links, or those with boards, take long. */
struct slowness {
    int node;
    bool boards_only;
    bool gently;      /* little by little, so that no answer is missed */
    int64_t delay_us; /* one way */
    int64_t from_us;
    int64_t until_us;
};

struct network {
    struct slowness slowness;
    struct connection connection[SIM_NODES_MAX][SIM_NODES_MAX];
    int64_t blocked_until_us[SIM_NODES_MAX][SIM_NODES_MAX]; /* from, to */
    bool ordered; /* as TCP: nothing is lost, repeated or overtaken within a connection */
    unsigned loss_ppm;
    unsigned repeat_ppm;
    int64_t delay_max_us;
    int64_t straggle_max_us; /* of the few that are late by much more */
};

/* ---- operators at an issuer's console */

struct sim_waiting {
    struct issuer_shell_waiting waiting;
    struct world *world;
    int issuer;
    bool waits;
    int64_t late_us; /* should have been told since then; 0: no */
};

struct sim_reader {
    struct issuer_shell_reader reader;
    struct world *world;
    int issuer;
    bool waits;
    int64_t late_us;
    int64_t asked_us;
    uint64_t index; /* applied somewhere by then */
};

/* ---- what an operator keeps */

struct sim_backup {
    bool of_restored;   /* the cluster was restored before */
    struct bytes bytes; /* of the leader's table; none yet: empty */
    int64_t lease_max_us;
    struct raft_members members;
};

/* What dies as soon as a board drives with a token of its own. */
struct sim_first_permit {
    bool awaited;
    int word;
    int64_t down_us;
};

/* An image of an issuer's card, as it was once. */
struct sim_card {
    int node;
    uint64_t last;              /* entry of its log */
    uint8_t *bytes[DISK_SLOTS]; /* owned; none yet: NULL */
    size_t length[DISK_SLOTS];
    uint64_t size[DISK_SLOTS];
};

/* One that was put back, and is to be found out. */
struct sim_put_back {
    bool open;
    bool unread; /* its issuer has not started since */
    int node;
    int leader;
    uint64_t term;
    int64_t until_us;
};

/* ---- the world */

/* Of one step; large, and only what is counted is ever written. */
struct scratch {
    struct wire_message message;
};

struct world {
    struct settings settings;
    struct sim_plan plan;
    const struct scenario *scenario;
    size_t next_fault;
    struct random random[STREAMS][SIM_NODES_MAX];
    int64_t now_us;
    int64_t notes_until_us;
    int64_t notes_period_us;
    bool notes_posted;
    bool quiet;
    struct queue queue;
    struct event current; /* the one being dispatched; owns its data */
    int issuer_count;
    int board_count;
    int resource_count;
    struct hf_name name[SIM_NODES_MAX];
    struct hf_name resource[SIM_RESOURCES_MAX];
    int machine_of[SIM_NODES_MAX]; /* a board's, if it lives on an issuer's: that issuer's number */
    int board_on[SIM_NODES_MAX];   /* by machine; -1: none */
    uint32_t boot[SIM_NODES_MAX];  /* by machine: restarts that were due in an earlier one miss */
    bool hung[SIM_NODES_MAX];      /* by machine */
    struct machine_clock clock[SIM_NODES_MAX]; /* by machine */
    int64_t asleep_until_us[SIM_NODES_MAX];    /* by machine; 0: awake */
    struct sim_issuer issuer[SIM_ISSUERS_MAX];
    struct sim_loop loop[SIM_NODES_MAX]; /* by machine: of its holdfastd */
    struct timer loop_timer[SIM_NODES_MAX];
    struct sim_board board[SIM_BOARDS_MAX];
    struct peer_hub hub[SIM_NODES_MAX]; /* by machine */
    struct network network;
    int64_t frame_sent_us; /* of the one that is heard now */
    struct sim_waiting waiting[SIM_OPERATORS];
    uint32_t waiting_count; /* ever */
    struct sim_reader reader[SIM_OPERATORS];
    uint32_t reader_count;
    int64_t reads_us; /* the next ones not before */
    struct sim_backup backup;
    int64_t ttl_us; /* of the files, as they are now */
    bool restored;
    struct sim_first_permit first_permit[SIM_BOARDS_MAX];
    int waiter; /* the board that was killed while it waited, last */
    struct sim_card card;
    struct sim_put_back put_back;
    bool over;            /* the run ends before its time: nothing more is promised */
    uint64_t begun_above; /* with begun_low: what the next one must be above */
    uint64_t begun_index; /* at which --init began the log; 0: it was restored */
    bool begun_low;       /* with a number that is not above every token of before */
    struct oracle oracle;
    int64_t leaderless_since_us;       /* 0: somebody serves, or nobody ever did */
    uint64_t cut_term;                 /* of a leader that no cut may depose; 0: none */
    int64_t touched_us[SIM_NODES_MAX]; /* when a clock of the machine was, last */
    int64_t wall_offset_us[SIM_ISSUERS_MAX];
    uint64_t coverage[COVERAGE_KINDS];
    unsigned trail_last;            /* the notable thing before */
    uint8_t trail[SIM_TRAIL_BYTES]; /* a bit for each pair that came one after the other */
    uint64_t events;
    jmp_buf stop; /* a failure ends the run here */
    enum oracle_kind failed;
    char failure[SIM_FAILURE_MAX];
    uint64_t tolerated[ORACLE_KINDS]; /* counted, where settings.tolerated says so */
    uint64_t digest;                  /* of every event: two runs of a seed have the same */
    struct scratch *scratch;
};

/* world.c: chance, memory, names, failures */

/* The node's stream of that use. */
struct random *world_random(struct world *world, enum stream stream, int node);
void *world_copy(const void *bytes, size_t length); /* by malloc */
/* Node numbers, -1: none. An issuer and a board of one machine have one name. */
int world_issuer(const struct world *world, const struct hf_name *name);
int world_board_node(const struct world *world, const struct hf_name *name);
int world_resource(const struct world *world, const struct hf_name *name); /* -1: none */
/* Node number of a board, and back. */
static inline int board_node(const struct world *world, int board)
{
    return world->issuer_count + board;
}
void world_cover(struct world *world, enum coverage_kind kind);
/* For guide.c: something notable that is no counter: `what` of that sort. */
enum trail_sort { TRAIL_COUNTER, TRAIL_FAULT, TRAIL_HOLDER };
void world_trail(struct world *world, enum trail_sort sort, unsigned what);
/* Ends the run, unless settings.tolerated has the oracle. */
__attribute__((format(printf, 3, 4))) void world_fail(struct world *world, enum oracle_kind oracle,
                                                      const char *format, ...);
/* Schedules an event `delay_us` from now; copies `data`. Its place is valid until the next one. */
struct event *world_post(struct world *world, enum event_kind kind, int node, int64_t delay_us,
                         const void *data, size_t length);

/* memory.c: what is kept from one run to the next */
struct scratch *memory_scratch(void);
void memory_oracle(struct oracle *oracle);
void memory_issuer(struct sim_issuer *issuer, int node);
void memory_disk(struct sim_disk *disk, int node);
struct conf *memory_conf(int node);

/* clock.c */
struct instant clock_local(const struct world *world, int node);
int64_t clock_monotonic_us(const struct world *world, int node);
int64_t clock_slept_us(const struct world *world, int node);
/* True time at which RAW shows that, or now if it does already. INT64_MAX for INSTANT_NEVER. */
int64_t clock_true_us(const struct world *world, int node, struct instant at);
/* What passes of true time, or a little more, while MONOTONIC goes on by so much. */
int64_t clock_stretch_us(const struct world *world, int node, int64_t monotonic_us);
void clock_boot(struct world *world, int machine);
void clock_change_rate(struct world *world, int machine, int32_t ppm);
/* Adds to what it shows. */
void clock_step(struct world *world, struct skewed_clock *clock, int64_t step_us);
void clock_stand(struct world *world, struct skewed_clock *clock, bool stands);
/* A rate within the plan's range, mostly at its ends. */
int32_t clock_some_rate(const struct sim_plan *plan, struct random *random, bool issuer);

/* process.c */
struct process *process_of(struct world *world, enum event_kind kind, int node);
/* False: another one was armed since. */
bool process_timer_fires(struct world *world, const struct event *event);
/* At that true time, and not at the one that it was armed for. */
void process_set_timer(struct world *world, enum event_kind kind, int node, int64_t at_us);
void process_begin(struct process *process);
void process_end(struct process *process);
void timer_stop(struct timer *timer);
/* Every timer of the machine fires so much later; or earlier, at once at the soonest. */
void process_shift_timers(struct world *world, int machine, int64_t later_us);
void process_pause(struct process *process, int64_t until_us);

/* line.c */
bool line_is_on(const struct line *line, int64_t at_us);
void line_set(struct world *world, int board, int resource, bool level);
void line_all_low(struct world *world, int board);
/* What its readback shows now. */
bool line_reads(const struct world *world, int board, int resource);
/* For so long at least; INT64_MAX: while nothing happens. */
int64_t line_reads_until_us(const struct world *world, int board, int resource);
void line_stick(struct world *world, int board, int resource, enum line_reading reading);
/* The charge pumps that the board's file tells of, if it has others: charged no more than they were. */
void line_change_pumps(struct world *world, int board);
void line_weld(struct world *world, int board, int resource);
/* Relay and readback are as new. */
void line_repair(struct world *world, int board, int resource);

/* machine.c */

/* Which machine each node lives on, from the plan. */
void machine_place(struct world *world);
struct process *machine_daemon(struct world *world, int machine);
void machine_start_daemon(struct world *world, int machine);
/* Killed; or, with `power`, gone without a word to its peers. */
void machine_stop_daemon(struct world *world, int machine, bool power);
/* The kernel of a board's machine hangs: pins keep their level, the watchdog counts on. */
void machine_hang(struct world *world, int board);
/* The watchdog bites: pins go to their pull some time later, the board starts again after that. */
void machine_reset(struct world *world, int board);
void machine_pins(struct world *world, const struct event *event);
/* Nothing runs, all pins fall. Restarts that were under way are forgotten. */
void machine_power_cut(struct world *world, int machine);
/* Suspended: no process runs, no clock but BOOTTIME moves, nothing is sent or heard. */
void machine_sleep(struct world *world, int machine, int64_t duration_us);
void machine_wake(struct world *world, const struct event *event);
/* MONOTONIC steps: what waits for it wakes too early, or too late if the step is negative. */
void machine_step_wakes(struct world *world, int machine, int64_t step_us);
/* RAW steps. */
void machine_step_raw(struct world *world, int machine, int64_t step_us);
/* RAW stands still. */
void machine_stand_raw(struct world *world, int machine, int64_t duration_us);
void machine_raw_goes(struct world *world, const struct event *event);

/* net.c */
void net_start(struct world *world);
/* By machines, which are not the same. False: the sender was told of no connection. */
bool net_send(struct world *world, int from, int to, const uint8_t *frame, size_t length);
void net_dial(struct world *world, const struct event *event);
void net_link(struct world *world, const struct event *event);
/* As the node was told. */
bool net_is_up(const struct world *world, int node, int peer);
/* They were not connected for as long as an issuer waits for another one to dial. */
bool net_is_missed(const struct world *world, int a, int b);
/* True if the frame may be handed over now; else it was dropped or put off. */
bool net_arrives(struct world *world, const struct event *event);
void net_break(struct world *world, int a, int b, int64_t notice_max_us);
/* Its holdfastd ended; `silent`: its peers learn by silence only. */
void net_machine_died(struct world *world, int machine, bool silent);
void net_block(struct world *world, int from_node, int to_node, int64_t duration_us);
void net_heal(struct world *world);

/* disk.c */
extern const struct disk_ops sim_disk_ops;
void disk_init(struct world *world, struct sim_disk *disk, int node);
int64_t disk_flush_us(struct world *world, const struct sim_disk *disk);
/* Everything asked for so far is on stable storage. */
void disk_settle(struct sim_disk *disk);
/* The process was killed, or the power cut, somewhere within what was asked for. */
void disk_kill(struct sim_disk *disk);
void disk_power_cut(struct sim_disk *disk);
/* Some bytes of one block, or all of it, are others. The power is off. */
void disk_damage(struct sim_disk *disk, bool block);
/* All that was ever written is gone. */
void disk_wipe(struct sim_disk *disk);
/* What a power cut would leave now, if nothing of what was not synced were written. */
void disk_copy(const struct sim_disk *disk, struct sim_card *card);
/* The power is off. */
void disk_put_back(struct sim_disk *disk, const struct sim_card *card);
void disk_free(struct sim_disk *disk);

/* hub.c */
/* One of the two machines dials the other. */
bool hub_wants(const struct world *world, int a, int b);
void hub_tell(struct world *world, int machine, int peer, bool up);
void hub_frame(struct world *world, const struct event *event);

/* daemon.c */
void daemon_start(struct world *world, int machine);
/* From within its start. */
_Noreturn void daemon_dies_as_it_starts(void);

/* issuer.c */
/* Before its daemon starts. */
void sim_issuer_prepare(struct world *world, int node);
/* As it was to. */
void sim_issuer_dies_in_recovery(struct world *world, int node);
void sim_issuer_stop(struct world *world, int node, bool power);
void sim_issuer_disk(struct world *world, const struct event *event);
/* The issuer that serves in the highest term, -1: none. */
/* The members before any change. */
/* Memory and disk, as far as they are not there yet. */
void sim_issuer_allocate(struct world *world, int node);
void sim_bootstrap_members(const struct world *world, struct raft_members *members);
int sim_issuer_leader(const struct world *world);

/* operator.c */
/* NULL, or why the issuer refuses it. */
const char *operator_act(struct world *world, int node, struct replica_event *event);
void operator_reads(struct world *world);
/* The issuer died. */
void operators_dropped(struct world *world, int node);
void operators_check(struct world *world);

/* meet.c: for the coverage only */
void meet_raft_sent(struct world *world, int issuer, const struct raft_message *message);
void meet_raft_arrived(struct world *world, int issuer, const struct raft_message *message);
void meet_snapshot_installed(struct world *world);
/* A snapshot is on its way in. */
bool meet_installing(const struct world *world, int issuer);
/* Before the issuer's step. */
void meet_lease_arrived(struct world *world, int issuer, int board,
                        const struct lease_message *message);
void meet_no_longer_serves(struct world *world);
void meet_serves(struct world *world);
void meet_holder_changed(struct world *world, int board, const struct holder_change *change);

/* agent.c */
/* Before its daemon starts. */
void sim_agent_prepare(struct world *world, int board);
void sim_agent_stop(struct world *world, int board);
void sim_agent_guard(struct world *world, const struct event *event);
void sim_agent_clear_faults(struct world *world, int board);

/* file.c */
/* `hold_ms`: of the pumps of its board, if it has one. */
void file_of_machine(const struct world *world, int machine, int64_t hold_ms, struct conf *conf);
/* fault.c, fault_*.c */
void fault_start(struct world *world);
void fault_event(struct world *world, const struct event *event);
void fault_repair(struct world *world, const struct event *event);
void fault_restart(struct world *world, const struct event *event);
void fault_operator(struct world *world, const struct event *event);
/* Restarts what of a refitted board runs with its old file. */
void fault_refit(struct world *world, const struct event *event);
void fault_note(struct world *world, const struct event *event);
/* A death that was awaited. */
void fault_death(struct world *world, const struct event *event);
void fault_quiet(struct world *world, const struct event *event);
/* Kills the issuer, which is up, or cuts its power; down for `down_us` or until it is quiet. */
void fault_kill_issuer(struct world *world, int node, bool power, int64_t down_us);
void fault_power_cut_board(struct world *world, int board, int64_t off_us);
/* Guard and holdfastd of its machine, unless it is reset before. */
void fault_restart_board(struct world *world, int board, int64_t delay_us);

void fault_transfer_leader(struct world *world, int node);
/* One every `period_us`, if somebody leads. */
void fault_add_notes(struct world *world, int64_t duration_us, int64_t period_us);

/* laggard.c: the issuer falls behind. NULL, or why that is not done */
const char *laggard_apply(struct world *world, int node, bool leader_dies);
void laggard_event(struct world *world, const struct event *event);

/* first_permit.c: the part dies right after its board's next first permit; NULL, or why not */
const char *first_permit_await(struct world *world, int board, int word, int64_t down_us);
/* The agent sends the guard the first permit of a token. */
void first_permit_sent(struct world *world, int board);
void first_permit_event(struct world *world, const struct event *event);

/* refit.c */
/* NULL, or why the board can't be refitted. */
const char *refit_check(const struct world *world, int board);
void refit_change_file(struct world *world, int board);
/* It runs, and with a file of before. */
bool refit_is_old(const struct world *world, int board, enum fault_part part);

/* slack.c */
void slack_draw_slow(const struct sim_plan *plan, struct random *random, struct fault *fault);
void slack_draw_stall(const struct sim_plan *plan, struct random *random, struct fault *fault);
const char *slack_apply_slow(struct world *world, const struct fault *fault);
const char *slack_apply_stall(struct world *world, const struct fault *fault);
/* Of a frame that is sent now, by machines. */
int64_t slack_delay_us(const struct world *world, int from, int to);

/* disk_hang.c */
void disk_hang_check(struct world *world);

/* put_back.c: a card that is put back as it was. NULL, or why that is not done */
const char *put_back_copy(struct world *world, int node);
const char *put_back_apply(struct world *world, int64_t down_us);
/* True for its first start from the card. */
bool put_back_starts(struct world *world, int node);
/* After every step of an issuer, and its end. */
void put_back_look(struct world *world);
void put_back_sent(struct world *world, const struct raft_message *message);

/* lease_end.c: whoever drives it stops at the end of its lease. NULL, or why that is not done */
const char *lease_end_apply(struct world *world, int resource, bool kill);
void lease_end_event(struct world *world, const struct event *event);

/* begin.c: the only journal on the disk of an issuer that is down */
void sim_write_journal(struct world *world, int node, const struct raft_persist *content);
/* What --init writes. */
void sim_begin_issuer(struct world *world, int node, uint64_t index,
                      const struct raft_members *members);
void sim_begin_cluster(struct world *world);
/* On the card of one issuer, which is down, beside a cluster that goes on. */
void sim_begin_by_mistake(struct world *world, int node);
/* A cluster of one issuer, whose journal is lost. */
bool sim_waits_for_operator(const struct world *world);
/* All is lost, and begun anew: NULL, or why it is not done now. */
const char *sim_begin_anew(struct world *world, int64_t down_us, bool above);

/* restore.c: NULL, or why it is not done now */
const char *restore_backup(struct world *world);
/* Above every term that anybody ever was in. */
uint64_t restore_next_term(const struct world *world);
/* Every issuer is lost now, with its disk, and starts from the last backup within `down_us`. */
const char *restore_cluster(struct world *world, int64_t down_us);

/* dispatch.c */
void dispatch_event(struct world *world, const struct event *event);

/* run.c */
struct run_result {
    bool passed;
    enum oracle_kind failed;
    char failure[SIM_FAILURE_MAX];
    int64_t simulated_us;
    uint64_t tolerated[ORACLE_KINDS];
    uint64_t events;
    uint64_t digest;
    int issuer_count;
    int board_count;
    bool has_children; /* it may have: child.h */
    uint64_t coverage[COVERAGE_KINDS];
    uint8_t trail[SIM_TRAIL_BYTES];
};

/* Runs a scenario; the seed in the settings is that of its streams. */
void run_scenario(const struct settings *settings, const struct scenario *scenario,
                  struct run_result *result, uint64_t coverage[COVERAGE_KINDS]);
/* Runs the scenario that the seed makes. */
void run_seed(const struct settings *settings, struct run_result *result,
              uint64_t coverage[COVERAGE_KINDS]);

#endif
