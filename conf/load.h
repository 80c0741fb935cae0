/*
 * From libconfig's tree into struct conf, by the schema; and the checks across keys.
 *
 * Owner: conf_load(), for the time of one call. Outside of conf/, provision/ calls conf_load_text()
 *   and conf_describe_value(), and nobody anything else.
 */
#ifndef HOLDFAST_CONF_LOAD_H
#define HOLDFAST_CONF_LOAD_H

#include <libconfig.h>

#include "base/fnv.h"
#include "conf/conf.h"
#include "conf/conf_report.h"
#include "conf/schema.h"

/*
 * As conf_load() for a text that is to become `file`: relative paths are relative to that. *conf is
 * zeroed by the caller, and valid only if `report` has no error afterwards; lines are those of `text`.
 */
void conf_load_text(struct conf *conf, const char *file, const char *text,
                    struct conf_report *report);

/* What a file says for a key, for people: 20 ms, "abc", a group. Unprintable characters are '?'. */
void conf_describe_value(const struct conf_key *key, const config_setting_t *value, char *out,
                         size_t size);

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
