#include "provision/board_conf.h"

#include <stdlib.h>
#include <string.h>

#include "conf/load.h"
#include "conf/schema.h"
#include "conf/text.h"
#include "provision/layers.h"
#include "provision/tree_text.h"

enum { PATH_ROOM = PATH_MAX + 32 };

/* What a board is, by the cluster file: each of these groups of `common` is for such boards only. */
enum need { NEED_ISSUER, NEED_AGENT };

static const struct {
    const char *group;
    enum need need;
} needs[] = {
    { "cluster", NEED_ISSUER }, { "issuer", NEED_ISSUER }, { "agent", NEED_AGENT },
    { "watchdog", NEED_AGENT }, { "hal", NEED_AGENT },     { "gateway", NEED_AGENT },
};

static const struct layers_reserved reserved_common[] = {
    { "node.id", "boards[].id says it" },
    { "cluster.name", "cluster says it" },
    { "cluster.issuers", "boards[].issuer and boards[].address say it" },
    { "tls", "certificates are made when a card is" },
    { NULL, NULL },
};

static const struct layers_reserved reserved_board[] = {
    { "node.id", "boards[].id says it" },
    { "cluster.name", "cluster says it" },
    { "cluster.issuers", "boards[].issuer and boards[].address say it" },
    { "tls", "certificates are made when a card is" },
    { "timing", "it is the same on every board, common says it" },
    { "issuer.policy", "it is the same on every issuer, resources or common say it" },
    { NULL, NULL },
};

struct making {
    const struct cluster *cluster;
    const struct cluster_board *board;
    const char *folder;
    config_setting_t *root;
    struct layers layers;
};

/* ---- who and where */

static config_setting_t *group_of(struct making *making, const char *name)
{
    return layers_add(&making->layers, making->root, name, CONFIG_TYPE_GROUP,
                      making->board->setting);
}

static void say(struct making *making, const char *group, const char *key, const char *text,
                const config_setting_t *origin)
{
    config_setting_t *to = group_of(making, group);
    if (to)
        layers_set_text(&making->layers, to, key, text, origin);
}

static void address_text(const char *host, const char *port, char out[HF_ADDRESS_MAX + 1])
{
    bool six = strchr(host, ':') != NULL;
    snprintf(out, HF_ADDRESS_MAX + 1, "%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
}

/* The setting cluster.listen in that group; NULL: it does not say it. */
static const config_setting_t *listen_in(const config_setting_t *group)
{
    const config_setting_t *cluster = group ? config_setting_get_member(group, "cluster") : NULL;
    const config_setting_t *listen = cluster && config_setting_is_group(cluster) ?
                                         config_setting_get_member(cluster, "listen") :
                                         NULL;
    return listen && config_setting_get_string(listen) ? listen : NULL;
}

static const config_setting_t *listen_of(const struct cluster *cluster,
                                         const struct cluster_board *board)
{
    const config_setting_t *own = listen_in(board->conf);
    return own ? own : listen_in(cluster->common);
}

/* Where others reach an issuer: at its address, at the port that it listens on. */
static void reached_at(const struct cluster *cluster, const struct cluster_board *board,
                       char out[HF_ADDRESS_MAX + 1])
{
    char port[8] = BOARD_CONF_PORT;
    const config_setting_t *listen = listen_of(cluster, board);
    uint16_t said = listen ? conf_address_port(config_setting_get_string(listen)) : CONF_PORT_BAD;
    if (said != CONF_PORT_BAD)
        snprintf(port, sizeof(port), "%u", said);
    address_text(board->address, port, out);
}

static void say_issuers(struct making *making)
{
    const struct cluster *cluster = making->cluster;
    config_setting_t *group = group_of(making, "cluster");
    config_setting_t *list =
        group ? layers_add(&making->layers, group, "issuers", CONFIG_TYPE_LIST, cluster->boards) :
                NULL;
    for (size_t i = 0; list && i < cluster->board_count; i++) {
        const struct cluster_board *board = &cluster->board[i];
        char address[HF_ADDRESS_MAX + 1];
        if (!board->issuer)
            continue;
        reached_at(cluster, board, address);
        config_setting_t *issuer = layers_element(&making->layers, list, "id",
                                                  config_setting_get_member(board->setting, "id"));
        if (issuer)
            layers_set_text(&making->layers, issuer, "address", address,
                            config_setting_get_member(board->setting, "address"));
    }
}

static void say_file(struct making *making, const char *key, const char *name)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof(path), "%s/%s", making->folder, name);
    say(making, "tls", key, path, making->board->setting);
}

