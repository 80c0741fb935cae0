/*
 * L2, at the guard: what it drops, and each fault that it latches, has a cause that is true; and its
 * watchdog does not bite a board that is well. Without these a guard could be safe by never driving.
 */
#include "tests/sim/sim.h"

enum {
    TURN_US = 1000,       /* from the end of a pause to the guard's first turn */
    ANSWER_US = 20000,    /* until a hello is answered */
    HANG_UP_US = 2000,    /* until a connection's end is read */
    WINDOWS_US = 2500000, /* two in which a guard compares its clocks, and some */
    LATE_US = 12000       /* release time, slew and a late scheduler */
};

static const struct sim_guard *guard_of(const struct world *world, int board)
{
    return &world->board[board].guard;
}

static bool was_away(const struct world *world, int board, int64_t since_us)
{
    return guard_of(world, board)->absent_until_us >= world->now_us - TURN_US - since_us;
}

/* When its guard came to see of it: a guard that was away then, or soon after, as it came back. */
static int64_t touch_seen_us(const struct sim_guard *guard)
{
    int64_t touched_us = guard->clock_touched_us;
    bool away = touched_us >= guard->absent_from_us - WINDOWS_US;
    return away && touched_us < guard->absent_until_us ? guard->absent_until_us : touched_us;
}

static bool clocks_were_touched(const struct world *world, int board, int64_t since_us)
{
    int machine = world->machine_of[board_node(world, board)];
    return world->clock[machine].raw.stands ||
           touch_seen_us(guard_of(world, board)) >= world->now_us - since_us;
}

static int64_t watchdog_us(const struct world *world)
{
    return SIM_WATCHDOG_MS * 1000 * world->plan.scale;
}

/* Line or readback was broken so lately that the guard may still see it. */
static bool was_broken(const struct world *world, int board, int resource)
{
    const struct line *line = &world->board[board].line[resource];
    int64_t since_us = world->now_us - oracle_notice_us(world, board);
    return line->welded || line->reading != READING_TRUE || line->repaired_us >= since_us;
}

static bool has_cause(const struct world *world, int board, const struct guard_change *change)
{
    const struct sim_record *record = &world->board[board].record;
    int64_t notice_us = oracle_notice_us(world, board);
    switch (change->event) {
    case GUARD_EVENT_LATE:
    case GUARD_EVENT_OVERRUN:
        return was_away(world, board, 0);
    case GUARD_EVENT_CLOCK:
    case GUARD_EVENT_SLEPT:
        return clocks_were_touched(world, board, WINDOWS_US);
    case GUARD_EVENT_STUCK_ON:
    case GUARD_EVENT_STUCK_OFF:
        return was_broken(world, board, change->resource) || was_away(world, board, notice_us) ||
               clocks_were_touched(world, board, notice_us + WINDOWS_US);
    case GUARD_EVENT_AGENT_LOST:
        return was_away(world, board, HANG_UP_US) ||
               world->board[board].socket.hung_up_us >= world->now_us - HANG_UP_US;
    case GUARD_EVENT_STOP:
        return guard_of(world, board)->signalled;
    case GUARD_EVENT_IO_ERROR:
        return guard_of(world, board)->hal.fails_until_us[change->resource] > world->now_us;
    case GUARD_EVENT_UNRECORDED:
        /* Its time may be over in the very turn that hears of the end of a write. */
        return record->failed || record->writing || record->told_us == world->now_us ||
               was_away(world, board, 0);
    case GUARD_EVENT_PERMIT:
    case GUARD_EVENT_RENEW:
    case GUARD_EVENT_DROP:
    case GUARD_EVENT_AGENT_UP:
    case GUARD_EVENT_DEADLINE:
    case GUARD_EVENT_SHOWN_OFF:
    case GUARD_EVENT_CLEAR_FAULT:
    case GUARD_EVENTS:
        break;
    }
    return true;
}

void oracle_guard_dropped(struct world *world, int board, const struct guard_change *change)
{
    if (!has_cause(world, board, change))
        world_fail(world, ORACLE_L2, "%s: %s: %s -%s-> %s, and there is no cause",
                   world->name[board_node(world, board)].text,
                   world->resource[change->resource].text, guard_state_name(change->from),
                   guard_event_name(change->event), guard_state_name(change->to));
}

