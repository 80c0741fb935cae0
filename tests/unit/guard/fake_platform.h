/*
 * The guard's platform and board, answered by a test: time passes when the test says so, every
 * answer of the system can be a failure, and what the guard does is written down in its order.
 */
#ifndef HOLDFAST_TESTS_UNIT_GUARD_FAKE_PLATFORM_H
#define HOLDFAST_TESTS_UNIT_GUARD_FAKE_PLATFORM_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guard/loop.h"
#include "tests/unit/support/unit.h"

enum {
    FAKE_TIMER = 3,
    FAKE_SIGNALS,
    FAKE_LISTENER,
    FAKE_BENCH,
    FAKE_RECORD,
    FAKE_FIRST_CONNECTION = 10,
    FAKE_CONNECTIONS = 12,
    FAKE_QUEUE = 128,
    FAKE_LINES = 16,
    FAKE_ACTS = 4096,
    FAKE_BOOT_ID = 815
};

struct fake_packet {
    size_t length;
    struct guard_message message;
};

struct fake_connection {
    bool waits; /* to be accepted */
    bool open;  /* accepted, and not closed by the guard */
    bool ended; /* by its agent, behind what it said */
    struct platform_peer peer;
    struct fake_packet said[FAKE_QUEUE];
    size_t said_count;
    size_t taken;
    struct guard_message heard[FAKE_QUEUE]; /* the latest, round and round */
    size_t heard_count;
    ssize_t send_answer;    /* 0: all is taken */
    ssize_t receive_answer; /* other than 0: the next one, once */
};

/* An output, or with `relay` the readback of one. */
struct hal_line {
    struct fake_platform *fake;
    char name[2 * HF_NAME_MAX + 2];
    bool active_low;
    enum hal_bias bias;
    bool no_edges;
    int64_t edge_us;        /* the kernel's date of the last one */
    bool level;             /* output: as told */
    bool contact;           /* output: as its readback shows it */
    bool contact_held;      /* it does not follow the level */
    struct hal_line *relay; /* readback: of this output */
    bool closed;
    enum hal_result set_answer;
    enum hal_result get_answer;
    int sets;
    int edges;
    int64_t changed_us; /* raw */
};

enum fake_kind { FAKE_OFF, FAKE_ON, FAKE_FEED, FAKE_PUBLISHED, FAKE_SENT, FAKE_CLOSED };

struct fake_act {
    enum fake_kind kind;
    const char *line;
    int64_t raw_us;
    int64_t log_bytes;                        /* written by then */
    enum page_state page[PAGE_RESOURCES_MAX]; /* by then */
};

struct fake_platform {
    struct platform platform;
    struct loop loop;
    struct conf conf;

    int64_t raw_us;
    int64_t monotonic_us;
    int64_t slept_us;
    bool raw_stands;
    int64_t pause_us; /* passes after the next reading of CLOCK_MONOTONIC */
    int64_t armed_us;
    int poll_answer; /* other than 0: the next wait ends with it at once */
    int arm_answer;
    int signal;

    struct fake_connection connection[FAKE_CONNECTIONS];
    size_t connection_count;

    struct lease_page page;
    struct lease_page old_page;
    bool renamed, old_unmapped;
    unsigned old_woken;
    bool record_open, record_taken; /* a write is under way */
    int open_record_fails, write_answer;
    bool record_waits;      /* what is written stays under way */
    bool record_waits_then; /* as does what is written next */
    int record_answer;      /* of the write */
    ssize_t read_answer;    /* 0: the length of `record` */
    int64_t read_takes_us;
    char record[RECORD_TEXT_MAX]; /* the file */
    size_t record_length;         /* 0: it is not there */
    char writing[RECORD_TEXT_MAX];
    size_t writing_length;
    int records; /* writes that were taken */
    int64_t wall_s;
    uint64_t boot_id;
    int take_folder_fails, map_answer, own_answer, rename_answer, listen_answer;
    int lock_memory_answer, lock_program_answer, schedule_answer;
    bool listening, unlinked;

