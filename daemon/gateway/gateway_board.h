/*
 * The gateway as a process of its board.
 *
 * Purpose: a simulated board (the bench) must be able to end this process when its watchdog bites,
 *   and must know whose writes it sees. So the gateway joins the board, as its other processes do,
 *   and announces the local ports of its connections to actuators. A board that can't be joined, or
 *   goes away, is logged and tried again; no request depends on it.
 * Owner: main. gateway_board_announce_port() is for any thread.
 */
#ifndef HOLDFAST_GATEWAY_BOARD_H
#define HOLDFAST_GATEWAY_BOARD_H

#include <pthread.h>

#include "conf/conf.h"
#include "hal/hal.h"

enum { GATEWAY_BOARD_RETRY_MS = 1000 };

struct gateway_board {
    struct hal_board board;
    bool absence_logged;
    struct instant retry_at;

    pthread_mutex_t mutex; /* guards what follows */
    bool joined;
    struct hal hal;
    /* The latest ports, to be announced again when the board comes back; 0: none. */
    uint16_t port[CONF_ACTUATORS_MAX];
    size_t next_port;
};

/* Prepares *board; conf outlives it. Opens nothing. */
void gateway_board_open(struct gateway_board *board, const struct conf *conf);

/*
 * Opens the board's hardware if it is not open yet, and it is time to try. Returns true if there is
 * reason to come back after GATEWAY_BOARD_RETRY_MS. Blocks for at most 1 s.
 */
bool gateway_board_join(struct gateway_board *board);

/* The descriptor to poll, or -1. */
int gateway_board_descriptor(const struct gateway_board *board);

/* Takes in what arrived, and notices when the board has gone. Does not block. */
void gateway_board_drain(struct gateway_board *board);

/* `context` is the struct gateway_board; port (1..65535) is an actuator connection's own. */
void gateway_board_announce_port(void *context, uint16_t port);

void gateway_board_close(struct gateway_board *board);

#endif
