#include "conf/schema.h"

#include <stdio.h>
#include <string.h>

#include "conf/conf.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ELEMENTS(type, member, counter)                                                            \
    .offset = offsetof(type, member), .size = sizeof(((type *)0)->member[0]),                      \
    .count_offset = offsetof(type, counter), .count_size = sizeof(((type *)0)->counter)

static const char *const failback_words[] = { "manual", "auto", NULL };
static const char *const on_stuck_words[] = { "hold", "go", NULL };
static const char *const kind_words[] = { "gpio", "pulse", NULL };
static const char *const covers_words[] = { "process", "kernel", NULL };
static const char *const bias_words[] = { "as-is", "disabled", "pull-up", "pull-down", NULL };
static const char *const backend_words[] = { "sim", "linux", NULL };

_Static_assert(CONF_FAILBACK_AUTO == 1, "order of failback_words");
_Static_assert(CONF_ON_STUCK_GO == 1, "order of on_stuck_words");
_Static_assert(CONF_OUTPUT_PULSE == 1, "order of kind_words");
_Static_assert(CONF_COVERS_KERNEL == 1, "order of covers_words");
_Static_assert(HAL_BIAS_PULL_DOWN == 3, "order of bias_words");
_Static_assert(HAL_LINUX == 1, "order of backend_words");

enum { LINE_BY_NAME = -1 }; /* stored as HAL_LINE_BY_NAME */

