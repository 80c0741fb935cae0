#include "provision/cluster.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/load.h"
#include "conf/schema.h"
#include "conf/text.h"

enum { ALLOWED_MAX = 200, IS_MAX = 128, DEPTH_MAX = 32 };

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Kept as it stands: the field points to the setting. */
#define SETTING(type, member) .offset = offsetof(type, member), .size = sizeof(void *)

static const char ip_allowed[] = "a numeric IPv4 or IPv6 address, without prefix and port";

static const struct conf_key keys[] = {
    { "cluster", CONF_TYPE_NAME, .required = true, FIELD(struct cluster, name) },
    { "network", CONF_TYPE_GROUP, .required = true },
    { "network.prefix", CONF_TYPE_INT, .required = true, .unit = "bits", .min = 1, .max = 128,
      FIELD(struct cluster, prefix) },
    { "network.gateway", CONF_TYPE_ADDRESS, FIELD(struct cluster, gateway) },
    { "network.ntp", CONF_TYPE_ADDRESS, FIELD(struct cluster, ntp) },
    { "ssh_keys", CONF_TYPE_PATH, FIELD(struct cluster, ssh_keys) },
    { "boards", CONF_TYPE_LIST, .required = true, .min = 1, .max = CLUSTER_BOARDS_MAX,
      SETTING(struct cluster, boards) },
    { "boards[].id", CONF_TYPE_NAME, .required = true, FIELD(struct cluster_board, id) },
    { "boards[].address", CONF_TYPE_ADDRESS, .required = true,
      FIELD(struct cluster_board, address) },
    { "boards[].issuer", CONF_TYPE_BOOL, FIELD(struct cluster_board, issuer) },
    { "boards[].resources", CONF_TYPE_LIST, .max = HF_LEASES_PER_AGENT_MAX,
      SETTING(struct cluster_board, resources) },
    { "boards[].conf", CONF_TYPE_GROUP, SETTING(struct cluster_board, conf) },
    { "resources", CONF_TYPE_LIST, .required = true, .min = 1, .max = CONF_POLICIES_MAX,
      SETTING(struct cluster, resources) },
    { "common", CONF_TYPE_GROUP, SETTING(struct cluster, common) },
};

static const size_t key_count = sizeof(keys) / sizeof(keys[0]);

/* ---- keys as they are shown */

void cluster_key(const config_setting_t *setting, char *out)
{
    const config_setting_t *up[DEPTH_MAX];
    int depth = 0;
    size_t used = 0;
    out[0] = '\0';
    for (; setting && config_setting_parent(setting) && depth < DEPTH_MAX;
         setting = config_setting_parent(setting))
        up[depth++] = setting;
    while (depth > 0 && used < CLUSTER_KEY_MAX) {
        const config_setting_t *part = up[--depth];
        const char *name = config_setting_name(part);
        int length =
            name ?
                snprintf(out + used, CLUSTER_KEY_MAX - used, "%s%.64s", used > 0 ? "." : "", name) :
                snprintf(out + used, CLUSTER_KEY_MAX - used, "[%d]", config_setting_index(part));
        used += (size_t)length;
    }
}

void cluster_key_in(const config_setting_t *group, const char *leaf, char *out)
{
    cluster_key(group, out);
    size_t used = strlen(out);
    snprintf(out + used, CLUSTER_KEY_MAX - used, "%s%.64s", used > 0 ? "." : "", leaf);
}

/* ---- one group, by the table */

struct reader {
    struct cluster *cluster;
    struct conf_report *report;
};

static const struct conf_key *find_key(const char *pattern, const char *leaf)
{
    for (size_t i = 0; i < key_count; i++) {
        if (conf_key_is_child(&keys[i], pattern) && strcmp(conf_key_leaf(&keys[i]), leaf) == 0)
            return &keys[i];
    }
    return NULL;
}

static void allowed_of(const struct conf_key *key, char *out)
{
    if (key->type == CONF_TYPE_ADDRESS)
        text_copy(out, ALLOWED_MAX, ip_allowed);
    else
        conf_key_allowed(key, out, ALLOWED_MAX);
}

