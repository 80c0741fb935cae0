/* What the configuration file of a machine says: the shells are started with it. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { PREFERRED = 100, OTHERS = 50 }; /* priorities */
enum { SLOW_STORE_MS = 500 };

static void write_output(const struct world *world, int board, int64_t hold_ms,
                         struct conf_output *output)
{
    const struct sim_hardware *hardware = &world->plan.hardware[board];
    bool pulse = hardware->output == OUTPUT_PULSE;
    HF_CHECK(name_from_string(&output->name, "valve"));
    output->kind = pulse ? CONF_OUTPUT_PULSE : CONF_OUTPUT_GPIO;
    output->rate_hz = pulse ? world->plan.rate_hz : 0;
    output->hold_ms = pulse ? (uint32_t)hold_ms : 0;
    output->covers =
        hardware->output == OUTPUT_GPIO_PROCESS ? CONF_COVERS_PROCESS : CONF_COVERS_KERNEL;
    output->reset_ms = pulse ? 0 : (uint32_t)((hardware->reset_us + 999) / 1000);
    output->has_readback = !hardware->blind;
    output->readback_within_ms = hardware->blind ? 0 : (uint32_t)world->plan.readback_ms;
}

static void write_resource(const struct world *world, int board, int resource, int64_t hold_ms,
                           struct conf_resource *to)
{
    const struct sim_hardware *hardware = &world->plan.hardware[board];
    bool pulse = hardware->output == OUTPUT_PULSE;
    to->name = world->resource[resource];
    to->ttl_ms = (uint32_t)(sim_ttl_us(&world->plan, resource, world->ttl_us) / 1000);
    to->priority = board == resource % world->board_count ? PREFERRED : OTHERS;
    to->failback = (world->plan.failback & sim_failback_bit(resource, board)) != 0 ?
                       CONF_FAILBACK_AUTO :
                       CONF_FAILBACK_MANUAL;
    to->release_ms = SIM_RELEASE_MS;
    to->output_count = 1;
    write_output(world, board, hold_ms, &to->output[0]);
    to->fence = span_from_us(pulse ? hold_ms * 1000 : hardware->fence_us);
}

static void write_board(const struct world *world, int board, int64_t hold_ms, struct conf *conf)
{
    const struct sim_hardware *hardware = &world->plan.hardware[board];
    conf->agent_role = true;
    conf->hal = HAL_LINUX;
    conf->resource_count = (uint8_t)world->resource_count;
    for (int i = 0; i < world->resource_count; i++)
        write_resource(world, board, i, hold_ms, &conf->resource[i]);
    conf->has_watchdog = hardware->watchdog;
    text_copy(conf->watchdog_device, sizeof(conf->watchdog_device), "/dev/watchdog");
    conf->watchdog_timeout_ms = (uint32_t)(SIM_WATCHDOG_MS * world->plan.scale);
    conf->watchdog_close_pings = hardware->close_pings;
}

static void write_policy(const struct world *world, int resource, struct conf_policy *policy)
{
    policy->resource = world->resource[resource];
    /* No longer than what boards ask for: a hold-off after a restore is just long enough. */
    policy->ttl_max_ms = (uint32_t)(sim_ttl_us(&world->plan, resource, world->ttl_us) / 1000);
    policy->fence_max_ms = (uint32_t)((plan_longest_fence_us(&world->plan) + 999) / 1000);
    policy->on_stuck = world->plan.stuck_go ? CONF_ON_STUCK_GO : CONF_ON_STUCK_HOLD;
    policy->holder_count = (uint8_t)world->board_count;
    for (int board = 0; board < world->board_count; board++)
        policy->holder[board] = world->name[board_node(world, board)];
}

/* Whom it knows of: those of the first day, whatever became of them; itself alone; those of today. */
static void write_cluster(const struct world *world, int machine, struct conf *conf)
{
    struct raft_members members;
    bool alone = machine < world->issuer_count && world->issuer[machine].alone;
    sim_bootstrap_members(world, &members);
    if (machine < world->issuer_count && world->issuer[machine].of_today)
        members = world->oracle.members;
    conf->issuer_count = alone ? 1 : members.count;
    for (uint8_t i = 0; i < conf->issuer_count; i++)
        conf->issuer[i].id = alone ? world->name[machine] : members.member[i].id;
}

static void write_issuer(const struct world *world, struct conf *conf)
{
    conf->issuer_role = true;
    conf->policy_count = (size_t)world->resource_count;
    for (int i = 0; i < world->resource_count; i++)
        write_policy(world, i, &conf->policy[i]);
    conf->slow_store_ms = SLOW_STORE_MS;
}

void file_of_machine(const struct world *world, int machine, int64_t hold_ms, struct conf *conf)
{
    memset(conf, 0, sizeof(*conf));
    text_copy(conf->file, sizeof(conf->file), "holdfast.conf");
    conf->node_id = world->name[machine];
    HF_CHECK(name_from_string(&conf->cluster_name, "sim"));
    text_copy(conf->data_dir, sizeof(conf->data_dir), "/var/lib/holdfast");
    text_copy(conf->run_dir, sizeof(conf->run_dir), "/run/holdfast");
    conf->heartbeat_ms = (uint32_t)(SIM_HEARTBEAT_MS * world->plan.scale);
    conf->election_ms = (uint32_t)(SIM_ELECTION_MS * world->plan.scale);
    conf->drift_ppm = SIM_DRIFT_PPM;
    write_cluster(world, machine, conf);
    if (machine < world->issuer_count)
        write_issuer(world, conf);
    if (world->board_on[machine] >= 0)
        write_board(world, world->board_on[machine], hold_ms, conf);
}