static void say_where(struct making *making)
{
    const struct cluster_board *board = making->board;
    const config_setting_t *id = config_setting_get_member(board->setting, "id");
    const config_setting_t *address = config_setting_get_member(board->setting, "address");
    const config_setting_t *name =
        config_setting_get_member(config_root_setting(&making->cluster->tree), "cluster");
    char text[HF_ADDRESS_MAX + 1];
    say(making, "node", "id", board->id.text, id);
    say(making, "cluster", "name", making->cluster->name.text, name);
    if (board->issuer) {
        address_text(board->address, BOARD_CONF_PORT, text);
        say(making, "cluster", "listen", text, address);
    }
    say_issuers(making);
    say_file(making, "ca", "ca.crt");
    say_file(making, "cert", "node.crt");
    say_file(making, "key", "node.key");
    address_text(board->address, BOARD_CONF_CONSOLE_PORT, text);
    say(making, "console", "listen", text, address);
}

/* ---- resources */

static bool is_holder(const struct cluster_board *board, const config_setting_t *resource)
{
    const config_setting_t *holders = config_setting_get_member(resource, "holders");
    int count = holders ? config_setting_length(holders) : 0;
    for (int i = 0; i < count; i++) {
        const char *id = config_setting_get_string_elem(holders, i);
        if (id && strcmp(id, board->id.text) == 0)
            return true;
    }
    return false;
}

static bool is_agent(const struct cluster *cluster, const struct cluster_board *board)
{
    const config_setting_t *list = cluster->resources;
    int count = config_setting_length(list);
    for (int i = 0; i < count; i++) {
        if (is_holder(board, config_setting_get_elem(list, (unsigned)i)))
            return true;
    }
    return (board->resources && config_setting_length(board->resources) > 0) ||
           (board->conf && config_setting_get_member(board->conf, "agent"));
}

static bool key_of(const char *pattern, const char *leaf)
{
    char path[CLUSTER_KEY_MAX];
    snprintf(path, sizeof(path), "%s.%.64s", pattern, leaf);
    return conf_schema_find(path) != NULL;
}

/* The list GROUP.NAME of the file, made if it is not there. */
static config_setting_t *list_of(struct making *making, const char *group, const char *name)
{
    config_setting_t *to = group_of(making, group);
    return to ?
               layers_add(&making->layers, to, name, CONFIG_TYPE_LIST, making->cluster->resources) :
               NULL;
}

/* Of a resource's keys those that the file has under `pattern`, but for `element`'s name. */
static void put_keys(struct layers *layers, config_setting_t *to, const config_setting_t *resource,
                     const char *pattern, const char *element)
{
    for (int i = 0; i < config_setting_length(resource); i++) {
        const config_setting_t *setting = config_setting_get_elem(resource, (unsigned)i);
        const char *key = config_setting_name(setting);
        if (strcmp(key, element) != 0 && key_of(pattern, key))
            layers_put(layers, to, setting, pattern);
    }
}

/* The policy's element; its ttl_max_ms is the ttl_ms of the resource if nothing else says it. */
static void put_policy(struct making *making, const config_setting_t *resource)
{
    struct layers *layers = &making->layers;
    const config_setting_t *name = config_setting_get_member(resource, "name");
    config_setting_t *list = list_of(making, "issuer", "policy");
    config_setting_t *policy = list ? layers_element(layers, list, "resource", name) : NULL;
    if (!policy)
        return;
    put_keys(layers, policy, resource, "issuer.policy[]", "resource");
    const config_setting_t *ttl = config_setting_get_member(resource, "ttl_ms");
    if (config_setting_get_member(policy, "ttl_max_ms") || !ttl ||
        config_setting_type(ttl) != CONFIG_TYPE_INT)
        return;
    config_setting_t *most = layers_add(layers, policy, "ttl_max_ms", CONFIG_TYPE_INT, ttl);
    if (most)
        config_setting_set_int(most, config_setting_get_int(ttl));
}

static void put_asked(struct making *making, const config_setting_t *resource)
{
    struct layers *layers = &making->layers;
    const config_setting_t *name = config_setting_get_member(resource, "name");
    config_setting_t *list = list_of(making, "agent", "resources");
    config_setting_t *asked = list ? layers_element(layers, list, "name", name) : NULL;
    if (asked)
        put_keys(layers, asked, resource, "agent.resources[]", "name");
}

