/*
 * The independent witness: who drives what, from line levels and instants alone. Pure: no clock, no
 * OS, no allocation. Single thread; embedded by its owner (the plant), reported to by callback.
 *
 * It is built so that an overlap can't be missed: an edge has an earliest and a latest instant
 * (what the reader of a socket can know). A line is on from the earliest instant of the edge that
 * raised it until the latest instant of the one that lowered it (or that plus the hold time). Edges
 * may be fed in any order within the uncertainty of their instants, since each is also checked
 * against the other boards' last closed interval.
 *
 * Intervals are half open: [on, off). Touching intervals do not overlap.
 */
#ifndef HOLDFAST_BENCH_WITNESS_H
#define HOLDFAST_BENCH_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WITNESS_BOARDS_MAX = 16,
    WITNESS_RESOURCES_MAX = 16,
    WITNESS_LINES_MAX = 8 /* lines of one resource on one board */
};

#define WITNESS_FOREVER INT64_MAX

enum witness_kind {
    WITNESS_PULSE, /* on until hold after the last rising edge */
    WITNESS_GPIO   /* on while the level is 1 */
};

/* What a stuck relay does, whatever is commanded. */
enum witness_force { WITNESS_FORCE_NONE, WITNESS_FORCE_ON, WITNESS_FORCE_OFF };

enum witness_event_type { WITNESS_EVENT_LINE, WITNESS_EVENT_DRIVE, WITNESS_EVENT_OVERLAP };

struct witness_event {
    enum witness_event_type type;
    int64_t at_ns; /* LINE, DRIVE: the exact instant; OVERLAP: its first instant */
    int resource;
    int board;
    int line;               /* LINE only */
    bool level;             /* LINE, DRIVE */
    int other;              /* OVERLAP: the other board */
    int64_t since_ns;       /* OVERLAP: since when `board` drives */
    int64_t other_since_ns; /* OVERLAP: since when `other` drives */
};

typedef void witness_report(void *context, const struct witness_event *event);

/* One board's line. */
struct witness_line {
    bool level; /* as commanded */
    enum witness_force force;
    int64_t commanded_until_ns; /* end of the commanded on-time; 0 if never on */
    bool on;                    /* the relay */
    int64_t until_ns;           /* while on: its end as known now; else when it went off */
};

/* One board at one resource. */
struct witness_drive {
    struct witness_line lines[WITNESS_LINES_MAX];
    int lines_on;
    int64_t from_ns;  /* start of the current, or else of the last, interval */
    int64_t until_ns; /* end of the last closed interval */
    uint32_t serial;  /* of the interval, so that a pair is reported once */
    uint32_t reported_own[WITNESS_BOARDS_MAX];
    uint32_t reported_other[WITNESS_BOARDS_MAX];
};

struct witness_resource {
    int line_count;
    enum witness_kind kinds[WITNESS_LINES_MAX];
    int64_t hold_ns[WITNESS_LINES_MAX];
    struct witness_drive boards[WITNESS_BOARDS_MAX];
};

struct witness {
    int board_count;
    int resource_count;
    struct witness_resource resources[WITNESS_RESOURCES_MAX];
    uint64_t overlaps; /* pairs of intervals reported so far */
    witness_report *report;
    void *context;
};

/* `boards` 1..WITNESS_BOARDS_MAX. `report` is called from within the functions below. */
void witness_init(struct witness *witness, int boards, witness_report *report, void *context);

/* Returns the index of a new resource without lines; at most WITNESS_RESOURCES_MAX. */
int witness_add_resource(struct witness *witness);

/* Adds a line to every board's side of the resource; at most WITNESS_LINES_MAX. hold_ns > 0 for
 * pulses. */
int witness_add_line(struct witness *witness, int resource, enum witness_kind kind,
                     int64_t hold_ns);

/*
 * The line's commanded level is `level` since some instant in [earliest_ns, latest_ns]. Without a
 * change of level nothing happens, nor when a pulse line falls: only rising edges pump or trigger
 * (hal/sim/PROTOCOL.md, "What the outputs do").
 */
void witness_set_level(struct witness *witness, int board, int resource, int line, bool level,
                       int64_t earliest_ns, int64_t latest_ns);

/* The relay sticks, or no longer sticks, since at_ns. */
void witness_set_force(struct witness *witness, int board, int resource, int line,
                       enum witness_force force, int64_t at_ns);

/*
 * Closes what ended at or before now_ns, in order of time. The caller has fed every edge that can
 * be known to be older.
 */
void witness_advance(struct witness *witness, int64_t now_ns);

/* When witness_advance() will next have something to close; WITNESS_FOREVER if nothing is known. */
int64_t witness_next_ns(const struct witness *witness);

bool witness_line_on(const struct witness *witness, int board, int resource, int line);
bool witness_drives(const struct witness *witness, int board, int resource);

/* Whether the board drove at that instant, as far as its current and its last interval tell. */
bool witness_drove_at(const struct witness *witness, int board, int resource, int64_t at_ns);

#endif