static void refuse(struct reader *reader, const struct conf_key *key,
                   const config_setting_t *setting)
{
    char shown[CLUSTER_KEY_MAX];
    char is[IS_MAX];
    char allowed[ALLOWED_MAX];
    cluster_key(setting, shown);
    conf_describe_value(key, setting, is, sizeof(is));
    allowed_of(key, allowed);
    conf_report_error(reader->report, config_setting_source_line(setting), shown, "%s, must be %s",
                      is, allowed);
}

/* The address as everybody writes it; false if it is none. */
static bool store_ip(char *field, const char *text)
{
    struct ip ip;
    if (!ip_parse(&ip, text))
        return false;
    ip_print(&ip, field);
    return true;
}

static bool store_text(const struct conf_key *key, unsigned char *field, const char *text)
{
    if (key->type == CONF_TYPE_NAME)
        return name_from_string((struct hf_name *)field, text);
    if (key->type == CONF_TYPE_ADDRESS)
        return store_ip((char *)field, text);
    if (text[0] == '\0' || strlen(text) >= key->size)
        return false;
    text_copy((char *)field, key->size, text);
    return true;
}

static bool store_number(const struct conf_key *key, unsigned char *field,
                         const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    long long number = config_setting_get_int64(setting);
    if ((type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) || number < key->min ||
        number > key->max)
        return false;
    memcpy(field, &(uint32_t){ (uint32_t)number }, sizeof(uint32_t));
    return true;
}

static bool store_bool(unsigned char *field, const config_setting_t *setting)
{
    if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
        return false;
    memcpy(field, &(bool){ config_setting_get_bool(setting) != 0 }, sizeof(bool));
    return true;
}

static bool store_setting(const struct conf_key *key, unsigned char *field,
                          const config_setting_t *setting)
{
    int length = config_setting_length(setting);
    if (key->type == CONF_TYPE_GROUP ?
            !config_setting_is_group(setting) :
            !config_setting_is_list(setting) || length < key->min || length > key->max)
        return false;
    if (key->size > 0)
        memcpy(field, &setting, key->size);
    return true;
}

static bool store(const struct conf_key *key, unsigned char *field, const config_setting_t *setting)
{
    switch (key->type) {
    case CONF_TYPE_GROUP:
    case CONF_TYPE_LIST:
        return store_setting(key, field, setting);
    case CONF_TYPE_INT:
        return store_number(key, field, setting);
    case CONF_TYPE_BOOL:
        return store_bool(field, setting);
    case CONF_TYPE_NAME:
    case CONF_TYPE_PATH:
    case CONF_TYPE_ADDRESS:
        return config_setting_type(setting) == CONFIG_TYPE_STRING &&
               store_text(key, field, config_setting_get_string(setting));
    case CONF_TYPE_NAMES:
    case CONF_TYPE_TEXT:
    case CONF_TYPE_WORD:
        return false; /* there is no such key */
    }
    return false;
}

static void refuse_unknown(struct reader *reader, const char *pattern,
                           const config_setting_t *setting)
{
    char shown[CLUSTER_KEY_MAX];
    char known[ALLOWED_MAX];
    size_t used = 0;
    for (size_t i = 0; i < key_count && used < sizeof(known); i++) {
        if (conf_key_is_child(&keys[i], pattern))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                     used > 0 ? ", " : "", conf_key_leaf(&keys[i]));
    }
    const char *leaf = config_setting_name(setting);
    cluster_key(setting, shown);
    conf_report_error(reader->report, config_setting_source_line(setting), shown,
                      "unknown key, known here are: %s%s", known,
                      pattern[0] == '\0' && conf_schema_find(leaf) ?
                          "; keys of holdfast.conf go into common, or into boards[].conf" :
                          "");
}

static void take_group(struct reader *reader, const config_setting_t *group, const char *pattern,
                       void *base)
{
    int count = config_setting_length(group);
    for (int i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const struct conf_key *key = find_key(pattern, config_setting_name(setting));
        if (!key)
            refuse_unknown(reader, pattern, setting);
        else if (!store(key, (unsigned char *)base + key->offset, setting))
            refuse(reader, key, setting);
    }
    for (size_t i = 0; i < key_count; i++) {
        char shown[CLUSTER_KEY_MAX];
        char allowed[ALLOWED_MAX];
        const char *leaf = conf_key_leaf(&keys[i]);
        if (!keys[i].required || !conf_key_is_child(&keys[i], pattern) ||
            config_setting_get_member(group, leaf))
            continue;
        cluster_key_in(group, leaf, shown);
        allowed_of(&keys[i], allowed);
        conf_report_error(reader->report, config_setting_source_line(group), shown,
                          "missing, must be %s", allowed);
    }
}

