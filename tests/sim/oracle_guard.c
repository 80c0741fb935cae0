/*
 * S5 beyond edges: what a guard says of its outputs, and what it does in a fault, against the lines
 * as they are. Of the guard it reads what it shows: state, token, proof.
 */
#include <string.h>

#include "tests/sim/sim.h"

enum {
    TURN_US = 1000,   /* from the end of a pause to the guard's first turn */
    NOTICE_EDGES = 8, /* a charge pump may need so many before its readback shows on */
    NOTICE_MARGIN_US = 5000
};

static const char *board_text(const struct world *world, int board)
{
    return world->name[board_node(world, board)].text;
}

/* A plain output went off: on time, or by its fence where nobody could do it on time. */
void oracle_fall(struct world *world, int board, int resource)
{
    const struct sim_guard *guard = &world->board[board].guard;
    const struct oracle_board *seen = &world->oracle.board[board];
    int64_t deadline_us = seen->driven_deadline_us[resource];
    int64_t late_us = world->now_us - deadline_us;
    int64_t fence_us = world->plan.hardware[board].fence_us;
    bool absent =
        guard->absent_from_us <= deadline_us && world->now_us - TURN_US <= guard->absent_until_us;
    if (late_us <= 0 || world->board[board].line[resource].welded ||
        sim_guard_clock_is_bad(world, board))
        return;
    world_cover(world, COVERAGE_FENCES);
    if (late_us > fence_us)
        world_fail(world, ORACLE_S5,
                   "%s: %s off %lld us after its lease, the fence latency is "
                   "%lld us",
                   board_text(world, board), world->resource[resource].text, (long long)late_us,
                   (long long)fence_us);
    if (!absent)
        world_fail(world, ORACLE_S5,
                   "%s: the guard was there and left %s on %lld us past its "
                   "lease",
                   board_text(world, board), world->resource[resource].text, (long long)late_us);
}

void oracle_check_fences(struct world *world)
{
    for (int board = 0; board < world->board_count; board++) {
        const struct oracle_board *seen = &world->oracle.board[board];
        for (int i = 0; i < world->resource_count; i++) {
            const struct line *line = &world->board[board].line[i];
            int64_t until_us = seen->driven_deadline_us[i] + world->plan.hardware[board].fence_us;
            if (line->off_us == INT64_MAX && !line->welded && world->now_us > until_us &&
                !sim_guard_clock_is_bad(world, board))
                world_fail(world, ORACLE_S5, "%s: %s still on %lld us after its fence latency",
                           board_text(world, board), world->resource[i].text,
                           (long long)(world->now_us - until_us));
        }
    }
}

void oracle_status(struct world *world, int board, int resource, const struct guard_message *status)
{
    const struct line *line = &world->board[board].line[resource];
    if (status->proven && world->plan.hardware[board].blind)
        world_cover(world, COVERAGE_BLIND_PROOFS);
    if (status->proven && line->reading == READING_TRUE && line_reads(world, board, resource))
        world_fail(world, ORACLE_S5, "%s: %s is said to be proven off and is on",
                   board_text(world, board), world->resource[resource].text);
}

/* L1: a release says that its outputs are off if the guard said so, and nothing under way can undo it. */
void oracle_release_begins(struct world *world, int board, const struct holder *holder,
                           const struct hf_name *name)
{
    const struct holder_lease *lease = holder_lease_of(holder, name);
    const struct holder_guard_view *view = &lease->guard;
    uint64_t permitted = world->board[board].agent.permitted[world_resource(world, name)];
    bool off = view->known && view->agrees && view->state == GUARD_SAFE && view->proven &&
               (view->token >= lease->token || permitted < lease->token);
    if (lease->state == HOLDER_RELEASING && lease->fenced != off)
        world_fail(world, off ? ORACLE_L1 : ORACLE_S3,
                   "%s: %s token %llu is released %s proof, its guard %s its outputs off",
                   board_text(world, board), name->text, (unsigned long long)lease->token,
                   off ? "without" : "with", off ? "says" : "does not say");
}

/* As its guard has it in this turn. */
static bool reads_on(const struct world *world, int board, int resource)
{
    const struct sim_hal *hal = &world->board[board].guard.hal;
    if (world->plan.hardware[board].blind)
        return false;
    return hal->fails_until_us[resource] > world->now_us ||
           (hal->told ? hal->level[resource] : line_reads(world, board, resource));
}

