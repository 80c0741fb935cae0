/*
 * A board's guard: daemon/guard as it ships, above a platform (guard/platform.h) that the world
 * answers, and what of the board's kernel and plant it meets there.
 *
 * Purpose: guard.c is the process: clocks, timer, turns, life and death. socket.c is guard.sock, with
 *   the agent's end of it; guard_hal.c the lines and the watchdog, above line.c; guard_page.c the run
 *   directory; guard_record.c the faults that are kept; guard_client.c an application that reads the lease page by daemon/client.
 * Owner: the world, one of each by board. Process memory goes with the guard, the run directory with
 *   the board's kernel.
 */
#ifndef HOLDFAST_TESTS_SIM_GUARD_H
#define HOLDFAST_TESTS_SIM_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/page.h"
#include "guard/loop.h"
#include "guard/guard_message.h"
#include "tests/sim/process.h"
#include "tests/sim/random.h"
#include "tests/sim/settings.h"

struct event;
struct hf_page;
struct world;

enum {
    SIM_CONNECTIONS = 16, /* of a board's guard.sock, to be accepted or open at either end */
    SIM_TO_GUARD_MAX = 64,
    SIM_TO_AGENT_MAX = 85, /* messages in the send buffer that the guard asks for */
    SIM_STRANGERS = 6,
    SIM_AGENT_UID = 990, /* that of the run directory, too */
    SIM_PAGES = 4        /* files in a run directory, and those removed that somebody still maps */
};

/* What the guard polls. */
enum sim_handle {
    HANDLE_TIMER = 3,
    HANDLE_SIGNALS,
    HANDLE_LISTENER,
    HANDLE_BENCH,
    HANDLE_RECORD,
    HANDLE_CONNECTION /* and the next SIM_CONNECTIONS - 1 */
};

/* ---- guard.sock */

struct sim_packet {
    size_t length;
    struct guard_message message;
};

struct sim_connection {
    uint32_t number; /* counts up; 0: this one is free */
    uid_t uid;       /* of who connected */
    enum stream stream;
    bool open; /* at the end of who connected */
    bool guard_open;
    bool waits;    /* it is there to be accepted */
    bool accepted; /* by the guard that listens now */
    bool ended;    /* that who connected is gone came in */
    bool answered;
    int64_t dialled_us;
    unsigned unread;  /* sent by the guard and not delivered */
    unsigned sending; /* sent to the guard and not taken in by it */
    int64_t busy_us;  /* last arrival at the guard: no message overtakes another */
    int64_t busy_agent_us;
    unsigned first; /* of those that arrived */
    unsigned count;
    struct sim_packet said[SIM_TO_GUARD_MAX];
};

struct sim_socket {
    bool bound;     /* the file is there */
    bool listening; /* and a guard behind it */
    uint32_t numbers;
    int64_t hung_up_us;    /* the agent did last, or died, or somebody took its place */
    unsigned waiting;      /* a bit per connection: it is there to be accepted */
    unsigned ready;        /* it is accepted, and has a message or its end */
    unsigned silent_count; /* of strangers who say nothing */
    uint32_t silent[SIM_STRANGERS];
    struct sim_connection connection[SIM_CONNECTIONS];
};

/* ---- the run directory */

enum sim_page_name { SIM_PAGE_UNNAMED, SIM_PAGE_NAMED, SIM_PAGE_NEW };

struct sim_page {
    enum sim_page_name name; /* unnamed and not mapped: it is free */
    unsigned maps;
    bool owned;     /* the kernel will mark it when the guard's thread ends */
    uint32_t woken; /* its `change` when readers were woken last */
    struct lease_page page;
    /* What the oracles saw at the end of the last turn. */
    uint32_t seen_change;
    uint32_t seen_state[SIM_RESOURCES_MAX];
    uint64_t seen_token[SIM_RESOURCES_MAX];
};

struct sim_client {
    struct hf_page *page; /* NULL: it has none open */
    const struct sim_page *file;
    unsigned turns; /* of the guard since it looked */
};