/* ---- the whole */

static const char *shown_key(const config_setting_t *group, const char *leaf, char *out)
{
    cluster_key_in(group, leaf, out);
    return out;
}

static unsigned line_in(const config_setting_t *group, const char *leaf)
{
    const config_setting_t *setting = config_setting_get_member(group, leaf);
    return config_setting_source_line(setting ? setting : group);
}

#define FAIL(reader, group, leaf, ...)                                                             \
    conf_report_error((reader)->report, line_in(group, leaf),                                      \
                      shown_key(group, leaf, (char[CLUSTER_KEY_MAX]){ 0 }), __VA_ARGS__)

static void take_network(struct reader *reader)
{
    const config_setting_t *network =
        config_setting_get_member(config_root_setting(&reader->cluster->tree), "network");
    if (network && config_setting_is_group(network))
        take_group(reader, network, "network", reader->cluster);
}

static void take_boards(struct reader *reader)
{
    struct cluster *cluster = reader->cluster;
    int count = cluster->boards ? config_setting_length(cluster->boards) : 0;
    for (int i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(cluster->boards, (unsigned)i);
        const struct conf_key group = { .type = CONF_TYPE_GROUP };
        struct cluster_board *board = &cluster->board[cluster->board_count++];
        board->setting = setting;
        if (config_setting_is_group(setting))
            take_group(reader, setting, "boards[]", board);
        else
            refuse(reader, &group, setting);
    }
}

static void check_ids(struct reader *reader)
{
    const struct cluster *cluster = reader->cluster;
    bool issuer = false;
    for (size_t i = 0; i < cluster->board_count; i++) {
        const struct cluster_board *board = &cluster->board[i];
        issuer = issuer || board->issuer;
        if (strcmp(board->id.text, "ca") == 0)
            FAIL(reader, board->setting, "id",
                 "\"ca\", must be another: ca.crt and ca.key are the CA's");
        for (size_t j = 0; j < i; j++) {
            if (name_equal(&cluster->board[j].id, &board->id))
                FAIL(reader, board->setting, "id",
                     "\"%s\" is boards[%zu] already, every id must be different", board->id.text,
                     j);
        }
    }
    if (!issuer)
        FAIL(reader, config_root_setting(&cluster->tree), "boards",
             "none has issuer = true, 1, 3, 5 or 7 of them must: they decide who drives");
}

/* One that can be a host's, in the network of the first board. */
static void check_host(struct reader *reader, const config_setting_t *group, const char *leaf,
                       const char *text)
{
    const struct cluster *cluster = reader->cluster;
    const char *first_text = cluster->board[0].address;
    struct ip ip;
    struct ip first;
    if (!ip_parse(&ip, text) || !ip_parse(&first, first_text) || cluster->prefix > first.bits)
        return;
    bool whole = cluster->prefix + 1 >= ip.bits;
    if (!ip_same_network(&ip, &first, cluster->prefix))
        FAIL(reader, group, leaf, "\"%s\", must be in the network of boards[0], %s/%u", text,
             first_text, cluster->prefix);
    else if (!whole && ip_host_is_all(&ip, cluster->prefix, false))
        FAIL(reader, group, leaf, "\"%s\", must be a board's: that is the name of the network",
             text);
    else if (!whole && !ip.six && ip_host_is_all(&ip, cluster->prefix, true))
        FAIL(reader, group, leaf, "\"%s\", must be a board's: that reaches all of the network",
             text);
}

static void check_addresses(struct reader *reader)
{
    const struct cluster *cluster = reader->cluster;
    const config_setting_t *network =
        config_setting_get_member(config_root_setting(&cluster->tree), "network");
    for (size_t i = 0; i < cluster->board_count; i++) {
        const struct cluster_board *board = &cluster->board[i];
        check_host(reader, board->setting, "address", board->address);
        if (strcmp(board->address, cluster->gateway) == 0)
            FAIL(reader, board->setting, "address",
                 "\"%s\" is network.gateway already, must be "
                 "another",
                 board->address);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(cluster->board[j].address, board->address) == 0)
                FAIL(reader, board->setting, "address",
                     "\"%s\" is that of boards[%zu] already, every address must be different",
                     board->address, j);
        }
    }
    if (cluster->gateway[0] != '\0')
        check_host(reader, network, "gateway", cluster->gateway);
    struct ip first;
    if (ip_parse(&first, cluster->board[0].address) && cluster->prefix > first.bits)
        FAIL(reader, network, "prefix", "%u bits, must be at most the %u of an IPv4 address",
             cluster->prefix, first.bits);
}

