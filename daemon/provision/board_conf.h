/*
 * The holdfast.conf of one board, made of the cluster file.
 *
 * Purpose: what the cluster file says of who and where becomes keys of holdfast.conf; over those are
 *   laid, in this order, `common`, `resources`, and the board's own `resources` and `conf`. The text is
 *   then loaded and checked as any holdfast.conf is, and errors are told at the cluster file's lines.
 * Owner: provision.c; until board_conf_free(), and no longer than the cluster.
 */
#ifndef HOLDFAST_PROVISION_BOARD_CONF_H
#define HOLDFAST_PROVISION_BOARD_CONF_H

#include <libconfig.h>
#include <stdbool.h>

#include "conf/conf.h"
#include "provision/cluster.h"
#include "provision/remarks.h"

#define BOARD_CONF_PORT         "7400" /* of peers and agents, where the file says no other */
#define BOARD_CONF_CONSOLE_PORT "7443"

struct board_conf {
    const struct cluster *cluster;
    const struct cluster_board *board;
    config_t tree;
    char *text;        /* of holdfast.conf, terminated */
    struct conf *conf; /* loaded from it; valid only if nothing was wrong */
};

/*
 * Makes it. `folder` is where the file and the certificates will be on the board. What is wrong goes
 * to `remarks`. False: out of memory.
 */
bool board_conf_make(struct board_conf *made, const struct cluster *cluster,
                     const struct cluster_board *board, const char *folder,
                     struct remarks *remarks);

void board_conf_free(struct board_conf *made);

/*
 * Adds an error or warning about a key of holdfast.conf, such as "agent.resources[0].ttl_ms", at the
 * line of the cluster file that says it, by the key that it has there.
 */
void board_conf_remark(const struct board_conf *made, const char *key, bool warning,
                       const char *text, struct remarks *remarks);

#endif