/*
 * Of a fault: an output may be on, it was latched since the board was reset last, and the watchdog has
 * not reset the board for it before.
 */
static bool excuses(const struct world *world, int board, int resource)
{
    /* Once it is off it is fed at the next try: a quarter of a quarter of the timeout later. */
    int64_t since_us = watchdog_us(world) / 8;
    const struct oracle_latch *latch = &world->oracle.board[board].latch[resource];
    return guard_of(world, board)->loop.guard.resource[resource].state == GUARD_FAULT &&
           !latch->reset && latch->on_us >= world->now_us - since_us;
}

/*
 * For as long as a watchdog counts: the guard was there, its clocks went, and it has no fault that a
 * reset is for.
 */
static bool is_well(const struct world *world, int board)
{
    const struct sim_guard *guard = guard_of(world, board);
    int64_t counts_us = watchdog_us(world);
    bool well =
        guard->process.up && guard->process.paused_until_us <= world->now_us &&
        !was_away(world, board, counts_us) && !clocks_were_touched(world, board, counts_us) &&
        guard->fault_left_us < world->now_us - counts_us && !sim_guard_clock_is_bad(world, board);
    for (int i = 0; i < world->resource_count; i++)
        well = well && !excuses(world, board, i);
    return well;
}

/*
 * Withheld feeds are why the watchdog bites, not a clock that stood or a guard that was away before the
 * fault. After two of them, 5/16 of the timeout, the guard has it written down that its reset was begun.
 */
static bool is_reset_for(const struct world *world, int board, int resource)
{
    const struct oracle_latch *latch = &world->oracle.board[board].latch[resource];
    int64_t on_us = world->now_us - latch->on_from_us;
    return excuses(world, board, resource) && latch->on_from_us != 0 &&
           on_us >= watchdog_us(world) / 2 && !clocks_were_touched(world, board, on_us);
}

/* Once for each fault, unless the disk is to blame for that nobody knows of the first time. */
static void note_reset(struct world *world, int board)
{
    const struct sim_record *record = &world->board[board].record;
    if (!guard_of(world, board)->process.up || record->writing || record->failed)
        return;
    for (int i = 0; i < world->resource_count; i++) {
        if (!is_reset_for(world, board, i))
            continue;
        world_cover(world, COVERAGE_RESETS_FOR_FAULTS);
        world->oracle.board[board].latch[i].reset = true;
    }
}

void oracle_bitten(struct world *world, int board)
{
    if (is_well(world, board))
        world_fail(world, ORACLE_L2, "%s: the watchdog bites a board that is well",
                   world->name[board_node(world, board)].text);
    note_reset(world, board);
}

void oracle_check_heartbeat(struct world *world, int board)
{
    const struct sim_guard *guard = guard_of(world, board);
    int64_t left_us = guard->watchdog_us - world->now_us;
    if (world->plan.hardware[board].watchdog && left_us < watchdog_us(world) / 2 &&
        is_well(world, board))
        world_fail(world, ORACLE_L2, "%s: the watchdog was fed last %lld us ago, the board is well",
                   world->name[board_node(world, board)].text,
                   (long long)(watchdog_us(world) - left_us));
    if (world->plan.hardware[board].watchdog && guard->watchdog_us == INT64_MAX)
        world_fail(world, ORACLE_S5, "%s: the guard runs and its watchdog is not armed",
                   world->name[board_node(world, board)].text);
}

/* ---- its agent */

/* The one that takes the place of another, or came when too many said nothing, is a younger one. */
static bool has_younger(const struct sim_socket *socket, uint32_t number)
{
    for (int i = 0; i < SIM_CONNECTIONS; i++) {
        const struct sim_connection *connection = &socket->connection[i];
        if (connection->number > number && connection->accepted)
            return true;
    }
    return false;
}

