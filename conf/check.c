/*
 * Checks across keys. Each error names the line of the key that its reader would change, and where
 * a sum is wrong, it shows the sum. Values that the schema refused are zero or empty here; every
 * check skips those, so that one mistake gives one error.
 */
#include "conf/load.h"

#include <string.h>

#include "conf/ms.h"

enum {
    KEY_MAX = 128,
    RENEWALS_WANTED = 2,            /* intervals that must be left after one was lost */
    BCM2835_TIMEOUT_MAX_MS = 15000, /* its register; kernels feed it to offer more */
    SOCKET_PATH_MAX = 107           /* sizeof(sockaddr_un.sun_path) - 1 */
};

struct check {
    const struct conf *conf;
    const config_t *tree;
    struct conf_report *report;
};

/* "a[0].b" as libconfig writes it: "a.[0].b". */
static void tree_path(const char *key, char *out, size_t size)
{
    size_t used = 0;
    for (; *key != '\0' && used + 2 < size; key++) {
        if (*key == '[')
            out[used++] = '.';
        out[used++] = *key;
    }
    out[used] = '\0';
}

static bool given(const struct check *check, const char *key)
{
    char path[2 * KEY_MAX];
    tree_path(key, path, sizeof(path));
    return config_lookup(check->tree, path) != NULL;
}

/* The line of a key; of the group around it if the key is left out; 0 if that is, too. */
static unsigned key_line(const struct check *check, const char *key)
{
    char path[2 * KEY_MAX];
    tree_path(key, path, sizeof(path));
    const config_setting_t *setting = config_lookup(check->tree, path);
    char *dot = strrchr(path, '.');
    while (!setting && dot) {
        *dot = '\0';
        setting = config_lookup(check->tree, path);
        dot = strrchr(path, '.');
    }
    return setting ? config_setting_source_line(setting) : 0;
}

#define FAIL(check, key, ...)                                                                      \
    conf_report_error((check)->report, key_line(check, key), key, __VA_ARGS__)
#define WARN(check, key, ...)                                                                      \
    conf_report_warning((check)->report, key_line(check, key), key, __VA_ARGS__)

static void check_timing(const struct check *check)
{
    const struct conf *conf = check->conf;
    if (conf->heartbeat_ms > 0 && conf->election_ms > 0 &&
        2 * conf->heartbeat_ms >= conf->election_ms)
        FAIL(check, "timing.heartbeat_ms",
             "%u ms, must be below election_ms / 2 = %u ms / 2 = %s ms, so that one lost heartbeat "
             "starts no election",
             conf->heartbeat_ms, conf->election_ms,
             conf_ms(span_from_us((int64_t)conf->election_ms * 500)).text);
}

/* ---- issuers */

static void check_issuer_count(const struct check *check)
{
    unsigned count = check->conf->issuer_count;
    if (count == 2)
        FAIL(check, "cluster.issuers",
             "2 issuers, must be 1, 3, 5 or 7: a majority of two is two, so losing either board "
             "would stop both; add a witness issuer on any third device");
    else if (count > 0 && count % 2 == 0)
        WARN(check, "cluster.issuers",
             "%u issuers, should be 1, 3, 5 or 7 unless one is being replaced: %u survive no more "
             "losses than %u do",
             count, count, count - 1);
}

static void check_issuer_doubles(const struct check *check)
{
    const struct conf *conf = check->conf;
    for (unsigned i = 0; i < conf->issuer_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct conf_node_address *a = &conf->issuer[j];
            const struct conf_node_address *b = &conf->issuer[i];
            char key[KEY_MAX];
            if (!name_empty(&b->id) && name_equal(&a->id, &b->id)) {
                snprintf(key, sizeof(key), "cluster.issuers[%u].id", i);
                FAIL(check, key, "\"%s\" is issuers[%u] already, every id must be different",
                     b->id.text, j);
            }
            if (b->address[0] != '\0' && strcmp(a->address, b->address) == 0) {
                snprintf(key, sizeof(key), "cluster.issuers[%u].address", i);
                FAIL(check, key,
                     "\"%s\" is that of issuers[%u] already, every address must be "
                     "different",
                     b->address, j);
            }
        }
    }
}

