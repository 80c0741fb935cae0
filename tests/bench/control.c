#include "tests/bench/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/posix.h"

struct answer {
    size_t length;
    char text[CONTROL_ANSWER_MAX];
};

static void add(struct answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct answer *answer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(answer->text + answer->length, sizeof answer->text - answer->length,
                           format, arguments);
    va_end(arguments);
    if (length > 0)
        answer->length += (size_t)length;
    if (answer->length >= sizeof answer->text)
        answer->length = sizeof answer->text - 1;
}

/* ---- arguments */

static bool find_board(struct control *control, const char *text, int *board, struct answer *answer)
{
    struct hf_name name;
    *board =
        name_from_string(&name, text) ? bench_config_find_board(control->plant->config, &name) : -1;
    if (*board < 0)
        add(answer, "err board: %s, allowed: a board of the bench file\n", text);
    return *board >= 0;
}

static bool find_line(struct control *control, const char *text, int *resource, int *line,
                      struct answer *answer)
{
    const struct bench_config *config = control->plant->config;
    struct hf_name resource_name;
    struct hf_name line_name;
    *resource = bench_parse_line_name(text, &resource_name, &line_name) ?
                    bench_config_find_resource(config, &resource_name) :
                    -1;
    for (int i = 0; *resource >= 0 && i < config->resources[*resource].line_count; i++)
        if (name_equal(&config->resources[*resource].lines[i].name, &line_name)) {
            *line = i;
            return true;
        }
    add(answer, "err line: %s, allowed: RESOURCE/LINE of the bench file\n", text);
    return false;
}

/* ---- commands; words[0] is the command's own */

static void run_stuck(struct control *control, char *words[], struct answer *answer)
{
    static const char *const modes[] = { "none", "on", "off" };
    static const enum witness_force forces[] = { WITNESS_FORCE_NONE, WITNESS_FORCE_ON,
                                                 WITNESS_FORCE_OFF };
    int board = 0;
    int resource = 0;
    int line = 0;
    int mode = 0;
    bool relay = strcmp(words[1], "relay") == 0;
    if (!relay && strcmp(words[1], "readback") != 0) {
        add(answer, "err stuck: %s, allowed: relay or readback\n", words[1]);
        return;
    }
    while (mode < 3 && strcmp(words[4], modes[mode]) != 0)
        mode++;
    if (mode == 3) {
        add(answer, "err stuck: %s, allowed: on, off or none\n", words[4]);
        return;
    }
    if (!find_board(control, words[2], &board, answer) ||
        !find_line(control, words[3], &resource, &line, answer))
        return;
    if (relay)
        plant_force_relay(control->plant, board, resource, line, forces[mode], posix_now_ns());
    else
        plant_force_readback(control->plant, board, resource, line, forces[mode]);
    add(answer, "ok\n");
}

static void run_dead(struct control *control, char *words[], struct answer *answer)
{
    int board = 0;
    bool on = strcmp(words[3], "on") == 0;
    if (strcmp(words[1], "watchdog") != 0 || (!on && strcmp(words[3], "off") != 0)) {
        add(answer, "err dead: %s ... %s, allowed: dead watchdog BOARD on|off\n", words[1],
            words[3]);
        return;
    }
    if (!find_board(control, words[2], &board, answer))
        return;
    plant_set_watchdog_dead(control->plant, board, on);
    add(answer, "ok\n");
}

static void run_slow(struct control *control, char *words[], struct answer *answer)
{
    uint32_t delay_ms = 0;
    if (!bench_parse_number(words[2], 0, 60000, &delay_ms)) {
        add(answer, "err slow: %s, allowed: 0 to 60000 ms\n", words[2]);
        return;
    }
    for (int i = 0; i < control->plant->config->actuator_count; i++)
        if (strcmp(control->actuators[i].config->name.text, words[1]) == 0) {
            control->actuators[i].delay_ms = delay_ms;
            add(answer, "ok\n");
            return;
        }
    add(answer, "err slow: %s, allowed: an actuator of the bench file\n", words[1]);
}

static void run_reset(struct control *control, char *words[], struct answer *answer)
{
    int board = 0;
    if (!find_board(control, words[1], &board, answer))
        return;
    plant_reset_board(control->plant, board, "command", posix_now_ns());
    add(answer, "ok\n");
}

static void add_drivers(const struct plant *plant, int resource, bool json, struct answer *answer)
{
    bool any = false;
    for (int b = 0; b < plant->config->board_count; b++) {
        if (!witness_drives(&plant->witness, b, resource))
            continue;
        add(answer, json ? "%s\"%s\"" : "%s%s", any ? (json ? "," : " and ") : "",
            plant->config->boards[b].text);
        any = true;
    }
    if (!any && !json)
        add(answer, "nobody");
}

static void run_status(struct control *control, char *words[], struct answer *answer)
{
    const struct plant *plant = control->plant;
    unsigned long long overlaps = plant->witness.overlaps + plant->modbus_overlaps;
    bool json = words[1] != NULL;
    if (json && strcmp(words[1], "--json") != 0) {
        add(answer, "err status: %s, allowed: --json\n", words[1]);
        return;
    }
    if (json)
        add(answer, "{\"overlaps\":%llu,\"resources\":[", overlaps);
    for (int r = 0; r < plant->config->resource_count; r++) {
        const char *name = plant->config->resources[r].name.text;
        add(answer, json ? "%s{\"resource\":\"%s\",\"drives\":[" : "%s%s: driven by ",
            json && r ? "," : "", name);
        add_drivers(plant, r, json, answer);
        add(answer, json ? "]}" : "\n");
    }
    if (json)
        add(answer, "]}\nok\n");
    else
        add(answer, "ok %llu overlaps\n", overlaps);
}