const struct conf_key conf_schema[] = {
    { "node", CONF_TYPE_GROUP, .required = true, .doc = "This board." },
    { "node.id", CONF_TYPE_NAME, .required = true, FIELD(struct conf, node_id),
      .doc = "Its name in the cluster; the CN of its certificate." },
    { "node.data_dir", CONF_TYPE_PATH, FIELD(struct conf, data_dir),
      .default_text = "/var/lib/holdfast",
      .doc = "Where an issuer keeps its journal, an agent its tokens, a guard its latched faults; "
             "must outlive a reset." },
    { "node.run_dir", CONF_TYPE_PATH, FIELD(struct conf, run_dir), .default_text = "/run/holdfast",
      .doc = "Where guard.sock and lease.page live; cleared at boot." },

    { "cluster", CONF_TYPE_GROUP, .required = true,
      .doc = "Who decides. The same on every board." },
    { "cluster.name", CONF_TYPE_NAME, .required = true, FIELD(struct conf, cluster_name),
      .doc = "Name of the cluster; peers of another name are refused." },
    { "cluster.listen", CONF_TYPE_ADDRESS, FIELD(struct conf, listen),
      .doc = "Where this node takes peers and agents. An issuer needs it." },
    { "cluster.issuers", CONF_TYPE_LIST, .required = true, .min = 1, .max = HF_ISSUERS_MAX,
      ELEMENTS(struct conf, issuer, issuer_count),
      .doc = "The issuers: 1, 3, 5 or 7 of them; 4 or 6 while one is replaced. Counts when a "
             "cluster begins: holdfastd --init once on each of them, then a first start for which "
             "all of them must be there; later, they are changed by member add, promote and "
             "remove, and a node learns of the others from any issuer of its file that is still "
             "one. Its status tells what in the file is out of date; a new issuer's file lists "
             "itself." },
    { "cluster.issuers[].id", CONF_TYPE_NAME, .required = true, FIELD(struct conf_node_address, id),
      .doc = "The issuer's node.id." },
    { "cluster.issuers[].address", CONF_TYPE_ADDRESS, .required = true,
      FIELD(struct conf_node_address, address), .doc = "Where it is reached." },

    { "tls", CONF_TYPE_GROUP, .required = true, .doc = "Certificates, from `holdfastctl pki`." },
    { "tls.ca", CONF_TYPE_PATH, .required = true, FIELD(struct conf, tls_ca),
      .doc = "The cluster's CA certificate." },
    { "tls.cert", CONF_TYPE_PATH, .required = true, FIELD(struct conf, tls_cert),
      .doc = "This node's certificate: one, of at most 4096 bytes, signed by the CA itself." },
    { "tls.key", CONF_TYPE_PATH, .required = true, FIELD(struct conf, tls_key),
      .doc = "Its private key, mode 0600." },

    { "timing", CONF_TYPE_GROUP, .doc = "Times that every node must agree on." },
    { "timing.heartbeat_ms", CONF_TYPE_INT, .unit = "ms", .min = 5, .max = 10000,
      .default_value = 50, FIELD(struct conf, heartbeat_ms),
      .doc = "How often the leader shows that it lives. Below half of election_ms." },
    { "timing.election_ms", CONF_TYPE_INT, .unit = "ms", .min = 20, .max = 60000,
      .default_value = 300, FIELD(struct conf, election_ms),
      .doc = "Silence after which an election starts, at the earliest." },
    { "timing.drift_ppm", CONF_TYPE_INT, .unit = "ppm", .min = 1, .max = TIMING_DRIFT_PPM_MAX,
      .default_value = 2000, FIELD(struct conf, drift_ppm),
      .doc = "How far a node's clock rate may be off true time, either way. Safety rests on it." },

    { "issuer", CONF_TYPE_GROUP, FIELD(struct conf, issuer_role),
      .doc = "What this node grants. There if and only if the node is among cluster.issuers." },
    { "issuer.policy", CONF_TYPE_LIST, .required = true, .min = 1, .max = CONF_POLICIES_MAX,
      ELEMENTS(struct conf, policy, policy_count),
      .doc = "The resources, and who may hold each. Nothing else is granted." },
    { "issuer.policy[].resource", CONF_TYPE_NAME, .required = true,
      FIELD(struct conf_policy, resource), .doc = "Name of the resource." },
    { "issuer.policy[].holders", CONF_TYPE_NAMES, .required = true, .min = 1,
      .max = CONF_POLICY_HOLDERS_MAX, ELEMENTS(struct conf_policy, holder, holder_count),
      .doc = "Boards that may hold it." },
    { "issuer.policy[].ttl_max_ms", CONF_TYPE_INT, .required = true, .unit = "ms", .min = 50,
      .max = 600000, FIELD(struct conf_policy, ttl_max_ms),
      .doc = "Longest ttl that a board may ask for." },
    { "issuer.policy[].fence_max_ms", CONF_TYPE_INT, .unit = "ms", .min = 1, .max = 600000,
      .default_value = 60000, FIELD(struct conf_policy, fence_max_ms),
      .doc =
          "Longest fence latency F that a board may declare; a longer one is refused. After a "
          "restore from a backup nothing is granted for the largest ttl_max_ms + fence_max_ms." },
    { "issuer.policy[].on_stuck", CONF_TYPE_WORD, .words = on_stuck_words,
      FIELD(struct conf_policy, on_stuck),
      .doc = "After an output of the resource was seen stuck on at a board. hold: nobody is "
             "granted it "
             "until an operator says fault clear. go: the next board is, once the lease is over." },
    { "issuer.slow_store_ms", CONF_TYPE_INT, .unit = "ms", .min = 1, .max = 60000,
      .default_value = 500, FIELD(struct conf, slow_store_ms),
      .doc = "A sync of the journal that takes longer is told: in the log, in issuers and in "
             "metrics. Grants wait for the syncs of a majority, renewals do not." },

    { "agent", CONF_TYPE_GROUP, FIELD(struct conf, agent_role),
      .doc = "What this board drives. Left out: it drives nothing." },
    { "agent.resources", CONF_TYPE_LIST, .required = true, .min = 1, .max = HF_LEASES_PER_AGENT_MAX,
      ELEMENTS(struct conf, resource, resource_count),
      .doc = "The resources that this board asks for." },
    { "agent.lease_log_kb", CONF_TYPE_INT, .unit = "KiB", .max = 65536,
      FIELD(struct conf, lease_log_kb),
      .doc = "Largest size of RUN/lease.log, a line for all that is said about leases, see "
             "holdfastd(8); the full one is kept as lease.log.1. 0: no such log." },
    { "agent.resources[].name", CONF_TYPE_NAME, .required = true, FIELD(struct conf_resource, name),
      .doc = "Name of the resource." },
    { "agent.resources[].ttl_ms", CONF_TYPE_INT, .required = true, .unit = "ms", .min = 50,
      .max = 600000, FIELD(struct conf_resource, ttl_ms),
      .doc = "Lease time T. Short: fast takeover. Long: rides out longer outages of the issuers." },
    { "agent.resources[].priority", CONF_TYPE_INT, .min = -1000, .max = 1000,
      FIELD(struct conf_resource, priority), .doc = "Who goes first in the queue; higher first." },
    { "agent.resources[].failback", CONF_TYPE_WORD, .words = failback_words,
      FIELD(struct conf_resource, failback),
      .doc = "auto: the holder is asked to yield to this board if this board's priority is higher; "
             "not if an operator handed the resource over." },
    { "agent.resources[].release_ms", CONF_TYPE_INT, .required = true, .unit = "ms", .min = 1,
      .max = 1000, FIELD(struct conf_resource, release_ms),
      .doc = "r: from the guard's decision to outputs off, the guard's own lateness included." },
    { "agent.resources[].on_acquired", CONF_TYPE_PATH, FIELD(struct conf_resource, on_acquired),
      .doc = "Program run after the outputs went on." },
    { "agent.resources[].on_lost", CONF_TYPE_PATH, FIELD(struct conf_resource, on_lost),
      .doc = "Program run after they went off; it never delays the drop." },
    { "agent.resources[].outputs", CONF_TYPE_LIST, .required = true, .min = 1,
      .max = HF_OUTPUTS_MAX, ELEMENTS(struct conf_resource, output, output_count),
      .doc = "The lines that the guard drives while the lease is valid." },
    { "agent.resources[].outputs[].name", CONF_TYPE_NAME, .required = true,
      FIELD(struct conf_output, name), .doc = "Name of the output, unique in its resource." },
    { "agent.resources[].outputs[].kind", CONF_TYPE_WORD, .required = true, .words = kind_words,
      FIELD(struct conf_output, kind),
      .doc = "pulse: a charge pump or retriggerable monostable that drops when edges stop. "
             "gpio: a plain level." },
    { "agent.resources[].outputs[].chip", CONF_TYPE_TEXT, .required = true,
      FIELD(struct conf_output, line.chip),
      .doc =
          "GPIO chip: its device, as gpiochip0, or its label, as pinctrl-bcm2835, if only one has "
          "that." },
    { "agent.resources[].outputs[].line", CONF_TYPE_INT, .max = 1023, .default_value = LINE_BY_NAME,
      FIELD(struct conf_output, line.line),
      .doc = "Line of that chip by its number. This or line_name is required; with both, the chip "
             "must have that line under that name." },
    { "agent.resources[].outputs[].line_name", CONF_TYPE_TEXT, FIELD(struct conf_output, line.name),
      .doc = "Line of that chip by the name that the chip has for it, see gpioinfo(1)." },
    { "agent.resources[].outputs[].active_low", CONF_TYPE_BOOL,
      FIELD(struct conf_output, active_low), .doc = "On is the low level." },
    { "agent.resources[].outputs[].rate_hz", CONF_TYPE_INT, .unit = "Hz", .min = 10, .max = 2000,
      FIELD(struct conf_output, rate_hz),
      .doc = "pulse, required there: full periods per second." },
    { "agent.resources[].outputs[].hold_ms", CONF_TYPE_INT, .unit = "ms", .min = 1, .max = 1000,
      FIELD(struct conf_output, hold_ms),
      .doc = "pulse, required there: longest time that the hardware stays on after the last edge. "
             "It is this output's fence latency F." },
    { "agent.resources[].outputs[].covers", CONF_TYPE_WORD, .words = covers_words,
      .default_value = CONF_COVERS_KERNEL, FIELD(struct conf_output, covers),
      .doc = "gpio: what F covers. process: the guard's death alone, F = 0. kernel: a hang too, "
             "F = watchdog timeout (+ one more if close_pings) + reset_ms." },
    { "agent.resources[].outputs[].reset_ms", CONF_TYPE_INT, .unit = "ms", .min = 1, .max = 60000,
      FIELD(struct conf_output, reset_ms),
      .doc = "gpio that covers the kernel, required there: from the watchdog's bite to the pin at "
             "its pull." },
    { "agent.resources[].outputs[].readback", CONF_TYPE_GROUP,
      FIELD(struct conf_output, has_readback),
      .doc = "A contact that shows what the output really does." },
    { "agent.resources[].outputs[].readback.chip", CONF_TYPE_TEXT, .required = true,
      FIELD(struct conf_output, readback.chip), .doc = "GPIO chip of the input, as above." },
    { "agent.resources[].outputs[].readback.line", CONF_TYPE_INT, .max = 1023,
      .default_value = LINE_BY_NAME, FIELD(struct conf_output, readback.line),
      .doc = "Line of that chip by its number; this or line_name." },
    { "agent.resources[].outputs[].readback.line_name", CONF_TYPE_TEXT,
      FIELD(struct conf_output, readback.name), .doc = "Line of that chip by its name." },
    { "agent.resources[].outputs[].readback.active_low", CONF_TYPE_BOOL,
      FIELD(struct conf_output, readback_active_low),
      .doc = "The low level shows that the output is on." },
    { "agent.resources[].outputs[].readback.bias", CONF_TYPE_WORD, .words = bias_words,
      FIELD(struct conf_output, readback_bias),
      .doc =
          "The chip's own pull on the input. The kernel leaves it out, unsaid, where the chip has "
          "none." },
    { "agent.resources[].outputs[].readback.within_ms", CONF_TYPE_INT, .required = true,
      .unit = "ms", .min = 1, .max = 1000, FIELD(struct conf_output, readback_within_ms),
      .doc = "How soon it must agree (pulse: after hold_ms); else the resource goes to FAULT. "
             "hold_ms + within_ms must be below ttl_ms; and within_ms of a pulse above hold_ms * "
             "drift_ppm / 1000000, by which a fast clock ends hold_ms too early." },

    { "watchdog", CONF_TYPE_GROUP, FIELD(struct conf, has_watchdog),
      .doc = "Fed by the guard while it is on time." },
    { "watchdog.device", CONF_TYPE_TEXT, .required = true, FIELD(struct conf, watchdog_device),
      .doc = "As /dev/watchdog0." },
    { "watchdog.timeout_ms", CONF_TYPE_INT, .required = true, .unit = "ms", .min = 50,
      .max = 600000, FIELD(struct conf, watchdog_timeout_ms),
      .doc = "linux: whole seconds, 1000 ms at least." },
    { "watchdog.close_pings", CONF_TYPE_BOOL, .default_value = 1,
      FIELD(struct conf, watchdog_close_pings),
      .doc = "Closing the device without 'V' pings it once more, as Linux does." },

    { "hal", CONF_TYPE_GROUP, FIELD(struct conf, has_hal),
      .doc = "What the guard's lines are. Needed on a board with an agent." },
    { "hal.backend", CONF_TYPE_WORD, .required = true, .words = backend_words,
      FIELD(struct conf, hal), .doc = "linux: the kernel's GPIO. sim: holdfast-bench." },
    { "hal.socket", CONF_TYPE_PATH, FIELD(struct conf, hal_socket),
      .doc = "sim, required there: the bench's socket." },

    { "gateway", CONF_TYPE_GROUP, FIELD(struct conf, has_gateway),
      .doc = "The Modbus fencing proxy. Left out: none." },
    { "gateway.listen", CONF_TYPE_ADDRESS, .required = true, FIELD(struct conf, gateway_listen),
      .doc = "Where local Modbus masters connect." },
    { "gateway.resource", CONF_TYPE_NAME, .required = true, FIELD(struct conf, gateway_resource),
      .doc = "Whose lease opens the way for writes; one of agent.resources." },
    { "gateway.reads_need_lease", CONF_TYPE_BOOL, FIELD(struct conf, gateway_reads_need_lease),
      .doc = "Refuse reads without a lease, too." },
    { "gateway.actuators", CONF_TYPE_LIST, .required = true, .min = 1, .max = CONF_ACTUATORS_MAX,
      ELEMENTS(struct conf, actuator, actuator_count), .doc = "What is behind the gateway." },
    { "gateway.actuators[].unit", CONF_TYPE_INT, .required = true, .min = 1, .max = 247,
      FIELD(struct conf_actuator, unit), .doc = "Modbus unit id at the gateway." },
    { "gateway.actuators[].tcp", CONF_TYPE_ADDRESS, .required = true,
      FIELD(struct conf_actuator, tcp), .doc = "The actuator's Modbus TCP address." },
    { "gateway.actuators[].response_ms", CONF_TYPE_INT, .required = true, .unit = "ms", .min = 1,
      .max = 10000, FIELD(struct conf_actuator, response_ms),
      .doc =
          "Longest time that it takes to answer; a write starts only if the lease outlives it." },

    { "console", CONF_TYPE_GROUP, FIELD(struct conf, has_console),
      .doc = "The operators' console. Left out: none." },
    { "console.listen", CONF_TYPE_ADDRESS, .required = true, FIELD(struct conf, console_listen),
      .doc = "Where holdfastctl, openssl s_client and Prometheus connect." },
};