static void check_issuer_role(const struct check *check)
{
    const struct conf *conf = check->conf;
    bool member = false;
    for (unsigned i = 0; i < conf->issuer_count; i++) {
        if (name_empty(&conf->issuer[i].id))
            return;
        member = member || name_equal(&conf->issuer[i].id, &conf->node_id);
    }
    if (name_empty(&conf->node_id) || conf->issuer_count == 0)
        return;
    if (member && !given(check, "issuer"))
        FAIL(check, "node.id",
             "\"%s\" is among cluster.issuers, so the group \"issuer\" with its "
             "policy must be there",
             conf->node_id.text);
    if (!member && given(check, "issuer"))
        FAIL(check, "issuer",
             "a group, allowed only on a node among cluster.issuers; \"%s\" is "
             "none of them",
             conf->node_id.text);
    if (member && !given(check, "cluster.listen"))
        FAIL(check, "cluster.listen",
             "missing, must be an address: node \"%s\" is an issuer and "
             "its peers connect to it",
             conf->node_id.text);
}

static void check_policies(const struct check *check)
{
    const struct conf *conf = check->conf;
    for (size_t i = 0; i < conf->policy_count; i++) {
        const struct conf_policy *policy = &conf->policy[i];
        char key[KEY_MAX];
        for (size_t j = 0; j < i; j++) {
            if (name_empty(&policy->resource) ||
                !name_equal(&policy->resource, &conf->policy[j].resource))
                continue;
            snprintf(key, sizeof(key), "issuer.policy[%zu].resource", i);
            FAIL(check, key, "\"%s\" has policy[%zu] already, one policy a resource is allowed",
                 policy->resource.text, j);
        }
        for (unsigned a = 0; a < policy->holder_count; a++) {
            for (unsigned b = 0; b < a; b++) {
                if (name_empty(&policy->holder[a]) ||
                    !name_equal(&policy->holder[a], &policy->holder[b]))
                    continue;
                snprintf(key, sizeof(key), "issuer.policy[%zu].holders[%u]", i, a);
                FAIL(check, key, "\"%s\" is holders[%u] already, each board once is allowed",
                     policy->holder[a].text, b);
            }
        }
    }
}

/* ---- outputs */

struct place {
    const struct check *check;
    unsigned resource;
    unsigned output;
    char key[KEY_MAX];
};

static const char *output_key(struct place *at, const char *leaf)
{
    snprintf(at->key, sizeof(at->key), "agent.resources[%u].outputs[%u].%s", at->resource,
             at->output, leaf);
    return at->key;
}

static void refuse_given(struct place *at, const char *leaf, const char *only_for)
{
    const char *key = output_key(at, leaf);
    if (given(at->check, key) && !conf_report_has(at->check->report, key))
        FAIL(at->check, key, "given, but it is allowed only for %s", only_for);
}

static void check_pulse(struct place *at, const struct conf_output *output, uint32_t release_ms)
{
    refuse_given(at, "covers", "kind = \"gpio\"; a pulse output covers every way to die");
    refuse_given(at, "reset_ms", "kind = \"gpio\"");
    if (!given(at->check, output_key(at, "rate_hz")))
        FAIL(at->check, at->key, "missing, a pulse output must have it: 10 to 2000 Hz");
    if (!given(at->check, output_key(at, "hold_ms")))
        FAIL(at->check, at->key, "missing, a pulse output must have it: 1 to 1000 ms");
    if (output->rate_hz == 0 || output->hold_ms == 0)
        return;
    struct span half = span_from_us((500000 + (int64_t)output->rate_hz - 1) / output->rate_hz);
    struct span period = span_add(half, half);
    if (2 * period.us > (int64_t)output->hold_ms * 1000)
        FAIL(at->check, output_key(at, "hold_ms"),
             "%u ms, must be at least two periods of %u Hz = 2 * %s ms = %s ms, so that one late "
             "rising edge does not drop it",
             output->hold_ms, output->rate_hz, conf_ms(period).text,
             conf_ms(span_add(period, period)).text);
    if (release_ms > 0 && (int64_t)release_ms * 1000 < half.us) {
        char key[KEY_MAX];
        snprintf(key, sizeof(key), "agent.resources[%u].release_ms", at->resource);
        FAIL(at->check, key,
             "%u ms, must be at least half a period of outputs[%u], %s ms at %u "
             "Hz: the guard acts once each edge",
             release_ms, at->output, conf_ms(half).text, output->rate_hz);
    }
}

