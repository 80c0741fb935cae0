#include "tests/sim/loop.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>

#include "base/check.h"
#include "hal/clock.h"
#include "log/log.h"
#include "tests/sim/sim.h"

enum {
    POLL_MAX_US = 999, /* epoll counts whole milliseconds from when it is called */
    LATE_MIN_US = 10,
    LATE_MAX_US = 300,
    WAKE_MIN_US = 5, /* by an async handle */
    WAKE_MAX_US = 100,
    UP_MS = 1000000 /* MONOTONIC began so long before the world: a step never takes it below 0 */
};

static struct sim_loop *running;
static jmp_buf thread_waits;

/* ---- the process that runs */

struct sim_loop *loop_running(void)
{
    HF_CHECK(running);
    return running;
}

bool loop_runs(void)
{
    return running != NULL;
}

void loop_forget(void)
{
    running = NULL;
}

void loop_begin(struct world *world, int machine)
{
    struct sim_loop *loop = &world->loop[machine];
    HF_CHECK(!loop->timers && !loop->asyncs && !loop->closing);
    *loop = (struct sim_loop){ .world = world, .machine = machine };
    loop->uv.data = loop;
    timer_stop(&world->loop_timer[machine]);
}

void loop_end(struct world *world, int machine)
{
    struct sim_loop *loop = &world->loop[machine];
    heap_end(loop);
    *loop = (struct sim_loop){ .world = world, .machine = machine };
    timer_stop(&world->loop_timer[machine]);
}

struct sim_loop *loop_enter(struct world *world, int machine)
{
    struct sim_loop *before = running;
    running = &world->loop[machine];
    HF_CHECK(running->world);
    uv_update_time(&running->uv);
    return before;
}

/* As at the end of a loop's turn. */
static void call_closed(struct sim_loop *loop)
{
    while (loop->closing) {
        uv_handle_t *handle = loop->closing;
        loop->closing = handle->next_closing;
        if (handle->close_cb)
            handle->close_cb(handle);
    }
}

static void arm(struct sim_loop *loop)
{
    const struct world *world = loop->world;
    const struct machine_clock *clock = &world->clock[loop->machine];
    struct random *random = world_random(loop->world, STREAM_TIMER, loop->machine);
    uint64_t first = UINT64_MAX;
    for (const uv_timer_t *timer = loop->timers; timer; timer = timer->heap_node[0]) {
        if (timer->timeout < first)
            first = timer->timeout;
    }
    if (first == UINT64_MAX)
        return;
    int64_t left_us = ((int64_t)first - UP_MS) * 1000 - clock_monotonic_us(world, loop->machine);
    if (left_us < 0)
        left_us = 0;
    int64_t at_us = world->now_us + left_us * 1000000 / (1000000 + clock->monotonic.ppm);
    /* One that fires sooner looks at the clock and arms the rest of the way. */
    if (world->loop_timer[loop->machine].at_us <= at_us + POLL_MAX_US)
        return;
    at_us += random_between(random, 0, left_us > 0 ? POLL_MAX_US : 0);
    process_set_timer(loop->world, EVENT_LOOP, loop->machine,
                      at_us + random_between(random, LATE_MIN_US, LATE_MAX_US));
}

void loop_leave(struct sim_loop *before)
{
    struct sim_loop *loop = loop_running();
    call_closed(loop);
    /* It may have died meanwhile. */
    if (machine_daemon(loop->world, loop->machine)->up)
        arm(loop);
    running = before;
}

/* ---- timers */

static uv_timer_t *first_due(const struct sim_loop *loop, uint64_t starts)
{
    uv_timer_t *first = NULL;
    for (uv_timer_t *timer = loop->timers; timer; timer = timer->heap_node[0]) {
        if (timer->timeout > loop->uv.time || timer->start_id > starts)
            continue;
        if (!first || timer->timeout < first->timeout ||
            (timer->timeout == first->timeout && timer->start_id < first->start_id))
            first = timer;
    }
    return first;
}

