/*
 * The boards' side of the bench: the socket that their processes connect to, and the processes
 * themselves (registered, and killed at a reset). Owner: main; one thread (the loop).
 *
 * How it can't miss an overlap, however late the loop is: boards_pump() reads every connection
 * twice. Bytes of the first reading are acted upon, those of the second are kept for the next
 * round. So when a line going off is acted upon, every connection has been read after that line's
 * command was: whatever another board sent before it is known, and is stamped "since before the
 * first reading". A line that goes on counts from the earliest instant, one that goes off from the
 * latest.
 */
#ifndef HOLDFAST_BENCH_BOARDS_H
#define HOLDFAST_BENCH_BOARDS_H

#include <sys/types.h>
#include <uv.h>

#include "tests/bench/plant.h"
#include "tests/bench/protocol.h"

enum {
    BOARDS_CONNECTIONS_MAX = 64,
    BOARDS_PROCESSES_MAX = 16, /* of one board */
    BOARDS_PORTS = 1 << 16,
    BOARDS_UNREAD_MAX = 1 << 20 /* bytes of one connection waiting to be acted upon */
};

struct boards_connection {
    uv_poll_t poll;
    int fd;
    bool ended; /* the peer has closed, or the bench is about to */
    pid_t peer; /* by SO_PEERCRED; 0 if it is of another namespace */
    enum bench_role role;
    int board;
    char *bytes;
    size_t length;
    size_t size;
    size_t ready;      /* bytes of the first reading */
    bool ended_ready;  /* the end was seen by the first reading */
    int64_t oldest_ns; /* before the reading that brought the oldest byte */
};

struct boards_process {
    pid_t pid; /* 0: free */
    int pidfd; /* -1 where the kernel has none */
};

struct boards {
    uv_loop_t *loop;
    struct plant *plant;
    uv_poll_t listener;
    int listen_fd;
    int count;
    struct boards_connection *connections[BOARDS_CONNECTIONS_MAX]; /* in order of arrival */
    struct boards_process processes[WITNESS_BOARDS_MAX][BOARDS_PROCESSES_MAX];
    uint8_t port_owner[BOARDS_PORTS]; /* board + 1 whose gateway named it last; 0: none */
};

/* Listens at the plant's socket path. False with errno if it can't. */
bool boards_open(struct boards *boards, uv_loop_t *loop, struct plant *plant);

/* Takes in everything that has arrived and advances the plant to now. Never blocks. */
void boards_pump(struct boards *boards);

/*
 * The board whose gateway said last that this local port is its, or -1. It counts on after that
 * gateway has gone: what it wrote before may still be under way.
 */
int boards_find_port(const struct boards *boards, uint16_t port);

/* The connection of this port has ended: whoever gets the port next is somebody new. */
void boards_forget_port(struct boards *boards, uint16_t port);

/* The plant's hooks; context is the struct boards. */
void boards_tell_readback(void *context, int board, const struct bench_resource_config *resource,
                          const struct bench_line_config *line, bool level);
void boards_reset(void *context, int board);

void boards_close(struct boards *boards);

#endif