static void check_gpio(struct place *at, const struct conf_output *output)
{
    refuse_given(at, "rate_hz", "kind = \"pulse\"");
    refuse_given(at, "hold_ms", "kind = \"pulse\"");
    if (output->covers == CONF_COVERS_PROCESS) {
        refuse_given(at, "reset_ms", "covers = \"kernel\"");
        if (!given(at->check, output_key(at, "reset_ms")))
            WARN(at->check, output_key(at, "covers"),
                 "\"process\": a hung guard or kernel leaves this output on; only the guard's "
                 "death is covered");
        return;
    }
    if (!given(at->check, "watchdog"))
        FAIL(at->check, output_key(at, "covers"),
             "\"kernel\" needs the group \"watchdog\": without it nothing ends a hang; or say "
             "covers = \"process\"");
    if (!given(at->check, output_key(at, "reset_ms")))
        FAIL(at->check, at->key,
             "missing, an output that covers the kernel must have it: 1 to "
             "60000 ms from the watchdog's bite to the pin at its pull");
}

/* How much sooner such a time is over by a clock that is fast by the whole drift. */
static struct span fast_clock_gain(uint32_t time_ms, uint32_t drift_ppm)
{
    struct span time = span_from_ms(time_ms);
    return span_sub(timing_stretch(time, drift_ppm), time);
}

static void check_readback(struct place *at, const struct conf_resource *res,
                           const struct conf_output *output)
{
    if (!output->has_readback || output->readback_within_ms == 0)
        return;
    uint32_t within_ms = output->readback_within_ms;
    uint32_t hold_ms = output->kind == CONF_OUTPUT_PULSE ? output->hold_ms : 0;
    const char *key = output_key(at, "readback.within_ms");
    struct span early = fast_clock_gain(hold_ms, at->check->conf->drift_ppm);
    if (res->ttl_ms > 0 && within_ms + hold_ms >= res->ttl_ms)
        FAIL(at->check, key,
             "%u ms, hold_ms + within_ms = %u + %u = %u ms must be below ttl_ms = "
             "%u ms: later, it proves nothing that the expiry does not",
             within_ms, hold_ms, within_ms, hold_ms + within_ms, res->ttl_ms);
    else if (span_from_ms(within_ms).us <= early.us)
        FAIL(
            at->check, key,
            "%u ms, must be above hold_ms * drift_ppm = %u ms * %u ppm = %s ms: by a clock that is "
            "so fast, an output that goes off in time would count as stuck on",
            within_ms, hold_ms, at->check->conf->drift_ppm, conf_ms(early).text);
    else if (output->kind == CONF_OUTPUT_GPIO && res->release_ms > 0 && within_ms > res->release_ms)
        WARN(at->check, key,
             "%u ms is longer than release_ms = %u ms; if the output itself is "
             "that slow, release_ms must say so",
             within_ms, res->release_ms);
}

static void check_output(const struct check *check, unsigned resource, unsigned index)
{
    const struct conf_resource *res = &check->conf->resource[resource];
    const struct conf_output *output = &res->output[index];
    struct place at = { .check = check, .resource = resource, .output = index };
    for (unsigned i = 0; i < index; i++) {
        if (!name_empty(&output->name) && name_equal(&output->name, &res->output[i].name))
            FAIL(check, output_key(&at, "name"),
                 "\"%s\" is outputs[%u] already, every name must "
                 "be different",
                 output->name.text, i);
    }
    bool kind_known =
        given(check, output_key(&at, "kind")) && !conf_report_has(check->report, at.key);
    if (kind_known && output->kind == CONF_OUTPUT_PULSE)
        check_pulse(&at, output, res->release_ms);
    else if (kind_known && !conf_report_has(check->report, output_key(&at, "covers")))
        check_gpio(&at, output);
    check_readback(&at, res, output);
}