static bool in_fault(const struct world *world, int board, int resource)
{
    const struct sim_guard *guard = &world->board[board].guard;
    return guard->loop.guard.resource[resource].state == GUARD_FAULT;
}

static uint32_t boot_of(const struct world *world, int board)
{
    return world->boot[world->machine_of[board_node(world, board)]];
}

bool oracle_was_reset(const struct world *world, int board, int resource)
{
    const struct oracle_latch *latch = &world->oracle.board[board].latch[resource];
    return latch->was_on && latch->boot != boot_of(world, board);
}

/* Of a record that was damaged nobody knows what was tried. */
static bool may_be_fed(const struct world *world, int board, int resource)
{
    const struct guard *guard = &world->board[board].guard.loop.guard;
    return guard->resource[resource].fault == GUARD_FAULT_RECORD ||
           oracle_was_reset(world, board, resource);
}

void oracle_fed(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        if (!in_fault(world, board, i) || !reads_on(world, board, i))
            continue;
        if (may_be_fed(world, board, i))
            world_cover(world, COVERAGE_LATCHES_KEPT_ON);
        else
            world_fail(world, ORACLE_S5, "%s: watchdog fed in a fault of %s, which is on",
                       board_text(world, board), world->resource[i].text);
    }
}

/* In doubt about an output it lets nothing begin: it could not tell what its permit did. */
static void check_permit(struct world *world, int board, int resource)
{
    const struct guard *guard = &world->board[board].guard.loop.guard;
    for (int i = 0; i < guard->config.resource[resource].output_count; i++) {
        const struct guard_output *output = &guard->resource[resource].output[i];
        if (output->readback_known && output->readback)
            world_fail(world, ORACLE_S5, "%s: %s begins beside a readback that shows on",
                       board_text(world, board), world->resource[resource].text);
    }
}

void oracle_guard_changed(struct world *world, int board, const struct guard_change *change)
{
    struct oracle_latch *latch = &world->oracle.board[board].latch[change->resource];
    if (change->event == GUARD_EVENT_PERMIT)
        check_permit(world, board, change->resource);
    if (change->from == GUARD_FAULT && change->event != GUARD_EVENT_CLEAR_FAULT)
        world_fail(world, ORACLE_S5, "%s: fault of %s left by %s, nobody cleared it",
                   board_text(world, board), world->resource[change->resource].text,
                   guard_event_name(change->event));
    /* It may be in the same state again by the end of this turn. */
    if (change->from != change->to)
        world->oracle.board[board].doubt[change->resource].open = false;
    if (change->from == GUARD_FAULT) {
        latch->reset_before = latch->reset;
        latch->reset = false;
        latch->durable = false;
    }
    if (change->to == GUARD_SAFE) {
        latch->over = true;
        latch->was_on = false;
    }
    if (change->to != GUARD_FAULT)
        return;
    latch->over = false;
    latch->on_us = latch->on_from_us = world->now_us; /* it has yet to be seen off */
    if (change->event == GUARD_EVENT_UNRECORDED)
        latch->reset = latch->reset_before;
}

void oracle_recorded(struct world *world, int board)
{
    const struct guard *guard = &world->board[board].guard.loop.guard;
    for (int i = 0; i < world->resource_count; i++) {
        const struct guard_resource *resource = &guard->resource[i];
        if (resource->state == GUARD_FAULT && resource->record_version <= guard->recorded)
            world->oracle.board[board].latch[i].durable = true;
    }
}

static bool record_is_whole(const struct sim_record *record)
{
    struct record_entry entry[RECORD_ENTRIES_MAX];
    size_t count = 0;
    return !record->unread &&
           (record->length == 0 || record_parse(record->file, record->length, entry, &count));
}

void oracle_guard_opened(struct world *world, int board)
{
    const struct guard *guard = &world->board[board].guard.loop.guard;
    bool whole = record_is_whole(&world->board[board].record);
    for (int i = 0; i < world->resource_count; i++) {
        struct oracle_latch *latch = &world->oracle.board[board].latch[i];
        const struct guard_resource *resource = &guard->resource[i];
        if (latch->durable && resource->state != GUARD_FAULT)
            world_fail(world, ORACLE_S5,
                       "%s: a fault of %s was on the disk, and its next guard "
                       "is in state %s",
                       board_text(world, board), world->resource[i].text,
                       guard_state_name(resource->state));
        if (latch->over && resource->kept && whole)
            world_fail(world, ORACLE_S5,
                       "%s: %s was safe, and its next guard has a fault from before",
                       board_text(world, board), world->resource[i].text);
        if (resource->kept)
            latch->over = false;
        latch->on_from_us = 0; /* its own withheld feeds count */
        if (!whole)
            latch->reset = false; /* nobody knows of it */
        latch->durable = latch->durable || (resource->kept && whole);
    }
}