const size_t conf_schema_count = sizeof(conf_schema) / sizeof(conf_schema[0]);

const struct conf_key *conf_schema_find(const char *path)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        if (strcmp(conf_schema[i].path, path) == 0)
            return &conf_schema[i];
    }
    return NULL;
}

const char *conf_key_leaf(const struct conf_key *key)
{
    const char *dot = strrchr(key->path, '.');
    return dot ? dot + 1 : key->path;
}

bool conf_key_is_child(const struct conf_key *key, const char *parent)
{
    const char *leaf = conf_key_leaf(key);
    size_t length = strlen(parent);
    if (length == 0)
        return leaf == key->path;
    return leaf == key->path + length + 1 && memcmp(key->path, parent, length) == 0;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance, by one row; only the first 63 characters count. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64];
    size_t a_length = strnlen(a, 63);
    size_t b_length = strnlen(b, 63);
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = min_size(substitute, min_size(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

const struct conf_key *conf_schema_nearest(const char *parent, const char *leaf)
{
    const struct conf_key *near = NULL;
    const struct conf_key *elsewhere = NULL;
    size_t near_distance = SIZE_MAX;
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        size_t distance = edit_distance(leaf, conf_key_leaf(key));
        if (conf_key_is_child(key, parent) && distance < near_distance) {
            near = key;
            near_distance = distance;
        }
        if (!elsewhere && distance == 0)
            elsewhere = key;
    }
    /* If nothing in this group is close, the same key in another group is the likelier mistake. */
    bool poor = near_distance > 2 && near_distance * 3 > strlen(leaf);
    return poor && elsewhere ? elsewhere : near;
}

static void words_list(const char *const *words, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; words[i] && used < size; i++) {
        const char *join = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", join, words[i]);
    }
}

