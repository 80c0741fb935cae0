/*
 * A guard's process: the loop of daemon/guard, turn by turn, above a platform of the world's clocks.
 * What passes between the loop and its core is seen here (the Makefile wraps those calls), and not
 * changed but by the pace of the world, which its reports follow, and by a planted bug.
 */
#include "tests/sim/guard.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum {
    PLANTED_US = 1000000,
    CALLS_MAX = 12, /* until it dies, within a turn or two */
    DIES_AT_START_PPM = 50000,
    BACK_MIN_US = 1000, /* times the scale: who was not killed at once is restarted after that */
    BACK_MAX_US = 300000,
    LATE_MIN_US = 10, /* as schedulers are */
    LATE_MAX_US = 300,
    TURN_MIN_US = 5, /* until it polls again */
    TURN_MAX_US = 50,
    SAME_US = 3, /* the roundings between two clocks */
    FIRST_PID = 300
};

static struct sim_guard *running;
static jmp_buf leaves; /* its turn, for one of these */

enum { LEAVES_TO_WAIT = 1, LEAVES_DEAD };

static struct sim_guard *guard_of(struct world *world, int board)
{
    return &world->board[board].guard;
}

static int node_of(const struct sim_guard *guard)
{
    return board_node(guard->world, guard->board);
}

static const char *text_of(const struct world *world, int board)
{
    return world->name[board_node(world, board)].text;
}

struct sim_guard *guard_running(void)
{
    return running;
}

void guard_forget(void)
{
    running = NULL;
}

/* ---- clocks and timer */

/* Nothing moves within a turn, which reads them a dozen times. */
static void look_at_clocks(struct sim_guard *guard)
{
    guard->raw = clock_local(guard->world, node_of(guard));
    guard->monotonic_us = clock_monotonic_us(guard->world, node_of(guard));
}

static struct instant now(void *context)
{
    return ((const struct sim_guard *)context)->raw;
}

static int64_t monotonic_us(void *context)
{
    return ((const struct sim_guard *)context)->monotonic_us;
}

static int64_t wall_s(void *context)
{
    return ((const struct sim_guard *)context)->world->now_us / 1000000;
}

static struct span slept(void *context)
{
    const struct sim_guard *guard = context;
    return span_from_us(clock_slept_us(guard->world, node_of(guard)));
}

/* A turn comes as soon as MONOTONIC says so; one that comes sooner finds out and sets the rest. */
static void set_alarm(struct sim_guard *guard)
{
    struct world *world = guard->world;
    int64_t left_us = guard->armed_us - guard->monotonic_us;
    int64_t at_us = world->now_us;
    if (left_us > 0)
        at_us += clock_stretch_us(world, node_of(guard), left_us);
    bool same = at_us >= guard->alarm_us - SAME_US && at_us <= guard->alarm_us + SAME_US;
    if (guard->timer.at_us <= at_us || (guard->timer.at_us != INT64_MAX && same))
        return;
    struct random *random = world_random(world, STREAM_TIMER, node_of(guard));
    guard->alarm_us = at_us;
    process_set_timer(world, EVENT_GUARD_TURN, node_of(guard),
                      at_us + random_between(random, LATE_MIN_US, LATE_MAX_US));
}

static int arm(void *context, int64_t at_us)
{
    struct sim_guard *guard = context;
    guard_may_die(guard);
    guard->armed_us = at_us;
    guard->early_us = instant_diff(guard->loop.guard.wake_at, guard->loop.guard.now).us -
                      (at_us - guard->monotonic_us);
    set_alarm(guard);
    return 0;
}

/* ---- waiting */

static bool readable(struct sim_guard *guard, int handle)
{
    const struct sim_socket *socket = &guard->world->board[guard->board].socket;
    switch (handle) {
    case HANDLE_TIMER:
        return guard->monotonic_us >= guard->armed_us;
    case HANDLE_SIGNALS:
        return guard->signal != 0;
    case HANDLE_BENCH:
        return guard_hal_readable(guard);
    case HANDLE_RECORD:
        return guard->world->board[guard->board].record.ended;
    case HANDLE_LISTENER:
        return socket->waiting != 0;
    default:
        return (socket->ready & 1u << (handle - HANDLE_CONNECTION)) != 0;
    }
}

/* Where there is nothing to do the process stays here, and its turn has not begun. */
static int wait_for_input(void *context, struct pollfd *polled, size_t count)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        bool there = polled[i].fd >= 0 && readable(context, polled[i].fd);
        polled[i].revents = there ? POLLIN : 0;
        ready += there;
    }
    if (ready == 0)
        longjmp(leaves, LEAVES_TO_WAIT);
    return ready;
}