/* Where a line is told, or should be: "readback.line_name", say. */
static const char *line_key(struct place *at, const struct conf_line *line, const char *group)
{
    char leaf[32];
    bool by_name = line->line == HAL_LINE_BY_NAME && line->name[0] != '\0';
    snprintf(leaf, sizeof(leaf), "%sline%s", group, by_name ? "_name" : "");
    return output_key(at, leaf);
}

static bool line_given(struct place *at, const struct conf_line *line, const char *group)
{
    char leaf[32];
    snprintf(leaf, sizeof(leaf), "%sline_name", group);
    bool named = line->name[0] != '\0' || conf_report_has(at->check->report, output_key(at, leaf));
    const char *key = line_key(at, line, group);
    bool numbered = line->line != HAL_LINE_BY_NAME || conf_report_has(at->check->report, key);
    if (!named && !numbered)
        FAIL(at->check, key,
             "missing, must be a whole number, 0 to 1023, where there is no line_name");
    return named || numbered;
}

/* Each line of a chip may be used once only, for whatever. */
struct used_line {
    const struct conf_line *line;
    char key[KEY_MAX];
};

enum { LINES_MAX = HF_LEASES_PER_AGENT_MAX * HF_OUTPUTS_MAX * 2 };

/* One line by two words is found out when it is opened: the kernel gives it away once. */
static bool same_line(const struct conf_line *a, const struct conf_line *b)
{
    if (strcmp(a->chip, b->chip) != 0)
        return false;
    return a->line == HAL_LINE_BY_NAME || b->line == HAL_LINE_BY_NAME ?
               strcmp(a->name, b->name) == 0 :
               a->line == b->line;
}

static void use_line(const struct check *check, struct used_line *used, size_t *count,
                     const struct conf_line *line, const char *key)
{
    char text[CONF_LINE_TEXT_MAX + 1];
    bool known = line->chip[0] != '\0' && !conf_report_has(check->report, key);
    for (size_t i = 0; known && i < *count; i++) {
        if (!same_line(used[i].line, line))
            continue;
        FAIL(check, key, "%s is %s already, every line must be used once",
             conf_line_text(line, text), used[i].key);
        return;
    }
    if (!known)
        return;
    used[*count].line = line;
    text_copy(used[*count].key, sizeof(used[*count].key), key);
    (*count)++;
}

static void check_lines(const struct check *check)
{
    struct used_line used[LINES_MAX];
    size_t count = 0;
    struct place at = { .check = check };
    for (at.resource = 0; at.resource < check->conf->resource_count; at.resource++) {
        const struct conf_resource *res = &check->conf->resource[at.resource];
        for (at.output = 0; at.output < res->output_count; at.output++) {
            const struct conf_output *output = &res->output[at.output];
            if (line_given(&at, &output->line, ""))
                use_line(check, used, &count, &output->line, line_key(&at, &output->line, ""));
            if (output->has_readback && line_given(&at, &output->readback, "readback."))
                use_line(check, used, &count, &output->readback,
                         line_key(&at, &output->readback, "readback."));
        }
    }
}

/* ---- resources */

static void check_ttl_policy(const struct check *check, const struct conf_resource *res,
                             const char *key)
{
    const struct conf *conf = check->conf;
    for (size_t i = 0; i < conf->policy_count; i++) {
        const struct conf_policy *policy = &conf->policy[i];
        if (policy->ttl_max_ms > 0 && name_equal(&policy->resource, &res->name) &&
            res->ttl_ms > policy->ttl_max_ms)
            FAIL(check, key, "%u ms, must be at most issuer.policy[%zu].ttl_max_ms = %u ms",
                 res->ttl_ms, i, policy->ttl_max_ms);
    }
}