/* What a watchdog may bite for: at the end of each turn. */
static void note_on(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        struct oracle_latch *latch = &world->oracle.board[board].latch[i];
        if (!in_fault(world, board, i) || !reads_on(world, board, i)) {
            latch->on_from_us = 0;
            continue;
        }
        latch->on_us = world->now_us;
        if (latch->on_from_us == 0)
            latch->on_from_us = world->now_us;
        if (!latch->was_on)
            latch->boot = boot_of(world, board);
        latch->was_on = true;
    }
}

int64_t oracle_notice_us(const struct world *world, int board)
{
    const struct sim_plan *plan = &world->plan;
    int64_t us = (plan->readback_ms + SIM_RELEASE_MS) * 1000 + NOTICE_MARGIN_US;
    if (plan->hardware[board].output == OUTPUT_PULSE)
        us += world->board[board].hold_ms * 1000 +
              NOTICE_EDGES * 1000000 / (2 * (int64_t)plan->rate_hz);
    return us + us * SIM_DRIFT_PPM / 1000000;
}

void oracle_guard_started(struct world *world, int board)
{
    memset(world->oracle.board[board].doubt, 0, sizeof(world->oracle.board[board].doubt));
}

void oracle_turn_ended(struct world *world, int board)
{
    const struct sim_guard *sim_guard = &world->board[board].guard;
    const struct guard *guard = &sim_guard->loop.guard;
    /* Its time is not ours: it was away, or its clock stood; or there is no readback. */
    bool cannot_tell = world->now_us <= sim_guard->absent_until_us ||
                       sim_guard_clock_is_bad(world, board) || world->plan.hardware[board].blind;
    note_on(world, board);
    for (int i = 0; i < world->resource_count; i++) {
        struct oracle_doubt *doubt = &world->oracle.board[board].doubt[i];
        enum guard_state state = guard->resource[i].state;
        bool wants = state == GUARD_DRIVING;
        bool agrees = state == GUARD_FAULT || line_reads(world, board, i) == wants;
        if (agrees || cannot_tell || !doubt->open || doubt->state != state)
            *doubt = (struct oracle_doubt){ !agrees, state, world->now_us };
        else if (world->now_us - doubt->since_us > oracle_notice_us(world, board))
            world_fail(world, ORACLE_S5,
                       "%s: %s reads %s for %lld us while the guard is in state "
                       "%s",
                       board_text(world, board), world->resource[i].text, wants ? "off" : "on",
                       (long long)(world->now_us - doubt->since_us), guard_state_name(state));
    }
}

void oracle_clock_went_back(struct world *world, int board)
{
    const struct guard *guard = &world->board[board].guard.loop.guard;
    for (int i = 0; i < world->resource_count; i++) {
        if (guard->resource[i].state != GUARD_FAULT)
            world_fail(world, ORACLE_S5, "%s: its clock went back, %s is in state %s",
                       board_text(world, board), world->resource[i].text,
                       guard_state_name(guard->resource[i].state));
    }
}

void oracle_clock_stood(struct world *world, int board, int64_t since_us)
{
    enum { WINDOWS_US = 2500000 }; /* two of the guard's, and some */
    const struct sim_guard *guard = &world->board[board].guard;
    bool watched = guard->process.up && guard->absent_until_us < since_us &&
                   world->now_us - since_us > WINDOWS_US &&
                   world->now_us - guard->fault_left_us > WINDOWS_US;
    bool latched = true; /* one that was there before is kept */
    for (int i = 0; i < world->resource_count; i++)
        latched = latched && guard->loop.guard.resource[i].state == GUARD_FAULT;
    if (watched && !guard->clock_fault && !latched)
        world_fail(world, ORACLE_S5, "%s: its clock stood for %lld us, no fault was latched",
                   board_text(world, board), (long long)(world->now_us - since_us));
}

void oracle_released(struct world *world, int board, const struct lease_message *message)
{
    int resource = world_resource(world, &message->resource);
    const struct line *line = &world->board[board].line[resource];
    if (message->fenced && line->reading == READING_TRUE && line_is_on(line, world->now_us))
        world_fail(world, ORACLE_S5, "%s: %s released as proven off while it is on",
                   board_text(world, board), world->resource[resource].text);
}