    struct hal_line line[FAKE_LINES];
    size_t line_count;
    int64_t line_takes_us;       /* the next one that is set */
    enum hal_result open_answer; /* of the line `open_fails_at` alone */
    size_t open_fails_at;
    enum hal_result hal_answer, service_answer, watchdog_answer, feed_answer, stop_answer;
    int old_answer; /* of the old page; 0: it is there if it has a magic */
    bool old_short; /* it ends before a whole page does */
    bool old_tried; /* whole */
    uint32_t counts_longer_ms;
    const char *why;
    enum hal_result look_answer;
    bool without_edges; /* whatever is opened from now on */
    bool stays_driven;  /* a line whose owner died */
    int looks;
    bool hal_open, watchdog_armed, watchdog_stopped;
    int bench_fd;
    int64_t fed_us;

    struct fake_act act[FAKE_ACTS];
    size_t act_count;
    int log_fd;
    int stderr_fd;
};

/* ---- what was done */

static inline int64_t fake_log_bytes(const struct fake_platform *fake)
{
    struct stat info;
    return fstat(fake->log_fd, &info) == 0 ? (int64_t)info.st_size : -1;
}

static inline void fake_note(struct fake_platform *fake, enum fake_kind kind, const char *line)
{
    assert_true(fake->act_count < FAKE_ACTS);
    struct fake_act *act = &fake->act[fake->act_count++];
    *act = (struct fake_act){ kind, line, fake->raw_us, fake_log_bytes(fake), { 0 } };
    for (size_t i = 0; i < PAGE_RESOURCES_MAX; i++)
        act->page[i] = (enum page_state)atomic_load(&fake->page.resource[i].state);
}

/* Since the log had `from` bytes. */
static inline bool fake_log_says_after(const struct fake_platform *fake, int64_t from,
                                       const char *text)
{
    static char log[1 << 16];
    ssize_t length = pread(fake->log_fd, log, sizeof(log) - 1, from);
    log[length > 0 ? length : 0] = '\0';
    return strstr(log, text) != NULL;
}

static inline bool fake_log_says(const struct fake_platform *fake, const char *text)
{
    return fake_log_says_after(fake, 0, text);
}

static inline void fake_pass_time(struct fake_platform *fake, int64_t us)
{
    fake->monotonic_us += us;
    if (!fake->raw_stands)
        fake->raw_us += us;
}

/* ---- lines and watchdog */

static inline struct hal_line *fake_line(struct fake_platform *fake, const char *name)
{
    for (size_t i = 0; i < fake->line_count; i++) {
        if (fake->line[i].relay == NULL && strcmp(fake->line[i].name, name) == 0)
            return &fake->line[i];
    }
    fail_msg("no output %s", name);
    return NULL;
}

static inline struct hal_line *fake_readback(struct fake_platform *fake, const char *name)
{
    for (size_t i = 0; i < fake->line_count; i++) {
        if (fake->line[i].relay != NULL && strcmp(fake->line[i].name, name) == 0)
            return &fake->line[i];
    }
    fail_msg("no readback %s", name);
    return NULL;
}

static inline enum hal_result fake_add_line(void *hal, const struct hal_line_config *config,
                                            struct hal_line **out)
{
    struct fake_platform *fake = hal;
    assert_true(fake->line_count < FAKE_LINES);
    enum hal_result answer = fake->line_count == fake->open_fails_at ? fake->open_answer : HAL_OK;
    if (answer != HAL_OK) {
        fake->open_answer = HAL_OK;
        return answer;
    }
    struct hal_line *line = &fake->line[fake->line_count++];
    line->fake = fake;
    line->active_low = config->active_low;
    line->bias = config->bias;
    line->edge_us = INT64_MIN;
    line->no_edges = fake->without_edges;
    snprintf(line->name, sizeof(line->name), "%s/%s", config->resource, config->output);
    *out = line;
    return HAL_OK;
}

static inline enum hal_result fake_open_output(void *hal, const struct hal_line_config *config,
                                               struct hal_line **out)
{
    return fake_add_line(hal, config, out);
}

static inline enum hal_result fake_open_input(void *hal, const struct hal_line_config *config,
                                              struct hal_line **out)
{
    char path[2 * HF_NAME_MAX + 2];
    snprintf(path, sizeof(path), "%s/%s", config->resource, config->output);
    struct hal_line *relay = fake_line(hal, path);
    enum hal_result result = fake_add_line(hal, config, out);
    if (result == HAL_OK)
        (*out)->relay = relay;
    return result;
}

