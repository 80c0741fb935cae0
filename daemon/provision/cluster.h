/*
 * The cluster file: one libconfig file that says everything about all boards of a cluster.
 *
 * Purpose: reads and checks the keys that are the cluster's own (who is there, and where); groups with
 *   keys of holdfast.conf are kept as they stand, for board_conf.h.
 * Owner: whoever calls cluster_read(); until cluster_free(), which settings that are pointed to need.
 * Source: firmware/man/holdfast.cluster.5 tells every key.
 */
#ifndef HOLDFAST_PROVISION_CLUSTER_H
#define HOLDFAST_PROVISION_CLUSTER_H

#include <libconfig.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/name.h"
#include "conf/conf_report.h"
#include "provision/ip.h"

enum {
    CLUSTER_BOARDS_MAX = HF_AGENTS_MAX,
    CLUSTER_KEY_MAX = 256 /* bytes of a key as it is shown: boards[0].conf.watchdog.timeout_ms */
};

struct cluster_board {
    struct hf_name id;
    char address[IP_TEXT_MAX + 1]; /* as ip_print() writes it */
    bool issuer;
    const config_setting_t *setting;   /* its group in `boards` */
    const config_setting_t *resources; /* what differs of its resources; NULL: left out */
    const config_setting_t *conf;      /* what differs of its holdfast.conf; NULL: left out */
};

struct cluster {
    char file[PATH_MAX];
    char folder[PATH_MAX]; /* of the file */
    config_t tree;
    struct hf_name name;
    uint32_t prefix; /* bits of a network address */
    char gateway[IP_TEXT_MAX + 1];
    char ntp[IP_TEXT_MAX + 1]; /* both empty: none */
    char ssh_keys[PATH_MAX];   /* as the file says it; empty: none */
    size_t board_count;
    struct cluster_board board[CLUSTER_BOARDS_MAX];
    const config_setting_t *boards;
    const config_setting_t *resources;
    const config_setting_t *common; /* NULL: left out */
};

/*
 * Reads `file` into a new cluster. Whatever is wrong goes to `report`; the cluster is to be used only
 * if that has no errors. NULL: out of memory. Blocks for the read.
 */
struct cluster *cluster_read(const char *file, struct conf_report *report);

void cluster_free(struct cluster *cluster);

/* The board of that id, or NULL. */
const struct cluster_board *cluster_find(const struct cluster *cluster, const char *id);

/* "boards[0].conf.watchdog" into `out`, of CLUSTER_KEY_MAX bytes; "" for the file itself. */
void cluster_key(const config_setting_t *setting, char *out);

/* The key `leaf` of that group. */
void cluster_key_in(const config_setting_t *group, const char *leaf, char *out);

#endif
