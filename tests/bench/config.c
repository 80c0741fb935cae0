#include "tests/bench/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

struct loader {
    struct bench_config *config;
    const char *path;
    FILE *errors;
    int count;
};

/* Where a value comes from, for its error: the setting, and the dotted key above it. */
struct place {
    const config_setting_t *group;
    char key[96];
};

static void complain(struct loader *loader, const config_setting_t *at, const char *key,
                     const char *value, const char *allowed)
{
    int line = at ? (int)config_setting_source_line(at) : 0;
    fprintf(loader->errors, "%s:%d: %s: %s, %s\n", loader->path, line, key, value, allowed);
    loader->count++;
}

/* A setting's value as a person wrote it, near enough to be recognised. */
static void value_text(const config_setting_t *setting, char *out, size_t size)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
        snprintf(out, size, "%d", config_setting_get_int(setting));
        break;
    case CONFIG_TYPE_INT64:
        snprintf(out, size, "%lld", config_setting_get_int64(setting));
        break;
    case CONFIG_TYPE_FLOAT:
        snprintf(out, size, "%g", config_setting_get_float(setting));
        break;
    case CONFIG_TYPE_STRING:
        snprintf(out, size, "\"%s\"", config_setting_get_string(setting));
        break;
    case CONFIG_TYPE_BOOL:
        snprintf(out, size, "%s", config_setting_get_bool(setting) ? "true" : "false");
        break;
    case CONFIG_TYPE_GROUP:
        snprintf(out, size, "a group");
        break;
    case CONFIG_TYPE_ARRAY:
        snprintf(out, size, "an array of %d", config_setting_length(setting));
        break;
    case CONFIG_TYPE_LIST:
        snprintf(out, size, "a list of %d", config_setting_length(setting));
        break;
    default:
        snprintf(out, size, "nothing");
        break;
    }
}

static void complain_value(struct loader *loader, const struct place *place, const char *key,
                           const config_setting_t *setting, const char *allowed)
{
    char name[160];
    char value[160];
    snprintf(name, sizeof name, "%s%s%s", place->key, *key ? "." : "", key);
    value_text(setting, value, sizeof value);
    complain(loader, setting, name, value, allowed);
}

static void complain_missing(struct loader *loader, const struct place *place, const char *key,
                             const char *allowed)
{
    char name[160];
    snprintf(name, sizeof name, "%s.%s", place->key, key);
    complain(loader, place->group, name, "missing", allowed);
}

/* Every key of the group must be one of `known` (ended by NULL). */
static void check_keys(struct loader *loader, const struct place *place, const char *const *known)
{
    char allowed[256] = "allowed:";
    for (int i = 0; known[i]; i++) {
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, " %s", known[i]);
    }
    for (int i = 0; i < config_setting_length(place->group); i++) {
        const config_setting_t *entry = config_setting_get_elem(place->group, (unsigned int)i);
        const char *name = config_setting_name(entry);
        bool found = false;
        for (int k = 0; known[k] && !found; k++)
            found = strcmp(known[k], name) == 0;
        char key[160];
        snprintf(key, sizeof key, "%s.%s", place->key, name);
        if (!found)
            complain(loader, entry, key, "unknown key", allowed);
    }
}

static const config_setting_t *member(const struct place *place, const char *key)
{
    return config_setting_get_member(place->group, key);
}

static uint32_t load_number(struct loader *loader, const struct place *place, const char *key,
                            uint32_t fallback, uint32_t low, uint32_t high, const char *unit)
{
    const config_setting_t *setting = member(place, key);
    if (!setting)
        return fallback;
    long long value = config_setting_get_int64(setting);
    int type = config_setting_type(setting);
    char allowed[80];
    snprintf(allowed, sizeof allowed, "allowed: %u to %u%s%s", low, high, *unit ? " " : "", unit);
    if ((type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) && value >= low && value <= high)
        return (uint32_t)value;
    complain_value(loader, place, key, setting, allowed);
    return fallback;
}

