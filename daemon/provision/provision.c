#include "provision/provision.h"

#include <stdlib.h>
#include <string.h>

#include "conf/ms.h"
#include "provision/board_conf.h"
#include "provision/remarks.h"
#include "provision/ssh_keys.h"

enum { KEY_MAX = 128, TEXT_MAX = 300 };

struct provision {
    struct cluster *cluster;
    struct board_conf *board; /* as many as the cluster has, in its order */
    size_t made;
    char *ssh_keys;
};

const struct cluster *provision_cluster(const struct provision *provision)
{
    return provision->cluster;
}

static const struct board_conf *made_of(const struct provision *provision,
                                        const struct cluster_board *board)
{
    return &provision->board[board - provision->cluster->board];
}

const char *provision_conf_text(const struct provision *provision,
                                const struct cluster_board *board)
{
    return made_of(provision, board)->text;
}

const struct conf *provision_conf(const struct provision *provision,
                                  const struct cluster_board *board)
{
    return made_of(provision, board)->conf;
}

const char *provision_ssh_keys(const struct provision *provision)
{
    return provision->ssh_keys;
}

/* ---- checks across boards */

static const struct conf_policy *policy_of(const struct provision *provision,
                                           const struct hf_name *resource)
{
    for (size_t i = 0; i < provision->made; i++) {
        const struct conf *conf = provision->board[i].conf;
        for (size_t j = 0; j < conf->policy_count; j++) {
            if (name_equal(&conf->policy[j].resource, resource))
                return &conf->policy[j];
        }
    }
    return NULL;
}

static bool may_hold(const struct conf_policy *policy, const struct hf_name *board)
{
    for (uint8_t i = 0; i < policy->holder_count; i++) {
        if (name_equal(&policy->holder[i], board))
            return true;
    }
    return false;
}

/* What the issuers would refuse for ever. A board that is an issuer was checked so when it was loaded. */
static void check_asked(const struct provision *provision, const struct board_conf *made,
                        unsigned index, struct remarks *remarks)
{
    const struct conf_resource *asked = &made->conf->resource[index];
    const struct conf_policy *policy = policy_of(provision, &asked->name);
    char key[KEY_MAX];
    char text[TEXT_MAX];
    snprintf(key, sizeof(key), "agent.resources[%u].name", index);
    if (!policy || !may_hold(policy, &made->board->id)) {
        snprintf(text, sizeof(text), "\"%s\", %s is none of its holders: nobody would grant it",
                 asked->name.text, made->board->id.text);
        board_conf_remark(made, key, false, text, remarks);
        return;
    }
    if (made->board->issuer)
        return;
    if (asked->ttl_ms > policy->ttl_max_ms) {
        snprintf(key, sizeof(key), "agent.resources[%u].ttl_ms", index);
        snprintf(text, sizeof(text), "%u ms, must be at most ttl_max_ms of \"%s\" = %u ms",
                 asked->ttl_ms, asked->name.text, policy->ttl_max_ms);
        board_conf_remark(made, key, false, text, remarks);
    }
    if (asked->fence.us > span_from_ms(policy->fence_max_ms).us) {
        snprintf(key, sizeof(key), "agent.resources[%u].outputs", index);
        snprintf(text, sizeof(text),
                 "a fence latency of %s ms, must be at most fence_max_ms of \"%s\" = %u ms",
                 conf_ms(asked->fence).text, asked->name.text, policy->fence_max_ms);
        board_conf_remark(made, key, false, text, remarks);
    }
}

static void check_across(const struct provision *provision, struct remarks *remarks)
{
    for (size_t i = 0; i < provision->made; i++) {
        const struct board_conf *made = &provision->board[i];
        for (unsigned j = 0; j < made->conf->resource_count; j++)
            check_asked(provision, made, j, remarks);
    }
}

/* ---- opening */

static bool make_boards(struct provision *provision, const char *etc, struct remarks *remarks)
{
    struct cluster *cluster = provision->cluster;
    provision->board = calloc(cluster->board_count, sizeof(provision->board[0]));
    if (!provision->board)
        return false;
    for (size_t i = 0; i < cluster->board_count; i++) {
        provision->made = i + 1;
        if (!board_conf_make(&provision->board[i], cluster, &cluster->board[i], etc, remarks))
            return false;
    }
    if (remarks->errors == 0)
        check_across(provision, remarks);
    return true;
}

/* The file that ssh_keys names, relative to the cluster file. */
static bool read_keys(struct provision *provision, FILE *errors)
{
    const struct cluster *cluster = provision->cluster;
    char file[2 * PATH_MAX + 2];
    char why[SSH_KEYS_WHY_MAX];
    bool relative = cluster->ssh_keys[0] != '/';
    if (cluster->ssh_keys[0] == '\0')
        return true;
    snprintf(file, sizeof(file), "%s%s%s", relative ? cluster->folder : "", relative ? "/" : "",
             cluster->ssh_keys);
    provision->ssh_keys = ssh_keys_read(file, why);
    if (!provision->ssh_keys)
        fprintf(errors, "%s:%u: ssh_keys: %s\n", cluster->file,
                config_setting_source_line(config_lookup(&cluster->tree, "ssh_keys")), why);
    return provision->ssh_keys != NULL;
}

