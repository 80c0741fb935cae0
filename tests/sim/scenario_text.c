/* A scenario as text, and back: one `key value` per line, then one fault per line. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/oracle.h"
#include "tests/sim/scenario.h"

enum { SCENARIO_WORD_MAX = 64 };

/* ---- keys of the plan */

enum value_type { VALUE_BOOL, VALUE_INT, VALUE_UINT32, VALUE_INT64, VALUE_UINT64, VALUE_SECONDS };

struct key {
    const char *name;
    enum value_type type;
    size_t offset;
    int64_t low; /* of the value as it is stored: seconds in microseconds */
    int64_t high;
};

#define PLAN(field) offsetof(struct sim_plan, field)
/* `output` as in enum sim_output; no key is F, which follows from the rest. */
#define HARDWARE(board, n)                                                                         \
    { board "output", VALUE_INT, PLAN(hardware[n].output), 0, OUTPUT_GPIO_KERNEL },                \
        { board "watchdog", VALUE_BOOL, PLAN(hardware[n].watchdog), 0, 1 },                        \
        { board "close-pings", VALUE_BOOL, PLAN(hardware[n].close_pings), 0, 1 },                  \
        { board "retains", VALUE_BOOL, PLAN(hardware[n].retains), 0, 1 },                          \
        { board "blind", VALUE_BOOL, PLAN(hardware[n].blind), 0, 1 },                              \
    {                                                                                              \
        board "reset", VALUE_SECONDS, PLAN(hardware[n].reset_us), 1, 60000000                      \
    }
static const struct key keys[] = {
    { "issuers", VALUE_INT, PLAN(issuers), 1, SIM_ISSUERS_MAX },
    { "boards", VALUE_INT, PLAN(boards), 1, SIM_BOARDS_MAX },
    { "resources", VALUE_INT, PLAN(resources), 1, SIM_RESOURCES_MAX },
    { "spare-issuers", VALUE_INT, PLAN(spare_issuers), 0, SIM_ISSUERS_MAX - 1 },
    { "shared-machines", VALUE_INT, PLAN(shared_machines), 0, SIM_BOARDS_MAX },
    { "scale", VALUE_INT64, PLAN(scale), 1, 100 },
    { "ttl", VALUE_SECONDS, PLAN(ttl_us), 50000, 600000000 },
    { "restored-ttl", VALUE_SECONDS, PLAN(restored_ttl_us), 0, 600000000 },
    { "long-ttls", VALUE_UINT32, PLAN(long_ttls), 0, (1 << SIM_RESOURCES_MAX) - 1 },
    { "pulse-hz", VALUE_UINT32, PLAN(rate_hz), 1, 1000 },
    { "hold-ms", VALUE_INT64, PLAN(hold_ms), 1, 10000 },
    { "refit-hold-ms", VALUE_INT64, PLAN(refit_hold_ms), 0, 50000 },
    { "readback-ms", VALUE_INT64, PLAN(readback_ms), 1, 10000 },
    { "growth-bytes", VALUE_UINT64, PLAN(growth_bytes), 4096, 4000000 },
    HARDWARE("board-1-", 0),
    HARDWARE("board-2-", 1),
    HARDWARE("board-3-", 2),
    { "failback", VALUE_UINT32, PLAN(failback), 0,
      (INT64_C(1) << (SIM_RESOURCES_MAX * SIM_BOARDS_MAX)) - 1 },
    { "stuck-go", VALUE_BOOL, PLAN(stuck_go), 0, 1 },
    { "skew-ppm-max", VALUE_INT, PLAN(skew_ppm_max), 0, 500000 },
    { "steady", VALUE_BOOL, PLAN(steady), 0, 1 },
    { "ordered", VALUE_BOOL, PLAN(ordered), 0, 1 },
    { "loss-ppm", VALUE_UINT32, PLAN(loss_ppm), 0, 1000000 },
    { "repeat-ppm", VALUE_UINT32, PLAN(repeat_ppm), 0, 1000000 },
    { "delay-max", VALUE_SECONDS, PLAN(delay_max_us), 50, 10000000 },
    { "straggle-max", VALUE_SECONDS, PLAN(straggle_max_us), 0, 10000000 },
    { "quiet", VALUE_SECONDS, PLAN(quiet_us), 0, INT64_C(3600000000) },
    { "end", VALUE_SECONDS, PLAN(end_us), 0, INT64_C(3600000000) },
};
#undef HARDWARE
#undef PLAN
_Static_assert(SIM_BOARDS_MAX == 3, "a HARDWARE() for each board");

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static const char *const type_names[SIM_TYPES] = {
    [SIM_CHAOS] = "chaos",           [SIM_LEADER_KILL] = "leader-kill",
    [SIM_BOARD_KILL] = "board-kill", [SIM_ISSUER_CUT] = "issuer-cut",
    [SIM_SLOW_DISKS] = "slow-disks", [SIM_RESTORE] = "restore",
    [SIM_SLACK] = "slack",           [SIM_ONE_ISSUER] = "one-issuer",
};

