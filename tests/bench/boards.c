#include "tests/bench/boards.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/posix.h"

enum { READ_CHUNK = 4096, ROUNDS_MAX = 8 };

/* Polls only wake the loop: reading is done by boards_pump(), which runs after every wake. */
static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

static void free_connection(uv_handle_t *handle)
{
    struct boards_connection *connection = handle->data;
    free(connection->bytes);
    free(connection);
}

/* ---- processes */

static bool process_gone(const struct boards_process *process)
{
    struct pollfd entry = { .fd = process->pidfd, .events = POLLIN };
    if (process->pidfd >= 0)
        return poll(&entry, 1, 0) == 1;
    return kill(process->pid, 0) != 0 && errno == ESRCH;
}

static void forget_process(struct boards_process *process)
{
    if (process->pidfd >= 0)
        close(process->pidfd);
    process->pid = 0;
}

static bool register_process(struct boards *boards, int board, pid_t pid)
{
    struct boards_process *table = boards->processes[board];
    struct boards_process *free_entry = NULL;
    for (int i = 0; i < BOARDS_PROCESSES_MAX; i++) {
        if (table[i].pid != 0 && process_gone(&table[i]))
            forget_process(&table[i]);
        if (table[i].pid == pid)
            return true;
        if (table[i].pid == 0 && !free_entry)
            free_entry = &table[i];
    }
    if (!free_entry)
        return false;
    free_entry->pid = pid;
    free_entry->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return true;
}

/* Without a pidfd the number may have been reused, unless a connection of it is still open. */
static bool still_connected(const struct boards *boards, int board, pid_t pid)
{
    for (int i = 0; i < boards->count; i++) {
        const struct boards_connection *connection = boards->connections[i];
        if (connection->role != BENCH_ROLE_NONE && connection->board == board &&
            connection->peer == pid && !connection->ended)
            return true;
    }
    return false;
}

void boards_reset(void *context, int board)
{
    struct boards *boards = context;
    for (int i = 0; i < BOARDS_PROCESSES_MAX; i++) {
        struct boards_process *process = &boards->processes[board][i];
        if (process->pid <= 1)
            continue;
        if (process->pidfd >= 0)
            (void)syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
        else if (still_connected(boards, board, process->pid))
            (void)kill(process->pid, SIGKILL);
        forget_process(process);
    }
    for (int i = 0; i < boards->count; i++) {
        struct boards_connection *connection = boards->connections[i];
        if (connection->role == BENCH_ROLE_NONE || connection->board != board)
            continue;
        /* What it had sent before the bite no longer counts: the reset has put its lines off. */
        connection->role = BENCH_ROLE_NONE;
        connection->length = connection->ready = 0;
        connection->ended = connection->ended_ready = true;
    }
}

/* ---- connections */

static void refuse(struct boards_connection *connection, const char *text)
{
    char line[BENCH_ERROR_MAX + 8];
    int length = snprintf(line, sizeof line, "err %s\n", text);
    (void)posix_send(connection->fd, line, (size_t)length);
    fprintf(stderr, "boards: pid %d refused: %s\n", (int)connection->peer, text);
    connection->length = connection->ready = 0;
    connection->ended = connection->ended_ready = true;
}

static struct boards_connection *find_guard(struct boards *boards, int board)
{
    for (int i = 0; i < boards->count; i++) {
        struct boards_connection *connection = boards->connections[i];
        if (connection->role == BENCH_ROLE_GUARD && connection->board == board)
            return connection;
    }
    return NULL;
}

void boards_tell_readback(void *context, int board, const struct bench_resource_config *resource,
                          const struct bench_line_config *line, bool level)
{
    struct boards_connection *guard = find_guard(context, board);
    char text[BENCH_LINE_MAX + 1];
    if (!guard || guard->ended)
        return;
    int length =
        snprintf(text, sizeof text, "in %s/%s %d\n", resource->name.text, line->name.text, level);
    if (!posix_send(guard->fd, text, (size_t)length))
        refuse(guard, "readback: the process does not read, allowed: reading what the bench sends");
}