/* Reads the file's own keys; false after telling what is wrong. */
static bool read_cluster(struct provision *provision, const char *file, FILE *errors)
{
    struct conf_report *report = calloc(1, sizeof(*report));
    provision->cluster = report ? cluster_read(file, report) : NULL;
    bool good = provision->cluster && report->errors == 0;
    if (provision->cluster)
        conf_report_print(report, file, errors);
    else
        fprintf(errors, "%s:0: out of memory\n", file);
    free(report);
    return good;
}

static bool read_boards(struct provision *provision, const char *file, const char *etc,
                        bool warnings, FILE *errors)
{
    struct remarks *remarks = calloc(1, sizeof(*remarks));
    bool made = remarks && make_boards(provision, etc, remarks);
    if (!made)
        fprintf(errors, "%s:0: out of memory\n", file);
    else
        remarks_print(remarks, file, warnings || remarks->errors > 0, errors);
    bool good = made && remarks->errors == 0;
    free(remarks);
    return good;
}

struct provision *provision_open(const char *file, const char *etc, bool warnings, FILE *errors)
{
    struct provision *provision = calloc(1, sizeof(*provision));
    if (!provision) {
        fprintf(errors, "%s:0: out of memory\n", file);
        return NULL;
    }
    if (read_cluster(provision, file, errors) &&
        read_boards(provision, file, etc, warnings, errors) && read_keys(provision, errors))
        return provision;
    provision_close(provision);
    return NULL;
}

void provision_close(struct provision *provision)
{
    if (!provision)
        return;
    for (size_t i = 0; i < provision->made; i++)
        board_conf_free(&provision->board[i]);
    free(provision->board);
    cluster_free(provision->cluster);
    free(provision->ssh_keys);
    free(provision);
}

/* ---- what it says */

void provision_print_board(const struct provision *provision, const struct cluster_board *board,
                           enum provision_first first, FILE *out)
{
    const struct cluster *cluster = provision->cluster;
    fprintf(out, "id=%s\ncluster=%s\naddress=%s/%u\n", board->id.text, cluster->name.text,
            board->address, cluster->prefix);
    if (cluster->gateway[0] != '\0')
        fprintf(out, "gateway=%s\n", cluster->gateway);
    if (cluster->ntp[0] != '\0')
        fprintf(out, "ntp=%s\n", cluster->ntp);
    fprintf(out, "first=%s\n", first == PROVISION_BEGIN ? "begin" : "replace");
}

/* The largest failover bounds of a resource among the boards that may drive it. */
struct worst {
    const struct hf_name *resource;
    struct span total;
    struct span leader_total;
};

static struct worst worst_of(const struct provision *provision, const struct hf_name *resource)
{
    struct worst worst = { .resource = resource };
    for (size_t i = 0; i < provision->made; i++) {
        const struct conf *conf = provision->board[i].conf;
        for (size_t j = 0; j < conf->resource_count; j++) {
            if (!name_equal(&conf->resource[j].name, resource))
                continue;
            struct span total = conf_failover_bound(conf, &conf->resource[j]).total;
            struct span leader = conf_failover_bound_leader(conf, &conf->resource[j]);
            worst.total = total.us > worst.total.us ? total : worst.total;
            worst.leader_total = leader.us > worst.leader_total.us ? leader : worst.leader_total;
        }
    }
    return worst;
}

/* An issuer's configuration: it has all policies. There is one, the cluster was checked. */
static const struct conf *issuer_of(const struct provision *provision)
{
    const struct conf *conf = provision->board[0].conf;
    for (size_t i = 1; i < provision->made && !conf->issuer_role; i++)
        conf = provision->board[i].conf;
    return conf;
}

static void print_json(const struct provision *provision, const struct conf *issuer, FILE *out)
{
    const struct cluster *cluster = provision->cluster;
    fprintf(out, "{\"ok\":true,\"cluster\":\"%s\",\"boards\":[", cluster->name.text);
    for (size_t i = 0; i < cluster->board_count; i++)
        fprintf(out, "%s{\"id\":\"%s\",\"digest\":\"%016llx\"}", i > 0 ? "," : "",
                cluster->board[i].id.text, (unsigned long long)provision->board[i].conf->digest);
    fprintf(out, "],\"issuers\":%u,\"resources\":[", issuer->issuer_count);
    for (size_t i = 0; i < issuer->policy_count; i++) {
        struct worst worst = worst_of(provision, &issuer->policy[i].resource);
        fprintf(out, "%s{\"resource\":\"%s\",\"total_ms\":%s,\"leader_total_ms\":%s}",
                i > 0 ? "," : "", worst.resource->text, conf_ms(worst.total).text,
                conf_ms(worst.leader_total).text);
    }
    fprintf(out, "]}\n");
}

void provision_print_check(const struct provision *provision, bool json, FILE *out)
{
    const struct cluster *cluster = provision->cluster;
    const struct conf *issuer = issuer_of(provision);
    if (json) {
        print_json(provision, issuer, out);
        return;
    }
    fprintf(out, "%s: good; cluster %s, %zu boards, %u of them issuers\n", cluster->file,
            cluster->name.text, cluster->board_count, issuer->issuer_count);
    for (size_t i = 0; i < issuer->policy_count; i++) {
        struct worst worst = worst_of(provision, &issuer->policy[i].resource);
        fprintf(out,
                "%s: failover bound %s ms, from a board's death to the next board driving; %s ms "
                "if that board led the issuers\n",
                worst.resource->text, conf_ms(worst.total).text, conf_ms(worst.leader_total).text);
    }
}
