/*
 * An agent: daemon/agent as it ships, between its node and its guard. Whatever it calls of the system
 * ends in the world: loop.c, socket.c, and the board's files here. What passes between it, the core
 * and the node is seen here (the Makefile wraps those calls), and not changed.
 */
#include <string.h>

#include "agent/agent.h"
#include "agent/hooks.h"
#include "agent/tokens.h"
#include "base/check.h"
#include "files/safe_file.h"
#include "tests/sim/sim.h"

enum { FORGED_RELEASE_PPM = 10000 };

static struct sim_agent *agent_of(struct world *world, int board)
{
    return &world->board[board].agent;
}

static const char *text_of(const struct world *world, int board)
{
    return world->name[board_node(world, board)].text;
}

static int machine_of(const struct world *world, int board)
{
    return world->machine_of[board_node(world, board)];
}

/* Of the process that runs. */
static int running_board(void)
{
    return loop_running()->world->board_on[loop_running()->machine];
}

/* ---- what it sends */

static bool send_to_issuer(void *context, const struct hf_name *to,
                           const struct lease_message *message);

/* The planted bug: what drives is released as if it were proven off. */
static void forge_release(const struct hf_name *issuer, const struct lease_message *renewal)
{
    struct world *world = loop_running()->world;
    struct random *random = world_random(world, STREAM_PLANT, board_node(world, running_board()));
    if (world->settings.plant != PLANT_RELEASE || renewal->kind != LEASE_RENEW ||
        !random_chance(random, FORGED_RELEASE_PPM))
        return;
    const struct lease_message forged = { .kind = LEASE_RELEASE,
                                          .resource = renewal->items[0].resource,
                                          .token = renewal->items[0].token,
                                          .nonce = renewal->nonce,
                                          .fenced = true };
    (void)send_to_issuer(agent_of(world, running_board())->context, issuer, &forged);
}

static bool send_to_issuer(void *context, const struct hf_name *to,
                           const struct lease_message *message)
{
    struct world *world = loop_running()->world;
    int board = running_board();
    if (message->kind == LEASE_RENEW)
        oracle_renewal_sent(world, board, message);
    if (message->kind == LEASE_RELEASE)
        oracle_release_sent(world, board, message);
    if (message->kind == LEASE_RELEASE && world->settings.plant != PLANT_RELEASE)
        oracle_released(world, board, message);
    trace_agent_says(world, board, message);
    bool sent = agent_of(world, board)->send_to_issuer(context, to, message);
    forge_release(to, message);
    return sent;
}

struct agent *__wrap_agent_start(const struct agent_config *config);
struct agent *__real_agent_start(const struct agent_config *config);
struct agent *__wrap_agent_start(const struct agent_config *config)
{
    struct world *world = loop_running()->world;
    struct sim_agent *agent = agent_of(world, running_board());
    struct agent_config seen = *config;
    log_note(world, "%s: agent starts", text_of(world, running_board()));
    agent->send_to_issuer = config->send_to_issuer;
    agent->context = config->context;
    seen.send_to_issuer = send_to_issuer;
    seen.guard_silence = span_from_ms(SIM_GUARD_SILENCE_MS * world->plan.scale);
    agent->shell = __real_agent_start(&seen);
    return agent->shell;
}

/* ---- what it hears */

void __wrap_agent_receive(struct agent *shell, const struct hf_name *issuer,
                          const struct lease_message *message);
void __real_agent_receive(struct agent *shell, const struct hf_name *issuer,
                          const struct lease_message *message);
void __wrap_agent_receive(struct agent *shell, const struct hf_name *issuer,
                          const struct lease_message *message)
{
    struct world *world = loop_running()->world;
    int board = running_board();
    if (message->kind == LEASE_RENEWED) {
        oracle_answer(world, board, message);
        trace_renewed(world, board, message);
    }
    if (message->kind == LEASE_REFUSED && message->refusal == LEASE_REFUSED_TOKEN)
        world_cover(world,
                    world->issuer_count == 1 ? COVERAGE_LONE_BARRED : COVERAGE_GRANTS_BARRED);
    __real_agent_receive(shell, issuer, message);
}

/* ---- what its holder does: seen, and not changed */

void __wrap_holder_init(struct holder *holder, const struct holder_config *config,
                        struct instant now);
void __real_holder_init(struct holder *holder, const struct holder_config *config,
                        struct instant now);
void __wrap_holder_step(struct holder *holder, const struct holder_event *event, struct instant now,
                        struct holder_output *out);
void __real_holder_step(struct holder *holder, const struct holder_event *event, struct instant now,
                        struct holder_output *out);

void __wrap_holder_init(struct holder *holder, const struct holder_config *config,
                        struct instant now)
{
    __real_holder_init(holder, config, now);
    agent_of(loop_running()->world, running_board())->holder = holder;
}

static void note_tokens(const struct holder *holder)
{
    struct sim_agent *agent = agent_of(loop_running()->world, running_board());
    for (size_t i = 0; i < holder->lease_count; i++) {
        if (holder->lease[i].highest > agent->had[i])
            agent->had[i] = holder->lease[i].highest;
    }
}

