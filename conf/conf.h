/*
 * The configuration of one board: one libconfig file, read whole, refused whole.
 *
 * Purpose: one schema table (key, type, unit, min, max, default, doc) drives loading, checking and
 *   the reference page. Cross checks make sure that the timing adds up.
 * Owner: whoever calls conf_load(); plain data, no pointers, never changed after loading.
 * Source: firmware/man/holdfast.conf.5 tells every key.
 */
#ifndef HOLDFAST_CONF_CONF_H
#define HOLDFAST_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/timing.h"
#include "hal/hal.h"

enum {
    CONF_PATH_MAX = 255,
    CONF_ACTUATORS_MAX = 16,
    CONF_POLICIES_MAX = 64,
    CONF_POLICY_HOLDERS_MAX = 16,
    CONF_EXIT_BAD_FILE = 78 /* EX_CONFIG */
};

struct conf_node_address {
    struct hf_name id;
    char address[HF_ADDRESS_MAX + 1]; /* "host:port", numeric host */
};

struct conf_line {
    char chip[HF_NAME_MAX + 1]; /* "gpiochip0", a path, a label; sim backend: any name */
    char name[HF_NAME_MAX + 1]; /* as the chip names the line; empty: by number alone */
    uint32_t line;              /* HAL_LINE_BY_NAME: by name alone */
};

enum conf_output_kind { CONF_OUTPUT_GPIO, CONF_OUTPUT_PULSE };

enum conf_covers { CONF_COVERS_PROCESS, CONF_COVERS_KERNEL };

struct conf_output {
    struct hf_name name;
    enum conf_output_kind kind;
    struct conf_line line;
    bool active_low;
    uint32_t rate_hz;        /* pulse: full periods per second, 10..2000 */
    uint32_t hold_ms;        /* pulse: time constant of the charge pump, 1..1000 */
    enum conf_covers covers; /* gpio: what F covers; default kernel */
    uint32_t reset_ms;       /* gpio covering kernel: from watchdog bite to pins at their pulls */
    bool has_readback;
    struct conf_line readback;
    bool readback_active_low;
    enum hal_bias readback_bias;
    uint32_t readback_within_ms; /* 1..1000 */
};

enum conf_failback { CONF_FAILBACK_MANUAL, CONF_FAILBACK_AUTO };
enum conf_on_stuck { CONF_ON_STUCK_HOLD, CONF_ON_STUCK_GO };

struct conf_resource {
    struct hf_name name;
    uint32_t ttl_ms;  /* 50..600000 */
    int32_t priority; /* -1000..1000 */
    enum conf_failback failback;
    uint32_t release_ms; /* 1..1000 */
    uint8_t output_count;
    struct conf_output output[HF_OUTPUTS_MAX];
    char on_acquired[CONF_PATH_MAX + 1]; /* empty: none */
    char on_lost[CONF_PATH_MAX + 1];
    struct span fence; /* computed: the largest timing_fence_latency() of its outputs */
};

struct conf_policy {
    struct hf_name resource;
    uint8_t holder_count;
    struct hf_name holder[CONF_POLICY_HOLDERS_MAX];
    uint32_t ttl_max_ms;
    uint32_t fence_max_ms;
    enum conf_on_stuck on_stuck;
};

struct conf_actuator {
    uint8_t unit; /* Modbus unit id at the gateway, 1..247 */
    char tcp[HF_ADDRESS_MAX + 1];
    uint32_t response_ms; /* 1..10000 */
};

struct conf {
    char file[CONF_PATH_MAX + 1];

    struct hf_name node_id;
    char data_dir[CONF_PATH_MAX + 1];
    char run_dir[CONF_PATH_MAX + 1];

    struct hf_name cluster_name;
    char listen[HF_ADDRESS_MAX + 1];
    uint8_t issuer_count; /* 1, 3, 5 or 7 */
    struct conf_node_address issuer[HF_ISSUERS_MAX];

    char tls_ca[CONF_PATH_MAX + 1]; /* made absolute, relative to the file */
    char tls_cert[CONF_PATH_MAX + 1];
    char tls_key[CONF_PATH_MAX + 1];

    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint32_t drift_ppm;

    bool issuer_role; /* the node is among cluster.issuers; needs the group "issuer" */
    size_t policy_count;
    struct conf_policy policy[CONF_POLICIES_MAX];
    uint32_t slow_store_ms;

    bool agent_role;       /* the group "agent" is there */
    uint32_t lease_log_kb; /* 0..65536; 0: none */
    uint8_t resource_count;
    struct conf_resource resource[HF_LEASES_PER_AGENT_MAX];

    bool has_watchdog;
    char watchdog_device[CONF_PATH_MAX + 1]; /* "sim" backend: any text */
    uint32_t watchdog_timeout_ms;
    bool watchdog_close_pings; /* default true */

    bool has_hal; /* always, on a board with an agent */
    enum hal_backend hal;
    char hal_socket[CONF_PATH_MAX + 1];

    bool has_gateway;
    char gateway_listen[HF_ADDRESS_MAX + 1];
    struct hf_name gateway_resource;
    bool gateway_reads_need_lease; /* default false: reads pass always */
    uint8_t actuator_count;
    struct conf_actuator actuator[CONF_ACTUATORS_MAX];

    bool has_console;
    char console_listen[HF_ADDRESS_MAX + 1];

    uint64_t cluster_digest; /* of what all nodes must agree on: cluster name, issuers, timing */
    uint64_t digest;         /* of the whole file's meaning */
};

/*
 * Loads and checks `file`. Every error goes to `errors` on its own line as
 * "FILE:LINE: key: value with unit, what is allowed". Warnings go there as "FILE:LINE: warning: ...".
 * Returns the number of errors; *conf is valid only if that is 0. Blocks for file reads only.
 */
int conf_load(struct conf *conf, const char *file, FILE *errors);

/* Writes the reference of all keys (from the schema table) as text, for man pages and --help. */
void conf_print_reference(FILE *out);

/* The same as the key list of the man page holdfast.conf(5), in man macros. */
void conf_print_reference_man(FILE *out);

/* The board as this file configures it, for a process of this role; texts are the conf's. */
struct hal_board conf_hal_board(const struct conf *conf, const char *role);

/* An output's line, or its readback's, as the HAL is asked for it; texts are the conf's. */
struct hal_line_config conf_hal_output(const struct conf_resource *resource,
                                       const struct conf_output *output);
struct hal_line_config conf_hal_readback(const struct conf_resource *resource,
                                         const struct conf_output *output);

/* "gpiochip0 line 5 \"RELAY\"" into `text`, as the file names the line. Returns `text`. */
enum { CONF_LINE_TEXT_MAX = 2 * HF_NAME_MAX + 32 };
const char *conf_line_text(const struct conf_line *line, char text[CONF_LINE_TEXT_MAX + 1]);

/* Fence latency of one output, by timing_fence_latency(). */
struct span conf_output_fence(const struct conf *conf, const struct conf_output *output);

/* Estimates that `budget` uses for the bound; printed with their reason. */
struct timing_bound conf_failover_bound(const struct conf *conf, const struct conf_resource *res);

/*
 * The bound where the board that died also led the issuers: two election timeouts and a commit
 * more, since the new leader waits anew from its first own-term entry.
 */
struct span conf_failover_bound_leader(const struct conf *conf, const struct conf_resource *res);

/* The timing arithmetic of this configuration, line by line, with the failover bound. */
void conf_print_budget(const struct conf *conf, FILE *out, bool json);

#endif
