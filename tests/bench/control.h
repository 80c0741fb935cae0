/*
 * Faults on command: the ctl socket of the bench, and the client of it. One command a line; the
 * answer is any number of lines and then one that starts with `ok` or `err`. The commands are in
 * README.md. Owner: main; one thread (the loop). The client blocks.
 */
#ifndef HOLDFAST_BENCH_CONTROL_H
#define HOLDFAST_BENCH_CONTROL_H

#include <uv.h>

#include "tests/bench/actuator.h"

enum { CONTROL_CONNECTIONS_MAX = 16, CONTROL_LINE_MAX = 511, CONTROL_ANSWER_MAX = 16384 };

struct control;

struct control_connection {
    struct control *control;
    uv_poll_t poll;
    int fd;
    size_t length;
    char bytes[CONTROL_LINE_MAX + 1];
};

struct control {
    uv_loop_t *loop;
    struct boards *boards;
    struct plant *plant;
    struct actuator *actuators;
    void (*quit)(uv_loop_t *loop);
    uv_poll_t listener;
    int listen_fd;
    int count;
    struct control_connection *connections[CONTROL_CONNECTIONS_MAX];
};

/* Listens at the plant's ctl path; `quit` is called for the command of that name. False with errno.
 */
bool control_open(struct control *control, uv_loop_t *loop, struct boards *boards,
                  struct plant *plant, struct actuator *actuators, void (*quit)(uv_loop_t *loop));

void control_close(struct control *control);

/*
 * Sends the words as one command and prints the answer. Exit status: 0 ok, 1 refused, 3
 * unreachable. Blocks until the answer, at most 5 s.
 */
int control_client_run(const char *socket, int count, char *const words[]);

#endif