static int take_signal(void *context)
{
    struct sim_guard *guard = context;
    int number = guard->signal;
    guard->signal = 0;
    return number;
}

static void close_handle(void *context, int handle)
{
    if (handle != HANDLE_RECORD)
        socket_close(context, handle);
}

/* ---- being on time: all is granted, and the world decides how late it is */

static bool take_folder(void *context, const char *run_dir)
{
    (void)context;
    (void)run_dir;
    return true;
}

static void sharpen_timers(void *context)
{
    (void)context;
}

static int lock(void *context)
{
    (void)context;
    return 0;
}

static int schedule(void *context, int priority)
{
    (void)context;
    (void)priority;
    return 0;
}

static const struct platform platform = {
    .uid = 0,
    .timer = HANDLE_TIMER,
    .signals = HANDLE_SIGNALS,
    .take_folder = take_folder,
    .open_record = guard_open_record,
    .read_record = guard_read_record,
    .write_record = guard_write_record,
    .record_written = guard_record_written,
    .wall_s = wall_s,
    .map_file = guard_map_file,
    .map_new_file = guard_map_new_file,
    .unmap = guard_unmap,
    .rename = guard_rename,
    .boot_id = guard_boot_id,
    .own_page = guard_own_page,
    .open_hal = guard_hal_open,
    .listen = socket_listen,
    .unlink = socket_unlink,
    .sharpen_timers = sharpen_timers,
    .lock_memory = lock,
    .lock_program = lock,
    .schedule = schedule,
    .now = now,
    .monotonic_us = monotonic_us,
    .slept = slept,
    .arm = arm,
    .poll = wait_for_input,
    .take_signal = take_signal,
    .accept = socket_accept,
    .receive = socket_receive,
    .send = socket_send,
    .close = close_handle,
    .wake_readers = guard_wake_readers,
};

/* ---- what its core does: seen, and not changed */

void __wrap_guard_init(struct guard *guard, const struct guard_config *config);
void __real_guard_init(struct guard *guard, const struct guard_config *config);
void __wrap_guard_step(struct guard *guard, struct instant at, const struct guard_input *input,
                       struct guard_effects *effects);
void __real_guard_step(struct guard *guard, struct instant at, const struct guard_input *input,
                       struct guard_effects *effects);

void __wrap_guard_init(struct guard *guard, const struct guard_config *config)
{
    const struct world *world = running->world;
    struct guard_config seen = *config;
    seen.status_interval.us *= world->plan.scale;
    for (uint8_t i = 0; world->settings.plant == PLANT_DEADLINE && i < seen.resource_count; i++)
        seen.resource[i].ttl.us += PLANTED_US;
    __real_guard_init(guard, &seen);
}

void __wrap_guard_latch(struct guard *guard, uint8_t index, enum guard_fault fault,
                        enum guard_reset reset);
void __real_guard_latch(struct guard *guard, uint8_t index, enum guard_fault fault,
                        enum guard_reset reset);

void __wrap_guard_latch(struct guard *guard, uint8_t index, enum guard_fault fault,
                        enum guard_reset reset)
{
    world_cover(running->world, COVERAGE_LATCHES_KEPT);
    __real_guard_latch(guard, index, fault, reset);
}

static void cover_change(struct world *world, const struct guard_change *change)
{
    bool drop = change->from == GUARD_DRIVING;
    if (drop && change->event == GUARD_EVENT_DEADLINE)
        world_cover(world, COVERAGE_DROPS_AT_DEADLINE);
    if (drop && change->event == GUARD_EVENT_AGENT_LOST)
        world_cover(world, COVERAGE_DROPS_AGENT_LOST);
    if (drop && (change->event == GUARD_EVENT_LATE || change->event == GUARD_EVENT_OVERRUN))
        world_cover(world, COVERAGE_DROPS_LATE);
    if (drop && change->event == GUARD_EVENT_SLEPT)
        world_cover(world, COVERAGE_DROPS_SLEPT);
    if (change->to == GUARD_FAULT)
        world_cover(world, COVERAGE_GUARD_FAULTS);
    if (change->to == GUARD_FAULT && change->event == GUARD_EVENT_CLOCK)
        world_cover(world, COVERAGE_CLOCK_FAULTS);
}

static void note_changes(const struct guard_effects *effects)
{
    for (uint8_t i = 0; i < effects->change_count; i++) {
        const struct guard_change *change = &effects->change[i];
        oracle_guard_changed(running->world, running->board, change);
        oracle_guard_dropped(running->world, running->board, change);
        cover_change(running->world, change);
        if (change->from == GUARD_FAULT)
            running->fault_left_us = running->world->now_us;
        if (change->to == GUARD_FAULT && change->event == GUARD_EVENT_CLOCK)
            running->clock_fault = true;
    }
}