static bool load_bool(struct loader *loader, const struct place *place, const char *key)
{
    const config_setting_t *setting = member(place, key);
    if (!setting)
        return false;
    if (config_setting_type(setting) == CONFIG_TYPE_BOOL)
        return config_setting_get_bool(setting) != 0;
    complain_value(loader, place, key, setting, "allowed: true or false");
    return false;
}

/* The string, or NULL after saying what is wrong with it. */
static const char *load_string(struct loader *loader, const struct place *place, const char *key,
                               const char *allowed)
{
    const config_setting_t *setting = member(place, key);
    if (!setting)
        complain_missing(loader, place, key, allowed);
    else if (config_setting_type(setting) == CONFIG_TYPE_STRING)
        return config_setting_get_string(setting);
    else
        complain_value(loader, place, key, setting, allowed);
    return NULL;
}

static const char name_rule[] =
    "allowed: 1 to 31 characters of [A-Za-z0-9._-], not starting with '-' or '.'";

static void load_name(struct loader *loader, const struct place *place, const char *key,
                      struct hf_name *out)
{
    const char *text = load_string(loader, place, key, name_rule);
    if (text && !name_from_string(out, text))
        complain_value(loader, place, key, member(place, key), name_rule);
}

static void load_path(struct loader *loader, const struct place *place, const char *key, char *out,
                      size_t longest)
{
    char allowed[96];
    snprintf(allowed, sizeof allowed,
             "allowed: a path of 1 to %zu characters, relative to this file's folder", longest);
    const char *text = load_string(loader, place, key, allowed);
    if (!text)
        return;
    const char *slash = strrchr(loader->path, '/');
    int folder = text[0] == '/' || !slash ? 0 : (int)(slash - loader->path) + 1;
    int length = snprintf(out, BENCH_PATH_MAX + 1, "%.*s%s", folder, loader->path, text);
    if (text[0] == '\0' || length < 0 || (size_t)length > longest)
        complain_value(loader, place, key, member(place, key), allowed);
}

/* The list under `key`, checked for its length, or NULL after saying what is wrong. */
static const config_setting_t *load_list(struct loader *loader, const struct place *place,
                                         const char *key, bool required, int longest)
{
    const config_setting_t *setting = member(place, key);
    char allowed[64];
    snprintf(allowed, sizeof allowed, "allowed: a list of %d to %d", required ? 1 : 0, longest);
    if (!setting) {
        if (required)
            complain_missing(loader, place, key, allowed);
        return NULL;
    }
    int type = config_setting_type(setting);
    int length = config_setting_length(setting);
    if ((type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY) && length <= longest &&
        length >= (required ? 1 : 0))
        return setting;
    complain_value(loader, place, key, setting, allowed);
    return NULL;
}

/* Descends to element `index` of a list of groups. */
static bool enter(struct loader *loader, const struct place *above, const char *key,
                  const config_setting_t *list, int index, struct place *out)
{
    out->group = config_setting_get_elem(list, (unsigned int)index);
    snprintf(out->key, sizeof out->key, "%.60s.%s[%d]", above->key, key, index);
    if (config_setting_type(out->group) == CONFIG_TYPE_GROUP)
        return true;
    complain_value(loader, out, "", out->group, "allowed: a group { ... }");
    return false;
}

static void load_boards(struct loader *loader, const struct place *place)
{
    struct bench_config *config = loader->config;
    const config_setting_t *list = load_list(loader, place, "boards", true, WITNESS_BOARDS_MAX);
    for (int i = 0; list && i < config_setting_length(list); i++) {
        const config_setting_t *entry = config_setting_get_elem(list, (unsigned int)i);
        const char *text = config_setting_get_string(entry);
        struct hf_name name;
        if (!text || !name_from_string(&name, text)) {
            complain_value(loader, place, "boards", entry, name_rule);
            continue;
        }
        if (bench_config_find_board(config, &name) >= 0)
            complain_value(loader, place, "boards", entry, "allowed: each board once");
        config->boards[config->board_count++] = name;
    }
}

