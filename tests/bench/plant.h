/*
 * The plant: relays, readback contacts, watchdogs, faults on command, and the witness over all of
 * it. Knows instants, not clocks; sockets and processes are behind its hooks. Owner: main; one
 * thread (the loop). Instants are CLOCK_MONOTONIC_RAW in ns.
 */
#ifndef HOLDFAST_BENCH_PLANT_H
#define HOLDFAST_BENCH_PLANT_H

#include "tests/bench/config.h"
#include "tests/bench/trace.h"
#include "tests/bench/witness.h"

struct plant_hooks {
    void *context;
    /* A guard's readback contact has changed, or is told to a new guard. */
    void (*readback)(void *context, int board, const struct bench_resource_config *resource,
                     const struct bench_line_config *line, bool level);
    /* Kill the board's processes and close their connections. */
    void (*reset)(void *context, int board);
};

struct plant_contact {
    int64_t on_since_ns;      /* of the relay */
    bool level;               /* as told last */
    enum witness_force force; /* a stuck readback */
};

struct plant_board {
    bool guarded; /* a guard is connected, and is told the contacts */
    bool wd_armed;
    bool wd_dead;
    uint32_t wd_timeout_ms;
    int64_t wd_deadline_ns;
    int64_t reset_until_ns;
    struct plant_contact contacts[WITNESS_RESOURCES_MAX][WITNESS_LINES_MAX];
};

struct plant {
    const struct bench_config *config;
    struct plant_hooks hooks;
    struct trace trace;
    struct witness witness;
    struct plant_board boards[WITNESS_BOARDS_MAX];
    uint64_t modbus_overlaps; /* writes of a board while another one drove */
};

/* A write that took effect at an actuator. */
struct plant_write {
    const struct bench_actuator_config *actuator;
    int board; /* -1 if unknown */
    int function;
    int address; /* first register or coil, from 0 */
    int count;
    const uint16_t *values; /* `count` of them; FC 22: the resulting value */
    const char *peer;       /* "127.0.0.1:40000" or the pty's path */
    int64_t received_ns;
};

/* The trace must be open. Lines start off, watchdogs disarmed. */
void plant_init(struct plant *plant, const struct bench_config *config,
                const struct plant_hooks *hooks);

/* A guard's command; the instant lies in [earliest_ns, latest_ns]. Indices are valid ones. */
void plant_set_level(struct plant *plant, int board, int resource, int line, bool level,
                     int64_t earliest_ns, int64_t latest_ns);

/* A guard said hello: tells it every contact. */
void plant_join_guard(struct plant *plant, int board, int64_t at_ns);

/* Its connection has closed: lines without retain go to the power-on level. */
void plant_leave_guard(struct plant *plant, int board, int64_t earliest_ns, int64_t latest_ns);

void plant_arm_watchdog(struct plant *plant, int board, uint32_t timeout_ms, int64_t at_ns);
/* False if it is not armed. */
bool plant_feed_watchdog(struct plant *plant, int board, int64_t at_ns);
void plant_stop_watchdog(struct plant *plant, int board, int64_t at_ns);

/* Resets the board: lines to power-on level, processes killed, watchdog disarmed. `why` for people.
 */
void plant_reset_board(struct plant *plant, int board, const char *why, int64_t at_ns);

void plant_force_relay(struct plant *plant, int board, int resource, int line,
                       enum witness_force force, int64_t at_ns);
void plant_force_readback(struct plant *plant, int board, int resource, int line,
                          enum witness_force force);
void plant_set_watchdog_dead(struct plant *plant, int board, bool dead);

/* Records the write, and an overlap if another board than the known writer drove then. */
void plant_record_write(struct plant *plant, const struct plant_write *write, int64_t at_ns);

/* Writes a `fault` event: what a person or script did to the plant, or marks in it. */
void plant_mark(struct plant *plant, const char *text, int64_t at_ns);

/*
 * Closes what has ended, bites what has starved, tells guards of changed contacts. Everything up to
 * known_ns has been fed; a bite takes effect at now_ns >= known_ns.
 */
void plant_advance(struct plant *plant, int64_t known_ns, int64_t now_ns);

/* When plant_advance() must be called next; WITNESS_FOREVER if nothing is due. */
int64_t plant_next_ns(const struct plant *plant);

/* Anything that makes the bench end with status 1. */
bool plant_failed(const struct plant *plant);

#endif
