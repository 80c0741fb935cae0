/* Small things of the OS that several parts of the bench need. Nothing here blocks. */
#ifndef HOLDFAST_BENCH_POSIX_H
#define HOLDFAST_BENCH_POSIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC_RAW in ns. */
int64_t posix_now_ns(void);

/*
 * A non-blocking listening Unix stream socket at `path`, taking the place of a dead one. -1 with
 * errno; EADDRINUSE if somebody listens there.
 */
int posix_listen_unix(const char *path);

/* A connected Unix stream socket, or -1 with errno. */
int posix_connect_unix(const char *path);

/* Sends all of it at once, or says false. Raises no signal. */
bool posix_send(int fd, const char *bytes, size_t length);

#endif