void conf_key_allowed(const struct conf_key *key, char *out, size_t size)
{
    const char *of = key->unit ? " of " : "";
    const char *unit = key->unit ? key->unit : "";
    long long min = key->min;
    long long max = key->max;
    switch (key->type) {
    case CONF_TYPE_GROUP:
        snprintf(out, size, "a group { ... }");
        return;
    case CONF_TYPE_LIST:
        snprintf(out, size, "a list ( { ... }, ... ) of %lld to %lld groups", min, max);
        return;
    case CONF_TYPE_NAMES:
        snprintf(out, size, "a list ( \"a\", \"b\" ) of %lld to %lld names", min, max);
        return;
    case CONF_TYPE_INT:
        snprintf(out, size, "a whole number%s%s, %lld to %lld", of, unit, min, max);
        return;
    case CONF_TYPE_BOOL:
        snprintf(out, size, "true or false");
        return;
    case CONF_TYPE_NAME:
        snprintf(out, size,
                 "a name of 1 to %d letters, digits, '.', '_' or '-', not starting with '.' or '-'",
                 HF_NAME_MAX);
        return;
    case CONF_TYPE_TEXT:
    case CONF_TYPE_PATH:
        snprintf(out, size, "a %s of 1 to %zu printable characters",
                 key->type == CONF_TYPE_PATH ? "path" : "text", key->size - 1);
        return;
    case CONF_TYPE_ADDRESS:
        snprintf(out, size,
                 "\"IPv4:PORT\" or \"[IPv6]:PORT\" with a numeric host and a port of 1 to 65535");
        return;
    case CONF_TYPE_WORD:
        words_list(key->words, out, size);
        return;
    }
}