void loop_event(struct world *world, const struct event *event)
{
    struct sim_loop *before = loop_enter(world, event->node);
    struct sim_loop *loop = loop_running();
    const uint64_t starts = loop->starts; /* what is started from now on waits for the next turn */
    uv_timer_t *timer;
    while ((timer = first_due(loop, starts)) != NULL) {
        uv_timer_stop(timer);
        if (timer->repeat != 0)
            uv_timer_start(timer, timer->timer_cb, timer->repeat, timer->repeat);
        timer->timer_cb(timer);
    }
    loop_leave(before);
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    void *data = timer->data;
    memset(timer, 0, sizeof(*timer));
    timer->data = data;
    timer->loop = loop;
    timer->type = UV_TIMER;
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    struct sim_loop *loop = timer->loop->data;
    for (void **at = (void **)&loop->timers; *at; at = &((uv_timer_t *)*at)->heap_node[0]) {
        if (*at == timer) {
            *at = timer->heap_node[0];
            return 0;
        }
    }
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)
{
    struct sim_loop *loop = timer->loop->data;
    HF_CHECK(loop == loop_running());
    if (timer->close_cb || !callback)
        return UV_EINVAL;
    uv_timer_stop(timer);
    timer->timer_cb = callback;
    timer->timeout = loop->uv.time + timeout;
    timer->repeat = repeat;
    timer->start_id = ++loop->starts;
    timer->heap_node[0] = loop->timers;
    loop->timers = timer;
    return 0;
}

uint64_t uv_now(const uv_loop_t *loop)
{
    return loop->time;
}

void uv_update_time(uv_loop_t *loop)
{
    const struct sim_loop *own = loop->data;
    loop->time = (uint64_t)(clock_monotonic_us(own->world, own->machine) / 1000 + UP_MS);
}

/* ---- what can be read, and what is closed */

int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    (void)fd;
    poll->loop = loop;
    poll->type = UV_POLL;
    poll->close_cb = NULL;
    return 0;
}

int uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb callback)
{
    struct sim_loop *loop = poll->loop->data;
    HF_CHECK(!loop->poll || loop->poll == poll);
    HF_CHECK((events & UV_READABLE) != 0);
    poll->poll_cb = callback;
    loop->poll = poll;
    return 0;
}

int uv_poll_stop(uv_poll_t *poll)
{
    struct sim_loop *loop = poll->loop->data;
    if (loop->poll == poll)
        loop->poll = NULL;
    return 0;
}

void loop_readable(struct sim_loop *loop)
{
    if (loop->poll)
        loop->poll->poll_cb(loop->poll, 0, UV_READABLE);
}

void uv_close(uv_handle_t *handle, uv_close_cb callback)
{
    struct sim_loop *loop = handle->loop->data;
    if (handle->type == UV_TIMER)
        uv_timer_stop((uv_timer_t *)handle);
    if (handle->type == UV_POLL)
        uv_poll_stop((uv_poll_t *)handle);
    handle->close_cb = callback;
    handle->next_closing = loop->closing;
    loop->closing = handle;
}

const char *uv_strerror(int error)
{
    return strerror(-error);
}

/* ---- what others wake it by, and its one thread */

int uv_async_init(uv_loop_t *uv, uv_async_t *async, uv_async_cb callback)
{
    struct sim_loop *loop = uv->data;
    async->loop = uv;
    async->type = UV_ASYNC;
    async->close_cb = NULL;
    async->async_cb = callback;
    async->pending = 0;
    async->queue[0] = loop->asyncs;
    async->queue[1] = (void *)(uintptr_t)++loop->async_count;
    loop->asyncs = async;
    return 0;
}