static void check_ttl_sum(const struct check *check, const struct conf_resource *res,
                          const char *key)
{
    const struct conf *conf = check->conf;
    struct span ttl = span_from_ms(res->ttl_ms);
    struct span release = span_from_ms(res->release_ms);
    struct span interval = timing_renew_interval(ttl);
    struct span held = timing_shrink(ttl, conf->drift_ppm);
    struct span left = span_sub(span_sub(held, release), interval);
    struct span need = span_from_us(RENEWALS_WANTED * interval.us);
    if (left.us < need.us) {
        FAIL(check, key,
             "%u ms does not add up: ttl * (1 - drift) - release_ms - renew interval = "
             "%s - %u - %s = %s ms, must be at least %d more renew intervals = %s ms",
             res->ttl_ms, conf_ms(held).text, res->release_ms, conf_ms(interval).text,
             conf_ms(left).text, RENEWALS_WANTED, conf_ms(need).text);
        return;
    }
    struct span advised =
        timing_recommended_ttl(span_from_ms(conf->election_ms), span_from_ms(conf->heartbeat_ms),
                               release, conf->drift_ppm);
    if (ttl.us < advised.us && conf->election_ms > 0 && conf->heartbeat_ms > 0)
        WARN(check, key,
             "%u ms is below the recommended %s ms, at which losing the issuer leader "
             "costs no healthy holder its lease",
             res->ttl_ms, conf_ms(advised).text);
}

static void check_fence_policy(const struct check *check, const struct conf_resource *res,
                               const char *key)
{
    const struct conf *conf = check->conf;
    for (size_t i = 0; i < conf->policy_count; i++) {
        const struct conf_policy *policy = &conf->policy[i];
        if (policy->fence_max_ms > 0 && name_equal(&policy->resource, &res->name) &&
            res->fence.us > span_from_ms(policy->fence_max_ms).us)
            FAIL(check, key,
                 "a fence latency of %s ms, must be at most "
                 "issuer.policy[%zu].fence_max_ms = %u ms",
                 conf_ms(res->fence).text, i, policy->fence_max_ms);
    }
}

static void check_resource(const struct check *check, unsigned index)
{
    const struct conf *conf = check->conf;
    const struct conf_resource *res = &conf->resource[index];
    char key[KEY_MAX];
    for (unsigned i = 0; i < index; i++) {
        if (name_empty(&res->name) || !name_equal(&res->name, &conf->resource[i].name))
            continue;
        snprintf(key, sizeof(key), "agent.resources[%u].name", index);
        FAIL(check, key, "\"%s\" is resources[%u] already, every name must be different",
             res->name.text, i);
    }
    snprintf(key, sizeof(key), "agent.resources[%u].ttl_ms", index);
    if (res->ttl_ms > 0 && !name_empty(&res->name))
        check_ttl_policy(check, res, key);
    if (res->ttl_ms > 0 && res->release_ms > 0 && conf->drift_ppm > 0)
        check_ttl_sum(check, res, key);
    snprintf(key, sizeof(key), "agent.resources[%u].outputs", index);
    if (!name_empty(&res->name))
        check_fence_policy(check, res, key);
    for (unsigned i = 0; i < res->output_count; i++)
        check_output(check, index, i);
}

/* ---- hardware, gateway, files */

static void check_hal(const struct check *check)
{
    const struct conf *conf = check->conf;
    if (conf->agent_role && !given(check, "hal.backend") && !conf_report_has(check->report, "hal"))
        FAIL(check, "agent",
             "a board with an agent must say what its lines are: hal = { backend = "
             "\"linux\"; }");
    if (conf_report_has(check->report, "hal") || !given(check, "hal.backend"))
        return;
    if (conf->hal == HAL_SIM && !given(check, "hal.socket"))
        FAIL(check, "hal.socket", "missing, backend = \"sim\" must have the bench's socket");
    if (conf->hal == HAL_LINUX && given(check, "hal.socket"))
        FAIL(check, "hal.socket", "\"%s\", allowed only for backend = \"sim\"", conf->hal_socket);
    uint32_t timeout_ms = conf->watchdog_timeout_ms;
    if (conf->hal != HAL_LINUX || timeout_ms == 0)
        return;
    if (timeout_ms % 1000 != 0)
        FAIL(check, "watchdog.timeout_ms",
             "%u ms, must be whole seconds, 1000 ms at least: "
             "/dev/watchdog knows nothing finer",
             timeout_ms);
    else if (timeout_ms > BCM2835_TIMEOUT_MAX_MS)
        WARN(check, "watchdog.timeout_ms",
             "%u ms is above the %d ms that bcm2835 (Raspberry Pi) "
             "counts in hardware; its kernel feeds it by itself to reach more",
             timeout_ms, BCM2835_TIMEOUT_MAX_MS);
}