static void act_hello(struct boards *boards, struct boards_connection *connection,
                      const struct bench_command *command, int64_t late_ns, char *error)
{
    const struct plant *plant = boards->plant;
    const char *name = command->board.text;
    int board = bench_config_find_board(plant->config, &command->board);
    if (board < 0)
        snprintf(error, BENCH_ERROR_MAX, "hello: board: %s, allowed: a board of the bench file",
                 name);
    else if (plant->boards[board].reset_until_ns > late_ns)
        snprintf(error, BENCH_ERROR_MAX, "hello: %s: in reset, allowed: hello in %" PRId64 " ms",
                 name, (plant->boards[board].reset_until_ns - late_ns) / 1000000 + 1);
    else if (connection->peer != 0 && connection->peer != command->pid)
        snprintf(error, BENCH_ERROR_MAX, "hello: pid: %d, allowed: the sender's own, %d",
                 (int)command->pid, (int)connection->peer);
    else if (command->role == BENCH_ROLE_GUARD && find_guard(boards, board))
        snprintf(error, BENCH_ERROR_MAX, "hello: %s: a second guard, allowed: one at a time", name);
    else if (!register_process(boards, board, command->pid))
        snprintf(error, BENCH_ERROR_MAX, "hello: %s: too many processes, allowed: %d", name,
                 BOARDS_PROCESSES_MAX);
    if (error[0] != '\0')
        return;
    connection->role = command->role;
    connection->board = board;
    connection->peer = command->pid;
    if (command->role == BENCH_ROLE_GUARD)
        plant_join_guard(boards->plant, board, late_ns);
}

static void act_out(struct boards *boards, struct boards_connection *connection,
                    const struct bench_command *command, int64_t late_ns, char *error)
{
    const struct bench_config *config = boards->plant->config;
    int resource = bench_config_find_resource(config, &command->resource);
    for (int i = 0; resource >= 0 && i < config->resources[resource].line_count; i++)
        if (name_equal(&config->resources[resource].lines[i].name, &command->line)) {
            plant_set_level(boards->plant, connection->board, resource, i, command->level,
                            connection->oldest_ns, late_ns);
            return;
        }
    snprintf(error, BENCH_ERROR_MAX, "out: line: %s/%s, allowed: a line of the bench file",
             command->resource.text, command->line.text);
}

static void act(struct boards *boards, struct boards_connection *connection, const char *text,
                int64_t late_ns)
{
    struct bench_command command;
    char error[BENCH_ERROR_MAX] = "";
    if (!bench_protocol_parse(text, connection->role, &command, error)) {
        refuse(connection, error);
        return;
    }
    switch (command.verb) {
    case BENCH_HELLO:
        act_hello(boards, connection, &command, late_ns, error);
        break;
    case BENCH_OUT:
        act_out(boards, connection, &command, late_ns, error);
        break;
    case BENCH_WD_ARM:
        plant_arm_watchdog(boards->plant, connection->board, command.value, late_ns);
        break;
    case BENCH_WD_FEED:
        if (!plant_feed_watchdog(boards->plant, connection->board, late_ns))
            snprintf(error, sizeof error, "wd feed: not armed, allowed: wd arm MS first");
        break;
    case BENCH_WD_STOP:
        plant_stop_watchdog(boards->plant, connection->board, late_ns);
        break;
    case BENCH_MODBUS:
        boards->port_owner[(uint16_t)command.value] = (uint8_t)(connection->board + 1);
        break;
    }
    if (error[0] != '\0')
        refuse(connection, error);
}

/* Acts upon the whole lines within the bytes of the first reading. */
static void act_on_lines(struct boards *boards, struct boards_connection *connection,
                         int64_t early_ns, int64_t late_ns)
{
    size_t used = 0;
    while (used < connection->ready) {
        char *start = connection->bytes + used;
        char *end = memchr(start, '\n', connection->ready - used);
        size_t length = end ? (size_t)(end - start) : connection->ready - used;
        if (length > BENCH_LINE_MAX || memchr(start, '\0', length)) {
            refuse(connection, "line: too long or with a zero byte, allowed: at most 127 bytes");
            return;
        }
        if (!end)
            break;
        *end = '\0';
        used += length + 1;
        act(boards, connection, start, late_ns);
    }
    if (connection->length == 0)
        return;
    /* What is left has come by the second reading, unless it begins with a part of a line. */
    if (used == connection->ready)
        connection->oldest_ns = early_ns;
    connection->length -= used;
    memmove(connection->bytes, connection->bytes + used, connection->length);
}