struct sim_run_dir {
    struct sim_page file[SIM_PAGES];
    struct sim_page *mapped; /* by the guard that runs */
    struct sim_page *looked; /* of an earlier guard, while the one that starts looks at it */
    struct sim_client client;
};

/* ---- the data directory */

struct sim_record {
    size_t length; /* 0: it is not there */
    char file[RECORD_TEXT_MAX];
    bool writing;
    bool hangs;      /* and a guard before this one had it written */
    uint32_t number; /* of the write */
    size_t next_length;
    char next[RECORD_TEXT_MAX];
    bool ended;      /* and the guard was not told */
    int64_t told_us; /* when it was told last */
    bool failed;     /* the last one did */
    bool unread;     /* by the guard that runs */
};

/* ---- lines, as the guard has them open */

struct sim_hal {
    bool told;  /* levels come by a descriptor, as the bench's; else it must look */
    bool input; /* there is something to take in */
    bool level[SIM_RESOURCES_MAX];             /* told: as taken in */
    int64_t fails_until_us[SIM_RESOURCES_MAX]; /* its readback can't be read */
    unsigned failed;                           /* in this turn: a bit per resource */
    int64_t look_us[SIM_RESOURCES_MAX]; /* told: a readback may change then; 0: no time is set */
};

/* ---- the process */

struct sim_guard {
    struct world *world;
    int board;
    struct process process;
    struct timer timer; /* its poll() is looked at then */
    struct platform platform;
    struct loop loop;
    struct instant raw; /* as it reads its clocks in this turn */
    int64_t monotonic_us;
    int64_t armed_us; /* what its timer is set to, by MONOTONIC; INT64_MAX: to nothing */
    int64_t alarm_us; /* true time of that, when `timer` was set for it */
    struct sim_hal hal;
    int64_t watchdog_us; /* the board is reset then; INT64_MAX: not armed */
    uint32_t watchdog_id;
    /* The last time in which it could not act: dead, stopped, asleep, or woken late. */
    int64_t absent_from_us;
    int64_t absent_until_us;
    bool clock_went_back;     /* and it has not looked yet */
    int64_t clock_touched_us; /* a clock of its machine was stepped, stood, or went on */
    int64_t early_us;    /* its alarm is, so much before what it is due for: it polls a readback */
    int64_t late_us;     /* its turn is, by true time */
    unsigned calls_left; /* it dies within a turn, so many calls on; 0: it lives on */
    int signal;          /* to be taken; 0: none */
    bool signalled;      /* asked to end */
    int64_t fault_left_us;      /* when an operator cleared one last */
    bool clock_fault;           /* it latched one for its clock since the clock stood */
    int64_t clock_bad_until_us; /* a clock that stood: what it reckoned with is no good till then */
};

/* ---- guard.c */

void sim_guard_start(struct world *world, int board);
/* It is killed, now or within its next turns, or it is asked to end. Only now: it is back later. */
void sim_guard_stop(struct world *world, int board);
/* It runs no more, and nothing else changes: the kernel hangs, or the power is gone. */
void sim_guard_vanish(struct world *world, int board);
/* It does nothing until then. */
void sim_guard_absent(struct world *world, int board, int64_t until_us);
/*
 * Its rate was far outside drift_ppm: its clock stood still, or did when the guard went away. What
 * is on then stays on until the guard is back, or the hardware ends it.
 */
bool sim_guard_clock_is_bad(const struct world *world, int board);
/* Something that its poll() waits for may be there: now, or when it goes on after a pause. */
void sim_guard_wake(struct world *world, int board);
/* Of MONOTONIC: what its timer is set to is there sooner, or later. */
void sim_guard_rate_changed(struct world *world, int board);
/* The guard calls the system: it may die there, and never return from it. */
void guard_may_die(struct sim_guard *guard);
void sim_guard_turn(struct world *world, const struct event *event);
void sim_guard_watchdog(struct world *world, const struct event *event);
/* The guard that runs; NULL: none does. A run that failed left it in the middle: guard_forget(). */
struct sim_guard *guard_running(void);
void guard_forget(void);

