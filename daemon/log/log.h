/*
 * Log lines of the daemons: to stderr, one line each, subject first, lower case, units.
 *
 * With JOURNAL_STREAM set (systemd) a line starts with its "<priority>", see sd-daemon(3); else with
 * the wall time and the program's prefix.
 * Owner: any thread may write a line: one line is one write(2), so lines do not mix. A struct
 *   log_brake belongs to whoever locks it.
 * Nothing here allocates, and a line never waits: what stderr has no room for is dropped, since
 *   outputs and leases matter more than words about them. A line is cut at 500 characters.
 */
#ifndef HOLDFAST_LOG_LOG_H
#define HOLDFAST_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "base/instant.h"

/*
 * Reads JOURNAL_STREAM and the time zone. Call once, first, before other threads. `prefix`, a
 * literal such as "guard: " or "", stands after the time; the journal knows the program by itself.
 */
void log_open(const char *prefix);

/* level as in syslog.h: LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO. Keeps errno. */
__attribute__((format(printf, 2, 3))) void log_line(int level, const char *format, ...);

/* Lets one line of a kind through per second and counts the rest. All zero is a good start. */
struct log_brake {
    struct instant open_at;
    uint64_t held;
};

/* True if the line may be logged now; else it is counted. */
bool log_brake_admit(struct log_brake *brake, struct instant now);

/*
 * The number of lines held back, if it is time to say so (> 0, to be logged as "N more ..."), else
 * 0. Call it before log_brake_admit(), and again from time to time while `held` is not 0.
 */
uint64_t log_brake_release(struct log_brake *brake, struct instant now);

#endif
