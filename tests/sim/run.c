/* One seed from its plan to its verdict. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/child.h"
#include "tests/sim/sim.h"

static struct world *running; /* for hf_panic() only */

/* The core found a bug of its own: the run ends as failed. */
void hf_panic(const char *file, int line, const char *what)
{
    if (!running || (running->settings.tolerated & (1u << ORACLE_PANIC))) {
        fprintf(stderr, "holdfast-sim: %s:%d: %s\n", file, line, what);
        abort();
    }
    world_fail(running, ORACLE_PANIC, "%s:%d: %s", file, line, what);
    abort();
}

static void name_things(struct world *world)
{
    char text[24];
    for (int i = 0; i < world->issuer_count + world->board_count; i++) {
        bool issuer = world->board_on[world->machine_of[i]] < 0;
        int place = issuer ? i : FAULT_BOARD + world->board_on[world->machine_of[i]];
        fault_place_name(place, text, sizeof(text));
        HF_CHECK(name_from_string(&world->name[i], text));
    }
    for (int i = 0; i < world->resource_count; i++)
        HF_CHECK(name_from_string(&world->resource[i], fault_resource_name(i)));
}

static void take_plan(struct world *world)
{
    const struct sim_plan *plan = &world->scenario->plan;
    world->plan = *plan;
    world->plan.ttl_us = (plan->ttl_us + 999) / 1000 * 1000; /* a file has whole milliseconds */
    world->plan.restored_ttl_us = (plan->restored_ttl_us + 999) / 1000 * 1000;
    world->ttl_us = world->plan.ttl_us;
    world->waiter = ORACLE_NOBODY;
    world->issuer_count = plan->issuers;
    world->board_count = plan->boards;
    world->resource_count = plan->resources;
    for (int board = 0; board < SIM_BOARDS_MAX; board++)
        world->board[board].file_hold_ms = world->board[board].hold_ms = plan->hold_ms;
    world->network.ordered = plan->ordered;
    world->network.loss_ppm = plan->loss_ppm;
    world->network.repeat_ppm = plan->repeat_ppm;
    world->network.delay_max_us = plan->delay_max_us;
    world->network.straggle_max_us = plan->straggle_max_us;
    for (int stream = 0; stream < STREAMS; stream++) {
        for (int place = 0; place < SIM_NODES_MAX; place++) {
            struct random *random = &world->random[stream][place];
            random_init(random, world->settings.seed, (enum stream)stream, place);
            random->steady = plan->steady;
        }
    }
}

static void start(struct world *world)
{
    take_plan(world);
    machine_place(world);
    name_things(world);
    oracle_init(world);
    sim_begin_cluster(world);
    log_note(world, "%d issuers, %d boards, %d resources, ttl %lld us, run type %d",
             world->issuer_count, world->board_count, world->resource_count,
             (long long)world->plan.ttl_us, (int)world->plan.type);
    for (int i = 0; i < world->issuer_count + world->board_count; i++)
        clock_boot(world, i);
    for (int i = 0; i < world->board_count; i++)
        sim_guard_start(world, i);
    for (int i = 0; i < world->issuer_count + world->board_count; i++) {
        if (world->machine_of[i] == i)
            machine_start_daemon(world, i);
    }
    net_start(world);
    fault_start(world);
    strangers_start(world);
}

static void note_event(struct world *world, const struct event *event)
{
    uint64_t what = (uint64_t)event->at_us << 16 ^ (uint64_t)event->kind << 8 ^
                    (uint64_t)event->node ^ (uint64_t)event->length << 48;
    world->events++;
    world->digest = (world->digest ^ what) * UINT64_C(0x100000001b3);
}

static void run(struct world *world)
{
    start(world);
    while (!world->over && queue_take(&world->queue, &world->current)) {
        if (world->current.at_us > world->plan.end_us)
            break;
        world->now_us = world->current.at_us;
        struct event event = world->current;
        note_event(world, &event);
        dispatch_event(world, &event);
        trace_poll(world);
        free(world->current.data);
        world->current.data = NULL;
    }
    if (world->over)
        return;
    oracle_check_bounds(world);
    /* Only if there was time for it: what was shrunk or written by hand may end sooner. */
    if (plan_is_chaos(&world->plan) && world->plan.end_us > plan_driven_by_us(&world->plan)) {
        oracle_check_level(world);
        oracle_check_failback(world);
        oracle_check_acts(world);
    }
    oracle_check_fences(world);
    trace_end(world);
}

static void destroy(struct world *world)
{
    free(world->current.data);
    queue_clear(&world->queue);
    for (int i = 0; i < world->issuer_count; i++)
        disk_free(&world->issuer[i].disk);
    for (int i = 0; i < SIM_NODES_MAX; i++)
        loop_end(world, i);
    for (int i = 0; i < world->board_count; i++)
        guard_client_closes(world, i);
    for (int slot = 0; slot < DISK_SLOTS; slot++)
        free(world->card.bytes[slot]);
    free(world);
}

void run_seed(const struct settings *settings, struct run_result *result,
              uint64_t coverage[COVERAGE_KINDS])
{
    struct settings made = *settings;
    struct scenario scenario;
    scenario_make(&made, &scenario);
    run_scenario(&made, &scenario, result, coverage);
    scenario_free(&scenario);
}

void run_scenario(const struct settings *settings, const struct scenario *scenario,
                  struct run_result *result, uint64_t coverage[COVERAGE_KINDS])
{
    struct world *world = calloc(1, sizeof(*world));
    HF_CHECK(world);
    world->settings = *settings;
    world->scratch = memory_scratch();
    world->scenario = scenario;
    log_reset(settings->verbose);
    running = world;
    if (setjmp(world->stop) == 0)
        run(running);
    world = running;
    running = NULL;
    loop_forget();
    guard_forget();
    guard_client_forget();
    memset(result, 0, sizeof(*result));
    result->passed = world->failed == ORACLE_NONE;
    result->failed = world->failed;
    result->simulated_us = world->now_us;
    result->events = world->events;
    result->digest = world->digest;
    result->issuer_count = world->issuer_count;
    result->board_count = world->board_count;
    memcpy(result->failure, world->failure, sizeof(result->failure));
    memcpy(result->tolerated, world->tolerated, sizeof(result->tolerated));
    result->has_children = child_possible(&world->plan);
    memcpy(result->trail, world->trail, sizeof(result->trail));
    memcpy(result->coverage, world->coverage, sizeof(result->coverage));
    for (int i = 0; i < COVERAGE_KINDS; i++)
        coverage[i] += world->coverage[i];
    destroy(world);
}