/* Reads all that is there; true if there was anything. */
static bool read_connection(struct boards_connection *connection, int64_t early_ns)
{
    size_t before = connection->length;
    while (!connection->ended) {
        if (connection->size - connection->length < READ_CHUNK) {
            size_t size = connection->size ? connection->size * 2 : (size_t)2 * READ_CHUNK;
            char *bytes = size <= BOARDS_UNREAD_MAX ? realloc(connection->bytes, size) : NULL;
            if (!bytes) {
                refuse(connection, "line: too much unread, allowed: 1 MiB");
                return true;
            }
            connection->bytes = bytes;
            connection->size = size;
        }
        ssize_t got = recv(connection->fd, connection->bytes + connection->length,
                           connection->size - connection->length, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (got <= 0) {
            connection->ended = true;
            return true;
        }
        if (connection->length == 0)
            connection->oldest_ns = early_ns;
        connection->length += (size_t)got;
    }
    return connection->length != before;
}

static void accept_one(struct boards *boards, int fd)
{
    struct boards_connection *connection = calloc(1, sizeof *connection);
    struct ucred credentials = { .pid = 0 };
    socklen_t size = sizeof credentials;
    static const char full[] = "err connections: too many, allowed: 64\n";
    if (!connection || boards->count == BOARDS_CONNECTIONS_MAX ||
        uv_poll_init(boards->loop, &connection->poll, fd) != 0) {
        (void)posix_send(fd, full, sizeof full - 1);
        close(fd);
        free(connection);
        return;
    }
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
    connection->fd = fd;
    connection->peer = credentials.pid;
    connection->board = -1;
    connection->poll.data = connection;
    uv_poll_start(&connection->poll, UV_READABLE | UV_DISCONNECT, on_wake);
    boards->connections[boards->count++] = connection;
}

static bool read_all(struct boards *boards, int64_t early_ns)
{
    bool any = false;
    for (;;) {
        int fd = accept4(boards->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        accept_one(boards, fd);
    }
    for (int i = 0; i < boards->count; i++)
        any = read_connection(boards->connections[i], early_ns) || any;
    return any;
}

/* Closes what had ended by the first reading, after its lines have been acted upon. */
static void drop_connection(struct boards *boards, int index, int64_t early_ns, int64_t late_ns)
{
    struct boards_connection *connection = boards->connections[index];
    enum bench_role role = connection->role;
    connection->role = BENCH_ROLE_NONE;
    if (role == BENCH_ROLE_GUARD)
        plant_leave_guard(boards->plant, connection->board, early_ns, late_ns);
    boards->count--;
    for (; index < boards->count; index++)
        boards->connections[index] = boards->connections[index + 1];
    uv_poll_stop(&connection->poll);
    close(connection->fd);
    uv_close((uv_handle_t *)&connection->poll, free_connection);
}

/* One round; true if the second reading found more. */
static bool pump_round(struct boards *boards)
{
    int64_t early_ns = posix_now_ns();
    (void)read_all(boards, early_ns);
    for (int i = 0; i < boards->count; i++) {
        boards->connections[i]->ready = boards->connections[i]->length;
        boards->connections[i]->ended_ready = boards->connections[i]->ended;
    }
    int64_t late_ns = posix_now_ns();
    bool more = read_all(boards, early_ns);
    for (int i = 0; i < boards->count;) {
        struct boards_connection *connection = boards->connections[i];
        act_on_lines(boards, connection, early_ns, late_ns);
        if (connection->ended_ready)
            drop_connection(boards, i, early_ns, late_ns);
        else
            i++;
    }
    plant_advance(boards->plant, early_ns, posix_now_ns());
    /* A bite ends connections; they are dropped in the next round. */
    for (int i = 0; i < boards->count; i++)
        more = more || boards->connections[i]->ended;
    return more;
}

void boards_pump(struct boards *boards)
{
    for (int round = 0; round < ROUNDS_MAX; round++)
        if (!pump_round(boards))
            return;
}

bool boards_open(struct boards *boards, uv_loop_t *loop, struct plant *plant)
{
    memset(boards, 0, sizeof *boards);
    boards->loop = loop;
    boards->plant = plant;
    boards->listen_fd = posix_listen_unix(plant->config->socket);
    if (boards->listen_fd < 0 || uv_poll_init(loop, &boards->listener, boards->listen_fd) != 0)
        return false;
    return uv_poll_start(&boards->listener, UV_READABLE, on_wake) == 0;
}

int boards_find_port(const struct boards *boards, uint16_t port)
{
    return boards->port_owner[port] - 1;
}

void boards_forget_port(struct boards *boards, uint16_t port)
{
    boards->port_owner[port] = 0;
}

void boards_close(struct boards *boards)
{
    while (boards->count > 0) {
        int64_t now_ns = posix_now_ns();
        drop_connection(boards, boards->count - 1, now_ns, now_ns);
    }
    uv_poll_stop(&boards->listener);
    uv_close((uv_handle_t *)&boards->listener, NULL);
    close(boards->listen_fd);
    (void)unlink(boards->plant->config->socket);
    for (int b = 0; b < WITNESS_BOARDS_MAX; b++)
        for (int i = 0; i < BOARDS_PROCESSES_MAX; i++)
            if (boards->processes[b][i].pid != 0)
                forget_process(&boards->processes[b][i]);
}