/* The thread has done its work when the disk has. */
int uv_async_send(uv_async_t *async)
{
    struct sim_loop *loop = async->loop->data;
    struct random *random = world_random(loop->world, STREAM_TIMER, loop->machine);
    if (async->pending)
        return 0;
    async->pending = 1;
    int64_t delay_us =
        loop->in_thread ? loop->thread_us : random_between(random, WAKE_MIN_US, WAKE_MAX_US);
    world_post(loop->world, loop->in_thread ? EVENT_ISSUER_DISK : EVENT_ASYNC, loop->machine,
               delay_us, NULL, 0)
        ->epoch = (uint32_t)(uintptr_t)async->queue[1];
    return 0;
}

void loop_async(struct world *world, const struct event *event)
{
    struct sim_loop *before = loop_enter(world, event->node);
    for (uv_async_t *async = loop_running()->asyncs; async; async = async->queue[0]) {
        if ((uint32_t)(uintptr_t)async->queue[1] != event->epoch || async->close_cb)
            continue;
        async->pending = 0;
        async->async_cb(async);
        break;
    }
    loop_leave(before);
}

int uv_thread_create_ex(uv_thread_t *thread, const uv_thread_options_t *options, uv_thread_cb entry,
                        void *argument)
{
    struct sim_loop *loop = loop_running();
    HF_CHECK(!loop->thread);
    (void)options;
    (void)thread;
    loop->thread = entry;
    loop->thread_argument = argument;
    return 0;
}

/* It begins anew each time and ends where it would wait: it keeps nothing between. */
void uv_cond_signal(uv_cond_t *condition)
{
    struct sim_loop *loop = loop_running();
    (void)condition;
    loop->in_thread = true;
    loop->thread_us = 0;
    if (setjmp(thread_waits) == 0)
        loop->thread(loop->thread_argument);
    loop_running()->in_thread = false;
}

void uv_cond_wait(uv_cond_t *condition, uv_mutex_t *mutex)
{
    (void)condition;
    (void)mutex;
    HF_CHECK(loop_running()->in_thread);
    longjmp(thread_waits, 1);
}

void loop_thread_takes(int64_t time_us)
{
    HF_CHECK(loop_running()->in_thread);
    loop_running()->thread_us += time_us;
}

uint64_t uv_hrtime(void)
{
    const struct sim_loop *loop = loop_running();
    int64_t us = clock_monotonic_us(loop->world, loop->machine) + UP_MS * INT64_C(1000);
    return (uint64_t)(us + (loop->in_thread ? loop->thread_us : 0)) * 1000;
}

int uv_mutex_init(uv_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

void uv_mutex_destroy(uv_mutex_t *mutex)
{
    (void)mutex;
}

void uv_mutex_lock(uv_mutex_t *mutex)
{
    (void)mutex;
}

void uv_mutex_unlock(uv_mutex_t *mutex)
{
    (void)mutex;
}

int uv_cond_init(uv_cond_t *condition)
{
    (void)condition;
    return 0;
}

void uv_cond_destroy(uv_cond_t *condition)
{
    (void)condition;
}

int uv_thread_join(uv_thread_t *thread)
{
    (void)thread;
    return 0;
}

/* ---- what else a process has of its own */

struct instant hal_clock_now(void)
{
    return clock_local(loop_running()->world, loop_running()->machine);
}

struct span hal_clock_slept(void)
{
    return span_from_us(clock_slept_us(loop_running()->world, loop_running()->machine));
}

int64_t hal_clock_wall_us(void)
{
    const struct sim_loop *loop = loop_running();
    bool issuer = loop->machine < loop->world->issuer_count;
    return loop->world->now_us + (issuer ? loop->world->wall_offset_us[loop->machine] : 0);
}

void log_line(int level, const char *format, ...)
{
    const struct sim_guard *guard = guard_running();
    const struct world *world = guard ? guard->world : loop_running()->world;
    int node = guard ? board_node(world, guard->board) : loop_running()->machine;
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    log_note_of(world, world->name[node].text, guard ? ": guard: " : ": ", format, arguments);
    va_end(arguments);
}