static void load_line(struct loader *loader, const struct place *place,
                      struct bench_line_config *line)
{
    static const char *const known[] = { "name",   "kind",        "hold_ms", "readback",
                                         "retain", "energise_ms", NULL };
    static const char kinds[] = "allowed: \"pulse\" or \"gpio\"";
    check_keys(loader, place, known);
    load_name(loader, place, "name", &line->name);
    const char *kind = load_string(loader, place, "kind", kinds);
    line->kind = kind && strcmp(kind, "pulse") == 0 ? WITNESS_PULSE : WITNESS_GPIO;
    if (kind && strcmp(kind, "pulse") != 0 && strcmp(kind, "gpio") != 0)
        complain_value(loader, place, "kind", member(place, "kind"), kinds);
    line->hold_ms = load_number(loader, place, "hold_ms", 20, 1, 60000, "ms");
    line->energise_ms = load_number(loader, place, "energise_ms", 0, 0, 60000, "ms");
    line->readback = load_bool(loader, place, "readback");
    line->retain = load_bool(loader, place, "retain");
}

static void load_resource(struct loader *loader, const struct place *place,
                          struct bench_resource_config *resource)
{
    static const char *const known[] = { "name", "lines", NULL };
    check_keys(loader, place, known);
    load_name(loader, place, "name", &resource->name);
    const config_setting_t *list = load_list(loader, place, "lines", false, WITNESS_LINES_MAX);
    for (int i = 0; list && i < config_setting_length(list); i++) {
        struct place below;
        struct bench_line_config *line = &resource->lines[resource->line_count];
        if (!enter(loader, place, "lines", list, i, &below))
            continue;
        load_line(loader, &below, line);
        for (int k = 0; k < resource->line_count; k++)
            if (name_equal(&resource->lines[k].name, &line->name))
                complain_value(loader, &below, "name", member(&below, "name"),
                               "allowed: each line of a resource once");
        resource->line_count++;
    }
}

static void load_resources(struct loader *loader, const struct place *place)
{
    struct bench_config *config = loader->config;
    const config_setting_t *list =
        load_list(loader, place, "resources", true, WITNESS_RESOURCES_MAX);
    for (int i = 0; list && i < config_setting_length(list); i++) {
        struct place below;
        struct bench_resource_config resource = { .line_count = 0 };
        if (!enter(loader, place, "resources", list, i, &below))
            continue;
        load_resource(loader, &below, &resource);
        if (!name_empty(&resource.name) && bench_config_find_resource(config, &resource.name) >= 0)
            complain_value(loader, &below, "name", member(&below, "name"),
                           "allowed: each resource once");
        config->resources[config->resource_count++] = resource;
    }
}

static void load_listen(struct loader *loader, const struct place *place,
                        struct bench_actuator_config *actuator)
{
    static const char allowed[] = "allowed: \"IPV4:PORT\", e.g. \"127.0.0.1:5020\"; port 0 is any";
    const char *text = load_string(loader, place, "listen", allowed);
    if (!text)
        return;
    const char *colon = strrchr(text, ':');
    struct in_addr address;
    char *end = NULL;
    size_t length = colon ? (size_t)(colon - text) : 0;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (colon && length < sizeof actuator->host) {
        memcpy(actuator->host, text, length);
        actuator->port = (uint16_t)port;
        if (colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port <= 65535 &&
            inet_pton(AF_INET, actuator->host, &address) == 1)
            return;
    }
    complain_value(loader, place, "listen", member(place, "listen"), allowed);
}

static void load_actuator_resource(struct loader *loader, const struct place *place,
                                   struct bench_actuator_config *actuator)
{
    struct hf_name name;
    actuator->resource = -1;
    if (!member(place, "resource"))
        return;
    const char *text = load_string(loader, place, "resource", "allowed: a resource's name");
    if (!text)
        return;
    if (name_from_string(&name, text))
        actuator->resource = bench_config_find_resource(loader->config, &name);
    if (actuator->resource < 0)
        complain_value(loader, place, "resource", member(place, "resource"),
                       "allowed: the name of one of bench.resources");
}