/* ---- socket.c: what agent and guard call of the system */

/* Connects: 0 and a number, or ENOENT, ECONNREFUSED, EAGAIN. Delays are from that stream. */
int socket_dial(struct world *world, int board, uid_t uid, enum stream stream, uint32_t *number);
/* 0, EPIPE or EAGAIN. */
int socket_say(struct world *world, int board, uint32_t number, const void *data, size_t length);
void socket_hang_up(struct world *world, int board, uint32_t number);
int socket_listen(void *context, const char *path, uid_t *owner);
int socket_accept(void *context, int listener, struct platform_peer *peer);
ssize_t socket_receive(void *context, int handle, void *bytes, size_t size);
ssize_t socket_send(void *context, int handle, const void *bytes, size_t size);
void socket_close(void *context, int handle);
void socket_unlink(void *context, const char *path);
/* It arrives at the guard: a connection, a message, or the end. */
void socket_arrives(struct world *world, const struct event *event);
/* What the guard said was delivered. */
void socket_delivered(struct world *world, const struct event *event);
/* The agent has closed its end, or died. */
void socket_agent_died(struct world *world, int board);
/* The guard did. */
void socket_guard_died(struct world *world, int board);
/* The board's kernel went. */
void socket_lost(struct world *world, int board);

/* ---- guard_hal.c */

enum hal_result guard_hal_open(void *context, const struct conf *conf, struct hal *hal);
bool guard_hal_readable(const struct sim_guard *guard);
/* Whatever was done to it may change what its readback shows, now or later. */
void guard_hal_line_changed(struct world *world, int board, int resource);
void guard_hal_look(struct world *world, const struct event *event);
void guard_hal_feed(struct sim_guard *guard);
/* A readback can't be read until then. */
void guard_hal_fails(struct world *world, int board, int resource, int64_t until_us);

/* ---- guard_page.c */

int guard_map_file(void *context, const char *path, size_t size, void **map);
int guard_map_new_file(void *context, const char *path, size_t size, void **map);
void guard_unmap(void *context, void *map, size_t size);
int guard_rename(void *context, const char *from, const char *to);
uint64_t guard_boot_id(void *context);
int guard_own_page(void *context, struct lease_page *page);
void guard_wake_readers(void *context, struct lease_page *page);
/* The one that a reader finds by its name; NULL: there is none. */
struct sim_page *guard_page_named(struct world *world, int board);
/* Its thread ended. */
void guard_pages_disowned(struct world *world, int board);
/* The kernel went, and all that it kept in memory. */
void guard_run_dir_lost(struct world *world, int board);

/* ---- guard_record.c */

bool guard_open_record(void *context, const char *data_dir, int *handle);
ssize_t guard_read_record(void *context, int handle, void *bytes, size_t size);
int guard_write_record(void *context, int handle, const void *bytes, size_t size);
int guard_record_written(void *context, int handle);
void guard_record_ends(struct world *world, const struct event *event);
/* The board's kernel went. */
/* No more faults: a write that hangs is done. */
void guard_record_heals(struct world *world, int board);
void guard_record_cut(struct world *world, int board);
/* Its power did: bits may have fallen over. */
void guard_record_damaged(struct world *world, int board);

/* ---- guard_client.c */

/* It asks about every resource, and again by the page that there is now. */
void guard_client_looks(struct world *world, int board);
/* The run ended while one asked. */
void guard_client_forget(void);
/* The board makes a rising edge: no client of another board may be told that it is its. */
void guard_client_sees_edge(struct world *world, int board, int resource);
/* The guard's page is as the guard is, and its clients are told so. */
void guard_client_turn_ended(struct world *world, int board);
void guard_client_closes(struct world *world, int board);

/* ---- stranger.c: others at guard.sock, as long as there are faults */

void strangers_start(struct world *world);
void stranger_sees_clearing(struct world *world, int board, int resource);
void stranger_event(struct world *world, const struct event *event);

#endif
