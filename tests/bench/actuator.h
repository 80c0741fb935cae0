/*
 * The plant's actuators: Modbus servers, over TCP (several connections each) or RTU on a pty of
 * their own. A request takes effect, and is answered, delay_ms after it has been read whole: a slow
 * actuator acts late, even if its master has hung up since. Owner: main; one thread (the loop).
 */
#ifndef HOLDFAST_BENCH_ACTUATOR_H
#define HOLDFAST_BENCH_ACTUATOR_H

#include <uv.h>

#include "tests/bench/boards.h"
#include "tests/bench/pdu.h"

enum {
    ACTUATOR_LINKS_MAX = 16, /* connections of one actuator */
    ACTUATOR_FRAME_MAX = 260,
    ACTUATOR_PEER_MAX = 64
};

struct actuator;

/* A connection of a master, or the pty. */
struct actuator_link {
    struct actuator *actuator;
    uv_poll_t poll;
    uv_timer_t timer; /* of the delay */
    int open_handles;
    int fd;
    bool ended;         /* the peer has closed */
    bool waiting;       /* the first frame waits for its delay */
    int64_t arrived_ns; /* when the first frame was whole */
    char peer[ACTUATOR_PEER_MAX];
    uint16_t peer_port; /* 0: pty */
    int board;          /* whose gateway it is; -1: not known (yet) */
    size_t length;
    uint8_t bytes[4 * ACTUATOR_FRAME_MAX];
};

struct actuator {
    const struct bench_actuator_config *config;
    uv_loop_t *loop;
    struct boards *boards;
    struct plant *plant;
    uint32_t delay_ms;
    uv_poll_t listener;
    int listen_fd; /* -1: RTU */
    int slave_fd;  /* RTU: held open, so that the pty outlives its masters */
    uint16_t port; /* the actual one */
    char pty[64];
    int link_count;
    struct actuator_link *links[ACTUATOR_LINKS_MAX];
    struct pdu_image image;
};

/* Listens, or makes the pty. False with errno if it can't. */
bool actuator_open(struct actuator *actuator, const struct bench_actuator_config *config,
                   uv_loop_t *loop, struct boards *boards, struct plant *plant);

void actuator_close(struct actuator *actuator);

#endif