/* What a file does not say: a calm world without jitter. */
static const struct sim_plan calm = {
    .type = SIM_CHAOS,
    .issuers = 3,
    .boards = 2,
    .resources = 1,
    .scale = 1,
    .ttl_us = 1000000,
    .hold_ms = 200,
    .rate_hz = 20,
    .readback_ms = 20,
    .growth_bytes = 100000,
    .steady = true,
    .ordered = true,
    .delay_max_us = 1000,
    .hardware = { { .reset_us = 100000 }, { .reset_us = 100000 }, { .reset_us = 100000 } },
    .quiet_us = 30000000,
    .end_us = 30000000,
};

static int64_t get(const struct sim_plan *plan, const struct key *key)
{
    const void *at = (const char *)plan + key->offset;
    switch (key->type) {
    case VALUE_BOOL:
        return *(const bool *)at;
    case VALUE_INT:
        return *(const int *)at;
    case VALUE_UINT32:
        return *(const uint32_t *)at;
    case VALUE_UINT64:
        return (int64_t) * (const uint64_t *)at;
    case VALUE_INT64:
    case VALUE_SECONDS:
        return *(const int64_t *)at;
    }
    hf_panic(__FILE__, __LINE__, "type of a key");
}

static void set(struct sim_plan *plan, const struct key *key, int64_t value)
{
    void *at = (char *)plan + key->offset;
    switch (key->type) {
    case VALUE_BOOL:
        *(bool *)at = value != 0;
        return;
    case VALUE_INT:
        *(int *)at = (int)value;
        return;
    case VALUE_UINT32:
        *(uint32_t *)at = (uint32_t)value;
        return;
    case VALUE_UINT64:
        *(uint64_t *)at = (uint64_t)value;
        return;
    case VALUE_INT64:
    case VALUE_SECONDS:
        *(int64_t *)at = value;
        return;
    }
    hf_panic(__FILE__, __LINE__, "type of a key");
}

/* ---- printing */

static void print_key(FILE *out, const struct sim_plan *plan, const struct key *key)
{
    int64_t value = get(plan, key);
    if (key->type == VALUE_SECONDS)
        fprintf(out, "%s %" PRId64 ".%06" PRId64 "\n", key->name, value / 1000000, value % 1000000);
    else
        fprintf(out, "%s %" PRId64 "\n", key->name, value);
}

void scenario_print(FILE *out, const struct settings *settings, const struct scenario *scenario)
{
    char line[FAULT_LINE_MAX];
    HF_CHECK(type_names[scenario->plan.type]);
    fprintf(out, "seed %" PRIu64 "\n", settings->seed);
    if (settings->plant != PLANT_NONE)
        fprintf(out, "plant %d\n", (int)settings->plant);
    if (scenario->expected != ORACLE_NONE)
        fprintf(out, "expect %s\n", oracle_name(scenario->expected));
    fprintf(out, "type %s\n", type_names[scenario->plan.type]);
    for (size_t i = 0; i < KEYS; i++)
        print_key(out, &scenario->plan, &keys[i]);
    for (size_t i = 0; i < scenario->count; i++)
        fprintf(out, "%s\n", fault_print(&scenario->fault[i], line));
}

/* ---- reading */

static bool parse_whole(const char *text, uint64_t *number)
{
    *number = 0;
    if (text[0] == '\0' || strlen(text) > 19 || text[strspn(text, "0123456789")] != '\0')
        return false;
    for (; *text; text++)
        *number = *number * 10 + (uint64_t)(*text - '0');
    return true;
}

static bool parse_value(struct sim_plan *plan, const struct key *key, const char *text)
{
    uint64_t whole = 0;
    int64_t value = 0;
    if (key->type == VALUE_SECONDS) {
        if (!fault_parse_seconds(text, &value))
            return false;
    } else if (!parse_whole(text, &whole) || whole > INT64_MAX) {
        return false;
    } else {
        value = (int64_t)whole;
    }
    if (value < key->low || value > key->high)
        return false;
    set(plan, key, value);
    return true;
}

static const char *refuse_value(const struct key *key, const char *text, char *error)
{
    if (key->type == VALUE_SECONDS)
        snprintf(error, FAULT_LINE_MAX, "%s: '%s' is not in %.6f to %.6f s", key->name, text,
                 (double)key->low / 1e6, (double)key->high / 1e6);
    else
        snprintf(error, FAULT_LINE_MAX, "%s: '%s' is not in %" PRId64 " to %" PRId64, key->name,
                 text, key->low, key->high);
    return error;
}

