/*
 * A bench just big enough for a test: one connection, one relay per output line whose readback
 * follows at once, unless the test holds it. Runs in a thread of the test.
 */
#ifndef HOLDFAST_TESTS_UNIT_HAL_FAKE_BENCH_H
#define HOLDFAST_TESTS_UNIT_HAL_FAKE_BENCH_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/unit.h"

struct fake_bench {
    char path[108];
    int listen_fd;
    int stop[2];
    pthread_t thread;
    pthread_mutex_t lock;
    /* below: under lock */
    int fd; /* -1: nobody is connected */
    char hello[128];
    char last[128]; /* the last line of any kind */
    bool level;     /* of pump/enable */
    bool held;      /* the readback does not follow */
    bool at_off;    /* the connection is gone, so lines are at power-on level */
    int edges;
    int feeds;
    unsigned armed_ms;
    bool watchdog_stopped;
    int ports; /* of connections to actuators, told of so far */
};

static inline void fake_bench_say(struct fake_bench *bench, const char *text)
{
    if (bench->fd >= 0)
        (void)!send(bench->fd, text, strlen(text), MSG_NOSIGNAL);
}

static inline void fake_bench_take(struct fake_bench *bench, const char *line)
{
    snprintf(bench->last, sizeof(bench->last), "%s", line);
    if (strncmp(line, "hello ", 6) == 0) {
        snprintf(bench->hello, sizeof(bench->hello), "%s", line);
        bench->at_off = false;
        fake_bench_say(bench, "in pump/enable 0\n");
    } else if (strncmp(line, "out pump/enable ", 16) == 0) {
        bool level = line[16] == '1';
        bench->edges += level != bench->level;
        if (level != bench->level && !bench->held)
            fake_bench_say(bench, level ? "in pump/enable 1\n" : "in pump/enable 0\n");
        bench->level = level;
    } else if (sscanf(line, "wd arm %u", &bench->armed_ms) == 1) {
        bench->watchdog_stopped = false;
    } else if (strcmp(line, "wd feed") == 0) {
        bench->feeds++;
    } else if (strcmp(line, "wd stop") == 0) {
        bench->watchdog_stopped = true;
    } else if (strncmp(line, "modbus ", 7) == 0) {
        bench->ports++;
    }
}

static inline void fake_bench_hang_up(struct fake_bench *bench)
{
    pthread_mutex_lock(&bench->lock);
    if (bench->fd >= 0)
        shutdown(bench->fd, SHUT_RDWR);
    pthread_mutex_unlock(&bench->lock);
}

/* One connection until its end. */
static inline void fake_bench_serve(struct fake_bench *bench, int fd)
{
    char text[128];
    size_t used = 0;
    ssize_t got = 0;
    while ((got = recv(fd, text + used, sizeof(text) - used, 0)) > 0) {
        used += (size_t)got;
        char *end = NULL;
        pthread_mutex_lock(&bench->lock);
        while ((end = memchr(text, '\n', used)) != NULL) {
            size_t length = (size_t)(end - text) + 1;
            *end = '\0';
            fake_bench_take(bench, text);
            used -= length;
            memmove(text, text + length, used);
        }
        pthread_mutex_unlock(&bench->lock);
    }
}

static inline void *fake_bench_thread(void *argument)
{
    struct fake_bench *bench = argument;
    for (;;) {
        struct pollfd polled[2] = { { bench->listen_fd, POLLIN, 0 },
                                    { bench->stop[0], POLLIN, 0 } };
        if (poll(polled, 2, -1) < 0 || polled[1].revents)
            return NULL;
        int fd = accept(bench->listen_fd, NULL, NULL);
        if (fd < 0)
            continue;
        pthread_mutex_lock(&bench->lock);
        bench->fd = fd;
        pthread_mutex_unlock(&bench->lock);
        fake_bench_serve(bench, fd);
        pthread_mutex_lock(&bench->lock);
        bench->fd = -1;
        bench->level = false;
        bench->at_off = true;
        pthread_mutex_unlock(&bench->lock);
        close(fd);
    }
}

static inline void fake_bench_open(struct fake_bench *bench, const char *folder)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memset(bench, 0, sizeof(*bench));
    bench->fd = -1;
    pthread_mutex_init(&bench->lock, NULL);
    snprintf(bench->path, sizeof(bench->path), "%s/bench.sock", folder);
    memcpy(address.sun_path, bench->path, sizeof(address.sun_path));
    bench->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(bench->listen_fd >= 0);
    assert_int_equal(bind(bench->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(bench->listen_fd, 4), 0);
    assert_int_equal(pipe(bench->stop), 0);
    assert_int_equal(pthread_create(&bench->thread, NULL, fake_bench_thread, bench), 0);
}

static inline void fake_bench_close(struct fake_bench *bench)
{
    (void)!write(bench->stop[1], "x", 1);
    fake_bench_hang_up(bench);
    pthread_join(bench->thread, NULL);
    close(bench->listen_fd);
    close(bench->stop[0]);
    close(bench->stop[1]);
    unlink(bench->path);
}

static inline void nap_ms(long ms)
{
    struct timespec nap = { 0, ms * 1000000 };
    nanosleep(&nap, NULL);
}

/* Polls `condition` for at most 5 s, with the bench's lock held while it looks. */
#define AWAIT(bench, condition)                                                                    \
    do {                                                                                           \
        bool met_ = false;                                                                         \
        for (int tries_ = 0; tries_ < 5000 && !met_; tries_++) {                                   \
            pthread_mutex_lock(&(bench)->lock);                                                    \
            met_ = (condition);                                                                    \
            pthread_mutex_unlock(&(bench)->lock);                                                  \
            if (!met_)                                                                             \
                nap_ms(1);                                                                         \
        }                                                                                          \
        if (!met_)                                                                                 \
            fail_msg("never came true: %s", #condition);                                           \
    } while (0)

#endif
