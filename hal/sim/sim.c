/*
 * The simulated board: a client of the bench. The line protocol is in PROTOCOL.md beside this file.
 *
 * A write that would block, a closed socket and a broken line are all HAL_LOST: the bench takes a
 * lost connection for a dead process and sets the lines to their power-on level.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "hal/clock.h"
#include "hal/hal.h"

enum {
    SIM_OPEN_LIMIT_MS = 1000, /* for the connection, and for a line's first level */
    SIM_RETRY_MS = 10,
    SIM_INPUTS_MAX = HF_LEASES_PER_AGENT_MAX * HF_OUTPUTS_MAX,
    SIM_PATH_MAX = 2 * HF_NAME_MAX + 2, /* "resource/name" */
    SIM_LINE_MAX = 160                  /* bytes of one message */
};

/* A readback line that the bench has spoken of. */
struct sim_input {
    char path[SIM_PATH_MAX];
    bool level;
};

struct sim_hal {
    int fd;
    bool lost;
    size_t received; /* bytes of an unfinished line */
    char line[SIM_LINE_MAX];
    size_t input_count;
    struct sim_input input[SIM_INPUTS_MAX];
};

struct hal_line {
    struct sim_hal *sim;
    const struct sim_input *input; /* NULL for an output */
    bool level;                    /* output: what was last sent */
    char path[SIM_PATH_MAX];
};

static enum hal_result sim_lose(struct sim_hal *sim)
{
    sim->lost = true;
    /* Whoever waits for the descriptor wakes, and is told by the next call. */
    (void)shutdown(sim->fd, SHUT_RDWR);
    return HAL_LOST;
}