/* As the fake has a descriptor or none; a test may take the edges of one line away. */
static inline bool fake_edges(const struct hal_line *line, int64_t *monotonic_us)
{
    *monotonic_us = line->edge_us;
    return line->fake->bench_fd >= 0 && !line->no_edges;
}

static inline const char *fake_why(void *hal)
{
    return ((struct fake_platform *)hal)->why;
}

static inline enum hal_result fake_set(struct hal_line *line, bool on)
{
    assert_false(line->closed);
    fake_note(line->fake, on ? FAKE_ON : FAKE_OFF, line->name);
    line->sets++;
    fake_pass_time(line->fake, line->fake->line_takes_us);
    line->fake->line_takes_us = 0;
    if (line->set_answer != HAL_OK)
        return line->set_answer;
    if (line->level != on) {
        line->edges++;
        line->changed_us = line->fake->raw_us;
    }
    line->level = on;
    if (!line->contact_held)
        line->contact = on;
    return HAL_OK;
}

static inline enum hal_result fake_get(struct hal_line *line, bool *on)
{
    assert_false(line->closed);
    if (line->get_answer != HAL_OK)
        return line->get_answer;
    *on = line->relay->contact;
    return HAL_OK;
}

static inline enum hal_result fake_look(void *hal, const struct hal_line_config *config,
                                        struct hal_line_facts *facts)
{
    struct fake_platform *fake = hal;
    *facts = (struct hal_line_facts){ .line = config->line, .output = fake->stays_driven };
    fake->looks++;
    return fake->look_answer;
}

static inline void fake_close_line(struct hal_line *line)
{
    if (line->relay == NULL)
        (void)fake_set(line, false);
    line->closed = true;
}

static inline enum hal_result fake_arm_watchdog(void *hal, const char *device, uint32_t timeout_ms,
                                                uint32_t *actual_ms)
{
    struct fake_platform *fake = hal;
    (void)device;
    *actual_ms = timeout_ms + fake->counts_longer_ms;
    fake->watchdog_armed = fake->watchdog_answer == HAL_OK;
    fake->fed_us = fake->raw_us;
    return fake->watchdog_answer;
}

static inline enum hal_result fake_feed(void *hal)
{
    struct fake_platform *fake = hal;
    fake_note(fake, FAKE_FEED, "");
    if (fake->feed_answer == HAL_OK)
        fake->fed_us = fake->raw_us;
    return fake->feed_answer;
}

static inline enum hal_result fake_stop(void *hal)
{
    struct fake_platform *fake = hal;
    fake->watchdog_stopped = fake->stop_answer == HAL_OK;
    return fake->stop_answer;
}

static inline enum hal_result fake_service(void *hal)
{
    return ((struct fake_platform *)hal)->service_answer;
}

static inline void fake_close_hal(struct hal *hal)
{
    struct fake_platform *fake = hal->context;
    assert_true(fake->hal_open);
    fake->hal_open = false;
}

static inline enum hal_result fake_open_hal(void *context, const struct conf *conf, struct hal *hal)
{
    static const struct hal_output_ops lines = { fake_open_output, fake_open_input, fake_set,
                                                 fake_get,         fake_edges,      fake_close_line,
                                                 fake_look };
    static const struct hal_watchdog_ops watchdog = { fake_arm_watchdog, fake_feed, fake_stop };
    struct fake_platform *fake = context;
    (void)conf;
    if (fake->hal_answer != HAL_OK)
        return fake->hal_answer;
    fake->hal_open = true;
    *hal = (struct hal){ .backend = "fake",
                         .output = &lines,
                         .watchdog = &watchdog,
                         .context = fake,
                         .fd = fake->bench_fd,
                         .service = fake_service,
                         .why = fake_why,
                         .close = fake_close_hal };
    return HAL_OK;
}

/* ---- run directory and page */

static inline bool fake_take_folder(void *context, const char *run_dir)
{
    (void)run_dir;
    return !((struct fake_platform *)context)->take_folder_fails;
}

static inline bool fake_open_record(void *context, const char *data_dir, int *handle)
{
    struct fake_platform *fake = context;
    assert_string_equal(data_dir, "/var/lib/holdfast");
    /* Whoever writes has no line. */
    assert_false(fake->hal_open);
    *handle = fake->open_record_fails ? -1 : FAKE_RECORD;
    fake->record_open = !fake->open_record_fails;
    return fake->record_open;
}

