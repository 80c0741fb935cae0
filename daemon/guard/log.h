/*
 * The guard's log: one line at a time to stderr, never blocking and never allocating.
 *
 * A line that stderr has no room for is dropped: outputs matter more than words about them.
 * With JOURNAL_STREAM set, lines carry sd-daemon(3) priority prefixes.
 */
#ifndef HOLDFAST_GUARD_LOG_H
#define HOLDFAST_GUARD_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6 };

/* Reads the environment once. */
void log_open(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