static void load_actuator(struct loader *loader, const struct place *place,
                          struct bench_actuator_config *actuator)
{
    static const char *const known[] = { "name",     "listen",   "rtu", "unit",
                                         "resource", "delay_ms", NULL };
    check_keys(loader, place, known);
    load_name(loader, place, "name", &actuator->name);
    actuator->rtu = load_bool(loader, place, "rtu");
    if (!actuator->rtu)
        load_listen(loader, place, actuator);
    else if (member(place, "listen"))
        complain_value(loader, place, "listen", member(place, "listen"),
                       "allowed: not together with rtu = true");
    actuator->unit = (uint8_t)load_number(loader, place, "unit", 1, 1, 247, "");
    actuator->delay_ms = load_number(loader, place, "delay_ms", 0, 0, 60000, "ms");
    load_actuator_resource(loader, place, actuator);
}

static void load_actuators(struct loader *loader, const struct place *place)
{
    struct bench_config *config = loader->config;
    const config_setting_t *list =
        load_list(loader, place, "actuators", false, BENCH_ACTUATORS_MAX);
    for (int i = 0; list && i < config_setting_length(list); i++) {
        struct place below;
        struct bench_actuator_config *actuator = &config->actuators[config->actuator_count];
        if (!enter(loader, place, "actuators", list, i, &below))
            continue;
        load_actuator(loader, &below, actuator);
        for (int k = 0; k < config->actuator_count; k++)
            if (name_equal(&config->actuators[k].name, &actuator->name))
                complain_value(loader, &below, "name", member(&below, "name"),
                               "allowed: each actuator once");
        config->actuator_count++;
    }
}

static void load_bench(struct loader *loader, const config_setting_t *root)
{
    static const char *const top[] = { "bench", NULL };
    static const char *const known[] = { "socket",    "ctl",       "trace",    "boards",
                                         "resources", "actuators", "reset_ms", NULL };
    struct place file = { .group = root, .key = "file" };
    struct place place = { .group = config_setting_get_member(root, "bench"), .key = "bench" };
    check_keys(loader, &file, top);
    if (!place.group || config_setting_type(place.group) != CONFIG_TYPE_GROUP) {
        complain(loader, place.group ? place.group : root, "bench",
                 place.group ? "no group" : "missing", "allowed: bench = { ... }");
        return;
    }
    check_keys(loader, &place, known);
    load_path(loader, &place, "socket", loader->config->socket, BENCH_SOCKET_PATH_MAX);
    load_path(loader, &place, "ctl", loader->config->ctl, BENCH_SOCKET_PATH_MAX);
    load_path(loader, &place, "trace", loader->config->trace, BENCH_PATH_MAX);
    loader->config->reset_ms = load_number(loader, &place, "reset_ms", 100, 0, 60000, "ms");
    load_boards(loader, &place);
    load_resources(loader, &place);
    load_actuators(loader, &place);
}

int bench_config_load(struct bench_config *config, const char *path, FILE *errors)
{
    struct loader loader = { .config = config, .path = path, .errors = errors };
    config_t file;
    memset(config, 0, sizeof *config);
    config_init(&file);
    errno = 0;
    if (config_read_file(&file, path)) {
        load_bench(&loader, config_root_setting(&file));
    } else {
        bool readable = config_error_type(&file) == CONFIG_ERR_PARSE;
        fprintf(errors, "%s:%d: file: %s, %s\n", path, config_error_line(&file),
                readable   ? config_error_text(&file) :
                errno != 0 ? strerror(errno) :
                             "no regular file",
                readable ? "allowed: libconfig syntax" : "allowed: a file that can be read");
        loader.count++;
    }
    config_destroy(&file);
    return loader.count;
}

int bench_config_find_board(const struct bench_config *config, const struct hf_name *name)
{
    for (int i = 0; i < config->board_count; i++)
        if (name_equal(&config->boards[i], name))
            return i;
    return -1;
}

int bench_config_find_resource(const struct bench_config *config, const struct hf_name *name)
{
    for (int i = 0; i < config->resource_count; i++)
        if (name_equal(&config->resources[i].name, name))
            return i;
    return -1;
}