/* A resource has the keys of both: of what an issuer grants, and of what a board asks for. */
static void refuse_unknown(struct making *making, const config_setting_t *resource)
{
    for (int i = 0; i < config_setting_length(resource); i++) {
        const config_setting_t *setting = config_setting_get_elem(resource, (unsigned)i);
        const char *leaf = config_setting_name(setting);
        char shown[CLUSTER_KEY_MAX];
        if (strcmp(leaf, "resource") != 0 &&
            (key_of("issuer.policy[]", leaf) || key_of("agent.resources[]", leaf)))
            continue;
        cluster_key(setting, shown);
        conf_report_error(making->layers.report, config_setting_source_line(setting), shown,
                          "unknown key, must be one of those of agent.resources[] (the nearest is "
                          "%s) or of issuer.policy[] (%s) of holdfast.conf",
                          conf_key_leaf(conf_schema_nearest("agent.resources[]", leaf)),
                          conf_key_leaf(conf_schema_nearest("issuer.policy[]", leaf)));
    }
}

static void put_resources(struct making *making)
{
    const config_setting_t *list = making->cluster->resources;
    int count = config_setting_length(list);
    for (int i = 0; i < count; i++) {
        const config_setting_t *resource = config_setting_get_elem(list, (unsigned)i);
        refuse_unknown(making, resource);
        if (making->board->issuer)
            put_policy(making, resource);
        if (is_holder(making->board, resource))
            put_asked(making, resource);
    }
}

/* ---- the layers */

static void put_common(struct making *making, bool agent)
{
    const config_setting_t *common = making->cluster->common;
    int count = common ? config_setting_length(common) : 0;
    for (int i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(common, (unsigned)i);
        bool wanted = true;
        for (size_t j = 0; j < sizeof(needs) / sizeof(needs[0]); j++) {
            if (strcmp(needs[j].group, config_setting_name(setting)) == 0)
                wanted = needs[j].need == NEED_ISSUER ? making->board->issuer : agent;
        }
        if (wanted)
            layers_put(&making->layers, making->root, setting, "");
    }
}

static void put_own(struct making *making)
{
    const struct cluster_board *board = making->board;
    struct layers *layers = &making->layers;
    layers->reserved = reserved_board;
    if (board->resources && config_setting_length(board->resources) > 0) {
        config_setting_t *list = list_of(making, "agent", "resources");
        if (list)
            layers_put_all(layers, list, board->resources, "agent.resources[]");
    }
    if (board->conf)
        layers_put_all(layers, making->root, board->conf, "");
}

static void put_all(struct making *making)
{
    bool agent = is_agent(making->cluster, making->board);
    say_where(making);
    if (agent)
        say(making, "hal", "backend", "linux", making->board->setting);
    making->layers.reserved = reserved_common;
    put_common(making, agent);
    put_resources(making);
    put_own(making);
}

/* ---- text, and what is wrong with it */