void oracle_guard_hangs_up(struct world *world, int board, const struct sim_connection *connection)
{
    const struct sim_agent *agent = &world->board[board].agent;
    const struct sim_socket *socket = &world->board[board].socket;
    if (connection->number == agent->socket && connection->open &&
        !guard_of(world, board)->signalled && !clocks_were_touched(world, board, WINDOWS_US) &&
        !was_away(world, board, 0) && !has_younger(socket, connection->number))
        world_fail(world, ORACLE_L2, "%s: the guard hangs up on its agent, and there is no cause",
                   world->name[board_node(world, board)].text);
}

void oracle_guard_accepted(struct world *world, int board)
{
    const struct sim_socket *socket = &world->board[board].socket;
    int held = 0;
    for (int i = 0; i < SIM_CONNECTIONS; i++)
        held += socket->connection[i].number != 0 && socket->connection[i].accepted;
    /* Its agent, those who have not said a word, and this one. */
    if (held > AGENT_NEWCOMERS + 2)
        world_fail(world, ORACLE_L2, "%s: the guard holds %d connections",
                   world->name[board_node(world, board)].text, held);
}

/* Whatever drives has an agent. */
static void check_agent_there(struct world *world, int board)
{
    const struct sim_socket *socket = &world->board[board].socket;
    if (world->board[board].agent.socket_open || socket->hung_up_us >= world->now_us - HANG_UP_US)
        return;
    for (int i = 0; i < world->resource_count; i++) {
        if (guard_of(world, board)->loop.guard.resource[i].state == GUARD_DRIVING)
            world_fail(world, ORACLE_S5, "%s: the guard drives %s %lld us after its agent was lost",
                       world->name[board_node(world, board)].text, world->resource[i].text,
                       (long long)(world->now_us - socket->hung_up_us));
    }
}

static void check_agent_answered(struct world *world, int board)
{
    const struct sim_agent *agent = &world->board[board].agent;
    for (int i = 0; agent->socket_open && i < SIM_CONNECTIONS; i++) {
        const struct sim_connection *connection = &world->board[board].socket.connection[i];
        if (connection->number == agent->socket && connection->guard_open &&
            !connection->answered && connection->dialled_us < world->now_us - ANSWER_US)
            world_fail(world, ORACLE_L2, "%s: the guard does not answer its agent",
                       world->name[board_node(world, board)].text);
    }
}

void oracle_check_agent(struct world *world, int board)
{
    if (was_away(world, board, ANSWER_US) ||
        clocks_were_touched(world, board, WINDOWS_US + ANSWER_US))
        return;
    check_agent_there(world, board);
    if (guard_of(world, board)->loop.guard.agent)
        return;
    check_agent_answered(world, board);
}

/* ---- its lines */

void oracle_check_failed(struct world *world, int board, unsigned failed)
{
    /* An operator cleared it in this very turn: the next one finds it again. */
    if (guard_of(world, board)->fault_left_us == world->now_us)
        return;
    for (int i = 0; failed != 0 && i < world->resource_count; i++) {
        if ((failed & 1u << i) &&
            guard_of(world, board)->loop.guard.resource[i].state != GUARD_FAULT)
            world_fail(world, ORACLE_S5, "%s: the readback of %s can't be read, and it is no fault",
                       world->name[board_node(world, board)].text, world->resource[i].text);
    }
}

void oracle_watchdog_stopped(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        const struct line *line = &world->board[board].line[i];
        bool fault = guard_of(world, board)->loop.guard.resource[i].state == GUARD_FAULT;
        bool safe = guard_of(world, board)->loop.guard.resource[i].state == GUARD_SAFE;
        bool excused = oracle_was_reset(world, board, i) || world->plan.hardware[board].blind;
        bool on =
            line->reading == READING_TRUE && line_is_on(line, world->now_us) && !(fault && excused);
        if (on || !(safe || fault))
            world_fail(world, ORACLE_S5, "%s: the watchdog is stopped, and %s is %s",
                       world->name[board_node(world, board)].text, world->resource[i].text,
                       on ? "on" : "not proven off");
    }
}

void oracle_fed_late(struct world *world, int board)
{
    const struct sim_guard *guard = guard_of(world, board);
    if (guard->late_us > LATE_US && !clocks_were_touched(world, board, WINDOWS_US))
        world_fail(world, ORACLE_S5, "%s: the watchdog is fed by a turn that is %lld us late",
                   world->name[board_node(world, board)].text, (long long)guard->late_us);
}