/* Opening one tells it off. */
static inline bool fake_all_lines_open(const struct fake_platform *fake)
{
    size_t configured = 0;
    size_t open = 0;
    for (size_t i = 0; i < fake->line_count; i++)
        open += !fake->line[i].closed;
    for (uint8_t i = 0; i < fake->conf.resource_count; i++) {
        for (uint8_t number = 0; number < fake->conf.resource[i].output_count; number++)
            configured += fake->conf.resource[i].output[number].has_readback ? 2 : 1;
    }
    return fake->hal_open && open == configured;
}

static inline ssize_t fake_read_record(void *context, int handle, void *bytes, size_t size)
{
    struct fake_platform *fake = context;
    assert_int_equal(handle, FAKE_RECORD);
    assert_true(fake->record_length <= size);
    /* This may take its time: not before each line is told off, nor once the watchdog counts. */
    assert_true(fake_all_lines_open(fake));
    assert_false(fake->watchdog_armed || fake->listening);
    fake_pass_time(fake, fake->read_takes_us);
    if (fake->read_answer < 0)
        return fake->read_answer;
    memcpy(bytes, fake->record, fake->record_length);
    return fake->record_length == 0 ? -ENOENT : (ssize_t)fake->record_length;
}

static inline int fake_write_record(void *context, int handle, const void *bytes, size_t size)
{
    struct fake_platform *fake = context;
    assert_int_equal(handle, FAKE_RECORD);
    assert_false(fake->record_taken);
    if (fake->write_answer < 0)
        return fake->write_answer;
    memcpy(fake->writing, bytes, size);
    fake->writing_length = size;
    fake->record_taken = true;
    fake->records++;
    return 0;
}

static inline int fake_record_written(void *context, int handle)
{
    struct fake_platform *fake = context;
    assert_int_equal(handle, FAKE_RECORD);
    if (!fake->record_taken || fake->record_waits)
        return -EAGAIN;
    fake->record_taken = false;
    fake->record_waits = fake->record_waits_then;
    if (fake->record_answer < 0)
        return fake->record_answer;
    memcpy(fake->record, fake->writing, fake->writing_length);
    fake->record_length = fake->writing_length;
    return 0;
}

static inline int64_t fake_wall_s(void *context)
{
    return ((struct fake_platform *)context)->wall_s;
}

static inline int fake_map_file(void *context, const char *path, size_t size, void **map)
{
    struct fake_platform *fake = context;
    (void)path;
    bool head = size == offsetof(struct lease_page, resource);
    assert_true(size == sizeof(fake->old_page) || (head && fake->old_tried));
    fake->old_tried = !head;
    *map = &fake->old_page;
    if (fake->old_short && !head)
        return -EINVAL;
    if (fake->old_answer != 0)
        return fake->old_answer;
    return fake->old_page.magic == 0 ? -ENOENT : 0;
}

static inline int fake_map_new_file(void *context, const char *path, size_t size, void **map)
{
    struct fake_platform *fake = context;
    (void)path;
    assert_int_equal(size, sizeof(fake->page));
    if (fake->map_answer == 0)
        memset(&fake->page, 0, sizeof(fake->page));
    *map = &fake->page;
    return fake->map_answer;
}

static inline void fake_unmap(void *context, void *map, size_t size)
{
    struct fake_platform *fake = context;
    assert_ptr_equal(map, &fake->old_page);
    assert_int_equal(size, fake->old_short ? offsetof(struct lease_page, resource) :
                                             sizeof(fake->old_page));
    fake->old_unmapped = true;
}

static inline int fake_rename(void *context, const char *from, const char *to)
{
    struct fake_platform *fake = context;
    (void)from;
    (void)to;
    /* From here on it is read: it is whole, and somebody's. */
    assert_int_equal(fake->page.magic, PAGE_MAGIC);
    assert_int_equal(fake->page.resource_count, fake->conf.resource_count);
    assert_int_equal(fake->page.boot, fake->boot_id);
    assert_true(page_owned(&fake->page));
    fake->renamed = fake->rename_answer == 0;
    return fake->rename_answer;
}

