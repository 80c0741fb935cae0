/*
 * The witness trace: one JSON object a line, each written by one write(2) at once, so that a kill
 * of the bench loses nothing that had happened. Owner: the plant; one thread.
 */
#ifndef HOLDFAST_BENCH_TRACE_H
#define HOLDFAST_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_LINE_MAX = 2048 }; /* bytes of a line with its end */

struct trace {
    int fd;
    bool failed; /* a line could not be written: the trace proves nothing any more */
};

/* Creates the file anew (0644). False with errno if it can't. */
bool trace_open(struct trace *trace, const char *path);

/*
 * Writes {"t_ns":at_ns,"ev":"EV"FIELDS}. FIELDS is the printf-formatted rest, each field with its
 * leading comma, already valid JSON. Blocks for the write(2). A failure is said once on stderr.
 */
void trace_write(struct trace *trace, int64_t at_ns, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Copies text as the inside of a JSON string, cut to `size` - 1 bytes; control characters become
 * '?'. */
void trace_escape(char *out, size_t size, const char *text);

void trace_close(struct trace *trace);

#endif