/* A planted bug has the deadline later than the agent said. */
static struct guard_input planted(const struct guard_input *input, struct guard_message *message)
{
    struct guard_input seen = *input;
    if (running->world->settings.plant != PLANT_DEADLINE || input->kind != GUARD_INPUT_MESSAGE ||
        input->message->kind != GUARD_PERMIT)
        return seen;
    *message = *input->message;
    message->deadline_us += PLANTED_US;
    seen.message = message;
    return seen;
}

void __wrap_guard_step(struct guard *guard, struct instant at, const struct guard_input *input,
                       struct guard_effects *effects)
{
    struct guard_message message;
    const struct guard_input seen = planted(input, &message);
    bool went_back = instant_before(at, guard->now);
    __real_guard_step(guard, at, &seen, effects);
    if (went_back)
        oracle_clock_went_back(running->world, running->board);
    running->clock_went_back = false;
    note_changes(effects);
    if (input->kind == GUARD_INPUT_RECORDED && input->on)
        oracle_recorded(running->world, running->board);
}

/* ---- its end */

void sim_guard_vanish(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    process_end(&guard->process);
    timer_stop(&guard->timer);
    sim_guard_absent(world, board, INT64_MAX);
}

/* A line that nobody holds goes to its pull, unless the kernel lets it be. */
static void kill_now(struct world *world, int board)
{
    const struct sim_hardware *hardware = &world->plan.hardware[board];
    struct sim_guard *guard = guard_of(world, board);
    log_note(world, "%s: guard %s", text_of(world, board),
             loop_ended(&guard->loop) ? "ends" : "killed");
    sim_guard_vanish(world, board);
    if (!hardware->retains)
        line_all_low(world, board);
    if (guard->watchdog_us != INT64_MAX && hardware->close_pings)
        guard_hal_feed(guard);
    socket_guard_died(world, board);
    guard_pages_disowned(world, board);
    guard_client_looks(world, board);
}

static void comes_back(struct world *world, int board)
{
    struct random *random = world_random(world, STREAM_STRANGER, board_node(world, board));
    fault_restart_board(world, board,
                        random_between(random, BACK_MIN_US, BACK_MAX_US) * world->plan.scale);
}

/* What it did in this turn is done, the rest is not. */
static void die_in_turn(struct sim_guard *guard)
{
    world_cover(guard->world, COVERAGE_DEATHS_IN_TURN);
    kill_now(guard->world, guard->board);
    comes_back(guard->world, guard->board);
}

static void end_as_asked(struct sim_guard *guard)
{
    (void)loop_run(&guard->loop); /* it has ended: this is its last word */
    loop_close(&guard->loop, "/run/holdfast", guard_needs_no_watchdog(&guard->loop.guard));
    world_cover(guard->world, COVERAGE_GUARDS_ENDED);
    kill_now(guard->world, guard->board);
    comes_back(guard->world, guard->board);
}

/* In chaos, while it runs: where a bound is watched, it dies when it is to. */
static bool may_stop_otherwise(const struct world *world, int board)
{
    const struct process *process = &world->board[board].guard.process;
    return plan_is_chaos(&world->plan) && !world->plan.steady && !world->quiet &&
           process->paused_until_us <= world->now_us;
}

static void doom(struct sim_guard *guard)
{
    struct random *random = world_random(guard->world, STREAM_STRANGER, node_of(guard));
    guard->calls_left = (unsigned)random_between(random, 1, CALLS_MAX);
}

void sim_guard_stop(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    struct random *random = world_random(world, STREAM_STRANGER, board_node(world, board));
    uint64_t how = may_stop_otherwise(world, board) ? random_below(random, 4) : 0;
    if (how == 1) {
        doom(guard);
    } else if (how == 2 && !guard->signalled) {
        guard->signal = SIGTERM;
        guard->signalled = true;
        sim_guard_wake(world, board);
    } else {
        kill_now(world, board);
    }
}

/* ---- turns */

static void end_turn(struct sim_guard *guard)
{
    struct world *world = guard->world;
    struct random *random = world_random(world, STREAM_TIMER, node_of(guard));
    const struct sim_socket *socket = &world->board[guard->board].socket;
    oracle_turn_ended(world, guard->board);
    oracle_check_heartbeat(world, guard->board);
    oracle_check_agent(world, guard->board);
    oracle_check_failed(world, guard->board, guard->hal.failed);
    guard->hal.failed = 0;
    guard_client_turn_ended(world, guard->board);
    if ((socket->waiting | socket->ready) != 0)
        process_set_timer(world, EVENT_GUARD_TURN, node_of(guard),
                          world->now_us + random_between(random, TURN_MIN_US, TURN_MAX_US));
}