static inline uint64_t fake_boot_id(void *context)
{
    return ((struct fake_platform *)context)->boot_id;
}

static inline int fake_own_page(void *context, struct lease_page *page)
{
    atomic_store(&page->owner, 4711);
    return ((struct fake_platform *)context)->own_answer;
}

static inline void fake_wake_readers(void *context, struct lease_page *page)
{
    struct fake_platform *fake = context;
    if (page == &fake->page)
        fake_note(fake, FAKE_PUBLISHED, "");
    else
        fake->old_woken++;
}

/* ---- clocks and waiting */

static inline struct instant fake_now(void *context)
{
    return (struct instant){ ((struct fake_platform *)context)->raw_us };
}

static inline int64_t fake_monotonic_us(void *context)
{
    struct fake_platform *fake = context;
    int64_t now_us = fake->monotonic_us;
    fake_pass_time(fake, fake->pause_us);
    fake->pause_us = 0;
    return now_us;
}

static inline struct span fake_slept(void *context)
{
    return span_from_us(((struct fake_platform *)context)->slept_us);
}

/* Never later than the machine asked for, by whatever clock it counts. */
static inline int fake_arm(void *context, int64_t at_us)
{
    struct fake_platform *fake = context;
    int64_t asked_us = fake->loop.guard.wake_at.us - fake->raw_us;
    assert_true(at_us - fake->monotonic_us <= (asked_us > 0 ? asked_us : 0));
    fake->armed_us = at_us;
    return fake->arm_answer;
}

static inline struct fake_connection *fake_find(struct fake_platform *fake, int handle)
{
    assert_in_range(handle, FAKE_FIRST_CONNECTION, FAKE_FIRST_CONNECTION + FAKE_CONNECTIONS - 1);
    return &fake->connection[handle - FAKE_FIRST_CONNECTION];
}

static inline bool fake_readable(struct fake_platform *fake, int handle)
{
    if (handle == FAKE_TIMER)
        return fake->armed_us <= fake->monotonic_us;
    if (handle == FAKE_SIGNALS)
        return fake->signal != 0;
    if (handle == FAKE_BENCH)
        return fake->service_answer != HAL_OK;
    if (handle == FAKE_RECORD)
        return fake->record_taken && !fake->record_waits;
    for (size_t i = 0; handle == FAKE_LISTENER && i < fake->connection_count; i++) {
        if (fake->connection[i].waits)
            return true;
    }
    if (handle < FAKE_FIRST_CONNECTION)
        return false;
    const struct fake_connection *connection = fake_find(fake, handle);
    assert_true(connection->open);
    return connection->taken < connection->said_count || connection->ended;
}

static inline int fake_poll(void *context, struct pollfd *polled, size_t count)
{
    struct fake_platform *fake = context;
    int ready = 0;
    int answer = fake->poll_answer;
    fake->poll_answer = 0;
    for (size_t i = 0; i < count; i++) {
        assert_false(polled[i].fd == FAKE_BENCH && fake->loop.bench_lost);
        /* What an interrupted wait leaves here means nothing. */
        polled[i].revents = answer != 0 ? POLLERR : 0;
        if (answer == 0 && polled[i].fd >= 0 && fake_readable(fake, polled[i].fd)) {
            polled[i].revents = POLLIN;
            ready++;
        }
    }
    if (answer == 0 && ready == 0)
        fail_msg("the guard would wait, and the test has nothing for it");
    return answer != 0 ? answer : ready;
}

static inline int fake_take_signal(void *context)
{
    struct fake_platform *fake = context;
    int taken = fake->signal;
    fake->signal = 0;
    return taken;
}

/* ---- sockets */

static inline int fake_listen(void *context, const char *path, uid_t *owner)
{
    struct fake_platform *fake = context;
    (void)path;
    /* No agent is heard before every output is off. */
    assert_true(fake->hal_open && fake->line_count > 0);
    *owner = 1000;
    fake->listening = fake->listen_answer == 0;
    return fake->listening ? FAKE_LISTENER : fake->listen_answer;
}