static void check_actuators(const struct check *check, const struct conf_resource *res)
{
    const struct conf *conf = check->conf;
    struct span held = timing_shrink(span_from_ms(res->ttl_ms), conf->drift_ppm);
    struct span room = span_sub(held, span_from_ms(res->release_ms));
    bool known = res->ttl_ms > 0 && res->release_ms > 0 && conf->drift_ppm > 0;
    for (unsigned i = 0; i < conf->actuator_count; i++) {
        const struct conf_actuator *actuator = &conf->actuator[i];
        char key[KEY_MAX];
        snprintf(key, sizeof(key), "gateway.actuators[%u].response_ms", i);
        if (known && span_from_ms(actuator->response_ms).us >= room.us)
            FAIL(check, key,
                 "%u ms, must be below ttl * (1 - drift) - release_ms of \"%s\" = %s - "
                 "%u = %s ms: no write could ever start",
                 actuator->response_ms, res->name.text, conf_ms(held).text, res->release_ms,
                 conf_ms(room).text);
    }
}

static void check_gateway(const struct check *check)
{
    const struct conf *conf = check->conf;
    const struct conf_resource *res = NULL;
    char key[KEY_MAX];
    for (unsigned i = 0; i < conf->actuator_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (conf->actuator[i].unit == 0 || conf->actuator[i].unit != conf->actuator[j].unit)
                continue;
            snprintf(key, sizeof(key), "gateway.actuators[%u].unit", i);
            FAIL(check, key, "%u is actuators[%u] already, every unit must be different",
                 conf->actuator[i].unit, j);
        }
    }
    bool unknown_name = false;
    for (unsigned i = 0; i < conf->resource_count; i++) {
        unknown_name = unknown_name || name_empty(&conf->resource[i].name);
        if (name_equal(&conf->resource[i].name, &conf->gateway_resource))
            res = &conf->resource[i];
    }
    if (name_empty(&conf->gateway_resource) || conf_report_has(check->report, "agent.resources"))
        return;
    if (res)
        check_actuators(check, res);
    else if (!unknown_name)
        FAIL(check, "gateway.resource", "\"%s\", must be the name of one of agent.resources",
             conf->gateway_resource.text);
}

static void check_sockets(const struct check *check)
{
    const struct conf *conf = check->conf;
    size_t guard = strlen(conf->run_dir) + strlen("/guard.sock");
    if (guard > SOCKET_PATH_MAX)
        FAIL(check, "node.run_dir",
             "\"%.80s...\" makes RUN/guard.sock %zu characters long, at "
             "most %d are allowed for a socket",
             conf->run_dir, guard, SOCKET_PATH_MAX);
    if (strlen(conf->hal_socket) > SOCKET_PATH_MAX)
        FAIL(check, "hal.socket",
             "\"%.80s...\" is %zu characters long, at most %d are allowed for "
             "a socket",
             conf->hal_socket, strlen(conf->hal_socket), SOCKET_PATH_MAX);
}

/* Two of one node's ports in one place: the second could not be opened. */
static void check_listeners(const struct check *check)
{
    const struct conf *conf = check->conf;
    const char *const keys[] = { "cluster.listen", "gateway.listen", "console.listen" };
    const char *const addresses[] = { conf->listen, conf->gateway_listen, conf->console_listen };
    for (size_t i = 1; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (size_t j = 0; j < i; j++) {
            if (addresses[i][0] != '\0' && strcmp(addresses[i], addresses[j]) == 0)
                FAIL(check, keys[i], "\"%s\" is %s already, every address must be different",
                     addresses[i], keys[j]);
        }
    }
}

void conf_cross_check(const struct conf *conf, const config_t *tree, struct conf_report *report)
{
    const struct check check = { .conf = conf, .tree = tree, .report = report };
    check_timing(&check);
    check_issuer_count(&check);
    check_issuer_doubles(&check);
    check_issuer_role(&check);
    check_policies(&check);
    for (unsigned i = 0; i < conf->resource_count; i++)
        check_resource(&check, i);
    check_lines(&check);
    check_hal(&check);
    if (conf->has_gateway)
        check_gateway(&check);
    check_sockets(&check);
    check_listeners(&check);
}