void guard_may_die(struct sim_guard *guard)
{
    if (guard->calls_left > 0 && --guard->calls_left == 0)
        longjmp(leaves, LEAVES_DEAD);
}

static void run_turn(struct sim_guard *guard)
{
    running = guard;
    look_at_clocks(guard);
    guard->late_us =
        guard->world->now_us - guard->alarm_us - (guard->early_us > 0 ? guard->early_us : 0);
    switch (setjmp(leaves)) {
    case 0:
        loop_turn(&guard->loop);
        end_turn(running);
        if (loop_ended(&guard->loop))
            end_as_asked(running);
        break;
    case LEAVES_TO_WAIT:
        set_alarm(running);
        break;
    default:
        die_in_turn(running);
        break;
    }
    running = NULL;
}

void sim_guard_turn(struct world *world, const struct event *event)
{
    run_turn(guard_of(world, event->node - world->issuer_count));
}

void sim_guard_wake(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    if (!guard->process.up)
        return;
    if (guard->process.paused_until_us <= world->now_us)
        run_turn(guard);
    else if (guard->timer.at_us > guard->process.paused_until_us)
        process_set_timer(world, EVENT_GUARD_TURN, node_of(guard), guard->process.paused_until_us);
}

void sim_guard_rate_changed(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    if (!guard->process.up || guard->armed_us == INT64_MAX)
        return;
    look_at_clocks(guard);
    set_alarm(guard);
    /* A turn that was pushed off comes by the new rate. */
    int64_t left_us = guard->armed_us - guard->monotonic_us;
    if (left_us > 0 && guard->absent_until_us >= world->now_us)
        sim_guard_absent(world, board,
                         world->now_us + clock_stretch_us(world, node_of(guard), left_us));
}

void sim_guard_watchdog(struct world *world, const struct event *event)
{
    int board = event->node - world->issuer_count;
    const struct sim_guard *guard = guard_of(world, board);
    if (event->epoch != guard->watchdog_id || guard->watchdog_us == INT64_MAX)
        return;
    oracle_bitten(world, board);
    machine_reset(world, board);
}

/* ---- life */

void sim_guard_absent(struct world *world, int board, int64_t until_us)
{
    struct sim_guard *guard = guard_of(world, board);
    if (guard->absent_until_us < world->now_us)
        guard->absent_from_us = world->now_us;
    if (guard->absent_until_us < until_us)
        guard->absent_until_us = until_us;
}

bool sim_guard_clock_is_bad(const struct world *world, int board)
{
    const struct sim_guard *guard = &world->board[board].guard;
    int64_t back_us = world->now_us - world->board[board].hold_ms * 1000;
    return world->now_us < guard->clock_bad_until_us ||
           (guard->absent_from_us < guard->clock_bad_until_us && back_us <= guard->absent_until_us);
}

static void begin(struct world *world, int board)
{
    struct sim_guard *guard = guard_of(world, board);
    process_begin(&guard->process);
    timer_stop(&guard->timer);
    oracle_guard_started(world, board);
    line_change_pumps(world, board);
    world->board[board].ttl_us = world->ttl_us;
    guard->world = world;
    guard->board = board;
    guard->armed_us = INT64_MAX;
    guard->absent_until_us = world->now_us;
    guard->clock_went_back = false;
    guard->signalled = false;
    guard->signal = 0;
    guard->calls_left = 0;
    guard->alarm_us = world->now_us;
    guard->platform = platform;
    guard->platform.context = guard;
    guard->platform.pid = FIRST_PID + guard->process.life;
}

void sim_guard_start(struct world *world, int board)
{
    static struct conf conf; /* large */
    struct sim_guard *guard = guard_of(world, board);
    log_note(world, "%s: guard starts", text_of(world, board));
    begin(world, board);
    file_of_machine(world, world->machine_of[node_of(guard)], world->board[board].hold_ms, &conf);
    if (may_stop_otherwise(world, board) &&
        random_chance(world_random(world, STREAM_STRANGER, node_of(guard)), DIES_AT_START_PPM))
        doom(guard);
    look_at_clocks(guard);
    running = guard;
    if (setjmp(leaves) == 0) {
        HF_CHECK(loop_open(&guard->loop, &guard->platform, &conf));
        oracle_guard_opened(running->world, running->board);
        end_turn(running);
    } else {
        die_in_turn(running);
    }
    running = NULL;
}
