/*
 * A machine's holdfastd: daemon/node as it ships, with the roles that the machine's file gives it. One
 * process, one loop; issuer.c and agent.c look at what passes to and from its roles.
 */
#include <setjmp.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "node/issuers.h"
#include "node/node.h"
#include "tests/sim/sim.h"

static jmp_buf dies_as_it_starts;

void daemon_dies_as_it_starts(void)
{
    longjmp(dies_as_it_starts, 1);
}

void daemon_start(struct world *world, int machine)
{
    int board = world->board_on[machine];
    struct node *node;
    struct conf *conf = memory_conf(machine);
    if (machine < world->issuer_count)
        sim_issuer_prepare(world, machine);
    if (board >= 0)
        sim_agent_prepare(world, board);
    file_of_machine(world, machine, board >= 0 ? world->board[board].agent.hold_ms : 0, conf);
    loop_begin(world, machine);
    struct sim_loop *before = loop_enter(world, machine);
    const struct node_config config = { .loop = &loop_running()->uv, .conf = conf };
    if (setjmp(dies_as_it_starts) == 0)
        HF_CHECK(node_start(&node, &config) == 0);
    else
        sim_issuer_dies_in_recovery(world, machine);
    loop_leave(before);
}

ssize_t __wrap_getrandom(void *data, size_t length, unsigned flags);
ssize_t __wrap_getrandom(void *data, size_t length, unsigned flags)
{
    struct world *world = loop_running()->world;
    uint64_t value = random_next(world_random(world, STREAM_PROCESS, loop_running()->machine));
    (void)flags;
    HF_CHECK(length == sizeof(value));
    memcpy(data, &value, sizeof(value));
    return sizeof(value);
}

bool __wrap_issuers_hears(const struct issuers *issuers, const struct raft *raft,
                          const struct hf_name *id);
bool __real_issuers_hears(const struct issuers *issuers, const struct raft *raft,
                          const struct hf_name *id);
bool __wrap_issuers_hears(const struct issuers *issuers, const struct raft *raft,
                          const struct hf_name *id)
{
    bool heard = __real_issuers_hears(issuers, raft, id);
    if (!heard)
        world_cover(loop_running()->world, COVERAGE_STRANGERS_IGNORED);
    return heard;
}