/* Each group of `resources` by its name, once; its holders are boards. */
static void check_resources(struct reader *reader)
{
    const struct cluster *cluster = reader->cluster;
    int count = config_setting_length(cluster->resources);
    for (int i = 0; i < count; i++) {
        const config_setting_t *group = config_setting_get_elem(cluster->resources, (unsigned)i);
        const struct conf_key type = { .type = CONF_TYPE_GROUP };
        const char *name = NULL;
        if (!config_setting_is_group(group)) {
            refuse(reader, &type, group);
            continue;
        }
        if (!config_setting_lookup_string(group, "name", &name))
            FAIL(reader, group, "name", "missing, must be the name of the resource");
        for (int j = 0; name && j < i; j++) {
            const char *other = NULL;
            if (config_setting_lookup_string(
                    config_setting_get_elem(cluster->resources, (unsigned)j), "name", &other) &&
                strcmp(name, other) == 0)
                FAIL(reader, group, "name",
                     "\"%.40s\" is resources[%d] already, every name must be different", name, j);
        }
    }
}

static void check_holders(struct reader *reader)
{
    const struct cluster *cluster = reader->cluster;
    int count = config_setting_length(cluster->resources);
    for (int i = 0; i < count; i++) {
        const config_setting_t *group = config_setting_get_elem(cluster->resources, (unsigned)i);
        const config_setting_t *holders = config_setting_get_member(group, "holders");
        int length = holders ? config_setting_length(holders) : 0;
        if (!holders)
            FAIL(reader, group, "holders", "missing, must list the boards that may drive it");
        for (int j = 0; j < length; j++) {
            const config_setting_t *holder = config_setting_get_elem(holders, (unsigned)j);
            const char *id = config_setting_get_string(holder);
            char shown[CLUSTER_KEY_MAX];
            if (!id || cluster_find(cluster, id))
                continue;
            cluster_key(holder, shown);
            conf_report_error(reader->report, config_setting_source_line(holder), shown,
                              "\"%.40s\", must be the id of one of boards", id);
        }
    }
}

static void folder_of(const char *file, char out[PATH_MAX])
{
    char copy[PATH_MAX];
    text_copy(copy, sizeof(copy), file);
    text_copy(out, PATH_MAX, dirname(copy));
}

static void take_tree(struct reader *reader, const char *text)
{
    struct cluster *cluster = reader->cluster;
    if (config_read_string(&cluster->tree, text) == CONFIG_FALSE) {
        conf_report_error(reader->report, (unsigned)config_error_line(&cluster->tree), "syntax",
                          "%s", config_error_text(&cluster->tree));
        return;
    }
    take_group(reader, config_root_setting(&cluster->tree), "", cluster);
    take_network(reader);
    take_boards(reader);
    if (reader->report->errors > 0)
        return;
    check_ids(reader);
    check_addresses(reader);
    check_resources(reader);
    if (reader->report->errors == 0)
        check_holders(reader);
}

struct cluster *cluster_read(const char *file, struct conf_report *report)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    if (!cluster)
        return NULL;
    struct reader reader = { .cluster = cluster, .report = report };
    config_init(&cluster->tree);
    text_copy(cluster->file, sizeof(cluster->file), file);
    folder_of(file, cluster->folder);
    char *text = NULL;
    if (strlen(file) >= PATH_MAX)
        conf_report_error(report, 0, NULL, "cannot read: a path of %zu characters", strlen(file));
    else
        text = conf_text_read(file, report);
    if (text)
        conf_text_check(text, report);
    if (text && report->errors == 0)
        take_tree(&reader, text);
    free(text);
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    if (!cluster)
        return;
    config_destroy(&cluster->tree);
    free(cluster);
}

const struct cluster_board *cluster_find(const struct cluster *cluster, const char *id)
{
    for (size_t i = 0; i < cluster->board_count; i++) {
        if (strcmp(cluster->board[i].id.text, id) == 0)
            return &cluster->board[i];
    }
    return NULL;
}