struct control_command {
    const char *name;
    int least; /* words, its name included */
    int most;
    void (*run)(struct control *control, char *words[], struct answer *answer);
    bool fault; /* worth an event in the trace */
    const char *usage;
};

static const struct control_command commands[] = {
    { "stuck", 5, 5, run_stuck, true, "stuck relay|readback BOARD RESOURCE/LINE on|off|none" },
    { "dead", 4, 4, run_dead, true, "dead watchdog BOARD on|off" },
    { "slow", 3, 3, run_slow, true, "slow ACTUATOR MS" },
    { "reset", 2, 2, run_reset, true, "reset BOARD" },
    { "status", 1, 2, run_status, false, "status [--json]" },
};

static void run_words(struct control *control, char *words[], int count, const char *text,
                      struct answer *answer)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(words[0], commands[i].name) != 0)
            continue;
        if (count < commands[i].least || count > commands[i].most) {
            add(answer, "err %s: wrong number of words, allowed: %s\n", words[0],
                commands[i].usage);
            return;
        }
        commands[i].run(control, words, answer);
        if (commands[i].fault && strncmp(answer->text, "ok", 2) == 0)
            plant_mark(control->plant, text, posix_now_ns());
        return;
    }
    add(answer, "err command: %.40s, allowed: stuck, dead, slow, reset, status, mark, quit\n",
        words[0]);
}

static void run_command(struct control *control, const char *text, struct answer *answer)
{
    char copy[CONTROL_LINE_MAX + 1];
    char *words[BENCH_WORDS_MAX + 1] = { NULL };
    /* What the boards have done so far happened before this. */
    boards_pump(control->boards);
    if (strncmp(text, "mark ", 5) == 0 && text[5] != '\0') {
        plant_mark(control->plant, text + 5, posix_now_ns());
        add(answer, "ok\n");
        return;
    }
    snprintf(copy, sizeof copy, "%s", text);
    int count = bench_split_words(copy, words);
    if (count == 0)
        add(answer, "err command: malformed, allowed: up to 6 words, single spaces between them\n");
    else if (count == 1 && strcmp(words[0], "quit") == 0)
        add(answer, "ok\n");
    else
        run_words(control, words, count, text, answer);
    boards_pump(control->boards);
}

/* ---- connections */

static void free_connection(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop_connection(struct control_connection *connection)
{
    struct control *control = connection->control;
    for (int i = 0; i < control->count; i++)
        if (control->connections[i] == connection)
            control->connections[i] = control->connections[--control->count];
    uv_poll_stop(&connection->poll);
    close(connection->fd);
    uv_close((uv_handle_t *)&connection->poll, free_connection);
}

/* False if the connection is to be dropped. */
static bool serve_line(struct control_connection *connection, const char *text)
{
    struct answer answer = { .length = 0 };
    run_command(connection->control, text, &answer);
    bool sent = posix_send(connection->fd, answer.text, answer.length);
    if (strcmp(text, "quit") == 0)
        connection->control->quit(connection->control->loop);
    return sent;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    static const char too_long[] = "err line: too long, allowed: at most 511 bytes\n";
    struct control_connection *connection = poll->data;
    (void)status;
    (void)events;
    ssize_t got = recv(connection->fd, connection->bytes + connection->length,
                       CONTROL_LINE_MAX + 1 - connection->length, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        drop_connection(connection);
        return;
    }
    connection->length += (size_t)got;
    char *end = memchr(connection->bytes, '\n', connection->length);
    while (end) {
        size_t used = (size_t)(end - connection->bytes) + 1;
        *end = '\0';
        if (!serve_line(connection, connection->bytes)) {
            drop_connection(connection);
            return;
        }
        connection->length -= used;
        memmove(connection->bytes, connection->bytes + used, connection->length);
        end = memchr(connection->bytes, '\n', connection->length);
    }
    if (connection->length > CONTROL_LINE_MAX) {
        (void)posix_send(connection->fd, too_long, sizeof too_long - 1);
        drop_connection(connection);
    }
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct control *control = poll->data;
    (void)status;
    (void)events;
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct control_connection *connection = NULL;
    if (control->count < CONTROL_CONNECTIONS_MAX)
        connection = calloc(1, sizeof *connection);
    if (!connection || uv_poll_init(control->loop, &connection->poll, fd) != 0) {
        free(connection);
        close(fd);
        return;
    }
    connection->control = control;
    connection->fd = fd;
    connection->poll.data = connection;
    control->connections[control->count++] = connection;
    uv_poll_start(&connection->poll, UV_READABLE, on_readable);
}

bool control_open(struct control *control, uv_loop_t *loop, struct boards *boards,
                  struct plant *plant, struct actuator *actuators, void (*quit)(uv_loop_t *loop))
{
    memset(control, 0, sizeof *control);
    control->loop = loop;
    control->boards = boards;
    control->plant = plant;
    control->actuators = actuators;
    control->quit = quit;
    control->listen_fd = posix_listen_unix(plant->config->ctl);
    if (control->listen_fd < 0 || uv_poll_init(loop, &control->listener, control->listen_fd) != 0)
        return false;
    control->listener.data = control;
    return uv_poll_start(&control->listener, UV_READABLE, on_connection) == 0;
}

void control_close(struct control *control)
{
    while (control->count > 0)
        drop_connection(control->connections[0]);
    uv_poll_stop(&control->listener);
    uv_close((uv_handle_t *)&control->listener, NULL);
    close(control->listen_fd);
    (void)unlink(control->plant->config->ctl);
}