void __wrap_holder_step(struct holder *holder, const struct holder_event *event, struct instant now,
                        struct holder_output *out)
{
    struct world *world = loop_running()->world;
    __real_holder_step(holder, event, now, out);
    note_tokens(holder);
    oracle_agent_says(world, running_board(), holder);
    for (size_t i = 0; i < out->change_count; i++) {
        meet_holder_changed(world, running_board(), &out->change[i]);
        if (out->change[i].to == HOLDER_RELEASING)
            oracle_release_begins(world, running_board(), holder, &out->change[i].resource);
        if (out->change[i].input == HOLDER_INPUT_LEFTOVER)
            world_cover(world, COVERAGE_LEFTOVERS);
    }
}

/* ---- its files: the tokens are on the board's disk, the run directory is its own */

void tokens_open(struct tokens *tokens, uv_loop_t *loop, const struct conf *conf,
                 struct holder_config *config)
{
    (void)tokens;
    (void)loop;
    (void)conf;
    for (size_t i = 0; i < config->resource_count; i++)
        config->resource[i].highest = agent_of(loop_running()->world, running_board())->kept[i];
}

void tokens_note(struct tokens *tokens, const struct holder *holder)
{
    (void)tokens;
    for (size_t i = 0; i < holder->lease_count; i++)
        agent_of(loop_running()->world, running_board())->kept[i] = holder->lease[i].highest;
}

bool safe_folder(const char *path, bool any_owner, char *error, size_t error_size)
{
    (void)path;
    (void)any_owner;
    (void)error;
    (void)error_size;
    return true;
}

/* Its lock is given back when it dies, so a new one always gets it. */
int safe_file_lock(const char *path, const char *held, char *error, size_t error_size)
{
    (void)path;
    (void)held;
    (void)error;
    (void)error_size;
    return 0;
}

/* There are none: no lease log is asked for. */
int safe_file_open(const char *path, int flags, mode_t mode, char *error, size_t error_size)
{
    (void)path;
    (void)flags;
    (void)mode;
    (void)error;
    (void)error_size;
    hf_panic(__FILE__, __LINE__, "an agent opens a file");
}

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    return 0;
}

void hooks_run(uv_loop_t *loop, const char *program, const char *resource, uint64_t token,
               const char *event)
{
    (void)loop;
    (void)program;
    (void)resource;
    (void)token;
    (void)event;
    hf_panic(__FILE__, __LINE__, "a hook that nobody asked for");
}

/* ---- events */

void sim_agent_guard(struct world *world, const struct event *event)
{
    const struct guard_message *message = event->data;
    int board = event->node - world->issuer_count;
    struct sim_agent *agent = agent_of(world, board);
    socket_delivered(world, event);
    if (!agent->socket_open || event->epoch != agent->socket)
        return;
    if (message && message->refusal == GUARD_REFUSED_TERMS)
        world_cover(world, COVERAGE_MISMATCHES);
    struct sim_loop *before = loop_enter(world, machine_of(world, board));
    if (message)
        oracle_guard_told(world, board, message);
    agent->heard = event;
    loop_readable(loop_running());
    if (agent->heard && agent->socket_open)
        world_fail(world, ORACLE_PANIC, "%s: what its guard said was not read",
                   text_of(world, board));
    agent->heard = NULL;
    loop_leave(before);
}

void sim_agent_clear_faults(struct world *world, int board)
{
    for (int i = 0; i < world->resource_count; i++) {
        const struct sim_guard *guard = &world->board[board].guard;
        const struct sim_agent *agent = agent_of(world, board);
        const struct holder_lease *lease = holder_lease_of(agent->holder, &world->resource[i]);
        /* A guard that died in its fault knows of none: the agent stays blocked, and says so. */
        bool blocked =
            lease->state == HOLDER_BLOCKED || guard->loop.guard.resource[i].state == GUARD_FAULT;
        if (!guard->process.up || !blocked)
            continue;
        world_cover(world, COVERAGE_FAULTS_CLEARED);
        oracle_said_clear(world, i, board);
        struct sim_loop *before = loop_enter(world, machine_of(world, board));
        HF_CHECK(agent_clear_fault(agent->shell, &world->resource[i]));
        loop_leave(before);
        stranger_sees_clearing(world, board, i);
    }
}

/* ---- life */

void sim_agent_prepare(struct world *world, int board)
{
    struct sim_agent *agent = agent_of(world, board);
    agent->hold_ms = world->board[board].file_hold_ms;
    agent->ttl_us = world->ttl_us;
    oracle_agent_starts(world, board);
    agent->socket_open = false;
    agent->heard = NULL;
}

void sim_agent_stop(struct world *world, int board)
{
    struct sim_agent *agent = agent_of(world, board);
    log_note(world, "%s: agent killed", text_of(world, board));
    socket_agent_died(world, board);
    agent->shell = NULL;
    agent->holder = NULL;
}