static bool parse_type(const char *text, enum sim_type *type)
{
    for (int i = 0; i < SIM_TYPES; i++) {
        HF_CHECK(type_names[i]);
        if (strcmp(type_names[i], text) != 0)
            continue;
        *type = (enum sim_type)i;
        return true;
    }
    return false;
}

static bool parse_oracle(const char *text, enum oracle_kind *oracle)
{
    for (int i = ORACLE_NONE + 1; i < ORACLE_KINDS; i++) {
        if (strcmp(oracle_name((enum oracle_kind)i), text) != 0)
            continue;
        *oracle = (enum oracle_kind)i;
        return true;
    }
    return false;
}

static bool parse_plant(const char *text, enum sim_plant *plant)
{
    uint64_t number = 0;
    if (!parse_whole(text, &number) || number >= PLANTS)
        return false;
    *plant = (enum sim_plant)number;
    return true;
}

/* NULL, or what is wrong with the line `key value`. */
static const char *parse_setting(const char *name, const char *value, struct settings *settings,
                                 struct scenario *scenario, char *error)
{
    bool good = false;
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return parse_value(&scenario->plan, &keys[i], value) ?
                       NULL :
                       refuse_value(&keys[i], value, error);
    }
    if (strcmp(name, "seed") == 0)
        good = parse_whole(value, &settings->seed);
    else if (strcmp(name, "plant") == 0)
        good = parse_plant(value, &settings->plant);
    else if (strcmp(name, "expect") == 0)
        good = parse_oracle(value, &scenario->expected);
    else if (strcmp(name, "trace-from") == 0)
        good = fault_parse_seconds(value, &scenario->trace_from_us);
    else if (strcmp(name, "trace-disk") == 0)
        good = scenario->trace_disk = strcmp(value, "1") == 0;
    else if (strcmp(name, "trace-renewals") == 0)
        good = scenario->trace_renewals = strcmp(value, "1") == 0;
    else if (strcmp(name, "type") == 0)
        good = parse_type(value, &scenario->plan.type);
    if (good)
        return NULL;
    snprintf(error, FAULT_LINE_MAX, "'%s %s' is no setting", name, value);
    return error;
}

static const char *parse_line(char *line, struct settings *settings, struct scenario *scenario,
                              char *error)
{
    char name[SCENARIO_WORD_MAX + 1];
    char value[SCENARIO_WORD_MAX + 1];
    char more[2];
    struct fault fault;
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t\r");
    for (size_t length = strlen(line); length > 0 && strchr(" \t\r", line[length - 1]); length--)
        line[length - 1] = '\0';
    if (line[0] == '\0')
        return NULL;
    if (line[0] >= '0' && line[0] <= '9') {
        const char *wrong = fault_parse(&fault, line, error);
        if (!wrong)
            scenario_add(scenario, &fault);
        return wrong;
    }
    if (sscanf(line, "%64s %64s %1s", name, value, more) != 2) {
        snprintf(error, FAULT_LINE_MAX, "'%.60s' is neither a setting nor a fault", line);
        return error;
    }
    return parse_setting(name, value, settings, scenario, error);
}

/* What no line says alone. */
static const char *check_whole(const struct sim_plan *plan)
{
    for (int board = 0; board < plan->boards; board++) {
        const struct sim_hardware *hardware = &plan->hardware[board];
        if (hardware->output == OUTPUT_GPIO_KERNEL && !hardware->watchdog)
            return "output 2: a plain output that covers a hang must have a watchdog";
        if (hardware->output == OUTPUT_GPIO_PROCESS && hardware->retains)
            return "output 1: a pin that outlives its guard does not cover its death";
    }
    if (plan->shared_machines > plan->issuers || plan->shared_machines > plan->boards)
        return "shared-machines: more than there are issuers or boards";
    if (plan->spare_issuers >= plan->issuers)
        return "spare-issuers: nobody is left to vote";
    return plan->end_us >= plan->quiet_us ? NULL : "end: before quiet";
}

const char *scenario_parse(char *text, struct settings *settings, struct scenario *scenario,
                           char *error)
{
    char wrong_line[FAULT_LINE_MAX];
    unsigned number = 0;
    memset(settings, 0, sizeof(*settings));
    memset(scenario, 0, sizeof(*scenario));
    settings->only = SIM_TYPES;
    scenario->plan = calm;
    while (*text) {
        size_t length = strcspn(text, "\n");
        bool last = text[length] == '\0';
        text[length] = '\0';
        number++;
        const char *wrong = parse_line(text, settings, scenario, wrong_line);
        if (wrong) {
            snprintf(error, SCENARIO_ERROR_MAX, "line %u: %s", number, wrong);
            scenario_free(scenario);
            return error;
        }
        text += length + !last;
    }
    plan_fences(&scenario->plan);
    const char *wrong = check_whole(&scenario->plan);
    if (wrong)
        scenario_free(scenario);
    return wrong;
}