static enum hal_result sim_send(struct sim_hal *sim, const char *text, size_t length)
{
    if (sim->lost)
        return HAL_LOST;
    ssize_t sent = send(sim->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* A part of a line can't be taken back, so the connection is of no more use. */
    return sent == (ssize_t)length ? HAL_OK : sim_lose(sim);
}

/* ---- what the bench says */

static struct sim_input *sim_find(struct sim_hal *sim, const char *path)
{
    for (size_t i = 0; i < sim->input_count; i++) {
        if (strcmp(sim->input[i].path, path) == 0)
            return &sim->input[i];
    }
    return NULL;
}

static enum hal_result sim_take_level(struct sim_hal *sim, const char *path, bool level)
{
    struct sim_input *input = sim_find(sim, path);
    if (input == NULL) {
        if (sim->input_count == SIM_INPUTS_MAX || strlen(path) >= SIM_PATH_MAX)
            return sim_lose(sim);
        input = &sim->input[sim->input_count++];
        memcpy(input->path, path, strlen(path) + 1);
    }
    input->level = level;
    return HAL_OK;
}

/* "in RESOURCE/NAME 0|1" or "err TEXT". */
static enum hal_result sim_take_line(struct sim_hal *sim, char *line)
{
    size_t length = strlen(line);
    if (strncmp(line, "err ", 4) == 0) {
        fprintf(stderr, "bench: refused: %s\n", line + 4);
        return sim_lose(sim);
    }
    /* A newer bench may say more. */
    if (strncmp(line, "in ", 3) != 0)
        return HAL_OK;
    if (length < 6 || line[length - 2] != ' ' ||
        (line[length - 1] != '0' && line[length - 1] != '1')) {
        fprintf(stderr, "bench: not understood: %s\n", line);
        return sim_lose(sim);
    }
    bool level = line[length - 1] == '1';
    line[length - 2] = '\0';
    return sim_take_level(sim, line + 3, level);
}

static enum hal_result sim_take_lines(struct sim_hal *sim)
{
    char *end = memchr(sim->line, '\n', sim->received);
    while (end != NULL) {
        *end = '\0';
        if (sim_take_line(sim, sim->line) != HAL_OK)
            return HAL_LOST;
        size_t used = (size_t)(end - sim->line) + 1;
        sim->received -= used;
        memmove(sim->line, sim->line + used, sim->received);
        end = memchr(sim->line, '\n', sim->received);
    }
    return sim->received == sizeof(sim->line) ? sim_lose(sim) : HAL_OK;
}

static enum hal_result sim_service(void *hal)
{
    struct sim_hal *sim = hal;
    for (;;) {
        if (sim->lost)
            return HAL_LOST;
        ssize_t got = recv(sim->fd, sim->line + sim->received, sizeof(sim->line) - sim->received,
                           MSG_DONTWAIT);
        if (got < 0)
            return errno == EAGAIN || errno == EINTR ? HAL_OK : sim_lose(sim);
        if (got == 0)
            return sim_lose(sim);
        sim->received += (size_t)got;
        if (sim_take_lines(sim) != HAL_OK)
            return HAL_LOST;
    }
}

/*
 * ---- lines. The bench deals in logical levels: chip, number and polarity are wiring, of which it
 * has none.
 */

static enum hal_result sim_line_new(struct sim_hal *sim, const char *resource, const char *name,
                                    struct hal_line **out)
{
    struct hal_line *line = calloc(1, sizeof(*line));
    if (line == NULL)
        return HAL_IO;
    line->sim = sim;
    int length = snprintf(line->path, sizeof(line->path), "%s/%s", resource, name);
    if (length < 0 || (size_t)length >= sizeof(line->path)) {
        free(line);
        return HAL_NOT_FOUND;
    }
    *out = line;
    return HAL_OK;
}

static enum hal_result sim_send_level(struct hal_line *line, bool level)
{
    char text[SIM_LINE_MAX];
    int length = snprintf(text, sizeof(text), "out %s %d\n", line->path, level);
    enum hal_result result = sim_send(line->sim, text, (size_t)length);
    if (result == HAL_OK)
        line->level = level;
    return result;
}

static enum hal_result sim_open_output(void *hal, const struct hal_line_config *config,
                                       struct hal_line **out)
{
    struct hal_line *line = NULL;
    enum hal_result result = sim_line_new(hal, config->resource, config->output, &line);
    if (result != HAL_OK)
        return result;
    result = sim_send_level(line, false);
    if (result != HAL_OK) {
        free(line);
        return result;
    }
    *out = line;
    return HAL_OK;
}

/* The bench tells every level right after hello; a line that it never names is not there. */
static enum hal_result sim_await_input(struct sim_hal *sim, const char *path,
                                       const struct sim_input **out)
{
    struct instant limit = instant_add(hal_clock_now(), span_from_ms(SIM_OPEN_LIMIT_MS));
    while ((*out = sim_find(sim, path)) == NULL) {
        struct pollfd waited = { .fd = sim->fd, .events = POLLIN };
        int64_t left_ms = span_to_ms(instant_diff(limit, hal_clock_now()));
        if (left_ms <= 0)
            return HAL_NOT_FOUND;
        if (poll(&waited, 1, (int)left_ms) < 0 && errno != EINTR)
            return HAL_IO;
        if (sim_service(sim) != HAL_OK)
            return HAL_LOST;
    }
    return HAL_OK;
}

static enum hal_result sim_open_input(void *hal, const struct hal_line_config *config,
                                      struct hal_line **out)
{
    struct hal_line *line = NULL;
    enum hal_result result = sim_line_new(hal, config->resource, config->output, &line);
    if (result != HAL_OK)
        return result;
    result = sim_await_input(hal, line->path, &line->input);
    if (result != HAL_OK) {
        free(line);
        return result;
    }
    *out = line;
    return HAL_OK;
}

static enum hal_result sim_set(struct hal_line *line, bool on)
{
    if (line->input != NULL)
        return HAL_IO;
    if (line->sim->lost)
        return HAL_LOST;
    return on == line->level ? HAL_OK : sim_send_level(line, on);
}

static enum hal_result sim_get(struct hal_line *line, bool *on)
{
    if (line->sim->lost)
        return HAL_LOST;
    if (line->input == NULL)
        return HAL_IO;
    *on = line->input->level;
    return HAL_OK;
}

/* The bench tells every change, without a date. */
static bool sim_edges(const struct hal_line *line, int64_t *monotonic_us)
{
    *monotonic_us = INT64_MIN;
    return line->input != NULL;
}

static enum hal_result sim_look(void *hal, const struct hal_line_config *config,
                                struct hal_line_facts *facts)
{
    (void)hal;
    (void)config;
    (void)facts;
    return HAL_UNSUPPORTED;
}

static void sim_line_close(struct hal_line *line)
{
    if (line->input == NULL)
        (void)sim_set(line, false);
    free(line);
}

/* ---- watchdog */

static enum hal_result sim_arm(void *hal, const char *device, uint32_t timeout_ms,
                               uint32_t *actual_ms)
{
    char text[SIM_LINE_MAX];
    (void)device;
    int length = snprintf(text, sizeof(text), "wd arm %u\n", (unsigned)timeout_ms);
    *actual_ms = timeout_ms;
    return timeout_ms == 0 ? HAL_UNSUPPORTED : sim_send(hal, text, (size_t)length);
}

static enum hal_result sim_feed(void *hal)
{
    return sim_send(hal, "wd feed\n", 8);
}

static enum hal_result sim_stop(void *hal)
{
    return sim_send(hal, "wd stop\n", 8);
}

/* ---- the connection */

static enum hal_result sim_announce_port(void *hal, uint16_t port)
{
    char text[SIM_LINE_MAX];
    int length = snprintf(text, sizeof(text), "modbus %u\n", (unsigned)port);
    return sim_send(hal, text, (size_t)length);
}

static const char *sim_why(void *hal)
{
    (void)hal;
    return "";
}

static const struct hal_output_ops sim_output_ops = {
    .open_output = sim_open_output,
    .open_input = sim_open_input,
    .set = sim_set,
    .get = sim_get,
    .edges = sim_edges,
    .close = sim_line_close,
    .look = sim_look,
};

static const struct hal_watchdog_ops sim_watchdog_ops = {
    .arm = sim_arm,
    .feed = sim_feed,
    .stop = sim_stop,
};

static void sim_close(struct hal *hal)
{
    struct sim_hal *sim = hal->context;
    close(sim->fd);
    free(sim);
    memset(hal, 0, sizeof(*hal));
    hal->fd = -1;
}

/* A bench that has just been started may not listen yet. */
static bool connect_may_succeed_later(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == EAGAIN || error == EINTR;
}

static enum hal_result sim_connect(const char *path, int *out)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timespec nap = { 0, SIM_RETRY_MS * 1000000L };
    if (strlen(path) >= sizeof(address.sun_path))
        return HAL_NOT_FOUND;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return HAL_IO;
    for (int waited_ms = 0; connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
         waited_ms += SIM_RETRY_MS) {
        int error = errno;
        if (!connect_may_succeed_later(error) || waited_ms >= SIM_OPEN_LIMIT_MS) {
            close(fd);
            return error == EACCES || error == EPERM ? HAL_DENIED : HAL_NOT_FOUND;
        }
        nanosleep(&nap, NULL);
    }
    *out = fd;
    return HAL_OK;
}

enum hal_result hal_sim_open(struct hal *hal, const char *socket, const char *board,
                             const char *role)
{
    char hello[SIM_LINE_MAX];
    struct sim_hal *sim = calloc(1, sizeof(*sim));
    if (sim == NULL)
        return HAL_IO;
    enum hal_result result = sim_connect(socket, &sim->fd);
    if (result != HAL_OK) {
        free(sim);
        return result;
    }
    *hal = (struct hal){
        .backend = "sim",
        .output = &sim_output_ops,
        .watchdog = &sim_watchdog_ops,
        .context = sim,
        .fd = sim->fd,
        .service = sim_service,
        .announce_port = sim_announce_port,
        .why = sim_why,
        .close = sim_close,
    };
    int length = snprintf(hello, sizeof(hello), "hello %s %s %ld\n", board, role, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof(hello) ||
        sim_send(sim, hello, (size_t)length) != HAL_OK) {
        sim_close(hal);
        return HAL_LOST;
    }
    return HAL_OK;
}
