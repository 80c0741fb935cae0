#include "conf/conf.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "conf/load.h"
#include "conf/conf_report.h"
#include "conf/text.h"

uint64_t conf_digest_add(uint64_t hash, const char *text)
{
    return fnv_add(hash, text, strlen(text));
}

/*
 * Issuers are hashed one by one and the hashes added, so that their order in the file does not
 * matter.
 */
uint64_t conf_cluster_digest(const struct conf *conf)
{
    char timing[64];
    uint64_t hash = conf_digest_add(CONF_DIGEST_START, conf->cluster_name.text);
    snprintf(timing, sizeof(timing), "/%u/%u/%u", conf->heartbeat_ms, conf->election_ms,
             conf->drift_ppm);
    hash = conf_digest_add(hash, timing);
    for (size_t i = 0; i < conf->issuer_count; i++) {
        uint64_t issuer = conf_digest_add(CONF_DIGEST_START, conf->issuer[i].id.text);
        issuer = conf_digest_add(issuer, "@");
        hash += conf_digest_add(issuer, conf->issuer[i].address);
    }
    return hash;
}

struct span conf_output_fence(const struct conf *conf, const struct conf_output *output)
{
    enum timing_fence_kind gpio =
        output->covers == CONF_COVERS_KERNEL ? TIMING_FENCE_GPIO_KERNEL : TIMING_FENCE_GPIO_PROCESS;
    struct timing_fence fence = {
        .kind = output->kind == CONF_OUTPUT_PULSE ? TIMING_FENCE_PULSE : gpio,
        .hold = span_from_ms(output->hold_ms),
        .watchdog_timeout = span_from_ms(conf->watchdog_timeout_ms),
        .reset_time = span_from_ms(output->reset_ms),
        .close_pings = conf->watchdog_close_pings,
    };
    return timing_fence_latency(&fence);
}

static void compute_fences(struct conf *conf)
{
    for (size_t i = 0; i < conf->resource_count; i++) {
        struct conf_resource *res = &conf->resource[i];
        for (size_t j = 0; j < res->output_count; j++) {
            struct span fence = conf_output_fence(conf, &res->output[j]);
            if (fence.us > res->fence.us)
                res->fence = fence;
        }
    }
}

/* The folder of `file`, absolute where the system can tell. */
static void folder_of(const char *file, char out[PATH_MAX])
{
    char copy[PATH_MAX];
    text_copy(copy, sizeof(copy), file);
    const char *folder = dirname(copy);
    if (!realpath(folder, out))
        text_copy(out, PATH_MAX, folder);
}

static void load_tree(struct conf *conf, const char *file, config_t *tree, const char *text,
                      struct conf_report *report)
{
    char folder[PATH_MAX];
    folder_of(file, folder);
    if (config_read_string(tree, text) == CONFIG_FALSE) {
        conf_report_error(report, (unsigned)config_error_line(tree), "syntax", "%s",
                          config_error_text(tree));
        return;
    }
    if (!conf_tree_store(conf, config_root_setting(tree), folder, report)) {
        conf_report_error(report, 0, NULL, "cannot read: out of memory");
        return;
    }
    compute_fences(conf);
    conf_cross_check(conf, tree, report);
    conf->cluster_digest = conf_cluster_digest(conf);
}

void conf_load_text(struct conf *conf, const char *file, const char *text,
                    struct conf_report *report)
{
    conf_text_check(text, report);
    if (report->errors == 0) {
        config_t tree;
        config_init(&tree);
        load_tree(conf, file, &tree, text, report);
        config_destroy(&tree);
    }
}

static void load_file(struct conf *conf, const char *file, struct conf_report *report)
{
    char *text = conf_text_read(file, report);
    if (text)
        conf_load_text(conf, file, text, report);
    free(text);
}

int conf_load(struct conf *conf, const char *file, FILE *errors)
{
    memset(conf, 0, sizeof(*conf));
    struct conf_report *report = calloc(1, sizeof(*report));
    if (!report) {
        fprintf(errors, "%s:0: cannot read: out of memory\n", file);
        return 1;
    }
    if (strlen(file) > CONF_PATH_MAX)
        conf_report_error(report, 0, NULL, "cannot read: a path of %zu characters, at most %d",
                          strlen(file), CONF_PATH_MAX);
    else
        load_file(conf, file, report);
    text_copy(conf->file, sizeof(conf->file), file);
    conf_report_print(report, file, errors);
    int count = report->errors;
    free(report);
    return count;
}