static char *text_of(const struct making *making)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    fprintf(
        out,
        "# %s of cluster %s, made by holdfastctl provision: change the cluster file, not this.\n",
        making->board->id.text, making->cluster->name.text);
    tree_text_write(making->root, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* "a[0].b" as libconfig writes it: "a.[0].b". */
static void tree_path(const char *key, char *out, size_t size)
{
    size_t used = 0;
    for (; *key != '\0' && used + 2 < size; key++) {
        if (*key == '[' && used > 0)
            out[used++] = '.';
        out[used++] = *key;
    }
    out[used] = '\0';
}

/* The setting of a key, or of the nearest group around it; *rest is what of the key is not there. */
static const config_setting_t *find_around(const struct board_conf *made, const char *key,
                                           const char **rest)
{
    char path[2 * CLUSTER_KEY_MAX];
    char part[CLUSTER_KEY_MAX];
    text_copy(part, sizeof(part), key);
    while (part[0] != '\0') {
        tree_path(part, path, sizeof(path));
        const config_setting_t *found = config_lookup(&made->tree, path);
        *rest = key + strlen(part);
        if (found)
            return found;
        size_t end = strlen(part);
        while (end > 0 && strchr(".[", part[--end]) == NULL)
            ;
        part[end] = '\0';
    }
    return NULL;
}

/* Of what the cluster file does not say itself: where it could be said. */
static void could_be_said(const struct board_conf *made, const char *key, char *out)
{
    cluster_key_in(made->board->setting, "conf.", out);
    size_t used = strlen(out);
    snprintf(out + used, CLUSTER_KEY_MAX - used, "%s", key);
}

void board_conf_remark(const struct board_conf *made, const char *key, bool warning,
                       const char *text, struct remarks *remarks)
{
    const char *rest = "";
    const config_setting_t *found = find_around(made, key, &rest);
    const config_setting_t *origin = found ? layers_origin(found) : NULL;
    const config_setting_t *at = origin ? origin : made->board->setting;
    char shown[CLUSTER_KEY_MAX];
    if (at == made->board->setting || (rest[0] != '\0' && !config_setting_is_aggregate(at))) {
        could_be_said(made, key, shown);
    } else {
        cluster_key(at, shown);
        size_t used = strlen(shown);
        snprintf(shown + used, sizeof(shown) - used, "%s", rest);
    }
    remarks_add(remarks, &made->board->id, config_setting_source_line(at), warning, shown, text);
}

/* What the loader said of keys of holdfast.conf. */
static void take_report(const struct board_conf *made, const struct conf_report *report,
                        struct remarks *remarks)
{
    int said = 0;
    for (int i = 0; i < report->count; i++) {
        const struct conf_report_line *line = &report->lines[i];
        said += line->warning ? 0 : 1;
        const char *colon = strstr(line->text, ": ");
        char key[CLUSTER_KEY_MAX];
        snprintf(key, sizeof(key), "%.*s", colon ? (int)(colon - line->text) : 0, line->text);
        board_conf_remark(made, key, line->warning, colon ? colon + 2 : line->text, remarks);
    }
    remarks_add_unsaid(remarks, report->errors - said);
}

static void take_own_report(const struct board_conf *made, const struct conf_report *report,
                            struct remarks *remarks)
{
    for (int i = 0; i < report->count; i++)
        remarks_add(remarks, &made->board->id, report->lines[i].line, report->lines[i].warning, "",
                    report->lines[i].text);
}

/* Others reach it at its address: it must listen there, or everywhere. */
static void check_listen(const struct board_conf *made, struct remarks *remarks)
{
    const struct cluster_board *board = made->board;
    const char *listen = made->conf->listen;
    char wanted[HF_ADDRESS_MAX + 1];
    char text[200];
    reached_at(made->cluster, board, wanted);
    if (!board->issuer || strcmp(listen, wanted) == 0 || strncmp(listen, "0.0.0.0:", 8) == 0 ||
        strncmp(listen, "[::]:", 5) == 0)
        return;
    snprintf(text, sizeof(text), "\"%s\", must be at its address, \"%s\", or at 0.0.0.0 or [::]",
             listen, wanted);
    board_conf_remark(made, "cluster.listen", false, text, remarks);
}

static bool load(struct board_conf *made, const char *folder, struct remarks *remarks)
{
    char file[PATH_ROOM];
    snprintf(file, sizeof(file), "%s/holdfast.conf", folder);
    made->conf = calloc(1, sizeof(*made->conf));
    struct conf_report *report = calloc(1, sizeof(*report));
    bool done = made->conf && report;
    if (done) {
        conf_load_text(made->conf, file, made->text, report);
        take_report(made, report, remarks);
    }
    if (done && report->errors == 0)
        check_listen(made, remarks);
    free(report);
    return done;
}

bool board_conf_make(struct board_conf *made, const struct cluster *cluster,
                     const struct cluster_board *board, const char *folder, struct remarks *remarks)
{
    *made = (struct board_conf){ .cluster = cluster, .board = board };
    config_init(&made->tree);
    struct conf_report *report = calloc(1, sizeof(*report));
    if (!report)
        return false;
    struct making making = { .cluster = cluster,
                             .board = board,
                             .folder = folder,
                             .root = config_root_setting(&made->tree),
                             .layers = { .report = report } };
    put_all(&making);
    take_own_report(made, report, remarks);
    bool good = report->errors == 0;
    free(report);
    made->text = text_of(&making);
    if (making.layers.out_of_memory || !made->text)
        return false;
    return !good || load(made, folder, remarks);
}

void board_conf_free(struct board_conf *made)
{
    config_destroy(&made->tree);
    free(made->text);
    free(made->conf);
    *made = (struct board_conf){ 0 };
}
