/*
 * Log lines of holdfastd: to stderr, one line each, subject first, lower case, units.
 *
 * With JOURNAL_STREAM set (systemd) a line starts with its "<priority>"; else with the wall time.
 * Used by the loop thread only. Does not allocate; a line is cut at 500 characters.
 */
#ifndef HOLDFAST_NODE_LOG_H
#define HOLDFAST_NODE_LOG_H

/* Reads JOURNAL_STREAM. Call once, first. */
void log_init(void);

/* level as in syslog.h: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
__attribute__((format(printf, 2, 3))) void log_line(int level, const char *format, ...);

#endif
