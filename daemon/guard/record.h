/*
 * DATA/faults: the faults that are latched, kept where a reset does not reach them.
 *
 * Purpose: a board that its watchdog resets for a fault starts in that fault, says so, and is not
 *   reset for it again (PROTOCOL.md, latch-outlives-reset, clear-is-durable).
 * File: text, a line for each latched fault between a heading and a checksum; one of a resource that
 *   this board has no more, too, for when it has it again. Replaced as a whole, for each latch, each
 *   clearing, and each time that a reset is begun or taken back; what failed each 5 s. DATA/faults.new
 *   is the room for the next one, kept so that a full disk takes a latch. One that is not there means none. One that is damaged, or
 *   can't be read, is a fault of every resource until an operator clears it.
 * Owner: the guard's one thread. Written by somebody else (platform.h, write_record), so that a disk
 *   that is slow or gone delays no output and no feeding; nothing here waits but record_read().
 * Lifecycle: record_open(); record_read(); record_changed() after every step of the guard;
 *   record_ended() when the handle is readable; record_close(), also after a record_open() that failed.
 */
#ifndef HOLDFAST_GUARD_RECORD_H
#define HOLDFAST_GUARD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "guard/guard.h"
#include "guard/platform.h"

enum {
    RECORD_ENTRIES_MAX =
        2 * GUARD_RESOURCES_MAX, /* of this board's resources, and of former ones */
    RECORD_TEXT_MAX = 96 + RECORD_ENTRIES_MAX * (HF_NAME_MAX + 80),
    RECORD_SLOW_US = 1000000 /* a write that takes longer is said */
};

struct record_entry {
    struct hf_name resource;
    enum guard_fault fault; /* NONE: this one is not written */
    int64_t since_s;        /* wall time of the latch */
    uint64_t tried;         /* the kernel's start in which a reset was begun for it; 0: none was */
};

struct record {
    const struct platform *platform;
    int handle;                    /* to be polled; -1: nobody writes */
    char path[CONF_PATH_MAX + 16]; /* for people */
    uint64_t
        boot; /* this start of the kernel; 0: nobody knows, each start of the guard may be one */
    size_t count;
    size_t former; /* those of no resource of this board, behind it */
    struct record_entry entry[RECORD_ENTRIES_MAX]; /* by resource */
    bool wanted;                                   /* newer than what is being written */
    bool writing;
    struct instant since; /* writing: when it began */
    bool slow_said;
    int failed;       /* -errno of the last write, if that was said; 0: it was durable */
    int refused;      /* -errno: what is being written was not taken */
    uint32_t version; /* of the guard's record, that is being written */
    char text[RECORD_TEXT_MAX];
};

/* Nobody writes. The platform outlives the record. */
void record_none(struct record *record, const struct platform *platform);

/*
 * Has what is latched in `guard` from now on written. Before a line is open; does not wait. False after
 * one log line.
 */
bool record_open(struct record *record, const struct conf *conf, const struct guard *guard);

/*
 * Latches what was kept in `guard` (after guard_init(), before its start), with one log line each. May
 * wait 20 s for the disk: once every output is told off, and before the watchdog counts. False after
 * one log line: this user may not write in the folder. `earlier`: a guard ran before in this start of
 * the board, so that what can't be read had no reset since.
 */
bool record_read(struct record *record, struct guard *guard, bool earlier);

/*
 * Does without effect what is done when a fault is latched and its write fails: that code is then in
 * memory, and need not come from the disk that has just failed. Once memory is locked.
 */
void record_rehearse(struct record *record);

/* Takes note of what a step latched or cleared, and has it written, if it is to be. */
void record_changed(struct record *record, const struct guard *guard,
                    const struct guard_effects *effects);

/*
 * Has a write ended? Fills in what the guard must be told. `readable`: the handle is. To be asked in
 * every turn, since what could not even begin makes nothing readable.
 */
bool record_ended(struct record *record, bool readable, struct guard_input *input);

/* What was latched since then is written, if a write was under way before. */
void record_continue(struct record *record, const struct guard *guard);

/* Something was latched or cleared that was not yet given to who writes. */
bool record_waits(const struct record *record);

/* Since when resource `index` has its fault; 0: it has none. */
int64_t record_since_s(const struct record *record, uint8_t index);

void record_close(struct record *record);

/* The text of the entries that have a fault. Returns its length. */
size_t record_print(const struct record_entry *entry, size_t count, char text[RECORD_TEXT_MAX]);

/* False if the text is damaged in any way; then *count is 0. At most RECORD_ENTRIES_MAX entries. */
bool record_parse(const char *text, size_t length, struct record_entry *entry, size_t *count);

#endif
