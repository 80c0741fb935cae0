/*
 * Faults as data: what goes wrong in a run, when, where and for how long.
 *
 * Purpose: a run's faults are a list that is made before it begins. A list can be printed, read
 *   back, and run with some of it left out.
 * Owner: a scenario. One row of the table in fault.c says all about a kind: its name, its fields in
 *   the order of its line, its weight in chaos, how it is drawn, how it is applied (fault_rows.h).
 */
#ifndef HOLDFAST_TESTS_SIM_FAULT_H
#define HOLDFAST_TESTS_SIM_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/random.h"
#include "tests/sim/settings.h"

struct world;

enum fault_kind {
    FAULT_PAUSE,         /* a process stands still */
    FAULT_KILL,          /* a process dies; it is back after `duration` */
    FAULT_POWER,         /* a node's power is cut; it is back after `duration` */
    FAULT_KILL_IN_FLUSH, /* an issuer dies within its next flush */
    FAULT_KILL_IN_START, /* an issuer dies within its next recovery */
    FAULT_PARTITION,
    FAULT_BREAK, /* one connection; both sides are told within `duration` */
    FAULT_DISK_FAIL,
    FAULT_DISK_SLOW,
    FAULT_CLOCK_RATE,
    FAULT_HANG,       /* a board's kernel, until its watchdog or `duration` ends it */
    FAULT_LEASE_END,  /* whoever drives stops at its lease's end, its watchdog just fed */
    FAULT_SLEEP,      /* a machine is suspended */
    FAULT_WAKE_STEP,  /* MONOTONIC steps */
    FAULT_RAW_STEP,   /* RAW steps, which no kernel does; of a board alone */
    FAULT_RAW_STANDS, /* RAW stands still */
    FAULT_WELD,       /* a relay stays on once it is on, until it is repaired */
    FAULT_READBACK,   /* stuck at a level, until it is repaired */
    FAULT_TRANSFER,   /* operators: */
    FAULT_LEADER_TRANSFER,
    FAULT_PIN,
    FAULT_UNPIN,
    FAULT_CLEAR,        /* latched faults of all boards */
    FAULT_GO,           /* what is held for an output stuck on is let go */
    FAULT_NOTES,        /* entries that make the log grow: one per `period` for `duration` */
    FAULT_LEADER_DEATH, /* the leader, and L2 is watched */
    FAULT_BOARD_DEATH,  /* the board that drives, and L1 is watched */
    FAULT_CUT,          /* one issuer's links to the others, and L1 and L2 are watched */
    FAULT_WALL_STEP,    /* the date of an issuer's machine is set */
    FAULT_LAGGARD,      /* an issuer falls behind the log, and something is up when it is back */
    FAULT_DISKS_SLOW,   /* nothing else for `duration`, and L2 is watched */
    FAULT_BACKUP,       /* of the leader's state */
    FAULT_LOSS,         /* of every disk; the last backup is restored */
    FAULT_DAMAGE,       /* an issuer's power is cut, and its journal is damaged meanwhile */
    FAULT_MEMBER_ADD,   /* operators: of an issuer */
    FAULT_MEMBER_PROMOTE,
    FAULT_MEMBER_REMOVE, /* down to two voters */
    FAULT_REFIT,        /* a board's pump and file; `part` is restarted, the other `period` later */
    FAULT_SLOW_LEADER,  /* its links, `period` one way for `duration`, and L2 is watched */
    FAULT_STALL,        /* of the agent that drives, and L2 is watched */
    FAULT_COPY_CARD,    /* of an issuer, as it is now */
    FAULT_PUT_BACK,     /* that card, as it was, into the same issuer */
    FAULT_FIRST_PERMIT, /* what dies as soon as its board is permitted to drive */
    FAULT_WAITER_DEATH, /* the agent that would be granted next */
    FAULT_DISK_HANG,    /* of an issuer: no sync ends before `duration` is over */
    FAULT_KINDS
};

enum fault_part { PART_ISSUER, PART_AGENT, PART_GUARD, PART_BOARD, FAULT_PARTS };

/* Places do not depend on how many issuers and boards there are: issuers first, then boards. */
enum { FAULT_LEADER = -1, FAULT_BOARD = SIM_ISSUERS_MAX, FAULT_LINE_MAX = 160 };

/* Each kind uses the fields that its row names; the others are zero. */
struct fault {
    int64_t at_us; /* true time */
    enum fault_kind kind;
    enum fault_part part;
    int node; /* place, or FAULT_LEADER: the leader of that moment */
    int peer; /* place */
    int resource;
    unsigned nodes; /* bit per place */
    int64_t duration_us;
    int64_t period_us;
    int32_t ppm;
    int word; /* which of the row's words */
};

/* Applies it now. Logged, as is why it was skipped. */
void fault_apply(struct world *world, const struct fault *fault);

/* fault_line.c: `12.345678 pause guard board-1 0.350000` */

/* One line without its end. Returns `text`, of FAULT_LINE_MAX bytes. */
const char *fault_print(const struct fault *fault, char *text);
/* NULL, or what is wrong with the line (static text, or in `error` of FAULT_LINE_MAX bytes). */
const char *fault_parse(struct fault *fault, const char *line, char *error);

/* Text of at most 12 whole digits and at most 6 decimals. */
bool fault_parse_seconds(const char *text, int64_t *us);
const char *fault_resource_name(int resource);
void fault_place_name(int place, char *text, size_t size);

/* ---- what a line is made of */

enum fault_field {
    FIELD_END,
    FIELD_PART,
    FIELD_NODE,
    FIELD_ISSUER, /* a node that is an issuer */
    FIELD_BOARD,  /* a node that is a board */
    FIELD_PEER,
    FIELD_RESOURCE,
    FIELD_NODES,
    FIELD_DURATION,
    FIELD_PERIOD,
    FIELD_PPM,
    FIELD_WORD
};

enum { FAULT_FIELDS_MAX = 5, FAULT_WORDS_MAX = 5 };

struct fault_row {
    const char *name;
    unsigned weight; /* in chaos; 0: never drawn there */
    enum fault_field field[FAULT_FIELDS_MAX];
    const char *word[FAULT_WORDS_MAX];
    /* Everything but `at_us` and `kind`. */
    void (*draw)(const struct sim_plan *plan, struct random *random, struct fault *fault);
    /* NULL, or why it does not apply now. */
    const char *(*apply)(struct world *world, const struct fault *fault);
};

extern const struct fault_row fault_table[FAULT_KINDS];

#endif
