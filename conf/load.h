/*
 * Inside conf/: from libconfig's tree into struct conf, by the schema; and the checks across keys.
 *
 * Owner: conf_load(), for the time of one call.
 */
#ifndef HOLDFAST_CONF_LOAD_H
#define HOLDFAST_CONF_LOAD_H

#include <libconfig.h>

#include "base/fnv.h"
#include "conf/conf.h"
#include "conf/conf_report.h"

/*
 * Stores every value of the tree into *conf (zeroed by the caller), with defaults, and reports what
 * the schema does not allow. Paths become absolute by `directory`. False: out of memory.
 */
bool conf_tree_store(struct conf *conf, config_setting_t *root, const char *directory,
                     struct conf_report *report);

/* Checks that need more than one key. Keys that were refused already are skipped. */
void conf_cross_check(const struct conf *conf, const config_t *tree, struct conf_report *report);

/* FNV-1a over a text; `hash` is CONF_DIGEST_START or what an earlier call returned. */
#define CONF_DIGEST_START FNV_START
uint64_t conf_digest_add(uint64_t hash, const char *text);

/* cluster_digest of what all nodes must agree on. The order of the issuers does not matter. */
uint64_t conf_cluster_digest(const struct conf *conf);

#endif