static inline int fake_accept(void *context, int listener, struct platform_peer *peer)
{
    struct fake_platform *fake = context;
    assert_int_equal(listener, FAKE_LISTENER);
    for (size_t i = 0; i < fake->connection_count; i++) {
        struct fake_connection *connection = &fake->connection[i];
        if (!connection->waits)
            continue;
        connection->waits = false;
        connection->open = true;
        *peer = connection->peer;
        return FAKE_FIRST_CONNECTION + (int)i;
    }
    return -EAGAIN;
}

static inline ssize_t fake_receive(void *context, int handle, void *bytes, size_t size)
{
    struct fake_connection *connection = fake_find(context, handle);
    assert_true(connection->open);
    ssize_t answer = connection->receive_answer;
    connection->receive_answer = 0;
    if (answer != 0)
        return answer;
    if (connection->taken == connection->said_count)
        return connection->ended ? 0 : -EAGAIN;
    const struct fake_packet *packet = &connection->said[connection->taken++];
    memcpy(bytes, &packet->message, packet->length < size ? packet->length : size);
    return (ssize_t)packet->length;
}

static inline ssize_t fake_send(void *context, int handle, const void *bytes, size_t size)
{
    struct fake_connection *connection = fake_find(context, handle);
    assert_true(connection->open);
    assert_int_equal(size, sizeof(struct guard_message));
    fake_note(context, FAKE_SENT, "");
    if (connection->send_answer != 0)
        return connection->send_answer;
    memcpy(&connection->heard[connection->heard_count++ % FAKE_QUEUE], bytes, size);
    return (ssize_t)size;
}

static inline void fake_alive(void *context)
{
    (void)context;
}

static inline void fake_close(void *context, int handle)
{
    struct fake_platform *fake = context;
    if (handle == FAKE_LISTENER) {
        fake->listening = false;
        return;
    }
    if (handle == FAKE_RECORD) {
        assert_true(fake->record_open);
        fake->record_open = false;
        return;
    }
    struct fake_connection *connection = fake_find(fake, handle);
    assert_true(connection->open);
    connection->open = false;
    fake_note(fake, FAKE_CLOSED, "");
}

static inline void fake_unlink(void *context, const char *path)
{
    assert_string_equal(path, "/run/holdfast/guard.sock");
    ((struct fake_platform *)context)->unlinked = true;
}

/* ---- being on time */

static inline void fake_sharpen_timers(void *context)
{
    (void)context;
}

/* These may take their time: not once the watchdog counts. */
static inline int fake_lock_memory(void *context)
{
    assert_false(((struct fake_platform *)context)->watchdog_armed);
    return ((struct fake_platform *)context)->lock_memory_answer;
}

static inline int fake_lock_program(void *context)
{
    return ((struct fake_platform *)context)->lock_program_answer;
}

static inline int fake_schedule(void *context, int priority)
{
    /* Above what others do, below the kernel's own interrupt threads, which have 50. */
    assert_in_range(priority, 1, 49);
    return ((struct fake_platform *)context)->schedule_answer;
}

/* ---- for the test */

/* RAW and MONOTONIC far from each other, so that one taken for the other shows. */
static inline struct fake_platform *fake_new(void)
{
    struct fake_platform *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->platform = (struct platform){
        .context = fake,
        .pid = 4711,
        .uid = 500,
        .timer = FAKE_TIMER,
        .signals = FAKE_SIGNALS,
        .take_folder = fake_take_folder,
        .open_record = fake_open_record,
        .read_record = fake_read_record,
        .write_record = fake_write_record,
        .record_written = fake_record_written,
        .wall_s = fake_wall_s,
        .map_file = fake_map_file,
        .map_new_file = fake_map_new_file,
        .unmap = fake_unmap,
        .rename = fake_rename,
        .boot_id = fake_boot_id,
        .own_page = fake_own_page,
        .open_hal = fake_open_hal,
        .listen = fake_listen,
        .unlink = fake_unlink,
        .sharpen_timers = fake_sharpen_timers,
        .lock_memory = fake_lock_memory,
        .lock_program = fake_lock_program,
        .schedule = fake_schedule,
        .now = fake_now,
        .monotonic_us = fake_monotonic_us,
        .slept = fake_slept,
        .arm = fake_arm,
        .poll = fake_poll,
        .take_signal = fake_take_signal,
        .accept = fake_accept,
        .receive = fake_receive,
        .send = fake_send,
        .close = fake_close,
        .alive = fake_alive,
        .wake_readers = fake_wake_readers,
    };
    fake->raw_us = INT64_C(7300000123);
    fake->monotonic_us = INT64_C(7000000456);
    fake->slept_us = 5000000;
    fake->bench_fd = -1;
    fake->boot_id = FAKE_BOOT_ID;
    fake->wall_s = 1790000000;
    fake->why = "";
    fake->log_fd = memfd_create("log", MFD_CLOEXEC);
    fake->stderr_fd = dup(STDERR_FILENO);
    assert_true(fake->log_fd >= 0 && fake->stderr_fd >= 0);
    assert_true(dup2(fake->log_fd, STDERR_FILENO) >= 0);
    return fake;
}

