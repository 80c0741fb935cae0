/*
 * The gateway at the bench of a simulated board.
 *
 * Purpose: it registers, so that the simulated watchdog can end this process with its board, and it
 *   names the local ports of its connections to actuators, so that the witness knows whose writes
 *   it sees. A bench that is missing or goes away is logged and tried again; nothing depends on it.
 * Owner: main. gateway_bench_tell_port() is for any thread.
 * Source: hal/sim/PROTOCOL.md.
 */
#ifndef HOLDFAST_GATEWAY_BENCH_H
#define HOLDFAST_GATEWAY_BENCH_H

#include <pthread.h>

#include "conf/conf.h"
#include "hal/hal.h"

enum { GATEWAY_BENCH_RETRY_MS = 1000 };

struct gateway_bench {
    const struct conf *conf;
    bool absence_logged;
    struct instant retry_at;

    pthread_mutex_t mutex; /* guards what follows */
    bool registered;
    struct hal hal;
    uint16_t port[CONF_ACTUATORS_MAX]; /* the latest, to be told again to a new bench; 0: none */
    size_t next_port;
};

/* Prepares *bench; conf outlives it. Connects to nothing. */
void gateway_bench_open(struct gateway_bench *bench, const struct conf *conf);

/*
 * Registers if the board is simulated, not registered yet, and it is time to try. Returns true if
 * there is reason to come back after GATEWAY_BENCH_RETRY_MS. Blocks for at most 1 s.
 */
bool gateway_bench_register(struct gateway_bench *bench);

/* The descriptor to poll, or -1. */
int gateway_bench_descriptor(const struct gateway_bench *bench);

/* Takes in what the bench sent, and notices when it has gone. Does not block. */
void gateway_bench_drain(struct gateway_bench *bench);

/* `context` is the struct gateway_bench; port (1..65535) is an actuator connection's own. */
void gateway_bench_tell_port(void *context, uint16_t port);

void gateway_bench_close(struct gateway_bench *bench);

#endif