static inline void fake_free(struct fake_platform *fake)
{
    (void)dup2(fake->stderr_fd, STDERR_FILENO);
    close(fake->stderr_fd);
    close(fake->log_fd);
    free(fake);
}

static inline bool fake_has_input(struct fake_platform *fake)
{
    bool any = fake->signal != 0 || (fake->record_open && fake_readable(fake, FAKE_RECORD)) ||
               fake->poll_answer != 0 || fake_readable(fake, FAKE_LISTENER) ||
               (fake->bench_fd >= 0 && !fake->loop.bench_lost && fake_readable(fake, FAKE_BENCH));
    for (size_t i = 0; i < fake->connection_count; i++) {
        if (fake->connection[i].open && fake_readable(fake, FAKE_FIRST_CONNECTION + (int)i))
            any = true;
    }
    return any;
}

/* Turns for whatever is there, without time passing. */
static inline void fake_settle(struct fake_platform *fake)
{
    while (fake_has_input(fake))
        loop_turn(&fake->loop);
}

/* Lets `us` pass, with a turn at each instant that the guard asked for. */
static inline void fake_run(struct fake_platform *fake, int64_t us)
{
    int64_t until_us = fake->monotonic_us + us;
    int turns_at_once = 0;
    fake_settle(fake);
    while (fake->armed_us <= until_us) {
        turns_at_once = fake->armed_us > fake->monotonic_us ? 0 : turns_at_once + 1;
        assert_true(turns_at_once < 100);
        if (fake->armed_us > fake->monotonic_us)
            fake_pass_time(fake, fake->armed_us - fake->monotonic_us);
        loop_turn(&fake->loop);
        fake_settle(fake);
    }
    fake_pass_time(fake, until_us - fake->monotonic_us);
}

/* A turn that comes `us` later than now, whatever was asked for. */
static inline void fake_turn_after(struct fake_platform *fake, int64_t us)
{
    fake_pass_time(fake, us);
    if (fake->armed_us > fake->monotonic_us && !fake_has_input(fake))
        fake->poll_answer = -EINTR;
    loop_turn(&fake->loop);
}

static inline int fake_connect(struct fake_platform *fake, uid_t uid)
{
    assert_true(fake->connection_count < FAKE_CONNECTIONS);
    struct fake_connection *connection = &fake->connection[fake->connection_count++];
    connection->waits = true;
    connection->peer = (struct platform_peer){ uid, 99 };
    return FAKE_FIRST_CONNECTION + (int)fake->connection_count - 1;
}

static inline void fake_say_bytes(struct fake_platform *fake, int handle,
                                  const struct guard_message *message, size_t length)
{
    struct fake_connection *connection = fake_find(fake, handle);
    assert_true(connection->said_count < FAKE_QUEUE);
    connection->said[connection->said_count++] = (struct fake_packet){ length, *message };
}

/* The latest message of this kind, and about `name` if that is not NULL; NULL if there is none. */
static inline const struct guard_message *fake_heard(struct fake_platform *fake, int handle,
                                                     enum guard_message_kind kind, const char *name)
{
    const struct fake_connection *connection = fake_find(fake, handle);
    for (size_t i = connection->heard_count; i > 0 && i + FAKE_QUEUE > connection->heard_count;
         i--) {
        const struct guard_message *message = &connection->heard[(i - 1) % FAKE_QUEUE];
        if (message->kind == kind && (name == NULL || strcmp(message->name.text, name) == 0))
            return message;
    }
    return NULL;
}

#endif
